//! TXT and CAA records (RFC 1035 3.3.14, RFC 8659). Pins say nothing of them. A name is asked for at its own servers, and so
//! is the target of an alias (RFC 1034 3.6.2): where the chain leaves the zone whose servers were asked, or where they do
//! not tell its end, the servers of the target are asked next.

use acme::caa::Property;
use acme::failure::{Lookup, Reason};
use acme::problem::plain;
use hickory_resolver::proto::rr::{Name, RData, RecordType};

use super::question::{MAX_ALIASES, Verdict};
use super::{Resolver, Search, explain};

/// What came of a look-up, with the evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Records<T> {
    /// Every server that was asked, in order, aliases and values included.
    pub lookups: Vec<Lookup>,
    /// At least one record; or why there is none, in a sentence that names the servers and their answers.
    pub outcome: Result<Vec<T>, (Reason, String)>,
}

impl Resolver {
    /// The TXT records of a name, the strings of each joined. Octets that are no UTF-8 are replaced: no value that is
    /// looked for has any.
    pub async fn texts(&self, name: &str) -> Records<String> {
        self.records(name, RecordType::TXT, |data| match data {
            RData::TXT(txt) => Some(String::from_utf8_lossy(&txt.txt_data.concat()).into_owned()),
            _ => None,
        })
        .await
    }

    /// The CAA records of a name, not of those above it.
    pub async fn caa(&self, name: &str) -> Records<Property> {
        self.records(name, RecordType::CAA, property).await
    }

    async fn records<T>(
        &self,
        name: &str,
        kind: RecordType,
        read: impl Fn(&RData) -> Option<T>,
    ) -> Records<T> {
        let mut lookups = Vec::new();
        let mut name = name.to_ascii_lowercase();
        let Ok(mut absolute) = Name::from_ascii(&name) else {
            // Too long, most likely: a label was put before it.
            let why = format!("{} is no name that DNS can hold", plain(&name, 253));
            return Records { lookups, outcome: Err((Reason::Nxdomain, why)) };
        };
        let mut followed = 0;
        loop {
            let group = self.group_of(&name);
            let mut search = Search::new(&name, absolute, kind);
            for (server, upstream) in group.servers.iter().zip(&group.upstreams) {
                lookups.extend(search.ask(server, upstream).await);
                if search.is_settled() {
                    break;
                }
            }
            let Some(verdict) = search.last().filter(|verdict| verdict.is_definite()) else {
                return Records { lookups, outcome: Err(explain(&name, &[&search])) };
            };
            let elsewhere = |alias: &Name| !std::ptr::eq(self.group_of(&lower(alias)), group);
            let Some((place, next)) = next_to_ask(verdict, elsewhere) else {
                let outcome = match verdict.reason {
                    None => Ok(verdict.records.iter().filter_map(read).collect()),
                    Some(_) => Err(explain(&name, &[&search])),
                };
                return Records { lookups, outcome };
            };
            followed += place + 1;
            if followed > MAX_ALIASES {
                let why = format!("looking up {name}: a chain of more than {MAX_ALIASES} aliases");
                return Records { lookups, outcome: Err((Reason::Malformed, plain(&why, 400))) };
            }
            name = lower(&next);
            absolute = next;
        }
    }
}

/// The alias at which the search goes on, with its place in the chain: the first that other servers answer for, else the
/// last when its end was not told.
fn next_to_ask(verdict: &Verdict, elsewhere: impl Fn(&Name) -> bool) -> Option<(usize, Name)> {
    let aliases = &verdict.aliases;
    let place = aliases.iter().position(elsewhere).or_else(|| {
        let untold = verdict.reason == Some(Reason::Nodata);
        aliases.len().checked_sub(1).filter(|_| untold)
    })?;
    Some((place, aliases[place].clone()))
}

fn property(data: &RData) -> Option<Property> {
    match data {
        RData::CAA(caa) => {
            Some(Property { critical: caa.issuer_critical, tag: caa.tag.clone(), value: caa.value.clone() })
        }
        _ => None,
    }
}

/// A record as evidence shows it: made harmless, and cut short.
pub(super) fn show(data: &RData) -> String {
    match data {
        RData::TXT(txt) => plain(&String::from_utf8_lossy(&txt.txt_data.concat()), VALUE),
        data => property(data).map_or_else(|| data.record_type().to_string(), |p| acme::caa::show(&p)),
    }
}

/// A name as evidence shows it.
pub(super) fn show_name(name: &Name) -> String {
    plain(&lower(name), 253)
}

/// In lower case, without the final dot.
fn lower(name: &Name) -> String {
    let mut text = name.to_ascii().to_ascii_lowercase();
    text.truncate(text.trim_end_matches('.').len());
    text
}

/// How many records of an answer are shown.
pub(super) const SHOWN: usize = 5;
/// How much of each.
const VALUE: usize = 120;
