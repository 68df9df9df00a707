//! Name constraints, RFC 5280 4.2.1.10: which names a CA may certify. What a person permits becomes the extension,
//! and what an extension says is held against a name, before a client finds the certificate useless.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use acme::identifier::{DnsName, Identifier, is_within};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use x509_parser::extensions::{GeneralName, GeneralSubtree, NameConstraints};

/// What a person lets a CA certify, one `--permit`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Permit {
    /// Everything: no name constraints.
    Everything,
    /// A DNS name and all below it.
    Dns(DnsName),
    /// The addresses of a network.
    Net(IpNet),
}

/// A part of the name space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subtree {
    /// A DNS name and all below it; everything when empty; only what is below it when it begins with a dot, which
    /// is OpenSSL's reading of a form that RFC 5280 does not know for DNS.
    Dns(String),
    /// A network.
    Net(IpNet),
}

/// The name constraints of one certificate; without any subtree it may certify everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Constraints {
    /// A name whose kind is in here must be within one of these.
    pub permitted: Vec<Subtree>,
    /// No name may be within one of these.
    pub excluded: Vec<Subtree>,
}

impl Permit {
    /// Reads `mgmt.lan`, `*.mgmt.lan` (both permit the name and all below it), `192.168.1.0/24`, `fd00::1` or `*`.
    ///
    /// # Errors
    /// A sentence with the value and a form that would do.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Everything);
        }
        if let Ok(net) = text.parse::<IpNet>() {
            return if net.trunc() == net {
                Ok(Self::Net(net))
            } else {
                Err(format!("{text} has bits beyond its prefix; write {}", net.trunc()))
            };
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Net(IpNet::from(address)));
        }
        let name = DnsName::parse(text.strip_prefix("*.").unwrap_or(text)).map_err(|problem| {
            format!("{}; permit a DNS name (mgmt.lan), a network (192.168.1.0/24), or '*'", problem.detail)
        })?;
        if name.is_wildcard() {
            return Err(format!("{text} has two wildcards; write {}", name.base()));
        }
        Ok(Self::Dns(name))
    }
}

impl Constraints {
    /// The constraints that let exactly this pass. A kind of name that nobody permitted is closed altogether: an
    /// extension that only speaks of DNS names would leave every address open, and the other way round.
    ///
    /// # Errors
    /// Nothing is permitted, or everything beside something.
    pub fn from_permits(permits: &[Permit]) -> Result<Self, String> {
        if permits.is_empty() {
            return Err("nothing is permitted; say --permit with a DNS name, a network, or '*'".to_owned());
        }
        if permits.contains(&Permit::Everything) {
            return match permits.len() {
                1 => Ok(Self::default()),
                _ => Err("'*' permits everything already; leave it out, or leave out the others".to_owned()),
            };
        }
        let mut constraints = Self::default();
        for permit in permits {
            let subtree = match permit {
                Permit::Dns(name) => Subtree::Dns(name.as_str().to_owned()),
                Permit::Net(net) => Subtree::Net(*net),
                Permit::Everything => continue,
            };
            if !constraints.permitted.contains(&subtree) {
                constraints.permitted.push(subtree);
            }
        }
        if !constraints.speaks_of_addresses() {
            constraints.excluded = vec![
                Subtree::Net(IpNet::V4(Ipv4Net::default())), // 0.0.0.0/0
                Subtree::Net(IpNet::V6(Ipv6Net::default())), // ::/0
            ];
        }
        if !constraints.permitted.iter().any(|s| matches!(s, Subtree::Dns(_))) {
            constraints.permitted.push(Subtree::Dns(NO_NAME.to_owned()));
        }
        Ok(constraints)
    }

