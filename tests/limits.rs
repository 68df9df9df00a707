//! How much a client may ask for: RFC 8555 6.6.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what surprises a test ends it")]

mod support;

use serde_json::json;

use support::ca::PIN_CORP_LAN;
use support::flow::identifiers;
use support::{Ca, Client, Reply, Responder, oracle};

async fn limited(limits: &str) -> Ca {
    let mut ca = Ca::new();
    ca.configure(PIN_CORP_LAN).configure(&format!("[limits]\n{limits}\n[validation]\npatience = \"0s\""));
    ca.start().await;
    ca
}

async fn order(client: &Client, name: &str) -> Reply {
    client.post("/acme/new-order", json!({"identifiers": identifiers(&[name])})).await
}

/// 429 with everything that a client needs to come back.
#[track_caller]
fn must_be_refused(reply: &Reply, phrase: &str, within: u64) {
    assert_eq!((reply.status, reply.problem_type().as_str()), (429, "rateLimited"), "{reply}");
    assert!(reply.text().contains(phrase), "{phrase}: {reply}");
    let seconds: u64 = reply.header("retry-after").unwrap().parse().expect("whole seconds");
    assert!((1..=within).contains(&seconds), "{reply}");
    let help = reply.all("link").iter().any(|link| link.ends_with("/limits>;rel=\"help\""));
    assert!(help, "{reply}");
}

#[tokio::test]
async fn new_accounts_of_an_address_are_limited_and_known_ones_are_not() {
    let ca = limited("new_accounts = \"2/1h\"").await;
    let first = Client::registered(&ca).await;
    Client::registered(&ca).await;
    let third = Client::new(&ca);
    let reply = third.post("/acme/new-account", json!({"termsOfServiceAgreed": true})).await;
    must_be_refused(&reply, "limits.new_accounts is 2 within 1h", 1_800);
    first.register().await.expect(200);
    let page = third.plain("GET", "/limits").await.text();
    assert!(page.contains("new accounts from one address: 2 within 1h"), "{page}");
}

#[tokio::test]
async fn new_orders_of_an_account_are_limited_and_those_of_others_are_not() {
    let ca = limited("new_orders = \"2/10m\"").await;
    let client = Client::registered(&ca).await;
    // What is refused for another reason costs nothing.
    assert_eq!(order(&client, "elsewhere.example").await.status, 400);
    order(&client, "a.corp.lan").await.expect(201);
    order(&client, "b.corp.lan").await.expect(201);
    must_be_refused(&order(&client, "c.corp.lan").await, "limits.new_orders is 2 within 10m", 300);
    order(&Client::registered(&ca).await, "c.corp.lan").await.expect(201);
}

#[tokio::test]
async fn open_orders_are_limited_until_they_end() {
    let ca = limited("pending_orders = 2").await;
    let responder = Responder::start(ca.http_port).await;
    let client = Client::registered(&ca).await;
    for name in ["a.corp.lan", "b.corp.lan", "c.corp.lan"] {
        client.issue(&[name], &responder).await;
    }
    order(&client, "d.corp.lan").await.expect(201);
    let waiting = client.new_order(&["e.corp.lan"]).await;
    must_be_refused(&order(&client, "f.corp.lan").await, "limits.pending_orders is 2", 43_200);
    // One that fails has ended too: nothing was published for it.
    let challenge = support::flow::http01(&client.authorizations(&waiting).await.remove(0).1);
    client.answer(challenge["url"].as_str().unwrap()).await;
    assert_eq!(client.settled(&waiting.url).await["status"], "invalid");
    order(&client, "f.corp.lan").await.expect(201);
    oracle::at_rest(&ca).await;
}

#[tokio::test]
async fn a_name_that_fails_too_often_has_to_wait_and_others_do_not() {
    let ca = limited("failed_validations = \"2/1h\"").await;
    let responder = Responder::start(ca.http_port).await;
    let client = Client::registered(&ca).await;
    for _ in 0..2 {
        let failing = client.new_order(&["broken.corp.lan"]).await;
        let challenge = support::flow::http01(&client.authorizations(&failing).await.remove(0).1);
        client.answer(challenge["url"].as_str().unwrap()).await;
        assert_eq!(client.settled(&failing.url).await["status"], "invalid");
    }
    let reply = order(&client, "broken.corp.lan").await;
    must_be_refused(&reply, "too many failed validations of broken.corp.lan", 1_800);
    client.issue(&["good.corp.lan"], &responder).await;
    order(&Client::registered(&ca).await, "broken.corp.lan").await.expect(201);
}

