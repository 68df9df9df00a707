//! Canaries: names that were found before. What a name server answers about them now is how it is. Each server has a few of
//! them: whoever owns one may take it out of DNS, and a server that says so is well.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use acme::failure::Lookup;
use acme::identifier::{DnsName, Identifier};
use acme::problem::plain;
use acme::time::Timestamp;
use store::Error;
use store::attempts::Tried;
use store::care::Cares;
use tokio::task::JoinSet;

use super::round::Scene;
use super::vigil::Vigil;
use crate::resolver::Resolver;

/// The names by which each server is known, the latest first; servers as they are configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Canaries(BTreeMap<String, Vec<DnsName>>);

/// How a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) is_well: bool,
    /// What it said, and about which name.
    pub(super) words: String,
}

/// What a server said about one name.
enum Word {
    Found(String),
    /// That there is no such name, or nothing under it.
    Denied(String),
    Failed(String),
}

impl Canaries {
    /// Chooses from what was tried, the latest first. A server must know what it found; and what another one found, when it is
    /// the first to be asked. Of a name that is muted or forgotten nothing is expected, and a pin says nothing of any server.
    pub(super) fn choose<'t>(
        tried: impl IntoIterator<Item = &'t Tried>,
        cares: &Cares,
        resolver: &Resolver,
        now: Timestamp,
    ) -> Self {
        let mut chosen = Self::default();
        let mut known: BTreeSet<&str> = BTreeSet::new();
        for tried in tried {
            let (Ok(evidence), Identifier::Dns(name)) = (&tried.outcome, &tried.identifier) else { continue };
            let found: BTreeSet<&str> = evidence
                .lookups
                .iter()
                .filter(|lookup| !lookup.addresses.is_empty() && !is_fixed(&lookup.server))
                .map(|lookup| lookup.server.as_str())
                .collect();
            // A name that was validated often is still one.
            if found.is_empty() || resolver.pin(name).is_some() || !known.insert(name.base()) {
                continue;
            }
            let alone = [name.base().to_owned()];
            let care = cares.of(tried.names.as_deref().unwrap_or(&alone));
            let is_unexpected = |care: &acme::lineage::Care| {
                care.forgotten_at.is_some() || care.muted.as_ref().is_some_and(|mute| mute.until > now)
            };
            if is_unexpected(&care) || is_unexpected(&cares.of(&alone)) {
                continue;
            }
            for (place, server) in resolver.servers_for(name).iter().map(ToString::to_string).enumerate() {
                if place == 0 || found.contains(server.as_str()) {
                    chosen.add(server, name);
                }
            }
        }
        chosen
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Asks for one name of each server, and for its others where that one brought nothing. What a server says of names that
    /// it need not know does not count.
    pub(super) async fn ask(&self, resolver: &Arc<Resolver>) -> BTreeMap<String, Heard> {
        let first = self.0.values().filter_map(|names| names.first()).cloned().collect();
        let mut lookups = ask(resolver, first).await;
        let heard = self.heard(&lookups);
        let silent = self.0.iter().filter(|(server, _)| heard.get(*server).is_none_or(|it| !it.is_well));
        let others = silent.flat_map(|(_, names)| names.iter().skip(1)).cloned().collect();
        lookups.extend(ask(resolver, others).await);
        self.heard(&lookups)
    }

    /// How each server is by what it said. Nothing of one that only denies the only name that it must know: that is the
    /// name's affair. One that denies several does not know their zone any more.
    fn heard(&self, lookups: &[Lookup]) -> BTreeMap<String, Heard> {
        let of = |(server, names): (&String, &Vec<DnsName>)| {
            let said: Vec<Word> = names.iter().filter_map(|name| word(server, name, lookups)).collect();
            let found = said.iter().find_map(|word| match word {
                Word::Found(words) => Some(Heard { is_well: true, words: words.clone() }),
                _ => None,
            });
            let failed = said.iter().find_map(|word| match word {
                Word::Failed(words) => Some(Heard { is_well: false, words: words.clone() }),
                _ => None,
            });
            let denied = match said.as_slice() {
                [Word::Denied(words), _, ..] => Some(Heard { is_well: false, words: words.clone() }),
                _ => None,
            };
            Some((server.clone(), found.or(failed).or(denied)?))
        };
        self.0.iter().filter_map(of).collect()
    }

    fn add(&mut self, server: String, name: &DnsName) {
        if self.0.len() >= SERVERS && !self.0.contains_key(&server) {
            return;
        }
        let names = self.0.entry(server).or_default();
        if names.len() < EACH {
            names.push(name.clone());
        }
    }
}

