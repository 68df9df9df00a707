//! `list-expiring`: which names need attention, and why.

use std::collections::HashSet;
use std::time::Duration;

use acme::id::Serial;
use acme::lineage::{Outcome, Served};
use acme::renewal::Thresholds;
use acme::renewal_info::Window;
use acme::time::Timestamp;
use anyhow::{Context as _, bail};
use clap::Args;
use serde::Serialize;
use store::Store;
use store::certificate::{Certificate, Purpose};
use store::lineage::{Place, Which};

use super::output::Output;
use super::span::span;
use super::standing::{Judged, Summary, Word, rounded};

/// Names that need attention, the most urgent first
#[derive(Args)]
pub(super) struct ListExpiring {
    /// Those whose certificate ends within this time, such as 30d [default: 30d, and all that need attention]
    #[arg(long, value_name = "SPAN", value_parser = span, conflicts_with_all = ["used", "state", "all"])]
    within: Option<Duration>,
    /// Those whose life is used up to at least this part, such as 80%
    #[arg(long, value_name = "PERCENT", value_parser = percent, conflicts_with_all = ["state", "all"])]
    used: Option<f64>,
    /// Those in these states: fresh, due, late, overdue, critical, expired; missing, failing, stale, wrong, revoked, forgotten
    #[arg(long, value_name = "STATE,…", value_delimiter = ',', value_parser = state, conflicts_with = "all")]
    state: Vec<Word>,
    /// All that have no successor
    #[arg(long)]
    all: bool,
    /// Those that this owner looks after
    #[arg(long, value_name = "OWNER")]
    owner: Option<String>,
    /// Let the exit status tell how things are: 0 good, 1 warning, 2 critical, 3 unknown
    #[arg(long)]
    pub(super) exit_code: bool,
}

/// A lineage as `--json` tells of it. Fields are only ever added. What belongs to a certificate is null without one.
#[derive(Serialize)]
pub(super) struct Item {
    name: String,
    names: Vec<String>,
    serial: Option<Serial>,
    not_before: Option<Timestamp>,
    not_after: Option<Timestamp>,
    /// The used part of the life, 0 to 1 and above.
    used: Option<f64>,
    /// As [`acme::renewal::State`], or `missing`, `revoked`.
    state: String,
    due: Option<Timestamp>,
    /// What clients are told that poll (RFC 9773).
    suggested_window: Option<Window>,
    /// Whether the operator asked for it.
    renewal_asked: bool,
    /// When a client last polled.
    polled_at: Option<Timestamp>,
    issuer: Option<String>,
    purpose: &'static str,
    account: Option<String>,
    order: Option<String>,
    issued_at: Option<Timestamp>,
    superseded_by: Option<Serial>,
    /// What is worst about it: as `state`, or `failing`, `stale`, `wrong`, `forgotten`.
    standing: &'static str,
    owner: Option<String>,
    muted_until: Option<Timestamp>,
    mute_reason: Option<String>,
    downloaded_at: Option<Timestamp>,
    /// Since when its client neither polls nor orders, if it used to.
    client_silent_since: Option<Timestamp>,
    /// Orders that failed since the last that brought a certificate.
    failures: u32,
    last_attempt: Option<AttemptItem>,
    served: Vec<ServedItem>,
    /// The last certificate, when it was revoked and none came after it.
    revoked_serial: Option<Serial>,
    revoked_at: Option<Timestamp>,
}

#[derive(Serialize)]
struct AttemptItem {
    order: String,
    at: Timestamp,
    outcome: Outcome,
    /// How far the validation came, and what went wrong: `dns servfail`.
    reason: Option<String>,
    /// The deciding look-up's server and answer.
    server: Option<String>,
    answer: Option<String>,
    /// The address that was dialled last.
    address: Option<String>,
    detail: Option<String>,
}

#[derive(Serialize)]
struct ServedItem {
    target: String,
    address: Option<String>,
    verdict: &'static str,
    since: Timestamp,
    at: Timestamp,
    serial: Option<String>,
    not_after: Option<Timestamp>,
    product: Option<String>,
    detail: String,
}

