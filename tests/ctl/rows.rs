//! A store in which everything happened that `ca-ctl` tells of, always in the same way: the certificates of a small
//! fleet in every state, one of them renewed, and orders that failed for different reasons.

use std::time::Duration;

use acme::challenge::{TOKEN_RANDOM, Token, Type};
use acme::failure::{Dial, Evidence, Failure, Lookup, Phase, Reason};
use acme::id::{
    AccountId, AuditId, AuthorizationId, ExternalAccountId, ID_RANDOM, OrderId, SERIAL_RANDOM, Serial,
};
use acme::identifier::{Identifier, name_set};
use acme::lineage::{Mute, Served};
use acme::order::{AccountStatus, AuthorizationStatus, OrderStatus};
use acme::renewal_info::Window;
use acme::revocation::Reason as Revocation;
use acme::time::Timestamp;
use acme::verdict::Verdict as Seen;
use store::account::{Account, CreateAccount};
use store::audit::AuditEvent;
use store::authorization::{Authorization, Validated, Verdict};
use store::care::{SetCare, Wish};
use store::certificate::{Certificate, CertificateStatus, Issuer, Purpose};
use store::external_account::{CreateExternalAccount, ExternalAccount, MacKey, RevokeExternalAccount};
use store::issuance::{Intend, Issued, PutIssuer};
use store::observation::KeepObservations;
use store::order::{CreateOrder, Order};
use store::renewal_info::{AskRenewals, RecordPolls};
use store::revocation::{One, Revoke};
use store::{Options, Store};

/// When `ca-ctl` is asked.
pub(crate) fn now() -> Timestamp {
    Timestamp::parse_rfc3339("2026-11-22T19:09:00Z").expect("a time")
}

/// Fills the store at this URL.
pub(crate) async fn fill(url: &str) {
    let store = Store::open(url, &Options::default()).await.expect("a store");
    let mut rows = Rows { store, made: 0 };
    rows.put().await;
    rows.store.close().await;
}

/// Fills the store with what a fleet looks like that somebody has to look after: hosts that fail for the same reason, a
/// client that fell silent, and what the operator said.
pub(crate) async fn fill_with_troubles(url: &str) {
    fill(url).await;
    let store = Store::open(url, &Options::default()).await.expect("a store");
    let mut rows = Rows { store, made: 1_000 };
    rows.put_troubles().await;
    rows.store.close().await;
}

/// Fills the store with names whose hosts were looked at: one serves what was revoked, one a fallback, one was not
/// reloaded, one expires, one is down, and one serves to one address what it should and not to the other.
pub(crate) async fn fill_with_sights(url: &str) {
    fill(url).await;
    let store = Store::open(url, &Options::default()).await.expect("a store");
    let mut rows = Rows { store, made: 2_000 };
    rows.put_sights().await;
    rows.store.close().await;
}

struct Rows {
    store: Store,
    /// How many ids were made; each is made of its number.
    made: u64,
}

