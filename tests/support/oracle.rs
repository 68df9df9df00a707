//! What is always true, whatever happened before: the list of the design, asked of the store, of the certificates that
//! clients hold, and of the log. Every journey ends with it.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::net::IpAddr;
use std::time::Instant;

use acme::challenge::Token;
use acme::id::{AccountId, Serial};
use acme::order::{AuthorizationStatus, OrderStatus};
use acme::time::Timestamp;
use openssl::stack::Stack;
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::{X509, X509StoreContext};
use store::Store;
use store::audit::AuditFilter;
use store::authorization::Authorization;
use store::certificate::{Certificate, CertificateStatus, Purpose, Which};
use store::order::Order;

use super::ca::{Ca, PATIENCE, POLL};

/// Asks everything, at rest: no client waits for anything. `held` are the chains that clients were given.
pub async fn check(ca: &Ca, held: &[String]) {
    let store = Store::open_existing(ca.store()).await.expect("the store opens beside the server");
    let certificates = store.certificates(Which::All, None, ALL, 0).await.expect("certificates");
    let trust = Trust::of(ca);
    for certificate in &certificates {
        certificate_is_accounted_for(certificate, &trust, &store).await;
    }
    every_chain_is_known(held, &certificates);
    orders_are_whole(&certificates, &store).await;
    nothing_is_left_halfway(&store).await;
    let authorizations = key_authorizations(&store).await;
    store.close().await;
    the_log_keeps_secrets(ca, &authorizations);
}

/// Waits until the server has come to the end of what clients left behind when they gave up.
pub async fn at_rest(ca: &Ca) {
    let store = Store::open_existing(ca.store()).await.expect("the store opens beside the server");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let orders = store.processing_orders(1).await.expect("orders");
        let authorizations = store.processing_authorizations(1).await.expect("authorizations");
        if orders.is_empty() && authorizations.is_empty() {
            return store.close().await;
        }
        assert!(Instant::now() < deadline, "never at rest: {orders:?} {authorizations:?}");
        tokio::time::sleep(POLL).await;
    }
}

async fn certificate_is_accounted_for(certificate: &Certificate, trust: &Trust, store: &Store) {
    let serial = &certificate.serial;
    assert_eq!(certificate.status, CertificateStatus::Issued, "{serial}");
    let der = certificate.der.as_deref().unwrap_or_else(|| panic!("{serial} is issued and not kept"));
    let parsed = X509::from_der(der).expect("a certificate");
    let issuer = store.issuer(&certificate.issuer).await.expect("read").expect("its issuer is kept");
    trust.must_verify(&parsed, &X509::from_der(&issuer.certificate).expect("an issuer"), serial);

    let octets = parsed.serial_number().to_bn().expect("a number").to_vec();
    assert_eq!(Serial::from_bytes(&octets), *serial, "the row's serial is the certificate's");
    assert!((8..=20).contains(&octets.len()), "{serial} has 64 to 160 bits");

    match (certificate.purpose, &certificate.order) {
        (Purpose::Acme, Some(order)) => {
            let (order, _) = store.order_with_authorizations(order).await.expect("read").expect("its order");
            assert_eq!(order.status, OrderStatus::Valid, "{serial} belongs to a valid order");
            assert_eq!(order.serial.as_ref(), Some(serial), "its order names it");
            assert_eq!(names(&parsed), order.names.split(',').map(str::to_owned).collect(), "{serial}");
        }
        (Purpose::Server, None) => {}
        other => panic!("{serial} has no reason to be: {other:?}"),
    }

    let filter = AuditFilter { serial: Some(serial.clone()), ..AuditFilter::default() };
    let events: Vec<String> =
        store.audit(&filter, ALL).await.expect("audit").into_iter().map(|row| row.event).collect();
    for word in ["intended", "issued"] {
        let rows = events.iter().filter(|event| event.contains(word)).count();
        assert_eq!(rows, 1, "{serial} has one audit row each of its intent and its issue: {events:?}");
    }
}

fn every_chain_is_known(held: &[String], certificates: &[Certificate]) {
    for chain in held {
        let leaf = X509::stack_from_pem(chain.as_bytes()).expect("PEM").swap_remove(0).to_der().expect("DER");
        let known = certificates.iter().any(|certificate| certificate.der.as_ref() == Some(&leaf));
        assert!(known, "a client holds a certificate that the store does not know:\n{chain}");
    }
}

async fn orders_are_whole(certificates: &[Certificate], store: &Store) {
    let mut of_order = HashMap::<_, usize>::new();
    for order in certificates.iter().filter_map(|certificate| certificate.order.as_ref()) {
        *of_order.entry(order.clone()).or_default() += 1;
    }
    for order in store.orders(Timestamp::EPOCH, ALL).await.expect("orders") {
        let (order, authorizations) =
            store.order_with_authorizations(&order.id).await.expect("read").expect("it was listed");
        let count = of_order.get(&order.id).copied().unwrap_or(0);
        let expected = usize::from(order.status == OrderStatus::Valid);
        assert_eq!(count, expected, "certificates of order {} ({})", order.id, order.status);
        if order.status == OrderStatus::Valid {
            assert!(!authorizations.is_empty(), "{order:?}");
            for authorization in &authorizations {
                was_valid_when_finalized(authorization, &order, store).await;
            }
        }
        if authorizations.iter().any(|a| a.status == AuthorizationStatus::Invalid) {
            assert_eq!(
                order.status,
                OrderStatus::Invalid,
                "one invalid authorization ends order {}",
                order.id
            );
            assert!(order.error.is_some(), "order {} says why it failed", order.id);
        }
    }
}

