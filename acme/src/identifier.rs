//! What a certificate can be for: DNS names (RFC 8555 9.7.7, RFC 5890) and IP addresses (RFC 8738). Parsing is the
//! only way in, so an [`Identifier`] is always in canonical form. What a client sent is kept beside it, because
//! clients compare what they get back with what they sent.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::problem::{Kind, Problem, plain};

/// One identifier in canonical form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub enum Identifier {
    /// A DNS name, possibly a wildcard.
    Dns(DnsName),
    /// An IPv4 or IPv6 address.
    Ip(IpAddr),
}

/// A DNS name of letters, digits and hyphens in lower case, internationalised labels as A-labels, without a final
/// dot; its first label may be `*`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DnsName(String);

/// An identifier as it stands in JSON, RFC 8555 7.1.3.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(expecting = "an object with type and value")]
pub struct Wire {
    /// `dns` or `ip`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The name or address.
    pub value: String,
}

impl Identifier {
    /// Reads an identifier of a request.
    ///
    /// # Errors
    /// `unsupportedIdentifier` for a type that is not `dns` or `ip`, `malformed` for a value that is not of its type.
    pub fn parse(wire: &Wire) -> Result<Self, Problem> {
        match wire.kind.as_str() {
            "dns" => Self::dns(&wire.value),
            "ip" => Self::ip(&wire.value),
            other => Err(Problem::new(
                Kind::UnsupportedIdentifier,
                format!("identifier type {} is not supported; dns and ip are", plain(other, 40)),
            )),
        }
    }

    /// Reads a DNS name.
    ///
    /// # Errors
    /// `malformed`, with the value and the rule that it breaks.
    pub fn dns(value: &str) -> Result<Self, Problem> {
        DnsName::parse(value).map(Self::Dns)
    }

    /// Reads an IP address in the one textual form of RFC 8738 3: dotted decimal, or RFC 5952.
    ///
    /// # Errors
    /// `malformed`, with the form that would be accepted.
    pub fn ip(value: &str) -> Result<Self, Problem> {
        let Ok(address) = value.parse::<IpAddr>() else {
            return Err(Problem::malformed(format!("{} is not an IP address", plain(value, 80))));
        };
        if let IpAddr::V6(v6) = address
            && let Some(v4) = v6.to_ipv4_mapped()
        {
            return Err(Problem::malformed(format!("{value} hides an IPv4 address; ask for {v4}")));
        }
        if address.to_string() != value {
            return Err(Problem::malformed(format!("write the address {value} as {address} (RFC 5952)")));
        }
        Ok(Self::Ip(address))
    }

    /// Reads a name or an address as people and certificates write it, without its type.
    ///
    /// # Errors
    /// As [`Identifier::ip`] for what is an address, and as [`Identifier::dns`] for everything else.
    pub fn written(text: &str) -> Result<Self, Problem> {
        if text.parse::<IpAddr>().is_ok() { Self::ip(text) } else { Self::dns(text) }
    }

    /// Reads a name or an address as people say it: also with a final dot or in letters of any script, an address in any of
    /// its forms or in brackets. What clients send is read by [`Identifier::parse`], which takes none of this.
    ///
    /// # Errors
    /// As [`Identifier::dns`], for what is no address.
    pub fn said(text: &str) -> Result<Self, Problem> {
        let text = text.trim();
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(Self::Ip(address.to_canonical()));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        match idna::domain_to_ascii(name) {
            // A name in ASCII is judged as it stands.
            Ok(ascii) if !name.is_ascii() && name.len() <= SAID => Self::dns(&ascii),
            _ => Self::dns(name),
        }
    }

    /// `dns` or `ip`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Dns(_) => "dns",
            Self::Ip(_) => "ip",
        }
    }

    /// Whether this is a wildcard name.
    pub fn is_wildcard(&self) -> bool {
        matches!(self, Self::Dns(name) if name.is_wildcard())
    }

    /// The identifier that an authorization is for: a wildcard without its `*.` (RFC 8555 7.1.4).
    #[must_use]
    pub fn to_authorize(&self) -> Self {
        match self {
            Self::Dns(name) => Self::Dns(DnsName(name.base().to_owned())),
            Self::Ip(_) => self.clone(),
        }
    }

    /// The identifier as JSON.
    pub fn to_wire(&self) -> Wire {
        Wire { kind: self.kind().to_owned(), value: self.to_string() }
    }
}

