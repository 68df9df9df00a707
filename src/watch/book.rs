//! From conditions to alerts: a state machine that is told what holds and what the time is, and says whom to tell what.
//!
//! A condition becomes an alert that is `pending`, and after thirty seconds, in which others of its cause may come, `firing`.
//! It is told again when its rule says so, at once when it becomes worse, and once that it is over. What another alert
//! stands for is kept and not told. Nothing is told that was never told to have begun.

mod alert;
mod notice;

use std::collections::BTreeMap;

use acme::severity::Severity;
use acme::time::Timestamp;

pub use self::alert::{Ack, Alert, State, Told};
pub use self::notice::Notice;

use super::rule::Rule;
use super::rules::{Ending, Findings};
use crate::notify::{Kind, Message, Schedule};

/// The alerts that are not over.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Book {
    alerts: BTreeMap<String, Alert>,
    /// The time of the last step.
    stepped_at: Option<Timestamp>,
}

/// What came of a step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    /// Whom to tell what.
    pub notices: Vec<Notice>,
    /// The alerts that are not as they were, those that are over among them.
    pub changed: Vec<Alert>,
    /// Pending alerts that were over before anybody was told, by their keys: there is nothing to keep.
    pub dropped: Vec<String>,
    /// What happened, for the history.
    pub events: Vec<Event>,
}

/// Something that happened to an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Which alert.
    pub key: String,
    /// What.
    pub what: What,
    /// Which rule held.
    pub rule: Rule,
    /// How bad it was then.
    pub severity: Severity,
    /// What it was called then.
    pub title: String,
}

/// What happens to alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum What {
    /// It was told.
    Fired,
    /// It became worse, and was told.
    Escalated,
    /// It was told again.
    Reminded,
    /// It was over.
    Resolved,
    /// Another came to stand for it.
    Inhibited,
}

impl What {
    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fired => "fired",
            Self::Escalated => "escalated",
            Self::Reminded => "reminded",
            Self::Resolved => "resolved",
            Self::Inhibited => "inhibited",
        }
    }
}

impl Book {
    /// The book of the alerts that were kept; those that are over are left out.
    pub fn load(alerts: impl IntoIterator<Item = Alert>) -> Self {
        let alerts = alerts.into_iter().filter(|alert| alert.ended_at.is_none());
        Self { alerts: alerts.map(|alert| (alert.key.clone(), alert)).collect(), stepped_at: None }
    }

    /// The alerts that are not over.
    pub fn open(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.values()
    }

    /// The alert of this key, if it is not over.
    pub fn alert(&self, key: &str) -> Option<&Alert> {
        self.alerts.get(key)
    }

    /// Somebody knows of an alert: no reminders while it does not become worse. Whether there is one to know of.
    pub fn ack(&mut self, key: &str, reason: Option<String>, now: Timestamp) -> bool {
        let Some(alert) = self.alerts.get_mut(key) else { return false };
        alert.ack = Some(Ack { at: now, reason });
        alert.state = State::Acked;
        true
    }

    /// Takes what was found into the book.
    pub fn step(&mut self, findings: &Findings, now: Timestamp, schedule: &Schedule) -> Step {
        let before = self.alerts.clone();
        let is_back = self.stepped_at.is_some_and(|last| now < last);
        self.stepped_at = Some(now);
        let mut step = Step::default();
        for alert in self.alerts.values_mut() {
            alert.not_after(now);
        }
        // What was true by the wrong time is not believed to have ended by the right one before it was looked at again.
        if !is_back {
            self.end(findings, now, schedule, &mut step);
            self.begin(findings, now, &mut step);
            self.tell(findings, now, schedule, &mut step);
            self.digest(now, schedule, &mut step);
        }
        let changed = self
            .alerts
            .values()
            .filter(|alert| before.get(&alert.key).is_none_or(|kept| !alert.is_same_as(kept)));
        step.changed.extend(changed.cloned());
        step
    }

    fn end(&mut self, findings: &Findings, now: Timestamp, schedule: &Schedule, step: &mut Step) {
        let mut over = Vec::new();
        for (key, alert) in &mut self.alerts {
            let words = match findings.endings.get(key) {
                None | Some(Ending::Unknown | Ending::Unseen) => continue,
                // It is told of though it is past.
                Some(Ending::Dropped) if alert.rule == Rule::NewNameIssued && alert.told.is_none() => {
                    continue;
                }
                Some(Ending::Dropped) => None,
                Some(Ending::Shown(title, lines)) => Some((title, lines)),
                Some(Ending::Gone(title, lines)) => {
                    let gone_at = *alert.gone_at.get_or_insert(now);
                    if alert.told.is_some() && now.seconds_since(gone_at) < APART {
                        continue;
                    }
                    Some((title, lines))
                }
            };
            let words = words.map(|(title, lines)| (title.clone(), lines.clone()));
            over.push((key.clone(), words));
        }
        let mut notices = Vec::new();
        for (key, words) in over {
            let Some(mut alert) = self.alerts.remove(&key) else { continue };
            alert.state = State::Resolved;
            alert.ended_at = Some(now);
            let Some(told) = alert.told else {
                step.dropped.push(key);
                continue;
            };
            // What waited for the digest, or was told for the sake of telling, is not told to be over.
            if let Some((title, lines)) = words
                && told.severity > Severity::Info
                && !alert.rule.is_told_once()
            {
                let not_before = quiet_until(schedule, told.severity, now);
                let message = Notice::of(&alert, Kind::Resolved, now).message;
                let message = Message { title, lines, severity: told.severity, ..message };
                notices.push((alert.rule, Notice { message, not_before }));
            }
            step.events.push(event(&alert, What::Resolved));
            step.changed.push(alert);
        }
        step.notices.extend(notice::together(notices, now));
    }

