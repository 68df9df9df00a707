use std::time::{Duration, Instant};

use acme::attention::{fresh_until, silent_from};
use acme::failure::Reason;
use acme::lineage::{Lineage, Mute, Outcome, Revoked, Served};
use acme::renewal::Thresholds;
use acme::time::Timestamp;
use acme::verdict::Verdict;
use store::account::Account;
use store::audit::AuditFilter;
use store::care::{SetCare, Wish};
use store::certificate::Certificate;
use store::issuance::{Issued, PutIssuer};
use store::lineage::{Page, Place, Which};
use store::observation::KeepObservations;
use store::renewal_info::{AskRenewals, RecordPolls};
use store::revocation::{One, Revoke};

use crate::world::*;

fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3_600)
}

/// A certificate that was issued at a moment, for ninety days.
async fn issued_at(world: &World, account: &Account, names: &[&str], at: Timestamp) -> Certificate {
    let order = world.ready_order(account, names).await;
    world.store.write(PutIssuer { issuer: issuer() }).await.unwrap();
    let mut intent = intend(&order.order);
    intent.certificate.created_at = now();
    intent.certificate.not_before = at;
    intent.certificate.not_after = at.plus(hours(90 * 24));
    // The order's authorizations hold now; the rest happens at that moment.
    world.store.write(intent.clone()).await.unwrap();
    world.store.write(Issued { now: at, ..issue(&intent.certificate) }).await.unwrap();
    intent.certificate
}

async fn failed(world: &World, account: &Account, names: &[&str]) {
    let order = world.order(account, names).await;
    world.store.write(invalid(&order.authorizations[0])).await.unwrap();
}

/// Every lineage of a kind, in pages of so many.
async fn every(world: &World, which: Which, at: Timestamp, limit: u32) -> Vec<Lineage> {
    let mut all = Vec::new();
    let mut after: Option<Place> = None;
    loop {
        let Page { lineages, next } = world.store.lineages(which, at, limit, after.as_ref()).await.unwrap();
        // The server's own certificate stands beside a client's for the same names.
        assert!(lineages.len() <= usize::try_from(limit).unwrap() + 1, "pages are bounded");
        all.extend(lineages);
        let Some(next) = next else { return all };
        assert_ne!(after.as_ref(), Some(&next), "each page goes on");
        after = Some(next);
    }
}

/// What one address of a host was seen to serve.
fn seen(host: &str, verdict: Verdict) -> (String, String, Vec<Served>) {
    let served = Served {
        target: format!("{host}:443"),
        address: Some("10.0.0.1:443".parse().unwrap()),
        verdict,
        since: now(),
        at: now(),
        samples: 1,
        serial: None,
        spki: None,
        not_after: None,
        product: None,
        detail: "it was seen".into(),
    };
    (format!("{host}:443"), host.to_owned(), vec![served])
}

async fn attention(world: &World, at: Timestamp) -> Vec<String> {
    let mut keys: Vec<String> =
        every(world, Which::Attention, at, 3).await.iter().map(Lineage::key).collect();
    keys.sort();
    keys
}

