//! Who may have signed a certificate. Ours are told by their keys, never by their names: whoever makes a CA can call it
//! what he likes. Public ones are told by a path to a root that everybody trusts.

use std::sync::Arc;
use std::time::Duration;

use acme::identifier::Identifier;
use acme::time::Timestamp;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, Error, RootCertStore};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer;

use super::facts::Facts;

/// One of our issuers, present or past.
#[derive(Clone, Debug)]
pub struct Authority {
    /// What the store calls it.
    pub id: String,
    /// Its name, for people.
    pub name: String,
    /// Its name in full, and those of the CAs above it.
    names: Vec<String>,
    /// Itself and the CAs between it and the root: what a server is to send after the leaf.
    chain: Vec<Link>,
    /// Its subject key identifier.
    pub(super) key_id: Option<Vec<u8>>,
}

/// A CA's certificate: what it must be recognised by.
#[derive(Clone, Debug)]
struct Link {
    der: Vec<u8>,
    subject: Vec<u8>,
    key: Vec<u8>,
}

/// What is missing behind a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gap {
    /// A CA between the leaf and the root.
    Missing,
    /// The same, while another CA's certificate stands in its place, or one of the same CA whose time is over.
    Wrong,
}

impl Authority {
    /// An issuer from its certificate and those between it and the root, in DER.
    ///
    /// # Errors
    /// Which of them cannot be read.
    pub fn new(id: &str, chain: &[Vec<u8>]) -> Result<Self, String> {
        let Some(first) = chain.first() else { return Err(format!("the issuer {id} has no certificate")) };
        let unreadable = || format!("a certificate of the issuer {id} cannot be read");
        let (_, x509) = X509Certificate::from_der(first).map_err(|_| unreadable())?;
        let key_id = x509.extensions().iter().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
            _ => None,
        });
        let facts = Facts::read(first).map_err(|_| unreadable())?;
        let links: Option<Vec<Link>> = chain.iter().map(|der| Link::read(der)).collect();
        // The issuer itself, and those above it up to the root.
        let above = chain.iter().filter_map(|der| Facts::read(der).ok()).map(|it| it.issuer);
        Ok(Self {
            id: id.to_owned(),
            names: std::iter::once(facts.subject.clone()).chain(above).collect(),
            name: facts.common_name.unwrap_or(facts.subject),
            chain: links.ok_or_else(unreadable)?,
            key_id,
        })
    }

    /// Whether both have the same key: two certificates of one CA.
    pub fn has_key_of(&self, other: &Self) -> bool {
        matches!((self.chain.first(), other.chain.first()), (Some(a), Some(b)) if a.key == b.key)
    }

    /// Whether its key signed this certificate.
    pub fn signed(&self, leaf: &[u8]) -> bool {
        let Some(own) = self.chain.first() else { return false };
        let Ok((_, own)) = X509Certificate::from_der(&own.der) else { return false };
        X509Certificate::from_der(leaf)
            .is_ok_and(|(_, leaf)| leaf.verify_signature(Some(own.public_key())).is_ok())
    }

    /// Whether a certificate says that this authority signed it.
    pub fn is_named_by(&self, leaf: &Facts) -> bool {
        // Compared as text, without case: a CA of the same name may well write its octets in another way (RFC 5280 7.1).
        let by_name = self.names.iter().any(|own| own.eq_ignore_ascii_case(&leaf.issuer));
        by_name || (self.key_id.is_some() && self.key_id == leaf.authority_key_id)
    }

    /// What is missing in what was sent after a leaf that it signed. The order is not looked at (RFC 8446 4.4.2); a
    /// certificate of the same CA by another root will do.
    pub fn gap(&self, behind: &[Vec<u8>], now: Timestamp) -> Option<Gap> {
        let sent: Vec<(Link, Facts)> =
            behind.iter().filter_map(|der| Some((Link::read(der)?, Facts::read(der).ok()?))).collect();
        for link in &self.chain {
            let found = sent.iter().filter(|(it, _)| it.key == link.key && it.subject == link.subject);
            let (mut any, mut valid, mut is_ours) = (false, false, false);
            for (it, facts) in found {
                any = true;
                valid |= facts.is_valid_at(now);
                is_ours |= it.der == link.der;
            }
            if valid && !is_ours {
                // By another root, and what leads up to that one is not ours to know.
                return None;
            }
            if !valid {
                let is_stranger = |it: &Link| !self.chain.iter().any(|own| own.key == it.key);
                let others = sent.iter().any(|(it, facts)| is_stranger(it) && !facts.is_self_issued());
                return Some(if any || others { Gap::Wrong } else { Gap::Missing });
            }
        }
        None
    }
}

impl Link {
    fn read(der: &[u8]) -> Option<Self> {
        let (_, x509) = X509Certificate::from_der(der).ok()?;
        Some(Self {
            der: der.to_vec(),
            subject: x509.subject().as_raw().to_vec(),
            key: x509.public_key().raw.to_vec(),
        })
    }
}

/// The authorities that everybody trusts.
#[derive(Clone)]
pub struct Public(Option<Arc<WebPkiServerVerifier>>);

impl Public {
    /// Those of Mozilla's list, as this program was built with it.
    pub fn known() -> Self {
        let mut roots = RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        Self::of(roots)
    }

    /// Some others.
    pub fn of(roots: RootCertStore) -> Self {
        let provider = Arc::new(aws_lc_rs::default_provider());
        Self(WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().ok())
    }

    /// Whether a path leads from the leaf to one of them, whatever the leaf's names and dates.
    pub(super) fn vouches_for(&self, chain: &[Vec<u8>], name: &Identifier, now: Timestamp) -> bool {
        let Some(verifier) = &self.0 else { return false };
        let Some((leaf, behind)) = chain.split_first() else { return false };
        let behind: Vec<CertificateDer<'_>> = behind.iter().map(|der| der.as_slice().into()).collect();
        let name = match name {
            Identifier::Ip(address) => ServerName::IpAddress((*address).into()),
            Identifier::Dns(name) => match ServerName::try_from(name.base()) {
                Ok(name) => name,
                Err(_) => return false,
            },
        };
        // Within the leaf's own life, so that what is wrong with its dates is told apart.
        let now = match Facts::read(leaf) {
            Ok(facts) if now > facts.not_after => facts.not_after,
            Ok(facts) if now < facts.not_before => facts.not_before,
            _ => now,
        };
        let seconds = u64::try_from(now.unix()).unwrap_or_default();
        let at = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        match verifier.verify_server_cert(&leaf.as_slice().into(), &behind, &name, &[], at) {
            Ok(_) => true,
            // webpki looks at names last, when the path holds.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => true,
            Err(_) => false,
        }
    }
}
