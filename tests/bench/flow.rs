//! One worker: an account, a connection, and one issuance after the other (RFC 8555 section 7.4, http-01).
//!
//! Six requests if the server validates and signs within the request: newOrder, authorization, challenge, authorization
//! again, finalize, certificate. Each poll is one more.

use std::time::Duration;

use anyhow::Context as _;
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PublicKeyData as _};
use serde_json::Value;

use crate::chain;
use crate::client::{Client, Endpoint, Reply};
use crate::jws::{AccountKey, base64url};
use crate::responder::Responder;

/// What is asked for: made before the clock starts, keys and signatures and all.
pub(crate) struct Wish {
    name: String,
    csr: String,
    public_key: Vec<u8>,
    check_signatures: bool,
}

impl Wish {
    pub(crate) fn new(name: String, check_signatures: bool) -> anyhow::Result<Self> {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::new([name.clone()])?;
        params.distinguished_name = DistinguishedName::new();
        let csr = base64url(params.serialize_request(&key)?.der());
        Ok(Self { name, csr, public_key: key.subject_public_key_info(), check_signatures })
    }
}

/// Why an issuance failed: a word to count it by, and the server's own words.
pub(crate) struct Failure {
    pub(crate) kind: String,
    pub(crate) detail: String,
}

pub(crate) struct Worker {
    client: Client,
    responder: Responder,
    key: AccountKey,
    kid: Option<String>,
    /// Of replies; a good client never asks for more.
    nonces: Vec<String>,
    new_nonce: String,
    new_order: String,
    pub(crate) requests: u64,
    pub(crate) bad_nonces: u64,
}

