//! One DNS question and the judging of its answer: RFC 1035 4, EDNS (RFC 6891), CNAME chains within the answer
//! (RFC 1034 3.6.2). Message in, verdict out; knows no socket and no server.

use std::net::IpAddr;
use std::time::Duration;

use acme::failure::Reason;
use acme::problem::plain;
use hickory_resolver::proto::op::{DnsRequest, DnsRequestOptions, Message, Query, ResponseCode};
use hickory_resolver::proto::rr::{DNSClass, Name, RData, Record, RecordType};

use super::extended;

/// A question for one kind of record.
#[derive(Clone, Debug)]
pub(super) struct Question {
    query: Query,
    /// What the name is called in a sentence.
    subject: String,
}

/// What came of asking one server one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The word in the evidence, such as `NOERROR`, `NXDOMAIN`, `NODATA`, `SERVFAIL`, `timeout`.
    pub(super) word: String,
    /// `None` when there are addresses or records.
    pub(super) reason: Option<Reason>,
    /// The addresses, at most [`MAX_ADDRESSES`].
    pub(super) addresses: Vec<IpAddr>,
    /// Other records, at most [`MAX_RECORDS`].
    pub(super) records: Vec<RData>,
    /// The aliases that led to them, or to where there are none, at most [`MAX_ALIASES`].
    pub(super) aliases: Vec<Name>,
    /// Whether the answer leaves open what is at the end of its aliases.
    pub(super) is_untold: bool,
    /// The end of a sentence that begins with the server.
    pub(super) clause: String,
}

impl Question {
    /// For the name as it stands: absolute, so that no search list applies.
    pub(super) fn new(mut name: Name, record: RecordType) -> Self {
        name.set_fqdn(true);
        Self { query: Query::query(name, record), subject: "the name".to_owned() }
    }

    /// The same, with a word of its own for the name.
    pub(super) fn about(self, subject: String) -> Self {
        Self { subject, ..self }
    }

    /// The question under a random id; a datagram that gets no answer is sent again after `resend`.
    pub(super) fn request(&self, resend: Duration) -> DnsRequest {
        let mut options = DnsRequestOptions::default();
        options.recursion_desired = true;
        options.use_edns = true;
        options.edns_payload_len = PAYLOAD;
        // Letters stay as they are (0x20 off), for the sake of old servers.
        options.case_randomization = false;
        options.retry_interval = resend;
        DnsRequest::from_query(self.query.clone(), options)
    }

    /// The same question for a server that knows no EDNS.
    pub(super) fn request_without_edns(&self, resend: Duration) -> DnsRequest {
        let mut request = self.request(resend);
        request.edns = None;
        request
    }

    /// Whether the server did not understand EDNS, RFC 6891 7, and should be asked without.
    pub(super) fn is_refused_for_edns(&self, answer: &Message) -> bool {
        matches!(answer.response_code, ResponseCode::FormErr | ResponseCode::NotImp) && answer.edns.is_none()
    }

