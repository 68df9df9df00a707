use acme::challenge::Type;
use acme::order::{AuthorizationStatus, OrderStatus};
use store::Error;
use store::authorization::{AcceptChallenge, Authorization, DeactivateAuthorization, RecordAttempt};

use crate::world::*;

fn accept(authorization: &Authorization, challenge: Type) -> AcceptChallenge {
    let thumbprint = "of the key of then".into();
    AcceptChallenge { authorization: authorization.id.clone(), challenge, thumbprint, now: now() }
}

fn attempt(authorization: &Authorization, challenge: Type) -> RecordAttempt {
    let authorization = authorization.id.clone();
    let thumbprint = "of a later key".into();
    RecordAttempt { authorization, challenge, thumbprint, attempted_at: now(), failure: failure() }
}

both! {
    async fn an_authorization_is_read_back(world: World) {
        let account = world.account().await;
        let order = world.order(&account, &["*.a.lan"]).await;
        let made = order.authorizations[0].clone();
        assert!(made.wildcard && made.identifier.to_string() == "a.lan");
        assert_eq!(world.store.authorization(&made.id).await.unwrap(), Some(made));
    }
}

both! {
    async fn a_challenge_is_accepted_once_and_is_then_work_to_do(world: World) {
        let account = world.account().await;
        let order = world.order(&account, &["a.lan"]).await;
        let made = &order.authorizations[0];
        assert!(world.store.processing_authorizations(10).await.unwrap().is_empty());
        world.store.write(accept(made, Type::Http01)).await.unwrap();
        for challenge in [Type::Http01, Type::Dns01] {
            let again = world.store.write(accept(made, challenge)).await;
            assert!(matches!(again, Err(Error::Conflict { what: "authorization", .. })), "{again:?}");
        }
        let work = world.store.processing_authorizations(10).await.unwrap();
        assert_eq!(work.len(), 1);
        assert_eq!((work[0].0.attempted, work[0].1.as_str()), (Some(Type::Http01), "of the key of then"));
        world.store.write(attempt(made, Type::Http01)).await.unwrap();
        let work = world.store.processing_authorizations(10).await.unwrap();
        assert_eq!(work[0].1, "of the key of then", "the first answer counts");
        // As a version wrote it that did not keep whose key it was.
        world.execute("UPDATE authz SET attempted_by = NULL").await;
        let work = world.store.processing_authorizations(10).await.unwrap();
        assert_eq!(work[0].1, account.thumbprint);

        world.store.write(valid(made)).await.unwrap();
        assert!(world.store.processing_authorizations(10).await.unwrap().is_empty());
    }
}

both! {
    async fn a_failed_attempt_is_shown_until_one_succeeds(world: World) {
        let account = world.account().await;
        let order = world.order(&account, &["a.lan"]).await;
        let made = &order.authorizations[0];
        world.store.write(attempt(made, Type::Http01)).await.unwrap();
        let other = world.store.write(attempt(made, Type::Dns01)).await;
        assert!(matches!(other, Err(Error::Conflict { .. })), "the client chose http-01: {other:?}");
        let kept = world.store.authorization(&made.id).await.unwrap().unwrap();
        assert_eq!((kept.status, kept.error), (AuthorizationStatus::Pending, Some(failure())));
        assert_eq!((kept.attempted, kept.attempted_at), (Some(Type::Http01), Some(now())));
        let work = world.store.processing_authorizations(10).await.unwrap();
        assert_eq!((work.len(), work[0].1.as_str()), (1, "of a later key"), "nothing was kept before it");

        world.store.write(valid(made)).await.unwrap();
        let kept = world.store.authorization(&made.id).await.unwrap().unwrap();
        assert_eq!((kept.status, kept.error), (AuthorizationStatus::Valid, None));
        assert_eq!((kept.evidence, kept.expires_at), (Some(evidence()), day(30)));
        assert!(matches!(world.store.write(attempt(made, Type::Http01)).await, Err(Error::Conflict { .. })));
    }
}

both! {
    async fn a_validation_ends_once(world: World) {
        let account = world.account().await;
        let order = world.order(&account, &["a.lan"]).await;
        let made = &order.authorizations[0];
        world.store.write(valid(made)).await.unwrap();
        assert!(matches!(world.store.write(valid(made)).await, Err(Error::Conflict { .. })));
        assert!(matches!(world.store.write(invalid(made)).await, Err(Error::Conflict { .. })));
        let kept = world.store.authorization(&made.id).await.unwrap().unwrap();
        assert_eq!((kept.status, kept.attempted), (AuthorizationStatus::Valid, Some(Type::Http01)));
        assert_eq!(kept.validated_at, Some(now()));
    }
}

both! {
    async fn a_failed_validation_ends_every_order_that_waits_for_it(world: World) {
        let account = world.account().await;
        let first = world.order(&account, &["a.lan", "b.lan"]).await;
        let mut second = order(&account, &["c.lan"]);
        second.links.push(first.links[0].clone());
        world.store.write(second.clone()).await.unwrap();
        let third = world.order(&account, &["d.lan"]).await;

        world.store.write(invalid(&first.authorizations[0])).await.unwrap();
        for order in [&first, &second] {
            let (order, _) = world.store.order_with_authorizations(&order.order.id).await.unwrap().unwrap();
            assert_eq!((order.status, order.error), (OrderStatus::Invalid, Some(problem())));
        }
        let (order, _) = world.store.order_with_authorizations(&third.order.id).await.unwrap().unwrap();
        assert_eq!((order.status, order.error), (OrderStatus::Pending, None));
        let kept = world.store.authorization(&first.authorizations[0].id).await.unwrap().unwrap();
        assert_eq!((kept.status, kept.error), (AuthorizationStatus::Invalid, Some(failure())));
    }
}

both! {
    async fn an_authorization_can_be_given_up(world: World) {
        let account = world.account().await;
        let order = world.ready_order(&account, &["a.lan"]).await;
        let authorization = order.links[0].clone();
        let audit = event("authorization.deactivated");
        let gone = DeactivateAuthorization { authorization, problem: problem(), audit };
        world.store.write(gone.clone()).await.unwrap();
        let (order, authorizations) =
            world.store.order_with_authorizations(&order.order.id).await.unwrap().unwrap();
        assert_eq!(order.status, OrderStatus::Invalid);
        assert_eq!(authorizations[0].status, AuthorizationStatus::Deactivated);
        assert!(matches!(world.store.write(gone).await, Err(Error::Conflict { .. })));
    }
}
