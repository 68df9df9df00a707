//! What people are to be told. A message is put here in the commit of what it tells, so that none is lost and none is told
//! of what did not happen; it leaves when everybody was told whom the configuration names. Who that is, and when somebody
//! is tried, is decided above: here a message waits for each sink that has no delivery of it.

use acme::id::MessageId;
use acme::severity::Severity;
use acme::time::Timestamp;

use crate::error::Error;
use crate::script::{Script, Values, statement};
use crate::sql::{Columns, Record, execute, rows};
use crate::store::Store;
use crate::write::{Change, Tx};

/// A message that is new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEntry {
    /// Its name.
    pub id: MessageId,
    /// The message itself, as JSON. Nobody here reads it.
    pub message: String,
    /// How much it matters.
    pub severity: Severity,
    /// What it does: `firing`, `reminder` and `resolved` are about a condition that begins, stands and ends; others are
    /// about none.
    pub kind: String,
    /// What it is about.
    pub key: String,
    /// When it was made.
    pub at: Timestamp,
    /// It is not told before.
    pub not_before: Timestamp,
}

/// A message that somebody may still have to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub id: MessageId,
    /// The message itself, as JSON.
    pub message: String,
    /// When it was made.
    pub at: Timestamp,
    /// From when on it may be told.
    pub not_before: Timestamp,
}

/// What became of a message at a sink, for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Which message.
    pub message: MessageId,
    /// Which sink.
    pub sink: String,
    /// What became of it: a stable word.
    pub result: String,
    /// When.
    pub at: Timestamp,
    /// What the server calls it.
    pub remote_id: Option<String>,
    /// What there is to say about it.
    pub detail: Option<String>,
}

/// How a sink is, by the tries so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SinkState {
    /// Its name.
    pub name: String,
    /// Since when every try failed.
    pub failing_since: Option<Timestamp>,
    /// How many tries in a row.
    pub failures: u32,
    /// It is not tried before.
    pub next_at: Option<Timestamp>,
    /// The word for the last failure.
    pub trouble: Option<String>,
    /// Its sentence.
    pub detail: Option<String>,
    /// When others were told that it fails.
    pub told_at: Option<Timestamp>,
    /// When it last took something.
    pub delivered_at: Option<Timestamp>,
    /// Whether it puts later messages in the place of earlier ones, once that is known.
    pub replaces: Option<bool>,
    /// When its dead man's switch was wound up.
    pub beat_at: Option<Timestamp>,
}

/// What a sink has heard of a condition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Heard {
    /// What the condition is.
    pub key: String,
    /// Which sink.
    pub sink: String,
}

/// Puts messages, in this order. After a crash all of them are there, or none.
#[derive(Clone, Debug)]
pub struct PutMessages {
    /// The messages.
    pub entries: Vec<NewEntry>,
}

impl Change for PutMessages {
    type Outcome = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let mut script = Script::default();
        insert(&mut script, &self.entries);
        tx.run(script).await.map(|_| ())
    }
}

/// The statements that put messages, for a change that has others too. Each of them changes a row.
pub(crate) fn insert(script: &mut Script, entries: &[NewEntry]) {
    for entry in entries {
        let (id, key, kind, message) = (entry.id.as_str(), &*entry.key, &*entry.kind, &*entry.message);
        let at = entry.at.unix();
        let severity = entry.severity.as_str();
        statement!(script, PUT, id, key, kind, severity, at, entry.not_before.unix(), message);
        if STANDS.contains(&kind) {
            statement!(script, STAND, key, kind, message, at);
        }
    }
}

/// Keeps what a try brought: how the sink is now, and what became of messages there. After a crash before it the sink is
/// tried again, which is a second message at most.
#[derive(Clone, Debug)]
pub struct RecordTry {
    /// The sink as it is now.
    pub sink: SinkState,
    /// Messages that it has no longer to be told.
    pub deliveries: Vec<Delivery>,
    /// Conditions that it has now heard of, and whether they held by that word. Of one condition the last counts.
    pub heard: Vec<(String, bool)>,
    /// What others are to be told about it.
    pub messages: Vec<NewEntry>,
    /// When that was.
    pub at: Timestamp,
}