    /// Reads the extension of a certificate.
    ///
    /// # Errors
    /// It speaks of a kind of name that we cannot judge.
    pub fn from_extension(extension: &NameConstraints<'_>) -> Result<Self, String> {
        let read = |trees: &Option<Vec<GeneralSubtree<'_>>>| -> Result<Vec<Subtree>, String> {
            trees.iter().flatten().map(|tree| Subtree::from_general_name(&tree.base)).collect()
        };
        Ok(Self {
            permitted: read(&extension.permitted_subtrees)?,
            excluded: read(&extension.excluded_subtrees)?,
        })
    }

    /// Whether everything may be certified.
    pub fn is_empty(&self) -> bool {
        self.permitted.is_empty() && self.excluded.is_empty()
    }

    /// Whether a name may be certified.
    ///
    /// # Errors
    /// A sentence that says what is permitted.
    pub fn check(&self, name: &Identifier) -> Result<(), String> {
        if self.excluded.iter().any(|tree| tree.touches(name)) {
            return Err(format!("{name} is excluded; {self}"));
        }
        let mut same_kind = self.permitted.iter().filter(|tree| tree.is_of_kind(name)).peekable();
        if same_kind.peek().is_some() && !same_kind.any(|tree| tree.contains(name)) {
            return Err(format!("{name} is not permitted; {self}"));
        }
        Ok(())
    }

    /// Whether a CA below one with `above` may have these constraints.
    ///
    /// # Errors
    /// A sentence with the first subtree that is too wide.
    pub fn check_within(&self, above: &Self) -> Result<(), String> {
        if self.is_empty() && !above.is_empty() {
            return Err(format!("everything is more than the CA above may pass on; {above}"));
        }
        let names = self.permitted.iter().filter(|tree| **tree != Subtree::Dns(NO_NAME.to_owned()));
        for tree in names {
            let mut same_kind = above.permitted.iter().filter(|t| t.is_same_kind(tree)).peekable();
            let permitted = same_kind.peek().is_none() || same_kind.any(|t| t.contains_tree(tree));
            if !permitted || above.excluded.iter().any(|t| t.contains_tree(tree)) {
                return Err(format!("{tree} is more than the CA above may pass on; {above}"));
            }
        }
        Ok(())
    }

    /// The extension as rcgen writes it.
    pub(super) fn to_rcgen(&self) -> Option<rcgen::NameConstraints> {
        let write = |trees: &[Subtree]| trees.iter().map(Subtree::to_rcgen).collect();
        (!self.is_empty()).then(|| rcgen::NameConstraints {
            permitted_subtrees: write(&self.permitted),
            excluded_subtrees: write(&self.excluded),
        })
    }

    fn speaks_of_addresses(&self) -> bool {
        self.permitted.iter().any(|s| matches!(s, Subtree::Net(_)))
    }
}

impl Subtree {
    fn from_general_name(name: &GeneralName<'_>) -> Result<Self, String> {
        match name {
            GeneralName::DNSName(name) if name.is_ascii() => Ok(Self::Dns(name.to_ascii_lowercase())),
            GeneralName::IPAddress(octets) => network(octets).map(Self::Net),
            other => Err(format!(
                "name constraints on {other} are not understood; only DNS names and addresses are"
            )),
        }
    }

    fn to_rcgen(&self) -> rcgen::GeneralSubtree {
        match self {
            Self::Dns(name) => rcgen::GeneralSubtree::DnsName(name.clone()),
            Self::Net(net) => rcgen::GeneralSubtree::IpAddress(rcgen::CidrSubnet::from_addr_prefix(
                net.network(),
                net.prefix_len(),
            )),
        }
    }

    fn is_of_kind(&self, name: &Identifier) -> bool {
        matches!((self, name), (Self::Dns(_), Identifier::Dns(_)) | (Self::Net(_), Identifier::Ip(_)))
    }

    fn is_same_kind(&self, other: &Self) -> bool {
        matches!((self, other), (Self::Dns(_), Self::Dns(_)) | (Self::Net(_), Self::Net(_)))
    }

    /// Whether all that `name` stands for is in here.
    fn contains(&self, name: &Identifier) -> bool {
        match (self, name) {
            (Self::Dns(tree), Identifier::Dns(name)) => dns_contains(tree, name.as_str()),
            (Self::Net(net), Identifier::Ip(address)) => net.contains(address),
            _ => false,
        }
    }

