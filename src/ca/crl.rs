//! The list of what an issuer has revoked, RFC 5280 5: version 2, whole (no deltas, no partitions), in the profile that
//! `lint/list.rs` spells out. As a leaf, it is rehearsed and judged before the key is used.

use acme::id::Serial;
use acme::revocation::Reason;
use acme::time::Timestamp;
use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevocationReason, RevokedCertParams};
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::TbsCertList;

use super::Error;
use super::issuer::Issuer;
use super::lint::{self, Finding};
use super::rehearsal;

/// What goes into a list.
#[derive(Clone, Copy, Debug)]
pub struct List<'a> {
    /// Above that of every earlier list of the issuer.
    pub number: i64,
    /// When it is made.
    pub this_update: Timestamp,
    /// When there is a later one at the latest.
    pub next_update: Timestamp,
    /// The certificates, each once.
    pub entries: &'a [Entry],
}

/// A certificate that is revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which.
    pub serial: Serial,
    /// Since when.
    pub at: Timestamp,
    /// Why. What is unspecified is left out.
    pub reason: Reason,
}

impl Issuer {
    /// Rehearses, judges and signs a list: DER.
    ///
    /// # Errors
    /// The list would break its profile, the issuer's certificate does not allow it to sign lists, or the key failed.
    pub fn sign_list(&self, list: &List<'_>) -> Result<Vec<u8>, Error> {
        if !self.signs_lists() {
            let name = self.name();
            return Err(Error::Refused(format!("'{name}' may not sign CRLs: its keyUsage lacks cRLSign")));
        }
        let params = self.params(list);
        let tbs = rehearsal::rehearse_list(&params, self.certificate_der(), self.key())?;
        lint::check_list(&tbs, &self.authority()).map_err(Error::ListProfile)?;
        check_list(&tbs, list).map_err(|why| Error::ListProfile(vec![Finding::new("template", why)]))?;
        rehearsal::sign_list(&params, self.certificate_der(), self.key(), &tbs)
    }

    fn params(&self, list: &List<'_>) -> CertificateRevocationListParams {
        let entry = |entry: &Entry| RevokedCertParams {
            serial_number: entry.serial.to_bytes().into(),
            // A clock that was set back must not make a list say that something is revoked tomorrow.
            revocation_time: entry.at.min(list.this_update).to_datetime(),
            reason_code: Some(code(entry.reason)),
            invalidity_date: None,
        };
        CertificateRevocationListParams {
            this_update: list.this_update.to_datetime(),
            next_update: list.next_update.to_datetime(),
            crl_number: list.number.to_be_bytes().to_vec().into(),
            issuing_distribution_point: None,
            revoked_certs: list.entries.iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::PreSpecified(self.authority().key_id.to_vec()),
        }
    }
}

fn code(reason: Reason) -> RevocationReason {
    match reason {
        Reason::Unspecified => RevocationReason::Unspecified,
        Reason::KeyCompromise => RevocationReason::KeyCompromise,
        Reason::AffiliationChanged => RevocationReason::AffiliationChanged,
        Reason::Superseded => RevocationReason::Superseded,
        Reason::CessationOfOperation => RevocationReason::CessationOfOperation,
        Reason::PrivilegeWithdrawn => RevocationReason::PrivilegeWithdrawn,
    }
}

