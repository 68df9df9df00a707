//! `names`, `mute`, `unmute` and `forget`: the lineages of a store, and what the operator says of them.

use std::time::Duration;

use acme::identifier::{Identifier, name_set};
use acme::lineage::{Mute as Muted, key};
use acme::problem::plain;
use acme::renewal::Thresholds;
use acme::time::Timestamp;
use anyhow::{Context as _, bail, ensure};
use clap::{ArgGroup, Args, Subcommand};
use serde::Serialize;
use serde_json::json;
use store::Store;
use store::audit::AuditEvent;
use store::care::{SetCare, Wish};
use store::lineage::Which;

use super::expiring::{Item, Pages, items, percent};
use super::named::named;
use super::output::Output;
use super::span::{ago, brief, left, span};
use super::standing::Judged;
use crate::audit;

/// Names with certificates, or with orders that failed lately
#[derive(Subcommand)]
pub(super) enum Names {
    /// All of them, by name
    List,
    /// One in full: its certificates, its client's habits, what is served, what was said of it
    Show(Show),
    /// Say who looks after a name
    Owner(Owner),
    /// Say who looks after a name, and when it is overdue and critical
    Set(Set),
}

#[derive(Args)]
pub(super) struct Show {
    /// A name or address
    name: String,
}

#[derive(Args)]
#[command(group(ArgGroup::new("who").required(true).args(["owner", "none"])))]
pub(super) struct Owner {
    /// A name, `*.suffix` for all below it, or several names with commas: a set
    name: String,
    /// Who
    #[arg(value_parser = word)]
    owner: Option<String>,
    /// Nobody any more
    #[arg(long)]
    none: bool,
}

#[derive(Args)]
#[command(group(ArgGroup::new("said").required(true).multiple(true).args(["owner", "warn", "critical", "default"])))]
pub(super) struct Set {
    /// A name, `*.suffix` for all below it, or several names with commas: a set
    name: String,
    /// Who looks after it
    #[arg(long, value_name = "OWNER", value_parser = word)]
    owner: Option<String>,
    /// The used part of a life from which it is overdue, such as 70%
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    warn: Option<f64>,
    /// The part from which it is critical. Of the two the one that is left out stays as it is
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    critical: Option<f64>,
    /// The configured parts again
    #[arg(long, conflicts_with_all = ["warn", "critical"])]
    default: bool,
}

/// No alerts about a name for a time
#[derive(Args)]
pub(super) struct Mute {
    /// A name, `*.suffix` for all below it, or several names with commas: a set
    name: String,
    /// For how long, up to 366d
    #[arg(long = "for", value_name = "SPAN", value_parser = mute_span)]
    span: Duration,
    /// Why, for those who wonder
    #[arg(long, value_name = "TEXT", value_parser = word)]
    reason: String,
}

/// Alerts about a name again
#[derive(Args)]
pub(super) struct Unmute {
    /// As it was muted
    name: String,
}

/// Expect no renewal any more, until the name is ordered again
#[derive(Args)]
pub(super) struct Forget {
    /// A name, `*.suffix` for all below it, or several names with commas: a set
    name: String,
}

/// What was said, as `--json` tells of it. Fields are only ever added.
#[derive(Serialize)]
struct SaidItem {
    subject: String,
    /// The lineages that it concerns now: their first names.
    names: Vec<String>,
    owner: Option<String>,
    muted_until: Option<Timestamp>,
    mute_reason: Option<String>,
    forgotten_at: Option<Timestamp>,
    warn: Option<f64>,
    critical: Option<f64>,
}

/// What `names show` tells beside the fields of `list-expiring`.
#[derive(Serialize)]
struct More {
    history: Vec<History>,
    /// The lineages' habits, in seconds, in the order of the items.
    polled_every: Vec<Option<u64>>,
    issued_every: Vec<Option<u64>>,
    /// Of what something was said that holds for it, the nearest first.
    subjects: Vec<String>,
}

#[derive(Serialize)]
struct History {
    name: String,
    issued_at: Timestamp,
    not_after: Timestamp,
}

