//! One test a rule: a good certificate with one thing changed, which breaks exactly that rule.

use x509_parser::der_parser::asn1_rs::{Any, FromDer as _};

use super::*;
use crate::ca::KeyKind;
use crate::ca::draft::tlv;
use crate::ca::fixture::{DAY, Desk, names, new_public_key, now, serial, template};
use crate::ca::issuer::Issuer;

/// The elements of a certificate's to-be-signed part, in order.
#[derive(Clone)]
pub(super) struct Parts(pub(super) Vec<Vec<u8>>);

const VERSION: usize = 0;
const SERIAL: usize = 1;
const SIGNATURE: usize = 2;
const ISSUER: usize = 3;
const VALIDITY: usize = 4;
const SUBJECT: usize = 5;
const PUBLIC_KEY: usize = 6;

const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 17];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 19];
const NAME_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 30];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 15];
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 37];
const AUTHORITY_KEY_ID: &[u8] = &[0x55, 0x1d, 35];
const SUBJECT_KEY_ID: &[u8] = &[0x55, 0x1d, 14];
const CRL_DISTRIBUTION: &[u8] = &[0x55, 0x1d, 31];
const AUTHORITY_INFORMATION: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 1, 1];
const UNKNOWN: &[u8] = &[0x55, 0x1d, 99];

pub(super) fn children(der: &[u8]) -> Vec<Vec<u8>> {
    let (_, outer) = Any::from_der(der).unwrap();
    let mut rest = outer.data;
    let mut all = Vec::new();
    while !rest.is_empty() {
        let (after, _) = Any::from_der(rest).unwrap();
        all.push(rest[..rest.len() - after.len()].to_vec());
        rest = after;
    }
    all
}

pub(super) fn extension(oid: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let flag: &[u8] = if critical { &[1, 1, 0xff] } else { &[] };
    tlv(0x30, &[&tlv(6, oid), flag, &tlv(4, value)].concat())
}

impl Parts {
    fn of(tbs: &[u8]) -> Self {
        Self(children(tbs))
    }

    pub(super) fn with(mut self, part: usize, der: Vec<u8>) -> Self {
        self.0[part] = der;
        self
    }

    /// Without the extension, or with this one in its place.
    fn with_extension(mut self, oid: &[u8], replacement: Option<Vec<u8>>) -> Self {
        let explicit = self.0.pop().unwrap();
        let mut extensions = children(&children(&explicit)[0]);
        extensions.retain(|e| children(e)[0] != tlv(6, oid));
        extensions.extend(replacement);
        self.0.push(tlv(0xa3, &tlv(0x30, &extensions.concat())));
        self
    }

    fn with_one_more(mut self, extension: &[u8]) -> Self {
        let explicit = self.0.pop().unwrap();
        let mut extensions = children(&children(&explicit)[0]);
        extensions.push(extension.to_vec());
        self.0.push(tlv(0xa3, &tlv(0x30, &extensions.concat())));
        self
    }

    pub(super) fn der(&self) -> Vec<u8> {
        tlv(0x30, &self.0.concat())
    }
}

pub(super) fn rules(verdict: Result<(), Vec<Finding>>) -> Vec<&'static str> {
    verdict.err().unwrap_or_default().iter().map(|finding| finding.rule).collect()
}

struct Leaf {
    ca: crate::ca::Ca,
    good: Parts,
}

impl Leaf {
    fn new() -> Self {
        let desk = Desk::new(KeyKind::P256, &["mgmt.lan"]);
        let ca = desk.ca();
        let (names, public_key, serial) = (names(&["a.mgmt.lan"]), new_public_key(KeyKind::P256), serial(7));
        let template = template(&serial, &names, &public_key);
        let good = Parts::of(ca.issuers()[0].draft(&template).unwrap().tbs());
        Self { ca, good }
    }

    fn issuer(&self) -> &Issuer {
        &self.ca.issuers()[0]
    }

