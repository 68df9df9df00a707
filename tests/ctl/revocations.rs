//! `revoke`, and what the other verbs say afterwards.

use crate::golden::{Desk, json_must_equal, must_equal};

const REVOKE: &str = "revoke due.corp.lan --reason superseded";

/// What is asked afterwards, and the name of its files.
const AFTER: &[(&str, &str)] = &[
    ("list --all", "list-revoked"),
    ("list-expiring --all", "list-expiring-revoked"),
    ("show due.corp.lan", "show-revoked"),
    ("explain due.corp.lan", "explain-revoked"),
];

#[tokio::test]
async fn what_was_revoked_is_told_then_and_later() {
    for width in [80, 200] {
        let desk = Desk::new().await;
        must_equal(&format!("revoke.{width}.txt"), &desk.says(&format!("{REVOKE} --columns {width}")).await);
        for (verb, name) in AFTER {
            let text = desk.says(&format!("{verb} --columns {width}")).await;
            must_equal(&format!("{name}.{width}.txt"), &text);
        }
    }
    let desk = Desk::new().await;
    json_must_equal("revoke.json", &desk.says(&format!("{REVOKE} --json")).await);
    for (verb, name) in AFTER {
        json_must_equal(&format!("{name}.json"), &desk.says(&format!("{verb} --json")).await);
    }
}

#[tokio::test]
async fn what_is_not_revoked_is_told_with_the_reason() {
    let desk = Desk::new().await;
    let mut text = String::new();
    for line in [
        "revoke renewed.corp.lan",
        "revoke nobody.corp.lan",
        "revoke expired.corp.lan",
        "revoke due.corp.lan",
        "revoke due.corp.lan",
        "revoke renewed.corp.lan --yes",
        "revoke --account nonsense",
    ] {
        text.push_str(&format!("$ ca-ctl {line}\n{}", desk.says(line).await));
    }
    must_equal("revoke-refused.txt", &text);
}

/// Every row of the desk has the same key, which makes it a good one to lose.
#[tokio::test]
async fn a_lost_key_takes_all_its_certificates_along() {
    let desk = Desk::new().await;
    let text = desk.says("revoke due.corp.lan --reason keyCompromise").await;
    assert_eq!(text.lines().filter(|line| line.contains("keyCompromise")).count(), 10, "{text}");
    let expiring = desk.says("list-expiring --all").await;
    let left = expiring.lines().skip(1).filter(|line| !line.contains("missing")).count();
    assert_eq!(left, 1, "what has expired is all that is left: {expiring}");
}
