//! Mail, RFC 5321 and 5322: one message on one connection, handed to the operator's own mail server. STARTTLS (RFC 3207)
//! is not left out when a server does not offer it, a password (RFC 4954) is sent over TLS alone, and what a server said
//! before TLS does not count after it.

use std::time::Duration;

use acme::problem::plain;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::dial::{Stream, connect, secure};
use super::mail;
use super::message::Message;
use super::outcome::{Outcome, Receipt, Trouble};
use super::secret::Secret;
use super::settings::{Security, Smtp};
use super::{Form, Parts};

/// Sends one mail.
pub(super) async fn send(parts: &Parts, smtp: &Smtp, message: &Message, form: Form) -> Outcome {
    match timeout(PATIENCE, converse(parts, smtp, message, form)).await {
        Ok(Ok(receipt)) => Outcome::Delivered(receipt),
        Ok(Err(outcome)) => outcome,
        Err(_) => Outcome::retry(
            Trouble::Network,
            format!(
                "{}:{} took the connection and said too little within {} s; a server that waits for TLS needs \
                 security = \"tls\"",
                smtp.host,
                smtp.port,
                PATIENCE.as_secs()
            ),
        ),
    }
}

async fn converse(parts: &Parts, smtp: &Smtp, message: &Message, form: Form) -> Result<Receipt, Outcome> {
    let stream = connect(parts, &smtp.host, smtp.port).await?;
    let ours = match stream.local_addr().map(|address| address.ip().to_canonical()) {
        Ok(std::net::IpAddr::V6(six)) => format!("[IPv6:{six}]"),
        Ok(four) => format!("[{four}]"),
        Err(_) => "localhost".to_owned(),
    };
    let mut objection = None;
    let stream: Box<dyn Stream> = match smtp.security {
        Security::Tls => {
            let secured = secure(parts, &smtp.trust, &smtp.host, None, stream).await?;
            objection = secured.objection;
            secured.stream
        }
        Security::Plain | Security::StartTls => Box::new(stream),
    };
    let mut session = Session { stream, buffer: Vec::new() };
    let greeting = session.reply().await?.must(&[220], "the greeting")?;
    let mut offers = session.ask(&format!("EHLO {ours}"), &[250]).await?;
    if smtp.security == Security::StartTls {
        if !offers.offers("STARTTLS") {
            let why = format!("{} does not offer STARTTLS; nothing is sent without it", smtp.host);
            return Err(Outcome::retry(Trouble::Tls, why));
        }
        session.ask("STARTTLS", &[220]).await?;
        // What came along behind the answer was not said under TLS (CVE-2011-0411).
        if !session.buffer.is_empty() {
            return Err(Outcome::retry(Trouble::Tls, "the server speaks before TLS has begun"));
        }
        let secured = secure(parts, &smtp.trust, &smtp.host, None, session.stream).await?;
        objection = secured.objection;
        session = Session { stream: secured.stream, buffer: Vec::new() };
        offers = session.ask(&format!("EHLO {ours}"), &[250]).await?;
    }
    session.login(smtp, &offers).await?;
    session.ask(&format!("MAIL FROM:<{}>", smtp.from), &[250]).await?;
    let mut refused = None;
    for to in &smtp.to {
        // One wrong address does not keep it from the others.
        match session.ask(&format!("RCPT TO:<{to}>"), &[250, 251]).await {
            Ok(_) => {}
            Err(outcome @ Outcome::Refused { .. }) => refused = Some(outcome),
            Err(outcome) => return Err(outcome),
        }
        if let Some(outcome) = refused.take_if(|_| smtp.to.len() == 1) {
            return Err(outcome);
        }
    }
    session.ask("DATA", &[354]).await.map_err(|outcome| refused.unwrap_or(outcome))?;
    session.write(&mail::compose(&smtp.from, &smtp.to, message, form)).await?;
    let taken = session.ask("\r\n.", &[250]).await?;
    let _ = session.write("QUIT\r\n").await;
    Ok(Receipt { id: Some(taken.text), echoes_sequence: None, server: Some(greeting.text), objection })
}

struct Session {
    stream: Box<dyn Stream>,
    /// What was read behind the last answer.
    buffer: Vec<u8>,
}

/// An answer, RFC 5321 4.2.
struct Reply {
    code: u16,
    /// The text of its last line.
    text: String,
    /// The text of every line.
    lines: Vec<String>,
}

impl Reply {
    fn offers(&self, what: &str) -> bool {
        self.lines.iter().skip(1).any(|line| {
            line.get(..what.len()).is_some_and(|start| start.eq_ignore_ascii_case(what))
                && matches!(line.as_bytes().get(what.len()), None | Some(b' ' | b'='))
        })
    }

