//! `explain`: where the renewal of a name stopped. Polled, ordered, validated, issued, downloaded, served: each step with
//! its evidence; the first that is missing names the fault.

use acme::failure::{Failure, Phase, Reason};
use acme::id::{OrderId, Serial};
use acme::lineage::{Lineage, Outcome};
use acme::order::AuthorizationStatus;
use acme::problem::plain;
use acme::renewal::{State, Thresholds};
use acme::time::Timestamp;
use acme::verdict::Verdict;
use anyhow::bail;
use clap::Args;
use serde::Serialize;
use store::Store;
use store::authorization::Authorization;
use store::certificate::Revocation;
use store::order::Order;

use super::names;
use super::output::Output;
use super::span::{ago, left};
use super::standing::{Judged, is_served_well, worst};

/// Where the renewal of a name stopped, why, and what to do
#[derive(Args)]
pub(super) struct Explain {
    /// A name or address, or an order
    #[arg(value_name = "NAME|ORDER")]
    what: String,
}

/// A lineage as `--json` tells of it. Fields are only ever added.
#[derive(Serialize)]
struct Item {
    name: String,
    names: Vec<String>,
    standing: &'static str,
    steps: Vec<Step>,
    /// The first step that is missing.
    fault: Option<&'static str>,
    /// What that means.
    conclusion: String,
    /// The command that helps.
    next: Option<String>,
}

#[derive(Serialize)]
struct Step {
    step: &'static str,
    state: Progress,
    at: Option<Timestamp>,
    evidence: Vec<String>,
}

/// How far a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Progress {
    /// It happened.
    Done,
    /// It is under way.
    Waiting,
    /// It should have happened.
    Missing,
    /// It was tried, and failed.
    Failed,
    /// Nobody knows, or it is not its time.
    Unknown,
}

/// What is known of a lineage's last order, or of the one that was asked about.
struct Tried {
    order: Order,
    authorizations: Vec<Authorization>,
}

/// The last certificate of a lineage that has none in use: it was revoked.
struct Revoked {
    serial: Serial,
    revocation: Revocation,
}

impl Explain {
    pub(super) async fn run(
        self,
        store: &Store,
        thresholds: Thresholds,
        mut output: Output<'_>,
    ) -> anyhow::Result<()> {
        let now = output.now;
        let mut items = Vec::new();
        // People have the URL.
        let order = self.what.rsplit('/').next().and_then(OrderId::parse);
        if let Some(order) = order {
            let Some((order, authorizations)) = store.order_with_authorizations(&order).await? else {
                bail!("there is no order {order}; `ca-ctl orders` shows the last ones");
            };
            let lineages = store.lineages_of(&order.names, now).await?;
            let lineage = lineages.into_iter().find(|lineage| !lineage.is_own).unwrap_or_default();
            let judged = Judged::new(lineage, thresholds, now);
            let revoked = revoked(store, &judged.lineage).await?;
            items.push(item(&judged, Some(&Tried { order, authorizations }), revoked.as_ref(), true, now));
        } else {
            for judged in names::known(store, &self.what, thresholds, now).await? {
                let last = judged.lineage.attempt.as_ref().map(|attempt| attempt.order.clone());
                let tried = match last {
                    Some(order) => store.order_with_authorizations(&order).await?,
                    None => None,
                };
                let tried = tried.map(|(order, authorizations)| Tried { order, authorizations });
                let revoked = revoked(store, &judged.lineage).await?;
                items.push(item(&judged, tried.as_ref(), revoked.as_ref(), false, now));
            }
        }
        if output.json {
            return output.envelope("explain", &items);
        }
        for item in &items {
            output.line(&format!("{} is {}", item.names.join(" "), item.standing))?;
            for step in &item.steps {
                let mark = step.state.mark();
                let when = step.at.map(|at| format!("{}, {at}", ago(at, now)));
                let mut lines = when.into_iter().chain(step.evidence.iter().cloned());
                let first = lines.next().unwrap_or_default();
                output.hung(&format!("  {:<11} {mark:<8} ", step.step), &first)?;
                for line in lines {
                    output.hung(&format!("  {:<11} {:<8} ", "", ""), &line)?;
                }
            }
            output.hung(&format!("  {:<11} ", "so"), &item.conclusion)?;
            // A command stays on its line, to be copied.
            if let Some(next) = &item.next {
                output.line(&format!("  {:<11} {next}", "next"))?;
            }
        }
        Ok(())
    }
}

