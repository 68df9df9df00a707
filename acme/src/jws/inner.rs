//! The JWS inside a request: the new key of a key change (RFC 8555 7.3.5), and the binding to an account elsewhere
//! (RFC 8555 7.3.4). Both must leave the nonce out and repeat the outer URL. Which accounts and which MAC keys there
//! are is the caller's business.

use aws_lc_rs::hmac;
use serde_json::{Map, Value};

use super::{Flattened, Object, bad_algorithm, check_fit, check_signature, payload_json, text};
use crate::jwk::{AccountKey, Algorithm};
use crate::problem::{Kind, Problem, plain};

/// The inner JWS of a key change. It exists only if the new key signed it.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// The new key.
    pub key: AccountKey,
    /// The account that the client says is its own.
    pub account: String,
    /// The key that the client says is the account's present one.
    pub old_key: AccountKey,
}

/// An external account binding whose form is in order and whose MAC was not looked at yet.
#[derive(Clone, Debug)]
pub struct Binding {
    /// The name of the MAC key.
    pub kid: String,
    mac: hmac::Algorithm,
    signed: String,
    signature: Vec<u8>,
}

impl NewKey {
    /// Reads the payload of a key change that was posted to `url`, and checks the new key's signature.
    ///
    /// # Errors
    /// `malformed`, `badSignatureAlgorithm` or `badPublicKey`.
    pub fn parse(payload: &[u8], url: &str) -> Result<Self, Problem> {
        let inner = Flattened::parse(&Object::read(payload, "payload of the key change")?)?;
        let alg =
            Algorithm::parse(text(&inner.header, "alg")?).ok_or_else(|| bad_algorithm(&inner.header))?;
        check_common(&inner.header, url)?;
        let (Some(jwk), None) = (inner.header.get("jwk"), inner.header.get("kid")) else {
            return Err(Problem::malformed(
                "the inner JWS must have jwk, the new key, and no kid (RFC 8555 7.3.5)",
            ));
        };
        let key = AccountKey::parse(jwk)?;
        check_fit(alg, &key)?;
        check_signature(alg, &key, &inner.signed, &inner.signature)?;
        let Object(body) = payload_json(&inner.payload)?;
        let (Some(Value::String(account)), Some(old_key)) = (body.get("account"), body.get("oldKey")) else {
            return Err(Problem::malformed(
                "the inner payload must have account and oldKey (RFC 8555 7.3.5)",
            ));
        };
        Ok(Self { key, account: account.clone(), old_key: AccountKey::parse(old_key)? })
    }
}

impl Binding {
    /// Reads `externalAccountBinding` of a new account for `key`, posted to `url`.
    ///
    /// # Errors
    /// `malformed` or `badSignatureAlgorithm`.
    pub fn parse(binding: &Object, key: &AccountKey, url: &str) -> Result<Self, Problem> {
        let Flattened { header, payload, signed, signature } = Flattened::parse(binding)?;
        let alg = text(&header, "alg")?;
        let Some((_, mac)) = MACS.iter().find(|(name, _)| *name == alg) else {
            let algorithms: Vec<String> = MACS.iter().map(|(name, _)| (*name).to_owned()).collect();
            let (alg, all) = (plain(alg, 40), algorithms.join(", "));
            let detail =
                format!("alg {alg} is not accepted for an external account binding; use one of {all}");
            return Err(Problem { algorithms, ..Problem::new(Kind::BadSignatureAlgorithm, detail) });
        };
        check_common(&header, url)?;
        let kid = text(&header, "kid")?.to_owned();
        if header.contains_key("jwk") {
            return Err(Problem::malformed(
                "the external account binding has jwk; its key is named by kid alone",
            ));
        }
        let Object(bound) = payload_json(&payload)?;
        if AccountKey::parse(&Value::Object(bound))? != *key {
            return Err(Problem::malformed(
                "the external account binding is for another key than the request's",
            ));
        }
        Ok(Self { kid, mac: *mac, signed, signature })
    }

    /// Holds the MAC against the key that `kid` names.
    ///
    /// # Errors
    /// `unauthorized` when the MAC was made with another key.
    pub fn verify(&self, mac_key: &[u8]) -> Result<(), Problem> {
        let mac_key = hmac::Key::new(self.mac, mac_key);
        hmac::verify(&mac_key, self.signed.as_bytes(), &self.signature).map_err(|_| {
            let kid = plain(&self.kid, 80);
            Problem::unauthorized(format!("the external account binding was not made with the key {kid}"))
        })
    }
}

