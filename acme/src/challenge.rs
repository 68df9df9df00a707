//! Challenges: their types, tokens, and what each expects to see (RFC 8555 8.1, 8.3, 8.4; RFC 8737).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::identifier::Identifier;

/// How many random octets a token is made of; RFC 8555 8.1 asks for at least 128 bits.
pub const TOKEN_RANDOM: usize = 16;

/// A challenge type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Type {
    /// RFC 8555 8.3.
    #[serde(rename = "http-01")]
    Http01,
    /// RFC 8555 8.4.
    #[serde(rename = "dns-01")]
    Dns01,
    /// RFC 8737.
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
}

impl Type {
    /// Every type, in the order in which they are offered: some clients take the first.
    pub const ALL: &'static [Type] = &[Type::Http01, Type::Dns01, Type::TlsAlpn01];

    /// The registered word.
    pub fn as_str(self) -> &'static str {
        match self {
            Type::Http01 => "http-01",
            Type::Dns01 => "dns-01",
            Type::TlsAlpn01 => "tls-alpn-01",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|t| t.as_str() == word)
    }

    /// Whether this type can show control of `identifier`: a wildcard is shown by DNS alone (RFC 8555 7.1.3), an
    /// address never by DNS (RFC 8738 7).
    pub fn can_show(self, identifier: &Identifier) -> bool {
        match (self, identifier) {
            (Type::Dns01, Identifier::Ip(_)) => false,
            (Type::Http01 | Type::TlsAlpn01, Identifier::Dns(name)) => !name.is_wildcard(),
            _ => true,
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A token, RFC 8555 8.1. It is public; the key authorization that is made from it is not kept or logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

impl Token {
    /// A token from fresh random octets.
    pub fn mint(random: [u8; TOKEN_RANDOM]) -> Self {
        Self(URL_SAFE_NO_PAD.encode(random))
    }

    /// A token read back from its row.
    pub fn from_row(text: String) -> Self {
        Self(text)
    }

    /// The token as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key authorization for the account key with this RFC 7638 thumbprint.
    pub fn key_authorization(&self, thumbprint: &str) -> KeyAuthorization {
        KeyAuthorization(format!("{}.{thumbprint}", self.0))
    }
}

/// A key authorization, RFC 8555 8.1: what a client must show. Its `Debug` says nothing, so that no log holds it.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyAuthorization(String);

impl KeyAuthorization {
    /// The text that an HTTP-01 response must hold.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether an HTTP-01 body is this key authorization; white space at its end does not count (RFC 8555 8.3).
    pub fn is_body(&self, body: &[u8]) -> bool {
        body.trim_ascii_end() == self.0.as_bytes()
    }
}

impl fmt::Debug for KeyAuthorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyAuthorization(…)")
    }
}

/// Where an HTTP-01 response is looked for, RFC 8555 8.3.
pub fn http01_path(token: &Token) -> String {
    format!("/.well-known/acme-challenge/{}", token.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_may_end_in_white_space_and_nothing_else() {
        let authorization = Token::mint([7; TOKEN_RANDOM]).key_authorization("thumb");
        let text = authorization.as_str().to_owned();
        for good in [text.clone(), format!("{text}\r\n"), format!("{text} \t\n\n")] {
            assert!(authorization.is_body(good.as_bytes()), "{good:?}");
        }
        for bad in [String::new(), format!(" {text}"), format!("{text}x"), text[1..].to_owned()] {
            assert!(!authorization.is_body(bad.as_bytes()), "{bad:?}");
        }
    }

    #[test]
    fn a_wildcard_needs_dns01_and_an_address_cannot_use_it() {
        let wildcard = Identifier::dns("*.a.lan").unwrap();
        let address = Identifier::ip("10.0.0.1").unwrap();
        assert!(!Type::Http01.can_show(&wildcard) && Type::Dns01.can_show(&wildcard));
        assert!(Type::Http01.can_show(&address) && !Type::Dns01.can_show(&address));
    }

    #[test]
    fn a_key_authorization_is_not_printed() {
        let authorization = Token::mint([7; TOKEN_RANDOM]).key_authorization("thumb");
        assert!(!format!("{authorization:?}").contains("thumb"));
    }
}
