//! What is known of the lineages of a page: a few queries for all of them, none for each.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use acme::cadence::{LOOKED_AT, Past};
use acme::failure::Failure;
use acme::id::{AccountId, OrderId, Serial};
use acme::lineage::{Attempt, Current, Failures, Lineage, Outcome, Revoked, Served};
use acme::order::OrderStatus;
use acme::problem::Problem;
use acme::renewal_info::{Facts, Window, window};
use acme::time::Timestamp;

use crate::care::Cares;
use crate::certificate::Purpose;
use crate::error::Error;
use crate::observation::{self, Observation};
use crate::script::{Values, query};
use crate::sql::{Columns, Record};
use crate::store::Store;

macro_rules! columns {
    () => {
        "c.serial, c.names, c.purpose, c.account_id, c.order_id, c.issuer, c.not_before, c.not_after, c.issued_at, \
         c.revoked_at, c.asked_start, c.asked_end, c.downloaded_at, c.polled_at, c.polled_every, c.attention_at"
    };
}
pub(super) use columns;

/// A certificate without a successor, without its octets.
pub(super) struct Certificate {
    pub(super) serial: Serial,
    pub(super) names: String,
    pub(super) not_after: Timestamp,
    pub(super) attention_at: Option<Timestamp>,
    not_before: Timestamp,
    purpose: Purpose,
    account: Option<AccountId>,
    order: Option<OrderId>,
    issuer: String,
    issued_at: Timestamp,
    revoked_at: Option<Timestamp>,
    asked: Option<Window>,
    downloaded_at: Option<Timestamp>,
    polled: Polled,
}

/// When a client polled, and how often it does.
#[derive(Clone, Copy, Default)]
struct Polled {
    at: Option<Timestamp>,
    every: Option<Duration>,
}

/// A certificate with a successor.
struct Earlier {
    names: String,
    purpose: Purpose,
    account: Option<AccountId>,
    order: Option<OrderId>,
    past: Past,
    polled: Polled,
}

/// The last order for a set of names.
struct LastOrder {
    id: OrderId,
    account: AccountId,
    names: String,
    status: OrderStatus,
    created_at: Timestamp,
    expires_at: Timestamp,
    problem: Option<Problem>,
}

/// The failure that decided an order.
struct Decided {
    order: String,
    failure: Failure,
}

/// Failed orders of a set of names, and the first of them.
struct Counted {
    names: String,
    count: u32,
    first: OrderId,
}

/// The lineages of these certificates, in their order.
pub(super) async fn of_certificates(
    store: &Store,
    certificates: Vec<Certificate>,
    now: Timestamp,
) -> Result<Vec<Lineage>, Error> {
    let lines = certificates.into_iter().map(|c| Line { names: c.names.clone(), certificate: Some(c) });
    put_together(store, lines.collect(), now).await
}

/// The lineages of these sets of names, in their order.
pub(super) async fn of_names(
    store: &Store,
    names: Vec<String>,
    now: Timestamp,
) -> Result<Vec<Lineage>, Error> {
    let mut found: HashMap<String, Vec<Certificate>> = HashMap::new();
    for certificate in certificates(store, names.iter().map(String::as_str)).await? {
        found.entry(certificate.names.clone()).or_default().push(certificate);
    }
    let mut lines = Vec::new();
    for names in names {
        let mut certificates = found.remove(&names).unwrap_or_default();
        certificates.sort_by_key(|certificate| certificate.purpose == Purpose::Server);
        if !certificates.iter().any(|certificate| certificate.purpose == Purpose::Acme) {
            // Perhaps there were orders nevertheless.
            lines.push(Line { names: names.clone(), certificate: None });
        }
        lines.extend(certificates.into_iter().map(|c| Line { names: names.clone(), certificate: Some(c) }));
    }
    let mut lineages = put_together(store, lines, now).await?;
    lineages.retain(|lineage| lineage.current.is_some() || lineage.attempt.is_some());
    Ok(lineages)
}

