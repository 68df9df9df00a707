//! Certificates out: RFC 8555 7.4.2, and the plain downloads of issuers and root (RFC 5280 4.2.2.1).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, Request, header};
use axum::response::Response;

use acme::id::{AccountId, Serial};
use acme::problem::Problem;
use store::certificate::Certificate;

use super::error::Error;
use super::{jose, json};
use crate::app::App;
use crate::ca::pem;

/// A certificate with its chain, leaf first, by POST-as-GET.
pub(super) async fn download(
    State(app): State<Arc<App>>,
    Path(serial): Path<String>,
    request: Request<Body>,
) -> Result<Response, Error> {
    let signed = jose::by_account(&app, request).await?;
    signed.only_post_as_get()?;
    let serial = Serial::parse(&serial).ok_or_else(missing)?;
    let account = &signed.known.account.id;
    if let Some(download) = app.downloads.recall(&serial)
        && download.account == *account
    {
        // Once is what a client does; its place is another's now.
        app.downloads.forget(&serial);
        app.signs.downloaded(&serial, app.clock.now());
        return Ok(with_others(&app, &serial, &download.issuer, 0, download.pem.clone()));
    }
    let (certificate, chain) = own(&app, &serial, account).await?;
    let pem = leaf(&certificate)? + &chain;
    Ok(with_others(&app, &serial, &certificate.issuer, 0, pem))
}

/// The same with another chain, RFC 8555 7.4.2.
pub(super) async fn download_alternate(
    State(app): State<Arc<App>>,
    Path((serial, chain)): Path<(String, String)>,
    request: Request<Body>,
) -> Result<Response, Error> {
    let signed = jose::by_account(&app, request).await?;
    signed.only_post_as_get()?;
    let serial = Serial::parse(&serial).ok_or_else(missing)?;
    let (certificate, _) = own(&app, &serial, &signed.known.account.id).await?;
    let unknown = || Problem::not_found("that chain");
    let number =
        chain.parse::<usize>().ok().filter(|number| number.to_string() == chain).ok_or_else(unknown)?;
    let live = app.live();
    let issuer = live.ca.issuer(&certificate.issuer).ok_or_else(unknown)?;
    let alternate =
        number.checked_sub(1).and_then(|index| issuer.alternates().get(index)).ok_or_else(unknown)?;
    let pem = leaf(&certificate)? + alternate;
    Ok(with_others(&app, &serial, &certificate.issuer, number, pem))
}

async fn own(app: &App, serial: &Serial, account: &AccountId) -> Result<(Certificate, String), Error> {
    let (certificate, chain) = app.store.certificate_with_chain(serial).await?.ok_or_else(missing)?;
    if certificate.account.as_ref() != Some(account) {
        return Err(Problem::unauthorized("that certificate belongs to another account").into());
    }
    if certificate.der.is_some() {
        app.signs.downloaded(serial, app.clock.now());
    }
    Ok((certificate, chain))
}

fn leaf(certificate: &Certificate) -> Result<String, Problem> {
    let der = certificate.der.as_deref().ok_or_else(missing)?;
    Ok(pem::encode("CERTIFICATE", der))
}

fn missing() -> Problem {
    Problem::not_found("that certificate")
}

/// A chain with links to the others that its issuer has. Chain 0 is the one that the store keeps.
fn with_others(app: &App, serial: &Serial, issuer: &str, this: usize, pem: String) -> Response {
    let live = app.live();
    let chains = live.ca.issuer(issuer).map_or(0, |issuer| issuer.alternates().len());
    let others = (0..=chains).filter(|chain| *chain != this);
    others.fold(body(pem, CHAIN), |response, chain| {
        let url = if chain == 0 { app.urls.certificate(serial) } else { app.urls.alternate(serial, chain) };
        json::link(response, &url, "alternate")
    })
}

/// The root, PEM.
pub(super) async fn root_pem(State(app): State<Arc<App>>) -> Response {
    body(app.live().ca.root_pem().to_owned(), "application/x-pem-file")
}

/// The root, DER.
pub(super) async fn root_der(State(app): State<Arc<App>>) -> Response {
    body(app.live().ca.root_der().to_vec(), "application/pkix-cert")
}

/// An issuer's certificate, DER, under the name that leaves give in their AIA extension.
pub(super) async fn issuer(
    State(app): State<Arc<App>>,
    file: Result<Path<String>, PathRejection>,
) -> Result<Response, Error> {
    let live = app.live();
    // A path that is no UTF-8 names no issuer either.
    let id = file.as_ref().ok().and_then(|Path(file)| file.strip_suffix(".der")).unwrap_or_default();
    let issuer = live.ca.issuer(id).ok_or_else(|| Problem::not_found("that issuer"))?;
    Ok(body(issuer.certificate_der().to_vec(), "application/pkix-cert"))
}

fn body(content: impl Into<Body>, media: &'static str) -> Response {
    let mut response = Response::new(content.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    response
}

const CHAIN: &str = "application/pem-certificate-chain";
