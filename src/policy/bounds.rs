//! What one account may ask for beyond the policy: the limits of the key that the operator gave it (external account
//! binding, RFC 8555 7.3.4).

use acme::identifier::Identifier;
use acme::problem::{Kind, Problem, plain};

use super::{Rule, list};

/// The limits of an external account key.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// The key's name.
    key: String,
    /// What may be asked for; `None` leaves it to the policy.
    allow: Option<Vec<Rule>>,
    /// Which profiles; `None` is every one.
    profiles: Option<Vec<String>>,
    revoked: bool,
}

impl Bounds {
    /// Limits as they are kept.
    ///
    /// # Errors
    /// A sentence about the rule that is none.
    pub fn parse(
        key: &str,
        allow: Option<&[String]>,
        profiles: Option<&[String]>,
        revoked: bool,
    ) -> Result<Self, String> {
        let allow = allow.map(|rules| rules.iter().map(|rule| Rule::parse(rule)).collect()).transpose()?;
        Ok(Self { key: key.to_owned(), allow, profiles: profiles.map(<[_]>::to_vec), revoked })
    }

    /// Whether the account may ask for anything at all.
    ///
    /// # Errors
    /// `unauthorized` when its key was revoked.
    pub fn check(&self) -> Result<(), Problem> {
        if !self.revoked {
            return Ok(());
        }
        let detail = format!("the external account key {} of this account was revoked", self.key);
        Err(Problem::unauthorized(detail))
    }

    /// Why `identifier` is beyond the limits, if so.
    ///
    /// # Errors
    /// A sentence that says what would be within.
    pub fn judge(&self, identifier: &Identifier) -> Result<(), String> {
        match &self.allow {
            Some(allow) if !allow.iter().any(|rule| rule.covers(identifier)) => Err(format!(
                "{identifier} is not within the limits of the external account key {} ({})",
                self.key,
                list(allow)
            )),
            _ => Ok(()),
        }
    }

    /// The profile for an order that asks for `wanted`: without a wish the first of the key's own.
    ///
    /// # Errors
    /// `invalidProfile` with those that the key allows.
    pub fn profile<'a>(&'a self, wanted: Option<&'a str>) -> Result<Option<&'a str>, Problem> {
        let Some(profiles) = &self.profiles else { return Ok(wanted) };
        let Some(wanted) = wanted else { return Ok(profiles.first().map(String::as_str)) };
        if profiles.iter().any(|profile| profile.eq_ignore_ascii_case(wanted)) {
            return Ok(Some(wanted));
        }
        let (wanted, allowed) = (plain(wanted, 64), profiles.join(", "));
        let detail =
            format!("profile {wanted} is not for the external account key {}; it allows {allowed}", self.key);
        Err(Problem::new(Kind::InvalidProfile, detail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(allow: Option<&[&str]>, profiles: Option<&[&str]>) -> Bounds {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let (allow, profiles) = (allow.map(owned), profiles.map(owned));
        Bounds::parse("k1", allow.as_deref(), profiles.as_deref(), false).unwrap()
    }

    #[test]
    fn a_key_limits_names() {
        let bounds = bounds(Some(&["*.web.lan"]), None);
        assert!(bounds.judge(&Identifier::dns("a.web.lan").unwrap()).is_ok());
        let why = bounds.judge(&Identifier::dns("a.db.lan").unwrap()).unwrap_err();
        assert!(why.contains("k1") && why.contains("*.web.lan"), "{why}");
    }

    #[test]
    fn a_key_limits_profiles_and_says_which_is_taken_without_a_wish() {
        let limited = bounds(None, Some(&["short", "long"]));
        assert_eq!(limited.profile(None), Ok(Some("short")));
        assert_eq!(limited.profile(Some("long")), Ok(Some("long")));
        let problem = limited.profile(Some("default")).unwrap_err();
        assert!(problem.kind == Kind::InvalidProfile && problem.detail.contains("short, long"), "{problem}");
        assert_eq!(bounds(None, None).profile(None), Ok(None));
    }

    #[test]
    fn an_account_of_a_revoked_key_may_nothing() {
        let revoked = Bounds::parse("k1", None, None, true).unwrap();
        assert_eq!(revoked.check().unwrap_err().kind, Kind::Unauthorized);
        assert!(bounds(None, None).check().is_ok());
    }
}