impl Names {
    pub(super) async fn run(
        self,
        store: &Store,
        thresholds: Thresholds,
        mut output: Output<'_>,
    ) -> anyhow::Result<()> {
        match self {
            Self::List => list(store, thresholds, &mut output).await,
            Self::Show(show) => show.run(store, thresholds, &mut output).await,
            Self::Owner(Owner { name, owner, none: _ }) => {
                say(store, &name, Wish::Owner(owner), &mut output).await
            }
            Self::Set(set) => set.run(store, thresholds, &mut output).await,
        }
    }
}

async fn list(store: &Store, thresholds: Thresholds, output: &mut Output<'_>) -> anyhow::Result<()> {
    let now = output.now;
    let mut all = Vec::new();
    let mut pages = Pages::new(store, Which::All, thresholds, now);
    while let Some(page) = pages.next().await? {
        all.extend(page);
    }
    if output.json {
        return output.envelope("names", &items(store, &all).await?);
    }
    output.columns(LIST, &["EVERY", "LAST POLL", "OWNER", "MUTED"], &all, |judged, is_wide| {
        let lineage = &judged.lineage;
        let dash = || "-".to_owned();
        // Where there is little room, `names show` has the rest.
        let cadence = judged.standing.and_then(|standing| standing.cadence).filter(|_| is_wide);
        let polled = lineage.polled_at.filter(|_| is_wide);
        let muted = lineage.care.muted.as_ref().filter(|_| judged.muted && is_wide);
        let issued = lineage.current.as_ref().map(|current| current.issued_at);
        let issued = issued.map(|at| if is_wide { ago(at, now) } else { format!("{} ago", brief(now, at)) });
        vec![
            lineage.title(),
            judged.shown(is_wide),
            judged.left(),
            issued.unwrap_or_else(dash),
            cadence.map_or_else(dash, human),
            polled.map_or_else(dash, |at| ago(at, now)),
            judged.last_attempt(is_wide),
            lineage.care.owner.clone().unwrap_or_else(dash),
            muted.map_or_else(dash, |mute| format!("for {}: {}", left(mute.until, now), mute.reason)),
        ]
    })
}

impl Show {
    async fn run(self, store: &Store, thresholds: Thresholds, output: &mut Output<'_>) -> anyhow::Result<()> {
        let now = output.now;
        let found = known(store, &self.name, thresholds, now).await?;
        let cares = store.cares().await?;
        if output.json {
            let items: Vec<Item> = items(store, &found).await?;
            let more = More {
                history: found.iter().flat_map(history).collect(),
                polled_every: found
                    .iter()
                    .map(|j| j.lineage.polled_every.map(|span| span.as_secs()))
                    .collect(),
                issued_every: found
                    .iter()
                    .map(|j| j.standing.and_then(|standing| standing.cadence).map(|span| span.as_secs()))
                    .collect(),
                subjects: found
                    .iter()
                    .flat_map(|j| cares.subjects(&j.lineage.names))
                    .map(str::to_owned)
                    .collect(),
            };
            return output.envelope_with("names", &items, more);
        }
        for judged in &found {
            output.line(&judged.lineage.title())?;
            for (key, value) in facts(judged, now) {
                output.hung(&format!("  {key:<14} "), &value)?;
            }
            for subject in cares.subjects(&judged.lineage.names) {
                if let Some(said) = cares.of_subject(subject).and_then(|care| said(care, now)) {
                    output.hung("  said           ", &format!("of {subject}: {said}"))?;
                }
            }
        }
        Ok(())
    }
}

fn history(judged: &Judged) -> Vec<History> {
    let name = judged.lineage.names.first().cloned().unwrap_or_default();
    let past = judged.lineage.past.iter();
    past.map(|past| History { name: name.clone(), issued_at: past.issued_at, not_after: past.not_after })
        .collect()
}

