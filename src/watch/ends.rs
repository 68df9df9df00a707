//! When the end of what the CA itself stands on is near: its issuers and root, its lists of what is revoked. The same for alerts
//! and for `ca-ctl check ca`.

use std::time::Duration;

use acme::severity::Severity;
use acme::time::Timestamp;

/// How much has to be left, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Near {
    /// With less, somebody should look.
    pub warning: i64,
    /// With less, somebody must.
    pub critical: i64,
}

impl Near {
    /// For an issuer or the root. What is issued must end before them: from then on, less than the longest life that a profile
    /// gives is left, and a month before that there is something to do.
    pub fn authority(longest: Duration) -> Self {
        let longest = i64::try_from(longest.as_secs()).unwrap_or(i64::MAX / 4);
        Self { warning: longest + MONTH, critical: FORTNIGHT }
    }

    /// For a list of what is revoked: a third of its period, and then nothing.
    pub fn list(this_update: Timestamp, next_update: Timestamp) -> Self {
        Self { warning: next_update.seconds_since(this_update).max(1) / 3, critical: 0 }
    }

    /// How bad it is that it ends then, and since when; nothing while it is far.
    pub fn judge(self, end: Timestamp, now: Timestamp) -> Option<(Severity, Timestamp)> {
        let left = end.seconds_since(now);
        let (severity, limit) = match left {
            left if left < self.critical => (Severity::Critical, self.critical),
            left if left < self.warning => (Severity::Warning, self.warning),
            _ => return None,
        };
        Some((severity, Timestamp::from_unix(end.unix() - limit)))
    }
}

const DAY: i64 = 86_400;
const FORTNIGHT: i64 = 14 * DAY;
const MONTH: i64 = 30 * DAY;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix(1_800_000_000 + seconds)
    }

    #[test]
    fn an_authority_is_near_its_end_a_month_before_it_cuts_lives_short() {
        let near = Near::authority(Duration::from_secs(90 * 86_400));
        let left = |days: i64| near.judge(at(days * DAY), at(0));
        assert_eq!(left(120), None);
        assert_eq!(left(119), Some((Severity::Warning, at(-DAY))));
        assert_eq!(left(14), Some((Severity::Warning, at(-106 * DAY))));
        assert_eq!(left(13), Some((Severity::Critical, at(-DAY))));
    }

    #[test]
    fn a_list_is_old_after_two_thirds_of_its_period() {
        let near = Near::list(at(0), at(9 * DAY));
        let after = |days: i64| near.judge(at(9 * DAY), at(days * DAY));
        assert_eq!(after(6), None);
        assert_eq!(after(7), Some((Severity::Warning, at(6 * DAY))));
        assert_eq!(after(9), Some((Severity::Warning, at(6 * DAY))));
        assert_eq!(after(10), Some((Severity::Critical, at(9 * DAY))));
    }
}
