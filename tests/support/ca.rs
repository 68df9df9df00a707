//! A CA of its own for each test: `ca-ctl init` in a directory that goes away, `acme-ca serve` as a child process, its
//! log in a file. The programs are the ones that cargo built, with nothing changed for the tests.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::ports::free_port;

/// A CA. Its process ends when this is dropped.
pub struct Ca {
    dir: TempDir,
    /// Where ACME is served.
    pub port: u16,
    /// Where health and metrics are.
    pub status_port: u16,
    /// Where HTTP-01 is looked for; a test puts its responder, client or web server there.
    pub http_port: u16,
    /// Where TLS-ALPN-01 asks.
    pub tls_port: u16,
    store: String,
    server: Option<Child>,
}

impl Ca {
    /// Made, configured and not started: everything below `corp.lan`, `localhost` and loopback addresses may be
    /// certified; no name server, nothing pinned but `localhost`. SQLite.
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("acme-ca-test-").tempdir().expect("a directory");
        let [port, status_port, http_port, tls_port] = std::array::from_fn(|_| free_port());
        let store = format!("sqlite:{}", dir.path().join("ca.db").display());
        let ca = Self { dir, port, status_port, http_port, tls_port, store, server: None };
        let url = format!("https://localhost:{port}");
        let path = ca.path("");
        let init = Command::new(CA_CTL)
            .args(["init", "--dir"])
            .arg(&path)
            .args(["--url", &url, "--permit", "localhost", "--permit", "corp.lan", "--permit", "127.0.0.0/8"])
            .stdin(Stdio::null())
            .output()
            .expect("ca-ctl runs");
        assert!(init.status.success(), "ca-ctl init: {}", text(&init));
        ca.configure(&format!(
            r#"
            [server]
            listen = ["127.0.0.1:{port}"]
            plain_listen = []
            status_listen = ["127.0.0.1:{status_port}"]
            [store]
            url = "{}"
            [resolver]
            servers = []
            [resolver.pins]
            localhost = ["127.0.0.1"]
            [validation]
            http_port = {http_port}
            tls_alpn_port = {tls_port}
            "#,
            ca.store
        ));
        ca
    }

    /// With `*.corp.lan` pinned to loopback, and serving.
    pub async fn pinned() -> Self {
        let mut ca = Self::new();
        ca.configure(PIN_CORP_LAN);
        ca.start().await;
        ca
    }

    /// Puts these keys into the configuration: tables are merged, everything else is replaced. The server reads them
    /// at its start or at [`Ca::hup`].
    pub fn configure(&self, toml: &str) -> &Self {
        let path = self.config();
        let read =
            |text: &str| text.parse::<toml::Table>().unwrap_or_else(|error| panic!("{error} in\n{text}"));
        let mut table = read(&fs::read_to_string(&path).expect("the configuration"));
        merge(&mut table, read(toml));
        fs::write(&path, toml::to_string(&table).expect("TOML")).expect("the configuration is written");
        self
    }

    /// Keeps everything in this PostgreSQL database instead.
    pub fn keep_in(&mut self, url: &str) {
        url.clone_into(&mut self.store);
        self.configure(&format!("[store]\nurl = \"{url}\""));
    }

    /// Starts the server and waits until it answers.
    pub async fn start(&mut self) {
        assert!(self.server.is_none(), "it runs already");
        let log = || -> File {
            OpenOptions::new().create(true).append(true).open(self.path("log")).expect("a log file")
        };
        let child = Command::new(ACME_CA)
            .args(["serve", "--config"])
            .arg(self.config())
            .env("ACME_CA_LOG", "info,acme_ca=debug")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(log())
            .stderr(log())
            .spawn()
            .expect("acme-ca runs");
        self.server = Some(child);
        let deadline = Instant::now() + PATIENCE;
        while self.get_status("/health/live").await.is_none() {
            if let Some(status) = self.running().try_wait().expect("a child") {
                panic!("acme-ca ended with {status}:\n{}", self.log());
            }
            assert!(Instant::now() < deadline, "acme-ca does not answer:\n{}", self.log());
            tokio::time::sleep(POLL).await;
        }
    }

    /// Kills the server as a power cut would.
    pub fn kill9(&mut self) {
        let mut child = self.server.take().expect("it runs");
        child.kill().expect("it is ours");
        child.wait().expect("it ended");
    }

    /// SIGTERM, and the exit status that came of it.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM");
        let mut child = self.server.take().expect("it runs");
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = child.try_wait().expect("a child") {
                return status;
            }
            std::thread::sleep(POLL);
        }
        let _ = child.kill();
        let _ = child.wait();
        panic!("acme-ca does not stop:\n{}", self.log());
    }

    /// SIGHUP, and until the log says that the new configuration is in place.
    pub async fn hup(&mut self) {
        let before = self.log().len();
        self.signal("HUP");
        let log = self.log_after(before, |new| new.contains("reloaded") || new.contains(REFUSED)).await;
        assert!(!log.contains(REFUSED), "the reload failed: {log}");
    }

    /// Starts what was killed or terminated once more.
    pub async fn restart(&mut self) {
        self.start().await;
    }

    /// The base of every URL.
    pub fn base(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// What a client is given.
    pub fn directory(&self) -> String {
        format!("{}/acme/directory", self.base())
    }

    /// A file in the CA's directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The root certificate, which clients trust.
    pub fn root(&self) -> PathBuf {
        self.path("root.pem")
    }

    /// The configuration.
    pub fn config(&self) -> PathBuf {
        self.path("acme-ca.toml")
    }

    /// The store's URL.
    pub fn store(&self) -> &str {
        &self.store
    }

    /// A directory beside the CA's files for a client's own.
    pub fn scratch(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(&path).expect("a directory");
        path
    }

    /// Everything that the server logged, over all its lives.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.path("log")).unwrap_or_default()).into_owned()
    }

    /// What is logged after the first `before` octets, once it satisfies `enough`.
    pub async fn log_after(&self, before: usize, enough: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let log = self.log().get(before..).unwrap_or_default().to_owned();
            if enough(&log) {
                return log;
            }
            assert!(Instant::now() < deadline, "what the log should say does not come:\n{log}");
            tokio::time::sleep(POLL).await;
        }
    }

    /// Runs `ca-ctl` on this CA's configuration.
    pub fn ctl(&self, arguments: &[&str]) -> Output {
        Command::new(CA_CTL)
            .args(arguments)
            .arg("--config")
            .arg(self.config())
            .stdin(Stdio::null())
            .output()
            .expect("ca-ctl runs")
    }

    /// Runs `ca-ctl … --json`, which must succeed, and gives its `items`.
    pub fn ctl_items(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.ctl(&[arguments, &["--json"]].concat());
        assert!(output.status.success(), "ca-ctl {arguments:?}: {}", text(&output));
        let json: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("ca-ctl {arguments:?}: {error}: {}", text(&output)));
        let schema = json["schema"].as_str().unwrap_or_default();
        assert_eq!(schema, format!("ca-ctl/{}/1", arguments[0]), "{json}");
        assert!(json["generated_at"].is_string(), "{json}");
        json["items"].as_array().unwrap_or_else(|| panic!("no items: {json}")).clone()
    }

    /// What the status listener says of readiness: HTTP status and body.
    pub async fn ready(&self) -> (u16, String) {
        self.get_status("/health/ready").await.expect("the status listener answers")
    }

    /// GET from the status listener; `None` when nothing answers there.
    pub async fn get_status(&self, path: &str) -> Option<(u16, String)> {
        let exchange = async {
            let mut stream = TcpStream::connect(("127.0.0.1", self.status_port)).await.ok()?;
            let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.ok()?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.ok()?;
            let status = answer.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
            let (_, body) = answer.split_once("\r\n\r\n")?;
            Some((status, body.to_owned()))
        };
        tokio::time::timeout(Duration::from_secs(5), exchange).await.ok().flatten()
    }

    fn running(&mut self) -> &mut Child {
        self.server.as_mut().expect("it runs")
    }

    fn signal(&self, name: &str) {
        let pid = self.server.as_ref().expect("it runs").id().to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status().expect("kill runs");
        assert!(status.success(), "kill -s {name} {pid}");
    }
}

