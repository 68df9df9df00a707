//! How often a client comes for the same certificate, learnt from when it came before, and whether a lifetime is enough for
//! that. A day between two tries is nothing to ninety days, and fatal to one.

use std::time::Duration;

use crate::renewal::due;
use crate::time::Timestamp;

/// One earlier issuance to a client for a set of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Past {
    /// When it was.
    pub issued_at: Timestamp,
    /// The beginning of the certificate.
    pub not_before: Timestamp,
    /// Its end.
    pub not_after: Timestamp,
}

/// What a lifetime is too short for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cadence {
    /// The median distance between two issuances.
    pub interval: Duration,
    /// From how many distances that is.
    pub distances: usize,
    /// The lifetime that would do.
    pub needed: Duration,
}

/// The member of an audit row's detail that says why a lifetime was too short.
pub const IN_THE_TRAIL: &str = "lifetime_too_short";

/// How many earlier issuances are looked at: enough for a median, few enough that a client which changed is soon known
/// anew.
pub const LOOKED_AT: usize = 6;

/// Whether a certificate of `lifetime` that is issued `now` is too short for its client; `past` are its earlier ones, the
/// newest first.
///
/// A client that comes long before a renewal is due comes at every turn of its timer: it needs three of them, for one
/// may be missed and one may fail. Any other comes when it is due, and by all that is known it comes no sooner: four
/// fifths of the lifetime, where a certificate is called overdue, must not be over by then. Less than three distances
/// say nothing.
pub fn too_short(lifetime: Duration, past: &[Past], now: Timestamp) -> Option<Cadence> {
    let past = &past[..past.len().min(LOOKED_AT)];
    let newer = std::iter::once(now).chain(past.iter().map(|p| p.issued_at));
    let distances: Vec<(i64, bool)> = newer
        .zip(past)
        .map(|(newer, older)| {
            let distance = newer.seconds_since(older.issued_at).max(0);
            let until_due = due(older.not_before, older.not_after).seconds_since(older.issued_at).max(0);
            (distance, distance < until_due / 2)
        })
        .collect();
    if distances.len() < ENOUGH {
        return None;
    }
    let interval = median(distances.iter().map(|(distance, _)| *distance).collect());
    let early = distances.iter().filter(|(_, early)| *early).count();
    let needed = if early * 2 > distances.len() { interval * 3 } else { interval / 4 * 5 };
    let [interval, needed] = [interval, needed].map(|seconds| Duration::from_secs(seconds.unsigned_abs()));
    (lifetime < needed).then_some(Cadence { interval, distances: distances.len(), needed })
}

/// The median distance between the issuances that are known, the newest first; nothing from less than three distances.
pub fn learnt(past: &[Past]) -> Option<Duration> {
    let past = &past[..past.len().min(LOOKED_AT)];
    let distances: Vec<i64> =
        past.windows(2).map(|pair| pair[0].issued_at.seconds_since(pair[1].issued_at).max(0)).collect();
    (distances.len() >= ENOUGH).then(|| Duration::from_secs(median(distances).unsigned_abs()))
}

fn median(mut distances: Vec<i64>) -> i64 {
    distances.sort_unstable();
    distances[distances.len() / 2]
}

/// How many distances say something.
const ENOUGH: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600;
    const DAY: i64 = 24 * HOUR;

    fn judged(lifetime: i64, distances: &[i64], lived: i64) -> Option<i64> {
        let now = Timestamp::from_unix(1_000 * DAY);
        let mut at = now.unix();
        let past: Vec<Past> = distances
            .iter()
            .map(|distance| {
                at -= distance;
                let issued_at = Timestamp::from_unix(at);
                Past { issued_at, not_before: issued_at, not_after: Timestamp::from_unix(at + lived) }
            })
            .collect();
        let cadence = too_short(Duration::from_secs(lifetime.unsigned_abs()), &past, now)?;
        Some(i64::try_from(cadence.needed.as_secs()).unwrap())
    }

    /// What it is; the new lifetime, the distances, the earlier lifetimes, and what is needed where it is too short.
    type Row<'a> = (&'a str, i64, &'a [i64], i64, Option<i64>);

    #[test]
    fn a_lifetime_is_held_against_what_the_client_did_before() {
        let rows: &[Row<'_>] = &[
            ("ninety days, renewed when due", 90 * DAY, &[60 * DAY; 5], 90 * DAY, None),
            ("a week, renewed at its half", 7 * DAY, &[84 * HOUR; 5], 7 * DAY, None),
            ("a day, renewed at its half", DAY, &[12 * HOUR; 5], DAY, None),
            ("a daily timer that renews each time", 7 * DAY, &[DAY; 5], 7 * DAY, None),
            ("the same with two days", 2 * DAY, &[DAY; 5], 7 * DAY, Some(3 * DAY)),
            ("a daily timer and one day", DAY, &[DAY; 5], DAY, Some(DAY / 4 * 5)),
            ("to a week from a client of ninety days", 7 * DAY, &[60 * DAY; 5], 90 * DAY, Some(75 * DAY)),
            ("three short ones after it", 7 * DAY, &[4 * DAY, 4 * DAY, 4 * DAY, 60 * DAY], 7 * DAY, None),
            ("nothing known", DAY, &[], DAY, None),
            ("too little known", DAY, &[60 * DAY, 60 * DAY], 90 * DAY, None),
            ("many in a row by hand", 90 * DAY, &[60; 5], 90 * DAY, None),
            ("a clock that went back", 7 * DAY, &[-DAY, -DAY, -DAY], 7 * DAY, None),
        ];
        for (what, lifetime, distances, lived, needed) in rows {
            assert_eq!(judged(*lifetime, distances, *lived), *needed, "{what}");
        }
    }

    #[test]
    fn what_is_long_ago_says_nothing() {
        let now = [4 * DAY; LOOKED_AT];
        let all: Vec<i64> = now.into_iter().chain([60 * DAY; 50]).collect();
        assert_eq!(judged(7 * DAY, &all, 7 * DAY), None);
    }
}
