//! A message as mail: RFC 5322, with the text in UTF-8 and base64 (RFC 2045), so that no line is too long and none begins
//! with a dot. Everything that goes into a header is one line of printable signs first.

use acme::severity::Severity;
use acme::time::Timestamp;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Form;
use super::message::{Kind, Message};
use super::ntfy::sequence_id;

/// The mail, every line with its end.
pub(super) fn compose(from: &str, to: &[String], message: &Message, form: Form) -> String {
    let thread = sequence_id(&message.key);
    let host = from.rsplit_once('@').map_or("localhost", |(_, host)| host);
    let headers = [
        ("From", format!("acme-ca <{from}>")),
        ("To", to.join(", ")),
        ("Subject", encoded(&subject(message))),
        ("Date", date(message.at)),
        ("Message-ID", format!("<{thread}.{}.{}@{host}>", message.at.unix(), message.kind.as_str())),
        // A mail program shows everything about one thing together.
        ("References", format!("<{thread}@{host}>")),
        ("Auto-Submitted", "auto-generated".to_owned()), // RFC 3834 5: nobody is to answer from a holiday
        ("Importance", importance(message).to_owned()),
        ("MIME-Version", "1.0".to_owned()),
        ("Content-Type", "text/plain; charset=utf-8".to_owned()),
        ("Content-Transfer-Encoding", "base64".to_owned()),
    ];
    let mut mail: String =
        headers.iter().map(|(name, value)| format!("{name}: {}\r\n", one_line(value))).collect();
    mail.push_str("\r\n");
    let text = text(message, form);
    let body = STANDARD.encode(text);
    for line in body.as_bytes().chunks(76) {
        mail.extend(line.iter().map(|octet| char::from(*octet)));
        mail.push_str("\r\n");
    }
    // The last line's end comes with the dot behind it.
    mail.truncate(mail.len() - 2);
    mail
}

fn subject(message: &Message) -> String {
    match message.kind {
        Kind::Resolved | Kind::Digest | Kind::Test => message.headline_alone(),
        _ => format!("[{}] {}", message.severity, message.headline()),
    }
}

fn text(message: &Message, form: Form) -> String {
    let mut text = format!("{}\r\n\r\n", message.headline_alone());
    let octets = if form == Form::Full { LIMIT } else { PLAIN_LIMIT };
    for line in message.body(octets).lines() {
        text.push_str(line);
        text.push_str("\r\n");
    }
    text.push_str(&format!("\r\nsince {}\r\nabout {}\r\n", message.since, one_line(&message.key)));
    text
}

/// RFC 2047 2: words of at most 75 signs, each of whole characters, for text that is not plain ASCII.
fn encoded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_owned();
    }
    let mut words = Vec::new();
    let mut word = String::new();
    for c in text.chars() {
        if word.len() + c.len_utf8() > WORD {
            words.push(std::mem::take(&mut word));
        }
        word.push(c);
    }
    words.push(word);
    let words: Vec<String> =
        words.iter().map(|word| format!("=?utf-8?B?{}?=", STANDARD.encode(word))).collect();
    words.join(" ")
}

/// RFC 5322 3.3.
fn date(at: Timestamp) -> String {
    let at = at.to_datetime();
    let month: String = at.month().to_string().chars().take(3).collect();
    let day: String = at.weekday().to_string().chars().take(3).collect();
    let (hour, minute, second) = at.to_hms();
    format!("{day}, {:02} {month} {:04} {hour:02}:{minute:02}:{second:02} +0000", at.day(), at.year())
}

fn importance(message: &Message) -> &'static str {
    match (message.kind, message.severity) {
        (Kind::Firing | Kind::Reminder, Severity::Critical | Severity::Urgent) => "high",
        _ => "normal",
    }
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Whether a text can stand as an address in an envelope and in a header.
pub fn is_address(text: &str) -> bool {
    let Some((local, host)) = text.rsplit_once('@') else { return false };
    let sign = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_{|}~.".contains(&b);
    !local.is_empty()
        && text.len() <= 254
        && local.bytes().all(sign)
        && !host.is_empty()
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b))
}

/// How much text a mail has, in octets.
const LIMIT: usize = 20_000;
/// The same for one that was refused once.
const PLAIN_LIMIT: usize = 1_000;
/// How many octets one word of a header has before it is encoded.
const WORD: usize = 42;

#[cfg(test)]
mod tests {
    use super::*;

    fn message(title: &str) -> Message {
        Message {
            key: "order:vault.lan\r\nX-Evil: 1".into(),
            kind: Kind::Firing,
            rule: "OrderFailing".into(),
            severity: Severity::Urgent,
            title: title.into(),
            lines: vec![".".into(), "a\r\n.\r\nMAIL FROM:<x>".into()],
            names: Vec::new(),
            owner: None,
            since: Timestamp::EPOCH,
            at: Timestamp::from_unix(1_795_374_540),
        }
    }

    #[test]
    fn nothing_breaks_out_of_a_header_or_ends_the_mail() {
        let to = ["ops@mgmt.lan".to_owned()];
        let mail = compose("ca@mgmt.lan", &to, &message("x\r\nBcc: y@z\r\n\r\nhello"), Form::Full);
        let (head, body) = mail.split_once("\r\n\r\n").unwrap();
        assert_eq!(head.lines().count(), 11, "{head}");
        assert!(head.contains("Subject: [urgent] x  Bcc: y@z    hello"), "{head}");
        assert!(head.contains("Date: Sun, 22 Nov 2026 19:09:00 +0000"), "{head}");
        assert!(body.lines().all(|line| line.len() <= 76 && !line.contains('.')), "{body}");
        let text = STANDARD.decode(body.replace("\r\n", "")).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("about order:vault.lan  X-Evil: 1"), "{text}");
    }

    #[test]
    fn a_subject_that_is_not_ascii_is_encoded_word_by_word() {
        let mail = compose("ca@mgmt.lan", &[], &message(&"ü".repeat(90)), Form::Full);
        let subject = mail.lines().find(|line| line.starts_with("Subject: ")).unwrap();
        assert!(subject.is_ascii());
        let words: Vec<&str> = subject.split(' ').skip(1).collect();
        assert!(words.len() > 2 && words.iter().all(|word| word.len() <= 75), "{subject}");
    }

    #[test]
    fn addresses_are_plain() {
        assert!(is_address("ops+ca@mgmt.lan"));
        for text in ["", "ops", "@lan", "ops@", "a b@lan", "a@lan>\r\nDATA", "<a@lan>", "a@l,b@lan", "ä@lan"]
        {
            assert!(!is_address(text), "{text}");
        }
    }
}
