//! The states of RFC 8555 7.1.6, on a real store: whatever is done in whatever order, and however much time passes in
//! between, nothing goes back. proptest finds the sequences and shows the shortest that fails; `PROPTEST_CASES` says how
//! many it tries.

use std::collections::HashMap;
use std::time::Duration;

use acme::challenge::Type;
use acme::id::{AccountId, AuthorizationId, OrderId};
use acme::identifier::Identifier;
use acme::order::{
    AccountStatus, AuthorizationStatus, ChallengeStatus, OrderStatus, authorization_status, challenge_status,
    order_status, shown,
};
use acme::time::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use store::Change;
use store::account::{Account, DeactivateAccount};
use store::authorization::{
    AcceptChallenge, Authorization, CreateAuthorization, DeactivateAuthorization, RecordAttempt, Validated,
    Verdict,
};
use store::certificate::Certificate;
use store::issuance::{Abandon, PutIssuer};
use store::order::{CreateOrder, FailOrder, Order};

use crate::world::*;

/// What somebody does: a client, the validator, the issuance, a crash, the clock. Numbers choose among what is there.
#[derive(Clone, Debug)]
enum Step {
    /// For these of [`NAMES`]; what holds already is used again, as newOrder does.
    Order(usize, Vec<usize>),
    PreAuthorize(usize, usize),
    Accept(usize, Type),
    Retry(usize, Type),
    Meet(usize, Type),
    Miss(usize, Type),
    GiveUp(usize),
    Leave(usize),
    Fail(usize),
    Intend(usize),
    Issue(usize),
    Abandon(usize),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (which, account) = (0..8usize, 0..ACCOUNTS);
    let kind = || prop_oneof![Just(Type::Http01), Just(Type::Dns01)];
    let names = prop::collection::vec(0..NAMES.len(), 1..3);
    let step = prop_oneof![
        4 => (account.clone(), names).prop_map(|(a, n)| Step::Order(a, n)),
        1 => (account.clone(), 0..NAMES.len()).prop_map(|(a, n)| Step::PreAuthorize(a, n)),
        3 => (which.clone(), kind()).prop_map(|(w, k)| Step::Accept(w, k)),
        1 => (which.clone(), kind()).prop_map(|(w, k)| Step::Retry(w, k)),
        8 => (which.clone(), kind()).prop_map(|(w, k)| Step::Meet(w, k)),
        1 => (which.clone(), kind()).prop_map(|(w, k)| Step::Miss(w, k)),
        1 => which.clone().prop_map(Step::GiveUp),
        1 => account.prop_map(Step::Leave),
        1 => which.clone().prop_map(Step::Fail),
        5 => which.clone().prop_map(Step::Intend),
        4 => which.clone().prop_map(Step::Issue),
        1 => which.prop_map(Step::Abandon),
        2 => (0..20 * 24u64).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..40)
}

/// What a client could see at one moment.
#[derive(Clone, Debug, Default)]
struct Seen {
    accounts: HashMap<AccountId, AccountStatus>,
    orders: HashMap<OrderId, (OrderStatus, Order)>,
    authorizations: HashMap<AuthorizationId, AuthorizationStatus>,
    challenges: HashMap<(AuthorizationId, Type), Option<ChallengeStatus>>,
}

/// One sequence of steps, in accounts of its own.
struct Run<'w> {
    world: &'w World,
    now: Timestamp,
    accounts: Vec<Account>,
    orders: Vec<CreateOrder>,
    authorizations: Vec<Authorization>,
    intents: Vec<Certificate>,
    seen: Seen,
}

impl<'w> Run<'w> {
    async fn begin(world: &'w World) -> Self {
        let mut accounts = Vec::new();
        for _ in 0..ACCOUNTS {
            accounts.push(world.account().await);
        }
        Self {
            world,
            now: now(),
            accounts,
            orders: Vec::new(),
            authorizations: Vec::new(),
            intents: Vec::new(),
            seen: Seen::default(),
        }
    }

