//! The one task that writes to SQLite.
//!
//! It has a thread of its own: it waits for SQLite's thread all the time, and two threads that wait for each other alone
//! cost less than one that wakes the runtime's.
//!
//! A durable commit costs a sync of the disk, a millisecond or ten. So the task owns the one connection that writes, runs
//! all the changes that wait in one transaction, syncs once, and only then answers each.
//!
//! There are no savepoints, because each would cost two more statements. A change that fails before it has changed a row
//! disturbs nobody. One that fails later spoils the transaction: it is rolled back, and every change in it is run again
//! alone. Hence a change holds values and no effects, and may be run more than once.

use std::any::Any;
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection as _};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use crate::audit::{self, AuditEvent};
use crate::error::Error;
use crate::script::{Script, Stage};
use crate::write::{Change, Connection, Counts, Tx};

/// The way to the task that writes to SQLite.
pub(crate) struct Writer {
    inbox: mpsc::Sender<Message>,
}

enum Message {
    Change(Box<dyn Job>),
    Close(oneshot::Sender<()>),
}

impl Writer {
    /// Starts the task, in the runtime that calls. It ends when the last `Writer` is dropped, or with
    /// [`Writer::close`]; what waits is done first.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub(crate) fn start(
        connection: SqliteConnection,
        options: SqliteConnectOptions,
        truncate: bool,
        counts: Arc<Counts>,
    ) -> io::Result<Self> {
        let (inbox, messages) = mpsc::channel(WAITING);
        let task = Task { connection: Some(connection), options, truncate, counts };
        let runtime = Handle::current();
        thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || runtime.block_on(task.run(messages)))?;
        Ok(Self { inbox })
    }

    /// Hands a change to the task and waits for the commit.
    pub(crate) async fn write<C: Change>(&self, change: C) -> Result<C::Outcome, Error> {
        let (reply, answer) = oneshot::channel();
        let job = Waiting { change, outcome: None, reply };
        self.inbox.send(Message::Change(Box::new(job))).await.map_err(|_| Error::Closed)?;
        answer.await.unwrap_or(Err(Error::Closed))
    }

    /// Makes the changes that wait, and then no more; returns when the file is closed.
    pub(crate) async fn close(&self) {
        let (reply, answer) = oneshot::channel();
        if self.inbox.send(Message::Close(reply)).await.is_ok() {
            let _ = answer.await;
        }
    }
}

/// A change of some kind, with somebody who waits for it.
trait Job: Send {
    fn apply<'a>(&'a mut self, tx: &'a mut Tx<'_>) -> BoxFuture<'a, Result<(), Error>>;
    fn answer(self: Box<Self>, verdict: Result<(), Error>);
}

struct Waiting<C: Change> {
    change: C,
    outcome: Option<C::Outcome>,
    reply: oneshot::Sender<Result<C::Outcome, Error>>,
}

impl<C: Change> Job for Waiting<C> {
    fn apply<'a>(&'a mut self, tx: &'a mut Tx<'_>) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            self.outcome = Some(self.change.apply(tx).await?);
            Ok(())
        })
    }

    fn answer(self: Box<Self>, verdict: Result<(), Error>) {
        let verdict = match (verdict, self.outcome) {
            (Ok(()), Some(outcome)) => Ok(outcome),
            (Ok(()), None) => Err(Error::Internal { reason: "a change has no outcome".into() }),
            (Err(error), _) => Err(error),
        };
        // The caller may have gone away; its change happened all the same.
        let _ = self.reply.send(verdict);
    }
}

/// The task that owns the connection which writes.
struct Task {
    /// `None` after a failure that leaves its state unknown; the next transaction opens another.
    connection: Option<SqliteConnection>,
    options: SqliteConnectOptions,
    truncate: bool,
    counts: Arc<Counts>,
}

/// What became of each change of a transaction that was committed.
type Verdicts = Vec<Result<(), Error>>;

