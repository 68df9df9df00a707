//! Proof of control over a name, RFC 8555 8: one call is one attempt, and says what it did whether it succeeded or not.
//! Waiting, retrying ([`acme::failure::Failure::is_transient`]) and remembering belong to the caller. Knows no store, no
//! order and no account.

mod fetch;
mod http01;
mod target;
mod tls;
mod url;

use std::sync::Arc;
use std::time::Duration;

use acme::challenge::{KeyAuthorization, Token, Type};
use acme::failure::{Evidence, Failure};
use acme::identifier::Identifier;
use ipnet::IpNet;
use tokio_rustls::TlsConnector;

use crate::resolver::Resolver;

pub use target::Targets;

/// What the validator is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The challenge types that are offered, in order.
    pub challenges: Vec<Type>,
    /// Where HTTP-01 begins: 80, unless clients cannot listen there.
    pub http_port: u16,
    /// Where TLS-ALPN-01 asks; an HTTP-01 redirect may lead there too.
    pub tls_alpn_port: u16,
    /// How long the caller goes on after failures that may pass.
    pub patience: Duration,
    /// The networks that may be dialled; see [`Targets::new`]. Pinned addresses always may.
    pub allow_networks: Option<Vec<IpNet>>,
    /// How long one hop of HTTP-01 may take, from the first dial to the last octet.
    pub hop_timeout: Duration,
    /// How long one attempt may take in all, look-ups and redirects included.
    pub total_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            challenges: Type::ALL.to_vec(),
            http_port: 80,
            tls_alpn_port: 443,
            patience: Duration::from_secs(60),
            allow_networks: None,
            hop_timeout: Duration::from_secs(10),
            total_timeout: Duration::from_secs(30),
        }
    }
}

/// Validates challenges from this host.
pub struct Validator {
    settings: Settings,
    targets: Targets,
    resolver: Arc<Resolver>,
    tls: TlsConnector,
}

impl Validator {
    /// A validator. It opens nothing before the first validation.
    pub fn new(settings: Settings, resolver: Arc<Resolver>) -> Self {
        let targets = Targets::new(settings.allow_networks.clone());
        Self { settings, targets, resolver, tls: tls::unverified() }
    }

    /// What it was told.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The rule for addresses, for whoever explains a failure.
    pub fn targets(&self) -> &Targets {
        &self.targets
    }

    /// One attempt at HTTP-01, RFC 8555 8.3: asks `identifier` for `token` and compares with `expected`.
    ///
    /// # Errors
    /// Why it failed, with everything that was done until then.
    pub async fn http01(
        &self,
        identifier: &Identifier,
        token: &Token,
        expected: &KeyAuthorization,
    ) -> Result<Evidence, Failure> {
        http01::attempt(self, identifier, token, expected).await
    }
}

/// Why an attempt ended, before its evidence is added.
#[derive(Debug)]
struct Stop {
    phase: acme::failure::Phase,
    reason: acme::failure::Reason,
    detail: String,
    first_bytes: Option<String>,
}

impl Stop {
    fn new(phase: acme::failure::Phase, reason: acme::failure::Reason, detail: String) -> Self {
        Self { phase, reason, detail, first_bytes: None }
    }
}
