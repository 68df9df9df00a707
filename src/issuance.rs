//! From a ready order to a kept certificate, and what becomes of it when the program is killed half-way.
//!
//! | step | what a crash after it leaves |
//! |---|---|
//! | 1 the serial is minted, the draft rehearsed and linted | nothing |
//! | 2 the intent is kept: serial, to-be-signed bytes, order `processing` | an intent that may or may not have been signed |
//! | 3 the CA's key signs | the same: the signature is in memory alone |
//! | 4 the certificate is kept, the order turns `valid` | everything |
//!
//! [`recover`] gives up an intent of step 2 or 3 under its serial, which is never used again, and issues the order anew
//! under another. So no order has two certificates, and no certificate exists that the store does not know.

use std::time::Duration;

use anyhow::Context as _;

use acme::cadence::{Cadence, IN_THE_TRAIL, too_short};
use acme::csr::CertificateRequest;
use acme::id::{AccountId, OrderId, Serial};
use acme::identifier::{Identifier, name_set};
use acme::problem::Problem;
use acme::renewal_info::CertificateId;
use acme::time::Timestamp;
use store::Store;
use store::audit::AuditEvent;
use store::certificate::{Certificate, CertificateStatus, Purpose};
use store::issuance::{Abandon, Intend, Issued as KeepIssued};
use store::order::Order;

use crate::audit;
use crate::ca::{Ca, Issuer, Template};
use crate::policy::Profile;

/// What is to be issued for an order.
pub struct Plan {
    /// The order, which is ready.
    pub order: OrderId,
    /// Whose it is.
    pub account: AccountId,
    /// Its names, canonical.
    pub names: Vec<Identifier>,
    /// When the certificate begins and ends, where the client asked.
    pub validity: Validity,
    /// What it is like.
    pub profile: Profile,
    /// The certificate that it takes the place of, as its order says (RFC 9773 5).
    pub replaces: Option<CertificateId>,
    /// The request, which was checked against the names.
    pub csr: CertificateRequest,
}

/// The dates that a client asked for, RFC 8555 7.1.3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Validity {
    /// `notBefore`.
    pub not_before: Option<Timestamp>,
    /// `notAfter`.
    pub not_after: Option<Timestamp>,
}

/// From when to when an issuer is good.
pub type Span = (Timestamp, Timestamp);

/// A certificate that was issued and kept.
#[derive(Debug)]
pub struct Issued {
    /// Its serial.
    pub serial: Serial,
    /// The certificate, DER.
    pub der: Vec<u8>,
    /// Which issuer signed it.
    pub issuer: String,
    /// What is above it, without the root, PEM.
    pub chain: String,
    /// Its end.
    pub not_after: Timestamp,
}

impl Validity {
    /// Judges what a client asked for. It is kept and issued exactly, or refused.
    ///
    /// # Errors
    /// `malformed`, with the dates that would do.
    pub fn asked(
        not_before: Option<Timestamp>,
        not_after: Option<Timestamp>,
        lifetime: Duration,
        issuer: Span,
        now: Timestamp,
    ) -> Result<Self, Problem> {
        let begin = not_before.unwrap_or(now);
        let (from, to) = (now.minus(BACKDATE).max(issuer.0), now.plus(AHEAD));
        if not_before.is_some() && (begin < from || begin > to) {
            return Err(Problem::malformed(format!(
                "notBefore {begin} is out of bounds; {from} to {to} would do"
            )));
        }
        let latest = begin.plus(lifetime).min(issuer.1);
        if let Some(end) = not_after
            && (end <= begin || end <= now || end > latest)
        {
            return Err(Problem::malformed(format!(
                "notAfter {end} is out of bounds; up to {latest} would do"
            )));
        }
        Ok(Self { not_before, not_after })
    }

