//! What is kept for RFC 9773: when clients last asked, which window the operator asked for, and which certificate an order
//! replaces.

use acme::cadence::{LOOKED_AT, Past};
use acme::id::{AccountId, OrderId, Serial};
use acme::renewal_info::{CertificateId, Facts, Window};
use acme::time::Timestamp;

use crate::audit::AuditEvent;
use crate::certificate::Certificate;
use crate::error::Error;
use crate::script::{Script, Values, statement};
use crate::sql::{Columns, Record, execute, row, rows};
use crate::store::Store;
use crate::write::{Change, Tx};

impl Certificate {
    /// What its window follows from.
    pub fn facts(&self) -> Facts<'_> {
        Facts {
            serial: &self.serial,
            not_before: self.not_before,
            not_after: self.not_after,
            revoked_at: self.revocation.map(|revocation| revocation.at),
            asked: self.asked,
        }
    }
}

/// A certificate that a new order names as its predecessor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Predecessor {
    /// Whose it is.
    pub account: Option<AccountId>,
    /// Its names as `acme::identifier::name_set`.
    pub names: String,
    /// Who signed it.
    pub issuer: String,
    /// The valid order that replaced it, if one did.
    pub replaced_by: Option<OrderId>,
}

impl Store {
    /// What newOrder must know of the certificate that it is to replace; one read. Which issuer's it is, the caller
    /// compares.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn predecessor(&self, id: &CertificateId) -> Result<Option<Predecessor>, Error> {
        row!(self, Predecessor, PREDECESSOR, id.serial().as_str(), id.as_str())
    }

    /// The latest certificates of an account for this set of names, newest first, as many as
    /// [`acme::cadence::too_short`] looks at.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn issued_before(&self, names: &str, account: &AccountId) -> Result<Vec<Past>, Error> {
        let limit = i64::try_from(LOOKED_AT).expect("a handful");
        rows!(self, Past, BEFORE, names, account.as_str(), limit)
    }
}

/// Keeps when clients last asked about certificates, and when they first fetched them: a whole batch in one change. How
/// often they ask is learnt on the way. A crash after it leaves it kept, one before it loses a minute of signs of life.
/// What it does not find it leaves out.
#[derive(Clone, Debug, Default)]
pub struct RecordPolls {
    /// Which certificate was asked about, and when.
    pub polls: Vec<(Serial, Timestamp)>,
    /// Which was fetched, and when. Only the first time is kept.
    pub downloads: Vec<(Serial, Timestamp)>,
}

impl Change for RecordPolls {
    type Outcome = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        for (signs, sql) in [(&self.polls, POLLED), (&self.downloads, DOWNLOADED)] {
            for some in signs.chunks(CHUNK) {
                let mut values = Values::default();
                let rows =
                    values.rows(some.iter().map(|(serial, at)| [serial.as_str().into(), at.unix().into()]));
                tx.execute(sql.replace("ROWS", &rows), values.0).await?;
            }
        }
        Ok(())
    }
}

/// Keeps the windows that the operator asked for. Only of certificates that are issued and have no successor; a later
/// wish takes the place of an earlier one. A crash after it leaves all of them with their rows in the trail.
#[derive(Clone, Debug)]
pub struct AskRenewals {
    /// Which certificates, in which windows, and what the trail says of each.
    pub wishes: Vec<(Serial, Window, AuditEvent)>,
}

impl Change for AskRenewals {
    /// Those that were there to be asked for.
    type Outcome = Vec<Serial>;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Vec<Serial>, Error> {
        let mut asked = Vec::new();
        for (serial, window, audit) in &self.wishes {
            let (start, end) = (window.start.unix(), window.end.unix());
            if execute!(tx, ASK, serial.as_str(), start, end)? == 1 {
                tx.record(audit);
                asked.push(serial.clone());
            }
        }
        Ok(asked)
    }
}

/// The last statement of an issuance: what the new certificate takes the place of.
pub(crate) fn supersede(
    script: &mut Script,
    serial: &Serial,
    names: &str,
    purpose: &'static str,
    replaces: Option<&CertificateId>,
) {
    let serial = serial.as_str();
    match replaces {
        None => statement!(script, SUPERSEDE, serial, names, purpose),
        Some(old) => {
            statement!(script, SUPERSEDE_TOO, serial, names, purpose, old.serial().as_str(), old.key_id());
        }
    }
}

pub(crate) const SUPERSEDE: &str = "UPDATE certificate SET superseded_by = $1
     WHERE names = $2 AND purpose = $3 AND serial <> $1 AND status = 'issued' AND superseded_by IS NULL";