    #[track_caller]
    fn breaks(&self, rule: &[&str], parts: &Parts) {
        assert_eq!(rules(check_leaf(&parts.der(), &self.issuer().authority())), rule);
    }

    #[track_caller]
    fn breaks_with(&self, rule: &[&str], oid: &[u8], replacement: Option<Vec<u8>>) {
        self.breaks(rule, &self.good.clone().with_extension(oid, replacement));
    }
}

pub(super) fn utc(text: &str) -> Vec<u8> {
    tlv(0x17, text.as_bytes())
}

pub(super) fn generalized(text: &str) -> Vec<u8> {
    tlv(0x18, text.as_bytes())
}

pub(super) fn common_name(text: &str) -> Vec<u8> {
    tlv(0x30, &tlv(0x31, &tlv(0x30, &[tlv(6, &[0x55, 4, 3]), tlv(12, text.as_bytes())].concat())))
}

fn dns_names(names: &[&str]) -> Vec<u8> {
    tlv(0x30, &names.iter().flat_map(|name| tlv(0x82, name.as_bytes())).collect::<Vec<u8>>())
}

#[test]
fn a_good_leaf_breaks_no_rule() {
    let leaf = Leaf::new();
    leaf.breaks(&[], &leaf.good);
}

#[test]
fn what_is_no_certificate_is_not_judged_further() {
    let leaf = Leaf::new();
    let authority = leaf.issuer().authority();
    assert_eq!(rules(check_leaf(b"", &authority)), ["der"]);
    let longer = [leaf.good.der(), vec![0]].concat();
    assert_eq!(rules(check_leaf(&longer, &authority)), ["der"]);
}

#[test]
fn version() {
    let leaf = Leaf::new();
    leaf.breaks(&["version"], &leaf.good.clone().with(VERSION, tlv(0xa0, &tlv(2, &[1]))));
}

#[test]
fn serials() {
    let leaf = Leaf::new();
    let padded = [&[0][..], &[0x41; 16]].concat();
    for octets in [&[0x41; 7][..], &[0x41; 21], &[0x81; 16], &padded] {
        leaf.breaks(&["serial"], &leaf.good.clone().with(SERIAL, tlv(2, octets)));
    }
    for octets in [&[0x41; 8][..], &[0x41; 20]] {
        leaf.breaks(&[], &leaf.good.clone().with(SERIAL, tlv(2, octets)));
    }
}

#[test]
fn signature() {
    let leaf = Leaf::new();
    let with_sha384 = tlv(0x30, &tlv(6, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3]));
    leaf.breaks(&["signature"], &leaf.good.clone().with(SIGNATURE, with_sha384));
}

#[test]
fn signature_parameters() {
    let leaf = Leaf::new();
    let ecdsa = tlv(6, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]);
    let with_null = tlv(0x30, &[&ecdsa[..], &[5, 0]].concat());
    leaf.breaks(&["signature_parameters"], &leaf.good.clone().with(SIGNATURE, with_null));
    // By RSA, where NULL is right. The first row breaks the rule about the algorithm alone.
    let rsa = tlv(6, &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11]);
    let with_null = tlv(0x30, &[&rsa[..], &[5, 0]].concat());
    leaf.breaks(&["signature"], &leaf.good.clone().with(SIGNATURE, with_null));
    let without = leaf.good.clone().with(SIGNATURE, tlv(0x30, &rsa));
    leaf.breaks(&["signature", "signature_parameters"], &without);
}

#[test]
fn issuer() {
    let leaf = Leaf::new();
    leaf.breaks(&["issuer"], &leaf.good.clone().with(ISSUER, common_name("Test Intermediate")));
}

#[test]
fn time_form() {
    let leaf = Leaf::new();
    let dates = [generalized("20261122120000Z"), utc("270101000000Z")].concat();
    leaf.breaks(&["time_form"], &leaf.good.clone().with(VALIDITY, tlv(0x30, &dates)));
}

