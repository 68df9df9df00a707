//! The two doors beside ACME: plain downloads, which must not need TLS to be had, and health with metrics. Nothing else
//! is behind them.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use acme_ca::clock::Clock;
use acme_ca::config::Config;
use acme_ca::serve::{Listeners, Server};
use openssl::x509::X509;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::ca::{PATIENCE, PIN_CORP_LAN};
use crate::support::flow::http01;
use crate::support::ports::free_port;
use crate::support::{Ca, Client, Responder};

/// An answer over plain HTTP.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("UTF-8")
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    fn has(&self, header: &str) -> bool {
        self.head.lines().any(|line| line.eq_ignore_ascii_case(header))
    }
}

/// GET over plain HTTP from a loopback port.
pub(crate) async fn get(port: u16, path: &str) -> Answer {
    ask(port, "GET", path).await
}

async fn ask(port: u16, method: &str, path: &str) -> Answer {
    let exchange = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("a connection");
        let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.expect("read");
        bytes
    };
    let bytes = tokio::time::timeout(PATIENCE, exchange).await.expect("an answer");
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8(bytes[..end].to_vec()).expect("a head is text");
    let status = head.strip_prefix("HTTP/1.1 ").expect("HTTP")[..3].parse().expect("a status");
    Answer { status, head, body: bytes[end + 4..].to_vec() }
}

#[tokio::test]
async fn root_and_issuers_can_be_had_without_tls_and_nothing_else() {
    let (mut ca, plain) = (Ca::new(), free_port());
    ca.configure(&format!("[server]\nplain_listen = [\"127.0.0.1:{plain}\"]"));
    ca.configure(PIN_CORP_LAN);
    ca.start().await;

    let root = std::fs::read(ca.root()).expect("read");
    let pem = get(plain, "/root.pem").await;
    assert_eq!((pem.status, &pem.body), (200, &root));
    assert!(pem.has("content-type: application/x-pem-file"), "{}", pem.head);
    let der = get(plain, "/root.der").await;
    assert_eq!(der.body, X509::from_pem(&root).expect("PEM").to_der().expect("DER"));
    assert!(der.has("content-type: application/pkix-cert"), "{}", der.head);

    // RFC 5280 4.2.2.1: what a leaf says of its issuer leads to the issuer's certificate.
    let (client, responder) = (Client::registered(&ca).await, Responder::start(ca.http_port).await);
    let issued = client.issue(&["aia.corp.lan"], &responder).await;
    let leaf = X509::from_pem(issued.pem.as_bytes()).expect("PEM");
    let access = leaf.authority_info().expect("an AIA extension");
    let url = access.iter().find_map(|access| access.location().uri()).expect("a URL").to_owned();
    let path = url.strip_prefix(&format!("http://localhost:{plain}")).unwrap_or_else(|| panic!("{url}"));
    let issuer = get(plain, path).await;
    assert_eq!(issuer.status, 200, "{url}");
    let chain = X509::stack_from_pem(issued.pem.as_bytes()).expect("PEM");
    assert_eq!(issuer.body, chain[1].to_der().expect("DER"), "{url} is what signed");
    assert!(issuer.has("content-type: application/pkix-cert"), "{}", issuer.head);
    let head = ask(plain, "HEAD", path).await;
    assert_eq!((head.status, head.body.len()), (200, 0));

    let bare = path.trim_end_matches(".der");
    for missing in [
        "/",
        "/acme/directory",
        "/acme/new-nonce",
        "/metrics",
        "/health/ready",
        "/issuer/",
        "/issuer/00.der",
        "/issuer/.der",
        "/issuer/..%2froot.key.der",
        "/issuer/%ff.der",
        bare,
    ] {
        let answer = get(plain, missing).await;
        assert_eq!(answer.status, 404, "{missing}");
        is_problem(&answer, missing);
    }
    for path in ["/root.pem", "/root.der", path] {
        let answer = ask(plain, "POST", path).await;
        assert_eq!(answer.status, 405, "{path}");
        assert!(answer.head.to_ascii_lowercase().contains("allow: get"), "{path}: {}", answer.head);
        is_problem(&answer, path);
    }
}

#[tokio::test]
async fn health_and_metrics_stand_alone_behind_their_door() {
    let ca = Ca::pinned().await;
    let live = get(ca.status_port, "/health/live").await;
    assert_eq!((live.status, live.text().as_str()), (200, "ok\n"));
    let ready = get(ca.status_port, "/health/ready").await;
    let body = ready.json();
    assert_eq!(ready.status, 200, "{body}");
    for part in ["store", "signer", "validation"] {
        assert_eq!(body[part]["ok"], true, "{body}");
    }
    for path in ["/", "/acme/directory", "/root.pem", "/debug"] {
        let answer = get(ca.status_port, path).await;
        assert_eq!(answer.status, 404, "{path}");
        is_problem(&answer, path);
    }
    for path in ["/health/live", "/health/ready", "/metrics"] {
        let answer = ask(ca.status_port, "POST", path).await;
        assert_eq!(answer.status, 405, "{path}");
        is_problem(&answer, path);
    }
}