async fn one(world: &World, names: &str, at: Timestamp) -> Lineage {
    let mut found = world.store.lineages_of(names, at).await.unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

both! {
    async fn a_certificate_needs_attention_when_it_may_not_be_fresh_and_until_it_has_a_successor(world: World) {
        let account = world.account().await;
        let old = issued_at(&world, &account, &["a.lan"], now()).await;
        let due = fresh_until(&old.facts());
        assert!(due > day(54) && due < day(60), "{due}");
        assert_eq!(attention(&world, due.minus(hours(1))).await, [""; 0]);
        assert_eq!(attention(&world, due).await, ["a.lan"]);
        issued_at(&world, &account, &["a.lan"], day(58)).await;
        assert_eq!(attention(&world, day(60)).await, [""; 0], "it was renewed");
        let new = issued_at(&world, &account, &["b.lan"], now()).await;
        assert_eq!(attention(&world, day(70)).await, ["b.lan"]);
        let audit = event("certificate-revoked");
        let certificates = vec![One { serial: new.serial, reason: acme::revocation::Reason::Superseded, audit }];
        world.store.write(Revoke { certificates, blocked: None, at: day(1) }).await.unwrap();
        assert_eq!(attention(&world, day(70)).await, [""; 0], "a revoked one is not expected to be renewed");
        assert_eq!(one(&world, "b.lan", day(70)).await.current, None);
    }
}

both! {
    async fn what_serves_the_wrong_thing_needs_attention_however_fresh_it_is(world: World) {
        let account = world.account().await;
        issued_at(&world, &account, &["a.lan", "b.lan"], now()).await;
        issued_at(&world, &account, &["c.lan"], now()).await;
        issued_at(&world, &account, &["d.lan"], now()).await;
        let targets = vec![
            seen("a.lan", Verdict::FallbackCert),
            seen("b.lan", Verdict::FallbackCert),
            seen("c.lan", Verdict::Ok),
            seen("d.lan", Verdict::StaleNotReloaded),
        ];
        world.store.write(KeepObservations { targets, all: None }).await.unwrap();
        let both = acme::lineage::key(&["a.lan".to_owned(), "b.lan".to_owned()]);
        assert_eq!(attention(&world, day(1)).await, [both.as_str(), "d.lan"], "each once");
    }
}

both! {
    async fn a_wildcard_is_served_where_the_operator_named_hosts_below_it(world: World) {
        let account = world.account().await;
        for names in [&["*.wild.lan", "own.wild.lan"][..], &["*.calm.lan"], &["deep.wild.lan"]] {
            issued_at(&world, &account, names, now()).await;
        }
        let targets = vec![
            seen("a.wild.lan", Verdict::FallbackCert),
            seen("own.wild.lan", Verdict::Ok),
            seen("x.deep.wild.lan", Verdict::FallbackCert),
            seen("wild.lan", Verdict::FallbackCert),
            seen("a.calm.lan", Verdict::Ok),
        ];
        world.store.write(KeepObservations { targets, all: None }).await.unwrap();
        let both = acme::lineage::key(&["*.wild.lan".to_owned(), "own.wild.lan".to_owned()]);
        assert_eq!(attention(&world, now()).await, [both]);
        let served = one(&world, "*.wild.lan,own.wild.lan", now()).await.served;
        let hosts: Vec<&str> = served.iter().map(Served::host).collect();
        assert_eq!(hosts, ["a.wild.lan", "own.wild.lan"], "one label, and each host once");
    }
}

both! {
    async fn what_is_revoked_needs_attention_while_it_is_served_and_nothing_speaks_for_it(world: World) {
        let account = world.account().await;
        let mut certificates = Vec::new();
        for name in ["gone.lan", "quiet.lan", "served.lan", "wide.lan"] {
            let serial = issued_at(&world, &account, &[name], now()).await.serial;
            let audit = event("certificate-revoked");
            certificates.push(One { serial, reason: acme::revocation::Reason::Superseded, audit });
        }
        issued_at(&world, &account, &["wide.lan", "wider.lan"], now()).await;
        let served = certificates[2].serial.clone();
        world.store.write(Revoke { certificates, blocked: None, at: day(1) }).await.unwrap();
        let targets = vec![
            seen("gone.lan", Verdict::TcpRefused),
            seen("served.lan", Verdict::RevokedServed),
            seen("wide.lan", Verdict::RevokedServed),
        ];
        world.store.write(KeepObservations { targets, all: None }).await.unwrap();
        let wide = acme::lineage::key(&["wide.lan".to_owned(), "wider.lan".to_owned()]);
        assert_eq!(attention(&world, day(2)).await, ["served.lan", wide.as_str()]);
        let lineage = one(&world, "served.lan", day(2)).await;
        assert_eq!(lineage.revoked, Some(Revoked { serial: served, at: day(1) }));
        assert_eq!((lineage.current, lineage.served.len()), (None, 1));
        issued_at(&world, &account, &["served.lan"], day(2)).await;
        assert_eq!(one(&world, "served.lan", day(3)).await.revoked, None, "another one took its place");
    }
}

both! {
    async fn what_the_operator_wants_renewed_needs_attention_from_then_on(world: World) {
        let account = world.account().await;
        let certificate = issued_at(&world, &account, &["a.lan"], now()).await;
        let window = acme::renewal_info::Window { start: day(3), end: day(4) };
        let wishes = vec![(certificate.serial.clone(), window, event("renewal-asked"))];
        world.store.write(AskRenewals { wishes }).await.unwrap();
        assert_eq!(attention(&world, day(3).minus(hours(1))).await, [""; 0]);
        assert_eq!(attention(&world, day(3)).await, ["a.lan"]);
        let polls = vec![(certificate.serial, day(4))];
        world.store.write(RecordPolls { polls, downloads: Vec::new() }).await.unwrap();
        assert_eq!(attention(&world, day(4)).await, ["a.lan"], "a poll alone renews nothing");
        assert_eq!(one(&world, "a.lan", day(4)).await.current.unwrap().window, window);
    }
}

both! {
    async fn a_client_that_falls_silent_needs_attention_by_its_own_habits(world: World) {
        let account = world.account().await;
        let certificate = issued_at(&world, &account, &["a.lan"], now()).await;
        let poll = async |at: Timestamp| {
            let polls = vec![(certificate.serial.clone(), at)];
            world.store.write(RecordPolls { polls, downloads: Vec::new() }).await.unwrap();
        };
        for turn in 1..=10 {
            poll(now().plus(hours(24 * turn))).await;
        }
        let lineage = one(&world, "a.lan", day(11)).await;
        assert_eq!((lineage.polled_at, lineage.polled_every), (Some(day(10)), Some(hours(24))));
        let silent = silent_from(day(10), lineage.polled_every);
        assert_eq!(silent, day(13));
        assert_eq!(attention(&world, silent.minus(hours(1))).await, [""; 0]);
        assert_eq!(attention(&world, silent).await, ["a.lan"]);
        poll(day(20)).await;
        assert_eq!(attention(&world, day(21)).await, [""; 0], "it is back");
        let learnt = one(&world, "a.lan", day(21)).await.polled_every.unwrap();
        assert_eq!(learnt, hours(36), "one outage does not change what is known of it by much");
        poll(day(20).plus(Duration::from_secs(60))).await;
        assert_eq!(one(&world, "a.lan", day(21)).await.polled_every, Some(learnt), "nor does trying again at once");

        // The next certificate begins with it, whether or not anybody asks about that one.
        let next = issued_at(&world, &account, &["a.lan"], now()).await;
        let lineage = one(&world, "a.lan", day(1)).await;
        assert_eq!(lineage.polled_every, Some(learnt));
        assert_eq!(lineage.polled_at, Some(day(20).plus(Duration::from_secs(60))), "of any of its certificates");
        assert_eq!(lineage.current.unwrap().serial, next.serial);
        let silent = now().plus(learnt * 3);
        assert_eq!(attention(&world, silent.minus(hours(1))).await, [""; 0]);
        assert_eq!(attention(&world, silent).await, ["a.lan"]);
    }
}

both! {
    async fn a_client_that_comes_every_day_is_missed_after_two(world: World) {
        let account = world.account().await;
        issued_at(&world, &account, &["a.lan"], now().minus(hours(24))).await;
        issued_at(&world, &account, &["a.lan"], now()).await;
        assert_eq!(attention(&world, day(2).minus(hours(1))).await, [""; 0]);
        assert_eq!(attention(&world, day(2)).await, ["a.lan"]);
    }
}

/// What the migration says of certificates that there are already.
fn upgrade() -> impl Iterator<Item = &'static str> {
    let text = include_str!("../../migrations/sqlite/0011_lineages.sql");
    text.split(";\n").map(str::trim).filter(|statement| statement.starts_with("UPDATE"))
}

