//! `ca-ctl root`: what is done on the machine that is never online.

use std::path::PathBuf;
use std::time::Duration;

use acme::time::Timestamp;
use anyhow::{Context, anyhow, bail};

use super::files::{self, Files, INTERMEDIATE, INTERMEDIATE_REQUEST, ROOT, ROOT_KEY};
use super::init::{INTERMEDIATE_LIFETIME, ROOT_LIFETIME};
use super::report::{self, Authority};
use super::{Console, new_serial, parse_key_kind, parse_lifetime, parse_permit, passphrase, shell};
use crate::ca::ceremony::{self, Life, Plan, Request};
use crate::ca::constraints::{Constraints, Permit};
use crate::ca::{Certificate, Error, Key, KeyKind, pem, read_root};

/// `ca-ctl root create`
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("secrecy").required(true))]
pub struct Create {
    /// The directory for root.pem and root.key; made when it is missing
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// The root's common name
    #[arg(long, value_name = "NAME")]
    pub name: String,
    /// The kind of key: p256, p384, rsa3072, rsa4096, ed25519
    #[arg(long, value_name = "KIND", default_value = "p384", value_parser = parse_key_kind)]
    pub key: KeyKind,
    /// What CAs below may certify, for ever: a DNS name with all below it, a network, an address, or '*' for
    /// everything; may be given several times
    #[arg(long, value_name = "NAME|NET", required = true, value_parser = parse_permit)]
    pub permit: Vec<Permit>,
    /// How long the root is valid. Left out: twenty years
    #[arg(long, value_name = "SPAN", value_parser = parse_lifetime)]
    pub lifetime: Option<Duration>,
    /// The file whose first line encrypts the key
    #[arg(long, value_name = "FILE", group = "secrecy")]
    pub passphrase_file: Option<PathBuf>,
    /// Do not encrypt the key
    #[arg(long, group = "secrecy")]
    pub no_passphrase: bool,
}

/// `ca-ctl root sign`
#[derive(Debug, clap::Args)]
pub struct Sign {
    /// The directory with root.pem and root.key
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// The intermediate's request
    #[arg(long, value_name = "FILE")]
    pub csr: PathBuf,
    /// Where the certificate goes
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// How long the intermediate is valid. Left out: ten years, or until the root's end
    #[arg(long, value_name = "SPAN", value_parser = parse_lifetime)]
    pub lifetime: Option<Duration>,
    /// What it may certify, within what the root permits; may be given several times. Left out: the same
    #[arg(long, value_name = "NAME|NET", value_parser = parse_permit)]
    pub permit: Vec<Permit>,
    /// The file whose first line opens the root's key
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
}

impl Create {
    /// Does it.
    ///
    /// # Errors
    /// What went wrong and what would do; then no file was written.
    pub fn run(self, now: Timestamp, console: &mut Console<'_>) -> anyhow::Result<()> {
        let [certificate, key_file] = [ROOT, ROOT_KEY].map(|name| self.dir.join(name));
        if self.passphrase_file.is_none() && !self.no_passphrase {
            bail!(
                "a root's key is encrypted with --passphrase-file FILE, or kept plain with --no-passphrase"
            );
        }
        let constraints = Constraints::from_permits(&self.permit).map_err(|why| anyhow!(why))?;
        files::must_be_absent(
            &[certificate.clone(), key_file.clone()],
            "choose another --dir for another root",
        )?;
        let passphrase = passphrase(self.passphrase_file.as_deref())?;

        let key = Key::generate(self.key)?;
        let life = Life::starting(now, self.lifetime.unwrap_or(ROOT_LIFETIME));
        let plan = Plan { serial: &new_serial()?, life, constraints: &constraints };
        let der = ceremony::root(&key, &self.name, &plan)?;
        files::make_directory(&self.dir)?;
        let mut written = Files::default();
        written.key(&key_file, &key, passphrase.as_ref())?;
        written.public(&certificate, &pem::encode("CERTIFICATE", &der))?;
        let root = read_root(&certificate).context("reading back what was written")?;
        let written = written.keep();
        for path in &written {
            console.say(format!("wrote {}", path.display()))?;
        }

        console.say(format!(
            "root          '{}', {}, until {}",
            root.name,
            key.describe(),
            root.not_after
        ))?;
        console.say(format!("names         {constraints}"))?;
        console.say(format!("fingerprint   sha256 {}", root.fingerprint()))?;
        console.say("")?;
        console.say("Next, where the server runs:")?;
        console.say("    ca-ctl intermediate request --dir /etc/acme-ca --name 'Intermediate CA'")?;
        console.say(format!("and, with {INTERMEDIATE_REQUEST} brought here:"))?;
        let mut sign = format!(
            "    ca-ctl root sign --dir {} --csr {INTERMEDIATE_REQUEST} --out {INTERMEDIATE}",
            shell(&self.dir)
        );
        if let Some(file) = &self.passphrase_file {
            sign += &format!(" --passphrase-file {}", shell(file));
        }
        console.say(sign)?;
        if passphrase.is_none() {
            console.warn_plain_key(&key_file)?;
        }
        let root =
            Authority::certified(report::ROOT, &root, &certificate).with_key(key.describe(), Some(&key_file));
        console.report("root-create", now, &[root], &written)
    }
}

