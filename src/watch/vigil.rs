//! What is remembered between two rounds: how name servers answered, since when keys and store do not work, when everything
//! was last looked at. Nothing of it has to survive a restart.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use acme::problem::plain;
use acme::time::Timestamp;

use super::canary::{Canaries, Heard};
use super::facts::{ClockState, Footing, Health, Pinned, ResolverHealth, Trouble};
use super::timekeeping;
use crate::clock::Clock;
use crate::resolver::Resolver;

/// The memory of whoever watches. Doors report to it, rounds read it.
#[derive(Default)]
pub struct Vigil {
    signer: Mutex<Health>,
    own: Mutex<Health>,
    store: Mutex<Health>,
    memory: Mutex<Memory>,
    /// Held by whoever looks, judges or tells: neither may be done twice at the same moment.
    pub(crate) turns: Turns,
}

/// One turn at a time of each kind.
#[derive(Default)]
pub(crate) struct Turns {
    pub(crate) look: tokio::sync::Mutex<()>,
    pub(crate) judge: tokio::sync::Mutex<()>,
    pub(crate) tell: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Memory {
    canaries: Option<Chosen>,
    resolvers: BTreeMap<String, ResolverHealth>,
    last_pass: Option<Timestamp>,
    looked: HashMap<String, Timestamp>,
    absent: BTreeMap<String, Timestamp>,
    pins: BTreeMap<String, Pinned>,
    without: Option<Without>,
    last_round: Option<(Instant, Timestamp)>,
    step: Option<(Timestamp, i64)>,
}

/// The canaries, when and for which resolver they were chosen.
#[derive(Clone)]
struct Chosen {
    at: Timestamp,
    resolver: Arc<Resolver>,
    canaries: Arc<Canaries>,
}

/// What was told without the outbox.
#[derive(Clone, Copy)]
struct Without {
    since: Timestamp,
    told_at: Option<Timestamp>,
}

impl Vigil {
    /// A certificate could not be signed.
    pub fn signing_failed(&self, what: &str, now: Timestamp) {
        fail(&self.signer, what, now);
    }

    /// One was.
    pub fn signed(&self) {
        heal(&self.signer);
    }

    /// The server's own certificate could not be renewed.
    pub fn own_failed(&self, what: &str, now: Timestamp) {
        fail(&self.own, what, now);
    }

    /// It was, or need not be.
    pub fn own_renewed(&self) {
        heal(&self.own);
    }

    /// Whether the server's own certificate can be renewed.
    pub fn own(&self) -> Health {
        lock(&self.own).clone()
    }

    /// A change could not be kept.
    pub fn keeping_failed(&self, what: &str, now: Timestamp) {
        fail(&self.store, what, now);
    }

    /// One was.
    pub fn kept(&self) {
        heal(&self.store);
    }

    /// Whether keys can be used.
    pub fn signer(&self) -> Health {
        lock(&self.signer).clone()
    }

    /// Whether changes can be written.
    pub fn store(&self) -> Health {
        lock(&self.store).clone()
    }

    /// Everything that is to be looked at was looked at.
    pub fn passed(&self, now: Timestamp) {
        lock(&self.memory).last_pass = Some(now);
    }

    /// When everything was last looked at.
    pub fn last_pass(&self) -> Option<Timestamp> {
        lock(&self.memory).last_pass
    }

    /// When each target was looked at, by its key; earlier than that where it is to be looked at again soon.
    pub fn looked(&self) -> HashMap<String, Timestamp> {
        lock(&self.memory).looked.clone()
    }

    /// Whether name servers say of these targets, by their keys, that there is no such name.
    pub fn answered(&self, targets: impl Iterator<Item = (String, bool)>, now: Timestamp) {
        let mut memory = lock(&self.memory);
        let Memory { absent, looked, .. } = &mut *memory;
        for (target, is_absent) in targets {
            if is_absent {
                absent.entry(target).or_insert(now);
            } else {
                absent.remove(&target);
            }
        }
        absent.retain(|target, _| looked.contains_key(target));
    }

    /// Of which targets name servers say that there is none, by their keys, and since when.
    pub fn absent(&self) -> BTreeMap<String, Timestamp> {
        lock(&self.memory).absent.clone()
    }

    /// What name servers say of these names, which have a pin. What was not asked for in two days has none any more, or is
    /// looked at no more.
    pub fn compared(&self, names: Vec<(String, Footing)>, now: Timestamp) {
        let mut memory = lock(&self.memory);
        for (name, footing) in names {
            let before = memory.pins.get(&name).filter(|before| is_like(&before.footing, &footing));
            let since = before.map_or(now, |before| before.since);
            memory.pins.insert(name.clone(), Pinned { name, footing, since, at: now });
        }
        memory.pins.retain(|_, pinned| now.seconds_since(pinned.at) <= 2 * DAY);
    }

    /// What name servers say of names that have a pin, among those that `is_pinned` says still have; nothing before
    /// everything was looked at.
    pub fn pins(&self, is_pinned: impl Fn(&str) -> bool) -> Option<Vec<Pinned>> {
        let memory = lock(&self.memory);
        memory.last_pass?;
        Some(memory.pins.values().filter(|pinned| is_pinned(&pinned.name)).cloned().collect())
    }

