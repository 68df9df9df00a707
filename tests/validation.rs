//! HTTP-01 against real sockets on loopback: what is dialled, what is followed, what is believed, and what the evidence
//! says. No test sets HTTP_PROXY: a test cannot change its environment without `unsafe`, and nothing in `validate` or
//! `resolver` reads any variable.

#![expect(clippy::unwrap_used, reason = "what surprises a test ends it")]

mod support;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use acme::challenge::{KeyAuthorization, TOKEN_RANDOM, Token, Type};
use acme::failure::{Evidence, Failure, Phase, Reason};
use acme::identifier::Identifier;
use acme::problem::Kind;
use acme::time::Timestamp;
use acme_ca::resolver::{Resolver, Server};
use acme_ca::{resolver, validate};
use rustls::RootCertStore;
use rustls::pki_types::PrivateKeyDer;
use support::dns::{Answer, DnsServer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use validate::{Applicant, Challenge, Validator};

fn token() -> Token {
    Token::mint([7; TOKEN_RANDOM])
}

fn key_authorization() -> KeyAuthorization {
    token().key_authorization("thumbprint-of-the-account-key")
}

/// A 200 with this body.
fn ok(body: &str) -> Act {
    Act::Send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes())
}

fn good() -> Act {
    ok(key_authorization().as_str())
}

fn status(line: &str) -> Act {
    Act::Send(format!("HTTP/1.1 {line}\r\nContent-Length: 9\r\n\r\nerrorpage").into_bytes())
}

