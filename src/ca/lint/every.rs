//! What every certificate of ours has in common, and the helpers that the rules are made of.

use acme::time::Timestamp;
use x509_parser::der_parser::asn1_rs::{Oid, Tag};
use x509_parser::extensions::{ParsedExtension, X509Extension};
use x509_parser::oid_registry as oid;
use x509_parser::public_key::PublicKey;
use x509_parser::time::ASN1Time;
use x509_parser::x509::{AlgorithmIdentifier, X509Version};

use super::{Authority, Tbs, Verdict};

pub(super) fn version(tbs: &Tbs<'_>, _: &Authority<'_>) -> Verdict {
    require(tbs.version == X509Version::V3, || format!("is {}, not v3", tbs.version))
}

/// RFC 5280 4.1.2.2, and 64 random bits against chosen-prefix collisions.
pub(super) fn serial(tbs: &Tbs<'_>, _: &Authority<'_>) -> Verdict {
    let octets = tbs.raw_serial();
    require((8..=20).contains(&octets.len()), || format!("has {} octets; 8 to 20 are right", octets.len()))?;
    require(octets[0] & 0x80 == 0, || "is negative".into())?;
    require(octets[0] != 0 || octets[1] & 0x80 != 0, || "begins with an octet too many".into())
}

pub(super) fn signature(tbs: &Tbs<'_>, above: &Authority<'_>) -> Verdict {
    let found = tbs.signature.algorithm.to_id_string();
    require(found == above.signature_oid, || {
        format!("is {found}; the issuer signs with {}", above.signature_oid)
    })
}

pub(super) fn signature_parameters(tbs: &Tbs<'_>, _: &Authority<'_>) -> Verdict {
    has_its_parameters(&tbs.signature)
}

/// NULL for RSA (RFC 4055 5), nothing for ECDSA (RFC 5758 3.2) and Ed25519 (RFC 8410 3). Holds for lists as well.
pub(super) fn has_its_parameters(algorithm: &AlgorithmIdentifier<'_>) -> Verdict {
    let rsa = algorithm.algorithm.to_id_string().starts_with("1.2.840.113549.1.1.");
    let right = match &algorithm.parameters {
        Some(parameters) => rsa && parameters.tag() == Tag::Null && parameters.data.is_empty(),
        None => !rsa,
    };
    require(right, || "are NULL for RSA, and left out for every other algorithm".into())
}

/// Octet by octet: OpenSSL compares names loosely, others do not.
pub(super) fn issuer(tbs: &Tbs<'_>, above: &Authority<'_>) -> Verdict {
    require(tbs.issuer.as_raw() == above.subject, || format!("'{}' is not the issuer's subject", tbs.issuer))
}

/// RFC 5280 4.1.2.5: UTCTime through 2049, GeneralizedTime after.
pub(super) fn time_form(tbs: &Tbs<'_>, _: &Authority<'_>) -> Verdict {
    let right = is_in_right_form;
    require(right(tbs.validity.not_before) && right(tbs.validity.not_after), || {
        "dates are UTCTime through 2049 and GeneralizedTime after".into()
    })
}

/// A time in its one form.
pub(super) fn is_in_right_form(time: ASN1Time) -> bool {
    time.is_utctime() == (time.to_datetime().year() < 2050)
}

pub(super) fn validity(tbs: &Tbs<'_>, above: &Authority<'_>) -> Verdict {
    let begin = Timestamp::from_unix(tbs.validity.not_before.timestamp());
    let end = Timestamp::from_unix(tbs.validity.not_after.timestamp());
    require(begin < end, || format!("begins at {begin} and ends at {end}"))?;
    require(begin >= above.not_before, || {
        format!("begins at {begin}, before the issuer does at {}", above.not_before)
    })?;
    require(end <= above.not_after, || format!("ends at {end}, after the issuer does at {}", above.not_after))
}

pub(super) fn public_key(tbs: &Tbs<'_>, _: &Authority<'_>) -> Verdict {
    check_public_key(&tbs.subject_pki)
}

