//! `revoke`: certificates that must not be trusted any more, and keys that were lost. It writes to the store; a server that
//! runs sees it within seconds.

use std::path::PathBuf;

use acme::id::{AccountId, Serial};
use acme::lineage::title;
use acme::problem::plain;
use acme::revocation::{By, Reason, decide};
use acme::time::Timestamp;
use anyhow::{Context as _, bail};
use clap::Args;
use serde::Serialize;
use store::Store;
use store::certificate::{Certificate, CertificateStatus};

use super::certificates;
use super::output::Output;
use crate::ca::public_key::read_public_key;
use crate::revocation::{self, Asker};

/// Revoke certificates that must not be trusted any more, and block keys that were lost
#[derive(Args)]
pub(super) struct Revoke {
    /// A name or address on certificates, or a serial
    #[arg(value_name = "NAME|SERIAL", required_unless_present_any = ["key", "account"], conflicts_with_all = ["key", "account"])]
    what: Option<String>,
    /// The certificates of a key: a file with its public or private half, or with a certificate or request of it, PEM
    #[arg(long, value_name = "FILE", conflicts_with = "account")]
    key: Option<PathBuf>,
    /// The certificates that an account ordered; the end of its URL
    #[arg(long, value_name = "ID")]
    account: Option<String>,
    /// Why: unspecified, keyCompromise, affiliationChanged, superseded, cessationOfOperation, privilegeWithdrawn
    /// [default: unspecified; with --key, keyCompromise]. After keyCompromise the key is accepted nowhere any more
    #[arg(long, value_name = "WORD", value_parser = reason)]
    reason: Option<Reason>,
    /// Also when several certificates are meant
    #[arg(long)]
    yes: bool,
}

/// A certificate that was revoked as `--json` tells of it. Fields are only ever added.
#[derive(Serialize)]
struct Item {
    name: String,
    names: Vec<String>,
    serial: Serial,
    revoked_at: Option<Timestamp>,
    revocation_reason: Option<Reason>,
    not_after: Timestamp,
    issuer: String,
    account: Option<String>,
    /// Whether its key is accepted nowhere any more.
    key_blocked: bool,
}

impl Revoke {
    pub(super) async fn run(self, store: &Store, mut output: Output<'_>) -> anyhow::Result<()> {
        let now = output.now;
        let spki = self.key.as_deref().map(read_public_key).transpose()?.map(|spki| acme::jwk::sha256(&spki));
        let default = if spki.is_some() { Reason::KeyCompromise } else { Reason::Unspecified };
        let reason = self.reason.unwrap_or(default);
        let meant = self.meant(spki, store, now).await?;
        let (open, done): (Vec<_>, Vec<_>) = meant
            .into_iter()
            .partition(|c| decide(By::Operator, reason, c.revocation.map(|before| before.reason)).is_ok());
        let blocks = spki.filter(|_| reason == Reason::KeyCompromise);
        if open.is_empty() && blocks.is_none() {
            bail!("{}", self.nothing_to_do(&done));
        }
        if open.len() > 1 && !self.yes {
            bail!(
                "that is {} certificates: {}; name one by its serial, or add --yes",
                open.len(),
                few(open.iter().map(|c| format!("{} ({})", c.names, c.serial)))
            );
        }

        let user = operator();
        let asker = Asker { by: By::Operator, account: None, user: user.as_deref() };
        let mut revoked = Vec::new();
        for certificate in &open {
            let decision = decide(By::Operator, reason, certificate.revocation.map(|before| before.reason))?;
            revoked.extend(revocation::revoke(certificate, decision, &asker, store, now).await?.serials);
        }
        if let Some(spki) = blocks {
            let done = revocation::block(&spki, &asker, store, now).await?;
            revoked.extend(done.serials);
        }
        self.tell(&revoked, blocks.as_ref(), store, &mut output).await
    }

