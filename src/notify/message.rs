//! What somebody is to be told, the same for every sink. It is kept as JSON until it is delivered, and sent as JSON to
//! webhooks and programs, so its fields only ever grow.

use acme::problem::plain;
use acme::severity::Severity;
use acme::time::Timestamp;
use serde::{Deserialize, Serialize};

/// What is said about one condition, or about several in a digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// What it is about, such as `outage:servfail:10.0.0.53`: the same for the alert, its reminders and its end.
    pub key: String,
    /// Which of these it is.
    pub kind: Kind,
    /// The rule that it comes from, `CaValidationOutage`.
    pub rule: String,
    /// How much it matters. The end of an alert has the severity that the alert had, so that it goes the same way.
    pub severity: Severity,
    /// Who and what, at most 100 characters.
    pub title: String,
    /// A few short lines: impact, since when, cause, evidence, the next command.
    pub lines: Vec<String>,
    /// The names that it is about.
    #[serde(default)]
    pub names: Vec<String>,
    /// Who looks after them.
    #[serde(default)]
    pub owner: Option<String>,
    /// When the condition began.
    pub since: Timestamp,
    /// When this message was made.
    pub at: Timestamp,
}

/// What a message does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Something began.
    Firing,
    /// It still is so.
    Reminder,
    /// It is over.
    Resolved,
    /// Several things that could wait, together.
    Digest,
    /// Somebody tries whether messages arrive.
    Test,
    /// A message that a server is to send when we are silent.
    Heartbeat,
}

impl Kind {
    /// Every one.
    pub const ALL: &'static [Self] =
        &[Self::Firing, Self::Reminder, Self::Resolved, Self::Digest, Self::Test, Self::Heartbeat];

    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Reminder => "reminder",
            Self::Resolved => "resolved",
            Self::Digest => "digest",
            Self::Test => "test",
            Self::Heartbeat => "heartbeat",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == word)
    }

    /// Whether the condition is there while this is the last word about it.
    pub fn stands(self) -> bool {
        matches!(self, Self::Firing | Self::Reminder)
    }
}

impl Message {
    /// The title, harmless and short enough for a phone.
    pub fn headline(&self) -> String {
        plain(&self.title, TITLE)
    }

    /// The title of a message that does not take the place of an earlier one: its end says so.
    pub fn headline_alone(&self) -> String {
        let title = self.headline();
        match self.kind {
            Kind::Resolved if !title.starts_with(RESOLVED) => plain(&format!("{RESOLVED}{title}"), TITLE),
            _ => title,
        }
    }

    /// The lines as one text of at most so many octets, harmless, one below the other. What does not fit is left out.
    pub fn body(&self, octets: usize) -> String {
        let lines: Vec<String> = self.lines.iter().map(|line| plain(line, LINE)).collect();
        cut(&lines.join("\n"), octets)
    }

    /// Title and lines in one line, for a log.
    pub fn one_line(&self) -> String {
        let text = std::iter::once(self.headline_alone()).chain(self.lines.iter().cloned());
        plain(&text.collect::<Vec<_>>().join(" · "), WHOLE)
    }
}

/// At most so many octets of a text, whole characters, with a sign where something is left out.
fn cut(text: &str, octets: usize) -> String {
    if text.len() <= octets {
        return text.to_owned();
    }
    let room = octets.saturating_sub('…'.len_utf8());
    let end = (0..=room).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}…", &text[..end])
}

const RESOLVED: &str = "Resolved: ";
/// Phones cut longer titles.
const TITLE: usize = 100;
/// How long a line may be, in characters.
const LINE: usize = 500;
/// How long a message may be in a log, in characters.
const WHOLE: usize = 2_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Message {
        Message {
            key: "order:vault.lan".into(),
            kind: Kind::Resolved,
            rule: "OrderFailing".into(),
            severity: Severity::Warning,
            title: "vault.lan issued\r\nBcc: x".into(),
            lines: vec!["one\n\u{1b}[31m".into(), "two".into()],
            names: vec!["vault.lan".into()],
            owner: None,
            since: Timestamp::EPOCH,
            at: Timestamp::EPOCH,
        }
    }

    #[test]
    fn text_is_harmless_in_every_form() {
        let message = message();
        assert_eq!(message.headline(), "vault.lan issued  Bcc: x");
        assert_eq!(message.headline_alone(), "Resolved: vault.lan issued  Bcc: x");
        assert_eq!(message.body(100), "one  [31m\ntwo");
        assert!(!message.one_line().contains(['\n', '\r', '\u{1b}']));
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("aäää", 4), "a…");
        assert_eq!(cut("aäää", 7), "aäää");
        assert_eq!(cut("ää", 0), "…");
        let long = Message { lines: vec!["ä".repeat(400); 20], ..message() };
        assert!(long.body(3_500).len() <= 3_500);
    }

    #[test]
    fn it_survives_the_store() {
        let json = serde_json::to_string(&message()).unwrap();
        assert_eq!(serde_json::from_str::<Message>(&json).unwrap(), message());
        assert!(json.contains(r#""kind":"resolved","rule":"OrderFailing","severity":"warning""#), "{json}");
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.as_str()), Some(*kind));
        }
    }
}
