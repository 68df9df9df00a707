use acme::id::Serial;
use acme::revocation::Reason;
use acme::time::Timestamp;
use store::audit::AuditFilter;
use store::certificate::Revocation;
use store::issuance::{Abandon, PutIssuer};
use store::revocation::{Block, NextCrl, One, Revoke, Revoked};

use crate::world::*;

fn one(serial: &Serial, reason: Reason) -> One {
    One { serial: serial.clone(), reason, audit: AuditEventOf(serial).into() }
}

/// An event about a certificate.
struct AuditEventOf<'a>(&'a Serial);

impl From<AuditEventOf<'_>> for store::audit::AuditEvent {
    fn from(AuditEventOf(serial): AuditEventOf<'_>) -> Self {
        Self { serial: Some(serial.clone()), ..event("certificate-revoked") }
    }
}

fn revoke(serial: &Serial, reason: Reason, at: Timestamp) -> Revoke {
    Revoke { certificates: vec![one(serial, reason)], blocked: None, at }
}

fn block(spki: [u8; 32]) -> Option<Block> {
    Some(Block { spki, audit: event("key-blocked") })
}

fn next_crl(now: Timestamp) -> NextCrl {
    NextCrl {
        issuer: issuer().id,
        this_update: now,
        next_update: now.plus(std::time::Duration::from_secs(60)),
        audit: event("crl-intended"),
    }
}

both! {
    async fn a_revoked_certificate_says_since_when_and_why(world: World) {
        let account = world.account().await;
        let (_, certificate) = world.issued(&account, &["a.lan"]).await;
        let serial = &certificate.serial;
        assert_eq!(world.store.revocations().await.unwrap(), 0);

        let outcome = world.store.write(revoke(serial, Reason::Superseded, day(1))).await.unwrap();
        assert_eq!(outcome, Revoked { serials: vec![serial.clone()], key: false });
        let kept = world.store.certificate(serial).await.unwrap().unwrap();
        assert_eq!(kept.revocation, Some(Revocation { at: day(1), reason: Reason::Superseded }));
        assert_eq!(world.store.revocations().await.unwrap(), 1);
        let about = AuditFilter { serial: Some(serial.clone()), ..AuditFilter::default() };
        assert_eq!(world.store.audit(&about, 1).await.unwrap()[0].event, "certificate-revoked");

        // Once more, for another reason: it stays as it is, and nothing is written down.
        let rows = world.count("audit").await;
        let again = world.store.write(revoke(serial, Reason::Unspecified, day(2))).await.unwrap();
        assert_eq!(again, Revoked::default());
        assert_eq!((world.count("audit").await, world.store.revocations().await.unwrap()), (rows, 1));

        // That the key is lost is worse, and since when it is revoked does not change.
        let worse = world.store.write(revoke(serial, Reason::KeyCompromise, day(3))).await.unwrap();
        assert_eq!(worse.serials, std::slice::from_ref(serial));
        let kept = world.store.certificate(serial).await.unwrap().unwrap();
        assert_eq!(kept.revocation, Some(Revocation { at: day(1), reason: Reason::KeyCompromise }));
        let back = world.store.write(revoke(serial, Reason::Superseded, day(4))).await.unwrap();
        assert_eq!(back, Revoked::default());
    }
}

both! {
    async fn a_revoked_certificate_does_not_expire_any_more(world: World) {
        let account = world.account().await;
        let (_, gone) = world.issued(&account, &["a.lan"]).await;
        let (_, stays) = world.issued(&account, &["b.lan"]).await;
        world.store.write(revoke(&gone.serial, Reason::Unspecified, now())).await.unwrap();
        let expiring = world.store.expiring(day(91), 10).await.unwrap();
        assert_eq!(expiring.into_iter().map(|c| c.serial).collect::<Vec<_>>(), [stays.serial]);
    }
}

