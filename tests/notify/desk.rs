//! A CA's configuration with sinks, its store, and the step that tells them, without the server around it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use acme::severity::Severity;
use acme::time::Timestamp;
use acme_ca::Live;
use acme_ca::config::Config;
use acme_ca::notify::{Kind, Message, Notifier};
use acme_ca::watch::deliver::{self, Report, SinkFact};
use store::outbox::PutMessages;
use store::{Options, Store};

use crate::support::Ca;

/// Everything that delivery needs.
pub struct Desk {
    pub ca: Ca,
    pub store: Store,
    pub notifier: Arc<Notifier>,
    minutes: u64,
    seconds: u64,
}

impl Desk {
    /// With this `[alerts]` section, and `*.corp.lan` pinned to loopback.
    pub async fn new(alerts: &str) -> Self {
        Self::of(Ca::new(), alerts).await
    }

    pub async fn of(ca: Ca, alerts: &str) -> Self {
        ca.configure("[resolver.pins]\n\"*.corp.lan\" = [\"127.0.0.1\"]");
        ca.configure(alerts);
        let store = Store::open(ca.store(), &Options::default()).await.unwrap();
        let notifier = notifier(&ca);
        Self { ca, store, notifier, minutes: 0, seconds: 0 }
    }

    /// The server's time.
    pub fn now(&self) -> Timestamp {
        began().plus(Duration::from_secs(60 * self.minutes + self.seconds))
    }

    pub fn pass_minutes(&mut self, minutes: u64) {
        self.minutes += minutes;
    }

    pub fn pass_seconds(&mut self, seconds: u64) {
        self.seconds += seconds;
    }

    /// Another configuration from now on.
    pub fn reconfigure(&mut self, toml: &str) {
        self.ca.configure(toml);
        self.notifier = notifier(&self.ca);
    }

    /// Puts a message that was made now.
    pub async fn put(&self, kind: Kind, severity: Severity, name: &str) {
        self.put_message(&self.message(kind, severity, name)).await;
    }

    pub async fn put_message(&self, message: &Message) {
        let entries = vec![deliver::entry(message, message.at).unwrap()];
        self.store.write(PutMessages { entries }).await.unwrap();
    }

    pub fn message(&self, kind: Kind, severity: Severity, name: &str) -> Message {
        Message {
            key: format!("order:{name}"),
            kind,
            rule: "OrderFailing".into(),
            severity,
            title: match kind {
                Kind::Resolved => format!("{name} issued after 41 failures"),
                _ => format!("{name} cannot be issued"),
            },
            lines: vec!["2 orders failed since 07:02".into(), "try: ca-ctl resolve".into()],
            names: vec![name.into()],
            owner: Some("infra".into()),
            since: self.now(),
            at: self.now(),
        }
    }

    pub async fn step(&self) -> Report {
        deliver::deliver_due(&self.store, &self.notifier, self.now()).await.unwrap()
    }

    /// The results of a step, in order.
    pub async fn results(&self) -> Vec<&'static str> {
        self.step().await.tries.iter().map(|t| t.result).collect()
    }

    pub async fn fact(&self, sink: &str) -> SinkFact {
        let facts = deliver::facts(&self.store, &self.notifier.settings, self.now()).await.unwrap();
        facts.into_iter().find(|fact| fact.name == sink).unwrap()
    }

    /// The store as another process would open it.
    pub async fn reopen(&mut self) {
        self.store.close().await;
        self.store = Store::open(self.ca.store(), &Options::default()).await.unwrap();
    }

    /// A certificate of this CA for a name, with its chain, and its key: PEM.
    pub fn certificate(&self, name: &str) -> (String, String) {
        let read = |file: &str| std::fs::read_to_string(self.ca.path(file)).unwrap();
        let chain = read("intermediate.pem");
        let key = rcgen::KeyPair::from_pem(&read("intermediate.key")).unwrap();
        let issuer = rcgen::Issuer::from_ca_cert_pem(&chain, key).unwrap();
        let leaf = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.use_authority_key_identifier_extension = true;
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&leaf, &issuer).unwrap();
        (certificate.pem() + &chain, leaf.serialize_pem())
    }

    /// A file with a secret beside the configuration.
    pub fn secret(&self, name: &str, text: &str) -> PathBuf {
        let path = self.ca.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

fn notifier(ca: &Ca) -> Arc<Notifier> {
    // Its issuer is judged by the real time.
    let live = Live::build(Config::load(&ca.config()).unwrap(), acme_ca::clock::Clock::System.now());
    Arc::clone(&live.unwrap().notifier)
}

/// When every test begins.
pub fn began() -> Timestamp {
    Timestamp::parse_rfc3339("2026-11-22T07:00:00Z").unwrap()
}

/// The section for one ntfy at this URL, with more keys.
pub fn ntfy_at(url: &str, more: &str) -> String {
    format!(
        "[[alerts.sink]]\ntype = \"ntfy\"\nname = \"phone\"\nurl = \"{url}\"\ntopic = \"pki\"\nheartbeat = false\n{more}"
    )
}
