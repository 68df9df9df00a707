//! Revoking certificates, RFC 8555 7.6, and telling of it in a list for each issuer, RFC 5280 5.
//!
//! | step | what a crash after it leaves |
//! |---|---|
//! | 1 the revocation is kept, with the trail's row | a revision above the list's: the next look makes another list |
//! | 2 a number for the list is kept | a number that is never used |
//! | 3 the list is read, built, judged and signed | the same: lists are in memory alone, and made anew at each start |
//!
//! A key that was lost goes with all its certificates, those that are being issued at that moment too: what was intended
//! before step 1 is revoked by it, and what is intended later is looked at again after it was issued
//! ([`revoke_if_blocked`]).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use acme::id::{AccountId, Serial};
use acme::revocation::{By, Decision, Reason};
use acme::time::Timestamp;
use arc_swap::ArcSwap;
use hyper::body::Bytes;
use serde_json::json;
use store::Store;
use store::audit::AuditEvent;
use store::certificate::Certificate;
use store::revocation::{Block, NextCrl, One, Revoke, Revoked};
use tokio::sync::Notify;

use crate::audit;
use crate::ca::crl::{Entry, List};
use crate::ca::{self, Issuer};
use crate::policy::BlockedKeys;

/// Who revokes, for the trail.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// How it was shown that they may.
    pub by: By,
    /// The account that asked, if one did.
    pub account: Option<&'a AccountId>,
    /// The operator, as the system calls them.
    pub user: Option<&'a str>,
}

/// Carries a decision about a certificate out. With its key blocked, the key's other certificates are revoked in the same
/// commit.
///
/// # Errors
/// The store's. Nothing is revoked then.
pub async fn revoke(
    certificate: &Certificate,
    decision: Decision,
    asker: &Asker<'_>,
    store: &Store,
    now: Timestamp,
) -> Result<Revoked, store::Error> {
    let mut certificates = vec![asker.one(certificate, decision.reason, now)];
    if decision.blocks_key {
        certificates.extend(of_key(&certificate.spki, Some(&certificate.serial), asker, store, now).await?);
    }
    let blocked = decision.blocks_key.then(|| asker.block(&certificate.spki, now));
    store.write(Revoke { certificates, blocked, at: now }).await
}

/// Blocks a key, and revokes all its certificates.
///
/// # Errors
/// The store's. Nothing is blocked then.
pub async fn block(
    spki: &[u8; 32],
    asker: &Asker<'_>,
    store: &Store,
    now: Timestamp,
) -> Result<Revoked, store::Error> {
    let certificates = of_key(spki, None, asker, store, now).await?;
    let blocked = Some(asker.block(spki, now));
    store.write(Revoke { certificates, blocked, at: now }).await
}

/// Revokes what was issued for a key while it was being blocked. Where no key is blocked it asks nobody.
///
/// # Errors
/// The store's.
pub async fn revoke_if_blocked(
    serial: &Serial,
    spki: &[u8; 32],
    keys: &BlockedKeys,
    store: &Store,
    now: Timestamp,
) -> Result<(), store::Error> {
    if keys.holds(spki) {
        block(spki, &Asker::SERVER, store, now).await?;
        tracing::warn!(%serial, "a certificate was issued while its key was being blocked; it is revoked");
    }
    Ok(())
}

async fn of_key(
    spki: &[u8; 32],
    but: Option<&Serial>,
    asker: &Asker<'_>,
    store: &Store,
    now: Timestamp,
) -> Result<Vec<One>, store::Error> {
    let all = store.certificates_of_key(spki, now).await?;
    let others = all.iter().filter(|c| c.revocation.is_none() && Some(&c.serial) != but);
    Ok(others.map(|certificate| asker.one(certificate, Reason::KeyCompromise, now)).collect())
}

impl Asker<'_> {
    /// The CA itself.
    pub const SERVER: Self = Self { by: By::Server, account: None, user: None };

    fn one(&self, certificate: &Certificate, reason: Reason, now: Timestamp) -> One {
        let mut detail = self.detail();
        detail["reason"] = reason.as_str().into();
        One {
            serial: certificate.serial.clone(),
            reason,
            audit: AuditEvent {
                account: certificate.account.clone(),
                order: certificate.order.clone(),
                serial: Some(certificate.serial.clone()),
                detail: Some(detail),
                ..audit("certificate-revoked", now)
            },
        }
    }

    fn block(&self, spki: &[u8; 32], now: Timestamp) -> Block {
        let mut detail = self.detail();
        detail["spki_sha256"] = acme::id::hex(spki).into();
        let audit = AuditEvent { detail: Some(detail), ..audit("key-blocked", now) };
        Block { spki: *spki, audit }
    }

    fn detail(&self) -> serde_json::Value {
        let mut detail = json!({"by": self.by.as_str()});
        if let Some(account) = self.account {
            detail["asked_by"] = account.as_str().into();
        }
        if let Some(user) = self.user {
            detail["user"] = acme::problem::plain(user, 80).into();
        }
        detail
    }
}

/// A list that is going to be signed.
pub struct Due {
    number: i64,
    this_update: Timestamp,
    next_update: Timestamp,
    entries: Vec<Entry>,
    revision: i64,
}

/// A list as it is served.
pub struct Crl {
    /// DER.
    pub der: Bytes,
    /// What tells it from every other, for caches.
    pub etag: String,
    /// Its number.
    pub number: i64,
    /// When it was made.
    pub this_update: Timestamp,
    /// When it is over.
    pub next_update: Timestamp,
    /// The certificates in it.
    pub serials: Vec<Serial>,
    revision: i64,
}

