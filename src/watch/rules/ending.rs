//! What is known of the end of a condition that does not hold any more. No alert is over for want of facts; it is over
//! when something shows it, or when it was gone twice.

use acme::lineage::{Lineage, Served};
use acme::renewal::{State, standing};
use acme::time::Timestamp;
use acme::verdict::Verdict;

use super::lineage::{Watched, name, watched};
use super::served::{is_fresh, is_lately, is_unreachable, is_untrusted, last_seen};
use super::text::{lines, span, title};
use super::{drift, house, outage};
use crate::watch::book::Alert;
use crate::watch::facts::{Facts, Listener};
use crate::watch::room;
use crate::watch::rule::Rule;

/// What is known of the end of an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Nothing: it stands as it stood.
    Unknown,
    /// That nobody can look. It stands, and is not told again until somebody can.
    Unseen,
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
        Rule::StoreTrouble if alert.key == house::DISK => gone(
            facts.room.is_some_and(room::is_ample),
            format!("There is room on the disk of the CA's store again after {after}"),
        ),
        Rule::StoreTrouble => gone(facts.store.is_some(), format!("The store works again after {after}")),
        Rule::CaServerCert if facts.own.is_some_and(|own| matches!(own.shown, Listener::Unknown)) => {
            Ending::Unknown
        }
        Rule::CaServerCert => {
            gone(facts.own.is_some(), format!("The CA's own certificate is well again after {after}"))
        }
        Rule::CaChainExpiring => {
            gone(facts.authorities.is_some(), "The authority's end is far again: new issuer active".into())
        }
        Rule::CrlStale => gone(facts.lists.is_some(), format!("Revocation list fresh again after {after}")),
        Rule::ClockSuspect => {
            // A certificate that is not yet valid was seen at these: they have to be seen again.
            let of_probe = facts.lineages.unwrap_or_default().iter().filter(|lineage| {
                alert.covers.contains(&lineage.key()) && watched(lineage, now) == Watched::Yes
            });
            let mut views = of_probe.map(|lineage| view(facts, lineage, now));
            if views.any(|view| matches!(view, View::Old | View::Blind)) {
                return Ending::Unseen;
            }
            gone(
                facts.clock.is_some() && facts.lineages.is_some(),
                format!("Clocks in step again after {after}"),
            )
        }
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
            let is_due = standing(lineage, facts.thresholds, now).is_some_and(|it| it.state >= State::Due);
            match view(facts, lineage, now) {
                // Renewed all the same.
                View::Blind | View::Gone if !is_due => {
                    Ending::Gone(title(&format!("{who}: its renewal is not due any more")), Vec::new())
                }
                View::Old | View::Blind | View::Gone => Ending::Unknown,
                View::Unwatched => unwatched(lineage),
                View::Seen(_) => Ending::Gone(title(&format!("{who}: reachable")), Vec::new()),
            }
        }
        Rule::ResolverDrift => drift::ended(facts, lineage, alert, now),
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

/// Two good samples; or its name is gone. What cannot be looked at stands: that nobody sees it does not make it well.
fn served(facts: &Facts<'_>, lineage: &Lineage, alert: &Alert, now: Timestamp) -> Ending {
    let rows = match view(facts, lineage, now) {
        View::Old | View::Blind if is_muted(lineage, now) => return Ending::Dropped,
        View::Old => return Ending::Unknown,
        View::Blind => return Ending::Unseen,
        View::Unwatched => return unwatched(lineage),
        View::Gone => return no_name(lineage),
        View::Seen(rows) => rows,
    };
    let is_good = |row: &Served| matches!(row.verdict, Verdict::Ok | Verdict::OkPrevious | Verdict::Expiring);
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
    // Another fault under another key: this one is over. A fault that was seen once, or a good sample: wait.
    let is_seen = |row: &Served| row.samples >= 2 && is_looked_at(row.verdict);
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

/// What there is to be seen of a lineage's targets.
pub(super) enum View<'l> {
    /// Nobody is to look any more.
    Unwatched,
    /// Nobody looked lately.
    Old,
    /// Nobody could look: a host that is off, a name server that does not answer, a fault of ours.
    Blind,
    /// There is no such name any more, say name servers that know other names.
    Gone,
    /// The last that was seen of the names that there are; of some of it nothing may have been seen.
    Seen(Vec<&'l Served>),
}

/// What there is to be seen.
pub(super) fn view<'l>(facts: &Facts<'_>, lineage: &'l Lineage, now: Timestamp) -> View<'l> {
    let rows = last_seen(&lineage.served);
    let is_gone = |row: &Served| {
        let absent = facts.absent.and_then(|absent| absent.get(&row.target));
        row.verdict == Verdict::DnsFail && absent.is_some_and(|since| now.seconds_since(*since) >= HOUR)
    };
    // What is no target any more has no rows: they go with the next pass.
    if rows.is_empty() && facts.prober.is_some_and(|prober| is_lately(facts, prober.last_pass, now)) {
        return View::Unwatched;
    }
    if rows.is_empty() || !rows.iter().all(|row| is_fresh(facts, row, now)) {
        return View::Old;
    }
    let are_well = are_servers_well(facts);
    let mut rows: Vec<&Served> = rows.into_iter().filter(|row| !(are_well && is_gone(row))).collect();
    if rows.is_empty() {
        return View::Gone;
    }
    // That the name leads elsewhere says nothing of what is there.
    rows.retain(|row| row.verdict != Verdict::AddressDrift);
    if rows.iter().all(|row| !is_looked_at(row.verdict)) { View::Blind } else { View::Seen(rows) }
}

/// Whether name servers know what they must know: only then do they know what there is not.
fn are_servers_well(facts: &Facts<'_>) -> bool {
    let resolvers = facts.resolvers.unwrap_or_default();
    !resolvers.is_empty() && resolvers.iter().all(|resolver| resolver.failures == 0)
}

/// Whether something was seen that says how it is.
fn is_looked_at(verdict: Verdict) -> bool {
    !is_unreachable(verdict) && verdict != Verdict::ProbeError
}

pub(super) fn no_name(lineage: &Lineage) -> Ending {
    let text = format!("{}: its name is gone from DNS", lineage.title());
    let why = "the name servers say so, and still know other names".to_owned();
    let next = format!("gone for good? ca-ctl forget {}", name(lineage));
    Ending::Gone(title(&text), lines([why, next]))
}

pub(super) fn unwatched(lineage: &Lineage) -> Ending {
    Ending::Gone(title(&format!("{}: it is no target of the prober any more", lineage.title())), Vec::new())
}

fn is_muted(lineage: &Lineage, now: Timestamp) -> bool {
    lineage.care.muted.as_ref().is_some_and(|mute| mute.until > now)
}

const HOUR: i64 = 3_600;
