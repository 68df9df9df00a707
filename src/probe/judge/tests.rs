//! The decision as a table, on certificates that are made for it; and the promise that nothing which is not ours is `ok`.

use proptest::prelude::*;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SerialNumber,
};
use rustls::RootCertStore;

use std::time::Duration;

use super::*;
use crate::probe::look::Seen;

const DAY: i64 = 86_400;

fn day(days: i64) -> Timestamp {
    Timestamp::from_unix(1_800_000_000 + days * DAY)
}

/// A CA with a root, or one that plays it.
struct Signer {
    issuer: Issuer<'static, KeyPair>,
    root: Vec<u8>,
    der: Vec<u8>,
}

fn named(name: &str, from: i64, to: i64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = day(from).to_datetime();
    params.not_after = day(to).to_datetime();
    params
}

fn signer(name: &str) -> Signer {
    let ca = |name: &str| {
        let mut params = named(name, -1_000, 3_000);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params
    };
    let root_key = KeyPair::generate().unwrap();
    let root = ca("Root").self_signed(&root_key).unwrap();
    let root_der = root.der().to_vec();
    let above = Issuer::new(ca("Root"), root_key);
    let key = KeyPair::generate().unwrap();
    let certificate = ca(name).signed_by(&key, &above).unwrap();
    Signer { issuer: Issuer::new(ca(name), key), root: root_der, der: certificate.der().to_vec() }
}

/// Everything that a judgement is made of, well at first.
struct World {
    ours: Signer,
    authorities: Vec<Authority>,
    target: Target,
    known: Known,
    shown: Shown,
    now: Timestamp,
}

impl World {
    /// `a.lan`, issued on day 0 for 90 days, looked at on day 1.
    fn new() -> Self {
        let ours = signer("Ours");
        let authorities = vec![Authority::new("aa", std::slice::from_ref(&ours.der)).unwrap()];
        let mut world = Self {
            authorities,
            target: Target::new(Identifier::dns("a.lan").unwrap(), 443),
            known: Known::default(),
            shown: Shown {
                chain: vec![],
                version: Some("TLS 1.3".into()),
                possession: Possession::Proven,
                wants_client_certificate: false,
            },
            now: day(1),
            ours,
        };
        world.serve(&["a.lan"]);
        world
    }

    /// Issues a certificate for these names, and shows it.
    fn serve(&mut self, names: &[&str]) {
        let leaf = leaf(&self.ours, names, 0, 90, 7);
        self.known.record = Some(Record {
            der: leaf.clone(),
            issuer: "aa".into(),
            names: names.iter().map(ToString::to_string).collect(),
            account: Some("me".into()),
            revoked_at: None,
            successor: None,
        });
        self.shown.chain = vec![leaf, self.ours.der.clone()];
    }

    fn record(&mut self) -> &mut Record {
        self.known.record.as_mut().unwrap()
    }

    fn verdict(&self) -> (Verdict, Option<Severity>, String) {
        self.judged(&Outcome::Shown(self.shown.clone()))
    }

    fn judged(&self, outcome: &Outcome) -> (Verdict, Option<Severity>, String) {
        let public = Public::of(RootCertStore::empty());
        let it = judge(&self.target, outcome, &self.authorities, &public, &self.known, self.now);
        assert!(!it.detail.is_empty() && it.detail.chars().count() <= DETAIL + 1, "{}", it.detail);
        assert_eq!(it.detail, plain(&it.detail, DETAIL + 1), "it is harmless");
        (it.verdict, it.severity, it.detail)
    }
}

fn leaf(signer: &Signer, names: &[&str], from: i64, to: i64, serial: u8) -> Vec<u8> {
    let mut params = named("", from, to);
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = names
        .iter()
        .map(|name| match name.parse() {
            Ok(address) => rcgen::SanType::IpAddress(address),
            Err(_) => rcgen::SanType::DnsName((*name).try_into().unwrap()),
        })
        .collect();
    params.serial_number = Some(SerialNumber::from_slice(&[serial; 16]));
    params.use_authority_key_identifier_extension = true;
    params.signed_by(&KeyPair::generate().unwrap(), &signer.issuer).unwrap().der().to_vec()
}

