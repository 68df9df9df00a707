//! The book by itself: conditions in, messages out, with a clock that is an argument.

use super::*;
use crate::watch::rules::Condition;

const HOUR: i64 = 3_600;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix(1_700_000_000 / 86_400 * 86_400 + 12 * HOUR + seconds)
}

fn condition(rule: Rule, key: &str, severity: Severity) -> Condition {
    Condition {
        rule,
        key: key.into(),
        severity,
        title: format!("{key} is not well"),
        lines: vec!["why".into()],
        names: vec![key.into()],
        owner: None,
        since: at(0),
        seen_at: at(0),
        covers: vec![key.into()],
        cause: None,
        inhibited_by: None,
        is_muted: false,
    }
}

fn stale(key: &str) -> Condition {
    condition(Rule::ServedStale, key, Severity::Warning)
}

fn holds(conditions: &[Condition]) -> Findings {
    Findings { conditions: conditions.to_vec(), endings: BTreeMap::new() }
}

fn ends(key: &str, ending: Ending) -> Findings {
    Findings { conditions: Vec::new(), endings: BTreeMap::from([(key.to_owned(), ending)]) }
}

fn gone() -> Ending {
    Ending::Gone("well again".into(), Vec::new())
}

/// The kinds and keys of what is said at each moment.
fn said(book: &mut Book, findings: &Findings, seconds: i64) -> Vec<(Kind, String)> {
    let step = book.step(findings, at(seconds), &Schedule::default());
    step.notices.into_iter().map(|notice| (notice.message.kind, notice.message.key)).collect()
}

fn one(kind: Kind, key: &str) -> Vec<(Kind, String)> {
    vec![(kind, key.to_owned())]
}

#[test]
fn a_day_of_an_outage_is_told_once_again_six_times_and_to_be_over_once() {
    let mut book = Book::default();
    let names: Vec<String> = (0..15).map(|n| format!("order:host{n}.lan")).collect();
    let mut root = condition(Rule::CaValidationOutage, "outage:servfail:10.0.0.53", Severity::Urgent);
    root.covers = names.clone();
    let mut conditions = vec![root];
    for name in &names {
        let mut child = condition(Rule::OrderFailing, name, Severity::Critical);
        child.inhibited_by = Some("outage:servfail:10.0.0.53".into());
        conditions.push(child);
    }
    let mut kinds = Vec::new();
    for minute in 0..24 * 60 {
        kinds.extend(said(&mut book, &holds(&conditions), minute * 60).into_iter().map(|(kind, _)| kind));
    }
    let of = |wanted| kinds.iter().filter(|kind| **kind == wanted).count();
    assert_eq!((of(Kind::Firing), of(Kind::Reminder), kinds.len()), (1, 6, 7));
    assert_eq!(book.open().filter(|alert| alert.inhibited_by.is_some()).count(), 15);
    // It ends with all of its children.
    let shown = Ending::Shown("Validation works again".into(), Vec::new());
    let endings = book.open().map(|alert| (alert.key.clone(), shown.clone())).collect();
    let over = Findings { conditions: Vec::new(), endings };
    assert_eq!(said(&mut book, &over, 24 * HOUR), one(Kind::Resolved, "outage:servfail:10.0.0.53"));
    assert_eq!(said(&mut book, &Findings::default(), 25 * HOUR), []);
    assert_eq!(book.open().count(), 0);
}

#[test]
fn what_passes_within_half_a_minute_is_never_told() {
    let mut book = Book::default();
    assert_eq!(said(&mut book, &holds(&[stale("a")]), 0), []);
    assert_eq!(said(&mut book, &ends("a", gone()), 20), []);
    assert_eq!(book.open().count(), 0);
    assert_eq!(said(&mut book, &holds(&[stale("a")]), 40), []);
    assert_eq!(said(&mut book, &holds(&[stale("a")]), 80), one(Kind::Firing, "a"));
}

#[test]
fn the_end_takes_two_good_samples_a_minute_apart_or_one_proof() {
    let mut book = Book::default();
    said(&mut book, &holds(&[stale("a")]), 0);
    said(&mut book, &holds(&[stale("a")]), 30);
    assert_eq!(said(&mut book, &ends("a", gone()), 90), []);
    assert_eq!(said(&mut book, &ends("a", gone()), 120), [], "half a minute later is no second sample");
    assert_eq!(said(&mut book, &holds(&[stale("a")]), 180), [], "it was not over");
    assert_eq!(said(&mut book, &ends("a", gone()), 240), []);
    assert_eq!(said(&mut book, &ends("a", gone()), 300), one(Kind::Resolved, "a"));
    said(&mut book, &holds(&[stale("b")]), 400);
    said(&mut book, &holds(&[stale("b")]), 430);
    let shown = Ending::Shown("reloaded".into(), Vec::new());
    assert_eq!(said(&mut book, &ends("b", shown), 440), one(Kind::Resolved, "b"));
}

