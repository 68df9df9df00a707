//! What probes saw: continued, changed, gone; and what they must know of a serial.

use std::collections::BTreeSet;
use std::time::Duration;

use acme::lineage::Served;
use acme::time::Timestamp;
use acme::verdict::Verdict;
use store::observation::KeepObservations;

use crate::world::*;

fn served(target: &str, address: Option<&str>, verdict: Verdict, at: Timestamp) -> Served {
    Served {
        target: target.to_owned(),
        address: address.map(|address| address.parse().unwrap()),
        verdict,
        since: at,
        at,
        samples: 1,
        serial: Some("0a0b".to_owned()),
        spki: None,
        not_after: Some(day(900)),
        product: Some("an issuer".to_owned()),
        detail: format!("{verdict} was found"),
    }
}

fn pass(host: &str, seen: Vec<Served>) -> KeepObservations {
    let target = seen.first().map_or_else(|| format!("{host}:443"), |it| it.target.clone());
    KeepObservations { targets: vec![(target, host.to_owned(), seen)], all: None }
}

fn minute(minutes: u64) -> Timestamp {
    now().plus(Duration::from_secs(60 * minutes))
}

const FOUR: Option<&str> = Some("10.0.0.1:443");
const SIX: Option<&str> = Some("[fd00::1]:443");

both! {
    async fn a_verdict_that_stays_is_continued_and_one_that_changes_begins_anew(world: World) {
        let look = |verdict, at| pass("a.lan", vec![served("a.lan:443", FOUR, verdict, at)]);
        let turns = world.store.write(look(Verdict::Ok, minute(0))).await.unwrap();
        assert_eq!((turns[0].before, turns[0].verdict), (None, Verdict::Ok));
        assert!(world.store.write(look(Verdict::Ok, minute(10))).await.unwrap().is_empty());
        let kept = &world.store.observations_of("a.lan").await.unwrap()[0];
        let expected = Served { since: minute(0), samples: 2, ..served("a.lan:443", FOUR, Verdict::Ok, minute(10)) };
        assert_eq!((kept.host.as_str(), &kept.served), ("a.lan", &expected));

        let turns = world.store.write(look(Verdict::FallbackCert, minute(20))).await.unwrap();
        assert_eq!((turns[0].before, turns[0].verdict), (Some(Verdict::Ok), Verdict::FallbackCert));
        let kept = &world.store.observations_of("a.lan").await.unwrap()[0].served;
        assert_eq!((kept.since, kept.samples), (minute(20), 1));
        let changes = world.store.observation_changes("a.lan:443", 10).await.unwrap();
        assert_eq!(changes.iter().map(|turn| turn.verdict).collect::<Vec<_>>(), [Verdict::FallbackCert, Verdict::Ok]);

        // One that was slow does not put back what a later one found.
        world.store.write(look(Verdict::Ok, minute(15))).await.unwrap();
        assert_eq!(world.store.observations_of("a.lan").await.unwrap()[0].served.verdict, Verdict::FallbackCert);
    }
}

both! {
    async fn what_a_target_leads_to_no_more_is_removed(world: World) {
        let at = minute(0);
        let both = vec![served("a.lan:443", FOUR, Verdict::Ok, at), served("a.lan:443", SIX, Verdict::Ok, at)];
        world.store.write(pass("a.lan", both)).await.unwrap();
        world.store.write(pass("a.lan", vec![served("a.lan:25", FOUR, Verdict::Ok, at)])).await.unwrap();
        world.store.write(pass("b.lan", vec![served("b.lan:443", FOUR, Verdict::Ok, at)])).await.unwrap();
        assert_eq!(world.store.observations_of("a.lan").await.unwrap().len(), 3);

        world.store.write(pass("a.lan", vec![served("a.lan:443", None, Verdict::DnsFail, minute(1))])).await.unwrap();
        let left = world.store.observations_of("a.lan").await.unwrap();
        let places: Vec<_> = left.iter().map(|it| (it.served.target.as_str(), it.served.address)).collect();
        let [four, six] = ["10.0.0.1:443", "[fd00::1]:443"].map(|address| Some(address.parse().unwrap()));
        let expected = [("a.lan:25", four), ("a.lan:443", None), ("a.lan:443", four), ("a.lan:443", six)];
        assert_eq!(places, expected, "without an address nothing was seen that could take the place of what was");
        assert_eq!(left[2].served.at, at);

        world.store.write(pass("a.lan", vec![served("a.lan:443", SIX, Verdict::Ok, minute(2))])).await.unwrap();
        let left = world.store.observations_of("a.lan").await.unwrap();
        let places: Vec<_> = left.iter().map(|it| (it.served.target.as_str(), it.served.address)).collect();
        assert_eq!(places, [("a.lan:25", four), ("a.lan:443", six)]);

        let all = BTreeSet::from(["b.lan:443".to_owned()]);
        world.store.write(KeepObservations { targets: vec![], all: Some(all) }).await.unwrap();
        assert!(world.store.observations_of("a.lan").await.unwrap().is_empty());
        assert!(world.store.observation_changes("a.lan:443", 10).await.unwrap().is_empty());
        assert_eq!(world.store.observations(None, 10).await.unwrap().len(), 1);
    }
}

