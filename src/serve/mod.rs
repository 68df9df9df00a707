//! The front: puts the parts together, listens, reloads, and stops in order.

mod accept;
mod listen;
mod rest;
mod signals;
mod systemd;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use store::certificate::Issuer;
use store::issuance::PutIssuer;
use store::{Options, Store};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use self::listen::{Door, Listeners};
pub use self::signals::run;

use crate::app::{App, Live};
use crate::clock::Clock;
use crate::config::Config;
use crate::{tasks, web};

/// A server that runs.
pub struct Server {
    app: Arc<App>,
    stop: watch::Sender<bool>,
    stop_tasks: watch::Sender<bool>,
    doors: Vec<JoinHandle<()>>,
    tasks: JoinHandle<()>,
    lists: JoinHandle<()>,
    watching: JoinHandle<()>,
    addresses: Vec<(Door, SocketAddr)>,
}

impl Server {
    /// Loads what the configuration names, settles what an earlier stop left behind, and serves.
    ///
    /// # Errors
    /// The first thing that is not as it must be, with what would do. Nothing listens then.
    pub async fn start(config: Config, listeners: Listeners, clock: Clock) -> anyhow::Result<Self> {
        let now = clock.now();
        let live = Live::build(config, now)?;
        warn(&live);
        let listeners = listeners.bind(&live.config)?;
        let store = Store::open(&live.config.store, &Options::default()).await?;
        let (app, requests) = App::new(live, store, clock);
        keep_issuers(&app, &app.live()).await?;
        tasks::learn_blocked_keys(&app).await?;
        tasks::settle_what_a_stop_left(&app).await?;
        tasks::release_sinks(&app).await;
        // Side by side, so that they share their commits. A list that cannot be made keeps nobody from being served.
        let (own, lists) = tokio::join!(tasks::issue_own_certificate(&app), tasks::publish_lists(&app));
        own?;
        if let Err(error) = lists {
            tracing::error!(error = format!("{error:#}"), "there is no list of what is revoked yet");
        }

        let (stop, stopping) = watch::channel(false);
        let mut doors = Vec::new();
        let mut addresses = Vec::new();
        for (door, listener) in listeners {
            addresses.push((door, listener.local_addr()?));
            let router = match door {
                Door::Acme => web::acme(Arc::clone(&app)),
                Door::Plain => web::plain(Arc::clone(&app)),
                Door::Status => web::status(Arc::clone(&app)),
            };
            let tls = (door == Door::Acme).then(|| tls::acceptor(&app)).transpose()?;
            doors.push(tokio::spawn(accept::serve(listener, tls, router, stopping.clone())));
        }
        let (stop_tasks, stopping) = watch::channel(false);
        let lists = tokio::spawn(tasks::keep_lists(Arc::clone(&app), stopping.clone()));
        let watching = tokio::spawn(tasks::watch(Arc::clone(&app), stopping.clone()));
        let tasks = tokio::spawn(tasks::run(Arc::clone(&app), requests, stopping));
        for (door, address) in &addresses {
            tracing::info!(%door, %address, "listening");
        }
        Ok(Self { app, stop, stop_tasks, doors, tasks, lists, watching, addresses })
    }

    /// The shared parts.
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Where it listens.
    pub fn addresses(&self) -> &[(Door, SocketAddr)] {
        &self.addresses
    }

    /// Puts another configuration in place: keys, resolver, pins, policy, profiles. What cannot change while running
    /// is named in the log.
    ///
    /// # Errors
    /// What is wrong with the new one; the old one stays.
    pub async fn reload(&self, config: Config) -> anyhow::Result<()> {
        let now = self.app.clock.now();
        let old = self.app.live();
        let live = Live::build(config, now)?;
        // Before anything can be issued by them.
        keep_issuers(&self.app, &live).await?;
        for key in old.config.fixed_keys_that_differ(&live.config) {
            tracing::warn!(key, "this key changed; the change takes effect with the next start");
        }
        warn(&live);
        self.app.replace(live);
        tasks::release_sinks(&self.app).await;
        tasks::renew_own_certificate(&self.app).await;
        Ok(())
    }

    /// Stops: no new connections, answers what was asked, comes to a kept state, closes the store.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        let drain = async {
            for door in self.doors {
                let _ = door.await;
            }
            // Only now: a request under way may wait for a task.
            self.stop_tasks.send_replace(true);
            let _ = self.tasks.await;
            let _ = self.lists.await;
            let _ = self.watching.await;
        };
        if tokio::time::timeout(DRAIN, drain).await.is_err() {
            tracing::warn!("some requests did not end in time; what they were doing is in the store");
        }
        // PostgreSQL's driver waits for the end of what was asked, which a lock of somebody else may hold up.
        if tokio::time::timeout(CLOSE, self.app.store.close()).await.is_err() {
            tracing::warn!("the store did not close in time; what is in it is whole");
        }
    }
}

/// What is wrong with the keys and certificates, but not so that nothing could be signed.
fn warn(live: &Live) {
    for warning in live.ca.warnings() {
        tracing::warn!("{warning}");
    }
    for missing in live.notifier.missing() {
        tracing::warn!("{missing}");
    }
}

/// Chains are kept with what they issued, so that an old certificate can be downloaded with its own chain.
async fn keep_issuers(app: &App, live: &Live) -> anyhow::Result<()> {
    let created_at = app.clock.now();
    for issuer in live.ca.issuers() {
        let issuer = Issuer {
            id: issuer.id().to_owned(),
            certificate: issuer.certificate_der().to_vec(),
            chain: issuer.chain_pem().to_owned(),
            created_at,
        };
        app.store.write(PutIssuer { issuer }).await.context("keeping an issuer's chain")?;
    }
    Ok(())
}

/// How long a stop waits for requests under way.
const DRAIN: Duration = Duration::from_secs(20);
/// How long it waits for the store.
const CLOSE: Duration = Duration::from_secs(10);
