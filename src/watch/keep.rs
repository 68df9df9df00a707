//! The book in the store: one change keeps what a step changed, with what is to be told.

use acme::time::Timestamp;
use store::alert::{self, KeepAlerts, Kept};
use store::outbox::NewEntry;

use super::book::{Ack, Alert, Book, State, Step};

/// A row that the program cannot have written.
#[derive(Debug, thiserror::Error)]
#[error("the alert {key} cannot be read: {why}")]
pub struct Unreadable {
    key: String,
    why: serde_json::Error,
}

/// What keeps a step. Made `now`, with the messages that its notices became.
///
/// # Errors
/// That an alert cannot be written as JSON, which none can cause.
pub fn change(step: &Step, messages: Vec<NewEntry>, now: Timestamp) -> Result<KeepAlerts, serde_json::Error> {
    let alerts = step.changed.iter().map(|alert| kept(alert, now)).collect::<Result<_, _>>()?;
    let events = step.events.iter().map(|event| alert::Event {
        at: now,
        key: event.key.clone(),
        what: event.what.as_str().to_owned(),
        rule: event.rule.to_string(),
        severity: event.severity,
        title: event.title.clone(),
    });
    Ok(KeepAlerts { alerts, dropped: step.dropped.clone(), events: events.collect(), messages })
}

/// The book of the alerts that were kept. One that cannot be read is left out, and returned beside it to be logged: it is
/// told anew, which is better than no alert at all.
pub fn load(kept: &[Kept]) -> (Book, Vec<Unreadable>) {
    let (mut alerts, mut unreadable) = (Vec::new(), Vec::new());
    for kept in kept {
        match read(kept) {
            Ok(alert) => alerts.push(alert),
            Err(error) => unreadable.push(error),
        }
    }
    (Book::load(alerts), unreadable)
}

/// An alert from its row. Who knows of it is in the row alone: the operator writes there while the server runs.
///
/// # Errors
/// That the body is not one of ours.
pub fn read(kept: &Kept) -> Result<Alert, Unreadable> {
    let mut alert: Alert = serde_json::from_str(&kept.body)
        .map_err(|why| Unreadable { key: acme::problem::plain(&kept.key, 100), why })?;
    alert.ack = kept.acked_at.map(|at| Ack { at, reason: kept.ack_reason.clone() });
    alert.state = match (alert.state, &alert.ack) {
        (State::Firing | State::Pending, Some(_)) => State::Acked,
        (State::Acked, None) => State::Firing,
        (state, _) => state,
    };
    Ok(alert)
}

fn kept(alert: &Alert, now: Timestamp) -> Result<(Kept, bool), serde_json::Error> {
    let kept = Kept {
        key: alert.key.clone(),
        rule: alert.rule.to_string(),
        severity: alert.severity,
        state: alert.state.as_str().to_owned(),
        since: alert.since,
        changed_at: now,
        ended_at: alert.ended_at,
        acked_at: alert.ack.as_ref().map(|ack| ack.at),
        ack_reason: alert.ack.as_ref().and_then(|ack| ack.reason.clone()),
        body: serde_json::to_string(alert)?,
    };
    // Told just now for the first time or for becoming worse: whoever knew of it knew of something else.
    let is_news = alert.told.is_some_and(|told| told.at == now && told.times == 0);
    Ok((kept, is_news))
}
