//! How a lineage stands, in the words of tables and checks: its state, what is served, what was tried last.

use std::collections::BTreeMap;

use acme::attention::silent_from;
use acme::failure::{Failure, Phase};
use acme::lineage::{Lineage, Outcome, Served};
use acme::renewal::{Standing, State, Thresholds, standing};
use acme::time::Timestamp;
use acme::verdict::Verdict;

use super::health;
use super::span::{brief, left};

/// A lineage in one word: what is worst about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Word {
    /// Its certificate, and nothing worse is known.
    State(State),
    /// No certificate was ever issued, or what there was is revoked, and orders fail.
    Missing,
    /// The first order is under way.
    Ordered,
    /// It is revoked, and nobody ordered since.
    Revoked,
    /// Orders fail, though there is still time.
    Failing,
    /// An address still serves the one before.
    Stale,
    /// An address serves something else.
    Wrong,
    /// The operator does not expect it any more.
    Forgotten,
}

/// A lineage with what is to be thought of it.
pub(super) struct Judged {
    pub(super) lineage: Lineage,
    /// None without a certificate.
    pub(super) standing: Option<Standing>,
    pub(super) word: Word,
    /// Whether the operator wants no alert about it now.
    pub(super) muted: bool,
    now: Timestamp,
}

impl Judged {
    pub(super) fn new(lineage: Lineage, configured: Thresholds, now: Timestamp) -> Self {
        let standing = standing(&lineage, configured, now);
        let word = word(&lineage, standing.map(|standing| standing.state));
        let muted = lineage.care.muted.as_ref().is_some_and(|mute| mute.until > now);
        Self { lineage, standing, word, muted, now }
    }

    /// How its certificate stands, whatever is served; nothing but `missing` and `revoked` where there is none.
    pub(super) fn state(&self) -> Word {
        match self.standing {
            Some(standing) => Word::State(standing.state),
            None if without(&self.lineage) == Word::Revoked => Word::Revoked,
            None => Word::Missing,
        }
    }

    /// Whether somebody should look at it, if it were not muted.
    pub(super) fn is_in_trouble(&self) -> bool {
        self.word.health() > health::State::Ok
    }

    /// What it means for somebody on call.
    pub(super) fn health(&self) -> health::State {
        if self.muted { health::State::Ok } else { self.word.health() }
    }

    /// The state in a table.
    pub(super) fn shown(&self, is_wide: bool) -> String {
        match (self.muted, self.word) {
            (true, _) if !is_wide => "muted".to_owned(),
            (true, word) => format!("{word} (muted)"),
            (false, word) if word.health() == health::State::Critical => {
                word.to_string().to_ascii_uppercase()
            }
            (false, Word::Stale) => "STALE".to_owned(),
            (false, word) => word.to_string(),
        }
    }

    /// What is left of the certificate, when it was due, and how much of it is used.
    pub(super) fn left(&self) -> String {
        self.lineage.current.as_ref().map_or_else(|| "-".into(), |current| left(current.not_after, self.now))
    }

    pub(super) fn due(&self, is_wide: bool) -> String {
        let span = if is_wide { left } else { brief };
        match self.standing {
            Some(standing) if standing.due > self.now => format!("in {}", span(standing.due, self.now)),
            Some(standing) => format!("{} ago", span(self.now, standing.due)),
            None => "-".to_owned(),
        }
    }

