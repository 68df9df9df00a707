//! Alerts: those that are open, those that were over a while ago, and what happened to them. What an alert is, the
//! program above knows; here is its body as JSON, with the columns that are asked for.

use acme::severity::Severity;
use acme::time::Timestamp;

use crate::error::Error;
use crate::outbox::{self, NewEntry};
use crate::script::{Script, Values, statement};
use crate::sql::{Columns, Record, execute, row, rows};
use crate::store::Store;
use crate::write::{Change, Tx};

/// An alert as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The same for as long as it is about the same thing.
    pub key: String,
    /// Which rule holds.
    pub rule: String,
    /// How bad it is.
    pub severity: Severity,
    /// Where it stands: a word of the program above.
    pub state: String,
    /// Since when it holds.
    pub since: Timestamp,
    /// When it last became another.
    pub changed_at: Timestamp,
    /// When it was over; none while it is not.
    pub ended_at: Option<Timestamp>,
    /// Since when somebody knows of it.
    pub acked_at: Option<Timestamp>,
    /// What they said.
    pub ack_reason: Option<String>,
    /// The alert as JSON.
    pub body: String,
}

/// Something that happened to an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// To which alert.
    pub key: String,
    /// What: `fired`, `escalated`, `reminded`, `resolved`, `acked`, `inhibited`.
    pub what: String,
    /// Which rule held.
    pub rule: String,
    /// How bad it was then.
    pub severity: Severity,
    /// What it was called then.
    pub title: String,
}

/// Keeps what one look at everything changed: the alerts that are not as they were, what happened to them, and what is to
/// be told. A crash before it: the next look finds the same, and nobody was told; after it, all of it is kept, and the
/// messages are delivered.
#[derive(Clone, Debug, Default)]
pub struct KeepAlerts {
    /// Alerts, each with whether it is news again, so that whoever knew of it is told again.
    pub alerts: Vec<(Kept, bool)>,
    /// Alerts that passed before anybody was told, by their keys: they are forgotten.
    pub dropped: Vec<String>,
    /// What happened.
    pub events: Vec<Event>,
    /// What is to be told.
    pub messages: Vec<NewEntry>,
}

impl Change for KeepAlerts {
    type Outcome = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let mut script = Script::default();
        for (alert, is_news) in &self.alerts {
            statement!(
                script,
                KEEP,
                alert.key.as_str(),
                alert.rule.as_str(),
                alert.severity.as_str(),
                alert.state.as_str(),
                alert.since.unix(),
                alert.changed_at.unix(),
                alert.ended_at.map(Timestamp::unix),
                alert.body.as_str(),
                *is_news,
            );
        }
        outbox::insert(&mut script, &self.messages);
        if script.len() > 0 {
            tx.run(script).await?;
        }
        for some in self.dropped.chunks(CHUNK) {
            let mut values = Values::default();
            let list = values.list(some.iter().map(|key| key.as_str().into()));
            tx.execute(FORGET.replace("KEYS", &list), values.0).await?;
        }
        for some in self.events.chunks(CHUNK) {
            happened(tx, some).await?;
        }
        Ok(())
    }
}

/// Somebody knows of an alert: no reminders while it does not become worse.
#[derive(Clone, Debug)]
pub struct AckAlert {
    /// Which alert.
    pub key: String,
    /// What they say.
    pub reason: Option<String>,
    /// When.
    pub at: Timestamp,
}

impl Change for AckAlert {
    /// The alert, when it is open.
    type Outcome = Option<Kept>;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Option<Kept>, Error> {
        let changed = execute!(tx, ACK, self.key.as_str(), self.at.unix(), self.reason.as_deref())?;
        if changed == 0 {
            return Ok(None);
        }
        let Some(kept) = crate::sql::find!(tx, Kept, ONE, self.key.as_str())? else { return Ok(None) };
        let event = Event {
            at: self.at,
            key: kept.key.clone(),
            what: "acked".into(),
            rule: kept.rule.clone(),
            severity: kept.severity,
            title: self.reason.clone().unwrap_or_default(),
        };
        happened(tx, std::slice::from_ref(&event)).await?;
        Ok(Some(kept))
    }
}

/// Deletes alerts that were over before a moment, and what happened before it; at most so many of each, the oldest first,
/// so run it again while it reaches the limit.
#[derive(Clone, Copy, Debug)]
pub struct PruneAlerts {
    /// What was over before this goes.
    pub before: Timestamp,
    /// At most so many.
    pub limit: u32,
}

impl Change for PruneAlerts {
    /// How many rows were deleted.
    type Outcome = u64;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<u64, Error> {
        let (before, limit) = (self.before.unix(), i64::from(self.limit));
        let alerts = execute!(tx, PRUNE, before, limit)?;
        let events = execute!(tx, PRUNE_EVENTS, before, limit)?;
        Ok(alerts + events)
    }
}