#[test]
fn validity() {
    let leaf = Leaf::new();
    for (begin, end) in [
        ("261122105959Z", "270101000000Z"), // a second before the issuer
        ("261122120000Z", "271122110000Z"), // a second after it
        ("270101000000Z", "261122120000Z"), // the wrong way round
    ] {
        let dates = tlv(0x30, &[utc(begin), utc(end)].concat());
        leaf.breaks(&["validity"], &leaf.good.clone().with(VALIDITY, dates));
    }
    let whole = tlv(0x30, &[utc("261122110000Z"), utc("271122105959Z")].concat());
    leaf.breaks(&[], &leaf.good.clone().with(VALIDITY, whole));
}

#[test]
fn public_key() {
    let leaf = Leaf::new();
    let ec = tlv(6, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1]);
    let secp256k1 = tlv(6, &[0x2b, 0x81, 4, 0, 10]);
    let point = tlv(3, &[&[0, 4][..], &[1; 64]].concat());
    let key = tlv(0x30, &[tlv(0x30, &[ec, secp256k1].concat()), point].concat());
    leaf.breaks(&["public_key"], &leaf.good.clone().with(PUBLIC_KEY, key));
    let x25519 = tlv(0x30, &[tlv(0x30, &tlv(6, &[0x2b, 101, 110])), tlv(3, &[0; 33])].concat());
    leaf.breaks(&["public_key"], &leaf.good.clone().with(PUBLIC_KEY, x25519));
}

#[test]
fn unique_ids() {
    let leaf = Leaf::new();
    for tag in [0x81, 0x82] {
        let mut parts = leaf.good.clone();
        parts.0.insert(PUBLIC_KEY + 1, tlv(tag, &[0, 7]));
        leaf.breaks(&["unique_ids"], &parts);
    }
}

#[test]
fn extensions_once() {
    let leaf = Leaf::new();
    let once_more = extension(SUBJECT_KEY_ID, false, &tlv(4, &[1]));
    let once = leaf.good.clone().with_one_more(&once_more);
    leaf.breaks(&[], &once);
    leaf.breaks(&["extensions_once"], &once.with_one_more(&once_more));
}

#[test]
fn subject() {
    let leaf = Leaf::new();
    let named = |name: &str, san: &[&str]| {
        let san = extension(SUBJECT_ALT_NAME, false, &dns_names(san));
        leaf.good.clone().with(SUBJECT, common_name(name)).with_extension(SUBJECT_ALT_NAME, Some(san))
    };
    leaf.breaks(&[], &named("a.mgmt.lan", &["a.mgmt.lan"]));
    leaf.breaks(&["subject"], &named("b.mgmt.lan", &["a.mgmt.lan"]));
    let long = format!("{}.mgmt.lan", "a".repeat(56));
    leaf.breaks(&["subject"], &named(&long, &[&long]));
    let two = [children(&common_name("a.mgmt.lan")), children(&common_name("a.mgmt.lan"))].concat().concat();
    leaf.breaks(&["subject"], &named("a.mgmt.lan", &["a.mgmt.lan"]).with(SUBJECT, tlv(0x30, &two)));
}

#[test]
fn alternative_name() {
    let leaf = Leaf::new();
    let san = |critical| Some(extension(SUBJECT_ALT_NAME, critical, &dns_names(&["a.mgmt.lan"])));
    leaf.breaks_with(&["alternative_name"], SUBJECT_ALT_NAME, None);
    leaf.breaks_with(&["alternative_name"], SUBJECT_ALT_NAME, san(false));
    let named = leaf.good.clone().with(SUBJECT, common_name("a.mgmt.lan"));
    leaf.breaks(&["alternative_name"], &named.with_extension(SUBJECT_ALT_NAME, san(true)));
}

