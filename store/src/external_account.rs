//! Keys that the operator gives out, by which a new account shows whose it is: external account binding, RFC 8555 7.3.4.
//! What the limits of a key mean is known above; here they are words.

use std::fmt;

use acme::id::{AccountId, ExternalAccountId};
use acme::time::Timestamp;

use crate::audit::AuditEvent;
use crate::error::Error;
use crate::sql::{Columns, Record, execute, json_or_null, one, row, rows};
use crate::store::Store;
use crate::write::{Change, Tx};

macro_rules! columns {
    () => {
        "e.id AS e_id, e.label AS e_label, e.mac_key AS e_mac_key, e.allow AS e_allow, e.profiles AS e_profiles, \
         e.reusable AS e_reusable, e.created_at AS e_created_at, e.expires_at AS e_expires_at, \
         e.revoked_at AS e_revoked_at, e.bound_at AS e_bound_at"
    };
}
pub(crate) use columns as external_columns;

/// A key, with what it is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalAccount {
    /// Its name, which clients send as `kid`.
    pub id: ExternalAccountId,
    /// Whom it was made for, in the operator's words.
    pub label: String,
    /// The key itself.
    pub mac_key: MacKey,
    /// What its accounts may ask for, as rules of the policy; `None` is whatever the policy allows.
    pub allow: Option<Vec<String>>,
    /// The profiles that they may ask for, the first for orders that name none; `None` is every one.
    pub profiles: Option<Vec<String>>,
    /// Whether more than one account may be made with it.
    pub reusable: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when it makes accounts; those that it made stay.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked: since then it makes no account, and its accounts order nothing.
    pub revoked_at: Option<Timestamp>,
    /// When the last account was made with it.
    pub bound_at: Option<Timestamp>,
}

/// A key of a MAC. It does not show itself.
#[derive(Clone, PartialEq, Eq)]
pub struct MacKey(pub Vec<u8>);

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey(…)")
    }
}

impl ExternalAccount {
    /// Why it makes no account now, if so.
    pub fn refusal(&self, now: Timestamp) -> Option<String> {
        if self.revoked_at.is_some() {
            return Some("was revoked".to_owned());
        }
        if let Some(end) = self.expires_at.filter(|end| *end <= now) {
            return Some(format!("expired at {end}"));
        }
        (self.bound_at.is_some() && !self.reusable).then(|| "has made its account already".to_owned())
    }
}

/// Keeps a new key. A crash after it leaves a key that nobody was told of.
#[derive(Clone, Debug)]
pub struct CreateExternalAccount {
    /// The key.
    pub key: ExternalAccount,
    /// What the trail says.
    pub audit: AuditEvent,
}

impl Change for CreateExternalAccount {
    type Outcome = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let key = &self.key;
        execute!(
            tx,
            "INSERT INTO external_account (id, label, mac_key, allow, profiles, reusable, created_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            key.id.as_str(),
            key.label.as_str(),
            key.mac_key.0.as_slice(),
            json_or_null(key.allow.as_ref())?,
            json_or_null(key.profiles.as_ref())?,
            key.reusable,
            key.created_at.unix(),
            key.expires_at.map(Timestamp::unix),
        )?;
        tx.record(&self.audit);
        Ok(())
    }
}

/// Revokes a key. A crash after it leaves it revoked. A conflict: it was revoked before, or there is none.
#[derive(Clone, Debug)]
pub struct RevokeExternalAccount {
    /// Which key.
    pub id: ExternalAccountId,
    /// When.
    pub now: Timestamp,
    /// What the trail says.
    pub audit: AuditEvent,
}

impl Change for RevokeExternalAccount {
    type Outcome = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let changed = execute!(
            tx,
            "UPDATE external_account SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL",
            self.id.as_str(),
            self.now.unix(),
        )?;
        one(changed, || Error::conflict("external account key", &self.id, "there and unrevoked"))?;
        tx.record(&self.audit);
        Ok(())
    }
}

/// Marks a key as used by an account that is made in the same change.
pub(crate) async fn bind(tx: &mut Tx<'_>, id: &ExternalAccountId, now: Timestamp) -> Result<(), Error> {
    let changed = execute!(
        tx,
        "UPDATE external_account SET bound_at = $2
         WHERE id = $1 AND revoked_at IS NULL AND (bound_at IS NULL OR reusable)
           AND (expires_at IS NULL OR expires_at > $2)",
        id.as_str(),
        now.unix(),
    )?;
    one(changed, || Error::conflict("external account key", id, "free to make an account"))
}

impl Store {
    /// The key with this name.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn external_account(&self, id: &ExternalAccountId) -> Result<Option<ExternalAccount>, Error> {
        row!(
            self,
            ExternalAccount,
            concat!("SELECT ", columns!(), " FROM external_account e WHERE e.id = $1"),
            id.as_str()
        )
    }

    /// Every key, oldest first, each with the accounts that were made with it.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn external_accounts(&self) -> Result<Vec<(ExternalAccount, Vec<AccountId>)>, Error> {
        let rows: Result<Vec<Joined>, Error> = rows!(
            self,
            Joined,
            concat!(
                "SELECT ",
                columns!(),
                ", a.id AS account_id FROM external_account e
                 LEFT JOIN account a ON a.external_account = e.id ORDER BY e.id, a.id"
            ),
        );
        let mut keys: Vec<(ExternalAccount, Vec<AccountId>)> = Vec::new();
        for Joined(key, account) in rows? {
            match keys.last_mut() {
                Some((last, accounts)) if last.id == key.id => accounts.extend(account),
                _ => keys.push((key, account.into_iter().collect())),
            }
        }
        Ok(keys)
    }
}

struct Joined(ExternalAccount, Option<AccountId>);

impl Record for ExternalAccount {
    fn read(row: &impl Columns) -> Result<Self, Error> {
        Ok(Self {
            id: row.word("e_id", ExternalAccountId::parse)?,
            label: row.string("e_label")?,
            mac_key: MacKey(row.blob("e_mac_key")?),
            allow: row.json_or_null("e_allow")?,
            profiles: row.json_or_null("e_profiles")?,
            reusable: row.flag("e_reusable")?,
            created_at: row.time("e_created_at")?,
            expires_at: row.time_or_null("e_expires_at")?,
            revoked_at: row.time_or_null("e_revoked_at")?,
            bound_at: row.time_or_null("e_bound_at")?,
        })
    }
}

impl Record for Joined {
    fn read(row: &impl Columns) -> Result<Self, Error> {
        Ok(Self(ExternalAccount::read(row)?, row.word_or_null("account_id", AccountId::parse)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_makes_no_account_says_why() {
        let at = Timestamp::from_unix;
        let key = ExternalAccount {
            id: ExternalAccountId::mint(at(0), [0; acme::id::ID_RANDOM]),
            label: String::new(),
            mac_key: MacKey(vec![0; 32]),
            allow: None,
            profiles: None,
            reusable: false,
            created_at: at(0),
            expires_at: Some(at(10)),
            revoked_at: None,
            bound_at: None,
        };
        assert_eq!(key.refusal(at(9)), None);
        assert_eq!(key.refusal(at(10)).as_deref(), Some("expired at 1970-01-01T00:00:10Z"));
        let used = ExternalAccount { bound_at: Some(at(1)), ..key.clone() };
        assert!(used.refusal(at(2)).unwrap().contains("its account already"));
        assert_eq!(ExternalAccount { reusable: true, ..used }.refusal(at(2)), None);
        assert!(
            ExternalAccount { revoked_at: Some(at(1)), ..key }.refusal(at(2)).unwrap().contains("revoked")
        );
    }
}
