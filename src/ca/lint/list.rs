//! What a list of revoked certificates is, RFC 5280 5. The bytes are parsed by another library than the one that made
//! them.

use std::collections::HashSet;

use acme::revocation::Reason;
use acme::time::Timestamp;
use x509_parser::der_parser::asn1_rs::{Any, FromDer as _, Tag};
use x509_parser::extensions::{ParsedExtension, X509Extension};
use x509_parser::oid_registry as oid;
use x509_parser::revocation_list::TbsCertList;
use x509_parser::time::ASN1Time;

use super::every::{has_its_parameters, is_authority_key_id, is_in_right_form, require};
use super::{Authority, Verdict};

/// The version is an INTEGER of 1, which means 2.
pub(super) fn version(list: &TbsCertList<'_>, _: &Authority<'_>) -> Verdict {
    require(list.version.is_some_and(|version| version.0 == 1), || "is not v2".into())
}

pub(super) fn signature(list: &TbsCertList<'_>, above: &Authority<'_>) -> Verdict {
    let found = list.signature.algorithm.to_id_string();
    require(found == above.signature_oid, || {
        format!("is {found}; the issuer signs with {}", above.signature_oid)
    })
}

pub(super) fn signature_parameters(list: &TbsCertList<'_>, _: &Authority<'_>) -> Verdict {
    has_its_parameters(&list.signature)
}

pub(super) fn issuer(list: &TbsCertList<'_>, above: &Authority<'_>) -> Verdict {
    require(list.issuer.as_raw() == above.subject, || {
        format!("'{}' is not the issuer's subject", list.issuer)
    })
}

pub(super) fn time_form(list: &TbsCertList<'_>, _: &Authority<'_>) -> Verdict {
    let revoked = list.revoked_certificates.iter().map(|entry| entry.revocation_date);
    let mut all = [list.this_update].into_iter().chain(list.next_update).chain(revoked);
    require(all.all(is_in_right_form), || "dates are UTCTime through 2049 and GeneralizedTime after".into())
}

/// Both updates, in their order, made while the issuer is valid.
pub(super) fn update(list: &TbsCertList<'_>, above: &Authority<'_>) -> Verdict {
    let Some(next) = list.next_update.map(seconds) else { return Err("nextUpdate is missing".into()) };
    let this = seconds(list.this_update);
    require(this < next, || format!("is made at {this}, and the next one at {next}"))?;
    require(above.not_before <= this && this <= above.not_after, || {
        format!("is made at {this}; the issuer is valid from {} to {}", above.not_before, above.not_after)
    })
}

/// RFC 5280 5.2.3: not critical, positive, 20 octets at most.
pub(super) fn number(list: &TbsCertList<'_>, _: &Authority<'_>) -> Verdict {
    let extension = list.find_extension(&oid::OID_X509_EXT_CRL_NUMBER);
    let right = extension.is_some_and(|extension| !extension.critical) && number_of(list).is_some();
    require(right, || "is missing, critical, or no positive number of 63 bits".into())
}

pub(super) fn authority_key_id(list: &TbsCertList<'_>, above: &Authority<'_>) -> Verdict {
    is_authority_key_id(list.find_extension(&oid::OID_X509_EXT_AUTHORITY_KEY_IDENTIFIER), above)
}

/// A list that is neither a delta nor a part says no more than its number and its issuer.
pub(super) fn extensions_known(list: &TbsCertList<'_>, _: &Authority<'_>) -> Verdict {
    let known = [oid::OID_X509_EXT_CRL_NUMBER, oid::OID_X509_EXT_AUTHORITY_KEY_IDENTIFIER];
    let strange = list.extensions().iter().find(|e| e.critical || !known.contains(&e.oid));
    require(strange.is_none() && list.extensions_map().is_ok(), || {
        "an extension is unknown here, critical, or stands twice".into()
    })
}