fn facts(judged: &Judged, now: Timestamp) -> Vec<(&'static str, String)> {
    let lineage = &judged.lineage;
    let mut facts = vec![("names", lineage.names.join(" ")), ("state", judged.shown(true))];
    if let Some((current, standing)) = lineage.current.as_ref().zip(judged.standing) {
        facts.push(("serial", current.serial.to_string()));
        let valid = format!(
            "{} to {} ({} left)",
            current.not_before,
            current.not_after,
            left(current.not_after, now)
        );
        facts.push(("valid", valid));
        facts.push(("renewal due", standing.due.to_string()));
        facts.push(("late", standing.late_at.to_string()));
        facts.push(("overdue", standing.overdue_at.to_string()));
        facts.push(("critical", standing.critical_at.to_string()));
        let fetched = current.downloaded_at.map_or_else(|| "not seen".to_owned(), |at| ago(at, now));
        facts.push(("downloaded", fetched));
        facts.push(("client tries", format!("every {}", human(standing.interval))));
        if let Some(cadence) = standing.cadence {
            facts.push(("client renews", format!("every {}", human(cadence))));
        }
    }
    if let Some(revoked) = &lineage.revoked {
        facts.push(("revoked", format!("serial {}, {}", revoked.serial, ago(revoked.at, now))));
    }
    if !lineage.is_own {
        let every = lineage.polled_every.map(|span| format!(", every {}", human(span))).unwrap_or_default();
        let polled = lineage.polled_at.map_or_else(|| "never".to_owned(), |at| ago(at, now) + &every);
        facts.push(("last poll", polled));
        facts.push(("last attempt", judged.last_attempt(true)));
    }
    for past in &lineage.past {
        facts.push(("issued", format!("{}, until {}", past.issued_at, past.not_after)));
    }
    for served in &lineage.served {
        let address = served.address.map(|address| address.to_string()).unwrap_or_default();
        let what = format!(
            "{} {address}: {} since {}: {}",
            served.target, served.verdict, served.since, served.detail
        );
        facts.push(("served", what));
    }
    facts.extend(lineage.care.owner.iter().map(|owner| ("owner", owner.clone())));
    facts
}

/// What was said of one subject, in one line.
fn said(care: &acme::lineage::Care, now: Timestamp) -> Option<String> {
    let mut said = Vec::new();
    said.extend(care.owner.iter().map(|owner| format!("owner {owner}")));
    let thresholds = care.thresholds.iter();
    said.extend(
        thresholds
            .map(|t| format!("overdue at {:.0}%, critical at {:.0}%", t.warn * 100.0, t.critical * 100.0)),
    );
    let muted = care.muted.iter().filter(|mute| mute.until > now);
    said.extend(muted.map(|mute| format!("muted until {}: {}", mute.until, mute.reason)));
    said.extend(care.forgotten_at.iter().map(|at| format!("forgotten at {at}")));
    (!said.is_empty()).then(|| said.join("; "))
}

impl Set {
    async fn run(self, store: &Store, configured: Thresholds, output: &mut Output<'_>) -> anyhow::Result<()> {
        let subject = subject(&self.name)?;
        let mut wishes = Vec::new();
        if let Some(owner) = &self.owner {
            wishes.push(Wish::Owner(Some(owner.clone())));
        }
        if self.warn.is_some() || self.critical.is_some() {
            // What is not said now was said before of the same or of what is above it, or is configured.
            let names: Vec<String> = subject.split(',').map(str::to_owned).collect();
            let before = store.cares().await?.of(&names).thresholds.unwrap_or(configured);
            let (warn, critical) =
                (self.warn.unwrap_or(before.warn), self.critical.unwrap_or(before.critical));
            ensure!(
                0.0 < warn && warn < critical && critical < 1.0,
                "--warn {:.0}% and --critical {:.0}% are parts of the lifetime: 0% < warn < critical < 100%",
                warn * 100.0,
                critical * 100.0
            );
            wishes.push(Wish::Thresholds(Some(Thresholds { warn, critical })));
        }
        if self.default {
            wishes.push(Wish::Thresholds(None));
        }
        let last = wishes.pop().context("there is nothing to set")?;
        let concerned = concerned(store, &subject, output.now).await?;
        for wish in wishes {
            keep(store, &subject, wish, output.now).await?;
        }
        keep(store, &subject, last, output.now).await?;
        tell(store, &subject, concerned, output).await
    }
}

