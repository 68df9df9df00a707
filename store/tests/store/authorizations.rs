use acme::challenge::Type;
use acme::identifier::Identifier;
use acme::order::{AuthorizationStatus, OrderStatus};
use store::Error;
use store::account::DeactivateAccount;
use store::authorization::{
    AcceptChallenge, Authorization, CreateAuthorization, DeactivateAuthorization, RecordAttempt, Verdict,
};
use store::prune::Prune;

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

both! {
    async fn the_authorization_that_holds_longest_for_a_name_of_the_account_is_found(world: World) {
        let account = world.account().await;
        let longer = |mut verdict: store::authorization::Validated, days| {
            if let Verdict::Valid { expires_at, .. } = &mut verdict.verdict {
                *expires_at = day(days);
            }
            verdict
        };
        let mut orders = Vec::new();
        for names in [&["a.lan"], &["a.lan"], &["*.a.lan"], &["b.lan"], &["c.lan"]] {
            orders.push(world.order(&account, names).await);
        }
        let first = |n: usize| &orders[n].authorizations[0];
        world.store.write(longer(valid(first(0)), 3)).await.unwrap();
        world.store.write(longer(valid(first(1)), 5)).await.unwrap();
        world.store.write(longer(valid(first(2)), 9)).await.unwrap();
        world.store.write(longer(valid(first(3)), 4)).await.unwrap();
        let stranger = world.account().await;
        let other = world.order(&stranger, &["a.lan"]).await;
        world.store.write(longer(valid(&other.authorizations[0]), 9)).await.unwrap();

        let found = async |names: &[(&str, bool)], now| {
            let names: Vec<_> = names.iter().map(|(n, w)| (Identifier::dns(n).unwrap(), *w)).collect();
            let found = world.store.valid_authorizations(&account.id, &names, now).await.unwrap();
            let mut ids: Vec<_> = found.into_iter().map(|authorization| authorization.id).collect();
            ids.sort();
            ids
        };
        let id = |n: usize| first(n).id.clone();
        assert_eq!(found(&[("a.lan", false)], now()).await, [id(1)]);
        assert_eq!(found(&[("a.lan", true)], now()).await, [id(2)], "a wildcard's serves wildcards alone");
        let mut both = vec![id(1), id(3)];
        both.sort();
        assert_eq!(found(&[("a.lan", false), ("b.lan", false), ("c.lan", false)], now()).await, both);
        assert_eq!(found(&[("a.lan", false)], day(5)).await, [], "it is over");
        assert_eq!(found(&[], now()).await, []);
        let gone = DeactivateAuthorization {
            authorization: id(1),
            problem: problem(),
            audit: event("authorization.deactivated"),
        };
        world.store.write(gone).await.unwrap();
        assert_eq!(found(&[("a.lan", false)], now()).await, [id(0)]);
    }
}

both! {
    async fn an_authorization_without_an_order_is_used_by_one_or_goes(world: World) {
        let account = world.account().await;
        let alone = |name: &str| Authorization { order: None, ..order(&account, &[name]).authorizations.remove(0) };
        let (used, unused) = (alone("a.lan"), alone("b.lan"));
        for authorization in [&used, &unused] {
            world.store.write(CreateAuthorization { authorization: authorization.clone() }).await.unwrap();
        }
        assert_eq!(world.store.authorization(&used.id).await.unwrap().as_ref(), Some(&used));
        world.store.write(valid(&used)).await.unwrap();
        let mut later = order(&account, &["a.lan"]);
        (later.authorizations, later.links) = (vec![], vec![used.id.clone()]);
        later.order.expires_at = day(60);
        world.store.write(later.clone()).await.unwrap();
        let (_, shown) = world.store.order_with_authorizations(&later.order.id).await.unwrap().unwrap();
        assert_eq!(shown[0].id, used.id);

        assert_eq!(world.store.write(Prune { before: day(8), limit: 10 }).await.unwrap(), 1);
        assert_eq!(world.store.authorization(&unused.id).await.unwrap(), None);
        assert!(world.store.authorization(&used.id).await.unwrap().is_some());

        let gone = DeactivateAccount { id: account.id.clone(), problem: problem(), audit: event("account.deactivated") };
        world.store.write(gone).await.unwrap();
        let status = world.store.authorization(&used.id).await.unwrap().unwrap().status;
        assert_eq!(status, AuthorizationStatus::Deactivated);
        let late = CreateAuthorization { authorization: alone("c.lan") };
        assert!(matches!(world.store.write(late).await, Err(Error::Conflict { what: "account", .. })));
    }
}
