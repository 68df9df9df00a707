//! dns-01, dns-account-01, dns-persist-01, TLS-ALPN-01 and CAA against real name servers and real TLS servers on loopback:
//! what is asked, what is believed, and what the evidence says.

#![expect(clippy::unwrap_used, reason = "what surprises a test ends it")]

mod support;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use acme::challenge::{KeyAuthorization, TOKEN_RANDOM, Token, Type};
use acme::failure::{Failure, Phase, Reason};
use acme::identifier::Identifier;
use acme::persist::account_hash;
use acme::problem::Kind;
use acme::time::Timestamp;
use acme_ca::resolver::{self, Resolver, Server, Zone};
use acme_ca::validate::{self, Applicant, Challenge, Proof, Validator};
use rustls::RootCertStore;
use support::alpn::{AlpnResponder, certificate};
use support::dns::{Answer, DnsServer};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

const NOW: i64 = 1_800_000_000;
const ACCOUNT: &str = "https://ca.lan/acme/account/1";

fn token() -> Token {
    Token::mint([7; TOKEN_RANDOM])
}

fn expected() -> KeyAuthorization {
    token().key_authorization("thumbprint-of-the-account-key")
}

/// What a validator is made of in these tests: names are asked for, and loopback may be dialled.
struct World {
    resolver: resolver::Settings,
    settings: validate::Settings,
    applicant: Applicant,
}

impl World {
    fn new(servers: &[&DnsServer]) -> Self {
        let servers = servers.iter().map(|dns| server(dns)).collect();
        let timeout = Duration::from_secs(5);
        let resolver = resolver::Settings { servers, timeout, pins: BTreeMap::new(), zones: Vec::new() };
        let settings = validate::Settings {
            allow_networks: Some(vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]),
            identities: vec!["ca.lan".to_owned()],
            ..validate::Settings::default()
        };
        let applicant = Applicant {
            url: ACCOUNT.to_owned(),
            hash_prefix: "https://ca.lan/acme/account-hash/".to_owned(),
            thumbprints: vec!["thumbprint-of-the-account-key".to_owned()],
        };
        Self { resolver, settings, applicant }
    }

    fn heeding_caa(mut self) -> Self {
        self.settings.caa = true;
        self
    }

    fn validator(&self) -> Validator {
        let resolver = Resolver::new(self.resolver.clone(), RootCertStore::empty()).unwrap();
        Validator::new(self.settings.clone(), Arc::new(resolver))
    }

    async fn attempt(&self, kind: Type, name: &str) -> Result<Proof, Failure> {
        let asked = identifier(name);
        let (token, expected) = (token(), expected());
        let challenge = Challenge {
            kind,
            identifier: &asked.to_authorize(),
            wildcard: asked.is_wildcard(),
            token: &token,
            expected: &expected,
            applicant: &self.applicant,
            now: Timestamp::from_unix(NOW),
        };
        let result = self.validator().attempt(&challenge).await;
        // Whatever happens, the secret is nowhere.
        assert!(!format!("{result:?}").contains(expected.as_str()), "{result:?}");
        result
    }

    async fn fails(&self, kind: Type, name: &str) -> Failure {
        self.attempt(kind, name).await.expect_err("the validation must fail")
    }
}

fn server(dns: &DnsServer) -> Server {
    Server::parse(&dns.address().to_string()).unwrap()
}

fn identifier(name: &str) -> Identifier {
    Identifier::ip(name).or_else(|_| Identifier::dns(name)).unwrap()
}

fn assert_ended(failure: &Failure, phase: Phase, reason: Reason, kind: Kind) {
    assert_eq!((failure.phase, failure.reason), (phase, reason), "{failure}");
    assert_eq!(failure.to_problem().kind, kind, "{failure}");
}

// --- dns-01

#[tokio::test]
async fn a_txt_record_with_the_digest_is_believed() {
    let dns = DnsServer::start().await;
    dns.set("_acme-challenge.vault.lan", Answer::texts(&[&expected().txt()]));
    let proof = World::new(&[&dns]).attempt(Type::Dns01, "vault.lan").await.unwrap();
    let [lookup] = proof.evidence.lookups.as_slice() else { panic!("{proof:?}") };
    assert_eq!((lookup.name.as_str(), lookup.record.as_str()), ("_acme-challenge.vault.lan", "TXT"));
    assert_eq!((&lookup.server, lookup.answer.as_str()), (&dns.address().to_string(), "NOERROR"));
    assert_eq!(lookup.values, [expected().txt()]);
    assert!(proof.evidence.dials.is_empty() && proof.until.is_none());
    assert_eq!(dns.asked().len(), 1, "one question, for TXT alone: {:?}", dns.asked());
}

