//! `ca-ctl intermediate`: what is done where the server runs. The key is made here and never leaves; the request goes to
//! the root, and a certificate comes back.

use std::path::{Path, PathBuf};

use acme::time::Timestamp;
use anyhow::{Context, anyhow, bail};

use super::files::{self, CONFIG, Files, INTERMEDIATE, INTERMEDIATE_KEY, INTERMEDIATE_REQUEST, ROOT};
use super::report::{self, Authority};
use super::starter;
use super::{Console, parse_key_kind, passphrase, shell};
use crate::ca::{Ca, Certificate, IssuerSettings, Key, KeyKind, Settings, ceremony, pem};
use crate::config::{Config, ServerUrl};

/// `ca-ctl intermediate request`
#[derive(Debug, clap::Args)]
pub struct Request {
    /// The directory for intermediate.key and intermediate.csr; made when it is missing
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// The intermediate's common name
    #[arg(long, value_name = "NAME")]
    pub name: String,
    /// The kind of key: p256, p384, rsa3072, rsa4096, ed25519
    #[arg(long, value_name = "KIND", default_value = "p256", value_parser = parse_key_kind)]
    pub key: KeyKind,
    /// The file whose first line encrypts the key. Left out: the key is not encrypted
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
}

/// `ca-ctl intermediate install`
#[derive(Debug, clap::Args)]
pub struct Install {
    /// The directory with intermediate.key; intermediate.pem and root.pem are put beside it
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// The certificate that the root signed
    #[arg(long, value_name = "FILE")]
    pub certificate: PathBuf,
    /// The root's certificate
    #[arg(long, value_name = "FILE")]
    pub root: PathBuf,
    /// The file whose first line opens the key
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// The URL at which clients reach the server: https://HOST[:PORT]. With it, acme-ca.toml is written when it is
    /// missing
    #[arg(long, value_name = "URL", value_parser = ServerUrl::parse)]
    pub url: Option<ServerUrl>,
}

impl Request {
    /// Does it.
    ///
    /// # Errors
    /// What went wrong and what would do; then no file was written.
    pub fn run(self, now: Timestamp, console: &mut Console<'_>) -> anyhow::Result<()> {
        let [key_file, request_file] =
            [INTERMEDIATE_KEY, INTERMEDIATE_REQUEST].map(|name| self.dir.join(name));
        files::must_be_absent(
            &[key_file.clone(), request_file.clone()],
            "for another intermediate, choose another --dir and add a [[ca.issuer]] to the configuration",
        )?;
        let passphrase = passphrase(self.passphrase_file.as_deref())?;
        let key = Key::generate(self.key)?;
        let request = ceremony::request(&key, &self.name)?;
        files::make_directory(&self.dir)?;
        let mut written = Files::default();
        written.key(&key_file, &key, passphrase.as_ref())?;
        written.public(&request_file, &pem::encode("CERTIFICATE REQUEST", &request))?;
        let written = written.keep();
        for path in &written {
            console.say(format!("wrote {}", path.display()))?;
        }
        console.say(format!("intermediate  '{}', {}", self.name, key.describe()))?;
        console.say("")?;
        console.say(format!("Next, with {} brought to where the root is:", shell(&request_file)))?;
        console.say(format!(
            "    ca-ctl root sign --dir ROOT-DIR --csr {INTERMEDIATE_REQUEST} --out {INTERMEDIATE}"
        ))?;
        if passphrase.is_none() {
            console.warn_plain_key(&key_file)?;
        }
        let below = Authority::requested(&self.name, &request_file).with_key(key.describe(), Some(&key_file));
        console.report("intermediate-request", now, &[below], &written)
    }
}

