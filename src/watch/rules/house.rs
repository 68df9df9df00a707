//! What is to be told of the CA itself: its chain, its lists, its own certificate, its keys and its store, the clock, the
//! name servers, the prober and the sinks.

use acme::lineage;
use acme::severity::Severity;
use acme::time::Timestamp;

use super::Condition;
use super::text::{count, left, lines, quote, span, title};
use crate::watch::ends::Near;
use crate::watch::facts::{Facts, Listener};
use crate::watch::room;
use crate::watch::rule::Rule;

/// What holds of the CA itself.
pub(super) fn conditions(facts: &Facts<'_>, now: Timestamp) -> Vec<Condition> {
    let mut conditions = Vec::new();
    conditions.extend(authorities(facts, now));
    conditions.extend(own(facts, now));
    conditions.extend(lists(facts, now));
    conditions.extend(works(facts, now));
    conditions.extend(clock(facts, now));
    conditions.extend(resolvers(facts, now));
    conditions.extend(prober(facts, now));
    conditions.extend(sinks(facts, now));
    conditions.extend(new_names(facts));
    conditions
}

fn condition<const N: usize>(
    (rule, key, severity): (Rule, String, Severity),
    since: Timestamp,
    now: Timestamp,
    words: &str,
    more: [String; N],
) -> Condition {
    Condition {
        rule,
        key,
        severity,
        title: title(words),
        lines: lines(more),
        names: Vec::new(),
        owner: None,
        since,
        seen_at: now,
        covers: Vec::new(),
        cause: None,
        inhibited_by: None,
        is_muted: false,
    }
}

fn authorities(facts: &Facts<'_>, now: Timestamp) -> Vec<Condition> {
    let limits = Near::authority(facts.longest);
    let near = facts.authorities.unwrap_or_default().iter().filter_map(|authority| {
        let (severity, since) = limits.judge(authority.not_after, now)?;
        let what = if authority.is_root { "root" } else { "issuer" };
        Some(condition(
            (Rule::CaChainExpiring, format!("ca:{}", authority.key_id), severity),
            since,
            now,
            &format!("The {what} {} ends: {}", quote(&authority.name), left(authority.not_after, now)),
            [
                format!("valid to {}", authority.not_after),
                "certificates that would outlive it are cut short; after it none is trusted".into(),
                if authority.is_root {
                    "a new root has to reach every client first: begin now".into()
                } else {
                    "make a new issuer in the ceremony and add it as [[ca.issuer]]: ca-ctl --help".into()
                },
            ],
        ))
    });
    near.collect()
}

fn own(facts: &Facts<'_>, now: Timestamp) -> Option<Condition> {
    let own = facts.own?;
    let used = acme::renewal::used(own.not_before, own.not_after, now);
    let why = own.trouble.as_ref().map(|trouble| quote(&trouble.what));
    let (since, what) = match (&own.shown, &own.trouble) {
        (Listener::Bad(shown), _) => (shown.since, quote(&shown.what)),
        _ if used >= 0.8 => {
            let lifetime = own.not_after.seconds_since(own.not_before);
            (
                Timestamp::from_unix(own.not_before.unix() + lifetime / 5 * 4),
                format!("{:.0} % are used, and it was not renewed", used * 100.0),
            )
        }
        // It is tried every few seconds, from half its life on: there is time for a store that is busy.
        (_, Some(trouble)) if now.seconds_since(trouble.since) >= HOUR => {
            (trouble.since, "it cannot be renewed".to_owned())
        }
        _ => return None,
    };
    Some(condition(
        (Rule::CaServerCert, "ca:server".into(), Severity::Urgent),
        since,
        now,
        &format!("The CA's own certificate is not well: {}", left(own.not_after, now)),
        [
            "clients cannot renew when they do not trust the CA's own server".into(),
            format!("since {since}: {what}"),
            why.unwrap_or_else(|| "it is issued in process: look into the journal of acme-ca".into()),
        ],
    ))
}

fn lists(facts: &Facts<'_>, now: Timestamp) -> Vec<Condition> {
    let old = facts.lists.unwrap_or_default().iter().filter_map(|list| {
        let limits = Near::list(list.this_update, list.next_update);
        let (severity, since) = limits.judge(list.next_update, now)?;
        Some(condition(
            (Rule::CrlStale, format!("crl:{}", list.issuer), severity),
            since,
            now,
            &format!("Revocation list of {} is old: {}", quote(&list.issuer), left(list.next_update, now)),
            [
                format!("made at {}, due for renewal before {}", list.this_update, list.next_update),
                "past its time, clients that check revocation refuse every certificate of this issuer".into(),
                "the reason is in the journal of acme-ca".into(),
            ],
        ))
    });
    old.collect()
}

/// The key of what is told of the store's disk.
pub(super) const DISK: &str = "store:disk";