impl Rows {
    async fn put(&mut self) {
        let issuer = Issuer {
            id: ISSUER.into(),
            certificate: vec![0x30; 500],
            chain: String::new(),
            created_at: days_ago(200),
        };
        self.store.write(PutIssuer { issuer }).await.expect("kept");
        let account = self.account().await;

        // One in each state, by the part of 90 days that is used.
        self.certificate(&account, &["fresh.corp.lan"], days_ago(10), 90).await;
        self.certificate(&account, &["due.corp.lan", "www.due.corp.lan"], days_ago(60), 90).await;
        self.certificate(&account, &["late.corp.lan"], days_ago(66), 90).await;
        self.certificate(&account, &["overdue.corp.lan"], days_ago(75), 90).await;
        self.certificate(&account, &["critical.corp.lan"], days_ago(88), 90).await;
        self.certificate(&account, &["expired.corp.lan"], days_ago(93), 90).await;
        self.certificate(&account, &["*.wild.corp.lan"], days_ago(1), 7).await;
        let long = "a-name-that-nobody-would-choose-but-somebody-got.in.a.deep.zone.corp.lan";
        self.certificate(&account, &[long], days_ago(20), 90).await;
        // The same names twice: what was renewed needs nobody's attention.
        self.certificate(&account, &["renewed.corp.lan"], days_ago(85), 90).await;
        self.certificate(&account, &["renewed.corp.lan"], days_ago(25), 90).await;
        self.own_certificate().await;

        let order = self.order(&account, &["nowhere.corp.lan"], hours_ago(3)).await;
        self.fail(&order, servfail()).await;
        let order = self.order(&account, &["behind.corp.lan", "fresh.corp.lan"], hours_ago(2)).await;
        self.fail(&order, unanswered()).await;
        self.order(&account, &["waits.corp.lan"], hours_ago(1)).await;
        self.order(&account, &["forgotten.corp.lan"], days_ago(20)).await;

        self.external_account("web team", Some(&["*.web.corp.lan"]), None).await;
        self.external_account("the last admin", None, Some(days_ago(3))).await;
        self.signs_of_life().await;
    }

    async fn put_troubles(&mut self) {
        let account = self.account_of("another thumbprint").await;
        for name in ["expired.corp.lan", "critical.corp.lan"] {
            for hours in [30, 6] {
                let order = self.order(&account, &[name], hours_ago(hours)).await;
                self.fail(&order, servfail_of(name)).await;
            }
        }
        for days in [70, 69, 68, 67, 66, 65] {
            self.certificate(&account, &["daily.corp.lan"], days_ago(days), 30).await;
        }
        let serial = |found: Vec<Certificate>| found.into_iter().next().expect("it is there").serial;
        let late = serial(self.store.certificates_of_name("late.corp.lan", 1).await.expect("read"));
        for days in [15, 14, 13] {
            let polls = vec![(late.clone(), days_ago(days))];
            self.store.write(RecordPolls { polls, downloads: Vec::new() }).await.expect("kept");
        }
        let fresh = serial(self.store.certificates_of_name("fresh.corp.lan", 1).await.expect("read"));
        let downloads = vec![(fresh, days_ago(10).plus(Duration::from_secs(4)))];
        self.store.write(RecordPolls { polls: Vec::new(), downloads }).await.expect("kept");

        let infra = || Wish::Owner(Some("infra".into()));
        self.say("*.corp.lan", infra()).await;
        self.say("critical.corp.lan", Wish::Owner(Some("dev".into()))).await;
        let mute = Mute { until: now().plus(3 * DAY), reason: "waits for new hardware".into() };
        self.say("overdue.corp.lan", Wish::Mute(Some(mute))).await;
        self.say("daily.corp.lan", Wish::Forget(Some(days_ago(1)))).await;
    }

