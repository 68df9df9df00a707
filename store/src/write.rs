//! How the store changes: a change is a value, committed whole or not at all. On PostgreSQL, which shares its syncs by
//! itself, each has a transaction of its own, here; on SQLite they share one, in [`crate::writer`].

use std::borrow::Cow;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::postgres::{PgConnection, PgPool};
use sqlx::sqlite::SqliteConnection;

use crate::audit::{self, AuditEvent};
use crate::error::Error;
use crate::script::{Changed, Done, Script, Stage, Value};
use crate::sql::Record;
use crate::writable::Writes;

/// One change of state: committed whole or not at all. It may be run more than once, so it holds values, not effects.
pub trait Change: Send + Sync + 'static {
    /// What the change tells its caller, after the commit.
    type Outcome: Send + 'static;

    /// Makes the change inside `tx`. [`Error::Conflict`] when the rows are not in the state that it starts from.
    fn apply(&self, tx: &mut Tx<'_>) -> impl Future<Output = Result<Self::Outcome, Error>> + Send;
}

/// The transaction that a change is made in. Only this crate can put statements into it.
pub struct Tx<'t> {
    connection: Connection<'t>,
    counts: &'t Counts,
    /// What the audit trail is to say. It is written with the commit, for all changes that share it at once.
    trail: &'t mut Vec<AuditEvent>,
    /// Whether a row was changed, or a statement failed: whether there is something to undo.
    touched: bool,
}

/// The connection under a transaction.
pub(crate) enum Connection<'t> {
    Sqlite {
        connection: &'t mut SqliteConnection,
        /// Whether BEGIN was done; the first statement brings it along.
        stage: &'t mut Stage,
    },
    Postgres(&'t mut PgConnection),
}

impl<'t> Tx<'t> {
    pub(crate) fn new(
        connection: Connection<'t>,
        counts: &'t Counts,
        trail: &'t mut Vec<AuditEvent>,
    ) -> Self {
        Self { connection, counts, trail, touched: false }
    }

    /// Has the audit trail say something in this very transaction.
    pub(crate) fn record(&mut self, event: &AuditEvent) {
        self.trail.push(event.clone());
        self.touched = true;
    }

    /// Whether there is something to undo.
    pub(crate) fn touched(&self) -> bool {
        self.touched
    }

    /// Runs one statement: how many rows it changed.
    pub(crate) async fn execute(
        &mut self,
        text: impl Into<Cow<'static, str>>,
        values: Vec<Value>,
    ) -> Result<u64, Error> {
        let mut script = Script::default();
        script.add(text, values);
        Ok(self.run(script).await?.of(0))
    }

    /// Runs statements that do not wait for each other's answer. They end with the first that changes nothing; on
    /// SQLite the others have run by then, so a change that goes on from there is a change that fails.
    pub(crate) async fn run(&mut self, script: Script) -> Result<Changed, Error> {
        self.counts.counted(script.len());
        let done = match &mut self.connection {
            Connection::Sqlite { connection, stage } => script.run_on_sqlite(connection, stage).await.0,
            Connection::Postgres(connection) => script.run_on_postgres(connection).await.0,
        };
        self.ended(done)
    }

    /// The same with the query that the script ends in. It is not reached where a statement changed nothing.
    pub(crate) async fn run_reading<R: Record>(
        &mut self,
        script: Script,
    ) -> Result<(Changed, Vec<R>), Error> {
        self.counts.counted(script.len());
        match &mut self.connection {
            Connection::Sqlite { connection, stage } => {
                let (done, rows) = script.run_on_sqlite(connection, stage).await;
                Ok((self.ended(done)?, rows.iter().map(R::read).collect::<Result<_, _>>()?))
            }
            Connection::Postgres(connection) => {
                let (done, rows) = script.run_on_postgres(connection).await;
                Ok((self.ended(done)?, rows.iter().map(R::read).collect::<Result<_, _>>()?))
            }
        }
    }

