//! The outbox: messages wait in their order, for each sink, over a restart.

use acme::id::{ID_RANDOM, MessageId};
use acme::severity::Severity;
use acme::time::Timestamp;
use store::alert::{KeepAlerts, Kept};
use store::outbox::{Delivery, Heard, NewEntry, PruneMessages, PutMessages, RecordTry, Settle, SinkState};

use crate::world::*;

fn entry(number: u8, kind: &str, key: &str) -> NewEntry {
    // The ids sort the wrong way round, so that nothing hangs on them.
    let id = MessageId::mint(now(), [255 - number; ID_RANDOM]);
    NewEntry {
        id,
        message: format!("{{\"n\":{number}}}"),
        severity: Severity::Critical,
        kind: kind.to_owned(),
        key: key.to_owned(),
        at: now(),
        not_before: now(),
    }
}

fn told(entry: &NewEntry, sink: &str) -> Delivery {
    Delivery {
        message: entry.id.clone(),
        sink: sink.to_owned(),
        result: "delivered".to_owned(),
        at: now(),
        remote_id: Some("abc".to_owned()),
        detail: None,
    }
}

fn tried(sink: &SinkState, deliveries: Vec<Delivery>) -> RecordTry {
    RecordTry { sink: sink.clone(), deliveries, heard: vec![], messages: vec![], at: now() }
}

fn messages(entries: &[store::outbox::Entry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.message.as_str()).collect()
}

both! {
    async fn messages_wait_in_their_order_until_they_are_settled(world: World) {
        let first = vec![entry(1, "firing", "a"), entry(2, "firing", "b")];
        let mut later = entry(4, "digest", "d");
        later.not_before = day(1);
        world.store.write(PutMessages { entries: first.clone() }).await.unwrap();
        world.store.write(PutMessages { entries: vec![entry(3, "resolved", "a"), later] }).await.unwrap();
        assert_eq!(world.store.write(PutMessages { entries: first.clone() }).await.map_err(|e| e.kind()), Err("constraint"));

        let store = world.reopened().await;
        let open = store.open_messages(now(), 10).await.unwrap();
        assert_eq!(messages(&open), ["{\"n\":1}", "{\"n\":2}", "{\"n\":3}"]);
        assert_eq!(store.open_messages(day(1), 10).await.unwrap().len(), 4);
        assert_eq!(store.open_messages(day(1), 2).await.unwrap().len(), 2);
        assert_eq!(store.standing_messages(10).await.unwrap(), ["{\"n\":2}"], "what ended stands no longer");

        store.write(Settle { messages: vec![first[0].id.clone()], at: now() }).await.unwrap();
        let open = store.open_messages(now(), 10).await.unwrap();
        assert_eq!(messages(&open), ["{\"n\":2}", "{\"n\":3}"]);
        store.close().await;
    }
}

both! {
    async fn a_try_keeps_the_sink_and_what_it_took(world: World) {
        let entries = vec![entry(1, "firing", "a"), entry(2, "firing", "b")];
        world.store.write(PutMessages { entries: entries.clone() }).await.unwrap();
        assert!(world.store.sinks().await.unwrap().is_empty());
        let mut sink = SinkState {
            name: "phone".into(),
            failing_since: Some(now()),
            failures: 3,
            next_at: Some(day(1)),
            trouble: Some("tls".into()),
            detail: Some("unknown issuer".into()),
            told_at: Some(now()),
            delivered_at: None,
            replaces: None,
            beat_at: None,
        };
        world.store.write(tried(&sink, vec![])).await.unwrap();
        assert_eq!(world.store.sinks().await.unwrap(), [sink.clone()]);
        sink = SinkState {
            name: "phone".into(),
            delivered_at: Some(day(1)),
            replaces: Some(true),
            beat_at: Some(day(1)),
            ..SinkState::default()
        };
        let deliveries = vec![told(&entries[0], "phone"), told(&entries[0], "mail")];
        let kept = tried(&sink, deliveries.clone());
        world.store.write(kept.clone()).await.unwrap();
        world.store.write(kept).await.unwrap();
        assert_eq!(world.store.sinks().await.unwrap(), [sink]);
        let mut found = world.store.open_deliveries().await.unwrap();
        found.sort_by_key(|delivery| std::cmp::Reverse(delivery.sink.clone()));
        assert_eq!(found, deliveries);
        let ids = [entries[0].id.clone(), entries[1].id.clone()];
        assert_eq!(world.store.deliveries(&ids).await.unwrap().len(), 2);
        assert!(world.store.deliveries(&[]).await.unwrap().is_empty());
    }
}

