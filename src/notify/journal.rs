//! A line in the systemd journal, by its native protocol: one datagram of fields, so that `journalctl -p crit` finds what
//! is critical and `journalctl ACME_CA_KEY=…` everything about one thing. Where there is no journal, the log has it.

use std::io::Write as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use acme::problem::plain;
use acme::severity::Severity;

use super::message::{Kind, Message};
use super::outcome::{Outcome, Receipt};

/// Writes one message down.
pub(super) fn send(socket: &Path, message: &Message) -> Outcome {
    let text = message.one_line();
    let level = level(message);
    let names = message.names.join(",");
    let fields = [
        ("MESSAGE", text.as_str()),
        ("PRIORITY", level),
        ("SYSLOG_IDENTIFIER", "acme-ca"),
        ("ACME_CA_EVENT", "alert"),
        ("ACME_CA_KIND", message.kind.as_str()),
        ("ACME_CA_RULE", &message.rule),
        ("ACME_CA_SEVERITY", message.severity.as_str()),
        ("ACME_CA_KEY", &message.key),
        ("ACME_CA_NAMES", &names),
    ];
    match write(socket, &fields) {
        Ok(()) => {
            Outcome::Delivered(Receipt { server: Some("systemd journal".into()), ..Receipt::default() })
        }
        Err(_) => {
            let (key, rule) = (plain(&message.key, FIELD), plain(&message.rule, FIELD));
            let (kind, severity) = (message.kind.as_str(), message.severity.as_str());
            match level {
                "2" | "3" => tracing::error!(event = "alert", kind, rule, severity, key, "{text}"),
                "4" => tracing::warn!(event = "alert", kind, rule, severity, key, "{text}"),
                _ => tracing::info!(event = "alert", kind, rule, severity, key, "{text}"),
            }
            let server = Some("no journal here; it is in the log".into());
            Outcome::Delivered(Receipt { server, ..Receipt::default() })
        }
    }
}

/// Says one thing of our own accord at the level CRIT, in the log too: what nobody may miss when nothing else works.
pub fn critical(text: &str) {
    let text = plain(text, FIELD);
    tracing::error!(event = "critical", "{text}");
    let fields = [("MESSAGE", text.as_str()), ("PRIORITY", "2"), ("SYSLOG_IDENTIFIER", "acme-ca")];
    // Without a journal the log has to do.
    let _ = write(Path::new(SOCKET), &fields);
}

/// The syslog level: 2 is CRIT, RFC 5424 6.2.1.
fn level(message: &Message) -> &'static str {
    match (message.kind, message.severity) {
        (Kind::Resolved | Kind::Test | Kind::Digest, _) => "5",
        (_, Severity::Urgent | Severity::Critical) => "2",
        (_, Severity::Warning) => "4",
        (_, Severity::Info) => "6",
    }
}

fn write(socket: &Path, fields: &[(&str, &str)]) -> std::io::Result<()> {
    let mut datagram = Vec::new();
    for (name, value) in fields {
        // One line each; longer texts would need the protocol's other form.
        writeln!(datagram, "{name}={}", plain(value, FIELD))?;
    }
    let ours = UnixDatagram::unbound()?;
    ours.set_nonblocking(true)?;
    ours.send_to(&datagram, socket).map(|_| ())
}

/// Where systemd's journal listens.
pub const SOCKET: &str = "/run/systemd/journal/socket";
/// How long a field may be, in characters.
const FIELD: usize = 2_000;
