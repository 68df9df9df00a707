//! Watching what was issued: whether it is renewed, and whether it is really served.

pub mod directory;
pub mod look;
