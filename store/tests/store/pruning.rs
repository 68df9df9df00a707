use acme::order::OrderStatus;
use store::issuance::PutIssuer;
use store::prune::Prune;

use crate::world::*;

both! {
    async fn what_was_over_long_ago_goes_and_what_is_alive_stays(world: World) {
        let account = world.account().await;
        let left_lying = world.order(&account, &["a.lan", "b.lan"]).await;
        let failed = world.order(&account, &["c.lan"]).await;
        world.store.write(invalid(&failed.authorizations[0])).await.unwrap();
        let (issued, certificate) = world.issued(&account, &["d.lan"]).await;
        let stuck = world.ready_order(&account, &["e.lan"]).await;
        world.store.write(intend(&stuck.order)).await.unwrap();
        // Orders that are used to borrow an authorization of an older one.
        let mut young = order(&account, &["f.lan"]);
        young.order.expires_at = day(60);
        young.links.push(left_lying.links[1].clone());
        world.store.write(young.clone()).await.unwrap();

        let is_there = async |id| world.store.order_with_authorizations(id).await.unwrap().is_some();
        let prune = Prune { before: day(7), limit: 100 };
        assert_eq!(world.store.write(prune).await.unwrap(), 0, "they are over only after this moment");

        let prune = Prune { before: day(40), limit: 100 };
        assert_eq!(world.store.write(prune).await.unwrap(), 2);
        assert!(!is_there(&left_lying.order.id).await && !is_there(&failed.order.id).await);
        assert!(is_there(&issued.order.id).await, "its certificate is in use");
        assert!(is_there(&stuck.order.id).await, "it is being worked on");
        let (_, borrowed) = world.store.order_with_authorizations(&young.order.id).await.unwrap().unwrap();
        assert_eq!(borrowed.len(), 2);
        assert_eq!(world.store.authorization(&left_lying.links[0]).await.unwrap(), None);
        assert_eq!(world.store.authorization(&failed.links[0]).await.unwrap(), None);

        let prune = Prune { before: day(120), limit: 100 };
        assert_eq!(world.store.write(prune).await.unwrap(), 2);
        assert!(world.store.certificate(&certificate.serial).await.unwrap().is_some(), "certificates stay");
        let (stuck, _) = world.store.order_with_authorizations(&stuck.order.id).await.unwrap().unwrap();
        assert_eq!(stuck.status, OrderStatus::Processing);
        assert_eq!((world.count("orders").await, world.count("authz").await), (1, 1));
        assert_eq!(world.count("order_authz").await, 1);
    }
}

both! {
    async fn pruning_stops_at_its_limit_and_takes_the_oldest_first(world: World) {
        let account = world.account().await;
        world.store.write(PutIssuer { issuer: issuer() }).await.unwrap();
        let mut made = Vec::new();
        for age in 1..=5 {
            let mut order = order(&account, &["a.lan", "b.lan"]);
            order.order.expires_at = day(6 - age);
            world.store.write(order.clone()).await.unwrap();
            made.push(order.order.id);
        }
        let trail = world.count("audit").await;
        let before = world.store.stats();
        let prune = Prune { before: day(40), limit: 2 };
        assert_eq!(world.store.write(prune.clone()).await.unwrap(), 2);
        assert_eq!(world.store.stats().statements - before.statements, 4);
        assert_eq!((world.count("orders").await, world.count("authz").await), (3, 6));
        for gone in &made[3..] {
            assert!(world.store.order_with_authorizations(gone).await.unwrap().is_none());
        }
        assert_eq!(world.store.write(prune.clone()).await.unwrap(), 2);
        assert_eq!(world.store.write(prune.clone()).await.unwrap(), 1);
        assert_eq!(world.store.write(prune).await.unwrap(), 0);
        assert_eq!(world.count("audit").await, trail);
    }
}
