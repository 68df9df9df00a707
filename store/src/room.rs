//! The room that is left where a SQLite file lies.

use std::path::Path;

use crate::store::{Backend, Store};

/// The room on a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Octets that are free for the server's user.
    pub free: u64,
    /// Octets of the whole.
    pub whole: u64,
}

impl Room {
    /// Of the file system that a file or directory lies on, where it says.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let said = rustix::fs::statvfs(path).ok()?;
        let of = |blocks: u64| blocks.saturating_mul(said.f_frsize);
        Some(Self { free: of(said.f_bavail), whole: of(said.f_blocks) })
    }
}

impl Store {
    /// The room on the disk of a SQLite file, where the system says; PostgreSQL's disk is its own server's business.
    pub fn room(&self) -> Option<Room> {
        match self.backend() {
            Backend::Sqlite { probe, .. } => Room::of(probe.path()),
            Backend::Postgres(_) => None,
        }
    }
}
