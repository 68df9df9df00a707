//! What addresses really serve, as probes saw it last: one row for each address of each target, continued while the
//! verdict stays the same; and how verdicts changed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use acme::lineage::Served;
use acme::time::Timestamp;
use acme::verdict::Verdict;

use crate::error::Error;
use crate::script::{Script, Value, Values};
use crate::sql::{Columns, Record, execute, rows};
use crate::store::Store;
use crate::write::{Change, Tx};

/// What an address of a host serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// The name or address whose target it is, in canonical form.
    pub host: String,
    /// What was seen.
    pub served: Served,
}

/// A change of what an address serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// `name:port`.
    pub target: String,
    /// Which address; none when it is about the target as a whole.
    pub address: Option<SocketAddr>,
    /// When it was first seen.
    pub at: Timestamp,
    /// What was found before; none at the first look.
    pub before: Option<Verdict>,
    /// What was found then.
    pub verdict: Verdict,
    /// The serial that was served then.
    pub serial: Option<String>,
    /// What was found, in one sentence.
    pub detail: String,
}

impl Store {
    /// What the addresses of every target of a host serve.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn observations_of(&self, host: &str) -> Result<Vec<Observation>, Error> {
        rows!(self, Observation, OF_HOST, host)
    }

    /// The hosts behind `after` of which something is not `ok`, at most so many.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn troubled_hosts(&self, after: &str, limit: u32) -> Result<Vec<String>, Error> {
        let hosts: Vec<Host> = rows!(self, Host, TROUBLED, after, i64::from(limit))?;
        Ok(hosts.into_iter().map(|Host(host)| host).collect())
    }

    /// What every address serves, by target and address: at most `limit` rows behind the one of `after`.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn observations(
        &self,
        after: Option<(&str, Option<SocketAddr>)>,
        limit: u32,
    ) -> Result<Vec<Observation>, Error> {
        let (target, address) = after.unwrap_or_default();
        // Behind everything that has the empty target, which no target has.
        let address = if after.is_some() { key(address) } else { String::new() };
        rows!(self, Observation, EVERY, target, address, i64::from(limit))
    }

    /// How the verdicts on a target changed, the latest first.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn observation_changes(&self, target: &str, limit: u32) -> Result<Vec<Turn>, Error> {
        rows!(self, Turn, CHANGES, target, i64::from(limit))
    }
}

/// Keeps what a pass of probes saw, all of it or nothing. Where a name had no address, the rows of its addresses stay as they
/// were, with the time at which they were seen. A row whose verdict stays is continued: its `since` is kept and
/// its samples are counted on. Rows of addresses that a target does not lead to any more are removed. A crash after it
/// leaves the pass kept, one before it the pass before.
#[derive(Clone, Debug)]
pub struct KeepObservations {
    /// Each target that was looked at, its host, and everything that was seen of it.
    pub targets: Vec<(String, String, Vec<Served>)>,
    /// The keys of all targets that there are; rows of others are removed. Left out where only some were decided on.
    pub all: Option<BTreeSet<String>>,
}

