//! Certificate requests as clients make them: good ones, and one of each kind of bad. Made with OpenSSL, because it
//! makes what a careful library refuses to make.

use std::net::IpAddr;

use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::stack::Stack;
use openssl::x509::extension::SubjectAlternativeName;
use openssl::x509::{X509NameBuilder, X509Req};

/// What a request is made of.
pub struct Request<'a> {
    /// Names and addresses in the SAN; none leaves the extension out.
    pub names: &'a [&'a str],
    /// The common name.
    pub common_name: Option<&'a str>,
    /// An e-mail address in the SAN.
    pub email: Option<&'a str>,
    /// The key.
    pub key: &'a PKey<Private>,
    /// What the signature hashes with.
    pub digest: MessageDigest,
}

impl<'a> Request<'a> {
    /// As most clients make it: names in the SAN, an empty subject, SHA-256.
    pub fn new(names: &'a [&'a str], key: &'a PKey<Private>) -> Self {
        Self { names, common_name: None, email: None, key, digest: MessageDigest::sha256() }
    }

    /// The DER.
    pub fn to_der(&self) -> Vec<u8> {
        let mut builder = X509Req::builder().expect("a builder");
        builder.set_version(0).expect("version 1");
        builder.set_pubkey(self.key).expect("a key");
        let mut subject = X509NameBuilder::new().expect("a name");
        if let Some(name) = self.common_name {
            subject.append_entry_by_text("CN", name).expect("a common name");
        }
        builder.set_subject_name(&subject.build()).expect("a subject");
        if !self.names.is_empty() || self.email.is_some() {
            let mut san = SubjectAlternativeName::new();
            for name in self.names {
                if name.parse::<IpAddr>().is_ok() {
                    san.ip(name)
                } else {
                    san.dns(name)
                };
            }
            if let Some(email) = self.email {
                san.email(email);
            }
            let context = builder.x509v3_context(None);
            let extension = san.build(&context).expect("a SAN");
            let mut extensions = Stack::new().expect("a stack");
            extensions.push(extension).expect("pushed");
            builder.add_extensions(&extensions).expect("extensions");
        }
        builder.sign(self.key, self.digest).expect("signed");
        builder.build().to_der().expect("DER")
    }
}

/// A P-256 key.
pub fn ec_key() -> PKey<Private> {
    curve_key(Nid::X9_62_PRIME256V1)
}

/// A key on this curve.
pub fn curve_key(curve: Nid) -> PKey<Private> {
    let group = EcGroup::from_curve_name(curve).expect("a curve");
    PKey::from_ec_key(EcKey::generate(&group).expect("a key")).expect("a key")
}

/// An RSA key of so many bits, with this public exponent.
pub fn rsa_key(bits: u32, exponent: u32) -> PKey<Private> {
    let exponent = BigNum::from_u32(exponent).expect("a number");
    PKey::from_rsa(Rsa::generate_with_e(bits, &exponent).expect("a key")).expect("a key")
}

/// The same bytes with the last octet of the signature changed.
pub fn tampered(mut der: Vec<u8>) -> Vec<u8> {
    *der.last_mut().expect("not empty") ^= 1;
    der
}
