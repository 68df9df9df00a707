//! Exit statuses, which scripts rely on, and what belongs on which stream.

use std::process::{Command, Stdio};
use std::time::Instant;

use crate::program::{ACME_CA, CA_CTL, ctl, ended};
use crate::support::ca::{PATIENCE, POLL};
use crate::support::clients::installed;
use crate::support::{Ca, Client, Responder};

#[test]
fn a_wrong_command_line_is_64_and_help_is_0() {
    for program in [ACME_CA, CA_CTL] {
        for words in [["nonsense"].as_slice(), &["--nonsense"], &["list", "--limit", "many", "--x"]] {
            let said = ended(Command::new(program).args(words));
            said.must_be(64, &["error"]);
            assert_eq!(said.out, "", "{said}");
        }
        for word in ["--help", "--version"] {
            let said = ended(Command::new(program).arg(word));
            said.must_be(0, &[]);
            assert!(!said.out.is_empty() && said.err.is_empty(), "{said}");
        }
    }
    let said = ended(Command::new(CA_CTL).args(["list-expiring", "--within", "30d", "--all"]));
    said.must_be(64, &["--within", "--all"]);
    ended(Command::new(CA_CTL).args(["list-expiring", "--state", "rotten"])).must_be(64, &["overdue"]);
    ended(Command::new(CA_CTL).args(["list-expiring", "--used", "200%"])).must_be(64, &["100%"]);
    ended(Command::new(CA_CTL).args(["list-expiring", "--within", "soon"])).must_be(64, &["soon"]);
}

#[tokio::test]
async fn each_end_of_ca_ctl_has_its_status() {
    let mut ca = Ca::new();
    ended(&mut ctl(&ca, &["list"])).must_be(69, &["there is no store", "ca.db", "start acme-ca once"]);
    assert!(!ca.path("ca.db").exists(), "who only looks makes nothing");
    ca.start().await;
    ended(&mut ctl(&ca, &["list"])).must_be(0, &[]);
    ended(&mut ctl(&ca, &["list-expiring"])).must_be(0, &["0 of 1 names need attention."]);
    ended(&mut ctl(&ca, &["show", "unheard-of.lan"])).must_be(1, &["unheard-of.lan", "ca-ctl list"]);
    ended(&mut ctl(&ca, &["resolve", "a..b"])).must_be(1, &["a..b"]);
}

#[test]
fn a_terminal_is_told_the_same_as_a_file() {
    let line = format!("{ACME_CA} check-config --config /nowhere/acme-ca.toml");
    let said = ended(Command::new(installed("script", "bsdutils")).args(["-qec", &line, "/dev/null"]));
    assert_eq!(said.status, 1, "{said}");
    let lines: Vec<&str> = said.out.lines().collect();
    assert!(matches!(lines[..], [line] if line.starts_with("acme-ca: /nowhere/acme-ca.toml")), "{said}");
}

#[tokio::test]
async fn who_asks_for_health_is_told_by_the_exit_status_as_by_a_plugin() {
    let mut ca = Ca::new();
    // What cannot be told is unknown, and so is what was asked wrongly; elsewhere these are 69 and 64.
    let said = ended(&mut ctl(&ca, &["check", "certs"]));
    said.must_be(3, &["there is no store"]);
    assert!(said.out.starts_with("CERTS UNKNOWN - ") && said.out.lines().count() == 1, "{said}");
    ended(&mut ctl(&ca, &["list-expiring", "--exit-code"])).must_be(3, &["there is no store"]);
    ended(&mut ctl(&ca, &["status"])).must_be(69, &["there is no store"]);
    ended(Command::new(CA_CTL).args(["check", "everything"])).must_be(3, &["everything"]);
    ended(Command::new(CA_CTL).args(["--config", "check", "list", "--everything"]))
        .must_be(64, &["--everything"]);
    ended(Command::new(CA_CTL).args(["--json", "check"])).must_be(3, &[]);
    ca.start().await;
    // Until the server has looked for the first time, nobody can tell.
    let deadline = Instant::now() + PATIENCE;
    while ended(&mut ctl(&ca, &["check", "probes"])).status != 0 {
        assert!(Instant::now() < deadline, "it looks at itself, and is well: {}", ca.log());
        tokio::time::sleep(POLL).await;
    }
    for words in [
        &["check", "all"][..],
        &["check", "alerts"],
        &["check", "ca"],
        &["status", "--exit-code"],
        &["list-expiring", "--exit-code"],
    ] {
        ended(&mut ctl(&ca, words)).must_be(0, &[]);
    }
    let said = ended(&mut ctl(&ca, &["check", "certs"]));
    assert!(said.out.starts_with("CERTS OK - 1 names | expired=0;0;0 critical=0;0;0 stale=0"), "{said}");
}

#[tokio::test]
async fn data_goes_to_one_stream_and_words_to_the_other() {
    let mut ca = Ca::new();
    ca.start().await;
    let said = ended(&mut ctl(&ca, &["list-expiring", "--all"]));
    said.must_be(0, &["0 of 1 names need attention."]);
    assert_eq!(said.out.lines().count(), 2, "a header and a row: {said}");
    assert!(!said.out.contains("attention"), "{said}");
    let said = ended(&mut ctl(&ca, &["list-expiring", "--all", "--json"]));
    let json: serde_json::Value = serde_json::from_str(&said.out).expect("one JSON object");
    assert_eq!(json["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(said.err, "", "whoever asks for JSON is told nothing else");
}

#[tokio::test]
async fn a_reader_that_went_away_is_no_failure() {
    let ca = Ca::pinned().await;
    let (client, responder) = (Client::registered(&ca).await, Responder::start(ca.http_port).await);
    for name in ["a.corp.lan", "b.corp.lan", "c.corp.lan", "d.corp.lan"] {
        client.issue(&[name], &responder).await;
    }
    for words in [["list"].as_slice(), &["list", "--json"], &["show", "a.corp.lan"], &["orders", "--json"]] {
        // As `| head` does it when it has seen enough: nobody reads any more.
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = ctl(&ca, words).stdout(writer).stderr(Stdio::piped()).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{words:?}: {said}");
        assert_eq!(said, "", "{words:?}");
    }
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    let output = ctl(&ca, &["list"]).stdout(full).stderr(Stdio::piped()).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1), "but a full disk behind `> file` is one");
}
