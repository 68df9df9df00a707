//! Accounts: RFC 8555 7.3.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{Request, StatusCode};
use axum::response::Response;
use serde_json::json;

use acme::id::{AccountId, OrderId};
use acme::jwk::AccountKey;
use acme::message::{self, NewAccount, UpdateAccount};
use acme::order::{AccountStatus, OrderStatus};
use acme::problem::{Kind, Problem};
use acme::time::Timestamp;
use store::account::{
    Account, ChangeKey, CreateAccount, DeactivateAccount, KeyChanged, NewAccount as Made,
    UpdateAccount as KeepContacts,
};
use store::audit::AuditEvent;

use super::error::Error;
use super::{Peer, external_account, jose, json};
use crate::app::App;
use crate::audit;
use crate::limits::Bucket;

/// newAccount, RFC 8555 7.3 and 7.3.1.
pub(super) async fn create(State(app): State<Arc<App>>, request: Request<Body>) -> Result<Response, Error> {
    let peer = request.extensions().get::<Peer>().copied();
    let signed = jose::by_own_key(&app, request).await?;
    let wanted: NewAccount = signed.payload()?;
    app.keys.check_account(&signed.key)?;
    if let Some(existing) = app.store.account_by_thumbprint(signed.key.thumbprint()).await? {
        return existing_account(&app, &existing);
    }
    if wanted.only_return_existing {
        let detail = "no account has this key, and onlyReturnExisting forbids to make one";
        return Err(Problem::new(Kind::AccountDoesNotExist, detail).into());
    }
    let now = app.clock.now();
    must_be_no_certificates_key(&app, &signed.key, now).await?;
    let live = app.live();
    if let Some(terms) = live.config.accounts.terms_url(app.urls.base())
        && !wanted.terms_of_service_agreed
    {
        return Err(Error::terms(terms));
    }
    let bound = external_account::bind(&app, &signed, &wanted, now).await?;
    let contact = wanted.contact.unwrap_or_default();
    message::check_contacts(&contact)?;
    if let Some(Peer(address)) = peer {
        app.limits.take(&live.config.limits, &Bucket::new_accounts(address), now)?;
    }
    let (external_account, binding) = bound.map(|bound| (bound.key, bound.binding)).unzip();
    let account = Account {
        id: AccountId::mint(now, crate::random()),
        thumbprint: signed.key.thumbprint().to_owned(),
        jwk: signed.key.to_json(),
        status: AccountStatus::Valid,
        contact,
        terms_agreed: wanted.terms_of_service_agreed,
        created_at: now,
        external_account,
        binding,
    };
    let audit = AuditEvent {
        account: Some(account.id.clone()),
        detail: account.external_account.as_ref().map(|key| json!({"external_account": key})),
        ..audit("account-created", now)
    };
    match app.store.write(CreateAccount { account: account.clone(), audit }).await? {
        Made::Created => {
            tracing::info!(account = %account.id, "account created");
            let url = app.urls.account(&account.id);
            Ok(json::at(json::respond(StatusCode::CREATED, &shown(&app, &account)), &url))
        }
        // Two requests with one key at the same moment: the second finds the first one's account.
        Made::Existing(existing) => existing_account(&app, &existing),
    }
}

