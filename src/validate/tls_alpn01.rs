//! TLS-ALPN-01, RFC 8737 3 and RFC 8738 6: dial the vetted addresses as HTTP-01 does, shake hands for the name with the
//! protocol `acme-tls/1`, look at the certificate, hang up. `acme::tls_alpn` knows what the certificate must be.

use acme::challenge::KeyAuthorization;
use acme::failure::{Evidence, Phase, Reason};
use acme::identifier::Identifier;
use acme::problem::plain;
use acme::tls_alpn::{self, PROTOCOL};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{AlertDescription, Error};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::dial::{Connection, connect, explain, millis};
use super::find::addresses;
use super::{Stop, Validator};

/// One attempt, with what it does in `evidence`.
pub(super) async fn attempt(
    validator: &Validator,
    identifier: &Identifier,
    expected: &KeyAuthorization,
    evidence: &mut Evidence,
) -> Result<(), Stop> {
    let settings = &validator.settings;
    let port = settings.tls_alpn_port;
    let deadline = Instant::now() + settings.total_timeout;
    let url = match identifier {
        Identifier::Ip(address) if address.is_ipv6() => format!("tls://[{address}]:{port}"),
        host => format!("tls://{host}:{port}"),
    };
    let addresses = addresses(validator, identifier, || url.clone(), deadline, evidence).await?;
    let hop = deadline.min(Instant::now() + settings.hop_timeout);
    let Connection { stream, mut dial, begun } =
        connect(&url, &addresses, port, hop, &mut evidence.dials).await?;
    let result = match timeout_at(hop, certificate(validator, stream, identifier)).await {
        Ok(result) => result,
        Err(_) => {
            let words = "took the connection, but did not finish the TLS handshake in time".to_owned();
            Err(Stop::new(Phase::Tls, Reason::Timeout, words))
        }
    };
    let result = result.and_then(|certificate| {
        tls_alpn::judge(&certificate, identifier, &expected.digest()).map_err(|why| {
            Stop::new(Phase::Certificate, Reason::Mismatch, format!("showed a certificate that {why}"))
        })
    });
    dial.millis = millis(begun);
    let result = result.map_err(|stop| {
        dial.error = Some(stop.detail.clone());
        let detail = format!("{url} at {} {} ({} ms)", dial.address, stop.detail, dial.millis);
        Stop { detail, ..stop }
    });
    evidence.dials.push(dial);
    result
}

/// Shakes hands and hangs up: nothing is ever sent over this connection (RFC 8737 4).
async fn certificate(
    validator: &Validator,
    stream: TcpStream,
    identifier: &Identifier,
) -> Result<CertificateDer<'static>, Stop> {
    let name = tls_alpn::server_name(identifier);
    let name = ServerName::try_from(name.clone()).map_err(|_| {
        Stop::new(Phase::Tls, Reason::Forbidden, format!("was not asked: {name} cannot be sent as SNI"))
    })?;
    let stream = validator.acme_tls.connect(name, stream).await.map_err(|error| refused(&error))?;
    let (_, session) = stream.get_ref();
    if session.alpn_protocol() != Some(PROTOCOL) {
        return Err(other_server("took no notice of"));
    }
    let certificates = session.peer_certificates().unwrap_or_default();
    certificates
        .first()
        .map(|first| first.clone().into_owned())
        .ok_or_else(|| Stop::new(Phase::Certificate, Reason::Mismatch, "showed no certificate".to_owned()))
}

fn refused(error: &std::io::Error) -> Stop {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match tls {
        Some(Error::AlertReceived(AlertDescription::NoApplicationProtocol)) => other_server("does not know"),
        Some(tls) => {
            let words = plain(&tls.to_string(), 160);
            Stop::new(Phase::Tls, Reason::Tls, format!("did not agree on TLS: {words}"))
        }
        None => {
            let (reason, words) = explain(error);
            Stop::new(Phase::Tls, reason, format!("{words} during the TLS handshake"))
        }
    }
}

/// A definite no: the usual server answers there, and not the one of the challenge.
fn other_server(how: &str) -> Stop {
    let words = format!("{how} the protocol acme-tls/1: its usual server answers, not the client's");
    Stop::new(Phase::Tls, Reason::Mismatch, words)
}
