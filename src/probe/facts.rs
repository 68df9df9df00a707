//! What a certificate says of itself, read from what a server sent: RFC 5280, and X.509 v1 before it. Nothing here is
//! believed; [`super::authority`] checks who signed it.

use std::net::IpAddr;

use acme::id::hex;
use acme::identifier::{DnsName, Identifier};
use acme::jwk::sha256;
use acme::problem::plain;
use acme::time::Timestamp;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;
use x509_parser::x509::X509Name;

/// A certificate, as it stands. Texts are made harmless and cut short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The serial number in hexadecimal digits, as the store writes it.
    pub serial: String,
    /// 1 to 3.
    pub version: u32,
    /// Who it is for, in full.
    pub subject: String,
    /// Who signed it, by its own account, in full.
    pub issuer: String,
    /// The common name of the issuer, else all of its name.
    pub issuer_name: String,
    /// The issuer's name octet by octet.
    pub issuer_der: Vec<u8>,
    /// The subject's name octet by octet.
    pub subject_der: Vec<u8>,
    /// The common name of the subject.
    pub common_name: Option<String>,
    /// Its alternative names, with wildcards; those that are neither names nor addresses are left out.
    pub names: Vec<Identifier>,
    /// The first second of its life.
    pub not_before: Timestamp,
    /// The last second of its life.
    pub not_after: Timestamp,
    /// The SHA-256 of its public key in hexadecimal digits.
    pub spki: String,
    /// Which key signed it, by its own account.
    pub authority_key_id: Option<Vec<u8>>,
}

impl Facts {
    /// Reads DER.
    ///
    /// # Errors
    /// That it cannot be read, in words.
    pub fn read(der: &[u8]) -> Result<Self, String> {
        let (_, x509) = X509Certificate::from_der(der).map_err(|_| "it is not X.509".to_owned())?;
        let mut names = Vec::new();
        let mut authority_key_id = None;
        for extension in x509.extensions().iter().take(EXTENSIONS) {
            match extension.parsed_extension() {
                ParsedExtension::SubjectAlternativeName(san) => {
                    names.extend(san.general_names.iter().take(NAMES).filter_map(identifier));
                }
                ParsedExtension::AuthorityKeyIdentifier(id) => {
                    authority_key_id = id.key_identifier.as_ref().map(|id| id.0.to_vec());
                }
                _ => {}
            }
        }
        let issuer = text(x509.issuer());
        Ok(Self {
            serial: hex(&x509.raw_serial()[..x509.raw_serial().len().min(SERIAL)]),
            version: x509.version().0.saturating_add(1),
            subject: text(x509.subject()),
            issuer_name: common_name(x509.issuer()).unwrap_or_else(|| issuer.clone()),
            issuer,
            issuer_der: x509.issuer().as_raw().to_vec(),
            subject_der: x509.subject().as_raw().to_vec(),
            common_name: common_name(x509.subject()),
            names,
            not_before: Timestamp::from_unix(x509.validity().not_before.timestamp()),
            not_after: Timestamp::from_unix(x509.validity().not_after.timestamp()),
            spki: hex(&sha256(x509.public_key().raw)),
            authority_key_id,
        })
    }

    /// Whether it says that it signed itself.
    pub fn is_self_issued(&self) -> bool {
        self.issuer_der == self.subject_der
    }

    /// Whether a client that asked for `name` finds it here, RFC 9525 6: a wildcard stands for one label.
    pub fn covers(&self, name: &Identifier) -> bool {
        self.names.iter().any(|own| covers(own, name))
    }

    /// Whether its life has not begun, or is over.
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        self.not_before <= now && now <= self.not_after
    }
}

/// Whether a name of a certificate is good for a name that a client asks for.
pub fn covers(own: &Identifier, asked: &Identifier) -> bool {
    match (own, asked) {
        (Identifier::Dns(own), Identifier::Dns(asked)) if own.is_wildcard() => {
            asked.as_str().split_once('.').is_some_and(|(_, parent)| parent == own.base())
        }
        (own, asked) => own == asked,
    }
}

fn identifier(name: &GeneralName<'_>) -> Option<Identifier> {
    match name {
        GeneralName::DNSName(name) => DnsName::parse(name).ok().map(Identifier::Dns),
        GeneralName::IPAddress(octets) => {
            let four = <[u8; 4]>::try_from(*octets).map(IpAddr::from);
            four.or_else(|_| <[u8; 16]>::try_from(*octets).map(IpAddr::from)).ok().map(Identifier::Ip)
        }
        _ => None,
    }
}

fn text(name: &X509Name<'_>) -> String {
    plain(&name.to_string(), TEXT)
}

fn common_name(name: &X509Name<'_>) -> Option<String> {
    name.iter_common_name().next().and_then(|cn| cn.as_str().ok()).map(|cn| plain(cn, TEXT))
}

/// How much of a name is kept.
pub(super) const TEXT: usize = 120;
/// RFC 5280 4.1.2.2 has 20 octets; some certificates have more.
const SERIAL: usize = 64;
const EXTENSIONS: usize = 64;
const NAMES: usize = 1_000;
