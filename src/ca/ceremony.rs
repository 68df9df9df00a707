//! The making of CAs: a root that signs itself, the request of an intermediate, and the intermediate that the root signs
//! (RFC 5280 4.2.1 for the profile, RFC 2986 for the request). Files and words are the business of `ctl`.

use std::time::Duration;

use acme::id::Serial;
use acme::time::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, DnValue, IsCa, KeyUsagePurpose,
    PublicKeyData, SubjectPublicKeyInfo,
};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::der_parser::asn1_rs::Tag;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::X509Name;

use super::Error;
use super::certificate::Certificate;
use super::constraints::Constraints;
use super::key::{self, Key};
use super::lint::{self, Authority, Kind};
use super::rehearsal::{self, Above};

/// What a CA's certificate is to say beside its name and key.
#[derive(Clone, Debug)]
pub struct Plan<'a> {
    /// Random, and never used before.
    pub serial: &'a Serial,
    /// When it is valid.
    pub life: Life,
    /// Which names it may certify.
    pub constraints: &'a Constraints,
}

/// When a CA is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// The first second.
    pub not_before: Timestamp,
    /// The last second.
    pub not_after: Timestamp,
}

/// A request whose signature and key were found good.
#[derive(Debug)]
pub struct Request {
    subject: DistinguishedName,
    /// The subject, for people.
    pub name: String,
    /// The kind of key, for people.
    pub key: String,
    public_key: SubjectPublicKeyInfo,
}

impl Life {
    /// So long from now. It begins an hour early, for clients whose clocks are behind, and ends one second early,
    /// because the last second counts.
    pub fn starting(now: Timestamp, lifetime: Duration) -> Self {
        let not_before = now.minus(BACKDATE);
        Self { not_before, not_after: not_before.plus(lifetime).minus(Duration::from_secs(1)) }
    }

    /// As much of it as lies within the life of the CA above.
    #[must_use]
    pub fn within(self, above: &Certificate) -> Self {
        Self {
            not_before: self.not_before.max(above.not_before),
            not_after: self.not_after.min(above.not_after),
        }
    }
}

impl Request {
    /// Reads a request in DER: the signature shows that the asker has the key.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(der: &[u8]) -> Result<Self, String> {
        let (rest, csr) =
            X509CertificationRequest::from_der(der).map_err(|e| format!("it is not DER: {e}"))?;
        if !rest.is_empty() {
            return Err("octets follow it".to_owned());
        }
        let info = &csr.certification_request_info;
        lint::check_public_key(&info.subject_pki).map_err(|why| format!("its key {why}"))?;
        if let Ok(PublicKey::RSA(rsa)) = info.subject_pki.parsed()
            && rsa.key_size() < RSA_BITS
        {
            return Err(format!("its key is RSA of {} bits; a CA has {RSA_BITS} at least", rsa.key_size()));
        }
        // After the key: of one that is too small for the verifier, the signature would be blamed.
        csr.verify_signature().map_err(|_| "its signature does not verify under its own key".to_owned())?;
        let public_key = SubjectPublicKeyInfo::from_der(info.subject_pki.raw)
            .map_err(|e| format!("its key is of no kind that we certify: {e}"))?;
        Ok(Self {
            subject: distinguished_name(&info.subject)?,
            name: info.subject.to_string(),
            key: key::describe(public_key.algorithm(), public_key.der_bytes().len()),
            public_key,
        })
    }
}

/// A root's certificate in DER. One CA may stand below it.
///
/// # Errors
/// The certificate would break the profile.
pub fn root(key: &Key, name: &str, plan: &Plan<'_>) -> Result<Vec<u8>, Error> {
    let params = ca_params(common_name(name)?, PATH_LENGTH_OF_ROOT, plan);
    let public_key = public_key(key)?;
    let tbs = rehearsal::rehearse(&params, &public_key, Above::Itself, key)?;
    let own_name = subject(&tbs)?;
    let above = Authority {
        subject: &own_name,
        key_id: &[],
        not_before: plan.life.not_before,
        not_after: plan.life.not_after,
        signature_oid: key.signature_oid(),
        constraints: &[],
    };
    lint::check_ca(&tbs, Kind::Root, &above).map_err(Error::Profile)?;
    rehearsal::sign(&params, &public_key, Above::Itself, key, &tbs)
}