impl ListExpiring {
    pub(super) async fn run(
        self,
        store: &Store,
        thresholds: Thresholds,
        mut output: Output<'_>,
    ) -> anyhow::Result<()> {
        let now = output.now;
        // Without a condition on the end, everything without a successor has to be looked at.
        let by_end = self.used.is_none() && self.state.is_empty() && !self.all;
        let end = if by_end {
            now.plus(self.within.unwrap_or(DEFAULT_WITHIN))
        } else {
            Timestamp::from_unix(i64::MAX)
        };
        let (summary, mut shown) = survey(store, thresholds, now).await?;
        // Who asks for an end asks for a certificate. Who asks for nothing asks for all that is wrong, however late its
        // certificate ends; otherwise only what has none is not on the pages below.
        shown.retain(|judged| match self.within {
            Some(_) => false,
            None => (by_end || judged.lineage.current.is_none()) && self.wants(judged),
        });
        let known: HashSet<(String, bool)> = shown.iter().map(key).collect();
        // Those without a certificate are on no page by its end.
        let is_without = |word: &Word| matches!(word, Word::Revoked | Word::Ordered);
        let which = if self.state.iter().any(is_without) { Which::All } else { Which::EndingBefore(end) };
        let mut pages = Pages::new(store, which, thresholds, now);
        while let Some(page) = pages.next().await? {
            shown.extend(
                page.into_iter().filter(|judged| self.wants(judged) && !known.contains(&key(judged))),
            );
        }
        // Among those that stand alike, in the order of their ends.
        shown.sort_by_key(|judged| {
            let end = judged.lineage.current.as_ref().map(|current| current.not_after);
            (Word::ALL.iter().position(|word| *word == judged.word), end, judged.lineage.title())
        });
        if output.json {
            output.envelope("list-expiring", &items(store, &shown).await?)?;
        } else {
            output.columns(HEADERS, OFTEN_EMPTY, &shown, row)?;
            let (text, next) = summary.lines();
            eprintln!("{text}");
            if let Some(next) = next {
                eprintln!("next: {next}");
            }
        }
        if self.exit_code { summary.state().finish() } else { Ok(()) }
    }

    fn wants(&self, judged: &Judged) -> bool {
        let state = judged.state();
        (judged.word != Word::Forgotten || self.state.contains(&Word::Forgotten))
            && (self.owner.is_none() || self.owner == judged.lineage.care.owner)
            && self.used.is_none_or(|used| judged.standing.is_some_and(|s| rounded(s.used) >= used))
            && (self.state.is_empty() || self.state.iter().any(|word| *word == judged.word || *word == state))
    }
}

/// What tells lineages apart.
fn key(judged: &Judged) -> (String, bool) {
    (judged.lineage.key(), judged.lineage.is_own)
}

/// Looks at everything that may need attention: a summary, and the lineages that do, those that are muted among them.
pub(super) async fn survey(
    store: &Store,
    thresholds: Thresholds,
    now: Timestamp,
) -> anyhow::Result<(Summary, Vec<Judged>)> {
    let (mut summary, mut troubled) = (Summary::default(), Vec::new());
    let mut without = 0;
    let mut pages = Pages::new(store, Which::Attention, thresholds, now);
    while let Some(page) = pages.next().await? {
        for judged in page {
            summary.add(&judged);
            if judged.is_in_trouble() {
                without += u64::from(judged.lineage.current.is_none());
                troubled.push(judged);
            }
        }
    }
    summary.total = store.count_lineages().await? + without;
    Ok((summary, troubled))
}

/// The lineages of a kind, judged, page after page.
pub(super) struct Pages<'s> {
    store: &'s Store,
    which: Which,
    thresholds: Thresholds,
    now: Timestamp,
    after: Option<Place>,
    ended: bool,
}

impl<'s> Pages<'s> {
    pub(super) fn new(store: &'s Store, which: Which, thresholds: Thresholds, now: Timestamp) -> Self {
        Self { store, which, thresholds, now, after: None, ended: false }
    }

    /// The next page, which may be empty; none behind the last.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<Vec<Judged>>> {
        if self.ended {
            return Ok(None);
        }
        let page = self.store.lineages(self.which, self.now, PAGE, self.after.as_ref()).await?;
        self.ended = page.next.is_none();
        self.after = page.next;
        let judged = page.lineages.into_iter().map(|lineage| Judged::new(lineage, self.thresholds, self.now));
        Ok(Some(judged.collect()))
    }
}

/// What `--json` tells of lineages.
pub(super) async fn items(store: &Store, judged: &[Judged]) -> anyhow::Result<Vec<Item>> {
    let serials = judged.iter().filter_map(|judged| judged.lineage.current.as_ref());
    let serials: Vec<Serial> = serials.map(|current| current.serial.clone()).collect();
    let mut certificates = std::collections::HashMap::new();
    for certificate in store.certificates_with_serials(&serials).await? {
        certificates.insert(certificate.serial.clone(), certificate);
    }
    let certificate = |judged: &Judged| certificates.get(&judged.lineage.current.as_ref()?.serial);
    Ok(judged.iter().map(|judged| item(judged, certificate(judged))).collect())
}

