//! The certificate profile as code: RFC 5280 4 and what clients make of it. Each rule is one function over the
//! to-be-signed bytes, which are parsed here by another library than the one that made them.

mod ca;
mod every;
mod leaf;
mod list;

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use acme::time::Timestamp;
use x509_parser::certificate::TbsCertificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::TbsCertList;

pub(super) use self::every::check_public_key;
pub(super) use self::list::number_of as list_number;
use super::constraints::Constraints;

/// A rule that is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule's name, stable.
    pub rule: &'static str,
    /// What was found and what is expected.
    pub detail: String,
}

/// The facts of the CA above that a certificate is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Authority<'a> {
    /// Its subject in DER.
    pub subject: &'a [u8],
    /// Its subject key identifier.
    pub key_id: &'a [u8],
    /// The first second at which it is valid.
    pub not_before: Timestamp,
    /// The last second at which it is valid.
    pub not_after: Timestamp,
    /// The OID of the signatures that its key makes.
    pub signature_oid: &'a str,
    /// The name constraints of every CA above the certificate, with that CA's name.
    pub constraints: &'a [(String, Constraints)],
}

/// Which CA certificate is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Signed by itself, with one CA below it at most.
    Root,
    /// Signed by the root, with leaves below it.
    Intermediate,
}

/// Judges a leaf.
///
/// # Errors
/// Every rule that it breaks.
pub fn check_leaf(tbs: &[u8], above: &Authority<'_>) -> Result<(), Vec<Finding>> {
    check(tbs, above, EVERY.iter().chain(LEAF))
}

/// Judges a CA's certificate. A root is its own `above`.
///
/// # Errors
/// Every rule that it breaks.
pub fn check_ca(tbs: &[u8], kind: Kind, above: &Authority<'_>) -> Result<(), Vec<Finding>> {
    let of_kind = match kind {
        Kind::Root => ROOT,
        Kind::Intermediate => INTERMEDIATE,
    };
    check(tbs, above, EVERY.iter().chain(CA).chain(of_kind))
}

/// Judges a list of revoked certificates, by its to-be-signed bytes.
///
/// # Errors
/// Every rule that it breaks.
pub fn check_list(tbs: &[u8], above: &Authority<'_>) -> Result<(), Vec<Finding>> {
    match TbsCertList::from_der(tbs) {
        Ok(([], list)) => gather(LIST.iter().map(|(name, rule)| (*name, rule(&list, above)))),
        Ok(_) => Err(vec![Finding::new("der", "octets follow the list".into())]),
        Err(e) => Err(vec![Finding::new("der", e.to_string())]),
    }
}

/// The names of the subjectAltName, as text. What is no name of ours is shown as what it is.
pub(super) fn alternative_names(tbs: &TbsCertificate<'_>) -> Vec<String> {
    match tbs.subject_alternative_name() {
        Ok(Some(san)) => san.value.general_names.iter().map(general_name).collect(),
        _ => Vec::new(),
    }
}

/// All findings in one sentence.
pub(super) fn sentence(findings: &[Finding]) -> String {
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

type Tbs<'a> = TbsCertificate<'a>;
type Verdict = Result<(), String>;
type Rule = (&'static str, fn(&Tbs<'_>, &Authority<'_>) -> Verdict);

type ListRule = (&'static str, fn(&TbsCertList<'_>, &Authority<'_>) -> Verdict);

const EVERY: &[Rule] = &[
    ("version", every::version),
    ("serial", every::serial),
    ("signature", every::signature),
    ("signature_parameters", every::signature_parameters),
    ("issuer", every::issuer),
    ("time_form", every::time_form),
    ("validity", every::validity),
    ("public_key", every::public_key),
    ("unique_ids", every::no_unique_ids),
    ("extensions_once", every::extensions_once),
];

const LEAF: &[Rule] = &[
    ("subject", leaf::subject),
    ("alternative_name", leaf::alternative_name),
    ("alternative_name_form", leaf::alternative_name_form),
    ("name_constraints", leaf::names_permitted),
    ("key_usage", leaf::key_usage),
    ("extended_key_usage", leaf::extended_key_usage),
    ("basic_constraints", leaf::no_basic_constraints),
    ("authority_key_id", every::authority_key_id),
    ("authority_information", leaf::authority_information),
    ("crl_distribution", leaf::crl_distribution),
    ("extensions_known", leaf::extensions_known),
];

const CA: &[Rule] = &[
    ("subject", ca::subject),
    ("key_usage", ca::key_usage),
    ("subject_key_id", ca::subject_key_id),
    ("name_constraints_critical", ca::name_constraints_critical),
    ("extensions_known", ca::extensions_known),
];

const ROOT: &[Rule] = &[
    ("basic_constraints", ca::root_basic_constraints),
    ("authority_key_id", ca::own_authority_key_id),
    ("extended_key_usage", ca::no_extended_key_usage),
    ("name_constraints_whole", ca::name_constraints_whole),
    ("self_issued", ca::self_issued),
];

const INTERMEDIATE: &[Rule] = &[
    ("basic_constraints", ca::intermediate_basic_constraints),
    ("authority_key_id", every::authority_key_id),
    ("extended_key_usage", ca::tls_alone),
    ("name_constraints", ca::constraints_within),
    ("not_self_issued", ca::not_self_issued),
];

const LIST: &[ListRule] = &[
    ("version", list::version),
    ("signature", list::signature),
    ("signature_parameters", list::signature_parameters),
    ("issuer", list::issuer),
    ("time_form", list::time_form),
    ("update", list::update),
    ("number", list::number),
    ("authority_key_id", list::authority_key_id),
    ("extensions_known", list::extensions_known),
    ("revoked_not_empty", list::revoked_not_empty),
    ("revoked_once", list::revoked_once),
    ("revoked_serial", list::revoked_serial),
    ("revoked_date", list::revoked_date),
    ("revoked_reason", list::revoked_reason),
];

impl Finding {
    pub(super) fn new(rule: &'static str, detail: String) -> Self {
        Self { rule, detail }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.detail)
    }
}

fn check<'r>(
    bytes: &[u8],
    above: &Authority<'_>,
    rules: impl Iterator<Item = &'r Rule>,
) -> Result<(), Vec<Finding>> {
    let tbs = match TbsCertificate::from_der(bytes) {
        Ok(([], tbs)) => tbs,
        Ok(_) => return Err(vec![Finding::new("der", "octets follow the certificate".into())]),
        Err(e) => return Err(vec![Finding::new("der", e.to_string())]),
    };
    gather(rules.map(|(name, rule)| (*name, rule(&tbs, above))))
}

fn gather(verdicts: impl Iterator<Item = (&'static str, Verdict)>) -> Result<(), Vec<Finding>> {
    let findings: Vec<Finding> = verdicts
        .filter_map(|(name, verdict)| verdict.err().map(|detail| Finding::new(name, detail)))
        .collect();
    if findings.is_empty() { Ok(()) } else { Err(findings) }
}

fn general_name(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(name) => (*name).to_owned(),
        GeneralName::IPAddress(octets) => match octets.len() {
            4 => <[u8; 4]>::try_from(*octets).map(|o| Ipv4Addr::from(o).to_string()),
            _ => <[u8; 16]>::try_from(*octets).map(|o| Ipv6Addr::from(o).to_string()),
        }
        .unwrap_or_else(|_| name.to_string()),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod list_tests;
#[cfg(test)]
mod tests;
