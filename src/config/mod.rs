//! One TOML file into the settings types that the rooms define. The same function serves `acme-ca`, `check-config`,
//! `ca-ctl` and the tests: unknown keys are refused with the nearest known one, every value is judged, and an error
//! names the key, what is wrong with it and what would do.

mod alerts;
mod file;
mod nearest;
mod probes;
mod store_url;
mod url;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use acme::challenge::Type;
use acme::csr::KeyType;
use acme::identifier::{DnsName, Identifier};
use acme::renewal::Thresholds;
use ipnet::IpNet;

pub use self::url::ServerUrl;

use crate::limits::Rate;
use crate::policy::Rule;
use crate::{ca, limits, notify, policy, probe, resolver, validate};

/// The configuration, judged.
#[derive(Clone, Debug)]
pub struct Config {
    /// The base of every URL, without a final slash.
    pub url: String,
    /// The host of the URL, which is on the server's own certificate.
    pub host: Identifier,
    /// Addresses for ACME over TLS.
    pub listen: Vec<SocketAddr>,
    /// Addresses for plain downloads.
    pub plain_listen: Vec<SocketAddr>,
    /// Addresses for health and metrics.
    pub status_listen: Vec<SocketAddr>,
    /// Root and issuers.
    pub ca: ca::Settings,
    /// The store's URL, its path made absolute.
    pub store: String,
    resolver: resolver::Settings,
    host_servers: bool,
    /// Validation.
    pub validation: validate::Settings,
    /// For how long after a validation later orders of the same account for the same name need no other one.
    pub reuse: Duration,
    /// Names and profiles.
    pub policy: policy::Settings,
    /// Who may have an account.
    pub accounts: Accounts,
    /// How much one client may ask for in a while.
    pub limits: limits::Settings,
    /// When a certificate is overdue, and when critical.
    pub renewal: Thresholds,
    /// Who is told when something needs attention.
    pub alerts: notify::Settings,
    /// Where is looked whether certificates are really served.
    pub probe: probe::Settings,
}

/// Who may have an account, RFC 8555 7.3.
#[derive(Clone, Debug)]
pub struct Accounts {
    /// Whether a new account needs a key that the operator gave out (RFC 8555 7.3.4).
    pub external_account_required: bool,
    /// What a new account has to agree to.
    pub terms: Option<Terms>,
}

/// Where the terms of service are.
#[derive(Clone, Debug)]
pub enum Terms {
    /// On a page elsewhere.
    Url(String),
    /// In a file, which we show at `/terms`.
    File(PathBuf),
}

impl Accounts {
    /// The URL of the terms of service, for a server at `base`.
    pub fn terms_url(&self, base: &str) -> Option<String> {
        self.terms.as_ref().map(|terms| match terms {
            Terms::Url(url) => url.clone(),
            Terms::File(_) => format!("{base}/terms"),
        })
    }
}

