//! The addresses of a host that may be dialled: looked up, or literal; vetted unless a pin gave them.

use std::net::IpAddr;

use acme::failure::{Evidence, Lookup, Phase, Reason};
use acme::identifier::Identifier;
use acme::problem::plain;
use tokio::time::{Instant, timeout_at};

use super::{Stop, Validator};

/// The addresses of `host` that may be dialled for `url`, IPv6 first, with the look-ups recorded.
pub(super) async fn addresses(
    validator: &Validator,
    host: &Identifier,
    url: impl Fn() -> String,
    deadline: Instant,
    evidence: &mut Evidence,
) -> Result<Vec<IpAddr>, Stop> {
    let found = match host {
        Identifier::Ip(address) => {
            evidence.lookups.push(literal(*address));
            vec![*address]
        }
        Identifier::Dns(name) => {
            let Ok(resolution) = timeout_at(deadline, validator.resolver.addresses(name)).await else {
                let detail = format!("looking up {name}: no time was left for it");
                return Err(Stop::new(Phase::Dns, Reason::Timeout, detail));
            };
            evidence.lookups.extend(resolution.lookups);
            let found =
                resolution.outcome.map_err(|(reason, detail)| Stop::new(Phase::Dns, reason, detail))?;
            if resolution.pinned {
                return Ok(found);
            }
            found
        }
    };
    let mut refusals = Vec::new();
    let mut allowed = Vec::with_capacity(found.len());
    for address in found {
        match validator.targets.check(address) {
            Ok(()) => allowed.push(address),
            Err(why) => refusals.push(format!("{address} {why}")),
        }
    }
    if allowed.is_empty() {
        let detail = format!(
            "{}: the address may not be dialled: {}; allow it in validation.allow_networks, or pin the name in resolver.pins",
            url(),
            plain(&refusals.join("; "), 300)
        );
        return Err(Stop::new(Phase::Target, Reason::Forbidden, detail));
    }
    Ok(allowed)
}

fn literal(address: IpAddr) -> Lookup {
    Lookup {
        name: address.to_string(),
        record: if address.is_ipv6() { "AAAA" } else { "A" }.to_owned(),
        server: "literal".to_owned(),
        answer: "NOERROR".to_owned(),
        addresses: vec![address],
        ..Lookup::default()
    }
}