/// Longer names of other scripts are none, whatever they become.
const SAID: usize = 1_000;

impl DnsName {
    /// Reads a name in any case.
    ///
    /// # Errors
    /// `malformed`, with the value and the rule that it breaks.
    pub fn parse(value: &str) -> Result<Self, Problem> {
        let refuse = |why: &str| Problem::malformed(format!("{} is not a DNS name: {why}", plain(value, 80)));
        if value.len() > 253 {
            return Err(refuse("it is longer than 253 octets"));
        }
        if !value.is_ascii() {
            return Err(match idna::domain_to_ascii(value) {
                Ok(ascii) => refuse(&format!("send the A-label form, {}", plain(&ascii, 253))),
                Err(_) => refuse("it is neither ASCII nor a valid internationalised name"),
            });
        }
        let name = value.to_ascii_lowercase();
        if name.ends_with('.') {
            return Err(refuse("leave out the final dot"));
        }
        let base = name.strip_prefix("*.").unwrap_or(&name);
        if base.parse::<IpAddr>().is_ok() {
            return Err(refuse("it is an IP address; use the identifier type ip"));
        }
        for label in base.split('.') {
            check_label(label).map_err(refuse)?;
        }
        if base.rsplit('.').next().is_some_and(is_number) {
            return Err(refuse("its last label is a number"));
        }
        Ok(Self(name))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the first label is `*`.
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with("*.")
    }

    /// The name without `*.`.
    pub fn base(&self) -> &str {
        self.0.strip_prefix("*.").unwrap_or(&self.0)
    }

    /// Whether the name is `suffix` or lies below it, at any depth.
    pub fn is_within(&self, suffix: &str) -> bool {
        is_within(self.base(), suffix)
    }
}

/// Whether `name` is `suffix` or lies below it, at any depth. Both in lower case.
pub fn is_within(name: &str, suffix: &str) -> bool {
    name.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// The key under which certificates for the same set of names find each other: canonical, sorted, each once.
pub fn name_set(identifiers: &[Identifier]) -> String {
    let mut names: Vec<String> = identifiers.iter().map(ToString::to_string).collect();
    names.sort_unstable();
    names.dedup();
    names.join(",")
}

/// Whether readers of URLs take a last label for a part of an IPv4 address, and with it the whole name (WHATWG URL 3.5);
/// TLS clients refuse to send such a name.
fn is_number(label: &str) -> bool {
    match label.strip_prefix("0x") {
        Some(digits) => digits.bytes().all(|b| b.is_ascii_hexdigit()),
        None => label.bytes().all(|b| b.is_ascii_digit()),
    }
}

fn check_label(label: &str) -> Result<(), &'static str> {
    if label.is_empty() {
        return Err("a label is empty");
    }
    if label.len() > 63 {
        return Err("a label is longer than 63 octets");
    }
    if label == "*" {
        return Err("a wildcard is the whole first label and stands once");
    }
    if !label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Err("labels are made of letters, digits and hyphens");
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err("a label begins or ends with a hyphen");
    }
    if label.get(2..4) == Some("--") {
        // RFC 5891 4.2.3.1 reserves these; only a real A-label may use the form.
        let is_a_label = label.starts_with("xn--") && idna::domain_to_unicode(label).1.is_ok();
        if !is_a_label {
            return Err("a label has hyphens in places three and four and is no valid A-label");
        }
    }
    Ok(())
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => name.fmt(f),
            Self::Ip(address) => address.fmt(f),
        }
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<Wire> for Identifier {
    type Error = Problem;

    fn try_from(wire: Wire) -> Result<Self, Problem> {
        Self::parse(&wire)
    }
}

