//! Which certificates there are for a name, and which places follow from that: the list that a pass of probes works
//! from. One read of the certificates without a successor, page by page, by their index.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use acme::identifier::Identifier;
use acme::renewal::Thresholds;
use acme::time::Timestamp;
use store::care::Cares;
use store::certificate::Purpose;
use store::served::Current;
use store::{Error, Store};

use crate::probe::{Settings, Successor, Target};

/// The certificates without a successor, by the names that they are for, and what the operator said of names.
#[derive(Debug, Default)]
pub struct Directory {
    by_name: HashMap<String, Vec<Entry>>,
    cares: Cares,
}

#[derive(Clone, Debug)]
struct Entry {
    purpose: Purpose,
    certificate: Arc<Successor>,
}

impl Directory {
    /// Reads all of them.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn read(store: &Store) -> Result<Self, Error> {
        Self::read_for(store, |_| true).await
    }

    /// Reads those that may be served for one host.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn read_of(store: &Store, host: &Identifier) -> Result<Self, Error> {
        let wanted = keys(host);
        Self::read_for(store, |name| wanted.iter().any(|key| key == name)).await
    }

    async fn read_for(store: &Store, wanted: impl Fn(&str) -> bool) -> Result<Self, Error> {
        let mut directory = Self { cares: store.cares().await?, ..Self::default() };
        let mut from = String::new();
        let mut edge: Vec<Current> = Vec::new();
        loop {
            let page = store.current(&from, PAGE).await?;
            let is_last = page.len() < PAGE as usize;
            // A page begins with the names that the last one ended with.
            let new: Vec<Current> =
                page.into_iter().filter(|it| !edge.iter().any(|old| old.serial == it.serial)).collect();
            let Some(last) = new.last() else { return Ok(directory) };
            from.clone_from(&last.names);
            edge = new.iter().filter(|it| it.names == from).cloned().collect();
            for current in new {
                directory.add(&current, &wanted);
            }
            if is_last {
                return Ok(directory);
            }
        }
    }

    fn add(&mut self, current: &Current, wanted: impl Fn(&str) -> bool) {
        let certificate = Arc::new(successor(current));
        for name in certificate.names.iter().filter(|name| wanted(name)) {
            let entry = Entry { purpose: current.purpose, certificate: Arc::clone(&certificate) };
            self.by_name.entry(name.clone()).or_default().push(entry);
        }
    }

    /// The certificates that cover a host, by its own name or by a wildcard.
    pub fn covering(&self, host: &Identifier) -> Vec<Successor> {
        let entries = keys(host).into_iter().filter_map(|key| self.by_name.get(&key)).flatten();
        entries.map(|entry| (*entry.certificate).clone()).collect()
    }

    /// The thresholds that hold for a set of names, where its owner wants others than the configured ones.
    pub(super) fn thresholds(&self, names: &[String]) -> Option<Thresholds> {
        self.cares.of(names).thresholds
    }

    /// What is to be looked at: each name and address with a certificate that is not long over, at the port for all (our
    /// own where we listen ourselves), less what is skipped; and what the settings name. Of two for the same place, the
    /// one that the settings name counts. A wildcard is no place.
    pub fn targets(&self, settings: &Settings, now: Timestamp) -> Vec<Target> {
        let mut targets: BTreeMap<String, Target> = BTreeMap::new();
        let automatic = self.by_name.iter().filter(|_| settings.auto);
        for (name, entries) in automatic {
            let Ok(host) = Identifier::written(name) else { continue };
            if host.is_wildcard() || settings.skip.iter().any(|skip| skip.covers(&host)) {
                continue;
            }
            let alive = |entry: &&Entry| entry.certificate.not_after.plus(LONG_OVER) >= now;
            for entry in entries.iter().filter(alive) {
                let target = match (entry.purpose, settings.own) {
                    (Purpose::Acme, _) => Target::new(host.clone(), settings.port),
                    (Purpose::Server, Some(own)) => self::own(host.clone(), own),
                    (Purpose::Server, None) => continue,
                };
                let is_own = entry.purpose == Purpose::Server;
                if is_own || !targets.contains_key(&target.key()) {
                    targets.insert(target.key(), target);
                }
            }
        }
        targets.extend(settings.targets.iter().map(|target| (target.key(), target.clone())));
        targets.into_values().collect()
    }
}

/// Our own server, which is dialled where it listens.
pub fn own(host: Identifier, at: SocketAddr) -> Target {
    Target { connect: vec![at.ip()], ..Target::new(host, at.port()) }
}

