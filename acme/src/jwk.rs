//! Account keys: RFC 7517 and 7518 6, 8037 2 as far as RFC 8555 6.2 needs them, and the thumbprint of RFC 7638.
//!
//! The identity of a key is its required members alone; `use`, `kid`, `alg` and whatever else a client adds is
//! ignored. Nothing here knows accounts. josekit checks signatures and nothing else: it is given a
//! SubjectPublicKeyInfo that we built, never the client's JWK.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use josekit::jws::JwsVerifier;
use serde_json::Value;

use crate::problem::Problem;

pub(crate) mod canonical;
mod kind;
pub(crate) mod spki;

use kind::{Judged, Judging};

/// A JWS algorithm that we accept, RFC 7518 3.1 and RFC 8037 3.1. Each goes with one kind of key and each kind of key
/// with one of them. MAC algorithms and `none` cannot be said (RFC 8555 6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// ECDSA with P-256 and SHA-256.
    Es256,
    /// ECDSA with P-384 and SHA-384.
    Es384,
    /// ECDSA with P-521 and SHA-512.
    Es512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// Ed25519.
    EdDsa,
}

/// The public key of an account. It holds a ready verifier and can be shared between threads.
#[derive(Clone)]
pub struct AccountKey {
    algorithm: Algorithm,
    /// The required members in the order of RFC 7638 3: what the thumbprint is made over, and what is kept.
    json: String,
    thumbprint: String,
    spki: Vec<u8>,
    verifier: Box<dyn JwsVerifier>,
}

impl Algorithm {
    /// Every algorithm, in the order in which `badSignatureAlgorithm` lists them.
    pub const ALL: &'static [Self] = &[Self::Es256, Self::Es384, Self::Es512, Self::Rs256, Self::EdDsa];

    /// The registered word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::Rs256 => "RS256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// Reads the word back; case counts.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|algorithm| algorithm.as_str() == word)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl AccountKey {
    /// Reads the `jwk` of a request.
    ///
    /// # Errors
    /// `malformed` for what is no JWK; `badPublicKey` for a key of another kind, a weak one, a point that is not on
    /// its curve, and for a JWK that holds a private part.
    pub fn parse(jwk: &Value) -> Result<Self, Problem> {
        Self::judged(jwk, Judging::New)
    }

    /// Reads back what [`to_json`](Self::to_json) wrote. Whether the key can be broken was asked when it came: an account
    /// is not locked out by a rule that is younger than it.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn from_json(json: &str) -> Result<Self, Problem> {
        let jwk = serde_json::from_str(json).map_err(|_| Problem::malformed("the JWK is not JSON"))?;
        Self::judged(&jwk, Judging::Kept)
    }

    fn judged(jwk: &Value, judging: Judging) -> Result<Self, Problem> {
        let Value::Object(members) = jwk else {
            return Err(Problem::malformed("the JWK is not a JSON object"));
        };
        let Judged { algorithm, json, spki, verifier } = kind::judge(members, judging)?;
        let thumbprint = canonical::thumbprint(&json);
        Ok(Self { algorithm, json, thumbprint, spki, verifier })
    }

    /// The key as a JWK of its required members, in the form of RFC 7638 3. It is what the store keeps.
    pub fn to_json(&self) -> String {
        self.json.clone()
    }

    /// The RFC 7638 thumbprint: base64url of SHA-256.
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// The algorithm that goes with this key.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The SubjectPublicKeyInfo in DER. A certificate for the same key has the same octets.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// The SHA-256 of the SubjectPublicKeyInfo, for a list of keys that are not accepted.
    pub fn spki_sha256(&self) -> [u8; 32] {
        sha256(&self.spki)
    }

    /// Whether `signature` was made by this key over `message` with `algorithm`; `false` for an algorithm that goes
    /// with another kind of key.
    pub fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        algorithm == self.algorithm && self.verifier.verify(message, signature).is_ok()
    }
}

impl PartialEq for AccountKey {
    fn eq(&self, other: &Self) -> bool {
        self.spki == other.spki
    }
}

impl Eq for AccountKey {}

impl fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountKey({} {})", self.algorithm, self.thumbprint)
    }
}

