//! What a root and an intermediate are.

use ipnet::IpNet;
use x509_parser::der_parser::asn1_rs::Oid;
use x509_parser::extensions::{ParsedExtension, X509Extension};
use x509_parser::oid_registry as oid;

use super::every::{find, is_authority_key_id, key_usage_is, known, require};
use super::{Authority, Tbs, Verdict};
use crate::ca::constraints::{Constraints, Subtree};

pub(super) fn subject(tbs: &Tbs<'_>, _: &Authority<'_>) -> Verdict {
    let name = tbs.subject.iter_common_name().next().and_then(|name| name.as_str().ok()).unwrap_or_default();
    let length = name.chars().count();
    require((1..=64).contains(&length), || "a CA has a common name of 1 to 64 characters".into())
}

pub(super) fn key_usage(tbs: &Tbs<'_>, _: &Authority<'_>) -> Verdict {
    key_usage_is(tbs, KEY_CERT_SIGN | CRL_SIGN)
}

pub(super) fn subject_key_id(tbs: &Tbs<'_>, _: &Authority<'_>) -> Verdict {
    require(find(tbs, &oid::OID_X509_EXT_SUBJECT_KEY_IDENTIFIER).is_some_and(|id| !id.critical), || {
        "is missing, or critical".into()
    })
}

/// RFC 5280 4.2.1.10: a client that does not know name constraints must refuse the certificate.
pub(super) fn name_constraints_critical(tbs: &Tbs<'_>, _: &Authority<'_>) -> Verdict {
    let extension = find(tbs, &oid::OID_X509_EXT_NAME_CONSTRAINTS);
    require(extension.is_none_or(|extension| extension.critical), || "name constraints are critical".into())
}

/// What is not spoken of is open: constraints on DNS names alone let every address pass, and the other way round. They
/// are never empty (RFC 5280 4.2.1.10). A rule for roots: below one of another maker, an intermediate takes over what
/// that one says.
pub(super) fn name_constraints_whole(tbs: &Tbs<'_>, _: &Authority<'_>) -> Verdict {
    let Some(own) = own_constraints(tbs)? else { return Ok(()) };
    let names = own.permitted.iter().any(|tree| matches!(tree, Subtree::Dns(_)));
    let addresses = own.permitted.iter().any(|tree| matches!(tree, Subtree::Net(_)));
    let excluded = |v4: bool| {
        let whole = |net: &IpNet| net.prefix_len() == 0 && net.addr().is_ipv4() == v4;
        own.excluded.iter().any(|tree| matches!(tree, Subtree::Net(net) if whole(net)))
    };
    require(names, || "say which DNS names are permitted".into())?;
    require(addresses || (excluded(true) && excluded(false)), || {
        "say which addresses are permitted, or exclude 0.0.0.0/0 and ::/0".into()
    })
}

pub(super) fn extensions_known(tbs: &Tbs<'_>, _: &Authority<'_>) -> Verdict {
    const MAY_BE_CRITICAL: [Oid<'static>; 3] = [
        oid::OID_X509_EXT_BASIC_CONSTRAINTS,
        oid::OID_X509_EXT_KEY_USAGE,
        oid::OID_X509_EXT_NAME_CONSTRAINTS,
    ];
    const KNOWN: [Oid<'static>; 3] = [
        oid::OID_X509_EXT_AUTHORITY_KEY_IDENTIFIER,
        oid::OID_X509_EXT_SUBJECT_KEY_IDENTIFIER,
        oid::OID_X509_EXT_EXTENDED_KEY_USAGE,
    ];
    known(tbs, &MAY_BE_CRITICAL, &KNOWN)
}

pub(super) fn root_basic_constraints(tbs: &Tbs<'_>, _: &Authority<'_>) -> Verdict {
    basic_constraints(tbs, &[None, Some(1)], "without pathLen or with 1")
}

pub(super) fn intermediate_basic_constraints(tbs: &Tbs<'_>, _: &Authority<'_>) -> Verdict {
    basic_constraints(tbs, &[Some(0)], "with pathLen 0")
}

/// RFC 5280 4.2.1.1: a root may leave it out, and otherwise names its own key.
pub(super) fn own_authority_key_id(tbs: &Tbs<'_>, above: &Authority<'_>) -> Verdict {
    let Some(extension) = find(tbs, &oid::OID_X509_EXT_AUTHORITY_KEY_IDENTIFIER) else { return Ok(()) };
    let own = find(tbs, &oid::OID_X509_EXT_SUBJECT_KEY_IDENTIFIER).map(X509Extension::parsed_extension);
    let Some(ParsedExtension::SubjectKeyIdentifier(own)) = own else { return Err("is there alone".into()) };
    is_authority_key_id(Some(extension), &Authority { key_id: own.0, ..*above })
}

/// A purpose of a root would be read as a limit on all below it by some, and not by others.
pub(super) fn no_extended_key_usage(tbs: &Tbs<'_>, _: &Authority<'_>) -> Verdict {
    require(find(tbs, &oid::OID_X509_EXT_EXTENDED_KEY_USAGE).is_none(), || "a root has none".into())
}

/// In an intermediate it limits what is below; what is below is for TLS.
pub(super) fn tls_alone(tbs: &Tbs<'_>, above: &Authority<'_>) -> Verdict {
    match find(tbs, &oid::OID_X509_EXT_EXTENDED_KEY_USAGE) {
        Some(_) => super::leaf::extended_key_usage(tbs, above),
        None => Ok(()),
    }
}

pub(super) fn self_issued(tbs: &Tbs<'_>, _: &Authority<'_>) -> Verdict {
    require(tbs.subject.as_raw() == tbs.issuer.as_raw(), || "a root is its own issuer".into())
}

/// RFC 5280 6.1 does not count self-issued certificates in a path's length; and people would mistake the two.
pub(super) fn not_self_issued(tbs: &Tbs<'_>, _: &Authority<'_>) -> Verdict {
    require(tbs.subject.as_raw() != tbs.issuer.as_raw(), || {
        format!("'{}' is the root's own name; an intermediate needs another", tbs.subject)
    })
}

pub(super) fn constraints_within(tbs: &Tbs<'_>, above: &Authority<'_>) -> Verdict {
    let own = own_constraints(tbs)?.unwrap_or_default();
    above.constraints.iter().try_for_each(|(ca, constraints)| {
        own.check_within(constraints).map_err(|why| format!("'{ca}': {why}"))
    })
}

fn own_constraints(tbs: &Tbs<'_>) -> Result<Option<Constraints>, String> {
    match find(tbs, &oid::OID_X509_EXT_NAME_CONSTRAINTS).map(X509Extension::parsed_extension) {
        Some(ParsedExtension::NameConstraints(names)) => Constraints::from_extension(names).map(Some),
        Some(_) => Err("cannot be read".into()),
        None => Ok(None),
    }
}

fn basic_constraints(tbs: &Tbs<'_>, lengths: &[Option<u32>], words: &str) -> Verdict {
    let right = tbs.basic_constraints().ok().flatten().is_some_and(|basic| {
        basic.critical && basic.value.ca && lengths.contains(&basic.value.path_len_constraint)
    });
    require(right, || format!("is critical, says cA, {words}"))
}

const KEY_CERT_SIGN: u16 = 1 << 5;
const CRL_SIGN: u16 = 1 << 6;
