//! `probe NAME[:PORT]`: looks at the certificate that is really served, now, from here, and says what is to be thought of
//! it. Nothing of it is kept. The exit status is the one of a Nagios plugin.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use acme::identifier::{DnsName, Identifier};
use acme::problem::plain;
use acme::severity::Severity;
use acme::time::Timestamp;
use acme::verdict::Verdict;
use anyhow::{bail, ensure};
use clap::Args;
use serde::Serialize;
use store::Store;

use super::health::State;
use super::named::named;
use super::output::Output;
use super::span::left;
use crate::clock::Clock;
use crate::config::Config;
use crate::probe::{Prober, Public, Starttls, Target};
use crate::resolver::{Resolver, Targets};
use crate::watch::directory::Directory;
use crate::watch::look::{Lookout, Pace, Sight, configured};

/// Look at the certificate that is really served, and judge it
#[derive(Args)]
pub(super) struct Probe {
    /// The name or address, with :PORT where it is not the usual one ([ADDRESS]:PORT for IPv6)
    #[arg(value_name = "NAME[:PORT]", required_unless_present = "all", value_parser = parse)]
    place: Option<(Identifier, Option<u16>)>,
    /// Every target: what is issued, and what the configuration names
    #[arg(long, conflicts_with_all = ["place", "starttls", "sni", "connect"])]
    all: bool,
    /// What is spoken before TLS: smtp, imap, pop3, ldap, postgres, mysql, xmpp
    #[arg(long, value_name = "PROTOCOL", value_parser = starttls)]
    starttls: Option<Starttls>,
    /// Ask for this name, and expect it in the certificate
    #[arg(long, value_name = "NAME", value_parser = sni)]
    sni: Option<DnsName>,
    /// Dial this address, wherever the name leads; may be given more than once
    #[arg(long, value_name = "IP")]
    connect: Vec<IpAddr>,
}

/// What was found at an address, as `--json` tells of it. Fields are only ever added.
#[derive(Serialize)]
struct Item {
    target: String,
    host: String,
    port: u16,
    /// None where the target as a whole is meant.
    address: Option<SocketAddr>,
    verdict: Verdict,
    severity: Option<Severity>,
    serial: Option<String>,
    issuer: Option<String>,
    not_after: Option<Timestamp>,
    spki: Option<String>,
    product: Option<String>,
    owner: Option<String>,
    detail: String,
}

impl Probe {
    pub(super) async fn run(
        self,
        config: &Config,
        store: &Store,
        clock: &Clock,
        mut output: Output<'_>,
    ) -> anyhow::Result<()> {
        let lookout = lookout(config, store).await?;
        let (directory, targets) = self.targets(config, store, output.now).await?;
        let pace = Pace { concurrency: config.probe.concurrency, ..Pace::default() };
        let mut seen = lookout.pass(store, &Arc::new(directory), &targets, pace, clock).await?;
        seen.sort_by_key(|(target, _)| target.key());
        let items: Vec<Item> = seen
            .iter()
            .flat_map(|(target, sights)| sights.iter().map(|sight| Item::new(target, sight)))
            .collect();
        tell(&items, &mut output)?;
        match items.iter().map(Item::health).max() {
            None if self.all => Ok(()),
            None => State::Unknown.finish(),
            Some(state) => state.finish(),
        }
    }

    /// What is to be looked at. A name without anything else is every target of that host.
    async fn targets(
        &self,
        config: &Config,
        store: &Store,
        now: Timestamp,
    ) -> anyhow::Result<(Directory, Vec<Target>)> {
        let Some((host, port)) = self.place.clone() else {
            let directory = Directory::read(store).await?;
            let targets = directory.targets(&config.probe, now);
            return Ok((directory, targets));
        };
        let asked = self.sni.clone().map_or_else(|| host.clone(), Identifier::Dns);
        let directory = Directory::read_of(store, &asked).await?;
        let known = directory.targets(&config.probe, now);
        let of_host = || known.iter().filter(|target| target.host == host);
        let is_plain = self.starttls.is_none() && self.sni.is_none();
        let wanted: Vec<Target> = match port {
            None if is_plain => of_host().cloned().collect(),
            Some(port) if is_plain => of_host().filter(|it| it.port == port).cloned().collect(),
            _ => Vec::new(),
        };
        let mut targets = if wanted.is_empty() {
            let port = port.or(self.starttls.map(Starttls::port)).unwrap_or(config.probe.port);
            let connect = match &host {
                // Whoever writes an address means it.
                Identifier::Ip(address) => vec![*address],
                Identifier::Dns(_) => Vec::new(),
            };
            vec![Target {
                starttls: self.starttls,
                sni: self.sni.clone(),
                connect,
                ..Target::new(host, port)
            }]
        } else {
            wanted
        };
        if !self.connect.is_empty() {
            targets.iter_mut().for_each(|target| target.connect.clone_from(&self.connect));
        }
        Ok((directory, targets))
    }
}

