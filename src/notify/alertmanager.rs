//! Alertmanager's API v2. It forgets an alert when its end has come, so one that lasts is sent again before that; an alert
//! is over when its end lies in the past. Its identity are its labels: they hold what stays the same while it lasts, and
//! everything else is in its annotations.

use std::collections::BTreeMap;
use std::time::Duration;

use acme::problem::plain;
use acme::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::http::{Question, ask};
use super::message::{Kind, Message};
use super::outcome::{Outcome, Receipt};
use super::settings::Alertmanager;
use super::{Form, Parts};

/// One alert, as `POST /api/v2/alerts` takes a list of them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Alert {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<&'static str, String>,
    starts_at: Timestamp,
    ends_at: Timestamp,
}

/// Sends messages in one request. Those that stand last until [`HOLD`] after `now`.
pub(super) async fn send(
    parts: &Parts,
    to: &Alertmanager,
    messages: &[&Message],
    form: Form,
    now: Timestamp,
) -> Outcome {
    let alerts: Vec<Alert> = messages.iter().map(|message| alert(to, message, form, now)).collect();
    let json = match serde_json::to_string(&alerts) {
        Ok(json) => json,
        Err(error) => return Outcome::Refused { why: error.to_string() },
    };
    match ask(parts, question(to, "/api/v2/alerts", Some(json))).await {
        Ok(answer) if answer.status == 200 => {
            Outcome::Delivered(Receipt { objection: answer.objection, ..Receipt::default() })
        }
        Ok(answer) => answer.refusal(&answer.text()),
        Err(outcome) => outcome,
    }
}

/// What it says of its version.
pub(super) async fn version(parts: &Parts, to: &Alertmanager) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Status {
        version_info: Version,
    }
    #[derive(Deserialize)]
    struct Version {
        version: String,
    }
    let answer = ask(parts, question(to, "/api/v2/status", None)).await.ok()?;
    let status: Status = serde_json::from_slice(&answer.body).ok()?;
    Some(format!("Alertmanager {}", plain(&status.version_info.version, 40)))
}

fn question<'q>(to: &'q Alertmanager, path: &'q str, json: Option<String>) -> Question<'q> {
    Question { endpoint: &to.endpoint, trust: &to.trust, login: &to.login, path, json }
}

fn alert(to: &Alertmanager, message: &Message, form: Form, now: Timestamp) -> Alert {
    let mut labels = BTreeMap::new();
    if form == Form::Full {
        labels.extend(to.labels.clone());
        if let Some(owner) = &message.owner {
            labels.insert("owner".to_owned(), plain(owner, LABEL));
        }
        // Of several the list may grow while the alert lasts, which would make it another alert.
        if let [name] = message.names.as_slice() {
            labels.insert("name".to_owned(), plain(name, LABEL));
        }
    }
    for (label, value) in [
        ("alertname", message.rule.as_str()),
        ("severity", message.severity.as_str()),
        ("source", "acme-ca"),
        ("key", message.key.as_str()),
    ] {
        labels.insert(label.to_owned(), plain(value, LABEL));
    }
    let mut annotations = BTreeMap::from([
        ("summary", message.headline()),
        ("description", message.body(ANNOTATION)),
        ("names", plain(&message.names.join(", "), ANNOTATION)),
    ]);
    annotations.retain(|_, text| !text.is_empty());
    let ends_at = match message.kind {
        Kind::Resolved => message.at,
        Kind::Test => now.plus(TRIAL),
        _ => now.plus(HOLD),
    };
    // An alert that ends before it begins is refused.
    Alert { labels, annotations, starts_at: message.since.min(ends_at), ends_at }
}

/// How often alerts that last are sent again.
pub const RESEND: Duration = Duration::from_secs(300);
/// When an alert ends that was not sent again: two of them may be lost.
const HOLD: Duration = Duration::from_secs(900);
/// How long a trial lasts.
const TRIAL: Duration = Duration::from_secs(60);
/// How long the value of a label may be, in characters.
const LABEL: usize = 200;
/// How long an annotation may be, in octets.
const ANNOTATION: usize = 3_500;
