//! The JWS envelope (RFC 7515, RFC 8555 6.2) and account keys (RFC 7517).

use std::collections::HashSet;
use std::fs;
use std::sync::LazyLock;

use acme::jwk::{AccountKey, sha256};
use acme::jws::{Envelope, KeyRef, NewKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{fixtures, refused};

/// The octets as the body of a request, and as the protected header of one.
pub(crate) fn jws(data: &[u8]) -> String {
    let as_body = envelope(data);
    let header = URL_SAFE_NO_PAD.encode(data);
    let around = json!({"protected": header, "payload": "e30", "signature": "AAAA"}).to_string();
    // Every change of the octets of a whole body is most likely a change of base64url, and never seen here.
    let within = serde_json::from_slice::<Value>(data).ok().and_then(|body| {
        let protected = URL_SAFE_NO_PAD.decode(body["protected"].as_str()?).ok()?;
        Some(String::from_utf8_lossy(&protected).into_owned())
    });
    let as_header = envelope(around.as_bytes());
    if let Err(problem) = NewKey::parse(data, "https://ca.lan/acme/key-change") {
        refused(&problem);
    }
    format!("{as_body} {as_header} {}", within.map_or(0, |header| header.len() % 8))
}

fn envelope(body: &[u8]) -> String {
    let envelope = match Envelope::parse(body) {
        Ok(envelope) => envelope,
        Err(problem) => return refused(&problem),
    };
    let header = &envelope.header;
    assert!(
        header.nonce.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)),
        "{}",
        header.nonce
    );
    assert_eq!(envelope.is_post_as_get(), envelope.payload.is_empty());
    if let Err(problem) = envelope.payload_json::<serde_json::Map<String, Value>>() {
        refused(&problem);
    }
    // Whoever has no key can only repeat what its owner signed.
    let read: Value = serde_json::from_slice(body).unwrap();
    let signed = (text(&read["protected"]), text(&read["payload"]));
    let embedded = match &header.key {
        KeyRef::Jwk(key) => Some(key.clone()),
        KeyRef::Kid(_) => None,
    };
    let mut verified = 0;
    for key in KNOWN.keys.iter().chain(&embedded) {
        match envelope.verify(key) {
            Ok(()) => {
                verified += 1;
                assert!(KNOWN.signed.contains(&signed), "nobody signed {signed:?}");
                let known = KNOWN.keys.iter().any(|known| known.thumbprint() == key.thumbprint());
                assert!(known, "a signature by {}, which signs nothing", key.to_json());
            }
            Err(problem) => drop(refused(&problem)),
        }
    }
    format!("{} {verified}", header.alg)
}

/// The octets as a JSON object.
pub(crate) fn jwk(data: &[u8]) -> String {
    // As it is read back from its row, where no key is judged anew.
    if let Ok(kept) = AccountKey::from_json(&String::from_utf8_lossy(data)) {
        assert_eq!(AccountKey::from_json(&kept.to_json()).unwrap().thumbprint(), kept.thumbprint());
    }
    let Ok(value) = serde_json::from_slice::<Value>(data) else { return "no JSON".to_owned() };
    let key = match AccountKey::parse(&value) {
        Ok(key) => key,
        Err(problem) => return refused(&problem),
    };
    let again = AccountKey::from_json(&key.to_json()).unwrap();
    assert_eq!((again.thumbprint(), again.spki()), (key.thumbprint(), key.spki()));
    assert_eq!(again.to_json(), key.to_json());
    // RFC 7638 3: what is written is what the thumbprint is of.
    assert_eq!(key.thumbprint(), URL_SAFE_NO_PAD.encode(sha256(key.to_json().as_bytes())));
    assert!(!key.to_json().contains("\"d\""), "a private part in {}", key.to_json());
    for length in [0, 1, 64, 96, 132, 256, 512] {
        for octet in [0, 1, 0xff] {
            let forged = vec![octet; length];
            assert!(!key.verify(key.algorithm(), b"nobody signed this", &forged), "{}", key.to_json());
        }
    }
    key.algorithm().to_string()
}

struct Known {
    keys: Vec<AccountKey>,
    /// Protected header and payload of what the keys signed.
    signed: HashSet<(String, String)>,
}

static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let keys = ["es256", "es256-other", "es384", "es512", "rs256", "eddsa"]
        .map(|name| AccountKey::parse(&json_file(&format!("keys/{name}.json"))).unwrap());
    let mut signed = HashSet::new();
    // `refused` and `forged` hold signatures that are right, over what is refused for another reason.
    for folder in ["accepted", "refused", "forged", "key-change", "eab"] {
        for entry in fs::read_dir(fixtures(&format!("jws/{folder}"))).unwrap() {
            let body = fs::read(entry.unwrap().path()).unwrap();
            if let Ok(body) = serde_json::from_slice::<Value>(&body) {
                signed.insert((text(&body["protected"]), text(&body["payload"])));
            }
        }
    }
    Known { keys: keys.to_vec(), signed }
});

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn json_file(name: &str) -> Value {
    serde_json::from_slice(&fs::read(fixtures(&format!("jws/{name}"))).unwrap()).unwrap()
}
