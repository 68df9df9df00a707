//! Finding the CAA records that count for a name (RFC 8659 3): those of the name, else of the name above it, up to the
//! top-level label. Aliases are followed for each name; what is above an alias's target does not count. A server that
//! cannot answer stops the issuance, because records may exist that it does not tell (RFC 8659 5.6). `acme::caa` judges.

use acme::caa::{self, Request};
use acme::failure::{Evidence, Phase, Reason};
use acme::identifier::DnsName;
use tokio::time::{Instant, timeout_at};

use super::{Stop, Validator};

/// Whether CAA lets us issue for `name`, with the look-ups in `evidence`.
pub(super) async fn check(
    validator: &Validator,
    name: &DnsName,
    request: &Request<'_>,
    evidence: &mut Evidence,
) -> Result<(), Stop> {
    let deadline = Instant::now() + validator.settings.total_timeout;
    let mut place = name.base();
    loop {
        let Ok(found) = timeout_at(deadline, validator.resolver.caa(place)).await else {
            let detail = format!("looking for CAA records of {place}: no time was left for it");
            return Err(Stop::new(Phase::Caa, Reason::Timeout, detail));
        };
        evidence.lookups.extend(found.lookups);
        match found.outcome {
            Ok(set) => {
                return caa::judge(&set, request).map_err(|why| {
                    let what = if request.wildcard { " for wildcards" } else { "" };
                    let detail = format!("the CAA records of {place} forbid it{what}: {why}");
                    Stop::new(Phase::Caa, Reason::Forbidden, detail)
                });
            }
            Err((Reason::Nxdomain | Reason::Nodata, _)) => {}
            Err((reason, detail)) => {
                return Err(Stop::new(Phase::Caa, reason, format!("CAA is not known: {detail}")));
            }
        }
        match place.split_once('.') {
            Some((_, above)) => place = above,
            None => return Ok(()),
        }
    }
}
