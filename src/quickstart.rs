//! `acme-ca quickstart`: from nothing to a CA that can be tried, on loopback, with ports that need no privilege.

use std::io::Write;
use std::path::{Path, PathBuf};

use acme::identifier::DnsName;
use anyhow::{Context as _, anyhow};
use clap::Args;

use crate::ca;
use crate::ca::constraints::Permit;
use crate::clock::Clock;
use crate::config::ServerUrl;
use crate::ctl::ceremony::{Console, Init};
use crate::serve;

/// Make a root, an intermediate, a configuration and a store where they are missing, and serve them
#[derive(Args)]
pub struct Quickstart {
    /// Where everything lies
    #[arg(long, value_name = "DIR", default_value = "./acme-ca-data")]
    dir: PathBuf,
    /// The domain to be tried: every name below it is pinned to 127.0.0.1
    #[arg(long, value_name = "DOMAIN", default_value = "localhost", value_parser = domain)]
    domain: DnsName,
}

impl Quickstart {
    /// Makes what is missing, says how to use it, and serves until a signal.
    ///
    /// # Errors
    /// What keeps it from being made or served.
    pub async fn run(self, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
        let config = self.dir.join("acme-ca.toml");
        if !config.exists() {
            self.make(&config, out)?;
        }
        self.explain(&config, out)?;
        serve::run(&config).await
    }

    fn make(&self, config: &Path, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
        let domains = [self.domain.clone(), DnsName::parse("localhost").map_err(|p| anyhow!(p.detail))?];
        let init = Init {
            dir: self.dir.clone(),
            url: ServerUrl::parse(URL).map_err(|why| anyhow!(why))?,
            permit: domains.into_iter().map(Permit::Dns).collect(),
            passphrase_file: None,
            name: Some("acme-ca quickstart".to_owned()),
            configuration: Some(configuration(&self.domain)),
        };
        let (mut quiet, mut unwarned) = (Vec::new(), Vec::new());
        init.run(Clock::System.now(), &mut Console::new(&mut quiet, &mut unwarned, false))
            .with_context(|| format!("making {}", config.display()))?;
        Ok(writeln!(out, "made a root, an intermediate and a configuration in {}", self.dir.display())?)
    }

    fn explain(&self, config: &Path, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
        let dir = std::path::absolute(&self.dir)?;
        let root = dir.join("root.pem");
        let fingerprint = ca::read_root(&root)?.fingerprint();
        let (root, dir) = (root.display(), dir.display());
        let ctl = ca_ctl();
        let (config, domain) = (config.display(), &self.domain);
        writeln!(
            out,
            "\
root       {root}
           sha256 {fingerprint}
directory  {URL}/acme/directory

Every name below {domain} is pinned to 127.0.0.1. In another terminal, get a certificate with certbot

  REQUESTS_CA_BUNDLE='{root}' certbot certonly --standalone --http-01-port 5002 \\
    --server {URL}/acme/directory --non-interactive --agree-tos --register-unsafely-without-email \\
    --config-dir '{dir}/certbot' --work-dir '{dir}/certbot/work' --logs-dir '{dir}/certbot/logs' -d one.{domain}

or with lego

  LEGO_CA_CERTIFICATES='{root}' lego --server {URL}/acme/directory --accept-tos --email you@example.com \\
    --path '{dir}/lego' --http --http.port 127.0.0.1:5002 -d two.{domain} run

(`--tls --tls.port 127.0.0.1:5001` instead of the two options of HTTP-01 shows the name by TLS-ALPN-01),

and see what was issued

  {ctl} list --config '{config}'
"
        )?;
        Ok(out.flush()?)
    }
}

/// How `ca-ctl` is called: where it lies beside this program, else by its name.
fn ca_ctl() -> String {
    let beside = std::env::current_exe().ok().map(|program| program.with_file_name("ca-ctl"));
    match beside {
        Some(path) if path.exists() => format!("'{}'", path.display()),
        _ => "ca-ctl".to_owned(),
    }
}

fn domain(text: &str) -> Result<DnsName, String> {
    let name = DnsName::parse(text).map_err(|problem| problem.detail)?;
    if name.is_wildcard() { Err(format!("name the domain itself, {}", name.base())) } else { Ok(name) }
}

fn configuration(domain: &DnsName) -> String {
    format!(
        r#"# Made by `acme-ca quickstart`, to try things on this machine. A real one is made by `ca-ctl init`.

[server]
url = "{URL}"
listen = ["127.0.0.1:8443"]
status_listen = ["127.0.0.1:9180"]

[ca]
root = "root.pem"
[[ca.issuer]]
certificate = "intermediate.pem"
key = "intermediate.key"

[store]
url = "sqlite:ca.db"

[resolver]
# Nobody is asked: every name that can be validated is pinned.
servers = []
[resolver.pins]
"{domain}" = ["127.0.0.1"]
"*.{domain}" = ["127.0.0.1"]

[validation]
# Not dns-01: there is nobody to ask.
challenges = ["http-01", "tls-alpn-01"]
# Ports that need no privilege; real clients are met at 80 and 443.
http_port = 5002
tls_alpn_port = 5001
"#
    )
}

const URL: &str = "https://localhost:8443";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn its_configuration_is_a_good_one() {
        let demo = DnsName::parse("demo.lan").unwrap();
        let config = Config::parse(&configuration(&demo), Path::new("/tmp")).unwrap();
        assert_eq!(config.url, URL);
        assert_eq!((config.validation.http_port, config.validation.tls_alpn_port), (5002, 5001));
        assert!(config.listen[0].ip().is_loopback());
    }

    #[test]
    fn a_wildcard_is_no_domain_to_try() {
        assert!(domain("*.demo.lan").is_err());
    }
}
