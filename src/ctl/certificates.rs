//! `list` and `show`: what was issued, and one name or serial in full.

use acme::cadence::IN_THE_TRAIL;
use acme::id::Serial;
use acme::lineage::title;
use acme::renewal::{self, Thresholds};
use acme::renewal_info::{Window, window};
use acme::revocation::Reason;
use acme::time::Timestamp;
use anyhow::bail;
use clap::Args;
use serde::Serialize;
use store::Store;
use store::audit::AuditFilter;
use store::certificate::{Certificate, CertificateStatus, Purpose, Which};

use super::named::named;
use super::orders;
use super::output::Output;
use super::span::{ago, left};

/// Everything issued
#[derive(Args)]
pub(super) struct List {
    /// Also certificates that have a successor
    #[arg(long)]
    all: bool,
    /// How many, newest first
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    limit: u32,
}

/// One name or serial in full
#[derive(Args)]
pub(super) struct Show {
    /// A name or address on a certificate, or a serial
    #[arg(value_name = "NAME|SERIAL")]
    what: String,
}

/// A certificate as `--json` tells of it. Fields are only ever added.
#[derive(Serialize)]
struct Item {
    name: String,
    names: Vec<String>,
    serial: Serial,
    not_before: Timestamp,
    not_after: Timestamp,
    /// The used part of the life, 0 to 1 and above.
    used: f64,
    /// As [`renewal::State`], or `superseded`, or `revoked`.
    state: String,
    due: Timestamp,
    /// What clients are told that poll (RFC 9773).
    suggested_window: Window,
    /// Whether the operator asked for it.
    renewal_asked: bool,
    /// When a client last polled.
    polled_at: Option<Timestamp>,
    issuer: String,
    purpose: &'static str,
    account: Option<String>,
    order: Option<String>,
    issued_at: Option<Timestamp>,
    superseded_by: Option<Serial>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revocation_reason: Option<Reason>,
    /// Why it was called too short for its client when it was issued; `show` alone looks.
    #[serde(skip_serializing_if = "Option::is_none")]
    lifetime_too_short: Option<String>,
}

/// What `show` tells beside the certificates: orders as `orders --failed` has them.
#[derive(Serialize)]
struct Failed<'a> {
    failed_orders: &'a [orders::Item],
}

impl List {
    pub(super) async fn run(
        self,
        store: &Store,
        thresholds: Thresholds,
        mut output: Output<'_>,
    ) -> anyhow::Result<()> {
        let which = if self.all { Which::All } else { Which::Current };
        let certificates = store.certificates(which, None, self.limit, 0).await?;
        let now = output.now;
        let items: Vec<Item> =
            certificates.iter().filter_map(|certificate| item(certificate, thresholds, now)).collect();
        output.items("list", &items, HEADERS, |item| row(item, now))
    }
}

impl Show {
    pub(super) async fn run(
        self,
        store: &Store,
        thresholds: Thresholds,
        mut output: Output<'_>,
    ) -> anyhow::Result<()> {
        let now = output.now;
        let (name, certificates) = match serial(&self.what) {
            Some(serial) => (self.what.clone(), store.certificate(&serial).await?.into_iter().collect()),
            None => {
                let name = named(&self.what)?.to_string();
                let certificates = store.certificates_of_name(&name, SHOWN).await?;
                (name, certificates)
            }
        };
        let mut items = Vec::new();
        for certificate in &certificates {
            let Some(item) = item(certificate, thresholds, now) else { continue };
            items.push(Item { lifetime_too_short: too_short(store, certificate).await?, ..item });
        }
        let failed = orders::failed_of_name(store, &name, now).await?;
        if items.is_empty() && failed.is_empty() {
            bail!(
                "nothing is known of {}; `ca-ctl list` shows what is",
                acme::problem::plain(&self.what, 80)
            );
        }
        if output.json {
            return output.envelope_with("show", &items, Failed { failed_orders: &failed });
        }
        if items.is_empty() {
            output.line(&name)?;
        }
        for item in &items {
            output.line(&item.name)?;
            for (key, value) in facts(item, now) {
                output.line(&format!("  {key:<14} {value}"))?;
            }
        }
        for order in &failed {
            output.line(&format!("  failed order   {}", order.sentence(now)))?;
        }
        Ok(())
    }
}

