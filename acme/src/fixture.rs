//! The files of `fixtures/`, for tests. Every file of a folder must have a row in the test that judges the folder.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The octets of a file, named from `fixtures/` on.
pub(crate) fn read(file: &str) -> Vec<u8> {
    let path = path(file);
    fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A JSON file.
pub(crate) fn json(file: &str) -> serde_json::Value {
    serde_json::from_slice(&read(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
}

/// Fails unless the rows are named as the files of the folder are, without their extension.
pub(crate) fn assert_rows_are_files<'a>(folder: &str, rows: impl IntoIterator<Item = &'a str>) {
    let rows: BTreeSet<String> = rows.into_iter().map(ToOwned::to_owned).collect();
    assert_eq!(rows, files(folder), "rows of the test, then files of {folder}");
}

/// The names of the files of a folder, without their extension.
pub(crate) fn files(folder: &str) -> BTreeSet<String> {
    fs::read_dir(path(folder))
        .unwrap_or_else(|e| panic!("{folder}: {e}"))
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect()
}

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures").join(name)
}