#[test]
fn alternative_name_form() {
    let leaf = Leaf::new();
    let with = |value: &[u8]| Some(extension(SUBJECT_ALT_NAME, true, value));
    for names in [&["A.mgmt.lan"][..], &["a_b.mgmt.lan"], &["a.mgmt.lan."], &["a.mgmt.lan", "a.mgmt.lan"]] {
        let value = dns_names(names);
        assert!(
            rules(check_leaf(
                &leaf.good.clone().with_extension(SUBJECT_ALT_NAME, with(&value)).der(),
                &leaf.issuer().authority()
            ))
            .contains(&"alternative_name_form"),
            "{names:?}"
        );
    }
    let short_address = tlv(0x30, &tlv(0x87, &[10, 0, 0]));
    leaf.breaks_with(&["alternative_name_form"], SUBJECT_ALT_NAME, with(&short_address));
    let mail = tlv(0x30, &tlv(0x81, b"root@mgmt.lan"));
    leaf.breaks_with(&["alternative_name_form"], SUBJECT_ALT_NAME, with(&mail));
}

#[test]
fn name_constraints() {
    let leaf = Leaf::new();
    let foreign = extension(SUBJECT_ALT_NAME, true, &dns_names(&["a.mgmt.lan", "example.com"]));
    leaf.breaks_with(&["name_constraints"], SUBJECT_ALT_NAME, Some(foreign));
    let address = extension(SUBJECT_ALT_NAME, true, &tlv(0x30, &tlv(0x87, &[10, 0, 0, 1])));
    leaf.breaks_with(&["name_constraints"], SUBJECT_ALT_NAME, Some(address));
}

#[test]
fn key_usage() {
    let leaf = Leaf::new();
    leaf.breaks_with(&["key_usage"], KEY_USAGE, None);
    leaf.breaks_with(&["key_usage"], KEY_USAGE, Some(extension(KEY_USAGE, false, &[3, 2, 7, 0x80])));
    // keyEncipherment means nothing for an ECDSA key; keyCertSign would make a CA.
    leaf.breaks_with(&["key_usage"], KEY_USAGE, Some(extension(KEY_USAGE, true, &[3, 2, 5, 0xa0])));
    leaf.breaks_with(&["key_usage"], KEY_USAGE, Some(extension(KEY_USAGE, true, &[3, 2, 2, 0x84])));
}

#[test]
fn extended_key_usage() {
    const SERVER: &[u8] = &[6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 1];
    const CLIENT: &[u8] = &[6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 2];
    const MAIL: &[u8] = &[6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 4];
    const ANY: &[u8] = &[6, 4, 0x55, 0x1d, 37, 0];
    let leaf = Leaf::new();
    let of = |usages: &[&[u8]]| Some(extension(EXTENDED_KEY_USAGE, false, &tlv(0x30, &usages.concat())));
    leaf.breaks_with(&[], EXTENDED_KEY_USAGE, of(&[SERVER, CLIENT]));
    leaf.breaks_with(&["extended_key_usage"], EXTENDED_KEY_USAGE, None);
    for usages in [&[CLIENT][..], &[SERVER, MAIL], &[SERVER, ANY]] {
        leaf.breaks_with(&["extended_key_usage"], EXTENDED_KEY_USAGE, of(usages));
    }
}

#[test]
fn basic_constraints() {
    let leaf = Leaf::new();
    let not_a_ca = extension(BASIC_CONSTRAINTS, false, &tlv(0x30, &[]));
    leaf.breaks_with(&["basic_constraints"], BASIC_CONSTRAINTS, Some(not_a_ca));
}

