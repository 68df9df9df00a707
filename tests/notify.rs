//! Telling people, with real sockets, a real store and real servers: ntfy (one that follows its contract here, a real one
//! where there is one), Alertmanager, a mail server, programs, the journal. Time is the test's.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what surprises a test ends it")]
#![expect(unreachable_pub, reason = "a test program exports nothing")]

mod support;

#[path = "notify/by_ntfy.rs"]
mod by_ntfy;
#[path = "notify/desk.rs"]
mod desk;
#[path = "notify/in_order.rs"]
mod in_order;
#[path = "notify/misconfigured.rs"]
mod misconfigured;
#[path = "notify/other_sinks.rs"]
mod other_sinks;
#[path = "notify/programs.rs"]
mod programs;
#[path = "notify/real_ntfy.rs"]
mod real_ntfy;
