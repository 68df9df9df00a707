//! `renew`: asks clients to renew, by moving the windows of RFC 9773 that they poll. Nothing is issued here, and a client
//! that does not poll hears nothing of it.

use std::collections::BTreeSet;
use std::time::Duration;

use acme::id::Serial;
use acme::lineage::title;
use acme::renewal_info::{Window, asked_for};
use acme::time::Timestamp;
use anyhow::{Context as _, bail, ensure};
use clap::{ArgGroup, Args};
use serde::Serialize;
use serde_json::json;
use store::Store;
use store::audit::AuditEvent;
use store::certificate::{Certificate, CertificateStatus, Purpose};
use store::renewal_info::AskRenewals;

use super::output::Output;
use super::span::{ago, left};
use crate::audit;

/// Ask clients to renew now (those that poll renewal information, RFC 9773)
#[derive(Args)]
#[command(group(ArgGroup::new("which").required(true).args(["host", "issuer", "all"])))]
pub(super) struct Renew {
    /// The certificates with one of these names or addresses
    #[arg(long, value_name = "NAME", num_args = 1..)]
    host: Vec<String>,
    /// Those that this issuer signed, as `show` names it
    #[arg(long, value_name = "ID")]
    issuer: Option<String>,
    /// Every one
    #[arg(long)]
    all: bool,
    /// Over how much time; each certificate gets its own place in it.
    /// Left out: at once for hosts, over 6h for the others
    #[arg(long, value_name = "SPAN", value_parser = humantime::parse_duration)]
    spread: Option<Duration>,
    /// Needed with --issuer and --all
    #[arg(long)]
    yes: bool,
}

/// A certificate that is asked for, as `--json` tells of it. Fields are only ever added.
#[derive(Serialize)]
struct Item {
    name: String,
    names: Vec<String>,
    serial: Serial,
    not_after: Timestamp,
    start: Timestamp,
    end: Timestamp,
}

impl Renew {
    pub(super) async fn run(self, store: &Store, mut output: Output<'_>) -> anyhow::Result<()> {
        let now = output.now;
        let usual = if self.host.is_empty() { USUAL_SPREAD } else { Duration::ZERO };
        let spread = self.spread.unwrap_or(usual);
        ensure!(spread <= LONGEST, "--spread is longer than {} days", LONGEST.as_secs() / 86_400);
        let certificates = self.wanted(store, now).await?;
        ensure!(
            self.yes || !self.host.is_empty(),
            "{} certificates would be renewed within {}; --yes does it",
            certificates.len(),
            humantime::format_duration(spread)
        );
        let mut items = Vec::new();
        for some in certificates.chunks(BATCH) {
            let windows: Vec<Window> = some.iter().map(|c| asked_for(&c.facts(), spread, now)).collect();
            let wishes = some.iter().zip(&windows).map(|(c, window)| {
                let audit = AuditEvent {
                    account: c.account.clone(),
                    serial: Some(c.serial.clone()),
                    detail: Some(json!({"start": window.start, "end": window.end})),
                    ..audit("renewal-asked", now)
                };
                (c.serial.clone(), *window, audit)
            });
            let asked = store.write(AskRenewals { wishes: wishes.collect() }).await?;
            // One that was renewed in this very moment is none any more.
            let there = some.iter().zip(&windows).filter(|(c, _)| asked.contains(&c.serial));
            items.extend(there.map(|(c, window)| item(c, *window)));
        }
        items.sort_by(|a, b| (a.end, &a.name).cmp(&(b.end, &b.name)));
        output.items("renew", &items, &["NAME", "RENEWED BY", "UNTIL", "SERIAL"], |item| {
            let by = if item.end > now { format!("in {}", left(item.end, now)) } else { ago(item.end, now) };
            vec![title(&item.names), by, item.end.to_string(), item.serial.to_string()]
        })?;
        if !output.json {
            eprintln!(
                "{} asked for; clients that poll hear of it within six hours, others do not",
                items.len()
            );
        }
        Ok(())
    }

    /// The certificates that are meant: clients', without a successor, and not over.
    async fn wanted(&self, store: &Store, now: Timestamp) -> anyhow::Result<Vec<Certificate>> {
        let mut seen = BTreeSet::new();
        let mut wanted = Vec::new();
        // One that is revoked has its window in the past by that.
        let fits = |c: &Certificate| {
            let issued = c.status == CertificateStatus::Issued;
            let current = issued && c.superseded_by.is_none() && c.revocation.is_none();
            current && c.purpose == Purpose::Acme && c.not_after >= now
        };
        for host in &self.host {
            let name = host.to_ascii_lowercase();
            let found = store.certificates_of_name(&name, LIMIT).await?;
            let before = wanted.len();
            let any = found.iter().any(fits);
            wanted.extend(found.into_iter().filter(fits).filter(|c| seen.insert(c.serial.clone())));
            if !any && wanted.len() == before {
                bail!(
                    "no certificate for {} is in use; `ca-ctl list` shows those that are",
                    acme::problem::plain(host, 80)
                );
            }
        }
        if self.all || self.issuer.is_some() {
            let issuer = self.issuer.as_deref().map(str::to_ascii_lowercase);
            if let Some(issuer) = &issuer {
                store.issuer(issuer).await?.with_context(|| {
                    format!(
                        "there is no issuer {}; `ca-ctl show NAME` says which one signed",
                        acme::problem::plain(issuer, 80)
                    )
                })?;
            }
            let all = store.expiring(Timestamp::from_unix(i64::MAX), LIMIT).await?;
            wanted.extend(
                all.into_iter().filter(fits).filter(|c| issuer.as_ref().is_none_or(|id| *id == c.issuer)),
            );
        }
        Ok(wanted)
    }
}

fn item(certificate: &Certificate, window: Window) -> Item {
    let names: Vec<String> = certificate.names.split(',').map(str::to_owned).collect();
    Item {
        name: names.first().cloned().unwrap_or_default(),
        names,
        serial: certificate.serial.clone(),
        not_after: certificate.not_after,
        start: window.start,
        end: window.end,
    }
}

/// How many are asked for in one change: the server's own changes wait no longer than for that.
const BATCH: usize = 200;
const LIMIT: u32 = 1_000_000;
const USUAL_SPREAD: Duration = Duration::from_secs(6 * 3_600);
const LONGEST: Duration = Duration::from_secs(30 * 86_400);
