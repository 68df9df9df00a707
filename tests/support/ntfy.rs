//! An ntfy server that follows the documented contract, with its limits and its errors: what may be published, who may,
//! how often, and what is answered. Its clock is the test's. It can be an older version, which knows no sequence ids, and
//! it can be told to answer something else, or to store and say nothing.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use acme::time::Timestamp;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// The server; it ends when it is dropped.
pub struct Ntfy {
    address: SocketAddr,
    inner: Arc<Inner>,
    tasks: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Inner {
    /// Stands for 2.16 and later.
    knows_sequence_ids: AtomicBool,
    /// Whether an answer never comes, though the message was stored.
    swallows_answers: AtomicBool,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    now: i64,
    /// What is published, in order; with what a poll shows, and the raw request.
    published: Vec<Value>,
    requests: Vec<Value>,
    /// How often anybody asked for anything.
    asked: usize,
    /// `Authorization` values that may publish; none: everybody may.
    allowed: Vec<String>,
    /// Answers to give instead, first come first served.
    forced: VecDeque<Answer>,
    /// When requests of the last minutes came, for the bucket.
    spent: f64,
    spent_at: i64,
    auth_failures: u32,
}

/// An answer that a test wants.
#[derive(Clone)]
pub struct Answer {
    pub status: u16,
    pub body: String,
    pub headers: Vec<(&'static str, String)>,
}

impl Answer {
    /// An error of ntfy.
    pub fn error(status: u16, code: u32, words: &str) -> Self {
        let body =
            json!({"code": code, "http": status, "error": words, "link": "https://ntfy.sh/docs/publish/"});
        Self { status, body: body.to_string(), headers: Vec::new() }
    }
}

impl Ntfy {
    /// On loopback, without TLS, in its newest version.
    pub async fn start() -> Self {
        Self::serve(None).await
    }

    /// With this certificate chain and key, PEM.
    pub async fn with_tls(chain: &str, key: &str) -> Self {
        use rustls::pki_types::pem::PemObject as _;
        use rustls::pki_types::{CertificateDer, PrivateKeyDer};
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain.as_bytes()).map(|c| c.unwrap()).collect();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        Self::with_config(config).await
    }

