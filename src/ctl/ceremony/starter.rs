//! The configuration that a new CA starts with, and the URL in it. Every key says what it means; the keys that are left
//! out have defaults.

use std::fmt;
use std::path::Path;

use acme::identifier::Identifier;
use hyper::Uri;

use super::files::{INTERMEDIATE, INTERMEDIATE_KEY, ROOT};
use crate::ca::constraints::Permit;

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
        let host = Identifier::ip(bare).or_else(|_| Identifier::dns(bare)).map_err(|p| refuse(&p.detail))?;
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

    /// What a CA with this URL is for when nobody says: the host's domain, or its address.
    pub fn own_domain(&self) -> Permit {
        match &self.host {
            Identifier::Ip(address) => Permit::Net((*address).into()),
            Identifier::Dns(name) => {
                let parent = name
                    .as_str()
                    .split_once('.')
                    .and_then(|(_, parent)| acme::identifier::DnsName::parse(parent).ok());
                Permit::Dns(parent.unwrap_or_else(|| name.clone()))
            }
        }
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

/// The text of `acme-ca.toml`.
pub(super) fn configuration(url: &ServerUrl, passphrase_file: Option<&Path>) -> String {
    let passphrase = match passphrase_file {
        Some(path) => format!(
            "# The file whose first line opens the key. systemd credentials are files too.\npassphrase_file = {}\n",
            toml::Value::String(path.display().to_string())
        ),
        None => "# The file whose first line opens the key, when the key is encrypted.\n\
                 # passphrase_file = \"intermediate.pass\"\n"
            .to_owned(),
    };
    let port = url.port;
    let host = url.host();
    format!(
        r#"# The configuration of acme-ca. Paths are relative to this file. `acme-ca check-config --config FILE` reads it
# and says what is wrong.

[server]
# The base of every URL that is handed out; its host is on the CA's own certificate. Clients remember it: the directory
# is {url}/acme/directory, for ever.
url = "{url}"
# Where the server listens. Ports below 1024 need a capability, or systemd socket activation.
listen = ["[::]:{port}"]

[ca]
# The root's certificate, which clients trust. The server has no use for the root's key; keep that offline.
root = "{ROOT}"

# What signs: the first one that is valid. Older ones stay in the list for as long as their certificates live.
[[ca.issuer]]
# The intermediate's certificate.
certificate = "{INTERMEDIATE}"
# Its private key.
key = "{INTERMEDIATE_KEY}"
{passphrase}
[store]
# What is kept: a SQLite file, or "postgres://user@host/database?password_file=FILE".
url = "sqlite:ca.db"

[resolver]
# The name servers that are asked when a name is validated, in order: an address, or "tls://ADDRESS#NAME" for DNS over
# TLS. Left out: the host's resolv.conf. Name servers that do not know the internal zone fail every validation.
# servers = ["192.168.1.10", "tls://9.9.9.9#dns.quad9.net"]

# Names that are never asked for: the answer stands here, so that the machine that serves DNS can get a certificate too.
# "*.mgmt.lan" is every name below mgmt.lan, at any depth; an exact name goes before.
# [resolver.pins]
# "{host}" = ["192.168.1.10"]
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permit(url: &str) -> Permit {
        ServerUrl::parse(url).unwrap().own_domain()
    }

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

    #[test]
    fn a_ca_is_for_its_own_domain() {
        let of = |text: &str| Permit::parse(text).unwrap();
        assert_eq!(permit("https://ca.mgmt.lan"), of("mgmt.lan"));
        assert_eq!(permit("https://ca.home.mgmt.lan:8443"), of("home.mgmt.lan"));
        assert_eq!(permit("https://ca.lan"), of("lan"));
        assert_eq!(permit("https://localhost:8443"), of("localhost"));
        assert_eq!(permit("https://192.168.1.10"), of("192.168.1.10"));
        assert_eq!(permit("https://[fd00::1]"), of("fd00::1"));
    }

    #[test]
    fn the_configuration_is_toml_and_says_what_it_was_made_from() {
        let url = ServerUrl::parse("https://ca.mgmt.lan:8443").unwrap();
        let odd = Path::new("pass \"word\" file");
        let text = configuration(&url, Some(odd));
        let config: toml::Table = text.parse().unwrap();
        assert_eq!(config["server"]["url"].as_str(), Some("https://ca.mgmt.lan:8443"));
        assert_eq!(config["server"]["listen"][0].as_str(), Some("[::]:8443"));
        assert_eq!(config["ca"]["root"].as_str(), Some("root.pem"));
        assert_eq!(config["ca"]["issuer"][0]["passphrase_file"].as_str(), odd.to_str());
        assert_eq!(config["store"]["url"].as_str(), Some("sqlite:ca.db"));
        let plain: toml::Table = configuration(&url, None).parse().unwrap();
        assert!(plain["ca"]["issuer"][0].get("passphrase_file").is_none());
    }

    #[test]
    fn the_examples_in_the_configuration_are_toml_too() {
        let url = ServerUrl::parse("https://ca.mgmt.lan").unwrap();
        let text = configuration(&url, None);
        let uncommented: String = text
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(code) if code.contains(" = [") || code.starts_with('[') || code.contains(" = \"") => {
                    code
                }
                _ => line,
            })
            .flat_map(|line| [line, "\n"])
            .collect();
        let config: toml::Table = uncommented.parse().unwrap();
        assert_eq!(config["resolver"]["pins"]["ca.mgmt.lan"][0].as_str(), Some("192.168.1.10"));
        assert!(config["resolver"]["servers"].is_array());
        assert!(config["ca"]["issuer"][0]["passphrase_file"].is_str());
    }
}