    /// In percent; with a bar where there is room.
    pub(super) fn used(&self, bar: bool) -> String {
        let Some(standing) = self.standing else { return "-".to_owned() };
        let percent = format!("{:.0}%", standing.used * 100.0);
        if !bar {
            return percent;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 10")]
        let full = (standing.used * 10.0).clamp(0.0, 10.0).round() as usize;
        format!("{}{} {percent}", "#".repeat(full), "-".repeat(10 - full))
    }

    /// What is served, the worst of it; in a word or two where there is little room.
    pub(super) fn served(&self, is_wide: bool) -> String {
        let Some(worst) = worst(&self.lineage.served) else { return "-".to_owned() };
        match worst.verdict {
            Verdict::Ok => "ours, current".to_owned(),
            Verdict::OkPrevious => "ours, previous".to_owned(),
            Verdict::RevokedServed => "ours, revoked".to_owned(),
            Verdict::StaleNotReloaded => match worst.not_after {
                Some(end) if is_wide => format!("old serial ({} left)", left(end, self.now)),
                _ => "old serial".to_owned(),
            },
            Verdict::FallbackCert => match &worst.product {
                // What stands in brackets says which of several ways it has.
                Some(product) if is_wide => {
                    format!("fallback ({})", product.split(" (").next().unwrap_or_default())
                }
                _ => "fallback".to_owned(),
            },
            verdict => verdict.as_str().replace('_', " "),
        }
    }

    /// What was tried last.
    pub(super) fn last_attempt(&self, is_wide: bool) -> String {
        let lineage = &self.lineage;
        let ago = |then: Timestamp| {
            if is_wide { format!("{} ago,", left(self.now, then)) } else { brief(self.now, then) }
        };
        if lineage.is_own {
            return "-".to_owned();
        }
        let silent = self.silent_since();
        match &lineage.attempt {
            Some(attempt) if attempt.outcome == Outcome::Failed => {
                let why = match &attempt.failure {
                    Some(failure) if is_wide => reason(failure),
                    Some(failure) => failure.reason.as_str().to_owned(),
                    None => "failed".to_owned(),
                };
                let often = match lineage.failures.count {
                    0 | 1 => String::new(),
                    count => format!(" x{count}"),
                };
                format!("{} {why}{often}", ago(attempt.at))
            }
            _ if silent.is_some() => {
                let span = silent.map(|since| brief(self.now, since)).unwrap_or_default();
                if is_wide { format!("client silent {span}") } else { format!("silent {span}") }
            }
            Some(attempt) => {
                let word = if attempt.outcome == Outcome::Issued { "issued" } else { "open" };
                format!("{} {word}", ago(attempt.at))
            }
            None => "never".to_owned(),
        }
    }

    /// Since when its client is silent, if it polled before and neither polls nor orders any more.
    pub(super) fn silent_since(&self) -> Option<Timestamp> {
        let lineage = &self.lineage;
        let polled = lineage.polled_at?;
        let signs = [lineage.attempt.as_ref().map(|a| a.at), lineage.current.as_ref().map(|c| c.issued_at)];
        let last = signs.into_iter().flatten().max().map_or(polled, |sign| sign.max(polled));
        (silent_from(last, lineage.polled_every) <= self.now).then_some(last)
    }

    /// Whether its order failed, and why: what a common cause is made of.
    pub(super) fn failure(&self) -> Option<&Failure> {
        let attempt = self.lineage.attempt.as_ref().filter(|_| self.lineage.failures.count > 0)?;
        attempt.failure.as_ref().filter(|_| attempt.outcome == Outcome::Failed)
    }
}

impl Word {
    /// Every one, the worst first.
    pub(super) const ALL: &'static [Self] = &[
        Self::State(State::Expired),
        Self::State(State::Critical),
        Self::Wrong,
        Self::Stale,
        Self::State(State::Overdue),
        Self::Missing,
        Self::Failing,
        Self::State(State::Late),
        Self::State(State::Due),
        Self::State(State::Fresh),
        Self::Ordered,
        Self::Revoked,
        Self::Forgotten,
    ];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::State(state) => state.as_str(),
            Self::Missing => "missing",
            Self::Ordered => "ordered",
            Self::Revoked => "revoked",
            Self::Failing => "failing",
            Self::Stale => "stale",
            Self::Wrong => "wrong",
            Self::Forgotten => "forgotten",
        }
    }

    pub(super) fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|known| known.as_str() == word)
    }

    fn health(self) -> health::State {
        match self {
            Self::State(State::Expired | State::Critical) | Self::Wrong => health::State::Critical,
            Self::State(State::Overdue) | Self::Stale | Self::Missing | Self::Failing => {
                health::State::Warning
            }
            Self::State(State::Fresh | State::Due | State::Late)
            | Self::Ordered
            | Self::Revoked
            | Self::Forgotten => health::State::Ok,
        }
    }
}

impl std::fmt::Display for Word {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

fn word(lineage: &Lineage, state: Option<State>) -> Word {
    if lineage.care.forgotten_at.is_some() {
        return Word::Forgotten;
    }
    let served = worst(&lineage.served).map_or(Grade::Fine, |served| grade(served.verdict));
    match state {
        Some(state) if state >= State::Critical => Word::State(state),
        _ if served == Grade::Wrong => Word::Wrong,
        _ if served == Grade::Stale => Word::Stale,
        Some(State::Overdue) => Word::State(State::Overdue),
        None => without(lineage),
        Some(_) if lineage.failures.count > 1 => Word::Failing,
        Some(state) => Word::State(state),
    }
}

/// How one stands that has no certificate, whatever is served.
fn without(lineage: &Lineage) -> Word {
    match lineage.attempt.as_ref().map(|attempt| attempt.outcome) {
        _ if lineage.failures.count > 0 => Word::Missing,
        Some(Outcome::Open) => Word::Ordered,
        Some(Outcome::Issued) => Word::Revoked,
        Some(Outcome::Failed) => Word::Missing,
        // Its order is not kept as long as its certificate.
        None if lineage.revoked.is_some() => Word::Revoked,
        None => Word::Missing,
    }
}

/// What a verdict says of the certificate that is served. Whether a host can be reached at all is another matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Grade {
    Fine,
    Unseen,
    Stale,
    Wrong,
}

