//! The programs, seen from outside: what bad input they refuse and with which words, what they say to systemd, and what
//! stands behind each of their doors.

#![allow(clippy::panic, reason = "what surprises a test ends it")]

mod support;

#[path = "programs/configuration.rs"]
mod configuration;
#[path = "programs/doors.rs"]
mod doors;
#[path = "programs/exits.rs"]
mod exits;
#[path = "programs/full.rs"]
mod full;
#[path = "programs/kept.rs"]
mod kept;
#[path = "programs/keys.rs"]
mod keys;
#[path = "programs/program.rs"]
mod program;
#[path = "programs/systemd.rs"]
mod systemd;