#[tokio::test]
async fn any_of_several_records_suffices_and_the_strings_of_one_belong_together() {
    let dns = DnsServer::start().await;
    let digest = expected().txt();
    dns.set("_acme-challenge.vault.lan", Answer::texts(&["v=spf1 -all", "old", &digest, "another"]));
    World::new(&[&dns]).attempt(Type::Dns01, "*.vault.lan").await.unwrap();
    let (first, second) = digest.split_at(20);
    let strings = vec![vec!["x".to_owned()], vec![first.to_owned(), second.to_owned()]];
    dns.set("_acme-challenge.vault.lan", Answer::Strings(strings));
    World::new(&[&dns]).attempt(Type::Dns01, "vault.lan").await.unwrap();
    // Two records are not one.
    dns.set("_acme-challenge.vault.lan", Answer::texts(&[first, second]));
    World::new(&[&dns]).fails(Type::Dns01, "vault.lan").await;
}

#[tokio::test]
async fn an_answer_that_does_not_fit_a_datagram_is_read_too() {
    let dns = DnsServer::start().await;
    let mut texts: Vec<String> = (0..40).map(|i| format!("{i:0>100}")).collect();
    texts.push(expected().txt());
    dns.set("_acme-challenge.vault.lan", Answer::Truncated(Box::new(Answer::Texts(texts))));
    World::new(&[&dns]).attempt(Type::Dns01, "vault.lan").await.unwrap();
    assert_eq!(dns.asked().last().unwrap().over, "tcp");
}

#[tokio::test]
async fn wrong_values_are_a_definite_no_and_are_shown_harmless() {
    let dns = DnsServer::start().await;
    dns.set(
        "_acme-challenge.vault.lan",
        Answer::texts(&["old \u{1b}[31m\"value\"", &"x".repeat(200), "c", "d"]),
    );
    let failure = World::new(&[&dns]).fails(Type::Dns01, "vault.lan").await;
    assert_ended(&failure, Phase::Record, Reason::Mismatch, Kind::IncorrectResponse);
    assert!(!failure.is_transient());
    let told = failure.to_problem().detail;
    assert!(told.contains("_acme-challenge.vault.lan has 4 TXT records"), "{told}");
    assert!(told.contains("'old  [31m'value''") && !told.contains('\u{1b}'), "{told}");
    assert!(!told.contains(&"x".repeat(61)) && !told.contains("'d'"), "{told}");
    assert_eq!(failure.evidence.lookups[0].values.len(), 4);
}

#[tokio::test]
async fn each_way_to_find_no_record_is_told_apart() {
    let dns = DnsServer::start().await;
    dns.set("_acme-challenge.gone.lan", Answer::NxDomain);
    dns.set("_acme-challenge.bare.lan", Answer::addresses(&["127.0.0.1"]));
    dns.set("_acme-challenge.sick.lan", Answer::ServFailBecause(6, "at lan".to_owned()));
    dns.set("_acme-challenge.shut.lan", Answer::Refused);
    dns.set("_acme-challenge.mute.lan", Answer::Silence);
    let mut world = World::new(&[&dns]);
    world.resolver.timeout = Duration::from_millis(300);
    for (name, reason, transient, words) in [
        ("gone.lan", Reason::Nxdomain, false, "NXDOMAIN"),
        ("bare.lan", Reason::Nodata, false, "no TXT record"),
        ("sick.lan", Reason::Servfail, true, "DNSSEC bogus"),
        ("shut.lan", Reason::Refused, true, "REFUSED"),
        ("mute.lan", Reason::Timeout, true, "did not answer"),
    ] {
        let failure = world.fails(Type::Dns01, name).await;
        assert_ended(&failure, Phase::Dns, reason, Kind::Dns);
        assert_eq!(failure.is_transient(), transient, "{failure}");
        let told = failure.to_problem().detail;
        assert!(told.contains(words) && told.contains(&dns.address().to_string()), "{told}");
        assert!(told.contains(&format!("_acme-challenge.{name}")), "{told}");
    }
}

#[tokio::test]
async fn the_next_server_is_asked_when_one_fails_and_a_denial_is_believed() {
    let (sick, well) = (DnsServer::start().await, DnsServer::start().await);
    sick.set_default(Answer::ServFail);
    well.set("_acme-challenge.vault.lan", Answer::texts(&[&expected().txt()]));
    let proof = World::new(&[&sick, &well]).attempt(Type::Dns01, "vault.lan").await.unwrap();
    let answers: Vec<_> = proof.evidence.lookups.iter().map(|lookup| lookup.answer.as_str()).collect();
    assert_eq!(answers, ["SERVFAIL", "NOERROR"]);
    sick.set_default(Answer::NxDomain);
    let failure = World::new(&[&sick, &well]).fails(Type::Dns01, "vault.lan").await;
    assert_ended(&failure, Phase::Dns, Reason::Nxdomain, Kind::Dns);
}

