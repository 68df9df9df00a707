//! How changes share commits, and what they do to each other.

use std::time::Duration;

use acme::challenge::Type;
use acme::id::{AuthorizationId, ID_RANDOM};
use sqlx::{Connection as _, SqliteConnection};
use store::authorization::AcceptChallenge;
use store::certificate::CertificateStatus;
use store::issuance::PutIssuer;
use store::order::CreateOrder;
use store::{Change, Error, Options, Store, Tx};

use crate::world::*;

/// Starts all the changes, and only then lets the writer begin: `plug` is the first, the others share what is left.
async fn together<C: Change>(
    world: &World,
    plug: CreateOrder,
    changes: Vec<C>,
) -> Vec<Result<C::Outcome, Error>> {
    let mut blocker = None;
    if let Some(path) = &world.path {
        let mut c = SqliteConnection::connect(&format!("sqlite:{}", path.display())).await.unwrap();
        sqlx::query("BEGIN IMMEDIATE").execute(&mut c).await.unwrap();
        blocker = Some(c);
    }
    let store = world.store.clone();
    let plug = tokio::spawn(async move { store.write(plug).await });
    let mut tasks = Vec::new();
    for change in changes {
        let store = world.store.clone();
        let mut write = Box::pin(async move { store.write(change).await });
        // One poll puts it into the queue.
        tokio::select! {
            biased;
            _ = &mut write => panic!("it cannot be done while another holds the lock"),
            () = std::future::ready(()) => {}
        }
        tasks.push(tokio::spawn(write));
    }
    if let Some(mut c) = blocker {
        sqlx::query("ROLLBACK").execute(&mut c).await.unwrap();
    }
    plug.await.unwrap().unwrap();
    let mut verdicts = Vec::new();
    for task in tasks {
        verdicts.push(task.await.unwrap());
    }
    verdicts
}

fn accept(order: &CreateOrder) -> AcceptChallenge {
    let (authorization, thumbprint) = (order.links[0].clone(), "of the key of then".into());
    AcceptChallenge { authorization, challenge: Type::Http01, thumbprint, now: now() }
}

both! {
    async fn a_change_that_fails_half_way_leaves_nothing_of_itself_and_all_of_its_neighbours(world: World) {
        let account = world.account().await;
        let mut changes: Vec<CreateOrder> = (0..10).map(|_| order(&account, &["a.lan", "b.lan"])).collect();
        // The order and its authorizations go in, then the link to nothing is refused.
        changes[4].links.push(AuthorizationId::mint(now(), [0xff; ID_RANDOM]));
        let verdicts = together(&world, order(&account, &["plug.lan"]), changes.clone()).await;
        for (n, (change, verdict)) in changes.iter().zip(&verdicts).enumerate() {
            let kept = world.store.order_with_authorizations(&change.order.id).await.unwrap();
            match n {
                4 => {
                    assert!(matches!(verdict, Err(Error::Constraint { .. })), "{verdict:?}");
                    assert_eq!(kept, None);
                }
                _ => assert_eq!((verdict, kept.unwrap().1.len()), (&Ok(Vec::new()), 2)),
            }
        }
        assert_eq!((world.count("authz").await, world.count("order_authz").await), (1 + 9 * 2, 1 + 9 * 2));
    }
}

both! {
    async fn of_two_changes_that_meet_one_is_a_conflict_and_no_neighbour_notices(world: World) {
        let account = world.account().await;
        let mut changes = Vec::new();
        for _ in 0..6 {
            let order = world.order(&account, &["a.lan"]).await;
            changes.push(accept(&order));
        }
        changes.push(changes[0].clone());
        let before = world.store.stats();
        let verdicts = together(&world, order(&account, &["plug.lan"]), changes).await;
        let refused = verdicts.iter().filter(|v| matches!(v, Err(Error::Conflict { .. }))).count();
        let made = verdicts.iter().filter(|v| v.is_ok()).count();
        assert_eq!((made, refused), (6, 1));
        let after = world.store.stats();
        assert_eq!(after.changes - before.changes, 7);
        if world.path.is_some() {
            assert!(after.commits - before.commits <= 2, "a conflict does not split what is shared");
        }
    }
}

