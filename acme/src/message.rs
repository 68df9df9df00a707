//! The bodies of requests and of replies, RFC 8555 7.1 to 7.6.
//!
//! What a client sends is read leniently: unknown members are ignored, `null` is as good as absent. No decision is
//! made here except about the form of contacts.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer};

use crate::identifier::Wire;
use crate::jws::Object;
use crate::order::{AccountStatus, AuthorizationStatus};
use crate::problem::Problem;
use crate::time::Timestamp;

mod contact;
mod reply;

pub use contact::check_contacts;
pub use reply::{Account, Authorization, Challenge, Directory, Meta, Order, OrdersList, RenewalInfo};

/// newAccount, RFC 8555 7.3.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewAccount {
    /// Whether the client agrees to the terms.
    #[serde(default, deserialize_with = "null_as_default")]
    pub terms_of_service_agreed: bool,
    /// Contact URLs.
    pub contact: Option<Vec<String>>,
    /// Whether an account that does not exist must not be made.
    #[serde(default, deserialize_with = "null_as_default")]
    pub only_return_existing: bool,
    /// A JWS inside, to be read by [`crate::jws::Binding`].
    pub external_account_binding: Option<Object>,
}

/// A change of an account, RFC 8555 7.3.2 and 7.3.6.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct UpdateAccount {
    /// `deactivated`; every other word changes nothing.
    pub status: Option<String>,
    /// The new contact URLs.
    pub contact: Option<Vec<String>>,
}

/// A change of an authorization, RFC 8555 7.5.2.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct UpdateAuthorization {
    /// `deactivated`; every other word changes nothing.
    pub status: Option<String>,
}

/// newOrder, RFC 8555 7.4, with the profile of draft-ietf-acme-profiles and the `replaces` of RFC 9773 5.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewOrder {
    /// What the certificate is to be for, as sent.
    pub identifiers: Vec<Wire>,
    /// The wish for notBefore.
    pub not_before: Option<Timestamp>,
    /// The wish for notAfter.
    pub not_after: Option<Timestamp>,
    /// The name of a profile.
    pub profile: Option<String>,
    /// The RFC 9773 id of the certificate that this one is to replace.
    pub replaces: Option<String>,
}

/// newAuthz, RFC 8555 7.4.1.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct NewAuthorization {
    /// What it is to be for, as sent.
    pub identifier: Wire,
}

/// Finalize, RFC 8555 7.4.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Finalize {
    /// The certificate request: base64url of DER.
    pub csr: String,
}

/// revokeCert, RFC 8555 7.6.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Revocation {
    /// The certificate: base64url of DER.
    pub certificate: String,
    /// A reason code of RFC 5280 5.3.1, not judged yet.
    pub reason: Option<i64>,
}

impl UpdateAccount {
    /// Whether the account is to be given up.
    pub fn deactivates(&self) -> bool {
        self.status.as_deref() == Some(AccountStatus::Deactivated.as_str())
    }
}

impl UpdateAuthorization {
    /// Whether the authorization is to be given up.
    pub fn deactivates(&self) -> bool {
        self.status.as_deref() == Some(AuthorizationStatus::Deactivated.as_str())
    }
}

impl Finalize {
    /// The certificate request in DER.
    ///
    /// # Errors
    /// `badCSR` when it is not base64url.
    pub fn der(&self) -> Result<Vec<u8>, Problem> {
        base64url(&self.csr).ok_or_else(|| {
            Problem::bad_csr("csr is not base64url without padding; send the DER, not PEM (RFC 8555 7.4)")
        })
    }
}

impl Revocation {
    /// The certificate in DER.
    ///
    /// # Errors
    /// `malformed` when it is not base64url.
    pub fn der(&self) -> Result<Vec<u8>, Problem> {
        base64url(&self.certificate).ok_or_else(|| {
            Problem::malformed(
                "certificate is not base64url without padding; send the DER, not PEM (RFC 8555 7.6)",
            )
        })
    }
}

fn base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

