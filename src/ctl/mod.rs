//! The operator's program, `ca-ctl`. It works on the store, so it answers when the server is down.

mod alerts;
pub mod ceremony;
mod certificates;
mod eab;
mod orders;
mod output;
mod policy;
mod renew;
mod resolve;
mod revoke;
mod span;
mod table;

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use store::{OpenError, Store};

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
    /// Certificates without a successor that need attention, the most urgent first
    ListExpiring(certificates::ListExpiring),
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
    /// A sentence for standard error; [`status`] tells the exit status that goes with it.
    pub async fn run(self, clock: &Clock, out: &mut dyn Write) -> anyhow::Result<()> {
        // A shell's COLUMNS that is no number is no reason to say nothing.
        let columns = self.columns.and_then(|columns| columns.parse().ok());
        let width = columns.or_else(table::terminal_width);
        let output = Output { out, json: self.json, width, now: clock.now() };
        let verb = match self.verb {
            Verb::Ceremony(ceremony) => {
                let mut console = ceremony::Console { out: output.out, err: &mut std::io::stderr() };
                return ceremony.run(output.now, &mut console);
            }
            verb => verb,
        };
        let config = Config::load(&self.config).with_context(|| self.config.display().to_string())?;
        let verb = match verb {
            Verb::Resolve(resolve) => return resolve.run(&config, output).await,
            Verb::Policy(policy) => return policy.run(&config, output).await,
            Verb::Alerts(alerts::Alerts::Rules) => return alerts::rules(output),
            verb => verb,
        };
        let store = Store::open_existing(&config.store).await?;
        let done = match verb {
            Verb::List(list) => list.run(&store, config.renewal, output).await,
            Verb::ListExpiring(list) => list.run(&store, config.renewal, output).await,
            Verb::Show(show) => show.run(&store, config.renewal, output).await,
            Verb::Orders(orders) => orders.run(&store, output).await,
            Verb::Renew(renew) => renew.run(&store, output).await,
            Verb::Eab(eab) => eab.run(&config, &store, output).await,
            Verb::Alerts(alerts) => alerts.run(&store, output).await,
            Verb::Revoke(revoke) => revoke.run(&store, output).await,
            Verb::Ceremony(_) | Verb::Resolve(_) | Verb::Policy(_) => Ok(()),
        };
        store.close().await;
        done
    }
}

/// The exit status for an error.
pub fn status(error: &anyhow::Error) -> u8 {
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
