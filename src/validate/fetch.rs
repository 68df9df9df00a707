//! One hop of HTTP-01: dial the vetted addresses, agree on TLS where the URL says so, ask once, read little
//! (RFC 8555 8.3, RFC 9110, RFC 9112). Neither names nor redirects are resolved here: what was vetted is what is dialled.
//! There is no proxy, no cookie, no connection that outlives its question.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use acme::failure::{Dial, Phase, Reason};
use acme::identifier::Identifier;
use acme::problem::plain;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONNECTION, HOST, LOCATION, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;

use super::Stop;
use super::dial::{Connection, connect, explain, millis};
use super::url::Url;

/// What a target answered.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// Who answered.
    pub(super) address: Option<SocketAddr>,
    /// The `Location` of a redirect; empty when there is none that is text.
    pub(super) location: String,
    /// At most [`MAX_BODY`] octets; nothing of a redirect.
    pub(super) body: Vec<u8>,
    /// Whether there was more.
    pub(super) is_cut: bool,
    /// From the dial to the end of the answer, in milliseconds.
    pub(super) millis: u64,
}

impl Answer {
    /// The redirects that are followed.
    pub(super) fn is_redirect(&self) -> bool {
        matches!(self.status.as_u16(), 301 | 302 | 303 | 307 | 308)
    }
}

/// Asks for `url` at the first of `addresses` that takes the connection. Every dial is recorded.
pub(super) async fn fetch(
    url: &Url,
    addresses: &[IpAddr],
    deadline: Instant,
    tls: &TlsConnector,
    dials: &mut Vec<Dial>,
) -> Result<Answer, Stop> {
    let Connection { stream, mut dial, begun } =
        connect(&url.to_string(), addresses, url.port, deadline, dials).await?;
    let result = converse(stream, url, begun, deadline, tls, &mut dial).await;
    dials.push(dial);
    result
}

/// What follows a connection, until the deadline, with its outcome in `dial`.
async fn converse(
    stream: TcpStream,
    url: &Url,
    begun: Instant,
    deadline: Instant,
    tls: &TlsConnector,
    dial: &mut Dial,
) -> Result<Answer, Stop> {
    let mut progress = Progress::default();
    let result = timeout_at(deadline, over(stream, url, tls, &mut progress)).await;
    let result = result.unwrap_or_else(|_| Err(progress.timed_out(begun.elapsed())));
    dial.millis = millis(begun);
    dial.status = progress.status.map(|status| status.as_u16());
    match result {
        Ok(answer) => Ok(Answer { address: Some(dial.address), millis: dial.millis, ..answer }),
        Err(stop) => {
            dial.error = Some(stop.detail.clone());
            let detail = format!("{} at {} {} ({} ms)", show(url), dial.address, stop.detail, dial.millis);
            Err(Stop { detail, ..stop })
        }
    }
}

/// How far a conversation has come, for whoever must say where it stopped.
#[derive(Default)]
struct Progress {
    phase: Option<Phase>,
    status: Option<StatusCode>,
}

impl Progress {
    fn timed_out(&self, after: Duration) -> Stop {
        let seconds = after.as_secs_f32();
        let (phase, words) = match (self.phase, self.status) {
            (Some(Phase::Tls), _) => {
                (Phase::Tls, "took the connection, but did not finish the TLS handshake".to_owned())
            }
            (_, None) => (Phase::Http, "took the connection, but did not answer".to_owned()),
            (_, Some(status)) => {
                (Phase::Http, format!("answered {}, but its body did not end", status.as_u16()))
            }
        };
        Stop::new(phase, Reason::Timeout, format!("{words} within {seconds:.1} s"))
    }
}

