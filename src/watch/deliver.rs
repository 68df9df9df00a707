//! Telling people what is in the outbox. One step tells every sink what it is owed, side by side, each in order; what came
//! of each try is kept before the next. A process that is killed between a delivery and its record tells that one message
//! once more, under the same sequence id.
//!
//! Steps must not overlap: whoever runs them waits for one before the next. The fetching of facts may come at any time.

mod plan;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use acme::id::MessageId;
use acme::problem::plain;
use acme::severity::Severity;
use acme::time::Timestamp;
use serde::{Deserialize, Serialize};
use store::outbox::{Delivery, Entry, NewEntry, RecordTry, Settle, SinkState};
use store::{Error, Store};
use tokio::task::JoinSet;

use self::plan::{BROKEN, DELIVERED, EXPIRED, MERGED, REFUSED, View, Waiting};
use crate::notify::{self, Form, Kind, Message, Notifier, Outcome, RESEND, Settings, Sink, Way};

/// What one step did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Every try, in order for each sink.
    pub tries: Vec<Try>,
    /// How many messages somebody still has to be told.
    pub waiting: usize,
}

/// One try to tell a sink something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Try {
    /// Which sink.
    pub sink: String,
    /// What the message was about.
    pub key: String,
    /// What became of it: `delivered`, `refused`, `broken`, `busy`, `server`, `network`, `tls`.
    pub result: &'static str,
}

/// How it stands with a sink, for rules, status and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkFact {
    /// Its name.
    pub name: String,
    /// How many messages it is owed.
    pub waiting: usize,
    /// Since when the oldest of them could have been told.
    pub oldest: Option<Timestamp>,
    /// Since when every try failed.
    pub failing_since: Option<Timestamp>,
    /// The word for the last failure.
    pub trouble: Option<String>,
    /// Its sentence.
    pub detail: Option<String>,
    /// Whether it takes nothing from us because of our credentials.
    pub is_broken: bool,
    /// When it last took something.
    pub delivered_at: Option<Timestamp>,
}

/// What came of trying a sink out.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Its name.
    pub sink: String,
    /// Its type.
    pub way: &'static str,
    /// Where it leads.
    pub place: String,
    /// What became of the message.
    pub outcome: Outcome,
    /// How long it took.
    pub latency: Duration,
    /// What the server seems to be.
    pub server: Option<String>,
}

/// A message as the outbox keeps it.
#[derive(Serialize, Deserialize)]
struct Written {
    #[serde(flatten)]
    message: Message,
    /// The conditions that it is about, where they are others than its own key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    about: Vec<String>,
}

/// A message for the outbox, to be told from `not_before` on.
///
/// # Errors
/// That it has no JSON, which no message lacks.
pub fn entry(message: &Message, not_before: Timestamp) -> Result<NewEntry, serde_json::Error> {
    entry_about(message, &[], not_before)
}

/// The same for a message about several conditions, by their keys: whoever heard of one of them in it hears of its end.
///
/// # Errors
/// That it has no JSON, which no message lacks.
pub fn entry_about(
    message: &Message,
    about: &[String],
    not_before: Timestamp,
) -> Result<NewEntry, serde_json::Error> {
    Ok(NewEntry {
        id: MessageId::mint(message.at, crate::random()),
        message: serde_json::to_string(&Written { message: message.clone(), about: about.to_vec() })?,
        severity: message.severity,
        kind: message.kind.as_str().to_owned(),
        key: message.key.clone(),
        at: message.at,
        not_before,
    })
}

