//! No crying wolf: five hundred names over ten years. Clients that come once a day, at two thirds, or when they are asked
//! to; names that are added, changed and retired; hosts that start again; name servers that fail for an hour or two days.
//! The script knows which alerts are called for; the rules and the book must tell of those and of no others.
//!
//! Only what needs attention is looked at, as the server does it; now and then everything is, to show that the rest is
//! indeed quiet.

#![allow(
    clippy::panic,
    clippy::print_stderr,
    reason = "what surprises a test ends it, and it says what it counted"
)]

#[path = "fleet/host.rs"]
mod host;
#[path = "fleet/oracle.rs"]
mod oracle;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, VecDeque};
use std::time::Instant;

use acme::lineage::Lineage;
use acme_ca::notify::Schedule;
use acme_ca::watch::book::{Book, What};
use acme_ca::watch::facts::{Facts, Failed, Succeeded, Validations};
use acme_ca::watch::rule::Rule;
use acme_ca::watch::rules::judge;

use host::{Client, DAY, HOUR, Host, START, Span, is_in, time};
use oracle::called;

/// With one to three names each.
const HOSTS: usize = 250;
const YEARS: i64 = 10;
const STEP: i64 = 30 * 60;
const END: i64 = START + YEARS * 365 * DAY;

/// The same numbers each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: i64) -> i64 {
        i64::try_from(self.roll() % bound.unsigned_abs()).expect("below an i64")
    }

    /// A span somewhere in the ten years, so long at least and at most.
    fn span(&mut self, least: i64, most: i64) -> Span {
        let from = START + 400 * DAY + self.below(END - START - 800 * DAY);
        (from, from + least + self.below(most - least))
    }
}

struct World {
    hosts: Vec<Host>,
    dice: Dice,
    /// When whose client comes, or something of its script begins.
    agenda: BinaryHeap<Reverse<(i64, usize)>>,
    resolver_down: Vec<Span>,
    /// From when each must be looked at.
    watch_from: Vec<i64>,
    log: VecDeque<(i64, usize, Option<acme::failure::Failure>)>,
    renewals: u64,
}

impl World {
    fn new() -> Self {
        let mut dice = Dice(0x005e_ed0f_1e55);
        let mut resolver_down: Vec<Span> = (0..14).map(|_| dice.span(HOUR, HOUR + 60)).collect();
        resolver_down.extend((0..4).map(|_| dice.span(2 * DAY, 2 * DAY + 60)));
        let world = Self {
            hosts: Vec::new(),
            dice,
            agenda: BinaryHeap::new(),
            resolver_down,
            watch_from: Vec::new(),
            log: VecDeque::new(),
            renewals: 0,
        };
        world.filled()
    }

    fn filled(mut self) -> Self {
        for n in 0..HOSTS {
            // A fifth comes later.
            let born =
                START + if n % 5 == 4 { self.dice.below((END - START) / 2) } else { self.dice.below(DAY) };
            let client = [Client::Nixos, Client::Thirds, Client::Ari][n % 3];
            let lifetime = match (n / 3 % 10, client) {
                // A timer that may be two days late cannot serve a life of one.
                (0, Client::Thirds | Client::Ari) => DAY,
                (0..=1, _) => 7 * DAY,
                (2..=3, _) => 30 * DAY,
                (4..=8, _) => 90 * DAY,
                _ => 365 * DAY,
            };
            let names = (0..=n % 3).map(|name| format!("n{name}.host{n}.lan")).collect();
            let host = self.host(names, client, lifetime, born);
            self.add(host, born);
            self.script(n);
        }
        self
    }

    fn host(&mut self, names: Vec<String>, client: Client, lifetime: i64, born: i64) -> Host {
        let window = acme::renewal_info::Window { start: time(born), end: time(born) };
        let mut host = Host {
            key: acme::lineage::key(&names),
            names,
            client,
            lifetime,
            window,
            down: None,
            dead: None,
            broken: None,
            unloaded: None,
            muted: None,
            gone_at: None,
            forgotten_at: None,
            replaced_by: None,
            issued: Vec::new(),
            serial: acme::id::Serial::mint([0; 16]),
            renews_at: 0,
            polled_at: (client == Client::Ari).then_some(born),
            tried_at: None,
            fails: 0,
            failing_since: 0,
            failed_by_dns: false,
            stale_since: None,
            old_end: 0,
            retired_told: false,
        };
        host.issue(born, self.dice.roll());
        host
    }

