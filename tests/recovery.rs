//! What a stop left behind is taken up, or comes to a definite end: whatever the clock says, whatever the operator
//! changed meanwhile, and without holding anybody up.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what surprises a test ends it")]

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use acme::challenge::Type;
use acme::id::{AuditId, AuthorizationId, OrderId, Serial};
use acme::order::AuthorizationStatus;
use acme::time::Timestamp;
use acme_ca::clock::Clock;
use acme_ca::config::Config;
use acme_ca::{App, Live, ValidationRequest};
use axum::body::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use store::Store;
use store::audit::{AuditEvent, AuditFilter};
use store::authorization::AcceptChallenge;
use store::certificate::{Certificate, CertificateStatus, Purpose, Which};
use store::issuance::Intend;
use store::order::CreateOrder;

use support::ca::{PATIENCE, PIN_CORP_LAN, POLL};
use support::csr::{Request, ec_key};
use support::flow::{Order, http01, identifiers};
use support::jose::{Key, sign};
use support::servers::Postgres;
use support::{Ca, Client, Reply, Responder, oracle};
use tokio::sync::mpsc;

/// The store beside the server, in which a test writes what a crash would have left.
struct Beside(Store);

impl Beside {
    async fn of(ca: &Ca) -> Self {
        Self(Store::open_existing(ca.store()).await.unwrap())
    }

    /// An order as a crash between its intent and its signature leaves it, at a time by a clock that may be wrong.
    async fn intend(&self, order: &str, csr: &[u8], at: Timestamp) -> Serial {
        let (order, _) = self.0.order_with_authorizations(&order_id(order)).await.unwrap().unwrap();
        let any = self.0.certificates(Which::All, None, 1, 0).await.unwrap().remove(0);
        let serial = Serial::mint(acme_ca::random());
        let certificate = Certificate {
            serial: serial.clone(),
            order: Some(order.id.clone()),
            account: Some(order.account),
            purpose: Purpose::Acme,
            names: order.names,
            issuer: any.issuer,
            spki: [7; 32],
            status: CertificateStatus::Intended,
            tbs: Some(vec![0x30, 0]),
            der: None,
            not_before: at,
            not_after: at.plus(HOUR),
            created_at: at,
            issued_at: None,
            superseded_by: None,
            revocation: None,
            polled_at: None,
            asked: None,
        };
        let audit = event("certificate-intended", at);
        self.0.write(Intend { csr: Some(csr.to_vec()), thumbprint: None, certificate, audit }).await.unwrap();
        serial
    }

    /// The same order once more, but for an end that is over.
    async fn with_a_past_end(&self, order: &str) -> String {
        let (mut order, authorizations) =
            self.0.order_with_authorizations(&order_id(order)).await.unwrap().unwrap();
        order.id = OrderId::mint(now(), acme_ca::random());
        order.not_after = Some(now().minus(Duration::from_secs(1)));
        let links = authorizations.into_iter().map(|authorization| authorization.id).collect();
        let id = order.id.clone();
        self.0.write(CreateOrder { order, authorizations: Vec::new(), links, reuse: None }).await.unwrap();
        id.to_string()
    }

    async fn status(&self, serial: &Serial) -> CertificateStatus {
        self.0.certificate(serial).await.unwrap().unwrap().status
    }
}

fn event(word: &str, at: Timestamp) -> AuditEvent {
    let id = AuditId::mint(at, acme_ca::random());
    AuditEvent { id, at, event: word.into(), account: None, order: None, serial: None, detail: None }
}

fn order_id(url: &str) -> OrderId {
    OrderId::parse(url.rsplit('/').next().unwrap()).unwrap()
}

fn now() -> Timestamp {
    Clock::System.now()
}

/// The clock ran ahead, an order and a validation stopped half-way, and then the clock was set right.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_was_set_back_keeps_nothing_from_being_taken_up() {
    let mut ca = Ca::pinned().await;
    let responder = Responder::start(ca.http_port).await;
    let client = Client::registered(&ca).await.persistent();
    let order = client.ready_order(&["signed.corp.lan"], &responder).await;
    let answered = client.new_order(&["answered.corp.lan"]).await;
    client.publish(&answered, &responder).await;
    let (authorization, _) = client.authorizations(&answered).await.remove(0);
    let authorization = AuthorizationId::parse(authorization.rsplit('/').next().unwrap()).unwrap();
    ca.kill9();

    let beside = Beside::of(&ca).await;
    let ahead = now().plus(HOUR);
    let key = ec_key();
    let intent = beside.intend(&order.url, &Request::new(&["signed.corp.lan"], &key).to_der(), ahead).await;
    let thumbprint = client.key.thumbprint();
    let accept = AcceptChallenge { authorization, challenge: Type::Http01, thumbprint, now: ahead };
    beside.0.write(accept).await.unwrap();
    ca.restart().await;

    let chain = client.certificate(&order).await;
    let leaf = openssl::x509::X509::from_pem(chain.as_bytes()).unwrap();
    assert!(leaf.public_key().unwrap().public_eq(&key), "it is the certificate that was asked for");
    assert_eq!(beside.status(&intent).await, CertificateStatus::Abandoned, "under another serial");
    assert_eq!(client.settled(&answered.url).await["status"], "ready");
    oracle::check(&ca, &[chain]).await;
}