both! {
    async fn what_was_settled_long_ago_goes_and_what_waits_stays(world: World) {
        let entries: Vec<NewEntry> =
            (1..=4).map(|n| entry(n, if n == 1 { "resolved" } else { "firing" }, &format!("k{n}"))).collect();
        world.store.write(PutMessages { entries: entries.clone() }).await.unwrap();
        let deliveries = entries.iter().map(|entry| told(entry, "phone")).collect();
        let sink = SinkState { name: "phone".into(), ..SinkState::default() };
        world.store.write(tried(&sink, deliveries)).await.unwrap();
        let id = |n: usize| entries[n].id.clone();
        world.store.write(Settle { messages: vec![id(0), id(1)], at: day(1) }).await.unwrap();
        world.store.write(Settle { messages: vec![id(2)], at: day(20) }).await.unwrap();
        let prune = |before: Timestamp| PruneMessages { before, limit: 1 };
        assert_eq!(world.store.write(prune(day(1))).await.unwrap(), 0);
        assert_eq!(world.store.write(prune(day(10))).await.unwrap(), 1);
        assert_eq!(world.store.write(prune(day(10))).await.unwrap(), 1);
        assert_eq!(world.store.write(prune(day(10))).await.unwrap(), 0);
        assert_eq!((world.count("outbox").await, world.count("delivery").await), (2, 2));
        assert_eq!(world.count("standing").await, 3, "what stands is kept however old it is");
    }
}

both! {
    async fn what_a_sink_heard_is_kept_until_it_hears_the_end(world: World) {
        let hear = |sink: &str, heard: &[(&str, bool)], at: Timestamp| {
            let sink = SinkState { name: sink.into(), ..SinkState::default() };
            let heard = heard.iter().map(|(key, holds)| ((*key).to_owned(), *holds)).collect();
            RecordTry { heard, at, ..tried(&sink, vec![]) }
        };
        let changes = [
            hear("phone", &[("a", true), ("b", true), ("a", true)], now()),
            hear("second", &[("a", true), ("c", true), ("c", false), ("never", false)], now()),
            hear("phone", &[("b", false)], day(1)),
        ];
        for change in changes {
            world.store.write(change.clone()).await.unwrap();
            // A commit whose answer was lost is made again.
            world.store.write(change).await.unwrap();
        }
        let store = world.reopened().await;
        let heard = async |keys: &[&str]| {
            let mut heard: Vec<String> =
                store.heard(keys).await.unwrap().into_iter().map(|Heard { key, sink }| key + " " + &sink).collect();
            heard.sort();
            heard
        };
        assert_eq!(heard(&["a", "b", "c", "never"]).await, ["a phone", "a second"]);
        assert_eq!(heard(&["b", "c"]).await, [""; 0]);
        assert_eq!(heard(&[]).await, [""; 0]);
        // More than one statement takes.
        let many: Vec<String> = (0..1_200).map(|number| format!("k{number}")).chain(["a".to_owned()]).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(heard(&many).await.len(), 2);
        let prune = |before: Timestamp| PruneMessages { before, limit: 10 };
        store.write(prune(now())).await.unwrap();
        assert_eq!(heard(&["a"]).await.len(), 2);
        let kept = |ended_at: Option<Timestamp>| {
            let alert = Kept {
                key: "a".into(),
                rule: "OrderFailing".into(),
                severity: Severity::Warning,
                state: "firing".into(),
                since: now(),
                changed_at: now(),
                ended_at,
                acked_at: None,
                ack_reason: None,
                body: "{}".into(),
            };
            KeepAlerts { alerts: vec![(alert, false)], ..KeepAlerts::default() }
        };
        for ended_at in [None, Some(day(30))] {
            store.write(kept(ended_at)).await.unwrap();
            store.write(prune(day(30))).await.unwrap();
            assert_eq!(heard(&["a"]).await.len(), 2, "it lasts, or its end may still be told");
        }
        store.write(prune(day(31))).await.unwrap();
        assert_eq!(heard(&["a"]).await, [""; 0], "it ended without a word, or nobody is left to hear it");
        store.close().await;
    }
}
