//! PEM, RFC 7468: certificates and requests as text. Keys have their own reader in `key.rs`.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use x509_parser::pem::Pem;

use super::Error;

/// One block of text around `der`.
pub fn encode(label: &str, der: &[u8]) -> String {
    let body = BASE64_STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in body.as_bytes().chunks(LINE) {
        text.extend(line.iter().copied().map(char::from));
        text.push('\n');
    }
    text + &format!("-----END {label}-----\n")
}

/// Every block called `label` in a file, in order.
///
/// # Errors
/// The file cannot be read, is larger than 256 KiB, or has no such block.
pub fn read(path: &Path, label: &str) -> Result<Vec<Vec<u8>>, Error> {
    let bytes =
        bounded(path, LIMIT).map_err(|e| Error::file(path, format!("{}: {e}", cannot_be_read(&e))))?;
    let blocks: Vec<Vec<u8>> = Pem::iter_from_buffer(&bytes)
        .filter_map(Result::ok)
        .filter(|block| block.label == label)
        .map(|block| block.contents)
        .collect();
    if blocks.is_empty() {
        let verb = if label == "CERTIFICATE REQUEST" { "req" } else { "x509" };
        let why = format!(
            "holds no PEM block '-----BEGIN {label}-----'; is it the right file? 'openssl {verb} -inform der' makes PEM of DER"
        );
        return Err(Error::file(path, why));
    }
    Ok(blocks)
}

/// That a file cannot be read, and what would do; what the system said follows it.
pub(super) fn cannot_be_read(error: &std::io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::NotFound => "cannot be read (put it there, or correct the path)",
        ErrorKind::IsADirectory => "cannot be read (a file is meant; name the one in it)",
        ErrorKind::PermissionDenied => "cannot be read (it belongs to the user that signs with it)",
        _ => "cannot be read",
    }
}

/// A whole file, refused when it is larger than `limit` octets.
pub(super) fn bounded(path: &Path, limit: u64) -> std::io::Result<Vec<u8>> {
    let file = File::open(path)?;
    // Room for all of it at once: a vector that grows leaves copies behind, and the file may hold a secret.
    let size = file.metadata()?.len().min(limit);
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default() + 1);
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(std::io::Error::other(format!("it is larger than {limit} octets")));
    }
    Ok(bytes)
}

const LINE: usize = 64;
const LIMIT: u64 = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("chain.pem");
        let first: Vec<u8> = (0..200).collect();
        std::fs::write(&path, encode("CERTIFICATE", &first) + &encode("CERTIFICATE", b"second")).unwrap();
        assert_eq!(read(&path, "CERTIFICATE").unwrap(), [first, b"second".to_vec()]);
        let other = read(&path, "CERTIFICATE REQUEST").unwrap_err().to_string();
        assert!(other.contains("chain.pem") && other.contains("BEGIN CERTIFICATE REQUEST"), "{other}");
    }

    #[test]
    fn a_file_without_end_is_not_read_into_memory() {
        let refused = read(Path::new("/dev/zero"), "CERTIFICATE").unwrap_err().to_string();
        assert!(refused.contains("larger than"), "{refused}");
    }
}
