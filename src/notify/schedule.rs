//! When people want to be left alone, and when they want to read what could wait. Time of day is UTC moved by an offset
//! that the configuration names: there is no database of time zones here, and so no hour that happens twice.

use std::time::Duration;

use acme::time::Timestamp;

/// Quiet hours and the time of the digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// From and to, in seconds of the day; the end may lie before the beginning, on the next morning.
    quiet: Option<(i64, i64)>,
    /// The day of the week, counted from Monday, or every day; and the second of that day.
    digest: (Option<i64>, i64),
    /// What is added to UTC, in seconds.
    offset: i64,
}

impl Default for Schedule {
    /// No quiet hours; a digest every day at 08:00 UTC.
    fn default() -> Self {
        Self { quiet: None, digest: (None, 8 * HOUR), offset: 0 }
    }
}

impl Schedule {
    /// Adds quiet hours, `22:30-07:30`.
    ///
    /// # Errors
    /// What would do instead.
    pub fn with_quiet(self, text: &str) -> Result<Self, String> {
        let refuse = || format!("{text} is no span of a day; 22:30-07:30 would do");
        let (from, to) = text.split_once('-').ok_or_else(refuse)?;
        let quiet = (time_of_day(from).ok_or_else(refuse)?, time_of_day(to).ok_or_else(refuse)?);
        if quiet.0 == quiet.1 {
            return Err(format!("{text} is nothing or everything; 22:30-07:30 would do"));
        }
        Ok(Self { quiet: Some(quiet), ..self })
    }

    /// Sets when the digest is made, `08:00` or `mon 08:00`.
    ///
    /// # Errors
    /// What would do instead.
    pub fn with_digest(self, text: &str) -> Result<Self, String> {
        let refuse =
            || format!("{text} is no time; 08:00 for every day or 'mon 08:00' for every week would do");
        let (day, time) = match text.split_once(' ') {
            None => (None, text),
            Some((day, time)) => {
                let day = DAYS.iter().position(|name| *name == day).ok_or_else(refuse)?;
                (i64::try_from(day).ok(), time)
            }
        };
        Ok(Self { digest: (day, time_of_day(time).ok_or_else(refuse)?), ..self })
    }

    /// Sets what is added to UTC, `+01:00`.
    ///
    /// # Errors
    /// What would do instead.
    pub fn with_offset(self, text: &str) -> Result<Self, String> {
        let refuse = || format!("{text} is no offset from UTC; +01:00 would do");
        let (sign, time) = match text.split_at_checked(1) {
            Some(("+", time)) => (1, time),
            Some(("-", time)) => (-1, time),
            _ => return Err(refuse()),
        };
        let seconds = time_of_day(time).filter(|seconds| *seconds <= 14 * HOUR).ok_or_else(refuse)?;
        Ok(Self { offset: sign * seconds, ..self })
    }

    /// Whether people want to be left alone at this moment, unless it is critical.
    pub fn is_quiet(&self, at: Timestamp) -> bool {
        let Some((from, to)) = self.quiet else { return false };
        let second = (at.unix() + self.offset).rem_euclid(DAY);
        if from < to { (from..to).contains(&second) } else { second >= from || second < to }
    }

    /// When quiet hours that hold at this moment end; the moment itself when there are none.
    pub fn quiet_until(&self, at: Timestamp) -> Timestamp {
        match self.quiet {
            Some((_, to)) if self.is_quiet(at) => self.next(to, None, at),
            _ => at,
        }
    }

    /// When the next digest is due, later than `after`.
    pub fn next_digest(&self, after: Timestamp) -> Timestamp {
        let (day, second) = self.digest;
        self.next(second, day, after)
    }

    /// The next moment after `after` at this second of the day, on this day of the week if there is one.
    fn next(&self, second: i64, day: Option<i64>, after: Timestamp) -> Timestamp {
        let local = after.unix() + self.offset;
        let midnight = local - local.rem_euclid(DAY);
        let found = (0..=7).map(|days| midnight + days * DAY + second).find(|moment| {
            // 1970-01-01 was a Thursday.
            let weekday = (moment.div_euclid(DAY) + 3).rem_euclid(7);
            *moment > local && day.is_none_or(|day| day == weekday)
        });
        match found {
            Some(moment) => Timestamp::from_unix(moment - self.offset),
            // Exactly now on that day of the week, a week ago.
            None => after.plus(Duration::from_secs(7 * 86_400)),
        }
    }
}