#[tokio::test]
async fn pins_say_nothing_of_txt_records_and_zones_name_their_servers() {
    let (outside, inside) = (DnsServer::start().await, DnsServer::start().await);
    outside.set_default(Answer::NxDomain);
    inside.set("_acme-challenge.vault.lan", Answer::texts(&[&expected().txt()]));
    let mut world = World::new(&[&outside]);
    world.resolver.pins.insert("*.lan".to_owned(), vec!["127.0.0.1".parse().unwrap()]);
    world.resolver.zones.push(Zone { suffix: "lan".to_owned(), servers: vec![server(&inside)] });
    let proof = world.attempt(Type::Dns01, "vault.lan").await.unwrap();
    assert_eq!(proof.evidence.lookups[0].server, inside.address().to_string());
    assert_eq!(outside.queries(), 0);
}

#[tokio::test]
async fn aliases_are_followed_within_an_answer_and_beyond_it() {
    let dns = DnsServer::start().await;
    let good = || Box::new(Answer::texts(&[&expected().txt()]));
    // A recursive server tells the whole chain.
    let chain = vec!["a.acme.lan".to_owned(), "b.acme.lan".to_owned()];
    dns.set("_acme-challenge.whole.lan", Answer::Chain(chain, good()));
    let proof = World::new(&[&dns]).attempt(Type::Dns01, "whole.lan").await.unwrap();
    assert_eq!(proof.evidence.lookups[0].aliases, ["a.acme.lan", "b.acme.lan"]);
    assert_eq!(dns.queries(), 1);
    // An authoritative one may tell the first alias alone.
    let alias = Answer::Chain(vec!["c.acme.lan".to_owned()], Box::new(Answer::texts(&[])));
    dns.set("_acme-challenge.part.lan", alias);
    dns.set("c.acme.lan", Answer::Chain(vec!["d.acme.lan".to_owned()], good()));
    let proof = World::new(&[&dns]).attempt(Type::Dns01, "part.lan").await.unwrap();
    let asked: Vec<_> = proof.evidence.lookups.iter().map(|lookup| lookup.name.as_str()).collect();
    assert_eq!(asked, ["_acme-challenge.part.lan", "c.acme.lan"]);
    assert_eq!(proof.evidence.lookups[1].aliases, ["d.acme.lan"]);
    // What is at the end of the chain decides, and the failure says what that is.
    let gone = Answer::Chain(vec!["gone.acme.lan".to_owned()], Box::new(Answer::NxDomain));
    dns.set("_acme-challenge.gone.lan", gone);
    let failure = World::new(&[&dns]).fails(Type::Dns01, "gone.lan").await;
    assert_ended(&failure, Phase::Dns, Reason::Nxdomain, Kind::Dns);
    assert_eq!(failure.evidence.lookups[0].aliases, ["gone.acme.lan"]);
}

#[tokio::test]
async fn an_alias_into_another_zone_is_asked_for_at_the_servers_of_that_zone() {
    let (outside, inside) = (DnsServer::start().await, DnsServer::start().await);
    // The public server knows nothing of the internal target, and says so for the whole chain.
    let alias = Answer::Chain(vec!["x.acme.lan".to_owned()], Box::new(Answer::NxDomain));
    outside.set("_acme-challenge.www.example.org", alias);
    inside.set("x.acme.lan", Answer::texts(&[&expected().txt()]));
    let mut world = World::new(&[&outside]);
    world.resolver.zones.push(Zone { suffix: "acme.lan".to_owned(), servers: vec![server(&inside)] });
    world.attempt(Type::Dns01, "www.example.org").await.unwrap();
    // The failure says what the end is, and whom we asked about what.
    inside.set("x.acme.lan", Answer::texts(&[]));
    let failure = world.fails(Type::Dns01, "www.example.org").await;
    assert_ended(&failure, Phase::Dns, Reason::Nodata, Kind::Dns);
    let told = format!(
        "looking up _acme-challenge.www.example.org, an alias of x.acme.lan (asked {}): {} answered that x.acme.lan has \
         no TXT record (NODATA)",
        outside.address(),
        inside.address()
    );
    assert_eq!(failure.detail, told);
    // And it cannot answer in place of those.
    let digest = Box::new(Answer::texts(&[&expected().txt()]));
    outside.set("_acme-challenge.www.example.org", Answer::Chain(vec!["x.acme.lan".to_owned()], digest));
    inside.set("x.acme.lan", Answer::NxDomain);
    let failure = world.fails(Type::Dns01, "www.example.org").await;
    assert_ended(&failure, Phase::Dns, Reason::Nxdomain, Kind::Dns);
}

