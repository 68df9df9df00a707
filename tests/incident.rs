//! The incident that this program exists for. Here is its first half; `incident/replayed.rs` has the whole, with alerts. The
//! CA's host asked a name server that did not know the
//! internal zone; every validation failed, fifteen services fell back to self-signed certificates, and nobody was told.
//! Here the name server is broken in each of the ways that name servers are. Everybody must be told, with the cause; a
//! pin and a reload must be all that it takes; and nothing may be lost.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what surprises a test ends it")]

mod support;

#[path = "incident/blind.rs"]
mod blind;
#[path = "incident/replayed.rs"]
mod replayed;
#[path = "incident/world.rs"]
mod world;

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::Value;

use support::dns::{Answer, DnsServer};
use support::flow::Order;
use support::{Ca, Client, Responder, oracle};

const SERVICES: usize = 15;
/// How long the server tries again, as configured here.
const PATIENCE: Duration = Duration::from_secs(3);
/// What an order may take beyond it on a busy machine.
const SLACK: Duration = Duration::from_secs(7);

fn services() -> Vec<String> {
    (1..=SERVICES).map(|number| format!("svc{number}.corp.lan")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_resolver_is_named_everywhere_and_a_pin_heals_it() {
    let dns = DnsServer::start().await;
    let mut ca = Ca::new();
    ca.configure(&format!(
        r#"
        [resolver]
        servers = ["{}"]
        timeout = "1s"
        [validation]
        patience = "3s"
        "#,
        dns.address()
    ));
    ca.start().await;
    let client = Client::registered(&ca).await;
    // The services are well all the time: only their addresses cannot be found.
    let responder = Responder::start(ca.http_port).await;
    assert_eq!(ca.ready().await.0, 200, "nothing failed yet");

    let mut failed = Vec::new();
    for (answer, word) in
        [(Answer::NxDomain, "NXDOMAIN"), (Answer::ServFail, "SERVFAIL"), (Answer::Silence, "timeout")]
    {
        dns.set_default(answer);
        let before = ca.log().len();
        let orders = all_fail(&client, &responder).await;
        for (order, body) in &orders {
            the_client_is_told(&client, order, body, &dns, word).await;
        }
        the_log_says_it(&ca.log()[before..], &dns, word);
        let (status, why) = ca.ready().await;
        assert_eq!(status, 503, "{why}");
        assert!(why.contains("corp.lan") && why.contains(&dns.address().to_string()), "{why}");
        assert!(why.to_lowercase().contains(&word.to_lowercase()), "the cause of now, not of before: {why}");
        failed.extend(orders.into_iter().map(|(order, _)| (order, word)));
        ca_ctl_lists(&ca, &failed, &dns);
    }
    let questions = dns.queries();
    assert!(responder.asked().is_empty(), "no address was known, so nothing was dialled");

    ca.configure("[resolver.pins]\n\"*.corp.lan\" = [\"127.0.0.1\"]");
    ca.hup().await;
    let names = services();
    let issue = names.iter().map(|name| {
        let (client, responder) = (&client, &responder);
        async move { client.issue(&[name], responder).await }
    });
    let issued = join_all(issue).await;
    assert_eq!(issued.len(), SERVICES);
    assert_eq!(dns.queries(), questions, "what is pinned is not asked for");
    assert_eq!(ca.ready().await.0, 200, "all is well again: {}", ca.ready().await.1);

    // Nothing is forgotten because it went well afterwards.
    ca_ctl_lists(&ca, &failed, &dns);
    let listed = ca.ctl_items(&["list"]);
    for name in &names {
        assert!(listed.iter().any(|item| item.to_string().contains(name.as_str())), "{name} in {listed:?}");
    }
    every_failure_has_its_audit_row(&ca, &failed).await;
    let chains: Vec<String> = issued.into_iter().map(|issued| issued.pem).collect();
    oracle::check(&ca, &chains).await;
}

/// `ca-ctl resolve` says beforehand what a validation would find.
#[tokio::test(flavor = "multi_thread")]
async fn ca_ctl_resolve_shows_what_the_validator_would_see() {
    let dns = DnsServer::start().await;
    dns.set_default(Answer::ServFail);
    let mut ca = Ca::new();
    let servers = |text: &str| format!("[resolver]\nservers = [\"{text}\"]\ntimeout = \"1s\"");
    ca.configure(&servers(&dns.address().to_string()));
    ca.start().await;

    let said = support::ca::text(&ca.ctl(&["resolve", "svc1.corp.lan"]));
    assert!(said.contains("SERVFAIL") && said.contains(&dns.address().to_string()), "{said}");
    ca.configure("[resolver.pins]\n\"svc1.corp.lan\" = [\"127.0.0.1\"]");
    let said = support::ca::text(&ca.ctl(&["resolve", "svc1.corp.lan"]));
    assert!(said.contains("127.0.0.1") && said.contains("pin"), "{said}");
}

/// A pin that comes while the server still tries is enough: the client notices nothing but a delay.
#[tokio::test(flavor = "multi_thread")]
async fn a_pin_that_comes_in_time_saves_the_orders_under_way() {
    let dns = DnsServer::start().await;
    dns.set_default(Answer::ServFail);
    let mut ca = Ca::new();
    ca.configure(&format!("[resolver]\nservers = [\"{}\"]\ntimeout = \"1s\"", dns.address()));
    ca.start().await;
    let client = Client::registered(&ca).await;
    let responder = Responder::start(ca.http_port).await;
    let order = client.new_order(&["svc1.corp.lan"]).await;
    let challenge = client.publish(&order, &responder).await.remove(0);
    let reply = client.answer(&challenge).await.expect(200);
    assert_eq!(reply["status"], "processing", "a server failure may pass: {reply}");

    ca.configure("[resolver.pins]\n\"svc1.corp.lan\" = [\"127.0.0.1\"]");
    ca.hup().await;
    assert_eq!(client.settled(&order.url).await["status"], "ready");
    oracle::check(&ca, &[]).await;
}

/// Orders for every service at once, each with its end.
async fn all_fail(client: &Client, responder: &Responder) -> Vec<(Order, Value)> {
    let began = Instant::now();
    let names = services();
    let orders = join_all(names.iter().map(|name| async move {
        let order = client.new_order(&[name]).await;
        let challenge = client.publish(&order, responder).await.remove(0);
        client.answer(&challenge).await.expect(200);
        let body = client.settled(&order.url).await;
        (order, body)
    }))
    .await;
    let took = began.elapsed();
    assert!(took < PATIENCE + SLACK, "patience is {PATIENCE:?}, and it took {took:?}");
    orders
}

/// In the order and in the challenge, in words that say who was asked and what the answer was.
async fn the_client_is_told(client: &Client, order: &Order, body: &Value, dns: &DnsServer, word: &str) {
    assert_eq!(body["status"], "invalid", "{body}");
    let (_, authorization) = client.authorizations(order).await.remove(0);
    assert_eq!(authorization["status"], "invalid", "{authorization}");
    let challenge = support::flow::http01(&authorization);
    assert_eq!(challenge["status"], "invalid", "{challenge}");
    for error in [&body["error"], &challenge["error"]] {
        assert_eq!(error["type"], "urn:ietf:params:acme:error:dns", "{error}");
        tells(error["detail"].as_str().unwrap_or_default(), &order.names[0], dns, word);
    }
}

fn the_log_says_it(log: &str, dns: &DnsServer, word: &str) {
    for name in services() {
        let line = log.lines().find(|line| {
            line.contains(&name)
                && line.to_lowercase().contains(&word.to_lowercase())
                && line.contains("WARN")
        });
        tells(
            line.unwrap_or_else(|| panic!("{name} with {word} is not in the log:\n{log}")),
            &name,
            dns,
            word,
        );
    }
}

fn ca_ctl_lists(ca: &Ca, failed: &[(Order, &str)], dns: &DnsServer) {
    let items = ca.ctl_items(&["orders", "--failed"]);
    assert_eq!(items.len(), failed.len(), "each failed order, once");
    for (order, word) in failed {
        let id = order.url.rsplit('/').next().expect("an id");
        let item = items.iter().map(Value::to_string).find(|item| item.contains(id));
        tells(&item.unwrap_or_else(|| panic!("order {id} is not listed")), &order.names[0], dns, word);
    }
}

fn tells(text: &str, name: &str, dns: &DnsServer, word: &str) {
    let server = dns.address().to_string();
    let whole =
        text.contains(name) && text.contains(&server) && text.to_lowercase().contains(&word.to_lowercase());
    assert!(whole, "{name}, {server} and {word} should be in: {text}");
}

async fn every_failure_has_its_audit_row(ca: &Ca, failed: &[(Order, &str)]) {
    let store = store::Store::open_existing(ca.store()).await.expect("the store");
    for (order, _) in failed {
        let id = acme::id::OrderId::parse(order.url.rsplit('/').next().expect("an id"));
        let filter = store::audit::AuditFilter { order: id, ..store::audit::AuditFilter::default() };
        let rows = store.audit(&filter, 100).await.expect("audit");
        assert!(rows.iter().any(|row| row.event.contains("invalid")), "{}: {rows:?}", order.url);
    }
    store.close().await;
}
