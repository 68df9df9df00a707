//! `ca-ctl policy explain`: what it says is what the server does.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what surprises a test ends it")]

mod support;

use serde_json::json;

use support::ca::{PIN_CORP_LAN, text};
use support::flow::identifiers;
use support::{Ca, Client};

#[tokio::test]
async fn every_rule_is_told_and_the_server_agrees() {
    let mut ca = Ca::new();
    ca.configure(PIN_CORP_LAN).configure(
        "[policy]\nallow = [\"*.corp.lan\", \"*.example\", \"127.0.0.0/8\"]\ndeny = [\"secret.corp.lan\"]",
    );
    ca.start().await;
    let client = Client::registered(&ca).await;
    for (name, refused_by) in [
        ("good.corp.lan", None),
        ("127.0.0.7", None),
        ("secret.corp.lan", Some("policy.deny")),
        ("corp.lan", Some("policy.allow")),
        ("outside.example", Some("name constraints")),
        ("10.0.0.1", Some("policy.allow")),
    ] {
        let output = ca.ctl(&["policy", "explain", name, "--json"]);
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let items = json["items"].as_array().unwrap();
        let no = items.iter().find(|item| item["allowed"] == false);
        let rule = no.map(|item| item["rule"].as_str().unwrap().to_owned());
        assert_eq!(rule.is_some(), refused_by.is_some(), "{name}: {json}");
        assert!(refused_by.is_none_or(|by| rule.unwrap().starts_with(by)), "{name}: {json}");
        assert_eq!(output.status.success(), refused_by.is_none(), "{name}: {}", text(&output));
        let order = client.post("/acme/new-order", json!({"identifiers": identifiers(&[name])})).await;
        assert_eq!(order.status == 201, refused_by.is_none(), "{name}: {order}");
    }
    let table = text(&ca.ctl(&["policy", "explain", "secret.corp.lan"]));
    assert!(
        table.contains("policy.deny") && table.contains("secret.corp.lan covers it, and deny wins"),
        "{table}"
    );
    let none = text(&ca.ctl(&["policy", "explain", "a..b"]));
    assert!(none.contains("is not a DNS name"), "{none}");
}

#[tokio::test]
async fn the_limits_of_an_account_are_told_too() {
    let ca = Ca::pinned().await;
    let client = Client::registered(&ca).await;
    let id = client.kid().rsplit('/').next().unwrap().to_owned();
    let rules = |account: &str| ca.ctl(&["policy", "explain", "good.corp.lan", "--account", account]);
    let output = rules(&id);
    assert!(output.status.success() && text(&output).contains("it is valid"), "{}", text(&output));
    client.post(&client.kid(), json!({"status": "deactivated"})).await.expect(200);
    let output = rules(&id);
    assert!(!output.status.success() && text(&output).contains("it is deactivated"), "{}", text(&output));
    assert!(text(&rules("nobody")).contains("there is no account nobody"));
}
