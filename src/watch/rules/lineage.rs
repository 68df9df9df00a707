//! What is to be told of one set of names: its orders fail, its renewal does not come, its client does not come any more,
//! or it seems to be gone for good. Of what is muted, forgotten or superseded, nothing.

use std::time::Duration;

use acme::lineage::{Lineage, Outcome};
use acme::renewal::{Standing, State, standing};
use acme::severity::Severity;
use acme::time::Timestamp;
use acme::verdict::Verdict;

use super::served::{is_unreachable, last_seen};
use super::text::{NIXOS, count, evidence, left, lines, quote, span, title};
use super::{Condition, drift, served};
use crate::watch::facts::Facts;
use crate::watch::rule::Rule;

/// Whether a lineage is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watched {
    /// It is.
    Yes,
    /// It is expected to do nothing any more.
    Forgotten,
    /// A newer certificate for all its names is what its targets serve.
    Superseded,
    /// It is gone, by all that is known.
    Retired,
}

/// Whether it is looked at.
pub(super) fn watched(lineage: &Lineage, now: Timestamp) -> Watched {
    if lineage.care.forgotten_at.is_some() {
        Watched::Forgotten
    } else if is_superseded(lineage) {
        Watched::Superseded
    } else if retired_since(lineage, now).is_some() {
        Watched::Retired
    } else {
        Watched::Yes
    }
}

/// What holds of a lineage.
pub(super) fn conditions(facts: &Facts<'_>, lineage: &Lineage, now: Timestamp) -> Vec<Condition> {
    // The own certificate is made in process; its alert is `ca:server`.
    if lineage.is_own {
        return Vec::new();
    }
    let standing = standing(lineage, facts.thresholds, now);
    let mut conditions = match watched(lineage, now) {
        Watched::Forgotten | Watched::Superseded => Vec::new(),
        Watched::Retired => retired(lineage, now).into_iter().collect(),
        Watched::Yes => {
            let stands = standing.as_ref();
            let mut conditions = served::conditions(facts, lineage, stands, now);
            conditions.extend(drift::conditions(facts, lineage, now));
            conditions.extend(order(lineage, stands, now));
            conditions.extend(stands.and_then(|standing| renewal(lineage, standing, now)));
            conditions.extend(stands.and_then(|standing| silent(lineage, standing, now)));
            conditions
        }
    };
    let is_muted = lineage.care.muted.as_ref().is_some_and(|mute| mute.until > now);
    for condition in &mut conditions {
        condition.is_muted = is_muted;
    }
    conditions
}

/// A condition of a lineage, to be filled in.
pub(super) fn about(lineage: &Lineage, rule: Rule, key: String, now: Timestamp) -> Condition {
    Condition {
        rule,
        key,
        severity: Severity::Info,
        title: String::new(),
        lines: Vec::new(),
        names: lineage.names.clone(),
        owner: lineage.care.owner.clone(),
        since: now,
        seen_at: now,
        covers: vec![lineage.key()],
        cause: None,
        inhibited_by: None,
        is_muted: false,
    }
}

/// The last failed order in one line; empty when the last order did not fail.
pub(super) fn last_order(lineage: &Lineage, now: Timestamp) -> String {
    let Some(attempt) = lineage.attempt.as_ref().filter(|a| a.outcome == Outcome::Failed) else {
        return String::new();
    };
    let ago = span(attempt.at, now);
    match (&attempt.failure, &attempt.problem) {
        (Some(failure), _) => {
            let shown = evidence(failure);
            let shown = if shown.is_empty() { failure.to_string() } else { shown };
            format!("last order failed {ago} ago: {}", quote(&shown))
        }
        (None, Some(problem)) => format!("last order failed {ago} ago: {}", quote(&problem.detail)),
        (None, None) => format!("last order failed {ago} ago"),
    }
}

/// The first name, for the command that helps.
pub(super) fn name(lineage: &Lineage) -> &str {
    lineage.names.first().map_or("NAME", String::as_str)
}

