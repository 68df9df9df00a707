//! Every verb that tells of the store, on a narrow terminal, on a wide one, and as JSON.

use serde_json::Value;

use crate::golden::{Desk, json_must_equal, must_equal};

/// A verb, and the name of its files.
const VERBS: &[(&str, &str)] = &[
    ("list", "list"),
    ("list --all", "list-all"),
    ("list-expiring", "list-expiring"),
    ("list-expiring --within 2d", "list-expiring-within-2d"),
    ("list-expiring --used 80%", "list-expiring-used-80"),
    ("list-expiring --state late,overdue", "list-expiring-state"),
    ("list-expiring --all", "list-expiring-all"),
    ("show due.corp.lan", "show-name"),
    ("show behind.corp.lan", "show-failed"),
    ("show renewed.corp.lan", "show-renewed"),
    ("orders --since 200d", "orders"),
    ("orders --failed", "orders-failed"),
    ("eab list", "eab-list"),
];

#[tokio::test]
async fn tables_fit_their_terminal() {
    let desk = Desk::new().await;
    for (verb, name) in VERBS {
        for width in [80, 200] {
            let text = desk.says(&format!("{verb} --columns {width}")).await;
            let is_table = !verb.starts_with("show");
            let widest = text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
            assert!(!is_table || widest <= width, "{verb} is {widest} wide:\n{text}");
            must_equal(&format!("{name}.{width}.txt"), &text);
        }
    }
}

#[tokio::test]
async fn json_has_its_schema_and_everything() {
    let desk = Desk::new().await;
    for (verb, name) in VERBS {
        let text = desk.says(&format!("{verb} --json")).await;
        let json: Value = serde_json::from_str(&text).expect("JSON");
        let word = verb.split(' ').next().expect("a word");
        assert_eq!(json["schema"], format!("ca-ctl/{word}/1"), "{verb}");
        assert_eq!(json["generated_at"], "2026-11-22T19:09:00Z", "{verb}");
        json_must_equal(&format!("{name}.json"), &text);
    }
}

#[tokio::test]
async fn a_serial_leads_to_its_certificate_however_it_is_written() {
    let desk = Desk::new().await;
    let items = items(&desk, "list").await;
    let serial = items.iter().find(|item| item["name"] == "fresh.corp.lan").expect("it is there")["serial"]
        .as_str()
        .expect("a serial")
        .to_owned();
    let text = desk.says(&format!("show {serial}")).await;
    must_equal("show-serial.txt", &text);
    let pairs: Vec<String> = serial.as_bytes().chunks(2).map(|p| String::from_utf8_lossy(p).into()).collect();
    let as_openssl = pairs.join(":").to_uppercase();
    assert_eq!(desk.says(&format!("show {as_openssl}")).await, text, "as openssl prints it");
    assert_eq!(
        desk.says("show Fresh.Corp.Lan").await,
        desk.says("show fresh.corp.lan").await,
        "names have no case"
    );
    assert_eq!(
        desk.says("show BEHIND.corp.lan").await,
        desk.says("show behind.corp.lan").await,
        "also those that only failed"
    );
    assert!(desk.says("show 00112233445566778899").await.starts_with("exit 1: nothing is known"));
    assert!(desk.says("show nobody.corp.lan").await.starts_with("exit 1: nothing is known of nobody"));
}

#[tokio::test]
async fn a_renewed_certificate_is_one_item_and_its_predecessor_is_none() {
    let desk = Desk::new().await;
    let of = |items: &[Value]| -> Vec<String> {
        let renewed = items.iter().filter(|item| item["name"] == "renewed.corp.lan");
        renewed.map(|item| item["state"].as_str().expect("a state").to_owned()).collect()
    };
    assert_eq!(of(&items(&desk, "list").await), ["fresh"]);
    assert_eq!(of(&items(&desk, "list --all").await), ["fresh", "superseded"]);
    assert_eq!(of(&items(&desk, "list-expiring --all").await), ["fresh"]);
    // The predecessor ends in five days, and nobody has to look.
    assert_eq!(of(&items(&desk, "list-expiring --within 30d").await), [""; 0]);
    let shown = items(&desk, "show renewed.corp.lan").await;
    assert_eq!(shown[1]["superseded_by"], shown[0]["serial"], "and which one took its place is said");
    let every = items(&desk, "list-expiring --all").await;
    let mut names: Vec<&str> = every.iter().map(|item| item["name"].as_str().expect("a name")).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count, "one item a set of names");
}

#[tokio::test]
async fn the_most_urgent_come_first_and_each_condition_leaves_what_it_says() {
    let desk = Desk::new().await;
    let states = async |line: &str| -> Vec<String> {
        let items = items(&desk, line).await;
        items.iter().map(|item| item["state"].as_str().expect("a state").to_owned()).collect()
    };
    assert_eq!(
        states("list-expiring --used 66%").await,
        ["expired", "critical", "overdue", "late", "due"],
        "the most urgent first"
    );
    assert_eq!(states("list-expiring --within 2d").await, ["expired", "critical"]);
    assert_eq!(states("list-expiring --state due,expired").await, ["expired", "due"]);
    assert_eq!(states("list-expiring --used 100%").await, ["expired"]);
}

