//! `check`: a plugin for Nagios and those that took after it. One line with figures, and the exit status 0, 1, 2 or 3.

mod probes;

use std::time::Duration;

use acme::renewal::{State, Thresholds};
use acme::severity::Severity;
use acme::time::Timestamp;
use anyhow::Context as _;
use clap::Subcommand;
use serde::Serialize;
use store::Store;
use store::lineage::Which;

use super::expiring::{Pages, survey};
use super::health;
use super::output::Output;
use super::span::left;
use super::standing::{Summary, Word};
use super::status::{Authority, authorities, worst};
use crate::config::Config;
use crate::watch::book::{self as alert, Alert};
use crate::watch::ends::Near;
use crate::watch::keep;

/// One line and an exit status for Nagios: 0 good, 1 warning, 2 critical, 3 unknown
#[derive(Clone, Copy, Subcommand)]
pub(super) enum Check {
    /// Names and their certificates
    Certs,
    /// The CA's own certificates, and the lists of what it revoked
    Ca,
    /// What addresses really serve, as the server saw it last
    Probes,
    /// What is wrong and was told
    Alerts,
    /// All of it
    All,
}

/// What one check found, as `--json` tells of it. Fields are only ever added.
#[derive(Serialize)]
struct Found {
    check: &'static str,
    #[serde(serialize_with = "as_word")]
    state: health::State,
    text: String,
    /// As Nagios wants it.
    perfdata: String,
}

impl Check {
    /// What the line begins with.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Certs => "CERTS",
            Self::Ca => "CA",
            Self::Probes => "PROBES",
            Self::Alerts => "ALERTS",
            Self::All => "ALL",
        }
    }

    pub(super) async fn run(
        self,
        config: &Config,
        store: &Store,
        thresholds: Thresholds,
        mut output: Output<'_>,
    ) -> anyhow::Result<()> {
        let now = output.now;
        let mut found = Vec::new();
        if matches!(self, Self::Certs | Self::All) {
            found.push(certs(store, thresholds, now).await?);
        }
        if matches!(self, Self::Ca | Self::All) {
            found.push(ca(config, store, now).await?);
        }
        if matches!(self, Self::Probes | Self::All) {
            found.push(probes::probes(config, store, thresholds, now).await?);
        }
        if matches!(self, Self::Alerts | Self::All) {
            found.push(alerts(store).await?);
        }
        let state = worst(found.iter().map(|found| found.state));
        if output.json {
            output.envelope("check", &found)?;
            return state.finish();
        }
        let text: Vec<String> = match found.as_slice() {
            [one] => vec![one.text.clone()],
            all => all.iter().map(|one| format!("{} {}: {}", one.check, one.state, one.text)).collect(),
        };
        let figures: Vec<&str> = found.iter().map(|one| one.perfdata.as_str()).collect();
        // A bar begins the figures.
        let text = text.join("; ").replace('|', "/");
        output.line(&format!("{} {state} - {text} | {}", self.label(), figures.join(" ")))?;
        state.finish()
    }
}

async fn certs(store: &Store, thresholds: Thresholds, now: Timestamp) -> anyhow::Result<Found> {
    let (summary, _) = survey(store, thresholds, now).await?;
    let expired = Word::State(State::Expired);
    let critical = Word::State(State::Critical);
    let overdue = Word::State(State::Overdue);
    let troubles: Vec<String> = summary.troubles().map(|word| trouble(&summary, word)).collect();
    let ok = summary.well();
    let text = if troubles.is_empty() { format!("{ok} names") } else { troubles.join(", ") };
    let count = |word| summary.count(word);
    let mut perfdata = format!(
        "expired={};0;0 critical={};0;0 stale={} overdue={} ok={ok} muted={}",
        count(expired),
        count(critical),
        count(Word::Stale),
        count(overdue),
        summary.muted
    );
    if let Some(least) = least_left(store, thresholds, now).await? {
        perfdata = format!("{perfdata} min_left={least}s");
    }
    for word in [Word::Wrong, Word::Missing, Word::Failing] {
        if count(word) > 0 {
            perfdata = format!("{perfdata} {word}={}", count(word));
        }
    }
    Ok(Found { check: "CERTS", state: summary.state(), text, perfdata })
}

/// How many stand so; with names where somebody must look.
fn trouble(summary: &Summary, word: Word) -> String {
    let names = summary.names(word);
    let count = format!("{} {word}", names.len());
    let is_urgent = matches!(word, Word::State(State::Expired | State::Critical) | Word::Wrong);
    if !is_urgent {
        return count;
    }
    let more = names.len().saturating_sub(SHOWN);
    let shown = names[..names.len() - more].join(", ");
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{count} ({shown}{more})")
}

/// How long the first certificate that anybody waits for still lasts.
async fn least_left(store: &Store, thresholds: Thresholds, now: Timestamp) -> anyhow::Result<Option<i64>> {
    let mut pages = Pages::new(store, Which::EndingBefore(Timestamp::from_unix(i64::MAX)), thresholds, now);
    while let Some(page) = pages.next().await? {
        let mut expected = page.iter().filter(|judged| !judged.muted && judged.word != Word::Forgotten);
        if let Some(current) = expected.find_map(|judged| judged.lineage.current.as_ref()) {
            return Ok(Some(current.not_after.seconds_since(now)));
        }
    }
    Ok(None)
}

