//! What we need to know of a CA's certificate, RFC 5280 4, read once and kept. Leaves are judged in `lint.rs`.

use std::path::Path;

use acme::id::{Serial, hex};
use acme::time::Timestamp;
use aws_lc_rs::digest::{SHA256, digest};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer;

use super::constraints::Constraints;
use super::{Error, pem};

/// A CA's certificate.
#[derive(Clone, Debug)]
pub struct Certificate {
    der: Vec<u8>,
    /// The subject's common name, else the whole subject, for people.
    pub name: String,
    /// The subject in DER: what the certificates below it repeat as their issuer, octet by octet.
    pub subject: Vec<u8>,
    /// The public key in DER, a SubjectPublicKeyInfo.
    pub public_key: Vec<u8>,
    /// The subject key identifier.
    pub key_id: Option<Vec<u8>>,
    /// The first second of its life.
    pub not_before: Timestamp,
    /// The last second of its life.
    pub not_after: Timestamp,
    /// Whether it may sign certificates, and how many CAs may stand between it and a leaf.
    pub authority: Option<PathLength>,
    /// Whether it may sign lists of revoked certificates.
    pub signs_lists: bool,
    /// Which names the certificates below it may have.
    pub constraints: Constraints,
}

/// How many CAs may stand below a CA, RFC 5280 4.2.1.9.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathLength {
    /// Any number.
    Any,
    /// So many at most.
    AtMost(u32),
}

impl Certificate {
    /// Reads DER.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(der: &[u8]) -> Result<Self, String> {
        let x509 = exactly(der)?;
        let mut key_id = None;
        let mut constraints = Constraints::default();
        for extension in x509.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(id) => key_id = Some(id.0.to_vec()),
                ParsedExtension::NameConstraints(names) => constraints = Constraints::from_extension(names)?,
                ParsedExtension::ParseError { .. } => {
                    return Err(format!("its extension {} cannot be read", extension.oid));
                }
                _ => {}
            }
        }
        let common_name = x509.subject().iter_common_name().next().and_then(|cn| cn.as_str().ok());
        Ok(Self {
            der: der.to_vec(),
            name: common_name.map_or_else(|| x509.subject().to_string(), str::to_owned),
            subject: x509.subject().as_raw().to_vec(),
            public_key: x509.public_key().raw.to_vec(),
            key_id,
            not_before: Timestamp::from_unix(x509.validity().not_before.timestamp()),
            not_after: Timestamp::from_unix(x509.validity().not_after.timestamp()),
            authority: authority(&x509)?,
            signs_lists: x509.key_usage().is_ok_and(|u| u.is_none_or(|u| u.value.crl_sign())),
            constraints,
        })
    }

    /// Reads every certificate in a PEM file, in order; there is at least one.
    ///
    /// # Errors
    /// The file cannot be read, or one of its certificates cannot.
    pub fn read(path: &Path) -> Result<Vec<Self>, Error> {
        pem::read(path, "CERTIFICATE")?
            .iter()
            .map(|der| {
                Self::parse(der)
                    .map_err(|why| Error::file(path, format!("holds a broken certificate: {why}")))
            })
            .collect()
    }

    /// Reads the one certificate of a PEM file.
    ///
    /// # Errors
    /// The file cannot be read, or holds another number of certificates.
    pub fn read_one(path: &Path) -> Result<Self, Error> {
        let mut all = Self::read(path)?;
        match (all.pop(), all.len()) {
            (Some(only), 0) => Ok(only),
            (_, others) => {
                Err(Error::file(path, format!("holds {} certificates; expected is one", others + 1)))
            }
        }
    }

    /// The certificate in DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The certificate in PEM.
    pub fn pem(&self) -> String {
        pem::encode("CERTIFICATE", &self.der)
    }

    /// SHA-256 over the DER, in hexadecimal digits.
    pub fn fingerprint(&self) -> String {
        hex(digest(&SHA256, &self.der).as_ref())
    }

    /// Whether `now` is within its life.
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        self.not_before <= now && now <= self.not_after
    }

    /// Whether it may stand above so many further CAs.
    ///
    /// # Errors
    /// The rule of RFC 5280 that forbids it.
    pub fn check_authority(&self, cas_below: usize) -> Result<(), String> {
        match self.authority {
            None => Err(format!(
                "'{}' is not a CA's certificate: basicConstraints must say cA, and keyUsage must allow keyCertSign",
                self.name
            )),
            Some(PathLength::AtMost(most)) if usize::try_from(most).is_ok_and(|most| cas_below > most) => {
                Err(format!("'{}' allows {most} CAs below it (pathLen), and has {cas_below}", self.name))
            }
            Some(_) => Ok(()),
        }
    }

    /// Whether `above` issued it: the name and the signature.
    ///
    /// # Errors
    /// Which of the two does not fit.
    pub fn check_issued_by(&self, above: &Self) -> Result<(), String> {
        let (x509, issuer) = (exactly(&self.der)?, exactly(&above.der)?);
        if x509.issuer().as_raw() != above.subject {
            let (wanted, found) = (x509.issuer(), issuer.subject());
            return Err(format!("'{}' was issued by '{wanted}', not by '{found}'", self.name));
        }
        x509.verify_signature(Some(issuer.public_key())).map_err(|_| {
            format!("the signature of '{}' does not verify under the key of '{}'", self.name, above.name)
        })
    }
}

/// The serial number of a certificate in DER; `None` when it is none, or when something follows it.
pub fn serial_of(der: &[u8]) -> Option<Serial> {
    exactly(der).ok().map(|x509| Serial::from_bytes(x509.raw_serial()))
}

/// The certificate, when nothing stands behind it.
fn exactly(der: &[u8]) -> Result<X509Certificate<'_>, String> {
    match X509Certificate::from_der(der) {
        Ok(([], x509)) => Ok(x509),
        Ok(_) => Err("octets follow it".to_owned()),
        Err(e) => Err(format!("it is not DER: {e}")),
    }
}

fn authority(x509: &X509Certificate<'_>) -> Result<Option<PathLength>, String> {
    let unreadable = |_| "its extensions cannot be read, or one of them stands twice".to_owned();
    let basic = x509.basic_constraints().map_err(unreadable)?;
    let usage = x509.key_usage().map_err(unreadable)?;
    // Without a key usage a key may be used for everything, RFC 5280 4.2.1.3.
    let signs = usage.is_none_or(|usage| usage.value.key_cert_sign());
    Ok(basic.filter(|basic| basic.value.ca && signs).map(|basic| match basic.value.path_len_constraint {
        Some(most) => PathLength::AtMost(most),
        None => PathLength::Any,
    }))
}
