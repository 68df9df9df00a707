//! Files that are written all together or not at all, and never over one that is there.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::ca::{Key, Passphrase};

/// The names of a CA's files in its directory.
pub(super) const ROOT: &str = "root.pem";
pub(super) const ROOT_KEY: &str = "root.key";
pub(super) const INTERMEDIATE: &str = "intermediate.pem";
pub(super) const INTERMEDIATE_KEY: &str = "intermediate.key";
pub(super) const INTERMEDIATE_REQUEST: &str = "intermediate.csr";
pub(super) const CONFIG: &str = "acme-ca.toml";

/// The files of one step. What was written is removed again when the step does not come to its end.
#[derive(Debug, Default)]
pub(super) struct Files {
    written: Vec<PathBuf>,
}

impl Files {
    /// A key that its owner alone can read.
    pub(super) fn key(
        &mut self,
        path: &Path,
        key: &Key,
        passphrase: Option<&Passphrase>,
    ) -> anyhow::Result<()> {
        key.write(path, passphrase)?;
        self.written.push(path.to_owned());
        Ok(())
    }

    /// A file that everybody may read.
    pub(super) fn public(&mut self, path: &Path, text: &str) -> anyhow::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(path)
            .with_context(|| format!("{}: cannot be written", path.display()))?;
        self.written.push(path.to_owned());
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .with_context(|| format!("{}: cannot be written", path.display()))
    }

    /// The step came to its end; the paths that were written, in order.
    pub(super) fn keep(mut self) -> Vec<PathBuf> {
        std::mem::take(&mut self.written)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // Each was made by us a moment ago, with `create_new`.
        for path in &self.written {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Refuses to go on when one of the files is there.
pub(super) fn must_be_absent(paths: &[PathBuf], fix: &str) -> anyhow::Result<()> {
    // A symbolic link to nowhere is there as well.
    let there: Vec<String> = paths
        .iter()
        .filter(|path| path.symlink_metadata().is_ok())
        .map(|path| path.display().to_string())
        .collect();
    if !there.is_empty() {
        let verb = if there.len() == 1 { "is" } else { "are" };
        bail!("{} {verb} there already, and nothing is overwritten; {fix}", there.join(", "));
    }
    Ok(())
}

/// Makes the directory when it is missing, for its owner alone.
pub(super) fn make_directory(path: &Path) -> anyhow::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("{}: the directory cannot be made", path.display()))
}

/// The path as it is written into a configuration in `directory`: relative when it lies below.
pub(super) fn relative_to(directory: &Path, path: &Path) -> anyhow::Result<PathBuf> {
    let absolute =
        |path: &Path| std::path::absolute(path).with_context(|| format!("{}: no such path", path.display()));
    let (directory, path) = (absolute(directory)?, absolute(path)?);
    Ok(path.strip_prefix(&directory).map(Path::to_owned).unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_fails_leaves_what_was_there_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let (mine, other) = (dir.path().join("root.pem"), dir.path().join("root.key"));
        std::fs::write(&other, "somebody's").unwrap();
        let step = || -> anyhow::Result<()> {
            let mut files = Files::default();
            files.public(&mine, "text")?;
            files.public(&other, "text")
        };
        assert!(step().is_err());
        assert!(!mine.exists());
        assert_eq!(std::fs::read_to_string(&other).unwrap(), "somebody's");
    }

    #[test]
    fn a_step_that_succeeds_leaves_its_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("root.pem");
        let mut files = Files::default();
        files.public(&path, "text").unwrap();
        assert_eq!(files.keep(), std::slice::from_ref(&path));
        assert!(path.exists());
    }

    #[test]
    fn a_link_to_nowhere_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("root.pem");
        std::os::unix::fs::symlink("/nowhere", &path).unwrap();
        let why = must_be_absent(&[path], "go away").unwrap_err().to_string();
        assert!(why.contains("root.pem is there already") && why.contains("go away"), "{why}");
    }

    #[test]
    fn a_path_below_the_directory_is_written_relative_to_it() {
        let relative = |path| relative_to(Path::new("/etc/acme-ca"), Path::new(path)).unwrap();
        assert_eq!(relative("/etc/acme-ca/ca.pass"), Path::new("ca.pass"));
        assert_eq!(relative("/run/credentials/pass"), Path::new("/run/credentials/pass"));
    }
}
