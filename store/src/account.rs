//! Accounts, RFC 8555 7.1.2 and 7.3. One key has one account.

use acme::id::{AccountId, ExternalAccountId};
use acme::order::AccountStatus;
use acme::problem::Problem;
use acme::time::Timestamp;

use crate::audit::AuditEvent;
use crate::error::Error;
use crate::external_account::{self, ExternalAccount, external_columns};
use crate::sql::{Columns, Record, execute, find, json, one, row, rows};
use crate::store::Store;
use crate::write::{Change, Tx};

macro_rules! columns {
    () => {
        "account.id, thumbprint, jwk, status, contact, terms_agreed, account.created_at, external_account, binding"
    };
}
/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its name, the end of its URL.
    pub id: AccountId,
    /// The RFC 7638 thumbprint of its key, base64url.
    pub thumbprint: String,
    /// Its public key as JSON.
    pub jwk: String,
    /// Whether it may order.
    pub status: AccountStatus,
    /// Where its owner can be reached, as URLs.
    pub contact: Vec<String>,
    /// Whether its owner agreed to the terms.
    pub terms_agreed: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// The key that the operator gave its owner (RFC 8555 7.3.4).
    pub external_account: Option<ExternalAccountId>,
    /// The binding as its owner sent it: JSON, to be shown again.
    pub binding: Option<String>,
}

/// What became of [`CreateAccount`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NewAccount {
    /// It was made.
    Created,
    /// The key had an account already, this one; nothing was changed.
    Existing(Account),
}

/// Makes an account, unless its key has one (RFC 8555 7.3.1), and marks the external account key that it was made with as
/// used. A crash after it leaves an account whose owner finds it by asking again. A conflict: the external account key
/// makes no account (any more).
#[derive(Clone, Debug)]
pub struct CreateAccount {
    /// The account.
    pub account: Account,
    /// What the trail says when it was made.
    pub audit: AuditEvent,
}

impl Change for CreateAccount {
    type Outcome = NewAccount;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<NewAccount, Error> {
        let account = &self.account;
        let contact = json(&account.contact)?;
        let made = execute!(
            tx,
            "INSERT INTO account (id, thumbprint, jwk, status, contact, terms_agreed, created_at,
                                  external_account, binding)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
             ON CONFLICT (thumbprint) DO NOTHING",
            account.id.as_str(),
            account.thumbprint.as_str(),
            account.jwk.as_str(),
            account.status.as_str(),
            contact.as_str(),
            account.terms_agreed,
            account.created_at.unix(),
            account.external_account.as_ref().map(ExternalAccountId::as_str),
            account.binding.as_deref(),
        )?;
        if made == 1 {
            if let Some(key) = &account.external_account {
                external_account::bind(tx, key, account.created_at).await?;
            }
            tx.record(&self.audit);
            return Ok(NewAccount::Created);
        }
        find!(tx, Account, BY_THUMBPRINT, account.thumbprint.as_str())?
            .map(NewAccount::Existing)
            .ok_or_else(|| Error::conflict("account", &account.id, "new"))
    }
}

/// Replaces the contacts of a valid account (RFC 8555 7.3.2). A crash after it leaves the new ones.
#[derive(Clone, Debug)]
pub struct UpdateAccount {
    /// Which account.
    pub id: AccountId,
    /// The new contacts.
    pub contact: Vec<String>,
}

impl Change for UpdateAccount {
    type Outcome = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let contact = json(&self.contact)?;
        let changed = execute!(
            tx,
            "UPDATE account SET contact = $2 WHERE id = $1 AND status = 'valid'",
            self.id.as_str(),
            contact.as_str(),
        )?;
        one(changed, || Error::conflict("account", &self.id, "valid"))
    }
}

/// Deactivates a valid account (RFC 8555 7.3.6), with its orders that wait and its authorizations that wait or hold. An
/// order that is `processing` is finished: its certificate may be signed already. A crash after it leaves all of it.
#[derive(Clone, Debug)]
pub struct DeactivateAccount {
    /// Which account.
    pub id: AccountId,
    /// What its orders are told.
    pub problem: Problem,
    /// What the trail says.
    pub audit: AuditEvent,
}

impl Change for DeactivateAccount {
    type Outcome = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let (id, now) = (self.id.as_str(), self.audit.at.unix());
        let changed =
            execute!(tx, "UPDATE account SET status = 'deactivated' WHERE id = $1 AND status = 'valid'", id)?;
        one(changed, || Error::conflict("account", &self.id, "valid"))?;
        execute!(
            tx,
            "UPDATE authz SET status = 'deactivated'
             WHERE status = 'pending' AND expires_at > $2 AND id IN (
                 SELECT l.authz_id FROM orders o JOIN order_authz l ON l.order_id = o.id WHERE o.account_id = $1)",
            id,
            now,
        )?;
        execute!(
            tx,
            "UPDATE authz SET status = 'deactivated' WHERE account_id = $1 AND status = 'valid' AND expires_at > $2",
            id,
            now,
        )?;
        // Those of newAuthz that wait are in no order.
        execute!(
            tx,
            "UPDATE authz SET status = 'deactivated'
             WHERE account_id = $1 AND order_id = '' AND status = 'pending' AND expires_at > $2",
            id,
            now,
        )?;
        execute!(
            tx,
            "UPDATE orders SET status = 'invalid', error = $2 WHERE account_id = $1 AND status = 'pending'",
            id,
            json(&self.problem)?,
        )?;
        tx.record(&self.audit);
        Ok(())
    }
}

