//! A leaf certificate, from a template to the signed certificate: RFC 5280 4, in the profile that `lint.rs` spells out.
//! A draft was rehearsed and judged; signing consumes it, so that it is signed once.

use acme::id::Serial;
use acme::identifier::Identifier;
use acme::time::Timestamp;
use rcgen::{
    CertificateParams, CrlDistributionPoint, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, KeyUsagePurpose, SanType, SubjectPublicKeyInfo,
};
use x509_parser::certificate::TbsCertificate;
use x509_parser::prelude::FromDer;

use super::Error;
use super::issuer::Issuer;
use super::lint::{self, Finding};
use super::rehearsal::{self, Above};

/// What goes into a leaf.
#[derive(Clone, Debug)]
pub struct Template<'a> {
    /// Random, and never used before.
    pub serial: &'a Serial,
    /// What the certificate is for, each once.
    pub names: &'a [Identifier],
    /// A wish for the subject's common name. It is followed for a DNS name of at most 64 octets that is among the
    /// names; otherwise the subject stays empty, which every client of this century accepts.
    pub common_name: Option<&'a str>,
    /// The subject's public key: a SubjectPublicKeyInfo in DER.
    pub public_key: &'a [u8],
    /// The first second of its life; see [`Issuer::clamp_start`].
    pub not_before: Timestamp,
    /// The last second of its life; see [`Issuer::clamp`]. Ninety days end one second early.
    pub not_after: Timestamp,
    /// Whether the certificate is good for TLS clients too.
    pub client_auth: bool,
    /// Where the issuer's certificate is, DER over plain HTTP.
    pub ca_issuers_url: Option<&'a str>,
    /// Where the CRL is, DER over plain HTTP.
    pub crl_url: Option<&'a str>,
}

/// A leaf whose to-be-signed bytes were judged good, not yet signed.
#[must_use = "a draft is no certificate until it is signed"]
pub struct Draft<'a> {
    issuer: &'a Issuer,
    params: CertificateParams,
    public_key: SubjectPublicKeyInfo,
    tbs: Vec<u8>,
}

impl<'a> Draft<'a> {
    pub(super) fn rehearse(issuer: &'a Issuer, template: &Template<'_>) -> Result<Self, Error> {
        let public_key = SubjectPublicKeyInfo::from_der(template.public_key)
            .map_err(|e| Error::Refused(format!("the public key is of no kind that we certify: {e}")))?;
        let params = params(template)?;
        let above = Above::Certificate(issuer.certificate_der());
        let tbs = rehearsal::rehearse(&params, &public_key, above, issuer.key())?;
        lint::check_leaf(&tbs, &issuer.authority()).map_err(Error::Profile)?;
        check_template(&tbs, template).map_err(|why| Error::Profile(vec![Finding::new("template", why)]))?;
        Ok(Self { issuer, params, public_key, tbs })
    }

    /// The exact bytes that will be signed.
    pub fn tbs(&self) -> &[u8] {
        &self.tbs
    }

    /// Signs, and returns the certificate in DER.
    ///
    /// # Errors
    /// The bytes came out differently from the ones that were judged (then nothing was signed), or the key failed.
    pub fn sign(self) -> Result<Vec<u8>, Error> {
        let above = Above::Certificate(self.issuer.certificate_der());
        rehearsal::sign(&self.params, &self.public_key, above, self.issuer.key(), &self.tbs)
    }
}

fn params(template: &Template<'_>) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::default();
    params.serial_number = Some(template.serial.to_bytes().into());
    params.not_before = template.not_before.to_datetime();
    params.not_after = template.not_after.to_datetime();
    params.distinguished_name = DistinguishedName::new();
    if let Some(name) = common_name(template) {
        params.distinguished_name.push(DnType::CommonName, name);
    }
    params.subject_alt_names = template.names.iter().map(alternative_name).collect::<Result<_, _>>()?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    if is_rsa(template.public_key) {
        params.key_usages.push(KeyUsagePurpose::KeyEncipherment);
    }
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    if template.client_auth {
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
    }
    params.use_authority_key_identifier_extension = true;
    params.crl_distribution_points =
        template.crl_url.map(|url| CrlDistributionPoint { uris: vec![url.to_owned()] }).into_iter().collect();
    params.custom_extensions.extend(template.ca_issuers_url.map(authority_information));
    Ok(params)
}