/// Reading, updating and deactivating an account: RFC 8555 7.3.2 and 7.3.6.
pub(super) async fn update(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Result<Response, Error> {
    let signed = jose::by_account(&app, request).await?;
    let account = own(&signed.known.account, &id)?;
    // `{}` changes nothing; Proxmox reads its account that way.
    let wanted = if signed.is_post_as_get() { UpdateAccount::default() } else { signed.payload()? };
    let now = app.clock.now();
    let mut account = account.clone();
    match wanted.deactivates() {
        true => {
            let audit = AuditEvent { account: Some(account.id.clone()), ..audit("account-deactivated", now) };
            let problem = Problem::unauthorized("the account was deactivated by its owner");
            app.store.write(DeactivateAccount { id: account.id.clone(), problem, audit }).await?;
            tracing::info!(account = %account.id, "account deactivated by its owner");
            account.status = AccountStatus::Deactivated;
        }
        // RFC 8555 7.3.2: changes that are not supported are ignored.
        false => {
            if let Some(contact) = wanted.contact
                && contact != account.contact
            {
                message::check_contacts(&contact)?;
                app.store.write(KeepContacts { id: account.id.clone(), contact: contact.clone() }).await?;
                account.contact = contact;
            }
        }
    }
    app.accounts.forget(&account.id);
    let url = app.urls.account(&account.id);
    Ok(json::at(json::respond(StatusCode::OK, &shown(&app, &account)), &url))
}

/// keyChange, RFC 8555 7.3.5. The old key is refused from the answer on.
pub(super) async fn change_key(
    State(app): State<Arc<App>>,
    request: Request<Body>,
) -> Result<Response, Error> {
    let signed = jose::by_account(&app, request).await?;
    let account = &signed.known.account;
    let new = signed.new_key()?;
    let url = app.urls.account(&account.id);
    if new.account != url {
        return Err(Problem::malformed("account in the inner payload is not the account that signed").into());
    }
    if new.old_key != signed.known.key {
        return Err(Problem::malformed("oldKey in the inner payload is not the key of the account").into());
    }
    app.keys.check_account(&new.key)?;
    let now = app.clock.now();
    must_be_no_certificates_key(&app, &new.key, now).await?;
    let change = ChangeKey {
        id: account.id.clone(),
        old_thumbprint: account.thumbprint.clone(),
        thumbprint: new.key.thumbprint().to_owned(),
        jwk: new.key.to_json(),
        audit: AuditEvent { account: Some(account.id.clone()), ..audit("account-key-changed", now) },
    };
    match app.store.write(change).await? {
        KeyChanged::Changed => {
            app.accounts.forget(&account.id);
            tracing::info!(account = %account.id, "account key changed");
            Ok(json::at(json::respond(StatusCode::OK, &shown(&app, account)), &url))
        }
        KeyChanged::Taken(other) => {
            let problem =
                Problem::malformed("an account has that key already; Location says which").with_status(409);
            Err(Error::at(problem, app.urls.account(&other)))
        }
    }
}

/// The orders of an account, oldest first, RFC 8555 7.1.2.1.
pub(super) async fn orders(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Result<Response, Error> {
    let query = request.uri().query().unwrap_or("").to_owned();
    let signed = jose::by_account(&app, request).await?;
    signed.only_post_as_get()?;
    let account = own(&signed.known.account, &id)?;
    let cursor = match query.as_str() {
        "" => None,
        query => {
            let cursor = query.strip_prefix("cursor=").and_then(OrderId::parse);
            Some(cursor.ok_or_else(|| Problem::not_found("that page"))?)
        }
    };
    let mut orders = app.store.orders_of_account(&account.id, cursor.as_ref(), PAGE + 1).await?;
    let page = PAGE as usize;
    let more = orders.len() > page;
    orders.truncate(page);
    // RFC 8555 7.1.2.1: an invalid order should not be listed.
    let listed = orders.iter().filter(|order| order.status != OrderStatus::Invalid);
    let list = message::OrdersList { orders: listed.map(|order| app.urls.order(&order.id)).collect() };
    let response = json::respond(StatusCode::OK, &list);
    Ok(match orders.last() {
        Some(last) if more => {
            let next = format!("{}?cursor={}", app.urls.orders(&account.id), last.id);
            json::link(response, &next, "next")
        }
        _ => response,
    })
}

/// RFC 8555 11.1: whoever gets at the key of a server must not get its account with it.
async fn must_be_no_certificates_key(app: &App, key: &AccountKey, now: Timestamp) -> Result<(), Error> {
    if app.store.certificates_of_key(&key.spki_sha256(), now).await?.is_empty() {
        return Ok(());
    }
    let detail = "the key is that of a certificate; an account needs one of its own (RFC 8555 11.1)";
    Err(Problem::new(Kind::BadPublicKey, detail).into())
}

/// RFC 8555 7.3.1: the account as it is; what the request says about contacts changes nothing.
fn existing_account(app: &App, account: &Account) -> Result<Response, Error> {
    if account.status != AccountStatus::Valid {
        let detail = format!("the account with this key is {}; use another key", account.status);
        return Err(Problem::unauthorized(detail).into());
    }
    let url = app.urls.account(&account.id);
    Ok(json::at(json::respond(StatusCode::OK, &shown(app, account)), &url))
}

fn own<'a>(account: &'a Account, id: &str) -> Result<&'a Account, Problem> {
    if account.id.as_str() == id {
        return Ok(account);
    }
    Err(Problem::unauthorized("that account is not the one that signed"))
}

fn shown(app: &App, account: &Account) -> message::Account {
    message::Account {
        status: account.status,
        contact: account.contact.clone(),
        terms_of_service_agreed: account.terms_agreed.then_some(true),
        // What was kept was an object when it came.
        external_account_binding: account.binding.as_deref().and_then(|text| serde_json::from_str(text).ok()),
        orders: app.urls.orders(&account.id),
    }
}

/// How many orders a page shows.
const PAGE: u32 = 50;
