use acme::order::{AccountStatus, AuthorizationStatus, OrderStatus};
use store::Error;
use store::account::{ChangeKey, CreateAccount, DeactivateAccount, KeyChanged, NewAccount, UpdateAccount};

use crate::world::*;

both! {
    async fn an_account_is_read_back_by_id_and_by_key(world: World) {
        let account = world.account().await;
        assert_eq!(world.store.account(&account.id).await.unwrap().as_ref(), Some(&account));
        let by_key = world.store.account_by_thumbprint(&account.thumbprint).await.unwrap();
        assert_eq!(by_key, Some(account));
        assert_eq!(world.store.account_by_thumbprint("another").await.unwrap(), None);
    }
}

both! {
    async fn a_key_has_one_account_however_often_it_is_made(world: World) {
        let first = world.account().await;
        let mut second = account();
        second.thumbprint = first.thumbprint.clone();
        second.contact = vec![];
        let again = CreateAccount { account: second, audit: event("account.created") };
        assert_eq!(world.store.write(again).await.unwrap(), NewAccount::Existing(first));
        assert_eq!((world.count("account").await, world.count("audit").await), (1, 1));
    }
}

both! {
    async fn of_many_that_make_an_account_for_one_key_one_makes_it(world: World) {
        let thumbprint = account().thumbprint;
        let mut tasks = Vec::new();
        for _ in 0..16 {
            let mut account = account();
            account.thumbprint = thumbprint.clone();
            let store = world.store.clone();
            tasks.push(tokio::spawn(async move {
                let id = account.id.clone();
                match store.write(CreateAccount { account, audit: event("account.created") }).await.unwrap() {
                    NewAccount::Created => (true, id),
                    NewAccount::Existing(account) => (false, account.id),
                }
            }));
        }
        let mut made = 0;
        let mut ids = std::collections::HashSet::new();
        for task in tasks {
            let (created, id) = task.await.unwrap();
            made += usize::from(created);
            ids.insert(id);
        }
        assert_eq!((made, ids.len()), (1, 1));
    }
}

both! {
    async fn a_key_change_leaves_the_new_key_alone(world: World) {
        let account = world.account().await;
        let change = ChangeKey {
            id: account.id.clone(),
            old_thumbprint: account.thumbprint.clone(),
            thumbprint: "new".to_owned(),
            jwk: "{\"new\":1}".to_owned(),
            audit: event("account.key"),
        };
        assert_eq!(world.store.write(change.clone()).await.unwrap(), KeyChanged::Changed);
        let now = world.store.account(&account.id).await.unwrap().unwrap();
        assert_eq!((now.thumbprint.as_str(), now.jwk.as_str()), ("new", "{\"new\":1}"));
        assert_eq!(world.store.account_by_thumbprint(&account.thumbprint).await.unwrap(), None);

        // The same request again: the key is taken, by this very account.
        assert_eq!(world.store.write(change.clone()).await.unwrap(), KeyChanged::Taken(account.id.clone()));
        // Made for the old key, which is the account's no more.
        let late = ChangeKey { thumbprint: "newer".to_owned(), ..change };
        assert!(matches!(world.store.write(late).await, Err(Error::Conflict { what: "account", .. })));
    }
}

both! {
    async fn the_keys_that_an_account_had_are_remembered_while_it_is_valid(world: World) {
        let account = world.account().await;
        let other = world.account().await;
        let (first, id) = (account.thumbprint.clone(), account.id.clone());
        assert_eq!(world.store.thumbprints(&id).await.unwrap(), [first.as_str()]);
        // To a second key, to a third, back to the second and on to the fourth.
        let keys = [first.as_str(), "second", "third", "second", "fourth"];
        for (at, pair) in (0_u64..).zip(keys.windows(2)) {
            let mut audit = event("account.key");
            audit.at = audit.at.plus(std::time::Duration::from_secs(at));
            let change = ChangeKey {
                id: id.clone(),
                old_thumbprint: pair[0].to_owned(),
                thumbprint: pair[1].to_owned(),
                jwk: "{}".to_owned(),
                audit,
            };
            assert_eq!(world.store.write(change).await.unwrap(), KeyChanged::Changed);
        }
        assert_eq!(world.store.thumbprints(&id).await.unwrap(), ["fourth", "second", "third", &first]);
        assert_eq!(world.store.thumbprints(&other.id).await.unwrap(), [other.thumbprint]);
        let gone = DeactivateAccount { id: id.clone(), problem: problem(), audit: event("account.deactivated") };
        world.store.write(gone).await.unwrap();
        assert!(world.store.thumbprints(&id).await.unwrap().is_empty());
    }
}

both! {
    async fn a_key_of_another_account_is_not_taken_over(world: World) {
        let (one, other) = (world.account().await, world.account().await);
        let change = ChangeKey {
            id: one.id.clone(),
            old_thumbprint: one.thumbprint.clone(),
            thumbprint: other.thumbprint.clone(),
            jwk: other.jwk.clone(),
            audit: event("account.key"),
        };
        assert_eq!(world.store.write(change).await.unwrap(), KeyChanged::Taken(other.id));
        assert_eq!(world.store.account(&one.id).await.unwrap(), Some(one));
    }
}

both! {
    async fn contacts_change_while_the_account_is_valid(world: World) {
        let account = world.account().await;
        let contact = vec!["mailto:new@a.lan".to_owned(), "mailto:ops@a.lan".to_owned()];
        let update = UpdateAccount { id: account.id.clone(), contact: contact.clone() };
        world.store.write(update.clone()).await.unwrap();
        assert_eq!(world.store.account(&account.id).await.unwrap().unwrap().contact, contact);

        let gone = DeactivateAccount { id: account.id, problem: problem(), audit: event("account.deactivated") };
        world.store.write(gone).await.unwrap();
        assert!(matches!(world.store.write(update).await, Err(Error::Conflict { what: "account", .. })));
    }
}

both! {
    async fn an_account_that_is_given_up_takes_what_waits_with_it(world: World) {
        let account = world.account().await;
        let waiting = world.order(&account, &["a.lan", "b.lan"]).await;
        let (finished, _) = world.issued(&account, &["c.lan"]).await;
        let other = world.account().await;
        let untouched = world.order(&other, &["a.lan"]).await;

        let id = account.id.clone();
        let gone = DeactivateAccount { id, problem: problem(), audit: event("account.deactivated") };
        world.store.write(gone.clone()).await.unwrap();

        assert_eq!(
            world.store.account(&account.id).await.unwrap().unwrap().status,
            AccountStatus::Deactivated
        );
        let (order, authorizations) =
            world.store.order_with_authorizations(&waiting.order.id).await.unwrap().unwrap();
        assert_eq!((order.status, order.error), (OrderStatus::Invalid, Some(problem())));
        assert!(authorizations.iter().all(|a| a.status == AuthorizationStatus::Deactivated));
        let (order, authorizations) =
            world.store.order_with_authorizations(&finished.order.id).await.unwrap().unwrap();
        assert_eq!(order.status, OrderStatus::Valid);
        assert_eq!(authorizations[0].status, AuthorizationStatus::Deactivated);
        let (order, _) = world.store.order_with_authorizations(&untouched.order.id).await.unwrap().unwrap();
        assert_eq!(order.status, OrderStatus::Pending);

        assert!(matches!(world.store.write(gone).await, Err(Error::Conflict { .. })));
        let refused = world.store.write(crate::world::order(&account, &["d.lan"])).await;
        assert!(matches!(refused, Err(Error::Conflict { what: "account", .. })), "{refused:?}");
    }
}
