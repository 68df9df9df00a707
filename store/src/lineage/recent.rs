//! What became of the orders of the last while, for telling an outage from the trouble of one name.

use acme::failure::Failure;
use acme::id::{AccountId, OrderId};
use acme::problem::Problem;
use acme::time::Timestamp;

use crate::error::Error;
use crate::sql::{Columns, Record, first_id, rows};
use crate::store::Store;

/// Orders of the last while, the newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recent {
    /// Those that failed.
    pub failed: Vec<FailedOrder>,
    /// Those that brought a certificate.
    pub issued: Vec<IssuedOrder>,
}

/// An order that failed.
#[derive(Clone, Debug, PartialEq)]
pub struct FailedOrder {
    /// Which.
    pub order: OrderId,
    /// Whose.
    pub account: AccountId,
    /// Its names, sorted.
    pub names: Vec<String>,
    /// When it was made.
    pub at: Timestamp,
    /// The validation that decided, with whom we asked and what was answered; none where something else stopped it.
    pub failure: Option<Failure>,
    /// What the client was told.
    pub problem: Option<Problem>,
}

/// An order that brought a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedOrder {
    /// Which.
    pub order: OrderId,
    /// Its names, sorted.
    pub names: Vec<String>,
    /// When it was made.
    pub at: Timestamp,
}

impl Store {
    /// Orders that were made since a moment and have ended: the newest `limit` of those that failed, and of those that
    /// brought a certificate.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn recent(&self, since: Timestamp, limit: u32) -> Result<Recent, Error> {
        let first = first_id(since);
        Ok(Recent {
            failed: rows!(self, FailedOrder, FAILED_SINCE, first.as_str(), i64::from(limit))?,
            issued: rows!(self, IssuedOrder, ISSUED_SINCE, first.as_str(), i64::from(limit))?,
        })
    }
}

pub(crate) const FAILED_SINCE: &str = "SELECT o.id, o.account_id, o.names, o.created_at, o.error,
            (SELECT a.error FROM order_authz l JOIN authz a ON a.id = l.authz_id
             WHERE l.order_id = o.id AND a.status = 'invalid' AND a.error IS NOT NULL
             ORDER BY l.position LIMIT 1) AS failure
     FROM orders o WHERE o.status = 'invalid' AND o.id >= $1 ORDER BY o.id DESC LIMIT $2";

pub(crate) const ISSUED_SINCE: &str = "SELECT o.id, o.names, o.created_at
     FROM orders o WHERE o.status = 'valid' AND o.id >= $1 ORDER BY o.id DESC LIMIT $2";

impl Record for FailedOrder {
    fn read(row: &impl Columns) -> Result<Self, Error> {
        Ok(Self {
            order: row.word("id", OrderId::parse)?,
            account: row.word("account_id", AccountId::parse)?,
            names: row.text("names")?.split(',').map(str::to_owned).collect(),
            at: row.time("created_at")?,
            failure: row.json_or_null("failure")?,
            problem: row.json_or_null("error")?,
        })
    }
}

impl Record for IssuedOrder {
    fn read(row: &impl Columns) -> Result<Self, Error> {
        Ok(Self {
            order: row.word("id", OrderId::parse)?,
            names: row.text("names")?.split(',').map(str::to_owned).collect(),
            at: row.time("created_at")?,
        })
    }
}