fn redirect(to: &str) -> Act {
    Act::Send(format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n").into_bytes())
}

/// What a site does when it was asked.
#[derive(Clone)]
enum Act {
    /// Sends this and closes.
    Send(Vec<u8>),
    /// Sends this and waits until the other side goes.
    Hang(Vec<u8>),
    /// Sends the first, then the second without end.
    Forever(&'static [u8], &'static [u8]),
    /// Breaks the connection.
    Reset,
}

type Behaviour = dyn Fn(&str) -> Act + Send + Sync;

/// A web server, which behaves by path and keeps what it was sent.
struct Site {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Site {
    async fn start(behaviour: impl Fn(&str) -> Act + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0", None, behaviour).await
    }

    async fn start_tls(behaviour: impl Fn(&str) -> Act + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0", Some(self_signed()), behaviour).await
    }

    async fn start_at(
        at: &str,
        tls: Option<TlsAcceptor>,
        behaviour: impl Fn(&str) -> Act + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(at).await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let behaviour: Arc<Behaviour> = Arc::new(behaviour);
        let kept = Arc::clone(&requests);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, behaviour, kept) = (tls.clone(), Arc::clone(&behaviour), Arc::clone(&kept));
                tokio::spawn(async move {
                    stream.set_nodelay(true).unwrap();
                    match tls {
                        None => {
                            if let Some((stream, Act::Reset)) = serve(stream, &*behaviour, &kept).await {
                                stream.set_zero_linger().unwrap();
                            }
                        }
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                serve(stream, &*behaviour, &kept).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, requests, task }
    }

    fn port(&self) -> u16 {
        self.address.port()
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    behaviour: &Behaviour,
    kept: &Mutex<Vec<String>>,
) -> Option<(S, Act)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let act = behaviour(head.split(' ').nth(1).unwrap());
    kept.lock().unwrap().push(head);
    match &act {
        Act::Send(bytes) => {
            stream.write_all(bytes).await.ok()?;
            stream.shutdown().await.ok()?;
        }
        Act::Hang(bytes) => {
            stream.write_all(bytes).await.ok()?;
            stream.flush().await.ok()?;
            while stream.read_u8().await.is_ok() {}
        }
        Act::Forever(head, more) => {
            stream.write_all(head).await.ok()?;
            while stream.write_all(more).await.is_ok() {}
        }
        Act::Reset => {}
    }
    Some((stream, act))
}

fn self_signed() -> TlsAcceptor {
    let made = rcgen::generate_simple_self_signed(vec!["fallback.invalid".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// What a validator is made of in these tests.
struct World {
    pins: BTreeMap<String, Vec<IpAddr>>,
    dns: Option<SocketAddr>,
    settings: validate::Settings,
}

/// Names below `lan` are pinned to 127.0.0.1, and HTTP-01 asks at this port.
fn pinned(port: u16) -> World {
    let mut world = World { pins: BTreeMap::new(), dns: None, settings: validate::Settings::default() };
    world.pins.insert("*.lan".to_owned(), vec!["127.0.0.1".parse().unwrap()]);
    world.settings.http_port = port;
    world
}

/// Names are asked for, and loopback may be dialled.
fn resolved(dns: &DnsServer, port: u16) -> World {
    let mut world = pinned(port);
    world.pins.clear();
    world.dns = Some(dns.address());
    world.settings.allow_networks = Some(vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]);
    world
}

impl World {
    async fn validate(&self, name: &str) -> Result<Evidence, Failure> {
        let identifier = match name.parse::<IpAddr>() {
            Ok(_) => Identifier::ip(name).unwrap(),
            Err(_) => Identifier::dns(name).unwrap(),
        };
        let settings = resolver::Settings {
            servers: self.dns.iter().map(|at| Server::parse(&at.to_string()).unwrap()).collect(),
            timeout: Duration::from_secs(5),
            pins: self.pins.clone(),
            zones: Vec::new(),
        };
        let resolver = Resolver::new(settings, RootCertStore::empty()).unwrap();
        let validator = Validator::new(self.settings.clone(), Arc::new(resolver));
        let (token, expected, applicant) = (token(), key_authorization(), Applicant::default());
        let challenge = Challenge {
            kind: Type::Http01,
            identifier: &identifier,
            wildcard: false,
            token: &token,
            expected: &expected,
            applicant: &applicant,
            now: Timestamp::EPOCH,
        };
        let result = validator.attempt(&challenge).await.map(|proof| proof.evidence);
        // Whatever happens, the secret is nowhere.
        let said = format!("{result:?}");
        assert!(!said.contains(key_authorization().as_str()), "{said}");
        result
    }

    async fn fails(&self, name: &str) -> Failure {
        self.validate(name).await.expect_err("the validation must fail")
    }

    fn hasty(mut self) -> Self {
        self.settings.hop_timeout = Duration::from_millis(300);
        self
    }
}

fn assert_ended(failure: &Failure, phase: Phase, reason: Reason) {
    assert_eq!((failure.phase, failure.reason), (phase, reason), "{failure}");
}

#[tokio::test]
async fn a_target_that_shows_the_key_authorization_is_believed() {
    let site = Site::start(|_| good()).await;
    let evidence = pinned(site.port()).validate("vault.lan").await.unwrap();
    assert_eq!(evidence.lookups[0].server, "pin");
    let [dial] = evidence.dials.as_slice() else { panic!("{evidence:?}") };
    assert_eq!((dial.address, dial.status, &dial.error), (site.address, Some(200), &None));
    let port = site.port();
    assert_eq!(dial.url, format!("http://vault.lan:{port}/.well-known/acme-challenge/{}", token().as_str()));
    let request = format!(
        "GET /.well-known/acme-challenge/{} HTTP/1.1\r\nhost: vault.lan:{port}\r\nuser-agent: acme-ca/{} (HTTP-01 \
         validation)\r\naccept: */*\r\nconnection: close\r\n\r\n",
        token().as_str(),
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(site.requests(), [request]);
}

#[tokio::test]
async fn white_space_at_the_end_does_not_count_and_anything_else_does() {
    let body = key_authorization().as_str().to_owned();
    for tail in ["\n", "\r\n", " \t\r\n\r\n"] {
        let body = format!("{body}{tail}");
        let site = Site::start(move |_| ok(&body)).await;
        assert!(pinned(site.port()).validate("vault.lan").await.is_ok(), "{tail:?}");
    }
    for body in [format!("{body}x"), format!(" {body}"), format!("{body}{}", " ".repeat(1024))] {
        let site = Site::start(move |_| ok(&body)).await;
        let failure = pinned(site.port()).fails("vault.lan").await;
        assert_ended(&failure, Phase::Http, Reason::Mismatch);
    }
}

#[tokio::test]
async fn a_wrong_body_is_a_definite_no_that_shows_how_it_began() {
    let site = Site::start(|_| ok("<html><h1>Welcome to nginx!</h1>")).await;
    let failure = pinned(site.port()).fails("vault.lan").await;
    assert_ended(&failure, Phase::Http, Reason::Mismatch);
    assert!(!failure.is_transient());
    assert_eq!(failure.first_bytes.as_deref(), Some("<html><h1>Welcome to nginx!</h1>"));
    assert!(failure.detail.contains(&format!("http://vault.lan:{}/.well-known", site.port())), "{failure}");
    assert!(failure.detail.contains(&format!("at {}", site.address)), "{failure}");
    assert_eq!(failure.to_problem().kind, Kind::IncorrectResponse);
}

#[tokio::test]
async fn a_page_with_colours_and_a_picture_show_how_they_began() {
    for (body, began) in [
        (&b"\x1b[31m404\x1b[0m page not found"[..], "[31m404 [0m page not found"),
        (b"\x89PNG\r\n\x1a\n", "\u{fffd}PNG"),
    ] {
        let head = format!("HTTP/1.1 404 Not Found\r\nContent-Length: {}\r\n\r\n", body.len());
        let answer = [head.as_bytes(), body].concat();
        let site = Site::start(move |_| Act::Send(answer.clone())).await;
        let failure = pinned(site.port()).fails("vault.lan").await;
        assert_ended(&failure, Phase::Http, Reason::Status);
        assert_eq!(failure.first_bytes.as_deref(), Some(began));
        assert!(failure.to_string().ends_with(&format!("; it began with '{began}'")), "{failure}");
    }
}

#[tokio::test]
async fn the_thumbprint_of_another_account_is_told_without_repeating_it() {
    let foreign = token().key_authorization("another-account");
    let body = foreign.as_str().to_owned();
    let site = Site::start(move |_| ok(&body)).await;
    let failure = pinned(site.port()).fails("vault.lan").await;
    assert_ended(&failure, Phase::Http, Reason::Mismatch);
    assert!(failure.detail.contains("another account"), "{failure}");
    assert!(!format!("{failure:?}").contains("another-account"), "{failure:?}");
}

#[tokio::test]
async fn a_status_other_than_200_is_told_with_its_page() {
    for (line, transient) in
        [("404 Not Found", false), ("500 Oops", true), ("503 Busy", true), ("204 Nothing", false)]
    {
        let site = Site::start(move |_| status(line)).await;
        let failure = pinned(site.port()).fails("vault.lan").await;
        assert_ended(&failure, Phase::Http, Reason::Status);
        assert_eq!(failure.is_transient(), transient, "{line}");
        assert_eq!(failure.status(), line[..3].parse().ok());
        assert!(failure.detail.contains(&line[..3]), "{failure}");
        if line != "204 Nothing" {
            assert_eq!(failure.first_bytes.as_deref(), Some("errorpage"));
        }
    }
}

#[tokio::test]
async fn a_key_authorization_on_an_error_page_proves_nothing() {
    let body = key_authorization().as_str().to_owned();
    let site = Site::start(move |_| {
        Act::Send(
            format!("HTTP/1.1 404 Not Found\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes(),
        )
    });
    assert_ended(&pinned(site.await.port()).fails("vault.lan").await, Phase::Http, Reason::Status);
}

#[tokio::test]
async fn an_endless_body_is_read_to_1_kib_and_judged() {
    let site = Site::start(|_| Act::Forever(b"HTTP/1.1 200 OK\r\n\r\n", b"all work and no play ")).await;
    let failure = pinned(site.port()).fails("vault.lan").await;
    assert_ended(&failure, Phase::Http, Reason::Mismatch);
    assert!(failure.detail.contains("more than 1024 octets"), "{failure}");
}

#[tokio::test]
async fn endless_headers_are_cut_off() {
    let site = Site::start(|_| Act::Forever(b"HTTP/1.1 200 OK\r\n", b"X-More: and more\r\n")).await;
    let failure = pinned(site.port()).fails("vault.lan").await;
    assert_ended(&failure, Phase::Http, Reason::Malformed);
    let site = Site::start(|_| Act::Forever(b"HTTP/1.1 200 OK\r\nX-Long: ", b"aaaaaaaaaaaaaaaa")).await;
    let failure = pinned(site.port()).fails("vault.lan").await;
    assert_ended(&failure, Phase::Http, Reason::Malformed);
    assert!(failure.detail.contains("16 KiB"), "{failure}");
}

#[tokio::test]
async fn a_body_that_never_ends_and_an_answer_that_never_comes_end_with_the_hop() {
    for (sent, words) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\npart", "answered 200, but its body did not end"),
        ("", "did not answer"),
        ("HTTP/1.1 200 OK\r\nX-Half", "did not answer"),
        // Interim answers do not count as an answer.
        ("HTTP/1.1 103 Early Hints\r\n\r\n", "did not answer"),
    ] {
        let site = Site::start(move |_| Act::Hang(sent.as_bytes().to_vec())).await;
        let begun = Instant::now();
        let failure = pinned(site.port()).hasty().fails("vault.lan").await;
        assert_ended(&failure, Phase::Http, Reason::Timeout);
        assert!(failure.is_transient() && failure.detail.contains(words), "{failure}");
        assert!(begun.elapsed() < Duration::from_secs(5));
        assert!(failure.evidence.dials[0].error.is_some());
    }
}

#[tokio::test]
async fn all_hops_together_end_with_the_attempt() {
    let site = Site::start(|_| Act::Hang(Vec::new())).await;
    let mut world = pinned(site.port());
    world.settings.total_timeout = Duration::from_millis(300);
    let begun = Instant::now();
    assert_ended(&world.fails("vault.lan").await, Phase::Http, Reason::Timeout);
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn what_is_not_http_is_told_so() {
    for sent in ["SSH-2.0-OpenSSH_10.0\r\n", "\x15\x03\x01\x00\x02\x02\x46", "HTTP/9.9 200 OK\r\n\r\n"] {
        let site = Site::start(move |_| Act::Send(sent.as_bytes().to_vec())).await;
        let failure = pinned(site.port()).fails("vault.lan").await;
        assert_ended(&failure, Phase::Http, Reason::Malformed);
        assert!(failure.detail.contains("not HTTP"), "{failure}");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_may_be_tried_again() {
    let half = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\npart".to_vec();
    for act in [Act::Reset, Act::Send(Vec::new()), Act::Send(half)] {
        let site = Site::start(move |_| act.clone()).await;
        let failure = pinned(site.port()).fails("vault.lan").await;
        assert_ended(&failure, Phase::Http, Reason::Reset);
        assert!(failure.is_transient());
    }
}

#[tokio::test]
async fn a_closed_port_is_told_with_its_address() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let failure = pinned(port).fails("vault.lan").await;
    assert_ended(&failure, Phase::Connect, Reason::Refused);
    assert!(failure.detail.contains(&format!("127.0.0.1:{port} refused the connection")), "{failure}");
    assert_eq!(failure.to_problem().kind, Kind::Connection);
    assert_eq!(failure.evidence.dials.len(), 1);
}

#[tokio::test]
async fn dead_addresses_are_passed_over_ipv6_first_and_each_is_recorded() {
    let site = Site::start(|_| good()).await;
    let dns = DnsServer::start().await;
    dns.set("vault.lan", Answer::addresses(&["127.0.0.9", "127.0.0.1", "::1"]));
    let evidence = resolved(&dns, site.port()).validate("vault.lan").await.unwrap();
    let dialled: Vec<_> =
        evidence.dials.iter().map(|d| (d.address.ip().to_string(), d.error.is_some())).collect();
    let wanted = [("::1", true), ("127.0.0.9", true), ("127.0.0.1", false)];
    assert_eq!(dialled, wanted.map(|(ip, dead)| (ip.to_owned(), dead)));
    assert_eq!(evidence.lookups.len(), 2);
}

#[tokio::test]
async fn no_more_than_eight_addresses_are_dialled() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let dns = DnsServer::start().await;
    dns.set("vault.lan", Answer::Addresses((1..=12).map(|i| IpAddr::from([127, 0, 1, i])).collect()));
    let failure = resolved(&dns, port).fails("vault.lan").await;
    assert_ended(&failure, Phase::Connect, Reason::Refused);
    assert_eq!(failure.evidence.dials.len(), 8);
}

#[tokio::test]
async fn a_failed_look_up_is_the_failure() {
    let dns = DnsServer::start().await;
    dns.set("gone.lan", Answer::NxDomain);
    dns.set("sick.lan", Answer::ServFail);
    let world = resolved(&dns, 80);
    let failure = world.fails("gone.lan").await;
    assert_ended(&failure, Phase::Dns, Reason::Nxdomain);
    assert!(!failure.is_transient());
    assert_eq!(failure.to_problem().kind, Kind::Dns);
    let failure = world.fails("sick.lan").await;
    assert_ended(&failure, Phase::Dns, Reason::Servfail);
    assert!(failure.is_transient() && failure.to_string().contains(&dns.address().to_string()), "{failure}");
    assert_eq!(failure.evidence.lookups.len(), 2);
}

#[tokio::test]
async fn forbidden_addresses_are_not_dialled() {
    let site = Site::start(|_| good()).await;
    let dns = DnsServer::start().await;
    let mut world = resolved(&dns, site.port());
    world.settings.allow_networks = None;
    for address in ["127.0.0.1", "::ffff:127.0.0.1", "169.254.169.254", "::1", "0.0.0.0", "64:ff9b::7f00:1"] {
        dns.set("vault.lan", Answer::addresses(&[address]));
        let failure = world.fails("vault.lan").await;
        assert_ended(&failure, Phase::Target, Reason::Forbidden);
        assert!(failure.detail.contains(address) && failure.detail.contains("allow_networks"), "{failure}");
        assert!(failure.evidence.dials.is_empty() && !failure.evidence.lookups.is_empty());
    }
    assert_ended(&world.fails("127.0.0.1").await, Phase::Target, Reason::Forbidden);
    assert!(site.requests().is_empty());
}

#[tokio::test]
async fn only_the_allowed_of_several_addresses_is_dialled() {
    let site = Site::start(|_| good()).await;
    let dns = DnsServer::start().await;
    dns.set("vault.lan", Answer::addresses(&["169.254.169.254", "127.0.0.9", "127.0.0.1"]));
    let mut world = resolved(&dns, site.port());
    world.settings.allow_networks = Some(vec!["127.0.0.1/32".parse().unwrap()]);
    let evidence = world.validate("vault.lan").await.unwrap();
    assert_eq!(evidence.dials.len(), 1);
}

#[tokio::test]
async fn an_address_is_validated_as_itself() {
    let site = Site::start(|_| good()).await;
    let dns = DnsServer::start().await;
    let evidence = resolved(&dns, site.port()).validate("127.0.0.1").await.unwrap();
    assert_eq!((evidence.lookups[0].server.as_str(), dns.queries()), ("literal", 0));
    assert!(site.requests()[0].contains(&format!("host: {}\r\n", site.address)));
    let site = Site::start_at("[::1]:0", None, |_| good()).await;
    resolved(&dns, site.port()).validate("::1").await.unwrap();
    assert!(
        site.requests()[0].contains(&format!("host: [::1]:{}\r\n", site.port())),
        "{:?}",
        site.requests()
    );
}

#[tokio::test]
async fn a_wildcard_is_not_shown_by_http() {
    assert_ended(&pinned(80).fails("*.vault.lan").await, Phase::Target, Reason::Forbidden);
}

#[tokio::test]
async fn redirects_are_followed_ten_times_and_no_more() {
    for (hops, follows) in [(10, true), (11, false)] {
        let site = Site::start(move |path| match path.strip_prefix("/hop") {
            None => redirect("/hop1"),
            Some(n) if n == hops.to_string() => good(),
            Some(n) => redirect(&format!("hop{}", n.parse::<u32>().unwrap() + 1)),
        });
        let result = pinned(site.await.port()).validate("vault.lan").await;
        assert_eq!(result.is_ok(), follows, "{result:?}");
        match result {
            Ok(evidence) => assert_eq!(evidence.dials.len(), 11),
            Err(failure) => {
                assert_ended(&failure, Phase::Http, Reason::Redirect);
                assert!(failure.detail.contains("more than 10"), "{failure}");
            }
        }
    }
}

#[tokio::test]
async fn each_kind_of_redirect_is_followed_and_other_statuses_are_not() {
    for (code, follows) in [
        (301, true),
        (302, true),
        (303, true),
        (307, true),
        (308, true),
        (300, false),
        (304, false),
        (305, false),
    ] {
        let site = Site::start(move |path| match path {
            "/there" => good(),
            _ => Act::Send(
                format!("HTTP/1.1 {code} X\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n").into_bytes(),
            ),
        });
        let result = pinned(site.await.port()).validate("vault.lan").await;
        assert_eq!(result.is_ok(), follows, "{code}: {result:?}");
    }
}

#[tokio::test]
async fn a_circle_is_seen() {
    let site = Site::start(|path| if path == "/b" { redirect("/a") } else { redirect("/b") }).await;
    let failure = pinned(site.port()).fails("vault.lan").await;
    assert_ended(&failure, Phase::Http, Reason::Redirect);
    assert!(failure.detail.contains("circle"), "{failure}");
    assert!(!failure.is_transient());
    assert_eq!(failure.evidence.dials.len(), 3);
}

#[tokio::test]
async fn redirects_that_lead_astray_are_refused_before_anything_is_dialled() {
    for (to, phase, reason, words) in [
        ("http://127.0.0.1/", Phase::Target, Reason::Forbidden, "127.0.0.1 is loopback"),
        ("http://127.1/", Phase::Http, Reason::Redirect, "number"),
        ("http://vault.lan:22/", Phase::Http, Reason::Redirect, "port 22"),
        ("gopher://vault.lan/", Phase::Http, Reason::Redirect, "http and https"),
        ("http://user:pass@vault.lan/", Phase::Http, Reason::Redirect, "user"),
        ("", Phase::Http, Reason::Redirect, "empty"),
    ] {
        let site = Site::start(move |_| redirect(to)).await;
        let failure = pinned(site.port()).fails("vault.lan").await;
        assert_ended(&failure, phase, reason);
        assert!(failure.detail.contains(words), "{to}: {failure}");
        assert_eq!(failure.evidence.dials.len(), 1, "{to}");
    }
}

#[tokio::test]
async fn a_port_that_is_not_followed_is_told_with_those_that_are() {
    let site = Site::start(|_| redirect("http://vault.lan:8080/")).await;
    let mut world = pinned(site.port());
    world.settings.tls_alpn_port = 444;
    let failure = world.fails("vault.lan").await;
    let words = format!("it redirects to port 8080; only 80, 443, 444 and {} are followed", site.port());
    assert!(failure.detail.ends_with(&words), "{failure}");
}

#[tokio::test]
async fn a_redirect_to_an_address_is_vetted() {
    let dns = DnsServer::start().await;
    dns.set_default(Answer::addresses(&["127.0.0.1"]));
    for (to, words) in [
        ("http://169.254.169.254/latest/meta-data/", "169.254.169.254 is link-local"),
        ("http://[::ffff:169.254.169.254]/", "is link-local"),
        ("http://[fe80::1]/", "fe80::1 is link-local"),
    ] {
        let site = Site::start(move |_| redirect(to)).await;
        let failure = resolved(&dns, site.port()).fails("vault.example").await;
        assert_ended(&failure, Phase::Target, Reason::Forbidden);
        assert!(failure.detail.contains(words), "{to}: {failure}");
        assert_eq!(failure.evidence.dials.len(), 1, "{to}");
    }
}

#[tokio::test]
async fn from_a_pinned_name_no_address_is_reached_that_is_not_pinned() {
    let next = Arc::new(Mutex::new(String::new()));
    let to = Arc::clone(&next);
    let site =
        Site::start(move |path| if path == "/end" { good() } else { redirect(&to.lock().unwrap()) }).await;
    let dns = DnsServer::start().await;
    dns.set_default(Answer::addresses(&["127.0.0.1"]));
    let mut world = resolved(&dns, site.port());
    world.pins.insert("ca.mgmt.lan".to_owned(), vec!["127.0.0.1".parse().unwrap()]);

    *next.lock().unwrap() = format!("http://127.0.0.1:{}/end", site.port());
    assert!(world.validate("ca.mgmt.lan").await.is_ok(), "the address of the pin");
    for elsewhere in ["127.0.0.2", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254"] {
        *next.lock().unwrap() = format!("http://{elsewhere}:{}/end", site.port());
        let failure = world.fails("ca.mgmt.lan").await;
        assert_ended(&failure, Phase::Target, Reason::Redirect);
        assert!(failure.detail.contains("ca.mgmt.lan") && failure.detail.contains(elsewhere), "{failure}");
        assert_eq!(failure.evidence.dials.len(), 1, "{elsewhere}");
    }
    *next.lock().unwrap() = format!("http://www.mgmt.lan:{}/end", site.port());
    assert!(world.validate("ca.mgmt.lan").await.is_ok(), "a name of its zone");
    *next.lock().unwrap() = format!("http://127.0.0.1:{}/end", site.port());
    assert!(world.validate("open.example").await.is_ok(), "an unpinned name may redirect to an address");
}

#[tokio::test]
async fn each_hop_is_vetted_anew() {
    let port_of_site = Arc::new(Mutex::new(0));
    let port = Arc::clone(&port_of_site);
    let site =
        Site::start(move |_| redirect(&format!("http://inside.example:{}/", port.lock().unwrap()))).await;
    *port_of_site.lock().unwrap() = site.port();
    let dns = DnsServer::start().await;
    dns.set("vault.example", Answer::addresses(&["127.0.0.1"]));
    dns.set("inside.example", Answer::addresses(&["169.254.169.254"]));
    let failure = resolved(&dns, site.port()).fails("vault.example").await;
    assert_ended(&failure, Phase::Target, Reason::Forbidden);
    assert_eq!(failure.evidence.dials.len(), 1);
    assert_eq!(failure.evidence.lookups.len(), 4);
}

#[tokio::test]
async fn from_a_pinned_name_only_pinned_names_and_its_zone_are_reached() {
    let next = Arc::new(Mutex::new(String::new()));
    let to = Arc::clone(&next);
    let site =
        Site::start(move |path| if path == "/end" { good() } else { redirect(&to.lock().unwrap()) }).await;
    let dns = DnsServer::start().await;
    dns.set_default(Answer::addresses(&["127.0.0.1"]));
    let mut world = resolved(&dns, site.port());
    for name in ["ca.mgmt.lan", "far.example"] {
        world.pins.insert(name.to_owned(), vec!["127.0.0.1".parse().unwrap()]);
    }
    for (host, follows) in
        [("www.mgmt.lan", true), ("far.example", true), ("www.far.example", false), ("lan", false)]
    {
        *next.lock().unwrap() = format!("http://{host}:{}/end", site.port());
        let result = world.validate("ca.mgmt.lan").await;
        assert_eq!(result.is_ok(), follows, "{host}: {result:?}");
        if let Err(failure) = result {
            assert_ended(&failure, Phase::Target, Reason::Redirect);
            assert!(failure.detail.contains("ca.mgmt.lan") && failure.detail.contains(host), "{failure}");
        }
    }
    *next.lock().unwrap() = format!("http://anywhere.example:{}/end", site.port());
    assert!(world.validate("open.example").await.is_ok(), "an unpinned name may redirect to another");
}

#[tokio::test]
async fn a_redirect_to_https_takes_any_certificate() {
    let secure = Site::start_tls(|_| good()).await;
    let to = format!("https://www.lan:{}/x?y=1", secure.port());
    let site = Site::start(move |_| redirect(&to)).await;
    let mut world = pinned(site.port());
    world.settings.tls_alpn_port = secure.port();
    let evidence = world.validate("vault.lan").await.unwrap();
    assert_eq!(evidence.dials.iter().map(|dial| dial.status).collect::<Vec<_>>(), [Some(302), Some(200)]);
    assert!(secure.requests()[0].starts_with("GET /x?y=1 HTTP/1.1\r\n"));
}

#[tokio::test]
async fn a_server_that_cannot_speak_tls_is_told_so() {
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = plain.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        while let Ok((mut stream, _)) = plain.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            let _ = stream.shutdown().await;
        }
    });
    let to = format!("https://vault.lan:{port}/");
    let site = Site::start(move |_| redirect(&to)).await;
    let mut world = pinned(site.port());
    world.settings.tls_alpn_port = port;
    let failure = world.fails("vault.lan").await;
    assert_ended(&failure, Phase::Tls, Reason::Tls);
    assert_eq!(failure.to_problem().kind, Kind::Tls);
    task.abort();
}

#[tokio::test]
async fn a_tls_handshake_that_stalls_ends_with_the_hop() {
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = mute.local_addr().unwrap().port();
    let to = format!("https://vault.lan:{port}/");
    let site = Site::start(move |_| redirect(&to)).await;
    let mut world = pinned(site.port()).hasty();
    world.settings.tls_alpn_port = port;
    let failure = world.fails("vault.lan").await;
    assert_ended(&failure, Phase::Tls, Reason::Timeout);
    drop(mute);
}

#[tokio::test]
async fn an_alias_of_a_pinned_name_leads_to_the_pin_but_only_to_what_may_be_dialled() {
    let site = Site::start(|_| good()).await;
    let dns = DnsServer::start().await;
    let end = Box::new(Answer::NxDomain);
    dns.set("www.example.org", Answer::Chain(vec!["vault.lan".to_owned()], end));
    let mut world = resolved(&dns, site.port());
    world.pins.insert("vault.lan".to_owned(), vec!["127.0.0.1".parse().unwrap()]);
    let evidence = world.validate("www.example.org").await.unwrap();
    assert_eq!(evidence.lookups[0].aliases, ["vault.lan"]);
    assert_eq!(evidence.lookups.last().unwrap().server, "pin");
    assert_eq!(evidence.dials[0].address, site.address);
    // The pin's own name may be dialled anywhere; whoever makes an alias of it has no such word.
    world.settings.allow_networks = None;
    world.validate("vault.lan").await.unwrap();
    let failure = world.fails("www.example.org").await;
    assert_ended(&failure, Phase::Target, Reason::Forbidden);
    assert!(failure.detail.contains("127.0.0.1 is loopback"), "{failure}");
}
