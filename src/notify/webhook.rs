//! A webhook gets the message as JSON, with a schema that only ever grows. Every status of 200 to 299 means that it is
//! taken.

use serde::Serialize;

use super::http::{Question, ask};
use super::message::Message;
use super::ntfy::sequence_id;
use super::outcome::{Outcome, Receipt};
use super::settings::Webhook;
use super::{Form, Parts};

/// What webhooks and programs are given.
#[derive(Serialize)]
pub(super) struct Envelope<'m> {
    /// `acme-ca/alert/1`.
    schema: &'static str,
    /// The same for all messages about one thing.
    sequence_id: String,
    #[serde(flatten)]
    message: &'m Message,
}

/// The JSON of a message.
pub(super) fn json(message: &Message) -> Result<String, Outcome> {
    let envelope = Envelope { schema: SCHEMA, sequence_id: sequence_id(&message.key), message };
    serde_json::to_string(&envelope).map_err(|error| Outcome::Refused { why: error.to_string() })
}

/// Posts once.
pub(super) async fn send(parts: &Parts, to: &Webhook, message: &Message, form: Form) -> Outcome {
    let shorter = (form == Form::Plain).then(|| message.shortened());
    let json = match json(shorter.as_ref().unwrap_or(message)) {
        Ok(json) => json,
        Err(outcome) => return outcome,
    };
    let question =
        Question { endpoint: &to.endpoint, trust: &to.trust, login: &to.login, path: "", json: Some(json) };
    match ask(parts, question).await {
        Ok(answer) if (200..300).contains(&answer.status) => {
            Outcome::Delivered(Receipt { objection: answer.objection, ..Receipt::default() })
        }
        Ok(answer) => answer.refusal(&answer.text()),
        Err(outcome) => outcome,
    }
}

impl Message {
    /// What it says in one line, about as few names as a reader needs.
    fn shortened(&self) -> Self {
        let lines = self.lines.first().cloned().into_iter().collect();
        let names = self.names.iter().take(FEW).cloned().collect();
        Self { lines, names, ..self.clone() }
    }
}

const SCHEMA: &str = "acme-ca/alert/1";
/// How many names stand in a message that was refused once.
const FEW: usize = 10;
