//! External account binding, RFC 8555 7.3.4: a new account shows by a key of the operator's whose it is.

use acme::id::ExternalAccountId;
use acme::message::NewAccount;
use acme::problem::{Kind, Problem, plain};
use acme::time::Timestamp;
use store::account::Account;
use store::external_account::ExternalAccount;

use super::error::Error;
use super::jose::SelfSigned;
use crate::app::App;
use crate::policy::Bounds;

/// The key that a new account is bound to, and the binding as it was sent.
pub(super) struct Bound {
    pub(super) key: ExternalAccountId,
    pub(super) binding: String,
}

/// Judges the binding of a request for a new account.
pub(super) async fn bind(
    app: &App,
    signed: &SelfSigned,
    wanted: &NewAccount,
    now: Timestamp,
) -> Result<Option<Bound>, Error> {
    let Some(sent) = &wanted.external_account_binding else {
        if !app.live().config.accounts.external_account_required {
            return Ok(None);
        }
        let detail = "a new account needs an external account binding; ask the operator for a key \
                      (ca-ctl eab create)";
        return Err(Problem::new(Kind::ExternalAccountRequired, detail).into());
    };
    let binding = signed.binding(sent)?;
    let unknown = || {
        let kid = plain(&binding.kid, 80);
        Problem::unauthorized(format!("there is no external account key {kid}; the operator makes them"))
    };
    let id = ExternalAccountId::parse(&binding.kid).ok_or_else(unknown)?;
    let key = app.store.external_account(&id).await?.ok_or_else(unknown)?;
    // How the key is, is said only to who has it.
    binding.verify(&key.mac_key.0)?;
    if let Some(why) = key.refusal(now) {
        return Err(Problem::unauthorized(format!("the external account key {id} {why}")).into());
    }
    let binding = serde_json::to_string(sent).map_err(anyhow::Error::new)?;
    Ok(Some(Bound { key: id, binding }))
}

/// The limits of an account, from the key that it was made with.
pub(super) fn bounds(account: &Account, key: Option<&ExternalAccount>) -> Result<Option<Bounds>, Error> {
    let Some(key) = key else { return Ok(None) };
    let revoked = key.revoked_at.is_some();
    Bounds::parse(key.id.as_str(), key.allow.as_deref(), key.profiles.as_deref(), revoked)
        .map(Some)
        .map_err(|why| anyhow::anyhow!("the limits of account {}: {why}", account.id).into())
}
