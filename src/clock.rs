//! The one place that asks the system for the time. Everything below the doors takes `now` as an argument.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use acme::time::Timestamp;

/// Where the time comes from.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The system's clock.
    System,
    /// A clock that a test sets; it stands still in between.
    Set(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands at `now` until it is set.
    pub fn standing_at(now: Timestamp) -> Self {
        Self::Set(Arc::new(AtomicI64::new(now.unix())))
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => Timestamp::from_unix(system_seconds()),
            Self::Set(seconds) => Timestamp::from_unix(seconds.load(Ordering::Relaxed)),
        }
    }

    /// Sets a test's clock; the system's stays what it is.
    pub fn set(&self, now: Timestamp) {
        if let Self::Set(seconds) = self {
            seconds.store(now.unix(), Ordering::Relaxed);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the place that the rule names")]
fn system_seconds() -> i64 {
    // A clock before 1970 is a broken one; certificates made then would be refused by everybody, as they should be.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX))
}
