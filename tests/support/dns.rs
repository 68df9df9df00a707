//! A real DNS server on loopback, over UDP and TCP on one port or over TLS, whose answers a test sets while it runs. It
//! remembers what it was asked.
//!
//! ```ignore
//! let dns = DnsServer::start().await;
//! dns.set("vault.lan", Answer::addresses(&["10.0.0.21"]));
//! dns.set_default(Answer::NxDomain);
//! // … something asks the server at dns.address() …
//! assert_eq!(dns.asked()[0].name, "vault.lan");
//! ```

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use hickory_resolver::proto::op::{Edns, Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::opt::EdnsOption;
use hickory_resolver::proto::rr::rdata::{A, AAAA, CAA, CNAME, TXT};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// What a name is answered with. A name of which nothing was said gets the default, which is `Refused` at first.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A and AAAA records; NODATA for a family without one, and for any other record type.
    Addresses(Vec<IpAddr>),
    /// TXT records.
    Texts(Vec<String>),
    /// TXT records of several strings each.
    Strings(Vec<Vec<String>>),
    /// TXT records from a file with the name of the question in this folder, a line each; without a file, the name does
    /// not exist. So a client's hook can set them.
    Files(PathBuf),
    /// CAA records: whether critical, tag, value.
    Caa(Vec<(bool, String, String)>),
    /// A chain of aliases, and what is said of its end; the status is that of the end.
    Chain(Vec<String>, Box<Answer>),
    /// An answer for each of some records, and one for all others.
    ByRecord(Vec<(RecordType, Answer)>, Box<Answer>),
    /// A chain of aliases and the addresses at its end.
    Alias(Vec<String>, Vec<IpAddr>),
    /// The name does not exist.
    NxDomain,
    /// The server could not find out.
    ServFail,
    /// The same, with an Extended DNS Error (RFC 8914): its code and text.
    ServFailBecause(u16, String),
    /// The server does not want to.
    Refused,
    /// No answer at all; over TCP, the connection stays open.
    Silence,
    /// The first question for each record gets no answer, as if its datagram were lost; the next gets this one.
    LostOnce(Box<Answer>),
    /// Over UDP the answer is cut short; over TCP it is whole.
    Truncated(Box<Answer>),
    /// The answer under an id that was not asked, and then nothing.
    WrongId(Box<Answer>),
    /// Bytes under the right id that are no message.
    Garbage,
    /// FORMERR to a question with EDNS, the answer to one without.
    NoEdns(Box<Answer>),
    /// One answer for A, another for AAAA.
    Families { a: Box<Answer>, aaaa: Box<Answer> },
    /// Over TCP and TLS: the connection is closed after this answer.
    ThenClose(Box<Answer>),
}

impl Answer {
    /// Addresses from text.
    pub fn addresses(texts: &[&str]) -> Self {
        Self::Addresses(texts.iter().map(|ip| ip.parse().expect("an IP address")).collect())
    }

    /// TXT records of one string each.
    pub fn texts(texts: &[&str]) -> Self {
        Self::Texts(texts.iter().map(ToString::to_string).collect())
    }

    /// CAA records from their zone file form, `FLAGS TAG VALUE`.
    pub fn caa(lines: &[&str]) -> Self {
        let record = |line: &&str| {
            let mut words = line.splitn(3, ' ');
            let critical = words.next() == Some("128");
            let mut word = || words.next().unwrap_or_default().to_owned();
            (critical, word(), word())
        };
        Self::Caa(lines.iter().map(record).collect())
    }

    /// These for CAA, and otherwise addresses of loopback.
    pub fn with_caa(lines: &[&str]) -> Self {
        Self::ByRecord(vec![(RecordType::CAA, Self::caa(lines))], Box::new(Self::addresses(&["127.0.0.1"])))
    }
}

/// One question as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Without the final dot, in the case in which it came.
    pub name: String,
    /// `A`, `AAAA`, `TXT`…
    pub record: String,
    /// `udp`, `tcp` or `tls`.
    pub over: &'static str,
    /// On which connection, counted from 1; 0 for UDP.
    pub connection: usize,
    /// What the asker can take, when it sent EDNS.
    pub payload: Option<u16>,
    /// For which name the TLS client asked (SNI).
    pub server_name: Option<String>,
}

/// The server; it ends when it is dropped.
pub struct DnsServer {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    tasks: Vec<JoinHandle<()>>,
}

struct State {
    answers: HashMap<String, Answer>,
    default: Answer,
    asked: Vec<Asked>,
    connections: usize,
}

