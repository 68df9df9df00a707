use acme::order::OrderStatus;
use store::Error;
use store::audit::{Audit, AuditEvent, AuditFilter};
use store::authorization::DeactivateAuthorization;
use store::certificate::{CertificateStatus, Which};
use store::issuance::{Abandon, Intend, PutIssuer};

use crate::world::*;

fn abandon(serial: &acme::id::Serial) -> Abandon {
    Abandon { serial: serial.clone(), audit: event("certificate.abandoned") }
}

both! {
    async fn an_issuance_ends_with_a_certificate_its_chain_and_a_valid_order(world: World) {
        let account = world.account().await;
        let (made, intended) = world.issued(&account, &["a.lan", "b.lan"]).await;
        let (order, _) = world.store.order_with_authorizations(&made.order.id).await.unwrap().unwrap();
        assert_eq!((order.status, order.csr), (OrderStatus::Valid, None));
        assert_eq!(order.expires_at, intended.not_after, "an order lasts as long as its certificate");
        assert_eq!(order.serial.as_ref(), Some(&intended.serial));

        let (kept, chain) = world.store.certificate_with_chain(&intended.serial).await.unwrap().unwrap();
        assert_eq!(chain, issuer().chain);
        assert_eq!((kept.status, kept.issued_at), (CertificateStatus::Issued, Some(now())));
        assert_eq!((kept.tbs.as_ref(), kept.der.as_deref()), (None, Some(&[0x30; 600][..])));
        assert_eq!(kept.names, "a.lan,b.lan");
        assert_eq!(world.store.certificate(&intended.serial).await.unwrap(), Some(kept));
    }
}

both! {
    async fn an_intent_needs_an_order_that_is_ready(world: World) {
        let account = world.account().await;
        world.store.write(PutIssuer { issuer: issuer() }).await.unwrap();
        let refused = async |order: &store::order::Order, why: &str| {
            let verdict = world.store.write(intend(order)).await;
            assert!(matches!(verdict, Err(Error::Conflict { what: "order", .. })), "{why}: {verdict:?}");
        };
        let waiting = world.order(&account, &["a.lan", "b.lan"]).await;
        world.store.write(valid(&waiting.authorizations[0])).await.unwrap();
        refused(&waiting.order, "one authorization is pending").await;

        let given_up = world.ready_order(&account, &["a.lan"]).await;
        let gone = DeactivateAuthorization {
            authorization: given_up.links[0].clone(),
            problem: problem(),
            audit: event("authorization.deactivated"),
        };
        world.store.write(gone).await.unwrap();
        refused(&given_up.order, "its authorization was given up").await;

        let late = world.ready_order(&account, &["a.lan"]).await;
        let mut intent = intend(&late.order);
        intent.certificate.created_at = day(8);
        let verdict = world.store.write(intent).await;
        assert!(matches!(verdict, Err(Error::Conflict { what: "order", .. })), "it ran out: {verdict:?}");

        let ready = world.ready_order(&account, &["a.lan"]).await;
        let for_its_own = Intend { thumbprint: Some(account.thumbprint.clone()), ..intend(&ready.order) };
        let verdict = world.store.write(for_its_own).await;
        assert!(matches!(verdict, Err(Error::Conflict { what: "order", .. })), "an account's key: {verdict:?}");
        assert_eq!(world.count("certificate").await, 0);
        let for_another = Intend { thumbprint: Some("of nobody".into()), ..intend(&ready.order) };
        world.store.write(PutIssuer { issuer: issuer() }).await.unwrap();
        world.store.write(for_another).await.unwrap();
    }
}

