//! What a probe must know of the certificates that it is shown: which one was issued under a serial, what took its place,
//! which are there for a name, and where the name led when it was last validated.

use acme::failure::Evidence;
use acme::id::{AccountId, Serial};
use acme::time::Timestamp;

use crate::certificate::{Issuer, Purpose};
use crate::error::Error;
use crate::sql::{Columns, Record, row, rows};
use crate::store::Store;

/// What a probe must know of a certificate whose serial it was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The certificate itself.
    pub der: Vec<u8>,
    /// Who signed it, as the store calls issuers.
    pub issuer: String,
    /// Its names as `acme::identifier::name_set`.
    pub names: String,
    /// Who ordered it.
    pub account: Option<AccountId>,
    /// Since when it must not be trusted, if so.
    pub revoked_at: Option<Timestamp>,
    /// What took its place: that one, and not the newest of all.
    pub successor: Option<Current>,
}

/// A certificate that may be served instead of another; without a successor itself, unless it is named as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Current {
    /// Its serial.
    pub serial: Serial,
    /// Its names as `acme::identifier::name_set`.
    pub names: String,
    /// Who ordered it.
    pub account: Option<AccountId>,
    /// What it was made for.
    pub purpose: Purpose,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// Its beginning.
    pub not_before: Timestamp,
    /// Its end.
    pub not_after: Timestamp,
    /// Since when it must not be trusted, if so.
    pub revoked_at: Option<Timestamp>,
}

impl Store {
    /// The certificate with this serial that was issued, and what took its place.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn issued(&self, serial: &Serial) -> Result<Option<Issued>, Error> {
        row!(self, Issued, ISSUED, serial.as_str())
    }

    /// Certificates without a successor by their names, at most `limit` from the set of names `from` on; those of
    /// `from` itself are among them.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn current(&self, from: &str, limit: u32) -> Result<Vec<Current>, Error> {
        rows!(self, Current, CURRENT, from, i64::from(limit))
    }

    /// Every issuer that signed for us, at present or once. There are few.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn issuers(&self) -> Result<Vec<Issuer>, Error> {
        rows!(self, Issuer, "SELECT id, certificate, chain, created_at FROM issuer ORDER BY created_at, id")
    }

    /// What was done when an account last showed control of a name, while its authorization holds.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn last_evidence(&self, account: &AccountId, name: &str) -> Result<Option<Evidence>, Error> {
        let found: Option<LastEvidence> = row!(self, LastEvidence, LAST_EVIDENCE, account.as_str(), name)?;
        Ok(found.and_then(|LastEvidence(evidence)| evidence))
    }
}

pub(crate) const ISSUED: &str = "SELECT c.der, c.issuer, c.names, c.account_id, c.revoked_at,
         s.serial AS next_serial, s.names AS next_names, s.account_id AS next_account, s.purpose AS next_purpose,
         s.issued_at AS next_issued_at, s.not_before AS next_not_before, s.not_after AS next_not_after,
         s.revoked_at AS next_revoked_at
     FROM certificate c LEFT JOIN certificate s ON s.serial = c.superseded_by AND s.status = 'issued'
     WHERE c.serial = $1 AND c.status = 'issued'";

pub(crate) const CURRENT: &str =
    "SELECT c.serial, c.names, c.account_id, c.purpose, c.issued_at, c.not_before,
         c.not_after, c.revoked_at
     FROM certificate c WHERE c.status = 'issued' AND c.superseded_by IS NULL AND c.names >= $1
     ORDER BY c.names LIMIT $2";

pub(crate) const LAST_EVIDENCE: &str = "SELECT evidence FROM authz
     WHERE account_id = $1 AND identifier_value = $2 AND status = 'valid' ORDER BY expires_at DESC LIMIT 1";

struct LastEvidence(Option<Evidence>);

impl Record for LastEvidence {
    fn read(row: &impl Columns) -> Result<Self, Error> {
        Ok(Self(row.json_or_null("evidence")?))
    }
}

impl Record for Issued {
    fn read(row: &impl Columns) -> Result<Self, Error> {
        let successor = match row.word_or_null("next_serial", Serial::parse)? {
            Some(serial) => Some(Current {
                serial,
                names: row.string("next_names")?,
                account: row.word_or_null("next_account", AccountId::parse)?,
                purpose: row.word("next_purpose", Purpose::parse)?,
                issued_at: row.time("next_issued_at")?,
                not_before: row.time("next_not_before")?,
                not_after: row.time("next_not_after")?,
                revoked_at: row.time_or_null("next_revoked_at")?,
            }),
            None => None,
        };
        Ok(Self {
            der: row.blob("der")?,
            issuer: row.string("issuer")?,
            names: row.string("names")?,
            account: row.word_or_null("account_id", AccountId::parse)?,
            revoked_at: row.time_or_null("revoked_at")?,
            successor,
        })
    }
}

impl Record for Current {
    fn read(row: &impl Columns) -> Result<Self, Error> {
        Ok(Self {
            serial: row.word("serial", Serial::parse)?,
            names: row.string("names")?,
            account: row.word_or_null("account_id", AccountId::parse)?,
            purpose: row.word("purpose", Purpose::parse)?,
            issued_at: row.time("issued_at")?,
            not_before: row.time("not_before")?,
            not_after: row.time("not_after")?,
            revoked_at: row.time_or_null("revoked_at")?,
        })
    }
}