/// Why a shared transaction was not committed.
enum Undone {
    /// The transaction could not begin or could not be committed: it concerns every change in it.
    All(Error),
    /// One change failed half-way.
    One(Error),
}

impl Task {
    async fn run(mut self, mut messages: mpsc::Receiver<Message>) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut closing = Vec::new();
        let mut shared = 1;
        while messages.recv_many(&mut batch, BATCH).await > 0 {
            // Who was answered together comes back together: a moment's patience makes one commit of theirs. The
            // thread is ours alone to put to sleep.
            for _ in 0..TURNS {
                if batch.len() >= shared {
                    break;
                }
                thread::sleep(GATHER);
                while batch.len() < BATCH
                    && let Ok(message) = messages.try_recv()
                {
                    batch.push(message);
                }
            }
            shared = batch.len();
            let mut jobs = Vec::with_capacity(batch.len());
            for message in batch.drain(..) {
                match message {
                    Message::Change(job) => jobs.push(job),
                    Message::Close(reply) => {
                        // What is in the channel is still done; what comes later is refused.
                        messages.close();
                        closing.push(reply);
                    }
                }
            }
            self.share(jobs).await;
        }
        self.finish().await;
        for reply in closing {
            let _ = reply.send(());
        }
    }

    /// Makes the changes in one transaction, or, when one of them spoils it, each in its own.
    async fn share(&mut self, mut jobs: Vec<Box<dyn Job>>) {
        if jobs.is_empty() {
            return;
        }
        match self.transaction(&mut jobs).await {
            Ok(verdicts) => {
                for (job, verdict) in jobs.into_iter().zip(verdicts) {
                    job.answer(verdict);
                }
            }
            Err(Undone::All(error)) => {
                for job in jobs {
                    job.answer(Err(error.clone()));
                }
            }
            Err(Undone::One(error)) if jobs.len() == 1 => {
                for job in jobs {
                    job.answer(Err(error.clone()));
                }
            }
            Err(Undone::One(_)) => self.each_alone(jobs).await,
        }
    }

    async fn each_alone(&mut self, jobs: Vec<Box<dyn Job>>) {
        // A database that does not let us begin is not asked once for each.
        let mut refused: Option<Error> = None;
        for mut job in jobs {
            let verdict = match &refused {
                Some(error) => Err(error.clone()),
                None => match self.transaction(std::slice::from_mut(&mut job)).await {
                    Ok(mut verdicts) => verdicts.pop().unwrap_or(Ok(())),
                    Err(Undone::One(error)) => Err(error),
                    Err(Undone::All(error)) => {
                        refused = Some(error.clone());
                        Err(error)
                    }
                },
            };
            job.answer(verdict);
        }
    }

    /// One transaction with one commit. Why it was not made is remembered, for who asks whether it is well.
    async fn transaction(&mut self, jobs: &mut [Box<dyn Job>]) -> Result<Verdicts, Undone> {
        let verdicts = self.attempt(jobs).await;
        if let Err(Undone::All(error) | Undone::One(error)) = &verdicts {
            self.counts.writes.failed(error);
        }
        verdicts
    }

    /// On the connection at hand or on a new one.
    async fn attempt(&mut self, jobs: &mut [Box<dyn Job>]) -> Result<Verdicts, Undone> {
        let known = self.connection.take();
        let is_known = known.is_some();
        let mut connection = match known {
            Some(connection) => connection,
            None => self.options.connect().await.map_err(|error| Undone::All(error.into()))?,
        };
        let mut stage = Stage::Before;
        let verdicts = self.changes(&mut connection, &mut stage, jobs).await;
        match (&verdicts, stage) {
            (Err(_), Stage::Begun) => self.roll_back(connection).await,
            // Broken in some way: it is dropped, and a new one is tried.
            (Err(Undone::All(error)), Stage::Refused) if is_known && !is_of_the_file(error) => {
                return Box::pin(self.attempt(jobs)).await;
            }
            _ => self.connection = Some(connection),
        }
        verdicts
    }

    /// The verdicts are those of changes that were made or that disturbed nobody; they are given only now, because a
    /// conflict may have been with a neighbour that a failed commit takes back.
    async fn changes(
        &self,
        connection: &mut SqliteConnection,
        stage: &mut Stage,
        jobs: &mut [Box<dyn Job>],
    ) -> Result<Verdicts, Undone> {
        let mut verdicts = Vec::with_capacity(jobs.len());
        let mut made = 0;
        let mut changed = false;
        let mut trail = Vec::new();
        for job in jobs {
            let told = trail.len();
            let sqlite = Connection::Sqlite { connection: &mut *connection, stage: &mut *stage };
            let mut tx = Tx::new(sqlite, &self.counts, &mut trail);
            let verdict = AssertUnwindSafe(job.apply(&mut tx)).catch_unwind().await;
            let touched = tx.touched();
            match verdict.unwrap_or_else(|panic| Err(panicked(&*panic))) {
                Err(error) if *stage == Stage::Refused => return Err(Undone::All(error)),
                Err(error) if touched || !matches!(error, Error::Conflict { .. }) => {
                    return Err(Undone::One(error));
                }
                Err(error) => {
                    trail.truncate(told);
                    verdicts.push(Err(error));
                }
                Ok(()) => {
                    made += 1;
                    changed |= touched;
                    verdicts.push(Ok(()));
                }
            }
        }
        if *stage == Stage::Begun || !trail.is_empty() {
            self.commit(connection, stage, &trail).await.map_err(Undone::All)?;
        }
        if changed {
            self.counts.committed(made);
            self.counts.writes.succeeded();
        }
        Ok(verdicts)
    }

    /// Writes the trail of all the changes and commits, in one go.
    async fn commit(
        &self,
        connection: &mut SqliteConnection,
        stage: &mut Stage,
        trail: &[AuditEvent],
    ) -> Result<(), Error> {
        let mut script = Script::default();
        audit::add_sqlite(&mut script, trail)?;
        self.counts.counted(script.len());
        script.add("COMMIT", Vec::new());
        script.run_on_sqlite(connection, stage).await.0.error.map_or(Ok(()), |error| Err(error.into()))
    }

    /// SQLite has already rolled back by itself after some errors, such as a full disk. Then its state is not what we
    /// think, and a new connection is cheaper than to find out.
    async fn roll_back(&mut self, mut connection: SqliteConnection) {
        self.connection = match sqlx::query("ROLLBACK").execute(&mut connection).await {
            Ok(_) => Some(connection),
            Err(_) => None,
        };
    }

    async fn finish(self) {
        let Some(mut connection) = self.connection else { return };
        if self.truncate
            && let Err(error) =
                sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_all(&mut connection).await
        {
            tracing::warn!(error = %error, "the store's log was not folded into its file; the next start does it");
        }
        if let Err(error) = connection.close().await {
            tracing::warn!(error = %error, "the store was not closed cleanly; nothing is lost");
        }
    }
}

/// Whether BEGIN was refused for a reason that another connection would meet too.
fn is_of_the_file(error: &Error) -> bool {
    matches!(error, Error::Busy { .. } | Error::Full { .. } | Error::ReadOnly { .. })
}

fn panicked(panic: &(dyn Any + Send)) -> Error {
    let words = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
    Error::Internal { reason: format!("a change panicked: {}", words.unwrap_or("without a word")) }
}

/// How many changes share a commit at most: beyond this the gain is small and the first of them waits long.
const BATCH: usize = 128;

/// How long a commit waits for those that shared the last one, and how often, while not all of them are there: a part of
/// what a sync takes.
const GATHER: Duration = Duration::from_micros(300);
const TURNS: usize = 3;

/// How many changes may wait for the writer before callers are held back.
const WAITING: usize = 1024;