fn order(lineage: &Lineage, standing: Option<&Standing>, now: Timestamp) -> Option<Condition> {
    let failures = lineage.failures;
    let attempt = lineage.attempt.as_ref().filter(|attempt| attempt.outcome != Outcome::Issued)?;
    let is_valid = standing.is_some_and(|standing| standing.state != State::Expired);
    if failures.count == 0 || (is_valid && failures.count < 2) {
        return None;
    }
    // Nobody asks for it any more; a name that was mistyped once is no trouble for ever.
    if standing.is_none() && now.seconds_since(attempt.at) > WEEK {
        return None;
    }
    let has_fallback = lineage.served.iter().any(|row| served::is_placeholder(row.verdict));
    let is_late = standing.is_some_and(|standing| now >= standing.overdue_at);
    let title_of = lineage.title();
    let since = failures.since.unwrap_or(attempt.at);
    let reason = attempt.failure.as_ref().map(|f| format!(": {} {}", f.phase.as_str(), f.reason.as_str()));
    let impact = match (standing, &lineage.current) {
        (Some(_), Some(current)) if is_valid => {
            format!("the certificate is valid, {}", left(current.not_after, now))
        }
        (Some(_), Some(current)) => format!("no valid certificate: {}", left(current.not_after, now)),
        _ => "it never had a certificate".into(),
    };
    let command = match &attempt.failure {
        Some(failure) if failure.phase.as_str() == "dns" => {
            format!(
                "try: ca-ctl resolve {}; a pin under [resolver.pins] and a reload go round a name server",
                failure.name
            )
        }
        _ => format!("try: ca-ctl explain {}", name(lineage)),
    };
    Some(Condition {
        severity: if has_fallback || is_late { Severity::Critical } else { Severity::Warning },
        title: title(&format!(
            "{title_of}: {} failed{}",
            count(usize::try_from(failures.count).unwrap_or(usize::MAX), "order"),
            reason.unwrap_or_default()
        )),
        lines: lines([
            impact,
            format!("since {since}, {} in a row", failures.count),
            last_order(lineage, now),
            command,
            NIXOS.into(),
            "ignored, the certificate runs out".into(),
        ]),
        since,
        ..about(lineage, Rule::OrderFailing, format!("order:{}", lineage.key()), now)
    })
}

fn renewal(lineage: &Lineage, standing: &Standing, now: Timestamp) -> Option<Condition> {
    let current = lineage.current.as_ref()?;
    let is_served = || {
        let serial = current.serial.as_str();
        lineage.served.iter().any(|row| {
            row.verdict == Verdict::Expired || row.serial.as_deref().is_some_and(|served| served == serial)
        })
    };
    let (rule, severity, since, word) = match standing.state {
        State::Fresh | State::Due => return None,
        State::Late => (Rule::RenewalLate, Severity::Info, standing.late_at, "late"),
        State::Overdue => (Rule::RenewalOverdue, Severity::Warning, standing.overdue_at, "overdue"),
        State::Critical => (Rule::RenewalCritical, Severity::Critical, standing.critical_at, "critical"),
        State::Expired if is_served() => (Rule::CertExpired, Severity::Urgent, current.not_after, "served"),
        State::Expired => (Rule::CertExpired, Severity::Warning, current.not_after, "not served"),
    };
    if rule == Rule::RenewalOverdue && is_about_to_come(lineage, standing, now) {
        return None;
    }
    let title_of = lineage.title();
    let shown = left(current.not_after, now);
    let used = used_of(standing);
    Some(Condition {
        severity,
        title: title(&match rule {
            Rule::CertExpired => format!("{title_of}: certificate {shown}, {word}"),
            _ => format!("{title_of}: renewal is {word}, {shown} ({used} % used)"),
        }),
        lines: lines([
            match (rule, severity) {
                (Rule::CertExpired, Severity::Urgent) => "clients refuse the connection now".into(),
                (Rule::CertExpired, _) => "no server was seen with it; is the name retired?".into(),
                _ => format!("valid to {}; then clients refuse it", current.not_after),
            },
            format!(
                "renewal was due {} ago, in the window to {}",
                span(standing.due, now),
                standing.window.end
            ),
            where_it_stopped(lineage, standing, now),
            last_order(lineage, now),
            format!("try: ca-ctl explain {}; on the host: systemctl list-timers 'acme-*'", name(lineage)),
            format!("gone for good? ca-ctl forget {}", name(lineage)),
        ]),
        since,
        ..about(lineage, rule, format!("renew:{}", lineage.key()), now)
    })
}

/// A client that renews when thirty days are left comes at the moment when a long lifetime is overdue, at one of its next
/// turns; telling of it each year would be crying wolf. Two turns: one may be put off by a day, as those of NixOS are.
fn is_about_to_come(lineage: &Lineage, standing: &Standing, now: Timestamp) -> bool {
    let Some(current) = &lineage.current else { return false };
    let is_long = current.not_after.seconds_since(current.not_before) > LONG;
    let turns = (standing.interval * 2).max(Duration::from_secs(2 * DAY.unsigned_abs()));
    is_long && now <= standing.overdue_at.plus(turns) && lineage.care.thresholds.is_none()
}

/// The first step of a renewal that is missing.
fn where_it_stopped(lineage: &Lineage, standing: &Standing, now: Timestamp) -> String {
    let begin = lineage.current.as_ref().map_or(Timestamp::EPOCH, |current| current.issued_at);
    let ordered = lineage.attempt.as_ref().filter(|attempt| attempt.outcome != Outcome::Issued);
    match (ordered, lineage.polled_at.filter(|at| *at >= begin)) {
        (Some(attempt), _) if attempt.outcome == Outcome::Failed => {
            format!("{} failed in a row", count(lineage.failures.count as usize, "order"))
        }
        (Some(attempt), _) => format!("ordered {} ago, and not finished since", span(attempt.at, now)),
        (None, Some(polled)) if now.seconds_since(polled) <= 3 * seconds(standing.interval) => {
            format!("its client polled {} ago and orders nothing: it takes it for not due", span(polled, now))
        }
        (None, Some(polled)) => format!("client silent: no poll for {}, no order", span(polled, now)),
        (None, None) => "client silent: no poll and no order since it was issued".into(),
    }
}