both! {
    async fn certificates_from_before_an_upgrade_are_looked_at_in_time(world: World) {
        let account = world.account().await;
        let mut known = Vec::new();
        for (number, life) in [1, 5, 7, 9, 12, 29, 45, 90, 400, 3_650].into_iter().enumerate() {
            let name = format!("n{number}.lan");
            let order = world.ready_order(&account, &[&name]).await;
            world.store.write(PutIssuer { issuer: issuer() }).await.unwrap();
            let mut intent = intend(&order.order);
            intent.certificate.not_after = day(life);
            world.store.write(intent.clone()).await.unwrap();
            world.store.write(issue(&intent.certificate)).await.unwrap();
            known.push((name, fresh_until(&intent.certificate.facts())));
        }
        world.execute("UPDATE certificate SET fresh_until = NULL, attention_at = NULL").await;
        assert_eq!(upgrade().count(), 3);
        for statement in upgrade() {
            world.execute(statement).await;
        }
        for (name, until) in known {
            assert!(attention(&world, until).await.contains(&name), "{name}");
        }
        assert_eq!(attention(&world, now().plus(hours(5))).await, [""; 0]);
    }
}

both! {
    async fn an_issuance_tells_all_of_this_without_a_statement_more(world: World) {
        let account = world.account().await;
        let first = issued_at(&world, &account, &["a.lan"], now()).await;
        let polls = [(first.serial.clone(), day(1)), (first.serial, day(2))];
        for poll in polls {
            world.store.write(RecordPolls { polls: vec![poll], downloads: Vec::new() }).await.unwrap();
        }
        let before = world.store.stats();
        let order = world.order(&account, &["a.lan"]).await;
        world.store.write(valid(&order.authorizations[0])).await.unwrap();
        let intent = intend(&order.order);
        world.store.write(intent.clone()).await.unwrap();
        world.store.write(issue(&intent.certificate)).await.unwrap();
        let after = world.store.stats();
        assert_eq!((after.commits - before.commits, after.statements - before.statements), (4, 12));
        assert_eq!(one(&world, "a.lan", day(3)).await.polled_every, Some(hours(24)));
    }
}

