//! The figures for people, on stdout, and for programs, as JSON. Medians over the rounds, unless a line says otherwise.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use crate::gates::{Bound, Verdict, median};
use crate::load::Outcome;
use crate::stages::{Alone, Side};

/// What is being done now; on stderr, because it is no result.
pub(crate) fn progress(words: &str) {
    eprintln!("{words} …");
}

pub(crate) fn print(sides: &[Side], verdicts: &[Verdict]) {
    loads(sides);
    for side in sides {
        if let Some(alone) = &side.alone {
            println!("\n{}, alone", side.name);
            lone(alone, side.executable_bytes);
        }
        if let Some(crowd) = &side.crowd {
            let Outcome { issued, failed, per_second, p99_ms, .. } = crowd;
            let figures = format!("{issued} issued, {failed} failed, {per_second:.1}/s, p99 {p99_ms:.0} ms");
            line(&format!("{} workers", crowd.concurrency), &figures);
        }
        errors(side);
    }
    println!("\nGates");
    for verdict in verdicts {
        gate(verdict);
    }
}

pub(crate) fn write_json(path: &Path, sides: &[Side], verdicts: &[Verdict]) -> anyhow::Result<()> {
    let verdicts: Vec<_> =
        verdicts.iter().map(|verdict| json!({"gate": verdict, "pass": !verdict.failed()})).collect();
    let all = json!({"schema": "acme-ca/bench-issuance/1", "servers": sides, "gates": verdicts});
    Ok(std::fs::write(path, format!("{all:#}\n"))?)
}

fn loads(sides: &[Side]) {
    println!(
        "{:<9}{:>4}{:>9}{:>9}{:>9}{:>9}{:>7}{:>9}{:>9}{:>9}{:>8}{:>8}",
        "server",
        "c",
        "/s",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "req",
        "CPU-s/k",
        "client",
        "commits",
        "errors",
        "others"
    );
    for side in sides {
        let loads = side.rounds.first().map_or(0, Vec::len);
        for at in 0..loads {
            let of = |figure: fn(&Outcome) -> f64| {
                median(&side.rounds.iter().map(|round| figure(&round[at])).collect::<Vec<_>>())
            };
            let failed: usize = side.rounds.iter().map(|round| round[at].failed).sum();
            let commits = of(|outcome| outcome.commits_per_issuance.unwrap_or(f64::NAN));
            println!(
                "{:<9}{:>4}{:>9.1}{:>9.2}{:>9.2}{:>9.2}{:>7.2}{:>9.2}{:>9.2}{:>9}{:>8}{:>7.0}%",
                side.name,
                side.rounds[0][at].concurrency,
                of(|outcome| outcome.per_second),
                of(|outcome| outcome.p50_ms),
                of(|outcome| outcome.p95_ms),
                of(|outcome| outcome.p99_ms),
                of(|outcome| outcome.requests_per_issuance),
                of(|outcome| outcome.server_cpu_per_1000),
                of(|outcome| outcome.client_cpu_per_1000),
                if commits.is_nan() { "-".to_owned() } else { format!("{commits:.2}") },
                failed,
                of(|outcome| outcome.other_cpu_share * 100.0),
            );
        }
    }
    println!(
        "CPU-s/k: the server's CPU seconds for 1000 issuances; client: ours; others: CPU that was neither's, as a share\n\
         of the machine. Above 10 % the run was disturbed: trust the ratios alone."
    );
}

fn lone(alone: &Alone, executable: u64) {
    let memory = &alone.memory;
    line("start, empty store", &spread(&alone.fresh_starts_ms));
    line("start, full store", &spread(&alone.full_starts_ms));
    line("memory at the start", &mib(memory.start_kib));
    line(&format!("… after {} issuances", memory.first_issuances), &mib(memory.after_first_kib));
    line(&format!("… after {}", memory.all_issuances), &mib(memory.after_all_kib));
    line("… at its peak", &mib(memory.peak_kib));
    line("… growth an issuance", &format!("{:.2} KiB", memory.growth_kib));
    line(
        "disk an issuance",
        &memory.disk_bytes.map_or("in PostgreSQL".to_owned(), |bytes| format!("{bytes:.0} bytes")),
    );
    for syncs in &alone.syncs {
        line(&format!("syncs an issuance, c={}", syncs.concurrency), &format!("{:.2}", syncs.per_issuance));
    }
    if let Some(reason) = &alone.syncs_skipped {
        line("syncs an issuance", &format!("skipped: {reason}"));
    }
    line("executable", &format!("{:.1} MB", executable as f64 / 1e6));
}

/// Every kind once, with the words of its first.
fn errors(side: &Side) {
    let mut kinds = BTreeMap::new();
    for outcome in side.rounds.iter().flatten().chain(&side.crowd) {
        for (kind, (count, words)) in &outcome.errors {
            kinds.entry(kind).or_insert((0, words)).0 += count;
        }
    }
    for (kind, (count, words)) in kinds {
        println!("{}: {count} x {kind}: {words}", side.name);
    }
}

fn gate(verdict: &Verdict) {
    let word = if verdict.failed() { "FAIL" } else { "PASS" };
    let bound = match verdict.bound {
        Bound::AtMost(limit) => format!("at most {limit}"),
        Bound::AtLeast(limit) => format!("at least {limit}"),
    };
    let rounds: Vec<String> = verdict.rounds.iter().map(|ratio| format!("{ratio:.2}")).collect();
    let rounds = if rounds.is_empty() { String::new() } else { format!("   rounds: {}", rounds.join(" ")) };
    println!("  {word}  {:<50} {:>9.2}   {bound}{rounds}", verdict.figure, verdict.value);
}

fn line(what: &str, figure: &str) {
    println!("  {what:<28} {figure}");
}

fn spread(times: &[f64]) -> String {
    if times.is_empty() {
        return "not measured: the database is not ours to empty".to_owned();
    }
    let least = times.iter().copied().fold(f64::INFINITY, f64::min);
    let most = times.iter().copied().fold(0.0, f64::max);
    format!("{:.1} ms (median of {}; {least:.1} to {most:.1})", median(times), times.len())
}

fn mib(kib: u64) -> String {
    format!("{:.1} MiB", kib as f64 / 1024.0)
}
