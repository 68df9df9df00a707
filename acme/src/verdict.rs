//! What is to be thought of the certificate that an address really serves. `probe` comes to a verdict, `store` keeps it,
//! `watch` makes an alert of it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The word for what an address serves. Stable: it is in `--json`, in logs and in metric labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The newest of its lineage, for this name, with its chain.
    Ok,
    /// The one before the newest, which was issued a moment ago.
    OkPrevious,
    /// The one before the newest, long after the newest was issued: the service was not reloaded.
    StaleNotReloaded,
    /// Ours and the newest, and overdue.
    Expiring,
    /// Its time is over.
    Expired,
    /// Its time has not begun.
    NotYetValid,
    /// Not signed by us: self-signed, or by a product that puts something in place until a certificate comes.
    FallbackCert,
    /// It names our issuer, and another key signed it.
    ImpostorIssuer,
    /// Our key signed it, and the store knows nothing of it.
    UnknownSerial,
    /// We revoked it.
    RevokedServed,
    /// Another authority signed it.
    ForeignIssuer,
    /// Ours, for other names.
    SanMismatch,
    /// Ours, for this name among others, while the name has a newer certificate of its own.
    WrongLineage,
    /// Ours, without the intermediate.
    ChainIncomplete,
    /// Ours, with an intermediate that did not sign it.
    ChainWrong,
    /// The addresses of the name serve different things.
    MixedBackends,
    /// The handshake ended with an alert before a certificate was shown.
    NoCertAlert,
    /// Something answers, but not in TLS.
    NotTls,
    /// The protocol was spoken, and STARTTLS not offered.
    StarttlsRefused,
    /// Only versions of TLS that nobody should speak any more.
    TlsUnsupported,
    /// The name has no address, says the resolver.
    DnsFail,
    /// The name leads elsewhere than it did when it was validated, or than its pin says.
    AddressDrift,
    /// Nothing listens there.
    TcpRefused,
    /// Nobody answers there.
    TcpTimeout,
    /// We could not look.
    ProbeError,
}

impl Verdict {
    /// Every one.
    pub const ALL: &'static [Self] = &[
        Self::Ok,
        Self::OkPrevious,
        Self::StaleNotReloaded,
        Self::Expiring,
        Self::Expired,
        Self::NotYetValid,
        Self::FallbackCert,
        Self::ImpostorIssuer,
        Self::UnknownSerial,
        Self::RevokedServed,
        Self::ForeignIssuer,
        Self::SanMismatch,
        Self::WrongLineage,
        Self::ChainIncomplete,
        Self::ChainWrong,
        Self::MixedBackends,
        Self::NoCertAlert,
        Self::NotTls,
        Self::StarttlsRefused,
        Self::TlsUnsupported,
        Self::DnsFail,
        Self::AddressDrift,
        Self::TcpRefused,
        Self::TcpTimeout,
        Self::ProbeError,
    ];

    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::OkPrevious => "ok_previous",
            Self::StaleNotReloaded => "stale_not_reloaded",
            Self::Expiring => "expiring",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::FallbackCert => "fallback_cert",
            Self::ImpostorIssuer => "impostor_issuer",
            Self::UnknownSerial => "unknown_serial",
            Self::RevokedServed => "revoked_served",
            Self::ForeignIssuer => "foreign_issuer",
            Self::SanMismatch => "san_mismatch",
            Self::WrongLineage => "wrong_lineage",
            Self::ChainIncomplete => "chain_incomplete",
            Self::ChainWrong => "chain_wrong",
            Self::MixedBackends => "mixed_backends",
            Self::NoCertAlert => "no_cert_alert",
            Self::NotTls => "not_tls",
            Self::StarttlsRefused => "starttls_refused",
            Self::TlsUnsupported => "tls_unsupported",
            Self::DnsFail => "dns_fail",
            Self::AddressDrift => "address_drift",
            Self::TcpRefused => "tcp_refused",
            Self::TcpTimeout => "tcp_timeout",
            Self::ProbeError => "probe_error",
        }
    }

    /// Whether it is about the way to the host alone, and says nothing of the certificate that is served there.
    pub fn is_about_reach(self) -> bool {
        matches!(
            self,
            Self::DnsFail | Self::AddressDrift | Self::TcpRefused | Self::TcpTimeout | Self::ProbeError
        )
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|verdict| verdict.as_str() == word)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_back_and_is_the_one_in_json() {
        for verdict in Verdict::ALL {
            assert_eq!(Verdict::parse(verdict.as_str()), Some(*verdict));
            assert_eq!(serde_json::to_value(verdict).unwrap(), verdict.as_str());
        }
    }
}
