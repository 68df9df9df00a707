//! From a POST body to a request that somebody signed: RFC 8555 6.2 to 6.5. Judged in this order: content type, size,
//! envelope, algorithm, key, signature, `url`, nonce. A nonce is spent only by a request whose signature holds.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::http::{HeaderMap, Request, header};
use http_body_util::{BodyExt as _, Limited};
use serde::de::DeserializeOwned;

use acme::jwk::AccountKey;
use acme::jws::{Binding, Envelope, KeyRef, NewKey, Object};
use acme::order::AccountStatus;
use acme::problem::{Kind, Problem, plain};

use super::error::Error;
use super::external_account;
use crate::app::App;
use crate::recent::Known;

/// A request that an account signed.
pub(super) struct Authenticated {
    /// The account, which is valid.
    pub(super) known: Arc<Known>,
    envelope: Envelope,
}

/// A request that a key signed which stands in the request itself.
pub(super) struct SelfSigned {
    /// The key.
    pub(super) key: AccountKey,
    envelope: Envelope,
}

/// A request that either of them signed, as revokeCert takes it.
pub(super) enum Signed {
    /// By an account.
    Account(Authenticated),
    /// By the key in it.
    Key(SelfSigned),
}

impl Authenticated {
    /// The payload as JSON.
    pub(super) fn payload<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        self.envelope.payload_json()
    }

    /// The payload as the new key of a key change, RFC 8555 7.3.5.
    pub(super) fn new_key(&self) -> Result<NewKey, Problem> {
        NewKey::parse(&self.envelope.payload, &self.envelope.header.url)
    }

    /// Whether this is a POST-as-GET, RFC 8555 6.3.
    pub(super) fn is_post_as_get(&self) -> bool {
        self.envelope.is_post_as_get()
    }

    /// Refuses whatever is not a POST-as-GET.
    pub(super) fn only_post_as_get(&self) -> Result<(), Problem> {
        if self.is_post_as_get() {
            return Ok(());
        }
        Err(Problem::malformed(
            "this resource is read by POST-as-GET: the payload is the empty string (RFC 8555 6.3)",
        ))
    }
}

impl SelfSigned {
    /// The payload as JSON.
    pub(super) fn payload<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        self.envelope.payload_json()
    }

    /// Reads an external account binding that came with the request, RFC 8555 7.3.4.
    pub(super) fn binding(&self, sent: &Object) -> Result<Binding, Problem> {
        Binding::parse(sent, &self.key, &self.envelope.header.url)
    }
}

impl Signed {
    /// The payload as JSON.
    pub(super) fn payload<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        match self {
            Self::Account(signed) => signed.payload(),
            Self::Key(signed) => signed.payload(),
        }
    }
}

/// A request signed by an account of ours, named by `kid`, or by the key that it carries: RFC 8555 7.6.
pub(super) async fn by_account_or_own_key(app: &App, request: Request<Body>) -> Result<Signed, Error> {
    let (path, envelope) = read(request).await?;
    match &envelope.header.key {
        KeyRef::Kid(_) => of_account(app, &path, envelope).await.map(Signed::Account),
        KeyRef::Jwk(_) => of_own_key(app, &path, envelope).map(Signed::Key),
    }
}

/// A request signed by an account of ours, named by `kid`.
pub(super) async fn by_account(app: &App, request: Request<Body>) -> Result<Authenticated, Error> {
    let (path, envelope) = read(request).await?;
    of_account(app, &path, envelope).await
}

async fn of_account(app: &App, path: &str, envelope: Envelope) -> Result<Authenticated, Error> {
    let KeyRef::Kid(kid) = &envelope.header.key else {
        return Err(Problem::malformed(
            "this request is signed with kid, the account's URL, and not with jwk",
        )
        .into());
    };
    let known = account(app, kid).await?;
    envelope.verify(&known.key)?;
    spend(app, path, &envelope)?;
    if known.account.status != AccountStatus::Valid {
        let detail = format!("the account is {}", known.account.status);
        return Err(Problem::unauthorized(detail).with_status(401).into());
    }
    if app.keys.holds(&known.spki) {
        let detail = "the key of the account was reported compromised; make an account with another";
        return Err(Problem::unauthorized(detail).into());
    }
    Ok(Authenticated { known, envelope })
}

/// A request signed by the key that it carries, as newAccount demands.
pub(super) async fn by_own_key(app: &App, request: Request<Body>) -> Result<SelfSigned, Error> {
    let (path, envelope) = read(request).await?;
    of_own_key(app, &path, envelope)
}

