//! Apache with mod_md, which is an ACME client itself: it asks for a certificate in the background, keeps it in its
//! staging area, and serves it from its next start on.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::ca::{Ca, PATIENCE, POLL};
use super::clients::{Files, installed};

/// An Apache with a configuration of its own; it ends when it is dropped.
pub struct Apache {
    dir: PathBuf,
    name: String,
    child: Option<Child>,
    /// Where it serves TLS.
    pub port: u16,
}

impl Apache {
    /// Starts, and lets mod_md look after this name by HTTP-01.
    pub fn start(ca: &Ca, name: &str) -> Self {
        let (dir, port) = (ca.scratch("apache"), ca.tls_port);
        fs::copy(ca.root(), dir.join("root.pem")).expect("copied");
        // The workers, which are clients of the CA, are another user when root starts them.
        fs::set_permissions(ca.path(""), fs::Permissions::from_mode(0o711)).expect("passable");
        fs::set_permissions(dir.join("root.pem"), fs::Permissions::from_mode(0o644)).expect("readable");
        let modules: String = ["mpm_event", "authz_core", "socache_shmcb", "ssl", "md"]
            .map(|module| format!("LoadModule {module}_module {MODULES}/mod_{module}.so\n"))
            .concat();
        let configuration = format!(
            "ServerRoot {dir}\nPidFile {dir}/pid\nDefaultRuntimeDir {dir}\nErrorLog {dir}/error.log\n{modules}\
             User www-data\nGroup www-data\nLogLevel warn md:debug\n\
             Listen 127.0.0.1:{http}\nListen 127.0.0.1:{port} https\nServerName {name}\n\
             MDStoreDir {dir}/md\nMDCertificateAuthority {directory}\nMDCertificateAgreement accepted\n\
             MDContactEmail admin@corp.lan\nMDCACertificateFile {dir}/root.pem\nMDCAChallenges http-01\n\
             MDPortMap 80:{http} 443:{port}\nMDPrivateKeys secp256r1\nMDInitialDelay 0s\nMDCheckInterval 1s\n\
             MDomain {name}\n\
             <VirtualHost 127.0.0.1:{http}>\nServerName {name}\n</VirtualHost>\n\
             <VirtualHost 127.0.0.1:{port}>\nServerName {name}\nSSLEngine on\n</VirtualHost>\n",
            dir = dir.display(),
            http = ca.http_port,
            directory = ca.directory(),
        );
        fs::write(dir.join("apache.conf"), configuration).expect("written");
        let mut apache = Self { dir, name: name.to_owned(), child: None, port };
        apache.run();
        apache
    }

    /// Starts once more, when what mod_md asked for is there.
    pub async fn restarted_with_what_it_got(&mut self) {
        let job = self.dir.join("md/staging").join(&self.name).join("job.json");
        let deadline = Instant::now() + PATIENCE;
        while !fs::read_to_string(&job).is_ok_and(|job| job.contains("\"finished\": true")) {
            let ended = self.child.as_mut().expect("it runs").try_wait().expect("a child");
            assert!(ended.is_none() && Instant::now() < deadline, "apache: {}", self.said());
            tokio::time::sleep(POLL).await;
        }
        self.stop();
        self.run();
    }

    /// What it serves, once it started with it.
    pub async fn files(&self) -> Files {
        let kept = self.dir.join("md/domains").join(&self.name);
        let (chain, key) = (kept.join("pubcert.secp256r1.pem"), kept.join("privkey.secp256r1.pem"));
        let deadline = Instant::now() + PATIENCE;
        // A start moves it out of the staging area.
        while self.dir.join("md/staging").join(&self.name).exists() || !chain.exists() {
            assert!(Instant::now() < deadline, "apache: {}", self.said());
            tokio::time::sleep(POLL).await;
        }
        Files { leaf: chain.clone(), chain: chain.clone(), full: chain, key }
    }

    /// Its log.
    pub fn said(&self) -> String {
        fs::read_to_string(self.dir.join("error.log")).unwrap_or_default()
    }

    fn run(&mut self) {
        let child = Command::new(installed("apache2", "apache2-bin"))
            .args(["-D", "FOREGROUND", "-f"])
            .arg(self.dir.join("apache.conf"))
            .stdin(Stdio::null())
            .stderr(fs::File::create(self.dir.join("start.log")).expect("a log"))
            .spawn()
            .expect("apache starts");
        self.child = Some(child);
    }

    fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        // SIGTERM, so that it ends its workers too.
        let _ = Command::new("kill").arg(child.id().to_string()).status();
        let _ = child.wait();
    }
}

impl Drop for Apache {
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            let start = fs::read_to_string(self.dir.join("start.log")).unwrap_or_default();
            eprintln!("---- apache\n{start}{}\n----", self.said());
        }
    }
}

const MODULES: &str = "/usr/lib/apache2/modules";
