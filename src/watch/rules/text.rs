//! The words of alerts. Text from elsewhere is made harmless, and every line is short: it is read on a telephone.

use acme::failure::Failure;
use acme::problem::plain;
use acme::time::Timestamp;

/// A title.
pub(super) fn title(text: &str) -> String {
    plain(text, TITLE)
}

/// Lines, without the empty ones.
pub(super) fn lines<const N: usize>(lines: [String; N]) -> Vec<String> {
    lines.into_iter().filter(|line| !line.is_empty()).map(|line| plain(&line, LINE)).take(LINES).collect()
}

/// What a foreign sentence may take.
pub(super) fn quote(text: &str) -> String {
    plain(text, QUOTE)
}

/// From one moment to another in its two largest units; `0m` when it is no time at all.
pub(super) fn span(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.seconds_since(from).max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours) {
        (10.., _) => format!("{days}d"),
        (1.., 0) => format!("{days}d"),
        (1.., _) => format!("{days}d{hours}h"),
        (0, 1..) => format!("{hours}h{minutes:02}m"),
        _ => format!("{minutes}m"),
    }
}

/// How much is left, or that nothing is.
pub(super) fn left(end: Timestamp, now: Timestamp) -> String {
    if now > end { format!("expired {} ago", span(end, now)) } else { format!("{} left", span(now, end)) }
}

/// Some names, and how many more.
pub(super) fn some(names: &[String], shown: usize) -> String {
    let mut text = names.iter().take(shown).map(String::as_str).collect::<Vec<_>>().join(", ");
    if names.len() > shown {
        text.push_str(&format!(" and {} more", names.len() - shown));
    }
    text
}

/// `CA asked 10.0.0.53 for vault.lan A: SERVFAIL in 12 ms`, and where the CA went then.
pub(super) fn evidence(failure: &Failure) -> String {
    let asked = failure.lookup().map(|lookup| {
        format!(
            "CA asked {} for {} {}: {} in {} ms",
            lookup.server, lookup.name, lookup.record, lookup.answer, lookup.millis
        )
    });
    let dialled = failure.evidence.dials.last().map(|dial| {
        let came = dial.status.map(|status| status.to_string()).or_else(|| dial.error.clone());
        format!("{}: {}", dial.address, came.unwrap_or_else(|| failure.reason.as_str().into()))
    });
    [asked, dialled].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// `1 name`, `2 names`.
pub(super) fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// What a host of NixOS needs, whose clients come once a day.
pub(super) const NIXOS: &str =
    "NixOS clients try once a day; on the host: systemctl start 'acme-order-renew-*'";

const TITLE: usize = 99;
const LINE: usize = 200;
const LINES: usize = 6;
const QUOTE: usize = 119;
