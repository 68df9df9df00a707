//! When to renew, RFC 9773: what everybody is told who knows a certificate, and orders that name their predecessor. With
//! it the profiles of draft-ietf-acme-profiles, and what is said of a lifetime that is too short for its client.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what surprises a test ends it")]

mod support;

use std::time::Duration;

use acme::time::Timestamp;
use acme_ca::clock::Clock;
use acme_ca::config::Config;
use acme_ca::serve::{Listeners, Server};
use openssl::nid::Nid;
use openssl::x509::X509;
use serde_json::{Value, json};

use support::ca::{PIN_CORP_LAN, text};
use support::csr::{Request, curve_key, ec_key, rsa_key};
use support::flow::{Issued, certificate_id, identifiers};
use support::jose::b64;
use support::{Ca, Client, Reply, Responder, oracle};

struct World {
    ca: Ca,
    client: Client,
    responder: Responder,
}

impl World {
    async fn new() -> Self {
        Self::with("").await
    }

    async fn with(configuration: &str) -> Self {
        let mut ca = Ca::new();
        ca.configure(PIN_CORP_LAN).configure(configuration);
        ca.start().await;
        let (client, responder) = (Client::registered(&ca).await, Responder::start(ca.http_port).await);
        Self { ca, client, responder }
    }

    async fn issue(&self, names: &[&str]) -> Issued {
        self.client.issue(names, &self.responder).await
    }

    async fn replace(&self, old: &Issued, names: &[&str]) -> Issued {
        let members = json!({"replaces": certificate_id(&old.pem)});
        let order = self.client.new_order_with(names, members).await;
        self.client.finish(order, &ec_key(), &self.responder).await
    }

    async fn info(&self, id: &str) -> Reply {
        info(&self.client, id).await
    }
}

async fn info(client: &Client, id: &str) -> Reply {
    let directory = client.plain("GET", "/acme/directory").await.expect(200);
    let base = directory["renewalInfo"].as_str().expect("it is offered").to_owned();
    client.plain("GET", &format!("{base}/{id}")).await
}

fn window(reply: &Reply) -> (Timestamp, Timestamp) {
    let body = reply.expect(200);
    let at = |key: &str| Timestamp::parse_rfc3339(body["suggestedWindow"][key].as_str().unwrap()).unwrap();
    (at("start"), at("end"))
}

/// The certificate of a chain as `ca-ctl show` tells of it.
fn shown(ca: &Ca, pem: &str) -> Value {
    let serial = X509::from_pem(pem.as_bytes()).unwrap().serial_number().to_bn().unwrap();
    ca.ctl_items(&["show", &serial.to_hex_str().unwrap()]).remove(0)
}

async fn refused(client: &Client, names: &[&str], replaces: &str, status: u16, kind: &str, words: &str) {
    let order = json!({"identifiers": identifiers(names), "replaces": replaces});
    let reply = client.post("/acme/new-order", order).await;
    assert_eq!((reply.status, reply.problem_type().as_str()), (status, kind), "{reply}");
    assert!(reply.text().contains(words), "{words}: {reply}");
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_who_knows_a_certificate_is_told_when_to_renew_it() {
    let world = World::new().await;
    let issued = world.issue(&["a.corp.lan"]).await;
    let stranger = Client::new(&world.ca);
    let reply = info(&stranger, &certificate_id(&issued.pem)).await;
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("retry-after"), Some("21600"));
    assert_eq!(reply.header("replay-nonce"), None, "no nonce to a GET");
    let (start, end) = window(&reply);
    let now = Clock::System.now();
    let days = |days: u64| Duration::from_secs(days * 86_400);
    assert!(start > now.plus(days(55)) && end < now.plus(days(62)), "{reply}");
    assert!(end.seconds_since(start) >= 2 * 86_400, "{reply}");
    assert_eq!(
        window(&info(&stranger, &certificate_id(&issued.pem)).await),
        (start, end),
        "the same each time"
    );
    let preflight = stranger.plain("OPTIONS", "/acme/renewal-info/x").await;
    assert_eq!((preflight.status, preflight.header("access-control-allow-origin")), (204, Some("*")));
    assert_eq!(world.ca.ctl_items(&["list"])[0]["polled_at"], Value::Null, "a poll costs no commit");
}