#[tokio::test]
async fn limits_can_be_changed_and_turned_off_while_the_server_runs() {
    let ca = limited("new_orders = \"1/1h\"").await;
    let mut ca = ca;
    let client = Client::registered(&ca).await;
    order(&client, "a.corp.lan").await.expect(201);
    assert_eq!(order(&client, "b.corp.lan").await.status, 429);
    ca.configure("[limits]\nenabled = false");
    ca.hup().await;
    order(&client, "b.corp.lan").await.expect(201);
    assert!(client.plain("GET", "/limits").await.text().contains("limits nothing"));
}

/// Fifty hosts with ten names each, all at the same moment, from one address, each trying twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_that_starts_at_once_meets_no_limit() {
    let ca = Ca::pinned().await;
    let hosts = (0..50).map(async |host| {
        let client = Client::registered(&ca).await;
        for name in 0..20 {
            order(&client, &format!("n{name}.h{host}.corp.lan")).await.expect(201);
        }
    });
    futures_util::future::join_all(hosts).await;
}

/// RFC 9773 5: what the CA suggested is not refused when it comes.
#[tokio::test]
async fn a_renewal_that_names_its_predecessor_is_no_new_order() {
    let ca = limited("new_orders = \"1/1h\"").await;
    let responder = Responder::start(ca.http_port).await;
    let client = Client::registered(&ca).await;
    let issued = client.issue(&["a.corp.lan"], &responder).await;
    must_be_refused(&order(&client, "a.corp.lan").await, "limits.new_orders", 3_600);
    let id = support::flow::certificate_id(&issued.pem);
    let renewal = json!({"identifiers": identifiers(&["a.corp.lan"]), "replaces": id});
    client.post("/acme/new-order", renewal).await.expect(201);
    // Of another CA: anybody can write such an id.
    let foreign = json!({"identifiers": identifiers(&["a.corp.lan"]), "replaces": "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"});
    must_be_refused(&client.post("/acme/new-order", foreign).await, "limits.new_orders", 3_600);
}

/// RFC 8555 7.4.1: an authorization without an order is no way around.
#[tokio::test]
async fn what_is_shown_before_an_order_is_limited_as_well() {
    let ca = limited("failed_validations = \"2/1h\"\npending_orders = 2\nnew_orders = \"9/1h\"").await;
    let client = Client::registered(&ca).await;
    let early = async |name: &str| {
        client.post("/acme/new-authz", json!({"identifier": {"type": "dns", "value": name}})).await
    };
    order(&client, "a.corp.lan").await.expect(201);
    order(&client, "b.corp.lan").await.expect(201);
    for _ in 0..2 {
        let reply = early("broken.corp.lan").await;
        let challenge = support::flow::http01(&reply.expect(201));
        client.answer(challenge["url"].as_str().unwrap()).await;
        assert_eq!(client.settled(reply.header("location").unwrap()).await["status"], "invalid");
    }
    must_be_refused(&early("broken.corp.lan").await, "too many failed validations", 1_800);
    // No order ended with them.
    must_be_refused(&order(&client, "c.corp.lan").await, "limits.pending_orders is 2", 43_200);
    for n in 0..5 {
        early(&format!("n{n}.corp.lan")).await.expect(201);
    }
    must_be_refused(&early("x.corp.lan").await, "limits.new_orders is 9", 400);
}

#[tokio::test]
async fn an_order_that_is_given_up_has_ended() {
    let ca = limited("pending_orders = 2").await;
    let client = Client::registered(&ca).await;
    for n in 0..5 {
        let order = client.new_order(&[&format!("a{n}.corp.lan"), &format!("b{n}.corp.lan")]).await;
        for (url, _) in client.authorizations(&order).await {
            client.post(&url, json!({"status": "deactivated"})).await.expect(200);
        }
        assert_eq!(client.read(&order.url).await.json()["status"], "invalid");
    }
    order(&client, "c.corp.lan").await.expect(201);
    order(&client, "d.corp.lan").await.expect(201);
    assert_eq!(order(&client, "e.corp.lan").await.status, 429, "two names were one order");
}
