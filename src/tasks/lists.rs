//! The lists of what is revoked: made at start, when something was revoked (here, by `ca-ctl`, by another server on the
//! same store), after a reload, and every day. It runs beside the other tasks, and none waits for it.

use std::sync::Arc;
use std::time::Duration;

use acme::time::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{every, own};
use crate::app::{App, Live};
use crate::revocation::{self, Asker, Crl};

/// Runs until `stop` says so.
pub async fn run(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let mut reloaded = app.reloaded();
    let mut look = every(LOOK);
    let mut failed: Option<Instant> = None;
    let mut anew = false;
    loop {
        tokio::select! {
            () = crate::stopped(&mut stop) => return,
            () = app.lists.woken() => {}
            // Perhaps an issuer has another certificate now: its list must name it as that does.
            Ok(()) = reloaded.changed() => anew = true,
            _ = look.tick() => {}
        }
        if failed.is_some_and(|failed| failed.elapsed() < AGAIN) {
            continue;
        }
        let made = refresh(&app, anew).await;
        if let Err(error) = &made {
            tracing::error!(
                error = format!("{error:#}"),
                "the lists of what is revoked could not be made; tried again"
            );
        }
        failed = made.is_err().then(Instant::now);
        anew &= made.is_err();
        if made.unwrap_or(0) > 0 {
            // Revocations that come in a burst share their lists.
            tokio::select! {
                () = crate::stopped(&mut stop) => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }
}

/// Learns which keys are blocked, before anything is issued.
///
/// # Errors
/// The store's. A server that does not know which keys are blocked does not start.
pub async fn learn_blocked_keys(app: &App) -> anyhow::Result<()> {
    let revision = app.store.revocations().await?;
    learn(app, revision, app.clock.now()).await
}

/// Learns what was revoked and blocked, and makes the lists that are stale; gives how many.
///
/// # Errors
/// The store's, or those of a key that does not sign; the other keys' lists are made all the same. An old list stays.
pub async fn publish(app: &Arc<App>) -> anyhow::Result<usize> {
    refresh(app, false).await
}

async fn refresh(app: &Arc<App>, anew: bool) -> anyhow::Result<usize> {
    let now = app.clock.now();
    // Read before the rest: what is revoked meanwhile makes the lists stale at the next look.
    let revision = app.store.revocations().await?;
    learn(app, revision, now).await?;
    let live = app.live();
    let mut made = Ok(0);
    for (place, issuer) in live.ca.issuers().iter().enumerate() {
        let is_stale = app.lists.of(issuer.id()).is_none_or(|list| anew || list.is_stale(revision, now));
        if !is_stale || !issuer.signs_lists() || !issuer.is_active(now) {
            continue;
        }
        let list = match make(app, &live, place, revision, now).await {
            Ok(list) => list,
            Err(error) => {
                made = Err(error.context(format!("issuer {}", issuer.id())));
                continue;
            }
        };
        tracing::info!(
            issuer = issuer.id(),
            number = list.number,
            revoked = list.serials.len(),
            until = %list.next_update,
            "list of what is revoked made"
        );
        made = made.map(|made| made + 1);
        replace_own(app, &list).await;
    }
    made
}

/// Takes over the keys that others blocked. What was issued for them before we knew is revoked.
async fn learn(app: &App, revision: i64, now: Timestamp) -> anyhow::Result<()> {
    let seen = app.lists.seen();
    if seen == Some(revision) {
        return Ok(());
    }
    for spki in app.keys.add(&app.store.blocked_keys().await?) {
        // At start nothing was issued in between: whoever blocked the key revoked its certificates.
        if seen.is_some() {
            let done = revocation::block(&spki, &Asker::SERVER, &app.store, now).await;
            if done.is_err() {
                // So that it is new once more the next time.
                app.keys.remove(&spki);
            }
            let revoked = done?.serials.len();
            tracing::warn!(spki = acme::id::hex(&spki), revoked, "a key was blocked");
        }
    }
    app.lists.saw(revision);
    Ok(())
}

/// Signs away from the threads that serve.
async fn make(
    app: &App,
    live: &Arc<Live>,
    place: usize,
    revision: i64,
    now: Timestamp,
) -> anyhow::Result<Arc<Crl>> {
    let id = live.ca.issuers()[place].id();
    let due = revocation::prepare(id, revision, &app.store, now).await?;
    let signer = Arc::clone(live);
    let signed = tokio::task::spawn_blocking(move || due.sign(&signer.ca.issuers()[place])).await?;
    let list = Arc::new(signed?);
    app.lists.put(id, &list);
    Ok(list)
}

/// The server's own certificate may be among them, and is of no use then.
async fn replace_own(app: &Arc<App>, list: &Crl) {
    if app.own().is_some_and(|own| list.serials.contains(&own.serial)) {
        tracing::warn!("the server's own certificate was revoked; it gets another");
        let _renewing = app.renewing.lock().await;
        if let Err(error) = own::issue(app).await {
            tracing::error!(
                error = format!("{error:#}"),
                "the server's own certificate could not be replaced"
            );
        }
    }
}

/// How often the store is asked whether somebody else revoked something: one read of one row.
const LOOK: Duration = Duration::from_secs(2);
/// How far lists are apart.
const PAUSE: Duration = Duration::from_secs(1);
/// When it is tried again after a failure.
const AGAIN: Duration = Duration::from_secs(10);
