//! The measurement in its order: loads in rounds, every server in turn, then what each does alone.

use std::net::{Ipv4Addr, SocketAddr};

use serde::Serialize;

use crate::args::{Args, Load, Plan, Stages};
use crate::load::{self, Outcome};
use crate::process::{peak_kib, resident_kib};
use crate::responder::Responder;
use crate::running::Running;
use crate::syncs::{self, Counter};
use crate::target::{Site, Target};
use crate::{dns, probed, report};

/// Everything measured of one server.
#[derive(Serialize)]
pub(crate) struct Side {
    pub(crate) name: &'static str,
    pub(crate) executable_bytes: u64,
    /// Round by round, in the order of the plan's loads.
    pub(crate) rounds: Vec<Vec<Outcome>>,
    pub(crate) alone: Option<Alone>,
    /// The run that may not have one error; ours only, a peer need not stand it.
    pub(crate) crowd: Option<Outcome>,
}

/// Measured while no other server runs.
#[derive(Serialize)]
pub(crate) struct Alone {
    /// From the start of the process to the first directory reply, each time on an empty store. Empty: PostgreSQL.
    pub(crate) fresh_starts_ms: Vec<f64>,
    /// The same on the store that the memory run filled.
    pub(crate) full_starts_ms: Vec<f64>,
    pub(crate) memory: Memory,
    pub(crate) syncs: Vec<Syncs>,
    /// Why `syncs` is empty.
    pub(crate) syncs_skipped: Option<String>,
}

/// Resident memory and disk over one long run.
#[derive(Serialize)]
pub(crate) struct Memory {
    pub(crate) start_kib: u64,
    pub(crate) first_issuances: usize,
    pub(crate) after_first_kib: u64,
    pub(crate) all_issuances: usize,
    pub(crate) after_all_kib: u64,
    pub(crate) peak_kib: u64,
    /// Per issuance after the first ones.
    pub(crate) growth_kib: f64,
    /// Per issuance, of the store at rest. `None`: PostgreSQL.
    pub(crate) disk_bytes: Option<f64>,
    pub(crate) failed: usize,
}

#[derive(Serialize)]
pub(crate) struct Syncs {
    pub(crate) concurrency: usize,
    pub(crate) per_issuance: f64,
    pub(crate) failed: usize,
}

pub(crate) async fn run(args: &Args, plan: &Plan) -> anyhow::Result<Vec<Side>> {
    let bench = Bench::set_up(args).await?;
    let mut sides = Vec::new();
    for target in &bench.targets {
        let executable_bytes = target.executable_bytes()?;
        sides.push(Side {
            name: target.name(),
            executable_bytes,
            rounds: Vec::new(),
            alone: None,
            crowd: None,
        });
    }
    for round in 0..usize::from(plan.rounds) {
        // The order turns from round to round: a disk or a neighbour that slows down hits each server first in turn.
        for turn in 0..sides.len() {
            let at = (round + turn) % sides.len();
            let target = &bench.targets[at];
            report::progress(&format!("{}: round {} of {}", target.name(), round + 1, plan.rounds));
            sides[at].rounds.push(bench.round(target, &plan.loads).await?);
        }
    }
    if let Some(stages) = &plan.stages {
        for (side, target) in sides.iter_mut().zip(&bench.targets) {
            side.alone = Some(bench.alone(target, stages).await?);
        }
        let Load { concurrency, count } = stages.crowd;
        report::progress(&format!("{}: {count} issuances by {concurrency} workers", sides[0].name));
        sides[0].crowd = Some(bench.round(&bench.targets[0], &[stages.crowd]).await?.remove(0));
    }
    Ok(sides)
}

struct Bench {
    targets: Vec<Target>,
    responder: Responder,
}

impl Bench {
    async fn set_up(args: &Args) -> anyhow::Result<Self> {
        let responder = Responder::default();
        let port = if args.inside_namespace { 80 } else { 0 };
        let http_port = responder.serve(loopback(port)).await?;
        if args.inside_namespace {
            dns::serve(loopback(53)).await?;
        }
        let site = Site { http_port, dns: args.inside_namespace, postgres: args.postgres.clone() };
        let mut targets = vec![Target::acme_ca(&site)?];
        if let Some(peer) = args.peer {
            targets.push(Target::peer(peer)?);
        }
        if let Some(names) = args.probes {
            targets.push(Target::probing(&site, names, probed::serve().await?)?);
        }
        Ok(Self { targets, responder })
    }