impl Drop for Ca {
    fn drop(&mut self) {
        if let Some(child) = &mut self.server {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            let from = log.len().saturating_sub(6_000);
            let from = (from..log.len()).find(|at| log.is_char_boundary(*at)).unwrap_or(log.len());
            eprintln!("---- the end of the server's log\n{}\n----", &log[from..]);
        }
    }
}

/// Both streams of a program that ended.
pub fn text(output: &Output) -> String {
    let stream = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n{}\n{}", output.status, stream(&output.stdout), stream(&output.stderr))
}

/// Whether a file is there, for a message that says which one is not.
pub fn must_exist(path: &Path) {
    assert!(path.exists(), "{} is not there", path.display());
}

fn merge(into: &mut toml::Table, from: toml::Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(toml::Value::Table(into)), toml::Value::Table(from)) => merge(into, from),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

/// Pins every name below `corp.lan` to loopback.
pub const PIN_CORP_LAN: &str = "[resolver.pins]\n\"*.corp.lan\" = [\"127.0.0.1\"]";
/// How long a test waits for something that must come: far beyond what it takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How often it looks.
pub const POLL: Duration = Duration::from_millis(10);

/// What the log says of a configuration that cannot stand.
const REFUSED: &str = "the new configuration is refused";
const ACME_CA: &str = env!("CARGO_BIN_EXE_acme-ca");
const CA_CTL: &str = env!("CARGO_BIN_EXE_ca-ctl");
