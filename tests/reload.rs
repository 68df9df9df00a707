//! SIGHUP: what is new takes effect as a whole, what cannot stand is refused and the old stays. SIGTERM: what was asked
//! is answered, and everything is in the database file.

#![allow(clippy::panic, reason = "what surprises a test ends it")]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use acme::time::Timestamp;
use acme_ca::clock::Clock;
use openssl::asn1::Asn1Time;
use openssl::x509::X509;
use serde_json::json;
use support::ca::{PATIENCE, PIN_CORP_LAN, POLL};
use support::csr::{Request, ec_key};
use support::flow::{Order, identifiers};
use support::ports::free_port;
use support::responder::Mood;
use support::{Ca, Client, Reply, Responder, oracle};
use tokio::net::TcpStream;

/// SIGHUP with a configuration that must be refused; the sentence that the log has about it.
async fn refused(ca: &Ca, pid: u32) -> String {
    let before = ca.log().len();
    hang_up(pid);
    ca.log_after(before, |log| log.contains("the new configuration is refused") && log.ends_with('\n')).await
}

#[tokio::test]
async fn a_new_pin_takes_effect_and_helps_what_waits() {
    let mut ca = Ca::new();
    ca.start().await;
    let (client, responder) = (Client::registered(&ca).await, Responder::start(ca.http_port).await);
    let order = client.new_order(&["pinned.corp.lan"]).await;
    let challenges = client.publish(&order, &responder).await;
    let answered = client.answer(&challenges[0]).await;
    assert_eq!(answered.status, 200, "{answered}");
    ca.configure(PIN_CORP_LAN);
    ca.hup().await;
    assert_eq!(client.settled(&order.url).await["status"], "ready", "what waited is tried again");
    let issued = client.issue(&["other.corp.lan"], &responder).await;
    oracle::check(&ca, &[issued.pem]).await;
}

#[tokio::test]
async fn a_configuration_that_cannot_stand_is_refused_and_the_old_one_serves() {
    let (ca, server) = serving().await;
    let (client, responder) = (Client::registered(&ca).await, Responder::start(ca.http_port).await);
    let good = fs::read(ca.config()).expect("read");
    let key = fs::read(ca.path("intermediate.key")).expect("read");
    let other = Ca::new();
    let mut held = Vec::new();
    let mut still = async |name: &str| held.push(client.issue(&[name], &responder).await.pem);

    ca.configure("[resolver]\nservrs = []");
    let log = refused(&ca, server.pid).await;
    assert!(log.contains("servrs") && log.contains("servers is the nearest"), "{log}");
    still("one.corp.lan").await;

    fs::write(ca.config(), "[server").expect("written");
    assert!(refused(&ca, server.pid).await.contains("line 1"));
    still("two.corp.lan").await;
    fs::remove_file(ca.config()).expect("removed");
    assert!(refused(&ca, server.pid).await.contains("No such file"));
    fs::write(ca.config(), &good).expect("written");

    fs::copy(other.path("intermediate.key"), ca.path("intermediate.key")).expect("copied");
    let log = refused(&ca, server.pid).await;
    assert!(log.contains("certifies another key"), "{log}");
    still("three.corp.lan").await;
    fs::write(ca.path("intermediate.key"), &key).expect("written");

    // An intermediate that could not certify the server itself.
    let elsewhere = intermediate(&ca, "elsewhere", &["--permit", "127.0.0.0/8"]);
    ca.configure(&issuers(&[&elsewhere, "intermediate"]));
    let log = refused(&ca, server.pid).await;
    assert!(log.contains("server.url") && log.contains("name constraints"), "{log}");
    still("four.corp.lan").await;
    fs::write(ca.config(), &good).expect("written");

    let before = ca.log().len();
    hang_up(server.pid);
    ca.log_after(before, |log| log.contains("reloaded")).await;
    still("five.corp.lan").await;
    assert_eq!(ca.ready().await.0, 200);
    oracle::check(&ca, &held).await;
}

#[tokio::test]
async fn what_cannot_change_while_it_runs_is_named() {
    let (ca, server) = serving().await;
    ca.configure("[server]\nplain_listen = [\"127.0.0.1:1\"]\n[store]\nurl = \"sqlite:other.db\"");
    let before = ca.log().len();
    hang_up(server.pid);
    let log = ca.log_after(before, |log| log.contains("reloaded")).await;
    for key in ["server.plain_listen", "store.url"] {
        let line = log.lines().find(|line| line.contains(key)).unwrap_or_else(|| panic!("{key}: {log}"));
        assert!(line.contains("takes effect with the next start"), "{line}");
    }
    assert!(!ca.path("other.db").exists());
}