impl Change for RecordTry {
    type Outcome = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let sink = &self.sink;
        let time = |at: Option<Timestamp>| at.map(Timestamp::unix);
        let mut script = Script::default();
        statement!(
            script,
            KEEP_SINK,
            &*sink.name,
            time(sink.failing_since),
            i64::from(sink.failures),
            time(sink.next_at),
            sink.trouble.as_deref(),
            sink.detail.as_deref(),
            time(sink.told_at),
            time(sink.delivered_at),
            sink.replaces.map(i64::from),
            time(sink.beat_at),
        );
        for delivery in &self.deliveries {
            statement!(
                script,
                KEEP_DELIVERY,
                delivery.message.as_str(),
                &*delivery.sink,
                &*delivery.result,
                delivery.at.unix(),
                delivery.remote_id.as_deref(),
                delivery.detail.as_deref(),
            );
        }
        insert(&mut script, &self.messages);
        tx.run(script).await?;
        for (key, holds) in &self.heard {
            match holds {
                true => execute!(tx, HEAR, &**key, &*sink.name, self.at.unix())?,
                false => execute!(tx, HEAR_END, &**key, &*sink.name)?,
            };
        }
        Ok(())
    }
}

/// Says that nobody is left to be told of these messages.
#[derive(Clone, Debug)]
pub struct Settle {
    /// Which.
    pub messages: Vec<MessageId>,
    /// When that was found.
    pub at: Timestamp,
}

impl Change for Settle {
    type Outcome = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        for id in &self.messages {
            execute!(tx, SETTLE, id.as_str(), self.at.unix())?;
        }
        Ok(())
    }
}

/// Deletes what was settled before a moment, at most `limit` messages, the oldest first; with their deliveries, and with
/// what is kept of conditions that were over then, and of who heard of them.
#[derive(Clone, Debug)]
pub struct PruneMessages {
    /// What was settled before this goes; say, thirty days ago.
    pub before: Timestamp,
    /// At most so many.
    pub limit: u32,
}

impl Change for PruneMessages {
    /// How many messages were deleted.
    type Outcome = u64;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<u64, Error> {
        let (before, limit) = (self.before.unix(), i64::from(self.limit));
        execute!(tx, FORGET_DELIVERIES, before, limit)?;
        let deleted = execute!(tx, FORGET, before, limit)?;
        execute!(tx, FORGET_STANDING, before)?;
        execute!(tx, FORGET_HEARD, before)?;
        Ok(deleted)
    }
}

impl Store {
    /// Messages that are not settled and may be told at `now`, in the order in which they were put, at most `limit`.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn open_messages(&self, now: Timestamp, limit: u32) -> Result<Vec<Entry>, Error> {
        rows!(self, Entry, OPEN, now.unix(), i64::from(limit))
    }

    /// What became so far of the messages that are not settled.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn open_deliveries(&self) -> Result<Vec<Delivery>, Error> {
        rows!(self, Delivery, DELIVERIES)
    }

    /// Every sink that was ever tried.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn sinks(&self) -> Result<Vec<SinkState>, Error> {
        rows!(self, SinkState, "SELECT * FROM sink ORDER BY name")
    }

    /// The last message, as JSON, about each condition that stands, at most `limit`.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn standing_messages(&self, limit: u32) -> Result<Vec<String>, Error> {
        let messages = rows!(self, Standing, STANDING, i64::from(limit))?;
        Ok(messages.into_iter().map(|Standing(message)| message).collect())
    }

    /// Which sinks heard that these conditions hold, and did not hear that they are over; in no order.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn heard(&self, keys: &[&str]) -> Result<Vec<Heard>, Error> {
        let mut heard = Vec::new();
        for keys in keys.chunks(AT_ONCE) {
            let mut values = Values::default();
            let list = values.list(keys.iter().map(|key| (*key).into()));
            heard.extend(crate::script::query(self, heard_of(&list), values.0).await?);
        }
        Ok(heard)
    }

    /// What became of the messages with these ids, whether they are settled or not; in no order.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn deliveries(&self, messages: &[MessageId]) -> Result<Vec<Delivery>, Error> {
        if messages.is_empty() {
            return Ok(Vec::new());
        }
        let mut values = Values::default();
        let list = values.list(messages.iter().map(|id| id.as_str().into()));
        let text = format!("SELECT * FROM delivery WHERE outbox_id IN ({list})");
        crate::script::query(self, text, values.0).await
    }
}

/// How many conditions are asked for in one statement.
const AT_ONCE: usize = 500;

/// What is about a condition.
const STANDS: &[&str] = &["firing", "reminder", "resolved"];

pub(crate) const PUT: &str = "INSERT INTO outbox (id, seq, key, kind, severity, at, not_before, message)
     VALUES ($1, (SELECT COALESCE(MAX(seq), 0) + 1 FROM outbox), $2, $3, $4, $5, $6, $7)";

const STAND: &str = "INSERT INTO standing (key, kind, message, at) VALUES ($1, $2, $3, $4)
     ON CONFLICT (key) DO UPDATE SET kind = excluded.kind, message = excluded.message, at = excluded.at";