both! {
    async fn a_pass_is_one_commit_whatever_its_size_and_is_read_in_pages(world: World) {
        let at = minute(0);
        let targets = (0..450).map(|n| {
            let (host, target) = (format!("h{n:03}.lan"), format!("h{n:03}.lan:443"));
            let seen = vec![served(&target, FOUR, Verdict::Ok, at), served(&target, SIX, Verdict::Ok, at)];
            (target, host, seen)
        });
        let targets: Vec<_> = targets.collect();
        let all = Some(targets.iter().map(|(target, ..)| target.clone()).collect());
        let change = KeepObservations { targets, all };
        for _ in 0..2 {
            let before = world.store.stats().commits;
            world.store.write(change.clone()).await.unwrap();
            assert_eq!(world.store.stats().commits - before, 1);
        }
        let mut read: Vec<Served> = Vec::new();
        loop {
            let after = read.last().map(|it| (it.target.as_str(), it.address));
            let page = world.store.observations(after, 200).await.unwrap();
            if page.is_empty() {
                break;
            }
            read.extend(page.into_iter().map(|it| it.served));
        }
        assert_eq!(read.len(), 900);
        assert!(read.iter().all(|it| it.samples == 2));
    }
}

both! {
    async fn the_memory_of_changes_is_bounded(world: World) {
        for n in 0..120 {
            let verdict = if n % 2 == 0 { Verdict::Ok } else { Verdict::TcpRefused };
            world.store.write(pass("a.lan", vec![served("a.lan:443", FOUR, verdict, minute(n))])).await.unwrap();
        }
        let changes = world.store.observation_changes("a.lan:443", 1_000).await.unwrap();
        assert_eq!((changes.len(), changes[0].at), (51, minute(119)));
    }
}

both! {
    async fn a_probe_learns_of_a_serial_whose_it_is_and_what_took_its_place(world: World) {
        let account = world.account().await;
        let (_, old) = world.issued(&account, &["a.lan", "b.lan"]).await;
        let known = world.store.issued(&old.serial).await.unwrap().unwrap();
        assert_eq!((known.names.as_str(), known.account.as_ref()), ("a.lan,b.lan", Some(&account.id)));
        assert!(known.successor.is_none() && known.revoked_at.is_none());
        let (_, new) = world.issued(&account, &["a.lan", "b.lan"]).await;
        let known = world.store.issued(&old.serial).await.unwrap().unwrap();
        assert_eq!(known.successor.unwrap().serial, new.serial);
        assert!(world.store.issued(&serial()).await.unwrap().is_none());

        let (_, other) = world.issued(&account, &["c.lan"]).await;
        let current = world.store.current("", 10).await.unwrap();
        let serials: Vec<_> = current.iter().map(|it| it.serial.clone()).collect();
        assert_eq!(serials, [new.serial, other.serial]);
        assert_eq!(world.store.current("c.lan", 10).await.unwrap().len(), 1, "from a set of names on");
        assert_eq!(world.store.issuers().await.unwrap().len(), 1);

        let evidence = world.store.last_evidence(&account.id, "a.lan").await.unwrap();
        assert!(evidence.is_some_and(|evidence| !evidence.lookups.is_empty()));
        assert!(world.store.last_evidence(&account.id, "z.lan").await.unwrap().is_none());
    }
}