    /// What the answer says.
    pub(super) fn judge(&self, message: &Message) -> Verdict {
        let code = message.response_code;
        // Some refusals come without the question (RFC 1035 4.1.1 does not ask for it); anything else must repeat it.
        let repeats = match message.queries.as_slice() {
            [] => code != ResponseCode::NoError && code != ResponseCode::NXDomain,
            [one] => one.name() == self.query.name() && one.query_type() == self.query.query_type(),
            _ => false,
        };
        if !repeats {
            return Verdict::unreadable("sent an answer to another question");
        }
        if message.truncation {
            return Verdict::unreadable("cut its answer short even over a stream");
        }
        let more = extended::error(message).map(|text| format!(" ({text})")).unwrap_or_default();
        let kind = self.query.query_type();
        match code {
            ResponseCode::NoError | ResponseCode::NXDomain => match self.aliases(message) {
                Some(aliases) => self.end(message, aliases, &more),
                None => {
                    Verdict::unreadable(&format!("answered with a chain of more than {MAX_ALIASES} aliases"))
                }
            },
            ResponseCode::ServFail => {
                let clause = format!("could not find out (SERVFAIL, record {kind}){more}");
                let verdict = Verdict::without("SERVFAIL", Reason::Servfail, clause);
                // What it could not find out is the end; who reaches that may do better.
                Verdict { aliases: self.aliases(message).unwrap_or_default(), ..verdict }
            }
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

    /// What is at the end of the aliases of the answer.
    fn end(&self, message: &Message, aliases: Vec<Name>, more: &str) -> Verdict {
        let kind = self.query.query_type();
        let end = aliases.last().unwrap_or(self.query.name());
        // RFC 6604 3: it is the end of the aliases that does not exist.
        if message.response_code == ResponseCode::NXDomain {
            let clause = format!("{} not exist (NXDOMAIN){more}", self.negation(end, "does"));
            return Verdict { aliases, ..Verdict::without("NXDOMAIN", Reason::Nxdomain, clause) };
        }
        let found = || of(message, end).filter(|data| data.record_type() == kind);
        let (addresses, records): (Vec<IpAddr>, Vec<RData>) = if self.wants_addresses() {
            (found().filter_map(address).take(MAX_ADDRESSES).collect(), Vec::new())
        } else {
            (Vec::new(), found().take(MAX_RECORDS).cloned().collect())
        };
        if addresses.is_empty() && records.is_empty() {
            let clause = format!("{} no {kind} record (NODATA){more}", self.negation(end, "has"));
            // RFC 2308 2.2: who knows that there is nothing shows the SOA record of the zone.
            let is_told = |r: &Record| r.data.record_type() == RecordType::SOA && r.name.zone_of(end);
            let is_untold = !aliases.is_empty() && !message.authorities.iter().any(is_told);
            return Verdict { aliases, is_untold, ..Verdict::without("NODATA", Reason::Nodata, clause) };
        }
        Verdict {
            word: "NOERROR".to_owned(),
            reason: None,
            addresses,
            records,
            aliases,
            is_untold: false,
            clause: format!("answered with {kind} records"),
        }
    }

    /// The beginning of a clause about the end of the aliases.
    fn negation(&self, end: &Name, verb: &str) -> String {
        let subject = &self.subject;
        if end == self.query.name() {
            return format!("answered that {subject} {verb}");
        }
        let target = plain(end.to_ascii().trim_end_matches('.'), 253);
        format!("answered that {subject} is an alias of {target}, which {verb}")
    }

    /// The chain of aliases in the answer, in order; `None` when it has no end.
    fn aliases(&self, message: &Message) -> Option<Vec<Name>> {
        let kind = self.query.query_type();
        let mut aliases: Vec<Name> = Vec::new();
        loop {
            let owner = aliases.last().unwrap_or(self.query.name());
            // What is asked for beside an alias breaks RFC 1034 3.6.2; an address there is an end.
            if self.wants_addresses()
                && of(message, owner).any(|data| data.record_type() == kind && address(data).is_some())
            {
                return Some(aliases);
            }
            let next = of(message, owner).find_map(|data| match data {
                RData::CNAME(target) => Some(target.0.clone()),
                _ => None,
            });
            match next {
                None => return Some(aliases),
                Some(_) if aliases.len() == MAX_ALIASES => return None,
                Some(target) => aliases.push(target),
            }
        }
    }

    fn wants_addresses(&self) -> bool {
        matches!(self.query.query_type(), RecordType::A | RecordType::AAAA)
    }
}

impl Verdict {
    pub(super) fn without(word: &str, reason: Reason, clause: String) -> Self {
        Self {
            word: word.to_owned(),
            reason: Some(reason),
            addresses: Vec::new(),
            records: Vec::new(),
            aliases: Vec::new(),
            is_untold: false,
            clause,
        }
    }

    /// The word of a pin.
    pub(super) fn pinned(addresses: &[IpAddr]) -> Self {
        let verdict = Self::without("NOERROR", Reason::Nodata, String::new());
        Self { reason: None, addresses: addresses.to_vec(), ..verdict }
    }

    pub(super) fn unreadable(clause: &str) -> Self {
        Self::without("unreadable", Reason::Malformed, clause.to_owned())
    }

    /// Whether no other server need be asked.
    pub(super) fn is_definite(&self) -> bool {
        matches!(self.reason, None | Some(Reason::Nxdomain | Reason::Nodata))
    }
}

/// What an answer has of a name.
fn of<'m>(message: &'m Message, owner: &Name) -> impl Iterator<Item = &'m RData> {
    let of = message.answers.iter().filter(move |r| r.dns_class == DNSClass::IN && r.name == *owner);
    of.map(|record| &record.data)
}

