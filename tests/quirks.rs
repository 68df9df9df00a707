//! What clients need that cannot be run here, or are run only where somebody installed them: each reads replies in a way
//! of its own. Most of it holds for every reply and stands in support/rules.rs; this is what takes a request of its own.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what surprises a test ends it")]

mod support;

use serde_json::json;

use support::csr::{Request, ec_key};
use support::jose::Key;
use support::{Ca, Client, Responder, oracle};

/// acme.sh has no JSON reader: it removes line ends and white space, and takes what stands between braces for an object.
#[tokio::test(flavor = "multi_thread")]
async fn acme_sh_reads_authorizations_and_orders_without_a_json_reader() {
    let ca = Ca::pinned().await;
    let client = Client::registered(&ca).await;
    let responder = Responder::start(ca.http_port).await;
    let order = client.new_order(&["sed.corp.lan"]).await;
    let (url, shown) = client.authorizations(&order).await.remove(0);
    let text = client.read(&url).await.text();

    let identifier = between(&text, "\"value\":\"", "\"");
    assert_eq!(identifier, "sed.corp.lan", "the first value is the identifier: {text}");
    for kind in support::flow::offered(&shown) {
        // `[^\{]*"type":"http-01"[^\}]*`
        let at = text.find(&format!("\"type\":\"{kind}\"")).unwrap();
        let from = text[..at].rfind('{').unwrap() + 1;
        let entry = &text[from..at + text[at..].find('}').unwrap()];
        let expected = support::flow::challenge(&shown, &kind);
        for member in ["token", "url", "status"] {
            let read = between(entry, &format!("\"{member}\":\"",), "\"");
            assert_eq!(expected[member], read, "{member} of {kind}: {entry}");
        }
    }
    assert!(!text.contains("\"status\":\"invalid\""), "which it takes for the end: {text}");

    let ready = client.ready_order(&["order.corp.lan"], &responder).await;
    let reply = client.finalize(&ready, &Request::new(&["order.corp.lan"], &ec_key()).to_der()).await;
    let text = reply.text();
    assert_eq!(between(&text, "\"certificate\":\"", "\""), reply.json()["certificate"].as_str().unwrap());
    assert_eq!(text.matches("\"status\":").count(), 1, "an order has one status: {text}");
    oracle::check(&ca, &[client.certificate(&ready).await]).await;
}

/// Proxmox VE signs by RSA with 4096 bits, sends `use` in its key, and reads its account with `{}`.
#[tokio::test(flavor = "multi_thread")]
async fn proxmox_registers_and_reads_its_account() {
    let ca = Ca::pinned().await;
    let client = Client::with_key(&ca, Key::rsa(4096));
    let payload = json!({"contact": ["mailto:root@corp.lan"], "termsOfServiceAgreed": true});
    let mut draft = client.draft("/acme/new-account", payload).await;
    draft.protected["jwk"]["use"] = "sig".into();
    let made = client.send(&draft).await;
    assert_eq!(made.expect(201)["contact"], json!(["mailto:root@corp.lan"]));
    let found = client.register().await;
    assert_eq!(found.header("location"), made.header("location"));
    let read = client.post(&client.kid(), json!({})).await.expect(200);
    assert_eq!(read["status"], "valid");
    oracle::check(&ca, &[]).await;
}

/// getssl finalizes an order once more that is valid already; so does whoever lost the first answer.
#[tokio::test(flavor = "multi_thread")]
async fn getssl_finalizes_twice() {
    let ca = Ca::pinned().await;
    let client = Client::registered(&ca).await;
    let responder = Responder::start(ca.http_port).await;
    let order = client.ready_order(&["twice.corp.lan"], &responder).await;
    let csr = Request::new(&["twice.corp.lan"], &ec_key()).to_der();
    let first = client.finalize(&order, &csr).await.expect(200);
    let second = client.finalize(&order, &csr).await.expect(200);
    assert_eq!(first, second);
    assert_eq!(ca.ctl_items(&["show", "twice.corp.lan"]).len(), 1, "one certificate");
    oracle::check(&ca, &[client.certificate(&order).await]).await;
}

/// HAProxy keeps a reply in one buffer of 16 KiB, with the largest certificate that it asks for.
#[tokio::test(flavor = "multi_thread")]
async fn haproxy_has_room_for_a_chain_of_many_names() {
    let ca = Ca::pinned().await;
    let client = Client::registered(&ca).await;
    let responder = Responder::start(ca.http_port).await;
    let names: Vec<String> = (0..50).map(|number| format!("host-{number}.corp.lan")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let issued = client.issue(&names, &responder).await;
    let order = client.read(&issued.order.url).await;
    assert!(order.body.len() < 16_000 && issued.pem.len() < 16_000, "{order}");
    assert_eq!(order.json()["identifiers"].as_array().map(Vec::len), Some(names.len()));
    oracle::check(&ca, &[issued.pem]).await;
}

/// win-acme and Certes read the terms' URL without asking whether there is one; ansible and others read `meta`.
#[tokio::test(flavor = "multi_thread")]
async fn the_directory_says_what_careless_readers_need() {
    let mut ca = Ca::new();
    let terms = ca.path("terms.txt");
    std::fs::write(&terms, "Be kind.\n").unwrap();
    ca.configure(support::ca::PIN_CORP_LAN);
    ca.configure(&format!("[accounts]\nterms_of_service = \"{}\"", terms.display()));
    ca.start().await;
    let client = Client::new(&ca);
    let directory = client.plain("GET", "/acme/directory").await.expect(200);
    let url = directory["meta"]["termsOfService"].as_str().unwrap().to_owned();
    // win-acme downloads it.
    assert_eq!(client.plain("GET", &url).await.text(), "Be kind.\n");
}

/// What stands between the first of these and the next of those.
fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let from = text.find(before).unwrap_or_else(|| panic!("no {before} in {text}")) + before.len();
    &text[from..from + text[from..].find(after).unwrap()]
}
