//! Why a validation failed, with the evidence: whom we asked, what was answered, which address we dialled, what came
//! back, and how long each step took. One type carries it to the client, the log, the store and `ca-ctl`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::problem::{Kind, Problem, plain};

/// How far a validation came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Looking the name up.
    Dns,
    /// Judging the address: is it one that we may dial?
    Target,
    /// Opening a connection.
    Connect,
    /// Agreeing on TLS: for TLS-ALPN-01, or after a redirect to https.
    Tls,
    /// Judging the certificate that was shown for TLS-ALPN-01.
    Certificate,
    /// Asking and being answered.
    Http,
    /// Judging the TXT records that were found.
    Record,
    /// Looking for CAA records, and judging them.
    Caa,
}

/// What went wrong. The word is stable: it is in logs, in `--json`, and in metric labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// The name does not exist, says the name server.
    Nxdomain,
    /// The name exists, but has no address.
    Nodata,
    /// The name server could not find out.
    Servfail,
    /// Nobody answered in time; the phase says who was waited for.
    Timeout,
    /// The name server refuses to answer us, or nothing listens at the address and port.
    Refused,
    /// There is no way to the address.
    Unreachable,
    /// The connection broke.
    Reset,
    /// TLS could not be agreed on.
    Tls,
    /// The answer could not be understood.
    Malformed,
    /// Policy does not let us dial the address, CAA does not let us issue, or a record speaks for another account.
    Forbidden,
    /// A redirect that we do not follow: a circle, too many, a bad scheme, port or host.
    Redirect,
    /// An HTTP status other than 200.
    Status,
    /// The right answer in form with the wrong thing in it: a body, a TXT record, a certificate, a protocol.
    Mismatch,
}

/// One look-up: who was asked, and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lookup {
    /// The name that was looked up.
    pub name: String,
    /// The record type, `A`, `AAAA`, `TXT` or `CAA`; `any` when a pin answered for both families of address.
    pub record: String,
    /// `pin`, `literal` for an IP identifier, or the server as configured.
    pub server: String,
    /// `NOERROR`, `NXDOMAIN`, `SERVFAIL`, `REFUSED`, `timeout`…
    pub answer: String,
    /// The addresses in the answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<IpAddr>,
    /// The aliases in the answer that lead from the name to its end, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// What stands in other records, made harmless and cut short: the first few.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// How long it took, in milliseconds.
    pub millis: u64,
}

impl Lookup {
    /// The answer, after the aliases to whose end it belongs: `alias of a.lan, b.lan: NODATA`.
    pub fn said(&self) -> String {
        match self.aliases.as_slice() {
            [] => self.answer.clone(),
            aliases => format!("alias of {}: {}", aliases.join(", "), self.answer),
        }
    }
}

/// One connection: where to, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dial {
    /// The URL that was asked for.
    pub url: String,
    /// The address that was dialled.
    pub address: SocketAddr,
    /// The HTTP status, when one came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What went wrong in words, when something did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How long it took, in milliseconds.
    pub millis: u64,
}

/// Everything that one attempt did, in order. Kept for a success as well: it is the audit's evidence.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Each look-up.
    #[serde(default)]
    pub lookups: Vec<Lookup>,
    /// Each connection.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dials: Vec<Dial>,
}

/// A failed attempt at a validation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// How far it came.
    pub phase: Phase,
    /// What went wrong.
    pub reason: Reason,
    /// The identifier under validation.
    pub name: String,
    /// What went wrong in one sentence, with the values: never a key authorization.
    pub detail: String,
    /// The first bytes of an answer that was not the right one, made harmless.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_bytes: Option<String>,
    /// What was done.
    #[serde(flatten)]
    pub evidence: Evidence,
}

