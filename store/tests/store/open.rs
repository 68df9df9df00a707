//! What is in the way of opening a store, and that it opens once it is out of the way.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::{Connection as _, SqliteConnection};
use store::{Error, OpenError, Options, Store};

use crate::world::*;

async fn refusal(path: &Path) -> OpenError {
    let options = Options { busy_timeout: Duration::from_millis(50), ..Options::default() };
    let error = Store::open(&format!("sqlite:{}", path.display()), &options).await.unwrap_err();
    assert!(
        error.to_string().contains(path.parent().unwrap().to_str().unwrap()),
        "it names the place: {error}"
    );
    error
}

#[tokio::test]
async fn a_new_file_is_for_its_owner_alone() {
    let world = World::sqlite().await;
    world.account().await;
    let path = world.path.as_ref().unwrap();
    for file in [path.clone(), path.with_extension("db-wal"), path.with_extension("db-shm")] {
        let mode = fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", file.display());
    }
}

#[tokio::test]
async fn a_missing_directory_is_named_and_not_made() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing");
    let error = refusal(&missing.join("ca.db")).await;
    assert_eq!(error.kind(), "no_directory");
    assert!(error.to_string().contains(missing.to_str().unwrap()), "{error}");
    assert!(!missing.exists());
}

#[tokio::test]
async fn a_visitor_makes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ca.db");
    let url = format!("sqlite:{}", path.display());
    assert_eq!(Store::open_existing(&url).await.unwrap_err().kind(), "missing");
    assert!(!path.exists());
}

#[tokio::test]
async fn a_file_without_an_octet_is_a_store_that_was_lost_and_not_a_new_one() {
    let world = World::sqlite().await;
    let account = world.account().await;
    world.store.close().await;
    let path = world.path.as_ref().unwrap();
    let whole = fs::read(path).unwrap();
    fs::write(path, "").unwrap();
    for error in [refusal(path).await, Store::open_existing(&world.url).await.unwrap_err()] {
        assert_eq!(error.kind(), "empty");
        assert!(error.to_string().contains("restore it from a backup, or remove the file"), "{error}");
    }
    assert_eq!(fs::metadata(path).unwrap().len(), 0, "it is left as it was found");

    // What the sentence says: either of them.
    fs::write(path, whole).unwrap();
    let again = world.reopened().await;
    assert_eq!(again.account(&account.id).await.unwrap(), Some(account));
    again.close().await;
    fs::remove_file(path).unwrap();
    world.reopened().await.close().await;
}

both! {
    async fn a_visitor_reads_and_writes_beside_the_server(world: World) {
        let account = world.account().await;
        let visitor = Store::open_existing(&world.url).await.unwrap();
        assert_eq!(visitor.account(&account.id).await.unwrap().as_ref(), Some(&account));
        visitor.write(order(&account, &["a.lan"])).await.unwrap();
        visitor.close().await;
        world.order(&account, &["b.lan"]).await;
        assert_eq!(world.store.orders(now(), 10).await.unwrap().len(), 2);
        world.store.ping().await.unwrap();
    }
}

both! {
    async fn a_schema_of_another_version_is_refused_with_what_to_run(world: World) {
        world.store.close().await;
        world
            .execute(
                "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 SELECT 9000, 'later', success, checksum, 0 FROM _sqlx_migrations WHERE version = 1",
            )
            .await;
        for verdict in [Store::open(&world.url, &Options::default()).await, Store::open_existing(&world.url).await] {
            let error = verdict.unwrap_err();
            assert_eq!(error.kind(), "newer");
            let (begin, end) = ("schema is version 9000, this program knows ", "a newer acme-ca; run that one");
            assert!(error.to_string().contains(begin) && error.to_string().ends_with(end), "{error}");
        }
        world.execute("DELETE FROM _sqlx_migrations").await;
        assert_eq!(Store::open_existing(&world.url).await.unwrap_err().kind(), "older");
    }
}

/// Rows of the first version are there afterwards, and fit.
#[tokio::test]
async fn a_store_of_the_first_version_is_brought_up_to_date_by_its_owner_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ca.db");
    let url = format!("sqlite:{}", path.display());
    let all = sqlx::migrate!("migrations/sqlite");
    let first = all.iter().take(1).cloned().collect::<Vec<_>>();
    let first = Migrator { migrations: first.into(), ..Migrator::DEFAULT };
    let mut connection = SqliteConnection::connect(&format!("{url}?mode=rwc")).await.unwrap();
    first.run_direct(None, &mut connection, false).await.unwrap();
    let account = account();
    sqlx::query("INSERT INTO account VALUES ($1, $2, $3, 'valid', '[]', 1, 5)")
        .bind(account.id.as_str())
        .bind(account.thumbprint.as_str())
        .bind(account.jwk.as_str())
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();

    assert_eq!(Store::open_existing(&url).await.unwrap_err().kind(), "older");
    let store = Store::open(&url, &Options::default()).await.unwrap();
    let kept = store.account(&account.id).await.unwrap().unwrap();
    assert_eq!((kept.thumbprint, kept.external_account), (account.thumbprint, None));
    store.close().await;
    Store::open_existing(&url).await.unwrap().close().await;
}