/// Certificates live longer than a server: what they say of their issuer, and what clients know of us, is that of the
/// start.
#[tokio::test]
async fn urls_stay_those_of_the_start_in_replies_and_in_certificates() {
    let mut ca = Ca::new();
    let plain = free_port();
    ca.configure(PIN_CORP_LAN).configure(&format!("[server]\nplain_listen = [\"127.0.0.1:{plain}\"]"));
    ca.start().await;
    let (client, responder) = (Client::registered(&ca).await, Responder::start(ca.http_port).await);
    let before = client.issue(&["before.corp.lan"], &responder).await;
    let directory = client.plain("GET", "/acme/directory").await.json();

    let other = free_port();
    ca.configure(&format!(
        "[server]\nurl = \"https://127.0.0.1:{}\"\nplain_listen = [\"127.0.0.1:{other}\"]",
        ca.port
    ));
    let log = ca.log().len();
    ca.hup().await;
    let log = ca.log()[log..].to_owned();
    for key in ["server.url", "server.plain_listen"] {
        assert!(log.lines().any(|line| line.contains(key) && line.contains("next start")), "{key}: {log}");
    }
    let after = client.issue(&["after.corp.lan"], &responder).await;
    assert_eq!(client.plain("GET", "/acme/directory").await.json(), directory);
    let url = issuer_url(&before.pem);
    assert!(url.starts_with(&format!("http://localhost:{plain}/issuer/")), "{url}");
    assert_eq!(issuer_url(&after.pem), url, "where it listens, and not where it will");
    oracle::check(&ca, &[before.pem, after.pem]).await;
}

/// RFC 8555 7.4: dates are issued exactly or refused, also when the issuer has changed since they were accepted.
#[tokio::test]
async fn dates_beyond_a_new_issuer_are_refused_and_never_shortened() {
    let (mut ca, _) = serving().await;
    let (client, responder) = (Client::registered(&ca).await, Responder::start(ca.http_port).await);
    let dated = ordered(&client, "dated.corp.lan", 60).await.expect("within the issuer's time");
    let usual = client.new_order(&["usual.corp.lan"]).await;
    for order in [&dated, &usual] {
        for challenge in client.publish(order, &responder).await {
            client.answer(&challenge).await.expect(200);
        }
        assert_eq!(client.settled(&order.url).await["status"], "ready");
    }
    let key = ec_key();
    let csr = |order: &Order| Request::new(&[order.names[0].as_str()], &key).to_der();

    let short = intermediate(&ca, "short", &["--lifetime", "30d"]);
    ca.configure(&issuers(&[&short, "intermediate"]));
    ca.hup().await;
    let refused = client.finalize(&dated, &csr(&dated)).await;
    assert_eq!((refused.status, refused.problem_type().as_str()), (400, "malformed"), "{refused}");
    assert!(refused.text().contains("beyond the end of today's issuer"), "{refused}");
    assert_eq!(client.read(&dated.url).await.expect(200)["status"], "ready", "nothing was lost by it");
    client.finalize(&usual, &csr(&usual)).await.expect(200);
    let clipped = client.certificate(&usual).await;
    assert!(days_left(&clipped) < 30, "who asks for no date gets what there is");

    let refused = ordered(&client, "late.corp.lan", 60).await.expect_err("the issuer ends before");
    assert_eq!((refused.status, refused.problem_type().as_str()), (400, "malformed"), "{refused}");
    assert!(refused.text().contains("notAfter") && refused.text().contains("would do"), "{refused}");
    let within = ordered(&client, "within.corp.lan", 20).await;
    assert!(within.is_ok(), "{within:?}");

    ca.configure(&issuers(&["intermediate", &short]));
    ca.hup().await;
    client.finalize(&dated, &csr(&dated)).await.expect(200);
    let exact = client.certificate(&dated).await;
    let leaf = X509::from_pem(exact.as_bytes()).expect("PEM");
    let asked = client.read(&dated.url).await.expect(200)["notAfter"].as_str().expect("a date").to_owned();
    let asked = Timestamp::parse_rfc3339(&asked).expect("a date");
    let expected = Asn1Time::from_unix(asked.unix()).expect("a time");
    assert!(leaf.not_after() == expected, "{} is not {asked}", leaf.not_after());
    oracle::check(&ca, &[clipped, exact]).await;
}

