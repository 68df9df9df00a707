//! The products that put a certificate in place until a real one comes, by what those look like. A hint for the reader
//! and no more: whether a certificate is ours is decided by keys, before anybody looks here.

use super::facts::Facts;

/// The product that a chain looks like the work of, the leaf first.
pub(super) fn product(chain: &[Facts]) -> Option<&'static str> {
    let leaf = chain.first()?;
    let anywhere = |part: &str| chain.iter().any(|it| it.issuer.contains(part) || it.subject.contains(part));
    let known = MARKS.iter().find(|(mark, _)| match mark {
        Mark::Leaf(part) => leaf.subject.contains(part),
        Mark::Anywhere(part) => anywhere(part),
        Mark::Name(end) => leaf.names.iter().any(|name| name.to_string().ends_with(end)),
    });
    match known {
        Some((_, product)) => Some(product),
        None if !leaf.is_self_issued() => None,
        None if is_like_snakeoil(leaf) => Some("self-signed (as Debian's snakeoil is)"),
        None => Some("self-signed"),
    }
}

/// `make-ssl-cert generate-default-snakeoil`: nothing but a common name, which is its only alternative name if it has any,
/// for ten years of 365 days. Others make such certificates too.
fn is_like_snakeoil(leaf: &Facts) -> bool {
    let Some(name) = &leaf.common_name else { return false };
    let seconds = leaf.not_after.seconds_since(leaf.not_before);
    leaf.subject == format!("CN={name}")
        && leaf.names.iter().all(|it| it.to_string().eq_ignore_ascii_case(name))
        && seconds == 3_650 * 86_400
}

enum Mark {
    /// In the leaf's subject.
    Leaf(&'static str),
    /// In a subject or issuer of the chain.
    Anywhere(&'static str),
    /// At the end of a name of the leaf.
    Name(&'static str),
}

const MARKS: &[(Mark, &str)] = &[
    (Mark::Anywhere("minica root ca "), "NixOS (minica)"),
    (Mark::Leaf("TRAEFIK DEFAULT CERT"), "Traefik's default"),
    (Mark::Name(".traefik.default"), "Traefik's default"),
    (Mark::Leaf("Kubernetes Ingress Controller Fake Certificate"), "ingress-nginx's fake"),
    (Mark::Anywhere("Caddy Local Authority"), "Caddy's internal CA"),
    (Mark::Leaf("Nginx Proxy Manager"), "Nginx Proxy Manager's dummy"),
    (Mark::Leaf("Apache Managed Domain Fallback"), "Apache mod_md's fallback"),
    (Mark::Anywhere("mkcert development CA"), "mkcert"),
    (Mark::Anywhere("(STAGING)"), "Let's Encrypt's staging"),
    (Mark::Anywhere("Pebble Intermediate CA"), "Pebble"),
    (Mark::Anywhere("Pebble Root CA"), "Pebble"),
    (Mark::Anywhere("Synology Inc."), "Synology's default"),
    (Mark::Anywhere("Proxmox Virtual Environment"), "Proxmox's own"),
    (Mark::Anywhere("PVE Cluster Manager CA"), "Proxmox's own"),
    (Mark::Leaf("CN=UniFi"), "UniFi's default"),
    (Mark::Leaf("Ubiquiti Inc."), "UniFi's default"),
    (Mark::Leaf("OPNsense"), "OPNsense's default"),
    (Mark::Leaf("pfSense"), "pfSense's default"),
];

#[cfg(test)]
mod tests {
    use acme::identifier::Identifier;
    use acme::time::Timestamp;

    use super::*;

    #[test]
    fn ten_years_for_a_name_alone_are_like_snakeoil_and_anything_beside_is_not() {
        let shown = |subject: &str, names: &[&str], days: i64| {
            product(&[Facts {
                serial: "01".into(),
                version: 3,
                subject: subject.into(),
                issuer: subject.into(),
                issuer_name: subject.into(),
                issuer_der: Vec::new(),
                subject_der: Vec::new(),
                common_name: Some("a.lan".into()),
                names: names.iter().map(|name| Identifier::dns(name).unwrap()).collect(),
                not_before: Timestamp::EPOCH,
                not_after: Timestamp::from_unix(days * 86_400),
                spki: String::new(),
                authority_key_id: None,
            }])
        };
        let like = Some("self-signed (as Debian's snakeoil is)");
        assert_eq!(shown("CN=a.lan", &["a.lan"], 3_650), like);
        assert_eq!(shown("CN=a.lan", &[], 3_650), like);
        for (subject, names, days) in [
            ("CN=a.lan", &["a.lan", "b.lan"][..], 3_650),
            ("CN=a.lan, O=Home", &["a.lan"], 3_650),
            ("CN=a.lan", &["a.lan"], 3_652),
        ] {
            assert_eq!(shown(subject, names, days), Some("self-signed"), "{subject} {names:?} {days}");
        }
    }
}
