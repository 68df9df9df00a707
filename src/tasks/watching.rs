//! Watching on a timer: what is served, what holds, and who is told. Each of the three goes on by itself, so that a host
//! that does not answer keeps no alert from being told, and a sink that does not keeps nothing from being seen.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use acme::identifier::Identifier;
use acme::time::Timestamp;
use acme::verdict::Verdict;
use anyhow::Context as _;
use store::alert::PruneAlerts;
use store::observation::Turn;
use store::outbox::PruneMessages;
use tokio::sync::watch;

use super::chore::Chore;
use super::every;
use crate::app::{App, Live};
use crate::notify::{self, Kind, Message};
use crate::probe::{Prober, Target};
use crate::resolver::Targets;
use crate::watch::deliver;
use crate::watch::directory::{self, Directory};
use crate::watch::facts::{Authority, ListAge, Listener, OwnCertificate};
use crate::watch::look::{self, Lookout, Pace};
use crate::watch::pins;
use crate::watch::round::{self, Scene};

/// Runs until `stop` says so. A round that is under way then is ended; the next start does it again.
pub async fn run(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let mut probing = Chore::new("probing");
    let mut judging = Chore::new("judging what is known");
    let mut telling = Chore::new("telling");
    let (mut look, mut judge, mut tell) = (every(LOOK), every(ROUND), every(TELL));
    loop {
        tokio::select! {
            () = crate::stopped(&mut stop) => break,
            _ = look.tick() => probing.begin(probe_logged(Arc::clone(&app))).await,
            _ = judge.tick() => judging.begin(round_logged(Arc::clone(&app))).await,
            _ = tell.tick() => telling.begin(tell_logged(Arc::clone(&app))).await,
        }
    }
    // What was seen or told and not kept is seen and told again; only a delivery is given the time to be kept.
    tokio::join!(probing.stop(Duration::ZERO), judging.stop(Duration::ZERO), telling.stop(GRACE));
}

/// Looks at every target whose time it is, and keeps what was seen.
///
/// # Errors
/// What the store could not do, or an issuer's certificate that cannot be read.
pub async fn probe(app: &Arc<App>) -> anyhow::Result<()> {
    probe_within(app, Duration::ZERO).await
}

/// The same, with the looks of a pass spread over some time.
async fn probe_within(app: &Arc<App>, spread: Duration) -> anyhow::Result<()> {
    let _turn = app.vigil.turns.look.lock().await;
    let live = app.live();
    let now = app.clock.now();
    let settings = &live.config.probe;
    let directory = Directory::read(&app.store).await?;
    let mut targets = directory.targets(settings, now);
    targets.extend(never_issued(app, &live, &targets, now).await?);
    targets.extend(sinks(&live, &targets));
    let looked = app.vigil.looked();
    let due: Vec<Target> =
        look::due(&targets, &looked, settings.interval, now).into_iter().cloned().collect();
    if !due.is_empty() {
        let lookout = lookout(app, &live).await?;
        let seed = u64::from_be_bytes(crate::random());
        let pace =
            Pace { concurrency: settings.concurrency, spread: spread.min(settings.interval / 20), seed };
        let seen = lookout.pass(&app.store, &Arc::new(directory), &due, pace, &app.clock).await?;
        let turns = look::keep(&app.store, &seen, Some(&targets)).await?;
        let is_new = |key: &str| turns.iter().any(|turn| turn.target == key && turn.verdict != Verdict::Ok);
        // What is found for the first time and is not well is looked at again soon: two looks make an alert.
        let soon = settings.interval.saturating_sub(AGAIN);
        let done = seen.iter().map(|(target, _)| {
            let key = target.key();
            let at = if is_new(&key) { now.minus(soon) } else { now };
            (key, at)
        });
        app.vigil.looked_at(done);
        let answered =
            seen.iter().map(|(target, sights)| (target.key(), sights.iter().any(|sight| sight.is_absent)));
        app.vigil.answered(answered, now);
        for turn in &turns {
            tell_turn(turn);
        }
        let resolver = live.validator.resolver();
        let pinned = pins::pinned(resolver, &due);
        app.vigil.compared(pins::compare(resolver, pinned).await, app.clock.now());
    }
    app.vigil.passed(app.clock.now());
    Ok(())
}