#[test]
fn a_scan_that_read_nothing_changes_nothing() {
    let mut book = Book::default();
    said(&mut book, &holds(&[stale("a")]), 0);
    said(&mut book, &holds(&[stale("a")]), 30);
    said(&mut book, &holds(&[stale("new")]), 60);
    for seconds in (90..HOUR).step_by(60) {
        let step = book.step(&Findings::default(), at(seconds), &Schedule::default());
        assert_eq!(step, Step::default());
    }
    assert_eq!(book.open().count(), 2);
}

#[test]
fn what_becomes_worse_is_told_at_once_even_to_whoever_knows_of_it() {
    let mut book = Book::default();
    let overdue = condition(Rule::RenewalOverdue, "renew:a", Severity::Warning);
    let critical = condition(Rule::RenewalCritical, "renew:a", Severity::Critical);
    // Worse by its name, if not by its severity.
    let expired = condition(Rule::CertExpired, "renew:a", Severity::Warning);
    said(&mut book, &holds(std::slice::from_ref(&overdue)), 0);
    assert_eq!(said(&mut book, &holds(std::slice::from_ref(&overdue)), 60), one(Kind::Firing, "renew:a"));
    assert!(book.ack("renew:a", Some("on it".into()), at(70)) && !book.ack("renew:b", None, at(70)));
    assert_eq!(said(&mut book, &holds(&[overdue]), 60 + 25 * HOUR), [], "acked: no reminder");
    assert_eq!(
        said(&mut book, &holds(std::slice::from_ref(&critical)), 26 * HOUR),
        one(Kind::Firing, "renew:a")
    );
    assert_eq!(said(&mut book, &holds(&[critical]), 32 * HOUR), one(Kind::Reminder, "renew:a"));
    assert_eq!(
        said(&mut book, &holds(std::slice::from_ref(&expired)), 33 * HOUR),
        one(Kind::Firing, "renew:a")
    );
    assert_eq!(said(&mut book, &holds(&[expired]), 34 * HOUR), []);
}

#[test]
fn an_acknowledged_alert_is_told_to_be_over() {
    let mut book = Book::default();
    said(&mut book, &holds(&[stale("a")]), 0);
    said(&mut book, &holds(&[stale("a")]), 30);
    book.ack("a", None, at(40));
    let shown = Ending::Shown("reloaded".into(), Vec::new());
    assert_eq!(said(&mut book, &ends("a", shown), 90), one(Kind::Resolved, "a"));
}

#[test]
fn five_of_a_kind_are_one_message_and_four_are_four() {
    let mut book = Book::default();
    let all: Vec<Condition> = (0..5).map(|n| stale(&format!("served:{n}"))).collect();
    said(&mut book, &holds(&all), 0);
    assert_eq!(said(&mut book, &holds(&all), 30), one(Kind::Digest, "digest:ServedStale"));
    let mut few = Book::default();
    said(&mut few, &holds(&all[..4]), 0);
    assert_eq!(said(&mut few, &holds(&all[..4]), 30).len(), 4);
}

#[test]
fn what_an_outage_stood_for_is_told_only_when_it_outlives_it_by_half_an_hour() {
    let mut book = Book::default();
    let alone = condition(Rule::ServedFallback, "served:a", Severity::Urgent);
    let under = Condition { inhibited_by: Some("outage:x".into()), ..alone.clone() };
    for minute in 0..10 {
        assert_eq!(said(&mut book, &holds(std::slice::from_ref(&under)), minute * 60), []);
    }
    for minute in 10..40 {
        assert_eq!(said(&mut book, &holds(std::slice::from_ref(&alone)), minute * 60), []);
    }
    assert_eq!(said(&mut book, &holds(&[alone]), 40 * 60), one(Kind::Firing, "served:a"));
}

#[test]
fn quiet_hours_hold_back_what_can_wait_and_it_may_pass_unheard() {
    let night = Schedule::default().with_quiet("11:00-14:00").unwrap();
    let mut book = Book::default();
    let bad = condition(Rule::ServedFallback, "bad", Severity::Urgent);
    let all = holds(&[stale("a"), stale("b"), bad]);
    let mut said = Vec::new();
    for minute in 0..60 {
        said.extend(book.step(&all, at(minute * 60), &night).notices);
    }
    assert_eq!(said.iter().map(|notice| notice.message.key.as_str()).collect::<Vec<_>>(), ["bad"]);
    let mut passed = holds(&[stale("b")]);
    passed.endings.insert("a".into(), gone());
    passed.endings.insert("bad".into(), Ending::Shown("over".into(), Vec::new()));
    let step = book.step(&passed, at(HOUR), &night);
    assert_eq!(step.notices.len(), 1, "what was bad is told to be over at once");
    assert_eq!(step.notices[0].not_before, None);
    assert_eq!(step.dropped, ["a"]);
    let morning = book.step(&holds(&[stale("b")]), at(2 * HOUR), &night).notices;
    assert_eq!(morning.iter().map(|notice| notice.message.key.as_str()).collect::<Vec<_>>(), ["b"]);
}

