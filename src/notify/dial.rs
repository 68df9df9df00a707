//! A connection to a sink: its name looked up by the CA's own resolver, its addresses dialled in turn, TLS judged by the
//! configured CAs and by the name (RFC 9525), or else by a pinned key. What is dialled was chosen by the operator, so no
//! address is refused.

use std::io::{self, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use acme::identifier::DnsName;
use acme::problem::plain;
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::Parts;
use super::endpoint::Host;
use super::outcome::{Outcome, Trouble};
use super::pin::Pinned;
use super::settings::{Roots, Trust};

/// What a conversation is held over.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Connects to the first address of a host that takes the connection.
pub(super) async fn connect(parts: &Parts, host: &Host, port: u16) -> Result<TcpStream, Outcome> {
    let addresses = addresses(parts, host).await?;
    let mut misses = Vec::new();
    for ip in addresses.iter().take(MAX_DIALS) {
        let address = SocketAddr::new(*ip, port);
        match timeout(DIAL, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => misses.push(format!("{address} {}", explain(&error))),
            Err(_) => {
                misses.push(format!("{address} did not take the connection within {} s", DIAL.as_secs()));
            }
        }
    }
    Err(Outcome::retry(Trouble::Network, format!("{host}: {}", plain(&misses.join("; "), SENTENCE))))
}

async fn addresses(parts: &Parts, host: &Host) -> Result<Vec<IpAddr>, Outcome> {
    let name = match host {
        Host::Address(address) => return Ok(vec![*address]),
        Host::Name(name) => name,
    };
    let resolution = parts.resolver.addresses(name).await;
    match resolution.outcome {
        Ok(addresses) => Ok(addresses),
        // RFC 6761 6.3: no name server has to know it.
        Err(_) if is_localhost(name) => Ok(vec![Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()]),
        Err((_, why)) => Err(Outcome::retry(Trouble::Network, why)),
    }
}

fn is_localhost(name: &DnsName) -> bool {
    name.as_str() == "localhost" || name.as_str().ends_with(".localhost")
}

/// A conversation over TLS.
pub(super) struct Secured {
    pub(super) stream: Box<dyn Stream>,
    /// What is wrong with the server's certificate, when its key was believed all the same.
    pub(super) objection: Option<String>,
}

/// Agrees on TLS with a server.
pub(super) async fn secure<S: Stream + 'static>(
    parts: &Parts,
    trust: &Trust,
    host: &Host,
    protocol: Option<&[u8]>,
    stream: S,
) -> Result<Secured, Outcome> {
    let verifier = Arc::new(verifier(trust, parts).map_err(|why| Outcome::retry(Trouble::Tls, why))?);
    let name = match host {
        Host::Address(address) => ServerName::IpAddress((*address).into()),
        Host::Name(name) => ServerName::try_from(name.to_string())
            .map_err(|_| Outcome::retry(Trouble::Tls, format!("{name} cannot be asked for by TLS")))?,
    };
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("aws-lc-rs has the cipher suites of TLS 1.2 and 1.3")
        .dangerous() // it judges by the chain, and beside it by the key alone
        .with_custom_certificate_verifier(Arc::clone(&verifier) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    config.alpn_protocols = protocol.into_iter().map(<[u8]>::to_vec).collect();
    config.resumption = Resumption::disabled();
    match TlsConnector::from(Arc::new(config)).connect(name, stream).await {
        Ok(stream) => {
            let objection = verifier.objection().map(|why| plain(&why, SENTENCE));
            if let Some(why) = &objection {
                tracing::warn!(%host, why, "the certificate is not valid; the server is believed by its pinned key");
            }
            Ok(Secured { stream: Box::new(stream), objection })
        }
        Err(error) => {
            let said = plain(&error.to_string(), SENTENCE);
            let hint = hint(&error).map(|hint| format!("; {hint}")).unwrap_or_default();
            Err(Outcome::retry(Trouble::Tls, format!("{host} did not agree on TLS: {said}{hint}")))
        }
    }
}

/// What would do about an error of TLS.
fn hint(error: &io::Error) -> Option<&'static str> {
    use rustls::{CertificateError as Bad, Error};
    match error.get_ref()?.downcast_ref::<Error>()? {
        Error::InvalidMessage(_) => Some("it does not speak TLS there; look at the port, or do without TLS"),
        Error::InvalidCertificate(Bad::UnknownIssuer) => Some("ca says who may certify it"),
        Error::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. }) => {
            Some("renew it, and look at the clocks")
        }
        Error::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. }) => {
            Some("use the name that is in its certificate")
        }
        _ => None,
    }
}

fn verifier(trust: &Trust, parts: &Parts) -> Result<Pinned, String> {
    let roots = Arc::new(roots(&trust.roots, parts)?);
    let by_chain = WebPkiServerVerifier::builder_with_provider(roots, provider()).build();
    Ok(Pinned::new(by_chain.map_err(|error| error.to_string())?, trust.pins.clone()))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// The CAs that may certify a server; files are read each time, because they are replaced now and then.
fn roots(roots: &Roots, parts: &Parts) -> Result<RootCertStore, String> {
    let certificates = match roots {
        Roots::Own => vec![CertificateDer::from(parts.root.clone())],
        Roots::File(path) => read(path)?,
        Roots::System => {
            let path = SYSTEM.iter().map(Path::new).find(|path| path.exists());
            read(path.ok_or("this machine has no list of CAs; name a file in ca")?)?
        }
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates);
    if roots.is_empty() {
        return Err("there is no CA that could have certified the server; look at ca".to_owned());
    }
    Ok(roots)
}

fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let refuse = |error: &dyn std::fmt::Display| format!("{} cannot be read: {error}", path.display());
    let file = std::fs::File::open(path).map_err(|error| refuse(&error))?;
    let certificates = CertificateDer::pem_reader_iter(BufReader::new(file));
    let certificates: Vec<_> = certificates.collect::<Result<_, _>>().map_err(|error| refuse(&error))?;
    if certificates.is_empty() {
        return Err(format!("{} holds no certificate", path.display()));
    }
    Ok(certificates)
}

/// Whether the CAs are there, for whoever judges a configuration.
pub(super) fn check(trust: &Trust, parts: &Parts) -> Result<(), String> {
    verifier(trust, parts).map(|_| ())
}

/// What the system's error means for the reader.
pub(super) fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => {
            "is not there: the server does not run, or has its socket elsewhere".to_owned()
        }
        io::ErrorKind::PermissionDenied => "may not be used by this user".to_owned(),
        io::ErrorKind::ConnectionRefused => "refused the connection: nothing listens there".to_owned(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => {
            "closed the connection".to_owned()
        }
        _ => format!("cannot be reached: {error}"),
    }
}

/// Where systems keep the CAs that they trust: Debian and NixOS, Fedora, Alpine, OpenSUSE.
const SYSTEM: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
];
/// How many addresses of a name are dialled.
const MAX_DIALS: usize = 4;
/// How long one may take to answer.
const DIAL: Duration = Duration::from_secs(5);
/// How long a sentence may be, in characters.
const SENTENCE: usize = 300;