fn works(facts: &Facts<'_>, now: Timestamp) -> Vec<Condition> {
    let signer = facts.signer.and_then(|health| health.trouble.as_ref()).map(|trouble| {
        condition(
            (Rule::SignerFailing, "signer".into(), Severity::Urgent),
            trouble.since,
            now,
            "The CA cannot sign",
            [
                "nothing can be issued or renewed".into(),
                format!("since {}: {}", trouble.since, quote(&trouble.what)),
                "look at the key file, its permissions and its passphrase".into(),
            ],
        )
    });
    let store = facts.store.and_then(|health| health.trouble.as_ref()).map(|trouble| {
        condition(
            (Rule::StoreTrouble, "store:write".into(), Severity::Urgent),
            trouble.since,
            now,
            "The CA cannot write to its store",
            [
                "nothing can be issued or renewed".into(),
                format!("since {}: {}", trouble.since, quote(&trouble.what)),
                "look at the disk and the database: df -h; the journal of acme-ca".into(),
            ],
        )
    });
    let room = facts.room.filter(|room| room::is_little(*room)).map(|room| {
        condition(
            (Rule::StoreTrouble, DISK.into(), Severity::Warning),
            now,
            now,
            "The disk of the CA's store is nearly full",
            [
                "a full disk takes no order: nothing could be issued or renewed".into(),
                room::said(room),
                "try: df -h; the store itself grows by some kilobytes a certificate".into(),
            ],
        )
    });
    signer.into_iter().chain(store).chain(room).collect()
}

fn clock(facts: &Facts<'_>, now: Timestamp) -> Option<Condition> {
    let clock = facts.clock?;
    let step = clock.step.filter(|(_, seconds)| seconds.unsigned_abs() > 30);
    let alone = clock.unsynchronised_since.filter(|since| now.seconds_since(*since) > 10 * 60);
    let (since, what, severity) = match (step, alone) {
        (Some((at, seconds)), _) => {
            let far = seconds.unsigned_abs() > 5 * 60;
            let way = if seconds < 0 { "back" } else { "forward" };
            let severity = if far { Severity::Urgent } else { Severity::Warning };
            (at, format!("it went {} s {way} at once", seconds.unsigned_abs()), severity)
        }
        (None, Some(since)) => (since, "nothing keeps it in step".into(), Severity::Warning),
        (None, None) => return None,
    };
    Some(condition(
        (Rule::ClockSuspect, "clock".into(), severity),
        since,
        now,
        &format!("The CA's clock is not to be trusted: {what}"),
        [
            "certificates get wrong dates, and nonces and orders wrong ends".into(),
            format!("since {since}"),
            "try: timedatectl; a time server by name needs DNS".into(),
        ],
    ))
}

fn resolvers(facts: &Facts<'_>, now: Timestamp) -> Vec<Condition> {
    let bad = facts.resolvers.unwrap_or_default().iter().filter(|resolver| resolver.failures >= 3);
    bad.map(|resolver| Condition {
        cause: Some(format!("dns:{}", resolver.server)),
        ..condition(
            (Rule::ResolverUnhealthy, format!("resolver:{}", resolver.server), Severity::Critical),
            resolver.since,
            now,
            &format!("Resolver {} does not answer as it must", quote(&resolver.server)),
            [
                "validations will fail".into(),
                format!(
                    "since {}, {} in a row",
                    resolver.since,
                    count(resolver.failures as usize, "failure")
                ),
                quote(&resolver.answer),
                "try: ca-ctl resolve NAME; to go round it, add a pin under [resolver.pins] and reload".into(),
            ],
        )
    })
    .collect()
}

fn prober(facts: &Facts<'_>, now: Timestamp) -> Option<Condition> {
    let prober = facts.prober?;
    let since = prober.last_pass.plus(prober.interval * 3);
    (now > since).then(|| {
        condition(
            (Rule::ProberStalled, "prober".into(), Severity::Warning),
            since,
            now,
            &format!("Nothing was probed for {}", span(prober.last_pass, now)),
            [
                "what servers really serve is not known".into(),
                format!("the last pass ended at {}", prober.last_pass),
                "the reason is in the journal of acme-ca".into(),
            ],
        )
    })
}

fn sinks(facts: &Facts<'_>, now: Timestamp) -> Vec<Condition> {
    let bad = facts.sinks.unwrap_or_default().iter().filter_map(|sink| {
        let waits = sink.oldest.map(|at| at.plus(std::time::Duration::from_secs(15 * 60)));
        let waits = waits.filter(|late| now > *late);
        let since = sink.broken.as_ref().map(|trouble| trouble.since).or(waits)?;
        let why = sink.broken.as_ref().map(|trouble| quote(&trouble.what)).unwrap_or_default();
        Some(condition(
            (Rule::AlertDeliveryFailing, format!("sink:{}", sink.name), Severity::Critical),
            since,
            now,
            &format!("Alerts do not reach {}: {} waiting", quote(&sink.name), sink.waiting),
            [
                format!("since {since}; the next sink of the list has them"),
                why,
                format!("try: ca-ctl alerts test --sink {}", sink.name),
            ],
        ))
    });
    bad.collect()
}

fn new_names(facts: &Facts<'_>) -> Vec<Condition> {
    let fresh = facts.new_names.iter().map(|new| {
        let key = lineage::key(&new.names);
        Condition {
            names: new.names.clone(),
            owner: new.owner.clone(),
            covers: vec![key.clone()],
            ..condition(
                (
                    Rule::NewNameIssued,
                    format!("new:{key}"),
                    if new.is_outside { Severity::Warning } else { Severity::Info },
                ),
                new.at,
                new.at,
                &format!("{} has its first certificate", lineage::title(&new.names)),
                [
                    if new.is_outside { "no other name stands in its zone".into() } else { String::new() },
                    format!("issued at {}", new.at),
                    format!("not yours? ca-ctl show {}", new.names.first().map_or("NAME", String::as_str)),
                ],
            )
        }
    });
    fresh.collect()
}

const HOUR: i64 = 3_600;