both! {
    async fn an_order_never_has_two_certificates(world: World) {
        let account = world.account().await;
        let order = world.ready_order(&account, &["a.lan"]).await.order;
        world.store.write(PutIssuer { issuer: issuer() }).await.unwrap();
        let mut tasks = Vec::new();
        for _ in 0..8 {
            let store = world.store.clone();
            let intent = intend(&order);
            tasks.push(tokio::spawn(async move { store.write(intent).await }));
        }
        let mut made = 0;
        for task in tasks {
            match task.await.unwrap() {
                Ok(()) => made += 1,
                Err(Error::Conflict { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(made, 1);
        let intents = world.store.intended_certificates(10).await.unwrap();
        assert_eq!(intents.len(), 1);
        world.store.write(issue(&intents[0])).await.unwrap();
        assert!(matches!(world.store.write(issue(&intents[0])).await, Err(Error::Conflict { .. })));
        assert!(matches!(world.store.write(intend(&order)).await, Err(Error::Conflict { .. })));
        assert_eq!(world.count("certificate").await, 1);
    }
}

both! {
    async fn an_abandoned_intent_lets_its_order_be_tried_anew(world: World) {
        let account = world.account().await;
        let order = world.ready_order(&account, &["a.lan"]).await.order;
        world.store.write(PutIssuer { issuer: issuer() }).await.unwrap();
        let first = intend(&order);
        world.store.write(first.clone()).await.unwrap();
        let intents = world.store.intended_certificates(10).await.unwrap();
        assert_eq!(intents, std::slice::from_ref(&first.certificate));

        world.store.write(abandon(&first.certificate.serial)).await.unwrap();
        assert!(matches!(world.store.write(abandon(&first.certificate.serial)).await, Err(Error::Conflict { .. })));
        let work = world.store.processing_orders(10).await.unwrap();
        assert_eq!(work[0].csr, first.csr, "the request is kept for the second try");

        let mut second = intend(&order);
        second.csr = None;
        world.store.write(second.clone()).await.unwrap();
        world.store.write(issue(&second.certificate)).await.unwrap();
        let kept = world.store.certificate(&first.certificate.serial).await.unwrap().unwrap();
        assert_eq!((kept.status, kept.tbs), (CertificateStatus::Abandoned, None));
        let (kept, _) = world.store.order_with_authorizations(&order.id).await.unwrap().unwrap();
        assert_eq!(kept.serial, Some(second.certificate.serial));
    }
}

both! {
    async fn a_renewal_takes_the_place_of_the_same_names_and_purpose_only(world: World) {
        let account = world.account().await;
        let (_, old) = world.issued(&account, &["a.lan"]).await;
        let (_, more) = world.issued(&account, &["a.lan", "b.lan"]).await;
        let own = intend_own("a.lan");
        world.store.write(own.clone()).await.unwrap();
        world.store.write(issue(&own.certificate)).await.unwrap();
        let (_, new) = world.issued(&account, &["a.lan"]).await;

        let by = async |serial| world.store.certificate(serial).await.unwrap().unwrap().superseded_by;
        assert_eq!(by(&old.serial).await, Some(new.serial.clone()));
        for current in [&more.serial, &own.certificate.serial, &new.serial] {
            assert_eq!(by(current).await, None);
        }
        let list = async |which, part| {
            let found = world.store.certificates(which, part, 10, 0).await.unwrap();
            found.into_iter().map(|c| c.serial).collect::<std::collections::HashSet<_>>()
        };
        assert_eq!(list(Which::All, None).await.len(), 4);
        assert_eq!(list(Which::Current, None).await.len(), 3);
        assert_eq!(list(Which::All, Some("B.LAN")).await, [more.serial.clone()].into());
        assert_eq!(list(Which::All, Some("%")).await.len(), 0, "a sign of patterns is a character");
        assert_eq!(world.store.certificates(Which::All, None, 10, 3).await.unwrap().len(), 1);
        assert_eq!(world.store.certificates_of_name("b.lan", 10).await.unwrap()[0].serial, more.serial);
        assert_eq!(world.store.certificates_of_name("a.lan", 10).await.unwrap().len(), 4);
        assert_eq!(world.store.certificates_of_name("lan", 10).await.unwrap().len(), 0);
    }
}

both! {
    async fn what_ends_soon_is_listed_first_and_only_while_it_is_current(world: World) {
        let account = world.account().await;
        let (_, old) = world.issued(&account, &["a.lan"]).await;
        let soon = intend_own("b.lan");
        let mut sooner = intend_own("c.lan");
        sooner.certificate.not_after = day(3);
        for intent in [&soon, &sooner] {
            world.store.write(intent.clone()).await.unwrap();
            world.store.write(issue(&intent.certificate)).await.unwrap();
        }
        let serials = async |at| {
            let found = world.store.expiring(at, 10).await.unwrap();
            found.into_iter().map(|c| c.names).collect::<Vec<_>>()
        };
        assert_eq!(serials(day(91)).await[0], "c.lan");
        assert_eq!(serials(day(91)).await.len(), 3);
        assert_eq!(serials(day(4)).await, ["c.lan"]);
        world.issued(&account, &["a.lan"]).await;
        assert!(!world.store.expiring(day(91), 10).await.unwrap().iter().any(|c| c.serial == old.serial));
        world.store.write(intend_own("d.lan")).await.unwrap();
        assert_eq!(serials(day(91)).await.len(), 3, "an intent does not end");
    }
}

both! {
    async fn an_issuer_is_kept_once_and_a_certificate_needs_one(world: World) {
        let orphan = world.store.write(intend_own("a.lan")).await;
        assert!(matches!(orphan, Err(Error::Constraint { .. })), "{orphan:?}");
        world.store.write(PutIssuer { issuer: issuer() }).await.unwrap();
        let mut other = issuer();
        other.chain = "another".into();
        world.store.write(PutIssuer { issuer: other }).await.unwrap();
        assert_eq!(world.store.issuer(&issuer().id).await.unwrap(), Some(issuer()));
        world.store.write(intend_own("a.lan")).await.unwrap();
    }
}

both! {
    async fn the_trail_is_read_newest_first_and_by_what_it_is_about(world: World) {
        let account = world.account().await;
        let (order, certificate) = world.issued(&account, &["a.lan"]).await;
        let last = AuditEvent { detail: Some(serde_json::json!({"by": "admin"})), ..event("ca.started") };
        world.store.write(Audit { event: last.clone() }).await.unwrap();

        let all = world.store.audit(&AuditFilter::default(), 100).await.unwrap();
        assert_eq!(all[0], last);
        assert_eq!(world.count("audit").await, all.len());
        let about = AuditFilter { serial: Some(certificate.serial), ..AuditFilter::default() };
        let words: Vec<_> = world.store.audit(&about, 100).await.unwrap().into_iter().map(|e| e.event).collect();
        assert_eq!(words, ["certificate.issued", "certificate.intended"]);
        let about = AuditFilter { order: Some(order.order.id), ..AuditFilter::default() };
        assert_eq!(world.store.audit(&about, 1).await.unwrap().len(), 1);
        let about = AuditFilter { account: Some(account.id), ..AuditFilter::default() };
        assert_eq!(world.store.audit(&about, 100).await.unwrap().len(), 2);
        let about = AuditFilter { since: Some(day(1)), ..AuditFilter::default() };
        assert!(world.store.audit(&about, 100).await.unwrap().is_empty());
    }
}
