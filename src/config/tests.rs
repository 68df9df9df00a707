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
fn a_value_of_another_kind_is_refused_with_its_key_and_what_would_do() {
    for (more, words) in [
        ("[probe]\nport = \"9443\"", "line 16: probe.port: '9443' is a text; a number from 1 to 65535"),
        ("[probe]\nport = 99999", "probe.port: 99999 is a number; a number from 1 to 65535"),
        ("[probe]\ninterval = 30", "probe.interval: 30 is a number; a span in quotes, such as \"30s\""),
        ("[probe]\nauto = \"yes\"", "probe.auto: 'yes' is a text; true or false"),
        ("[probe]\nskip = \"a.lan\"", "probe.skip: 'a.lan' is a text; a list"),
        ("[probe]\nskip = [\n  \"a=b\",\n  5,\n]", "line 18: probe.skip: 5 is a number; a text in quotes"),
        ("[limits]\npending_orders = true", "limits.pending_orders: it is true; a whole number"),
        ("[renewal]\nwarn = \"80%\"", "renewal.warn: '80%' is a text; a number such as 0.8"),
        ("[[probe.target]] # mail\nport = 25", "probe.target.host: it is missing in [[probe.target]]"),
        (
            "[[probe.target]]\nhost = \"a.lan\"\n[[probe.target]]\nport = 25",
            "line 17: probe.target.host: it is missing",
        ),
        (
            "[[alerts.sink]]\ntype = \"smtp\"\nport = \"25\"",
            "alerts.sink.port: '25' is a text; a number from 1",
        ),
    ] {
        let error = refused(&format!("{GOOD}{more}\n"));
        assert!(error.contains(words), "{more}: {error}");
    }
    let error = refused(&GOOD.replace("root = \"root.pem\"", ""));
    assert!(error.contains("ca.root: it is missing in [ca]"), "{error}");
    let error = refused(&GOOD.replace("[store]\nurl = \"sqlite:ca.db\"\n", ""));
    assert!(error.starts_with("store: it is missing"), "{error}");
}

#[test]
fn a_key_that_is_there_twice_is_named() {
    for (text, words) in [
        (
            format!("{GOOD}[limits]\npending_orders = 1\npending_orders = 2\n"),
            "line 17: limits.pending_orders: it stands",
        ),
        (
            GOOD.replace("url = \"https", "url = \"x\"\nurl = \"https"),
            "line 4: server.url: it stands there twice",
        ),
        (format!("{GOOD}[server]\nlisten = []\n"), "line 15: server: it stands there twice"),
    ] {
        let error = refused(&text);
        assert!(error.starts_with(words) && error.ends_with("leave one of them out"), "{words}: {error}");
    }
}

#[test]
fn a_database_is_named_in_full_and_without_its_password() {
    let of = |url: &str| parse(&GOOD.replace("sqlite:ca.db", url));
    for (url, words) in [
        ("postgres://u:secret@h/db", "?password_file=PATH would do"),
        ("postgres://u@h/db?password=secret", "?password_file=PATH would do"),
        ("postgres://u@h/db?password_file=", "password_file is empty"),
        ("postgres://", "names no host"),
        ("postgres:///db", "names no host"),
        ("postgres://u@/db", "names no host"),
        ("postgres://:5432/db", "names no host"),
        ("postgres://u@h/", "names no database"),
        ("postgres://u@h", "names no database"),
        ("postgres://u@h/db?foo=1", "parameter foo is unknown; known are password_file"),
        ("postgres://u@h/db?%70assword=secret", "parameter %70assword is unknown"),
    ] {
        let error = of(url).expect_err(url).to_string();
        assert!(error.starts_with("store.url: ") && error.contains(words), "{url}: {error}");
        assert!(!error.contains("secret"), "{error}");
    }
    for (url, store) in [
        ("postgres://u@h/db", "postgres://u@h/db"),
        ("postgresql://u@[fd00::1]:5432/db", "postgresql://u@[fd00::1]:5432/db"),
        ("postgres://u@%2Frun%2Fpostgresql/db", "postgres://u@%2Frun%2Fpostgresql/db"),
        ("postgres://h?dbname=db&sslmode=require", "postgres://h?dbname=db&sslmode=require"),
        ("postgres:///db?host=/run/postgresql", "postgres:///db?host=/run/postgresql"),
        ("postgres://u@:5433/db?host=/run", "postgres:///db?host=/run&user=u&port=5433"),
        (
            "postgres://u@h/db?password_file=pg.pass&options[a]=b",
            "postgres://u@h/db?password_file=/etc/acme-ca/pg.pass&options[a]=b",
        ),
    ] {
        assert_eq!(of(url).unwrap().store, store, "{url}");
    }
}

