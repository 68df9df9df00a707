//! A lineage: a set of names whose certificates follow one another, with everything that is known of it at a moment. What
//! the certificates, the orders, the polls and the probes of a name say only together: whether it is well, and if not,
//! where it stopped. `store` puts it together; what is to be thought of it is a function of it and `now`.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cadence::Past;
use crate::failure::Failure;
use crate::id::{AccountId, OrderId, Serial, hex};
use crate::jwk::sha256;
use crate::problem::Problem;
use crate::renewal::Thresholds;
use crate::renewal_info::Window;
use crate::time::Timestamp;
use crate::verdict::Verdict;

/// A set of names, and what is known of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lineage {
    /// The names in canonical form, sorted, each once; see `identifier::name_set`.
    pub names: Vec<String>,
    /// Whether it is the server's own certificate, which is issued in process.
    pub is_own: bool,
    /// The certificate without a successor; none while no order was successful, or when it was revoked.
    pub current: Option<Current>,
    /// The last certificate, when it was revoked and nothing took its place.
    pub revoked: Option<Revoked>,
    /// Earlier issuances to the same account, newest first, at most `cadence::LOOKED_AT`; the current one is the first.
    pub past: Vec<Past>,
    /// When a client last asked for renewal information about any of its certificates (RFC 9773).
    pub polled_at: Option<Timestamp>,
    /// How often it does, learnt from its polls.
    pub polled_every: Option<Duration>,
    /// The last order, whatever became of it.
    pub attempt: Option<Attempt>,
    /// Orders that failed since the last that brought a certificate.
    pub failures: Failures,
    /// What each address of each of its targets serves.
    pub served: Vec<Served>,
    /// What the operator said about it.
    pub care: Care,
}

/// The certificate without a successor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Current {
    /// Its serial.
    pub serial: Serial,
    /// Who signed it, as the store calls issuers.
    pub issuer: String,
    /// Who ordered it.
    pub account: Option<AccountId>,
    /// Its beginning.
    pub not_before: Timestamp,
    /// Its end.
    pub not_after: Timestamp,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When its client first fetched it.
    pub downloaded_at: Option<Timestamp>,
    /// When clients are told to renew it.
    pub window: Window,
}

/// A certificate that must not be trusted any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// Its serial.
    pub serial: Serial,
    /// Since when.
    pub at: Timestamp,
}

/// An order for the names.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// Which order.
    pub order: OrderId,
    /// When it was made.
    pub at: Timestamp,
    /// What became of it.
    pub outcome: Outcome,
    /// Why it failed: the deciding validation, with whom we asked and what was answered.
    pub failure: Option<Failure>,
    /// What the client was told, when the order failed.
    pub problem: Option<Problem>,
}

/// What became of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Nothing yet.
    Open,
    /// A certificate.
    Issued,
    /// No certificate.
    Failed,
}

/// Failed orders in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// How many.
    pub count: u32,
    /// When the first of them was made.
    pub since: Option<Timestamp>,
}

/// What one address of a target serves, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// `name:port`.
    pub target: String,
    /// Which address; none when the name has none.
    pub address: Option<SocketAddr>,
    /// What is to be thought of it.
    pub verdict: Verdict,
    /// When it was first found so, without a break.
    pub since: Timestamp,
    /// When it was last looked at.
    pub at: Timestamp,
    /// How many times in a row it was found so.
    pub samples: u32,
    /// The serial that was served.
    pub serial: Option<String>,
    /// The SHA-256 of the key that was served, in hexadecimal.
    pub spki: Option<String>,
    /// The end of the certificate that was served.
    pub not_after: Option<Timestamp>,
    /// The product that puts such certificates in place, or the issuer's name, made harmless.
    pub product: Option<String>,
    /// What was found, in one sentence.
    pub detail: String,
}

/// What the operator said about a set of names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Care {
    /// Who looks after it.
    pub owner: Option<String>,
    /// No alert about it until then, and why.
    pub muted: Option<Mute>,
    /// It is not expected to renew any more, since then; an order takes that back.
    pub forgotten_at: Option<Timestamp>,
    /// Thresholds of its own, where they differ from the configured ones.
    pub thresholds: Option<Thresholds>,
}

/// A time without alerts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mute {
    /// Until when.
    pub until: Timestamp,
    /// Why.
    pub reason: String,
}

impl Served {
    /// The target without the name that was asked for, where that is another one: `host:port`.
    pub fn place(&self) -> &str {
        self.target.split('#').next().unwrap_or_default()
    }

    /// The host of the target; an address without brackets.
    pub fn host(&self) -> &str {
        let place = self.place();
        place.rsplit_once(':').map_or(place, |(host, _)| host).trim_matches(['[', ']'])
    }
}

impl Lineage {
    /// What it is called in a table and in an alert: the first name, and how many more.
    pub fn title(&self) -> String {
        title(&self.names)
    }

    /// What it is called where the word must be the same for ever and its alone.
    pub fn key(&self) -> String {
        key(&self.names)
    }
}

/// The first name, and how many more there are.
pub fn title(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [name] => name.clone(),
        [name, more @ ..] => format!("{name} +{}", more.len()),
    }
}

/// The only name; of several the first, their number, and eight hexadecimal digits of the SHA-256 of all, joined by commas.
pub fn key(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [name] => name.clone(),
        [name, more @ ..] => {
            let digest = sha256(names.join(",").as_bytes());
            format!("{name}+{}~{}", more.len(), hex(&digest[..4]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_tells_sets_apart_that_begin_alike() {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let (one, two, other) = (set(&["a.lan"]), set(&["a.lan", "b.lan"]), set(&["a.lan", "c.lan"]));
        assert_eq!(key(&one), "a.lan");
        assert!(key(&two).starts_with("a.lan+1~") && key(&two) != key(&other), "{}", key(&two));
        assert_eq!([title(&one), title(&two)], ["a.lan", "a.lan +1"]);
    }
}
