//! CAA once more before a certificate is signed: RFC 8659 4 wants records that are at most eight hours old, and an
//! authorization holds longer than that. What a validation saw is in its evidence.

use std::time::Duration;

use acme::failure::{Evidence, Failure};
use acme::identifier::Identifier;
use acme::problem::{Kind, Problem, Subproblem};
use acme::time::Timestamp;
use store::authorization::Authorization;

use crate::validate::Validator;

/// Whether CAA still lets us issue for all authorizations of an order. Asks nobody when CAA is not heeded, and nothing of
/// those that were looked at lately.
///
/// # Errors
/// `caa` when a record forbids it, `dns` when that could not be found out; with a subproblem for each name.
pub async fn caa(
    validator: &Validator,
    account_url: &str,
    authorizations: &[Authorization],
    now: Timestamp,
) -> Result<(), Problem> {
    if !validator.settings().caa {
        return Ok(());
    }
    let (mut forbidden, mut unknown) = (Vec::new(), None);
    for authorization in authorizations.iter().filter(|authorization| !is_fresh(authorization, now)) {
        let Some(kind) = authorization.attempted else { continue };
        let identifier = &authorization.identifier;
        let checked = validator.caa(identifier, authorization.wildcard, account_url, kind).await;
        match checked.map_err(|failure| refusal(&failure, identifier)) {
            Ok(_) => {}
            Err(refusal) if refusal.kind == Kind::Caa => forbidden.push(refusal),
            // Servers that do not answer for one name would be waited for with each of the others.
            Err(refusal) => {
                unknown = Some(refusal);
                break;
            }
        }
    }
    if forbidden.is_empty() {
        forbidden.extend(unknown);
    }
    if forbidden.is_empty() { Ok(()) } else { Err(Problem::of_identifiers(forbidden)) }
}

fn refusal(failure: &Failure, identifier: &Identifier) -> Subproblem {
    Subproblem::new(&identifier.to_wire(), &failure.to_problem())
}

/// Whether the validation looked at CAA, and not too long ago.
fn is_fresh(authorization: &Authorization, now: Timestamp) -> bool {
    let looked = |evidence: &Evidence| evidence.lookups.iter().any(|lookup| lookup.record == "CAA");
    let age = authorization.validated_at.map(|at| now.seconds_since(at));
    authorization.evidence.as_ref().is_some_and(looked)
        && age.is_some_and(|age| (0..FRESH.as_secs().cast_signed()).contains(&age))
}

/// RFC 8659 4.
const FRESH: Duration = Duration::from_secs(8 * 3_600);
