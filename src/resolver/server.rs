//! A name server as an operator writes it, and the servers of `/etc/resolv.conf`. A server is always an address, never
//! a name: to find the server that finds names must not need a name. Knows nothing of asking.

use std::fmt;
use std::fs;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

use rustls::pki_types::ServerName;

use super::Error;

/// One name server. Its `Display` is the text that was configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    text: String,
    address: SocketAddr,
    transport: Transport,
}

/// How a server is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// UDP, and TCP for an answer that does not fit (RFC 1035 4.2, RFC 7766).
    Udp,
    /// TCP alone.
    Tcp,
    /// DNS over TLS, RFC 7858. The certificate must be for this name; without a name, for the server's address.
    Tls(ServerName<'static>),
}

impl Server {
    /// Reads `192.168.1.10`, `192.168.1.10:5353`, `fd00::1`, `[fd00::1]:53`, each also after `udp://` or `tcp://`, and
    /// `tls://9.9.9.9#dns.quad9.net`. Ports are 53, and 853 for TLS.
    ///
    /// # Errors
    /// A sentence with the text, the rule that it breaks, and forms that would do.
    pub fn parse(text: &str) -> Result<Self, String> {
        let refuse = |why: &str| format!("'{text}' is not a name server: {why}; write {FORMS}");
        let (scheme, rest) = text.split_once("://").unwrap_or(("udp", text));
        let (place, name) = match rest.split_once('#') {
            Some((place, name)) => (place, Some(name)),
            None => (rest, None),
        };
        let port = if scheme == "tls" { 853 } else { 53 };
        let address = read_address(place, port)
            .ok_or_else(|| refuse("a server is an IP address, with or without a port"))?;
        if address.port() == 0 || address.ip().is_unspecified() {
            return Err(refuse("nothing can be asked at that address and port"));
        }
        let transport = match (scheme, name) {
            ("udp", None) => Transport::Udp,
            ("tcp", None) => Transport::Tcp,
            ("tls", None) => Transport::Tls(ServerName::IpAddress(address.ip().into())),
            ("tls", Some(name)) => Transport::Tls(
                ServerName::try_from(name.to_owned())
                    .map_err(|_| refuse("no name for a certificate follows the #"))?,
            ),
            ("udp" | "tcp", Some(_)) => return Err(refuse("a name after # belongs to tls://")),
            _ => return Err(refuse("the scheme is none of udp, tcp, tls")),
        };
        Ok(Self { text: text.to_owned(), address, transport })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How it is spoken to.
    pub fn transport(&self) -> &Transport {
        &self.transport
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The servers of `/etc/resolv.conf`, for a configuration that names none. Its search list and options are ignored:
/// names are asked as they are, and time-outs are ours.
///
/// # Errors
/// When the file cannot be read, or names no server that could be asked.
pub fn system_servers() -> Result<Vec<Server>, Error> {
    let text = fs::read_to_string(RESOLV_CONF)
        .map_err(|error| Error::ResolvConf { why: format!("cannot be read: {error}") })?;
    let servers = from_resolv_conf(&text, interface_index);
    if servers.is_empty() {
        return Err(Error::ResolvConf { why: "names no server".to_owned() });
    }
    Ok(servers)
}

/// `nameserver` lines in order. `fe80::1%eth0` (routers announce themselves so) needs the number of the interface.
fn from_resolv_conf(text: &str, interface: impl Fn(&str) -> Option<u32>) -> Vec<Server> {
    let mut servers = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (Some("nameserver"), Some(written)) = (words.next(), words.next()) else { continue };
        let numbered = match written.split_once('%') {
            Some((ip, zone)) if zone.parse::<u32>().is_err() => {
                interface(zone).map(|index| format!("{ip}%{index}"))
            }
            _ => Some(written.to_owned()),
        };
        if let Some(mut server) = numbered.and_then(|text| Server::parse(&text).ok()) {
            written.clone_into(&mut server.text);
            servers.push(server);
        }
    }
    servers
}

fn interface_index(name: &str) -> Option<u32> {
    if name.contains('/') || name.starts_with('.') {
        return None;
    }
    fs::read_to_string(format!("/sys/class/net/{name}/ifindex")).ok()?.trim().parse().ok()
}

fn read_address(text: &str, port: u16) -> Option<SocketAddr> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(address);
    }
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    if let Some((ip, zone)) = bare.split_once('%') {
        let ip = ip.parse::<Ipv6Addr>().ok()?;
        return Some(SocketAddr::V6(SocketAddrV6::new(ip, port, 0, zone.parse().ok()?)));
    }
    let ip = bare.parse::<IpAddr>().ok()?;
    // [192.168.1.10] is nobody's way of writing an IPv4 address.
    (ip.is_ipv6() || bare.len() == text.len()).then(|| SocketAddr::new(ip, port))
}

