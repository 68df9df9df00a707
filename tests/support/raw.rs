//! A small ACME client whose every request a test can bend. It trusts the CA's root and nothing else, and each reply
//! that it gets is held against the rules of `rules.rs`.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::ca::{Ca, PATIENCE};
use super::jose::{Draft, Key};
use super::rules;

/// A client with one account key.
pub struct Client {
    base: String,
    port: u16,
    tls: TlsConnector,
    /// The account's key.
    pub key: Key,
    kid: Mutex<Option<String>>,
    nonce: Mutex<Option<String>>,
    /// Connections that wait for their next request; several requests at once need several.
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
    /// Whether lost connections are made again, as every client does sooner or later.
    persists: bool,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The method of the request.
    pub method: String,
    /// The path of the request.
    pub path: String,
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

/// The connection broke, or could not be made.
#[derive(Debug)]
pub struct Lost(String);

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Lost {}

impl Client {
    /// A client without an account.
    pub fn new(ca: &Ca) -> Self {
        Self::with_key(ca, Key::generate())
    }

    /// The same with a given key.
    pub fn with_key(ca: &Ca, key: Key) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        let root = CertificateDer::from_pem_file(ca.root()).expect("the root certificate");
        roots.add(root).expect("a root that rustls accepts");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("protocol versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            base: ca.base(),
            port: ca.port,
            tls: TlsConnector::from(Arc::new(config)),
            key,
            kid: Mutex::default(),
            nonce: Mutex::default(),
            idle: Mutex::default(),
            persists: false,
        }
    }

    /// A client with an account.
    pub async fn registered(ca: &Ca) -> Self {
        let client = Self::new(ca);
        client.register().await;
        client
    }

    /// From now on, lost connections are made again for a while.
    #[must_use]
    pub fn persistent(mut self) -> Self {
        self.persists = true;
        self
    }

    /// Makes the account, or finds it again.
    pub async fn register(&self) -> Reply {
        lock(&self.kid).take();
        let reply = self.post("/acme/new-account", json!({"termsOfServiceAgreed": true})).await;
        assert!(matches!(reply.status, 200 | 201), "{reply}");
        *lock(&self.kid) = Some(reply.header("location").expect("the account's URL").to_owned());
        reply
    }

    /// The account's URL.
    pub fn kid(&self) -> String {
        lock(&self.kid).clone().expect("registered")
    }

    /// A whole URL from one or from a path.
    pub fn url(&self, at: &str) -> String {
        if at.starts_with('/') { format!("{}{at}", self.base) } else { at.to_owned() }
    }

    /// A request as it should be, with a fresh nonce; by the account once there is one, else by the key itself.
    pub async fn draft(&self, at: &str, payload: Value) -> Draft {
        self.try_draft(at, payload).await.expect("a nonce")
    }

