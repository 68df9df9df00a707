//! Static host pins: addresses that the operator gives for a name, which are answered first and never asked for. With
//! them the machine that serves DNS can have certificates too. Knows no server.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use acme::failure::Lookup;
use acme::identifier::{DnsName, is_within};

use super::Error;

/// The pins of one configuration.
#[derive(Debug, Default)]
pub(super) struct Pins {
    /// By name, and by suffix for those that were written with `*.`.
    exact: HashMap<String, Entry>,
    below: HashMap<String, Entry>,
}

#[derive(Debug)]
struct Entry {
    pattern: String,
    addresses: Vec<IpAddr>,
}

/// The pin that answers for a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin<'a> {
    /// The key in `resolver.pins`, such as `ca.mgmt.lan` or `*.mgmt.lan`.
    pub pattern: &'a str,
    /// Its addresses, IPv6 first.
    pub addresses: &'a [IpAddr],
}

impl Pin<'_> {
    /// What the evidence says when it answers for `name`.
    pub(super) fn lookup(&self, name: &str) -> Lookup {
        Lookup {
            name: name.to_owned(),
            record: "any".to_owned(),
            server: "pin".to_owned(),
            answer: "NOERROR".to_owned(),
            addresses: self.addresses.to_vec(),
            ..Lookup::default()
        }
    }

    /// Whether `name` lies in the zone that this pin speaks for: the suffix of a `*.` pin with all below it; for an exact
    /// pin the name's parent with all below, because whoever pins `ca.mgmt.lan` trusts that the rest of mgmt.lan is his.
    pub fn covers_zone_of(&self, name: &DnsName) -> bool {
        let zone = match self.pattern.split_once('.') {
            Some((_, parent)) => parent,
            None => self.pattern,
        };
        is_within(name.base(), zone)
    }
}

impl Pins {
    pub(super) fn new(configured: &BTreeMap<String, Vec<IpAddr>>) -> Result<Self, Error> {
        let mut pins = Self::default();
        for (pattern, addresses) in configured {
            let refuse = |why: String| Error::Pin { pattern: pattern.clone(), why };
            let name = DnsName::parse(pattern).map_err(|problem| refuse(problem.detail))?;
            if addresses.is_empty() {
                return Err(refuse("it has no address; give one, or leave the pin out".to_owned()));
            }
            let entry = Entry { pattern: name.as_str().to_owned(), addresses: six_first(addresses) };
            let table = if name.is_wildcard() { &mut pins.below } else { &mut pins.exact };
            if table.insert(name.base().to_owned(), entry).is_some() {
                return Err(refuse("it is there twice, in upper and lower case".to_owned()));
            }
        }
        Ok(pins)
    }

    /// The exact pin of a name in lower case, else the one with the longest suffix.
    pub(super) fn find(&self, name: &str) -> Option<Pin<'_>> {
        let entry = self.exact.get(name).or_else(|| {
            let mut rest = name;
            while let Some((_, parent)) = rest.split_once('.') {
                if let Some(entry) = self.below.get(parent) {
                    return Some(entry);
                }
                rest = parent;
            }
            None
        })?;
        Some(Pin { pattern: &entry.pattern, addresses: &entry.addresses })
    }
}

/// IPv6 before IPv4, each once, otherwise in the order given.
pub(super) fn six_first(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let mut ordered = Vec::with_capacity(addresses.len());
    for address in
        addresses.iter().filter(|ip| ip.is_ipv6()).chain(addresses.iter().filter(|ip| ip.is_ipv4()))
    {
        if !ordered.contains(address) {
            ordered.push(*address);
        }
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pins(entries: &[(&str, &str)]) -> Result<Pins, Error> {
        let addresses = |text: &str| text.split_whitespace().map(|ip| ip.parse().unwrap()).collect();
        Pins::new(&entries.iter().map(|(name, ips)| ((*name).to_owned(), addresses(ips))).collect())
    }

    fn name(text: &str) -> DnsName {
        DnsName::parse(text).unwrap()
    }

    #[test]
    fn the_exact_pin_wins_then_the_longest_suffix_and_a_suffix_is_not_itself() {
        let pins =
            pins(&[("CA.mgmt.lan", "10.0.0.1"), ("*.mgmt.lan", "10.0.0.2"), ("*.web.mgmt.lan", "10.0.0.3")])
                .unwrap();
        let found = |text: &str| pins.find(text).map(|pin| pin.pattern);
        assert_eq!(found("ca.mgmt.lan"), Some("ca.mgmt.lan"));
        assert_eq!(found("vault.mgmt.lan"), Some("*.mgmt.lan"));
        assert_eq!(found("a.b.c.mgmt.lan"), Some("*.mgmt.lan"));
        assert_eq!(found("a.web.mgmt.lan"), Some("*.web.mgmt.lan"));
        assert_eq!(found("web.mgmt.lan"), Some("*.mgmt.lan"));
        assert_eq!(found("mgmt.lan"), None);
        assert_eq!(found("xmgmt.lan"), None);
        assert_eq!(found("lan"), None);
    }

    #[test]
    fn addresses_of_a_pin_come_with_ipv6_first_and_once() {
        let pins = pins(&[("a.lan", "10.0.0.1 fd00::1 10.0.0.1 10.0.0.2")]).unwrap();
        let wanted: Vec<IpAddr> = ["fd00::1", "10.0.0.1", "10.0.0.2"].map(|ip| ip.parse().unwrap()).to_vec();
        assert_eq!(pins.find("a.lan").unwrap().addresses, wanted);
    }

    #[test]
    fn a_pin_that_could_never_answer_is_refused_by_its_key() {
        for (pattern, ips, why) in [
            ("a..lan", "10.0.0.1", "a label is empty"),
            ("a.*.lan", "10.0.0.1", "wildcard"),
            ("a.lan", "", "no address"),
        ] {
            let refusal = pins(&[(pattern, ips)]).unwrap_err().to_string();
            assert!(refusal.contains(pattern) && refusal.contains(why), "{refusal}");
        }
        assert!(
            pins(&[("a.lan", "10.0.0.1"), ("A.lan", "10.0.0.2")]).unwrap_err().to_string().contains("twice")
        );
    }

    #[test]
    fn a_pin_speaks_for_its_zone() {
        let pins =
            pins(&[("ca.mgmt.lan", "10.0.0.1"), ("*.corp.lan", "10.0.0.2"), ("nas", "10.0.0.3")]).unwrap();
        let covers = |pinned: &str, other: &str| pins.find(pinned).unwrap().covers_zone_of(&name(other));
        assert!(covers("ca.mgmt.lan", "vault.mgmt.lan") && covers("ca.mgmt.lan", "mgmt.lan"));
        assert!(!covers("ca.mgmt.lan", "vault.lan") && !covers("ca.mgmt.lan", "evil.example"));
        assert!(covers("a.corp.lan", "b.c.corp.lan") && !covers("a.corp.lan", "lan"));
        assert!(covers("nas", "nas") && !covers("nas", "other"));
    }
}
