//! The one JSON form of a public key, RFC 7638 3: its required members in the order of their names, nothing between them.
//! A thumbprint is made over these octets, whether the key came as a JWK or in a certificate request.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::spki::{self, Curve};

/// An EC key by its coordinates, which have the full length of the curve (RFC 7518 6.2.1).
pub(crate) fn ec(curve: Curve, x: &[u8], y: &[u8]) -> String {
    format!(r#"{{"crv":"{}","kty":"EC","x":"{}","y":"{}"}}"#, curve.name(), encode(x), encode(y))
}

/// An RSA key. Zeros before the numbers are left out, as RFC 7518 2 demands.
pub(crate) fn rsa(modulus: &[u8], exponent: &[u8]) -> String {
    let (n, e) = (spki::minimal(modulus), spki::minimal(exponent));
    format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, encode(e), encode(n))
}

/// An Ed25519 key (RFC 8037 2).
pub(crate) fn ed25519(point: &[u8]) -> String {
    format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, encode(point))
}

/// The thumbprint of such a form: base64url of its SHA-256.
pub(crate) fn thumbprint(json: &str) -> String {
    encode(digest(&SHA256, json.as_bytes()).as_ref())
}

fn encode(octets: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}
