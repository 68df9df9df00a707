//! What the doors share. Works and rooms below them are given the parts they use, never this.

use std::path::Path;
use std::sync::Arc;

use acme::challenge::Type;
use acme::id::{AccountId, AuthorizationId, OrderId, Serial};
use acme::identifier::Identifier;
use acme::nonce::Nonces;
use acme::problem::Problem;
use acme::time::Timestamp;
use anyhow::Context as _;
use arc_swap::{ArcSwap, ArcSwapOption};
use rustls::sign::CertifiedKey;
use store::Store;
use store::audit::AuditEvent;
use store::authorization::Authorization;
use store::order::{FailOrder, Order};
use tokio::sync::{mpsc, oneshot, watch};

use crate::ca::Ca;
use crate::clock::Clock;
use crate::config::{Config, Terms};
use crate::issuance::Issued;
use crate::limits::{Bucket, Limits};
use crate::metrics::Metrics;
use crate::notify::Notifier;
use crate::policy::BlockedKeys;
use crate::probe::Public;
use crate::recent::{Download, Known, MadeOrder, Recent, Signs};
use crate::resolver::Resolver;
use crate::revocation::Published;
use crate::validate::Validator;
use crate::watch::vigil::Vigil;
use crate::{audit, revocation};

/// The server's parts. Everything is either immutable, or says here who changes it.
pub struct App {
    /// The time.
    pub clock: Clock,
    /// What is kept; it has its own writer.
    pub store: Store,
    /// Anti-replay nonces; lock-free.
    pub nonces: Nonces,
    /// What clients asked for lately; doors and tasks count, each bucket under its own lock.
    pub limits: Limits,
    /// Counters; touched by doors and tasks alone.
    pub metrics: Metrics,
    /// Accounts that were read a moment ago.
    pub accounts: Recent<AccountId, Known>,
    /// Authorizations as they were made, and as they were shown; each forgotten before and after it changes otherwise.
    pub authorizations: Recent<AuthorizationId, Authorization>,
    /// Orders as they were made.
    pub orders: Recent<OrderId, MadeOrder>,
    /// When clients last asked about certificates, and fetched them; `tasks` writes it down.
    pub signs: Signs,
    /// Certificates that were just issued: they are downloaded at once, and never change.
    pub downloads: Recent<Serial, Download>,
    /// Keys that are accepted nowhere any more.
    pub keys: BlockedKeys,
    /// What is served of what is revoked. `tasks` makes it.
    pub lists: Published,
    /// What is remembered from one round of watching to the next.
    pub vigil: Vigil,
    /// The public authorities, for telling whose certificate a host shows.
    pub public: Public,
    /// Where things are, from the configured base. Fixed while the server runs: clients keep these for years.
    pub urls: Urls,
    /// The host of the base URL, which the server's own certificate is for.
    pub host: Identifier,
    /// When the server was started.
    pub started: Timestamp,
    /// Work that `web` hands to `tasks`.
    pub validations: mpsc::Sender<ValidationRequest>,
    live: ArcSwap<Live>,
    reloads: watch::Sender<()>,
    own: ArcSwapOption<Own>,
    /// Held by whoever renews the server's own certificate: a reload and the timer may want to at the same moment.
    pub(crate) renewing: tokio::sync::Mutex<()>,
}

/// The server's own certificate and key. `tasks` renews it.
pub struct Own {
    /// For rustls.
    pub key: Arc<CertifiedKey>,
    /// Its serial.
    pub serial: Serial,
    /// Its beginning.
    pub not_before: Timestamp,
    /// When a new one is due.
    pub renew_at: Timestamp,
    /// When it ends.
    pub not_after: Timestamp,
    /// Who issued it.
    pub issuer: String,
}

/// What a reload replaces, as a whole: a request works with one of them from its beginning to its end.
pub struct Live {
    /// The configuration.
    pub config: Config,
    /// The issuers and their keys.
    pub ca: Ca,
    /// The validator, with its resolver.
    pub validator: Validator,
    /// Who is told what, by the same resolver.
    pub notifier: Arc<Notifier>,
    /// The text of the terms of service, when it is a file of ours.
    pub terms: Option<String>,
}

/// A challenge that a client answered.
pub struct ValidationRequest {
    /// Which authorization.
    pub authorization: Authorization,
    /// The RFC 7638 thumbprint of its account's key.
    pub thumbprint: String,
    /// Which of its challenges.
    pub challenge: Type,
    /// Told when the answer can be sent.
    pub kept: oneshot::Sender<Kept>,
}

