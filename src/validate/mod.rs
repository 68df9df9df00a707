//! Proof of control over a name, RFC 8555 8: one call is one attempt, and says what it did whether it succeeded or not.
//! Waiting, retrying ([`acme::failure::Failure::is_transient`]) and remembering belong to the caller. Knows no store, no
//! order and no account.

mod caa;
mod dial;
mod dns01;
mod fetch;
mod find;
mod http01;
mod persist01;
mod tls;
mod tls_alpn01;
mod url;

use std::sync::Arc;
use std::time::Duration;

use acme::challenge::{KeyAuthorization, Token, Type, dns_account01_name, dns01_name};
use acme::failure::{Evidence, Failure, Phase, Reason};
use acme::identifier::Identifier;
use acme::time::Timestamp;
use ipnet::IpNet;
use tokio_rustls::TlsConnector;

use crate::resolver::{Resolver, Targets};

/// What the validator is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The challenge types that are offered where a profile does not say otherwise, in the order of [`Type::ALL`].
    pub challenges: Vec<Type>,
    /// Whether CAA records are heeded (RFC 8659).
    pub caa: bool,
    /// The names by which CAA records and those of dns-persist-01 mean us, in lower case.
    pub identities: Vec<String>,
    /// Where HTTP-01 begins: 80, unless clients cannot listen there.
    pub http_port: u16,
    /// Where TLS-ALPN-01 asks: 443, unless clients cannot listen there. An HTTP-01 redirect may lead there too.
    pub tls_alpn_port: u16,
    /// How long the caller goes on after failures that may pass.
    pub patience: Duration,
    /// The networks that may be dialled; see [`Targets::new`]. Pinned addresses always may.
    pub allow_networks: Option<Vec<IpNet>>,
    /// How long one connection may take, from the first dial to the last octet.
    pub hop_timeout: Duration,
    /// How long one attempt may take in all, look-ups and redirects included.
    pub total_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            challenges: Type::USUAL.to_vec(),
            caa: false,
            identities: Vec::new(),
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
    acme_tls: TlsConnector,
}

/// What a client answered: the challenge with everything that it is held against.
#[derive(Clone, Copy, Debug)]
pub struct Challenge<'a> {
    /// Its type.
    pub kind: Type,
    /// What it is for, without `*.`.
    pub identifier: &'a Identifier,
    /// Whether it is for the wildcard of that name.
    pub wildcard: bool,
    /// Its token.
    pub token: &'a Token,
    /// What the client must show.
    pub expected: &'a KeyAuthorization,
    /// Who answered it.
    pub applicant: &'a Applicant,
    /// The moment.
    pub now: Timestamp,
}

/// The account on whose behalf something is validated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applicant {
    /// Its URL.
    pub url: String,
    /// What the account in a record of dns-persist-01 begins with.
    pub hash_prefix: String,
    /// For dns-persist-01: the thumbprints of all keys that it had, the present one first; none when it is not valid.
    pub thumbprints: Vec<String>,
}

/// That a challenge was met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// What was seen.
    pub evidence: Evidence,
    /// When it ceases to be one, where what was seen says so.
    pub until: Option<Timestamp>,
}

impl Validator {
    /// A validator. It opens nothing before the first validation.
    pub fn new(settings: Settings, resolver: Arc<Resolver>) -> Self {
        let targets = Targets::new(settings.allow_networks.clone());
        Self { settings, targets, resolver, tls: tls::unverified(), acme_tls: tls::acme() }
    }

    /// What it was told.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How names are looked up, for whoever wants to see what validations see.
    pub fn resolver(&self) -> &Arc<Resolver> {
        &self.resolver
    }

    /// The rule for addresses, for whoever explains a failure.
    pub fn targets(&self) -> &Targets {
        &self.targets
    }

