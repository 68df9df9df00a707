//! `[alerts]` and `[[alerts.sink]]` as they are written, judged into `notify::Settings`. A key that a type of sink does not
//! use is refused there, so that none is believed to do something.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use acme::identifier::Identifier;
use acme::problem::plain;
use acme::severity::Severity;
use serde::Deserialize;

use super::{Error, duration, refuse};
use crate::notify::{
    Alertmanager, Endpoint, Exec, Host, JOURNAL_SOCKET, Journal, Login, Ntfy, Owner, Pin, Role, Roots,
    Schedule, SecretFile, Security, Settings, Sink, Smtp, Trust, Way, Webhook, is_address,
};

/// Who is told when something needs attention.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Alerts {
    /// Who decides when people are told: `native`, this program, or `alertmanager`, which then gets everything, while the
    /// other sinks get what it could not be told. Default: `native`.
    owner: Option<String>,
    /// Hours of every day in which nobody is told what is less than critical: `22:30-07:30`. It is told when they end.
    /// Default: none.
    quiet: Option<String>,
    /// When what can wait is told together: `08:00` every day, or `mon 08:00` every week. Default: `08:00`.
    digest: Option<String>,
    /// What is added to UTC for `quiet` and `digest`: `+01:00`. It is the same in summer and winter. Default: `+00:00`.
    utc_offset: Option<String>,
    /// Who is told, in order. Default: nobody; alerts are in the log and in `ca-ctl`.
    #[serde(default)]
    sink: Vec<WrittenSink>,
}

/// Somebody who is told.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSink {
    /// How: `ntfy`, `alertmanager`, `webhook`, `smtp`, `exec` or `journal`.
    #[serde(rename = "type")]
    way: String,
    /// What it is called in logs and by `ca-ctl alerts test --sink`. Default: its type, with a number from the second on.
    name: Option<String>,
    /// What matters less is not sent there: `info`, `warning`, `critical`, `urgent`. Default: `info`.
    min: Option<String>,
    /// `always`, or `fallback`: told only of what the sinks before it could not be told for 15 minutes, and of the end of
    /// that. Default: `always`.
    role: Option<String>,
    /// The server, `https://HOST[:PORT]`, `http://…`, or `unix:/PATH` for a socket. Redirects are not followed.
    url: Option<String>,
    /// The topic. For `ntfy`.
    topic: Option<String>,
    /// A file whose first line is a bearer token. It is read at each delivery. Default: none.
    token_file: Option<PathBuf>,
    /// A name to log in with; needs `password_file`. Default: none.
    user: Option<String>,
    /// A file whose first line is its password.
    password_file: Option<PathBuf>,
    /// Who may certify the server: `own-root`, this CA alone; `system`, whom the machine trusts; or a PEM file. Default:
    /// `own-root`.
    ca: Option<String>,
    /// Keys by which the server is believed when its certificate is not valid: base64 of the SHA-256 of its public key
    /// (SubjectPublicKeyInfo), up to eight. Neither its name nor its dates count then. Default: none.
    pin_sha256: Option<Vec<String>>,
    /// A URL that a tap opens; `{name}` stands for the first name of the alert. For `ntfy`. Default: none.
    click: Option<String>,
    /// Tags beside our own. For `ntfy`.
    tags: Option<Vec<String>>,
    /// Whether the server is asked every hour to say in 26 hours that this CA is silent. For `ntfy` from 2.16 on; an older
    /// server is left alone. Default: `true`, for a fallback `false`.
    heartbeat: Option<bool>,
    /// Labels of every alert. For `alertmanager`.
    labels: Option<BTreeMap<String, String>>,
    /// The mail server. For `smtp`.
    host: Option<String>,
    /// Its port. Default: 587 with `starttls`, 465 with `tls`, 25 with `plain`.
    port: Option<u16>,
    /// How the connection is protected: `starttls`, `tls`, `plain`. Default: `starttls`; without it nothing is sent.
    security: Option<String>,
    /// Whose mail it is. For `smtp`.
    from: Option<String>,
    /// Who gets the mail. For `smtp`.
    to: Option<Vec<String>>,
    /// The program's file. For `exec`. It gets JSON at its standard input, and nothing of the server's environment.
    program: Option<PathBuf>,
    /// Its arguments. For `exec`. Default: none.
    args: Option<Vec<String>>,
    /// How long it may run, `1s` to `5m`. For `exec`. Default: `30s`.
    timeout: Option<String>,
}

