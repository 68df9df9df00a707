//! ntfy: one JSON document to the root of the server says everything, without the trouble that headers have with text.
//! Messages about the same thing share a sequence id. A server that knows them (2.16 and later) gives it back, and puts
//! the newer in the place of the older; an older one ignores it and shows both.

use acme::jwk::sha256;
use acme::severity::Severity;
use serde::{Deserialize, Serialize};

use super::http::{Answer, Question, ask};
use super::message::{Kind, Message};
use super::outcome::{Outcome, Receipt, Trouble};
use super::settings::Ntfy;
use super::{Form, Parts};

/// What is published.
#[derive(Serialize)]
struct Publication<'p> {
    topic: &'p str,
    title: String,
    message: String,
    priority: u8,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    click: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence_id: Option<String>,
}

/// What the server says of what it stored.
#[derive(Deserialize)]
struct Stored {
    id: String,
    #[serde(default)]
    sequence_id: Option<String>,
}

/// What it says when it does not.
#[derive(Deserialize)]
struct Refusal {
    code: u32,
    error: String,
}

/// Publishes once.
pub(super) async fn send(
    parts: &Parts,
    ntfy: &Ntfy,
    message: &Message,
    form: Form,
    replaces: bool,
) -> Outcome {
    let publication = publication(ntfy, message, form, replaces);
    let json = match serde_json::to_string(&publication) {
        Ok(json) => json,
        Err(error) => return Outcome::Refused { why: error.to_string() },
    };
    let question = Question {
        endpoint: &ntfy.endpoint,
        trust: &ntfy.trust,
        login: &ntfy.login,
        path: "/",
        json: Some(json),
    };
    match ask(parts, question).await {
        Ok(answer) => judge(&answer, publication.sequence_id.as_deref()),
        Err(outcome) => outcome,
    }
}

fn publication<'p>(ntfy: &'p Ntfy, message: &Message, form: Form, replaces: bool) -> Publication<'p> {
    let title = if replaces { message.headline() } else { message.headline_alone() };
    let (octets, is_full) = match form {
        Form::Full => (LIMIT, true),
        Form::Plain => (PLAIN_LIMIT, false),
    };
    // An empty text would become the word "triggered".
    let body = match message.body(octets) {
        empty if empty.trim().is_empty() => title.clone(),
        body => body,
    };
    let mut tags = vec![tag(message).to_owned(), message.rule.clone()];
    tags.extend(ntfy.tags.iter().cloned());
    Publication {
        topic: &ntfy.topic,
        title,
        message: body,
        priority: priority(message),
        tags: if is_full { tags } else { Vec::new() },
        click: ntfy.click.as_deref().filter(|_| is_full).and_then(|click| link(click, message)),
        delay: (message.kind == Kind::Heartbeat).then_some(SILENCE),
        // Without it a heartbeat would be another message instead of the same one later.
        sequence_id: (is_full || message.kind == Kind::Heartbeat).then(|| sequence_id(&message.key)),
    }
}

/// What all messages about one thing are called: text that ntfy takes for a sequence id, made of the key.
pub fn sequence_id(key: &str) -> String {
    let digest = base32(&sha256(key.as_bytes()));
    format!("ca-{}", &digest[..40])
}

/// RFC 4648 6 in lower case, without padding.
fn base32(octets: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut text = String::new();
    let (mut buffer, mut bits) = (0u32, 0u32);
    for octet in octets {
        buffer = (buffer << 8 | u32::from(*octet)) & 0xffff;
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(char::from(ALPHABET[(buffer >> bits & 31) as usize]));
        }
    }
    if bits > 0 {
        text.push(char::from(ALPHABET[(buffer << (5 - bits) & 31) as usize]));
    }
    text
}

/// From 2, which makes no sound, to 5, which does not stop making it.
fn priority(message: &Message) -> u8 {
    match (message.kind, message.severity) {
        (Kind::Resolved, _) | (_, Severity::Info) => 2,
        (_, Severity::Warning) => 3,
        (_, Severity::Critical) => 4,
        (_, Severity::Urgent) => 5,
    }
}