/// Why a configuration is refused.
#[derive(Debug)]
pub struct Error {
    /// The key, such as `resolver.timeout`; empty when the file as a whole is meant.
    key: String,
    /// What is wrong, and what would do.
    why: String,
    /// What the system said, when the file cannot be read.
    source: Option<std::io::Error>,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key.as_str() {
            "" => f.write_str(&self.why),
            key => write!(f, "{key}: {}", self.why),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}

impl Error {
    fn new(key: impl Into<String>, why: impl Into<String>) -> Self {
        Self { key: key.into(), why: why.into(), source: None }
    }
}

impl Config {
    /// Reads and judges the file at `path`.
    ///
    /// # Errors
    /// The first key that cannot stand, with what would do. Which file it is, the caller says, who was given it.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|error| Error {
            source: Some(error),
            ..Error::new("", "the configuration cannot be read; name it with --config")
        })?;
        let dir = std::path::absolute(path)
            .ok()
            .and_then(|path| path.parent().map(Path::to_owned))
            .unwrap_or_else(|| PathBuf::from("."));
        Self::parse(&text, &dir)
    }

    /// Judges a text whose relative paths are relative to `dir`.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str, dir: &Path) -> Result<Self, Error> {
        let file: file::File =
            toml::from_str(text).map_err(|error| Error::new("", nearest::explain(&error, text)))?;
        let url = ServerUrl::parse(&file.server.url).map_err(|why| Error::new("server.url", why))?;
        let listen = match &file.server.listen {
            Some(texts) => addresses("server.listen", texts)?,
            None => vec![SocketAddr::new(IpAddr::from([0u16; 8]), url.port())],
        };
        if listen.is_empty() {
            return refuse("server.listen", "it is empty, and nobody could ask for a certificate");
        }
        let plain_listen = addresses("server.plain_listen", &file.server.plain_listen)?;
        let status_listen = addresses("server.status_listen", &file.server.status_listen)?;
        each_once([
            ("server.listen", &listen),
            ("server.plain_listen", &plain_listen),
            ("server.status_listen", &status_listen),
        ])?;
        let policy = policy_settings(&file.policy, &file.profiles)?;
        Ok(Self {
            host: url.host().clone(),
            url: url.to_string(),
            probe: probes::settings(&file.probe, &listen)?,
            listen,
            plain_listen,
            status_listen,
            ca: ca_settings(file.ca, dir)?,
            store: store_url::parse(&file.store.url, dir)?,
            resolver: resolver_settings(&file.resolver)?,
            host_servers: file.resolver.servers.is_none(),
            validation: validation_settings(&file.validation, url.host(), &policy)?,
            reuse: duration("validation.reuse", file.validation.reuse.as_deref(), "24h", "0s", "30d")?,
            policy,
            accounts: accounts(file.accounts, dir)?,
            limits: limits(&file.limits)?,
            renewal: thresholds(&file.renewal)?,
            alerts: alerts::settings(file.alerts, url.host(), dir)?,
        })
    }

    /// How names are looked up. Without `resolver.servers` this reads the host's `/etc/resolv.conf`.
    ///
    /// # Errors
    /// That it cannot be read or names nobody.
    pub fn resolver(&self) -> Result<resolver::Settings, Error> {
        let mut settings = self.resolver.clone();
        if self.host_servers {
            settings.servers = resolver::system_servers()
                .map_err(|error| Error::new("resolver.servers", format!("it is not given, and {error}")))?;
        }
        Ok(settings)
    }

    /// Whether the file with the password of the store can be read, where there is one. A store that is opened reads it
    /// again.
    ///
    /// # Errors
    /// That it cannot.
    pub fn check_password_file(&self) -> Result<(), Error> {
        let Some(path) = store_url::password_file(&self.store) else { return Ok(()) };
        match std::fs::read_to_string(&path) {
            Ok(_) => Ok(()),
            Err(error) => {
                let why = format!(
                    "the password file {} cannot be read; write the password there, or correct the path",
                    path.display()
                );
                Err(Error { source: Some(error), ..Error::new("store.url", why) })
            }
        }
    }

    /// The challenges that orders of a profile are offered.
    pub fn challenges<'a>(&'a self, profile: &'a policy::Profile) -> &'a [Type] {
        profile.challenges.as_deref().unwrap_or(&self.validation.challenges)
    }

    /// Whether orders of some profile are offered this challenge.
    pub fn offers(&self, challenge: Type) -> bool {
        self.policy.profiles.values().any(|profile| self.challenges(profile).contains(&challenge))
    }

    /// The keys that differ from `other` and that a running server cannot change.
    pub fn fixed_keys_that_differ(&self, other: &Self) -> Vec<&'static str> {
        let pairs = [
            ("server.url", self.url == other.url),
            ("server.listen", self.listen == other.listen),
            ("server.plain_listen", self.plain_listen == other.plain_listen),
            ("server.status_listen", self.status_listen == other.status_listen),
            ("store.url", self.store == other.store),
        ];
        pairs.into_iter().filter_map(|(key, same)| (!same).then_some(key)).collect()
    }

    /// Where plain downloads are, `http://HOST[:PORT]`, when they are offered.
    pub fn plain_url(&self) -> Option<String> {
        let port = self.plain_listen.first()?.port();
        let host = match &self.host {
            Identifier::Ip(IpAddr::V6(address)) => format!("[{address}]"),
            host => host.to_string(),
        };
        Some(if port == 80 { format!("http://{host}") } else { format!("http://{host}:{port}") })
    }
}

fn refuse<T>(key: &str, why: impl Into<String>) -> Result<T, Error> {
    Err(Error::new(key, why))
}

fn addresses(key: &str, texts: &[String]) -> Result<Vec<SocketAddr>, Error> {
    texts
        .iter()
        .map(|text| {
            text.parse().or_else(|_| {
                refuse(key, format!("{text} is not ADDRESS:PORT, such as 127.0.0.1:9180 or [::]:443"))
            })
        })
        .collect()
}

