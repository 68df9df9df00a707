//! A small CA for the unit tests of this room, made by the ceremony that makes the real ones.

use std::path::PathBuf;
use std::time::Duration;

use acme::id::{SERIAL_RANDOM, Serial};
use acme::identifier::Identifier;
use acme::time::Timestamp;
use rcgen::PublicKeyData;

use super::ceremony::{self, Life, Plan, Request};
use super::constraints::{Constraints, Permit};
use super::{Ca, Certificate, Error, IssuerSettings, Key, KeyKind, Settings, Template, pem};

pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A root and one intermediate in a directory.
pub(super) struct Desk {
    pub(super) dir: tempfile::TempDir,
    pub(super) root: Certificate,
    pub(super) root_key: Key,
}

pub(super) fn now() -> Timestamp {
    Timestamp::parse_rfc3339("2026-11-22T12:00:00Z").unwrap()
}

pub(super) fn serial(first: u8) -> Serial {
    Serial::mint([first; SERIAL_RANDOM])
}

pub(super) fn constraints(permits: &[&str]) -> Constraints {
    let permits: Vec<Permit> = permits.iter().map(|p| Permit::parse(p).unwrap()).collect();
    Constraints::from_permits(&permits).unwrap()
}

pub(super) fn names(names: &[&str]) -> Vec<Identifier> {
    names.iter().map(|n| Identifier::written(n).unwrap()).collect()
}

pub(super) fn new_public_key(kind: KeyKind) -> Vec<u8> {
    Key::generate(kind).unwrap().subject_public_key_info()
}

/// A template that breaks no rule.
pub(super) fn template<'a>(
    serial: &'a Serial,
    names: &'a [Identifier],
    public_key: &'a [u8],
) -> Template<'a> {
    Template {
        serial,
        names,
        common_name: None,
        public_key,
        not_before: now(),
        not_after: now().plus(90 * DAY).minus(Duration::from_secs(1)),
        client_auth: false,
        ca_issuers_url: Some("http://ca.mgmt.lan/issuer.der"),
        crl_url: Some("http://ca.mgmt.lan/issuer.crl"),
    }
}

impl Desk {
    /// A root that permits this much and lives so long, with an intermediate of 365 days called `intermediate`.
    pub(super) fn new(kind: KeyKind, permits: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root_key = Key::generate(kind).unwrap();
        let life = Life::starting(now(), 3650 * DAY);
        let permitted = constraints(permits);
        let plan = Plan { serial: &serial(1), life, constraints: &permitted };
        let root = ceremony::root(&root_key, "Test Root", &plan).unwrap();
        std::fs::write(dir.path().join("root.pem"), pem::encode("CERTIFICATE", &root)).unwrap();
        let desk = Self { dir, root: Certificate::parse(&root).unwrap(), root_key };
        desk.add("intermediate", kind, Life::starting(now(), 365 * DAY));
        desk
    }

    /// Another intermediate below the root.
    pub(super) fn add(&self, name: &str, kind: KeyKind, life: Life) {
        let key = Key::generate(kind).unwrap();
        let request = ceremony::request(&key, &format!("Test {name}")).unwrap();
        let request = Request::parse(&request).unwrap();
        let plan = Plan { serial: &serial(2), life, constraints: &self.root.constraints };
        let der = ceremony::intermediate(&self.root, &self.root_key, &request, &plan).unwrap();
        std::fs::write(self.path(&format!("{name}.pem")), pem::encode("CERTIFICATE", &der)).unwrap();
        key.write(&self.path(&format!("{name}.key")), None).unwrap();
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Settings with issuers, each the name of its certificate and of its key.
    pub(super) fn settings(&self, issuers: &[(&str, &str)]) -> Settings {
        let issuer = |(certificate, key): &(&str, &str)| IssuerSettings {
            certificate: self.path(&format!("{certificate}.pem")),
            key: self.path(&format!("{key}.key")),
            passphrase_file: None,
            alternates: Vec::new(),
        };
        Settings { root: self.path("root.pem"), issuers: issuers.iter().map(issuer).collect() }
    }

    pub(super) fn load(&self, issuers: &[(&str, &str)]) -> Result<Ca, Error> {
        Ca::load(&self.settings(issuers), now())
    }

    /// The CA with its one intermediate.
    pub(super) fn ca(&self) -> Ca {
        self.load(&[("intermediate", "intermediate")]).unwrap()
    }
}
