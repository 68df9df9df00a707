//! dns-01, RFC 8555 8.4, and dns-account-01 (draft-ietf-acme-dns-account-label-03), which differs in the name alone: one of
//! the TXT records must be the digest of the key authorization.

use acme::challenge::KeyAuthorization;
use acme::failure::{Evidence, Phase, Reason};
use acme::problem::plain;
use tokio::time::{Instant, timeout_at};

use super::{Stop, Validator};

/// One attempt: `record` is where the record is, its look-ups go into `evidence`.
pub(super) async fn attempt(
    validator: &Validator,
    record: &str,
    expected: &KeyAuthorization,
    evidence: &mut Evidence,
) -> Result<(), Stop> {
    let found = texts(validator, record, evidence).await?;
    let expected = expected.txt();
    if found.contains(&expected) {
        return Ok(());
    }
    let count = match found.len() {
        1 => "1 TXT record".to_owned(),
        n => format!("{n} TXT records, none of which"),
    };
    let verb = if found.len() == 1 { "which is not" } else { "is" };
    let detail = format!(
        "{record} has {count} {verb} the digest of this challenge's key authorization: {}",
        quote(&found)
    );
    Err(Stop::new(Phase::Record, Reason::Mismatch, detail))
}

/// The TXT records of a name; at least one.
pub(super) async fn texts(
    validator: &Validator,
    name: &str,
    evidence: &mut Evidence,
) -> Result<Vec<String>, Stop> {
    let deadline = Instant::now() + validator.settings.total_timeout;
    let Ok(found) = timeout_at(deadline, validator.resolver.texts(name)).await else {
        let detail = format!("looking up {name}: no time was left for it");
        return Err(Stop::new(Phase::Dns, Reason::Timeout, detail));
    };
    evidence.lookups.extend(found.lookups);
    found.outcome.map_err(|(reason, detail)| Stop::new(Phase::Dns, reason, detail))
}

/// What was found instead: the first few, made harmless and cut short.
fn quote(found: &[String]) -> String {
    let shown: Vec<String> =
        found.iter().take(SHOWN).map(|text| format!("'{}'", plain(text, LONGEST))).collect();
    let more = if found.len() > SHOWN { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}

/// How many wrong values are told.
const SHOWN: usize = 3;
/// How much of each. A digest has 43 characters.
const LONGEST: usize = 60;
