//! How a lineage stands: the state of its certificate by everything that is known of its client, which is more than the
//! dates say. When it asked, in which window; how often it comes; when it came before; which thresholds its owner wants.

use std::time::Duration;

use crate::cadence;
use crate::lineage::Lineage;
use crate::renewal::{DAY, Limits, State, Thresholds, Turns};
use crate::renewal::{client_interval, due, later, used, usual_window};
use crate::renewal_info::Window;
use crate::time::Timestamp;

/// How a lineage stands at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// From fresh to expired. It never gets better while only time passes.
    pub state: State,
    /// The used part of the lifetime, from 0 at its beginning to 1 at its end and above.
    pub used: f64,
    /// When the renewal is due, by the lifetime.
    pub due: Timestamp,
    /// When this client is to renew: the window of RFC 9773 if it polls, else about `due`.
    pub window: Window,
    /// When the renewal is expected at the latest: the end of the window, or twice the client's usual distance after
    /// its last issuance where that is known and sooner.
    pub expected: Timestamp,
    /// From when it is late.
    pub late_at: Timestamp,
    /// From when somebody should look.
    pub overdue_at: Timestamp,
    /// From when somebody must.
    pub critical_at: Timestamp,
    /// How often the client tries, learnt from its polls, else from its issuances, else what is usual.
    pub interval: Duration,
    /// How far its issuances lie apart, once there are three distances.
    pub cadence: Option<Duration>,
}

/// How a lineage stands `now`; nothing when it has no certificate. Its own thresholds go before the `configured` ones,
/// and apply to lifetimes over 150 days as well, which otherwise count days.
pub fn standing(lineage: &Lineage, configured: Thresholds, now: Timestamp) -> Option<Standing> {
    let current = lineage.current.as_ref()?;
    let (begin, end) = (current.not_before, current.not_after);
    let lifetime = end.seconds_since(begin);
    let cadence = cadence::learnt(&lineage.past);
    let interval = interval(lineage, cadence, lifetime);
    // Who never asked for the window cannot keep to it.
    let window = if lineage.polled_at.is_some() { current.window } else { usual_window(begin, end) };
    let limits = Limits::new(lifetime, lineage.care.thresholds, configured);
    let mut turns = Turns::new(begin, end, window, limits, interval);
    let distance = cadence.map(seconds);
    if let Some(distance) = distance {
        // A client whose habit it is to come later than the window is not late before it would come.
        let grace = turns.late.seconds_since(window.end);
        turns.late = turns.late.max(later(current.issued_at, distance.saturating_add(grace)));
    }
    // Issuances by hand lie minutes apart and say nothing.
    let habit = distance.map(|distance| later(current.issued_at, 2 * distance.max(interval)));
    Some(Standing {
        state: turns.state(now),
        used: used(begin, end, now),
        due: due(begin, end),
        window,
        expected: habit.map_or(window.end, |habit| habit.min(window.end)),
        late_at: turns.late,
        overdue_at: turns.overdue,
        critical_at: turns.critical,
        interval: Duration::from_secs(interval.unsigned_abs()),
        cadence,
    })
}

/// How often the client tries, in seconds. Polls say it best. A client that renews long before it must comes at every turn
/// of its timer, so its issuances say it as well.
fn interval(lineage: &Lineage, cadence: Option<Duration>, lifetime: i64) -> i64 {
    let usual = client_interval(lifetime);
    let early = lifetime / 4;
    let learnt = match (lineage.polled_every, cadence.map(seconds)) {
        (Some(polls), _) => seconds(polls),
        (None, Some(distance)) if distance >= usual / 2 && distance < early => distance,
        _ => usual,
    };
    // One that asks all the time tries no more often than it can be answered; one that asks once a year still has a
    // lifetime.
    learnt.clamp(LEAST, lifetime.clamp(LEAST, 30 * DAY))
}

fn seconds(span: Duration) -> i64 {
    i64::try_from(span.as_secs()).unwrap_or(i64::MAX / 4)
}