both! {
    async fn the_first_download_is_kept_with_the_polls_of_its_minute(world: World) {
        let account = world.account().await;
        let (_, certificate) = world.issued(&account, &["a.lan"]).await;
        assert_eq!(one(&world, "a.lan", now()).await.current.unwrap().downloaded_at, None);
        let before = world.store.stats();
        for hour in [2, 3] {
            let signs = vec![(certificate.serial.clone(), now().plus(hours(hour)))];
            world.store.write(RecordPolls { polls: signs.clone(), downloads: signs }).await.unwrap();
        }
        let after = world.store.stats();
        assert_eq!((after.commits - before.commits, after.statements - before.statements), (2, 4));
        let lineage = one(&world, "a.lan", day(1)).await;
        assert_eq!(lineage.current.unwrap().downloaded_at, Some(now().plus(hours(2))));
        assert_eq!(lineage.polled_at, Some(now().plus(hours(3))));
    }
}

both! {
    async fn a_lineage_tells_its_last_attempt_and_how_often_it_failed_since_it_was_issued(world: World) {
        let account = world.account().await;
        failed(&world, &account, &["a.lan", "b.lan"]).await;
        issued_at(&world, &account, &["a.lan", "b.lan"], now()).await;
        let lineage = one(&world, "a.lan,b.lan", now()).await;
        assert_eq!(lineage.names, ["a.lan", "b.lan"]);
        assert_eq!(lineage.attempt.as_ref().unwrap().outcome, Outcome::Issued);
        assert_eq!((lineage.failures.count, lineage.failures.since), (0, None));
        assert_eq!(attention(&world, now()).await, [""; 0], "what failed before is over");

        failed(&world, &account, &["a.lan", "b.lan"]).await;
        failed(&world, &account, &["a.lan", "b.lan"]).await;
        let lineage = one(&world, "a.lan,b.lan", now()).await;
        let attempt = lineage.attempt.clone().unwrap();
        assert_eq!((attempt.outcome, attempt.at), (Outcome::Failed, now()));
        assert_eq!(attempt.failure.unwrap().reason, Reason::Servfail);
        assert_eq!(attempt.problem.unwrap(), problem());
        assert_eq!((lineage.failures.count, lineage.failures.since), (2, Some(now())));
        assert_eq!(attention(&world, now()).await, [lineage.key()], "though its certificate is fresh");
        assert_eq!(attention(&world, day(80)).await.len(), 1, "once, for whatever reasons");
        assert_eq!(lineage.past.len(), 1);
        assert!(lineage.served.is_empty());

        world.order(&account, &["a.lan", "b.lan"]).await;
        let open = one(&world, "a.lan,b.lan", now()).await.attempt.unwrap();
        assert_eq!((open.outcome, open.failure), (Outcome::Open, None));
        assert_eq!(one(&world, "a.lan,b.lan", day(8)).await.attempt.unwrap().outcome, Outcome::Failed, "left lying");
    }
}

both! {
    async fn names_that_never_got_a_certificate_are_there_for_a_month(world: World) {
        let account = world.account().await;
        failed(&world, &account, &["never.lan"]).await;
        issued_at(&world, &account, &["z.lan"], now()).await;
        let all = every(&world, Which::All, day(1), 1).await;
        assert_eq!(all.iter().map(Lineage::key).collect::<Vec<_>>(), ["never.lan", "z.lan"]);
        assert_eq!((all[0].current.as_ref(), all[0].failures.count), (None, 1));
        assert_eq!(attention(&world, day(1)).await, ["never.lan"]);
        assert_eq!(every(&world, Which::All, day(31), 5).await.len(), 1);
        let ending = every(&world, Which::EndingBefore(day(91)), day(1), 1).await;
        assert_eq!(ending.iter().map(Lineage::key).collect::<Vec<_>>(), ["z.lan"]);
        assert_eq!(every(&world, Which::EndingBefore(day(89)), day(1), 1).await.len(), 0);
        assert_eq!(world.store.count_lineages().await.unwrap(), 1);
    }
}

