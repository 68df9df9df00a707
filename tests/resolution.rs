//! The resolver against real DNS servers on loopback: whom it asks, in which order, and what it says about it.

#![expect(clippy::unwrap_used, reason = "what surprises a test ends it")]

mod support;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use acme::failure::{Lookup, Reason};
use acme::identifier::DnsName;
use acme_ca::resolver::{Resolution, Resolver, Server, Settings, Zone};
use rustls::RootCertStore;
use rustls::pki_types::PrivateKeyDer;
use support::dns::{Answer, DnsServer};

/// Long enough for a busy machine; only tests of time-outs wait for it.
const PATIENT: Duration = Duration::from_secs(5);
const SHORT: Duration = Duration::from_millis(200);

fn settings(servers: &[String], timeout: Duration) -> Settings {
    let servers = servers.iter().map(|text| Server::parse(text).unwrap()).collect();
    Settings { servers, timeout, pins: BTreeMap::new(), zones: Vec::new() }
}

fn resolver(servers: &[String], timeout: Duration) -> Resolver {
    Resolver::new(settings(servers, timeout), RootCertStore::empty()).unwrap()
}

async fn look_up(resolver: &Resolver, name: &str) -> Resolution {
    resolver.addresses(&DnsName::parse(name).unwrap()).await
}

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn failed(resolution: &Resolution) -> (Reason, &str) {
    let (reason, sentence) = resolution.outcome.as_ref().expect_err("no address");
    (*reason, sentence)
}

/// `server record answer` of each look-up.
fn trail(resolution: &Resolution) -> Vec<String> {
    let line = |lookup: &Lookup| format!("{} {} {}", lookup.server, lookup.record, lookup.answer);
    resolution.lookups.iter().map(line).collect()
}

