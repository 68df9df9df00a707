//! The server's own certificate: issued in process, for the host of the URL, verified by the root alone; renewed at
//! half its life without a restart, long before clients of the same age would be. The clock is the test's.

#![allow(clippy::panic, reason = "what surprises a test ends it")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use acme::id::Serial;
use acme::renewal;
use acme::time::Timestamp;
use acme_ca::clock::Clock;
use acme_ca::config::Config;
use acme_ca::serve::{Listeners, Server};
use acme_ca::tasks::{judge, renew_own_certificate};
use openssl::x509::X509;
use rustls::client::ClientConnection;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore};
use store::certificate::{Certificate, Purpose};
use support::Ca;
use support::ca::PATIENCE;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A server in this process, whose clock the test sets.
struct World {
    ca: Ca,
    clock: Clock,
    server: Server,
    began: Timestamp,
}

impl World {
    async fn new(configuration: &str) -> Self {
        let ca = Ca::new();
        ca.configure(&configuration.replace("PORT", &ca.port.to_string()));
        let began = Clock::System.now();
        let clock = Clock::standing_at(began);
        let config = Config::load(&ca.config()).expect("a configuration");
        let server = Server::start(config, Listeners::none(), clock.clone()).await.expect("it starts");
        Self { ca, clock, server, began }
    }

    /// Sets the clock to so many days after the start, and lets the server look at it.
    async fn day(&self, days: u64) {
        self.clock.set(self.began.plus(Duration::from_secs(days * 86_400)));
        renew_own_certificate(self.server.app()).await;
    }

    /// A connection as a careful client makes it, by this world's clock.
    async fn connect(&self, host: &str) -> TlsStream<TcpStream> {
        self.try_connect(host).await.expect("a handshake that verifies")
    }

    async fn try_connect(&self, host: &str) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.ca.root()).expect("the root")).expect("a root");
        let time: Arc<dyn TimeProvider> = Arc::new(At(self.clock.clone()));
        let config = ClientConfig::builder_with_details(Arc::new(default_provider()), time)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(("127.0.0.1", self.ca.port)).await?;
        let name = ServerName::try_from(host.to_owned()).expect("a name");
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
        tokio::time::timeout(PATIENCE, connecting).await.expect("in time")
    }

    /// What is served now.
    async fn served(&self) -> X509 {
        leaf(self.connect("localhost").await.get_ref().1)
    }

    async fn row(&self, serial: &Serial) -> Certificate {
        self.server.app().store.certificate(serial).await.expect("read").expect("it is known")
    }
}

#[tokio::test]
async fn it_is_for_the_host_of_the_url_and_the_root_alone_verifies_it() {
    let world = World::new("").await;
    let connection = world.connect("localhost").await;
    let chain = connection.get_ref().1.peer_certificates().expect("a chain");
    assert_eq!(chain.len(), 2, "leaf and intermediate; the root is the client's own");
    let leaf = leaf(connection.get_ref().1);
    let names = leaf.subject_alt_names().expect("a SAN");
    let names: Vec<_> = names.iter().map(|name| name.dnsname()).collect();
    assert_eq!(names, [Some("localhost")], "the host, and no other");
    let row = world.row(&serial(&leaf)).await;
    assert_eq!((row.purpose, row.names.as_str(), row.order), (Purpose::Server, "localhost", None));
    assert_eq!(row.der, Some(leaf.to_der().expect("DER")), "it is kept as every other");
    assert!(world.try_connect("elsewhere.lan").await.is_err(), "another name is not what it says");
    world.server.stop().await;
}

#[tokio::test]
async fn a_host_that_is_an_address_stands_on_it_as_an_address() {
    let world = World::new("[server]\nurl = \"https://127.0.0.1:PORT\"").await;
    let leaf = leaf(world.connect("127.0.0.1").await.get_ref().1);
    let names = leaf.subject_alt_names().expect("a SAN");
    let addresses: Vec<_> = names.iter().map(|name| name.ipaddress().map(<[u8]>::to_vec)).collect();
    assert_eq!(addresses, [Some(vec![127, 0, 0, 1])]);
    world.server.stop().await;
}

