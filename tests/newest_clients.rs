//! The newest certbot and lego, which Debian 12 does not have, and acme.sh where somebody installed it. Both of the former
//! ask for renewal information (RFC 9773).

#![allow(clippy::unwrap_used, clippy::panic, reason = "what surprises a test ends it")]

mod support;

use support::clients::{Certbot, Files, Show, TxtHooks, bounded, reasons, succeed};
use support::dns::{Answer, DnsServer};
use support::fetched::{self, found, skipped};
use support::servers::Nginx;
use support::{Ca, oracle};

/// `certbot renew` alone renews when the window says so, and not before.
#[tokio::test(flavor = "multi_thread")]
async fn the_newest_certbot_renews_when_it_is_told_and_revokes() {
    let Some(place) = fetched::CERTBOT.directory("the newest certbot") else { return };
    let ca = Ca::pinned().await;
    let certbot = Certbot::at(&ca, place.join("bin/certbot"));
    let (told, quiet) = (["told.corp.lan", "also.corp.lan"], ["quiet.corp.lan"]);
    succeed(certbot.certonly(&told, "ecdsa", &Show::Standalone)).await;
    succeed(certbot.certonly(&quiet, "rsa", &Show::Standalone)).await;
    let (files, other) = (certbot.files(told[0]), certbot.files(quiet[0]));
    files.must_verify(&ca, &told).await;
    let (before, first) = ([files.serial().await, other.serial().await], files.held());

    ca.ctl_items(&["renew", "--host", told[0], "--spread", "0s"]);
    let said = succeed(certbot.renew_if_due()).await;
    assert_eq!(polls(&ca), 2, "{said}");
    assert_ne!(before[0], files.serial().await, "{said}");
    assert_eq!(before[1], other.serial().await, "{said}");
    files.must_verify(&ca, &told).await;
    let (renewed, second) = (files.serial().await, files.held());
    // It heeds `Retry-After`, for the new one too.
    succeed(certbot.renew_if_due()).await;
    assert_eq!(polls(&ca), 2);
    assert_eq!(renewed, files.serial().await);

    // A dry run is a real issuance, after which authorizations are given up and nothing is kept.
    let mut trial = certbot.renew_if_due();
    trial.arg("--dry-run");
    succeed(trial).await;
    assert_eq!(renewed, files.serial().await);

    let mut revoke = certbot.command("revoke");
    revoke.args(["--no-delete-after-revoke", "--reason", "cessationofoperation", "--cert-path"]);
    revoke.arg(&files.leaf);
    succeed(revoke).await;
    assert_eq!(reasons(&ca, told[0]), ["cessationOfOperation"]);
    let profile = ["--required-profile", "default"];
    let mut profiled = certbot.certonly(&["profile.corp.lan"], "ecdsa", &Show::Standalone);
    profiled.args(profile);
    succeed(profiled).await;
    succeed(certbot.command("unregister")).await;
    oracle::check(&ca, &[first, second, other.held()]).await;
}

/// As NixOS runs it: one verb for everything, renewal forced or by renewal information, no common name in the request.
#[tokio::test(flavor = "multi_thread")]
async fn lego_5_issues_renews_when_it_is_told_and_revokes() {
    let Some(place) = fetched::LEGO.directory("lego 5") else { return };
    let ca = Ca::pinned().await;
    let dir = ca.scratch("lego");
    let lego = |arguments: &[&str]| {
        let mut command = bounded(&place.join("lego"));
        command.args(arguments);
        command.args(["--path", ".", "--server", &ca.directory(), "--email", "admin@corp.lan"]);
        command.args(["--key-type", "ec256"]);
        command.current_dir(&dir).env("LEGO_CA_CERTIFICATES", ca.root());
        command
    };
    let port = format!("127.0.0.1:{}", ca.http_port);
    let names = ["n.corp.lan", "nix.corp.lan"];
    let run = |more: &[&str]| {
        let mut command = lego(&["run", "--accept-tos", "--http", "--http.address", &port]);
        command.args(["-d", names[0], "-d", names[1], "--no-random-sleep"]).args(more);
        command
    };
    let file = |end: &str| dir.join("certificates").join(format!("{}.{end}", names[0]));
    let files = Files { leaf: file("crt"), chain: file("issuer.crt"), full: file("crt"), key: file("key") };
    succeed(run(&[])).await;
    files.must_verify(&ca, &names).await;
    let mut held = vec![files.held()];
    let mut serials = vec![files.serial().await];

    // Nothing is due: it asks, and leaves it.
    succeed(run(&[])).await;
    assert_eq!(polls(&ca), 1);
    assert_eq!(files.serial().await, serials[0]);

    ca.ctl_items(&["renew", "--host", names[0], "--spread", "0s"]);
    succeed(run(&[])).await;
    assert_eq!(polls(&ca), 2);
    held.push(files.held());
    serials.push(files.serial().await);
    // What replaced it was named in the order, so nobody may replace it again.
    let shown = ca.ctl_items(&["show", names[0]]);
    assert!(shown.iter().any(|item| item["superseded_by"].is_string()), "{shown:?}");

    succeed(run(&["--renew-force", "--ari-disable", "--force-cert-domains"])).await;
    assert_eq!(polls(&ca), 2);
    files.must_verify(&ca, &names).await;
    held.push(files.held());
    serials.push(files.serial().await);
    serials.sort();
    serials.dedup();
    assert_eq!(serials.len(), 3, "{serials:?}");

    let mut revoke = lego(&["certificates", "revoke", "--keep", "--reason", "4"]);
    revoke.args(["--cert.name", names[0]]);
    succeed(revoke).await;
    assert_eq!(reasons(&ca, names[0]), ["superseded"]);
    oracle::check(&ca, &held).await;
}

