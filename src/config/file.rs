//! The configuration as it is written: one TOML file. The doc comment of a key is its manual: meaning, unit, default,
//! consequence. Nothing is judged here beyond its type; [`super::Config`] is what was judged.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::alerts::Alerts;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    /// Where the server listens, and what it is called.
    pub(super) server: Server,
    /// The root, and the issuers that sign.
    pub(super) ca: Ca,
    /// Where everything is kept.
    pub(super) store: Store,
    /// How names are looked up, for validation.
    #[serde(default)]
    pub(super) resolver: Resolver,
    /// How control of a name is shown.
    #[serde(default)]
    pub(super) validation: Validation,
    /// Which names may be asked for.
    #[serde(default)]
    pub(super) policy: Policy,
    /// What certificates are like, by profile name. `default` is for orders that name no profile.
    #[serde(default)]
    pub(super) profiles: BTreeMap<String, Profile>,
    /// Who may have an account.
    #[serde(default)]
    pub(super) accounts: Accounts,
    /// How much at once.
    #[serde(default)]
    pub(super) limits: Limits,
    /// When a certificate that was not renewed is called late.
    #[serde(default)]
    pub(super) renewal: Renewal,
    /// Who is told when something needs attention.
    #[serde(default)]
    pub(super) alerts: Alerts,
    /// Where is looked whether certificates are really served.
    #[serde(default)]
    pub(super) probe: Probe,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Server {
    /// The base of every URL that is handed out, `https://HOST` or `https://HOST:PORT`. HOST is on the server's own
    /// certificate. The directory is `<url>/acme/directory`. Clients keep account and order URLs for years, so this
    /// is for ever: another URL makes every client register anew.
    pub(super) url: String,
    /// Addresses for ACME over TLS. Default: `["[::]:PORT"]` with the port of `url`. Not used when systemd hands a
    /// socket over.
    pub(super) listen: Option<Vec<String>>,
    /// Addresses for plain HTTP: the root, the issuers' certificates and their lists of what is revoked, nothing else.
    /// Default: none. When given, leaf certificates say where their issuer (AIA) and its list (CRL) can be downloaded.
    #[serde(default)]
    pub(super) plain_listen: Vec<String>,
    /// Addresses for `/health/live`, `/health/ready` and `/metrics`, plain HTTP. Default: none. Keep it on loopback.
    #[serde(default)]
    pub(super) status_listen: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ca {
    /// The root certificate, PEM. Its key belongs elsewhere.
    pub(super) root: PathBuf,
    /// The intermediates. The first whose time it is signs; the others' certificates are still served.
    pub(super) issuer: Vec<Issuer>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Issuer {
    /// The intermediate's certificate, PEM; followed by others up to the root when it is not signed by the root.
    pub(super) certificate: PathBuf,
    /// Its key, PEM: PKCS#8, SEC 1 or PKCS#1, possibly encrypted.
    pub(super) key: PathBuf,
    /// A file whose first line is the key's passphrase. Default: the key is not encrypted.
    pub(super) passphrase_file: Option<PathBuf>,
    /// Other chains for the same key, PEM, each a certificate of this issuer by another root with what leads up to that
    /// one. Clients are offered them as alternates (RFC 8555 7.4.2). Default: none.
    #[serde(default)]
    pub(super) alternates: Vec<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Store {
    /// `sqlite:PATH`, or `postgres://USER@HOST/DATABASE`, whose password may lie in a file:
    /// `?password_file=PATH`. A relative path is relative to the configuration file.
    pub(super) url: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Resolver {
    /// Name servers, asked in this order: `ADDRESS`, `ADDRESS:PORT`, `tcp://ADDRESS`, `tls://ADDRESS#NAME`. Default:
    /// those of `/etc/resolv.conf`. One that fails is passed over for the next; one that says that a name does not
    /// exist is believed.
    pub(super) servers: Option<Vec<String>>,
    /// How long one server may take for one question. Default: `3s`.
    pub(super) timeout: Option<String>,
    /// Addresses that are answered first and never asked for: exact names, then the longest `*.suffix`, which covers
    /// every depth below it. A pinned address may always be dialled. This is how the machine that serves DNS gets
    /// certificates itself.
    #[serde(default)]
    pub(super) pins: BTreeMap<String, Vec<String>>,
    /// Other servers for parts of the name space.
    #[serde(default)]
    pub(super) zone: Vec<Zone>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Zone {
    /// This name and everything below it. The longest suffix that fits counts.
    pub(super) suffix: String,
    /// As `resolver.servers`.
    pub(super) servers: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Validation {
    /// The challenges that are offered: `http-01`, `dns-01`, `tls-alpn-01`, and the drafts `dns-account-01` and
    /// `dns-persist-01`. Default: `["http-01", "dns-01", "tls-alpn-01"]`. Wildcards are shown by DNS alone, addresses never
    /// by DNS.
    pub(super) challenges: Option<Vec<String>>,
    /// Whether CAA records are heeded (RFC 8659, 8657), with a validation and again at finalize when that is eight hours
    /// ago. Default: `false`. The name servers must answer for every name up to the top-level label: what they cannot
    /// answer stops the issuance.
    #[serde(default)]
    pub(super) caa: bool,
    /// The names by which CAA records and those of dns-persist-01 mean this CA; one to ten. Default: the host of
    /// `server.url`.
    pub(super) caa_identities: Option<Vec<String>>,
    /// The port where HTTP-01 begins. Default: 80, which is what clients expect.
    pub(super) http_port: Option<u16>,
    /// The port where TLS-ALPN-01 asks, and to which an HTTP-01 redirect may lead beside 443. Default: 443.
    pub(super) tls_alpn_port: Option<u16>,
    /// How long failures that may pass (a server failure, a timeout, a refused connection, a status of 500 and above)
    /// are tried again before the order is given up. Default: `60s`; from `0s` to `10m`. A client sees `processing`
    /// meanwhile.
    pub(super) patience: Option<String>,
    /// For how long after a validation later orders of the same account for the same name need no other one. Default:
    /// `24h`; up to `30d`; `0s` validates each order anew. newAuthz (RFC 8555 7.4.1) is offered unless it is `0s`.
    pub(super) reuse: Option<String>,
    /// Networks that may be dialled. Default: all but loopback, link-local, multicast and reserved addresses.
    pub(super) allow_networks: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Policy {
    /// What may be asked for: `name`, `*.suffix` (every depth below, wildcards too), `*` (every DNS name), addresses
    /// and networks. Default: what the issuer's name constraints permit.
    pub(super) allow: Option<Vec<String>>,
    /// What may not, in the same form; it wins over `allow`. Default: nothing.
    #[serde(default)]
    pub(super) deny: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Profile {
    /// How long a certificate is good for. Default: `90d`; from `10m` to `825d`. Never beyond the issuer's own end.
    pub(super) lifetime: Option<String>,
    /// The challenges that its orders are offered, as `validation.challenges`, which is the default.
    pub(super) challenges: Option<Vec<String>>,
    /// Whether a certificate is good for TLS clients too, beside servers. Default: `false`.
    #[serde(default)]
    pub(super) client_auth: bool,
    /// The kinds of key that certificates are issued for: `p256`, `p384`, `p521`, `rsa`, `ed25519`. A request with another
    /// is refused with the list. Default: all of them.
    pub(super) keys: Option<Vec<String>>,
    /// What the directory tells clients about the profile: one plain sentence of at most 200 characters, or a URL.
    /// Default: a sentence with the facts.
    pub(super) description: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Accounts {
    /// Whether a new account needs a key that the operator gave out with `ca-ctl eab create` (RFC 8555 7.3.4).
    /// Default: `false`; a key is then optional, and its limits hold for who uses one.
    #[serde(default)]
    pub(super) external_account_required: bool,
    /// What a new account has to agree to (RFC 8555 7.3.3): a URL, or a text file that the server shows at
    /// `<url>/terms`. Default: nothing.
    pub(super) terms_of_service: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    /// Whether anything is limited: rates, and what one account may have under way at once. Default: `true`; `false` is
    /// for load tests.
    pub(super) enabled: Option<bool>,
    /// New accounts from one address, or from one IPv6 network of 64 bits: so many at once, and as many again within the
    /// span. Default: `600/1h`.
    pub(super) new_accounts: Option<String>,
    /// New orders of one account. Default: `1500/1h`.
    pub(super) new_orders: Option<String>,
    /// Failed validations of one name by one account; then the account can order that name only later. Default: `60/1h`.
    pub(super) failed_validations: Option<String>,
    /// Orders of one account that are open: neither valid nor invalid, nor a day old. Default: 1000.
    pub(super) pending_orders: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Renewal {
    /// The used part of its lifetime from which a certificate without a successor is overdue. Default: 0.80.
    pub(super) warn: Option<f64>,
    /// The part from which it is critical. Default: 0.93.
    pub(super) critical: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Probe {
    /// How often each target is looked at. Default: `10m`; from `1m` to `1d`.
    pub(super) interval: Option<String>,
    /// Whether every name and address with a certificate is a target, without being named here. Default: `true`. A wildcard
    /// is none: nothing can be dialled for it.
    pub(super) auto: Option<bool>,
    /// The port where those are looked at. Default: 443.
    pub(super) port: Option<u16>,
    /// Hosts that are no targets by themselves: `name`, `*.suffix` (every depth below), addresses and networks. Default:
    /// none. A `[[probe.target]]` is looked at all the same.
    #[serde(default)]
    pub(super) skip: Vec<String>,
    /// How many hosts are looked at at once. Default: 8, which is the most.
    pub(super) concurrency: Option<usize>,
    /// How long each step of a look may take: the connection, what is said before TLS, the handshake. Default: `5s`; from
    /// `100ms` to `30s`.
    pub(super) timeout: Option<String>,
    /// Further places: other ports, protocols, names.
    #[serde(default)]
    pub(super) target: Vec<ProbeTarget>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProbeTarget {
    /// The name or address that clients ask for. No wildcard: one of the names that it covers would do.
    pub(super) host: String,
    /// The port. Default: the usual one of `starttls`, else `probe.port`.
    pub(super) port: Option<u16>,
    /// What is spoken before TLS: `smtp`, `imap`, `pop3`, `ldap`, `postgres`, `mysql`, `xmpp`. Default: nothing, TLS
    /// begins at once.
    pub(super) starttls: Option<String>,
    /// The name that the server is asked for and that its certificate is to cover. Default: `host`.
    pub(super) sni: Option<String>,
    /// Addresses to dial, whatever the name leads to; they may always be dialled. Default: those of `host`.
    #[serde(default)]
    pub(super) connect: Vec<String>,
    /// Whose certificate is expected: `ours`; `public`, one of a public authority; `nothing`, for a host that is mostly
    /// off: that nobody answers is well, and what is shown is judged as ours. Default: `ours`.
    pub(super) expect: Option<String>,
    /// Who looks after it, for tables and alerts. Default: nobody.
    pub(super) owner: Option<String>,
    /// How often it is looked at. Default: `probe.interval`; from `1m` to `1d`.
    pub(super) interval: Option<String>,
}