/// Every door has addresses of its own. Port 0 is another one each time.
fn each_once<'a>(doors: impl IntoIterator<Item = (&'static str, &'a Vec<SocketAddr>)>) -> Result<(), Error> {
    let mut taken: BTreeMap<SocketAddr, &str> = BTreeMap::new();
    for (key, address) in doors.into_iter().flat_map(|(key, all)| all.iter().map(move |one| (key, *one))) {
        match taken.insert(address, key).filter(|_| address.port() != 0) {
            Some(other) if other == key => {
                return refuse(key, format!("{address} stands there twice; once would do"));
            }
            Some(other) => {
                return refuse(
                    key,
                    format!("{address} stands in {other} too; another port would do, such as 127.0.0.1:9180"),
                );
            }
            None => {}
        }
    }
    Ok(())
}

fn ca_settings(ca: file::Ca, dir: &Path) -> Result<ca::Settings, Error> {
    if ca.issuer.is_empty() {
        return refuse("ca.issuer", "there is none; a [[ca.issuer]] with certificate and key is needed");
    }
    let issuers = ca
        .issuer
        .into_iter()
        .map(|issuer| ca::IssuerSettings {
            certificate: dir.join(issuer.certificate),
            key: dir.join(issuer.key),
            passphrase_file: issuer.passphrase_file.map(|path| dir.join(path)),
            alternates: issuer.alternates.iter().map(|path| dir.join(path)).collect(),
        })
        .collect();
    Ok(ca::Settings { root: dir.join(ca.root), issuers })
}

fn resolver_settings(file: &file::Resolver) -> Result<resolver::Settings, Error> {
    let servers = match &file.servers {
        Some(texts) if texts.is_empty() && file.pins.is_empty() => {
            return refuse(
                "resolver.servers",
                "it is empty and nothing is pinned; no name could ever be validated",
            );
        }
        Some(texts) => name_servers("resolver.servers", texts)?,
        // The host's own are read when the resolver is made: a machine that only checks this file has others.
        None => Vec::new(),
    };
    let mut pins = BTreeMap::new();
    for (pattern, texts) in &file.pins {
        let key = format!("resolver.pins.\"{pattern}\"");
        let name = DnsName::parse(pattern).map_err(|problem| Error::new(&key, problem.detail))?;
        if texts.is_empty() {
            return refuse(&key, "it has no address");
        }
        let parse = |text: &String| {
            text.parse::<IpAddr>().or_else(|_| refuse(&key, format!("{text} is not an IP address")))
        };
        let addresses = texts.iter().map(parse).collect::<Result<_, _>>()?;
        if pins.insert(name.as_str().to_owned(), addresses).is_some() {
            let name = name.as_str();
            return refuse(
                &key,
                format!("{name} is pinned twice, upper and lower case being the same; once would do"),
            );
        }
    }
    let mut zones = Vec::new();
    for zone in &file.zone {
        let suffix = DnsName::parse(zone.suffix.trim_start_matches("*."))
            .map_err(|problem| Error::new("resolver.zone.suffix", problem.detail))?;
        let servers = name_servers("resolver.zone.servers", &zone.servers)?;
        if servers.is_empty() {
            return refuse(
                "resolver.zone.servers",
                format!("no server for {suffix}; leave the zone out to ask the others"),
            );
        }
        zones.push(resolver::Zone { suffix: suffix.as_str().to_owned(), servers });
    }
    let timeout = duration("resolver.timeout", file.timeout.as_deref(), "3s", "100ms", "30s")?;
    Ok(resolver::Settings { servers, timeout, pins, zones })
}

fn name_servers(key: &str, texts: &[String]) -> Result<Vec<resolver::Server>, Error> {
    texts.iter().map(|text| resolver::Server::parse(text).map_err(|why| Error::new(key, why))).collect()
}

fn validation_settings(
    file: &file::Validation,
    host: &Identifier,
    policy: &policy::Settings,
) -> Result<validate::Settings, Error> {
    let challenges = match &file.challenges {
        Some(words) => challenges("validation.challenges", words)?,
        None => Type::USUAL.to_vec(),
    };
    let mut offered = policy.profiles.values().map(|p| p.challenges.as_ref().unwrap_or(&challenges));
    let persistent = offered.any(|challenges| challenges.contains(&Type::DnsPersist01));
    let identities = identities(file, host, persistent)?;
    let allow_networks = match &file.allow_networks {
        Some(texts) => Some(networks("validation.allow_networks", texts)?),
        None => None,
    };
    Ok(validate::Settings {
        challenges,
        caa: file.caa,
        identities,
        http_port: port("validation.http_port", file.http_port, 80)?,
        tls_alpn_port: port("validation.tls_alpn_port", file.tls_alpn_port, 443)?,
        patience: duration("validation.patience", file.patience.as_deref(), "60s", "0s", "10m")?,
        allow_networks,
        ..validate::Settings::default()
    })
}

