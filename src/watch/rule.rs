//! The rules as data: when each holds, how bad that is, under which key, and how often it is told again. What they mean
//! in code is in [`super::rules`]; `ca-ctl alerts rules` shows this table, and the README lists it.

use std::fmt;
use std::time::Duration;

use acme::severity::Severity;
use serde::{Deserialize, Serialize};

/// What there is to be told of, from the cause of many to the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Rule {
    /// No validation succeeds.
    CaValidationOutage,
    /// A key cannot be used.
    SignerFailing,
    /// The store cannot be written to.
    StoreTrouble,
    /// The server's own certificate.
    CaServerCert,
    /// An issuer's or the root's end is near.
    CaChainExpiring,
    /// A revocation list is old.
    CrlStale,
    /// The clock is wrong, or others' are.
    ClockSuspect,
    /// A name server does not answer.
    ResolverUnhealthy,
    /// Alerts do not get out.
    AlertDeliveryFailing,
    /// Nobody looks at what is served.
    ProberStalled,
    /// Something that is signed as if by us, or that we revoked, is served.
    ServedUntrusted,
    /// A placeholder, or nothing, is served.
    ServedFallback,
    /// An old certificate is served, though a newer one was issued.
    ServedStale,
    /// Something else is wrong with what is served.
    ServedWrong,
    /// Orders of a set of names fail.
    OrderFailing,
    /// A renewal did not come.
    RenewalLate,
    /// The same; somebody should look.
    RenewalOverdue,
    /// The same; somebody must look.
    RenewalCritical,
    /// The same; too late.
    CertExpired,
    /// A client that used to come does not come any more.
    ClientSilent,
    /// A server that should renew cannot be reached.
    TargetUnreachable,
    /// A name leads elsewhere than it did.
    ResolverDrift,
    /// A name had its first certificate.
    NewNameIssued,
    /// A name seems to be gone for good.
    NameRetired,
}

/// When something is told again that was told before and still holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// Never.
    Never,
    /// In each week's digest.
    Digest,
    /// After so many hours each, in turn; then every so many, or in the digest.
    Hours(&'static [u64], Option<u64>),
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// When it holds.
    pub when: &'static str,
    /// How bad that is, from the least to the worst.
    pub severities: &'static [Severity],
    /// Under which key it is kept.
    pub key: &'static str,
}