    async fn round(&self, target: &Target, loads: &[Load]) -> anyhow::Result<Vec<Outcome>> {
        target.empty_store()?;
        let server = target.start().await?;
        self.load(&server, WARM_UP).await?;
        let mut outcomes = Vec::new();
        for &load in loads {
            outcomes.push(self.load(&server, load).await?);
        }
        server.stop().await?;
        Ok(outcomes)
    }

    async fn alone(&self, target: &Target, stages: &Stages) -> anyhow::Result<Alone> {
        let name = target.name();
        report::progress(&format!("{name}: {} starts", stages.starts));
        let fresh_starts_ms = starts(target, stages.starts, true).await?;
        report::progress(&format!("{name}: memory and disk over {} issuances", stages.memory.1));
        let memory = self.memory(target, stages.memory).await?;
        let full_starts_ms = starts(target, stages.starts, false).await?;

        let mut alone =
            Alone { fresh_starts_ms, full_starts_ms, memory, syncs: Vec::new(), syncs_skipped: None };
        if stages.syncs.is_empty() {
            alone.syncs_skipped = Some("not in a quick run".to_owned());
        } else if target.store_bytes()?.is_none() {
            alone.syncs_skipped = Some("they are PostgreSQL's".to_owned());
        } else if !syncs::is_available() {
            alone.syncs_skipped = Some("strace is not installed".to_owned());
        } else {
            report::progress(&format!("{name}: syncs, under strace"));
            match self.syncs(target, &stages.syncs).await {
                Ok(syncs) => alone.syncs = syncs,
                Err(error) => alone.syncs_skipped = Some(format!("{error:#}")),
            }
        }
        Ok(alone)
    }

    async fn memory(&self, target: &Target, (first, all): (usize, usize)) -> anyhow::Result<Memory> {
        target.empty_store()?;
        target.start().await?.stop().await?;
        let empty = target.store_bytes()?;

        let server = target.start().await?;
        let start_kib = resident_kib(server.pid())?;
        let early = self.load(&server, Load { concurrency: 8, count: first }).await?;
        let after_first_kib = resident_kib(server.pid())?;
        let late = self.load(&server, Load { concurrency: 8, count: all - first }).await?;
        let after_all_kib = resident_kib(server.pid())?;
        let peak_kib = peak_kib(server.pid())?;
        server.stop().await?;

        let disk_bytes =
            target.store_bytes()?.zip(empty).map(|(full, empty)| (full as f64 - empty as f64) / all as f64);
        Ok(Memory {
            start_kib,
            first_issuances: first,
            after_first_kib,
            all_issuances: all,
            after_all_kib,
            peak_kib,
            growth_kib: (after_all_kib as f64 - after_first_kib as f64) / (all - first) as f64,
            disk_bytes,
            failed: early.failed + late.failed,
        })
    }

    async fn syncs(&self, target: &Target, loads: &[Load]) -> anyhow::Result<Vec<Syncs>> {
        target.empty_store()?;
        let server = target.start().await?;
        self.load(&server, WARM_UP).await?;
        let mut counted = Vec::new();
        for &load in loads {
            let counter = Counter::attach(server.pid(), target.home()).await?;
            let outcome = self.load(&server, load).await?;
            // The accounts are counted too: one a worker, a small part of the whole.
            let per_issuance = counter.detach()? as f64 / outcome.issued.max(1) as f64;
            counted.push(Syncs { concurrency: load.concurrency, per_issuance, failed: outcome.failed });
        }
        server.stop().await?;
        Ok(counted)
    }

    async fn load(&self, server: &Running, load: Load) -> anyhow::Result<Outcome> {
        load::run(server, load, &self.responder).await
    }
}

/// Each start's time to the first answer, in milliseconds.
async fn starts(target: &Target, count: usize, empty: bool) -> anyhow::Result<Vec<f64>> {
    let mut times = Vec::new();
    for _ in 0..count {
        if empty {
            if target.store_bytes()?.is_none() {
                break; // PostgreSQL: nobody may empty what may be somebody's
            }
            target.empty_store()?;
        }
        let server = target.start().await?;
        times.push(server.first_answer.as_secs_f64() * 1000.0);
        server.stop().await?;
    }
    Ok(times)
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

const WARM_UP: Load = Load { concurrency: 4, count: 20 };
