//! The store as its users hold it: a handle to clone, which writes changes and reads rows.

use std::fmt;
use std::sync::Arc;

use sqlx::postgres::PgPool;
use sqlx::sqlite::SqlitePool;

use crate::error::Error;
use crate::sql::{Columns, Record, row};
use crate::writable::{self, PROBE_WAIT, SqliteProbe, Unwritable};
use crate::write::{self, Change, Counts, Stats};
use crate::writer::Writer;

/// What acme-ca keeps, in SQLite or PostgreSQL. Clones are the same store.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    backend: Backend,
    location: String,
    counts: Arc<Counts>,
}

pub(crate) enum Backend {
    Sqlite { reads: SqlitePool, writer: Writer, probe: Box<SqliteProbe> },
    Postgres(PgPool),
}

/// Where reads go.
pub(crate) enum Reads<'s> {
    Sqlite(&'s SqlitePool),
    Postgres(&'s PgPool),
}

impl Store {
    pub(crate) fn new(backend: Backend, location: String, counts: Arc<Counts>) -> Self {
        Self { inner: Arc::new(Inner { backend, location, counts }) }
    }

    /// Makes a change and returns when it is on the disk. A caller that goes away while it waits does not stop it.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the rows were not in the state that the change starts from; else what the database
    /// could not do. Either way nothing of the change is kept.
    pub async fn write<C: Change>(&self, change: C) -> Result<C::Outcome, Error> {
        match &self.inner.backend {
            Backend::Sqlite { writer, .. } => writer.write(change).await,
            Backend::Postgres(pool) => {
                write::on_postgres(pool.clone(), Arc::clone(&self.inner.counts), change).await
            }
        }
    }

    /// Asks the database for an answer: whether it can be read.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn ping(&self) -> Result<(), Error> {
        row!(self, Pong, "SELECT id FROM account WHERE id = ''").map(|_: Option<Pong>| ())
    }

    /// Whether the last changes were kept. Where one was not and none since, this tries by itself, every few seconds at
    /// most, so that it turns well without anybody who writes; it waits a second for that and no longer.
    ///
    /// # Errors
    /// Why the last change was not kept, when that concerns every change.
    pub async fn check_writable(&self) -> Result<(), Unwritable> {
        let writes = &self.inner.counts.writes;
        if writes.unwritable().is_none() {
            return Ok(());
        }
        if writes.may_probe() {
            let store = self.clone();
            // In a task, because whoever asks may go away, and the probe must end all the same.
            let probe = tokio::spawn(async move {
                let verdict = store.probe().await;
                store.inner.counts.writes.probed(&verdict);
            });
            let _ = tokio::time::timeout(PROBE_WAIT, probe).await;
        }
        writes.unwritable().map_or(Ok(()), Err)
    }

    async fn probe(&self) -> Result<(), Error> {
        match &self.inner.backend {
            Backend::Sqlite { probe, .. } => probe.write().await,
            Backend::Postgres(pool) => writable::write_to_postgres(pool).await,
        }
    }

    /// What was done since it was opened.
    pub fn stats(&self) -> Stats {
        self.inner.counts.stats()
    }

    /// `SQLite file …` or `PostgreSQL database … at …`; never with a password.
    pub fn location(&self) -> &str {
        &self.inner.location
    }

    /// Makes the changes that wait, refuses later ones, folds SQLite's log into its file, and closes. Dropping the last
    /// clone does the same, but nobody can wait for it.
    pub async fn close(&self) {
        match &self.inner.backend {
            Backend::Sqlite { reads, writer, .. } => {
                reads.close().await;
                writer.close().await;
            }
            Backend::Postgres(pool) => pool.close().await,
        }
    }

    pub(crate) fn backend(&self) -> &Backend {
        &self.inner.backend
    }

    pub(crate) fn reads(&self) -> Reads<'_> {
        match &self.inner.backend {
            Backend::Sqlite { reads, .. } => Reads::Sqlite(reads),
            Backend::Postgres(pool) => Reads::Postgres(pool),
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Store").field(&self.inner.location).finish()
    }
}

struct Pong;

impl Record for Pong {
    fn read(_row: &impl Columns) -> Result<Self, Error> {
        Ok(Self)
    }
}
