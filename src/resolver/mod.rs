//! Finding the addresses of a name: static pins, then the name servers that were configured for it, in order; and its TXT
//! and CAA records, for which pins say nothing. Aliases are followed by the same rules. Every server that was
//! asked leaves a [`Lookup`] in the evidence, because the question after a failed validation is always *whom did you ask,
//! and what did they say*.
//!
//! There is no cache (a negative answer that has gone stale costs an operator an hour), no hosts file, no search list
//! and no random choice: the same configuration asks the same servers in the same order. What is found is not
//! judged; which addresses may be dialled is [`Targets`]' to say, for whoever dials them.

mod alias;
mod extended;
mod pin;
mod question;
mod reading;
mod records;
mod search;
mod server;
mod sockets;
mod target;
mod upstream;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use acme::failure::{Lookup, Reason};
use acme::identifier::{DnsName, is_within};
use hickory_resolver::PoolContext;
use hickory_resolver::proto::rr::{Name, RecordType};
use rustls::RootCertStore;

use alias::{End, Wanted};
use question::Verdict;
use upstream::Upstream;

pub use pin::Pin;
pub use reading::read;
pub use records::Records;
pub use server::{Server, Transport, system_servers};
pub use target::Targets;

/// What the resolver is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The servers for every name that has no pin and no zone, in order. Empty: such names are not found.
    /// Whoever wants the host's own servers puts [`system_servers`] here.
    pub servers: Vec<Server>,
    /// How long one server may take for one question.
    pub timeout: Duration,
    /// Addresses by name; `*.mgmt.lan` is every name below mgmt.lan, at any depth, without itself.
    pub pins: BTreeMap<String, Vec<IpAddr>>,
    /// Names with servers of their own; the longest suffix wins.
    pub zones: Vec<Zone>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            timeout: Duration::from_secs(3),
            pins: BTreeMap::new(),
            zones: Vec::new(),
        }
    }
}

/// Split horizon: a suffix with its own servers.
#[derive(Clone, Debug)]
pub struct Zone {
    /// The name itself and all names below it.
    pub suffix: String,
    /// Its servers, in order.
    pub servers: Vec<Server>,
}

/// What is wrong with the settings.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A pin that could never answer.
    #[error("resolver.pins.\"{pattern}\": {why}")]
    Pin {
        /// The key.
        pattern: String,
        /// What is wrong with it.
        why: String,
    },
    /// A zone that could never answer.
    #[error("resolver.zone \"{suffix}\": {why}")]
    Zone {
        /// The suffix.
        suffix: String,
        /// What is wrong with it.
        why: String,
    },
    /// The host's own servers are not to be had.
    #[error("/etc/resolv.conf {why}; name the servers in resolver.servers")]
    ResolvConf {
        /// What is wrong with it.
        why: String,
    },
    /// TLS could not be prepared.
    #[error("TLS for name servers: {0}")]
    Tls(#[from] rustls::Error),
}

/// Finds addresses. Cheap to make: it opens nothing before the first question.
pub struct Resolver {
    pins: pin::Pins,
    /// Longest suffix first.
    zones: Vec<(String, Group)>,
    default: Group,
}

struct Group {
    servers: Vec<Server>,
    upstreams: Vec<Upstream>,
}

/// What came of a look-up, with the evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// Every server that was asked for every record, in order; one entry for a pin.
    pub lookups: Vec<Lookup>,
    /// At least one address, IPv6 first; or why there is none, in a sentence that names the servers and their answers.
    pub outcome: Result<Vec<IpAddr>, (Reason, String)>,
    /// Whether the name itself has a pin, which answered. A pin that it is an alias of does not count: it was a name server
    /// that led there.
    pub pinned: bool,
}

impl Resolver {
    /// A resolver. `roots` are the authorities that may certify a DNS-over-TLS server, beside the public ones.
    ///
    /// # Errors
    /// When a pin or a zone could never answer.
    pub fn new(settings: Settings, roots: RootCertStore) -> Result<Self, Error> {
        let pins = pin::Pins::new(&settings.pins)?;
        let context = upstream::context(settings.timeout, roots)?;
        let mut zones = Vec::new();
        for zone in settings.zones {
            let refuse = |why: String| Error::Zone { suffix: zone.suffix.clone(), why };
            let suffix = DnsName::parse(&zone.suffix).map_err(|problem| refuse(problem.detail))?;
            if suffix.is_wildcard() {
                return Err(refuse(format!("write {}; a zone is its name and all below it", suffix.base())));
            }
            if zone.servers.is_empty() {
                return Err(refuse("it has no servers".to_owned()));
            }
            if zones.iter().any(|(other, _)| other == suffix.as_str()) {
                return Err(refuse("it is there twice".to_owned()));
            }
            zones.push((suffix.as_str().to_owned(), Group::new(zone.servers, &context)));
        }
        zones.sort_by_key(|(suffix, _)| std::cmp::Reverse(suffix.len()));
        let default = Group::new(settings.servers, &context);
        Ok(Self { pins, zones, default })
    }

    /// The addresses of a name, or of what it is an alias of; of a wildcard, those of its base. Takes at most the time-out
    /// for each server, and that again for each alias for which other servers must be asked.
    pub async fn addresses(&self, name: &DnsName) -> Resolution {
        match self.pin(name) {
            Some(pin) => Resolution {
                lookups: vec![pin.lookup(name.base())],
                outcome: Ok(pin.addresses.to_vec()),
                pinned: true,
            },
            None => self.ask(name, true).await,
        }
    }

    /// What the name servers answer for a name that has a pin, no pin answering for it or its aliases; nothing without a
    /// pin, or without a server to ask.
    pub async fn behind_pin(&self, name: &DnsName) -> Option<Resolution> {
        let is_asked = self.pin(name).is_some() && !self.servers_for(name).is_empty();
        if is_asked { Some(self.ask(name, false).await) } else { None }
    }

    /// The pin that answers for a name, if one does.
    pub fn pin(&self, name: &DnsName) -> Option<Pin<'_>> {
        self.pins.find(name.base())
    }

    /// The servers that are asked for a name without a pin, in order.
    pub fn servers_for(&self, name: &DnsName) -> &[Server] {
        &self.group_for(name).servers
    }

    fn group_for(&self, name: &DnsName) -> &Group {
        self.group_of(name.base())
    }

    /// The same for any name in lower case.
    fn group_of(&self, name: &str) -> &Group {
        let zone = self.zones.iter().find(|(suffix, _)| is_within(name, suffix));
        zone.map_or(&self.default, |(_, group)| group)
    }

    /// Both families at once, along the aliases.
    async fn ask(&self, name: &DnsName, by_pins: bool) -> Resolution {
        let absolute = Name::from_ascii(name.base()).expect("a DnsName is a name in DNS");
        let wanted = Wanted { kinds: &[RecordType::AAAA, RecordType::A], by_pins };
        let End { lookups, outcome } = self.follow(absolute, wanted).await;
        let addresses =
            |found: Vec<Verdict>| found.into_iter().flat_map(|verdict| verdict.addresses).collect::<Vec<_>>();
        let outcome = outcome.map(|found| pin::six_first(&addresses(found)));
        Resolution { lookups, outcome, pinned: false }
    }
}

impl Group {
    fn new(servers: Vec<Server>, context: &Arc<PoolContext>) -> Self {
        let upstreams = servers.iter().map(|server| Upstream::new(server, context)).collect();
        Self { servers, upstreams }
    }
}
