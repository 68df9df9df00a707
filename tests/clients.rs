//! Real clients against the real server: certbot and lego as Debian packs them, nginx, and OpenSSL as the judge. Every
//! journey runs twice, because a name's address comes from one of two places: from a pin, and from a name server (a
//! real one, on loopback) while nothing is pinned.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what surprises a test ends it")]

mod support;

use std::process::Command;
use std::time::Instant;

use support::ca::{PIN_CORP_LAN, text};
use support::clients::{Certbot, Files, Lego, Show, must_be_served, openssl, run, succeed};
use support::dns::{Answer, DnsServer};
use support::responder::Mood;
use support::servers::{Caddy, Nginx};
use support::{Ca, Client, Responder, oracle, ports};

/// Where addresses come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Names {
    Pinned,
    Asked,
}

/// A serving CA, and the name server that it asks when nothing is pinned.
async fn serving(names: Names) -> (Ca, Option<DnsServer>) {
    let mut ca = Ca::new();
    let dns = match names {
        Names::Pinned => {
            ca.configure(PIN_CORP_LAN);
            None
        }
        Names::Asked => {
            let dns = DnsServer::start().await;
            dns.set_default(Answer::addresses(&["127.0.0.1"]));
            ca.configure(&format!(
                "[resolver]\nservers = [\"{}\"]\n[validation]\nallow_networks = [\"127.0.0.0/8\"]",
                dns.address()
            ));
            Some(dns)
        }
    };
    ca.start().await;
    (ca, dns)
}

/// That the name server was asked for each of these names, where there is one.
fn must_have_been_asked(dns: Option<&DnsServer>, names: &[&str]) {
    let Some(dns) = dns else { return };
    let asked = dns.asked();
    for name in names {
        assert!(asked.iter().any(|question| question.name.eq_ignore_ascii_case(name)), "{name}: {asked:?}");
    }
}

