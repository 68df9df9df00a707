//! The keys that certificates are issued for, and the signature by which a request shows that it holds the private
//! half (RFC 2986 4.2; RFC 4055, 5758, 8410). aws-lc does the arithmetic.

use aws_lc_rs::signature as sig;
use aws_lc_rs::signature::{UnparsedPublicKey, VerificationAlgorithm};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::RSAPublicKey;
use x509_parser::signature_algorithm::SignatureAlgorithm;
use x509_parser::x509::{AlgorithmIdentifier, SubjectPublicKeyInfo};

use crate::jwk::canonical;
use crate::jwk::spki::{self, Curve};
use crate::problem::Problem;
use crate::quality;

/// A kind of key as a profile names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyType {
    /// ECDSA on P-256.
    P256,
    /// ECDSA on P-384.
    P384,
    /// ECDSA on P-521.
    P521,
    /// RSA, of every size that is accepted.
    Rsa,
    /// Ed25519.
    Ed25519,
}

impl KeyType {
    /// Every kind.
    pub const ALL: &'static [KeyType] =
        &[KeyType::P256, KeyType::P384, KeyType::P521, KeyType::Rsa, KeyType::Ed25519];

    /// The word in a configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::P256 => "p256",
            Self::P384 => "p384",
            Self::P521 => "p521",
            Self::Rsa => "rsa",
            Self::Ed25519 => "ed25519",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == word)
    }
}

impl std::fmt::Display for KeyType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A kind of key that certificates are issued for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Rsa,
    Ec(Curve),
    Ed25519,
}

impl Kind {
    /// Judges the key of a request. It must be in the one DER form that [`spki`] makes: a second form of an account
    /// key, a compressed point for instance, would slip through the comparison with account keys.
    pub(super) fn read(key: &SubjectPublicKeyInfo<'_>) -> Result<Self, Problem> {
        let octets = key.subject_public_key.data.as_ref();
        match key.algorithm.algorithm.to_id_string().as_str() {
            RSA_ENCRYPTION => rsa(key.raw, octets),
            EC_PUBLIC_KEY => ec(key.raw, octets),
            ED25519 => ed25519(key.raw, octets),
            other => Err(Problem::bad_csr(format!("a key of the kind {other} is not accepted; {ACCEPTED}"))),
        }
    }

    pub(super) fn key_type(self) -> KeyType {
        match self {
            Self::Rsa => KeyType::Rsa,
            Self::Ec(Curve::P256) => KeyType::P256,
            Self::Ec(Curve::P384) => KeyType::P384,
            Self::Ec(Curve::P521) => KeyType::P521,
            Self::Ed25519 => KeyType::Ed25519,
        }
    }

    /// The RFC 7638 thumbprint of a key that was [read](Self::read) as of this kind.
    pub(super) fn thumbprint(self, key: &SubjectPublicKeyInfo<'_>) -> Result<String, Problem> {
        let octets = key.subject_public_key.data.as_ref();
        let json = match self {
            Self::Rsa => {
                let (_, key) = RSAPublicKey::from_der(octets).map_err(|_| not_der())?;
                canonical::rsa(key.modulus, key.exponent)
            }
            // 4, x, y: nothing else was read.
            Self::Ec(curve) => {
                let (x, y) = octets.split_at_checked(1 + curve.coordinate()).ok_or_else(not_der)?;
                canonical::ec(curve, &x[1..], y)
            }
            Self::Ed25519 => canonical::ed25519(octets),
        };
        Ok(canonical::thumbprint(&json))
    }

    /// Holds the signature of a request against its own key.
    pub(super) fn check_signature(self, csr: &X509CertificationRequest<'_>) -> Result<(), Problem> {
        let algorithm = self.algorithm(&csr.signature_algorithm)?;
        let info = &csr.certification_request_info;
        UnparsedPublicKey::new(algorithm, info.subject_pki.subject_public_key.data.as_ref())
            .verify(info.raw, csr.signature_value.data.as_ref())
            .map_err(|_| Problem::bad_csr("the signature of the CSR was not made by the key in it"))
    }