fn successor(names: &[&str], account: &str, at: i64) -> Successor {
    Successor {
        serial: "0909".into(),
        names: names.iter().map(ToString::to_string).collect(),
        account: Some(account.into()),
        issued_at: day(at),
        not_before: day(at),
        not_after: day(at + 90),
        is_revoked: false,
    }
}

use Severity::{Critical, Info, Warning};

#[test]
fn the_newest_with_its_chain_is_ok_for_each_name_that_it_covers() {
    let mut world = World::new();
    assert_eq!(world.verdict().0, Verdict::Ok, "{:?}", world.verdict());
    assert_eq!(world.verdict().1, None);
    world.serve(&["*.lan", "10.0.0.1"]);
    assert_eq!(world.verdict().0, Verdict::Ok, "by a wildcard");
    world.target.host = Identifier::ip("10.0.0.1").unwrap();
    assert_eq!(world.verdict().0, Verdict::Ok, "an address");
    world.target.host = Identifier::dns("b.a.lan").unwrap();
    assert_eq!(world.verdict().0, Verdict::SanMismatch, "a wildcard is one label");
    world.shown.chain.push(world.ours.root.clone());
    world.target.host = Identifier::dns("a.lan").unwrap();
    assert_eq!(world.verdict().0, Verdict::Ok, "a root too many harms nobody");
}

#[test]
fn an_owner_has_thresholds_of_their_own_for_what_is_served() {
    let mut world = World::new();
    let own = |warn, critical| Some(Thresholds { warn, critical });
    for (own, at, expected) in [
        (None, 60, (Verdict::Ok, None)),
        (own(0.5, 0.9), 60, (Verdict::Expiring, Some(Warning))),
        (own(0.5, 0.6), 60, (Verdict::Expiring, Some(Critical))),
        (own(0.95, 0.98), 81, (Verdict::Ok, None)),
    ] {
        (world.known.own, world.now) = (own, day(at));
        let (verdict, severity, detail) = world.verdict();
        assert_eq!((verdict, severity), expected, "{own:?} on day {at}: {detail}");
    }
    world.record().successor = Some(successor(&["a.lan"], "me", 30));
    (world.known.own, world.now) = (own(0.5, 0.6), day(60));
    assert_eq!((world.verdict().0, world.verdict().1), (Verdict::StaleNotReloaded, Some(Critical)));
    // A host that refuses matters once its certificate is due by them.
    world.known.current = vec![successor(&["a.lan"], "me", 0)];
    (world.known.own, world.now) = (own(0.1, 0.6), day(10));
    assert_eq!(world.judged(&Outcome::Refused).1, Some(Warning));
}

/// What is done to a world that is well, and what is to be thought of it then.
type Row = (&'static str, fn(&mut World), Verdict, Option<Severity>, &'static str);