/// What became of a client's answer to a challenge.
pub enum Kept {
    /// The verdict is kept, or the fact that there will be one: the authorization as it is now.
    As(Box<Authorization>),
    /// Another answer to the same challenge is under way; its row tells.
    Before,
    /// The account has too many validations under way already.
    TooMany,
}

impl Live {
    /// Loads keys and builds the resolver for a configuration.
    ///
    /// # Errors
    /// What is wrong with a key, a certificate or a name server, and what would do; an issuer that may not certify the
    /// server's own host.
    pub fn build(config: Config, now: Timestamp) -> anyhow::Result<Self> {
        let ca = Ca::load(&config.ca, now).map_err(|error| {
            match error.path().and_then(|path| config.ca.key_of(path)) {
                Some(key) => anyhow::Error::new(error).context(key),
                None => error.into(),
            }
        })?;
        ca.active(now)?.permits(&config.host).map_err(|why| anyhow::anyhow!("server.url: {why}"))?;
        let mut roots = rustls::RootCertStore::empty();
        roots.add(rustls::pki_types::CertificateDer::from(ca.root_der().to_vec()))?;
        let resolver = Arc::new(Resolver::new(config.resolver()?, roots)?);
        let notifier = Notifier::new(config.alerts.clone(), Arc::clone(&resolver), ca.root_der().to_vec());
        let validator = Validator::new(config.validation.clone(), resolver);
        let terms = match &config.accounts.terms {
            Some(Terms::File(path)) => Some(read_terms(path)?),
            _ => None,
        };
        Ok(Self { config, ca, validator, notifier: Arc::new(notifier), terms })
    }
}

fn read_terms(path: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("accounts.terms_of_service: {} cannot be read", path.display()))?;
    let within = !text.trim().is_empty() && text.len() <= TERMS_LIMIT;
    anyhow::ensure!(
        within,
        "accounts.terms_of_service: {} has {} octets; some text of at most {TERMS_LIMIT} would do",
        path.display(),
        text.len()
    );
    Ok(text)
}

/// How long the terms of service may be, in octets.
const TERMS_LIMIT: usize = 1024 * 1024;

impl App {
    /// The parts together. The receiver is for `tasks`.
    pub fn new(live: Live, store: Store, clock: Clock) -> (Arc<Self>, mpsc::Receiver<ValidationRequest>) {
        // Enough for a fleet that reboots at once; beyond it clients are told to come back.
        const WAITING_VALIDATIONS: usize = 4_096;
        let (validations, waiting) = mpsc::channel(WAITING_VALIDATIONS);
        let app = Self {
            started: clock.now(),
            clock,
            store,
            nonces: Nonces::new(crate::random()),
            limits: Limits::default(),
            metrics: Metrics::default(),
            accounts: Recent::new(8_192),
            authorizations: Recent::new(2_048),
            orders: Recent::new(2_048),
            downloads: Recent::new(512),
            keys: BlockedKeys::default(),
            lists: Published::default(),
            signs: Signs::default(),
            vigil: Vigil::default(),
            public: Public::known(),
            urls: Urls { base: live.config.url.clone(), plain: live.config.plain_url() },
            host: live.config.host.clone(),
            validations,
            live: ArcSwap::from_pointee(live),
            reloads: watch::Sender::default(),
            own: ArcSwapOption::empty(),
            renewing: tokio::sync::Mutex::default(),
        };
        (Arc::new(app), waiting)
    }

    /// The present configuration, keys and resolver.
    pub fn live(&self) -> Arc<Live> {
        self.live.load_full()
    }

    /// Puts new ones in place. What began with the old ones ends with them.
    pub fn replace(&self, live: Live) {
        self.live.store(Arc::new(live));
        self.reloads.send_replace(());
    }

    /// An order got its certificate: everything that follows from it, wherever it was issued.
    ///
    /// # Errors
    /// The store's, when the key was being blocked meanwhile and the certificate has to be revoked.
    pub async fn issued(
        &self,
        issued: &Issued,
        account: &AccountId,
        spki: &[u8; 32],
        now: Timestamp,
    ) -> Result<(), store::Error> {
        self.metrics.issued(now);
        self.vigil.signed();
        self.orders_ended(account, 1);
        revocation::revoke_if_blocked(&issued.serial, spki, &self.keys, &self.store, now).await
    }

