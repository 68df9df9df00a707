//! Spans of time as people say them.

use std::time::Duration;

use acme::time::Timestamp;
use anyhow::Context as _;

/// Reads a span from a command line.
pub(super) fn span(text: &str) -> anyhow::Result<Duration> {
    humantime::parse_duration(text).context("a span such as 7d or 12h would do")
}

/// What is left until `end`, in its two largest units; negative when it is over.
pub(super) fn left(end: Timestamp, now: Timestamp) -> String {
    let seconds = end.seconds_since(now);
    let sign = if seconds < 0 { "-" } else { "" };
    let seconds = seconds.unsigned_abs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    let text = match (days, hours) {
        (10.., _) => format!("{days}d"),
        (1.., _) => format!("{days}d {hours}h"),
        (0, 1..) => format!("{hours}h {minutes}m"),
        (0, 0) => format!("{minutes}m"),
    };
    format!("{sign}{text}")
}

/// The same in its largest unit alone, where there is little room.
pub(super) fn brief(end: Timestamp, now: Timestamp) -> String {
    let text = left(end, now);
    text.split(' ').next().unwrap_or_default().to_owned()
}

/// How long ago `then` was.
pub(super) fn ago(then: Timestamp, now: Timestamp) -> String {
    format!("{} ago", left(now, then))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_units_say_enough() {
        let at = |seconds| left(Timestamp::from_unix(seconds), Timestamp::EPOCH);
        assert_eq!(at(61 * 86_400 + 5), "61d");
        assert_eq!(at(86_400 + 19 * 3_600), "1d 19h");
        assert_eq!(at(2 * 3_600 + 600), "2h 10m");
        assert_eq!(at(59), "0m");
        assert_eq!(at(-7_800), "-2h 10m");
    }
}
