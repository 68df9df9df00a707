//! `ca-ctl init`: a whole CA on one machine. Everything is made and judged in memory first; then five files are written,
//! and read back as the server will read them.

use std::path::PathBuf;
use std::time::Duration;

use acme::time::Timestamp;
use anyhow::{Context, anyhow};

use super::files::{self, CONFIG, Files, INTERMEDIATE, INTERMEDIATE_KEY, ROOT, ROOT_KEY};
use super::report::{self, Authority};
use super::starter;
use super::{Console, DAY, new_serial, parse_permit, passphrase, shell};
use crate::ca::ceremony::{self, Life, Plan, Request};
use crate::ca::constraints::{Constraints, Permit};
use crate::ca::{Ca, Certificate, IssuerSettings, Key, KeyKind, Settings, pem};
use crate::config::ServerUrl;

/// `ca-ctl init`
#[derive(Debug, clap::Args)]
pub struct Init {
    /// The directory for the keys, the certificates and the configuration; made when it is missing
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// The URL at which clients reach the server: https://HOST[:PORT]
    #[arg(long, value_name = "URL", value_parser = ServerUrl::parse)]
    pub url: ServerUrl,
    /// What the CA may certify, for ever: a DNS name with all below it, a network, an address, or '*' for everything;
    /// may be given several times. Left out: the URL's own domain
    #[arg(long, value_name = "NAME|NET", value_parser = parse_permit)]
    pub permit: Vec<Permit>,
    /// The file whose first line encrypts both keys. Left out: the keys are not encrypted
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// The CA's name; "Root CA" and "Intermediate CA" are put behind it. Left out: the first permitted name
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// A configuration to be written instead of the usual one.
    #[arg(skip)]
    pub configuration: Option<String>,
}

impl Init {
    /// Does it.
    ///
    /// # Errors
    /// What went wrong and what would do; then no file was written.
    pub fn run(self, now: Timestamp, console: &mut Console<'_>) -> anyhow::Result<()> {
        let [root_pem, root_key, intermediate_pem, intermediate_key, config] =
            [ROOT, ROOT_KEY, INTERMEDIATE, INTERMEDIATE_KEY, CONFIG].map(|name| self.dir.join(name));
        let all = [&root_pem, &root_key, &intermediate_pem, &intermediate_key, &config].map(Clone::clone);
        let constraints = self.constraints()?;
        files::must_be_absent(&all, "choose another --dir, or go on with the CA that is there")?;
        let passphrase = passphrase(self.passphrase_file.as_deref())?;
        let configuration = self.configuration()?;

        let made = self.make(now, &constraints)?;
        files::make_directory(&self.dir)?;
        let mut written = Files::default();
        written.key(&root_key, &made.root_key, passphrase.as_ref())?;
        written.public(&root_pem, &pem::encode("CERTIFICATE", &made.root))?;
        written.key(&intermediate_key, &made.intermediate_key, passphrase.as_ref())?;
        written.public(&intermediate_pem, &pem::encode("CERTIFICATE", &made.intermediate))?;
        written.public(&config, &configuration)?;
        let issuer = IssuerSettings {
            certificate: intermediate_pem.clone(),
            key: intermediate_key.clone(),
            passphrase_file: self.passphrase_file.clone(),
            alternates: Vec::new(),
        };
        let settings = Settings { root: root_pem.clone(), issuers: vec![issuer] };
        let ca = Ca::load(&settings, now).context("reading back what was written")?;
        let written = written.keep();
        for path in &written {
            console.say(format!("wrote {}", path.display()))?;
        }

        let issuer = ca.active(now)?;
        console.say(format!("root          '{}' until {}", ca.root().name, ca.root().not_after))?;
        console.say(format!("intermediate  '{}' until {}", issuer.name(), issuer.not_after()))?;
        console.say(format!("names         {constraints}"))?;
        console.say(format!("fingerprint   sha256 {}", ca.root_fingerprint()))?;
        console.say("")?;
        console.say(format!(
            "Clients trust {}. The server needs no {}: move it",
            shell(&root_pem),
            shell(&root_key)
        ))?;
        console.say("to where no network reaches. Then:")?;
        console.say(format!("    acme-ca serve --config {}", shell(&config)))?;
        if passphrase.is_none() {
            console.warn_plain_key(&root_key)?;
            console.warn_plain_key(&intermediate_key)?;
        }
        let root = Authority::certified(report::ROOT, ca.root(), &root_pem)
            .with_key(made.root_key.describe(), Some(&root_key));
        let below = issuer.certificate();
        let below = Authority::certified(report::INTERMEDIATE, below, &intermediate_pem)
            .with_key(made.intermediate_key.describe(), Some(&intermediate_key));
        console.report("init", now, &[root, below], &written)
    }

