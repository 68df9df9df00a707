//! What leaves the server when something went wrong. A problem goes out as it is; what went wrong inside is logged
//! here, once, under an id, and the client reads the id alone.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use acme::problem::{Kind, Problem};

use super::json;

/// Why a handler did not answer as asked.
#[derive(Debug)]
pub(super) enum Error {
    /// The client is told.
    Problem(Box<Refusal>),
    /// The operator is told.
    Internal(anyhow::Error),
}

/// A problem with the headers that go with it.
#[derive(Debug)]
pub(super) struct Refusal {
    problem: Problem,
    /// RFC 8555 7.3.5 and others: where the thing is that stands in the way.
    location: Option<String>,
    /// When to come back, in seconds.
    retry_after: Option<u64>,
}

/// For the log line and the counters: which problem a response carries.
#[derive(Clone)]
pub(super) struct Said {
    pub(super) kind: Kind,
    pub(super) detail: String,
}

impl Error {
    /// A refusal that may be met with another try.
    pub(super) fn later(problem: Problem, seconds: u64) -> Self {
        Self::Problem(Box::new(Refusal { problem, location: None, retry_after: Some(seconds) }))
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::Problem(Box::new(Refusal { problem, location: None, retry_after: None }))
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        Self::Internal(error.into())
    }
}

impl From<anyhow::Error> for Error {
    fn from(error: anyhow::Error) -> Self {
        // A work refuses with a problem through the same channel as it fails.
        match error.downcast::<Problem>() {
            Ok(problem) => problem.into(),
            Err(error) => Self::Internal(error),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        match self {
            Self::Problem(refusal) => refusal.into_response(),
            Self::Internal(error) => {
                let id = acme::id::hex(&crate::random::<6>());
                tracing::error!(id, error = format!("{error:#}"), "a request failed inside");
                let detail = format!("the server could not do its work; its log says why under {id}");
                let problem = Problem::new(Kind::ServerInternal, detail);
                Refusal { problem, location: None, retry_after: Some(RETRY_INTERNAL) }.into_response()
            }
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = Response::new(Body::from(json::to_vec(&self.problem)));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(location) = self.location.and_then(|l| HeaderValue::try_from(l).ok()) {
            headers.insert(header::LOCATION, location);
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(Said { kind: self.problem.kind, detail: self.problem.detail });
        response
    }
}

/// When a client may come back after an internal error, in seconds.
const RETRY_INTERNAL: u64 = 60;
