//! Authorizations that serve later orders (RFC 8555 7.1.4), and those that are made before any order (7.4.1).

#![allow(clippy::unwrap_used, clippy::panic, reason = "what surprises a test ends it")]

mod support;

use acme::id::{AuditId, AuthorizationId};
use acme::problem::Problem;
use acme_ca::clock::Clock;
use serde_json::{Value, json};
use store::Store;
use store::audit::AuditEvent;
use store::authorization::DeactivateAuthorization;

use support::ca::PIN_CORP_LAN;
use support::csr::{Request, ec_key};
use support::flow::identifiers;
use support::{Ca, Client, Reply, Responder, oracle};

const NEW_AUTHZ: &str = "/acme/new-authz";

async fn ask(client: &Client, names: &[&str]) -> Reply {
    client.post("/acme/new-order", json!({"identifiers": identifiers(names)})).await
}

fn authorizations(order: &Value) -> Vec<String> {
    let urls = order["authorizations"].as_array().unwrap().iter();
    urls.map(|url| url.as_str().unwrap().to_owned()).collect()
}

async fn pre_authorize(client: &Client, name: &str) -> Reply {
    client.post(NEW_AUTHZ, json!({"identifier": {"type": "dns", "value": name}})).await
}

#[tokio::test]
async fn a_name_that_was_shown_needs_not_be_shown_again() {
    let ca = Ca::pinned().await;
    let responder = Responder::start(ca.http_port).await;
    let client = Client::registered(&ca).await;
    let first = client.ready_order(&["a.corp.lan"], &responder).await;
    let shown = client.read(&first.url).await.expect(200);

    let second = ask(&client, &["a.corp.lan"]).await;
    assert_eq!(second.expect(201)["status"], "ready", "{second}");
    assert_eq!(second.json()["authorizations"], shown["authorizations"]);
    // A new name among old ones is the one thing to show.
    let mixed = ask(&client, &["b.corp.lan", "a.corp.lan"]).await.expect(201);
    assert_eq!(mixed["status"], "pending");
    assert_eq!(authorizations(&mixed)[1], authorizations(&shown)[0]);
    let fresh = client.read(&authorizations(&mixed)[0]).await.expect(200);
    assert_eq!(
        (fresh["status"].as_str(), fresh["identifier"]["value"].as_str()),
        (Some("pending"), Some("b.corp.lan"))
    );

    let asked = responder.asked().len();
    let issued = client.issue(&["a.corp.lan"], &responder).await;
    assert_eq!(responder.asked().len(), asked, "nobody was asked once more");
    oracle::check(&ca, &[issued.pem]).await;
}

#[tokio::test]
async fn nobody_else_profits_and_what_was_given_up_serves_nobody() {
    let ca = Ca::pinned().await;
    let responder = Responder::start(ca.http_port).await;
    let client = Client::registered(&ca).await;
    let first = client.ready_order(&["a.corp.lan"], &responder).await;
    let stranger = Client::registered(&ca).await;
    assert_eq!(ask(&stranger, &["a.corp.lan"]).await.expect(201)["status"], "pending");
    assert_eq!(ask(&client, &["x.a.corp.lan"]).await.expect(201)["status"], "pending");

    let waiting = ask(&client, &["a.corp.lan"]).await;
    let authorization = authorizations(&client.read(&first.url).await.json()).remove(0);
    client.post(&authorization, json!({"status": "deactivated"})).await.expect(200);
    let url = waiting.header("location").unwrap();
    assert_eq!(client.read(url).await.expect(200)["status"], "invalid", "it needed the one that is gone");
    assert_eq!(ask(&client, &["a.corp.lan"]).await.expect(201)["status"], "pending");
    oracle::at_rest(&ca).await;
}

/// The server keeps what it was just shown in memory; what counts at finalize is what the store says.
#[tokio::test]
async fn what_another_process_took_back_a_moment_ago_is_not_issued_for() {
    let ca = Ca::pinned().await;
    let responder = Responder::start(ca.http_port).await;
    let client = Client::registered(&ca).await;
    let order = client.ready_order(&["a.corp.lan"], &responder).await;
    let url = authorizations(&order.body).remove(0);
    let id = AuthorizationId::parse(url.rsplit('/').next().unwrap()).unwrap();

    let store = Store::open_existing(ca.store()).await.unwrap();
    let now = Clock::System.now();
    let audit = AuditEvent {
        id: AuditId::mint(now, [7; 10]),
        at: now,
        event: "authorization-deactivated".into(),
        account: None,
        order: None,
        serial: None,
        detail: None,
    };
    let problem = Problem::unauthorized("it was taken back");
    store.write(DeactivateAuthorization { authorization: id, problem, audit }).await.unwrap();
    store.close().await;

    let csr = Request::new(&["a.corp.lan"], &ec_key()).to_der();
    let refused = client.finalize(&order, &csr).await;
    assert_eq!((refused.status, refused.problem_type().as_str()), (403, "orderNotReady"), "{refused}");
    assert!(ca.ctl_items(&["list"]).iter().all(|item| item["purpose"] == "server"), "nothing was issued");
    oracle::at_rest(&ca).await;
}

