//! Finding the addresses of a name: static pins, then the name servers that were configured for it, in order; and its TXT
//! and CAA records, for which pins say nothing. Every server that was asked leaves a [`Lookup`] in the evidence, because the
//! question after a failed validation is always *whom did you ask, and what did they say*.
//!
//! There is no cache (a negative answer that has gone stale costs an operator an hour), no hosts file, no search list
//! and no random choice: the same configuration asks the same servers in the same order. What is found is not
//! judged; which addresses may be dialled is [`Targets`]' to say, for whoever dials them.

mod extended;
mod pin;
mod question;
mod reading;
mod records;
mod server;
mod sockets;
mod target;
mod upstream;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use acme::failure::{Lookup, Reason};
use acme::identifier::{DnsName, is_within};
use acme::problem::plain;
use hickory_resolver::PoolContext;
use hickory_resolver::proto::rr::{Name, RecordType};
use rustls::RootCertStore;

use question::{Question, Verdict};
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
    /// Whether a pin answered.
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

    /// The addresses of a name; of a wildcard, those of its base. Takes at most the time-out for each server.
    pub async fn addresses(&self, name: &DnsName) -> Resolution {
        match self.pin(name) {
            Some(pin) => Resolution {
                lookups: vec![Lookup {
                    name: name.base().to_owned(),
                    record: "any".to_owned(),
                    server: "pin".to_owned(),
                    answer: "NOERROR".to_owned(),
                    addresses: pin.addresses.to_vec(),
                    ..Lookup::default()
                }],
                outcome: Ok(pin.addresses.to_vec()),
                pinned: true,
            },
            None => self.ask(name).await,
        }
    }

    /// What the name servers answer for a name that has a pin; nothing without a pin, or without a server to ask.
    pub async fn behind_pin(&self, name: &DnsName) -> Option<Resolution> {
        let is_asked = self.pin(name).is_some() && !self.servers_for(name).is_empty();
        if is_asked { Some(self.ask(name).await) } else { None }
    }

    /// The pin that answers for a name, if one does.
    pub fn pin(&self, name: &DnsName) -> Option<Pin<'_>> {
        self.pins.find(name)
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

    /// Both families at once, server after server, until one brought an address or all is answered. A definite answer
    /// for one family is not asked for again; a server that failed for both does not hide the next.
    async fn ask(&self, name: &DnsName) -> Resolution {
        let absolute = Name::from_ascii(name.base()).expect("a DnsName is a name in DNS");
        let mut six = Search::new(name.base(), absolute.clone(), RecordType::AAAA);
        let mut four = Search::new(name.base(), absolute, RecordType::A);
        let group = self.group_for(name);
        let mut lookups = Vec::new();
        for (server, upstream) in group.servers.iter().zip(&group.upstreams) {
            let asked = tokio::join!(six.ask(server, upstream), four.ask(server, upstream));
            lookups.extend([asked.0, asked.1].into_iter().flatten());
            if six.has_addresses() || four.has_addresses() || (six.is_settled() && four.is_settled()) {
                break;
            }
        }
        let addresses: Vec<IpAddr> =
            [&six, &four].into_iter().flat_map(|search| search.addresses().iter().copied()).collect();
        let outcome = if addresses.is_empty() {
            Err(explain(name.base(), &[&four, &six]))
        } else {
            Ok(pin::six_first(&addresses))
        };
        Resolution { lookups, outcome, pinned: false }
    }
}

impl Group {
    fn new(servers: Vec<Server>, context: &Arc<PoolContext>) -> Self {
        let upstreams = servers.iter().map(|server| Upstream::new(server, context)).collect();
        Self { servers, upstreams }
    }
}

/// The search for one record type.
struct Search {
    name: String,
    question: Question,
    record: RecordType,
    /// Each server that was asked, with its verdict.
    verdicts: Vec<(String, Verdict)>,
}

impl Search {
    /// `name` is how the evidence calls it.
    fn new(name: &str, absolute: Name, record: RecordType) -> Self {
        let question = Question::new(absolute, record);
        Self { name: name.to_owned(), question, record, verdicts: Vec::new() }
    }

    async fn ask(&mut self, server: &Server, upstream: &Upstream) -> Option<Lookup> {
        if self.is_settled() {
            return None;
        }
        let begun = Instant::now();
        let verdict = upstream.ask(&self.question).await;
        let lookup = self.heard(server.to_string(), verdict);
        Some(Lookup { millis: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX), ..lookup })
    }

    /// Takes the word of a server, and says what is kept of it.
    fn heard(&mut self, server: String, verdict: Verdict) -> Lookup {
        let lookup = Lookup {
            name: self.name.clone(),
            record: self.record.to_string(),
            server: server.clone(),
            answer: verdict.word.clone(),
            addresses: verdict.addresses.clone(),
            aliases: verdict.aliases.iter().map(records::show_name).collect(),
            values: verdict.records.iter().take(records::SHOWN).map(records::show).collect(),
            millis: 0,
        };
        self.verdicts.push((server, verdict));
        lookup
    }

    fn last(&self) -> Option<&Verdict> {
        self.verdicts.last().map(|(_, verdict)| verdict)
    }

    fn is_settled(&self) -> bool {
        self.last().is_some_and(Verdict::is_definite)
    }

    fn has_addresses(&self) -> bool {
        !self.addresses().is_empty()
    }

    fn addresses(&self) -> &[IpAddr] {
        self.last().map_or(&[], |verdict| &verdict.addresses)
    }
}

/// Why nothing was found. A failure outranks a definite answer of the other family: it may pass.
fn explain(name: &str, searches: &[&Search]) -> (Reason, String) {
    let reasons: Vec<Reason> = searches.iter().filter_map(|search| search.last()?.reason).collect();
    let definite = |reason: &Reason| matches!(reason, Reason::Nxdomain | Reason::Nodata);
    let Some(reason) = reasons.iter().copied().find(|r| !definite(r)).or(reasons.first().copied()) else {
        return (Reason::Unreachable, format!("no name server is configured for {name}"));
    };
    let mut clauses: Vec<String> = Vec::new();
    for (server, verdict) in searches.iter().flat_map(|search| &search.verdicts) {
        let clause = format!("{server} {}", verdict.clause);
        if !clauses.contains(&clause) {
            clauses.push(clause);
        }
    }
    (reason, plain(&format!("looking up {name}: {}", clauses.join("; ")), SENTENCE))
}

/// How long the sentence of a failed look-up may be.
const SENTENCE: usize = 600;