    fn add(&mut self, host: Host, born: i64) {
        let place = self.hosts.len();
        self.agenda.push(Reverse((born + host.interval(), place)));
        self.watch_from.push(oracle::quiet_until(&host));
        self.hosts.push(host);
    }

    /// What goes wrong with a host: half of them have a trouble of their own, all are started anew now and then.
    fn script(&mut self, n: usize) {
        let (short, long) = (5 * DAY, 60 * DAY);
        let host = &mut self.hosts[n];
        match n % 20 {
            0 => host.dead = Some(self.dice.span(DAY, long)),
            1 => host.down = Some(self.dice.span(HOUR, short)),
            2 => host.down = Some(self.dice.span(short, long)),
            3 => host.broken = Some(self.dice.span(short, long)),
            4 => host.unloaded = Some(self.dice.span(short, long)),
            5 => host.gone_at = Some(self.dice.span(DAY, 2 * DAY).0),
            6 => {
                let gone = self.dice.span(DAY, 2 * DAY).0;
                (host.gone_at, host.forgotten_at) = (Some(gone), Some(gone + HOUR));
            }
            7 => {
                let dead = self.dice.span(short, long);
                (host.dead, host.muted) = (Some(dead), Some((dead.0 - DAY, dead.1 + 3 * DAY)));
            }
            _ => {}
        }
        let spans =
            [host.down, host.dead, host.broken, host.unloaded, host.muted, host.gone_at.map(|g| (g, g))];
        for (from, to) in spans.into_iter().flatten() {
            self.agenda.push(Reverse((from + 1, HOSTS * 100 + n)));
            self.agenda.push(Reverse((to + 1, HOSTS * 100 + n)));
        }
        // A change of names: it is host number 8 of each twenty.
        if n % 20 == 8 {
            let at = self.dice.span(DAY, 2 * DAY).0;
            self.agenda.push(Reverse((at, HOSTS * 200 + n)));
        }
    }

    /// Everything that happens up to a moment.
    fn run(&mut self, until: i64) {
        while self.agenda.peek().is_some_and(|Reverse((at, _))| *at <= until) {
            let Some(Reverse((at, what))) = self.agenda.pop() else { return };
            match what {
                n if n < HOSTS * 100 => self.visit(n, at),
                n if n < HOSTS * 200 => self.turn(n - HOSTS * 100, at),
                n => self.rename(n - HOSTS * 200, at),
            }
        }
    }

    /// Something begins or ends; a service that is started anew loads what there is.
    fn turn(&mut self, n: usize, at: i64) {
        let host = &mut self.hosts[n];
        if !is_in(host.unloaded, at) {
            host.stale_since = None;
        }
        self.watch_from[n] = 0;
    }

    /// The service gets another name; what it had before is not renewed any more, and not served.
    fn rename(&mut self, n: usize, at: i64) {
        let old = self.hosts[n].clone();
        let mut names = old.names.clone();
        names.push(format!("more.host{n}.lan"));
        let host = self.host(names, old.client, old.lifetime, at);
        let place = self.hosts.len();
        self.add(host, at);
        self.hosts[n].replaced_by = Some(place);
        self.watch_from[n] = 0;
    }

