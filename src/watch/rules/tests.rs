//! The rules, row by row: what holds of which facts, and what is said of it.

use std::net::SocketAddr;
use std::time::Duration;

use acme::failure::{Evidence, Failure, Lookup, Phase, Reason};
use acme::id::{OrderId, Serial};
use acme::lineage::{Attempt, Current, Failures, Lineage, Mute, Outcome, Served};
use acme::renewal_info::Window;
use acme::verdict::Verdict;

use super::*;
use crate::notify::{Kind, Schedule};
use crate::watch::facts::*;

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix(1_800_000_000 + seconds)
}

/// Ninety days, so many of them used.
fn lineage(name: &str, days: i64) -> Lineage {
    let (not_before, not_after) = (at(-days * DAY), at((90 - days) * DAY));
    let current = Current {
        serial: Serial::mint([7; 16]),
        issuer: "a1".into(),
        account: None,
        not_before,
        not_after,
        issued_at: not_before,
        downloaded_at: Some(not_before),
        window: Window { start: at((59 - days) * DAY), end: at((61 - days) * DAY) },
    };
    Lineage { names: vec![name.into()], current: Some(current), ..Lineage::default() }
}

fn served(lineage: &mut Lineage, verdict: Verdict, minutes: i64) {
    let address: SocketAddr = "10.0.0.21:443".parse().unwrap();
    lineage.served.push(Served {
        target: format!("{}:443", lineage.names[0]),
        address: Some(address),
        verdict,
        since: at(-minutes * 60),
        at: at(0),
        samples: u32::try_from(minutes / 10 + 1).unwrap(),
        serial: None,
        spki: Some("ab".repeat(32)),
        not_after: Some(at(800 * DAY)),
        product: None,
        detail: "its issuer is 'minica root ca 3f2a1b'".into(),
    });
}

fn servfail(name: &str) -> Failure {
    let lookup = Lookup {
        name: name.into(),
        record: "A".into(),
        server: "10.0.0.53".into(),
        answer: "SERVFAIL".into(),
        millis: 12,
        ..Lookup::default()
    };
    Failure {
        phase: Phase::Dns,
        reason: Reason::Servfail,
        name: name.into(),
        detail: "10.0.0.53 answered SERVFAIL".into(),
        first_bytes: None,
        evidence: Evidence { lookups: vec![lookup], dials: vec![] },
    }
}

fn fails(lineage: &mut Lineage, times: u32, ago: i64) {
    lineage.failures = Failures { count: times, since: Some(at(-ago)) };
    lineage.attempt = Some(Attempt {
        order: OrderId::mint(at(-ago), [1; 10]),
        at: at(-ago),
        outcome: Outcome::Failed,
        failure: Some(servfail(&lineage.names[0])),
        problem: None,
    });
}

fn found(lineages: &[Lineage]) -> Vec<Condition> {
    let facts = Facts { lineages: Some(lineages), ..Facts::default() };
    judge(&facts, &Book::default(), at(0)).conditions
}

fn rules(lineages: &[Lineage]) -> Vec<(Rule, Severity)> {
    found(lineages).iter().map(|condition| (condition.rule, condition.severity)).collect()
}

fn whole(conditions: &[Condition]) {
    for condition in conditions {
        assert!(condition.title.chars().count() <= 100, "{}", condition.title);
        assert!((1..=6).contains(&condition.lines.len()), "{condition:?}");
        assert!(condition.rule.row().severities.contains(&condition.severity), "{condition:?}");
    }
}

#[test]
fn a_renewal_that_does_not_come_is_told_by_how_late_it_is() {
    use Severity::{Critical, Info, Urgent, Warning};
    for (days, expected) in [
        (58, None),
        (61, None),
        (64, Some((Rule::RenewalLate, Info))),
        (75, Some((Rule::RenewalOverdue, Warning))),
        (85, Some((Rule::RenewalCritical, Critical))),
        (91, Some((Rule::CertExpired, Warning))),
    ] {
        let lineage = [lineage("vault.lan", days)];
        assert_eq!(rules(&lineage), Vec::from_iter(expected), "{days}");
        whole(&found(&lineage));
    }
    let mut shown = lineage("vault.lan", 91);
    served(&mut shown, Verdict::Expired, 60);
    assert_eq!(rules(&[shown]), [(Rule::CertExpired, Urgent)]);
}

