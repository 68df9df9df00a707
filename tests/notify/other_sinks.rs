//! Alertmanager and a mail server of Debian, webhooks, and programs.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use acme::severity::Severity;
use acme_ca::clock::Clock;
use acme_ca::notify::{Kind, Outcome};
use acme_ca::watch::deliver;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::desk::Desk;
use crate::support::fetched::{found, skipped};
use crate::support::ports::free_port;

/// A program that runs while a test does.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn started(mut command: Command, port: u16) -> Running {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut running = Running(command.spawn().unwrap());
    let deadline = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        assert!(running.0.try_wait().unwrap().is_none(), "{command:?} ended");
        assert!(Instant::now() < deadline, "{command:?} does not listen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    running
}

/// The body of what is at a plain URL.
pub async fn get(url: &str) -> String {
    let (authority, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(authority).await.unwrap();
    let request = format!("GET /{path} HTTP/1.0\r\nHost: {authority}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[tokio::test]
async fn alertmanager_holds_an_alert_while_it_lasts_and_no_longer() {
    let Some(program) = found("prometheus-alertmanager") else {
        skipped("Alertmanager", "prometheus-alertmanager is not installed");
        return;
    };
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}");
    let section = format!(
        "[[alerts.sink]]\ntype = \"alertmanager\"\nurl = \"{url}\"\nmin = \"warning\"\nlabels = {{ team = \"home\" }}"
    );
    let desk = Desk::new(&section).await;
    let dir = desk.ca.scratch("alertmanager");
    let config = dir.join("alertmanager.yml");
    std::fs::write(&config, "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n").unwrap();
    let mut command = Command::new(program);
    command.arg(format!("--config.file={}", config.display()));
    command.arg(format!("--storage.path={}", dir.join("data").display()));
    command.args([&format!("--web.listen-address=127.0.0.1:{port}"), "--cluster.listen-address="]);
    let _running = started(command, port).await;

    // Alertmanager judges by its own clock, which is the real one.
    let now = Clock::System.now();
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    let mut message = desk.message(Kind::Firing, Severity::Critical, "vault.corp.lan");
    (message.since, message.at) = (now.minus(minutes(90)), now);
    desk.put_message(&message).await;
    let step = async |at| deliver::deliver_due(&desk.store, &desk.notifier, at).await.unwrap();
    assert_eq!(step(now).await.tries[0].result, "delivered");
    let alerts =
        async || -> Vec<Value> { serde_json::from_str(&get(&format!("{url}/api/v2/alerts")).await).unwrap() };
    let held = alerts().await;
    assert_eq!(held.len(), 1, "{held:?}");
    let labels = &held[0]["labels"];
    for (label, value) in [
        ("alertname", "OrderFailing"),
        ("severity", "critical"),
        ("source", "acme-ca"),
        ("name", "vault.corp.lan"),
        ("owner", "infra"),
        ("team", "home"),
        ("key", "order:vault.corp.lan"),
    ] {
        assert_eq!(labels[label], value, "{labels}");
    }
    assert_eq!(held[0]["annotations"]["summary"], "vault.corp.lan cannot be issued");
    assert_eq!(held[0]["status"]["state"], "active");
    let ends =
        |alert: &Value| acme::time::Timestamp::parse_rfc3339(alert["endsAt"].as_str().unwrap()).unwrap();
    let first = ends(&held[0]);
    assert!(first > now.plus(minutes(10)), "{held:?}");

    // It is sent again well before its end, without anybody being told anew.
    assert!(step(now.plus(minutes(1))).await.tries.is_empty());
    step(now.plus(minutes(6))).await;
    assert!(ends(&alerts().await[0]) > first);

    message.kind = Kind::Resolved;
    message.at = Clock::System.now();
    desk.put_message(&message).await;
    step(now.plus(minutes(7))).await;
    assert!(alerts().await.is_empty(), "what is over is not shown");
    step(now.plus(minutes(20))).await;
    assert!(alerts().await.is_empty(), "nor does it come back");

    let sink = &desk.notifier.settings.sinks[0];
    let trial = deliver::try_out(&desk.notifier, sink, Clock::System.now()).await;
    assert!(matches!(trial.outcome, Outcome::Delivered(_)));
    assert!(trial.server.unwrap().starts_with("Alertmanager 0."));
}

/// The mail server, which runs under Debian's Python.
struct Mail {
    port: u16,
    _running: Running,
}

impl Mail {
    async fn start(desk: &Desk, security: &str, login: &[&str]) -> Option<Self> {
        let python = Path::new("/usr/bin/python3");
        let probe = Command::new(python).args(["-c", "import aiosmtpd"]).stderr(Stdio::null()).status();
        if !probe.is_ok_and(|status| status.success()) {
            skipped("mail", "aiosmtpd is not installed");
            return None;
        }
        let (chain, key) = desk.certificate("mail.corp.lan");
        let (chain, key) = (desk.secret("mail.pem", &chain), desk.secret("mail.key", &key));
        let port = free_port();
        let mut command = Command::new(python);
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/notify/mail.py"));
        command
            .arg(port.to_string())
            .arg(desk.ca.path("mails"))
            .arg(security)
            .arg(chain)
            .arg(key)
            .args(login);
        Some(Self { port, _running: started(command, port).await })
    }

    fn section(&self, security: &str, more: &str) -> String {
        format!(
            "[[alerts.sink]]\ntype = \"smtp\"\nhost = \"mail.corp.lan\"\nport = {}\nsecurity = \"{security}\"\n\
             from = \"ca@corp.lan\"\nto = [\"ops@corp.lan\", \"nobody@corp.lan\"]\n{more}",
            self.port
        )
    }
}

#[tokio::test]
async fn a_mail_server_takes_mail_with_and_without_tls_and_passwords() {
    let login = ["ca", "swordfish"];
    let with_login = "user = \"ca\"\npassword_file = \"mail.pass\"";
    for (security, login, more) in [
        ("plain", &[][..], ""),
        ("starttls", &[][..], ""),
        ("tls", &[][..], ""),
        ("starttls", &login[..], with_login),
        ("tls", &login[..], with_login),
    ] {
        let mut desk = Desk::new("").await;
        let Some(mail) = Mail::start(&desk, security, login).await else { return };
        desk.secret("mail.pass", "swordfish");
        desk.reconfigure(&mail.section(security, more));
        let mut message = desk.message(Kind::Firing, Severity::Urgent, "vault.corp.lan");
        message.title = "vault.corp.lan: gültig\r\nBcc: evil@corp.lan".into();
        message.lines = vec![".".into(), "..\r\nQUIT".into()];
        desk.put_message(&message).await;
        assert_eq!(desk.results().await, ["delivered"], "{security} {more}: {:?}", desk.fact("smtp").await);
        let mails = std::fs::read_to_string(desk.ca.path("mails")).unwrap();
        assert!(mails.starts_with("=== ca@corp.lan -> ops@corp.lan\n"), "{mails}");
        assert!(!mails.contains("\nBcc:") && mails.contains("Subject: =?utf-8?B?"), "{mails}");
        assert!(mails.contains("Importance: high") && mails.contains("References: <ca-"), "{mails}");

        if !more.is_empty() {
            desk.secret("mail.pass", "wrong");
            desk.put(Kind::Resolved, Severity::Urgent, "vault.corp.lan").await;
            assert_eq!(desk.results().await, ["broken"]);
            let detail = desk.fact("smtp").await.detail.unwrap();
            assert!(!detail.contains("wrong") && detail.contains("AUTH was answered with 535"), "{detail}");
        }
    }
}

#[tokio::test]
async fn mail_is_not_sent_without_the_tls_that_was_asked_for() {
    let mut desk = Desk::new("").await;
    let Some(mail) = Mail::start(&desk, "plain", &[]).await else { return };
    desk.reconfigure(&mail.section("starttls", ""));
    desk.put(Kind::Firing, Severity::Urgent, "vault.corp.lan").await;
    assert_eq!(desk.results().await, ["tls"]);
    assert!(desk.fact("smtp").await.detail.unwrap().contains("does not offer STARTTLS"));
    assert!(!desk.ca.path("mails").exists());

    // A server that answers ahead: what it says before TLS must not count after it.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"220 hello\r\n").await.unwrap();
        let mut heard = [0; 512];
        let _ = stream.read(&mut heard).await.unwrap();
        stream.write_all(b"250-mail\r\n250 STARTTLS\r\n").await.unwrap();
        let _ = stream.read(&mut heard).await.unwrap();
        stream.write_all(b"220 go ahead\r\n250 AUTH PLAIN\r\n").await.unwrap();
        let _ = stream.read(&mut heard).await;
    });
    desk.reconfigure(&mail.section("starttls", "").replace(&mail.port.to_string(), &port.to_string()));
    desk.pass_minutes(1);
    assert_eq!(desk.results().await, ["tls"]);
    assert!(desk.fact("smtp").await.detail.unwrap().contains("before TLS has begun"));
}