    /// Does it, unless the store refuses; what is not there yet is not done.
    async fn take(&mut self, step: &Step) {
        match step {
            Step::Order(account, names) => self.order(*account, names).await,
            Step::PreAuthorize(account, name) => {
                let made = order(&self.accounts[*account], &[NAMES[*name]]);
                let alone = Authorization { order: None, ..self.dated(&made.authorizations[0]) };
                if self.done(CreateAuthorization { authorization: alone.clone() }).await {
                    self.authorizations.push(alone);
                }
            }
            Step::Wait(hours) => self.now = self.now.plus(Duration::from_secs(hours * 3600)),
            Step::Leave(account) => {
                let id = self.accounts[*account].id.clone();
                self.done(DeactivateAccount { id, problem: problem(), audit: self.event() }).await;
            }
            Step::Accept(which, _)
            | Step::Retry(which, _)
            | Step::Meet(which, _)
            | Step::Miss(which, _)
            | Step::GiveUp(which) => {
                // The latest are the ones that something can still happen to.
                if let Some(authorization) = self.authorizations.iter().rev().nth(*which).cloned() {
                    self.validate(step, authorization.id).await;
                }
            }
            Step::Fail(which) | Step::Intend(which) | Step::Issue(which) | Step::Abandon(which) => {
                if let Some(order) = self.orders.iter().rev().nth(*which).cloned() {
                    self.finish(step, &order.order).await;
                }
            }
        }
    }

    async fn order(&mut self, account: usize, names: &[usize]) {
        let account = &self.accounts[account];
        let mut names: Vec<&str> = names.iter().map(|name| NAMES[*name]).collect();
        names.sort_unstable();
        names.dedup();
        let mut made = order(account, &names);
        made.order.created_at = self.now;
        made.order.expires_at = self.now.plus(WEEK);
        let wanted: Vec<(Identifier, bool)> =
            made.authorizations.iter().map(|a| (a.identifier.clone(), a.wildcard)).collect();
        let held = self.world.store.valid_authorizations(&account.id, &wanted, self.now).await.unwrap();
        made.authorizations = made.authorizations.iter().map(|a| self.dated(a)).collect();
        made.links = Vec::new();
        let mut fresh = Vec::new();
        for authorization in made.authorizations {
            let same = |a: &&Authorization| {
                a.identifier == authorization.identifier && a.wildcard == authorization.wildcard
            };
            match held.iter().find(same) {
                Some(old) => made.links.push(old.id.clone()),
                None => {
                    made.links.push(authorization.id.clone());
                    fresh.push(authorization);
                }
            }
        }
        made.authorizations = fresh;
        if self.done(made.clone()).await {
            self.authorizations.extend(made.authorizations.clone());
            self.orders.push(made);
        }
    }

    async fn validate(&mut self, step: &Step, id: AuthorizationId) {
        let (now, audit) = (self.now, self.event());
        let thumbprint = "thumbprint".to_owned();
        let decided = |challenge, verdict| Validated {
            authorization: id.clone(),
            challenge,
            attempted_at: now,
            verdict,
            audit: audit.clone(),
        };
        match *step {
            Step::Accept(_, challenge) => {
                self.done(AcceptChallenge { authorization: id, challenge, thumbprint, now }).await;
            }
            Step::Retry(_, challenge) => {
                let attempted_at = now;
                let failure = failure();
                let retry = RecordAttempt { authorization: id, challenge, thumbprint, attempted_at, failure };
                self.done(retry).await;
            }
            Step::Meet(_, challenge) => {
                let expires_at = now.plus(WEEK);
                let verdict = Verdict::Valid { evidence: evidence(), validated_at: now, expires_at };
                self.done(decided(challenge, verdict)).await;
            }
            Step::Miss(_, challenge) => {
                let verdict = Verdict::Invalid { failure: failure(), problem: problem() };
                self.done(decided(challenge, verdict)).await;
            }
            _ => {
                let given_up =
                    DeactivateAuthorization { authorization: id.clone(), problem: problem(), audit };
                self.done(given_up).await;
            }
        }
    }

