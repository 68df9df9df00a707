//! The operator's program, `ca-ctl`. It works on the store, so it answers when the server is down.

mod alerts;
pub mod ceremony;
mod certificates;
mod check;
mod eab;
mod expiring;
mod explain;
pub mod health;
mod named;
mod names;
mod orders;
mod output;
mod policy;
mod probe;
mod renew;
mod resolve;
mod revoke;
mod span;
mod standing;
mod status;
mod table;

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use store::{OpenError, Store};

use self::health::Health;
use self::output::Output;
use crate::clock::Clock;
use crate::config::Config;

/// Operate an acme-ca: the offline ceremony, what was issued, what needs attention, and why.
#[derive(Parser)]
#[command(name = "ca-ctl", version)]
pub struct Cli {
    /// The server's configuration
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "ACME_CA_CONFIG",
        default_value = "/etc/acme-ca/acme-ca.toml"
    )]
    config: PathBuf,
    /// One JSON object instead of a table
    #[arg(long, global = true)]
    json: bool,
    /// How wide tables may be. Left out: as wide as the terminal, and in a pipe as wide as they need
    #[arg(long, global = true, value_name = "N", env = "COLUMNS", hide = true)]
    columns: Option<String>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    #[command(flatten)]
    Ceremony(ceremony::Ceremony),
    /// Everything issued, newest first
    List(certificates::List),
    /// Names that need attention, the most urgent first
    ListExpiring(expiring::ListExpiring),
    /// Everything that matters on one screen
    Status(status::Status),
    /// Where the renewal of a name stopped, why, and what to do
    Explain(explain::Explain),
    /// One line and an exit status for Nagios: 0 good, 1 warning, 2 critical, 3 unknown
    #[command(subcommand)]
    Check(check::Check),
    /// Names with certificates, or with orders that failed lately
    #[command(subcommand)]
    Names(names::Names),
    /// No alerts about a name for a time
    Mute(names::Mute),
    /// Alerts about a name again
    Unmute(names::Unmute),
    /// Expect no renewal any more, until the name is ordered again
    Forget(names::Forget),
    /// One name or serial in full, with its failed orders
    Show(certificates::Show),
    /// What clients asked for, and why it failed
    Orders(orders::Orders),
    /// Revoke certificates that must not be trusted any more, and block keys that were lost
    Revoke(revoke::Revoke),
    /// Ask clients to renew now: those that poll renewal information (RFC 9773)
    Renew(renew::Renew),
    /// Keys by which new accounts show whose they are: external account binding
    #[command(subcommand)]
    Eab(eab::Eab),
    /// Which names may have a certificate, and why
    #[command(subcommand)]
    Policy(policy::Policy),
    /// What is wrong, and whom it was told
    #[command(subcommand)]
    Alerts(alerts::Alerts),
    /// Look a name up as the validator does, or judge an address
    Resolve(resolve::Resolve),
    /// Look at the certificate that is really served. Exit status: 0 well, 1 warning, 2 critical, 3 could not look
    Probe(probe::Probe),
}

/// Exit statuses, after sysexits.h.
pub mod exit {
    /// Something failed.
    pub const FAILED: u8 = 1;
    /// The command line is wrong.
    pub const USAGE: u8 = 64;
    /// The store cannot be reached.
    pub const UNAVAILABLE: u8 = 69;
    /// The permission is missing.
    pub const NO_PERMISSION: u8 = 77;
}

impl Cli {
    /// Does what the command line says.
    ///
    /// # Errors
    /// A sentence for standard error, perhaps an empty one; [`status`] tells the exit status that goes with it.
    pub async fn run(self, clock: &Clock, out: &mut dyn Write) -> anyhow::Result<()> {
        let (check, asks_health) = match &self.verb {
            Verb::Check(check) if !self.json => (Some(check.label()), true),
            Verb::Check(_) => (None, true),
            Verb::ListExpiring(list) => (None, list.exit_code),
            Verb::Status(status) => (None, status.exit_code),
            Verb::Probe(_) => (None, true),
            _ => (None, false),
        };
        let done = self.answer(clock, out).await;
        match done {
            Err(error) if asks_health && !error.is::<Health>() && !is_broken_pipe(&error) => {
                let sentence = format!("{error:#}");
                if let Some(label) = check {
                    writeln!(
                        out,
                        "{label} UNKNOWN - {}",
                        acme::problem::plain(&sentence, 400).replace('|', "/")
                    )?;
                }
                Err(Health { state: health::State::Unknown, sentence }.into())
            }
            done => done,
        }
    }