/// Judges what is known, and puts what is to be told into the outbox: how many messages.
///
/// # Errors
/// What the store could not do; whom that concerns was told then, without it.
pub async fn judge(app: &Arc<App>) -> anyhow::Result<usize> {
    let _turn = app.vigil.turns.judge.lock().await;
    let live = app.live();
    let now = app.clock.now();
    let scene = Scene {
        store: &app.store,
        clock: &app.clock,
        resolver: live.validator.resolver(),
        alerts: &live.config.alerts,
        thresholds: live.config.renewal,
        authorities: authorities(&live),
        longest: live
            .config
            .policy
            .profiles
            .values()
            .map(|profile| profile.lifetime)
            .max()
            .unwrap_or_default(),
        own: app.own().map(|own| OwnCertificate {
            not_before: own.not_before,
            not_after: own.not_after,
            trouble: app.vigil.own().trouble,
            shown: Listener::Unwatched,
        }),
        own_at: live.config.probe.own.map(|own| directory::own(app.host.clone(), own)),
        lists: lists(app, &live),
        probed_every: live.config.probe.interval.max(LOOK),
        started: app.started,
    };
    let judged = round::round(&app.vigil, &scene).await;
    match judged {
        Ok(told) => {
            app.vigil.kept();
            if let Some(since) = app.vigil.told_without() {
                tell_directly(&live, &store_works(&app.host, since, now), now).await;
            }
            Ok(told)
        }
        Err(error) => {
            app.vigil.keeping_failed(&error.to_string(), now);
            // The outbox lies in the store that does not work.
            if app.vigil.is_to_be_told_without(now) {
                let what = error.to_string();
                tell_directly(&live, &store_fails(&app.host, &what, now), now).await;
            }
            Err(error.into())
        }
    }
}

/// Tells everybody what waits for them.
///
/// # Errors
/// What the store could not do.
pub async fn tell(app: &Arc<App>) -> anyhow::Result<deliver::Report> {
    let _turn = app.vigil.turns.tell.lock().await;
    Ok(deliver::deliver_due(&app.store, &app.live().notifier, app.clock.now()).await?)
}

/// A start or a reload may have brought what a sink wants: it is tried again.
pub async fn release_sinks(app: &App) {
    if let Err(error) = deliver::release(&app.store, None).await {
        tracing::warn!(%error, "sinks that were left alone are tried when it is their time");
    }
}

/// Removes alerts and messages that are long over.
pub(super) async fn tidy(app: &App, before: Timestamp) -> Result<(), store::Error> {
    app.store.write(PruneAlerts { before, limit: PRUNED }).await?;
    app.store.write(PruneMessages { before, limit: PRUNED }).await?;
    Ok(())
}

fn tell_turn(turn: &Turn) {
    let (before, verdict) = (turn.before.map_or("-", Verdict::as_str), turn.verdict.as_str());
    let (target, address) =
        (&turn.target, turn.address.map(|address| address.to_string()).unwrap_or_default());
    match turn.verdict {
        Verdict::Ok | Verdict::OkPrevious => {
            tracing::info!(event = "probe", target, address, before, verdict, "{}", turn.detail);
        }
        _ => tracing::warn!(event = "probe", target, address, before, verdict, "{}", turn.detail),
    }
}

async fn probe_logged(app: Arc<App>) {
    // At the start nobody has been looked at for a while.
    let spread = if app.vigil.last_pass().is_some() { SPREAD } else { Duration::ZERO };
    if let Err(error) = probe_within(&app, spread).await {
        tracing::error!(error = format!("{error:#}"), "what is served could not be looked at; tried again");
    }
}

async fn round_logged(app: Arc<App>) {
    if let Err(error) = judge(&app).await {
        tracing::error!(error = format!("{error:#}"), "what is known could not be judged; tried again");
    }
}

async fn tell_logged(app: Arc<App>) {
    if let Err(error) = tell(&app).await {
        tracing::error!(error = format!("{error:#}"), "nobody could be told what waits; tried again");
    }
}

async fn lookout(app: &App, live: &Live) -> anyhow::Result<Lookout> {
    let vetting = Targets::new(live.config.validation.allow_networks.clone());
    let prober = Prober::new(Arc::clone(live.validator.resolver()), vetting, live.config.probe.timeout);
    let ours = look::authorities(&live.ca).map_err(anyhow::Error::msg).context("the issuers")?;
    Ok(Lookout::new(prober, ours, app.public.clone(), live.config.renewal, &app.store).await?)
}

