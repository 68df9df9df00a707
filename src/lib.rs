//! The CA, room by room.

pub mod ca;
pub mod ctl;
