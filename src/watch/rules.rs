//! From the facts to the conditions that hold: every row of the table in [`super::rule`]. A function of the facts, the
//! alerts that are open, and `now`. An outage, for one, goes on while nobody tries, because nothing says that it ended.
//!
//! What is not here, because nothing tells it yet: room on the disk, growth of the store, age of backups.

mod drift;
mod ending;
mod house;
mod lineage;
mod outage;
mod served;
mod text;

use std::collections::BTreeMap;

use acme::severity::Severity;
use acme::time::Timestamp;

use super::book::Book;
use super::facts::Facts;
use super::rule::Rule;

pub use self::ending::Ending;

/// A rule that holds of something.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// Which rule.
    pub rule: Rule,
    /// The same for as long as it is about the same thing.
    pub key: String,
    /// How bad it is.
    pub severity: Severity,
    /// Who and what, in at most a hundred characters.
    pub title: String,
    /// At most six: what it means, since when, why, the evidence, and what to do.
    pub lines: Vec<String>,
    /// The names that it is about.
    pub names: Vec<String>,
    /// Who looks after them.
    pub owner: Option<String>,
    /// Since when it holds.
    pub since: Timestamp,
    /// When it was last seen to hold.
    pub seen_at: Timestamp,
    /// The lineages that it is about, by their keys.
    pub covers: Vec<String>,
    /// What is at fault, where several conditions may have one cause.
    pub cause: Option<String>,
    /// The key of the condition that says the same of more.
    pub inhibited_by: Option<String>,
    /// Whether the operator wants to hear nothing of it for now.
    pub is_muted: bool,
}

/// What the rules found.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// The conditions that hold, one for each key.
    pub conditions: Vec<Condition>,
    /// For each open alert without a condition: what is known of its end.
    pub endings: BTreeMap<String, Ending>,
}

/// Draws conclusions from the facts.
pub fn judge(facts: &Facts<'_>, book: &Book, now: Timestamp) -> Findings {
    let mut conditions = house::conditions(facts, now);
    conditions.extend(outage::conditions(facts, book, now));
    for lineage in facts.lineages.unwrap_or_default() {
        conditions.extend(lineage::conditions(facts, lineage, now));
    }
    conditions.extend(served::hosts(&conditions));
    let mut conditions = one_each(conditions);
    inhibit(&mut conditions);
    let endings = book
        .open()
        .filter(|alert| !conditions.iter().any(|condition| condition.key == alert.key))
        .map(|alert| (alert.key.clone(), ending::ending(facts, alert, now)))
        .collect();
    Findings { conditions, endings }
}

/// One condition for each key: a target may belong to two lineages. The worst stays.
fn one_each(conditions: Vec<Condition>) -> Vec<Condition> {
    let mut by_key: BTreeMap<String, Condition> = BTreeMap::new();
    for condition in conditions {
        match by_key.get(&condition.key) {
            Some(there) if there.severity >= condition.severity => {}
            _ => {
                by_key.insert(condition.key.clone(), condition);
            }
        }
    }
    by_key.into_values().collect()
}

/// One cause, one alert: says of each condition whether another says the same of more. Never of one that is worse than
/// what would stand for it.
fn inhibit(conditions: &mut [Condition]) {
    let found: Vec<Option<String>> = conditions
        .iter()
        .map(|child| {
            let stands_for = |root: &&Condition| {
                root.key != child.key && child.severity <= root.severity && covers(root, child)
            };
            conditions.iter().filter(stands_for).min_by_key(|root| root.rule).map(|root| root.key.clone())
        })
        .collect();
    for (condition, root) in conditions.iter_mut().zip(found) {
        condition.inhibited_by = root;
    }
}

fn covers(root: &Condition, child: &Condition) -> bool {
    use Rule::{
        CaValidationOutage, CertExpired, ClientSilent, OrderFailing, RenewalCritical, RenewalLate,
        RenewalOverdue, ResolverDrift, ResolverUnhealthy, ServedFallback, SignerFailing, StoreTrouble,
        TargetUnreachable,
    };
    let is_renewal = matches!(child.rule, RenewalLate | RenewalOverdue | RenewalCritical | CertExpired);
    let same_cause = root.cause.is_some() && root.cause == child.cause;
    let same_lineage = || child.covers.iter().any(|lineage| root.covers.contains(lineage));
    if root.is_muted {
        return false;
    }
    match root.rule {
        CaValidationOutage => match child.rule {
            OrderFailing | ServedFallback | ClientSilent => same_lineage(),
            ResolverUnhealthy | TargetUnreachable | ResolverDrift => same_cause || same_lineage(),
            _ => is_renewal && same_lineage(),
        },
        ResolverUnhealthy => {
            child.rule == ResolverDrift
                || (child.rule == TargetUnreachable
                    && child.cause.as_deref().is_some_and(|c| c.starts_with("dns:")))
        }
        // A disk that fills up stops nothing yet.
        StoreTrouble if root.severity < Severity::Urgent => false,
        SignerFailing | StoreTrouble => matches!(child.rule, OrderFailing | CaValidationOutage),
        // The host of several targets.
        TargetUnreachable => {
            child.rule == TargetUnreachable && same_cause && root.covers.len() > child.covers.len()
        }
        // What says more of one lineage: the placeholder's alert has the failed order in it, the failed orders' alert the
        // renewal that does not come, and the renewal's the client that is silent.
        ServedFallback => child.rule == OrderFailing && same_lineage(),
        OrderFailing => {
            matches!(child.rule, RenewalLate | RenewalOverdue | RenewalCritical) && same_lineage()
        }
        RenewalOverdue | RenewalCritical | CertExpired => child.rule == ClientSilent && same_lineage(),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
