//! A TLS handshake for the sake of what the server shows: TLS 1.2 and 1.3 (RFC 5246, RFC 8446), every certificate taken
//! and written down, nothing said afterwards. Whether the server holds the key of what it shows is looked at too: the
//! handshake is signed with it.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use acme::identifier::Identifier;
use acme::problem::plain;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, ResolvesClientCert, Resumption};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{AlertDescription, DigitallySignedStruct, Error, PeerIncompatible, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::tap::Tap;
use super::{Outcome, Shown};
use crate::possession::{Possession, possession};

/// Shakes hands for `name`; an address is not sent (RFC 6066 3).
pub(super) async fn shake_hands(stream: TcpStream, name: &Identifier) -> Outcome {
    let server_name = match name {
        Identifier::Ip(address) => ServerName::IpAddress((*address).into()),
        Identifier::Dns(name) => match ServerName::try_from(name.as_str().to_owned()) {
            Ok(name) => name,
            Err(_) => return Outcome::Failed(format!("{name} cannot be sent as SNI")),
        },
    };
    let provider = Arc::new(aws_lc_rs::default_provider());
    let notes = Arc::new(Notes { provider: Arc::clone(&provider), taken: Mutex::default() });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("aws-lc-rs has the cipher suites of TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&notes) as Arc<dyn ServerCertVerifier>)
        .with_client_cert_resolver(Arc::clone(&notes) as Arc<dyn ResolvesClientCert>);
    // One look is one handshake; and no protocol is proposed, so that none can be refused.
    config.resumption = Resumption::disabled();
    let mut tap = Tap::new(stream);
    let done = TlsConnector::from(Arc::new(config)).connect(server_name, &mut tap).await;
    let (version, error) = match done {
        Ok(stream) => (stream.get_ref().1.protocol_version(), None),
        Err(error) => (None, Some(error)),
    };
    let mut taken = notes.taken.lock().unwrap_or_else(PoisonError::into_inner);
    if taken.chain.is_empty() {
        return without_certificate(error, &tap);
    }
    Outcome::Shown(Shown {
        chain: std::mem::take(&mut taken.chain),
        version: version.and_then(|version| version.as_str()).map(|word| word.replace("TLSv1_", "TLS 1.")),
        possession: taken.possession,
        wants_client_certificate: taken.wants_client_certificate,
    })
}

/// What an end of the handshake means that came before a certificate.
fn without_certificate(error: Option<io::Error>, tap: &Tap) -> Outcome {
    let Some(error) = error else { return Outcome::Failed("the handshake showed no certificate".to_owned()) };
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::AlertReceived(AlertDescription::ProtocolVersion)) => {
            Outcome::OldTls("it speaks neither TLS 1.2 nor 1.3".to_owned())
        }
        Some(Error::AlertReceived(alert)) => {
            Outcome::Alert(format!("{} ({})", alert.as_str().unwrap_or("unknown"), u8::from(*alert)))
        }
        Some(Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        )) => Outcome::OldTls("it speaks neither TLS 1.2 nor 1.3".to_owned()),
        Some(Error::PeerIncompatible(why)) => Outcome::OldTls(format!(
            "it has nothing in common with TLS of today ({})",
            plain(&format!("{why:?}"), 60)
        )),
        Some(Error::General(why)) => Outcome::Failed(plain(why, 120)),
        _ => Outcome::NotTls(tap.began()),
    }
}

/// What the server sent, written down as rustls comes by.
#[derive(Debug)]
struct Notes {
    provider: Arc<CryptoProvider>,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    chain: Vec<Vec<u8>>,
    possession: Possession,
    wants_client_certificate: bool,
}

impl Notes {
    fn take(&self, note: impl FnOnce(&mut Taken)) {
        note(&mut self.taken.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Looks whether the key of the certificate signed the handshake, and goes on in any case.
    fn signed(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
        at_most: usize,
    ) -> HandshakeSignatureValid {
        let possession =
            possession(&self.provider, message, certificate, signed, at_most).unwrap_or_default();
        self.take(|taken| taken.possession = possession);
        HandshakeSignatureValid::assertion()
    }
}

impl ServerCertVerifier for Notes {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // rustls bounds the message that they came in to 64 KiB.
        let chain = std::iter::once(end_entity).chain(intermediates).take(CHAIN);
        self.take(|taken| taken.chain = chain.map(|der| der.to_vec()).collect());
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(self.signed(message, certificate, signed, usize::MAX))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(self.signed(message, certificate, signed, 1))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl ResolvesClientCert for Notes {
    /// Only a server that wants one asks. It has shown its own by then.
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.take(|taken| taken.wants_client_certificate = true);
        None
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// How many certificates of a chain are kept.
const CHAIN: usize = 10;