    /// One attempt at a challenge, and at CAA after it where that is heeded.
    ///
    /// # Errors
    /// Why it failed, with everything that was done until then.
    pub async fn attempt(&self, challenge: &Challenge<'_>) -> Result<Proof, Failure> {
        let mut evidence = Evidence::default();
        match self.walk(challenge, &mut evidence).await {
            Ok(until) => Ok(Proof { evidence, until }),
            Err(stop) => Err(stop.into_failure(challenge.identifier, evidence)),
        }
    }

    /// Whether CAA lets us issue for a name whose challenge was met before by `kind`. Without a word about a name, or
    /// when CAA is not heeded, it does.
    ///
    /// # Errors
    /// Why not, with the look-ups.
    pub async fn caa(
        &self,
        identifier: &Identifier,
        wildcard: bool,
        account_url: &str,
        kind: Type,
    ) -> Result<Evidence, Failure> {
        let mut evidence = Evidence::default();
        match self.heed_caa(identifier, wildcard, account_url, kind, &mut evidence).await {
            Ok(()) => Ok(evidence),
            Err(stop) => Err(stop.into_failure(identifier, evidence)),
        }
    }

    async fn walk(
        &self,
        challenge: &Challenge<'_>,
        evidence: &mut Evidence,
    ) -> Result<Option<Timestamp>, Stop> {
        let Challenge { kind, identifier, token, expected, applicant, .. } = *challenge;
        let mut until = None;
        match (kind, identifier) {
            (Type::Http01 | Type::TlsAlpn01, _) if challenge.wildcard || identifier.is_wildcard() => {
                let detail = "a wildcard is shown by DNS alone (RFC 8555 7.1.3)".to_owned();
                return Err(Stop::new(Phase::Target, Reason::Forbidden, detail));
            }
            (Type::Http01, _) => http01::attempt(self, identifier, token, expected, evidence).await?,
            (Type::TlsAlpn01, _) => tls_alpn01::attempt(self, identifier, expected, evidence).await?,
            (Type::Dns01, Identifier::Dns(name)) => {
                dns01::attempt(self, &dns01_name(name.base()), expected, evidence).await?;
            }
            (Type::DnsAccount01, Identifier::Dns(name)) => {
                let record = dns_account01_name(name.base(), &applicant.url);
                dns01::attempt(self, &record, expected, evidence).await?;
            }
            (Type::DnsPersist01, Identifier::Dns(name)) => {
                until = persist01::attempt(self, challenge, name.base(), evidence).await?;
            }
            (Type::Dns01 | Type::DnsAccount01 | Type::DnsPersist01, Identifier::Ip(_)) => {
                let detail = "an address is not shown by DNS (RFC 8738 7)".to_owned();
                return Err(Stop::new(Phase::Target, Reason::Forbidden, detail));
            }
        }
        self.heed_caa(identifier, challenge.wildcard, &applicant.url, kind, evidence).await?;
        Ok(until)
    }

    /// CAA is about names (RFC 8659 1); addresses have none.
    async fn heed_caa(
        &self,
        identifier: &Identifier,
        wildcard: bool,
        account_url: &str,
        method: Type,
        evidence: &mut Evidence,
    ) -> Result<(), Stop> {
        let Identifier::Dns(name) = identifier else { return Ok(()) };
        if !self.settings.caa {
            return Ok(());
        }
        let identities = &self.settings.identities;
        let request = acme::caa::Request { wildcard, identities, account_url, method };
        caa::check(self, name, &request, evidence).await
    }
}

/// Why an attempt ended, before its evidence is added.
#[derive(Debug)]
struct Stop {
    phase: Phase,
    reason: Reason,
    detail: String,
    first_bytes: Option<String>,
}

impl Stop {
    fn new(phase: Phase, reason: Reason, detail: String) -> Self {
        Self { phase, reason, detail, first_bytes: None }
    }

    fn into_failure(self, identifier: &Identifier, evidence: Evidence) -> Failure {
        let Self { phase, reason, detail, first_bytes } = self;
        Failure { phase, reason, name: identifier.to_string(), detail, first_bytes, evidence }
    }
}
