//! Authorizations and their challenges: RFC 8555 7.5.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{Request, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::oneshot;

use acme::challenge::Type;
use acme::id::AuthorizationId;
use acme::message::{self, NewAuthorization, UpdateAuthorization};
use acme::order::{
    AuthorizationStatus, ChallengeStatus, authorization_status, challenge_status, shown as as_shown,
};
use acme::problem::{Kind, Problem};
use acme::time::Timestamp;
use store::audit::AuditEvent;
use store::authorization::{AcceptChallenge, Authorization, CreateAuthorization, DeactivateAuthorization};

use super::error::Error;
use super::order::{self, POLL_AGAIN};
use super::{jose, json};
use crate::app::{App, Kept, ValidationRequest};
use crate::audit;
use crate::limits::Bucket;

/// newAuthz, RFC 8555 7.4.1: an authorization before there is an order that needs it.
pub(super) async fn create(State(app): State<Arc<App>>, request: Request<Body>) -> Result<Response, Error> {
    let signed = jose::by_account(&app, request).await?;
    let live = app.live();
    if live.config.reuse.is_zero() {
        let detail = "newAuthz is not offered here, because each order is validated anew";
        return Err(Problem::malformed(detail).with_status(404).into());
    }
    let wanted: NewAuthorization = signed.payload()?;
    let now = app.clock.now();
    let sent = [wanted.identifier];
    let bounds = signed.known.bounds.as_ref();
    let profile = bounds.map_or(Ok(None), |bounds| bounds.profile(None))?;
    let (_, profile) = live.config.policy.profile(profile)?;
    let challenges = live.config.challenges(profile);
    let identifier = order::may_be_certified(&live, bounds, challenges, &sent, now)?.remove(0);
    if identifier.is_wildcard() {
        let detail = format!("{identifier} is a wildcard, which newAuthz does not take; make an order");
        return Err(Problem::malformed(detail).into());
    }
    let expires_at = now.plus(order::PENDING_LIFETIME);
    let account = &signed.known.account.id;
    order::may_be_shown(&app, &live, account, std::slice::from_ref(&identifier), now)?;
    app.limits.take(&live.config.limits, &Bucket::NewOrders(account.to_string()), now)?;
    let authorization = order::authorization(&identifier, account, expires_at, challenges, now);
    app.store.write(CreateAuthorization { authorization: authorization.clone() }).await?;
    let url = app.urls.authorization(&authorization.id);
    let mut response = json::at(respond(&app, &authorization, now), &url);
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

/// An authorization by POST-as-GET, or its end by its owner's will (RFC 8555 7.5.2).
pub(super) async fn read_or_deactivate(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Result<Response, Error> {
    let signed = jose::by_account(&app, request).await?;
    let mut authorization = own(&app, &signed, &id).await?;
    let now = app.clock.now();
    if !signed.is_post_as_get() {
        let wanted: UpdateAuthorization = signed.payload()?;
        if !wanted.deactivates() {
            return Err(
                Problem::malformed("an authorization can be read, or set to the status deactivated").into()
            );
        }
        deactivate(&app, &mut authorization, now).await?;
    }
    Ok(respond(&app, &authorization, now))
}

/// Reading a challenge, or answering it: RFC 8555 7.5.1. A POST-as-GET never starts a validation.
pub(super) async fn challenge(
    State(app): State<Arc<App>>,
    Path((id, word)): Path<(String, String)>,
    request: Request<Body>,
) -> Result<Response, Error> {
    let signed = jose::by_account(&app, request).await?;
    let mut authorization = own(&app, &signed, &id).await?;
    let challenge = Type::parse(&word)
        .filter(|challenge| authorization.challenges.contains(challenge))
        .ok_or_else(|| Problem::not_found("that challenge"))?;
    if !signed.is_post_as_get() {
        let _: Answer = signed.payload()?;
        let now = app.clock.now();
        if authorization_status(authorization.status, authorization.expires_at, now)
            == AuthorizationStatus::Pending
            && authorization.attempted.is_none()
        {
            authorization = match start(&app, &signed, authorization, challenge).await? {
                Some(authorization) => authorization,
                None => own(&app, &signed, &id).await?,
            };
        }
    }
    let now = app.clock.now();
    let status = authorization_status(authorization.status, authorization.expires_at, now);
    if !signed.is_post_as_get() && authorization.attempted.is_none() && status != AuthorizationStatus::Pending
    {
        let detail = format!("the authorization is {status}; make a new order");
        return Err(Problem::malformed(detail).into());
    }
    let body = shown_challenge(&app, &authorization, challenge, now).ok_or_else(|| {
        let chosen = authorization.attempted.map_or("another", Type::as_str);
        let detail = format!("the authorization is tried by {chosen}; {challenge} is not open any more");
        // To be read it is gone (RFC 8555 7.1.4: the others may vanish); to be answered it is too late.
        Problem::malformed(detail).with_status(if signed.is_post_as_get() { 404 } else { 400 })
    })?;
    let processing = body.status == ChallengeStatus::Processing;
    let response = json::respond(StatusCode::OK, &body);
    let response = json::link(response, &app.urls.authorization(&authorization.id), "up");
    Ok(if processing { json::retry_after(response, POLL_AGAIN) } else { response })
}

/// Hands the challenge to `tasks`, and waits until the answer is kept: mostly the verdict itself, else, after a short
/// bounded time, that there will be one. Gives the authorization as it is then; `None` when its row has to be read.
async fn start(
    app: &App,
    signed: &jose::Authenticated,
    authorization: Authorization,
    challenge: Type,
) -> Result<Option<Authorization>, Error> {
    let (kept, answered) = oneshot::channel();
    app.authorizations.forget(&authorization.id);
    let thumbprint = signed.known.account.thumbprint.clone();
    let accept = AcceptChallenge {
        authorization: authorization.id.clone(),
        challenge,
        thumbprint: thumbprint.clone(),
        now: app.clock.now(),
    };
    let request = ValidationRequest { authorization, thumbprint, challenge, kept };
    let later = |what: &str| {
        let detail = format!("too many validations {what} already; come back a little later");
        Error::later(Problem::new(Kind::RateLimited, detail), 10)
    };
    match app.validations.try_send(request) {
        Ok(()) => {}
        Err(TrySendError::Full(_)) => return Err(later("wait")),
        Err(TrySendError::Closed(_)) => return leave_to_the_next_start(app, accept).await,
    }
    match answered.await {
        Ok(Kept::As(authorization)) => Ok(Some(*authorization)),
        Ok(Kept::Before) => Ok(None),
        Ok(Kept::TooMany) => Err(later("of this account are under way")),
        Err(_) => leave_to_the_next_start(app, accept).await,
    }
}

/// Keeps that a challenge was answered, where nobody is there any more to look at it: the server stops, or the verdict
/// could not be kept. The row is the queue, and whoever starts next takes it up.
async fn leave_to_the_next_start(app: &App, accept: AcceptChallenge) -> Result<Option<Authorization>, Error> {
    match app.store.write(accept).await {
        // A conflict: more than this was kept already.
        Ok(()) | Err(store::Error::Conflict { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Gives an authorization up, unless it has ended already: then there is nothing to give up.
async fn deactivate(app: &App, authorization: &mut Authorization, now: Timestamp) -> Result<(), Error> {
    let status = authorization_status(authorization.status, authorization.expires_at, now);
    if !matches!(status, AuthorizationStatus::Pending | AuthorizationStatus::Valid) {
        return Ok(());
    }
    let change = DeactivateAuthorization {
        authorization: authorization.id.clone(),
        problem: Problem::unauthorized(format!(
            "the authorization for {} was deactivated",
            authorization.identifier
        )),
        audit: AuditEvent {
            account: Some(authorization.account.clone()),
            order: authorization.order.clone(),
            ..audit("authorization-deactivated", now)
        },
    };
    app.authorizations.forget(&authorization.id);
    let ended = app.store.write(change).await;
    // Again: it may have been shown, and remembered, while the change waited.
    app.authorizations.forget(&authorization.id);
    let ended = ended?;
    app.orders_ended(&authorization.account, ended);
    authorization.status = AuthorizationStatus::Deactivated;
    Ok(())
}

async fn own(app: &App, signed: &jose::Authenticated, id: &str) -> Result<Authorization, Error> {
    let missing = || Problem::not_found("that authorization");
    let id = AuthorizationId::parse(id).ok_or_else(missing)?;
    let authorization = match app.authorizations.recall(&id) {
        Some(authorization) => Authorization::clone(&authorization),
        None => app.store.authorization(&id).await?.ok_or_else(missing)?,
    };
    if authorization.account != signed.known.account.id {
        return Err(Problem::unauthorized("that authorization belongs to another account").into());
    }
    Ok(authorization)
}

fn respond(app: &App, authorization: &Authorization, now: Timestamp) -> Response {
    let status = authorization_status(authorization.status, authorization.expires_at, now);
    let body = message::Authorization {
        identifier: authorization.identifier.to_wire(),
        status: as_shown(status),
        expires: authorization.expires_at,
        challenges: authorization
            .challenges
            .iter()
            .filter_map(|challenge| shown_challenge(app, authorization, *challenge, now))
            .collect(),
        wildcard: authorization.wildcard,
    };
    let response = json::respond(StatusCode::OK, &body);
    let waits = status == AuthorizationStatus::Pending && authorization.attempted.is_some();
    if waits { json::retry_after(response, POLL_AGAIN) } else { response }
}

fn shown_challenge(
    app: &App,
    authorization: &Authorization,
    challenge: Type,
    now: Timestamp,
) -> Option<message::Challenge> {
    let status = authorization_status(authorization.status, authorization.expires_at, now);
    let validated = authorization.validated_at.is_some();
    let status = challenge_status(challenge, authorization.attempted, validated, status)?;
    Some(message::Challenge {
        kind: challenge,
        url: app.urls.challenge(&authorization.id, challenge),
        status,
        token: challenge.has_token().then(|| authorization.token.clone()),
        issuer_domain_names: match challenge {
            Type::DnsPersist01 => app.live().config.validation.identities.clone(),
            _ => Vec::new(),
        },
        validated: authorization.validated_at.filter(|_| status == ChallengeStatus::Valid),
        // Shown during retries as well, RFC 8555 8.2.
        error: match status {
            ChallengeStatus::Processing | ChallengeStatus::Invalid => why_lost(authorization, now),
            _ => None,
        },
    })
}

/// Why an authorization does not hold, or does not hold yet: what its last attempt met, else what became of it. certbot
/// shows its user the errors of challenges alone.
pub(super) fn why_lost(authorization: &Authorization, now: Timestamp) -> Option<Problem> {
    if let Some(failure) = &authorization.error {
        return Some(failure.to_problem());
    }
    let (name, end) = (&authorization.identifier, authorization.expires_at);
    let detail = match authorization_status(authorization.status, end, now) {
        AuthorizationStatus::Pending | AuthorizationStatus::Valid => return None,
        AuthorizationStatus::Expired if authorization.validated_at.is_none() => {
            format!(
                "nothing showed control of {name} until {end}, when the authorization ran out; make a new order"
            )
        }
        AuthorizationStatus::Expired => {
            format!("the authorization for {name} ran out at {end}; make a new order")
        }
        status => format!("the authorization for {name} is {status}; make a new order"),
    };
    Some(Problem::unauthorized(detail))
}

/// What a client sends to a challenge: an object, whose members do not matter (RFC 8555 7.5.1; a `keyAuthorization`
/// of old is ignored).
#[derive(Deserialize)]
struct Answer {}