fn port(key: &str, written: Option<u16>, usual: u16) -> Result<u16, Error> {
    match written.unwrap_or(usual) {
        0 => refuse(key, format!("0 is no port; 1 to 65535 would do, {usual} when it is left out")),
        port => Ok(port),
    }
}

/// Each once, in the order in which they are offered.
fn challenges(key: &str, words: &[String]) -> Result<Vec<Type>, Error> {
    let known = || Type::ALL.iter().map(|t| t.as_str()).collect::<Vec<_>>().join(", ");
    if let Some(word) = words.iter().find(|word| Type::parse(word).is_none()) {
        return refuse(key, format!("{word} is no challenge; there are {}", known()));
    }
    if words.is_empty() {
        return refuse(key, "it is empty, and no name could ever be validated; http-01 would do");
    }
    Ok(Type::ALL.iter().copied().filter(|t| words.iter().any(|word| word == t.as_str())).collect())
}

/// The names by which records mean this CA, where such records count.
fn identities(file: &file::Validation, host: &Identifier, persistent: bool) -> Result<Vec<String>, Error> {
    const KEY: &str = "validation.caa_identities";
    const MOST: usize = 10; // draft-ietf-acme-dns-persist-02 3.1
    let used = file.caa || persistent;
    let name = |text: &String| match DnsName::parse(text) {
        Ok(name) if !name.is_wildcard() => Ok(name.as_str().to_owned()),
        Ok(name) => refuse(KEY, format!("{name} is a wildcard; {} would do", name.base())),
        Err(problem) => refuse(KEY, problem.detail),
    };
    match (&file.caa_identities, host) {
        (Some(_), _) if !used => refuse(
            KEY,
            "it counts for nothing while validation.caa is false and dns-persist-01 is not offered",
        ),
        (None, _) if !used => Ok(Vec::new()),
        (Some(names), _) if names.is_empty() || names.len() > MOST => {
            refuse(KEY, format!("it has {} names; one to {MOST} would do", names.len()))
        }
        (Some(names), _) => names.iter().map(name).collect(),
        (None, Identifier::Dns(host)) => Ok(vec![host.as_str().to_owned()]),
        (None, Identifier::Ip(_)) => {
            refuse(KEY, "it is needed, because the host of server.url is no name; a name of yours would do")
        }
    }
}

fn networks(key: &str, texts: &[String]) -> Result<Vec<IpNet>, Error> {
    texts
        .iter()
        .map(|text| match Rule::parse(text) {
            Ok(Rule::Network(network)) => Ok(network),
            Err(why) if text.parse::<IpNet>().is_ok() => refuse(key, why),
            _ => refuse(key, format!("{text} is not a network, such as 192.168.0.0/16 or fd00::/8")),
        })
        .collect()
}

fn policy_settings(
    file: &file::Policy,
    profiles: &BTreeMap<String, file::Profile>,
) -> Result<policy::Settings, Error> {
    let rules = |key: &str, texts: &[String]| {
        texts
            .iter()
            .map(|text| Rule::parse(text).map_err(|why| Error::new(key, why)))
            .collect::<Result<Vec<_>, _>>()
    };
    let mut judged = BTreeMap::new();
    judged.insert(
        policy::DEFAULT_PROFILE.to_owned(),
        profile(policy::DEFAULT_PROFILE, &file::Profile::default())?,
    );
    for (name, written) in profiles {
        if name.is_empty()
            || name.len() > 64
            || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        {
            return refuse(
                "profiles",
                format!("{name} is no profile name; letters, digits, - _ and . would do"),
            );
        }
        // Clients compare names without regard to case, some of them (Apache's mod_md).
        if let Some(other) = judged.keys().find(|other| *other != name && other.eq_ignore_ascii_case(name)) {
            return refuse(
                "profiles",
                format!("{name} and {other} differ by case alone; rename one of them"),
            );
        }
        judged.insert(name.clone(), profile(name, written)?);
    }
    Ok(policy::Settings {
        allow: file.allow.as_deref().map(|texts| rules("policy.allow", texts)).transpose()?,
        deny: rules("policy.deny", &file.deny)?,
        profiles: judged,
    })
}

fn profile(name: &str, file: &file::Profile) -> Result<policy::Profile, Error> {
    let key = |key: &str| format!("profiles.{name}.{key}");
    Ok(policy::Profile {
        lifetime: duration(&key("lifetime"), file.lifetime.as_deref(), "90d", "10m", "825d")?,
        challenges: match &file.challenges {
            Some(words) => Some(challenges(&key("challenges"), words)?),
            None => None,
        },
        client_auth: file.client_auth,
        keys: file.keys.as_deref().map(|words| key_types(&key("keys"), words)).transpose()?,
        description: file
            .description
            .as_deref()
            .map(|text| sentence(&key("description"), text))
            .transpose()?,
    })
}

