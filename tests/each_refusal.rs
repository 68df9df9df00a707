//! Every refusal that an RFC names, one row each: where it is named, the request, and the status and type that come back.
//! What a failed validation leaves in a challenge has no status of its own. The last lines make sure that every type that
//! this program knows is met here. The variants of each, with the words, are in `refusals.rs` and beside what they refuse.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what surprises a test ends it")]

mod support;

use std::collections::BTreeSet;
use std::process::Command;

use acme::problem::Kind::{self, *};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use support::alpn::{AlpnResponder, certificate};
use support::csr::{Request, ec_key, rsa_key};
use support::dns::{Answer, DnsServer};
use support::flow::{Order, certificate_id, challenge, identifiers};
use support::jose::{Draft, Key, b64, sign};
use support::responder::Mood;
use support::{Ca, Client, Reply, Responder, oracle};

/// The rows so far.
#[derive(Default)]
struct Table(BTreeSet<&'static str>);

impl Table {
    #[track_caller]
    fn row(&mut self, section: &str, what: &str, status: u16, kind: Kind, reply: &Reply) {
        let found = (reply.status, reply.problem_type());
        assert_eq!(found, (status, kind.name().to_owned()), "{section}, {what}: {reply}");
        assert_eq!(reply.json()["status"], status, "{section}, {what}: {reply}");
        self.0.insert(kind.name());
    }

    /// The error of a challenge, which is also that of its order.
    #[track_caller]
    fn failed(&mut self, section: &str, what: &str, kind: Kind, error: &Value) {
        assert_eq!(error["type"], kind.urn(), "{section}, {what}: {error}");
        self.0.insert(kind.name());
    }
}

/// A client, and something of its own to ask for.
struct World {
    ca: Ca,
    client: Client,
    dns: DnsServer,
    responder: Responder,
    order: Order,
}

impl World {
    /// Names are looked up at a name server of ours, and CAA is heeded.
    async fn new() -> Self {
        let dns = DnsServer::start().await;
        for name in ["lan", "corp.lan"] {
            dns.set(name, Answer::NxDomain);
        }
        for name in ["a.corp.lan", "b.corp.lan", "c.corp.lan"] {
            dns.set(name, Answer::with_caa(&[]));
        }
        let mut ca = Ca::new();
        ca.configure(&format!("[resolver]\nservers = [\"{}\"]", dns.address()));
        ca.configure("[validation]\ncaa = true\npatience = \"1s\"\nallow_networks = [\"127.0.0.0/8\"]");
        ca.configure(
            "[policy]\ndeny = [\"secret.corp.lan\"]\n[profiles.default]\n[profiles.short]\nlifetime = \"7d\"",
        );
        ca.start().await;
        let responder = Responder::start(ca.http_port).await;
        let client = Client::registered(&ca).await;
        let order = client.new_order(&["a.corp.lan"]).await;
        Self { ca, client, dns, responder, order }
    }

    /// A read of an order with something wrong in its envelope.
    async fn bent(&self, bend: impl FnOnce(&mut Draft)) -> Reply {
        let mut draft = self.client.draft(&self.order.url, Value::Null).await;
        bend(&mut draft);
        self.client.send(&draft).await
    }

    /// newAccount by a key that has none yet.
    async fn new_account(&self, payload: Value, bend: impl FnOnce(&mut Draft)) -> Reply {
        let mut draft = self.client.draft(NEW_ACCOUNT, payload).await;
        draft.key = Key::generate();
        draft.by_jwk();
        bend(&mut draft);
        self.client.send(&draft).await
    }

    async fn new_order(&self, payload: Value) -> Reply {
        self.client.post(NEW_ORDER, payload).await
    }

    /// Why a validation of the name failed.
    async fn failure(&self, name: &str, kind: &str) -> Value {
        let order = self.client.new_order(&[name]).await;
        let (url, shown) = self.client.authorizations(&order).await.remove(0);
        let chosen = challenge(&shown, kind)["url"].as_str().unwrap().to_owned();
        self.client.answer(&chosen).await.expect(200);
        assert_eq!(self.client.settled(&order.url).await["status"], "invalid");
        assert_eq!(self.client.read(&url).await.expect(200)["status"], "invalid");
        self.client.read(&chosen).await.expect(200)["error"].clone()
    }
}

fn order_for(names: &[&str]) -> Value {
    json!({"identifiers": identifiers(names)})
}

async fn envelopes(table: &mut Table, w: &World) {
    let rfc = "RFC 8555 6.2";
    table.row(rfc, "another content type", 415, Malformed, &w.bent(|d| d.content_type = None).await);
    table.row(
        rfc,
        "the compact form",
        400,
        Malformed,
        &w.bent(|d| d.body = Some(b"e30.e30.AA".to_vec())).await,
    );
    let general = |d: &mut Draft| d.bend = Some(|jws| jws["signatures"] = json!([]));
    table.row(rfc, "several signatures", 400, Malformed, &w.bent(general).await);
    let unprotected = |d: &mut Draft| d.bend = Some(|jws| jws["header"] = json!({}));
    table.row(rfc, "an unprotected header", 400, Malformed, &w.bent(unprotected).await);
    table.row(rfc, "jwk and kid", 400, Malformed, &w.bent(|d| d.set("jwk", d.key.jwk())).await);
    table.row(rfc, "neither jwk nor kid", 400, Malformed, &w.bent(|d| d.unset("kid")).await);
    table.row(rfc, "jwk where kid is due", 400, Malformed, &w.bent(Draft::by_jwk).await);
    table.row(rfc, "no signature by this key", 400, Malformed, &w.bent(|d| d.key = Key::generate()).await);
    let mac = w.bent(|d| d.set("alg", "HS256")).await;
    table.row(rfc, "a MAC", 400, BadSignatureAlgorithm, &mac);
    assert!(mac.json()["algorithms"].as_array().is_some_and(|list| !list.is_empty()), "{mac}");
    table.row(rfc, "none", 400, BadSignatureAlgorithm, &w.bent(|d| d.set("alg", "none")).await);
    let weak = Client::with_key(&w.ca, Key::rsa(1024)).post(NEW_ACCOUNT, json!({})).await;
    table.row(rfc, "a weak account key", 400, BadPublicKey, &weak);

    let get = w.client.plain("GET", &w.order.url).await;
    table.row("RFC 8555 6.3", "GET of what is read by POST", 405, Malformed, &get);
    let object = w.bent(|d| d.payload = b"{}".to_vec()).await;
    table.row("RFC 8555 6.3", "a payload in POST-as-GET", 400, Malformed, &object);
    let elsewhere = w.bent(|d| d.set("url", "https://localhost/elsewhere")).await;
    table.row("RFC 8555 6.4", "the url of something else", 403, Unauthorized, &elsewhere);
    table.row("RFC 8555 6.5", "no nonce", 400, BadNonce, &w.bent(|d| d.unset("nonce")).await);
    table.row("RFC 8555 6.5", "a nonce of nobody", 400, BadNonce, &w.bent(|d| d.set("nonce", "AAAA")).await);
    table.row(
        "RFC 8555 6.5.1",
        "a nonce that is no base64url",
        400,
        Malformed,
        &w.bent(|d| d.set("nonce", "+")).await,
    );
    let twice = w.client.draft(&w.order.url, Value::Null).await;
    w.client.send(&twice).await.expect(200);
    table.row("RFC 8555 6.5", "a nonce that was used", 400, BadNonce, &w.client.send(&twice).await);
    let nobody = |d: &mut Draft| d.set("kid", format!("{}/acme/account/{}", w.ca.base(), "0".repeat(28)));
    table.row("RFC 8555 6.7", "a kid of no account", 400, AccountDoesNotExist, &w.bent(nobody).await);
    let missing = w.client.read(&format!("/acme/order/{}", "0".repeat(28))).await;
    table.row("RFC 8555 6.7", "what is not there", 404, Malformed, &missing);
    let large = w.bent(|d| d.body = Some(vec![b' '; 128 * 1024 + 1])).await;
    table.row("RFC 9110 15.5.14", "a body that is too large", 413, Malformed, &large);
}

async fn accounts(table: &mut Table, w: &World) {
    let with = |contact: &str| json!({"contact": [contact]});
    let keep = |_: &mut Draft| {};
    let fax = w.new_account(with("tel:+1"), keep).await;
    table.row("RFC 8555 7.3", "a contact of another scheme", 400, UnsupportedContact, &fax);
    let nowhere = w.new_account(with("mailto:nobody"), keep).await;
    table.row("RFC 8555 7.3", "a contact that is no address", 400, InvalidContact, &nowhere);
    let fields = w.new_account(with("mailto:a@b.lan?subject=x"), keep).await;
    table.row("RFC 8555 7.3", "header fields in a contact", 400, InvalidContact, &fields);
    let unknown = w.new_account(json!({"onlyReturnExisting": true}), keep).await;
    table.row("RFC 8555 7.3.1", "a look-up of no account", 400, AccountDoesNotExist, &unknown);

    let change = |key: Key, old: Value, account: String| {
        let protected = json!({"alg": key.algorithm(), "jwk": key.jwk(), "url": w.client.url(KEY_CHANGE)});
        let payload = json!({"account": account, "oldKey": old}).to_string();
        sign(&key, &protected.to_string(), payload.as_bytes())
    };
    let other = Client::registered(&w.ca).await;
    let own = || (w.client.key.jwk(), w.client.kid());
    let taken = w.client.post(KEY_CHANGE, change(other.key.clone(), own().0, own().1)).await;
    table.row("RFC 8555 7.3.5", "a key that another account has", 409, Malformed, &taken);
    assert_eq!(taken.header("location"), Some(other.kid().as_str()));
    let old = w.client.post(KEY_CHANGE, change(Key::generate(), other.key.jwk(), own().1)).await;
    table.row("RFC 8555 7.3.5", "an old key that is not the account's", 400, Malformed, &old);
    let account = w.client.post(KEY_CHANGE, change(Key::generate(), own().0, other.kid())).await;
    table.row("RFC 8555 7.3.5", "the account of another", 400, Malformed, &account);

    let strange = other.read(&w.client.kid()).await;
    table.row("RFC 8555 7.3", "the account of another, read", 403, Unauthorized, &strange);
    other.post(&other.kid(), json!({"status": "deactivated"})).await.expect(200);
    let gone = other.read(&other.kid()).await;
    table.row("RFC 8555 7.3.6", "an account that was given up", 401, Unauthorized, &gone);
    let again = w
        .new_account(json!({}), |d| {
            d.key = other.key.clone();
            d.by_jwk();
        })
        .await;
    table.row("RFC 8555 7.3.1", "newAccount by its key", 403, Unauthorized, &again);
}

async fn orders(table: &mut Table, w: &World) {
    let with = |member: &str, value: Value| {
        let mut order = order_for(&["b.corp.lan"]);
        order[member] = value;
        order
    };
    let rfc = "RFC 8555 7.4";
    table.row(rfc, "no identifiers", 400, Malformed, &w.new_order(json!({"identifiers": []})).await);
    let email = json!({"identifiers": [{"type": "email", "value": "a@corp.lan"}]});
    table.row(rfc, "another type of identifier", 400, UnsupportedIdentifier, &w.new_order(email).await);
    table.row(
        rfc,
        "a name against policy",
        400,
        RejectedIdentifier,
        &w.new_order(order_for(&["secret.corp.lan"])).await,
    );
    table.row(
        rfc,
        "an end in the past",
        400,
        Malformed,
        &w.new_order(with("notAfter", "2001-01-01T00:00:00Z".into())).await,
    );
    let mixed = json!({"identifiers": [
        {"type": "dns", "value": "secret.corp.lan"}, {"type": "email", "value": "a@corp.lan"}]});
    let mixed = w.new_order(mixed).await;
    table.row("RFC 8555 6.7.1", "two names, each for its reason", 400, Compound, &mixed);
    assert_eq!(mixed.json()["subproblems"].as_array().unwrap().len(), 2, "{mixed}");
    table.row(
        "RFC 8555 9.7.7",
        "a name that is none",
        400,
        Malformed,
        &w.new_order(order_for(&["a_b.corp.lan"])).await,
    );
    table.row(
        "RFC 8555 7.1.4",
        "a wildcard in the middle",
        400,
        Malformed,
        &w.new_order(order_for(&["a.*.corp.lan"])).await,
    );
    let mapped = json!({"identifiers": [{"type": "ip", "value": "::ffff:127.0.0.1"}]});
    table.row("RFC 8738 3", "an address in another form", 400, Malformed, &w.new_order(mapped).await);
    table.row(
        "draft-ietf-acme-profiles 4",
        "a profile that is not offered",
        400,
        InvalidProfile,
        &w.new_order(with("profile", "gold".into())).await,
    );
    let wildcard = json!({"identifier": {"type": "dns", "value": "*.corp.lan"}});
    table.row(
        "RFC 8555 7.4.1",
        "newAuthz for a wildcard",
        400,
        Malformed,
        &w.client.post("/acme/new-authz", wildcard).await,
    );
    let stranger = Client::registered(&w.ca).await;
    table.row("RFC 8555 10.5", "the order of another", 403, Unauthorized, &stranger.read(&w.order.url).await);
}

async fn finalizing(table: &mut Table, w: &World) {
    let key = ec_key();
    let csr = |names: &[&str]| Request::new(names, &key).to_der();
    let early = w.client.finalize(&w.order, &csr(&["a.corp.lan"])).await;
    table.row("RFC 8555 7.4", "finalize before it is ready", 403, OrderNotReady, &early);
    w.client.make_ready(&w.order, &w.responder).await;
    let rfc = "RFC 8555 7.4";
    table.row(
        rfc,
        "other names than the order's",
        400,
        BadCsr,
        &w.client.finalize(&w.order, &csr(&["b.corp.lan"])).await,
    );
    table.row(rfc, "no request at all", 400, BadCsr, &w.client.finalize(&w.order, b"x").await);
    let weak = Request::new(&["a.corp.lan"], &rsa_key(1024, 65_537)).to_der();
    table.row(rfc, "a weak key", 400, BadCsr, &w.client.finalize(&w.order, &weak).await);
    let Key::Es256(pair) = &w.client.key else { panic!("the client has a P-256 key") };
    let own = openssl::pkey::PKey::private_key_from_der(pair.to_pkcs8v1().unwrap().as_ref()).unwrap();
    let own = Request::new(&["a.corp.lan"], &own).to_der();
    table.row("RFC 8555 11.1", "the account key", 400, BadCsr, &w.client.finalize(&w.order, &own).await);
}

async fn authorizations(table: &mut Table, w: &World) {
    let order = w.client.new_order(&["b.corp.lan"]).await;
    let (url, shown) = w.client.authorizations(&order).await.remove(0);
    let chosen = challenge(&shown, "http-01")["url"].as_str().unwrap().to_owned();
    let valid = w.client.post(&url, json!({"status": "valid"})).await;
    table.row("RFC 8555 7.5.2", "another state than deactivated", 400, Malformed, &valid);
    table.row(
        "RFC 8555 7.5.1",
        "an answer that is no object",
        400,
        Malformed,
        &w.client.post(&chosen, json!([])).await,
    );
    let stranger = Client::registered(&w.ca).await;
    table.row("RFC 8555 7.5", "the authorization of another", 403, Unauthorized, &stranger.read(&url).await);
    w.client.post(&url, json!({"status": "deactivated"})).await.expect(200);
    table.row(
        "RFC 8555 7.5.1",
        "an answer when it is given up",
        400,
        Malformed,
        &w.client.answer(&chosen).await,
    );
}

async fn validations(table: &mut Table, w: &World) {
    let names = ["gone", "broken", "forbidden", "unsure", "wrong", "closed", "plain", "other"];
    let [gone, broken, forbidden, unsure, wrong, closed, plain, other] =
        names.map(|n| format!("{n}.corp.lan"));
    w.dns.set(&gone, Answer::NxDomain);
    w.dns.set(&broken, Answer::ServFail);
    for name in [&wrong, &closed, &plain, &other] {
        w.dns.set(name, Answer::with_caa(&[]));
    }
    table.failed("RFC 8555 6.7", "no such name", Dns, &w.failure(&gone, "http-01").await);
    table.failed("RFC 8555 6.7", "a name server that cannot", Dns, &w.failure(&broken, "dns-01").await);
    w.responder.be(Mood::Body("something else".into()));
    table.failed("RFC 8555 8.3", "another body", IncorrectResponse, &w.failure(&wrong, "http-01").await);
    let txt = Answer::texts(&["something else"]);
    w.dns.set(&format!("_acme-challenge.{wrong}"), txt);
    table.failed("RFC 8555 8.4", "another TXT record", IncorrectResponse, &w.failure(&wrong, "dns-01").await);

    // Nobody listens; then one without TLS; then one with the certificate of another challenge.
    table.failed("RFC 8737 3", "nobody listens", Connection, &w.failure(&closed, "tls-alpn-01").await);
    let at = format!("127.0.0.1:{}", w.ca.tls_port);
    let listener = TcpListener::bind(&at).await.unwrap();
    let error = tokio::select! {
        error = w.failure(&plain, "tls-alpn-01") => error,
        () = speak_plainly(&listener) => panic!("it listens for ever"),
    };
    table.failed("RFC 8737 3", "no TLS", Tls, &error);
    drop(listener);
    let alpn = AlpnResponder::start(&at).await;
    let (shown, key) = certificate(&other, Some(&[7; 32]));
    alpn.show(&acme::identifier::Identifier::dns(&other).unwrap(), shown, &key);
    table.failed(
        "RFC 8737 3",
        "the certificate of another",
        Unauthorized,
        &w.failure(&other, "tls-alpn-01").await,
    );

    // Control is shown, and CAA says no.
    for (name, answer, kind) in [
        (&forbidden, Answer::with_caa(&["0 issue ;"]), Caa),
        (
            &unsure,
            Answer::ByRecord(
                vec![(support::dns::CAA_RECORD, Answer::ServFail)],
                Box::new(Answer::addresses(&["127.0.0.1"])),
            ),
            Dns,
        ),
    ] {
        w.dns.set(name, answer);
        let order = w.client.new_order(&[name]).await;
        w.responder.be(Mood::Answer);
        let chosen = w.client.publish(&order, &w.responder).await.remove(0);
        w.client.answer(&chosen).await.expect(200);
        assert_eq!(w.client.settled(&order.url).await["status"], "invalid");
        table.failed("RFC 8659 3", name, kind, &w.client.read(&chosen).await.expect(200)["error"]);
    }
}

async fn speak_plainly(listener: &TcpListener) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    }
}

