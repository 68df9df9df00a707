//! Watching what was issued, and telling people: works over the rooms and the store, without a timer of their own. `tasks`
//! runs them.

pub mod deliver;
pub mod directory;
pub mod look;