impl Reason {
    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nxdomain => "nxdomain",
            Self::Nodata => "nodata",
            Self::Servfail => "servfail",
            Self::Timeout => "timeout",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Reset => "reset",
            Self::Tls => "tls",
            Self::Malformed => "malformed",
            Self::Forbidden => "forbidden",
            Self::Redirect => "redirect",
            Self::Status => "status",
            Self::Mismatch => "mismatch",
        }
    }
}

impl Phase {
    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Target => "target",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Certificate => "certificate",
            Self::Http => "http",
            Self::Record => "record",
            Self::Caa => "caa",
        }
    }
}

impl Failure {
    /// Whether the same attempt may well succeed a little later. A definite answer is believed at once, RFC 8555 8.2
    /// notwithstanding: a name that does not exist will be asked for again by the client's own schedule.
    pub fn is_transient(&self) -> bool {
        match self.reason {
            Reason::Servfail
            | Reason::Timeout
            | Reason::Refused
            | Reason::Unreachable
            | Reason::Reset
            | Reason::Tls => true,
            Reason::Status => self.status().is_some_and(|s| s >= 500),
            Reason::Malformed => matches!(self.phase, Phase::Dns | Phase::Caa),
            Reason::Nxdomain | Reason::Nodata | Reason::Forbidden | Reason::Redirect | Reason::Mismatch => {
                false
            }
        }
    }

    /// The HTTP status of the last answer, when there was one.
    pub fn status(&self) -> Option<u16> {
        self.evidence.dials.last().and_then(|dial| dial.status)
    }

    /// The address that was dialled last.
    pub fn address(&self) -> Option<SocketAddr> {
        self.evidence.dials.last().map(|dial| dial.address)
    }

    /// The look-up that decided: the last that brought no address, else the last.
    pub fn lookup(&self) -> Option<&Lookup> {
        let lookups = &self.evidence.lookups;
        match self.phase {
            Phase::Dns => lookups.iter().rev().find(|l| l.addresses.is_empty()).or(lookups.last()),
            Phase::Record | Phase::Caa => lookups.last(),
            _ => lookups.iter().rev().find(|l| !l.addresses.is_empty()).or(lookups.last()),
        }
    }

    /// What the client is told.
    pub fn to_problem(&self) -> Problem {
        let kind = match (self.phase, self.reason) {
            (Phase::Dns, _) => Kind::Dns,
            (Phase::Caa, Reason::Forbidden) => Kind::Caa,
            (Phase::Caa, _) => Kind::Dns,
            // draft-ietf-acme-dns-persist-02 9.3.1.
            (Phase::Record, Reason::Forbidden) => Kind::Unauthorized,
            (Phase::Record, Reason::Malformed) => Kind::Malformed,
            // RFC 8737 names no types; Boulder's are these.
            (Phase::Certificate, _) => Kind::Unauthorized,
            (Phase::Tls, _) => Kind::Tls,
            (_, Reason::Status | Reason::Mismatch) => Kind::IncorrectResponse,
            (_, Reason::Tls) => Kind::Tls,
            (_, Reason::Forbidden) => Kind::RejectedIdentifier,
            _ => Kind::Connection,
        };
        Problem::new(kind, self.to_string())
    }
}

/// The whole sentence: what went wrong, the server that was asked with its answer, and the address that was dialled.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({} {})", self.name, self.detail, self.phase.as_str(), self.reason.as_str())?;
        if !matches!(self.phase, Phase::Dns | Phase::Record | Phase::Caa)
            && let Some(lookup) = self.lookup()
        {
            write!(f, "; address from {}", lookup.server)?;
        }
        if let Some(bytes) = &self.first_bytes {
            write!(f, "; it began with '{}'", plain(bytes, FIRST_BYTES))?;
        }
        Ok(())
    }
}