impl Install {
    /// Does it.
    ///
    /// # Errors
    /// What went wrong and what would do; then no file was written.
    pub fn run(self, now: Timestamp, console: &mut Console<'_>) -> anyhow::Result<()> {
        let [certificate, root, config] = [INTERMEDIATE, ROOT, CONFIG].map(|name| self.dir.join(name));
        let ca = self.load(now)?;
        for warning in ca.warnings() {
            console.warn(warning)?;
        }
        let issuer = ca.active(now)?;
        if let Some(url) = &self.url {
            issuer
                .permits(url.host())
                .map_err(|why| anyhow!("the CA could not certify its own host: {why}"))?;
            if config.symlink_metadata().is_ok() {
                is_configured(&config, url)?;
            }
        }

        let mut written = Files::default();
        put(&mut written, &certificate, issuer.chain_pem(), "move it away, or choose another --dir")?;
        put(&mut written, &root, ca.root_pem(), "it is another root; choose another --dir for another CA")?;
        if let Some(url) = self.url.as_ref().filter(|_| config.symlink_metadata().is_err()) {
            let passphrase_file = self.passphrase_file.as_deref();
            let relative = passphrase_file.map(|file| files::relative_to(&self.dir, file)).transpose()?;
            written.public(&config, &starter::configuration(url, relative.as_deref()))?;
        }
        let written = written.keep();
        for path in &written {
            console.say(format!("wrote {}", path.display()))?;
        }
        if written.is_empty() {
            console.say("everything is in place already")?;
        }

        console.say(format!("intermediate  '{}' until {}", issuer.name(), issuer.not_after()))?;
        console.say(format!("names         {}", issuer.certificate().constraints))?;
        console.say(format!("root          '{}' until {}", ca.root().name, ca.root().not_after))?;
        console.say(format!("fingerprint   sha256 {}", ca.root_fingerprint()))?;
        console.say("")?;
        if config.exists() {
            console.say(format!("Next, when {} names this pair in [[ca.issuer]]:", shell(&config)))?;
            console.say(format!("    acme-ca check-config --config {}", shell(&config)))?;
        } else {
            console.say(
                "Next: the same command with --url https://HOST writes a configuration to start with.",
            )?;
        }
        let above = Authority::certified(report::ROOT, ca.root(), &root);
        let below = Authority::certified(report::INTERMEDIATE, issuer.certificate(), &certificate)
            .with_key(issuer.key_kind(), Some(&self.dir.join(INTERMEDIATE_KEY)));
        console.report("intermediate-install", now, &[above, below], &written)
    }

    /// The pair and the root, checked as the server will check them, from where they are now.
    fn load(&self, now: Timestamp) -> anyhow::Result<Ca> {
        let key = self.dir.join(INTERMEDIATE_KEY);
        if key.symlink_metadata().is_err() {
            bail!(
                "{} is missing; make it with 'ca-ctl intermediate request --dir {}'",
                key.display(),
                shell(&self.dir)
            );
        }
        let issuer = IssuerSettings {
            certificate: self.certificate.clone(),
            key,
            passphrase_file: self.passphrase_file.clone(),
            alternates: Vec::new(),
        };
        Ok(Ca::load(&Settings { root: self.root.clone(), issuers: vec![issuer] }, now)?)
    }
}

/// The configuration is there, and is never overwritten: another URL would count for nothing.
fn is_configured(config: &Path, url: &ServerUrl) -> anyhow::Result<()> {
    let there = Config::load(config).with_context(|| {
        format!("{} is there already, and --url cannot be held against it", config.display())
    })?;
    if there.url != url.to_string() {
        bail!(
            "{} is there already with server.url = \"{}\", and is never overwritten; leave --url out, or change it there",
            config.display(),
            there.url
        );
    }
    Ok(())
}

/// Writes certificates, unless the same ones are there.
fn put(written: &mut Files, path: &Path, text: &str, fix: &str) -> anyhow::Result<()> {
    if path.symlink_metadata().is_err() {
        return written.public(path, text);
    }
    let there: String = Certificate::read(path)
        .with_context(|| format!("{} is there already, and is never overwritten; {fix}", path.display()))?
        .iter()
        .map(Certificate::pem)
        .collect();
    if there != text {
        bail!(
            "{} is there already with another certificate, and is never overwritten; {fix}",
            path.display()
        );
    }
    Ok(())
}