const ROWS: &[Row] = &[
    (
        "90 % of its life and nothing newer",
        |w| w.now = day(81),
        Verdict::Expiring,
        Some(Warning),
        "no successor",
    ),
    ("94 %", |w| w.now = day(85), Verdict::Expiring, Some(Critical), "explain a.lan"),
    ("its last second", |w| w.now = day(90), Verdict::Expiring, Some(Critical), "explain"),
    ("over", |w| w.now = day(91), Verdict::Expired, Some(Critical), "clocks"),
    ("not begun", |w| w.now = day(-1), Verdict::NotYetValid, Some(Critical), "clocks"),
    (
        "revoked",
        |w| w.record().revoked_at = Some(day(0)),
        Verdict::RevokedServed,
        Some(Critical),
        "revoked on",
    ),
    (
        "revoked and over: the first counts",
        |w| (w.record().revoked_at, w.now) = (Some(day(0)), day(91)),
        Verdict::RevokedServed,
        Some(Critical),
        "revoked",
    ),
    (
        "another name",
        |w| w.serve(&["b.lan", "c.lan"]),
        Verdict::SanMismatch,
        Some(Critical),
        "b.lan and 1 more, not for a.lan",
    ),
    (
        "a newer one since half an hour",
        |w| {
            w.record().successor = Some(successor(&["a.lan"], "me", 60));
            w.now = day(60).plus(Duration::from_secs(1_800));
        },
        Verdict::OkPrevious,
        Some(Info),
        "reload is expected",
    ),
    (
        "a newer one since 59 minutes",
        |w| {
            w.record().successor = Some(successor(&["a.lan"], "me", 60));
            w.now = day(60).plus(Duration::from_secs(59 * 60));
        },
        Verdict::OkPrevious,
        Some(Info),
        "0909",
    ),
    (
        "a newer one since an hour",
        |w| {
            w.record().successor = Some(successor(&["a.lan"], "me", 60));
            w.now = day(60).plus(Duration::from_secs(3_600));
        },
        Verdict::StaleNotReloaded,
        Some(Warning),
        "reload the service",
    ),
    (
        "the same when 93 % are used",
        |w| (w.record().successor, w.now) = (Some(successor(&["a.lan"], "me", 60)), day(84)),
        Verdict::StaleNotReloaded,
        Some(Critical),
        "reloadServices",
    ),
    (
        "over, with a newer one",
        |w| (w.record().successor, w.now) = (Some(successor(&["a.lan"], "me", 60)), day(91)),
        Verdict::Expired,
        Some(Critical),
        "0909 was issued 31 days ago: reload",
    ),
    (
        "a newer one that was revoked is none",
        |w| {
            w.record().successor = Some(Successor { is_revoked: true, ..successor(&["a.lan"], "me", 1) });
            w.now = day(10);
        },
        Verdict::Ok,
        None,
        "current",
    ),
    (
        "the list of names grew",
        |w| {
            w.known.current = vec![successor(&["a.lan", "b.lan"], "me", 5)];
            w.now = day(10);
        },
        Verdict::StaleNotReloaded,
        Some(Warning),
        "reload",
    ),
    (
        "somebody else's with more names is none of its line",
        |w| {
            w.known.current = vec![successor(&["a.lan", "b.lan"], "other", 5)];
            w.now = day(10);
        },
        Verdict::Ok,
        None,
        "current",
    ),
    (
        "for more names, while this one has its own",
        |w| {
            w.serve(&["a.lan", "b.lan"]);
            w.known.current = vec![successor(&["a.lan"], "other", 5)];
            w.now = day(10);
        },
        Verdict::WrongLineage,
        Some(Warning),
        "key copied",
    ),
    (
        "the same within the grace",
        |w| {
            w.serve(&["*.lan"]);
            w.known.current = vec![successor(&["a.lan"], "other", 5)];
            w.now = day(5).plus(Duration::from_secs(1_800));
        },
        Verdict::OkPrevious,
        Some(Info),
        "reload is expected",
    ),
    ("the leaf alone", |w| w.shown.chain.truncate(1), Verdict::ChainIncomplete, Some(Warning), "fullchain"),
    (
        "the leaf twice",
        |w| w.shown.chain[1] = w.shown.chain[0].clone(),
        Verdict::ChainIncomplete,
        Some(Warning),
        "fullchain",
    ),
    (
        "the root instead of the intermediate",
        |w| w.shown.chain[1] = w.ours.root.clone(),
        Verdict::ChainIncomplete,
        Some(Warning),
        "not sent",
    ),
    (
        "another intermediate",
        |w| w.shown.chain[1] = signer("Ours").der,
        Verdict::ChainWrong,
        Some(Warning),
        "full chain",
    ),
    (
        "what is worse counts",
        |w| {
            w.shown.chain.truncate(1);
            w.now = day(85);
        },
        Verdict::Expiring,
        Some(Critical),
        "no successor",
    ),
    (
        "not in the store",
        |w| w.known.record = None,
        Verdict::UnknownSerial,
        Some(Critical),
        "not in the store",
    ),
    (
        "another certificate under its serial",
        |w| w.record().der.push(0),
        Verdict::UnknownSerial,
        Some(Critical),
        "another certificate",
    ),
    (
        "another issuer of ours in the store",
        |w| w.record().issuer = "bb".into(),
        Verdict::UnknownSerial,
        Some(Critical),
        "another certificate",
    ),
    (
        "another key signed the handshake",
        |w| w.shown.possession = Possession::Refuted,
        Verdict::ImpostorIssuer,
        Some(Critical),
        "another key",
    ),
    (
        "our issuer's name and another key",
        |w| w.shown.chain = vec![leaf(&signer("Ours"), &["a.lan"], 0, 90, 7)],
        Verdict::ImpostorIssuer,
        Some(Critical),
        "made anew",
    ),
    (
        "another authority",
        |w| w.shown.chain = vec![leaf(&signer("Theirs"), &["a.lan"], 0, 90, 7)],
        Verdict::ForeignIssuer,
        Some(Warning),
        "neither ours nor public",
    ),
    (
        "ours where a public one is expected",
        |w| w.target.expect = Expect::Public,
        Verdict::ForeignIssuer,
        Some(Warning),
        "public",
    ),
    (
        "not a certificate",
        |w| w.shown.chain = vec![vec![0x30, 0]],
        Verdict::FallbackCert,
        Some(Critical),
        "cannot be read",
    ),
    (
        "a client's certificate is wanted",
        |w| w.shown.wants_client_certificate = true,
        Verdict::Ok,
        None,
        "wants a certificate of its client",
    ),
    (
        "nobody saw the key",
        |w| w.shown.possession = Possession::Unproven,
        Verdict::Ok,
        None,
        "not seen to hold the key",
    ),
];

