//! Certificates that others make: of products that put something in place until a real one comes, of CAs that play ours,
//! of another age. Made with OpenSSL, because it makes what a careful library refuses to make.

use std::fs;
use std::path::{Path, PathBuf};

use openssl::asn1::{Asn1Integer, Asn1Time};
use openssl::bn::BigNum;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{
    AuthorityKeyIdentifier, BasicConstraints, SubjectAlternativeName, SubjectKeyIdentifier,
};
use openssl::x509::{X509, X509NameBuilder};

use super::csr::ec_key;

/// A certificate with its key.
#[derive(Clone)]
pub struct Forged {
    /// The certificate.
    pub certificate: X509,
    /// Its key.
    pub key: PKey<Private>,
}

/// What a certificate is to say.
pub struct Wish<'a> {
    /// The subject, `CN=a.lan, O=Acme Co`.
    pub subject: &'a str,
    /// The alternative names.
    pub names: &'a [&'a str],
    /// From how many days ago.
    pub since: u32,
    /// For how many days from now.
    pub days: u32,
    /// Whether it is a CA's.
    pub is_ca: bool,
    /// 0 is X.509 v1, 2 is v3.
    pub version: i32,
    /// Its serial; random unless it is given.
    pub serial: Option<&'a str>,
}

impl Default for Wish<'_> {
    fn default() -> Self {
        Self { subject: "", names: &[], since: 1, days: 90, is_ca: false, version: 2, serial: None }
    }
}

impl Forged {
    /// Signed by itself.
    pub fn alone(wish: &Wish<'_>) -> Self {
        Self::make(wish, None)
    }

    /// Signed by another.
    pub fn below(&self, wish: &Wish<'_>) -> Self {
        Self::make(wish, Some(self))
    }

    /// What lies in two PEM files: a real CA, whose key was taken.
    pub fn read(certificate: &Path, key: &Path) -> Self {
        Self {
            certificate: X509::from_pem(&fs::read(certificate).expect("a certificate")).expect("PEM"),
            key: PKey::private_key_from_pem(&fs::read(key).expect("a key")).expect("PEM"),
        }
    }

    fn make(wish: &Wish<'_>, issuer: Option<&Self>) -> Self {
        let key = ec_key();
        let mut subject = X509NameBuilder::new().expect("a name");
        for part in wish.subject.split(", ").filter(|part| !part.is_empty()) {
            let (kind, value) = part.split_once('=').expect("KIND=value");
            subject.append_entry_by_text(kind, value).expect("an entry");
        }
        let subject = subject.build();
        let mut builder = X509::builder().expect("a builder");
        builder.set_version(wish.version).expect("a version");
        let mut random = [0; 16];
        aws_lc_rs::rand::fill(&mut random).expect("randomness");
        random[0] = random[0] & 0x3f | 0x40;
        let serial = match wish.serial {
            Some(digits) => BigNum::from_hex_str(digits).expect("a number"),
            None => BigNum::from_slice(&random).expect("a number"),
        };
        builder.set_serial_number(&Asn1Integer::from_bn(&serial).expect("a number")).expect("a serial");
        let now = acme_ca::clock::Clock::System.now().unix();
        let at = |seconds: i64| Asn1Time::from_unix(seconds).expect("a time");
        builder.set_not_before(&at(now - i64::from(wish.since) * 86_400)).expect("a beginning");
        builder.set_not_after(&at(now + i64::from(wish.days) * 86_400)).expect("an end");
        builder.set_subject_name(&subject).expect("a subject");
        builder
            .set_issuer_name(issuer.map_or(&subject, |it| it.certificate.subject_name()))
            .expect("an issuer");
        builder.set_pubkey(&key).expect("a key");
        if wish.version == 2 {
            let mut extensions = Vec::new();
            {
                let above = issuer.map(|it| &*it.certificate);
                let context = builder.x509v3_context(above, None);
                if !wish.names.is_empty() {
                    let mut san = SubjectAlternativeName::new();
                    for name in wish.names {
                        if name.parse::<std::net::IpAddr>().is_ok() {
                            san.ip(name)
                        } else {
                            san.dns(name)
                        };
                    }
                    extensions.push(san.build(&context).expect("a SAN"));
                }
                extensions.push(SubjectKeyIdentifier::new().build(&context).expect("a key identifier"));
                if above.is_some_and(|above| above.subject_key_id().is_some()) {
                    let id = AuthorityKeyIdentifier::new().keyid(true).build(&context);
                    extensions.push(id.expect("an authority key identifier"));
                }
            }
            if wish.is_ca {
                extensions.push(BasicConstraints::new().critical().ca().build().expect("basic constraints"));
            }
            for extension in extensions {
                builder.append_extension(extension).expect("an extension");
            }
        }
        builder.sign(issuer.map_or(&key, |it| &it.key), MessageDigest::sha256()).expect("signed");
        Self { certificate: builder.build(), key }
    }

    /// PEM.
    pub fn pem(&self) -> String {
        String::from_utf8(self.certificate.to_pem().expect("PEM")).expect("text")
    }

    /// The private key in PEM.
    pub fn key_pem(&self) -> String {
        key_pem(&self.key)
    }
}

/// A private key in PEM.
pub fn key_pem(key: &PKey<Private>) -> String {
    String::from_utf8(key.private_key_to_pem_pkcs8().expect("PEM")).expect("text")
}

/// Writes a chain and a key beside each other, as web servers want them.
pub fn write(dir: &Path, name: &str, chain: &str, key: &str) -> (PathBuf, PathBuf) {
    let paths = (dir.join(format!("{name}.pem")), dir.join(format!("{name}.key")));
    fs::write(&paths.0, chain).expect("written");
    fs::write(&paths.1, key).expect("written");
    paths
}
