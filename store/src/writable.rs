//! Whether changes reach the disk. A database that answers every question may still take no change: another program
//! holds its lock, its disk is full, its file is read-only. Nobody can tell without writing, so what became of the
//! changes is remembered, and only after one failed, and while nobody else tries, a probe writes.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sqlx::postgres::PgPool;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use crate::error::Error;
use crate::room::Room;

/// That no change was kept lately, because of the database and not because of the change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unwritable {
    /// Why the last one was not.
    pub error: Error,
    /// How long ago the first of them failed.
    pub lasted: Duration,
}

/// What became of the last changes. Where all is well, each costs one look at a flag.
#[derive(Default)]
pub(crate) struct Writes {
    is_failing: AtomicBool,
    failing: Mutex<Option<Failing>>,
}

struct Failing {
    error: Error,
    since: Instant,
    probe: Probe,
}

enum Probe {
    Never,
    UnderWay,
    Ended(Instant),
}

impl Writes {
    /// A change is on the disk.
    pub(crate) fn succeeded(&self) {
        if self.is_failing.load(Ordering::Acquire) {
            *self.lock() = None;
            self.is_failing.store(false, Ordering::Release);
        }
    }

    /// A change is not, for this reason.
    pub(crate) fn failed(&self, error: &Error) {
        if !is_of_the_database(error) {
            return;
        }
        let mut failing = self.lock();
        match &mut *failing {
            Some(failing) => failing.error = error.clone(),
            None => {
                let (error, since) = (error.clone(), Instant::now());
                *failing = Some(Failing { error, since, probe: Probe::Never });
            }
        }
        self.is_failing.store(true, Ordering::Release);
    }

    /// What is wrong, if something is.
    pub(crate) fn unwritable(&self) -> Option<Unwritable> {
        if !self.is_failing.load(Ordering::Acquire) {
            return None;
        }
        let failing = self.lock();
        failing.as_ref().map(|f| Unwritable { error: f.error.clone(), lasted: f.since.elapsed() })
    }

    /// Whether the caller is to probe now. It then says with [`Writes::probed`] what came of it.
    pub(crate) fn may_probe(&self) -> bool {
        let mut failing = self.lock();
        let Some(failing) = &mut *failing else { return false };
        let may = match failing.probe {
            Probe::Never => true,
            Probe::UnderWay => false,
            Probe::Ended(at) => at.elapsed() >= PAUSE,
        };
        if may {
            failing.probe = Probe::UnderWay;
        }
        may
    }

    /// A probe has ended.
    pub(crate) fn probed(&self, verdict: &Result<(), Error>) {
        if verdict.is_ok() {
            return self.succeeded();
        }
        if let Some(failing) = &mut *self.lock() {
            failing.probe = Probe::Ended(Instant::now());
        }
    }

    /// What is kept here is whole between two statements, whoever panicked.
    fn lock(&self) -> MutexGuard<'_, Option<Failing>> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether other changes would meet the same. What is damaged is left out: it concerns who needs that page.
fn is_of_the_database(error: &Error) -> bool {
    matches!(
        error,
        Error::Busy { .. } | Error::Full { .. } | Error::ReadOnly { .. } | Error::Unavailable { .. }
    )
}

/// How a SQLite file is probed: on a connection of its own, so that no change waits behind it.
pub(crate) struct SqliteProbe {
    path: PathBuf,
    options: SqliteConnectOptions,
}

impl SqliteProbe {
    pub(crate) fn new(path: &Path, options: SqliteConnectOptions) -> Self {
        Self { path: path.to_owned(), options: options.busy_timeout(PROBE_LOCK) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the page that holds the version of the user, which nobody uses, and syncs. One page may fit where a change
    /// does not, into what the log already has; hence the look at the room.
    pub(crate) async fn write(&self) -> Result<(), Error> {
        if let Some(room) = Room::of(&self.path)
            && room.free < ROOM
        {
            return Err(Error::Full { reason: format!("{} octets are free", room.free) });
        }
        let mut connection = self.options.connect().await?;
        for text in ["BEGIN IMMEDIATE", "PRAGMA user_version = 0", "COMMIT"] {
            sqlx::query(text).execute(&mut connection).await?;
        }
        connection.close().await?;
        Ok(())
    }
}

/// Writes a row as it is, and commits.
pub(crate) async fn write_to_postgres(pool: &PgPool) -> Result<(), Error> {
    sqlx::query("UPDATE issuer SET created_at = created_at WHERE id = (SELECT min(id) FROM issuer)")
        .execute(pool)
        .await?;
    Ok(())
}

/// How long a probe waits for SQLite's lock, which our own changes hold for a moment.
const PROBE_LOCK: Duration = Duration::from_millis(250);
/// How long a probe that failed is not repeated.
const PAUSE: Duration = Duration::from_secs(2);
/// How long who asks waits for a probe.
pub(crate) const PROBE_WAIT: Duration = Duration::from_secs(1);
/// The room, in octets, without which changes are not believed to fit: several times what the largest takes.
const ROOM: u64 = 256 * 1024;
