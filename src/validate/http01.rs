//! HTTP-01, RFC 8555 8.3: find the addresses, vet them, ask, follow redirects, compare. Every hop is vetted anew, so that
//! neither a name server nor a web server can lead us to where we do not go. Knows what may be followed and what an
//! answer means; `fetch` knows how to ask, `find` and `target` what may be dialled.

use std::collections::BTreeSet;

use acme::challenge::{KeyAuthorization, Token, http01_path};
use acme::failure::{Evidence, FIRST_BYTES, Phase, Reason};
use acme::identifier::Identifier;
use acme::problem::plain;
use hyper::StatusCode;
use tokio::time::Instant;

use super::fetch::{Answer, MAX_BODY, fetch, show};
use super::find::addresses;
use super::url::Url;
use super::{Stop, Validator};
use crate::resolver::Pin;

/// One attempt, with what it does in `evidence`.
pub(super) async fn attempt(
    validator: &Validator,
    identifier: &Identifier,
    token: &Token,
    expected: &KeyAuthorization,
    evidence: &mut Evidence,
) -> Result<(), Stop> {
    let settings = &validator.settings;
    let deadline = Instant::now() + settings.total_timeout;
    let mut url =
        Url { is_https: false, host: identifier.clone(), port: settings.http_port, path: http01_path(token) };
    let mut seen = Vec::new();
    // The last pin that we came through.
    let mut pin = None;
    loop {
        pin = check_pin(validator, &url, pin)?;
        let addresses = addresses(validator, &url.host, || show(&url), deadline, evidence).await?;
        let hop = deadline.min(Instant::now() + settings.hop_timeout);
        let answer = fetch(&url, &addresses, hop, &validator.tls, &mut evidence.dials).await?;
        if !answer.is_redirect() {
            return judge(&url, &answer, token, expected);
        }
        let refuse = |why: String| Stop::new(Phase::Http, Reason::Redirect, format!("{}: {why}", show(&url)));
        let next = url.join(&answer.location).map_err(refuse)?;
        seen.push(url.clone());
        check_redirect(validator, &next, &seen).map_err(refuse)?;
        url = next;
    }
}

/// Whoever answers for a pinned name may redirect to other pinned names, within the pin's zone, and to the pin's own
/// addresses. Elsewhere the address would come from a name server, or from the redirect itself, and the pin was made to
/// do without either.
fn check_pin<'a>(
    validator: &'a Validator,
    url: &Url,
    before: Option<Pin<'a>>,
) -> Result<Option<Pin<'a>>, Stop> {
    let name = match (&url.host, before) {
        (Identifier::Dns(name), _) => name,
        (Identifier::Ip(address), Some(pin)) if !pin.addresses.contains(address) => {
            let detail = format!(
                "the redirect to {} leads to an address that is none of the pin {}; redirect to a pinned name, or to one \
                 of its addresses",
                show(url),
                pin.pattern
            );
            return Err(Stop::new(Phase::Target, Reason::Redirect, detail));
        }
        (Identifier::Ip(_), before) => return Ok(before),
    };
    match (validator.resolver.pin(name), before) {
        (Some(pin), _) => Ok(Some(pin)),
        (None, Some(pin)) if !pin.covers_zone_of(name) => {
            let detail = format!(
                "the redirect to {} leaves the zone of the pin {}; pin {name} too, or do not redirect there",
                show(url),
                pin.pattern
            );
            Err(Stop::new(Phase::Target, Reason::Redirect, detail))
        }
        (None, before) => Ok(before),
    }
}

/// Whether a redirect is followed, RFC 8555 8.3 and 10.4: `seen` holds every URL until now.
fn check_redirect(validator: &Validator, next: &Url, seen: &[Url]) -> Result<(), String> {
    let settings = &validator.settings;
    if seen.len() > MAX_REDIRECTS {
        return Err(format!("more than {MAX_REDIRECTS} redirects"));
    }
    if seen.contains(next) {
        return Err(format!("it redirects in a circle, back to {}", show(next)));
    }
    let ports = BTreeSet::from([80, 443, settings.http_port, settings.tls_alpn_port]);
    if !ports.contains(&next.port) {
        return Err(format!("it redirects to port {}; only {} are followed", next.port, listed(&ports)));
    }
    Ok(())
}