    async fn put_sights(&mut self) {
        let newest = async |name: &str, store: &Store| -> Serial {
            store.certificates_of_name(name, 2).await.expect("read").remove(0).serial
        };
        let revoked = newest("due.corp.lan", &self.store).await;
        let account = self.account_of("one more thumbprint").await;
        self.certificate(&account, &["reissued.corp.lan"], days_ago(40), 90).await;
        let before = newest("reissued.corp.lan", &self.store).await;
        let audit = self.event("certificate-revoked");
        let ones = vec![
            One { serial: revoked.clone(), reason: Revocation::KeyCompromise, audit: audit.clone() },
            One {
                serial: before.clone(),
                reason: Revocation::Superseded,
                audit: self.event("certificate-revoked"),
            },
        ];
        self.store.write(Revoke { certificates: ones, blocked: None, at: days_ago(2) }).await.expect("kept");
        self.certificate(&account, &["reissued.corp.lan"], hours_ago(30), 90).await;

        let mut downloads = Vec::new();
        for name in ["fresh.corp.lan", "renewed.corp.lan", "reissued.corp.lan"] {
            downloads.push((newest(name, &self.store).await, hours_ago(30)));
        }
        self.store.write(RecordPolls { polls: Vec::new(), downloads }).await.expect("kept");
        let old = self.store.certificates_of_name("renewed.corp.lan", 2).await.expect("read").remove(1);
        let overdue = newest("overdue.corp.lan", &self.store).await;
        let sight = |target: &str, address: &str, verdict, serial: Option<&Serial>, detail: &str| Served {
            target: target.into(),
            address: Some(address.parse().expect("an address")),
            verdict,
            since: hours_ago(40),
            at: now().minus(Duration::from_secs(240)),
            samples: 240,
            serial: serial.map(ToString::to_string),
            spki: None,
            not_after: None,
            product: None,
            detail: detail.into(),
        };
        let target = |served: Vec<Served>| (served[0].target.clone(), served[0].host().to_owned(), served);
        let targets = vec![
            target(vec![sight(
                "due.corp.lan:443",
                "192.168.1.7:443",
                Seen::RevokedServed,
                Some(&revoked),
                "serial 4000000000000000 was revoked on 2026-11-20T19:09:00Z; issue a new one and reload",
            )]),
            target(vec![Served {
                product: Some("NixOS (minica)".into()),
                ..sight(
                    "fresh.corp.lan:443",
                    "192.168.1.8:443",
                    Seen::FallbackCert,
                    None,
                    "is not ours but NixOS (minica), valid to 2028-12-22T19:09:00Z",
                )
            }]),
            target(vec![
                sight("renewed.corp.lan:443", "192.168.1.9:443", Seen::Ok, None, "is ours and current"),
                Served {
                    not_after: Some(old.not_after),
                    ..sight(
                        "renewed.corp.lan:443",
                        "[fd00::9]:443",
                        Seen::StaleNotReloaded,
                        Some(&old.serial),
                        "is still served, though another was issued 25 days ago: reload the service",
                    )
                },
            ]),
            target(vec![sight(
                "overdue.corp.lan:443",
                "192.168.1.10:443",
                Seen::Expiring,
                Some(&overdue),
                "ends in 14 days and has no successor; ca-ctl explain overdue.corp.lan says where its renewal stopped",
            )]),
            target(vec![sight(
                "late.corp.lan:443",
                "192.168.1.11:443",
                Seen::TcpRefused,
                None,
                "refused the connection: nothing listens there; start the service, or see probe.skip",
            )]),
            target(vec![sight(
                "reissued.corp.lan:443",
                "192.168.1.12:443",
                Seen::RevokedServed,
                Some(&before),
                "serial 4000000000000000 was revoked on 2026-11-20T19:09:00Z; another was issued 30 hours ago: reload the service",
            )]),
        ];
        self.store.write(KeepObservations { targets, all: None }).await.expect("kept");
    }

    async fn say(&mut self, subject: &str, wish: Wish) {
        let audit = self.event("name-said");
        self.store.write(SetCare { subject: subject.into(), wish, audit }).await.expect("kept");
    }

    async fn account(&mut self) -> AccountId {
        self.account_of("thumbprint").await
    }

    async fn account_of(&mut self, thumbprint: &str) -> AccountId {
        let id = AccountId::mint(days_ago(100), self.next());
        let account = Account {
            thumbprint: thumbprint.into(),
            id: id.clone(),
            jwk: "{}".into(),
            status: AccountStatus::Valid,
            contact: Vec::new(),
            terms_agreed: true,
            created_at: days_ago(100),
            external_account: None,
            binding: None,
        };
        let audit = self.event("account-created");
        self.store.write(CreateAccount { account, audit }).await.expect("kept");
        id
    }

    async fn external_account(&mut self, label: &str, allow: Option<&[&str]>, revoked_at: Option<Timestamp>) {
        let key = ExternalAccount {
            id: ExternalAccountId::mint(days_ago(30), self.next()),
            label: label.into(),
            mac_key: MacKey(vec![7; 32]),
            allow: allow.map(|rules| rules.iter().map(|rule| (*rule).to_owned()).collect()),
            profiles: None,
            reusable: false,
            created_at: days_ago(30),
            expires_at: None,
            revoked_at: None,
            bound_at: None,
        };
        let (id, audit) = (key.id.clone(), self.event("external-account-created"));
        self.store.write(CreateExternalAccount { key, audit }).await.expect("kept");
        if let Some(now) = revoked_at {
            let audit = self.event("external-account-revoked");
            self.store.write(RevokeExternalAccount { id, now, audit }).await.expect("kept");
        }
    }

