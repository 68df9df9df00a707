//! The golden rules on every route, for success and for error. The rules themselves are in `support/rules.rs`, and the
//! test client holds every reply against them; here one table makes sure that every route is visited, and the rest of
//! this file is what HTTP itself asks: methods, media types, sizes, versions.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what surprises a test ends it")]

mod support;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use support::csr::{Request, ec_key};
use support::flow::{Order, certificate_id};
use support::jose::{Draft, Key};
use support::responder::Mood;
use support::{Ca, Client, Reply, Responder, oracle};

/// Every route that answers POST, and what a request as it should be gets there.
struct Route {
    name: &'static str,
    url: String,
    payload: Value,
    status: u16,
}

/// A client with one thing of each kind.
struct World {
    ca: Ca,
    client: Client,
    responder: Responder,
    order: Order,
    held: String,
}

impl World {
    async fn new() -> Self {
        let ca = Ca::pinned().await;
        let client = Client::registered(&ca).await;
        let responder = Responder::start(ca.http_port).await;
        let issued = client.issue(&["golden.corp.lan"], &responder).await;
        Self { ca, client, responder, order: issued.order, held: issued.pem }
    }

    async fn routes(&self) -> Vec<Route> {
        let (client, order) = (&self.client, &self.order);
        let body = client.read(&order.url).await.expect(200);
        let (authorization, shown) = client.authorizations(order).await.remove(0);
        let challenge = support::flow::http01(&shown)["url"].as_str().unwrap().to_owned();
        let certificate = body["certificate"].as_str().unwrap().to_owned();
        let account = client.read(&client.kid()).await.expect(200);
        let csr = Request::new(&["golden.corp.lan"], &ec_key()).to_der();
        let csr = json!({"csr": support::jose::b64(&csr)});
        let identifiers = support::flow::identifiers(&["another.corp.lan"]);
        let route = |name, url: &str, payload, status| Route { name, url: client.url(url), payload, status };
        vec![
            route("directory", "/acme/directory", Value::Null, 200),
            route("new-nonce", "/acme/new-nonce", Value::Null, 204),
            route("account", &client.kid(), json!({}), 200),
            route("orders", account["orders"].as_str().unwrap(), Value::Null, 200),
            // Without its inner JWS; tests/account.rs changes keys.
            route("key-change", "/acme/key-change", json!({}), 400),
            // Without a certificate; tests/revocation.rs revokes.
            route("revoke-cert", "/acme/revoke-cert", json!({}), 400),
            route("new-order", "/acme/new-order", json!({"identifiers": identifiers}), 201),
            route(
                "new-authz",
                "/acme/new-authz",
                json!({"identifier": {"type": "dns", "value": "early.corp.lan"}}),
                201,
            ),
            route("order", &order.url, Value::Null, 200),
            // The order is valid already, and this is another key.
            route("finalize", body["finalize"].as_str().unwrap(), csr, 403),
            route("authorization", &authorization, Value::Null, 200),
            route("challenge", &challenge, json!({}), 200),
            route("certificate", &certificate, Value::Null, 200),
        ]
    }
}