/// The certificates without a successor of these sets of names, revoked ones among them.
pub(super) async fn certificates(
    store: &Store,
    names: impl Iterator<Item = &str>,
) -> Result<Vec<Certificate>, Error> {
    each(store, CURRENT, names).await
}

impl Certificate {
    /// Whether it is in use, as far as we know.
    pub(super) fn is_current(&self) -> bool {
        self.revoked_at.is_none()
    }

    /// Whether every name of another is among its own.
    pub(super) fn is_for_names_of(&self, other: &Self) -> bool {
        other.names.split(',').all(|name| self.names.split(',').any(|own| own == name))
    }

    /// Whether it is among those whose time has come.
    pub(super) fn needs_attention(&self, now: Timestamp) -> bool {
        self.is_current() && self.attention_at.is_some_and(|at| at <= now)
    }

    fn to_current(&self) -> Current {
        let facts = Facts {
            serial: &self.serial,
            not_before: self.not_before,
            not_after: self.not_after,
            revoked_at: None,
            asked: self.asked,
        };
        Current {
            serial: self.serial.clone(),
            issuer: self.issuer.clone(),
            account: self.account.clone(),
            not_before: self.not_before,
            not_after: self.not_after,
            issued_at: self.issued_at,
            downloaded_at: self.downloaded_at,
            window: window(&facts),
        }
    }

    fn to_past(&self) -> Past {
        Past { issued_at: self.issued_at, not_before: self.not_before, not_after: self.not_after }
    }
}

/// What a lineage begins with.
struct Line {
    names: String,
    certificate: Option<Certificate>,
}

impl Line {
    fn purpose(&self) -> Purpose {
        self.certificate.as_ref().map_or(Purpose::Acme, |certificate| certificate.purpose)
    }
}

/// Everything that was read of the names of a page.
struct Known {
    earlier: HashMap<String, Vec<Earlier>>,
    orders: HashMap<String, LastOrder>,
    decided: HashMap<String, Failure>,
    failures: HashMap<String, Failures>,
    cares: Cares,
}

async fn put_together(store: &Store, lines: Vec<Line>, now: Timestamp) -> Result<Vec<Lineage>, Error> {
    if lines.is_empty() {
        return Ok(Vec::new());
    }
    let sets: BTreeSet<&str> = lines.iter().map(|line| line.names.as_str()).collect();
    let mut earlier: HashMap<String, Vec<Earlier>> = HashMap::new();
    for one in each::<Earlier>(store, PAST, sets.iter().copied()).await? {
        earlier.entry(one.names.clone()).or_default().push(one);
    }
    let orders: Vec<LastOrder> = each(store, ATTEMPT, sets.iter().copied()).await?;
    let failed: Vec<&str> = orders
        .iter()
        .filter(|order| order.status == OrderStatus::Invalid)
        .map(|order| order.id.as_str())
        .collect();
    let decided: Vec<Decided> = listed(store, FAILURE, failed.iter().copied()).await?;
    let known = Known {
        failures: failures(store, &lines, &earlier).await?,
        earlier,
        decided: decided.into_iter().map(|one| (one.order, one.failure)).collect(),
        orders: orders.into_iter().map(|order| (order.names.clone(), order)).collect(),
        cares: store.cares().await?,
    };
    let mut lineages = Vec::with_capacity(lines.len());
    for line in &lines {
        lineages.push(lineage(line, &known, now));
    }
    served(store, &mut lineages).await?;
    Ok(lineages)
}

