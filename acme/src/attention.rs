//! When somebody should look at a certificate, at the earliest: so that a look at a whole fleet need not judge each of
//! its certificates. Never too late, sometimes too early; what is to be thought of one that is looked at, [`crate::renewal`]
//! says.

use std::time::Duration;

use crate::renewal::due;
use crate::renewal_info::{Facts, window};
use crate::time::Timestamp;

/// Until when a certificate is fresh for certain: before the window in which its renewal is suggested, and before it is
/// due by its lifetime alone.
pub fn fresh_until(facts: &Facts<'_>) -> Timestamp {
    let life = facts.not_after.seconds_since(facts.not_before).max(0).unsigned_abs();
    let due = due(facts.not_before, facts.not_after).minus(Duration::from_secs(life / SLACK));
    window(facts).start.min(due)
}

/// From when on a client is silent that last polled at a moment (RFC 9773), and does so every now and then: when it has
/// missed three of its turns, and never within a day and a half, in which a laptop may sleep and a host be moved.
pub fn silent_from(polled_at: Timestamp, polled_every: Option<Duration>) -> Timestamp {
    polled_at.plus((polled_every.unwrap_or_default() * SILENT_TURNS).max(SILENT_LEAST))
}

/// How many of its turns a client has missed that is silent.
pub const SILENT_TURNS: u32 = 3;
/// How long a client says nothing at least before it is silent.
pub const SILENT_LEAST: Duration = Duration::from_secs(36 * 3_600);
/// A lifetime's part by which the first state after `fresh` may begin before the renewal is due.
const SLACK: u64 = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Serial;
    use crate::renewal::{State, Thresholds, state};

    #[test]
    fn nothing_leaves_fresh_before_that_and_little_is_looked_at_long_before() {
        for (life, least) in
            [(600, 0.3), (86_400, 0.4), (7 * 86_400, 0.2), (30 * 86_400, 0.55), (90 * 86_400, 0.6)]
        {
            for number in 0..200_u32 {
                let serial = Serial::from_bytes(&number.to_be_bytes());
                let not_after = Timestamp::from_unix(life);
                let facts = Facts {
                    serial: &serial,
                    not_before: Timestamp::EPOCH,
                    not_after,
                    revoked_at: None,
                    asked: None,
                };
                let until = fresh_until(&facts);
                let before = until.minus(Duration::from_secs(1));
                let standing = state(Timestamp::EPOCH, not_after, Thresholds::default(), before);
                assert_eq!(standing, State::Fresh, "{life} s");
                let part =
                    f64::from(u32::try_from(until.unix()).unwrap()) / f64::from(u32::try_from(life).unwrap());
                assert!(part >= least, "{life} s: {part}");
            }
        }
    }

    #[test]
    fn a_client_may_miss_turns_and_sleep_a_night_before_it_is_silent() {
        let hours = |hours: u64| Duration::from_secs(hours * 3_600);
        let silent = |every| silent_from(Timestamp::EPOCH, every).unix() / 3_600;
        assert_eq!([silent(None), silent(Some(hours(6))), silent(Some(hours(24)))], [36, 36, 72]);
    }
}
