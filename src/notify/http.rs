//! One request to an HTTP sink and its answer (RFC 9110, RFC 9112): bounded in time and size, on a connection of its own.
//! Redirects are not followed, because an answer must not decide where credentials go; there is no proxy and no cookie.

use std::pin::pin;
use std::time::Duration;

use acme::problem::plain;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderValue, LOCATION, RETRY_AFTER, USER_AGENT,
};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::Parts;
use super::dial::{Stream, connect, explain, secure};
use super::endpoint::{Endpoint, Place};
use super::outcome::{Outcome, Trouble};
use super::secret::Secret;
use super::settings::{Login, Trust};

/// What is asked of a server.
pub(super) struct Question<'q> {
    pub(super) endpoint: &'q Endpoint,
    pub(super) trust: &'q Trust,
    pub(super) login: &'q Login,
    /// The path behind that of the endpoint.
    pub(super) path: &'q str,
    /// JSON to post; nothing is asked for with GET.
    pub(super) json: Option<String>,
}

/// What it answered.
pub(super) struct Answer {
    pub(super) status: u16,
    /// At most [`MAX_BODY`] octets.
    pub(super) body: Vec<u8>,
    /// What `Retry-After` says in seconds.
    pub(super) after: Option<Duration>,
    location: Option<String>,
    asked: Asked,
    /// What is wrong with the server's certificate, when its key was believed all the same.
    pub(super) objection: Option<String>,
}

/// What an answer to it can be about besides the message.
struct Asked {
    is_tls: bool,
    has_login: bool,
}

impl Answer {
    /// What an answer means that does not say that all is well, by its status alone. `words` is what the server said.
    pub(super) fn refusal(&self, words: &str) -> Outcome {
        let mut said = match (&self.location, words) {
            (Some(to), _) => {
                format!(
                    "answered {}, which leads to {to}; redirects are not followed: name the place itself in url",
                    self.status
                )
            }
            (None, "") => format!("answered {}", self.status),
            (None, words) => format!("answered {}: {}", self.status, plain(words, SENTENCE)),
        };
        if self.is_for_tls() {
            said.push_str("; it wants TLS there: https:// would do in url");
            return Outcome::retry(Trouble::Server, said);
        }
        if let Some(hint) = self.hint() {
            said.push_str(hint);
        }
        match self.status {
            401 | 403 => Outcome::Broken { why: said },
            429 => Outcome::Retry { trouble: Trouble::Busy, after: self.after, why: said },
            400 | 413 | 414 | 415 | 422 | 431 => Outcome::Refused { why: said },
            // Not found, not allowed, a redirect: the message is well, the place is not.
            _ => Outcome::Retry { trouble: Trouble::Server, after: self.after, why: said },
        }
    }

    /// Whether a server says that it was asked without TLS and wants it: as Go, nginx and Apache word it. The message is
    /// well, the place is not.
    fn is_for_tls(&self) -> bool {
        let text = String::from_utf8_lossy(&self.body);
        let words = ["to an HTTPS server", "sent to HTTPS port", "to an SSL-enabled server port"];
        self.status == 400 && !self.asked.is_tls && words.iter().any(|words| text.contains(words))
    }

    /// What would do, where the status alone says it.
    fn hint(&self) -> Option<&'static str> {
        match self.status {
            401 | 403 if self.asked.has_login => {
                Some("; look at token_file, or user and password_file, and at what they may do there")
            }
            401 | 403 => Some("; it wants credentials: token_file, or user and password_file"),
            404 | 405 => Some("; look at the path in url"),
            407 => Some("; url leads to a proxy"),
            _ => None,
        }
    }

    /// The beginning of a body that is text.
    pub(super) fn text(&self) -> String {
        plain(String::from_utf8_lossy(&self.body).trim(), SENTENCE)
    }
}

/// Asks once.
pub(super) async fn ask(parts: &Parts, question: Question<'_>) -> Result<Answer, Outcome> {
    let place = question.endpoint.to_string();
    match timeout(PATIENCE, exchange(parts, question)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(outcome)) => Err(outcome),
        Err(_) => Err(Outcome::retry(
            Trouble::Network,
            format!(
                "{place} took the connection and did not answer within {} s; is it what url means?",
                PATIENCE.as_secs()
            ),
        )),
    }
}

