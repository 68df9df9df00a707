//! revokeCert, RFC 8555 7.6, and the lists of what is revoked, RFC 5280 5.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use axum::response::Response;

use acme::id::AccountId;
use acme::identifier::Identifier;
use acme::message::Revocation;
use acme::problem::{Kind, Problem};
use acme::revocation::{By, Decision, Reason, decide};
use acme::time::Timestamp;
use store::authorization::Authorization;
use store::certificate::{Certificate, CertificateStatus};

use super::error::Error;
use super::{http_date, jose};
use crate::app::App;
use crate::ca::certificate::serial_of;
use crate::revocation::{self, Asker, Crl};

/// Revokes a certificate: 200 with an empty body, which acme.sh takes for the only sign of success.
pub(super) async fn revoke(State(app): State<Arc<App>>, request: Request<Body>) -> Result<Response, Error> {
    let signed = jose::by_account_or_own_key(&app, request).await?;
    let wanted: Revocation = signed.payload()?;
    let der = wanted.der()?;
    let asked = Reason::asked(wanted.reason)?;
    let now = app.clock.now();
    let certificate = issued_here(&app, &der).await?;
    let (by, account) = match &signed {
        jose::Signed::Account(signed) => {
            let account = &signed.known.account.id;
            (by_account(&app, account, &certificate, now).await?, Some(account))
        }
        jose::Signed::Key(signed) if signed.key.spki_sha256() == certificate.spki => (By::Key, None),
        jose::Signed::Key(_) => {
            let detail =
                "the key that signed is not the certificate's; sign with that one, or by kid as an account";
            return Err(Problem::unauthorized(detail).into());
        }
    };
    let decision = decide(by, asked, certificate.revocation.map(|before| before.reason))?;
    let account = account.cloned();
    // In a task of its own: a client that hangs up must not stop it half-way.
    let task = tokio::spawn(async move {
        let asker = Asker { by, account: account.as_ref(), user: None };
        carry_out(&app, &certificate, decision, &asker, now).await
    });
    task.await.map_err(anyhow::Error::new)??;
    Ok(Response::new(Body::empty()))
}

async fn carry_out(
    app: &App,
    certificate: &Certificate,
    decision: Decision,
    asker: &Asker<'_>,
    now: Timestamp,
) -> Result<(), Error> {
    // Blocked first: who issues for the key from now on sees it, before or after.
    let new = if decision.blocks_key { app.keys.add(&[certificate.spki]) } else { Vec::new() };
    let done = revocation::revoke(certificate, decision, asker, &app.store, now).await;
    if done.is_err() {
        new.iter().for_each(|key| app.keys.remove(key));
    }
    let done = done?;
    // With its key it may have gone a moment before, by the hand of whoever saw the key blocked.
    if !done.serials.contains(&certificate.serial) && !decision.blocks_key {
        return Err(Problem::new(Kind::AlreadyRevoked, "the certificate was revoked a moment ago").into());
    }
    app.metrics.revoked(done.serials.len());
    app.lists.wake();
    tracing::info!(
        serial = %certificate.serial,
        names = certificate.names,
        reason = %decision.reason,
        by = asker.by.as_str(),
        others_of_its_key = done.serials.iter().filter(|serial| **serial != certificate.serial).count(),
        "certificate revoked"
    );
    Ok(())
}

/// The certificate as it is kept. One that we did not issue, octet by octet, does not exist here.
async fn issued_here(app: &App, der: &[u8]) -> Result<Certificate, Error> {
    let serial = serial_of(der)
        .ok_or_else(|| Problem::malformed("certificate is not a certificate in DER (RFC 8555 7.6)"))?;
    let kept = app.store.certificate(&serial).await?;
    kept.filter(|kept| kept.status == CertificateStatus::Issued && kept.der.as_deref() == Some(der))
        .ok_or_else(|| Problem::not_found("a certificate like that, issued by this CA,").into())
}

/// The account that ordered it, or another that holds every one of its names now.
async fn by_account(
    app: &App,
    account: &AccountId,
    certificate: &Certificate,
    now: Timestamp,
) -> Result<By, Error> {
    if certificate.account.as_ref() == Some(account) {
        return Ok(By::Account);
    }
    let names: Vec<(Identifier, bool)> = certificate
        .names
        .split(',')
        .filter_map(|name| Identifier::written(name).ok())
        .map(|name| (name.to_authorize(), name.is_wildcard()))
        .collect();
    let held = app.store.valid_authorizations(account, &names, now).await?;
    let held: BTreeSet<String> = held.iter().map(shown).collect();
    let missing: Vec<&str> = certificate.names.split(',').filter(|name| !held.contains(*name)).collect();
    if missing.is_empty() {
        return Ok(By::Authorizations);
    }
    let detail = format!(
        "another account ordered the certificate, and this one has no valid authorization for {}",
        missing.iter().take(5).copied().collect::<Vec<_>>().join(", ")
    );
    Err(Problem::unauthorized(detail).into())
}

/// What an authorization is for, as a certificate names it.
fn shown(authorization: &Authorization) -> String {
    let prefix = if authorization.wildcard { "*." } else { "" };
    format!("{prefix}{}", authorization.identifier)
}

/// The list of an issuer, DER, under the name that leaves give as their distribution point.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    file: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let live = app.live();
    // A path that is no UTF-8 names no issuer either.
    let id = file.as_ref().ok().and_then(|Path(file)| file.strip_suffix(".crl")).unwrap_or_default();
    if live.ca.issuer(id).is_none() {
        return Err(Problem::not_found("that issuer").into());
    }
    let Some(list) = app.lists.of(id) else {
        let problem = Problem::new(Kind::ServerInternal, "the list is not made yet").with_status(503);
        return Err(Error::later(problem, 5));
    };
    let mut response = Response::new(Body::empty());
    if is_known(&list, &headers) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        *response.body_mut() = Body::from(list.der.clone());
        let media = HeaderValue::from_static("application/pkix-crl");
        response.headers_mut().insert(header::CONTENT_TYPE, media);
    }
    let dates = [
        (header::ETAG, list.etag.clone()),
        (header::LAST_MODIFIED, http_date::write(list.this_update)),
        (header::CACHE_CONTROL, format!("public, max-age={CACHED}")),
    ];
    for (name, value) in dates {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

/// Whether the client has this very list, RFC 9110 13.1.2, 13.1.3 and 13.2.2.
fn is_known(list: &Crl, headers: &HeaderMap) -> bool {
    let tags: Vec<&str> =
        headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|v| v.to_str().ok()).collect();
    if !tags.is_empty() {
        let mut tags = tags.iter().flat_map(|tags| tags.split(',')).map(str::trim);
        return tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == list.etag);
    }
    let since = headers.get(header::IF_MODIFIED_SINCE).and_then(|v| v.to_str().ok());
    since.and_then(http_date::read).is_some_and(|since| list.this_update <= since)
}

/// How long a cache may keep a list without asking, in seconds: a part of the time until a revocation is seen.
const CACHED: u32 = 300;
