//! What is to be thought of a target as a whole.

use std::net::IpAddr;

use acme::problem::plain;
use acme::verdict::Verdict;

use super::{DETAIL, Judgement, found, short};
use crate::probe::facts::Facts;
use crate::probe::look::{Outcome, Seen};

/// What is to be said of a target as a whole: that its addresses show different things. An address that shows nothing has
/// said so itself; and while a service is being reloaded, differences are no news.
pub fn together(seen: &[(Seen, Verdict)]) -> Option<Judgement> {
    let shown: Vec<(&Seen, &[u8], Verdict)> = seen
        .iter()
        .filter_map(|(seen, verdict)| match &seen.outcome {
            Outcome::Shown(shown) => Some((seen, shown.chain.first()?.as_slice(), *verdict)),
            _ => None,
        })
        .collect();
    let (_, first, _) = shown.first()?;
    let is_reload = shown.iter().all(|(_, _, verdict)| matches!(verdict, Verdict::Ok | Verdict::OkPrevious))
        && shown.iter().any(|(_, _, verdict)| *verdict == Verdict::OkPrevious);
    if is_reload || shown.iter().all(|(_, leaf, _)| leaf == first) {
        return None;
    }
    let each: Vec<String> = shown
        .iter()
        .map(|(seen, leaf, verdict)| {
            let serial = Facts::read(leaf).map_or_else(|_| "?".to_owned(), |facts| short(&facts.serial));
            format!("{} {verdict} (serial {serial})", seen.address.ip())
        })
        .collect();
    let detail = format!("its addresses show different certificates: {}", each.join(", "));
    Some(found(Verdict::MixedBackends, plain(&detail, DETAIL)))
}

/// That a name leads elsewhere than it did when it was last validated. `validated` is empty where nobody knows.
pub fn drift(resolved: &[IpAddr], validated: &[IpAddr]) -> Option<Judgement> {
    if validated.is_empty() || resolved.iter().any(|address| validated.contains(address)) {
        return None;
    }
    let list = |all: &[IpAddr]| all.iter().take(4).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let detail = format!(
        "leads to {}, and led to {} when it was last validated; a record or a pin may be stale",
        list(resolved),
        list(validated)
    );
    Some(found(Verdict::AddressDrift, detail))
}