impl Rule {
    /// Every one.
    pub const ALL: &'static [Self] = &[
        Self::CaValidationOutage,
        Self::SignerFailing,
        Self::StoreTrouble,
        Self::CaServerCert,
        Self::CaChainExpiring,
        Self::CrlStale,
        Self::ClockSuspect,
        Self::ResolverUnhealthy,
        Self::AlertDeliveryFailing,
        Self::ProberStalled,
        Self::ServedUntrusted,
        Self::ServedFallback,
        Self::ServedStale,
        Self::ServedWrong,
        Self::OrderFailing,
        Self::RenewalLate,
        Self::RenewalOverdue,
        Self::RenewalCritical,
        Self::CertExpired,
        Self::ClientSilent,
        Self::TargetUnreachable,
        Self::ResolverDrift,
        Self::NewNameIssued,
        Self::NameRetired,
    ];

    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CaValidationOutage => "CaValidationOutage",
            Self::SignerFailing => "SignerFailing",
            Self::StoreTrouble => "StoreTrouble",
            Self::CaServerCert => "CaServerCert",
            Self::CaChainExpiring => "CaChainExpiring",
            Self::CrlStale => "CrlStale",
            Self::ClockSuspect => "ClockSuspect",
            Self::ResolverUnhealthy => "ResolverUnhealthy",
            Self::AlertDeliveryFailing => "AlertDeliveryFailing",
            Self::ProberStalled => "ProberStalled",
            Self::ServedUntrusted => "ServedUntrusted",
            Self::ServedFallback => "ServedFallback",
            Self::ServedStale => "ServedStale",
            Self::ServedWrong => "ServedWrong",
            Self::OrderFailing => "OrderFailing",
            Self::RenewalLate => "RenewalLate",
            Self::RenewalOverdue => "RenewalOverdue",
            Self::RenewalCritical => "RenewalCritical",
            Self::CertExpired => "CertExpired",
            Self::ClientSilent => "ClientSilent",
            Self::TargetUnreachable => "TargetUnreachable",
            Self::ResolverDrift => "ResolverDrift",
            Self::NewNameIssued => "NewNameIssued",
            Self::NameRetired => "NameRetired",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|rule| rule.as_str() == word)
    }

    /// Its row of the table.
    pub fn row(self) -> Row {
        use Severity::{Critical, Info, Urgent, Warning};
        let (when, severities, key): (_, &'static [Severity], _) = match self {
            Self::CaValidationOutage => (
                "3 sets of names fail for one reason within 30 min, or 2 by one name server, and none succeeds",
                &[Urgent],
                "outage:{reason}:{resolver}",
            ),
            Self::SignerFailing => ("a key cannot be read or does not sign", &[Urgent], "signer"),
            Self::StoreTrouble => (
                "a change could not be written; or less than a tenth of its disk is free, or 1 GiB of a large one",
                &[Warning, Urgent],
                "store:{kind}",
            ),
            Self::CaServerCert => (
                "the own listener shows a bad certificate, or 80 % of it are used; or it was not to be renewed for 1 h",
                &[Urgent],
                "ca:server",
            ),
            Self::CaChainExpiring => (
                "an issuer or the root ends within the longest profile and 30 d; within 14 d",
                &[Warning, Critical],
                "ca:{key id}",
            ),
            Self::CrlStale => (
                "a list is past two thirds of its period; past its next update",
                &[Warning, Critical],
                "crl:{issuer}",
            ),
            Self::ClockSuspect => (
                "not in step for 10 min, a step over 30 s, or certificates not yet valid; over 5 min",
                &[Warning, Urgent],
                "clock",
            ),
            Self::ResolverUnhealthy => (
                "a name server failed 3 times within 5 min, for all names that it must know",
                &[Critical],
                "resolver:{address}",
            ),
            Self::AlertDeliveryFailing => {
                ("an alert waits for 15 min, or the sink refuses", &[Critical], "sink:{name}")
            }
            Self::ProberStalled => ("no pass for 3 intervals", &[Warning], "prober"),
            Self::ServedUntrusted => {
                ("impostor_issuer, unknown_serial or revoked_served, twice", &[Urgent], "sec:{target}:{spki}")
            }
            Self::ServedFallback => (
                "fallback_cert or no_cert_alert, twice or after a failed order",
                &[Urgent],
                "served:{target}",
            ),
            Self::ServedStale => (
                "stale_not_reloaded, twice; with 7 % of its life left; expired",
                &[Warning, Critical, Urgent],
                "served:{target}",
            ),
            Self::ServedWrong => (
                "chain_*, foreign_issuer, wrong_lineage, mixed_backends, tls_unsupported, twice; san_mismatch, \
                 not_tls, starttls_refused",
                &[Warning, Critical],
                "served:{target}",
            ),
            Self::OrderFailing => (
                "2 failed orders in a row, 1 without a valid certificate; 80 % used or a fallback served",
                &[Warning, Critical],
                "order:{lineage}",
            ),
            Self::RenewalLate => ("the window is over by a turn of the client", &[Info], "renew:{lineage}"),
            Self::RenewalOverdue => {
                ("80 % used; of lifetimes over 150 d, 30 d left", &[Warning], "renew:{lineage}")
            }
            Self::RenewalCritical => (
                "93 % used or 2 tries of the client left; of lifetimes over 150 d, 10 d left",
                &[Critical],
                "renew:{lineage}",
            ),
            Self::CertExpired => {
                ("expired without a successor; still served", &[Warning, Urgent], "renew:{lineage}")
            }
            Self::ClientSilent => (
                "no poll and no order for 3 usual distances and 36 h; renewal due",
                &[Info, Warning],
                "client:{lineage}",
            ),
            Self::TargetUnreachable => {
                ("dns_fail, tcp_refused or tcp_timeout for 30 min, renewal due", &[Warning], "reach:{target}")
            }
            Self::ResolverDrift => {
                ("pin, resolver and last validated address disagree", &[Warning], "drift:{name}")
            }
            Self::NewNameIssued => {
                ("the first certificate of a name; outside the usual zones", &[Info, Warning], "new:{name}")
            }
            Self::NameRetired => {
                ("expired, no poll, no order, and unreachable for 7 d", &[Info], "retired:{lineage}")
            }
        };
        Row { when, severities, key }
    }

    /// When it is told again, while it holds with this severity.
    pub fn again(self, severity: Severity) -> Again {
        if severity == Severity::Info {
            return if self.is_told_once() { Again::Never } else { Again::Digest };
        }
        let is_bad = severity >= Severity::Critical;
        match self {
            Self::CaValidationOutage => Again::Hours(&[1, 1, 1], Some(6)),
            Self::SignerFailing => Again::Hours(&[], Some(1)),
            Self::CertExpired => Again::Hours(&[12, 12, 12], None),
            Self::CaServerCert
            | Self::ClockSuspect
            | Self::ResolverUnhealthy
            | Self::AlertDeliveryFailing
            | Self::ProberStalled
            | Self::ServedUntrusted
            | Self::ServedFallback
            | Self::RenewalCritical => Again::Hours(&[], Some(6)),
            Self::StoreTrouble | Self::OrderFailing => Again::Hours(&[], Some(if is_bad { 6 } else { 24 })),
            Self::CrlStale => Again::Hours(&[], Some(12)),
            Self::CaChainExpiring => Again::Hours(&[], Some(if is_bad { 24 } else { 7 * 24 })),
            Self::ServedStale
            | Self::ServedWrong
            | Self::RenewalLate
            | Self::RenewalOverdue
            | Self::TargetUnreachable => Again::Hours(&[], Some(24)),
            Self::ClientSilent => Again::Hours(&[], Some(72)),
            Self::ResolverDrift => Again::Hours(&[], Some(7 * 24)),
            Self::NewNameIssued | Self::NameRetired => Again::Never,
        }
    }

    /// Whether it tells of something that happened and is not to be undone: told once, and never told to be over.
    pub fn is_told_once(self) -> bool {
        matches!(self, Self::NewNameIssued | Self::NameRetired)
    }

    /// Whether it can lead to this one under the same key.
    pub(super) fn rises_to(self, other: Self) -> bool {
        const STEPS: [Rule; 4] =
            [Rule::RenewalLate, Rule::RenewalOverdue, Rule::RenewalCritical, Rule::CertExpired];
        let place = |rule| STEPS.iter().position(|step| *step == rule);
        matches!((place(self), place(other)), (Some(from), Some(to)) if to > from)
    }
}