/// Judges the section. Relative paths are relative to `dir`.
pub(super) fn settings(file: Alerts, host: &Identifier, dir: &Path) -> Result<Settings, Error> {
    let owner = match file.owner.as_deref() {
        None | Some("native") => Owner::Native,
        Some("alertmanager") => Owner::Alertmanager,
        Some(word) => return refuse("alerts.owner", format!("{word} is neither native nor alertmanager")),
    };
    let mut sinks: Vec<Sink> = Vec::new();
    let has_several = file.sink.len() > 1;
    for (place, written) in file.sink.into_iter().enumerate() {
        // Of several, which one is meant: by its place, and by its name or type.
        let title = plain(written.name.as_ref().unwrap_or(&written.way), 40);
        let sink = sink(written, place, &sinks, dir).map_err(|error| match has_several {
            true => Error { key: format!("{} (sink {}, {title})", error.key, place + 1), ..error },
            false => error,
        })?;
        sinks.push(sink);
    }
    if owner == Owner::Alertmanager && !sinks.iter().any(|sink| matches!(sink.way, Way::Alertmanager(_))) {
        return refuse("alerts.owner", "alertmanager owns the alerts, but no sink is of that type");
    }
    if sinks.first().is_some_and(|sink| sink.role == Role::Fallback) {
        return refuse("alerts.sink.role", "the first sink is a fallback, and there is none before it");
    }
    let timed = [("quiet", &file.quiet), ("digest", &file.digest), ("utc_offset", &file.utc_offset)];
    if let Some((key, _)) = timed.iter().find(|(_, value)| value.is_some() && sinks.is_empty()) {
        return refuse(&format!("alerts.{key}"), "it counts for nothing without an [[alerts.sink]]");
    }
    let mut schedule = Schedule::default();
    type Set = fn(Schedule, &str) -> Result<Schedule, String>;
    let setters: [Set; 3] = [Schedule::with_quiet, Schedule::with_digest, Schedule::with_offset];
    for ((key, value), set) in timed.into_iter().zip(setters) {
        if let Some(text) = value {
            schedule = set(schedule, text).map_err(|why| Error::new(format!("alerts.{key}"), why))?;
        }
    }
    Ok(Settings { host: host.to_string(), owner, schedule, sinks })
}

fn sink(written: WrittenSink, place: usize, before: &[Sink], dir: &Path) -> Result<Sink, Error> {
    let mut keys = Keys::new(written, dir);
    let role = match keys.take(|w| w.role.take(), "role").as_deref() {
        None | Some("always") => Role::Always,
        Some("fallback") => Role::Fallback,
        Some(word) => return refuse("alerts.sink.role", format!("{word} is neither always nor fallback")),
    };
    let min = match keys.take(|w| w.min.take(), "min") {
        None => Severity::Info,
        Some(word) => Severity::parse(&word).ok_or_else(|| {
            Error::new("alerts.sink.min", format!("{word} is none of info, warning, critical, urgent"))
        })?,
    };
    let named = keys.take(|w| w.name.take(), "name");
    let way = keys.way(role)?;
    keys.nothing_left(&way)?;
    let name = match named {
        Some(name) => name,
        None if before.iter().any(|sink| sink.name == way.as_str()) => {
            format!("{}-{}", way.as_str(), place + 1)
        }
        None => way.as_str().to_owned(),
    };
    let is_name = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if name.is_empty() || name.len() > 40 || !name.bytes().all(is_name) {
        return refuse(
            "alerts.sink.name",
            format!("{name} is no name; up to 40 letters, digits, - _ and . would do"),
        );
    }
    if before.iter().any(|sink| sink.name == name) {
        return refuse(
            "alerts.sink.name",
            format!("two sinks are called {name}; {name}-{} would do for this one", place + 1),
        );
    }
    Ok(Sink { name, min, role, way })
}

/// The keys of a sink, and which of them something was done with.
struct Keys<'d> {
    written: WrittenSink,
    used: BTreeSet<&'static str>,
    dir: &'d Path,
}

impl<'d> Keys<'d> {
    fn new(written: WrittenSink, dir: &'d Path) -> Self {
        Self { written, used: BTreeSet::from(["type"]), dir }
    }

    fn take<T>(&mut self, take: impl FnOnce(&mut WrittenSink) -> Option<T>, key: &'static str) -> Option<T> {
        self.used.insert(key);
        take(&mut self.written)
    }

    fn need<T>(
        &mut self,
        take: impl FnOnce(&mut WrittenSink) -> Option<T>,
        key: &'static str,
        would_do: &str,
    ) -> Result<T, Error> {
        self.take(take, key).ok_or_else(|| {
            Error::new(format!("alerts.sink.{key}"), format!("it is missing; {would_do} would do"))
        })
    }

