//! Which lineages stand on a page.

use std::collections::BTreeSet;
use std::time::Duration;

use acme::lineage::{Lineage, Served};
use acme::renewal::used;
use acme::time::Timestamp;
use acme::verdict::Verdict;

use super::facts::{self, Certificate};
use super::{Page, Place, Position, key};
use crate::error::Error;
use crate::script::{Value, Values, query};
use crate::sql::{Columns, Record, containing, first_id, row, rows};
use crate::store::Store;

/// First the certificates whose time has come, then names whose orders failed though their certificate is fresh, or though
/// they have none, then those whose owner wants them to be looked at sooner than clients renew, then those of which something
/// else is served than should be.
pub(super) async fn attention(
    store: &Store,
    now: Timestamp,
    limit: u32,
    after: Option<&Position>,
) -> Result<Page, Error> {
    if let Some(Position::Failed(after)) = after {
        return failed(store, now, limit, after).await;
    }
    if let Some(Position::Early(after)) = after {
        return early(store, now, limit, after).await;
    }
    if let Some(Position::Served(after)) = after {
        return served(store, now, limit, after).await;
    }
    let (at, serial) = behind(after);
    let found: Vec<Certificate> =
        rows!(store, Certificate, ATTENTION, now.unix(), at, serial, i64::from(limit))?;
    let next = match found.last() {
        Some(last) if is_full(&found, limit) => {
            Position::Certificate(last.attention_at.map_or(0, Timestamp::unix), key(&last.serial))
        }
        _ => Position::Failed(String::new()),
    };
    Ok(Page { lineages: facts::of_certificates(store, found, now).await?, next: Some(Place(next)) })
}

async fn failed(store: &Store, now: Timestamp, limit: u32, after: &str) -> Result<Page, Error> {
    let since = first_id(now.minus(LATELY));
    let names: Vec<Names> = rows!(store, Names, FAILED, after, since, i64::from(limit))?;
    let next = match names.last() {
        Some(Names(last)) if is_full(&names, limit) => Position::Failed(last.clone()),
        _ => Position::Early(String::new()),
    };
    let found = facts::certificates(store, names.iter().map(|Names(names)| names.as_str())).await?;
    let mut names: Vec<String> = names.into_iter().map(|Names(names)| names).collect();
    names.retain(|names| !found.iter().any(|found| found.names == *names && found.needs_attention(now)));
    let mut lineages = facts::of_names(store, names, now).await?;
    lineages.retain(|lineage| lineage.failures.count > 0);
    Ok(Page { lineages, next: Some(Place(next)) })
}

/// Only where there is such an owner are the names of all current certificates looked through.
async fn early(store: &Store, now: Timestamp, limit: u32, after: &str) -> Result<Page, Error> {
    let cares = store.cares().await?;
    let subjects = cares.early(EARLY);
    let behind = || Some(Place(Position::Served(String::new())));
    if subjects.is_empty() {
        return Ok(Page { lineages: Vec::new(), next: behind() });
    }
    let patterns = subjects.iter().map(|subject| match subject.strip_prefix('*') {
        Some(suffix) => containing(&format!("{suffix},")),
        None => containing(&format!(",{subject},")),
    });
    let names = wanted(store, patterns, after, limit).await?;
    let next = names.last().filter(|_| is_full(&names, limit));
    let next = next.map(|Names(last)| Place(Position::Early(last.clone()))).or_else(behind);
    let mut found = facts::certificates(store, names.iter().map(|Names(names)| names.as_str())).await?;
    found.retain(|found| found.is_current() && !found.needs_attention(now));
    let mut lineages = facts::of_certificates(store, found, now).await?;
    lineages.retain(|lineage| {
        let life = lineage.current.as_ref().map(|current| used(current.not_before, current.not_after, now));
        let early = life.zip(lineage.care.thresholds).is_some_and(|(used, early)| used >= early.warn);
        // Those with failures stood on earlier pages.
        early && lineage.failures.count == 0
    });
    Ok(Page { lineages, next })
}

