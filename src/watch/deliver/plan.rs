//! Who is owed what at a moment, and how a try changes a sink: functions of what is kept and `now`.
//!
//! A sink gets everything in the order in which it was put. It is left alone while it recovers, and a fallback takes over
//! what the sinks before it could not be told for [`PATIENCE`]; whoever heard that something is wrong hears its end. What
//! was owed for [`GIVEN_UP`] is owed no longer.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use acme::id::MessageId;
use acme::severity::Severity;
use acme::time::Timestamp;
use store::outbox::{Delivery, Heard, SinkState};

use crate::notify::{
    CREDENTIAL_TRIES, HOURLY, Kind, Message, Outcome, Role, Settings, Sink, Trouble, back_off,
};

/// A message that waits.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) id: MessageId,
    pub(super) message: Message,
    /// The conditions that it is about, where they are others than its own key.
    pub(super) about: Vec<String>,
    /// From when on it could be told.
    pub(super) from: Timestamp,
}

impl Waiting {
    /// The conditions that it is about.
    pub(super) fn about(&self) -> impl Iterator<Item = &str> {
        let own = self.about.is_empty().then_some(&self.message.key);
        own.into_iter().chain(&self.about).map(String::as_str)
    }

    /// What a sink has heard of conditions when this became of the message there, and whether they held by that word. An
    /// end that a sink does not take is told there no more, so it counts as heard.
    pub(super) fn heard(&self, result: &str) -> Vec<(String, bool)> {
        let arrived = has_arrived(result);
        let holds = match self.message.kind {
            Kind::Firing | Kind::Reminder if arrived => true,
            Kind::Digest if arrived && !self.about.is_empty() => true,
            Kind::Resolved => false,
            _ => return Vec::new(),
        };
        self.about().map(|key| (key.to_owned(), holds)).collect()
    }
}

/// Everything that is kept, as it was read at one moment.
pub(super) struct View<'v> {
    pub(super) settings: &'v Settings,
    /// One for each configured sink.
    pub(super) states: Vec<SinkState>,
    /// In the order in which they were put.
    pub(super) waiting: Vec<Waiting>,
    told: HashMap<(String, String), bool>,
    /// Messages that end what a sink heard of, and those sinks, by their places.
    ends: HashSet<(MessageId, usize)>,
}

impl<'v> View<'v> {
    pub(super) fn new(
        settings: &'v Settings,
        kept: &[SinkState],
        waiting: Vec<Waiting>,
        deliveries: &[Delivery],
        heard: Vec<Heard>,
    ) -> Self {
        let state = |sink: &Sink| {
            let found = kept.iter().find(|state| state.name == sink.name).cloned();
            found.unwrap_or_else(|| SinkState { name: sink.name.clone(), ..SinkState::default() })
        };
        let states = settings.sinks.iter().map(state).collect();
        let told = deliveries
            .iter()
            .map(|d| ((d.message.to_string(), d.sink.clone()), has_arrived(&d.result)))
            .collect();
        let mut view = Self { settings, states, waiting, told, ends: HashSet::new() };
        view.ends = view.ends(heard);
        view
    }

    /// Of the ends that a sink was not told, the first of each condition is the one that it waits for.
    fn ends(&self, heard: Vec<Heard>) -> HashSet<(MessageId, usize)> {
        let mut heard: HashSet<(String, String)> =
            heard.into_iter().map(|heard| (heard.key, heard.sink)).collect();
        let mut ends = HashSet::new();
        for waiting in self.waiting.iter().filter(|waiting| waiting.message.kind == Kind::Resolved) {
            for (place, sink) in self.settings.sinks.iter().enumerate() {
                if self.result(waiting, place).is_some() {
                    continue;
                }
                for key in waiting.about() {
                    if heard.remove(&(key.to_owned(), sink.name.clone())) {
                        ends.insert((waiting.id.clone(), place));
                    }
                }
            }
        }
        ends
    }

    /// What a sink is to be told now, in order; nothing while it is left alone. Not what is too old.
    pub(super) fn due(&self, sink: usize, now: Timestamp) -> Vec<&Waiting> {
        if self.states[sink].next_at.is_some_and(|next| next > now) {
            return Vec::new();
        }
        self.owed(sink, now).filter(|waiting| !is_given_up(waiting, now)).collect()
    }

    /// What a sink was owed for so long that it is not told any more.
    pub(super) fn given_up(&self, sink: usize, now: Timestamp) -> Vec<&Waiting> {
        self.owed(sink, now).filter(|waiting| is_given_up(waiting, now)).collect()
    }