fn of_own_key(app: &App, path: &str, envelope: Envelope) -> Result<SelfSigned, Error> {
    let KeyRef::Jwk(key) = &envelope.header.key else {
        return Err(Problem::malformed("this request carries its key as jwk, and no kid").into());
    };
    envelope.verify(key)?;
    spend(app, path, &envelope)?;
    Ok(SelfSigned { key: key.clone(), envelope })
}

/// A POST-as-GET of a resource that anybody may read with GET: the directory and newNonce. Who signed it does not
/// matter, but a nonce that it brings is spent.
pub(super) async fn by_anybody(app: &App, request: Request<Body>) -> Result<(), Error> {
    let (path, envelope) = read(request).await?;
    match &envelope.header.key {
        KeyRef::Jwk(key) => envelope.verify(key)?,
        KeyRef::Kid(kid) => envelope.verify(&account(app, kid).await?.key)?,
    }
    spend(app, &path, &envelope)?;
    if envelope.is_post_as_get() {
        return Ok(());
    }
    Err(Problem::malformed("this resource is read by GET, or by POST-as-GET with an empty payload").into())
}

async fn read(request: Request<Body>) -> Result<(String, Envelope), Error> {
    let (parts, body) = request.into_parts();
    check_content_type(&parts.headers)?;
    let path = parts.uri.path_and_query().map_or("/", |p| p.as_str()).to_owned();
    let too_large = || {
        Problem::malformed(format!("the request body is larger than {BODY_LIMIT} octets")).with_status(413)
    };
    // By its Content-Length, before a client that waits for 100 Continue is told to send it.
    if body.size_hint().lower() > BODY_LIMIT as u64 {
        return Err(too_large().into());
    }
    let limited = Limited::new(body, BODY_LIMIT);
    let Ok(collected) = tokio::time::timeout(BODY_TIME, limited.collect()).await else {
        return Err(Problem::malformed("the request body did not arrive in time").with_status(408).into());
    };
    let body = collected.map_err(|error| match error.downcast::<http_body_util::LengthLimitError>() {
        Ok(_) => too_large(),
        Err(_) => Problem::malformed("the request body broke off"),
    })?;
    Ok((path, Envelope::parse(&body.to_bytes())?))
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Problem> {
    let sent = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    let media = sent.split(';').next().unwrap_or("").trim();
    if media.eq_ignore_ascii_case("application/jose+json") {
        return Ok(());
    }
    let detail = format!("the content type is {}; application/jose+json is needed", shown_media(media));
    Err(Problem::malformed(detail).with_status(415))
}

fn shown_media(media: &str) -> String {
    if media.is_empty() { "missing".to_owned() } else { plain(media, 80) }
}

async fn account(app: &App, kid: &str) -> Result<Arc<Known>, Error> {
    let unknown = || {
        let detail = format!("{} names no account here; register with newAccount", plain(kid, 200));
        Error::from(Problem::new(Kind::AccountDoesNotExist, detail))
    };
    let id = app.urls.account_of_kid(kid).ok_or_else(unknown)?;
    if let Some(known) = app.accounts.recall(&id) {
        return Ok(known);
    }
    let before = app.accounts.before(&id);
    let (account, external) = app.store.account_with_external(&id).await?.ok_or_else(unknown)?;
    let bounds = external_account::bounds(&account, external.as_ref())?;
    let key = AccountKey::from_json(&account.jwk).map_err(anyhow::Error::new)?;
    let known = Arc::new(Known { account, spki: key.spki_sha256(), key, bounds });
    app.accounts.remember(id, Arc::clone(&known), &before);
    Ok(known)
}

/// Checks where the request was meant to go, and spends its nonce.
fn spend(app: &App, path: &str, envelope: &Envelope) -> Result<(), Problem> {
    let header = &envelope.header;
    // By the configured base, because a proxy may have changed Host.
    if header.url.strip_prefix(app.urls.base()) != Some(path) {
        let expected = app.urls.of(path);
        let detail = format!("the JWS is for {}, and came to {expected}", plain(&header.url, 200));
        return Err(Problem::unauthorized(detail));
    }
    if app.nonces.redeem(&header.nonce) { Ok(()) } else { Err(Problem::bad_nonce()) }
}

/// The largest request body. A CSR with 100 names stays far below it.
pub(super) const BODY_LIMIT: usize = 128 * 1024;
const BODY_TIME: Duration = Duration::from_secs(30);