/// Tells every sink what it is owed at `now`, winds up the dead man's switches, and says of sinks that fail that they do.
///
/// # Errors
/// What the store could not do. What was told and not recorded is told once more by the next step.
pub async fn deliver_due(store: &Store, notifier: &Arc<Notifier>, now: Timestamp) -> Result<Report, Error> {
    let view = read(store, &notifier.settings, now).await?;
    let standing = match has_alertmanager(&notifier.settings) {
        true => Arc::new(parse_all(&store.standing_messages(STANDING).await?)),
        false => Arc::default(),
    };
    let mut tasks = JoinSet::new();
    for (place, state) in view.states.iter().enumerate() {
        let telling = Telling {
            store: store.clone(),
            notifier: Arc::clone(notifier),
            place,
            state: state.clone(),
            now,
            tries: Vec::new(),
        };
        let due: Vec<Waiting> = view.due(place, now).into_iter().take(AT_ONCE).cloned().collect();
        tasks.spawn(telling.run(due, Arc::clone(&standing)));
    }
    let mut report = Report::default();
    let mut failed = None;
    while let Some(ended) = tasks.join_next().await {
        match ended {
            Ok(Ok(tries)) => report.tries.extend(tries),
            Ok(Err(error)) => failed = Some(error),
            Err(error) => tracing::error!(%error, "telling a sink stopped in the middle"),
        }
    }
    if let Some(error) = failed {
        return Err(error);
    }
    report.waiting = tidy(store, &notifier.settings, now).await?;
    Ok(report)
}

/// Has sinks tried again at once that were left alone for a while: what kept them from taking anything may have been mended.
/// `only` is one of them; else all.
///
/// # Errors
/// What the store could not do.
pub async fn release(store: &Store, only: Option<&str>) -> Result<(), Error> {
    for state in store.sinks().await? {
        if state.next_at.is_some() && only.is_none_or(|name| name == state.name) {
            let sink = SinkState { next_at: None, ..state };
            // No try: when it was is nobody's question.
            store.write(kept(sink, Timestamp::EPOCH)).await?;
        }
    }
    Ok(())
}

/// How it stands with each configured sink, in their order.
///
/// # Errors
/// What the store could not do.
pub async fn facts(store: &Store, settings: &Settings, now: Timestamp) -> Result<Vec<SinkFact>, Error> {
    let view = read(store, settings, now).await?;
    let fact = |(place, state): (usize, &SinkState)| {
        let owed: Vec<&Waiting> = view.owed(place, now).collect();
        SinkFact {
            name: state.name.clone(),
            waiting: owed.len(),
            oldest: owed.iter().map(|waiting| waiting.from).min(),
            failing_since: state.failing_since,
            trouble: state.trouble.clone(),
            detail: state.detail.clone(),
            is_broken: state.trouble.as_deref() == Some(BROKEN),
            delivered_at: state.delivered_at,
        }
    };
    Ok(view.states.iter().enumerate().map(fact).collect())
}

/// Sends a real message to one sink, beside the outbox.
pub async fn try_out(notifier: &Notifier, sink: &Sink, now: Timestamp) -> Trial {
    let host = &notifier.settings.host;
    let message = Message {
        key: format!("test:{}", sink.name),
        kind: Kind::Test,
        rule: "Test".to_owned(),
        severity: Severity::Warning,
        title: format!("{host}: alerts arrive here"),
        lines: vec![
            format!("ca-ctl alerts test at {now}, sink {}", sink.name),
            "nothing is wrong".to_owned(),
        ],
        names: vec![host.clone()],
        owner: None,
        since: now,
        at: now,
    };
    let begun = Instant::now();
    let outcome = notifier.send(sink, &message, Form::Full, false, now).await;
    let latency = begun.elapsed();
    let server = match &outcome {
        Outcome::Delivered(receipt) if receipt.server.is_some() => receipt.server.clone(),
        _ => notifier.version(sink).await,
    };
    let (way, place) = (sink.way.as_str(), sink.way.place());
    Trial { sink: sink.name.clone(), way, place, outcome, latency, server }
}

/// What is kept, at one moment.
async fn read<'s>(store: &Store, settings: &'s Settings, now: Timestamp) -> Result<View<'s>, Error> {
    let open = store.open_messages(now, OPEN).await?;
    let deliveries = if open.is_empty() { Vec::new() } else { store.open_deliveries().await? };
    let sinks = store.sinks().await?;
    let waiting: Vec<Waiting> = open.iter().map(waiting).collect();
    let ending = waiting.iter().filter(|waiting| waiting.message.kind == Kind::Resolved);
    let keys: BTreeSet<&str> = ending.flat_map(Waiting::about).collect();
    let heard = store.heard(&keys.into_iter().collect::<Vec<_>>()).await?;
    Ok(View::new(settings, &sinks, waiting, &deliveries, heard))
}