fn item(judged: &Judged, certificate: Option<&Certificate>) -> Item {
    let lineage = &judged.lineage;
    let current = lineage.current.as_ref();
    let purpose = if lineage.is_own { Purpose::Server } else { Purpose::Acme };
    let muted = lineage.care.muted.as_ref().filter(|_| judged.muted);
    Item {
        name: lineage.names.first().cloned().unwrap_or_default(),
        names: lineage.names.clone(),
        serial: current.map(|current| current.serial.clone()),
        not_before: current.map(|current| current.not_before),
        not_after: current.map(|current| current.not_after),
        used: judged.standing.map(|standing| rounded(standing.used)),
        state: judged.state().to_string(),
        due: judged.standing.map(|standing| standing.due),
        suggested_window: current.map(|current| current.window),
        renewal_asked: certificate.is_some_and(|certificate| certificate.asked.is_some()),
        polled_at: lineage.polled_at,
        issuer: current.map(|current| current.issuer.clone()),
        purpose: purpose.as_str(),
        account: current.and_then(|current| current.account.as_ref()).map(ToString::to_string),
        order: certificate.and_then(|certificate| certificate.order.as_ref()).map(ToString::to_string),
        issued_at: current.map(|current| current.issued_at),
        superseded_by: None,
        standing: judged.word.as_str(),
        owner: lineage.care.owner.clone(),
        muted_until: muted.map(|mute| mute.until),
        mute_reason: muted.map(|mute| mute.reason.clone()),
        downloaded_at: current.and_then(|current| current.downloaded_at),
        client_silent_since: judged.silent_since(),
        failures: lineage.failures.count,
        last_attempt: lineage.attempt.as_ref().map(attempt),
        served: lineage.served.iter().map(served).collect(),
        revoked_serial: lineage.revoked.as_ref().map(|revoked| revoked.serial.clone()),
        revoked_at: lineage.revoked.as_ref().map(|revoked| revoked.at),
    }
}

fn attempt(attempt: &acme::lineage::Attempt) -> AttemptItem {
    let failure = attempt.failure.as_ref();
    let lookup = failure.and_then(|failure| failure.lookup());
    let problem = attempt.problem.as_ref().map(|problem| problem.detail.clone());
    AttemptItem {
        order: attempt.order.to_string(),
        at: attempt.at,
        outcome: attempt.outcome,
        reason: failure.map(super::standing::reason),
        server: lookup.map(|lookup| lookup.server.clone()),
        answer: lookup.map(|lookup| lookup.answer.clone()),
        address: failure.and_then(|failure| failure.address()).map(|address| address.to_string()),
        detail: failure.map(|failure| failure.detail.clone()).or(problem),
    }
}

fn served(served: &Served) -> ServedItem {
    ServedItem {
        target: served.target.clone(),
        address: served.address.map(|address| address.to_string()),
        verdict: served.verdict.as_str(),
        since: served.since,
        at: served.at,
        serial: served.serial.clone(),
        not_after: served.not_after,
        product: served.product.clone(),
        detail: served.detail.clone(),
    }
}

fn row(judged: &Judged, is_wide: bool) -> Vec<String> {
    vec![
        judged.lineage.title(),
        judged.shown(is_wide),
        judged.left(),
        judged.used(is_wide),
        judged.due(is_wide),
        judged.served(is_wide),
        judged.last_attempt(is_wide),
        judged.lineage.care.owner.clone().unwrap_or_else(|| "-".into()),
    ]
}

pub(super) fn percent(text: &str) -> anyhow::Result<f64> {
    let number: f64 = text.trim_end_matches('%').parse().context("a number such as 80%")?;
    let part = if text.ends_with('%') || number > 1.0 { number / 100.0 } else { number };
    if (0.0..=1.0).contains(&part) { Ok(part) } else { bail!("0% to 100% would do") }
}

fn state(text: &str) -> anyhow::Result<Word> {
    let words = Word::ALL.iter().map(|word| word.as_str()).collect::<Vec<_>>().join(", ");
    Word::parse(text).with_context(|| format!("one of {words} would do"))
}

const HEADERS: &[&str] = &["NAME", "STATE", "LEFT", "USED", "DUE", "SERVED", "LAST ATTEMPT", "OWNER"];
/// Left out of a narrow table when there is nothing in them.
const OFTEN_EMPTY: &[&str] = &["SERVED", "OWNER"];
const DEFAULT_WITHIN: Duration = Duration::from_secs(30 * 86_400);
const PAGE: u32 = 500;
