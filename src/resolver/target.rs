//! Which addresses a validation or a probe may dial. A CA for a private network must dial private addresses, so what it
//! must never dial is named instead: whatever leads back into this host, into its neighbours' control planes (cloud
//! metadata sits on link-local), or to many at once. Knows addresses and networks; no names, no sockets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The rule for addresses that came from a name server, or stand literally in an identifier or a redirect. Addresses
/// from pins are the operator's own word and are not judged.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    allowed: Option<Vec<IpNet>>,
}

impl Targets {
    /// `None`: everything but the special ranges. `Some`: only these networks; a special range needs a network that lies
    /// within it, so that `0.0.0.0/0` does not mean loopback while `127.0.0.0/8` or `127.0.0.1/32` does.
    pub fn new(allowed: Option<Vec<IpNet>>) -> Self {
        Self { allowed }
    }

    /// Whether the address may be dialled.
    ///
    /// # Errors
    /// Why not, in words that follow the address: `is loopback`.
    pub fn check(&self, address: IpAddr) -> Result<(), String> {
        // ::ffff:10.0.0.1 is dialled as 10.0.0.1, whatever networks of IPv6 are allowed.
        let address = address.to_canonical();
        self.check_plain(address)?;
        match embedded(address) {
            Some((form, inner)) => self
                .check_special(inner.into())
                .map_err(|why| format!("is the {form} of {inner}, which {why}")),
            None => Ok(()),
        }
    }

    fn check_plain(&self, address: IpAddr) -> Result<(), String> {
        self.check_special(address)?;
        match &self.allowed {
            Some(networks) if !networks.iter().any(|network| network.contains(&address)) => {
                Err("lies outside validation.allow_networks".to_owned())
            }
            _ => Ok(()),
        }
    }

    fn check_special(&self, address: IpAddr) -> Result<(), String> {
        let Some((range, what)) = SPECIAL.iter().find(|(range, _)| range.contains(&address)) else {
            return Ok(());
        };
        let is_named = self
            .allowed
            .iter()
            .flatten()
            .any(|network| range.contains(network) && network.contains(&address));
        if is_named { Ok(()) } else { Err(format!("is {what}")) }
    }
}

/// The IPv4 address that an IPv6 address leads to by some mechanism of transition.
fn embedded(address: IpAddr) -> Option<(&'static str, Ipv4Addr)> {
    let IpAddr::V6(six) = address else { return None };
    if six.is_unspecified() || six.is_loopback() {
        return None; // they lie in the IPv4-compatible range and mean something else
    }
    let octets = six.octets();
    let at = |from: usize| Ipv4Addr::new(octets[from], octets[from + 1], octets[from + 2], octets[from + 3]);
    let (_, form, place) = EMBEDDING.iter().find(|(range, _, _)| range.contains(&six))?;
    Some((form, at(*place)))
}

fn four(a: u8, b: u8, c: u8, d: u8, length: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length))
}

fn six(segments: [u16; 8], length: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::from(segments), length)
}

