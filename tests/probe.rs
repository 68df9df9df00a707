//! What is really served: a farm of real servers, nginx and OpenSSL and small ones that speak in the clear first, and the
//! verdict on each. Nothing that is not ours may ever be called well, whatever is expected and whenever it is looked at.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what surprises a test ends it")]

mod support;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use acme::identifier::{DnsName, Identifier};
use acme::renewal::Thresholds;
use acme::severity::Severity;
use acme::time::Timestamp;
use acme::verdict::Verdict;
use acme_ca::clock::Clock;
use acme_ca::config::Config;
use acme_ca::probe::{Expect, Prober, Public, Starttls, Target};
use acme_ca::resolver::{Resolver, Settings, Targets};
use acme_ca::watch::directory::Directory;
use acme_ca::watch::look::{Lookout, Pace, Sight, configured, due, keep};
use store::Store;
use support::ca::{PATIENCE, POLL, text};
use support::clients::{installed, program, run};
use support::csr::ec_key;
use support::flow::Issued;
use support::forge::{Forged, Wish, key_pem, write};
use support::servers::Nginx;
use support::starttls::{Manner, Plain};
use support::{Ca, Client, Responder};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// A CA with a client, and a lookout that sees what it issued.
struct World {
    ca: Ca,
    client: Client,
    responder: Responder,
    store: Store,
    dir: PathBuf,
}

/// What is served: the files of a chain and its key.
type Pair = (PathBuf, PathBuf);

impl World {
    async fn new() -> Self {
        let mut ca = Ca::new();
        ca.configure("[resolver.pins]\n\"*.corp.lan\" = [\"127.0.0.1\"]\n\"split.corp.lan\" = [\"127.0.0.1\", \"::1\"]");
        ca.configure("[probe]\ntimeout = \"2s\"");
        ca.start().await;
        let responder = Responder::start(ca.http_port).await;
        let client = Client::registered(&ca).await;
        let store = Store::open_existing(ca.store()).await.unwrap();
        let dir = ca.scratch("farm");
        Self { ca, client, responder, store, dir }
    }

    /// A real certificate; the chain as it was handed out, and its key.
    async fn issue(&self, file: &str, names: &[&str]) -> (Issued, Pair) {
        let key = ec_key();
        let issued = self.client.issue_for(names, &key, &self.responder).await;
        let pair = write(&self.dir, file, &issued.pem, &key_pem(&key));
        (issued, pair)
    }

    fn write(&self, file: &str, leaf: &Forged, behind: &[&str]) -> Pair {
        write(&self.dir, file, &(leaf.pem() + &behind.concat()), &leaf.key_pem())
    }

    async fn lookout(&self) -> Lookout {
        let config = Config::load(&self.ca.config()).unwrap();
        let resolver = Resolver::new(config.resolver().unwrap(), rustls::RootCertStore::empty()).unwrap();
        let prober = Prober::new(Arc::new(resolver), Targets::new(None), config.probe.timeout);
        let ours = configured(&config.ca).unwrap();
        Lookout::new(prober, ours, Public::known(), config.renewal, &self.store).await.unwrap()
    }

    async fn look(&self, target: &Target, now: Timestamp) -> Vec<Sight> {
        let directory = Directory::read(&self.store).await.unwrap();
        self.lookout().await.look(&self.store, &directory, target, now).await.unwrap()
    }

    /// The only sight of a target.
    async fn one(&self, target: &Target, now: Timestamp) -> Sight {
        let mut sights = self.look(target, now).await;
        assert_eq!(sights.len(), 1, "{sights:?}");
        sights.remove(0)
    }
}

fn now() -> Timestamp {
    Clock::System.now()
}

fn days(days: u64) -> Duration {
    Duration::from_secs(days * 86_400)
}

fn target(name: &str, port: u16) -> Target {
    Target::new(Identifier::dns(name).unwrap(), port)
}

/// A TLS server block of nginx.
fn block(port: u16, (chain, key): &Pair) -> String {
    format!(
        "listen 127.0.0.1:{port} ssl; ssl_certificate {}; ssl_certificate_key {};",
        chain.display(),
        key.display()
    )
}

/// `openssl s_server`; it ends when it is dropped.
struct Server(Child, u16);

