//! Why a certificate is revoked, RFC 5280 5.3.1, and who may say so, RFC 8555 7.6. Pure: what is kept and who signed are
//! arguments.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::problem::{Kind, Problem};

/// A reason of RFC 5280 5.3.1, as far as it can be given for a leaf that stays revoked. A hold and its end would need
/// certificates that come back; the compromise of a CA is no matter of its leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reason {
    /// None is given. It is left out of the CRL.
    Unspecified,
    /// Somebody else may have the private key.
    KeyCompromise,
    /// The names belong to somebody else now, or are called differently.
    AffiliationChanged,
    /// Another certificate took its place.
    Superseded,
    /// The service is no more.
    CessationOfOperation,
    /// Whoever had it should not have it.
    PrivilegeWithdrawn,
}

/// Who asks for a revocation, and how that was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The account that ordered the certificate.
    Account,
    /// Whoever holds the certificate's private key: the request is signed with it.
    Key,
    /// Another account, which holds valid authorizations for all the names.
    Authorizations,
    /// The operator of the CA.
    Operator,
    /// The CA itself: the key was blocked already, or is blocked now because of another certificate.
    Server,
}

/// What a request comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The reason that is kept.
    pub reason: Reason,
    /// Whether the key is accepted nowhere any more, and its other certificates go as well.
    pub blocks_key: bool,
}

impl Reason {
    /// Every reason.
    pub const ALL: &'static [Self] = &[
        Self::Unspecified,
        Self::KeyCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::CessationOfOperation,
        Self::PrivilegeWithdrawn,
    ];

    /// Reads the `reason` of a request; without one it is unspecified.
    ///
    /// # Errors
    /// `badRevocationReason` with the codes that are accepted.
    pub fn asked(code: Option<i64>) -> Result<Self, Problem> {
        let code = code.unwrap_or(0);
        Self::ALL.iter().copied().find(|reason| i64::from(reason.code()) == code).ok_or_else(|| {
            let codes: Vec<String> = Self::ALL.iter().map(|reason| reason.code().to_string()).collect();
            let detail = format!("reason code {code} is not accepted; {} are", codes.join(", "));
            Problem::new(Kind::BadRevocationReason, detail)
        })
    }

    /// The code of RFC 5280 5.3.1.
    pub fn code(self) -> u8 {
        match self {
            Self::Unspecified => 0,
            Self::KeyCompromise => 1,
            Self::AffiliationChanged => 3,
            Self::Superseded => 4,
            Self::CessationOfOperation => 5,
            Self::PrivilegeWithdrawn => 9,
        }
    }

    /// The word of RFC 5280 5.3.1.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "keyCompromise",
            Self::AffiliationChanged => "affiliationChanged",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessationOfOperation",
            Self::PrivilegeWithdrawn => "privilegeWithdrawn",
        }
    }

    /// Reads the word back; people write it in any case.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.as_str().eq_ignore_ascii_case(word))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl By {
    /// The stable word for the audit trail.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Key => "key",
            Self::Authorizations => "authorizations",
            Self::Operator => "operator",
            Self::Server => "server",
        }
    }
}

/// Decides about a certificate that was revoked for `before`, or not yet.
///
/// Whoever signs with the certificate's key has shown that somebody can, so the key counts as compromised whatever the
/// request says (as with Boulder). The account that ordered the certificate chose the key and signed the request for the
/// certificate with it, so its word is enough too. Another account never had the key, and cannot know.
///
/// # Errors
/// `alreadyRevoked`, unless a compromise of the key becomes known to whom it can be believed; `unauthorized` for a word
/// that the asker cannot give.
pub fn decide(by: By, asked: Reason, before: Option<Reason>) -> Result<Decision, Problem> {
    let reason = if by == By::Key { Reason::KeyCompromise } else { asked };
    let compromised = reason == Reason::KeyCompromise;
    if compromised && by == By::Authorizations {
        return Err(Problem::unauthorized(
            "that the key is compromised is for the account that ordered the certificate to say, or for the \
             holder of its key; choose another reason",
        ));
    }
    let may_upgrade = compromised && matches!(by, By::Key | By::Operator);
    match before {
        None => Ok(Decision { reason, blocks_key: compromised }),
        Some(before) if may_upgrade && before != Reason::KeyCompromise => {
            Ok(Decision { reason, blocks_key: true })
        }
        Some(before) => {
            let detail = format!("the certificate is revoked already, for the reason {before}");
            Err(Problem::new(Kind::AlreadyRevoked, detail))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_that_make_sense_for_a_leaf_are_accepted_and_no_others() {
        let accepted: Vec<i64> = (-1..=300).filter(|code| Reason::asked(Some(*code)).is_ok()).collect();
        assert_eq!(accepted, [0, 1, 3, 4, 5, 9]);
        assert_eq!(Reason::asked(None), Ok(Reason::Unspecified));
        let refused = Reason::asked(Some(7)).unwrap_err();
        assert_eq!((refused.kind, refused.status), (Kind::BadRevocationReason, 400));
        assert!(refused.detail.contains("0, 1, 3, 4, 5, 9"), "{refused}");
        assert!(Reason::asked(Some(i64::MIN)).is_err() && Reason::asked(Some(i64::MAX)).is_err());
    }

    #[test]
    fn every_reason_has_a_word_and_a_word_one_reason() {
        for reason in Reason::ALL {
            assert_eq!(Reason::parse(reason.as_str()), Some(*reason));
            assert_eq!(Reason::parse(&reason.as_str().to_lowercase()), Some(*reason));
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
        }
        assert_eq!(Reason::parse("certificateHold"), None);
    }

    #[test]
    fn the_holder_of_the_key_makes_it_a_compromise_whatever_it_says() {
        let decision = decide(By::Key, Reason::Superseded, None).unwrap();
        assert_eq!(decision, Decision { reason: Reason::KeyCompromise, blocks_key: true });
    }

    #[test]
    fn only_a_compromise_blocks_a_key() {
        for reason in Reason::ALL {
            for by in [By::Account, By::Operator] {
                let decision = decide(by, *reason, None).unwrap();
                assert_eq!(
                    (decision.reason, decision.blocks_key),
                    (*reason, *reason == Reason::KeyCompromise)
                );
            }
        }
        let other = decide(By::Authorizations, Reason::KeyCompromise, None).unwrap_err();
        assert_eq!((other.kind, other.status), (Kind::Unauthorized, 403));
        assert!(!decide(By::Authorizations, Reason::Superseded, None).unwrap().blocks_key);
    }

    #[test]
    fn a_second_revocation_is_told_so_unless_it_upgrades_to_a_compromise() {
        let again = |by, asked, before| decide(by, asked, Some(before)).map_err(|problem| problem.kind);
        let (superseded, compromise) = (Reason::Superseded, Reason::KeyCompromise);
        for by in [By::Account, By::Operator, By::Authorizations] {
            assert_eq!(again(by, superseded, superseded), Err(Kind::AlreadyRevoked), "{by:?}");
        }
        assert_eq!(again(By::Account, compromise, superseded), Err(Kind::AlreadyRevoked));
        for by in [By::Key, By::Operator] {
            assert!(again(by, compromise, superseded).unwrap().blocks_key, "{by:?}");
            assert_eq!(again(by, compromise, compromise), Err(Kind::AlreadyRevoked), "{by:?}");
        }
    }
}
