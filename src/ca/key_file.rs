//! Private keys in files: PKCS#8 (RFC 5958) in PEM (RFC 7468), encrypted with PBES2 (RFC 8018) when there is a
//! passphrase. What others wrote is read too: SEC 1, PKCS#1, encrypted PKCS#8 and the older encrypted PEM. OpenSSL reads
//! them; it is the one library that knows all of these.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Private};
use pkcs8::der::SecretDocument;
use pkcs8::der::pem::LineEnding;
use pkcs8::pkcs5::pbes2::{EncryptionScheme, Kdf, Parameters, ScryptParams};
use zeroize::Zeroizing;

use super::key::Key;
use super::passphrase::Passphrase;
use super::pem;

/// A key that was read, and what its owner should be told about the file.
#[derive(Debug)]
pub struct Opened {
    /// The key.
    pub key: Key,
    /// A sentence, when others than the owner can read the file.
    pub warning: Option<String>,
}

impl Key {
    /// Reads a PEM file. A passphrase is needed when, and only when, the key is encrypted.
    ///
    /// # Errors
    /// One sentence for each way in which this goes wrong, with the path and what would do.
    pub fn read(path: &Path, passphrase: Option<&Passphrase>) -> Result<Opened, KeyError> {
        let unreadable = |source| KeyError::Unreadable { path: path.to_owned(), source };
        let bytes = Zeroizing::new(pem::bounded(path, FILE_LIMIT).map_err(unreadable)?);
        let path = path.to_owned();
        let Some(encrypted) = find_key(&bytes) else { return Err(KeyError::NotAKey { path }) };
        let key = match (encrypted, passphrase) {
            (true, None) => return Err(KeyError::PassphraseMissing { path }),
            (false, Some(_)) => return Err(KeyError::PassphraseUnneeded { path }),
            (true, Some(passphrase)) => {
                match PKey::private_key_from_pem_passphrase(&bytes, passphrase.as_bytes()) {
                    Ok(key) => key,
                    Err(_) => return Err(KeyError::PassphraseWrong { path }),
                }
            }
            // Without a callback OpenSSL would ask on the terminal.
            (false, None) => match PKey::private_key_from_pem_callback(&bytes, |_| Ok(0)) {
                Ok(key) => key,
                Err(_) => return Err(KeyError::NotAKey { path }),
            },
        };
        if let Err(found) = check_kind(&key) {
            return Err(KeyError::Unsupported { path, found });
        }
        let Ok(der) = key.private_key_to_pkcs8().map(Zeroizing::new) else {
            return Err(KeyError::NotAKey { path });
        };
        let warning = readable_by_others(&path);
        match Self::from_pkcs8(&der) {
            Some(key) => Ok(Opened { key, warning }),
            None => Err(KeyError::NotAKey { path }),
        }
    }

    /// Writes the key to a new file that its owner alone can read, encrypted when there is a passphrase.
    ///
    /// # Errors
    /// The file exists, which is never overwritten, or cannot be written; then nothing is left behind.
    pub fn write(&self, path: &Path, passphrase: Option<&Passphrase>) -> Result<(), KeyError> {
        let text = self.to_pem(passphrase)?;
        let mut file = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(KeyError::Exists { path: path.to_owned() });
            }
            Err(source) => return Err(KeyError::Unwritable { path: path.to_owned(), source }),
        };
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|source| {
            // It is ours: `create_new` made it a moment ago. A half-written key helps nobody.
            let _ = std::fs::remove_file(path);
            KeyError::Unwritable { path: path.to_owned(), source }
        })
    }

    fn to_pem(&self, passphrase: Option<&Passphrase>) -> Result<Zeroizing<String>, KeyError> {
        let failed = |_| KeyError::Crypto("encoding a key failed");
        let Self::File(pair) = self;
        let Some(passphrase) = passphrase else {
            let document = SecretDocument::try_from(pair.serialized_der()).map_err(failed)?;
            return document.to_pem("PRIVATE KEY", LineEnding::LF).map_err(failed);
        };
        let (mut salt, mut iv) = ([0; 16], [0; 16]);
        aws_lc_rs::rand::fill(&mut salt)
            .and_then(|()| aws_lc_rs::rand::fill(&mut iv))
            .map_err(|_| KeyError::Crypto("the random generator failed"))?;
        let parameters = Parameters {
            kdf: Kdf::Scrypt(ScryptParams {
                salt: &salt,
                cost_parameter: SCRYPT_N,
                block_size: 8,
                parallelization: 1,
                key_length: None,
            }),
            encryption: EncryptionScheme::Aes256Cbc { iv: &iv },
        };
        let encrypting = |_| KeyError::Crypto("encrypting a key failed");
        pkcs8::PrivateKeyInfo::try_from(pair.serialized_der())
            .and_then(|info| info.encrypt_with_params(parameters, passphrase.as_bytes()))
            .map_err(encrypting)?
            .to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF)
            .map_err(failed)
    }
}

