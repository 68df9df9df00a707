//! Whether something keeps the clock in step. The kernel says so by `adjtimex(2)`, which takes unsafe code to ask;
//! systemd-timesyncd says so by two files, and where it does not run nothing is said: chrony and ntpd leave no such trace, and
//! a container has its host's clock.
//!
//! The directory is there while timesyncd runs, and the file in it is touched on each synchronisation (systemd-timesyncd(8)).

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use acme::time::Timestamp;

/// Since when timesyncd, which runs, has not reached a time server: since it was started, or for a day. None where it
/// reaches one, and where it does not run.
pub(super) fn alone_since(directory: &Path, now: Timestamp) -> Option<Timestamp> {
    let touched = |path: &Path| Some(Timestamp::from_unix(path.metadata().ok()?.mtime()));
    let started = touched(directory)?;
    match touched(&directory.join("synchronized")) {
        None => Some(started),
        Some(last) => (now.seconds_since(last) > DAY).then_some(last),
    }
}

/// Where timesyncd says it.
pub(super) const TIMESYNC: &str = "/run/systemd/timesync";
/// It asks every 34 minutes at the most, unless it is told to take longer.
const DAY: i64 = 86_400;

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_clock_that_timesyncd_cannot_set_is_alone_and_nothing_is_said_where_it_does_not_run() {
        let scratch = tempfile::tempdir().unwrap();
        let now = Timestamp::from_unix(1_800_000_000);
        let directory = scratch.path().join("timesync");
        assert_eq!(alone_since(&directory, now), None);
        std::fs::create_dir(&directory).unwrap();
        let at = |seconds: u64| UNIX_EPOCH + Duration::from_secs(seconds);
        File::open(&directory).unwrap().set_modified(at(1_799_999_000)).unwrap();
        assert_eq!(alone_since(&directory, now), Some(Timestamp::from_unix(1_799_999_000)), "not yet");
        let file = File::create(directory.join("synchronized")).unwrap();
        file.set_modified(at(1_799_990_000)).unwrap();
        assert_eq!(alone_since(&directory, now), None);
        file.set_modified(at(1_799_900_000)).unwrap();
        assert_eq!(alone_since(&directory, now), Some(Timestamp::from_unix(1_799_900_000)), "not for a day");
    }
}
