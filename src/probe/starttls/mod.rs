//! What is said before TLS where a protocol begins in the clear. Each dialogue is the shortest that its standard knows,
//! every answer is bounded, and not one octet is read beyond the answer: what a server sends before its time becomes a
//! part of the handshake, and spoils it.

mod binary;
mod text;

use std::io;

use acme::problem::plain;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::target::{Starttls, Target};

/// Why TLS cannot begin.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The protocol is spoken there, and TLS not offered; in the server's words, made harmless.
    Refused(String),
    /// Something else is spoken there; how its answer began, unless it hung up without a word.
    Stranger(Option<String>),
}

/// Asks for TLS.
pub(super) async fn ask(protocol: Starttls, stream: &mut TcpStream, target: &Target) -> Result<(), Stop> {
    let mut talk = Talk { stream, heard: Vec::new(), left: LIMIT };
    match protocol {
        Starttls::Smtp => text::smtp(&mut talk).await,
        Starttls::Imap => text::imap(&mut talk).await,
        Starttls::Pop3 => text::pop3(&mut talk).await,
        Starttls::Xmpp => text::xmpp(&mut talk, &target.covered().to_string(), target.port).await,
        Starttls::Ldap => binary::ldap(&mut talk).await,
        Starttls::Postgres => binary::postgres(&mut talk).await,
        Starttls::Mysql => binary::mysql(&mut talk).await,
    }
}

/// A dialogue, with what was heard last.
struct Talk<'s> {
    stream: &'s mut TcpStream,
    heard: Vec<u8>,
    left: usize,
}

impl Talk<'_> {
    async fn say(&mut self, octets: &[u8]) -> Result<(), Stop> {
        self.heard.clear();
        self.stream.write_all(octets).await.map_err(|_| self.stranger())
    }

    /// Exactly so many octets more.
    async fn octets(&mut self, count: usize) -> Result<Vec<u8>, Stop> {
        if count > self.left {
            return Err(self.stranger());
        }
        self.left -= count;
        let mut octets = vec![0; count];
        match self.stream.read_exact(&mut octets).await {
            Ok(_) => {
                self.heard.extend(&octets);
                Ok(octets)
            }
            Err(error) => Err(self.ended(&error)),
        }
    }

    /// A line without its end, and whatever it is made of.
    async fn line(&mut self) -> Result<String, Stop> {
        let mut line = Vec::new();
        loop {
            match self.octets(1).await?[0] {
                b'\n' => break,
                octet if line.len() < LINE => line.push(octet),
                _ => return Err(self.stranger()),
            }
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(String::from_utf8_lossy(&line).into_owned())
    }

    /// What was heard is not what the protocol knows.
    fn stranger(&self) -> Stop {
        let began = &self.heard[..self.heard.len().min(SHOWN)];
        Stop::Stranger((!began.is_empty()).then(|| plain(&String::from_utf8_lossy(began), SHOWN)))
    }

    fn ended(&self, _: &io::Error) -> Stop {
        self.stranger()
    }
}

fn refused(words: &str) -> Stop {
    Stop::Refused(plain(words, 120))
}

/// How much a server may say before TLS.
const LIMIT: usize = 32 * 1024;
/// How long one line may be.
const LINE: usize = 4 * 1024;
const SHOWN: usize = 64;
