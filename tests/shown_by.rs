//! Issuance by challenges other than HTTP-01, on the real server: what is offered, what is issued, and that each way to
//! fail reaches the client, the operator and the log.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what surprises a test ends it")]

mod support;

use std::time::Duration;

use acme::challenge::{Type, dns_account01_name};
use acme::failure::{Evidence, Lookup};
use acme::identifier::Identifier;
use acme::persist::account_hash;
use acme::problem::Kind;
use acme::time::Timestamp;
use acme_ca::recheck;
use acme_ca::resolver::{self, Resolver, Server};
use acme_ca::validate::{self, Validator};
use serde_json::{Value, json};
use store::authorization::Authorization;
use support::alpn::{AlpnResponder, certificate};
use support::clients::{openssl, succeed};
use support::csr::{Request, ec_key};
use support::dns::{Answer, DnsServer};
use support::flow::{Order, challenge, identifiers, offered};
use support::jose::{Key, sign};
use support::{Ca, Client, Responder, oracle};

/// A serving CA that asks one name server, which knows no name yet; loopback may be dialled; failures are believed at
/// once, and every order is validated anew.
async fn serving(more: &str) -> (Ca, DnsServer) {
    let dns = DnsServer::start().await;
    dns.set_default(Answer::NxDomain);
    let mut ca = Ca::new();
    ca.configure(&format!(
        "[resolver]\nservers = [\"{}\"]\n[validation]\nallow_networks = [\"127.0.0.0/8\"]\npatience = \"0s\"\nreuse = \"0s\"",
        dns.address()
    ));
    ca.configure(more);
    ca.start().await;
    (ca, dns)
}

/// Answers the challenge of this type of every authorization, after `publish` was told of it, and gives the order's end.
async fn shown(client: &Client, order: &Order, kind: &str, publish: impl Fn(&Value, &Value)) -> Value {
    for (_, authorization) in client.authorizations(order).await {
        let challenge = challenge(&authorization, kind);
        publish(&authorization, &challenge);
        let reply = client.answer(challenge["url"].as_str().unwrap()).await;
        assert_eq!(reply.status, 200, "{reply}");
    }
    client.settled(&order.url).await
}

async fn issued(client: &Client, order: &Order, names: &[&str]) -> String {
    let key = ec_key();
    client.finalize(order, &Request::new(names, &key).to_der()).await.expect(200);
    client.certificate(order).await
}

