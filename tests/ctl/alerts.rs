//! `alerts`, of a store in which a day of an outage was kept by the book itself.

use std::collections::BTreeMap;
use std::time::Duration;

use acme::severity::Severity;
use acme::time::Timestamp;
use acme_ca::notify::Schedule;
use acme_ca::watch::book::Book;
use acme_ca::watch::keep;
use acme_ca::watch::rule::Rule;
use acme_ca::watch::rules::{Condition, Ending, Findings};
use store::{Options, Store};

use crate::golden::{Desk, json_must_equal, must_equal};
use crate::rows;

const OUTAGE: &str = "outage:servfail:10.0.0.53";

fn hours_ago(hours: u64) -> Timestamp {
    rows::now().minus(Duration::from_secs(hours * 3_600))
}

fn condition(rule: Rule, key: &str, severity: Severity, title: &str, hours: u64) -> Condition {
    Condition {
        rule,
        key: key.into(),
        severity,
        title: title.into(),
        lines: vec!["what it means".into(), "try: ca-ctl explain vault.lan".into()],
        names: vec![key.split(':').nth(1).expect("a name").into()],
        owner: Some("infra".into()),
        since: hours_ago(hours),
        seen_at: hours_ago(hours),
        covers: vec![key.into()],
        cause: None,
        inhibited_by: None,
        is_muted: false,
    }
}

/// A night and a morning: an outage with what it stands for, a certificate that was not reloaded and one that was, and
/// something for the digest.
async fn fill(url: &str) {
    let store = Store::open(url, &Options::default()).await.expect("a store");
    let title = "All ACME validation fails: resolver 10.0.0.53 SERVFAIL (2 names)";
    let mut outage = condition(Rule::CaValidationOutage, OUTAGE, Severity::Urgent, title, 5);
    outage.names = vec!["git.lan".into(), "vault.lan".into()];
    outage.lines = vec![
        "since 14:09, 2 sets of names, none succeeds: git.lan, vault.lan".into(),
        "CA asked 10.0.0.53 for vault.lan A: SERVFAIL in 12 ms".into(),
        "try: ca-ctl resolve vault.lan; to go round the server, add a pin under [resolver.pins] and reload"
            .into(),
    ];
    let child = |name: &str| Condition {
        inhibited_by: Some(OUTAGE.into()),
        ..condition(
            Rule::OrderFailing,
            &format!("order:{name}"),
            Severity::Critical,
            &format!("{name}: 2 orders failed: dns servfail"),
            5,
        )
    };
    let stale = |name: &str| {
        let key = format!("served:{name}:443");
        condition(Rule::ServedStale, &key, Severity::Warning, &format!("{name} serves an old certificate"), 6)
    };
    let late = condition(
        Rule::RenewalLate,
        "renew:wiki.lan",
        Severity::Info,
        "wiki.lan: renewal is late, 25d left (72 % used)",
        2,
    );
    let mut book = Book::default();
    for minute in (0..=6 * 60).rev() {
        let now = rows::now().minus(Duration::from_secs(minute * 60));
        let mut found = Findings { conditions: vec![stale("mail.lan")], endings: BTreeMap::new() };
        if minute > 30 {
            found.conditions.push(stale("www.lan"));
        } else {
            let shown = Ending::Shown("www.lan: reloaded".into(), Vec::new());
            found.endings.insert("served:www.lan:443".into(), shown);
        }
        if minute < 5 * 60 {
            found.conditions.extend([outage.clone(), child("git.lan"), child("vault.lan")]);
        }
        if minute < 2 * 60 {
            found.conditions.push(late.clone());
        }
        let step = book.step(&found, now, &Schedule::default());
        store.write(keep::change(&step, Vec::new(), now).expect("JSON")).await.expect("kept");
    }
    store.close().await;
}

/// A verb, and the name of its files.
const VERBS: &[(&str, &str)] = &[
    ("alerts list", "alerts-list"),
    ("alerts list --over 1d", "alerts-list-over"),
    ("alerts show outage:servfail:10.0.0.53", "alerts-show"),
    ("alerts show order:git.lan", "alerts-show-inhibited"),
    ("alerts show served:www.lan:443", "alerts-show-over"),
    ("alerts history --since 1d", "alerts-history"),
    ("alerts rules", "alerts-rules"),
];

