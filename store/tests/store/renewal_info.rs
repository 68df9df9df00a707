use std::time::Duration;

use acme::id::OrderId;
use acme::renewal_info::{CertificateId, Window};
use store::audit::AuditFilter;
use store::certificate::Certificate;
use store::order::FailOrder;
use store::renewal_info::{AskRenewals, RecordPolls};

use crate::world::*;

/// The id of a certificate under an issuer whose name is its key identifier.
fn id_under(key_id: &[u8], certificate: &Certificate) -> CertificateId {
    CertificateId::new(key_id, &certificate.serial)
}

fn id(certificate: &Certificate) -> CertificateId {
    id_under(&[0xa1, 0xb2, 0xc3, 0xd4], certificate)
}

/// An order that names its predecessor, ready.
async fn ready(
    world: &World,
    account: &store::account::Account,
    names: &[&str],
    old: &CertificateId,
) -> OrderId {
    let mut change = order(account, names);
    change.order.replaces = Some(old.clone());
    world.store.write(change.clone()).await.unwrap();
    for authorization in &change.authorizations {
        world.store.write(valid(authorization)).await.unwrap();
    }
    change.order.id
}

async fn finalized(world: &World, order: &OrderId) -> Certificate {
    let (order, _) = world.store.order_with_authorizations(order).await.unwrap().unwrap();
    let intent = intend(&order);
    world.store.write(intent.clone()).await.unwrap();
    let issued = store::issuance::Issued { replaces: order.replaces, ..issue(&intent.certificate) };
    world.store.write(issued).await.unwrap();
    intent.certificate
}

async fn superseded_by(world: &World, certificate: &Certificate) -> Option<acme::id::Serial> {
    world.store.certificate(&certificate.serial).await.unwrap().unwrap().superseded_by
}

both! {
    async fn a_certificate_is_replaced_when_the_order_that_names_it_is_valid(world: World) {
        let account = world.account().await;
        let (_, old) = world.issued(&account, &["a.lan"]).await;
        let (_, other) = world.issued(&account, &["b.lan"]).await;
        let replaced = async || world.store.predecessor(&id(&old)).await.unwrap().unwrap().replaced_by;
        let known = world.store.predecessor(&id(&old)).await.unwrap().unwrap();
        assert_eq!((known.account.as_ref(), known.names.as_str()), (Some(&account.id), "a.lan"));
        assert_eq!((known.issuer.as_str(), known.replaced_by), ("a1b2c3d4", None));

        let failed = ready(&world, &account, &["a.lan", "c.lan"], &id(&old)).await;
        assert_eq!(replaced().await, None, "an order that waits replaces nothing");
        let fail = FailOrder { order: failed, problem: problem(), audit: event("order.invalid") };
        world.store.write(fail).await.unwrap();
        let order = ready(&world, &account, &["a.lan", "c.lan"], &id(&old)).await;
        let (kept, _) = world.store.order_with_authorizations(&order).await.unwrap().unwrap();
        assert_eq!(kept.replaces, Some(id(&old)));

        let new = finalized(&world, &order).await;
        assert_eq!(replaced().await, Some(order));
        assert_eq!(superseded_by(&world, &old).await, Some(new.serial.clone()), "though its names are others");
        assert_eq!(superseded_by(&world, &other).await, None);
        assert_eq!(superseded_by(&world, &new).await, None);

        // A second order that was made before: the first successor stays.
        let late = ready(&world, &account, &["a.lan", "d.lan"], &id(&old)).await;
        finalized(&world, &late).await;
        assert_eq!(superseded_by(&world, &old).await, Some(new.serial));
    }
}