/// Names whose orders failed and that never had a certificate: what they serve instead is what their visitors meet.
async fn never_issued(
    app: &App,
    live: &Live,
    known: &[Target],
    now: Timestamp,
) -> Result<Vec<Target>, store::Error> {
    let settings = &live.config.probe;
    if !settings.auto {
        return Ok(Vec::new());
    }
    let failed = app.store.recent(now.minus(FAILED), MOST_FAILED).await?.failed;
    let names: BTreeSet<String> = failed.into_iter().flat_map(|order| order.names).collect();
    let host = |name: String| Identifier::written(&name).ok();
    let is_wanted = |host: &Identifier| {
        !host.is_wildcard()
            && settings.skip.iter().all(|skip| !skip.covers(host))
            && known.iter().all(|target| target.host != *host)
    };
    Ok(names
        .into_iter()
        .filter_map(host)
        .filter(is_wanted)
        .map(|host| Target::new(host, settings.port))
        .collect())
}

/// The servers of our own alerts, where they need a certificate of ours: nobody hears of anything when it is broken.
fn sinks(live: &Live, known: &[Target]) -> Vec<Target> {
    let servers = live.config.alerts.tls_servers().into_iter();
    let target = |(host, port): (String, u16)| {
        let host = Identifier::written(&host).ok()?;
        Some(Target::new(host, port)).filter(|target| known.iter().all(|other| other.key() != target.key()))
    };
    servers.filter_map(target).collect()
}

fn authorities(live: &Live) -> Vec<Authority> {
    let issuer = |issuer: &crate::ca::Issuer| Authority {
        key_id: issuer.id().to_owned(),
        name: issuer.name().to_owned(),
        not_after: issuer.not_after(),
        is_root: false,
    };
    let root = live.ca.root();
    let root = Authority {
        key_id: root.key_id.as_deref().map(acme::id::hex).unwrap_or_default(),
        name: root.name.clone(),
        not_after: root.not_after,
        is_root: true,
    };
    live.ca.issuers().iter().map(issuer).chain([root]).collect()
}

fn lists(app: &App, live: &Live) -> Vec<ListAge> {
    let of = |issuer: &crate::ca::Issuer| {
        let list = app.lists.of(issuer.id())?;
        let (this_update, next_update) = (list.this_update, list.next_update);
        Some(ListAge { issuer: issuer.id().to_owned(), this_update, next_update })
    };
    live.ca.issuers().iter().filter(|issuer| issuer.signs_lists()).filter_map(of).collect()
}

/// Tells the first sink that takes it, without the outbox.
async fn tell_directly(live: &Live, message: &Message, now: Timestamp) {
    notify::critical(&message.one_line());
    for sink in &live.notifier.settings.sinks {
        if !sink.wants(message) {
            continue;
        }
        let outcome = live.notifier.send(sink, message, notify::Form::Full, false, now).await;
        if outcome.as_str() == "delivered" {
            return;
        }
    }
}

fn store_fails(host: &Identifier, what: &str, now: Timestamp) -> Message {
    let what = acme::problem::plain(what, 120);
    Message {
        key: STORE.to_owned(),
        kind: Kind::Firing,
        rule: "StoreTrouble".to_owned(),
        severity: acme::severity::Severity::Urgent,
        title: format!("{host}: the CA cannot use its store"),
        lines: vec![
            format!("since {now}: {what}"),
            "no certificate is issued, and nothing that happens is kept".to_owned(),
            "try: ca-ctl status, then the disk and the database".to_owned(),
        ],
        names: vec![host.to_string()],
        owner: None,
        since: now,
        at: now,
    }
}

fn store_works(host: &Identifier, since: Timestamp, now: Timestamp) -> Message {
    let lines = vec![format!("it did not work since {since}")];
    Message {
        kind: Kind::Resolved,
        title: format!("{host}: the CA's store works again"),
        lines,
        since,
        ..store_fails(host, "", now)
    }
}

/// The same key as the rule's: what began without the outbox may end in it.
const STORE: &str = "store:write";
/// For how long a name is looked at whose orders only failed, and how many orders are asked for.
const FAILED: Duration = Duration::from_secs(30 * 86_400);
const MOST_FAILED: u32 = 1_000;
/// How many rows of a kind go at once; the rest waits for the next time.
const PRUNED: u32 = 2_000;
/// How soon something is looked at again that was found not to be well.
const AGAIN: Duration = Duration::from_secs(65);
/// How often is asked which targets are due.
const LOOK: Duration = Duration::from_secs(30);
/// How often what is known is judged.
const ROUND: Duration = Duration::from_secs(15);
/// How often the outbox is looked at.
const TELL: Duration = Duration::from_secs(5);
/// Over how much time the looks of a pass are spread, and a tenth of the interval at most.
const SPREAD: Duration = Duration::from_secs(30);
const GRACE: Duration = Duration::from_secs(5);