const RESOLV_CONF: &str = "/etc/resolv.conf";
const FORMS: &str =
    "192.168.1.10, 192.168.1.10:5353, [fd00::1]:53, tcp://192.168.1.10 or tls://9.9.9.9#dns.quad9.net";

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> String {
        Server::parse(text).unwrap().address().to_string()
    }

    #[test]
    fn a_server_is_read_in_each_of_its_forms_and_shown_as_it_was_written() {
        for (text, at) in [
            ("192.168.1.10", "192.168.1.10:53"),
            ("192.168.1.10:5353", "192.168.1.10:5353"),
            ("udp://192.168.1.10", "192.168.1.10:53"),
            ("tcp://192.168.1.10", "192.168.1.10:53"),
            ("fd00::1", "[fd00::1]:53"),
            ("[fd00::1]", "[fd00::1]:53"),
            ("[fd00::1]:5353", "[fd00::1]:5353"),
            ("fe80::1%2", "[fe80::1%2]:53"),
            ("tls://9.9.9.9#dns.quad9.net", "9.9.9.9:853"),
            ("tls://9.9.9.9:8853#dns.quad9.net", "9.9.9.9:8853"),
            ("tls://[2620:fe::fe]:853", "[2620:fe::fe]:853"),
        ] {
            assert_eq!(address(text), at);
            assert_eq!(Server::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(
            Server::parse("tls://9.9.9.9#dns.quad9.net").unwrap().transport,
            Transport::Tls(ServerName::try_from("dns.quad9.net").unwrap())
        );
        assert!(matches!(
            Server::parse("tls://9.9.9.9").unwrap().transport,
            Transport::Tls(ServerName::IpAddress(_))
        ));
    }

    #[test]
    fn what_is_no_server_is_refused_with_a_form_that_would_do() {
        for (text, rule) in [
            ("", "IP address"),
            ("dns.lan", "IP address"),
            ("192.168.1", "IP address"),
            ("192.168.1.10:99999", "IP address"),
            ("[192.168.1.10]", "IP address"),
            ("192.168.1.10:0", "nothing can be asked"),
            ("0.0.0.0", "nothing can be asked"),
            ("https://9.9.9.9", "udp, tcp, tls"),
            ("9.9.9.9#dns.quad9.net", "tls://"),
            ("tls://9.9.9.9#", "certificate"),
            ("tls://9.9.9.9#a b", "certificate"),
        ] {
            let refusal = Server::parse(text).unwrap_err();
            assert!(refusal.contains(rule) && refusal.contains("192.168.1.10:5353"), "{text}: {refusal}");
        }
    }

    #[test]
    fn resolv_conf_gives_its_servers_and_nothing_else() {
        let text = "# comment\nsearch lan\nnameserver 192.168.1.1\noptions ndots:5\nnameserver\tfe80::1%eth0\n\
                    nameserver fe80::2%gone\nnameserver nonsense\n;nameserver 10.0.0.1\nnameserver ::1 # here\n";
        let servers = from_resolv_conf(text, |name| (name == "eth0").then_some(7));
        let read: Vec<_> = servers.iter().map(|s| (s.to_string(), s.address().to_string())).collect();
        let wanted =
            [("192.168.1.1", "192.168.1.1:53"), ("fe80::1%eth0", "[fe80::1%7]:53"), ("::1", "[::1]:53")];
        assert_eq!(read, wanted.map(|(text, at)| (text.to_owned(), at.to_owned())));
    }
}