    fn algorithm(self, id: &AlgorithmIdentifier<'_>) -> Result<&'static dyn VerificationAlgorithm, Problem> {
        let oid = id.algorithm.to_id_string();
        let algorithm: &dyn VerificationAlgorithm = match (self, oid.as_str()) {
            (_, MD5_RSA | SHA1_RSA | SHA1_RSA_OIW | SHA1_ECDSA) => return Err(weak()),
            (Self::Rsa, SHA256_RSA) => &sig::RSA_PKCS1_2048_8192_SHA256,
            (Self::Rsa, SHA384_RSA) => &sig::RSA_PKCS1_2048_8192_SHA384,
            (Self::Rsa, SHA512_RSA) => &sig::RSA_PKCS1_2048_8192_SHA512,
            (Self::Rsa, PSS) => return pss(id),
            (Self::Ec(Curve::P256), SHA256_ECDSA) => &sig::ECDSA_P256_SHA256_ASN1,
            (Self::Ec(Curve::P256), SHA384_ECDSA) => &sig::ECDSA_P256_SHA384_ASN1,
            (Self::Ec(Curve::P256), SHA512_ECDSA) => &sig::ECDSA_P256_SHA512_ASN1,
            (Self::Ec(Curve::P384), SHA256_ECDSA) => &sig::ECDSA_P384_SHA256_ASN1,
            (Self::Ec(Curve::P384), SHA384_ECDSA) => &sig::ECDSA_P384_SHA384_ASN1,
            (Self::Ec(Curve::P384), SHA512_ECDSA) => &sig::ECDSA_P384_SHA512_ASN1,
            (Self::Ec(Curve::P521), SHA256_ECDSA) => &sig::ECDSA_P521_SHA256_ASN1,
            (Self::Ec(Curve::P521), SHA384_ECDSA) => &sig::ECDSA_P521_SHA384_ASN1,
            (Self::Ec(Curve::P521), SHA512_ECDSA) => &sig::ECDSA_P521_SHA512_ASN1,
            (Self::Ed25519, ED25519) => &sig::ED25519,
            (_, other) => {
                return Err(Problem::bad_csr(format!(
                    "the CSR is signed with {other}, which does not go with its key; sign with SHA-256"
                )));
            }
        };
        Ok(algorithm)
    }
}

fn rsa(raw: &[u8], octets: &[u8]) -> Result<Kind, Problem> {
    let (_, key) = RSAPublicKey::from_der(octets).map_err(|_| not_der())?;
    let bits = spki::bits(key.modulus);
    if !(2048..=4096).contains(&bits) || !bits.is_multiple_of(8) {
        return Err(Problem::bad_csr(format!("an RSA key of {bits} bits is not accepted; {ACCEPTED}")));
    }
    if spki::minimal(key.exponent) != [1, 0, 1] {
        return Err(Problem::bad_csr("the exponent of an RSA key must be 65537"));
    }
    in_der(Kind::Rsa, raw, &spki::rsa(key.modulus, key.exponent))?;
    match quality::check_modulus(key.modulus) {
        Ok(()) => Ok(Kind::Rsa),
        Err(weakness) => {
            Err(Problem::bad_csr(format!("the RSA key can be broken: {weakness}; make another")))
        }
    }
}

fn ec(raw: &[u8], octets: &[u8]) -> Result<Kind, Problem> {
    // Whether the point is on the curve, aws-lc sees when it checks the signature.
    Curve::ALL
        .into_iter()
        .find(|curve| octets.len() == 1 + 2 * curve.coordinate() && raw == spki::ec(*curve, octets))
        .filter(|_| octets.starts_with(&[4]))
        .map(Kind::Ec)
        .ok_or_else(|| {
            Problem::bad_csr(
                "an EC key must be an uncompressed point of the named curve P-256, P-384 or P-521",
            )
        })
}

fn ed25519(raw: &[u8], octets: &[u8]) -> Result<Kind, Problem> {
    let point = <[u8; 32]>::try_from(octets).map_err(|_| not_der())?;
    if spki::is_of_small_order(point) {
        return Err(Problem::bad_csr(
            "the Ed25519 key is a point of small order, for which anybody can sign",
        ));
    }
    in_der(Kind::Ed25519, raw, &spki::ed25519(&point))
}

fn in_der(kind: Kind, raw: &[u8], canonical: &[u8]) -> Result<Kind, Problem> {
    if raw == canonical { Ok(kind) } else { Err(not_der()) }
}

/// RFC 4055 3.1. aws-lc verifies with MGF1 of the same hash, and with a salt as long as its output; who signed
/// otherwise is told so, since the signature may be good.
fn pss(id: &AlgorithmIdentifier<'_>) -> Result<&'static dyn VerificationAlgorithm, Problem> {
    let Ok(SignatureAlgorithm::RSASSA_PSS(params)) = SignatureAlgorithm::try_from(id) else {
        return Err(Problem::bad_csr("the RSASSA-PSS parameters of the CSR are not valid (RFC 4055 3.1)"));
    };
    let hash = params.hash_algorithm_oid();
    let (algorithm, length): (&dyn VerificationAlgorithm, u32) = match hash.to_id_string().as_str() {
        "2.16.840.1.101.3.4.2.1" => (&sig::RSA_PSS_2048_8192_SHA256, 32),
        "2.16.840.1.101.3.4.2.2" => (&sig::RSA_PSS_2048_8192_SHA384, 48),
        "2.16.840.1.101.3.4.2.3" => (&sig::RSA_PSS_2048_8192_SHA512, 64),
        _ => return Err(weak()),
    };
    let salt = params.salt_length();
    if salt != length {
        return Err(Problem::bad_csr(format!(
            "the CSR is signed by RSASSA-PSS with a salt of {salt} octets; accepted is a salt as long as the hash, {length} \
             (openssl: -sigopt rsa_pss_saltlen:digest)"
        )));
    }
    if params.mask_gen_algorithm().is_ok_and(|mask| mask.hash != *hash) {
        return Err(Problem::bad_csr(
            "the CSR is signed by RSASSA-PSS whose mask is made with another hash; accepted is the same for both \
             (openssl: leave rsa_mgf1_md out)",
        ));
    }
    Ok(algorithm)
}

fn weak() -> Problem {
    Problem::bad_csr("the CSR is signed with SHA-1 or MD5, which can be forged; sign with SHA-256")
}

fn not_der() -> Problem {
    Problem::bad_csr(
        "the public key of the CSR is not in the DER form of its kind (RFC 3279 2.3, RFC 8410 4)",
    )
}

const ACCEPTED: &str = "RSA of 2048 to 4096 bits, EC on P-256, P-384 or P-521, and Ed25519 are";

const RSA_ENCRYPTION: &str = "1.2.840.113549.1.1.1";
const MD5_RSA: &str = "1.2.840.113549.1.1.4";
const SHA1_RSA: &str = "1.2.840.113549.1.1.5";
const SHA1_RSA_OIW: &str = "1.3.14.3.2.29";
const PSS: &str = "1.2.840.113549.1.1.10";
const SHA256_RSA: &str = "1.2.840.113549.1.1.11";
const SHA384_RSA: &str = "1.2.840.113549.1.1.12";
const SHA512_RSA: &str = "1.2.840.113549.1.1.13";
const EC_PUBLIC_KEY: &str = "1.2.840.10045.2.1";
const SHA1_ECDSA: &str = "1.2.840.10045.4.1";
const SHA256_ECDSA: &str = "1.2.840.10045.4.3.2";
const SHA384_ECDSA: &str = "1.2.840.10045.4.3.3";
const SHA512_ECDSA: &str = "1.2.840.10045.4.3.4";
const ED25519: &str = "1.3.101.112";
