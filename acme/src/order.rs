//! The states of RFC 8555 7.1.6 and their legal moves, as functions of what is kept and of `now`.
//!
//! What can be derived is derived, so that no two rows can disagree:
//! * an authorization has one token and remembers which challenge its client chose; the states of its challenges
//!   follow from it;
//! * an order is `ready` when it is kept as pending and all its authorizations are valid; it is `invalid` when one of
//!   them cannot become valid any more. There is no moment between the two.

use serde::{Deserialize, Serialize};

use crate::challenge::Type;
use crate::time::Timestamp;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $word)] $variant,)*
        }

        impl $name {
            /// Every state.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word of the RFC.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }

            /// Reads the word back.
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// The state of an account.
    AccountStatus {
        /// It may order.
        Valid = "valid",
        /// Its owner gave it up.
        Deactivated = "deactivated",
        /// We took it away.
        Revoked = "revoked",
    }
}

words! {
    /// The state of an order.
    OrderStatus {
        /// It waits for authorizations.
        Pending = "pending",
        /// It waits for finalize. Never kept, always derived.
        Ready = "ready",
        /// Its certificate is being made.
        Processing = "processing",
        /// Its certificate can be had.
        Valid = "valid",
        /// It will never have a certificate.
        Invalid = "invalid",
    }
}

words! {
    /// The state of an authorization.
    AuthorizationStatus {
        /// It waits for a challenge to be met.
        Pending = "pending",
        /// Control of the identifier was shown.
        Valid = "valid",
        /// It was not.
        Invalid = "invalid",
        /// Its owner gave it up.
        Deactivated = "deactivated",
        /// Its time is over.
        Expired = "expired",
        /// We took it away.
        Revoked = "revoked",
    }
}

words! {
    /// The state of a challenge.
    ChallengeStatus {
        /// The client has not answered it.
        Pending = "pending",
        /// We are looking, or about to look again.
        Processing = "processing",
        /// It was met.
        Valid = "valid",
        /// It was not.
        Invalid = "invalid",
    }
}

/// The state of an authorization at `now`: what is kept, unless its time is over.
pub fn authorization_status(
    kept: AuthorizationStatus,
    expires: Timestamp,
    now: Timestamp,
) -> AuthorizationStatus {
    match kept {
        AuthorizationStatus::Pending | AuthorizationStatus::Valid if expires <= now => {
            AuthorizationStatus::Expired
        }
        kept => kept,
    }
}

/// What a client is shown. certbot stops at the word `expired`, so an authorization whose time is over is `invalid`.
pub fn shown(status: AuthorizationStatus) -> AuthorizationStatus {
    match status {
        AuthorizationStatus::Expired => AuthorizationStatus::Invalid,
        status => status,
    }
}

/// The state of one challenge of an authorization in `authorization` whose client chose to answer `attempted`, which
/// was `validated` or not. A challenge that became valid stays so when its authorization runs out or is given up: there
/// is no way from valid to invalid (RFC 8555 7.1.6). One that nobody answered in time is invalid, for only then may it
/// say why (RFC 8555 8). `None`: the challenge is not shown any more, because another one decided (RFC 8555 7.1.4).
pub fn challenge_status(
    challenge: Type,
    attempted: Option<Type>,
    validated: bool,
    authorization: AuthorizationStatus,
) -> Option<ChallengeStatus> {
    match (authorization, attempted) {
        (_, Some(attempted)) if attempted != challenge => None,
        (AuthorizationStatus::Pending, None) => Some(ChallengeStatus::Pending),
        (AuthorizationStatus::Pending, Some(_)) => Some(ChallengeStatus::Processing),
        (AuthorizationStatus::Valid, _) => Some(ChallengeStatus::Valid),
        (_, Some(_)) if validated => Some(ChallengeStatus::Valid),
        (_, Some(_)) => Some(ChallengeStatus::Invalid),
        (AuthorizationStatus::Expired, None) => Some(ChallengeStatus::Invalid),
        // Given up before anything was tried: the challenge itself never failed.
        (_, None) => Some(ChallengeStatus::Pending),
    }
}

