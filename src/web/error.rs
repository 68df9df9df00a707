//! What leaves the server when something went wrong. A problem goes out as it is; what went wrong inside is logged
//! here, once, under an id, and the client reads the id alone.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use acme::problem::{Kind, Problem};

use super::json;
use crate::limits::Exceeded;

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
    /// The terms that are to be agreed to (RFC 8555 7.3.3).
    terms: Option<String>,
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
        Self::Problem(Box::new(Refusal { retry_after: Some(seconds), ..Refusal::new(problem) }))
    }

    /// A refusal because of something that is elsewhere.
    pub(super) fn at(problem: Problem, location: String) -> Self {
        Self::Problem(Box::new(Refusal { location: Some(location), ..Refusal::new(problem) }))
    }

    /// The client has not agreed to the terms at `url`.
    pub(super) fn terms(url: String) -> Self {
        let detail = format!("a new account has to agree to the terms of service at {url}");
        let problem =
            Problem { instance: Some(url.clone()), ..Problem::new(Kind::UserActionRequired, detail) };
        Self::Problem(Box::new(Refusal { terms: Some(url), ..Refusal::new(problem) }))
    }
}

impl From<Exceeded> for Error {
    fn from(exceeded: Exceeded) -> Self {
        Self::later(Problem::new(Kind::RateLimited, exceeded.why), exceeded.retry_after)
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::Problem(Box::new(Refusal::new(problem)))
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            // Two requests about one thing at the same moment; the other was faster.
            store::Error::Conflict { what, .. } => {
                let detail = format!("the {what} was changed by another request; read it again");
                Problem::malformed(detail).with_status(409).into()
            }
            error => Self::Internal(error.into()),
        }
    }
}

impl From<anyhow::Error> for Error {
    fn from(error: anyhow::Error) -> Self {
        // A work refuses with a problem through the same channel as it fails.
        match error.downcast::<Problem>().map_err(|error| error.downcast::<store::Error>()) {
            Ok(problem) => problem.into(),
            Err(Ok(error)) => error.into(),
            Err(Err(error)) => Self::Internal(error),
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
                Refusal { retry_after: Some(RETRY_INTERNAL), ..Refusal::new(problem) }.into_response()
            }
        }
    }
}

impl Refusal {
    fn new(problem: Problem) -> Self {
        Self { problem, location: None, retry_after: None, terms: None }
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
        if let Some(terms) = self.terms
            && let Ok(link) = HeaderValue::try_from(format!("<{terms}>;rel=\"terms-of-service\""))
        {
            headers.append(header::LINK, link);
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