#[tokio::test]
async fn what_keeps_a_ca_from_issuing_is_told_by_readiness() {
    let ca = Ca::new();
    let clock = Clock::standing_at(Clock::System.now());
    let config = Config::load(&ca.config()).expect("a configuration");
    let server = Server::start(config, Listeners::none(), clock.clone()).await.expect("it starts");
    assert_eq!(get(ca.status_port, "/health/ready").await.status, 200);
    let beyond = server.app().live().ca.issuers()[0].not_after().plus(Duration::from_secs(1));
    clock.set(beyond);
    let ready = get(ca.status_port, "/health/ready").await;
    let body = ready.json();
    assert_eq!(ready.status, 503, "{body}");
    assert_eq!(body["signer"]["ok"], false, "{body}");
    let why = body["signer"]["why"].as_str().unwrap_or_default();
    assert!(why.contains("no issuer is valid now") && why.contains(&beyond.to_string()), "{why}");
    assert_eq!(body["store"]["ok"], true, "the others are not accused: {body}");
    assert_eq!(get(ca.status_port, "/health/live").await.status, 200, "but the process lives");
    server.stop().await;
}

#[tokio::test]
async fn an_outage_of_validation_is_told_while_it_lasts_and_not_for_ever() {
    let ca = Ca::new();
    ca.configure(PIN_CORP_LAN).configure("[validation]\npatience = \"0s\"");
    let began = Clock::System.now();
    let clock = Clock::standing_at(began);
    let config = Config::load(&ca.config()).expect("a configuration");
    let server = Server::start(config, Listeners::none(), clock.clone()).await.expect("it starts");
    let client = Client::registered(&ca).await;
    // Nobody is there to answer: every connection is refused.
    for name in ["a.corp.lan", "b.corp.lan", "c.corp.lan"] {
        let order = client.new_order(&[name]).await;
        let (_, shown) = client.authorizations(&order).await.remove(0);
        client.answer(http01(&shown)["url"].as_str().expect("a URL")).await.expect(200);
        assert_eq!(client.settled(&order.url).await["status"], "invalid");
    }
    let ready = async || get(ca.status_port, "/health/ready").await;
    let failing = async || {
        let text = get(ca.status_port, "/metrics").await.text();
        let line = text.lines().find(|line| line.starts_with("ca_validation_failing_names "));
        line.expect("it is counted").rsplit(' ').next().expect("a number").to_owned()
    };
    let said = ready().await;
    assert_eq!((said.status, failing().await.as_str()), (503, "3"), "{}", said.text());
    clock.set(began.plus(Duration::from_secs(29 * 60)));
    assert_eq!(ready().await.status, 503, "it may well last");
    // Nobody tries any more, so nothing is known of now.
    clock.set(began.plus(Duration::from_secs(31 * 60)));
    let said = ready().await;
    assert_eq!((said.status, failing().await.as_str()), (200, "0"), "{}", said.text());
    server.stop().await;
}

#[tokio::test]
async fn metrics_are_in_the_form_that_prometheus_reads() {
    let ca = Ca::pinned().await;
    let (client, responder) = (Client::registered(&ca).await, Responder::start(ca.http_port).await);
    client.issue(&["metrics.corp.lan"], &responder).await;
    client.plain("GET", "/nowhere").await;
    let answer = get(ca.status_port, "/metrics").await;
    assert!(answer.has("content-type: text/plain; version=0.0.4; charset=utf-8"), "{}", answer.head);
    let text = answer.text();
    let samples = parsed(&text);
    // The server's own certificate is none that somebody asked for, but it is issued all the same.
    assert!(samples["ca_certificates_issued_total"] >= 1.0, "{text}");
    assert!(samples["ca_validations_total"] >= 1.0, "{text}");
    assert!(samples["ca_store_commits_total"] >= 5.0, "{text}");
    assert_eq!(samples["ca_http_requests_total{route=\"/acme/new-order\",code=\"201\"}"], 1.0, "{text}");
    assert_eq!(samples["ca_http_requests_total{route=\"none\",code=\"404\"}"], 1.0, "{text}");
    assert!(!text.contains("corp.lan"), "names are no labels: {text}");
}

/// Reads the text format 0.0.4 strictly: HELP and TYPE once a family and before its samples, no sample twice.
fn parsed(text: &str) -> HashMap<String, f64> {
    assert!(text.ends_with('\n'), "the last line ends");
    let (mut helped, mut typed) = (HashSet::new(), HashMap::new());
    let mut samples = HashMap::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a help");
            assert!(helped.insert(name.to_owned()) && !help.is_empty(), "{line}");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a type");
            assert!(matches!(kind, "counter" | "gauge"), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            assert!(typed.insert(name.to_owned(), kind.to_owned()).is_none(), "{line}");
        } else {
            let (name, value) = line.rsplit_once(' ').expect("a value");
            let family = name.split('{').next().expect("a name");
            assert!(helped.contains(family) && typed.contains_key(family), "HELP and TYPE first: {line}");
            assert!(family.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{line}");
            labels(name.strip_prefix(family).expect("a prefix"), line);
            let value = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
            assert!(samples.insert(name.to_owned(), value).is_none(), "twice: {line}");
        }
    }
    samples
}

fn labels(labels: &str, line: &str) {
    if labels.is_empty() {
        return;
    }
    let inner =
        labels.strip_prefix('{').and_then(|l| l.strip_suffix('}')).unwrap_or_else(|| panic!("{line}"));
    for label in inner.split(',') {
        let (name, value) = label.split_once('=').unwrap_or_else(|| panic!("{line}"));
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{line}");
        let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
        assert!(value.is_some_and(|value| !value.contains(['"', '\\'])), "{line}");
    }
}

fn is_problem(answer: &Answer, what: &str) {
    assert!(answer.has("content-type: application/problem+json"), "{what}: {}", answer.head);
    assert_eq!(answer.json()["status"], answer.status, "{what}");
}
