//! Real clients by dns-01 and TLS-ALPN-01: certbot with hooks, lego with a script and with its own TLS server, Caddy, and
//! OpenSSL's server. TXT records are files that the scripts write and a real name server on loopback shows.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what surprises a test ends it")]

mod support;

use std::process::Stdio;
use std::time::Instant;

use support::alpn::certificate;
use support::clients::{Certbot, Lego, Show, TxtHooks, openssl, run, succeed};
use support::csr::{Request, ec_key};
use support::dns::{Answer, DnsServer};
use support::flow::challenge;
use support::servers::Caddy;
use support::{Ca, Client, oracle};
use tokio::net::TcpStream;

/// A serving CA whose name server knows what the hooks wrote, and that these names are at loopback.
async fn serving(hosts: &[&str]) -> (Ca, DnsServer, TxtHooks) {
    let dns = DnsServer::start().await;
    let mut ca = Ca::new();
    let hooks = TxtHooks::new(&ca);
    dns.set_default(Answer::Files(hooks.folder.clone()));
    for host in hosts {
        dns.set(host, Answer::addresses(&["127.0.0.1"]));
    }
    ca.configure(&format!(
        "[resolver]\nservers = [\"{}\"]\n[validation]\nallow_networks = [\"127.0.0.0/8\"]\npatience = \"1s\"",
        dns.address()
    ));
    ca.start().await;
    (ca, dns, hooks)
}

