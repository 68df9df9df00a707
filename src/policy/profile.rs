//! What a certificate of a profile is like, draft-ietf-acme-profiles.

use std::time::Duration;

use acme::challenge::Type;
use acme::csr::KeyType;
use acme::problem::Problem;

/// What a certificate of a profile is like, and for which keys it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// How long it is good for.
    pub lifetime: Duration,
    /// The challenges by which its names are shown; `None` leaves it to the configuration of validation.
    pub challenges: Option<Vec<Type>>,
    /// Whether it is good for TLS clients too.
    pub client_auth: bool,
    /// Which keys it is for; `None` is every kind.
    pub keys: Option<Vec<KeyType>>,
    /// What the directory says of it, in the operator's words.
    pub description: Option<String>,
}

impl Profile {
    /// What the directory says of it: the operator's words, else one sentence of facts.
    pub fn sentence(&self) -> String {
        if let Some(description) = &self.description {
            return description.clone();
        }
        let lifetime = match self.lifetime.as_secs() {
            86_400 => "1 day".to_owned(),
            seconds if seconds % 86_400 == 0 => format!("{} days", seconds / 86_400),
            _ => humantime::format_duration(self.lifetime).to_string(),
        };
        let mut text = format!("certificates for {lifetime}");
        if self.client_auth {
            text.push_str(", for TLS servers and clients");
        }
        if let Some(keys) = &self.keys {
            text.push_str(&format!(", for keys of the kinds {}", words(keys)));
        }
        text
    }

    /// Judges the key of a request.
    ///
    /// # Errors
    /// `badCSR`, with the kinds that are accepted.
    pub fn accepts(&self, name: &str, key: KeyType) -> Result<(), Problem> {
        match &self.keys {
            Some(keys) if !keys.contains(&key) => Err(Problem::bad_csr(format!(
                "a key of the kind {key} is not accepted in the profile {name}; {} would do",
                words(keys)
            ))),
            _ => Ok(()),
        }
    }
}

fn words(keys: &[KeyType]) -> String {
    keys.iter().map(|key| key.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use acme::problem::Kind;

    fn profile(seconds: u64) -> Profile {
        Profile {
            lifetime: Duration::from_secs(seconds),
            challenges: None,
            client_auth: false,
            keys: None,
            description: None,
        }
    }

    #[test]
    fn a_profile_says_what_it_is_like() {
        assert_eq!(profile(90 * 86_400).sentence(), "certificates for 90 days");
        assert_eq!(profile(86_400).sentence(), "certificates for 1 day");
        assert_eq!(profile(600).sentence(), "certificates for 10m");
        let narrow = Profile {
            client_auth: true,
            keys: Some(vec![KeyType::P256, KeyType::Ed25519]),
            ..profile(7 * 86_400)
        };
        let sentence =
            "certificates for 7 days, for TLS servers and clients, for keys of the kinds p256, ed25519";
        assert_eq!(narrow.sentence(), sentence);
        let described = Profile { description: Some("for the lab".into()), ..narrow };
        assert_eq!(described.sentence(), "for the lab");
    }

    #[test]
    fn a_key_of_another_kind_is_told_what_is_accepted() {
        let narrow = Profile { keys: Some(vec![KeyType::P256, KeyType::P384]), ..profile(600) };
        assert_eq!(narrow.accepts("web", KeyType::P384), Ok(()));
        let problem = narrow.accepts("web", KeyType::Rsa).unwrap_err();
        assert_eq!(problem.kind, Kind::BadCsr);
        assert!(problem.detail.contains("rsa") && problem.detail.contains("web; p256, p384"), "{problem}");
        for key in KeyType::ALL {
            assert_eq!(profile(600).accepts("web", *key), Ok(()));
            assert_eq!(KeyType::parse(key.as_str()), Some(*key));
        }
    }
}