async fn certificates(table: &mut Table, w: &World) {
    let key = ec_key();
    let issued = w.client.issue_for(&["c.corp.lan"], &key, &w.responder).await;
    let id = certificate_id(&issued.pem);
    let replacing = |names: &[&str], id: &str| {
        let mut order = order_for(names);
        order["replaces"] = id.into();
        order
    };
    let stranger = Client::registered(&w.ca).await;
    let strange = {
        let order = w.client.read(&issued.order.url).await.expect(200);
        stranger.read(order["certificate"].as_str().unwrap()).await
    };
    table.row("RFC 8555 7.4.2", "the certificate of another", 403, Unauthorized, &strange);
    table.row(
        "RFC 9773 5",
        "an id that is none",
        400,
        Malformed,
        &w.new_order(replacing(&["c.corp.lan"], "x")).await,
    );
    table.row(
        "RFC 9773 5",
        "no name in common",
        400,
        Malformed,
        &w.new_order(replacing(&["b.corp.lan"], &id)).await,
    );
    let foreign = stranger.post(NEW_ORDER, replacing(&["c.corp.lan"], &id)).await;
    table.row("RFC 9773 5", "the certificate of another", 403, Unauthorized, &foreign);
    let next = w.client.new_order_with(&["c.corp.lan"], json!({"replaces": id})).await;
    w.client.finish(next, &ec_key(), &w.responder).await;
    table.row(
        "RFC 9773 5",
        "a certificate with a successor",
        409,
        AlreadyReplaced,
        &w.new_order(replacing(&["c.corp.lan"], &id)).await,
    );
    let unknown = w.client.plain("GET", "/acme/renewal-info/aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE").await;
    table.row("RFC 9773 4.1", "a certificate that is not ours", 404, Malformed, &unknown);
    let no_id = w.client.plain("GET", "/acme/renewal-info/AAAA").await;
    table.row("RFC 9773 4.1", "an id that is none", 400, Malformed, &no_id);

    let revoke = async |client: &Client, reason| client.post(REVOKE, issued.revocation(reason)).await;
    table.row(
        "RFC 8555 7.6",
        "by whom it does not concern",
        403,
        Unauthorized,
        &revoke(&stranger, None).await,
    );
    table.row(
        "RFC 8555 7.6",
        "a reason that is not accepted",
        400,
        BadRevocationReason,
        &revoke(&w.client, Some(6)).await,
    );
    let foreign = json!({"certificate": b64(&openssl::x509::X509::from_pem(&std::fs::read(w.ca.root()).unwrap()).unwrap().to_der().unwrap())});
    table.row(
        "RFC 8555 7.6",
        "what was not issued here",
        404,
        Malformed,
        &w.client.post(REVOKE, foreign).await,
    );
    assert_eq!(revoke(&w.client, None).await.status, 200);
    table.row("RFC 8555 7.6", "a second time", 400, AlreadyRevoked, &revoke(&w.client, None).await);
}

