//! What is to be told of what the targets of a lineage serve. One certificate on fifteen endpoints is one alert: under the
//! target's name if there is one, else under the lineage's.

use std::collections::BTreeSet;

use acme::lineage::{Lineage, Outcome, Served};
use acme::renewal::{Standing, State};
use acme::severity::Severity;
use acme::time::Timestamp;
use acme::verdict::Verdict;

use super::Condition;
use super::lineage::{about, last_order, name};
use super::text::{NIXOS, lines, quote, some, span, title};
use crate::watch::facts::Facts;
use crate::watch::rule::Rule;

/// What holds of what a lineage's targets serve.
pub(super) fn conditions(
    facts: &Facts<'_>,
    lineage: &Lineage,
    standing: Option<&Standing>,
    now: Timestamp,
) -> Vec<Condition> {
    let rows: Vec<&Served> = lineage.served.iter().filter(|row| is_fresh(facts, row, now)).collect();
    let mut conditions = untrusted(lineage, &rows, now);
    conditions.extend(wrong(lineage, &rows, now));
    conditions.extend(clock(lineage, &rows, now));
    if standing.is_some_and(|standing| standing.state >= State::Due) {
        conditions.extend(unreachable(lineage, &rows, now));
    }
    conditions
}

/// Whether the row is what was seen lately; what was seen before the prober stalled says nothing of now.
pub(super) fn is_fresh(facts: &Facts<'_>, row: &Served, now: Timestamp) -> bool {
    is_lately(facts, row.at, now)
}

/// Whether that was within a few turns of the prober.
pub(super) fn is_lately(facts: &Facts<'_>, at: Timestamp, now: Timestamp) -> bool {
    let interval =
        facts.prober.map(|prober| i64::try_from(prober.interval.as_secs()).unwrap_or(i64::MAX / 4));
    now.seconds_since(at) <= interval.map_or(DAY, |interval| (3 * interval).max(HOUR))
}

/// Something that stands where a certificate ought to be, or nothing.
pub(super) fn is_placeholder(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::FallbackCert | Verdict::NoCertAlert)
}

/// What nobody here vouches for.
pub(super) fn is_untrusted(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::ImpostorIssuer | Verdict::UnknownSerial | Verdict::RevokedServed)
}

/// Where nobody answers.
pub(super) fn is_unreachable(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::DnsFail | Verdict::TcpRefused | Verdict::TcpTimeout)
}

/// What the last look at each target found. What was seen before the name lost its address says nothing of whether it can be
/// reached.
pub(super) fn last_seen<'r>(rows: impl IntoIterator<Item = &'r Served>) -> Vec<&'r Served> {
    let rows: Vec<&Served> = rows.into_iter().collect();
    let is_past = |row: &Served| {
        rows.iter().any(|other| other.target == row.target && other.address.is_none() && other.at > row.at)
    };
    rows.iter().copied().filter(|row| !is_past(row)).collect()
}

/// The hosts behind several unreachable targets: one condition that stands for theirs.
pub(super) fn hosts(conditions: &[Condition]) -> Vec<Condition> {
    let unreachable = || conditions.iter().filter(|c| c.rule == Rule::TargetUnreachable && !c.is_muted);
    let causes: BTreeSet<&str> = unreachable().filter_map(|c| c.cause.as_deref()).collect();
    let mut hosts = Vec::new();
    for cause in causes {
        let children: Vec<&Condition> = unreachable().filter(|c| c.cause.as_deref() == Some(cause)).collect();
        let [first, .., last] = children.as_slice() else { continue };
        if children.len() < MANY {
            continue;
        }
        let (_, what) = cause.split_once(':').unwrap_or(("", cause));
        let names: BTreeSet<String> = children.iter().flat_map(|c| c.names.clone()).collect();
        let names: Vec<String> = names.into_iter().collect();
        let since = children.iter().map(|c| c.since).min().unwrap_or(first.since);
        hosts.push(Condition {
            key: format!("reach:{what}"),
            title: title(&format!("{what} cannot be reached ({} names whose renewal is due)", names.len())),
            lines: lines([
                format!("since {since}: {}", some(&names, 5)),
                first.lines.get(1).cloned().unwrap_or_default(),
                format!("try: ca-ctl probe {}", names.first().map_or("NAME", String::as_str)),
            ]),
            names,
            since,
            covers: children.iter().flat_map(|c| c.covers.clone()).collect(),
            owner: first.owner.clone().filter(|_| first.owner == last.owner),
            ..(*first).clone()
        });
    }
    hosts
}