/// What can never be issued ends, with its reason, and takes its intent with it.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_nobody_will_ever_issue_ends_with_its_reason() {
    let mut ca = Ca::pinned().await;
    let responder = Responder::start(ca.http_port).await;
    let client = Client::registered(&ca).await.persistent();
    let denied = client.ready_order(&["denied.corp.lan"], &responder).await;
    let garbled = client.ready_order(&["garbled.corp.lan"], &responder).await;
    let over = client.ready_order(&["over.corp.lan"], &responder).await;
    let good = client.ready_order(&["good.corp.lan"], &responder).await;
    ca.kill9();

    let beside = Beside::of(&ca).await;
    let over = Order { url: beside.with_a_past_end(&over.url).await, ..over };
    let over = Order { url: client.url(&format!("/acme/order/{}", over.url)), ..over };
    let key = ec_key();
    let mut intents = Vec::new();
    for order in [&denied, &garbled, &over, &good] {
        let names: Vec<&str> = order.names.iter().map(String::as_str).collect();
        let csr = if order.url == garbled.url { vec![0x30, 0] } else { Request::new(&names, &key).to_der() };
        intents.push(beside.intend(&order.url, &csr, now()).await);
    }
    ca.configure("[policy]\ndeny = [\"denied.corp.lan\"]");
    ca.restart().await;

    for (order, kind, words) in [
        (&denied, "rejectedIdentifier", "policy.deny"),
        (&garbled, "badCSR", "PKCS #10"),
        (&over, "malformed", "notAfter"),
    ] {
        let body = client.settled(&order.url).await;
        assert_eq!(body["status"], "invalid", "{body}");
        assert_eq!(body["error"]["type"], format!("urn:ietf:params:acme:error:{kind}"), "{body}");
        assert!(body["error"]["detail"].as_str().unwrap().contains(words), "{body}");
        let filter = AuditFilter { order: Some(order_id(&order.url)), ..AuditFilter::default() };
        let events = beside.0.audit(&filter, 10).await.unwrap();
        assert!(events.iter().any(|row| row.event == "order-invalid"), "{events:?}");
        let csr = Request::new(&[&order.names[0]], &key).to_der();
        let reply = client.finalize(order, &csr).await;
        assert_eq!((reply.status, reply.problem_type().as_str()), (403, "orderNotReady"), "{reply}");
    }
    let chain = client.certificate(&good).await;
    for intent in &intents {
        assert_eq!(beside.status(intent).await, CertificateStatus::Abandoned);
    }
    oracle::check(&ca, &[chain]).await;
}

/// RFC 8555 7.4: while one certificate is made, another cannot be asked for; the same one can.
#[tokio::test(flavor = "multi_thread")]
async fn a_finalize_for_another_key_while_one_is_processed_is_refused() {
    let ca = Ca::pinned().await;
    let responder = Responder::start(ca.http_port).await;
    let client = Client::registered(&ca).await;
    let order = client.ready_order(&["busy.corp.lan"], &responder).await;
    let (key, other) = (ec_key(), ec_key());
    let csr = Request::new(&["busy.corp.lan"], &key).to_der();
    let beside = Beside::of(&ca).await;
    // Younger than what the timer looks after: as if it were being signed at this moment.
    beside.intend(&order.url, &csr, now()).await;

    let reply = client.finalize(&order, &Request::new(&["busy.corp.lan"], &other).to_der()).await;
    assert_eq!((reply.status, reply.problem_type().as_str()), (403, "orderNotReady"), "{reply}");
    assert!(reply.text().contains("processing already, for another key"), "{reply}");
    let again = Request { common_name: Some("busy.corp.lan"), ..Request::new(&["busy.corp.lan"], &key) };
    for csr in [csr, again.to_der()] {
        let reply = client.finalize(&order, &csr).await;
        assert_eq!(reply.expect(200)["status"], "processing", "{reply}");
        assert!(reply.header("retry-after").is_some(), "{reply}");
    }
    let body: Value = client.read(&order.url).await.expect(200);
    assert_eq!(body["status"], "processing");
    assert_eq!(body.get("certificate"), None, "{body}");
}

