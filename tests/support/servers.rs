//! Servers of others: nginx, which shows challenges from a webroot and certificates over TLS; Caddy, which is an ACME
//! client itself; PostgreSQL.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use tokio::net::TcpStream;

use super::ca::{Ca, PATIENCE, POLL, text};
use super::clients::{Files, installed, program};
use super::ports::free_port;

/// nginx with a configuration of its own; it ends when it is dropped.
pub struct Nginx {
    dir: PathBuf,
    child: Child,
}

impl Nginx {
    /// Shows a webroot at the CA's HTTP-01 port.
    pub async fn webroot(ca: &Ca) -> Self {
        let listen = format!("listen 127.0.0.1:{};", ca.http_port);
        Self::start(ca, "nginx", &format!("{listen} root {};", ca.scratch("webroot").display()), ca.http_port)
            .await
    }

    /// Serves TLS with a certificate.
    pub async fn tls(ca: &Ca, files: &Files, port: u16) -> Self {
        let server = format!(
            "listen 127.0.0.1:{port} ssl; ssl_certificate {}; ssl_certificate_key {};",
            files.full.display(),
            files.key.display()
        );
        Self::start(ca, "nginx-tls", &server, port).await
    }

    /// Serves what these `server` blocks say; one of them listens at `port`.
    pub async fn many(ca: &Ca, servers: &[String], port: u16) -> Self {
        let all = servers.join("\n} server {\n");
        Self::start(ca, "nginx-farm", &all, port).await
    }

    /// Has it read its certificates anew, and waits until it serves with them.
    pub fn reload(&self) {
        let done = Command::new("kill").args(["-s", "HUP", &self.child.id().to_string()]).status();
        assert!(done.is_ok_and(|status| status.success()), "nginx takes signals");
    }

    async fn start(ca: &Ca, name: &str, server: &str, port: u16) -> Self {
        let dir = ca.scratch(name);
        let root = if am_root() { "user root;" } else { "" };
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {}/{kind};\n", dir.display()))
            .concat();
        let configuration = format!(
            "daemon off; {root} worker_processes 1; pid {dir}/pid; error_log {dir}/error.log;\n\
             events {{}}\nhttp {{ access_log off;\n{temporary} server {{ server_name _; {server} }} }}\n",
            dir = dir.display(),
        );
        let file = dir.join("nginx.conf");
        fs::write(&file, configuration).expect("written");
        let log = fs::File::create(dir.join("start.log")).expect("a log");
        let child = Command::new(installed("nginx", "nginx"))
            .arg("-e")
            .arg(dir.join("error.log"))
            .arg("-p")
            .arg(&dir)
            .arg("-c")
            .arg(&file)
            .stderr(log)
            .spawn()
            .expect("nginx starts");
        let mut nginx = Self { dir, child };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            let ended = nginx.child.try_wait().expect("a child");
            assert!(ended.is_none() && Instant::now() < deadline, "nginx: {}", nginx.said());
            tokio::time::sleep(POLL).await;
        }
        nginx
    }

    fn said(&self) -> String {
        let read = |name: &str| fs::read_to_string(self.dir.join(name)).unwrap_or_default();
        read("start.log") + &read("error.log")
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // SIGTERM, so that it ends its worker too.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

/// Caddy, which gets its certificates by itself; it ends when it is dropped.
pub struct Caddy {
    dir: PathBuf,
    child: Child,
    /// Where it serves TLS.
    pub port: u16,
}

impl Caddy {
    /// Serves this name, at the port where the CA asks for TLS-ALPN-01; shown by whichever challenge Caddy likes.
    pub fn start(ca: &Ca, name: &str) -> Self {
        Self::configured(ca, name, "")
    }

    /// The same without HTTP-01.
    pub fn by_tls_alpn(ca: &Ca, name: &str) -> Self {
        let issuer = format!(
            "\ttls {{\n\t\tissuer acme {{\n\t\t\tdir {}\n\t\t\ttrusted_roots {}\n\t\t\tdisable_http_challenge\n\t\t}}\n\t}}\n",
            ca.directory(),
            ca.root().display(),
        );
        Self::configured(ca, name, &issuer)
    }

    fn configured(ca: &Ca, name: &str, site: &str) -> Self {
        let (dir, port) = (ca.scratch("caddy"), ca.tls_port);
        let file = dir.join("Caddyfile");
        let configuration = format!(
            "{{\n\tadmin off\n\thttp_port {http}\n\thttps_port {port}\n\tdefault_bind 127.0.0.1\n\tacme_ca {directory}\n\t\
             acme_ca_root {root}\n\tstorage file_system {dir}/storage\n}}\n{name} {{\n{site}\trespond \"served\"\n}}\n",
            http = ca.http_port,
            directory = ca.directory(),
            root = ca.root().display(),
            dir = dir.display(),
        );
        fs::write(&file, configuration).expect("written");
        let log = fs::File::create(dir.join("log")).expect("a log");
        let child = Command::new(installed("caddy", "caddy"))
            .args(["run", "--adapter", "caddyfile", "--config"])
            .arg(&file)
            .env("HOME", &dir)
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("caddy starts");
        Self { dir, child, port }
    }

    /// The chain that it got, once it has.
    pub async fn chain(&mut self) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = find(&self.dir.join("storage"), ".crt");
            let log = || fs::read_to_string(self.dir.join("log")).unwrap_or_default();
            let chain = found.and_then(|file| fs::read_to_string(file).ok());
            // Perhaps Caddy is about to write it.
            if let Some(chain) = chain.filter(|chain| chain.matches("-----END CERTIFICATE-----").count() >= 2)
            {
                return chain;
            }
            let ended = self.child.try_wait().expect("a child");
            assert!(ended.is_none() && Instant::now() < deadline, "caddy: {}", log());
            tokio::time::sleep(POLL).await;
        }
    }
}

