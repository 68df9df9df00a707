//! An issuer: a CA certificate below the root, with its key. Everything about it is checked when it is loaded (path
//! validation of RFC 5280 6.1, for the few CAs that stand here), so that issuing has nothing left to doubt.

use std::fmt;

use acme::id::hex;
use acme::identifier::Identifier;
use acme::time::Timestamp;
use rcgen::{CertificateParams, PublicKeyData, SubjectPublicKeyInfo};
use x509_parser::certificate::TbsCertificate;
use x509_parser::prelude::FromDer;

use super::certificate::Certificate;
use super::constraints::Constraints;
use super::draft::{Draft, Template};
use super::key::Key;
use super::lint::Authority;
use super::passphrase::Passphrase;
use super::rehearsal::{self, Above};
use super::{Error, IssuerSettings};

/// A CA certificate with its key, below the root.
pub struct Issuer {
    id: String,
    key_id: Vec<u8>,
    certificate: Certificate,
    chain_pem: String,
    alternates: Vec<String>,
    not_before: Timestamp,
    not_after: Timestamp,
    /// Of every CA from here up to the root, with its name.
    constraints: Vec<(String, Constraints)>,
    key: Key,
}

impl Issuer {
    /// Reads an issuer and checks it under the root; the second value is a warning about the key's file.
    ///
    /// # Errors
    /// The first thing that is wrong, with its file and what would do.
    pub fn load(settings: &IssuerSettings, root: &Certificate) -> Result<(Self, Option<String>), Error> {
        let chain = Certificate::read(&settings.certificate)?;
        let refuse = |why: String| Error::file(&settings.certificate, why);
        let chain = below(chain, root).map_err(refuse)?;
        let passphrase = settings.passphrase_file.as_deref().map(Passphrase::read).transpose()?;
        let opened = Key::read(&settings.key, passphrase.as_ref())?;
        let mut issuer = Self::new(&chain, root, opened.key).map_err(|why| match why {
            Error::Refused(why) => refuse(why),
            other => other,
        })?;
        for path in &settings.alternates {
            let chain = alternate(Certificate::read(path)?, &issuer.certificate);
            issuer.alternates.push(chain.map_err(|why| Error::file(path, why))?);
        }
        Ok((issuer, opened.warning))
    }

    /// An issuer from a chain that was checked: its own certificate first, the root not in it.
    fn new(chain: &[Certificate], root: &Certificate, key: Key) -> Result<Self, Error> {
        let Some(certificate) = chain.first().cloned() else {
            return Err(Error::Refused("is the root itself; an issuer is an intermediate below it".into()));
        };
        if key.subject_public_key_info() != certificate.public_key {
            return Err(Error::Refused(format!(
                "'{}' certifies another key than the one in the issuer's key file; find the pair that was made together",
                certificate.name
            )));
        }
        let Some(key_id) = certificate.key_id.clone() else {
            return Err(Error::Refused(format!("'{}' has no subject key identifier", certificate.name)));
        };
        let upwards = || chain.iter().chain([root]);
        let issuer = Self {
            id: hex(&key_id),
            key_id,
            chain_pem: chain.iter().map(Certificate::pem).collect(),
            alternates: Vec::new(),
            // A leaf must not outlive any CA above it.
            not_before: upwards().map(|ca| ca.not_before).max().unwrap_or(root.not_before),
            not_after: upwards().map(|ca| ca.not_after).min().unwrap_or(root.not_after),
            constraints: upwards().map(|ca| (ca.name.clone(), ca.constraints.clone())).collect(),
            key,
            certificate,
        };
        issuer.check_name_survives()?;
        Ok(issuer)
    }

    /// The subject key identifier in hexadecimal digits: which issuer signed, for rows and URLs.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The issuer's common name.
    pub fn name(&self) -> &str {
        &self.certificate.name
    }

    /// The kind of its key, for people.
    pub fn key_kind(&self) -> String {
        self.key.describe()
    }

    /// The issuer's certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The issuer's certificate in DER, as `caIssuers` serves it.
    pub fn certificate_der(&self) -> &[u8] {
        self.certificate.der()
    }

    /// The issuer's certificate and those between it and the root, in PEM: what stands behind a leaf.
    pub fn chain_pem(&self) -> &str {
        &self.chain_pem
    }

    /// Other chains that a leaf may have, each in PEM as [`Issuer::chain_pem`]: RFC 8555 7.4.2.
    pub fn alternates(&self) -> &[String] {
        &self.alternates
    }

