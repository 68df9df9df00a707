//! A TLS server that answers TLS-ALPN-01, RFC 8737: with what was published for a name, or with whatever a test wants to
//! show. It remembers what it was asked for.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use acme::identifier::Identifier;
use acme::tls_alpn::server_name;
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::{default_provider, sign::any_supported_type};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// The server; it ends when it is dropped.
pub struct AlpnResponder {
    address: SocketAddr,
    shown: Arc<Shown>,
    task: JoinHandle<()>,
}

/// What a client asked for in its first message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// SNI.
    pub server_name: Option<String>,
    /// ALPN.
    pub protocols: Vec<String>,
}

#[derive(Debug, Default)]
struct Shown {
    certificates: Mutex<HashMap<String, Arc<CertifiedKey>>>,
    otherwise: Mutex<Option<Arc<CertifiedKey>>>,
    hellos: Mutex<Vec<Hello>>,
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(str::to_owned);
        let protocols = hello.alpn().into_iter().flatten();
        let protocols = protocols.map(|octets| String::from_utf8_lossy(octets).into_owned()).collect();
        self.hellos.lock().unwrap().push(Hello { server_name: name.clone(), protocols });
        let found = name.and_then(|name| self.certificates.lock().unwrap().get(&name).cloned());
        found.or_else(|| self.otherwise.lock().unwrap().clone())
    }
}

impl AlpnResponder {
    /// At this address, with the protocol of the challenge.
    pub async fn start(at: &str) -> Self {
        Self::speaking(at, &["acme-tls/1"], rustls::ALL_VERSIONS).await
    }

    /// With these protocols and these versions of TLS.
    pub async fn speaking(
        at: &str,
        protocols: &[&str],
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Self {
        let listener = TcpListener::bind(at).await.expect("the address is free");
        let shown = Arc::new(Shown::default());
        let resolver = Arc::clone(&shown);
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(versions)
            .expect("versions")
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let address = listener.local_addr().expect("bound");
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    if let Ok(mut stream) = acceptor.accept(stream).await {
                        let _ = stream.read(&mut [0]).await;
                    }
                });
            }
        });
        Self { address, shown, task }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Shows the certificate of a challenge to whoever asks for the identifier.
    pub fn publish(&self, identifier: &Identifier, digest: &[u8; 32]) {
        let (certificate, key) = certificate(&identifier.to_string(), Some(digest));
        self.show(identifier, certificate, &key);
    }

    /// Shows this certificate instead.
    pub fn show(&self, identifier: &Identifier, certificate: CertificateDer<'static>, key: &KeyPair) {
        let shown = certified(certificate, key);
        self.shown.certificates.lock().unwrap().insert(server_name(identifier), shown);
    }

    /// Shows this certificate to everybody else.
    pub fn show_otherwise(&self, certificate: CertificateDer<'static>, key: &KeyPair) {
        *self.shown.otherwise.lock().unwrap() = Some(certified(certificate, key));
    }

    /// What it was asked for until now.
    pub fn hellos(&self) -> Vec<Hello> {
        self.shown.hellos.lock().unwrap().clone()
    }
}

impl Drop for AlpnResponder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A self-signed certificate for a name or an address, with acmeIdentifier when there is a digest.
pub fn certificate(name: &str, digest: Option<&[u8; 32]>) -> (CertificateDer<'static>, KeyPair) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    params.custom_extensions.extend(digest.map(|digest| CustomExtension::new_acme_identifier(digest)));
    (params.self_signed(&key).expect("a certificate").der().clone(), key)
}

fn certified(certificate: CertificateDer<'static>, key: &KeyPair) -> Arc<CertifiedKey> {
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("PKCS#8");
    Arc::new(CertifiedKey::new(vec![certificate], any_supported_type(&key).expect("a kind of key")))
}