    /// Runs a query: every row as a `Record`.
    pub(crate) async fn read<R: Record>(
        &mut self,
        text: &'static str,
        values: Vec<Value>,
    ) -> Result<Vec<R>, Error> {
        let mut script = Script::default();
        script.read(text, values);
        Ok(self.run_reading(script).await?.1)
    }

    /// Runs one statement that gives back the rows that it changed.
    pub(crate) async fn returning<R: Record>(
        &mut self,
        text: &'static str,
        values: Vec<Value>,
    ) -> Result<Vec<R>, Error> {
        let rows = self.read(text, values).await?;
        self.touched |= !rows.is_empty();
        Ok(rows)
    }

    fn ended(&mut self, done: Done) -> Result<Changed, Error> {
        self.touched |= done.touched;
        done.error.map_or(Ok(done.changed), |error| Err(error.into()))
    }
}

/// What the store has done since it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Transactions that changed something and were committed: on SQLite, each one sync.
    pub commits: u64,
    /// Changes that were made.
    pub changes: u64,
    /// Statements inside changes, without BEGIN and COMMIT.
    pub statements: u64,
}

/// The counters behind [`Stats`].
#[derive(Default)]
pub(crate) struct Counts {
    commits: AtomicU64,
    changes: AtomicU64,
    statements: AtomicU64,
    /// Beside what was done, whether it can be done.
    pub(crate) writes: Writes,
}

impl Counts {
    pub(crate) fn stats(&self) -> Stats {
        Stats {
            commits: self.commits.load(Ordering::Relaxed),
            changes: self.changes.load(Ordering::Relaxed),
            statements: self.statements.load(Ordering::Relaxed),
        }
    }

    /// Statements were run.
    pub(crate) fn counted(&self, statements: usize) {
        self.statements.fetch_add(statements as u64, Ordering::Relaxed);
    }

    /// One commit made so many changes.
    pub(crate) fn committed(&self, changes: usize) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.changes.fetch_add(changes as u64, Ordering::Relaxed);
    }
}

/// Makes a change on PostgreSQL, in a task of its own, so that a caller that goes away does not stop it.
pub(crate) async fn on_postgres<C: Change>(
    pool: PgPool,
    counts: Arc<Counts>,
    change: C,
) -> Result<C::Outcome, Error> {
    let task = tokio::spawn(async move {
        let mut attempt = 1;
        loop {
            match attempt_on_postgres(&pool, &counts, &change).await {
                // Two transactions met; one of them has to step back and come again.
                Err(Error::Busy { .. }) if attempt < ATTEMPTS => attempt += 1,
                Err(error) => {
                    counts.writes.failed(&error);
                    return Err(error);
                }
                verdict => return verdict,
            }
        }
    });
    task.await.unwrap_or_else(|error| Err(Error::Internal { reason: format!("a change was lost: {error}") }))
}

async fn attempt_on_postgres<C: Change>(
    pool: &PgPool,
    counts: &Counts,
    change: &C,
) -> Result<C::Outcome, Error> {
    let mut transaction = pool.begin().await?;
    let mut trail = Vec::new();
    let mut tx = Tx::new(Connection::Postgres(&mut transaction), counts, &mut trail);
    let mut verdict = change.apply(&mut tx).await;
    let changed = tx.touched();
    if verdict.is_ok() {
        let mut script = Script::default();
        audit::add_postgres(&mut script, &trail);
        counts.counted(script.len());
        if let Some(error) = script.run_on_postgres(&mut transaction).await.0.error {
            verdict = Err(error.into());
        }
    }
    match verdict {
        Ok(outcome) => {
            transaction.commit().await?;
            counts.committed(1);
            if changed {
                counts.writes.succeeded();
            }
            Ok(outcome)
        }
        Err(error) => {
            // If this fails too, the connection is gone and its transaction with it.
            let _ = transaction.rollback().await;
            Err(error)
        }
    }
}

/// How often a change is tried on PostgreSQL when it meets others.
const ATTEMPTS: u32 = 5;
