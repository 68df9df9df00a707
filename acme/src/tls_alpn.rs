//! What must stand in the certificate of TLS-ALPN-01: RFC 8737 3, and RFC 8738 6 for addresses. The certificate is
//! hostile until it is judged; how it is fetched is not known here.

use std::net::IpAddr;

use x509_parser::asn1_rs::{FromDer as _, OctetString, Oid, oid};
use x509_parser::certificate::X509Certificate;
use x509_parser::error::X509Error;
use x509_parser::extensions::{GeneralName, ParsedExtension, X509Extension};
use x509_parser::oid_registry::OID_X509_EXT_SUBJECT_ALT_NAME;

use crate::identifier::Identifier;
use crate::problem::plain;

/// The protocol that both sides must agree on.
pub const PROTOCOL: &[u8] = b"acme-tls/1";

/// The name in the handshake (SNI): the name itself, or that of an address in the reverse tree (RFC 8738 6).
pub fn server_name(identifier: &Identifier) -> String {
    match identifier {
        Identifier::Dns(name) => name.base().to_owned(),
        Identifier::Ip(IpAddr::V4(four)) => {
            let [a, b, c, d] = four.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        Identifier::Ip(IpAddr::V6(six)) => {
            let nibbles = six.octets().into_iter().rev().flat_map(|octet| [octet & 15, octet >> 4]);
            nibbles.map(|nibble| format!("{nibble:x}.")).collect::<String>() + "ip6.arpa"
        }
    }
}

/// Judges a certificate: self-signed, for `identifier` and nothing else, and with `digest` in the critical extension
/// acmeIdentifier.
///
/// # Errors
/// What is wrong with it, in words that follow `the certificate`.
pub fn judge(der: &[u8], identifier: &Identifier, digest: &[u8; 32]) -> Result<(), String> {
    if der.len() > LENGTH_LIMIT {
        return Err(format!("is longer than {LENGTH_LIMIT} octets"));
    }
    let Ok((rest, certificate)) = X509Certificate::from_der(der) else {
        return Err("cannot be read".to_owned());
    };
    if !rest.is_empty() {
        return Err("is followed by something".to_owned());
    }
    check_names(one(&certificate, &OID_X509_EXT_SUBJECT_ALT_NAME, "subjectAltName")?, identifier)?;
    check_digest(one(&certificate, &ACME_IDENTIFIER, "acmeIdentifier")?, digest)?;
    check_self_signed(&certificate)
}

/// The extension of this kind, of which there is one.
fn one<'a>(
    certificate: &'a X509Certificate<'a>,
    kind: &Oid<'_>,
    name: &str,
) -> Result<&'a X509Extension<'a>, String> {
    let mut found = certificate.extensions().iter().filter(|extension| extension.oid == *kind);
    match (found.next(), found.next()) {
        (Some(extension), None) => Ok(extension),
        (None, _) => Err(format!("has no {name}: it is not one for this challenge")),
        (Some(_), Some(_)) => Err(format!("has {name} twice")),
    }
}

fn check_names(extension: &X509Extension<'_>, identifier: &Identifier) -> Result<(), String> {
    let ParsedExtension::SubjectAlternativeName(san) = extension.parsed_extension() else {
        return Err("has a subjectAltName that cannot be read".to_owned());
    };
    let is_expected = match (san.general_names.as_slice(), identifier) {
        ([GeneralName::DNSName(name)], Identifier::Dns(wanted)) => name.eq_ignore_ascii_case(wanted.base()),
        ([GeneralName::IPAddress(octets)], Identifier::Ip(IpAddr::V4(four))) => *octets == four.octets(),
        ([GeneralName::IPAddress(octets)], Identifier::Ip(IpAddr::V6(six))) => *octets == six.octets(),
        _ => false,
    };
    if is_expected {
        return Ok(());
    }
    let names: Vec<String> = san.general_names.iter().take(SHOWN).map(ToString::to_string).collect();
    let more = if san.general_names.len() > SHOWN { ", …" } else { "" };
    Err(format!("is for {}{more}, not for {identifier} alone", plain(&names.join(", "), 200)))
}

fn check_digest(extension: &X509Extension<'_>, digest: &[u8; 32]) -> Result<(), String> {
    if !extension.critical {
        return Err("has an acmeIdentifier that is not critical".to_owned());
    }
    match OctetString::from_der(extension.value) {
        Ok(([], octets)) if octets.as_cow().len() == digest.len() => {
            if **octets.as_cow() == digest[..] {
                Ok(())
            } else {
                Err("has the acmeIdentifier of another challenge or of another account's key".to_owned())
            }
        }
        _ => Err("has an acmeIdentifier that is no OCTET STRING of 32 octets".to_owned()),
    }
}