impl DnsServer {
    /// Over UDP and TCP, on one free port of 127.0.0.1.
    pub async fn start() -> Self {
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").await.expect("a free UDP port");
            // The same port may be taken for TCP.
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().expect("bound")).await {
                break (udp, tcp);
            }
        };
        let mut server = Self::with_address(udp.local_addr().expect("bound"));
        server.tasks.push(tokio::spawn(serve_udp(udp, Arc::clone(&server.state))));
        server.tasks.push(tokio::spawn(serve_streams(tcp, None, Arc::clone(&server.state))));
        server
    }

    /// Over TLS alone (RFC 7858), with the given certificate.
    pub async fn start_tls(config: rustls::ServerConfig) -> Self {
        let tcp = TcpListener::bind("127.0.0.1:0").await.expect("a free TCP port");
        let mut server = Self::with_address(tcp.local_addr().expect("bound"));
        let acceptor = TlsAcceptor::from(Arc::new(config));
        server.tasks.push(tokio::spawn(serve_streams(tcp, Some(acceptor), Arc::clone(&server.state))));
        server
    }

    fn with_address(address: SocketAddr) -> Self {
        let state =
            State { answers: HashMap::new(), default: Answer::Refused, asked: Vec::new(), connections: 0 };
        Self { address, state: Arc::new(Mutex::new(state)), tasks: Vec::new() }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on, `name` is answered so.
    pub fn set(&self, name: &str, answer: Answer) {
        self.state.lock().unwrap().answers.insert(name.to_ascii_lowercase(), answer);
    }

    /// From now on, a name of which nothing was said is answered so.
    pub fn set_default(&self, answer: Answer) {
        self.state.lock().unwrap().default = answer;
    }

    /// Every question until now.
    pub fn asked(&self) -> Vec<Asked> {
        self.state.lock().unwrap().asked.clone()
    }

    /// How many questions came until now.
    pub fn queries(&self) -> usize {
        self.state.lock().unwrap().asked.len()
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn serve_udp(socket: UdpSocket, state: Arc<Mutex<State>>) {
    let mut buffer = vec![0; 4096];
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        if let Some((bytes, _)) = answer(&buffer[..length], "udp", 0, None, &state) {
            let _ = socket.send_to(&bytes, from).await;
        }
    }
}

async fn serve_streams(listener: TcpListener, tls: Option<TlsAcceptor>, state: Arc<Mutex<State>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, state) = (tls.clone(), Arc::clone(&state));
        let _ = stream.set_nodelay(true); // as servers do: answers do not wait for each other
        tokio::spawn(async move {
            match tls {
                Some(acceptor) => {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        let name = stream.get_ref().1.server_name().map(str::to_owned);
                        serve_stream(stream, "tls", name.as_deref(), &state).await;
                    }
                }
                None => serve_stream(stream, "tcp", None, &state).await,
            }
        });
    }
}

async fn serve_stream<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    over: &'static str,
    server_name: Option<&str>,
    state: &Mutex<State>,
) {
    let connection = {
        let mut state = state.lock().unwrap();
        state.connections += 1;
        state.connections
    };
    while let Ok(length) = stream.read_u16().await {
        let mut question = vec![0; usize::from(length)];
        if stream.read_exact(&mut question).await.is_err() {
            return;
        }
        let Some((bytes, close)) = answer(&question, over, connection, server_name, state) else { continue };
        let length = u16::try_from(bytes.len()).expect("an answer fits").to_be_bytes();
        let sent = stream.write_all(&[&length[..], &bytes].concat()).await;
        if sent.is_err() || stream.flush().await.is_err() || close {
            return;
        }
    }
}

/// The bytes of the answer, and whether the connection ends with them. `None` is silence.
fn answer(
    bytes: &[u8],
    over: &'static str,
    connection: usize,
    server_name: Option<&str>,
    state: &Mutex<State>,
) -> Option<(Vec<u8>, bool)> {
    let question = Message::from_vec(bytes).ok()?;
    let query = question.queries.first()?.clone();
    let name = query.name().to_ascii().trim_end_matches('.').to_owned();
    let chosen = {
        let mut state = state.lock().unwrap();
        let payload = question.edns.as_ref().map(Edns::max_payload);
        state.asked.push(Asked {
            name: name.clone(),
            record: query.query_type().to_string(),
            over,
            connection,
            payload,
            server_name: server_name.map(str::to_owned),
        });
        let record = query.query_type().to_string();
        let before = state.asked.iter().filter(|q| q.name == name && q.record == record).count() - 1;
        match state.answers.get(&name.to_ascii_lowercase()).unwrap_or(&state.default).clone() {
            Answer::LostOnce(_) if before == 0 => return None,
            chosen => chosen,
        }
    };
    let mut message = Message::response(question.id, question.metadata.op_code);
    message.metadata.recursion_desired = question.metadata.recursion_desired;
    message.metadata.recursion_available = true;
    message.add_query(query.clone());
    if question.edns.is_some() {
        message.set_edns(Edns::new());
    }
    let close = matches!(chosen, Answer::ThenClose(_));
    let bytes = render(&chosen, message, query.name(), query.query_type(), over)?;
    Some((bytes, close))
}

