//! A store that cannot be written: the server stays up, refuses in words that a client can wait by, says so where health is
//! asked, and works again when there is room, or when another program lets go. The disk is a small one of its own, which only root can make.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::kept::Holder;
use crate::program::{ended, serve};
use crate::support::ca::PATIENCE;
use crate::support::{Ca, Client, oracle};

#[tokio::test]
async fn a_full_disk_is_a_refusal_and_not_an_end() {
    let mut ca = Ca::new();
    let Some(disk) = Disk::mount(&ca.scratch("disk")) else { return };
    ca.keep_in(&format!("sqlite:{}", disk.at.join("ca.db").display()));
    ca.start().await;
    let before = Client::registered(&ca).await;

    disk.fill();
    let client = Client::new(&ca);
    let refused = client.post("/acme/new-account", json!({})).await;
    assert_eq!(refused.status, 500, "{refused}");
    assert_eq!(refused.problem_type(), "serverInternal");
    assert!(refused.header("retry-after").is_some(), "{refused}");
    assert!(ca.log().contains("no room left"), "the log says what the client is not told: {}", ca.log());
    let (status, said) = ca.ready().await;
    assert!(status == 503 && said.contains("nothing can be written since 20"), "{said}");
    assert!(said.contains("no room left"), "{said}");
    let known = before.post(&before.kid(), json!({})).await;
    assert_eq!(known.status, 200, "what only reads still works: {known}");

    disk.free();
    well_again(&ca).await;
    let made = client.register().await;
    assert_eq!(made.status, 201, "{made}");
    assert!(ca.terminate().success());
    ca.restart().await;
    let again = Client::with_key(&ca, client.key.clone());
    assert_eq!(again.register().await.status, 200, "what was kept is kept");
    oracle::check(&ca, &[]).await;
    drop(ca);
}

#[tokio::test]
async fn a_lock_of_another_program_is_told_by_readiness_while_it_lasts() {
    let ca = Ca::pinned().await;
    let holder = Holder::of(&ca);
    let client = Client::new(&ca);
    let refused = client.post("/acme/new-account", json!({})).await;
    assert_eq!(refused.status, 500, "{refused}");
    let (status, said) = ca.ready().await;
    assert!(status == 503 && said.contains("the store is busy"), "{said}");
    drop(holder);
    well_again(&ca).await;
    client.register().await;
}

/// Waits until the CA says so, while nobody writes.
async fn well_again(ca: &Ca) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (status, said) = ca.ready().await;
        if status == 200 {
            return;
        }
        assert!(Instant::now() < deadline, "{said}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[test]
fn a_disk_that_is_full_at_the_start_is_said() {
    let mut ca = Ca::new();
    let Some(disk) = Disk::mount(&ca.scratch("disk")) else { return };
    disk.fill();
    ca.keep_in(&format!("sqlite:{}", disk.at.join("ca.db").display()));
    ended(&mut serve(&ca)).must_be(1, &["ca.db has no room", "free some space on its disk"]);
}

/// A disk of two megabytes; it goes away when it is dropped.
struct Disk {
    at: PathBuf,
}

impl Disk {
    /// None, and a line that says so, where it cannot be made.
    fn mount(at: &Path) -> Option<Self> {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"])
            .arg(at)
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if !mounted {
            // Not by `eprintln!`, which the test harness swallows.
            let _ = writeln!(std::io::stderr(), "SKIPPED: a full disk: mounting one needs root");
        }
        mounted.then(|| Self { at: at.to_owned() })
    }

    /// Leaves not an octet.
    fn fill(&self) {
        let mut file =
            OpenOptions::new().create(true).append(true).open(self.at.join("filler")).expect("opened");
        for size in [65_536, 4_096, 1] {
            while file.write(&vec![0x5a; size]).is_ok_and(|written| written > 0) {}
        }
    }

    fn free(&self) {
        fs::remove_file(self.at.join("filler")).expect("removed");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: the server may still have its files open.
        let _ = Command::new("umount").arg("-l").arg(&self.at).status();
    }
}