/// Rule 11 of the golden rules: after a client was pointed here from another CA, it asks about that one's certificates.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_ours_is_not_there_and_what_is_no_id_is_malformed() {
    let world = World::new().await;
    let issued = world.issue(&["a.corp.lan"]).await;
    let id = certificate_id(&issued.pem);
    let (key_id, serial) = id.split_once('.').unwrap();
    for foreign in [
        "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE".to_owned(),
        format!("aYhba4dGQEHhs3uEe6CuLN4ByNQ.{serial}"),
        format!("{key_id}.AIdlQyE"),
        format!("{key_id}.{}", b64(&[1; 21])),
    ] {
        let reply = world.info(&foreign).await;
        assert_eq!((reply.status, reply.problem_type().as_str()), (404, "malformed"), "{foreign}: {reply}");
    }
    for malformed in [
        "x",
        ".",
        "a.b.c",
        "..%2f",
        "%00",
        "AQ==.AQ==",
        key_id,
        &format!("{key_id}.h2VDIQ"),
        &"A".repeat(5_000),
    ] {
        let reply = world.info(malformed).await;
        assert_eq!((reply.status, reply.problem_type().as_str()), (400, "malformed"), "{malformed}: {reply}");
    }
    assert_eq!(world.info("%ff.%ff").await.status, 400);
    oracle::check(&world.ca, &[issued.pem]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_is_a_sign_of_life_that_is_kept() {
    let ca = Ca::new();
    ca.configure(PIN_CORP_LAN);
    let clock = Clock::standing_at(Clock::System.now());
    let config = Config::load(&ca.config()).unwrap();
    let server = Server::start(config, Listeners::none(), clock.clone()).await.unwrap();
    let (client, responder) = (Client::registered(&ca).await, Responder::start(ca.http_port).await);
    let polled = client.issue(&["polled.corp.lan"], &responder).await;
    let silent = client.issue(&["silent.corp.lan"], &responder).await;
    let before = server.app().store.stats();
    clock.set(clock.now().plus(Duration::from_secs(3_600)));
    for _ in 0..50 {
        info(&client, &certificate_id(&polled.pem)).await.expect(200);
    }
    assert_eq!(server.app().store.stats().commits, before.commits, "fifty polls, no commit");
    server.stop().await;
    assert_eq!(shown(&ca, &polled.pem)["polled_at"], clock.now().to_string());
    assert_eq!(shown(&ca, &silent.pem)["polled_at"], Value::Null);
    let words = text(&ca.ctl(&["show", "silent.corp.lan"]));
    assert!(words.contains("last poll      never"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_names_its_predecessor_takes_its_place() {
    let world = World::new().await;
    let old = world.issue(&["a.corp.lan", "b.corp.lan"]).await;
    let id = certificate_id(&old.pem);
    let new = world.replace(&old, &["a.corp.lan", "c.corp.lan"]).await;
    assert_eq!(new.order.body["replaces"], id.as_str(), "it is shown");
    assert_eq!(world.client.read(&new.order.url).await.expect(200)["replaces"], id.as_str(), "and stays");
    let (state, by) = (shown(&world.ca, &old.pem), shown(&world.ca, &new.pem));
    assert_eq!((&state["state"], &state["superseded_by"]), (&json!("superseded"), &by["serial"]));

    refused(&world.client, &["a.corp.lan"], &id, 409, "alreadyReplaced", &new.order.url).await;
    // Without a predecessor nothing is shown, and `""` names none.
    let plain = world.client.new_order_with(&["a.corp.lan"], json!({"replaces": ""})).await;
    assert_eq!(plain.body.get("replaces"), None, "{}", plain.body);
    // A certificate that one for the same names superseded is not replaced by an order: it may still be.
    let (first, second) = (world.issue(&["same.corp.lan"]).await, world.issue(&["same.corp.lan"]).await);
    let third = world.replace(&first, &["same.corp.lan"]).await;
    assert_eq!(world.info(&certificate_id(&first.pem)).await.status, 200, "polls go on");
    oracle::check(&world.ca, &[old.pem, new.pem, first.pem, second.pem, third.pem]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_failed_or_waits_replaces_nothing() {
    let world = World::with("[validation]\npatience = \"0s\"").await;
    let old = world.issue(&["a.corp.lan"]).await;
    let members = json!({"replaces": certificate_id(&old.pem)});
    let waits = world.client.new_order_with(&["a.corp.lan", "w.corp.lan"], members.clone()).await;
    let fails = world.client.new_order_with(&["a.corp.lan", "f.corp.lan"], members).await;
    for (url, authorization) in world.client.authorizations(&fails).await {
        if authorization["status"] == "pending" {
            world.client.post(&url, json!({"status": "deactivated"})).await.expect(200);
        }
    }
    let failed = world.client.read(&fails.url).await.expect(200);
    assert_eq!(failed["status"], "invalid", "{failed}");
    assert_ne!(shown(&world.ca, &old.pem)["state"], "superseded");

    let new = world.replace(&old, &["a.corp.lan", "n.corp.lan"]).await;
    // The one that waited may still be finished; the first successor stays.
    let late = world.client.finish(waits, &ec_key(), &world.responder).await;
    let successor = shown(&world.ca, &new.pem)["serial"].clone();
    assert_eq!(shown(&world.ca, &old.pem)["superseded_by"], successor);
    oracle::check(&world.ca, &[old.pem, new.pem, late.pem]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_predecessor_is_judged_before_the_order_is_made() {
    let world = World::new().await;
    let old = world.issue(&["a.corp.lan"]).await;
    let id = certificate_id(&old.pem);
    let (key_id, serial) = id.split_once('.').unwrap();
    let client = &world.client;
    let rows = [
        (&["b.corp.lan"][..], id.as_str(), "malformed", "is for a.corp.lan"),
        (&["a.corp.lan"], "nonsense", "malformed", "replaces: nonsense is no certificate identifier"),
        (&["a.corp.lan"], &format!("{key_id}.AIdlQyE"), "malformed", "no certificate"),
    ];
    for (names, replaces, kind, words) in rows {
        refused(client, names, replaces, 400, kind, words).await;
    }
    let number = json!({"identifiers": identifiers(&["a.corp.lan"]), "replaces": 1});
    assert_eq!(client.post("/acme/new-order", number).await.problem_type(), "malformed");
    let stranger = Client::registered(&world.ca).await;
    refused(&stranger, &["a.corp.lan"], &id, 403, "unauthorized", "another account").await;

    // Of another CA: it is shown as it was named, and our certificate of the same serial stays what it is.
    let foreign = format!("aYhba4dGQEHhs3uEe6CuLN4ByNQ.{serial}");
    let order = stranger.new_order_with(&["z.corp.lan"], json!({"replaces": foreign})).await;
    assert_eq!(order.body["replaces"], foreign.as_str());
    let issued = stranger.finish(order, &ec_key(), &world.responder).await;
    assert_ne!(shown(&world.ca, &old.pem)["state"], "superseded");
    oracle::check(&world.ca, &[old.pem, issued.pem]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_asks_for_renewals_with_the_server_up_and_down() {
    let mut world = World::new().await;
    let old = world.issue(&["a.corp.lan"]).await;
    let new = world.issue(&["a.corp.lan"]).await;
    let other = world.issue(&["b.corp.lan"]).await;
    let usual = window(&world.info(&certificate_id(&other.pem)).await);

    let asked = world.ca.ctl_items(&["renew", "--host", "a.corp.lan", "--spread", "1h"]);
    assert_eq!(asked.len(), 1, "the superseded one is left alone: {asked:?}");
    assert_eq!(asked[0]["serial"], shown(&world.ca, &new.pem)["serial"]);
    let (start, end) = window(&world.info(&certificate_id(&new.pem)).await);
    assert_eq!((&asked[0]["start"], &asked[0]["end"]), (&json!(start.to_string()), &json!(end.to_string())));
    assert!(end <= Clock::System.now().plus(Duration::from_secs(3_600)), "{end}");
    assert!(window(&world.info(&certificate_id(&old.pem)).await).0 > end, "its window did not move");
    assert_eq!(window(&world.info(&certificate_id(&other.pem)).await), usual);

    assert!(world.ca.terminate().success());
    assert_eq!(world.ca.ctl_items(&["renew", "--all", "--yes", "--spread", "0s"]).len(), 2);
    world.ca.restart().await;
    let client = Client::new(&world.ca);
    let (start, end) = window(&info(&client, &certificate_id(&other.pem)).await);
    assert!(start < end && end <= Clock::System.now(), "in the past: every client renews at once");
    oracle::check(&world.ca, &[old.pem, new.pem, other.pem]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_certificate_is_to_be_renewed_at_once() {
    let world = World::new().await;
    let issued = world.issue(&["a.corp.lan"]).await;
    let id = certificate_id(&issued.pem);
    assert!(window(&world.info(&id).await).0 > Clock::System.now());
    let der = X509::from_pem(issued.pem.as_bytes()).unwrap().to_der().unwrap();
    let revoked = world.client.post("/acme/revoke-cert", json!({"certificate": b64(&der)})).await;
    assert_eq!(revoked.status, 200, "{revoked}");
    assert!(window(&world.info(&id).await).1 < Clock::System.now());
    // And its client may still say that the next one is for it.
    let new = world.replace(&issued, &["a.corp.lan"]).await;
    oracle::check(&world.ca, &[issued.pem, new.pem]).await;
}

const PROFILES: &str = r#"
[profiles.default]
lifetime = "90d"
[profiles.Mutual]
lifetime = "7d"
client_auth = true
keys = ["p384", "ed25519"]
[profiles.lab]
lifetime = "1d"
description = "for the lab, see https://wiki.corp.lan/lab"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_says_keys_use_and_lifetime_and_the_order_says_which_it_is() {
    let world = World::with(PROFILES).await;
    let client = &world.client;
    let directory = client.plain("GET", "/acme/directory").await.expect(200);
    let profiles = json!({
        "default": "certificates for 90 days",
        "Mutual": "certificates for 7 days, for TLS servers and clients, for keys of the kinds p384, ed25519",
        "lab": "for the lab, see https://wiki.corp.lan/lab",
    });
    assert_eq!(directory["meta"]["profiles"], profiles);

    assert_eq!(client.new_order(&["d.corp.lan"]).await.body["profile"], "default", "what is chosen is shown");
    // mod_md knows no case in names of profiles.
    let order = client.new_order_with(&["m.corp.lan"], json!({"profile": "mutual"})).await;
    assert_eq!(order.body["profile"], "Mutual");
    client.make_ready(&order, &world.responder).await;
    for key in [ec_key(), rsa_key(2048, 65_537)] {
        let reply = client.finalize(&order, &Request::new(&["m.corp.lan"], &key).to_der()).await;
        assert_eq!((reply.status, reply.problem_type().as_str()), (400, "badCSR"), "{reply}");
        assert!(reply.text().contains("p384, ed25519 would do"), "{reply}");
    }
    assert_eq!(client.read(&order.url).await.expect(200)["status"], "ready");
    let csr = Request::new(&["m.corp.lan"], &curve_key(Nid::SECP384R1)).to_der();
    client.finalize(&order, &csr).await.expect(200);
    let mutual = client.certificate(&order).await;
    let plain = world.issue(&["d.corp.lan"]).await.pem;
    for (pem, days, is_client) in [(&mutual, 7, true), (&plain, 90, false)] {
        let leaf = X509::from_pem(pem.as_bytes()).unwrap();
        let words = String::from_utf8(leaf.to_text().unwrap()).unwrap();
        assert!(words.contains("TLS Web Server Authentication"), "{words}");
        assert_eq!(words.contains("TLS Web Client Authentication"), is_client, "{words}");
        assert_eq!(
            leaf.not_before().diff(leaf.not_after()).unwrap().days,
            days - 1,
            "a second less than {days}"
        );
    }
    oracle::check(&world.ca, &[mutual, plain]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lifetime_that_is_too_short_for_what_its_client_did_so_far_is_told() {
    let ca = Ca::new();
    ca.configure(PIN_CORP_LAN).configure(PROFILES);
    let clock = Clock::standing_at(Clock::System.now());
    let config = Config::load(&ca.config()).unwrap();
    let server = Server::start(config, Listeners::none(), clock.clone()).await.unwrap();
    let (client, responder) = (Client::registered(&ca).await, Responder::start(ca.http_port).await);
    let day = Duration::from_secs(86_400);
    let issue = async |profile: &str| {
        let order = client.new_order_with(&["timer.corp.lan"], json!({"profile": profile})).await;
        client.finish(order, &ec_key(), &responder).await.pem
    };
    let mut pems = Vec::new();
    // A timer that renews once a day, whether or not it is due.
    for _ in 0..4 {
        pems.push(issue("default").await);
        clock.set(clock.now().plus(day));
    }
    let usual = pems.last().unwrap();
    assert_eq!(shown(&ca, usual).get("lifetime_too_short"), None, "ninety days are enough for it");
    let short = issue("lab").await;
    let why = shown(&ca, &short)["lifetime_too_short"].as_str().expect("it is told").to_owned();
    assert!(
        why.contains("a lifetime of 1day") && why.contains("every 1day") && why.contains("3days would do"),
        "{why}"
    );
    let words = text(&ca.ctl(&["show", "timer.corp.lan"]));
    assert!(words.contains(&why), "{words}");
    // No oracle: OpenSSL goes by the system's clock, for which these begin in the future.
    server.stop().await;
}