both! {
    async fn one_of_the_same_names_is_superseded_too_and_one_of_another_issuer_is_not(world: World) {
        let account = world.account().await;
        let (_, same) = world.issued(&account, &["a.lan"]).await;
        let (_, named) = world.issued(&account, &["b.lan"]).await;
        let (_, own) = world.issued(&account, &["c.lan"]).await;
        let order = ready(&world, &account, &["a.lan"], &id(&named)).await;
        let new = finalized(&world, &order).await;
        assert_eq!(superseded_by(&world, &same).await, Some(new.serial.clone()));
        assert_eq!(superseded_by(&world, &named).await, Some(new.serial));

        // The serial is ours, the issuer is not.
        let order = ready(&world, &account, &["d.lan"], &id_under(&[7; 20], &own)).await;
        finalized(&world, &order).await;
        assert_eq!(superseded_by(&world, &own).await, None);
    }
}

both! {
    async fn polls_are_kept_many_at_a_time_in_one_commit(world: World) {
        let account = world.account().await;
        let (_, first) = world.issued(&account, &["a.lan"]).await;
        let (_, second) = world.issued(&account, &["b.lan"]).await;
        let mut polls: Vec<_> = (0..600).map(|_| (serial(), day(1))).collect();
        polls.insert(300, (first.serial.clone(), day(2)));
        let before = world.store.stats();
        world.store.write(RecordPolls { polls, downloads: Vec::new() }).await.unwrap();
        let after = world.store.stats();
        assert_eq!((after.commits - before.commits, after.statements - before.statements), (1, 3));
        assert_eq!(world.store.certificate(&first.serial).await.unwrap().unwrap().polled_at, Some(day(2)));
        assert_eq!(world.store.certificate(&second.serial).await.unwrap().unwrap().polled_at, None);
    }
}

both! {
    async fn a_wish_for_renewal_is_kept_with_its_trail_for_current_certificates_only(world: World) {
        let account = world.account().await;
        let (_, old) = world.issued(&account, &["a.lan"]).await;
        let (_, new) = world.issued(&account, &["a.lan"]).await;
        let window = Window { start: now(), end: now().plus(Duration::from_secs(3_600)) };
        let wish = |certificate: &Certificate| {
            let serial = certificate.serial.clone();
            let audit = store::audit::AuditEvent { serial: Some(serial.clone()), ..event("renewal-asked") };
            (serial, window, audit)
        };
        let wishes = vec![wish(&old), wish(&new)];
        let asked = world.store.write(AskRenewals { wishes }).await.unwrap();
        assert_eq!(asked, std::slice::from_ref(&new.serial));
        for (certificate, asked) in [(&old, None), (&new, Some(window))] {
            let kept = world.store.certificate(&certificate.serial).await.unwrap().unwrap();
            assert_eq!((kept.asked, kept.facts().asked), (asked, asked));
            let filter = AuditFilter { serial: Some(certificate.serial.clone()), ..AuditFilter::default() };
            let trail = world.store.audit(&filter, 10).await.unwrap();
            let asked_for = trail.iter().filter(|row| row.event == "renewal-asked").count();
            assert_eq!(asked_for, usize::from(asked.is_some()));
        }
    }
}

both! {
    async fn the_latest_of_an_account_and_its_names_are_found_newest_first(world: World) {
        let account = world.account().await;
        let other = world.account().await;
        for at in 1..=9 {
            let order = world.ready_order(&account, &["a.lan"]).await;
            world.store.write(store::issuance::PutIssuer { issuer: issuer() }).await.unwrap();
            let intent = intend(&order.order);
            world.store.write(intent.clone()).await.unwrap();
            let issued = store::issuance::Issued { now: day(at), ..issue(&intent.certificate) };
            world.store.write(issued).await.unwrap();
        }
        world.issued(&account, &["b.lan"]).await;
        let found = world.store.issued_before("a.lan", &account.id).await.unwrap();
        let days: Vec<_> = found.iter().map(|past| past.issued_at).collect();
        assert_eq!(days, [9, 8, 7, 6, 5, 4].map(day));
        assert_eq!(found[0].not_after, day(90));
        assert_eq!(world.store.issued_before("a.lan", &other.id).await.unwrap(), []);
    }
}