#[test]
fn what_is_muted_forgotten_superseded_or_gone_for_good_is_not_told() {
    let mut muted = lineage("vault.lan", 85);
    muted.care.muted = Some(Mute { until: at(60), reason: "moved".into() });
    assert!(found(&[muted.clone()]).iter().all(|condition| condition.is_muted));
    muted.care.muted = Some(Mute { until: at(0), reason: "moved".into() });
    assert!(found(&[muted]).iter().all(|condition| !condition.is_muted), "its time is over");
    let mut forgotten = lineage("vault.lan", 85);
    forgotten.care.forgotten_at = Some(at(-60));
    assert_eq!(rules(&[forgotten]), []);

    let mut superseded = lineage("vault.lan", 85);
    served(&mut superseded, Verdict::Ok, 60);
    superseded.served[0].serial = Some("00ff".into());
    assert_eq!(rules(std::slice::from_ref(&superseded)), []);
    superseded.names.push("www.vault.lan".into());
    assert_eq!(rules(&[superseded]).len(), 1, "nobody saw what its other name serves");

    let mut gone = lineage("vault.lan", 100);
    served(&mut gone, Verdict::TcpTimeout, 8 * 24 * 60);
    assert_eq!(rules(std::slice::from_ref(&gone)), [(Rule::NameRetired, Severity::Info)]);
    // What it served before it lost its address stays known, and keeps nobody waiting.
    let mut lost = lineage("vault.lan", 100);
    served(&mut lost, Verdict::Expired, 10 * 24 * 60);
    lost.served[0].at = at(-9 * DAY);
    served(&mut lost, Verdict::DnsFail, 8 * 24 * 60);
    lost.served[1].address = None;
    assert_eq!(rules(&[lost]), [(Rule::NameRetired, Severity::Info)]);
    gone.polled_at = Some(at(-6 * DAY));
    assert!(!rules(&[gone]).contains(&(Rule::NameRetired, Severity::Info)), "somebody still asks");
}

#[test]
fn a_placeholder_is_told_when_seen_twice_or_at_once_after_a_failed_order() {
    let mut once = lineage("vault.lan", 10);
    served(&mut once, Verdict::FallbackCert, 0);
    assert_eq!(rules(std::slice::from_ref(&once)), []);
    let mut twice = lineage("vault.lan", 10);
    served(&mut twice, Verdict::FallbackCert, 10);
    twice.served[0].product = Some("NixOS minica".into());
    let told = found(std::slice::from_ref(&twice));
    whole(&told);
    assert_eq!((told[0].rule, told[0].key.as_str()), (Rule::ServedFallback, "served:vault.lan:443"));
    assert_eq!(told[0].title, "vault.lan serves a fallback certificate (NixOS minica)");
    fails(&mut once, 2, 60);
    let told = found(&[once]);
    let root = told.iter().find(|condition| condition.rule == Rule::ServedFallback).unwrap();
    assert!(
        root.lines.iter().any(|line| line.contains("CA asked 10.0.0.53 for vault.lan A: SERVFAIL")),
        "{root:?}"
    );
    let order = told.iter().find(|condition| condition.rule == Rule::OrderFailing).unwrap();
    assert_eq!((order.severity, &order.inhibited_by), (Severity::Critical, &Some(root.key.clone())));
}