#[test]
fn each_way_to_be_wrong_has_its_verdict() {
    for (what, change, verdict, severity, words) in ROWS {
        let mut world = World::new();
        change(&mut world);
        let found = world.verdict();
        assert_eq!((found.0, found.1), (*verdict, *severity), "{what}: {}", found.2);
        assert!(found.2.contains(words), "{what}: {}", found.2);
    }
}

#[test]
fn what_shows_no_certificate_is_told_apart() {
    let mut world = World::new();
    let rows = [
        (Outcome::Alert("UnrecognisedName (112)".into()), Verdict::NoCertAlert, Some(Critical), "112"),
        (Outcome::NotTls(Some("HTTP/1.1 400 Bad".into())), Verdict::NotTls, Some(Critical), "plain HTTP"),
        (Outcome::NotTls(Some("220 mail.lan ESMTP".into())), Verdict::NotTls, Some(Critical), "starttls"),
        (Outcome::NotTls(None), Verdict::NotTls, Some(Critical), "hung up"),
        (
            Outcome::StarttlsRefused("EHLO brings no STARTTLS".into()),
            Verdict::StarttlsRefused,
            Some(Critical),
            "EHLO",
        ),
        (Outcome::OldTls("it speaks neither".into()), Verdict::TlsUnsupported, Some(Warning), "TLS 1.2"),
        (Outcome::Refused, Verdict::TcpRefused, Some(Info), "nothing listens"),
        (Outcome::Silent("did not answer".into()), Verdict::TcpTimeout, Some(Info), "did not answer"),
        (Outcome::Failed("no sockets".into()), Verdict::ProbeError, None, "no sockets"),
    ];
    for (outcome, verdict, severity, words) in rows {
        let found = world.judged(&outcome);
        assert_eq!((found.0, found.1), (verdict, severity), "{outcome:?}");
        assert!(found.2.contains(words), "{}", found.2);
    }
    // A dead host matters more when its certificate is due.
    world.known.current = vec![successor(&["a.lan"], "me", 0)];
    world.now = day(60);
    assert_eq!(world.judged(&Outcome::Refused).1, Some(Warning));
    world.target.expect = Expect::Nothing;
    assert_eq!(world.judged(&Outcome::Refused).0, Verdict::Ok);
    assert_eq!(world.judged(&Outcome::Alert("x".into())).0, Verdict::NoCertAlert, "what answers is judged");
    assert_eq!(
        no_address(&Target { expect: Expect::Ours, ..world.target }, "nobody").verdict,
        Verdict::DnsFail
    );
}

