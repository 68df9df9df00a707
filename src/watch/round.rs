//! One round of watching: read the facts, draw conclusions, bring the book up to date, and put what is to be told into the
//! outbox, in one commit with the book. A store that takes nothing is told of without it.

use std::sync::Arc;
use std::time::Duration;

use acme::problem::plain;
use acme::renewal::Thresholds;
use acme::time::Timestamp;
use store::Store;
use store::outbox::NewEntry;

use super::book::Notice;
use super::facts::{Authority, ListAge, OwnCertificate};
use super::rule::Rule;
use super::survey::Survey;
use super::vigil::Vigil;
use super::{deliver, keep, rules};
use crate::clock::Clock;
use crate::notify::Settings;
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
    let entry = |notice: &Notice| deliver::entry(&notice.message, notice.not_before.unwrap_or(now));
    let entries: Result<Vec<NewEntry>, _> = step.notices.iter().filter(is_ours).map(entry).collect();
    let entries = entries.map_err(|error| internal(&error))?;
    let told = entries.len();
    let change = keep::change(&step, entries, now).map_err(|error| internal(&error))?;
    scene.store.write(change).await?;
    Ok(told)
}

fn internal(error: &serde_json::Error) -> store::Error {
    store::Error::Internal { reason: format!("what a round found cannot be written down: {error}") }
}