    fn way(&mut self, role: Role) -> Result<Way, Error> {
        Ok(match self.written.way.clone().as_str() {
            "ntfy" => Way::Ntfy(self.ntfy(role)?),
            "alertmanager" => {
                let endpoint = self.endpoint("http://127.0.0.1:9093")?;
                let (login, trust) = (self.login()?, self.trust(endpoint.is_tls())?);
                Way::Alertmanager(Alertmanager { endpoint, login, trust, labels: self.labels()? })
            }
            "webhook" => {
                let endpoint = self.endpoint("https://hook.lan/acme-ca")?;
                let (login, trust) = (self.login()?, self.trust(endpoint.is_tls())?);
                Way::Webhook(Webhook { endpoint, login, trust })
            }
            "smtp" => Way::Smtp(self.smtp()?),
            "exec" => Way::Exec(self.exec()?),
            "journal" => Way::Journal(Journal { socket: PathBuf::from(JOURNAL_SOCKET) }),
            word => {
                return refuse(
                    "alerts.sink.type",
                    format!("{word} is none of ntfy, alertmanager, webhook, smtp, exec, journal"),
                );
            }
        })
    }

    fn ntfy(&mut self, role: Role) -> Result<Ntfy, Error> {
        let endpoint = self.endpoint("https://ntfy.lan")?;
        let topic = self.need(|w| w.topic.take(), "topic", "pki")?;
        // The pattern of ntfy's own server.
        if topic.is_empty()
            || topic.len() > 64
            || !topic.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        {
            return refuse(
                "alerts.sink.topic",
                format!("{topic} is no topic; 1 to 64 letters, digits, - and _ would do"),
            );
        }
        if PAGES.contains(&topic.as_str()) {
            return refuse(
                "alerts.sink.topic",
                format!("{topic} is a page of every ntfy server, not a topic; pki would do"),
            );
        }
        let click = self.take(|w| w.click.take(), "click");
        if let Some(url) = &click {
            let is_url = (url.starts_with("https://") || url.starts_with("http://"))
                && url.bytes().all(|b| b.is_ascii_graphic());
            if !is_url {
                return refuse("alerts.sink.click", format!("{url} is not a URL"));
            }
        }
        let tags = self.take(|w| w.tags.take(), "tags").unwrap_or_default();
        if let Some(tag) = tags
            .iter()
            .find(|t| t.is_empty() || t.len() > 40 || t.contains(|c: char| c == ',' || c.is_control()))
        {
            return refuse(
                "alerts.sink.tags",
                format!("'{tag}' is no tag; up to 40 signs without commas would do"),
            );
        }
        let heartbeat = self.take(|w| w.heartbeat.take(), "heartbeat").unwrap_or(role == Role::Always);
        let (login, trust) = (self.login()?, self.trust(endpoint.is_tls())?);
        Ok(Ntfy { endpoint, topic, login, trust, click, tags, heartbeat })
    }

    fn smtp(&mut self) -> Result<Smtp, Error> {
        let security = match self.take(|w| w.security.take(), "security").as_deref() {
            None | Some("starttls") => Security::StartTls,
            Some("tls") => Security::Tls,
            Some("plain") => Security::Plain,
            Some(word) => {
                return refuse("alerts.sink.security", format!("{word} is none of starttls, tls, plain"));
            }
        };
        let host = self.need(|w| w.host.take(), "host", "mail.lan")?;
        let host = Host::parse(&host).map_err(|why| Error::new("alerts.sink.host", why))?;
        let port = self.take(|w| w.port.take(), "port").unwrap_or(match security {
            Security::StartTls => 587,
            Security::Tls => 465,
            Security::Plain => 25,
        });
        let from = self.need(|w| w.from.take(), "from", "ca@mgmt.lan")?;
        let to = self.need(|w| w.to.take(), "to", "[\"ops@mgmt.lan\"]")?;
        for (key, text) in std::iter::once(("from", &from)).chain(to.iter().map(|to| ("to", to))) {
            if !is_address(text) {
                return refuse(
                    &format!("alerts.sink.{key}"),
                    format!("{text} is no plain address, such as ops@mgmt.lan"),
                );
            }
        }
        if to.is_empty() || to.len() > 20 {
            return refuse("alerts.sink.to", "one to 20 addresses would do");
        }
        let login = match self.login()? {
            Login::Nobody => None,
            Login::Password(..) if security == Security::Plain => {
                return refuse(
                    "alerts.sink.security",
                    "a password is not sent without TLS; starttls would do",
                );
            }
            Login::Password(user, file) => Some((user, file)),
            Login::Token(_) => return refuse("alerts.sink.token_file", "mail has user and password_file"),
        };
        let trust = self.trust(security != Security::Plain)?;
        Ok(Smtp { host, port, security, login, trust, from, to })
    }

    fn exec(&mut self) -> Result<Exec, Error> {
        let program = self.need(|w| w.program.take(), "program", "/usr/local/bin/tell")?;
        let timeout = self.take(|w| w.timeout.take(), "timeout");
        let timeout: Duration = duration("alerts.sink.timeout", timeout.as_deref(), "30s", "1s", "5m")?;
        Ok(Exec {
            program: self.dir.join(program),
            args: self.take(|w| w.args.take(), "args").unwrap_or_default(),
            timeout,
        })
    }