    fn visit(&mut self, n: usize, at: i64) {
        let random = self.dice.roll();
        let late = i64::try_from(random % 86_400).expect("a day");
        let is_dns_down = self.resolver_down.iter().any(|span| is_in(Some(*span), at));
        let host = &mut self.hosts[n];
        if host.replaced_by.is_some() || host.gone_at.is_some_and(|gone| at >= gone) {
            self.watch_from[n] = 0;
            return;
        }
        let next = |at: i64, host: &Host| match host.client {
            // Somewhere in the next day.
            Client::Nixos => at - (at - START) % DAY + DAY + late,
            _ => at + host.interval() - late % 60,
        };
        // One visit in three hundred falls into a restart.
        if host.is_down(at) || is_in(host.dead, at) || (random / 86_400).is_multiple_of(300) {
            self.watch_from[n] = self.watch_from[n].min(oracle::quiet_until(host));
            self.agenda.push(Reverse((next(at, host), n)));
            return;
        }
        if host.client == Client::Ari {
            host.polled_at = Some(at);
        }
        if host.wants(at) {
            let is_broken = is_in(host.broken, at);
            host.tried_at = Some(at);
            if is_broken || is_dns_down {
                host.failing_since = if host.fails == 0 { at } else { host.failing_since };
                host.fails += 1;
                host.failed_by_dns = is_dns_down;
                self.log.push_back((at, n, Some(host.failure())));
            } else {
                host.issue(at, random);
                self.renewals += 1;
                self.log.push_back((at, n, None));
            }
        }
        // Looks before that find nothing to do, and leave no trace unless they are polls.
        let from = if host.client == Client::Ari { at } else { at.max(host.wants_at() - host.interval()) };
        self.agenda.push(Reverse((next(from, host), n)));
        let is_bad = host.fails > 0 || host.stale_since.is_some();
        self.watch_from[n] = if is_bad { 0 } else { oracle::quiet_until(host) };
    }

    fn validations(&mut self, now: i64) -> Validations {
        while self.log.front().is_some_and(|(at, ..)| *at < now - STEP) {
            self.log.pop_front();
        }
        let mut validations = Validations::default();
        for (at, n, failure) in &self.log {
            let (lineage, at) = (self.hosts[*n].key.clone(), time(*at));
            match failure {
                Some(failure) => validations.failed.push(Failed { lineage, at, failure: failure.clone() }),
                None => {
                    let server = Some("10.0.0.53".to_owned());
                    validations.succeeded.push(Succeeded { lineage, at, server });
                }
            }
        }
        validations
    }

    /// Whether the last half hour was an outage, by the log alone.
    fn is_outage(&self) -> bool {
        let of = |by_dns: bool| -> BTreeSet<usize> {
            let failed = self.log.iter().filter(|(_, _, f)| {
                f.as_ref().is_some_and(|f| f.evidence.lookups[0].addresses.is_empty() == by_dns)
            });
            failed.map(|(_, n, _)| *n).collect()
        };
        let (dns, others) = (of(true), of(false));
        let is_well = self.log.iter().any(|(_, _, failure)| failure.is_none());
        !is_well && (dns.len() >= 3 || others.len() >= 3 || (dns.len() == 2 && others.is_empty()))
    }
}

