//! Challenges: their types, tokens, and what each expects to see and where (RFC 8555 8.1, 8.3, 8.4; RFC 8737 3;
//! draft-ietf-acme-dns-account-label-03 3; draft-ietf-acme-dns-persist-02 3.1).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::identifier::Identifier;
use crate::jwk::sha256;

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
    /// draft-ietf-acme-dns-account-label: dns-01 under a label of the account's own.
    #[serde(rename = "dns-account-01")]
    DnsAccount01,
    /// draft-ietf-acme-dns-persist: a record that stays and names the account. The one type without a token.
    #[serde(rename = "dns-persist-01")]
    DnsPersist01,
}

impl Type {
    /// Every type, in the order in which they are offered: some clients take the first.
    pub const ALL: &'static [Type] =
        &[Type::Http01, Type::Dns01, Type::TlsAlpn01, Type::DnsAccount01, Type::DnsPersist01];
    /// The types of RFCs, which are offered unless the operator says otherwise. Drafts change, and some clients stop at
    /// a challenge without a token.
    pub const USUAL: &'static [Type] = &[Type::Http01, Type::Dns01, Type::TlsAlpn01];

    /// The registered word.
    pub fn as_str(self) -> &'static str {
        match self {
            Type::Http01 => "http-01",
            Type::Dns01 => "dns-01",
            Type::TlsAlpn01 => "tls-alpn-01",
            Type::DnsAccount01 => "dns-account-01",
            Type::DnsPersist01 => "dns-persist-01",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|t| t.as_str() == word)
    }

    /// Whether this type can show control of `identifier`: a wildcard is shown by DNS alone (RFC 8555 7.1.3), an
    /// address never by DNS (RFC 8738 7). A name that leaves no room for the label before it has no such record.
    pub fn can_show(self, identifier: &Identifier) -> bool {
        match (self.dns_label_length(), identifier) {
            (None, Identifier::Dns(name)) => !name.is_wildcard(),
            (None, Identifier::Ip(_)) => true,
            (Some(label), Identifier::Dns(name)) => label + name.base().len() <= LONGEST_NAME,
            (Some(_), Identifier::Ip(_)) => false,
        }
    }

    /// Whether a client needs the token to meet a challenge of this type.
    pub fn has_token(self) -> bool {
        self != Type::DnsPersist01
    }

    /// How many octets stand before the name where a type looks into DNS, dots included.
    fn dns_label_length(self) -> Option<usize> {
        match self {
            Type::Http01 | Type::TlsAlpn01 => None,
            Type::Dns01 => Some("_acme-challenge.".len()),
            Type::DnsAccount01 => Some("_0123456789abcdef._acme-challenge.".len()),
            Type::DnsPersist01 => Some("_validation-persist.".len()),
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

    /// Its SHA-256: what the certificate of TLS-ALPN-01 holds (RFC 8737 3).
    pub fn digest(&self) -> [u8; 32] {
        sha256(self.0.as_bytes())
    }

    /// The digest as a TXT record holds it, RFC 8555 8.4.
    pub fn txt(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.digest())
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

/// Where the TXT record of dns-01 is looked for, RFC 8555 8.4; `base` is the name without `*.`.
pub fn dns01_name(base: &str) -> String {
    format!("_acme-challenge.{base}")
}

/// Where that of dns-account-01 is, draft-ietf-acme-dns-account-label-03 3: each account has a label of its own, so that
/// several clients can hold one name at the same time.
pub fn dns_account01_name(base: &str, account_url: &str) -> String {
    let digest = sha256(account_url.as_bytes());
    format!("_{}._acme-challenge.{base}", base32(&digest[..10]))
}

/// RFC 4648 6 in lower case, of octets that need no padding.
fn base32(octets: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut text = String::with_capacity(octets.len() * 8 / 5);
    for five in octets.chunks(5) {
        let bits = five.iter().fold(0_u64, |bits, octet| bits << 8 | u64::from(*octet));
        for place in (0..8).rev() {
            let digit = bits >> (place * 5) & 31;
            text.push(ALPHABET[usize::from(digit.to_le_bytes()[0])].into());
        }
    }
    text
}

/// How long a name in DNS may be as text, RFC 1035 2.3.4.
const LONGEST_NAME: usize = 253;

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
    fn a_name_that_leaves_no_room_for_the_label_is_not_shown_by_dns() {
        let name = |length: usize| {
            let mut text = "abcdefghi.".repeat(25);
            text.truncate(length);
            Identifier::dns(&text).unwrap()
        };
        assert!(Type::Dns01.can_show(&name(237)) && !Type::Dns01.can_show(&name(238)));
        assert!(Type::DnsPersist01.can_show(&name(233)) && !Type::DnsPersist01.can_show(&name(234)));
        assert!(Type::DnsAccount01.can_show(&name(219)) && !Type::DnsAccount01.can_show(&name(221)));
        assert!(Type::Http01.can_show(&name(249)));
    }

    #[test]
    fn the_label_of_an_account_is_that_of_the_draft() {
        // The example of draft-ietf-acme-dns-account-label.
        let name = dns_account01_name("example.org", "https://example.com/acme/acct/ExampleAccount");
        assert_eq!(name, "_ujmmovf2vn55tgye._acme-challenge.example.org");
    }

    #[test]
    fn the_txt_record_of_a_key_authorization_is_its_digest() {
        // The token of RFC 8555 8.4 with the thumbprint of RFC 7638 3.1; the digest by openssl dgst -sha256.
        let token = Token::from_row("evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA".to_owned());
        let authorization = token.key_authorization("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
        assert_eq!(authorization.txt(), "ZTRx1Ckl1-tM05o5zaizTTA0yUy5AGereMgSNWC6Ll8");
        assert_eq!(dns01_name("a.lan"), "_acme-challenge.a.lan");
    }

    #[test]
    fn a_key_authorization_is_not_printed() {
        let authorization = Token::mint([7; TOKEN_RANDOM]).key_authorization("thumb");
        assert!(!format!("{authorization:?}").contains("thumb"));
    }
}
