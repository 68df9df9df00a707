//! Accounts that were read a moment ago, with their keys ready to verify. A request needs its account before anything
//! else; reading and decoding it anew six times in an issuance would be a good part of the issuance's cost.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use acme::id::AccountId;
use acme::jwk::AccountKey;
use store::account::Account;

/// An account and its key.
pub struct Known {
    /// The row.
    pub account: Account,
    /// The key, decoded.
    pub key: AccountKey,
}

/// A bounded memory of accounts, in parts, so that requests of different accounts do not meet at one lock.
pub struct Accounts {
    parts: [RwLock<Part>; PARTS],
}

/// When each account was read, and what was read; and how often one was forgotten.
#[derive(Default)]
struct Part {
    known: HashMap<AccountId, (Instant, Arc<Known>)>,
    forgotten: u64,
}

/// The moment before an account is read. What is read then is remembered only if nobody changed an account meanwhile:
/// else a deactivated account could come back as it was.
pub struct Before(u64);

impl Default for Accounts {
    fn default() -> Self {
        Self { parts: std::array::from_fn(|_| RwLock::default()) }
    }
}

impl Accounts {
    /// The account, if it was read within the last seconds. The bound is what `ca-ctl` promises: the server takes up
    /// its changes within seconds.
    pub fn recall(&self, id: &AccountId) -> Option<Arc<Known>> {
        let part = self.part(id).read().unwrap_or_else(PoisonError::into_inner);
        part.known.get(id).filter(|(read, _)| read.elapsed() < FRESH).map(|(_, known)| Arc::clone(known))
    }

    /// To be called before an account is read that is to be remembered.
    pub fn before(&self, id: &AccountId) -> Before {
        Before(self.part(id).read().unwrap_or_else(PoisonError::into_inner).forgotten)
    }

    /// Remembers what was just read.
    pub fn remember(&self, known: Arc<Known>, before: &Before) {
        let mut part = self.part(&known.account.id).write().unwrap_or_else(PoisonError::into_inner);
        if part.forgotten != before.0 {
            return;
        }
        if part.known.len() >= PART_LIMIT {
            part.known.retain(|_, (read, _)| read.elapsed() < FRESH);
        }
        if part.known.len() < PART_LIMIT {
            part.known.insert(known.account.id.clone(), (Instant::now(), known));
        }
    }

    /// Forgets an account that has changed.
    pub fn forget(&self, id: &AccountId) {
        let mut part = self.part(id).write().unwrap_or_else(PoisonError::into_inner);
        part.known.remove(id);
        part.forgotten += 1;
    }

    fn part(&self, id: &AccountId) -> &RwLock<Part> {
        // An id ends in random digits.
        let last = id.as_str().bytes().last().unwrap_or(0);
        &self.parts[usize::from(last) % PARTS]
    }
}

const FRESH: Duration = Duration::from_secs(2);
const PARTS: usize = 16;
const PART_LIMIT: usize = 512;
