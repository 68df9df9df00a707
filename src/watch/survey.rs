//! Puts the facts together: what the store knows of names that may need attention, that are served wrongly, or that an open
//! alert is about; what validations came to; how name servers answer; and what the server knows of itself. What cannot be
//! read is left out, and said in the log: no alert ends for want of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use acme::identifier::{DnsName, Identifier};
use acme::lineage::{self, Lineage};
use acme::renewal::Thresholds;
use acme::time::Timestamp;
use store::attempts::Tried;
use store::{Error, Store};

use super::book::Book;
use super::facts::{
    Authority, ClockState, Facts, Failed, Footing, Health, ListAge, Listener, NewName, OwnCertificate,
    Pinned, Prober, ResolverHealth, Room, SinkState, Succeeded, Trouble, Validations,
};
use super::round::Scene;
use super::rule::Rule;
use super::vigil::Vigil;
use super::{canary, deliver, own};
use crate::notify::trouble_key;

/// The facts, with what they point at.
pub(super) struct Survey {
    lineages: Option<Vec<Lineage>>,
    thresholds: Thresholds,
    validations: Option<Validations>,
    resolvers: Option<Vec<ResolverHealth>>,
    absent: BTreeMap<String, Timestamp>,
    pins: Option<Vec<Pinned>>,
    authorities: Vec<Authority>,
    longest: Duration,
    own: Option<OwnCertificate>,
    lists: Vec<ListAge>,
    signer: Health,
    store: Health,
    room: Option<Room>,
    clock: ClockState,
    prober: Prober,
    sinks: Option<Vec<SinkState>>,
    new_names: Vec<NewName>,
}

impl Survey {
    /// Reads everything.
    pub(super) async fn read(vigil: &Vigil, scene: &Scene<'_>, book: &Book, now: Timestamp) -> Self {
        let (last, clock) = vigil.round(scene.clock, now);
        let store = scene.store;
        let tried = read(store.validations_since(now.minus(LATELY), MOST_TRIED).await, "validations");
        let canaries = canary::known(vigil, scene, tried.as_deref().unwrap_or_default(), now).await;
        let resolvers = match read(canaries, "names that name servers know") {
            Some(canaries) => Some(vigil.listen(scene.resolver, &canaries, now).await),
            None => None,
        };
        let new_names = match last {
            Some(last) => new_names(store, book, last, now).await,
            None => Ok(Vec::new()),
        };
        let pins =
            vigil.pins(|name| DnsName::parse(name).is_ok_and(|name| scene.resolver.pin(&name).is_some()));
        let mut own = scene.own.clone();
        if let Some(own) = &mut own {
            own.shown =
                read(own::listener(scene, now).await, "the own listener").unwrap_or(Listener::Unknown);
        }
        let sinks = deliver::facts(store, scene.alerts, now).await;
        Self {
            lineages: read(lineages(store, book, pins.as_deref().unwrap_or_default(), now).await, "names"),
            thresholds: scene.thresholds,
            validations: tried.map(|tried| validations(tried, now)),
            resolvers,
            absent: vigil.absent(),
            pins,
            authorities: scene.authorities.clone(),
            longest: scene.longest,
            own,
            lists: scene.lists.clone(),
            signer: vigil.signer(),
            store: vigil.store(),
            room: store.room(),
            clock,
            prober: Prober {
                last_pass: vigil.last_pass().unwrap_or(scene.started),
                interval: scene.probed_every,
            },
            sinks: read(sinks, "deliveries").map(|facts| facts.iter().map(|fact| sink(fact, book)).collect()),
            new_names: read(new_names, "new names").unwrap_or_default(),
        }
    }

    pub(super) fn facts(&self) -> Facts<'_> {
        Facts {
            lineages: self.lineages.as_deref(),
            thresholds: self.thresholds,
            validations: self.validations.as_ref(),
            resolvers: self.resolvers.as_deref(),
            absent: Some(&self.absent),
            pins: self.pins.as_deref(),
            authorities: Some(&self.authorities),
            longest: self.longest,
            own: self.own.as_ref(),
            lists: Some(&self.lists),
            signer: Some(&self.signer),
            store: Some(&self.store),
            room: self.room,
            clock: Some(&self.clock),
            prober: Some(&self.prober),
            sinks: self.sinks.as_deref(),
            new_names: &self.new_names,
        }
    }
}