/// Takes a number and reads what the list of an issuer is to hold. `revision` is what
/// [`Store::revocations`] said before.
///
/// # Errors
/// The store's.
pub async fn prepare(
    issuer: &str,
    revision: i64,
    store: &Store,
    now: Timestamp,
) -> Result<Due, store::Error> {
    let next_update = now.plus(LIFETIME);
    let audit = AuditEvent { detail: Some(json!({"issuer": issuer})), ..audit("crl-intended", now) };
    let change = NextCrl { issuer: issuer.to_owned(), this_update: now, next_update, audit };
    let taken = store.write(change).await?;
    // RFC 5280 3.3: an entry stays until a regular list was made after the end of its certificate. So what ended since
    // the list before this one stays, and what ended since the last regular one.
    let ended = taken.before.unwrap_or(now).min(now.minus(REMAKE));
    let lines = store.revoked(issuer, ended).await?;
    let entries =
        lines.into_iter().map(|line| Entry { serial: line.serial, at: line.at, reason: line.reason });
    Ok(Due { number: taken.number, this_update: now, next_update, entries: entries.collect(), revision })
}

impl Due {
    /// Signs. This is work for the processor, a millisecond and more for a long list.
    ///
    /// # Errors
    /// What [`Issuer::sign_list`] says.
    pub fn sign(self, issuer: &Issuer) -> Result<Crl, ca::Error> {
        let (this_update, next_update) = (self.this_update, self.next_update);
        let list = List { number: self.number, this_update, next_update, entries: &self.entries };
        let der = issuer.sign_list(&list)?;
        // Two servers on one store never take the same number.
        let etag = format!("\"{:x}\"", self.number);
        let serials = self.entries.into_iter().map(|entry| entry.serial).collect();
        let (number, revision) = (self.number, self.revision);
        Ok(Crl { der: der.into(), etag, number, this_update, next_update, serials, revision })
    }
}

impl Crl {
    /// Whether it is time for another: somebody revoked something since, it is old enough, or the clock was set back.
    pub fn is_stale(&self, revision: i64, now: Timestamp) -> bool {
        self.revision != revision || now >= self.this_update.plus(REMAKE) || now < self.this_update
    }
}

/// The lists that are served, one an issuer, and the way to ask for new ones.
pub struct Published {
    lists: ArcSwap<HashMap<String, Arc<Crl>>>,
    /// Up to where the store's revocations are known here; below zero: not at all.
    seen: AtomicI64,
    wake: Notify,
}

impl Default for Published {
    fn default() -> Self {
        Self { lists: ArcSwap::default(), seen: AtomicI64::new(-1), wake: Notify::new() }
    }
}

impl Published {
    /// The list of an issuer.
    pub fn of(&self, issuer: &str) -> Option<Arc<Crl>> {
        self.lists.load().get(issuer).cloned()
    }

    /// Whether the list of an issuer is there, and not over.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn check(&self, issuer: &str, now: Timestamp) -> Result<(), String> {
        match self.of(issuer) {
            Some(list) if now < list.next_update => Ok(()),
            Some(list) => {
                Err(format!("the list of what issuer {issuer} revoked ended at {}", list.next_update))
            }
            None => Err(format!("there is no list of what issuer {issuer} revoked")),
        }
    }

    /// Puts a new one in place.
    pub fn put(&self, issuer: &str, crl: &Arc<Crl>) {
        self.lists.rcu(|lists| {
            let mut lists = HashMap::clone(lists);
            lists.insert(issuer.to_owned(), Arc::clone(crl));
            lists
        });
    }

    /// Up to which revision the store's revocations are known; `None` before the first look.
    pub fn seen(&self) -> Option<i64> {
        Some(self.seen.load(Ordering::Relaxed)).filter(|seen| *seen >= 0)
    }

    /// They are known up to here.
    pub fn saw(&self, revision: i64) {
        self.seen.store(revision, Ordering::Relaxed);
    }

    /// Says that there is something to tell.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Returns when there is.
    pub async fn woken(&self) {
        self.wake.notified().await;
    }
}

/// How long a list is good for: an outage of a long weekend stops nobody who insists on a valid list.
pub const LIFETIME: Duration = Duration::from_secs(7 * 86_400);
/// After how long a list is made anew though nothing changed.
pub const REMAKE: Duration = Duration::from_secs(86_400);

#[cfg(test)]
mod tests {
    use super::*;

    fn list(number: i64, at: i64, revision: i64) -> Crl {
        let this_update = Timestamp::from_unix(at);
        Crl {
            der: Bytes::new(),
            etag: String::new(),
            number,
            this_update,
            next_update: this_update.plus(LIFETIME),
            serials: Vec::new(),
            revision,
        }
    }

    #[test]
    fn a_list_is_stale_when_something_was_revoked_after_a_day_and_before_its_time() {
        let list = list(1, 1_000_000, 7);
        let at = |seconds: i64| Timestamp::from_unix(1_000_000 + seconds);
        assert!(!list.is_stale(7, at(0)) && !list.is_stale(7, at(86_399)));
        assert!(list.is_stale(8, at(0)), "something was revoked");
        assert!(list.is_stale(6, at(0)), "the store was restored");
        assert!(list.is_stale(7, at(86_400)));
        assert!(list.is_stale(7, at(-1)), "the clock was set back");
    }

    #[test]
    fn a_list_that_is_missing_or_over_is_told() {
        let lists = Published::default();
        let now = Timestamp::from_unix(1_000_000);
        assert!(lists.check("a", now).unwrap_err().contains("there is no list"));
        lists.put("a", &Arc::new(list(1, 1_000_000, 0)));
        assert_eq!(lists.check("a", now), Ok(()));
        let over = lists.check("a", now.plus(LIFETIME)).unwrap_err();
        assert!(over.contains("ended at 1970-01-19T13:46:40Z"), "{over}");
        assert!(lists.check("b", now).is_err());
    }
}
