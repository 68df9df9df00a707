//! What happened, in order and for ever. A row is written in the transaction of what it tells, so there is never one
//! without the other.

use acme::id::{AccountId, AuditId, OrderId, Serial};
use acme::time::Timestamp;
use serde::Serialize;

use crate::error::Error;
use crate::script::{Script, statement};
use crate::sql::{Columns, Record, first_id, json, rows};
use crate::store::Store;
use crate::write::{Change, Tx};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEvent {
    /// Its name; the trail is in the order of these.
    pub id: AuditId,
    /// When.
    pub at: Timestamp,
    /// What: a stable word, `certificate.issued`.
    pub event: String,
    /// Whose account it was about.
    pub account: Option<AccountId>,
    /// Which order it was about.
    pub order: Option<OrderId>,
    /// Which certificate it was about.
    pub serial: Option<Serial>,
    /// More about it; never a secret.
    pub detail: Option<serde_json::Value>,
}

/// Writes one event down that belongs to no other change. After a crash it is there, or it is not.
#[derive(Clone, Debug)]
pub struct Audit {
    /// What happened.
    pub event: AuditEvent,
}

impl Change for Audit {
    type Outcome = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        tx.record(&self.event);
        Ok(())
    }
}

/// Which events are wanted; all of them by default.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Those of this moment and later.
    pub since: Option<Timestamp>,
    /// Those about this account.
    pub account: Option<AccountId>,
    /// Those about this order.
    pub order: Option<OrderId>,
    /// Those about this certificate.
    pub serial: Option<Serial>,
}

impl Store {
    /// The newest `limit` events that `filter` lets through, newest first. Only `since` keeps it from reading the
    /// whole trail when few events match, so this is for `ca-ctl` and not for a request.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn audit(&self, filter: &AuditFilter, limit: u32) -> Result<Vec<AuditEvent>, Error> {
        rows!(
            self,
            AuditEvent,
            "SELECT id, at, event, account_id, order_id, serial, detail FROM audit
             WHERE id >= $1
               AND ($2 IS NULL OR account_id = $2)
               AND ($3 IS NULL OR order_id = $3)
               AND ($4 IS NULL OR serial = $4)
             ORDER BY id DESC LIMIT $5",
            filter.since.map(first_id).unwrap_or_default(),
            filter.account.as_ref().map(AccountId::as_str),
            filter.order.as_ref().map(OrderId::as_str),
            filter.serial.as_ref().map(Serial::as_str),
            i64::from(limit),
        )
    }
}

/// Adds the trail of a transaction, for SQLite, where many changes share one. PostgreSQL has another function for a JSON
/// array, and no shared transactions.
pub(crate) fn add_sqlite(script: &mut Script, trail: &[AuditEvent]) -> Result<(), Error> {
    if trail.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = trail.iter().map(Row::from).collect();
    statement!(
        script,
        "INSERT INTO audit (id, at, event, account_id, order_id, serial, detail)
         SELECT value ->> 'id', value ->> 'at', value ->> 'event', value ->> 'account', value ->> 'order',
                value ->> 'serial', value ->> 'detail'
         FROM json_each($1)",
        json(&rows)?,
    );
    Ok(())
}

/// The same for PostgreSQL: hardly ever more than one event.
pub(crate) fn add_postgres(script: &mut Script, trail: &[AuditEvent]) {
    for row in trail.iter().map(Row::from) {
        statement!(
            script,
            "INSERT INTO audit (id, at, event, account_id, order_id, serial, detail)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
            row.id,
            row.at,
            row.event,
            row.account,
            row.order,
            row.serial,
            row.detail,
        );
    }
}

/// An event as its columns.
#[derive(Serialize)]
struct Row<'a> {
    id: &'a str,
    at: i64,
    event: &'a str,
    account: Option<&'a str>,
    order: Option<&'a str>,
    serial: Option<&'a str>,
    detail: Option<String>,
}

impl<'a> From<&'a AuditEvent> for Row<'a> {
    fn from(event: &'a AuditEvent) -> Self {
        Self {
            id: event.id.as_str(),
            at: event.at.unix(),
            event: &event.event,
            account: event.account.as_ref().map(AccountId::as_str),
            order: event.order.as_ref().map(OrderId::as_str),
            serial: event.serial.as_ref().map(Serial::as_str),
            detail: event.detail.as_ref().map(ToString::to_string),
        }
    }
}

impl Record for AuditEvent {
    fn read(row: &impl Columns) -> Result<Self, Error> {
        Ok(Self {
            id: row.word("id", AuditId::parse)?,
            at: row.time("at")?,
            event: row.string("event")?,
            account: row.word_or_null("account_id", AccountId::parse)?,
            order: row.word_or_null("order_id", OrderId::parse)?,
            serial: row.word_or_null("serial", Serial::parse)?,
            detail: row.json_or_null("detail")?,
        })
    }
}
