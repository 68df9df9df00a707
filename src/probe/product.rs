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
        None if is_snakeoil(leaf) => Some("Debian's snakeoil"),
        None => Some("self-signed"),
    }
}

/// `make-ssl-cert generate-default-snakeoil`: nothing but a common name, for ten years.
fn is_snakeoil(leaf: &Facts) -> bool {
    let days = leaf.not_after.seconds_since(leaf.not_before) / 86_400;
    let only_a_name = leaf.common_name.as_ref().is_some_and(|cn| leaf.subject == format!("CN={cn}"));
    only_a_name && (3_649..=3_653).contains(&days)
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