#[tokio::test]
async fn show_tells_the_failed_orders_of_a_name_in_json_as_in_words() {
    let desk = Desk::new().await;
    let text = desk.says("show behind.corp.lan --json").await;
    let json: Value = serde_json::from_str(&text).expect("JSON");
    let failed = json["failed_orders"].as_array().expect("a list");
    assert_eq!(failed.len(), 1, "{text}");
    assert_eq!(failed[0]["failures"][0]["reason"], "status");
    let words = desk.says("show behind.corp.lan").await;
    assert!(words.contains(failed[0]["order"].as_str().expect("an id")), "the same as in words: {words}");
    let json: Value = serde_json::from_str(&desk.says("show due.corp.lan --json").await).expect("JSON");
    assert_eq!(json["failed_orders"], Value::Array(Vec::new()), "always there, for whoever reads it");
}

#[tokio::test]
async fn orders_say_why_they_failed_whether_or_not_others_are_asked_for() {
    let desk = Desk::new().await;
    let failed = items(&desk, "orders --failed").await;
    let all = items(&desk, "orders --since 200d").await;
    assert_eq!(failed.len(), 2);
    for item in &failed {
        let same = all.iter().find(|other| other["order"] == item["order"]).expect("it is among all");
        assert_eq!(same, item);
        assert!(!item["failures"].as_array().expect("a list").is_empty(), "{item}");
    }
    let words = desk.says("orders --since 200d").await;
    let line = words.lines().find(|line| line.starts_with("forgotten.corp.lan")).expect("it is there");
    assert!(line.contains("it expired at 2026-11-09"), "{line}");
}

#[tokio::test]
async fn who_asks_for_renewals_hears_of_whom_and_by_when() {
    let verbs = [
        ("renew --host due.corp.lan fresh.corp.lan --spread 6h", "renew-host"),
        ("renew --all --yes", "renew-all"),
        ("renew --issuer A1B2C3D4A1B2C3D4A1B2C3D4A1B2C3D4A1B2C3D4 --yes", "renew-all"),
    ];
    for (verb, name) in verbs {
        let desk = Desk::new().await;
        for width in [80, 200] {
            let text = desk.says(&format!("{verb} --columns {width}")).await;
            must_equal(&format!("{name}.{width}.txt"), &text);
        }
        json_must_equal(&format!("{name}.json"), &desk.says(&format!("{verb} --json")).await);
    }
    let desk = Desk::new().await;
    let asked = items(&desk, "renew --all --yes").await;
    let names: Vec<&str> = asked.iter().map(|item| item["name"].as_str().expect("a name")).collect();
    assert!(!names.contains(&"expired.corp.lan") && !names.contains(&"ca.corp.lan"), "{names:?}");
    assert_eq!(names.iter().filter(|name| **name == "renewed.corp.lan").count(), 1, "not the superseded one");
    for item in items(&desk, "list").await {
        let asked = asked.iter().find(|asked| asked["serial"] == item["serial"]);
        let due_before = item["name"] == "due.corp.lan";
        assert_eq!(item["renewal_asked"], asked.is_some() || due_before, "{item}");
        if let Some(asked) = asked {
            assert_eq!(item["suggested_window"]["end"], asked["end"], "{item}");
        }
    }
}

#[tokio::test]
async fn a_renewal_of_nothing_and_one_of_everything_by_mistake_are_refused() {
    let desk = Desk::new().await;
    for (verb, words) in [
        ("renew --all", "8 certificates would be renewed within 6h; --yes does it"),
        ("renew --all --yes --spread 31d", "longer than 30 days"),
        ("renew --issuer 00ff --yes", "there is no issuer 00ff"),
        ("renew --host nobody.corp.lan", "no certificate for nobody.corp.lan is in use"),
        ("renew --host expired.corp.lan", "no certificate for expired.corp.lan is in use"),
        ("renew --host ca.corp.lan", "no certificate for ca.corp.lan is in use"),
        ("renew --host fresh.corp.lan nobody.corp.lan", "no certificate for nobody.corp.lan is in use"),
    ] {
        let text = desk.says(verb).await;
        assert!(text.starts_with("exit 1: ") && text.contains(words), "{verb}: {text}");
    }
    let asked = |item: &&Value| item["renewal_asked"] == true;
    assert_eq!(items(&desk, "list").await.iter().filter(asked).count(), 1, "nothing was done by halves");
}

async fn items(desk: &Desk, line: &str) -> Vec<Value> {
    let text = desk.says(&format!("{line} --json")).await;
    let json: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    json["items"].as_array().expect("items").clone()
}
