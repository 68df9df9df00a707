//! Whether changes reach the disk, as the store says it to who asks for its health.

use std::time::{Duration, Instant};

use acme::challenge::Type;
use sqlx::{Connection as _, SqliteConnection};
use store::authorization::AcceptChallenge;
use store::issuance::PutIssuer;
use store::{Error, Options, Store};

use crate::world::*;

/// Waits until it is well, while nobody writes.
async fn turns_well(store: &Store) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while let Err(unwritable) = store.check_writable().await {
        assert!(Instant::now() < deadline, "{unwritable:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// So long that a probe was repeated.
async fn stays_ill(store: &Store, is_so: impl Fn(&Error) -> bool) {
    let until = Instant::now() + Duration::from_millis(4_500);
    while Instant::now() < until {
        let unwritable = store.check_writable().await.unwrap_err();
        assert!(is_so(&unwritable.error), "{unwritable:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_another_program_holds_is_told_while_it_lasts() {
    let options = Options { busy_timeout: Duration::from_millis(50), ..Options::default() };
    let world = World::sqlite_with(&options).await;
    let account = world.account().await;
    world.store.check_writable().await.unwrap();
    let url = format!("sqlite:{}", world.path.as_ref().unwrap().display());
    let mut other = SqliteConnection::connect(&url).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let began = Instant::now();
    world.store.write(order(&account, &["a.lan"])).await.unwrap_err();
    world.store.ping().await.expect("reading goes on");
    stays_ill(&world.store, |error| matches!(error, Error::Busy { .. })).await;
    let unwritable = world.store.check_writable().await.unwrap_err();
    assert!(unwritable.lasted > Duration::from_secs(4) && unwritable.lasted <= began.elapsed());
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    turns_well(&world.store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_is_kept_says_that_all_is_well_again() {
    let options = Options { busy_timeout: Duration::from_millis(50), ..Options::default() };
    let world = World::sqlite_with(&options).await;
    let account = world.account().await;
    let url = format!("sqlite:{}", world.path.as_ref().unwrap().display());
    let mut other = SqliteConnection::connect(&url).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    world.store.write(order(&account, &["a.lan"])).await.unwrap_err();
    // The probe that fails now is not repeated for a while.
    world.store.check_writable().await.unwrap_err();
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    world.store.check_writable().await.unwrap_err();
    world.order(&account, &["a.lan"]).await;
    world.store.check_writable().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_told_until_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::mount(directory.path(), "2m") else {
        return skipped("a_full_disk_is_told", "this user may not mount a small disk");
    };
    let path = directory.path().join("ca.db");
    let url = format!("sqlite:{}", path.display());
    let store = Store::open(&url, &Options::default()).await.unwrap();
    let world = World::at(store, url, path);
    let account = world.account().await;
    let ballast = directory.path().join("ballast");
    // It ends with the room.
    std::fs::write(&ballast, vec![0; 4 << 20]).unwrap_err();
    let full = |error: &Error| matches!(error, Error::Full { .. });
    let error = world.store.write(order(&account, &["a.lan"])).await.unwrap_err();
    assert!(full(&error), "{error}");
    stays_ill(&world.store, full).await;
    std::fs::remove_file(ballast).unwrap();
    turns_well(&world.store).await;
    world.order(&account, &["a.lan"]).await;
    world.store.close().await;
    drop(disk);
}

both! {
    async fn a_change_that_does_not_fit_says_nothing_of_the_store(world: World) {
        let account = world.account().await;
        let order = world.order(&account, &["a.lan"]).await;
        let (authorization, thumbprint) = (order.links[0].clone(), String::from("of the key of then"));
        let accept = AcceptChallenge { authorization, challenge: Type::Http01, thumbprint, now: now() };
        world.store.write(accept.clone()).await.unwrap();
        let error = world.store.write(accept).await.unwrap_err();
        assert!(matches!(error, Error::Conflict { .. }), "{error}");
        world.store.check_writable().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_takes_nothing_is_told_until_it_does() {
    let Some(world) = World::postgres("a_cluster_that_takes_nothing").await else { return };
    let account = world.account().await;
    world.store.write(PutIssuer { issuer: issuer() }).await.unwrap();
    set_read_only(&world, true).await;
    let deadline = Instant::now() + Duration::from_secs(20);
    // The connections that were ended are met first.
    while !matches!(world.store.write(order(&account, &["a.lan"])).await, Err(Error::ReadOnly { .. })) {
        assert!(Instant::now() < deadline);
    }
    world.store.ping().await.expect("reading goes on");
    stays_ill(&world.store, |error| matches!(error, Error::ReadOnly { .. })).await;
    set_read_only(&world, false).await;
    turns_well(&world.store).await;
    drop_database(world.database.clone()).await;
}

/// For the connections that are made from now on; those that are there are ended.
async fn set_read_only(world: &World, on: bool) {
    let set = match on {
        true => {
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$"
        }
        false => {
            "SET TRANSACTION READ WRITE; DO $$ BEGIN EXECUTE format('ALTER DATABASE %I RESET default_transaction_read_only', current_database()); END $$"
        }
    };
    world.execute_raw(set).await;
    world
        .execute_raw("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
        .await;
}

both! {
    async fn the_room_is_that_of_the_files_disk(world: World) {
        let room = world.store.room();
        assert_eq!(room.is_some(), world.path.is_some(), "PostgreSQL's disk is its own server's business");
        assert!(room.is_none_or(|room| room.free <= room.whole && room.whole > 0), "{room:?}");
    }
}
