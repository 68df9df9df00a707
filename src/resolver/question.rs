//! One DNS question and the reading of its answer: RFC 1035 4, EDNS (RFC 6891), CNAME chains within the answer
//! (RFC 1034 3.6.2). Bytes in, verdict out; knows no socket and no server.

use std::net::IpAddr;

use acme::failure::Reason;
use acme::identifier::DnsName;
use acme::problem::plain;
use hickory_proto::op::{Edns, Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, RecordType};

use super::extended;

/// A question for the addresses of one family.
#[derive(Clone, Debug)]
pub(super) struct Question {
    id: u16,
    query: Query,
    bytes: Vec<u8>,
}

/// What came of asking one server one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The word in the evidence, such as `NOERROR`, `NXDOMAIN`, `NODATA`, `SERVFAIL`, `timeout`.
    pub(super) word: String,
    /// `None` when there are addresses.
    pub(super) reason: Option<Reason>,
    /// The addresses, at most [`MAX_ADDRESSES`].
    pub(super) addresses: Vec<IpAddr>,
    /// The end of a sentence that begins with the server.
    pub(super) clause: String,
}

/// What a datagram or a frame was to a question.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// The answer.
    Answer(Verdict),
    /// The answer did not fit; ask over TCP.
    Truncated,
    /// The server does not understand EDNS, RFC 6891 7; ask without.
    WithoutEdns,
    /// Nothing to do with the question: forged, late, or noise.
    Foreign,
}

impl Question {
    /// A question under a random id, for the name as it stands: absolute, with recursion desired, letters as they are
    /// (0x20 off, for the sake of old servers).
    pub(super) fn new(name: &DnsName, record: RecordType) -> Self {
        let mut absolute = Name::from_ascii(name.base()).expect("a DnsName is a name in DNS");
        absolute.set_fqdn(true);
        let query = Query::query(absolute, record);
        let mut edns = Edns::new();
        edns.set_max_payload(PAYLOAD);
        Self::encode(query, Some(edns))
    }

    /// The same question for a server that knows no EDNS.
    pub(super) fn without_edns(&self) -> Self {
        Self::encode(self.query.clone(), None)
    }

    fn encode(query: Query, edns: Option<Edns>) -> Self {
        let mut message = Message::query();
        message.metadata.recursion_desired = true;
        message.add_query(query.clone());
        message.edns = edns;
        let bytes = message.to_vec().expect("a question of one name can be written");
        Self { id: message.id, query, bytes }
    }

    /// The message.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Judges a message that came back. Only one with our id and our question counts: anybody can send a datagram.
    pub(super) fn read(&self, bytes: &[u8]) -> Reply {
        let is_ours = bytes.len() >= HEADER && bytes[..2] == self.id.to_be_bytes() && bytes[2] & 0x80 != 0;
        if !is_ours {
            return Reply::Foreign;
        }
        // Before parsing: some servers cut the message in the middle of a record.
        if bytes[2] & 0x02 != 0 {
            return Reply::Truncated;
        }
        let Ok(message) = Message::from_vec(bytes) else {
            return Reply::Answer(Verdict::unreadable("sent an answer that is no DNS message"));
        };
        let code = message.metadata.response_code;
        // Some refusals come without the question (RFC 1035 4.1.1 does not ask for it); anything else must repeat it.
        let repeats = match message.queries.as_slice() {
            [] => code != ResponseCode::NoError && code != ResponseCode::NXDomain,
            [one] => one.name() == self.query.name() && one.query_type() == self.query.query_type(),
            _ => false,
        };
        if !repeats || message.metadata.message_type != MessageType::Response {
            return Reply::Foreign;
        }
        if matches!(code, ResponseCode::FormErr | ResponseCode::NotImp)
            && message.edns.is_none()
            && self.has_edns()
        {
            return Reply::WithoutEdns;
        }
        Reply::Answer(self.judge(&message))
    }

    fn has_edns(&self) -> bool {
        self.bytes[HEADER - 1] != 0 // ARCOUNT: the OPT record is the only additional one
    }