#[tokio::test]
async fn a_program_gets_the_message_and_nothing_of_ours() {
    let mut desk = Desk::new("").await;
    let (script, draft) = (desk.ca.path("tell"), desk.ca.path("draft"));
    let heard = desk.ca.path("heard");
    // Installed by another program: a file that this process has just written may be busy in a child of another test.
    let write = |text: &str| {
        std::fs::write(&draft, text).unwrap();
        let installed = Command::new("install").args(["-m", "755"]).args([&draft, &script]).status();
        assert!(installed.unwrap().success());
    };
    write(&format!("#!/bin/sh\n{{ cat; echo; echo \"$@\"; env; pwd; }} > {}\n", heard.display()));
    let section = |timeout: &str| {
        format!(
            "[[alerts.sink]]\ntype = \"exec\"\nprogram = \"tell\"\nargs = [\"a b\", \"$(id)\"]\ntimeout = \"{timeout}\""
        )
    };
    desk.reconfigure(&section("10s"));
    desk.put(Kind::Firing, Severity::Urgent, "vault.corp.lan").await;
    assert_eq!(desk.results().await, ["delivered"]);
    let text = std::fs::read_to_string(&heard).unwrap();
    let (json, rest) = text.split_once('\n').unwrap();
    let json: Value = serde_json::from_str(json).unwrap();
    assert_eq!((&json["schema"], &json["severity"]), (&"acme-ca/alert/1".into(), &"urgent".into()));
    assert_eq!(json["key"], "order:vault.corp.lan");
    assert!(rest.starts_with("a b $(id)\n"), "{rest}");
    assert!(!rest.contains("CARGO") && !rest.contains("HOME=") && rest.contains("LANG=C.UTF-8"), "{rest}");

    write("#!/bin/sh\necho 'no modem' >&2\nexit 3\n");
    desk.put(Kind::Resolved, Severity::Urgent, "vault.corp.lan").await;
    assert_eq!(desk.results().await, ["server"]);
    let detail = desk.fact("exec").await.detail.unwrap();
    assert!(detail.contains("exit status: 3") && detail.contains("no modem"), "{detail}");

    write("#!/bin/sh\nexec sleep 60\n");
    desk.reconfigure(&section("1s"));
    desk.pass_minutes(1);
    let begun = Instant::now();
    assert_eq!(desk.results().await, ["server"]);
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert!(desk.fact("exec").await.detail.unwrap().contains("stopped after 1 s"));

    // It complains at length and does its work all the same, or leaves something running that holds its output open.
    for script in ["yes 'no modem' | head -c 300000 >&2", "sleep 60 &"] {
        write(&format!("#!/bin/sh\ncat >/dev/null\n{script}\n"));
        desk.reconfigure(&section("5s"));
        desk.pass_minutes(1);
        assert_eq!(desk.results().await, ["delivered"], "{script}: {:?}", desk.fact("exec").await);
        desk.put(Kind::Firing, Severity::Urgent, "vault.corp.lan").await;
    }
}

