//! What is asked of a certificate request: RFC 8555 7.4, in the form of RFC 2986.
//!
//! From a request we take its key and its names, and nothing else: what a certificate says beside them is the
//! profile's business. So other requested extensions are ignored, unless silence would mislead whoever asked for them.
//! Policy, orders and accounts are not known here. Every refusal is `badCSR` with the rule, and leaves the order as
//! it was.

use std::collections::BTreeSet;
use std::net::IpAddr;

use x509_parser::asn1_rs::Any;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::cri_attributes::ParsedCriAttribute;
use x509_parser::extensions::{GeneralName, ParsedExtension, X509Extension};
use x509_parser::prelude::{FromDer, X509Name, X509Version};

use crate::identifier::Identifier;
use crate::jwk::sha256;
use crate::problem::Problem;

mod key;

pub use key::KeyType;

/// A request whose own signature holds, and whose key and names are of accepted kinds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateRequest {
    der: Vec<u8>,
    spki: Vec<u8>,
    key_type: KeyType,
    thumbprint: String,
    names: Vec<Identifier>,
    common_name: Option<Identifier>,
}

/// The longest request that is read, in octets. An RSA key of 4096 bits and 100 long names fit.
pub const LENGTH_LIMIT: usize = 16 * 1024;

/// How many names one request may hold, doubled ones counted.
pub const NAME_LIMIT: usize = 100;

impl CertificateRequest {
    /// Reads and judges a request in DER.
    ///
    /// # Errors
    /// `badCSR`, with the rule that it breaks.
    pub fn parse(der: &[u8]) -> Result<Self, Problem> {
        if der.len() > LENGTH_LIMIT {
            return Err(Problem::bad_csr(format!("the CSR is longer than {LENGTH_LIMIT} octets")));
        }
        if der.starts_with(b"-----BEGIN") {
            return Err(Problem::bad_csr("the CSR is PEM; send its DER in base64url (RFC 8555 7.4)"));
        }
        let (rest, csr) = X509CertificationRequest::from_der(der)
            .map_err(|_| Problem::bad_csr("the CSR is not a PKCS #10 request in DER (RFC 2986)"))?;
        if !rest.is_empty() {
            return Err(Problem::bad_csr("something follows the CSR"));
        }
        let info = &csr.certification_request_info;
        if info.version != X509Version::V1 {
            return Err(Problem::bad_csr("the CSR is not of version 1 (RFC 2986 4.1)"));
        }
        let kind = key::Kind::read(&info.subject_pki)?;
        kind.check_signature(&csr)?;
        let thumbprint = kind.thumbprint(&info.subject_pki)?;

        let common_name = common_name(&info.subject)?;
        let mut names: BTreeSet<Identifier> = common_name.iter().cloned().collect();
        for extension in requested_extensions(&csr)? {
            names.extend(names_of(extension)?);
        }
        if names.is_empty() {
            return Err(Problem::bad_csr("the CSR asks for no name; put names into subjectAltName"));
        }
        let (spki, names) = (info.subject_pki.raw.to_vec(), names.into_iter().collect());
        Ok(Self { der: der.to_vec(), spki, key_type: kind.key_type(), thumbprint, names, common_name })
    }

    /// The request itself, DER, to be kept until its certificate is.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The SubjectPublicKeyInfo in DER.
    pub fn public_key_der(&self) -> &[u8] {
        &self.spki
    }

    /// Of which kind the key is.
    pub fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// The SHA-256 of the SubjectPublicKeyInfo, for a list of keys that are not accepted.
    pub fn spki_sha256(&self) -> [u8; 32] {
        sha256(&self.spki)
    }

    /// The RFC 7638 thumbprint of the key, by which accounts are found: the key of an account must not be the key of a
    /// certificate (RFC 8555 11.1).
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// What the certificate is to be for: sorted, each once, the common name among them.
    pub fn names(&self) -> &[Identifier] {
        &self.names
    }

    /// The common name, when the subject has one.
    pub fn common_name(&self) -> Option<&Identifier> {
        self.common_name.as_ref()
    }

