//! The envelope of every signed request: RFC 8555 6.2, and the flattened JSON form of RFC 7515 7.2.2 alone.
//!
//! Judged in this order: the envelope, the algorithm, the nonce's form, the URL's form, the key. The signature comes
//! after, when the key is known ([`Envelope::verify`]); whether the nonce is ours and the URL is right is the caller's
//! business, which also limits the size of the body. josekit's own reader is not used: it accepts the general form and
//! merges unprotected headers, and RFC 8555 6.2 forbids both.
//!
//! Where the RFC leaves a choice: a signature that does not hold is `malformed`, as with Boulder and Pebble; an
//! algorithm that does not go with the key is `badSignatureAlgorithm`, whose `algorithms` then lists the one that does;
//! a nonce that is absent is `badNonce` (RFC 8555 6.5), one that is not base64url is `malformed` (6.5.1).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::jwk::{AccountKey, Algorithm};
use crate::problem::{Kind, Problem, plain};

mod inner;
mod object;

pub use inner::{Binding, NewKey};
pub use object::Object;

/// A request whose envelope is in order and whose signature was not looked at yet.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// What the signature is to cover beside the payload.
    pub header: Header,
    /// The decoded payload; empty for POST-as-GET.
    pub payload: Vec<u8>,
    /// What the signature is to be over, RFC 7515 5.2.
    signed: String,
    signature: Vec<u8>,
}

/// The protected header, RFC 8555 6.2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// How it is signed.
    pub alg: Algorithm,
    /// The anti-replay nonce: base64url, not redeemed yet.
    pub nonce: String,
    /// The URL that the client believes it posts to.
    pub url: String,
    /// Who signed.
    pub key: KeyRef,
}

/// Who signed: RFC 8555 6.2 demands exactly one of the two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyRef {
    /// The key itself: new accounts, and revocation by the certificate's key.
    Jwk(AccountKey),
    /// The URL of the account: everything else.
    Kid(String),
}

impl Envelope {
    /// Reads the body of a POST.
    ///
    /// # Errors
    /// `malformed`, `badSignatureAlgorithm`, `badPublicKey`, or `badNonce` when there is no nonce.
    pub fn parse(body: &[u8]) -> Result<Self, Problem> {
        let Flattened { header, payload, signed, signature } =
            Flattened::parse(&Object::read(body, "body of the request")?)?;
        let alg = Algorithm::parse(text(&header, "alg")?).ok_or_else(|| bad_algorithm(&header))?;
        let nonce = match header.get("nonce") {
            None => return Err(Problem::bad_nonce()),
            Some(_) => text(&header, "nonce")?.to_owned(),
        };
        if !nonce.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
            return Err(Problem::malformed("the nonce is not base64url (RFC 8555 6.5.1)"));
        }
        let url = text(&header, "url")?.to_owned();
        let key = match (header.get("jwk"), header.get("kid")) {
            (Some(jwk), None) => KeyRef::Jwk(AccountKey::parse(jwk)?),
            (None, Some(_)) => KeyRef::Kid(text(&header, "kid")?.to_owned()),
            (Some(_), Some(_)) => {
                return Err(Problem::malformed("the JWS header has both jwk and kid; send one of them"));
            }
            (None, None) => {
                return Err(Problem::malformed("the JWS header has neither jwk nor kid; send one"));
            }
        };
        if let KeyRef::Jwk(key) = &key {
            check_fit(alg, key)?;
        }
        Ok(Self { header: Header { alg, nonce, url, key }, payload, signed, signature })
    }

    /// Holds the signature against the key that [`KeyRef`] names.
    ///
    /// # Errors
    /// `badSignatureAlgorithm` when the algorithm does not go with the key, `malformed` when the signature was not
    /// made by it over this header and this payload.
    pub fn verify(&self, key: &AccountKey) -> Result<(), Problem> {
        check_fit(self.header.alg, key)?;
        check_signature(self.header.alg, key, &self.signed, &self.signature)
    }

    /// Whether this only reads, RFC 8555 6.3. A payload of `{}` is not that.
    pub fn is_post_as_get(&self) -> bool {
        self.payload.is_empty()
    }

    /// The payload as a request of RFC 8555 7.
    ///
    /// # Errors
    /// `malformed`, with what is wrong and where.
    pub fn payload_json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        payload_json(&self.payload)
    }
}