/// RFC 6890 and the registries behind it, the narrower range before the wider.
static SPECIAL: LazyLock<[(IpNet, &str); 10]> = LazyLock::new(|| {
    [
        (four(0, 0, 0, 0, 8), "unspecified"),
        (four(127, 0, 0, 0, 8), "loopback"),
        (four(169, 254, 0, 0, 16), "link-local"),
        (four(224, 0, 0, 0, 4), "multicast"),
        (four(255, 255, 255, 255, 32), "broadcast"),
        (four(240, 0, 0, 0, 4), "reserved"),
        (IpNet::V6(six([0; 8], 128)), "unspecified"),
        (IpNet::V6(six([0, 0, 0, 0, 0, 0, 0, 1], 128)), "loopback"),
        (IpNet::V6(six([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10)), "link-local"),
        (IpNet::V6(six([0xff00, 0, 0, 0, 0, 0, 0, 0], 8)), "multicast"),
    ]
});

/// Ranges of IPv6 that hold an IPv4 address, and the octet at which it begins.
static EMBEDDING: LazyLock<[(Ipv6Net, &str, usize); 5]> = LazyLock::new(|| {
    [
        (six([0, 0, 0, 0, 0, 0, 0, 0], 96), "IPv4-compatible form", 12),
        (six([0, 0, 0, 0, 0xffff, 0, 0, 0], 96), "IPv4-translated form", 12),
        (six([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96), "NAT64 form", 12),
        (six([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), "NAT64 form", 12),
        (six([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), "6to4 form", 2),
    ]
});

#[cfg(test)]
mod tests {
    use super::*;

    fn check(allowed: Option<&[&str]>, address: &str) -> Result<(), String> {
        let allowed = allowed.map(|networks| networks.iter().map(|n| n.parse().unwrap()).collect());
        Targets::new(allowed).check(address.parse().unwrap())
    }

    #[test]
    fn private_and_public_addresses_may_be_dialled_by_default() {
        for address in [
            "10.0.0.1",
            "192.168.1.10",
            "172.16.0.1",
            "100.64.0.1",
            "8.8.8.8",
            "fd00::1",
            "2001:db8::1",
            "64:ff9b::808:808",
        ] {
            assert_eq!(check(None, address), Ok(()), "{address}");
        }
    }

    #[test]
    fn special_addresses_are_refused_by_default_in_every_disguise() {
        for (address, why) in [
            ("127.0.0.1", "loopback"),
            ("127.255.0.9", "loopback"),
            ("0.0.0.0", "unspecified"),
            ("0.1.2.3", "unspecified"),
            ("169.254.169.254", "link-local"),
            ("224.0.0.251", "multicast"),
            ("239.1.1.1", "multicast"),
            ("255.255.255.255", "broadcast"),
            ("240.0.0.1", "reserved"),
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("fe80::1", "link-local"),
            ("febf::1", "link-local"),
            ("ff02::1", "multicast"),
            ("::ffff:127.0.0.1", "loopback"),
            ("::ffff:169.254.169.254", "link-local"),
            ("::127.0.0.1", "IPv4-compatible form of 127.0.0.1, which is loopback"),
            ("::ffff:0:127.0.0.1", "IPv4-translated form"),
            ("64:ff9b::7f00:1", "NAT64 form of 127.0.0.1"),
            ("64:ff9b:1::a9fe:a9fe", "NAT64 form of 169.254.169.254"),
            ("2002:7f00:1::1", "6to4 form of 127.0.0.1"),
            ("2002:a9fe:a9fe::1", "6to4 form of 169.254.169.254"),
        ] {
            let refusal = check(None, address).expect_err(address);
            assert!(refusal.contains(why), "{address}: {refusal}");
        }
    }

    #[test]
    fn with_a_list_only_the_list_may_be_dialled() {
        let list: &[&str] = &["192.168.0.0/16", "fd00::/8"];
        assert_eq!(check(Some(list), "192.168.1.10"), Ok(()));
        assert_eq!(check(Some(list), "::ffff:192.168.1.10"), Ok(()));
        assert_eq!(check(Some(list), "fd00::1"), Ok(()));
        assert!(check(Some(list), "10.0.0.1").unwrap_err().contains("allow_networks"));
        assert!(check(Some(list), "2001:db8::1").unwrap_err().contains("allow_networks"));
        assert!(check(Some(&[]), "192.168.1.10").is_err());
    }

    #[test]
    fn a_special_range_must_be_named_to_be_allowed() {
        let everything: &[&str] = &["0.0.0.0/0", "::/0"];
        assert_eq!(check(Some(everything), "8.8.8.8"), Ok(()));
        for address in ["127.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"] {
            assert!(check(Some(everything), address).is_err(), "{address}");
        }
        let loopback: &[&str] = &["127.0.0.1/32", "::1/128"];
        assert_eq!(check(Some(loopback), "127.0.0.1"), Ok(()));
        assert_eq!(check(Some(loopback), "::1"), Ok(()));
        assert_eq!(check(Some(loopback), "::ffff:127.0.0.1"), Ok(()));
        assert!(check(Some(loopback), "127.0.0.2").is_err());
    }
}
