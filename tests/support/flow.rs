//! The steps of an issuance, RFC 8555 7.4, one function a step, and all of them in a row.

use std::time::{Duration, Instant};

use openssl::pkey::{PKey, Private};
use openssl::x509::X509;
use serde_json::{Value, json};

use super::ca::PATIENCE;
use super::csr::{Request, ec_key};
use super::jose::b64;
use super::raw::{Client, Reply};
use super::responder::Responder;

/// An order as its client knows it.
#[derive(Clone, Debug)]
pub struct Order {
    /// Where it is.
    pub url: String,
    /// What the server said of it when it was made.
    pub body: Value,
    /// What it is for.
    pub names: Vec<String>,
}

/// A certificate as its client has it.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The order.
    pub order: Order,
    /// The leaf and its chain.
    pub pem: String,
}

impl Client {
    /// newOrder, which must succeed.
    pub async fn new_order(&self, names: &[&str]) -> Order {
        self.new_order_with(names, json!({})).await
    }

    /// The same with these members beside the identifiers.
    pub async fn new_order_with(&self, names: &[&str], mut members: Value) -> Order {
        members["identifiers"] = identifiers(names);
        let reply = self.post("/acme/new-order", members).await;
        let body = reply.expect(201);
        let url = reply.header("location").expect("the order's URL").to_owned();
        Order { url, body, names: names.iter().map(ToString::to_string).collect() }
    }

    /// Every authorization of an order with its URL.
    pub async fn authorizations(&self, order: &Order) -> Vec<(String, Value)> {
        let mut all = Vec::new();
        for url in order.body["authorizations"].as_array().expect("a list") {
            let url = url.as_str().expect("a URL").to_owned();
            let body = self.read(&url).await.expect(200);
            all.push((url, body));
        }
        all
    }

    /// Puts the key authorizations of an order's http-01 challenges where they are looked for, and gives the
    /// challenges' URLs.
    pub async fn publish(&self, order: &Order, responder: &Responder) -> Vec<String> {
        let mut urls = Vec::new();
        for (_, authorization) in self.authorizations(order).await {
            let challenge = http01(&authorization);
            let token = challenge["token"].as_str().expect("a token");
            responder.publish(token, &format!("{token}.{}", self.key.thumbprint()));
            urls.push(challenge["url"].as_str().expect("a URL").to_owned());
        }
        urls
    }

    /// The key authorization of a challenge, RFC 8555 8.1.
    pub fn key_authorization(&self, challenge: &Value) -> acme::challenge::KeyAuthorization {
        let token = challenge["token"].as_str().expect("a token").to_owned();
        acme::challenge::Token::from_row(token).key_authorization(&self.key.thumbprint())
    }

    /// Tells the server that a challenge can be looked at.
    pub async fn answer(&self, challenge: &str) -> Reply {
        self.post(challenge, json!({})).await
    }

    /// Polls until the resource is neither pending nor processing.
    pub async fn settled(&self, url: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let body = self.read(url).await.expect(200);
            if body["status"] != "pending" && body["status"] != "processing" {
                return body;
            }
            assert!(Instant::now() < deadline, "it stays so: {body}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// From a new order to `ready`.
    pub async fn ready_order(&self, names: &[&str], responder: &Responder) -> Order {
        let order = self.new_order(names).await;
        self.make_ready(&order, responder).await;
        order
    }

    /// From an order that was made to `ready`.
    pub async fn make_ready(&self, order: &Order, responder: &Responder) {
        for challenge in self.publish(order, responder).await {
            let reply = self.answer(&challenge).await;
            assert_eq!(reply.status, 200, "{reply}");
        }
        let body = self.settled(&order.url).await;
        assert_eq!(body["status"], "ready", "{body}");
    }

    /// finalize.
    pub async fn finalize(&self, order: &Order, csr: &[u8]) -> Reply {
        self.post(&format!("{}/finalize", order.url), json!({"csr": b64(csr)})).await
    }

    /// The certificate of an order that is, or will soon be, valid.
    pub async fn certificate(&self, order: &Order) -> String {
        let body = self.settled(&order.url).await;
        assert_eq!(body["status"], "valid", "{body}");
        let reply = self.read(body["certificate"].as_str().expect("a URL")).await;
        assert_eq!(reply.status, 200, "{reply}");
        reply.text()
    }

    /// Everything.
    pub async fn issue(&self, names: &[&str], responder: &Responder) -> Issued {
        self.issue_for(names, &ec_key(), responder).await
    }

    /// The same for a key of the caller's.
    pub async fn issue_for(&self, names: &[&str], key: &PKey<Private>, responder: &Responder) -> Issued {
        self.finish(self.new_order(names).await, key, responder).await
    }

    /// Everything after newOrder.
    pub async fn finish(&self, order: Order, key: &PKey<Private>, responder: &Responder) -> Issued {
        self.make_ready(&order, responder).await;
        let names: Vec<&str> = order.names.iter().map(String::as_str).collect();
        let reply = self.finalize(&order, &Request::new(&names, key).to_der()).await;
        assert_eq!(reply.status, 200, "{reply}");
        let pem = self.certificate(&order).await;
        Issued { order, pem }
    }
}

impl Issued {
    /// The leaf.
    pub fn leaf(&self) -> X509 {
        X509::stack_from_pem(self.pem.as_bytes()).expect("PEM").swap_remove(0)
    }

    /// Its serial, as ours are written.
    pub fn serial(&self) -> String {
        acme::id::hex(&self.leaf().serial_number().to_bn().expect("a number").to_vec())
    }

    /// What revokes it, RFC 8555 7.6.
    pub fn revocation(&self, reason: Option<i64>) -> Value {
        let mut payload = json!({"certificate": b64(&self.leaf().to_der().expect("DER"))});
        if let Some(reason) = reason {
            payload["reason"] = reason.into();
        }
        payload
    }
}

/// RFC 8555 7.1.3 and RFC 8738.
pub fn identifiers(names: &[&str]) -> Value {
    let one = |name: &&str| {
        let kind = if name.parse::<std::net::IpAddr>().is_ok() { "ip" } else { "dns" };
        json!({"type": kind, "value": name})
    };
    names.iter().map(one).collect()
}

/// The name of a chain's leaf, RFC 9773 4.1.
pub fn certificate_id(pem: &str) -> String {
    let leaf = X509::from_pem(pem.as_bytes()).expect("a leaf");
    let key_id = leaf.authority_key_id().expect("an authority key identifier").as_slice();
    let mut serial = leaf.serial_number().to_bn().expect("a number").to_vec();
    if serial[0] & 0x80 != 0 {
        serial.insert(0, 0);
    }
    format!("{}.{}", b64(key_id), b64(&serial))
}

/// The http-01 challenge of an authorization.
pub fn http01(authorization: &Value) -> Value {
    challenge(authorization, "http-01")
}

/// The challenge of this type of an authorization.
pub fn challenge(authorization: &Value, kind: &str) -> Value {
    let challenges = authorization["challenges"].as_array().expect("challenges");
    let found = challenges.iter().find(|challenge| challenge["type"] == kind);
    found.unwrap_or_else(|| panic!("{kind} is not offered: {authorization}")).clone()
}

/// The types that an authorization offers, in order.
pub fn offered(authorization: &Value) -> Vec<String> {
    let challenges = authorization["challenges"].as_array().expect("challenges");
    challenges.iter().map(|challenge| challenge["type"].as_str().expect("a type").to_owned()).collect()
}
