//! Opening the store: finding it, bringing its schema up to date, and saying plainly why it cannot be used.

use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqlitePoolOptions};
use sqlx::{ConnectOptions as _, Connection as _};

use crate::error::Error;
use crate::open_error::OpenError;
use crate::store::{Backend, Store};
use crate::writable::SqliteProbe;
use crate::write::Counts;
use crate::writer::Writer;

/// How the store is opened. The defaults are right for a server.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long SQLite waits for a lock that another program holds; 5 seconds.
    pub busy_timeout: Duration,
    /// How many connections read from SQLite; 4.
    pub readers: u32,
    /// How many connections to PostgreSQL there are at most, for reads and writes; 10.
    pub connections: u32,
    /// At most so many pages of 4 KiB; no limit. It lets a test fill the disk.
    #[doc(hidden)]
    pub max_pages: Option<u32>,
}

impl Default for Options {
    fn default() -> Self {
        Self { busy_timeout: Duration::from_secs(5), readers: 4, connections: 10, max_pages: None }
    }
}

/// Whether the store may be made and changed to be opened.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// The server: make it if it is missing, bring its schema up to date.
    Own,
    /// ca-ctl: take it as it is.
    Visit,
}

impl Store {
    /// Opens the store for the server: makes it where it is missing and brings its schema up to date.
    ///
    /// `url` is `sqlite:PATH` or `postgres://…`; there, `?password_file=PATH` names a file with the password, taken
    /// as it stands but for white space at its end.
    ///
    /// # Errors
    /// What is in the way, in a sentence for the operator.
    pub async fn open(url: &str, options: &Options) -> Result<Self, OpenError> {
        open(url, options, Mode::Own).await
    }

    /// Opens a store that exists, without changing its schema: for `ca-ctl`, beside a server or without one.
    ///
    /// # Errors
    /// What is in the way, in a sentence for the operator.
    pub async fn open_existing(url: &str) -> Result<Self, OpenError> {
        // It only asks a little at a time.
        let options = Options { readers: 1, connections: 2, ..Options::default() };
        open(url, &options, Mode::Visit).await
    }
}

async fn open(url: &str, options: &Options, mode: Mode) -> Result<Store, OpenError> {
    match url.split_once(':') {
        Some(("sqlite", rest)) => {
            let path = rest.strip_prefix("//").unwrap_or(rest);
            if path.is_empty() || path.contains('?') || path == ":memory:" {
                let reason = "has no path of a file after sqlite:".into();
                return Err(OpenError::Url { reason });
            }
            open_sqlite(Path::new(path), options, mode).await
        }
        Some(("postgres" | "postgresql", _)) => open_postgres(url, options, mode).await,
        // The URL itself is not shown: a password may stand in it.
        _ => Err(OpenError::Url { reason: "is of no kind that is known".into() }),
    }
}

async fn open_sqlite(path: &Path, options: &Options, mode: Mode) -> Result<Store, OpenError> {
    let location = format!("SQLite file {}", path.display());
    find_file(path, &location, mode)?;

    let connect = sqlite_options(path, options);
    let mut connection = connect.connect().await.map_err(|error| match OpenError::of(&location, error) {
        // The file is there (its descriptor must not be opened here to ask why: closing it would drop the locks
        // of another connection in this process).
        OpenError::Unreachable { location, reason } => OpenError::Denied { location, reason },
        other => other,
    })?;
    let version = sqlite_version(&mut connection, &location).await?;
    if judge(version, known(&SQLITE), mode)? {
        take_up(&mut connection).await.map_err(|error| OpenError::of(&location, error))?;
        SQLITE
            .run_direct(None, &mut connection, false)
            .await
            .map_err(|error| OpenError::of_migration(&location, error))?;
    }
    let reads = SqlitePoolOptions::new()
        .max_connections(options.readers)
        .acquire_timeout(PATIENCE)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_lazy_with(connect.clone().pragma("cache_size", "-1000").pragma("query_only", "ON"));
    let counts = Arc::new(Counts::default());
    let probe = Box::new(SqliteProbe::new(path, connect.clone()));
    let writer = Writer::start(connection, connect, mode == Mode::Own, Arc::clone(&counts))
        .map_err(|error| OpenError::Failed { location: location.clone(), reason: error.to_string() })?;
    Ok(Store::new(Backend::Sqlite { reads, writer, probe }, location, counts))
}

