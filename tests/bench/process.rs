//! CPU time and memory of processes, from Linux's /proc.

use std::fs;
use std::time::Duration;

use anyhow::Context as _;

/// CPU seconds so far, user and system.
pub(crate) struct Machine {
    pub(crate) server: f64,
    pub(crate) client: f64,
    all: f64,
}

impl Machine {
    /// `with_postgres` counts every postgres process of the machine as the server's.
    pub(crate) fn now(server: u32, with_postgres: bool) -> anyhow::Result<Self> {
        let database = if with_postgres { cpu_of_postgres()? } else { 0.0 };
        Ok(Self { server: cpu(server)? + database, client: cpu(std::process::id())?, all: cpu_of_machine()? })
    }

    pub(crate) fn since(&self, before: &Self) -> Self {
        Self {
            server: self.server - before.server,
            client: self.client - before.client,
            all: self.all - before.all,
        }
    }

    /// Of a difference that took `elapsed`: the share of the machine that others used.
    pub(crate) fn other_share(&self, elapsed: Duration) -> f64 {
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        ((self.all - self.server - self.client) / (cores * elapsed.as_secs_f64())).max(0.0)
    }
}

/// Resident memory in KiB.
pub(crate) fn resident_kib(pid: u32) -> anyhow::Result<u64> {
    status_kib(pid, "VmRSS:")
}

/// The most that was ever resident, in KiB.
pub(crate) fn peak_kib(pid: u32) -> anyhow::Result<u64> {
    status_kib(pid, "VmHWM:")
}

/// Whether a tracer holds every thread of the process.
pub(crate) fn is_traced(pid: u32) -> anyhow::Result<bool> {
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let status = fs::read_to_string(thread?.path().join("status"))?;
        if status.contains("\nTracerPid:\t0\n") {
            return Ok(false);
        }
    }
    Ok(true)
}

fn cpu(pid: u32) -> anyhow::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))
        .with_context(|| format!("process {pid} is gone: it ended under the load"))?;
    Ok(stat_fields(&stat).map_or(0.0, |(_, cpu)| cpu))
}

fn cpu_of_postgres() -> anyhow::Result<f64> {
    let stats = fs::read_dir("/proc")?
        .flatten()
        .filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
    Ok(stats
        .filter_map(|stat| stat_fields(&stat).filter(|(name, _)| name == "postgres"))
        .map(|(_, cpu)| cpu)
        .sum())
}

/// Name and CPU seconds of one /proc/PID/stat. Reaped children count: a database's workers come and go.
fn stat_fields(stat: &str) -> Option<(String, f64)> {
    let (name, rest) = stat.split_once('(')?.1.rsplit_once(") ")?; // the name may hold anything
    let ticks = rest.split(' ').skip(11).take(4).filter_map(|field| field.parse::<f64>().ok()).sum::<f64>();
    Some((name.to_owned(), ticks / TICKS_A_SECOND))
}

fn cpu_of_machine() -> anyhow::Result<f64> {
    let stat = fs::read_to_string("/proc/stat")?;
    let ticks = |field: usize| {
        let line = stat.lines().next().unwrap_or_default();
        line.split_whitespace().nth(field).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0)
    };
    // user, nice, system, irq, softirq; idle, waiting and stolen time is nobody's
    Ok([1, 2, 3, 6, 7].map(ticks).iter().sum::<f64>() / TICKS_A_SECOND)
}

fn status_kib(pid: u32, key: &str) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(key)).with_context(|| format!("no {key}"))?;
    line.split_whitespace().next().and_then(|kib| kib.parse().ok()).with_context(|| format!("{key}{line}"))
}

/// USER_HZ, which Linux fixes at 100 for user space on every architecture that the server is built for.
const TICKS_A_SECOND: f64 = 100.0;
