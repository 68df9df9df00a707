//! The command line, and the plan that follows from it: which stages run, and how long each is.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

#[derive(Parser)]
#[command(about = "Whole ACME issuances against acme-ca: throughput, latency, CPU, memory, syncs, start")]
pub(crate) struct Args {
    /// Small counts and nothing that needs root, strace or another server: about half a minute
    #[arg(long, conflicts_with_all = ["peer", "rounds"])]
    pub(crate) quick: bool,
    /// Measure this server too, in alternation, in a network and mount namespace of their own (root or user namespaces)
    #[arg(long, conflicts_with = "postgres")]
    pub(crate) peer: Option<Peer>,
    /// Measure in alternation the same server while it probes so many further names
    #[arg(long, value_name = "N", conflicts_with_all = ["peer", "quick"])]
    pub(crate) probes: Option<usize>,
    /// Rounds of load; each starts every server afresh on an empty store
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) rounds: u16,
    /// Workers, comma-separated; with -c or -n the loads run alone, without the other stages
    #[arg(short, long, value_delimiter = ',')]
    concurrency: Vec<usize>,
    /// Issuances for each number of workers
    #[arg(short = 'n', long)]
    count: Option<usize>,
    /// Write every figure to this file
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// Exit with 1 if a gate fails
    #[arg(long)]
    pub(crate) gates: bool,
    /// Keep the store in this (empty) PostgreSQL database; CPU then counts every postgres process of the machine
    #[arg(long, value_name = "URL")]
    pub(crate) postgres: Option<String>,
    /// Given by `cargo bench`, and not by `cargo test --benches`
    #[arg(long, hide = true)]
    pub(crate) bench: bool,
    /// Given by `namespace::enter` to itself
    #[arg(long, hide = true)]
    pub(crate) inside_namespace: bool,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Peer {
    Caddy,
}

/// One run of `count` issuances by `concurrency` workers.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) concurrency: usize,
    pub(crate) count: usize,
}

pub(crate) struct Plan {
    pub(crate) quick: bool,
    pub(crate) rounds: u16,
    pub(crate) loads: Vec<Load>,
    /// `None`: the loads alone.
    pub(crate) stages: Option<Stages>,
}

pub(crate) struct Stages {
    /// Starts on an empty store, and as many on a full one.
    pub(crate) starts: usize,
    /// Memory is read at the start, after the first number of issuances and after the second (both totals).
    pub(crate) memory: (usize, usize),
    /// The run that may not have one error.
    pub(crate) crowd: Load,
    /// The runs under strace; it slows them, so they are short.
    pub(crate) syncs: Vec<Load>,
}

impl Args {
    pub(crate) fn plan(&self) -> Plan {
        let workers = if self.concurrency.is_empty() { &[1, 8, 32][..] } else { &self.concurrency };
        let loads = workers
            .iter()
            .map(|&concurrency| Load { concurrency, count: self.count_at(concurrency) })
            .collect();
        let narrowed = !self.concurrency.is_empty() || self.count.is_some();
        Plan {
            quick: self.quick,
            rounds: if self.quick { 1 } else { self.rounds },
            loads,
            stages: (!narrowed).then(|| if self.quick { Stages::quick() } else { Stages::full() }),
        }
    }

    fn count_at(&self, concurrency: usize) -> usize {
        self.count.unwrap_or(match (concurrency, self.quick) {
            (1, true) => 100,
            (1, false) => 300,
            (_, true) => 400,
            (_, false) => 1000,
        })
    }
}

impl Stages {
    fn full() -> Self {
        Self {
            starts: 7,
            memory: (1000, 5000),
            crowd: Load { concurrency: 128, count: 5000 },
            syncs: vec![Load { concurrency: 1, count: 40 }, Load { concurrency: 32, count: 320 }],
        }
    }

    fn quick() -> Self {
        Self {
            starts: 3,
            memory: (300, 900),
            crowd: Load { concurrency: 128, count: 384 },
            syncs: Vec::new(),
        }
    }
}
