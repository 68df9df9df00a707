use acme::id::ID_RANDOM;

use super::*;
use crate::notify::{Journal, Owner, Receipt, Way};

fn at(minutes: u64) -> Timestamp {
    Timestamp::from_unix(1_790_000_000).plus(Duration::from_secs(60 * minutes))
}

fn sink(name: &str, role: Role, min: Severity) -> Sink {
    let way = Way::Journal(Journal { socket: "/nowhere".into() });
    Sink { name: name.to_owned(), min, role, way }
}

fn settings(sinks: Vec<Sink>) -> Settings {
    Settings { host: "ca.lan".into(), owner: Owner::Native, sinks, ..Settings::default() }
}

/// Two that are always told and two fallbacks.
fn four() -> Settings {
    settings(vec![
        sink("phone", Role::Always, Severity::Info),
        sink("mail", Role::Always, Severity::Critical),
        sink("second", Role::Fallback, Severity::Info),
        sink("third", Role::Fallback, Severity::Info),
    ])
}

fn waiting(number: u8, severity: Severity, kind: Kind) -> Waiting {
    let message = Message {
        key: format!("order:{number}.lan"),
        kind,
        rule: "OrderFailing".into(),
        severity,
        title: format!("{number}.lan fails"),
        lines: Vec::new(),
        names: vec![format!("{number}.lan")],
        owner: None,
        since: at(0),
        at: at(0),
    };
    Waiting { id: MessageId::mint(at(0), [number; ID_RANDOM]), message, about: Vec::new(), from: at(0) }
}

fn told(waiting: &Waiting, sink: &str, result: &str) -> Delivery {
    Delivery {
        message: waiting.id.clone(),
        sink: sink.into(),
        result: result.into(),
        at: at(0),
        remote_id: None,
        detail: None,
    }
}

fn failing(name: &str, since: u64) -> SinkState {
    SinkState { name: name.into(), failing_since: Some(at(since)), failures: 1, ..SinkState::default() }
}