both! {
    async fn a_schema_that_was_changed_by_hand_is_not_ours(world: World) {
        world.store.close().await;
        world.execute("UPDATE _sqlx_migrations SET checksum = substr(checksum, 2)").await;
        assert_eq!(Store::open(&world.url, &Options::default()).await.unwrap_err().kind(), "foreign");
    }
}

#[tokio::test]
async fn what_is_no_database_or_not_ours_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ca.db");
    let text = "these are the notes of the last meeting\n".repeat(100);
    fs::write(&path, &text).unwrap();
    assert_eq!(refusal(&path).await.kind(), "corrupt");
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    fs::remove_file(&path).unwrap();

    fs::create_dir(&path).unwrap();
    assert_eq!(refusal(&path).await.kind(), "corrupt");
    fs::remove_dir(&path).unwrap();

    let mut other = SqliteConnection::connect(&format!("sqlite:{}?mode=rwc", path.display())).await.unwrap();
    sqlx::query("CREATE TABLE dashboard (id INTEGER)").execute(&mut other).await.unwrap();
    other.close().await.unwrap();
    let before = fs::read(&path).unwrap();
    let error = refusal(&path).await;
    assert!(error.kind() == "foreign" && error.to_string().contains("dashboard"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_damaged_page_is_said_when_it_is_read_and_the_rest_goes_on() {
    let world = World::sqlite().await;
    let account = world.account().await;
    for _ in 0..200 {
        world.order(&account, &["a.lan"]).await;
    }
    let root = world.sql("SELECT CAST(rootpage AS TEXT) FROM sqlite_schema WHERE name = 'authz'").await;
    let order = world.store.orders(now(), 1).await.unwrap().remove(0);
    world.store.close().await;
    let mut octets = fs::read(world.path.as_ref().unwrap()).unwrap();
    let page: usize = root[0].parse().unwrap();
    octets[(page - 1) * 4096..page * 4096].fill(0xa5);
    fs::write(world.path.as_ref().unwrap(), octets).unwrap();

    let again = world.reopened().await;
    let error = again.order_with_authorizations(&order.id).await.unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
    let error = again.write(crate::world::order(&account, &["b.lan"])).await.unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
    assert_eq!(again.orders(now(), 500).await.unwrap().len(), 200, "nothing of the order was kept");
    assert!(again.account(&account.id).await.unwrap().is_some());
    again.close().await;
}

#[tokio::test]
async fn a_file_that_another_program_holds_is_opened_when_it_lets_go() {
    let world = World::sqlite().await;
    world.store.close().await;
    let path = world.path.as_ref().unwrap();
    let mut other = SqliteConnection::connect(&format!("sqlite:{}", path.display())).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    assert_eq!(refusal(path).await.kind(), "locked");
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    world.reopened().await.close().await;
}

#[tokio::test]
async fn a_file_that_may_not_be_written_is_refused_at_once() {
    let directory = tempfile::tempdir().unwrap();
    // Root may write whatever the mode says, so root tries it on a disk that is read-only.
    let disk = Disk::mount(directory.path(), "4m");
    let path = directory.path().join("ca.db");
    let url = format!("sqlite:{}", path.display());
    Store::open(&url, &Options::default()).await.unwrap().close().await;
    let mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    match &disk {
        Some(disk) => disk.remount("ro"),
        None => mode(0o400),
    }
    if disk.is_none() && fs::OpenOptions::new().write(true).open(&path).is_ok() {
        return skipped("a_file_that_may_not_be_written", "this user may write everything and mount nothing");
    }
    let error = refusal(&path).await;
    assert_eq!(error.kind(), "denied", "{error}");
    match &disk {
        Some(disk) => disk.remount("rw"),
        None => mode(0o600),
    }
    Store::open(&url, &Options::default()).await.unwrap().close().await;
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_named_without_its_password() {
    let url = "postgres://ca:s3cret@127.0.0.1:1/ca";
    let error = Store::open(url, &Options::default()).await.unwrap_err();
    assert_eq!(error.kind(), "unreachable");
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
    assert!(!format!("{error} {error:?}").contains("s3cret"));
}

#[tokio::test]
async fn a_database_that_is_not_there_is_missing() {
    let Some(world) = World::postgres("a_database_that_is_not_there").await else { return };
    world.store.close().await;
    drop_database(world.database).await;
    let error = Store::open(&world.url, &Options::default()).await.unwrap_err();
    assert_eq!(error.kind(), "missing", "{error}");
}

#[tokio::test]
async fn a_store_shows_where_it_is() {
    let world = World::sqlite().await;
    assert!(format!("{:?}", world.store).contains(world.path.as_ref().unwrap().to_str().unwrap()));
}
