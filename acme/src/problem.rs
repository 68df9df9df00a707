//! What a client is told when it is refused: RFC 8555 6.7 over RFC 7807. One row a type, so that no type can have a
//! name without a status.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

use crate::identifier::Wire;

/// A registered error type (RFC 8555 6.7, RFC 9773 7.4) with the status that it is sent with unless said otherwise.
macro_rules! kinds {
    ($($variant:ident $name:literal $status:literal $doc:literal;)*) => {
        /// The type of a problem: `urn:ietf:params:acme:error:` and a registered word.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Kind {
            $(#[doc = $doc] #[serde(rename = $name)] $variant,)*
        }

        impl Kind {
            /// Every type, for tests and for documentation.
            pub const ALL: &'static [Kind] = &[$(Kind::$variant),*];

            /// The registered word.
            pub fn name(self) -> &'static str {
                match self { $(Kind::$variant => $name),* }
            }

            /// The HTTP status that goes with the type.
            pub fn status(self) -> u16 {
                match self { $(Kind::$variant => $status),* }
            }
        }
    };
}

kinds! {
    AccountDoesNotExist     "accountDoesNotExist"     400 "The key or `kid` belongs to no account.";
    AlreadyReplaced         "alreadyReplaced"         409 "The certificate named by `replaces` has a successor.";
    AlreadyRevoked          "alreadyRevoked"          400 "The certificate was revoked before.";
    BadCsr                  "badCSR"                  400 "The certificate request breaks a rule.";
    BadNonce                "badNonce"                400 "The anti-replay nonce was not accepted.";
    BadPublicKey            "badPublicKey"            400 "The key is of a kind or size that is not accepted.";
    BadRevocationReason     "badRevocationReason"     400 "The reason code is not accepted.";
    BadSignatureAlgorithm   "badSignatureAlgorithm"   400 "The JWS algorithm is not accepted.";
    Caa                     "caa"                     403 "CAA records forbid the issuance.";
    Compound                "compound"                400 "Several problems of different types.";
    Connection              "connection"              400 "The validation target could not be reached.";
    Dns                     "dns"                     400 "A look-up failed during validation.";
    ExternalAccountRequired "externalAccountRequired" 403 "An external account binding is required.";
    IncorrectResponse       "incorrectResponse"       403 "The target answered, but not with what the challenge demands.";
    InvalidContact          "invalidContact"          400 "A contact URL is malformed.";
    InvalidProfile          "invalidProfile"          400 "The profile is not offered.";
    Malformed               "malformed"               400 "The request cannot be understood.";
    OrderNotReady           "orderNotReady"           403 "The order cannot be finalized in its state.";
    RateLimited             "rateLimited"             429 "A limit was met.";
    RejectedIdentifier      "rejectedIdentifier"      400 "Policy forbids the identifier.";
    ServerInternal          "serverInternal"          500 "The server could not do its work.";
    Tls                     "tls"                     400 "TLS failed during validation.";
    Unauthorized            "unauthorized"            403 "The client may not do this.";
    UnsupportedContact      "unsupportedContact"      400 "A contact URL has a scheme that is not supported.";
    UnsupportedIdentifier   "unsupportedIdentifier"   400 "The identifier type is not supported.";
    UserActionRequired      "userActionRequired"      403 "Somebody has to visit a page first.";
}

impl Kind {
    /// The whole URN.
    pub fn urn(self) -> String {
        format!("{URN}{}", self.name())
    }
}

/// A problem document. `detail` is one plain sentence that names the value and what is accepted instead; it holds no
/// double quote and no control character, because some clients read JSON with `sed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The type.
    #[serde(rename = "type", serialize_with = "urn", deserialize_with = "from_urn")]
    pub kind: Kind,
    /// The sentence.
    pub detail: String,
    /// The HTTP status, repeated in the body.
    pub status: u16,
    /// With `userActionRequired`: the page to visit (RFC 8555 7.3.3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// With `badSignatureAlgorithm`: what is accepted (RFC 8555 6.2).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub algorithms: Vec<String>,
    /// One problem an identifier, when there are several (RFC 8555 6.7.1).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subproblems: Vec<Subproblem>,
}

/// A part of a problem that concerns one identifier, RFC 8555 6.7.1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subproblem {
    /// The type.
    #[serde(rename = "type", serialize_with = "urn", deserialize_with = "from_urn")]
    pub kind: Kind,
    /// The sentence.
    pub detail: String,
    /// What it is about, as it was sent; cut to the length of a name.
    pub identifier: Wire,
}

impl Subproblem {
    /// What is wrong with an identifier.
    pub fn new(identifier: &Wire, problem: &Problem) -> Self {
        let identifier =
            Wire { kind: plain(&identifier.kind, 40), value: plain(&identifier.value, NAME_LIMIT) };
        Self { kind: problem.kind, detail: plain(&problem.detail, SUBDETAIL_LIMIT), identifier }
    }
}

