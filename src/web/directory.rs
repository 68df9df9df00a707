//! Where a client begins: the directory and nonces, RFC 8555 7.1.1 and 7.2.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{Method, Request, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use acme::challenge::Type;
use acme::message::{Directory, Meta};
use acme::problem::Problem;

use super::error::Error;
use super::{jose, json};
use crate::app::App;

/// The directory. `meta` is always there, because ansible's client stops without it.
pub(super) async fn directory(State(app): State<Arc<App>>) -> Response {
    let live = app.live();
    // What is not offered is left out.
    let profiles = live.config.policy.profiles.iter();
    let identities = |used: bool| match used {
        true => live.config.validation.identities.clone(),
        false => Vec::new(),
    };
    let persistent = live.config.offers(Type::DnsPersist01);
    let body = Directory {
        new_nonce: app.urls.of("/acme/new-nonce"),
        new_account: app.urls.of("/acme/new-account"),
        new_order: app.urls.of("/acme/new-order"),
        // Without reuse, what it makes would serve nothing.
        new_authz: (!live.config.reuse.is_zero()).then(|| app.urls.of("/acme/new-authz")),
        revoke_cert: Some(app.urls.of("/acme/revoke-cert")),
        key_change: Some(app.urls.of("/acme/key-change")),
        renewal_info: Some(app.urls.of("/acme/renewal-info")),
        meta: Meta {
            terms_of_service: live.config.accounts.terms_url(app.urls.base()),
            caa_identities: identities(live.config.validation.caa),
            issuer_domain_names: identities(persistent),
            account_hash_prefix: persistent.then(|| app.urls.account_hash_prefix()),
            external_account_required: live.config.accounts.external_account_required,
            profiles: profiles.map(|(name, p)| (name.clone(), p.sentence())).collect(),
            ..Meta::default()
        },
    };
    json::respond(StatusCode::OK, &body)
}

/// The directory by POST-as-GET.
pub(super) async fn directory_signed(
    State(app): State<Arc<App>>,
    request: Request<Body>,
) -> Result<Response, Error> {
    jose::by_anybody(&app, request).await?;
    Ok(directory(State(app)).await)
}

/// The terms of service, when they are a file of ours.
pub(super) async fn terms(State(app): State<Arc<App>>) -> Result<Response, Error> {
    let text = app.live().terms.clone().ok_or_else(|| Problem::not_found("that resource"))?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
}

/// What a client is limited to, for the people behind it: where the `help` links of refusals lead (RFC 8555 6.6).
pub(super) async fn limits(State(app): State<Arc<App>>) -> Response {
    let limits = app.live().config.limits;
    let text = if limits.enabled {
        format!(
            "This CA limits what a client may ask for. A refusal says when to come back (Retry-After).\n\n\
             new accounts from one address: {}\n\
             new orders of one account: {}\n\
             failed validations of one name by one account: {}\n\
             open orders of one account: {}\n\n\
             The operator sets them in [limits]. An order that fails is not helped by asking again: its error says why \
             it failed.\n",
            limits.new_accounts, limits.new_orders, limits.failed_validations, limits.pending_orders
        )
    } else {
        "This CA limits nothing.\n".to_owned()
    };
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}

/// newNonce: 200 to HEAD, 204 to GET; the nonce itself is added to every answer by a layer.
pub(super) async fn nonce(method: Method) -> Response {
    match method {
        Method::HEAD => StatusCode::OK.into_response(),
        _ => StatusCode::NO_CONTENT.into_response(),
    }
}

/// newNonce by POST-as-GET.
pub(super) async fn nonce_signed(
    State(app): State<Arc<App>>,
    request: Request<Body>,
) -> Result<Response, Error> {
    jose::by_anybody(&app, request).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