/// `HH:MM` in seconds of the day.
fn time_of_day(text: &str) -> Option<i64> {
    let (hours, minutes) = text.trim().split_once(':')?;
    let two = |digits: &str| {
        let fits = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit());
        fits.then(|| digits.parse::<i64>().ok()).flatten()
    };
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    (hours < 24 && minutes < 60).then_some(hours * HOUR + minutes * 60)
}

const HOUR: i64 = 3_600;
const DAY: i64 = 86_400;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    #[test]
    fn quiet_hours_may_reach_over_midnight_and_follow_the_offset() {
        let night = Schedule::default().with_quiet("22:30-07:30").unwrap();
        for (time, quiet) in [
            ("2026-11-22T22:29:59Z", false),
            ("2026-11-22T22:30:00Z", true),
            ("2026-11-23T00:00:00Z", true),
            ("2026-11-23T07:29:59Z", true),
            ("2026-11-23T07:30:00Z", false),
        ] {
            assert_eq!(night.is_quiet(at(time)), quiet, "{time}");
        }
        assert_eq!(night.quiet_until(at("2026-11-22T23:00:00Z")), at("2026-11-23T07:30:00Z"));
        assert_eq!(night.quiet_until(at("2026-11-22T12:00:00Z")), at("2026-11-22T12:00:00Z"));
        let east = night.with_offset("+02:00").unwrap();
        assert!(east.is_quiet(at("2026-11-22T20:30:00Z")) && !east.is_quiet(at("2026-11-22T05:30:00Z")));
        let noon = Schedule::default().with_quiet("12:00-13:00").unwrap();
        assert!(noon.is_quiet(at("2026-11-22T12:30:00Z")) && !noon.is_quiet(at("2026-11-22T13:00:00Z")));
        assert!(!Schedule::default().is_quiet(at("2026-11-22T03:00:00Z")));
    }

    #[test]
    fn the_digest_comes_daily_or_weekly() {
        let daily = Schedule::default();
        assert_eq!(daily.next_digest(at("2026-11-22T07:59:59Z")), at("2026-11-22T08:00:00Z"));
        assert_eq!(daily.next_digest(at("2026-11-22T08:00:00Z")), at("2026-11-23T08:00:00Z"));
        // 2026-11-23 is a Monday.
        let weekly = Schedule::default().with_digest("mon 08:00").unwrap();
        assert_eq!(weekly.next_digest(at("2026-11-22T07:00:00Z")), at("2026-11-23T08:00:00Z"));
        assert_eq!(weekly.next_digest(at("2026-11-23T08:00:00Z")), at("2026-11-30T08:00:00Z"));
        assert_eq!(weekly.next_digest(at("2026-11-23T09:00:00Z")), at("2026-11-30T08:00:00Z"));
        let west = weekly.with_offset("-05:00").unwrap();
        assert_eq!(west.next_digest(at("2026-11-22T07:00:00Z")), at("2026-11-23T13:00:00Z"));
    }

    #[test]
    fn what_is_no_time_is_refused_with_what_would_do() {
        let schedule = Schedule::default;
        for text in ["", "22:30", "22:30-24:00", "9:00-10:00", "07:00-07:00", "a-b", "+1:00-02:00"] {
            assert!(schedule().with_quiet(text).unwrap_err().contains("22:30-07:30"), "{text}");
        }
        for text in ["", "8", "monday 08:00", "mon", "mon 25:00", "08:60"] {
            assert!(schedule().with_digest(text).unwrap_err().contains("08:00"), "{text}");
        }
        for text in ["", "01:00", "+15:00", "+1", "Europe/Berlin", "é1:00"] {
            assert!(schedule().with_offset(text).unwrap_err().contains("+01:00"), "{text}");
        }
    }
}
