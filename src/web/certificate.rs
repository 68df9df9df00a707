//! Certificates out: RFC 8555 7.4.2, and the plain downloads of issuers and root (RFC 5280 4.2.2.1).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, Request, header};
use axum::response::Response;

use acme::id::Serial;
use acme::problem::Problem;

use super::error::Error;
use super::jose;
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
    let missing = || Problem::not_found("that certificate");
    let serial = Serial::parse(&serial).ok_or_else(missing)?;
    let account = &signed.known.account.id;
    if let Some(download) = app.downloads.recall(&serial)
        && download.account == *account
    {
        return Ok(body(download.pem.clone(), CHAIN));
    }
    let (certificate, chain) = app.store.certificate_with_chain(&serial).await?.ok_or_else(missing)?;
    if certificate.account.as_ref() != Some(account) {
        return Err(Problem::unauthorized("that certificate belongs to another account").into());
    }
    let der = certificate.der.ok_or_else(missing)?;
    Ok(body(pem::encode("CERTIFICATE", &der) + &chain, CHAIN))
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
    let found = live.ca.issuers().iter().find(|issuer| issuer.id() == id);
    let issuer = found.ok_or_else(|| Problem::not_found("that issuer"))?;
    Ok(body(issuer.certificate_der().to_vec(), "application/pkix-cert"))
}

fn body(content: impl Into<Body>, media: &'static str) -> Response {
    let mut response = Response::new(content.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    response
}

const CHAIN: &str = "application/pem-certificate-chain";