impl Sign {
    /// Does it.
    ///
    /// # Errors
    /// What went wrong and what would do; then no file was written.
    pub fn run(self, now: Timestamp, console: &mut Console<'_>) -> anyhow::Result<()> {
        files::must_be_absent(std::slice::from_ref(&self.out), "choose another --out")?;
        let root = read_root(&self.dir.join(ROOT))?;
        if !root.is_valid_at(now) {
            let (from, to) = (root.not_before, root.not_after);
            bail!("the root '{}' is valid from {from} to {to}, and now is {now}; check the clock", root.name);
        }
        let request = self.request()?;
        let constraints = self.constraints(&root)?;
        let life = self.life(now, &root)?;
        let passphrase = passphrase(self.passphrase_file.as_deref())?;
        let opened = Key::read(&self.dir.join(ROOT_KEY), passphrase.as_ref())?;
        if let Some(warning) = &opened.warning {
            console.warn(warning)?;
        }
        let plan = Plan { serial: &new_serial()?, life, constraints: &constraints };
        let der = ceremony::intermediate(&root, &opened.key, &request, &plan)?;
        let signed = Certificate::parse(&der).map_err(|why| anyhow!(why))?;
        signed.check_issued_by(&root).map_err(|why| anyhow!(why))?;
        let mut written = Files::default();
        written.public(&self.out, &signed.pem())?;
        let written = written.keep();

        console.say(format!("wrote {}", self.out.display()))?;
        console
            .say(format!("intermediate  '{}', {}, until {}", signed.name, request.key, signed.not_after))?;
        console.say(format!("names         {constraints}"))?;
        console.say(format!("fingerprint   sha256 {}", signed.fingerprint()))?;
        console.say("")?;
        console.say(format!("Next, with it and {ROOT} brought to where the server runs:"))?;
        console.say(format!(
            "    ca-ctl intermediate install --dir /etc/acme-ca --certificate {} --root {ROOT}",
            self.out.file_name().map_or_else(|| shell(&self.out), |name| shell(name.as_ref())),
        ))?;
        let below =
            Authority::certified(report::INTERMEDIATE, &signed, &self.out).with_key(request.key, None);
        console.report("root-sign", now, &[below], &written)
    }

    fn request(&self) -> anyhow::Result<Request> {
        let blocks = pem::read(&self.csr, "CERTIFICATE REQUEST")?;
        let [der] = blocks.as_slice() else {
            bail!("{}: holds {} requests; expected is one", self.csr.display(), blocks.len());
        };
        Request::parse(der).map_err(|why| Error::file(&self.csr, format!("is no good request: {why}")).into())
    }

    fn constraints(&self, root: &Certificate) -> anyhow::Result<Constraints> {
        if self.permit.is_empty() {
            return Ok(root.constraints.clone());
        }
        let constraints = Constraints::from_permits(&self.permit).map_err(|why| anyhow!(why))?;
        constraints
            .check_within(&root.constraints)
            .map_err(|why| anyhow!("the root '{}' forbids this --permit: {why}", root.name))?;
        Ok(constraints)
    }

    fn life(&self, now: Timestamp, root: &Certificate) -> anyhow::Result<Life> {
        let wish = Life::starting(now, self.lifetime.unwrap_or(INTERMEDIATE_LIFETIME));
        if self.lifetime.is_some() && wish.not_after > root.not_after {
            bail!(
                "--lifetime reaches to {}, beyond the root's end at {}; leave --lifetime out to end with the root",
                wish.not_after,
                root.not_after
            );
        }
        Ok(wish.within(root))
    }
}
