//! Revocation from the request to the list that others read: RFC 8555 7.6, RFC 5280 5. OpenSSL judges the lists.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what surprises a test ends it")]

mod support;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use acme::time::Timestamp;
use acme_ca::clock::Clock;
use acme_ca::config::Config;
use acme_ca::serve::{Listeners, Server};
use acme_ca::tasks::publish_lists;
use openssl::pkey::{PKey, Private};
use openssl::x509::{CrlStatus, X509Crl};
use serde_json::{Value, json};
use store::Store;
use store::audit::AuditFilter;
use support::ca::{PATIENCE, POLL, text};
use support::csr::{Request, ec_key, rsa_key};
use support::flow::Issued;
use support::jose::{Key, b64};
use support::servers::Postgres;
use support::{Ca, Client, Reply, Responder, oracle, ports};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A CA with a plain listener, so that leaves say where the list is.
struct World {
    ca: Ca,
    plain: u16,
    responder: Responder,
}

impl World {
    async fn new() -> Self {
        let mut ca = Ca::new();
        let plain = ports::free_port();
        ca.configure(support::ca::PIN_CORP_LAN)
            .configure(&format!("[server]\nplain_listen = [\"127.0.0.1:{plain}\"]"));
        ca.start().await;
        let responder = Responder::start(ca.http_port).await;
        Self { ca, plain, responder }
    }

    /// GET over plain HTTP: status, headers, body.
    async fn get(&self, path: &str, headers: &str) -> (u16, String, Vec<u8>) {
        get(self.plain, "GET", path, headers).await
    }

    /// The path of the list that a certificate points to.
    fn list_of(&self, issued: &Issued) -> String {
        let shown = String::from_utf8(issued.leaf().to_text().unwrap()).unwrap();
        let points = shown.split("CRL Distribution Points").nth(1).expect("a distribution point");
        let url = points.split("URI:").nth(1).unwrap().split_whitespace().next().unwrap();
        let path = url.strip_prefix(&format!("http://localhost:{}", self.plain));
        path.unwrap_or_else(|| panic!("{url} is on the plain listener")).to_owned()
    }

    /// The list, once it says what it should.
    async fn list_that(&self, path: &str, enough: impl Fn(&X509Crl) -> bool) -> X509Crl {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (status, _, body) = self.get(path, "").await;
            assert_eq!(status, 200);
            let list = X509Crl::from_der(&body).unwrap();
            if enough(&list) {
                return list;
            }
            assert!(Instant::now() < deadline, "{}", described(&list));
            tokio::time::sleep(POLL).await;
        }
    }

    async fn list_with(&self, issued: &Issued) -> X509Crl {
        self.list_that(&self.list_of(issued), |list| is_revoked(list, issued)).await
    }

    fn verify(&self, issued: &Issued, list: &X509Crl) -> (bool, String) {
        let (leaf, crl) = (self.ca.path("leaf.pem"), self.ca.path("list.pem"));
        std::fs::write(&leaf, &issued.pem).unwrap();
        std::fs::write(&crl, list.to_pem().unwrap()).unwrap();
        let mut verify = Command::new("openssl");
        verify.args(["verify", "-crl_check", "-x509_strict", "-CAfile"]).arg(self.ca.root());
        verify.arg("-untrusted").arg(&leaf).arg("-CRLfile").arg(&crl).arg(&leaf);
        let output = verify.output().unwrap();
        (output.status.success(), text(&output))
    }

    /// What the trail says of the revocation of a certificate, which it does once.
    async fn trail(&self, serial: &str) -> Value {
        let store = Store::open_existing(self.ca.store()).await.unwrap();
        let filter = AuditFilter { serial: acme::id::Serial::parse(serial), ..AuditFilter::default() };
        let mut rows = store.audit(&filter, 100).await.unwrap();
        store.close().await;
        rows.retain(|row| row.event == "certificate-revoked");
        assert_eq!(rows.len(), 1, "{rows:?}");
        rows.remove(0).detail.unwrap()
    }

    /// How `ca-ctl` shows a certificate.
    fn shown(&self, issued: &Issued) -> Value {
        self.ca.ctl_items(&["show", &issued.serial()]).remove(0)
    }
}

async fn get(port: u16, method: &str, path: &str, headers: &str) -> (u16, String, Vec<u8>) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request =
        format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head, answer[end + 4..].to_vec())
}

fn is_revoked(list: &X509Crl, issued: &Issued) -> bool {
    let serial = issued.leaf();
    matches!(list.get_by_serial(serial.serial_number()), CrlStatus::Revoked(_))
}

