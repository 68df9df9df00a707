//! A network and mount namespace whose resolver is our own DNS server, for a peer that has no setting for resolver and
//! http-01 port. Both servers run inside, so neither has it easier.

use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::Context as _;

/// Becomes the same program inside the namespace; comes back only with the reason why not.
pub(crate) fn enter() -> anyhow::Error {
    match command() {
        Ok(mut command) => anyhow::Error::new(command.exec()).context("running `unshare` of util-linux"),
        Err(error) => error,
    }
}

fn command() -> anyhow::Result<Command> {
    let mut resolv = tempfile::Builder::new().prefix("resolv-").tempfile_in(env!("CARGO_TARGET_TMPDIR"))?;
    writeln!(resolv, "nameserver 127.0.0.1")?;
    let (_, resolv) = resolv.keep()?; // the script removes it
    let mut command = Command::new("unshare");
    if std::fs::metadata("/proc/self").context("reading /proc")?.uid() != 0 {
        command.arg("--map-root-user");
    }
    command.args(["--net", "--mount", "sh", "-euc", SCRIPT, "sh"]).arg(resolv).arg(std::env::current_exe()?);
    command.args(std::env::args_os().skip(1)).arg("--inside-namespace");
    Ok(command)
}

const SCRIPT: &str = r#"ip link set lo up; mount --bind "$1" /etc/resolv.conf; rm "$1"; shift; exec "$@""#;
