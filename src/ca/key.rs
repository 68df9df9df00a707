//! Private keys: made, and used to sign. How they lie in files is `key_file.rs`; which certificate a key belongs to
//! is not known here.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair,
};
use rcgen::{PublicKeyData, SignatureAlgorithm, SigningKey};
use zeroize::{Zeroize, Zeroizing};

use super::key_file::KeyError;

/// A CA's private key. Wiped when it is dropped; its `Debug` shows the kind alone.
pub enum Key {
    /// From a PEM file, in this process' memory.
    File(rcgen::KeyPair),
}

/// The kinds of key that we make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA on P-256 with SHA-256: fast, and known to every client. For intermediates.
    P256,
    /// ECDSA on P-384 with SHA-384. For roots.
    P384,
    /// RSA of 3072 bits with SHA-256, for clients without elliptic curves.
    Rsa3072,
    /// RSA of 4096 bits with SHA-256.
    Rsa4096,
    /// Ed25519. Browsers do not accept it.
    Ed25519,
}

impl KeyKind {
    /// Every kind, in the order in which help shows them.
    pub const ALL: [Self; 5] = [Self::P256, Self::P384, Self::Rsa3072, Self::Rsa4096, Self::Ed25519];

    /// The word for it on a command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::P256 => "p256",
            Self::P384 => "p384",
            Self::Rsa3072 => "rsa3072",
            Self::Rsa4096 => "rsa4096",
            Self::Ed25519 => "ed25519",
        }
    }

    /// Reads the word for a kind.
    ///
    /// # Errors
    /// A sentence with the words that are known.
    pub fn parse(word: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.into_iter().map(Self::as_str).collect();
            format!("unknown key kind '{word}'; known are {}", known.join(", "))
        })
    }
}

impl Key {
    /// A new key.
    ///
    /// # Errors
    /// The generator failed.
    pub fn generate(kind: KeyKind) -> Result<Self, KeyError> {
        let der = new_pkcs8(kind).map_err(|_| KeyError::Crypto("making a key failed"))?;
        Self::from_pkcs8(&der).ok_or(KeyError::Crypto("a new key could not be read back"))
    }

    /// The kind and size in words, such as `ECDSA P-256`.
    pub fn describe(&self) -> String {
        let Self::File(pair) = self;
        describe(pair.algorithm(), pair.der_bytes().len())
    }

    /// The OID of the signatures that this key makes.
    pub(super) fn signature_oid(&self) -> &'static str {
        let algorithm = self.algorithm();
        if algorithm == &rcgen::PKCS_ECDSA_P256_SHA256 {
            "1.2.840.10045.4.3.2"
        } else if algorithm == &rcgen::PKCS_ECDSA_P384_SHA384 {
            "1.2.840.10045.4.3.3"
        } else if algorithm == &rcgen::PKCS_ED25519 {
            "1.3.101.112"
        } else {
            "1.2.840.113549.1.1.11"
        }
    }

    /// A key from PKCS#8, RFC 5958.
    pub(super) fn from_pkcs8(der: &[u8]) -> Option<Self> {
        rcgen::KeyPair::try_from(der).ok().map(Self::File)
    }
}

impl SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let Self::File(pair) = self;
        pair.sign(message)
    }
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        let Self::File(pair) = self;
        pair.der_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        let Self::File(pair) = self;
        pair.algorithm()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.describe())
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        let Self::File(pair) = self;
        pair.zeroize();
    }
}

/// The kind and size of a public key in words. `octets` is the length of the bit string's content.
pub(super) fn describe(algorithm: &SignatureAlgorithm, octets: usize) -> String {
    if algorithm == &rcgen::PKCS_ECDSA_P256_SHA256 {
        "ECDSA P-256".to_owned()
    } else if algorithm == &rcgen::PKCS_ECDSA_P384_SHA384 {
        "ECDSA P-384".to_owned()
    } else if algorithm == &rcgen::PKCS_ED25519 {
        "Ed25519".to_owned()
    } else {
        // A sequence of the modulus and the exponent 65537: the rest is 14 octets or less.
        format!("RSA {}", octets.saturating_sub(14) / 64 * 512)
    }
}

fn new_pkcs8(kind: KeyKind) -> Result<Zeroizing<Vec<u8>>, Unspecified> {
    // Version 1 of PKCS#8 throughout, which everybody reads; version 2 would hold the public key as well.
    let rsa = |size| -> Result<_, Unspecified> {
        let der: Pkcs8V1Der<'_> = RsaKeyPair::generate(size)?.as_der()?;
        Ok(Zeroizing::new(der.as_ref().to_vec()))
    };
    let ec = |algorithm| -> Result<_, Unspecified> {
        Ok(Zeroizing::new(EcdsaKeyPair::generate(algorithm)?.to_pkcs8v1()?.as_ref().to_vec()))
    };
    match kind {
        KeyKind::P256 => ec(&ECDSA_P256_SHA256_ASN1_SIGNING),
        KeyKind::P384 => ec(&ECDSA_P384_SHA384_ASN1_SIGNING),
        KeyKind::Rsa3072 => rsa(KeySize::Rsa3072),
        KeyKind::Rsa4096 => rsa(KeySize::Rsa4096),
        KeyKind::Ed25519 => Ok(Zeroizing::new(Ed25519KeyPair::generate()?.to_pkcs8v1()?.as_ref().to_vec())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_word_and_a_word_one_kind() {
        for kind in KeyKind::ALL {
            assert_eq!(KeyKind::parse(kind.as_str()), Ok(kind));
        }
        let why = KeyKind::parse("rsa2048").unwrap_err();
        assert!(why.contains("rsa2048") && why.contains("p256, p384, rsa3072"), "{why}");
    }

    #[test]
    fn a_new_key_is_of_the_kind_that_was_asked_for_and_shows_nothing_else() {
        let kinds = [
            (KeyKind::P256, "ECDSA P-256"),
            (KeyKind::P384, "ECDSA P-384"),
            (KeyKind::Rsa3072, "RSA 3072"),
            (KeyKind::Ed25519, "Ed25519"),
        ];
        for (kind, words) in kinds {
            let key = Key::generate(kind).unwrap();
            assert_eq!(format!("{key:?}"), format!("Key({words})"));
        }
    }

    #[test]
    fn two_keys_are_two_keys() {
        let (a, b) = (Key::generate(KeyKind::P256).unwrap(), Key::generate(KeyKind::P256).unwrap());
        assert_ne!(a.der_bytes(), b.der_bytes());
    }
}
