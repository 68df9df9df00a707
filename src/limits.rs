//! How much one client may ask for in a while: RFC 8555 6.6. Token buckets by the generic cell rate algorithm (ITU-T I.371):
//! of each bucket only the moment is kept at which it is full again. In memory alone; a restart fills every bucket.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher as _;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use acme::time::Timestamp;

/// So many in a span of time; as many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    count: u32,
    span: Duration,
}

/// How much of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whether anything is limited at all.
    pub enabled: bool,
    /// New accounts from one address.
    pub new_accounts: Rate,
    /// New orders of one account.
    pub new_orders: Rate,
    /// Failed validations of one name by one account.
    pub failed_validations: Rate,
    /// Orders of one account that are neither valid nor invalid.
    pub pending_orders: u32,
}

/// What is counted, for whom.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Bucket {
    /// New accounts from an address; of IPv6, from a network of 64 bits.
    NewAccounts(IpAddr),
    /// New orders of an account.
    NewOrders(String),
    /// Failed validations of a name by an account.
    FailedValidations(String, String),
    /// Open orders of an account.
    PendingOrders(String),
}

/// A limit that was met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// Which one, and what would do, as a sentence.
    pub why: String,
    /// In how many seconds to come back.
    pub retry_after: u64,
}

/// The buckets, in parts, so that requests about different things do not meet at one lock.
pub struct Limits {
    parts: [Mutex<HashMap<Bucket, u64>>; PARTS],
    hasher: RandomState,
}

impl Rate {
    /// Reads `300/1h`.
    ///
    /// # Errors
    /// A sentence that says what would do.
    pub fn parse(text: &str) -> Result<Self, String> {
        let refuse = || format!("{text} is not a rate, such as 300/1h");
        let (count, span) = text.split_once('/').ok_or_else(refuse)?;
        let count: u32 = count.trim().parse().map_err(|_| refuse())?;
        let span = humantime::parse_duration(span.trim()).map_err(|_| refuse())?;
        let is_within = (1..=1_000_000).contains(&count) && (SECOND..=LONGEST).contains(&span);
        is_within
            .then_some(Self { count, span })
            .ok_or_else(|| format!("{text} is out of bounds; 1 to 1000000 within 1s to 7days would do"))
    }

    const fn new(count: u32, span: Duration) -> Self {
        Self { count, span }
    }

    /// The time that one costs, in microseconds.
    fn interval(self) -> u64 {
        u64::try_from(self.span.as_micros()).unwrap_or(u64::MAX) / u64::from(self.count)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} within {}", self.count, humantime::format_duration(self.span))
    }
}

/// What fifty hosts with ten names each do not meet when they all start at once, behind one address, and try again.
impl Default for Settings {
    fn default() -> Self {
        const HOUR: Duration = Duration::from_secs(3_600);
        Self {
            enabled: true,
            new_accounts: Rate::new(600, HOUR),
            new_orders: Rate::new(1_500, HOUR),
            failed_validations: Rate::new(60, HOUR),
            pending_orders: 1_000,
        }
    }
}

impl Settings {
    fn rate(&self, bucket: &Bucket) -> Rate {
        match bucket {
            Bucket::NewAccounts(_) => self.new_accounts,
            Bucket::NewOrders(_) => self.new_orders,
            Bucket::FailedValidations(..) => self.failed_validations,
            // An order that nobody touches is over after a day.
            Bucket::PendingOrders(_) => Rate::new(self.pending_orders, Duration::from_secs(24 * 3_600)),
        }
    }
}

impl Bucket {
    /// The bucket of an address.
    pub fn new_accounts(address: IpAddr) -> Self {
        Self::NewAccounts(match address.to_canonical() {
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
            v4 => v4,
        })
    }

    fn sentence(&self, rate: Rate) -> String {
        match self {
            Self::NewAccounts(address) => {
                format!("too many new accounts from {address}: limits.new_accounts is {rate}")
            }
            Self::NewOrders(_) => format!("too many new orders of this account: limits.new_orders is {rate}"),
            Self::FailedValidations(_, name) => format!(
                "too many failed validations of {name} by this account: limits.failed_validations is {rate}; \
                 ca-ctl orders --failed says why they fail"
            ),
            Self::PendingOrders(_) => format!(
                "too many orders of this account are open: limits.pending_orders is {}; finalize some",
                rate.count
            ),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { parts: std::array::from_fn(|_| Mutex::default()), hasher: RandomState::new() }
    }
}

impl Limits {
    /// Takes one out of a bucket.
    ///
    /// # Errors
    /// It is empty, and nothing was taken.
    pub fn take(&self, settings: &Settings, bucket: &Bucket, now: Timestamp) -> Result<(), Exceeded> {
        self.change(settings, bucket, now, |full_at, interval| *full_at += interval)
    }

