//! What tells whether the fleet is well, and what the operator says about it: on a narrow terminal, on a wide one, and as JSON.

use serde_json::Value;

use crate::golden::{Desk, json_must_equal, must_equal};

/// A verb, and the name of its files.
const VERBS: &[(&str, &str)] = &[
    ("list-expiring", "watch-expiring"),
    ("list-expiring --all", "watch-expiring-all"),
    ("list-expiring --owner dev", "watch-expiring-owner"),
    ("list-expiring --state missing", "watch-expiring-missing"),
    ("status", "status"),
    ("names list", "names-list"),
    ("names show critical.corp.lan", "names-show"),
    ("names show overdue.corp.lan", "names-show-muted"),
    ("explain critical.corp.lan", "explain-validated"),
    ("explain fresh.corp.lan", "explain-fresh"),
    ("explain late.corp.lan", "explain-silent"),
    ("explain overdue.corp.lan", "explain-ordered"),
    ("explain waits.corp.lan", "explain-waits"),
    ("explain daily.corp.lan", "explain-forgotten"),
    ("explain ca.corp.lan", "explain-own"),
    ("check certs", "check-certs"),
    ("check ca", "check-ca"),
    ("check probes", "check-probes"),
    ("check alerts", "check-alerts"),
    ("check all", "check-all"),
];

#[tokio::test]
async fn tables_fit_their_terminal() {
    let desk = Desk::with_troubles().await;
    for (verb, name) in VERBS {
        for width in [80, 200] {
            let text = desk.says(&format!("{verb} --columns {width}")).await;
            let is_table = ["list-expiring", "names list"].iter().any(|table| verb.starts_with(table));
            let widest = text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
            assert!(!is_table || widest <= width, "{verb} is {widest} wide:\n{text}");
            must_equal(&format!("{name}.{width}.txt"), &text);
        }
        let text = desk.says(&format!("{verb} --json")).await;
        let (json, rest) = text.split_once('\n').expect("a line");
        assert!(rest.is_empty() || verb.starts_with("check"), "{verb}: {rest}");
        let word = verb.split(' ').next().expect("a word");
        let parsed: Value = serde_json::from_str(json).expect("JSON");
        assert_eq!(parsed["schema"], format!("ca-ctl/{word}/1"), "{verb}");
        json_must_equal(&format!("{name}.json"), json);
    }
}

/// What is said of a name, and what is told of it then.
#[tokio::test]
async fn what_the_operator_says_is_told_then_and_later() {
    let desk = Desk::with_troubles().await;
    let mut text = String::new();
    for line in [
        "mute critical.corp.lan --for 7d --reason moves",
        "unmute critical.corp.lan",
        "unmute critical.corp.lan",
        "mute *.corp.lan --for 1h --reason tests",
        "unmute late.corp.lan",
        "mute nobody.corp.lan --for 7d --reason moves",
        "mute a..b --for 7d --reason moves",
        "mute late.corp.lan --for 800d --reason moves",
        "mute late.corp.lan --for 0d --reason moves",
        "mute late.corp.lan --for 7d --reason ",
        "probe https://late.corp.lan/",
        "probe late.corp.lan:99999",
        "names owner late.corp.lan mail",
        "names owner late.corp.lan",
        "names owner late.corp.lan --none",
        "names set late.corp.lan --warn 70% --critical 0.9 --owner ops",
        "names set late.corp.lan --warn 95% --critical 90%",
        "names set late.corp.lan --critical 85%",
        "names set late.corp.lan --warn 75%",
        "names set late.corp.lan --default",
        "names set late.corp.lan --warn 75%",
        "names set late.corp.lan",
        "names set late.corp.lan --default",
        "forget www.due.corp.lan",
        "forget due.corp.lan,www.due.corp.lan",
        "forget late.corp.lan",
        "names show late.corp.lan",
        "explain 6b02e96c000000000000000003f4",
        "explain 6b02e96c0000000000000000ffff",
    ] {
        text.push_str(&format!("$ ca-ctl {line}\n{}", desk.says(&format!("{line} --columns 200")).await));
    }
    must_equal("words.txt", &text);
    json_must_equal("mute.json", &desk.says("mute critical.corp.lan --for 7d --reason moves --json").await);
}

/// What is said, and the name of its files.
const SAID: &[(&str, &str)] = &[
    ("mute *.corp.lan --for 7d --reason a-move-that-takes-longer-than-anybody-thought", "said-mute"),
    ("names set due.corp.lan,www.due.corp.lan --warn 70% --critical 90% --owner ops", "said-set"),
    ("names owner late.corp.lan ops", "said-owner"),
    ("unmute overdue.corp.lan", "said-unmute"),
    ("forget late.corp.lan", "said-forget"),
    ("policy explain late.corp.lan", "policy-explain"),
];

