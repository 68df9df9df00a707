//! When clients are asked to renew, RFC 9773: which certificate is meant (4.1), and the window that is suggested for it
//! (4.2), as a function of the certificate alone. So it is the same at every poll, and needs no row.
//!
//! What the window must do: be met by a client that looks once a day and sleeps through a night of it (the timer of
//! NixOS), so it is open for two days where the lifetime has room for them; leave time for failures, so it ends three
//! days before the certificate does; and spread a fleet that was installed on one day, so each certificate's is moved by
//! its own serial.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::id::{Serial, hex};
use crate::jwk::sha256;
use crate::problem::{Problem, plain};
use crate::renewal::due;
use crate::time::Timestamp;

/// The name of a certificate, whoever issued it: RFC 9773 4.1. The key identifier of its issuer and its serial number as
/// DER has it, with the leading zero octet where there is one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CertificateId {
    text: String,
    key_id: String,
    serial: Serial,
}

/// From when to when a renewal is suggested; `start` is always before `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Its beginning.
    pub start: Timestamp,
    /// Its end.
    pub end: Timestamp,
}

/// What is known of a certificate when a window is to be suggested for it.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Its serial number, by which it finds its place among others of the same day.
    pub serial: &'a Serial,
    /// The first second of its life.
    pub not_before: Timestamp,
    /// The last second of its life.
    pub not_after: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// The window that the operator asked for instead.
    pub asked: Option<Window>,
}

impl CertificateId {
    /// The id of a certificate, from the key identifier of its issuer and its serial number.
    pub fn new(key_id: &[u8], serial: &Serial) -> Self {
        let text =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(key_id), URL_SAFE_NO_PAD.encode(serial.to_bytes()));
        Self { text, key_id: hex(key_id), serial: serial.clone() }
    }

    /// Reads an id as a client sends it.
    ///
    /// # Errors
    /// `malformed`, with the form that is expected.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        read(text).ok_or_else(|| {
            Problem::malformed(format!(
                "{} is no certificate identifier; the issuer's key identifier, a dot and the serial number are, both in \
                 base64url without padding (RFC 9773 4.1)",
                plain(text, 100)
            ))
        })
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The key identifier of the issuer, in hexadecimal digits.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The serial number.
    pub fn serial(&self) -> &Serial {
        &self.serial
    }
}

impl fmt::Display for CertificateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The window that is suggested for a certificate.
///
/// Revoked, it lies in the past: every client renews the next time that it asks. Else it is what the operator asked for,
/// else it lies about the moment when clients without it renew, and a little before.
pub fn window(facts: &Facts<'_>) -> Window {
    let Facts { serial, not_before, not_after, .. } = *facts;
    if let Some(revoked_at) = facts.revoked_at {
        let end = revoked_at.min(not_after).minus(Duration::from_secs(1));
        return Window { start: end.minus(PAST), end };
    }
    if let Some(asked) = facts.asked {
        return asked;
    }
    let life = not_after.seconds_since(not_before).max(SHORTEST);
    let width = width(life);
    let due = due(not_before, not_after).unix();
    let last = (due + width / 2).min(not_before.unix() + life - MARGIN.min(life * 3 / 7));
    let end = last - part(serial, width.min(life / 20));
    Window { start: Timestamp::from_unix(end - width), end: Timestamp::from_unix(end) }
}

/// The window of a certificate that the operator wants renewed within `spread` from `now`. Each has its own place in that
/// span, and its window is over by then: a client that asks after it renews at once, one that asks before it may wait. A
/// certificate that ends soon gets its place within half of what is left.
pub fn asked_for(facts: &Facts<'_>, spread: Duration, now: Timestamp) -> Window {
    let left = facts.not_after.seconds_since(now).max(0);
    let span = i64::try_from(spread.as_secs()).unwrap_or(i64::MAX).min(left / 2);
    let end = now.plus(Duration::from_secs(part(facts.serial, span).unsigned_abs()));
    Window { start: end.minus(PAST), end }
}

/// When a client is to look again (RFC 9773 4.3): after six hours, sooner where a lifetime has no room for them. Never
/// sooner than a minute.
pub fn look_again(not_before: Timestamp, not_after: Timestamp) -> Duration {
    let seconds = not_after.seconds_since(not_before).max(0).unsigned_abs() / 20;
    Duration::from_secs(seconds.clamp(60, 6 * 3_600))
}