    async fn order(&mut self, account: &AccountId, names: &[&str], at: Timestamp) -> CreateOrder {
        let identifiers: Vec<_> = names.iter().map(|name| Identifier::dns(name).expect("a name")).collect();
        let id = OrderId::mint(at, self.next());
        let expires_at = at.plus(7 * DAY);
        let mut authorizations = Vec::new();
        for identifier in &identifiers {
            authorizations.push(Authorization {
                id: AuthorizationId::mint(at, self.next()),
                account: account.clone(),
                order: Some(id.clone()),
                identifier: identifier.to_authorize(),
                wildcard: identifier.is_wildcard(),
                status: AuthorizationStatus::Pending,
                token: Token::mint([7; TOKEN_RANDOM]),
                challenges: vec![Type::Http01],
                attempted: None,
                attempted_at: None,
                validated_at: None,
                created_at: at,
                expires_at,
                error: None,
                evidence: None,
            });
        }
        let order = CreateOrder {
            links: authorizations.iter().map(|authorization| authorization.id.clone()).collect(),
            reuse: None,
            authorizations,
            order: Order {
                id,
                account: account.clone(),
                status: OrderStatus::Pending,
                names: name_set(&identifiers),
                identifiers: identifiers.iter().map(Identifier::to_wire).collect(),
                profile: None,
                not_before: None,
                not_after: None,
                created_at: at,
                expires_at,
                error: None,
                serial: None,
                csr: None,
                replaces: None,
            },
        };
        self.store.write(order.clone()).await.expect("kept");
        order
    }

    /// The first authorization of an order ends with this failure.
    async fn fail(&mut self, order: &CreateOrder, failure: Failure) {
        let verdict = Verdict::Invalid { problem: failure.to_problem(), failure };
        self.decide(&order.authorizations[0], order.order.created_at, verdict).await;
    }

    async fn decide(&mut self, authorization: &Authorization, at: Timestamp, verdict: Verdict) {
        let audit = self.event("validated");
        let change = Validated {
            authorization: authorization.id.clone(),
            challenge: Type::Http01,
            attempted_at: at.plus(Duration::from_secs(2)),
            verdict,
            audit,
        };
        self.store.write(change).await.expect("kept");
    }

    async fn certificate(&mut self, account: &AccountId, names: &[&str], at: Timestamp, days: u32) {
        let order = self.order(account, names, at).await;
        for authorization in &order.authorizations {
            let verdict = Verdict::Valid {
                evidence: Evidence::default(),
                validated_at: at,
                expires_at: at.plus(7 * DAY),
            };
            self.decide(authorization, at, verdict).await;
        }
        self.issue(Some(&order.order), &order.order.names, at, days).await;
    }

    /// Of one a client asked, and one the operator wants renewed.
    async fn signs_of_life(&mut self) {
        let polled = self.store.certificates_of_name("fresh.corp.lan", 1).await.expect("read").remove(0);
        let polls = vec![(polled.serial, hours_ago(5))];
        self.store.write(RecordPolls { polls, downloads: Vec::new() }).await.expect("kept");
        let wanted = self.store.certificates_of_name("due.corp.lan", 1).await.expect("read").remove(0);
        let window = Window { start: hours_ago(2), end: hours_ago(1) };
        let wishes = vec![(wanted.serial, window, self.event("renewal-asked"))];
        self.store.write(AskRenewals { wishes }).await.expect("kept");
    }

    async fn own_certificate(&mut self) {
        self.issue(None, "ca.corp.lan", days_ago(30), 90).await;
    }

