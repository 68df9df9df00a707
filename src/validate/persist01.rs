//! dns-persist-01, draft-ietf-acme-dns-persist-02 4.2: a TXT record that stays and names the account. `acme::persist`
//! judges it.

use acme::failure::{Evidence, Phase, Reason};
use acme::persist::{self, Refusal, Request};
use acme::time::Timestamp;

use super::{Challenge, Stop, Validator, dns01};

/// One attempt. Gives the end that the record sets to itself.
pub(super) async fn attempt(
    validator: &Validator,
    challenge: &Challenge<'_>,
    base: &str,
    evidence: &mut Evidence,
) -> Result<Option<Timestamp>, Stop> {
    let name = persist::record_name(base);
    let found = dns01::texts(validator, &name, evidence).await?;
    let applicant = challenge.applicant;
    let request = Request {
        base,
        wildcard: challenge.wildcard,
        identities: &validator.settings.identities,
        hash_prefix: &applicant.hash_prefix,
        account_url: &applicant.url,
        thumbprints: &applicant.thumbprints,
        now: challenge.now,
    };
    persist::judge(&found, &request).map_err(|refusal| {
        let (reason, why) = match refusal {
            Refusal::Unauthorized(why) => (Reason::Forbidden, why),
            Refusal::Malformed(why) => (Reason::Malformed, why),
        };
        Stop::new(Phase::Record, reason, format!("{name}: {why}"))
    })
}
