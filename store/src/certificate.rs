//! Certificates and the chains of their issuers, as they are kept and read. They are never deleted. How they come to be
//! is in [`crate::issuance`].

use acme::id::{AccountId, OrderId, Serial};
use acme::renewal_info::Window;
use acme::revocation::Reason;
use acme::time::Timestamp;

use crate::error::Error;
use crate::sql::{Columns, Record, containing, row, rows};
use crate::store::Store;

macro_rules! columns {
    () => {
        "c.serial, c.order_id, c.account_id, c.purpose, c.names, c.issuer, c.spki, c.status, c.tbs, c.der, \
         c.not_before, c.not_after, c.created_at, c.issued_at, c.superseded_by, c.revoked_at, \
         c.revocation_reason, c.polled_at, c.asked_start, c.asked_end"
    };
}
pub(crate) use columns;

/// What a certificate was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A client's order.
    Acme,
    /// Our own listeners.
    Server,
}

/// How far a certificate came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CertificateStatus {
    /// We were about to sign it.
    Intended,
    /// It was signed and kept.
    Issued,
    /// We were about to sign it, and whether we did is not known; nobody was given it.
    Abandoned,
}

/// A certificate, or the intent to sign one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Its serial number.
    pub serial: Serial,
    /// The order that it was made for.
    pub order: Option<OrderId>,
    /// The account of that order.
    pub account: Option<AccountId>,
    /// What it was made for.
    pub purpose: Purpose,
    /// Its names as `acme::identifier::name_set`.
    pub names: String,
    /// The id of the [`Issuer`] that signs it.
    pub issuer: String,
    /// The SHA-256 of its SubjectPublicKeyInfo.
    pub spki: [u8; 32],
    /// How far it came.
    pub status: CertificateStatus,
    /// The to-be-signed bytes, while it is intended.
    pub tbs: Option<Vec<u8>>,
    /// The certificate, once it is issued.
    pub der: Option<Vec<u8>>,
    /// From when it holds.
    pub not_before: Timestamp,
    /// Until when it holds.
    pub not_after: Timestamp,
    /// When the intent was written down.
    pub created_at: Timestamp,
    /// When it was signed.
    pub issued_at: Option<Timestamp>,
    /// The certificate that took its place.
    pub superseded_by: Option<Serial>,
    /// Since when, and why, it must not be trusted any more.
    pub revocation: Option<Revocation>,
    /// When a client last asked when to renew it (RFC 9773).
    pub polled_at: Option<Timestamp>,
    /// The window in which the operator wants it renewed.
    pub asked: Option<Window>,
}

/// That a certificate is revoked, RFC 5280 5.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Since when.
    pub at: Timestamp,
    /// Why.
    pub reason: Reason,
}

/// A certificate authority that signs, or once signed, for us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// Its name; the caller's choice, the same for the same certificate.
    pub id: String,
    /// Its certificate in DER.
    pub certificate: Vec<u8>,
    /// What clients are given after the leaf, in PEM.
    pub chain: String,
    /// When it was first seen.
    pub created_at: Timestamp,
}

/// Which certificates are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Every one that was ever issued.
    All,
    /// Those that no other has taken the place of.
    Current,
}