/// What `openssl crl` says of a list.
fn described(list: &X509Crl) -> String {
    let mut program = Command::new("openssl");
    program.args(["crl", "-inform", "DER", "-noout", "-text"]);
    let mut child = program.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&list.to_der().unwrap()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    text(&output)
}

fn number(list: &X509Crl) -> u64 {
    let shown = described(list);
    let at = shown.split("CRL Number:").nth(1).expect("a number").trim_start();
    at.split_whitespace().next().unwrap().parse().unwrap()
}

fn header<'a>(head: &'a str, name: &str) -> &'a str {
    let line = head.lines().find(|l| l.to_ascii_lowercase().starts_with(&format!("{name}: ")));
    line.unwrap_or_else(|| panic!("{name} is in {head}")).split_once(": ").unwrap().1
}

fn refused(reply: &Reply, status: u16, kind: &str, words: &str) {
    assert_eq!((reply.status, reply.problem_type().as_str()), (status, kind), "{reply}");
    assert!(reply.json()["detail"].as_str().unwrap().contains(words), "{words:?}: {reply}");
}

/// A request that the certificate's own key signs.
async fn by_key(client: &Client, key: &PKey<Private>, payload: Value) -> Reply {
    let mut draft = client.draft("/acme/revoke-cert", payload).await;
    draft.key = Key::Rs256(key.clone());
    draft.by_jwk();
    client.send(&draft).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_account_that_ordered_it_revokes_and_everybody_learns() {
    let world = World::new().await;
    let client = Client::registered(&world.ca).await;
    let gone = client.issue(&["gone.corp.lan"], &world.responder).await;
    let stays = client.issue(&["stays.corp.lan"], &world.responder).await;
    let directory = client.plain("GET", "/acme/directory").await.expect(200);
    assert_eq!(directory["revokeCert"], client.url("/acme/revoke-cert"));
    let before = world.list_that(&world.list_of(&gone), |list| !is_revoked(list, &gone)).await;
    assert!(world.verify(&gone, &before).0);

    let reply = client.post("/acme/revoke-cert", gone.revocation(Some(4))).await;
    assert_eq!((reply.status, reply.body.len()), (200, 0), "{reply}");
    let after = world.list_with(&gone).await;
    let shown = described(&after);
    assert!(shown.contains("Superseded") && number(&after) > number(&before), "{shown}");
    let (verified, said) = world.verify(&gone, &after);
    assert!(!verified && said.contains("revoked"), "{said}");
    assert!(world.verify(&stays, &after).0, "the other one is as good as before");

    let item = world.shown(&gone);
    assert_eq!((&item["state"], &item["revocation_reason"]), (&json!("revoked"), &json!("superseded")));
    let expiring = world.ca.ctl_items(&["list-expiring", "--all"]);
    assert!(expiring.iter().all(|item| item["name"] != "gone.corp.lan"), "nobody has to renew it");
    let detail = world.trail(&gone.serial()).await;
    assert_eq!(detail["by"], "account", "{detail}");
    assert!(client.kid().ends_with(detail["asked_by"].as_str().unwrap()), "{detail}");

    let again = client.post("/acme/revoke-cert", gone.revocation(None)).await;
    refused(&again, 400, "alreadyRevoked", "superseded");
    let upgrade = client.post("/acme/revoke-cert", gone.revocation(Some(1))).await;
    refused(&upgrade, 400, "alreadyRevoked", "superseded");
    // A renewal is a new certificate, and a good one.
    let renewed = client.issue(&["gone.corp.lan"], &world.responder).await;
    assert!(world.verify(&renewed, &after).0);
    oracle::check(&world.ca, &[gone.pem, stays.pem, renewed.pem]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_holder_of_the_key_revokes_all_its_certificates_and_ends_the_key() {
    let mut world = World::new().await;
    let key = rsa_key(2048, 65_537);
    let (client, other) = (Client::registered(&world.ca).await, Client::registered(&world.ca).await);
    let first = client.issue_for(&["first.corp.lan"], &key, &world.responder).await;
    let old = client.issue_for(&["old.corp.lan"], &key, &world.responder).await;
    let foreign = other.issue_for(&["foreign.corp.lan"], &key, &world.responder).await;
    let unrelated = other.issue(&["unrelated.corp.lan"], &world.responder).await;
    assert_eq!(client.post("/acme/revoke-cert", old.revocation(None)).await.status, 200);

    // Somebody without an account; the reason that they give does not matter.
    let nobody = Client::new(&world.ca);
    let stranger = rsa_key(2048, 65_537);
    let wrong = by_key(&nobody, &stranger, first.revocation(None)).await;
    refused(&wrong, 403, "unauthorized", "not the certificate's");
    let reply = by_key(&nobody, &key, first.revocation(Some(5))).await;
    assert_eq!((reply.status, reply.body.len()), (200, 0), "{reply}");
    let list = world.list_with(&first).await;
    assert!(is_revoked(&list, &foreign) && is_revoked(&list, &old) && !is_revoked(&list, &unrelated));
    for issued in [&first, &foreign] {
        assert_eq!(world.shown(issued)["revocation_reason"], "keyCompromise");
    }
    assert_eq!(world.shown(&old)["revocation_reason"], "unspecified");
    // What was revoked for less is upgraded, once.
    assert_eq!(by_key(&nobody, &key, old.revocation(None)).await.status, 200);
    assert_eq!(world.shown(&old)["revocation_reason"], "keyCompromise");
    refused(&by_key(&nobody, &key, old.revocation(None)).await, 400, "alreadyRevoked", "keyCompromise");

    for restarted in [false, true] {
        if restarted {
            world.ca.kill9();
            world.ca.restart().await;
        }
        let client = Client::registered(&world.ca).await;
        let order = client.ready_order(&["again.corp.lan"], &world.responder).await;
        let csr = Request::new(&["again.corp.lan"], &key).to_der();
        refused(&client.finalize(&order, &csr).await, 400, "badCSR", "blocked");
        assert_eq!(client.read(&order.url).await.expect(200)["status"], "ready", "another key will do");
        let register = Client::with_key(&world.ca, Key::Rs256(key.clone()));
        let account = register.post("/acme/new-account", json!({})).await;
        refused(&account, 400, "badPublicKey", "blocked");
        let list = world.list_with(&first).await;
        assert!(is_revoked(&list, &foreign), "and the lists say the same");
    }
    // An account cannot change to it either.
    let url = client.url("/acme/key-change");
    let new = Key::Rs256(key.clone());
    let protected = json!({"alg": "RS256", "jwk": new.jwk(), "url": url});
    let payload = json!({"account": client.kid(), "oldKey": client.key.jwk()}).to_string();
    let inner = support::jose::sign(&new, &protected.to_string(), payload.as_bytes());
    refused(&client.persistent().post(&url, inner).await, 400, "badPublicKey", "blocked");
    oracle::check(&world.ca, &[first.pem, old.pem, foreign.pem, unrelated.pem]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_account_that_ordered_it_can_report_its_key_as_compromised() {
    let world = World::new().await;
    let client = Client::registered(&world.ca).await;
    let key = ec_key();
    let lost = client.issue_for(&["lost.corp.lan"], &key, &world.responder).await;
    let same = client.issue_for(&["same.corp.lan"], &key, &world.responder).await;
    assert_eq!(client.post("/acme/revoke-cert", lost.revocation(Some(1))).await.status, 200);
    assert!(is_revoked(&world.list_with(&lost).await, &same));
    let order = client.ready_order(&["lost.corp.lan"], &world.responder).await;
    let csr = Request::new(&["lost.corp.lan"], &key).to_der();
    refused(&client.finalize(&order, &csr).await, 400, "badCSR", "compromised");
    oracle::check(&world.ca, &[lost.pem, same.pem]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_account_revokes_once_it_holds_every_name() {
    let world = World::new().await;
    let (client, other) = (Client::registered(&world.ca).await, Client::registered(&world.ca).await);
    let issued = client.issue(&["one.corp.lan", "two.corp.lan"], &world.responder).await;
    refused(
        &other.post("/acme/revoke-cert", issued.revocation(None)).await,
        403,
        "unauthorized",
        "one.corp.lan",
    );
    other.ready_order(&["one.corp.lan"], &world.responder).await;
    let half = other.post("/acme/revoke-cert", issued.revocation(None)).await;
    refused(&half, 403, "unauthorized", "no valid authorization for two.corp.lan");
    // An order that waits is no authorization.
    let order = other.new_order(&["two.corp.lan"]).await;
    refused(
        &other.post("/acme/revoke-cert", issued.revocation(None)).await,
        403,
        "unauthorized",
        "two.corp.lan",
    );
    for challenge in other.publish(&order, &world.responder).await {
        other.answer(&challenge).await;
    }
    other.settled(&order.url).await;
    let claim = other.post("/acme/revoke-cert", issued.revocation(Some(1))).await;
    refused(&claim, 403, "unauthorized", "holder of its key");
    assert_eq!(other.post("/acme/revoke-cert", issued.revocation(Some(5))).await.status, 200);
    world.list_with(&issued).await;
    let detail = world.trail(&issued.serial()).await;
    assert_eq!(
        (&detail["by"], &detail["reason"]),
        (&json!("authorizations"), &json!("cessationOfOperation"))
    );
    oracle::check(&world.ca, &[issued.pem]).await;
}

/// What is wrong, the payload, and what comes back.
#[tokio::test(flavor = "multi_thread")]
async fn each_refusal_of_a_revocation_has_its_type() {
    let world = World::new().await;
    let client = Client::registered(&world.ca).await;
    let issued = client.issue(&["kept.corp.lan"], &world.responder).await;
    let der = issued.leaf().to_der().unwrap();
    let with = |der: &[u8]| json!({"certificate": b64(der)});
    let mut forged = der.clone();
    *forged.last_mut().unwrap() ^= 1;
    let foreign = World::new().await;
    let foreign_client = Client::registered(&foreign.ca).await;
    let elsewhere = foreign_client.issue(&["kept.corp.lan"], &foreign.responder).await;
    let rows = [
        ("no certificate", json!({}), 400, "malformed", "certificate"),
        ("no base64url", json!({"certificate": "=="}), 400, "malformed", "base64url"),
        ("PEM", json!({"certificate": issued.pem}), 400, "malformed", "not PEM"),
        ("no certificate in it", with(b"hello"), 400, "malformed", "not a certificate in DER"),
        ("something behind it", with(&[&der[..], b"x"].concat()), 400, "malformed", "not a certificate"),
        ("another signature", with(&forged), 404, "malformed", "does not exist"),
        ("of another CA", elsewhere.revocation(None), 404, "malformed", "does not exist"),
        ("reason 7", issued.revocation(Some(7)), 400, "badRevocationReason", "0, 1, 3, 4, 5, 9"),
        ("the compromise of a CA", issued.revocation(Some(2)), 400, "badRevocationReason", "2"),
        ("a hold", issued.revocation(Some(6)), 400, "badRevocationReason", "6"),
        ("a removal", issued.revocation(Some(8)), 400, "badRevocationReason", "8"),
        ("below zero", issued.revocation(Some(-1)), 400, "badRevocationReason", "-1"),
        ("beyond every code", issued.revocation(Some(1 << 40)), 400, "badRevocationReason", ""),
    ];
    for (what, payload, status, kind, words) in rows {
        let reply = client.post("/acme/revoke-cert", payload).await;
        assert_eq!((reply.status, reply.problem_type().as_str()), (status, kind), "{what}: {reply}");
        assert!(reply.json()["detail"].as_str().unwrap().contains(words), "{what}: {reply}");
    }
    let mut text_reason = issued.revocation(None);
    text_reason["reason"] = "superseded".into();
    refused(&client.post("/acme/revoke-cert", text_reason).await, 400, "malformed", "");
    // RFC 8555 7.3.6: a deactivated account does nothing any more.
    let leaver = Client::registered(&world.ca).await;
    let left = leaver.issue(&["left.corp.lan"], &world.responder).await;
    leaver.post(&leaver.kid(), json!({"status": "deactivated"})).await.expect(200);
    refused(
        &leaver.post("/acme/revoke-cert", left.revocation(None)).await,
        401,
        "unauthorized",
        "deactivated",
    );
    // Nothing of all this revoked anything.
    assert_eq!(world.shown(&issued)["state"], "fresh");
    let with_null = json!({"certificate": b64(&der), "reason": null});
    assert_eq!(client.post("/acme/revoke-cert", with_null).await.status, 200);
    let list = world.list_with(&issued).await;
    let shown = described(&list);
    assert!(!shown.contains("Reason"), "what is unspecified is left out: {shown}");
    oracle::check(&world.ca, &[issued.pem, left.pem]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_a_resource_that_caches_can_keep() {
    let world = World::new().await;
    let client = Client::registered(&world.ca).await;
    let issued = client.issue(&["cached.corp.lan"], &world.responder).await;
    let path = world.list_of(&issued);
    let (status, head, body) = world.get(&path, "").await;
    assert_eq!((status, header(&head, "content-type")), (200, "application/pkix-crl"), "{head}");
    assert!(header(&head, "cache-control").contains("max-age="), "{head}");
    let (tag, modified) = (header(&head, "etag"), header(&head, "last-modified"));
    let verified = X509Crl::from_der(&body).unwrap();
    let shown = described(&verified);
    assert!(shown.contains("Version 2") && shown.contains("No Revoked Certificates"), "{shown}");

    for (condition, known) in [
        (format!("If-None-Match: {tag}\r\n"), true),
        (format!("If-None-Match: \"other\", W/{tag}\r\n"), true),
        ("If-None-Match: *\r\n".to_owned(), true),
        (format!("If-Modified-Since: {modified}\r\n"), true),
        ("If-None-Match: \"other\"\r\n".to_owned(), false),
        (format!("If-None-Match: \"other\"\r\nIf-Modified-Since: {modified}\r\n"), false),
        ("If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n".to_owned(), false),
        ("If-Modified-Since: lately\r\n".to_owned(), false),
    ] {
        let (status, head, body) = world.get(&path, &condition).await;
        assert_eq!((status, body.is_empty()), if known { (304, true) } else { (200, false) }, "{condition}");
        assert_eq!(header(&head, "etag"), tag, "{condition}");
    }
    let (status, _, body) = get(world.plain, "HEAD", &path, "").await;
    assert_eq!((status, body.len()), (200, 0));

    // Over TLS too, by the same name.
    let reply = client.plain("GET", &path).await;
    assert_eq!((reply.status, reply.body), (200, verified.to_der().unwrap()));
    for missing in
        ["/crl/0011.crl", "/crl/.crl", "/crl/x", "/crl/%ff", "/crl/%ff.crl", &path.replace(".crl", "")]
    {
        assert_eq!(world.get(missing, "").await.0, 404, "{missing}");
        refused(&client.plain("GET", missing).await, 404, "malformed", "does not exist");
    }
    client.post("/acme/revoke-cert", issued.revocation(None)).await;
    world.list_with(&issued).await;
    let (status, head, _) = world.get(&path, &format!("If-None-Match: {tag}\r\n")).await;
    assert_eq!(status, 200, "another list, another tag: {head}");
    oracle::check(&world.ca, &[issued.pem]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_plain_listener_a_leaf_points_nowhere() {
    let ca = Ca::pinned().await;
    let (client, responder) = (Client::registered(&ca).await, Responder::start(ca.http_port).await);
    let issued = client.issue(&["plain.corp.lan"], &responder).await;
    let shown = String::from_utf8(issued.leaf().to_text().unwrap()).unwrap();
    assert!(!shown.contains("CRL Distribution") && !shown.contains("CA Issuers"), "{shown}");
    oracle::check(&ca, &[issued.pem]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_operator_revokes_is_published_within_seconds() {
    let world = World::new().await;
    let client = Client::registered(&world.ca).await;
    let key = ec_key();
    let named = client.issue(&["named.corp.lan"], &world.responder).await;
    let keyed = client.issue_for(&["keyed.corp.lan"], &key, &world.responder).await;
    let began = Instant::now();
    let items = world.ca.ctl_items(&["revoke", "named.corp.lan", "--reason", "privilegeWithdrawn"]);
    assert_eq!((items.len(), &items[0]["revocation_reason"]), (1, &json!("privilegeWithdrawn")));
    let list = world.list_with(&named).await;
    assert!(described(&list).contains("Privilege Withdrawn"));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let detail = world.trail(&named.serial()).await;
    assert_eq!(detail["by"], "operator", "{detail}");

    let file = world.ca.path("lost.pem");
    std::fs::write(&file, key.public_key_to_pem().unwrap()).unwrap();
    let items = world.ca.ctl_items(&["revoke", "--key", file.to_str().unwrap()]);
    assert_eq!(items[0]["serial"], keyed.serial());
    world.list_with(&keyed).await;
    let order = client.ready_order(&["keyed.corp.lan"], &world.responder).await;
    let csr = Request::new(&["keyed.corp.lan"], &key).to_der();
    refused(&client.finalize(&order, &csr).await, 400, "badCSR", "blocked");
    oracle::check(&world.ca, &[named.pem, keyed.pem]).await;
}

/// Requests for certificates of a key, while its holder says that it is lost: none of them slips through.
#[tokio::test(flavor = "multi_thread")]
async fn no_certificate_of_a_key_slips_through_while_it_is_blocked() {
    let world = World::new().await;
    for round in 0..5 {
        let key = rsa_key(2048, 65_537);
        let client = Client::registered(&world.ca).await;
        let name = format!("lost{round}.corp.lan");
        let lost = client.issue_for(&[&name], &key, &world.responder).await;
        let mut orders = Vec::new();
        for number in 0..8 {
            let name = format!("n{number}.r{round}.corp.lan");
            orders.push((client.ready_order(&[&name], &world.responder).await, name));
        }
        let finalizing = orders.iter().map(|(order, name)| {
            let csr = Request::new(&[name.as_str()], &key).to_der();
            let client = &client;
            async move { client.finalize(order, &csr).await }
        });
        let nobody = Client::new(&world.ca);
        let payload = lost.revocation(None);
        let (replies, revoked) =
            futures_util::join!(futures_util::future::join_all(finalizing), by_key(&nobody, &key, payload));
        assert_eq!(revoked.status, 200, "{revoked}");
        for reply in &replies {
            assert!(reply.status == 200 || reply.problem_type() == "badCSR", "{reply}");
        }
    }
    let issued = world.ca.ctl_items(&["list", "--all"]);
    for item in issued.iter().filter(|item| item["purpose"] == "acme") {
        assert_eq!(item["state"], "revoked", "{item}");
    }
    oracle::check(&world.ca, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_keeps_what_is_revoked_too() {
    let Some(database) = Postgres::database("postgresql_keeps_what_is_revoked_too") else { return };
    let mut ca = Ca::new();
    ca.configure(support::ca::PIN_CORP_LAN);
    ca.keep_in(&database.url());
    ca.start().await;
    let (client, responder) = (Client::registered(&ca).await, Responder::start(ca.http_port).await);
    let other = Client::registered(&ca).await;
    let mut all = Vec::new();
    for name in ["account.corp.lan", "other.corp.lan", "operator.corp.lan"] {
        all.push(client.issue(&[name], &responder).await);
    }
    assert_eq!(client.post("/acme/revoke-cert", all[0].revocation(Some(1))).await.status, 200);
    other.ready_order(&["other.corp.lan"], &responder).await;
    assert_eq!(other.post("/acme/revoke-cert", all[1].revocation(Some(3))).await.status, 200);
    ca.ctl_items(&["revoke", "operator.corp.lan"]);
    let path = format!("/crl/{}.crl", ca.ctl_items(&["list"])[0]["issuer"].as_str().unwrap());
    let deadline = Instant::now() + PATIENCE;
    loop {
        let list = X509Crl::from_der(&client.plain("GET", &path).await.body).unwrap();
        if all.iter().all(|issued| is_revoked(&list, issued)) {
            break;
        }
        assert!(Instant::now() < deadline, "{}", described(&list));
        tokio::time::sleep(POLL).await;
    }
    oracle::check(&ca, &all.into_iter().map(|issued| issued.pem).collect::<Vec<_>>()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_names_what_goes_and_is_asked_before_much_does() {
    let mut world = World::new().await;
    let client = Client::registered(&world.ca).await;
    let first = client.issue(&["several.corp.lan"], &world.responder).await;
    let second = client.issue(&["several.corp.lan", "more.corp.lan"], &world.responder).await;
    let third = client.issue(&["third.corp.lan"], &world.responder).await;
    assert!(world.ca.terminate().success(), "all of it works without a server");
    let says = |arguments: &[&str]| {
        let output = world.ca.ctl(arguments);
        (output.status.code().unwrap(), text(&output))
    };
    let (code, said) = says(&["revoke", "several.corp.lan"]);
    assert!(code == 1 && said.contains("2 certificates") && said.contains("--yes"), "{said}");
    assert!(said.contains(&first.serial()) && said.contains(&second.serial()), "{said}");
    let (code, said) = says(&["revoke", &first.serial().to_uppercase()]);
    assert!(code == 0 && said.contains(&first.serial()), "{said}");
    let (code, said) = says(&["revoke", &first.serial()]);
    assert!(code == 1 && said.contains("revoked already") && said.contains("unspecified"), "{said}");
    let (code, said) = says(&["revoke", &first.serial(), "--reason", "KEYCOMPROMISE"]);
    assert!(code == 0 && said.contains("keyCompromise"), "{said}");
    let (code, said) = says(&["revoke", "nobody.corp.lan"]);
    assert!(code == 1 && said.contains("no certificate of nobody.corp.lan"), "{said}");
    let (code, said) = says(&["revoke", "third.corp.lan", "--reason", "boredom"]);
    assert!(code == 64 && said.contains("cessationOfOperation"), "{said}");
    assert_eq!(says(&["revoke"]).0, 64);
    assert_eq!(says(&["revoke", "third.corp.lan", "--account", "x"]).0, 64);
    let (code, said) = says(&["revoke", "--account", "0011223344556677889900112233"]);
    assert!(code == 1 && said.contains("no account"), "{said}");
    let (code, said) = says(&["revoke", "--key", "/nowhere"]);
    assert!(code == 1 && said.contains("/nowhere"), "{said}");

    let kid = client.kid();
    let (code, said) = says(&["revoke", "--account", &kid]);
    assert!(code == 1 && said.contains("2 certificates"), "what is revoked is not counted: {said}");
    let items = world.ca.ctl_items(&["revoke", "--account", &kid, "--reason", "superseded", "--yes"]);
    let mut serials: Vec<&str> = items.iter().map(|item| item["serial"].as_str().unwrap()).collect();
    let (second_serial, third_serial) = (second.serial(), third.serial());
    let mut wanted = [second_serial.as_str(), third_serial.as_str()];
    serials.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(serials, wanted);

    world.ca.restart().await;
    let path = world.list_of(&first);
    let all = [&first, &second, &third];
    world.list_that(&path, |list| all.iter().all(|issued| is_revoked(list, issued))).await;
    oracle::check(&world.ca, &[first.pem, second.pem, third.pem]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_own_certificate_is_replaced_when_it_is_revoked() {
    let world = World::new().await;
    let own = |ca: &Ca| ca.ctl_items(&["show", "localhost"])[0]["serial"].as_str().unwrap().to_owned();
    let before = own(&world.ca);
    world.ca.ctl_items(&["revoke", "localhost"]);
    let deadline = Instant::now() + PATIENCE;
    while own(&world.ca) == before {
        assert!(Instant::now() < deadline, "{}", world.ca.log());
        tokio::time::sleep(POLL).await;
    }
    assert_eq!(world.ca.ctl_items(&["show", &before])[0]["state"], "revoked");
    let client = Client::new(&world.ca);
    client.plain("GET", "/acme/directory").await.expect(200);
}

/// A server in this process, by a clock that the test sets.
struct Timed {
    ca: Ca,
    clock: Clock,
    server: Server,
    began: Timestamp,
}

impl Timed {
    async fn new(configuration: &str) -> Self {
        let ca = Ca::new();
        ca.configure(configuration);
        let began = Clock::System.now();
        let clock = Clock::standing_at(began);
        let config = Config::load(&ca.config()).unwrap();
        let server = Server::start(config, Listeners::none(), clock.clone()).await.unwrap();
        Self { ca, clock, server, began }
    }

    async fn hours(&self, hours: u64) {
        self.clock.set(self.began.plus(Duration::from_secs(hours * 3_600)));
        publish_lists(self.server.app()).await.unwrap();
    }

    /// The list of the issuer at this place, over TLS.
    async fn list(&self, place: usize) -> X509Crl {
        let id = self.server.app().live().ca.issuers()[place].id().to_owned();
        let list = self.server.app().lists.of(&id).expect("a list");
        X509Crl::from_der(&list.der).unwrap()
    }

    fn seconds(&self, time: &openssl::asn1::Asn1TimeRef) -> i64 {
        let epoch = openssl::asn1::Asn1Time::from_unix(0).unwrap();
        let since = epoch.diff(time).unwrap();
        i64::from(since.days) * 86_400 + i64::from(since.secs)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_made_anew_every_day_long_before_it_is_over_and_its_number_rises() {
    let world = Timed::new("").await;
    let first = world.list(0).await;
    assert_eq!(world.seconds(first.last_update()), world.began.unix());
    assert_eq!(world.seconds(first.next_update().unwrap()), world.began.unix() + 7 * 86_400);
    world.hours(23).await;
    assert_eq!(number(&world.list(0).await), number(&first), "nothing changed, and it is good for days");
    world.hours(24).await;
    let second = world.list(0).await;
    assert!(number(&second) > number(&first));
    assert_eq!(world.seconds(second.last_update()), world.began.unix() + 86_400);
    // The clock was set back: the list would be of the future.
    world.hours(2).await;
    let third = world.list(0).await;
    assert!(number(&third) > number(&second));
    assert_eq!(world.seconds(third.last_update()), world.began.unix() + 7_200);
    world.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_stays_until_one_list_after_the_end_of_its_certificate() {
    let world = Timed::new("[profiles.default]\nlifetime = \"36h\"").await;
    let app = world.server.app();
    let serial = app.own().unwrap().serial.clone();
    let output = world.ca.ctl(&["revoke", serial.as_str()]);
    assert!(output.status.success(), "{}", text(&output));
    let leaf = app.store.certificate(&serial).await.unwrap().unwrap();
    let leaf = openssl::x509::X509::from_der(&leaf.der.unwrap()).unwrap();
    let listed = async || {
        let list = world.list(0).await;
        matches!(list.get_by_serial(leaf.serial_number()), CrlStatus::Revoked(_))
    };
    for (hours, wanted) in [(0, true), (24, true), (35, true), (48, true), (72, false)] {
        world.hours(hours).await;
        assert_eq!(listed().await, wanted, "after {hours} h of 36");
    }
    world.server.stop().await;
}

/// Somebody else blocked a key, and this server issued for it a moment before it learned of that.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_issued_before_the_server_knew_of_a_blocked_key_is_revoked() {
    let world = Timed::new("").await;
    let app = world.server.app();
    let serial = app.own().unwrap().serial.clone();
    let spki = app.store.certificate(&serial).await.unwrap().unwrap().spki;
    let audit = store::audit::AuditEvent {
        id: acme::id::AuditId::mint(world.began, [7; acme::id::ID_RANDOM]),
        at: world.began,
        event: "key-blocked".into(),
        account: None,
        order: None,
        serial: None,
        detail: None,
    };
    let blocked = Some(store::revocation::Block { spki, audit });
    let elsewhere = Store::open_existing(world.ca.store()).await.unwrap();
    let change = store::revocation::Revoke { certificates: Vec::new(), blocked, at: world.began };
    assert!(elsewhere.write(change).await.unwrap().key);
    elsewhere.close().await;
    let deadline = Instant::now() + PATIENCE;
    while app.store.certificate(&serial).await.unwrap().unwrap().revocation.is_none() {
        assert!(Instant::now() < deadline, "the server looks every two seconds");
        tokio::time::sleep(POLL).await;
    }
    assert!(app.keys.holds(&spki));
    world.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_issuer_still_tells_what_it_revoked() {
    let world = Timed::new("").await;
    let serial = world.server.app().own().unwrap().serial.clone();
    let old = world.server.app().live().ca.issuers()[0].id().to_owned();
    let Timed { ca, server, clock, .. } = world;
    server.stop().await;
    // Another intermediate is put before it.
    let run = |arguments: &[&str]| {
        let done = Command::new(env!("CARGO_BIN_EXE_ca-ctl")).args(arguments).output().unwrap();
        assert!(done.status.success(), "{arguments:?}: {}", text(&done));
    };
    let at = |name: &str| ca.path(name).to_str().unwrap().to_owned();
    std::fs::create_dir(ca.path("next")).unwrap();
    run(&["intermediate", "request", "--dir", &at("next"), "--name", "Next Intermediate"]);
    run(&[
        "root",
        "sign",
        "--dir",
        &at(""),
        "--csr",
        &at("next/intermediate.csr"),
        "--out",
        &at("next/i.pem"),
    ]);
    let table: toml::Table = std::fs::read_to_string(ca.config()).unwrap().parse().unwrap();
    let mut issuers = table["ca"]["issuer"].as_array().unwrap().clone();
    let mut next = toml::Table::new();
    next.insert("certificate".into(), at("next/i.pem").into());
    next.insert("key".into(), at("next/intermediate.key").into());
    issuers.insert(0, next.into());
    let mut changed = toml::Table::new();
    changed.insert("ca".into(), toml::Table::from_iter([("issuer".to_owned(), issuers.into())]).into());
    ca.configure(&toml::to_string(&changed).unwrap());

    let config = Config::load(&ca.config()).unwrap();
    let server = Server::start(config, Listeners::none(), clock.clone()).await.unwrap();
    let app = server.app();
    assert_ne!(app.live().ca.active(clock.now()).unwrap().id(), old);
    assert!(ca.ctl(&["revoke", serial.as_str()]).status.success());
    publish_lists(app).await.unwrap();
    let list = app.lists.of(&old).unwrap();
    assert_eq!(list.serials, [serial]);
    let new = app.live().ca.issuers()[0].id().to_owned();
    assert!(app.lists.of(&new).unwrap().serials.is_empty(), "each issuer tells of its own");
    let file: PathBuf = ca.path("old.crl");
    std::fs::write(&file, &list.der).unwrap();
    let mut verify = Command::new("openssl");
    verify.args(["crl", "-inform", "DER", "-noout", "-in"]).arg(&file);
    verify.arg("-CAfile").arg(ca.path("intermediate.pem"));
    let said = text(&verify.output().unwrap());
    assert!(said.contains("verify OK"), "{said}");
    server.stop().await;
}
