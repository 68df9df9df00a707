//! Real ACME clients, each with directories of its own, on high ports, trusting the CA's root and nothing else. A client
//! that is not installed ends the test with the package to install.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use super::ca::{Ca, PATIENCE, POLL, text};

/// Where a program is, which must be installed.
pub fn installed(name: &str, package: &str) -> PathBuf {
    let path = std::env::var("PATH").unwrap_or_default();
    // sbin is not in everybody's PATH, and nginx lives there.
    let mut places =
        path.split(':').chain(["/usr/sbin", "/usr/local/sbin"]).map(|dir| Path::new(dir).join(name));
    let found = places.find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("{name} is not installed: apt-get install {package}"))
}

/// A program that may run for two minutes and reads nothing.
pub fn program(name: &str, package: &str) -> Command {
    bounded(&installed(name, package))
}

/// The same of a program that is somewhere else.
pub fn bounded(program: &Path) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", "120"]).arg(program).stdin(Stdio::null());
    command
}

/// Runs to the end, off the threads that serve the test's own servers.
pub async fn run(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().expect("it starts")).await.expect("it ends")
}

/// The same; it must succeed. Gives both streams.
pub async fn succeed(command: Command) -> String {
    let shown = format!("{command:?}");
    let output = run(command).await;
    assert!(output.status.success(), "{shown}: {}", text(&output));
    text(&output)
}

/// Writes a shell script of a client's user.
pub fn script(path: &Path, text: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    fs::write(path, format!("#!/bin/sh\nset -eu\n{text}")).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("executable");
    path.to_owned()
}