fn wrong(lineage: &Lineage, rows: &[&Served], now: Timestamp) -> Option<Condition> {
    let after_failure = lineage.attempt.as_ref().filter(|a| a.outcome == Outcome::Failed).map(|a| a.at);
    let mut bad: Vec<(&Served, Rule, Severity)> = rows
        .iter()
        .filter_map(|row| {
            let (rule, severity) = judged(lineage, row, now)?;
            // A service that restarts shows its placeholder for a moment. Straight after a failed order it is none.
            let is_sure = is_twice(row)
                || (rule == Rule::ServedFallback && after_failure.is_some_and(|at| row.at >= at));
            is_sure.then_some((*row, rule, severity))
        })
        .collect();
    bad.sort_by_key(|(row, rule, severity)| (std::cmp::Reverse(*severity), *rule, row.target.clone()));
    let (worst, rule, severity) = *bad.first()?;
    let targets: BTreeSet<&str> = bad.iter().map(|(row, ..)| row.target.as_str()).collect();
    let targets: Vec<String> = targets.into_iter().map(str::to_owned).collect();
    let since = bad.iter().map(|(row, ..)| row.since).min()?;
    let who = if targets.len() == 1 { shown(&worst.target).to_owned() } else { lineage.title() };
    let current = lineage.current.as_ref();
    let (what, impact, order, help) = match rule {
        Rule::ServedFallback => (
            match (worst.verdict, &worst.product) {
                (Verdict::NoCertAlert, _) => "shows no certificate".into(),
                (_, Some(product)) => format!("serves a fallback certificate ({})", quote(product)),
                _ => "serves a fallback certificate".into(),
            },
            "clients that trust our root refuse it".into(),
            last_order(lineage, now),
            match current {
                Some(current) if current.downloaded_at.is_some() && !is_failing(lineage) => {
                    "its certificate was issued and fetched: install it where the service reads it, and reload".into()
                }
                _ => NIXOS.into(),
            },
        ),
        Rule::ServedStale => (
            if severity == Severity::Urgent {
                "serves an expired certificate"
            } else {
                "serves an old certificate"
            }
            .into(),
            match (worst.not_after, current) {
                (Some(end), Some(current)) => {
                    format!(
                        "served is valid to {end}; a newer one was issued {} ago",
                        span(current.issued_at, now)
                    )
                }
                _ => "a newer one was issued".into(),
            },
            match current {
                Some(current) if current.downloaded_at.is_none() => {
                    "its client has not fetched the newer one".into()
                }
                _ => "its client fetched the newer one: the service did not load it".into(),
            },
            "reload the service; NixOS: security.acme.certs.<name>.reloadServices".into(),
        ),
        _ => (
            format!("serves the wrong thing ({})", worst.verdict),
            match worst.verdict {
                Verdict::SanMismatch => "clients refuse it: the certificate is for other names".into(),
                Verdict::NotTls | Verdict::StarttlsRefused => "no TLS where it was expected".into(),
                Verdict::ChainIncomplete | Verdict::ChainWrong => {
                    "clients without the intermediate refuse it".into()
                }
                _ => "clients may refuse it".into(),
            },
            String::new(),
            match worst.verdict {
                Verdict::ChainIncomplete | Verdict::ChainWrong => {
                    "configure the service with fullchain.pem".into()
                }
                Verdict::MixedBackends => "its addresses serve different things; bring them in line".into(),
                _ => "look at the server's virtual hosts and which certificate each has".into(),
            },
        ),
    };
    let seen = match worst.address {
        Some(address) => format!("{} at {address}: {}", worst.target, quote(&worst.detail)),
        None => format!("{}: {}", worst.target, quote(&worst.detail)),
    };
    let all = if targets.len() > 1 { format!("; also {}", some(&targets[1..], 4)) } else { String::new() };
    let key = key(lineage);
    Some(Condition {
        severity,
        title: title(&format!("{who} {what}")),
        lines: lines([
            impact,
            format!("since {since}{all}"),
            seen,
            order,
            help,
            format!("try: ca-ctl probe {}; ca-ctl explain {}", worst.place(), worst.host()),
        ]),
        since,
        ..about(lineage, rule, format!("served:{key}"), now)
    })
}