fn read<T>(found: Result<T, Error>, what: &str) -> Option<T> {
    found.inspect_err(|error| tracing::error!(%error, "what is known of {what} cannot be read")).ok()
}

/// Those that may need attention, those that an open alert is about, and those with a pin that name servers contradict, each
/// once.
async fn lineages(
    store: &Store,
    book: &Book,
    pins: &[Pinned],
    now: Timestamp,
) -> Result<Vec<Lineage>, Error> {
    let mut found = Found::default();
    let mut place = None;
    loop {
        let page = store.attention(now, PAGE, place.as_ref()).await?;
        found.add(page.lineages);
        match page.next {
            Some(next) if found.0.len() < MOST => place = Some(next),
            Some(_) => {
                tracing::error!("more than {MOST} names need attention; the others are not looked at");
                break;
            }
            None => break,
        }
    }
    for pinned in pins.iter().filter(|pinned| matches!(pinned.footing, Footing::Differs(_))) {
        found.look_up(store, &pinned.name, now).await?;
    }
    for alert in book.open() {
        let missing: Vec<&String> = alert.covers.iter().filter(|key| !found.has(key)).collect();
        if missing.is_empty() {
            continue;
        }
        found.add(store.lineages_of(&alert.names.join(","), now).await?);
        for name in &alert.names {
            if missing.iter().any(|key| !found.has(key)) {
                found.look_up(store, name, now).await?;
            }
        }
    }
    Ok(found.0.into_values().collect())
}

/// Lineages by what they are called.
#[derive(Default)]
struct Found(BTreeMap<(String, bool), Lineage>);

impl Found {
    fn add(&mut self, lineages: Vec<Lineage>) {
        self.0.extend(lineages.into_iter().map(|lineage| ((lineage.key(), lineage.is_own), lineage)));
    }

    fn has(&self, key: &str) -> bool {
        [false, true].iter().any(|own| self.0.contains_key(&(key.to_owned(), *own)))
    }

    /// The lineages of a name, alone or among others.
    async fn look_up(&mut self, store: &Store, name: &str, now: Timestamp) -> Result<(), Error> {
        if self.0.values().any(|lineage| lineage.names.iter().any(|known| known == name)) {
            return Ok(());
        }
        let alone = store.lineages_of(name, now).await?;
        let of_name = if alone.is_empty() { store.lineages_with_name(name, now, FEW).await? } else { alone };
        self.add(of_name);
        Ok(())
    }
}

fn validations(tried: Vec<Tried>, now: Timestamp) -> Validations {
    let mut validations = Validations::default();
    let key = |tried: &Tried| {
        tried.names.as_ref().map_or_else(|| tried.identifier.to_string(), |names| lineage::key(names))
    };
    let mut well: BTreeMap<String, Timestamp> = BTreeMap::new();
    for tried in tried.iter().filter(|tried| tried.outcome.is_ok()) {
        let last = well.entry(key(tried)).or_insert(tried.at);
        *last = tried.at.max(*last);
    }
    for tried in tried {
        let lineage = key(&tried);
        // What lies ahead was written before the clock was set back; and what went well since is over.
        let is_over = tried.outcome.is_err() && well.get(&lineage).is_some_and(|last| *last >= tried.at);
        if now.seconds_since(tried.at) < 0 || is_over {
            continue;
        }
        match tried.outcome {
            Ok(evidence) => {
                let answered = evidence.lookups.iter().rev().find(|lookup| !lookup.addresses.is_empty());
                let server = answered.or(evidence.lookups.last()).map(|lookup| lookup.server.clone());
                validations.succeeded.push(Succeeded { lineage, at: tried.at, server });
            }
            Err(failure) => validations.failed.push(Failed { lineage, at: tried.at, failure }),
        }
    }
    validations
}

