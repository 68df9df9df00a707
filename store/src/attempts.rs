//! What validations came to lately, over all names: those that succeeded with whom they asked, those that failed with their
//! evidence, and those that fail and are tried again. Authorizations are found by their age, which their ids begin with.

use acme::failure::{Evidence, Failure};
use acme::identifier::{Identifier, Wire};
use acme::time::Timestamp;

use crate::error::Error;
use crate::sql::{Columns, Record, first_id, rows};
use crate::store::Store;

/// One validation that was tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Tried {
    /// What was to be shown.
    pub identifier: Identifier,
    /// The names of the order that made it; none of an authorization that was made before any order.
    pub names: Option<Vec<String>>,
    /// When it ended, or when its client asked for it.
    pub at: Timestamp,
    /// What came of it: the evidence of a success, or the last failure.
    pub outcome: Result<Evidence, Failure>,
}

impl Store {
    /// Validations of authorizations that were made since a moment, the newest first, at most so many. One that succeeded
    /// does not say how often it failed before.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn validations_since(&self, since: Timestamp, limit: u32) -> Result<Vec<Tried>, Error> {
        rows!(self, Tried, TRIED, first_id(since).as_str(), i64::from(limit))
    }
}

pub(crate) const TRIED: &str =
    "SELECT a.identifier_type, a.identifier_value, a.status, a.attempted_at, a.validated_at,
            a.created_at, a.error, a.evidence, (SELECT o.names FROM orders o WHERE o.id = a.order_id) AS names
     FROM authz a
     WHERE a.id >= $1 AND (a.error IS NOT NULL OR a.status = 'valid')
     ORDER BY a.id DESC LIMIT $2";

impl Record for Tried {
    fn read(row: &impl Columns) -> Result<Self, Error> {
        let wire = Wire { kind: row.string("identifier_type")?, value: row.string("identifier_value")? };
        let identifier = Identifier::parse(&wire).map_err(|problem| Error::column("identifier", problem))?;
        let created_at = row.time("created_at")?;
        let outcome = match row.json_or_null::<Failure>("error")? {
            Some(failure) => Err(failure),
            None => Ok(row.json_or_null("evidence")?.unwrap_or_default()),
        };
        let ended = row.time_or_null("validated_at")?.or(row.time_or_null("attempted_at")?);
        Ok(Self {
            identifier,
            names: row.string_or_null("names")?.map(|names| names.split(',').map(str::to_owned).collect()),
            at: ended.unwrap_or(created_at),
            outcome,
        })
    }
}