    async fn issue(&mut self, order: Option<&Order>, names: &str, at: Timestamp, days: u32) {
        let mut random = [0; SERIAL_RANDOM];
        random[..ID_RANDOM].copy_from_slice(&self.next());
        let serial = Serial::mint(random);
        let not_after = at.plus(days * DAY).minus(Duration::from_secs(1));
        let certificate = Certificate {
            serial: serial.clone(),
            order: order.map(|order| order.id.clone()),
            account: order.map(|order| order.account.clone()),
            purpose: if order.is_some() { Purpose::Acme } else { Purpose::Server },
            names: names.to_owned(),
            issuer: ISSUER.into(),
            spki: [7; 32],
            status: CertificateStatus::Intended,
            tbs: Some(vec![0x30; 4]),
            der: None,
            not_before: at,
            not_after,
            created_at: at,
            issued_at: None,
            superseded_by: None,
            revocation: None,
            polled_at: None,
            asked: None,
        };
        let audit = self.event("certificate-intended");
        let csr = order.map(|_| vec![0x30; 4]);
        self.store.write(Intend { csr, thumbprint: None, certificate, audit }).await.expect("kept");
        let issued = Issued {
            serial,
            der: vec![0x30; 4],
            order: order.map(|order| order.id.clone()),
            names: names.to_owned(),
            replaces: None,
            not_after,
            now: at,
            audit: self.event("certificate-issued"),
        };
        self.store.write(issued).await.expect("kept");
    }

    fn event(&mut self, word: &str) -> AuditEvent {
        let at = now();
        let id = AuditId::mint(at, self.next());
        AuditEvent { id, at, event: word.into(), account: None, order: None, serial: None, detail: None }
    }

    fn next(&mut self) -> [u8; ID_RANDOM] {
        self.made += 1;
        let mut octets = [0; ID_RANDOM];
        octets[ID_RANDOM - 8..].copy_from_slice(&self.made.to_be_bytes());
        octets
    }
}

fn servfail() -> Failure {
    servfail_of("nowhere.corp.lan")
}

fn servfail_of(name: &str) -> Failure {
    let lookup = |record: &str| Lookup {
        name: name.into(),
        record: record.into(),
        server: "10.0.0.53".into(),
        answer: "SERVFAIL".into(),
        millis: 12,
        ..Lookup::default()
    };
    Failure {
        phase: Phase::Dns,
        reason: Reason::Servfail,
        name: name.into(),
        detail: format!("10.0.0.53 answered SERVFAIL for {name}"),
        first_bytes: None,
        evidence: Evidence { lookups: vec![lookup("A"), lookup("AAAA")], dials: Vec::new() },
    }
}

fn unanswered() -> Failure {
    let lookup = Lookup {
        name: "behind.corp.lan".into(),
        record: "any".into(),
        server: "pin".into(),
        answer: "NOERROR".into(),
        addresses: vec!["192.168.1.10".parse().expect("an address")],
        ..Lookup::default()
    };
    let dial = Dial {
        url: "http://behind.corp.lan/.well-known/acme-challenge/BwcHBwcHBwcHBwcHBwcHBw".into(),
        address: "192.168.1.10:80".parse().expect("an address"),
        status: Some(404),
        error: None,
        millis: 3,
    };
    Failure {
        phase: Phase::Http,
        reason: Reason::Status,
        name: "behind.corp.lan".into(),
        detail: "192.168.1.10:80 answered 404 for behind.corp.lan; 200 was expected".into(),
        first_bytes: Some("<html>not here</html>".into()),
        evidence: Evidence { lookups: vec![lookup], dials: vec![dial] },
    }
}

pub(crate) fn days_ago(days: u32) -> Timestamp {
    now().minus(days * DAY)
}

fn hours_ago(hours: u32) -> Timestamp {
    now().minus(hours * DAY / 24)
}

const DAY: Duration = Duration::from_secs(86_400);
const ISSUER: &str = "a1b2c3d4a1b2c3d4a1b2c3d4a1b2c3d4a1b2c3d4";
