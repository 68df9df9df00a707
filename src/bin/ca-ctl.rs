//! The operator's program.

use std::process::ExitCode;

use acme_ca::clock::Clock;
use acme_ca::ctl::{Cli, exit, status};
use clap::Parser as _;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(exit::USAGE) } else { ExitCode::SUCCESS };
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
    // A reader that went away (`| head`) is no failure.
    let broken_pipe = error.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>());
    if broken_pipe.is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe) {
        return ExitCode::SUCCESS;
    }
    eprintln!("ca-ctl: {error:#}");
    ExitCode::from(status(error))
}