both! {
    async fn the_past_is_that_of_the_same_client_the_newest_first(world: World) {
        let (account, other) = (world.account().await, world.account().await);
        for hour in 1..=8 {
            issued_at(&world, &account, &["a.lan"], now().plus(hours(hour))).await;
        }
        issued_at(&world, &other, &["a.lan"], now().plus(hours(9))).await;
        issued_at(&world, &account, &["a.lan"], now().plus(hours(10))).await;
        let past = one(&world, "a.lan", day(1)).await.past;
        let issued: Vec<_> = past.iter().map(|past| past.issued_at.seconds_since(now()) / 3_600).collect();
        assert_eq!(issued, [10, 8, 7, 6, 5, 4]);
    }
}

both! {
    async fn the_servers_own_certificate_is_a_lineage_of_its_own(world: World) {
        let account = world.account().await;
        world.issued(&account, &["ca.lan"]).await;
        let intent = intend_own("ca.lan");
        world.store.write(intent.clone()).await.unwrap();
        world.store.write(issue(&intent.certificate)).await.unwrap();
        let both = world.store.lineages_of("ca.lan", now()).await.unwrap();
        assert_eq!(both.iter().map(|lineage| lineage.is_own).collect::<Vec<_>>(), [false, true]);
        assert!(both[0].attempt.is_some() && both[1].attempt.is_none());
        assert_eq!(every(&world, Which::All, now(), 1).await.len(), 2);
    }
}

both! {
    async fn a_name_is_found_alone_and_among_others(world: World) {
        let account = world.account().await;
        world.issued(&account, &["a.lan", "b.lan"]).await;
        world.issued(&account, &["b.lan"]).await;
        world.issued(&account, &["bb.lan"]).await;
        failed(&world, &account, &["b.lan", "c.lan"]).await;
        let found = world.store.lineages_with_name("b.lan", now(), 10).await.unwrap();
        let sets: Vec<String> = found.iter().map(|lineage| lineage.names.join(",")).collect();
        assert_eq!(sets, ["b.lan", "a.lan,b.lan", "b.lan,c.lan"]);
        assert_eq!(world.store.lineages_with_name("%.lan", now(), 10).await.unwrap(), []);
    }
}

both! {
    async fn the_operators_word_is_kept_with_its_trail_and_an_order_takes_forgetting_back(world: World) {
        let account = world.account().await;
        issued_at(&world, &account, &["a.lan"], now()).await;
        let say = async |subject: &str, wish: Wish| {
            let audit = event("care-changed");
            let id = audit.id.clone();
            world.store.write(SetCare { subject: subject.into(), wish, audit }).await.unwrap();
            let trail = world.store.audit(&AuditFilter::default(), 1).await.unwrap();
            assert_eq!(trail[0].id, id);
        };
        let thresholds = Thresholds { warn: 0.7, critical: 0.905 };
        let mute = Mute { until: day(7), reason: "being moved".into() };
        say("*.lan", Wish::Owner(Some("infra".into()))).await;
        say("a.lan", Wish::Thresholds(Some(thresholds))).await;
        say("a.lan", Wish::Mute(Some(mute.clone()))).await;
        say("a.lan", Wish::Forget(Some(day(1)))).await;
        let care = one(&world, "a.lan", day(1)).await.care;
        assert_eq!(care.owner.as_deref(), Some("infra"));
        assert_eq!((care.thresholds, care.muted), (Some(thresholds), Some(mute)));
        assert_eq!(care.forgotten_at, Some(day(1)));
        say("a.lan", Wish::Mute(None)).await;
        say("a.lan", Wish::Thresholds(None)).await;
        say("*.lan", Wish::Owner(None)).await;
        let care = one(&world, "a.lan", day(1)).await.care;
        assert_eq!((care.owner, care.thresholds, care.muted), (None, None, None));

        // Orders of this world are made at its beginning.
        say("a.lan", Wish::Forget(Some(now()))).await;
        assert_eq!(one(&world, "a.lan", day(1)).await.care.forgotten_at, Some(now()));
        say("a.lan", Wish::Forget(Some(now().minus(hours(1))))).await;
        assert_eq!(one(&world, "a.lan", day(1)).await.care.forgotten_at, None, "it was ordered later");
    }
}