    /// These were looked at. What was not looked at for a day is no target any more.
    pub fn looked_at(&self, targets: impl Iterator<Item = (String, Timestamp)>) {
        let mut memory = lock(&self.memory);
        memory.looked.extend(targets);
        let newest = memory.looked.values().max().copied();
        memory.looked.retain(|_, at| newest.is_none_or(|newest| newest.seconds_since(*at) <= 2 * DAY));
    }

    /// Whether somebody is to be told that the store does not work, which the outbox in it cannot: after a minute, for a
    /// reader may have held it for a moment, and every six hours.
    pub fn is_to_be_told_without(&self, now: Timestamp) -> bool {
        let mut memory = lock(&self.memory);
        let without = memory.without.get_or_insert(Without { since: now, told_at: None });
        let is_due = match without.told_at {
            None => now.seconds_since(without.since) >= MINUTE,
            Some(told) => now.seconds_since(told) >= AGAIN,
        };
        if is_due {
            without.told_at = Some(now);
        }
        is_due
    }

    /// The store works: since when it did not, when somebody was told so.
    pub fn told_without(&self) -> Option<Timestamp> {
        let without = lock(&self.memory).without.take()?;
        without.told_at.map(|_| without.since)
    }

    /// A round begins: when the last one did, and whether the clock was set meanwhile.
    pub(super) fn round(&self, clock: &Clock, now: Timestamp) -> (Option<Timestamp>, ClockState) {
        let mut memory = lock(&self.memory);
        let before = memory.last_round.replace((Instant::now(), now));
        if let (Clock::System, Some((instant, then))) = (clock, before) {
            let passed = i64::try_from(instant.elapsed().as_secs()).unwrap_or(i64::MAX);
            let moved = now.seconds_since(then) - passed;
            if moved.abs() > STEP {
                memory.step = Some((now, moved));
            }
        }
        // A clock that a test sets is nobody's to keep.
        let unsynchronised_since = match clock {
            Clock::System => timekeeping::alone_since(Path::new(timekeeping::TIMESYNC), now),
            Clock::Set(_) => None,
        };
        memory.step = memory.step.filter(|(at, _)| now.seconds_since(*at).abs() < DAY);
        (before.map(|(_, then)| then), ClockState { unsynchronised_since, step: memory.step })
    }

    /// The canaries that were chosen for this resolver a short while ago.
    pub(super) fn canaries(&self, resolver: &Arc<Resolver>, now: Timestamp) -> Option<Arc<Canaries>> {
        let chosen = lock(&self.memory).canaries.clone()?;
        let age = now.seconds_since(chosen.at);
        let is_fresh = (0..CHOSEN_FOR).contains(&age) && Arc::ptr_eq(&chosen.resolver, resolver);
        is_fresh.then_some(chosen.canaries)
    }

    /// These were chosen.
    pub(super) fn choose(
        &self,
        canaries: Canaries,
        resolver: &Arc<Resolver>,
        now: Timestamp,
    ) -> Arc<Canaries> {
        let canaries = Arc::new(canaries);
        let chosen = Chosen { at: now, resolver: Arc::clone(resolver), canaries: Arc::clone(&canaries) };
        lock(&self.memory).canaries = Some(chosen);
        canaries
    }

    /// Asks for names that were found before, and remembers how each server answered.
    pub(super) async fn listen(
        &self,
        resolver: &Arc<Resolver>,
        canaries: &Canaries,
        now: Timestamp,
    ) -> Vec<ResolverHealth> {
        let heard = canaries.ask(resolver).await;
        let mut memory = lock(&self.memory);
        // One that is not asked any more, or not any more about anything that it knew, is forgotten.
        memory.resolvers.retain(|server, _| heard.contains_key(server));
        for (server, Heard { is_well, words }) in heard {
            let health = memory.resolvers.entry(server.clone()).or_insert(ResolverHealth {
                server,
                failures: 0,
                successes: 0,
                since: now,
                answer: String::new(),
            });
            let (counts, other) = match is_well {
                true => (&mut health.successes, &mut health.failures),
                false => (&mut health.failures, &mut health.successes),
            };
            if *other > 0 {
                health.since = now;
            }
            *other = 0;
            *counts = counts.saturating_add(1);
            health.answer = words;
        }
        memory.resolvers.values().cloned().collect()
    }
}

/// Whether name servers say the same; by which addresses they differ does not count.
fn is_like(one: &Footing, other: &Footing) -> bool {
    std::mem::discriminant(one) == std::mem::discriminant(other)
}

fn fail(health: &Mutex<Health>, what: &str, now: Timestamp) {
    let mut health = lock(health);
    let since = health.trouble.as_ref().map_or(now, |trouble| trouble.since);
    health.trouble = Some(Trouble { since, what: plain(what, 200) });
}

fn heal(health: &Mutex<Health>) {
    let mut health = lock(health);
    if health.trouble.is_some() {
        *health = Health::default();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// By how many seconds a clock may differ from the passing of time between two rounds.
const STEP: i64 = 30;
/// How long canaries are good for, in seconds.
const CHOSEN_FOR: i64 = 600;
const MINUTE: i64 = 60;
const AGAIN: i64 = 6 * 3_600;
const DAY: i64 = 86_400;