/// What only other settings refuse.
async fn settings(table: &mut Table) {
    let mut ca = Ca::new();
    ca.configure(
        "[accounts]\nexternal_account_required = true\nterms_of_service = \"https://corp.lan/terms\"",
    );
    ca.start().await;
    let client = Client::new(&ca);
    let reply = client.post(NEW_ACCOUNT, json!({})).await;
    table.row("RFC 8555 7.3.3", "no agreement to the terms", 403, UserActionRequired, &reply);
    let agreed = json!({"termsOfServiceAgreed": true});
    let reply = client.post(NEW_ACCOUNT, agreed.clone()).await;
    table.row("RFC 8555 7.3.4", "no external account", 403, ExternalAccountRequired, &reply);
    let protected = json!({"alg": "HS256", "kid": "nobody", "url": client.url(NEW_ACCOUNT)}).to_string();
    let binding = json!({"protected": b64(protected.as_bytes()), "payload": b64(client.key.jwk().to_string().as_bytes()), "signature": b64(&[7; 32])});
    let with = |binding: &Value| {
        let mut body = agreed.clone();
        body["externalAccountBinding"] = binding.clone();
        body
    };
    let reply = client.post(NEW_ACCOUNT, with(&binding)).await;
    table.row("RFC 8555 7.3.4", "an external account that is not there", 403, Unauthorized, &reply);
    let mut other = binding.clone();
    other["payload"] = b64(Key::generate().jwk().to_string().as_bytes()).into();
    table.row(
        "RFC 8555 7.3.4",
        "a binding of another key",
        400,
        Malformed,
        &client.post(NEW_ACCOUNT, with(&other)).await,
    );

    let mut ca = Ca::new();
    ca.configure("[limits]\nnew_accounts = \"1/1h\"");
    ca.start().await;
    let client = Client::registered(&ca).await;
    let reply = Client::new(&ca).post(NEW_ACCOUNT, json!({"termsOfServiceAgreed": true})).await;
    table.row("RFC 8555 6.6", "one account too many", 429, RateLimited, &reply);

    // Something breaks inside, which an operator is told and a client is not.
    let file = ca.path("ca.db");
    let broken =
        Command::new("sqlite3").arg(file).arg("ALTER TABLE orders RENAME TO elsewhere").status().unwrap();
    assert!(broken.success());
    let reply = client.read(&format!("/acme/order/{}", "0".repeat(28))).await;
    table.row("RFC 8555 6.7", "a store that cannot", 500, ServerInternal, &reply);
    assert!(!reply.text().contains("orders"), "{reply}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_refusal_of_the_rfcs_has_its_type_and_its_status() {
    let mut table = Table::default();
    let world = World::new().await;
    envelopes(&mut table, &world).await;
    accounts(&mut table, &world).await;
    orders(&mut table, &world).await;
    finalizing(&mut table, &world).await;
    authorizations(&mut table, &world).await;
    validations(&mut table, &world).await;
    certificates(&mut table, &world).await;
    settings(&mut table).await;
    let all: BTreeSet<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
    assert_eq!(table.0, all, "types with a row, then all types");
    oracle::check(&world.ca, &[]).await;
}

const NEW_ACCOUNT: &str = "/acme/new-account";
const NEW_ORDER: &str = "/acme/new-order";
const KEY_CHANGE: &str = "/acme/key-change";
const REVOKE: &str = "/acme/revoke-cert";