#[test]
fn a_public_authority_counts_where_it_is_expected_and_holds() {
    let mut world = World::new();
    let theirs = signer("Public");
    let mut roots = RootCertStore::empty();
    roots.add(theirs.root.clone().into()).unwrap();
    let public = Public::of(roots);
    world.known.record = None;
    world.shown.chain = vec![leaf(&theirs, &["a.lan"], 0, 90, 7), theirs.der.clone()];
    let judged = |world: &World| {
        let outcome = Outcome::Shown(world.shown.clone());
        judge(&world.target, &outcome, &world.authorities, &public, &world.known, world.now)
    };
    let it = judged(&world);
    assert_eq!((it.verdict, it.product.as_deref()), (Verdict::ForeignIssuer, Some("Public")));
    assert!(it.detail.contains("expect = 'public'"), "{}", it.detail);
    world.target.expect = Expect::Public;
    assert_eq!(judged(&world).verdict, Verdict::Ok, "{:?}", judged(&world));
    for (at, verdict) in [(91, Verdict::Expired), (-1, Verdict::NotYetValid), (85, Verdict::Expiring)] {
        world.now = day(at);
        assert_eq!(judged(&world).verdict, verdict);
    }
    world.now = day(1);
    world.target.host = Identifier::dns("b.lan").unwrap();
    assert_eq!(judged(&world).verdict, Verdict::SanMismatch);
    world.shown.chain.truncate(1);
    assert_eq!(
        judged(&world).verdict,
        Verdict::ForeignIssuer,
        "without its intermediate no path leads there"
    );
}

#[test]
fn a_chain_of_two_must_be_sent_whole_and_another_root_will_do() {
    let mut world = World::new();
    let upper = signer("Upper");
    world.authorities = vec![Authority::new("aa", &[world.ours.der.clone(), upper.der.clone()]).unwrap()];
    assert_eq!(world.verdict().0, Verdict::ChainIncomplete, "the upper one is missing");
    world.shown.chain.push(upper.der.clone());
    assert_eq!(world.verdict().0, Verdict::Ok);
    // The same name and key by another root: what leads up to that one is not ours to know.
    let mut params = named("Ours", -10, 3_000);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let crossed = params.signed_by(world.ours.issuer.key(), &upper.issuer).unwrap();
    world.shown.chain = vec![world.shown.chain[0].clone(), crossed.der().to_vec()];
    assert_eq!(world.verdict().0, Verdict::Ok);
    // An old one of the same CA, whose time is over.
    let mut params = named("Ours", -10, 0);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let old = params.signed_by(world.ours.issuer.key(), &upper.issuer).unwrap();
    world.shown.chain[1] = old.der().to_vec();
    assert_eq!(world.verdict().0, Verdict::ChainWrong);
}

#[test]
fn addresses_that_show_different_things_are_mixed_unless_a_reload_is_under_way() {
    let ours = signer("Ours");
    let show = |address: &str, serial: u8, verdict| {
        let chain = vec![leaf(&ours, &["a.lan"], 0, 90, serial)];
        let shown =
            Shown { chain, version: None, possession: Possession::Proven, wants_client_certificate: false };
        (Seen { address: address.parse().unwrap(), outcome: Outcome::Shown(shown) }, verdict)
    };
    let one = show("10.0.0.1:443", 1, Verdict::Ok);
    let same = (Seen { address: "10.0.0.2:443".parse().unwrap(), ..one.0.clone() }, Verdict::Ok);
    let dead =
        (Seen { address: "10.0.0.3:443".parse().unwrap(), outcome: Outcome::Refused }, Verdict::TcpRefused);
    assert_eq!(together(&[one.clone(), same, dead]), None, "one that is dead has said so itself");
    let previous = show("[fd00::1]:443", 2, Verdict::OkPrevious);
    assert_eq!(together(&[one.clone(), previous]), None);
    let mixed = together(&[one, show("[fd00::1]:443", 2, Verdict::StaleNotReloaded)]).unwrap();
    assert_eq!((mixed.verdict, mixed.severity), (Verdict::MixedBackends, Some(Warning)));
    for part in ["10.0.0.1 ok", "fd00::1 stale_not_reloaded", "0202"] {
        assert!(mixed.detail.contains(part), "{}", mixed.detail);
    }
}