#[test]
fn of_several_sinks_the_one_that_is_wrong_is_named() {
    let journal = "[[alerts.sink]]\ntype = \"journal\"\n";
    let error = refused(&format!("{GOOD}{journal}[[alerts.sink]]\ntype = \"ntfy\"\ntopic = \"pki\"\n"));
    assert!(error.starts_with("alerts.sink.url (sink 2, ntfy): it is missing"), "{error}");
    let error = refused(&format!("{GOOD}{journal}name = \"phone\"\n{journal}name = \"phone\"\n"));
    assert!(error.starts_with("alerts.sink.name (sink 2, phone): two sinks"), "{error}");
    assert!(error.ends_with("phone-2 would do for this one"), "{error}");
}

#[test]
fn each_value_is_judged_and_the_error_names_its_key() {
    let with = |extra: &str| format!("{GOOD}\n{extra}\n");
    let url = |url: &str| GOOD.replace("https://ca.mgmt.lan:8443", url);
    let sink = |keys: &str| with(&format!("[[alerts.sink]]\n{keys}"));
    let ntfy = |keys: &str| sink(&format!("type = \"ntfy\"\n{keys}"));
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
        (
            GOOD.replace("[ca]", "listen = [\"[::]:1\", \"[::]:1\"]\n[ca]"),
            "server.listen: [::]:1 stands there twice",
        ),
        (
            GOOD.replace("[ca]", "status_listen = [\"[::]:8443\"]\n[ca]"),
            "server.status_listen: [::]:8443 stands in server.listen too",
        ),
        (
            GOOD.replace("[ca]", "plain_listen = [\"[::]:8443\"]\n[ca]"),
            "server.plain_listen: [::]:8443 stands in server.listen too",
        ),
        (
            GOOD.replace("[ca]", "plain_listen = [\"[::]:80\"]\nstatus_listen = [\"[::]:80\"]\n[ca]"),
            "server.status_listen: [::]:80 stands in server.plain_listen too",
        ),
        (
            GOOD.replace("\"*.mgmt.lan\"", "\"Pin.lan\" = [\"10.0.0.1\"]\n\"pin.lan\""),
            "resolver.pins.\"pin.lan\": pin.lan is pinned twice",
        ),
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
        (with("[validation]\nhttp_port = 0"), "validation.http_port: 0 is no port"),
        (with("[validation]\ntls_alpn_port = 0"), "validation.tls_alpn_port: 0 is no port"),
        (
            with("[validation]\nallow_networks = [\"10.0.0.1/8\"]"),
            "validation.allow_networks: 10.0.0.1/8 has bits beyond its prefix; write 10.0.0.0/8",
        ),
        (
            with("[policy]\nallow = [\"10.0.0.1/8\"]"),
            "policy.allow: 10.0.0.1/8 has bits beyond its prefix; write 10.0.0.0/8",
        ),
        (
            with("[policy]\ndeny = [\"fd00::1/8\"]"),
            "policy.deny: fd00::1/8 has bits beyond its prefix; write fd00::/8",
        ),
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
        (with("[renewal]\nwarn = 0.5"), "renewal.warn"),
        (with("[alerts]\nowner = \"grafana\""), "alerts.owner"),
        (with("[alerts]\nowner = \"alertmanager\""), "alerts.owner"),
        (with("[alerts]\nquiet = \"22:30-07:30\""), "alerts.quiet"),
        (with("[alerts]\nquiet = \"late\"\n[[alerts.sink]]\ntype = \"journal\""), "alerts.quiet"),
        (with("[alerts]\ndigest = \"8\"\n[[alerts.sink]]\ntype = \"journal\""), "alerts.digest"),
        (with("[alerts]\nutc_offset = \"CET\"\n[[alerts.sink]]\ntype = \"journal\""), "alerts.utc_offset"),
        (sink("type = \"pager\""), "alerts.sink.type"),
        (sink("type = \"journal\"\nmin = \"all\""), "alerts.sink.min"),
        (sink("type = \"journal\"\nrole = \"second\""), "alerts.sink.role"),
        (sink("type = \"journal\"\nrole = \"fallback\""), "alerts.sink.role"),
        (sink("type = \"journal\"\nname = \"a b\""), "alerts.sink.name"),
        (
            sink("type = \"journal\"\nname = \"a\"\n[[alerts.sink]]\ntype = \"journal\"\nname = \"a\""),
            "alerts.sink.name",
        ),
        (sink("type = \"journal\"\ntopic = \"pki\""), "alerts.sink.topic"),
        (sink("type = \"ntfy\"\ntopic = \"pki\""), "alerts.sink.url"),
        (ntfy("url = \"ntfy.lan\"\ntopic = \"pki\""), "alerts.sink.url"),
        (ntfy("url = \"https://u:secret@ntfy.lan\"\ntopic = \"pki\""), "alerts.sink.url"),
        (ntfy("url = \"https://ntfy.lan\""), "alerts.sink.topic"),
        (ntfy("url = \"https://ntfy.lan\"\ntopic = \"p/ki\""), "alerts.sink.topic"),
        (ntfy("url = \"https://ntfy.lan\"\ntopic = \"settings\""), "alerts.sink.topic"),
        (ntfy("url = \"https://ntfy.lan\"\ntopic = \"pki\"\nclick = \"javascript:x\""), "alerts.sink.click"),
        (ntfy("url = \"https://ntfy.lan\"\ntopic = \"pki\"\ntags = [\"a,b\"]"), "alerts.sink.tags"),
        (ntfy("url = \"https://ntfy.lan\"\ntopic = \"pki\"\nuser = \"ca\""), "alerts.sink.user"),
        (
            ntfy(
                "url = \"https://ntfy.lan\"\ntopic = \"pki\"\nuser = \"ca\"\npassword_file = \"p\"\ntoken_file = \"t\"",
            ),
            "alerts.sink.token_file",
        ),
        (ntfy("url = \"https://ntfy.lan\"\ntopic = \"pki\"\nca = \"\""), "alerts.sink.ca"),
        (
            ntfy("url = \"https://ntfy.lan\"\ntopic = \"pki\"\npin_sha256 = [\"AA:BB\"]"),
            "alerts.sink.pin_sha256",
        ),
        (ntfy("url = \"https://ntfy.lan\"\ntopic = \"pki\"\npin_sha256 = []"), "alerts.sink.pin_sha256"),
        (
            ntfy(
                "url = \"http://ntfy.lan\"\ntopic = \"pki\"\npin_sha256 = [\"MK5HTjwgUnVm1f6HEvDCrQn6SXA2Mkh2j0gPX5SPPoc=\"]",
            ),
            "alerts.sink.pin_sha256",
        ),
        (ntfy("url = \"https://ntfy.lan\"\ntopic = \"pki\"\nlabels = { a = \"b\" }"), "alerts.sink.labels"),
        (
            sink("type = \"alertmanager\"\nurl = \"http://127.0.0.1:9093\"\nlabels = { severity = \"b\" }"),
            "alerts.sink.labels",
        ),
        (
            sink("type = \"smtp\"\nhost = \"mail.lan\"\nfrom = \"ca@lan\"\nto = [\"a@b\\r\\nDATA\"]"),
            "alerts.sink.to",
        ),
        (sink("type = \"smtp\"\nhost = \"mail.lan\"\nfrom = \"ca\"\nto = [\"a@b\"]"), "alerts.sink.from"),
        (sink("type = \"smtp\"\nhost = \"mail.lan\"\nfrom = \"a@b\"\nto = []"), "alerts.sink.to"),
        (sink("type = \"smtp\"\nhost = \"a b\"\nfrom = \"a@b\"\nto = [\"a@b\"]"), "alerts.sink.host"),
        (
            sink(
                "type = \"smtp\"\nhost = \"mail.lan\"\nfrom = \"a@b\"\nto = [\"a@b\"]\nsecurity = \"plain\"\nuser = \"u\"\npassword_file = \"p\"",
            ),
            "alerts.sink.security",
        ),
        (sink("type = \"exec\""), "alerts.sink.program"),
        (sink("type = \"exec\"\nprogram = \"/bin/true\"\ntimeout = \"1h\""), "alerts.sink.timeout"),
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
    let config = parse(
        &GOOD.replace("sqlite:ca.db", "postgres://ca@localhost/ca?password_file=pg.pass&sslmode=require"),
    )
    .unwrap();
    assert_eq!(config.store, "postgres://ca@localhost/ca?password_file=/etc/acme-ca/pg.pass&sslmode=require");
}

