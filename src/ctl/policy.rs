//! `policy explain NAME`: each rule that a name meets on its way to a certificate, as the server judges it.

use acme::id::AccountId;
use acme::identifier::Identifier;
use acme::order::AccountStatus;
use acme::time::Timestamp;
use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde::Serialize;
use store::Store;

use super::output::Output;
use crate::ca::{self, Certificate};
use crate::config::Config;
use crate::policy::Bounds;

/// Which names may have a certificate, and why
#[derive(Subcommand)]
pub(super) enum Policy {
    /// Every rule that a name meets, and what each says
    Explain(Explain),
}

#[derive(Args)]
pub(super) struct Explain {
    /// The name, a wildcard or an address
    name: String,
    /// The account that would ask, for the limits of its external account key
    #[arg(long, value_name = "ID")]
    account: Option<String>,
}

/// One rule and what it says. Fields are only ever added.
#[derive(Serialize)]
struct Item {
    rule: String,
    allowed: bool,
    why: String,
}

impl Policy {
    pub(super) async fn run(self, config: &Config, output: Output<'_>) -> anyhow::Result<()> {
        match self {
            Self::Explain(explain) => explain.run(config, output).await,
        }
    }
}

impl Explain {
    async fn run(self, config: &Config, mut output: Output<'_>) -> anyhow::Result<()> {
        let identifier = parse(&self.name)?;
        let mut items = policy(config, &identifier);
        items.extend(name_constraints(config, &identifier, output.now)?);
        if let Some(account) = &self.account {
            let store = Store::open_existing(&config.store).await?;
            let found = bounds(&store, account, &identifier).await;
            store.close().await;
            items.extend(found?);
        }
        items.push(challenges(config, &identifier));
        output.items("policy", &items, &["RULE", "SAYS", "WHY"], |item| {
            let word = if item.allowed { "yes" } else { "no" };
            vec![item.rule.clone(), word.to_owned(), item.why.clone()]
        })?;
        match items.iter().find(|item| !item.allowed) {
            Some(item) => bail!("{identifier} gets no certificate, because of {}: {}", item.rule, item.why),
            None => Ok(()),
        }
    }
}

fn parse(name: &str) -> anyhow::Result<Identifier> {
    Identifier::written(name).map_err(|problem| anyhow::anyhow!(problem.detail))
}

fn policy(config: &Config, identifier: &Identifier) -> Vec<Item> {
    let says = |rule: &str, allowed, why: String| Item { rule: rule.to_owned(), allowed, why };
    let denied = config.policy.denied_by(identifier);
    let deny = match denied {
        Some(rule) => says("policy.deny", false, format!("{rule} covers it, and deny wins")),
        None => says("policy.deny", true, "none of its rules covers it".to_owned()),
    };
    let allow = match (&config.policy.allow, config.policy.allowed_by(identifier)) {
        (None, _) => says("policy.allow", true, "it is not given; the name constraints decide".to_owned()),
        (Some(_), Some(rule)) => says("policy.allow", true, format!("{rule} covers it")),
        (Some(_), None) => says("policy.allow", false, "none of its rules covers it".to_owned()),
    };
    vec![deny, allow]
}

/// Of every CA from the issuer that would sign now up to the root. Their certificates are read, never a key.
fn name_constraints(config: &Config, identifier: &Identifier, now: Timestamp) -> anyhow::Result<Vec<Item>> {
    let root = ca::read_root(&config.ca.root)?;
    let chains = config.ca.issuers.iter().map(|issuer| Certificate::read(&issuer.certificate));
    let chains: Vec<_> = chains.collect::<Result<_, _>>()?;
    let active = chains.into_iter().find(|chain| chain.iter().all(|ca| ca.is_valid_at(now)));
    let chain = active.context("no issuer is valid now; check the clock, or install a new intermediate")?;
    let above = chain.iter().filter(|ca| ca.der() != root.der()).chain([&root]);
    let item = |ca: &Certificate| {
        let verdict = ca.constraints.check(identifier);
        Item {
            rule: format!("name constraints of '{}'", ca.name),
            allowed: verdict.is_ok(),
            why: verdict.err().unwrap_or_else(|| "they permit it".to_owned()),
        }
    };
    Ok(above.map(item).collect())
}

async fn bounds(store: &Store, account: &str, identifier: &Identifier) -> anyhow::Result<Vec<Item>> {
    let unknown = || anyhow::anyhow!("there is no account {account}");
    let id = AccountId::parse(account).ok_or_else(unknown)?;
    let (account, key) = store.account_with_external(&id).await?.ok_or_else(unknown)?;
    let mut items = vec![Item {
        rule: "account".to_owned(),
        allowed: account.status == AccountStatus::Valid,
        why: format!("it is {}", account.status),
    }];
    if let Some(key) = key {
        let revoked = key.revoked_at.is_some();
        let bounds = Bounds::parse(key.id.as_str(), key.allow.as_deref(), key.profiles.as_deref(), revoked);
        let bounds = bounds.map_err(|why| anyhow::anyhow!(why))?;
        let verdict =
            bounds.check().map_err(|problem| problem.detail).and_then(|()| bounds.judge(identifier));
        items.push(Item {
            rule: format!("external account key {}", key.id),
            allowed: verdict.is_ok(),
            why: verdict.err().unwrap_or_else(|| "its limits include it".to_owned()),
        });
    }
    Ok(items)
}

fn challenges(config: &Config, identifier: &Identifier) -> Item {
    // Those of orders that name no profile.
    let usual = config.policy.profile(None).map(|(_, profile)| config.challenges(profile));
    let usual = usual.unwrap_or(&config.validation.challenges);
    let offered = usual.iter().filter(|challenge| challenge.can_show(identifier));
    let words: Vec<&str> = offered.map(|challenge| challenge.as_str()).collect();
    Item {
        rule: "validation.challenges".to_owned(),
        allowed: !words.is_empty(),
        why: match words.as_slice() {
            [] if identifier.is_wildcard() => "none of them can show a wildcard; dns-01 would".to_owned(),
            [] => "none of them can show it".to_owned(),
            words => format!("it can be shown by {}", words.join(", ")),
        },
    }
}
