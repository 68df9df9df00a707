//! The public key of whatever file somebody has at hand when a key was lost: a public or private key, a certificate or a
//! request, in PEM. Nothing of a private key is kept.

use std::path::Path;

use openssl::ec::EcKey;
use openssl::pkey::{HasPublic, PKey};
use openssl::x509::{X509, X509Req};
use zeroize::Zeroizing;

use super::{Error, pem};

/// The SubjectPublicKeyInfo in DER, in the one form that certificates of ours have it in.
///
/// # Errors
/// The file cannot be read, or holds none of these; an encrypted key does not tell its public half.
pub fn read_public_key(path: &Path) -> Result<Vec<u8>, Error> {
    let unreadable = |e: std::io::Error| Error::file(path, format!("cannot be read: {e}"));
    let bytes = Zeroizing::new(pem::bounded(path, FILE_LIMIT).map_err(unreadable)?);
    let found = X509::from_pem(&bytes)
        .and_then(|certificate| certificate.public_key())
        .or_else(|_| X509Req::from_pem(&bytes).and_then(|request| request.public_key()))
        .or_else(|_| PKey::public_key_from_pem(&bytes));
    let der = match found {
        Ok(key) => in_one_form(&key),
        // Without a callback OpenSSL would ask on the terminal.
        Err(_) => PKey::private_key_from_pem_callback(&bytes, |_| Ok(0)).and_then(|key| in_one_form(&key)),
    };
    der.map_err(|_| {
        Error::file(
            path,
            "holds no public key, private key, certificate or request in PEM that can be read; of an encrypted key, \
             'openssl pkey -in FILE -pubout' writes the public half",
        )
    })
}

/// A point that is compressed, or whose private half stands beside it, is the same key.
fn in_one_form<K: HasPublic>(key: &PKey<K>) -> Result<Vec<u8>, openssl::error::ErrorStack> {
    match key.ec_key() {
        Ok(ec) => {
            let plain = EcKey::from_public_key(ec.group(), ec.public_key())?;
            PKey::from_ec_key(plain)?.public_key_to_der()
        }
        Err(_) => key.public_key_to_der(),
    }
}

const FILE_LIMIT: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::process::Command;

    use super::*;

    fn openssl(dir: &Path, line: &str, out: &str) -> PathBuf {
        let path = dir.join(out);
        let done =
            Command::new("openssl").args(line.split(' ')).arg("-out").arg(&path).current_dir(dir).output();
        let done = done.unwrap();
        assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
        path
    }

    #[test]
    fn every_file_that_shows_a_key_shows_the_same_key() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path();
        for make in [
            "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256",
            "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048",
            "genpkey -algorithm ED25519",
        ] {
            let private = openssl(at, make, "key");
            let is_ec = make.contains("EC -");
            let wanted = read_public_key(&private).unwrap();
            let mut files = vec![
                ("pkey -in key -pubout", "public"),
                ("req -new -key key -subj /CN=a.lan", "request"),
                ("req -x509 -new -key key -subj /CN=a.lan -days 1", "certificate"),
            ];
            if is_ec {
                files.push(("ec -in key -pubout -conv_form compressed", "compressed"));
                files.push(("ec -in key", "sec1"));
            }
            for (line, name) in files {
                assert_eq!(read_public_key(&openssl(at, line, name)).unwrap(), wanted, "{make}: {name}");
            }
        }
    }

    #[test]
    fn an_encrypted_key_and_what_is_none_are_refused_without_a_question() {
        let dir = tempfile::tempdir().unwrap();
        let sealed = openssl(dir.path(), "genpkey -algorithm ED25519 -aes256 -pass pass:sesame", "sealed");
        std::fs::write(dir.path().join("empty"), "").unwrap();
        for path in [sealed, dir.path().join("empty")] {
            let why = read_public_key(&path).unwrap_err().to_string();
            assert!(why.contains("-pubout") && why.contains(path.to_str().unwrap()), "{why}");
        }
        let missing = read_public_key(&dir.path().join("missing")).unwrap_err().to_string();
        assert!(missing.contains("cannot be read"), "{missing}");
    }
}