#[test]
fn every_verdict_has_its_rule_and_one_certificate_on_many_endpoints_is_one_alert() {
    for verdict in Verdict::ALL {
        let mut lineage = lineage("vault.lan", 10);
        for port in 0..15 {
            served(&mut lineage, *verdict, 60);
            lineage.served[port].target = format!("vault.lan:{}", 8_000 + port);
        }
        let told = found(&[lineage]);
        whole(&told);
        let expected = match verdict {
            Verdict::Ok | Verdict::OkPrevious | Verdict::Expiring | Verdict::ProbeError => None,
            // Nothing is due.
            Verdict::DnsFail | Verdict::TcpRefused | Verdict::TcpTimeout => None,
            Verdict::FallbackCert | Verdict::NoCertAlert => Some(Rule::ServedFallback),
            Verdict::StaleNotReloaded | Verdict::Expired => Some(Rule::ServedStale),
            Verdict::ImpostorIssuer | Verdict::UnknownSerial | Verdict::RevokedServed => {
                Some(Rule::ServedUntrusted)
            }
            Verdict::NotYetValid => Some(Rule::ClockSuspect),
            Verdict::AddressDrift => Some(Rule::ResolverDrift),
            _ => Some(Rule::ServedWrong),
        };
        assert_eq!(told.iter().map(|c| c.rule).collect::<Vec<_>>(), Vec::from_iter(expected), "{verdict}");
    }
}

#[test]
fn an_order_that_fails_is_told_the_second_time_or_at_once_without_a_certificate() {
    let mut once = lineage("vault.lan", 60);
    fails(&mut once, 1, HOUR);
    assert_eq!(rules(std::slice::from_ref(&once)), []);
    fails(&mut once, 2, HOUR);
    assert_eq!(rules(std::slice::from_ref(&once)), [(Rule::OrderFailing, Severity::Warning)]);
    let mut late = lineage("vault.lan", 75);
    fails(&mut late, 9, HOUR);
    let told = found(&[late]);
    assert_eq!(told.iter().find(|c| c.rule == Rule::OrderFailing).unwrap().severity, Severity::Critical);
    assert!(told.iter().find(|c| c.rule == Rule::RenewalOverdue).unwrap().inhibited_by.is_some());
    let mut first = Lineage { names: vec!["new.lan".into()], ..Lineage::default() };
    fails(&mut first, 1, HOUR);
    assert_eq!(rules(std::slice::from_ref(&first)), [(Rule::OrderFailing, Severity::Warning)]);
    fails(&mut first, 1, 8 * DAY);
    assert_eq!(rules(&[first]), [], "nobody asks for it any more");
}

#[test]
fn a_client_that_does_not_come_any_more_is_missed_before_its_renewal_is_due() {
    let mut silent = lineage("vault.lan", 10);
    silent.polled_every = Some(Duration::from_secs(6 * 3_600));
    silent.polled_at = Some(at(-35 * HOUR));
    assert_eq!(rules(std::slice::from_ref(&silent)), []);
    silent.polled_at = Some(at(-37 * HOUR));
    assert_eq!(rules(std::slice::from_ref(&silent)), [(Rule::ClientSilent, Severity::Info)]);
    let mut due = lineage("vault.lan", 60);
    (due.polled_every, due.polled_at) = (silent.polled_every, silent.polled_at);
    assert_eq!(rules(&[due]), [(Rule::ClientSilent, Severity::Warning)]);
}

fn tried(names: &[&str], ago: i64) -> Validations {
    let failed =
        names.iter().map(|name| Failed { lineage: (*name).into(), at: at(-ago), failure: servfail(name) });
    Validations { failed: failed.collect(), succeeded: Vec::new() }
}

/// Steps a book through an incident: what is said, by kind and title.
struct Day {
    book: Book,
    said: Vec<(Kind, String, Vec<String>)>,
}

impl Day {
    fn step(&mut self, lineages: &[Lineage], validations: &Validations, seconds: i64) {
        let facts = Facts { lineages: Some(lineages), validations: Some(validations), ..Facts::default() };
        let findings = judge(&facts, &self.book, at(seconds));
        whole(&findings.conditions);
        let step = self.book.step(&findings, at(seconds), &Schedule::default());
        self.said
            .extend(step.notices.into_iter().map(|n| (n.message.kind, n.message.title, n.message.lines)));
    }
}

