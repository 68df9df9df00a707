//! What is known of the end of a condition that does not hold any more. No alert is over for want of facts; it is over
//! when something shows it, or when it was gone twice.

use acme::lineage::Lineage;
use acme::time::Timestamp;
use acme::verdict::Verdict;

use super::lineage::{Watched, watched};
use super::outage;
use super::served::{is_fresh, is_unreachable, is_untrusted, last_seen};
use super::text::{lines, span, title};
use crate::watch::book::Alert;
use crate::watch::facts::Facts;
use crate::watch::rule::Rule;

/// What is known of the end of an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Nothing: it stands as it stood.
    Unknown,
    /// It was not there this time. Twice, and it is over.
    Gone(String, Vec<String>),
    /// Something shows that it is over.
    Shown(String, Vec<String>),
    /// It is of no interest any more: the operator said so, or another alert said the last word.
    Dropped,
}

/// What the facts say of the end of an alert whose condition does not hold.
pub(super) fn ending(facts: &Facts<'_>, alert: &Alert, now: Timestamp) -> Ending {
    let gone = |is_read: bool, text: String| {
        if is_read { Ending::Gone(title(&text), Vec::new()) } else { Ending::Unknown }
    };
    let after = span(alert.since, now);
    match alert.rule {
        Rule::CaValidationOutage => {
            if facts.validations.is_none() || facts.lineages.is_none() {
                return Ending::Unknown;
            }
            let (title, lines) = outage::ended(facts, alert, now);
            Ending::Shown(title, lines)
        }
        Rule::SignerFailing => gone(facts.signer.is_some(), format!("Signing works again after {after}")),
        Rule::StoreTrouble => gone(facts.store.is_some(), format!("The store works again after {after}")),
        Rule::CaServerCert => {
            gone(facts.own.is_some(), format!("The CA's own certificate is well again after {after}"))
        }
        Rule::CaChainExpiring => {
            gone(facts.authorities.is_some(), "The authority's end is far again: new issuer active".into())
        }
        Rule::CrlStale => gone(facts.lists.is_some(), format!("Revocation list fresh again after {after}")),
        Rule::ClockSuspect => gone(
            facts.clock.is_some() && facts.lineages.is_some(),
            format!("Clocks in step again after {after}"),
        ),
        Rule::ResolverUnhealthy => {
            let server = alert.key.strip_prefix("resolver:").unwrap_or("the name server");
            // With a pin for every name that it must know, say.
            let is_asked = facts.resolvers.unwrap_or_default().iter().any(|health| health.server == server);
            let text = match is_asked {
                true => format!("{server} answers again after {after}"),
                false => format!("{server} is not asked any more for what it must know"),
            };
            gone(facts.resolvers.is_some(), text)
        }
        Rule::AlertDeliveryFailing => {
            let sink = alert.key.strip_prefix("sink:").unwrap_or("the sink");
            gone(facts.sinks.is_some(), format!("{sink} takes alerts again after {after}: backlog delivered"))
        }
        Rule::ProberStalled => {
            gone(facts.prober.is_some(), format!("The prober is through again after {after}"))
        }
        Rule::NewNameIssued => Ending::Dropped,
        Rule::ResolverDrift if facts.drifts.is_none() && facts.lineages.is_none() => Ending::Unknown,
        _ => of_lineage(facts, alert, now),
    }
}