/// Whether the bytes say what was asked for, no more and no less: the encoder is not trusted.
fn check_list(tbs: &[u8], list: &List<'_>) -> Result<(), String> {
    let (_, tbs) = TbsCertList::from_der(tbs).map_err(|e| e.to_string())?;
    let seconds = |time: x509_parser::time::ASN1Time| Timestamp::from_unix(time.timestamp());
    let is_same = |(found, wanted): (&x509_parser::revocation_list::RevokedCertificate<'_>, &Entry)| {
        let reason = found.reason_code().map_or(0, |(_, code)| code.0);
        found.user_certificate.to_bytes_be() == wanted.serial.to_bytes()
            && seconds(found.revocation_date) == wanted.at.min(list.this_update)
            && reason == wanted.reason.code()
    };
    let revoked = &tbs.revoked_certificates;
    let same = [
        ("thisUpdate", seconds(tbs.this_update) == list.this_update),
        ("nextUpdate", tbs.next_update.map(seconds) == Some(list.next_update)),
        ("number", lint::list_number(&tbs) == Some(list.number)),
        ("length", revoked.len() == list.entries.len()),
        ("content", revoked.iter().zip(list.entries).all(is_same)),
    ];
    match same.iter().find(|(_, same)| !same) {
        Some((what, _)) => Err(format!("the {what} came out differently from what was asked for")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::ca::fixture::{DAY, Desk, now, serial};
    use crate::ca::{KeyKind, pem};

    fn list(entries: &[Entry]) -> List<'_> {
        List { number: 1_795_000_000, this_update: now(), next_update: now().plus(7 * DAY), entries }
    }

    fn entry(first: u8, reason: Reason) -> Entry {
        Entry { serial: serial(first), at: now().minus(DAY), reason }
    }

    /// What OpenSSL says of a list, which it verifies under the intermediate.
    fn openssl(desk: &Desk, der: &[u8]) -> String {
        let (list, issuer) = (desk.path("list.crl"), desk.path("intermediate.pem"));
        std::fs::write(&list, pem::encode("X509 CRL", der)).unwrap();
        let done = Command::new("openssl")
            .args(["crl", "-noout", "-text", "-in"])
            .arg(list)
            .arg("-CAfile")
            .arg(issuer)
            .output()
            .unwrap();
        let said =
            format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        assert!(done.status.success() && said.contains("verify OK"), "{said}");
        said
    }

    #[test]
    fn a_list_verifies_under_its_issuer_whatever_the_kind_of_key() {
        for kind in [KeyKind::P256, KeyKind::P384, KeyKind::Rsa3072, KeyKind::Ed25519] {
            let desk = Desk::new(kind, &["mgmt.lan"]);
            let der = desk.ca().issuers()[0].sign_list(&list(&[entry(7, Reason::Superseded)])).unwrap();
            let said = openssl(&desk, &der);
            assert!(said.contains("Version 2") && said.contains("Superseded"), "{kind:?}: {said}");
        }
    }

    #[test]
    fn nothing_revoked_is_no_list_and_no_reason_is_no_extension() {
        let desk = Desk::new(KeyKind::P256, &["mgmt.lan"]);
        let ca = desk.ca();
        let empty = openssl(&desk, &ca.issuers()[0].sign_list(&list(&[])).unwrap());
        assert!(empty.contains("No Revoked Certificates"), "{empty}");
        let key_id = ca.issuers()[0].id().to_uppercase();
        let key_id: Vec<String> =
            key_id.as_bytes().chunks(2).map(|pair| String::from_utf8_lossy(pair).into_owned()).collect();
        for part in [&key_id.join(":"), "CRL Number", "1795000000", "Next Update: Nov 29 12:00:00 2026 GMT"] {
            assert!(empty.contains(part), "{part}: {empty}");
        }
        let unspecified = [entry(7, Reason::Unspecified)];
        let said = openssl(&desk, &ca.issuers()[0].sign_list(&list(&unspecified)).unwrap());
        assert!(said.contains("4707070707") && !said.contains("Reason Code"), "{said}");
    }

    #[test]
    fn every_reason_comes_out_as_it_went_in() {
        let desk = Desk::new(KeyKind::P256, &["mgmt.lan"]);
        let entries: Vec<Entry> =
            Reason::ALL.iter().zip(10..).map(|(reason, first)| entry(first, *reason)).collect();
        let said = openssl(&desk, &desk.ca().issuers()[0].sign_list(&list(&entries)).unwrap());
        for word in [
            "Key Compromise",
            "Affiliation Changed",
            "Superseded",
            "Cessation Of Operation",
            "Privilege Withdrawn",
        ] {
            assert_eq!(said.matches(word).count(), 1, "{word}: {said}");
        }
    }

    #[test]
    fn a_list_that_would_break_its_profile_is_not_signed() {
        let desk = Desk::new(KeyKind::P256, &["mgmt.lan"]);
        let ca = desk.ca();
        let twice = [entry(7, Reason::Superseded), entry(7, Reason::Unspecified)];
        let refused = ca.issuers()[0].sign_list(&list(&twice)).unwrap_err().to_string();
        assert!(refused.contains("revoked_once"), "{refused}");
        let late =
            List { this_update: now().plus(400 * DAY), next_update: now().plus(401 * DAY), ..list(&[]) };
        let refused = ca.issuers()[0].sign_list(&late).unwrap_err().to_string();
        assert!(refused.contains("update"), "{refused}");
        let number = List { number: 0, ..list(&[]) };
        assert!(ca.issuers()[0].sign_list(&number).is_err());
    }

    #[test]
    fn a_revocation_of_tomorrow_is_one_of_now() {
        let desk = Desk::new(KeyKind::P256, &["mgmt.lan"]);
        let ahead = [Entry { at: now().plus(DAY), ..entry(7, Reason::Superseded) }];
        let said = openssl(&desk, &desk.ca().issuers()[0].sign_list(&list(&ahead)).unwrap());
        assert!(said.contains("Revocation Date: Nov 22 12:00:00 2026 GMT"), "{said}");
    }
}
