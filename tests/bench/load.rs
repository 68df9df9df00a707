//! One run: so many issuances by so many workers, and what they cost the server.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::task::JoinSet;

use crate::args::Load;
use crate::flow::{Wish, Worker};
use crate::process::Machine;
use crate::responder::Responder;
use crate::running::Running;

#[derive(Serialize)]
pub(crate) struct Outcome {
    pub(crate) concurrency: usize,
    pub(crate) issued: usize,
    pub(crate) failed: usize,
    pub(crate) per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p95_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) requests_per_issuance: f64,
    /// Seconds of user and system time of the server (and of PostgreSQL) for 1000 issuances.
    pub(crate) server_cpu_per_1000: f64,
    pub(crate) client_cpu_per_1000: f64,
    /// CPU that was neither the server's nor ours, as a share of the machine; above a tenth the run was disturbed.
    pub(crate) other_cpu_share: f64,
    /// `None`: the server does not count its commits.
    pub(crate) commits_per_issuance: Option<f64>,
    pub(crate) bad_nonces: u64,
    pub(crate) reconnects: u64,
    /// By kind: how many, and the first one's words.
    pub(crate) errors: BTreeMap<String, (usize, String)>,
}

/// Accounts, connections, keys and CSRs are made first; the clock runs over the issuances alone.
pub(crate) async fn run(server: &Running, load: Load, responder: &Responder) -> anyhow::Result<Outcome> {
    let wishes = Arc::new(wishes(load.count)?);
    let mut workers = Vec::with_capacity(load.concurrency);
    for _ in 0..load.concurrency {
        workers.push(Worker::register(server.endpoint.clone(), responder.clone()).await?);
    }

    let commits = server.commits().await?;
    let before = Machine::now(server.pid(), server.with_postgres)?;
    let clock = Instant::now();
    let taken = Arc::new(AtomicUsize::new(0));
    let mut running = JoinSet::new();
    for worker in workers {
        running.spawn(work(worker, Arc::clone(&wishes), Arc::clone(&taken)));
    }
    let mut tallies = Vec::with_capacity(load.concurrency);
    while let Some(joined) = running.join_next().await {
        tallies.push(joined?);
    }
    let elapsed = clock.elapsed();
    let used = Machine::now(server.pid(), server.with_postgres)?.since(&before);
    let commits = server.commits().await?.zip(commits).map(|(after, before)| after - before);

    let mut times: Vec<Duration> = tallies.iter().flat_map(|tally| tally.times.iter().copied()).collect();
    times.sort_unstable();
    let issued = times.len();
    let each = |total: f64| total / issued.max(1) as f64;
    let mut errors = BTreeMap::new();
    for (kind, detail) in tallies.iter().flat_map(|tally| &tally.errors) {
        errors.entry(kind.clone()).or_insert_with(|| (0, detail.clone())).0 += 1;
    }
    Ok(Outcome {
        concurrency: load.concurrency,
        issued,
        failed: load.count - issued,
        per_second: issued as f64 / elapsed.as_secs_f64(),
        p50_ms: quantile(&times, 50),
        p95_ms: quantile(&times, 95),
        p99_ms: quantile(&times, 99),
        requests_per_issuance: each(tallies.iter().map(|tally| tally.requests).sum::<u64>() as f64),
        server_cpu_per_1000: each(used.server * 1000.0),
        client_cpu_per_1000: each(used.client * 1000.0),
        other_cpu_share: used.other_share(elapsed),
        commits_per_issuance: commits.map(each),
        bad_nonces: tallies.iter().map(|tally| tally.bad_nonces).sum(),
        reconnects: tallies.iter().map(|tally| tally.reconnects).sum(),
        errors,
    })
}

/// What one worker brings home.
struct Tally {
    times: Vec<Duration>,
    errors: Vec<(String, String)>,
    requests: u64,
    bad_nonces: u64,
    reconnects: u64,
}

async fn work(mut worker: Worker, wishes: Arc<Vec<Wish>>, taken: Arc<AtomicUsize>) -> Tally {
    let (mut times, mut errors) = (Vec::new(), Vec::new());
    while let Some(wish) = wishes.get(taken.fetch_add(1, Ordering::Relaxed)) {
        let clock = Instant::now();
        match worker.issue(wish).await {
            Ok(()) => times.push(clock.elapsed()),
            Err(failure) => errors.push((failure.kind, failure.detail)),
        }
    }
    let reconnects = worker.reconnects();
    Tally { times, errors, requests: worker.requests, bad_nonces: worker.bad_nonces, reconnects }
}

/// Every name is new, so that no server answers from what it knows; every tenth chain has its signatures checked.
fn wishes(count: usize) -> anyhow::Result<Vec<Wish>> {
    static RUN: AtomicU64 = AtomicU64::new(0);
    let run = RUN.fetch_add(1, Ordering::Relaxed);
    let process = std::process::id();
    (0..count)
        .map(|number| Wish::new(format!("n{number}-r{run}-p{process}.load.test"), number % 10 == 0))
        .collect()
}

/// In milliseconds; the nearest rank of `sorted`.
fn quantile(sorted: &[Duration], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
}
