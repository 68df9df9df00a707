//! The base of every URL that the server hands out.

use std::fmt;

use acme::identifier::Identifier;
use hyper::Uri;

/// The server's base URL: `https`, a host, perhaps a port, nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrl {
    host: Identifier,
    port: u16,
}

impl ServerUrl {
    /// Reads `https://HOST[:PORT]`.
    ///
    /// # Errors
    /// A sentence with the rule that the URL breaks.
    pub fn parse(text: &str) -> Result<Self, String> {
        let refuse = |why: &str| format!("'{text}' is no URL for a CA: {why}; write https://ca.mgmt.lan");
        let uri: Uri = text.parse().map_err(|_| refuse("it cannot be read"))?;
        if uri.scheme_str() != Some("https") {
            return Err(refuse("ACME is spoken over https"));
        }
        if uri.path() != "/" || uri.query().is_some() {
            return Err(refuse("it ends after the host; the directory is at /acme/directory below it"));
        }
        let authority = uri.authority().ok_or_else(|| refuse("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(refuse("it has a user in it"));
        }
        let bare = authority.host().trim_start_matches('[').trim_end_matches(']');
        let host = Identifier::written(bare).map_err(|p| refuse(&p.detail))?;
        if host.is_wildcard() {
            return Err(refuse("its host is a wildcard"));
        }
        let behind_host = &authority.as_str()[authority.host().len()..];
        let port = match behind_host.strip_prefix(':') {
            None => 443,
            Some(port) => {
                port.parse().ok().filter(|p| *p != 0).ok_or_else(|| refuse("its port is no port"))?
            }
        };
        Ok(Self { host, port })
    }

    /// The host: a name or an address.
    pub fn host(&self) -> &Identifier {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Identifier::Ip(std::net::IpAddr::V6(address)) => write!(f, "https://[{address}]")?,
            host => write!(f, "https://{host}")?,
        }
        if self.port == 443 { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_host_and_perhaps_a_port() {
        for (text, canonical) in [
            ("https://ca.mgmt.lan", "https://ca.mgmt.lan"),
            ("https://CA.mgmt.lan:443/", "https://ca.mgmt.lan"),
            ("https://localhost:8443", "https://localhost:8443"),
            ("https://[fd00::1]:8443", "https://[fd00::1]:8443"),
            ("https://192.168.1.10", "https://192.168.1.10"),
        ] {
            assert_eq!(ServerUrl::parse(text).unwrap().to_string(), canonical);
        }
    }

    #[test]
    fn what_is_no_base_url_is_refused_with_its_rule() {
        for (text, rule) in [
            ("http://ca.mgmt.lan", "https"),
            ("ca.mgmt.lan", "https"),
            ("https://ca.mgmt.lan/acme/directory", "/acme/directory below it"),
            ("https://ca.mgmt.lan/?x=1", "ends after the host"),
            ("https://root@ca.mgmt.lan", "user"),
            ("https://ca_1.mgmt.lan", "letters, digits"),
            ("https://*.mgmt.lan", ""),
            ("https://ca.mgmt.lan:0", "port"),
            ("https://ca.mgmt.lan:99999", ""),
            ("https://", ""),
        ] {
            let why = ServerUrl::parse(text).unwrap_err();
            assert!(why.contains(rule) && why.contains("write https://ca.mgmt.lan"), "{text}: {why}");
        }
    }
}
