//! What is told of what addresses serve: in every table, check and sentence, on a narrow terminal, on a wide one, and as JSON.

use serde_json::Value;

use crate::golden::{Desk, json_must_equal, must_equal};

/// A verb, and the name of its files.
const VERBS: &[(&str, &str)] = &[
    ("list-expiring", "served-expiring"),
    ("list-expiring --all", "served-expiring-all"),
    ("list-expiring --state wrong,stale", "served-expiring-wrong"),
    ("list-expiring --state revoked", "served-expiring-revoked"),
    ("names list", "served-names-list"),
    ("names show due.corp.lan", "served-names-show"),
    ("status", "served-status"),
    ("check certs", "served-check-certs"),
    ("check probes", "served-check-probes"),
    ("explain due.corp.lan", "served-explain-revoked"),
    ("explain fresh.corp.lan", "served-explain-fallback"),
    ("explain renewed.corp.lan", "served-explain-stale"),
    ("explain reissued.corp.lan", "served-explain-renewed"),
];

#[tokio::test]
async fn what_is_served_is_told_as_kept() {
    let desk = Desk::with_sights().await;
    for (verb, name) in VERBS {
        for width in [80, 200] {
            let text = desk.says(&format!("{verb} --columns {width}")).await;
            let is_table = ["list-expiring", "names list"].iter().any(|table| verb.starts_with(table));
            let widest = text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
            assert!(!is_table || widest <= width, "{verb} is {widest} wide:\n{text}");
            must_equal(&format!("{name}.{width}.txt"), &text);
        }
        let text = desk.says(&format!("{verb} --json")).await;
        json_must_equal(&format!("{name}.json"), text.lines().next().expect("a line"));
    }
}

async fn item(desk: &Desk, line: &str, name: &str) -> Option<Value> {
    let text = desk.says(&format!("{line} --json")).await;
    let json: Value = serde_json::from_str(text.lines().next().expect("a line")).expect("JSON");
    json["items"].as_array().expect("items").iter().find(|item| item["name"] == name).cloned()
}

#[tokio::test]
async fn what_is_revoked_and_still_served_is_wrong_everywhere() {
    let desk = Desk::with_sights().await;
    for line in ["list-expiring", "list-expiring --all", "list-expiring --state wrong", "names list"] {
        let item = item(&desk, line, "due.corp.lan").await.unwrap_or_else(|| panic!("{line}"));
        assert_eq!(
            (item["standing"].as_str(), item["state"].as_str()),
            (Some("wrong"), Some("revoked")),
            "{line}"
        );
        assert_eq!(item["served"][0]["verdict"], "revoked_served", "{line}");
        assert_eq!(item["served"][0]["serial"], item["revoked_serial"], "{line}");
        assert!(item["serial"].is_null() && item["revoked_at"].is_string(), "{item}");
    }
    let text = desk.says("check certs").await;
    assert!(text.contains("4 wrong ("), "{text}");
    assert!(text.ends_with("exit 2: \n"), "{text}");
    assert!(desk.says("list-expiring --exit-code").await.ends_with("exit 2: \n"));
    assert!(desk.says("status --exit-code").await.ends_with("exit 2: \n"));
    // Nobody wants to hear of it: no table, no check.
    desk.says("forget due.corp.lan,www.due.corp.lan").await;
    assert_eq!(item(&desk, "list-expiring --all", "due.corp.lan").await, None);
    assert!(desk.says("check certs").await.contains("3 wrong ("));
    assert!(!desk.says("check probes").await.contains("due.corp.lan:443"));
}

#[tokio::test]
async fn what_is_wrong_is_listed_however_late_its_certificate_ends() {
    let desk = Desk::with_sights().await;
    // It has 80 days left, and serves something else.
    let found = item(&desk, "list-expiring", "fresh.corp.lan").await.expect("it is there");
    assert_eq!(found["standing"], "wrong");
    assert_eq!(
        item(&desk, "list-expiring --within 30d", "fresh.corp.lan").await,
        None,
        "who asks for an end"
    );
}

#[tokio::test]
async fn thresholds_of_an_owner_hold_in_every_table_and_check() {
    let desk = Desk::with_sights().await;
    let name = "a-name-that-nobody-would-choose-but-somebody-got.in.a.deep.zone.corp.lan";
    assert_eq!(item(&desk, "list-expiring", name).await, None, "70 days left");
    desk.says(&format!("names set {name} --warn 20% --critical 90%")).await;
    let found = item(&desk, "list-expiring", name).await.expect("it is there");
    assert_eq!(found["standing"], "overdue");
    assert!(desk.says("check certs").await.contains("2 overdue"));
    assert!(desk.says("status").await.contains("2 overdue"));
    desk.says(&format!("names set {name} --warn 10% --critical 20%")).await;
    assert!(desk.says("check certs").await.contains("2 critical"));

    // What a probe found to be expiring is as bad as its own thresholds say.
    let probes = async || desk.says("check probes --json").await;
    let critical = async || probes().await.contains("probes_critical=5;");
    assert!(!critical().await, "{}", probes().await);
    desk.says("names set overdue.corp.lan --warn 50% --critical 70%").await;
    assert!(critical().await, "{}", probes().await);
}

#[tokio::test]
async fn a_mute_of_a_whole_set_holds_for_what_its_hosts_serve() {
    let desk = Desk::with_sights().await;
    assert!(desk.says("check probes --json").await.contains("due.corp.lan:443 revoked_served"));
    desk.says("mute due.corp.lan,www.due.corp.lan --for 1h --reason tests").await;
    assert!(!desk.says("check probes --json").await.contains("due.corp.lan:443"));
}