/// The names by which name servers are known. They are chosen anew now and then, not in each round; but what was validated
/// lately is taken at once where there were none.
pub(super) async fn known(
    vigil: &Vigil,
    scene: &Scene<'_>,
    lately: &[Tried],
    now: Timestamp,
) -> Result<Arc<Canaries>, Error> {
    if let Some(known) = vigil.canaries(scene.resolver, now)
        && (!known.is_empty() || lately.is_empty())
    {
        return Ok(known);
    }
    let before = scene.store.validations_since(now.minus(LONG), MOST).await?;
    let cares = scene.store.cares().await?;
    let canaries = Canaries::choose(lately.iter().chain(&before), &cares, scene.resolver, now);
    Ok(vigil.choose(canaries, scene.resolver, now))
}

async fn ask(resolver: &Arc<Resolver>, names: BTreeSet<DnsName>) -> Vec<Lookup> {
    let mut asked = JoinSet::new();
    for name in names {
        let resolver = Arc::clone(resolver);
        asked.spawn(async move { resolver.addresses(&name).await.lookups });
    }
    asked.join_all().await.into_iter().flatten().collect()
}

/// What a server said about a name, over both families of addresses; nothing when it was not asked.
fn word(server: &str, name: &DnsName, lookups: &[Lookup]) -> Option<Word> {
    let of = |lookup: &&Lookup| lookup.server == server && lookup.name == name.base();
    let said: Vec<&Lookup> = lookups.iter().filter(of).collect();
    let words =
        |lookup: &Lookup| format!("{} for {} {}", lookup.answer, plain(&lookup.name, 80), lookup.record);
    let is_denial = |lookup: &Lookup| matches!(lookup.answer.as_str(), "NXDOMAIN" | "NODATA");
    // Who names an alias that others were asked for has answered: its end is theirs.
    let is_handed_on = |lookup: &Lookup| {
        let is_end = |other: &Lookup| other.server != server && lookup.aliases.contains(&other.name);
        is_denial(lookup) && lookups.iter().any(is_end)
    };
    if let Some(found) = said.iter().find(|lookup| !lookup.addresses.is_empty() || is_handed_on(lookup)) {
        return Some(Word::Found(words(found)));
    }
    match said.iter().find(|lookup| !is_denial(lookup)) {
        Some(failed) => Some(Word::Failed(words(failed))),
        None => said.first().map(|denied| Word::Denied(words(denied))),
    }
}

/// Whether no server was asked.
fn is_fixed(server: &str) -> bool {
    matches!(server, "pin" | "literal")
}

