//! Clients that Debian 12 does not have, or has only an old version of: the newest ones, as the package managers of their
//! languages install them. Each is made once, into `clients/` of the target directory; whoever removes that gets newer
//! ones. Where something for it is missing, the test says so behind `SKIPPED:` and passes.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::ca::text;

/// A client, and how it is made by a shell in an empty directory.
pub struct Fetched {
    name: &'static str,
    needs: &'static [&'static str],
    script: &'static str,
}

/// certbot, and with it the Python library `acme`.
pub const CERTBOT: Fetched =
    Fetched { name: "certbot", needs: &["python3"], script: "python3 -m venv . && bin/pip install certbot" };

/// lego 5. Of the DNS providers it gets the one that runs scripts: the others are most of what there is to build, and
/// depend on some hundred modules.
pub const LEGO: Fetched = Fetched {
    name: "lego",
    needs: &["go"],
    script: "go mod download -json github.com/go-acme/lego/v5@latest > module.json\n\
             cp -r \"$(sed -n 's/.*\"Dir\": \"\\(.*\\)\".*/\\1/p' module.json)\" source\n\
             chmod -R u+w source\n\
             cp \"$SCRIPTS/lego_providers.go\" source/providers/dns/zz_gen_dns_providers.go\n\
             go build -C source -buildvcs=false -p 2 -o ../lego .\n\
             rm -rf source",
};

/// The node library `acme-client`.
pub const ACME_CLIENT: Fetched = Fetched {
    name: "acme-client",
    needs: &["node", "npm"],
    script: "npm install --no-audit --no-fund --prefix . acme-client",
};

impl Fetched {
    /// Where it is; `None`, and a line that says why, where it cannot be had.
    pub fn directory(&self, test: &str) -> Option<PathBuf> {
        for program in self.needs {
            if found(program).is_none() {
                skipped(test, &format!("{program} is not installed"));
                return None;
            }
        }
        let clients = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("clients");
        fs::create_dir_all(&clients).expect("a directory");
        // Other tests, in this process and beside it, wait until it is there.
        let lock = File::create(clients.join(format!("{}.lock", self.name))).expect("a file");
        lock.lock().expect("locked");
        let at = clients.join(self.name);
        let whole = at.join("installed");
        if !whole.exists() {
            if let Err(why) = self.install(&at) {
                skipped(test, &format!("{} cannot be installed: {why}", self.name));
                return None;
            }
            fs::write(&whole, "").expect("written");
        }
        Some(at)
    }

    fn install(&self, at: &Path) -> Result<(), String> {
        let _ = fs::remove_dir_all(at);
        fs::create_dir_all(at).expect("a directory");
        let output = Command::new("timeout")
            .args(["--kill-after=5", PATIENCE, "sh", "-eu", "-c", self.script])
            .current_dir(at)
            .env("SCRIPTS", scripts())
            .stdin(Stdio::null())
            .output()
            .expect("a shell");
        if output.status.success() {
            return Ok(());
        }
        let said = text(&output);
        let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
        Err(format!("{}: {}", output.status, lines[lines.len().saturating_sub(2)..].join("; ")))
    }
}

/// Where this repository's scripts for clients are.
pub fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

/// A program of the `PATH`.
pub fn found(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|directory| directory.join(program))
        .find(|file| file.is_file())
}

/// Says that a test does not run, and why. Not by `eprintln!`, which the test harness swallows.
pub fn skipped(test: &str, why: &str) {
    writeln!(std::io::stderr(), "SKIPPED: {test}: {why}").expect("standard error");
}

/// How long an installation may take, in seconds: lego is built from source.
const PATIENCE: &str = "900";
