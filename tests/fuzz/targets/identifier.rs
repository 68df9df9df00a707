//! Identifiers (RFC 8555 9.7.7, RFC 8738, RFC 5890).

use acme::identifier::{DnsName, Identifier, Wire};
use rustls::pki_types::ServerName;

use super::refused;

/// The octets as the value of an identifier of each kind, and as one in JSON.
pub(crate) fn identifier(data: &[u8]) -> String {
    let value = String::from_utf8_lossy(data).into_owned();
    if let Ok(wire) = serde_json::from_slice::<Wire>(data) {
        judge(&wire);
    }
    let [dns, ip, other] =
        ["dns", "ip", &value].map(|kind| judge(&Wire { kind: kind.into(), value: value.clone() }));
    format!("{dns} {ip} {}", other.len() / 64)
}

fn judge(wire: &Wire) -> String {
    let identifier = match Identifier::parse(wire) {
        Ok(identifier) => identifier,
        Err(problem) => return refused(&problem),
    };
    let text = identifier.to_string();
    assert_eq!(identifier.kind(), wire.kind);
    assert!(text.is_ascii() && text.len() <= 253, "{text}");
    assert_eq!(text, wire.value.to_ascii_lowercase(), "the canonical form differs in case alone");
    assert_eq!(Identifier::parse(&identifier.to_wire()).as_ref(), Ok(&identifier));
    assert!(!identifier.to_authorize().is_wildcard());
    match &identifier {
        Identifier::Ip(address) => {
            assert_eq!(address.to_string(), wire.value, "an address has one form");
            assert!(Identifier::dns(&text).is_err(), "{text} is a name and an address");
        }
        Identifier::Dns(name) => {
            assert!(Identifier::ip(name.base()).is_err(), "{text} is a name and an address");
            assert!(
                DnsName::parse(name.base())
                    .is_ok_and(|base| !base.is_wildcard() && base.is_within(name.base()))
            );
            assert!(ServerName::try_from(name.base()).is_ok(), "{text} cannot be sent as SNI");
            assert!(!name.base().split('.').any(|label| label.is_empty() || label.len() > 63), "{text}");
        }
    }
    format!("{} {}", identifier.kind(), identifier.is_wildcard())
}
