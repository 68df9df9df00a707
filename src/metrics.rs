//! Counters, and what they say of the server's health. One struct, touched by the doors and by tasks; labels are
//! outcomes, never names, addresses or accounts.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};

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
    last_issued: AtomicI64,
    outage: Mutex<Outage>,
}

/// Failed validations since the last that held.
#[derive(Clone, Debug, Default)]
pub struct Outage {
    /// The names that failed, bounded, oldest first.
    pub names: Vec<String>,
    /// The last failure as a sentence.
    pub last: Option<String>,
    /// When it began.
    pub since: Option<Timestamp>,
}

impl Outage {
    /// Whether validation as a whole is out of order: several names failed, and none held in between. One name that
    /// fails is that name's trouble.
    pub fn is_general(&self) -> bool {
        self.names.len() >= GENERAL
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
        outage.since.get_or_insert(now);
        outage.last = Some(failure.to_string());
        if outage.names.len() < OUTAGE_NAMES && !outage.names.contains(&failure.name) {
            outage.names.push(failure.name.clone());
        }
    }

    /// A certificate was issued.
    pub fn issued(&self, now: Timestamp) {
        self.certificates.fetch_add(1, Ordering::Relaxed);
        self.last_issued.store(now.unix(), Ordering::Relaxed);
    }

    /// What failed since a validation last held.
    pub fn outage(&self) -> Outage {
        self.outage.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The Prometheus text format, version 0.0.4.
    pub fn text(&self, started: Timestamp, commits: u64) -> String {
        let mut out = String::with_capacity(2_048);
        let mut one = |name: &str, kind: &str, help: &str, value: &str| {
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name}{value}");
        };
        let version = format!("{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"));
        one("ca_build_info", "gauge", "The version that runs.", &version);
        one("ca_start_timestamp_seconds", "gauge", "When it started.", &format!(" {}", started.unix()));
        let read = |counter: &AtomicU64| format!(" {}", counter.load(Ordering::Relaxed));
        one("ca_certificates_issued_total", "counter", "Certificates issued.", &read(&self.certificates));
        one("ca_validations_total", "counter", "Validations that held.", &read(&self.validations));
        let last = format!(" {}", self.last_issued.load(Ordering::Relaxed));
        one(
            "ca_last_issued_timestamp_seconds",
            "gauge",
            "When a certificate was last issued; 0 is never.",
            &last,
        );
        let failing = format!(" {}", self.outage().names.len());
        one(
            "ca_validation_failing_names",
            "gauge",
            "Names that failed since a validation last held.",
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
        for _ in 0..5 {
            metrics.validation_failed(&failure("a.lan"), Timestamp::EPOCH);
        }
        assert!(!metrics.outage().is_general());
        for name in ["b.lan", "c.lan"] {
            metrics.validation_failed(&failure(name), Timestamp::EPOCH);
        }
        let outage = metrics.outage();
        assert!(outage.is_general());
        assert!(outage.last.is_some_and(|last| last.contains("SERVFAIL")));
        metrics.validated();
        assert!(!metrics.outage().is_general(), "one that holds ends it");
    }

    #[test]
    fn counters_are_told_by_outcome() {
        let metrics = Metrics::default();
        metrics.request("/acme/new-order", 201);
        metrics.request("/acme/new-order", 201);
        metrics.validation_failed(&failure("a.lan"), Timestamp::EPOCH);
        let text = metrics.text(Timestamp::EPOCH, 7);
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
