//! `resolve NAME`: a look-up as the validator does it, with the same pins, servers and address policy. An address needs
//! no look-up; what is told of it is whether the validator may dial it.

use std::net::IpAddr;

use acme::failure::Lookup;
use acme::identifier::Identifier;
use acme::problem::plain;
use anyhow::bail;
use clap::Args;
use serde::Serialize;

use super::named::named;
use super::output::Output;
use crate::config::Config;
use crate::resolver::{Resolver, Targets};

/// Look a name up as the validator does: pins, servers asked, answers, and what may be dialled
#[derive(Args)]
pub(super) struct Resolve {
    /// The name, or an address
    name: String,
}

#[derive(Serialize)]
struct Item {
    name: String,
    /// Whether the name itself has a pin.
    pinned: bool,
    lookups: Vec<Lookup>,
    addresses: Vec<AddressItem>,
    /// Why there is no address, when there is none.
    reason: Option<String>,
    detail: Option<String>,
}

#[derive(Serialize)]
struct AddressItem {
    address: IpAddr,
    allowed: bool,
    why: Option<String>,
}

impl Resolve {
    pub(super) async fn run(self, config: &Config, mut output: Output<'_>) -> anyhow::Result<()> {
        let targets = Targets::new(config.validation.allow_networks.clone());
        let item = match self.name.trim().trim_matches(['[', ']']).parse() {
            Ok(address) => Item {
                name: self.name,
                pinned: false,
                lookups: Vec::new(),
                addresses: vec![AddressItem::judged(address, &targets)],
                reason: None,
                detail: None,
            },
            Err(_) => look_up(&self.name, config, &targets).await?,
        };
        if output.json {
            output.envelope("resolve", std::slice::from_ref(&item))?;
        } else {
            tell(&item, &mut output)?;
        }
        let name = plain(&item.name, 253);
        match (&item.detail, item.addresses.as_slice()) {
            (Some(detail), _) => bail!("{name} has no address: {}", plain(detail, 300)),
            (None, some) if some.iter().any(|address| address.allowed) => Ok(()),
            (None, [it]) if item.lookups.is_empty() => {
                bail!("{} may not be dialled; validation.allow_networks decides", it.address)
            }
            (None, _) => {
                bail!("none of the addresses of {name} may be dialled; validation.allow_networks decides")
            }
        }
    }
}

impl AddressItem {
    fn judged(address: IpAddr, targets: &Targets) -> Self {
        let why = targets.check(address).err();
        Self { address, allowed: why.is_none(), why }
    }
}

async fn look_up(name: &str, config: &Config, targets: &Targets) -> anyhow::Result<Item> {
    let Identifier::Dns(name) = named(name)? else { bail!("{} is an address", plain(name, 100)) };
    if name.is_wildcard() {
        bail!("a wildcard has no address; look up {}", name.base());
    }
    let roots = crate::ca::read_root(&config.ca.root).ok();
    let mut store = rustls::RootCertStore::empty();
    store.add_parsable_certificates(roots.map(|root| root.der().to_vec().into()));
    let resolver = Resolver::new(config.resolver()?, store)?;
    let resolution = resolver.addresses(&name).await;
    let judged = |address: &IpAddr| match resolution.pinned {
        true => AddressItem { address: *address, allowed: true, why: None },
        false => AddressItem::judged(*address, targets),
    };
    let (addresses, failure) = match &resolution.outcome {
        Ok(addresses) => (addresses.iter().map(judged).collect(), None),
        Err(failure) => (Vec::new(), Some(failure)),
    };
    Ok(Item {
        name: name.as_str().to_owned(),
        pinned: resolution.pinned,
        addresses,
        reason: failure.map(|(reason, _)| reason.as_str().to_owned()),
        detail: failure.map(|(_, detail)| detail.clone()),
        lookups: resolution.lookups,
    })
}

fn tell(item: &Item, output: &mut Output<'_>) -> anyhow::Result<()> {
    for lookup in &item.lookups {
        let addresses: String = lookup.addresses.iter().map(|address| format!(" {address}")).collect();
        output.line(&format!(
            "{} {:<4} {} -> {}{addresses} ({} ms)",
            lookup.name,
            lookup.record,
            lookup.server,
            lookup.said(),
            lookup.millis
        ))?;
    }
    for address in &item.addresses {
        let word = address
            .why
            .as_deref()
            .map_or("may be dialled".to_owned(), |why| format!("may not be dialled: {why}"));
        output.line(&format!("{} {word}", address.address))?;
    }
    Ok(())
}
