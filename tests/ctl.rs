//! `ca-ctl` as its readers see it: tables and sentences for people, JSON for programs, octet by octet as kept in
//! `fixtures/ctl/`. Rows, ids and the clock are fixed, so nothing in these files has to be masked.

#![allow(clippy::panic, reason = "what surprises a test ends it")]

mod support;

#[path = "ctl/alerts.rs"]
mod alerts;
#[path = "ctl/ceremony.rs"]
mod ceremony;
#[path = "ctl/golden.rs"]
mod golden;
#[path = "ctl/probes.rs"]
mod probes;
#[path = "ctl/programs.rs"]
mod programs;
#[path = "ctl/resolve.rs"]
mod resolve;
#[path = "ctl/revocations.rs"]
mod revocations;
#[path = "ctl/rows.rs"]
mod rows;
#[path = "ctl/served.rs"]
mod served;
#[path = "ctl/tables.rs"]
mod tables;
#[path = "ctl/watch.rs"]
mod watch;
