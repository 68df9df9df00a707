//! Every key that can be wrong, and the sentence that it is refused with.

use super::*;

const GOOD: &str = r#"
[server]
url = "https://ca.mgmt.lan:8443"
[ca]
root = "root.pem"
[[ca.issuer]]
certificate = "intermediate.pem"
key = "intermediate.key"
[store]
url = "sqlite:ca.db"
[resolver]
servers = ["127.0.0.1:5353"]
[resolver.pins]
"*.mgmt.lan" = ["192.168.1.10", "fd00::10"]
"#;

fn parse(text: &str) -> Result<Config, Error> {
    Config::parse(text, Path::new("/etc/acme-ca"))
}

fn refused(text: &str) -> String {
    parse(text).expect_err(text).to_string()
}

#[test]
fn the_least_configuration_has_the_documented_defaults() {
    let config = parse(GOOD).unwrap();
    assert_eq!(config.url, "https://ca.mgmt.lan:8443");
    assert_eq!(config.listen, ["[::]:8443".parse().unwrap()]);
    assert_eq!(config.store, "sqlite:/etc/acme-ca/ca.db");
    assert_eq!(config.ca.root, Path::new("/etc/acme-ca/root.pem"));
    assert_eq!(config.validation.http_port, 80);
    assert_eq!(config.validation.patience, Duration::from_secs(60));
    assert_eq!(config.policy.profiles[policy::DEFAULT_PROFILE].lifetime, Duration::from_secs(90 * 86_400));
    assert!(config.limits.enabled && config.policy.allow.is_none());
}

#[test]
fn a_misspelt_key_is_refused_with_the_nearest_known_one() {
    let error = refused(&GOOD.replace("servers =", "servrs ="));
    assert!(error.contains("unknown key servrs; servers is the nearest"), "{error}");
    assert!(error.contains("line 12"), "{error}");
    let error = refused(&format!("{GOOD}\n[polcy]\nallow = []\n"));
    assert!(error.contains("polcy") && error.contains("policy is the nearest"), "{error}");
    let error = refused(&format!("{GOOD}\n[quux]\n"));
    assert!(error.contains("known here are") && error.contains("resolver"), "{error}");
}

#[test]
fn a_missing_key_is_named() {
    let error = refused(&GOOD.replace("url = \"https://ca.mgmt.lan:8443\"", ""));
    assert!(error.contains("url"), "{error}");
    let error = refused(&GOOD.replace("root = \"root.pem\"", ""));
    assert!(error.contains("root"), "{error}");
}