#[tokio::test]
async fn a_chain_of_aliases_has_an_end_after_eight() {
    let dns = DnsServer::start().await;
    let good = || Box::new(Answer::texts(&[&expected().txt()]));
    let chain = |n: usize| (1..=n).map(|i| format!("a{i}.lan")).collect::<Vec<_>>();
    dns.set("_acme-challenge.eight.lan", Answer::Chain(chain(8), good()));
    World::new(&[&dns]).attempt(Type::Dns01, "eight.lan").await.unwrap();
    dns.set("_acme-challenge.nine.lan", Answer::Chain(chain(9), good()));
    let failure = World::new(&[&dns]).fails(Type::Dns01, "nine.lan").await;
    assert_ended(&failure, Phase::Dns, Reason::Malformed, Kind::Dns);
    // One by one, in a circle.
    let to = |name: &str| Answer::Chain(vec![name.to_owned()], Box::new(Answer::texts(&[])));
    dns.set("_acme-challenge.round.lan", to("one.lan"));
    dns.set("one.lan", to("two.lan"));
    dns.set("two.lan", to("one.lan"));
    let before = dns.queries();
    let failure = World::new(&[&dns]).fails(Type::Dns01, "round.lan").await;
    assert_ended(&failure, Phase::Dns, Reason::Malformed, Kind::Dns);
    let told = "its aliases lead in a circle, back to one.lan";
    assert!(
        failure.detail.contains("_acme-challenge.round.lan") && failure.detail.contains(told),
        "{failure}"
    );
    assert_eq!(dns.queries() - before, 3);
    // One by one, and on and on.
    dns.set("_acme-challenge.long.lan", to("l1.lan"));
    (1..20).for_each(|i| dns.set(&format!("l{i}.lan"), to(&format!("l{}.lan", i + 1))));
    let before = dns.queries();
    let failure = World::new(&[&dns]).fails(Type::Dns01, "long.lan").await;
    assert_ended(&failure, Phase::Dns, Reason::Malformed, Kind::Dns);
    assert!(failure.detail.contains("more than 8 aliases"), "{failure}");
    assert_eq!(dns.queries() - before, 9);
}

#[tokio::test]
async fn an_address_is_never_shown_by_dns_and_a_wildcard_by_nothing_else() {
    let dns = DnsServer::start().await;
    let world = World::new(&[&dns]);
    for kind in [Type::Dns01, Type::DnsAccount01, Type::DnsPersist01] {
        let failure = world.fails(kind, "127.0.0.1").await;
        assert_ended(&failure, Phase::Target, Reason::Forbidden, Kind::RejectedIdentifier);
    }
    for kind in [Type::Http01, Type::TlsAlpn01] {
        let failure = world.fails(kind, "*.vault.lan").await;
        assert_ended(&failure, Phase::Target, Reason::Forbidden, Kind::RejectedIdentifier);
    }
    assert_eq!(dns.queries(), 0);
}

#[tokio::test]
async fn no_server_for_a_name_is_told_so() {
    let failure = World::new(&[]).fails(Type::Dns01, "vault.lan").await;
    assert_ended(&failure, Phase::Dns, Reason::Unreachable, Kind::Dns);
    assert!(
        failure.detail.contains("no name server is configured for _acme-challenge.vault.lan"),
        "{failure}"
    );
}

// --- dns-account-01 and dns-persist-01

#[tokio::test]
async fn each_account_has_a_place_of_its_own() {
    let dns = DnsServer::start().await;
    dns.set_default(Answer::NxDomain);
    dns.set("_acme-challenge.vault.lan", Answer::texts(&[&expected().txt()]));
    let mut world = World::new(&[&dns]);
    world.applicant.url = "https://example.com/acme/acct/ExampleAccount".to_owned();
    let failure = world.fails(Type::DnsAccount01, "vault.lan").await;
    assert_ended(&failure, Phase::Dns, Reason::Nxdomain, Kind::Dns);
    dns.set("_ujmmovf2vn55tgye._acme-challenge.vault.lan", Answer::texts(&[&expected().txt()]));
    world.attempt(Type::DnsAccount01, "*.vault.lan").await.unwrap();
}