fn address(data: &RData) -> Option<IpAddr> {
    match data {
        RData::A(a) => Some(a.0.into()),
        RData::AAAA(a) => Some(a.0.into()),
        _ => None,
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
pub(super) const MAX_ALIASES: usize = 8;
/// How many other records of an answer are kept.
const MAX_RECORDS: usize = 64;
/// How many addresses of an answer are kept.
const MAX_ADDRESSES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_resolver::proto::op::{Edns, OpCode};
    use hickory_resolver::proto::rr::rdata::{A, CNAME, SOA, TXT};

    fn question() -> Question {
        Question::new(name("vault.lan"), RecordType::A)
    }

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn answer(question: &Question, code: ResponseCode, records: Vec<Record>) -> Message {
        let mut message = Message::response(1, OpCode::Query);
        message.metadata.response_code = code;
        message.add_query(question.query.clone());
        message.answers = records;
        message
    }

    fn a(owner: &str, ip: [u8; 4]) -> Record {
        Record::from_rdata(name(owner), 60, RData::A(A(ip.into())))
    }

    fn cname(owner: &str, target: &str) -> Record {
        Record::from_rdata(name(owner), 60, RData::CNAME(CNAME(name(target))))
    }

    #[test]
    fn a_question_asks_for_recursion_and_offers_1232_octets() {
        let request = question().request(Duration::from_secs(1));
        assert!(request.recursion_desired);
        assert_eq!(request.edns.as_ref().unwrap().max_payload(), 1232);
        assert_eq!(request.queries[0].name().to_ascii(), "vault.lan.");
        assert!(question().request_without_edns(Duration::from_secs(1)).edns.is_none());
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
        let verdict = question.judge(&answer(&question, ResponseCode::NoError, records));
        assert_eq!(verdict.addresses, [IpAddr::from([10, 0, 0, 9])]);
    }

    #[test]
    fn a_chain_or_a_circle_of_aliases_ends() {
        let question = question();
        let circle = vec![cname("vault.lan.", "b.lan."), cname("b.lan.", "vault.lan.")];
        let read = question.judge(&answer(&question, ResponseCode::NoError, circle));
        assert_eq!((read.word.as_str(), read.reason), ("unreadable", Some(Reason::Malformed)));
        let dangling = vec![cname("vault.lan.", "gone.lan.")];
        let read = question.judge(&answer(&question, ResponseCode::NoError, dangling));
        assert_eq!(read.reason, Some(Reason::Nodata));
        assert!(read.clause.contains("alias of gone.lan,"), "{}", read.clause);
    }

    #[test]
    fn the_end_of_a_chain_is_told_by_the_soa_record_of_its_zone() {
        let question = question();
        let mut message =
            answer(&question, ResponseCode::NoError, vec![cname("vault.lan.", "a.corp.example.")]);
        assert!(question.judge(&message).is_untold);
        for (zone, is_untold) in [("lan.", true), ("Corp.example.", false)] {
            let soa = SOA::new(name("ns.lan."), name("root.lan."), 1, 2, 3, 4, 5);
            message.authorities = vec![Record::from_rdata(name(zone), 60, RData::SOA(soa))];
            assert_eq!(question.judge(&message).is_untold, is_untold, "{zone}");
        }
        message.answers.clear();
        message.authorities.clear();
        assert!(!question.judge(&message).is_untold, "there is no alias to follow");
    }

    #[test]
    fn a_name_that_is_an_alias_of_nothing_is_not_said_not_to_exist() {
        let question = question();
        let records = vec![cname("vault.lan.", "gone.lan.")];
        let read = question.judge(&answer(&question, ResponseCode::NXDomain, records));
        let told = "answered that the name is an alias of gone.lan, which does not exist (NXDOMAIN)";
        assert_eq!((read.reason, read.clause.as_str()), (Some(Reason::Nxdomain), told));
        let circle = vec![cname("vault.lan.", "b.lan."), cname("b.lan.", "vault.lan.")];
        let read = question.judge(&answer(&question, ResponseCode::NXDomain, circle));
        assert_eq!(read.reason, Some(Reason::Malformed));
    }

    #[test]
    fn the_chain_to_other_records_is_kept_also_when_it_ends_in_nothing() {
        let question = Question::new(name("_acme-challenge.vault.lan"), RecordType::TXT);
        let txt = |owner: &str, text: &str| {
            Record::from_rdata(name(owner), 60, RData::TXT(TXT::new(vec![text.to_owned()])))
        };
        let chain = || vec![cname("_acme-challenge.vault.lan.", "b.lan."), cname("b.lan.", "C.lan.")];
        let mut records = chain();
        records.extend([txt("c.lan.", "x"), txt("other.lan.", "no"), txt("c.lan.", "y")]);
        let read = question.judge(&answer(&question, ResponseCode::NoError, records));
        assert_eq!((read.reason, read.records.len(), read.aliases.len()), (None, 2, 2));
        let read = question.judge(&answer(&question, ResponseCode::NXDomain, chain()));
        assert_eq!(
            (read.reason, read.aliases),
            (Some(Reason::Nxdomain), vec![name("b.lan."), name("c.lan.")])
        );
        let read = question.judge(&answer(&question, ResponseCode::NoError, chain()));
        assert_eq!((read.reason, read.aliases.len()), (Some(Reason::Nodata), 2));
        assert!(read.clause.contains("no TXT record"), "{}", read.clause);
        let circle = vec![cname("_acme-challenge.vault.lan.", "b.lan."), cname("b.lan.", "b.lan.")];
        let read = question.judge(&answer(&question, ResponseCode::NoError, circle));
        assert_eq!(read.reason, Some(Reason::Malformed));
        let many = (0..100).map(|i| txt("_acme-challenge.vault.lan.", &i.to_string())).collect();
        let read = question.judge(&answer(&question, ResponseCode::NoError, many));
        assert_eq!(read.records.len(), MAX_RECORDS);
    }

    #[test]
    fn an_answer_to_another_question_is_not_believed() {
        let question = question();
        let mut message = answer(&question, ResponseCode::NoError, vec![a("vault.lan.", [10, 0, 0, 9])]);
        message.queries[0] = Query::query(name("evil.lan."), RecordType::A);
        assert_eq!(question.judge(&message).reason, Some(Reason::Malformed));
        message.queries.clear();
        assert_eq!(question.judge(&message).reason, Some(Reason::Malformed));
        message.metadata.response_code = ResponseCode::ServFail;
        assert_eq!(question.judge(&message).reason, Some(Reason::Servfail), "a failure may leave it out");
    }

    #[test]
    fn a_server_without_edns_is_known_by_its_refusal() {
        let mut message = answer(&question(), ResponseCode::FormErr, vec![]);
        assert!(question().is_refused_for_edns(&message));
        assert_eq!(question().judge(&message).word, "FORMERR");
        message.set_edns(Edns::new());
        assert!(!question().is_refused_for_edns(&message), "it knows EDNS and means something else");
    }
}
