//! `orders`: what clients asked for, and why it failed.

use std::time::Duration;

use acme::failure::Failure;
use acme::lineage::title;
use acme::order::{OrderStatus, authorization_status, order_status};
use acme::problem::Problem;
use acme::time::Timestamp;
use clap::Args;
use serde::Serialize;
use store::Store;
use store::authorization::Authorization;
use store::order::Order;

use super::output::Output;
use super::span::{ago, span};

/// Orders, newest first
#[derive(Args)]
pub(super) struct Orders {
    /// Those that failed, with the evidence
    #[arg(long)]
    failed: bool,
    /// Those made within this time
    #[arg(long, value_name = "SPAN", default_value = "30d", value_parser = span)]
    since: Duration,
    /// How many
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    limit: u32,
}

/// An order as `--json` tells of it. Fields are only ever added.
#[derive(Serialize)]
pub(super) struct Item {
    name: String,
    names: Vec<String>,
    order: String,
    account: String,
    status: OrderStatus,
    created_at: Timestamp,
    expires_at: Timestamp,
    serial: Option<String>,
    /// What the client was told.
    problem: Option<Problem>,
    /// One for each name that failed, with whom we asked, what was answered, and where we went.
    failures: Vec<FailureItem>,
}

#[derive(Serialize)]
struct FailureItem {
    identifier: String,
    challenge: Option<&'static str>,
    attempted_at: Option<Timestamp>,
    /// The deciding look-up's server and answer.
    server: Option<String>,
    answer: Option<String>,
    /// The address that was dialled last, and the status that came.
    address: Option<String>,
    status: Option<u16>,
    #[serde(flatten)]
    failure: Failure,
}

impl Orders {
    pub(super) async fn run(self, store: &Store, mut output: Output<'_>) -> anyhow::Result<()> {
        let now = output.now;
        let since = now.minus(self.since);
        let orders = if self.failed {
            store.failed_orders(since, self.limit).await?
        } else {
            store.orders_with_authorizations(since, self.limit).await?
        };
        let items: Vec<Item> =
            orders.iter().map(|(order, authorizations)| item(order, authorizations, now)).collect();
        output.items("orders", &items, &["NAME", "STATUS", "MADE", "REASON", "WHY", "ORDER"], |item| {
            let reason = item.failures.first().map_or("-".into(), |f| reason(&f.failure));
            let why = item.failures.first().map(|f| f.failure.detail.clone());
            let why = why.or_else(|| item.why()).unwrap_or_else(|| "-".into());
            let made = ago(item.created_at, now);
            vec![title(&item.names), item.status.to_string(), made, reason, why, item.order.clone()]
        })
    }
}

impl Item {
    /// An order that failed, in one sentence.
    pub(super) fn sentence(&self, now: Timestamp) -> String {
        let why = self.failures.first().map(|f| f.failure.to_string());
        let why = why.or_else(|| self.why()).unwrap_or_else(|| format!("it is {}", self.status));
        format!("{} ({}): {why}", ago(self.created_at, now), self.order)
    }

    /// Why it is invalid, where no attempt failed.
    fn why(&self) -> Option<String> {
        match &self.problem {
            Some(problem) => Some(problem.detail.clone()),
            None if self.status == OrderStatus::Invalid => Some(format!("it expired at {}", self.expires_at)),
            None => None,
        }
    }
}

/// The failed orders of a name, newest first.
pub(super) async fn failed_of_name(store: &Store, name: &str, now: Timestamp) -> anyhow::Result<Vec<Item>> {
    const LOOKED_AT: u32 = 1_000;
    const SHOWN: usize = 5;
    let orders = store.failed_orders(Timestamp::EPOCH, LOOKED_AT).await?;
    Ok(orders
        .iter()
        .filter(|(order, _)| order.names.split(',').any(|n| n == name))
        .take(SHOWN)
        .map(|(order, authorizations)| item(order, authorizations, now))
        .collect())
}

fn item(order: &Order, authorizations: &[Authorization], now: Timestamp) -> Item {
    let states = authorizations.iter().map(|a| authorization_status(a.status, a.expires_at, now));
    let names: Vec<String> = order.names.split(',').map(str::to_owned).collect();
    Item {
        name: names.first().cloned().unwrap_or_default(),
        names,
        order: order.id.to_string(),
        account: order.account.to_string(),
        status: order_status(order.status, order.expires_at, states, now),
        created_at: order.created_at,
        expires_at: order.expires_at,
        serial: order.serial.as_ref().map(ToString::to_string),
        problem: order.error.clone(),
        failures: authorizations.iter().filter_map(failure).collect(),
    }
}

fn failure(authorization: &Authorization) -> Option<FailureItem> {
    let failure = authorization.error.clone()?;
    Some(FailureItem {
        identifier: authorization.identifier.to_string(),
        challenge: authorization.attempted.map(|challenge| challenge.as_str()),
        attempted_at: authorization.attempted_at,
        server: failure.lookup().map(|lookup| lookup.server.clone()),
        answer: failure.lookup().map(|lookup| lookup.answer.clone()),
        address: failure.address().map(|address| address.to_string()),
        status: failure.status(),
        failure,
    })
}

fn reason(failure: &Failure) -> String {
    format!("{} {}", failure.phase.as_str(), failure.reason.as_str())
}