#[test]
fn authority_key_id() {
    let leaf = Leaf::new();
    leaf.breaks_with(&["authority_key_id"], AUTHORITY_KEY_ID, None);
    let other = extension(AUTHORITY_KEY_ID, false, &tlv(0x30, &tlv(0x80, &[1; 20])));
    leaf.breaks_with(&["authority_key_id"], AUTHORITY_KEY_ID, Some(other));
    let key_id = tlv(0x80, leaf.issuer().authority().key_id);
    let name = tlv(0xa1, &tlv(0xa4, leaf.issuer().authority().subject));
    let full = tlv(0x30, &[key_id, name, tlv(0x82, &[1])].concat());
    leaf.breaks_with(
        &["authority_key_id"],
        AUTHORITY_KEY_ID,
        Some(extension(AUTHORITY_KEY_ID, false, &full)),
    );
}

#[test]
fn authority_information() {
    const CA_ISSUERS: &[u8] = &[6, 8, 0x2b, 6, 1, 5, 5, 7, 0x30, 2];
    const OCSP: &[u8] = &[6, 8, 0x2b, 6, 1, 5, 5, 7, 0x30, 1];
    let leaf = Leaf::new();
    leaf.breaks_with(&[], AUTHORITY_INFORMATION, None);
    for (method, url) in
        [(CA_ISSUERS, "https://ca.mgmt.lan/i"), (CA_ISSUERS, "http:///i"), (OCSP, "http://ca.mgmt.lan/o")]
    {
        let description = tlv(0x30, &[method, &tlv(0x86, url.as_bytes())].concat());
        let value = extension(AUTHORITY_INFORMATION, false, &tlv(0x30, &description));
        leaf.breaks_with(&["authority_information"], AUTHORITY_INFORMATION, Some(value));
    }
}

#[test]
fn crl_distribution() {
    let leaf = Leaf::new();
    leaf.breaks_with(&[], CRL_DISTRIBUTION, None);
    let name = tlv(0x86, b"ldap://ca.mgmt.lan");
    let value = tlv(0x30, &tlv(0x30, &tlv(0xa0, &tlv(0xa0, &name))));
    leaf.breaks_with(
        &["crl_distribution"],
        CRL_DISTRIBUTION,
        Some(extension(CRL_DISTRIBUTION, false, &value)),
    );
}

#[test]
fn extensions_known() {
    let leaf = Leaf::new();
    for critical in [true, false] {
        let unknown = extension(UNKNOWN, critical, &[5, 0]);
        leaf.breaks_with(&["extensions_known"], UNKNOWN, Some(unknown));
    }
    let critical = extension(SUBJECT_KEY_ID, true, &tlv(4, &[1]));
    leaf.breaks_with(&["extensions_known"], SUBJECT_KEY_ID, Some(critical));
}

/// The to-be-signed part of a CA's certificate, and what it is judged by.
struct Authorities {
    desk: Desk,
    root: Parts,
    intermediate: Parts,
}

impl Authorities {
    fn new() -> Self {
        let desk = Desk::new(KeyKind::P256, &["mgmt.lan"]);
        let tbs = |der: &[u8]| Parts::of(&children(der)[0]);
        let intermediate = crate::ca::Certificate::read_one(&desk.path("intermediate.pem")).unwrap();
        Self { root: tbs(desk.root.der()), intermediate: tbs(intermediate.der()), desk }
    }

    #[track_caller]
    fn breaks(&self, kind: Kind, rule: &[&str], parts: &Parts) {
        let root = &self.desk.root;
        let constraints = [(root.name.clone(), root.constraints.clone())];
        let above = Authority {
            subject: &root.subject,
            key_id: root.key_id.as_deref().unwrap(),
            not_before: root.not_before,
            not_after: root.not_after,
            signature_oid: "1.2.840.10045.4.3.2",
            constraints: &constraints,
        };
        assert_eq!(rules(check_ca(&parts.der(), kind, &above)), rule);
    }
}

#[test]
fn a_good_ca_breaks_no_rule() {
    let cas = Authorities::new();
    cas.breaks(Kind::Root, &[], &cas.root);
    cas.breaks(Kind::Intermediate, &[], &cas.intermediate);
}