/// Those of which a probe found something else than it should, and that stood on no earlier page; with them those whose
/// certificate was revoked and is served nevertheless. The names of all certificates without a successor are looked through,
/// once for each page of hosts.
async fn served(store: &Store, now: Timestamp, limit: u32, after: &str) -> Result<Page, Error> {
    let hosts = store.troubled_hosts(after, limit.min(HOSTS)).await?;
    let Some(last) = hosts.last() else { return Ok(Page { lineages: Vec::new(), next: None }) };
    let next = Some(Place(Position::Served(last.clone())));
    let names = hosts.iter().cloned().chain(hosts.iter().filter_map(|host| facts::wildcard_of(host)));
    let names: BTreeSet<String> = names.collect();
    let patterns = names.iter().map(|name| containing(&format!(",{name},")));
    let names = wanted(store, patterns, "", ALL_OF_A_PAGE).await?;
    let found = facts::certificates(store, names.iter().map(|Names(names)| names.as_str())).await?;
    let (current, mut revoked): (Vec<_>, Vec<_>) = found.into_iter().partition(Certificate::is_current);
    // What is there for all its names speaks for a revoked one.
    revoked.retain(|revoked| !current.iter().any(|current| current.is_for_names_of(revoked)));
    let found = current.into_iter().filter(|current| !current.needs_attention(now)).chain(revoked);
    let mut lineages = facts::of_certificates(store, found.collect(), now).await?;
    lineages.retain(|lineage| {
        let life = lineage.current.as_ref().map(|current| used(current.not_before, current.not_after, now));
        let early = life.zip(lineage.care.thresholds).is_some_and(|(used, early)| used >= early.warn);
        let is_revoked = lineage.current.is_none();
        // One with several hosts stands on the page of the first of them.
        // A host that was switched off when its certificate was revoked is no trouble.
        let is_trouble =
            |row: &&Served| row.verdict != Verdict::Ok && !(is_revoked && row.verdict.is_about_reach());
        let first = lineage.served.iter().filter(is_trouble).map(Served::host).min();
        let is_here = first.is_some_and(|first| hosts.iter().any(|host| host == first));
        !early && lineage.failures.count == 0 && is_here
    });
    Ok(Page { lineages, next })
}

/// The names of the current certificates behind `after` that one of the patterns fits.
async fn wanted(
    store: &Store,
    patterns: impl Iterator<Item = String>,
    after: &str,
    limit: u32,
) -> Result<Vec<Names>, Error> {
    let mut values = Values(vec![after.into(), i64::from(limit).into()]);
    let patterns = values.list(patterns.map(Value::from).collect::<Vec<_>>());
    let any: Vec<String> =
        patterns.split(", ").map(|place| format!(r"',' || c.names || ',' LIKE {place} ESCAPE '\'")).collect();
    query(store, WANTED.replace("ANY", &any.join(" OR ")), values.0).await
}

pub(super) async fn ending(
    store: &Store,
    end: Timestamp,
    now: Timestamp,
    limit: u32,
    after: Option<&Position>,
) -> Result<Page, Error> {
    let (at, serial) = behind(after);
    let found: Vec<Certificate> =
        rows!(store, Certificate, ENDING, end.unix(), at, serial, i64::from(limit))?;
    let next = found.last().filter(|_| is_full(&found, limit));
    let next = next.map(|last| Place(Position::Certificate(last.not_after.unix(), key(&last.serial))));
    Ok(Page { lineages: facts::of_certificates(store, found, now).await?, next })
}

pub(super) async fn all(
    store: &Store,
    now: Timestamp,
    limit: u32,
    after: Option<&Position>,
) -> Result<Page, Error> {
    let after = match after {
        Some(Position::Names(names)) => names.as_str(),
        _ => "",
    };
    let since = first_id(now.minus(LATELY));
    let names: Vec<Names> = rows!(store, Names, ALL, after, since, i64::from(limit))?;
    let next = names.last().filter(|_| is_full(&names, limit));
    let next = next.map(|Names(last)| Place(Position::Names(last.clone())));
    let names = names.into_iter().map(|Names(names)| names).collect();
    Ok(Page { lineages: facts::of_names(store, names, now).await?, next })
}