/// Who is owed the message, by the words of the sinks' names.
fn owed(view: &View<'_>, now: Timestamp) -> String {
    let names = view.settings.sinks.iter().enumerate();
    let owed = names.filter(|(place, _)| view.owed(*place, now).next().is_some());
    owed.map(|(_, sink)| sink.name.as_str()).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_fallback_has_its_turn_when_those_before_it_failed_for_a_quarter_of_an_hour() {
    let settings = four();
    let urgent = waiting(1, Severity::Urgent, Kind::Firing);
    let view = |states: &[SinkState], deliveries: &[Delivery]| {
        View::new(&settings, states, vec![urgent.clone()], deliveries, Vec::new())
    };
    assert_eq!(owed(&view(&[], &[]), at(60)), "phone mail");
    let both = [failing("phone", 0), failing("mail", 0)];
    assert_eq!(owed(&view(&both, &[]), at(14)), "phone mail");
    assert_eq!(owed(&view(&both, &[]), at(15)), "phone mail second");
    assert_eq!(owed(&view(&both[..1], &[]), at(15)), "phone mail", "mail may still take it");
    assert_eq!(owed(&view(&both, &[told(&urgent, "mail", DELIVERED)]), at(15)), "phone");
    let all = [failing("phone", 0), failing("mail", 0), failing("second", 0)];
    assert_eq!(owed(&view(&all, &[]), at(15)), "phone mail second third");
    let refused = [told(&urgent, "phone", REFUSED), told(&urgent, "mail", EXPIRED)];
    assert_eq!(owed(&view(&[], &refused), at(1)), "second", "what is decided needs no waiting");
    let arrived = [told(&urgent, "phone", MERGED), told(&urgent, "mail", DELIVERED)];
    assert!(owed(&view(&both, &arrived), at(15)).is_empty());
    assert_eq!(view(&both, &arrived).settled(at(15)), std::slice::from_ref(&urgent.id));
    assert!(view(&both, &refused).settled(at(15)).is_empty());
}

#[test]
fn who_heard_that_something_is_wrong_hears_its_end_once() {
    let settings = four();
    let end = waiting(1, Severity::Warning, Kind::Resolved);
    let heard = |sinks: &[&str]| -> Vec<Heard> {
        sinks.iter().map(|sink| Heard { key: "order:1.lan".into(), sink: (*sink).into() }).collect()
    };
    let view = |waiting: &[Waiting], deliveries: &[Delivery], sinks: &[&str]| {
        owed(&View::new(&settings, &[], waiting.to_vec(), deliveries, heard(sinks)), at(1))
    };
    let one = std::slice::from_ref(&end);
    assert_eq!(view(one, &[], &[]), "phone");
    assert_eq!(view(one, &[], &["phone", "third", "gone"]), "phone third");
    assert_eq!(view(one, &[], &["mail"]), "phone mail", "however little it mattered in the end");
    let by_phone = told(&end, "phone", DELIVERED);
    assert_eq!(view(one, std::slice::from_ref(&by_phone), &["third"]), "third", "it is not settled yet");
    assert!(view(one, &[by_phone.clone(), told(&end, "third", MERGED)], &["third"]).is_empty());
    // Reminders are for the first alone.
    let reminder = waiting(1, Severity::Warning, Kind::Reminder);
    assert_eq!(view(std::slice::from_ref(&reminder), &[], &["third"]), "phone");
    // It began and ended again, which the third did not hear of.
    let mut again = waiting(1, Severity::Warning, Kind::Resolved);
    again.id = waiting(9, Severity::Warning, Kind::Resolved).id;
    let both = [by_phone, told(&again, "phone", DELIVERED)];
    let kept = [end.clone(), again.clone()];
    let two = View::new(&settings, &[], kept.to_vec(), &both, heard(&["third"]));
    let third: Vec<&MessageId> = two.owed(3, at(1)).map(|waiting| &waiting.id).collect();
    assert_eq!(third, [&end.id]);
    assert_eq!(two.settled(at(1)), [again.id]);
}

#[test]
fn a_message_of_several_tells_of_each_of_them() {
    let settings = four();
    let several = |kind, keys: &[&str]| {
        let mut several = waiting(1, Severity::Warning, kind);
        several.message.key = "digest:OrderFailing".into();
        several.about = keys.iter().map(|key| (*key).to_owned()).collect();
        several
    };
    let digest = several(Kind::Digest, &["order:1.lan", "order:2.lan"]);
    let holds = |holds: bool| vec![("order:1.lan".to_owned(), holds), ("order:2.lan".to_owned(), holds)];
    assert_eq!(digest.heard(MERGED), holds(true));
    assert!(digest.heard(REFUSED).is_empty() && digest.heard(EXPIRED).is_empty());
    let end = several(Kind::Resolved, &["order:1.lan", "order:2.lan"]);
    for result in [DELIVERED, MERGED, REFUSED, EXPIRED] {
        assert_eq!(end.heard(result), holds(false), "it is told no more");
    }
    let alone = waiting(3, Severity::Warning, Kind::Firing);
    assert_eq!(alone.heard(DELIVERED), [("order:3.lan".to_owned(), true)]);
    assert!(waiting(3, Severity::Warning, Kind::Test).heard(DELIVERED).is_empty());
    let heard = vec![Heard { key: "order:2.lan".into(), sink: "second".into() }];
    assert_eq!(owed(&View::new(&settings, &[], vec![end], &[], heard), at(1)), "phone second");
}

#[test]
fn each_sink_gets_what_matters_enough_and_trouble_with_a_sink_goes_to_the_others() {
    let settings = four();
    let warning = waiting(1, Severity::Warning, Kind::Firing);
    let view = View::new(&settings, &[failing("phone", 0)], vec![warning], &[], Vec::new());
    assert_eq!(owed(&view, at(15)), "phone second", "mail does not want it, so it does not count");

    let mut about = waiting(2, Severity::Critical, Kind::Firing);
    about.message.key = crate::notify::trouble_key("phone");
    about.message.rule = FAILING.into();
    let view = View::new(&settings, &[], vec![about], &[], Vec::new());
    assert_eq!(owed(&view, at(0)), "mail second third", "at once");
}

#[test]
fn with_alertmanager_as_owner_the_others_are_fallbacks() {
    let mut settings =
        settings(vec![sink("phone", Role::Always, Severity::Info), sink("am", Role::Always, Severity::Info)]);
    settings.owner = Owner::Alertmanager;
    settings.sinks[1].way = Way::Alertmanager(crate::notify::Alertmanager {
        endpoint: crate::notify::Endpoint::parse("http://127.0.0.1:9093").unwrap(),
        login: crate::notify::Login::Nobody,
        trust: crate::notify::Trust { roots: crate::notify::Roots::Own, pins: Vec::new() },
        labels: std::collections::BTreeMap::new(),
    });
    let view = |states: &[SinkState]| {
        let waiting = vec![waiting(1, Severity::Urgent, Kind::Firing)];
        owed(&View::new(&settings, states, waiting, &[], Vec::new()), at(15))
    };
    assert_eq!(view(&[]), "am");
    assert_eq!(view(&[failing("am", 0)]), "phone am");
}

#[test]
fn a_sink_is_left_alone_while_it_recovers_and_old_messages_are_given_up() {
    let settings = settings(vec![sink("phone", Role::Always, Severity::Info)]);
    let state = SinkState { name: "phone".into(), next_at: Some(at(10)), ..SinkState::default() };
    let all = vec![waiting(2, Severity::Info, Kind::Firing), waiting(1, Severity::Info, Kind::Resolved)];
    let view = View::new(&settings, &[state], all, &[], Vec::new());
    assert!(view.due(0, at(9)).is_empty());
    let due: Vec<&str> = view.due(0, at(10)).iter().map(|waiting| waiting.message.key.as_str()).collect();
    assert_eq!(due, ["order:2.lan", "order:1.lan"], "in the order in which they were put");
    assert!(view.given_up(0, at(48 * 60 - 1)).is_empty());
    assert_eq!((view.given_up(0, at(48 * 60)).len(), view.due(0, at(48 * 60)).len()), (2, 0));
}

#[test]
fn nobody_configured_is_nobody_owed() {
    let settings = settings(Vec::new());
    let view = View::new(&settings, &[], vec![waiting(1, Severity::Urgent, Kind::Firing)], &[], Vec::new());
    assert_eq!(view.settled(at(0)).len(), 1);
}

#[test]
fn tries_move_a_sink_as_the_table_says() {
    let fresh = SinkState { name: "phone".into(), ..SinkState::default() };
    let busy = Outcome::Retry { trouble: Trouble::Busy, after: None, why: "429".into() };
    let once = after(&fresh, &busy, at(0), 0.0);
    assert_eq!((once.failures, once.trouble.as_deref(), once.failing_since), (1, Some("busy"), Some(at(0))));
    assert_eq!(once.next_at, Some(at(0).plus(Duration::from_secs(5))));
    let twice = after(&once, &busy, at(1), 0.5);
    assert_eq!(twice.next_at, Some(at(1).plus(Duration::from_secs(12))), "10 s and jitter, in whole seconds");
    assert_eq!(twice.failing_since, Some(at(0)));
    assert!(is_storm(&twice, 5) && !is_storm(&twice, 4) && !is_storm(&fresh, 50));

    let broken = Outcome::Broken { why: "401".into() };
    let first = after(&twice, &broken, at(2), 0.0);
    let third = after(&after(&first, &broken, at(3), 0.0), &broken, at(4), 0.0);
    assert_eq!((first.failures, third.failures), (1, 3), "what went before is another matter");
    assert_eq!(third.next_at, Some(at(64)), "then hourly");

    let refused = after(&fresh, &Outcome::Refused { why: "400".into() }, at(5), 0.0);
    assert_eq!(
        (refused.next_at, refused.trouble.as_deref()),
        (None, Some("refused")),
        "the next may be taken"
    );

    let receipt = Receipt { echoes_sequence: Some(true), ..Receipt::default() };
    let well = after(&third, &Outcome::Delivered(receipt), at(70), 0.0);
    assert_eq!((well.failing_since, well.failures, well.next_at), (None, 0, None));
    assert_eq!((well.delivered_at, well.replaces), (Some(at(70)), Some(true)));
    let kept = after(&well, &Outcome::Delivered(Receipt::default()), at(71), 0.0);
    assert_eq!(kept.replaces, Some(true), "an answer that does not say leaves it");
}

#[test]
fn that_a_sink_fails_is_said_once_again_after_six_hours_and_taken_back() {
    let settings = settings(vec![sink("phone", Role::Always, Severity::Info)]);
    let say =
        |state: &SinkState, waiting: usize, now| trouble(&settings, &settings.sinks[0], state, waiting, now);
    let mut state = failing("phone", 0);
    state.trouble = Some("network".into());
    assert!(say(&state, 1, at(14)).is_none());
    let (message, told) = say(&state, 1, at(15)).unwrap();
    assert_eq!((message.kind, message.key.as_str(), told), (Kind::Firing, "sink:phone", Some(at(15))));
    assert!(message.title.len() <= 100 && message.severity == Severity::Critical);
    state.told_at = told;
    assert!(say(&state, 1, at(15 + 359)).is_none());
    assert_eq!(say(&state, 1, at(15 + 360)).unwrap().0.kind, Kind::Reminder);
    assert!(say(&state, 0, at(15 + 360)).is_none(), "nothing waits");
    state.failing_since = None;
    let (message, told) = say(&state, 3, at(500)).unwrap();
    assert_eq!((message.kind, told), (Kind::Resolved, None));
    assert!(message.lines[0].starts_with("3 messages"));

    let tls = |failures| SinkState { trouble: Some("tls".into()), failures, ..failing("phone", 0) };
    assert!(say(&tls(1), 1, at(0)).is_none() && say(&tls(2), 1, at(0)).is_some(), "TLS does not mend itself");
    let broken = |failures| SinkState { trouble: Some(BROKEN.into()), failures, ..failing("phone", 0) };
    assert!(say(&broken(2), 1, at(1)).is_none() && say(&broken(3), 1, at(1)).is_some());
}

#[test]
fn a_storm_becomes_one_message_as_grave_as_its_worst_part() {
    let mut all: Vec<Waiting> = (1..=30).map(|n| waiting(n, Severity::Info, Kind::Resolved)).collect();
    all.push(waiting(31, Severity::Urgent, Kind::Firing));
    let several: Vec<&Waiting> = all.iter().collect();
    let digest = merge("phone", &several, at(5)).unwrap();
    assert_eq!((digest.severity, digest.kind, digest.names.len()), (Severity::Urgent, Kind::Digest, 31));
    assert_eq!(digest.lines[0], "urgent: 31.lan fails");
    assert_eq!(digest.lines[20..], ["and 11 more", "try: ca-ctl alerts list"]);
    assert!(digest.body(3_500).len() <= 3_500);
    assert!(merge("phone", &[], at(5)).is_none());
}
