//! What is to be thought of what an address shows. Pure: what was shown, who our issuers are and what is known of the
//! serial go in, a verdict with a sentence comes out. In order: which key signed it, is it known, is it revoked, is it
//! its time, is it for this name, is there a newer one, is its chain whole. A certificate is ours by the key that signed
//! it and by being, octet by octet, the one that was issued under its serial; nothing else makes it `ok`.

mod ours;
mod theirs;
mod whole;

use acme::identifier::Identifier;
use acme::problem::plain;
use acme::renewal::{State, Thresholds, state_with};
use acme::severity::Severity;
use acme::time::Timestamp;
use acme::verdict::Verdict;

use super::authority::{Authority, Public};
use super::facts::Facts;
use super::look::{Outcome, Shown};
use super::target::{Expect, Target};
use crate::possession::Possession;

pub use self::ours::grace;
pub use self::whole::{drift, together};

/// What is known beside what was shown.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The certificate that was issued under the serial that was shown.
    pub record: Option<Record>,
    /// The certificates without a successor that cover the name, whatever else they cover.
    pub current: Vec<Successor>,
    /// When a certificate that was not renewed is called late.
    pub thresholds: Thresholds,
    /// What the owner of the name wants instead.
    pub own: Option<Thresholds>,
}

impl Known {
    /// How a certificate without a successor stands, by the thresholds that hold for its name.
    fn state(&self, not_before: Timestamp, not_after: Timestamp, now: Timestamp) -> State {
        state_with(not_before, not_after, self.own, self.thresholds, now)
    }
}

/// A certificate that we issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The certificate itself, in DER.
    pub der: Vec<u8>,
    /// Which authority signed it, as [`Authority::id`].
    pub issuer: String,
    /// Its names in canonical form, sorted.
    pub names: Vec<String>,
    /// Whose it is.
    pub account: Option<String>,
    /// Since when it must not be trusted, if so.
    pub revoked_at: Option<Timestamp>,
    /// What took its place, if something did: the one that did, and not the newest of all.
    pub successor: Option<Successor>,
}

/// A certificate that may be served instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Successor {
    /// Its serial.
    pub serial: String,
    /// Its names in canonical form, sorted.
    pub names: Vec<String>,
    /// Whose it is.
    pub account: Option<String>,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// Its beginning.
    pub not_before: Timestamp,
    /// Its end.
    pub not_after: Timestamp,
    /// Whether it was revoked.
    pub is_revoked: bool,
}

/// What is to be thought of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The word.
    pub verdict: Verdict,
    /// How bad it is; nothing for what is well, and for what could not be looked at.
    pub severity: Option<Severity>,
    /// The product that puts such certificates in place, or the issuer's name.
    pub product: Option<String>,
    /// What was found, in one sentence, with what would help.
    pub detail: String,
}

/// Judges what an address of a target shows.
pub fn judge(
    target: &Target,
    outcome: &Outcome,
    authorities: &[Authority],
    public: &Public,
    known: &Known,
    now: Timestamp,
) -> Judgement {
    let finding = match outcome {
        Outcome::Shown(shown) => {
            let case = Case { target, shown, name: target.covered(), authorities, public, known, now };
            let judgement = case.judge();
            return Judgement { detail: plain(&(judgement.detail + &remarks(shown)), DETAIL), ..judgement };
        }
        Outcome::Refused | Outcome::Silent(_) if target.expect == Expect::Nothing => {
            found(Verdict::Ok, "nothing answers there, as is expected".to_owned())
        }
        Outcome::Refused => found(
            Verdict::TcpRefused,
            "refused the connection: nothing listens there; start the service, or see probe.skip".to_owned(),
        ),
        Outcome::Silent(words) => found(Verdict::TcpTimeout, words.clone()),
        Outcome::Alert(alert) => found(
            Verdict::NoCertAlert,
            format!(
                "ended the handshake with the alert {alert} before it showed a certificate: it has none for {} that it could use",
                target.covered()
            ),
        ),
        Outcome::NotTls(began) => found(Verdict::NotTls, not_tls(began.as_deref())),
        Outcome::StarttlsRefused(words) => found(
            Verdict::StarttlsRefused,
            format!(
                "does not offer STARTTLS ({}); give the service a certificate and turn TLS on",
                plain(words, WORDS)
            ),
        ),
        Outcome::OldTls(words) => {
            found(Verdict::TlsUnsupported, format!("{words}; allow TLS 1.2 or 1.3 in the service"))
        }
        Outcome::Failed(words) => found(Verdict::ProbeError, words.clone()),
    };
    let is_due = known
        .current
        .iter()
        .any(|it| !it.is_revoked && known.state(it.not_before, it.not_after, now) >= State::Due);
    let severity = match finding.verdict {
        Verdict::TcpRefused | Verdict::TcpTimeout if is_due => Some(Severity::Warning),
        verdict => severity(verdict),
    };
    Judgement { severity, detail: plain(&finding.detail, DETAIL), ..finding }
}

