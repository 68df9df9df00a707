//! TXT and CAA records (RFC 1035 3.3.14, RFC 8659). Pins say nothing of them.

use acme::caa::Property;
use acme::failure::{Lookup, Reason};
use acme::problem::plain;
use hickory_resolver::proto::rr::{Name, RData, RecordType};

use super::Resolver;
use super::alias::{End, Wanted, lower};
use super::question::Verdict;

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
        let Ok(absolute) = Name::from_ascii(name) else {
            // Too long, most likely: a label was put before it.
            let why = format!("{} is no name that DNS can hold", plain(name, 253));
            return Records { lookups: Vec::new(), outcome: Err((Reason::Nxdomain, why)) };
        };
        let End { lookups, outcome } = self.follow(absolute, Wanted { kinds: &[kind], by_pins: false }).await;
        let read = |found: Vec<Verdict>| {
            found.iter().flat_map(|verdict| &verdict.records).filter_map(read).collect()
        };
        Records { lookups, outcome: outcome.map(read) }
    }
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

/// How many records of an answer are shown.
pub(super) const SHOWN: usize = 5;
/// How much of each.
const VALUE: usize = 120;