/// Why a key could not be made, read or written. No variant holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be opened or read.
    #[error("key {path}: {}", pem::cannot_be_read(.source))]
    Unreadable {
        /// The key's file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is no key in the file.
    #[error(
        "key {path}: holds no private key in PEM form; expected is a block PRIVATE KEY, ENCRYPTED PRIVATE KEY, \
         EC PRIVATE KEY or RSA PRIVATE KEY"
    )]
    NotAKey {
        /// The key's file.
        path: PathBuf,
    },
    /// The key is encrypted and no passphrase was given.
    #[error(
        "key {path}: is encrypted; name the file with its passphrase (passphrase_file in the configuration, \
         --passphrase-file on the command line)"
    )]
    PassphraseMissing {
        /// The key's file.
        path: PathBuf,
    },
    /// A passphrase was given for a key that has none.
    #[error(
        "key {path}: is not encrypted, but a passphrase is given; leave the passphrase out, or encrypt the key with \
         'openssl pkcs8 -topk8 -scrypt'"
    )]
    PassphraseUnneeded {
        /// The key's file.
        path: PathBuf,
    },
    /// The passphrase does not open the key.
    #[error("key {path}: the passphrase does not open it; try 'openssl pkey -in {path} -noout' by hand")]
    PassphraseWrong {
        /// The key's file.
        path: PathBuf,
    },
    /// The key is of a kind or size that we do not sign with.
    #[error(
        "key {path}: is {found}; accepted are ECDSA P-256 and P-384, RSA of 2048 to 8192 bits, and Ed25519"
    )]
    Unsupported {
        /// The key's file.
        path: PathBuf,
        /// What it is instead.
        found: String,
    },
    /// The file is there already.
    #[error("key {path}: exists, and a key is never overwritten; move it away or choose another directory")]
    Exists {
        /// The key's file.
        path: PathBuf,
    },
    /// The file cannot be written.
    #[error("key {path}: cannot be written")]
    Unwritable {
        /// The key's file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The passphrase's file is of no use.
    #[error("passphrase file {path}: {why}")]
    Passphrase {
        /// The passphrase's file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The cryptographic library refused.
    #[error("{0}")]
    Crypto(&'static str),
}

impl KeyError {
    /// The file that it is about.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Unreadable { path, .. }
            | Self::NotAKey { path }
            | Self::PassphraseMissing { path }
            | Self::PassphraseUnneeded { path }
            | Self::PassphraseWrong { path }
            | Self::Unsupported { path, .. }
            | Self::Exists { path }
            | Self::Unwritable { path, .. }
            | Self::Passphrase { path, .. } => Some(path),
            Self::Crypto(_) => None,
        }
    }
}

/// Whether the first private key in the text is encrypted; `None` when there is none.
fn find_key(bytes: &[u8]) -> Option<bool> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut lines = text.lines().map(str::trim);
    let label = lines.find_map(|line| {
        line.strip_prefix("-----BEGIN ")?.strip_suffix("-----").filter(|label| label.ends_with("PRIVATE KEY"))
    })?;
    let headed =
        lines.next().is_some_and(|line| line.starts_with("Proc-Type:") && line.contains("ENCRYPTED"));
    Some(label == "ENCRYPTED PRIVATE KEY" || headed)
}

fn check_kind(key: &PKey<Private>) -> Result<(), String> {
    match key.id() {
        Id::ED25519 => Ok(()),
        Id::RSA if (2048..=8192).contains(&key.bits()) => Ok(()),
        Id::RSA => Err(format!("RSA of {} bits", key.bits())),
        Id::EC => match key.ec_key().ok().and_then(|ec| ec.group().curve_name()) {
            Some(Nid::X9_62_PRIME256V1 | Nid::SECP384R1) => Ok(()),
            Some(curve) => Err(format!("on the curve {}", curve.short_name().unwrap_or("without a name"))),
            None => Err("on a curve without a name".to_owned()),
        },
        other => {
            Err(format!("of the kind {}", Nid::from_raw(other.as_raw()).long_name().unwrap_or("unknown")))
        }
    }
}

