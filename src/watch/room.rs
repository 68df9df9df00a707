//! How much room is left where the store lies. A store that is full takes no order, and says so too late.

use std::fmt;
use std::path::Path;

/// The room on the file system of a SQLite store; PostgreSQL's disk is its own server's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Octets that are free for the server's user.
    pub free: u64,
    /// Octets of the whole.
    pub whole: u64,
}

impl Room {
    /// What the file system of a store says, by the store's URL; none for a store without a file, and where the file
    /// system does not say.
    pub(super) fn of_store(url: &str) -> Option<Self> {
        let file = Path::new(url.strip_prefix("sqlite:")?);
        let said = rustix::fs::statvfs(file.parent()?).ok()?;
        let of = |blocks: u64| blocks.saturating_mul(said.f_frsize);
        Some(Self { free: of(said.f_bavail), whole: of(said.f_blocks) })
    }

    /// Whether it is little: less than a tenth of the whole, and of a large disk less than 1 GiB, which is some hundred
    /// thousand certificates.
    pub(super) fn is_little(self) -> bool {
        self.free < self.little()
    }

    /// Whether it is clearly more than little: what hovers at the edge is told once.
    pub(super) fn is_ample(self) -> bool {
        self.free >= self.little() / 10 * 11
    }

    fn little(self) -> u64 {
        (self.whole / 10).min(GIB)
    }
}

/// A sentence without its end.
impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} MiB are free", self.free >> 20, self.whole >> 20)
    }
}

const GIB: u64 = 1 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_is_a_tenth_within_reason() {
        for (whole, little) in [(5, 512), (10, 1_024), (4_000, 1_024)] {
            let with = |free: u64| Room { free, whole: whole * GIB };
            let edge = little * (GIB / 1_024);
            assert!(with(edge - 1).is_little() && !with(edge).is_little(), "{whole} GiB");
            assert!(!with(edge).is_ample() && with(edge / 10 * 11).is_ample(), "{whole} GiB");
        }
    }

    #[test]
    fn the_file_system_of_the_store_is_asked_and_a_server_is_not() {
        let scratch = tempfile::tempdir().unwrap();
        let room = Room::of_store(&format!("sqlite:{}", scratch.path().join("ca.db").display())).unwrap();
        assert!(room.free <= room.whole && room.whole > 0, "{room:?}");
        assert_eq!(Room::of_store("postgres://ca@localhost/ca"), None);
        assert_eq!(Room::of_store("sqlite:/nowhere/at/all/ca.db"), None);
    }
}