fn find_file(path: &Path, location: &str, mode: Mode) -> Result<(), OpenError> {
    let missing = |reason: &str| OpenError::Missing { location: location.into(), reason: reason.into() };
    let denied =
        |error: io::Error| OpenError::Denied { location: location.into(), reason: error.to_string() };
    match fs::metadata(path) {
        // SQLite takes it for a new database, and throws away the log that lies beside it. But a file that was cut off is
        // a CA that forgot every account and certificate, which must not begin anew without a word.
        Ok(found) if found.is_file() && found.len() == 0 => {
            return Err(OpenError::Empty { location: location.into() });
        }
        Ok(found) if found.is_file() => return Ok(()),
        Ok(_) => {
            let reason = "it is not a file".into();
            return Err(OpenError::Corrupt { location: location.into(), reason });
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(denied(error)),
        Err(_) if mode == Mode::Visit => return Err(missing("does not exist")),
        Err(_) => {}
    }
    // SQLite gives its log the mode of the file, so this is the only place that says who may read.
    match fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(OpenError::NoDirectory { path: path.parent().unwrap_or(Path::new(".")).to_owned() })
        }
        Err(error) if error.kind() == io::ErrorKind::StorageFull => {
            Err(OpenError::Full { location: location.into(), reason: error.to_string() })
        }
        Err(error) => Err(denied(error)),
    }
}

fn sqlite_options(path: &Path, options: &Options) -> SqliteConnectOptions {
    let connect = SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(options.busy_timeout)
        .foreign_keys(true)
        .pragma("synchronous", "FULL")
        .pragma("cache_size", "-2000")
        .pragma("journal_size_limit", LOG_LIMIT)
        .statement_cache_capacity(STATEMENTS)
        .disable_statement_logging();
    match options.max_pages {
        Some(pages) => connect.pragma("max_page_count", pages.to_string()),
        None => connect,
    }
}

/// The version of the schema; 0 for a file that was just made.
async fn sqlite_version(connection: &mut SqliteConnection, location: &str) -> Result<i64, OpenError> {
    let tables: Vec<String> = sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table'")
        .fetch_all(&mut *connection)
        .await
        .map_err(|error| OpenError::of(location, error))?;
    if tables.is_empty() {
        return Ok(0);
    }
    if !tables.iter().any(|name| name == "_sqlx_migrations") {
        let reason = format!("it has a table {}", tables[0]);
        return Err(OpenError::Foreign { location: location.to_owned(), reason });
    }
    sqlx::query_scalar(VERSION)
        .fetch_one(&mut *connection)
        .await
        .map_err(|error| OpenError::of(location, error))
}

/// Turns on the write-ahead log, which stays on, and writes once without keeping it: so a file that cannot be written is
/// found now and not with the first order. The lock alone would not tell: on a file that can only be read, SQLite takes
/// `BEGIN IMMEDIATE` for the beginning of a read.
async fn take_up(connection: &mut SqliteConnection) -> Result<(), Error> {
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode = WAL").fetch_one(&mut *connection).await?;
    if mode != "wal" {
        let reason =
            format!("its file system has no shared memory, so the journal stays {mode}; use a local disk");
        return Err(Error::Internal { reason });
    }
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await?;
    sqlx::query("PRAGMA user_version = 0").execute(&mut *connection).await?;
    sqlx::query("ROLLBACK").execute(&mut *connection).await?;
    Ok(())
}

