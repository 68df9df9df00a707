//! The search for one kind of record of one name, from server to server, and the sentence about a search without success.

use std::time::Instant;

use acme::failure::{Lookup, Reason};
use acme::problem::plain;
use hickory_resolver::proto::rr::{Name, RecordType};

use super::question::{Question, Verdict};
use super::records;
use super::server::Server;
use super::upstream::Upstream;

/// The search for one record type.
pub(super) struct Search {
    name: String,
    pub(super) question: Question,
    record: RecordType,
    /// Each server that was asked, with its verdict.
    pub(super) verdicts: Vec<(String, Verdict)>,
}

impl Search {
    /// `name` is how the evidence calls it.
    pub(super) fn new(name: &str, absolute: Name, record: RecordType) -> Self {
        let question = Question::new(absolute, record);
        Self { name: name.to_owned(), question, record, verdicts: Vec::new() }
    }

    /// The sentence of a failure calls the name so, and not `the name`, which is the one that was asked for.
    pub(super) fn called(mut self, name: &str) -> Self {
        self.question = self.question.about(plain(name, 253));
        self
    }

    /// Asks, unless it is settled.
    pub(super) async fn ask(&mut self, server: &Server, upstream: &Upstream) -> Option<Lookup> {
        if self.is_settled() {
            return None;
        }
        let begun = Instant::now();
        let verdict = upstream.ask(&self.question).await;
        let lookup = self.heard(server.to_string(), verdict);
        Some(Lookup { millis: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX), ..lookup })
    }

    /// Takes the word of a server, and says what is kept of it.
    pub(super) fn heard(&mut self, server: String, verdict: Verdict) -> Lookup {
        let lookup = Lookup {
            name: self.name.clone(),
            record: self.record.to_string(),
            server: server.clone(),
            answer: verdict.word.clone(),
            addresses: verdict.addresses.clone(),
            aliases: verdict.aliases.iter().map(records::show_name).collect(),
            values: verdict.records.iter().take(records::SHOWN).map(records::show).collect(),
            millis: 0,
        };
        self.verdicts.push((server, verdict));
        lookup
    }

    pub(super) fn last(&self) -> Option<&Verdict> {
        self.verdicts.last().map(|(_, verdict)| verdict)
    }

    pub(super) fn is_settled(&self) -> bool {
        self.last().is_some_and(Verdict::is_definite)
    }

    pub(super) fn has_brought(&self) -> bool {
        self.last().is_some_and(|verdict| verdict.reason.is_none())
    }
}

/// Why nothing was found for `name`; `told` says what led to it. A failure outranks a definite answer of the other family:
/// it may pass.
pub(super) fn explain(name: &str, told: &str, searches: &[&Search]) -> (Reason, String) {
    let reasons: Vec<Reason> = searches.iter().filter_map(|search| search.last()?.reason).collect();
    let definite = |reason: &Reason| matches!(reason, Reason::Nxdomain | Reason::Nodata);
    let Some(reason) = reasons.iter().copied().find(|r| !definite(r)).or(reasons.first().copied()) else {
        let of = if name == told { String::new() } else { format!("looking up {told}: ") };
        return (Reason::Unreachable, format!("{of}no name server is configured for {name}"));
    };
    let mut clauses: Vec<String> = Vec::new();
    for (server, verdict) in searches.iter().flat_map(|search| &search.verdicts) {
        let clause = format!("{server} {}", verdict.clause);
        if !clauses.contains(&clause) {
            clauses.push(clause);
        }
    }
    (reason, plain(&format!("looking up {told}: {}", clauses.join("; ")), SENTENCE))
}

/// How long the sentence of a failed look-up may be.
const SENTENCE: usize = 600;
