//! What the configuration says about being told: who is told what, by which way, with which credentials.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use acme::severity::Severity;

use super::endpoint::{Endpoint, Host};
use super::message::{Kind, Message};
use super::pin::Pin;
use super::schedule::Schedule;
use super::secret::SecretFile;

/// Everything about being told.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// What this CA is called in messages: the host of its URL.
    pub host: String,
    /// Who decides when people are told.
    pub owner: Owner,
    /// Quiet hours and the digest's time; whoever makes messages heeds them.
    pub schedule: Schedule,
    /// Who is told, in order. Empty: nobody is, and alerts are in the log and in `ca-ctl` alone.
    pub sinks: Vec<Sink>,
}

/// Who decides when people are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Owner {
    /// This program: every sink is told.
    #[default]
    Native,
    /// Alertmanager, with its own routes and silences: the other sinks are told what it cannot be told.
    Alertmanager,
}

/// Somebody who is told.
#[derive(Clone, Debug)]
pub struct Sink {
    /// Its name in logs, in the store and for `ca-ctl`; no other sink has it.
    pub name: String,
    /// What matters less is not sent there.
    pub min: Severity,
    /// When it is told.
    pub role: Role,
    /// How.
    pub way: Way,
}

/// When a sink is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Of everything.
    Always,
    /// Of what the sinks before it could not be told for a quarter of an hour, and of the end of that.
    Fallback,
}

/// How a sink is told.
#[derive(Clone, Debug)]
pub enum Way {
    /// By ntfy.
    Ntfy(Ntfy),
    /// By Alertmanager's API v2.
    Alertmanager(Alertmanager),
    /// By JSON to a URL.
    Webhook(Webhook),
    /// By mail.
    Smtp(Smtp),
    /// By running a program.
    Exec(Exec),
    /// By a line in the systemd journal.
    Journal(Journal),
}

/// A topic of an ntfy server.
#[derive(Clone, Debug)]
pub struct Ntfy {
    /// The server.
    pub endpoint: Endpoint,
    /// The topic.
    pub topic: String,
    /// Who we are there.
    pub login: Login,
    /// How it is known.
    pub trust: Trust,
    /// What a tap opens; `{name}` stands for the first name that the message is about.
    pub click: Option<String>,
    /// Tags beside those that say how much it matters.
    pub tags: Vec<String>,
    /// Whether the server is to tell people when we are silent, where it can.
    pub heartbeat: bool,
}

/// An Alertmanager.
#[derive(Clone, Debug)]
pub struct Alertmanager {
    /// The server; with a path where it has a prefix.
    pub endpoint: Endpoint,
    /// Who we are there.
    pub login: Login,
    /// How it is known.
    pub trust: Trust,
    /// Labels of every alert beside our own.
    pub labels: BTreeMap<String, String>,
}

/// A URL that takes our JSON.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Where it is posted.
    pub endpoint: Endpoint,
    /// Who we are there.
    pub login: Login,
    /// How it is known.
    pub trust: Trust,
}

/// A mail server that takes mail from us, RFC 5321.
#[derive(Clone, Debug)]
pub struct Smtp {
    /// The server.
    pub host: Host,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub security: Security,
    /// Name and password, when it wants some.
    pub login: Option<(String, SecretFile)>,
    /// How it is known.
    pub trust: Trust,
    /// Whose mail it is.
    pub from: String,
    /// Who gets it.
    pub to: Vec<String>,
}

/// How a connection to a mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// Not at all.
    Plain,
    /// By STARTTLS, RFC 3207; without it nothing is sent.
    StartTls,
    /// By TLS from the beginning, RFC 8314.
    Tls,
}

/// A program of this machine.
#[derive(Clone, Debug)]
pub struct Exec {
    /// Its file.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// How long it may take.
    pub timeout: Duration,
}

/// The systemd journal.
#[derive(Clone, Debug)]
pub struct Journal {
    /// The socket of its native protocol.
    pub socket: PathBuf,
}

/// Who we are at a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// Nobody in particular.
    Nobody,
    /// `Authorization: Bearer`, RFC 6750.
    Token(SecretFile),
    /// `Authorization: Basic`, RFC 7617.
    Password(String, SecretFile),
}

/// How a server is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    /// Which CAs may certify it. Its name is compared always.
    pub roots: Roots,
    /// Keys that it may hold instead.
    pub pins: Vec<Pin>,
}

/// Which CAs may certify a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Roots {
    /// Our own root, and no other.
    Own,
    /// Those that the machine trusts.
    System,
    /// Those of a file, PEM.
    File(PathBuf),
}

impl Way {
    /// The stable word of its kind.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Ntfy(_) => "ntfy",
            Self::Alertmanager(_) => "alertmanager",
            Self::Webhook(_) => "webhook",
            Self::Smtp(_) => "smtp",
            Self::Exec(_) => "exec",
            Self::Journal(_) => "journal",
        }
    }

    /// Where it leads, for people.
    pub fn place(&self) -> String {
        match self {
            Self::Ntfy(ntfy) => format!("{}/{}", ntfy.endpoint, ntfy.topic),
            Self::Alertmanager(alertmanager) => alertmanager.endpoint.to_string(),
            Self::Webhook(webhook) => webhook.endpoint.to_string(),
            Self::Smtp(smtp) => format!("{}:{}", smtp.host, smtp.port),
            Self::Exec(exec) => exec.program.display().to_string(),
            Self::Journal(journal) => journal.socket.display().to_string(),
        }
    }
}

impl Settings {
    /// When a sink is told: with alerts that Alertmanager owns, every other sink is there for what it cannot be told.
    pub fn role(&self, sink: &Sink) -> Role {
        match (self.owner, &sink.way) {
            (Owner::Alertmanager, Way::Alertmanager(_)) | (Owner::Native, _) => sink.role,
            (Owner::Alertmanager, _) => Role::Fallback,
        }
    }

    /// The servers that alerts need a certificate of, host and port: whoever watches certificates watches these.
    pub fn tls_servers(&self) -> Vec<(String, u16)> {
        let server = |sink: &Sink| match &sink.way {
            Way::Ntfy(ntfy) => ntfy.endpoint.tls_server(),
            Way::Alertmanager(to) => to.endpoint.tls_server(),
            Way::Webhook(to) => to.endpoint.tls_server(),
            Way::Smtp(_) | Way::Exec(_) | Way::Journal(_) => None,
        };
        self.sinks.iter().filter_map(server).collect()
    }

    /// A sink by its name.
    pub fn sink(&self, name: &str) -> Option<&Sink> {
        self.sinks.iter().find(|sink| sink.name == name)
    }
}

impl Sink {
    /// Whether a message is for it at all. Trouble with a sink is for the others.
    pub fn wants(&self, message: &Message) -> bool {
        let alertmanager = matches!(self.way, Way::Alertmanager(_));
        message.severity >= self.min
            && message.key != trouble_key(&self.name)
            // It holds alerts; a digest of several is none.
            && !(alertmanager && matches!(message.kind, Kind::Digest | Kind::Heartbeat))
    }
}

/// The key of what is said about trouble with a sink.
pub fn trouble_key(sink: &str) -> String {
    format!("sink:{sink}")
}
