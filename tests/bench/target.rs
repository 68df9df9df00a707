//! The servers under test: how each is set up in a directory of its own, started, and emptied.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tempfile::TempDir;

use crate::args::Peer;
use crate::client::{Endpoint, trusting};
use crate::running::Running;

pub(crate) struct Target {
    software: Software,
    /// On the disk of the build, not in a /tmp that may be memory: the syncs must be real.
    home: TempDir,
    endpoint: Endpoint,
}

/// What the servers find around them.
pub(crate) struct Site {
    /// Of the http-01 responder.
    pub(crate) http_port: u16,
    /// A DNS server on 127.0.0.1:53 answers the names under test; otherwise they are pinned.
    pub(crate) dns: bool,
    pub(crate) postgres: Option<String>,
}

enum Software {
    AcmeCa { status: SocketAddr, with_postgres: bool, name: &'static str },
    Caddy,
}

impl Target {
    pub(crate) fn acme_ca(site: &Site) -> anyhow::Result<Self> {
        let home = new_home()?;
        let (address, status) = (free_address()?, free_address()?);
        let url = format!("https://localhost:{}", address.port());
        let init = Command::new(env!("CARGO_BIN_EXE_ca-ctl"))
            .args(["init", "--url", &url, "--permit", "*", "--dir"])
            .arg(home.path())
            .output()
            .context("starting ca-ctl")?;
        let words = String::from_utf8_lossy(&init.stderr);
        ensure!(init.status.success(), "`ca-ctl init` ended with {}: {words}", init.status);

        let config = home.path().join("acme-ca.toml");
        let written = fs::read_to_string(&config).context("the configuration that ca-ctl wrote")?;
        let mut table: toml::Table = written.parse()?;
        merge(&mut table, changes(site, address, status).parse()?);
        fs::write(&config, table.to_string())?;

        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(home.path().join("root.pem"))?)?;
        let endpoint =
            Endpoint { address, directory: format!("{url}/acme/directory"), tls: trusting(roots)? };
        let with_postgres = site.postgres.is_some();
        Ok(Self { software: Software::AcmeCa { status, with_postgres, name: "acme-ca" }, home, endpoint })
    }

    /// The same, which probes so many names that all lead to one TLS server, as soon as it is started.
    pub(crate) fn probing(site: &Site, names: usize, server: SocketAddr) -> anyhow::Result<Self> {
        let mut target = Self::acme_ca(site)?;
        let config = target.home.path().join("acme-ca.toml");
        let mut text = fs::read_to_string(&config)?;
        text.push_str("\n[probe]\ninterval = \"1m\"\n");
        for number in 0..names {
            let (ip, port) = (server.ip(), server.port());
            text.push_str(&format!(
                "[[probe.target]]\nhost = \"p{number}.probed.test\"\nport = {port}\nconnect = [\"{ip}\"]\n"
            ));
        }
        fs::write(&config, text)?;
        if let Software::AcmeCa { name, .. } = &mut target.software {
            *name = "probing";
        }
        Ok(target)
    }

    pub(crate) fn peer(peer: Peer) -> anyhow::Result<Self> {
        match peer {
            Peer::Caddy => Self::caddy(),
        }
    }

    /// `acme_server` behind a certificate from a file, so that Caddy's own issuance is no part of its start.
    fn caddy() -> anyhow::Result<Self> {
        let home = new_home()?;
        let address = free_address()?;
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        fs::write(home.path().join("cert.pem"), own.cert.pem())?;
        fs::write(home.path().join("key.pem"), own.signing_key.serialize_pem())?;
        let caddyfile = CADDYFILE.replace("PORT", &address.port().to_string());
        fs::write(home.path().join("Caddyfile"), caddyfile)?;

        let mut roots = RootCertStore::empty();
        roots.add(own.cert.der().clone())?;
        let directory = format!("https://localhost:{}/acme/local/directory", address.port());
        Ok(Self {
            software: Software::Caddy,
            home,
            endpoint: Endpoint { address, directory, tls: trusting(roots)? },
        })
    }