async fn must_hold(ca: &Ca, pem: &str, option: &str, name: &str) {
    let leaf = ca.path("leaf.pem");
    std::fs::write(&leaf, pem).unwrap();
    let mut verify = openssl();
    verify.args(["verify", "-x509_strict", option, name, "-CAfile"]).arg(ca.root());
    verify.arg("-untrusted").arg(&leaf).arg(&leaf);
    succeed(verify).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_identifier_is_offered_what_can_show_it() {
    let drafts = "[profiles.drafts]\nchallenges = [\"dns-persist-01\", \"dns-account-01\", \"http-01\"]";
    let (ca, _dns) = serving(drafts).await;
    let client = Client::registered(&ca).await;
    let order = client.new_order(&["A.corp.lan", "*.a.corp.lan", "127.0.0.1"]).await;
    let all = client.authorizations(&order).await;
    assert_eq!(offered(&all[0].1), ["http-01", "dns-01", "tls-alpn-01"]);
    assert_eq!(offered(&all[1].1), ["dns-01"], "RFC 8555 7.1.3");
    assert_eq!(offered(&all[2].1), ["http-01", "tls-alpn-01"], "RFC 8738 7");
    let wildcard: Vec<bool> = all.iter().map(|(_, body)| body.get("wildcard").is_some()).collect();
    assert_eq!(wildcard, [false, true, false]);
    assert_eq!(all[1].1["identifier"]["value"], "a.corp.lan");
    assert_eq!(order.body["identifiers"], identifiers(&["A.corp.lan", "*.a.corp.lan", "127.0.0.1"]));

    // The drafts are there for those who ask for them: nobody else gets a challenge without a token.
    let of = |name: &str| json!({"profile": "drafts", "identifiers": identifiers(&[name])});
    for (name, types) in [
        ("a.corp.lan", &["http-01", "dns-account-01", "dns-persist-01"][..]),
        ("*.a.corp.lan", &["dns-account-01", "dns-persist-01"]),
        ("127.0.0.1", &["http-01"]),
    ] {
        let body = client.post("/acme/new-order", of(name)).await.expect(201);
        let authorization = client.read(body["authorizations"][0].as_str().unwrap()).await.expect(200);
        assert_eq!(offered(&authorization), types, "{name}");
    }
    oracle::check(&ca, &[]).await;
}

/// acme.sh takes a challenge to be whatever stands between two braces, and the first `value` for the identifier.
#[tokio::test(flavor = "multi_thread")]
async fn acme_sh_can_cut_each_challenge_out() {
    let all = "[validation]\nchallenges = [\"http-01\", \"dns-01\", \"tls-alpn-01\", \"dns-account-01\", \"dns-persist-01\"]";
    let (ca, _dns) = serving(all).await;
    let client = Client::registered(&ca).await;
    let order = client.new_order(&["a.corp.lan"]).await;
    let reply = client.read(order.body["authorizations"][0].as_str().unwrap()).await;
    let text = reply.text();
    assert!(text.starts_with(r#"{"identifier":{"type":"dns","value":"a.corp.lan"}"#), "{text}");
    let (_, challenges) = text.split_once(r#""challenges":["#).unwrap();
    let cut: Vec<&str> = challenges.split('{').skip(1).map(|part| part.split('}').next().unwrap()).collect();
    for (part, kind) in
        cut.iter().zip(["http-01", "dns-01", "tls-alpn-01", "dns-account-01", "dns-persist-01"])
    {
        assert!(part.starts_with(&format!(r#""type":"{kind}","url":"https://"#)), "{part}");
        assert_eq!(part.contains(r#""token":""#), kind != "dns-persist-01", "{part}");
    }
    assert_eq!(cut.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wildcard_its_base_and_a_name_below_it_go_into_one_certificate() {
    let (ca, dns) = serving("").await;
    let client = Client::registered(&ca).await;
    let names = ["*.w.corp.lan", "w.corp.lan", "b.w.corp.lan"];
    let order = client.new_order(&names).await;
    let urls = client.authorizations(&order).await;
    assert_eq!(urls.len(), 3, "each is shown by itself, though two have one name");
    // As clients do: both values of the one name, then both answers.
    let digest = |at: usize| client.key_authorization(&challenge(&urls[at].1, "dns-01")).txt();
    dns.set("_acme-challenge.w.corp.lan", Answer::texts(&[&digest(0), &digest(1)]));
    dns.set("_acme-challenge.b.w.corp.lan", Answer::texts(&[&digest(2)]));
    let body = shown(&client, &order, "dns-01", |_, _| ()).await;
    assert_eq!(body["status"], "ready", "{body}");
    let pem = issued(&client, &order, &names).await;
    must_hold(&ca, &pem, "-verify_hostname", "anything.w.corp.lan").await;
    must_hold(&ca, &pem, "-verify_hostname", "w.corp.lan").await;
    let (_, settled) = client.authorizations(&order).await.remove(0);
    assert_eq!((settled["status"].as_str(), &settled["wildcard"]), (Some("valid"), &json!(true)));
    assert_eq!(offered(&settled), ["dns-01"]);
    oracle::check(&ca, &[pem]).await;
}

/// RFC 8555 7.1.4 and 8.4: what was shown by DNS serves another order, unless its profile does not take DNS.
#[tokio::test(flavor = "multi_thread")]
async fn a_wildcard_that_was_shown_serves_other_orders_of_profiles_that_take_it() {
    let reuse = "[validation]\nreuse = \"1h\"\n[profiles.dns]\nchallenges = [\"dns-01\"]\n\
                 [profiles.account]\nchallenges = [\"dns-account-01\"]";
    let (ca, dns) = serving(reuse).await;
    let client = Client::registered(&ca).await;
    let order = client.new_order(&["*.again.corp.lan"]).await;
    shown(&client, &order, "dns-01", |_, challenge| {
        let digest = client.key_authorization(challenge).txt();
        dns.set("_acme-challenge.again.corp.lan", Answer::texts(&[&digest]));
    })
    .await;
    let of = |profile: &str, name: &str| json!({"profile": profile, "identifiers": identifiers(&[name])});
    for (profile, name, status) in [
        ("dns", "*.again.corp.lan", "ready"),
        ("account", "*.again.corp.lan", "pending"),
        ("dns", "again.corp.lan", "pending"),
    ] {
        let body = client.post("/acme/new-order", of(profile, name)).await.expect(201);
        assert_eq!(body["status"], status, "{profile} {name}: {body}");
    }
    oracle::check(&ca, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_addresses_are_shown_by_tls_alpn_01() {
    let (ca, dns) = serving("").await;
    dns.set("tls.corp.lan", Answer::addresses(&["127.0.0.1"]));
    let responder = AlpnResponder::start(&format!("127.0.0.1:{}", ca.tls_port)).await;
    let client = Client::registered(&ca).await;
    let names = ["tls.corp.lan", "127.0.0.1"];
    let order = client.new_order(&names).await;
    let body = shown(&client, &order, "tls-alpn-01", |authorization, challenge| {
        let value = authorization["identifier"]["value"].as_str().unwrap();
        let identifier = Identifier::ip(value).or_else(|_| Identifier::dns(value)).unwrap();
        responder.publish(&identifier, &client.key_authorization(challenge).digest());
    })
    .await;
    assert_eq!(body["status"], "ready", "{body}");
    let pem = issued(&client, &order, &names).await;
    must_hold(&ca, &pem, "-verify_hostname", "tls.corp.lan").await;
    must_hold(&ca, &pem, "-verify_ip", "127.0.0.1").await;
    let asked: Vec<_> = responder.hellos().into_iter().filter_map(|hello| hello.server_name).collect();
    assert_eq!(asked, ["tls.corp.lan", "1.0.0.127.in-addr.arpa"]);
    oracle::check(&ca, &[pem]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_of_the_accounts_own_is_looked_at_for_dns_account_01() {
    let (ca, dns) = serving("[validation]\nchallenges = [\"http-01\", \"dns-account-01\"]").await;
    let client = Client::registered(&ca).await;
    let order = client.new_order(&["*.acc.corp.lan"]).await;
    let body = shown(&client, &order, "dns-account-01", |_, challenge| {
        let digest = client.key_authorization(challenge).txt();
        dns.set(&dns_account01_name("acc.corp.lan", &client.kid()), Answer::texts(&[&digest]));
    })
    .await;
    assert_eq!(body["status"], "ready", "{body}");
    let pem = issued(&client, &order, &["*.acc.corp.lan"]).await;
    oracle::check(&ca, &[pem]).await;
}

/// RFC 8555 7.3.5, as it should be.
async fn change_key(client: &Client, new: &Key) {
    let url = client.url("/acme/key-change");
    let protected = json!({"alg": new.algorithm(), "jwk": new.jwk(), "url": url});
    let payload = json!({"account": client.kid(), "oldKey": client.key.jwk()});
    let jws = sign(new, &protected.to_string(), payload.to_string().as_bytes());
    client.post("/acme/key-change", jws).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_stays_serves_order_after_order_until_the_account_ends() {
    let persist = "[validation]\nchallenges = [\"http-01\", \"dns-persist-01\"]\ncaa_identities = [\"ca.corp.lan\"]\nreuse = \"0s\"";
    let (ca, dns) = serving(persist).await;
    let client = Client::registered(&ca).await;
    let meta = client.plain("GET", "/acme/directory").await.json()["meta"].clone();
    assert_eq!(meta["issuerDomainNames"], json!(["ca.corp.lan"]));
    assert!(meta.get("caaIdentities").is_none(), "CAA is not heeded: {meta}");
    let prefix = meta["accountHashPrefix"].as_str().unwrap().to_owned();
    assert!(prefix.starts_with(&ca.base()), "{prefix}");

    // Before any order, from what the directory and the account say.
    let until = Timestamp::parse_rfc3339("2100-01-01T00:00:00Z").unwrap().unix();
    let set = |until: i64| {
        let hash = account_hash("p.corp.lan", &client.key.thumbprint(), &client.kid());
        let record = format!("ca.corp.lan; accounturi={prefix}{hash}; policy=wildcard; persistUntil={until}");
        let (first, second) = record.split_at(100);
        let strings = vec![first.to_owned(), second.to_owned()];
        dns.set("_validation-persist.p.corp.lan", Answer::Strings(vec![strings]));
    };
    set(until);
    let names = ["p.corp.lan", "*.p.corp.lan"];
    let mut held = Vec::new();
    let order = client.new_order(&names).await;
    let (_, authorization) = client.authorizations(&order).await.remove(1);
    let offer = challenge(&authorization, "dns-persist-01");
    assert!(offer.get("token").is_none(), "{offer}");
    assert_eq!(offer["issuerDomainNames"], json!(["ca.corp.lan"]));
    let body = shown(&client, &order, "dns-persist-01", |_, _| ()).await;
    assert_eq!(body["status"], "ready", "{body}");
    held.push(issued(&client, &order, &names).await);

    // An authorization does not outlive its record.
    let soon = Timestamp::parse_rfc3339(authorization["expires"].as_str().unwrap()).unwrap();
    let soon = soon.minus(Duration::from_secs(12 * 3_600));
    set(soon.unix());
    let order = client.new_order(&["p.corp.lan"]).await;
    shown(&client, &order, "dns-persist-01", |_, _| ()).await;
    let (_, authorization) = client.authorizations(&order).await.remove(0);
    assert_eq!(authorization["expires"], soon.to_string());
    set(until);

    // The record names the first key, and holds when the account has another.
    let new = Key::generate();
    change_key(&client, &new).await;
    let renewed = Client::with_key(&ca, new);
    assert_eq!(renewed.register().await.status, 200);
    let order = renewed.new_order(&names).await;
    let body = shown(&renewed, &order, "dns-persist-01", |_, _| ()).await;
    assert_eq!(body["status"], "ready", "{body}");
    held.push(issued(&renewed, &order, &names).await);

    // It says nothing for anybody else.
    let other = Client::registered(&ca).await;
    let order = other.new_order(&["p.corp.lan"]).await;
    let body = shown(&other, &order, "dns-persist-01", |_, _| ()).await;
    assert_eq!(body["error"]["type"], "urn:ietf:params:acme:error:unauthorized", "{body}");
    oracle::check(&ca, &held).await;
}

/// One way to fail: the type of the challenge, what makes it fail, and what everybody is told.
struct Row {
    name: &'static str,
    challenge: &'static str,
    kind: &'static str,
    reason: &'static str,
    words: &'static str,
}

const fn row(
    name: &'static str,
    challenge: &'static str,
    kind: &'static str,
    reason: &'static str,
    words: &'static str,
) -> Row {
    Row { name, challenge, kind, reason, words }
}

const FAILURES: &[Row] = &[
    row("gone.corp.lan", "dns-01", "dns", "dns nxdomain", "NXDOMAIN"),
    row("bare.corp.lan", "dns-01", "dns", "dns nodata", "no TXT record"),
    row("sick.corp.lan", "dns-01", "dns", "dns servfail", "SERVFAIL"),
    row("shut.corp.lan", "dns-01", "dns", "dns refused", "REFUSED"),
    row("wrong.corp.lan", "dns-01", "incorrectResponse", "record mismatch", "'an old value'"),
    row("gone.corp.lan", "dns-account-01", "dns", "dns nxdomain", "_acme-challenge.gone.corp.lan"),
    row("gone.corp.lan", "dns-persist-01", "dns", "dns nxdomain", "_validation-persist.gone.corp.lan"),
    row("foreign.corp.lan", "dns-persist-01", "unauthorized", "record forbidden", "names localhost"),
    row("broken.corp.lan", "dns-persist-01", "malformed", "record malformed", "accounturi is missing"),
    row("gone.corp.lan", "tls-alpn-01", "dns", "dns nxdomain", "NXDOMAIN"),
    row("closed.corp.lan", "tls-alpn-01", "connection", "connect refused", "nothing listens there"),
    row("link.corp.lan", "tls-alpn-01", "rejectedIdentifier", "target forbidden", "link-local"),
    row("none.corp.lan", "tls-alpn-01", "tls", "tls tls", "did not agree on TLS"),
    row("usual.corp.lan", "tls-alpn-01", "unauthorized", "certificate mismatch", "no acmeIdentifier"),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_failure_reaches_the_client_the_operator_and_the_log() {
    let all =
        "[validation]\nchallenges = [\"dns-01\", \"tls-alpn-01\", \"dns-account-01\", \"dns-persist-01\"]";
    let (ca, dns) = serving(all).await;
    dns.set("_acme-challenge.bare.corp.lan", Answer::addresses(&["127.0.0.1"]));
    dns.set("_acme-challenge.sick.corp.lan", Answer::ServFail);
    dns.set("_acme-challenge.shut.corp.lan", Answer::Refused);
    dns.set("_acme-challenge.wrong.corp.lan", Answer::texts(&["an old value"]));
    dns.set("_validation-persist.foreign.corp.lan", Answer::texts(&["other.lan; accounturi=x"]));
    dns.set("_validation-persist.broken.corp.lan", Answer::texts(&["localhost"]));
    dns.set("closed.corp.lan", Answer::addresses(&["127.0.0.9"]));
    dns.set("link.corp.lan", Answer::addresses(&["169.254.169.254"]));
    for name in ["none.corp.lan", "usual.corp.lan"] {
        dns.set(name, Answer::addresses(&["127.0.0.1"]));
    }
    let responder = AlpnResponder::start(&format!("127.0.0.1:{}", ca.tls_port)).await;
    let (der, key) = certificate("usual.corp.lan", None);
    responder.show(&Identifier::dns("usual.corp.lan").unwrap(), der, &key);

    let client = Client::registered(&ca).await;
    for Row { name, challenge: by, kind, reason, words } in FAILURES {
        let order = client.new_order(&[name]).await;
        let body = shown(&client, &order, by, |_, _| ()).await;
        assert_eq!(body["status"], "invalid", "{name} {by}: {body}");
        let (_, authorization) = client.authorizations(&order).await.remove(0);
        assert_eq!(offered(&authorization), [*by], "the challenge that was tried is left: {authorization}");
        let tried = challenge(&authorization, by);
        for error in [&body["error"], &tried["error"]] {
            assert_eq!(error["type"], format!("urn:ietf:params:acme:error:{kind}"), "{name} {by}: {error}");
            let detail = error["detail"].as_str().unwrap();
            assert!(detail.contains(words) && detail.contains(name), "{name} {by}: {detail}");
        }
        let id = order.url.rsplit('/').next().unwrap();
        let listed = ca.ctl_items(&["orders", "--failed"]);
        let item = listed.iter().find(|item| item["order"] == id).expect("it is listed");
        let failure = &item["failures"][0];
        let told = format!("{} {}", failure["phase"].as_str().unwrap(), failure["reason"].as_str().unwrap());
        assert_eq!((told.as_str(), failure["challenge"].as_str()), (*reason, Some(*by)), "{failure}");
        assert!(failure["detail"].as_str().unwrap().contains(words), "{failure}");
        let log = ca.log();
        let line = log.lines().find(|line| line.contains(id) && line.contains("validation failed"));
        assert!(line.is_some_and(|line| line.contains(words)), "{name} {by}: {line:?}");
    }
    oracle::check(&ca, &[]).await;
}

// --- CAA

#[tokio::test(flavor = "multi_thread")]
async fn caa_is_heeded_with_the_validation_and_advertised() {
    let (ca, dns) =
        serving("[validation]\ncaa = true\ncaa_identities = [\"ca.corp.lan\", \"other.corp.lan\"]").await;
    dns.set_default(Answer::addresses(&["127.0.0.1"]));
    let client = Client::registered(&ca).await;
    let meta = client.plain("GET", "/acme/directory").await.json()["meta"].clone();
    assert_eq!(meta["caaIdentities"], json!(["ca.corp.lan", "other.corp.lan"]));
    assert!(meta.get("issuerDomainNames").is_none(), "{meta}");

    let accounted = format!("0 issue ca.corp.lan; accounturi={}; validationmethods=http-01", client.kid());
    dns.set("yes.corp.lan", Answer::with_caa(&[&accounted]));
    let responder = Responder::start(ca.http_port).await;
    let good = client.issue(&["yes.corp.lan", "free.corp.lan"], &responder).await;
    let asked = dns.asked();
    let times = asked.iter().filter(|q| q.record == "CAA" && q.name == "yes.corp.lan").count();
    assert_eq!(times, 1, "with the validation, and not again at finalize");

    dns.set("no.corp.lan", Answer::with_caa(&["0 issue letsencrypt.org"]));
    let silent = Answer::ByRecord(
        vec![(support::dns::CAA_RECORD, Answer::ServFail)],
        Box::new(Answer::addresses(&["127.0.0.1"])),
    );
    dns.set("sick.corp.lan", silent);
    for (name, kind, reason, words) in [
        ("no.corp.lan", "caa", "caa forbidden", "letsencrypt.org"),
        ("sick.corp.lan", "dns", "caa servfail", "CAA is not known"),
    ] {
        let order = client.new_order(&[name]).await;
        client.publish(&order, &responder).await;
        let body = shown(&client, &order, "http-01", |_, _| ()).await;
        assert_eq!(body["status"], "invalid", "{body}");
        assert_eq!(body["error"]["type"], format!("urn:ietf:params:acme:error:{kind}"), "{body}");
        assert!(body["error"]["detail"].as_str().unwrap().contains(words), "{body}");
        let id = order.url.rsplit('/').next().unwrap();
        let listed = ca.ctl_items(&["orders", "--failed"]);
        let item = listed.iter().find(|item| item["order"] == id).expect("it is listed");
        let failure = &item["failures"][0];
        let told = format!("{} {}", failure["phase"].as_str().unwrap(), failure["reason"].as_str().unwrap());
        assert_eq!((told.as_str(), failure["server"].as_str()), (reason, Some(&*dns.address().to_string())));
        assert!(ca.log().lines().any(|line| line.contains(id) && line.contains(words)), "{name}");
    }
    oracle::check(&ca, &[good.pem]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_validated_before_caa_counted_is_looked_at_at_finalize() {
    let (mut ca, dns) = serving("").await;
    dns.set_default(Answer::addresses(&["127.0.0.1"]));
    let responder = Responder::start(ca.http_port).await;
    let client = Client::registered(&ca).await.persistent();
    let forbidden = client.ready_order(&["no.corp.lan", "free.corp.lan"], &responder).await;
    let unknown = client.ready_order(&["sick.corp.lan"], &responder).await;
    assert!(dns.asked().iter().all(|question| question.record != "CAA"), "CAA is off by default");
    ca.configure("[validation]\ncaa = true\ncaa_identities = [\"ca.corp.lan\"]");
    ca.hup().await;
    dns.set("no.corp.lan", Answer::with_caa(&["0 issue ;"]));
    dns.set("sick.corp.lan", Answer::ServFail);

    let key = ec_key();
    let csr = Request::new(&["no.corp.lan", "free.corp.lan"], &key).to_der();
    let reply = client.finalize(&forbidden, &csr).await;
    assert_eq!((reply.status, reply.problem_type().as_str()), (403, "caa"), "{reply}");
    assert!(reply.text().contains("no.corp.lan"), "{reply}");
    let body = client.read(&forbidden.url).await.expect(200);
    assert_eq!((body["status"].as_str(), &body["error"]["type"]), (Some("invalid"), &reply.json()["type"]));
    let id = forbidden.url.rsplit('/').next().unwrap();
    let listed = ca.ctl_items(&["orders", "--failed"]);
    let item = listed.iter().find(|item| item["order"] == id).expect("it is listed");
    assert!(item["problem"]["detail"].as_str().unwrap().contains("CAA records of no.corp.lan"), "{item}");
    assert!(ca.log().lines().any(|line| line.contains(id) && line.contains("CAA stops a finalize")));

    // What may pass does not end the order.
    let csr = Request::new(&["sick.corp.lan"], &key).to_der();
    let reply = client.finalize(&unknown, &csr).await;
    assert_eq!((reply.status, reply.problem_type().as_str()), (400, "dns"), "{reply}");
    assert_eq!(client.read(&unknown.url).await.expect(200)["status"], "ready");
    dns.set("sick.corp.lan", Answer::with_caa(&["0 issue ca.corp.lan"]));
    client.finalize(&unknown, &csr).await.expect(200);
    let pem = client.certificate(&unknown).await;
    oracle::check(&ca, &[pem]).await;
}

/// RFC 8659 4: eight hours. The authorization is built, because no test waits for so long.
#[tokio::test]
async fn caa_that_was_looked_at_within_eight_hours_is_not_asked_for_again() {
    let dns = DnsServer::start().await;
    dns.set_default(Answer::with_caa(&["0 issue ;"]));
    let servers = vec![Server::parse(&dns.address().to_string()).unwrap()];
    let settings = resolver::Settings { servers, ..resolver::Settings::default() };
    let resolver = Resolver::new(settings, rustls::RootCertStore::empty()).unwrap();
    let identities = vec!["ca.lan".to_owned()];
    let settings = validate::Settings { caa: true, identities, ..validate::Settings::default() };
    let validator = Validator::new(settings, std::sync::Arc::new(resolver));
    let validated = Timestamp::from_unix(1_800_000_000);
    let at = |hours: i64, seen: &str| {
        let lookup = Lookup { record: seen.to_owned(), ..Lookup::default() };
        let authorization = Authorization {
            id: acme::id::AuthorizationId::mint(validated, acme_ca::random()),
            account: acme::id::AccountId::mint(validated, acme_ca::random()),
            order: None,
            identifier: Identifier::dns("a.lan").unwrap(),
            wildcard: false,
            status: acme::order::AuthorizationStatus::Valid,
            token: acme::challenge::Token::mint(acme_ca::random()),
            challenges: vec![Type::Http01],
            attempted: Some(Type::Http01),
            attempted_at: Some(validated),
            validated_at: Some(validated),
            created_at: validated,
            expires_at: validated.plus(Duration::from_secs(86_400)),
            error: None,
            evidence: Some(Evidence { lookups: vec![lookup], dials: vec![] }),
        };
        let now = Timestamp::from_unix(validated.unix() + hours * 3_600);
        (authorization, now)
    };
    for (hours, seen, asked) in [(0, "CAA", 0), (7, "CAA", 0), (8, "CAA", 1), (0, "A", 1), (-1, "CAA", 1)] {
        let before = dns.queries();
        let (authorization, now) = at(hours, seen);
        let result = recheck::caa(&validator, "https://ca.lan/acme/account/1", &[authorization], now).await;
        assert_eq!(dns.queries() - before, asked, "{hours} hours after {seen}");
        assert_eq!(result.err().map(|problem| problem.kind), (asked == 1).then_some(Kind::Caa));
    }
}
