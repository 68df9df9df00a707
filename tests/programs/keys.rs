//! Keys, passphrases and certificates that do not fit are refused, each with its file and what would do; the passphrase
//! itself is never said.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use acme::time::Timestamp;
use acme_ca::clock::Clock;
use acme_ca::ctl::ceremony::{Ceremony, Console};
use clap::Parser as _;

use crate::program::{by_nobody, check, close, ended, hand_over, serve};
use crate::support::{Ca, clients};

/// Both programs' way of saying no.
#[track_caller]
fn refused(ca: &Ca, fragments: &[&str]) {
    for mut command in [check(ca), serve(ca)] {
        let said = ended(&mut command);
        said.must_be(1, fragments);
        assert!(!said.err.contains(PASSPHRASE), "a passphrase is never shown: {said}");
    }
    assert!(!ca.path("ca.db").exists(), "nothing is made by a CA that cannot sign");
}

#[test]
fn a_key_that_may_not_be_read_is_named() {
    let ca = Ca::new();
    hand_over(&ca);
    close(&ca.path("intermediate.key"), 0o000);
    for command in [check(&ca), serve(&ca)] {
        ended(&mut by_nobody(&command))
            .must_be(1, &["intermediate.key", "Permission denied", "the user that signs"]);
    }
}

#[test]
fn a_key_that_others_can_read_is_said_and_used() {
    let ca = Ca::new();
    close(&ca.path("intermediate.key"), 0o644);
    ended(&mut check(&ca)).must_be(0, &["intermediate.key", "0644", "chmod 600", "good"]);
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let (ca, other) = (Ca::new(), Ca::new());
    fs::copy(other.path("intermediate.key"), ca.path("intermediate.key")).expect("copied");
    refused(&ca, &["intermediate.pem", "certifies another key", "made together"]);
}

#[test]
fn a_file_without_a_key_is_refused() {
    let ca = Ca::new();
    fs::copy(ca.path("intermediate.pem"), ca.path("intermediate.key")).expect("copied");
    refused(&ca, &["intermediate.key", "holds no private key", "PRIVATE KEY"]);
}

#[test]
fn an_encrypted_key_needs_its_passphrase_and_no_other() {
    let ca = Ca::new();
    fs::write(ca.path("pass"), format!("{PASSPHRASE}\n")).expect("written");
    encrypt(&ca, &ca.path("pass"));
    refused(&ca, &["intermediate.key", "is encrypted", "passphrase_file"]);

    let issuer = "[[ca.issuer]]\ncertificate = \"intermediate.pem\"\nkey = \"intermediate.key\"\n";
    ca.configure(&format!("{issuer}passphrase_file = \"pass\""));
    ended(&mut check(&ca)).must_be(0, &["good"]);

    fs::write(ca.path("pass"), "battery staple\n").expect("written");
    refused(&ca, &["intermediate.key", "the passphrase does not open it", "openssl pkey"]);
    fs::write(ca.path("pass"), "\n").expect("written");
    refused(&ca, &["pass", "empty first line"]);
    fs::remove_file(ca.path("pass")).expect("removed");
    refused(&ca, &["passphrase file", "pass", "No such file"]);
}

#[test]
fn a_passphrase_for_a_key_that_has_none_is_refused() {
    let ca = Ca::new();
    fs::write(ca.path("pass"), format!("{PASSPHRASE}\n")).expect("written");
    ca.configure(
        "[[ca.issuer]]\ncertificate = \"intermediate.pem\"\nkey = \"intermediate.key\"\npassphrase_file = \"pass\"",
    );
    refused(&ca, &["intermediate.key", "is not encrypted", "leave the passphrase out"]);
}

#[test]
fn a_root_that_did_not_sign_the_intermediate_is_refused() {
    let (ca, other) = (Ca::new(), Ca::new());
    fs::copy(other.path("root.pem"), ca.path("root.pem")).expect("copied");
    refused(&ca, &["intermediate.pem", "does not verify"]);
}