/// Whether orders failed since the last that brought a certificate.
fn is_failing(lineage: &Lineage) -> bool {
    lineage.failures.count > 0
}

/// Which rule a row breaks, and how badly.
fn judged(lineage: &Lineage, row: &Served, now: Timestamp) -> Option<(Rule, Severity)> {
    // Seen before the newer one was issued, or before a service can have loaded it.
    let is_early = lineage.current.as_ref().is_some_and(|c| row.at.seconds_since(c.issued_at) < MINUTE);
    if is_early && matches!(row.verdict, Verdict::StaleNotReloaded | Verdict::Expired) {
        return None;
    }
    Some(match row.verdict {
        Verdict::FallbackCert | Verdict::NoCertAlert => (Rule::ServedFallback, Severity::Urgent),
        Verdict::StaleNotReloaded => {
            let lifetime = lineage.current.as_ref().map_or(0, |c| c.not_after.seconds_since(c.not_before));
            let left = row.not_after.map_or(i64::MAX, |end| end.seconds_since(now));
            let severity = match left {
                ..0 => Severity::Urgent,
                left if left <= lifetime / 100 * 7 => Severity::Critical,
                _ => Severity::Warning,
            };
            (Rule::ServedStale, severity)
        }
        // The newest one that expired is `renew:…`; an older one is one that was not reloaded.
        Verdict::Expired => {
            let current = lineage.current.as_ref()?;
            if now > current.not_after || row.serial.as_deref() == Some(current.serial.as_str()) {
                return None;
            }
            (Rule::ServedStale, Severity::Urgent)
        }
        Verdict::SanMismatch | Verdict::NotTls | Verdict::StarttlsRefused => {
            (Rule::ServedWrong, Severity::Critical)
        }
        Verdict::ChainIncomplete
        | Verdict::ChainWrong
        | Verdict::ForeignIssuer
        | Verdict::WrongLineage
        | Verdict::MixedBackends
        | Verdict::TlsUnsupported => (Rule::ServedWrong, Severity::Warning),
        _ => return None,
    })
}

fn untrusted(lineage: &Lineage, rows: &[&Served], now: Timestamp) -> Vec<Condition> {
    let rows: Vec<&&Served> = rows.iter().filter(|row| is_untrusted(row.verdict) && is_twice(row)).collect();
    let keys: BTreeSet<&str> = rows.iter().map(|row| row.spki.as_deref().unwrap_or("-")).collect();
    let condition = |spki: &str| {
        let rows: Vec<&&&Served> =
            rows.iter().filter(|row| row.spki.as_deref().unwrap_or("-") == spki).collect();
        let (first, since) = (rows.first()?, rows.iter().map(|row| row.since).min()?);
        let targets: BTreeSet<String> = rows.iter().map(|row| row.target.clone()).collect();
        let targets: Vec<String> = targets.into_iter().collect();
        let (what, why) = match first.verdict {
            Verdict::ImpostorIssuer => (
                "a certificate in our issuer's name by another key",
                "the CA was set up anew with the same name, or this is an attack",
            ),
            Verdict::UnknownSerial => (
                "a certificate that we signed and do not know",
                "the store was restored from an old backup, or the key is used elsewhere",
            ),
            _ => ("a certificate that we revoked", "the service was not reloaded after the revocation"),
        };
        let digits = spki.get(..16).unwrap_or(spki);
        Some(Condition {
            severity: Severity::Urgent,
            title: title(&format!("{} serves {what}", shown(&first.target))),
            lines: lines([
                why.into(),
                format!("since {since} at {}", some(&targets, 5)),
                format!("{}: {}", first.address.map_or("-".into(), |a| a.to_string()), quote(&first.detail)),
                format!("serial {}, key {digits}", first.serial.as_deref().unwrap_or("-")),
                format!("try: ca-ctl probe {}; ca-ctl show {}", first.place(), first.host()),
                "ignored, clients may trust what nobody here vouches for".into(),
            ]),
            since,
            ..about(lineage, Rule::ServedUntrusted, format!("sec:{}:{digits}", key(lineage)), now)
        })
    };
    keys.into_iter().filter_map(condition).collect()
}

