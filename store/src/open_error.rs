//! Why a store cannot be opened, in a sentence that says what would do.

use std::io;
use std::path::PathBuf;

use sqlx::migrate::MigrateError;

use crate::error::Error;

/// Why the store cannot be used. The text is a sentence for the operator and holds no password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL is of no kind that we know.
    #[error(
        "the store's URL {reason}; write sqlite:PATH or postgres://USER@HOST/DATABASE?password_file=PATH"
    )]
    Url {
        /// What is wrong with it.
        reason: String,
    },
    /// The file with PostgreSQL's password cannot be read.
    #[error("the password file {} of the store cannot be read: {reason}", path.display())]
    PasswordFile {
        /// Which file.
        path: PathBuf,
        /// What the operating system said.
        reason: io::Error,
    },
    /// There is no store, and none was to be made.
    #[error(
        "there is no store: {location} {reason}; start acme-ca once, or name the right one in [store] url"
    )]
    Missing {
        /// Where we looked.
        location: String,
        /// What is not there.
        reason: String,
    },
    /// The directory of the file is missing.
    #[error("the directory {} of the store is missing; make it, writable for this user", path.display())]
    NoDirectory {
        /// Which directory.
        path: PathBuf,
    },
    /// The file, its directory or the database may not be written by us.
    #[error("{location} cannot be written: {reason}; make the file and its directory writable for this user")]
    Denied {
        /// Which store.
        location: String,
        /// What was said.
        reason: String,
    },
    /// Another program holds it.
    #[error("{location} is held by another program: {reason}; end that one, or try again")]
    Locked {
        /// Which store.
        location: String,
        /// What was said.
        reason: String,
    },
    /// The file is no SQLite database, or a damaged one.
    #[error(
        "{location} is not a readable database: {reason}; restore it from a backup, or name another file"
    )]
    Corrupt {
        /// Which store.
        location: String,
        /// What was said.
        reason: String,
    },
    /// The file holds nothing at all, which no store ever does.
    #[error(
        "{location} is empty: what was in it is lost, or it never was a store; restore it from a backup, or remove the file to begin with a new store"
    )]
    Empty {
        /// Which store.
        location: String,
    },
    /// It is a database, but not one of ours.
    #[error("{location} belongs to another program: {reason}; name another one in [store] url")]
    Foreign {
        /// Which store.
        location: String,
        /// What shows it.
        reason: String,
    },
    /// It was written by a newer program.
    #[error(
        "the store's schema is version {found}, this program knows {known}: it was written by a newer acme-ca; run that one"
    )]
    Newer {
        /// The version of the schema.
        found: i64,
        /// The newest that this program knows.
        known: i64,
    },
    /// It was written by an older program, and was not to be changed.
    #[error(
        "the store's schema is version {found}, this program needs {known}: start the new acme-ca once, it brings it up to date"
    )]
    Older {
        /// The version of the schema.
        found: i64,
        /// The version that this program needs.
        known: i64,
    },
    /// There is no room on the disk.
    #[error("{location} has no room: {reason}; free some space on its disk")]
    Full {
        /// Which store.
        location: String,
        /// What was said.
        reason: String,
    },
    /// The database server cannot be reached, or refuses us.
    #[error("{location} cannot be reached: {reason}")]
    Unreachable {
        /// Which store.
        location: String,
        /// What was said.
        reason: String,
    },
    /// Anything else.
    #[error("{location} cannot be opened: {reason}")]
    Failed {
        /// Which store.
        location: String,
        /// What was said.
        reason: String,
    },
}

impl OpenError {
    /// The stable word.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Url { .. } => "url",
            Self::PasswordFile { .. } => "password_file",
            Self::Missing { .. } => "missing",
            Self::NoDirectory { .. } => "no_directory",
            Self::Denied { .. } => "denied",
            Self::Locked { .. } => "locked",
            Self::Corrupt { .. } => "corrupt",
            Self::Empty { .. } => "empty",
            Self::Foreign { .. } => "foreign",
            Self::Newer { .. } => "newer",
            Self::Older { .. } => "older",
            Self::Full { .. } => "full",
            Self::Unreachable { .. } => "unreachable",
            Self::Failed { .. } => "failed",
        }
    }

    pub(crate) fn of(location: &str, error: impl Into<Error>) -> Self {
        let location = location.to_owned();
        match error.into() {
            Error::Busy { reason } => Self::Locked { location, reason },
            Error::Unavailable { reason } => Self::Unreachable { location, reason },
            Error::Full { reason } => Self::Full { location, reason },
            Error::Corrupt { reason } => Self::Corrupt { location, reason },
            Error::ReadOnly { reason } => Self::Denied { location, reason },
            other => Self::Failed { location, reason: other.to_string() },
        }
    }

    pub(crate) fn of_migration(location: &str, error: MigrateError) -> Self {
        match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
                Self::of(location, error)
            }
            MigrateError::VersionMismatch(_) | MigrateError::VersionMissing(_) => {
                Self::Foreign { location: location.to_owned(), reason: error.to_string() }
            }
            other => Self::Failed { location: location.to_owned(), reason: other.to_string() },
        }
    }
}