fn null_as_default<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Kind;

    fn read<T: serde::de::DeserializeOwned>(json: &str) -> T {
        serde_json::from_str(json).expect(json)
    }

    #[test]
    fn a_null_is_as_good_as_nothing_and_unknown_members_do_not_matter() {
        let nulls = r#"{"termsOfServiceAgreed":null,"contact":null,"onlyReturnExisting":null,
            "externalAccountBinding":null,"status":"valid","orders":"https://elsewhere.lan/"}"#;
        assert_eq!(read::<NewAccount>(nulls), NewAccount::default());
        assert_eq!(read::<NewAccount>("{}"), NewAccount::default());
        assert_eq!(read::<UpdateAccount>(r#"{"x":1}"#), UpdateAccount::default());

        let nulls = r#"{"identifiers":[{"type":"dns","value":"A.lan","x":1}],"notBefore":null,"notAfter":null,
            "profile":null,"replaces":null}"#;
        let order: NewOrder = read(nulls);
        assert_eq!(order.identifiers, [Wire { kind: "dns".into(), value: "A.lan".into() }]);
        assert_eq!(
            (order.not_before, order.not_after, order.profile, order.replaces),
            (None, None, None, None)
        );
    }

    #[test]
    fn every_member_of_a_request_is_read() {
        let account: NewAccount = read(
            r#"{"termsOfServiceAgreed":true,"contact":["mailto:a@b.lan"],"onlyReturnExisting":true,
                "externalAccountBinding":{"protected":"","payload":"","signature":""}}"#,
        );
        assert!(account.terms_of_service_agreed && account.only_return_existing);
        assert!(account.contact.is_some() && account.external_account_binding.is_some());

        let order: NewOrder = read(
            r#"{"identifiers":[],"notBefore":"2026-11-22T19:09:00Z","notAfter":"2026-11-23T19:09:00.5+00:00",
                "profile":"short","replaces":"aa.bb"}"#,
        );
        assert_eq!(order.not_before, Some(Timestamp::from_unix(1_795_374_540)));
        assert_eq!(order.not_after, Some(Timestamp::from_unix(1_795_460_940)));
        assert_eq!((order.profile.as_deref(), order.replaces.as_deref()), (Some("short"), Some("aa.bb")));

        let revocation: Revocation = read(r#"{"certificate":"AQI","reason":1}"#);
        assert_eq!((revocation.der().unwrap(), revocation.reason), (vec![1, 2], Some(1)));
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for json in [
            r#"{}"#,
            r#"{"identifiers":{}}"#,
            r#"{"identifiers":["a.lan"]}"#,
            r#"{"identifiers":[{"type":"dns"}]}"#,
            r#"{"identifiers":[],"notBefore":"tomorrow"}"#,
            r#"{"identifiers":[],"profile":1}"#,
        ] {
            assert!(serde_json::from_str::<NewOrder>(json).is_err(), "{json}");
        }
        assert!(serde_json::from_str::<NewAccount>(r#"{"contact":"mailto:a@b.lan"}"#).is_err());
        let doubled = r#"{"externalAccountBinding":{"payload":"","payload":""}}"#;
        assert!(serde_json::from_str::<NewAccount>(doubled).is_err());
    }

    #[test]
    fn only_one_word_gives_something_up() {
        for (json, given_up) in [
            (r#"{"status":"deactivated"}"#, true),
            (r#"{"status":"revoked"}"#, false),
            (r#"{"status":"nonsense"}"#, false),
            (r#"{"status":null}"#, false),
            ("{}", false),
        ] {
            assert_eq!(read::<UpdateAccount>(json).deactivates(), given_up, "{json}");
            assert_eq!(read::<UpdateAuthorization>(json).deactivates(), given_up, "{json}");
        }
    }

    #[test]
    fn a_csr_is_base64url_of_der() {
        assert_eq!(Finalize { csr: "_-8".into() }.der(), Ok(vec![0xff, 0xef]));
        for csr in ["/+8", "_-8=", "-----BEGIN CERTIFICATE REQUEST-----", "_-8\n"] {
            assert_eq!(Finalize { csr: csr.into() }.der().expect_err(csr).kind, Kind::BadCsr);
        }
        let revocation = Revocation { certificate: "=".into(), reason: None };
        assert_eq!(revocation.der().expect_err("=").kind, Kind::Malformed);
    }
}