    /// The certificates that the command line names: those that have not ended, and one that is named by its serial
    /// whatever became of it.
    async fn meant(
        &self,
        spki: Option<[u8; 32]>,
        store: &Store,
        now: Timestamp,
    ) -> anyhow::Result<Vec<Certificate>> {
        if let Some(spki) = spki {
            return Ok(store.certificates_of_key(&spki, now).await?);
        }
        if let Some(account) = &self.account {
            // People have the URL.
            let id = account.rsplit('/').next().and_then(AccountId::parse);
            let id = id.with_context(|| format!("{} is no account's id", plain(account, 80)))?;
            store.account(&id).await?.with_context(|| format!("there is no account {id}"))?;
            return Ok(store.certificates_of_account(&id, now).await?);
        }
        let what = self.what.as_deref().unwrap_or_default();
        let certificates = match certificates::serial(what) {
            Some(serial) => store.certificate(&serial).await?.into_iter().collect(),
            _ => {
                let mut all = store.certificates_of_name(&what.to_ascii_lowercase(), LIMIT).await?;
                all.retain(|certificate| certificate.not_after >= now);
                all
            }
        };
        Ok(certificates.into_iter().filter(|c| c.status == CertificateStatus::Issued).collect())
    }

    fn nothing_to_do(&self, done: &[Certificate]) -> String {
        let what = match (&self.what, &self.account) {
            (Some(what), _) => plain(what, 80),
            (_, Some(account)) => format!("account {}", plain(account, 80)),
            _ => "that key".to_owned(),
        };
        if done.is_empty() {
            return format!("no certificate of {what} is valid; `ca-ctl list` shows which are");
        }
        let shown = done.iter().filter_map(|c| {
            let before = c.revocation?;
            Some(format!("{} since {}, {}", c.serial, before.at, before.reason))
        });
        format!("{what} is revoked already: {}", few(shown))
    }

    async fn tell(
        &self,
        revoked: &[Serial],
        blocked: Option<&[u8; 32]>,
        store: &Store,
        output: &mut Output<'_>,
    ) -> anyhow::Result<()> {
        let mut items = Vec::new();
        for serial in revoked {
            items.extend(store.certificate(serial).await?.map(item));
        }
        output.items("revoke", &items, &["NAME", "REASON", "NOT AFTER", "SERIAL"], |item| {
            let reason = item.revocation_reason.map(|reason| reason.to_string()).unwrap_or_default();
            vec![title(&item.names), reason, item.not_after.to_string(), item.serial.to_string()]
        })?;
        if !output.json {
            eprintln!("{} revoked; a server that runs publishes it within seconds", items.len());
            if let Some(spki) = blocked {
                eprintln!("the key is accepted nowhere any more: SHA-256 {}", acme::id::hex(spki));
            }
        }
        Ok(())
    }
}

fn item(certificate: Certificate) -> Item {
    let names: Vec<String> = certificate.names.split(',').map(str::to_owned).collect();
    let reason = certificate.revocation.map(|revocation| revocation.reason);
    Item {
        name: names.first().cloned().unwrap_or_default(),
        names,
        serial: certificate.serial,
        revoked_at: certificate.revocation.map(|revocation| revocation.at),
        revocation_reason: reason,
        not_after: certificate.not_after,
        issuer: certificate.issuer,
        account: certificate.account.as_ref().map(ToString::to_string),
        key_blocked: reason == Some(Reason::KeyCompromise),
    }
}

/// Who sits at the keyboard, as far as the environment tells: for the trail, not for a decision.
pub(super) fn operator() -> Option<String> {
    ["SUDO_USER", "USER", "LOGNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|u| !u.is_empty()))
}

fn few(texts: impl Iterator<Item = String>) -> String {
    let texts: Vec<String> = texts.collect();
    match texts.len() {
        0..=SHOWN => texts.join(", "),
        many => format!("{} and {} more", texts[..SHOWN].join(", "), many - SHOWN),
    }
}

fn reason(text: &str) -> anyhow::Result<Reason> {
    let words = Reason::ALL.iter().map(|reason| reason.as_str()).collect::<Vec<_>>().join(", ");
    Reason::parse(text).with_context(|| format!("one of {words} would do"))
}

const LIMIT: u32 = 10_000;
const SHOWN: usize = 5;
