//! The kinds of account key and what is demanded of each: RFC 7518 6.2 and 6.3, RFC 8037 2.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use josekit::jws::{ES256, ES384, ES512, EdDSA, JwsVerifier, RS256};
use serde_json::{Map, Value};

use super::spki::{self, Curve};
use super::{Algorithm, canonical};
use crate::problem::{Kind, Problem, plain};
use crate::quality;

/// What is left of a JWK once it was judged.
pub(super) struct Judged {
    pub(super) algorithm: Algorithm,
    /// The required members in the form of RFC 7638 3.
    pub(super) json: String,
    pub(super) spki: Vec<u8>,
    pub(super) verifier: Box<dyn JwsVerifier>,
}

/// Which key is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judging {
    /// One that came in a request.
    New,
    /// One that an account has had for a while, perhaps since before a rule was made.
    Kept,
}

/// Judges the members of a JWK.
pub(super) fn judge(members: &Map<String, Value>, judging: Judging) -> Result<Judged, Problem> {
    if let Some(part) = PRIVATE_PARTS.iter().find(|part| members.contains_key(**part)) {
        return Err(refuse(format!(
            "the JWK holds a private part ({part}); make a new key, and send the public half alone"
        )));
    }
    match text(members, "kty")? {
        "EC" => ec(members),
        "RSA" => rsa(members, judging),
        "OKP" => okp(members),
        other => Err(refuse(format!("key type {} is not accepted; {ACCEPTED}", plain(other, 40)))),
    }
}

fn ec(members: &Map<String, Value>) -> Result<Judged, Problem> {
    let name = text(members, "crv")?;
    let Some(curve) = Curve::ALL.into_iter().find(|curve| curve.name() == name) else {
        return Err(refuse(format!("curve {} is not accepted; {ACCEPTED}", plain(name, 40))));
    };
    let (x, y) = (octets(members, "x")?, octets(members, "y")?);
    let expected = curve.coordinate();
    if x.len() != expected || y.len() != expected {
        return Err(refuse(format!("x and y of a {name} key have {expected} octets each (RFC 7518 6.2.1)")));
    }
    let (algorithm, jose) = match curve {
        Curve::P256 => (Algorithm::Es256, ES256),
        Curve::P384 => (Algorithm::Es384, ES384),
        Curve::P521 => (Algorithm::Es512, ES512),
    };
    let spki = spki::ec(curve, &[&[4], x.as_slice(), y.as_slice()].concat());
    // OpenSSL refuses a point that is not on the curve.
    let verifier = jose
        .verifier_from_der(&spki)
        .map_err(|_| refuse(format!("x and y are not a point of the curve {name}")))?;
    let json = canonical::ec(curve, &x, &y);
    Ok(Judged { algorithm, json, spki, verifier: Box::new(verifier) })
}

fn rsa(members: &Map<String, Value>, judging: Judging) -> Result<Judged, Problem> {
    let (n, e) = (octets(members, "n")?, octets(members, "e")?);
    let begins_with_zero = |number: &[u8]| number.first().is_none_or(|first| *first == 0);
    if begins_with_zero(&n) || begins_with_zero(&e) {
        // Otherwise one key would have several thumbprints.
        return Err(Problem::malformed(
            "n or e of the RSA key is empty or begins with a zero octet (RFC 7518 2)",
        ));
    }
    let bits = spki::bits(&n);
    if !RSA_BITS.contains(&bits) {
        return Err(refuse(format!("an RSA key of {bits} bits is not accepted; 2048 to 8192 bits are")));
    }
    let is_odd = |number: &[u8]| number.last().is_some_and(|last| last & 1 == 1);
    if !is_odd(&n) {
        return Err(refuse("the modulus of the RSA key is even"));
    }
    if !is_odd(&e) || spki::bits(&e) > 33 || matches!(e.as_slice(), [..=3]) {
        return Err(refuse("the exponent of an RSA key is odd, more than 3 and less than 2^33; use 65537"));
    }
    if judging == Judging::New
        && let Err(weakness) = quality::check_modulus(&n)
    {
        return Err(refuse(format!("the RSA key can be broken: {weakness}; make another")));
    }
    let spki = spki::rsa(&n, &e);
    let verifier = RS256.verifier_from_der(&spki).map_err(|_| refuse("n and e are not an RSA public key"))?;
    let json = canonical::rsa(&n, &e);
    Ok(Judged { algorithm: Algorithm::Rs256, json, spki, verifier: Box::new(verifier) })
}

/// Whether x is a point of the curve at all shows only when a signature is held against it.
fn okp(members: &Map<String, Value>) -> Result<Judged, Problem> {
    let name = text(members, "crv")?;
    if name != "Ed25519" {
        return Err(refuse(format!("curve {} is not accepted; {ACCEPTED}", plain(name, 40))));
    }
    let Ok(x) = <[u8; 32]>::try_from(octets(members, "x")?) else {
        return Err(refuse("x of an Ed25519 key has 32 octets (RFC 8037 2)"));
    };
    if spki::is_of_small_order(x) {
        return Err(refuse("the Ed25519 key is a point of small order, for which anybody can sign"));
    }
    let spki = spki::ed25519(&x);
    let verifier = EdDSA.verifier_from_der(&spki).map_err(|_| refuse("x is not an Ed25519 key"))?;
    let json = canonical::ed25519(&x);
    Ok(Judged { algorithm: Algorithm::EdDsa, json, spki, verifier: Box::new(verifier) })
}

fn text<'a>(members: &'a Map<String, Value>, name: &str) -> Result<&'a str, Problem> {
    match members.get(name) {
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(Problem::malformed(format!("member {name} of the JWK is not a string"))),
        None => Err(Problem::malformed(format!("the JWK has no member {name}"))),
    }
}

fn octets(members: &Map<String, Value>, name: &str) -> Result<Vec<u8>, Problem> {
    URL_SAFE_NO_PAD.decode(text(members, name)?).map_err(|_| {
        Problem::malformed(format!("member {name} of the JWK is not base64url without padding (RFC 7515 2)"))
    })
}

fn refuse(detail: impl Into<String>) -> Problem {
    Problem::new(Kind::BadPublicKey, detail)
}

const ACCEPTED: &str = "EC on P-256, P-384 or P-521, RSA and OKP on Ed25519 are";
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// RFC 7518 6.2.2, 6.3.2 and 6.4.1; the `d` of RFC 8037 2 is among them.
const PRIVATE_PARTS: &[&str] = &["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
