//! ntfy, whose contract the server here follows. What it follows is shown on a real one in `real_ntfy.rs`.

use acme::severity::Severity;
use acme_ca::notify::{Kind, sequence_id};
use serde_json::json;

use crate::desk::{Desk, began, ntfy_at};
use crate::support::ntfy::{Answer, Ntfy, basic};

#[tokio::test]
async fn a_message_says_how_much_it_matters_and_what_it_is_about() {
    let ntfy = Ntfy::start().await;
    let more = "click = \"https://ca.lan/names/{name}\"\ntags = [\"home\"]";
    let mut desk = Desk::new(&ntfy_at(&ntfy.url(), more)).await;
    for (severity, name) in
        Severity::ALL.iter().zip(["a.corp.lan", "b.corp.lan", "c.corp.lan", "*.d.corp.lan"])
    {
        desk.put(Kind::Firing, *severity, name).await;
    }
    assert_eq!(desk.results().await, ["delivered"; 4]);
    let requests = ntfy.requests();
    let priorities: Vec<i64> = requests.iter().map(|r| r["priority"].as_i64().unwrap()).collect();
    assert_eq!(priorities, [2, 3, 4, 5]);
    assert_eq!(requests[0]["topic"], "pki");
    assert_eq!(requests[0]["title"], "a.corp.lan cannot be issued");
    assert_eq!(requests[0]["message"], "2 orders failed since 07:02\ntry: ca-ctl resolve");
    assert_eq!(requests[3]["tags"], json!(["rotating_light", "OrderFailing", "home"]));
    assert_eq!(requests[3]["click"], "https://ca.lan/names/%2A.d.corp.lan");
    assert_eq!(requests[0]["sequence_id"], json!(sequence_id("order:a.corp.lan")));

    desk.pass_minutes(60);
    desk.put(Kind::Reminder, Severity::Urgent, "*.d.corp.lan").await;
    desk.put(Kind::Resolved, Severity::Urgent, "*.d.corp.lan").await;
    let report = desk.step().await;
    assert_eq!((report.tries.len(), report.waiting), (2, 0));
    let end = &ntfy.requests()[5];
    assert_eq!((&end["priority"], &end["tags"][0]), (&json!(2), &json!("white_check_mark")));
    assert_eq!(end["sequence_id"], requests[3]["sequence_id"], "it takes the place of the alert");
    assert_eq!(end["title"], "*.d.corp.lan issued after 41 failures");
    assert_eq!(desk.results().await, [""; 0], "nothing is told twice");
}

#[tokio::test]
async fn a_server_without_sequence_ids_is_told_plainly_that_it_is_over() {
    let ntfy = Ntfy::start().await;
    ntfy.knows_sequence_ids(false);
    let desk = Desk::new(&ntfy_at(&ntfy.url(), "")).await;
    desk.put(Kind::Firing, Severity::Warning, "a.corp.lan").await;
    desk.put(Kind::Resolved, Severity::Warning, "a.corp.lan").await;
    desk.step().await;
    assert_eq!(
        ntfy.titles(),
        ["a.corp.lan cannot be issued", "Resolved: a.corp.lan issued after 41 failures"]
    );
    assert_eq!(desk.store.sinks().await.unwrap()[0].replaces, Some(false));
    // It was updated.
    ntfy.knows_sequence_ids(true);
    desk.put(Kind::Firing, Severity::Warning, "a.corp.lan").await;
    desk.put(Kind::Resolved, Severity::Warning, "a.corp.lan").await;
    desk.step().await;
    assert_eq!(ntfy.titles()[3], "a.corp.lan issued after 41 failures");
}