    /// Sends a payload as it should be sent. A nonce that is not accepted is replaced, as RFC 8555 6.5 wants.
    pub async fn post(&self, at: &str, payload: Value) -> Reply {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let tried = async {
                let draft = self.try_draft(at, payload.clone()).await?;
                self.try_send(&draft).await
            };
            match tried.await {
                Ok(reply) if reply.problem_type() == "badNonce" && Instant::now() < deadline => {}
                Ok(reply) => return reply,
                Err(lost) => {
                    assert!(self.persists && Instant::now() < deadline, "POST {at}: {lost}");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
    }

    /// POST-as-GET, RFC 8555 6.3.
    pub async fn read(&self, at: &str) -> Reply {
        self.post(at, Value::Null).await
    }

    /// A request without a body.
    pub async fn plain(&self, method: &'static str, at: &str) -> Reply {
        self.try_plain(method, at).await.expect("a reply")
    }

    /// Sends a draft as it stands, once.
    pub async fn send(&self, draft: &Draft) -> Reply {
        self.try_send(draft).await.expect("a reply")
    }

    /// The same, where the server may go away.
    pub async fn try_send(&self, draft: &Draft) -> Result<Reply, Lost> {
        let mut request = Request::builder().method(draft.method).uri(path_of(&draft.url));
        if let Some(media) = &draft.content_type {
            request = request.header("content-type", media);
        }
        for (name, value) in &draft.headers {
            request = request.header(*name, value);
        }
        let request = request
            .header("host", format!("localhost:{}", self.port))
            .header("user-agent", "acme-ca-tests")
            .body(Full::from(draft.to_body()))
            .expect("a request");
        self.exchange(request).await
    }

    /// A request that somebody else made, over this client's connections.
    pub async fn forward<B>(&self, request: Request<B>) -> Result<Response<Full<Bytes>>, Lost>
    where
        B: hyper::body::Body<Data = Bytes>,
        B::Error: fmt::Display,
    {
        let (mut parts, body) = request.into_parts();
        let body = body.collect().await.map_err(lost)?.to_bytes();
        parts.uri = path_of(&parts.uri.to_string()).parse().map_err(lost)?;
        let host = format!("localhost:{}", self.port).parse().map_err(lost)?;
        parts.headers.insert("host", host);
        let reply = self.exchange(Request::from_parts(parts, Full::from(body))).await?;
        let mut response = Response::new(Full::from(reply.body));
        *response.status_mut() = reply.status.try_into().map_err(lost)?;
        *response.headers_mut() = reply.headers;
        Ok(response)
    }

    /// Bytes over TLS as they stand, and everything that comes back until the server closes.
    pub async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await.expect("a connection");
        stream.write_all(bytes).await.expect("sent");
        let mut answer = Vec::new();
        let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
        read.expect("the server closes").ok();
        String::from_utf8_lossy(&answer).into_owned()
    }

    async fn try_draft(&self, at: &str, payload: Value) -> Result<Draft, Lost> {
        let url = self.url(at);
        let kid = lock(&self.kid).clone();
        let mut protected =
            json!({"alg": self.key.algorithm(), "nonce": self.fresh_nonce().await?, "url": url});
        match kid {
            Some(kid) => protected["kid"] = kid.into(),
            None => protected["jwk"] = self.key.jwk(),
        }
        Ok(Draft {
            method: "POST",
            url,
            content_type: Some("application/jose+json".into()),
            headers: Vec::new(),
            protected,
            protected_text: None,
            payload: if payload.is_null() { Vec::new() } else { payload.to_string().into_bytes() },
            key: self.key.clone(),
            bend: None,
            body: None,
        })
    }

    async fn fresh_nonce(&self) -> Result<String, Lost> {
        let kept = lock(&self.nonce).take();
        if let Some(nonce) = kept {
            return Ok(nonce);
        }
        let reply = self.try_plain("HEAD", "/acme/new-nonce").await?;
        lock(&self.nonce).take();
        Ok(reply.header("replay-nonce").expect("a nonce").to_owned())
    }

    async fn try_plain(&self, method: &'static str, at: &str) -> Result<Reply, Lost> {
        let request = Request::builder()
            .method(method)
            .uri(path_of(&self.url(at)))
            .header("host", format!("localhost:{}", self.port))
            .body(Full::default())
            .expect("a request");
        self.exchange(request).await
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Reply, Lost> {
        let (method, path) = (request.method().to_string(), request.uri().to_string());
        let idle = lock(&self.idle).pop();
        let mut sender = match idle {
            Some(sender) if sender.is_ready() => sender,
            _ => self.open().await?,
        };
        let answered = async {
            let response = sender.send_request(request).await.map_err(lost)?;
            let (parts, body) = response.into_parts();
            let body = body.collect().await.map_err(lost)?.to_bytes().to_vec();
            Ok(Reply { method, path, status: parts.status.as_u16(), headers: parts.headers, body })
        };
        let reply: Reply = tokio::time::timeout(PATIENCE, answered).await.map_err(lost)??;
        // It is usable again once the response was read to its end.
        if tokio::time::timeout(PATIENCE, sender.ready()).await.is_ok_and(|ready| ready.is_ok()) {
            lock(&self.idle).push(sender);
        }
        if let Some(nonce) = reply.header("replay-nonce") {
            *lock(&self.nonce) = Some(nonce.to_owned());
        }
        rules::must_hold(&reply, &self.base);
        Ok(reply)
    }

    async fn open(&self) -> Result<SendRequest<Full<Bytes>>, Lost> {
        let stream = self.connect().await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(lost)?;
        tokio::spawn(async move {
            // A connection that breaks is seen by whoever waits for its reply.
            let _ = connection.await;
        });
        Ok(sender)
    }

    /// A connection of its own, over which nothing was sent.
    pub async fn connect(&self) -> Result<TlsStream<TcpStream>, Lost> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.map_err(lost)?;
        let name = ServerName::try_from("localhost").expect("a name");
        self.tls.connect(name, stream).await.map_err(lost)
    }
}

impl Reply {
    /// A header that may stand once.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Every value of a header.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self}"))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("UTF-8")
    }

    /// The body, which must come with this status.
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self}");
        self.json()
    }

    /// The last part of a problem's type; empty when this is none.
    pub fn problem_type(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let kind = body["type"].as_str().unwrap_or_default();
        kind.strip_prefix("urn:ietf:params:acme:error:").unwrap_or_default().to_owned()
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = String::from_utf8_lossy(&self.body);
        write!(f, "{} {}: {} {:?}\n{body}", self.method, self.path, self.status, self.headers)
    }
}

fn path_of(url: &str) -> &str {
    let after_scheme = url.find("://").map_or(0, |at| at + 3);
    url[after_scheme..].find('/').map_or("/", |at| &url[after_scheme + at..])
}

fn lost(error: impl fmt::Display) -> Lost {
    Lost(error.to_string())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
