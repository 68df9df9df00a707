//! When to renew: RFC 9773. renewalInfo for everybody who knows a certificate (4.1), and the predecessor that newOrder
//! names (5).

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use acme::id::AccountId;
use acme::identifier::{Identifier, name_set};
use acme::message::RenewalInfo;
use acme::problem::{Kind, Problem};
use acme::renewal_info::{CertificateId, look_again, window};
use store::certificate::CertificateStatus;

use super::error::Error;
use super::json;
use crate::app::App;

/// The window of a certificate, for everybody: RFC 9773 4.1. Certificates of other CAs are asked about too, after a
/// client was pointed here from there; they are not there, and that is all.
pub(super) async fn read(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Response, Error> {
    let id = CertificateId::parse(&id)?;
    let found = app.store.certificate(id.serial()).await?;
    let certificate = found
        .filter(|found| found.status == CertificateStatus::Issued && found.issuer == id.key_id())
        .ok_or_else(|| Problem::not_found("that certificate"))?;
    app.signs.polled(certificate.serial.clone(), app.clock.now());
    let body = RenewalInfo { suggested_window: window(&certificate.facts()) };
    let again = look_again(certificate.not_before, certificate.not_after);
    Ok(json::retry_after(json::respond(StatusCode::OK, &body), again.as_secs()))
}

/// Judges the certificate that newOrder names as the one to be replaced, RFC 9773 5. Without one, nothing is asked.
///
/// Only a valid order (or one that is about to be) has replaced a certificate. One that waits has not: its client may have
/// lost it, and would be refused until it runs out. The certificate of another CA is kept and shown as it was named, and
/// nothing follows from it: lego names the one that it has after it was pointed here from there, and would take a refusal
/// for the end.
///
/// # Errors
/// `malformed` when it cannot be read, is unknown, or has no name in common with the order; `unauthorized` when it belongs
/// to another account; `alreadyReplaced` with 409.
pub(super) async fn predecessor(
    app: &App,
    named: Option<&str>,
    account: &AccountId,
    identifiers: &[Identifier],
) -> Result<Option<CertificateId>, Error> {
    // `""`, as some clients write what they do not have.
    let Some(named) = named.filter(|named| !named.is_empty()) else { return Ok(None) };
    let id = CertificateId::parse(named)
        .map_err(|problem| Problem::malformed(format!("replaces: {}", problem.detail)))?;
    let found = app.store.predecessor(&id).await?.filter(|found| found.issuer == id.key_id());
    let Some(found) = found else {
        if app.live().ca.issuer(id.key_id()).is_none() {
            return Ok(Some(id));
        }
        let detail = format!("replaces: no certificate {id} was issued here; leave replaces out");
        return Err(Problem::malformed(detail).into());
    };
    if found.account.as_ref() != Some(account) {
        return Err(Problem::unauthorized("replaces: that certificate belongs to another account").into());
    }
    if !identifiers.iter().any(|identifier| shares(&found.names, identifier)) {
        let detail =
            format!("replaces: that certificate is for {}, the order for none of these", found.names);
        return Err(Problem::malformed(detail).into());
    }
    if let Some(order) = found.replaced_by {
        let url = app.urls.order(&order);
        let detail =
            format!("replaces: that certificate was replaced by the order {url}; leave replaces out");
        return Err(Problem::new(Kind::AlreadyReplaced, detail).into());
    }
    Ok(Some(id))
}

/// Whether a set of names, as it is kept, holds this one.
fn shares(names: &str, identifier: &Identifier) -> bool {
    let wanted = name_set(std::slice::from_ref(identifier));
    names.split(',').any(|name| name == wanted)
}
