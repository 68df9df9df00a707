//! Time and queue in: what the server does without being asked at that moment. Validations that clients began, work
//! that a stop left behind, the server's own certificate, and tidying up.
//!
//! The rows are the queue: an authorization whose challenge was answered and an order that is `processing` are the
//! durable lists of work. The channel from `web` only saves looking at them.

mod chore;
mod lists;
mod own;
mod recovery;
mod validation;
mod watching;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{self, JoinSet};
use tokio::time::{MissedTickBehavior, interval};

use acme::id::{AccountId, AuthorizationId, Serial};
use acme::time::Timestamp;
use store::prune::Prune;
use store::renewal_info::RecordPolls;

pub use self::lists::{learn_blocked_keys, publish as publish_lists, run as keep_lists};
pub use self::own::{issue as issue_own_certificate, renew as renew_own_certificate};
pub use self::recovery::settle as settle_what_a_stop_left;
pub use self::watching::{judge, probe, release_sinks, run as watch, tell};

use self::chore::Chore;
use self::validation::Job;
use crate::app::{App, Kept, ValidationRequest};

/// Runs until `stop` says so, then lets what is under way come to a kept state.
pub async fn run(
    app: Arc<App>,
    mut requests: mpsc::Receiver<ValidationRequest>,
    mut stop: watch::Receiver<bool>,
) {
    let mut validations = Validations::new(Arc::clone(&app));
    let mut recovery = Chore::new("recovery");
    let mut renewal = Chore::new("renewal of the server's own certificate");
    let mut tidying = Chore::new("tidying");
    let mut noting = Chore::new("noting signs of life");
    let mut often = every(LOOK_AGAIN);
    let mut now_and_then = every(NOTE_SIGNS);
    let mut seldom = every(TIDY);
    loop {
        tokio::select! {
            () = crate::stopped(&mut stop) => break,
            Some(request) = requests.recv() => validations.begin(request),
            Some(ended) = validations.jobs.join_next_with_id() => validations.end(ended),
            _ = often.tick() => {
                validations.resume().await;
                recovery.begin(recovery::resume(Arc::clone(&app))).await;
                let app = Arc::clone(&app);
                renewal.begin(async move { own::renew(&app).await }).await;
            }
            _ = now_and_then.tick() => noting.begin(note_signs(Arc::clone(&app))).await,
            _ = seldom.tick() => tidying.begin(tidy(Arc::clone(&app), stop.clone())).await,
        }
    }
    // Whoever waits in it keeps its answer by itself.
    drop(requests);
    tokio::join!(
        validations.stop(),
        recovery.stop(GRACE),
        renewal.stop(GRACE),
        tidying.stop(GRACE),
        noting.stop(GRACE)
    );
    note_signs(app).await;
}

/// The validations under way. One task owns them, so nothing here needs a lock, and no challenge is validated twice at
/// the same time.
struct Validations {
    app: Arc<App>,
    jobs: JoinSet<()>,
    /// Whose each job is; known also of one that panics.
    owners: HashMap<task::Id, (AuthorizationId, AccountId)>,
    running: HashSet<AuthorizationId>,
    of_account: HashMap<AccountId, usize>,
    slots: Arc<Semaphore>,
}

