//! The URLs of a validation: the first one, and what a `Location` makes of it (RFC 3986 4.2, 5.2). Strict where
//! forgiving parsers disagree with each other, because that disagreement is how a vetted address and a dialled one come
//! apart: a host is a DNS name or an address in its one form, nothing is guessed, and there is no user part.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use acme::identifier::{DnsName, Identifier};
use acme::problem::plain;

/// An http or https URL without user and fragment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Url {
    pub(super) is_https: bool,
    pub(super) host: Identifier,
    pub(super) port: u16,
    /// Begins with `/`; with the query, if there is one.
    pub(super) path: String,
}

impl Url {
    /// Where a `Location` leads that was found at this URL.
    ///
    /// # Errors
    /// Why it leads nowhere that we go, in a sentence with its value.
    pub(super) fn join(&self, location: &str) -> Result<Self, String> {
        let refuse = |why: &str| format!("it redirects to {}: {why}", plain(location, 200));
        if location.is_empty() {
            return Err("it redirects to nowhere: the Location is empty".to_owned());
        }
        if location.len() > MAX_URL {
            return Err(refuse("the URL is longer than 2000 octets"));
        }
        if !location.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(refuse("a URL holds no spaces and nothing but ASCII"));
        }
        if location.contains('\\') {
            return Err(refuse("a URL holds no backslash"));
        }
        let location = location.split('#').next().unwrap_or_default();
        if let Some((scheme, rest)) = split_scheme(location) {
            let is_https = match scheme.to_ascii_lowercase().as_str() {
                "http" => false,
                "https" => true,
                _ => return Err(refuse("only http and https are followed")),
            };
            let Some(rest) = rest.strip_prefix("//") else { return Err(refuse("the host is missing")) };
            return Self::with_authority(is_https, rest).map_err(|why| refuse(&why));
        }
        if let Some(rest) = location.strip_prefix("//") {
            return Self::with_authority(self.is_https, rest).map_err(|why| refuse(&why));
        }
        let old = self.path.split('?').next().unwrap_or("/");
        let path = match location.as_bytes().first() {
            None => self.path.clone(),
            Some(b'/') => remove_dots(location),
            Some(b'?') => format!("{old}{location}"),
            Some(_) => {
                let folder = old.rsplit_once('/').map_or("", |(folder, _)| folder);
                remove_dots(&format!("{folder}/{location}"))
            }
        };
        let joined = Self { path, ..self.clone() };
        if joined.to_string().len() > MAX_URL {
            return Err(refuse("the URL is longer than 2000 octets"));
        }
        Ok(joined)
    }

    /// `host[:port][/path][?query]`.
    fn with_authority(is_https: bool, rest: &str) -> Result<Self, String> {
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return Err("a URL with a user in it is not followed".to_owned());
        }
        let (host, port) = split_port(authority)?;
        let host = read_host(host)?;
        let port = match port {
            None | Some("") => default_port(is_https),
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().map_err(|_| "its port is no port".to_owned())?
            }
            Some(_) => return Err("its port is no number".to_owned()),
        };
        let path = if path.starts_with('/') { remove_dots(path) } else { format!("/{path}") };
        Ok(Self { is_https, host, port, path })
    }

    /// The host as the `Host` header and a URL hold it: with the port unless it is the scheme's own, IPv6 in brackets.
    pub(super) fn authority(&self) -> String {
        let host = match &self.host {
            Identifier::Ip(IpAddr::V6(six)) => format!("[{six}]"),
            other => other.to_string(),
        };
        if self.port == default_port(self.is_https) { host } else { format!("{host}:{}", self.port) }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http{}://{}{}", if self.is_https { "s" } else { "" }, self.authority(), self.path)
    }
}

fn default_port(is_https: bool) -> u16 {
    if is_https { 443 } else { 80 }
}

/// RFC 3986 3.1; a colon after the first `/` or `?` belongs to the path.
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    is_scheme.then_some((scheme, rest))
}

fn split_port(authority: &str) -> Result<(&str, Option<&str>), String> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or("a bracket is not closed")?;
        if !host.contains(':') {
            return Err("brackets hold an IPv6 address and nothing else".to_owned());
        }
        return match after.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if after.is_empty() => Ok((host, None)),
            None => Err("something follows the bracket".to_owned()),
        };
    }
    Ok(match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    })
}