async fn was_valid_when_finalized(authorization: &Authorization, order: &Order, store: &Store) {
    assert!(authorization.evidence.is_some(), "{} was validated by nothing", authorization.id);
    let serial = order.serial.as_ref().expect("a valid order has a certificate");
    let certificate = store.certificate(serial).await.expect("read").expect("it is kept");
    assert!(authorization.validated_at <= certificate.issued_at, "{} came too late", authorization.id);
    if authorization.status == AuthorizationStatus::Valid {
        return;
    }
    // Given up since, and not before.
    let filter = AuditFilter { account: Some(order.account.clone()), ..AuditFilter::default() };
    let events = store.audit(&filter, ALL).await.expect("audit");
    let given_up =
        events.iter().any(|row| row.event.contains("deactivated") && Some(row.at) >= certificate.issued_at);
    assert!(given_up, "{} of valid order {} is {}", authorization.id, order.id, authorization.status);
}

async fn nothing_is_left_halfway(store: &Store) {
    let orders = store.processing_orders(ALL).await.expect("orders");
    assert!(orders.is_empty(), "processing at rest: {orders:?}");
    let authorizations = store.processing_authorizations(ALL).await.expect("authorizations");
    assert!(authorizations.is_empty(), "under validation at rest: {authorizations:?}");
    let intents = store.intended_certificates(ALL).await.expect("intents");
    assert!(intents.is_empty(), "intended and neither issued nor given up: {intents:?}");
}

async fn key_authorizations(store: &Store) -> Vec<String> {
    let mut thumbprints = HashMap::<AccountId, String>::new();
    let mut all = Vec::new();
    for order in store.orders(Timestamp::EPOCH, ALL).await.expect("orders") {
        if !thumbprints.contains_key(&order.account) {
            let account =
                store.account(&order.account).await.expect("read").expect("an order has an account");
            thumbprints.insert(order.account.clone(), account.thumbprint);
        }
        let (_, authorizations) =
            store.order_with_authorizations(&order.id).await.expect("read").expect("it was listed");
        let of = |token: &Token| token.key_authorization(&thumbprints[&order.account]).as_str().to_owned();
        all.extend(authorizations.iter().map(|authorization| of(&authorization.token)));
    }
    all
}

/// Key authorizations, the keys' own lines, and passphrases.
fn the_log_keeps_secrets(ca: &Ca, key_authorizations: &[String]) {
    let log = ca.log();
    assert!(!log.contains("PRIVATE KEY"), "a private key is in the log");
    let mut secrets: HashSet<String> = key_authorizations.iter().cloned().collect();
    for file in ["root.key", "intermediate.key", "root.pass", "intermediate.pass"] {
        let text = fs::read_to_string(ca.path(file)).unwrap_or_default();
        secrets.extend(
            text.lines().filter(|line| !line.starts_with("-----")).map(|line| line.trim().to_owned()),
        );
    }
    for secret in secrets.iter().filter(|secret| secret.len() >= 8) {
        assert!(!log.contains(secret.as_str()), "a secret is in the log: {secret}");
    }
}

struct Trust(openssl::x509::store::X509Store);

impl Trust {
    fn of(ca: &Ca) -> Self {
        let root = X509::from_pem(&fs::read(ca.root()).expect("a file")).expect("a certificate");
        let mut store = X509StoreBuilder::new().expect("a builder");
        store.add_cert(root).expect("the root");
        Self(store.build())
    }

    /// By OpenSSL: signature, dates, name constraints.
    fn must_verify(&self, certificate: &X509, issuer: &X509, serial: &Serial) {
        let mut chain = Stack::new().expect("a stack");
        chain.push(issuer.clone()).expect("pushed");
        let mut context = X509StoreContext::new().expect("a context");
        context
            .init(&self.0, certificate, &chain, |context| {
                assert!(context.verify_cert()?, "{serial}: {}", context.error());
                Ok(())
            })
            .expect("OpenSSL judges");
        assert!(certificate.not_after() <= issuer.not_after(), "{serial} outlives its issuer");
    }
}

fn names(certificate: &X509) -> HashSet<String> {
    let one = |name: &openssl::x509::GeneralNameRef| match (name.dnsname(), name.ipaddress()) {
        (Some(dns), _) => dns.to_owned(),
        (_, Some(octets)) => match <[u8; 4]>::try_from(octets) {
            Ok(v4) => IpAddr::from(v4).to_string(),
            Err(_) => IpAddr::from(<[u8; 16]>::try_from(octets).expect("4 or 16 octets")).to_string(),
        },
        _ => panic!("a SAN is a name or an address"),
    };
    certificate.subject_alt_names().expect("a SAN").iter().map(one).collect()
}

const ALL: u32 = 1_000_000;
