//! TLS by rustls with the server's own certificate, which may change between two handshakes.

use std::fmt;
use std::sync::{Arc, Weak};

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

use crate::app::App;

/// An acceptor for the ACME door: TLS 1.2 and 1.3, HTTP/2, HTTP/1.1 and, for OpenBSD's client and old scripts, HTTP/1.0.
pub(super) fn acceptor(app: &Arc<App>) -> anyhow::Result<TlsAcceptor> {
    let certificate = Arc::new(Own(Arc::downgrade(app)));
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec(), b"http/1.0".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// The certificate of the moment.
struct Own(Weak<App>);

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Own")
    }
}

impl ResolvesServerCert for Own {
    /// One certificate whatever name is asked for: a client that reaches us under another name is told by the
    /// certificate which one is ours.
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.upgrade()?.own()?.key))
    }
}
