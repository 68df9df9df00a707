//! Is it well? Health that looks before it answers, and metrics. An earlier CA said `ok` all day while every
//! validation failed; this one says what fails.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

use acme::time::Timestamp;

use super::json;
use crate::app::App;

/// The process answers.
pub(super) async fn live() -> Response {
    (StatusCode::OK, "ok\n").into_response()
}

/// Whether a client that came now would get a certificate, as far as can be told: 200 or 503, with the reasons.
pub(super) async fn ready(State(app): State<Arc<App>>) -> Response {
    let now = app.clock.now();
    let outage = app.metrics.outage(now);
    let body = Health {
        store: Check::of(store(&app, now).await),
        signer: Check::of(app.live().ca.active(now).map(|_| ()).map_err(|error| error.to_string())),
        own_certificate: Check::of(match app.own() {
            Some(own) if now <= own.not_after => Ok(()),
            Some(own) => Err(format!("it ended at {}", own.not_after)),
            None => Err("there is none".to_owned()),
        }),
        lists: Check::of(lists(&app, now)),
        validation: Check::of(if outage.is_general() {
            let names = outage.names.len();
            let since = outage.since.unwrap_or(now);
            Err(format!(
                "{names} names failed since {since} and none held; the last: {}",
                outage.last.unwrap_or_default()
            ))
        } else {
            Ok(())
        }),
        now,
    };
    let well = [&body.store, &body.signer, &body.own_certificate, &body.lists, &body.validation]
        .iter()
        .all(|c| c.ok);
    json::respond(if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, &body)
}

/// Whether it answers, and by all that is known takes what is written.
async fn store(app: &App, now: Timestamp) -> Result<(), String> {
    app.store.ping().await.map_err(|error| error.to_string())?;
    app.store.check_writable().await.map_err(|unwritable| {
        format!("nothing can be written since {}: {}", now.minus(unwritable.lasted), unwritable.error)
    })
}

/// Whether everybody who insists on a list of what is revoked finds one that is not over.
fn lists(app: &App, now: Timestamp) -> Result<(), String> {
    let live = app.live();
    let mut signers = live.ca.issuers().iter().filter(|issuer| issuer.signs_lists() && issuer.is_active(now));
    signers.try_for_each(|issuer| app.lists.check(issuer.id(), now))
}

/// Prometheus' text format.
pub(super) async fn metrics(State(app): State<Arc<App>>) -> Response {
    let text = app.metrics.text(app.started, app.store.stats().commits, app.clock.now());
    let mut response = text.into_response();
    let media = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, media);
    response
}

#[derive(Serialize)]
struct Health {
    store: Check,
    signer: Check,
    own_certificate: Check,
    lists: Check,
    validation: Check,
    now: Timestamp,
}

#[derive(Serialize)]
struct Check {
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

impl Check {
    fn of(result: Result<(), String>) -> Self {
        Self { ok: result.is_ok(), why: result.err() }
    }
}