/// How far back a name is looked for that a server knew, and in how many validations.
const LONG: Duration = Duration::from_secs(90 * 86_400);
const MOST: u32 = 200;
/// By how many names a server is known, and how many servers are listened to.
const EACH: usize = 3;
const SERVERS: usize = 16;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use acme::failure::Evidence;
    use rustls::RootCertStore;

    use super::*;
    use crate::resolver::{Server, Settings};

    fn lookup(server: &str, name: &str, answer: &str) -> Lookup {
        let addresses = if answer == "NOERROR" { vec!["10.0.0.9".parse().unwrap()] } else { Vec::new() };
        Lookup {
            name: name.into(),
            record: "A".into(),
            server: server.into(),
            answer: answer.into(),
            addresses,
            ..Lookup::default()
        }
    }

    fn found(name: &str, server: &str) -> Tried {
        let evidence = Evidence { lookups: vec![lookup(server, name, "NOERROR")], ..Evidence::default() };
        Tried {
            identifier: Identifier::dns(name).unwrap(),
            names: Some(vec![name.into()]),
            at: Timestamp::from_unix(0),
            outcome: Ok(evidence),
        }
    }

    fn resolver() -> Resolver {
        let server = |address: &str| Server::parse(address).unwrap();
        let settings = Settings {
            servers: vec![server("10.0.0.53"), server("10.0.0.54")],
            pins: BTreeMap::from([("pinned.lan".to_owned(), vec!["10.0.0.1".parse().unwrap()])]),
            ..Settings::default()
        };
        Resolver::new(settings, RootCertStore::empty()).unwrap()
    }

    fn chosen(tried: &[Tried]) -> Vec<(String, Vec<String>)> {
        let chosen = Canaries::choose(tried, &Cares::default(), &resolver(), Timestamp::from_unix(0));
        let names = |names: Vec<DnsName>| names.iter().map(ToString::to_string).collect();
        chosen.0.into_iter().map(|(server, of)| (server, names(of))).collect()
    }

    #[test]
    fn a_server_is_known_by_three_names_that_it_must_know() {
        let tried: Vec<Tried> = ["pinned.lan", "a.lan", "a.lan", "b.lan", "c.lan", "d.lan"]
            .iter()
            .map(|name| found(name, "10.0.0.53"))
            .chain([found("e.lan", "10.0.0.54"), found("f.lan", "pin"), found("g.lan", "10.9.9.9")])
            .collect();
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        assert_eq!(
            chosen(&tried),
            [
                ("10.0.0.53".to_owned(), names(&["a.lan", "b.lan", "c.lan"])),
                ("10.0.0.54".to_owned(), names(&["e.lan"]))
            ]
        );
        assert_eq!(
            chosen(&[found("g.lan", "10.9.9.9")]),
            [("10.0.0.53".to_owned(), names(&["g.lan"]))],
            "who is asked first now must know what the one before it knew"
        );
    }

    /// What is thought of a server that was asked for `a.lan`, `b.lan` and so on, by its answers.
    fn heard(answers: &[&str]) -> Option<(bool, String)> {
        let names: Vec<String> = (b'a'..).take(answers.len()).map(|c| format!("{}.lan", c as char)).collect();
        let canaries = names.iter().map(|name| DnsName::parse(name).unwrap()).collect();
        let canaries = Canaries(BTreeMap::from([("10.0.0.53".to_owned(), canaries)]));
        let mut lookups: Vec<Lookup> = Vec::new();
        for (name, answer) in names.iter().zip(answers) {
            lookups.push(lookup("10.0.0.53", name, answer));
            // Nobody asked the second server what it knows.
            lookups.push(lookup("10.0.0.54", name, "SERVFAIL"));
        }
        let mut heard = canaries.heard(&lookups);
        assert!(!heard.contains_key("10.0.0.54"));
        heard.remove("10.0.0.53").map(|heard| (heard.is_well, heard.words))
    }

    #[test]
    fn a_server_that_names_aliases_into_zones_of_others_has_answered() {
        let canaries = ["a.lan", "b.lan"].map(|name| DnsName::parse(name).unwrap()).to_vec();
        let canaries = Canaries(BTreeMap::from([("10.0.0.53".to_owned(), canaries)]));
        let alias = |name: &str| Lookup {
            aliases: vec!["host.corp.lan".to_owned()],
            ..lookup("10.0.0.53", name, "NXDOMAIN")
        };
        let mut lookups = vec![alias("a.lan"), alias("b.lan")];
        assert!(!canaries.heard(&lookups)["10.0.0.53"].is_well, "nobody else answers for the end");
        lookups.push(lookup("10.0.0.54", "host.corp.lan", "NXDOMAIN"));
        assert!(canaries.heard(&lookups)["10.0.0.53"].is_well);
    }

    #[test]
    fn a_server_is_ill_only_when_it_fails_for_every_name_that_it_must_know() {
        let well = |words: &str| Some((true, words.to_owned()));
        let ill = |words: &str| Some((false, words.to_owned()));
        assert_eq!(heard(&["NXDOMAIN", "NOERROR", "SERVFAIL"]), well("NOERROR for b.lan A"));
        assert_eq!(heard(&["NXDOMAIN", "SERVFAIL", "timeout"]), ill("SERVFAIL for b.lan A"));
        assert_eq!(heard(&["timeout"]), ill("timeout for a.lan A"));
        assert_eq!(heard(&["NXDOMAIN", "NODATA"]), ill("NXDOMAIN for a.lan A"), "it lost the zone");
        assert_eq!(heard(&["NXDOMAIN"]), None, "the only name was taken away");
    }
}