/// SHA-256, by which public keys are told apart.
pub fn sha256(octets: &[u8]) -> [u8; 32] {
    digest(&SHA256, octets).as_ref().try_into().expect("SHA-256 has 32 octets")
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;
    use crate::fixture;
    use crate::problem::Kind;

    fn key(name: &str) -> AccountKey {
        AccountKey::parse(&fixture::json(&format!("jws/keys/{name}.json"))).unwrap()
    }

    #[test]
    fn the_vectors_of_the_rfcs_hold() {
        for file in fixture::files("jws/rfc") {
            let vector = fixture::json(&format!("jws/rfc/{file}.json"));
            let text = |name: &str| vector.get(name).map(|value| value.as_str().unwrap());
            let key = AccountKey::parse(&vector["jwk"]).expect(&file);
            assert_eq!(Some(key.algorithm().as_str()), text("alg"), "{file}");
            if let Some(thumbprint) = text("thumbprint") {
                assert_eq!(key.thumbprint(), thumbprint, "{file}");
            }
            if let (Some(input), Some(signature)) = (text("input"), text("signature")) {
                let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
                assert!(key.verify(key.algorithm(), input.as_bytes(), &signature), "{file}");
                assert!(!key.verify(key.algorithm(), b"something else", &signature), "{file}");
            }
        }
    }

    #[test]
    fn each_fault_of_a_key_is_refused_with_its_type() {
        use Kind::{BadPublicKey, Malformed};
        let rows = [
            ("no-kty", Malformed, "no member kty"),
            ("kty-number", Malformed, "not a string"),
            ("kty-unknown", BadPublicKey, "ML-DSA"),
            ("oct", BadPublicKey, "private part (k)"),
            ("ec-private", BadPublicKey, "private part (d)"),
            ("ec-private-null", BadPublicKey, "private part (d)"),
            ("rsa-private", BadPublicKey, "private part (p)"),
            ("okp-private", BadPublicKey, "private part (d)"),
            ("ec-no-crv", Malformed, "no member crv"),
            ("ec-no-y", Malformed, "no member y"),
            ("ec-x-number", Malformed, "not a string"),
            ("ec-padded", Malformed, "base64url without padding"),
            ("ec-p224", BadPublicKey, "P-224"),
            ("ec-secp256k1", BadPublicKey, "secp256k1"),
            ("ec-short-x", BadPublicKey, "32 octets"),
            ("ec-long-x", BadPublicKey, "32 octets"),
            ("ec-of-another-curve", BadPublicKey, "48 octets"),
            ("ec-off-curve", BadPublicKey, "not a point"),
            ("ec-zero", BadPublicKey, "not a point"),
            ("ec-too-large", BadPublicKey, "not a point"),
            ("rsa-no-e", Malformed, "no member e"),
            ("rsa-zero-in-front", Malformed, "zero octet"),
            ("rsa-empty-modulus", Malformed, "empty"),
            ("rsa-exponent-empty", Malformed, "empty"),
            ("rsa-1024", BadPublicKey, "1024 bits"),
            ("rsa-2047", BadPublicKey, "2047 bits"),
            ("rsa-8193", BadPublicKey, "8193 bits"),
            ("rsa-even-modulus", BadPublicKey, "even"),
            ("rsa-exponent-1", BadPublicKey, "exponent"),
            ("rsa-exponent-3", BadPublicKey, "exponent"),
            ("rsa-exponent-even", BadPublicKey, "exponent"),
            ("rsa-exponent-34-bits", BadPublicKey, "exponent"),
            ("rsa-small-factor", BadPublicKey, "factor 751"),
            ("rsa-roca", BadPublicKey, "ROCA"),
            ("rsa-close-primes", BadPublicKey, "close together"),
            ("okp-x25519", BadPublicKey, "X25519"),
            ("okp-ed448", BadPublicKey, "Ed448"),
            ("okp-short", BadPublicKey, "32 octets"),
            ("okp-small-order", BadPublicKey, "small order"),
            ("okp-small-order-signed", BadPublicKey, "small order"),
        ];
        fixture::assert_rows_are_files("jws/jwk", rows.map(|(file, ..)| file));
        for (file, kind, phrase) in rows {
            let problem = AccountKey::parse(&fixture::json(&format!("jws/jwk/{file}.json"))).expect_err(file);
            assert!(problem.kind == kind && problem.detail.contains(phrase), "{file}: {problem}");
        }
    }

    #[test]
    fn a_key_survives_the_store_and_extra_members_do_not() {
        for name in ["es256", "es384", "es512", "rs256", "eddsa"] {
            let mut jwk = fixture::json(&format!("jws/keys/{name}.json"));
            let plain = AccountKey::parse(&jwk).unwrap();
            jwk["use"] = "enc".into();
            jwk["alg"] = "none".into();
            let adorned = AccountKey::parse(&jwk).unwrap();
            assert_eq!((adorned.thumbprint(), adorned.to_json()), (plain.thumbprint(), plain.to_json()));
            let kept = AccountKey::from_json(&plain.to_json()).unwrap();
            assert_eq!((kept.thumbprint(), kept.algorithm()), (plain.thumbprint(), plain.algorithm()));
            assert_eq!(kept, plain);
        }
        assert!(AccountKey::from_json("{").is_err());
    }

    #[test]
    fn an_account_keeps_a_key_that_no_new_one_may_have() {
        let jwk = fixture::json("jws/jwk/rsa-close-primes.json").to_string();
        assert!(AccountKey::from_json(&jwk).is_ok(), "its owner has to sign the change to a better one");
    }

    #[test]
    fn an_algorithm_goes_with_one_kind_of_key() {
        let signature = [1; 64];
        for (name, fits) in [("es256", Algorithm::Es256), ("rs256", Algorithm::Rs256)] {
            assert_eq!(key(name).algorithm(), fits);
            for other in Algorithm::ALL {
                assert!(!key(name).verify(*other, b"message", &signature));
            }
        }
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::parse(algorithm.as_str()), Some(*algorithm));
        }
        assert_eq!(Algorithm::parse("HS256").or(Algorithm::parse("none")), None);
    }

    #[test]
    fn the_public_key_info_is_what_openssl_makes() {
        for name in ["es256", "es384", "es512", "rs256", "eddsa"] {
            let path = format!("{}/../fixtures/jws/keys/{name}.pem", env!("CARGO_MANIFEST_DIR"));
            let openssl = std::process::Command::new("openssl")
                .args(["pkey", "-in", &path, "-pubout", "-outform", "DER"])
                .output()
                .unwrap();
            assert_eq!(key(name).spki(), openssl.stdout, "{name}");
        }
    }

    #[test]
    fn keys_are_shared_between_threads() {
        fn shared<T: Send + Sync + 'static>() {}
        shared::<AccountKey>();
    }
}