#[test]
fn an_address_that_was_never_validated_is_drift() {
    let ips = |all: &[&str]| all.iter().map(|ip| ip.parse().unwrap()).collect::<Vec<_>>();
    assert_eq!(drift(&ips(&["10.0.0.1"]), &[]), None, "nobody knows");
    assert_eq!(drift(&ips(&["10.0.0.1", "fd00::1"]), &ips(&["10.0.0.1"])), None);
    let found = drift(&ips(&["10.0.0.2"]), &ips(&["10.0.0.1"])).unwrap();
    assert_eq!(found.verdict, Verdict::AddressDrift);
    assert!(found.detail.contains("10.0.0.2") && found.detail.contains("10.0.0.1"), "{}", found.detail);
}

#[test]
fn the_grace_is_an_hour_and_less_for_short_lives() {
    let hours =
        |lifetime: i64| grace(day(0), Timestamp::from_unix(day(0).unix() + lifetime * 3_600)).as_secs() / 60;
    assert_eq!([hours(0), hours(24), hours(168), hours(90 * 24)], [1, 28, 60, 60]);
}

/// What products write into their certificates, and what somebody would write who wants to look like us.
fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("Ours".to_owned()),
        Just("Root".to_owned()),
        Just("a.lan".to_owned()),
        Just("minica root ca 1a2b3c".to_owned()),
        Just("TRAEFIK DEFAULT CERT".to_owned()),
        Just("Kubernetes Ingress Controller Fake Certificate".to_owned()),
        Just("Caddy Local Authority - ECC Intermediate".to_owned()),
        Just("Apache Managed Domain Fallback".to_owned()),
        "[a-zA-Z0-9 .]{0,40}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Whatever is not ours by key and by row is never well: with our names, our serial, our chain behind it, our key
    /// identifier, at any time, whatever is known of the name.
    #[test]
    fn nothing_that_is_not_ours_is_ever_ok(
        subject in names(),
        issuer in names(),
        is_self_signed in any::<bool>(),
        with_our_names in any::<bool>(),
        with_our_key_id in any::<bool>(),
        with_our_chain in any::<bool>(),
        with_our_record in any::<bool>(),
        serial in prop_oneof![Just(7u8), 1..100u8],
        life in (-400i64..400, 1i64..4_000),
        now in -500i64..4_500,
        expect in prop_oneof![Just(Expect::Ours), Just(Expect::Public), Just(Expect::Nothing)],
        possession in prop_oneof![Just(Possession::Proven), Just(Possession::Unproven), Just(Possession::Refuted)],
    ) {
        let mut world = World::new();
        let key = KeyPair::generate().unwrap();
        let mut params = named(&subject, life.0, life.0 + life.1);
        params.serial_number = Some(SerialNumber::from_slice(&[serial; 16]));
        if with_our_names {
            params.subject_alt_names = vec![rcgen::SanType::DnsName("a.lan".try_into().unwrap())];
        }
        if with_our_key_id {
            // An authority key identifier: SEQUENCE { [0] whatever ours is }.
            let id = world.authorities[0].key_id.clone().unwrap_or_default();
            let mut value = vec![0x30, u8::try_from(id.len() + 2).unwrap(), 0x80, u8::try_from(id.len()).unwrap()];
            value.extend(id);
            params.custom_extensions.push(CustomExtension::from_oid_content(&[2, 5, 29, 35], value));
        }
        let leaf = if is_self_signed {
            params.self_signed(&key).unwrap().der().to_vec()
        } else {
            let above = Issuer::new(named(&issuer, -1_000, 9_000), KeyPair::generate().unwrap());
            params.signed_by(&key, &above).unwrap().der().to_vec()
        };
        world.shown.chain = vec![leaf.clone()];
        if with_our_chain {
            world.shown.chain.extend([world.ours.der.clone(), world.ours.root.clone()]);
        }
        if with_our_record {
            world.record().der = leaf;
        }
        world.shown.possession = possession;
        world.target.expect = expect;
        world.now = day(now);
        let (verdict, severity, detail) = world.verdict();
        prop_assert!(!matches!(verdict, Verdict::Ok | Verdict::OkPrevious | Verdict::Expiring), "{verdict}: {detail}");
        prop_assert!(severity >= Some(Warning), "{verdict}: {detail}");
        prop_assert!(expect != Expect::Ours || !is_self_signed || severity == Some(Critical), "{verdict}: {detail}");
    }
}