both! {
    async fn a_conflict_that_is_found_half_way_undoes_the_half_that_was_done(world: World) {
        let account = world.account().await;
        world.store.write(PutIssuer { issuer: issuer() }).await.unwrap();
        let mut changes = Vec::new();
        for _ in 0..4 {
            let intent = intend(&world.ready_order(&account, &["a.lan"]).await.order);
            world.store.write(intent.clone()).await.unwrap();
            changes.push(issue(&intent.certificate));
        }
        // The intent is still there, so the first statement succeeds; then the order turns out to have ended.
        changes[1].order = Some(world.order(&account, &["b.lan"]).await.order.id);
        let verdicts = together(&world, order(&account, &["plug.lan"]), changes.clone()).await;
        for (n, (change, verdict)) in changes.iter().zip(&verdicts).enumerate() {
            let kept = world.store.certificate(&change.serial).await.unwrap().unwrap();
            match n {
                1 => {
                    assert!(matches!(verdict, Err(Error::Conflict { what: "order", .. })), "{verdict:?}");
                    assert_eq!((kept.status, kept.der), (CertificateStatus::Intended, None));
                }
                _ => assert_eq!((verdict, kept.status), (&Ok(()), CertificateStatus::Issued)),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_that_wait_share_a_commit() {
    let world = World::sqlite().await;
    let account = world.account().await;
    let changes = (0..64).map(|_| order(&account, &["a.lan"])).collect();
    let before = world.store.stats();
    let verdicts = together(&world, order(&account, &["plug.lan"]), changes).await;
    assert!(verdicts.iter().all(Result::is_ok));
    let after = world.store.stats();
    assert_eq!(after.changes - before.changes, 65);
    assert!(after.commits - before.commits <= 2, "{after:?}");
    assert_eq!(world.count("orders").await, 65);
}

both! {
    async fn eight_tasks_that_read_and_write_never_find_the_store_busy(world: World) {
        let account = world.account().await;
        let other = world.reopened().await;
        let mut tasks = Vec::new();
        for n in 0..8 {
            // Two stores on one database, as a server and a ca-ctl are.
            let store = if n % 2 == 0 { world.store.clone() } else { other.clone() };
            let account = account.clone();
            tasks.push(tokio::spawn(async move {
                for _ in 0..25 {
                    let order = order(&account, &["a.lan"]);
                    store.write(order.clone()).await.unwrap();
                    let (kept, _) = store.order_with_authorizations(&order.order.id).await.unwrap().unwrap();
                    assert_eq!(kept, order.order);
                    store.write(valid(&order.authorizations[0])).await.unwrap();
                    let kept = store.authorization(&order.links[0]).await.unwrap().unwrap();
                    assert!(kept.validated_at.is_some());
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        other.close().await;
        assert_eq!(world.count("orders").await, 200);
    }
}

both! {
    async fn a_change_happens_though_its_caller_goes_away(world: World) {
        let account = world.account().await;
        let order = world.order(&account, &["a.lan"]).await;
        let mut write = Box::pin(world.store.write(accept(&order)));
        tokio::select! {
            biased;
            _ = &mut write => {}
            () = std::future::ready(()) => {}
        }
        drop(write);
        let happened = async {
            while world.store.authorization(&order.links[0]).await.unwrap().unwrap().attempted.is_none() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), happened).await.expect("the change was lost");
    }
}

both! {
    async fn dropping_the_last_handle_makes_what_waits(world: World) {
        let account = world.account().await;
        let again = world.reopened().await;
        let waiting: Vec<CreateOrder> = (0..16).map(|_| order(&account, &["a.lan"])).collect();
        for order in waiting.clone() {
            let mut write = Box::pin(world.store.write(order));
            tokio::select! {
                biased;
                _ = &mut write => {}
                () = std::future::ready(()) => {}
            }
        }
        let mut world = world;
        drop(std::mem::replace(&mut world.store, again.clone()));
        let happened = async {
            while again.orders(now(), 100).await.unwrap().len() < waiting.len() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), happened).await.expect("changes were lost");
        again.close().await;
    }
}

both! {
    async fn closing_makes_what_waits_and_refuses_what_comes(world: World) {
        let account = world.account().await;
        let mut tasks = Vec::new();
        for _ in 0..32 {
            let (store, order) = (world.store.clone(), order(&account, &["a.lan"]));
            tasks.push(tokio::spawn(async move { (store.write(order.clone()).await, order.order.id) }));
        }
        tokio::task::yield_now().await;
        world.store.close().await;
        let late = world.store.write(order(&account, &["b.lan"])).await;
        assert_eq!(late, Err(Error::Closed));
        assert_eq!(world.store.account(&account.id).await, Err(Error::Closed));
        assert_eq!(world.store.ping().await, Err(Error::Closed));
        world.store.close().await;

        if let Some(path) = &world.path {
            let log = std::fs::metadata(path.with_extension("db-wal")).map_or(0, |log| log.len());
            assert_eq!(log, 0, "the log is folded into the file");
        }
        let again = world.reopened().await;
        for task in tasks {
            let (verdict, id) = task.await.unwrap();
            let kept = again.order_with_authorizations(&id).await.unwrap().is_some();
            assert_eq!(verdict.is_ok(), kept, "what was answered is what is kept");
        }
        again.close().await;
    }
}

struct Panics;

impl Change for Panics {
    type Outcome = ();

    async fn apply(&self, _: &mut Tx<'_>) -> Result<(), Error> {
        panic!("a fault of ours");
    }
}

both! {
    async fn a_change_that_panics_does_not_end_the_writer(world: World) {
        let verdict = world.store.write(Panics).await;
        assert!(matches!(verdict, Err(Error::Internal { .. })), "{verdict:?}");
        world.account().await;
        assert_eq!(world.count("account").await, 1);
    }
}

#[tokio::test]
async fn a_transaction_that_is_never_committed_is_never_seen() {
    let world = World::sqlite().await;
    let account = world.account().await;
    let order = world.order(&account, &["a.lan"]).await;
    let url = format!("sqlite:{}", world.path.as_ref().unwrap().display());
    let mut torn = SqliteConnection::connect(&url).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut torn).await.unwrap();
    sqlx::query("DELETE FROM order_authz").execute(&mut torn).await.unwrap();
    let (_, seen) = world.store.order_with_authorizations(&order.order.id).await.unwrap().unwrap();
    assert_eq!(seen.len(), 1);
    drop(torn);
    world.store.write(accept(&order)).await.unwrap();
    let (_, seen) = world.store.order_with_authorizations(&order.order.id).await.unwrap().unwrap();
    assert_eq!(seen.len(), 1);
}

#[tokio::test]
async fn a_lock_that_another_program_holds_is_said_and_passes() {
    let options = Options { busy_timeout: Duration::from_millis(50), ..Options::default() };
    let world = World::sqlite_with(&options).await;
    let account = world.account().await;
    let url = format!("sqlite:{}", world.path.as_ref().unwrap().display());
    let mut other = SqliteConnection::connect(&url).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let refused = world.store.write(order(&account, &["a.lan"])).await.unwrap_err();
    assert!(matches!(refused, Error::Busy { .. }) && refused.is_retryable(), "{refused}");
    assert!(world.store.account(&account.id).await.unwrap().is_some(), "reading goes on");
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    world.order(&account, &["a.lan"]).await;
}

/// Fills the store until it refuses; then nothing is there in part, and what was kept is there.
async fn fill(world: &World) -> usize {
    let account = world.account().await;
    let mut kept = Vec::new();
    let refused = loop {
        assert!(kept.len() < 100_000, "it is never full");
        let orders: Vec<CreateOrder> = (0..8).map(|_| order(&account, &["a.lan", "b.lan"])).collect();
        let mut tasks = Vec::new();
        for order in orders {
            let store = world.store.clone();
            tasks.push(tokio::spawn(async move { (store.write(order.clone()).await, order.order.id) }));
        }
        let mut refused = None;
        for task in tasks {
            match task.await.unwrap() {
                (Ok(_), id) => kept.push(id),
                (Err(error), _) => refused = Some(error),
            }
        }
        if let Some(error) = refused {
            break error;
        }
    };
    assert!(matches!(refused, Error::Full { .. }) && refused.is_retryable(), "{refused:?}");
    let listed = world.store.orders(now(), 200_000).await.unwrap();
    assert_eq!(listed.len(), kept.len(), "what was answered is what is kept");
    for id in &kept {
        let (_, authorizations) = world.store.order_with_authorizations(id).await.unwrap().unwrap();
        assert_eq!(authorizations.len(), 2);
    }
    kept.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_may_not_grow_says_so_and_keeps_nothing_in_part() {
    let options = Options { max_pages: Some(80), ..Options::default() };
    let world = World::sqlite_with(&options).await;
    let kept = fill(&world).await;
    assert!(kept > 0);
    world.store.close().await;
    let again = world.reopened().await;
    let account = account();
    let audit = event("account.created");
    again.write(store::account::CreateAccount { account, audit }).await.unwrap();
    assert_eq!(again.orders(now(), 200_000).await.unwrap().len(), kept);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_says_so_and_the_store_works_again_when_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::mount(directory.path(), "1m") else {
        return skipped("a_full_disk", "this user may not mount a small disk");
    };
    let path = directory.path().join("ca.db");
    let ballast = directory.path().join("ballast");
    std::fs::write(&ballast, vec![0; 200_000]).unwrap();
    let url = format!("sqlite:{}", path.display());
    let store = Store::open(&url, &Options::default()).await.unwrap();
    let world = World::at(store, url, path);
    let kept = fill(&world).await;
    assert!(kept > 0);
    std::fs::remove_file(ballast).unwrap();
    world.account().await;
    assert_eq!(world.store.orders(now(), 200_000).await.unwrap().len(), kept);
    world.store.close().await;
    drop(disk);
}
