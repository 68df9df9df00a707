//! What is said to systemd, sd_notify(3). Without systemd it goes nowhere.

use std::time::Duration;

use sd_notify::NotifyState;

/// Start-up is finished, or a reload is.
pub(super) fn ready(status: &str) {
    say(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// A reload began.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => say(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "the monotonic clock cannot be read"),
    }
}

/// The end began.
pub(super) fn stopping() {
    say(&[NotifyState::Stopping]);
}

/// The program is alive.
pub(super) fn alive() {
    say(&[NotifyState::Watchdog]);
}

/// How often to say so: a third of what `WatchdogSec=` allows.
pub(super) fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 3)
}

fn say(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd was not told");
    }
}