const KEEP_SINK: &str = "INSERT INTO sink (name, failing_since, failures, next_at, trouble, detail, told_at,
         delivered_at, replaces, beat_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
     ON CONFLICT (name) DO UPDATE SET failing_since = excluded.failing_since, failures = excluded.failures,
         next_at = excluded.next_at, trouble = excluded.trouble, detail = excluded.detail, told_at = excluded.told_at,
         delivered_at = excluded.delivered_at, replaces = excluded.replaces, beat_at = excluded.beat_at";

const KEEP_DELIVERY: &str = "INSERT INTO delivery (outbox_id, sink, result, at, remote_id, detail)
     VALUES ($1, $2, $3, $4, $5, $6)
     ON CONFLICT (outbox_id, sink) DO UPDATE SET result = excluded.result, at = excluded.at,
         remote_id = excluded.remote_id, detail = excluded.detail";

pub(crate) const OPEN: &str = "SELECT id, message, at, not_before FROM outbox
     WHERE settled_at IS NULL AND not_before <= $1 ORDER BY seq LIMIT $2";

pub(crate) const DELIVERIES: &str = "SELECT d.outbox_id, d.sink, d.result, d.at, d.remote_id, d.detail
     FROM outbox o JOIN delivery d ON d.outbox_id = o.id WHERE o.settled_at IS NULL";

pub(crate) const SETTLE: &str = "UPDATE outbox SET settled_at = $2 WHERE id = $1 AND settled_at IS NULL";

pub(crate) const STANDING: &str =
    "SELECT message FROM standing WHERE kind <> 'resolved' ORDER BY key LIMIT $1";

const HEAR: &str = "INSERT INTO heard (key, sink, at) VALUES ($1, $2, $3)
     ON CONFLICT (key, sink) DO UPDATE SET at = excluded.at";

pub(crate) const HEAR_END: &str = "DELETE FROM heard WHERE key = $1 AND sink = $2";

pub(crate) fn heard_of(list: &str) -> String {
    format!("SELECT key, sink FROM heard WHERE key IN ({list})")
}

/// Of what ended without a word, and of sinks that are configured no longer. Of what ended just now the end may still wait.
pub(crate) const FORGET_HEARD: &str = "DELETE FROM heard WHERE at < $1 AND NOT EXISTS
         (SELECT 1 FROM alert WHERE alert.key = heard.key AND (alert.ended_at IS NULL OR alert.ended_at >= $1))";

macro_rules! settled {
    () => {
        "(SELECT id FROM outbox WHERE settled_at IS NOT NULL AND settled_at < $1 ORDER BY settled_at, id LIMIT $2)"
    };
}

pub(crate) const FORGET_DELIVERIES: &str = concat!("DELETE FROM delivery WHERE outbox_id IN ", settled!());

pub(crate) const FORGET: &str = concat!("DELETE FROM outbox WHERE id IN ", settled!());

pub(crate) const FORGET_STANDING: &str = "DELETE FROM standing WHERE kind = 'resolved' AND at < $1";

impl Record for Entry {
    fn read(row: &impl Columns) -> Result<Self, Error> {
        Ok(Self {
            id: row.word("id", MessageId::parse)?,
            message: row.string("message")?,
            at: row.time("at")?,
            not_before: row.time("not_before")?,
        })
    }
}

impl Record for Delivery {
    fn read(row: &impl Columns) -> Result<Self, Error> {
        Ok(Self {
            message: row.word("outbox_id", MessageId::parse)?,
            sink: row.string("sink")?,
            result: row.string("result")?,
            at: row.time("at")?,
            remote_id: row.string_or_null("remote_id")?,
            detail: row.string_or_null("detail")?,
        })
    }
}

impl Record for SinkState {
    fn read(row: &impl Columns) -> Result<Self, Error> {
        let failures = row.number_or_null("failures")?.unwrap_or(0);
        Ok(Self {
            name: row.string("name")?,
            failing_since: row.time_or_null("failing_since")?,
            failures: u32::try_from(failures).map_err(|_| Error::column("failures", "it is no count"))?,
            next_at: row.time_or_null("next_at")?,
            trouble: row.string_or_null("trouble")?,
            detail: row.string_or_null("detail")?,
            told_at: row.time_or_null("told_at")?,
            delivered_at: row.time_or_null("delivered_at")?,
            replaces: row.number_or_null("replaces")?.map(|number| number != 0),
            beat_at: row.time_or_null("beat_at")?,
        })
    }
}

impl Record for Heard {
    fn read(row: &impl Columns) -> Result<Self, Error> {
        Ok(Self { key: row.string("key")?, sink: row.string("sink")? })
    }
}

struct Standing(String);

impl Record for Standing {
    fn read(row: &impl Columns) -> Result<Self, Error> {
        Ok(Self(row.string("message")?))
    }
}