    /// What a sink is owed, whether or not it can be told.
    pub(super) fn owed(&self, sink: usize, now: Timestamp) -> impl Iterator<Item = &Waiting> {
        self.waiting.iter().filter(move |waiting| self.is_owed(waiting, sink, now))
    }

    /// What nobody is owed any more.
    pub(super) fn settled(&self, now: Timestamp) -> Vec<MessageId> {
        let sinks = 0..self.settings.sinks.len();
        let is_settled = |waiting: &&Waiting| !sinks.clone().any(|sink| self.is_owed(waiting, sink, now));
        self.waiting.iter().filter(is_settled).map(|waiting| waiting.id.clone()).collect()
    }

    fn is_owed(&self, waiting: &Waiting, sink: usize, now: Timestamp) -> bool {
        let it = &self.settings.sinks[sink];
        if self.result(waiting, sink).is_some() {
            return false;
        }
        // Whoever heard that something is wrong hears that it is over, whoever else did.
        if self.ends.contains(&(waiting.id.clone(), sink)) {
            return true;
        }
        if !it.wants(&waiting.message) {
            return false;
        }
        // That others cannot be told is what a fallback is there for.
        if self.settings.role(it) == Role::Always || waiting.message.rule == FAILING {
            return true;
        }
        let mut before = (0..self.settings.sinks.len())
            .filter(|other| self.is_before(*other, sink))
            .filter(|other| self.settings.sinks[*other].wants(&waiting.message))
            .peekable();
        before.peek().is_some()
            && before.all(|other| match self.result(waiting, other) {
                Some(arrived) => !arrived,
                None => self.is_failing(other, now),
            })
    }

    /// Whether a sink has its turn before a fallback: those that stand before it, and all that are none.
    fn is_before(&self, other: usize, sink: usize) -> bool {
        let always = self.settings.role(&self.settings.sinks[other]) == Role::Always;
        other < sink || (always && self.settings.owner == crate::notify::Owner::Alertmanager)
    }

    /// What became of a message at a sink, if it is decided: whether it arrived.
    fn result(&self, waiting: &Waiting, sink: usize) -> Option<bool> {
        let sink = self.settings.sinks[sink].name.clone();
        self.told.get(&(waiting.id.to_string(), sink)).copied()
    }

    fn is_failing(&self, sink: usize, now: Timestamp) -> bool {
        self.states[sink].failing_since.is_some_and(|since| since.plus(PATIENCE) <= now)
    }
}

/// Whether a sink was told, by what became of a message there.
fn has_arrived(result: &str) -> bool {
    result == DELIVERED || result == MERGED
}

fn is_given_up(waiting: &Waiting, now: Timestamp) -> bool {
    waiting.from.plus(GIVEN_UP) <= now
}

/// Whether what is due is told as one: a server that had too much of us gets no more than it must.
pub(super) fn is_storm(state: &SinkState, due: usize) -> bool {
    state.trouble.as_deref() == Some(Trouble::Busy.as_str()) && due > FEW
}

/// Several messages as one: what is worst decides how it is told.
pub(super) fn merge(sink: &str, several: &[&Waiting], now: Timestamp) -> Option<Message> {
    let worst = several.iter().map(|waiting| &waiting.message).max_by_key(|message| message.severity)?;
    let mut by_weight: Vec<&Message> = several.iter().map(|waiting| &waiting.message).collect();
    // Among equals the newest first.
    by_weight.reverse();
    by_weight.sort_by_key(|message| std::cmp::Reverse((message.kind.stands(), message.severity)));
    let mut lines: Vec<String> =
        by_weight.iter().take(LINES).map(|m| format!("{}: {}", word(m), m.headline())).collect();
    if several.len() > LINES {
        lines.push(format!("and {} more", several.len() - LINES));
    }
    lines.push("try: ca-ctl alerts list".to_owned());
    let mut names: Vec<String> = by_weight.iter().flat_map(|message| message.names.clone()).collect();
    names.sort();
    names.dedup();
    Some(Message {
        key: format!("digest:{sink}"),
        kind: Kind::Digest,
        rule: "Digest".to_owned(),
        severity: worst.severity,
        title: format!("{} messages that had to wait; the worst: {}", several.len(), worst.headline()),
        lines,
        names,
        owner: None,
        since: several.iter().map(|waiting| waiting.message.since).min().unwrap_or(now),
        at: now,
    })
}

fn word(message: &Message) -> &'static str {
    if message.kind == Kind::Resolved { "resolved" } else { message.severity.as_str() }
}