#[test]
fn each_value_is_judged_and_the_error_names_its_key() {
    let with = |extra: &str| format!("{GOOD}\n{extra}\n");
    let url = |url: &str| GOOD.replace("https://ca.mgmt.lan:8443", url);
    let cases = [
        (url("http://ca.mgmt.lan"), "server.url"),
        (url("https://ca.mgmt.lan/ca"), "server.url"),
        (url("https://ca.mgmt.lan:0x50"), "server.url"),
        (url("https://*.mgmt.lan"), "server.url"),
        (url("https://user@ca.mgmt.lan"), "server.url"),
        (url("https://"), "server.url"),
        (GOOD.replace("[ca]", "listen = [\"443\"]\n[ca]"), "server.listen"),
        (GOOD.replace("[ca]", "listen = []\n[ca]"), "server.listen"),
        (GOOD.replace("[ca]", "status_listen = [\"localhost:1\"]\n[ca]"), "server.status_listen"),
        (GOOD.replace("sqlite:ca.db", "mysql://x"), "store.url"),
        (GOOD.replace("sqlite:ca.db", "sqlite:"), "store.url"),
        (GOOD.replace("127.0.0.1:5353", "not-an-address"), "resolver.servers"),
        (GOOD.replace("192.168.1.10\"", "192.168.1\""), "resolver.pins.\"*.mgmt.lan\""),
        (GOOD.replace("*.mgmt.lan", "a.*.lan"), "resolver.pins"),
        (GOOD.replace("[resolver.pins]", "timeout = \"fast\"\n[resolver.pins]"), "resolver.timeout"),
        (GOOD.replace("[resolver.pins]", "timeout = \"1h\"\n[resolver.pins]"), "resolver.timeout"),
        (with("[[resolver.zone]]\nsuffix = \"corp.example\"\nservers = []"), "resolver.zone.servers"),
        (with("[validation]\nchallenges = [\"http-02\"]"), "validation.challenges"),
        (with("[validation]\nchallenges = []"), "validation.challenges"),
        (with("[validation]\nchallenges = [\"device-attest-01\"]"), "validation.challenges"),
        (with("[validation]\ncaa_identities = [\"ca.example\"]"), "validation.caa_identities"),
        (with("[validation]\ncaa = true\ncaa_identities = []"), "validation.caa_identities"),
        (with("[validation]\ncaa = true\ncaa_identities = [\"a_b\"]"), "validation.caa_identities"),
        (with("[validation]\ncaa = true\ncaa_identities = [\"*.b.lan\"]"), "validation.caa_identities"),
        (url("https://10.0.0.1") + "[validation]\ncaa = true\n", "validation.caa_identities"),
        (with("[profiles.short]\nchallenges = [\"http-02\"]"), "profiles.short.challenges"),
        (with("[profiles.short]\nchallenges = []"), "profiles.short.challenges"),
        (with("[validation]\npatience = \"1 day\""), "validation.patience"),
        (with("[validation]\nallow_networks = [\"10.0.0.0/33\"]"), "validation.allow_networks"),
        (with("[policy]\nallow = [\"a..b\"]"), "policy.allow"),
        (with("[policy]\ndeny = [\"-\"]"), "policy.deny"),
        (with("[profiles.short]\nlifetime = \"1s\""), "profiles.short.lifetime"),
        (with("[profiles.\"a b\"]"), "profiles"),
        (with("[limits]\nnew_orders = \"many\""), "limits.new_orders"),
        (with("[limits]\nnew_accounts = \"0/1h\""), "limits.new_accounts"),
        (with("[limits]\nfailed_validations = \"5\""), "limits.failed_validations"),
        (with("[limits]\npending_orders = 0"), "limits.pending_orders"),
        (with("[profiles.Default]"), "profiles"),
        (with("[profiles.short]\n[profiles.Short]"), "profiles"),
        (with("[profiles.short]\nkeys = []"), "profiles.short.keys"),
        (with("[profiles.short]\nkeys = [\"p256\", \"dsa\"]"), "profiles.short.keys"),
        (with("[profiles.short]\ndescription = \" \""), "profiles.short.description"),
        (with("[profiles.short]\ndescription = 'say \"please\"'"), "profiles.short.description"),
        (with("[accounts]\nterms_of_service = \"\""), "accounts.terms_of_service"),
        (with("[accounts]\nterms_of_service = \"https://a.lan/x y\""), "accounts.terms_of_service"),
        (with("[renewal]\nwarn = 0.95"), "renewal"),
        (with("[renewal]\ncritical = nan"), "renewal"),
        (with("[probe]\ninterval = \"1s\""), "probe.interval"),
        (with("[probe]\nport = 0"), "probe.port"),
        (with("[probe]\nskip = [\"a..b\"]"), "probe.skip"),
        (with("[probe]\nconcurrency = 9"), "probe.concurrency"),
        (with("[probe]\nconcurrency = 0"), "probe.concurrency"),
        (with("[probe]\ntimeout = \"1h\""), "probe.timeout"),
        (with("[[probe.target]]\nhost = \"*.b.lan\""), "probe.target.host"),
        (with("[[probe.target]]\nhost = \"fd00::0:1\""), "probe.target.host"),
        (with("[[probe.target]]\nhost = \"b.lan\"\nport = 0"), "probe.target.port"),
        (with("[[probe.target]]\nhost = \"b.lan\"\nstarttls = \"ftp\""), "probe.target.starttls"),
        (with("[[probe.target]]\nhost = \"b.lan\"\nsni = \"*.b.lan\""), "probe.target.sni"),
        (with("[[probe.target]]\nhost = \"b.lan\"\nconnect = [\"c.lan\"]"), "probe.target.connect"),
        (with("[[probe.target]]\nhost = \"b.lan\"\nexpect = \"theirs\""), "probe.target.expect"),
        (with("[[probe.target]]\nhost = \"b.lan\"\nowner = \"\""), "probe.target.owner"),
        (with("[[probe.target]]\nhost = \"b.lan\"\ninterval = \"2d\""), "probe.target.interval"),
        (
            with("[[probe.target]]\nhost = \"b.lan\"\n[[probe.target]]\nhost = \"B.lan\"\nport = 443"),
            "probe.target",
        ),
    ];
    for (text, key) in cases {
        let error = refused(&text);
        assert!(error.starts_with(key), "{key}: {error}\n{text}");
    }
}

