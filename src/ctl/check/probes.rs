//! `check probes`: what addresses really serve, as the server saw it last.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;

use acme::id::Serial;
use acme::lineage::Care;
use acme::renewal::{State, Thresholds, state_with, used};
use acme::severity::Severity;
use acme::time::Timestamp;
use acme::verdict::Verdict;
use store::Store;
use store::care::Cares;
use store::certificate::Certificate;
use store::lineage::Which;
use store::observation::Observation;

use super::{Found, shortened};
use crate::config::Config;
use crate::ctl::expiring::Pages;
use crate::ctl::health;
use crate::probe::judge::severity;

/// What is served. A name that is muted or forgotten is looked at all the same, and counts nothing here.
pub(super) async fn probes(
    config: &Config,
    store: &Store,
    thresholds: Thresholds,
    now: Timestamp,
) -> anyhow::Result<Found> {
    let cares = store.cares().await?;
    let quiet = quiet(store, thresholds, now).await?;
    let (mut targets, mut newest) = (BTreeSet::new(), None);
    let mut bad: BTreeMap<Severity, BTreeSet<String>> = BTreeMap::new();
    let mut after: Option<(String, Option<SocketAddr>)> = None;
    loop {
        let place = after.as_ref().map(|(target, address)| (target.as_str(), *address));
        let page = store.observations(place, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some((last.served.target.clone(), last.served.address));
        let aging = aging(store, &page).await?;
        for seen in &page {
            targets.insert(seen.served.target.clone());
            newest = newest.max(Some(seen.served.at));
            let care = cares.of(std::slice::from_ref(&seen.host));
            let is_quiet = is_quiet(&care, now) || quiet.get(&seen.host) == Some(&true);
            let verdict = seen.served.verdict;
            let serial = seen.served.serial.as_ref().filter(|_| gets_worse(verdict));
            let old = serial.and_then(|serial| aging.get(serial));
            let severity = match old.is_some_and(|old| is_critical(verdict, old, &cares, thresholds, now)) {
                true => Some(Severity::Critical),
                false => severity(verdict),
            };
            if let Some(severity) = severity.filter(|severity| *severity > Severity::Info && !is_quiet) {
                let said = format!("{} {verdict}", seen.served.target);
                bad.entry(severity).or_default().insert(said);
            }
        }
    }
    let count = |from: Severity| bad.range(from..).map(|(_, said)| said.len()).sum::<usize>();
    let (critical, all) = (count(Severity::Critical), count(Severity::Warning));
    let stale = config.probe.interval.saturating_mul(3);
    let state = match newest {
        None => health::State::Unknown,
        Some(at) if at.plus(stale) < now => health::State::Unknown,
        Some(_) if critical > 0 => health::State::Critical,
        Some(_) if all > 0 => health::State::Warning,
        Some(_) => health::State::Ok,
    };
    let text = match newest {
        None => "nothing was looked at yet; does the server run?".to_owned(),
        Some(at) if at.plus(stale) < now => format!("nothing was looked at since {at}; does the server run?"),
        Some(_) if all > 0 => shortened(&bad.into_values().rev().flatten().collect::<Vec<_>>()),
        Some(_) if targets.len() == 1 => "1 target serves what it should".to_owned(),
        Some(_) => format!("{} targets serve what they should", targets.len()),
    };
    let perfdata =
        format!("targets={} probes_critical={critical};0;0 probes_warning={}", targets.len(), all - critical);
    Ok(Found { check: "PROBES", state, text, perfdata })
}

/// Hosts of names that need attention, and whether nobody wants to hear of any set of names that has them.
async fn quiet(
    store: &Store,
    thresholds: Thresholds,
    now: Timestamp,
) -> anyhow::Result<BTreeMap<String, bool>> {
    let mut quiet = BTreeMap::new();
    let mut pages = Pages::new(store, Which::Attention, thresholds, now);
    while let Some(page) = pages.next().await? {
        for judged in page {
            let is_quiet = is_quiet(&judged.lineage.care, now);
            for name in judged.lineage.names {
                *quiet.entry(name).or_insert(true) &= is_quiet;
            }
        }
    }
    Ok(quiet)
}

fn is_quiet(care: &Care, now: Timestamp) -> bool {
    care.forgotten_at.is_some() || care.muted.as_ref().is_some_and(|mute| mute.until > now)
}

/// Whether a verdict weighs more the older the certificate is that is served.
fn gets_worse(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Expiring | Verdict::StaleNotReloaded)
}

/// The certificates of which that is so, by their serials.
async fn aging(store: &Store, page: &[Observation]) -> anyhow::Result<HashMap<String, Certificate>> {
    let old = page.iter().filter(|seen| gets_worse(seen.served.verdict));
    let serials: BTreeSet<&str> = old.filter_map(|seen| seen.served.serial.as_deref()).collect();
    let serials: Vec<Serial> = serials.into_iter().filter_map(Serial::parse).collect();
    let found = store.certificates_with_serials(&serials).await?;
    Ok(found.into_iter().map(|certificate| (certificate.serial.to_string(), certificate)).collect())
}

/// Whether one is so old that somebody must look, by the thresholds that hold for its names; as the probe has it.
fn is_critical(
    verdict: Verdict,
    certificate: &Certificate,
    cares: &Cares,
    configured: Thresholds,
    now: Timestamp,
) -> bool {
    let names: Vec<String> = certificate.names.split(',').map(str::to_owned).collect();
    let own = cares.of(&names).thresholds;
    let (begin, end) = (certificate.not_before, certificate.not_after);
    match verdict {
        Verdict::Expiring => state_with(begin, end, own, configured, now) >= State::Critical,
        _ => used(begin, end, now) >= own.unwrap_or(configured).critical,
    }
}

const PAGE: u32 = 1_000;