    /// The first second at which it, and every CA above it, is valid.
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// The last second at which it, and every CA above it, is valid.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Whether it may sign now.
    pub fn is_active(&self, now: Timestamp) -> bool {
        self.not_before <= now && now <= self.not_after
    }

    /// Whether it may say what it has revoked: its keyUsage has cRLSign, or it has none (RFC 5280 4.2.1.3).
    pub fn signs_lists(&self) -> bool {
        self.certificate.signs_lists
    }

    /// The last second that a leaf may have: the wish, or the issuer's own end when that comes first.
    pub fn clamp(&self, not_after: Timestamp) -> Timestamp {
        not_after.min(self.not_after)
    }

    /// The first second that a leaf may have: the wish, or the issuer's own beginning when that comes later.
    pub fn clamp_start(&self, not_before: Timestamp) -> Timestamp {
        not_before.max(self.not_before)
    }

    /// Whether the name constraints of every CA above a leaf let this name pass, RFC 5280 4.2.1.10.
    ///
    /// # Errors
    /// A sentence that says which CA forbids the name, and what it permits.
    pub fn permits(&self, name: &Identifier) -> Result<(), String> {
        self.constraints.iter().try_for_each(|(ca, constraints)| {
            constraints.check(name).map_err(|why| format!("the name constraints of '{ca}': {why}"))
        })
    }

    /// Rehearses a leaf and judges it. The key is not used yet.
    ///
    /// # Errors
    /// The template cannot be built, or the certificate would break the profile.
    pub fn draft(&self, template: &Template<'_>) -> Result<Draft<'_>, Error> {
        Draft::rehearse(self, template)
    }

    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    /// The facts that a leaf is judged by.
    pub(super) fn authority(&self) -> Authority<'_> {
        Authority {
            subject: &self.certificate.subject,
            key_id: &self.key_id,
            not_before: self.not_before,
            not_after: self.not_after,
            signature_oid: self.key.signature_oid(),
            constraints: &self.constraints,
        }
    }

    /// rcgen reads the issuer's name and writes it anew; some names of other CAs come out different, and then every
    /// certificate would fail to chain. Better to know now.
    fn check_name_survives(&self) -> Result<(), Error> {
        let public_key =
            SubjectPublicKeyInfo::from_der(&self.certificate.public_key).map_err(Error::Build)?;
        let above = Above::Certificate(self.certificate.der());
        let tbs = rehearsal::rehearse(&CertificateParams::default(), &public_key, above, &self.key)?;
        let survives = TbsCertificate::from_der(&tbs)
            .is_ok_and(|(_, tbs)| tbs.issuer.as_raw() == self.certificate.subject);
        survives.then_some(()).ok_or_else(|| {
            Error::Refused(format!(
                "'{}' has a subject that we cannot repeat octet by octet",
                self.certificate.name
            ))
        })
    }
}

/// The issuer's name and life, as a sentence without its end.
impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' is valid from {} to {}", self.name(), self.not_before, self.not_after)
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer").field("id", &self.id).field("key", &self.key).finish_non_exhaustive()
    }
}

/// Another chain for the key of `issuer`, without the root that it leads to; checked link by link.
fn alternate(mut chain: Vec<Certificate>, issuer: &Certificate) -> Result<String, String> {
    if chain.last().is_some_and(|last| last.check_issued_by(last).is_ok()) {
        chain.pop();
    }
    let same = chain.first().is_some_and(|first| {
        (&first.subject, &first.public_key, &first.key_id)
            == (&issuer.subject, &issuer.public_key, &issuer.key_id)
    });
    if !same {
        return Err(format!(
            "does not begin with a certificate for the name, the key and the key identifier ({}) of '{}'; \
             have the other root sign that one's request, with these",
            issuer.key_id.as_deref().map_or_else(String::new, hex),
            issuer.name
        ));
    }
    for (cas_below, ca) in chain.iter().enumerate() {
        ca.check_authority(cas_below)?;
        if let Some(above) = chain.get(cas_below + 1) {
            ca.check_issued_by(above)?;
        }
    }
    Ok(chain.iter().map(Certificate::pem).collect())
}

/// The certificates below the root, checked link by link.
fn below(mut chain: Vec<Certificate>, root: &Certificate) -> Result<Vec<Certificate>, String> {
    if chain.last().is_some_and(|last| last.der() == root.der()) {
        chain.pop();
    }
    for (cas_below, ca) in chain.iter().enumerate() {
        ca.check_authority(cas_below)?;
        ca.check_issued_by(chain.get(cas_below + 1).unwrap_or(root))?;
    }
    root.check_authority(chain.len())?;
    Ok(chain)
}