both! {
    async fn a_blocked_key_is_listed_once_and_its_certificates_are_found_intents_too(world: World) {
        let account = world.account().await;
        let (_, first) = world.issued(&account, &["a.lan"]).await;
        let (_, second) = world.issued(&account, &["b.lan"]).await;
        let order = world.ready_order(&account, &["c.lan"]).await.order;
        let intent = intend(&order);
        world.store.write(intent.clone()).await.unwrap();
        let given_up = intend_own("d.lan");
        world.store.write(given_up.clone()).await.unwrap();
        let abandon = Abandon { serial: given_up.certificate.serial, audit: event("certificate.abandoned") };
        world.store.write(abandon).await.unwrap();

        let spki = first.spki;
        let found = world.store.certificates_of_key(&spki, now()).await.unwrap();
        let mut serials: Vec<_> = found.into_iter().map(|c| c.serial).collect();
        serials.sort();
        let mut wanted = vec![first.serial, second.serial, intent.certificate.serial.clone()];
        wanted.sort();
        assert_eq!(serials, wanted);
        assert!(world.store.certificates_of_key(&spki, day(91)).await.unwrap().is_empty(), "they ended");
        assert!(world.store.certificates_of_key(&[9; 32], now()).await.unwrap().is_empty());

        let certificates = wanted.iter().map(|serial| one(serial, Reason::KeyCompromise)).collect();
        let change = Revoke { certificates, blocked: block(spki), at: now() };
        let outcome = world.store.write(change.clone()).await.unwrap();
        assert_eq!((outcome.serials.len(), outcome.key), (3, true));
        assert_eq!(world.store.blocked_keys().await.unwrap(), [spki]);
        assert_eq!(world.store.write(change).await.unwrap(), Revoked::default());

        // What was under way when its key was lost is revoked the moment that it is issued.
        world.store.write(issue(&intent.certificate)).await.unwrap();
        let kept = world.store.certificate(&intent.certificate.serial).await.unwrap().unwrap();
        assert_eq!(kept.revocation.map(|r| r.reason), Some(Reason::KeyCompromise));
    }
}

both! {
    async fn a_list_holds_what_is_revoked_of_its_issuer_until_it_ended(world: World) {
        let account = world.account().await;
        let (_, a) = world.issued(&account, &["a.lan"]).await;
        let (_, b) = world.issued(&account, &["b.lan"]).await;
        world.issued(&account, &["c.lan"]).await;
        let mut other = issuer();
        other.id = "another".into();
        world.store.write(PutIssuer { issuer: other }).await.unwrap();
        let mut elsewhere = intend_own("d.lan");
        elsewhere.certificate.issuer = "another".into();
        world.store.write(elsewhere.clone()).await.unwrap();
        for (serial, at) in [(&b.serial, day(1)), (&a.serial, day(2)), (&elsewhere.certificate.serial, day(3))] {
            world.store.write(revoke(serial, Reason::Superseded, at)).await.unwrap();
        }
        let lines = world.store.revoked(&issuer().id, now()).await.unwrap();
        let shown: Vec<_> = lines.iter().map(|line| (&line.serial, line.at)).collect();
        assert_eq!(shown, [(&b.serial, day(1)), (&a.serial, day(2))], "in the order of their revocation");
        assert_eq!(lines[0].reason, Reason::Superseded);
        assert_eq!(world.store.revoked(&issuer().id, a.not_after).await.unwrap().len(), 2);
        assert!(world.store.revoked(&issuer().id, day(91)).await.unwrap().is_empty());
        assert_eq!(world.store.revoked("another", now()).await.unwrap().len(), 1);
    }
}

both! {
    async fn the_number_of_a_list_rises_whatever_the_clock_and_a_backup_do(world: World) {
        world.store.write(PutIssuer { issuer: issuer() }).await.unwrap();
        let number = async |now: Timestamp| world.store.write(next_crl(now)).await.unwrap();
        let first = number(now()).await;
        assert_eq!((first.number, first.before), (now().unix(), None));
        let second = number(now()).await;
        assert_eq!((second.number, second.before), (now().unix() + 1, Some(now())));
        // The clock was set back.
        let third = number(Timestamp::from_unix(1_000)).await;
        assert_eq!(third.number, now().unix() + 2);
        // What a restored backup knows is older than what was handed out; time has gone on.
        world.execute("UPDATE crl SET number = 17").await;
        assert_eq!(number(day(1)).await.number, day(1).unix());
        world.execute("DELETE FROM crl").await;
        assert_eq!(number(day(2)).await.number, day(2).unix());
        assert_eq!(world.count("audit").await, 5, "each is in the trail");
    }
}

both! {
    async fn the_certificates_of_an_account_are_its_own(world: World) {
        let (account, other) = (world.account().await, world.account().await);
        let (_, ours) = world.issued(&account, &["a.lan"]).await;
        world.issued(&other, &["b.lan"]).await;
        let found = world.store.certificates_of_account(&account.id, now()).await.unwrap();
        assert_eq!(found.into_iter().map(|c| c.serial).collect::<Vec<_>>(), [ours.serial]);
        assert!(world.store.certificates_of_account(&account.id, day(91)).await.unwrap().is_empty());
    }
}