/// Plainly, or through TLS.
async fn over(
    stream: TcpStream,
    url: &Url,
    tls: &TlsConnector,
    progress: &mut Progress,
) -> Result<Answer, Stop> {
    if !url.is_https {
        return ask(stream, url, progress).await;
    }
    progress.phase = Some(Phase::Tls);
    let refuse = |words: String| Stop::new(Phase::Tls, Reason::Tls, format!("did not agree on TLS: {words}"));
    let name = match &url.host {
        Identifier::Dns(name) => ServerName::try_from(name.to_string())
            .map_err(|_| refuse(format!("{name} cannot be sent as SNI")))?,
        Identifier::Ip(ip) => ServerName::IpAddress((*ip).into()),
    };
    let stream = tls.connect(name, stream).await.map_err(|error| refuse(plain(&error.to_string(), 160)))?;
    progress.phase = Some(Phase::Http);
    ask(stream, url, progress).await
}

/// One request, one answer. The connection is driven here and dropped with the answer.
async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    url: &Url,
    progress: &mut Progress,
) -> Result<Answer, Stop> {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(MAX_HEAD).max_header_size(MAX_HEAD);
    let (mut sender, connection) =
        builder.handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error, None))?;
    let request = Request::get(url.path.as_str())
        .header(HOST, url.authority())
        .header(USER_AGENT, AGENT)
        .header(ACCEPT, "*/*")
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|_| {
            Stop::new(Phase::Http, Reason::Redirect, "has a path that cannot be asked for".to_owned())
        })?;
    let mut exchange = pin!(async {
        let response = sender.send_request(request).await.map_err(|error| failed(&error, None))?;
        progress.status = Some(response.status());
        read(response).await
    });
    tokio::select! {
        biased;
        answer = &mut exchange => answer,
        // The connection has ended; what it read is with the exchange, and so is what went wrong.
        _ = connection => exchange.await,
    }
}

async fn read(response: Response<Incoming>) -> Result<Answer, Stop> {
    let status = response.status();
    let location =
        response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let mut answer = Answer { status, location, ..Answer::default() };
    if answer.is_redirect() {
        return Ok(answer);
    }
    let body = response.into_body();
    if status == StatusCode::OK {
        read_body(body, &mut answer).await.map_err(|error| failed(&error, Some(status)))?;
    } else {
        // The page of an error helps to tell who answered, but nobody waits for it, and the status stands without it.
        let _ = timeout(ERROR_PAGE, read_body(body, &mut answer)).await;
    }
    Ok(answer)
}

async fn read_body(mut body: Incoming, answer: &mut Answer) -> Result<(), hyper::Error> {
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            let room = MAX_BODY - answer.body.len();
            answer.body.extend_from_slice(&data[..data.len().min(room)]);
            if data.len() > room {
                answer.is_cut = true;
                return Ok(());
            }
        }
    }
    Ok(())
}

/// What hyper's error means for the reader.
fn failed(error: &hyper::Error, status: Option<StatusCode>) -> Stop {
    let (reason, words) = if error.is_parse_too_large() {
        (Reason::Malformed, format!("answered with a header of more than {} KiB", MAX_HEAD / 1024))
    } else if error.is_parse_version_h2() {
        (Reason::Malformed, "answered in HTTP/2 to a question in HTTP/1.1".to_owned())
    } else if error.is_parse() {
        (Reason::Malformed, "answered with something that is not HTTP".to_owned())
    } else if let Some(io) = io_error(error) {
        explain(io)
    } else {
        // An incomplete message, or a connection that closed before it was asked.
        (Reason::Reset, "closed the connection before the answer was complete".to_owned())
    };
    let words = match status {
        Some(status) => format!("answered {}, but {words}", status.as_u16()),
        None => words,
    };
    Stop::new(Phase::Http, reason, words)
}

fn io_error(error: &hyper::Error) -> Option<&io::Error> {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref() {
            return Some(io);
        }
        source = inner.source();
    }
    None
}

/// A URL for a sentence.
pub(super) fn show(url: &Url) -> String {
    plain(&url.to_string(), 200)
}

/// How much of a body is read, in octets. A key authorization has under 100.
pub(super) const MAX_BODY: usize = 1024;
/// How large the head of an answer may be, in octets.
const MAX_HEAD: usize = 16 * 1024;
/// How long the body of an error is waited for.
const ERROR_PAGE: Duration = Duration::from_secs(1);
const AGENT: &str = concat!("acme-ca/", env!("CARGO_PKG_VERSION"), " (HTTP-01 validation)");