#[test]
fn sinks_stand_in_their_order_and_their_files_beside_the_configuration() {
    let more = r#"
        [alerts]
        quiet = "22:30-07:30"
        [[alerts.sink]]
        type = "ntfy"
        url = "https://ntfy.lan"
        topic = "pki"
        token_file = "ntfy.token"
        [[alerts.sink]]
        type = "ntfy"
        url = "unix:/run/ntfy.sock"
        topic = "pki"
        role = "fallback"
        [[alerts.sink]]
        type = "exec"
        program = "tell"
        min = "critical"
    "#;
    let alerts = parse(&format!("{GOOD}{more}")).unwrap().alerts;
    let names: Vec<&str> = alerts.sinks.iter().map(|sink| sink.name.as_str()).collect();
    assert_eq!(names, ["ntfy", "ntfy-2", "exec"]);
    let notify::Way::Ntfy(ntfy) = &alerts.sinks[0].way else { panic!("{alerts:?}") };
    let token = notify::SecretFile("/etc/acme-ca/ntfy.token".into());
    assert_eq!(ntfy.login, notify::Login::Token(token));
    assert!(ntfy.heartbeat && ntfy.trust.roots == notify::Roots::Own && ntfy.trust.pins.is_empty());
    let notify::Way::Ntfy(second) = &alerts.sinks[1].way else { panic!("{alerts:?}") };
    assert!(!second.heartbeat && alerts.sinks[1].role == notify::Role::Fallback);
    assert_eq!(alerts.sinks[2].way.place(), "/etc/acme-ca/tell");
    let error = refused(&format!(
        "{GOOD}[[alerts.sink]]\ntype = \"ntfy\"\nurl = \"https://u:hunter2@x\"\ntopic = \"a\""
    ));
    assert!(!error.contains("hunter2"), "{error}");
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