fn silent(lineage: &Lineage, standing: &Standing, now: Timestamp) -> Option<Condition> {
    let current = lineage.current.as_ref()?;
    if standing.state == State::Expired {
        return None;
    }
    let usual = match (lineage.polled_at, lineage.polled_every, standing.cadence) {
        (Some(_), Some(polls), _) => polls,
        (None, _, Some(distance)) => distance,
        _ => return None,
    };
    let ordered = lineage.attempt.as_ref().map(|attempt| attempt.at);
    let last = [Some(current.issued_at), lineage.polled_at, ordered].into_iter().flatten().max()?;
    let from = last.plus((usual * 3).max(Duration::from_secs(36 * 3_600)));
    if now <= from {
        return None;
    }
    let is_due = standing.state >= State::Due;
    Some(Condition {
        severity: if is_due { Severity::Warning } else { Severity::Info },
        title: title(&format!("{}: its client has been silent for {}", lineage.title(), span(last, now))),
        lines: lines([
            format!("the certificate is valid to {} ({})", current.not_after, left(current.not_after, now)),
            format!(
                "no poll and no order since {last}; usual are {} apart",
                humantime::format_duration(usual)
            ),
            if is_due { "its renewal is due".into() } else { format!("renewal is due at {}", standing.due) },
            "the host is off, or its timer is: on the host, systemctl list-timers 'acme-*'".into(),
            format!("try: ca-ctl explain {}", name(lineage)),
            "ignored, the certificate runs out".into(),
        ]),
        since: from,
        ..about(lineage, Rule::ClientSilent, format!("client:{}", lineage.key()), now)
    })
}

fn retired(lineage: &Lineage, now: Timestamp) -> Option<Condition> {
    let since = retired_since(lineage, now)?;
    let end = lineage.current.as_ref()?.not_after;
    Some(Condition {
        title: title(&format!("{}: retired? forget or keep", lineage.title())),
        lines: lines([
            format!("its certificate {}, nobody asks for another", left(end, now)),
            format!("it cannot be reached since {since}"),
            format!("gone for good: ca-ctl forget {}", name(lineage)),
            "to keep it, do nothing: the next order brings it back, and nothing more is said until then"
                .into(),
        ]),
        since,
        ..about(lineage, Rule::NameRetired, format!("retired:{}", lineage.key()), now)
    })
}

/// Since when it is gone: expired, no poll, no order, and no target to be reached for a week.
fn retired_since(lineage: &Lineage, now: Timestamp) -> Option<Timestamp> {
    let current = lineage.current.as_ref().filter(|current| now > current.not_after)?;
    let seen = last_seen(&lineage.served);
    if seen.is_empty() || !seen.iter().all(|row| is_unreachable(row.verdict)) {
        return None;
    }
    let ordered = lineage.attempt.as_ref().map(|attempt| attempt.at);
    let unreachable = seen.iter().map(|row| row.since);
    let last = unreachable.chain([current.not_after]).chain(lineage.polled_at).chain(ordered).max()?;
    (now.seconds_since(last) >= WEEK).then_some(last)
}

/// Whether every target serves a newer certificate that is well: of a set with more names, or fewer.
fn is_superseded(lineage: &Lineage) -> bool {
    let Some(current) = &lineage.current else { return false };
    let is_newer = |row: &acme::lineage::Served| {
        matches!(row.verdict, Verdict::Ok | Verdict::OkPrevious)
            && row.serial.as_deref().is_some_and(|serial| serial != current.serial.as_str())
            && row.not_after.is_some_and(|end| end > current.not_after)
    };
    // A wildcard is no target, so nobody can say what serves it.
    let is_shown = |name: &String| {
        !name.starts_with("*.") && {
            let mut rows = lineage.served.iter().filter(|row| row.host() == name).peekable();
            rows.peek().is_some() && rows.all(is_newer)
        }
    };
    !lineage.names.is_empty() && lineage.names.iter().all(is_shown)
}

fn used_of(standing: &Standing) -> String {
    format!("{:.0}", (standing.used * 100.0).floor())
}

fn seconds(span: Duration) -> i64 {
    i64::try_from(span.as_secs()).unwrap_or(i64::MAX / 4)
}

const DAY: i64 = 86_400;
const WEEK: i64 = 7 * DAY;
const LONG: i64 = 150 * DAY;
