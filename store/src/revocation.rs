//! What is revoked, RFC 8555 7.6; which keys are blocked; and the numbers of the lists that say so, RFC 5280 5. Why and
//! by whom is decided above.

use acme::id::{AccountId, Serial};
use acme::revocation::Reason;
use acme::time::Timestamp;

use crate::audit::AuditEvent;
use crate::certificate::Certificate;
use crate::error::Error;
use crate::sql::{Columns, Record, execute, find, one, row, rows};
use crate::store::Store;
use crate::write::{Change, Tx};

/// Revokes certificates, and blocks a key, in one commit. A certificate that is revoked already stays as it is, unless
/// the new reason is the compromise of its key, which then takes the old one's place. Intents are revoked too: they may
/// have been signed. A crash after it leaves all of it; a server that knew nothing of it learns by the revision.
#[derive(Clone, Debug)]
pub struct Revoke {
    /// Which certificates.
    pub certificates: Vec<One>,
    /// The key that is accepted nowhere any more.
    pub blocked: Option<Block>,
    /// When.
    pub at: Timestamp,
}

/// One certificate that is to be revoked.
#[derive(Clone, Debug)]
pub struct One {
    /// Which.
    pub serial: Serial,
    /// Why.
    pub reason: Reason,
    /// What the trail says, if this changes anything.
    pub audit: AuditEvent,
}

/// A key that is to be blocked.
#[derive(Clone, Debug)]
pub struct Block {
    /// The SHA-256 of its SubjectPublicKeyInfo.
    pub spki: [u8; 32],
    /// What the trail says, if it was not blocked before.
    pub audit: AuditEvent,
}

/// What [`Revoke`] changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revoked {
    /// The certificates that were not revoked before, or not for this reason.
    pub serials: Vec<Serial>,
    /// Whether the key was not blocked before.
    pub key: bool,
}

impl Change for Revoke {
    type Outcome = Revoked;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Revoked, Error> {
        let at = self.at.unix();
        let mut revoked = Revoked::default();
        for one in &self.certificates {
            if execute!(tx, REVOKE, one.serial.as_str(), one.reason.as_str(), at)? == 1 {
                tx.record(&one.audit);
                revoked.serials.push(one.serial.clone());
            }
        }
        if let Some(block) = &self.blocked {
            let made = execute!(
                tx,
                "INSERT INTO blocked_key (spki, blocked_at) VALUES ($1, $2) ON CONFLICT (spki) DO NOTHING",
                block.spki.as_slice(),
                at,
            )?;
            if made == 1 {
                tx.record(&block.audit);
                revoked.key = true;
            }
        }
        if revoked != Revoked::default() {
            execute!(
                tx,
                "INSERT INTO revision (what, number) VALUES ('revocation', 1)
                 ON CONFLICT (what) DO UPDATE SET number = revision.number + 1",
            )?;
        }
        Ok(revoked)
    }
}

pub(crate) const REVOKE: &str =
    "UPDATE certificate SET revoked_at = COALESCE(revoked_at, $3), revocation_reason = $2
     WHERE serial = $1 AND status <> 'abandoned'
       AND (revoked_at IS NULL OR $2 = 'keyCompromise' AND revocation_reason <> 'keyCompromise')";

/// Takes the next number for a list of an issuer, before it is signed. A crash after it leaves a number that is never
/// used, as does a key that fails. A conflict: another server took it.
#[derive(Clone, Debug)]
pub struct NextCrl {
    /// Whose list.
    pub issuer: String,
    /// When it is made.
    pub this_update: Timestamp,
    /// When there is a later one at the latest.
    pub next_update: Timestamp,
    /// What the trail says.
    pub audit: AuditEvent,
}

/// A number for a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrlNumber {
    /// Above all earlier ones, and not below the seconds since 1970: so it is above those, too, that a store which was
    /// restored from a backup has forgotten.
    pub number: i64,
    /// When the list before it was made.
    pub before: Option<Timestamp>,
}

impl Change for NextCrl {
    type Outcome = CrlNumber;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<CrlNumber, Error> {
        let issuer = self.issuer.as_str();
        let last = find!(tx, Last, "SELECT number, this_update FROM crl WHERE issuer = $1", issuer)?;
        let least = last.as_ref().map_or(1, |last| last.number + 1);
        let number = least.max(self.this_update.unix());
        let changed = execute!(
            tx,
            "INSERT INTO crl (issuer, number, this_update, next_update) VALUES ($1, $2, $3, $4)
             ON CONFLICT (issuer) DO UPDATE
             SET number = excluded.number, this_update = excluded.this_update, next_update = excluded.next_update
             WHERE crl.number < excluded.number",
            issuer,
            number,
            self.this_update.unix(),
            self.next_update.unix(),
        )?;
        one(changed, || Error::conflict("list of issuer", &self.issuer, "as it was"))?;
        tx.record(&self.audit);
        Ok(CrlNumber { number, before: last.map(|last| last.this_update) })
    }
}

