//! The client's half of RFC 8555 section 6.2: an ES256 account key and the requests that it signs.

use anyhow::Context as _;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

pub(crate) struct AccountKey {
    key: EcdsaKeyPair,
    random: SystemRandom,
    jwk: String,
    thumbprint: String,
}

impl AccountKey {
    pub(crate) fn generate() -> anyhow::Result<Self> {
        let key =
            EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).context("making an account key")?;
        let point = key.public_key().as_ref(); // uncompressed: 4, then x and y of 32 octets each
        // Members in the order that RFC 7638 wants, so that this text is the thumbprint's input too.
        let (x, y) = (base64url(&point[1..33]), base64url(&point[33..65]));
        let jwk = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        let thumbprint = base64url(digest(&SHA256, jwk.as_bytes()));
        Ok(Self { key, random: SystemRandom::new(), jwk, thumbprint })
    }

    /// What the http-01 responder serves for `token` (RFC 8555 section 8.1).
    pub(crate) fn key_authorization(&self, token: &str) -> String {
        format!("{token}.{}", self.thumbprint)
    }

    /// The signed body of a request to `url`. Without `kid` the key itself goes along; without `payload` it is a
    /// POST-as-GET.
    pub(crate) fn sign(
        &self,
        kid: Option<&str>,
        nonce: &str,
        url: &str,
        payload: Option<&str>,
    ) -> anyhow::Result<String> {
        let signer = match kid {
            Some(kid) => format!(r#""kid":"{kid}""#),
            None => format!(r#""jwk":{}"#, self.jwk),
        };
        let protected = base64url(format!(r#"{{"alg":"ES256",{signer},"nonce":"{nonce}","url":"{url}"}}"#));
        let payload = payload.map(base64url).unwrap_or_default();
        let signature =
            self.key.sign(&self.random, format!("{protected}.{payload}").as_bytes()).context("signing")?;
        let signature = base64url(signature);
        Ok(format!(r#"{{"protected":"{protected}","payload":"{payload}","signature":"{signature}"}}"#))
    }
}

pub(crate) fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