impl Validations {
    fn new(app: Arc<App>) -> Self {
        Self {
            app,
            jobs: JoinSet::new(),
            owners: HashMap::new(),
            running: HashSet::new(),
            of_account: HashMap::new(),
            slots: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    fn begin(&mut self, request: ValidationRequest) {
        let account = &request.authorization.account;
        let under_way = self.of_account.get(account).copied().unwrap_or(0);
        if self.app.live().config.limits.enabled && under_way >= PER_ACCOUNT {
            let _ = request.kept.send(Kept::TooMany);
            return;
        }
        if self.running.contains(&request.authorization.id) {
            // A second answer to the same challenge: the first one's verdict counts for both.
            let _ = request.kept.send(Kept::Before);
            return;
        }
        self.spawn(Job {
            authorization: request.authorization,
            thumbprint: request.thumbprint,
            challenge: request.challenge,
            kept: Some(request.kept),
        });
    }

    /// Takes up what was begun before a stop, or what a failing store interrupted.
    async fn resume(&mut self) {
        let waiting = match self.app.store.processing_authorizations(RESUME_LIMIT).await {
            Ok(waiting) => waiting,
            Err(error) => return tracing::error!(%error, "the store does not say which validations wait"),
        };
        for (authorization, thumbprint) in waiting {
            let Some(challenge) = authorization.attempted else { continue };
            if !self.running.contains(&authorization.id) {
                tracing::info!(authorization = %authorization.id, name = %authorization.identifier, "validation resumed");
                self.spawn(Job { authorization, thumbprint, challenge, kept: None });
            }
        }
    }

    fn spawn(&mut self, job: Job) {
        let (id, account) = (job.authorization.id.clone(), job.authorization.account.clone());
        self.running.insert(id.clone());
        *self.of_account.entry(account.clone()).or_default() += 1;
        let (app, slots) = (Arc::clone(&self.app), Arc::clone(&self.slots));
        let job = self.jobs.spawn(async move { job.run(&app, &slots).await });
        self.owners.insert(job.id(), (id, account));
    }

    fn end(&mut self, ended: Result<(task::Id, ()), task::JoinError>) {
        let job = match ended {
            Ok((job, ())) => job,
            Err(error) => {
                tracing::error!(%error, "a validation ended in a way that it must not; it is resumed");
                error.id()
            }
        };
        let Some((id, account)) = self.owners.remove(&job) else { return };
        self.running.remove(&id);
        if let Some(count) = self.of_account.get_mut(&account) {
            *count -= 1;
            if *count == 0 {
                self.of_account.remove(&account);
            }
        }
    }

    /// Gives what is under way a moment; the rest is in its rows, and is resumed by the next start.
    async fn stop(mut self) {
        let _ = tokio::time::timeout(GRACE, async { while self.jobs.join_next().await.is_some() {} }).await;
        self.jobs.shutdown().await;
    }
}

/// Removes what nobody can ask for any more. Certificates and the audit trail stay.
async fn tidy(app: Arc<App>, stop: watch::Receiver<bool>) {
    let now = app.clock.now();
    while !*stop.borrow() {
        match app.store.write(Prune { before: now.minus(KEEP), limit: PRUNE_BATCH }).await {
            // In small bites, so that requests wait for one at most.
            Ok(removed) if removed >= u64::from(PRUNE_BATCH) => {}
            Ok(_) => break,
            Err(error) => return tracing::error!(%error, "tidying up failed; it is tried again later"),
        }
    }
    if let Err(error) = watching::tidy(&app, now.minus(KEEP)).await {
        tracing::error!(%error, "old alerts could not be removed; it is tried again later");
    }
}

/// Writes down the signs of life since the last time. What a failing store loses is no loss: there are more to come.
async fn note_signs(app: Arc<App>) {
    let (polls, downloads) = (app.signs.take_polls(), app.signs.take_downloads());
    let changes = polls.len().max(downloads.len()).div_ceil(SIGNS_BATCH);
    let some = |signs: &[(Serial, Timestamp)], change: usize| {
        signs.chunks(SIGNS_BATCH).nth(change).map(<[_]>::to_vec).unwrap_or_default()
    };
    for change in 0..changes {
        // In small bites, so that requests wait for one at most.
        let change = RecordPolls { polls: some(&polls, change), downloads: some(&downloads, change) };
        if let Err(error) = app.store.write(change).await {
            return tracing::error!(%error, "the signs of life of the last minute could not be kept");
        }
    }
}

fn every(period: Duration) -> tokio::time::Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// How often the durable lists are looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// How often signs of life are written down, and how many in one change.
const NOTE_SIGNS: Duration = Duration::from_secs(60);
const SIGNS_BATCH: usize = 1_000;
/// How often the store is tidied.
const TIDY: Duration = Duration::from_secs(3_600);
/// How long finished orders can be looked at after their time.
const KEEP: Duration = Duration::from_secs(30 * 86_400);
const PRUNE_BATCH: u32 = 500;
/// How many validations dial at once; the others wait for a slot.
const AT_ONCE: usize = 256;
/// How many validations one account may have under way, when limits are enabled: an order of 100 names fits.
const PER_ACCOUNT: usize = 128;
const RESUME_LIMIT: u32 = 1_000;
const GRACE: Duration = Duration::from_secs(5);