    fn constraints(&self) -> anyhow::Result<Constraints> {
        let own = [starter::own_domain(&self.url)];
        let permits = if self.permit.is_empty() { &own[..] } else { &self.permit };
        let constraints = Constraints::from_permits(permits).map_err(|why| anyhow!(why))?;
        let host = self.url.host();
        constraints.check(host).map_err(|why| {
            anyhow!("the CA could not certify its own host: {why}; add --permit {host}, or change --url")
        })?;
        Ok(constraints)
    }

    fn configuration(&self) -> anyhow::Result<String> {
        if let Some(configuration) = &self.configuration {
            return Ok(configuration.clone());
        }
        let passphrase_file = self.passphrase_file.as_deref();
        let relative = passphrase_file.map(|file| files::relative_to(&self.dir, file)).transpose()?;
        Ok(starter::configuration(&self.url, relative.as_deref()))
    }

    fn make(&self, now: Timestamp, constraints: &Constraints) -> anyhow::Result<Made> {
        let (root_name, intermediate_name) = self.names();
        let root_key = Key::generate(KeyKind::P384)?;
        let life = Life::starting(now, ROOT_LIFETIME);
        let root =
            ceremony::root(&root_key, &root_name, &Plan { serial: &new_serial()?, life, constraints })?;
        let above = Certificate::parse(&root).map_err(|why| anyhow!(why))?;
        let intermediate_key = Key::generate(KeyKind::P256)?;
        let request = ceremony::request(&intermediate_key, &intermediate_name)?;
        let request = Request::parse(&request).map_err(|why| anyhow!(why))?;
        let life = Life::starting(now, INTERMEDIATE_LIFETIME).within(&above);
        let plan = Plan { serial: &new_serial()?, life, constraints };
        let intermediate = ceremony::intermediate(&above, &root_key, &request, &plan)?;
        Ok(Made { root_key, root, intermediate_key, intermediate })
    }

    fn names(&self) -> (String, String) {
        let name = self.name.clone().unwrap_or_else(|| match self.permit.first() {
            None => words(&starter::own_domain(&self.url)),
            Some(Permit::Everything) => self.url.host().to_string(),
            Some(permit) => words(permit),
        });
        // X.520 allows 64 characters; a name that the user chose is refused when it does not fit, a derived one gives way.
        let fits = self.name.is_some() || name.chars().count() + " Intermediate CA".len() <= 64;
        let name = if fits { name } else { "acme-ca".to_owned() };
        (format!("{name} Root CA"), format!("{name} Intermediate CA"))
    }
}

struct Made {
    root_key: Key,
    root: Vec<u8>,
    intermediate_key: Key,
    intermediate: Vec<u8>,
}

fn words(permit: &Permit) -> String {
    match permit {
        Permit::Everything => "acme-ca".to_owned(),
        Permit::Dns(name) => name.to_string(),
        Permit::Net(net) if net.prefix_len() == net.max_prefix_len() => net.addr().to_string(),
        Permit::Net(net) => net.to_string(),
    }
}

/// Twenty years, with humantime's 365.25 days each.
pub(super) const ROOT_LIFETIME: Duration = Duration::from_secs(20 * 36525 * DAY / 100);
/// Ten years.
pub(super) const INTERMEDIATE_LIFETIME: Duration = Duration::from_secs(10 * 36525 * DAY / 100);
