//! Stores to test with, on either database, and rows to put into them.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use acme::challenge::{TOKEN_RANDOM, Token, Type};
use acme::failure::{Evidence, Failure, Lookup, Phase, Reason};
use acme::id::{AccountId, AuditId, AuthorizationId, ID_RANDOM, OrderId, SERIAL_RANDOM, Serial};
use acme::identifier::{Identifier, name_set};
use acme::order::{AccountStatus, AuthorizationStatus, OrderStatus};
use acme::problem::{Kind, Problem};
use acme::time::Timestamp;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use store::account::{Account, CreateAccount};
use store::audit::AuditEvent;
use store::authorization::{Authorization, Validated, Verdict};
use store::certificate::{Certificate, CertificateStatus, Issuer, Purpose};
use store::issuance::{Intend, Issued, PutIssuer};
use store::order::{CreateOrder, Order};
use store::{Options, Store};

/// Makes of one `async fn name(world: World)` two tests, `name::sqlite` and `name::postgres`.
macro_rules! both {
    ($(#[doc = $doc:literal])* async fn $name:ident($world:ident: World) $body:block) => {
        mod $name {
            #[allow(unused_imports, reason = "not every test needs all of its file")]
            use super::*;

            $(#[doc = $doc])*
            async fn run($world: crate::world::World) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                run(crate::world::World::sqlite().await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                let Some(world) = crate::world::World::postgres(stringify!($name)).await else { return };
                let guard = world.database.clone();
                run(world).await;
                crate::world::drop_database(guard).await;
            }
        }
    };
}
pub(crate) use both;

/// A store of its own for one test.
pub struct World {
    pub store: Store,
    /// How to open it again.
    pub url: String,
    /// The file, on SQLite.
    pub path: Option<PathBuf>,
    /// The name of the database, on PostgreSQL.
    pub database: Option<String>,
    _directory: Option<tempfile::TempDir>,
}

impl World {
    pub async fn sqlite() -> Self {
        Self::sqlite_with(&Options::default()).await
    }

    pub async fn sqlite_with(options: &Options) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.db");
        let url = format!("sqlite:{}", path.display());
        let store = Store::open(&url, options).await.unwrap();
        Self { store, url, path: Some(path), database: None, _directory: Some(directory) }
    }

    /// A world around a store that is open already.
    pub fn at(store: Store, url: String, path: PathBuf) -> Self {
        Self { store, url, path: Some(path), database: None, _directory: None }
    }

    /// None, and a line that says so, where there is no cluster to test with.
    pub async fn postgres(test: &str) -> Option<Self> {
        let Ok(cluster) = std::env::var(CLUSTER) else {
            skipped(test, "ACME_CA_TEST_POSTGRES is not set");
            return None;
        };
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let database = format!("acme_ca_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let mut admin = PgConnection::connect(&cluster).await.unwrap();
        sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {database}"))).execute(&mut admin).await.unwrap();
        let (server, _) = cluster.rsplit_once('/').unwrap();
        let url = format!("{server}/{database}");
        let store = Store::open(&url, &Options::default()).await.unwrap();
        Some(Self { store, url, path: None, database: Some(database), _directory: None })
    }

    /// A second handle on the same database, with connections of its own.
    pub async fn reopened(&self) -> Store {
        Store::open(&self.url, &Options::default()).await.unwrap()
    }

    /// An account that is kept.
    pub async fn account(&self) -> Account {
        let account = account();
        self.store
            .write(CreateAccount { account: account.clone(), audit: event("account.created") })
            .await
            .unwrap();
        account
    }

    /// An order that is kept, with a new authorization a name.
    pub async fn order(&self, account: &Account, names: &[&str]) -> CreateOrder {
        let order = order(account, names);
        self.store.write(order.clone()).await.unwrap();
        order
    }

    /// An order whose authorizations are all valid.
    pub async fn ready_order(&self, account: &Account, names: &[&str]) -> CreateOrder {
        let order = self.order(account, names).await;
        for authorization in &order.authorizations {
            self.store.write(valid(authorization)).await.unwrap();
        }
        order
    }

    /// An order with its certificate.
    pub async fn issued(&self, account: &Account, names: &[&str]) -> (CreateOrder, Certificate) {
        let order = self.ready_order(account, names).await;
        let intend = intend(&order.order);
        self.store.write(PutIssuer { issuer: issuer() }).await.unwrap();
        self.store.write(intend.clone()).await.unwrap();
        self.store.write(issue(&intend.certificate)).await.unwrap();
        (order, intend.certificate)
    }

    /// A column of a row, as text, read past the store.
    pub async fn sql(&self, sql: &'static str) -> Vec<String> {
        match &self.path {
            Some(path) => {
                let mut c =
                    sqlx::SqliteConnection::connect(&format!("sqlite:{}", path.display())).await.unwrap();
                sqlx::query_scalar(sql).fetch_all(&mut c).await.unwrap()
            }
            None => {
                let mut c = PgConnection::connect(&self.url).await.unwrap();
                sqlx::query_scalar(sql).fetch_all(&mut c).await.unwrap()
            }
        }
    }

    /// Runs a statement past the store.
    pub async fn execute(&self, sql: &'static str) {
        match &self.path {
            Some(path) => {
                let mut c =
                    sqlx::SqliteConnection::connect(&format!("sqlite:{}", path.display())).await.unwrap();
                sqlx::query(sql).execute(&mut c).await.unwrap();
            }
            None => {
                let mut c = PgConnection::connect(&self.url).await.unwrap();
                sqlx::query(sql).execute(&mut c).await.unwrap();
            }
        }
    }

    /// Runs statements on PostgreSQL past the store, outside of a transaction of ours.
    pub async fn execute_raw(&self, sql: &'static str) {
        let mut c = PgConnection::connect(&self.url).await.unwrap();
        sqlx::raw_sql(sql).execute(&mut c).await.unwrap();
    }

    /// How many rows a table has.
    pub async fn count(&self, table: &'static str) -> usize {
        let sql = match table {
            "account" => "SELECT id FROM account",
            "orders" => "SELECT id FROM orders",
            "authz" => "SELECT id FROM authz",
            "order_authz" => "SELECT order_id FROM order_authz",
            "certificate" => "SELECT serial FROM certificate",
            "audit" => "SELECT id FROM audit",
            "outbox" => "SELECT id FROM outbox",
            "delivery" => "SELECT sink FROM delivery",
            "standing" => "SELECT key FROM standing",
            _ => panic!("no such table here"),
        };
        self.sql(sql).await.len()
    }
}

pub async fn drop_database(database: Option<String>) {
    let (Some(database), Ok(cluster)) = (database, std::env::var(CLUSTER)) else { return };
    let mut admin = PgConnection::connect(&cluster).await.unwrap();
    let sql = format!("DROP DATABASE {database} WITH (FORCE)");
    sqlx::query(AssertSqlSafe(sql)).execute(&mut admin).await.unwrap();
}

/// Says that a test was not run. Not by `eprintln!`, which the test harness swallows.
pub fn skipped(test: &str, why: &str) {
    writeln!(std::io::stderr(), "SKIPPED: {test}: {why}").unwrap();
}

/// A small disk of its own, which only root can make.
pub struct Disk {
    at: PathBuf,
}

impl Disk {
    pub fn mount(at: &Path, size: &str) -> Option<Self> {
        let options = format!("size={size}");
        mount(&["-t", "tmpfs", "-o", &options, "tmpfs", at.to_str().unwrap()])
            .then(|| Self { at: at.to_owned() })
    }

    /// `ro` or `rw`.
    pub fn remount(&self, mode: &str) {
        assert!(mount(&["-o", &format!("remount,{mode}"), self.at.to_str().unwrap()]));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: SQLite's threads may still be closing their files.
        let _ = Command::new("umount").arg("-l").arg(&self.at).status();
    }
}

fn mount(arguments: &[&str]) -> bool {
    Command::new("mount").args(arguments).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

const CLUSTER: &str = "ACME_CA_TEST_POSTGRES";

/// So many days after the tests begin.
pub fn day(days: u64) -> Timestamp {
    now().plus(Duration::from_secs(days * 86_400))
}

pub fn now() -> Timestamp {
    Timestamp::from_unix(1_790_000_000)
}

/// A number that no other row of this process has; ids sort by it.
fn next() -> u64 {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    NUMBER.fetch_add(1, Ordering::Relaxed)
}

pub fn random<const N: usize>() -> [u8; N] {
    let mut octets = [0; N];
    octets[N - 8..].copy_from_slice(&next().to_be_bytes());
    octets
}

pub fn account() -> Account {
    let id = AccountId::mint(now(), random::<ID_RANDOM>());
    Account {
        thumbprint: format!("thumbprint-of-{id}"),
        id,
        jwk: r#"{"crv":"P-256","kty":"EC","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}"#.into(),
        status: AccountStatus::Valid,
        contact: vec!["mailto:admin@a.lan".into()],
        terms_agreed: true,
        created_at: now(),
        external_account: None,
        binding: None,
    }
}

pub fn order(account: &Account, names: &[&str]) -> CreateOrder {
    let id = OrderId::mint(now(), random::<ID_RANDOM>());
    let identifiers: Vec<Identifier> = names.iter().map(|name| Identifier::dns(name).unwrap()).collect();
    let authorizations: Vec<Authorization> = identifiers
        .iter()
        .map(|identifier| Authorization {
            id: AuthorizationId::mint(now(), random::<ID_RANDOM>()),
            account: account.id.clone(),
            order: Some(id.clone()),
            identifier: identifier.to_authorize(),
            wildcard: identifier.is_wildcard(),
            status: AuthorizationStatus::Pending,
            token: Token::mint(random::<TOKEN_RANDOM>()),
            challenges: vec![Type::Http01, Type::Dns01],
            attempted: None,
            attempted_at: None,
            validated_at: None,
            created_at: now(),
            expires_at: day(7),
            error: None,
            evidence: None,
        })
        .collect();
    CreateOrder {
        links: authorizations.iter().map(|authorization| authorization.id.clone()).collect(),
        reuse: None,
        authorizations,
        order: Order {
            id,
            account: account.id.clone(),
            status: OrderStatus::Pending,
            names: name_set(&identifiers),
            identifiers: identifiers.iter().map(Identifier::to_wire).collect(),
            profile: None,
            not_before: None,
            not_after: None,
            created_at: now(),
            expires_at: day(7),
            error: None,
            serial: None,
            csr: None,
            replaces: None,
        },
    }
}

pub fn event(word: &str) -> AuditEvent {
    AuditEvent {
        id: AuditId::mint(now(), random::<ID_RANDOM>()),
        at: now(),
        event: word.into(),
        account: None,
        order: None,
        serial: None,
        detail: None,
    }
}

pub fn evidence() -> Evidence {
    let lookup = Lookup {
        name: "vault.lan".into(),
        record: "A".into(),
        server: "10.0.0.53".into(),
        answer: "NOERROR".into(),
        addresses: vec!["10.0.0.21".parse().unwrap()],
        millis: 3,
        ..Lookup::default()
    };
    let dial = acme::failure::Dial {
        url: "http://vault.lan/.well-known/acme-challenge/Zm9vYmFyZm9vYmFyZm9vYg".into(),
        address: "10.0.0.21:80".parse().unwrap(),
        status: Some(200),
        error: None,
        millis: 2,
    };
    Evidence { lookups: vec![lookup], dials: vec![dial] }
}

pub fn failure() -> Failure {
    Failure {
        phase: Phase::Dns,
        reason: Reason::Servfail,
        name: "vault.lan".into(),
        detail: "10.0.0.53 answered SERVFAIL".into(),
        first_bytes: None,
        evidence: Evidence::default(),
    }
}

pub fn problem() -> Problem {
    Problem::new(Kind::Dns, "vault.lan: 10.0.0.53 answered SERVFAIL")
}

pub fn validated(authorization: &Authorization, verdict: Verdict) -> Validated {
    Validated {
        authorization: authorization.id.clone(),
        challenge: Type::Http01,
        attempted_at: now(),
        verdict,
        audit: event("authorization.decided"),
    }
}

pub fn valid(authorization: &Authorization) -> Validated {
    validated(
        authorization,
        Verdict::Valid { evidence: evidence(), validated_at: now(), expires_at: day(30) },
    )
}

pub fn invalid(authorization: &Authorization) -> Validated {
    validated(authorization, Verdict::Invalid { failure: failure(), problem: problem() })
}

pub fn issuer() -> Issuer {
    Issuer {
        id: "a1b2c3d4".into(),
        certificate: vec![0x30; 500],
        chain: "-----BEGIN CERTIFICATE-----\n…\n".into(),
        created_at: now(),
    }
}

pub fn intend(order: &Order) -> Intend {
    let serial = serial();
    Intend {
        csr: Some(vec![0x30; 300]),
        thumbprint: None,
        certificate: Certificate {
            order: Some(order.id.clone()),
            account: Some(order.account.clone()),
            purpose: Purpose::Acme,
            ..certificate(serial.clone(), &order.names)
        },
        audit: AuditEvent {
            serial: Some(serial),
            order: Some(order.id.clone()),
            account: Some(order.account.clone()),
            ..event("certificate.intended")
        },
    }
}

/// An intent for our own listeners.
pub fn intend_own(names: &str) -> Intend {
    Intend {
        csr: None,
        thumbprint: None,
        certificate: certificate(serial(), names),
        audit: event("certificate.intended"),
    }
}

fn certificate(serial: Serial, names: &str) -> Certificate {
    Certificate {
        serial,
        order: None,
        account: None,
        purpose: Purpose::Server,
        names: names.into(),
        issuer: issuer().id,
        spki: [7; 32],
        status: CertificateStatus::Intended,
        tbs: Some(vec![0x30; 480]),
        der: None,
        not_before: now(),
        not_after: day(90),
        created_at: now(),
        issued_at: None,
        superseded_by: None,
        revocation: None,
        polled_at: None,
        asked: None,
    }
}

/// A serial that is random as far as a place in an index goes.
pub fn serial() -> Serial {
    let mixed = next().wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut octets = [0; SERIAL_RANDOM];
    octets[..8].copy_from_slice(&mixed.to_be_bytes());
    octets[8..].copy_from_slice(&next().to_be_bytes());
    Serial::mint(octets)
}

pub fn issue(certificate: &Certificate) -> Issued {
    Issued {
        serial: certificate.serial.clone(),
        der: vec![0x30; 600],
        order: certificate.order.clone(),
        names: certificate.names.clone(),
        replaces: None,
        not_after: certificate.not_after,
        now: now(),
        audit: AuditEvent {
            serial: Some(certificate.serial.clone()),
            order: certificate.order.clone(),
            account: certificate.account.clone(),
            ..event("certificate.issued")
        },
    }
}