    /// Whether there is one in a bucket; nothing is taken.
    ///
    /// # Errors
    /// It is empty.
    pub fn check(&self, settings: &Settings, bucket: &Bucket, now: Timestamp) -> Result<(), Exceeded> {
        self.change(settings, bucket, now, |_, _| {})
    }

    /// Takes one out of a bucket although it may be empty: what it counts has happened.
    pub fn count(&self, settings: &Settings, bucket: &Bucket, now: Timestamp) {
        if self.take(settings, bucket, now).is_ok() || !settings.enabled {
            return;
        }
        // Full again one interval later, but never more than a span away.
        let rate = settings.rate(bucket);
        let mut part = self.part(bucket).lock().unwrap_or_else(PoisonError::into_inner);
        part.insert(bucket.clone(), micros(now) + u64::try_from(rate.span.as_micros()).unwrap_or(u64::MAX));
    }

    /// Puts some back.
    pub fn give_back(&self, settings: &Settings, bucket: &Bucket, count: u64) {
        let interval = settings.rate(bucket).interval().saturating_mul(count);
        let mut part = self.part(bucket).lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(full_at) = part.get_mut(bucket) {
            *full_at = full_at.saturating_sub(interval);
        }
    }

    /// Fills a bucket.
    pub fn fill(&self, bucket: &Bucket) {
        self.part(bucket).lock().unwrap_or_else(PoisonError::into_inner).remove(bucket);
    }

    fn change(
        &self,
        settings: &Settings,
        bucket: &Bucket,
        now: Timestamp,
        take: impl FnOnce(&mut u64, u64),
    ) -> Result<(), Exceeded> {
        if !settings.enabled {
            return Ok(());
        }
        let rate = settings.rate(bucket);
        let (interval, now) = (rate.interval(), micros(now));
        let mut part = self.part(bucket).lock().unwrap_or_else(PoisonError::into_inner);
        let mut full_at = part.get(bucket).copied().unwrap_or(0).max(now);
        // With so much to refill, there is less than one in it.
        let empty = u64::from(rate.count - 1) * interval;
        if let Some(wait) = (full_at - now).checked_sub(empty).filter(|wait| *wait > 0) {
            let retry_after = wait.div_ceil(MICROS).max(1);
            return Err(Exceeded { why: bucket.sentence(rate), retry_after });
        }
        take(&mut full_at, interval);
        if full_at > now {
            make_room(&mut part, now);
            part.insert(bucket.clone(), full_at);
        }
        Ok(())
    }

    fn part(&self, bucket: &Bucket) -> &Mutex<HashMap<Bucket, u64>> {
        let hash = usize::try_from(self.hasher.hash_one(bucket) >> 32).unwrap_or(0);
        &self.parts[hash % PARTS]
    }
}

/// Forgets buckets that are full; when all of them are in use, those that are nearest to it.
fn make_room(part: &mut HashMap<Bucket, u64>, now: u64) {
    if part.len() < PART_LIMIT {
        return;
    }
    part.retain(|_, full_at| *full_at > now);
    if part.len() >= PART_LIMIT {
        let mut times: Vec<u64> = part.values().copied().collect();
        let half = times.len() / 2;
        let (_, median, _) = times.select_nth_unstable(half);
        let median = *median;
        part.retain(|_, full_at| *full_at > median);
    }
}

fn micros(now: Timestamp) -> u64 {
    u64::try_from(now.unix()).unwrap_or(0).saturating_mul(MICROS)
}

const MICROS: u64 = 1_000_000;
const SECOND: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(7 * 86_400);
const PARTS: usize = 16;
/// So many buckets in a part at most: some megabytes in all.
const PART_LIMIT: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(new_orders: &str) -> Settings {
        Settings { new_orders: Rate::parse(new_orders).unwrap(), pending_orders: 2, ..Settings::default() }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix(1_795_000_000 + seconds)
    }

    fn orders(account: &str) -> Bucket {
        Bucket::NewOrders(account.to_owned())
    }