#[tokio::test]
async fn alerts_are_told_of_as_kept() {
    let desk = Desk::new().await;
    fill(&desk.store()).await;
    for (verb, name) in VERBS {
        for width in [80, 200] {
            let text = desk.says(&format!("{verb} --columns {width}")).await;
            let widest = text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
            assert!(verb.contains("show") || widest <= width, "{verb} is {widest} wide:\n{text}");
            must_equal(&format!("{name}.{width}.txt"), &text);
        }
        json_must_equal(&format!("{name}.json"), &desk.says(&format!("{verb} --json")).await);
    }
}

#[tokio::test]
async fn who_knows_of_an_alert_says_so_and_it_stays_open() {
    let desk = Desk::new().await;
    fill(&desk.store()).await;
    let mut text = String::new();
    for line in [
        "alerts ack served:mail.lan:443 --reason on-it",
        "alerts show served:mail.lan:443",
        "alerts list",
        "alerts ack served:www.lan:443",
        "alerts ack nonsense",
        "alerts show nonsense",
    ] {
        text.push_str(&format!("$ ca-ctl {line}\n{}", desk.says(line).await));
    }
    must_equal("alerts-ack.txt", &text);
    json_must_equal("alerts-ack.json", &desk.says(&format!("alerts ack {OUTAGE} --json")).await);
}

#[tokio::test]
async fn the_status_counts_alerts_the_worst_first_and_leads_to_them() {
    let desk = Desk::with_ca().await;
    fill(&desk.store()).await;
    let text = desk.says("status").await;
    assert!(text.contains("alerts     1 urgent, 1 warning, 1 info\n"), "{text}");
    assert!(text.ends_with("next       ca-ctl alerts list\n"), "{text}");
}

#[tokio::test]
async fn a_store_without_alerts_says_so() {
    let desk = Desk::new().await;
    assert!(desk.says("alerts list").await.ends_with("no alert\n"));
}

/// Sinks at which nobody listens, and one that takes everything.
const SINKS: &str = "[[alerts.sink]]\nname = \"hook\"\ntype = \"webhook\"\nurl = \"http://127.0.0.1:1/\"\n\
    [[alerts.sink]]\nname = \"phone\"\ntype = \"ntfy\"\nurl = \"http://127.0.0.1:1\"\ntopic = \"pki\"\n\
    [[alerts.sink]]\nname = \"well\"\ntype = \"exec\"\nprogram = \"/bin/true\"\n";

/// How long each took is its own, and with it the width of a column.
fn without_times(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split("  ").map(str::trim).filter(|word| !word.is_empty()).collect();
        let words = words.iter().map(|word| match word.strip_suffix(" ms") {
            Some(number) if number.bytes().all(|b| b.is_ascii_digit()) => "0 ms",
            _ => word,
        });
        out.push_str(&words.collect::<Vec<_>>().join("  "));
        out.push('\n');
    }
    out
}

#[tokio::test]
async fn a_message_that_did_not_arrive_is_told_with_its_reason() {
    let desk = Desk::with_ca().await;
    must_equal("alerts-test-none.txt", &desk.says("alerts test").await);
    must_equal("alerts-test-none-json.txt", &desk.says("alerts test --json").await);
    desk.configure(SINKS);
    for width in [80, 200] {
        let text = desk.says(&format!("alerts test --columns {width}")).await;
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
        assert!(widest <= width, "{widest} wide:\n{text}");
        must_equal(&format!("alerts-test.{width}.txt"), &without_times(&text));
    }
    let text = desk.says("alerts test --json").await;
    let mut json: serde_json::Value =
        serde_json::from_str(text.lines().next().expect("a line")).expect("JSON");
    for item in json["items"].as_array_mut().expect("items") {
        item["milliseconds"] = 0.into();
    }
    json_must_equal("alerts-test.json", &json.to_string());
    assert!(desk.says("alerts test --sink nobody").await.contains("there are hook, phone, well"));
    assert!(!desk.says("alerts test --sink well").await.contains("exit"), "it arrives");
}
