//! From a target to rows that are kept: look, ask the store about the serial that was shown, judge. A pass does so for many
//! targets at once, those of one host one after the other. Time and jitter are the caller's.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use acme::failure::Reason;
use acme::id::{AccountId, Serial};
use acme::identifier::Identifier;
use acme::jwk::sha256;
use acme::lineage::Served;
use acme::renewal::Thresholds;
use acme::severity::Severity;
use acme::time::Timestamp;
use acme::verdict::Verdict;
use store::observation::KeepObservations;
use store::served::Issued;
use store::{Error, Store};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use x509_parser::pem::Pem;

use super::directory::{Directory, names, successor};
use crate::ca::{self, Ca};
use crate::clock::Clock;
use crate::probe::{
    Authority, Facts, Judgement, Known, Look, Outcome, Prober, Public, Record, Seen, Successor, Target, judge,
};

/// Looks and judges: everything that does not change from one target to the next. Cheap to clone. To be made anew when
/// the configuration is, or when there is a new issuer.
#[derive(Clone)]
pub struct Lookout {
    prober: Prober,
    authorities: Arc<[Authority]>,
    public: Public,
    thresholds: Thresholds,
}

/// What was found at an address, or of a target as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// What is kept of it. Its `since` and `samples` are those of this look alone; [`keep`] continues them.
    pub served: Served,
    /// How bad it is; nothing for what is well, and for what could not be looked at.
    pub severity: Option<Severity>,
    /// Who signed what was shown, by its own account.
    pub issuer: Option<String>,
    /// Whether the name servers say that there is no such name, or no address under it; which is another thing than that
    /// they say nothing.
    pub is_absent: bool,
}

/// How a pass is spread: each host begins somewhere within `spread`, at a place that follows from its name and `seed`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    /// How many hosts at once.
    pub concurrency: usize,
    /// Over how much time hosts begin.
    pub spread: Duration,
    /// Another one, other places.
    pub seed: u64,
}

impl Lookout {
    /// A lookout that knows our issuers: those that are configured, and all that the store remembers.
    ///
    /// # Errors
    /// What the database could not do.
    pub async fn new(
        prober: Prober,
        configured: Vec<Authority>,
        public: Public,
        thresholds: Thresholds,
        store: &Store,
    ) -> Result<Self, Error> {
        let mut authorities = configured;
        for issuer in store.issuers().await? {
            if authorities.iter().any(|known| known.id == issuer.id) {
                continue;
            }
            let chain = certificates(&issuer.chain);
            let chain = if chain.is_empty() { vec![issuer.certificate] } else { chain };
            match Authority::new(&issuer.id, &chain) {
                Ok(authority) => authorities.push(authority),
                Err(why) => tracing::warn!(%why, "an issuer in the store is of no use to probes"),
            }
        }
        Ok(Self { prober, authorities: authorities.into(), public, thresholds })
    }

    /// Looks at one target, and judges each of its addresses. What is wrong with it as a whole (no address, addresses
    /// that differ, an address that is not the one of the last validation) is a sight without an address.
    ///
    /// # Errors
    /// What the database could not do. What the network does not do is a sight.
    pub async fn look(
        &self,
        store: &Store,
        directory: &Directory,
        target: &Target,
        now: Timestamp,
    ) -> Result<Vec<Sight>, Error> {
        let look = self.prober.look(target).await;
        let current = directory.covering(&target.covered());
        let seen = match &look.seen {
            Ok(seen) => seen,
            Err((reason, why)) => {
                let is_absent = matches!(reason, Reason::Nxdomain | Reason::Nodata);
                let sight = sight(target, None, judge::no_address(target, why), now);
                return Ok(vec![Sight { is_absent, ..sight }]);
            }
        };
        let mut sights = Vec::new();
        let mut verdicts = Vec::new();
        for one in seen {
            let record = match serial(&one.outcome) {
                Some(serial) => store.issued(&serial).await?.as_ref().map(record),
                None => None,
            };
            let own = directory.thresholds(named(target, record.as_ref(), &current).as_slice());
            let known = Known { record, current: current.clone(), thresholds: self.thresholds, own };
            let judgement = judge(target, &one.outcome, &self.authorities, &self.public, &known, now);
            verdicts.push((one.clone(), judgement.verdict));
            sights.push(sight(target, Some(one), judgement, now));
        }
        let whole = match judge::together(&verdicts) {
            None if verdicts.iter().all(|(_, verdict)| *verdict == Verdict::Ok) => None,
            None => self.drift(store, directory, &look).await?,
            mixed => mixed,
        };
        sights.extend(whole.map(|judgement| sight(target, None, judgement, now)));
        Ok(sights)
    }

