//! More clients as Debian packs them: uacme, dehydrated, acme-tiny, and Apache's mod_md. Each issues, renews before it is
//! due, and revokes where it can, by HTTP-01; OpenSSL, which has the root and nothing else, judges what it got.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what surprises a test ends it")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use support::apache::Apache;
use support::clients::{Files, installed, openssl, program, reasons, run, script, succeed};
use support::servers::Nginx;
use support::{Ca, oracle};

/// A CA, and a web server that shows the challenges that clients put into its directory.
async fn serving() -> (Ca, Nginx, PathBuf) {
    let ca = Ca::pinned().await;
    let nginx = Nginx::webroot(&ca).await;
    let shown = ca.scratch("webroot").join(".well-known/acme-challenge");
    fs::create_dir_all(&shown).unwrap();
    (ca, nginx, shown)
}

/// By the account and by the key of the certificate, with a reason.
#[tokio::test(flavor = "multi_thread")]
async fn uacme_issues_renews_and_revokes() {
    let (ca, _nginx, shown) = serving().await;
    let dir = ca.scratch("uacme");
    let hook = script(
        &dir.join("hook"),
        &format!(
            "[ \"$2\" = http-01 ] || exit 1\ncd '{}'\n\
             case $1 in begin) printf %s \"$5\" > \"$4\" ;; *) rm -f \"$4\" ;; esac\n",
            shown.display()
        ),
    );
    let uacme = |arguments: &[&str]| {
        // It has no option for a root of its own, so it sees the system's file as this one.
        let mut command = with_system_trust(&ca.root(), &installed("uacme", "uacme"));
        command.args(["-v", "-v", "-y", "-a", &ca.directory(), "-c"]).arg(dir.join("kept"));
        command.arg("-h").arg(&hook).args(arguments);
        command
    };
    let names = ["u.corp.lan", "v.corp.lan"];
    let kept = |name: &str| {
        let full = dir.join("kept").join(name).join("cert.pem");
        let key = dir.join("kept/private").join(name).join("key.pem");
        Files { leaf: full.clone(), chain: full.clone(), full, key }
    };
    succeed(uacme(&["new", "admin@corp.lan"])).await;
    succeed(uacme(&["-t", "EC", "issue", names[0], names[1]])).await;
    let files = kept(names[0]);
    files.must_verify(&ca, &names).await;
    let (before, first) = (files.serial().await, files.held());
    let early = run(uacme(&["issue", names[0], names[1]])).await;
    assert_eq!(early.status.code(), Some(1), "it is not due: {}", support::ca::text(&early));
    succeed(uacme(&["-f", "issue", names[0], names[1]])).await;
    assert_ne!(before, files.serial().await);
    files.must_verify(&ca, &names).await;
    let second = files.held();

    let leaf = files.full.to_str().unwrap();
    succeed(uacme(&["-r", "4", "revoke", leaf])).await;
    assert_eq!(reasons(&ca, names[0]), ["superseded"]);
    succeed(uacme(&["-t", "RSA", "issue", "w.corp.lan"])).await;
    let other = kept("w.corp.lan");
    let third = other.held();
    let (leaf, key) = (other.full.to_str().unwrap(), other.key.to_str().unwrap());
    succeed(uacme(&["revoke", leaf, key])).await;
    assert_eq!(reasons(&ca, "w.corp.lan"), ["keyCompromise"]);
    succeed(uacme(&["newkey"])).await;
    succeed(uacme(&["deactivate"])).await;
    oracle::check(&ca, &[first, second, third]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dehydrated_issues_renews_and_revokes() {
    let (ca, _nginx, shown) = serving().await;
    let dir = ca.scratch("dehydrated");
    let configuration = dir.join("config");
    fs::write(
        &configuration,
        format!(
            "CA='{}'\nBASEDIR='{}'\nWELLKNOWN='{}'\nCONTACT_EMAIL=admin@corp.lan\n",
            ca.directory(),
            dir.display(),
            shown.display()
        ),
    )
    .unwrap();
    let dehydrated = |arguments: &[&str]| {
        let mut command = program("dehydrated", "dehydrated");
        command.env("CURL_CA_BUNDLE", ca.root()).args(arguments).arg("--config").arg(&configuration);
        command
    };
    let names = ["d.corp.lan", "e.corp.lan"];
    let domains = ["--domain", "d.corp.lan e.corp.lan"];
    let held = dir.join("certs").join(names[0]);
    let file = |name: &str| held.join(format!("{name}.pem"));
    let files =
        Files { leaf: file("cert"), chain: file("chain"), full: file("fullchain"), key: file("privkey") };
    succeed(dehydrated(&["--register", "--accept-terms"])).await;
    succeed(dehydrated(&[&["--cron"], &domains[..]].concat())).await;
    files.must_verify(&ca, &names).await;
    let (before, first) = (files.serial().await, files.held());
    let again = [&["--cron", "--force", "--force-validation", "--algo", "rsa"], &domains[..]].concat();
    succeed(dehydrated(&again)).await;
    assert_ne!(before, files.serial().await);
    files.must_verify(&ca, &names).await;
    let second = files.held();
    succeed(dehydrated(&["--revoke", files.leaf.to_str().unwrap()])).await;
    assert_eq!(reasons(&ca, names[0]), ["unspecified"]);
    succeed(dehydrated(&["--deactivate"])).await;
    oracle::check(&ca, &[first, second]).await;
}

/// It makes neither keys nor requests, and does not revoke. Each run is an issuance, and sends the contact again.
#[tokio::test(flavor = "multi_thread")]
async fn acme_tiny_issues_and_renews() {
    let (ca, _nginx, shown) = serving().await;
    let dir = ca.scratch("tiny");
    let at = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    for key in ["account.key", "privkey.pem"] {
        let mut make = openssl();
        make.args(["genrsa", "-traditional", "-out", &at(key), "2048"]);
        succeed(make).await;
    }
    let names = ["t.corp.lan", "tiny.corp.lan"];
    let mut request = openssl();
    request.args(["req", "-new", "-subj", "/", "-addext", "subjectAltName=DNS:t.corp.lan,DNS:tiny.corp.lan"]);
    request.args(["-key", &at("privkey.pem"), "-out", &at("request.csr")]);
    succeed(request).await;
    let full = dir.join("chain.pem");
    let files = Files { leaf: full.clone(), chain: full.clone(), full, key: dir.join("privkey.pem") };

    let mut held = Vec::new();
    let mut serials = Vec::new();
    for _ in 0..2 {
        let mut tiny = program("acme-tiny", "acme-tiny");
        tiny.args(["--account-key", &at("account.key"), "--csr", &at("request.csr"), "--disable-check"]);
        tiny.args(["--directory-url", &ca.directory(), "--contact", "mailto:admin@corp.lan", "--acme-dir"]);
        tiny.arg(&shown).env("SSL_CERT_FILE", ca.root());
        let output = run(tiny).await;
        assert!(output.status.success(), "{}", support::ca::text(&output));
        fs::write(&files.full, &output.stdout).unwrap();
        files.must_verify(&ca, &names).await;
        held.push(files.held());
        serials.push(files.serial().await);
    }
    assert_ne!(serials[0], serials[1]);
    oracle::check(&ca, &held).await;
}

/// It renews because renewal information says so (RFC 9773): that is the one way to have it renew what is not due.
#[tokio::test(flavor = "multi_thread")]
async fn apache_serves_what_it_asked_for_and_renews_when_it_is_told() {
    let ca = Ca::pinned().await;
    let name = "apache.corp.lan";
    let mut apache = Apache::start(&ca, name);
    apache.restarted_with_what_it_got().await;
    let files = apache.files().await;
    files.must_verify(&ca, &[name]).await;
    let (before, first) = (files.serial().await, files.held());

    assert_eq!(ca.ctl_items(&["renew", "--host", name, "--spread", "0s"]).len(), 1);
    apache.restarted_with_what_it_got().await;
    let files = apache.files().await;
    assert_ne!(before, files.serial().await);
    files.must_verify(&ca, &[name]).await;
    support::clients::must_be_served(&ca, apache.port, name).await;
    oracle::check(&ca, &[first, files.held()]).await;
}

/// A program in a mount namespace of its own, where the system's trusted roots are this one.
fn with_system_trust(root: &Path, program: &Path) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", "120", "unshare", "--map-root-user", "--mount", "sh", "-euc"]);
    command.arg(format!("mount --bind '{}' {SYSTEM_TRUST}\nexec \"$0\" \"$@\"", root.display()));
    command.arg(program).stdin(Stdio::null());
    command
}

const SYSTEM_TRUST: &str = "/etc/ssl/certs/ca-certificates.crt";
