//! The server.

use std::path::PathBuf;
use std::process::ExitCode;

use acme_ca::clock::Clock;
use acme_ca::config::Config;
use acme_ca::{Live, quickstart, serve};
use anyhow::Context as _;
use clap::{Args, Parser, Subcommand, ValueEnum};
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A private ACME certificate authority (RFC 8555).
#[derive(Parser)]
#[command(name = "acme-ca", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    serve: Serve,
    /// How the log is written, to standard error
    #[arg(long, value_enum, global = true, default_value = "text")]
    log_format: LogFormat,
}

#[derive(Subcommand)]
enum Verb {
    /// Serve until SIGTERM; SIGHUP reads configuration and keys again
    Serve(Serve),
    /// Judge a configuration with its keys and certificates: exit 0, or 1 with the key and what would do
    CheckConfig {
        /// The configuration
        #[arg(long, value_name = "FILE", env = "ACME_CA_CONFIG")]
        config: PathBuf,
        /// Judge the file alone, where its keys are not at hand (a build machine)
        #[arg(long)]
        file_only: bool,
    },
    /// Make a root, an intermediate, a configuration and a store where they are missing, and serve them
    Quickstart(quickstart::Quickstart),
}

#[derive(Args)]
struct Serve {
    /// The configuration
    #[arg(long, value_name = "FILE", env = "ACME_CA_CONFIG")]
    config: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    log(cli.log_format);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let done = runtime.block_on(async {
        match cli.verb.unwrap_or(Verb::Serve(cli.serve)) {
            Verb::Serve(serve) => serve::run(&serve.path()).await,
            Verb::CheckConfig { config, file_only } => check(&config, file_only),
            Verb::Quickstart(quickstart) => quickstart.run(&mut std::io::stdout()).await,
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

impl Serve {
    fn path(self) -> PathBuf {
        self.config.unwrap_or_else(|| PathBuf::from("/etc/acme-ca/acme-ca.toml"))
    }
}

fn check(path: &std::path::Path, file_only: bool) -> anyhow::Result<()> {
    let config = Config::load(path).with_context(|| path.display().to_string())?;
    if !file_only {
        config.check_password_file()?;
        let live = Live::build(config, Clock::System.now())?;
        for warning in live.ca.warnings() {
            eprintln!("warning: {warning}");
        }
        // A server starts all the same; whoever asks wants to know.
        let missing = live.notifier.missing();
        anyhow::ensure!(missing.is_empty(), "{}", missing.join("; "));
    }
    eprintln!("{}: good", path.display());
    Ok(())
}

fn log(format: LogFormat) {
    let filter = EnvFilter::try_from_env("ACME_CA_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.with_target(false).init(),
        LogFormat::Json => log.json().flatten_event(true).with_target(false).init(),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("acme-ca: {error:#}");
    ExitCode::FAILURE
}

/// clap's own exit status for a wrong command line is 2; sysexits.h says 64.
fn usage(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(64) } else { ExitCode::SUCCESS }
}
