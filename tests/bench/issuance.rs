//! The load test: whole RFC 8555 issuances against the real server, side by side with Caddy's `acme_server` if asked.
//!
//!     cargo bench --bench issuance                              everything that needs no other server
//!     cargo bench --bench issuance -- --peer caddy --gates      the release gate; Caddy must be installed
//!     cargo bench --bench issuance -- --probes 500 -c 8 -n 3000  beside itself with 500 names to probe
//!     cargo bench --bench issuance -- --quick                   half a minute, for every build
//!     cargo bench --bench issuance -- -c 8 -n 3000              one load, while working on speed
//!
//! Server and clients share the machine over loopback; nothing leaves it. Absolute figures hold for one machine in one
//! hour, so what gates a release is a ratio inside one alternated run, or a figure that noise does not move (syncs,
//! errors, growth). The file is not called `main.rs`: cargo would take the directory for a test of its own.
#![expect(clippy::print_stdout, reason = "the report is what this program is for")]

mod args;
mod chain;
mod client;
mod dns;
mod flow;
mod gates;
mod jws;
mod load;
mod namespace;
mod probed;
mod process;
mod report;
mod responder;
mod running;
mod stages;
mod syncs;
mod target;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use tokio::signal::unix::{SignalKind, signal};

use args::Args;

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    if !args.bench {
        println!("a load test, and no unit test: run it with `cargo bench --bench issuance`");
        return Ok(ExitCode::SUCCESS);
    }
    if args.peer.is_some() && !args.inside_namespace {
        return Err(namespace::enter());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        // Whichever way this ends, the futures are dropped here, and with them every server that was started.
        tokio::select! {
            done = measure(&args) => done,
            _ = terminate.recv() => anyhow::bail!("ended by SIGTERM"),
            _ = tokio::signal::ctrl_c() => anyhow::bail!("ended by SIGINT"),
        }
    })
}

async fn measure(args: &Args) -> anyhow::Result<ExitCode> {
    let plan = args.plan();
    let sides = stages::run(args, &plan).await?;
    let verdicts = gates::judge(&sides, &plan);
    report::print(&sides, &verdicts);
    if let Some(path) = &args.json {
        report::write_json(path, &sides, &verdicts).with_context(|| format!("writing {}", path.display()))?;
    }
    let failed = verdicts.iter().any(gates::Verdict::failed);
    Ok(if args.gates && failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