async fn ca(config: &Config, store: &Store, now: Timestamp) -> anyhow::Result<Found> {
    let all = authorities(config);
    if let Some(broken) = all.iter().find(|one| one.error.is_some()) {
        let why = broken.error.clone().unwrap_or_default();
        return Err(anyhow::anyhow!(why)).with_context(|| format!("the {}'s certificate", broken.role));
    }
    let mut state = judge(&all, config, now);
    let mut texts: Vec<String> = Vec::new();
    let mut perfdata = Vec::new();
    let limits = Near::authority(longest(config));
    for (number, one) in all.iter().enumerate() {
        let Some(end) = one.not_after else { continue };
        texts.push(format!("{} '{}' {} left", one.role, one.name, left(end, now)));
        let label = if number < 2 { one.role.to_owned() } else { format!("{}{number}", one.role) };
        let Near { warning, critical } = limits;
        perfdata.push(format!("{label}_left={}s;{warning}:;{critical}:", end.seconds_since(now)));
    }
    let lists = store.lists().await?;
    if let Some(first) = lists.iter().min_by_key(|list| list.next_update) {
        let limits = Near::list(first.this_update, first.next_update);
        let left = first.next_update.seconds_since(now);
        state = state.max(state_of(limits.judge(first.next_update, now)));
        texts
            .push(format!("list of revoked certificates {} left", super::span::left(first.next_update, now)));
        perfdata.push(format!("crl_left={left}s;{}:;{}:", limits.warning, limits.critical));
    }
    Ok(Found { check: "CA", state, text: texts.join(", "), perfdata: perfdata.join(" ") })
}

/// What is wrong and was told, or is about to be. What somebody knows of is said, and alarms nobody.
async fn alerts(store: &Store) -> anyhow::Result<Found> {
    let open = store.open_alerts().await?;
    let alerts: Vec<Alert> = open.iter().filter_map(|kept| keep::read(kept).ok()).collect();
    let stands = |alert: &&Alert| alert.inhibited_by.is_none() && alert.state != alert::State::Muted;
    let acked = alerts.iter().filter(|alert| alert.state == alert::State::Acked).count();
    let mut told: Vec<&Alert> =
        alerts.iter().filter(stands).filter(|alert| alert.state != alert::State::Acked).collect();
    told.sort_by_key(|alert| std::cmp::Reverse(alert.severity));
    let count = |severity| told.iter().filter(|alert| alert.severity == severity).count();
    let [urgent, critical, warning] = [Severity::Urgent, Severity::Critical, Severity::Warning].map(count);
    let state = match (urgent + critical, warning) {
        (0, 0) => health::State::Ok,
        (0, _) => health::State::Warning,
        _ => health::State::Critical,
    };
    let text = match told.iter().filter(|alert| alert.severity > Severity::Info).count() {
        0 => "nothing is wrong".to_owned(),
        _ => shortened(&told.iter().map(|alert| alert.title.clone()).collect::<Vec<_>>()),
    };
    let perfdata = format!(
        "alerts_urgent={urgent};0;0 alerts_critical={critical};0;0 alerts_warning={warning} alerts_acked={acked}"
    );
    Ok(Found { check: "ALERTS", state, text, perfdata })
}

/// The first few of a list, and how many more.
fn shortened(all: &[String]) -> String {
    let more = all.len().saturating_sub(SHOWN);
    let shown = all[..all.len() - more].join(", ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

/// The CA's own certificates: of the issuers the best counts, because it can sign.
pub(super) fn judge(authorities: &[Authority], config: &Config, now: Timestamp) -> health::State {
    let limits = Near::authority(longest(config));
    let of = |one: &Authority| match (one.not_before, one.not_after) {
        (Some(begin), Some(end)) if begin <= now => state_of(limits.judge(end, now)),
        (Some(_), Some(_)) => health::State::Critical,
        _ => health::State::Unknown,
    };
    let root = authorities.iter().filter(|one| one.role == "root").map(of).max();
    let issuer = authorities.iter().filter(|one| one.role == "issuer").map(of).min();
    root.max(issuer).unwrap_or(health::State::Unknown)
}

/// The state for what is known of an end.
fn state_of(near: Option<(Severity, Timestamp)>) -> health::State {
    match near {
        None => health::State::Ok,
        Some((Severity::Warning | Severity::Info, _)) => health::State::Warning,
        Some((Severity::Critical | Severity::Urgent, _)) => health::State::Critical,
    }
}

/// The longest life that a profile gives: what is issued must end before its issuer.
fn longest(config: &Config) -> Duration {
    config.policy.profiles.values().map(|profile| profile.lifetime).max().unwrap_or_default()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn as_word<S: serde::Serializer>(state: &health::State, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(state.as_str())
}

const SHOWN: usize = 3;