fn key_types(key: &str, words: &[String]) -> Result<Vec<KeyType>, Error> {
    let known = || KeyType::ALL.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ");
    if words.is_empty() {
        return refuse(
            key,
            format!("it is empty, and no request could be granted; leave it out, or {}", known()),
        );
    }
    let mut kinds = Vec::new();
    for word in words {
        let Some(kind) = KeyType::parse(word) else {
            return refuse(key, format!("{word} is no kind of key; {} are", known()));
        };
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    Ok(kinds)
}

/// A text that goes into the directory, which some clients read with `sed`.
fn sentence(key: &str, text: &str) -> Result<String, Error> {
    const LONGEST: usize = 200;
    if text.trim().is_empty() || acme::problem::plain(text, LONGEST) != text {
        return refuse(
            key,
            format!("it is one plain line of at most {LONGEST} characters, without quotes and backslashes"),
        );
    }
    Ok(text.to_owned())
}

fn accounts(file: file::Accounts, dir: &Path) -> Result<Accounts, Error> {
    let terms = match file.terms_of_service {
        Some(text) if text.starts_with("https://") || text.starts_with("http://") => {
            if text.contains(|c: char| c.is_whitespace() || c.is_control() || "<>\"".contains(c)) {
                return refuse("accounts.terms_of_service", format!("{text} is not a URL"));
            }
            Some(Terms::Url(text))
        }
        Some(path) if path.is_empty() => {
            return refuse("accounts.terms_of_service", "it is empty; a URL or a text file would do");
        }
        path => path.map(|path| Terms::File(dir.join(path))),
    };
    Ok(Accounts { external_account_required: file.external_account_required, terms })
}

fn limits(file: &file::Limits) -> Result<limits::Settings, Error> {
    let default = limits::Settings::default();
    let rate = |key: &str, text: Option<&str>, default: Rate| match text {
        Some(text) => Rate::parse(text).map_err(|why| Error::new(format!("limits.{key}"), why)),
        None => Ok(default),
    };
    let pending_orders = file.pending_orders.unwrap_or(default.pending_orders);
    if pending_orders == 0 {
        return refuse("limits.pending_orders", "with 0, nobody could order anything; 1000 would do");
    }
    Ok(limits::Settings {
        enabled: file.enabled.unwrap_or(default.enabled),
        new_accounts: rate("new_accounts", file.new_accounts.as_deref(), default.new_accounts)?,
        new_orders: rate("new_orders", file.new_orders.as_deref(), default.new_orders)?,
        failed_validations: rate(
            "failed_validations",
            file.failed_validations.as_deref(),
            default.failed_validations,
        )?,
        pending_orders,
    })
}

/// The part of a life at which clients renew.
const CLIENTS_RENEW: f64 = 2.0 / 3.0;

fn thresholds(file: &file::Renewal) -> Result<Thresholds, Error> {
    let thresholds = Thresholds {
        warn: file.warn.unwrap_or(Thresholds::default().warn),
        critical: file.critical.unwrap_or(Thresholds::default().critical),
    };
    if !(thresholds.warn > 0.0 && thresholds.warn < thresholds.critical && thresholds.critical < 1.0) {
        return refuse("renewal", "warn and critical are parts of the lifetime: 0 < warn < critical < 1");
    }
    // Names are not read again before their renewal is due, so nothing would come of it.
    if thresholds.warn < CLIENTS_RENEW {
        return refuse(
            "renewal.warn",
            "clients renew at two thirds of a life; 0.67 or more would do, and 'ca-ctl names set' is for names that somebody \
             wants to see earlier",
        );
    }
    Ok(thresholds)
}

fn duration(
    key: &str,
    text: Option<&str>,
    default: &str,
    least: &str,
    most: &str,
) -> Result<Duration, Error> {
    let parse = |text: &str| humantime::parse_duration(text);
    let text = text.unwrap_or(default);
    let Ok(value) = parse(text) else {
        return refuse(key, format!("{text} is not a span of time, such as {default}"));
    };
    let bounds = (parse(least), parse(most));
    if !matches!(bounds, (Ok(least), Ok(most)) if (least..=most).contains(&value)) {
        return refuse(key, format!("{text} is out of bounds; {least} to {most} would do"));
    }
    Ok(value)
}

#[cfg(test)]
mod tests;