fn lineage(line: &Line, known: &Known, now: Timestamp) -> Lineage {
    let is_own = line.purpose() == Purpose::Server;
    let names: Vec<String> = line.names.split(',').map(str::to_owned).collect();
    let order = known.orders.get(&line.names).filter(|_| !is_own);
    let earlier = known.earlier.get(&line.names).map(Vec::as_slice).unwrap_or_default();
    let earlier: Vec<&Earlier> = earlier.iter().filter(|one| one.purpose == line.purpose()).collect();
    let newest = line.certificate.as_ref();
    let account = newest
        .map_or_else(|| order.map(|order| order.account.clone()), |certificate| certificate.account.clone());
    let of_client = earlier.iter().filter(|one| one.account == account).map(|one| one.past);
    let past = newest.map(Certificate::to_past).into_iter().chain(of_client).take(LOOKED_AT);
    let polled = newest.map(|c| c.polled).into_iter().chain(earlier.iter().map(|one| one.polled));
    let polled: Vec<Polled> = polled.collect();
    let attempt = order.map(|order| attempt(order, known, now));
    let current = newest.filter(|certificate| certificate.is_current()).map(Certificate::to_current);
    let revoked = newest.and_then(|it| Some(Revoked { serial: it.serial.clone(), at: it.revoked_at? }));
    let mut care = known.cares.of(&names);
    // Who orders again is expected again.
    let sign = attempt.as_ref().map(|attempt| attempt.at).max(current.as_ref().map(|c| c.issued_at));
    care.forgotten_at = care.forgotten_at.filter(|at| sign.is_none_or(|sign| sign <= *at));
    Lineage {
        is_own,
        past: past.collect(),
        polled_at: polled.iter().filter_map(|polled| polled.at).max(),
        polled_every: polled.iter().find_map(|polled| polled.every),
        failures: known.failures.get(&line.names).copied().filter(|_| !is_own).unwrap_or_default(),
        served: Vec::new(),
        attempt,
        current,
        revoked,
        care,
        names,
    }
}

fn attempt(order: &LastOrder, known: &Known, now: Timestamp) -> Attempt {
    let outcome = match order.status {
        OrderStatus::Valid => Outcome::Issued,
        OrderStatus::Invalid => Outcome::Failed,
        // It ran out before its client was done.
        OrderStatus::Pending | OrderStatus::Ready if order.expires_at <= now => Outcome::Failed,
        OrderStatus::Pending | OrderStatus::Ready | OrderStatus::Processing => Outcome::Open,
    };
    Attempt {
        order: order.id.clone(),
        at: order.created_at,
        outcome,
        failure: known.decided.get(order.id.as_str()).cloned(),
        problem: order.problem.clone(),
    }
}

/// How many orders of each set of names failed since the one that brought its last certificate.
async fn failures(
    store: &Store,
    lines: &[Line],
    earlier: &HashMap<String, Vec<Earlier>>,
) -> Result<HashMap<String, Failures>, Error> {
    let mut since: BTreeMap<&str, &str> = BTreeMap::new();
    for line in lines.iter().filter(|line| line.purpose() == Purpose::Acme) {
        let current = line.certificate.as_ref().and_then(|certificate| certificate.order.as_ref());
        let before = earlier.get(&line.names).into_iter().flatten().filter_map(|one| one.order.as_ref());
        let last = current.into_iter().chain(before).map(OrderId::as_str).max();
        since.insert(&line.names, last.unwrap_or_default());
    }
    let since: Vec<(&str, &str)> = since.into_iter().collect();
    let mut failures = HashMap::new();
    for some in since.chunks(CHUNK) {
        let mut values = Values::default();
        let rows = values.rows(some.iter().map(|(names, last)| [(*names).into(), (*last).into()]));
        let counted: Vec<Counted> = query(store, FAILURES.replace("ROWS", &rows), values.0).await?;
        failures.extend(counted.into_iter().map(|counted| {
            let since = made_at(&counted.first);
            (counted.names, Failures { count: counted.count, since })
        }));
    }
    Ok(failures)
}