    async fn finish(&mut self, step: &Step, order: &Order) {
        let of_order = |c: &&Certificate| c.order.as_ref() == Some(&order.id);
        let intent = self.intents.iter().rev().find(of_order).cloned();
        match (step, intent) {
            (Step::Fail(_), _) => {
                let fail = FailOrder { order: order.id.clone(), problem: problem(), audit: self.event() };
                self.done(fail).await;
            }
            (Step::Intend(_), _) => {
                let before = self.seen.orders[&order.id].0;
                let mut intend = intend(order);
                intend.certificate.created_at = self.now;
                intend.certificate.not_before = self.now;
                intend.certificate.not_after = self.now.plus(WEEK);
                let certificate = intend.certificate.clone();
                if self.done(intend).await {
                    assert!(
                        matches!(before, OrderStatus::Ready | OrderStatus::Processing),
                        "an order that is {before} is not finalized"
                    );
                    if before == OrderStatus::Ready {
                        self.assert_all_valid(&order.id).await;
                    }
                    self.intents.push(certificate);
                }
            }
            (Step::Issue(_), Some(intent)) => {
                let mut issued = issue(&intent);
                issued.now = self.now;
                self.done(issued).await;
            }
            (Step::Abandon(_), Some(intent)) => {
                self.done(Abandon { serial: intent.serial, audit: self.event() }).await;
            }
            _ => {}
        }
    }

    /// `valid` says that every authorization was valid when the order was finalized.
    async fn assert_all_valid(&self, order: &OrderId) {
        let (_, all) = self.world.store.order_with_authorizations(order).await.unwrap().unwrap();
        for a in all {
            let status = authorization_status(a.status, a.expires_at, self.now);
            assert_eq!(status, AuthorizationStatus::Valid, "{} of an order that is finalized", a.id);
        }
    }

    /// Whether the store did it.
    async fn done<C: Change>(&self, change: C) -> bool {
        match self.world.store.write(change).await {
            Ok(_) => true,
            Err(store::Error::Conflict { .. }) => false,
            Err(other) => panic!("{other}"),
        }
    }

    /// As a client sees it now, held against what it saw before.
    async fn look(&mut self) {
        let store = &self.world.store;
        let mut seen = Seen::default();
        for account in &self.accounts {
            let kept = store.account(&account.id).await.unwrap().unwrap();
            seen.accounts.insert(kept.id, kept.status);
        }
        for made in &self.orders {
            let (order, all) = store.order_with_authorizations(&made.order.id).await.unwrap().unwrap();
            let states: Vec<AuthorizationStatus> =
                all.iter().map(|a| authorization_status(a.status, a.expires_at, self.now)).collect();
            let status = order_status(order.status, order.expires_at, states.iter().copied(), self.now);
            self.assert_follows(&order, status, &states);
            seen.orders.insert(order.id.clone(), (status, order));
        }
        for made in &self.authorizations {
            let kept = store.authorization(&made.id).await.unwrap().unwrap();
            let status = authorization_status(kept.status, kept.expires_at, self.now);
            if seen.accounts[&kept.account] != AccountStatus::Valid {
                assert!(
                    !matches!(status, AuthorizationStatus::Pending | AuthorizationStatus::Valid),
                    "{status} in an account that is given up"
                );
            }
            for kind in &kept.challenges {
                let shown = challenge_status(*kind, kept.attempted, kept.validated_at.is_some(), status);
                seen.challenges.insert((kept.id.clone(), *kind), shown);
            }
            seen.authorizations.insert(kept.id, shown(status));
        }
        self.seen.assert_leads_to(&seen);
        self.seen = seen;
    }