/// The same with the certificate that the order named, whatever its names. It was judged when the order was made; one of
/// another issuer is none of ours, though its serial may be.
pub(crate) const SUPERSEDE_TOO: &str = "UPDATE certificate SET superseded_by = $1
     WHERE serial IN (SELECT serial FROM certificate
                      WHERE names = $2 AND status = 'issued' AND superseded_by IS NULL
                      UNION ALL SELECT serial FROM certificate WHERE serial = $4 AND issuer = $5)
       AND purpose = $3 AND serial <> $1 AND status = 'issued' AND superseded_by IS NULL";

pub(crate) const PREDECESSOR: &str = "SELECT c.account_id, c.names, c.issuer,
         (SELECT o.id FROM orders o WHERE o.replaces = $2 AND o.status IN ('valid', 'processing') LIMIT 1) AS replaced_by
     FROM certificate c WHERE c.serial = $1 AND c.status = 'issued'";

pub(crate) const BEFORE: &str = "SELECT issued_at, not_before, not_after FROM (
         SELECT issued_at, not_before, not_after, account_id FROM certificate
         WHERE names = $1 AND status = 'issued' AND superseded_by IS NULL
         UNION ALL SELECT issued_at, not_before, not_after, account_id FROM (
             SELECT issued_at, not_before, not_after, account_id FROM certificate
             WHERE names = $1 AND status = 'issued' AND superseded_by IS NOT NULL AND account_id = $2
             ORDER BY issued_at DESC LIMIT $3) n) n
     WHERE account_id = $2 ORDER BY issued_at DESC LIMIT $3";

/// How often a client polls is the mean of the distances, the later the heavier. One that tries again at once, or comes
/// back after an outage, does not change what is known of it by much. The numbers are those of `acme::attention`.
pub(crate) const POLLED: &str = "WITH polls (serial, at) AS (VALUES ROWS),
     learnt (serial, at, every, fresh) AS (
         SELECT c.serial, p.at, CASE
                    WHEN c.polled_at IS NULL OR p.at - c.polled_at < 600 THEN c.polled_every
                    WHEN c.polled_every IS NULL AND p.at - c.polled_at > 604800 THEN 604800
                    WHEN c.polled_every IS NULL THEN p.at - c.polled_at
                    WHEN p.at - c.polled_at > 3 * c.polled_every THEN 3 * c.polled_every / 2
                    ELSE (3 * c.polled_every + p.at - c.polled_at) / 4 END,
                c.fresh_until
         FROM polls p CROSS JOIN certificate c WHERE c.serial = p.serial)
     UPDATE certificate SET polled_at = learnt.at, polled_every = learnt.every,
         attention_at = CASE
             WHEN learnt.at + CASE WHEN 3 * learnt.every > 129600 THEN 3 * learnt.every ELSE 129600 END < learnt.fresh
             THEN learnt.at + CASE WHEN 3 * learnt.every > 129600 THEN 3 * learnt.every ELSE 129600 END
             ELSE learnt.fresh END
     FROM learnt WHERE certificate.serial = learnt.serial";

pub(crate) const DOWNLOADED: &str = "WITH fetched (serial, at) AS (VALUES ROWS)
     UPDATE certificate SET downloaded_at = fetched.at FROM fetched
     WHERE certificate.serial = fetched.serial AND certificate.downloaded_at IS NULL";

pub(crate) const ASK: &str = "UPDATE certificate SET asked_start = $2, asked_end = $3,
         fresh_until = CASE WHEN $2 < fresh_until THEN $2 ELSE fresh_until END,
         attention_at = CASE WHEN $2 < attention_at THEN $2 ELSE attention_at END
     WHERE serial = $1 AND status = 'issued' AND superseded_by IS NULL";

/// How many polls or downloads one statement keeps.
const CHUNK: usize = 250;

impl Record for Predecessor {
    fn read(row: &impl Columns) -> Result<Self, Error> {
        Ok(Self {
            account: row.word_or_null("account_id", AccountId::parse)?,
            names: row.string("names")?,
            issuer: row.string("issuer")?,
            replaced_by: row.word_or_null("replaced_by", OrderId::parse)?,
        })
    }
}

impl Record for Past {
    fn read(row: &impl Columns) -> Result<Self, Error> {
        Ok(Self {
            issued_at: row.time("issued_at")?,
            not_before: row.time("not_before")?,
            not_after: row.time("not_after")?,
        })
    }
}
