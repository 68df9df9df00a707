use std::time::Duration;

use acme::severity::Severity;
use acme::time::Timestamp;
use store::alert::{AckAlert, Event, KeepAlerts, Kept, PruneAlerts};

use crate::world::*;

fn later(seconds: u64) -> Timestamp {
    now().plus(Duration::from_secs(seconds))
}

fn alert(key: &str) -> Kept {
    Kept {
        key: key.into(),
        rule: "OrderFailing".into(),
        severity: Severity::Warning,
        state: "firing".into(),
        since: now(),
        changed_at: now(),
        ended_at: None,
        acked_at: None,
        ack_reason: None,
        body: "{}".into(),
    }
}

fn happened(key: &str, what: &str, at: Timestamp) -> Event {
    Event {
        at,
        key: key.into(),
        what: what.into(),
        rule: "OrderFailing".into(),
        severity: Severity::Warning,
        title: "vault.lan: 2 orders failed".into(),
    }
}

async fn keep(world: &World, alert: Kept, is_news: bool) {
    let change = KeepAlerts { alerts: vec![(alert, is_news)], ..KeepAlerts::default() };
    world.store.write(change).await.unwrap();
}

both! {
    async fn what_a_step_changed_is_kept_whole_and_read_back(world: World) {
        let step = KeepAlerts {
            alerts: vec![(alert("order:a"), true), (alert("order:b"), true)],
            events: vec![happened("order:a", "fired", now()), happened("order:b", "fired", now())],
            ..KeepAlerts::default()
        };
        world.store.write(step.clone()).await.unwrap();
        // The same again: a step that was kept and not known to be.
        world.store.write(step).await.unwrap();
        assert_eq!(world.store.open_alerts().await.unwrap(), [alert("order:a"), alert("order:b")]);
        assert_eq!(world.store.alert_events(now(), 10).await.unwrap().len(), 2);
        assert_eq!(world.store.alert_events(later(1), 10).await.unwrap(), []);

        let over = Kept { ended_at: Some(later(60)), state: "resolved".into(), ..alert("order:a") };
        let step = KeepAlerts {
            alerts: vec![(over.clone(), false)],
            dropped: vec!["order:b".into(), "order:c".into()],
            events: vec![happened("order:a", "resolved", later(60))],
            ..KeepAlerts::default()
        };
        world.store.write(step).await.unwrap();
        assert_eq!(world.store.open_alerts().await.unwrap(), []);
        assert_eq!(world.store.ended_alerts(now(), 10).await.unwrap(), std::slice::from_ref(&over));
        assert_eq!(world.store.ended_alerts(later(61), 10).await.unwrap(), []);
        assert_eq!(world.store.alert("order:a").await.unwrap(), Some(over));
        assert_eq!(world.store.alert("order:b").await.unwrap(), None);
        let words: Vec<String> =
            world.store.events_of_alert("order:a", 10).await.unwrap().into_iter().map(|e| e.what).collect();
        assert_eq!(words, ["resolved", "fired"]);
    }
}

both! {
    async fn an_acknowledgement_outlives_what_the_server_writes_until_there_is_news(world: World) {
        keep(&world, alert("order:a"), true).await;
        let ack = AckAlert { key: "order:a".into(), reason: Some("on it".into()), at: later(10) };
        let kept = world.store.write(ack.clone()).await.unwrap().unwrap();
        assert_eq!((kept.acked_at, kept.ack_reason.as_deref()), (Some(later(10)), Some("on it")));
        assert_eq!(world.store.write(AckAlert { key: "order:b".into(), ..ack.clone() }).await.unwrap(), None);

        // The server knows nothing of it when it writes.
        keep(&world, alert("order:a"), false).await;
        assert_eq!(world.store.alert("order:a").await.unwrap().unwrap().acked_at, Some(later(10)));
        keep(&world, alert("order:a"), true).await;
        assert_eq!(world.store.alert("order:a").await.unwrap().unwrap().acked_at, None);

        world.store.write(ack.clone()).await.unwrap().unwrap();
        keep(&world, Kept { ended_at: Some(later(20)), ..alert("order:a") }, false).await;
        assert_eq!(world.store.write(ack).await.unwrap(), None, "it is over");
        keep(&world, alert("order:a"), false).await;
        assert_eq!(world.store.alert("order:a").await.unwrap().unwrap().acked_at, None, "it began anew");
        assert_eq!(world.store.events_of_alert("order:a", 10).await.unwrap().len(), 1, "one moment, one event");
    }
}

both! {
    async fn what_is_long_over_goes_in_bites_and_what_is_open_stays(world: World) {
        let step = KeepAlerts {
            alerts: (0..5)
                .map(|n| (Kept { ended_at: Some(later(n)), ..alert(&format!("order:{n}")) }, false))
                .chain([(alert("order:open"), true)])
                .collect(),
            events: (0..5).map(|n| happened("order:open", "reminded", later(n))).collect(),
            ..KeepAlerts::default()
        };
        world.store.write(step).await.unwrap();
        let prune = PruneAlerts { before: later(4), limit: 3 };
        assert_eq!(world.store.write(prune).await.unwrap(), 6);
        assert_eq!(world.store.write(prune).await.unwrap(), 2);
        assert_eq!(world.store.write(prune).await.unwrap(), 0);
        assert_eq!(world.store.open_alerts().await.unwrap().len(), 1);
        assert_eq!(world.store.ended_alerts(now(), 10).await.unwrap().len(), 1);
        assert_eq!(world.store.alert_events(now(), 10).await.unwrap().len(), 1);
    }
}