impl Server {
    async fn start(pair: &Pair, options: &[&str]) -> Self {
        let port = support::ports::free_port();
        let child = Command::new(installed("openssl", "openssl"))
            .args(["s_server", "-quiet", "-accept", &format!("127.0.0.1:{port}"), "-cert"])
            .arg(&pair.0)
            .arg("-cert_chain")
            .arg(&pair.0)
            .arg("-key")
            .arg(&pair.1)
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + PATIENCE;
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            assert!(Instant::now() < deadline, "openssl s_server does not listen");
            tokio::time::sleep(POLL).await;
        }
        Self(child, port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What products put in place until a certificate comes, each for `a.corp.lan` or for nobody.
fn fallbacks(world: &World) -> Vec<(&'static str, Pair, Verdict)> {
    let a = "a.corp.lan";
    let authority =
        |subject: &str| Forged::alone(&Wish { subject, is_ca: true, days: 900, ..Wish::default() });
    let leaf = |subject, names, days| Wish { subject, names, days, ..Wish::default() };
    let (minica, caddy, ingress) = (
        authority("CN=minica root ca 3f2a1b"),
        authority("CN=Caddy Local Authority - ECC Intermediate"),
        Forged::alone(&leaf(
            "O=Acme Co, CN=Kubernetes Ingress Controller Fake Certificate",
            &["ingress.local"],
            365,
        )),
    );
    let real = Forged::read(&world.ca.path("intermediate.pem"), &world.ca.path("intermediate.key"));
    let real_pem = real.pem();
    let mut twin = authority("CN=nobody");
    // The name of our issuer, octet by octet, and another key.
    twin.certificate = same_name(&real, &twin);
    let corporate = authority("CN=Corporate CA, O=Example");
    let old_fashioned = Wish { version: 0, ..leaf("CN=a.corp.lan", &[], 3_650) };
    let make =
        |name, leaf: &Forged, behind: &[&str], verdict| (name, world.write(name, leaf, behind), verdict);
    vec![
        make(
            "minica",
            &minica.below(&leaf("CN=a.corp.lan", &[a], 760)),
            &[&minica.pem()],
            Verdict::FallbackCert,
        ),
        make(
            "minica-and-our-chain",
            &minica.below(&leaf("CN=a.corp.lan", &[a], 760)),
            &[&real_pem],
            Verdict::FallbackCert,
        ),
        make(
            "snakeoil",
            &Forged::alone(&Wish { since: 0, ..leaf("CN=a.corp.lan", &[a], 3_650) }),
            &[],
            Verdict::FallbackCert,
        ),
        make(
            "traefik",
            &Forged::alone(&leaf("CN=TRAEFIK DEFAULT CERT", &["1a2b.traefik.default"], 365)),
            &[],
            Verdict::FallbackCert,
        ),
        make(
            "caddy",
            &caddy.below(&Wish { since: 0, ..leaf("", &[a], 1) }),
            &[&caddy.pem()],
            Verdict::FallbackCert,
        ),
        make("ingress", &ingress, &[], Verdict::FallbackCert),
        make(
            "npm",
            &Forged::alone(&leaf("O=Nginx Proxy Manager, OU=Dummy Certificate, CN=localhost", &[], 3_650)),
            &[],
            Verdict::FallbackCert,
        ),
        make(
            "mod_md",
            &Forged::alone(&leaf("CN=Apache Managed Domain Fallback", &[a], 14)),
            &[],
            Verdict::FallbackCert,
        ),
        make("v1", &Forged::alone(&old_fashioned), &[], Verdict::FallbackCert),
        make("same-name-other-key", &twin.below(&leaf("", &[a], 90)), &[&real_pem], Verdict::ImpostorIssuer),
        make("same-name-self-signed", &twin, &[], Verdict::ImpostorIssuer),
        make("unknown-serial", &real.below(&leaf("", &[a], 90)), &[&real_pem], Verdict::UnknownSerial),
        make("corporate", &corporate.below(&leaf("", &[a], 90)), &[&corporate.pem()], Verdict::ForeignIssuer),
    ]
}

/// A CA's certificate with the subject and issuer name of `real`, for the key of `twin`.
fn same_name(real: &Forged, twin: &Forged) -> openssl::x509::X509 {
    let mut builder = openssl::x509::X509::builder().unwrap();
    builder.set_version(2).unwrap();
    let name = real.certificate.subject_name();
    builder.set_subject_name(name).unwrap();
    builder.set_issuer_name(name).unwrap();
    builder.set_serial_number(twin.certificate.serial_number()).unwrap();
    builder.set_not_before(twin.certificate.not_before()).unwrap();
    builder.set_not_after(twin.certificate.not_after()).unwrap();
    builder.set_pubkey(&twin.key).unwrap();
    builder.sign(&twin.key, openssl::hash::MessageDigest::sha256()).unwrap();
    builder.build()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_fallback_is_ever_called_well() {
    let world = World::new().await;
    let (_, ours) = world.issue("a", &["a.corp.lan"]).await;
    let fixtures = fallbacks(&world);
    let good = support::ports::free_port();
    let ports: Vec<u16> = fixtures.iter().map(|_| support::ports::free_port()).collect();
    let mut blocks = vec![block(good, &ours)];
    blocks.extend(fixtures.iter().zip(&ports).map(|((_, pair, _), port)| block(*port, pair)));
    let _nginx = Nginx::many(&world.ca, &blocks, good).await;

    let a = |port| target("a.corp.lan", port);
    let sight = world.one(&a(good), now()).await;
    assert_eq!((sight.served.verdict, sight.severity), (Verdict::Ok, None), "{sight:?}");
    for ((name, _, verdict), port) in fixtures.iter().zip(&ports) {
        let sight = world.one(&a(*port), now()).await;
        assert_eq!(sight.served.verdict, *verdict, "{name}: {sight:?}");
        let least = if *verdict == Verdict::ForeignIssuer { Severity::Warning } else { Severity::Critical };
        assert_eq!(sight.severity, Some(least), "{name}: {sight:?}");
        assert!(sight.served.serial.is_some() && sight.served.not_after.is_some(), "{name}: {sight:?}");
    }
    let product = |name: &str| {
        let at = fixtures.iter().position(|(it, ..)| *it == name).unwrap();
        ports[at]
    };
    for (name, words) in [
        ("minica", "NixOS"),
        ("snakeoil", "self-signed (as Debian's snakeoil is)"),
        ("traefik", "Traefik"),
        ("caddy", "Caddy"),
        ("ingress", "ingress-nginx"),
        ("npm", "Nginx Proxy Manager"),
        ("mod_md", "mod_md"),
        ("v1", "self-signed"),
        ("corporate", "Corporate CA"),
    ] {
        let sight = world.one(&a(product(name)), now()).await;
        assert!(sight.served.product.as_deref().is_some_and(|it| it.contains(words)), "{name}: {sight:?}");
    }
    let v1 = world.one(&a(product("v1")), now()).await;
    assert!(v1.served.detail.contains("X.509 v1"), "{v1:?}");

    // Whatever is expected, whoever is asked for, whenever.
    let (lookout, directory) = (world.lookout().await, Directory::read(&world.store).await.unwrap());
    for port in &ports {
        for expect in Expect::ALL {
            for at in [0, 3, 60, 91, 800, 5_000] {
                for name in ["a.corp.lan", "b.corp.lan", "ingress.local"] {
                    let asked = Target {
                        expect: *expect,
                        connect: vec!["127.0.0.1".parse().unwrap()],
                        ..target(name, *port)
                    };
                    let when = now().plus(days(at));
                    let sight = lookout.look(&world.store, &directory, &asked, when).await.unwrap().remove(0);
                    let verdict = sight.served.verdict;
                    assert!(
                        !matches!(verdict, Verdict::Ok | Verdict::OkPrevious),
                        "{asked:?} {at}: {sight:?}"
                    );
                    assert!(sight.severity >= Some(Severity::Warning), "{sight:?}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_ours_is_judged_by_its_dates_its_names_its_line_and_its_chain() {
    let world = World::new().await;
    let (old, pair_old) = world.issue("old", &["a.corp.lan"]).await;
    let (new, pair_new) = world.issue("new", &["a.corp.lan"]).await;
    let (_, other) = world.issue("b", &["b.corp.lan"]).await;
    let (revoked, pair_revoked) = world.issue("revoked", &["c.corp.lan"]).await;
    let (_, wild) = world.issue("wide", &["w.corp.lan", "x.corp.lan"]).await;
    let chain = std::fs::read_to_string(&pair_new.0).unwrap();
    let end = "-----END CERTIFICATE-----\n";
    let leaf_alone = chain.split_inclusive(end).next().unwrap();
    let key = std::fs::read_to_string(&pair_new.1).unwrap();
    let stranger = Forged::alone(&Wish { subject: "CN=Above", is_ca: true, ..Wish::default() })
        .below(&Wish { subject: "CN=Old intermediate", is_ca: true, ..Wish::default() });
    let bare = write(&world.dir, "bare", leaf_alone, &key);
    let crossed = write(&world.dir, "crossed", &(leaf_alone.to_owned() + &stranger.pem()), &key);
    let with_root = chain.clone() + &std::fs::read_to_string(world.ca.root()).unwrap();
    let rooted = write(&world.dir, "rooted", &with_root, &key);
    let done = world.ca.ctl(&["revoke", &revoked.serial(), "--reason", "superseded", "--yes"]);
    assert!(done.status.success(), "{}", text(&done));

    let pairs = [&pair_old, &pair_new, &other, &pair_revoked, &wild, &bare, &crossed, &rooted];
    let ports = pairs.map(|_| support::ports::free_port());
    let blocks: Vec<String> = pairs.iter().zip(ports).map(|(pair, port)| block(port, pair)).collect();
    let [old_port, new_port, other_port, revoked_port, wide_port, bare_port, crossed_port, rooted_port] =
        ports;
    let _nginx = Nginx::many(&world.ca, &blocks, new_port).await;
    let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
    let at = |span: Duration| now().plus(span);
    let a = "a.corp.lan";
    for (what, name, port, when, verdict, severity) in [
        ("the newest", a, new_port, now(), Verdict::Ok, None),
        ("with the root behind it", a, rooted_port, now(), Verdict::Ok, None),
        ("the old one, just after", a, old_port, at(minutes(30)), Verdict::OkPrevious, Some(Severity::Info)),
        (
            "a fiftieth of 90 days later",
            a,
            old_port,
            at(days(2)),
            Verdict::StaleNotReloaded,
            Some(Severity::Warning),
        ),
        ("near its end", a, old_port, at(days(85)), Verdict::StaleNotReloaded, Some(Severity::Critical)),
        ("over", a, old_port, at(days(91)), Verdict::Expired, Some(Severity::Critical)),
        ("the newest, overdue", a, new_port, at(days(75)), Verdict::Expiring, Some(Severity::Warning)),
        ("the newest, nearly over", a, new_port, at(days(86)), Verdict::Expiring, Some(Severity::Critical)),
        ("the newest, over", a, new_port, at(days(91)), Verdict::Expired, Some(Severity::Critical)),
        (
            "a clock that is behind",
            a,
            new_port,
            now().minus(days(2)),
            Verdict::NotYetValid,
            Some(Severity::Critical),
        ),
        ("another virtual host", a, other_port, now(), Verdict::SanMismatch, Some(Severity::Critical)),
        ("revoked", "c.corp.lan", revoked_port, now(), Verdict::RevokedServed, Some(Severity::Critical)),
        ("for two names", "x.corp.lan", wide_port, now(), Verdict::Ok, None),
        ("without the intermediate", a, bare_port, now(), Verdict::ChainIncomplete, Some(Severity::Warning)),
        ("with another intermediate", a, crossed_port, now(), Verdict::ChainWrong, Some(Severity::Warning)),
    ] {
        let sight = world.one(&target(name, port), when).await;
        assert_eq!((sight.served.verdict, sight.severity), (verdict, severity), "{what}: {sight:?}");
    }
    let stale = world.one(&target(a, old_port), at(days(2))).await;
    assert_eq!(stale.served.serial, Some(old.serial()));
    assert!(stale.served.detail.contains(&new.serial()[..16]), "the newer one is named: {stale:?}");

    // The name gets one of its own: the wide one is another line's now.
    world.issue("own", &["x.corp.lan"]).await;
    let sight = world.one(&target("x.corp.lan", wide_port), at(days(3))).await;
    assert_eq!(sight.served.verdict, Verdict::WrongLineage, "{sight:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_served_expires_by_the_thresholds_of_its_owner() {
    let world = World::new().await;
    let (_, pair) = world.issue("owned", &["owned.corp.lan"]).await;
    let server = Server::start(&pair, &[]).await;
    let (target, later) = (target("owned.corp.lan", server.1), now().plus(days(60)));
    assert_eq!(world.one(&target, later).await.served.verdict, Verdict::Ok);
    let set = ["names", "set", "*.corp.lan", "--warn", "50%", "--critical", "90%"];
    assert!(world.ca.ctl(&set).status.success());
    let sight = world.one(&target, later).await;
    assert_eq!((sight.served.verdict, sight.severity), (Verdict::Expiring, Some(Severity::Warning)));
    assert!(
        world
            .ca
            .ctl(&["names", "set", "owned.corp.lan", "--warn", "50%", "--critical", "60%"])
            .status
            .success()
    );
    assert_eq!(world.one(&target, later).await.severity, Some(Severity::Critical), "the nearest counts");
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_are_strange_are_told_apart() {
    let world = World::new().await;
    let (_, ours) = world.issue("a", &["a.corp.lan"]).await;
    let [alert, plain, four] = std::array::from_fn(|_| support::ports::free_port());
    let blocks = [
        block(four, &ours),
        format!("listen 127.0.0.1:{alert} ssl; ssl_reject_handshake on;"),
        format!("listen 127.0.0.1:{plain}; return 200 hello;"),
    ];
    let _nginx = Nginx::many(&world.ca, &blocks, four).await;
    let wants = [
        Server::start(&ours, &["-Verify", "1", "-tls1_2"]).await,
        Server::start(&ours, &["-Verify", "1", "-tls1_3"]).await,
    ];
    let legacy = Server::start(&ours, &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]).await;
    let silent = Plain::each(|mut stream| async move {
        let mut octets = [0; 1024];
        while stream.read(&mut octets).await.is_ok_and(|read| read > 0) {}
    })
    .await;
    let garbage =
        Plain::each(|mut stream| async move { while stream.write_all(&[0x55; 4096]).await.is_ok() {} }).await;
    // Handshake records without end, each with a fragment of one message that never is whole.
    let endless = Plain::each(|mut stream| async move {
        let record = [&[0x16, 3, 3, 0x10, 0, 2, 0xff, 0xff, 0xff][..], &[0; 4093]].concat();
        while stream.write_all(&record).await.is_ok() {}
    })
    .await;
    let hangs_up = Plain::each(|stream| async move { drop(stream) }).await;
    let fails = Plain::each(|mut stream| async move {
        let mut octets = [0; 4096];
        let _ = stream.read(&mut octets).await;
        let _ = stream.write_all(&[0x15, 3, 3, 0, 2, 2, 40]).await;
    })
    .await;
    let dead = support::ports::free_port();
    for (what, port, verdict, words) in [
        ("a client's certificate, TLS 1.2", wants[0].1, Verdict::Ok, "wants a certificate of its client"),
        ("a client's certificate, TLS 1.3", wants[1].1, Verdict::Ok, "wants a certificate of its client"),
        ("legacy TLS", legacy.1, Verdict::TlsUnsupported, "TLS 1.2"),
        ("no certificate for the name", alert, Verdict::NoCertAlert, "112"),
        ("a failure", fails.port, Verdict::NoCertAlert, "40"),
        ("plain HTTP", plain, Verdict::NotTls, "plain HTTP"),
        ("garbage", garbage.port, Verdict::NotTls, "no TLS"),
        ("garbage in records", endless.port, Verdict::NotTls, "no TLS"),
        ("hung up", hangs_up.port, Verdict::NotTls, "hung up"),
        ("silence", silent.port, Verdict::TcpTimeout, "did not answer"),
        ("nobody", dead, Verdict::TcpRefused, "nothing listens"),
    ] {
        let sight = world.one(&target("a.corp.lan", port), now()).await;
        assert_eq!(sight.served.verdict, verdict, "{what}: {sight:?}");
        assert!(sight.served.detail.contains(words), "{what}: {sight:?}");
    }
    let unknown = world.one(&target("nobody.example", four), now()).await;
    assert_eq!((unknown.served.verdict, unknown.served.address), (Verdict::DnsFail, None), "{unknown:?}");
    let loopback = Target::new(Identifier::ip("127.0.0.1").unwrap(), four);
    let vetted = world.one(&loopback, now()).await;
    assert_eq!(
        vetted.served.verdict,
        Verdict::ProbeError,
        "nobody said that loopback may be dialled: {vetted:?}"
    );
    let meant = Target { connect: vec!["127.0.0.1".parse().unwrap()], ..loopback };
    assert_eq!(
        world.one(&meant, now()).await.served.verdict,
        Verdict::SanMismatch,
        "an address is asked for"
    );
    let elsewhere = Target { sni: DnsName::parse("a.corp.lan").ok(), ..meant };
    let sight = world.one(&elsewhere, now()).await;
    assert_eq!(
        (sight.served.verdict, sight.served.target.as_str()),
        (Verdict::Ok, &*format!("127.0.0.1:{four}#a.corp.lan"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_disagree_are_each_told_and_the_target_too() {
    let world = World::new().await;
    let (_, old) = world.issue("old", &["split.corp.lan"]).await;
    let (_, new) = world.issue("new", &["split.corp.lan"]).await;
    let port = support::ports::free_port();
    let six = block(port, &old).replace("127.0.0.1", "[::1]");
    let _nginx = Nginx::many(&world.ca, &[block(port, &new), six], port).await;
    let split = target("split.corp.lan", port);
    let verdicts = |sights: &[Sight]| -> Vec<(Option<IpAddr>, Verdict)> {
        sights.iter().map(|sight| (sight.served.address.map(|it| it.ip()), sight.served.verdict)).collect()
    };
    let (four, six) = ("127.0.0.1".parse().ok(), "::1".parse().ok());
    let soon = world.look(&split, now()).await;
    assert_eq!(verdicts(&soon), [(six, Verdict::OkPrevious), (four, Verdict::Ok)], "a reload is under way");
    let late = world.look(&split, now().plus(days(5))).await;
    let expected = [(six, Verdict::StaleNotReloaded), (four, Verdict::Ok), (None, Verdict::MixedBackends)];
    assert_eq!(verdicts(&late), expected);
    assert!(late[2].served.detail.contains("::1 stale_not_reloaded"), "{late:?}");

    // Kept, and continued by the next pass.
    keep(&world.store, &[(split.clone(), late.clone())], Some(std::slice::from_ref(&split))).await.unwrap();
    let again = world.look(&split, now().plus(days(5)).plus(Duration::from_secs(60))).await;
    keep(&world.store, &[(split.clone(), again)], Some(std::slice::from_ref(&split))).await.unwrap();
    let kept = world.store.observations_of("split.corp.lan").await.unwrap();
    assert_eq!(kept.len(), 3);
    assert!(kept.iter().all(|row| row.served.samples == 2 && row.served.since < row.served.at), "{kept:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_leads_elsewhere_than_when_it_was_validated_is_told() {
    let world = World::new().await;
    world.issue("a", &["a.corp.lan"]).await;
    let dead = support::ports::free_port();
    let settings = Settings {
        pins: BTreeMap::from([("a.corp.lan".to_owned(), vec!["127.0.0.2".parse().unwrap()])]),
        ..Settings::default()
    };
    let resolver = Arc::new(Resolver::new(settings, rustls::RootCertStore::empty()).unwrap());
    let prober = Prober::new(resolver, Targets::new(None), Duration::from_secs(2));
    let lookout =
        Lookout::new(prober, vec![], Public::known(), Thresholds::default(), &world.store).await.unwrap();
    let directory = Directory::read(&world.store).await.unwrap();
    let sights = lookout.look(&world.store, &directory, &target("a.corp.lan", dead), now()).await.unwrap();
    let verdicts: Vec<Verdict> = sights.iter().map(|sight| sight.served.verdict).collect();
    assert_eq!(verdicts, [Verdict::TcpRefused, Verdict::AddressDrift], "{sights:?}");
    assert!(sights[1].served.detail.contains("led to 127.0.0.1"), "{sights:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_protocol_that_begins_in_the_clear_is_spoken() {
    let world = World::new().await;
    let (_, (chain, key)) = world.issue("mail", &["mail.corp.lan"]).await;
    for protocol in Starttls::ALL {
        let word = protocol.as_str();
        let place = |port| Target { starttls: Some(*protocol), ..target("mail.corp.lan", port) };
        let server = Plain::start(word, Manner::Grants, &chain, &key).await;
        let sight = world.one(&place(server.port), now()).await;
        assert_eq!(sight.served.verdict, Verdict::Ok, "{word}: {sight:?}");
        for manner in [Manner::HasNone, Manner::Refuses] {
            let server = Plain::start(word, manner, &chain, &key).await;
            let sight = world.one(&place(server.port), now()).await;
            assert_eq!(sight.served.verdict, Verdict::StarttlsRefused, "{word} {manner:?}: {sight:?}");
        }
        // Without being asked to, it answers our greeting in its own way, or waits for a better one.
        let sight = world.one(&target("mail.corp.lan", server.port), now()).await;
        assert!(matches!(sight.served.verdict, Verdict::NotTls | Verdict::TcpTimeout), "{word}: {sight:?}");
        // Another protocol, and no end of it.
        let stranger =
            Plain::each(|mut stream| async move { while stream.write_all(&[b'x'; 4096]).await.is_ok() {} })
                .await;
        let sight = world.one(&place(stranger.port), now()).await;
        assert_eq!(sight.served.verdict, Verdict::NotTls, "{word}: {sight:?}");
        let hangs_up = Plain::each(|stream| async move { drop(stream) }).await;
        let sight = world.one(&place(hangs_up.port), now()).await;
        assert_eq!(sight.served.verdict, Verdict::NotTls, "{word}: {sight:?}");
    }
    // What is sent before TLS begins is no part of it.
    let hasty = Plain::each(|mut stream| async move {
        let _ = stream.write_all(b"220 mail.corp.lan\r\n").await;
        let mut octets = [0; 64];
        let _ = stream.read(&mut octets).await;
        let _ = stream.write_all(b"250 STARTTLS\r\n").await;
        let _ = stream.read(&mut octets).await;
        let _ = stream.write_all(b"220 go\r\n250 more\r\n").await;
        while stream.read(&mut octets).await.is_ok_and(|read| read > 0) {}
    })
    .await;
    let smtp = Target { starttls: Some(Starttls::Smtp), ..target("mail.corp.lan", hasty.port) };
    assert_eq!(world.one(&smtp, now()).await.served.verdict, Verdict::NotTls);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_postgresql_shows_its_certificate() {
    let world = World::new().await;
    let (_, (chain, key)) = world.issue("db", &["db.corp.lan"]).await;
    // Its user must reach it.
    let dir = tempfile::Builder::new().prefix("acme-ca-test-pg-").tempdir().unwrap();
    let open = |path: &Path| {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    open(dir.path());
    let cluster = dir.path().join("cluster");
    let port = support::ports::free_port();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/postgres");
    let mut start = Command::new(&script);
    start.arg("start").arg(&cluster).arg(port.to_string()).stdin(Stdio::null());
    let started = run(start).await;
    assert!(started.status.success(), "{}", text(&started));
    let url = String::from_utf8(started.stdout).unwrap().trim().to_owned();
    let stop = Stop(script, cluster.clone());

    let place = Target { starttls: Some(Starttls::Postgres), ..target("db.corp.lan", port) };
    let off = world.one(&place, now()).await;
    assert_eq!(off.served.verdict, Verdict::StarttlsRefused, "{off:?}");

    let data = cluster.join("data");
    for (from, to) in [(&chain, "server.crt"), (&key, "server.key")] {
        let to = data.join(to);
        std::fs::copy(from, &to).unwrap();
        let owned = Command::new("chown").arg("--reference").arg(&data).arg(&to).status().unwrap();
        let closed = Command::new("chmod").arg("600").arg(&to).status().unwrap();
        assert!(owned.success() && closed.success());
    }
    let mut psql = program("psql", "postgresql");
    psql.arg(&url).args(["-qc", "ALTER SYSTEM SET ssl = on", "-c", "SELECT pg_reload_conf()"]);
    let done = run(psql).await;
    assert!(done.status.success(), "{}", text(&done));
    let deadline = Instant::now() + PATIENCE;
    loop {
        let sight = world.one(&place, now()).await;
        if sight.served.verdict == Verdict::Ok {
            break;
        }
        assert!(Instant::now() < deadline, "{sight:?}");
        tokio::time::sleep(POLL).await;
    }
    drop(stop);
}

/// Stops a cluster.
struct Stop(PathBuf, PathBuf);

impl Drop for Stop {
    fn drop(&mut self) {
        let _ = Command::new(&self.0).arg("stop").arg(&self.1).stdout(Stdio::null()).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_sees_every_name_and_keeps_what_it_saw() {
    let world = World::new().await;
    let port = support::ports::free_port();
    let names: Vec<String> = (0..12).map(|n| format!("n{n}.corp.lan")).collect();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    let (_, pair) = world.issue("many", &all).await;
    let _nginx = Nginx::many(&world.ca, &[block(port, &pair)], port).await;
    world.ca.configure(&format!(
        "[probe]\nport = {port}\nskip = [\"n11.corp.lan\"]\n[[probe.target]]\nhost = \"n0.corp.lan\"\nport = {port}\nowner = \"infra\""
    ));
    let settings = Config::load(&world.ca.config()).unwrap().probe;
    let directory = Arc::new(Directory::read(&world.store).await.unwrap());
    let targets = directory.targets(&settings, now());
    let own = format!("localhost:{}", world.ca.port);
    assert_eq!(targets.len(), 12, "eleven names and ourselves: {targets:?}");
    assert!(targets.iter().any(|target| target.key() == own));

    let lookout = world.lookout().await;
    let pace = Pace { concurrency: 8, spread: Duration::from_millis(200), seed: 7 };
    let seen = lookout.pass(&world.store, &directory, &targets, pace, &Clock::System).await.unwrap();
    assert_eq!(seen.len(), 12);
    let wrong: Vec<_> =
        seen.iter().flat_map(|(_, sights)| sights).filter(|it| it.served.verdict != Verdict::Ok).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    keep(&world.store, &seen, Some(&targets)).await.unwrap();
    let kept = world.store.observations(None, 100).await.unwrap();
    assert_eq!(kept.len(), 12);
    let looked = kept.iter().map(|row| (row.served.target.clone(), row.served.at)).collect();
    assert!(due(&targets, &looked, settings.interval, now()).is_empty());
    assert_eq!(due(&targets, &looked, settings.interval, now().plus(settings.interval)).len(), 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_is_told_in_a_table_in_json_and_by_the_exit_status() {
    let world = World::new().await;
    let (issued, ours) = world.issue("a", &["a.corp.lan"]).await;
    let minica = Forged::alone(&Wish { subject: "CN=minica root ca 012345", is_ca: true, ..Wish::default() });
    let fallback = minica.below(&Wish {
        subject: "CN=a.corp.lan",
        names: &["a.corp.lan"],
        days: 760,
        ..Wish::default()
    });
    let fallback = world.write("fallback", &fallback, &[&minica.pem()]);
    let leaf_alone = std::fs::read_to_string(&ours.0).unwrap();
    let leaf_alone = leaf_alone.split_inclusive("-----END CERTIFICATE-----\n").next().unwrap().to_owned();
    let bare = write(&world.dir, "bare", &leaf_alone, &std::fs::read_to_string(&ours.1).unwrap());
    let [good, bad, thin, dead] = std::array::from_fn(|_| support::ports::free_port());
    let blocks = [block(good, &ours), block(bad, &fallback), block(thin, &bare)];
    let _nginx = Nginx::many(&world.ca, &blocks, good).await;
    world.ca.configure(&format!("[probe]\nport = {good}"));

    let probe = |arguments: &[&str]| {
        let done = world.ca.ctl(&[&["probe"], arguments].concat());
        (done.status.code(), text(&done))
    };
    let (status, told) = probe(&["a.corp.lan"]);
    assert_eq!(status, Some(0), "{told}");
    for part in
        ["TARGET", &format!("a.corp.lan:{good}"), "127.0.0.1", "ok", &issued.serial(), "is ours and current"]
    {
        assert!(told.contains(part), "{part}: {told}");
    }
    for (port, wanted, words) in
        [(bad, 2, "fallback_cert"), (thin, 1, "chain_incomplete"), (dead, 1, "tcp_refused")]
    {
        let (status, told) = probe(&[&format!("a.corp.lan:{port}")]);
        assert_eq!(status, Some(wanted), "{told}");
        assert!(told.contains(words), "{told}");
    }
    assert_eq!(probe(&["nobody.example"]).0, Some(1), "no address is a warning");
    assert_eq!(probe(&["*.corp.lan"]).0, Some(64));
    assert_eq!(probe(&["a.corp.lan", "--starttls", "ftp"]).0, Some(64));
    let connect = format!("b.corp.lan:{good}");
    assert_eq!(probe(&[&connect, "--sni", "a.corp.lan", "--connect", "127.0.0.1"]).0, Some(0));
    assert_eq!(probe(&[&connect]).0, Some(2), "without it the name is not covered");
    let (status, told) = probe(&["--all"]);
    assert_eq!(status, Some(0), "{told}");
    assert!(told.contains(&format!("localhost:{}", world.ca.port)), "{told}");

    let items = world.ca.ctl_items(&["probe", "a.corp.lan"]);
    assert_eq!(items.len(), 1);
    let item = &items[0];
    assert_eq!((&item["verdict"], &item["serial"]), (&"ok".into(), &issued.serial().into()), "{item}");
    assert!(
        item["severity"].is_null() && item["not_after"].is_string() && item["issuer"].is_string(),
        "{item}"
    );
    // The server looks too, by its own list; what was only asked for here is kept nowhere.
    let kept = world.store.observations(None, 100).await.unwrap();
    assert!(kept.iter().all(|row| row.served.target != format!("a.corp.lan:{bad}")), "{kept:?}");
}