fn of_lineage(facts: &Facts<'_>, alert: &Alert, now: Timestamp) -> Ending {
    let Some(lineages) = facts.lineages else { return Ending::Unknown };
    let who = acme::lineage::title(&alert.names);
    let Some(lineage) = lineages.iter().find(|lineage| alert.covers.contains(&lineage.key())) else {
        return Ending::Gone(title(&format!("{who}: nothing is wrong any more")), Vec::new());
    };
    match watched(lineage, now) {
        Watched::Forgotten => return Ending::Dropped,
        // The last word is `retired?`.
        Watched::Retired => return Ending::Dropped,
        Watched::Superseded => {
            let text = format!("{who}: a newer certificate for its names is served");
            return Ending::Shown(title(&text), Vec::new());
        }
        Watched::Yes => {}
    }
    match alert.rule {
        Rule::NameRetired => Ending::Dropped,
        Rule::OrderFailing
        | Rule::RenewalLate
        | Rule::RenewalOverdue
        | Rule::RenewalCritical
        | Rule::CertExpired => renewed(lineage, alert),
        Rule::ClientSilent => Ending::Shown(title(&format!("{who}: client is back")), Vec::new()),
        Rule::TargetUnreachable => {
            if lineage.served.iter().any(|row| is_fresh(facts, row, now) && is_unreachable(row.verdict)) {
                // Renewed all the same.
                return Ending::Gone(title(&format!("{who}: its renewal is not due any more")), Vec::new());
            }
            Ending::Gone(title(&format!("{who}: reachable")), Vec::new())
        }
        Rule::ResolverDrift => Ending::Gone(title(&format!("{who}: agrees")), Vec::new()),
        _ => served(facts, lineage, alert, now),
    }
}

fn renewed(lineage: &Lineage, alert: &Alert) -> Ending {
    let who = lineage.title();
    match &lineage.current {
        Some(current) if current.issued_at >= alert.since => {
            let text = match alert.rule {
                Rule::OrderFailing => format!("{who}: issued, valid to {}", current.not_after),
                _ => format!("{who}: renewed, valid to {}", current.not_after),
            };
            Ending::Shown(title(&text), Vec::new())
        }
        _ if alert.rule == Rule::OrderFailing => {
            Ending::Gone(title(&format!("{who}: nobody orders it any more")), Vec::new())
        }
        _ => Ending::Gone(title(&format!("{who}: well again")), Vec::new()),
    }
}

/// Two good samples; or it does not answer any more, and what it served is gone with it.
fn served(facts: &Facts<'_>, lineage: &Lineage, alert: &Alert, now: Timestamp) -> Ending {
    let rows = last_seen(&lineage.served);
    if rows.is_empty() || !rows.iter().all(|row| is_fresh(facts, row, now)) {
        return Ending::Unknown;
    }
    let is_good = |row: &acme::lineage::Served| {
        matches!(row.verdict, Verdict::Ok | Verdict::OkPrevious | Verdict::Expiring)
    };
    let who = lineage.title();
    if rows.iter().all(|row| is_good(row) && row.samples >= 2) {
        let text = match alert.rule {
            Rule::ServedStale => format!("{who}: reloaded"),
            Rule::ServedUntrusted => format!("{who}: no longer served"),
            Rule::ServedFallback => format!("{who} serves our certificate again"),
            _ => format!("{who}: correct again"),
        };
        let detail =
            match (rows.first().and_then(|row| row.serial.clone()), rows.first().and_then(|r| r.not_after)) {
                (Some(serial), Some(end)) => format!("serial {serial}, valid to {end}"),
                _ => String::new(),
            };
        return Ending::Shown(title(&text), lines([detail]));
    }
    if rows.iter().all(|row| is_unreachable(row.verdict) && now.seconds_since(row.since) >= HOUR) {
        return Ending::Gone(title(&format!("{who}: does not answer any more")), Vec::new());
    }
    // Another fault under another key: this one is over. A fault that was seen once, or a good sample: wait.
    let is_seen = |row: &acme::lineage::Served| row.samples >= 2 && !is_unreachable(row.verdict);
    if alert.rule != Rule::ServedUntrusted
        && rows.iter().all(|row| is_seen(row))
        && rows.iter().any(|row| is_untrusted(row.verdict))
    {
        return Ending::Dropped;
    }
    if alert.rule == Rule::ServedUntrusted && rows.iter().all(|row| is_seen(row)) {
        return Ending::Gone(title(&format!("{who}: no longer served")), Vec::new());
    }
    Ending::Unknown
}

const HOUR: i64 = 3_600;