fn check_self_signed(certificate: &X509Certificate<'_>) -> Result<(), String> {
    if certificate.issuer().as_raw() != certificate.subject().as_raw() {
        return Err(format!(
            "is not self-signed: its issuer is {}",
            plain(&certificate.issuer().to_string(), 100)
        ));
    }
    certificate.verify_signature(None).map_err(|error| match error {
        X509Error::SignatureUnsupportedAlgorithm => {
            "is signed in a way that is not known here; ECDSA with P-256 or P-384, RSA and Ed25519 are"
                .to_owned()
        }
        _ => "is not self-signed: its signature is not by its own key".to_owned(),
    })
}

/// id-pe-acmeIdentifier.
const ACME_IDENTIFIER: Oid<'static> = oid!(1.3.6.1.5.5.7.1.31);
/// How long a certificate may be, in octets. One for this challenge has under 2000.
const LENGTH_LIMIT: usize = 16 * 1024;
/// How many names of a wrong certificate are told.
const SHOWN: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::challenge::Token;
    use crate::fixture;

    fn judged(file: &str, name: &str) -> Result<(), String> {
        let identifier = Identifier::written(name).unwrap();
        let digest = Token::from_row("token".to_owned()).key_authorization("thumbprint").digest();
        judge(&fixture::read(&format!("tls-alpn/{file}.der")), &identifier, &digest)
    }

    #[test]
    fn what_clients_show_is_accepted() {
        let rows = [
            ("p256", "a.lan"),
            ("p384", "a.lan"),
            ("rsa2048", "a.lan"),
            ("ed25519", "a.lan"),
            ("capitals", "a.lan"),
            ("ipv4", "10.0.0.1"),
            ("ipv6", "fd00::1"),
            ("other-extensions", "a.lan"),
        ];
        fixture::assert_rows_are_files("tls-alpn/accepted", rows.map(|(file, _)| file));
        for (file, name) in rows {
            assert_eq!(judged(&format!("accepted/{file}"), name), Ok(()), "{file}");
        }
    }

    #[test]
    fn each_fault_is_told() {
        let rows = [
            ("another-name", "not for a.lan alone"),
            ("two-names", "not for a.lan alone"),
            ("name-twice", "not for a.lan alone"),
            ("name-and-address", "not for a.lan alone"),
            ("wildcard", "not for a.lan alone"),
            ("address", "not for a.lan alone"),
            ("email", "not for a.lan alone"),
            ("no-names", "no subjectAltName"),
            ("no-identifier", "no acmeIdentifier"),
            ("identifier-not-critical", "not critical"),
            ("identifier-of-another", "another challenge"),
            ("identifier-short", "32 octets"),
            ("identifier-long", "32 octets"),
            ("identifier-without-tag", "32 octets"),
            ("identifier-of-another-type", "32 octets"),
            ("identifier-and-more", "32 octets"),
            ("issued-by-another", "its issuer is CN=Another CA"),
            ("issued-by-a-namesake", "not by its own key"),
            ("signature-bit-flipped", "not by its own key"),
            ("p521", "not known here"),
            ("truncated", "cannot be read"),
            ("trailing-octet", "followed by something"),
            ("empty", "cannot be read"),
        ];
        fixture::assert_rows_are_files("tls-alpn/refused", rows.map(|(file, _)| file));
        for (file, why) in rows {
            let refusal = judged(&format!("refused/{file}"), "a.lan").expect_err(file);
            assert!(refusal.contains(why), "{file}: {refusal}");
        }
    }

    #[test]
    fn a_certificate_is_for_one_identifier_of_one_kind() {
        assert!(judged("accepted/p256", "b.lan").is_err() && judged("accepted/p256", "10.0.0.1").is_err());
        assert!(judged("accepted/ipv4", "a.lan").is_err() && judged("accepted/ipv4", "10.0.0.2").is_err());
        assert!(judged("accepted/ipv6", "fd00::2").is_err());
        let other = Token::from_row("token".to_owned()).key_authorization("other").digest();
        let der = fixture::read("tls-alpn/accepted/p256.der");
        assert!(judge(&der, &Identifier::dns("a.lan").unwrap(), &other).is_err());
        assert!(judge(&vec![0x30; LENGTH_LIMIT + 1], &Identifier::dns("a.lan").unwrap(), &other).is_err());
    }

    #[test]
    fn an_address_is_named_as_in_the_reverse_tree() {
        let name = |text: &str| server_name(&Identifier::ip(text).unwrap());
        assert_eq!(name("192.0.2.1"), "1.2.0.192.in-addr.arpa");
        // RFC 3596 2.5.
        let wanted = "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.ip6.arpa";
        assert_eq!(name("4321:0:1:2:3:4:567:89ab"), wanted);
        assert_eq!(server_name(&Identifier::dns("A.lan").unwrap()), "a.lan");
    }
}
