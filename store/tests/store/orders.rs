use std::time::Duration;

use acme::challenge::Type;
use acme::identifier::Wire;
use acme::order::OrderStatus;
use acme::time::Timestamp;
use store::Error;
use store::order::{CreateOrder, FailOrder, Reuse};

use crate::world::*;

fn fail(order: &CreateOrder) -> FailOrder {
    FailOrder { order: order.order.id.clone(), problem: problem(), audit: event("order.failed") }
}

both! {
    async fn an_order_is_read_back_with_its_authorizations_in_their_order(world: World) {
        let account = world.account().await;
        let mut made = order(&account, &["z.lan", "*.a.lan", "m.lan"]);
        made.order.identifiers[0] = Wire { kind: "dns".into(), value: "Z.lan".into() };
        made.order.profile = Some("short".into());
        made.order.not_after = Some(day(3));
        world.store.write(made.clone()).await.unwrap();
        let (order, authorizations) =
            world.store.order_with_authorizations(&made.order.id).await.unwrap().unwrap();
        assert_eq!(order, made.order);
        assert_eq!(authorizations, made.authorizations);
    }
}

both! {
    async fn an_order_to_finalize_comes_with_whose_key_it_is_for(world: World) {
        let (account, other) = (world.account().await, world.account().await);
        let made = world.order(&account, &["a.lan", "b.lan"]).await;
        for (thumbprint, key_of) in
            [("nobody's", None), (&account.thumbprint, Some(&account.id)), (&other.thumbprint, Some(&other.id))]
        {
            let read = world.store.order_to_finalize(&made.order.id, thumbprint).await.unwrap().unwrap();
            assert_eq!((read.order, read.authorizations), (made.order.clone(), made.authorizations.clone()));
            assert_eq!(read.key_of.as_ref(), key_of);
        }
        let missing = order(&account, &["a.lan"]).order.id;
        assert_eq!(world.store.order_to_finalize(&missing, &account.thumbprint).await.unwrap(), None);
    }
}