async fn lookout(config: &Config, store: &Store) -> anyhow::Result<Lookout> {
    let root = crate::ca::read_root(&config.ca.root).ok();
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(root.map(|root| root.der().to_vec().into()));
    let resolver = Arc::new(Resolver::new(config.resolver()?, roots)?);
    let vetting = Targets::new(config.validation.allow_networks.clone());
    let prober = Prober::new(resolver, vetting, config.probe.timeout);
    // Where the files cannot be read, the store knows every issuer that ever signed.
    let configured = configured(&config.ca).unwrap_or_default();
    Ok(Lookout::new(prober, configured, Public::known(), config.renewal, store).await?)
}

impl Item {
    fn new(target: &Target, sight: &Sight) -> Self {
        let served = sight.served.clone();
        Self {
            target: served.target,
            host: target.host.to_string(),
            port: target.port,
            address: served.address,
            verdict: served.verdict,
            severity: sight.severity,
            serial: served.serial,
            issuer: sight.issuer.clone(),
            not_after: served.not_after,
            spki: served.spki,
            product: served.product,
            owner: target.owner.clone(),
            detail: served.detail,
        }
    }

    /// The exit status that goes with it. Who asks for a look and sees nothing is not told that all is well.
    fn health(&self) -> State {
        match (self.verdict, self.severity) {
            (Verdict::ProbeError, _) => State::Unknown,
            (_, Some(Severity::Critical | Severity::Urgent)) => State::Critical,
            (Verdict::TcpRefused | Verdict::TcpTimeout, _) | (_, Some(Severity::Warning)) => State::Warning,
            (_, Some(Severity::Info) | None) => State::Ok,
        }
    }
}

fn tell(items: &[Item], output: &mut Output<'_>) -> anyhow::Result<()> {
    let headers = ["TARGET", "ADDRESS", "VERDICT", "SEVERITY", "SERIAL", "ENDS", "ISSUER"];
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let now = output.now;
    output.items("probe", items, &headers, |item| {
        vec![
            item.target.clone(),
            or_dash(item.address.map(|address| address.ip().to_string())),
            item.verdict.to_string(),
            or_dash(item.severity.map(|severity| severity.to_string())),
            or_dash(item.serial.clone()),
            or_dash(item.not_after.map(|end| left(end, now))),
            or_dash(item.issuer.clone()),
        ]
    })?;
    if !output.json {
        for item in items {
            let place = item
                .address
                .map_or_else(|| item.target.clone(), |address| format!("{} {}", item.target, address.ip()));
            output.hung("", &format!("{place}: {}", item.detail))?;
        }
    }
    Ok(())
}

/// `name`, `name:port`, `address`, `v4:port`, `[v6]`, `[v6]:port`.
fn parse(place: &str) -> anyhow::Result<(Identifier, Option<u16>)> {
    let place = place.trim();
    if let Ok(address) = place.parse::<SocketAddr>() {
        ensure!(address.port() > 0, "0 is no port; 443 would do");
        return Ok((Identifier::Ip(address.ip().to_canonical()), Some(address.port())));
    }
    let has_port = place.parse::<IpAddr>().is_err() && !place.contains("://") && !place.ends_with(']');
    let (name, port) = match place.rsplit_once(':').filter(|_| has_port) {
        Some((name, port)) => match port.parse() {
            Ok(port) if port > 0 => (name, Some(port)),
            _ => bail!("{} is no port; {}:443 would do", plain(port, 40), plain(name, 100)),
        },
        None => (place, None),
    };
    let host = named(name)?;
    if host.is_wildcard() {
        bail!("nothing can be dialled for {host}; one of the names that it covers would do");
    }
    Ok((host, port))
}

fn starttls(word: &str) -> Result<Starttls, String> {
    let known: Vec<&str> = Starttls::ALL.iter().map(|protocol| protocol.as_str()).collect();
    Starttls::parse(word).ok_or_else(|| format!("there are {}", known.join(", ")))
}

fn sni(text: &str) -> Result<DnsName, String> {
    match named(text).map_err(|error| error.to_string())? {
        Identifier::Dns(name) if !name.is_wildcard() => Ok(name),
        other => Err(format!("{other} cannot be asked for; a name without a wildcard would do")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_host_with_or_without_a_port() {
        let parsed = |place: &str| parse(place).map(|(host, port)| (host.to_string(), port)).unwrap();
        for (place, host, port) in [
            ("a.lan", "a.lan", None),
            ("A.lan:25", "a.lan", Some(25)),
            ("10.0.0.1", "10.0.0.1", None),
            ("10.0.0.1:25", "10.0.0.1", Some(25)),
            ("fd00::1", "fd00::1", None),
            ("[fd00::1]", "fd00::1", None),
            ("a.lan.", "a.lan", None),
            ("m\u{fc}nchen.lan:25", "xn--mnchen-3ya.lan", Some(25)),
            ("[fd00::1]:25", "fd00::1", Some(25)),
        ] {
            assert_eq!(parsed(place), (host.to_owned(), port), "{place}");
        }
        for wrong in ["*.a.lan", "a.lan:0", "a.lan:x", "https://a.lan/", "10.0.0.1:0", "[a]", "", "a b"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
