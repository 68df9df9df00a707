//! Account keys and signed requests as a client makes them, right or wrong: every part of a request can be bent before
//! it is signed, and after.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use serde_json::{Value, json};
use std::sync::Arc;

/// An account key.
#[derive(Clone)]
pub enum Key {
    /// P-256.
    Es256(Arc<EcdsaKeyPair>),
    /// RSA.
    Rs256(PKey<Private>),
}

impl Key {
    /// A fresh P-256 key.
    pub fn generate() -> Self {
        Self::Es256(Arc::new(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key")))
    }

    /// A fresh RSA key of so many bits.
    pub fn rsa(bits: u32) -> Self {
        Self::Rs256(PKey::from_rsa(Rsa::generate(bits).expect("a key")).expect("a key"))
    }

    /// The algorithm that it signs with.
    pub fn algorithm(&self) -> &'static str {
        match self {
            Self::Es256(_) => "ES256",
            Self::Rs256(_) => "RS256",
        }
    }

    /// The public key, RFC 7517. Members stand in the order that RFC 7638 wants.
    pub fn jwk(&self) -> Value {
        match self {
            Self::Es256(pair) => {
                // 4, then the two coordinates.
                let point = &pair.public_key().as_ref()[1..];
                json!({"crv": "P-256", "kty": "EC", "x": b64(&point[..32]), "y": b64(&point[32..])})
            }
            Self::Rs256(key) => {
                let rsa = key.rsa().expect("RSA");
                json!({"e": b64(&rsa.e().to_vec()), "kty": "RSA", "n": b64(&rsa.n().to_vec())})
            }
        }
    }

    /// RFC 7638.
    pub fn thumbprint(&self) -> String {
        b64(digest(&SHA256, self.jwk().to_string().as_bytes()).as_ref())
    }

    /// The SubjectPublicKeyInfo.
    pub fn spki(&self) -> Vec<u8> {
        match self {
            Self::Es256(pair) => {
                use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
                let der: PublicKeyX509Der<'_> = pair.public_key().as_der().expect("DER");
                der.as_ref().to_vec()
            }
            Self::Rs256(key) => key.public_key_to_der().expect("DER"),
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Es256(pair) => pair.sign(&SystemRandom::new(), message).expect("signed").as_ref().to_vec(),
            Self::Rs256(key) => {
                let digest = openssl::hash::MessageDigest::sha256();
                let mut signer = openssl::sign::Signer::new(digest, key).expect("a signer");
                signer.sign_oneshot_to_vec(message).expect("signed")
            }
        }
    }
}

/// A request before it is signed.
#[derive(Clone)]
pub struct Draft {
    /// The HTTP method.
    pub method: &'static str,
    /// Where it is sent.
    pub url: String,
    /// `Content-Type`; none is sent when this is `None`.
    pub content_type: Option<String>,
    /// Other headers.
    pub headers: Vec<(&'static str, String)>,
    /// The protected header.
    pub protected: Value,
    /// The text of the protected header, where JSON's own writing would not do.
    pub protected_text: Option<String>,
    /// The payload; empty for a POST-as-GET.
    pub payload: Vec<u8>,
    /// Who signs.
    pub key: Key,
    /// What is done to the JWS after it is signed.
    pub bend: Option<fn(&mut Value)>,
    /// The whole body, in place of a JWS.
    pub body: Option<Vec<u8>>,
}

impl Draft {
    /// The body that is sent.
    pub fn to_body(&self) -> Vec<u8> {
        if let Some(body) = &self.body {
            return body.clone();
        }
        let protected = self.protected_text.clone().unwrap_or_else(|| self.protected.to_string());
        let mut jws = sign(&self.key, &protected, &self.payload);
        if let Some(bend) = self.bend {
            bend(&mut jws);
        }
        jws.to_string().into_bytes()
    }

    /// Sets a member of the protected header.
    pub fn set(&mut self, member: &str, value: impl Into<Value>) {
        self.protected[member] = value.into();
    }

    /// Takes a member of the protected header away.
    pub fn unset(&mut self, member: &str) {
        self.protected.as_object_mut().expect("an object").remove(member);
    }

    /// Puts the key itself into the protected header in place of the account's URL.
    pub fn by_jwk(&mut self) {
        self.unset("kid");
        self.set("jwk", self.key.jwk());
        self.set("alg", self.key.algorithm());
    }
}

/// A flattened JWS, RFC 7515 7.2.2.
pub fn sign(key: &Key, protected: &str, payload: &[u8]) -> Value {
    let (protected, payload) = (b64(protected.as_bytes()), b64(payload));
    let signature = key.sign(format!("{protected}.{payload}").as_bytes());
    json!({"protected": protected, "payload": payload, "signature": b64(&signature)})
}

/// base64url without padding.
pub fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