    /// Whether something that `name` stands for is in here: a wildcard also meets the subtrees below it.
    fn touches(&self, name: &Identifier) -> bool {
        match (self, name) {
            (Self::Dns(tree), Identifier::Dns(name)) if name.is_wildcard() => {
                dns_contains(tree, name.as_str()) || is_within(tree.trim_start_matches('.'), name.base())
            }
            _ => self.contains(name),
        }
    }

    fn contains_tree(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Dns(tree), Self::Dns(other)) => dns_contains(tree, other),
            (Self::Net(net), Self::Net(other)) => net.contains(other),
            _ => false,
        }
    }
}

impl fmt::Display for Subtree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) if name.is_empty() => f.write_str("every DNS name"),
            Self::Dns(name) if name.starts_with('.') => write!(f, "*{name}"),
            Self::Dns(name) => write!(f, "{name} and *.{name}"),
            Self::Net(net) => write!(f, "{net}"),
        }
    }
}

/// What is permitted, as a sentence without its end.
impl fmt::Display for Constraints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |trees: &[Subtree]| trees.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        match (self.permitted.is_empty(), self.excluded.is_empty()) {
            (true, true) => f.write_str("permitted is everything"),
            (true, false) => write!(f, "permitted is everything but {}", list(&self.excluded)),
            (false, true) => write!(f, "permitted are {}", list(&self.permitted)),
            (false, false) => {
                write!(f, "permitted are {} but not {}", list(&self.permitted), list(&self.excluded))
            }
        }
    }
}

fn dns_contains(tree: &str, name: &str) -> bool {
    match tree.strip_prefix('.') {
        _ if tree.is_empty() => true,
        Some(_) => name.ends_with(tree),
        None => is_within(name, tree),
    }
}

/// Address and mask, as RFC 5280 writes a network.
fn network(octets: &[u8]) -> Result<IpNet, String> {
    let refuse = || format!("a name constraint has an address and mask that make no network: {octets:02x?}");
    let (address, mask): (IpAddr, IpAddr) = match octets.len() {
        8 => {
            let (address, mask) = octets.split_at(4);
            let read = |bytes: &[u8]| <[u8; 4]>::try_from(bytes).map(Ipv4Addr::from).map_err(|_| refuse());
            (read(address)?.into(), read(mask)?.into())
        }
        32 => {
            let (address, mask) = octets.split_at(16);
            let read = |bytes: &[u8]| <[u8; 16]>::try_from(bytes).map(Ipv6Addr::from).map_err(|_| refuse());
            (read(address)?.into(), read(mask)?.into())
        }
        _ => return Err(refuse()),
    };
    IpNet::with_netmask(address, mask).map(|net| net.trunc()).map_err(|_| refuse())
}

/// The DNS subtree of a CA that certifies addresses alone. RFC 2606 keeps it free of hosts for ever.
const NO_NAME: &str = "invalid";

#[cfg(test)]
mod tests {
    use super::*;

    fn constraints(permits: &[&str]) -> Constraints {
        let permits: Vec<Permit> = permits.iter().map(|p| Permit::parse(p).unwrap()).collect();
        Constraints::from_permits(&permits).unwrap()
    }

    fn name(text: &str) -> Identifier {
        Identifier::written(text).unwrap()
    }

    #[test]
    fn a_name_and_its_wildcard_permit_the_same() {
        assert_eq!(Permit::parse("mgmt.lan"), Permit::parse("*.mgmt.lan"));
        assert_eq!(Permit::parse("fd00::1"), Permit::parse("fd00::1/128"));
        assert_eq!(Permit::parse("*"), Ok(Permit::Everything));
    }