    /// Whether this asks for exactly the identifiers of its order (RFC 8555 7.4), in any sequence.
    ///
    /// # Errors
    /// `badCSR`, with the names that are missing and those that are not in the order.
    pub fn check(&self, order: &[Identifier]) -> Result<(), Problem> {
        let asked: BTreeSet<&Identifier> = self.names.iter().collect();
        let ordered: BTreeSet<&Identifier> = order.iter().collect();
        let missing = list(ordered.difference(&asked).copied());
        let extra = list(asked.difference(&ordered).copied());
        let what = match (missing, extra) {
            (None, None) => return Ok(()),
            (Some(missing), None) => format!("it lacks {missing}"),
            (None, Some(extra)) => format!("it has {extra}, which the order has not"),
            (Some(missing), Some(extra)) => format!("it lacks {missing}, and has {extra} instead"),
        };
        Err(Problem::bad_csr(format!("the names of the CSR are not those of the order: {what}")))
    }
}

/// The one value of the one extensionRequest attribute, RFC 2985 5.4.2.
fn requested_extensions<'a>(
    csr: &'a X509CertificationRequest<'_>,
) -> Result<&'a [X509Extension<'a>], Problem> {
    let mut found: Option<&[X509Extension<'_>]> = None;
    for attribute in csr.certification_request_info.attributes() {
        let ParsedCriAttribute::ExtensionRequest(request) = attribute.parsed_attribute() else { continue };
        // The parser stops after the first value; its end is then not the end of the set.
        let has_one_value = Any::from_der(attribute.value).is_ok_and(|(rest, _)| rest.is_empty());
        if found.is_some() || !has_one_value {
            return Err(Problem::bad_csr("the CSR has several lists of requested extensions; send one"));
        }
        found = Some(&request.extensions);
    }
    let extensions = found.unwrap_or_default();
    let kinds: BTreeSet<String> = extensions.iter().map(|e| e.oid.to_id_string()).collect();
    if kinds.len() < extensions.len() {
        return Err(Problem::bad_csr("the CSR asks for the same extension twice (RFC 5280 4.2)"));
    }
    Ok(extensions)
}

/// The names in one requested extension.
fn names_of(extension: &X509Extension<'_>) -> Result<Vec<Identifier>, Problem> {
    match extension.parsed_extension() {
        ParsedExtension::SubjectAlternativeName(san) if san.general_names.len() > NAME_LIMIT => {
            Err(Problem::bad_csr(format!("the CSR has more than {NAME_LIMIT} names")))
        }
        ParsedExtension::SubjectAlternativeName(san) => {
            san.general_names.iter().map(alternative_name).collect()
        }
        ParsedExtension::BasicConstraints(constraints) if constraints.ca => Err(Problem::bad_csr(
            "the CSR asks for a CA certificate (basicConstraints cA); none are issued here",
        )),
        _ => match extension.oid.to_id_string().as_str() {
            // RFC 7633. Such a certificate would stop working where the stapling is enforced.
            TLS_FEATURE => Err(Problem::bad_csr(
                "the CSR asks for must-staple (TLS feature), and OCSP is not offered here; leave it out",
            )),
            // What is ignored may be unreadable, these may not.
            SUBJECT_ALT_NAME | BASIC_CONSTRAINTS if extension.parsed_extension().error().is_some() => {
                let oid = extension.oid.to_id_string();
                Err(Problem::bad_csr(format!("the requested extension {oid} is not valid DER")))
            }
            _ => Ok(Vec::new()),
        },
    }
}

fn alternative_name(name: &GeneralName<'_>) -> Result<Identifier, Problem> {
    let kind = match name {
        GeneralName::DNSName(name) => return Identifier::dns(name).map_err(|problem| in_san(&problem)),
        GeneralName::IPAddress(octets) => return address(octets),
        GeneralName::RFC822Name(_) => "an email address",
        GeneralName::URI(_) => "a URI",
        GeneralName::DirectoryName(_) => "a directory name",
        GeneralName::OtherName(..) => "an otherName",
        GeneralName::Invalid(..) => "something unreadable",
        _ => "a name of a rare kind",
    };
    Err(Problem::bad_csr(format!("subjectAltName holds {kind}; only dNSName and iPAddress are accepted")))
}

fn address(octets: &[u8]) -> Result<Identifier, Problem> {
    let address = if let Ok(v4) = <[u8; 4]>::try_from(octets) {
        IpAddr::from(v4)
    } else if let Ok(v6) = <[u8; 16]>::try_from(octets) {
        IpAddr::from(v6)
    } else {
        return Err(Problem::bad_csr("an iPAddress in subjectAltName has 4 or 16 octets (RFC 5280 4.2.1.6)"));
    };
    Identifier::ip(&address.to_string()).map_err(|problem| in_san(&problem))
}

fn in_san(problem: &Problem) -> Problem {
    Problem::bad_csr(format!("subjectAltName: {}", problem.detail))
}

/// RFC 8555 7.4 lets an identifier stand in the common name instead. One that is no identifier would be lost in the
/// certificate, so it is refused; an empty one says nothing.
fn common_name(subject: &X509Name<'_>) -> Result<Option<Identifier>, Problem> {
    let mut names = subject.iter_common_name();
    let (first, second) = (names.next(), names.next());
    if second.is_some() {
        return Err(Problem::bad_csr("the subject has several common names; put names into subjectAltName"));
    }
    let Some(attribute) = first else { return Ok(None) };
    let name = attribute
        .as_str()
        .map_err(|_| Problem::bad_csr("the common name is neither a UTF8String nor a PrintableString"))?;
    if name.is_empty() {
        return Ok(None);
    }
    let is_address = name.parse::<IpAddr>().is_ok();
    let name = if is_address { Identifier::ip(name) } else { Identifier::dns(name) };
    name.map(Some).map_err(|problem| {
        let why = problem.detail;
        Problem::bad_csr(format!("the common name must be a name of the order, or be left out: {why}"))
    })
}

fn list<'a>(names: impl Iterator<Item = &'a Identifier>) -> Option<String> {
    let names: Vec<String> = names.map(ToString::to_string).collect();
    match names.as_slice() {
        [] => None,
        few if few.len() <= LISTED => Some(few.join(", ")),
        many => Some(format!("{} and {} more", many[..LISTED].join(", "), many.len() - LISTED)),
    }
}