impl Worker {
    /// Connects, reads the directory and makes the account.
    pub(crate) async fn register(endpoint: Endpoint, responder: Responder) -> anyhow::Result<Self> {
        let mut client = Client::new(endpoint);
        let url = client.directory().to_owned();
        let directory: Value =
            serde_json::from_slice(&client.get(&url).await?.body).context("the directory")?;
        let entry = |key: &str| {
            directory[key].as_str().map(str::to_owned).with_context(|| format!("the directory has no {key}"))
        };
        let new_account = entry("newAccount")?;
        let mut worker = Self {
            responder,
            key: AccountKey::generate()?,
            kid: None,
            nonces: Vec::new(),
            new_nonce: entry("newNonce")?,
            new_order: entry("newOrder")?,
            requests: 0,
            bad_nonces: 0,
            client,
        };
        let account = worker
            .post("newAccount", &new_account, Some(r#"{"termsOfServiceAgreed":true}"#))
            .await
            .map_err(|failure| anyhow::anyhow!("{}: {}", failure.kind, failure.detail))?;
        worker.kid = Some(account.header("location").context("newAccount answered no Location")?.to_owned());
        worker.requests = 0;
        Ok(worker)
    }

    /// Connections made after the first.
    pub(crate) fn reconnects(&self) -> u64 {
        self.client.connections.saturating_sub(1)
    }

    pub(crate) async fn issue(&mut self, wish: &Wish) -> Result<(), Failure> {
        match tokio::time::timeout(PATIENCE, self.walk(wish)).await {
            Ok(done) => done,
            Err(_) => {
                self.client.close();
                Err(fail("timeout", format!("{} took more than {PATIENCE:?}", wish.name)))
            }
        }
    }

    async fn walk(&mut self, wish: &Wish) -> Result<(), Failure> {
        let identifiers = format!(r#"{{"identifiers":[{{"type":"dns","value":"{}"}}]}}"#, wish.name);
        let new_order = self.new_order.clone();
        let reply = self.post("newOrder", &new_order, Some(&identifiers)).await?;
        let order_url = reply.header("location").ok_or_else(|| fail("newOrder", "no Location"))?.to_owned();
        let order = json("newOrder", &reply)?;
        self.prove(text(&order["authorizations"][0], "newOrder")?).await?;

        let csr = format!(r#"{{"csr":"{}"}}"#, wish.csr);
        let mut reply = self.post("finalize", text(&order["finalize"], "newOrder")?, Some(&csr)).await?;
        let mut order = json("finalize", &reply)?;
        let mut wait = FIRST_POLL;
        while order["status"] != "valid" {
            if order["status"] != "processing" {
                return Err(fail("order", &order));
            }
            tokio::time::sleep(wait).await;
            wait = NEXT_POLL;
            reply = self.post("order poll", &order_url, None).await?;
            order = json("order poll", &reply)?;
        }
        let certificate = self.post("certificate", text(&order["certificate"], "order")?, None).await?;
        chain::check(&certificate.body, &wish.name, &wish.public_key, wish.check_signatures)
            .map_err(|error| fail("chain", format!("{error:#}")))
    }

    /// Answers the http-01 challenge and waits for the verdict.
    async fn prove(&mut self, url: &str) -> Result<(), Failure> {
        let authorization = json("authorization", &self.post("authorization", url, None).await?)?;
        let challenge = authorization["challenges"]
            .as_array()
            .and_then(|offered| offered.iter().find(|challenge| challenge["type"] == "http-01"))
            .ok_or_else(|| fail("authorization", &authorization))?;
        let token = text(&challenge["token"], "authorization")?;
        self.responder.put(token, self.key.key_authorization(token));
        let proved = self.answer(url, text(&challenge["url"], "authorization")?).await;
        self.responder.remove(token);
        proved
    }

    async fn answer(&mut self, authorization: &str, challenge: &str) -> Result<(), Failure> {
        let reply = json("challenge", &self.post("challenge", challenge, Some("{}")).await?)?;
        if reply["status"] != "valid" {
            tokio::time::sleep(FIRST_POLL).await;
        }
        loop {
            let state =
                json("authorization poll", &self.post("authorization poll", authorization, None).await?)?;
            match state["status"].as_str() {
                Some("valid") => return Ok(()),
                Some("pending") => tokio::time::sleep(NEXT_POLL).await,
                _ => return Err(fail("authorization", &state)),
            }
        }
    }

    /// A signed request; a refused nonce is tried again with the one that came with the refusal (section 6.5).
    async fn post(&mut self, what: &'static str, url: &str, payload: Option<&str>) -> Result<Reply, Failure> {
        let mut tries = 0;
        loop {
            tries += 1;
            let nonce = self.nonce().await.map_err(|error| fail("newNonce", format!("{error:#}")))?;
            let body = self
                .key
                .sign(self.kid.as_deref(), &nonce, url, payload)
                .map_err(|error| fail(what, format!("{error:#}")))?;
            self.requests += 1;
            let sent = self.client.post(url, body).await;
            let reply = sent.map_err(|error| fail(&format!("{what}: connection"), format!("{error:#}")))?;
            if let Some(nonce) = reply.header("replay-nonce") {
                self.nonces.push(nonce.to_owned());
            }
            if reply.status.is_success() {
                return Ok(reply);
            }
            let problem = String::from_utf8_lossy(&reply.body);
            if problem.contains(":badNonce") && tries < MAX_TRIES {
                self.bad_nonces += 1;
                continue;
            }
            return Err(fail(&format!("{what}: HTTP {}", reply.status.as_u16()), problem));
        }
    }

    async fn nonce(&mut self) -> anyhow::Result<String> {
        if let Some(nonce) = self.nonces.pop() {
            return Ok(nonce);
        }
        self.requests += 1;
        let reply = self.client.head(&self.new_nonce).await?;
        Ok(reply.header("replay-nonce").context("no Replay-Nonce")?.to_owned())
    }
}

fn json(what: &str, reply: &Reply) -> Result<Value, Failure> {
    serde_json::from_slice(&reply.body).map_err(|error| fail(what, error))
}

fn text<'a>(value: &'a Value, what: &str) -> Result<&'a str, Failure> {
    value.as_str().ok_or_else(|| fail(what, "a member of the reply is missing"))
}

fn fail(kind: &str, detail: impl std::fmt::Display) -> Failure {
    let detail = detail.to_string().chars().take(400).collect();
    Failure { kind: kind.to_owned(), detail }
}

/// For one issuance.
const PATIENCE: Duration = Duration::from_secs(60);
/// Eager, so that the server's time is measured and not the client's sleep.
const FIRST_POLL: Duration = Duration::from_millis(2);
const NEXT_POLL: Duration = Duration::from_millis(10);
const MAX_TRIES: u32 = 5;