fn grade(verdict: Verdict) -> Grade {
    match verdict {
        Verdict::Ok | Verdict::OkPrevious | Verdict::Expiring => Grade::Fine,
        verdict if verdict.is_about_reach() => Grade::Unseen,
        Verdict::StaleNotReloaded => Grade::Stale,
        _ => Grade::Wrong,
    }
}

/// What is worst of what its addresses serve.
pub(super) fn worst(served: &[Served]) -> Option<&Served> {
    served.iter().max_by_key(|served| grade(served.verdict))
}

/// Whether what is served is the newest, as far as anybody looked.
pub(super) fn is_served_well(served: &[Served]) -> Option<bool> {
    worst(served)
        .map(|served| grade(served.verdict))
        .filter(|grade| *grade != Grade::Unseen)
        .map(|g| g == Grade::Fine)
}

/// A failure in two words, as `orders` has it.
pub(super) fn reason(failure: &Failure) -> String {
    format!("{} {}", failure.phase.as_str(), failure.reason.as_str())
}

/// How many lineages there are of each word, and what many failures have in common.
#[derive(Default)]
pub(super) struct Summary {
    words: BTreeMap<&'static str, Vec<String>>,
    pub(super) muted: u64,
    /// Lineages in all, those that are well among them.
    pub(super) total: u64,
    state: Option<health::State>,
    causes: BTreeMap<String, Vec<String>>,
    failing: usize,
}

impl Summary {
    /// Counts one.
    pub(super) fn add(&mut self, judged: &Judged) {
        if judged.word == Word::Forgotten {
            // Not everything that is forgotten is looked at; what is, is not taken to be fresh.
            if judged.lineage.current.is_some() {
                self.words.entry(judged.word.as_str()).or_default().push(judged.lineage.title());
            }
            return;
        }
        if judged.lineage.current.is_none() && !judged.is_in_trouble() {
            // Revoked, and what its hosts serve is no trouble: it is none of those that are counted.
            return;
        }
        if let Some(failure) = judged.failure() {
            self.failing += 1;
            self.causes.entry(cause(failure)).or_default().push(judged.lineage.title());
        }
        if judged.muted {
            self.muted += 1;
            return;
        }
        self.state = self.state.max(Some(judged.health()));
        self.words.entry(judged.word.as_str()).or_default().push(judged.lineage.title());
    }

    pub(super) fn state(&self) -> health::State {
        self.state.unwrap_or(health::State::Ok)
    }

    /// How many stand so.
    pub(super) fn count(&self, word: Word) -> usize {
        self.words.get(word.as_str()).map_or(0, Vec::len)
    }

    /// Some that stand so.
    pub(super) fn names(&self, word: Word) -> &[String] {
        self.words.get(word.as_str()).map(Vec::as_slice).unwrap_or_default()
    }

    /// The words that need somebody, the worst first.
    pub(super) fn troubles(&self) -> impl Iterator<Item = Word> + '_ {
        Word::ALL.iter().copied().filter(|word| word.health() > health::State::Ok && self.count(*word) > 0)
    }

    /// How many are well, as far as anybody expects something of them.
    pub(super) fn well(&self) -> u64 {
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let others = number(self.in_trouble() + self.count(Word::Forgotten)) + self.muted;
        self.total.saturating_sub(others)
    }

    /// How many need somebody.
    pub(super) fn in_trouble(&self) -> usize {
        self.troubles().map(|word| self.count(word)).sum()
    }

    /// What most failures have in common, with the names; nothing when there are less than two such.
    pub(super) fn common_cause(&self) -> Option<(&str, &[String])> {
        let (cause, names) = self.causes.iter().max_by_key(|(_, names)| names.len())?;
        (names.len() > 1 && names.len() * 2 > self.failing).then_some((cause.as_str(), names.as_slice()))
    }

    /// The last lines of a table: how many need somebody, and what to do first.
    pub(super) fn lines(&self) -> (String, Option<String>) {
        let troubles: Vec<String> =
            self.troubles().map(|word| format!("{} {word}", self.count(word))).collect();
        let mut text = format!("{} of {} names need attention", self.in_trouble(), self.total);
        if !troubles.is_empty() {
            text = format!("{text} ({})", troubles.join(", "));
        }
        if self.muted > 0 {
            text = format!("{text}; {} muted", self.muted);
        }
        text.push('.');
        let common = self.common_cause();
        if let Some((cause, _)) = common {
            text = format!("{text} Common cause: {cause}.");
        }
        let first = self.troubles().next().and_then(|word| self.names(word).first());
        let next = match (common, first) {
            (Some((_, names)), _) => names.first().map(|name| explain(name)),
            (None, first) => first.map(|name| explain(name)),
        };
        (text, next)
    }
}