fn render(
    answer: &Answer,
    mut message: Message,
    name: &Name,
    record: RecordType,
    over: &str,
) -> Option<Vec<u8>> {
    let has_edns = message.edns.is_some();
    match answer {
        Answer::Addresses(addresses) => add_addresses(&mut message, name, record, addresses),
        Answer::Texts(texts) if record == RecordType::TXT => {
            for text in texts {
                let data = RData::TXT(TXT::new(vec![text.clone()]));
                message.add_answer(Record::from_rdata(name.clone(), TTL, data));
            }
        }
        Answer::Strings(records) if record == RecordType::TXT => {
            for strings in records {
                let data = RData::TXT(TXT::new(strings.clone()));
                message.add_answer(Record::from_rdata(name.clone(), TTL, data));
            }
        }
        Answer::Files(folder) => {
            let file = folder.join(name.to_ascii().trim_end_matches('.'));
            let answer = match std::fs::read_to_string(file) {
                Ok(text) => Answer::Texts(text.lines().map(str::to_owned).collect()),
                Err(_) => Answer::NxDomain,
            };
            return render(&answer, message, name, record, over);
        }
        Answer::Caa(records) if record == RecordType::CAA => {
            for (critical, tag, value) in records {
                let mut data = CAA::new_issue(*critical, None, Vec::new());
                data.tag.clone_from(tag);
                data.value = value.clone().into_bytes();
                message.add_answer(Record::from_rdata(name.clone(), TTL, RData::CAA(data)));
            }
        }
        Answer::Texts(_) | Answer::Strings(_) | Answer::Caa(_) => {}
        Answer::Chain(chain, end) => {
            let mut owner = name.clone();
            for target in chain {
                let target = Name::from_ascii(format!("{target}.")).expect("a name");
                message.add_answer(Record::from_rdata(owner, TTL, RData::CNAME(CNAME(target.clone()))));
                owner = target;
            }
            return render(end, message, &owner, record, over);
        }
        Answer::ByRecord(answers, other) => {
            let answer = answers.iter().find(|(kind, _)| *kind == record).map_or(&**other, |(_, a)| a);
            return render(answer, message, name, record, over);
        }
        Answer::Alias(chain, addresses) => {
            let mut owner = name.clone();
            for target in chain {
                let target = Name::from_ascii(format!("{target}.")).expect("a name");
                message.add_answer(Record::from_rdata(owner, TTL, RData::CNAME(CNAME(target.clone()))));
                owner = target;
            }
            add_addresses(&mut message, &owner, record, addresses);
        }
        Answer::NxDomain => message.metadata.response_code = ResponseCode::NXDomain,
        Answer::ServFail => message.metadata.response_code = ResponseCode::ServFail,
        Answer::ServFailBecause(code, text) => {
            message.metadata.response_code = ResponseCode::ServFail;
            let data = [&code.to_be_bytes()[..], text.as_bytes()].concat();
            let mut edns = Edns::new();
            edns.options_mut().insert(EdnsOption::Unknown(15, data));
            message.set_edns(edns);
        }
        Answer::Refused => message.metadata.response_code = ResponseCode::Refused,
        Answer::Silence => return None,
        Answer::Truncated(_) if over == "udp" => message.metadata.truncation = true,
        Answer::WrongId(inner) => {
            let mut bytes = render(inner, message, name, record, over)?;
            bytes[1] ^= 0xff;
            return Some(bytes);
        }
        Answer::Garbage => {
            let id = message.id.to_be_bytes();
            return Some([&id[..], &[0x80, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 0, 0xc0, 0xc0]].concat());
        }
        Answer::NoEdns(_) if has_edns => {
            message.metadata.response_code = ResponseCode::FormErr;
            message.edns = None;
        }
        Answer::Families { a, .. } if record == RecordType::A => {
            return render(a, message, name, record, over);
        }
        Answer::Families { aaaa: inner, .. }
        | Answer::LostOnce(inner)
        | Answer::Truncated(inner)
        | Answer::NoEdns(inner)
        | Answer::ThenClose(inner) => return render(inner, message, name, record, over),
    }
    Some(message.to_vec().expect("an answer can be written"))
}

fn add_addresses(message: &mut Message, owner: &Name, record: RecordType, addresses: &[IpAddr]) {
    for address in addresses {
        let data = match address {
            IpAddr::V4(four) if record == RecordType::A => RData::A(A(*four)),
            IpAddr::V6(six) if record == RecordType::AAAA => RData::AAAA(AAAA(*six)),
            _ => continue,
        };
        message.add_answer(Record::from_rdata(owner.clone(), TTL, data));
    }
}

const TTL: u32 = 300;
/// For [`Answer::ByRecord`].
pub const CAA_RECORD: RecordType = RecordType::CAA;
