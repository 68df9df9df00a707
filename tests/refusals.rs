//! Bad input, row by row: what is wrong, and the problem type, the status and the words that come back. Every refusal
//! leaves things as they were: the account works, the order is still ready, the nonce is not spent by a request whose
//! signature does not hold.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what surprises a test ends it")]

mod support;

use std::time::{Duration, Instant};

use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use serde_json::{Value, json};

use support::csr::{Request, curve_key, ec_key, rsa_key, tampered};
use support::flow::identifiers;
use support::jose::{Draft, Key, b64};
use support::{Ca, Client, Reply, Responder, oracle};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

fn refused(what: &str, reply: &Reply, status: u16, kind: &str, words: &str) {
    assert_eq!((reply.status, reply.problem_type().as_str()), (status, kind), "{what}: {reply}");
    let detail = reply.json()["detail"].as_str().unwrap().to_lowercase();
    assert!(detail.contains(&words.to_lowercase()), "{what}: {words:?} should be in: {detail}");
}

type Jws = (&'static str, fn(&mut Draft), u16, &'static str, &'static str);

/// At a resource that an account reads by POST-as-GET; RFC 8555 6.2 to 6.5.
const BY_ACCOUNT: &[Jws] = &[
    (
        "no protected header",
        |d| d.protected_text = Some("{}".into()),
        400,
        "badSignatureAlgorithm|malformed",
        "alg",
    ),
    ("a header that is a list", |d| d.protected_text = Some("[]".into()), 400, "malformed", "object"),
    ("a header member twice", twice, 400, "malformed", "twice|duplicate"),
    (
        "something behind the header",
        |d| d.protected_text = Some(d.protected.to_string() + "x"),
        400,
        "malformed",
        "",
    ),
    ("alg none", |d| d.set("alg", "none"), 400, "badSignatureAlgorithm", "ES256"),
    ("a MAC", |d| d.set("alg", "HS256"), 400, "badSignatureAlgorithm", "ES256"),
    ("an algorithm that nobody knows", |d| d.set("alg", "XX999"), 400, "badSignatureAlgorithm", "ES256"),
    ("the algorithm of another curve", |d| d.set("alg", "ES384"), 400, "badSignatureAlgorithm", "ES256"),
    ("no alg", |d| d.unset("alg"), 400, "malformed", "alg"),
    ("an alg that is no string", |d| d.set("alg", 7), 400, "malformed", "alg"),
    ("no nonce", |d| d.unset("nonce"), 400, "badNonce", "anti-replay"),
    ("a nonce that is no base64url", |d| d.set("nonce", "a+b/="), 400, "malformed", "base64url"),
    ("an unknown nonce", |d| d.set("nonce", b64(&[7; 40])), 400, "badNonce", "anti-replay"),
    ("no url", |d| d.unset("url"), 400, "malformed", "url"),
    (
        "the url of another resource",
        |d| d.set("url", d.url.replace("order", "authz")),
        403,
        "unauthorized",
        "for https://",
    ),
    (
        "the url in plain http",
        |d| d.set("url", d.url.replace("https", "http")),
        403,
        "unauthorized",
        "for http://",
    ),
    ("the path alone as url", |d| d.set("url", "/acme/order/1"), 403, "unauthorized", "/acme/order/1"),
    ("a jwk where kid is due", Draft::by_jwk, 400, "malformed", "kid"),
    ("jwk and kid", |d| d.set("jwk", d.key.jwk()), 400, "malformed", "both"),
    ("neither jwk nor kid", |d| d.unset("kid"), 400, "malformed", "neither"),
    ("a kid of nobody", by_nobody, 400, "accountDoesNotExist", "newAccount"),
    (
        "a kid of another CA",
        |d| d.set("kid", "https://other.example/acme/acct/1"),
        400,
        "accountDoesNotExist",
        "other.example",
    ),
    ("a kid that is no URL", |d| d.set("kid", "me"), 400, "accountDoesNotExist", "me"),
    ("a kid that is no string", |d| d.set("kid", 1), 400, "malformed", "kid"),
    ("the signature of another key", |d| d.key = Key::generate(), 400, "malformed", "signature"),
    ("crit", |d| d.set("crit", json!(["exp"])), 400, "malformed", "crit"),
    ("b64", |d| d.set("b64", false), 400, "malformed", "b64"),
    (
        "an unprotected header",
        |d| d.bend = Some(|jws| jws["header"] = json!({"alg": "ES256"})),
        400,
        "malformed",
        "header",
    ),
    (
        "the general form",
        |d| d.bend = Some(|jws| *jws = json!({"payload": jws["payload"], "signatures": [jws]})),
        400,
        "malformed",
        "general form",
    ),
    (
        "signatures beside the flattened form",
        |d| d.bend = Some(|jws| jws["signatures"] = json!([])),
        400,
        "malformed",
        "general form",
    ),
    ("no signature", |d| d.bend = Some(|jws| jws["signature"] = "".into()), 400, "malformed", "signature"),
    ("a padded signature", |d| d.bend = Some(pad_the_signature), 400, "malformed", "base64url"),
    (
        "a signature cut short",
        |d| d.bend = Some(|jws| jws["signature"] = jws["signature"].as_str().unwrap()[..40].into()),
        400,
        "malformed",
        "signature",
    ),
    ("no payload", |d| d.bend = Some(drop_the_payload), 400, "malformed", "payload"),
    (
        "a payload that is no string",
        |d| d.bend = Some(|jws| jws["payload"] = json!({})),
        400,
        "malformed",
        "payload",
    ),
    (
        "another payload than was signed",
        |d| d.bend = Some(|jws| jws["payload"] = "e30".into()),
        400,
        "malformed",
        "signature",
    ),
    ("the compact form", |d| d.body = Some(b"eyJ9.e30.c2ln".to_vec()), 400, "malformed", ""),
    ("a list", |d| d.body = Some(b"[]".to_vec()), 400, "malformed", ""),
    (
        "deep nesting",
        |d| d.body = Some([b"[".repeat(60_000), b"]".repeat(60_000)].concat()),
        400,
        "malformed",
        "",
    ),
    ("bytes that are no UTF-8", |d| d.body = Some(vec![0xff; 100]), 400, "malformed", ""),
    (
        "an object where an empty payload is due",
        |d| d.payload = b"{}".to_vec(),
        400,
        "malformed",
        "POST-as-GET",
    ),
];

fn twice(draft: &mut Draft) {
    let text = draft.protected.to_string();
    draft.protected_text = Some(text.replacen('{', "{\"alg\":\"ES256\",", 1));
}

fn by_nobody(draft: &mut Draft) {
    let accounts = draft.protected["kid"].as_str().unwrap().rsplit_once('/').unwrap().0.to_owned();
    draft.set("kid", format!("{accounts}/{}", "0".repeat(28)));
}

fn by_kid(draft: &mut Draft) {
    draft.unset("jwk");
    draft.set("kid", "https://localhost/acme/account/1");
}

fn pad_the_signature(jws: &mut Value) {
    jws["signature"] = format!("{}==", jws["signature"].as_str().unwrap()).into();
}

fn drop_the_payload(jws: &mut Value) {
    jws.as_object_mut().unwrap().remove("payload");
}

/// At newAccount.
const BY_KEY: &[Jws] = &[
    ("a kid where jwk is due", by_kid, 400, "malformed", "jwk"),
    ("a payload that is no JSON", |d| d.payload = b"contact=me".to_vec(), 400, "malformed", "JSON"),
    ("a payload that is a list", |d| d.payload = b"[]".to_vec(), 400, "malformed", "object"),
    ("no payload", |d| d.payload = Vec::new(), 400, "malformed", "payload"),
    (
        "a contact that is no list",
        |d| d.payload = br#"{"contact":"mailto:a@corp.lan"}"#.to_vec(),
        400,
        "malformed",
        "contact: invalid type: string",
    ),
    (
        "an agreement in words",
        |d| d.payload = br#"{"termsOfServiceAgreed":"yes"}"#.to_vec(),
        400,
        "malformed",
        "termsOfServiceAgreed: invalid type: string 'yes', expected a boolean",
    ),
    (
        "a binding that is no object",
        |d| d.payload = br#"{"externalAccountBinding":[]}"#.to_vec(),
        400,
        "malformed",
        "externalAccountBinding: ",
    ),
    (
        "a contact of another kind",
        |d| d.payload = br#"{"contact":["tel:+123"]}"#.to_vec(),
        400,
        "unsupportedContact",
        "mailto",
    ),
    (
        "a contact that is no address",
        |d| d.payload = br#"{"contact":["mailto:nobody"]}"#.to_vec(),
        400,
        "invalidContact",
        "nobody",
    ),
    (
        "several addresses in one contact",
        |d| d.payload = br#"{"contact":["mailto:a@b.lan,c@d.lan"]}"#.to_vec(),
        400,
        "invalidContact",
        "",
    ),
    (
        "header fields in a contact",
        |d| d.payload = br#"{"contact":["mailto:a@b.lan?subject=x"]}"#.to_vec(),
        400,
        "invalidContact",
        "",
    ),
    (
        "a jwk without its members",
        |d| d.set("jwk", json!({"kty": "EC", "crv": "P-256"})),
        400,
        "malformed",
        "x",
    ),
    ("a private key", |d| d.protected["jwk"]["d"] = "AAAA".into(), 400, "malformed|badPublicKey", ""),
    ("a symmetric key", |d| d.set("jwk", json!({"kty": "oct", "k": "AAAA"})), 400, "badPublicKey", "private"),
    (
        "a point that is not on its curve",
        |d| d.protected["jwk"]["x"] = b64(&[1; 32]).into(),
        400,
        "badPublicKey",
        "",
    ),
    (
        "a curve that is not accepted",
        |d| d.protected["jwk"]["crv"] = "secp256k1".into(),
        400,
        "badPublicKey",
        "secp256k1",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn signed_requests_are_judged_strictly() {
    let ca = Ca::pinned().await;
    let client = Client::registered(&ca).await;
    let order = client.new_order(&["jws.corp.lan"]).await;
    for (what, bend, status, kind, words) in BY_ACCOUNT {
        let mut draft = client.draft(&order.url, Value::Null).await;
        bend(&mut draft);
        any_of(what, &client.send(&draft).await, *status, kind, words);
    }
    for (what, bend, status, kind, words) in BY_KEY {
        let mut draft = client.draft("/acme/new-account", json!({})).await;
        draft.key = Key::generate();
        draft.by_jwk();
        bend(&mut draft);
        any_of(what, &client.send(&draft).await, *status, kind, words);
    }
    for (bits, words) in [(1024, "1024"), (1536, "1536")] {
        let weak = Client::with_key(&ca, Key::rsa(bits));
        let reply = weak.post("/acme/new-account", json!({})).await;
        refused("a weak key", &reply, 400, "badPublicKey", words);
    }
    let reply = client.send(&client.draft(&order.url, Value::Null).await).await;
    assert_eq!(reply.expect(200)["status"], "pending", "nothing of this changed anything");
    oracle::check(&ca, &[]).await;
}

/// Several words, any of which will do, stand with `|` between them.
fn any_of(what: &str, reply: &Reply, status: u16, kinds: &str, words: &str) {
    assert_eq!(reply.status, status, "{what}: {reply}");
    assert!(kinds.split('|').any(|kind| kind == reply.problem_type()), "{what}: {kinds}: {reply}");
    let detail = reply.json()["detail"].as_str().unwrap().to_lowercase();
    let said = words.split('|').any(|word| detail.contains(&word.to_lowercase()));
    assert!(said, "{what}: {words:?} should be in: {detail}");
    if reply.problem_type() == "badSignatureAlgorithm" {
        assert!(reply.json()["algorithms"].is_array(), "RFC 8555 6.2 wants the list: {reply}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nonce_is_accepted_once_and_spent_by_good_signatures_alone() {
    let mut ca = Ca::pinned().await;
    let client = Client::registered(&ca).await;
    let draft = client.draft(&client.kid(), json!({})).await;

    let mut forged = draft.clone();
    forged.key = Key::generate();
    refused("forged", &client.send(&forged).await, 400, "malformed", "signature");
    let mut elsewhere = draft.clone();
    elsewhere.set("url", "https://localhost/elsewhere");
    refused("elsewhere", &client.send(&elsewhere).await, 403, "unauthorized", "elsewhere");
    assert_eq!(client.send(&draft).await.status, 200, "the nonce was not spent by those");
    refused("replayed", &client.send(&draft).await, 400, "badNonce", "anti-replay");

    // Many at once with one nonce: one gets through.
    let draft = client.draft(&client.kid(), json!({})).await;
    let clients: Vec<Client> = (0..8).map(|_| Client::new(&ca)).collect();
    let replies = futures_util::future::join_all(clients.iter().map(|other| other.send(&draft))).await;
    let through = replies.iter().filter(|reply| reply.status == 200).count();
    assert_eq!(through, 1, "{:?}", replies.iter().map(|reply| reply.status).collect::<Vec<_>>());

    // Nor does a restart make an old nonce good again.
    let spent = client.draft(&client.kid(), json!({})).await;
    client.send(&spent).await.expect(200);
    ca.kill9();
    ca.restart().await;
    let later = Client::new(&ca);
    refused("after a restart", &later.send(&spent).await, 400, "badNonce", "anti-replay");
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_judged_before_they_are_made() {
    let ca = Ca::pinned().await;
    ca.configure("[policy]\ndeny = [\"secret.corp.lan\"]");
    ca.configure("[profiles]\nweb.challenges = [\"http-01\"]\ndns.challenges = [\"dns-01\"]");
    let mut ca = ca;
    ca.hup().await;
    let client = Client::registered(&ca).await;
    let one = |kind: &str, value: &str| json!({"identifiers": [{"type": kind, "value": value}]});
    let many = |count: usize| {
        let names: Vec<String> = (0..count).map(|n| format!("n{n}.corp.lan")).collect();
        json!({"identifiers": identifiers(&names.iter().map(String::as_str).collect::<Vec<_>>())})
    };
    let long = format!("{}.corp.lan", vec!["a".repeat(60); 5].join("."));
    let label = format!("{}.corp.lan", "a".repeat(64));
    let with = |key: &str, value: Value| {
        let mut order = one("dns", "dated.corp.lan");
        order[key] = value;
        order
    };
    let by = |profile: &str, mut order: Value| {
        order["profile"] = profile.into();
        order
    };
    let rows: Vec<(&str, Value, &str, &str)> = vec![
        ("no identifiers", json!({}), "malformed", "identifiers"),
        ("an empty list", json!({"identifiers": []}), "malformed", "no identifiers"),
        (
            "no list",
            json!({"identifiers": {"type": "dns", "value": "a.corp.lan"}}),
            "malformed",
            "identifiers: invalid type: map, expected a sequence",
        ),
        (
            "a name alone",
            json!({"identifiers": ["a.corp.lan"]}),
            "malformed",
            "identifiers[0]: invalid type: string 'a.corp.lan', expected an object with type and value",
        ),
        (
            "no value",
            json!({"identifiers": [{"type": "dns"}]}),
            "malformed",
            "identifiers[0]: missing field 'value'",
        ),
        (
            "a value that is no string",
            json!({"identifiers": [{"type": "dns", "value": 1}]}),
            "malformed",
            "identifiers[0].value: invalid type: integer '1', expected a string",
        ),
        ("a profile that is no string", with("profile", 1.into()), "malformed", "profile: invalid type"),
        ("101 identifiers", many(101), "malformed", "101"),
        ("another type", one("email", "a@corp.lan"), "unsupportedIdentifier", "email"),
        ("the empty name", one("dns", ""), "malformed", "not a DNS name"),
        ("a space", one("dns", "a b.corp.lan"), "malformed", "not a DNS name"),
        ("an empty label", one("dns", "a..corp.lan"), "malformed", "not a DNS name"),
        ("a hyphen in front", one("dns", "-a.corp.lan"), "malformed", "not a DNS name"),
        ("a port", one("dns", "a.corp.lan:443"), "malformed", "not a DNS name"),
        ("a URL", one("dns", "https://a.corp.lan/"), "malformed", "not a DNS name"),
        ("a name beyond 253 octets", one("dns", &long), "malformed", "253"),
        ("a label beyond 63 octets", one("dns", &label), "malformed", "63"),
        ("letters beyond ASCII", one("dns", "bücher.corp.lan"), "malformed", "xn--"),
        ("control characters", one("dns", "a\u{7}\n.corp.lan"), "malformed", "not a DNS name"),
        ("an asterisk inside", one("dns", "a.*.corp.lan"), "malformed", "not a DNS name"),
        ("half a wildcard", one("dns", "a*.corp.lan"), "malformed", "not a DNS name"),
        ("an address as a name", one("dns", "10.0.0.1"), "malformed", "10.0.0.1"),
        ("no address", one("ip", "300.1.1.1"), "malformed", "300.1.1.1"),
        ("a name as an address", one("ip", "a.corp.lan"), "malformed", "not an IP address"),
        ("an address in another form", one("ip", "::FFFF:127.0.0.1"), "malformed", "127.0.0.1"),
        ("a network", one("ip", "127.0.0.0/8"), "malformed", "not an IP address"),
        ("a name of another domain", one("dns", "www.example.org"), "rejectedIdentifier", "www.example.org"),
        ("a name that only ends like ours", one("dns", "evilcorp.lan"), "rejectedIdentifier", "evilcorp.lan"),
        ("an address that is not permitted", one("ip", "10.0.0.1"), "rejectedIdentifier", "10.0.0.1"),
        ("a denied name", one("dns", "secret.corp.lan"), "rejectedIdentifier", "policy.deny"),
        ("a denied name in capitals", one("dns", "SECRET.corp.LAN"), "rejectedIdentifier", "policy.deny"),
        (
            "a wildcard, which HTTP-01 cannot show",
            by("web", one("dns", "*.corp.lan")),
            "rejectedIdentifier",
            "it could by dns-01",
        ),
        (
            "an address, which DNS cannot show",
            by("dns", one("ip", "127.0.0.1")),
            "rejectedIdentifier",
            "it could by http-01, tls-alpn-01",
        ),
        ("two asterisks", one("dns", "*.*.corp.lan"), "malformed", "not a DNS name"),
        ("nothing but an asterisk", one("dns", "*"), "malformed", "not a DNS name"),
        ("a wildcard of another domain", one("dns", "*.example.org"), "rejectedIdentifier", "example.org"),
        ("a wildcard above ours", one("dns", "*.lan"), "rejectedIdentifier", "*.lan"),
        ("an unknown profile", with("profile", "gold".into()), "invalidProfile", "gold"),
        ("an end in the past", with("notAfter", "2001-01-01T00:00:00Z".into()), "malformed", "notAfter"),
        ("an end that is too late", with("notAfter", "2101-01-01T00:00:00Z".into()), "malformed", "notAfter"),
        (
            "a beginning that is too late",
            with("notBefore", "2101-01-01T00:00:00Z".into()),
            "malformed",
            "notBefore",
        ),
        (
            "a date that is none",
            with("notAfter", "tomorrow".into()),
            "malformed",
            "notAfter: 'tomorrow' is no date and time of RFC 3339, such as 20",
        ),
        ("a predecessor that is no id", with("replaces", "x".into()), "malformed", "replaces: x is no"),
        (
            "a predecessor that is no string",
            with("replaces", 1.into()),
            "malformed",
            "replaces: invalid type",
        ),
        ("a payload that is a string", json!("order"), "malformed", "object"),
    ];
    for (what, payload, kind, words) in rows {
        let reply = client.post("/acme/new-order", payload).await;
        any_of(what, &reply, 400, kind, words);
    }

    let mixed = identifiers(&["good.corp.lan", "bad.example.org", "secret.corp.lan"]);
    let reply = client.post("/acme/new-order", json!({"identifiers": mixed})).await;
    refused("two of three", &reply, 400, "rejectedIdentifier", "bad.example.org");
    let about: Vec<Value> = reply.json()["subproblems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|sub| sub["identifier"]["value"].clone())
        .collect();
    assert_eq!(about, ["bad.example.org", "secret.corp.lan"], "one subproblem for each that is refused");

    assert_eq!(client.post("/acme/new-order", many(100)).await.status, 201, "100 are accepted");
    let doubled = identifiers(&["twice.corp.lan", "twice.corp.lan"]);
    let order = client.post("/acme/new-order", json!({"identifiers": doubled})).await.expect(201);
    assert_eq!(order["authorizations"].as_array().unwrap().len(), 1, "duplicates collapse");
    oracle::check(&ca, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certificate_requests_are_judged_and_the_order_stays_ready() {
    let ca = Ca::pinned().await;
    let client = Client::registered(&ca).await;
    let responder = Responder::start(ca.http_port).await;
    let names = ["a.corp.lan", "b.corp.lan"];
    let early = client.new_order(&names).await;
    let key = ec_key();
    let good = Request::new(&names, &key).to_der();
    let reply = client.finalize(&early, &good).await;
    refused("before its time", &reply, 403, "orderNotReady", "a.corp.lan");

    let order = client.ready_order(&names, &responder).await;
    let of = |names: &[&str]| Request::new(names, &key).to_der();
    let (small, cubed, strange) = (rsa_key(1024, 65_537), rsa_key(2048, 3), curve_key(Nid::SECP256K1));
    let sha1 = Request { digest: MessageDigest::sha1(), ..Request::new(&names, &key) }.to_der();
    let with_email = Request { email: Some("a@corp.lan"), ..Request::new(&names, &key) }.to_der();
    let with_cn = Request { common_name: Some("c.corp.lan"), ..Request::new(&names, &key) }.to_der();
    let cn_words = Request { common_name: Some("My Server"), ..Request::new(&names, &key) }.to_der();
    let pem = openssl::x509::X509Req::from_der(&good).unwrap().to_pem().unwrap();
    let other = Client::registered(&ca).await;
    let gone = Client::registered(&ca).await;
    gone.post(&gone.kid(), json!({"status": "deactivated"})).await.expect(200);
    let [account, other, gone] = [&client, &other, &gone].map(account_key);
    let rows: Vec<(&str, Vec<u8>, &str)> = vec![
        ("nothing", Vec::new(), ""),
        ("garbage", vec![0x30, 0x03, 0x02, 0x01, 0x00], "PKCS #10"),
        ("PEM", pem, "PEM"),
        ("something behind it", [good.clone(), vec![0]].concat(), "follows"),
        ("cut short", good[..good.len() - 1].to_vec(), ""),
        ("a signature that does not hold", tampered(good.clone()), "signature"),
        ("a name that is missing", of(&names[..1]), "b.corp.lan"),
        ("a name too many", of(&["a.corp.lan", "b.corp.lan", "c.corp.lan"]), "c.corp.lan"),
        ("another name", of(&["a.corp.lan", "c.corp.lan"]), "c.corp.lan"),
        ("an address instead", of(&["127.0.0.1"]), "127.0.0.1"),
        ("a wildcard over them", of(&["*.corp.lan"]), "*.corp.lan"),
        ("no names", of(&[]), "name"),
        ("a common name that is not in the order", with_cn, "c.corp.lan"),
        ("a common name that is no name", cn_words, "common name"),
        ("an e-mail address", with_email, "dNSName"),
        ("a signature with SHA-1", sha1, "SHA-1"),
        ("RSA with 1024 bits", Request::new(&names, &small).to_der(), "1024"),
        ("RSA with exponent 3", Request::new(&names, &cubed).to_der(), "65537"),
        ("a curve of another world", Request::new(&names, &strange).to_der(), "P-256"),
        ("the account's own key", Request::new(&names, &account).to_der(), "account key"),
        ("the key of another account", Request::new(&names, &other).to_der(), "account key"),
        ("the key of an account that is gone", Request::new(&names, &gone).to_der(), "account key"),
        ("far too long", [good.clone(), vec![0; 70_000]].concat(), ""),
    ];
    for (what, csr, words) in rows {
        let reply = client.finalize(&order, &csr).await;
        refused(what, &reply, 400, "badCSR", words);
        let body = client.read(&order.url).await.expect(200);
        assert_eq!(body["status"], "ready", "after {what}: {body}");
    }
    let finalize = format!("{}/finalize", order.url);
    for (what, payload, kind, words) in [
        ("no csr", json!({}), "malformed", "missing field 'csr'"),
        ("a csr that is no string", json!({"csr": 1}), "malformed", "csr: invalid type: integer '1'"),
        ("a csr with padding", json!({"csr": "AA=="}), "badCSR", "base64url"),
        ("a csr in base64", json!({"csr": "a+b/"}), "badCSR", "base64url"),
    ] {
        refused(what, &client.post(&finalize, payload).await, 400, kind, words);
    }
    refused("no payload", &client.read(&finalize).await, 400, "malformed", "payload");

    client.finalize(&order, &good).await.expect(200);
    let chain = client.certificate(&order).await;
    let other = Request::new(&names, &ec_key()).to_der();
    refused("another key", &client.finalize(&order, &other).await, 403, "orderNotReady", "new order");
    oracle::check(&ca, &[chain]).await;
}

/// A client's account key, for which it asks a certificate that it must not have.
fn account_key(client: &Client) -> PKey<Private> {
    let Key::Es256(pair) = &client.key else { panic!("the client has a P-256 key") };
    PKey::private_key_from_der(pair.to_pkcs8v1().unwrap().as_ref()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_anothers_is_not_shown() {
    let ca = Ca::pinned().await;
    let (owner, stranger) = (Client::registered(&ca).await, Client::registered(&ca).await);
    let responder = Responder::start(ca.http_port).await;
    let issued = owner.issue(&["mine.corp.lan"], &responder).await;
    let order = owner.read(&issued.order.url).await.expect(200);
    let (authorization, shown) = owner.authorizations(&issued.order).await.remove(0);
    let challenge = support::flow::http01(&shown);
    let account = owner.read(&owner.kid()).await.expect(200);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    for (url, payload) in [
        (issued.order.url.clone(), Value::Null),
        (
            text(&order["finalize"]),
            json!({"csr": b64(&Request::new(&["mine.corp.lan"], &ec_key()).to_der())}),
        ),
        (text(&order["certificate"]), Value::Null),
        (authorization.clone(), Value::Null),
        (authorization, json!({"status": "deactivated"})),
        (text(&challenge["url"]), Value::Null),
        (text(&challenge["url"]), json!({})),
        (owner.kid(), json!({})),
        (owner.kid(), json!({"status": "deactivated"})),
        (text(&account["orders"]), Value::Null),
    ] {
        let reply = stranger.post(&url, payload).await;
        let good = matches!(
            (reply.status, reply.problem_type().as_str()),
            (403, "unauthorized") | (404, "malformed")
        );
        assert!(good, "{reply}");
        assert!(!reply.text().contains("mine.corp.lan"), "not even the name: {reply}");
    }
    assert_eq!(owner.read(&owner.kid()).await.expect(200)["status"], "valid");
    oracle::check(&ca, &[issued.pem]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deactivated_account_can_do_nothing_more() {
    let ca = Ca::pinned().await;
    let client = Client::registered(&ca).await;
    let responder = Responder::start(ca.http_port).await;
    let order = client.ready_order(&["leaving.corp.lan"], &responder).await;
    let waiting = client.new_order(&["waiting.corp.lan"]).await;
    let gone = client.post(&client.kid(), json!({"status": "deactivated"})).await;
    assert_eq!(gone.expect(200)["status"], "deactivated");
    let csr = json!({"csr": b64(&Request::new(&["leaving.corp.lan"], &ec_key()).to_der())});
    for (at, payload) in [
        (client.kid(), json!({})),
        (client.kid(), json!({"status": "valid"})),
        (order.url.clone(), Value::Null),
        (format!("{}/finalize", order.url), csr),
        (waiting.url, Value::Null),
        ("/acme/new-order".to_owned(), json!({"identifiers": identifiers(&["x.corp.lan"])})),
    ] {
        // RFC 8555 7.3.6.
        refused(&at, &client.post(&at, payload).await, 401, "unauthorized", "deactivated");
    }
    // By its key it is not found again either.
    let again = Client::with_key(&ca, client.key.clone()).post("/acme/new-account", json!({})).await;
    let good = matches!(again.status, 401 | 403) && again.problem_type() == "unauthorized";
    assert!(good, "{again}");
    oracle::check(&ca, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authorization_can_be_given_up_and_nothing_else() {
    let ca = Ca::pinned().await;
    let client = Client::registered(&ca).await;
    let order = client.new_order(&["authz.corp.lan"]).await;
    let (url, shown) = client.authorizations(&order).await.remove(0);
    for (payload, words) in [
        (json!({"status": "valid"}), "deactivated"),
        (json!({"status": 1}), "status: invalid type: integer '1', expected a string"),
        (json!({}), "deactivated"),
        (json!([]), "object"),
    ] {
        let reply = client.post(&url, payload.clone()).await;
        refused(&payload.to_string(), &reply, 400, "malformed", words);
    }
    let challenge = support::flow::http01(&shown)["url"].as_str().unwrap().to_owned();
    for payload in [json!([]), json!("yes"), json!(true)] {
        refused(&payload.to_string(), &client.post(&challenge, payload).await, 400, "malformed", "object");
    }
    assert_eq!(client.read(&url).await.expect(200)["status"], "pending");
    assert_eq!(
        client.post(&url, json!({"status": "deactivated"})).await.expect(200)["status"],
        "deactivated"
    );
    let late = client.answer(&challenge).await;
    refused("an answer when it is given up", &late, 400, "malformed", "is deactivated; make a new order");
    let body = client.read(&challenge).await.expect(200);
    assert_eq!((&body["status"], body.get("error")), (&json!("pending"), None), "it never failed: {body}");
    assert_eq!(client.read(&order.url).await.expect(200)["status"], "invalid");
    oracle::check(&ca, &[]).await;
}

/// What a client sends may come back in a detail or reach the log, but never as more than words.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_text_is_made_harmless() {
    let ca = Ca::pinned().await;
    let client = Client::registered(&ca).await;
    let nasty = "x\u{1b}[31m\u{202e}\"\\\r\nWARN forged=1";
    let order = json!({"identifiers": [{"type": "dns", "value": nasty}]});
    let reply = client.post("/acme/new-order", order).await;
    refused("a nasty name", &reply, 400, "malformed", "not a DNS name");
    let order = json!({"identifiers": [{"type": "dns", "value": "a.corp.lan"}], "profile": nasty});
    let reply = client.post("/acme/new-order", order).await;
    refused("a nasty profile", &reply, 400, "invalidProfile", "is not offered");
    let mut draft = client.draft("/acme/new-order", json!({})).await;
    draft.headers.push(("user-agent", "agent \u{9b}31m \"quoted\"".into()));
    draft.set("kid", nasty);
    refused("a nasty kid", &client.send(&draft).await, 400, "accountDoesNotExist", "");
    let log = ca.log();
    assert!(!log.contains('\u{1b}') && !log.contains('\u{202e}') && !log.contains('\u{9b}'), "{log}");
    assert!(
        !log.lines().any(|line| line.trim_start().starts_with("WARN forged")),
        "a line was forged: {log}"
    );
}

/// A POST by its head and as much of its body as is sent, and the head of the answer. The whole is sent before a
/// word is read, as ordinary clients do.
async fn posted(client: &Client, path: &str, headers: &str, body: &[u8]) -> (String, TlsStream<TcpStream>) {
    let exchange = async {
        let mut stream = client.connect().await.expect("a connection");
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/jose+json\r\n{headers}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.expect("the head is taken");
        stream.write_all(body).await.expect("the body is taken");
        stream.flush().await.expect("sent");
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(stream.read_u8().await.expect("an answer, and no broken connection"));
        }
        (String::from_utf8(answer).expect("text"), stream)
    };
    tokio::time::timeout(Duration::from_secs(20), exchange).await.expect("an answer in time")
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_with_an_answer_that_arrives() {
    let ca = Ca::pinned().await;
    let client = Client::new(&ca);
    let large = vec![b' '; 12 << 20];
    for megabytes in [1, 3, 12] {
        let body = &large[..megabytes << 20];
        let length = format!("Content-Length: {}", body.len());
        for (path, status) in [("/acme/new-order", 413), ("/acme/nothing", 404), ("/root.pem", 405)] {
            let (answer, _) = posted(&client, path, &length, body).await;
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status} ")),
                "{megabytes} MiB to {path}: {answer}"
            );
        }
        let chunks = [format!("{:x}\r\n", body.len()).as_bytes(), body, b"\r\n0\r\n\r\n"].concat();
        let (answer, _) = posted(&client, "/acme/new-order", "Transfer-Encoding: chunked", &chunks).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{megabytes} MiB in chunks: {answer}");
    }
}

#[tokio::test]
async fn a_body_that_is_announced_too_large_is_refused_before_it_comes() {
    let ca = Ca::pinned().await;
    let client = Client::new(&ca);
    let began = Instant::now();
    let (answer, _) = posted(&client, "/acme/new-account", "Content-Length: 99999999", b"").await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    // Whoever waits for `100 Continue` is not told to go on.
    let expecting = "Content-Length: 3000000\r\nExpect: 100-continue";
    let (answer, mut stream) = posted(&client, "/acme/new-account", expecting, b"").await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.expect("the connection ends in order");
    assert!(!rest.contains("HTTP/1.1"), "one answer: {rest}");
    assert!(began.elapsed() < Duration::from_secs(5), "at once, and not when the time for a body is over");
    // Of a size that is allowed, it is.
    let expecting = "Content-Length: 2\r\nExpect: 100-continue";
    let (answer, mut stream) = posted(&client, "/acme/new-account", expecting, b"").await;
    assert_eq!(answer, "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"{}").await.expect("sent");
    let mut first = [0; 12];
    stream.read_exact(&mut first).await.expect("an answer");
    assert_eq!(&first, b"HTTP/1.1 400");
}