/// An order for one name that is to end in so many days.
async fn ordered(client: &Client, name: &str, days: u64) -> Result<Order, Reply> {
    let end = Clock::System.now().plus(Duration::from_secs(days * 86_400));
    let payload = json!({"identifiers": identifiers(&[name]), "notAfter": end.to_string()});
    let reply = client.post("/acme/new-order", payload).await;
    if reply.status != 201 {
        return Err(reply);
    }
    let url = reply.header("location").expect("the order's URL").to_owned();
    Ok(Order { url, body: reply.json(), names: vec![name.to_owned()] })
}

fn days_left(pem: &str) -> i32 {
    let now = Asn1Time::days_from_now(0).expect("a time");
    now.diff(X509::from_pem(pem.as_bytes()).expect("PEM").not_after()).expect("a span").days
}

/// Where a certificate says that its issuer is (RFC 5280 4.2.2.1).
fn issuer_url(pem: &str) -> String {
    let leaf = X509::from_pem(pem.as_bytes()).expect("PEM");
    let information = leaf.authority_info().expect("AIA");
    let place = information[0].location();
    place.uri().expect("a URL").to_owned()
}

#[tokio::test]
async fn a_new_intermediate_in_front_signs_from_then_on_and_old_chains_stay_whole() {
    let (ca, server) = serving().await;
    let (client, responder) = (Client::registered(&ca).await, Responder::start(ca.http_port).await);
    let old = client.issue(&["old.corp.lan"], &responder).await;
    let own = own_issuer(&ca).await;
    assert_eq!(own, issuer_of(&old.pem));

    let next = intermediate(&ca, "next", &[]);
    ca.configure(&issuers(&[&next, "intermediate"]));
    let before = ca.log().len();
    hang_up(server.pid);
    ca.log_after(before, |log| log.contains("reloaded")).await;

    let new = client.issue(&["new.corp.lan"], &responder).await;
    assert_eq!(issuer_of(&new.pem), "next", "the first in the list signs");
    assert_chain(&ca, &new.pem);
    assert_eq!(own_issuer(&ca).await, "next", "the server's own certificate followed, without a restart");
    assert_eq!(Client::new(&ca).plain("GET", "/acme/directory").await.status, 200, "and it verifies");

    let again = client.certificate(&old.order).await;
    assert_eq!(again, old.pem, "an old certificate comes with its own chain");
    assert_chain(&ca, &again);

    // Even when its issuer has left the configuration.
    ca.configure(&issuers(&[&next]));
    let before = ca.log().len();
    hang_up(server.pid);
    ca.log_after(before, |log| log.contains("reloaded")).await;
    assert_eq!(client.certificate(&old.order).await, old.pem);
    oracle::check(&ca, &[old.pem, new.pem]).await;
}

