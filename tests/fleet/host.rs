//! A host of the fleet, by its script: what it is, when its client comes, and what goes wrong with it when. From this the
//! test knows which alerts are called for; the rules see only the lineage that follows from it.

use std::fmt;
use std::time::Duration;

use acme::cadence::{LOOKED_AT, Past};
use acme::failure::{Evidence, Failure, Lookup, Phase, Reason};
use acme::id::{OrderId, Serial};
use acme::lineage::{Attempt, Current, Failures, Lineage, Mute, Outcome, Served};
use acme::renewal_info::{self, Facts, Window};
use acme::time::Timestamp;
use acme::verdict::Verdict;

pub(crate) const HOUR: i64 = 3_600;
pub(crate) const DAY: i64 = 24 * HOUR;
/// Where the world begins, so that nothing is before 1970.
pub(crate) const START: i64 = 1_700_000_000 / DAY * DAY;

/// What kind of client it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    /// Once a day, somewhere in the day; renews when thirty days are left.
    Nixos,
    /// Looks often; renews at two thirds, or half of a short life.
    Thirds,
    /// Polls, and renews at a moment of its own in the window.
    Ari,
}

/// From when to when.
pub(crate) type Span = (i64, i64);

#[derive(Clone)]
pub(crate) struct Host {
    pub(crate) names: Vec<String>,
    pub(crate) key: String,
    pub(crate) client: Client,
    pub(crate) lifetime: i64,
    /// What goes wrong, each once.
    pub(crate) down: Option<Span>,
    pub(crate) dead: Option<Span>,
    pub(crate) broken: Option<Span>,
    pub(crate) unloaded: Option<Span>,
    pub(crate) muted: Option<Span>,
    pub(crate) gone_at: Option<i64>,
    pub(crate) forgotten_at: Option<i64>,
    /// Its names went over to another host of the fleet.
    pub(crate) replaced_by: Option<usize>,
    // Where it is.
    pub(crate) issued: Vec<i64>,
    pub(crate) window: Window,
    pub(crate) serial: Serial,
    pub(crate) renews_at: i64,
    pub(crate) polled_at: Option<i64>,
    pub(crate) tried_at: Option<i64>,
    pub(crate) fails: u32,
    pub(crate) failing_since: i64,
    pub(crate) failed_by_dns: bool,
    pub(crate) stale_since: Option<i64>,
    pub(crate) old_end: i64,
    pub(crate) retired_told: bool,
}

pub(crate) fn time(at: i64) -> Timestamp {
    Timestamp::from_unix(at)
}

pub(crate) fn is_in(span: Option<Span>, at: i64) -> bool {
    span.is_some_and(|(from, to)| (from..to).contains(&at))
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, client, lifetime, down, dead, broken, unloaded, gone_at, forgotten_at, .. } = self;
        write!(
            f,
            "{key} {client:?} {} d, issued {}, polled {:?}, ",
            lifetime / DAY,
            self.issued_at(),
            self.polled_at
        )?;
        write!(
            f,
            "tried {:?} ({} failed), stale {:?}; down {down:?} ",
            self.tried_at, self.fails, self.stale_since
        )?;
        write!(
            f,
            "dead {dead:?} broken {broken:?} unloaded {unloaded:?} gone {gone_at:?} forgotten {forgotten_at:?}"
        )
    }
}

impl Host {
    /// When a client that only looks at dates wants to renew.
    pub(crate) fn wants_at(&self) -> i64 {
        match self.client {
            Client::Nixos => self.end() - 30 * DAY,
            Client::Thirds if self.lifetime < 10 * DAY => self.issued_at() + self.lifetime / 2,
            Client::Thirds => self.issued_at() + self.lifetime / 3 * 2,
            Client::Ari => self.renews_at,
        }
    }

    pub(crate) fn issued_at(&self) -> i64 {
        self.issued.last().copied().unwrap_or(START)
    }

    pub(crate) fn end(&self) -> i64 {
        self.issued_at() + self.lifetime
    }

    pub(crate) fn is_down(&self, at: i64) -> bool {
        is_in(self.down, at) || self.gone_at.is_some_and(|gone| at >= gone)
    }

    pub(crate) fn down_since(&self, at: i64) -> Option<i64> {
        let down = self.down.filter(|_| is_in(self.down, at)).map(|(from, _)| from);
        self.gone_at.filter(|gone| at >= *gone).or(down)
    }

    /// How often the client looks.
    pub(crate) fn interval(&self) -> i64 {
        match self.client {
            Client::Nixos => DAY,
            Client::Thirds => {
                if self.lifetime <= DAY {
                    HOUR
                } else {
                    12 * HOUR
                }
            }
            // As often as it is asked to, where that is often.
            Client::Ari if self.lifetime <= DAY => {
                let spacing = renewal_info::look_again(time(0), time(self.lifetime));
                i64::try_from(spacing.as_secs()).expect("hours")
            }
            Client::Ari => 12 * HOUR,
        }
    }

    /// Whether the client takes a renewal for due.
    pub(crate) fn wants(&self, at: i64) -> bool {
        at > self.wants_at()
    }