/// How many names a refusal shows.
const LISTED: usize = 5;
const SUBJECT_ALT_NAME: &str = "2.5.29.17";
const BASIC_CONSTRAINTS: &str = "2.5.29.19";
/// id-pe-tlsfeature, RFC 7633 4.1.
const TLS_FEATURE: &str = "1.3.6.1.5.5.7.1.24";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::jwk::AccountKey;
    use crate::problem::Kind;

    fn parse(file: &str) -> Result<CertificateRequest, Problem> {
        CertificateRequest::parse(&fixture::read(&format!("csr/{file}.der")))
    }

    fn identifiers(names: &str) -> Vec<Identifier> {
        let read = |name: &str| Identifier::written(name).unwrap();
        names.split_whitespace().map(read).collect()
    }

    #[test]
    fn what_clients_send_is_accepted() {
        let hundred: Vec<String> = (0..100).map(|i| format!("n{i}.lan")).collect();
        let hundred = hundred.join(" ");
        let rows = [
            ("p256", "a.lan", Some("a.lan")),
            ("p384", "a.lan", Some("a.lan")),
            ("p521", "a.lan", Some("a.lan")),
            ("rsa2048", "a.lan", Some("a.lan")),
            ("rsa4096", "a.lan", Some("a.lan")),
            ("ed25519", "a.lan", Some("a.lan")),
            ("p256-sha512", "a.lan", None),
            ("p384-sha256", "a.lan", None),
            ("p521-sha384", "a.lan", None),
            ("rsa2048-sha512", "a.lan", None),
            ("rsa2048-pss", "a.lan", None),
            ("by-hand", "a.lan", None),
            ("empty-subject", "a.lan b.lan", None),
            ("empty-common-name", "a.lan", None),
            ("common-name-alone", "a.lan", Some("a.lan")),
            ("common-name-beside", "a.lan b.lan", Some("b.lan")),
            ("common-name-address", "10.0.0.1", Some("10.0.0.1")),
            ("whole-subject", "a.lan", Some("a.lan")),
            ("capitals", "a.lan", Some("a.lan")),
            ("doubled-names", "a.lan", None),
            ("wildcard", "a.lan *.a.lan", None),
            ("addresses", "10.0.0.1 fd00::1 a.lan", None),
            ("a-label", "xn--mnchen-3ya.lan", None),
            ("100-names", &hundred, None),
            ("other-extensions", "a.lan", None),
            ("other-attributes", "a.lan", None),
            ("other-extension-not-der", "a.lan", None),
            ("challenge-password", "a.lan", None),
        ];
        fixture::assert_rows_are_files("csr/accepted", rows.map(|(file, ..)| file));
        for (file, names, common_name) in rows {
            let csr = parse(&format!("accepted/{file}")).expect(file);
            assert_eq!(csr.check(&identifiers(names)), Ok(()), "{file}");
            assert!(csr.names().is_sorted_by(|a, b| a < b), "{file}");
            assert_eq!(csr.common_name().map(ToString::to_string).as_deref(), common_name, "{file}");
        }
    }

    #[test]
    fn each_rule_of_a_request_is_named_when_it_is_broken() {
        const SIGNATURE: &str = "signature of the CSR was not made by the key in it";
        const WEAK: &str = "SHA-1 or MD5";
        const SALT: &str =
            "accepted is a salt as long as the hash, 32 (openssl: -sigopt rsa_pss_saltlen:digest)";
        let rows = [
            ("empty", "not a PKCS #10 request"),
            ("truncated", "not a PKCS #10 request"),
            ("a-certificate", "not a PKCS #10 request"),
            ("pem", "send its DER"),
            ("trailing-octet", "something follows"),
            ("two-of-them", "something follows"),
            ("too-long", "longer than 16384 octets"),
            ("version-2", "version 1"),
            ("signature-bit-flipped", SIGNATURE),
            ("signature-of-another-key", SIGNATURE),
            ("signature-of-another-kind", SIGNATURE),
            ("pss-long-salt", SALT),
            ("pss-short-salt", SALT),
            ("pss-other-mask", "whose mask is made with another hash"),
            ("key-off-curve", SIGNATURE),
            ("algorithm-of-another-kind", "does not go with its key"),
            ("sha224-rsa", "does not go with its key"),
            ("sha1-rsa", WEAK),
            ("sha1-ecdsa", WEAK),
            ("sha1-pss", WEAK),
            ("md5-rsa", WEAK),
            ("key-rsa1024", "1024 bits"),
            ("key-rsa2052", "2052 bits"),
            ("key-rsa4104", "4104 bits"),
            ("key-rsa2048-e3", "65537"),
            ("key-rsa-small-factor", "factor 751"),
            ("key-rsa-roca", "ROCA"),
            ("key-rsa-close-primes", "close together"),
            ("key-rsa-pss", "is not accepted"),
            ("key-rsa-without-null", "DER form"),
            ("key-secp256k1", "P-256, P-384 or P-521"),
            ("key-compressed", "uncompressed"),
            ("key-explicit-curve", "named curve"),
            ("key-ed448", "is not accepted"),
            ("key-small-order", "small order"),
            ("email", "an email address"),
            ("uri", "a URI"),
            ("other-name", "an otherName"),
            ("directory-name", "a directory name"),
            ("registered-id", "only dNSName and iPAddress"),
            ("x400-address", "only dNSName and iPAddress"),
            ("name-not-utf8", "only dNSName and iPAddress"),
            ("underscore", "letters, digits and hyphens"),
            ("name-with-nul", "letters, digits and hyphens"),
            ("name-not-ascii", "xn--mnchen-3ya.lan"),
            ("name-empty", "empty"),
            ("final-dot", "final dot"),
            ("address-as-name", "IP address"),
            ("address-mapped", "hides an IPv4 address"),
            ("address-of-5-octets", "4 or 16 octets"),
            ("common-name-no-name", "common name must be a name of the order"),
            ("common-name-address-in-capitals", "write the address FD00::1 as fd00::1"),
            ("common-name-in-utf16", "UTF8String"),
            ("common-names-two", "several common names"),
            ("no-names", "no name"),
            ("no-attributes", "no name"),
            ("san-empty", "no name"),
            ("san-not-der", "2.5.29.17 is not valid DER"),
            ("ca-not-der", "2.5.29.19 is not valid DER"),
            ("101-names", "more than 100 names"),
            ("must-staple", "OCSP is not offered"),
            ("ca", "CA certificate"),
            ("extension-twice", "same extension twice"),
            ("two-requests", "several lists"),
            ("two-requests-in-one", "several lists"),
        ];
        fixture::assert_rows_are_files("csr/refused", rows.map(|(file, _)| file));
        for (file, phrase) in rows {
            let problem = parse(&format!("refused/{file}")).expect_err(file);
            assert_eq!((problem.kind, problem.status), (Kind::BadCsr, 400), "{file}");
            assert!(problem.detail.contains(phrase), "{file}: {problem}");
        }
    }

    #[test]
    fn the_names_are_exactly_those_of_the_order() {
        let csr = parse("accepted/empty-subject").unwrap();
        assert_eq!(csr.check(&identifiers("b.lan a.lan a.lan")), Ok(()));
        let detail = |order: &str| csr.check(&identifiers(order)).expect_err(order).detail;
        assert!(detail("a.lan b.lan c.lan").ends_with("it lacks c.lan"));
        assert!(detail("a.lan").ends_with("it has b.lan, which the order has not"));
        assert!(detail("a.lan *.b.lan").ends_with("it lacks *.b.lan, and has b.lan instead"));
        let hundred =
            parse("accepted/100-names").unwrap().check(&identifiers("n0.lan")).expect_err("99 more");
        assert!(hundred.detail.contains("n13.lan and 94 more"), "{hundred}");
    }

    #[test]
    fn the_thumbprint_is_that_of_the_same_key_as_an_account_key() {
        for name in ["es256", "es384", "es512", "rs256", "eddsa"] {
            let path = format!("{}/../fixtures/jws/keys/{name}.pem", env!("CARGO_MANIFEST_DIR"));
            let made = std::process::Command::new("openssl")
                .args(["req", "-new", "-key", &path, "-subj", "/CN=a.lan", "-outform", "DER"])
                .output()
                .unwrap();
            let csr = CertificateRequest::parse(&made.stdout).expect(name);
            let account = AccountKey::parse(&fixture::json(&format!("jws/keys/{name}.json"))).unwrap();
            assert_eq!(csr.thumbprint(), account.thumbprint(), "{name}");
            assert_eq!(csr.spki_sha256(), account.spki_sha256(), "{name}");
        }
        let other = parse("accepted/p256").unwrap();
        assert_ne!(other.thumbprint(), parse("accepted/ed25519").unwrap().thumbprint());
    }

    #[test]
    fn no_change_of_an_octet_changes_what_is_asked_for() {
        for file in ["p256", "ed25519", "rsa2048"] {
            let good = fixture::read(&format!("csr/accepted/{file}.der"));
            for place in 0..good.len() {
                for change in [0x01, 0x80, 0xff] {
                    let mut bad = good.clone();
                    bad[place] ^= change;
                    if let Ok(csr) = CertificateRequest::parse(&bad) {
                        // What wraps the signed part has several forms that the parser takes for the same (it
                        // does not look at the class of a tag). The key and the names are inside.
                        let csr = CertificateRequest { der: good.clone(), ..csr };
                        assert_eq!(csr, CertificateRequest::parse(&good).unwrap(), "{file} at {place}");
                    }
                }
            }
        }
    }
}