#[test]
fn an_outage_is_one_alert_with_the_server_its_answer_and_the_way_out_and_one_all_clear() {
    let names: Vec<String> = (0..15).map(|n| format!("host{n}.lan")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut lineages: Vec<Lineage> = names
        .iter()
        .map(|name| {
            let mut lineage = Lineage { names: vec![(*name).into()], ..Lineage::default() };
            served(&mut lineage, Verdict::FallbackCert, 20);
            fails(&mut lineage, 1, 60);
            lineage
        })
        .collect();
    let mut day = Day { book: Book::default(), said: Vec::new() };
    // They try once, and not again: silence ends nothing.
    for minute in 0..24 * 60 {
        let lately = if minute < 30 { tried(&names, 60) } else { Validations::default() };
        for lineage in &mut lineages {
            lineage.served[0].at = at(minute * 60);
        }
        day.step(&lineages, &lately, minute * 60);
    }
    let kinds: Vec<Kind> = day.said.iter().map(|(kind, ..)| *kind).collect();
    assert_eq!(kinds, [vec![Kind::Firing], vec![Kind::Reminder; 6]].concat(), "{:#?}", day.said);
    let (_, title, lines) = &day.said[0];
    assert_eq!(title, "All ACME validation fails: resolver 10.0.0.53 SERVFAIL (15 names)");
    let text = lines.join("\n");
    for part in
        ["none succeeds", "15 serve a fallback", "SERVFAIL in 12 ms", "[resolver.pins]", "acme-order-renew-*"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(day.book.alert("outage:servfail:10.0.0.53").is_some());
    assert_eq!(day.book.open().filter(|alert| alert.inhibited_by.is_some()).count(), 30);

    // The pin is added: twelve come at once and are served, three have to wait for their timers.
    let now = 24 * HOUR;
    for lineage in &mut lineages[..12] {
        let name = lineage.names[0].clone();
        *lineage = self::lineage(&name, 0);
        let current = lineage.current.as_mut().unwrap();
        (current.issued_at, current.not_before) = (at(now), at(now));
        served(lineage, Verdict::Ok, 10);
        lineage.served[0].at = at(now + 11 * 60);
    }
    day.said.clear();
    for minute in 0..12 {
        day.step(&lineages, &Validations::default(), now + minute * 60);
    }
    assert_eq!(day.said.len(), 1, "{:#?}", day.said);
    assert_eq!(day.said[0].0, Kind::Resolved);
    assert_eq!(day.said[0].1, "Validation works again after 1d");
    assert_eq!(day.said[0].2[0], "12 of 15 names re-issued");
    assert!(
        day.said[0].2[1].starts_with("3 wait for their client's next run: host12.lan"),
        "{:?}",
        day.said[0].2
    );
}

#[test]
fn one_success_or_too_few_failures_are_no_outage() {
    let outage = |validations: &Validations| {
        let facts = Facts { validations: Some(validations), lineages: Some(&[]), ..Facts::default() };
        judge(&facts, &Book::default(), at(0)).conditions.len()
    };
    assert_eq!(outage(&tried(&["a", "b", "c"], 60)), 1);
    assert_eq!(outage(&tried(&["a", "a", "a"], 60)), 0, "one client that tries again and again");
    assert_eq!(outage(&tried(&["a", "b"], 60)), 1, "all attempts, and by one name server");
    assert_eq!(outage(&tried(&["a", "b", "c"], 31 * 60)), 0, "that was before");
    let mut mixed = tried(&["a", "b", "c"], 60);
    mixed.succeeded.push(Succeeded { lineage: "d".into(), at: at(-30), server: None });
    assert_eq!(outage(&mixed), 0);
    mixed.succeeded[0].server = Some("pin".into());
    assert_eq!(outage(&mixed), 1, "a pin asks no name server");
    let mut refused = tried(&["a", "b"], 60);
    for failed in &mut refused.failed {
        (failed.failure.phase, failed.failure.reason) = (Phase::Connect, Reason::Refused);
    }
    assert_eq!(outage(&refused), 0, "two hosts may be down at once");
}

/// What name servers say of a name with a pin, for so many minutes.
fn pinned(name: &str, footing: Footing, minutes: i64) -> Pinned {
    Pinned { name: name.into(), footing, since: at(-minutes * 60), at: at(0) }
}

#[test]
fn a_pin_that_the_name_server_contradicts_is_told_when_seen_twice_and_ends_when_it_says_otherwise_twice() {
    let differs = || Footing::Differs("the pin a.lan says 10.0.0.1, and 10.0.0.53 says 10.0.0.2".into());
    let of = |lineage: &Lineage, pins: Option<&[Pinned]>, book: &Book| {
        let lineages = [lineage.clone()];
        judge(&Facts { lineages: Some(&lineages), pins, ..Facts::default() }, book, at(0))
    };
    let mut well = lineage("a.lan", 10);
    served(&mut well, Verdict::Ok, 60);
    let empty = Book::default();
    let once = [pinned("a.lan", differs(), 0)];
    assert_eq!(of(&well, Some(&once), &empty).conditions, []);
    let twice = [pinned("a.lan", differs(), 10)];
    let told = of(&well, Some(&twice), &empty);
    whole(&told.conditions);
    assert_eq!(told.conditions[0].key, "drift:a.lan");
    assert!(told.conditions[0].lines.iter().any(|line| line.contains("10.0.0.53 says 10.0.0.2")));
    let mut forgotten = well.clone();
    forgotten.care.forgotten_at = Some(at(-60));
    assert_eq!(of(&forgotten, Some(&twice), &empty).conditions, []);
    let other = [pinned("b.lan", differs(), 10)];
    assert_eq!(of(&well, Some(&other), &empty).conditions, []);

    let mut book = Book::default();
    book.step(&told, at(0), &Schedule::default());
    let ending = |pins: Option<&[Pinned]>| of(&well, pins, &book).endings.remove("drift:a.lan").unwrap();
    assert_eq!(ending(None), Ending::Unknown, "the server was started anew");
    assert_eq!(ending(Some(&[pinned("a.lan", Footing::Unknown, 600)])), Ending::Unseen);
    assert_eq!(ending(Some(&[pinned("a.lan", Footing::Agrees, 0)])), Ending::Unknown, "once");
    let text = "a.lan: its pin and the name server agree";
    let agrees = ending(Some(&[pinned("a.lan", Footing::Agrees, 10)]));
    assert_eq!(agrees, Ending::Gone(text.into(), Vec::new()));
    assert!(matches!(ending(Some(&[])), Ending::Gone(..)), "there is no pin any more");
}

#[test]
fn the_own_certificate_is_told_of_with_the_reason_and_by_what_the_listener_shows() {
    let trouble = |minutes: i64| Some(Trouble { since: at(-minutes * 60), what: "the key is gone".into() });
    let of = |days: i64, trouble: Option<Trouble>, shown: Listener| {
        let (not_before, not_after) = (at(-days * DAY), at((90 - days) * DAY));
        let own = OwnCertificate { not_before, not_after, trouble, shown };
        let told = judge(&Facts { own: Some(&own), ..Facts::default() }, &Book::default(), at(0)).conditions;
        whole(&told);
        told.first().map(|condition| condition.lines.join("\n")).unwrap_or_default()
    };
    assert_eq!(of(50, None, Listener::Well), "");
    assert_eq!(of(50, trouble(59), Listener::Well), "", "a store may be busy for a while");
    assert!(of(50, trouble(60), Listener::Well).contains("the key is gone"));
    let late = of(80, trouble(1), Listener::Unwatched);
    assert!(late.contains("89 % are used") && late.contains("the key is gone"), "{late}");
    let shown = Trouble { since: at(-600), what: "ca.lan:8443 shows fallback_cert".into() };
    assert!(of(10, None, Listener::Bad(shown.clone())).contains("fallback_cert"));

    let own = |shown| OwnCertificate { not_before: at(-DAY), not_after: at(89 * DAY), trouble: None, shown };
    let mut book = Book::default();
    let judged =
        |shown, book: &Book| judge(&Facts { own: Some(&own(shown)), ..Facts::default() }, book, at(0));
    book.step(&judged(Listener::Bad(shown), &Book::default()), at(0), &Schedule::default());
    let ending = |shown| judged(shown, &book).endings.remove("ca:server").unwrap();
    assert_eq!(ending(Listener::Unknown), Ending::Unknown, "nobody looked");
    assert!(matches!(ending(Listener::Well), Ending::Gone(..)));
}

/// What is said of a name that served a placeholder, when later looks find `verdict` for so many minutes: its kinds and
/// titles.
fn said_of_a_placeholder(
    verdict: Verdict,
    minutes: i64,
    resolver: (u32, u32),
    absent_since: Option<i64>,
) -> Vec<(Kind, String)> {
    let (failures, successes) = resolver;
    let (server, answer) = ("10.0.0.53".to_owned(), "SERVFAIL".to_owned());
    let resolvers = [ResolverHealth { server, failures, successes, since: at(0), answer }];
    let mut lineage = lineage("vault.lan", 10);
    served(&mut lineage, Verdict::FallbackCert, 10);
    let mut book = Book::default();
    let mut said = Vec::new();
    for minute in 0..minutes {
        let absent: BTreeMap<String, Timestamp> = absent_since
            .filter(|since| minute >= *since)
            .map(|since| ("vault.lan:443".to_owned(), at(since * 60)))
            .into_iter()
            .collect();
        if minute == 5 {
            lineage.served.clear();
            served(&mut lineage, verdict, 0);
            lineage.served[0].since = at(minute * 60);
            lineage.served[0].address = lineage.served[0].address.filter(|_| verdict != Verdict::DnsFail);
        }
        lineage.served[0].at = at(minute * 60);
        lineage.served[0].samples += 1;
        let lineages = [lineage.clone()];
        let facts = Facts {
            lineages: Some(&lineages),
            resolvers: Some(&resolvers[..1]).filter(|_| minute >= 5),
            absent: Some(&absent),
            ..Facts::default()
        };
        let step = book.step(&judge(&facts, &book, at(minute * 60)), at(minute * 60), &Schedule::default());
        let of = |notice: crate::watch::book::Notice| (notice.message.kind, notice.message.title);
        said.extend(step.notices.into_iter().map(of).filter(|(_, title)| title.contains("vault.lan")));
    }
    said
}

#[test]
fn what_cannot_be_looked_at_any_more_is_not_told_to_be_well() {
    let (ill, well) = ((9, 0), (0, 9));
    let fired = (Kind::Firing, "vault.lan serves a fallback certificate".to_owned());
    for verdict in [Verdict::DnsFail, Verdict::TcpRefused, Verdict::TcpTimeout, Verdict::ProbeError] {
        for resolver in [ill, well] {
            let said = said_of_a_placeholder(verdict, 24 * 60, resolver, None);
            assert_eq!(said, std::slice::from_ref(&fired), "{verdict}: neither over nor seen again");
        }
    }
    let said = said_of_a_placeholder(Verdict::Ok, 60, ill, None);
    assert_eq!(said[1..], [(Kind::Resolved, "vault.lan serves our certificate again".to_owned())]);
}

#[test]
fn a_name_that_is_gone_from_dns_ends_what_was_said_of_it_when_the_name_server_is_well() {
    let gone = (Kind::Resolved, "vault.lan: its name is gone from DNS".to_owned());
    let said = |resolver, minutes| said_of_a_placeholder(Verdict::DnsFail, minutes, resolver, Some(5));
    assert_eq!(said((0, 9), 60).len(), 1, "an hour has to pass");
    assert_eq!(said((0, 9), 80)[1..], [gone]);
    assert_eq!(said((9, 0), 24 * 60).len(), 1, "a name server that lost its zone denies everything");
}

#[test]
fn a_host_is_not_called_reachable_because_nobody_looks_or_its_name_fails_otherwise() {
    let mut off = lineage("vault.lan", 70);
    served(&mut off, Verdict::TcpTimeout, 60);
    let book = |lineage: &Lineage| {
        let mut book = Book::default();
        for seconds in [0, 60] {
            book.step(&judged(lineage, &book, seconds), at(seconds), &Schedule::default());
        }
        assert!(book.alert("reach:vault.lan:443").is_some_and(|alert| alert.told.is_some()));
        book
    };
    let book = book(&off);
    let ending = |lineage: &Lineage, seconds: i64| {
        judged(lineage, &book, seconds).endings.remove("reach:vault.lan:443")
    };
    assert_eq!(ending(&off, 3 * DAY), Some(Ending::Unknown), "nobody looked since");
    off.served[0].verdict = Verdict::TcpRefused;
    (off.served[0].since, off.served[0].at) = (at(HOUR), at(HOUR));
    assert_eq!(ending(&off, HOUR), Some(Ending::Unknown), "off in another way");
    off.served[0].verdict = Verdict::Ok;
    assert_eq!(ending(&off, HOUR), Some(Ending::Gone("vault.lan: reachable".into(), Vec::new())));
}

#[test]
fn a_host_that_moved_is_not_reachable_for_that_and_a_target_that_is_none_any_more_is_over() {
    let mut off = lineage("vault.lan", 60);
    served(&mut off, Verdict::TcpTimeout, 60);
    served(&mut off, Verdict::AddressDrift, 60);
    off.served[1].address = None;
    let told = found(std::slice::from_ref(&off));
    let rules: Vec<Rule> = told.iter().map(|condition| condition.rule).collect();
    assert_eq!(rules, [Rule::ResolverDrift, Rule::TargetUnreachable]);

    let mut book = Book::default();
    let mut bad = lineage("vault.lan", 10);
    served(&mut bad, Verdict::FallbackCert, 60);
    book.step(&judged(&bad, &book, 0), at(0), &Schedule::default());
    bad.served.clear();
    let lineages = [bad];
    let ending = |prober: Option<&Prober>| {
        let facts = Facts { lineages: Some(&lineages), prober, ..Facts::default() };
        judge(&facts, &book, at(0)).endings.remove("served:vault.lan:443")
    };
    assert_eq!(ending(None), Some(Ending::Unknown), "nobody looked yet");
    let prober = Prober { last_pass: at(-60), interval: Duration::from_secs(600) };
    assert!(matches!(ending(Some(&prober)), Some(Ending::Gone(..))), "it is skipped now");
}

fn judged(lineage: &Lineage, book: &Book, seconds: i64) -> Findings {
    let lineages = [lineage.clone()];
    judge(&Facts { lineages: Some(&lineages), ..Facts::default() }, book, at(seconds))
}

#[test]
fn what_the_ca_needs_itself_is_watched_as_well() {
    let trouble = || Some(Trouble { since: at(-60), what: "it is not there".into() });
    let authorities = [
        Authority { key_id: "aa".into(), name: "R".into(), not_after: at(100 * DAY), is_root: true },
        Authority { key_id: "bb".into(), name: "I".into(), not_after: at(10 * DAY), is_root: false },
    ];
    let own = OwnCertificate {
        not_before: at(-81 * DAY),
        not_after: at(9 * DAY),
        trouble: None,
        shown: Listener::Unwatched,
    };
    let lists = [ListAge { issuer: "aa".into(), this_update: at(-5 * DAY), next_update: at(2 * DAY) }];
    let sick = Health { trouble: trouble() };
    let clock = ClockState { unsynchronised_since: None, step: Some((at(-60), -400)) };
    let prober = Prober { last_pass: at(-HOUR), interval: Duration::from_secs(600) };
    let resolvers = [ResolverHealth {
        server: "10.0.0.53".into(),
        failures: 3,
        successes: 0,
        since: at(-300),
        answer: "timeout".into(),
    }];
    let detail = "the pin a.lan says 10.0.0.1, and 10.0.0.53 says 10.0.0.2";
    let pins = [pinned("a.lan", Footing::Differs(detail.into()), 10)];
    let lineages = [lineage("a.lan", 10)];
    let sinks = [SinkState { name: "ntfy".into(), oldest: Some(at(-16 * 60)), waiting: 3, broken: None }];
    let new = [NewName { names: vec!["n.lan".into()], owner: None, at: at(-1), is_outside: false }];
    let facts = Facts {
        authorities: Some(&authorities),
        longest: Duration::from_secs(90 * 86_400),
        own: Some(&own),
        lists: Some(&lists),
        signer: Some(&sick),
        store: Some(&sick),
        clock: Some(&clock),
        prober: Some(&prober),
        resolvers: Some(&resolvers),
        lineages: Some(&lineages),
        pins: Some(&pins),
        sinks: Some(&sinks),
        new_names: &new,
        ..Facts::default()
    };
    let found = judge(&facts, &Book::default(), at(0)).conditions;
    whole(&found);
    let mut keys: Vec<&str> = found.iter().map(|condition| condition.key.as_str()).collect();
    keys.sort_unstable();
    assert_eq!(
        keys,
        [
            "ca:aa",
            "ca:bb",
            "ca:server",
            "clock",
            "crl:aa",
            "drift:a.lan",
            "new:n.lan",
            "prober",
            "resolver:10.0.0.53",
            "signer",
            "sink:ntfy",
            "store:write"
        ]
    );
    let severity = |key: &str| found.iter().find(|condition| condition.key == key).unwrap().severity;
    assert_eq!([severity("ca:aa"), severity("ca:bb")], [Severity::Warning, Severity::Critical]);
    assert_eq!(severity("clock"), Severity::Urgent);
    let drift = found.iter().find(|condition| condition.rule == Rule::ResolverDrift).unwrap();
    assert_eq!(drift.inhibited_by.as_deref(), Some("resolver:10.0.0.53"));
    assert_eq!(judge(&Facts::default(), &Book::default(), at(0)).conditions, []);
}

#[test]
fn a_disk_that_fills_up_is_told_once_while_it_hovers_and_stands_for_nothing_else() {
    const GIB: u64 = 1 << 30;
    let mut failing = lineage("a.lan", 10);
    fails(&mut failing, 2, HOUR);
    let lineages = [failing];
    let mut book = Book::default();
    let mut said = Vec::new();
    // Whole hours: little, at the edge, and at last ample.
    for (hour, free) in (0..).zip([GIB - 1, GIB + 1, GIB / 2, 2 * GIB, 2 * GIB]) {
        let now = at(hour * HOUR);
        let room = Some(Room { free, whole: 50 * GIB });
        let facts = Facts { room, lineages: Some(&lineages), store: None, ..Facts::default() };
        let findings = judge(&facts, &book, now);
        whole(&findings.conditions);
        assert!(findings.conditions.iter().all(|condition| condition.inhibited_by.is_none()), "{hour}");
        for second in [0, 120] {
            let step = book.step(&findings, now.plus(Duration::from_secs(second)), &Schedule::default());
            let of_disk = step.notices.iter().filter(|notice| notice.message.key == "store:disk");
            said.extend(of_disk.map(|notice| (hour, notice.message.kind, notice.message.title.clone())));
        }
    }
    let [(0, Kind::Firing, begin), (3.., Kind::Resolved, end)] = said.as_slice() else {
        panic!("{said:?}");
    };
    assert_eq!(begin, "The disk of the CA's store is nearly full");
    assert!(end.starts_with("There is room on the disk of the CA's store again after"), "{end}");
    let lines = &judge(
        &Facts { room: Some(Room { free: GIB / 2, whole: 50 * GIB }), ..Facts::default() },
        &Book::default(),
        at(0),
    )
    .conditions[0]
        .lines;
    assert_eq!(lines[1], "512 of 51200 MiB are free");
}
