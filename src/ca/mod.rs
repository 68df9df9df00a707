//! The certificate authority: the only room that holds a private key. It has no async, no sockets and no SQL, and is
//! meant to be read in one sitting, in this order:
//!
//! | module | what it carries out |
//! |---|---|
//! | [`key`], [`key_file`], [`passphrase`], [`pem`] | keys: made, used, written, read |
//! | [`public_key`] | the public half of a key that was lost, from whatever file shows it |
//! | [`certificate`], [`constraints`] | CA certificates and the names that they permit, RFC 5280 4 |
//! | [`issuer`] | a CA certificate with its key: what signs leaves |
//! | `rehearsal`, [`lint`] | the to-be-signed bytes, judged before the key is used |
//! | [`crl`] | the list of what an issuer has revoked |
//! | [`draft`] | a leaf, from a template to the signed certificate |
//! | [`ceremony`] | a root, and an intermediate below it |
//!
//! It does not know who asks for a certificate, or why; `policy` and `issuance` do.

pub mod ceremony;
pub mod certificate;
pub mod constraints;
pub mod crl;
pub mod draft;
#[cfg(test)]
mod fixture;
pub mod issuer;
pub mod key;
pub mod key_file;
pub mod lint;
pub mod passphrase;
pub mod pem;
pub mod public_key;
mod rehearsal;

use std::path::{Path, PathBuf};

use acme::time::Timestamp;

pub use self::certificate::Certificate;
pub use self::draft::{Draft, Template};
pub use self::issuer::Issuer;
pub use self::key::{Key, KeyKind};
pub use self::key_file::KeyError;
pub use self::passphrase::Passphrase;

/// Where the CA's certificates and keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The root's certificate, PEM. Its key is elsewhere.
    pub root: PathBuf,
    /// The issuers. The first one that is valid signs.
    pub issuers: Vec<IssuerSettings>,
}

impl Settings {
    /// The key of the configuration that names this file, if one does; of several issuers, which one.
    pub fn key_of(&self, path: &Path) -> Option<String> {
        if self.root == path {
            return Some("ca.root".to_owned());
        }
        let (number, word) = self.issuers.iter().zip(1..).find_map(|(issuer, number)| {
            let is = |file: &PathBuf| file == path;
            let word = match issuer {
                issuer if is(&issuer.certificate) => "certificate",
                issuer if is(&issuer.key) => "key",
                issuer if issuer.passphrase_file.as_ref().is_some_and(is) => "passphrase_file",
                issuer if issuer.alternates.iter().any(is) => "alternates",
                _ => return None,
            };
            Some((number, word))
        })?;
        let which = if self.issuers.len() > 1 { format!(" (issuer {number})") } else { String::new() };
        Some(format!("ca.issuer.{word}{which}"))
    }
}

/// Where one issuer's certificate and key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerSettings {
    /// Its certificate, PEM; further certificates behind it lead up towards the root.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// The file whose first line opens the key.
    pub passphrase_file: Option<PathBuf>,
    /// Other chains for the same key, PEM: its certificate by another root, and what leads up to that one.
    pub alternates: Vec<PathBuf>,
}

/// A root and the issuers below it, each checked against the other.
#[derive(Debug)]
pub struct Ca {
    root: Certificate,
    root_pem: String,
    issuers: Vec<Issuer>,
    warnings: Vec<String>,
}

impl Ca {
    /// Reads and checks everything: the root is a CA and signed itself; each issuer leads up to it and has its key;
    /// at least one is valid now.
    ///
    /// # Errors
    /// The first thing that is wrong, with its file and what would do.
    pub fn load(settings: &Settings, now: Timestamp) -> Result<Self, Error> {
        let root = read_root(&settings.root)?;
        if settings.issuers.is_empty() {
            return Err(Error::Refused(
                "there is no issuer; add a [[ca.issuer]] with certificate and key".into(),
            ));
        }
        let mut issuers = Vec::new();
        let mut warnings = Vec::new();
        for issuer in &settings.issuers {
            let (issuer, warning) = Issuer::load(issuer, &root)?;
            warnings.extend(warning);
            warnings.extend((!issuer.signs_lists()).then(|| {
                let name = issuer.name();
                format!("'{name}' may not sign CRLs (its keyUsage lacks cRLSign), so nobody learns what it revokes")
            }));
            warnings.extend(
                (!issuer.is_active(now)).then(|| format!("{issuer} and does not sign now, at {now}")),
            );
            issuers.push(issuer);
        }
        let ca = Self { root_pem: root.pem(), root, issuers, warnings };
        ca.active(now)?;
        Ok(ca)
    }