    #[test]
    fn a_rate_is_had_at_once_and_comes_back_evenly() {
        let (limits, settings) = (Limits::default(), settings("3/1h"));
        for _ in 0..3 {
            limits.take(&settings, &orders("a"), at(0)).unwrap();
        }
        let exceeded = limits.take(&settings, &orders("a"), at(0)).unwrap_err();
        assert_eq!(exceeded.retry_after, 1_200);
        assert!(exceeded.why.contains("limits.new_orders is 3 within 1h"), "{}", exceeded.why);
        assert!(limits.take(&settings, &orders("a"), at(1_199)).is_err());
        limits.take(&settings, &orders("a"), at(1_200)).unwrap();
        assert!(limits.take(&settings, &orders("a"), at(1_200)).is_err());
        limits.take(&settings, &orders("b"), at(0)).unwrap();
    }

    #[test]
    fn who_comes_back_when_told_is_let_in() {
        let (limits, settings) = (Limits::default(), settings("7/10s"));
        let mut now = 0;
        for _ in 0..100 {
            match limits.take(&settings, &orders("a"), at(now)) {
                Ok(()) => {}
                Err(exceeded) => {
                    now += i64::try_from(exceeded.retry_after).unwrap();
                    limits.take(&settings, &orders("a"), at(now)).unwrap();
                }
            }
        }
    }

    #[test]
    fn looking_takes_nothing_and_what_has_happened_counts_without_end() {
        let (limits, settings) = (Limits::default(), Settings::default());
        let bucket = Bucket::FailedValidations("a".into(), "x.lan".into());
        for _ in 0..1_000 {
            limits.check(&settings, &bucket, at(0)).unwrap();
        }
        for _ in 0..1_000 {
            limits.count(&settings, &bucket, at(0));
        }
        let exceeded = limits.check(&settings, &bucket, at(0)).unwrap_err();
        assert!(exceeded.retry_after <= 61, "however often it failed: {exceeded:?}");
        limits.check(&settings, &bucket, at(61)).unwrap();
    }

    #[test]
    fn an_order_that_ends_makes_room_for_another() {
        let (limits, settings) = (Limits::default(), settings("100/1h"));
        let bucket = Bucket::PendingOrders("a".into());
        limits.take(&settings, &bucket, at(0)).unwrap();
        limits.take(&settings, &bucket, at(0)).unwrap();
        assert!(limits.take(&settings, &bucket, at(0)).unwrap_err().why.contains("finalize some"));
        limits.give_back(&settings, &bucket, 1);
        limits.take(&settings, &bucket, at(0)).unwrap();
        limits.give_back(&settings, &Bucket::PendingOrders("nobody".into()), 1);
        limits.fill(&bucket);
        limits.take(&settings, &bucket, at(0)).unwrap();
    }

    #[test]
    fn an_ipv6_client_is_its_network_and_a_mapped_address_is_ipv4() {
        let bucket = |text: &str| Bucket::new_accounts(text.parse().unwrap());
        assert_eq!(bucket("fd00::1:2:3:4"), bucket("fd00::9"));
        assert_ne!(bucket("fd00:0:0:1::1"), bucket("fd00:0:0:2::1"));
        assert_eq!(bucket("::ffff:10.0.0.1"), bucket("10.0.0.1"));
        assert_ne!(bucket("10.0.0.1"), bucket("10.0.0.2"));
    }

    #[test]
    fn memory_is_bounded() {
        let (limits, settings) = (Limits::default(), settings("3/1h"));
        for n in 0..200_000 {
            limits.take(&settings, &orders(&n.to_string()), at(n / 100)).unwrap();
        }
        let kept: usize = limits.parts.iter().map(|part| part.lock().unwrap().len()).sum();
        assert!(kept <= PARTS * PART_LIMIT, "{kept}");
    }

    #[test]
    fn nothing_is_limited_when_limits_are_off() {
        let (limits, settings) = (Limits::default(), Settings { enabled: false, ..settings("1/1h") });
        for _ in 0..10 {
            limits.take(&settings, &orders("a"), at(0)).unwrap();
        }
    }

    #[test]
    fn a_rate_is_a_number_within_a_span() {
        assert_eq!(Rate::parse("300/1h").unwrap().to_string(), "300 within 1h");
        for text in ["300", "300/", "/1h", "0/1h", "-1/1h", "1/0s", "1/30days", "1.5/1h", "9999999/1h"] {
            assert!(Rate::parse(text).is_err(), "{text}");
        }
    }
}