/// The revocation that left a lineage without a certificate.
async fn revoked(store: &Store, lineage: &Lineage) -> anyhow::Result<Option<Revoked>> {
    let Some(revoked) = &lineage.revoked else { return Ok(None) };
    let found = store.certificates_with_serials(std::slice::from_ref(&revoked.serial)).await?;
    let revoked =
        found.into_iter().find_map(|it| Some(Revoked { serial: it.serial, revocation: it.revocation? }));
    Ok(revoked)
}

fn item(
    judged: &Judged,
    tried: Option<&Tried>,
    revoked: Option<&Revoked>,
    is_of_order: bool,
    now: Timestamp,
) -> Item {
    let lineage = &judged.lineage;
    let names = match tried {
        Some(tried) if lineage.names.is_empty() => tried.order.names.split(',').map(str::to_owned).collect(),
        _ => lineage.names.clone(),
    };
    let name = names.first().cloned().unwrap_or_default();
    let steps = if lineage.is_own {
        vec![issued(judged, tried, revoked, is_of_order), served(judged, now)]
    } else {
        vec![
            polled(judged),
            ordered(judged, tried, now),
            validated(judged, tried, now),
            issued(judged, tried, revoked, is_of_order),
            downloaded(judged, now),
            served(judged, now),
        ]
    };
    let fault = steps.iter().find(|step| matches!(step.state, Progress::Missing | Progress::Failed));
    let (conclusion, next) = match fault {
        Some(step) => conclude(step, judged, tried, revoked, &name, now),
        None => (well(judged, &steps), None),
    };
    let (conclusion, next) = match lineage.care.forgotten_at {
        Some(at) => (
            format!("it was forgotten {}: no renewal is expected until it is ordered again", ago(at, now)),
            None,
        ),
        None => (conclusion, next),
    };
    Item {
        standing: judged.word.as_str(),
        fault: fault.map(|step| step.step),
        steps,
        conclusion,
        next,
        name,
        names,
    }
}

/// The client's question when to renew, RFC 9773: a sign of life.
fn polled(judged: &Judged) -> Step {
    let lineage = &judged.lineage;
    let state = match (lineage.polled_at, judged.silent_since()) {
        (_, Some(_)) => Progress::Missing,
        (Some(_), None) => Progress::Done,
        (None, None) => Progress::Unknown,
    };
    let mut evidence = Vec::new();
    match (lineage.polled_at, lineage.polled_every) {
        (None, _) => evidence.push("its client never asked when to renew; not all do".to_owned()),
        (Some(_), Some(every)) => {
            let every = left(Timestamp::EPOCH.plus(every), Timestamp::EPOCH);
            evidence.push(format!("its client asks every {every} or so"));
        }
        (Some(_), None) => {}
    }
    Step { step: "polled", state, at: lineage.polled_at, evidence }
}

fn ordered(judged: &Judged, tried: Option<&Tried>, now: Timestamp) -> Step {
    let lineage = &judged.lineage;
    let is_late = judged.standing.is_some_and(|standing| standing.state >= State::Late);
    let issued_at = lineage.current.as_ref().map(|current| current.issued_at);
    let at = tried.map(|tried| tried.order.created_at);
    // The order of the certificate that is there is no order for the next one.
    let since = at.filter(|at| issued_at.is_none_or(|issued| *at > issued));
    let outcome = lineage.attempt.as_ref().map(|attempt| attempt.outcome);
    let is_next = since.is_some() || matches!(outcome, Some(Outcome::Failed | Outcome::Open));
    let mut evidence = Vec::new();
    if let Some(tried) = tried {
        evidence.push(format!("order {} by account {}", tried.order.id, tried.order.account));
    }
    let state = if is_late && !is_next {
        if let Some(standing) = judged.standing {
            evidence.push(format!(
                "no order since; the renewal was due {}, expected until {}",
                ago(standing.due, now),
                standing.expected
            ));
        }
        Progress::Missing
    } else if tried.is_some() {
        Progress::Done
    } else {
        evidence.push("no order is kept".to_owned());
        Progress::Unknown
    };
    if lineage.failures.count > 1 {
        let since = lineage.failures.since.map(|since| format!(", the first of them {}", ago(since, now)));
        evidence.push(format!("{} failed in a row{}", lineage.failures.count, since.unwrap_or_default()));
    }
    Step { step: "ordered", state, at, evidence }
}