    fn assert_follows(&self, order: &Order, status: OrderStatus, states: &[AuthorizationStatus]) {
        use AuthorizationStatus as A;
        let waits = matches!(status, OrderStatus::Pending | OrderStatus::Ready);
        let lost = states.iter().any(|s| !matches!(s, A::Pending | A::Valid));
        assert!(!(waits && lost), "{status}, and its authorizations are {states:?}");
        assert!(!(waits && order.expires_at <= self.now), "{status} past its end");
        assert_eq!(status == OrderStatus::Ready, waits && states.iter().all(|s| *s == A::Valid));
        assert_eq!(status == OrderStatus::Valid, order.serial.is_some(), "{status}");
        assert!(order.error.is_none() || status == OrderStatus::Invalid, "{status} with an error");
    }

    fn dated(&self, authorization: &Authorization) -> Authorization {
        Authorization { created_at: self.now, expires_at: self.now.plus(WEEK), ..authorization.clone() }
    }

    fn event(&self) -> store::audit::AuditEvent {
        store::audit::AuditEvent { at: self.now, ..event("step") }
    }
}

impl Seen {
    /// The edges of RFC 8555 7.1.6, and no others. An authorization that ran out is shown as invalid; a challenge that is
    /// decided within its request is never seen to be `processing`, and one that another decided vanishes.
    fn assert_leads_to(&self, later: &Self) {
        use AccountStatus as Acc;
        use AuthorizationStatus as A;
        use ChallengeStatus as C;
        use OrderStatus as O;
        for (id, before) in &self.accounts {
            let after = later.accounts[id];
            let right = *before == after || matches!((before, after), (Acc::Valid, Acc::Deactivated));
            assert!(right, "account: {before} to {after}");
        }
        for (id, (before, order)) in &self.orders {
            let (after, now) = &later.orders[id];
            let right = before == after
                || matches!(
                    (before, after),
                    (O::Pending, O::Ready | O::Invalid)
                        | (O::Ready, O::Processing | O::Invalid)
                        | (O::Processing, O::Valid | O::Invalid)
                );
            assert!(right, "order: {before} to {after}");
            if *before == O::Valid {
                assert_eq!(order, now, "an order that is valid stays as it is");
            }
        }
        for (id, before) in &self.authorizations {
            let after = later.authorizations[id];
            let right = *before == after
                || matches!(
                    (before, after),
                    (A::Pending, A::Valid | A::Invalid | A::Deactivated)
                        | (A::Valid, A::Invalid | A::Deactivated)
                );
            assert!(right, "authorization: {before} to {after}");
        }
        for (id, before) in &self.challenges {
            let after = later.challenges[id];
            let right = *before == after
                || matches!(
                    (before, after),
                    (Some(C::Pending), Some(C::Processing | C::Valid | C::Invalid) | None)
                        | (Some(C::Processing), Some(C::Valid | C::Invalid))
                );
            assert!(right, "challenge {}: {before:?} to {after:?}", id.1);
        }
    }
}

async fn follow(world: &World, steps: &[Step]) {
    let mut run = Run::begin(world).await;
    for step in steps {
        run.take(step).await;
        run.look().await;
    }
}

fn nothing_goes_back(runtime: &tokio::runtime::Runtime, world: &World, cases: u32) {
    runtime.block_on(world.store.write(PutIssuer { issuer: issuer() })).unwrap();
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(cases);
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 500, ..Config::default() };
    let verdict = TestRunner::new(config).run(&steps(), |steps| {
        runtime.block_on(follow(world, &steps));
        Ok(())
    });
    assert!(verdict.is_ok(), "{}", verdict.unwrap_err());
}

#[test]
fn nothing_goes_back_on_sqlite() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let world = runtime.block_on(World::sqlite());
    nothing_goes_back(&runtime, &world, 100);
}

#[test]
fn nothing_goes_back_on_postgres() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let Some(world) = runtime.block_on(World::postgres("nothing_goes_back")) else { return };
    nothing_goes_back(&runtime, &world, 40);
    let database = world.database.clone();
    runtime.block_on(async {
        drop(world);
        drop_database(database).await;
    });
}

const ACCOUNTS: usize = 2;
const NAMES: [&str; 3] = ["a.lan", "b.lan", "*.a.lan"];
const WEEK: Duration = Duration::from_secs(7 * 86_400);