#[tokio::test]
async fn it_is_renewed_at_half_its_life_without_a_restart() {
    let world = World::new("").await;
    let first = serial(&world.served().await);
    let row = world.row(&first).await;
    assert_eq!(row.not_after.seconds_since(row.not_before) / 86_400, 89, "90 days, less a second");

    world.day(44).await;
    assert_eq!(serial(&world.served().await), first, "before half its life nothing changes");
    let mut old = world.connect("localhost").await;

    world.day(46).await;
    let now = world.clock.now();
    assert!(now < renewal::due(row.not_before, row.not_after), "before two thirds, when clients come");
    let second = serial(&world.served().await);
    assert_ne!(second, first, "the next handshake has the new one");
    let row = world.row(&first).await;
    assert_eq!(row.superseded_by, Some(second.clone()), "the old one is not missed by anybody");
    assert_eq!(world.row(&second).await.superseded_by, None);

    old.write_all(b"GET /acme/directory HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await
        .expect("sent");
    let mut answer = [0; 12];
    old.read_exact(&mut answer).await.expect("read");
    assert_eq!(&answer, b"HTTP/1.1 200", "a connection that was open stays so");

    world.day(47).await;
    assert_eq!(serial(&world.served().await), second, "and then again nothing changes");
    world.server.stop().await;
}

#[tokio::test]
async fn two_who_renew_it_at_the_same_moment_make_one() {
    let world = World::new("").await;
    let first = serial(&world.served().await);
    world.clock.set(world.began.plus(Duration::from_secs(46 * 86_400)));
    let app = world.server.app();
    tokio::join!(renew_own_certificate(app), renew_own_certificate(app), renew_own_certificate(app));
    let served = serial(&world.served().await);
    assert_eq!(world.row(&first).await.superseded_by, Some(served.clone()));
    assert_eq!(world.row(&served).await.superseded_by, None, "what is served is what counts");
    world.server.stop().await;
}

#[tokio::test]
async fn a_short_profile_makes_it_short_too() {
    let world = World::new("[profiles.default]\nlifetime = \"2d\"").await;
    let first = serial(&world.served().await);
    let row = world.row(&first).await;
    assert!(row.not_after.seconds_since(world.began) <= 2 * 86_400);
    world.day(1).await;
    assert_ne!(serial(&world.served().await), first);
    world.server.stop().await;
}

#[tokio::test]
async fn a_renewal_that_fails_keeps_the_old_one_and_the_server() {
    let world = World::new("").await;
    let first = serial(&world.served().await);
    let end = world.server.app().live().ca.issuers()[0].not_after();
    world.clock.set(end.plus(Duration::from_secs(1)));
    let app = world.server.app();
    assert!(app.vigil.own().trouble.is_none());
    renew_own_certificate(app).await;
    // Who watches knows why.
    let why = app.vigil.own().trouble.expect("it is remembered").what;
    judge(app).await.expect("judged");
    let alerts = app.store.open_alerts().await.expect("alerts");
    let told = alerts.iter().find(|alert| alert.key == "ca:server").expect("an alert");
    assert!(told.body.contains(&why[..60]), "{why}: {}", told.body);
    // It has ended by now, but whoever asks is told so by the certificate and not by silence.
    world.clock.set(world.began);
    assert_eq!(serial(&world.served().await), first);
    renew_own_certificate(world.server.app()).await;
    assert!(world.server.app().vigil.own().trouble.is_none(), "there is nothing to renew");
    world.server.stop().await;
}

/// The test's clock, for rustls.
#[derive(Debug)]
struct At(Clock);

impl TimeProvider for At {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().unix()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

fn leaf(connection: &ClientConnection) -> X509 {
    let chain = connection.peer_certificates().expect("a chain");
    X509::from_der(&chain[0]).expect("a certificate")
}

fn serial(certificate: &X509) -> Serial {
    Serial::from_bytes(&certificate.serial_number().to_bn().expect("a number").to_vec())
}