#[tokio::test]
async fn every_answer_has_its_reaction() {
    let ntfy = Ntfy::start().await;
    let mut desk = Desk::new(&ntfy_at(&ntfy.url(), "")).await;
    // The answer; the result of the step; whether the message is owed still, and until when the sink is left alone.
    let retry = |seconds: u64| (true, Some(seconds));
    let html = Answer { status: 200, body: "<html>log in</html>".into(), headers: vec![] };
    let moved =
        Answer { status: 302, body: String::new(), headers: vec![("location", "https://elsewhere/".into())] };
    let later = Answer { headers: vec![("retry-after", "120".into())], ..Answer::error(429, 42901, "slow") };
    let cases = [
        (Answer::error(400, 40007, "priority invalid"), "delivered", (false, None)),
        (Answer::error(400, 40018, "actions invalid"), "delivered", (false, None)),
        (Answer::error(400, 40014, "attachments not allowed"), "delivered", (false, None)),
        (Answer::error(413, 41303, "JSON body too large"), "delivered", (false, None)),
        (Answer::error(401, 40101, "unauthorized"), "broken", retry(5)),
        (Answer::error(403, 40301, "forbidden"), "broken", retry(5)),
        (Answer::error(429, 42901, "too many requests"), "busy", retry(5)),
        (Answer::error(429, 42908, "daily quota"), "busy", retry(5)),
        (Answer::error(429, 42909, "too many auth failures"), "busy", retry(5)),
        (later, "busy", retry(120)),
        (Answer::error(500, 50001, "internal"), "server", retry(5)),
        (Answer::error(507, 50701, "no space"), "server", retry(5)),
        (Answer::error(404, 40401, "not found"), "server", retry(5)),
        (moved, "server", retry(5)),
        (html, "server", retry(5)),
    ];
    for (answer, result, (owed, wait)) in cases {
        let words = format!("{} {}", answer.status, answer.body);
        let before = ntfy.asked();
        ntfy.answer_next(answer);
        desk.put(Kind::Firing, Severity::Warning, "a.corp.lan").await;
        assert_eq!(desk.results().await, [result], "{words}");
        let fact = desk.fact("phone").await;
        assert_eq!(fact.waiting == 1, owed, "{words}");
        let degraded = result == "delivered";
        assert_eq!(
            ntfy.asked() - before,
            1 + usize::from(degraded),
            "{words}: once more only in a plainer form"
        );
        if degraded {
            let plainer = ntfy.requests().pop().unwrap();
            assert!(plainer["tags"].is_null() && plainer["sequence_id"].is_null(), "{plainer}");
        }
        if let Some(wait) = wait {
            assert!(!fact.detail.unwrap().is_empty() && fact.failing_since.is_some());
            desk.pass_seconds(wait - 1);
            assert_eq!(desk.results().await, [""; 0], "{words}: it is left alone");
            desk.pass_seconds(3 + wait / 4);
            assert_eq!(desk.results().await, ["delivered"], "{words}");
            assert_eq!(desk.fact("phone").await.failing_since, None);
        }
    }
}

#[tokio::test]
async fn what_is_refused_in_both_forms_is_never_sent_again() {
    let ntfy = Ntfy::start().await;
    let mut desk = Desk::new(&ntfy_at(&ntfy.url(), "")).await;
    ntfy.answer_next(Answer::error(400, 40024, "no"));
    ntfy.answer_next(Answer::error(400, 40024, "no"));
    desk.put(Kind::Firing, Severity::Warning, "a.corp.lan").await;
    desk.put(Kind::Firing, Severity::Warning, "b.corp.lan").await;
    assert_eq!(desk.results().await, ["refused", "delivered"], "the next one is taken");
    desk.pass_minutes(60);
    assert_eq!(desk.results().await, [""; 0]);
    assert_eq!(ntfy.asked(), 3);
}

#[tokio::test]
async fn a_long_message_is_cut_before_it_is_sent() {
    let ntfy = Ntfy::start().await;
    let desk = Desk::new(&ntfy_at(&ntfy.url(), "")).await;
    let mut message = desk.message(Kind::Firing, Severity::Warning, "a.corp.lan");
    message.lines = vec!["\"ü\\\u{1}".repeat(100); 60];
    message.title = "ü".repeat(400);
    desk.put_message(&message).await;
    assert_eq!(desk.results().await, ["delivered"]);
    let request = &ntfy.requests()[0];
    let text = request["message"].as_str().unwrap();
    assert!(text.len() <= 3_500 && text.ends_with('…'), "{}", text.len());
    assert!(request["title"].as_str().unwrap().chars().count() <= 101);
    assert_eq!(ntfy.asked(), 1);
}

#[tokio::test]
async fn credentials_are_tried_three_times_then_hourly_and_read_anew_each_time() {
    let ntfy = Ntfy::start().await;
    ntfy.allow(&["Bearer tk_right".into(), basic("ca", "right")]);
    let mut desk = Desk::new(&ntfy_at(&ntfy.url(), "token_file = \"token\"")).await;
    desk.secret("token", "tk_wrong");
    desk.put(Kind::Firing, Severity::Warning, "a.corp.lan").await;
    let mut results = Vec::new();
    for _ in 0..30 {
        results.extend(desk.results().await);
        desk.pass_minutes(1);
    }
    assert_eq!(results, ["broken"; 3]);
    assert_eq!(ntfy.asked(), 3, "each failure counts against us");
    let fact = desk.fact("phone").await;
    assert!(fact.is_broken && fact.waiting == 1);
    desk.pass_minutes(40);
    assert_eq!(desk.results().await, ["broken"]);
    desk.secret("token", "tk_right\n");
    desk.pass_minutes(61);
    assert_eq!(desk.results().await, ["delivered"], "without a reload");

    desk.secret("password", "right");
    let more = "user = \"ca\"\npassword_file = \"password\"";
    desk.reconfigure(&ntfy_at(&ntfy.url(), more));
    desk.put(Kind::Resolved, Severity::Warning, "a.corp.lan").await;
    assert_eq!(desk.results().await, ["delivered"]);
    std::fs::remove_file(desk.ca.path("password")).unwrap();
    desk.put(Kind::Firing, Severity::Warning, "a.corp.lan").await;
    assert_eq!(desk.results().await, ["broken"], "a file that is missing");
}