/// A row as a message. One that nobody can read says so itself, so that it neither stays for ever nor goes unseen.
fn waiting(entry: &Entry) -> Waiting {
    let Written { message, about } = serde_json::from_str(&entry.message).unwrap_or_else(|error| {
        tracing::error!(message = %entry.id, %error, "a message in the outbox cannot be read");
        let message = Message {
            key: format!("unreadable:{}", entry.id),
            kind: Kind::Digest,
            rule: "Unreadable".to_owned(),
            severity: Severity::Warning,
            title: "a message of this CA could not be read; is an older version running?".to_owned(),
            lines: vec![plain(&entry.message, 300)],
            names: Vec::new(),
            owner: None,
            since: entry.at,
            at: entry.at,
        };
        Written { message, about: Vec::new() }
    });
    Waiting { id: entry.id.clone(), message, about, from: entry.not_before.max(entry.at) }
}

fn parse_all(messages: &[String]) -> Vec<Message> {
    messages.iter().filter_map(|json| serde_json::from_str(json).ok()).collect()
}

fn has_alertmanager(settings: &Settings) -> bool {
    settings.sinks.iter().any(|sink| matches!(sink.way, Way::Alertmanager(_)))
}

/// Gives up what is too old, says what others must know of sinks, and settles what nobody is owed. How many messages wait
/// then.
async fn tidy(store: &Store, settings: &Settings, now: Timestamp) -> Result<usize, Error> {
    let view = read(store, settings, now).await?;
    for (place, sink) in settings.sinks.iter().enumerate() {
        let state = &view.states[place];
        let given_up = view.given_up(place, now);
        let waiting = view.owed(place, now).count();
        let trouble = plan::trouble(settings, sink, state, waiting, now);
        if given_up.is_empty() && trouble.is_none() {
            continue;
        }
        for waiting in &given_up {
            let key = plain(&waiting.message.key, 120);
            tracing::error!(
                sink = sink.name,
                key,
                "a message is given up: it could not be told for two days"
            );
        }
        let deliveries = given_up.iter().map(|waiting| decided(waiting, sink, EXPIRED, now, None)).collect();
        let mut state = state.clone();
        let mut messages = Vec::new();
        if let Some((message, told_at)) = trouble {
            if message.kind != Kind::Resolved {
                notify::critical(&message.one_line());
            }
            state.told_at = told_at;
            messages.extend(entry(&message, now).ok());
        }
        let heard = given_up.iter().flat_map(|waiting| waiting.heard(EXPIRED)).collect();
        store.write(RecordTry { deliveries, heard, messages, ..kept(state, now) }).await?;
    }
    let view = read(store, settings, now).await?;
    let settled = view.settled(now);
    let left = view.waiting.len() - settled.len();
    if !settled.is_empty() {
        store.write(Settle { messages: settled, at: now }).await?;
    }
    Ok(left)
}

/// A sink as it is now, and nothing else.
fn kept(sink: SinkState, at: Timestamp) -> RecordTry {
    RecordTry { sink, deliveries: Vec::new(), heard: Vec::new(), messages: Vec::new(), at }
}

fn decided(
    waiting: &Waiting,
    sink: &Sink,
    result: &str,
    now: Timestamp,
    outcome: Option<&Outcome>,
) -> Delivery {
    let remote_id = match outcome {
        Some(Outcome::Delivered(receipt)) => receipt.id.clone(),
        _ => None,
    };
    Delivery {
        message: waiting.id.clone(),
        sink: sink.name.clone(),
        result: result.to_owned(),
        at: now,
        remote_id,
        detail: outcome.and_then(Outcome::why).map(|why| plain(why, 300)),
    }
}

