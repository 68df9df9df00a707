//! `alerts`: what is wrong, whom it was told, and who knows of it.

mod test;

use std::time::Duration;

use acme::severity::Severity;
use acme::time::Timestamp;
use anyhow::bail;
use clap::Subcommand;
use serde::Serialize;
use store::Store;
use store::alert::{AckAlert, Kept};

use super::output::{Output, wrapped};
use super::span::{ago, left, span};
use crate::watch::book::{Alert, State};
use crate::watch::keep;
use crate::watch::rule::Rule;

/// What is wrong, and whom it was told
#[derive(Subcommand)]
pub(super) enum Alerts {
    /// What is wrong now, the worst first
    List {
        /// And what was over within this time
        #[arg(long, value_name = "SPAN", value_parser = span)]
        over: Option<Duration>,
    },
    /// One alert in full, with what happened to it
    Show {
        /// Its key, as in the list
        key: String,
    },
    /// Say that somebody knows of it: no reminders while it does not become worse
    Ack {
        /// Its key, as in the list
        key: String,
        /// What is being done about it
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// What happened to alerts, the latest first
    History {
        /// Within this time
        #[arg(long, value_name = "SPAN", default_value = "7d", value_parser = span)]
        since: Duration,
        /// How many
        #[arg(long, default_value_t = 1_000, value_name = "N")]
        limit: u32,
    },
    /// The rules: when each holds, how bad it is, and how often it is told again
    Rules,
    /// Send one real message to every sink, or to one, and say what came of it
    Test(test::Test),
}

/// An alert as `--json` tells of it. Fields are only ever added.
#[derive(Serialize)]
struct Item {
    key: String,
    rule: String,
    severity: Severity,
    state: String,
    since: Timestamp,
    ended_at: Option<Timestamp>,
    title: String,
    lines: Vec<String>,
    names: Vec<String>,
    owner: Option<String>,
    /// The key of the alert that stands for it.
    inhibited_by: Option<String>,
    told_at: Option<Timestamp>,
    /// How often it was told again.
    reminders: u32,
    acked_at: Option<Timestamp>,
    ack_reason: Option<String>,
}

/// Something that happened, as `--json` tells of it.
#[derive(Serialize)]
struct EventItem {
    at: Timestamp,
    key: String,
    event: String,
    rule: String,
    severity: Severity,
    title: String,
}

/// A rule as `--json` tells of it.
#[derive(Serialize)]
struct RuleItem {
    rule: Rule,
    when: &'static str,
    severities: &'static [Severity],
    key: &'static str,
    /// For each severity.
    again: Vec<String>,
}

impl Alerts {
    /// What works on the store.
    pub(super) async fn run(self, store: &Store, output: Output<'_>) -> anyhow::Result<()> {
        match self {
            Self::List { over } => list(store, over, output).await,
            Self::Show { key } => show(store, &key, output).await,
            Self::Ack { key, reason } => ack(store, key, reason, output).await,
            Self::History { since, limit } => history(store, since, limit, output).await,
            Self::Rules => rules(output),
            Self::Test(_) => Ok(()),
        }
    }
}

/// The table of the rules. It needs no store.
pub(super) fn rules(mut output: Output<'_>) -> anyhow::Result<()> {
    let items: Vec<RuleItem> = Rule::ALL
        .iter()
        .map(|rule| {
            let row = rule.row();
            let again = row.severities.iter().map(|severity| rule.again(*severity).to_string()).collect();
            RuleItem { rule: *rule, when: row.when, severities: row.severities, key: row.key, again }
        })
        .collect();
    if output.json {
        return output.envelope("alerts-rules", &items);
    }
    // A condition takes more than a column: it stands under its rule, within the width of a page.
    for item in &items {
        let severities: Vec<&str> = item.severities.iter().map(|severity| severity.as_str()).collect();
        let mut again = item.again.clone();
        again.dedup();
        let (severities, again) = (severities.join("/"), again.join("/"));
        output.line(&format!("{:<21} {severities:<24} again: {again}", item.rule.to_string()))?;
        for line in wrapped(item.when, WIDTH) {
            output.line(&format!("  {line}"))?;
        }
    }
    Ok(())
}

async fn list(store: &Store, over: Option<Duration>, mut output: Output<'_>) -> anyhow::Result<()> {
    let now = output.now;
    let mut kept = store.open_alerts().await?;
    if let Some(over) = over {
        kept.extend(store.ended_alerts(now.minus(over), LIMIT).await?);
    }
    let mut items = kept.iter().map(item).collect::<anyhow::Result<Vec<Item>>>()?;
    items.sort_by_key(|item| {
        (item.ended_at.is_some(), item.inhibited_by.is_some(), std::cmp::Reverse(item.severity), item.since)
    });
    output.items("alerts-list", &items, &["KEY", "SEVERITY", "STATE", "FOR", "WHAT"], |item| {
        let state = match &item.inhibited_by {
            Some(_) if item.ended_at.is_none() => "inhibited".to_owned(),
            _ => item.state.clone(),
        };
        vec![item.key.clone(), item.severity.to_string(), state, left(now, item.since), item.title.clone()]
    })?;
    if !output.json {
        let open = items.iter().filter(|item| item.ended_at.is_none());
        let (told, kept): (Vec<&Item>, Vec<&Item>) = open.partition(|item| item.inhibited_by.is_none());
        output.line(&match (told.len(), kept.len()) {
            (0, 0) => "no alert".to_owned(),
            (told, 0) => format!("{told} open"),
            (told, kept) => format!("{told} open, and {kept} that they stand for"),
        })?;
        if let Some(first) = told.first() {
            output.line(&format!("next: ca-ctl alerts show {}", first.key))?;
        }
    }
    Ok(())
}

async fn show(store: &Store, key: &str, mut output: Output<'_>) -> anyhow::Result<()> {
    let now = output.now;
    let Some(kept) = store.alert(key).await? else { bail!("{}", unknown(key)) };
    let item = item(&kept)?;
    let events: Vec<EventItem> =
        store.events_of_alert(key, LIMIT).await?.into_iter().map(EventItem::from).collect();
    if output.json {
        #[derive(Serialize)]
        struct More {
            events: Vec<EventItem>,
        }
        return output.envelope_with("alerts-show", &[item], More { events });
    }
    output.line(&item.title)?;
    output.line(&format!("  {} {}, {} ({})", item.severity, item.state, ago(item.since, now), item.rule))?;
    for line in &item.lines {
        // A command stays on its line, to be copied.
        if line.starts_with("try: ") {
            output.line(&format!("  {line}"))?;
        } else {
            output.hung("  ", line)?;
        }
    }
    if item.names.len() > 1 {
        output.hung("  names: ", &item.names.join(", "))?;
    }
    if let Some(owner) = &item.owner {
        output.line(&format!("  owner: {owner}"))?;
    }
    if let Some(root) = &item.inhibited_by {
        output.line(&format!("  {root} stands for it"))?;
    }
    match (item.told_at, item.reminders) {
        (None, _) => output.line("  nobody was told")?,
        (Some(at), 0) => output.line(&format!("  told {}", ago(at, now)))?,
        (Some(at), times) => output.line(&format!("  told again {}, {times} times in all", ago(at, now)))?,
    }
    if let Some(at) = item.acked_at {
        let reason = item.ack_reason.as_deref().unwrap_or("no reason given");
        output.line(&format!("  acknowledged {}: {reason}", ago(at, now)))?;
    }
    if let Some(at) = item.ended_at {
        output.line(&format!("  over {}, after {}", ago(at, now), left(at, item.since)))?;
    }
    for event in &events {
        output.hung(&format!("  {}  {}  ", event.at, event.event), &event.title)?;
    }
    Ok(())
}

async fn ack(
    store: &Store,
    key: String,
    reason: Option<String>,
    mut output: Output<'_>,
) -> anyhow::Result<()> {
    let reason = reason.map(|reason| acme::problem::plain(&reason, REASON));
    let change = AckAlert { key: key.clone(), reason, at: output.now };
    let Some(kept) = store.write(change).await? else { bail!("{}", unknown(&key)) };
    let item = item(&kept)?;
    if output.json {
        return output.envelope("alerts-ack", &[item]);
    }
    output.line(&format!("acknowledged: {}", item.title))?;
    output.line("no reminders while it does not become worse; its end is told")
}

async fn history(store: &Store, since: Duration, limit: u32, mut output: Output<'_>) -> anyhow::Result<()> {
    let now = output.now;
    let events = store.alert_events(now.minus(since), limit).await?;
    let items: Vec<EventItem> = events.into_iter().map(EventItem::from).collect();
    output.items("alerts-history", &items, &["KEY", "WHEN", "EVENT", "SEVERITY", "WHAT"], |item| {
        let severity = item.severity.to_string();
        vec![item.key.clone(), ago(item.at, now), item.event.clone(), severity, item.title.clone()]
    })
}

fn item(kept: &Kept) -> anyhow::Result<Item> {
    let alert: Alert = keep::read(kept)?;
    Ok(Item {
        state: match alert.state {
            State::Firing if alert.told.is_none() => "queued".to_owned(),
            state => state.as_str().to_owned(),
        },
        key: alert.key,
        rule: alert.rule.to_string(),
        severity: alert.severity,
        since: alert.since,
        ended_at: alert.ended_at,
        title: alert.title,
        lines: alert.lines,
        names: alert.names,
        owner: alert.owner,
        inhibited_by: alert.inhibited_by,
        told_at: alert.told.map(|told| told.at),
        reminders: alert.told.map_or(0, |told| told.times),
        acked_at: alert.ack.as_ref().map(|ack| ack.at),
        ack_reason: alert.ack.and_then(|ack| ack.reason),
    })
}

fn unknown(key: &str) -> String {
    let key = acme::problem::plain(key, 100);
    format!("no open alert has the key {key}; ca-ctl alerts list shows those that there are")
}

impl From<store::alert::Event> for EventItem {
    fn from(event: store::alert::Event) -> Self {
        let store::alert::Event { at, key, what, rule, severity, title } = event;
        Self { at, key, event: what, rule, severity, title }
    }
}

/// How many are read at most.
const LIMIT: u32 = 200;
const REASON: usize = 200;
/// How wide the text of a rule may be.
const WIDTH: usize = 76;
