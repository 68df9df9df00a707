//! Looking at the certificate that is really served, and what is to be thought of it. The look goes where a client would
//! go: the name is looked up as validations do it (pins included), every address is dialled, TLS is begun, and what the
//! server shows is written down. The judgement has no sockets: it is given what was shown, what our issuers' keys are, and
//! what is known of the serial. It knows neither the store nor the CA; `watch` brings them together.
//!
//! | module | what it is |
//! |---|---|
//! | [`target`] | where, and what is expected there |
//! | [`look`], `starttls`, `handshake` | the look |
//! | [`facts`], [`authority`], `product` | what was shown, and who signed it |
//! | [`judge`] | what is to be thought of it |

pub mod authority;
pub mod facts;
mod handshake;
pub mod judge;
pub mod look;
mod product;
mod starttls;
mod tap;
pub mod target;

use std::net::SocketAddr;
use std::time::Duration;

pub use self::authority::{Authority, Public};
pub use self::facts::Facts;
pub use self::judge::{Judgement, Known, Record, Successor, judge};
pub use self::look::{Look, Outcome, Prober, Seen, Shown};
pub use self::target::{Expect, Skip, Starttls, Target};

/// What is looked at, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How often.
    pub interval: Duration,
    /// Whether every name and address of a certificate without a successor is looked at.
    pub auto: bool,
    /// The port where that is done.
    pub port: u16,
    /// Where our own server shows its certificate. It is dialled there, wherever its name leads.
    pub own: Option<SocketAddr>,
    /// Hosts that are looked at only when a target says so.
    pub skip: Vec<Skip>,
    /// How many hosts are looked at at once.
    pub concurrency: usize,
    /// How long each step may take: the look-up, the connection, the words before TLS, the handshake.
    pub timeout: Duration,
    /// Further places.
    pub targets: Vec<Target>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(600),
            auto: true,
            port: 443,
            own: None,
            skip: Vec::new(),
            concurrency: MOST_AT_ONCE,
            timeout: Duration::from_secs(5),
            targets: Vec::new(),
        }
    }
}

/// How many hosts are looked at at once, at most.
pub const MOST_AT_ONCE: usize = 8;