/// A line of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Which certificate.
    pub serial: Serial,
    /// Since when.
    pub at: Timestamp,
    /// Why.
    pub reason: Reason,
}

/// The last list of an issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Whose.
    pub issuer: String,
    /// When it was made.
    pub this_update: Timestamp,
    /// When there is a later one at the latest.
    pub next_update: Timestamp,
}

impl Store {
    /// How often a certificate was revoked or a key blocked: one read by which a server sees that somebody else did.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn revocations(&self) -> Result<i64, Error> {
        let revision: Option<Revision> = row!(self, Revision, REVISION)?;
        Ok(revision.map_or(0, |Revision(number)| number))
    }

    /// What an issuer's list holds: revoked certificates that did not end before `ended`, in the order of their
    /// revocation.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn revoked(&self, issuer: &str, ended: Timestamp) -> Result<Vec<Line>, Error> {
        let lines: Result<Vec<Line>, Error> = rows!(self, Line, REVOKED, issuer, ended.unix());
        let mut lines = lines?;
        lines.sort_unstable_by(|a, b| (a.at, &a.serial).cmp(&(b.at, &b.serial)));
        Ok(lines)
    }

    /// The lists that were made last: of which issuer, from when, and until when one of a later date is promised.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn lists(&self) -> Result<Vec<List>, Error> {
        rows!(self, List, "SELECT issuer, this_update, next_update FROM crl ORDER BY issuer")
    }

    /// The keys that are accepted nowhere: SHA-256 of their SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn blocked_keys(&self) -> Result<Vec<[u8; 32]>, Error> {
        let keys: Result<Vec<Key>, Error> = rows!(self, Key, "SELECT spki FROM blocked_key");
        Ok(keys?.into_iter().map(|Key(spki)| spki).collect())
    }

    /// Certificates and intents of a key that do not end before `now`, revoked ones among them.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn certificates_of_key(
        &self,
        spki: &[u8; 32],
        now: Timestamp,
    ) -> Result<Vec<Certificate>, Error> {
        rows!(self, Certificate, OF_KEY, spki.as_slice(), now.unix())
    }

    /// Certificates that an account ordered and that do not end before `now`, newest first, revoked ones among them. It
    /// reads every row, so it is for `ca-ctl` and not for a request.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn certificates_of_account(
        &self,
        account: &AccountId,
        now: Timestamp,
    ) -> Result<Vec<Certificate>, Error> {
        rows!(self, Certificate, OF_ACCOUNT, account.as_str(), now.unix())
    }
}

pub(crate) const REVISION: &str = "SELECT number FROM revision WHERE what = 'revocation'";

pub(crate) const REVOKED: &str = "SELECT serial, revoked_at, revocation_reason FROM certificate
     WHERE issuer = $1 AND revoked_at IS NOT NULL AND not_after >= $2";

pub(crate) const OF_KEY: &str = concat!(
    "SELECT ",
    crate::certificate::columns!(),
    " FROM certificate c WHERE c.spki = $1 AND c.not_after >= $2 AND c.status <> 'abandoned'"
);

const OF_ACCOUNT: &str = concat!(
    "SELECT ",
    crate::certificate::columns!(),
    " FROM certificate c WHERE c.account_id = $1 AND c.not_after >= $2 AND c.status = 'issued'
     ORDER BY c.issued_at DESC, c.serial"
);

struct Last {
    number: i64,
    this_update: Timestamp,
}

impl Record for Last {
    fn read(row: &impl Columns) -> Result<Self, Error> {
        Ok(Self { number: number(row, "number")?, this_update: row.time("this_update")? })
    }
}

impl Record for List {
    fn read(row: &impl Columns) -> Result<Self, Error> {
        Ok(Self {
            issuer: row.string("issuer")?,
            this_update: row.time("this_update")?,
            next_update: row.time("next_update")?,
        })
    }
}

struct Revision(i64);

impl Record for Revision {
    fn read(row: &impl Columns) -> Result<Self, Error> {
        Ok(Self(number(row, "number")?))
    }
}

struct Key([u8; 32]);

impl Record for Key {
    fn read(row: &impl Columns) -> Result<Self, Error> {
        let spki = row.blob("spki")?;
        Ok(Self(spki.try_into().map_err(|_| Error::column("spki", "it has not 32 octets"))?))
    }
}

impl Record for Line {
    fn read(row: &impl Columns) -> Result<Self, Error> {
        Ok(Self {
            serial: row.word("serial", Serial::parse)?,
            at: row.time("revoked_at")?,
            reason: row.word("revocation_reason", Reason::parse)?,
        })
    }
}

fn number(row: &impl Columns, name: &str) -> Result<i64, Error> {
    row.number_or_null(name)?.ok_or_else(|| Error::column(name, "it is empty"))
}
