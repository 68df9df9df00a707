//! Certificate requests (RFC 2986) and the certificates of TLS-ALPN-01 (RFC 8737). OpenSSL, which reads them with other
//! code, must find the signature good wherever we did.

use std::fs;
use std::sync::LazyLock;

use acme::challenge::Token;
use acme::csr::CertificateRequest;
use acme::identifier::Identifier;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;
use openssl::x509::{X509, X509Req};
use x509_parser::asn1_rs::{Any, FromDer as _};

use super::{assert_text, fixtures, refused};

/// The octets as a request in DER, and what of them is to be signed as one that is signed.
pub(crate) fn csr(data: &[u8]) -> String {
    format!("{} {}", request(data), signed(data).map_or_else(String::new, |der| request(&der)))
}

fn request(data: &[u8]) -> String {
    let csr = match CertificateRequest::parse(data) {
        Ok(csr) => csr,
        Err(problem) => return refused(&problem),
    };
    assert_eq!(csr.der(), data);
    assert_eq!(CertificateRequest::parse(csr.der()).as_ref(), Ok(&csr));
    assert!((1..=100).contains(&csr.names().len()), "{} names", csr.names().len());
    assert_eq!(csr.check(csr.names()), Ok(()));
    for name in csr.names() {
        assert_eq!(Identifier::parse(&name.to_wire()).as_ref(), Ok(name));
    }
    let common_name = csr.common_name();
    assert!(common_name.is_none_or(|name| csr.names().contains(name)), "{common_name:?}");
    let others = [Identifier::dns("not-in-it.lan").unwrap()];
    if let Err(problem) = csr.check(&others) {
        refused(&problem);
    }
    if let Ok(request) = X509Req::from_der(data) {
        let key = request.public_key().unwrap();
        // It does not know every form of the parameters beside a signature; where it does, it must agree.
        assert!(request.verify(&key).unwrap_or(true), "OpenSSL finds another signature");
        assert_eq!(key.public_key_to_der().unwrap(), csr.public_key_der());
    }
    format!("{:?} {}", csr.key_type(), csr.names().len())
}

/// The first element of a SEQUENCE, signed by the key of most fixtures: or no change behind a signature would ever be
/// looked at.
fn signed(data: &[u8]) -> Option<Vec<u8>> {
    const ECDSA_WITH_SHA256: &[u8] = &[0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
    let (_, outer) = Any::from_der(data).ok()?;
    let (rest, _) = Any::from_der(outer.data).ok()?;
    let info = &outer.data[..outer.data.len() - rest.len()];
    let signature = Signer::new(MessageDigest::sha256(), &KEY).ok()?.sign_oneshot_to_vec(info).ok()?;
    let bits = [&[3, u8::try_from(signature.len() + 1).ok()?, 0], &signature[..]].concat();
    let length = u32::try_from(info.len() + ECDSA_WITH_SHA256.len() + bits.len()).ok()?.to_be_bytes();
    // In the shortest form, X.690 10.1.
    let zeros = length.iter().take_while(|octet| **octet == 0).count();
    let long = [0x80 | u8::try_from(4 - zeros).ok()?];
    let form: &[u8] = if zeros == 3 && length[3] < 0x80 { &[] } else { &long };
    Some([&[0x30], form, &length[zeros..], info, ECDSA_WITH_SHA256, &bits].concat())
}

static KEY: LazyLock<PKey<Private>> =
    LazyLock::new(|| PKey::private_key_from_pem(&fs::read(fixtures("csr/keys/p256.pem")).unwrap()).unwrap());

/// The octets as a certificate in DER.
pub(crate) fn tls_alpn(data: &[u8]) -> String {
    let digest = Token::from_row("token".to_owned()).key_authorization("thumbprint").digest();
    let mut said = String::new();
    for name in ["a.lan", "10.0.0.1", "fd00::1"] {
        let identifier = Identifier::ip(name).or_else(|_| Identifier::dns(name)).unwrap();
        match acme::tls_alpn::judge(data, &identifier, &digest) {
            Ok(()) => {
                said.push_str("yes ");
                assert!(data.windows(digest.len()).any(|octets| octets == digest));
                if let Ok(certificate) = X509::from_der(data) {
                    let key = certificate.public_key().unwrap();
                    assert!(certificate.verify(&key).unwrap_or(true), "OpenSSL finds another signature");
                    assert_eq!(certificate.subject_alt_names().unwrap().len(), 1);
                }
                let other = Token::from_row("token".to_owned()).key_authorization("another").digest();
                assert!(acme::tls_alpn::judge(data, &identifier, &other).is_err());
            }
            Err(why) => {
                assert_text(&why, 400);
                said.push_str(&why);
            }
        }
    }
    assert!(said.matches("yes").count() <= 1, "one certificate for several identifiers");
    // The words for the first name tell enough.
    said.chars().take(60).collect()
}
