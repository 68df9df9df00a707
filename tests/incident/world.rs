//! A CA in this process, whose clock the test sets, with a name server, an ntfy and web servers around it.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use acme::time::Timestamp;
use acme_ca::clock::Clock;
use acme_ca::config::Config;
use acme_ca::serve::{Listeners, Server};
use acme_ca::tasks::{judge, probe, publish_lists, renew_own_certificate, tell};
use serde_json::Value;

use crate::support::dns::DnsServer;
use crate::support::forge::{Forged, Wish, key_pem, write};
use crate::support::ntfy::Ntfy;
use crate::support::ports::free_port;
use crate::support::servers::Nginx;
use crate::support::{Ca, Client, Responder};

pub(crate) struct World {
    pub(crate) ca: Ca,
    pub(crate) clock: Clock,
    pub(crate) server: Server,
    pub(crate) began: Timestamp,
    pub(crate) dns: DnsServer,
    pub(crate) ntfy: Ntfy,
    pub(crate) responder: Responder,
    pub(crate) client: Client,
    /// Where the services show their certificates.
    pub(crate) port: u16,
    dir: PathBuf,
}

/// What a service serves.
pub(crate) type Pair = (PathBuf, PathBuf);

impl World {
    /// Names below corp.lan are asked of a name server that is alive; one sink. `more` is configuration.
    pub(crate) async fn new(more: &str) -> Self {
        let ca = Ca::new();
        let (dns, ntfy, port) = (DnsServer::start().await, Ntfy::start().await, free_port());
        ca.configure(&format!(
            r#"
            [resolver]
            servers = ["{}"]
            timeout = "1s"
            [validation]
            patience = "1s"
            reuse = "0s"
            allow_networks = ["127.0.0.0/8"]
            [probe]
            port = {port}
            timeout = "2s"
            [[alerts.sink]]
            type = "ntfy"
            name = "phone"
            url = "{}"
            topic = "pki"
            "#,
            dns.address(),
            ntfy.url(),
        ));
        if !more.is_empty() {
            ca.configure(more);
        }
        let began = Clock::System.now();
        let clock = Clock::standing_at(began);
        ntfy.set_clock(began);
        let config = Config::load(&ca.config()).expect("a configuration");
        let server = Server::start(config, Listeners::none(), clock.clone()).await.expect("it starts");
        let responder = Responder::start(ca.http_port).await;
        let client = Client::registered(&ca).await;
        let dir = ca.scratch("services");
        Self { ca, clock, server, began, dns, ntfy, responder, client, port, dir }
    }

    /// Lets the time come, so many seconds after the beginning, and the server look, judge and tell.
    pub(crate) async fn at(&self, seconds: i64) {
        let now = Timestamp::from_unix(self.began.unix() + seconds);
        self.clock.set(now);
        self.ntfy.set_clock(now);
        renew_own_certificate(self.server.app()).await;
        publish_lists(self.server.app()).await.expect("lists");
        probe(self.server.app()).await.expect("looked");
        judge(self.server.app()).await.expect("judged");
        tell(self.server.app()).await.expect("told");
    }

    /// The same step by step.
    pub(crate) async fn through(&self, from: i64, to: i64, step: usize) {
        for seconds in (from..=to).step_by(step) {
            self.at(seconds).await;
        }
    }

    /// What the phone was told, less the greeting, the heartbeat, and what is only worth knowing.
    pub(crate) fn told(&self) -> Vec<Value> {
        let is_alert = |message: &Value| {
            let title = message["title"].as_str().unwrap_or_default();
            let info = ["reports here", "worth knowing", "first certificate", "renewal is late"];
            !info.iter().any(|words| title.contains(words)) && message["delay"].is_null()
        };
        self.ntfy.requests().into_iter().filter(is_alert).collect()
    }

    pub(crate) fn titles(&self) -> Vec<String> {
        self.told().iter().map(|message| message["title"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// A certificate as NixOS puts it in place until there is another: right names, two years, a root of its own.
    pub(crate) fn minica(&self, name: &str) -> Pair {
        let root = Forged::alone(&Wish {
            subject: "CN=minica root ca 3f2a10",
            is_ca: true,
            days: 3_650,
            ..Wish::default()
        });
        let subject = format!("CN={name}");
        let leaf = root.below(&Wish { subject: &subject, names: &[name], days: 760, ..Wish::default() });
        write(&self.dir, name, &(leaf.pem() + &root.pem()), &leaf.key_pem())
    }

    /// A real one, in the files that the service reads.
    pub(crate) async fn issue(&self, name: &str) -> Pair {
        let key = crate::support::csr::ec_key();
        let issued = self.client.issue_for(&[name], &key, &self.responder).await;
        write(&self.dir, name, &issued.pem, &key_pem(&key))
    }

    /// A web server with a service for each name.
    pub(crate) async fn nginx(&self, services: &[(&str, Pair)]) -> Nginx {
        let block = |(name, (chain, key)): &(&str, Pair)| {
            let mut block = format!("listen 127.0.0.1:{} ssl; server_name {name};", self.port);
            let _ =
                write!(block, " ssl_certificate {}; ssl_certificate_key {};", chain.display(), key.display());
            block
        };
        let blocks: Vec<String> = services.iter().map(block).collect();
        Nginx::many(&self.ca, &blocks, self.port).await
    }

    /// An order that must fail.
    pub(crate) async fn fail(&self, name: &str) {
        let order = self.client.new_order(&[name]).await;
        let challenge = self.client.publish(&order, &self.responder).await.remove(0);
        self.client.answer(&challenge).await.expect(200);
        assert_eq!(self.client.settled(&order.url).await["status"], "invalid");
    }

    /// Another configuration, without a restart.
    pub(crate) async fn reload(&self, more: &str) {
        self.ca.configure(more);
        let config = Config::load(&self.ca.config()).expect("a configuration");
        self.server.reload(config).await.expect("reloaded");
    }
}

pub(crate) const MINUTE: i64 = 60;
pub(crate) const HOUR: i64 = 3_600;
pub(crate) const DAY: i64 = 24 * HOUR;
/// How long a web server takes to serve what it was told to read anew.
pub(crate) const RELOADED: Duration = Duration::from_secs(2);
