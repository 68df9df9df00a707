//! One test a rule: a good list with one thing changed, which breaks exactly that rule.

use super::tests::{Parts, children, common_name, extension, generalized, rules, utc};
use super::*;
use crate::ca::KeyKind;
use crate::ca::draft::tlv;
use crate::ca::fixture::Desk;

const VERSION: usize = 0;
const SIGNATURE: usize = 1;
const ISSUER: usize = 2;
const THIS_UPDATE: usize = 3;
const NEXT_UPDATE: usize = 4;
const REVOKED: usize = 5;

const CRL_NUMBER: &[u8] = &[0x55, 0x1d, 20];
const REASON_CODE: &[u8] = &[0x55, 0x1d, 21];
const INVALIDITY_DATE: &[u8] = &[0x55, 0x1d, 24];
const DELTA: &[u8] = &[0x55, 0x1d, 27];
const AUTHORITY_KEY_ID: &[u8] = &[0x55, 0x1d, 35];

/// A list by hand, of the intermediate of a desk, with two certificates.
struct List {
    ca: crate::ca::Ca,
    good: Parts,
}

impl List {
    fn new() -> Self {
        let desk = Desk::new(KeyKind::P256, &["mgmt.lan"]);
        let ca = desk.ca();
        let authority = ca.issuers()[0].authority();
        let key_id = extension(AUTHORITY_KEY_ID, false, &tlv(0x30, &tlv(0x80, authority.key_id)));
        let extensions = [key_id, extension(CRL_NUMBER, false, &tlv(2, &[7]))].concat();
        let good = Parts(vec![
            tlv(2, &[1]),
            tlv(0x30, &tlv(6, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2])),
            authority.subject.to_vec(),
            utc("261122120000Z"),
            utc("261129120000Z"),
            tlv(0x30, &[entry(&[0x41; 16], &[]), entry(&[0x42; 16], &[reason(false, 1)])].concat()),
            tlv(0xa0, &tlv(0x30, &extensions)),
        ]);
        Self { ca, good }
    }

    #[track_caller]
    fn breaks(&self, rule: &[&str], parts: &Parts) {
        let authority = self.ca.issuers()[0].authority();
        assert_eq!(rules(check_list(&parts.der(), &authority)), rule);
    }

    #[track_caller]
    fn breaks_with(&self, rule: &[&str], part: usize, der: Vec<u8>) {
        self.breaks(rule, &self.good.clone().with(part, der));
    }

    /// With one entry.
    #[track_caller]
    fn breaks_with_entry(&self, rule: &[&str], entry: &[u8]) {
        self.breaks_with(rule, REVOKED, tlv(0x30, entry));
    }

    #[track_caller]
    fn breaks_with_extension(&self, rule: &[&str], oid: &[u8], replacement: Option<Vec<u8>>) {
        let mut parts = self.good.clone();
        let explicit = parts.0.pop().unwrap();
        let mut extensions = children(&children(&explicit)[0]);
        extensions.retain(|e| children(e)[0] != tlv(6, oid));
        extensions.extend(replacement);
        parts.0.push(tlv(0xa0, &tlv(0x30, &extensions.concat())));
        self.breaks(rule, &parts);
    }
}

fn entry(serial: &[u8], extensions: &[Vec<u8>]) -> Vec<u8> {
    let extensions = if extensions.is_empty() { Vec::new() } else { tlv(0x30, &extensions.concat()) };
    tlv(0x30, &[tlv(2, serial), utc("261121120000Z"), extensions].concat())
}

fn reason(critical: bool, code: u8) -> Vec<u8> {
    extension(REASON_CODE, critical, &tlv(10, &[code]))
}

#[test]
fn a_good_list_breaks_no_rule() {
    let list = List::new();
    list.breaks(&[], &list.good);
    let mut nothing_revoked = list.good.clone();
    nothing_revoked.0.remove(REVOKED);
    list.breaks(&[], &nothing_revoked);
}

#[test]
fn what_is_no_list_is_not_judged_further() {
    let list = List::new();
    let authority = list.ca.issuers()[0].authority();
    assert_eq!(rules(check_list(b"", &authority)), ["der"]);
    let longer = [list.good.der(), vec![0]].concat();
    assert_eq!(rules(check_list(&longer, &authority)), ["der"]);
}

#[test]
fn version() {
    let list = List::new();
    list.breaks_with(&["version"], VERSION, tlv(2, &[0]));
    list.breaks_with(&["version"], VERSION, Vec::new());
}

