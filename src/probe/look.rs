//! The look: from a target to what each of its addresses shows. Every step has its time, every answer its size.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use acme::failure::Reason;
use acme::identifier::Identifier;
use acme::problem::plain;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::handshake::shake_hands;
use super::starttls;
use super::target::Target;
use crate::possession::Possession;
use crate::resolver::{Resolver, Targets};

/// Looks at targets from this host. Cheap to clone.
#[derive(Clone)]
pub struct Prober {
    resolver: Arc<Resolver>,
    vetting: Targets,
    timeout: Duration,
}

/// What a target shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// What was looked at.
    pub target: Target,
    /// What each address shows; or why there is none, with the servers that were asked.
    pub seen: Result<Vec<Seen>, (Reason, String)>,
    /// Whether a pin, the target itself or its being an address said where to dial.
    pub is_fixed: bool,
}

/// What an address shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The address.
    pub address: SocketAddr,
    /// What became of the look.
    pub outcome: Outcome,
}

/// What became of a look at an address. Texts are made harmless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A certificate was shown, whatever became of the handshake.
    Shown(Shown),
    /// The handshake ended with this alert before there was one.
    Alert(String),
    /// Something answered, but not in TLS; how it began, unless it hung up without a word.
    NotTls(Option<String>),
    /// The protocol before TLS does not offer it, in the server's words.
    StarttlsRefused(String),
    /// Only TLS of another age, in words.
    OldTls(String),
    /// Nothing listens there.
    Refused,
    /// Nobody answers, in words.
    Silent(String),
    /// We could not look, in words.
    Failed(String),
}

/// What a server shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The certificates, in DER, as they were sent: the leaf first.
    pub chain: Vec<Vec<u8>>,
    /// `TLS 1.3`, when the handshake came to its end.
    pub version: Option<String>,
    /// Whether the server holds the leaf's key.
    pub possession: Possession,
    /// Whether it wants a certificate of its client.
    pub wants_client_certificate: bool,
}

impl Prober {
    /// A prober that looks names up as validations do. `vetting` holds for addresses that a name server gave; those of
    /// pins and of targets are the operator's word.
    pub fn new(resolver: Arc<Resolver>, vetting: Targets, timeout: Duration) -> Self {
        Self { resolver, vetting, timeout }
    }

    /// Looks at every address of a target, one after the other.
    pub async fn look(&self, target: &Target) -> Look {
        let (addresses, is_fixed) = match self.addresses(target).await {
            Ok(found) => found,
            Err(why) => return Look { target: target.clone(), seen: Err(why), is_fixed: false },
        };
        let mut seen = Vec::new();
        for ip in addresses.into_iter().take(ADDRESSES) {
            let address = SocketAddr::new(ip, target.port);
            let allowed = if is_fixed { Ok(()) } else { self.vetting.check(ip) };
            let outcome = match allowed {
                Ok(()) => self.look_at(address, target).await,
                Err(why) => Outcome::Failed(format!(
                    "{ip} {why}, so it was not dialled; allow it in validation.allow_networks, or pin the name"
                )),
            };
            seen.push(Seen { address, outcome });
        }
        Look { target: target.clone(), seen: Ok(seen), is_fixed }
    }

    /// Where to dial, and whether that is the operator's word.
    async fn addresses(&self, target: &Target) -> Result<(Vec<IpAddr>, bool), (Reason, String)> {
        if !target.connect.is_empty() {
            return Ok((target.connect.clone(), true));
        }
        match &target.host {
            Identifier::Ip(address) => Ok((vec![*address], false)),
            Identifier::Dns(name) => {
                // The resolver has times of its own; this is for the sum of many servers.
                let limit = self.timeout.saturating_mul(4);
                let Ok(resolution) = timeout(limit, self.resolver.addresses(name)).await else {
                    return Err((Reason::Timeout, format!("looking up {name}: nobody answered in time")));
                };
                resolution.outcome.map(|addresses| (addresses, resolution.pinned))
            }
        }
    }

    async fn look_at(&self, address: SocketAddr, target: &Target) -> Outcome {
        let mut stream = match timeout(self.timeout, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return unreachable(&error),
            Err(_) => {
                return Outcome::Silent(
                    "did not take the connection; a firewall may be dropping it".to_owned(),
                );
            }
        };
        // Dialogues are short words, each waited for. Without it they only take longer.
        let _ = stream.set_nodelay(true);
        if let Some(protocol) = target.starttls {
            match timeout(self.timeout, starttls::ask(protocol, &mut stream, target)).await {
                Ok(Ok(())) => {}
                Ok(Err(starttls::Stop::Refused(words))) => return Outcome::StarttlsRefused(words),
                Ok(Err(starttls::Stop::Stranger(began))) => return Outcome::NotTls(began),
                Err(_) => {
                    return Outcome::Silent(format!(
                        "took the connection, but did not speak {protocol} in time"
                    ));
                }
            }
        }
        match timeout(self.timeout, shake_hands(stream, &target.covered())).await {
            Ok(outcome) => outcome,
            Err(_) => {
                Outcome::Silent("took the connection, but did not answer the TLS greeting in time".to_owned())
            }
        }
    }
}

fn unreachable(error: &io::Error) -> Outcome {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::ConnectionRefused => Outcome::Refused,
        Kind::ConnectionReset | Kind::ConnectionAborted => Outcome::Silent("reset the connection".to_owned()),
        Kind::TimedOut => Outcome::Silent("did not take the connection in time".to_owned()),
        Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::NetworkDown => {
            Outcome::Silent(format!("cannot be reached: {}", plain(&error.to_string(), 80)))
        }
        _ => Outcome::Failed(format!("could not be dialled: {}", plain(&error.to_string(), 80))),
    }
}

/// How many addresses of a target are dialled.
const ADDRESSES: usize = 16;