fn payload_json<T: DeserializeOwned>(payload: &[u8]) -> Result<T, Problem> {
    if payload.is_empty() {
        return Err(Problem::malformed("the payload is empty; this URL needs a JSON object"));
    }
    // serde would also take an array, member by member.
    if payload.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::malformed("the payload is not a JSON object"));
    }
    serde_json::from_slice(payload).map_err(|error| unfit::<T>(payload, &error))
}

/// Which member does not fit, and what is expected there. It is looked for only now: nobody else has to pay for it.
fn unfit<T: DeserializeOwned>(payload: &[u8], error: &serde_json::Error) -> Problem {
    let mut reader = serde_json::Deserializer::from_slice(payload);
    let member = match serde_path_to_error::deserialize::<_, T>(&mut reader) {
        Err(found) if error.is_data() => found.path().to_string(),
        _ => String::new(),
    };
    match member.as_str() {
        "" | "." => Problem::malformed(format!("the payload is not right: {error}")),
        member => {
            let why = error.to_string();
            // The place is told by the member.
            let why = why.rsplit_once(" at line ").map_or(why.as_str(), |(why, _)| why);
            Problem::malformed(format!("the payload is not right: {member}: {why}"))
        }
    }
}

/// The three members of RFC 7515 7.2.2, decoded.
struct Flattened {
    header: Map<String, Value>,
    payload: Vec<u8>,
    signed: String,
    signature: Vec<u8>,
}

impl Flattened {
    fn parse(Object(members): &Object) -> Result<Self, Problem> {
        for (member, why) in [
            ("signatures", "the JWS is in the general form; send one signature in the flattened form"),
            ("header", "the JWS has an unprotected header; put everything into protected"),
        ] {
            if members.contains_key(member) {
                return Err(Problem::malformed(format!("{why} (RFC 8555 6.2)")));
            }
        }
        let (protected, payload) = (part(members, "protected")?, part(members, "payload")?);
        let signature = decode(part(members, "signature")?, "signature")?;
        if signature.is_empty() {
            return Err(Problem::malformed("the signature of the JWS is empty"));
        }
        let Object(header) = Object::read(&decode(protected, "protected")?, "protected header of the JWS")?;
        for (member, rule) in [("crit", "RFC 7515 4.1.11"), ("b64", "RFC 7797")] {
            if header.contains_key(member) {
                return Err(Problem::malformed(format!(
                    "the JWS header has {member} ({rule}), and no extension of JWS is supported here"
                )));
            }
        }
        let signed = format!("{protected}.{payload}");
        Ok(Self { header, payload: decode(payload, "payload")?, signed, signature })
    }
}

fn check_fit(alg: Algorithm, key: &AccountKey) -> Result<(), Problem> {
    if alg == key.algorithm() {
        return Ok(());
    }
    let fits = key.algorithm();
    let detail = format!("alg {alg} does not go with this key; use {fits}");
    Err(Problem { algorithms: vec![fits.to_string()], ..Problem::new(Kind::BadSignatureAlgorithm, detail) })
}

fn check_signature(alg: Algorithm, key: &AccountKey, signed: &str, signature: &[u8]) -> Result<(), Problem> {
    if key.verify(alg, signed.as_bytes(), signature) {
        return Ok(());
    }
    Err(Problem::malformed(
        "JWS verification error: the signature was not made by this key over this request",
    ))
}

fn bad_algorithm(header: &Map<String, Value>) -> Problem {
    let algorithms: Vec<String> = Algorithm::ALL.iter().map(ToString::to_string).collect();
    let alg = header.get("alg").and_then(Value::as_str).unwrap_or_default();
    let detail = format!("alg '{}' is not accepted; use one of {}", plain(alg, 40), algorithms.join(", "));
    Problem { algorithms, ..Problem::new(Kind::BadSignatureAlgorithm, detail) }
}