    async fn answer(self, clock: &Clock, out: &mut dyn Write) -> anyhow::Result<()> {
        // A shell's COLUMNS that is no number is no reason to say nothing.
        let columns = self.columns.and_then(|columns| columns.parse().ok());
        let width = columns.or_else(table::terminal_width);
        let output = Output { out, json: self.json, width, now: clock.now() };
        let verb = match self.verb {
            Verb::Ceremony(ceremony) => {
                let mut err = std::io::stderr();
                let mut console = ceremony::Console::new(output.out, &mut err, output.json);
                return ceremony.run(output.now, &mut console);
            }
            verb => verb,
        };
        let config = Config::load(&self.config).with_context(|| self.config.display().to_string())?;
        let verb = match verb {
            Verb::Resolve(resolve) => return resolve.run(&config, output).await,
            Verb::Policy(policy) => return policy.run(&config, output).await,
            Verb::Alerts(alerts::Alerts::Test(test)) => return test.run(&config, output).await,
            Verb::Alerts(alerts::Alerts::Rules) => return alerts::rules(output),
            verb => verb,
        };
        let store = Store::open_existing(&config.store).await?;
        let done = match verb {
            Verb::List(list) => list.run(&store, config.renewal, output).await,
            Verb::ListExpiring(list) => list.run(&store, config.renewal, output).await,
            Verb::Status(status) => status.run(&config, &store, config.renewal, output).await,
            Verb::Explain(explain) => explain.run(&store, config.renewal, output).await,
            Verb::Check(check) => check.run(&config, &store, config.renewal, output).await,
            Verb::Names(names) => names.run(&store, config.renewal, output).await,
            Verb::Mute(mute) => mute.run(&store, output).await,
            Verb::Unmute(unmute) => unmute.run(&store, output).await,
            Verb::Forget(forget) => forget.run(&store, output).await,
            Verb::Show(show) => show.run(&store, config.renewal, output).await,
            Verb::Orders(orders) => orders.run(&store, output).await,
            Verb::Renew(renew) => renew.run(&store, output).await,
            Verb::Eab(eab) => eab.run(&config, &store, output).await,
            Verb::Alerts(alerts) => alerts.run(&store, output).await,
            Verb::Revoke(revoke) => revoke.run(&store, output).await,
            Verb::Probe(probe) => probe.run(&config, &store, clock, output).await,
            Verb::Ceremony(_) | Verb::Resolve(_) | Verb::Policy(_) => Ok(()),
        };
        store.close().await;
        done
    }
}

/// Whether a reader went away (`| head`), which is no failure.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>());
    io.is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
}

/// The exit status for a command line that cannot be read: what runs plugins takes 64 for no state at all, and the 2 of
/// other programs for a critical one.
pub fn usage_status(mut arguments: impl Iterator<Item = String>) -> u8 {
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "check" => return health::State::Unknown.code(),
            "--config" | "--columns" => drop(arguments.next()),
            option if option.starts_with('-') => {}
            _ => break,
        }
    }
    exit::USAGE
}

/// The exit status for an error.
pub fn status(error: &anyhow::Error) -> u8 {
    if let Some(health) = error.downcast_ref::<Health>() {
        return health.state.code();
    }
    let io = error.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>());
    if io.is_some_and(|io| io.kind() == std::io::ErrorKind::PermissionDenied) {
        return exit::NO_PERMISSION;
    }
    if error.chain().any(|cause| matches!(cause.downcast_ref(), Some(OpenError::Denied { .. }))) {
        return exit::NO_PERMISSION;
    }
    if error.chain().any(|cause| cause.is::<OpenError>() || cause.is::<store::Error>()) {
        return exit::UNAVAILABLE;
    }
    exit::FAILED
}