/// `80, 443 and 5002`.
fn listed(ports: &BTreeSet<u16>) -> String {
    let all: Vec<String> = ports.iter().map(u16::to_string).collect();
    match all.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} and {last}", others.join(", ")),
        _ => all.concat(),
    }
}

/// What a last answer is worth.
fn judge(url: &Url, answer: &Answer, token: &Token, expected: &KeyAuthorization) -> Result<(), Stop> {
    let is_expected = answer.status == StatusCode::OK && !answer.is_cut && expected.is_body(&answer.body);
    if is_expected {
        return Ok(());
    }
    let (reason, what) = if answer.status != StatusCode::OK {
        (Reason::Status, format!("answered {}, not 200", answer.status.as_u16()))
    } else {
        (Reason::Mismatch, format!("answered 200 with {}", describe(answer, token)))
    };
    let place = answer.address.map(|address| format!(" at {address}")).unwrap_or_default();
    Err(Stop {
        phase: Phase::Http,
        reason,
        detail: format!("{}{place} {what} ({} ms)", show(url), answer.millis),
        first_bytes: first_bytes(&answer.body, token),
    })
}

/// What was in the body instead, without repeating it.
fn describe(answer: &Answer, token: &Token) -> String {
    let ours = format!("{}.", token.as_str());
    if answer.is_cut {
        format!("more than {MAX_BODY} octets, which is no key authorization")
    } else if answer.body.trim_ascii().is_empty() {
        "an empty body instead of the key authorization".to_owned()
    } else if answer.body.starts_with(ours.as_bytes()) {
        "the right token, but not with the thumbprint of this account's key: another account or client answers there"
            .to_owned()
    } else {
        "a body that is not the key authorization of this challenge".to_owned()
    }
}

/// The beginning of a body, with a mark for what is not UTF-8 and a blank for what would act on a terminal; nothing, when
/// nothing can be shown. A key authorization in it, ours or another account's, is not repeated.
fn first_bytes(body: &[u8], token: &Token) -> Option<String> {
    let text = plain(&String::from_utf8_lossy(body), usize::MAX);
    // The body may have been cut in the middle of a character.
    let text = text.trim().trim_end_matches(char::REPLACEMENT_CHARACTER);
    if text.trim_matches(|c: char| c.is_whitespace() || c == char::REPLACEMENT_CHARACTER).is_empty() {
        return None;
    }
    let secret = format!("{}.", token.as_str());
    let mut parts = text.split(&secret);
    let mut harmless = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        harmless.push_str(&secret);
        harmless.push('…');
        harmless
            .push_str(part.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_'));
    }
    Some(plain(&harmless, FIRST_BYTES))
}

/// How many redirects are followed.
const MAX_REDIRECTS: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_of_a_body_is_text_and_never_a_key_authorization() {
        let token = Token::from_row("tokentoken".to_owned());
        let shown = |body: &[u8]| first_bytes(body, &token);
        assert_eq!(shown(b"<html>\r\n<h1>It works</h1>").as_deref(), Some("<html>  <h1>It works</h1>"));
        assert_eq!(shown(b"tokentoken.thumb_print-1 and more").as_deref(), Some("tokentoken.… and more"));
        assert_eq!(shown(b"x tokentoken.A tokentoken.B").as_deref(), Some("x tokentoken.… tokentoken.…"));
        assert_eq!(shown("é".repeat(100).as_bytes()).unwrap().chars().count(), FIRST_BYTES + 1);
        assert_eq!(shown(&"é".as_bytes()[..1]), None);
        for nothing in [&b"\x16\x03\x01"[..], b"\xff\xfe", b"\0 \xff", b" \n ", b""] {
            assert_eq!(shown(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn a_body_that_is_not_all_text_still_shows_how_it_began() {
        let token = Token::from_row("tokentoken".to_owned());
        let shown = |body: &[u8]| first_bytes(body, &token);
        assert_eq!(shown(b"\x1b[1;31m404\x1b[0m not here").as_deref(), Some("[1;31m404 [0m not here"));
        assert_eq!(shown(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR").as_deref(), Some("\u{fffd}PNG        IHDR"));
        assert_eq!(shown("Grüß".as_bytes()).as_deref(), Some("Grüß"));
        assert_eq!(shown(b"Gr\xfc\xdfe").as_deref(), Some("Gr\u{fffd}\u{fffd}e"), "Latin-1");
        assert_eq!(shown(b"\xff tokentoken.thumb\0").as_deref(), Some("\u{fffd} tokentoken.…"));
    }
}