/// A string of the envelope.
fn part<'a>(members: &'a Map<String, Value>, name: &str) -> Result<&'a str, Problem> {
    match members.get(name) {
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(Problem::malformed(format!("member {name} of the JWS is not a string"))),
        None => {
            Err(Problem::malformed(format!("the JWS has no member {name}; send the flattened JSON form")))
        }
    }
}

/// A string of the protected header.
fn text<'a>(header: &'a Map<String, Value>, name: &str) -> Result<&'a str, Problem> {
    match header.get(name) {
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(Problem::malformed(format!("{name} in the JWS header is not a string"))),
        None => Err(Problem::malformed(format!("the JWS header has no {name} (RFC 8555 6.2)"))),
    }
}

fn decode(text: &str, name: &str) -> Result<Vec<u8>, Problem> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| {
        Problem::malformed(format!("member {name} of the JWS is not base64url without padding (RFC 7515 2)"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::identifier::Wire;

    fn parse(file: &str) -> Result<Envelope, Problem> {
        Envelope::parse(&fixture::read(&format!("jws/{file}.json")))
    }

    fn key(name: &str) -> AccountKey {
        AccountKey::parse(&fixture::json(&format!("jws/keys/{name}.json"))).unwrap()
    }

    #[test]
    fn what_clients_send_is_accepted() {
        let rows = [
            ("es256-jwk", "es256"),
            ("es256-kid", "es256"),
            ("es384-jwk", "es384"),
            ("es384-kid", "es384"),
            ("es512-jwk", "es512"),
            ("es512-kid", "es512"),
            ("rs256-jwk", "rs256"),
            ("rs256-kid", "rs256"),
            ("eddsa-jwk", "eddsa"),
            ("eddsa-kid", "eddsa"),
            ("post-as-get", "es256"),
            ("empty-object", "es256"),
            ("extra-jwk-members", "es256"),
            ("extra-header-members", "es256"),
            ("extra-envelope-members", "es256"),
        ];
        fixture::assert_rows_are_files("jws/accepted", rows.map(|(file, _)| file));
        for (file, signer) in rows {
            let envelope = parse(&format!("accepted/{file}")).expect(file);
            let header = &envelope.header;
            assert_eq!(
                (header.nonce.as_str(), header.url.as_str()),
                ("bm9uY2U", "https://ca.lan/acme/new-account")
            );
            match &header.key {
                KeyRef::Jwk(jwk) => assert_eq!(*jwk, key(signer), "{file}"),
                KeyRef::Kid(kid) => assert_eq!(kid, "https://ca.lan/acme/account/1", "{file}"),
            }
            assert_eq!(envelope.verify(&key(signer)), Ok(()), "{file}");
            assert_eq!(envelope.is_post_as_get(), file == "post-as-get", "{file}");
        }
    }

    #[test]
    fn each_fault_of_an_envelope_is_refused_with_its_type_and_its_name() {
        use Kind::{BadNonce, BadPublicKey, BadSignatureAlgorithm, Malformed};
        const NOT_B64: &str = "is not base64url without padding";
        let rows = [
            ("general-form", Malformed, "general form"),
            ("general-form-of-two", Malformed, "general form"),
            ("flattened-and-general", Malformed, "general form"),
            ("unprotected-header", Malformed, "unprotected header"),
            ("unprotected-header-null", Malformed, "unprotected header"),
            ("no-protected", Malformed, "no member protected"),
            ("no-payload", Malformed, "no member payload"),
            ("no-signature", Malformed, "no member signature"),
            ("protected-null", Malformed, "protected of the JWS is not a string"),
            ("payload-null", Malformed, "payload of the JWS is not a string"),
            ("payload-object", Malformed, "payload of the JWS is not a string"),
            ("signature-null", Malformed, "signature of the JWS is not a string"),
            ("signature-empty", Malformed, "signature of the JWS is empty"),
            ("protected-padded", Malformed, NOT_B64),
            ("payload-padded", Malformed, NOT_B64),
            ("signature-padded", Malformed, NOT_B64),
            ("protected-line-break", Malformed, NOT_B64),
            ("payload-line-break", Malformed, NOT_B64),
            ("signature-line-break", Malformed, NOT_B64),
            ("payload-standard-base64", Malformed, NOT_B64),
            ("payload-bits-left-over", Malformed, NOT_B64),
            ("not-json", Malformed, "body of the request is not one JSON object"),
            ("empty", Malformed, "body of the request is not one JSON object"),
            ("compact-form", Malformed, "body of the request is not one JSON object"),
            ("array", Malformed, "body of the request is not one JSON object"),
            ("string", Malformed, "body of the request is not one JSON object"),
            ("byte-order-mark", Malformed, "body of the request is not one JSON object"),
            ("trailing-data", Malformed, "trailing characters"),
            ("truncated", Malformed, "EOF"),
            ("nested", Malformed, "recursion limit"),
            ("protected-twice", Malformed, "member protected stands there twice"),
            ("payload-twice", Malformed, "member payload stands there twice"),
            ("signature-twice", Malformed, "member signature stands there twice"),
            ("unknown-twice", Malformed, "member x stands there twice"),
            ("header-not-json", Malformed, "protected header of the JWS is not one JSON object"),
            ("header-array", Malformed, "protected header of the JWS is not one JSON object"),
            ("header-trailing-data", Malformed, "trailing characters"),
            ("header-empty-object", Malformed, "no alg"),
            ("header-alg-twice", Malformed, "member alg stands there twice"),
            ("header-nonce-twice", Malformed, "member nonce stands there twice"),
            ("header-url-twice", Malformed, "member url stands there twice"),
            ("header-x-twice", Malformed, "member x stands there twice"),
            ("header-jwk-member-twice", Malformed, "member kty stands there twice"),
            ("crit", Malformed, "has crit"),
            ("crit-empty", Malformed, "has crit"),
            ("b64", Malformed, "has b64"),
            ("no-alg", Malformed, "has no alg"),
            ("alg-number", Malformed, "alg in the JWS header is not a string"),
            ("alg-none", BadSignatureAlgorithm, "alg 'none'"),
            ("alg-empty", BadSignatureAlgorithm, "alg ''"),
            ("alg-HS256", BadSignatureAlgorithm, "alg 'HS256'"),
            ("alg-HS512", BadSignatureAlgorithm, "alg 'HS512'"),
            ("alg-RS384", BadSignatureAlgorithm, "alg 'RS384'"),
            ("alg-PS256", BadSignatureAlgorithm, "alg 'PS256'"),
            ("alg-ES256K", BadSignatureAlgorithm, "alg 'ES256K'"),
            ("alg-lower-case", BadSignatureAlgorithm, "alg 'es256'"),
            ("alg-before-key", BadSignatureAlgorithm, "alg 'none'"),
            ("alg-es384-with-p256", BadSignatureAlgorithm, "does not go with this key"),
            ("alg-rs256-with-p256", BadSignatureAlgorithm, "does not go with this key"),
            ("alg-es256-with-ed25519", BadSignatureAlgorithm, "does not go with this key"),
            ("no-nonce", BadNonce, "JWS has an invalid anti-replay nonce"),
            ("nonce-number", Malformed, "nonce in the JWS header is not a string"),
            ("nonce-null", Malformed, "nonce in the JWS header is not a string"),
            ("nonce-padded", Malformed, "nonce is not base64url"),
            ("nonce-standard-base64", Malformed, "nonce is not base64url"),
            ("no-url", Malformed, "has no url"),
            ("url-list", Malformed, "url in the JWS header is not a string"),
            ("jwk-and-kid", Malformed, "both jwk and kid"),
            ("jwk-null-and-kid", Malformed, "both jwk and kid"),
            ("neither-jwk-nor-kid", Malformed, "neither jwk nor kid"),
            ("kid-number", Malformed, "kid in the JWS header is not a string"),
            ("jwk-string", Malformed, "JWK is not a JSON object"),
            ("jwk-rsa-1024", BadPublicKey, "1024 bits"),
        ];
        fixture::assert_rows_are_files("jws/refused", rows.map(|(file, ..)| file));
        for (file, kind, phrase) in rows {
            let problem = parse(&format!("refused/{file}")).expect_err(file);
            assert_eq!((problem.kind, problem.status), (kind, 400), "{file}: {problem}");
            assert!(problem.detail.contains(phrase), "{file}: {problem}");
            assert_eq!(problem.algorithms.is_empty(), kind != BadSignatureAlgorithm, "{file}");
        }
    }

    #[test]
    fn a_refused_algorithm_comes_with_those_that_would_do() {
        let unknown = parse("refused/alg-none").expect_err("none");
        assert_eq!(unknown.algorithms, ["ES256", "ES384", "ES512", "RS256", "EdDSA"]);
        let unfit = parse("refused/alg-es384-with-p256").expect_err("ES384");
        assert_eq!(unfit.algorithms, ["ES256"]);
    }

    #[test]
    fn a_signature_holds_for_its_key_its_header_and_its_payload_alone() {
        for file in fixture::files("jws/forged") {
            let envelope = parse(&format!("forged/{file}")).expect(&file);
            let KeyRef::Jwk(jwk) = &envelope.header.key else { panic!("{file} has a jwk") };
            let problem = envelope.verify(jwk).expect_err(&file);
            assert_eq!(problem.kind, Kind::Malformed, "{file}");
            assert!(problem.detail.starts_with("JWS verification error"), "{file}: {problem}");
        }
    }

    #[test]
    fn the_key_behind_a_kid_must_fit_the_algorithm_and_be_the_signer() {
        let envelope = parse("accepted/es256-kid").unwrap();
        let unfit = envelope.verify(&key("es384")).expect_err("another curve");
        assert_eq!((unfit.kind, unfit.algorithms), (Kind::BadSignatureAlgorithm, vec!["ES384".to_owned()]));
        assert_eq!(envelope.verify(&key("es256-other")).expect_err("another key").kind, Kind::Malformed);
    }

    #[test]
    fn a_payload_is_one_object_of_the_request() {
        #[derive(Debug, serde::Deserialize)]
        struct Request {
            csr: String,
            #[serde(default)]
            names: Vec<Wire>,
        }
        let read = |payload: &str| payload_json::<Request>(payload.as_bytes());
        let good = read(r#" {"csr":"x","more":{},"names":[{"type":"dns","value":"a","more":1}]} "#).unwrap();
        assert_eq!((good.csr.as_str(), good.names[0].value.as_str()), ("x", "a"));
        for (payload, phrase) in [
            ("", "the payload is empty"),
            (r#"["x"]"#, "not a JSON object"),
            ("null", "not a JSON object"),
            ("{}", "missing field 'csr'"),
            (r#"{"csr":1}"#, "not right: csr: invalid type: integer '1', expected a string"),
            (
                r#"{"csr":"x","names":[{"type":"dns","value":"a"},{"type":"dns","value":[]}]}"#,
                "not right: names[1].value: invalid type: sequence, expected a string",
            ),
            (r#"{"csr":"x","names":["a at line 1"]}"#, "names[0]: invalid type: string"),
            (r#"{"csr":"x","names":[1]}"#, "expected an object with type and value"),
            (r#"{"csr":"x","names":{}}"#, "not right: names: invalid type: map, expected a sequence"),
            (r#"{"csr":"x","csr":"y"}"#, "duplicate field 'csr'"),
            (r#"{"csr":"x"}{}"#, "trailing characters"),
        ] {
            let problem = read(payload).expect_err(payload);
            assert!(problem.kind == Kind::Malformed && problem.detail.contains(phrase), "{problem}");
        }
    }
}
