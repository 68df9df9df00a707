//! What ran out says so, and when: RFC 8555 7.1.6. The clock is the test's.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what surprises a test ends it")]

mod support;

use std::time::{Duration, Instant};

use acme_ca::clock::Clock;
use acme_ca::config::Config;
use acme_ca::serve::{Listeners, Server};
use serde_json::{Value, json};

use support::ca::PIN_CORP_LAN;
use support::csr::{Request, ec_key};
use support::{Ca, Client, Responder, oracle};

/// A server in this process, and the clock that it looks at.
async fn serving(ca: &Ca) -> (Server, Clock) {
    ca.configure(PIN_CORP_LAN);
    let clock = Clock::standing_at(Clock::System.now());
    let config = Config::load(&ca.config()).unwrap();
    (Server::start(config, Listeners::none(), clock.clone()).await.unwrap(), clock)
}

fn says(problem: &Value, words: &[&str]) {
    assert_eq!(problem["type"], "urn:ietf:params:acme:error:unauthorized", "{problem}");
    let detail = problem["detail"].as_str().unwrap();
    for word in words {
        assert!(detail.contains(word), "{word}: {problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authorization_that_nobody_touched_says_that_it_ran_out_and_when() {
    let ca = Ca::new();
    let (server, clock) = serving(&ca).await;
    let client = Client::registered(&ca).await;
    let order = client.new_order(&["late.corp.lan"]).await;
    let (url, shown) = client.authorizations(&order).await.remove(0);
    let end = shown["expires"].as_str().unwrap().to_owned();
    clock.set(clock.now().plus(DAY));

    let body = client.read(&url).await.expect(200);
    assert_eq!(body["status"], "invalid", "{body}");
    for challenge in body["challenges"].as_array().unwrap() {
        // RFC 8555 8: a challenge with an error is invalid. certbot reports these and no others.
        assert_eq!(challenge["status"], "invalid", "{body}");
        says(&challenge["error"], &["late.corp.lan", &end, "new order"]);
    }
    let body = client.read(&order.url).await.expect(200);
    assert_eq!(body["status"], "invalid", "{body}");
    says(&body["error"], &["late.corp.lan", &end, "new order"]);
    let challenge = support::flow::http01(&shown)["url"].as_str().unwrap().to_owned();
    // There is no way back: what is over cannot be given up either.
    let body = client.post(&url, json!({"status": "deactivated"})).await.expect(200);
    assert_eq!((&body["status"], &body["challenges"][0]["status"]), (&json!("invalid"), &json!("invalid")));
    let late = client.answer(&challenge).await;
    assert_eq!((late.status, late.problem_type().as_str()), (400, "malformed"), "{late}");
    oracle::check(&ca, &[]).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_name_of_two_that_came_too_late_is_named() {
    let ca = Ca::new();
    let (server, clock) = serving(&ca).await;
    let (client, responder) = (Client::registered(&ca).await, Responder::start(ca.http_port).await);
    let order = client.new_order(&["late.corp.lan", "there.corp.lan"]).await;
    let challenges = client.publish(&order, &responder).await;
    // A little later, so that it outlives the order.
    clock.set(clock.now().plus(Duration::from_secs(3_600)));
    let mut there = None;
    for ((url, shown), challenge) in client.authorizations(&order).await.into_iter().zip(challenges) {
        if shown["identifier"]["value"] == "there.corp.lan" {
            client.answer(&challenge).await.expect(200);
            there = Some(url);
        }
    }
    clock.set(clock.now().plus(DAY - Duration::from_secs(3_600)));
    let body = client.read(&order.url).await.expect(200);
    let problems = body["error"]["subproblems"].as_array().unwrap();
    assert_eq!(problems.len(), 1, "{body}");
    assert_eq!(problems[0]["identifier"]["value"], "late.corp.lan");

    // And one that held until its time was over: the challenge was met, and stays so.
    clock.set(clock.now().plus(DAY));
    let body = client.read(&there.unwrap()).await.expect(200);
    assert_eq!((&body["status"], &body["challenges"][0]["status"]), (&json!("invalid"), &json!("valid")));
    assert_eq!(body["challenges"][0].get("error"), None, "{body}");
    let csr = Request::new(&["late.corp.lan", "there.corp.lan"], &ec_key()).to_der();
    assert_eq!(client.finalize(&order, &csr).await.problem_type(), "orderNotReady");
    oracle::check(&ca, &[]).await;
    server.stop().await;
}

/// RFC 8555 7.1.6: from invalid there is no way back to valid.
#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_that_is_met_when_its_time_is_over_stays_invalid() {
    let ca = Ca::new();
    let (server, clock) = serving(&ca).await;
    let client = Client::registered(&ca).await;
    let order = client.new_order(&["late.corp.lan"]).await;
    let (url, shown) = client.authorizations(&order).await.remove(0);
    let challenge = support::flow::http01(&shown)["url"].as_str().unwrap().to_owned();
    // Nobody listens yet, so it is tried again.
    assert_eq!(client.answer(&challenge).await.expect(200)["status"], "processing");
    clock.set(clock.now().plus(DAY));
    assert_eq!(client.read(&url).await.expect(200)["status"], "invalid");
    let responder = Responder::start(ca.http_port).await;
    client.publish(&order, &responder).await;
    let give_up = Instant::now() + Duration::from_secs(20);
    loop {
        let body = client.read(&challenge).await.expect(200);
        assert_eq!(body["status"], "invalid", "{body}");
        if body["error"]["detail"].as_str().unwrap().contains("control was shown after") {
            break;
        }
        assert!(Instant::now() < give_up, "{body}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(client.read(&order.url).await.expect(200)["status"], "invalid");
    oracle::check(&ca, &[]).await;
    server.stop().await;
}

const DAY: Duration = Duration::from_secs(86_400);
