//! Which names may be asked for, and under which profile. Pure: rules and names in, a verdict out.

mod keys;

use std::collections::BTreeMap;
use std::fmt;

use acme::identifier::{DnsName, Identifier, Wire, is_within};
use acme::problem::{Kind, Problem, Subproblem, plain};
use ipnet::IpNet;

mod bounds;
mod profile;

pub use self::bounds::Bounds;
pub use self::keys::BlockedKeys;
pub use self::profile::Profile;

/// One entry of `policy.allow` or `policy.deny`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// `*`: every DNS name.
    EveryName,
    /// `mgmt.lan`: this name.
    Name(DnsName),
    /// `*.mgmt.lan`: every name below, at any depth, and its wildcards.
    Below(String),
    /// `192.168.1.0/24` or one address.
    Network(IpNet),
}

/// The rules as configured.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What may be asked for; `None` leaves it to the issuer's name constraints.
    pub allow: Option<Vec<Rule>>,
    /// What may not; it wins over `allow`.
    pub deny: Vec<Rule>,
    /// By name; one of them is `default`.
    pub profiles: BTreeMap<String, Profile>,
}

/// The profile of orders that name none.
pub const DEFAULT_PROFILE: &str = "default";

impl Rule {
    /// Reads a rule.
    ///
    /// # Errors
    /// A sentence that says what is accepted.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::EveryName);
        }
        if let Ok(network) = text.parse::<IpNet>() {
            // What was meant, the address or the network, only its writer knows.
            return if network.trunc() == network {
                Ok(Self::Network(network))
            } else {
                Err(format!("{text} has bits beyond its prefix; write {}", network.trunc()))
            };
        }
        if let Ok(address) = text.parse::<std::net::IpAddr>() {
            return Ok(Self::Network(address.into()));
        }
        let (below, name) = match text.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, text),
        };
        let name = DnsName::parse(name).map_err(|problem| {
            format!("{}; accepted are a name, *.suffix, *, an address and a network", problem.detail)
        })?;
        Ok(if below { Self::Below(name.as_str().to_owned()) } else { Self::Name(name) })
    }

    fn covers(&self, identifier: &Identifier) -> bool {
        match (self, identifier) {
            (Self::EveryName, Identifier::Dns(_)) => true,
            (Self::Name(rule), Identifier::Dns(name)) => rule == name,
            // `*.mgmt.lan` the wildcard is below mgmt.lan as much as `a.mgmt.lan` is.
            (Self::Below(suffix), Identifier::Dns(name)) => {
                is_within(name.base(), suffix) && (name.is_wildcard() || name.as_str() != suffix)
            }
            (Self::Network(network), Identifier::Ip(address)) => network.contains(address),
            _ => false,
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EveryName => f.write_str("*"),
            Self::Name(name) => name.fmt(f),
            Self::Below(suffix) => write!(f, "*.{suffix}"),
            Self::Network(network) => network.fmt(f),
        }
    }
}

impl Settings {
    /// The rule of `deny` that covers `identifier`.
    pub fn denied_by(&self, identifier: &Identifier) -> Option<&Rule> {
        self.deny.iter().find(|rule| rule.covers(identifier))
    }

    /// The rule of `allow` that covers `identifier`.
    pub fn allowed_by(&self, identifier: &Identifier) -> Option<&Rule> {
        self.allow.iter().flatten().find(|rule| rule.covers(identifier))
    }

    /// Why `identifier` may not have a certificate, if so.
    ///
    /// # Errors
    /// A sentence that names the rule, or what would be allowed.
    pub fn judge(&self, identifier: &Identifier) -> Result<(), String> {
        if let Some(rule) = self.denied_by(identifier) {
            return Err(format!("{identifier} is forbidden by policy.deny ({rule})"));
        }
        match &self.allow {
            Some(allow) if self.allowed_by(identifier).is_none() => {
                Err(format!("{identifier} is not in policy.allow ({})", list(allow)))
            }
            _ => Ok(()),
        }
    }

    /// The profile that an order asks for, with its name as it is configured. Case does not matter: Apache's mod_md
    /// compares names so, and the configuration has no two that differ by it alone.
    ///
    /// # Errors
    /// `invalidProfile`, with the names of those that are offered.
    pub fn profile(&self, wanted: Option<&str>) -> Result<(&str, &Profile), Problem> {
        let wanted = wanted.unwrap_or(DEFAULT_PROFILE);
        let same = |(name, _): &(&String, &Profile)| name.eq_ignore_ascii_case(wanted);
        let found = self.profiles.get_key_value(wanted).or_else(|| self.profiles.iter().find(same));
        found.map(|(name, profile)| (name.as_str(), profile)).ok_or_else(|| {
            let offered = self.profiles.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            let detail = format!("profile {} is not offered; offered are {offered}", plain(wanted, 64));
            Problem::new(Kind::InvalidProfile, detail)
        })
    }
}

