//! Texts that are kept in `fixtures/ctl/` and held against what comes out. `BLESS=1 cargo test --test ctl` writes them
//! anew; what changed is then for the eyes of whoever commits it.

use std::fs;
use std::path::PathBuf;

use acme_ca::clock::Clock;
use acme_ca::ctl::{Cli, status, usage_status};
use clap::Parser as _;
use serde_json::Value;
use tempfile::TempDir;

use crate::rows;

/// A store with rows, and a configuration that leads to it. No server, no keys: `ca-ctl` needs neither.
pub(crate) struct Desk {
    dir: TempDir,
}

impl Desk {
    /// With the rows of `rows.rs`.
    pub(crate) async fn new() -> Self {
        let desk = Self::bare("servers = []\n[resolver.pins]\n\"*.corp.lan\" = [\"192.168.1.10\"]\n");
        rows::fill(&format!("sqlite:{}", desk.dir.path().join("ca.db").display())).await;
        desk
    }

    /// With a fleet that somebody has to look after, and a CA whose certificates can be read.
    pub(crate) async fn with_troubles() -> Self {
        let desk = Self::with_ca().await;
        rows::fill_with_troubles(&desk.store()).await;
        desk
    }

    /// The same with hosts that were looked at, and that serve all kinds of things.
    pub(crate) async fn with_sights() -> Self {
        let desk = Self::with_ca().await;
        rows::fill_with_sights(&desk.store()).await;
        desk
    }

    /// Without a store, with a CA whose certificates can be read.
    pub(crate) async fn with_ca() -> Self {
        let desk =
            Self::bare("servers = [\"10.0.0.53\"]\n[resolver.pins]\n\"*.corp.lan\" = [\"192.168.1.10\"]\n");
        let path = desk.dir.path();
        let made = path.join("made");
        let line =
            format!("ca-ctl init --dir {} --url https://ca.corp.lan --permit corp.lan", made.display());
        let cli = Cli::try_parse_from(line.split(' ')).expect("it is one");
        cli.run(&Clock::standing_at(rows::days_ago(200)), &mut Vec::new()).await.expect("a CA");
        fs::copy(made.join("root.pem"), path.join("root.pem")).expect("copied");
        fs::copy(made.join("intermediate.pem"), path.join("i.pem")).expect("copied");
        desk
    }

    /// Without a store, with these lines in `[resolver]`.
    pub(crate) fn bare(resolver: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let text = format!(
            "[server]\nurl = \"https://ca.corp.lan\"\n[ca]\nroot = \"root.pem\"\n[[ca.issuer]]\n\
             certificate = \"i.pem\"\nkey = \"i.key\"\n[store]\nurl = \"sqlite:ca.db\"\n[resolver]\n{resolver}"
        );
        fs::write(dir.path().join("acme-ca.toml"), text).expect("written");
        Self { dir }
    }

    /// Where its files are.
    pub(crate) fn path(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// Adds lines to its configuration.
    pub(crate) fn configure(&self, more: &str) {
        let text = fs::read_to_string(self.config()).expect("read");
        fs::write(self.config(), format!("{text}\n{more}")).expect("written");
    }

    /// The URL of its store.
    pub(crate) fn store(&self) -> String {
        format!("sqlite:{}", self.dir.path().join("ca.db").display())
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.dir.path().join("acme-ca.toml")
    }

    /// What a command line writes to standard output, at the time of the rows; then the error, if it fails.
    pub(crate) async fn says(&self, line: &str) -> String {
        let words = ["ca-ctl", "--config"].map(str::to_owned).into_iter();
        let words = words.chain([self.config().display().to_string()]);
        let cli = match Cli::try_parse_from(words.chain(line.split(' ').map(str::to_owned))) {
            Ok(cli) => cli,
            Err(error) => {
                let text = error.to_string();
                let sentence = text.split("\n\n").next().unwrap_or_default();
                return format!("exit {}: {sentence}\n", usage_status(line.split(' ').map(str::to_owned)));
            }
        };
        let mut out = Vec::new();
        let done = cli.run(&Clock::standing_at(rows::now()), &mut out).await;
        let mut text = String::from_utf8(out).expect("UTF-8");
        if let Err(error) = done {
            text.push_str(&format!("exit {}: {error:#}\n", status(&error)));
        }
        let text = text.replace(&self.dir.path().display().to_string(), "DIR");
        assert!(!text.contains('\u{1b}'), "no colour where nobody asked for it: {text}");
        text
    }
}

/// Holds a text against the file of this name.
#[track_caller]
pub(crate) fn must_equal(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/ctl").join(name);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, text).expect("written");
        return;
    }
    let kept = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(kept == text, "{name} is\n{text}\nand was\n{kept}\nBLESS=1 writes it anew");
}

/// The same for JSON, laid out so that a change shows in its line.
#[track_caller]
pub(crate) fn json_must_equal(name: &str, text: &str) {
    let json: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(text.lines().count(), 1, "one object on one line");
    must_equal(name, &format!("{json:#}\n"));
}
