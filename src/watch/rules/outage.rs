//! When no validation succeeds, for one reason: the one alert that stands for all of them. It goes on for as long as nothing
//! shows that it ended: most clients try once a day, and silence is no success.

use std::collections::{BTreeMap, BTreeSet};

use acme::failure::{Failure, Phase};
use acme::severity::Severity;
use acme::time::Timestamp;

use super::Condition;
use super::served::is_placeholder;
use super::text::{NIXOS, evidence, lines, some, span, title};
use crate::watch::book::{Alert, Book};
use crate::watch::facts::{Facts, Failed, Validations};
use crate::watch::rule::Rule;

/// The outages that began or go on.
pub(super) fn conditions(facts: &Facts<'_>, book: &Book, now: Timestamp) -> Vec<Condition> {
    let Some(validations) = facts.validations else { return Vec::new() };
    let mut by_cause: BTreeMap<String, Vec<&Failed>> = BTreeMap::new();
    let lately = |failed: &&Failed| now.seconds_since(failed.at) <= HALF_HOUR;
    for failed in validations.failed.iter().filter(lately) {
        by_cause.entry(cause(&failed.failure)).or_default().push(failed);
    }
    let open: Vec<&Alert> = book.open().filter(|alert| alert.rule == Rule::CaValidationOutage).collect();
    for alert in &open {
        by_cause.entry(alert.cause.clone().unwrap_or_default()).or_default();
    }
    let outage = |(cause, failed): (String, Vec<&Failed>)| {
        let before = open.iter().copied().find(|alert| alert.cause.as_deref() == Some(cause.as_str()));
        condition(facts, validations, &cause, &failed, before, now)
    };
    by_cause.into_iter().filter_map(outage).collect()
}

/// How an outage ended: what is to be said of it.
pub(super) fn ended(facts: &Facts<'_>, alert: &Alert, now: Timestamp) -> (String, Vec<String>) {
    let (issued, waiting) = issued_since(facts, alert);
    let text = format!("Validation works again after {}", span(alert.since, now));
    let total = issued.len() + waiting.len();
    let waits = match waiting.len() {
        0 => String::new(),
        n => format!("{n} wait for their client's next run: {}", some(&waiting, 8)),
    };
    let how = if waiting.is_empty() { String::new() } else { NIXOS.into() };
    (text, lines([format!("{} of {total} names re-issued", issued.len()), waits, how]))
}

fn condition(
    facts: &Facts<'_>,
    validations: &Validations,
    cause: &str,
    failed: &[&Failed],
    before: Option<&Alert>,
    now: Timestamp,
) -> Option<Condition> {
    let mut covers: BTreeSet<String> = failed.iter().map(|failed| failed.lineage.clone()).collect();
    let newest = failed.iter().max_by_key(|failed| failed.at);
    let seen_at =
        newest.map(|failed| failed.at).into_iter().chain(before.map(|alert| alert.seen_at)).max()?;
    let first = failed.iter().map(|failed| failed.at).min().unwrap_or(seen_at);
    let server = cause.strip_prefix("dns:");
    match before {
        None => {
            let counts = |at: Timestamp, asked: Option<&str>| {
                at >= first && (server.is_none() || asked.is_none() || asked == server)
            };
            let is_any_well = validations.succeeded.iter().any(|s| counts(s.at, s.server.as_deref()));
            // Two hosts may well be down at once. Two that fail by one name server, and nobody else tried: that is us.
            let is_all =
                server.is_some() && validations.failed.iter().all(|f| self::cause(&f.failure) == cause);
            let enough = if is_all { 2 } else { 3 };
            if is_any_well || covers.len() < enough {
                return None;
            }
        }
        Some(alert) => {
            covers.extend(alert.covers.iter().cloned());
            if is_over(facts, validations, alert, seen_at, server, now) {
                return None;
            }
        }
    }
    let since = before.map_or(first, |alert| alert.since.min(first));
    let Some(newest) = newest else {
        // Nobody tried lately: what was said stands.
        let alert = before?;
        return Some(Condition {
            rule: alert.rule,
            key: alert.key.clone(),
            severity: alert.severity,
            title: alert.title.clone(),
            lines: alert.lines.clone(),
            names: alert.names.clone(),
            owner: None,
            since,
            seen_at,
            covers: alert.covers.clone(),
            cause: alert.cause.clone(),
            inhibited_by: None,
            is_muted: false,
        });
    };
    let key = before.map_or_else(|| key(failed), |alert| alert.key.clone());
    let names = names(facts, &covers, before, failed);
    let failure = &newest.failure;
    let fallback = fallbacks(facts, &covers);
    Some(Condition {
        rule: Rule::CaValidationOutage,
        key,
        severity: Severity::Urgent,
        title: title(&format!("All ACME validation fails: {} ({} names)", short(failure), covers.len())),
        lines: lines([
            format!("since {since}, {} sets of names, none succeeds: {}", covers.len(), some(&names, 6)),
            match fallback.len() {
                0 => String::new(),
                n => format!("{n} serve a fallback certificate now: {}", some(&fallback, 5)),
            },
            evidence(failure),
            match server {
                Some(_) => format!(
                    "try: ca-ctl resolve {}; to go round the server, add a pin under [resolver.pins] and reload",
                    failure.name
                ),
                None => format!("try: ca-ctl explain {}", failure.name),
            },
            NIXOS.into(),
            "ignored, no certificate is renewed".into(),
        ]),
        names,
        owner: None,
        since,
        seen_at,
        covers: covers.into_iter().take(COVERED).collect(),
        cause: Some(cause.to_owned()),
        inhibited_by: None,
        is_muted: false,
    })
}