/// The certificates are locked, so the recovery on the timer waits; a validation, which needs none of them, does not.
#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_that_is_held_up_holds_up_no_validation_and_no_stop() {
    let Some(database) = Postgres::database("a_recovery_that_is_held_up") else { return };
    let mut ca = Ca::new();
    ca.configure(PIN_CORP_LAN);
    ca.keep_in(&database.url());
    ca.start().await;
    let responder = Responder::start(ca.http_port).await;
    let client = Client::registered(&ca).await;
    let order = client.new_order(&["quick.corp.lan"]).await;
    let challenge = client.publish(&order, &responder).await.remove(0);

    let lock = database.hold("LOCK TABLE certificate IN ACCESS EXCLUSIVE MODE");
    let deadline = Instant::now() + PATIENCE;
    while database.ask("SELECT count(*) FROM pg_locks WHERE NOT granted") == "0" {
        assert!(Instant::now() < deadline, "the timer does not look after what is left");
        tokio::time::sleep(POLL).await;
    }
    let began = Instant::now();
    client.answer(&challenge).await.expect(200);
    assert_eq!(client.settled(&order.url).await["status"], "ready");
    assert!(began.elapsed() < Duration::from_secs(5), "it took {:?}", began.elapsed());
    let status = tokio::task::block_in_place(|| ca.terminate());
    assert!(status.success(), "{status}");
    drop(lock);
    ca.restart().await;
    oracle::check(&ca, &[]).await;
}

/// The server without its front: requests go straight to the routes, and the test is who validates, or does not.
struct Routes {
    app: Arc<App>,
    service: TowerToHyperService<axum::Router>,
    key: Key,
    kid: Option<String>,
}

impl Routes {
    async fn of(ca: &Ca) -> (Self, mpsc::Receiver<ValidationRequest>) {
        let live = Live::build(Config::load(&ca.config()).unwrap(), now()).unwrap();
        let store = Store::open(ca.store(), &store::Options::default()).await.unwrap();
        let (app, requests) = App::new(live, store, Clock::System);
        let service = TowerToHyperService::new(acme_ca::web::acme(Arc::clone(&app)));
        let mut routes = Self { app, service, key: Key::generate(), kid: None };
        let reply = routes.post("/acme/new-account", json!({})).await;
        routes.kid = Some(reply.header("location").unwrap().to_owned());
        (routes, requests)
    }

    async fn post(&self, at: &str, payload: Value) -> Reply {
        let path = at.strip_prefix(self.app.urls.base()).unwrap_or(at).to_owned();
        let mut protected = json!({"alg": self.key.algorithm(), "nonce": self.app.nonces.mint(), "url": self.app.urls.of(&path)});
        match &self.kid {
            Some(kid) => protected["kid"] = kid.as_str().into(),
            None => protected["jwk"] = self.key.jwk(),
        }
        let payload = if payload.is_null() { String::new() } else { payload.to_string() };
        let jws = sign(&self.key, &protected.to_string(), payload.as_bytes());
        let request = axum::http::Request::post(&path)
            .header("content-type", "application/jose+json")
            .body(Full::<Bytes>::from(jws.to_string()))
            .unwrap();
        let (parts, body) = self.service.call(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Reply { method: "POST".into(), path, status: parts.status.as_u16(), headers: parts.headers, body }
    }

    /// A new order's one challenge, which the responder knows.
    async fn challenge(&self, name: &str, responder: &Responder) -> (AuthorizationId, String) {
        let order =
            self.post("/acme/new-order", json!({"identifiers": identifiers(&[name])})).await.expect(201);
        let url = order["authorizations"][0].as_str().unwrap();
        let challenge = http01(&self.post(url, Value::Null).await.expect(200));
        let token = challenge["token"].as_str().unwrap();
        responder.publish(token, &format!("{token}.{}", self.key.thumbprint()));
        let id = AuthorizationId::parse(url.rsplit('/').next().unwrap()).unwrap();
        (id, challenge["url"].as_str().unwrap().to_owned())
    }
}

/// A server that stops has nobody left to validate. What a client tells it at that moment is kept all the same, and it
/// is told so; the next start does the work.
#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_that_is_answered_while_the_server_stops_is_left_to_the_next_start() {
    let mut ca = Ca::new();
    ca.configure(PIN_CORP_LAN);
    let responder = Responder::start(ca.http_port).await;
    let (routes, mut requests) = Routes::of(&ca).await;
    let (waiting, challenge) = routes.challenge("waiting.corp.lan", &responder).await;
    let nobody = async { drop(requests.recv().await) };
    let (reply, ()) = tokio::join!(routes.post(&challenge, json!({})), nobody);
    assert_eq!(reply.expect(200)["status"], "processing", "it waited in the queue: {reply}");

    let (late, challenge) = routes.challenge("late.corp.lan", &responder).await;
    drop(requests);
    for turn in ["the queue is closed", "and once more"] {
        let reply = routes.post(&challenge, json!({})).await;
        assert_eq!(reply.expect(200)["status"], "processing", "{turn}: {reply}");
        assert!(reply.header("retry-after").is_some(), "{turn}: {reply}");
    }
    routes.app.store.close().await;

    ca.start().await;
    oracle::at_rest(&ca).await;
    let beside = Beside::of(&ca).await;
    for id in [waiting, late] {
        let kept = beside.0.authorization(&id).await.unwrap().unwrap();
        assert_eq!(kept.status, AuthorizationStatus::Valid, "{kept:?}");
    }
    oracle::check(&ca, &[]).await;
}

const HOUR: Duration = Duration::from_secs(3_600);
