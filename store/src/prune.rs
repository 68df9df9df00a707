//! What need not be kept: orders that were over long ago, and the authorizations that no other order uses. Certificates
//! and the audit trail stay for ever.

use std::collections::BTreeSet;

use acme::time::Timestamp;

use crate::error::Error;
use crate::script::Values;
use crate::sql::{Columns, Record, execute, returning};
use crate::write::{Change, Tx};

/// Deletes orders that were over before a moment, with the authorizations that only they used. An order with a
/// certificate is over when its certificate is, any other when its time was over, whether it failed or was left lying;
/// one that is `processing` is never touched. It deletes no more than `limit` orders, the longest over first, so that
/// other changes wait only a moment; run it again while it reaches the limit. A crash after it leaves the rest for the
/// next run.
#[derive(Clone, Debug)]
pub struct Prune {
    /// Orders that were over before this go; say, thirty days ago.
    pub before: Timestamp,
    /// At most so many orders.
    pub limit: u32,
}

impl Change for Prune {
    /// How many orders were deleted, and authorizations that never had one.
    type Outcome = u64;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<u64, Error> {
        let before = self.before.unix();
        let limit = i64::from(self.limit);
        let used = returning!(tx, Used, UNLINK, before, limit)?;
        let deleted = execute!(tx, DELETE, before, limit)?;
        let used: BTreeSet<String> = used.into_iter().map(|Used(authorization)| authorization).collect();
        let used: Vec<String> = used.into_iter().collect();
        for some in used.chunks(CHUNK) {
            let mut values = Values::default();
            let list = values.list(some.iter().map(|authorization| authorization.as_str().into()));
            let text = format!(
                "DELETE FROM authz WHERE id IN ({list})
                   AND NOT EXISTS (SELECT 1 FROM order_authz l WHERE l.authz_id = authz.id)"
            );
            tx.execute(text, values.0).await?;
        }
        // Those of newAuthz that no order came to use; in the same bites.
        let alone = execute!(tx, ALONE, before, limit)?;
        Ok(deleted + alone)
    }
}

macro_rules! over {
    () => {
        "(SELECT id FROM orders WHERE expires_at < $1 AND status <> 'processing' ORDER BY expires_at, id LIMIT $2)"
    };
}

pub(crate) const UNLINK: &str =
    concat!("DELETE FROM order_authz WHERE order_id IN ", over!(), " RETURNING authz_id");

pub(crate) const DELETE: &str = concat!("DELETE FROM orders WHERE id IN ", over!());

pub(crate) const ALONE: &str = "DELETE FROM authz WHERE id IN (
    SELECT a.id FROM authz a
    WHERE a.order_id = '' AND a.expires_at < $1
      AND NOT EXISTS (SELECT 1 FROM order_authz l WHERE l.authz_id = a.id)
    ORDER BY a.expires_at LIMIT $2)";

/// How many authorizations one statement deletes at most.
const CHUNK: usize = 500;

/// The id of an authorization that a deleted order used.
struct Used(String);

impl Record for Used {
    fn read(row: &impl Columns) -> Result<Self, Error> {
        Ok(Self(row.string("authz_id")?))
    }
}
