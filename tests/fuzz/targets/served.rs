//! What a server shows to a probe: certificates as octets, with one of a CA of ours that signed none of them.

use std::sync::LazyLock;

use acme::identifier::Identifier;
use acme::time::Timestamp;
use acme::verdict::Verdict;
use acme_ca::possession::Possession;
use acme_ca::probe::{Authority, Expect, Facts, Known, Outcome, Public, Shown, Target, judge};
use rcgen::{CertificateParams, KeyPair};
use rustls::RootCertStore;

use super::assert_text;

/// The octets as a leaf, alone and with itself behind it. Nothing is ours, so nothing is well.
pub(crate) fn served(data: &[u8]) -> String {
    let mut told = String::new();
    for (chain, expect) in [(1, Expect::Ours), (2, Expect::Nothing), (2, Expect::Public)] {
        let shown = Shown {
            chain: vec![data.to_vec(); chain],
            version: None,
            possession: Possession::Proven,
            wants_client_certificate: false,
        };
        let target = Target { expect, ..Target::new(Identifier::dns("a.lan").unwrap(), 443) };
        let (outcome, known) = (Outcome::Shown(shown), Known::default());
        let now = Timestamp::from_unix(1_800_000_000);
        let judgement = judge(&target, &outcome, &CA.0, &CA.1, &known, now);
        assert!(
            !matches!(judgement.verdict, Verdict::Ok | Verdict::OkPrevious | Verdict::Expiring),
            "{judgement:?}"
        );
        assert!(judgement.severity.is_some(), "{judgement:?}");
        assert_text(&judgement.detail, 301);
        assert!(judgement.product.is_none_or(|product| product.chars().count() <= 121));
        told.push_str(&format!("{:?} ", judgement.verdict));
    }
    if let Ok(facts) = Facts::read(data) {
        assert!(facts.serial.len() <= 128 && facts.names.len() <= 64_000);
        told.push_str(&format!("v {} {}", facts.version, facts.names.len()));
    }
    told
}

static CA: LazyLock<(Vec<Authority>, Public)> = LazyLock::new(|| {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::default().self_signed(&key).unwrap();
    let ours = Authority::new("aa", &[certificate.der().to_vec()]).unwrap();
    (vec![ours], Public::of(RootCertStore::empty()))
});