fn item(certificate: &Certificate, thresholds: Thresholds, now: Timestamp) -> Option<Item> {
    if certificate.status != CertificateStatus::Issued {
        return None;
    }
    let names: Vec<String> = certificate.names.split(',').map(str::to_owned).collect();
    let (begin, end) = (certificate.not_before, certificate.not_after);
    let state = match (&certificate.revocation, &certificate.superseded_by) {
        (Some(_), _) => "revoked".to_owned(),
        (None, Some(_)) => "superseded".to_owned(),
        (None, None) => renewal::state(begin, end, thresholds, now).to_string(),
    };
    Some(Item {
        name: names.first().cloned().unwrap_or_default(),
        names,
        serial: certificate.serial.clone(),
        not_before: begin,
        not_after: end,
        used: (renewal::used(begin, end, now) * 1_000.0).round() / 1_000.0,
        state,
        due: renewal::due(begin, end),
        suggested_window: window(&certificate.facts()),
        renewal_asked: certificate.asked.is_some(),
        polled_at: certificate.polled_at,
        issuer: certificate.issuer.clone(),
        purpose: certificate.purpose.as_str(),
        account: certificate.account.as_ref().map(ToString::to_string),
        order: certificate.order.as_ref().map(ToString::to_string),
        issued_at: certificate.issued_at,
        superseded_by: certificate.superseded_by.clone(),
        revoked_at: certificate.revocation.map(|revocation| revocation.at),
        revocation_reason: certificate.revocation.map(|revocation| revocation.reason),
        lifetime_too_short: None,
    })
}

fn row(item: &Item, now: Timestamp) -> Vec<String> {
    let due = if matches!(item.state.as_str(), "superseded" | "revoked") {
        "-".to_owned()
    } else if item.due > now {
        format!("in {}", left(item.due, now))
    } else {
        ago(item.due, now)
    };
    let percent = format!("{:.0}%", item.used * 100.0);
    vec![
        title(&item.names),
        shout(&item.state),
        left(item.not_after, now),
        percent,
        due,
        item.not_after.to_string(),
        item.serial.to_string(),
    ]
}

/// What a person means by a word that could be a name: a serial is long, and has no dots.
pub(super) fn serial(word: &str) -> Option<Serial> {
    Serial::parse(word).filter(|_| word.len() >= 16 && !word.contains('.'))
}

/// What must be seen at once stands in capitals; colour alone would be lost on some.
fn shout(state: &str) -> String {
    match state {
        "critical" | "expired" => state.to_ascii_uppercase(),
        state => state.to_owned(),
    }
}

fn facts(item: &Item, now: Timestamp) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        (
            "state",
            format!(
                "{} ({:.1}% used, {} left)",
                shout(&item.state),
                item.used * 100.0,
                left(item.not_after, now)
            ),
        ),
        ("names", item.names.join(" ")),
        ("serial", item.serial.to_string()),
        ("valid", format!("{} to {}", item.not_before, item.not_after)),
        ("renewal due", item.due.to_string()),
        ("issuer", item.issuer.clone()),
        ("purpose", item.purpose.to_owned()),
    ];
    // The server renews its own without asking anybody.
    if item.purpose == Purpose::Acme.as_str() {
        facts.push(("window", suggested(item)));
        facts.push(("last poll", item.polled_at.map_or_else(|| "never".to_owned(), |at| ago(at, now))));
    }
    facts.extend(item.account.iter().map(|account| ("account", account.clone())));
    facts.extend(item.order.iter().map(|order| ("order", order.clone())));
    facts.extend(
        item.revoked_at.zip(item.revocation_reason).map(|(at, why)| ("revoked", format!("{at} ({why})"))),
    );
    facts.extend(item.lifetime_too_short.iter().map(|why| ("warning", why.clone())));
    facts.extend(item.superseded_by.iter().map(|serial| ("superseded by", serial.to_string())));
    facts
}

fn suggested(item: &Item) -> String {
    let Window { start, end } = item.suggested_window;
    let asked = if item.renewal_asked { ", as the operator asked" } else { "" };
    format!("{start} to {end}{asked}")
}

/// Why the lifetime was called too short when it was issued, if it was. Only the trail knows.
async fn too_short(store: &Store, certificate: &Certificate) -> anyhow::Result<Option<String>> {
    let filter = AuditFilter {
        serial: Some(certificate.serial.clone()),
        since: Some(certificate.created_at),
        ..AuditFilter::default()
    };
    let trail = store.audit(&filter, 100).await?;
    let why = trail.iter().find_map(|row| row.detail.as_ref()?.get(IN_THE_TRAIL)?.as_str());
    Ok(why.map(str::to_owned))
}

const HEADERS: &[&str] = &["NAME", "STATE", "LEFT", "USED", "DUE", "NOT AFTER", "SERIAL"];
const SHOWN: u32 = 20;