fn validated(judged: &Judged, tried: Option<&Tried>, now: Timestamp) -> Step {
    let step = |state, at, evidence| Step { step: "validated", state, at, evidence };
    let Some(Tried { order, authorizations }) = tried else {
        let state = if judged.lineage.current.is_some() { Progress::Done } else { Progress::Unknown };
        return step(state, None, vec!["its order is not kept any more".to_owned()]);
    };
    let failed: Vec<&Authorization> =
        authorizations.iter().filter(|one| one.status == AuthorizationStatus::Invalid).collect();
    let waiting: Vec<&Authorization> =
        authorizations.iter().filter(|one| one.status == AuthorizationStatus::Pending).collect();
    if !failed.is_empty() {
        let at = failed.iter().filter_map(|one| one.attempted_at).max();
        let shown = failed.iter().take(SHOWN).flat_map(|one| evidence(one));
        let mut shown: Vec<String> = shown.collect();
        if failed.len() > SHOWN {
            shown.push(format!("and {} names more", failed.len() - SHOWN));
        }
        return step(Progress::Failed, at, shown);
    }
    if waiting.is_empty() {
        let at = authorizations.iter().filter_map(|one| one.validated_at).max();
        let by = authorizations.iter().filter_map(|one| one.attempted).map(|by| by.as_str()).next();
        return step(Progress::Done, at, by.map(|by| format!("by {by}")).into_iter().collect());
    }
    let is_over = order.expires_at <= now;
    let state = if is_over { Progress::Missing } else { Progress::Waiting };
    let mut shown = Vec::new();
    for one in waiting.iter().take(SHOWN) {
        if one.attempted.is_some() {
            shown.push(format!("{}: it is being validated", one.identifier));
            shown.extend(evidence(one));
        } else {
            shown.push(format!("{}: its client did not ask for the validation", one.identifier));
        }
    }
    step(state, None, shown)
}

/// What was done for a name, and what came of it.
fn evidence(authorization: &Authorization) -> Vec<String> {
    let Some(failure) = &authorization.error else { return Vec::new() };
    let by = authorization.attempted.map(|by| format!(" by {}", by.as_str())).unwrap_or_default();
    let mut lines = vec![format!(
        "{}{by}: {} {}: {}",
        authorization.identifier,
        failure.phase.as_str(),
        failure.reason.as_str(),
        failure.detail
    )];
    for lookup in failure.evidence.lookups.iter().take(STEPS) {
        let addresses: Vec<String> = lookup.addresses.iter().map(ToString::to_string).collect();
        lines.push(format!(
            "asked {} for {} {}: {}{} ({} ms)",
            lookup.server,
            lookup.name,
            lookup.record,
            lookup.said(),
            if addresses.is_empty() { String::new() } else { format!(", {}", addresses.join(" ")) },
            lookup.millis
        ));
    }
    for dial in failure.evidence.dials.iter().take(STEPS) {
        let answer = match (dial.status, &dial.error) {
            (Some(status), _) => status.to_string(),
            (None, Some(error)) => error.clone(),
            (None, None) => "no answer".to_owned(),
        };
        lines.push(format!("went to {} for {}: {answer} ({} ms)", dial.address, dial.url, dial.millis));
    }
    if let Some(bytes) = &failure.first_bytes {
        lines.push(format!("it began with '{}'", plain(bytes, 64)));
    }
    lines
}

fn issued(judged: &Judged, tried: Option<&Tried>, revoked: Option<&Revoked>, is_of_order: bool) -> Step {
    let current = judged.lineage.current.as_ref();
    let order = tried.map(|tried| &tried.order);
    let mut evidence = Vec::new();
    if let Some(problem) = order.and_then(|order| order.error.as_ref()) {
        evidence.push(format!("the client was told: {}", problem.detail));
    }
    if is_of_order {
        let serial = order.and_then(|order| order.serial.as_ref());
        evidence.extend(serial.map(|serial| format!("serial {serial}")));
        let revoked = revoked.filter(|revoked| Some(&revoked.serial) == serial);
        evidence.extend(revoked.map(|revoked| revoked.to_string()));
        let state = match (serial, order.is_some_and(|order| order.error.is_some())) {
            (Some(_), _) if revoked.is_some() => Progress::Missing,
            (Some(_), _) => Progress::Done,
            (None, true) => Progress::Failed,
            (None, false) => Progress::Waiting,
        };
        let at = current.filter(|current| Some(&current.serial) == serial).map(|current| current.issued_at);
        return Step { step: "issued", state, at, evidence };
    }
    evidence.extend(
        current.map(|current| format!("serial {}, valid until {}", current.serial, current.not_after)),
    );
    evidence.extend(revoked.map(|revoked| format!("serial {} {revoked}", revoked.serial)));
    let state = match (current, judged.lineage.attempt.as_ref().map(|attempt| attempt.outcome)) {
        (_, Some(Outcome::Failed)) => Progress::Failed,
        (_, Some(Outcome::Open)) => Progress::Waiting,
        (Some(_), _) => Progress::Done,
        (None, _) => Progress::Missing,
    };
    Step { step: "issued", state, at: current.map(|current| current.issued_at), evidence }
}

