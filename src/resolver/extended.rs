//! Extended DNS Errors, RFC 8914: a server that could not answer says why, and the operator should read it.

use acme::problem::plain;
use hickory_resolver::proto::op::Message;
use hickory_resolver::proto::rr::rdata::opt::{EdnsCode, EdnsOption};

/// Why the server could not, in words; its own text is made harmless.
pub(super) fn error(message: &Message) -> Option<String> {
    let option = message.edns.as_ref()?.option(EdnsCode::Unknown(EXTENDED_DNS_ERROR))?;
    let EdnsOption::Unknown(_, data) = option else { return None };
    let (code, text) = data.split_first_chunk::<2>()?;
    let code = u16::from_be_bytes(*code);
    let meaning = EXTENDED_ERRORS.get(usize::from(code)).copied().unwrap_or("not registered");
    let text = plain(String::from_utf8_lossy(text).trim(), 120);
    Some(match text.as_str() {
        "" => format!("it says: {meaning}"),
        text => format!("it says: {meaning}, {text}"),
    })
}

/// The EDNS option code of RFC 8914.
const EXTENDED_DNS_ERROR: u16 = 15;
/// RFC 8914 4, by code.
const EXTENDED_ERRORS: [&str; 25] = [
    "other error",
    "unsupported DNSKEY algorithm",
    "unsupported DS digest type",
    "stale answer",
    "forged answer",
    "DNSSEC indeterminate",
    "DNSSEC bogus",
    "signature expired",
    "signature not yet valid",
    "DNSKEY missing",
    "RRSIGs missing",
    "no zone key bit set",
    "NSEC missing",
    "cached error",
    "not ready",
    "blocked",
    "censored",
    "filtered",
    "prohibited",
    "stale NXDOMAIN answer",
    "not authoritative",
    "not supported",
    "no reachable authority",
    "network error",
    "invalid data",
];

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_resolver::proto::op::{Edns, OpCode};

    fn told(data: &[u8]) -> Option<String> {
        let mut edns = Edns::new();
        edns.options_mut().insert(EdnsOption::Unknown(EXTENDED_DNS_ERROR, data.to_vec()));
        let mut message = Message::response(1, OpCode::Query);
        message.set_edns(edns);
        error(&message)
    }

    #[test]
    fn an_extended_error_is_told_in_words_and_made_harmless() {
        assert_eq!(
            told(b"\0\x16at delegation \x1b[31mlan\"").as_deref(),
            Some("it says: no reachable authority, at delegation  [31mlan'")
        );
        assert_eq!(told(b"\0\x06").as_deref(), Some("it says: DNSSEC bogus"));
        assert_eq!(told(b"\xff\xff\xff").as_deref(), Some("it says: not registered, \u{fffd}"));
        assert_eq!(told(b"\0"), None);
        assert_eq!(error(&Message::response(1, OpCode::Query)), None);
        assert!(told(&[0; 1000]).unwrap().len() < 200);
    }
}
