//! The life of an account: RFC 8555 7.3, and above all its change of key (7.3.5).

#![allow(clippy::unwrap_used, clippy::panic, reason = "what surprises a test ends it")]

mod support;

use serde_json::{Value, json};

use support::jose::{Key, sign};
use support::responder::Mood;
use support::{Ca, Client, Reply, Responder, oracle};

const KEY_CHANGE: &str = "/acme/key-change";

/// The inner JWS of a key change, as it should be.
fn inner(client: &Client, new: &Key) -> (Value, Value) {
    let protected = json!({"alg": new.algorithm(), "jwk": new.jwk(), "url": client.url(KEY_CHANGE)});
    let payload = json!({"account": client.kid(), "oldKey": client.key.jwk()});
    (protected, payload)
}

async fn change(client: &Client, new: &Key, (protected, payload): (Value, Value)) -> Reply {
    let jws = sign(new, &protected.to_string(), payload.to_string().as_bytes());
    client.post(KEY_CHANGE, jws).await
}

#[tokio::test]
async fn a_key_is_changed_and_the_old_one_is_refused_at_once() {
    let ca = Ca::pinned().await;
    let responder = Responder::start(ca.http_port).await;
    let client = Client::registered(&ca).await;
    let before = client.issue(&["before.corp.lan"], &responder).await;
    let kid = client.kid();

    let new = Key::generate();
    let reply = change(&client, &new, inner(&client, &new)).await;
    assert_eq!(reply.expect(200)["status"], "valid");

    let late = client.read(&kid).await;
    assert!((400..500).contains(&late.status), "{late}");
    let mut lookup = client.draft("/acme/new-account", json!({"onlyReturnExisting": true})).await;
    lookup.by_jwk();
    assert_eq!(client.send(&lookup).await.problem_type(), "accountDoesNotExist");

    let renewed = Client::with_key(&ca, new);
    let found = renewed.register().await;
    assert_eq!((found.status, found.header("location")), (200, Some(kid.as_str())));
    let after = renewed.issue(&["after.corp.lan"], &responder).await;
    oracle::check(&ca, &[before.pem, after.pem]).await;
}

/// An order that was made under the old key goes on under the new one, which may be of another kind, and after a crash.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_key_lasts() {
    let mut ca = Ca::pinned().await;
    let responder = Responder::start(ca.http_port).await;
    let mut client = Client::registered(&ca).await.persistent();
    let (account, old) = (client.kid(), client.key.clone());
    let order = client.new_order(&["waiting.corp.lan"]).await;
    for next in [Key::rsa(2048), old, Key::generate()] {
        change(&client, &next, inner(&client, &next)).await.expect(200);
        client.key = next;
        ca.kill9();
        ca.restart().await;
        assert_eq!(client.read(&account).await.expect(200)["status"], "valid");
    }
    let challenge = client.publish(&order, &responder).await.remove(0);
    client.answer(&challenge).await.expect(200);
    assert_eq!(client.settled(&order.url).await["status"], "ready");

    let weak = Key::rsa(1024);
    let reply = change(&client, &weak, inner(&client, &weak)).await;
    assert_eq!((reply.status, reply.problem_type().as_str()), (400, "badPublicKey"), "{reply}");
    oracle::check(&ca, &[]).await;
}

/// RFC 8555 8.3: the key authorization is that of the moment when the challenge was answered. A change of the key while
/// the validation runs spoils nothing, whether the server lives on or not.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_changed_during_a_validation_does_not_spoil_it() {
    let mut ca = Ca::pinned().await;
    let responder = Responder::start(ca.http_port).await;
    let mut client = Client::registered(&ca).await.persistent();
    // Refused at first, which is tried again, or no answer at all: what is kept of either is the same.
    for (round, mood) in
        [Mood::Status(503), Mood::Hold, Mood::Status(503), Mood::Hold].into_iter().enumerate()
    {
        let restarts = round >= 2;
        let name = format!("round{round}.corp.lan");
        let before = responder.asked().len();
        responder.be(mood);
        let order = client.new_order(&[&name]).await;
        let challenge = client.publish(&order, &responder).await.remove(0);
        let reply = client.answer(&challenge).await.expect(200);
        assert_eq!(reply["status"], "processing", "round {round}: {reply}");
        responder.asked_times(before + 1).await;

        let new = Key::generate();
        change(&client, &new, inner(&client, &new)).await.expect(200);
        client.key = new;
        if restarts {
            ca.kill9();
        }
        responder.be(Mood::Answer);
        if restarts {
            ca.restart().await;
        }
        assert_eq!(client.settled(&order.url).await["status"], "ready", "round {round}");
    }
    oracle::check(&ca, &[]).await;
}