    /// The issuer that signs: the first that is valid.
    ///
    /// # Errors
    /// None is; the sentence names each with both ends of its life.
    pub fn active(&self, now: Timestamp) -> Result<&Issuer, Error> {
        self.issuers.iter().find(|issuer| issuer.is_active(now)).ok_or_else(|| {
            let all: Vec<_> = self.issuers.iter().map(ToString::to_string).collect();
            Error::NoneActive { now, issuers: all.join("; ") }
        })
    }

    /// All issuers, in the configured order.
    pub fn issuers(&self) -> &[Issuer] {
        &self.issuers
    }

    /// The issuer that certificates and lists call by this id.
    pub fn issuer(&self, id: &str) -> Option<&Issuer> {
        self.issuers.iter().find(|issuer| issuer.id() == id)
    }

    /// What the operator should be told although it is no error: key files that others can read, issuers that are
    /// not valid now.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The root.
    pub fn root(&self) -> &Certificate {
        &self.root
    }

    /// The root in PEM.
    pub fn root_pem(&self) -> &str {
        &self.root_pem
    }

    /// The root in DER.
    pub fn root_der(&self) -> &[u8] {
        self.root.der()
    }

    /// SHA-256 over the root's DER, in hexadecimal digits: what people compare.
    pub fn root_fingerprint(&self) -> String {
        self.root.fingerprint()
    }
}

/// Why the CA could not be loaded, or did not sign. No variant holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A certificate's or request's file is of no use.
    #[error("{path}: {why}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what would do.
        why: String,
    },
    /// A key's file is of no use.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Nothing can sign.
    #[error("no issuer is valid now, at {now}: {issuers}; check the clock, or install a new intermediate")]
    NoneActive {
        /// The time that was asked about.
        now: Timestamp,
        /// Each issuer with both ends of its life.
        issuers: String,
    },
    /// The certificate would break the profile.
    #[error("the certificate would break the profile: {}", lint::sentence(.0))]
    Profile(Vec<lint::Finding>),
    /// A list of revoked certificates would break its profile.
    #[error("the list of revoked certificates would break its profile: {}", lint::sentence(.0))]
    ListProfile(Vec<lint::Finding>),
    /// What was asked for cannot be done; the sentence says why and what would do.
    #[error("{0}")]
    Refused(String),
    /// A certificate or a list could not be encoded, or the key did not sign.
    #[error("encoding or signing failed: {0}")]
    Build(rcgen::Error),
    /// The bytes to sign were not the ones that were judged.
    #[error("the bytes to sign are not the ones that were checked; nothing was signed")]
    Changed,
    /// The key made a signature that does not verify.
    #[error("the CA's key made a signature that does not verify; what it signed was thrown away")]
    BadSignature,
}

impl Error {
    /// The file that is of no use, when it is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::File { path, .. } => Some(path),
            Self::Key(error) => error.path(),
            _ => None,
        }
    }

    pub(crate) fn file(path: &Path, why: impl Into<String>) -> Self {
        Self::File { path: path.to_owned(), why: why.into() }
    }
}

/// A root: one certificate, a CA's, signed by itself.
///
/// # Errors
/// Which of these it is not.
pub fn read_root(path: &Path) -> Result<Certificate, Error> {
    let root = Certificate::read_one(path)?;
    // First of all: what stands here by mistake is an intermediate, mostly.
    root.check_issued_by(&root).map_err(|why| Error::file(path, format!("is not a root: {why}")))?;
    root.check_authority(1).map_err(|why| Error::file(path, why))?;
    Ok(root)
}

#[cfg(test)]
mod tests {
    use super::ceremony::Life;
    use super::fixture::{DAY, Desk, now};
    use super::*;

    fn refusal(desk: &Desk, issuers: &[(&str, &str)]) -> String {
        desk.load(issuers).unwrap_err().to_string()
    }

