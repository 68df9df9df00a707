//! Names that lead elsewhere than they did: than when they were last validated, or than their pin says.

use acme::lineage::{Lineage, Served};
use acme::severity::Severity;
use acme::time::Timestamp;
use acme::verdict::Verdict;

use super::ending::{View, no_name, unwatched, view};
use super::lineage::about;
use super::served::{is_fresh, is_lately, is_twice};
use super::text::{lines, quote, title};
use super::{Condition, Ending};
use crate::watch::book::Alert;
use crate::watch::facts::{Facts, Footing, Pinned};
use crate::watch::rule::Rule;

/// What holds of the names of a lineage.
pub(super) fn conditions(facts: &Facts<'_>, lineage: &Lineage, now: Timestamp) -> Vec<Condition> {
    let rows = lineage.served.iter().filter(|row| is_fresh(facts, row, now));
    let mut conditions = pins(facts, lineage, now);
    conditions.extend(moved(lineage, rows, now));
    conditions
}

/// How it ended. A name server that says nothing ends nothing.
pub(super) fn ended(facts: &Facts<'_>, lineage: &Lineage, alert: &Alert, now: Timestamp) -> Ending {
    let who = alert.key.strip_prefix("drift:").unwrap_or("the name");
    let gone = |what: &str| Ending::Gone(title(&format!("{who}: {what}")), Vec::new());
    let Some(pins) = facts.pins else { return Ending::Unknown };
    if let Some(pinned) = pins.iter().find(|pinned| pinned.name == who) {
        return match &pinned.footing {
            _ if !pinned.is_sure() || !is_lately(facts, pinned.at, now) => Ending::Unknown,
            Footing::Unknown => Ending::Unseen,
            Footing::Alone => gone("no name server contradicts its pin any more"),
            Footing::Agrees => gone("its pin and the name server agree"),
            // The condition holds, and is another lineage's.
            Footing::Differs(_) => Ending::Unknown,
        };
    }
    match view(facts, lineage, now) {
        View::Old => Ending::Unknown,
        View::Blind => Ending::Unseen,
        View::Unwatched => unwatched(lineage),
        View::Gone => no_name(lineage),
        View::Seen(_) => gone("agrees"),
    }
}

fn moved<'l>(
    lineage: &'l Lineage,
    mut rows: impl Iterator<Item = &'l Served>,
    now: Timestamp,
) -> Option<Condition> {
    let row = rows.find(|row| row.verdict == Verdict::AddressDrift && is_twice(row))?;
    let host = row.host();
    Some(Condition {
        severity: Severity::Warning,
        title: title(&format!("{host} leads elsewhere than it did")),
        lines: lines([
            "the next validation goes there".into(),
            format!("since {}", row.since),
            quote(&row.detail),
            format!("try: ca-ctl resolve {host}; a pin that is wrong stands under [resolver.pins]"),
        ]),
        since: row.since,
        cause: Some(format!("dns:{host}")),
        ..about(lineage, Rule::ResolverDrift, format!("drift:{host}"), now)
    })
}

/// Names whose pin the name server contradicts.
fn pins(facts: &Facts<'_>, lineage: &Lineage, now: Timestamp) -> Vec<Condition> {
    let of_lineage = |pinned: &&Pinned| lineage.names.contains(&pinned.name);
    let condition = |pinned: &Pinned| {
        let Footing::Differs(detail) = &pinned.footing else { return None };
        if !pinned.is_sure() || !is_lately(facts, pinned.at, now) {
            return None;
        }
        let host = &pinned.name;
        Some(Condition {
            severity: Severity::Warning,
            title: title(&format!("{host}: its pin and the name server disagree")),
            lines: lines([
                "the CA goes where the pin says, everybody else where the name server says".into(),
                format!("since {}: {}", pinned.since, quote(detail)),
                format!("try: ca-ctl resolve {host}; a pin that is wrong stands under [resolver.pins]"),
                format!("meant to be so? ca-ctl alerts ack drift:{host}"),
            ]),
            since: pinned.since,
            cause: Some(format!("dns:{host}")),
            ..about(lineage, Rule::ResolverDrift, format!("drift:{host}"), now)
        })
    };
    facts.pins.unwrap_or_default().iter().filter(of_lineage).filter_map(condition).collect()
}