impl Drop for Caddy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first file below a directory whose name ends so.
fn find(below: &Path, end: &str) -> Option<PathBuf> {
    fs::read_dir(below).ok()?.flatten().find_map(|entry| {
        let path = entry.path();
        if path.is_dir() { find(&path, end) } else { path.to_str()?.ends_with(end).then_some(path) }
    })
}

/// A database of its own in the cluster that `ACME_CA_TEST_POSTGRES` names. `None`, and a line that says so, where
/// there is no cluster.
pub struct Postgres {
    cluster: String,
    name: String,
}

impl Postgres {
    /// Makes the database.
    pub fn database(test: &str) -> Option<Self> {
        let Ok(cluster) = std::env::var(CLUSTER) else {
            // Not `eprintln!`, which the test harness swallows.
            writeln!(std::io::stderr(), "SKIPPED: {test}: {CLUSTER} is not set").expect("standard error");
            return None;
        };
        let port = free_port();
        let database = Self { cluster, name: format!("acme_ca_journey_{}_{port}", std::process::id()) };
        database.sql(&format!("CREATE DATABASE {}", database.name));
        Some(database)
    }

    /// Its URL.
    pub fn url(&self) -> String {
        let (server, _) = self.cluster.rsplit_once('/').expect("postgres://…/database");
        format!("{server}/{}", self.name)
    }

    /// What a query answers, as text.
    pub fn ask(&self, sql: &str) -> String {
        let output = program("psql", "postgresql").arg(self.url()).args(["-qAtc", sql]).output();
        let output = output.expect("psql runs");
        assert!(output.status.success(), "{sql}: {}", text(&output));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// A transaction in which this was done, and which stays open until it is dropped.
    pub fn hold(&self, sql: &str) -> Held {
        let mut child = program("psql", "postgresql")
            .args(["-qAt", "-v", "ON_ERROR_STOP=1"])
            .arg(self.url())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("psql runs");
        let stdin = child.stdin.as_mut().expect("a pipe");
        stdin.write_all(format!("BEGIN;\n{sql};\nSELECT 'held';\n").as_bytes()).expect("written");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("a pipe")).read_line(&mut line).expect("read");
        assert_eq!(line, "held\n");
        Held(child)
    }

    fn sql(&self, sql: &str) {
        let mut psql = program("psql", "postgresql");
        let output = psql.arg(&self.cluster).args(["-qc", sql]).output().expect("psql runs");
        assert!(output.status.success(), "{sql}: {}", text(&output));
    }
}

/// A transaction of another program.
pub struct Held(Child);

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.sql(&format!("DROP DATABASE {} WITH (FORCE)", self.name));
        }
    }
}

fn am_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata(Path::new("/proc/self")).is_ok_and(|me| me.uid() == 0)
}

const CLUSTER: &str = "ACME_CA_TEST_POSTGRES";
