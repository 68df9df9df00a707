//! When people are to be told: not in their quiet hours, unless it is bad, and little things once a day or a week.

use acme::severity::Severity;
use acme::time::Timestamp;

/// When people are to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Seconds east of UTC, for the hours below.
    pub offset: i32,
    /// From which minute of the day to which nobody is told what can wait; over midnight if the second is the smaller.
    pub quiet: Option<(u32, u32)>,
    /// At which minute of the day the digest goes out.
    pub digest: u32,
    /// On which day, Monday being 0; every day without.
    pub weekday: Option<u32>,
    /// Whether what is only worth knowing waits for the digest.
    pub info_waits: bool,
}

/// A digest each day at eight, and no quiet hours.
impl Default for Schedule {
    fn default() -> Self {
        Self { offset: 0, quiet: None, digest: 8 * 60, weekday: None, info_waits: true }
    }
}

impl Schedule {
    /// Until when somebody is not to be told of something so bad; nothing when they may be told at once.
    pub(super) fn quiet_until(&self, severity: Severity, now: Timestamp) -> Option<Timestamp> {
        let (from, to) = self.quiet.filter(|_| severity <= Severity::Warning)?;
        let (from, to) = (i64::from(from) * 60, i64::from(to) * 60);
        let second = self.second_of_day(now);
        let left = match from <= to {
            true if (from..to).contains(&second) => to - second,
            false if second >= from => to + DAY - second,
            false if second < to => to - second,
            _ => return None,
        };
        Some(Timestamp::from_unix(now.unix() + left))
    }

    /// The first digest after a moment.
    pub(super) fn digest_after(&self, moment: Timestamp) -> Timestamp {
        let second = self.second_of_day(moment);
        let mut at = moment.unix() - second + i64::from(self.digest) * 60;
        while at <= moment.unix() || self.weekday.is_some_and(|day| self.weekday_of(at) != i64::from(day % 7))
        {
            at += DAY;
        }
        Timestamp::from_unix(at)
    }

    fn second_of_day(&self, moment: Timestamp) -> i64 {
        (moment.unix() + i64::from(self.offset)).rem_euclid(DAY)
    }

    /// Monday is 0; 1970 began on a Thursday.
    fn weekday_of(&self, unix: i64) -> i64 {
        ((unix + i64::from(self.offset)).div_euclid(DAY) + 3).rem_euclid(7)
    }
}

const DAY: i64 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    #[test]
    fn quiet_hours_reach_over_midnight_and_hold_back_no_more_than_warnings() {
        let night = Schedule { quiet: Some((22 * 60 + 30, 7 * 60 + 30)), ..Schedule::default() };
        let until = |severity, text| night.quiet_until(severity, at(text));
        let morning = Some(at("2026-11-24T07:30:00Z"));
        assert_eq!(until(Severity::Warning, "2026-11-23T22:30:00Z"), morning);
        assert_eq!(until(Severity::Info, "2026-11-24T07:29:59Z"), morning);
        assert_eq!(until(Severity::Warning, "2026-11-24T07:30:00Z"), None);
        assert_eq!(until(Severity::Critical, "2026-11-24T03:00:00Z"), None);
        let noon = Schedule { quiet: Some((12 * 60, 13 * 60)), offset: 3_600, ..Schedule::default() };
        assert_eq!(
            noon.quiet_until(Severity::Warning, at("2026-11-24T11:10:00Z")),
            Some(at("2026-11-24T12:00:00Z"))
        );
    }

    #[test]
    fn a_digest_comes_each_day_or_on_its_day() {
        let daily = Schedule::default();
        assert_eq!(daily.digest_after(at("2026-11-24T07:59:59Z")), at("2026-11-24T08:00:00Z"));
        assert_eq!(daily.digest_after(at("2026-11-24T08:00:00Z")), at("2026-11-25T08:00:00Z"));
        // 2026-11-24 is a Tuesday.
        let weekly = Schedule { weekday: Some(0), ..daily };
        assert_eq!(weekly.digest_after(at("2026-11-24T07:00:00Z")), at("2026-11-30T08:00:00Z"));
    }
}