/// Names with their first certificate since a moment. When a whole fleet moves in, the first of them stand for the others.
async fn new_names(
    store: &Store,
    book: &Book,
    since: Timestamp,
    now: Timestamp,
) -> Result<Vec<NewName>, Error> {
    let waiting = book.open().filter(|alert| alert.rule == Rule::NewNameIssued).count();
    let issued = store.recent(since, MOST_NEW).await?.issued;
    if issued.is_empty() || waiting >= MOST_WAITING {
        return Ok(Vec::new());
    }
    let sets: BTreeSet<String> = issued.into_iter().map(|order| order.names.join(",")).collect();
    let lineages = store.lineages_of_all(sets.into_iter().collect(), now).await?;
    // The first names of all stand in no usual zone, and in no unusual one either.
    let is_settled = store.count_lineages().await? >= SETTLED;
    let mut zones: BTreeMap<String, bool> = BTreeMap::new();
    let mut new = Vec::new();
    for lineage in lineages.into_iter().filter(|lineage| !lineage.is_own && lineage.past.len() <= 1) {
        let Some(current) = lineage.current.as_ref().filter(|current| current.issued_at >= since) else {
            continue;
        };
        let is_outside = is_settled && !has_neighbours(store, &lineage, &mut zones, now).await?;
        let (owner, at) = (lineage.care.owner.clone(), current.issued_at);
        new.push(NewName { names: lineage.names, owner, at, is_outside });
    }
    Ok(new)
}

/// Whether other names stand in the zone of one of these. `zones` are those that were asked for already.
async fn has_neighbours(
    store: &Store,
    lineage: &Lineage,
    zones: &mut BTreeMap<String, bool>,
    now: Timestamp,
) -> Result<bool, Error> {
    for zone in lineage.names.iter().filter_map(|name| name.find('.').map(|dot| &name[dot..])) {
        let is_usual = match zones.get(zone) {
            Some(known) => *known,
            None => {
                let there = store.lineages_below(zone, now, FEW).await?;
                *zones
                    .entry(zone.to_owned())
                    .or_insert(there.iter().any(|other| other.names != lineage.names))
            }
        };
        if is_usual {
            return Ok(true);
        }
    }
    // An address stands in no zone.
    Ok(lineage.names.iter().all(|name| Identifier::ip(name).is_ok()))
}

fn sink(fact: &deliver::SinkFact, book: &Book) -> SinkState {
    let what = || fact.detail.clone().or(fact.trouble.clone()).unwrap_or_default();
    // What was told of stands until the sink takes something, whatever it says meanwhile.
    let is_told = book.alert(&trouble_key(&fact.name)).is_some();
    let is_bad = fact.is_broken || fact.trouble.as_deref() == Some("tls") || is_told;
    SinkState {
        name: fact.name.clone(),
        oldest: fact.oldest,
        waiting: fact.waiting as u64,
        broken: fact.failing_since.filter(|_| is_bad).map(|since| Trouble { since, what: what() }),
    }
}

/// How far back a validation says something about now.
const LATELY: Duration = Duration::from_secs(30 * 60);
const MOST_TRIED: u32 = 2_000;
const MOST_NEW: u32 = 50;
/// How many of them wait for the digest at most.
const MOST_WAITING: usize = 200;
/// From how many sets of names on their zones are the usual ones.
const SETTLED: u64 = 5;
/// How many lineages are read at once, and how many are looked at in a round.
const PAGE: u32 = 500;
const MOST: usize = 20_000;
const FEW: u32 = 20;

#[cfg(test)]
mod tests {
    use acme::failure::{Evidence, Failure, Phase, Reason};

    use super::*;

    fn tried(name: &str, minute: i64, is_well: bool) -> Tried {
        let failure = Failure {
            phase: Phase::Dns,
            reason: Reason::Servfail,
            name: name.into(),
            detail: "SERVFAIL".into(),
            first_bytes: None,
            evidence: Evidence::default(),
        };
        Tried {
            identifier: Identifier::dns(name).unwrap(),
            names: Some(vec![name.into()]),
            at: Timestamp::from_unix(minute * 60),
            outcome: if is_well { Ok(Evidence::default()) } else { Err(failure) },
        }
    }

    #[test]
    fn what_failed_before_it_succeeded_is_over() {
        let now = Timestamp::from_unix(30 * 60);
        let all = vec![
            tried("a.lan", 1, false),
            tried("a.lan", 5, true),
            tried("b.lan", 6, false),
            tried("a.lan", 9, false),
        ];
        let found = validations(all, now);
        let failed: Vec<_> = found.failed.iter().map(|f| (f.lineage.as_str(), f.at.unix() / 60)).collect();
        assert_eq!(failed, [("b.lan", 6), ("a.lan", 9)]);
        assert_eq!(found.succeeded.len(), 1);
    }

    #[test]
    fn what_lies_ahead_was_written_by_another_clock() {
        assert!(validations(vec![tried("a.lan", 90, false)], Timestamp::from_unix(60)).failed.is_empty());
    }
}
