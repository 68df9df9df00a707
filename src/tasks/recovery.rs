//! What a stop left behind: intents without a certificate, orders that are `processing`.

use std::sync::Arc;
use std::time::Duration;

use acme::csr::CertificateRequest;
use acme::id::Serial;
use acme::identifier::Identifier;
use acme::problem::{Kind, Problem};
use acme::time::Timestamp;
use store::order::Order;

use crate::app::{App, Live};
use crate::issuance::Validity;
use crate::policy::BlockedKeys;
use crate::{issuance, policy, recheck};

/// At start, before anybody is served: every intent is a stopped one. The server's own are given up; orders' are given
/// up and their orders issued anew.
///
/// # Errors
/// The store's. A server that cannot settle its past does not start.
pub async fn settle(app: &App) -> anyhow::Result<()> {
    let now = app.clock.now();
    for certificate in app.store.intended_certificates(LIMIT).await? {
        if certificate.order.is_none() {
            issuance::abandon(&certificate.serial, None, &app.store, now).await?;
        }
    }
    take_up_orders(app, None).await
}

/// On a timer: orders whose issuance failed half-way, because a key or the store could not be used at that moment.
pub(super) async fn resume(app: Arc<App>) {
    if let Err(error) = take_up_orders(&app, Some(app.clock.now().minus(STALE))).await {
        tracing::error!(error = format!("{error:#}"), "the store does not say which orders wait");
    }
}

/// Takes up the orders that are `processing`; when `older_than` says so, only those whose intents are that old, for a
/// younger one is under way. A start takes up all: the clock may have been set back meanwhile.
async fn take_up_orders(app: &App, older_than: Option<Timestamp>) -> anyhow::Result<()> {
    // Intents first: an order that is issued between the two reads is not among the orders any more.
    let intents = app.store.intended_certificates(LIMIT).await?;
    let orders = app.store.processing_orders(LIMIT).await?;
    for order in orders {
        let intents = intents.iter().filter(|intent| intent.order.as_ref() == Some(&order.id));
        if older_than.is_none_or(|limit| intents.clone().all(|intent| intent.created_at <= limit)) {
            let serials: Vec<Serial> = intents.map(|intent| intent.serial.clone()).collect();
            take_up(app, &order, &serials).await;
        }
    }
    Ok(())
}

async fn take_up(app: &App, order: &Order, intents: &[Serial]) {
    let live = app.live();
    let profiles = &live.config.policy.profiles;
    let name = order.profile.as_deref().unwrap_or(policy::DEFAULT_PROFILE);
    // A profile that was removed meanwhile: the default's lifetime is what it would get today.
    let Some(profile) = profiles.get(name).or_else(|| profiles.get(policy::DEFAULT_PROFILE)) else { return };
    let now = app.clock.now();
    let spki = match may_still_be_issued(order, &live, &app.keys, now) {
        Ok(spki) => spki,
        Err(problem) => return give_up(app, order, problem).await,
    };
    match heed_caa(app, &live, order, now).await {
        Ok(()) => {}
        Err(problem) if problem.kind == Kind::Caa => return give_up(app, order, problem).await,
        Err(problem) => {
            tracing::warn!(order = %order.id, problem = %problem, "CAA is not known for an order that is taken up; it is tried again");
            return;
        }
    }
    let recovered = async {
        let issued =
            issuance::recover(order, intents, profile, &live.ca, app.urls.plain(), &app.store, now).await?;
        app.issued(&issued, &order.account, &spki, now).await?;
        anyhow::Ok(())
    };
    match recovered.await {
        Ok(()) => {}
        Err(error) => {
            app.issuance_failed(&error, now);
            let error = format!("{error:#}");
            tracing::error!(order = %order.id, error, "an order could not be taken up; it is tried again");
        }
    }
}

/// What was judged when the order was made, judged again: keys, rules and time have moved on. Gives the SHA-256 of the
/// key that it is for.
fn may_still_be_issued(
    order: &Order,
    live: &Live,
    keys: &BlockedKeys,
    now: Timestamp,
) -> Result<[u8; 32], Problem> {
    let csr = CertificateRequest::parse(order.csr.as_deref().unwrap_or_default())?;
    keys.check_request(&csr)?;
    if let Ok((name, profile)) = live.config.policy.profile(order.profile.as_deref()) {
        profile.accepts(name, csr.key_type())?;
    }
    let spki = csr.spki_sha256();
    // Without an issuer whose time it is, it is tried again later: that can be mended.
    let Ok(issuer) = live.ca.active(now) else { return Ok(spki) };
    let validity = Validity { not_before: order.not_before, not_after: order.not_after };
    validity.still_fits((issuer.not_before(), issuer.not_after()), now)?;
    let judge = |name: &Identifier| live.config.policy.judge(name).and_then(|()| issuer.permits(name));
    policy::judge_all(&order.identifiers, judge)?;
    Ok(spki)
}

/// CAA, where it is heeded: a stop may have lasted longer than a look at it counts.
async fn heed_caa(app: &App, live: &Live, order: &Order, now: Timestamp) -> Result<(), Problem> {
    if !live.config.validation.caa {
        return Ok(());
    }
    let read = app.store.order_with_authorizations(&order.id).await;
    let Ok(Some((_, authorizations))) = read else {
        return Err(Problem::new(Kind::ServerInternal, "its authorizations cannot be read"));
    };
    recheck::caa(&live.validator, &app.urls.account(&order.account), &authorizations, now).await
}

/// Ends an order that nobody will ever issue; its intents go with it.
async fn give_up(app: &App, order: &Order, problem: Problem) {
    tracing::warn!(order = %order.id, problem = %problem, "an order that a stop left behind cannot be issued any more");
    if let Err(error) = app.fail_order(order, problem, app.clock.now()).await {
        tracing::error!(order = %order.id, %error, "the end of an order could not be kept; it is tried again");
    }
}

/// How long an order is processing before the timer looks after it: far longer than a signature takes.
const STALE: Duration = Duration::from_secs(60);
const LIMIT: u32 = 1_000;