/// An address is never a common name: OpenSSL takes it for a DNS name, and holds it against the name constraints.
fn common_name<'a>(template: &Template<'a>) -> Option<&'a str> {
    let wish = template.common_name?.to_ascii_lowercase();
    let fits = |name: &&Identifier| matches!(name, Identifier::Dns(name) if name.as_str() == wish && wish.len() <= 64);
    match template.names.iter().find(fits)? {
        Identifier::Dns(name) => Some(name.as_str()),
        Identifier::Ip(_) => None,
    }
}

fn alternative_name(name: &Identifier) -> Result<SanType, Error> {
    match name {
        Identifier::Dns(name) => name.as_str().try_into().map(SanType::DnsName).map_err(Error::Build),
        Identifier::Ip(address) => Ok(SanType::IpAddress(*address)),
    }
}

fn is_rsa(public_key: &[u8]) -> bool {
    x509_parser::x509::SubjectPublicKeyInfo::from_der(public_key)
        .is_ok_and(|(_, key)| key.algorithm.algorithm == x509_parser::oid_registry::OID_PKCS1_RSAENCRYPTION)
}

/// authorityInfoAccess with one caIssuers, RFC 5280 4.2.2.1.
fn authority_information(url: &str) -> CustomExtension {
    const ID_PE_AUTHORITY_INFO_ACCESS: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 1, 1];
    const ID_AD_CA_ISSUERS: &[u8] = &[0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x02];
    let location = tlv(0x86, url.as_bytes()); // [6] uniformResourceIdentifier
    let description = tlv(0x30, &[ID_AD_CA_ISSUERS, &location].concat());
    CustomExtension::from_oid_content(ID_PE_AUTHORITY_INFO_ACCESS, tlv(0x30, &description))
}

/// One DER element, X.690 8.1.
pub(super) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let significant = &length[length.iter().position(|b| *b != 0).unwrap_or(length.len() - 1)..];
    let mut out = vec![tag];
    match significant {
        [short @ 0..=0x7f] => out.push(*short),
        long => {
            out.push(0x80 | u8::try_from(long.len()).expect("a length has eight octets at most"));
            out.extend_from_slice(long);
        }
    }
    out.extend_from_slice(content);
    out
}