fn check_common(header: &Map<String, Value>, url: &str) -> Result<(), Problem> {
    if header.contains_key("nonce") {
        return Err(Problem::malformed("the inner JWS has a nonce; only the outer one may (RFC 8555 7.3)"));
    }
    if text(header, "url")? != url {
        return Err(Problem::malformed("the url of the inner JWS is not the one of the outer JWS"));
    }
    Ok(())
}

/// RFC 7518 3.2; RFC 8555 7.3.4 asks for a MAC algorithm.
const MACS: &[(&str, hmac::Algorithm)] =
    &[("HS256", hmac::HMAC_SHA256), ("HS384", hmac::HMAC_SHA384), ("HS512", hmac::HMAC_SHA512)];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    const URL: &str = "https://ca.lan/acme/new-account";

    fn key(name: &str) -> AccountKey {
        AccountKey::parse(&fixture::json(&format!("jws/keys/{name}.json"))).unwrap()
    }

    fn new_key(file: &str) -> Result<NewKey, Problem> {
        NewKey::parse(&fixture::read(&format!("jws/key-change/{file}.json")), URL)
    }

    fn binding(file: &str) -> Result<Binding, Problem> {
        let object = Object::read(&fixture::read(&format!("jws/eab/{file}.json")), "binding")?;
        Binding::parse(&object, &key("es256"), URL)
    }

    #[test]
    fn a_new_key_shows_itself_by_its_signature() {
        for (file, name) in [("accepted", "es256-other"), ("accepted-other-kind", "eddsa")] {
            let change = new_key(file).expect(file);
            assert_eq!((change.key, change.old_key), (key(name), key("es256")));
            assert_eq!(change.account, "https://ca.lan/acme/account/1");
        }
    }

    #[test]
    fn each_fault_of_a_key_change_is_refused() {
        use Kind::{BadSignatureAlgorithm, Malformed};
        let rows = [
            ("refused-nonce", Malformed, "has a nonce"),
            ("refused-url", Malformed, "url of the inner JWS"),
            ("refused-kid", Malformed, "must have jwk"),
            ("refused-both", Malformed, "no kid"),
            ("refused-alg", BadSignatureAlgorithm, "HS256"),
            ("refused-signature", Malformed, "JWS verification error"),
            ("refused-no-account", Malformed, "account and oldKey"),
            ("refused-no-old-key", Malformed, "account and oldKey"),
            ("refused-old-key", Malformed, "no member kty"),
        ];
        let accepted = ["accepted", "accepted-other-kind"];
        fixture::assert_rows_are_files("jws/key-change", rows.map(|row| row.0).into_iter().chain(accepted));
        for (file, kind, phrase) in rows {
            let problem = new_key(file).expect_err(file);
            assert!(problem.kind == kind && problem.detail.contains(phrase), "{file}: {problem}");
        }
    }

    #[test]
    fn a_binding_holds_for_its_mac_key_alone() {
        for file in ["hs256", "hs384", "hs512", "jwk-reordered"] {
            let binding = binding(file).expect(file);
            assert_eq!(binding.kid, "kid-1");
            assert_eq!(binding.verify(b"a MAC key that is not secret at all"), Ok(()), "{file}");
            let problem = binding.verify(b"another").expect_err(file);
            assert_eq!(problem.kind, Kind::Unauthorized);
        }
    }

    #[test]
    fn each_fault_of_a_binding_is_refused() {
        use Kind::{BadSignatureAlgorithm, Malformed};
        let rows = [
            ("refused-nonce", Malformed, "has a nonce"),
            ("refused-url", Malformed, "url of the inner JWS"),
            ("refused-no-kid", Malformed, "no kid"),
            ("refused-jwk", Malformed, "has jwk"),
            ("refused-alg", BadSignatureAlgorithm, "HS256, HS384, HS512"),
            ("refused-other-key", Malformed, "another key"),
            ("refused-payload", Malformed, "not a JSON object"),
        ];
        let accepted = ["hs256", "hs384", "hs512", "jwk-reordered"];
        fixture::assert_rows_are_files("jws/eab", rows.map(|row| row.0).into_iter().chain(accepted));
        for (file, kind, phrase) in rows {
            let problem = binding(file).expect_err(file);
            assert!(problem.kind == kind && problem.detail.contains(phrase), "{file}: {problem}");
        }
    }
}