#[test]
fn a_root_that_is_not_there_or_no_root_is_refused() {
    let ca = Ca::new();
    fs::copy(ca.path("intermediate.pem"), ca.path("root.pem")).expect("copied");
    refused(&ca, &["root.pem", "is not a root"]);
    fs::remove_file(ca.path("root.pem")).expect("removed");
    refused(&ca, &["ca.root: ", "root.pem", "No such file", "correct the path"]);
}

#[test]
fn a_file_that_is_of_no_use_is_named_with_its_key_and_its_cause_once() {
    let ca = Ca::new();
    let told = |file: &str, key: &str, fragments: &[&str], once: &str| {
        for mut command in [check(&ca), serve(&ca)] {
            let said = ended(&mut command);
            said.must_be(1, fragments);
            let head = format!("acme-ca: {key}: ");
            assert!(said.err.lines().any(|line| line.contains(&head) && line.contains(file)), "{head}{said}");
            assert_eq!(said.err.matches(once).count(), 1, "once is enough: {said}");
        }
    };
    for (file, key) in [
        ("root.pem", "ca.root"),
        ("intermediate.pem", "ca.issuer.certificate"),
        ("intermediate.key", "ca.issuer.key"),
    ] {
        let kept = fs::read(ca.path(file)).expect("read");
        fs::remove_file(ca.path(file)).expect("removed");
        told(file, key, &["put it there, or correct the path"], "No such file");
        fs::create_dir(ca.path(file)).expect("made");
        told(file, key, &["a file is meant"], "Is a directory");
        fs::remove_dir(ca.path(file)).expect("removed");
        fs::write(ca.path(file), "nothing\n").expect("written");
        told(file, key, &["PEM"], "holds no");
        fs::write(ca.path(file), kept).expect("written");
    }
    ca.configure(
        "[[ca.issuer]]\ncertificate = \"intermediate.pem\"\nkey = \"intermediate.key\"\npassphrase_file = \"pass\"",
    );
    told("pass", "ca.issuer.passphrase_file", &["put it there, or correct the path"], "No such file");
}

#[test]
fn a_missing_password_file_of_the_store_is_told_before_a_start() {
    let ca = Ca::new();
    ca.configure("[store]\nurl = \"postgres://ca@127.0.0.1/ca?password_file=nope\"");
    ended(&mut check(&ca)).must_be(1, &["store.url: the password file", "nope", "No such file"]);
    ended(check(&ca).arg("--file-only")).must_be(0, &["good"]);
    fs::write(ca.path("nope"), "secret").expect("written");
    ended(&mut check(&ca)).must_be(0, &["good"]);
}

#[test]
fn an_intermediate_that_has_ended_is_refused_with_both_times() {
    let ca = Ca::new();
    // The same ceremony, held long ago.
    let then = Clock::System.now().minus(Duration::from_secs(40 * 365 * 86_400));
    let old = ca.path("old");
    let line = format!("ca-ctl init --dir {} --url https://localhost --permit localhost", old.display());
    hold(&line, then);
    for file in ["root.pem", "intermediate.pem", "intermediate.key"] {
        fs::copy(old.join(file), ca.path(file)).expect("copied");
    }
    let year = then.to_string()[..4].to_owned();
    refused(&ca, &["no issuer is valid now", &year, "check the clock", "install a new intermediate"]);
}

#[derive(clap::Parser)]
struct Program {
    #[command(subcommand)]
    verb: Ceremony,
}

fn hold(line: &str, now: Timestamp) {
    let program = Program::try_parse_from(line.split(' ')).expect("a command line");
    let (mut out, mut err) = (Vec::new(), Vec::new());
    program.verb.run(now, &mut Console::new(&mut out, &mut err, false)).expect("the ceremony");
}

fn encrypt(ca: &Ca, passphrase: &Path) {
    let key = ca.path("intermediate.key");
    let encrypted = ca.path("encrypted.key");
    let done = Command::new(clients::installed("openssl", "openssl"))
        .args(["pkcs8", "-topk8", "-in"])
        .arg(&key)
        .arg("-out")
        .arg(&encrypted)
        .arg("-passout")
        .arg(format!("file:{}", passphrase.display()))
        .status()
        .expect("openssl runs");
    assert!(done.success());
    fs::rename(encrypted, key).expect("renamed");
}

const PASSPHRASE: &str = "correct horse";