impl Store {
    /// The certificate with this serial, in whatever state.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn certificate(&self, serial: &Serial) -> Result<Option<Certificate>, Error> {
        row!(
            self,
            Certificate,
            concat!("SELECT ", columns!(), " FROM certificate c WHERE c.serial = $1"),
            serial.as_str()
        )
    }

    /// The certificate with this serial and the chain of its own issuer in PEM; one read.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn certificate_with_chain(
        &self,
        serial: &Serial,
    ) -> Result<Option<(Certificate, String)>, Error> {
        row!(
            self,
            (Certificate, String),
            concat!(
                "SELECT ",
                columns!(),
                ", i.chain FROM certificate c JOIN issuer i ON i.id = c.issuer WHERE c.serial = $1"
            ),
            serial.as_str()
        )
    }

    /// Issued certificates whose names hold the text `part` (all, if there is none), newest first.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn certificates(
        &self,
        which: Which,
        part: Option<&str>,
        limit: u32,
        offset: u32,
    ) -> Result<Vec<Certificate>, Error> {
        rows!(
            self,
            Certificate,
            concat!(
                "SELECT ",
                columns!(),
                r" FROM certificate c
                   WHERE c.status = 'issued' AND ($1 OR c.superseded_by IS NULL) AND c.names LIKE $2 ESCAPE '\'
                   ORDER BY c.issued_at DESC, c.serial LIMIT $3 OFFSET $4"
            ),
            which == Which::All,
            containing(part.unwrap_or_default()),
            i64::from(limit),
            i64::from(offset),
        )
    }

    /// Issued certificates that are for `name`, alone or among others, newest first. It reads every row, so it is for
    /// `ca-ctl` and not for a request.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn certificates_of_name(&self, name: &str, limit: u32) -> Result<Vec<Certificate>, Error> {
        rows!(
            self,
            Certificate,
            concat!(
                "SELECT ",
                columns!(),
                r" FROM certificate c
                   WHERE c.status = 'issued' AND ',' || c.names || ',' LIKE $1 ESCAPE '\'
                   ORDER BY c.issued_at DESC, c.serial LIMIT $2"
            ),
            containing(&format!(",{name},")),
            i64::from(limit),
        )
    }

    /// Current certificates, without those that are revoked, that end before `not_after`, the first to end first.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn expiring(&self, not_after: Timestamp, limit: u32) -> Result<Vec<Certificate>, Error> {
        rows!(self, Certificate, EXPIRING, not_after.unix(), i64::from(limit))
    }

    /// Intents that were not settled: what start-up abandons.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn intended_certificates(&self, limit: u32) -> Result<Vec<Certificate>, Error> {
        rows!(self, Certificate, INTENDED, i64::from(limit))
    }

    /// The issuer with this id.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn issuer(&self, id: &str) -> Result<Option<Issuer>, Error> {
        row!(self, Issuer, "SELECT id, certificate, chain, created_at FROM issuer WHERE id = $1", id)
    }
}

pub(crate) const EXPIRING: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM certificate c
     WHERE c.status = 'issued' AND c.superseded_by IS NULL AND c.revoked_at IS NULL
       AND c.not_after < $1 ORDER BY c.not_after LIMIT $2"
);

pub(crate) const INTENDED: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM certificate c WHERE c.status = 'intended' ORDER BY c.order_id LIMIT $1"
);

impl Purpose {
    /// The word in the row.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Acme => "acme",
            Self::Server => "server",
        }
    }

    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::Acme, Self::Server].into_iter().find(|purpose| purpose.as_str() == word)
    }
}

impl CertificateStatus {
    /// The word in the row.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Intended => "intended",
            Self::Issued => "issued",
            Self::Abandoned => "abandoned",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Intended, Self::Issued, Self::Abandoned].into_iter().find(|status| status.as_str() == word)
    }
}

impl Record for Certificate {
    fn read(row: &impl Columns) -> Result<Self, Error> {
        Ok(Self {
            serial: row.word("serial", Serial::parse)?,
            order: row.word_or_null("order_id", OrderId::parse)?,
            account: row.word_or_null("account_id", AccountId::parse)?,
            purpose: row.word("purpose", Purpose::parse)?,
            names: row.string("names")?,
            issuer: row.string("issuer")?,
            spki: row.blob("spki")?.try_into().map_err(|_| Error::column("spki", "it has not 32 octets"))?,
            status: row.word("status", CertificateStatus::parse)?,
            tbs: row.bytes_or_null("tbs")?,
            der: row.bytes_or_null("der")?,
            not_before: row.time("not_before")?,
            not_after: row.time("not_after")?,
            created_at: row.time("created_at")?,
            issued_at: row.time_or_null("issued_at")?,
            superseded_by: row.word_or_null("superseded_by", Serial::parse)?,
            revocation: match row.time_or_null("revoked_at")? {
                Some(at) => Some(Revocation { at, reason: row.word("revocation_reason", Reason::parse)? }),
                None => None,
            },
            polled_at: row.time_or_null("polled_at")?,
            asked: row
                .time_or_null("asked_start")?
                .zip(row.time_or_null("asked_end")?)
                .map(|(start, end)| Window { start, end }),
        })
    }
}

impl Record for (Certificate, String) {
    fn read(row: &impl Columns) -> Result<Self, Error> {
        Ok((Certificate::read(row)?, row.string("chain")?))
    }
}

impl Record for Issuer {
    fn read(row: &impl Columns) -> Result<Self, Error> {
        Ok(Self {
            id: row.string("id")?,
            certificate: row.blob("certificate")?,
            chain: row.string("chain")?,
            created_at: row.time("created_at")?,
        })
    }
}