/// dns-01, with a script.
#[tokio::test(flavor = "multi_thread")]
async fn lego_5_issues_a_wildcard_by_a_script() {
    let Some(place) = fetched::LEGO.directory("lego 5 by dns-01") else { return };
    let dns = DnsServer::start().await;
    let mut ca = Ca::new();
    let hooks = TxtHooks::new(&ca);
    dns.set_default(Answer::Files(hooks.folder.clone()));
    let server = dns.address().to_string();
    ca.configure(&format!("[resolver]\nservers = [\"{server}\"]\n[validation]\npatience = \"1s\""));
    ca.start().await;
    let dir = ca.scratch("lego");
    let mut command = bounded(&place.join("lego"));
    command.current_dir(&dir);
    command.args(["run", "--accept-tos", "--path", ".", "--server", &ca.directory()]);
    command.args(["--email", "admin@corp.lan", "-d", "*.w.corp.lan", "-d", "w.corp.lan", "--dns", "exec"]);
    command.args(["--dns.propagation.disable-ans", "--dns.resolvers", &server]);
    command.env("LEGO_CA_CERTIFICATES", ca.root()).env("EXEC_PATH", &hooks.exec);
    command.env("EXEC_SEQUENCE_INTERVAL", "1").env("EXEC_POLLING_INTERVAL", "1");
    succeed(command).await;
    let file = |end: &str| dir.join("certificates").join(format!("_.w.corp.lan.{end}"));
    let files = Files { leaf: file("crt"), chain: file("issuer.crt"), full: file("crt"), key: file("key") };
    files.must_verify(&ca, &["w.corp.lan", "anything.w.corp.lan"]).await;
    oracle::check(&ca, &[files.held()]).await;
}

/// No package index has it, so it is run where it is installed. What it needs of replies, which it reads with sed, is in
/// the golden rules and in tests/quirks.rs.
#[tokio::test(flavor = "multi_thread")]
async fn acme_sh_issues_renews_and_revokes() {
    let Some(program) = found("acme.sh") else {
        skipped("acme.sh", "it is not installed, and no package index has it");
        return;
    };
    let ca = Ca::pinned().await;
    let _nginx = Nginx::webroot(&ca).await;
    let dir = ca.scratch("acme.sh");
    let acme_sh = |arguments: &[&str]| {
        let mut command = bounded(&program);
        command.args(arguments);
        command.arg("--home").arg(&dir).args(["--server", &ca.directory(), "--ca-bundle"]).arg(ca.root());
        command
    };
    let names = ["s.corp.lan", "sh.corp.lan"];
    let webroot = ca.scratch("webroot").display().to_string();
    succeed(acme_sh(&["--register-account", "-m", "admin@corp.lan"])).await;
    let issue = ["--issue", "-d", names[0], "-d", names[1], "-w", &webroot, "--keylength", "ec-256"];
    succeed(acme_sh(&issue)).await;
    let kept = dir.join("s.corp.lan_ecc");
    let files = Files {
        leaf: kept.join("s.corp.lan.cer"),
        chain: kept.join("ca.cer"),
        full: kept.join("fullchain.cer"),
        key: kept.join("s.corp.lan.key"),
    };
    files.must_verify(&ca, &names).await;
    let (before, first) = (files.serial().await, files.held());
    succeed(acme_sh(&["--renew", "--force", "--ecc", "-d", names[0]])).await;
    assert_ne!(before, files.serial().await);
    files.must_verify(&ca, &names).await;
    let second = files.held();
    succeed(acme_sh(&["--revoke", "--ecc", "-d", names[0], "--revoke-reason", "4"])).await;
    assert_eq!(reasons(&ca, names[0]), ["superseded"]);
    succeed(acme_sh(&["--deactivate-account"])).await;
    oracle::check(&ca, &[first, second]).await;
}

/// How often renewal information was read.
fn polls(ca: &Ca) -> usize {
    let log = ca.log();
    log.lines().filter(|l| l.contains("path=\"/acme/renewal-info/") && l.contains("status=200")).count()
}