#[tokio::test]
async fn a_webhook_gets_our_json_with_its_token() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut text = String::new();
        while !text.ends_with('}') {
            let mut some = [0; 4_096];
            let count = stream.read(&mut some).await.unwrap();
            text.push_str(&String::from_utf8_lossy(&some[..count]));
        }
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        text
    });
    let section = format!(
        "[[alerts.sink]]\ntype = \"webhook\"\nurl = \"http://hook.corp.lan:{port}/in/ca\"\ntoken_file = \"hook.token\""
    );
    let desk = Desk::new(&section).await;
    desk.secret("hook.token", "tk_hook");
    desk.put(Kind::Firing, Severity::Info, "vault.corp.lan").await;
    assert_eq!(desk.results().await, ["delivered"]);
    let text = heard.await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /in/ca HTTP/1.1\r\n"), "{head}");
    assert!(head.to_lowercase().contains("authorization: bearer tk_hook"), "{head}");
    assert!(head.contains(&format!("hook.corp.lan:{port}")), "{head}");
    let json: Value = serde_json::from_str(body).unwrap();
    let mut keys: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    let wanted = [
        "at",
        "key",
        "kind",
        "lines",
        "names",
        "owner",
        "rule",
        "schema",
        "sequence_id",
        "severity",
        "since",
        "title",
    ];
    assert_eq!(keys, wanted);
}