#[tokio::test]
async fn a_record_that_stays_names_the_account() {
    let dns = DnsServer::start().await;
    let world = World::new(&[&dns]);
    let hash = account_hash("vault.lan", "thumbprint-of-the-account-key", ACCOUNT);
    let record = |more: &str| format!("ca.lan; accounturi=https://ca.lan/acme/account-hash/{hash}{more}");
    let set = |text: String| dns.set("_validation-persist.vault.lan", Answer::texts(&["v=spf1 -all", &text]));

    set(record(""));
    assert_eq!(world.attempt(Type::DnsPersist01, "vault.lan").await.unwrap().until, None);
    let failure = world.fails(Type::DnsPersist01, "*.vault.lan").await;
    assert_ended(&failure, Phase::Record, Reason::Forbidden, Kind::Unauthorized);
    set(record(&format!("; policy=wildcard; persistUntil={}", NOW + 60)));
    let proof = world.attempt(Type::DnsPersist01, "*.vault.lan").await.unwrap();
    assert_eq!(proof.until, Some(Timestamp::from_unix(NOW + 60)), "the authorization ends with the record");

    for (text, reason, kind) in [
        (record(&format!("; persistUntil={}", NOW - 1)), Reason::Forbidden, Kind::Unauthorized),
        (record("; persistUntil=tomorrow"), Reason::Malformed, Kind::Malformed),
        (record("; policy=a; policy=b"), Reason::Malformed, Kind::Malformed),
        ("ca.lan; accounturi=https://ca.lan/acme/account/1".to_owned(), Reason::Malformed, Kind::Malformed),
        ("ca.lan".to_owned(), Reason::Malformed, Kind::Malformed),
        (record("").replace("ca.lan;", "other.lan;"), Reason::Forbidden, Kind::Unauthorized),
    ] {
        set(text);
        let failure = world.fails(Type::DnsPersist01, "vault.lan").await;
        assert_ended(&failure, Phase::Record, reason, kind);
        assert!(!failure.is_transient(), "{failure}");
    }
    dns.set("_validation-persist.vault.lan", Answer::NxDomain);
    let failure = world.fails(Type::DnsPersist01, "vault.lan").await;
    assert_ended(&failure, Phase::Dns, Reason::Nxdomain, Kind::Dns);
}

// --- tls-alpn-01

/// A name that is asked for, and a responder whose port the validator dials.
async fn tls_world(at: &str) -> (DnsServer, AlpnResponder, World) {
    let dns = DnsServer::start().await;
    dns.set("vault.lan", Answer::addresses(&["127.0.0.1"]));
    let responder = AlpnResponder::start(at).await;
    let mut world = World::new(&[&dns]);
    world.settings.tls_alpn_port = responder.address().port();
    (dns, responder, world)
}

#[tokio::test]
async fn a_certificate_with_the_digest_is_believed() {
    let (_dns, responder, world) = tls_world("127.0.0.1:0").await;
    responder.publish(&identifier("vault.lan"), &expected().digest());
    let proof = world.attempt(Type::TlsAlpn01, "vault.lan").await.unwrap();
    let [dial] = proof.evidence.dials.as_slice() else { panic!("{proof:?}") };
    assert_eq!((dial.address, &dial.error), (responder.address(), &None));
    assert_eq!(dial.url, format!("tls://vault.lan:{}", responder.address().port()));
    assert_eq!(proof.evidence.lookups.len(), 2, "the address was looked up as for HTTP-01");
    let [hello] = responder.hellos().try_into().unwrap();
    assert_eq!(
        (hello.server_name.as_deref(), hello.protocols),
        (Some("vault.lan"), vec!["acme-tls/1".into()])
    );
}

#[tokio::test]
async fn an_address_is_asked_for_by_its_name_in_the_reverse_tree() {
    for (at, address, name) in [
        ("127.0.0.1:0", "127.0.0.1", "1.0.0.127.in-addr.arpa"),
        ("[::1]:0", "::1", "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa"),
    ] {
        let (dns, responder, world) = tls_world(at).await;
        responder.publish(&identifier(address), &expected().digest());
        let proof = world.attempt(Type::TlsAlpn01, address).await.unwrap();
        assert_eq!((proof.evidence.lookups[0].server.as_str(), dns.queries()), ("literal", 0));
        assert_eq!(responder.hellos()[0].server_name.as_deref(), Some(name));
        // A certificate for the name of the reverse tree is not one for the address.
        let (der, key) = certificate(name, Some(&expected().digest()));
        responder.show(&identifier(address), der, &key);
        let failure = world.fails(Type::TlsAlpn01, address).await;
        assert_ended(&failure, Phase::Certificate, Reason::Mismatch, Kind::Unauthorized);
    }
}

#[tokio::test]
async fn tls_1_2_is_spoken_and_nothing_older() {
    let dns = DnsServer::start().await;
    dns.set("vault.lan", Answer::addresses(&["127.0.0.1"]));
    let responder = AlpnResponder::speaking("127.0.0.1:0", &["acme-tls/1"], &[&rustls::version::TLS12]).await;
    let mut world = World::new(&[&dns]);
    world.settings.tls_alpn_port = responder.address().port();
    responder.publish(&identifier("vault.lan"), &expected().digest());
    world.attempt(Type::TlsAlpn01, "vault.lan").await.unwrap();
    // A ServerHello of TLS 1.1, as an old server would send it.
    let old = TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.settings.tls_alpn_port = old.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        let (mut stream, _) = old.accept().await.unwrap();
        let hello = [&[22, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2][..], &[9; 32], &[0, 0x00, 0x2f, 0]].concat();
        let _ = stream.write_all(&hello).await;
        stream
    });
    let failure = world.fails(Type::TlsAlpn01, "vault.lan").await;
    assert_ended(&failure, Phase::Tls, Reason::Tls, Kind::Tls);
    task.abort();
}

