//! What we send: compact, without nulls and empty objects, in the order in which it stands here. Some clients read JSON
//! with `sed`: acme.sh takes the first `value` for the identifier and whatever stands between two braces for a
//! challenge.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::challenge::{Token, Type};
use crate::identifier::Wire;
use crate::jws::Object;
use crate::order::{AccountStatus, AuthorizationStatus, ChallengeStatus, OrderStatus};
use crate::problem::Problem;
use crate::renewal_info::Window;
use crate::time::Timestamp;

/// The directory, RFC 8555 7.1.1. What is not offered is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Directory {
    /// URL of newNonce.
    pub new_nonce: String,
    /// URL of newAccount.
    pub new_account: String,
    /// URL of newOrder.
    pub new_order: String,
    /// URL of newAuthz.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_authz: Option<String>,
    /// URL of revokeCert.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoke_cert: Option<String>,
    /// URL of keyChange.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_change: Option<String>,
    /// Base of the URLs of RFC 9773 4.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renewal_info: Option<String>,
    /// Always sent: ansible and early Proxmox versions do not work without.
    pub meta: Meta,
}

/// What a client should know beforehand, RFC 8555 9.7.6.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Meta {
    /// URL of the terms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terms_of_service: Option<String>,
    /// URL of a page about this CA.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub website: Option<String>,
    /// The names by which CAA records mean this CA.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub caa_identities: Vec<String>,
    /// The names by which records of dns-persist-01 mean this CA (draft-ietf-acme-dns-persist-02 3.2).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub issuer_domain_names: Vec<String>,
    /// What the account in such a record begins with (4.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_hash_prefix: Option<String>,
    /// Whether newAccount needs a binding. Always sent, so that `meta` is never an empty object.
    pub external_account_required: bool,
    /// The profiles, each with a sentence or a URL about it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub profiles: BTreeMap<String, String>,
}

/// An account, RFC 8555 7.1.2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// Its state.
    pub status: AccountStatus,
    /// Contact URLs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contact: Vec<String>,
    /// Whether its owner agreed to the terms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terms_of_service_agreed: Option<bool>,
    /// The binding that it was made with, as it was sent (RFC 8555 7.3.4).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_account_binding: Option<Object>,
    /// URL of the list of its orders.
    pub orders: String,
}

/// An order, RFC 8555 7.1.3.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// Its state.
    pub status: OrderStatus,
    /// When it ends if nothing comes of it.
    pub expires: Timestamp,
    /// What the certificate is for, octet for octet as sent: lego compares.
    pub identifiers: Vec<Wire>,
    /// The wish for notBefore.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// The wish for notAfter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Timestamp>,
    /// The profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// The certificate that is to be replaced, as the client named it (RFC 9773 5).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// URLs of its authorizations; a list in every state.
    pub authorizations: Vec<String>,
    /// URL of finalize; sent in every state.
    pub finalize: String,
    /// URL of the certificate, once there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// Why it is invalid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Problem>,
}

/// When a certificate is best renewed, RFC 9773 4.2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RenewalInfo {
    /// From when to when.
    pub suggested_window: Window,
}

/// An authorization, RFC 8555 7.1.4.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Authorization {
    /// What it is for, without `*.`.
    pub identifier: Wire,
    /// Its state, as [`crate::order::shown`] gives it.
    pub status: AuthorizationStatus,
    /// When it ends.
    pub expires: Timestamp,
    /// How it can be, or was, fulfilled; a list in every state.
    pub challenges: Vec<Challenge>,
    /// Whether it is for a wildcard; sent only when it is.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub wildcard: bool,
}

/// A challenge, RFC 8555 7.1.5 and 8.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Challenge {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: Type,
    /// Its URL.
    pub url: String,
    /// Its state.
    pub status: ChallengeStatus,
    /// Its token; all types but dns-persist-01 have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Token>,
    /// With dns-persist-01: the names by which its record may mean this CA (draft-ietf-acme-dns-persist-02 3.1).
    #[serde(rename = "issuerDomainNames", skip_serializing_if = "Vec::is_empty")]
    pub issuer_domain_names: Vec<String>,
    /// When it was met.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validated: Option<Timestamp>,
    /// Why it was not met (yet).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Problem>,
}

