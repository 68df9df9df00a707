//! What somebody is told: one message, with everything in it that a sink needs. Many of one kind in one step become one.

use std::collections::{BTreeMap, BTreeSet};

use acme::severity::Severity;
use acme::time::Timestamp;

use super::Alert;
use crate::notify::{Kind, Message};
use crate::watch::rule::Rule;

/// One message, and when it may be told.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// What is to be told.
    pub message: Message,
    /// Nobody is to be told before; for quiet hours.
    pub not_before: Option<Timestamp>,
}

impl Notice {
    pub(super) fn of(alert: &Alert, kind: Kind, now: Timestamp) -> Self {
        let message = Message {
            key: alert.key.clone(),
            kind,
            rule: alert.rule.to_string(),
            severity: alert.severity,
            title: alert.title.clone(),
            lines: alert.lines.clone(),
            names: alert.names.clone(),
            owner: alert.owner.clone(),
            since: alert.since,
            at: now,
        };
        Self { message, not_before: None }
    }
}

/// More than four of one rule and kind become one message.
pub(super) fn together(notices: Vec<(Rule, Notice)>, now: Timestamp) -> Vec<Notice> {
    let mut groups: BTreeMap<(Kind, Rule), Vec<Notice>> = BTreeMap::new();
    for (rule, notice) in notices {
        groups.entry((notice.message.kind, rule)).or_default().push(notice);
    }
    let one = |((kind, rule), notices): ((Kind, Rule), Vec<Notice>)| {
        if notices.len() <= APART {
            return notices;
        }
        let word = match kind {
            Kind::Resolved => "over",
            Kind::Reminder => "still so",
            _ => "new",
        };
        let mut lines: Vec<String> =
            notices.iter().take(LINES - 1).map(|n| n.message.title.clone()).collect();
        if notices.len() >= LINES {
            lines.push(format!("and {} more: ca-ctl alerts list", notices.len() - (LINES - 1)));
        }
        let messages = || notices.iter().map(|notice| &notice.message);
        let owners: BTreeSet<Option<&String>> = messages().map(|message| message.owner.as_ref()).collect();
        let owner = if owners.len() == 1 { notices[0].message.owner.clone() } else { None };
        let names: BTreeSet<String> = messages().flat_map(|message| message.names.clone()).collect();
        let message = Message {
            key: format!("digest:{rule}"),
            kind: if kind == Kind::Resolved { Kind::Resolved } else { Kind::Digest },
            rule: rule.to_string(),
            severity: messages().map(|message| message.severity).max().unwrap_or(Severity::Info),
            title: format!("{} alerts {word}: {rule}", notices.len()),
            lines,
            names: names.into_iter().take(NAMES).collect(),
            owner,
            since: messages().map(|message| message.since).min().unwrap_or(now),
            at: now,
        };
        let not_before = notices.iter().filter_map(|notice| notice.not_before).max();
        vec![Notice { message, not_before }]
    };
    groups.into_iter().flat_map(one).collect()
}

/// What could wait, in one message.
pub(super) fn digest(alerts: &[&Alert], now: Timestamp) -> Notice {
    let mut by_rule: BTreeMap<Rule, Vec<&Alert>> = BTreeMap::new();
    for alert in alerts {
        by_rule.entry(alert.rule).or_default().push(alert);
    }
    let mut lines: Vec<String> = by_rule
        .iter()
        .map(|(rule, alerts)| {
            let who: Vec<String> =
                alerts.iter().take(4).map(|alert| acme::lineage::title(&alert.names)).collect();
            let more = alerts.len().saturating_sub(4);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("{rule}: {}{more}", who.join(", "))
        })
        .collect();
    lines.truncate(LINES - 1);
    lines.push("more of each: ca-ctl alerts list".into());
    let names: BTreeSet<String> = alerts.iter().flat_map(|alert| alert.names.clone()).collect();
    let title = match alerts {
        [alert] => alert.title.clone(),
        _ => format!("{} things worth knowing", alerts.len()),
    };
    let message = Message {
        key: "digest".into(),
        kind: Kind::Digest,
        rule: "Digest".into(),
        severity: Severity::Info,
        title,
        lines,
        names: names.into_iter().take(NAMES).collect(),
        owner: None,
        since: alerts.iter().map(|alert| alert.since).min().unwrap_or(now),
        at: now,
    };
    Notice { message, not_before: None }
}

/// So many of one kind still come one by one.
const APART: usize = 4;
const LINES: usize = 6;
const NAMES: usize = 200;