    /// Whether the name leads elsewhere than when it was last validated. Not asked where everything is well: a host that
    /// holds the key of the newest certificate is the right one, wherever it is.
    async fn drift(
        &self,
        store: &Store,
        directory: &Directory,
        look: &Look,
    ) -> Result<Option<Judgement>, Error> {
        let (Identifier::Dns(name), Ok(seen)) = (&look.target.host, &look.seen) else { return Ok(None) };
        let covering = directory.covering(&look.target.host);
        let newest = covering.iter().max_by_key(|it| it.issued_at).and_then(|it| it.account.as_deref());
        let Some(account) = newest.and_then(AccountId::parse).filter(|_| look.target.connect.is_empty())
        else {
            return Ok(None);
        };
        let Some(evidence) = store.last_evidence(&account, name.as_str()).await? else { return Ok(None) };
        let mut validated: Vec<IpAddr> = evidence.dials.iter().map(|dial| dial.address.ip()).collect();
        validated.extend(evidence.lookups.iter().flat_map(|lookup| &lookup.addresses));
        validated.sort_unstable();
        validated.dedup();
        let resolved: Vec<IpAddr> = seen.iter().map(|one| one.address.ip()).collect();
        Ok(judge::drift(&resolved, &validated))
    }

    /// Looks at many targets, at most [`Pace::concurrency`] hosts at once and the targets of one host one after the
    /// other. Every look is judged by the time at which it was done.
    ///
    /// # Errors
    /// What the database could not do, when the other looks are done.
    pub async fn pass(
        &self,
        store: &Store,
        directory: &Arc<Directory>,
        targets: &[Target],
        pace: Pace,
        clock: &Clock,
    ) -> Result<Vec<(Target, Vec<Sight>)>, Error> {
        let mut hosts: BTreeMap<&Identifier, Vec<Target>> = BTreeMap::new();
        for target in targets {
            hosts.entry(&target.host).or_default().push(target.clone());
        }
        let places = Arc::new(Semaphore::new(pace.concurrency.clamp(1, crate::probe::MOST_AT_ONCE)));
        let mut running = JoinSet::new();
        for (host, targets) in hosts {
            let (lookout, store, clock) = (self.clone(), store.clone(), clock.clone());
            let (directory, places) = (Arc::clone(directory), Arc::clone(&places));
            let delay = pace.delay(host);
            running.spawn(async move {
                tokio::time::sleep(delay).await;
                let _place = places.acquire_owned().await;
                let mut done = Vec::new();
                for target in targets {
                    let sights = lookout.look(&store, &directory, &target, clock.now()).await?;
                    done.push((target, sights));
                }
                Ok::<_, Error>(done)
            });
        }
        let (mut seen, mut failed) = (Vec::new(), None);
        while let Some(done) = running.join_next().await {
            match done {
                Ok(Ok(done)) => seen.extend(done),
                Ok(Err(error)) => failed = Some(error),
                Err(error) => failed = Some(Error::Internal { reason: format!("a probe was lost: {error}") }),
            }
        }
        failed.map_or(Ok(seen), Err)
    }
}

impl Pace {
    fn delay(&self, host: &Identifier) -> Duration {
        let mut octets = self.seed.to_be_bytes().to_vec();
        octets.extend(host.to_string().bytes());
        let place = u32::from_be_bytes(sha256(&octets)[..4].try_into().expect("four octets"));
        self.spread.mul_f64(f64::from(place) / f64::from(u32::MAX))
    }
}

/// Keeps what was seen, in one change. `all` are the targets that there are, when those that are gone are to be
/// forgotten.
///
/// # Errors
/// What the database could not do.
pub async fn keep(
    store: &Store,
    seen: &[(Target, Vec<Sight>)],
    all: Option<&[Target]>,
) -> Result<Vec<store::observation::Turn>, Error> {
    let rows = seen.iter().map(|(target, sights)| {
        let served = sights.iter().map(|sight| sight.served.clone()).collect();
        (target.key(), target.host.to_string(), served)
    });
    let all = all.map(|all| all.iter().map(Target::key).collect::<BTreeSet<_>>());
    store.write(KeepObservations { targets: rows.collect(), all }).await
}