/// How certbot shows control.
pub enum Show<'a> {
    /// Its own web server.
    Standalone,
    /// Files below a directory that another web server shows.
    Webroot(&'a Path),
    /// dns-01, by scripts that put TXT records and remove them.
    Hooks(&'a TxtHooks),
}

/// Scripts of a client's user that keep TXT records as files, a line each, in a folder that a name server shows.
pub struct TxtHooks {
    /// Where the records are.
    pub folder: PathBuf,
    put: PathBuf,
    remove: PathBuf,
    /// The one for lego.
    pub exec: PathBuf,
}

impl TxtHooks {
    /// In a folder of their own.
    pub fn new(ca: &Ca) -> Self {
        let (folder, scripts) = (ca.scratch("txt"), ca.scratch("hooks"));
        let script = |name: &str, text: String| {
            script(&scripts.join(name), &format!("cd '{}'\n{text}", folder.display()))
        };
        let put = "echo \"$CERTBOT_VALIDATION\" >> \"_acme-challenge.$CERTBOT_DOMAIN\"\n";
        let remove = "rm -f \"_acme-challenge.$CERTBOT_DOMAIN\"\n";
        // lego: `present FQDN VALUE` and `cleanup FQDN VALUE`.
        let exec =
            "name=${2%.}\ncase $1 in present) echo \"$3\" >> \"$name\" ;; *) rm -f \"$name\" ;; esac\n";
        Self {
            put: script("put", put.to_owned()),
            remove: script("remove", remove.to_owned()),
            exec: script("exec", exec.to_owned()),
            folder,
        }
    }
}

/// certbot.
pub struct Certbot {
    program: PathBuf,
    dir: PathBuf,
    root: PathBuf,
    directory: String,
    http_port: u16,
}

impl Certbot {
    /// Debian's, with nothing yet.
    pub fn new(ca: &Ca) -> Self {
        Self::at(ca, installed("certbot", "certbot"))
    }

    /// The same of a certbot that is somewhere else.
    pub fn at(ca: &Ca, program: PathBuf) -> Self {
        let dir = ca.scratch("certbot");
        Self { program, dir, root: ca.root(), directory: ca.directory(), http_port: ca.http_port }
    }

    /// A certbot command with everything that concerns where things are.
    pub fn command(&self, verb: &str) -> Command {
        let mut command = bounded(&self.program);
        command.arg(verb).args(["--non-interactive", "--agree-tos", "--server", &self.directory]);
        for (option, name) in [("--config-dir", "config"), ("--work-dir", "work"), ("--logs-dir", "logs")] {
            command.arg(option).arg(self.dir.join(name));
        }
        command.env("REQUESTS_CA_BUNDLE", &self.root);
        command
    }

    /// `certonly` for these names with an `rsa` or `ecdsa` key.
    pub fn certonly(&self, names: &[&str], key_type: &str, show: &Show<'_>) -> Command {
        let mut command = self.command("certonly");
        command.args(["--register-unsafely-without-email", "--key-type", key_type, "--cert-name", names[0]]);
        match show {
            Show::Standalone => {
                let port = self.http_port.to_string();
                command.args(["--standalone", "--http-01-address", "127.0.0.1", "--http-01-port", &port]);
            }
            Show::Webroot(webroot) => {
                command.arg("--webroot").arg("--webroot-path").arg(webroot);
            }
            Show::Hooks(hooks) => {
                command.args(["--manual", "--preferred-challenges", "dns", "--manual-auth-hook"]);
                command.arg(&hooks.put).arg("--manual-cleanup-hook").arg(&hooks.remove);
            }
        }
        for name in names {
            command.args(["--domain", name]);
        }
        command
    }

    /// `renew`, due or not.
    pub fn renew(&self) -> Command {
        let mut command = self.renew_if_due();
        command.arg("--force-renewal");
        command
    }

    /// `renew`, as its timer runs it, at once.
    pub fn renew_if_due(&self) -> Command {
        let mut command = self.command("renew");
        command.arg("--no-random-sleep-on-renew");
        command
    }

    /// The files of a certificate: leaf, chain, both, key.
    pub fn files(&self, name: &str) -> Files {
        let live = self.dir.join("config/live").join(name);
        Files {
            leaf: live.join("cert.pem"),
            chain: live.join("chain.pem"),
            full: live.join("fullchain.pem"),
            key: live.join("privkey.pem"),
        }
    }
}

/// lego.
pub struct Lego {
    dir: PathBuf,
    root: PathBuf,
    directory: String,
    http_port: u16,
}

impl Lego {
    /// With nothing yet.
    pub fn new(ca: &Ca) -> Self {
        let dir = ca.scratch("lego");
        Self { dir, root: ca.root(), directory: ca.directory(), http_port: ca.http_port }
    }

    /// `run` or `renew`, with what belongs behind the verb, by HTTP-01.
    pub fn command(&self, names: &[&str], key_type: &str, verb: &[&str]) -> Command {
        let port = format!("127.0.0.1:{}", self.http_port);
        self.by(&["--http", "--http.port", &port], names, key_type, verb)
    }

    /// The same by dns-01: these scripts put the records, and this name server is asked about zones.
    pub fn by_dns(
        &self,
        hooks: &TxtHooks,
        server: &str,
        names: &[&str],
        key_type: &str,
        verb: &[&str],
    ) -> Command {
        let dns = ["--dns", "exec", "--dns.disable-cp", "--dns.resolvers", server];
        let mut command = self.by(&dns, names, key_type, verb);
        // lego waits between two records of one name, as long as it is told.
        command
            .env("EXEC_PATH", &hooks.exec)
            .env("EXEC_SEQUENCE_INTERVAL", "1")
            .env("EXEC_POLLING_INTERVAL", "1");
        command
    }

    /// The same with the options of a challenge.
    pub fn by(&self, challenge: &[&str], names: &[&str], key_type: &str, verb: &[&str]) -> Command {
        let mut command = program("lego", "lego");
        command.env("LEGO_CA_CERTIFICATES", &self.root);
        command.arg("--path").arg(&self.dir).args(["--server", &self.directory, "--accept-tos"]);
        command.args(["--email", "admin@corp.lan", "--key-type", key_type]);
        command.args(challenge);
        for name in names {
            command.args(["--domains", name]);
        }
        command.args(verb);
        command
    }

    /// The files of a certificate: lego's `.crt` is leaf and chain.
    pub fn files(&self, name: &str) -> Files {
        let name = name.replace('*', "_");
        let file = |end: &str| self.dir.join("certificates").join(format!("{name}.{end}"));
        Files { leaf: file("crt"), chain: file("issuer.crt"), full: file("crt"), key: file("key") }
    }
}

/// What a client keeps of a certificate.
#[derive(Clone, Debug)]
pub struct Files {
    /// The leaf, first in its file.
    pub leaf: PathBuf,
    /// The issuers.
    pub chain: PathBuf,
    /// Leaf and issuers.
    pub full: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

impl Files {
    /// Leaf and issuers.
    pub fn held(&self) -> String {
        fs::read_to_string(&self.full).unwrap_or_else(|error| panic!("{}: {error}", self.full.display()))
    }

    /// The serial, as OpenSSL prints it.
    pub async fn serial(&self) -> String {
        let mut command = openssl();
        command.args(["x509", "-noout", "-serial", "-in"]).arg(&self.leaf);
        succeed(command).await
    }

    /// Judged by OpenSSL: chain, names, purpose, and that the key is the certificate's.
    pub async fn must_verify(&self, ca: &Ca, names: &[&str]) {
        for name in names {
            let mut verify = openssl();
            verify.args(["verify", "-purpose", "sslserver", "-x509_strict", "-verify_hostname", name]);
            verify.arg("-CAfile").arg(ca.root()).arg("-untrusted").arg(&self.chain).arg(&self.leaf);
            succeed(verify).await;
        }
        let public = |arguments: &[&str], file: &Path| {
            let mut command = openssl();
            command.args(arguments).arg(file);
            succeed(command)
        };
        let of_leaf = public(&["x509", "-noout", "-pubkey", "-in"], &self.leaf).await;
        let of_key = public(&["pkey", "-pubout", "-in"], &self.key).await;
        assert_eq!(of_leaf, of_key, "the certificate is for the client's key");
    }

    /// What OpenSSL says of the leaf.
    pub async fn described(&self) -> String {
        let mut command = openssl();
        command.args(["x509", "-noout", "-text", "-in"]).arg(&self.leaf);
        succeed(command).await
    }
}

/// The system's OpenSSL.
pub fn openssl() -> Command {
    program("openssl", "openssl")
}

/// Judged by OpenSSL's own client, which has the root and nothing else. A server that just got its certificate may take
/// a moment to serve it.
pub async fn must_be_served(ca: &Ca, port: u16, name: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut client = openssl();
        client.args(["s_client", "-connect", &format!("127.0.0.1:{port}"), "-servername", name]);
        client
            .args(["-verify_hostname", name, "-verify_return_error", "-x509_strict", "-CAfile"])
            .arg(ca.root());
        let output = run(client).await;
        let said = text(&output);
        if output.status.success() && said.contains("Verify return code: 0 (ok)") {
            return;
        }
        assert!(Instant::now() < deadline, "{said}");
        tokio::time::sleep(POLL).await;
    }
}

/// Why certificates of this name were revoked, one word each.
pub fn reasons(ca: &Ca, name: &str) -> Vec<String> {
    let items = ca.ctl_items(&["show", name]);
    let revoked = items.iter().filter(|item| item["state"] == "revoked");
    revoked
        .map(|item| item["revocation_reason"].as_str().unwrap_or_else(|| panic!("{item}")).to_owned())
        .collect()
}