impl Mute {
    pub(super) async fn run(self, store: &Store, mut output: Output<'_>) -> anyhow::Result<()> {
        let mute = Muted { until: output.now.plus(self.span), reason: self.reason };
        say(store, &self.name, Wish::Mute(Some(mute)), &mut output).await
    }
}

impl Unmute {
    pub(super) async fn run(self, store: &Store, mut output: Output<'_>) -> anyhow::Result<()> {
        let subject = subject(&self.name)?;
        let (cares, now) = (store.cares().await?, output.now);
        let holds = |care: &acme::lineage::Care| care.muted.as_ref().is_some_and(|mute| mute.until > now);
        if cares.of_subject(&subject).is_none_or(|care| !holds(care)) {
            let names: Vec<String> = subject.split(',').map(str::to_owned).collect();
            let other = cares.subjects(&names).into_iter().find(|s| cares.of_subject(s).is_some_and(holds));
            match other {
                Some(other) => bail!("{subject} is not muted itself, {other} is: `ca-ctl unmute '{other}'`"),
                None => bail!("{subject} is not muted; `ca-ctl names list` shows what is"),
            }
        }
        say(store, &self.name, Wish::Mute(None), &mut output).await
    }
}

impl Forget {
    pub(super) async fn run(self, store: &Store, mut output: Output<'_>) -> anyhow::Result<()> {
        let now = output.now;
        let subject = subject(&self.name)?;
        let concerned = concerned(store, &subject, now).await?;
        // A set holds other names, too, which are still expected: it is forgotten by all its names.
        let sets = concerned.iter().filter(|names| names.len() > 1 && !subject.starts_with("*."));
        let sets: Vec<String> = sets.map(|names| names.join(",")).filter(|set| *set != subject).collect();
        if !sets.is_empty() && sets.len() == concerned.len() {
            bail!(
                "{subject} is on certificates with other names; forget them as a whole: {}",
                sets.iter().map(|set| format!("`ca-ctl forget {set}`")).collect::<Vec<_>>().join(", ")
            );
        }
        keep(store, &subject, Wish::Forget(Some(now)), now).await?;
        let concerned = concerned.into_iter().filter(|names| !sets.contains(&names.join(","))).collect();
        tell(store, &subject, concerned, &mut output).await
    }
}

/// Keeps one thing that is said, and tells whom it concerns.
async fn say(store: &Store, name: &str, wish: Wish, output: &mut Output<'_>) -> anyhow::Result<()> {
    let subject = subject(name)?;
    let concerned = concerned(store, &subject, output.now).await?;
    keep(store, &subject, wish, output.now).await?;
    tell(store, &subject, concerned, output).await
}

async fn keep(store: &Store, subject: &str, wish: Wish, now: Timestamp) -> anyhow::Result<()> {
    let (event, detail) = match &wish {
        Wish::Owner(owner) => ("name-owned", json!({"subject": subject, "owner": owner})),
        Wish::Thresholds(thresholds) => {
            let [warn, critical] = [thresholds.map(|t| t.warn), thresholds.map(|t| t.critical)];
            ("name-limited", json!({"subject": subject, "warn": warn, "critical": critical}))
        }
        Wish::Mute(Some(mute)) => {
            ("name-muted", json!({"subject": subject, "until": mute.until, "reason": mute.reason}))
        }
        Wish::Mute(None) => ("name-unmuted", json!({"subject": subject})),
        Wish::Forget(_) => ("name-forgotten", json!({"subject": subject})),
    };
    let mut detail = detail;
    detail["by"] = json!(super::revoke::operator());
    let audit = AuditEvent { detail: Some(detail), ..audit(event, now) };
    Ok(store.write(SetCare { subject: subject.to_owned(), wish, audit }).await?)
}