impl Problem {
    /// A problem with the status of its type.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let detail = plain(&detail.into(), DETAIL_LIMIT);
        let status = kind.status();
        Self { kind, detail, status, instance: None, algorithms: Vec::new(), subproblems: Vec::new() }
    }

    /// The commonest type: what was sent cannot be understood.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(Kind::Malformed, detail)
    }

    /// The client may not do this.
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(Kind::Unauthorized, detail)
    }

    /// The certificate request breaks a rule.
    pub fn bad_csr(detail: impl Into<String>) -> Self {
        Self::new(Kind::BadCsr, detail)
    }

    /// The nonce was not accepted. The sentence is fixed: acme.sh looks for it.
    pub fn bad_nonce() -> Self {
        Self::new(
            Kind::BadNonce,
            "JWS has an invalid anti-replay nonce; use the one in this reply's Replay-Nonce",
        )
    }

    /// Nothing is there, RFC 8555 6.7: `malformed` with 404.
    pub fn not_found(what: &str) -> Self {
        Self::malformed(format!("{what} does not exist")).with_status(404)
    }

    /// The same problem with another status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Problems with several identifiers, as one. A single one keeps its own type and sentence; several of one type
    /// keep the type; others become `compound`.
    pub fn of_identifiers(subproblems: Vec<Subproblem>) -> Self {
        let kind = match subproblems.split_first() {
            Some((first, rest)) if rest.iter().all(|s| s.kind == first.kind) => first.kind,
            _ => Kind::Compound,
        };
        let detail = match subproblems.as_slice() {
            [only] => only.detail.clone(),
            [first, ..] => {
                format!("{} identifiers are refused; the first: {}", subproblems.len(), first.detail)
            }
            [] => String::new(),
        };
        Self { subproblems, ..Self::new(kind, detail) }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.name(), self.detail)
    }
}

impl std::error::Error for Problem {}

/// Foreign text made harmless: no control character, no quote, no backslash, at most `limit` characters.
pub fn plain(text: &str, limit: usize) -> String {
    let mut out: String = text
        .chars()
        .map(|c| match c {
            '"' | '`' => '\'',
            '\\' => '/',
            c if c.is_control() || is_invisible(c) => ' ',
            c => c,
        })
        .take(limit)
        .collect();
    if text.chars().nth(limit).is_some() {
        out.push('…');
    }
    out
}

/// Marks that reverse or hide text on a terminal or a page.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn urn<S: Serializer>(kind: &Kind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&kind.urn())
}

fn from_urn<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Kind, D::Error> {
    let text = String::deserialize(deserializer)?;
    let name = text.strip_prefix(URN).unwrap_or(&text);
    Kind::ALL
        .iter()
        .copied()
        .find(|k| k.name() == name)
        .ok_or_else(|| serde::de::Error::custom("unregistered type"))
}

const URN: &str = "urn:ietf:params:acme:error:";
const DETAIL_LIMIT: usize = 500;
/// An order may have a hundred of them.
const SUBDETAIL_LIMIT: usize = 300;
const NAME_LIMIT: usize = 253;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_its_urn_and_status_and_leaves_out_what_it_has_not() {
        let json = serde_json::to_string(&Problem::malformed("payload is not JSON")).unwrap();
        let expected =
            r#"{"type":"urn:ietf:params:acme:error:malformed","detail":"payload is not JSON","status":400}"#;
        assert_eq!(json, expected);
    }

    #[test]
    fn every_type_survives_the_store() {
        for kind in Kind::ALL {
            let problem = Problem::new(*kind, "why");
            let json = serde_json::to_string(&problem).unwrap();
            assert_eq!(serde_json::from_str::<Problem>(&json).unwrap(), problem);
        }
    }

    #[test]
    fn foreign_text_cannot_break_out_of_a_detail() {
        let problem = Problem::malformed("a\"b\\c\u{1b}[31m\u{202e}\n");
        assert_eq!(problem.detail, "a'b/c [31m  ");
        assert_eq!(Problem::malformed("x".repeat(9_000)).detail.chars().count(), DETAIL_LIMIT + 1);
    }

    #[test]
    fn several_identifiers_share_one_problem() {
        let sub = |kind, name: &str| Subproblem {
            kind,
            detail: format!("{name} is refused"),
            identifier: Wire { kind: "dns".into(), value: name.into() },
        };
        let one = Problem::of_identifiers(vec![sub(Kind::RejectedIdentifier, "a.lan")]);
        assert_eq!((one.kind, one.detail.as_str()), (Kind::RejectedIdentifier, "a.lan is refused"));
        let same = vec![sub(Kind::RejectedIdentifier, "a.lan"), sub(Kind::RejectedIdentifier, "b.lan")];
        assert_eq!(Problem::of_identifiers(same).kind, Kind::RejectedIdentifier);
        let mixed = vec![sub(Kind::RejectedIdentifier, "a.lan"), sub(Kind::Malformed, "b.lan")];
        assert_eq!(Problem::of_identifiers(mixed).kind, Kind::Compound);
    }
}