    /// The answer, if it is one of these; else what its code says (RFC 5321 4.2.1, RFC 4954 6).
    fn must(self, codes: &[u16], what: &str) -> Result<Self, Outcome> {
        if codes.contains(&self.code) {
            return Ok(self);
        }
        let why = format!("{what} was answered with {} {}", self.code, self.text);
        Err(match self.code {
            530 | 534 | 535 | 538 => Outcome::Broken { why },
            500..=599 => Outcome::Refused { why },
            _ => Outcome::retry(Trouble::Server, why),
        })
    }
}

impl Session {
    /// Says a line and waits for the answer. Errors name the command, and nothing that follows it.
    async fn ask(&mut self, line: &str, codes: &[u16]) -> Result<Reply, Outcome> {
        self.write(&format!("{line}\r\n")).await?;
        let verb = line.split([' ', ':']).next().unwrap_or_default().trim();
        self.reply().await?.must(codes, if verb == "." || verb.is_empty() { "the mail" } else { verb })
    }

    async fn write(&mut self, text: &str) -> Result<(), Outcome> {
        self.stream.write_all(text.as_bytes()).await.map_err(|error| broken(&error))?;
        self.stream.flush().await.map_err(|error| broken(&error))
    }

    async fn reply(&mut self) -> Result<Reply, Outcome> {
        let mut lines = Vec::new();
        let mut read = 0;
        loop {
            let line = self.line(&mut read).await?;
            let (code, rest) = line.split_at_checked(3).unwrap_or((&line, ""));
            let Ok(code) = code.parse::<u16>() else {
                return Err(Outcome::retry(
                    Trouble::Server,
                    format!("'{}' is no answer of SMTP", plain(&line, SAID)),
                ));
            };
            lines.push(plain(rest.get(1..).unwrap_or_default(), SAID));
            if !rest.starts_with('-') {
                return Ok(Reply { code, text: lines.last().cloned().unwrap_or_default(), lines });
            }
        }
    }

    async fn line(&mut self, read: &mut usize) -> Result<String, Outcome> {
        loop {
            if let Some(end) = self.buffer.iter().position(|octet| *octet == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            let mut some = [0; 1_024];
            let count = self.stream.read(&mut some).await.map_err(|error| broken(&error))?;
            *read += count;
            if count == 0 || *read > LONGEST {
                let why = if count == 0 {
                    "the server closed the connection"
                } else {
                    "the server's answer has no end"
                };
                return Err(Outcome::retry(Trouble::Network, why));
            }
            self.buffer.extend_from_slice(&some[..count]);
        }
    }

    /// Says who we are, when the server wants to know. A server that repeats a password is not quoted.
    async fn login(&mut self, smtp: &Smtp, offers: &Reply) -> Result<(), Outcome> {
        let Some((user, file)) = &smtp.login else { return Ok(()) };
        if smtp.security == Security::Plain {
            return Err(Outcome::Broken { why: "a password is sent over TLS alone".to_owned() });
        }
        let password = file.read().map_err(|why| Outcome::Broken { why })?;
        let done = self.authenticate(smtp, user, &password, offers).await;
        let strike = |why: String| Secret::strike(&why, std::slice::from_ref(&password));
        done.map_err(|outcome| match outcome {
            Outcome::Broken { why } => Outcome::Broken { why: strike(why) },
            Outcome::Refused { why } => Outcome::Refused { why: strike(why) },
            Outcome::Retry { trouble, after, why } => Outcome::Retry { trouble, after, why: strike(why) },
            delivered @ Outcome::Delivered(_) => delivered,
        })
    }

    /// PLAIN (RFC 4616), else LOGIN, which some servers offer alone.
    async fn authenticate(
        &mut self,
        smtp: &Smtp,
        user: &str,
        password: &Secret,
        offers: &Reply,
    ) -> Result<(), Outcome> {
        let ways: String = offers
            .lines
            .iter()
            .filter(|line| line.to_ascii_uppercase().starts_with("AUTH"))
            .cloned()
            .collect();
        let offered = |way: &str| ways.to_ascii_uppercase().split([' ', '=']).any(|word| word == way);
        if offered("PLAIN") {
            let pair = format!("\0{user}\0{}", password.expose());
            self.ask(&format!("AUTH PLAIN {}", STANDARD.encode(pair)), &[235]).await?;
        } else if offered("LOGIN") {
            self.ask("AUTH LOGIN", &[334]).await?;
            self.write(&format!("{}\r\n", STANDARD.encode(user))).await?;
            self.reply().await?.must(&[334], "the user")?;
            self.write(&format!("{}\r\n", STANDARD.encode(password.expose()))).await?;
            self.reply().await?.must(&[235], "the password")?;
        } else {
            let why = format!("{} takes no password by PLAIN or LOGIN", smtp.host);
            return Err(Outcome::Broken { why });
        }
        Ok(())
    }
}

fn broken(error: &std::io::Error) -> Outcome {
    Outcome::retry(Trouble::Network, format!("the connection to the mail server broke: {error}"))
}

/// How long one mail may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long one answer may be, in octets.
const LONGEST: usize = 16 * 1024;
/// How much of an answer is shown, in characters.
const SAID: usize = 120;