fn downloaded(judged: &Judged, now: Timestamp) -> Step {
    let step = |state, at, evidence: &str| {
        let evidence = if evidence.is_empty() { Vec::new() } else { vec![evidence.to_owned()] };
        Step { step: "downloaded", state, at, evidence }
    };
    let Some(current) = &judged.lineage.current else {
        return step(Progress::Unknown, None, "there is nothing to fetch");
    };
    let is_served = is_served_well(&judged.lineage.served);
    match (current.downloaded_at, is_served) {
        (Some(at), _) => step(Progress::Done, Some(at), ""),
        (None, Some(true)) => step(Progress::Done, None, "not seen; but it is served"),
        (None, _) if now.seconds_since(current.issued_at) < NOTED => {
            step(Progress::Waiting, None, "not seen yet")
        }
        // Certificates from before this was noted.
        (None, None) => step(Progress::Unknown, None, "not seen"),
        (None, Some(false)) => step(Progress::Missing, None, "not seen"),
    }
}

fn served(judged: &Judged, now: Timestamp) -> Step {
    let served = &judged.lineage.served;
    let step = |state, at, evidence| Step { step: "served", state, at, evidence };
    let Some(worst) = worst(served) else {
        return step(Progress::Unknown, None, vec!["nobody looked yet".to_owned()]);
    };
    let evidence = served.iter().take(STEPS).map(|one| {
        let address = one.address.map(|address| format!(" ({address})")).unwrap_or_default();
        format!("{}{address}: {} for {}: {}", one.target, one.verdict, left(now, one.since), one.detail)
    });
    let state = match is_served_well(served) {
        Some(true) => Progress::Done,
        Some(false) => Progress::Failed,
        None => Progress::Unknown,
    };
    step(state, Some(worst.at), evidence.collect())
}

/// What the first missing step means, and what helps.
fn conclude(
    step: &Step,
    judged: &Judged,
    tried: Option<&Tried>,
    revoked: Option<&Revoked>,
    name: &str,
    now: Timestamp,
) -> (String, Option<String>) {
    let polls = judged.lineage.polled_at.is_some() && judged.silent_since().is_none();
    match (step.step, revoked) {
        ("issued", Some(revoked)) if !has_failed(tried) => return withdrawn(judged, revoked, name, now),
        _ => {}
    }
    match step.step {
        "polled" => {
            let since = judged.silent_since().map(|since| left(now, since)).unwrap_or_default();
            (
                format!("its client was not heard of for {since}: it is not run any more, or its host is down"),
                Some(RUN.to_owned()),
            )
        }
        "ordered" if polls => (
            "its client asks when to renew, and does not do it: it thinks that it is not time, or fails before it orders"
                .to_owned(),
            Some(RUN.to_owned()),
        ),
        "ordered" => {
            ("its client did not order: it is not run any more, or its host is down".to_owned(), Some(RUN.to_owned()))
        }
        "validated" => {
            let mut failed = tried.into_iter().flat_map(|tried| &tried.authorizations);
            match failed.find_map(|one| one.error.as_ref()) {
                Some(failure) => (sentence(failure), Some(help(failure, name))),
                None => ("its client ordered, and did not go on".to_owned(), Some(RUN.to_owned())),
            }
        }
        "issued" => (
            match has_failed(tried) {
                true => "the names were shown, and no certificate came of it; the problem above says why",
                false => "the names were shown, and there is no certificate",
            }
            .to_owned(),
            Some(format!("ca-ctl show {name}")),
        ),
        "downloaded" => ("it was issued, and its client did not fetch it".to_owned(), Some(RUN.to_owned())),
        _ => look(judged),
    }
}

/// Whether the client was told of a problem, which then stands among the evidence.
fn has_failed(tried: Option<&Tried>) -> bool {
    tried.is_some_and(|tried| tried.order.error.is_some())
}