impl Change for KeepObservations {
    /// What is kept of these targets now, and how it differs from what was.
    type Outcome = Vec<Turn>;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Vec<Turn>, Error> {
        let mut kept: BTreeMap<(String, String), Observation> = BTreeMap::new();
        let read: Vec<Observation> = if self.targets.len() > FEW || self.all.is_some() {
            tx.read(WHOLE, vec![]).await?
        } else {
            let mut read = Vec::new();
            for (target, ..) in &self.targets {
                read.extend(tx.read::<Observation>(OF_TARGET, vec![target.as_str().into()]).await?);
            }
            read
        };
        for row in read {
            kept.insert((row.served.target.clone(), key(row.served.address)), row);
        }
        // By place, so that a pass that saw one twice keeps the last.
        let (mut put, mut turns) = (BTreeMap::new(), BTreeMap::new());
        let mut gone: BTreeSet<(String, String)> = BTreeSet::new();
        for (target, host, seen) in &self.targets {
            // Without an address nothing was seen: what was seen before is the last that is known.
            let is_blind = seen.iter().all(|served| served.address.is_none());
            let of_target =
                kept.keys().filter(|(of, address)| of == target && (!is_blind || address.is_empty()));
            gone.extend(of_target.cloned());
            for served in seen {
                let place = (target.clone(), key(served.address));
                gone.remove(&place);
                let before = kept.get(&place).map(|row| &row.served);
                if before.is_some_and(|before| before.at > served.at) {
                    continue; // a later look was faster
                }
                let served = continued(before, served);
                if before.is_none_or(|before| before.verdict != served.verdict) {
                    let turn = Turn {
                        target: target.clone(),
                        address: served.address,
                        at: served.at,
                        before: before.map(|before| before.verdict),
                        verdict: served.verdict,
                        serial: served.serial.clone(),
                        detail: served.detail.clone(),
                    };
                    turns.insert(place.clone(), turn);
                }
                put.insert(place, Observation { host: host.clone(), served });
            }
        }
        let mut forgotten: BTreeSet<String> = BTreeSet::new();
        if let Some(all) = &self.all {
            for place in kept.keys().filter(|(target, _)| !all.contains(target)) {
                gone.insert(place.clone());
                forgotten.insert(place.0.clone());
            }
        }
        for (target, address) in &gone {
            execute!(tx, REMOVE, target.as_str(), address.as_str())?;
        }
        for target in &forgotten {
            execute!(tx, FORGET, target.as_str())?;
        }
        let put: Vec<Observation> = put.into_values().collect();
        let turns: Vec<Turn> = turns.into_values().collect();
        for some in put.chunks(CHUNK) {
            let mut values = Values::default();
            let rows = values.rows(some.iter().map(columns));
            tx.execute(PUT.replace("ROWS", &rows), values.0).await?;
        }
        remember(tx, &turns).await?;
        Ok(turns)
    }
}

/// What was seen, as the continuation of what was seen before.
fn continued(before: Option<&Served>, served: &Served) -> Served {
    match before.filter(|before| before.verdict == served.verdict) {
        Some(before) => {
            Served { since: before.since, samples: before.samples.saturating_add(1), ..served.clone() }
        }
        None => Served { since: served.at, samples: 1, ..served.clone() },
    }
}

/// Adds changes, and takes away those that are one too many.
async fn remember(tx: &mut Tx<'_>, turns: &[Turn]) -> Result<(), Error> {
    for some in turns.chunks(CHUNK) {
        let mut values = Values::default();
        let rows = values.rows(some.iter().map(|turn| {
            [
                turn.target.as_str().into(),
                turn.at.unix().into(),
                key(turn.address).into(),
                turn.before.map(Verdict::as_str).into(),
                turn.verdict.as_str().into(),
                turn.serial.clone().into(),
                turn.detail.as_str().into(),
            ]
        }));
        tx.execute(CHANGED.replace("ROWS", &rows), values.0).await?;
    }
    let targets: BTreeSet<&str> = turns.iter().map(|turn| turn.target.as_str()).collect();
    for target in targets {
        let mut script = Script::default();
        script.add(SHORTEN, vec![target.into(), REMEMBERED.into()]);
        tx.run(script).await?;
    }
    Ok(())
}

fn columns(row: &Observation) -> [Value; 13] {
    let served = &row.served;
    [
        served.target.as_str().into(),
        key(served.address).into(),
        row.host.as_str().into(),
        parent(&row.host).into(),
        served.verdict.as_str().into(),
        served.since.unix().into(),
        served.at.unix().into(),
        i64::from(served.samples).into(),
        served.serial.clone().into(),
        served.spki.clone().into(),
        served.not_after.map(Timestamp::unix).into(),
        served.product.clone().into(),
        served.detail.as_str().into(),
    ]
}

/// What a wildcard stands above that covers this host (RFC 9525 6.3): it without its first label.
fn parent(host: &str) -> Option<&str> {
    host.split_once('.').map(|(_, parent)| parent)
}

/// An address in its row; empty for a target as a whole.
fn key(address: Option<SocketAddr>) -> String {
    address.map(|address| address.to_string()).unwrap_or_default()
}

macro_rules! observed {
    () => {
        "SELECT target, address, host, verdict, since, at, samples, serial, spki, not_after, product, detail \
         FROM observation"
    };
}

