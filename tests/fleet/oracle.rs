//! Which alerts are called for, by the script of a host and the table of the design, in hours and days as it stands there.
//! Nothing here knows the rules' code.

use acme_ca::watch::rule::Rule;

use crate::host::{Client, DAY, HOUR, Host, START, is_in};

/// Whether an alert may be there, and whether it must.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Called {
    pub(crate) may: bool,
    pub(crate) must: bool,
}

const NO: Called = Called { may: false, must: false };

/// After which part of its life, in seconds: late, overdue, critical.
fn turns(host: &Host) -> [i64; 3] {
    let daily = |late: i64, overdue: i64, critical: i64| {
        [late * HOUR / 10, overdue * HOUR / 10, critical * HOUR / 10]
    };
    let [late, overdue, critical] = match (host.lifetime / DAY, host.client) {
        (1, Client::Ari) => daily(132, 192, 215),
        (1, _) => daily(132, 192, 220),
        // With a poll each twelve hours, two tries are left at four fifths; with a turn a day, one.
        (7, Client::Ari) => daily(1_000, 1_344, 1_440),
        (7, _) => daily(1_096, 1_344, 1_344),
        (30, Client::Ari) => daily(4_900, 5_760, 6_696),
        (30, _) => daily(5_112, 5_760, 6_696),
        (90, _) => daily(15_048, 17_280, 20_088),
        _ => [254 * DAY, 335 * DAY, 355 * DAY],
    };
    match host.client {
        // The end of its own window, and two parts in a hundred.
        Client::Ari => {
            let window = host.window.end.unix() - host.issued_at();
            [window + host.interval().max(host.lifetime / 50), overdue, critical]
        }
        // Who came three times when thirty days were left is not late before.
        Client::Nixos if host.lifetime > 150 * DAY && host.issued.len() >= 4 => {
            [i64::MAX / 2, overdue, critical]
        }
        _ => [late, overdue, critical],
    }
}

/// From when at the earliest something may be wrong with it, if its client does not come before.
pub(crate) fn quiet_until(host: &Host) -> i64 {
    let [late, ..] = turns(host);
    // Who comes rarely is not missed.
    let comes_often =
        host.client == Client::Ari || (host.client == Client::Nixos && host.lifetime <= 30 * DAY);
    let silent = if comes_often { contact(host) + 35 * HOUR } else { i64::MAX };
    (host.issued_at() + late - 2 * HOUR).min(silent)
}

pub(crate) fn contact(host: &Host) -> i64 {
    [Some(host.issued_at()), host.polled_at, host.tried_at].into_iter().flatten().max().unwrap_or(START)
}

/// When it is gone for good by all that the server can know.
pub(crate) fn retired_at(host: &Host, at: i64) -> Option<i64> {
    let down = host.down_since(at)?;
    Some(down.max(host.end()).max(contact(host)) + 7 * DAY)
}

/// Whether an alert of this rule is called for.
pub(crate) fn called(host: &Host, rule: Rule, at: i64) -> Called {
    if host.replaced_by.is_some() || host.forgotten_at.is_some_and(|forgotten| at >= forgotten) {
        return NO;
    }
    let retired = retired_at(host, at);
    if rule == Rule::NameRetired {
        return span(retired, 4 * HOUR, at);
    }
    if retired.is_some_and(|retired| at > retired) {
        return NO;
    }
    let begin = host.issued_at();
    let [late, overdue, critical] = turns(host).map(|turn| begin + turn);
    // Two steps.
    let soon = 4 * HOUR;
    match rule {
        // By its habit it may come a turn or two after what is usual.
        Rule::RenewalLate => {
            span(Some(late), soon + 2 * host.interval(), at).until(overdue.min(host.end()), at)
        }
        // A client that comes when thirty days are left is given two days.
        Rule::RenewalOverdue if host.lifetime > 150 * DAY => {
            span(Some(overdue + 2 * DAY), soon, at).until(critical, at)
        }
        Rule::RenewalOverdue => span(Some(overdue), soon, at).until(critical, at),
        Rule::RenewalCritical => span(Some(critical), soon, at).until(host.end(), at),
        Rule::CertExpired => span(Some(host.end()), soon, at),
        Rule::OrderFailing => {
            let is_failing = host.fails >= 2 || (host.fails == 1 && at > host.end());
            let from = host.tried_at.filter(|_| is_failing);
            span(from, soon, at)
        }
        Rule::ClientSilent => {
            let contact = contact(host);
            let alive = at <= host.end();
            let (from, by) = match host.client {
                Client::Ari if alive => (36 * HOUR, (3 * host.interval()).max(36 * HOUR) + soon),
                Client::Nixos if alive && host.lifetime <= 30 * DAY && host.issued.len() >= 4 => {
                    (36 * HOUR, 6 * DAY)
                }
                // Known from its issuances, which lie so far apart that other rules speak first.
                _ if alive => (36 * HOUR, i64::MAX / 2),
                _ => return NO,
            };
            Called { may: at >= contact + from, must: at >= contact.saturating_add(by) }
        }
        Rule::TargetUnreachable => {
            let Some(down) = host.down_since(at) else { return NO };
            let (first, last) = (begin + host.lifetime / 5, begin + host.lifetime / 100 * 70);
            Called { may: at >= (down + HOUR / 2).max(first), must: at >= (down + soon).max(last) }
        }
        Rule::ServedStale => span(host.stale_since.filter(|_| !host.is_down(at)).map(|s| s + HOUR), soon, at),
        _ => NO,
    }
}

fn span(from: Option<i64>, slack: i64, at: i64) -> Called {
    from.map_or(NO, |from| Called { may: at >= from, must: at >= from + slack })
}

impl Called {
    fn until(self, end: i64, at: i64) -> Self {
        // A step lies between the end and the alert that comes after it.
        Self { may: self.may && at < end + 4 * HOUR, must: self.must && at < end }
    }
}

/// Whether the operator wants to hear nothing of it.
pub(crate) fn is_muted(host: &Host, at: i64) -> bool {
    is_in(host.muted, at)
}
