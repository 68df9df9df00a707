//! Whether a server holds the key of the certificate that it shows: whether that key signed the handshake. rustls' own
//! functions read neither X.509 v1 nor a certificate with an extension that is critical and that they do not know, which is
//! what TLS-ALPN-01 asks for (RFC 8737 3).

use rustls::DigitallySignedStruct;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use x509_parser::asn1_rs::{Any, FromDer as _};
use x509_parser::certificate::X509Certificate;

/// Whether a server holds the key of what it shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Possession {
    /// It signed the handshake.
    Proven,
    /// Nobody knows: the handshake ended before, or the key is of no kind that we can check.
    #[default]
    Unproven,
    /// Another key signed the handshake.
    Refuted,
}

/// Tries the algorithms of the signature's scheme, at most so many of them: TLS 1.3 ties each scheme to one (RFC 8446
/// 4.2.3). Nothing when the certificate cannot be read.
pub fn possession(
    provider: &CryptoProvider,
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
    at_most: usize,
) -> Option<Possession> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let key = &certificate.tbs_certificate.subject_pki;
    let (_, fields) = Any::from_der(key.raw).ok()?;
    let (_, kind) = Any::from_der(fields.data).ok()?;
    let mut fitting = provider
        .signature_verification_algorithms
        .mapping
        .iter()
        .filter(|(scheme, _)| *scheme == signed.scheme)
        .flat_map(|(_, algorithms)| algorithms.iter().take(at_most))
        .filter(|algorithm| algorithm.public_key_alg_id().as_ref() == kind.data)
        .peekable();
    if fitting.peek().is_none() {
        return Some(Possession::Unproven);
    }
    let holds = fitting.any(|algorithm| {
        algorithm.verify_signature(&key.subject_public_key.data, message, signed.signature()).is_ok()
    });
    Some(if holds { Possession::Proven } else { Possession::Refuted })
}
