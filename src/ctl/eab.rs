//! `eab`: keys for external account binding (RFC 8555 7.3.4), which an operator gives to the owner of a new account.

use std::time::Duration;

use acme::id::ExternalAccountId;
use acme::time::Timestamp;
use anyhow::ensure;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::json;
use store::Store;
use store::audit::AuditEvent;
use store::external_account::{CreateExternalAccount, ExternalAccount, MacKey, RevokeExternalAccount};

use super::output::Output;
use super::span::ago;
use crate::audit;
use crate::config::Config;
use crate::policy::Rule;

/// Keys by which new accounts show whose they are
#[derive(Subcommand)]
pub(super) enum Eab {
    /// Make a key; it is shown this once
    Create(Create),
    /// Every key, oldest first, without the keys themselves
    List,
    /// Withdraw a key: it makes no more accounts, and those that it made can order nothing
    Revoke(Revoke),
}

#[derive(Args)]
pub(super) struct Create {
    /// Whom it is for, in your own words
    #[arg(long, value_name = "TEXT", default_value = "")]
    label: String,
    /// What its account may ask for: a name, *.suffix, an address or a network; may be repeated. Left out: whatever the
    /// policy allows
    #[arg(long, value_name = "RULE", value_parser = rule)]
    allow: Vec<String>,
    /// A profile that its account may ask for; may be repeated, the first is for orders that name none. Left out: every
    /// profile
    #[arg(long, value_name = "NAME")]
    profile: Vec<String>,
    /// How long it makes accounts; those that it made stay. Left out: for ever
    #[arg(long, value_name = "SPAN", value_parser = humantime::parse_duration)]
    expires: Option<Duration>,
    /// More than one account can be made with it
    #[arg(long)]
    reusable: bool,
}

#[derive(Args)]
pub(super) struct Revoke {
    /// The key's name, as `eab list` shows it
    key_id: String,
}

/// A key as `--json` tells of it. Fields are only ever added.
#[derive(Serialize)]
struct Item {
    key_id: String,
    label: String,
    /// base64url, as certbot, lego and acme.sh take it; only when it was just made.
    #[serde(skip_serializing_if = "Option::is_none")]
    hmac_key: Option<String>,
    state: &'static str,
    allow: Option<Vec<String>>,
    profiles: Option<Vec<String>>,
    reusable: bool,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
    bound_at: Option<Timestamp>,
    accounts: Vec<String>,
}

impl Eab {
    pub(super) async fn run(self, config: &Config, store: &Store, output: Output<'_>) -> anyhow::Result<()> {
        match self {
            Self::Create(create) => create.run(config, store, output).await,
            Self::List => list(store, output).await,
            Self::Revoke(revoke) => revoke.run(store, output).await,
        }
    }
}

impl Create {
    async fn run(self, config: &Config, store: &Store, mut output: Output<'_>) -> anyhow::Result<()> {
        let now = output.now;
        for profile in &self.profile {
            config.policy.profile(Some(profile)).map_err(|problem| anyhow::anyhow!(problem.detail))?;
        }
        ensure!(self.expires.is_none_or(|span| !span.is_zero()), "a key that expires at once is of no use");
        ensure!(self.label.chars().count() <= LABEL, "the label is longer than {LABEL} characters");
        let list = |texts: Vec<String>| (!texts.is_empty()).then_some(texts);
        let key = ExternalAccount {
            id: ExternalAccountId::mint(now, crate::random()),
            label: acme::problem::plain(&self.label, LABEL),
            mac_key: MacKey(crate::random::<32>().to_vec()),
            allow: list(self.allow),
            profiles: list(self.profile),
            reusable: self.reusable,
            created_at: now,
            expires_at: self.expires.map(|span| now.plus(span)),
            revoked_at: None,
            bound_at: None,
        };
        let audit = AuditEvent {
            detail: Some(json!({"external_account": key.id, "label": key.label})),
            ..audit("external-account-created", now)
        };
        store.write(CreateExternalAccount { key: key.clone(), audit }).await?;
        let secret = URL_SAFE_NO_PAD.encode(&key.mac_key.0);
        if output.json {
            let item = Item { hmac_key: Some(secret), ..item(&key, Vec::new(), now) };
            return output.envelope("eab", &[item]);
        }
        let id = &key.id;
        output.line(&format!("key id    {id}"))?;
        output.line(&format!("HMAC key  {secret}"))?;
        output.line("It is not shown again. Whoever has it can make an account:")?;
        output.line(&format!("  certbot register --eab-kid {id} --eab-hmac-key {secret}"))?;
        output.line(&format!("  lego --eab --kid {id} --hmac {secret} …"))
    }
}

impl Revoke {
    async fn run(self, store: &Store, mut output: Output<'_>) -> anyhow::Result<()> {
        let now = output.now;
        let unknown =
            || anyhow::anyhow!("there is no key {}; eab list shows those that there are", self.key_id);
        let id = ExternalAccountId::parse(&self.key_id).ok_or_else(unknown)?;
        let key = store.external_account(&id).await?.ok_or_else(unknown)?;
        ensure!(key.revoked_at.is_none(), "the key {id} is revoked already");
        let audit = AuditEvent {
            detail: Some(json!({"external_account": id})),
            ..audit("external-account-revoked", now)
        };
        store.write(RevokeExternalAccount { id: id.clone(), now, audit }).await?;
        if output.json {
            let key = ExternalAccount { revoked_at: Some(now), ..key };
            return output.envelope("eab", &[item(&key, Vec::new(), now)]);
        }
        output.line(&format!("{id} is revoked; the server takes it up within seconds"))
    }
}

async fn list(store: &Store, mut output: Output<'_>) -> anyhow::Result<()> {
    let now = output.now;
    let keys = store.external_accounts().await?;
    let items: Vec<Item> = keys
        .into_iter()
        .map(|(key, accounts)| item(&key, accounts.iter().map(ToString::to_string).collect(), now))
        .collect();
    output.items("eab", &items, &["KEY", "LABEL", "STATE", "MADE", "ACCOUNTS", "ALLOW"], |item| {
        let allow = item.allow.as_ref().map_or_else(|| "-".to_owned(), |rules| rules.join(" "));
        let label = if item.label.is_empty() { "-".to_owned() } else { item.label.clone() };
        let (made, accounts) = (ago(item.created_at, now), item.accounts.len().to_string());
        vec![item.key_id.clone(), label, item.state.to_owned(), made, accounts, allow]
    })
}

fn item(key: &ExternalAccount, accounts: Vec<String>, now: Timestamp) -> Item {
    Item {
        key_id: key.id.to_string(),
        label: key.label.clone(),
        hmac_key: None,
        state: state(key, now),
        allow: key.allow.clone(),
        profiles: key.profiles.clone(),
        reusable: key.reusable,
        created_at: key.created_at,
        expires_at: key.expires_at,
        revoked_at: key.revoked_at,
        bound_at: key.bound_at,
        accounts,
    }
}

/// Whether it makes accounts, in one word.
fn state(key: &ExternalAccount, now: Timestamp) -> &'static str {
    if key.revoked_at.is_some() {
        return "revoked";
    }
    match key.bound_at {
        Some(_) if !key.reusable => "used",
        _ if key.expires_at.is_some_and(|end| end <= now) => "expired",
        _ => "open",
    }
}

/// A rule of the policy, in the words in which it was written.
fn rule(text: &str) -> Result<String, String> {
    Rule::parse(text).map(|rule| rule.to_string())
}

/// How long a label may be, in characters.
const LABEL: usize = 200;
