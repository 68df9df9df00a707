//! Asking one server one question, through hickory-resolver's connections: over UDP with TCP for what does not fit
//! (RFC 1035 4.2, RFC 7766), over TCP, or over TLS with the certificate checked (RFC 7858, RFC 8310). Whatever goes wrong
//! becomes a verdict, because the next server may do better and the operator wants to read what this one did.
//!
//! hickory sends, sends again what is lost, chooses ids and ports, drops forged answers (with a warning in the log) and
//! reads messages. Its `Resolver` and `NameServerPool` are left out: they make one `no connections available` of a closed
//! port and a bad certificate, throw away the Extended DNS Error of a failure, and answer for `localhost` themselves.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use acme::failure::Reason;
use acme::problem::plain;
use hickory_resolver::config::{ConnectionConfig, ProtocolConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::{RuntimeProvider, Spawn};
use hickory_resolver::net::tls::tls_client_connect;
use hickory_resolver::net::xfer::{DnsExchange, DnsHandle, DnsMultiplexer, FirstAnswer};
use hickory_resolver::proto::op::{DnsRequest, DnsResponse};
use hickory_resolver::{ConnectionProvider, PoolContext, TlsConfig};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::timeout;

use super::question::{Question, Verdict};
use super::reading::NO_MESSAGE;
use super::server::{Server, Transport};
use super::sockets::Sockets;

/// A server with the connection to it that is open. Nothing is opened before the first question.
pub(super) struct Upstream {
    address: SocketAddr,
    transport: Transport,
    context: Arc<PoolContext>,
    sockets: Sockets,
    /// The TCP or TLS connection that answered last, and when; questions share it (RFC 7766 6.2.1.1).
    open: Mutex<Option<(Instant, DnsExchange<Sockets>)>>,
}

/// What all servers have in common: how long one may take for one question, and which authorities may certify it: the
/// public ones and the given ones.
pub(super) fn context(limit: Duration, mut roots: RootCertStore) -> Result<Arc<PoolContext>, rustls::Error> {
    let mut options = ResolverOpts::default();
    options.timeout = limit;
    // The system would choose among fewer ports, which makes forging easier.
    options.os_port_selection = false;
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    // TLS 1.2 and 1.3. No ALPN: RFC 7858 asks for none, and a server that has a list of its own would refuse.
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(PoolContext::new(options, TlsConfig { config })))
}

impl Upstream {
    pub(super) fn new(server: &Server, context: &Arc<PoolContext>) -> Self {
        Self {
            address: server.address(),
            transport: server.transport().clone(),
            context: Arc::clone(context),
            sockets: Sockets::new(server.address()),
            open: Mutex::default(),
        }
    }

    /// Asks, and waits no longer than the limit in all.
    pub(super) async fn ask(&self, question: &Question) -> Verdict {
        match timeout(self.limit(), self.exchange(question)).await {
            Ok(Ok(verdict) | Err(verdict)) => verdict,
            Err(_) => {
                *self.open() = None; // it may be dead without having been closed
                self.late()
            }
        }
    }

    async fn exchange(&self, question: &Question) -> Result<Verdict, Verdict> {
        let resend = self.limit() / SENDINGS;
        let mut answer = self.answer(question.request(resend)).await?;
        if question.is_refused_for_edns(&answer) {
            answer = self.answer(question.request_without_edns(resend)).await?;
        }
        Ok(question.judge(&answer))
    }

    async fn answer(&self, request: DnsRequest) -> Result<DnsResponse, Verdict> {
        if self.transport != Transport::Udp {
            return self.by_stream(request).await.map_err(|error| self.broken(&error));
        }
        let answer = self.by_datagram(request.clone()).await.map_err(|error| self.broken(&error))?;
        if !answer.truncation {
            return Ok(answer);
        }
        self.by_stream(request).await.map_err(|error| {
            let verdict = self.broken(&error);
            let clause = format!("cut its answer short over UDP, and over TCP it {}", verdict.clause);
            Verdict { clause, ..verdict }
        })
    }

    async fn by_datagram(&self, request: DnsRequest) -> Result<DnsResponse, NetError> {
        self.connect(ProtocolConfig::Udp).await?.send(request).first_answer().await
    }

