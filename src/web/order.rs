//! Orders: RFC 8555 7.4.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{Request, StatusCode};
use axum::response::Response;

use acme::challenge::{Token, Type};
use acme::csr::CertificateRequest;
use acme::id::{AccountId, AuthorizationId, OrderId};
use acme::identifier::{Identifier, Wire, name_set};
use acme::message::{self, Finalize, NewOrder};
use acme::order::{AuthorizationStatus, OrderStatus, authorization_status, order_status};
use acme::problem::{Kind, Problem, Subproblem};
use acme::time::Timestamp;
use store::authorization::Authorization;
use store::order::{CreateOrder, Order, Reuse, ToFinalize};

use super::authorization::why_lost;
use super::error::Error;
use super::{jose, json, renewal_info};
use crate::app::{App, Live};
use crate::ca::pem;
use crate::issuance::{self, Plan, Span, Validity};
use crate::limits::{Bucket, Exceeded};
use crate::policy::{self, Bounds};
use crate::recent::{Download, MadeOrder};
use crate::recheck;

/// newOrder, RFC 8555 7.4.
pub(super) async fn create(State(app): State<Arc<App>>, request: Request<Body>) -> Result<Response, Error> {
    let signed = jose::by_account(&app, request).await?;
    let mut wanted: NewOrder = signed.payload()?;
    // As some clients write what they do not have.
    wanted.profile = wanted.profile.filter(|profile| !profile.is_empty());
    let live = app.live();
    let now = app.clock.now();

    let sent = identifiers(wanted.identifiers)?;
    let bounds = signed.known.bounds.as_ref();
    let profile = match bounds {
        Some(bounds) => bounds.profile(wanted.profile.as_deref()),
        None => Ok(wanted.profile.as_deref()),
    };
    let named = profile.and_then(|profile| live.config.policy.profile(profile));
    // What is wrong with the names is told first, also when the profile is none.
    let usual = &live.config.validation.challenges;
    let challenges = named.as_ref().map_or(&usual[..], |(_, profile)| live.config.challenges(profile));
    let identifiers = may_be_certified(&live, bounds, challenges, &sent, now)?;
    let (sent, identifiers) = each_once(sent, identifiers);
    let (profile_name, profile) = named?;
    let span = span(&live, now)?;
    let asked = Validity::asked(wanted.not_before, wanted.not_after, profile.lifetime, span, now)?;

    let account = signed.known.account.id.clone();
    let replaces =
        renewal_info::predecessor(&app, wanted.replaces.as_deref(), &account, &identifiers).await?;
    // Not what replaces a certificate of another CA, which may be anything.
    let is_renewal = replaces.as_ref().is_some_and(|id| live.ca.issuer(id.key_id()).is_some());
    within_limits(&app, &live, &account, &identifiers, is_renewal, now)?;
    let mut order = Order {
        id: OrderId::mint(now, crate::random()),
        account: account.clone(),
        status: OrderStatus::Pending,
        names: name_set(&identifiers),
        identifiers: sent,
        // Shown whether or not it was asked for: the client learns what it gets.
        profile: Some(profile_name.to_owned()),
        not_before: asked.not_before,
        not_after: asked.not_after,
        created_at: now,
        expires_at: now.plus(PENDING_LIFETIME),
        error: None,
        serial: None,
        csr: None,
        replaces,
    };
    let mut authorizations: Vec<Authorization> = identifiers
        .iter()
        .map(|identifier| Authorization {
            order: Some(order.id.clone()),
            ..authorization(identifier, &account, order.expires_at, challenges, now)
        })
        .collect();
    let links = authorizations.iter().map(|authorization| authorization.id.clone()).collect();
    let reuse = reuse(live.config.reuse, challenges, now);
    let change = CreateOrder { order: order.clone(), authorizations: authorizations.clone(), links, reuse };
    let mut held = app.store.write(change).await?;
    for authorization in &mut authorizations {
        match held.iter().position(|held| held.serves_for(authorization)) {
            Some(at) => *authorization = held.swap_remove(at),
            None => app.authorizations.remember_new(authorization.id.clone(), authorization.clone()),
        }
    }
    // It cannot be finalized when one of them is over.
    order.expires_at = authorizations.iter().map(|a| a.expires_at).fold(order.expires_at, Timestamp::min);
    let ids = authorizations.iter().map(|authorization| authorization.id.clone()).collect();
    app.orders.remember_new(order.id.clone(), MadeOrder { order: order.clone(), authorizations: ids });
    tracing::info!(order = %order.id, account = %account, names = order.names, "order created");
    let body = shown(&app, &order, &authorizations, now);
    Ok(json::at(json::respond(StatusCode::CREATED, &body), &app.urls.order(&order.id)))
}