#[tokio::test]
async fn another_certificate_is_a_definite_no() {
    let (_dns, responder, world) = tls_world("127.0.0.1:0").await;
    let digest = expected().digest();
    let other = token().key_authorization("another-account").digest();
    for (made, words) in [
        (certificate("vault.lan", None), "no acmeIdentifier"),
        (certificate("vault.lan", Some(&other)), "another challenge"),
        (certificate("other.lan", Some(&digest)), "is for DNSName(other.lan), not for vault.lan alone"),
    ] {
        responder.show(&identifier("vault.lan"), made.0, &made.1);
        let failure = world.fails(Type::TlsAlpn01, "vault.lan").await;
        assert_ended(&failure, Phase::Certificate, Reason::Mismatch, Kind::Unauthorized);
        assert!(!failure.is_transient() && failure.detail.contains(words), "{failure}");
        assert!(failure.detail.contains(&responder.address().to_string()), "{failure}");
        assert!(failure.evidence.dials[0].error.as_deref().unwrap().contains(words), "{failure:?}");
    }
}

#[tokio::test]
async fn whoever_shows_the_certificate_must_hold_its_key() {
    let (_dns, responder, world) = tls_world("127.0.0.1:0").await;
    let (der, _) = certificate("vault.lan", Some(&expected().digest()));
    let (_, other_key) = certificate("vault.lan", None);
    responder.show(&identifier("vault.lan"), der, &other_key);
    let failure = world.fails(Type::TlsAlpn01, "vault.lan").await;
    assert_ended(&failure, Phase::Tls, Reason::Tls, Kind::Tls);
}

#[tokio::test]
async fn a_server_without_the_protocol_is_the_usual_one() {
    let dns = DnsServer::start().await;
    dns.set("vault.lan", Answer::addresses(&["127.0.0.1"]));
    let mut world = World::new(&[&dns]);
    for (protocols, words) in [(&["h2", "http/1.1"][..], "does not know"), (&[], "took no notice")] {
        let usual = AlpnResponder::speaking("127.0.0.1:0", protocols, rustls::ALL_VERSIONS).await;
        let (der, key) = certificate("vault.lan", Some(&expected().digest()));
        usual.show_otherwise(der, &key);
        world.settings.tls_alpn_port = usual.address().port();
        let failure = world.fails(Type::TlsAlpn01, "vault.lan").await;
        assert_ended(&failure, Phase::Tls, Reason::Mismatch, Kind::Tls);
        assert!(!failure.is_transient() && failure.detail.contains(words), "{failure}");
    }
}

#[tokio::test]
async fn no_connection_no_handshake_and_no_address_are_told_apart() {
    let (dns, responder, mut world) = tls_world("127.0.0.1:0").await;
    let open = world.settings.tls_alpn_port;
    world.settings.tls_alpn_port =
        TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let failure = world.fails(Type::TlsAlpn01, "vault.lan").await;
    assert_ended(&failure, Phase::Connect, Reason::Refused, Kind::Connection);
    assert!(failure.is_transient());

    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.settings.tls_alpn_port = mute.local_addr().unwrap().port();
    world.settings.hop_timeout = Duration::from_millis(300);
    let failure = world.fails(Type::TlsAlpn01, "vault.lan").await;
    assert_ended(&failure, Phase::Tls, Reason::Timeout, Kind::Tls);
    drop(mute);

    world.settings.tls_alpn_port = open;
    world.settings.hop_timeout = Duration::from_secs(10);
    // Without a certificate for the name, the server ends the handshake.
    let failure = world.fails(Type::TlsAlpn01, "vault.lan").await;
    assert_ended(&failure, Phase::Tls, Reason::Tls, Kind::Tls);

    dns.set("vault.lan", Answer::NxDomain);
    let failure = world.fails(Type::TlsAlpn01, "vault.lan").await;
    assert_ended(&failure, Phase::Dns, Reason::Nxdomain, Kind::Dns);

    let before = responder.hellos().len();
    dns.set("vault.lan", Answer::addresses(&["169.254.169.254", "10.9.9.9"]));
    let failure = world.fails(Type::TlsAlpn01, "vault.lan").await;
    assert_ended(&failure, Phase::Target, Reason::Forbidden, Kind::RejectedIdentifier);
    assert_eq!((responder.hellos().len(), failure.evidence.dials.len()), (before, 0));
}

