//! HTTP in: the route tables, and what is the same for every answer.

mod account;
mod authorization;
mod certificate;
mod directory;
mod error;
mod external_account;
mod http_date;
mod jose;
mod json;
mod order;
mod renewal_info;
mod revocation;
mod status;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, State};
use axum::http::{HeaderName, HeaderValue, Method, Request, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};

use acme::problem::Problem;

use self::error::{Error, Said};
use crate::app::App;

/// Who is at the other end of the connection; it comes with each request.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// ACME, over TLS alone (RFC 8555 6.1). The root can be had here too, for who trusts the connection already.
pub fn acme(app: Arc<App>) -> Router {
    Router::new()
        .route("/acme/directory", get(directory::directory).post(directory::directory_signed))
        .route("/acme/new-nonce", get(directory::nonce).post(directory::nonce_signed))
        .route("/acme/new-account", post(account::create))
        .route("/acme/account/{id}", post(account::update))
        .route("/acme/account/{id}/orders", post(account::orders))
        .route("/acme/key-change", post(account::change_key))
        .route("/acme/new-order", post(order::create))
        .route("/acme/new-authz", post(authorization::create))
        .route("/acme/order/{id}", post(order::read))
        .route("/acme/order/{id}/finalize", post(order::finalize))
        .route("/acme/authz/{id}", post(authorization::read_or_deactivate))
        .route("/acme/challenge/{id}/{type}", post(authorization::challenge))
        .route("/acme/certificate/{serial}", post(certificate::download))
        .route("/acme/certificate/{serial}/{chain}", post(certificate::download_alternate))
        .route("/acme/revoke-cert", post(revocation::revoke))
        .route("/crl/{file}", get(revocation::list))
        .route("/acme/renewal-info/{id}", get(renewal_info::read))
        .route("/root.pem", get(certificate::root_pem))
        .route("/terms", get(directory::terms))
        .route("/limits", get(directory::limits))
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        .layer(from_fn_with_state(Arc::clone(&app), every_answer))
        .with_state(app)
}

/// Plain HTTP: what needs no secrecy and must not need TLS to be verified.
pub fn plain(app: Arc<App>) -> Router {
    Router::new()
        .route("/root.pem", get(certificate::root_pem))
        .route("/root.der", get(certificate::root_der))
        .route("/issuer/{file}", get(certificate::issuer))
        .route("/crl/{file}", get(revocation::list))
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        .with_state(app)
}

/// Health and metrics.
pub fn status(app: Arc<App>) -> Router {
    Router::new()
        .route("/health/live", get(status::live))
        .route("/health/ready", get(status::ready))
        .route("/metrics", get(status::metrics))
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        .with_state(app)
}

async fn not_found() -> Error {
    Problem::not_found("that resource").into()
}

/// axum has set `Allow` by now.
async fn method_not_allowed() -> Error {
    Problem::malformed("that resource does not know this method; Allow lists those that it knows")
        .with_status(405)
        .into()
}

/// The rules that hold for every answer: a nonce with each POST and newNonce, where the directory is, what caches and
/// browsers may do; one line in the log and one count.
async fn every_answer(State(app): State<Arc<App>>, request: Request<Body>, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let path = acme::problem::plain(request.uri().path(), 200);
    let route = request.extensions().get::<MatchedPath>().map_or("none", |path| known_route(path.as_str()));
    let agent = request
        .headers()
        .get(header::USER_AGENT)
        .and_then(|agent| agent.to_str().ok())
        .map_or_else(String::new, |agent| acme::problem::plain(agent, 120));

    let mut response = match method {
        Method::OPTIONS => preflight(),
        _ => next.run(request).await,
    };

    // What axum itself refuses, such as a path that is no UTF-8, is a problem document as well.
    if response.status().as_u16() >= 400 && response.extensions().get::<Said>().is_none() {
        let problem =
            Problem::malformed("the request cannot be read").with_status(response.status().as_u16());
        response = Error::from(problem).into_response();
    }
    let headers = response.headers_mut();
    if method == Method::POST || route == NEW_NONCE {
        if let Ok(nonce) = HeaderValue::try_from(app.nonces.mint()) {
            headers.insert(REPLAY_NONCE, nonce);
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if route != DIRECTORY
        && let Ok(link) = HeaderValue::try_from(format!("<{}>;rel=\"index\"", app.urls.directory()))
    {
        headers.append(header::LINK, link);
    }
    if response.status() == StatusCode::TOO_MANY_REQUESTS {
        // RFC 8555 6.6.
        response = json::link(response, &app.urls.of("/limits"), "help");
    }
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("Link, Location, Replay-Nonce, Retry-After"),
    );

    let status = response.status().as_u16();
    let micros = began.elapsed().as_micros();
    app.metrics.request(route, status);
    match response.extensions_mut().remove::<Said>() {
        Some(Said { kind, detail }) => {
            app.metrics.problem(kind.name(), status);
            tracing::info!(%method, path, status, problem = kind.name(), detail, micros, agent, "request refused");
        }
        None => tracing::debug!(%method, path, status, micros, agent, "request"),
    }
    response
}

/// CORS, RFC 8555 6.1: a browser may ask, but never with credentials.
fn preflight() -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD, POST"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("Content-Type"));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    response
}

/// The route as a label: from our own table, so that nobody outside can make labels.
fn known_route(path: &str) -> &'static str {
    ROUTES.iter().copied().find(|route| *route == path).unwrap_or("none")
}

const DIRECTORY: &str = "/acme/directory";
const NEW_NONCE: &str = "/acme/new-nonce";
const ROUTES: &[&str] = &[
    DIRECTORY,
    NEW_NONCE,
    "/acme/new-account",
    "/acme/account/{id}",
    "/acme/account/{id}/orders",
    "/acme/key-change",
    "/acme/new-order",
    "/acme/new-authz",
    "/acme/order/{id}",
    "/acme/order/{id}/finalize",
    "/acme/authz/{id}",
    "/acme/challenge/{id}/{type}",
    "/acme/certificate/{serial}",
    "/acme/certificate/{serial}/{chain}",
    "/acme/revoke-cert",
    "/crl/{file}",
    "/acme/renewal-info/{id}",
    "/root.pem",
    "/terms",
    "/limits",
];
const REPLAY_NONCE: HeaderName = HeaderName::from_static("replay-nonce");
