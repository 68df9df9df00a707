//! What is looked at: a host and a port, and what is expected there.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use acme::identifier::{DnsName, Identifier, is_within};
use ipnet::IpNet;

/// A place where a certificate is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The name or address that clients ask for; no wildcard, which has no address.
    pub host: Identifier,
    /// The port.
    pub port: u16,
    /// What is said before TLS begins; nothing where TLS begins at once.
    pub starttls: Option<Starttls>,
    /// The name that the server is asked for and that its certificate is to cover, where that is not the host.
    pub sni: Option<DnsName>,
    /// Where to dial instead of where the host's name leads. These addresses are the operator's word: they may always be
    /// dialled.
    pub connect: Vec<IpAddr>,
    /// Whose certificate is expected.
    pub expect: Expect,
    /// Who looks after it.
    pub owner: Option<String>,
    /// How often it is looked at; as often as all others, unless it says so.
    pub interval: Option<Duration>,
}

/// Whose certificate is expected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expect {
    /// One of ours.
    #[default]
    Ours,
    /// One of a public authority.
    Public,
    /// That nobody answers, mostly. What is shown all the same is judged as one of ours.
    Nothing,
}

/// A protocol that begins in the clear and turns to TLS when it is asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Starttls {
    /// RFC 3207.
    Smtp,
    /// RFC 9051 6.2.1.
    Imap,
    /// RFC 2595 4.
    Pop3,
    /// RFC 4511 4.14.
    Ldap,
    /// `SSLRequest` of PostgreSQL's protocol.
    Postgres,
    /// `SSLRequest` of MySQL's protocol.
    Mysql,
    /// RFC 6120 5.
    Xmpp,
}

/// Hosts that are not looked at unless a target says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Skip {
    /// Exactly this one.
    Host(Identifier),
    /// Every name below this one, at any depth, without itself.
    Below(String),
    /// Every address in it.
    Network(IpNet),
}

impl Target {
    /// A target without peculiarities.
    pub fn new(host: Identifier, port: u16) -> Self {
        Self {
            host,
            port,
            starttls: None,
            sni: None,
            connect: Vec::new(),
            expect: Expect::Ours,
            owner: None,
            interval: None,
        }
    }

    /// What it is called for ever: `host:port`, `[v6]:port`, and `#sni` behind it where the server is asked for
    /// another name.
    pub fn key(&self) -> String {
        let place = match &self.host {
            Identifier::Ip(address) => SocketAddr::new(*address, self.port).to_string(),
            Identifier::Dns(name) => format!("{name}:{}", self.port),
        };
        match &self.sni {
            Some(sni) if self.covered() != self.host => format!("{place}#{sni}"),
            _ => place,
        }
    }

    /// What the certificate is to cover: what clients ask for.
    pub fn covered(&self) -> Identifier {
        self.sni.clone().map_or_else(|| self.host.clone(), Identifier::Dns)
    }
}

impl Expect {
    /// Every one.
    pub const ALL: &'static [Self] = &[Self::Ours, Self::Public, Self::Nothing];

    /// The word in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Public => "public",
            Self::Nothing => "nothing",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|expect| expect.as_str() == word)
    }
}

impl Starttls {
    /// Every one.
    pub const ALL: &'static [Self] =
        &[Self::Smtp, Self::Imap, Self::Pop3, Self::Ldap, Self::Postgres, Self::Mysql, Self::Xmpp];

    /// The word in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Smtp => "smtp",
            Self::Imap => "imap",
            Self::Pop3 => "pop3",
            Self::Ldap => "ldap",
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
            Self::Xmpp => "xmpp",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|protocol| protocol.as_str() == word)
    }

    /// The port where its servers listen that turn to TLS when they are asked to.
    pub fn port(self) -> u16 {
        match self {
            Self::Smtp => 25,
            Self::Imap => 143,
            Self::Pop3 => 110,
            Self::Ldap => 389,
            Self::Postgres => 5432,
            Self::Mysql => 3306,
            Self::Xmpp => 5222,
        }
    }
}

impl Skip {
    /// Reads `name`, `*.suffix`, an address or a network.
    ///
    /// # Errors
    /// What would do.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Ok(network) = text.parse::<IpNet>() {
            return Ok(Self::Network(network));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Host(Identifier::Ip(address)));
        }
        let name = DnsName::parse(text).map_err(|problem| {
            format!(
                "{}; a name, *.suffix for all names below it, an address or a network would do",
                problem.detail
            )
        })?;
        Ok(match name.is_wildcard() {
            true => Self::Below(name.base().to_owned()),
            false => Self::Host(Identifier::Dns(name)),
        })
    }

    /// Whether it means this host.
    pub fn covers(&self, host: &Identifier) -> bool {
        match (self, host) {
            (Self::Host(skipped), host) => skipped == host,
            (Self::Below(suffix), Identifier::Dns(name)) => {
                name.as_str() != suffix && is_within(name.base(), suffix)
            }
            (Self::Network(network), Identifier::Ip(address)) => network.contains(address),
            _ => false,
        }
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Starttls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_names_the_place_and_another_name_that_is_asked_for() {
        let dns = |name: &str| Identifier::dns(name).unwrap();
        assert_eq!(Target::new(dns("a.lan"), 443).key(), "a.lan:443");
        assert_eq!(Target::new(Identifier::ip("10.0.0.1").unwrap(), 8443).key(), "10.0.0.1:8443");
        assert_eq!(Target::new(Identifier::ip("fd00::1").unwrap(), 443).key(), "[fd00::1]:443");
        let with = |sni: &str| Target { sni: DnsName::parse(sni).ok(), ..Target::new(dns("a.lan"), 443) };
        assert_eq!(with("b.lan").key(), "a.lan:443#b.lan");
        assert_eq!(with("a.lan").key(), "a.lan:443", "the same name is nothing else");
    }

    #[test]
    fn what_is_skipped_is_skipped_by_name_suffix_and_network() {
        let skips = |pattern: &str, host: &str| {
            let host = Identifier::written(host).unwrap();
            Skip::parse(pattern).unwrap().covers(&host)
        };
        assert!(skips("a.lan", "a.lan") && !skips("a.lan", "b.a.lan"));
        assert!(
            skips("*.lab.lan", "a.b.lab.lan")
                && !skips("*.lab.lan", "lab.lan")
                && !skips("*.lab.lan", "collab.lan")
        );
        assert!(
            skips("10.0.0.0/8", "10.1.2.3")
                && !skips("10.0.0.0/8", "11.0.0.1")
                && !skips("10.0.0.0/8", "a.lan")
        );
        assert!(skips("fd00::1", "fd00::1"));
        assert!(Skip::parse("a b").unwrap_err().contains("would do"));
    }

    #[test]
    fn every_word_is_read_back() {
        assert!(Starttls::ALL.iter().all(|it| Starttls::parse(it.as_str()) == Some(*it)));
        assert!(Expect::ALL.iter().all(|it| Expect::parse(it.as_str()) == Some(*it)));
    }
}