#[tokio::test]
async fn a_storm_is_told_as_one_message() {
    let ntfy = Ntfy::start().await;
    let mut desk = Desk::new(&ntfy_at(&ntfy.url(), "")).await;
    ntfy.set_clock(desk.now());
    for number in 0..80 {
        let severity = if number == 70 { Severity::Urgent } else { Severity::Warning };
        desk.put(Kind::Firing, severity, &format!("n{number}.corp.lan")).await;
    }
    let mut results = Vec::new();
    for _ in 0..20 {
        results.extend(desk.results().await);
        desk.pass_seconds(5);
        ntfy.set_clock(desk.now());
    }
    let count = |result: &str| results.iter().filter(|r| **r == result).count();
    // The bucket has 60; one more is refused, and the rest comes as one.
    assert_eq!((count("delivered"), count("busy")), (61 + 1, 1), "{results:?}");
    let last = ntfy.requests().pop().unwrap();
    assert!(last["title"].as_str().unwrap().starts_with("19 messages that had to wait"), "{last}");
    assert_eq!(last["priority"], 5, "as grave as its worst part");
    assert_eq!(desk.fact("phone").await.waiting, 0);
}

#[tokio::test]
async fn names_are_found_by_pins_and_the_cas_resolver_alone() {
    let ntfy = Ntfy::start().await;
    let mut desk = Desk::new(&ntfy_at(&format!("http://ntfy.corp.lan:{}", ntfy.port()), "")).await;
    desk.put(Kind::Firing, Severity::Warning, "a.corp.lan").await;
    assert_eq!(desk.results().await, ["delivered"]);
    desk.reconfigure(&ntfy_at(&format!("http://ntfy.other.lan:{}", ntfy.port()), ""));
    desk.put(Kind::Resolved, Severity::Warning, "a.corp.lan").await;
    assert_eq!(desk.results().await, ["network"]);
    let detail = desk.fact("phone").await.detail.unwrap();
    assert!(detail.contains("no name server is configured for ntfy.other.lan"), "{detail}");
}

#[tokio::test]
async fn a_socket_of_this_machine_will_do() {
    let mut ntfy = Ntfy::start().await;
    let mut desk = Desk::new("").await;
    let socket = desk.ca.path("ntfy.sock");
    ntfy.also_at(&socket);
    desk.reconfigure(&ntfy_at(&format!("unix:{}", socket.display()), ""));
    desk.put(Kind::Firing, Severity::Warning, "a.corp.lan").await;
    assert_eq!(desk.results().await, ["delivered"]);
}

#[tokio::test]
async fn the_server_says_that_the_ca_is_silent_where_it_can() {
    let ntfy = Ntfy::start().await;
    let section = ntfy_at(&ntfy.url(), "").replace("heartbeat = false", "");
    let mut desk = Desk::new(&section).await;
    let mut steps = 0;
    for _ in 0..(3 * 60) {
        ntfy.set_clock(desk.now());
        desk.step().await;
        desk.pass_minutes(1);
        steps += 1;
    }
    assert_eq!(steps, 180);
    let titles = ntfy.titles();
    assert!(titles[0].ends_with("reports here from now on"), "{titles:?}");
    assert_eq!(titles.len(), 1 + 3, "hourly: {titles:?}");
    let beat = &ntfy.requests()[1];
    assert_eq!((&beat["priority"], &beat["delay"]), (&json!(4), &json!("26h")));
    assert_eq!(beat["sequence_id"], json!(sequence_id("ca-heartbeat")));
    // The CA dies. Its last beat is the only one that comes true.
    ntfy.set_clock(began().plus(std::time::Duration::from_secs(30 * 3_600)));
    let seen = crate::other_sinks::get(&format!("{}/pki/json?poll=1", ntfy.url())).await;
    assert_eq!(seen.matches("has been silent for 26 hours").count(), 1, "{seen}");

    // An older version would send every one of them.
    let old = Ntfy::start().await;
    old.knows_sequence_ids(false);
    let mut desk = Desk::new(&section.replace(&ntfy.url(), &old.url())).await;
    for _ in 0..(5 * 60) {
        desk.step().await;
        desk.pass_minutes(1);
    }
    assert_eq!(old.titles().len(), 1, "{:?}", old.titles());
}