/// What each address of their targets serves. The name of a certificate is the host of its targets; a wildcard has those
/// that the operator named below it.
async fn served(store: &Store, lineages: &mut [Lineage]) -> Result<(), Error> {
    let names = || lineages.iter().flat_map(|lineage| lineage.names.iter().map(String::as_str));
    let hosts: BTreeSet<&str> = names().collect();
    let wildcards: BTreeSet<&str> = names().filter_map(|name| name.strip_prefix("*.")).collect();
    let mut by_name: HashMap<String, Vec<Served>> = HashMap::new();
    for seen in listed::<Observation>(store, observation::OF_HOSTS, hosts.into_iter()).await? {
        by_name.entry(seen.host).or_default().push(seen.served);
    }
    for seen in listed::<Observation>(store, observation::BELOW, wildcards.into_iter()).await? {
        // Its own name may stand beside the wildcard.
        let Some(wildcard) = wildcard_of(&seen.host) else { continue };
        by_name.entry(wildcard).or_default().push(seen.served);
    }
    for lineage in lineages {
        let is_twice = |name: &String, row: &Served| {
            name.starts_with("*.") && lineage.names.iter().any(|name| name == row.host())
        };
        let of_name = |name| by_name.get(name).into_iter().flatten().filter(move |row| !is_twice(name, row));
        let rows = lineage.names.iter().flat_map(of_name);
        lineage.served = rows.cloned().collect();
        lineage.served.sort_by(|a, b| (&a.target, a.address).cmp(&(&b.target, b.address)));
    }
    Ok(())
}

/// The wildcard that covers a host (RFC 9525 6.3).
pub(super) fn wildcard_of(host: &str) -> Option<String> {
    host.split_once('.').map(|(_, parent)| format!("*.{parent}"))
}

/// Runs one query for each set of names, many in one statement: each finds its own few rows by the index.
async fn each<R: Record>(
    store: &Store,
    one: &str,
    names: impl Iterator<Item = &str>,
) -> Result<Vec<R>, Error> {
    let names: Vec<&str> = names.collect();
    let mut found = Vec::new();
    for some in names.chunks(CHUNK) {
        let mut values = Values::default();
        let parts: Vec<String> = some
            .iter()
            .enumerate()
            .map(|(number, names)| {
                let place = values.list([(*names).into()]);
                format!("SELECT * FROM ({}) q{number}", one.replace("$1", &place))
            })
            .collect();
        found.extend(query::<R>(store, parts.join(" UNION ALL "), values.0).await?);
    }
    Ok(found)
}

/// Runs a query for a list of values, in the place of `LIST`.
async fn listed<R: Record>(
    store: &Store,
    text: &str,
    list: impl Iterator<Item = &str>,
) -> Result<Vec<R>, Error> {
    let list: Vec<&str> = list.collect();
    let mut found = Vec::new();
    for some in list.chunks(CHUNK) {
        let mut values = Values::default();
        let list = values.list(some.iter().map(|value| (*value).into()));
        found.extend(query::<R>(store, text.replace("LIST", &list), values.0).await?);
    }
    Ok(found)
}

/// When an order was made: its id begins with the second of it.
fn made_at(order: &OrderId) -> Option<Timestamp> {
    let seconds = order.as_str().get(..8).and_then(|digits| i64::from_str_radix(digits, 16).ok());
    seconds.map(Timestamp::from_unix)
}

pub(crate) const CURRENT: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM certificate c WHERE c.names = $1 AND c.status = 'issued' AND c.superseded_by IS NULL"
);

/// More than are looked at: some may be another account's.
pub(crate) const PAST: &str =
    "SELECT p.names, p.purpose, p.account_id, p.order_id, p.issued_at, p.not_before, p.not_after,
            p.polled_at, p.polled_every
     FROM certificate p WHERE p.names = $1 AND p.status = 'issued' AND p.superseded_by IS NOT NULL
     ORDER BY p.issued_at DESC LIMIT 12";

