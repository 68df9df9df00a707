//! What the octets of one message come to: a look-up without its server. Asking does the same with what a server sends.

use acme::failure::{Lookup, Reason};
use acme::identifier::DnsName;
use hickory_resolver::proto::op::Message;
use hickory_resolver::proto::rr::{Name, RecordType};

use super::question::Verdict;
use super::search::{Search, explain};

/// Reads a message as the answer of `server` to the question for these records of a name: what the evidence keeps of it,
/// and why it brought nothing when it did not.
pub fn read(
    message: &[u8],
    name: &DnsName,
    record: RecordType,
    server: &str,
) -> (Lookup, Option<(Reason, String)>) {
    let absolute = Name::from_ascii(name.base()).expect("a DnsName is a name in DNS");
    let mut search = Search::new(name.base(), absolute, record);
    let verdict = match Message::from_vec(message) {
        Ok(message) => search.question.judge(&message),
        Err(_) => Verdict::unreadable(NO_MESSAGE),
    };
    let is_empty = verdict.reason.is_some();
    let lookup = search.heard(server.to_owned(), verdict);
    (lookup, is_empty.then(|| explain(name.base(), name.base(), &[&search])))
}

/// The end of a sentence that begins with the server.
pub(super) const NO_MESSAGE: &str = "sent an answer that is no DNS message";
