//! Keys that are accepted nowhere any more, because somebody else may have their private half: neither for a certificate
//! nor for an account. They are told apart by the SHA-256 of the SubjectPublicKeyInfo.

use std::collections::HashSet;

use acme::csr::CertificateRequest;
use acme::jwk::AccountKey;
use acme::problem::{Kind, Problem};
use arc_swap::ArcSwap;

/// The blocked keys, in memory: to ask costs no statement. A key that is blocked stays so.
#[derive(Default)]
pub struct BlockedKeys {
    keys: ArcSwap<HashSet<[u8; 32]>>,
}

impl BlockedKeys {
    /// Whether a certificate may be for the key of this request.
    ///
    /// # Errors
    /// `badCSR` when it is blocked.
    pub fn check_request(&self, csr: &CertificateRequest) -> Result<(), Problem> {
        if self.holds(&csr.spki_sha256()) {
            return Err(Problem::bad_csr(format!("the key of the CSR {WHY}")));
        }
        Ok(())
    }

    /// Whether an account may have this key.
    ///
    /// # Errors
    /// `badPublicKey` when it is blocked.
    pub fn check_account(&self, key: &AccountKey) -> Result<(), Problem> {
        if self.holds(&key.spki_sha256()) {
            return Err(Problem::new(Kind::BadPublicKey, format!("the key {WHY}")));
        }
        Ok(())
    }

    /// Whether a key is blocked.
    pub fn holds(&self, spki: &[u8; 32]) -> bool {
        self.keys.load().contains(spki)
    }

    /// Blocks these keys too, and gives those that were not.
    pub fn add(&self, keys: &[[u8; 32]]) -> Vec<[u8; 32]> {
        let new: Vec<[u8; 32]> = keys.iter().filter(|key| !self.holds(key)).copied().collect();
        if !new.is_empty() {
            self.keys.rcu(|known| known.iter().chain(&new).copied().collect::<HashSet<_>>());
        }
        new
    }

    /// Takes a key back that could not be kept.
    pub fn remove(&self, key: &[u8; 32]) {
        self.keys.rcu(|known| known.iter().filter(|other| *other != key).copied().collect::<HashSet<_>>());
    }
}

const WHY: &str = "is blocked here, because it was reported compromised; make another";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_blocked_from_its_adding_on_and_is_new_once() {
        let keys = BlockedKeys::default();
        let (a, b) = ([1; 32], [2; 32]);
        assert!(!keys.holds(&a));
        assert_eq!(keys.add(&[a]), [a]);
        assert_eq!(keys.add(&[a, b]), [b]);
        assert!(keys.holds(&a) && keys.holds(&b));
        keys.remove(&a);
        assert!(!keys.holds(&a) && keys.holds(&b));
    }
}