#[test]
fn ten_years_of_five_hundred_names_call_for_no_other_alerts_than_the_script_has() {
    let begun = Instant::now();
    let mut world = World::new();
    let mut book = Book::default();
    let schedule = Schedule::default();
    let (mut steps, mut looked_at, mut told, mut messages) = (0_u64, 0_u64, BTreeMap::<Rule, u64>::new(), 0);
    let (mut wolves, mut missed) = (Vec::new(), BTreeMap::<String, String>::new());
    let mut by_key: HashMap<String, usize> = HashMap::new();
    for now in (START + STEP..END).step_by(usize::try_from(STEP).expect("small")) {
        world.run(now);
        for place in by_key.len()..world.hosts.len() {
            by_key.insert(world.hosts[place].key.clone(), place);
        }
        let is_whole = (now - START) / STEP % 997 == 0;
        let mut watched: BTreeSet<usize> = if is_whole {
            (0..world.hosts.len()).collect()
        } else {
            world.watch_from.iter().enumerate().filter(|(_, from)| **from <= now).map(|(n, _)| n).collect()
        };
        watched.retain(|n| !is_silent_for_good(&world.hosts[*n], now));
        watched.extend(book.open().flat_map(|alert| &alert.covers).filter_map(|key| by_key.get(key)));
        // Every half hour while something fails, else every two hours.
        let is_calm = now % (2 * HOUR) != 0 || (watched.is_empty() && book.open().next().is_none());
        if is_calm && world.log.iter().all(|(.., failure)| failure.is_none()) {
            continue;
        }
        steps += 1;
        looked_at += watched.len() as u64;
        let lineages: Vec<Lineage> =
            watched.iter().map(|n| world.hosts[*n].lineage(&world.hosts, now)).collect();
        let validations = world.validations(now);
        let facts = Facts { lineages: Some(&lineages), validations: Some(&validations), ..Facts::default() };
        let findings = judge(&facts, &book, time(now));
        let step = book.step(&findings, time(now), &schedule);
        messages += step.notices.len();

        for event in &step.events {
            if !matches!(event.what, What::Fired | What::Escalated) {
                continue;
            }
            *told.entry(event.rule).or_default() += 1;
            if event.rule == Rule::CaValidationOutage {
                let lately = |span: &Span| now >= span.0 && now <= span.1 + HOUR;
                if !world.resolver_down.iter().any(lately) && !world.is_outage() {
                    wolves.push(format!("{now}: {}", event.title));
                }
                continue;
            }
            let alert = book.alert(&event.key).unwrap_or_else(|| panic!("{} was told", event.key));
            let n = by_key[&alert.covers[0]];
            let host = &mut world.hosts[n];
            let is_called =
                called(host, event.rule, now).may && !oracle::is_muted(host, now) && !host.retired_told;
            if !is_called {
                wolves.push(format!("{now}: {} {} of {host:?}", event.rule, event.title));
            }
            if event.rule == Rule::NameRetired && host.gone_at.is_some() {
                host.retired_told = true;
                // A month of silence is proof enough; then the operator answers.
                host.forgotten_at = Some(now + 30 * DAY);
            }
        }
        for place in &watched {
            let host = &world.hosts[*place];
            for rule in PER_HOST {
                if called(host, *rule, now).must && !book.open().any(|alert| tells(alert, host, *rule)) {
                    missed.entry(format!("{rule} of {}", host.key)).or_insert(format!("{now}: {host:?}"));
                }
            }
        }
        if world.is_outage() && !book.open().any(|alert| alert.rule == Rule::CaValidationOutage) {
            missed.entry(format!("outage at {now}")).or_default();
        }
    }
    let all: u64 = told.values().sum();
    eprintln!(
        "{} names, {YEARS} years, {} renewals: {all} alerts called for and told in {messages} messages, {} not called for, \
         {} missed; {steps} steps, {looked_at} lineages looked at, {:.1} s\n{told:?}",
        world.hosts.iter().map(|host| host.names.len()).sum::<usize>(),
        world.renewals,
        wolves.len(),
        missed.len(),
        begun.elapsed().as_secs_f64(),
    );
    assert!(
        wolves.is_empty(),
        "{} not called for:\n{}",
        wolves.len(),
        wolves[..wolves.len().min(5)].join("\n")
    );
    assert!(missed.is_empty(), "{} missed: {:#?}", missed.len(), missed.iter().take(5).collect::<Vec<_>>());
    for rule in PER_HOST.iter().chain(&[Rule::CaValidationOutage]) {
        assert!(
            told.get(rule).is_some_and(|times| *times > 0),
            "{rule} was never called for: the script is too kind"
        );
    }
}

/// What can be told of one host.
const PER_HOST: &[Rule] = &[
    Rule::OrderFailing,
    Rule::RenewalLate,
    Rule::RenewalOverdue,
    Rule::RenewalCritical,
    Rule::CertExpired,
    Rule::ClientSilent,
    Rule::TargetUnreachable,
    Rule::ServedStale,
    Rule::NameRetired,
];

/// Whether an alert says of a host what this rule says, or worse under the same key.
fn tells(alert: &acme_ca::watch::book::Alert, host: &Host, rule: Rule) -> bool {
    let is_renewal = |rule| {
        matches!(rule, Rule::RenewalLate | Rule::RenewalOverdue | Rule::RenewalCritical | Rule::CertExpired)
    };
    alert.covers.contains(&host.key)
        && (alert.rule == rule || (is_renewal(rule) && is_renewal(alert.rule) && alert.rule > rule))
}

/// Of a host that is gone and was told to be, nothing more comes: the store leaves it out.
fn is_silent_for_good(host: &Host, now: i64) -> bool {
    host.forgotten_at.is_some_and(|forgotten| now > forgotten + DAY)
        || host.replaced_by.is_some() && now > host.end() + 30 * DAY
}