/// Several names, both key types, renewal, and an account that is shown, changed and given up.
async fn certbot_standalone(names: Names) {
    let (ca, dns) = serving(names).await;
    let certbot = Certbot::new(&ca);
    let several = ["web.corp.lan", "www.corp.lan", "deep.below.corp.lan"];

    succeed(certbot.certonly(&several, "rsa", &Show::Standalone)).await;
    let web = certbot.files(several[0]);
    web.must_verify(&ca, &several).await;
    assert!(web.described().await.contains("rsaEncryption"));
    let first = web.held();

    succeed(certbot.certonly(&["api.corp.lan"], "ecdsa", &Show::Standalone)).await;
    let api = certbot.files("api.corp.lan");
    api.must_verify(&ca, &["api.corp.lan"]).await;
    assert!(api.described().await.contains("id-ecPublicKey"));
    must_have_been_asked(dns.as_ref(), &[&several[..], &["api.corp.lan"]].concat());

    let before = [web.serial().await, api.serial().await];
    succeed(certbot.renew()).await;
    let after = [web.serial().await, api.serial().await];
    assert!(before[0] != after[0] && before[1] != after[1], "{before:?} {after:?}");
    web.must_verify(&ca, &several).await;
    api.must_verify(&ca, &["api.corp.lan"]).await;

    let account = succeed(certbot.command("show_account")).await;
    assert!(account.contains(&format!("{}/acme/account/", ca.base())), "{account}");
    let mut update = certbot.command("update_account");
    update.args(["--email", "admin@corp.lan"]);
    succeed(update).await;
    let account = succeed(certbot.command("show_account")).await;
    assert!(account.contains("admin@corp.lan"), "{account}");
    succeed(certbot.command("unregister")).await;

    oracle::check(&ca, &[first, web.held(), api.held()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certbot_standalone_issues_renews_and_unregisters_with_pins() {
    certbot_standalone(Names::Pinned).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certbot_standalone_issues_renews_and_unregisters_with_a_name_server() {
    certbot_standalone(Names::Asked).await;
}

/// The web server that shows the challenge afterwards serves the certificate.
async fn certbot_webroot(names: Names) {
    let (ca, dns) = serving(names).await;
    let nginx = Nginx::webroot(&ca).await;
    let certbot = Certbot::new(&ca);
    let webroot = ca.scratch("webroot");

    succeed(certbot.certonly(&["site.corp.lan", "alias.corp.lan"], "ecdsa", &Show::Webroot(&webroot))).await;
    let site = certbot.files("site.corp.lan");
    let first = site.held();
    let before = site.serial().await;
    succeed(certbot.renew()).await;
    assert_ne!(before, site.serial().await);
    site.must_verify(&ca, &["site.corp.lan", "alias.corp.lan"]).await;
    must_have_been_asked(dns.as_ref(), &["site.corp.lan", "alias.corp.lan"]);
    drop(nginx);

    let port = ports::free_port();
    let _nginx = Nginx::tls(&ca, &site, port).await;
    must_be_served(&ca, port, "alias.corp.lan").await;
    oracle::check(&ca, &[first, site.held()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certbot_webroot_behind_nginx_issues_and_renews_with_pins() {
    certbot_webroot(Names::Pinned).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certbot_webroot_behind_nginx_issues_and_renews_with_a_name_server() {
    certbot_webroot(Names::Asked).await;
}

/// Both key types, several names, renewal of each.
async fn lego(names: Names) {
    let (ca, dns) = serving(names).await;
    let lego = Lego::new(&ca);
    let mut held = Vec::new();
    for (key_type, names) in [("ec256", &["a.corp.lan"][..]), ("rsa2048", &["b.corp.lan", "c.corp.lan"])] {
        succeed(lego.command(names, key_type, &["run"])).await;
        let files: Files = lego.files(names[0]);
        files.must_verify(&ca, names).await;
        let (before, first) = (files.serial().await, files.held());
        // 100 days is more than a certificate lasts, so it is due.
        succeed(lego.command(names, key_type, &["renew", "--days", "100", "--no-random-sleep"])).await;
        assert_ne!(before, files.serial().await, "{key_type}");
        files.must_verify(&ca, names).await;
        must_have_been_asked(dns.as_ref(), names);
        held.extend([first, files.held()]);
    }
    oracle::check(&ca, &held).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lego_issues_and_renews_with_pins() {
    lego(Names::Pinned).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lego_issues_and_renews_with_a_name_server() {
    lego(Names::Asked).await;
}

/// By the account, by the certificate's key, with and without a reason. What the list says is read by OpenSSL.
#[tokio::test(flavor = "multi_thread")]
async fn certbot_and_lego_revoke_and_the_list_says_so() {
    let (ca, _) = serving(Names::Pinned).await;
    let certbot = Certbot::new(&ca);
    let (account, key) = (["account.corp.lan"], ["key.corp.lan"]);
    succeed(certbot.certonly(&account, "ecdsa", &Show::Standalone)).await;
    succeed(certbot.certonly(&key, "rsa", &Show::Standalone)).await;
    let (by_account, by_key) = (certbot.files(account[0]), certbot.files(key[0]));
    let mut revoke = certbot.command("revoke");
    revoke.args(["--no-delete-after-revoke", "--reason", "superseded", "--cert-path"]).arg(&by_account.leaf);
    succeed(revoke).await;
    let mut revoke = certbot.command("revoke");
    revoke.args(["--no-delete-after-revoke", "--cert-path"]).arg(&by_key.leaf);
    revoke.arg("--key-path").arg(&by_key.key);
    succeed(revoke).await;

    let lego = Lego::new(&ca);
    let name = ["lego.corp.lan"];
    succeed(lego.command(&name, "ec256", &["run"])).await;
    let by_lego = lego.files(name[0]);
    succeed(lego.command(&name, "ec256", &["revoke", "--keep", "--reason", "5"])).await;
    // A key that was lost is not used again: both clients make another for the next certificate.
    succeed(certbot.renew()).await;

    let mut wanted =
        vec![("Superseded", &account[0]), ("Key Compromise", &key[0]), ("Cessation Of Operation", &name[0])];
    wanted.sort_unstable();
    let deadline = Instant::now() + support::ca::PATIENCE;
    loop {
        let listed = revoked(&ca).await;
        if listed.matches("Serial Number:").count() == wanted.len() {
            for (reason, name) in &wanted {
                let items = ca.ctl_items(&["show", name]);
                let item = items.iter().find(|item| item["state"] == "revoked").expect("it is revoked");
                let serial = item["serial"].as_str().unwrap().to_uppercase();
                let entry = listed.split("Serial Number: ").find(|entry| entry.starts_with(&serial));
                assert!(entry.is_some_and(|entry| entry.contains(reason)), "{name}: {reason}: {listed}");
            }
            break;
        }
        assert!(Instant::now() < deadline, "{listed}");
        tokio::time::sleep(support::ca::POLL).await;
    }
    oracle::check(&ca, &[by_account.held(), by_key.held(), by_lego.held()]).await;
}

/// The list of the one issuer, as `openssl crl` shows it.
async fn revoked(ca: &Ca) -> String {
    let issuer = ca.ctl_items(&["list"])[0]["issuer"].as_str().unwrap().to_owned();
    let reply = Client::new(ca).plain("GET", &format!("/crl/{issuer}.crl")).await;
    assert_eq!(reply.status, 200, "{reply}");
    let file = ca.path("list.crl");
    std::fs::write(&file, &reply.body).unwrap();
    let mut command = openssl();
    command.args(["crl", "-inform", "DER", "-noout", "-text", "-in"]).arg(&file);
    command.arg("-CAfile").arg(ca.path("intermediate.pem"));
    succeed(command).await
}

/// Caddy asks by itself when it starts, and serves what it got.
#[tokio::test(flavor = "multi_thread")]
async fn caddy_serves_what_it_asked_for() {
    let (ca, dns) = serving(Names::Asked).await;
    let mut caddy = Caddy::start(&ca, "caddy.corp.lan");
    let chain = caddy.chain().await;
    must_have_been_asked(dns.as_ref(), &["caddy.corp.lan"]);
    must_be_served(&ca, caddy.port, "caddy.corp.lan").await;
    oracle::check(&ca, &[chain]).await;
}

/// What a client prints when it fails is what its user has: the cause must be in it.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_fails_prints_the_cause() {
    let mut ca = Ca::new();
    let dns = DnsServer::start().await;
    dns.set_default(Answer::NxDomain);
    ca.configure(&format!("[resolver]\nservers = [\"{}\"]\n[validation]\npatience = \"2s\"", dns.address()));
    ca.start().await;

    let certbot = Certbot::new(&ca);
    let failed = run(certbot.certonly(&["nowhere.corp.lan"], "ecdsa", &Show::Standalone)).await;
    let said = text(&failed);
    assert!(!failed.status.success(), "{said}");
    let server = dns.address().to_string();
    assert!(
        said.contains("nowhere.corp.lan") && said.contains("NXDOMAIN") && said.contains(&server),
        "{said}"
    );

    let failed = run(Lego::new(&ca).command(&["nowhere.corp.lan"], "ec256", &["run"])).await;
    let said = text(&failed);
    assert!(!failed.status.success(), "{said}");
    assert!(said.contains("NXDOMAIN") && said.contains(&server), "{said}");
    oracle::check(&ca, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_gets_a_certificate() {
    let mut ca = Ca::new();
    ca.configure("[validation]\nallow_networks = [\"127.0.0.0/8\"]");
    ca.start().await;
    let client = Client::registered(&ca).await;
    let responder = Responder::start(ca.http_port).await;
    let issued = client.issue(&["127.0.0.1"], &responder).await;

    let leaf = ca.path("leaf.pem");
    std::fs::write(&leaf, &issued.pem).unwrap();
    let mut verify = openssl();
    verify.args(["verify", "-x509_strict", "-verify_ip", "127.0.0.1", "-CAfile"]).arg(ca.root());
    verify.arg("-untrusted").arg(&leaf).arg(&leaf);
    succeed(verify).await;
    let host = responder.asked()[0].host.clone();
    assert_eq!(host, format!("127.0.0.1:{}", ca.http_port), "RFC 8738 4: Host is the address itself");
    oracle::check(&ca, &[issued.pem]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_own_certificate_verifies_by_the_root_alone() {
    let ca = Ca::pinned().await;
    must_be_served(&ca, ca.port, "localhost").await;
    oracle::check(&ca, &[]).await;
}

/// Keys and names as clients of other makes send them: RSA account keys, a common name, the order's names in another
/// order and another case.
#[tokio::test(flavor = "multi_thread")]
async fn unusual_but_right_requests_are_served() {
    use support::csr::{Request, curve_key, rsa_key};
    use support::jose::Key;

    let ca = Ca::pinned().await;
    let responder = Responder::start(ca.http_port).await;
    let client = Client::with_key(&ca, Key::rsa(2048));
    client.register().await;
    let names = ["Mixed.Corp.lan", "other.corp.lan"];
    let keys = [rsa_key(2048, 65_537), rsa_key(4096, 65_537), curve_key(openssl::nid::Nid::SECP384R1)];
    let mut held = Vec::new();
    for key in &keys {
        let order = client.ready_order(&names, &responder).await;
        let sent: Vec<_> =
            order.body["identifiers"].as_array().unwrap().iter().map(|i| i["value"].clone()).collect();
        assert_eq!(sent, names, "identifiers are echoed byte for byte");
        let request = Request {
            common_name: Some("other.corp.lan"),
            ..Request::new(&["other.corp.lan", "mixed.corp.lan"], key)
        };
        let reply = client.finalize(&order, &request.to_der()).await;
        assert_eq!(reply.expect(200)["status"], "valid", "signing is local, so the answer is valid at once");
        held.push(client.certificate(&order).await);
    }
    // The common name stands alone: old clients repeat nothing in the SAN.
    let order = client.ready_order(&["cn.corp.lan"], &responder).await;
    let request = Request { common_name: Some("cn.corp.lan"), ..Request::new(&[], &keys[0]) };
    client.finalize(&order, &request.to_der()).await.expect(200);
    held.push(client.certificate(&order).await);
    oracle::check(&ca, &held).await;
}

/// A target that is not well for a while is asked again until it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_web_server_that_is_late_is_waited_for() {
    let ca = Ca::pinned().await;
    let client = Client::registered(&ca).await;
    let responder = Responder::start(ca.http_port).await;
    responder.be(Mood::Status(503));
    let order = client.new_order(&["late.corp.lan"]).await;
    let challenge = client.publish(&order, &responder).await.remove(0);
    client.answer(&challenge).await;
    responder.asked_times(1).await;
    let body = poll(&client, &challenge, |body| body["error"].is_object()).await;
    assert_eq!(body["status"], "processing", "RFC 8555 8.2: {body}");
    assert!(body["error"]["detail"].as_str().unwrap().contains("503"), "{body}");
    responder.be(Mood::Answer);
    assert_eq!(client.settled(&order.url).await["status"], "ready");
    oracle::check(&ca, &[]).await;
}

async fn poll(client: &Client, url: &str, enough: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
    let deadline = Instant::now() + support::ca::PATIENCE;
    loop {
        let body = client.read(url).await.expect(200);
        if enough(&body) {
            return body;
        }
        assert!(Instant::now() < deadline, "{body}");
        tokio::time::sleep(support::ca::POLL).await;
    }
}

/// RFC 8555 7.4.2: the same issuer certified by a second root, which some clients trust instead.
#[tokio::test(flavor = "multi_thread")]
async fn certbot_takes_the_chain_that_it_prefers() {
    let mut ca = Ca::new();
    ca.configure(PIN_CORP_LAN);
    let dir = ca.path("");
    let at = |name: &str| dir.join(name).display().to_string();
    let make = |line: &str| {
        let output = ca.ctl(&line.split(' ').collect::<Vec<_>>());
        assert!(output.status.success(), "{line}: {}", text(&output));
    };
    make(&format!("root create --dir {} --name Other --permit corp.lan --no-passphrase", at("other")));
    let mut request = openssl();
    request.args(["x509", "-x509toreq", "-in", &at("intermediate.pem")]);
    request.args(["-signkey", &at("intermediate.key"), "-out", &at("cross.csr")]);
    succeed(request).await;
    make(&format!("root sign --dir {} --csr {} --out {}", at("other"), at("cross.csr"), at("cross.pem")));

    let issuer = std::fs::read_to_string(ca.config()).unwrap();
    let with = |file: &str| {
        issuer.replace("[[ca.issuer]]\n", &format!("[[ca.issuer]]\nalternates = [\"{file}\"]\n"))
    };
    std::fs::write(ca.config(), with("root.pem")).unwrap();
    let check = Command::new(env!("CARGO_BIN_EXE_acme-ca"))
        .args(["check-config", "--config"])
        .arg(ca.config())
        .output();
    let refused = text(&check.unwrap());
    assert!(
        refused.contains("root.pem: does not begin with a certificate for the name, the key and"),
        "{refused}"
    );
    std::fs::write(ca.config(), with("cross.pem")).unwrap();
    ca.start().await;

    let certbot = Certbot::new(&ca);
    let mut command = certbot.certonly(&["one.corp.lan"], "ecdsa", &Show::Standalone);
    command.args(["--preferred-chain", "Other"]);
    succeed(command).await;
    let files = certbot.files("one.corp.lan");
    let cross = std::fs::read_to_string(at("cross.pem")).unwrap();
    assert_eq!(std::fs::read_to_string(&files.chain).unwrap().trim(), cross.trim());
    let mut verify = openssl();
    verify
        .args(["verify", "-CAfile", &at("other/root.pem"), "-untrusted"])
        .arg(&files.chain)
        .arg(&files.leaf);
    succeed(verify).await;

    let responder = Responder::start(ca.http_port).await;
    let client = Client::registered(&ca).await;
    let order = client.ready_order(&["two.corp.lan"], &responder).await;
    let csr = support::csr::Request::new(&["two.corp.lan"], &support::csr::ec_key()).to_der();
    let url = client.finalize(&order, &csr).await.expect(200)["certificate"].as_str().unwrap().to_owned();
    let link = |url: &str| format!("<{url}>;rel=\"alternate\"");
    let (main, other) = (client.read(&url).await, client.read(&format!("{url}/1")).await);
    assert!(main.all("link").contains(&link(&format!("{url}/1")).as_str()), "{main}");
    assert!(
        other.all("link").contains(&link(&url).as_str()) && other.text().contains(cross.trim()),
        "{other}"
    );
    for none in ["0", "2", "01", "x"] {
        assert_eq!(client.read(&format!("{url}/{none}")).await.status, 404, "{none}");
    }
    let stranger = Client::registered(&ca).await;
    assert_eq!(stranger.read(&format!("{url}/1")).await.status, 403);
    oracle::check(&ca, &[files.held(), main.text()]).await;
}
