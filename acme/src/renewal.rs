//! Which certificates need attention: the state of a certificate without a successor, as a function of its lifetime
//! and `now`. What clients do is the measure: they renew at two thirds (RFC 9773's window, Boulder's and lego's rule),
//! at half when the lifetime is under ten days, and they try again about once a day.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::renewal_info::Window;
use crate::time::Timestamp;

mod standing;

pub use standing::{Standing, standing};

/// The used parts of a lifetime at which a certificate without a successor is overdue, and critical.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// From here it is overdue: 0.80 unless configured.
    pub warn: f64,
    /// From here it is critical: 0.93 unless configured.
    pub critical: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { warn: 0.80, critical: 0.93 }
    }
}

/// How a certificate stands that has no successor, from the best to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Its renewal is not due.
    Fresh,
    /// Clients renew about now.
    Due,
    /// They should have, some tries ago.
    Late,
    /// Somebody should look.
    Overdue,
    /// Somebody must look.
    Critical,
    /// Too late.
    Expired,
}

impl State {
    /// Every state.
    pub const ALL: &'static [State] =
        &[State::Fresh, State::Due, State::Late, State::Overdue, State::Critical, State::Expired];

    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Fresh => "fresh",
            State::Due => "due",
            State::Late => "late",
            State::Overdue => "overdue",
            State::Critical => "critical",
            State::Expired => "expired",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.as_str() == word)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The used part of a lifetime, from 0 at its beginning to 1 at its end and above.
pub fn used(not_before: Timestamp, not_after: Timestamp, now: Timestamp) -> f64 {
    let lifetime = seconds(not_after.seconds_since(not_before)).max(1.0);
    (seconds(now.seconds_since(not_before)) / lifetime).max(0.0)
}

/// When the renewal is due: two thirds of the lifetime, half of one under ten days.
pub fn due(not_before: Timestamp, not_after: Timestamp) -> Timestamp {
    let lifetime = not_after.seconds_since(not_before);
    let span = if lifetime < 10 * DAY { lifetime / 2 } else { lifetime / 3 * 2 };
    Timestamp::from_unix(not_before.unix() + span)
}

/// The state of a certificate without a successor, by its dates alone; [`standing`] knows more.
pub fn state(not_before: Timestamp, not_after: Timestamp, thresholds: Thresholds, now: Timestamp) -> State {
    state_with(not_before, not_after, None, thresholds, now)
}

/// The same where its owner may want thresholds of their `own`, which go before the `configured` ones, and apply to lifetimes
/// over 150 days as well, which otherwise count days.
pub fn state_with(
    not_before: Timestamp,
    not_after: Timestamp,
    own: Option<Thresholds>,
    configured: Thresholds,
    now: Timestamp,
) -> State {
    let lifetime = not_after.seconds_since(not_before);
    let interval = client_interval(lifetime);
    let window = usual_window(not_before, not_after);
    let limits = Limits::new(lifetime, own, configured);
    Turns::new(not_before, not_after, window, limits, interval).state(now)
}

/// When a state begins, each but the first.
#[derive(Clone, Copy, Debug)]
struct Turns {
    due: Timestamp,
    late: Timestamp,
    overdue: Timestamp,
    critical: Timestamp,
    not_after: Timestamp,
}

/// From when somebody should look, and must.
#[derive(Clone, Copy, Debug)]
enum Limits {
    /// Parts of the lifetime.
    Parts(Thresholds),
    /// A fifth of a long lifetime is longer than anybody plans: thirty days before the end, and ten.
    Days,
}

impl Limits {
    fn new(lifetime: i64, own: Option<Thresholds>, configured: Thresholds) -> Self {
        match own {
            Some(own) => Self::Parts(own),
            None if lifetime > LONG => Self::Days,
            None => Self::Parts(configured),
        }
    }
}

impl Turns {
    fn new(
        not_before: Timestamp,
        not_after: Timestamp,
        window: Window,
        limits: Limits,
        interval: i64,
    ) -> Self {
        let lifetime = not_after.seconds_since(not_before);
        let (overdue, critical) = match limits {
            Limits::Parts(thresholds) => {
                let overdue = part(not_before, lifetime, thresholds.warn);
                // Less than two tries of the client are left.
                let tries = later(not_after, 1 - 2 * interval);
                (overdue, part(not_before, lifetime, thresholds.critical).min(tries).max(overdue))
            }
            Limits::Days => (later(not_after, -30 * DAY), later(not_after, -10 * DAY)),
        };
        let late = later(window.end, interval.max(lifetime / 50) + 1);
        Self { due: window.start, late, overdue, critical, not_after }
    }

