//! Asking one server one question: over UDP with TCP for what does not fit (RFC 1035 4.2, RFC 7766), over TCP, or over
//! TLS with the certificate checked (RFC 7858, RFC 8310). Whatever goes wrong becomes a verdict, because the next server
//! may do better and the operator wants to read what this one did.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use acme::failure::Reason;
use acme::problem::plain;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::question::{Question, Reply, Verdict};
use super::server::{Server, Transport};

/// A server with the connections to it that are open and idle. Nothing is opened before the first question.
pub(super) struct Upstream {
    address: SocketAddr,
    transport: Transport,
    tls: Option<TlsConnector>,
    idle: Mutex<Vec<(Instant, Stream)>>,
}

enum Stream {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Upstream {
    pub(super) fn new(server: &Server, tls: Option<&Arc<ClientConfig>>) -> Self {
        Self {
            address: server.address(),
            transport: server.transport().clone(),
            tls: tls.map(|config| TlsConnector::from(Arc::clone(config))),
            idle: Mutex::default(),
        }
    }

    /// Asks, and waits no longer than `limit` in all.
    pub(super) async fn ask(&self, question: &Question, limit: Duration) -> Verdict {
        // Counts what came and was not the answer, so that a time-out can tell of it.
        let mut foreign = 0_u32;
        match timeout(limit, self.exchange(question, limit, &mut foreign)).await {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(error)) => broken(&error),
            Err(_) => {
                let mut clause = format!("did not answer within {limit:?}");
                if foreign > 0 {
                    clause = format!(
                        "{clause} ({foreign} messages that were no answer to the question were ignored)"
                    );
                }
                Verdict::without("timeout", Reason::Timeout, clause)
            }
        }
    }

    async fn exchange(&self, question: &Question, limit: Duration, foreign: &mut u32) -> io::Result<Verdict> {
        let reply = self.one_exchange(question, limit, foreign).await?;
        let reply = match reply {
            Reply::WithoutEdns => self.one_exchange(&question.without_edns(), limit, foreign).await?,
            reply => reply,
        };
        Ok(match reply {
            Reply::Answer(verdict) => verdict,
            Reply::Truncated => Verdict::unreadable("cut its answer short even over a stream"),
            Reply::WithoutEdns | Reply::Foreign => Verdict::unreadable("sent an answer to another question"),
        })
    }

    async fn one_exchange(
        &self,
        question: &Question,
        limit: Duration,
        foreign: &mut u32,
    ) -> io::Result<Reply> {
        if self.transport != Transport::Udp {
            return self.by_stream(question).await;
        }
        match self.by_datagram(question, limit, foreign).await? {
            Reply::Truncated => Ok(self.by_stream(question).await.unwrap_or_else(|error| {
                let verdict = broken(&error);
                let clause = format!("cut its answer short over UDP, and over TCP it {}", verdict.clause);
                Reply::Answer(Verdict { clause, ..verdict })
            })),
            reply => Ok(reply),
        }
    }

    /// Every question has its own socket, hence its own random port. The socket is connected, so that the system
    /// drops what others send, and tells us at once when nothing listens.
    async fn by_datagram(
        &self,
        question: &Question,
        limit: Duration,
        foreign: &mut u32,
    ) -> io::Result<Reply> {
        let any = match self.address {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(self.address).await?;
        let mut buffer = vec![0; DATAGRAM];
        loop {
            // A datagram may be lost: it is sent again, the same under the same id, until the caller's limit.
            socket.send(question.bytes()).await?;
            let resend = timeout(limit / SENDINGS, async {
                loop {
                    let length = socket.recv(&mut buffer).await?;
                    match question.read(&buffer[..length]) {
                        Reply::Foreign => *foreign = foreign.saturating_add(1),
                        reply => return io::Result::Ok(reply),
                    }
                }
            });
            if let Ok(answered) = resend.await {
                return answered;
            }
        }
    }

    /// Uses an idle connection when there is one. The server may have closed it meanwhile, which is no fault: then a
    /// fresh one is opened, once.
    async fn by_stream(&self, question: &Question) -> io::Result<Reply> {
        if let Some(mut stream) = self.take_idle()
            && let Ok(reply) = stream.exchange(question).await
        {
            self.put_idle(stream, &reply);
            return Ok(reply);
        }
        let mut stream = self.connect().await?;
        let reply = stream.exchange(question).await?;
        self.put_idle(stream, &reply);
        Ok(reply)
    }

    async fn connect(&self) -> io::Result<Stream> {
        let tcp = TcpStream::connect(self.address).await?;
        tcp.set_nodelay(true)?;
        match (&self.transport, &self.tls) {
            (Transport::Tls(name), Some(connector)) => {
                let tls = connector.connect(name.clone(), tcp).await.map_err(|error| told_of(error, name))?;
                Ok(Stream::Tls(Box::new(tls)))
            }
            _ => Ok(Stream::Tcp(tcp)),
        }
    }

    fn take_idle(&self) -> Option<Stream> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(since, _)| since.elapsed() < IDLE);
        idle.pop().map(|(_, stream)| stream)
    }

    fn put_idle(&self, stream: Stream, reply: &Reply) {
        if *reply == Reply::Foreign {
            return; // what comes next on it may be an answer to anything
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MAX_IDLE {
            idle.push((Instant::now(), stream));
        }
    }
}

impl Stream {
    async fn exchange(&mut self, question: &Question) -> io::Result<Reply> {
        match self {
            Self::Tcp(stream) => exchange_on(stream, question).await,
            Self::Tls(stream) => exchange_on(stream, question).await,
        }
    }
}

/// One question and one answer, each after its length in two octets.
async fn exchange_on<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    question: &Question,
) -> io::Result<Reply> {
    let length = u16::try_from(question.bytes().len()).expect("a question is shorter than 64 KiB");
    // In one write, RFC 7766 8: some servers do not wait for the second half.
    stream.write_all(&[&length.to_be_bytes()[..], question.bytes()].concat()).await?;
    stream.flush().await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    Ok(question.read(&answer))
}

/// Adds the name that was looked for to what TLS has to say.
fn told_of(error: io::Error, name: &ServerName<'_>) -> io::Error {
    match tls_error(&error) {
        Some(tls) => io::Error::other(rustls::Error::General(format!("for {}: {tls}", name.to_str()))),
        None => error,
    }
}

fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

fn broken(error: &io::Error) -> Verdict {
    use io::ErrorKind as Kind;
    if let Some(tls) = tls_error(error) {
        return Verdict::without(
            "TLS failed",
            Reason::Tls,
            format!("could not be spoken to over TLS ({})", plain(&tls.to_string(), 200)),
        );
    }
    let (word, reason, clause) = match error.kind() {
        Kind::ConnectionRefused => {
            ("connection refused", Reason::Refused, "is not listening (connection refused)".to_owned())
        }
        Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe | Kind::UnexpectedEof => {
            ("connection closed", Reason::Reset, "closed the connection without an answer".to_owned())
        }
        Kind::TimedOut => ("timeout", Reason::Timeout, "did not answer".to_owned()),
        _ => ("unreachable", Reason::Unreachable, format!("cannot be reached ({error})")),
    };
    Verdict::without(word, reason, clause)
}

/// How often a datagram is sent within the time limit.
const SENDINGS: u32 = 3;
/// Room for a datagram: more than we offered, for servers that do not care.
const DATAGRAM: usize = 4096;
/// How long a connection is kept for the next question; servers close theirs after some seconds (RFC 7766 6.2.3).
const IDLE: Duration = Duration::from_secs(5);
/// How many idle connections are kept to one server.
const MAX_IDLE: usize = 8;