/// Whether the bytes say what the template says, no more and no less: the encoder is not trusted.
fn check_template(tbs: &[u8], template: &Template<'_>) -> Result<(), String> {
    let (_, tbs) = TbsCertificate::from_der(tbs).map_err(|e| e.to_string())?;
    let mut wanted: Vec<String> = template.names.iter().map(ToString::to_string).collect();
    let mut found = lint::alternative_names(&tbs);
    wanted.sort_unstable();
    found.sort_unstable();
    let clients = matches!(tbs.extended_key_usage(), Ok(Some(usage)) if usage.value.client_auth);
    let seconds = |time: x509_parser::time::ASN1Time| Timestamp::from_unix(time.timestamp());
    let same = [
        ("serial", tbs.raw_serial() == template.serial.to_bytes()),
        ("names", found == wanted),
        ("extended key usage", clients == template.client_auth),
        ("public key", tbs.subject_pki.raw == template.public_key),
        ("notBefore", seconds(tbs.validity.not_before) == template.not_before),
        ("notAfter", seconds(tbs.validity.not_after) == template.not_after),
    ];
    match same.iter().find(|(_, same)| !same) {
        Some((what, _)) => Err(format!("the {what} came out differently from what was asked for")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use x509_parser::certificate::X509Certificate;

    use super::*;
    use crate::ca::KeyKind;
    use crate::ca::fixture::{DAY, Desk, names, new_public_key, now, serial, template};

    fn subject(desk: &Desk, list: &[&str], common_name: &str) -> String {
        let (names, public_key, serial) = (names(list), new_public_key(KeyKind::P256), serial(7));
        let template = Template { common_name: Some(common_name), ..template(&serial, &names, &public_key) };
        let der = desk.ca().issuers()[0].draft(&template).unwrap().sign().unwrap();
        let (_, x509) = X509Certificate::from_der(&der).unwrap();
        x509.subject().to_string()
    }

    #[test]
    fn what_is_signed_is_what_was_judged_and_verifies_under_the_issuer() {
        let desk = Desk::new(KeyKind::P256, &["mgmt.lan", "192.168.1.0/24"]);
        let ca = desk.ca();
        let issuer = ca.active(now()).unwrap();
        let (names, serial) = (names(&["a.mgmt.lan", "*.mgmt.lan", "192.168.1.7"]), serial(7));
        for kind in [KeyKind::P256, KeyKind::P384, KeyKind::Rsa3072, KeyKind::Ed25519] {
            let public_key = new_public_key(kind);
            let draft = issuer.draft(&template(&serial, &names, &public_key)).unwrap();
            let tbs = draft.tbs().to_vec();
            let der = draft.sign().unwrap();
            let (_, x509) = X509Certificate::from_der(&der).unwrap();
            assert_eq!(x509.tbs_certificate.as_ref(), tbs);
            crate::ca::Certificate::parse(&der).unwrap().check_issued_by(issuer.certificate()).unwrap();
        }
    }

    #[test]
    fn a_leaf_is_for_clients_too_where_its_template_says_so_and_only_there() {
        let desk = Desk::new(KeyKind::P256, &["mgmt.lan"]);
        let (names, public_key, serial) = (names(&["a.mgmt.lan"]), new_public_key(KeyKind::P256), serial(7));
        let tbs = |client_auth| {
            let template = Template { client_auth, ..template(&serial, &names, &public_key) };
            desk.ca().issuers()[0].draft(&template).unwrap().tbs().to_vec()
        };
        for client_auth in [false, true] {
            let template = Template { client_auth, ..template(&serial, &names, &public_key) };
            assert_eq!(check_template(&tbs(client_auth), &template), Ok(()));
            let why = check_template(&tbs(!client_auth), &template).unwrap_err();
            assert!(why.contains("extended key usage"), "{why}");
        }
    }

    #[test]
    fn the_common_name_is_a_dns_name_among_the_names_or_absent() {
        let desk = Desk::new(KeyKind::P256, &["mgmt.lan", "192.168.1.0/24"]);
        assert_eq!(subject(&desk, &["a.mgmt.lan", "b.mgmt.lan"], "B.mgmt.lan"), "CN=b.mgmt.lan");
        assert_eq!(subject(&desk, &["a.mgmt.lan"], "b.mgmt.lan"), "");
        assert_eq!(subject(&desk, &["192.168.1.7"], "192.168.1.7"), "");
        let long = format!("{}.mgmt.lan", "a".repeat(60));
        assert_eq!(subject(&desk, &[&long], &long), "");
    }

    #[test]
    fn names_outside_the_constraints_are_refused_before_the_key_is_used() {
        let desk = Desk::new(KeyKind::P256, &["mgmt.lan"]);
        let ca = desk.ca();
        let (public_key, serial) = (new_public_key(KeyKind::P256), serial(7));
        for foreign in ["example.com", "192.168.1.7", "*.lan"] {
            let names = names(&["a.mgmt.lan", foreign]);
            let why = ca.issuers()[0].permits(&names[1]).unwrap_err();
            assert!(why.contains("mgmt.lan") && why.contains(foreign), "{why}");
            let refused = ca.issuers()[0].draft(&template(&serial, &names, &public_key)).err().unwrap();
            assert!(matches!(&refused, Error::Profile(f) if f[0].rule == "name_constraints"), "{refused}");
        }
    }

    #[test]
    fn no_leaf_outlives_its_issuer() {
        let desk = Desk::new(KeyKind::P256, &["mgmt.lan"]);
        let ca = desk.ca();
        let issuer = ca.active(now()).unwrap();
        let (names, public_key, serial) = (names(&["a.mgmt.lan"]), new_public_key(KeyKind::P256), serial(7));
        let good = template(&serial, &names, &public_key);
        let wish = now().plus(400 * DAY);
        let late = Template { not_after: wish, ..good.clone() };
        assert!(issuer.draft(&late).err().unwrap().to_string().contains("after the issuer does"));
        let clamped = Template { not_after: issuer.clamp(wish), ..good.clone() };
        assert!(issuer.draft(&clamped).is_ok());
        let wish = now().minus(2 * DAY);
        let early = Template { not_before: wish, ..good.clone() };
        assert!(issuer.draft(&early).err().unwrap().to_string().contains("before the issuer does"));
        let clamped = Template { not_before: issuer.clamp_start(wish), ..good };
        assert!(issuer.draft(&clamped).is_ok());
    }

    #[test]
    fn a_public_key_that_cannot_be_repeated_is_refused() {
        let desk = Desk::new(KeyKind::P256, &["mgmt.lan"]);
        let ca = desk.ca();
        let (names, serial) = (names(&["a.mgmt.lan"]), serial(7));
        for key in [&b""[..], b"\x30\x03\x02\x01\x01", b"not DER"] {
            assert!(ca.issuers()[0].draft(&template(&serial, &names, key)).is_err());
        }
    }

    #[test]
    fn a_serial_that_is_not_ours_is_refused() {
        let desk = Desk::new(KeyKind::P256, &["mgmt.lan"]);
        let ca = desk.ca();
        let (names, public_key) = (names(&["a.mgmt.lan"]), new_public_key(KeyKind::P256));
        for text in ["01", "8000000000000000", "0000000000000001"] {
            let serial = Serial::parse(text).unwrap();
            assert!(ca.issuers()[0].draft(&template(&serial, &names, &public_key)).is_err(), "{text}");
        }
    }

    #[test]
    fn lengths_are_written_as_der_wants_them() {
        assert_eq!(tlv(4, &[7; 3])[..2], [4, 3]);
        assert_eq!(tlv(4, &[7; 128])[..3], [4, 0x81, 128]);
        assert_eq!(tlv(4, &[7; 300])[..4], [4, 0x82, 1, 44]);
        assert_eq!(tlv(4, &[]), [4, 0]);
        let url = format!("http://ca.mgmt.lan/{}", "x".repeat(200));
        let desk = Desk::new(KeyKind::P256, &["mgmt.lan"]);
        let (names, public_key, serial) = (names(&["a.mgmt.lan"]), new_public_key(KeyKind::P256), serial(7));
        let long = Template { ca_issuers_url: Some(&url), ..template(&serial, &names, &public_key) };
        assert!(desk.ca().issuers()[0].draft(&long).is_ok());
    }

    #[test]
    fn drafting_is_cheap_enough_for_each_issuance() {
        let desk = Desk::new(KeyKind::P256, &["mgmt.lan"]);
        let ca = desk.ca();
        let (names, public_key, serial) = (names(&["a.mgmt.lan"]), new_public_key(KeyKind::P256), serial(7));
        let start = std::time::Instant::now();
        for _ in 0..100 {
            let draft = ca.issuers()[0].draft(&template(&serial, &names, &public_key)).unwrap();
            draft.sign().unwrap();
        }
        // About 0.1 s without optimisation; the bound only catches a mistake of another order.
        let taken = start.elapsed();
        assert!(taken < Duration::from_secs(10), "{taken:?}");
    }
}