async fn exchange(parts: &Parts, question: Question<'_>) -> Result<Answer, Outcome> {
    let authorization = authorization(question.login).map_err(|why| Outcome::Broken { why })?;
    let (header, secrets) = authorization.unzip();
    let asked = Asked { is_tls: question.endpoint.is_tls(), has_login: header.is_some() };
    let request = request(&question, header)?;
    let mut objection = None;
    let stream: Box<dyn Stream> = match &question.endpoint.place {
        Place::Unix(path) => Box::new(UnixStream::connect(path).await.map_err(|error| {
            Outcome::retry(Trouble::Network, format!("{} {}", path.display(), explain(&error)))
        })?),
        Place::Net { is_tls, host, port } => {
            let stream = connect(parts, host, *port).await?;
            match is_tls {
                true => {
                    let secured = secure(parts, question.trust, host, Some(b"http/1.1"), stream).await?;
                    objection = secured.objection;
                    secured.stream
                }
                false => Box::new(stream),
            }
        }
    };
    let failed = |error: &hyper::Error| {
        let (words, hint) = match error.is_parse() {
            // A server of TLS alone says so in its own way.
            true if !question.endpoint.is_tls() => {
                ("answered with something that is not HTTP", "; look at url, https:// may do")
            }
            true => ("answered with something that is not HTTP", "; look at the port in url"),
            false => ("broke off", ""),
        };
        let said = plain(&error.to_string(), SENTENCE);
        Outcome::retry(Trouble::Network, format!("{} {words}: {said}{hint}", question.endpoint))
    };
    let mut builder = http1::Builder::new();
    builder.max_buf_size(MAX_HEAD).max_header_size(MAX_HEAD);
    let (mut sender, connection) =
        builder.handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
    let mut conversation = pin!(async {
        let response = sender.send_request(request).await.map_err(|error| failed(&error))?;
        Ok(Answer { objection, ..read(response, asked, &secrets.unwrap_or_default()).await })
    });
    tokio::select! {
        biased;
        answer = &mut conversation => answer,
        // The connection has ended; what it read is with the conversation, and so is what went wrong.
        _ = connection => conversation.await,
    }
}

fn request(
    question: &Question<'_>,
    authorization: Option<HeaderValue>,
) -> Result<Request<Full<Bytes>>, Outcome> {
    let endpoint = question.endpoint;
    let method = if question.json.is_some() { Method::POST } else { Method::GET };
    let path = format!("{}{}", endpoint.path, question.path);
    let mut request = Request::builder()
        .method(method)
        .uri(if path.is_empty() { "/" } else { &path })
        .header(HOST, endpoint.authority())
        .header(USER_AGENT, AGENT)
        .header(ACCEPT, "application/json")
        .header(CONNECTION, "close");
    if let Some(value) = authorization {
        request = request.header(AUTHORIZATION, value);
    }
    if question.json.is_some() {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    let body = Full::new(Bytes::from(question.json.clone().unwrap_or_default()));
    request
        .body(body)
        .map_err(|_| Outcome::retry(Trouble::Server, format!("{endpoint} is no URL to ask for")))
}

/// RFC 6750 2.1 or RFC 7617 2: the header, marked so that nothing shows it, and what must not be heard back.
fn authorization(login: &Login) -> Result<Option<(HeaderValue, Vec<Secret>)>, String> {
    let (text, file, secrets) = match login {
        Login::Nobody => return Ok(None),
        Login::Token(file) => {
            let token = file.read()?;
            (format!("Bearer {}", token.expose()), file, vec![token])
        }
        Login::Password(user, file) => {
            let password = file.read()?;
            let pair = Secret::new(STANDARD.encode(format!("{user}:{}", password.expose())));
            let text = format!("Basic {}", pair.expose());
            let unpadded = Secret::new(pair.expose().trim_end_matches('=').to_owned());
            (text, file, vec![unpadded, password])
        }
    };
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| format!("{} holds what no header can hold", file.path().display()))?;
    value.set_sensitive(true);
    Ok(Some((value, secrets)))
}

async fn read(response: Response<Incoming>, asked: Asked, secrets: &[Secret]) -> Answer {
    let header = |name| response.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let status = response.status();
    let after = header(RETRY_AFTER).and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
    let location = status.is_redirection().then(|| plain(header(LOCATION).unwrap_or("nowhere"), SENTENCE));
    let mut answer =
        Answer { status: status.as_u16(), body: Vec::new(), after, location, asked, objection: None };
    let mut body = response.into_body();
    // An answer that breaks off says as much as it says, and so does one without an end; the status stands without it, and
    // what was taken is not sent again.
    let until = Instant::now() + LISTEN;
    while let Ok(Some(Ok(frame))) = timeout_at(until, body.frame()).await {
        if let Ok(data) = frame.into_data() {
            let room = MAX_BODY - answer.body.len();
            answer.body.extend_from_slice(&data[..data.len().min(room)]);
            if data.len() > room {
                break;
            }
        }
    }
    // A server that repeats what it was told must not bring it into our log.
    if let Ok(text) = std::str::from_utf8(&answer.body) {
        answer.body = Secret::strike(text, secrets).into_bytes();
    }
    answer.location = answer.location.map(|location| Secret::strike(&location, secrets));
    answer
}

/// How long one request may take as a whole.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long the rest of an answer may take whose head is there.
const LISTEN: Duration = Duration::from_secs(5);
/// How much of an answer is read, in octets.
const MAX_BODY: usize = 16 * 1024;
/// How large the head of an answer may be, in octets.
const MAX_HEAD: usize = 16 * 1024;
/// How long a sentence may be, in characters.
const SENTENCE: usize = 120;
const AGENT: &str = concat!("acme-ca/", env!("CARGO_PKG_VERSION"), " (alerts)");
