//! The operator's program.

use std::process::ExitCode;

use acme_ca::clock::Clock;
use acme_ca::ctl::{Cli, is_broken_pipe, status, usage_status};
use clap::Parser as _;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            let status = usage_status(std::env::args().skip(1));
            return if error.use_stderr() { ExitCode::from(status) } else { ExitCode::SUCCESS };
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let mut out = std::io::stdout().lock();
    match runtime.block_on(cli.run(&Clock::System, &mut out)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    if is_broken_pipe(error) {
        return ExitCode::SUCCESS;
    }
    let sentence = format!("{error:#}");
    if !sentence.is_empty() {
        eprintln!("ca-ctl: {sentence}");
    }
    ExitCode::from(status(error))
}