    fn state(&self, now: Timestamp) -> State {
        match now {
            // RFC 5280 4.1.2.5: the last second of `notAfter` still counts.
            now if now > self.not_after => State::Expired,
            now if now >= self.critical => State::Critical,
            now if now >= self.overdue => State::Overdue,
            now if now >= self.late => State::Late,
            now if now >= self.due => State::Due,
            _ => State::Fresh,
        }
    }
}

/// The window of clients that ask for none: one part in a hundred to either side, as Boulder's is.
fn usual_window(not_before: Timestamp, not_after: Timestamp) -> Window {
    let due = due(not_before, not_after);
    let width = not_after.seconds_since(not_before) / 100;
    Window { start: later(due, -width), end: later(due, width) }
}

/// The first second at which so much of a lifetime is used.
#[expect(clippy::cast_possible_truncation, reason = "a part of a span between certificate dates")]
fn part(not_before: Timestamp, lifetime: i64, part: f64) -> Timestamp {
    later(not_before, (seconds(lifetime) * part).ceil() as i64)
}

fn later(moment: Timestamp, span: i64) -> Timestamp {
    Timestamp::from_unix(moment.unix().saturating_add(span))
}

/// How often a client of such a certificate tries: once a day (the timer of NixOS and of certbot), once an hour when
/// the lifetime leaves no room for days.
fn client_interval(lifetime: i64) -> i64 {
    if lifetime < 3 * DAY { HOUR } else { DAY }
}

#[expect(clippy::cast_precision_loss, reason = "spans between certificate dates are far below 2^52 seconds")]
fn seconds(span: i64) -> f64 {
    span as f64
}

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;
const LONG: i64 = 150 * DAY;

#[cfg(test)]
mod tests {
    use super::*;

    /// The state after so many hours of a lifetime of so many days.
    fn at(days: i64, hours: i64) -> State {
        let end = Timestamp::from_unix(days * DAY - 1);
        state(Timestamp::EPOCH, end, Thresholds::default(), Timestamp::from_unix(hours * HOUR))
    }

    #[test]
    fn states_follow_the_lifetime() {
        use State::*;
        let table = [
            // 90 days: due at 59.1 d, late at 62.7 d, overdue with 18 d left, critical with 6.3 d left
            (
                90,
                &[(0, Fresh), (1_410, Fresh), (1_440, Due), (1_500, Due), (1_520, Late), (1_740, Overdue)][..],
            ),
            (90, &[(2_000, Overdue), (2_020, Critical), (2_159, Critical), (2_161, Expired)][..]),
            // 7 days: half is due, and a daily client has one try left at four fifths
            (7, &[(80, Fresh), (84, Due), (115, Late), (135, Critical), (169, Expired)][..]),
            // 24 hours
            (1, &[(11, Fresh), (12, Due), (14, Late), (20, Overdue), (23, Critical), (25, Expired)][..]),
            // 10 years: by days left
            (3_650, &[(0, Fresh), (3_600 * 24, Late), (3_621 * 24, Overdue), (3_641 * 24, Critical)][..]),
        ];
        for (days, rows) in table {
            for (hours, expected) in rows {
                assert_eq!(at(days, *hours), *expected, "{days} d after {hours} h");
            }
        }
    }

    #[test]
    fn an_owners_thresholds_go_first_and_apply_to_long_lives_too() {
        let own = Some(Thresholds { warn: 0.5, critical: 0.7 });
        let state = |days: i64, own, day: i64| {
            let end = Timestamp::from_unix(days * DAY - 1);
            state_with(Timestamp::EPOCH, end, own, Thresholds::default(), Timestamp::from_unix(day * DAY))
        };
        assert_eq!([state(90, None, 46), state(90, own, 46)], [State::Fresh, State::Overdue]);
        assert_eq!([state(365, None, 183), state(365, own, 183)], [State::Fresh, State::Overdue]);
        assert_eq!(state(365, own, 256), State::Critical);
    }

    #[test]
    fn the_last_second_still_counts() {
        let end = Timestamp::from_unix(DAY);
        let at = |now| state(Timestamp::EPOCH, end, Thresholds::default(), Timestamp::from_unix(now));
        assert_eq!(at(DAY), State::Critical);
        assert_eq!(at(DAY + 1), State::Expired);
    }

    #[test]
    fn a_state_never_gets_better_by_waiting() {
        for days in [1, 7, 30, 90, 365, 3_650] {
            let mut worst = State::Fresh;
            for hours in 0..=days * 24 + 1 {
                let now = at(days, hours);
                assert!(now >= worst, "{days} d after {hours} h: {now} after {worst}");
                worst = now;
            }
        }
    }

    #[test]
    fn every_word_is_read_back() {
        for state in State::ALL {
            assert_eq!(State::parse(state.as_str()), Some(*state));
        }
    }
}