    pub(crate) fn name(&self) -> &'static str {
        match self.software {
            Software::AcmeCa { name, .. } => name,
            Software::Caddy => "caddy",
        }
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(crate) async fn start(&self) -> anyhow::Result<Running> {
        let home = self.home.path();
        let mut command = match self.software {
            Software::AcmeCa { .. } => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_acme-ca"));
                command.arg("serve").arg("--config").arg(home.join("acme-ca.toml"));
                command
            }
            Software::Caddy => {
                let mut command = Command::new("caddy");
                command.args(["run", "--config", "Caddyfile"]);
                command
                    .env("HOME", home)
                    .env("XDG_DATA_HOME", home.join("data"))
                    .env("XDG_CONFIG_HOME", home);
                command
            }
        };
        command.current_dir(home);
        let mut server = Running::start(command, self.endpoint.clone(), home.join("server.log")).await?;
        if let Software::AcmeCa { status, with_postgres, .. } = self.software {
            server.status = Some(status);
            server.with_postgres = with_postgres;
        }
        Ok(server)
    }

    /// While the server is stopped. A PostgreSQL database is left as it is.
    pub(crate) fn empty_store(&self) -> anyhow::Result<()> {
        for path in self.store()? {
            if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
        }
        Ok(())
    }

    /// `None`: it lies in PostgreSQL. Read while the server is stopped.
    pub(crate) fn store_bytes(&self) -> anyhow::Result<Option<u64>> {
        if matches!(self.software, Software::AcmeCa { with_postgres: true, .. }) {
            return Ok(None);
        }
        Ok(Some(self.store()?.iter().map(|path| bytes_below(path)).sum::<anyhow::Result<u64>>()?))
    }

    pub(crate) fn executable_bytes(&self) -> anyhow::Result<u64> {
        let path = match self.software {
            Software::AcmeCa { .. } => PathBuf::from(env!("CARGO_BIN_EXE_acme-ca")),
            Software::Caddy => {
                let path = std::env::var_os("PATH").unwrap_or_default();
                let mut places = std::env::split_paths(&path).map(|place| place.join("caddy"));
                places
                    .find(|place| place.is_file())
                    .context("caddy is not installed (Debian: apt install caddy)")?
            }
        };
        Ok(fs::metadata(path)?.len())
    }

    fn store(&self) -> anyhow::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.home.path())? {
            let entry = entry?;
            let name = entry.file_name();
            let is_store = match self.software {
                Software::AcmeCa { .. } => name.to_string_lossy().starts_with(DATABASE),
                Software::Caddy => name == "data",
            };
            if is_store {
                found.push(entry.path());
            }
        }
        Ok(found)
    }
}

/// What the load test changes in the configuration that `ca-ctl init` wrote; everything else is as shipped.
fn changes(site: &Site, address: SocketAddr, status: SocketAddr) -> String {
    let Site { http_port, dns, postgres } = site;
    let store = postgres.clone().unwrap_or(format!("sqlite:{DATABASE}"));
    let (servers, pins) = match dns {
        true => (r#""127.0.0.1""#, ""),
        false => ("", r#""*.load.test" = ["127.0.0.1"]"#),
    };
    format!(
        r#"
        [server]
        listen = ["{address}"]
        status_listen = ["{status}"]
        [store]
        url = "{store}"
        [resolver]
        servers = [{servers}]
        [resolver.pins]
        {pins}
        [validation]
        http_port = {http_port}
        allow_networks = ["127.0.0.0/8"]
        [policy]
        allow = ["*"]
        [limits]
        enabled = false
        "#
    )
}

/// Tables into tables; any other value takes the place of the old one.
fn merge(into: &mut toml::Table, from: toml::Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(toml::Value::Table(old)), toml::Value::Table(new)) => merge(old, new),
            (_, value) => drop(into.insert(key, value)),
        }
    }
}

fn new_home() -> anyhow::Result<TempDir> {
    Ok(tempfile::Builder::new().prefix("bench-").tempdir_in(env!("CARGO_TARGET_TMPDIR"))?)
}

/// Free a moment ago, which is as good as it gets.
fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

fn bytes_below(path: &Path) -> anyhow::Result<u64> {
    if !path.is_dir() {
        return Ok(fs::metadata(path)?.len());
    }
    fs::read_dir(path)?.map(|entry| bytes_below(&entry?.path())).sum()
}

/// The journal's names begin with it too.
const DATABASE: &str = "ca.db";

const CADDYFILE: &str = "{
    admin off
    skip_install_trust
    auto_https disable_redirects
}
https://localhost:PORT {
    bind 127.0.0.1
    tls cert.pem key.pem
    acme_server
}
";
