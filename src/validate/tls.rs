//! TLS towards a validation target. RFC 8737 3: for TLS-ALPN-01 the certificate is judged by its own rules when the
//! handshake is done. RFC 8555 8.3: when HTTP-01 is redirected to https, the certificate is not verified,
//! because the reason for asking is that the target has none yet, or an expired or self-signed one. What is fetched so
//! proves no more than what is fetched over plain HTTP. Nothing but a validation may use this.

use std::sync::Arc;

use acme::tls_alpn::PROTOCOL;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, Resumption};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use tokio_rustls::TlsConnector;

use crate::possession::{Possession, possession};

/// TLS 1.2 or 1.3, HTTP/1.1, any certificate, even one that cannot be read.
pub(super) fn unverified() -> TlsConnector {
    connector(b"http/1.1", Proof::Waived)
}

/// TLS 1.2 or 1.3, `acme-tls/1`, any certificate whose key signs the handshake (RFC 8737 3).
pub(super) fn acme() -> TlsConnector {
    connector(PROTOCOL, Proof::Demanded)
}

fn connector(protocol: &[u8], proof: Proof) -> TlsConnector {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = AnyCertificate { provider: Arc::clone(&provider), proof };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("aws-lc-rs has the cipher suites of TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    // A target is asked once; there is nothing to resume.
    config.resumption = Resumption::disabled();
    TlsConnector::from(Arc::new(config))
}

/// Takes every certificate.
#[derive(Debug)]
struct AnyCertificate {
    provider: Arc<CryptoProvider>,
    proof: Proof,
}

/// Whether the target has to show that it holds the certificate's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proof {
    Demanded,
    Waived,
}

impl AnyCertificate {
    /// Whether the target holds the certificate's key, where that is demanded.
    fn holds(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
        at_most: usize,
    ) -> Result<HandshakeSignatureValid, Error> {
        if self.proof == Proof::Waived {
            return Ok(HandshakeSignatureValid::assertion());
        }
        match possession(&self.provider, message, certificate, signed, at_most) {
            Some(Possession::Proven) => Ok(HandshakeSignatureValid::assertion()),
            Some(_) => Err(Error::InvalidCertificate(CertificateError::BadSignature)),
            None => Err(Error::InvalidCertificate(CertificateError::BadEncoding)),
        }
    }
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.holds(message, certificate, signed, usize::MAX)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.holds(message, certificate, signed, 1)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
