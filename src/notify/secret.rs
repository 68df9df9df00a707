//! Credentials are files: they are read when they are used, so a new one needs no reload, and nothing that is logged or
//! shown can hold them.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// A file whose first line is a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretFile(pub PathBuf);

/// A secret. It shows nothing of itself, and is wiped when it is dropped.
pub(super) struct Secret(Zeroizing<String>);

impl SecretFile {
    /// Reads the first line.
    ///
    /// # Errors
    /// Why there is none, with the file's name.
    pub(super) fn read(&self) -> Result<Secret, String> {
        let refuse = |why: &str| format!("{} {why}", self.0.display());
        let mut text = Zeroizing::new(String::new());
        let file = File::open(&self.0).map_err(|error| refuse(&format!("cannot be read: {error}")))?;
        file.take(LIMIT)
            .read_to_string(&mut text)
            .map_err(|error| refuse(&format!("cannot be read: {error}")))?;
        let line = text.lines().next().unwrap_or_default().trim_end();
        if line.is_empty() {
            return Err(refuse("is empty; its first line is the secret"));
        }
        // It becomes part of a header.
        if line.chars().any(char::is_control) {
            return Err(refuse("holds a control character; its first line is the secret"));
        }
        Ok(Secret::new(line.to_owned()))
    }

    /// Whose file it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Secret {
    pub(super) fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// A text without any of the secrets that somebody may have put into it.
    pub(super) fn strike(text: &str, secrets: &[Self]) -> String {
        secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret.expose(), "[secret]"))
    }

    /// The secret itself, for the one who sends it.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// How much of a file is read, in octets.
const LIMIT: u64 = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_the_secret_and_is_never_shown() {
        let dir = tempfile::tempdir().unwrap();
        let file = SecretFile(dir.path().join("token"));
        assert!(file.read().unwrap_err().contains("token cannot be read"));
        std::fs::write(&file.0, "tk_secret \nmore\n").unwrap();
        let secret = file.read().unwrap();
        assert_eq!(secret.expose(), "tk_secret");
        assert_eq!(format!("{secret:?}"), "Secret");
        assert_eq!(Secret::strike("no tk_secret, said you", &[secret]), "no [secret], said you");
        std::fs::write(&file.0, "\ntk_secret").unwrap();
        assert!(file.read().unwrap_err().contains("is empty"));
        std::fs::write(&file.0, "tk\u{7}_secret").unwrap();
        let why = file.read().unwrap_err();
        assert!(why.contains("control") && !why.contains("_secret"), "{why}");
    }
}
