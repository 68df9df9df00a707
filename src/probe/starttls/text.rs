//! The protocols of lines, and XMPP's of elements.

use super::{Stop, Talk, refused};

/// RFC 3207: greeting, EHLO, STARTTLS.
pub(super) async fn smtp(talk: &mut Talk<'_>) -> Result<(), Stop> {
    let greeting = smtp_reply(talk).await?;
    if greeting.code != 220 {
        return Err(refused(&greeting.text()));
    }
    talk.say(b"EHLO probe.invalid\r\n").await?;
    let offer = smtp_reply(talk).await?;
    if offer.code != 250 {
        return Err(refused(&offer.text()));
    }
    if !offer.lines.iter().any(|line| line.trim().eq_ignore_ascii_case("STARTTLS")) {
        return Err(refused("EHLO brings no STARTTLS"));
    }
    talk.say(b"STARTTLS\r\n").await?;
    let answer = smtp_reply(talk).await?;
    if answer.code == 220 { Ok(()) } else { Err(refused(&answer.text())) }
}

struct SmtpReply {
    code: u16,
    lines: Vec<String>,
}

impl SmtpReply {
    fn text(&self) -> String {
        format!("{} {}", self.code, self.lines.join(" "))
    }
}

/// RFC 5321 4.2: lines `250-…`, the last `250 …`.
async fn smtp_reply(talk: &mut Talk<'_>) -> Result<SmtpReply, Stop> {
    let mut lines = Vec::new();
    loop {
        let line = talk.line().await?;
        let code = line.get(..3).filter(|code| code.bytes().all(|b| b.is_ascii_digit()));
        let Some(code) = code.and_then(|code| code.parse().ok()) else { return Err(talk.stranger()) };
        lines.push(line.get(4..).unwrap_or_default().to_owned());
        match line.as_bytes().get(3) {
            None | Some(b' ') => return Ok(SmtpReply { code, lines }),
            Some(b'-') => {}
            Some(_) => return Err(talk.stranger()),
        }
    }
}

/// RFC 9051 6.2.1: greeting, CAPABILITY, STARTTLS.
pub(super) async fn imap(talk: &mut Talk<'_>) -> Result<(), Stop> {
    let greeting = talk.line().await?;
    if !greeting.starts_with("* ") {
        return Err(talk.stranger());
    }
    // PREAUTH leaves no place for STARTTLS, BYE none for anything.
    if !greeting.to_ascii_uppercase().starts_with("* OK") {
        return Err(refused(&greeting));
    }
    talk.say(b"a1 CAPABILITY\r\n").await?;
    let mut offered = false;
    loop {
        let line = talk.line().await?;
        let upper = line.to_ascii_uppercase();
        if upper.starts_with("* ") {
            let mut words = upper.split_whitespace().skip(1);
            offered |= words.next() == Some("CAPABILITY") && words.any(|word| word == "STARTTLS");
        } else if upper.starts_with("A1 ") {
            break;
        } else {
            return Err(talk.stranger());
        }
    }
    if !offered {
        return Err(refused("CAPABILITY brings no STARTTLS"));
    }
    talk.say(b"a2 STARTTLS\r\n").await?;
    loop {
        let line = talk.line().await?;
        let upper = line.to_ascii_uppercase();
        match () {
            () if upper.starts_with("A2 OK") => return Ok(()),
            () if upper.starts_with("A2 ") => return Err(refused(&line)),
            () if upper.starts_with("* ") => {}
            () => return Err(talk.stranger()),
        }
    }
}

/// RFC 2595 4: greeting, STLS.
pub(super) async fn pop3(talk: &mut Talk<'_>) -> Result<(), Stop> {
    let greeting = talk.line().await?;
    if greeting.starts_with("-ERR") {
        return Err(refused(&greeting));
    }
    if !greeting.starts_with("+OK") {
        return Err(talk.stranger());
    }
    talk.say(b"STLS\r\n").await?;
    let answer = talk.line().await?;
    match () {
        () if answer.starts_with("+OK") => Ok(()),
        () if answer.starts_with("-ERR") => Err(refused(&answer)),
        () => Err(talk.stranger()),
    }
}

/// RFC 6120 5.4: streams are opened, features read, `<starttls/>` is asked for and followed by `<proceed/>`. Servers
/// talk to each other at 5269 in another namespace.
pub(super) async fn xmpp(talk: &mut Talk<'_>, host: &str, port: u16) -> Result<(), Stop> {
    let namespace = if port == 5269 { "jabber:server" } else { "jabber:client" };
    let stream = format!(
        "<?xml version='1.0'?><stream:stream to='{host}' xmlns='{namespace}' \
         xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"
    );
    talk.say(stream.as_bytes()).await?;
    let mut opened = false;
    let mut offered = false;
    loop {
        let tag = tag(talk).await?;
        match tag.name.as_str() {
            "stream:stream" if !opened => opened = true,
            _ if !opened => return Err(talk.stranger()),
            "starttls" => offered |= tag.text.contains(TLS),
            // An element that ends at once, `<stream:features/>`, has nothing in it.
            "stream:features" if !tag.text.ends_with('/') => {}
            "/stream:features" | "stream:features" => break,
            "stream:error" | "/stream:stream" => return Err(refused(&last_words(talk))),
            _ => {}
        }
    }
    if !offered {
        return Err(refused("its features bring no starttls"));
    }
    talk.say(format!("<starttls xmlns='{TLS}'/>").as_bytes()).await?;
    let answer = tag(talk).await?;
    match answer.name.as_str() {
        "proceed" if answer.text.contains(TLS) => Ok(()),
        "failure" | "stream:error" => Err(refused(&last_words(talk))),
        _ => Err(talk.stranger()),
    }
}

struct Tag {
    name: String,
    text: String,
}

/// The next tag: what stands between `<` and `>`, declarations and text passed over.
async fn tag(talk: &mut Talk<'_>) -> Result<Tag, Stop> {
    loop {
        let mut octets = Vec::new();
        loop {
            match (talk.octets(1).await?[0], octets.is_empty()) {
                (b'<', true) => octets.push(b'<'),
                // Not XML, whatever it is.
                (other, true) if talk.heard.len() <= 1 && !other.is_ascii_whitespace() => {
                    return Err(talk.stranger());
                }
                (_, true) => {}
                (b'>', false) => break,
                (other, false) => octets.push(other),
            }
        }
        let text = String::from_utf8_lossy(&octets[1..]).into_owned();
        if text.starts_with('?') || text.starts_with('!') {
            continue;
        }
        let name = text.split(|c: char| c.is_whitespace()).next().unwrap_or_default();
        let name = if name.len() > 1 { name.trim_end_matches('/') } else { name };
        return Ok(Tag { name: name.to_owned(), text });
    }
}

fn last_words(talk: &Talk<'_>) -> String {
    let from = talk.heard.len().saturating_sub(120);
    String::from_utf8_lossy(&talk.heard[from..]).into_owned()
}

const TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";