impl Store {
    /// The alerts that are not over, by their keys.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn open_alerts(&self) -> Result<Vec<Kept>, Error> {
        rows!(self, Kept, OPEN)
    }

    /// The alerts that were over at a moment or later, the latest first.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn ended_alerts(&self, since: Timestamp, limit: u32) -> Result<Vec<Kept>, Error> {
        rows!(self, Kept, ENDED, since.unix(), i64::from(limit))
    }

    /// The alert of this key, open or over.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn alert(&self, key: &str) -> Result<Option<Kept>, Error> {
        row!(self, Kept, ONE, key)
    }

    /// What happened to alerts at a moment or later, the latest first.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn alert_events(&self, since: Timestamp, limit: u32) -> Result<Vec<Event>, Error> {
        rows!(self, Event, EVENTS, since.unix(), i64::from(limit))
    }

    /// What happened to one alert, the latest first.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn events_of_alert(&self, key: &str, limit: u32) -> Result<Vec<Event>, Error> {
        rows!(self, Event, EVENTS_OF, key, i64::from(limit))
    }
}

async fn happened(tx: &mut Tx<'_>, events: &[Event]) -> Result<(), Error> {
    let mut values = Values::default();
    let rows = values.rows(events.iter().map(|event| {
        [
            event.at.unix().into(),
            event.key.as_str().into(),
            event.what.as_str().into(),
            event.rule.as_str().into(),
            event.severity.as_str().into(),
            event.title.as_str().into(),
        ]
    }));
    tx.execute(HAPPENED.replace("ROWS", &rows), values.0).await?;
    Ok(())
}

macro_rules! columns {
    () => {
        "SELECT key, rule, severity, state, since, changed_at, ended_at, acked_at, ack_reason, body FROM alert"
    };
}

/// An acknowledgement is the operator's: it stays, unless what is kept is news.
pub(crate) const KEEP: &str =
    "INSERT INTO alert (key, rule, severity, state, since, changed_at, ended_at, body)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
     ON CONFLICT (key) DO UPDATE
     SET rule = excluded.rule, severity = excluded.severity, state = excluded.state, since = excluded.since,
         changed_at = excluded.changed_at, ended_at = excluded.ended_at, body = excluded.body,
         acked_at = CASE WHEN $9 OR alert.ended_at IS NOT NULL THEN NULL ELSE alert.acked_at END,
         ack_reason = CASE WHEN $9 OR alert.ended_at IS NOT NULL THEN NULL ELSE alert.ack_reason END";

pub(crate) const FORGET: &str = "DELETE FROM alert WHERE key IN (KEYS)";

pub(crate) const HAPPENED: &str = "INSERT INTO alert_event (at, key, what, rule, severity, title) VALUES ROWS
     ON CONFLICT (at, key, what) DO NOTHING";

pub(crate) const ACK: &str =
    "UPDATE alert SET acked_at = $2, ack_reason = $3 WHERE key = $1 AND ended_at IS NULL";

pub(crate) const ONE: &str = concat!(columns!(), " WHERE key = $1");

pub(crate) const OPEN: &str = concat!(columns!(), " WHERE ended_at IS NULL ORDER BY key");

pub(crate) const ENDED: &str =
    concat!(columns!(), " WHERE ended_at IS NOT NULL AND ended_at >= $1 ORDER BY ended_at DESC LIMIT $2");

pub(crate) const EVENTS: &str = "SELECT at, key, what, rule, severity, title FROM alert_event WHERE at >= $1 ORDER BY at DESC, key DESC LIMIT $2";

pub(crate) const EVENTS_OF: &str =
    "SELECT at, key, what, rule, severity, title FROM alert_event WHERE key = $1 ORDER BY at DESC LIMIT $2";

pub(crate) const PRUNE: &str = "DELETE FROM alert WHERE key IN
     (SELECT key FROM alert WHERE ended_at IS NOT NULL AND ended_at < $1 ORDER BY ended_at LIMIT $2)";

pub(crate) const PRUNE_EVENTS: &str = "DELETE FROM alert_event WHERE (at, key, what) IN
     (SELECT at, key, what FROM alert_event WHERE at < $1 ORDER BY at LIMIT $2)";

/// How many rows one statement takes at most.
const CHUNK: usize = 100;

impl Record for Kept {
    fn read(row: &impl Columns) -> Result<Self, Error> {
        Ok(Self {
            key: row.string("key")?,
            rule: row.string("rule")?,
            severity: row.word("severity", Severity::parse)?,
            state: row.string("state")?,
            since: row.time("since")?,
            changed_at: row.time("changed_at")?,
            ended_at: row.time_or_null("ended_at")?,
            acked_at: row.time_or_null("acked_at")?,
            ack_reason: row.string_or_null("ack_reason")?,
            body: row.string("body")?,
        })
    }
}

impl Record for Event {
    fn read(row: &impl Columns) -> Result<Self, Error> {
        Ok(Self {
            at: row.time("at")?,
            key: row.string("key")?,
            what: row.string("what")?,
            rule: row.string("rule")?,
            severity: row.word("severity", Severity::parse)?,
            title: row.string("title")?,
        })
    }
}