/// The state of an order at `now`.
///
/// `kept` is what its row says, which is never `ready`; `authorizations` are their states at `now`.
pub fn order_status(
    kept: OrderStatus,
    expires: Timestamp,
    authorizations: impl IntoIterator<Item = AuthorizationStatus>,
    now: Timestamp,
) -> OrderStatus {
    if kept != OrderStatus::Pending {
        return kept;
    }
    let mut all_valid = true;
    for authorization in authorizations {
        match authorization {
            AuthorizationStatus::Valid => {}
            AuthorizationStatus::Pending => all_valid = false,
            _ => return OrderStatus::Invalid,
        }
    }
    match (expires <= now, all_valid) {
        (true, _) => OrderStatus::Invalid,
        (false, true) => OrderStatus::Ready,
        (false, false) => OrderStatus::Pending,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::EPOCH;

    #[test]
    fn an_order_follows_its_authorizations() {
        use AuthorizationStatus as A;
        use OrderStatus as O;
        let later = Timestamp::from_unix(10);
        let at = |authorizations: &[A]| order_status(O::Pending, later, authorizations.iter().copied(), NOW);
        assert_eq!(at(&[A::Pending, A::Valid]), O::Pending);
        assert_eq!(at(&[A::Valid, A::Valid]), O::Ready);
        for lost in [A::Invalid, A::Deactivated, A::Expired, A::Revoked] {
            assert_eq!(at(&[A::Valid, lost, A::Pending]), O::Invalid, "{lost}");
        }
    }

    #[test]
    fn an_order_past_its_time_is_invalid_unless_it_came_further() {
        use OrderStatus as O;
        let over = NOW;
        assert_eq!(order_status(O::Pending, over, [AuthorizationStatus::Valid], NOW), O::Invalid);
        for kept in [O::Processing, O::Valid, O::Invalid] {
            assert_eq!(order_status(kept, over, [AuthorizationStatus::Expired], NOW), kept);
        }
    }

    #[test]
    fn no_state_of_an_order_goes_back_when_time_passes() {
        use AuthorizationStatus as A;
        let rank = |status| match status {
            OrderStatus::Pending => 0,
            OrderStatus::Ready => 1,
            OrderStatus::Processing => 2,
            OrderStatus::Valid | OrderStatus::Invalid => 3,
        };
        for kept in [OrderStatus::Pending, OrderStatus::Processing, OrderStatus::Valid, OrderStatus::Invalid]
        {
            for first in A::ALL {
                for second in A::ALL {
                    let at = |now: i64| {
                        let now = Timestamp::from_unix(now);
                        let expires = Timestamp::from_unix(5);
                        let states = [*first, *second].map(|s| authorization_status(s, expires, now));
                        order_status(kept, expires, states, now)
                    };
                    assert!(rank(at(0)) <= rank(at(9)), "{kept} {first} {second}");
                }
            }
        }
    }

    #[test]
    fn the_chosen_challenge_carries_the_verdict_and_the_others_vanish() {
        use AuthorizationStatus as A;
        let chosen = Some(Type::Http01);
        let of = |challenge, attempted, state| challenge_status(challenge, attempted, false, state);
        assert_eq!(of(Type::Http01, None, A::Pending), Some(ChallengeStatus::Pending));
        assert_eq!(of(Type::Http01, chosen, A::Pending), Some(ChallengeStatus::Processing));
        assert_eq!(of(Type::Http01, chosen, A::Valid), Some(ChallengeStatus::Valid));
        assert_eq!(of(Type::Http01, chosen, A::Invalid), Some(ChallengeStatus::Invalid));
        assert_eq!(of(Type::Dns01, chosen, A::Pending), None);
        assert_eq!(of(Type::Http01, None, A::Expired), Some(ChallengeStatus::Invalid), "nobody came in time");
        assert_eq!(of(Type::Http01, None, A::Deactivated), Some(ChallengeStatus::Pending));
    }

    #[test]
    fn a_challenge_that_became_valid_stays_valid() {
        use AuthorizationStatus as A;
        let chosen = Some(Type::Http01);
        for end in [A::Deactivated, A::Expired, A::Revoked] {
            assert_eq!(
                challenge_status(Type::Http01, chosen, true, end),
                Some(ChallengeStatus::Valid),
                "{end}"
            );
            assert_eq!(
                challenge_status(Type::Http01, chosen, false, end),
                Some(ChallengeStatus::Invalid),
                "{end}"
            );
        }
    }

    #[test]
    fn no_state_of_an_authorization_or_a_challenge_goes_back_when_time_passes() {
        use AuthorizationStatus as A;
        use ChallengeStatus as C;
        let expires = Timestamp::from_unix(5);
        let at = |kept, now| authorization_status(kept, expires, Timestamp::from_unix(now));
        for kept in A::ALL {
            let (before, after) = (at(*kept, 4), at(*kept, 5));
            let ended = matches!((before, after), (A::Pending | A::Valid, A::Expired));
            assert!(before == after || ended, "{before} to {after}");
            for attempted in [None, Some(Type::Http01), Some(Type::Dns01)] {
                // What is not validated is not valid either.
                for validated in [false, true].into_iter().filter(|v| *v || *kept != A::Valid) {
                    let of = |status| challenge_status(Type::Http01, attempted, validated, status);
                    let (before, after) = (of(before), of(after));
                    let ended =
                        matches!((before, after), (Some(C::Pending | C::Processing), Some(C::Invalid)));
                    let odd = validated && *kept == A::Pending; // no row says so
                    let unchosen = attempted.is_none() && *kept == A::Valid; // nor so
                    assert!(before == after || ended || odd || unchosen, "{kept}: {before:?} to {after:?}");
                }
            }
        }
    }

    #[test]
    fn a_client_never_reads_expired() {
        let over = authorization_status(AuthorizationStatus::Valid, NOW, NOW);
        assert_eq!(over, AuthorizationStatus::Expired);
        assert_eq!(shown(over), AuthorizationStatus::Invalid);
    }

    #[test]
    fn every_word_is_read_back() {
        for status in OrderStatus::ALL {
            assert_eq!(OrderStatus::parse(status.as_str()), Some(*status));
        }
    }
}