/// An address of a server that is not there.
async fn nobody() -> SocketAddr {
    tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn both_families_are_asked_and_ipv6_comes_first() {
    let dns = DnsServer::start().await;
    dns.set("vault.lan", Answer::addresses(&["10.0.0.2", "fd00::2", "10.0.0.1"]));
    let at = dns.address().to_string();
    let found = look_up(&resolver(std::slice::from_ref(&at), PATIENT), "vault.lan").await;
    assert_eq!(found.outcome, Ok(ips(&["fd00::2", "10.0.0.2", "10.0.0.1"])));
    assert!(!found.pinned);
    assert_eq!(trail(&found), [format!("{at} AAAA NOERROR"), format!("{at} A NOERROR")]);
    assert_eq!(found.lookups[0].addresses, ips(&["fd00::2"]));
    let asked = dns.asked();
    assert!(
        asked.iter().all(|q| q.name == "vault.lan" && q.over == "udp" && q.payload == Some(1232)),
        "{asked:?}"
    );
    assert_eq!(asked.len(), 2);
}

#[tokio::test]
async fn a_pin_answers_without_asking_anybody() {
    let dns = DnsServer::start().await;
    let mut settings = settings(&[dns.address().to_string()], PATIENT);
    settings.pins.insert("ca.mgmt.lan".to_owned(), ips(&["10.0.0.1"]));
    settings.pins.insert("*.mgmt.lan".to_owned(), ips(&["10.0.0.2", "fd00::2"]));
    let resolver = Resolver::new(settings, RootCertStore::empty()).unwrap();
    let found = look_up(&resolver, "ca.mgmt.lan").await;
    assert_eq!((found.outcome.as_ref(), found.pinned), (Ok(&ips(&["10.0.0.1"])), true));
    assert_eq!(trail(&found), ["pin any NOERROR"]);
    assert_eq!(look_up(&resolver, "a.b.mgmt.lan").await.outcome, Ok(ips(&["fd00::2", "10.0.0.2"])));
    assert_eq!(dns.queries(), 0);
    assert!(!look_up(&resolver, "mgmt.lan").await.pinned);
    assert_eq!(dns.queries(), 2);
}

#[tokio::test]
async fn a_name_is_asked_at_the_servers_of_its_longest_zone() {
    let (default, corp, lab) = (DnsServer::start().await, DnsServer::start().await, DnsServer::start().await);
    let mut settings = settings(&[default.address().to_string()], PATIENT);
    for (suffix, dns) in [("corp.example", &corp), ("Lab.corp.example", &lab)] {
        let servers = vec![Server::parse(&dns.address().to_string()).unwrap()];
        settings.zones.push(Zone { suffix: suffix.to_owned(), servers });
    }
    let resolver = Resolver::new(settings, RootCertStore::empty()).unwrap();
    for name in
        ["corp.example", "a.b.corp.example", "lab.corp.example", "x.lab.corp.example", "notcorp.example"]
    {
        look_up(&resolver, name).await;
    }
    let names = |dns: &DnsServer| {
        let mut names: Vec<String> = dns.asked().into_iter().map(|asked| asked.name).collect();
        names.dedup();
        names
    };
    assert_eq!(names(&corp), ["corp.example", "a.b.corp.example"]);
    assert_eq!(names(&lab), ["lab.corp.example", "x.lab.corp.example"]);
    assert_eq!(names(&default), ["notcorp.example"]);
    let name = DnsName::parse("x.lab.corp.example").unwrap();
    assert_eq!(resolver.servers_for(&name)[0].address(), lab.address());
}

#[tokio::test]
async fn servers_that_fail_are_passed_over_in_order_and_each_leaves_its_answer() {
    let (servfail, refusing, garbled, good, unasked) = (
        DnsServer::start().await,
        DnsServer::start().await,
        DnsServer::start().await,
        DnsServer::start().await,
        DnsServer::start().await,
    );
    servfail.set_default(Answer::ServFail);
    garbled.set_default(Answer::Garbage);
    good.set("vault.lan", Answer::addresses(&["10.0.0.21"]));
    let gone = nobody().await;
    let servers =
        [servfail.address(), refusing.address(), gone, garbled.address(), good.address(), unasked.address()]
            .map(|at| at.to_string());
    let found = look_up(&resolver(&servers, PATIENT), "vault.lan").await;
    assert_eq!(found.outcome, Ok(ips(&["10.0.0.21"])));
    let words = ["SERVFAIL", "REFUSED", "connection refused", "unreadable"];
    for (index, word) in words.iter().enumerate() {
        for record in ["AAAA", "A"] {
            assert!(
                trail(&found).contains(&format!("{} {record} {word}", servers[index])),
                "{:?}",
                trail(&found)
            );
        }
    }
    assert_eq!(found.lookups.len(), 10);
    assert_eq!(found.lookups[8].answer, "NODATA");
    assert_eq!(unasked.queries(), 0);
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_believed_at_once() {
    let (first, second) = (DnsServer::start().await, DnsServer::start().await);
    first.set_default(Answer::NxDomain);
    second.set_default(Answer::addresses(&["10.0.0.1"]));
    let servers = [first.address(), second.address()].map(|at| at.to_string());
    let found = look_up(&resolver(&servers, PATIENT), "vault.lan").await;
    let (reason, sentence) = failed(&found);
    assert_eq!(reason, Reason::Nxdomain);
    assert_eq!(
        sentence,
        format!("looking up vault.lan: {} answered that the name does not exist (NXDOMAIN)", servers[0])
    );
    assert_eq!(second.queries(), 0);
}

#[tokio::test]
async fn a_name_without_addresses_is_believed_at_once() {
    let (first, second) = (DnsServer::start().await, DnsServer::start().await);
    first.set_default(Answer::Addresses(vec![]));
    let servers = [first.address(), second.address()].map(|at| at.to_string());
    let found = look_up(&resolver(&servers, PATIENT), "vault.lan").await;
    let (reason, sentence) = failed(&found);
    assert_eq!(reason, Reason::Nodata);
    assert!(sentence.contains("no A record") && sentence.contains("no AAAA record"), "{sentence}");
    assert_eq!(second.queries(), 0);
}

#[tokio::test]
async fn one_family_is_enough_when_the_other_fails() {
    let (first, second) = (DnsServer::start().await, DnsServer::start().await);
    let a = Box::new(Answer::addresses(&["10.0.0.1"]));
    first.set_default(Answer::Families { a, aaaa: Box::new(Answer::ServFail) });
    let servers = [first.address(), second.address()].map(|at| at.to_string());
    let found = look_up(&resolver(&servers, PATIENT), "vault.lan").await;
    assert_eq!(found.outcome, Ok(ips(&["10.0.0.1"])));
    assert_eq!(second.queries(), 0);
}

#[tokio::test]
async fn only_the_family_that_failed_is_asked_for_again() {
    let (first, second) = (DnsServer::start().await, DnsServer::start().await);
    let nothing = Box::new(Answer::Addresses(vec![]));
    first.set_default(Answer::Families { a: Box::new(Answer::ServFail), aaaa: nothing });
    second.set_default(Answer::ServFail);
    let servers = [first.address(), second.address()].map(|at| at.to_string());
    let found = look_up(&resolver(&servers, PATIENT), "vault.lan").await;
    assert_eq!(failed(&found).0, Reason::Servfail, "what may pass outranks what is definite");
    assert_eq!(second.asked().iter().map(|q| q.record.as_str()).collect::<Vec<_>>(), ["A"]);
}

#[tokio::test]
async fn the_reason_that_a_server_gives_is_passed_on() {
    let dns = DnsServer::start().await;
    dns.set_default(Answer::ServFailBecause(22, "at delegation lan.".to_owned()));
    let found = look_up(&resolver(&[dns.address().to_string()], PATIENT), "vault.lan").await;
    let (reason, sentence) = failed(&found);
    assert_eq!(reason, Reason::Servfail);
    assert!(sentence.contains(&dns.address().to_string()), "{sentence}");
    assert!(sentence.contains("no reachable authority, at delegation lan."), "{sentence}");
}

#[tokio::test]
async fn a_silent_server_is_left_after_the_time_out() {
    let (silent, good) = (DnsServer::start().await, DnsServer::start().await);
    silent.set_default(Answer::Silence);
    good.set_default(Answer::addresses(&["10.0.0.1"]));
    let servers = [silent.address(), good.address()].map(|at| at.to_string());
    let begun = Instant::now();
    let found = look_up(&resolver(&servers, SHORT), "vault.lan").await;
    assert_eq!(found.outcome, Ok(ips(&["10.0.0.1"])));
    assert!(begun.elapsed() >= SHORT && begun.elapsed() < SHORT * 10, "{:?}", begun.elapsed());
    assert_eq!(found.lookups[0].answer, "timeout");
    assert!(found.lookups[0].millis >= 200);

    let found = look_up(&resolver(&servers[..1], SHORT), "vault.lan").await;
    let (reason, sentence) = failed(&found);
    assert_eq!(reason, Reason::Timeout);
    assert!(sentence.contains("did not answer within 200ms"), "{sentence}");
}

#[tokio::test]
async fn a_lost_datagram_is_sent_again_within_the_time_out() {
    let dns = DnsServer::start().await;
    dns.set_default(Answer::LostOnce(Box::new(Answer::addresses(&["10.0.0.1"]))));
    let found = look_up(&resolver(&[dns.address().to_string()], PATIENT), "vault.lan").await;
    assert_eq!(found.outcome, Ok(ips(&["10.0.0.1"])));
    assert_eq!(dns.queries(), 4);
}

#[tokio::test]
async fn an_answer_under_another_id_is_ignored() {
    let dns = DnsServer::start().await;
    dns.set_default(Answer::WrongId(Box::new(Answer::addresses(&["10.66.66.66"]))));
    let found = look_up(&resolver(&[dns.address().to_string()], SHORT), "vault.lan").await;
    let (reason, sentence) = failed(&found);
    assert_eq!(reason, Reason::Timeout);
    assert!(!sentence.contains("10.66.66.66"), "{sentence}");
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_fetched_over_tcp() {
    let dns = DnsServer::start().await;
    dns.set_default(Answer::Truncated(Box::new(Answer::addresses(&["10.0.0.1"]))));
    let found = look_up(&resolver(&[dns.address().to_string()], PATIENT), "vault.lan").await;
    assert_eq!(found.outcome, Ok(ips(&["10.0.0.1"])));
    assert_eq!(dns.asked().iter().filter(|q| q.over == "tcp").count(), 2);
}

#[tokio::test]
async fn a_server_without_edns_is_asked_without_it() {
    let dns = DnsServer::start().await;
    dns.set_default(Answer::NoEdns(Box::new(Answer::addresses(&["10.0.0.1"]))));
    let found = look_up(&resolver(&[dns.address().to_string()], PATIENT), "vault.lan").await;
    assert_eq!(found.outcome, Ok(ips(&["10.0.0.1"])));
    assert_eq!(dns.asked().iter().filter(|q| q.payload.is_none()).count(), 2);
}

#[tokio::test]
async fn aliases_are_followed_within_the_answer_up_to_eight() {
    let dns = DnsServer::start().await;
    let chain = |length: usize| (1..=length).map(|i| format!("alias{i}.lan")).collect();
    dns.set("eight.lan", Answer::Alias(chain(8), ips(&["10.0.0.1"])));
    dns.set("nine.lan", Answer::Alias(chain(9), ips(&["10.0.0.1"])));
    dns.set("dangling.lan", Answer::Alias(chain(1), vec![]));
    dns.set("alias1.lan", Answer::Addresses(vec![]));
    let resolver = resolver(&[dns.address().to_string()], PATIENT);
    assert_eq!(look_up(&resolver, "eight.lan").await.outcome, Ok(ips(&["10.0.0.1"])));
    assert_eq!(failed(&look_up(&resolver, "nine.lan").await).0, Reason::Malformed);
    let dangling = look_up(&resolver, "dangling.lan").await;
    assert_eq!(failed(&dangling).0, Reason::Nodata);
    assert!(failed(&dangling).1.contains("alias of alias1.lan"), "{:?}", dangling.outcome);
}

#[tokio::test]
async fn tcp_connections_are_used_again_and_replaced_when_the_server_closed_them() {
    let dns = DnsServer::start().await;
    dns.set_default(Answer::addresses(&["10.0.0.1"]));
    let resolver = resolver(&[format!("tcp://{}", dns.address())], PATIENT);
    for _ in 0..3 {
        assert!(look_up(&resolver, "vault.lan").await.outcome.is_ok());
    }
    let connections = |dns: &DnsServer| dns.asked().iter().map(|q| q.connection).max();
    assert_eq!((dns.queries(), connections(&dns)), (6, Some(2)));
    dns.set_default(Answer::ThenClose(Box::new(Answer::addresses(&["10.0.0.1"]))));
    for _ in 0..3 {
        assert!(look_up(&resolver, "vault.lan").await.outcome.is_ok());
    }
    assert!(connections(&dns) > Some(2));
}

#[tokio::test]
async fn many_look_ups_leave_no_task_behind() {
    let (dns, closing) = (DnsServer::start().await, DnsServer::start().await);
    dns.set_default(Answer::Truncated(Box::new(Answer::addresses(&["10.0.0.1"]))));
    closing.set_default(Answer::ThenClose(Box::new(Answer::ServFail)));
    let servers = [format!("tcp://{}", closing.address()), dns.address().to_string()];
    let resolver = resolver(&servers, PATIENT);
    let name = DnsName::parse("vault.lan").unwrap();
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    look_up(&resolver, "vault.lan").await;
    let before = tasks();
    for _ in 0..10 {
        let all = futures_util::future::join_all((0..50).map(|_| resolver.addresses(&name))).await;
        assert!(all.iter().all(|found| found.outcome == Ok(ips(&["10.0.0.1"]))), "{all:?}");
    }
    look_up(&resolver, "vault.lan").await;
    assert!(tasks() <= before + 10, "{before} tasks have become {}", tasks());
}

#[tokio::test]
async fn without_servers_the_sentence_says_so() {
    let found = look_up(&resolver(&[], PATIENT), "vault.lan").await;
    assert_eq!(failed(&found), (Reason::Unreachable, "no name server is configured for vault.lan"));
}

#[test]
fn a_zone_that_could_never_answer_is_refused_by_its_suffix() {
    for (suffix, servers, why) in
        [("a..b", 1, "empty"), ("*.corp.example", 1, "write corp.example"), ("corp.example", 0, "no servers")]
    {
        let mut settings = settings(&[], PATIENT);
        let server = Server::parse("10.0.0.53").unwrap();
        settings.zones.push(Zone { suffix: suffix.to_owned(), servers: vec![server; servers] });
        let refusal = Resolver::new(settings, RootCertStore::empty()).err().expect(suffix).to_string();
        assert!(refusal.contains(suffix) && refusal.contains(why), "{refusal}");
    }
}

/// A public server, one for corp.example, and a resolver that knows both and a pin for `pin.lan`.
async fn split_horizon() -> (DnsServer, DnsServer, Resolver) {
    let (outside, inside) = (DnsServer::start().await, DnsServer::start().await);
    let mut settings = settings(&[outside.address().to_string()], PATIENT);
    let servers = vec![Server::parse(&inside.address().to_string()).unwrap()];
    settings.zones.push(Zone { suffix: "corp.example".to_owned(), servers });
    settings.pins.insert("pin.lan".to_owned(), ips(&["127.0.0.1"]));
    let resolver = Resolver::new(settings, RootCertStore::empty()).unwrap();
    (outside, inside, resolver)
}

fn alias(to: &[&str], end: Answer) -> Answer {
    Answer::Chain(to.iter().map(|&name| name.to_owned()).collect(), Box::new(end))
}

#[tokio::test]
async fn an_alias_into_another_zone_is_asked_for_at_the_servers_of_that_zone() {
    let (outside, inside, resolver) = split_horizon().await;
    inside.set("a.corp.example", Answer::addresses(&["10.0.0.5"]));
    let ends = [
        Answer::addresses(&[]),
        Answer::NxDomain,
        Answer::ServFail,
        // Whoever is not asked for the zone cannot answer for it.
        Answer::addresses(&["10.66.66.66", "fd66::66"]),
    ];
    for end in ends {
        outside.set("zone.lan", alias(&["b.lan", "A.corp.example", "c.lan"], end.clone()));
        let (before, inside_before) = (outside.queries(), inside.queries());
        let found = look_up(&resolver, "zone.lan").await;
        assert_eq!(found.outcome, Ok(ips(&["10.0.0.5"])), "{end:?}");
        assert_eq!((outside.queries() - before, inside.queries() - inside_before), (2, 2), "{end:?}");
        let names: Vec<&str> = found.lookups.iter().map(|lookup| lookup.name.as_str()).collect();
        assert_eq!(names, ["zone.lan", "zone.lan", "a.corp.example", "a.corp.example"]);
        assert_eq!(found.lookups[0].aliases, ["b.lan", "a.corp.example", "c.lan"]);
        assert_eq!(found.lookups[3].server, inside.address().to_string());
    }
}

#[tokio::test]
async fn an_alias_that_one_family_tells_is_one_for_both() {
    let (outside, inside, resolver) = split_horizon().await;
    inside.set("a.corp.example", Answer::addresses(&["10.0.0.5", "fd00::5"]));
    let told = || Box::new(alias(&["a.corp.example"], Answer::NxDomain));
    for (a, aaaa) in [(told(), Box::new(Answer::ServFail)), (Box::new(Answer::Refused), told())] {
        outside.set("zone.lan", Answer::Families { a, aaaa });
        assert_eq!(look_up(&resolver, "zone.lan").await.outcome, Ok(ips(&["fd00::5", "10.0.0.5"])));
    }
}

#[tokio::test]
async fn an_alias_of_a_pinned_name_has_the_pins_addresses_but_not_its_trust() {
    let (outside, _inside, resolver) = split_horizon().await;
    for end in [Answer::NxDomain, Answer::addresses(&[]), Answer::addresses(&["10.66.66.66"])] {
        outside.set("zone.lan", alias(&["pin.lan"], end));
        let found = look_up(&resolver, "zone.lan").await;
        assert_eq!(found.outcome, Ok(ips(&["127.0.0.1"])));
        assert!(!found.pinned, "a name server led there, so the address is vetted");
        let last = found.lookups.last().unwrap();
        assert_eq!(
            (last.name.as_str(), last.server.as_str(), last.record.as_str()),
            ("pin.lan", "pin", "any")
        );
    }
    assert!(outside.asked().iter().all(|asked| asked.name == "zone.lan"));
}

#[tokio::test]
async fn behind_a_pin_name_servers_alone_are_asked_for_aliases_too() {
    let (outside, inside, resolver) = split_horizon().await;
    outside.set("pin.lan", alias(&["a.corp.example"], Answer::NxDomain));
    inside.set("a.corp.example", alias(&["pin.lan"], Answer::addresses(&[])));
    let name = DnsName::parse("pin.lan").unwrap();
    assert_eq!(failed(&resolver.behind_pin(&name).await.unwrap()).0, Reason::Malformed, "a circle");
    inside.set("a.corp.example", Answer::addresses(&["10.0.0.5"]));
    assert_eq!(resolver.behind_pin(&name).await.unwrap().outcome, Ok(ips(&["10.0.0.5"])));
}

#[tokio::test]
async fn the_sentence_names_the_end_of_the_aliases_and_who_told_them() {
    let (outside, inside, resolver) = split_horizon().await;
    let (out, corp) = (outside.address(), inside.address());
    outside.set("zone.lan", alias(&["a.corp.example"], Answer::addresses(&[])));
    inside.set("a.corp.example", Answer::NxDomain);
    let found = look_up(&resolver, "zone.lan").await;
    let told = format!(
        "looking up zone.lan, an alias of a.corp.example (asked {out}): {corp} answered that a.corp.example does not \
         exist (NXDOMAIN)"
    );
    assert_eq!(failed(&found), (Reason::Nxdomain, told.as_str()));
    outside.set("zone.lan", alias(&["gone.lan"], Answer::NxDomain));
    let found = look_up(&resolver, "zone.lan").await;
    let told = format!(
        "looking up zone.lan: {out} answered that the name is an alias of gone.lan, which does not exist (NXDOMAIN)"
    );
    assert_eq!(failed(&found), (Reason::Nxdomain, told.as_str()));
    assert_eq!(found.lookups[0].aliases, ["gone.lan"]);
}

#[tokio::test]
async fn aliases_from_zone_to_zone_have_an_end() {
    let (outside, inside, resolver) = split_horizon().await;
    outside.set("zone.lan", alias(&["a.corp.example"], Answer::NxDomain));
    inside.set("a.corp.example", alias(&["zone.lan"], Answer::NxDomain));
    let found = look_up(&resolver, "zone.lan").await;
    let told = format!(
        "looking up zone.lan: its aliases lead in a circle, back to zone.lan (asked {}, {})",
        outside.address(),
        inside.address()
    );
    assert_eq!(failed(&found), (Reason::Malformed, told.as_str()));
    assert_eq!(outside.queries() + inside.queries(), 4);
    for i in 0..20 {
        outside.set(&format!("x{i}.lan"), alias(&[&format!("x{i}.corp.example")], Answer::NxDomain));
        inside.set(&format!("x{i}.corp.example"), alias(&[&format!("x{}.lan", i + 1)], Answer::NxDomain));
    }
    let before = outside.queries() + inside.queries();
    let found = look_up(&resolver, "x0.lan").await;
    let (reason, sentence) = failed(&found);
    assert!(reason == Reason::Malformed && sentence.contains("more than 8 aliases"), "{sentence}");
    assert_eq!(outside.queries() + inside.queries() - before, 18);
}

#[tokio::test]
async fn a_chain_that_its_servers_told_whole_costs_no_more_questions() {
    let (outside, inside) = (DnsServer::start().await, DnsServer::start().await);
    let mut settings = settings(&[outside.address().to_string()], PATIENT);
    for (suffix, dns) in [("same.example", &outside), ("other.example", &inside)] {
        let servers = vec![Server::parse(&dns.address().to_string()).unwrap()];
        settings.zones.push(Zone { suffix: suffix.to_owned(), servers });
    }
    let resolver = Resolver::new(settings, RootCertStore::empty()).unwrap();
    outside.set("a.lan", alias(&["b.lan", "c.same.example"], Answer::addresses(&["10.0.0.1"])));
    let found = look_up(&resolver, "a.lan").await;
    assert_eq!(found.outcome, Ok(ips(&["10.0.0.1"])));
    assert_eq!(found.lookups[1].aliases, ["b.lan", "c.same.example"]);
    assert_eq!((outside.queries(), inside.queries()), (2, 0));
    // An authoritative server may tell the first alias alone.
    outside.set("d.lan", alias(&["e.lan"], Answer::addresses(&[])));
    outside.set("e.lan", Answer::addresses(&["10.0.0.2"]));
    assert_eq!(look_up(&resolver, "d.lan").await.outcome, Ok(ips(&["10.0.0.2"])));
}

/// A DNS-over-TLS server for `dns.lan`, and the root that certifies it.
async fn tls_server() -> (DnsServer, RootCertStore) {
    let made = rcgen::generate_simple_self_signed(vec!["dns.lan".to_owned()]).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    (DnsServer::start_tls(config).await, roots)
}

#[tokio::test]
async fn dns_over_tls_asks_a_server_whose_certificate_is_for_its_name() {
    let (dns, roots) = tls_server().await;
    dns.set_default(Answer::addresses(&["10.0.0.1"]));
    let settings = settings(&[format!("tls://{}#dns.lan", dns.address())], PATIENT);
    let resolver = Resolver::new(settings, roots).unwrap();
    for _ in 0..3 {
        assert_eq!(look_up(&resolver, "vault.lan").await.outcome, Ok(ips(&["10.0.0.1"])));
    }
    let asked = dns.asked();
    assert!(asked.iter().all(|q| q.over == "tls" && q.connection <= 2), "{asked:?}");
    assert!(asked.iter().all(|q| q.server_name.as_deref() == Some("dns.lan")), "{asked:?}");
}

#[tokio::test]
async fn dns_over_tls_does_not_ask_a_server_with_another_name_or_an_unknown_root() {
    let (dns, roots) = tls_server().await;
    dns.set_default(Answer::addresses(&["10.0.0.1"]));
    for (name, roots) in [("other.lan", roots), ("dns.lan", RootCertStore::empty())] {
        let settings = settings(&[format!("tls://{}#{name}", dns.address())], PATIENT);
        let found = look_up(&Resolver::new(settings, roots).unwrap(), "vault.lan").await;
        let (reason, sentence) = failed(&found);
        assert_eq!(reason, Reason::Tls);
        assert!(sentence.contains(name) && sentence.contains("certificate"), "{sentence}");
        assert_eq!(found.lookups[0].answer, "TLS failed");
    }
    assert_eq!(dns.queries(), 0);
}

#[tokio::test]
async fn dns_over_tls_does_not_wait_for_a_server_that_speaks_none() {
    let plain = DnsServer::start().await;
    plain.set_default(Answer::addresses(&["10.0.0.1"]));
    let settings = settings(&[format!("tls://{}#dns.lan", plain.address())], SHORT);
    let begun = Instant::now();
    let found = look_up(&Resolver::new(settings, RootCertStore::empty()).unwrap(), "vault.lan").await;
    assert!(found.outcome.is_err() && begun.elapsed() < SHORT * 10);
}
