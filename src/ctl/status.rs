//! `status`: everything that matters on one screen.

use std::path::Path;
use std::time::Duration;

use acme::renewal::Thresholds;
use acme::severity::Severity;
use acme::time::Timestamp;
use clap::Args;
use serde::Serialize;
use store::Store;

use super::check;
use super::expiring::survey;
use super::health;
use super::output::Output;
use super::span::left;
use super::standing::{Summary, Word};
use crate::ca;
use crate::config::Config;
use crate::watch::{deliver, keep};

/// Everything that matters on one screen
#[derive(Args)]
pub(super) struct Status {
    /// Let the exit status tell how things are: 0 good, 1 warning, 2 critical, 3 unknown
    #[arg(long)]
    pub(super) exit_code: bool,
}

/// The state of the whole as `--json` tells of it. Fields are only ever added.
#[derive(Serialize)]
struct Item {
    state: &'static str,
    authorities: Vec<Authority>,
    names: u64,
    by_standing: std::collections::BTreeMap<&'static str, u64>,
    muted: u64,
    /// What most failures have in common.
    common_cause: Option<String>,
    orders_failed: usize,
    orders_issued: usize,
    resolver_servers: Vec<String>,
    resolver_pins: usize,
    /// Open alerts by severity, less those that others stand for.
    alerts: std::collections::BTreeMap<&'static str, u64>,
    /// Who is told, and what keeps them from it.
    sinks: Vec<String>,
    store: String,
}

/// The root or an issuer.
#[derive(Serialize)]
pub(super) struct Authority {
    pub(super) role: &'static str,
    pub(super) name: String,
    pub(super) not_before: Option<Timestamp>,
    pub(super) not_after: Option<Timestamp>,
    /// Why it cannot be read.
    pub(super) error: Option<String>,
}

impl Status {
    pub(super) async fn run(
        self,
        config: &Config,
        store: &Store,
        thresholds: Thresholds,
        mut output: Output<'_>,
    ) -> anyhow::Result<()> {
        let now = output.now;
        let (summary, _) = survey(store, thresholds, now).await?;
        let recent = store.recent(now.minus(DAY), MANY).await?;
        let authorities = authorities(config);
        let state = summary.state().max(check::judge(&authorities, config, now));
        let (servers, pins) = match config.resolver() {
            Ok(resolver) => (resolver.servers.iter().map(ToString::to_string).collect(), resolver.pins.len()),
            Err(error) => (vec![format!("none: {error}")], 0),
        };
        let item = Item {
            state: state.as_str(),
            names: summary.total,
            by_standing: by_standing(&summary),
            muted: summary.muted,
            common_cause: summary.common_cause().map(|(cause, _)| cause.to_owned()),
            orders_failed: recent.failed.len(),
            orders_issued: recent.issued.len(),
            resolver_servers: servers,
            resolver_pins: pins,
            alerts: alerts(store).await?,
            sinks: sinks(config, store, now).await?,
            store: store.location().to_owned(),
            authorities,
        };
        if output.json {
            output.envelope("status", &[item])?;
        } else {
            tell(&item, &summary, now, &mut output)?;
        }
        if self.exit_code { state.finish() } else { Ok(()) }
    }
}