/// What a revoked certificate without a successor means.
fn withdrawn(judged: &Judged, revoked: &Revoked, name: &str, now: Timestamp) -> (String, Option<String>) {
    let Revocation { at, reason } = revoked.revocation;
    let mut text =
        format!("its certificate was revoked {} ({reason}), and no other came after it", ago(at, now));
    let mut next = "on its host, order anew".to_owned();
    if let Some(served) = judged.lineage.served.iter().find(|one| one.verdict == Verdict::RevokedServed) {
        text = format!("{text}; {} still serves it", served.target);
        next = format!("{next}, and stop serving the revoked one");
    }
    let next = format!(
        "{next}: {ORDER}; if {name} is not needed any more: ca-ctl forget {}",
        judged.lineage.names.join(",")
    );
    (text, Some(next))
}

/// What a server that serves something else means.
fn look(judged: &Judged) -> (String, Option<String>) {
    let Some(worst) = worst(&judged.lineage.served) else { return (String::new(), None) };
    let is_renewed = judged.lineage.current.is_some();
    let what = match worst.verdict {
        Verdict::StaleNotReloaded => "the new certificate is there, and the service was not reloaded",
        Verdict::FallbackCert | Verdict::NoCertAlert => {
            "the service has not got our certificate, and serves something in its place"
        }
        Verdict::UnknownSerial => "our key signed what is served, and the store knows nothing of it",
        Verdict::RevokedServed if is_renewed => {
            "the revoked certificate is still served, though there is a new one: the service was not reloaded"
        }
        Verdict::RevokedServed => "what is served is revoked",
        _ => "the service does not serve our certificate as it should",
    };
    let reload = || {
        let (host, target) = (worst.host(), &worst.target);
        format!("on the host of {host}: systemctl reload nginx.service, or whatever serves {target}")
    };
    let next = match worst.verdict {
        Verdict::StaleNotReloaded => reload(),
        Verdict::RevokedServed if is_renewed => reload(),
        // The target's own host and name are asked for, as the probe did that found it.
        _ => format!("ca-ctl probe {}", worst.place()),
    };
    (format!("{what} ({})", worst.detail), Some(next))
}

/// A failed validation in a sentence.
fn sentence(failure: &Failure) -> String {
    let whose = match (failure.phase, failure.reason) {
        (Phase::Dns, Reason::Nxdomain | Reason::Nodata) => "the name has no address, says DNS",
        (
            Phase::Dns | Phase::Caa,
            Reason::Servfail | Reason::Timeout | Reason::Refused | Reason::Unreachable,
        ) => "the name server does not answer as it should",
        (Phase::Dns | Phase::Caa, _) => "what DNS says does not do",
        (Phase::Target, _) => "the address may not be dialled",
        (Phase::Connect, _) => "nobody can be reached at the address",
        (Phase::Http, _) => "what answers there is not the client",
        (Phase::Tls | Phase::Certificate, _) => "what answers there does not show what the client should",
        (Phase::Record, _) => "the TXT record does not show what the client should",
    };
    format!("{whose}: {}", failure.detail)
}

fn help(failure: &Failure, name: &str) -> String {
    let name = name.trim_start_matches("*.");
    match failure.phase {
        Phase::Dns | Phase::Target => format!("ca-ctl resolve {name}"),
        Phase::Caa => format!("ca-ctl policy explain {name}"),
        Phase::Record => {
            "compare the client's TXT record with what every name server of the zone answers".to_owned()
        }
        Phase::Connect | Phase::Http => format!("curl -i http://{name}/.well-known/acme-challenge/test"),
        Phase::Tls | Phase::Certificate => {
            format!("openssl s_client -connect {name}:443 -servername {name} -alpn acme-tls/1")
        }
    }
}

fn well(judged: &Judged, steps: &[Step]) -> String {
    if steps.iter().any(|step| step.state == Progress::Waiting) {
        return "it is under way".to_owned();
    }
    match judged.standing {
        Some(standing) => format!("nothing is missing; the renewal is due {}", standing.due),
        None => "nothing is missing".to_owned(),
    }
}

impl std::fmt::Display for Revoked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "was revoked at {}, reason {}", self.revocation.at, self.revocation.reason)
    }
}

impl Progress {
    fn mark(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Waiting => "waiting",
            Self::Missing => "MISSING",
            Self::Failed => "FAILED",
            Self::Unknown => "-",
        }
    }
}

const RUN: &str = "on its host, see why the client does not run: systemctl list-timers, journalctl (NixOS: systemctl start 'acme-order-renew-*')";
const ORDER: &str = "certbot renew --force-renewal, acme.sh --renew --force, or what its client has for it";
/// How many names that failed are shown with their evidence.
const SHOWN: usize = 3;
/// How many look-ups, dials and addresses are shown of each.
const STEPS: usize = 8;
/// Downloads are written down every minute.
const NOTED: i64 = 300;
