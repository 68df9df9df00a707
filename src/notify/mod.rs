//! Telling people: a message to a sink, once, and what became of it. When something is told, how often, and what happens
//! when it cannot be told is decided above (`watch::deliver`); what is kept is kept below, in the store.
//!
//! Delivery goes by the CA's own resolver and pins and trusts its own root, unless told otherwise: the way to a phone must
//! not depend on what the alert may be about. Certificates and names are always judged,
//! or else the key.

mod alertmanager;
mod dial;
mod endpoint;
mod exec;
mod http;
mod journal;
mod mail;
mod message;
mod ntfy;
mod outcome;
mod pin;
mod schedule;
mod secret;
mod settings;
mod smtp;
mod webhook;

use std::sync::Arc;

use acme::time::Timestamp;

use crate::resolver::Resolver;

pub use alertmanager::RESEND;
pub use endpoint::{Endpoint, Host};
pub use journal::{SOCKET as JOURNAL_SOCKET, critical};
pub use mail::is_address;
pub use message::{Kind, Message};
pub use ntfy::sequence_id;
pub use outcome::{CREDENTIAL_TRIES, HOURLY, Outcome, Receipt, Trouble, back_off};
pub use pin::Pin;
pub use schedule::Schedule;
pub use secret::SecretFile;
pub use settings::{
    Alertmanager, Exec, Journal, Login, Ntfy, Owner, Role, Roots, Security, Settings, Sink, Smtp, Trust, Way,
    Webhook, trouble_key,
};

/// Tells sinks. Cheap to make: files are read and connections opened when something is sent.
pub struct Notifier {
    /// Whom.
    pub settings: Settings,
    parts: Parts,
}

/// What every sink needs.
struct Parts {
    resolver: Arc<Resolver>,
    /// Our own root, DER.
    root: Vec<u8>,
}

/// How a message is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// With everything.
    Full,
    /// Shorter and without ornaments, when it was refused as it was.
    Plain,
}

impl Notifier {
    /// A notifier that looks names up with `resolver`. `root` is our own root certificate, DER.
    pub fn new(settings: Settings, resolver: Arc<Resolver>, root: Vec<u8>) -> Self {
        Self { settings, parts: Parts { resolver, root } }
    }

    /// Sends one message to one sink, once. `replaces` says that the sink is known to put later messages in the place of
    /// earlier ones. It takes a minute at most.
    pub async fn send(
        &self,
        sink: &Sink,
        message: &Message,
        form: Form,
        replaces: bool,
        now: Timestamp,
    ) -> Outcome {
        let parts = &self.parts;
        match &sink.way {
            Way::Ntfy(ntfy) => ntfy::send(parts, ntfy, message, form, replaces).await,
            Way::Alertmanager(to) => alertmanager::send(parts, to, &[message], form, now).await,
            Way::Webhook(to) => webhook::send(parts, to, message, form).await,
            Way::Smtp(smtp) => smtp::send(parts, smtp, message, form).await,
            Way::Exec(exec) => exec::send(exec, message).await,
            Way::Journal(journal) => journal::send(&journal.socket, message),
        }
    }

    /// Sends what stands once more to an Alertmanager, before it forgets it.
    pub async fn renew(&self, to: &Alertmanager, standing: &[&Message], now: Timestamp) -> Outcome {
        alertmanager::send(&self.parts, to, standing, Form::Full, now).await
    }

    /// What a sink says of its version, when it has to be asked.
    pub async fn version(&self, sink: &Sink) -> Option<String> {
        match &sink.way {
            Way::Alertmanager(to) => alertmanager::version(&self.parts, to).await,
            _ => None,
        }
    }

    /// What is missing on this machine for its sinks: files that are not there, programs that are none. One sentence
    /// each, with the sink's name. It is no reason not to serve.
    pub fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        for sink in &self.settings.sinks {
            let mut note = |checked: Result<(), String>| {
                missing.extend(checked.err().map(|why| format!("alerts.sink {}: {why}", sink.name)));
            };
            let login = |login: &Login| match login {
                Login::Nobody => Ok(()),
                Login::Token(file) | Login::Password(_, file) => file.read().map(|_| ()),
            };
            let trust =
                |trust: &Trust, used: bool| if used { dial::check(trust, &self.parts) } else { Ok(()) };
            match &sink.way {
                Way::Ntfy(ntfy) => {
                    note(login(&ntfy.login));
                    note(trust(&ntfy.trust, ntfy.endpoint.is_tls()));
                }
                Way::Alertmanager(to) => {
                    note(login(&to.login));
                    note(trust(&to.trust, to.endpoint.is_tls()));
                }
                Way::Webhook(to) => {
                    note(login(&to.login));
                    note(trust(&to.trust, to.endpoint.is_tls()));
                }
                Way::Smtp(smtp) => {
                    note(smtp.login.as_ref().map_or(Ok(()), |(_, file)| file.read().map(|_| ())));
                    note(trust(&smtp.trust, smtp.security != Security::Plain));
                }
                Way::Exec(exec) => note(exec::check(exec)),
                Way::Journal(_) => {}
            }
        }
        missing
    }
}
