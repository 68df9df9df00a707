//! A server process that we started: it ends with this value, also on panic, by its process id.

use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::{Client, Endpoint};

pub(crate) struct Running {
    child: Child,
    pub(crate) endpoint: Endpoint,
    /// From the start of the process to its first directory reply over TLS.
    pub(crate) first_answer: Duration,
    /// The listener for metrics, where there is one.
    pub(crate) status: Option<SocketAddr>,
    pub(crate) with_postgres: bool,
}

impl Running {
    /// Starts `command`, its output going to `log`, and waits for the first reply.
    pub(crate) async fn start(
        mut command: Command,
        endpoint: Endpoint,
        log: PathBuf,
    ) -> anyhow::Result<Self> {
        let output = File::create(&log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let clock = Instant::now();
        let child = command.spawn().with_context(|| format!("starting {command:?}"))?;
        let mut server =
            Self { child, endpoint, first_answer: Duration::ZERO, status: None, with_postgres: false };
        loop {
            let mut client = Client::new(server.endpoint.clone());
            let failure = match client.get(&server.endpoint.directory).await {
                Ok(reply) if reply.status.is_success() => break,
                Ok(reply) => anyhow::anyhow!("the directory answered HTTP {}", reply.status.as_u16()),
                Err(error) => error,
            };
            let ended = server.child.try_wait()?;
            if ended.is_some() || clock.elapsed() > START_PATIENCE {
                let log = std::fs::read_to_string(&log).unwrap_or_default();
                let fate = ended.map_or("still runs".to_owned(), |status| status.to_string());
                bail!("the server gave no directory ({failure:#}; process: {fate}); its output:\n{log}");
            }
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
        server.first_answer = clock.elapsed();
        Ok(server)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Commits of the store since the start, from the server's own metrics.
    pub(crate) async fn commits(&self) -> anyhow::Result<Option<f64>> {
        let Some(address) = self.status else { return Ok(None) };
        let mut stream = TcpStream::connect(address).await.context("the status listener")?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
        let mut page = String::new();
        stream.read_to_string(&mut page).await?;
        Ok(page.lines().find_map(|line| line.strip_prefix("ca_store_commits_total ")?.trim().parse().ok()))
    }

    /// An orderly stop by SIGTERM; the store is at rest afterwards.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        signal("TERM", self.pid())?;
        let clock = Instant::now();
        while clock.elapsed() < STOP_PATIENCE {
            if let Some(status) = self.child.try_wait()? {
                ensure!(status.success(), "the server ended with {status} on SIGTERM");
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        bail!("the server still ran {STOP_PATIENCE:?} after SIGTERM")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill(); // fails if it has ended already
        let _ = self.child.wait();
    }
}

/// There is no safe call for it in std.
pub(crate) fn signal(name: &str, pid: u32) -> anyhow::Result<()> {
    let status =
        Command::new("kill").args(["-s", name, &pid.to_string()]).status().context("running `kill`")?;
    ensure!(status.success(), "`kill -s {name} {pid}` failed");
    Ok(())
}

const START_PATIENCE: Duration = Duration::from_secs(20);
const STOP_PATIENCE: Duration = Duration::from_secs(20);
