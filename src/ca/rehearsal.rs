//! Rehearsal: a certificate is built once without a signature, so that its to-be-signed bytes can be judged, and once
//! more with the CA's key, which signs those bytes and no others. So is a list of revoked certificates. Nothing here knows
//! what a good one is.

use rcgen::{
    CertificateParams, CertificateRevocationListParams, PublicKeyData, SignatureAlgorithm, SigningKey,
    SubjectPublicKeyInfo,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use super::Error;
use super::key::Key;

/// Who stands as issuer in the certificate that is built.
#[derive(Clone, Copy)]
pub(super) enum Above<'a> {
    /// The subject of this certificate, in DER.
    Certificate(&'a [u8]),
    /// The subject itself: a root.
    Itself,
}

/// The to-be-signed bytes. They name the algorithm that `key` signs by, and the key does nothing.
pub(super) fn rehearse(
    params: &CertificateParams,
    public_key: &SubjectPublicKeyInfo,
    above: Above<'_>,
    key: &Key,
) -> Result<Vec<u8>, Error> {
    let der = build(params, public_key, above, Unsigned(key)).map_err(Error::Build)?;
    let (_, x509) = X509Certificate::from_der(&der).map_err(|e| Error::Refused(e.to_string()))?;
    Ok(x509.tbs_certificate.as_ref().to_vec())
}

/// The certificate, signed. The key signs `tbs` or it does not sign.
pub(super) fn sign(
    params: &CertificateParams,
    public_key: &SubjectPublicKeyInfo,
    above: Above<'_>,
    key: &Key,
    tbs: &[u8],
) -> Result<Vec<u8>, Error> {
    let der = build(params, public_key, above, Gate { key, tbs }).map_err(refused)?;
    check_signature(&der, key)?;
    Ok(der)
}

/// The to-be-signed bytes of a list. `issuer` is its certificate in DER.
pub(super) fn rehearse_list(
    params: &CertificateRevocationListParams,
    issuer: &[u8],
    key: &Key,
) -> Result<Vec<u8>, Error> {
    let der = build_list(params, issuer, Unsigned(key)).map_err(Error::Build)?;
    let (_, list) = CertificateRevocationList::from_der(&der).map_err(|e| Error::Refused(e.to_string()))?;
    Ok(list.tbs_cert_list.as_ref().to_vec())
}

/// The list, signed. The key signs `tbs` or it does not sign.
pub(super) fn sign_list(
    params: &CertificateRevocationListParams,
    issuer: &[u8],
    key: &Key,
    tbs: &[u8],
) -> Result<Vec<u8>, Error> {
    let der = build_list(params, issuer, Gate { key, tbs }).map_err(refused)?;
    let (_, list) = CertificateRevocationList::from_der(&der).map_err(|_| Error::BadSignature)?;
    if list.signature_algorithm != list.tbs_cert_list.signature {
        return Err(Error::BadSignature);
    }
    let spki = key.subject_public_key_info();
    let (_, spki) =
        x509_parser::x509::SubjectPublicKeyInfo::from_der(&spki).map_err(|_| Error::BadSignature)?;
    list.verify_signature(&spki).map_err(|_| Error::BadSignature)?;
    Ok(der)
}

/// The CA's key as it stands in a rehearsal: it leaves the place of the signature empty.
struct Unsigned<'a>(&'a Key);

impl SigningKey for Unsigned<'_> {
    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(Vec::new())
    }
}

impl PublicKeyData for Unsigned<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0.der_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.0.algorithm()
    }
}

/// The CA's key, for one set of bytes.
struct Gate<'a> {
    key: &'a Key,
    tbs: &'a [u8],
}

impl SigningKey for Gate<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        if message != self.tbs {
            return Err(rcgen::Error::RemoteKeyError);
        }
        self.key.sign(message)
    }
}

impl PublicKeyData for Gate<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.key.der_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.key.algorithm()
    }
}

fn build(
    params: &CertificateParams,
    public_key: &SubjectPublicKeyInfo,
    above: Above<'_>,
    key: impl SigningKey,
) -> Result<Vec<u8>, rcgen::Error> {
    let issuer = match above {
        Above::Certificate(der) => rcgen::Issuer::from_ca_cert_der(&der.into(), key)?,
        Above::Itself => rcgen::Issuer::from_params(params, key),
    };
    params.signed_by(public_key, &issuer).map(|certificate| certificate.der().to_vec())
}