/// A name, or an address: IPv4 as four decimal numbers without leading zeros, IPv6 as RFC 4291 2.2 has it.
fn read_host(host: &str) -> Result<Identifier, String> {
    if host.is_empty() {
        return Err("the host is missing".to_owned());
    }
    if host.contains(':') {
        return host
            .parse::<Ipv6Addr>()
            .map(|six| Identifier::Ip(six.into()))
            .map_err(|_| "its host is no address".into());
    }
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(Identifier::Ip(address));
    }
    if host.ends_with(".well-known") {
        return Err("the redirect lacks a slash after its host".to_owned());
    }
    let name = DnsName::parse(host).map_err(|problem| problem.detail)?;
    if name.is_wildcard() {
        return Err("a wildcard is no host".to_owned());
    }
    Ok(Identifier::Dns(name))
}

/// RFC 3986 5.2.4, on the path alone.
fn remove_dots(path_and_query: &str) -> String {
    let (path, query) = match path_and_query.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path_and_query, None),
    };
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if is_last {
                    kept.push("");
                }
            }
            other => kept.push(other),
        }
    }
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("/{}{query}", kept.join("/"))
}

/// How long a URL may be, in octets.
const MAX_URL: usize = 2000;

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Url {
        Url {
            is_https: false,
            host: Identifier::dns("a.lan").unwrap(),
            port: 80,
            path: "/.well-known/acme-challenge/token".to_owned(),
        }
    }

    #[test]
    fn a_location_is_joined_as_rfc_3986_says() {
        for (location, url) in [
            ("https://b.lan/x", "https://b.lan/x"),
            ("HTTP://B.lan", "http://b.lan/"),
            ("http://b.lan:8080?q", "http://b.lan:8080/?q"),
            ("http://b.lan:/x", "http://b.lan/x"),
            ("https://b.lan:80/", "https://b.lan:80/"),
            ("//b.lan/x", "http://b.lan/x"),
            ("/x/../y?a=../b", "http://a.lan/y?a=../b"),
            ("/a:b", "http://a.lan/a:b"),
            ("other", "http://a.lan/.well-known/acme-challenge/other"),
            ("../up/.", "http://a.lan/.well-known/up/"),
            ("../../../../x", "http://a.lan/x"),
            ("?q=1", "http://a.lan/.well-known/acme-challenge/token?q=1"),
            ("#part", "http://a.lan/.well-known/acme-challenge/token"),
            ("http://10.0.0.1/x#y", "http://10.0.0.1/x"),
            ("http://[fd00:0::1]:8080/", "http://[fd00::1]:8080/"),
        ] {
            assert_eq!(base().join(location).unwrap().to_string(), url, "{location}");
        }
    }

    #[test]
    fn what_parsers_disagree_about_is_refused() {
        for (location, why) in [
            ("", "empty"),
            ("ftp://b.lan/", "http and https"),
            ("file:///etc/passwd", "http and https"),
            ("javascript:alert(1)", "http and https"),
            ("http:b.lan", "host is missing"),
            ("http:///x", "host is missing"),
            ("http://user@b.lan/", "user"),
            ("http://a.lan:80@b.lan/", "user"),
            ("http://b.lan\\@c.lan/", "backslash"),
            ("http://b.lan/ x", "spaces"),
            ("http://b.lan:0x50/", "no number"),
            ("http://b.lan:99999/", "no port"),
            ("http://127.1/", "number"),
            ("http://0177.0.0.1/", "number"),
            ("http://2130706433/", "number"),
            ("http://[::1/", "bracket"),
            ("http://[::1]x/", "bracket"),
            ("http://[10.0.0.1]/", "bracket"),
            ("http://[fe80::1%25eth0]/", "no address"),
            ("http://*.b.lan/", "wildcard"),
            ("http://b_c.lan/", "letters, digits"),
            ("http://münchen.lan/", "ASCII"),
            ("http://b.lan.well-known/acme-challenge/x", "slash"),
        ] {
            let refusal = base().join(location).expect_err(location);
            assert!(refusal.contains(why), "{location}: {refusal}");
        }
        assert!(base().join(&format!("/{}", "a".repeat(2000))).unwrap_err().contains("2000"));
        assert!(base().join(&"a".repeat(1990)).unwrap_err().contains("2000"));
    }
}