both! {
    async fn an_order_of_a_hundred_names_is_one_change(world: World) {
        let account = world.account().await;
        let names: Vec<String> = (0..100).map(|n| format!("n{n}.lan")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let before = world.store.stats();
        let made = world.order(&account, &names).await;
        assert_eq!(world.store.stats().statements - before.statements, 3);
        let (_, authorizations) =
            world.store.order_with_authorizations(&made.order.id).await.unwrap().unwrap();
        assert_eq!(authorizations, made.authorizations);
    }
}

both! {
    async fn what_is_not_there_is_not_read(world: World) {
        let account = account();
        let order = order(&account, &["a.lan"]);
        assert_eq!(world.store.order_with_authorizations(&order.order.id).await.unwrap(), None);
        assert_eq!(world.store.account(&account.id).await.unwrap(), None);
        assert_eq!(world.store.certificate(&serial()).await.unwrap(), None);
        let refused = world.store.write(order).await;
        assert!(matches!(refused, Err(Error::Conflict { what: "account", .. })), "{refused:?}");
    }
}

both! {
    async fn the_orders_of_an_account_come_in_pages(world: World) {
        let account = world.account().await;
        let other = world.account().await;
        let mut made = Vec::new();
        for _ in 0..5 {
            made.push(world.order(&account, &["a.lan"]).await.order);
            world.order(&other, &["a.lan"]).await;
        }
        let first = world.store.orders_of_account(&account.id, None, 3).await.unwrap();
        assert_eq!(first, made[..3]);
        let rest = world.store.orders_of_account(&account.id, Some(&first[2].id), 3).await.unwrap();
        assert_eq!(rest, made[3..]);
    }
}

both! {
    async fn a_failed_order_is_listed_with_what_failed_in_it(world: World) {
        let account = world.account().await;
        let early = world.order(&account, &["a.lan"]).await;
        world.store.write(fail(&early)).await.unwrap();
        let failed = world.order(&account, &["b.lan", "c.lan"]).await;
        world.store.write(valid(&failed.authorizations[0])).await.unwrap();
        world.store.write(invalid(&failed.authorizations[1])).await.unwrap();
        world.order(&account, &["d.lan"]).await;

        let listed = world.store.failed_orders(now(), 10).await.unwrap();
        let ids: Vec<_> = listed.iter().map(|(order, failed)| (&order.id, failed.len())).collect();
        assert_eq!(ids, [(&failed.order.id, 1), (&early.order.id, 0)]);
        assert_eq!(listed[0].1[0].id, failed.authorizations[1].id);
        assert_eq!(listed[0].1[0].error, Some(failure()));
        assert_eq!(listed[0].0.error, Some(problem()));

        assert_eq!(world.store.failed_orders(now(), 1).await.unwrap().len(), 1);
        assert!(world.store.failed_orders(day(1), 10).await.unwrap().is_empty());
        assert_eq!(world.store.orders(now(), 10).await.unwrap().len(), 3);
        let whole = world.store.orders_with_authorizations(now(), 10).await.unwrap();
        assert_eq!(whole.len(), 3);
        for (order, authorizations) in whole {
            let one = world.store.order_with_authorizations(&order.id).await.unwrap().unwrap();
            assert_eq!((order, authorizations), one, "with all that it needs, and in the same sequence");
        }
        assert!(world.store.orders(day(1), 10).await.unwrap().is_empty());
        assert_eq!(world.store.orders(Timestamp::EPOCH, 2).await.unwrap().len(), 2);
    }
}

both! {
    async fn an_order_fails_once_and_loses_its_intent(world: World) {
        let account = world.account().await;
        let order = world.ready_order(&account, &["a.lan"]).await;
        world.store.write(store::issuance::PutIssuer { issuer: issuer() }).await.unwrap();
        let intent = intend(&order.order);
        world.store.write(intent.clone()).await.unwrap();
        assert_eq!(world.store.processing_orders(10).await.unwrap()[0].csr, intent.csr);

        world.store.write(fail(&order)).await.unwrap();
        let (kept, _) = world.store.order_with_authorizations(&order.order.id).await.unwrap().unwrap();
        assert_eq!((kept.status, kept.csr), (OrderStatus::Invalid, None));
        assert!(world.store.intended_certificates(10).await.unwrap().is_empty());
        assert!(world.store.processing_orders(10).await.unwrap().is_empty());
        assert!(matches!(world.store.write(fail(&order)).await, Err(Error::Conflict { what: "order", .. })));
        let late = world.store.write(issue(&intent.certificate)).await;
        assert!(matches!(late, Err(Error::Conflict { what: "certificate", .. })), "{late:?}");
    }
}

both! {
    async fn an_order_takes_what_holds_in_the_place_of_what_would_be_new(world: World) {
        let account = world.account().await;
        let first = world.order(&account, &["a.lan"]).await;
        world.store.write(valid(&first.authorizations[0])).await.unwrap();
        let end = world.store.authorization(&first.links[0]).await.unwrap().unwrap().expires_at;
        let reuse = Reuse {
            validated_after: now().minus(Duration::from_secs(60)),
            expires_after: now(),
            by: vec![Type::Dns01, Type::Http01],
        };
        let with = |names: &[&str], reuse: &Reuse| CreateOrder { reuse: Some(reuse.clone()), ..order(&account, names) };
        let mut second = with(&["b.lan", "a.lan", "*.a.lan"], &reuse);
        second.order.expires_at = end.plus(Duration::from_secs(1));
        let held = world.store.write(second.clone()).await.unwrap();
        assert_eq!(held.iter().map(|held| &held.id).collect::<Vec<_>>(), [&first.links[0]]);
        let (kept, links) = world.store.order_with_authorizations(&second.order.id).await.unwrap().unwrap();
        let ids: Vec<_> = links.into_iter().map(|authorization| authorization.id).collect();
        assert_eq!(ids, [second.links[0].clone(), first.links[0].clone(), second.links[2].clone()]);
        assert_eq!(kept.expires_at, end, "it is over when the first of them is");
        assert_eq!(world.store.authorization(&second.links[1]).await.unwrap(), None, "it was not needed");

        for reuse in [
            Reuse { validated_after: now().plus(Duration::from_secs(1)), ..reuse.clone() },
            Reuse { expires_after: end, ..reuse.clone() },
            Reuse { by: vec![Type::Dns01], ..reuse },
        ] {
            assert!(world.store.write(with(&["a.lan"], &reuse)).await.unwrap().is_empty(), "{reuse:?}");
        }
    }
}