fn build_list(
    params: &CertificateRevocationListParams,
    issuer: &[u8],
    key: impl SigningKey,
) -> Result<Vec<u8>, rcgen::Error> {
    let issuer = rcgen::Issuer::from_ca_cert_der(&issuer.into(), key)?;
    params.signed_by(&issuer).map(|list| list.der().to_vec())
}

fn refused(error: rcgen::Error) -> Error {
    match error {
        rcgen::Error::RemoteKeyError => Error::Changed,
        other => Error::Build(other),
    }
}

/// A signature that does not verify has given away something of the key, and must not leave the house. Nor must one
/// whose algorithm is another than the one that it covers, RFC 5280 4.1.1.2.
fn check_signature(der: &[u8], key: &Key) -> Result<(), Error> {
    let spki = key.subject_public_key_info();
    let (_, spki) =
        x509_parser::x509::SubjectPublicKeyInfo::from_der(&spki).map_err(|_| Error::BadSignature)?;
    let (_, x509) = X509Certificate::from_der(der).map_err(|_| Error::BadSignature)?;
    if x509.signature_algorithm != x509.tbs_certificate.signature {
        return Err(Error::BadSignature);
    }
    x509.verify_signature(Some(&spki)).map_err(|_| Error::BadSignature)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ca::draft::tlv;
    use crate::ca::key::KeyKind;

    fn parts() -> (CertificateParams, SubjectPublicKeyInfo, Key) {
        let key = Key::generate(KeyKind::P256).unwrap();
        let public_key = SubjectPublicKeyInfo::from_der(&key.subject_public_key_info()).unwrap();
        let mut params = CertificateParams::default();
        params.serial_number = Some(vec![0x40, 1, 2, 3, 4, 5, 6, 7].into());
        (params, public_key, key)
    }

    #[test]
    fn the_signed_bytes_are_the_rehearsed_ones_and_the_rehearsal_is_worth_nothing() {
        let (params, public_key, key) = parts();
        let tbs = rehearse(&params, &public_key, Above::Itself, &key).unwrap();
        let der = sign(&params, &public_key, Above::Itself, &key, &tbs).unwrap();
        let (_, x509) = X509Certificate::from_der(&der).unwrap();
        assert_eq!(x509.tbs_certificate.as_ref(), tbs);
        let rehearsed = build(&params, &public_key, Above::Itself, Unsigned(&key)).unwrap();
        assert!(matches!(check_signature(&rehearsed, &key), Err(Error::BadSignature)));
    }

    #[test]
    fn the_algorithm_outside_is_the_one_inside() {
        let (params, public_key, key) = parts();
        let tbs = rehearse(&params, &public_key, Above::Itself, &key).unwrap();
        let der = sign(&params, &public_key, Above::Itself, &key, &tbs).unwrap();
        let (_, x509) = X509Certificate::from_der(&der).unwrap();
        let ecdsa_with_sha256 = tlv(6, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]);
        let with = |parameters: &[u8]| {
            let algorithm = tlv(0x30, &[&ecdsa_with_sha256, parameters].concat());
            let signature = tlv(3, &[&[0], x509.signature_value.data.as_ref()].concat());
            tlv(0x30, &[&tbs[..], &algorithm, &signature].concat())
        };
        assert_eq!(with(&[]), der);
        let with_null = check_signature(&with(&[5, 0]), &key);
        assert!(matches!(with_null, Err(Error::BadSignature)), "{with_null:?}");
    }

    #[test]
    fn the_key_does_not_sign_what_was_not_rehearsed() {
        let (mut params, public_key, key) = parts();
        let tbs = rehearse(&params, &public_key, Above::Itself, &key).unwrap();
        params.serial_number = Some(vec![0x40, 1, 2, 3, 4, 5, 6, 8].into());
        let changed = sign(&params, &public_key, Above::Itself, &key, &tbs);
        assert!(matches!(changed, Err(Error::Changed)), "{changed:?}");
    }
}
