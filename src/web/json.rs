//! JSON out: compact, because clients exist that read it with `sed`.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;

/// The bytes of a value of ours.
pub(super) fn to_vec(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("our own types have text keys and finite numbers")
}

/// A response with a JSON body.
pub(super) fn respond(status: StatusCode, value: &impl Serialize) -> Response {
    let mut response = Response::new(Body::from(to_vec(value)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Sets `Location`.
pub(super) fn at(mut response: Response, url: &str) -> Response {
    if let Ok(value) = HeaderValue::try_from(url) {
        response.headers_mut().insert(header::LOCATION, value);
    }
    response
}

/// Adds a `Link` of a relation (RFC 8288).
pub(super) fn link(mut response: Response, url: &str, relation: &str) -> Response {
    if let Ok(value) = HeaderValue::try_from(format!("<{url}>;rel=\"{relation}\"")) {
        response.headers_mut().append(header::LINK, value);
    }
    response
}

/// Asks the client to wait, in seconds.
pub(super) fn retry_after(mut response: Response, seconds: u64) -> Response {
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}