/// The targets whose time it is: each was last looked at an interval ago, its own or that of all, or never. `looked` is
/// when, by [`Target::key`].
pub fn due<'t>(
    targets: &'t [Target],
    looked: &HashMap<String, Timestamp>,
    interval: Duration,
    now: Timestamp,
) -> Vec<&'t Target> {
    let is_due = |target: &&Target| match looked.get(&target.key()) {
        Some(last) => last.plus(target.interval.unwrap_or(interval)) <= now,
        None => true,
    };
    targets.iter().filter(is_due).collect()
}

/// The issuers that the CA has loaded.
///
/// # Errors
/// Which of them cannot be read.
pub fn authorities(ca: &Ca) -> Result<Vec<Authority>, String> {
    ca.issuers().iter().map(|issuer| Authority::new(issuer.id(), &certificates(issuer.chain_pem()))).collect()
}

/// The issuers that are configured, by their certificates alone: no key is opened.
///
/// # Errors
/// Which file cannot be read, or is of no use.
pub fn configured(settings: &ca::Settings) -> Result<Vec<Authority>, String> {
    let mut authorities = Vec::new();
    for issuer in &settings.issuers {
        let chain = ca::Certificate::read(&issuer.certificate).map_err(|error| error.to_string())?;
        let below_root = chain.iter().filter(|it| it.check_issued_by(it).is_err());
        let ders: Vec<Vec<u8>> = below_root.map(|it| it.der().to_vec()).collect();
        let id =
            chain.first().and_then(|first| first.key_id.as_deref()).map(acme::id::hex).unwrap_or_default();
        authorities.push(Authority::new(&id, &ders)?);
    }
    Ok(authorities)
}

fn certificates(pem: &str) -> Vec<Vec<u8>> {
    let blocks = Pem::iter_from_buffer(pem.as_bytes()).filter_map(Result::ok);
    blocks.filter(|block| block.label == "CERTIFICATE").map(|block| block.contents).collect()
}

fn leaf(outcome: &Outcome) -> Option<Facts> {
    match outcome {
        Outcome::Shown(shown) => shown.chain.first().and_then(|der| Facts::read(der).ok()),
        _ => None,
    }
}

fn serial(outcome: &Outcome) -> Option<Serial> {
    leaf(outcome).and_then(|leaf| Serial::parse(&leaf.serial))
}

fn record(issued: &Issued) -> Record {
    Record {
        der: issued.der.clone(),
        issuer: issued.issuer.clone(),
        names: names(&issued.names),
        account: issued.account.as_ref().map(|account| account.as_str().to_owned()),
        revoked_at: issued.revoked_at,
        successor: issued.successor.as_ref().map(successor),
    }
}

/// The set of names that speaks for a target: that of the certificate which is shown, else of the newest one for it.
fn named(target: &Target, record: Option<&Record>, current: &[Successor]) -> Vec<String> {
    let newest = || current.iter().max_by_key(|it| it.issued_at).map(|it| it.names.clone());
    let shown = record.map(|record| record.names.clone());
    shown.or_else(newest).unwrap_or_else(|| vec![target.covered().to_string()])
}

fn sight(target: &Target, seen: Option<&Seen>, judgement: Judgement, now: Timestamp) -> Sight {
    let leaf = seen.and_then(|seen| leaf(&seen.outcome));
    Sight {
        severity: judgement.severity,
        issuer: leaf.as_ref().map(|leaf| leaf.issuer.clone()),
        is_absent: false,
        served: Served {
            target: target.key(),
            address: seen.map(|seen| seen.address),
            verdict: judgement.verdict,
            since: now,
            at: now,
            samples: 1,
            serial: leaf.as_ref().map(|leaf| leaf.serial.clone()),
            spki: leaf.as_ref().map(|leaf| leaf.spki.clone()),
            not_after: leaf.as_ref().map(|leaf| leaf.not_after),
            product: judgement.product,
            detail: judgement.detail,
        },
    }
}
