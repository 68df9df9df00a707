//! What can go wrong with the store once it is open, and which of it may go right the next time.

use std::fmt;

use sqlx::error::DatabaseError;
use sqlx::postgres::PgDatabaseError;
use sqlx::sqlite::SqliteError;

/// Why a read or a change did not happen. Nothing of the change is kept, whichever it is, with one exception that no
/// database can avoid: see [`Error::Unavailable`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The row was not in the state that the change starts from: somebody else was faster, or it does not exist.
    #[error("{what} {id} is not {wanted}")]
    Conflict {
        /// What was to be changed, `order`.
        what: &'static str,
        /// Which one.
        id: String,
        /// What it should have been, `pending`.
        wanted: &'static str,
    },
    /// Somebody else holds a lock, longer than we wait.
    #[error("the store is busy: {reason}; another program may be holding it, so try again")]
    Busy {
        /// What the database said.
        reason: String,
    },
    /// The database cannot be reached, or the connection broke. If it broke during a commit, nobody knows whether the
    /// change happened; a change that is run again then finds out, because it starts from a state.
    #[error("the store cannot be reached: {reason}")]
    Unavailable {
        /// What the database or the operating system said.
        reason: String,
    },
    /// There is no room on the disk. Nothing that was kept is lost.
    #[error("the store has no room left: {reason}; free some space on its disk")]
    Full {
        /// What the database said.
        reason: String,
    },
    /// What is kept cannot be read.
    #[error("the store is damaged: {reason}; restore it from a backup")]
    Corrupt {
        /// What the database said, or which column holds what cannot be.
        reason: String,
    },
    /// We may read, but not write.
    #[error("the store is read-only: {reason}; make it and its directory writable for this user")]
    ReadOnly {
        /// What the database said.
        reason: String,
    },
    /// The change breaks a rule of the schema, such as naming an account that does not exist: a fault of ours.
    #[error("the change breaks a rule of the store: {reason}")]
    Constraint {
        /// What the database said.
        reason: String,
    },
    /// The store was closed.
    #[error("the store was closed; the program is stopping")]
    Closed,
    /// Anything else: a fault of ours.
    #[error("the store failed: {reason}")]
    Internal {
        /// What the database said.
        reason: String,
    },
}

impl Error {
    /// Whether the same request may well succeed a little later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Busy { .. } | Self::Unavailable { .. } | Self::Full { .. })
    }

    /// The stable word for logs and metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Conflict { .. } => "conflict",
            Self::Busy { .. } => "busy",
            Self::Unavailable { .. } => "unavailable",
            Self::Full { .. } => "full",
            Self::Corrupt { .. } => "corrupt",
            Self::ReadOnly { .. } => "read_only",
            Self::Constraint { .. } => "constraint",
            Self::Closed => "closed",
            Self::Internal { .. } => "internal",
        }
    }

    pub(crate) fn conflict(
        what: &'static str,
        id: &(impl fmt::Display + ?Sized),
        wanted: &'static str,
    ) -> Self {
        Self::Conflict { what, id: id.to_string(), wanted }
    }

    /// A column holds what the program cannot have written.
    pub(crate) fn column(name: &str, why: impl fmt::Display) -> Self {
        Self::Corrupt { reason: format!("column {name}: {why}") }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let reason = error.to_string();
        match error {
            sqlx::Error::Database(database) => of_database(&*database),
            sqlx::Error::PoolClosed => Self::Closed,
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::WorkerCrashed => Self::Unavailable { reason },
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Self::Corrupt { reason },
            _ => Self::Internal { reason },
        }
    }
}

fn of_database(error: &(dyn DatabaseError + 'static)) -> Error {
    if let Some(error) = error.try_downcast_ref::<SqliteError>() {
        of_sqlite(error)
    } else if let Some(error) = error.try_downcast_ref::<PgDatabaseError>() {
        of_postgres(error)
    } else {
        Error::Internal { reason: error.to_string() }
    }
}

/// Result codes: https://www.sqlite.org/rescode.html. The low octet is the kind, the rest says more.
fn of_sqlite(error: &SqliteError) -> Error {
    let reason = error.to_string();
    let code = error.code().and_then(|code| code.parse::<i32>().ok()).unwrap_or(0);
    match (code, code & 0xff) {
        // A memory-mapped index that cannot grow: the disk is full, in SQLite's other words.
        (IOERR_SHMSIZE, _) | (_, 13) => Error::Full { reason },
        (_, 5 | 6) => Error::Busy { reason },
        (_, 10 | 14) => Error::Unavailable { reason },
        (_, 11 | 26) => Error::Corrupt { reason },
        (_, 3 | 8 | 23) => Error::ReadOnly { reason },
        (_, 19) => Error::Constraint { reason },
        _ => Error::Internal { reason },
    }
}

/// SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html.
fn of_postgres(error: &PgDatabaseError) -> Error {
    let reason = format!("{} (SQLSTATE {})", error.message(), error.code());
    match (error.code(), &error.code()[..2]) {
        ("53100", _) => Error::Full { reason },
        // Serialization failure, deadlock, lock not available.
        ("40001" | "40P01" | "55P03", _) => Error::Busy { reason },
        ("25006", _) | ("42501", _) => Error::ReadOnly { reason },
        // Connection exceptions, authorization, no resources, the server is going down, system errors.
        (_, "08" | "28" | "53" | "57" | "58") => Error::Unavailable { reason },
        (_, "XX") => Error::Corrupt { reason },
        (_, "23") => Error::Constraint { reason },
        _ => Error::Internal { reason },
    }
}

const IOERR_SHMSIZE: i32 = 10 | (19 << 8);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_may_be_tried_again_and_what_is_wrong_stays_wrong() {
        let reason = String::new();
        assert!(Error::Busy { reason: reason.clone() }.is_retryable());
        assert!(Error::from(sqlx::Error::PoolTimedOut).is_retryable());
        assert!(!Error::Corrupt { reason }.is_retryable());
        assert!(!Error::conflict("order", "1", "pending").is_retryable());
    }

    #[test]
    fn a_conflict_names_the_row_and_the_state_that_was_wanted() {
        assert_eq!(Error::conflict("order", "65f0", "pending").to_string(), "order 65f0 is not pending");
    }
}