/// A request for an intermediate's certificate, in DER.
///
/// # Errors
/// The name does not fit into a certificate.
pub fn request(key: &Key, name: &str) -> Result<Vec<u8>, Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(name)?;
    params.serialize_request(key).map(|csr| csr.der().to_vec()).map_err(Error::Build)
}

/// An intermediate's certificate in DER, signed by the root. No CA may stand below it.
///
/// # Errors
/// The key is not the root's, or the certificate would break the profile or reach beyond the root.
pub fn intermediate(
    root: &Certificate,
    root_key: &Key,
    request: &Request,
    plan: &Plan<'_>,
) -> Result<Vec<u8>, Error> {
    if root_key.subject_public_key_info() != root.public_key {
        return Err(Error::Refused(format!(
            "the key does not belong to the root '{}'; find the pair that was made together",
            root.name
        )));
    }
    if request.public_key.der_bytes() == root_key.der_bytes() {
        return Err(Error::Refused(format!(
            "the request is for the key of the root '{}' itself, which would then be online; make the intermediate its own \
             with 'ca-ctl intermediate request'",
            root.name
        )));
    }
    let mut params = ca_params(request.subject.clone(), 0, plan);
    params.use_authority_key_identifier_extension = true;
    let above = Above::Certificate(root.der());
    let tbs = rehearsal::rehearse(&params, &request.public_key, above, root_key)?;
    let constraints = [(root.name.clone(), root.constraints.clone())];
    let authority = Authority {
        subject: &root.subject,
        key_id: root.key_id.as_deref().unwrap_or_default(),
        not_before: root.not_before,
        not_after: root.not_after,
        signature_oid: root_key.signature_oid(),
        constraints: &constraints,
    };
    lint::check_ca(&tbs, Kind::Intermediate, &authority).map_err(Error::Profile)?;
    rehearsal::sign(&params, &request.public_key, above, root_key, &tbs)
}

fn ca_params(name: DistinguishedName, path_length: u8, plan: &Plan<'_>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = name;
    params.serial_number = Some(plan.serial.to_bytes().into());
    params.not_before = plan.life.not_before.to_datetime();
    params.not_after = plan.life.not_after.to_datetime();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(path_length));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.name_constraints = plan.constraints.to_rcgen();
    params
}

fn common_name(name: &str) -> Result<DistinguishedName, Error> {
    let length = name.chars().count();
    if !(1..=64).contains(&length) || name.trim() != name || name.chars().any(char::is_control) {
        return Err(Error::Refused(format!(
            "the name '{}' does not fit: 1 to 64 characters, no spaces at the ends",
            acme::problem::plain(name, 80)
        )));
    }
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    Ok(subject)
}

/// The subject of another's request, attribute by attribute.
fn distinguished_name(name: &X509Name<'_>) -> Result<DistinguishedName, String> {
    let refuse =
        || format!("its subject '{name}' has attributes that we cannot repeat; give it a common name alone");
    let mut subject = DistinguishedName::new();
    for rdn in name.iter_rdn() {
        let mut attributes = rdn.iter();
        let (Some(attribute), None) = (attributes.next(), attributes.next()) else { return Err(refuse()) };
        let kind: Vec<u64> = attribute.attr_type().iter().ok_or_else(refuse)?.collect();
        let kind = DnType::from_oid(&kind);
        let text = attribute.as_str().map_err(|_| refuse())?;
        let value = match attribute.attr_value().tag() {
            Tag::Utf8String => DnValue::Utf8String(text.to_owned()),
            Tag::PrintableString => DnValue::PrintableString(text.try_into().map_err(|_| refuse())?),
            Tag::Ia5String => DnValue::Ia5String(text.try_into().map_err(|_| refuse())?),
            _ => return Err(refuse()),
        };
        if subject.get(&kind).is_some() {
            return Err(refuse());
        }
        subject.push(kind, value);
    }
    Ok(subject)
}

fn public_key(key: &Key) -> Result<SubjectPublicKeyInfo, Error> {
    SubjectPublicKeyInfo::from_der(&key.subject_public_key_info()).map_err(Error::Build)
}

fn subject(tbs: &[u8]) -> Result<Vec<u8>, Error> {
    x509_parser::certificate::TbsCertificate::from_der(tbs)
        .map(|(_, tbs)| tbs.subject.as_raw().to_vec())
        .map_err(|e| Error::Refused(e.to_string()))
}

const BACKDATE: Duration = Duration::from_secs(60 * 60);
const PATH_LENGTH_OF_ROOT: u8 = 1;
const RSA_BITS: usize = 3072;
