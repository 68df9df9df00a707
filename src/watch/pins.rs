//! Pins beside what name servers answer. A pin is there to go round a name server, and is forgotten when the host moves: the CA
//! then validates and probes one host while everybody else goes to another.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use acme::failure::Reason;
use acme::identifier::{DnsName, Identifier};
use acme::problem::plain;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::facts::Footing;
use crate::probe::Target;
use crate::resolver::{Resolution, Resolver};

/// The names among these targets that a pin answers for, at most so many as can be asked for in passing.
pub fn pinned<'t>(resolver: &Resolver, targets: impl IntoIterator<Item = &'t Target>) -> BTreeSet<DnsName> {
    let name = |target: &'t Target| match &target.host {
        Identifier::Dns(name) if target.connect.is_empty() && resolver.pin(name).is_some() => {
            Some(name.clone())
        }
        _ => None,
    };
    targets.into_iter().filter_map(name).take(MOST).collect()
}

/// Asks the name servers for each of them, a few at a time.
pub async fn compare(resolver: &Arc<Resolver>, names: BTreeSet<DnsName>) -> Vec<(String, Footing)> {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut asked = JoinSet::new();
    for name in names {
        let (resolver, places) = (Arc::clone(resolver), Arc::clone(&places));
        asked.spawn(async move {
            let _place = places.acquire_owned().await;
            let answer = resolver.behind_pin(&name).await?;
            let pin = resolver.pin(&name)?;
            Some((name.base().to_owned(), footing(pin.pattern, pin.addresses, &answer)))
        });
    }
    asked.join_all().await.into_iter().flatten().collect()
}

fn footing(pattern: &str, pinned: &[IpAddr], answer: &Resolution) -> Footing {
    let found = match &answer.outcome {
        Ok(found) => found,
        Err((Reason::Nxdomain | Reason::Nodata, _)) => return Footing::Alone,
        Err(_) => return Footing::Unknown,
    };
    // One of several addresses is enough: a pin may name the one that can be reached from here.
    if found.iter().any(|address| pinned.contains(address)) {
        return Footing::Agrees;
    }
    // The last that brought some: an alias may have led from one server to another.
    let server = answer.lookups.iter().rev().find(|lookup| !lookup.addresses.is_empty());
    let server = server.map_or("the name server", |lookup| lookup.server.as_str());
    let detail = format!("the pin {pattern} says {}, and {server} says {}", list(pinned), list(found));
    Footing::Differs(plain(&detail, DETAIL))
}

fn list(addresses: &[IpAddr]) -> String {
    addresses.iter().take(3).map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// How many names with a pin are asked for in a pass; whoever pins more than this has no name server.
const MOST: usize = 256;
const AT_ONCE: usize = 16;
const DETAIL: usize = 119;

#[cfg(test)]
mod tests {
    use acme::failure::Lookup;

    use super::*;

    fn answer(outcome: Result<&[&str], Reason>) -> Resolution {
        let addresses =
            |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>();
        let outcome = outcome.map(addresses).map_err(|reason| (reason, String::new()));
        let found = outcome.clone().unwrap_or_default();
        let lookup = Lookup { server: "10.0.0.53".into(), addresses: found, ..Lookup::default() };
        Resolution { lookups: vec![Lookup::default(), lookup], outcome, pinned: false }
    }

    #[test]
    fn a_pin_differs_when_the_name_server_knows_other_addresses_alone() {
        let pin: [IpAddr; 2] = ["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()];
        let of = |outcome| footing("*.mgmt.lan", &pin, &answer(outcome));
        assert_eq!(of(Ok(&["10.0.0.9", "10.0.0.2"])), Footing::Agrees);
        assert_eq!(of(Err(Reason::Nxdomain)), Footing::Alone);
        assert_eq!(of(Err(Reason::Nodata)), Footing::Alone);
        assert_eq!(of(Err(Reason::Timeout)), Footing::Unknown);
        let detail = "the pin *.mgmt.lan says 10.0.0.1, 10.0.0.2, and 10.0.0.53 says 10.0.0.9";
        assert_eq!(of(Ok(&["10.0.0.9"])), Footing::Differs(detail.into()));
    }
}
