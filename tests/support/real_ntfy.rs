//! A real ntfy server, where there is one: the program that `NTFY` names, else `ntfy` of the `PATH`. Debian has none, and
//! a client of that name exists, so it is asked first whether it serves. It listens on loopback alone, keeps what it has in
//! a directory of its own, reaches nobody else, and is ended by its process id.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::ca::text;
use super::fetched::{found, skipped};
use super::ports::free_port;

/// The server; it ends when it is dropped.
pub struct RealNtfy {
    program: PathBuf,
    dir: PathBuf,
    port: u16,
    process: Child,
}

impl RealNtfy {
    /// With its files in an empty directory and more of its configuration, YAML. Where there is no program, that is said,
    /// and there is no server.
    pub fn start(test: &str, dir: &Path, more: &str) -> Option<Self> {
        let program = program(test)?;
        let port = free_port();
        let file = |name: &str| dir.join(name).display().to_string();
        let config = format!(
            "base-url: http://127.0.0.1:{port}\nlisten-http: 127.0.0.1:{port}\ncache-file: {}\nweb-root: disable\n{more}\n",
            file("cache.db"),
        );
        fs::write(dir.join("server.yml"), config).unwrap();
        let log = fs::File::create(dir.join("log")).unwrap();
        let process = Command::new(&program)
            .args(["serve", "--config", &file("server.yml")])
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut ntfy = Self { program, dir: dir.to_owned(), port, process };
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let log = fs::read_to_string(dir.join("log")).unwrap_or_default();
            assert!(ntfy.process.try_wait().unwrap().is_none(), "ntfy ended: {log}");
            assert!(Instant::now() < deadline, "ntfy does not listen: {log}");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(ntfy)
    }

    /// The same where only known users may do anything.
    pub fn guarded(test: &str, dir: &Path, more: &str) -> Option<Self> {
        let users = dir.join("users.db");
        let more = format!("auth-file: {}\nauth-default-access: deny-all\n{more}", users.display());
        Self::start(test, dir, &more)
    }

    /// A user who may use this topic, and a token of theirs.
    pub fn user(&self, name: &str, password: &str, topic: &str) -> String {
        self.manage(&["user", "add", name], password);
        self.manage(&["access", name, topic, "rw"], "");
        let said = self.manage(&["token", "add", name], "");
        let token = said.split_whitespace().find(|word| word.starts_with("tk_"));
        token.unwrap_or_else(|| panic!("{said}")).to_owned()
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn manage(&self, args: &[&str], password: &str) -> String {
        let mut command = Command::new(&self.program);
        command.arg(args[0]).arg("--config").arg(self.dir.join("server.yml")).args(&args[1..]);
        let output = command.env("NTFY_PASSWORD", password).stdin(Stdio::null()).output().unwrap();
        let said = text(&output);
        assert!(output.status.success(), "{args:?}: {said}");
        said
    }
}

impl Drop for RealNtfy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn program(test: &str) -> Option<PathBuf> {
    let given = std::env::var_os("NTFY").map(PathBuf::from);
    let Some(program) = given.or_else(|| found("ntfy")) else {
        skipped(test, "no ntfy is installed, and NTFY names none");
        return None;
    };
    let serves = Command::new(&program).args(["serve", "--help"]).stdin(Stdio::null()).output();
    if !serves.is_ok_and(|output| text(&output).contains("listen-http")) {
        skipped(test, &format!("{} is no ntfy that serves", program.display()));
        return None;
    }
    Some(program)
}