    /// A certificate could not be issued for a reason of ours, which whoever watches has to know: the store, or the key.
    /// A conflict is none.
    pub fn issuance_failed(&self, error: &anyhow::Error, now: Timestamp) {
        match error.downcast_ref::<store::Error>() {
            Some(store::Error::Conflict { .. }) => {}
            Some(error) => self.vigil.keeping_failed(&error.to_string(), now),
            None => self.vigil.signing_failed(&format!("{error:#}"), now),
        }
    }

    /// Ends an order that may not have its certificate.
    ///
    /// # Errors
    /// The store's; a conflict when it has ended already.
    pub async fn fail_order(
        &self,
        order: &Order,
        problem: Problem,
        now: Timestamp,
    ) -> Result<(), store::Error> {
        let audit = AuditEvent {
            account: Some(order.account.clone()),
            order: Some(order.id.clone()),
            ..audit("order-invalid", now)
        };
        self.store.write(FailOrder { order: order.id.clone(), problem, audit }).await?;
        self.orders_ended(&order.account, 1);
        Ok(())
    }

    /// So many orders of an account have ended: it may have as many others open.
    pub fn orders_ended(&self, account: &AccountId, count: u64) {
        let bucket = Bucket::PendingOrders(account.to_string());
        self.limits.give_back(&self.live().config.limits, &bucket, count);
    }

    /// Tells of reloads from now on.
    pub fn reloaded(&self) -> watch::Receiver<()> {
        self.reloads.subscribe()
    }

    /// The server's own certificate, once there is one.
    pub fn own(&self) -> Option<Arc<Own>> {
        self.own.load_full()
    }

    /// Puts a new one in place; handshakes from now on use it.
    pub fn set_own(&self, own: Own) {
        self.own.store(Some(Arc::new(own)));
    }
}

/// Where things are. Built from the configured base alone, never from a request's `Host`.
#[derive(Clone, Debug)]
pub struct Urls {
    base: String,
    plain: Option<String>,
}

impl Urls {
    /// The base, without a final slash.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Where plain downloads are, when they are offered: what leaves say of their issuer (RFC 5280 4.2.2.1) and of its
    /// list of what is revoked (4.2.1.13).
    pub fn plain(&self) -> Option<&str> {
        self.plain.as_deref()
    }

    /// The URL of a path.
    pub fn of(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// RFC 8555 7.1.1.
    pub fn directory(&self) -> String {
        self.of("/acme/directory")
    }

    /// RFC 8555 7.1.2.
    pub fn account(&self, id: &AccountId) -> String {
        self.of(&format!("/acme/account/{id}"))
    }

    /// What the account in a record of dns-persist-01 begins with. Nothing is there; records keep it for ever.
    pub fn account_hash_prefix(&self) -> String {
        self.of("/acme/account-hash/")
    }

    /// The account that a `kid` names, if it is one of ours.
    pub fn account_of_kid(&self, kid: &str) -> Option<AccountId> {
        kid.strip_prefix(&self.base)?.strip_prefix("/acme/account/").and_then(AccountId::parse)
    }

    /// RFC 8555 7.1.2.1.
    pub fn orders(&self, id: &AccountId) -> String {
        self.of(&format!("/acme/account/{id}/orders"))
    }

    /// RFC 8555 7.1.3.
    pub fn order(&self, id: &OrderId) -> String {
        self.of(&format!("/acme/order/{id}"))
    }

    /// RFC 8555 7.4.
    pub fn finalize(&self, id: &OrderId) -> String {
        self.of(&format!("/acme/order/{id}/finalize"))
    }

    /// RFC 8555 7.1.4.
    pub fn authorization(&self, id: &AuthorizationId) -> String {
        self.of(&format!("/acme/authz/{id}"))
    }

    /// RFC 8555 7.1.5.
    pub fn challenge(&self, id: &AuthorizationId, challenge: Type) -> String {
        self.of(&format!("/acme/challenge/{id}/{challenge}"))
    }

    /// RFC 8555 7.4.2.
    pub fn certificate(&self, serial: &Serial) -> String {
        self.of(&format!("/acme/certificate/{serial}"))
    }

    /// The same with another chain, counted from 1: RFC 8555 7.4.2.
    pub fn alternate(&self, serial: &Serial, chain: usize) -> String {
        self.of(&format!("/acme/certificate/{serial}/{chain}"))
    }
}