/// Whether something shows that it ended, and what ended with it had its time.
fn is_over(
    facts: &Facts<'_>,
    validations: &Validations,
    alert: &Alert,
    seen_at: Timestamp,
    server: Option<&str>,
    now: Timestamp,
) -> bool {
    let covered = |lineage: &String| alert.covers.contains(lineage);
    let validated = validations.succeeded.iter().filter(|s| s.at >= seen_at);
    let well = validated.filter(|s| covered(&s.lineage) || server.is_none() || s.server.as_deref() == server);
    let issued = facts.lineages.unwrap_or_default().iter().filter(|lineage| covered(&lineage.key()));
    let issued = issued.filter_map(|lineage| lineage.current.as_ref().map(|current| current.issued_at));
    let answers = facts.resolvers.unwrap_or_default().iter().filter(|resolver| {
        server == Some(resolver.server.as_str()) && resolver.failures == 0 && resolver.successes >= 2
    });
    let signs = well.map(|s| s.at).chain(issued.filter(|at| *at >= seen_at));
    let signs = signs.chain(answers.map(|resolver| resolver.since).filter(|at| *at >= seen_at));
    let Some(first) = signs.min() else { return false };
    // One all-clear that says how many are well, rather than one that says that the first is.
    let (_, waiting) = issued_since(facts, alert);
    waiting.is_empty() || now.seconds_since(first) >= SETTLING
}

/// The covered lineages that had a certificate since it began, and those that still wait.
fn issued_since(facts: &Facts<'_>, alert: &Alert) -> (Vec<String>, Vec<String>) {
    let lineages = facts.lineages.unwrap_or_default();
    let is_issued = |key: &String| {
        let lineage = lineages.iter().find(|lineage| lineage.key() == *key);
        lineage.and_then(|l| l.current.as_ref()).is_some_and(|current| current.issued_at >= alert.since)
    };
    alert.covers.iter().cloned().partition(is_issued)
}

fn names(
    facts: &Facts<'_>,
    covers: &BTreeSet<String>,
    before: Option<&Alert>,
    failed: &[&Failed],
) -> Vec<String> {
    let known = facts.lineages.unwrap_or_default().iter().filter(|lineage| covers.contains(&lineage.key()));
    let mut names: BTreeSet<String> = known.flat_map(|lineage| lineage.names.clone()).collect();
    names.extend(failed.iter().map(|failed| failed.failure.name.clone()));
    names.extend(before.into_iter().flat_map(|alert| alert.names.clone()));
    names.into_iter().take(COVERED).collect()
}

fn fallbacks(facts: &Facts<'_>, covers: &BTreeSet<String>) -> Vec<String> {
    let known = facts.lineages.unwrap_or_default().iter().filter(|lineage| covers.contains(&lineage.key()));
    known
        .filter(|lineage| lineage.served.iter().any(|row| is_placeholder(row.verdict)))
        .map(acme::lineage::Lineage::title)
        .collect()
}

/// What is at fault: the name server, or the step at which it ends.
fn cause(failure: &Failure) -> String {
    match failure.phase {
        // Whatever it says: a server that does not know the zone denies today what it cannot find out tomorrow.
        Phase::Dns | Phase::Caa => {
            format!("dns:{}", failure.lookup().map_or("-", |lookup| lookup.server.as_str()))
        }
        phase => format!("{}:{}", phase.as_str(), failure.reason.as_str()),
    }
}

fn key(failed: &[&Failed]) -> String {
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for failed in failed {
        *reasons.entry(failed.failure.reason.as_str()).or_default() += 1;
    }
    let reason = reasons.into_iter().max_by_key(|(_, count)| *count).map_or("unknown", |(reason, _)| reason);
    let failure = failed.first().map(|failed| &failed.failure);
    let place = failure.map_or_else(String::new, |failure| match failure.phase {
        Phase::Dns | Phase::Caa => failure.lookup().map_or("-".into(), |lookup| lookup.server.clone()),
        phase => phase.as_str().to_owned(),
    });
    format!("outage:{reason}:{place}")
}

/// `resolver 10.0.0.53 SERVFAIL`.
fn short(failure: &Failure) -> String {
    match (failure.phase, failure.lookup()) {
        (Phase::Dns | Phase::Caa, Some(lookup)) => format!("resolver {} {}", lookup.server, lookup.answer),
        (phase, _) => format!("{} {}", phase.as_str(), failure.reason.as_str()),
    }
}

const HALF_HOUR: i64 = 30 * 60;
/// How long the others may take after the first that succeeded, until the end is told with what there is.
const SETTLING: i64 = 10 * 60;
/// No alert is about more than this.
const COVERED: usize = 1_000;
