//! The CA, room by room.

pub mod ca;
