//! What a ceremony made, as one JSON object for programs (`--json`): each certificate authority with its files,
//! fingerprint and life, what was written, and what the operator should know.

use std::path::{Path, PathBuf};

use acme::time::Timestamp;
use serde::Serialize;

use super::Console;
use crate::ca::Certificate;
use crate::ctl::output::Output;

/// A certificate authority that was made, asked for or put in place.
#[derive(Debug, Serialize)]
pub(super) struct Authority {
    /// `root` or `intermediate`.
    kind: &'static str,
    name: String,
    /// The kind of its key, where the key is at hand.
    key: Option<String>,
    /// The file of its certificate; none while it is only asked for.
    certificate: Option<PathBuf>,
    /// The file of its key, where the key is at hand.
    key_file: Option<PathBuf>,
    /// The file of its request, where one was made.
    request: Option<PathBuf>,
    /// SHA-256 over the certificate, in hexadecimal digits.
    sha256: Option<String>,
    not_before: Option<Timestamp>,
    not_after: Option<Timestamp>,
    /// What it may certify, in words.
    names: Option<String>,
}

impl Authority {
    /// One whose certificate is in a file.
    pub(super) fn certified(kind: &'static str, certificate: &Certificate, path: &Path) -> Self {
        Self {
            kind,
            name: certificate.name.clone(),
            key: None,
            certificate: Some(path.to_owned()),
            key_file: None,
            request: None,
            sha256: Some(certificate.fingerprint()),
            not_before: Some(certificate.not_before),
            not_after: Some(certificate.not_after),
            names: Some(certificate.constraints.to_string()),
        }
    }

    /// An intermediate that is only asked for.
    pub(super) fn requested(name: &str, request: &Path) -> Self {
        Self {
            kind: INTERMEDIATE,
            name: name.to_owned(),
            key: None,
            certificate: None,
            key_file: None,
            request: Some(request.to_owned()),
            sha256: None,
            not_before: None,
            not_after: None,
            names: None,
        }
    }

    /// The same with what is known of its key.
    #[must_use]
    pub(super) fn with_key(mut self, description: impl Into<String>, file: Option<&Path>) -> Self {
        self.key = Some(description.into());
        self.key_file = file.map(Path::to_owned);
        self
    }
}

/// Beside the authorities.
#[derive(Serialize)]
struct More<'a> {
    /// The files that were not there before.
    written: &'a [PathBuf],
    warnings: &'a [String],
}

impl Console<'_> {
    /// The whole of what a verb says, when programs read it; nothing for people, who were told line by line.
    pub(super) fn report(
        &mut self,
        verb: &str,
        now: Timestamp,
        made: &[Authority],
        written: &[PathBuf],
    ) -> anyhow::Result<()> {
        if !self.json {
            return Ok(());
        }
        let more = More { written, warnings: &self.warnings };
        Output { out: &mut *self.out, json: true, width: None, now }.envelope_with(verb, made, more)
    }
}

pub(super) const ROOT: &str = "root";
pub(super) const INTERMEDIATE: &str = "intermediate";