async fn open_postgres(url: &str, options: &Options, mode: Mode) -> Result<Store, OpenError> {
    let connect = postgres_options(url)?;
    let location = format!(
        "PostgreSQL database {} at {}:{}",
        connect.get_database().unwrap_or("(default)"),
        connect.get_host(),
        connect.get_port()
    );
    // Once without the pool, which would keep what went wrong to itself until its patience ends.
    let first = connect.connect().await.map_err(|error| postgres_failed(&location, error))?;
    first.close().await.map_err(|error| postgres_failed(&location, error))?;
    let pool = PgPoolOptions::new()
        .max_connections(options.connections)
        .acquire_timeout(PATIENCE)
        .test_before_acquire(false)
        // A connection that was idle may have died; one that was just used is trusted, which saves a round trip.
        .before_acquire(|connection, idle| {
            Box::pin(async move {
                if idle.idle_for > TRUSTED {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_with(connect)
        .await
        .map_err(|error| postgres_failed(&location, error))?;
    let version = postgres_version(&pool).await.map_err(|error| OpenError::of(&location, error))?;
    if judge(version, known(&POSTGRES), mode)? {
        POSTGRES.run(&pool).await.map_err(|error| OpenError::of_migration(&location, error))?;
    }
    Ok(Store::new(Backend::Postgres(pool), location, Arc::new(Counts::default())))
}

fn postgres_failed(location: &str, error: sqlx::Error) -> OpenError {
    let is_no_database =
        error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "3D000");
    if is_no_database {
        let reason = "does not exist on that server".into();
        return OpenError::Missing { location: location.to_owned(), reason };
    }
    OpenError::of(location, error)
}

/// Reads the URL; takes `password_file` out of it and reads that file.
fn postgres_options(url: &str) -> Result<PgConnectOptions, OpenError> {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let (files, rest): (Vec<&str>, Vec<&str>) =
        query.split('&').filter(|pair| !pair.is_empty()).partition(|pair| pair.starts_with(PASSWORD_FILE));
    let url = if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) };
    let connect = PgConnectOptions::from_str(&url)
        .map_err(|error| OpenError::Url { reason: format!("cannot be read: {error}") })?
        .application_name("acme-ca")
        .statement_cache_capacity(STATEMENTS)
        .disable_statement_logging();
    let Some(path) = files.first().and_then(|pair| pair.strip_prefix(PASSWORD_FILE)) else {
        return Ok(connect);
    };
    let password = fs::read_to_string(path)
        .map_err(|reason| OpenError::PasswordFile { path: PathBuf::from(path), reason })?;
    Ok(connect.password(password.trim_end()))
}

/// The version of the schema; 0 where there is none yet.
async fn postgres_version(pool: &PgPool) -> Result<i64, Error> {
    let exists: bool =
        sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL").fetch_one(pool).await?;
    if !exists {
        return Ok(0);
    }
    Ok(sqlx::query_scalar(VERSION).fetch_one(pool).await?)
}

/// Whether the schema has to be brought from `found` to `known`, if that may be done at all.
fn judge(found: i64, known: i64, mode: Mode) -> Result<bool, OpenError> {
    match mode {
        _ if found > known => Err(OpenError::Newer { found, known }),
        Mode::Visit if found < known => Err(OpenError::Older { found, known }),
        // Also when they are equal: it then checks that what was applied is what we know.
        mode => Ok(mode == Mode::Own),
    }
}

fn known(migrator: &Migrator) -> i64 {
    migrator.iter().map(|migration| migration.version).max().unwrap_or(0)
}

static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");

const VERSION: &str = "SELECT COALESCE(MAX(version), 0) FROM _sqlx_migrations";
const PASSWORD_FILE: &str = "password_file=";

/// How many prepared statements a connection keeps, so that its memory stays flat.
const STATEMENTS: usize = 64;

/// What is left of SQLite's log after it was folded into the file: 4 MiB.
const LOG_LIMIT: &str = "4194304";

/// How long a request waits for a connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long an idle connection to PostgreSQL is taken to be alive.
const TRUSTED: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_file_is_read_and_leaves_the_url() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        fs::write(&path, "s3cret \n").unwrap();
        let url = format!("postgres://ca@db.lan/ca?password_file={}&sslmode=disable", path.display());
        let options = postgres_options(&url).unwrap();
        assert!(format!("{options:?}").contains("\"s3cret\""), "the password is the file without its end");
        assert_eq!(options.get_database(), Some("ca"));
    }

    #[test]
    fn no_error_about_a_url_repeats_its_password() {
        for url in ["postgres://ca:s3cret@db.lan:port/ca", "mysql://ca:s3cret@db.lan/ca", "s3cret"] {
            let error = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap()
                .block_on(Store::open(url, &Options::default()))
                .unwrap_err();
            assert_eq!(error.kind(), "url");
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
        }
    }

    #[test]
    fn a_missing_password_file_is_named() {
        let error = postgres_options("postgres://ca@db.lan/ca?password_file=/nowhere/pw").unwrap_err();
        assert!(error.to_string().contains("/nowhere/pw"), "{error}");
    }

    #[test]
    fn only_the_owner_changes_a_schema_and_nobody_goes_back() {
        assert!(judge(0, 1, Mode::Own).unwrap());
        assert!(matches!(judge(0, 1, Mode::Visit), Err(OpenError::Older { found: 0, known: 1 })));
        assert!(!judge(1, 1, Mode::Visit).unwrap());
        for mode in [Mode::Own, Mode::Visit] {
            assert!(matches!(judge(3, 1, mode), Err(OpenError::Newer { found: 3, known: 1 })));
        }
    }
}