fn readable_by_others(path: &Path) -> Option<String> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    is_reachable_by_others(path, mode).then(|| {
        let path = path.display();
        format!("key {path}: others than its owner can reach it (mode {mode:04o}); run 'chmod 600 {path}'")
    })
}

/// What systemd puts below `CREDENTIALS` is root's, and the service reads it by an access list, whose mask stands where the
/// rights of the group would. The group itself has none.
fn is_reachable_by_others(path: &Path, mode: u32) -> bool {
    mode & if path.starts_with(CREDENTIALS) { 0o007 } else { 0o077 } != 0
}

/// scrypt's cost. Twice as much is beyond the 32 MiB that OpenSSL allows by default.
const SCRYPT_N: u64 = 1 << 14;
const FILE_LIMIT: u64 = 64 * 1024;
const CREDENTIALS: &str = "/run/credentials";

#[cfg(test)]
mod tests {
    use std::process::Command;

    use rcgen::PublicKeyData;

    use super::*;
    use crate::ca::key::KeyKind;

    struct Desk(tempfile::TempDir);

    impl Desk {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn passphrase(&self, text: &str) -> Passphrase {
            let path = self.path("pass");
            std::fs::write(&path, text).unwrap();
            Passphrase::read(&path).unwrap()
        }

        /// Runs the openssl program here and returns the path that it wrote.
        fn openssl(&self, arguments: &str, out: &str) -> PathBuf {
            let (verb, rest) = arguments.split_once(' ').unwrap();
            let done = Command::new("openssl")
                .args([verb, "-out", out])
                .args(rest.split_whitespace())
                .current_dir(self.0.path())
                .output()
                .unwrap();
            assert!(done.status.success(), "{arguments}: {}", String::from_utf8_lossy(&done.stderr));
            self.path(out)
        }
    }

    fn refusal(path: &Path, passphrase: Option<&Passphrase>) -> String {
        let why = Key::read(path, passphrase).map(|opened| opened.key).unwrap_err().to_string();
        assert!(why.contains(&path.display().to_string()), "{why}");
        assert!(!why.contains("sesame"), "{why}");
        why
    }

    #[test]
    fn every_kind_is_written_and_read_back_plain_and_encrypted() {
        let desk = Desk::new();
        let passphrase = desk.passphrase("open sesame");
        for kind in [KeyKind::P256, KeyKind::P384, KeyKind::Rsa3072, KeyKind::Ed25519] {
            let key = Key::generate(kind).unwrap();
            for (name, passphrase) in [("plain", None), ("sealed", Some(&passphrase))] {
                let path = desk.path(&format!("{name}-{}", kind.as_str()));
                key.write(&path, passphrase).unwrap();
                let opened = Key::read(&path, passphrase).unwrap();
                assert_eq!(opened.key.der_bytes(), key.der_bytes());
                assert_eq!(opened.key.describe(), key.describe());
                assert_eq!(opened.warning, None);
                let mode = std::fs::metadata(&path).unwrap().permissions().mode();
                assert_eq!(mode & 0o777, 0o600);
            }
        }
    }

    #[test]
    fn the_mask_of_a_systemd_credential_is_not_taken_for_rights_of_a_group() {
        let credential = Path::new("/run/credentials/acme-ca.service/intermediate.key");
        let file = Path::new("/etc/acme-ca/intermediate.key");
        for (path, mode, expected) in [
            (credential, 0o400, false),
            (credential, 0o440, false),
            (credential, 0o444, true),
            (file, 0o600, false),
            (file, 0o440, true),
            (file, 0o604, true),
        ] {
            assert_eq!(is_reachable_by_others(path, mode), expected, "{} {mode:04o}", path.display());
        }
    }