/// The orders of an account, RFC 8555 7.1.2.1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OrdersList {
    /// Their URLs.
    pub orders: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::challenge::TOKEN_RANDOM;

    const MOMENT: Timestamp = Timestamp::EPOCH;

    fn json(reply: &impl Serialize) -> String {
        serde_json::to_string(reply).unwrap()
    }

    fn wire(value: &str) -> Wire {
        Wire { kind: "dns".into(), value: value.into() }
    }

    fn challenge() -> Challenge {
        Challenge {
            kind: Type::Http01,
            url: "https://ca.lan/c".into(),
            status: ChallengeStatus::Pending,
            token: Some(Token::mint([0; TOKEN_RANDOM])),
            issuer_domain_names: vec![],
            validated: None,
            error: None,
        }
    }

    #[test]
    fn the_smallest_directory_still_has_a_meta_with_something_in_it() {
        let directory = Directory {
            new_nonce: "n".into(),
            new_account: "a".into(),
            new_order: "o".into(),
            new_authz: None,
            revoke_cert: Some("r".into()),
            key_change: Some("k".into()),
            renewal_info: None,
            meta: Meta::default(),
        };
        let expected = r#"{"newNonce":"n","newAccount":"a","newOrder":"o","revokeCert":"r","keyChange":"k","meta":{"externalAccountRequired":false}}"#;
        assert_eq!(json(&directory), expected);
    }

    #[test]
    fn a_full_directory_says_everything() {
        let meta = Meta {
            terms_of_service: Some("t".into()),
            website: Some("w".into()),
            caa_identities: vec!["ca.lan".into()],
            issuer_domain_names: vec!["ca.lan".into()],
            account_hash_prefix: Some("p/".into()),
            external_account_required: true,
            profiles: [("default".to_owned(), "90 days".to_owned())].into(),
        };
        let expected = r#"{"termsOfService":"t","website":"w","caaIdentities":["ca.lan"],"issuerDomainNames":["ca.lan"],"accountHashPrefix":"p/","externalAccountRequired":true,"profiles":{"default":"90 days"}}"#;
        assert_eq!(json(&meta), expected);
    }

    #[test]
    fn an_account_always_has_its_orders() {
        let mut account = Account {
            status: AccountStatus::Valid,
            contact: vec![],
            terms_of_service_agreed: None,
            external_account_binding: None,
            orders: "o".into(),
        };
        assert_eq!(json(&account), r#"{"status":"valid","orders":"o"}"#);
        account.contact = vec!["mailto:a@b.lan".into()];
        account.terms_of_service_agreed = Some(true);
        let expected =
            r#"{"status":"valid","contact":["mailto:a@b.lan"],"termsOfServiceAgreed":true,"orders":"o"}"#;
        assert_eq!(json(&account), expected);
    }

    #[test]
    fn an_order_has_its_lists_and_finalize_in_every_state() {
        let mut order = Order {
            status: OrderStatus::Pending,
            expires: MOMENT,
            identifiers: vec![wire("A.lan")],
            not_before: None,
            not_after: None,
            profile: None,
            replaces: None,
            authorizations: vec![],
            finalize: "f".into(),
            certificate: None,
            error: None,
        };
        let expected = r#"{"status":"pending","expires":"1970-01-01T00:00:00Z","identifiers":[{"type":"dns","value":"A.lan"}],"authorizations":[],"finalize":"f"}"#;
        assert_eq!(json(&order), expected);
        order.not_before = Some(MOMENT);
        order.not_after = Some(MOMENT);
        order.profile = Some("short".into());
        order.certificate = Some("c".into());
        order.error = Some(Problem::malformed("why"));
        let full = json(&order);
        for member in [
            r#""notBefore":"1970-01-01T00:00:00Z","notAfter":"1970-01-01T00:00:00Z","profile":"short""#,
            r#""certificate":"c","error":{"type":"urn:ietf:params:acme:error:malformed""#,
        ] {
            assert!(full.contains(member), "{full}");
        }
    }

    #[test]
    fn the_first_value_in_an_authorization_is_its_identifier() {
        let mut authorization = Authorization {
            identifier: wire("a.lan"),
            status: AuthorizationStatus::Pending,
            expires: MOMENT,
            challenges: vec![],
            wildcard: false,
        };
        let expected = r#"{"identifier":{"type":"dns","value":"a.lan"},"status":"pending","expires":"1970-01-01T00:00:00Z","challenges":[]}"#;
        assert_eq!(json(&authorization), expected);
        authorization.wildcard = true;
        assert!(json(&authorization).ends_with(r#""challenges":[],"wildcard":true}"#));
    }

    #[test]
    fn a_challenge_is_flat_until_it_fails() {
        let flat = json(&challenge());
        let expected = r#"{"type":"http-01","url":"https://ca.lan/c","status":"pending","token":"AAAAAAAAAAAAAAAAAAAAAA"}"#;
        assert_eq!(flat, expected);
        let failed =
            Challenge { validated: Some(MOMENT), error: Some(Problem::unauthorized("why")), ..challenge() };
        assert!(json(&failed).contains(r#","validated":"1970-01-01T00:00:00Z","error":{"type":"#));
    }

    #[test]
    fn a_challenge_without_a_token_is_flat_too() {
        let persistent = Challenge {
            kind: Type::DnsPersist01,
            token: None,
            issuer_domain_names: vec!["ca.lan".into()],
            ..challenge()
        };
        let expected = r#"{"type":"dns-persist-01","url":"https://ca.lan/c","status":"pending","issuerDomainNames":["ca.lan"]}"#;
        assert_eq!(json(&persistent), expected);
    }

    #[test]
    fn a_list_of_no_orders_is_a_list() {
        assert_eq!(json(&OrdersList::default()), r#"{"orders":[]}"#);
    }
}