#[tokio::test(flavor = "multi_thread")]
async fn certbot_issues_and_renews_a_wildcard_by_hooks() {
    let (ca, dns, hooks) = serving(&[]).await;
    let certbot = Certbot::new(&ca);
    let names = ["w.corp.lan", "*.w.corp.lan"];
    succeed(certbot.certonly(&names, "ecdsa", &Show::Hooks(&hooks))).await;
    let files = certbot.files("w.corp.lan");
    files.must_verify(&ca, &["w.corp.lan", "anything.w.corp.lan"]).await;
    let (before, first) = (files.serial().await, files.held());
    succeed(certbot.renew()).await;
    assert_ne!(before, files.serial().await);
    files.must_verify(&ca, &["w.corp.lan", "anything.w.corp.lan"]).await;
    let asked = dns.asked();
    assert!(asked.iter().any(|q| q.name == "_acme-challenge.w.corp.lan" && q.record == "TXT"), "{asked:?}");
    let listed = ca.ctl_items(&["list"]);
    assert!(listed.iter().any(|item| item.to_string().contains("*.w.corp.lan")), "{listed:?}");
    oracle::check(&ca, &[first, files.held()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lego_issues_and_renews_a_wildcard_by_a_script() {
    let (ca, dns, hooks) = serving(&[]).await;
    let lego = Lego::new(&ca);
    let server = dns.address().to_string();
    let names = ["*.l.corp.lan", "l.corp.lan"];
    succeed(lego.by_dns(&hooks, &server, &names, "ec256", &["run"])).await;
    let files = lego.files(names[0]);
    files.must_verify(&ca, &["l.corp.lan", "anything.l.corp.lan"]).await;
    let (before, first) = (files.serial().await, files.held());
    let renew = ["renew", "--days", "100", "--no-random-sleep"];
    succeed(lego.by_dns(&hooks, &server, &names, "ec256", &renew)).await;
    assert_ne!(before, files.serial().await);
    oracle::check(&ca, &[first, files.held()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lego_issues_and_renews_by_tls_alpn() {
    let (ca, _dns, _hooks) = serving(&["t.corp.lan", "u.corp.lan"]).await;
    let lego = Lego::new(&ca);
    let port = format!("127.0.0.1:{}", ca.tls_port);
    let by = ["--tls", "--tls.port", &port];
    let names = ["t.corp.lan", "u.corp.lan"];
    succeed(lego.by(&by, &names, "ec256", &["run"])).await;
    let files = lego.files(names[0]);
    files.must_verify(&ca, &names).await;
    let (before, first) = (files.serial().await, files.held());
    succeed(lego.by(&by, &names, "ec256", &["renew", "--days", "100", "--no-random-sleep"])).await;
    assert_ne!(before, files.serial().await);
    oracle::check(&ca, &[first, files.held()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn caddy_is_shown_by_tls_alpn_alone() {
    let (ca, _dns, _hooks) = serving(&["caddy.corp.lan"]).await;
    let mut caddy = Caddy::by_tls_alpn(&ca, "caddy.corp.lan");
    let chain = caddy.chain().await;
    assert!(ca.log().contains("challenge=tls-alpn-01"), "{}", ca.log());
    oracle::check(&ca, &[chain]).await;
}

/// OpenSSL's own server, with a certificate that is made for the challenge.
#[tokio::test(flavor = "multi_thread")]
async fn openssl_s_server_shows_a_challenge() {
    let (ca, _dns, _hooks) = serving(&["o.corp.lan"]).await;
    let client = Client::registered(&ca).await;
    let order = client.new_order(&["o.corp.lan"]).await;
    let (_, authorization) = client.authorizations(&order).await.remove(0);
    let offer = challenge(&authorization, "tls-alpn-01");
    let (der, key) = certificate("o.corp.lan", Some(&client.key_authorization(&offer).digest()));
    let (der_file, key_file) = (ca.path("challenge.der"), ca.path("challenge.key"));
    std::fs::write(&der_file, &der).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    let mut server = openssl();
    server.args([
        "s_server",
        "-accept",
        &format!("127.0.0.1:{}", ca.tls_port),
        "-alpn",
        "acme-tls/1",
        "-quiet",
    ]);
    server.args(["-certform", "DER", "-cert"]).arg(&der_file).arg("-key").arg(&key_file);
    let mut server = server.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + support::ca::PATIENCE;
    while TcpStream::connect(("127.0.0.1", ca.tls_port)).await.is_err() {
        assert!(Instant::now() < deadline, "s_server does not listen");
        tokio::time::sleep(support::ca::POLL).await;
    }
    client.answer(offer["url"].as_str().unwrap()).await.expect(200);
    let body = client.settled(&order.url).await;
    // `timeout`, which runs it, ends it too.
    let _ = std::process::Command::new("kill").arg(server.id().to_string()).status();
    let _ = server.wait();
    assert_eq!(body["status"], "ready", "{body}");
    let key = ec_key();
    client.finalize(&order, &Request::new(&["o.corp.lan"], &key).to_der()).await.expect(200);
    let pem = client.certificate(&order).await;
    oracle::check(&ca, &[pem]).await;
}

/// What a client prints when it fails is what its user has: the cause must be in it.
#[tokio::test(flavor = "multi_thread")]
async fn clients_that_fail_print_the_cause() {
    let (ca, dns, hooks) = serving(&["closed.corp.lan"]).await;
    dns.set("_acme-challenge.wrong.corp.lan", Answer::texts(&["what was there last year"]));
    let failed = run(Certbot::new(&ca).certonly(&["wrong.corp.lan"], "ecdsa", &Show::Hooks(&hooks))).await;
    let said = support::ca::text(&failed);
    assert!(!failed.status.success(), "{said}");
    assert!(said.contains("_acme-challenge.wrong.corp.lan") && said.contains("last year"), "{said}");

    let server = dns.address().to_string();
    dns.set("_acme-challenge.sick.corp.lan", Answer::ServFail);
    let failed = run(Lego::new(&ca).by_dns(&hooks, &server, &["sick.corp.lan"], "ec256", &["run"])).await;
    let said = support::ca::text(&failed);
    assert!(!failed.status.success() && said.contains("SERVFAIL") && said.contains(&server), "{said}");

    // lego listens elsewhere than where the CA asks.
    let elsewhere = format!("127.0.0.1:{}", support::ports::free_port());
    let by = ["--tls", "--tls.port", &elsewhere];
    let failed = run(Lego::new(&ca).by(&by, &["closed.corp.lan"], "ec256", &["run"])).await;
    let said = support::ca::text(&failed);
    assert!(!failed.status.success() && said.contains("nothing listens there"), "{said}");
    assert!(said.contains(&format!("127.0.0.1:{}", ca.tls_port)), "{said}");
    oracle::check(&ca, &[]).await;
}
