//! Running as a program: SIGTERM and SIGINT stop in order, SIGHUP reads configuration and keys again.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use super::{Listeners, Server, systemd};
use crate::clock::Clock;
use crate::config::Config;

/// Serves the configuration at `path` until a signal ends it.
///
/// # Errors
/// What keeps the server from starting.
pub async fn run(path: &Path) -> anyhow::Result<()> {
    let config = Config::load(path).with_context(|| path.display().to_string())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let server = Server::start(config, Listeners::from_systemd()?, Clock::System).await?;
    let directory = server.app().urls.directory();
    tracing::info!(directory, version = env!("CARGO_PKG_VERSION"), "ready");
    systemd::ready(&format!("serving {directory}"));

    let mut alive = interval(systemd::watchdog().unwrap_or(NEVER));
    alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hang_up.recv() => reload(&server, path).await,
            _ = alive.tick() => systemd::alive(),
        }
    }
    tracing::info!("stopping");
    systemd::stopping();
    server.stop().await;
    tracing::info!("stopped");
    Ok(())
}

async fn reload(server: &Server, path: &Path) {
    systemd::reloading();
    let reloaded = match Config::load(path) {
        Ok(config) => server.reload(config).await,
        Err(error) => Err(error.into()),
    };
    match reloaded {
        Ok(()) => {
            tracing::info!(config = %path.display(), "reloaded");
            systemd::ready(&format!("serving {}", server.app().urls.directory()));
        }
        Err(error) => {
            let error = format!("{error:#}");
            tracing::error!(config = %path.display(), error, "the new configuration is refused; the old one stays");
            systemd::ready(&format!("the last reload was refused: {error}"));
        }
    }
}

const NEVER: Duration = Duration::from_secs(365 * 86_400);