/// How many characters of a wrong answer are shown.
pub const FIRST_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(phase: Phase, reason: Reason) -> Failure {
        let lookup = |server: &str, answer: &str, addresses: Vec<IpAddr>| Lookup {
            name: "vault.lan".into(),
            record: "A".into(),
            server: server.into(),
            answer: answer.into(),
            addresses,
            millis: 12,
            ..Lookup::default()
        };
        Failure {
            phase,
            reason,
            name: "vault.lan".into(),
            detail: "10.0.0.53 answered SERVFAIL".into(),
            first_bytes: None,
            evidence: Evidence {
                lookups: vec![
                    lookup("10.0.0.53", "SERVFAIL", vec![]),
                    lookup("10.0.0.54", "NOERROR", vec!["10.0.0.21".parse().unwrap()]),
                ],
                dials: vec![],
            },
        }
    }

    #[test]
    fn the_deciding_lookup_is_the_one_that_failed_when_dns_failed() {
        assert_eq!(failure(Phase::Dns, Reason::Servfail).lookup().unwrap().server, "10.0.0.53");
        assert_eq!(failure(Phase::Connect, Reason::Refused).lookup().unwrap().server, "10.0.0.54");
    }

    #[test]
    fn the_client_reads_who_was_asked_and_what_was_answered() {
        let problem = failure(Phase::Dns, Reason::Servfail).to_problem();
        assert_eq!(problem.kind, Kind::Dns);
        assert!(problem.detail.contains("10.0.0.53 answered SERVFAIL"), "{}", problem.detail);
        assert!(problem.detail.contains("vault.lan"));
    }

    #[test]
    fn a_server_error_may_pass_and_a_wrong_answer_does_not() {
        let mut status = failure(Phase::Http, Reason::Status);
        for (code, transient) in [(404, false), (500, true), (503, true)] {
            status.evidence.dials = vec![Dial {
                url: "http://vault.lan/".into(),
                address: "10.0.0.21:80".parse().unwrap(),
                status: Some(code),
                error: None,
                millis: 3,
            }];
            assert_eq!(status.is_transient(), transient, "{code}");
        }
        assert!(failure(Phase::Dns, Reason::Servfail).is_transient());
        assert!(failure(Phase::Connect, Reason::Timeout).is_transient());
        assert!(!failure(Phase::Dns, Reason::Nxdomain).is_transient());
        assert!(!failure(Phase::Http, Reason::Mismatch).is_transient());
    }

    #[test]
    fn each_way_to_fail_has_its_problem() {
        for (phase, reason, kind) in [
            (Phase::Dns, Reason::Nxdomain, Kind::Dns),
            (Phase::Target, Reason::Forbidden, Kind::RejectedIdentifier),
            (Phase::Connect, Reason::Refused, Kind::Connection),
            (Phase::Tls, Reason::Tls, Kind::Tls),
            (Phase::Tls, Reason::Timeout, Kind::Tls),
            (Phase::Tls, Reason::Mismatch, Kind::Tls),
            (Phase::Certificate, Reason::Mismatch, Kind::Unauthorized),
            (Phase::Http, Reason::Status, Kind::IncorrectResponse),
            (Phase::Http, Reason::Mismatch, Kind::IncorrectResponse),
            (Phase::Http, Reason::Timeout, Kind::Connection),
            (Phase::Record, Reason::Mismatch, Kind::IncorrectResponse),
            (Phase::Record, Reason::Forbidden, Kind::Unauthorized),
            (Phase::Record, Reason::Malformed, Kind::Malformed),
            (Phase::Caa, Reason::Forbidden, Kind::Caa),
            (Phase::Caa, Reason::Servfail, Kind::Dns),
        ] {
            assert_eq!(failure(phase, reason).to_problem().kind, kind, "{phase:?} {reason:?}");
        }
        assert!(failure(Phase::Caa, Reason::Malformed).is_transient());
        assert!(!failure(Phase::Record, Reason::Malformed).is_transient());
    }

    #[test]
    fn a_failure_survives_the_store() {
        let before = failure(Phase::Dns, Reason::Nxdomain);
        let json = serde_json::to_string(&before).unwrap();
        assert_eq!(serde_json::from_str::<Failure>(&json).unwrap(), before);
    }
}