pub(super) async fn with_name(
    store: &Store,
    name: &str,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<Lineage>, Error> {
    matching(store, &containing(&format!(",{name},")), name, now, limit).await
}

pub(super) async fn below(
    store: &Store,
    suffix: &str,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<Lineage>, Error> {
    matching(store, &containing(&format!("{suffix},")), "", now, limit).await
}

async fn matching(
    store: &Store,
    pattern: &str,
    name: &str,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<Lineage>, Error> {
    let since = first_id(now.minus(LATELY));
    let names: Vec<Names> = rows!(store, Names, WITH_NAME, pattern, since, name, i64::from(limit))?;
    facts::of_names(store, names.into_iter().map(|Names(names)| names).collect(), now).await
}

pub(super) async fn count(store: &Store) -> Result<u64, Error> {
    let count: Option<Count> = row!(store, Count, COUNT)?;
    Ok(count.map_or(0, |Count(number)| number))
}

fn behind(after: Option<&Position>) -> (i64, &str) {
    match after {
        Some(Position::Certificate(at, serial)) => (*at, serial),
        _ => (i64::MIN, ""),
    }
}

fn is_full<T>(found: &[T], limit: u32) -> bool {
    u64::try_from(found.len()).is_ok_and(|found| found >= u64::from(limit))
}

pub(crate) const ATTENTION: &str = concat!(
    "SELECT ",
    facts::columns!(),
    " FROM certificate c
     WHERE c.status = 'issued' AND c.superseded_by IS NULL AND c.revoked_at IS NULL
       AND c.attention_at <= $1 AND (c.attention_at, c.serial) > ($2, $3)
     ORDER BY c.attention_at, c.serial LIMIT $4"
);

pub(crate) const ENDING: &str = concat!(
    "SELECT ",
    facts::columns!(),
    " FROM certificate c
     WHERE c.status = 'issued' AND c.superseded_by IS NULL AND c.revoked_at IS NULL
       AND c.not_after < $1 AND c.not_after >= $2 AND (c.not_after, c.serial) > ($2, $3)
     ORDER BY c.not_after, c.serial LIMIT $4"
);

pub(crate) const FAILED: &str = "SELECT DISTINCT o.names FROM orders o
     WHERE o.status = 'invalid' AND o.names > $1 AND o.id >= $2 ORDER BY o.names LIMIT $3";

pub(crate) const ALL: &str = "SELECT u.names FROM (
         SELECT a.names FROM (
             SELECT DISTINCT c.names FROM certificate c
             WHERE c.status = 'issued' AND c.superseded_by IS NULL AND c.names > $1 ORDER BY c.names LIMIT $3) a
         UNION SELECT b.names FROM (
             SELECT DISTINCT o.names FROM orders o
             WHERE o.status = 'invalid' AND o.names > $1 AND o.id >= $2 ORDER BY o.names LIMIT $3) b) u
     ORDER BY u.names LIMIT $3";

/// `ANY` stands for what is wanted of the names.
pub(crate) const WANTED: &str = "SELECT DISTINCT c.names FROM certificate c
     WHERE c.status = 'issued' AND c.superseded_by IS NULL AND c.names > $1 AND (ANY) ORDER BY c.names LIMIT $2";

/// By an index that holds all it asks for; each certificate has its moment.
pub(crate) const COUNT: &str = "SELECT COUNT(*) AS number FROM certificate
     WHERE status = 'issued' AND superseded_by IS NULL AND revoked_at IS NULL AND attention_at >= 0";

const WITH_NAME: &str = r"SELECT u.names FROM (
         SELECT c.names FROM certificate c
         WHERE c.status = 'issued' AND c.superseded_by IS NULL AND ',' || c.names || ',' LIKE $1 ESCAPE '\'
         UNION SELECT o.names FROM orders o
         WHERE o.status = 'invalid' AND o.id >= $2 AND ',' || o.names || ',' LIKE $1 ESCAPE '\'
         UNION SELECT o.names FROM orders o WHERE o.names = $3) u
     ORDER BY CASE WHEN u.names = $3 THEN 0 ELSE 1 END, u.names LIMIT $4";

/// How many hosts one page looks for, and how many lineages may have them.
const HOSTS: u32 = 100;
const ALL_OF_A_PAGE: u32 = 10_000;
/// Thresholds below this part of a life may be met before the certificate is due.
const EARLY: f64 = 0.68;
/// For how long a failed order makes a lineage of its names, if nothing else does: as long as it can be looked at.
const LATELY: Duration = Duration::from_secs(30 * 86_400);

/// A set of names.
struct Names(String);

impl Record for Names {
    fn read(row: &impl Columns) -> Result<Self, Error> {
        Ok(Self(row.string("names")?))
    }
}

struct Count(u64);

impl Record for Count {
    fn read(row: &impl Columns) -> Result<Self, Error> {
        Ok(Self(row.number_or_null("number")?.unwrap_or(0).unsigned_abs()))
    }
}