    #[test]
    fn a_permit_that_cannot_be_meant_is_refused_with_one_that_can() {
        for (text, fix) in [
            ("192.168.1.10/24", "192.168.1.0/24"),
            ("*.*.lan", "write lan"),
            ("a_b.lan", "mgmt.lan"),
            ("", "mgmt.lan"),
            ("10.0.0.0/33", "192.168.1.0/24"),
        ] {
            let why = Permit::parse(text).unwrap_err();
            assert!(why.contains(fix), "{text}: {why}");
        }
        assert!(Constraints::from_permits(&[]).is_err());
        let both = [Permit::Everything, Permit::parse("lan").unwrap()];
        assert!(Constraints::from_permits(&both).unwrap_err().contains("leave"));
    }

    #[test]
    fn a_kind_of_name_that_nobody_permitted_is_closed() {
        let names = constraints(&["mgmt.lan"]);
        assert!(names.check(&name("a.b.mgmt.lan")).is_ok() && names.check(&name("*.mgmt.lan")).is_ok());
        assert!(names.check(&name("mgmt.lan")).is_ok());
        for refused in ["evilmgmt.lan", "lan", "*.lan", "10.0.0.1", "fd00::1"] {
            let why = names.check(&name(refused)).unwrap_err();
            assert!(why.contains(refused) && why.contains("mgmt.lan"), "{why}");
        }
        let addresses = constraints(&["192.168.1.0/24"]);
        assert!(addresses.check(&name("192.168.1.9")).is_ok());
        for refused in ["192.168.2.9", "fd00::1", "mgmt.lan"] {
            assert!(addresses.check(&name(refused)).is_err(), "{refused}");
        }
        assert!(constraints(&["*"]).check(&name("example.com")).is_ok());
    }

    #[test]
    fn a_wildcard_does_not_reach_into_what_is_excluded() {
        let mut all_but = constraints(&["mgmt.lan"]);
        all_but.excluded.push(Subtree::Dns("secret.mgmt.lan".into()));
        assert!(all_but.check(&name("a.mgmt.lan")).is_ok());
        for refused in ["secret.mgmt.lan", "x.secret.mgmt.lan", "*.mgmt.lan", "*.secret.mgmt.lan"] {
            assert!(all_but.check(&name(refused)).is_err(), "{refused}");
        }
    }

    #[test]
    fn what_others_wrote_is_read_as_clients_read_it() {
        let tree = |name: &str| Constraints { permitted: vec![Subtree::Dns(name.into())], excluded: vec![] };
        assert!(tree("").check(&name("example.com")).is_ok());
        assert!(tree(".lan").check(&name("a.lan")).is_ok() && tree(".lan").check(&name("*.lan")).is_ok());
        assert!(tree(".lan").check(&name("lan")).is_err());
        assert_eq!(network(&[10, 1, 2, 3, 255, 0, 0, 0]).unwrap().to_string(), "10.0.0.0/8");
        assert!(network(&[10, 0, 0, 0, 255, 0, 255, 0]).is_err() && network(&[10, 0, 0]).is_err());
        let mail = GeneralName::RFC822Name("lan");
        assert!(Subtree::from_general_name(&mail).unwrap_err().contains("not understood"));
    }

    #[test]
    fn a_ca_below_may_narrow_and_not_widen() {
        let above = constraints(&["mgmt.lan", "10.0.0.0/8"]);
        for narrower in [vec!["mgmt.lan"], vec!["a.mgmt.lan", "10.1.0.0/16"], vec!["10.0.0.1"]] {
            assert_eq!(constraints(&narrower).check_within(&above), Ok(()), "{narrower:?}");
        }
        for wider in [vec!["lan"], vec!["mgmt.lan", "fd00::/8"], vec!["0.0.0.0/0"], vec!["*"]] {
            assert!(constraints(&wider).check_within(&above).is_err(), "{wider:?}");
        }
        assert!(constraints(&["10.0.0.1"]).check_within(&constraints(&["mgmt.lan"])).is_err());
        assert!(constraints(&["anything.example"]).check_within(&Constraints::default()).is_ok());
    }
}