/// An order by POST-as-GET, RFC 8555 7.1.3.
pub(super) async fn read(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Result<Response, Error> {
    let signed = jose::by_account(&app, request).await?;
    signed.only_post_as_get()?;
    let (order, authorizations) = own(&app, &signed, &id).await?;
    Ok(respond(&app, &order, &authorizations, app.clock.now()))
}

/// finalize, RFC 8555 7.4. Signing is local and takes a millisecond, so the answer is `valid` at once.
pub(super) async fn finalize(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Result<Response, Error> {
    let signed = jose::by_account(&app, request).await?;
    let wanted: Finalize = signed.payload()?;
    let csr = request_of(&wanted)?;
    let missing = || Problem::not_found("that order");
    let id = OrderId::parse(&id).ok_or_else(missing)?;
    let now = app.clock.now();
    if let Some((order, authorizations)) = remembered(&app, &id) {
        must_own(&signed, &order)?;
        if status(&order, &authorizations, now) == OrderStatus::Ready
            && let Some(response) = issue_ready(&app, &signed, order, authorizations, &csr, None, now).await?
        {
            return Ok(response);
        }
    }
    let found = app.store.order_to_finalize(&id, csr.thumbprint()).await?.ok_or_else(missing)?;
    let ToFinalize { order, authorizations, key_of } = found;
    must_own(&signed, &order)?;
    match status(&order, &authorizations, now) {
        OrderStatus::Ready => {}
        // The answer got lost, and the client asks again: it gets what it was owed. A certificate for another key
        // needs another order.
        OrderStatus::Valid | OrderStatus::Processing if is_for_key(&app, &order, &csr).await? => {
            return Ok(respond(&app, &order, &authorizations, now));
        }
        status => return Err(not_ready(status, &authorizations, now).into()),
    }
    if let Some(response) = issue_ready(&app, &signed, order, authorizations, &csr, key_of, now).await? {
        return Ok(response);
    }
    // The same finalize came twice at the same moment: this one shows what the other one does.
    let (mut order, mut authorizations) = own(&app, &signed, id.as_str()).await?;
    let began = Instant::now();
    while order.status == OrderStatus::Processing && began.elapsed() < SIBLING {
        tokio::time::sleep(LOOK_AGAIN).await;
        (order, authorizations) = own(&app, &signed, id.as_str()).await?;
    }
    if is_for_key(&app, &order, &csr).await? {
        return Ok(respond(&app, &order, &authorizations, now));
    }
    Err(not_ready(status(&order, &authorizations, now), &authorizations, now).into())
}

/// An order with its authorizations, when all of them were made or shown a moment ago. It saves a read, and decides nothing:
/// the intent of its certificate is kept only where the rows, which another process may have changed, say that it is ready.
fn remembered(app: &App, id: &OrderId) -> Option<(Order, Vec<Authorization>)> {
    let made = app.orders.recall(id)?;
    let recall = |id| app.authorizations.recall(id).map(|known| Authorization::clone(&known));
    let authorizations = made.authorizations.iter().map(recall).collect::<Option<_>>()?;
    Some((made.order.clone(), authorizations))
}

/// Judges the request for an order that is ready, and issues. `None`: the store says that the order is not ready any more,
/// or that the key has become an account's.
async fn issue_ready(
    app: &Arc<App>,
    signed: &jose::Authenticated,
    mut order: Order,
    authorizations: Vec<Authorization>,
    csr: &CertificateRequest,
    key_of: Option<AccountId>,
    now: Timestamp,
) -> Result<Option<Response>, Error> {
    let live = app.live();
    let (name, profile) = live.config.policy.profile(order.profile.as_deref())?;
    let (bounds, challenges) = (signed.known.bounds.as_ref(), live.config.challenges(profile));
    // Rules and issuer may have changed since the order was made.
    let identifiers = may_be_certified(&live, bounds, challenges, &order.identifiers, now)?;
    csr.check(&identifiers)?;
    app.keys.check_request(csr)?;
    profile.accepts(name, csr.key_type())?;
    // RFC 8555 11.1; whose it is, is nobody's business.
    if key_of.is_some() {
        let detail = "the key of the CSR is an account key; make another (RFC 8555 11.1)";
        return Err(Problem::bad_csr(detail).into());
    }
    let validity = Validity { not_before: order.not_before, not_after: order.not_after };
    validity.still_fits(span(&live, now)?, now)?;
    heed_caa(app, &live, &order, &authorizations, now).await?;
    let plan = Plan {
        order: order.id.clone(),
        account: order.account.clone(),
        names: identifiers,
        validity,
        profile: profile.clone(),
        replaces: order.replaces.clone(),
        csr: csr.clone(),
    };
    let Some(issued) = issue(Arc::clone(app), live, plan, now).await? else { return Ok(None) };
    order.status = OrderStatus::Valid;
    order.serial = Some(issued.serial);
    // As it is kept from now on.
    order.expires_at = issued.not_after;
    Ok(Some(respond(app, &order, &authorizations, now)))
}

/// Issues in a task of its own: a client that hangs up must not stop it half-way. `None`: the order is not ready any
/// more, because another request was faster, or the key has become an account's.
async fn issue(
    app: Arc<App>,
    live: Arc<Live>,
    plan: Plan,
    now: Timestamp,
) -> Result<Option<issuance::Issued>, Error> {
    let task = tokio::spawn(async move {
        let issued = issuance::issue(&plan, &live.ca, app.urls.plain(), &app.store, now).await;
        if let Ok(issued) = &issued {
            let pem = pem::encode("CERTIFICATE", &issued.der) + &issued.chain;
            app.downloads.remember_new(
                issued.serial.clone(),
                Download { account: plan.account.clone(), issuer: issued.issuer.clone(), pem },
            );
            app.issued(issued, &plan.account, &plan.csr.spki_sha256(), now).await?;
        }
        if let Err(error) = &issued {
            app.issuance_failed(error, now);
        }
        issued
    });
    match task.await.map_err(anyhow::Error::new)? {
        Ok(issued) => Ok(Some(issued)),
        Err(error) if matches!(error.downcast_ref(), Some(store::Error::Conflict { .. })) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The identifiers as sent; not none, and not too many.
fn identifiers(sent: Vec<Wire>) -> Result<Vec<Wire>, Error> {
    if sent.is_empty() {
        return Err(Problem::malformed("the order has no identifiers").into());
    }
    if sent.len() > IDENTIFIER_LIMIT {
        let detail = format!("the order has {} identifiers; {IDENTIFIER_LIMIT} are accepted", sent.len());
        return Err(Problem::malformed(detail).into());
    }
    Ok(sent)
}

/// The identifiers in canonical form, if each is one, is allowed by policy and by the account's own bounds, permitted by
/// the issuer's name constraints, and within reach of a challenge that is offered.
pub(super) fn may_be_certified(
    live: &Live,
    bounds: Option<&Bounds>,
    challenges: &[Type],
    identifiers: &[Wire],
    now: Timestamp,
) -> Result<Vec<Identifier>, Error> {
    let issuer = live.ca.active(now).map_err(anyhow::Error::new)?;
    bounds.map_or(Ok(()), Bounds::check)?;
    let canonical = policy::judge_all(identifiers, |identifier| {
        live.config.policy.judge(identifier)?;
        bounds.map_or(Ok(()), |bounds| bounds.judge(identifier))?;
        issuer.permits(identifier)?;
        if challenges.iter().any(|challenge| challenge.can_show(identifier)) {
            return Ok(());
        }
        let words =
            |types: &mut dyn Iterator<Item = &Type>| types.map(|t| t.as_str()).collect::<Vec<_>>().join(", ");
        let offered = words(&mut challenges.iter());
        let would = words(&mut Type::ALL.iter().filter(|t| t.can_show(identifier)));
        let what = if identifier.is_wildcard() { " (a wildcard is shown by DNS alone)" } else { "" };
        Err(format!(
            "{identifier} cannot be shown by what is offered here, {offered}; it could by {would}{what}"
        ))
    })?;
    Ok(canonical)
}

/// Identifiers as they were sent and in canonical form, each once.
fn each_once(sent: Vec<Wire>, canonical: Vec<Identifier>) -> (Vec<Wire>, Vec<Identifier>) {
    let mut seen = HashSet::new();
    sent.into_iter().zip(canonical).filter(|(_, identifier)| seen.insert(identifier.clone())).unzip()
}

/// Which authorizations of the account may serve another order, RFC 8555 7.1.4: young ones, that were shown by what is
/// good enough still.
fn reuse(within: Duration, challenges: &[Type], now: Timestamp) -> Option<Reuse> {
    (!within.is_zero()).then(|| Reuse {
        validated_after: now.minus(within),
        expires_after: now.plus(LEAST_LEFT),
        by: challenges.to_vec(),
    })
}

/// Whether the account may make another order, or an authorization for one: RFC 8555 6.6.
pub(super) fn may_be_shown(
    app: &App,
    live: &Live,
    account: &AccountId,
    identifiers: &[Identifier],
    now: Timestamp,
) -> Result<(), Exceeded> {
    identifiers.iter().try_for_each(|identifier| {
        let bucket = Bucket::FailedValidations(account.to_string(), identifier.to_authorize().to_string());
        app.limits.check(&live.config.limits, &bucket, now)
    })
}

fn within_limits(
    app: &App,
    live: &Live,
    account: &AccountId,
    identifiers: &[Identifier],
    is_renewal: bool,
    now: Timestamp,
) -> Result<(), Exceeded> {
    may_be_shown(app, live, account, identifiers, now)?;
    let (settings, account) = (&live.config.limits, account.to_string());
    let (open, rate) = (Bucket::PendingOrders(account.clone()), Bucket::NewOrders(account));
    app.limits.take(settings, &open, now)?;
    if is_renewal {
        // RFC 9773 5: what was announced comes when it was told to.
        return Ok(());
    }
    app.limits.take(settings, &rate, now).inspect_err(|_| app.limits.give_back(settings, &open, 1))
}

/// From when to when the issuer of now can sign.
fn span(live: &Live, now: Timestamp) -> Result<Span, Error> {
    let issuer = live.ca.active(now).map_err(anyhow::Error::new)?;
    Ok((issuer.not_before(), issuer.not_after()))
}

/// CAA at finalize, where it was not looked at within the last hours. An order that CAA forbids has ended; one of which
/// CAA is not known stays ready.
async fn heed_caa(
    app: &App,
    live: &Live,
    order: &Order,
    authorizations: &[Authorization],
    now: Timestamp,
) -> Result<(), Error> {
    let Err(problem) =
        recheck::caa(&live.validator, &app.urls.account(&order.account), authorizations, now).await
    else {
        return Ok(());
    };
    tracing::warn!(order = %order.id, problem = %problem, "CAA stops a finalize");
    if problem.kind == Kind::Caa {
        app.fail_order(order, problem.clone(), now).await?;
    }
    Err(problem.into())
}

/// A new authorization, for no order yet.
pub(super) fn authorization(
    identifier: &Identifier,
    account: &AccountId,
    expires_at: Timestamp,
    challenges: &[Type],
    now: Timestamp,
) -> Authorization {
    let base = identifier.to_authorize();
    let offered = challenges.iter().copied();
    Authorization {
        id: AuthorizationId::mint(now, crate::random()),
        account: account.clone(),
        order: None,
        wildcard: identifier.is_wildcard(),
        challenges: offered.filter(|challenge| challenge.can_show(identifier)).collect(),
        identifier: base,
        status: AuthorizationStatus::Pending,
        token: Token::mint(crate::random()),
        attempted: None,
        attempted_at: None,
        validated_at: None,
        created_at: now,
        expires_at,
        error: None,
        evidence: None,
    }
}

async fn own(
    app: &App,
    signed: &jose::Authenticated,
    id: &str,
) -> Result<(Order, Vec<Authorization>), Error> {
    let missing = || Problem::not_found("that order");
    let id = OrderId::parse(id).ok_or_else(missing)?;
    let (order, authorizations) = app.store.order_with_authorizations(&id).await?.ok_or_else(missing)?;
    must_own(signed, &order)?;
    Ok((order, authorizations))
}

fn must_own(signed: &jose::Authenticated, order: &Order) -> Result<(), Problem> {
    if order.account == signed.known.account.id {
        return Ok(());
    }
    Err(Problem::unauthorized("that order belongs to another account"))
}

fn request_of(wanted: &Finalize) -> Result<CertificateRequest, Problem> {
    CertificateRequest::parse(&wanted.der()?)
}

/// Whether the certificate that an order has, or is about to have, is for the key of this CSR.
async fn is_for_key(app: &App, order: &Order, csr: &CertificateRequest) -> Result<bool, Error> {
    if let Some(kept) = &order.csr {
        return Ok(CertificateRequest::parse(kept)?.spki_sha256() == csr.spki_sha256());
    }
    let Some(serial) = &order.serial else { return Ok(false) };
    let certificate = app.store.certificate(serial).await?;
    Ok(certificate.is_some_and(|certificate| certificate.spki == csr.spki_sha256()))
}

fn status(order: &Order, authorizations: &[Authorization], now: Timestamp) -> OrderStatus {
    let states = authorizations.iter().map(|a| authorization_status(a.status, a.expires_at, now));
    order_status(order.status, order.expires_at, states, now)
}

fn not_ready(status: OrderStatus, authorizations: &[Authorization], now: Timestamp) -> Problem {
    let waiting = authorizations
        .iter()
        .filter(|a| authorization_status(a.status, a.expires_at, now) != AuthorizationStatus::Valid)
        .map(|a| a.identifier.to_string())
        .take(5)
        .collect::<Vec<_>>()
        .join(", ");
    let detail = match status {
        OrderStatus::Pending => format!("the order is pending; authorizations are missing for {waiting}"),
        OrderStatus::Valid | OrderStatus::Processing => {
            format!("the order is {status} already, for another key; make a new order")
        }
        status => format!("the order is {status}; make a new order"),
    };
    Problem::new(Kind::OrderNotReady, detail)
}

fn respond(app: &App, order: &Order, authorizations: &[Authorization], now: Timestamp) -> Response {
    let body = shown(app, order, authorizations, now);
    let processing = body.status == OrderStatus::Processing;
    // Location: Go's x/crypto/acme, mod_md and Ruby's acme-client look for it here too.
    let response = json::at(json::respond(StatusCode::OK, &body), &app.urls.order(&order.id));
    if processing { json::retry_after(response, POLL_AGAIN) } else { response }
}

fn shown(app: &App, order: &Order, authorizations: &[Authorization], now: Timestamp) -> message::Order {
    let status = status(order, authorizations, now);
    message::Order {
        status,
        expires: order.expires_at,
        identifiers: order.identifiers.clone(),
        not_before: order.not_before,
        not_after: order.not_after,
        profile: order.profile.clone(),
        replaces: order.replaces.as_ref().map(ToString::to_string),
        authorizations: authorizations.iter().map(|a| app.urls.authorization(&a.id)).collect(),
        finalize: app.urls.finalize(&order.id),
        certificate: match (status, &order.serial) {
            (OrderStatus::Valid, Some(serial)) => Some(app.urls.certificate(serial)),
            _ => None,
        },
        error: (status == OrderStatus::Invalid).then(|| why_invalid(order, authorizations, now)),
    }
}

/// Why an order is invalid: what was kept, else what its authorizations say.
fn why_invalid(order: &Order, authorizations: &[Authorization], now: Timestamp) -> Problem {
    let lost: Vec<Subproblem> = authorizations
        .iter()
        .filter_map(|a| {
            let problem = why_lost(a, now)?;
            Some(Subproblem::new(&a.identifier.to_wire(), &problem))
        })
        .collect();
    if !lost.is_empty() {
        return Problem::of_identifiers(lost);
    }
    if let Some(problem) = &order.error {
        return problem.clone();
    }
    Problem::unauthorized(format!("the order ran out at {}; make a new order", order.expires_at))
}

/// How many names an order may have.
pub(super) const IDENTIFIER_LIMIT: usize = 100;
/// How long an order waits for its client.
pub(super) const PENDING_LIFETIME: Duration = Duration::from_secs(24 * 3_600);
/// What an authorization must still have left to serve another order.
const LEAST_LEFT: Duration = Duration::from_secs(600);
/// How long a second finalize waits for the first one's certificate: many times as long as a signature takes.
const SIBLING: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// When a client may ask again, in seconds.
pub(super) const POLL_AGAIN: u64 = 1;
