//! Counters, and what they say of the server's health. One struct, touched by the doors and by tasks; labels are
//! outcomes, never names, addresses or accounts.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;

use acme::failure::Failure;
use acme::time::Timestamp;

/// What the server counted since its start.
#[derive(Default)]
pub struct Metrics {
    requests: Family,
    problems: Family,
    validation_failures: Family,
    validations: AtomicU64,
    certificates: AtomicU64,
    revoked: AtomicU64,
    last_issued: AtomicI64,
    outage: Mutex<Outage>,
}

/// Failed validations since the last that held. One that holds ends it; and so does time, name by name: half an hour
/// after its last attempt a name says nothing about now any more.
#[derive(Clone, Debug, Default)]
pub struct Outage {
    /// The names that failed and when each last did, bounded, the one that failed last at the end.
    pub names: Vec<(String, Timestamp)>,
    /// The last failure as a sentence.
    pub last: Option<String>,
    /// When it began.
    pub since: Option<Timestamp>,
}

impl Outage {
    /// Whether validation as a whole is out of order: several names failed lately, and none held in between. One name
    /// that fails is that name's trouble.
    pub fn is_general(&self) -> bool {
        self.names.len() >= GENERAL
    }

    /// Forgets what is too old to tell of `now`. A moment that is ahead was written before the clock was set back.
    fn age(&mut self, now: Timestamp) {
        self.names.retain(|(_, at)| now.seconds_since(*at).unsigned_abs() < LATELY.as_secs());
        if self.names.is_empty() {
            *self = Self::default();
        }
    }

    fn add(&mut self, failure: &Failure, now: Timestamp) {
        self.age(now);
        self.since.get_or_insert(now);
        self.last = Some(failure.to_string());
        self.names.retain(|(name, _)| *name != failure.name);
        if self.names.len() == OUTAGE_NAMES {
            self.names.remove(0);
        }
        self.names.push((failure.name.clone(), now));
    }
}

impl Metrics {
    /// A request was answered.
    pub fn request(&self, route: &'static str, status: u16) {
        self.requests.add(route, Second::Code(status));
    }

    /// A problem was sent.
    pub fn problem(&self, kind: &'static str, status: u16) {
        self.problems.add(kind, Second::Code(status));
    }

    /// A validation held.
    pub fn validated(&self) {
        self.validations.fetch_add(1, Ordering::Relaxed);
        let mut outage = self.outage.lock().unwrap_or_else(PoisonError::into_inner);
        if outage.since.is_some() {
            *outage = Outage::default();
        }
    }

    /// A validation attempt failed.
    pub fn validation_failed(&self, failure: &Failure, now: Timestamp) {
        self.validation_failures.add(failure.phase.as_str(), Second::Word(failure.reason.as_str()));
        let mut outage = self.outage.lock().unwrap_or_else(PoisonError::into_inner);
        outage.add(failure, now);
    }

    /// A certificate was issued.
    pub fn issued(&self, now: Timestamp) {
        self.certificates.fetch_add(1, Ordering::Relaxed);
        self.last_issued.store(now.unix(), Ordering::Relaxed);
    }

    /// So many certificates were revoked here.
    pub fn revoked(&self, certificates: usize) {
        self.revoked.fetch_add(certificates as u64, Ordering::Relaxed);
    }

    /// What failed since a validation last held, and lately.
    pub fn outage(&self, now: Timestamp) -> Outage {
        let mut outage = self.outage.lock().unwrap_or_else(PoisonError::into_inner);
        outage.age(now);
        outage.clone()
    }

    /// The Prometheus text format, version 0.0.4.
    pub fn text(&self, started: Timestamp, commits: u64, now: Timestamp) -> String {
        let mut out = String::with_capacity(2_048);
        let mut one = |name: &str, kind: &str, help: &str, value: &str| {
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name}{value}");
        };
        let version = format!("{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"));
        one("ca_build_info", "gauge", "The version that runs.", &version);
        one("ca_start_timestamp_seconds", "gauge", "When it started.", &format!(" {}", started.unix()));
        let read = |counter: &AtomicU64| format!(" {}", counter.load(Ordering::Relaxed));
        one("ca_certificates_issued_total", "counter", "Certificates issued.", &read(&self.certificates));
        one(
            "ca_certificates_revoked_total",
            "counter",
            "Certificates revoked at clients' requests.",
            &read(&self.revoked),
        );
        one("ca_validations_total", "counter", "Validations that held.", &read(&self.validations));
        let last = format!(" {}", self.last_issued.load(Ordering::Relaxed));
        one(
            "ca_last_issued_timestamp_seconds",
            "gauge",
            "When a certificate was last issued; 0 is never.",
            &last,
        );
        let failing = format!(" {}", self.outage(now).names.len());
        one(
            "ca_validation_failing_names",
            "gauge",
            "Names that failed in the last half hour and since a validation last held.",
            &failing,
        );
        one("ca_store_commits_total", "counter", "Durable commits of the store.", &format!(" {commits}"));
        self.requests.text(&mut out, "ca_http_requests_total", "Requests answered.", ["route", "code"]);
        self.problems.text(&mut out, "ca_problems_total", "Problems sent.", ["type", "code"]);
        let name = "ca_validation_failures_total";
        self.validation_failures.text(
            &mut out,
            name,
            "Validation attempts that failed.",
            ["phase", "reason"],
        );
        out
    }
}