#[test]
fn challenges_are_offered_in_one_order_and_drafts_when_they_are_asked_for() {
    let words = |types: &[Type]| types.iter().map(|t| t.as_str()).collect::<Vec<_>>().join(" ");
    let config = parse(GOOD).unwrap();
    assert_eq!(words(&config.validation.challenges), "http-01 dns-01 tls-alpn-01");
    assert!(!config.offers(Type::DnsPersist01) && !config.validation.caa);
    assert!(config.validation.identities.is_empty(), "nothing is advertised that does not count");

    let more = "[validation]\nchallenges = [\"tls-alpn-01\", \"http-01\", \"http-01\"]\n\
                [profiles.dns]\nchallenges = [\"dns-persist-01\", \"dns-01\"]\n";
    let config = parse(&format!("{GOOD}\n{more}")).unwrap();
    assert_eq!(words(&config.validation.challenges), "http-01 tls-alpn-01");
    let of = |profile: &str| words(config.challenges(&config.policy.profiles[profile]));
    assert_eq!((of("default"), of("dns")), ("http-01 tls-alpn-01".into(), "dns-01 dns-persist-01".into()));
    assert!(config.offers(Type::DnsPersist01) && !config.offers(Type::DnsAccount01));
    assert_eq!(config.validation.identities, ["ca.mgmt.lan"], "the host of server.url");
}

#[test]
fn the_names_of_the_ca_are_in_lower_case() {
    let more = "[validation]\ncaa = true\ncaa_identities = [\"CA.Example\", \"ca.lan\"]";
    let config = parse(&format!("{GOOD}\n{more}")).unwrap();
    assert!(config.validation.caa);
    assert_eq!(config.validation.identities, ["ca.example", "ca.lan"]);
}

#[test]
fn what_is_not_toml_is_refused_with_its_line() {
    let error = refused("[server]\nurl = \n");
    assert!(error.starts_with("line 2"), "{error}");
}

#[test]
fn an_ipv6_host_stands_in_brackets() {
    let config = parse(&GOOD.replace("ca.mgmt.lan", "[fd00::1]")).unwrap();
    assert_eq!(config.host.to_string(), "fd00::1");
    assert!(refused(&GOOD.replace("ca.mgmt.lan:8443", "fd00::1")).starts_with("server.url"));
}

#[test]
fn a_password_file_is_relative_to_the_configuration() {
    let config =
        parse(&GOOD.replace("sqlite:ca.db", "postgres://ca@localhost/ca?password_file=pg.pass&a=b")).unwrap();
    assert_eq!(config.store, "postgres://ca@localhost/ca?password_file=/etc/acme-ca/pg.pass&a=b");
}

#[test]
fn targets_have_the_usual_port_of_their_protocol_and_addresses_are_dialled_as_they_stand() {
    let config = parse(GOOD).unwrap().probe;
    let own = Some("127.0.0.1:8443".parse().unwrap());
    assert_eq!(config, probe::Settings { own, ..probe::Settings::default() });

    let more = "[probe]\nport = 8443\nskip = [\"*.lab.lan\"]\n[[probe.target]]\nhost = \"mail.lan\"\nstarttls = \"smtp\"\n\
                [[probe.target]]\nhost = \"10.0.0.9\"\nexpect = \"nothing\"\ninterval = \"1h\"\n";
    let config = parse(&format!("{GOOD}\n{more}")).unwrap().probe;
    let keys: Vec<String> = config.targets.iter().map(probe::Target::key).collect();
    assert_eq!(keys, ["mail.lan:25", "10.0.0.9:8443"]);
    assert_eq!(config.targets[1].connect, ["10.0.0.9".parse::<IpAddr>().unwrap()]);
    assert_eq!(config.targets[1].expect, probe::Expect::Nothing);
}