#[tokio::test]
async fn dead_addresses_are_passed_over_ipv6_first() {
    let (dns, responder, world) = tls_world("127.0.0.1:0").await;
    dns.set("vault.lan", Answer::addresses(&["127.0.0.1", "::1"]));
    responder.publish(&identifier("vault.lan"), &expected().digest());
    let proof = world.attempt(Type::TlsAlpn01, "vault.lan").await.unwrap();
    let dialled: Vec<IpAddr> = proof.evidence.dials.iter().map(|dial| dial.address.ip()).collect();
    assert_eq!(dialled, ["::1", "127.0.0.1"].map(|ip| ip.parse::<IpAddr>().unwrap()));
    assert!(proof.evidence.dials[0].error.is_some() && proof.evidence.dials[1].error.is_none());
}

#[tokio::test]
async fn a_pinned_name_is_dialled_at_its_pin() {
    let (dns, responder, mut world) = tls_world("127.0.0.1:0").await;
    world.resolver.pins.insert("ca.lan".to_owned(), vec!["127.0.0.1".parse().unwrap()]);
    responder.publish(&identifier("ca.lan"), &expected().digest());
    let proof = world.attempt(Type::TlsAlpn01, "ca.lan").await.unwrap();
    assert_eq!((proof.evidence.lookups[0].server.as_str(), dns.queries()), ("pin", 0));
}

// --- CAA

/// A name server whose zone `lan` lets everybody issue, with a dns-01 record for each of these names.
async fn caa_world(names: &[&str]) -> (DnsServer, World) {
    let dns = DnsServer::start().await;
    dns.set_default(Answer::addresses(&["127.0.0.1"]));
    for name in names {
        dns.set(&format!("_acme-challenge.{name}"), Answer::texts(&[&expected().txt()]));
    }
    let world = World::new(&[&dns]).heeding_caa();
    (dns, world)
}

fn caa_asked(dns: &DnsServer) -> Vec<String> {
    dns.asked().into_iter().filter(|q| q.record == "CAA").map(|q| q.name).collect()
}

#[tokio::test]
async fn caa_is_not_asked_for_unless_it_is_heeded() {
    let (dns, mut world) = caa_world(&["a.corp.lan"]).await;
    dns.set("a.corp.lan", Answer::with_caa(&["0 issue ;"]));
    world.settings.caa = false;
    world.attempt(Type::Dns01, "a.corp.lan").await.unwrap();
    assert!(caa_asked(&dns).is_empty());
}

#[tokio::test]
async fn the_tree_is_climbed_to_the_top_and_every_look_up_is_evidence() {
    let (dns, world) = caa_world(&["a.corp.lan"]).await;
    let proof = world.attempt(Type::Dns01, "a.corp.lan").await.unwrap();
    assert_eq!(caa_asked(&dns), ["a.corp.lan", "corp.lan", "lan"]);
    let seen: Vec<_> = proof.evidence.lookups.iter().filter(|l| l.record == "CAA").collect();
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|lookup| lookup.answer == "NODATA"), "{seen:?}");
}

#[tokio::test]
async fn the_nearest_set_decides_alone() {
    let (dns, world) = caa_world(&["a.corp.lan", "b.corp.lan"]).await;
    dns.set("lan", Answer::with_caa(&["0 issue ;"]));
    dns.set("corp.lan", Answer::with_caa(&["0 issue other.lan", "0 issue CA.lan"]));
    let proof = world.attempt(Type::Dns01, "a.corp.lan").await.unwrap();
    let lookup = proof.evidence.lookups.last().unwrap();
    assert_eq!(lookup.values, ["0 issue 'other.lan'", "0 issue 'CA.lan'"]);
    assert!(!caa_asked(&dns).contains(&"lan".to_owned()), "what is above does not count");
    dns.set("a.corp.lan", Answer::with_caa(&["0 issue letsencrypt.org"]));
    let failure = world.fails(Type::Dns01, "a.corp.lan").await;
    assert_ended(&failure, Phase::Caa, Reason::Forbidden, Kind::Caa);
    assert!(!failure.is_transient());
    let told = failure.to_problem().detail;
    assert!(told.contains("the CAA records of a.corp.lan forbid it"), "{told}");
    assert!(told.contains("'letsencrypt.org'") && told.contains("does not name ca.lan"), "{told}");
    assert_eq!(failure.to_problem().status, 403);
    world.attempt(Type::Dns01, "b.corp.lan").await.unwrap();
}