async fn tell(
    store: &Store,
    subject: &str,
    concerned: Vec<Vec<String>>,
    output: &mut Output<'_>,
) -> anyhow::Result<()> {
    let now = output.now;
    let care = store.cares().await?.of_subject(subject).cloned().unwrap_or_default();
    let muted = care.muted.as_ref().filter(|mute| mute.until > now);
    let item = SaidItem {
        subject: subject.to_owned(),
        names: concerned.iter().map(|names| key(names)).collect(),
        owner: care.owner.clone(),
        muted_until: muted.map(|mute| mute.until),
        mute_reason: muted.map(|mute| mute.reason.clone()),
        forgotten_at: care.forgotten_at,
        warn: care.thresholds.map(|thresholds| thresholds.warn),
        critical: care.thresholds.map(|thresholds| thresholds.critical),
    };
    output.items("names", &[item], &["OF", "SAID", "CONCERNS"], |item| {
        let said = said(&care, now).unwrap_or_else(|| "-".into());
        let concerns = match item.names.as_slice() {
            [] => "nothing yet".to_owned(),
            [name] => name.clone(),
            [name, more @ ..] => format!("{name} and {} more", more.len()),
        };
        vec![item.subject.clone(), said, concerns]
    })
}

/// The lineages that a subject speaks of now. A name that nobody has is a mistake, mostly; a pattern may be for later.
async fn concerned(store: &Store, subject: &str, now: Timestamp) -> anyhow::Result<Vec<Vec<String>>> {
    let found = if let Some(suffix) = subject.strip_prefix('*') {
        let all = store.lineages_below(suffix, now, LIMIT).await?;
        return Ok(all.into_iter().map(|lineage| lineage.names).collect());
    } else if subject.contains(',') {
        store.lineages_of(subject, now).await?
    } else {
        store.lineages_with_name(subject, now, LIMIT).await?
    };
    if found.is_empty() {
        bail!("nothing is known of {subject}; `ca-ctl names list` shows what is");
    }
    Ok(found.into_iter().map(|lineage| lineage.names).collect())
}

/// The lineages that have a name, or else the wildcard above it, or those of a set of names.
pub(super) async fn known(
    store: &Store,
    name: &str,
    thresholds: Thresholds,
    now: Timestamp,
) -> anyhow::Result<Vec<Judged>> {
    let wanted = subject(name)?;
    let found = if wanted.contains(',') {
        store.lineages_of(&wanted, now).await?
    } else {
        let own = store.lineages_with_name(&wanted, now, LIMIT).await?;
        // A host below a wildcard has the wildcard's certificate.
        match wanted.split_once('.').filter(|_| own.is_empty()) {
            Some((_, parent)) => store.lineages_with_name(&format!("*.{parent}"), now, LIMIT).await?,
            None => own,
        }
    };
    if found.is_empty() {
        bail!("nothing is known of {}; `ca-ctl names list` shows what is", plain(name, 80));
    }
    Ok(found.into_iter().map(|lineage| Judged::new(lineage, thresholds, now)).collect())
}

/// What something is said of, in canonical form.
fn subject(text: &str) -> anyhow::Result<String> {
    let names: Vec<Identifier> = text.split(',').map(named).collect::<Result<_, _>>()?;
    Ok(name_set(&names))
}

/// Text that an operator gives, for tables and alerts.
fn word(text: &str) -> anyhow::Result<String> {
    let word = plain(text.trim(), TEXT);
    ensure!(!word.is_empty(), "it must not be empty; a word or a sentence would do");
    Ok(word)
}

/// For how long somebody wants no alerts.
fn mute_span(text: &str) -> anyhow::Result<Duration> {
    let span = span(text)?;
    ensure!(!span.is_zero(), "it would be over at once; 1h would do, and `unmute` ends a mute");
    ensure!(span <= LONGEST, "it takes up to 366d; `forget` is for ever");
    Ok(span)
}

fn human(span: Duration) -> String {
    left(Timestamp::EPOCH.plus(span), Timestamp::EPOCH)
}

const LIST: &[&str] =
    &["NAME", "STATE", "LEFT", "ISSUED", "EVERY", "LAST POLL", "LAST ATTEMPT", "OWNER", "MUTED"];
const LONGEST: Duration = Duration::from_secs(366 * 86_400);
const LIMIT: u32 = 10_000;
/// How long an owner or a reason may be.
const TEXT: usize = 120;