fn tell(item: &Item, summary: &Summary, now: Timestamp, output: &mut Output<'_>) -> anyhow::Result<()> {
    let mut line = |key: &str, value: &str| output.line(&format!("{key:<10} {value}"));
    line("state", item.state)?;
    for authority in &item.authorities {
        let value = match (&authority.error, authority.not_after) {
            (None, Some(end)) => {
                format!("{} until {end} ({} left)", authority.name, left(end, now))
            }
            (error, _) => format!("{}: {}", authority.name, error.clone().unwrap_or_default()),
        };
        line(authority.role, &value)?;
    }
    let words = item.by_standing.iter().filter(|(_, count)| **count > 0);
    let mut words: Vec<(&str, u64)> = words.map(|(word, count)| (*word, *count)).collect();
    words.sort_by_key(|(word, _)| Word::ALL.iter().position(|known| known.as_str() == *word));
    let words: Vec<String> = words.iter().map(|(word, count)| format!("{count} {word}")).collect();
    let muted = if item.muted > 0 { format!("; {} muted", item.muted) } else { String::new() };
    line("names", &format!("{}: {}{muted}", item.names, words.join(", ")))?;
    let many = |count: usize| if count >= usize::try_from(MANY).unwrap_or(usize::MAX) { "+" } else { "" };
    line(
        "orders",
        &format!(
            "in 24h {}{} failed, {}{} issued",
            item.orders_failed,
            many(item.orders_failed),
            item.orders_issued,
            many(item.orders_issued)
        ),
    )?;
    if let Some(cause) = &item.common_cause {
        line("cause", cause)?;
    }
    let servers = if item.resolver_servers.is_empty() {
        "no servers".to_owned()
    } else {
        item.resolver_servers.join(", ")
    };
    line(
        "resolver",
        &format!(
            "{servers}; {} {}",
            item.resolver_pins,
            if item.resolver_pins == 1 { "pin" } else { "pins" }
        ),
    )?;
    let severities = Severity::ALL.iter().rev().map(|severity| severity.as_str());
    let mut alerts: Vec<String> =
        severities.filter_map(|word| item.alerts.get(word).map(|count| format!("{count} {word}"))).collect();
    if alerts.is_empty() {
        alerts.push("none".to_owned());
    }
    line("alerts", &alerts.join(", "))?;
    line("sinks", &if item.sinks.is_empty() { "nobody is told".to_owned() } else { item.sinks.join(", ") })?;
    line("store", &item.store)?;
    match summary.lines() {
        (_, Some(next)) => line("next", &next)?,
        // What is only worth knowing waits.
        (_, None) if item.alerts.keys().any(|word| *word != Severity::Info.as_str()) => {
            line("next", "ca-ctl alerts list")?;
        }
        (_, None) => {}
    }
    Ok(())
}

/// Open alerts by severity.
async fn alerts(store: &Store) -> anyhow::Result<std::collections::BTreeMap<&'static str, u64>> {
    let mut counts = std::collections::BTreeMap::new();
    for alert in store.open_alerts().await?.iter().filter_map(|kept| keep::read(kept).ok()) {
        if alert.inhibited_by.is_none() {
            *counts.entry(alert.severity.as_str()).or_default() += 1;
        }
    }
    Ok(counts)
}

/// Each sink, and what waits for it.
async fn sinks(config: &Config, store: &Store, now: Timestamp) -> anyhow::Result<Vec<String>> {
    let facts = deliver::facts(store, &config.alerts, now).await?;
    let said = |fact: &deliver::SinkFact| match (&fact.trouble, fact.waiting) {
        (Some(trouble), waiting) => format!("{} ({trouble}, {waiting} wait)", fact.name),
        (None, 0) => fact.name.clone(),
        (None, waiting) => format!("{} ({waiting} wait)", fact.name),
    };
    Ok(facts.iter().map(said).collect())
}

/// How many lineages there are of each word. Those that need no attention were not looked at: they are fresh.
fn by_standing(summary: &Summary) -> std::collections::BTreeMap<&'static str, u64> {
    let count = |word: Word| u64::try_from(summary.count(word)).unwrap_or(u64::MAX);
    let mut counts: std::collections::BTreeMap<&'static str, u64> =
        Word::ALL.iter().map(|word| (word.as_str(), count(*word))).collect();
    let seen: u64 = counts.values().sum();
    let fresh = Word::State(acme::renewal::State::Fresh).as_str();
    let unseen = summary.total.saturating_sub(seen + summary.muted);
    *counts.entry(fresh).or_default() += unseen;
    counts
}

/// The root and the issuers, as far as their files can be read; never a key.
pub(super) fn authorities(config: &Config) -> Vec<Authority> {
    let file =
        |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let make = |role, path: &Path, read: Result<ca::Certificate, String>| match read {
        Ok(ca) => Authority {
            role,
            name: ca.name.clone(),
            not_before: Some(ca.not_before),
            not_after: Some(ca.not_after),
            error: None,
        },
        Err(error) => {
            Authority { role, name: file(path), not_before: None, not_after: None, error: Some(error) }
        }
    };
    let root = ca::read_root(&config.ca.root).map_err(|error| error.to_string());
    let mut all = vec![make("root", &config.ca.root, root)];
    for issuer in &config.ca.issuers {
        let chain = ca::Certificate::read(&issuer.certificate).map_err(|error| error.to_string());
        let first = chain.and_then(|chain| chain.into_iter().next().ok_or_else(|| "it is empty".to_owned()));
        all.push(make("issuer", &issuer.certificate, first));
    }
    all
}

/// What the exit status would say.
pub(super) fn worst(states: impl IntoIterator<Item = health::State>) -> health::State {
    states.into_iter().max().unwrap_or(health::State::Ok)
}

const DAY: Duration = Duration::from_secs(86_400);
const MANY: u32 = 10_000;