pub(crate) const ATTEMPT: &str =
    "SELECT o.id, o.account_id, o.names, o.status, o.created_at, o.expires_at, o.error
     FROM orders o WHERE o.names = $1 ORDER BY o.id DESC LIMIT 1";

/// Of each order the first of its authorizations that failed.
pub(crate) const FAILURE: &str = "SELECT l.order_id, a.error
     FROM order_authz l JOIN authz a ON a.id = l.authz_id
     WHERE l.order_id IN (LIST) AND a.status = 'invalid' AND a.error IS NOT NULL
       AND l.position = (SELECT MIN(k.position) FROM order_authz k JOIN authz b ON b.id = k.authz_id
                         WHERE k.order_id = l.order_id AND b.status = 'invalid' AND b.error IS NOT NULL)";

/// `ROWS` stands for sets of names, each with the order after which failures count.
pub(crate) const FAILURES: &str = "SELECT n.column1 AS names, COUNT(*) AS number, MIN(o.id) AS first
     FROM (VALUES ROWS) AS n CROSS JOIN orders o
     WHERE o.names = n.column1 AND o.status = 'invalid' AND o.id > n.column2 GROUP BY n.column1";

/// How many sets of names one statement asks for.
const CHUNK: usize = 100;

impl Record for Polled {
    fn read(row: &impl Columns) -> Result<Self, Error> {
        let every = row.number_or_null("polled_every")?;
        Ok(Self {
            at: row.time_or_null("polled_at")?,
            every: every.map(|seconds| Duration::from_secs(seconds.unsigned_abs())),
        })
    }
}

impl Record for Certificate {
    fn read(row: &impl Columns) -> Result<Self, Error> {
        Ok(Self {
            serial: row.word("serial", Serial::parse)?,
            names: row.string("names")?,
            purpose: row.word("purpose", Purpose::parse)?,
            account: row.word_or_null("account_id", AccountId::parse)?,
            order: row.word_or_null("order_id", OrderId::parse)?,
            issuer: row.string("issuer")?,
            not_before: row.time("not_before")?,
            not_after: row.time("not_after")?,
            issued_at: row.time("issued_at")?,
            revoked_at: row.time_or_null("revoked_at")?,
            asked: row
                .time_or_null("asked_start")?
                .zip(row.time_or_null("asked_end")?)
                .map(|(start, end)| Window { start, end }),
            downloaded_at: row.time_or_null("downloaded_at")?,
            attention_at: row.time_or_null("attention_at")?,
            polled: Polled::read(row)?,
        })
    }
}

impl Record for Earlier {
    fn read(row: &impl Columns) -> Result<Self, Error> {
        Ok(Self {
            names: row.string("names")?,
            purpose: row.word("purpose", Purpose::parse)?,
            account: row.word_or_null("account_id", AccountId::parse)?,
            order: row.word_or_null("order_id", OrderId::parse)?,
            past: Past::read(row)?,
            polled: Polled::read(row)?,
        })
    }
}

impl Record for LastOrder {
    fn read(row: &impl Columns) -> Result<Self, Error> {
        Ok(Self {
            id: row.word("id", OrderId::parse)?,
            account: row.word("account_id", AccountId::parse)?,
            names: row.string("names")?,
            status: row.word("status", OrderStatus::parse)?,
            created_at: row.time("created_at")?,
            expires_at: row.time("expires_at")?,
            problem: row.json_or_null("error")?,
        })
    }
}

impl Record for Decided {
    fn read(row: &impl Columns) -> Result<Self, Error> {
        Ok(Self { order: row.string("order_id")?, failure: row.json("error")? })
    }
}

impl Record for Counted {
    fn read(row: &impl Columns) -> Result<Self, Error> {
        let count = row.number_or_null("number")?.unwrap_or(0);
        Ok(Self {
            names: row.string("names")?,
            count: u32::try_from(count).unwrap_or(u32::MAX),
            first: row.word("first", OrderId::parse)?,
        })
    }
}