/// Two days, or a fortieth of a long life; short lives have less, so that what is in its window is not late.
fn width(life: i64) -> i64 {
    if life < 3 * DAY { life / 20 } else { (life / 40).max(2 * DAY).min(life / 4) }
}

/// This serial's part of a span, from 0 up to the span; the same each time.
fn part(serial: &Serial, span: i64) -> i64 {
    let hash = sha256(serial.as_str().as_bytes());
    let number = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]);
    let part = i128::from(span.max(0)) * i128::from(number) / i128::from(u32::MAX);
    i64::try_from(part).expect("a part of a span is no longer than the span")
}

fn read(text: &str) -> Option<CertificateId> {
    let (key_id, serial) = text.split_once('.')?;
    if text.len() > ID_LIMIT {
        return None;
    }
    let key_id = URL_SAFE_NO_PAD.decode(key_id).ok().filter(|octets| !octets.is_empty())?;
    let octets = URL_SAFE_NO_PAD.decode(serial).ok()?;
    // DER: the fewest octets that a number takes. A client that leaves the zero out means another certificate.
    let minimal = match octets.as_slice() {
        [] => false,
        [0, next, ..] => next & 0x80 != 0,
        [first, ..] => first & 0x80 == 0,
    };
    minimal.then(|| CertificateId {
        text: text.to_owned(),
        key_id: hex(&key_id),
        serial: Serial::from_bytes(&octets),
    })
}

