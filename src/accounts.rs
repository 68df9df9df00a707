//! Accounts that were read a moment ago, with their keys ready to verify. A request needs its account before anything
//! else; reading and decoding it anew six times in an issuance would be a good part of the issuance's cost.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};
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

/// When each account was read, and what was read.
type Part = HashMap<AccountId, (Instant, Arc<Known>)>;

impl Default for Accounts {
    fn default() -> Self {
        Self { parts: std::array::from_fn(|_| RwLock::default()) }
    }
}

impl Accounts {
    /// The account, if it was read within the last seconds. The bound is what `ca-ctl` promises: the server takes up
    /// its changes within seconds.
    pub fn recall(&self, id: &AccountId) -> Option<Arc<Known>> {
        let part = self.part(id).read().unwrap_or_else(std::sync::PoisonError::into_inner);
        part.get(id).filter(|(read, _)| read.elapsed() < FRESH).map(|(_, known)| Arc::clone(known))
    }

    /// Remembers what was just read.
    pub fn remember(&self, known: Arc<Known>) {
        let mut part =
            self.part(&known.account.id).write().unwrap_or_else(std::sync::PoisonError::into_inner);
        if part.len() >= PART_LIMIT {
            part.retain(|_, (read, _)| read.elapsed() < FRESH);
        }
        if part.len() < PART_LIMIT {
            part.insert(known.account.id.clone(), (Instant::now(), known));
        }
    }

    /// Forgets an account that is about to change.
    pub fn forget(&self, id: &AccountId) {
        self.part(id).write().unwrap_or_else(std::sync::PoisonError::into_inner).remove(id);
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
