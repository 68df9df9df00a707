//! What a release must hold. Figures that depend on the machine are judged as ratios to Caddy, round by round; the
//! others stand on their own. Nothing is dropped for noise: a run whose "others" column is high is to be repeated.

use serde::Serialize;

use crate::args::Plan;
use crate::load::Outcome;
use crate::stages::{Alone, Side};

use Bound::{AtLeast, AtMost};

#[derive(Serialize)]
pub(crate) struct Verdict {
    pub(crate) figure: String,
    pub(crate) value: f64,
    pub(crate) bound: Bound,
    /// The ratio of each round, whose median is the value; empty for what is no ratio.
    pub(crate) rounds: Vec<f64>,
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Verdict {
    /// A figure that is not a number fails.
    pub(crate) fn failed(&self) -> bool {
        !match self.bound {
            AtMost(limit) => self.value <= limit,
            AtLeast(limit) => self.value >= limit,
        }
    }
}

/// Only what was measured is judged; the report says what was skipped.
pub(crate) fn judge(sides: &[Side], plan: &Plan) -> Vec<Verdict> {
    let ours = &sides[0];
    let mut verdicts = vec![verdict("errors in the rounds", round_errors(ours), AtMost(0.0))];
    if let Some(crowd) = &ours.crowd {
        let figure = format!("errors, {} issuances at c={}", crowd.issued + crowd.failed, crowd.concurrency);
        verdicts.push(verdict(figure, crowd.failed as f64, AtMost(0.0)));
    }
    if let Some(alone) = &ours.alone {
        verdicts.extend(own_gates(alone, plan.quick));
        verdicts.push(verdict("executable, MB", ours.executable_bytes as f64 / 1e6, AtMost(20.0)));
    }
    if let Some(probing) = sides.get(1).filter(|side| side.name == "probing") {
        verdicts.extend(probe_ratios(ours, probing));
    } else if let Some(peer) = sides.get(1) {
        verdicts.extend(load_ratios(ours, peer));
        if let (Some(our), Some(their)) = (&ours.alone, &peer.alone) {
            verdicts.extend(lone_ratios(our, their, peer.name));
        }
    }
    verdicts
}

fn own_gates(alone: &Alone, quick: bool) -> Vec<Verdict> {
    let mut verdicts = vec![
        verdict("errors in the memory run", alone.memory.failed as f64, AtMost(0.0)),
        verdict("start on a full store, ms", median(&alone.full_starts_ms), AtMost(50.0)),
    ];
    if !alone.fresh_starts_ms.is_empty() {
        verdicts.push(verdict("start on an empty store, ms", median(&alone.fresh_starts_ms), AtMost(50.0)));
    }
    if !quick {
        // Over a few hundred issuances an allocator's page is more than the limit.
        verdicts.push(verdict("memory growth, KiB an issuance", alone.memory.growth_kib, AtMost(1.0)));
    }
    for syncs in &alone.syncs {
        let limit = if syncs.concurrency == 1 { 5.0 } else { 2.0 };
        verdicts.push(verdict(
            format!("syncs an issuance, c={}", syncs.concurrency),
            syncs.per_issuance,
            AtMost(limit),
        ));
    }
    verdicts
}

/// What probes may cost whoever asks for a certificate at the same moment.
fn probe_ratios(ours: &Side, probing: &Side) -> Vec<Verdict> {
    ratios(ours, probing, "alone / probing", PROBE_RATIOS)
}

fn load_ratios(ours: &Side, peer: &Side) -> Vec<Verdict> {
    ratios(ours, peer, &format!("ours / {}", peer.name), LOAD_RATIOS)
}

fn ratios(ours: &Side, peer: &Side, of: &str, gates: &[LoadRatio]) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for (concurrency, words, figure, bound) in gates {
        let pick = |side: &Side| -> Vec<f64> {
            let wanted = |outcome: &&Outcome| outcome.concurrency == *concurrency;
            side.rounds.iter().filter_map(|round| round.iter().find(wanted)).map(figure).collect()
        };
        let rounds: Vec<f64> = pick(ours).iter().zip(pick(peer)).map(|(our, their)| our / their).collect();
        if !rounds.is_empty() {
            let figure = format!("{words}, c={concurrency}, {of}");
            verdicts.push(Verdict { figure, value: median(&rounds), bound: *bound, rounds });
        }
    }
    verdicts
}

type LoadRatio = (usize, &'static str, fn(&Outcome) -> f64, Bound);

const LOAD_RATIOS: &[LoadRatio] = &[
    (8, "server CPU an issuance", |outcome| outcome.server_cpu_per_1000, AtMost(0.21)),
    (8, "issuances/s", |outcome| outcome.per_second, AtLeast(3.5)),
    (32, "issuances/s", |outcome| outcome.per_second, AtLeast(4.5)),
    (1, "p50", |outcome| outcome.p50_ms, AtMost(0.9)),
    (8, "p99", |outcome| outcome.p99_ms, AtMost(0.35)),
    (32, "p99", |outcome| outcome.p99_ms, AtMost(0.26)),
];

const PROBE_RATIOS: &[LoadRatio] =
    &[(8, "p50", |outcome| outcome.p50_ms, AtLeast(0.8)), (8, "p99", |outcome| outcome.p99_ms, AtLeast(0.6))];

fn lone_ratios(our: &Alone, their: &Alone, peer: &str) -> Vec<Verdict> {
    let ratio = |words: &str, our: f64, their: f64, limit| {
        verdict(format!("{words}, ours / {peer}"), our / their, AtMost(limit))
    };
    let mut verdicts = vec![
        ratio("memory at the start", our.memory.start_kib as f64, their.memory.start_kib as f64, 0.5),
        ratio("memory after all", our.memory.after_all_kib as f64, their.memory.after_all_kib as f64, 0.25),
        ratio("start on an empty store", median(&our.fresh_starts_ms), median(&their.fresh_starts_ms), 0.6),
    ];
    if let (Some(our), Some(their)) = (our.memory.disk_bytes, their.memory.disk_bytes) {
        verdicts.push(ratio("disk an issuance", our, their, 0.6));
    }
    verdicts
}

/// The middle one, or the mean of the middle two.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => sorted[length / 2],
        length => f64::midpoint(sorted[length / 2 - 1], sorted[length / 2]),
    }
}

fn round_errors(side: &Side) -> f64 {
    side.rounds.iter().flatten().map(|outcome| outcome.failed).sum::<usize>() as f64
}

fn verdict(figure: impl Into<String>, value: f64, bound: Bound) -> Verdict {
    Verdict { figure: figure.into(), value, bound, rounds: Vec::new() }
}
