//! What was read or made a moment ago, in memory: a store's answer costs a way to another thread and back, and an
//! issuance would ask the same things several times.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hash};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use acme::id::{AccountId, AuthorizationId, Serial};
use acme::jwk::AccountKey;
use acme::time::Timestamp;
use store::account::Account;
use store::order::Order;

use crate::policy::Bounds;

/// An account and its key, ready to verify.
pub struct Known {
    /// The row.
    pub account: Account,
    /// The key, decoded.
    pub key: AccountKey,
    /// The SHA-256 of its SubjectPublicKeyInfo.
    pub spki: [u8; 32],
    /// What it may ask for beyond the policy, when the operator gave it a key with limits.
    pub bounds: Option<Bounds>,
}

/// An order as it was made. What became of it since, its row says.
pub struct MadeOrder {
    /// The row.
    pub order: Order,
    /// Its authorizations, in the order in which they are shown.
    pub authorizations: Vec<AuthorizationId>,
}

/// A certificate as it is downloaded.
pub struct Download {
    /// Who may have it.
    pub account: AccountId,
    /// Which issuer signed it.
    pub issuer: String,
    /// The leaf and its chain.
    pub pem: String,
}

/// When clients last asked when to renew which certificate (RFC 9773), and first fetched which, until it is written down:
/// signs of life, and not worth a commit of their own.
#[derive(Default)]
pub struct Signs {
    polls: Mutex<HashMap<Serial, Timestamp>>,
    downloads: Mutex<HashMap<Serial, Timestamp>>,
}

impl Signs {
    /// A client asked about a certificate that there is.
    pub fn polled(&self, serial: Serial, now: Timestamp) {
        let mut polls = self.polls.lock().unwrap_or_else(PoisonError::into_inner);
        if polls.len() < SIGNS || polls.contains_key(&serial) {
            polls.insert(serial, now);
        }
    }

    /// A client fetches its certificate.
    pub fn downloaded(&self, serial: &Serial, now: Timestamp) {
        let mut downloads = self.downloads.lock().unwrap_or_else(PoisonError::into_inner);
        if downloads.len() < SIGNS && !downloads.contains_key(serial) {
            downloads.insert(serial.clone(), now);
        }
    }

    /// All polls, to be written down; none are left.
    pub fn take_polls(&self) -> Vec<(Serial, Timestamp)> {
        std::mem::take(&mut *self.polls.lock().unwrap_or_else(PoisonError::into_inner)).into_iter().collect()
    }

    /// All downloads, likewise.
    pub fn take_downloads(&self) -> Vec<(Serial, Timestamp)> {
        std::mem::take(&mut *self.downloads.lock().unwrap_or_else(PoisonError::into_inner))
            .into_iter()
            .collect()
    }
}

/// A bounded memory of a few seconds, in parts, so that requests about different things do not meet at one lock.
pub struct Recent<K, V> {
    parts: [RwLock<Part<K, V>>; PARTS],
    limit: usize,
    hasher: RandomState,
}

/// When each thing was remembered, and what; and how often one was forgotten.
struct Part<K, V> {
    known: HashMap<K, (Instant, Arc<V>)>,
    forgotten: u64,
}

/// The moment before a thing is read. What is read then is remembered only if nothing was forgotten meanwhile: else a
/// deactivated account could come back as it was.
pub struct Before(u64);

impl<K: Hash + Eq, V> Recent<K, V> {
    /// A memory for so many things at most.
    pub fn new(limit: usize) -> Self {
        let part = || RwLock::new(Part { known: HashMap::new(), forgotten: 0 });
        Self { parts: std::array::from_fn(|_| part()), limit: limit / PARTS, hasher: RandomState::new() }
    }

    /// The thing, if it was remembered within the last seconds. The bound is what `ca-ctl` promises: the server takes up
    /// its changes within seconds.
    pub fn recall(&self, key: &K) -> Option<Arc<V>> {
        let part = self.part(key).read().unwrap_or_else(PoisonError::into_inner);
        part.known.get(key).filter(|(since, _)| since.elapsed() < FRESH).map(|(_, value)| Arc::clone(value))
    }

    /// To be called before a thing is read that is to be remembered.
    pub fn before(&self, key: &K) -> Before {
        Before(self.part(key).read().unwrap_or_else(PoisonError::into_inner).forgotten)
    }

    /// Remembers what was read since `before`.
    pub fn remember(&self, key: K, value: Arc<V>, before: &Before) {
        let mut part = self.part(&key).write().unwrap_or_else(PoisonError::into_inner);
        if part.forgotten != before.0 {
            return;
        }
        if part.known.len() >= self.limit {
            part.known.retain(|_, (since, _)| since.elapsed() < FRESH);
        }
        if part.known.len() < self.limit {
            part.known.insert(key, (Instant::now(), value));
        }
    }

    /// Remembers what was just made, and what nobody else can have heard of.
    pub fn remember_new(&self, key: K, value: V) {
        let before = self.before(&key);
        self.remember(key, Arc::new(value), &before);
    }

    /// Forgets a thing: before it changes, when only its making is remembered; after it has, when reads are.
    pub fn forget(&self, key: &K) {
        let mut part = self.part(key).write().unwrap_or_else(PoisonError::into_inner);
        part.known.remove(key);
        part.forgotten += 1;
    }

    fn part(&self, key: &K) -> &RwLock<Part<K, V>> {
        let hash = usize::try_from(self.hasher.hash_one(key) >> 32).unwrap_or(0);
        &self.parts[hash % PARTS]
    }
}

const FRESH: Duration = Duration::from_secs(2);
const PARTS: usize = 16;
/// How many certificates are noted at most before they are written down.
const SIGNS: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_is_recalled_until_it_is_forgotten() {
        let recent = Recent::new(1_024);
        recent.remember_new("a", 1);
        assert_eq!(recent.recall(&"a").as_deref(), Some(&1));
        recent.forget(&"a");
        assert_eq!(recent.recall(&"a"), None);
    }

    #[test]
    fn what_was_read_before_a_change_does_not_come_back_after_it() {
        let recent = Recent::new(1_024);
        let before = recent.before(&"a");
        recent.forget(&"a");
        recent.remember("a", Arc::new(1), &before);
        assert_eq!(recent.recall(&"a"), None);
    }

    #[test]
    fn the_last_poll_and_the_first_download_of_each_certificate_are_handed_out_once() {
        let signs = Signs::default();
        let serial = Serial::from_bytes(&[0x40]);
        for second in [1, 2] {
            signs.polled(serial.clone(), Timestamp::from_unix(second));
            signs.downloaded(&serial, Timestamp::from_unix(second));
        }
        assert_eq!(signs.take_polls(), [(serial.clone(), Timestamp::from_unix(2))]);
        assert_eq!(signs.take_downloads(), [(serial, Timestamp::from_unix(1))]);
        assert_eq!((signs.take_polls(), signs.take_downloads()), (Vec::new(), Vec::new()));
    }

    #[test]
    fn it_never_holds_more_than_its_limit() {
        let recent = Recent::new(64);
        for number in 0..10_000 {
            recent.remember_new(number, ());
        }
        let held: usize = recent.parts.iter().map(|part| part.read().unwrap().known.len()).sum();
        assert!(held <= 64, "{held}");
    }
}
