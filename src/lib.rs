//! acme-ca, a private ACME certificate authority. The rooms, by floor; imports only go down, and `tests/floors.rs`
//! keeps it so.
//!
//! | floor | rooms |
//! |---|---|
//! | 5 programs | `bin/acme-ca`, `bin/ca-ctl` |
//! | 4 front | [`serve`] listeners, TLS, orderly stop; [`ctl`] the operator's commands |
//! | 3 doors | [`web`] HTTP in; [`tasks`] time and queue in |
//! | 2 works | [`issuance`], [`recheck`], [`revocation`], [`validate`], [`watch`] |
//! | 1 rooms | [`ca`], [`policy`], [`limits`], [`resolver`], [`metrics`], [`probe`], [`notify`], [`possession`]; [`config`] reads their settings |
//! | 0 crates | `store` above `acme` |
//!
//! [`App`] is what the doors share; [`clock`] is where the time comes from.

mod app;
pub mod ca;
pub mod clock;
pub mod config;
pub mod ctl;
pub mod issuance;
pub mod limits;
pub mod metrics;
pub mod notify;
pub mod policy;
pub mod possession;
pub mod probe;
pub mod quickstart;
pub mod recent;
pub mod recheck;
pub mod resolver;
pub mod revocation;
pub mod serve;
pub mod tasks;
pub mod validate;
pub mod watch;
pub mod web;

pub use app::{App, Kept, Live, Own, Urls, ValidationRequest};

use acme::id::AuditId;
use acme::time::Timestamp;
use store::audit::AuditEvent;

/// An audit row of something that happened now, to be filled in.
fn audit(event: &str, now: Timestamp) -> AuditEvent {
    AuditEvent {
        id: AuditId::mint(now, random()),
        at: now,
        event: event.to_owned(),
        account: None,
        order: None,
        serial: None,
        detail: None,
    }
}

/// Waits until the server is to stop.
async fn stopped(stop: &mut tokio::sync::watch::Receiver<bool>) {
    // An error: the server is gone, which is a stop as well.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Fresh octets from the system's generator. Called where ids, tokens, serials and keys are minted; pure code is given
/// the result.
///
/// # Panics
/// When the operating system has no randomness to give: nothing that a CA does makes sense then.
pub fn random<const N: usize>() -> [u8; N] {
    let mut octets = [0; N];
    aws_lc_rs::rand::fill(&mut octets).expect("the system gives random octets");
    octets
}