    /// With TLS as it is configured.
    pub async fn with_config(config: ServerConfig) -> Self {
        Self::serve(Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn serve(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Arc::new(Inner::default());
        inner.knows_sequence_ids.store(true, Ordering::Relaxed);
        let shared = Arc::clone(&inner);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (inner, tls) = (Arc::clone(&shared), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                converse(stream, inner).await;
                            }
                        }
                        None => converse(stream, inner).await,
                    }
                });
            }
        });
        Self { address, inner, tasks: vec![task] }
    }

    /// The same server at a socket of this machine too.
    pub fn also_at(&mut self, path: &Path) {
        let listener = UnixListener::bind(path).unwrap();
        let shared = Arc::clone(&self.inner);
        self.tasks.push(tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, Arc::clone(&shared)));
            }
        }));
    }

    /// An older version from now on, or a newer one.
    pub fn knows_sequence_ids(&self, knows: bool) {
        self.inner.knows_sequence_ids.store(knows, Ordering::Relaxed);
    }

    /// Stores from now on and never answers; or answers again.
    pub fn swallow_answers(&self, swallow: bool) {
        self.inner.swallows_answers.store(swallow, Ordering::Relaxed);
    }

    /// Its time.
    pub fn set_clock(&self, now: Timestamp) {
        self.kept().now = now.unix();
    }

    /// Only these may publish: values of `Authorization`.
    pub fn allow(&self, authorizations: &[String]) {
        self.kept().allowed = authorizations.to_vec();
    }

    /// Answers this to the next request.
    pub fn answer_next(&self, answer: Answer) {
        self.kept().forced.push_back(answer);
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// What was published, as it was asked for.
    pub fn requests(&self) -> Vec<Value> {
        self.kept().requests.clone()
    }

    /// What a subscriber would have got by its time, whatever the topic.
    pub fn delivered(&self) -> Vec<Value> {
        let kept = self.kept();
        let is_due = |message: &&Value| message["time"].as_i64().is_some_and(|time| time <= kept.now);
        kept.published.iter().filter(is_due).cloned().collect()
    }

    /// The titles of what was published.
    pub fn titles(&self) -> Vec<String> {
        self.requests().iter().map(|r| r["title"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// How often anybody asked for anything.
    pub fn asked(&self) -> usize {
        self.kept().asked
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.inner.kept.lock().unwrap()
    }
}

impl Drop for Ntfy {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// `Basic` of a user and a password.
pub fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, inner: Arc<Inner>) {
    let service = service_fn(move |request| {
        let inner = Arc::clone(&inner);
        async move { Ok::<_, Infallible>(answer(&inner, request).await) }
    });
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(inner: &Inner, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let authorization =
        head.headers.get("authorization").map(|value| value.to_str().unwrap_or_default().to_owned());
    let poll = head.uri.path().strip_suffix("/json").map(|topic| topic.trim_start_matches('/').to_owned());
    let answer = {
        let mut kept = inner.kept.lock().unwrap();
        kept.asked += 1;
        match (kept.forced.pop_front(), &head.method, head.uri.path(), poll) {
            (Some(forced), ..) => forced,
            (None, &Method::GET, "/v1/health", _) => ok(&json!({"healthy": true})),
            (None, &Method::GET, _, Some(topic)) => kept.poll(&topic),
            (None, &Method::POST, "/", _) => {
                let knows = inner.knows_sequence_ids.load(Ordering::Relaxed);
                kept.publish(&body, authorization.as_deref(), knows).unwrap_or_else(|refusal| refusal)
            }
            _ => Answer::error(404, 40401, "page not found"),
        }
    };
    if answer.status == 200 && inner.swallows_answers.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
    let mut response = Response::builder().status(answer.status).header("content-type", "application/json");
    for (name, value) in &answer.headers {
        response = response.header(*name, value);
    }
    response.body(Full::new(Bytes::from(answer.body))).unwrap()
}

fn ok(value: &Value) -> Answer {
    Answer { status: 200, body: format!("{value}\n"), headers: Vec::new() }
}

impl Kept {
    /// In the order of the real server: who it is, what is said, how often, whether they may, and then the rest.
    fn publish(&mut self, body: &[u8], authorization: Option<&str>, knows: bool) -> Result<Answer, Answer> {
        self.authenticate(authorization)?;
        if body.len() > 2 * MESSAGE_LIMIT {
            return Err(Answer::error(413, 41303, "JSON body too large"));
        }
        let request: Value = serde_json::from_slice(body)
            .map_err(|_| Answer::error(400, 40024, "invalid request: request body must be valid JSON"))?;
        let text = |key: &str| request[key].as_str().unwrap_or_default().to_owned();
        let topic = text("topic");
        if !is_word(&topic) {
            return Err(Answer::error(400, 40009, "invalid request: topic invalid"));
        }
        if DISALLOWED.contains(&topic.as_str()) {
            return Err(Answer::error(400, 40010, "invalid request: topic name is not allowed"));
        }
        self.spend()?;
        if authorization.is_none() && !self.allowed.is_empty() {
            return Err(Answer::error(403, 40301, "forbidden"));
        }
        let priority = request["priority"].as_i64().unwrap_or(0);
        if !(0..=5).contains(&priority) {
            return Err(Answer::error(400, 40007, "invalid priority parameter"));
        }
        let delay = delay(&text("delay"))?;
        // What reaches the limit is an attachment, and there are none.
        if text("message").len() >= MESSAGE_LIMIT {
            return Err(Answer::error(400, 40014, "invalid request: attachments not allowed"));
        }
        let message = match text("message") {
            empty if empty.is_empty() => "triggered".to_owned(),
            message => message,
        };
        let mut stored = json!({
            "id": format!("m{}", self.requests.len()), "time": self.now + delay,
            "expires": self.now + delay + 43_200, "event": "message", "topic": topic, "message": message,
        });
        for (key, is_there) in [
            ("title", !text("title").is_empty()),
            ("priority", priority > 0),
            ("tags", request["tags"].as_array().is_some_and(|tags| !tags.is_empty())),
            ("click", !text("click").is_empty()),
        ] {
            if is_there {
                stored[key] = request[key].clone();
            }
        }
        let sequence_id = text("sequence_id");
        if knows && !sequence_id.is_empty() {
            if !is_word(&sequence_id) {
                return Err(Answer::error(400, 40049, "invalid request: sequence ID invalid"));
            }
            stored["sequence_id"] = json!(sequence_id);
            // What is scheduled and not yet sent is replaced outright.
            let now = self.now;
            self.published.retain(|old| {
                old["sequence_id"] != json!(sequence_id)
                    || old["time"].as_i64().is_some_and(|time| time <= now)
            });
        }
        self.published.push(stored.clone());
        self.requests.push(request);
        Ok(ok(&stored))
    }

    /// Wrong credentials count, up to a limit behind which even the right ones are not looked at.
    fn authenticate(&mut self, authorization: Option<&str>) -> Result<(), Answer> {
        let Some(value) = authorization.filter(|_| !self.allowed.is_empty()) else { return Ok(()) };
        if self.auth_failures >= 30 {
            return Err(Answer::error(429, 42909, "limit reached: too many auth failures"));
        }
        if self.allowed.iter().any(|allowed| allowed == value) {
            return Ok(());
        }
        self.auth_failures += 1;
        Err(Answer::error(401, 40101, "unauthorized"))
    }

    /// A bucket of 60 requests that gets one back every five seconds. There is no `Retry-After`.
    fn spend(&mut self) -> Result<(), Answer> {
        let back = (self.now - self.spent_at).max(0) / 5;
        self.spent = (self.spent - back as f64).max(0.0);
        self.spent_at += back * 5;
        if self.spent >= 60.0 {
            return Err(Answer::error(429, 42901, "limit reached: too many requests"));
        }
        self.spent += 1.0;
        Ok(())
    }

    /// What a subscriber would have got by now.
    fn poll(&self, topic: &str) -> Answer {
        let due =
            |m: &&Value| m["topic"] == json!(topic) && m["time"].as_i64().is_some_and(|t| t <= self.now);
        let lines: String = self.published.iter().filter(due).map(|message| format!("{message}\n")).collect();
        Answer { status: 200, body: lines, headers: Vec::new() }
    }
}

/// What `delay` says, in seconds: here hours alone, of at most three days.
fn delay(text: &str) -> Result<i64, Answer> {
    let refuse = |code, why| Err(Answer::error(400, code, &format!("invalid delay parameter: {why}")));
    match text.strip_suffix('h').and_then(|hours| hours.parse::<i64>().ok()) {
        None if text.is_empty() => Ok(0),
        Some(hours @ 1..=72) => Ok(hours * 3_600),
        Some(hours) if hours > 72 => refuse(40_006, "too large, please refer to the docs"),
        Some(_) => refuse(40_005, "too small, please refer to the docs"),
        None => refuse(40_004, "unable to parse delay"),
    }
}

fn is_word(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
}

/// Names of pages.
const DISALLOWED: &[&str] =
    &["docs", "static", "file", "app", "metrics", "account", "settings", "signup", "login", "v1"];
/// In octets; without attachments, which need more configuration than most servers have.
const MESSAGE_LIMIT: usize = 4096;