    pub(crate) fn issue(&mut self, at: i64, random: u64) {
        if is_in(self.unloaded, at) {
            self.stale_since.get_or_insert(at);
        }
        if self.stale_since.is_none() || self.issued.is_empty() {
            self.old_end = at + self.lifetime;
        }
        self.issued.push(at);
        self.serial = Serial::mint(
            [random.to_be_bytes(), self.lifetime.to_be_bytes()].concat().try_into().expect("16"),
        );
        let (not_before, not_after) = (time(at), time(at + self.lifetime));
        self.window = renewal_info::window(&Facts {
            serial: &self.serial,
            not_before,
            not_after,
            revoked_at: None,
            asked: None,
        });
        let width = self.window.end.seconds_since(self.window.start).max(1);
        self.renews_at =
            self.window.start.unix() + i64::try_from(random % 1_000).expect("small") * width / 1_000;
        self.fails = 0;
        self.tried_at = Some(at);
    }

    /// What the server knows of it.
    pub(crate) fn lineage(&self, others: &[Host], at: i64) -> Lineage {
        let lifetime = self.lifetime;
        let past = self.issued.iter().rev().take(LOOKED_AT).map(|issued| Past {
            issued_at: time(*issued),
            not_before: time(*issued),
            not_after: time(issued + lifetime),
        });
        let mut lineage = Lineage {
            names: self.names.clone(),
            current: Some(Current {
                serial: self.serial.clone(),
                issuer: "a1".into(),
                account: None,
                not_before: time(self.issued_at()),
                not_after: time(self.end()),
                issued_at: time(self.issued_at()),
                downloaded_at: Some(time(self.issued_at())),
                window: self.window,
            }),
            past: past.collect(),
            polled_at: self.polled_at.map(time),
            polled_every: self.polled_at.map(|_| Duration::from_secs(self.interval().unsigned_abs())),
            attempt: self.tried_at.map(|tried| Attempt {
                order: OrderId::mint(time(tried), [0; 10]),
                at: time(tried),
                outcome: if self.fails > 0 { Outcome::Failed } else { Outcome::Issued },
                failure: (self.fails > 0).then(|| self.failure()),
                problem: None,
            }),
            failures: Failures {
                count: self.fails,
                since: (self.fails > 0).then(|| time(self.failing_since)),
            },
            served: self.names.iter().map(|name| self.served(name, others, at)).collect(),
            ..Lineage::default()
        };
        lineage.care.forgotten_at = self.forgotten_at.filter(|forgotten| at >= *forgotten).map(time);
        lineage.care.muted = self
            .muted
            .filter(|_| is_in(self.muted, at))
            .map(|(_, to)| Mute { until: time(to), reason: "maintenance".into() });
        lineage
    }

    /// Each has its own.
    fn address(&self) -> std::net::SocketAddr {
        let digest = acme::jwk::sha256(self.key.as_bytes());
        ([10, digest[0], digest[1], digest[2]], 443).into()
    }

    pub(crate) fn failure(&self) -> Failure {
        let lookup = Lookup {
            name: self.names[0].clone(),
            record: "A".into(),
            server: "10.0.0.53".into(),
            answer: if self.failed_by_dns { "SERVFAIL".into() } else { "NOERROR".into() },
            addresses: if self.failed_by_dns {
                vec![]
            } else {
                vec!["10.0.0.21".parse().expect("an address")]
            },
            millis: 12,
            ..Lookup::default()
        };
        Failure {
            phase: if self.failed_by_dns { Phase::Dns } else { Phase::Connect },
            reason: if self.failed_by_dns { Reason::Servfail } else { Reason::Refused },
            name: self.names[0].clone(),
            detail: "no".into(),
            first_bytes: None,
            evidence: Evidence { lookups: vec![lookup], dials: vec![] },
        }
    }

    fn served(&self, name: &str, others: &[Host], at: i64) -> Served {
        let shown = self.replaced_by.map_or(self, |other| &others[other]);
        let (verdict, since) = match (shown.down_since(at), shown.stale_since) {
            (Some(down), _) => (Verdict::TcpTimeout, down),
            // Not the newest, after the hour that a reload may take.
            (None, Some(stale)) if at > stale + HOUR => (Verdict::StaleNotReloaded, stale + HOUR),
            (None, Some(stale)) => (Verdict::OkPrevious, stale),
            (None, None) if at > shown.end() => (Verdict::Expired, shown.end()),
            (None, None) => (Verdict::Ok, shown.issued_at()),
        };
        let is_up = verdict != Verdict::TcpTimeout;
        Served {
            target: format!("{name}:443"),
            address: Some(self.address()),
            verdict,
            since: time(since),
            at: time(at),
            samples: u32::try_from((at - since) / 600 + 1).unwrap_or(u32::MAX),
            serial: is_up.then(|| shown.serial.as_str().to_owned()),
            spki: None,
            not_after: is_up
                .then(|| time(if shown.stale_since.is_some() { shown.old_end } else { shown.end() })),
            product: None,
            detail: verdict.to_string(),
        }
    }
}