/// A counter with two labels from closed sets. Counting takes a shared lock; the other only when a pair of labels is
/// met for the first time.
#[derive(Default)]
struct Family(RwLock<BTreeMap<Labels, AtomicU64>>);

type Labels = (&'static str, Second);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Second {
    Code(u16),
    Word(&'static str),
}

impl Family {
    fn add(&self, first: &'static str, second: Second) {
        let labels = (first, second);
        if let Some(count) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&labels) {
            count.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let mut counts = self.0.write().unwrap_or_else(PoisonError::into_inner);
        counts.entry(labels).or_default().fetch_add(1, Ordering::Relaxed);
    }

    fn text(&self, out: &mut String, name: &str, help: &str, labels: [&str; 2]) {
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} counter");
        for ((first, second), count) in self.0.read().unwrap_or_else(PoisonError::into_inner).iter() {
            let count = count.load(Ordering::Relaxed);
            let _ = writeln!(out, "{name}{{{}=\"{first}\",{}=\"{second}\"}} {count}", labels[0], labels[1]);
        }
    }
}

impl fmt::Display for Second {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => code.fmt(f),
            Self::Word(word) => f.write_str(word),
        }
    }
}

const GENERAL: usize = 3;
const OUTAGE_NAMES: usize = 32;
/// For how long a failure counts: clients that failed come again within it, and alerts add failures up over as long.
const LATELY: Duration = Duration::from_secs(30 * 60);

#[cfg(test)]
mod tests {
    use super::*;
    use acme::failure::{Evidence, Phase, Reason};

    fn failure(name: &str) -> Failure {
        Failure {
            phase: Phase::Dns,
            reason: Reason::Servfail,
            name: name.into(),
            detail: "10.0.0.53 answered SERVFAIL".into(),
            first_bytes: None,
            evidence: Evidence::default(),
        }
    }

    #[test]
    fn one_failing_name_is_its_own_trouble_and_three_are_ours() {
        let metrics = Metrics::default();
        let outage = || metrics.outage(Timestamp::EPOCH);
        for _ in 0..5 {
            metrics.validation_failed(&failure("a.lan"), Timestamp::EPOCH);
        }
        assert!(!outage().is_general());
        for name in ["b.lan", "c.lan"] {
            metrics.validation_failed(&failure(name), Timestamp::EPOCH);
        }
        assert!(outage().is_general());
        assert!(outage().last.is_some_and(|last| last.contains("SERVFAIL")));
        metrics.validated();
        assert!(!outage().is_general(), "one that holds ends it");
    }

    #[test]
    fn what_failed_long_ago_is_no_outage_and_what_fails_on_is_one() {
        let metrics = Metrics::default();
        let at = |minutes: i64| Timestamp::from_unix(minutes * 60);
        let fail = |minutes, names: &[&str]| {
            names.iter().for_each(|name| metrics.validation_failed(&failure(name), at(minutes)));
        };
        fail(0, &["a.lan", "b.lan", "c.lan"]);
        assert!(metrics.outage(at(29)).is_general());
        fail(20, &["a.lan", "b.lan", "c.lan"]);
        let outage = metrics.outage(at(49));
        assert!(outage.is_general(), "they were tried again");
        assert_eq!(outage.since, Some(at(0)), "and it is one outage");
        fail(51, &["a.lan"]);
        assert_eq!(metrics.outage(at(52)).names, [("a.lan".to_owned(), at(51))]);
        assert_eq!(metrics.outage(at(82)).since, None, "nobody tries any more, and nothing is known");
        fail(100, &["a.lan", "b.lan", "c.lan"]);
        assert_eq!(metrics.outage(at(100)).since, Some(at(100)), "this is another one");
        assert!(!metrics.outage(at(10)).is_general(), "the clock was set back");
    }

    #[test]
    fn an_outage_of_many_names_stays_small_and_knows_the_last() {
        let metrics = Metrics::default();
        for number in 0..1_000 {
            metrics.validation_failed(&failure(&format!("n{number}.lan")), Timestamp::EPOCH);
        }
        let outage = metrics.outage(Timestamp::EPOCH);
        assert_eq!(outage.names.len(), OUTAGE_NAMES);
        assert_eq!(outage.names.last().map(|(name, _)| name.as_str()), Some("n999.lan"));
    }

    #[test]
    fn counters_are_told_by_outcome() {
        let metrics = Metrics::default();
        metrics.request("/acme/new-order", 201);
        metrics.request("/acme/new-order", 201);
        metrics.validation_failed(&failure("a.lan"), Timestamp::EPOCH);
        let text = metrics.text(Timestamp::EPOCH, 7, Timestamp::EPOCH);
        for line in [
            "ca_http_requests_total{route=\"/acme/new-order\",code=\"201\"} 2\n",
            "ca_validation_failures_total{phase=\"dns\",reason=\"servfail\"} 1\n",
            "ca_store_commits_total 7\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
        assert!(!text.contains("a.lan"), "names are no labels");
    }
}