impl From<Identifier> for Wire {
    fn from(identifier: Identifier) -> Self {
        identifier.to_wire()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(value: &str) -> String {
        Identifier::dns(value).expect_err(value).detail
    }

    #[test]
    fn people_may_say_names_in_ways_that_clients_may_not() {
        for (said, meant) in [
            ("A.lan", "a.lan"),
            (" a.lan. ", "a.lan"),
            ("m\u{fc}nchen.lan", "xn--mnchen-3ya.lan"),
            ("*.m\u{fc}nchen.lan", "*.xn--mnchen-3ya.lan"),
            ("[fd00::0:1]", "fd00::1"),
            ("fd00::1", "fd00::1"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
        ] {
            assert_eq!(Identifier::said(said).map(|it| it.to_string()).as_deref(), Ok(meant), "{said}");
            assert_eq!(Identifier::said(meant).map(|it| it.to_string()).as_deref(), Ok(meant), "{meant}");
        }
        for wrong in [
            "",
            ".",
            "a..lan",
            "a.lan..",
            "a_b.lan",
            "[a",
            "[a]",
            "a.lan:443",
            "\u{fc}".repeat(2_000).as_str(),
        ] {
            assert!(Identifier::said(wrong).is_err(), "{wrong}");
        }
        for wrong in ["a.lan.", "m\u{fc}nchen.lan", "[fd00::1]"] {
            assert!(Identifier::written(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_are_compared_without_case_and_kept_as_a_labels() {
        assert_eq!(Identifier::dns("WWW.Example.LAN").unwrap(), Identifier::dns("www.example.lan").unwrap());
        assert_eq!(Identifier::dns("xn--mnchen-3ya.lan").unwrap().to_string(), "xn--mnchen-3ya.lan");
        assert!(refused("münchen.lan").contains("xn--mnchen-3ya.lan"));
    }

    #[test]
    fn a_last_label_that_only_begins_like_a_number_is_a_name() {
        assert!(
            Identifier::dns("a.0xg").is_ok()
                && Identifier::dns("0xfe.lan").is_ok()
                && Identifier::dns("a.1x").is_ok()
        );
    }

    #[test]
    fn a_name_of_one_label_is_a_name_in_a_private_network() {
        assert!(Identifier::dns("nas").is_ok());
    }

    #[test]
    fn each_rule_of_a_name_is_named_when_it_is_broken() {
        let cases = [
            ("", "empty"),
            ("a..lan", "empty"),
            ("a.lan.", "final dot"),
            ("-a.lan", "hyphen"),
            ("a-.lan", "hyphen"),
            ("a_b.lan", "letters, digits"),
            ("a b.lan", "letters, digits"),
            ("*", "wildcard"),
            ("a.*.lan", "wildcard"),
            ("*.*.lan", "wildcard"),
            ("ab--cd.lan", "A-label"),
            ("xn--.lan", "hyphen"),
            ("192.168.1.1", "IP address"),
            ("::1", "IP address"),
            ("a.123", "number"),
            ("0177.0x", "number"),
            ("a.0Xfe", "number"),
        ];
        for (value, rule) in cases {
            assert!(refused(value).contains(rule), "{value}: {}", refused(value));
        }
        assert!(refused(&format!("{}.lan", "a".repeat(64))).contains("63"));
        assert!(refused(&format!("{}lan", "abcd.".repeat(51))).contains("253"));
    }

    #[test]
    fn an_address_has_one_form() {
        assert!(Identifier::ip("192.168.1.10").is_ok());
        assert!(Identifier::ip("fd00::1").is_ok());
        let cases =
            ["192.168.001.10", "fd00:0::1", "FD00::1", "[fd00::1]", "::ffff:192.168.1.1", "fe80::1%eth0", ""];
        for value in cases {
            assert!(Identifier::ip(value).is_err(), "{value}");
        }
        assert!(Identifier::ip("FD00::1").expect_err("capitals").detail.contains("fd00::1"));
    }

    #[test]
    fn a_wildcard_is_authorized_by_its_base() {
        let wildcard = Identifier::dns("*.a.lan").unwrap();
        assert!(wildcard.is_wildcard());
        assert_eq!(wildcard.to_authorize().to_string(), "a.lan");
    }

    #[test]
    fn below_is_by_label() {
        let name = DnsName::parse("a.mgmt.lan").unwrap();
        assert!(name.is_within("mgmt.lan") && name.is_within("a.mgmt.lan") && name.is_within("lan"));
        assert!(!name.is_within("gmt.lan") && !name.is_within("b.mgmt.lan"));
    }

    #[test]
    fn a_set_of_names_has_one_key() {
        let a = Identifier::dns("a.lan").unwrap();
        let b = Identifier::ip("10.0.0.1").unwrap();
        assert_eq!(name_set(&[a.clone(), b.clone(), a.clone()]), name_set(&[b, a]));
    }
}
