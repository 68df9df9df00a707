//! Pinned keys, as RFC 7469 2.4 writes them: a server that shows that it holds one is believed whatever its certificate
//! says. So the way to a phone stands when the certificate there is the one that is broken: expired, for another name, or
//! of a root that is gone. Whoever stole a pinned key is believed too, until the pin is removed.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use acme::jwk::sha256;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use x509_parser::asn1_rs::FromDer as _;
use x509_parser::certificate::X509Certificate;

/// The SHA-256 of a key, as it stands in certificates (SubjectPublicKeyInfo).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Pin([u8; 32]);

impl Pin {
    /// Reads base64, perhaps behind `sha256//`, as curl writes it.
    ///
    /// # Errors
    /// What is wrong with it, and how one is made.
    pub fn parse(text: &str) -> Result<Self, String> {
        let digest = STANDARD.decode(text.strip_prefix("sha256//").unwrap_or(text)).ok();
        let digest = digest.and_then(|digest| <[u8; 32]>::try_from(digest).ok());
        digest.map(Self).ok_or_else(|| {
            "it is no base64 of 32 octets; openssl x509 -in CERTIFICATE -noout -pubkey | openssl pkey -pubin -outform DER \
             | openssl dgst -sha256 -binary | base64 makes one"
                .to_owned()
        })
    }

    /// The pin of the key of a certificate, DER; nothing when it cannot be read.
    fn of(certificate: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        Some(Self(sha256(certificate.tbs_certificate.subject_pki.raw)))
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pin({self})")
    }
}

/// Believes a certificate that the CAs vouch for, and else one with a pinned key.
#[derive(Debug)]
pub(super) struct Pinned {
    by_chain: Arc<WebPkiServerVerifier>,
    pins: Vec<Pin>,
    /// Why the certificate alone would not have done.
    objection: Mutex<Option<Error>>,
}

impl Pinned {
    pub(super) fn new(by_chain: Arc<WebPkiServerVerifier>, pins: Vec<Pin>) -> Self {
        Self { by_chain, pins, objection: Mutex::default() }
    }

    /// What is wrong with the certificate of a server that was believed by its key.
    pub(super) fn objection(&self) -> Option<String> {
        let objection = self.objection.lock().unwrap_or_else(PoisonError::into_inner);
        objection.as_ref().map(ToString::to_string)
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let judged = self.by_chain.verify_server_cert(end_entity, intermediates, name, ocsp, now);
        let Err(error) = judged else { return judged };
        if !Pin::of(end_entity).is_some_and(|pin| self.pins.contains(&pin)) {
            return Err(error);
        }
        *self.objection.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        Ok(ServerCertVerified::assertion())
    }

    // That it holds the key is what the signature shows, pinned or not.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by_chain.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by_chain.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.by_chain.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_what_openssl_and_curl_make_of_a_key() {
        let text = "MK5HTjwgUnVm1f6HEvDCrQn6SXA2Mkh2j0gPX5SPPoc=";
        for written in [text.to_owned(), format!("sha256//{text}")] {
            assert_eq!(Pin::parse(&written).unwrap().to_string(), text);
        }
        for wrong in ["", "sha256//", &text[1..], "bm8=", "AA:BB:CC", &format!("{text}=")] {
            assert!(Pin::parse(wrong).unwrap_err().contains("openssl"), "{wrong}");
        }
    }
}
