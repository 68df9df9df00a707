//! One kept-alive HTTP/1.1 connection over TLS to one server on loopback, as a renewing client holds it for an hour.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderMap, USER_AGENT};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Where the server is and whom to trust there.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    /// RFC 8555 section 7.1.1; everything else is found there.
    pub(crate) directory: String,
    pub(crate) tls: Arc<ClientConfig>,
}

pub(crate) struct Client {
    endpoint: Endpoint,
    sender: Option<SendRequest<Full<Bytes>>>,
    /// Connections made; more than one means that the server closed the first.
    pub(crate) connections: u64,
}

pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Client {
    pub(crate) fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, sender: None, connections: 0 }
    }

    pub(crate) fn directory(&self) -> &str {
        &self.endpoint.directory
    }

    pub(crate) async fn head(&mut self, url: &str) -> anyhow::Result<Reply> {
        self.send(Method::HEAD, url, None).await
    }

    pub(crate) async fn get(&mut self, url: &str) -> anyhow::Result<Reply> {
        self.send(Method::GET, url, None).await
    }

    pub(crate) async fn post(&mut self, url: &str, body: String) -> anyhow::Result<Reply> {
        self.send(Method::POST, url, Some(body)).await
    }

    /// The connection is given up, as after a time-out in the middle of a reply.
    pub(crate) fn close(&mut self) {
        self.sender = None;
    }

    async fn send(&mut self, method: Method, url: &str, body: Option<String>) -> anyhow::Result<Reply> {
        let uri: Uri = url.parse().with_context(|| format!("the server handed out the URL {url:?}"))?;
        let mut request = Request::builder()
            .method(method)
            .uri(uri.path_and_query().map_or("/", |path| path.as_str()))
            .header(HOST, uri.authority().map_or("localhost", |authority| authority.as_str()))
            .header(USER_AGENT, "acme-ca-bench/1")
            .header(ACCEPT, "*/*");
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/jose+json");
        }
        let request = request.body(Full::new(Bytes::from(body.unwrap_or_default())))?;

        // A reply that fails closes the connection; the next request opens another.
        let mut sender = match self.sender.take() {
            Some(open) if !open.is_closed() => open,
            _ => self.connect().await?,
        };
        sender.ready().await?;
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        self.sender = Some(sender);
        Ok(Reply { status: head.status, headers: head.headers, body })
    }

    async fn connect(&mut self) -> anyhow::Result<SendRequest<Full<Bytes>>> {
        let tcp = TcpStream::connect(self.endpoint.address).await?;
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from("localhost")?;
        let tls = TlsConnector::from(Arc::clone(&self.endpoint.tls)).connect(name, tcp).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(tls)).await?;
        tokio::spawn(connection); // ends with the sender, or when the server closes
        self.connections += 1;
        Ok(sender)
    }
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// TLS that trusts `roots` alone and resumes nothing: an ACME client that starts has no session to resume.
pub(crate) fn trusting(roots: RootCertStore) -> anyhow::Result<Arc<ClientConfig>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}
