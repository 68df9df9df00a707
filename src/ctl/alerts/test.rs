//! `alerts test`: a real message by every way that the configuration names, with the server's own resolver, pins and root,
//! whether or not the server runs.

use std::sync::Arc;

use acme::problem::plain;
use anyhow::bail;
use clap::Args;
use rustls::RootCertStore;
use serde::Serialize;
use store::Store;

use crate::config::Config;
use crate::ctl::output::Output;
use crate::notify::{Notifier, Outcome};
use crate::resolver::Resolver;
use crate::watch::deliver::{self, Trial, try_out};

/// Send one real message to every sink, or to one, and say what came of it
#[derive(Args)]
pub(crate) struct Test {
    /// Only to this one
    #[arg(long, value_name = "NAME")]
    sink: Option<String>,
}

#[derive(Serialize)]
struct Item {
    sink: String,
    #[serde(rename = "type")]
    way: &'static str,
    place: String,
    result: &'static str,
    milliseconds: u64,
    /// What the server seems to be.
    server: Option<String>,
    /// What the server calls the message.
    id: Option<String>,
    /// Whether later messages take the place of earlier ones there.
    replaces: Option<bool>,
    /// Why it did not arrive, or what is wrong although it did.
    detail: Option<String>,
}

impl From<Trial> for Item {
    fn from(trial: Trial) -> Self {
        let receipt = match &trial.outcome {
            Outcome::Delivered(receipt) => Some(receipt),
            _ => None,
        };
        Self {
            sink: trial.sink,
            way: trial.way,
            place: plain(&trial.place, 200),
            result: trial.outcome.as_str(),
            milliseconds: u64::try_from(trial.latency.as_millis()).unwrap_or(u64::MAX),
            server: trial.server,
            id: receipt.and_then(|receipt| receipt.id.clone()),
            replaces: receipt.and_then(|receipt| receipt.echoes_sequence),
            detail: match receipt.and_then(|receipt| receipt.objection.as_ref()) {
                Some(why) => Some(format!("believed by its pinned key: {}", plain(why, 250))),
                None => trial.outcome.why().map(|why| plain(why, 300)),
            },
        }
    }
}

impl Test {
    pub(crate) async fn run(self, config: &Config, mut output: Output<'_>) -> anyhow::Result<()> {
        let settings = config.alerts.clone();
        if settings.sinks.is_empty() {
            if output.json {
                output.envelope::<Item>("alerts-test", &[])?;
            }
            bail!("nobody is told anything: the configuration has no [[alerts.sink]]");
        }
        if let Some(name) = self.sink.as_deref().filter(|name| settings.sink(name).is_none()) {
            let known: Vec<&str> = settings.sinks.iter().map(|sink| sink.name.as_str()).collect();
            bail!("no sink is called {}; there are {}", plain(name, 40), known.join(", "));
        }
        let root = crate::ca::read_root(&config.ca.root)?.der().to_vec();
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates([root.clone().into()]);
        let resolver = Resolver::new(config.resolver()?, roots)?;
        let notifier = Notifier::new(settings, Arc::new(resolver), root);
        let mut items = Vec::new();
        for sink in &notifier.settings.sinks {
            if self.sink.as_ref().is_none_or(|name| *name == sink.name) {
                items.push(Item::from(try_out(&notifier, sink, output.now).await));
            }
        }
        let headers = ["SINK", "TYPE", "RESULT", "TOOK", "SERVER", "DETAIL"];
        output.items("alerts-test", &items, &headers, |item| {
            vec![
                item.sink.clone(),
                item.way.to_owned(),
                item.result.to_owned(),
                format!("{} ms", item.milliseconds),
                item.server.clone().unwrap_or_else(|| "-".to_owned()),
                item.detail.clone().unwrap_or_else(|| item.place.clone()),
            ]
        })?;
        release(config, &items).await;
        // On a terminal the reason takes more than what is left for a column.
        if !output.json && output.width.is_some() {
            for item in &items {
                if let Some(detail) = &item.detail {
                    output.hung("", &format!("{}: {detail}", item.sink))?;
                }
            }
        }
        let failed: Vec<&str> =
            items.iter().filter(|item| item.result != "delivered").map(|item| item.sink.as_str()).collect();
        if !failed.is_empty() {
            bail!("no message arrived at {}", failed.join(", "));
        }
        Ok(())
    }
}

/// What was delivered just now shows that the sink takes messages again: what waits for it is told at once. Without a store
/// nothing waits.
async fn release(config: &Config, items: &[Item]) {
    let Ok(store) = Store::open_existing(&config.store).await else { return };
    for item in items.iter().filter(|item| item.result == "delivered") {
        // It is tried at its time otherwise.
        let _ = deliver::release(&store, Some(&item.sink)).await;
    }
    store.close().await;
}