    #[test]
    fn the_first_valid_issuer_signs_and_the_others_stay() {
        let desk = Desk::new(KeyKind::P256, &["mgmt.lan"]);
        desk.add("next", KeyKind::P256, Life::starting(now().plus(30 * DAY), 365 * DAY));
        let ca = desk.load(&[("next", "next"), ("intermediate", "intermediate")]).unwrap();
        assert_eq!(ca.issuers().len(), 2);
        assert_eq!(ca.active(now()).unwrap().name(), "Test intermediate");
        assert_eq!(ca.active(now().plus(31 * DAY)).unwrap().name(), "Test next");
        assert_eq!(ca.warnings().len(), 1);
        assert!(ca.warnings()[0].contains("'Test next' is valid from"), "{:?}", ca.warnings());
    }

    #[test]
    fn without_a_valid_issuer_there_is_no_ca_and_both_times_are_told() {
        let desk = Desk::new(KeyKind::P256, &["mgmt.lan"]);
        let settings = desk.settings(&[("intermediate", "intermediate")]);
        for when in [now().plus(400 * DAY), now().minus(DAY)] {
            let why = Ca::load(&settings, when).unwrap_err().to_string();
            for part in [when.to_string().as_str(), "2026-11-22T11:00:00Z", "2027-11-22T10:59:59Z"] {
                assert!(why.contains(part), "{part}: {why}");
            }
        }
        assert!(refusal(&desk, &[]).contains("[[ca.issuer]]"));
    }

    #[test]
    fn a_pair_that_was_not_made_together_is_refused() {
        let desk = Desk::new(KeyKind::P256, &["mgmt.lan"]);
        desk.add("other", KeyKind::P256, Life::starting(now(), 365 * DAY));
        let why = refusal(&desk, &[("intermediate", "other")]);
        assert!(why.contains("intermediate.pem") && why.contains("another key"), "{why}");
    }

    #[test]
    fn an_issuer_of_another_root_is_refused() {
        let (desk, other) =
            (Desk::new(KeyKind::P256, &["mgmt.lan"]), Desk::new(KeyKind::P256, &["mgmt.lan"]));
        std::fs::copy(other.path("root.pem"), desk.path("root.pem")).unwrap();
        // Both roots have the same name; the signature tells them apart.
        let why = refusal(&desk, &[("intermediate", "intermediate")]);
        assert!(why.contains("does not verify") && why.contains("intermediate.pem"), "{why}");
    }

    #[test]
    fn a_root_is_one_certificate_that_signed_itself() {
        let desk = Desk::new(KeyKind::P256, &["mgmt.lan"]);
        let pair = [("intermediate", "intermediate")];
        let intermediate = std::fs::read_to_string(desk.path("intermediate.pem")).unwrap();
        let root = std::fs::read_to_string(desk.path("root.pem")).unwrap();
        std::fs::write(desk.path("root.pem"), &intermediate).unwrap();
        assert!(refusal(&desk, &pair).contains("root.pem"), "{}", refusal(&desk, &pair));
        std::fs::write(desk.path("root.pem"), root.clone() + &intermediate).unwrap();
        assert!(refusal(&desk, &pair).contains("2 certificates"));
        std::fs::write(desk.path("root.pem"), "").unwrap();
        assert!(refusal(&desk, &pair).contains("BEGIN CERTIFICATE"));
        std::fs::write(desk.path("root.pem"), &root).unwrap();
        std::fs::write(desk.path("intermediate.pem"), &root).unwrap();
        assert!(refusal(&desk, &pair).contains("root itself"));
    }

    #[test]
    fn the_chain_is_handed_out_without_the_root() {
        let desk = Desk::new(KeyKind::P256, &["mgmt.lan"]);
        let intermediate = std::fs::read_to_string(desk.path("intermediate.pem")).unwrap();
        let root = std::fs::read_to_string(desk.path("root.pem")).unwrap();
        std::fs::write(desk.path("intermediate.pem"), intermediate.clone() + &root).unwrap();
        let ca = desk.ca();
        assert_eq!(ca.issuers()[0].chain_pem(), intermediate);
        assert_eq!(ca.root_pem(), root);
        std::fs::write(desk.path("intermediate.pem"), root + &intermediate).unwrap();
        assert!(desk.load(&[("intermediate", "intermediate")]).is_err());
    }

    #[test]
    fn nothing_secret_is_shown() {
        let desk = Desk::new(KeyKind::P256, &["mgmt.lan"]);
        let shown = format!("{:?}", desk.ca().issuers());
        assert!(shown.contains("Key(ECDSA P-256)") && shown.len() < 200, "{shown}");
    }
}
