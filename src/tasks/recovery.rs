//! What a stop left behind: intents without a certificate, orders that are `processing`.

use std::time::Duration;

use acme::id::Serial;
use acme::time::Timestamp;
use store::order::Order;

use crate::app::App;
use crate::{issuance, policy};

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
pub(super) async fn resume(app: &App) {
    if let Err(error) = take_up_orders(app, Some(app.clock.now().minus(STALE))).await {
        tracing::error!(error = format!("{error:#}"), "the store does not say which orders wait");
    }
}

/// Takes up the orders that are `processing`; when `older_than` says so, only those whose intents are that old, for a
/// younger one is under way. A start takes up all: the clock may have been set back meanwhile.
async fn take_up_orders(app: &App, older_than: Option<Timestamp>) -> anyhow::Result<()> {
    let orders = app.store.processing_orders(LIMIT).await?;
    if orders.is_empty() {
        return Ok(());
    }
    let intents = app.store.intended_certificates(LIMIT).await?;
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
    let ca_issuers = live.config.plain_url();
    let now = app.clock.now();
    let recovered =
        issuance::recover(order, intents, profile.lifetime, &live.ca, ca_issuers.as_deref(), &app.store, now)
            .await;
    match recovered {
        Ok(_) => app.metrics.issued(now),
        Err(error) => {
            let error = format!("{error:#}");
            tracing::error!(order = %order.id, error, "an order could not be taken up; it is tried again");
        }
    }
}

/// How long an order is processing before the timer looks after it: far longer than a signature takes.
const STALE: Duration = Duration::from_secs(60);
const LIMIT: u32 = 1_000;
