//! Where an HTTP sink is: `https://HOST[:PORT][/PATH]`, the same with `http`, or `unix:/PATH` for a socket of this machine.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use acme::identifier::DnsName;

/// The base of a sink's URLs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// How it is reached.
    pub(super) place: Place,
    /// What the paths of requests are put behind, without a slash at its end.
    pub(super) path: String,
}

/// How a server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// By TCP, with or without TLS.
    Net { is_tls: bool, host: Host, port: u16 },
    /// By a socket of this machine.
    Unix(PathBuf),
}

/// Who a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A name, which the resolver looks up.
    Name(DnsName),
    /// An address.
    Address(IpAddr),
}

impl Host {
    /// Reads a name or an address; IPv6 without brackets.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        match DnsName::parse(text) {
            Ok(name) if name.is_wildcard() => Err(format!("{name} is a wildcard, which is no host")),
            Ok(name) => Ok(Self::Name(name)),
            Err(problem) => Err(problem.detail),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "{name}"),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Address(address) => write!(f, "{address}"),
        }
    }
}

impl Endpoint {
    /// Reads a URL.
    ///
    /// # Errors
    /// What is wrong with it, and what would do. A user in it is refused, because URLs stand in logs.
    pub fn parse(text: &str) -> Result<Self, String> {
        if !text.bytes().all(|b| b.is_ascii_graphic()) || text.len() > 1_000 {
            return Err("it holds spaces, or signs that are not ASCII, or is too long".to_owned());
        }
        if let Some(path) = text.strip_prefix("unix:") {
            if !path.starts_with('/') {
                return Err(format!("{text} has no absolute path; unix:/run/ntfy/ntfy.sock would do"));
            }
            return Ok(Self { place: Place::Unix(PathBuf::from(path)), path: String::new() });
        }
        let (is_tls, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => {
                return Err("it begins neither with https:// nor with http:// nor with unix:/".to_owned());
            }
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if rest.contains(['?', '#', '@', '\\']) {
            return Err(
                "it is a base alone: no user, no query, no fragment; credentials are files".to_owned()
            );
        }
        let (host, port) = split_port(authority)?;
        let port = match port {
            None => {
                if is_tls {
                    443
                } else {
                    80
                }
            }
            Some(port) => port,
        };
        let path = path.trim_end_matches('/').to_owned();
        Ok(Self { place: Place::Net { is_tls, host: Host::parse(host)?, port }, path })
    }

    /// Whether it is reached by TLS.
    pub fn is_tls(&self) -> bool {
        matches!(self.place, Place::Net { is_tls: true, .. })
    }

    /// Host and port, where it is reached by TLS.
    pub(super) fn tls_server(&self) -> Option<(String, u16)> {
        match &self.place {
            Place::Net { is_tls: true, host: Host::Name(name), port } => Some((name.to_string(), *port)),
            Place::Net { is_tls: true, host: Host::Address(address), port } => {
                Some((address.to_string(), *port))
            }
            Place::Net { .. } | Place::Unix(_) => None,
        }
    }

    /// What the `Host` header says.
    pub(super) fn authority(&self) -> String {
        match &self.place {
            Place::Net { is_tls, host, port } if *port == if *is_tls { 443 } else { 80 } => host.to_string(),
            Place::Net { host, port, .. } => format!("{host}:{port}"),
            Place::Unix(_) => "localhost".to_owned(),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Net { is_tls, .. } => {
                write!(f, "http{}://{}{}", if *is_tls { "s" } else { "" }, self.authority(), self.path)
            }
            Place::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// `HOST`, `HOST:PORT`, `[ADDRESS]`, `[ADDRESS]:PORT`.
fn split_port(authority: &str) -> Result<(&str, Option<u16>), String> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or("a bracket is not closed")?;
            (host, after)
        }
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    match port.strip_prefix(':') {
        None if port.is_empty() => Ok((host, None)),
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => match digits.parse() {
            Ok(port) if port > 0 => Ok((host, Some(port))),
            _ => Err(format!("{digits} is no port")),
        },
        _ => Err(format!("{authority} is not HOST or HOST:PORT")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_shown_as_they_are() {
        for (text, shown) in [
            ("https://ntfy.lan", "https://ntfy.lan"),
            ("https://NTFY.lan:443/", "https://ntfy.lan"),
            ("http://127.0.0.1:2586", "http://127.0.0.1:2586"),
            ("https://[fd00::1]:8443/alerts/", "https://[fd00::1]:8443/alerts"),
            ("unix:/run/ntfy.sock", "unix:/run/ntfy.sock"),
        ] {
            assert_eq!(Endpoint::parse(text).unwrap().to_string(), shown);
        }
        let server = |text: &str| Endpoint::parse(text).unwrap().tls_server();
        assert_eq!(server("https://[fd00::1]:8443/x"), Some(("fd00::1".to_owned(), 8443)));
        assert_eq!((server("http://ntfy.lan"), server("unix:/run/x")), (None, None));
    }

    #[test]
    fn what_is_no_base_is_refused() {
        for text in [
            "",
            "ntfy.lan",
            "ftp://ntfy.lan",
            "https://",
            "https://user:pass@ntfy.lan",
            "https://ntfy.lan?auth=x",
            "https://ntfy.lan/#a",
            "https://ntfy.lan:0",
            "https://ntfy.lan:99999",
            "https://[::1",
            "https://a b",
            "https://*.lan",
            "unix:run",
            "https://[::1]x",
            "https://ntfy.lan\r\nX: y",
        ] {
            assert!(Endpoint::parse(text).is_err(), "{text}");
        }
    }
}