    /// Judges once more what was accepted, just before it is issued: time has passed, and the issuer may be another.
    ///
    /// # Errors
    /// `malformed`: a certificate with exactly these dates cannot be had any more.
    pub fn still_fits(self, issuer: Span, now: Timestamp) -> Result<(), Problem> {
        let why = match self {
            Self { not_after: Some(end), .. } if end <= now => format!("the order's notAfter {end} is over"),
            Self { not_after: Some(end), .. } if end > issuer.1 => {
                format!("the order's notAfter {end} is beyond the end of today's issuer, {}", issuer.1)
            }
            Self { not_before: Some(begin), .. } if begin < issuer.0 => {
                format!(
                    "the order's notBefore {begin} is before the beginning of today's issuer, {}",
                    issuer.0
                )
            }
            _ => return Ok(()),
        };
        Err(Problem::malformed(format!("{why}; make a new order")))
    }

    /// The dates of a certificate: those that were asked for, else `lifetime` from now, a little backdated for clocks
    /// that lag, and never beyond the issuer's.
    fn dates(self, lifetime: Duration, issuer: &Issuer, now: Timestamp) -> (Timestamp, Timestamp) {
        let usual = now.minus(BACKDATE.min(lifetime / 50)).max(issuer.not_before());
        let begin = self.not_before.unwrap_or(usual);
        // RFC 5280 4.1.2.5: the last second counts, so 90 days end one second early.
        let end =
            self.not_after.unwrap_or_else(|| begin.plus(lifetime.saturating_sub(Duration::from_secs(1))));
        (begin, end.min(issuer.not_after()))
    }
}

/// Issues for an order. Answers after the certificate is kept.
///
/// # Errors
/// No issuer whose time it is; a draft that breaks a rule; a signature that could not be made; the store. The order
/// stays ready when nothing was intended, and is taken up again by [`recover`] when something was.
pub async fn issue(
    plan: &Plan,
    ca: &Ca,
    ca_issuers: Option<&str>,
    store: &Store,
    now: Timestamp,
) -> anyhow::Result<Issued> {
    let request = Request {
        order: Some(&plan.order),
        account: Some(&plan.account),
        names: &plan.names,
        common_name: plan.csr.common_name(),
        public_key: plan.csr.public_key_der(),
        spki: plan.csr.spki_sha256(),
        csr: Some((plan.csr.der(), plan.csr.thumbprint())),
        validity: plan.validity,
        lifetime: plan.profile.lifetime,
        client_auth: plan.profile.client_auth,
        replaces: plan.replaces.as_ref(),
        warning: warning(plan, store, now).await,
    };
    let issued = request.issue(ca, ca_issuers, store, now).await?;
    tracing::info!(
        order = %plan.order,
        account = %plan.account,
        serial = %issued.serial,
        names = name_set(&plan.names),
        until = %issued.not_after,
        "certificate issued"
    );
    Ok(issued)
}

/// Issues the server's own certificate: no order, and no need of its own services. That the issuer may certify the host
/// is judged with the configuration, and once more on the draft, as for every leaf.
///
/// # Errors
/// As [`issue`].
pub async fn issue_own(
    host: &Identifier,
    public_key: &[u8],
    lifetime: Duration,
    ca: &Ca,
    store: &Store,
    now: Timestamp,
) -> anyhow::Result<Issued> {
    let names = std::slice::from_ref(host);
    let request = Request {
        order: None,
        account: None,
        names,
        common_name: None,
        public_key,
        spki: acme::jwk::sha256(public_key),
        csr: None,
        validity: Validity::default(),
        lifetime,
        client_auth: false,
        replaces: None,
        warning: None,
    };
    let issued = request.issue(ca, None, store, now).await?;
    tracing::info!(serial = %issued.serial, names = %host, until = %issued.not_after, "own certificate issued");
    Ok(issued)
}

/// Takes up an order that was left `processing`: its intents are given up, and it is issued anew.
///
/// # Errors
/// As [`issue`]. The order stays `processing` and is taken up again later.
pub async fn recover(
    order: &Order,
    intents: &[Serial],
    profile: &Profile,
    ca: &Ca,
    ca_issuers: Option<&str>,
    store: &Store,
    now: Timestamp,
) -> anyhow::Result<Issued> {
    for serial in intents {
        abandon(serial, Some(&order.id), store, now).await?;
    }
    let names = order.canonical()?;
    let csr = order.csr.as_deref().context("an order that is processing has kept its CSR")?;
    let plan = Plan {
        order: order.id.clone(),
        account: order.account.clone(),
        names,
        validity: Validity { not_before: order.not_before, not_after: order.not_after },
        profile: profile.clone(),
        replaces: order.replaces.clone(),
        csr: CertificateRequest::parse(csr)?,
    };
    issue(&plan, ca, ca_issuers, store, now).await
}

