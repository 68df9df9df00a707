//! What a leaf is: a TLS server's certificate and nothing else.

use acme::identifier::{DnsName, Identifier};
use x509_parser::der_parser::asn1_rs::Oid;
use x509_parser::extensions::{DistributionPointName, GeneralName, ParsedExtension};
use x509_parser::oid_registry as oid;

use super::every::{find, key_usage_is, known, require};
use super::{Authority, Tbs, Verdict, alternative_names};

/// Empty, or one common name that is among the alternative names and within X.520's 64 characters.
pub(super) fn subject(tbs: &Tbs<'_>, _: &Authority<'_>) -> Verdict {
    let mut attributes = tbs.subject.iter_attributes();
    let Some(first) = attributes.next() else { return Ok(()) };
    require(attributes.next().is_none() && *first.attr_type() == oid::OID_X509_COMMON_NAME, || {
        format!("'{}' is more than a common name", tbs.subject)
    })?;
    let name = first.as_str().map_err(|_| "the common name is no text".to_owned())?;
    require(name.len() <= 64, || format!("the common name has {} octets; 64 is the most", name.len()))?;
    require(alternative_names(tbs).iter().any(|n| n == name), || {
        format!("the common name {name} is not among the alternative names")
    })
}

/// RFC 5280 4.2.1.6: present; critical when, and only when, there is no subject.
pub(super) fn alternative_name(tbs: &Tbs<'_>, _: &Authority<'_>) -> Verdict {
    let Some(san) = find(tbs, &oid::OID_X509_EXT_SUBJECT_ALT_NAME) else { return Err("is missing".into()) };
    let no_subject = tbs.subject.iter_rdn().next().is_none();
    require(!alternative_names(tbs).is_empty(), || "is empty".into())?;
    require(san.critical == no_subject, || "is critical when the subject is empty, and only then".into())
}

pub(super) fn alternative_name_form(tbs: &Tbs<'_>, _: &Authority<'_>) -> Verdict {
    let Ok(Some(san)) = tbs.subject_alternative_name() else { return Ok(()) };
    let mut seen = Vec::new();
    for name in &san.value.general_names {
        let right = match name {
            GeneralName::DNSName(text) => {
                DnsName::parse(text).is_ok_and(|canonical| canonical.as_str() == *text)
            }
            GeneralName::IPAddress(octets) => matches!(octets.len(), 4 | 16),
            _ => false,
        };
        require(right, || {
            format!("{name} is neither a canonical DNS name nor an address of 4 or 16 octets")
        })?;
        require(!seen.contains(&name), || format!("{name} stands twice"))?;
        seen.push(name);
    }
    Ok(())
}

pub(super) fn names_permitted(tbs: &Tbs<'_>, above: &Authority<'_>) -> Verdict {
    for name in alternative_names(tbs) {
        // What is no identifier is the business of the rule about their form.
        let Ok(name) = Identifier::written(&name) else { continue };
        for (ca, constraints) in above.constraints {
            constraints.check(&name).map_err(|why| format!("'{ca}': {why}"))?;
        }
    }
    Ok(())
}

/// digitalSignature, and keyEncipherment for the RSA key exchange of TLS 1.2 alone.
pub(super) fn key_usage(tbs: &Tbs<'_>, _: &Authority<'_>) -> Verdict {
    let rsa = tbs.subject_pki.algorithm.algorithm == oid::OID_PKCS1_RSAENCRYPTION;
    let right = if rsa { DIGITAL_SIGNATURE | KEY_ENCIPHERMENT } else { DIGITAL_SIGNATURE };
    key_usage_is(tbs, right)
}

pub(super) fn extended_key_usage(tbs: &Tbs<'_>, _: &Authority<'_>) -> Verdict {
    let Ok(Some(usage)) = tbs.extended_key_usage() else { return Err("is missing".into()) };
    let eku = usage.value;
    let others = eku.any || eku.code_signing || eku.email_protection || eku.time_stamping || eku.ocsp_signing;
    require(eku.server_auth && !others && eku.other.is_empty(), || {
        "is serverAuth, and clientAuth when it is asked for; nothing else".into()
    })
}

/// Absent. `cA FALSE` is the default, and DER does not write defaults down.
pub(super) fn no_basic_constraints(tbs: &Tbs<'_>, _: &Authority<'_>) -> Verdict {
    require(find(tbs, &oid::OID_X509_EXT_BASIC_CONSTRAINTS).is_none(), || "a leaf has none".into())
}

pub(super) fn authority_information(tbs: &Tbs<'_>, _: &Authority<'_>) -> Verdict {
    let Some(extension) = find(tbs, &oid::OID_PKIX_AUTHORITY_INFO_ACCESS) else { return Ok(()) };
    let ParsedExtension::AuthorityInfoAccess(access) = extension.parsed_extension() else {
        return Err("cannot be read".into());
    };
    let right = access.accessdescs.iter().all(|description| {
        description.access_method == oid::OID_PKIX_ACCESS_DESCRIPTOR_CA_ISSUERS
            && is_http(&description.access_location)
    });
    require(right && !access.accessdescs.is_empty(), || "is caIssuers at an http:// URL".into())
}

pub(super) fn crl_distribution(tbs: &Tbs<'_>, _: &Authority<'_>) -> Verdict {
    let Some(extension) = find(tbs, &oid::OID_X509_EXT_CRL_DISTRIBUTION_POINTS) else { return Ok(()) };
    let ParsedExtension::CRLDistributionPoints(points) = extension.parsed_extension() else {
        return Err("cannot be read".into());
    };
    let right = points.points.iter().all(|point| match &point.distribution_point {
        Some(DistributionPointName::FullName(names)) => !names.is_empty() && names.iter().all(is_http),
        _ => false,
    });
    require(right && !points.points.is_empty(), || "is at an http:// URL".into())
}

pub(super) fn extensions_known(tbs: &Tbs<'_>, _: &Authority<'_>) -> Verdict {
    const MAY_BE_CRITICAL: [Oid<'static>; 2] =
        [oid::OID_X509_EXT_SUBJECT_ALT_NAME, oid::OID_X509_EXT_KEY_USAGE];
    const KNOWN: [Oid<'static>; 6] = [
        oid::OID_X509_EXT_EXTENDED_KEY_USAGE,
        oid::OID_X509_EXT_BASIC_CONSTRAINTS,
        oid::OID_X509_EXT_AUTHORITY_KEY_IDENTIFIER,
        oid::OID_X509_EXT_SUBJECT_KEY_IDENTIFIER,
        oid::OID_PKIX_AUTHORITY_INFO_ACCESS,
        oid::OID_X509_EXT_CRL_DISTRIBUTION_POINTS,
    ];
    known(tbs, &MAY_BE_CRITICAL, &KNOWN)
}

fn is_http(name: &GeneralName<'_>) -> bool {
    let has_host = |rest: &str| !rest.is_empty() && !rest.starts_with('/');
    matches!(name, GeneralName::URI(url) if url.strip_prefix("http://").is_some_and(has_host))
}

const DIGITAL_SIGNATURE: u16 = 1;
const KEY_ENCIPHERMENT: u16 = 1 << 2;