#[tokio::test]
async fn a_key_that_another_account_has_is_a_conflict_that_says_whose() {
    let ca = Ca::pinned().await;
    let (one, other) = (Client::registered(&ca).await, Client::registered(&ca).await);
    let reply = change(&one, &other.key, inner(&one, &other.key)).await;
    assert_eq!((reply.status, reply.header("location")), (409, Some(other.kid().as_str())), "{reply}");
    assert_eq!(one.read(&one.kid()).await.status, 200, "its own key still holds");
}

/// What is done to the inner header and payload, with the client and a stranger at hand.
type Bend = fn(&mut Value, &mut Value, &Client, &Client);

#[tokio::test]
async fn each_check_of_a_key_change_is_made() {
    let ca = Ca::pinned().await;
    let client = Client::registered(&ca).await;
    let stranger = Client::registered(&ca).await;
    let new = Key::generate();
    let bends: &[(&str, Bend)] = &[
        ("the account of another", |_, payload, _, stranger| payload["account"] = stranger.kid().into()),
        ("the key of another as oldKey", |_, payload, _, stranger| payload["oldKey"] = stranger.key.jwk()),
        ("no oldKey", |_, payload, _, _| payload["oldKey"] = Value::Null),
        ("another url inside", |protected, _, client, _| {
            protected["url"] = client.url("/acme/new-order").into();
        }),
        ("a nonce inside", |protected, _, _, _| protected["nonce"] = "AAAA".into()),
        ("kid inside", |protected, _, client, _| protected["kid"] = client.kid().into()),
        ("a jwk that did not sign", |protected, _, _, stranger| protected["jwk"] = stranger.key.jwk()),
    ];
    for (what, bend) in bends {
        let (mut protected, mut payload) = inner(&client, &new);
        bend(&mut protected, &mut payload, &client, &stranger);
        let reply = change(&client, &new, (protected, payload)).await;
        assert_eq!((reply.status, reply.problem_type().as_str()), (400, "malformed"), "{what}: {reply}");
    }
    let not_inner = client.post(KEY_CHANGE, json!({"account": client.kid()})).await;
    assert_eq!(not_inner.problem_type(), "malformed");
    assert_eq!(client.read(&client.kid()).await.status, 200, "nothing was changed");
}

/// RFC 8555 11.1, from the other side; and a key that was reported compromised is no account's any more.
#[tokio::test]
async fn the_key_of_a_certificate_or_a_compromised_one_is_no_accounts_key() {
    let ca = Ca::pinned().await;
    let responder = Responder::start(ca.http_port).await;
    let client = Client::registered(&ca).await;
    let order = client.ready_order(&["key.corp.lan"], &responder).await;
    let leaf = support::csr::rsa_key(2048, 65_537);
    let csr = support::csr::Request::new(&["key.corp.lan"], &leaf).to_der();
    client.finalize(&order, &csr).await.expect(200);
    let same = Client::with_key(&ca, Key::Rs256(leaf.clone()));
    let reply = same.post("/acme/new-account", json!({"termsOfServiceAgreed": true})).await;
    assert_eq!((reply.status, reply.problem_type().as_str()), (400, "badPublicKey"), "{reply}");
    let reply = change(&client, &same.key, inner(&client, &same.key)).await;
    assert_eq!((reply.status, reply.problem_type().as_str()), (400, "badPublicKey"), "{reply}");

    let lost = Client::with_key(&ca, Key::rsa(2048));
    lost.register().await.expect(201);
    let Key::Rs256(key) = &lost.key else { unreachable!() };
    std::fs::write(ca.path("lost.pem"), key.private_key_to_pem_pkcs8().unwrap()).unwrap();
    let file = ca.path("lost.pem").display().to_string();
    let output = ca.ctl(&["revoke", "--key", &file, "--reason", "keyCompromise", "--yes"]);
    assert!(output.status.success(), "{}", support::ca::text(&output));
    let deadline = std::time::Instant::now() + support::ca::PATIENCE;
    while lost.read(&lost.kid()).await.status == 200 {
        assert!(std::time::Instant::now() < deadline, "the server does not take up what ca-ctl did");
        tokio::time::sleep(support::ca::POLL).await;
    }
    let reply = lost.read(&lost.kid()).await;
    assert_eq!((reply.status, reply.problem_type().as_str()), (403, "unauthorized"), "{reply}");
    assert_eq!(
        Client::with_key(&ca, lost.key.clone()).post("/acme/new-account", json!({})).await.status,
        400
    );
    oracle::at_rest(&ca).await;
}