/// Judges all identifiers of an order; each refusal becomes a subproblem.
///
/// # Errors
/// One problem with one subproblem for each identifier that is none, or is refused.
pub fn judge_all(
    identifiers: &[Wire],
    judge: impl Fn(&Identifier) -> Result<(), String>,
) -> Result<Vec<Identifier>, Problem> {
    let (mut good, mut refused) = (Vec::with_capacity(identifiers.len()), Vec::new());
    for wire in identifiers {
        let judged = Identifier::parse(wire).and_then(|identifier| {
            judge(&identifier).map_err(|why| Problem::new(Kind::RejectedIdentifier, why))?;
            Ok(identifier)
        });
        match judged {
            Ok(identifier) => good.push(identifier),
            Err(problem) => refused.push(Subproblem::new(wire, &problem)),
        }
    }
    if refused.is_empty() { Ok(good) } else { Err(Problem::of_identifiers(refused)) }
}

fn list(rules: &[Rule]) -> String {
    const SHOWN: usize = 8;
    let mut text = rules.iter().take(SHOWN).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if rules.len() > SHOWN {
        text.push_str(", …");
    }
    if text.is_empty() { "which is empty".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(allow: Option<&[&str]>, deny: &[&str]) -> Settings {
        let rules = |texts: &[&str]| texts.iter().map(|t| Rule::parse(t).unwrap()).collect::<Vec<_>>();
        Settings { allow: allow.map(rules), deny: rules(deny), profiles: BTreeMap::new() }
    }

    fn allows(settings: &Settings, name: &str) -> bool {
        let identifier = Identifier::written(name).unwrap();
        settings.judge(&identifier).is_ok()
    }

    #[test]
    fn a_suffix_covers_every_depth_below_it_but_not_itself() {
        let policy = settings(Some(&["*.mgmt.lan"]), &[]);
        assert!(
            allows(&policy, "a.mgmt.lan") && allows(&policy, "a.b.mgmt.lan") && allows(&policy, "*.mgmt.lan")
        );
        assert!(
            !allows(&policy, "mgmt.lan") && !allows(&policy, "xmgmt.lan") && !allows(&policy, "10.0.0.1")
        );
    }

    #[test]
    fn a_name_covers_itself_alone() {
        let policy = settings(Some(&["mgmt.lan"]), &[]);
        assert!(allows(&policy, "mgmt.lan") && allows(&policy, "MGMT.lan"));
        assert!(!allows(&policy, "a.mgmt.lan") && !allows(&policy, "*.mgmt.lan"));
    }

    #[test]
    fn deny_wins() {
        let policy = settings(Some(&["*", "10.0.0.0/8"]), &["*.secret.lan", "10.1.0.0/16"]);
        assert!(allows(&policy, "a.lan") && allows(&policy, "10.2.0.1"));
        assert!(!allows(&policy, "x.secret.lan") && !allows(&policy, "10.1.2.3"));
    }

    #[test]
    fn a_star_is_every_name_and_no_address() {
        let policy = settings(Some(&["*"]), &[]);
        assert!(allows(&policy, "anything.example") && !allows(&policy, "192.168.1.1"));
    }

    #[test]
    fn without_a_list_the_name_constraints_decide_alone() {
        assert!(allows(&settings(None, &[]), "a.lan") && allows(&settings(None, &[]), "fd00::1"));
        assert!(!allows(&settings(Some(&[]), &[]), "a.lan"));
    }

    #[test]
    fn each_refused_name_is_a_subproblem() {
        let policy = settings(Some(&["a.lan"]), &[]);
        let wire = |value: &str| Wire { kind: "dns".into(), value: value.into() };
        let names = ["A.lan", "b.lan", "c.lan"].map(wire);
        let problem = judge_all(&names, |i| policy.judge(i)).unwrap_err();
        assert_eq!(problem.kind, Kind::RejectedIdentifier);
        assert_eq!(problem.subproblems.len(), 2);
        assert!(problem.subproblems[0].detail.contains("policy.allow (a.lan)"));
        let mixed = [wire("b.lan"), wire("-"), Wire { kind: "mail".into(), value: "a@b.lan".into() }];
        let problem = judge_all(&mixed, |i| policy.judge(i)).unwrap_err();
        let kinds: Vec<_> = problem.subproblems.iter().map(|sub| sub.kind).collect();
        assert_eq!(problem.kind, Kind::Compound);
        assert_eq!(kinds, [Kind::RejectedIdentifier, Kind::Malformed, Kind::UnsupportedIdentifier]);
        let good = judge_all(&[wire("A.lan")], |i| policy.judge(i)).unwrap();
        assert_eq!(good, [Identifier::dns("a.lan").unwrap()]);
    }

    #[test]
    fn a_rule_that_is_none_says_what_would_be() {
        let error = Rule::parse("a..b").unwrap_err();
        assert!(error.contains("accepted are"), "{error}");
    }
}
