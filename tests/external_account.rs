//! External account binding, RFC 8555 7.3.4, and the terms of service, 7.3.3: who may have an account, and what it may
//! ask for.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what surprises a test ends it")]

mod support;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use support::ca::{PIN_CORP_LAN, text};
use support::clients::{Certbot, Lego, Show, run, succeed};
use support::flow::identifiers;
use support::jose::b64;
use support::{Ca, Client, Reply, Responder, csr, oracle};

const NEW_ACCOUNT: &str = "/acme/new-account";

/// A key that the operator made.
struct MacKey {
    id: String,
    secret: String,
}

impl MacKey {
    fn create(ca: &Ca, options: &[&str]) -> Self {
        let item = ca.ctl_items(&[&["eab", "create"], options].concat()).remove(0);
        let word = |name: &str| item[name].as_str().unwrap().to_owned();
        Self { id: word("key_id"), secret: word("hmac_key") }
    }

    /// The binding of the client's key, RFC 8555 7.3.4.
    fn bind(&self, client: &Client) -> Value {
        let protected = json!({"alg": "HS256", "kid": self.id, "url": client.url(NEW_ACCOUNT)});
        let (protected, payload) =
            (b64(protected.to_string().as_bytes()), b64(client.key.jwk().to_string().as_bytes()));
        let secret = URL_SAFE_NO_PAD.decode(&self.secret).unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        let tag = hmac::sign(&key, format!("{protected}.{payload}").as_bytes());
        json!({"protected": protected, "payload": payload, "signature": b64(tag.as_ref())})
    }
}

async fn required() -> Ca {
    let mut ca = Ca::new();
    ca.configure(PIN_CORP_LAN).configure("[accounts]\nexternal_account_required = true");
    ca.start().await;
    ca
}

async fn register(client: &Client, binding: Option<Value>) -> Reply {
    let mut body = json!({"termsOfServiceAgreed": true});
    if let Some(binding) = binding {
        body["externalAccountBinding"] = binding;
    }
    client.post(NEW_ACCOUNT, body).await
}

/// A client whose account was made with a key.
async fn bound(ca: &Ca, key: &MacKey) -> Client {
    let client = Client::new(ca);
    register(&client, Some(key.bind(&client))).await.expect(201);
    // It exists now, so that it needs no binding to be found.
    client.register().await.expect(200);
    client
}

#[tokio::test]
async fn where_a_binding_is_required_nobody_registers_without_one() {
    let ca = required().await;
    let client = Client::new(&ca);
    let directory = client.plain("GET", "/acme/directory").await.expect(200);
    assert_eq!(directory["meta"]["externalAccountRequired"], true);
    let reply = register(&client, None).await;
    assert_eq!((reply.status, reply.problem_type().as_str()), (403, "externalAccountRequired"), "{reply}");

    let key = MacKey::create(&ca, &["--label", "web team"]);
    let binding = key.bind(&client);
    let account = register(&client, Some(binding.clone())).await.expect(201);
    assert_eq!(account["externalAccountBinding"], binding, "it is shown as it was sent");
    let again = client.register().await.expect(200);
    assert_eq!(again["externalAccountBinding"], binding);

    let item = ca.ctl_items(&["eab", "list"]).remove(0);
    assert_eq!((item["state"].as_str(), item["label"].as_str()), (Some("used"), Some("web team")));
    assert_eq!(item["accounts"].as_array().unwrap().len(), 1);
    for place in [item.to_string(), ca.log(), text(&ca.ctl(&["eab", "list"]))] {
        assert!(!place.contains(&key.secret), "a key is shown when it is made and never again: {place}");
    }
}

#[tokio::test]
async fn a_key_that_makes_no_account_says_why_to_who_has_it() {
    let ca = required().await;
    let refused = async |key: &MacKey, phrase: &str| {
        let client = Client::new(&ca);
        let reply = register(&client, Some(key.bind(&client))).await;
        assert_eq!((reply.status, reply.problem_type().as_str()), (403, "unauthorized"), "{reply}");
        assert!(reply.text().contains(phrase), "{phrase}: {reply}");
    };
    let used = MacKey::create(&ca, &[]);
    bound(&ca, &used).await;
    refused(&used, "has made its account already").await;

    let revoked = MacKey::create(&ca, &[]);
    ca.ctl_items(&["eab", "revoke", &revoked.id]);
    refused(&revoked, "was revoked").await;

    let mut stolen = MacKey::create(&ca, &[]);
    stolen.secret = b64(&[7; 32]);
    refused(&stolen, "was not made with the key").await;
    stolen.id = "nobody".to_owned();
    refused(&stolen, "there is no external account key nobody").await;

    let reusable = MacKey::create(&ca, &["--reusable"]);
    bound(&ca, &reusable).await;
    bound(&ca, &reusable).await;
}