#[tokio::test]
async fn what_is_said_has_one_form_at_every_width_and_as_json() {
    for (verb, name) in SAID {
        for width in [80, 200] {
            let text = Desk::with_troubles().await.says(&format!("{verb} --columns {width}")).await;
            let table = text.lines().filter(|line| !line.starts_with("exit "));
            let widest = table.map(|line| line.chars().count()).max().unwrap_or(0);
            assert!(widest <= width, "{verb} is {widest} wide:\n{text}");
            must_equal(&format!("{name}.{width}.txt"), &text);
        }
        let text = Desk::with_troubles().await.says(&format!("{verb} --json")).await;
        json_must_equal(&format!("{name}.json"), text.lines().next().expect("a line"));
    }
}

/// What people write is read as it is meant, or refused with what would do.
#[tokio::test]
async fn names_are_read_as_people_write_them() {
    let desk = Desk::with_troubles().await;
    let mut text = String::new();
    let long = ["a"; 300].concat();
    for line in [
        "mute LATE.corp.lan. --for 1h --reason tests",
        "unmute Late.Corp.Lan",
        "names owner *.WILD.corp.lan. ops",
        "names owner WWW.due.corp.lan,due.corp.lan. ops",
        "explain https://late.corp.lan/a",
        "explain late.corp.lan:443",
        "names show late_x.corp.lan",
        "names show [fd00::1]",
        "names show web.wild.corp.lan",
        "names show a.web.wild.corp.lan",
        "names show b\u{fc}cher.corp.lan",
        "show b\u{fc}cher.corp.lan",
        "show late.corp.lan:443",
        "forget ",
        "forget a.lan,,b.lan",
        "mute 10.0.0.0/8 --for 1h --reason tests",
        "mute *.*.lan --for 1h --reason tests",
        "probe *.wild.corp.lan",
        "probe b\u{fc}cher.corp.lan:0",
        "resolve b\u{fc}cher.corp.lan.",
        "list-expiring --state tired",
        "list-expiring --within yesterday",
        "list-expiring --used 120%",
        "check everything",
        &format!("explain {long}"),
    ] {
        text.push_str(&format!("$ ca-ctl {line}\n{}", desk.says(&format!("{line} --columns 200")).await));
    }
    must_equal("names-as-written.txt", &text);
}

#[tokio::test]
async fn a_mute_silences_and_a_forgotten_name_is_gone_until_it_is_ordered_again() {
    let desk = Desk::with_troubles().await;
    let names = async |line: &str| -> Vec<String> {
        let text = desk.says(line).await;
        let json: Value = serde_json::from_str(text.lines().next().expect("a line")).expect("JSON");
        let items = json["items"].as_array().expect("items");
        items.iter().map(|item| item["name"].as_str().expect("a name").to_owned()).collect()
    };
    assert!(desk.says("check certs").await.contains("1 critical (critical.corp.lan)"));
    desk.says("mute critical.corp.lan --for 1h --reason tests").await;
    let after = desk.says("check certs").await;
    assert!(!after.contains("critical.corp.lan") && after.contains("muted=2"), "{after}");
    let expiring = names("list-expiring --all --json").await;
    assert!(expiring.contains(&"critical.corp.lan".to_owned()), "muted, not gone: {expiring:?}");
    assert!(!expiring.contains(&"daily.corp.lan".to_owned()), "forgotten: {expiring:?}");
    desk.says("forget expired.corp.lan").await;
    let after = desk.says("check certs").await;
    assert!(after.starts_with("CERTS WARNING - 2 missing | expired=0;0;0"), "{after}");
    desk.says("forget *.corp.lan").await;
    assert_eq!(names("list-expiring --all --json").await, [""; 0]);
    assert!(desk.says("check certs").await.starts_with("CERTS OK - "));
}

#[tokio::test]
async fn each_word_of_the_operator_leaves_a_row_in_the_trail() {
    let desk = Desk::with_troubles().await;
    for line in [
        "mute late.corp.lan --for 7d --reason moves",
        "unmute late.corp.lan",
        "names owner late.corp.lan mail",
        "names set late.corp.lan --warn 70% --critical 90%",
        "forget late.corp.lan",
    ] {
        desk.says(line).await;
    }
    let store = store::Store::open_existing(&desk.store()).await.expect("a store");
    let trail = store.audit(&store::audit::AuditFilter::default(), 100).await.expect("read");
    let words: Vec<&str> =
        trail.iter().map(|row| row.event.as_str()).filter(|word| *word != "name-said").collect();
    for word in ["name-muted", "name-unmuted", "name-owned", "name-limited", "name-forgotten"] {
        assert_eq!(words.iter().filter(|found| **found == word).count(), 1, "{word}: {words:?}");
    }
    let muted = trail.iter().find(|row| row.event == "name-muted").and_then(|row| row.detail.clone());
    assert_eq!(muted.expect("a detail")["reason"], "moves");
    store.close().await;
}
