//! What the server's own listener shows, as the prober saw it: clients cannot renew when they do not trust the CA's own server.

use acme::lineage::Served;
use acme::severity::Severity;
use acme::time::Timestamp;
use acme::verdict::Verdict;
use store::Error;

use super::facts::{Listener, Trouble};
use super::round::Scene;
use crate::probe::judge::severity;

/// What the own listener was seen to show, twice: who is started anew is silent for a moment.
pub(super) async fn listener(scene: &Scene<'_>, now: Timestamp) -> Result<Listener, Error> {
    let Some(target) = &scene.own_at else { return Ok(Listener::Unwatched) };
    let seen = scene.store.observations_of(&target.host.to_string()).await?;
    let key = target.key();
    let Some(row) = seen.iter().map(|seen| &seen.served).find(|row| row.target == key) else {
        return Ok(Listener::Unwatched);
    };
    let is_old = row.at.plus(scene.probed_every * 3) < now;
    Ok(if is_old { Listener::Unknown } else { shown(row) })
}

/// What a row says of the own listener: bad is what nobody else may show either, and silence.
fn shown(row: &Served) -> Listener {
    let is_twice = row.samples >= 2 && row.at.seconds_since(row.since) >= MINUTE;
    let is_silent = matches!(row.verdict, Verdict::TcpRefused | Verdict::TcpTimeout);
    match row.verdict {
        _ if !is_twice => Listener::Unknown,
        Verdict::Ok | Verdict::OkPrevious | Verdict::Expiring => Listener::Well,
        verdict if is_silent || severity(verdict) >= Some(Severity::Critical) => {
            let what = format!("{} shows {verdict}: {}", row.target, row.detail);
            Listener::Bad(Trouble { since: row.since, what })
        }
        _ => Listener::Unknown,
    }
}

const MINUTE: i64 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_listener_is_bad_when_it_shows_twice_what_nobody_may_show() {
        let of = |verdict: Verdict, minutes: i64| {
            let row = Served {
                target: "ca.lan:8443".into(),
                address: None,
                verdict,
                since: Timestamp::from_unix(0),
                at: Timestamp::from_unix(minutes * 60),
                samples: u32::try_from(minutes).unwrap() + 1,
                serial: None,
                spki: None,
                not_after: None,
                product: None,
                detail: "self-signed".into(),
            };
            match shown(&row) {
                Listener::Well => "well".to_owned(),
                Listener::Bad(trouble) => trouble.what,
                _ => "-".to_owned(),
            }
        };
        assert_eq!(of(Verdict::FallbackCert, 0), "-", "once");
        assert_eq!(of(Verdict::FallbackCert, 1), "ca.lan:8443 shows fallback_cert: self-signed");
        assert!(of(Verdict::TcpRefused, 1).contains("tcp_refused"));
        assert_eq!([of(Verdict::Ok, 1), of(Verdict::ProbeError, 1)], ["well", "-"]);
    }
}
