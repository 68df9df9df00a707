//! What became of one try to tell somebody something, in words that say what to do next, whatever the sink.

use std::time::Duration;

/// What became of a try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is where it should be.
    Delivered(Receipt),
    /// Not now; the same message may well arrive later.
    Retry {
        /// What stood in the way.
        trouble: Trouble,
        /// When the server wants to be asked again, when it said so.
        after: Option<Duration>,
        /// A sentence about it.
        why: String,
    },
    /// This message will never be taken as it is: it is sent once more in a plainer form, and then no more.
    Refused {
        /// A sentence about it.
        why: String,
    },
    /// Nothing is taken from us: the credentials are wrong, or a file that holds them is missing.
    Broken {
        /// A sentence about it.
        why: String,
    },
}

/// What a server said when it took a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// What the server calls the message.
    pub id: Option<String>,
    /// Whether the server gave our sequence id back: it puts later messages in the place of earlier ones. `None` where
    /// that is no question.
    pub echoes_sequence: Option<bool>,
    /// What the server seems to be.
    pub server: Option<String>,
    /// What is wrong with the server's certificate, when its key was believed all the same.
    pub objection: Option<String>,
}

/// What stands in the way of a delivery that may succeed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The server has enough of us for now (429).
    Busy,
    /// The server cannot, or is not what it should be.
    Server,
    /// The server cannot be found or reached.
    Network,
    /// The server's certificate is none that we trust, or TLS failed otherwise.
    Tls,
}

impl Trouble {
    /// Every one.
    pub const ALL: &'static [Self] = &[Self::Busy, Self::Server, Self::Network, Self::Tls];

    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Server => "server",
            Self::Network => "network",
            Self::Tls => "tls",
        }
    }
}

impl Outcome {
    pub(super) fn retry(trouble: Trouble, why: impl Into<String>) -> Self {
        Self::Retry { trouble, after: None, why: why.into() }
    }

    /// The stable word, for logs, metrics and tables.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Delivered(_) => "delivered",
            Self::Retry { trouble, .. } => trouble.as_str(),
            Self::Refused { .. } => "refused",
            Self::Broken { .. } => "broken",
        }
    }

    /// Why it did not arrive.
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Delivered(_) => None,
            Self::Retry { why, .. } | Self::Refused { why } | Self::Broken { why } => Some(why),
        }
    }
}

/// How long to wait before a sink is tried again that has failed so many times in a row. `jitter` is from 0 to 1, so that
/// several do not come back at the same moment.
pub fn back_off(trouble: Trouble, failures: u32, after: Option<Duration>, jitter: f64) -> Duration {
    let longest = match trouble {
        Trouble::Busy => LONGEST_BUSY,
        Trouble::Server | Trouble::Network | Trouble::Tls => LONGEST,
    };
    let doubled = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(longest);
    // Never sooner than the bucket of a server refills.
    let spread = doubled.mul_f64(1.0 + 0.25 * jitter.clamp(0.0, 1.0)).min(longest);
    // A server that names a day is asked hourly all the same: somebody may have repaired it.
    spread.max(after.unwrap_or_default().min(HOURLY))
}

/// Credentials that were wrong so many times in a row are given up but for one try an hour: each failure counts against
/// us at the server.
pub const CREDENTIAL_TRIES: u32 = 3;
/// How often what is given up is tried.
pub const HOURLY: Duration = Duration::from_secs(3_600);
/// ntfy's bucket gets one request every five seconds.
const FIRST: Duration = Duration::from_secs(5);
const LONGEST_BUSY: Duration = Duration::from_secs(600);
const LONGEST: Duration = Duration::from_secs(900);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_from_five_seconds_and_have_an_end() {
        let wait = |trouble, failures| back_off(trouble, failures, None, 0.0).as_secs();
        let busy: Vec<u64> = (1..=9).map(|n| wait(Trouble::Busy, n)).collect();
        assert_eq!(busy, [5, 10, 20, 40, 80, 160, 320, 600, 600]);
        assert_eq!(wait(Trouble::Network, 8), 640);
        assert_eq!(wait(Trouble::Tls, 9), 900);
        assert_eq!(wait(Trouble::Server, u32::MAX), 900);
        assert_eq!(wait(Trouble::Server, 0), 5);
    }

    #[test]
    fn jitter_and_the_servers_word_only_make_it_longer() {
        let wait = |after, jitter| back_off(Trouble::Busy, 1, after, jitter);
        assert_eq!(wait(None, 1.0), Duration::from_millis(6_250));
        assert_eq!(wait(None, 9.0), Duration::from_millis(6_250));
        assert_eq!(wait(Some(Duration::from_secs(90)), 0.0), Duration::from_secs(90));
        assert_eq!(wait(Some(Duration::from_secs(86_400)), 0.0), HOURLY);
    }
}