/// What became of [`ChangeKey`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyChanged {
    /// The account has the new key.
    Changed,
    /// Another account, this one, has the key already; nothing was changed.
    Taken(AccountId),
}

/// Gives a valid account another key (RFC 8555 7.3.5), and remembers the thumbprint of the old one. A crash after it leaves an account that knows the new key alone.
/// A conflict: the account is not valid, or its key is not the old one any more.
#[derive(Clone, Debug)]
pub struct ChangeKey {
    /// Which account.
    pub id: AccountId,
    /// The RFC 7638 thumbprint of its present key.
    pub old_thumbprint: String,
    /// That of the new one.
    pub thumbprint: String,
    /// The new key as canonical JSON.
    pub jwk: String,
    /// What the trail says.
    pub audit: AuditEvent,
}

impl Change for ChangeKey {
    type Outcome = KeyChanged;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<KeyChanged, Error> {
        let other = find!(tx, Account, BY_THUMBPRINT, self.thumbprint.as_str())?;
        if let Some(other) = other {
            return Ok(KeyChanged::Taken(other.id));
        }
        let changed = execute!(
            tx,
            "UPDATE account SET thumbprint = $3, jwk = $4 WHERE id = $1 AND thumbprint = $2 AND status = 'valid'",
            self.id.as_str(),
            self.old_thumbprint.as_str(),
            self.thumbprint.as_str(),
            self.jwk.as_str(),
        )?;
        one(changed, || Error::conflict("account", &self.id, "valid with its old key"))?;
        execute!(
            tx,
            "INSERT INTO account_key (account_id, thumbprint, until) VALUES ($1, $2, $3)
             ON CONFLICT (account_id, thumbprint) DO UPDATE SET until = excluded.until",
            self.id.as_str(),
            self.old_thumbprint.as_str(),
            self.audit.at.unix(),
        )?;
        tx.record(&self.audit);
        Ok(KeyChanged::Changed)
    }
}

impl Store {
    /// The account with this id.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn account(&self, id: &AccountId) -> Result<Option<Account>, Error> {
        row!(self, Account, concat!("SELECT ", columns!(), " FROM account WHERE id = $1"), id.as_str())
    }

    /// The account with this id, and the external account key that it was made with; one read.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn account_with_external(
        &self,
        id: &AccountId,
    ) -> Result<Option<(Account, Option<ExternalAccount>)>, Error> {
        row!(self, (Account, Option<ExternalAccount>), WITH_EXTERNAL, id.as_str())
    }

    /// The thumbprints of all keys that a valid account had, the present one first, then the latest. None: the account is
    /// not valid, or there is none. Records of dns-persist-01 name any of them.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn thumbprints(&self, id: &AccountId) -> Result<Vec<String>, Error> {
        let found: Result<Vec<Thumbprint>, Error> = rows!(self, Thumbprint, THUMBPRINTS, id.as_str());
        Ok(found?.into_iter().map(|Thumbprint(thumbprint)| thumbprint).collect())
    }

    /// The account of the key with this RFC 7638 thumbprint.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn account_by_thumbprint(&self, thumbprint: &str) -> Result<Option<Account>, Error> {
        row!(self, Account, BY_THUMBPRINT, thumbprint)
    }
}

pub(crate) const VALID: &str =
    concat!("SELECT ", columns!(), " FROM account WHERE id = $1 AND status = 'valid'");

const WITH_EXTERNAL: &str = concat!(
    "SELECT ",
    columns!(),
    ", ",
    external_columns!(),
    " FROM account LEFT JOIN external_account e ON e.id = account.external_account WHERE account.id = $1"
);

pub(crate) const BY_THUMBPRINT: &str = concat!("SELECT ", columns!(), " FROM account WHERE thumbprint = $1");

pub(crate) const THUMBPRINTS: &str = "SELECT a.thumbprint, 1 AS present, 0 AS until FROM account a
     WHERE a.id = $1 AND a.status = 'valid'
     UNION ALL
     SELECT k.thumbprint, 0, k.until FROM account_key k JOIN account a ON a.id = k.account_id
     WHERE k.account_id = $1 AND a.status = 'valid'
     ORDER BY present DESC, until DESC";

/// A row of [`THUMBPRINTS`].
struct Thumbprint(String);

impl Record for Thumbprint {
    fn read(row: &impl Columns) -> Result<Self, Error> {
        Ok(Self(row.string("thumbprint")?))
    }
}

impl Record for Account {
    fn read(row: &impl Columns) -> Result<Self, Error> {
        Ok(Self {
            id: row.word("id", AccountId::parse)?,
            thumbprint: row.string("thumbprint")?,
            jwk: row.string("jwk")?,
            status: row.word("status", AccountStatus::parse)?,
            contact: row.json("contact")?,
            terms_agreed: row.flag("terms_agreed")?,
            created_at: row.time("created_at")?,
            external_account: row.word_or_null("external_account", ExternalAccountId::parse)?,
            binding: row.string_or_null("binding")?,
        })
    }
}

impl Record for (Account, Option<ExternalAccount>) {
    fn read(row: &impl Columns) -> Result<Self, Error> {
        let has_one = row.text_or_null("e_id")?.is_some();
        Ok((Account::read(row)?, has_one.then(|| ExternalAccount::read(row)).transpose()?))
    }
}