/// One sink's part of a step.
struct Telling {
    store: Store,
    notifier: Arc<Notifier>,
    place: usize,
    state: SinkState,
    now: Timestamp,
    tries: Vec<Try>,
}

impl Telling {
    fn sink(&self) -> &Sink {
        &self.notifier.settings.sinks[self.place]
    }

    async fn run(mut self, due: Vec<Waiting>, standing: Arc<Vec<Message>>) -> Result<Vec<Try>, Error> {
        let due: Vec<&Waiting> = due.iter().collect();
        let digest = plan::is_storm(&self.state, due.len())
            .then(|| plan::merge(&self.sink().name, &due, self.now))
            .flatten();
        let all_is_well = match digest {
            Some(digest) if self.sink().wants(&digest) => self.tell(&digest, &due).await?,
            _ => self.one_by_one(&due).await?,
        };
        if all_is_well && self.state.next_at.is_none_or(|next| next <= self.now) {
            self.repeat(&standing).await?;
        }
        Ok(self.tries)
    }

    async fn one_by_one(&mut self, due: &[&Waiting]) -> Result<bool, Error> {
        for waiting in due {
            if !self.tell(&waiting.message, &[waiting]).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Tells one message, which stands for these rows, and keeps what came of it. Whether the next may be tried.
    async fn tell(&mut self, message: &Message, rows: &[&Waiting]) -> Result<bool, Error> {
        let outcome = self.attempt(message).await;
        let merged = rows.iter().any(|waiting| waiting.message.key != message.key);
        let result = match &outcome {
            Outcome::Delivered(_) if merged => Some(MERGED),
            Outcome::Delivered(_) => Some(DELIVERED),
            Outcome::Refused { .. } => Some(REFUSED),
            Outcome::Retry { .. } | Outcome::Broken { .. } => None,
        };
        let (mut deliveries, mut heard) = (Vec::new(), Vec::new());
        if let Some(result) = result {
            for waiting in rows {
                deliveries.push(decided(waiting, self.sink(), result, self.now, Some(&outcome)));
                heard.extend(waiting.heard(result));
            }
        }
        self.keep(&outcome, deliveries, heard).await?;
        Ok(matches!(outcome, Outcome::Delivered(_) | Outcome::Refused { .. }))
    }

    /// One try; what is refused as it is, is tried once more in a plainer form.
    async fn attempt(&mut self, message: &Message) -> Outcome {
        let replaces = self.state.replaces.unwrap_or(false);
        let mut outcome = self.notifier.send(self.sink(), message, Form::Full, replaces, self.now).await;
        if let Outcome::Refused { why } = &outcome {
            let (sink, key) = (&self.sink().name, plain(&message.key, 120));
            tracing::error!(sink, key, why, "a message is refused as it is; it is sent in a plainer form");
            outcome = self.notifier.send(self.sink(), message, Form::Plain, replaces, self.now).await;
        }
        self.note(&outcome, &message.key);
        outcome
    }

    fn note(&mut self, outcome: &Outcome, key: &str) {
        let (sink, result, key) = (self.sink().name.clone(), outcome.as_str(), plain(key, 120));
        match outcome.why() {
            None => tracing::info!(event = "alert_delivered", sink, key, "delivered"),
            Some(why) => {
                let why = plain(why, 300);
                tracing::warn!(event = "alert_delivery_failed", sink, key, result, "not delivered: {why}");
            }
        }
        self.tries.push(Try { sink, key, result });
    }

    async fn keep(
        &mut self,
        outcome: &Outcome,
        deliveries: Vec<Delivery>,
        heard: Vec<(String, bool)>,
    ) -> Result<(), Error> {
        let jitter = f64::from(u16::from_be_bytes(crate::random())) / f64::from(u16::MAX);
        self.state = plan::after(&self.state, outcome, self.now, jitter);
        let tried = RecordTry { deliveries, heard, ..kept(self.state.clone(), self.now) };
        self.store.write(tried).await
    }

    /// What a sink has to hear again and again: that this CA lives, and what stands.
    async fn repeat(&mut self, standing: &[Message]) -> Result<(), Error> {
        let since = |span: Duration| self.state.beat_at.is_none_or(|beat| beat.plus(span) <= self.now);
        let way = self.sink().way.clone();
        let (outcome, key) = match &way {
            Way::Ntfy(ntfy) if ntfy.heartbeat && since(BEAT) => {
                let message = match self.state.replaces {
                    Some(true) => heartbeat(&self.notifier.settings.host, self.now),
                    // Nobody knows yet what the server can: its answer to a first message tells.
                    None => greeting(self.sink(), &self.notifier.settings.host, self.now),
                    // A scheduled message that cannot be replaced would come true.
                    Some(false) => return Ok(()),
                };
                let outcome = self.notifier.send(self.sink(), &message, Form::Full, true, self.now).await;
                (outcome, message.key)
            }
            Way::Alertmanager(to) if since(RESEND) => {
                let wanted: Vec<&Message> = standing.iter().filter(|m| self.sink().wants(m)).collect();
                let mut outcome = None;
                for some in wanted.chunks(TOGETHER) {
                    let answer = self.notifier.renew(to, some, self.now).await;
                    let is_well = matches!(answer, Outcome::Delivered(_));
                    outcome = Some(answer);
                    if !is_well {
                        break;
                    }
                }
                let Some(outcome) = outcome else { return Ok(()) };
                (outcome, "standing".to_owned())
            }
            _ => return Ok(()),
        };
        match &outcome {
            Outcome::Delivered(receipt) => {
                self.state.beat_at = match receipt.echoes_sequence {
                    // The greeting: the switch itself is wound up by the next step.
                    Some(true) if self.state.replaces.is_none() => None,
                    _ => Some(self.now),
                };
            }
            // It takes no scheduled messages, say: then it has no switch, until a message shows otherwise.
            Outcome::Refused { why } => {
                let sink = &self.sink().name;
                tracing::warn!(
                    sink,
                    why,
                    "the server takes no heartbeat: it will not say that this CA is silent"
                );
                self.state.replaces = self.state.replaces.map(|_| false);
                self.state.beat_at = Some(self.now);
            }
            Outcome::Retry { .. } | Outcome::Broken { .. } => {}
        }
        if !matches!(outcome, Outcome::Delivered(_)) {
            self.note(&outcome, &key);
        }
        self.keep(&outcome, Vec::new(), Vec::new()).await
    }
}

/// What the server is to say when it hears nothing more.
fn heartbeat(host: &str, now: Timestamp) -> Message {
    Message {
        key: "ca-heartbeat".to_owned(),
        kind: Kind::Heartbeat,
        rule: "Heartbeat".to_owned(),
        severity: Severity::Critical,
        title: format!("{host} has been silent for 26 hours"),
        lines: vec![
            format!("the CA last reported at {now}; it may be down, or cut off from this server"),
            "nobody watches the certificates meanwhile".to_owned(),
            "try: systemctl status acme-ca.service".to_owned(),
        ],
        names: vec![host.to_owned()],
        owner: None,
        since: now,
        at: now,
    }
}

/// The first message to a server.
fn greeting(sink: &Sink, host: &str, now: Timestamp) -> Message {
    Message {
        key: format!("greeting:{}", sink.name),
        kind: Kind::Test,
        rule: "Greeting".to_owned(),
        severity: Severity::Info,
        title: format!("{host} reports here from now on"),
        lines: vec!["nothing is wrong".to_owned()],
        names: vec![host.to_owned()],
        owner: None,
        since: now,
        at: now,
    }
}

/// How many messages are looked at: more than two days bring forth.
const OPEN: u32 = 2_000;
/// How many a sink is told in one step.
const AT_ONCE: usize = 50;
/// How many conditions an Alertmanager is told of again.
const STANDING: u32 = 2_000;
/// How many in one request.
const TOGETHER: usize = 100;
/// How often a dead man's switch is wound up.
const BEAT: Duration = Duration::from_secs(3_600);