/// Whether the lifetime is too short for what this client did before. Only short lives are looked at: longer ones leave
/// time to see a client that does not come, and the common issuance asks the store nothing more.
async fn warning(plan: &Plan, store: &Store, now: Timestamp) -> Option<serde_json::Value> {
    let end = plan.validity.not_after.map(|end| end.seconds_since(plan.validity.not_before.unwrap_or(now)));
    let asked = end.map(|seconds| Duration::from_secs(seconds.max(0).unsigned_abs()));
    let lifetime = asked.unwrap_or(plan.profile.lifetime);
    if lifetime >= LONG {
        return None;
    }
    let names = name_set(&plan.names);
    let past = match store.issued_before(&names, &plan.account).await {
        Ok(past) => past,
        // No reason not to issue.
        Err(error) => {
            tracing::warn!(%error, "the earlier certificates of a client cannot be read");
            return None;
        }
    };
    let Cadence { interval, distances, needed } = too_short(lifetime, &past, now)?;
    let span = |span: Duration| humantime::format_duration(span).to_string();
    let why = format!(
        "a lifetime of {} is too short for this client, which came every {} so far (the median of {distances}); {} would do",
        span(lifetime),
        span(interval),
        span(needed)
    );
    tracing::warn!(order = %plan.order, account = %plan.account, names, "{why}");
    Some(serde_json::json!({ (IN_THE_TRAIL): why }))
}

/// Gives up an intent: its serial was never handed out and never will be.
///
/// # Errors
/// The store's.
pub async fn abandon(
    serial: &Serial,
    order: Option<&OrderId>,
    store: &Store,
    now: Timestamp,
) -> anyhow::Result<()> {
    let audit = AuditEvent {
        order: order.cloned(),
        serial: Some(serial.clone()),
        ..audit("certificate-abandoned", now)
    };
    store.write(Abandon { serial: serial.clone(), audit }).await?;
    tracing::warn!(%serial, "an intent that a stop left behind was given up");
    Ok(())
}

/// What an order's certificate and the server's own have in common.
struct Request<'a> {
    order: Option<&'a OrderId>,
    account: Option<&'a AccountId>,
    names: &'a [Identifier],
    common_name: Option<&'a Identifier>,
    public_key: &'a [u8],
    spki: [u8; 32],
    /// What is kept of the request: itself, and the thumbprint of its key.
    csr: Option<(&'a [u8], &'a str)>,
    validity: Validity,
    lifetime: Duration,
    client_auth: bool,
    replaces: Option<&'a CertificateId>,
    /// What the trail is to say beside the fact.
    warning: Option<serde_json::Value>,
}

