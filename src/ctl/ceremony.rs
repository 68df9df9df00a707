//! The verbs that make a CA: `init` on one machine in one go, or `root` on a machine that is never online and
//! `intermediate` where the server runs. The command line and files are handled here; every certificate is made and
//! judged in [`crate::ca`]. There is no store, no socket and no configuration to read.

mod files;
mod init;
mod intermediate;
mod report;
mod root;
mod starter;

use std::fmt::Display;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use acme::id::{SERIAL_RANDOM, Serial};
use acme::time::Timestamp;
use anyhow::{Context, anyhow};

use crate::ca::constraints::Permit;
use crate::ca::key_file::KeyError;
use crate::ca::{KeyKind, Passphrase};

pub use self::init::Init;
pub use self::intermediate::{Install, Request};
pub use self::root::{Create, Sign};

/// The verbs that make a CA.
#[derive(Debug, clap::Subcommand)]
pub enum Ceremony {
    /// Make a root, an intermediate and a configuration on this machine, in one go
    Init(Init),
    /// Offline: make the root, and sign intermediates with it
    #[command(subcommand)]
    Root(RootVerb),
    /// On the server: ask for an intermediate, and install it
    #[command(subcommand)]
    Intermediate(IntermediateVerb),
}

/// What is done where the root's key is.
#[derive(Debug, clap::Subcommand)]
pub enum RootVerb {
    /// Make the root's key and certificate
    Create(Create),
    /// Sign an intermediate's request
    Sign(Sign),
}

/// What is done where the server runs.
#[derive(Debug, clap::Subcommand)]
pub enum IntermediateVerb {
    /// Make an intermediate's key, and a request for the root to sign
    Request(Request),
    /// Check the certificate that came back, and put it in place
    Install(Install),
}

/// Where a verb writes.
pub struct Console<'a> {
    /// What was done, fingerprints, and the next command.
    pub out: &'a mut dyn Write,
    /// Warnings.
    pub err: &'a mut dyn Write,
    /// One JSON object at the end, with the warnings in it, instead of all that.
    json: bool,
    warnings: Vec<String>,
}

impl Ceremony {
    /// Does it.
    ///
    /// # Errors
    /// What went wrong and what would do; then no file was written or changed.
    pub fn run(self, now: Timestamp, console: &mut Console<'_>) -> anyhow::Result<()> {
        match self {
            Self::Init(init) => init.run(now, console),
            Self::Root(RootVerb::Create(create)) => create.run(now, console),
            Self::Root(RootVerb::Sign(sign)) => sign.run(now, console),
            Self::Intermediate(IntermediateVerb::Request(request)) => request.run(now, console),
            Self::Intermediate(IntermediateVerb::Install(install)) => install.run(now, console),
        }
    }
}

impl<'a> Console<'a> {
    /// Lines for people, or one JSON object for programs.
    pub fn new(out: &'a mut dyn Write, err: &'a mut dyn Write, json: bool) -> Self {
        Self { out, err, json, warnings: Vec::new() }
    }
}

impl Console<'_> {
    fn say(&mut self, line: impl Display) -> anyhow::Result<()> {
        if self.json {
            return Ok(());
        }
        writeln!(self.out, "{line}").context("writing to stdout")
    }

    fn warn(&mut self, line: impl Display) -> anyhow::Result<()> {
        if self.json {
            self.warnings.push(line.to_string());
            return Ok(());
        }
        writeln!(self.err, "{line}").context("writing to stderr")
    }

    fn warn_plain_key(&mut self, path: &Path) -> anyhow::Result<()> {
        let path = path.display();
        self.warn(format!("{path} is not encrypted; who reads it is the CA (--passphrase-file encrypts it)"))
    }
}

/// A serial for a CA's certificate.
fn new_serial() -> anyhow::Result<Serial> {
    let mut random = [0; SERIAL_RANDOM];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| anyhow!("the random generator failed"))?;
    Ok(Serial::mint(random))
}

fn passphrase(file: Option<&Path>) -> Result<Option<Passphrase>, KeyError> {
    file.map(Passphrase::read).transpose()
}

/// A path as it can be pasted into a shell.
fn shell(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

fn parse_permit(text: &str) -> Result<Permit, String> {
    Permit::parse(text)
}

fn parse_key_kind(text: &str) -> Result<KeyKind, String> {
    KeyKind::parse(text)
}

fn parse_lifetime(text: &str) -> Result<Duration, String> {
    let lifetime = humantime::parse_duration(text).map_err(|e| format!("{e}; write 20y, 90d or 36h"))?;
    match lifetime.as_secs() {
        0..DAY => Err("a CA lives for a day at least; write 20y, 90d or 36h".to_owned()),
        _ => Ok(lifetime),
    }
}

const DAY: u64 = 24 * 60 * 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_are_written_as_people_write_them() {
        assert_eq!(parse_lifetime("90d"), Ok(Duration::from_secs(90 * DAY)));
        assert!(parse_lifetime("20y").unwrap() > Duration::from_secs(20 * 365 * DAY));
        for refused in ["", "20", "1h", "-3d", "soon"] {
            assert!(parse_lifetime(refused).unwrap_err().contains("20y"), "{refused}");
        }
    }

    #[test]
    fn a_path_can_be_pasted() {
        assert_eq!(shell(Path::new("/etc/acme-ca/root.pem")), "/etc/acme-ca/root.pem");
        assert_eq!(shell(Path::new("my ca/it's")), r"'my ca/it'\''s'");
    }
}