pub(crate) const OF_HOST: &str = concat!(observed!(), " WHERE host = $1 ORDER BY target, address");
/// The same of several hosts, in the place of `LIST`.
pub(crate) const OF_HOSTS: &str = concat!(observed!(), " WHERE host IN (LIST)");
/// Those of hosts that wildcards cover, whose names without `*.` stand in the place of `LIST`.
pub(crate) const BELOW: &str = concat!(observed!(), " WHERE parent IN (LIST)");
pub(crate) const TROUBLED: &str =
    "SELECT DISTINCT host FROM observation WHERE verdict <> 'ok' AND host > $1 ORDER BY host LIMIT $2";
pub(crate) const OF_TARGET: &str = concat!(observed!(), " WHERE target = $1");
pub(crate) const EVERY: &str =
    concat!(observed!(), " WHERE (target, address) > ($1, $2) ORDER BY target, address LIMIT $3");
/// Once a pass, which looked at all of it.
const WHOLE: &str = observed!();

pub(crate) const PUT: &str = "INSERT INTO observation
         (target, address, host, parent, verdict, since, at, samples, serial, spki, not_after, product, detail) VALUES ROWS
     ON CONFLICT (target, address) DO UPDATE SET host = excluded.host, parent = excluded.parent, verdict = excluded.verdict,
         since = excluded.since, at = excluded.at, samples = excluded.samples, serial = excluded.serial,
         spki = excluded.spki, not_after = excluded.not_after, product = excluded.product, detail = excluded.detail";

pub(crate) const REMOVE: &str = "DELETE FROM observation WHERE target = $1 AND address = $2";
pub(crate) const FORGET: &str = "DELETE FROM observation_change WHERE target = $1";

pub(crate) const CHANGED: &str = "INSERT INTO observation_change
         (target, at, address, earlier, verdict, serial, detail) VALUES ROWS
     ON CONFLICT (target, at, address) DO UPDATE SET verdict = excluded.verdict, serial = excluded.serial,
         detail = excluded.detail";

pub(crate) const CHANGES: &str = "SELECT target, at, address, earlier, verdict, serial, detail
     FROM observation_change WHERE target = $1 ORDER BY at DESC, address DESC LIMIT $2";

pub(crate) const SHORTEN: &str = "DELETE FROM observation_change WHERE target = $1 AND at < (
         SELECT at FROM observation_change WHERE target = $1 ORDER BY at DESC LIMIT 1 OFFSET $2)";

/// How many rows one statement keeps: PostgreSQL takes 65535 values, SQLite 32766.
const CHUNK: usize = 200;
/// Up to so many targets, their rows are read one target at a time.
const FEW: usize = 32;
/// How many changes of a target are kept, and those of the same second.
const REMEMBERED: i64 = 50;

fn address(row: &impl Columns) -> Result<Option<SocketAddr>, Error> {
    match row.text("address")? {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| Error::column("address", format!("{text:?} is none"))),
    }
}

impl Record for Observation {
    fn read(row: &impl Columns) -> Result<Self, Error> {
        Ok(Self {
            host: row.string("host")?,
            served: Served {
                target: row.string("target")?,
                address: address(row)?,
                verdict: row.word("verdict", Verdict::parse)?,
                since: row.time("since")?,
                at: row.time("at")?,
                samples: u32::try_from(row.number_or_null("samples")?.unwrap_or_default())
                    .unwrap_or(u32::MAX),
                serial: row.string_or_null("serial")?,
                spki: row.string_or_null("spki")?,
                not_after: row.time_or_null("not_after")?,
                product: row.string_or_null("product")?,
                detail: row.string("detail")?,
            },
        })
    }
}

/// A host of some rows.
struct Host(String);

impl Record for Host {
    fn read(row: &impl Columns) -> Result<Self, Error> {
        Ok(Self(row.string("host")?))
    }
}

impl Record for Turn {
    fn read(row: &impl Columns) -> Result<Self, Error> {
        Ok(Self {
            target: row.string("target")?,
            address: address(row)?,
            at: row.time("at")?,
            before: row.word_or_null("earlier", Verdict::parse)?,
            verdict: row.word("verdict", Verdict::parse)?,
            serial: row.string_or_null("serial")?,
            detail: row.string("detail")?,
        })
    }
}