/// What the judgement is given of a certificate.
pub(super) fn successor(current: &Current) -> Successor {
    Successor {
        serial: current.serial.as_str().to_owned(),
        names: names(&current.names),
        account: current.account.as_ref().map(|account| account.as_str().to_owned()),
        issued_at: current.issued_at,
        not_before: current.not_before,
        not_after: current.not_after,
        is_revoked: current.revoked_at.is_some(),
    }
}

/// A set of names as the store writes it.
pub(super) fn names(set: &str) -> Vec<String> {
    set.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// The names of certificates that cover a host.
fn keys(host: &Identifier) -> Vec<String> {
    let mut keys = vec![host.to_string()];
    if let Identifier::Dns(name) = host
        && let Some((_, parent)) = name.as_str().split_once('.')
        && !name.is_wildcard()
    {
        keys.push(format!("*.{parent}"));
    }
    keys
}

const PAGE: u32 = 1_000;
/// A name whose certificate ended so long ago, and that nobody renewed, is no place any more.
const LONG_OVER: Duration = Duration::from_secs(30 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Skip;

    fn certificate(names: &str, purpose: Purpose, days: i64) -> Current {
        let at = |days: i64| Timestamp::from_unix(1_800_000_000 + days * 86_400);
        Current {
            serial: acme::id::Serial::mint([u8::try_from(names.len()).unwrap(); 16]),
            names: names.to_owned(),
            account: None,
            purpose,
            issued_at: at(0),
            not_before: at(0),
            not_after: at(days),
            revoked_at: None,
        }
    }

    fn directory(all: &[Current]) -> Directory {
        let mut directory = Directory::default();
        for current in all {
            directory.add(current, |_| true);
        }
        directory
    }

    fn keys_of(directory: &Directory, settings: &Settings, days: i64) -> Vec<String> {
        let now = Timestamp::from_unix(1_800_000_000 + days * 86_400);
        directory.targets(settings, now).iter().map(Target::key).collect()
    }

    #[test]
    fn every_name_and_address_is_a_place_and_a_wildcard_is_none() {
        let directory = directory(&[
            certificate("*.a.lan,10.0.0.1,a.lan", Purpose::Acme, 90),
            certificate("b.lan", Purpose::Acme, 90),
            certificate("x.lab.lan", Purpose::Acme, 90),
            certificate("old.lan", Purpose::Acme, 10),
            certificate("ca.lan", Purpose::Server, 90),
        ]);
        let settings = Settings {
            own: Some("127.0.0.1:8443".parse().unwrap()),
            skip: vec![Skip::parse("*.lab.lan").unwrap()],
            ..Settings::default()
        };
        let automatic = ["10.0.0.1:443", "a.lan:443", "b.lan:443", "ca.lan:8443"];
        assert_eq!(
            keys_of(&directory, &settings, 41),
            automatic,
            "old.lan is over for more than thirty days"
        );
        assert_eq!(keys_of(&directory, &settings, 39).len(), 5);
        let declared = |host: &str, port| Target {
            owner: Some("me".into()),
            ..Target::new(Identifier::dns(host).unwrap(), port)
        };
        let settings = Settings {
            targets: vec![declared("a.lan", 25), declared("b.lan", 443), declared("y.lab.lan", 443)],
            ..settings
        };
        let wanted = ["10.0.0.1:443", "a.lan:25", "a.lan:443", "b.lan:443", "ca.lan:8443", "y.lab.lan:443"];
        assert_eq!(keys_of(&directory, &settings, 41), wanted);
        let b = directory.targets(&settings, Timestamp::from_unix(1_800_000_000));
        assert!(b.iter().any(|it| it.key() == "b.lan:443" && it.owner.is_some()));
        assert_eq!(keys_of(&directory, &Settings { auto: false, ..settings }, 0).len(), 3);
    }

    #[test]
    fn a_host_is_covered_by_its_name_and_by_the_wildcard_above_it() {
        let directory = directory(&[
            certificate("*.a.lan", Purpose::Acme, 90),
            certificate("x.a.lan", Purpose::Acme, 90),
            certificate("a.lan", Purpose::Acme, 90),
        ]);
        let covering = |host: &str| directory.covering(&Identifier::dns(host).unwrap()).len();
        assert_eq!(
            [covering("x.a.lan"), covering("y.a.lan"), covering("a.lan"), covering("x.y.a.lan")],
            [2, 1, 1, 0]
        );
    }
}