/// Keys that every client can use, and nobody can break.
pub(in crate::ca) fn check_public_key(key: &x509_parser::x509::SubjectPublicKeyInfo<'_>) -> Verdict {
    const CURVES: [Oid<'static>; 3] = [oid::OID_EC_P256, oid::OID_NIST_EC_P384, oid::OID_NIST_EC_P521];
    match key.parsed() {
        Ok(PublicKey::RSA(rsa)) => {
            let bits = rsa.key_size();
            require((2048..=8192).contains(&bits), || {
                format!("is RSA of {bits} bits; 2048 to 8192 are right")
            })
        }
        Ok(PublicKey::EC(_)) => {
            let curve = key.algorithm.parameters.as_ref().and_then(|p| p.as_oid().ok());
            require(curve.as_ref().is_some_and(|curve| CURVES.contains(curve)), || {
                "is on another curve than P-256, P-384 and P-521".into()
            })
        }
        _ => require(key.algorithm.algorithm == oid::OID_SIG_ED25519, || {
            format!("is of the kind {}; RSA, ECDSA and Ed25519 are right", key.algorithm.algorithm)
        }),
    }
}

/// RFC 5280 4.1.2.8: a conforming CA makes none.
pub(super) fn no_unique_ids(tbs: &Tbs<'_>, _: &Authority<'_>) -> Verdict {
    require(tbs.issuer_uid.is_none() && tbs.subject_uid.is_none(), || {
        "are of X.509 v2; leave them out".into()
    })
}

pub(super) fn extensions_once(tbs: &Tbs<'_>, _: &Authority<'_>) -> Verdict {
    require(tbs.extensions_map().is_ok(), || "an extension stands twice".into())?;
    let broken =
        tbs.extensions().iter().find(|e| matches!(e.parsed_extension(), ParsedExtension::ParseError { .. }));
    require(broken.is_none(), || "an extension cannot be read".into())
}

/// The key identifier of the issuer, and nothing beside it: issuer and serial would tie a leaf to one certificate of
/// the issuer's key, RFC 5280 4.2.1.1.
pub(super) fn authority_key_id(tbs: &Tbs<'_>, above: &Authority<'_>) -> Verdict {
    is_authority_key_id(find(tbs, &oid::OID_X509_EXT_AUTHORITY_KEY_IDENTIFIER), above)
}

/// The rule itself, which holds for lists as well.
pub(super) fn is_authority_key_id(extension: Option<&X509Extension<'_>>, above: &Authority<'_>) -> Verdict {
    let Some(extension) = extension else { return Err("is missing".into()) };
    let ParsedExtension::AuthorityKeyIdentifier(id) = extension.parsed_extension() else {
        return Err("cannot be read".into());
    };
    let alone = id.authority_cert_issuer.is_none() && id.authority_cert_serial.is_none();
    let same = id.key_identifier.as_ref().is_some_and(|id| id.0 == above.key_id);
    require(same && alone, || "is the issuer's subject key identifier and nothing else".into())
}

pub(super) fn key_usage_is(tbs: &Tbs<'_>, flags: u16) -> Verdict {
    let Ok(Some(usage)) = tbs.key_usage() else { return Err("is missing".into()) };
    require(usage.critical && usage.value.flags == flags, || {
        format!("is '{}'{}", usage.value, if usage.critical { "" } else { " and not critical" })
    })
}

pub(super) fn known(tbs: &Tbs<'_>, may_be_critical: &[Oid<'_>], known: &[Oid<'_>]) -> Verdict {
    for extension in tbs.extensions() {
        let right = may_be_critical.contains(&extension.oid)
            || (known.contains(&extension.oid) && !extension.critical);
        require(right, || format!("{} is unknown here, or critical", extension.oid))?;
    }
    Ok(())
}

pub(super) fn find<'t, 'a>(tbs: &'t Tbs<'a>, oid: &Oid<'_>) -> Option<&'t X509Extension<'a>> {
    tbs.extensions().iter().find(|extension| extension.oid == *oid)
}

pub(super) fn require(right: bool, otherwise: impl FnOnce() -> String) -> Verdict {
    if right { Ok(()) } else { Err(otherwise()) }
}