/// RFC 5280 5.1.2.6: where nothing is revoked, there is no list. The parser takes an empty one for none.
pub(super) fn revoked_not_empty(list: &TbsCertList<'_>, _: &Authority<'_>) -> Verdict {
    let is_empty = |element: &Any<'_>| element.tag() == Tag::Sequence && element.data.is_empty();
    // A name may be empty, and is judged by another rule; the list stands behind the dates.
    let mut behind_dates = elements(list.as_ref()).into_iter().skip_while(|element| !is_time(element));
    require(!behind_dates.any(|element| is_empty(&element)), || "is an empty list".into())
}

pub(super) fn revoked_once(list: &TbsCertList<'_>, _: &Authority<'_>) -> Verdict {
    let mut seen = HashSet::new();
    let twice = list.revoked_certificates.iter().find(|entry| !seen.insert(entry.raw_serial()));
    require(twice.is_none(), || {
        let serial = twice.map(|entry| acme::id::hex(entry.raw_serial()));
        format!("{} stands twice", serial.unwrap_or_default())
    })
}

pub(super) fn revoked_serial(list: &TbsCertList<'_>, _: &Authority<'_>) -> Verdict {
    let right = |octets: &[u8]| (1..=20).contains(&octets.len()) && octets[0] & 0x80 == 0;
    require(list.revoked_certificates.iter().all(|entry| right(entry.raw_serial())), || {
        "a serial has 1 to 20 octets and is positive".into()
    })
}

pub(super) fn revoked_date(list: &TbsCertList<'_>, _: &Authority<'_>) -> Verdict {
    let right = list.revoked_certificates.iter().all(|entry| entry.revocation_date <= list.this_update);
    require(right, || "is later than the list".into())
}

/// RFC 5280 5.3.1: a reason is not critical, and one that is unspecified is left out. No hold, no removal: those are of
/// deltas and of certificates that come back. Nothing else is said of an entry.
pub(super) fn revoked_reason(list: &TbsCertList<'_>, _: &Authority<'_>) -> Verdict {
    let of_ours = |code: u8| Reason::ALL.iter().any(|reason| reason.code() == code && code != 0);
    let right = |extension: &X509Extension<'_>| {
        !extension.critical
            && matches!(extension.parsed_extension(), ParsedExtension::ReasonCode(code) if of_ours(code.0))
    };
    let entries = || list.revoked_certificates.iter();
    require(entries().all(|entry| entry.extensions().iter().all(right)), || {
        "is a reason that a leaf can have, not critical, and left out when it is unspecified".into()
    })?;
    require(entries().all(|entry| entry.extensions().len() <= 1), || "is one reason at most".into())
}

/// The number of a list, when it is one that we can have given.
pub(in crate::ca) fn number_of(list: &TbsCertList<'_>) -> Option<i64> {
    let extension = list.find_extension(&oid::OID_X509_EXT_CRL_NUMBER)?;
    let ParsedExtension::CRLNumber(number) = extension.parsed_extension() else { return None };
    let octets = number.to_bytes_be();
    let value = octets.iter().try_fold(0i64, |value, octet| {
        value.checked_mul(256).and_then(|value| value.checked_add(i64::from(*octet)))
    });
    value.filter(|value| *value > 0)
}

fn seconds(time: ASN1Time) -> Timestamp {
    Timestamp::from_unix(time.timestamp())
}

fn is_time(element: &Any<'_>) -> bool {
    matches!(element.tag(), Tag::UtcTime | Tag::GeneralizedTime)
}

/// What stands in a SEQUENCE, as far as it can be read.
fn elements(der: &[u8]) -> Vec<Any<'_>> {
    let Ok((_, outer)) = Any::from_der(der) else { return Vec::new() };
    let mut rest = outer.data;
    let mut all = Vec::new();
    while let Ok((after, element)) = Any::from_der(rest) {
        all.push(element);
        rest = after;
    }
    all
}