#[tokio::test]
async fn each_fault_of_a_binding_is_refused() {
    let ca = required().await;
    let key = MacKey::create(&ca, &[]);
    let client = Client::new(&ca);
    let (stranger, good) = (Client::new(&ca), key.bind(&client));
    let protected = |header: Value| {
        let mut binding = good.clone();
        binding["protected"] = b64(header.to_string().as_bytes()).into();
        binding
    };
    let url = client.url(NEW_ACCOUNT);
    let rows = [
        ("the key of another", key.bind(&stranger), "malformed"),
        (
            "another url",
            protected(json!({"alg": "HS256", "kid": key.id, "url": client.url("/x")})),
            "malformed",
        ),
        (
            "a nonce",
            protected(json!({"alg": "HS256", "kid": key.id, "url": url, "nonce": "AA"})),
            "malformed",
        ),
        ("no kid", protected(json!({"alg": "HS256", "url": url})), "malformed"),
        ("none", protected(json!({"alg": "none", "kid": key.id, "url": url})), "badSignatureAlgorithm"),
        (
            "a signature",
            protected(json!({"alg": "ES256", "kid": key.id, "url": url})),
            "badSignatureAlgorithm",
        ),
        (
            "HS384 that was HS256",
            protected(json!({"alg": "HS384", "kid": key.id, "url": url})),
            "unauthorized",
        ),
        ("no JWS", json!({}), "malformed"),
        ("no object", json!("x"), "malformed"),
    ];
    for (what, binding, problem) in rows {
        let reply = register(&client, Some(binding)).await;
        assert_eq!(reply.problem_type(), problem, "{what}: {reply}");
    }
    register(&client, Some(good)).await.expect(201);
}

#[tokio::test]
async fn an_account_asks_for_what_its_key_allows() {
    let mut ca = Ca::new();
    ca.configure(PIN_CORP_LAN)
        .configure("[profiles.short]\nlifetime = \"7d\"\n[profiles.long]\nlifetime = \"200d\"");
    ca.start().await;
    let responder = Responder::start(ca.http_port).await;
    let key = MacKey::create(&ca, &["--allow", "*.web.corp.lan", "--profile", "short"]);
    let client = bound(&ca, &key).await;

    let ask = async |names: &[&str], profile: Option<&str>| {
        let mut order = json!({"identifiers": identifiers(names)});
        if let Some(profile) = profile {
            order["profile"] = profile.into();
        }
        client.post("/acme/new-order", order).await
    };
    let reply = ask(&["a.web.corp.lan", "a.db.corp.lan"], None).await;
    assert_eq!(reply.problem_type(), "rejectedIdentifier", "{reply}");
    assert_eq!(reply.json()["subproblems"][0]["identifier"]["value"], "a.db.corp.lan");
    assert_eq!(ask(&["a.web.corp.lan"], Some("long")).await.problem_type(), "invalidProfile");
    assert_eq!(ask(&["a.web.corp.lan"], None).await.expect(201)["profile"], "short");
    let issued = client.issue(&["a.web.corp.lan"], &responder).await;

    // Without a key, and without a need for one, the policy alone holds.
    let free = Client::registered(&ca).await;
    let other = free.issue(&["a.db.corp.lan"], &responder).await;

    // Revoked: what was ready is not finalized either.
    let order = client.ready_order(&["b.web.corp.lan"], &responder).await;
    ca.ctl_items(&["eab", "revoke", &key.id]);
    ca.hup().await;
    let deadline = std::time::Instant::now() + support::ca::PATIENCE;
    while ask(&["c.web.corp.lan"], None).await.status == 201 {
        assert!(std::time::Instant::now() < deadline, "the server does not take up what ca-ctl did");
        tokio::time::sleep(support::ca::POLL).await;
    }
    let csr = csr::Request::new(&["b.web.corp.lan"], &csr::ec_key()).to_der();
    let reply = client.finalize(&order, &csr).await;
    assert!(reply.problem_type() == "unauthorized" && reply.text().contains("revoked"), "{reply}");
    oracle::check(&ca, &[issued.pem, other.pem]).await;
}

