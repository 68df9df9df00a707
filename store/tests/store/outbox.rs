//! The outbox: messages wait in their order, for each sink, over a restart.

use acme::id::{ID_RANDOM, MessageId};
use acme::severity::Severity;
use acme::time::Timestamp;
use store::outbox::{Delivery, NewEntry, PruneMessages, PutMessages, RecordTry, Settle, SinkState};

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
        world.store.write(RecordTry { sink: sink.clone(), deliveries: vec![], messages: vec![] }).await.unwrap();
        assert_eq!(world.store.sinks().await.unwrap(), [sink.clone()]);
        sink = SinkState {
            name: "phone".into(),
            delivered_at: Some(day(1)),
            replaces: Some(true),
            beat_at: Some(day(1)),
            ..SinkState::default()
        };
        let deliveries = vec![told(&entries[0], "phone"), told(&entries[0], "mail")];
        let kept = RecordTry { sink: sink.clone(), deliveries: deliveries.clone(), messages: vec![] };
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
        world.store.write(RecordTry { sink, deliveries, messages: vec![] }).await.unwrap();
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