    fn judge(&self, message: &Message) -> Verdict {
        let more = extended::error(message).map(|text| format!(" ({text})")).unwrap_or_default();
        let kind = self.query.query_type();
        match message.metadata.response_code {
            ResponseCode::NoError => self.addresses(message, &more),
            ResponseCode::NXDomain => Verdict::without(
                "NXDOMAIN",
                Reason::Nxdomain,
                format!("answered that the name does not exist (NXDOMAIN){more}"),
            ),
            ResponseCode::ServFail => Verdict::without(
                "SERVFAIL",
                Reason::Servfail,
                format!("could not find out (SERVFAIL, record {kind}){more}"),
            ),
            ResponseCode::Refused => Verdict::without(
                "REFUSED",
                Reason::Refused,
                format!("refuses to answer this host (REFUSED){more}"),
            ),
            other => {
                let word = code_word(other);
                let clause = format!("answered {word}{more}");
                Verdict::without(&word, Reason::Malformed, clause)
            }
        }
    }

    /// Follows the aliases of the answer to its addresses.
    fn addresses(&self, message: &Message, more: &str) -> Verdict {
        let mut owner = self.query.name();
        let records = || message.answers.iter().filter(|r| r.dns_class == DNSClass::IN);
        for _ in 0..=MAX_ALIASES {
            let mut found: Vec<IpAddr> = Vec::new();
            let mut alias = None;
            for record in records().filter(|r| r.name == *owner) {
                match &record.data {
                    RData::A(a) if self.query.query_type() == RecordType::A => found.push(a.0.into()),
                    RData::AAAA(a) if self.query.query_type() == RecordType::AAAA => found.push(a.0.into()),
                    RData::CNAME(target) => alias = Some(&target.0),
                    _ => {}
                }
            }
            if !found.is_empty() {
                found.truncate(MAX_ADDRESSES);
                return Verdict {
                    word: "NOERROR".to_owned(),
                    reason: None,
                    addresses: found,
                    clause: "answered with addresses".to_owned(),
                };
            }
            match alias {
                Some(target) => owner = target,
                None => return self.no_data(owner, more),
            }
        }
        Verdict::unreadable(&format!("answered with a chain of more than {MAX_ALIASES} aliases"))
    }

    fn no_data(&self, end: &Name, more: &str) -> Verdict {
        let kind = self.query.query_type();
        let clause = if end == self.query.name() {
            format!("answered that the name has no {kind} record (NODATA){more}")
        } else {
            let target = plain(end.to_ascii().trim_end_matches('.'), 253);
            format!(
                "answered that the name is an alias of {target}, which has no {kind} record (NODATA){more}"
            )
        };
        Verdict::without("NODATA", Reason::Nodata, clause)
    }
}

impl Verdict {
    pub(super) fn without(word: &str, reason: Reason, clause: String) -> Self {
        Self { word: word.to_owned(), reason: Some(reason), addresses: Vec::new(), clause }
    }

    pub(super) fn unreadable(clause: &str) -> Self {
        Self::without("unreadable", Reason::Malformed, clause.to_owned())
    }

    /// Whether no other server need be asked.
    pub(super) fn is_definite(&self) -> bool {
        matches!(self.reason, None | Some(Reason::Nxdomain | Reason::Nodata))
    }
}

fn code_word(code: ResponseCode) -> String {
    match code {
        ResponseCode::FormErr => "FORMERR".to_owned(),
        ResponseCode::NotImp => "NOTIMP".to_owned(),
        ResponseCode::NotAuth => "NOTAUTH".to_owned(),
        ResponseCode::BADVERS => "BADVERS".to_owned(),
        other => format!("RCODE{}", u16::from(other)),
    }
}