    fn endpoint(&mut self, would_do: &str) -> Result<Endpoint, Error> {
        let url = self.need(|w| w.url.take(), "url", would_do)?;
        // Not shown: whoever writes a password into it should not find it in a log.
        Endpoint::parse(&url)
            .map_err(|why| Error::new("alerts.sink.url", format!("{why}; {would_do} would do")))
    }

    fn login(&mut self) -> Result<Login, Error> {
        let token = self.take(|w| w.token_file.take(), "token_file");
        let user = self.take(|w| w.user.take(), "user");
        let password = self.take(|w| w.password_file.take(), "password_file");
        let file = |path: PathBuf| SecretFile(self.dir.join(path));
        match (token, user, password) {
            (None, None, None) => Ok(Login::Nobody),
            (Some(token), None, None) => Ok(Login::Token(file(token))),
            (None, Some(user), Some(password)) => {
                if user.contains(|c: char| c == ':' || c.is_control()) {
                    return refuse("alerts.sink.user", "it holds a colon or a control character");
                }
                Ok(Login::Password(user, file(password)))
            }
            (Some(_), _, _) => refuse("alerts.sink.token_file", "either it, or user and password_file"),
            _ => refuse("alerts.sink.user", "user and password_file are needed together"),
        }
    }

    fn trust(&mut self, is_tls: bool) -> Result<Trust, Error> {
        let roots = match self.take(|w| w.ca.take(), "ca").as_deref() {
            None | Some("own-root") => Roots::Own,
            Some("system") => Roots::System,
            Some("") => {
                return refuse("alerts.sink.ca", "it is empty; own-root, system or a PEM file would do");
            }
            Some(path) => Roots::File(self.dir.join(path)),
        };
        let Some(pins) = self.take(|w| w.pin_sha256.take(), "pin_sha256") else {
            return Ok(Trust { roots, pins: Vec::new() });
        };
        if !is_tls {
            return refuse("alerts.sink.pin_sha256", "without TLS the server shows no key");
        }
        if pins.is_empty() || pins.len() > 8 {
            return refuse("alerts.sink.pin_sha256", "one to eight would do");
        }
        let pins = pins.iter().map(|pin| Pin::parse(pin)).collect::<Result<_, _>>();
        Ok(Trust { roots, pins: pins.map_err(|why| Error::new("alerts.sink.pin_sha256", why))? })
    }

    fn labels(&mut self) -> Result<BTreeMap<String, String>, Error> {
        let labels = self.take(|w| w.labels.take(), "labels").unwrap_or_default();
        for (label, value) in &labels {
            let is_label = label.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if !is_label
                || OURS.contains(&label.as_str())
                || value.is_empty()
                || value.chars().any(char::is_control)
            {
                return refuse(
                    "alerts.sink.labels",
                    format!("{label} is no label that is free, or has no value; team = \"home\" would do"),
                );
            }
        }
        Ok(labels)
    }

    /// Refuses a key that this type of sink does nothing with.
    fn nothing_left(&self, way: &Way) -> Result<(), Error> {
        let w = &self.written;
        let left = [
            ("url", w.url.is_some()),
            ("topic", w.topic.is_some()),
            ("token_file", w.token_file.is_some()),
            ("user", w.user.is_some()),
            ("password_file", w.password_file.is_some()),
            ("ca", w.ca.is_some()),
            ("pin_sha256", w.pin_sha256.is_some()),
            ("click", w.click.is_some()),
            ("tags", w.tags.is_some()),
            ("heartbeat", w.heartbeat.is_some()),
            ("labels", w.labels.is_some()),
            ("host", w.host.is_some()),
            ("port", w.port.is_some()),
            ("security", w.security.is_some()),
            ("from", w.from.is_some()),
            ("to", w.to.is_some()),
            ("program", w.program.is_some()),
            ("args", w.args.is_some()),
            ("timeout", w.timeout.is_some()),
        ];
        match left.iter().find(|(_, is_left)| *is_left) {
            None => Ok(()),
            Some((key, _)) => {
                let used: Vec<&str> = self.used.iter().copied().collect();
                refuse(
                    &format!("alerts.sink.{key}"),
                    format!("a sink of type {} has no such key; it has {}", way.as_str(), used.join(", ")),
                )
            }
        }
    }
}

/// What ntfy takes for no topic, unless it is configured otherwise.
const PAGES: &[&str] =
    &["docs", "static", "file", "app", "metrics", "account", "settings", "signup", "login", "v1"];
/// The labels that we give alerts.
const OURS: &[&str] = &["alertname", "severity", "source", "key", "name", "owner"];