/// How a sink is after a try.
pub(super) fn after(state: &SinkState, outcome: &Outcome, now: Timestamp, jitter: f64) -> SinkState {
    let failed = |trouble: &str, failures: u32, wait: Option<Duration>, why: &str| SinkState {
        failing_since: state.failing_since.or(Some(now)),
        failures,
        next_at: wait.map(|wait| now.plus(round_up(wait))),
        trouble: Some(trouble.to_owned()),
        detail: Some(acme::problem::plain(why, DETAIL)),
        ..state.clone()
    };
    let more = state.failures.saturating_add(1);
    match outcome {
        Outcome::Delivered(receipt) => SinkState {
            failing_since: None,
            failures: 0,
            next_at: None,
            trouble: None,
            detail: None,
            delivered_at: Some(now),
            replaces: receipt.echoes_sequence.or(state.replaces),
            ..state.clone()
        },
        Outcome::Retry { trouble, after, why } => {
            failed(trouble.as_str(), more, Some(back_off(*trouble, more, *after, jitter)), why)
        }
        // The next message may be taken.
        Outcome::Refused { why } => failed(REFUSED, more, None, why),
        Outcome::Broken { why } => {
            let failures = if state.trouble.as_deref() == Some(BROKEN) { more } else { 1 };
            let wait = match failures {
                tries if tries >= CREDENTIAL_TRIES => HOURLY,
                tries => back_off(Trouble::Server, tries, None, jitter),
            };
            failed(BROKEN, failures, Some(wait), why)
        }
    }
}

/// What others are to be told about a sink now, and when they were told. `waiting` is how much it is owed.
pub(super) fn trouble(
    settings: &Settings,
    sink: &Sink,
    state: &SinkState,
    waiting: usize,
    now: Timestamp,
) -> Option<(Message, Option<Timestamp>)> {
    let kind = match (state.failing_since, state.told_at) {
        (None, None) => return None,
        (None, Some(_)) => Kind::Resolved,
        (Some(since), None) if is_trouble(state, since, now) => Kind::Firing,
        (Some(_), Some(told)) if told.plus(REMIND) <= now && waiting > 0 => Kind::Reminder,
        (Some(_), _) => return None,
    };
    let since = state.failing_since.or(state.told_at).unwrap_or(now);
    let place = sink.way.place();
    let (title, lines) = match kind {
        Kind::Resolved => (
            format!("{} of {} takes messages again", sink.name, settings.host),
            vec![format!("{waiting} messages that waited are delivered now")],
        ),
        _ => (
            format!("alerts of {} do not arrive at {}", settings.host, sink.name),
            vec![
                format!("{waiting} messages wait for {place}"),
                format!("since {since}: {}", state.detail.as_deref().unwrap_or("it cannot be told")),
                format!("try: ca-ctl alerts test --sink {}", sink.name),
            ],
        ),
    };
    let message = Message {
        key: crate::notify::trouble_key(&sink.name),
        kind,
        rule: FAILING.to_owned(),
        severity: Severity::Critical,
        title,
        lines,
        names: Vec::new(),
        owner: None,
        since,
        at: now,
    };
    Some((message, (kind != Kind::Resolved).then_some(now)))
}

/// What does not pass by itself is said at once, at the second time; what may, when it did not.
fn is_trouble(state: &SinkState, since: Timestamp, now: Timestamp) -> bool {
    match state.trouble.as_deref() {
        Some("tls") => state.failures >= 2,
        Some(BROKEN) => state.failures >= CREDENTIAL_TRIES,
        _ => since.plus(PATIENCE) <= now,
    }
}

/// A wait in whole seconds.
fn round_up(wait: Duration) -> Duration {
    Duration::from_secs(wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
}

/// The rule of what is said about a sink.
pub(super) const FAILING: &str = "AlertDeliveryFailing";
/// What becomes of a message at a sink, in the store.
pub(super) const DELIVERED: &str = "delivered";
/// It was told as a part of a digest.
pub(super) const MERGED: &str = "merged";
/// The sink will never take it.
pub(super) const REFUSED: &str = "refused";
/// It was too old.
pub(super) const EXPIRED: &str = "expired";
/// The sink takes nothing from us.
pub(super) const BROKEN: &str = "broken";
/// How long a sink fails before the next one takes over.
pub(super) const PATIENCE: Duration = Duration::from_secs(15 * 60);
/// How long a message is owed.
const GIVEN_UP: Duration = Duration::from_secs(48 * 3_600);
/// How often it is said again that a sink fails.
const REMIND: Duration = Duration::from_secs(6 * 3_600);
/// So many messages are told one by one, even when a server is busy.
const FEW: usize = 4;
/// So many of those that are told as one are named.
const LINES: usize = 20;
/// How long the sentence about a failure may be, in characters.
const DETAIL: usize = 300;

#[cfg(test)]
mod tests;