    fn begin(&mut self, findings: &Findings, now: Timestamp, step: &mut Step) {
        for condition in &findings.conditions {
            let alert = self
                .alerts
                .entry(condition.key.clone())
                .and_modify(|alert| {
                    if alert.inhibited_by.is_none() && condition.inhibited_by.is_some() {
                        step.events.push(event(alert, What::Inhibited));
                    }
                })
                .or_insert_with(|| Alert::new(condition, now));
            alert.update(condition, now);
        }
    }

    fn tell(&mut self, findings: &Findings, now: Timestamp, schedule: &Schedule, step: &mut Step) {
        let mut notices = Vec::new();
        for alert in self.alerts.values_mut() {
            let holds = findings.conditions.iter().any(|condition| condition.key == alert.key)
                || alert.rule == Rule::NewNameIssued;
            let is_kept_back = alert.state == State::Muted || alert.inhibited_by.is_some();
            if is_kept_back || quiet_until(schedule, alert.severity, now).is_some() {
                continue;
            }
            if alert.is_news() {
                let gathered = now.seconds_since(alert.found_at) >= GATHER || alert.told.is_some();
                let graced = alert.told.is_some()
                    || alert.released_at.is_none_or(|released| now.seconds_since(released) >= GRACE);
                if !holds || !gathered || !graced {
                    continue;
                }
                if alert.severity == Severity::Info {
                    alert.queued_at.get_or_insert(now);
                    alert.state = State::Firing;
                    continue;
                }
                let what = if alert.told.is_some() { What::Escalated } else { What::Fired };
                alert.tell(now);
                step.events.push(event(alert, what));
                notices.push((alert.rule, Notice::of(alert, Kind::Firing, now)));
            } else if alert.state == State::Firing
                && matches!(findings.endings.get(&alert.key), None | Some(Ending::Unknown))
                && let Some(told) = alert.told
            {
                let again = alert.rule.again(alert.severity);
                let waited = now.seconds_since(told.at);
                let is_time = again.wait(told.times).is_some_and(|wait| waited >= seconds(wait));
                if is_time {
                    alert.remind(now);
                    step.events.push(event(alert, What::Reminded));
                    notices.push((alert.rule, Notice::of(alert, Kind::Reminder, now)));
                } else if again.is_digest(told.times) && waited >= WEEK {
                    alert.queued_at.get_or_insert(now);
                }
            }
        }
        step.notices.extend(notice::together(notices, now));
    }

    /// What waits for the digest, when the first of it waited until its time.
    fn digest(&mut self, now: Timestamp, schedule: &Schedule, step: &mut Step) {
        let is_waiting = |alert: &Alert| {
            alert.queued_at.filter(|_| alert.state == State::Firing && alert.inhibited_by.is_none())
        };
        let first = self.alerts.values().filter_map(is_waiting).min();
        if first.is_none_or(|first| now < schedule.next_digest(first)) {
            return;
        }
        let waiting: Vec<&Alert> = self.alerts.values().filter(|alert| is_waiting(alert).is_some()).collect();
        step.notices.push(notice::digest(&waiting, now));
        let keys: Vec<String> = waiting.iter().map(|alert| alert.key.clone()).collect();
        for key in keys {
            let Some(alert) = self.alerts.get_mut(&key) else { continue };
            let what = if alert.told.is_some() { What::Reminded } else { What::Fired };
            if alert.told.is_some() {
                alert.remind(now);
            } else {
                alert.tell(now);
            }
            step.events.push(event(alert, what));
        }
    }
}

/// Until when nobody is to be told of something so bad; nothing when they may be told at once.
fn quiet_until(schedule: &Schedule, severity: Severity, now: Timestamp) -> Option<Timestamp> {
    (severity <= Severity::Warning && schedule.is_quiet(now)).then(|| schedule.quiet_until(now))
}

fn event(alert: &Alert, what: What) -> Event {
    Event {
        key: alert.key.clone(),
        what,
        rule: alert.rule,
        severity: alert.severity,
        title: alert.title.clone(),
    }
}

fn seconds(span: std::time::Duration) -> i64 {
    i64::try_from(span.as_secs()).unwrap_or(i64::MAX)
}

/// How long a new alert waits for others of its cause.
const GATHER: i64 = 30;
/// How far apart two good samples are.
const APART: i64 = 60;
/// How long what an outage stood for may take to end by itself: clients have to come, and services to reload.
const GRACE: i64 = 30 * 60;
/// How often the digest says the same.
const WEEK: i64 = 7 * 86_400;

#[cfg(test)]
mod tests;
