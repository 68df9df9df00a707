//! What is looked at: `[probe]` and `[[probe.target]]`.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use acme::identifier::{DnsName, Identifier};

use super::{Error, duration, file, refuse};
use crate::probe::{Expect, MOST_AT_ONCE, Settings, Skip, Starttls, Target};

/// Judges the table. `listen` is where our own certificate is shown.
pub(super) fn settings(file: &file::Probe, listen: &[SocketAddr]) -> Result<Settings, Error> {
    let concurrency = file.concurrency.unwrap_or(MOST_AT_ONCE);
    if !(1..=MOST_AT_ONCE).contains(&concurrency) {
        return refuse(
            "probe.concurrency",
            format!("{concurrency} is out of bounds; 1 to {MOST_AT_ONCE} would do"),
        );
    }
    let port = port("probe.port", file.port)?.unwrap_or(443);
    let skip = file.skip.iter().map(|text| Skip::parse(text).map_err(|why| Error::new("probe.skip", why)));
    let mut targets = Vec::new();
    let mut places = BTreeSet::new();
    for written in &file.target {
        let target = target(written, port)?;
        if !places.insert(target.key()) {
            return refuse("probe.target", format!("{} is there twice; leave one out", target.key()));
        }
        targets.push(target);
    }
    Ok(Settings {
        interval: interval("probe.interval", file.interval.as_deref())?,
        auto: file.auto.unwrap_or(true),
        port,
        own: listen.first().map(|address| match address.ip().is_unspecified() {
            true => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port()),
            false => *address,
        }),
        skip: skip.collect::<Result<_, _>>()?,
        concurrency,
        timeout: duration("probe.timeout", file.timeout.as_deref(), "5s", "100ms", "30s")?,
        targets,
    })
}

fn target(file: &file::ProbeTarget, usual: u16) -> Result<Target, Error> {
    let host = host(&file.host)?;
    let starttls = match &file.starttls {
        Some(word) => Some(word_of("starttls", word, Starttls::parse, Starttls::ALL)?),
        None => None,
    };
    let expect = match &file.expect {
        Some(word) => word_of("expect", word, Expect::parse, Expect::ALL)?,
        None => Expect::Ours,
    };
    let sni = match &file.sni {
        Some(text) => Some(name(text)?),
        None => None,
    };
    let mut connect = Vec::new();
    for text in &file.connect {
        let Ok(address) = text.parse::<IpAddr>() else {
            return refuse("probe.target.connect", format!("{text} is not an IP address"));
        };
        connect.push(address);
    }
    // An address that stands here is the operator's word, as a pin is.
    if let (Identifier::Ip(address), true) = (&host, connect.is_empty()) {
        connect.push(*address);
    }
    if file.owner.as_ref().is_some_and(|owner| owner.is_empty() || acme::problem::plain(owner, 64) != *owner)
    {
        return refuse("probe.target.owner", "a word or two, of at most 64 characters, would do");
    }
    let port = port("probe.target.port", file.port)?;
    Ok(Target {
        port: port.unwrap_or_else(|| starttls.map_or(usual, Starttls::port)),
        host,
        starttls,
        sni,
        connect,
        expect,
        owner: file.owner.clone(),
        interval: match &file.interval {
            Some(text) => Some(interval("probe.target.interval", Some(text))?),
            None => None,
        },
    })
}

fn host(text: &str) -> Result<Identifier, Error> {
    const KEY: &str = "probe.target.host";
    if text.parse::<IpAddr>().is_ok() {
        return Identifier::ip(text).map_err(|problem| Error::new(KEY, problem.detail));
    }
    match Identifier::dns(text) {
        Ok(host) if host.is_wildcard() => refuse(
            KEY,
            format!("nothing can be dialled for {host}; one of the names that it covers would do"),
        ),
        host => host.map_err(|problem| Error::new(KEY, problem.detail)),
    }
}

fn name(text: &str) -> Result<DnsName, Error> {
    const KEY: &str = "probe.target.sni";
    match DnsName::parse(text) {
        Ok(name) if name.is_wildcard() => {
            refuse(KEY, format!("{name} cannot be asked for; one of the names that it covers would do"))
        }
        name => name.map_err(|problem| Error::new(KEY, problem.detail)),
    }
}

fn word_of<T: std::fmt::Display + Copy>(
    key: &str,
    word: &str,
    parse: fn(&str) -> Option<T>,
    all: &[T],
) -> Result<T, Error> {
    parse(word).ok_or_else(|| {
        let known: Vec<String> = all.iter().map(ToString::to_string).collect();
        Error::new(
            format!("probe.target.{key}"),
            format!("{word} is unknown; there are {}", known.join(", ")),
        )
    })
}

fn port(key: &str, port: Option<u16>) -> Result<Option<u16>, Error> {
    if port == Some(0) { refuse(key, "0 is no port; 443 would do") } else { Ok(port) }
}

fn interval(key: &str, text: Option<&str>) -> Result<std::time::Duration, Error> {
    duration(key, text, "10m", "1m", "1d")
}