#[tokio::test]
async fn a_key_is_made_within_the_rules_or_not_at_all() {
    let ca = required().await;
    for (options, phrase) in [
        (vec!["--allow", "a..b"], "accepted are"),
        (vec!["--profile", "nonesuch"], "offered are default"),
        (vec!["--expires", "soon"], "expires"),
        (vec!["--expires", "0s"], "expires at once"),
    ] {
        let output = ca.ctl(&[&["eab", "create"], &options[..]].concat());
        assert!(!output.status.success() && text(&output).contains(phrase), "{options:?}: {}", text(&output));
    }
    assert!(ca.ctl_items(&["eab", "list"]).is_empty());
    let unknown = ca.ctl(&["eab", "revoke", "nobody"]);
    assert!(!unknown.status.success() && text(&unknown).contains("there is no key nobody"));
    let key = MacKey::create(&ca, &[]);
    ca.ctl_items(&["eab", "revoke", &key.id]);
    let again = ca.ctl(&["eab", "revoke", &key.id]);
    assert!(!again.status.success() && text(&again).contains("revoked already"), "{}", text(&again));
}

#[tokio::test(flavor = "multi_thread")]
async fn certbot_and_lego_register_with_a_key() {
    let ca = required().await;
    let certbot = Certbot::new(&ca);
    let without = run(certbot.certonly(&["one.corp.lan"], "ecdsa", &Show::Standalone)).await;
    assert!(!without.status.success(), "{}", text(&without));
    let key = MacKey::create(&ca, &[]);
    let mut command = certbot.certonly(&["one.corp.lan"], "ecdsa", &Show::Standalone);
    command.args(["--eab-kid", &key.id, "--eab-hmac-key", &key.secret]);
    succeed(command).await;
    let one = certbot.files("one.corp.lan");
    one.must_verify(&ca, &["one.corp.lan"]).await;

    let key = MacKey::create(&ca, &[]);
    let lego = Lego::new(&ca);
    let verb = ["--eab", "--kid", &key.id, "--hmac", &key.secret, "run"];
    succeed(lego.command(&["two.corp.lan"], "ec256", &verb)).await;
    let two = lego.files("two.corp.lan");
    two.must_verify(&ca, &["two.corp.lan"]).await;
    oracle::check(&ca, &[one.held(), two.held()]).await;
}

/// RFC 8555 7.3.3.
#[tokio::test]
async fn terms_are_agreed_to_before_there_is_an_account() {
    let mut ca = Ca::new();
    std::fs::write(ca.path("terms.txt"), "Be kind.\n").unwrap();
    ca.configure("[accounts]\nterms_of_service = \"terms.txt\"");
    ca.start().await;
    let client = Client::new(&ca);
    let url = client.url("/terms");
    let directory = client.plain("GET", "/acme/directory").await.expect(200);
    assert_eq!(directory["meta"]["termsOfService"], url.as_str());
    assert_eq!(client.plain("GET", "/terms").await.text(), "Be kind.\n");

    for body in [json!({}), json!({"termsOfServiceAgreed": false})] {
        let reply = client.post(NEW_ACCOUNT, body).await;
        assert_eq!((reply.status, reply.problem_type().as_str()), (403, "userActionRequired"), "{reply}");
        assert!(reply.all("link").contains(&format!("<{url}>;rel=\"terms-of-service\"").as_str()), "{reply}");
        assert_eq!(reply.json()["instance"], url.as_str());
    }
    let account = client.register().await.expect(201);
    assert_eq!(account["termsOfServiceAgreed"], true);
    // Who has an account is not asked again.
    let mut again = client.draft(NEW_ACCOUNT, json!({})).await;
    again.by_jwk();
    client.send(&again).await.expect(200);

    ca.configure("[accounts]\nterms_of_service = \"https://corp.lan/terms\"");
    ca.hup().await;
    let directory = client.plain("GET", "/acme/directory").await.expect(200);
    assert_eq!(directory["meta"]["termsOfService"], "https://corp.lan/terms");
    assert_eq!(client.plain("GET", "/terms").await.status, 404);
}
