//! How often the server waits for the disk: strace counts its sync calls. Noise does not move this figure.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::process::is_traced;
use crate::running::signal;

pub(crate) fn is_available() -> bool {
    let version = Command::new("strace").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
    version.is_ok_and(|status| status.success())
}

/// strace, attached to a process until the count is read.
pub(crate) struct Counter {
    strace: Child,
    summary: PathBuf,
}

impl Counter {
    /// The summary is written below `directory`.
    pub(crate) async fn attach(pid: u32, directory: &Path) -> anyhow::Result<Self> {
        let summary = directory.join("strace.txt");
        let strace = Command::new("strace")
            .args([
                "-f",
                "-c",
                "-e",
                "trace=fsync,fdatasync,msync,sync_file_range",
                "-p",
                &pid.to_string(),
                "-o",
            ])
            .arg(&summary)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting strace")?;
        let mut counter = Self { strace, summary };
        let clock = Instant::now();
        while !is_traced(pid)? {
            if counter.strace.try_wait()?.is_some() || clock.elapsed() > ATTACH_PATIENCE {
                bail!("strace may not attach (root may; see /proc/sys/kernel/yama/ptrace_scope)");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(counter)
    }

    /// Lets the process go, and answers how many sync calls it made meanwhile.
    pub(crate) fn detach(mut self) -> anyhow::Result<u64> {
        signal("INT", self.strace.id())?;
        self.strace.wait()?;
        let summary = fs::read_to_string(&self.summary).context("strace's summary")?;
        Ok(summary.lines().filter_map(calls).sum())
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        let _ = self.strace.kill(); // the traced process goes on
        let _ = self.strace.wait();
    }
}

/// A line of the summary: "% time, seconds, usecs/call, calls, [errors], name".
fn calls(line: &str) -> Option<u64> {
    let columns: Vec<&str> = line.split_whitespace().collect();
    let is_sync = matches!(columns.last(), Some(&("fsync" | "fdatasync" | "msync" | "sync_file_range")));
    if is_sync { columns.get(3)?.parse().ok() } else { None }
}

const ATTACH_PATIENCE: Duration = Duration::from_secs(5);