#[test]
fn signature() {
    let sha384 = tlv(0x30, &tlv(6, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3]));
    List::new().breaks_with(&["signature"], SIGNATURE, sha384);
}

#[test]
fn signature_parameters() {
    let ecdsa = tlv(6, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]);
    let with_null = tlv(0x30, &[&ecdsa[..], &[5, 0]].concat());
    List::new().breaks_with(&["signature_parameters"], SIGNATURE, with_null);
}

#[test]
fn issuer() {
    let list = List::new();
    list.breaks_with(&["issuer"], ISSUER, common_name("Another"));
    list.breaks_with(&["issuer"], ISSUER, tlv(0x30, &[]));
}

#[test]
fn time_form() {
    let list = List::new();
    list.breaks_with(&["time_form"], THIS_UPDATE, generalized("20261122120000Z"));
    let dated = [tlv(2, &[0x41; 16]), generalized("20261121120000Z")].concat();
    list.breaks_with_entry(&["time_form"], &tlv(0x30, &dated));
}

#[test]
fn update() {
    let list = List::new();
    list.breaks_with(&["update"], NEXT_UPDATE, utc("261122120000Z"));
    list.breaks_with(&["update"], NEXT_UPDATE, Vec::new());
    // Before the issuer's time.
    let early = list.good.clone().with(THIS_UPDATE, utc("261122100000Z"));
    list.breaks(&["update"], &early);
}

#[test]
fn number() {
    let list = List::new();
    let number = |critical, octets: &[u8]| Some(extension(CRL_NUMBER, critical, &tlv(2, octets)));
    list.breaks_with_extension(&[], CRL_NUMBER, number(false, &[0x7f; 8]));
    for broken in [None, number(false, &[0]), number(false, &[0x7f; 9]), number(false, &[0x41; 21])] {
        list.breaks_with_extension(&["number"], CRL_NUMBER, broken);
    }
    list.breaks_with_extension(&["number", "extensions_known"], CRL_NUMBER, number(true, &[7]));
}

#[test]
fn authority_key_id() {
    let list = List::new();
    list.breaks_with_extension(&["authority_key_id"], AUTHORITY_KEY_ID, None);
    let other = extension(AUTHORITY_KEY_ID, false, &tlv(0x30, &tlv(0x80, &[1; 20])));
    list.breaks_with_extension(&["authority_key_id"], AUTHORITY_KEY_ID, Some(other));
}

#[test]
fn extensions_known() {
    let delta = extension(DELTA, true, &tlv(2, &[6]));
    List::new().breaks_with_extension(&["extensions_known"], DELTA, Some(delta));
}

#[test]
fn revoked_not_empty() {
    List::new().breaks_with_entry(&["revoked_not_empty"], &[]);
}

#[test]
fn revoked_once() {
    let list = List::new();
    let twice = [entry(&[0x41; 16], &[]), entry(&[0x41; 16], &[reason(false, 4)])].concat();
    list.breaks_with_entry(&["revoked_once"], &twice);
}

#[test]
fn revoked_serial() {
    let list = List::new();
    list.breaks_with_entry(&["revoked_serial"], &entry(&[0x81; 16], &[]));
    list.breaks_with_entry(&["revoked_serial"], &entry(&[0x41; 21], &[]));
}

#[test]
fn revoked_date() {
    let list = List::new();
    let tomorrow = [tlv(2, &[0x41; 16]), utc("261123120000Z")].concat();
    list.breaks_with_entry(&["revoked_date"], &tlv(0x30, &tomorrow));
}

#[test]
fn revoked_reason() {
    let list = List::new();
    for code in [1, 3, 4, 5, 9] {
        list.breaks_with_entry(&[], &entry(&[0x41; 16], &[reason(false, code)]));
    }
    // Unspecified is left out; a CA, a hold, nothing, a removal, an attribute authority are not of a leaf.
    for code in [0, 2, 6, 7, 8, 10] {
        list.breaks_with_entry(&["revoked_reason"], &entry(&[0x41; 16], &[reason(false, code)]));
    }
    list.breaks_with_entry(&["revoked_reason"], &entry(&[0x41; 16], &[reason(true, 1)]));
    let twice = [reason(false, 1), reason(false, 1)];
    list.breaks_with_entry(&["revoked_reason"], &entry(&[0x41; 16], &twice));
    let date = extension(INVALIDITY_DATE, false, &generalized("20261121120000Z"));
    list.breaks_with_entry(&["revoked_reason"], &entry(&[0x41; 16], &[date]));
}
