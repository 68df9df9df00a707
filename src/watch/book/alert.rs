//! An alert: a condition with its history. Kept whole, so that a server which starts again goes on where it stopped.

use acme::severity::Severity;
use acme::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::watch::rule::Rule;
use crate::watch::rules::Condition;

/// A condition with its history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// The same for as long as it is about the same thing.
    pub key: String,
    /// Which rule holds.
    pub rule: Rule,
    /// How bad it is now.
    pub severity: Severity,
    /// Where it stands.
    pub state: State,
    /// Who and what.
    pub title: String,
    /// What it means, since when, why, the evidence, and what to do.
    pub lines: Vec<String>,
    /// The names that it is about.
    pub names: Vec<String>,
    /// Who looks after them.
    pub owner: Option<String>,
    /// Since when it holds.
    pub since: Timestamp,
    /// When the last evidence of it was made, where the condition outlives its evidence.
    pub seen_at: Timestamp,
    /// The lineages that it is about, by their keys.
    pub covers: Vec<String>,
    /// What is at fault, where several may have one cause.
    pub cause: Option<String>,
    /// When it was first found.
    pub found_at: Timestamp,
    /// The key of the alert that stands for it.
    pub inhibited_by: Option<String>,
    /// When the alert that stood for it was over; it has a while to end by itself.
    pub released_at: Option<Timestamp>,
    /// When and how somebody was told.
    pub told: Option<Told>,
    /// Since when it waits for the digest.
    pub queued_at: Option<Timestamp>,
    /// Since when it is not to be found any more.
    pub gone_at: Option<Timestamp>,
    /// Who knows of it.
    pub ack: Option<Ack>,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
}

/// Where an alert stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nobody was told yet.
    Pending,
    /// Somebody was told, or waits for the digest.
    Firing,
    /// Somebody knows of it: no reminders.
    Acked,
    /// Its names are muted.
    Muted,
    /// It is over.
    Resolved,
}

/// What somebody was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// When last.
    pub at: Timestamp,
    /// The worst rule.
    pub rule: Rule,
    /// The worst severity.
    pub severity: Severity,
    /// How often again since it became so.
    pub times: u32,
}

/// Somebody knows of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// Since when.
    pub at: Timestamp,
    /// What they said.
    pub reason: Option<String>,
}

impl State {
    /// Every one.
    pub const ALL: &'static [Self] = &[Self::Pending, Self::Firing, Self::Acked, Self::Muted, Self::Resolved];

    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Firing => "firing",
            Self::Acked => "acked",
            Self::Muted => "muted",
            Self::Resolved => "resolved",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.as_str() == word)
    }
}

impl Alert {
    pub(super) fn new(condition: &Condition, now: Timestamp) -> Self {
        let mut alert = Self {
            key: condition.key.clone(),
            rule: condition.rule,
            severity: condition.severity,
            state: State::Pending,
            title: String::new(),
            lines: Vec::new(),
            names: Vec::new(),
            owner: None,
            since: condition.since,
            seen_at: condition.seen_at,
            covers: Vec::new(),
            cause: None,
            found_at: now,
            inhibited_by: None,
            released_at: None,
            told: None,
            queued_at: None,
            gone_at: None,
            ack: None,
            ended_at: None,
        };
        alert.update(condition, now);
        alert
    }

    /// The condition holds, in these words.
    pub(super) fn update(&mut self, condition: &Condition, now: Timestamp) {
        self.rule = condition.rule;
        self.severity = condition.severity;
        self.title.clone_from(&condition.title);
        self.lines.clone_from(&condition.lines);
        self.names.clone_from(&condition.names);
        self.owner.clone_from(&condition.owner);
        self.since = self.since.min(condition.since);
        if condition.rule == Rule::CaValidationOutage {
            self.seen_at = condition.seen_at;
        }
        self.covers.clone_from(&condition.covers);
        self.cause.clone_from(&condition.cause);
        self.gone_at = None;
        match (&self.inhibited_by, &condition.inhibited_by) {
            (Some(_), None) => self.released_at = Some(now),
            (_, Some(_)) => self.released_at = None,
            (None, None) => {}
        }
        self.inhibited_by.clone_from(&condition.inhibited_by);
        self.state = match self.state {
            _ if condition.is_muted => State::Muted,
            State::Muted if self.ack.is_some() => State::Acked,
            State::Muted if self.told.is_some() => State::Firing,
            State::Muted => State::Pending,
            state => state,
        };
    }

    /// Whether what was told before is no longer the whole of it.
    pub(super) fn is_news(&self) -> bool {
        self.told.is_none_or(|told| self.severity > told.severity || told.rule.rises_to(self.rule))
    }

    /// Somebody is told, now.
    pub(super) fn tell(&mut self, now: Timestamp) {
        let before = self.told;
        self.told = Some(Told {
            at: now,
            rule: before.filter(|told| !told.rule.rises_to(self.rule)).map_or(self.rule, |told| told.rule),
            severity: before.map_or(self.severity, |told| told.severity.max(self.severity)),
            times: 0,
        });
        self.state = State::Firing;
        self.ack = None;
        self.queued_at = None;
        self.released_at = None;
    }

    /// Somebody is told again.
    pub(super) fn remind(&mut self, now: Timestamp) {
        if let Some(told) = &mut self.told {
            told.at = now;
            told.times = told.times.saturating_add(1);
        }
        self.queued_at = None;
    }

    /// Whether it is kept as it was: the same but for words that only say how long ago something was.
    pub(super) fn is_same_as(&self, kept: &Self) -> bool {
        let mut plain = self.clone();
        if self.rule != Rule::CaValidationOutage {
            plain.title.clone_from(&kept.title);
            plain.lines.clone_from(&kept.lines);
        }
        plain == *kept
    }

    /// A clock that was ahead left moments that have not come: they are now.
    pub(super) fn not_after(&mut self, now: Timestamp) {
        let moments = [
            Some(&mut self.found_at),
            self.told.as_mut().map(|told| &mut told.at),
            self.released_at.as_mut(),
            self.queued_at.as_mut(),
            self.gone_at.as_mut(),
        ];
        for moment in moments.into_iter().flatten() {
            *moment = (*moment).min(now);
        }
    }
}
