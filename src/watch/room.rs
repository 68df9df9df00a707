//! How little room is too little. A store that is full takes no order, and says so too late.

use store::room::Room;

/// Whether it is little: less than a tenth of the whole, and of a large disk less than 1 GiB, which is some hundred
/// thousand certificates.
pub(super) fn is_little(room: Room) -> bool {
    room.free < little(room)
}

/// Whether it is clearly more than little: what hovers at the edge is told once.
pub(super) fn is_ample(room: Room) -> bool {
    room.free >= little(room) / 10 * 11
}

/// A sentence without its end.
pub(super) fn said(room: Room) -> String {
    format!("{} of {} MiB are free", room.free >> 20, room.whole >> 20)
}

fn little(room: Room) -> u64 {
    (room.whole / 10).min(GIB)
}

const GIB: u64 = 1 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_is_a_tenth_and_of_a_large_disk_a_gibibyte() {
        for (whole, little) in [(5, 512), (10, 1_024), (4_000, 1_024)] {
            let with = |free: u64| Room { free, whole: whole * GIB };
            let edge = little * (GIB / 1_024);
            assert!(is_little(with(edge - 1)) && !is_little(with(edge)), "{whole} GiB");
            assert!(!is_ample(with(edge)) && is_ample(with(edge / 10 * 11)), "{whole} GiB");
        }
    }
}