const DAY: i64 = 86_400;
/// How long before its certificate a window ends, where the lifetime has room for it.
const MARGIN: i64 = 3 * DAY;
/// A lifetime for arithmetic; nothing so short is issued.
const SHORTEST: i64 = 60;
/// How long a window is that was moved.
const PAST: Duration = Duration::from_secs(3_600);
/// A key identifier of 64 octets and a serial number of 20 fit well.
const ID_LIMIT: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Kind;
    use crate::renewal::{State, Thresholds, state};

    const NOW: Timestamp = Timestamp::EPOCH;

    fn serial(number: u32) -> Serial {
        Serial::from_bytes(&[&[0x40; 12][..], &number.to_be_bytes()].concat())
    }

    fn facts(serial: &Serial, life: i64) -> Facts<'_> {
        let not_after = Timestamp::from_unix(life - 1);
        Facts { serial, not_before: NOW, not_after, revoked_at: None, asked: None }
    }

    #[test]
    fn the_example_of_the_rfc_is_read_and_made() {
        let text = "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE";
        let id = CertificateId::parse(text).unwrap();
        assert_eq!(id.serial().as_str(), "0087654321", "the leading zero is part of it");
        assert_eq!(id.key_id(), "69885b6b87464041e1b37b847ba0ae2cde01c8d4");
        let key_id = [
            0x69, 0x88, 0x5b, 0x6b, 0x87, 0x46, 0x40, 0x41, 0xe1, 0xb3, 0x7b, 0x84, 0x7b, 0xa0, 0xae, 0x2c,
            0xde, 0x01, 0xc8, 0xd4,
        ];
        assert_eq!(CertificateId::new(&key_id, id.serial()), id);
        assert_eq!(id.to_string(), text);
    }

    #[test]
    fn what_is_no_certificate_identifier_is_malformed() {
        let long = format!("{}.AQ", "A".repeat(300));
        for text in [
            "",
            ".",
            "AQ",
            "AQ.",
            ".AQ",
            "AQ.AQ.AQ",
            "AQ==.AQ==",
            "AR.AQ",
            "A+.AQ",
            "a.b",
            "AQ.h2VDIQ",
            "AQ.AAE",
            "../..",
            &long,
        ] {
            assert_eq!(CertificateId::parse(text).expect_err(text).kind, Kind::Malformed, "{text}");
        }
    }

    #[test]
    fn a_window_lies_within_the_life_whatever_its_length() {
        let hour = 3_600;
        for life in
            [600, hour, 6 * hour, DAY, 2 * DAY, 3 * DAY, 7 * DAY, 10 * DAY, 30 * DAY, 47 * DAY, 90 * DAY]
                .into_iter()
                .chain([199 * DAY, 365 * DAY, 825 * DAY])
        {
            for number in 0..200 {
                let serial = serial(number);
                let facts = facts(&serial, life);
                let window = window(&facts);
                let Window { start, end } = window;
                assert!(NOW < start && start < end && end < facts.not_after, "{life}: {window:?}");
                assert!(end.seconds_since(start) > 1, "acmez refuses less: {window:?}");
                assert!(facts.not_after.seconds_since(end) >= MARGIN.min(life / 3), "{life}: {window:?}");
                assert!(start.unix() > life / 5, "not before a fifth is used: {life} {window:?}");
                // A client that follows the window is never called late.
                let at_end = state(NOW, facts.not_after, Thresholds::default(), end);
                assert!(at_end <= State::Due, "{life} ends {at_end}: {window:?}");
                if life >= 8 * DAY {
                    assert!(end.seconds_since(start) >= 2 * DAY, "{life}: {window:?}");
                }
            }
        }
    }

    #[test]
    fn ninety_days_are_renewed_about_day_sixty_over_two_days_and_more() {
        let serial = serial(7);
        let Window { start, end } = window(&facts(&serial, 90 * DAY));
        assert!((56 * DAY..=59 * DAY).contains(&start.unix()), "{start}");
        assert!((58 * DAY..=62 * DAY).contains(&end.unix()), "{end}");
    }

    #[test]
    fn a_fleet_of_one_day_is_spread_and_each_keeps_its_place() {
        let mut starts: Vec<i64> = (0..500)
            .map(|number| {
                let serial = serial(number);
                let first = window(&facts(&serial, 90 * DAY));
                assert_eq!(first, window(&facts(&serial, 90 * DAY)), "the same at every poll");
                first.start.unix()
            })
            .collect();
        starts.sort_unstable();
        assert!(starts[499] - starts[0] > 2 * DAY, "over more than two days");
        // No hour has more than a few of them.
        let most = (0..500).map(|i| starts[i..].iter().take_while(|s| **s < starts[i] + 3_600).count()).max();
        assert!(most < Some(30), "{most:?}");
    }

    #[test]
    fn a_revoked_certificate_is_to_be_renewed_at_once() {
        let serial = serial(1);
        for at in [1, DAY, 89 * DAY, 400 * DAY] {
            let revoked_at = Timestamp::from_unix(at);
            let asked = Some(Window { start: NOW, end: Timestamp::from_unix(80 * DAY) });
            let facts = Facts { revoked_at: Some(revoked_at), asked, ..facts(&serial, 90 * DAY) };
            let Window { start, end } = window(&facts);
            assert!(start < end && end < revoked_at && end < facts.not_after, "{at}: {start} {end}");
        }
    }

    #[test]
    fn what_the_operator_asks_for_is_over_within_the_span() {
        let now = Timestamp::from_unix(10 * DAY);
        let spread = Duration::from_secs(6 * 3_600);
        let mut ends: Vec<i64> = Vec::new();
        for number in 0..200 {
            let serial = serial(number);
            let facts = facts(&serial, 90 * DAY);
            let Window { start, end } = asked_for(&facts, spread, now);
            assert!(start < end && now <= end && end <= now.plus(spread));
            assert_eq!(window(&Facts { asked: Some(Window { start, end }), ..facts }), Window { start, end });
            ends.push(end.unix());
        }
        ends.sort_unstable();
        assert!(ends[199] - ends[0] > 5 * 3_600, "over the whole span");
        // At once; and what ends within the span is still in time.
        let serial = serial(1);
        assert_eq!(asked_for(&facts(&serial, 90 * DAY), Duration::ZERO, now).end, now);
        let soon = asked_for(&facts(&serial, 10 * DAY + 3_600), spread, now);
        assert!(soon.end.unix() <= 10 * DAY + 1_800, "{soon:?}");
    }

    #[test]
    fn a_client_looks_again_as_often_as_the_lifetime_needs() {
        let rows = [(600, 60), (3_600, 180), (DAY, 4_320), (7 * DAY, 21_600), (90 * DAY, 21_600)];
        for (life, seconds) in rows {
            assert_eq!(look_again(NOW, Timestamp::from_unix(life)), Duration::from_secs(seconds), "{life}");
        }
    }
}
