//! Keys for external account binding.

use acme::id::{ExternalAccountId, ID_RANDOM};
use store::Error;
use store::account::{Account, CreateAccount, NewAccount};
use store::external_account::{CreateExternalAccount, ExternalAccount, MacKey, RevokeExternalAccount};

use crate::world::*;

fn key() -> ExternalAccount {
    ExternalAccount {
        id: ExternalAccountId::mint(now(), random::<ID_RANDOM>()),
        label: "web team".into(),
        mac_key: MacKey(vec![7; 32]),
        allow: Some(vec!["*.web.lan".into()]),
        profiles: Some(vec!["short".into()]),
        reusable: false,
        created_at: now(),
        expires_at: None,
        revoked_at: None,
        bound_at: None,
    }
}

async fn kept(world: &World, key: ExternalAccount) -> ExternalAccount {
    let audit = event("external-account-created");
    world.store.write(CreateExternalAccount { key: key.clone(), audit }).await.unwrap();
    key
}

async fn make(world: &World, key: &ExternalAccount) -> Result<Account, Error> {
    let made = Account { external_account: Some(key.id.clone()), binding: Some("{}".into()), ..account() };
    let change = CreateAccount { account: made.clone(), audit: event("account-created") };
    world.store.write(change).await.map(|outcome| {
        assert_eq!(outcome, NewAccount::Created);
        made
    })
}

fn is_refused(made: &Result<Account, Error>) -> bool {
    matches!(made, Err(Error::Conflict { what: "external account key", .. }))
}

both! {
    async fn a_key_is_read_back_with_the_accounts_that_it_made(world: World) {
        let key = kept(&world, key()).await;
        assert_eq!(world.store.external_account(&key.id).await.unwrap().as_ref(), Some(&key));
        let account = make(&world, &key).await.unwrap();
        let bound = ExternalAccount { bound_at: Some(now()), ..key };
        assert_eq!(world.store.external_accounts().await.unwrap(), [(bound.clone(), vec![account.id.clone()])]);
        let (read, external) = world.store.account_with_external(&account.id).await.unwrap().unwrap();
        assert_eq!((read, external), (account, Some(bound)));
        let free = world.account().await;
        let read = world.store.account_with_external(&free.id).await.unwrap();
        assert_eq!(read, Some((free, None)));
    }
}

both! {
    async fn a_key_makes_one_account_and_a_reusable_one_any_number(world: World) {
        let once = kept(&world, key()).await;
        make(&world, &once).await.unwrap();
        let before = world.count("account").await;
        assert!(is_refused(&make(&world, &once).await));
        assert_eq!(world.count("account").await, before, "an account without its key is none");
        let often = kept(&world, ExternalAccount { reusable: true, ..key() }).await;
        make(&world, &often).await.unwrap();
        make(&world, &often).await.unwrap();
    }
}

both! {
    async fn a_key_that_expired_or_was_revoked_makes_none(world: World) {
        let expired = kept(&world, ExternalAccount { expires_at: Some(now()), ..key() }).await;
        assert!(is_refused(&make(&world, &expired).await));
        let revoked = kept(&world, key()).await;
        let change =
            RevokeExternalAccount { id: revoked.id.clone(), now: now(), audit: event("external-account-revoked") };
        world.store.write(change.clone()).await.unwrap();
        assert!(is_refused(&make(&world, &revoked).await));
        assert!(matches!(world.store.write(change).await, Err(Error::Conflict { .. })), "once is enough");
        let read = world.store.external_account(&revoked.id).await.unwrap().unwrap();
        assert_eq!(read.revoked_at, Some(now()));
    }
}

#[test]
fn a_key_does_not_show_itself() {
    assert!(!format!("{:?}", key()).contains('7'.to_string().repeat(2).as_str()));
    assert!(format!("{:?}", key().mac_key).contains('…'));
}