/// newAccount, whose requests are signed by the key that they carry.
async fn new_account(client: &Client) -> Draft {
    let mut draft = client.draft("/acme/new-account", json!({})).await;
    draft.key = Key::generate();
    draft.by_jwk();
    draft
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_keeps_the_rules_in_success_and_in_error() {
    let world = World::new().await;
    let client = &world.client;
    let routes = world.routes().await;
    for Route { name, url, payload, status } in &routes {
        let reply = client.post(url, payload.clone()).await;
        assert_eq!(reply.status, *status, "{name}: {reply}");
        for (what, bend, status, kind) in BENDS {
            let mut draft = client.draft(url, payload.clone()).await;
            bend(&mut draft);
            refused(name, what, &client.send(&draft).await, *status, kind);
        }
    }
    for (what, bend, status, kind) in BENDS {
        let mut draft = new_account(client).await;
        bend(&mut draft);
        refused("new-account", what, &client.send(&draft).await, *status, kind);
    }

    // What the directory offers is there.
    let directory = client.plain("GET", "/acme/directory").await.expect(200);
    let visited: BTreeSet<&str> = routes.iter().map(|route| route.url.as_str()).collect();
    let offered: Vec<&Value> =
        directory.as_object().unwrap().values().filter(|value| value.is_string()).collect();
    assert!(offered.len() >= 3, "{directory}");
    for url in offered {
        let url = url.as_str().unwrap();
        if url.ends_with("/acme/renewal-info") {
            let reply = client.plain("GET", &format!("{url}/{}", certificate_id(&world.held))).await;
            assert_eq!(reply.status, 200, "{reply}");
            refused("renewal-info", "POST", &client.post(url, Value::Null).await, 404, "malformed");
            continue;
        }
        let known = visited.contains(url) || url.ends_with("/acme/new-account");
        assert!(known, "{url} is offered, and this table does not visit it");
    }
    oracle::check(&world.ca, &[world.held]).await;
}

fn refused(route: &str, what: &str, reply: &Reply, status: u16, kind: &str) {
    assert_eq!((reply.status, reply.problem_type().as_str()), (status, kind), "{what} at {route}: {reply}");
}

/// What is wrong, how, and what comes back, on every route that takes POST.
type Bend = (&'static str, fn(&mut Draft), u16, &'static str);
const BENDS: &[Bend] = &[
    ("no content type", |d| d.content_type = None, 415, "malformed"),
    ("plain JSON", |d| d.content_type = Some("application/json".into()), 415, "malformed"),
    ("no body", |d| d.body = Some(Vec::new()), 400, "malformed"),
    ("no JSON", |d| d.body = Some(b"jws=x".to_vec()), 400, "malformed"),
    ("one octet beyond the limit", |d| d.body = Some(vec![b' '; 128 * 1024 + 1]), 413, "malformed"),
    ("a nonce of somebody else", |d| d.set("nonce", "A".repeat(43)), 400, "badNonce"),
    ("another URL", |d| d.set("url", "https://localhost/acme/elsewhere"), 403, "unauthorized"),
    ("another method", |d| d.method = "PUT", 405, "malformed"),
    ("a method that nobody knows", |d| d.method = "BREW", 405, "malformed"),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_by_post_is_not_read_by_get() {
    let world = World::new().await;
    for route in world.routes().await {
        let reply = world.client.plain("GET", &route.url).await;
        if ["directory", "new-nonce"].contains(&route.name) {
            assert!(reply.status < 300, "{reply}");
            continue;
        }
        refused(route.name, "GET", &reply, 405, "malformed");
        assert_eq!(reply.header("allow"), Some("POST"), "{reply}");
    }
    let reply = world.client.plain("GET", "/acme/new-account").await;
    refused("new-account", "GET", &reply, 405, "malformed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_a_problem_too() {
    let world = World::new().await;
    let client = &world.client;
    let id = "0".repeat(28);
    for path in [
        "/",
        "/acme",
        "/acme/",
        "/acme/directory/",
        "/acme/nowhere",
        "/favicon.ico",
        "/acme/../root.key",
        "/root.key",
        "/%00",
    ] {
        refused(path, "GET", &client.plain("GET", path).await, 404, "malformed");
    }
    for path in [
        format!("/acme/order/{id}"),
        format!("/acme/order/{id}/finalize"),
        format!("/acme/authz/{id}"),
        format!("/acme/challenge/{id}/http-01"),
        format!("/acme/certificate/{id}"),
        "/acme/order/x".into(),
        format!("/acme/order/{}", "x".repeat(4_000)),
        "/acme/order/..%2f..%2froot.key".into(),
        "/acme/nowhere".into(),
    ] {
        let payload = if path.ends_with("finalize") { json!({"csr": "AAAA"}) } else { Value::Null };
        let reply = client.post(&path, payload).await;
        let kinds = ["malformed", "badCSR"];
        let good = reply.status == 404 || (path.ends_with("finalize") && reply.status == 400);
        assert!(good && kinds.contains(&reply.problem_type().as_str()), "{reply}");
    }
    // No UTF-8: axum refuses it before any handler looks, and it is a problem all the same.
    for path in [
        "/acme/order/%ff",
        "/acme/order/%c3%28/finalize",
        "/acme/authz/%ff",
        "/acme/challenge/%ff/http-01",
        "/acme/account/%ff",
        "/acme/certificate/%ff",
    ] {
        refused(path, "POST", &client.post(path, Value::Null).await, 400, "malformed");
    }
    for path in ["/%ff", "/acme/%ff"] {
        refused(path, "GET", &client.plain("GET", path).await, 404, "malformed");
    }
    let raw =
        client.raw(b"GET /acme/\xff\xfe HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert!(raw.starts_with("HTTP/1.1 400") || raw.starts_with("HTTP/1.1 404"), "{raw}");
    // Other challenge types of an authorization that exists: one that was never offered, one that vanished.
    let (_, shown) = client.authorizations(&world.order).await.remove(0);
    for other in ["dns-persist-01", "dns-01"] {
        let challenge = support::flow::http01(&shown)["url"].as_str().unwrap().replace("http-01", other);
        refused("challenge", other, &client.read(&challenge).await, 404, "malformed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nonces_and_the_directory_are_had_in_every_way() {
    let ca = Ca::pinned().await;
    let client = Client::new(&ca);
    let mut nonces = BTreeSet::new();
    for (method, status) in [("HEAD", 200), ("GET", 204), ("HEAD", 200)] {
        let reply = client.plain(method, "/acme/new-nonce").await;
        assert_eq!(reply.status, status, "{reply}");
        assert!(nonces.insert(reply.header("replay-nonce").unwrap().to_owned()), "a nonce comes once");
    }
    let reply = client.plain("HEAD", "/acme/directory").await;
    assert_eq!(reply.status, 200, "{reply}");
    // A proxy may say another host: what is handed out comes from the configuration.
    let answer =
        client.raw(b"GET /acme/directory HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n").await;
    assert!(
        answer.contains(&format!("{}/acme/new-order", ca.base())) && !answer.contains("evil"),
        "{answer}"
    );
    let root = client.plain("GET", "/root.pem").await;
    assert_eq!(root.text(), std::fs::read_to_string(ca.root()).unwrap(), "the root, as it is on disk");
}

/// OpenBSD's acme-client speaks HTTP/1.0; some scripts send no User-Agent, or a charset.
#[tokio::test(flavor = "multi_thread")]
async fn old_and_terse_clients_are_served() {
    let ca = Ca::pinned().await;
    let client = Client::registered(&ca).await;
    let head = format!("Host: localhost:{}", ca.port);
    let answer = client.raw(format!("GET /acme/directory HTTP/1.0\r\n{head}\r\n\r\n").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.0 200") || answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(
        !answer.to_lowercase().contains("transfer-encoding: chunked"),
        "HTTP/1.0 has no chunks: {answer}"
    );

    // Without Host and User-Agent.
    let body = client.draft(&client.kid(), json!({})).await.to_body();
    let path = client.kid().replace(&ca.base(), "");
    let mut request = format!(
        "POST {path} HTTP/1.0\r\nContent-Type: application/jose+json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend(body);
    let answer = client.raw(&request).await;
    assert!(answer.contains(" 200 ") && answer.contains("\"status\":\"valid\""), "{answer}");

    for media in [
        "application/jose+json; charset=utf-8",
        "Application/JOSE+JSON",
        "application/jose+json;charset=UTF-8",
    ] {
        let mut draft = client.draft(&client.kid(), json!({})).await;
        draft.content_type = Some(media.into());
        assert_eq!(client.send(&draft).await.status, 200, "{media}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_members_are_ignored() {
    let ca = Ca::pinned().await;
    let client = Client::new(&ca);
    let mut draft = client
        .draft(
            "/acme/new-account",
            json!({"contact": [], "status": "revoked", "orders": "x", "x": {"y": null}}),
        )
        .await;
    // Proxmox sends `use`, others `kid` and `alg`.
    for (member, value) in [("use", "sig"), ("kid", "mine"), ("alg", "ES256")] {
        draft.protected["jwk"][member] = value.into();
    }
    draft.set("typ", "JWT");
    let reply = client.send(&draft).await;
    assert_eq!(reply.expect(201)["status"], "valid");
    // The same key without them is the same account.
    let again = client.register().await;
    assert_eq!((again.status, again.header("location")), (200, reply.header("location")));

    let identifiers = json!([{"type": "dns", "value": "extra.corp.lan", "note": 1}]);
    let order = client
        .post("/acme/new-order", json!({"identifiers": identifiers, "x": true, "status": "valid"}))
        .await;
    assert_eq!(order.expect(201)["status"], "pending");
    let empty = client.post(&client.kid(), json!({"x": 1})).await;
    assert_eq!(empty.expect(200)["status"], "valid");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_made_once_found_again_and_changed_by_its_owner() {
    let ca = Ca::pinned().await;
    let client = Client::new(&ca);
    let unknown = client.post("/acme/new-account", json!({"onlyReturnExisting": true})).await;
    refused("new-account", "unknown", &unknown, 400, "accountDoesNotExist");
    let made = client.post("/acme/new-account", json!({"contact": ["mailto:a@corp.lan"]})).await;
    assert_eq!(made.expect(201)["contact"], json!(["mailto:a@corp.lan"]));
    let found = client
        .post("/acme/new-account", json!({"onlyReturnExisting": true, "contact": ["mailto:b@corp.lan"]}))
        .await;
    assert_eq!(
        found.expect(200)["contact"],
        json!(["mailto:a@corp.lan"]),
        "RFC 8555 7.3.1: nothing is updated"
    );
    assert_eq!(found.header("location"), made.header("location"));
    client.register().await;
    let changed = client.post(&client.kid(), json!({"contact": ["mailto:c@corp.lan"]})).await;
    assert_eq!(changed.expect(200)["contact"], json!(["mailto:c@corp.lan"]));
    assert_eq!(client.read(&client.kid()).await.expect(200)["contact"], json!(["mailto:c@corp.lan"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_goes_its_way_only_when_it_is_answered() {
    let world = World::new().await;
    let (client, responder) = (&world.client, &world.responder);
    let asked = responder.asked().len();
    let order = client.new_order(&["still.corp.lan"]).await;
    let challenge = client.publish(&order, responder).await.remove(0);
    assert_eq!(client.read(&challenge).await.expect(200)["status"], "pending", "reading starts nothing");
    assert_eq!(responder.asked().len(), asked);
    client.answer(&challenge).await.expect(200);
    let ready = client.settled(&order.url).await;
    assert_eq!(ready["status"], "ready");
    let (url, authorization) = client.authorizations(&order).await.remove(0);
    assert_eq!(authorization["status"], "valid", "authorization and order turn together");
    let requests = responder.asked().len();
    let again = client.answer(&challenge).await.expect(200);
    assert_eq!(
        (again["status"].as_str(), responder.asked().len()),
        (Some("valid"), requests),
        "once is enough"
    );

    // A wrong body is a definite answer.
    responder.be(Mood::Body("something else".into()));
    let wrong = client.new_order(&["wrong.corp.lan"]).await;
    let challenge = client.publish(&wrong, responder).await.remove(0);
    client.answer(&challenge).await.expect(200);
    let failed = client.settled(&wrong.url).await;
    assert_eq!(failed["error"]["type"], "urn:ietf:params:acme:error:incorrectResponse", "{failed}");
    assert!(failed["error"]["detail"].as_str().unwrap().contains("something else"), "{failed}");
    let again = client.answer(&challenge).await.expect(200);
    assert_eq!(again["status"], "invalid", "no way back");

    // RFC 8555 7.5.2.
    let gone = client.post(&url, json!({"status": "deactivated"})).await.expect(200);
    assert_eq!(gone["status"], "deactivated");
    let lost = client.read(&order.url).await.expect(200);
    assert_eq!(lost["status"], "invalid", "an order does not become ready without its authorization: {lost}");
    oracle::check(&world.ca, &[world.held]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_orders_of_an_account_are_all_listed_page_by_page() {
    let ca = Ca::pinned().await;
    let client = Client::registered(&ca).await;
    let mut made = BTreeSet::new();
    for number in 0..120 {
        made.insert(client.new_order(&[&format!("n{number}.corp.lan")]).await.url);
    }
    let account = client.read(&client.kid()).await.expect(200);
    let mut next = Some(account["orders"].as_str().unwrap().to_owned());
    let (mut listed, mut pages) = (BTreeSet::new(), 0);
    while let Some(url) = next {
        let page = client.read(&url).await;
        for order in page.expect(200)["orders"].as_array().unwrap() {
            assert!(listed.insert(order.as_str().unwrap().to_owned()), "{order} is listed twice");
        }
        let link = page.all("link").into_iter().find(|link| link.contains("rel=\"next\"")).map(str::to_owned);
        next = link.map(|link| link[1..link.find('>').unwrap()].to_owned());
        pages += 1;
    }
    assert_eq!(listed, made);
    assert!(pages > 1, "a long list comes in pages");
    let list = account["orders"].as_str().unwrap();
    for unknown in ["?page=2", "?cursor=", "?cursor=x", "?Cursor=1"] {
        refused(list, "POST", &client.read(&format!("{list}{unknown}")).await, 404, "malformed");
    }
}