#[test]
fn ca_basic_constraints() {
    let cas = Authorities::new();
    let basic = |critical, value: &[u8]| Some(extension(BASIC_CONSTRAINTS, critical, &tlv(0x30, value)));
    const CA: &[u8] = &[1, 1, 0xff];
    let with = |length: u8| [CA, &[2, 1, length]].concat();
    let root = |value| cas.root.clone().with_extension(BASIC_CONSTRAINTS, value);
    let intermediate = |value| cas.intermediate.clone().with_extension(BASIC_CONSTRAINTS, value);
    cas.breaks(Kind::Root, &[], &root(basic(true, CA)));
    for broken in [None, basic(false, CA), basic(true, &[]), basic(true, &with(0)), basic(true, &with(2))] {
        cas.breaks(Kind::Root, &["basic_constraints"], &root(broken));
    }
    for broken in [basic(true, CA), basic(true, &with(1))] {
        cas.breaks(Kind::Intermediate, &["basic_constraints"], &intermediate(broken));
    }
}

#[test]
fn ca_key_usage() {
    let cas = Authorities::new();
    let usage = |flags| Some(extension(KEY_USAGE, true, &[3, 2, 1, flags]));
    for broken in [None, usage(0x04), usage(0x86), Some(extension(KEY_USAGE, false, &[3, 2, 1, 6]))] {
        cas.breaks(Kind::Root, &["key_usage"], &cas.root.clone().with_extension(KEY_USAGE, broken.clone()));
        let parts = cas.intermediate.clone().with_extension(KEY_USAGE, broken);
        cas.breaks(Kind::Intermediate, &["key_usage"], &parts);
    }
}

#[test]
fn ca_key_ids() {
    let cas = Authorities::new();
    let root = cas.root.clone().with_extension(SUBJECT_KEY_ID, None);
    cas.breaks(Kind::Root, &["subject_key_id"], &root);
    let intermediate = cas.intermediate.clone().with_extension(AUTHORITY_KEY_ID, None);
    cas.breaks(Kind::Intermediate, &["authority_key_id"], &intermediate);
    // A root may say its own.
    let own = cas.desk.root.key_id.as_deref().unwrap();
    for (id, rule) in [(own, &[][..]), (&[1; 20], &["authority_key_id"])] {
        let value = extension(AUTHORITY_KEY_ID, false, &tlv(0x30, &tlv(0x80, id)));
        cas.breaks(Kind::Root, rule, &cas.root.clone().with_extension(AUTHORITY_KEY_ID, Some(value)));
    }
}

#[test]
fn ca_name_constraints() {
    let cas = Authorities::new();
    let permitted = |name: &str| {
        let tree = tlv(0x30, &tlv(0x82, name.as_bytes()));
        tlv(0x30, &tlv(0xa0, &tree))
    };
    let with = |critical, name| {
        let value = extension(NAME_CONSTRAINTS, critical, &permitted(name));
        cas.intermediate.clone().with_extension(NAME_CONSTRAINTS, Some(value))
    };
    cas.breaks(Kind::Intermediate, &[], &with(true, "a.mgmt.lan"));
    cas.breaks(Kind::Intermediate, &["name_constraints"], &with(true, "lan"));
    let none = cas.intermediate.clone().with_extension(NAME_CONSTRAINTS, None);
    cas.breaks(Kind::Intermediate, &["name_constraints"], &none);
    let lax = with(false, "a.mgmt.lan");
    cas.breaks(Kind::Intermediate, &["name_constraints_critical"], &lax);
}