/// Nobody is taken to try more often: ten minutes, as Caddy looks.
const LEAST: i64 = 600;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cadence::Past;
    use crate::id::Serial;
    use crate::lineage::{Care, Current};
    use crate::renewal::HOUR;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_unix(hours * HOUR)
    }

    /// A lineage with one certificate of so many days, from 1970.
    fn lineage(days: i64) -> Lineage {
        let (not_before, not_after) = (Timestamp::EPOCH, Timestamp::from_unix(days * DAY - 1));
        let current = Current {
            serial: Serial::mint([1; 16]),
            issuer: "0011".into(),
            account: None,
            not_before,
            not_after,
            issued_at: not_before,
            downloaded_at: None,
            window: usual_window(not_before, not_after),
        };
        Lineage { names: vec!["a.lan".into()], current: Some(current), ..Lineage::default() }
    }

    /// The same after issuances so many hours apart, the last of them the current one.
    fn renewed(days: i64, apart: i64) -> Lineage {
        let past = |n: i64| Past {
            issued_at: at(-n * apart),
            not_before: at(-n * apart),
            not_after: at(days * 24 - n * apart),
        };
        Lineage { past: (0..5).map(past).collect(), ..lineage(days) }
    }

    fn stands(lineage: &Lineage, hours: i64) -> Standing {
        standing(lineage, Thresholds::default(), at(hours)).unwrap()
    }

    #[test]
    fn a_lineage_without_history_stands_as_its_dates_do() {
        for days in [1, 7, 30, 90, 3_650] {
            let lineage = lineage(days);
            let end = Timestamp::from_unix(days * DAY - 1);
            for hours in (0..=days * 24 + 2).step_by(usize::try_from(1 + days / 100).unwrap()) {
                let plain = crate::renewal::state(Timestamp::EPOCH, end, Thresholds::default(), at(hours));
                assert_eq!(stands(&lineage, hours).state, plain, "{days} d after {hours} h");
            }
        }
    }

    #[test]
    fn the_turns_of_each_lifetime_are_those_of_the_table() {
        // lifetime in days; hours of: due, late, overdue, critical.
        for (days, due, late, overdue, critical) in [
            (1, 12, 13.24, 19.2, 22.0),
            (7, 84, 109.68, 134.4, 134.4),
            (30, 480, 511.2, 576.0, 669.6),
            (90, 1_440, 1_504.8, 1_728.0, 2_008.8),
            (3_650, 58_400, 61_028.0, 86_880.0, 87_360.0),
        ] {
            let standing = stands(&lineage(days), 0);
            for (what, moment, hours) in [
                ("due", standing.due, f64::from(due)),
                ("late", standing.late_at, late),
                ("overdue", standing.overdue_at, overdue),
                ("critical", standing.critical_at, critical),
            ] {
                #[expect(clippy::cast_precision_loss, reason = "hours")]
                let found = moment.unix() as f64 / 3_600.0;
                assert!((found - hours).abs() < 0.02, "{days} d is {what} after {found} h, not {hours}");
            }
        }
    }

    #[test]
    fn no_standing_gets_better_by_waiting() {
        for days in [1, 7, 30, 90, 365, 3_650] {
            for apart in [0, 12, 24, days * 16, days * 23] {
                let mut lineage = renewed(days, apart);
                for polled in [None, Some(Duration::from_secs(60)), Some(Duration::from_secs(86_400 * 9))] {
                    lineage.polled_at = polled.map(|_| at(0));
                    lineage.polled_every = polled;
                    let mut worst = State::Fresh;
                    for hours in 0..=days * 24 + 1 {
                        let state = stands(&lineage, hours).state;
                        assert!(state >= worst, "{days} d, {apart} h apart, {polled:?}, after {hours} h");
                        worst = state;
                    }
                }
            }
        }
    }

    #[test]
    fn a_daily_client_is_expected_the_day_after_tomorrow() {
        let standing = stands(&renewed(30, 24), 1);
        assert_eq!((standing.expected, standing.interval.as_secs()), (at(48), 86_400));
        // Three certificates are two distances, which say nothing yet.
        let mut young = renewed(30, 24);
        young.past.truncate(3);
        assert_eq!(stands(&young, 1).expected, stands(&lineage(30), 1).window.end);
        // By hand, within minutes.
        assert!(stands(&renewed(90, 0), 1).expected >= at(48));
    }

    #[test]
    fn who_always_comes_thirty_days_before_the_end_is_not_late_before() {
        assert_eq!(stands(&lineage(365), 300 * 24).state, State::Late);
        assert_eq!(stands(&renewed(365, 335 * 24), 300 * 24).state, State::Due);
        assert_eq!(stands(&renewed(365, 335 * 24), 336 * 24).state, State::Overdue);
    }

    #[test]
    fn a_window_counts_for_clients_that_ask_for_it() {
        let mut moved = lineage(90);
        moved.current.as_mut().unwrap().window = Window { start: at(24), end: at(48) };
        assert_eq!(stands(&moved, 24 * 10).state, State::Fresh);
        moved.polled_at = Some(at(23));
        assert_eq!(stands(&moved, 30).state, State::Due);
        assert_eq!(stands(&moved, 24 * 10).state, State::Late);
        assert_eq!(stands(&moved, 24 * 10).expected, at(48));
    }

    #[test]
    fn a_client_that_looks_once_a_week_has_fewer_tries_left() {
        let mut weekly = lineage(90);
        weekly.polled_at = Some(at(0));
        weekly.polled_every = Some(Duration::from_secs(7 * 86_400));
        assert_eq!(stands(&weekly, 75 * 24).state, State::Overdue);
        assert_eq!(stands(&weekly, 77 * 24).state, State::Critical);
    }

    #[test]
    fn an_owner_has_thresholds_of_their_own() {
        let mut early = lineage(365);
        early.care = Care { thresholds: Some(Thresholds { warn: 0.5, critical: 0.7 }), ..Care::default() };
        assert_eq!(stands(&early, 180 * 24).state, State::Fresh);
        assert_eq!(stands(&early, 183 * 24).state, State::Overdue);
        assert_eq!(stands(&early, 256 * 24).state, State::Critical);
        assert_eq!(standing(&Lineage::default(), Thresholds::default(), at(0)), None);
    }
}
