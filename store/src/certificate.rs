//! Certificates: first an intent, then the certificate. The serial and the to-be-signed bytes are kept before the key
//! is used, and the certificate with the order's end and the trail's row in one commit after it. So there is never a
//! certificate that the store does not know, and never two for one order.

use acme::id::{AccountId, OrderId, Serial};
use acme::time::Timestamp;

use crate::audit::{self, AuditEvent};
use crate::error::Error;
use crate::sql::{Columns, Record, containing, execute, one, row, rows};
use crate::store::Store;
use crate::write::{Change, Tx};

macro_rules! columns {
    () => {
        "c.serial, c.order_id, c.account_id, c.purpose, c.names, c.issuer, c.spki, c.status, c.tbs, c.der, \
         c.not_before, c.not_after, c.created_at, c.issued_at, c.superseded_by"
    };
}

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

/// Keeps an issuer, unless it is kept already. A crash after it leaves an issuer without certificates.
#[derive(Clone, Debug)]
pub struct PutIssuer {
    /// The issuer.
    pub issuer: Issuer,
}

impl Change for PutIssuer {
    type Outcome = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        execute!(
            tx,
            "INSERT INTO issuer (id, certificate, chain, created_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (id) DO NOTHING",
            self.issuer.id.as_str(),
            self.issuer.certificate.as_slice(),
            self.issuer.chain.as_str(),
            self.issuer.created_at.unix(),
        )?;
        Ok(())
    }
}

/// Writes down what is about to be signed. The order turns `processing`, for which it must be `pending` with all its
/// authorizations valid at the certificate's `created_at`; or, when it is taken up again, it is `processing` without an
/// intent. A crash after it leaves an intent of which nobody knows whether it was signed: start-up abandons it and takes
/// the order up.
#[derive(Clone, Debug)]
pub struct Intend {
    /// The certificate request in DER, for the order to be taken up after a crash. None for our own certificates.
    pub csr: Option<Vec<u8>>,
    /// The intent, with its order (unless it is our own) and its to-be-signed bytes.
    pub certificate: Certificate,
    /// What the trail says.
    pub audit: AuditEvent,
}

impl Change for Intend {
    type Outcome = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let c = &self.certificate;
        if let Some(order) = &c.order {
            let changed = execute!(
                tx,
                "UPDATE orders SET status = 'processing', csr = COALESCE($2, csr)
                 WHERE id = $1 AND (
                     status = 'pending' AND expires_at > $3 AND NOT EXISTS (
                         SELECT 1 FROM order_authz l JOIN authz a ON a.id = l.authz_id
                         WHERE l.order_id = $1 AND (a.status <> 'valid' OR a.expires_at <= $3))
                     OR status = 'processing' AND NOT EXISTS (
                         SELECT 1 FROM certificate WHERE order_id = $1 AND status = 'intended'))",
                order.as_str(),
                self.csr.as_deref(),
                c.created_at.unix(),
            )?;
            one(changed, || Error::conflict("order", order, "ready, or processing without an intent"))?;
        }
        let made = execute!(
            tx,
            "INSERT INTO certificate (serial, order_id, account_id, purpose, names, issuer, spki, status, tbs,
                                      not_before, not_after, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, 'intended', $8, $9, $10, $11)
             ON CONFLICT (order_id) WHERE status = 'intended' DO NOTHING",
            c.serial.as_str(),
            c.order.as_ref().map(OrderId::as_str),
            c.account.as_ref().map(AccountId::as_str),
            c.purpose.as_str(),
            c.names.as_str(),
            c.issuer.as_str(),
            c.spki.as_slice(),
            c.tbs.as_deref(),
            c.not_before.unix(),
            c.not_after.unix(),
            c.created_at.unix(),
        )?;
        one(made, || Error::conflict("certificate", &c.serial, "the only intent of its order"))?;
        audit::record(tx, &self.audit).await
    }
}

/// Keeps the certificate that was signed: the intent turns `issued`, its order `valid` for as long as the certificate
/// holds, and earlier certificates for the same names and purpose are superseded. A crash after it leaves a certificate
/// that its client fetches when it asks again.
#[derive(Clone, Debug)]
pub struct Issued {
    /// Which intent.
    pub serial: Serial,
    /// The certificate.
    pub der: Vec<u8>,
    /// The order of the intent; none for our own certificates.
    pub order: Option<OrderId>,
    /// The names of the intent.
    pub names: String,
    /// The end of the certificate.
    pub not_after: Timestamp,
    /// When it was signed.
    pub now: Timestamp,
    /// What the trail says.
    pub audit: AuditEvent,
}

impl Change for Issued {
    type Outcome = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let changed = execute!(
            tx,
            "UPDATE certificate SET status = 'issued', tbs = NULL, der = $2, issued_at = $3
             WHERE serial = $1 AND status = 'intended'",
            self.serial.as_str(),
            self.der.as_slice(),
            self.now.unix(),
        )?;
        one(changed, || Error::conflict("certificate", &self.serial, "intended"))?;
        let purpose = match &self.order {
            None => Purpose::Server,
            Some(order) => {
                let changed = execute!(
                    tx,
                    "UPDATE orders SET status = 'valid', serial = $2, csr = NULL, expires_at = $3
                     WHERE id = $1 AND status = 'processing'",
                    order.as_str(),
                    self.serial.as_str(),
                    self.not_after.unix(),
                )?;
                one(changed, || Error::conflict("order", order, "processing"))?;
                Purpose::Acme
            }
        };
        execute!(tx, SUPERSEDE, self.serial.as_str(), self.names.as_str(), purpose.as_str())?;
        audit::record(tx, &self.audit).await
    }
}

pub(crate) const SUPERSEDE: &str = "UPDATE certificate SET superseded_by = $1
     WHERE names = $2 AND purpose = $3 AND serial <> $1 AND status = 'issued' AND superseded_by IS NULL";

/// Gives up an intent of which nobody knows whether it was signed. Its order stays `processing`, so that it is tried
/// anew with a new serial. A crash after it leaves just that.
#[derive(Clone, Debug)]
pub struct Abandon {
    /// Which intent.
    pub serial: Serial,
    /// What the trail says.
    pub audit: AuditEvent,
}

impl Change for Abandon {
    type Outcome = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let changed = execute!(
            tx,
            "UPDATE certificate SET status = 'abandoned', tbs = NULL WHERE serial = $1 AND status = 'intended'",
            self.serial.as_str(),
        )?;
        one(changed, || Error::conflict("certificate", &self.serial, "intended"))?;
        audit::record(tx, &self.audit).await
    }
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

    /// Current certificates that end before `not_after`, the first to end first.
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
     WHERE c.status = 'issued' AND c.superseded_by IS NULL AND c.not_after < $1 ORDER BY c.not_after LIMIT $2"
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

    fn parse(word: &str) -> Option<Self> {
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
