//! A program run to its end, as the user who runs the tests or as one without rights.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::support::Ca;
use crate::support::ca::{PATIENCE, POLL};

/// How a program ended.
pub(crate) struct Ended {
    /// Its exit status.
    pub(crate) status: i32,
    /// What it wrote to standard output.
    pub(crate) out: String,
    /// What it wrote to standard error.
    pub(crate) err: String,
}

impl Ended {
    /// Holds the end against a status and against fragments of what was said on standard error.
    #[track_caller]
    pub(crate) fn must_be(&self, status: i32, fragments: &[&str]) {
        assert_eq!(self.status, status, "{self}");
        for fragment in fragments {
            assert!(self.err.contains(fragment), "it does not say {fragment:?}: {self}");
        }
        // What goes wrong for a reason that an operator can act on is never told as a failure of the program.
        assert!(!self.err.contains("panicked"), "{self}");
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit {}\n{}{}", self.status, self.out, self.err)
    }
}

/// Runs a command to its end, which must come.
#[track_caller]
pub(crate) fn ended(command: &mut Command) -> Ended {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).env("NO_COLOR", "1");
    let mut child = command.spawn().expect("it runs");
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait().expect("a child").is_none() {
        if Instant::now() > deadline {
            let _ = child.kill();
            let output = child.wait_with_output().expect("it was killed");
            panic!("it does not end: {}", String::from_utf8_lossy(&output.stderr));
        }
        std::thread::sleep(POLL);
    }
    let output = child.wait_with_output().expect("it ended");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let status = output.status.code().expect("it ended by itself");
    Ended { status, out: text(&output.stdout), err: text(&output.stderr) }
}

/// `acme-ca serve` on a CA's configuration.
pub(crate) fn serve(ca: &Ca) -> Command {
    with_config(Command::new(ACME_CA), "serve", ca)
}

/// `acme-ca check-config` on a CA's configuration.
pub(crate) fn check(ca: &Ca) -> Command {
    with_config(Command::new(ACME_CA), "check-config", ca)
}

/// `ca-ctl` with these words on a CA's configuration.
pub(crate) fn ctl(ca: &Ca, words: &[&str]) -> Command {
    let mut command = Command::new(CA_CTL);
    command.args(words).arg("--config").arg(ca.config());
    command
}

/// The same command by a user without rights. Where the tests are not run by root, that is the one who runs them.
pub(crate) fn by_nobody(command: &Command) -> Command {
    if !is_root() {
        let mut same = Command::new(command.get_program());
        same.args(command.get_args());
        return same;
    }
    let mut other = Command::new(super::support::clients::installed("setpriv", "util-linux"));
    other.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--"]);
    other.arg(command.get_program()).args(command.get_args());
    other
}

/// Gives a CA's files to the user without rights.
pub(crate) fn hand_over(ca: &Ca) {
    own(NOBODY, &["-R"], &ca.path(""));
}

/// Takes a file back, with a mode that only root passes. Where the tests are not run by root, the mode does it.
pub(crate) fn close(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    own("0", &[], path);
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("the mode is set");
}

/// Whether the tests are run by root.
pub(crate) fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("id runs");
    id.stdout.trim_ascii() == b"0"
}

fn own(user: &str, options: &[&str], path: &Path) {
    if is_root() {
        let owner = format!("{user}:{user}");
        let done = Command::new("chown").args(options).arg(owner).arg(path).status().expect("chown runs");
        assert!(done.success(), "chown {}", path.display());
    }
}

fn with_config(mut command: Command, verb: &str, ca: &Ca) -> Command {
    command.arg(verb).arg("--config").arg(ca.config());
    command
}

/// The user and the group `nobody`, whatever they are called.
const NOBODY: &str = "65534";
/// The server.
pub(crate) const ACME_CA: &str = env!("CARGO_BIN_EXE_acme-ca");
/// The operator's program.
pub(crate) const CA_CTL: &str = env!("CARGO_BIN_EXE_ca-ctl");