impl Again {
    /// How long to wait for the next time, after it was told again so often; nothing when it goes to the digest or was
    /// told often enough.
    pub fn wait(self, times: u32) -> Option<Duration> {
        let Self::Hours(first, then) = self else { return None };
        let place = usize::try_from(times).unwrap_or(usize::MAX);
        let hours = first.get(place).copied().or(then)?;
        Some(Duration::from_secs(hours * 3_600))
    }

    /// Whether the digest tells it again.
    pub fn is_digest(self, times: u32) -> bool {
        match self {
            Self::Never => false,
            Self::Digest => true,
            Self::Hours(..) => self.wait(times).is_none(),
        }
    }
}

/// `1 h x3, then 6 h`.
impl fmt::Display for Again {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("never"),
            Self::Digest => f.write_str("digest"),
            Self::Hours([], then) => f.write_str(&hours(*then)),
            Self::Hours(first, then) => {
                write!(f, "{} x{}, then {}", hours(first.first().copied()), first.len(), hours(*then))
            }
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn hours(hours: Option<u64>) -> String {
    match hours {
        None => "digest".into(),
        Some(hours) if hours > 72 && hours % 24 == 0 => format!("{} d", hours / 24),
        Some(hours) => format!("{hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_back_and_every_severity_has_its_turn() {
        for rule in Rule::ALL {
            assert_eq!(Rule::parse(rule.as_str()), Some(*rule));
            assert_eq!(serde_json::to_value(rule).unwrap(), rule.as_str());
            let row = rule.row();
            assert!(row.severities.is_sorted() && !row.severities.is_empty(), "{rule}");
            for severity in row.severities {
                assert!(!rule.again(*severity).to_string().is_empty());
            }
        }
    }

    #[test]
    fn an_outage_is_told_again_three_times_an_hour_apart_and_then_every_six() {
        let again = Rule::CaValidationOutage.again(Severity::Urgent);
        let hours: Vec<u64> = (0..6).map(|n| again.wait(n).unwrap().as_secs() / 3_600).collect();
        assert_eq!(hours, [1, 1, 1, 6, 6, 6]);
        assert_eq!(again.to_string(), "1 h x3, then 6 h");
        assert!(Rule::CertExpired.again(Severity::Urgent).is_digest(3));
        assert!(
            Rule::RenewalLate.rises_to(Rule::CertExpired) && !Rule::CertExpired.rises_to(Rule::RenewalLate)
        );
    }
}
