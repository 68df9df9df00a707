//! Puts the facts together: what the store knows of names that may need attention, that are served wrongly, or that an open
//! alert is about; what validations came to; how name servers answer; and what the server knows of itself. What cannot be
//! read is left out, and said in the log: no alert ends for want of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use acme::identifier::{DnsName, Identifier};
use acme::lineage::{self, Lineage, Served};
use acme::renewal::Thresholds;
use acme::severity::Severity;
use acme::time::Timestamp;
use acme::verdict::Verdict;
use store::attempts::Tried;
use store::{Error, Store};

use super::book::Book;
use super::canary::Canaries;
use super::deliver;
use super::facts::{
    Authority, ClockState, Facts, Failed, Footing, Health, ListAge, Listener, NewName, OwnCertificate,
    Pinned, Prober, ResolverHealth, SinkState, Succeeded, Trouble, Validations,
};
use super::round::Scene;
use super::rule::Rule;
use super::vigil::Vigil;
use crate::notify::trouble_key;
use crate::probe::judge::severity;

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
        let canaries = canaries(vigil, scene, tried.as_deref().unwrap_or_default(), now).await;
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
            own.shown = read(listener(scene, now).await, "the own listener").unwrap_or(Listener::Unknown);
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

/// What the own listener was seen to show, twice: who is started anew is silent for a moment.
async fn listener(scene: &Scene<'_>, now: Timestamp) -> Result<Listener, Error> {
    let Some(target) = &scene.own_at else { return Ok(Listener::Unwatched) };
    let seen = scene.store.observations_of(&target.host.to_string()).await?;
    let key = target.key();
    let Some(row) = seen.iter().map(|seen| &seen.served).find(|row| row.target == key) else {
        return Ok(Listener::Unwatched);
    };
    let is_old = row.at.plus(scene.probed_every * 3) < now;
    Ok(if is_old { Listener::Unknown } else { shown(row) })
}

/// What a row says of the own listener: bad is what nobody else may show either, and silence.
fn shown(row: &Served) -> Listener {
    let is_twice = row.samples >= 2 && row.at.seconds_since(row.since) >= MINUTE;
    let is_silent = matches!(row.verdict, Verdict::TcpRefused | Verdict::TcpTimeout);
    match row.verdict {
        _ if !is_twice => Listener::Unknown,
        Verdict::Ok | Verdict::OkPrevious | Verdict::Expiring => Listener::Well,
        verdict if is_silent || severity(verdict) >= Some(Severity::Critical) => {
            let what = format!("{} shows {verdict}: {}", row.target, row.detail);
            Listener::Bad(Trouble { since: row.since, what })
        }
        _ => Listener::Unknown,
    }
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

/// The names by which name servers are known. They are chosen anew now and then, not in each round; but what was validated
/// lately is taken at once where there were none.
async fn canaries(
    vigil: &Vigil,
    scene: &Scene<'_>,
    lately: &[Tried],
    now: Timestamp,
) -> Result<Arc<Canaries>, Error> {
    if let Some(known) = vigil.canaries(scene.resolver, now)
        && !(known.is_empty() && !lately.is_empty())
    {
        return Ok(known);
    }
    let before = scene.store.validations_since(now.minus(LONG), MOST_CANARIES).await?;
    let cares = scene.store.cares().await?;
    let canaries = Canaries::choose(lately.iter().chain(&before), &cares, scene.resolver, now);
    Ok(vigil.choose(canaries, scene.resolver, now))
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
/// How far back a name is looked for that a server knew.
const LONG: Duration = Duration::from_secs(90 * 86_400);
const MOST_TRIED: u32 = 2_000;
const MOST_CANARIES: u32 = 200;
const MINUTE: i64 = 60;
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
    fn the_own_listener_is_bad_when_it_shows_twice_what_nobody_may_show() {
        let of = |verdict: Verdict, minutes: i64| {
            let row = Served {
                target: "ca.lan:8443".into(),
                address: None,
                verdict,
                since: Timestamp::from_unix(0),
                at: Timestamp::from_unix(minutes * 60),
                samples: u32::try_from(minutes).unwrap() + 1,
                serial: None,
                spki: None,
                not_after: None,
                product: None,
                detail: "self-signed".into(),
            };
            match shown(&row) {
                Listener::Well => "well".to_owned(),
                Listener::Bad(trouble) => trouble.what,
                _ => "-".to_owned(),
            }
        };
        assert_eq!(of(Verdict::FallbackCert, 0), "-", "once");
        assert_eq!(of(Verdict::FallbackCert, 1), "ca.lan:8443 shows fallback_cert: self-signed");
        assert!(of(Verdict::TcpRefused, 1).contains("tcp_refused"));
        assert_eq!([of(Verdict::Ok, 1), of(Verdict::ProbeError, 1)], ["well", "-"]);
    }

    #[test]
    fn what_lies_ahead_was_written_by_another_clock() {
        assert!(validations(vec![tried("a.lan", 90, false)], Timestamp::from_unix(60)).failed.is_empty());
    }
}