#[tokio::test]
async fn a_stop_answers_what_was_asked_and_leaves_everything_in_the_database_file() {
    let mut ca = Ca::pinned().await;
    let (client, responder) = (Client::registered(&ca).await, Responder::start(ca.http_port).await);
    let issued = client.issue(&["before.corp.lan"], &responder).await;
    let order = client.new_order(&["late.corp.lan"]).await;
    let challenges = client.publish(&order, &responder).await;
    assert!(size(&ca.path("ca.db-wal")) > 0, "until then the log grows");

    // The client's request is under way for as long as the web server holds its answer back.
    responder.be(Mood::Hold);
    let stop = async {
        responder.asked_times(2).await;
        let before = ca.log().len();
        signal("TERM", Process::of(&ca).pid);
        ca.log_after(before, |log| log.contains("stopping")).await;
        while TcpStream::connect(("127.0.0.1", ca.port)).await.is_ok() {
            tokio::time::sleep(POLL).await;
        }
        responder.be(Mood::Answer);
    };
    let (answered, ()) = tokio::join!(client.answer(&challenges[0]), stop);
    assert_eq!(answered.status, 200, "what was asked before the stop is answered: {answered}");
    let status = ca.terminate();
    assert!(status.success(), "{status}");
    assert_eq!(size(&ca.path("ca.db-wal")), 0, "the log is folded into the file");
    let log = ca.log();
    assert!(log.contains("stopping") && log.contains("stopped"), "{log}");
    assert!(!log.contains("ERROR"), "{log}");

    ca.restart().await;
    let again = Client::with_key(&ca, client.key.clone());
    again.register().await;
    let body = again.settled(&order.url).await;
    assert_eq!(body["status"], "ready", "what was under way came to an end: {body}");
    oracle::check(&ca, &[issued.pem]).await;
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_a_stop_up() {
    let mut ca = Ca::pinned().await;
    let client = Client::new(&ca);
    assert_eq!(client.plain("GET", "/acme/directory").await.status, 200);
    let silent = |port| TcpStream::connect(("127.0.0.1", port));
    let _before_tls = silent(ca.port).await.expect("a connection without a word");
    let _before_http = silent(ca.status_port).await.expect("a connection without a word");
    let began = std::time::Instant::now();
    let status = tokio::task::spawn_blocking(move || ca.terminate()).await.expect("it stops");
    assert!(status.success());
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

/// A server with `*.corp.lan` pinned, and its process.
async fn serving() -> (Ca, Process) {
    let ca = Ca::pinned().await;
    let pid = Process::of(&ca);
    (ca, pid)
}

struct Process {
    pid: u32,
}

impl Process {
    /// Found by its configuration, which no other process has.
    fn of(ca: &Ca) -> Self {
        let config = ca.config().display().to_string();
        for entry in fs::read_dir("/proc").expect("processes").flatten() {
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let is_it = line.split(|b| *b == 0).any(|word| word == config.as_bytes());
            if is_it && let Ok(pid) = entry.file_name().to_string_lossy().parse() {
                return Self { pid };
            }
        }
        panic!("no process serves {config}");
    }
}

fn hang_up(pid: u32) {
    signal("HUP", pid);
}

fn signal(name: &str, pid: u32) {
    let done = Command::new("kill").args(["-s", name, &pid.to_string()]).status().expect("kill runs");
    assert!(done.success());
}

/// The ceremony for another intermediate below the same root; gives the name of its files.
fn intermediate(ca: &Ca, name: &str, permit: &[&str]) -> String {
    let dir = ca.path(name);
    let text = |path: &Path| path.display().to_string();
    let ctl = |words: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_ca-ctl")).args(words).output().expect("ca-ctl runs");
        assert!(output.status.success(), "{words:?}: {}", support::ca::text(&output));
    };
    ctl(&["intermediate", "request", "--dir", &text(&dir), "--name", name]);
    let (csr, out) = (text(&dir.join("intermediate.csr")), text(&dir.join("intermediate.pem")));
    let sign = ["root", "sign", "--dir", &text(&ca.path("")), "--csr", &csr, "--out", &out];
    ctl(&[&sign, permit].concat());
    format!("{name}/intermediate")
}

fn issuers(names: &[&str]) -> String {
    let one = |name: &&str| format!("[[ca.issuer]]\ncertificate = \"{name}.pem\"\nkey = \"{name}.key\"\n");
    names.iter().map(one).collect()
}

/// The common name of who signed the first certificate of a chain.
fn issuer_of(pem: &str) -> String {
    let leaf = X509::from_pem(pem.as_bytes()).expect("PEM");
    common_name(leaf.issuer_name())
}

fn common_name(name: &openssl::x509::X509NameRef) -> String {
    let entry = name.entries_by_nid(openssl::nid::Nid::COMMONNAME).next().expect("a common name");
    entry.data().to_string().expect("UTF-8")
}

/// The chain ends where the root begins.
fn assert_chain(ca: &Ca, pem: &str) {
    let chain = X509::stack_from_pem(pem.as_bytes()).expect("PEM");
    let root = X509::from_pem(&fs::read(ca.root()).expect("read")).expect("PEM");
    let above = chain[1..].iter().chain([&root]);
    for (below, above) in chain.iter().zip(above) {
        assert!(below.verify(&above.public_key().expect("a key")).expect("verified"), "{pem}");
    }
}

/// Who signed what the server shows, waiting until a reload has come that far.
async fn own_issuer(ca: &Ca) -> String {
    let mut builder =
        openssl::ssl::SslConnector::builder(openssl::ssl::SslMethod::tls()).expect("a connector");
    builder.set_ca_file(ca.root()).expect("the root");
    let connector = builder.build();
    let address = ("127.0.0.1", ca.port);
    let shown = tokio::task::spawn_blocking(move || {
        let stream = std::net::TcpStream::connect(address).expect("a connection");
        let stream = connector.connect("localhost", stream).expect("a handshake");
        let leaf = stream.ssl().peer_certificate().expect("a certificate");
        common_name(leaf.issuer_name())
    });
    tokio::time::timeout(PATIENCE, shown).await.expect("in time").expect("shown")
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |found| found.len())
}