    #[test]
    fn what_others_write_is_read() {
        let desk = Desk::new();
        let passphrase = desk.passphrase("open sesame");
        let plain = [
            ("ecparam -name prime256v1 -genkey", "sec1-with-parameters"),
            ("ecparam -name secp384r1 -genkey -noout", "sec1"),
            ("genrsa -traditional 3072", "pkcs1"),
            ("genrsa 2048", "pkcs8-rsa"),
            ("genpkey -algorithm ed25519", "pkcs8-ed25519"),
        ];
        for (arguments, name) in plain {
            let path = desk.openssl(arguments, name);
            Key::read(&path, None).unwrap_or_else(|e| panic!("{name}: {e}"));
        }
        let sealed = [
            ("ec -in sec1 -aes256 -passout file:pass", "sec1-sealed"),
            ("rsa -in pkcs1 -traditional -aes128 -passout file:pass", "pkcs1-sealed"),
            ("rsa -in pkcs1 -traditional -des3 -passout file:pass", "pkcs1-des3"),
            ("pkcs8 -topk8 -in sec1 -passout file:pass", "pkcs8-pbkdf2"),
            ("pkcs8 -topk8 -scrypt -in pkcs1 -passout file:pass", "pkcs8-scrypt"),
        ];
        for (arguments, name) in sealed {
            let path = desk.openssl(arguments, name);
            Key::read(&path, Some(&passphrase)).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert!(refusal(&path, None).contains("passphrase_file"), "{name}");
            let wrong = desk.passphrase("close sesame");
            assert!(refusal(&path, Some(&wrong)).contains("does not open"), "{name}");
            desk.passphrase("open sesame");
        }
    }

    #[test]
    fn ed25519_with_its_public_key_inside_is_read() {
        // RFC 5958 version 2, which ring and aws-lc write.
        let pair = aws_lc_rs::signature::Ed25519KeyPair::generate().unwrap();
        let document = SecretDocument::try_from(pair.to_pkcs8().unwrap().as_ref()).unwrap();
        let desk = Desk::new();
        let path = desk.path("v2");
        std::fs::write(&path, document.to_pem("PRIVATE KEY", LineEnding::LF).unwrap()).unwrap();
        assert_eq!(Key::read(&path, None).unwrap().key.describe(), "Ed25519");
    }

    #[test]
    fn each_way_to_go_wrong_has_its_sentence() {
        let desk = Desk::new();
        let passphrase = desk.passphrase("open sesame");
        assert!(refusal(&desk.path("missing"), None).contains("cannot be read"));
        std::fs::write(desk.path("empty"), "").unwrap();
        assert!(refusal(&desk.path("empty"), None).contains("no private key"));
        let body = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        std::fs::write(desk.path("garbage"), body).unwrap();
        assert!(refusal(&desk.path("garbage"), None).contains("no private key"));
        let plain = desk.openssl("genpkey -algorithm ed25519", "plain");
        assert!(refusal(&plain, Some(&passphrase)).contains("not encrypted"));
        let public = desk.openssl("pkey -in plain -pubout", "public");
        assert!(refusal(&public, None).contains("no private key"));
        for (arguments, found) in [
            ("ecparam -name secp521r1 -genkey -noout", "secp521r1"),
            ("ecparam -name secp256k1 -genkey -noout", "secp256k1"),
            ("genrsa 1024", "RSA of 1024 bits"),
            ("genpkey -algorithm x25519", "X25519"),
            ("genpkey -algorithm ed448", "ED448"),
        ] {
            let why = refusal(&desk.openssl(arguments, "other"), None);
            assert!(why.contains(found) && why.contains("accepted are"), "{why}");
        }
    }

    #[test]
    fn a_key_is_never_overwritten() {
        let desk = Desk::new();
        let path = desk.path("root.key");
        std::fs::write(&path, "somebody's").unwrap();
        let why = Key::generate(KeyKind::P256).unwrap().write(&path, None).unwrap_err().to_string();
        assert!(why.contains("root.key") && why.contains("never overwritten"), "{why}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "somebody's");
    }

    #[test]
    fn a_key_that_others_can_read_is_used_with_a_warning() {
        let desk = Desk::new();
        let path = desk.path("open.key");
        Key::generate(KeyKind::P256).unwrap().write(&path, None).unwrap();
        for (mode, warned) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let warning = Key::read(&path, None).unwrap().warning;
            assert_eq!(warning.is_some(), warned, "{mode:o}");
            assert!(warning.is_none_or(|w| w.contains("chmod 600") && w.contains("open.key")));
        }
    }
}