#[tokio::test]
async fn names_that_do_not_exist_are_climbed_over() {
    let (dns, world) = caa_world(&["a.corp.lan"]).await;
    dns.set("a.corp.lan", Answer::ByRecord(vec![], Box::new(Answer::NxDomain)));
    dns.set("corp.lan", Answer::with_caa(&["0 issue ;"]));
    let failure = world.fails(Type::Dns01, "a.corp.lan").await;
    assert_ended(&failure, Phase::Caa, Reason::Forbidden, Kind::Caa);
}

#[tokio::test]
async fn an_alias_gives_the_records_of_its_target_and_not_of_what_is_above_that() {
    let (dns, world) = caa_world(&["a.corp.lan"]).await;
    let alias = |end: Answer| Answer::Chain(vec!["host.else.lan".to_owned()], Box::new(end));
    dns.set("a.corp.lan", alias(Answer::caa(&["0 issue ;"])));
    let failure = world.fails(Type::Dns01, "a.corp.lan").await;
    assert_ended(&failure, Phase::Caa, Reason::Forbidden, Kind::Caa);
    assert_eq!(failure.evidence.lookups.last().unwrap().aliases, ["host.else.lan"]);
    // RFC 8659 3: no climbing from the target.
    dns.set("a.corp.lan", alias(Answer::caa(&[])));
    dns.set("host.else.lan", Answer::addresses(&["127.0.0.1"]));
    dns.set("else.lan", Answer::with_caa(&["0 issue ;"]));
    world.attempt(Type::Dns01, "a.corp.lan").await.unwrap();
    dns.set("corp.lan", Answer::with_caa(&["0 issue ;"]));
    world.fails(Type::Dns01, "a.corp.lan").await;
}

#[tokio::test]
async fn a_server_that_cannot_answer_stops_the_issuance() {
    let (dns, mut world) = caa_world(&["a.corp.lan"]).await;
    world.resolver.timeout = Duration::from_millis(300);
    for (answer, reason) in [
        (Answer::ServFail, Reason::Servfail),
        (Answer::Refused, Reason::Refused),
        (Answer::Silence, Reason::Timeout),
        (Answer::Garbage, Reason::Malformed),
    ] {
        // Also above the name, where no records are known of.
        for place in ["a.corp.lan", "corp.lan", "lan"] {
            dns.set(place, answer.clone());
            let failure = world.fails(Type::Dns01, "a.corp.lan").await;
            assert_ended(&failure, Phase::Caa, reason, Kind::Dns);
            assert!(failure.is_transient(), "it may pass: {failure}");
            assert!(failure.detail.contains(&dns.address().to_string()), "{failure}");
            dns.set(place, Answer::addresses(&["127.0.0.1"]));
        }
    }
}

#[tokio::test]
async fn wildcards_accounts_methods_and_critical_properties_are_heeded() {
    let (dns, world) = caa_world(&["a.lan"]).await;
    let ours = format!("0 issue ca.lan; accounturi={ACCOUNT}");
    for (records, name, holds) in [
        (&["0 issue ca.lan", "0 issuewild ;"][..], "a.lan", true),
        (&["0 issue ca.lan", "0 issuewild ;"], "*.a.lan", false),
        (&["0 issue ;", "0 issuewild ca.lan"], "*.a.lan", true),
        (&["0 issue ca.lan"], "*.a.lan", true),
        (&[&ours], "a.lan", true),
        (&["0 issue ca.lan; accounturi=https://ca.lan/acme/account/2"], "a.lan", false),
        (&["0 issue ca.lan; validationmethods=dns-01"], "a.lan", true),
        (&["0 issue ca.lan; validationmethods=http-01,tls-alpn-01"], "a.lan", false),
        (&["0 issue ca.lan", "128 future x"], "a.lan", false),
        (&["0 issue ca.lan", "0 future x"], "a.lan", true),
        (&["0 issue %%%%%"], "a.lan", false),
    ] {
        dns.set("a.lan", Answer::with_caa(records));
        let result = world.attempt(Type::Dns01, name).await;
        assert_eq!(result.is_ok(), holds, "{records:?} {name}: {result:?}");
        if let Err(failure) = result {
            assert_ended(&failure, Phase::Caa, Reason::Forbidden, Kind::Caa);
        }
    }
}

#[tokio::test]
async fn addresses_have_no_caa() {
    let (dns, responder, world) = tls_world("127.0.0.1:0").await;
    responder.publish(&identifier("127.0.0.1"), &expected().digest());
    world.heeding_caa().attempt(Type::TlsAlpn01, "127.0.0.1").await.unwrap();
    assert_eq!(dns.queries(), 0);
}

#[tokio::test]
async fn caa_is_asked_for_after_the_challenge_was_met() {
    let (dns, world) = caa_world(&[]).await;
    dns.set("_acme-challenge.a.lan", Answer::NxDomain);
    world.fails(Type::Dns01, "a.lan").await;
    assert!(caa_asked(&dns).is_empty());
}