both! {
    async fn who_wants_to_look_early_is_shown_early(world: World) {
        let account = world.account().await;
        for names in [&["a.lan"][..], &["a.lan", "b.lan"], &["x.c.lan"], &["d.lan"]] {
            issued_at(&world, &account, names, now()).await;
        }
        for subject in ["a.lan", "*.c.lan"] {
            let wish = Wish::Thresholds(Some(Thresholds { warn: 0.5, critical: 0.6 }));
            let change = SetCare { subject: subject.into(), wish, audit: event("care-changed") };
            world.store.write(change).await.unwrap();
        }
        assert_eq!(attention(&world, day(44)).await, [""; 0]);
        assert_eq!(every(&world, Which::Attention, day(46), 1).await.len(), 3);
        failed(&world, &account, &["a.lan"]).await;
        assert_eq!(every(&world, Which::Attention, day(29), 1).await.len(), 1);
        assert_eq!(every(&world, Which::Attention, day(80), 1).await.len(), 4, "each once");
    }
}

both! {
    async fn what_happened_lately_is_told_with_its_reasons(world: World) {
        let account = world.account().await;
        failed(&world, &account, &["a.lan", "b.lan"]).await;
        world.issued(&account, &["c.lan"]).await;
        let recent = world.store.recent(now(), 10).await.unwrap();
        assert_eq!(recent.failed.len(), 1);
        assert_eq!(recent.failed[0].names, ["a.lan", "b.lan"]);
        assert_eq!(recent.failed[0].failure.as_ref().unwrap().reason, Reason::Servfail);
        assert_eq!(recent.issued.iter().map(|order| order.names.clone()).collect::<Vec<_>>(), [["c.lan"]]);
        let later = world.store.recent(now().plus(hours(1)), 10).await.unwrap();
        assert_eq!((later.failed.len(), later.issued.len()), (0, 0));
        failed(&world, &account, &["d.lan"]).await;
        assert_eq!(world.store.recent(now(), 1).await.unwrap().failed[0].names, ["d.lan"], "the newest");
    }
}

both! {
    async fn a_scan_of_a_hundred_thousand_reads_what_needs_attention_and_little_else(world: World) {
        const ATTENTION: usize = 1_000;
        world.store.write(PutIssuer { issuer: issuer() }).await.unwrap();
        // One in a hundred is past its window; each was renewed once.
        world.execute(
            "WITH RECURSIVE n (i) AS (SELECT 100000 UNION ALL SELECT i + 1 FROM n WHERE i < 199999),
                  g (g) AS (SELECT 4 UNION ALL SELECT 5)
             INSERT INTO certificate (serial, purpose, names, issuer, spki, status, der, not_before, not_after,
                                      created_at, issued_at, superseded_by, fresh_until, attention_at)
             SELECT CAST(g AS TEXT) || '0' || CAST(i AS TEXT), 'acme', 'n' || CAST(i AS TEXT) || '.lan', 'a1b2c3d4',
                    (SELECT certificate FROM issuer), 'issued',
                    (SELECT certificate FROM issuer),
                    1790000000, 1797776000, 1790000000, 1790000000,
                    CASE WHEN g = 4 THEN '50' || CAST(i AS TEXT) END,
                    1795000000, CASE WHEN i % 100 = 0 THEN 1790000100 ELSE 1795000000 END
             FROM n CROSS JOIN g",
        )
        .await;
        world.execute("ANALYZE").await;
        let all = Instant::now();
        let mut seen = Vec::new();
        let mut after = None;
        let mut pages = 0;
        loop {
            let page = world.store.attention(day(1), 200, after.as_ref()).await.unwrap();
            assert!(page.lineages.len() <= 200, "a page is bounded");
            pages += 1;
            seen.extend(page.lineages.into_iter().map(|lineage| lineage.key()));
            let Some(next) = page.next else { break };
            after = Some(next);
        }
        let took = all.elapsed();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), ATTENTION);
        // The last ones of certificates, of failures, of early ones, and of what is served.
        assert_eq!(pages, ATTENTION / 200 + 4);
        let counting = Instant::now();
        assert_eq!(world.store.count_lineages().await.unwrap(), 100_000);
        println!(
            "a scan of 100 000 certificates, 1 000 of which need attention: {took:?} in {pages} pages; counting: {:?}",
            counting.elapsed()
        );
        // Without optimization, on a machine that is busy with the tests beside this one.
        assert!(took < Duration::from_secs(10), "{took:?}");
    }
}