/// What is offered in EDNS: the size that passes every path without fragments (DNS flag day 2020).
const PAYLOAD: u16 = 1232;
/// How long a chain of aliases may be.
const MAX_ALIASES: usize = 8;
/// How many addresses of an answer are kept.
const MAX_ADDRESSES: usize = 16;
/// Octets of a message header.
const HEADER: usize = 12;
#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::op::OpCode;
    use hickory_proto::rr::Record;
    use hickory_proto::rr::rdata::{A, CNAME};

    fn question() -> Question {
        Question::new(&DnsName::parse("vault.lan").unwrap(), RecordType::A)
    }

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn answer(question: &Question, code: ResponseCode, records: Vec<Record>) -> Message {
        let mut message = Message::response(question.id, OpCode::Query);
        message.metadata.response_code = code;
        message.add_query(question.query.clone());
        message.answers = records;
        message
    }

    fn verdict(question: &Question, message: &Message) -> Verdict {
        match question.read(&message.to_vec().unwrap()) {
            Reply::Answer(verdict) => verdict,
            other => panic!("{other:?}"),
        }
    }

    fn a(owner: &str, ip: [u8; 4]) -> Record {
        Record::from_rdata(name(owner), 60, RData::A(A(ip.into())))
    }

    fn cname(owner: &str, target: &str) -> Record {
        Record::from_rdata(name(owner), 60, RData::CNAME(CNAME(name(target))))
    }

    #[test]
    fn a_question_asks_for_recursion_and_offers_1232_octets() {
        let message = Message::from_vec(question().bytes()).unwrap();
        assert!(message.metadata.recursion_desired);
        assert_eq!(message.edns.as_ref().unwrap().max_payload(), 1232);
        assert_eq!(message.queries[0].name().to_ascii(), "vault.lan.");
        assert!(Message::from_vec(question().without_edns().bytes()).unwrap().edns.is_none());
    }

    #[test]
    fn aliases_are_followed_within_the_answer_whatever_their_order() {
        let question = question();
        let records = vec![
            a("c.lan.", [10, 0, 0, 9]),
            cname("b.lan.", "C.lan."),
            cname("vault.lan.", "b.lan."),
            a("x.lan.", [9; 4]),
        ];
        let verdict = verdict(&question, &answer(&question, ResponseCode::NoError, records));
        assert_eq!(verdict.addresses, [IpAddr::from([10, 0, 0, 9])]);
    }

    #[test]
    fn a_chain_or_a_circle_of_aliases_ends() {
        let question = question();
        let circle = vec![cname("vault.lan.", "b.lan."), cname("b.lan.", "vault.lan.")];
        let read = verdict(&question, &answer(&question, ResponseCode::NoError, circle));
        assert_eq!((read.word.as_str(), read.reason), ("unreadable", Some(Reason::Malformed)));
        let dangling = vec![cname("vault.lan.", "gone.lan.")];
        let read = verdict(&question, &answer(&question, ResponseCode::NoError, dangling));
        assert_eq!(read.reason, Some(Reason::Nodata));
        assert!(read.clause.contains("alias of gone.lan,"), "{}", read.clause);
    }

    #[test]
    fn an_answer_under_another_id_or_to_another_question_is_not_ours() {
        let question = question();
        let mut message = answer(&question, ResponseCode::NoError, vec![a("vault.lan.", [10, 0, 0, 9])]);
        message.queries[0] = Query::query(name("evil.lan."), RecordType::A);
        assert_eq!(question.read(&message.to_vec().unwrap()), Reply::Foreign);
        message.queries.clear();
        assert_eq!(question.read(&message.to_vec().unwrap()), Reply::Foreign);
        message.add_query(question.query.clone());
        message.metadata.id = question.id.wrapping_add(1);
        assert_eq!(question.read(&message.to_vec().unwrap()), Reply::Foreign);
        assert_eq!(question.read(question.bytes()), Reply::Foreign, "our own question come back");
        assert_eq!(question.read(&[]), Reply::Foreign);
    }

    #[test]
    fn noise_under_our_id_is_unreadable() {
        let question = question();
        let mut bytes = question.id.to_be_bytes().to_vec();
        bytes.extend([0x80, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xc0, 0x0c, 0xc0]);
        assert!(matches!(
            question.read(&bytes),
            Reply::Answer(Verdict { reason: Some(Reason::Malformed), .. })
        ));
    }

    #[test]
    fn a_server_without_edns_is_asked_without() {
        let question = question();
        let message = answer(&question, ResponseCode::FormErr, vec![]);
        assert_eq!(question.read(&message.to_vec().unwrap()), Reply::WithoutEdns);
        let plain = question.without_edns();
        let message = answer(&plain, ResponseCode::FormErr, vec![]);
        assert_eq!(verdict(&plain, &message).word, "FORMERR");
    }
}