#[tokio::test]
async fn without_reuse_each_order_is_shown_anew() {
    let mut ca = Ca::new();
    ca.configure(PIN_CORP_LAN).configure("[validation]\nreuse = \"0s\"");
    ca.start().await;
    let responder = Responder::start(ca.http_port).await;
    let client = Client::registered(&ca).await;
    client.ready_order(&["a.corp.lan"], &responder).await;
    assert_eq!(ask(&client, &["a.corp.lan"]).await.expect(201)["status"], "pending");
    assert_eq!(pre_authorize(&client, "a.corp.lan").await.status, 404);
    assert!(client.plain("GET", "/acme/directory").await.json().get("newAuthz").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_shown_before_there_is_an_order() {
    let mut ca = Ca::pinned().await;
    let responder = Responder::start(ca.http_port).await;
    let client = Client::registered(&ca).await.persistent();
    let directory = client.plain("GET", "/acme/directory").await.expect(200);
    assert_eq!(directory["newAuthz"], client.url(NEW_AUTHZ).as_str());

    let reply = pre_authorize(&client, "early.corp.lan").await;
    let authorization = reply.expect(201);
    let url = reply.header("location").unwrap().to_owned();
    assert_eq!(authorization["status"], "pending");
    let challenge = &authorization["challenges"][0];
    let token = challenge["token"].as_str().unwrap();
    responder.publish(token, &format!("{token}.{}", client.key.thumbprint()));
    client.answer(challenge["url"].as_str().unwrap()).await.expect(200);
    assert_eq!(client.settled(&url).await["status"], "valid");
    ca.kill9();
    ca.restart().await;
    let order = ask(&client, &["early.corp.lan"]).await.expect(201);
    assert_eq!((order["status"].as_str(), authorizations(&order)), (Some("ready"), vec![url]));
    let issued = client.issue(&["early.corp.lan"], &responder).await;
    oracle::check(&ca, &[issued.pem]).await;
}

#[tokio::test]
async fn what_no_order_could_have_is_not_pre_authorized() {
    let mut ca = Ca::new();
    ca.configure(PIN_CORP_LAN).configure("[policy]\ndeny = [\"secret.corp.lan\"]");
    ca.start().await;
    let client = Client::registered(&ca).await;
    for (name, problem) in [
        ("*.corp.lan", None),
        ("secret.corp.lan", Some("rejectedIdentifier")),
        ("elsewhere.example", Some("rejectedIdentifier")),
        ("a..corp.lan", Some("malformed")),
    ] {
        let reply = pre_authorize(&client, name).await;
        assert_eq!(reply.status, 400, "{name}: {reply}");
        assert!(problem.is_none_or(|problem| reply.problem_type() == problem), "{name}: {reply}");
    }
    for body in [json!({}), json!({"identifier": "a.corp.lan"}), json!({"identifier": {"type": "dns"}})] {
        assert_eq!(client.post(NEW_AUTHZ, body).await.problem_type(), "malformed");
    }
    let unknown = json!({"identifier": {"type": "mail", "value": "a@corp.lan"}});
    assert_eq!(client.post(NEW_AUTHZ, unknown).await.problem_type(), "unsupportedIdentifier");
}

/// RFC 8555 6.7.1: each identifier that is refused is a subproblem, whatever is wrong with it.
#[tokio::test]
async fn every_fault_of_an_order_is_told_at_once() {
    let ca = Ca::pinned().await;
    let client = Client::registered(&ca).await;
    let order = json!({"identifiers": [
        {"type": "dns", "value": "good.corp.lan"},
        {"type": "dns", "value": "elsewhere.example"},
        {"type": "dns", "value": "-bad-.corp.lan"},
        {"type": "mail", "value": "a@corp.lan"},
    ]});
    let reply = client.post("/acme/new-order", order).await;
    assert_eq!((reply.status, reply.problem_type().as_str()), (400, "compound"), "{reply}");
    let problem = reply.json();
    let told: Vec<_> = problem["subproblems"].as_array().unwrap().iter().collect();
    let about = |n: usize| {
        let kind = told[n]["type"].as_str().unwrap().rsplit(':').next().unwrap().to_owned();
        (kind, told[n]["identifier"]["value"].as_str().unwrap().to_owned())
    };
    assert_eq!(told.len(), 3);
    assert_eq!(about(0), ("rejectedIdentifier".into(), "elsewhere.example".into()));
    assert_eq!(about(1), ("malformed".into(), "-bad-.corp.lan".into()));
    assert_eq!(about(2), ("unsupportedIdentifier".into(), "a@corp.lan".into()));
}