#[test]
fn root_name_constraints_whole() {
    let cas = Authorities::new();
    let tree = |name: Vec<u8>| tlv(0x30, &name);
    let name = tree(tlv(0x82, b"mgmt.lan"));
    let (four, six) = (tree(tlv(0x87, &[0; 8])), tree(tlv(0x87, &[0; 32])));
    let net = tree(tlv(0x87, &[10, 0, 0, 0, 255, 0, 0, 0]));
    let with = |permitted: &[&[u8]], excluded: &[&[u8]]| {
        let part = |tag, trees: &[&[u8]]| match trees {
            [] => Vec::new(),
            trees => tlv(tag, &trees.concat()),
        };
        let value = tlv(0x30, &[part(0xa0, permitted), part(0xa1, excluded)].concat());
        cas.root.clone().with_extension(NAME_CONSTRAINTS, Some(extension(NAME_CONSTRAINTS, true, &value)))
    };
    cas.breaks(Kind::Root, &[], &with(&[&name], &[&four, &six]));
    cas.breaks(Kind::Root, &[], &with(&[&name, &net], &[]));
    cas.breaks(Kind::Root, &[], &cas.root.clone().with_extension(NAME_CONSTRAINTS, None));
    for broken in [
        with(&[], &[]),
        with(&[&name], &[]),
        with(&[&name], &[&four]),
        with(&[&name], &[&net, &six]),
        with(&[&net], &[]),
        with(&[], &[&four, &six]),
    ] {
        cas.breaks(Kind::Root, &["name_constraints_whole"], &broken);
    }
}

#[test]
fn ca_extended_key_usage() {
    const SERVER: &[u8] = &[6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 1];
    const CODE: &[u8] = &[6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 3];
    let cas = Authorities::new();
    let of = |usages: &[&[u8]]| Some(extension(EXTENDED_KEY_USAGE, false, &tlv(0x30, &usages.concat())));
    let intermediate = |value| cas.intermediate.clone().with_extension(EXTENDED_KEY_USAGE, value);
    cas.breaks(Kind::Intermediate, &[], &intermediate(of(&[SERVER])));
    for usages in [&[CODE][..], &[SERVER, CODE]] {
        cas.breaks(Kind::Intermediate, &["extended_key_usage"], &intermediate(of(usages)));
    }
    let root = cas.root.clone().with_extension(EXTENDED_KEY_USAGE, of(&[SERVER]));
    cas.breaks(Kind::Root, &["extended_key_usage"], &root);
}

#[test]
fn ca_extensions_known() {
    let cas = Authorities::new();
    for (oid, critical) in [(UNKNOWN, true), (UNKNOWN, false), (SUBJECT_ALT_NAME, false)] {
        let value = if oid == SUBJECT_ALT_NAME { dns_names(&["a.mgmt.lan"]) } else { vec![5, 0] };
        let with = |parts: &Parts| parts.clone().with_extension(oid, Some(extension(oid, critical, &value)));
        cas.breaks(Kind::Root, &["extensions_known"], &with(&cas.root));
        cas.breaks(Kind::Intermediate, &["extensions_known"], &with(&cas.intermediate));
    }
}

#[test]
fn ca_subjects() {
    let cas = Authorities::new();
    let unnamed = cas.intermediate.clone().with(SUBJECT, tlv(0x30, &[]));
    cas.breaks(Kind::Intermediate, &["subject"], &unnamed);
    let long = cas.intermediate.clone().with(SUBJECT, common_name(&"x".repeat(65)));
    cas.breaks(Kind::Intermediate, &["subject"], &long);
    let namesake = cas.intermediate.clone().with(SUBJECT, common_name("Test Root"));
    cas.breaks(Kind::Intermediate, &["not_self_issued"], &namesake);
    let other = cas.root.clone().with(SUBJECT, common_name("Another"));
    cas.breaks(Kind::Root, &["self_issued"], &other);
}

#[test]
fn a_ca_is_nested_in_the_life_of_the_root() {
    let cas = Authorities::new();
    let dates = tlv(0x30, &[utc("261122120000Z"), utc("361119110000Z")].concat());
    assert!(cas.desk.root.not_after < now().plus(3650 * DAY));
    cas.breaks(Kind::Intermediate, &["validity"], &cas.intermediate.clone().with(VALIDITY, dates));
}