impl Request<'_> {
    async fn issue(
        &self,
        ca: &Ca,
        ca_issuers: Option<&str>,
        store: &Store,
        now: Timestamp,
    ) -> anyhow::Result<Issued> {
        let issuer = ca.active(now)?;
        let (not_before, not_after) = self.validity.dates(self.lifetime, issuer, now);
        let serial = Serial::mint(crate::random());
        let common_name = self.common_name.map(ToString::to_string);
        let crl_url =
            ca_issuers.filter(|_| issuer.signs_lists()).map(|base| format!("{base}/crl/{}.crl", issuer.id()));
        let ca_issuers_url = ca_issuers.map(|base| format!("{base}/issuer/{}.der", issuer.id()));
        let draft = issuer.draft(&Template {
            serial: &serial,
            names: self.names,
            common_name: common_name.as_deref(),
            public_key: self.public_key,
            not_before,
            not_after,
            client_auth: self.client_auth,
            ca_issuers_url: ca_issuers_url.as_deref(),
            crl_url: crl_url.as_deref(),
        })?;

        let row = |word: &str| AuditEvent {
            account: self.account.cloned(),
            order: self.order.cloned(),
            serial: Some(serial.clone()),
            ..audit(word, now)
        };
        let names = name_set(self.names);
        store
            .write(Intend {
                csr: self.csr.map(|(der, _)| der.to_vec()),
                thumbprint: self.csr.map(|(_, thumbprint)| thumbprint.to_owned()),
                certificate: Certificate {
                    serial: serial.clone(),
                    order: self.order.cloned(),
                    account: self.account.cloned(),
                    purpose: if self.order.is_some() { Purpose::Acme } else { Purpose::Server },
                    names: names.clone(),
                    issuer: issuer.id().to_owned(),
                    spki: self.spki,
                    status: CertificateStatus::Intended,
                    tbs: Some(draft.tbs().to_vec()),
                    der: None,
                    not_before,
                    not_after,
                    created_at: now,
                    issued_at: None,
                    superseded_by: None,
                    revocation: None,
                    polled_at: None,
                    asked: None,
                },
                audit: row("certificate-intended"),
            })
            .await?;

        let der = draft.sign().context("signing")?;

        let kept = KeepIssued {
            serial: serial.clone(),
            der: der.clone(),
            order: self.order.cloned(),
            names,
            replaces: self.replaces.cloned(),
            not_after,
            now,
            audit: AuditEvent { detail: self.warning.clone(), ..row("certificate-issued") },
        };
        store.write(kept).await?;
        Ok(Issued {
            serial,
            der,
            issuer: issuer.id().to_owned(),
            chain: issuer.chain_pem().to_owned(),
            not_after,
        })
    }
}

/// From here on a lifetime is not held against its client's habits.
const LONG: Duration = Duration::from_secs(30 * 86_400);
/// How far a certificate begins before now, for clocks that lag; less when it does not live long.
const BACKDATE: Duration = Duration::from_secs(3_600);
/// How far ahead a client may ask for.
const AHEAD: Duration = Duration::from_secs(30 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::EPOCH;
    const DAYS_90: Duration = Duration::from_secs(90 * 86_400);

    fn asked(before: Option<i64>, after: Option<i64>) -> Result<Validity, Problem> {
        let issuer = (Timestamp::from_unix(-600), Timestamp::from_unix(60 * 86_400));
        let (before, after) = (before.map(Timestamp::from_unix), after.map(Timestamp::from_unix));
        Validity::asked(before, after, DAYS_90, issuer, NOW)
    }

    #[test]
    fn dates_are_kept_exactly_or_refused() {
        assert_eq!(asked(None, None).unwrap(), Validity::default());
        assert_eq!(asked(None, Some(86_400)).unwrap().not_after, Some(Timestamp::from_unix(86_400)));
        for (before, after) in [
            (Some(-7_200), None),
            // Before and beyond the issuer's own time.
            (Some(-900), None),
            (None, Some(61 * 86_400)),
            (Some(31 * 86_400), None),
            (None, Some(0)),
            (None, Some(91 * 86_400)),
            (Some(86_400), Some(86_400)),
        ] {
            assert!(asked(before, after).is_err(), "{before:?} {after:?}");
        }
    }

    #[test]
    fn dates_that_another_issuer_cannot_give_are_refused_when_it_comes_to_it() {
        let at = |days: i64| Timestamp::from_unix(days * 86_400);
        let dates = Validity { not_before: Some(at(0)), not_after: Some(at(60)) };
        // The wish for a beginning in the past was judged when it was made; it stays good.
        assert_eq!(dates.still_fits((at(-1), at(61)), at(10)), Ok(()));
        assert_eq!(dates.still_fits((at(0), at(60)), at(10)), Ok(()), "to the second");
        assert_eq!(Validity::default().still_fits((at(9), at(11)), at(10)), Ok(()), "no wish, no trouble");
        for (issuer, now, words) in [
            ((at(-1), at(61)), at(60), "notAfter 1970-03-02T00:00:00Z is over"),
            ((at(-1), at(59)), at(10), "beyond the end of today's issuer, 1970-03-01T00:00:00Z"),
            ((at(1), at(61)), at(10), "before the beginning of today's issuer, 1970-01-02T00:00:00Z"),
        ] {
            let problem = dates.still_fits(issuer, now).unwrap_err();
            assert!(problem.detail.contains(words), "{problem}");
        }
    }
}