#[test]
fn little_things_come_in_one_digest_a_day_and_again_after_a_week() {
    let mut book = Book::default();
    let late = |n: i64| condition(Rule::RenewalLate, &format!("renew:{n}"), Severity::Info);
    let new = condition(Rule::NewNameIssued, "new:a", Severity::Info);
    let mut said = Vec::new();
    book.step(&holds(&[late(1), late(2), new]), at(0), &Schedule::default());
    for minute in 1..14 * 24 * 60 {
        // The name is new for one step only.
        let mut found = holds(&[late(1), late(2)]);
        found.endings.insert("new:a".into(), Ending::Dropped);
        for notice in book.step(&found, at(minute * 60), &Schedule::default()).notices {
            said.push((
                notice.message.kind,
                notice.message.at.seconds_since(at(0)) / HOUR,
                notice.message.names.len(),
            ));
        }
    }
    // At noon of the first day, so at eight of the next; and a week later.
    assert_eq!(said, [(Kind::Digest, 20, 3), (Kind::Digest, 20 + 8 * 24, 2)]);
}

#[test]
fn a_clock_that_steps_back_tells_nothing_twice() {
    let mut book = Book::default();
    let found = holds(&[stale("a")]);
    said(&mut book, &found, 0);
    assert_eq!(said(&mut book, &found, 60), one(Kind::Firing, "a"));
    assert_eq!(said(&mut book, &found, 60 - 48 * HOUR), []);
    assert_eq!(said(&mut book, &found, 120 - 48 * HOUR), []);
    // Nor is it silent until the old time has come again.
    assert_eq!(said(&mut book, &found, 120 - 24 * HOUR), one(Kind::Reminder, "a"));
    // What ended only by the wrong time did not end by the right one.
    assert_eq!(said(&mut book, &ends("a", gone()), -30 * HOUR), []);
    assert!(book.alert("a").is_some());
}

#[test]
fn muted_names_are_listed_and_not_told() {
    let mut book = Book::default();
    let muted = Condition { is_muted: true, ..stale("a") };
    for minute in 0..60 {
        assert_eq!(said(&mut book, &holds(std::slice::from_ref(&muted)), minute * 60), []);
    }
    assert_eq!(book.alert("a").unwrap().state, State::Muted);
    assert_eq!(said(&mut book, &holds(&[stale("a")]), HOUR), one(Kind::Firing, "a"));
    assert_eq!(said(&mut book, &holds(&[muted]), 26 * HOUR), []);
}

#[test]
fn a_book_that_was_kept_goes_on_as_if_nothing_had_been() {
    // A day with a bit of everything, told once in one piece and once with a restart before each step.
    let mut root = condition(Rule::CaValidationOutage, "outage:x", Severity::Urgent);
    root.covers = vec!["a".into()];
    let child = Condition {
        inhibited_by: Some("outage:x".into()),
        ..condition(Rule::OrderFailing, "order:a", Severity::Warning)
    };
    let late = condition(Rule::RenewalLate, "renew:b", Severity::Info);
    let overdue = condition(Rule::RenewalOverdue, "renew:b", Severity::Warning);
    let script = |minute: i64| match minute {
        0..200 => holds(&[root.clone(), child.clone(), late.clone()]),
        200..210 => Findings::default(),
        210 => Findings {
            conditions: vec![Condition { inhibited_by: None, ..child.clone() }, overdue.clone()],
            endings: BTreeMap::from([("outage:x".into(), Ending::Shown("over".into(), Vec::new()))]),
        },
        211..300 => holds(&[Condition { inhibited_by: None, ..child.clone() }, overdue.clone()]),
        _ => Findings {
            conditions: vec![overdue.clone()],
            endings: BTreeMap::from([("order:a".into(), gone())]),
        },
    };
    let schedule = Schedule::default();
    let mut whole = Book::default();
    let mut kept: BTreeMap<String, String> = BTreeMap::new();
    let mut notices = 0;
    for minute in 0..24 * 60 {
        let findings = script(minute);
        let one = whole.step(&findings, at(minute * 60), &schedule);
        let alerts = kept.values().map(|json| serde_json::from_str::<Alert>(json).unwrap());
        let mut loaded = Book::load(alerts);
        let other = loaded.step(&findings, at(minute * 60), &schedule);
        assert_eq!(one.notices, other.notices, "minute {minute}");
        assert_eq!(one.events, other.events, "minute {minute}");
        notices += one.notices.len();
        for alert in other.changed {
            kept.insert(alert.key.clone(), serde_json::to_string(&alert).unwrap());
        }
        for key in other.dropped {
            kept.remove(&key);
        }
    }
    assert_eq!(notices, 8);
}
