//! Real parts on loopback for the tests of this directory.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, reason = "what surprises a test ends it")]

pub mod dns;
