//! One round of watching: read the facts, draw conclusions, bring the book up to date, and put what is to be told into the
//! outbox, in one commit with the book. A store that takes nothing is told of without it.

use std::sync::Arc;
use std::time::Duration;

use acme::problem::plain;
use acme::renewal::Thresholds;
use acme::time::Timestamp;
use store::Store;
use store::outbox::NewEntry;

use super::book::{Event, Notice, What};
use super::facts::{Authority, ListAge, OwnCertificate};
use super::rule::Rule;
use super::survey::Survey;
use super::vigil::Vigil;
use super::{deliver, keep, rules};
use crate::clock::Clock;
use crate::notify::{Kind, Settings};
use crate::probe::Target;
use crate::resolver::Resolver;

/// What a round works with.
pub struct Scene<'a> {
    /// What is kept.
    pub store: &'a Store,
    /// The time.
    pub clock: &'a Clock,
    /// The validator's resolver.
    pub resolver: &'a Arc<Resolver>,
    /// Whom to tell, and when.
    pub alerts: &'a Settings,
    /// When a certificate is overdue, and when critical.
    pub thresholds: Thresholds,
    /// The issuers that sign, and the root.
    pub authorities: Vec<Authority>,
    /// The longest lifetime that a profile gives.
    pub longest: Duration,
    /// The server's own certificate, and where the prober looks at it.
    pub own: Option<OwnCertificate>,
    /// See `own`.
    pub own_at: Option<Target>,
    /// The lists of what is revoked.
    pub lists: Vec<ListAge>,
    /// How often everything is probed.
    pub probed_every: Duration,
    /// When the server was started.
    pub started: Timestamp,
}

/// Does one round: what holds now is in the book afterwards, and what is to be told of it in the outbox.
///
/// # Errors
/// That the book could not be read or kept. Then nobody is told anything by this round; the next one finds the same.
pub async fn round(vigil: &Vigil, scene: &Scene<'_>) -> Result<usize, store::Error> {
    let now = scene.clock.now();
    let (mut book, unreadable) = keep::load(&scene.store.open_alerts().await?);
    for error in unreadable {
        tracing::error!(%error, "an alert is begun anew");
    }
    let survey = Survey::read(vigil, scene, &book, now).await;
    let findings = rules::judge(&survey.facts(), &book, now);
    let step = book.step(&findings, now, &scene.alerts.schedule);
    for event in &step.events {
        let (key, title) = (plain(&event.key, 120), plain(&event.title, 120));
        tracing::warn!(event = event.what.as_str(), key, severity = event.severity.as_str(), "{title}");
    }
    if step == super::book::Step::default() {
        return Ok(0);
    }
    // Of sinks that fail delivery itself tells the others, and sooner.
    let is_ours = |notice: &&Notice| notice.message.rule != Rule::AlertDeliveryFailing.as_str();
    let entry = |notice: &Notice| {
        let about = about(notice, &step.events);
        deliver::entry_about(&notice.message, &about, notice.not_before.unwrap_or(now))
    };
    let entries: Result<Vec<NewEntry>, _> = step.notices.iter().filter(is_ours).map(entry).collect();
    let entries = entries.map_err(|error| internal(&error))?;
    let told = entries.len();
    let change = keep::change(&step, entries, now).map_err(|error| internal(&error))?;
    scene.store.write(change).await?;
    Ok(told)
}

/// The keys of the alerts that a message of several is about, which has a key of its own. Alerts of one rule are told
/// together when there are more than a few, those that begin and last or those that are over.
fn about(notice: &Notice, events: &[Event]) -> Vec<String> {
    let message = &notice.message;
    if events.iter().any(|event| event.key == message.key) {
        return Vec::new();
    }
    let is_over = message.kind == Kind::Resolved;
    let is_told = |what: What| match what {
        What::Fired | What::Escalated | What::Reminded => !is_over,
        What::Resolved => is_over,
        What::Inhibited => false,
    };
    let of_this = |event: &&Event| event.rule.as_str() == message.rule && is_told(event.what);
    events.iter().filter(of_this).map(|event| event.key.clone()).collect()
}

fn internal(error: &serde_json::Error) -> store::Error {
    store::Error::Internal { reason: format!("what a round found cannot be written down: {error}") }
}

#[cfg(test)]
mod tests {
    use acme::severity::Severity;

    use super::*;
    use crate::notify::Message;

    #[test]
    fn a_message_of_several_alerts_is_about_those_of_its_rule_that_began_or_ended_with_it() {
        let event = |key: &str, what, rule| Event {
            key: key.into(),
            what,
            rule,
            severity: Severity::Warning,
            title: String::new(),
        };
        let events = [
            event("order:a", What::Fired, Rule::OrderFailing),
            event("order:b", What::Escalated, Rule::OrderFailing),
            event("order:c", What::Reminded, Rule::OrderFailing),
            event("order:d", What::Inhibited, Rule::OrderFailing),
            event("order:e", What::Resolved, Rule::OrderFailing),
            event("served:a", What::Fired, Rule::ServedFallback),
        ];
        let about = |kind, key: &str| {
            let at = Timestamp::EPOCH;
            let message = Message {
                key: key.into(),
                kind,
                rule: Rule::OrderFailing.to_string(),
                severity: Severity::Warning,
                title: String::new(),
                lines: Vec::new(),
                names: Vec::new(),
                owner: None,
                since: at,
                at,
            };
            about(&Notice { message, not_before: None }, &events)
        };
        assert_eq!(about(Kind::Digest, "digest:OrderFailing"), ["order:a", "order:b", "order:c"]);
        assert_eq!(about(Kind::Resolved, "digest:OrderFailing"), ["order:e"]);
        assert!(about(Kind::Firing, "order:a").is_empty(), "its own key says it");
    }
}
