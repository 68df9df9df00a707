//! The passphrase of a key, read from a file: systemd credentials are files, and a value on a command line would be
//! in everybody's process list.

use std::fmt;
use std::path::Path;

use zeroize::Zeroizing;

use super::key_file::KeyError;
use super::pem;

/// A passphrase. Wiped when it is dropped, and never printed.
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl Passphrase {
    /// Reads the first line of a file, without its line end.
    ///
    /// # Errors
    /// The file cannot be read, or the line is empty or longer than OpenSSL can use (1024 octets).
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let refuse = |why: String| KeyError::Passphrase { path: path.to_owned(), why };
        let bytes = Zeroizing::new(
            pem::bounded(path, FILE_LIMIT)
                .map_err(|e| refuse(format!("{}: {e}", pem::cannot_be_read(&e))))?,
        );
        let line = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match line.len() {
            0 => Err(refuse("has an empty first line; the passphrase stands there".to_owned())),
            1..=LIMIT => Ok(Self(Zeroizing::new(line.to_vec()))),
            _ => Err(refuse(format!("has a first line of more than {LIMIT} octets"))),
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(…)")
    }
}

const LIMIT: usize = 1024; // PEM_BUFSIZE
const FILE_LIMIT: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Passphrase, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pass");
        std::fs::write(&path, text).unwrap();
        Passphrase::read(&path).map_err(|e| e.to_string())
    }

    #[test]
    fn the_first_line_counts_without_its_end() {
        for text in ["open sesame", "open sesame\n", "open sesame\r\n", "open sesame\nsecond line\n"] {
            assert_eq!(read(text).unwrap().as_bytes(), b"open sesame", "{text:?}");
        }
        assert_eq!(read(" spaces stay \n").unwrap().as_bytes(), b" spaces stay ");
    }

    #[test]
    fn an_empty_or_endless_passphrase_is_refused_and_never_shown() {
        for text in ["", "\n", "\r\n", "\nsecond line"] {
            let why = read(text).unwrap_err();
            assert!(why.contains("empty first line") && why.contains("ca.pass"), "{why}");
        }
        let long = read(&"secret".repeat(200)).unwrap_err();
        assert!(long.contains("1024") && !long.contains("secret"), "{long}");
        assert_eq!(format!("{:?}", read("open sesame").unwrap()), "Passphrase(…)");
    }
}