/// The sign before the title.
fn tag(message: &Message) -> &'static str {
    match (message.kind, message.severity) {
        (Kind::Resolved, _) => "white_check_mark",
        (Kind::Heartbeat, _) => "hourglass",
        (_, Severity::Urgent) => "rotating_light",
        (_, Severity::Critical) => "red_circle",
        (_, Severity::Warning) => "warning",
        (_, Severity::Info) => "information_source",
    }
}

/// What a tap opens. A page for a name needs a name.
fn link(click: &str, message: &Message) -> Option<String> {
    if !click.contains("{name}") {
        return Some(click.to_owned());
    }
    let name = message.names.first()?;
    let escaped: String = name
        .bytes()
        .map(|b| match b {
            b if b.is_ascii_alphanumeric() || b"-._~".contains(&b) => char::from(b).to_string(),
            b => format!("%{b:02X}"),
        })
        .collect();
    Some(click.replace("{name}", &escaped))
}

fn judge(answer: &Answer, sequence_id: Option<&str>) -> Outcome {
    if answer.status != 200 {
        let Ok(Refusal { code, error }) = serde_json::from_slice(&answer.body) else {
            return match answer.refusal(&answer.text()) {
                // Of a message ntfy speaks in JSON. This is somebody else, who never saw one.
                Outcome::Refused { why } if answer.status == 400 => {
                    Outcome::retry(Trouble::Server, format!("{why}, which ntfy does not say; look at url"))
                }
                outcome => outcome,
            };
        };
        let said = match hint(code) {
            Some(hint) => format!("{error} ({code}); {hint}"),
            None => format!("{error} ({code})"),
        };
        return match answer.refusal(&said) {
            // The message is well.
            Outcome::Refused { why } if TOPIC.contains(&code) => Outcome::retry(Trouble::Server, why),
            outcome => outcome,
        };
    }
    match serde_json::from_slice::<Stored>(&answer.body) {
        Ok(stored) => {
            let echoes = sequence_id.map(|ours| stored.sequence_id.as_deref() == Some(ours));
            let server = echoes.map(|echoes| match echoes {
                true => "ntfy 2.16 or newer".to_owned(),
                false => "ntfy before 2.16, without sequence ids".to_owned(),
            });
            Outcome::Delivered(Receipt {
                id: Some(acme::problem::plain(&stored.id, ID_LIMIT)),
                echoes_sequence: echoes,
                server,
                objection: answer.objection.clone(),
            })
        }
        Err(_) => Answer::stranger("ntfy"),
    }
}

/// What would do, by the code of ntfy's error.
fn hint(code: u32) -> Option<&'static str> {
    match code {
        40_009 | 40_010 => Some("another topic would do"),
        40_401 => Some("url is the server alone, without the topic"),
        42_909 => Some("wait a few minutes; the credentials were wrong too often"),
        _ => None,
    }
}

impl Answer {
    /// All is well, says somebody who is not whom we asked for.
    fn stranger(wanted: &str) -> Outcome {
        let why = format!("answered 200, but not as {wanted} does; is the URL right?");
        Outcome::retry(Trouble::Server, why)
    }
}

/// The codes of topics that the server does not take: malformed, or the name of one of its pages.
const TOPIC: &[u32] = &[40_009, 40_010];
/// When a heartbeat that was not renewed is sent.
const SILENCE: &str = "26h";
/// How long a text may be, in octets: servers take 4096, and the longer ones turn into attachments or are refused.
const LIMIT: usize = 3_500;
/// The same for a message that was refused once.
const PLAIN_LIMIT: usize = 1_000;
/// How much is kept of what a server calls a message.
const ID_LIMIT: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base32_is_that_of_rfc_4648() {
        for (text, encoded) in
            [("", ""), ("f", "my"), ("fo", "mzxq"), ("foo", "mzxw6"), ("foobar", "mzxw6ytboi")]
        {
            assert_eq!(base32(text.as_bytes()), encoded);
        }
    }

    #[test]
    fn a_sequence_id_is_what_ntfy_takes_for_one() {
        let id = sequence_id("outage:servfail:10.0.0.53");
        assert_eq!(id.len(), 43);
        assert!(id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'), "{id}");
        assert_eq!(id, sequence_id("outage:servfail:10.0.0.53"));
        assert_ne!(id, sequence_id("outage:servfail:10.0.0.54"));
    }
}