fn explain(title: &str) -> String {
    format!("ca-ctl explain {}", title.split(' ').next().unwrap_or_default())
}

/// What failures may have in common: the server that was asked, or the way in which they failed.
fn cause(failure: &Failure) -> String {
    match (failure.phase, failure.lookup()) {
        (Phase::Dns | Phase::Caa | Phase::Record, Some(lookup)) => {
            format!("resolver {} {}", lookup.server, lookup.answer)
        }
        _ => reason(failure),
    }
}

/// How much of a life is used, rounded as JSON has it.
pub(super) fn rounded(used: f64) -> f64 {
    (used * 1_000.0).round() / 1_000.0
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use acme::id::Serial;
    use acme::lineage::{Current, Mute};
    use acme::renewal_info::Window;

    use super::*;

    fn at(days: u64) -> Timestamp {
        Timestamp::EPOCH.plus(Duration::from_secs(days * 86_400))
    }

    fn served(verdict: Verdict, product: Option<&str>) -> Served {
        Served {
            target: "a.lan:443".into(),
            address: None,
            verdict,
            since: at(0),
            at: at(0),
            samples: 2,
            serial: None,
            spki: None,
            not_after: Some(at(13)),
            product: product.map(str::to_owned),
            detail: String::new(),
        }
    }

    /// After ten days of ninety.
    fn judged(change: impl FnOnce(&mut Lineage)) -> Judged {
        let current = Current {
            serial: Serial::from_bytes(&[0x40]),
            issuer: "a1".into(),
            account: None,
            not_before: at(0),
            not_after: at(90),
            issued_at: at(0),
            downloaded_at: None,
            window: Window { start: at(59), end: at(61) },
        };
        let mut lineage =
            Lineage { names: vec!["a.lan".into()], current: Some(current), ..Lineage::default() };
        change(&mut lineage);
        Judged::new(lineage, Thresholds::default(), at(10))
    }

    #[test]
    fn what_is_served_has_its_words_and_the_worst_of_them_counts() {
        for (verdict, product, word, shown) in [
            (Verdict::Ok, None, "fresh", "ours, current"),
            (Verdict::OkPrevious, None, "fresh", "ours, previous"),
            (Verdict::StaleNotReloaded, None, "stale", "old serial (3d 0h left)"),
            (Verdict::FallbackCert, Some("NixOS"), "wrong", "fallback (NixOS)"),
            (Verdict::FallbackCert, Some("NixOS (minica)"), "wrong", "fallback (NixOS)"),
            (Verdict::FallbackCert, None, "wrong", "fallback"),
            (Verdict::RevokedServed, None, "wrong", "ours, revoked"),
            (Verdict::NoCertAlert, None, "wrong", "no cert alert"),
            (Verdict::TcpRefused, None, "fresh", "tcp refused"),
            (Verdict::DnsFail, None, "fresh", "dns fail"),
        ] {
            let judged = judged(|l| l.served = vec![served(Verdict::Ok, None), served(verdict, product)]);
            assert_eq!((judged.word.as_str(), judged.served(true).as_str()), (word, shown), "{verdict}");
        }
        let nothing = judged(|_| ());
        assert_eq!((nothing.served(true).as_str(), nothing.health()), ("-", health::State::Ok));
    }

    #[test]
    fn no_verdict_that_is_not_ours_is_ever_well() {
        for verdict in Verdict::ALL {
            let judged = judged(|lineage| lineage.served = vec![served(*verdict, None)]);
            let fine = [Verdict::Ok, Verdict::OkPrevious, Verdict::Expiring];
            assert_eq!(
                is_served_well(&judged.lineage.served) == Some(true),
                fine.contains(verdict),
                "{verdict}"
            );
        }
    }

    #[test]
    fn a_mute_silences_until_its_end() {
        for (until, health) in [(11, health::State::Ok), (10, health::State::Critical)] {
            let judged = judged(|lineage| {
                lineage.served = vec![served(Verdict::FallbackCert, None)];
                lineage.care.muted = Some(Mute { until: at(until), reason: "moves".into() });
            });
            assert_eq!(judged.health(), health, "until {until}");
        }
    }

    #[test]
    fn a_client_is_silent_that_polled_and_neither_polls_nor_orders() {
        let silent = |polled: Option<u64>| {
            judged(|lineage| {
                lineage.polled_at = polled.map(at);
                lineage.polled_every = Some(Duration::from_secs(86_400));
            })
            .silent_since()
        };
        assert_eq!([silent(None), silent(Some(8)), silent(Some(6))], [None, None, Some(at(6))]);
    }

    #[test]
    fn every_word_is_read_back() {
        for word in Word::ALL {
            assert_eq!(Word::parse(word.as_str()), Some(*word));
        }
    }
}