/// That a name has no address, in the sentence of the look-up.
pub fn no_address(target: &Target, why: &str) -> Judgement {
    if target.expect == Expect::Nothing {
        return found(Verdict::Ok, "has no address, as is expected".to_owned());
    }
    let why = format!("{}; renewals will fail by this too", plain(why, DETAIL - 40));
    found(Verdict::DnsFail, why)
}

/// How bad a verdict is that does not depend on how much of a life is used.
pub fn severity(verdict: Verdict) -> Option<Severity> {
    match verdict {
        Verdict::Ok | Verdict::ProbeError => None,
        Verdict::OkPrevious | Verdict::TcpRefused | Verdict::TcpTimeout => Some(Severity::Info),
        Verdict::StaleNotReloaded
        | Verdict::Expiring
        | Verdict::ForeignIssuer
        | Verdict::WrongLineage
        | Verdict::ChainIncomplete
        | Verdict::ChainWrong
        | Verdict::MixedBackends
        | Verdict::TlsUnsupported
        | Verdict::DnsFail
        | Verdict::AddressDrift => Some(Severity::Warning),
        Verdict::Expired
        | Verdict::NotYetValid
        | Verdict::FallbackCert
        | Verdict::ImpostorIssuer
        | Verdict::UnknownSerial
        | Verdict::RevokedServed
        | Verdict::SanMismatch
        | Verdict::NoCertAlert
        | Verdict::NotTls
        | Verdict::StarttlsRefused => Some(Severity::Critical),
    }
}

/// A certificate that was shown, and everything that it is judged by.
struct Case<'a> {
    target: &'a Target,
    shown: &'a Shown,
    /// What it is to cover.
    name: Identifier,
    authorities: &'a [Authority],
    public: &'a Public,
    known: &'a Known,
    now: Timestamp,
}

impl Case<'_> {
    fn judge(&self) -> Judgement {
        let leaf = self.shown.chain.first().map_or(&[][..], Vec::as_slice);
        let Ok(facts) = Facts::read(leaf) else {
            return found(
                Verdict::FallbackCert,
                "shows a certificate that cannot be read, and that is none of ours".to_owned(),
            );
        };
        let judgement = match self.authorities.iter().find(|authority| authority.signed(leaf)) {
            Some(authority) => self.ours(leaf, &facts, authority),
            None => self.theirs(&facts),
        };
        let product = judgement.product.unwrap_or_else(|| facts.issuer_name.clone());
        Judgement { product: Some(product), ..judgement }
    }
}

fn found(verdict: Verdict, detail: String) -> Judgement {
    Judgement { verdict, severity: severity(verdict), product: None, detail }
}

/// What is to be said beside the judgement.
fn remarks(shown: &Shown) -> String {
    let mut remarks = String::new();
    let is_old =
        shown.chain.first().and_then(|leaf| Facts::read(leaf).ok()).is_some_and(|leaf| leaf.version < 3);
    if is_old {
        remarks.push_str(" (X.509 v1)");
    }
    if shown.wants_client_certificate {
        remarks.push_str(" (wants a certificate of its client)");
    }
    if shown.possession == Possession::Unproven {
        remarks.push_str(" (it was not seen to hold the key)");
    }
    remarks
}

fn not_tls(began: Option<&str>) -> String {
    let Some(began) = began else {
        return "hung up without a word when TLS was begun; see the service's configuration".to_owned();
    };
    let what = match began {
        http if http.starts_with("HTTP/") || http.starts_with('<') => "plain HTTP: turn TLS on at this port",
        text if text.starts_with("220") => {
            "a mail or FTP server in the clear: set starttls = \"smtp\" for the target"
        }
        text if text.starts_with("* OK") => "IMAP in the clear: set starttls = \"imap\" for the target",
        text if text.starts_with("+OK") => "POP3 in the clear: set starttls = \"pop3\" for the target",
        text if text.starts_with("SSH-") => "SSH: it is the wrong port",
        _ => "no TLS: see the service's configuration",
    };
    format!("answered '{}', which is {what}", plain(began, 40))
}

/// Enough of a serial to know it again.
fn short(serial: &str) -> String {
    serial.chars().take(16).collect()
}

fn some(names: &[String]) -> String {
    match names {
        [first, _, ..] => format!("{first} and {} more", names.len() - 1),
        _ => names.join(""),
    }
}

/// From `earlier` to `later`, in the one unit that says enough.
fn span(later: Timestamp, earlier: Timestamp) -> String {
    let seconds = later.seconds_since(earlier).max(0);
    match seconds {
        172_800.. => format!("{} days", seconds / 86_400),
        7_200.. => format!("{} hours", seconds / 3_600),
        _ => format!("{} minutes", seconds / 60),
    }
}

const DETAIL: usize = 300;
const WORDS: usize = 120;

#[cfg(test)]
mod tests;
