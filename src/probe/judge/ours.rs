//! What our key signed: whether it is known, revoked, in time, for this name, the newest, and whole.

use std::time::Duration;

use acme::renewal::{State, used};
use acme::severity::Severity;
use acme::time::Timestamp;
use acme::verdict::Verdict;

use super::{Case, Judgement, Record, Successor, found, short, some, span};
use crate::possession::Possession;
use crate::probe::authority::{Authority, Gap};
use crate::probe::facts::Facts;
use crate::probe::target::Expect;

/// For how long after a newer one was issued the older one may still be served: an hour, or a fiftieth of a lifetime that is
/// shorter than two days, and a minute at least.
pub fn grace(not_before: Timestamp, not_after: Timestamp) -> Duration {
    let lifetime = u64::try_from(not_after.seconds_since(not_before)).unwrap_or_default();
    Duration::from_secs(lifetime / 50).clamp(LEAST_GRACE, GRACE)
}

impl Case<'_> {
    /// One that our key signed: the worst of what is wrong with it, and of equals the first.
    pub(super) fn ours(&self, leaf: &[u8], facts: &Facts, authority: &Authority) -> Judgement {
        let serial = short(&facts.serial);
        let record = match &self.known.record {
            Some(record) if record.der == leaf && self.is_of(record, authority) => record,
            Some(_) => {
                return found(
                    Verdict::UnknownSerial,
                    format!(
                        "our key signed it, but what was issued as serial {serial} is another certificate; was the key used elsewhere?"
                    ),
                );
            }
            None => {
                return found(
                    Verdict::UnknownSerial,
                    format!(
                        "our key signed it, but serial {serial} is not in the store; was the store restored from a backup, or the key used elsewhere?"
                    ),
                );
            }
        };
        if self.shown.possession == Possession::Refuted {
            return found(
                Verdict::ImpostorIssuer,
                format!(
                    "shows our serial {serial}, but another key signed the handshake; somebody stands in for the host"
                ),
            );
        }
        if self.target.expect == Expect::Public {
            return found(
                Verdict::ForeignIssuer,
                format!(
                    "serial {serial} is ours, and a public authority's is expected; set expect = \"ours\" if that is right"
                ),
            );
        }
        let mut findings = Vec::new();
        let reload = self.newer(record).map(|newer| {
            format!(
                "; serial {} was issued {} ago: reload the service",
                short(&newer.serial),
                span(self.now, newer.issued_at)
            )
        });
        let help = |otherwise: &str| reload.clone().unwrap_or_else(|| format!("; {otherwise}"));
        if let Some(at) = record.revoked_at {
            findings.push(found(
                Verdict::RevokedServed,
                format!("serial {serial} was revoked on {at}{}", help("issue a new one and reload")),
            ));
        }
        if self.now > facts.not_after {
            findings.push(found(
                Verdict::Expired,
                format!(
                    "serial {serial} ended on {}{}",
                    facts.not_after,
                    help("it was not renewed: see ca-ctl explain, and compare clocks")
                ),
            ));
        }
        if self.now < facts.not_before {
            findings.push(found(
                Verdict::NotYetValid,
                format!("serial {serial} begins on {} only; compare the clocks", facts.not_before),
            ));
        }
        if !facts.covers(&self.name) {
            findings.push(found(Verdict::SanMismatch, format!(
                "serial {serial} is ours for {}, not for {}; another virtual host answers, or the list of names changed",
                some(&record.names), self.name
            )));
        }
        findings.extend(self.age(record, facts, &serial));
        findings.extend(self.gap(leaf, authority));
        let worst = findings.iter().map(|finding| finding.severity).max().flatten();
        findings.into_iter().find(|finding| finding.severity == worst).unwrap_or_else(|| {
            found(Verdict::Ok, format!("serial {serial} is ours and current, until {}", facts.not_after))
        })
    }

    /// One CA may have two certificates, and with them two ids.
    fn is_of(&self, record: &Record, authority: &Authority) -> bool {
        self.authorities.iter().any(|it| it.id == record.issuer && it.has_key_of(authority))
    }

    /// Whether there is a newer one, and if not, whether there should be.
    fn age(&self, record: &Record, facts: &Facts, serial: &str) -> Option<Judgement> {
        let used = used(facts.not_before, facts.not_after, self.now);
        if let Some(newer) = self.newer(record) {
            let ago = span(self.now, newer.issued_at);
            let newest = short(&newer.serial);
            if self.now < newer.issued_at.plus(grace(newer.not_before, newer.not_after)) {
                return Some(found(
                    Verdict::OkPrevious,
                    format!(
                        "serial {serial} has a successor, {newest}, issued {ago} ago; a reload is expected"
                    ),
                ));
            }
            let stale = found(
                Verdict::StaleNotReloaded,
                format!(
                    "serial {serial} is still served, though {newest} was issued {ago} ago: reload the service (NixOS: reloadServices)"
                ),
            );
            let is_late = used >= self.known.own.unwrap_or(self.known.thresholds).critical;
            let severity = if is_late { Severity::Critical } else { Severity::Warning };
            return Some(Judgement { severity: Some(severity), ..stale });
        }
        if let Some(own) = self.own(record) {
            let ago = span(self.now, own.issued_at);
            if self.now < own.issued_at.plus(grace(own.not_before, own.not_after)) {
                return Some(found(
                    Verdict::OkPrevious,
                    format!(
                        "serial {serial} is for {}; {} for this name alone was issued {ago} ago; a reload is expected",
                        some(&record.names),
                        short(&own.serial)
                    ),
                ));
            }
            return Some(found(
                Verdict::WrongLineage,
                format!(
                    "serial {serial} is for {}, while {} has a newer one of its own, {}, since {ago}; was a key copied?",
                    some(&record.names),
                    self.name,
                    short(&own.serial)
                ),
            ));
        }
        let severity = match self.known.state(facts.not_before, facts.not_after, self.now) {
            State::Overdue => Severity::Warning,
            State::Critical => Severity::Critical,
            _ => return None,
        };
        let left = span(facts.not_after, self.now);
        let expiring = found(
            Verdict::Expiring,
            format!(
                "serial {serial} ends in {left} and has no successor; ca-ctl explain {} says where its renewal stopped",
                self.name
            ),
        );
        Some(Judgement { severity: Some(severity), ..expiring })
    }

    /// What took the place of the one that is shown. One that was revoked since is none to reload for; one with more
    /// names for the same account is the next of the line, whose client was given another list.
    fn newer<'s>(&'s self, record: &'s Record) -> Option<&'s Successor> {
        let good = |it: &&Successor| !it.is_revoked;
        if let Some(successor) = &record.successor {
            let others = self.known.current.iter().filter(|it| it.names == record.names);
            return std::iter::once(successor).chain(others).find(good);
        }
        let shown = Facts::read(&record.der).ok()?;
        let wider = |it: &&Successor| {
            it.account.is_some()
                && it.account == record.account
                && it.not_before >= shown.not_before
                && it.names.len() > record.names.len()
                && record.names.iter().all(|name| it.names.contains(name))
        };
        self.known.current.iter().filter(wider).filter(good).max_by_key(|it| it.issued_at)
    }

    /// A newer one for this name alone, while the one that is shown is for more.
    fn own(&self, record: &Record) -> Option<&Successor> {
        let name = [self.name.to_string()];
        let shown = Facts::read(&record.der).ok()?;
        if record.names == name {
            return None;
        }
        let fits = |it: &&Successor| it.names == name && it.not_before >= shown.not_before && !it.is_revoked;
        self.known.current.iter().find(fits)
    }

    fn gap(&self, leaf: &[u8], authority: &Authority) -> Option<Judgement> {
        let behind: Vec<Vec<u8>> =
            self.shown.chain.iter().skip(1).filter(|der| *der != leaf).cloned().collect();
        match authority.gap(&behind, self.now)? {
            Gap::Missing => Some(found(
                Verdict::ChainIncomplete,
                format!(
                    "the intermediate '{}' is not sent; configure the full chain (fullchain.pem)",
                    authority.name
                ),
            )),
            Gap::Wrong => Some(found(
                Verdict::ChainWrong,
                format!(
                    "what is sent after the leaf is not '{}' as it is now; configure the full chain (fullchain.pem)",
                    authority.name
                ),
            )),
        }
    }
}

const LEAST_GRACE: Duration = Duration::from_secs(60);
const GRACE: Duration = Duration::from_secs(3_600);