    /// Uses the open connection when there is one. The server may have closed it meanwhile, or may be busy with what it
    /// was asked there, which is no fault: then a fresh one is opened, once.
    async fn by_stream(&self, request: DnsRequest) -> Result<DnsResponse, NetError> {
        if let Some(exchange) = self.reusable()
            && let Ok(answer) = exchange.send(request.clone()).first_answer().await
        {
            *self.open() = Some((Instant::now(), exchange));
            return Ok(answer);
        }
        let exchange = match &self.transport {
            Transport::Udp | Transport::Tcp => self.connect(ProtocolConfig::Tcp).await?,
            Transport::Tls(name) => self.connect_tls(name).await?,
        };
        let answer = exchange.send(request).first_answer().await?;
        *self.open() = Some((Instant::now(), exchange));
        Ok(answer)
    }

    async fn connect(&self, protocol: ProtocolConfig) -> Result<DnsExchange<Sockets>, NetError> {
        let mut config = ConnectionConfig::new(protocol);
        config.port = self.address.port();
        self.sockets.new_connection(self.address.ip(), &config, &self.context)?.await
    }

    /// As hickory-resolver connects, but with the server's name in the handshake (SNI): services with a name for each
    /// customer need it, and hickory-resolver leaves it out.
    async fn connect_tls(&self, name: &ServerName<'static>) -> Result<DnsExchange<Sockets>, NetError> {
        let config = Arc::new(self.context.tls.clone());
        let (stream, messages) = tls_client_connect(self.address, name.clone(), config, self.sockets.clone());
        let stream = DnsMultiplexer::new(stream.await?, messages).with_timeout(self.limit());
        let (exchange, driving) = DnsExchange::from_stream(stream);
        self.sockets.create_handle().spawn_bg(driving);
        Ok(exchange)
    }

    /// The open connection, unless it has been idle for so long that the server or a firewall may have forgotten it.
    fn reusable(&self) -> Option<DnsExchange<Sockets>> {
        let mut open = self.open();
        open.take_if(|(used, _)| used.elapsed() >= IDLE);
        open.as_ref().map(|(_, exchange)| exchange.clone())
    }

    fn open(&self) -> MutexGuard<'_, Option<(Instant, DnsExchange<Sockets>)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn limit(&self) -> Duration {
        self.context.options.timeout
    }

    fn late(&self) -> Verdict {
        let clause = format!("did not answer within {:?}", self.limit());
        Verdict::without("timeout", Reason::Timeout, clause)
    }

    fn broken(&self, error: &NetError) -> Verdict {
        let closed = "closed the connection without an answer";
        match error {
            NetError::Timeout => self.late(),
            NetError::Proto(_) => Verdict::unreadable(NO_MESSAGE),
            NetError::Io(error) => self.unreachable(error, closed),
            // Of a fresh connection, hickory says so when the task that drove it is gone.
            NetError::Busy | NetError::Message(_) => {
                Verdict::without("connection closed", Reason::Reset, closed.to_owned())
            }
            other => {
                let clause = format!("cannot be reached ({})", plain(&other.to_string(), 200));
                Verdict::without("unreachable", Reason::Unreachable, clause)
            }
        }
    }

    fn unreachable(&self, error: &io::Error, closed: &str) -> Verdict {
        use io::ErrorKind as Kind;
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if let (Some(tls), Transport::Tls(name)) = (tls, &self.transport) {
            let why = plain(&format!("for {}: {tls}", name.to_str()), 200);
            let clause = format!("could not be spoken to over TLS ({why})");
            return Verdict::without("TLS failed", Reason::Tls, clause);
        }
        let (word, reason, clause) = match error.kind() {
            Kind::ConnectionRefused => {
                ("connection refused", Reason::Refused, "is not listening (connection refused)".to_owned())
            }
            Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe | Kind::UnexpectedEof => {
                ("connection closed", Reason::Reset, closed.to_owned())
            }
            _ => ("unreachable", Reason::Unreachable, format!("cannot be reached ({error})")),
        };
        Verdict::without(word, reason, clause)
    }
}

/// How often a datagram is sent within the time limit; hickory waits at least 333 ms before it sends again.
const SENDINGS: u32 = 3;
/// How long a connection is kept for the next question; servers close theirs after some seconds (RFC 7766 6.2.3).
const IDLE: Duration = Duration::from_secs(5);