fn clock(lineage: &Lineage, rows: &[&Served], now: Timestamp) -> Option<Condition> {
    let row = rows.iter().find(|row| row.verdict == Verdict::NotYetValid && is_twice(row))?;
    Some(Condition {
        severity: Severity::Warning,
        title: title(&format!("{} serves a certificate that is not yet valid", shown(&row.target))),
        lines: lines([
            "clients refuse it; one of two clocks is wrong".into(),
            format!("since {}", row.since),
            quote(&row.detail),
            "compare the clocks here and there: timedatectl".into(),
        ]),
        since: row.since,
        ..about(lineage, Rule::ClockSuspect, "clock".into(), now)
    })
}

fn unreachable(lineage: &Lineage, rows: &[&Served], now: Timestamp) -> Option<Condition> {
    let mut rows = last_seen(rows.iter().copied());
    rows.retain(|row| row.verdict != Verdict::AddressDrift);
    let gone = |row: &&&Served| is_unreachable(row.verdict) && now.seconds_since(row.since) >= HOUR / 2;
    let bad: Vec<&&Served> = rows.iter().filter(gone).collect();
    // Some of several addresses: the name can be reached.
    let first = bad.first().filter(|_| rows.iter().all(|row| is_unreachable(row.verdict)))?;
    let since = bad.iter().map(|row| row.since).min()?;
    let cause = match (first.verdict, first.address) {
        (Verdict::DnsFail, _) | (_, None) => "dns:look-up".to_owned(),
        (_, Some(address)) => format!("host:{}", address.ip()),
    };
    Some(Condition {
        severity: Severity::Warning,
        title: title(&format!("{} cannot be reached, and its renewal is due", shown(&first.target))),
        lines: lines([
            format!("since {since}: {}", first.verdict),
            format!("{}: {}", first.address.map_or("-".into(), |a| a.to_string()), quote(&first.detail)),
            "a validation would fail as well".into(),
            match first.verdict {
                Verdict::DnsFail => format!("try: ca-ctl resolve {}", name(lineage)),
                _ => format!("try: ca-ctl probe {}", first.place()),
            },
        ]),
        since,
        cause: Some(cause),
        ..about(lineage, Rule::TargetUnreachable, format!("reach:{}", key(lineage)), now)
    })
}

/// The only target, without a port that goes without saying in the lineage's own name; else the lineage.
fn key(lineage: &Lineage) -> String {
    let mut targets: Vec<&str> = lineage.served.iter().map(|row| row.target.as_str()).collect();
    targets.dedup();
    match targets.as_slice() {
        [target] => (*target).to_owned(),
        _ => lineage.key(),
    }
}

/// A target as people say it: without the port of HTTPS.
fn shown(target: &str) -> &str {
    target.strip_suffix(":443").unwrap_or(target)
}

/// Whether it was seen twice, a minute or more apart.
pub(super) fn is_twice(row: &Served) -> bool {
    row.samples >= 2 && row.at.seconds_since(row.since) >= 60
}

/// So many with one cause are one alert.
const MANY: usize = 3;
const MINUTE: i64 = 60;
const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;
