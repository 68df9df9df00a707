//! Anti-replay nonces, RFC 8555 6.5. A nonce is an authenticated counter, so giving one out costs no memory and no
//! commit; a window of atomic numbers remembers which were used. Nothing here knows requests or problems.
//!
//! A nonce is base64url of 24 octets: a masked counter of 8, then 16 of HMAC-SHA256 over the counter. The tag is
//! both the proof that the nonce is ours and what the mask is made from, so a nonce is unpredictable (128 bits) and does
//! not tell how many were given out before it.
//!
//! The key is fresh at each start. A nonce of an earlier life is `badNonce`, as is one that is too old; a client gets
//! a good one with that very refusal and tries again (RFC 8555 6.5), so nothing has to be kept for a restart.

use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// How many nonces can be outstanding: an older one is not accepted any more. 512 KiB of memory.
pub const WINDOW: u64 = 65_536;

/// The nonces of one life of the server. All methods can be called from many threads at once; none waits.
pub struct Nonces {
    tag_key: hmac::Key,
    mask_key: hmac::Key,
    /// The counter of the nonce that is given out next.
    next: AtomicU64,
    /// Slot `counter % WINDOW` holds 1 + the greatest counter that was used in it; 0 when none was.
    used: Box<[AtomicU64]>,
}

impl Nonces {
    /// Nonces under a key, which must be fresh and random: with a key of an earlier life the used ones of that life
    /// would be accepted again.
    pub fn new(key: [u8; 32]) -> Self {
        let root = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let derive = |label: &[u8]| hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&root, label).as_ref());
        Self {
            tag_key: derive(b"tag"),
            mask_key: derive(b"mask"),
            next: AtomicU64::new(0),
            used: (0..WINDOW).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// A new nonce.
    pub fn mint(&self) -> String {
        let counter = self.next.fetch_add(1, Ordering::AcqRel);
        let tag = self.tag(counter);
        let masked = counter ^ self.mask(tag);
        let mut octets = [0; LENGTH];
        octets[..COUNTER].copy_from_slice(&masked.to_be_bytes());
        octets[COUNTER..].copy_from_slice(&tag);
        URL_SAFE_NO_PAD.encode(octets)
    }

    /// Whether the nonce is one of ours, not too old, and not used before. It is used from now on.
    ///
    /// Exactly one of any number of concurrent calls with one nonce is answered `true`. `fetch_max` is one atomic
    /// step, and what a slot holds never sinks: the first call for a counter finds less than `counter + 1` and leaves
    /// at least that, so every later one finds it. A greater counter of the same slot leaves more still, and so shuts
    /// the older one out. The comparison with `next` decides nothing about single use, only about age, so it does not
    /// matter that `next` may move on meanwhile.
    pub fn redeem(&self, nonce: &str) -> bool {
        let Some(counter) = self.open(nonce) else { return false };
        let next = self.next.load(Ordering::Acquire);
        if counter >= next || next - counter > WINDOW {
            return false;
        }
        let slot = usize::try_from(counter % WINDOW).expect("the window fits into memory");
        self.used[slot].fetch_max(counter + 1, Ordering::AcqRel) < counter + 1
    }

    /// The counter in a nonce of ours.
    fn open(&self, nonce: &str) -> Option<u64> {
        let mut octets = [0; LENGTH];
        // The text is measured first: the decoder needs room for what it is given.
        if nonce.len() != TEXT || URL_SAFE_NO_PAD.decode_slice(nonce, &mut octets).ok()? != LENGTH {
            return None;
        }
        let (masked, tag) = octets.split_first_chunk::<COUNTER>()?;
        let tag = <[u8; TAG]>::try_from(tag).ok()?;
        let counter = u64::from_be_bytes(*masked) ^ self.mask(tag);
        aws_lc_rs::constant_time::verify_slices_are_equal(&self.tag(counter), &tag).ok()?;
        Some(counter)
    }

    fn tag(&self, counter: u64) -> [u8; TAG] {
        first(hmac::sign(&self.tag_key, &counter.to_be_bytes()))
    }

    fn mask(&self, tag: [u8; TAG]) -> u64 {
        u64::from_be_bytes(first(hmac::sign(&self.mask_key, &tag)))
    }
}

fn first<const N: usize>(tag: hmac::Tag) -> [u8; N] {
    *tag.as_ref().first_chunk().expect("HMAC-SHA256 has 32 octets")
}

const COUNTER: usize = 8;
const TAG: usize = 16;
const LENGTH: usize = COUNTER + TAG;
const TEXT: usize = LENGTH / 3 * 4;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    fn nonces() -> Nonces {
        Nonces::new([7; 32])
    }

    #[test]
    fn a_nonce_is_accepted_once() {
        let nonces = nonces();
        let (first, second) = (nonces.mint(), nonces.mint());
        assert!(nonces.redeem(&second));
        assert!(nonces.redeem(&first), "the order does not matter");
        assert!(!nonces.redeem(&first) && !nonces.redeem(&second));
    }

    #[test]
    fn threads_that_race_for_the_same_nonces_get_each_once() {
        const THREADS: usize = 8;
        let nonces = nonces();
        let minted: Vec<String> = (0..4_000).map(|_| nonces.mint()).collect();
        let start = Barrier::new(THREADS);
        let accepted: usize = thread::scope(|scope| {
            let racers: Vec<_> = (0..THREADS)
                .map(|_| {
                    scope.spawn(|| {
                        start.wait();
                        minted.iter().filter(|nonce| nonces.redeem(nonce)).count()
                    })
                })
                .collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).sum()
        });
        assert_eq!(accepted, minted.len());
    }

    #[test]
    fn threads_that_mint_and_redeem_never_meet() {
        let nonces = nonces();
        let all: Vec<String> = thread::scope(|scope| {
            let work = || (0..2_000).map(|_| nonces.mint()).inspect(|n| assert!(nonces.redeem(n))).collect();
            let threads: Vec<thread::ScopedJoinHandle<'_, Vec<String>>> =
                (0..8).map(|_| scope.spawn(work)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
    }

    #[test]
    fn a_nonce_is_base64url_and_does_not_show_its_counter() {
        let nonces = nonces();
        let (first, second) = (nonces.mint(), nonces.mint());
        assert_eq!(first.len(), TEXT);
        assert!(first.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
        let alike = first.bytes().zip(second.bytes()).filter(|(a, b)| a == b).count();
        assert!(alike < TEXT / 2, "{first} {second}");
    }

    #[test]
    fn a_nonce_of_an_earlier_life_is_refused() {
        let before = Nonces::new([8; 32]);
        let now = nonces();
        now.mint();
        assert!(!now.redeem(&before.mint()));
    }

    #[test]
    fn a_nonce_that_was_cut_or_changed_anywhere_is_refused() {
        let nonces = nonces();
        let good = nonces.mint();
        for place in 0..good.len() {
            let mut bad = good.clone().into_bytes();
            bad[place] = if bad[place] == b'A' { b'B' } else { b'A' };
            assert!(!nonces.redeem(std::str::from_utf8(&bad).unwrap()), "place {place}");
            assert!(!nonces.redeem(&good[..place]), "cut at {place}");
        }
        for bad in
            [format!("{good}="), format!("{good}A"), format!(" {good}"), "ä".repeat(16), "A".repeat(9_000)]
        {
            assert!(!nonces.redeem(&bad), "{bad}");
        }
        assert!(nonces.redeem(&good), "no try used it up");
    }

    #[test]
    fn a_nonce_that_was_not_given_out_yet_is_refused() {
        let ahead = nonces();
        let now = nonces();
        assert!(!now.redeem(&ahead.mint()), "the tag is right, the counter is not");
    }

    #[test]
    fn the_oldest_of_a_full_window_is_accepted_and_one_older_is_not() {
        let nonces = nonces();
        let (too_old, oldest) = (nonces.mint(), nonces.mint());
        for _ in 1..WINDOW {
            nonces.mint();
        }
        assert!(!nonces.redeem(&too_old));
        assert!(nonces.redeem(&oldest));
    }

    #[test]
    fn a_later_nonce_in_the_same_slot_does_not_let_the_older_one_in() {
        let nonces = nonces();
        let older = nonces.mint();
        for _ in 1..WINDOW {
            nonces.mint();
        }
        let later = nonces.mint();
        assert!(nonces.redeem(&later));
        assert!(!nonces.redeem(&older));
        // The slot itself says so too, even to a thread that read `next` before it moved on.
        assert_eq!(nonces.used[0].fetch_max(1, Ordering::AcqRel), WINDOW + 1);
        assert!(!nonces.redeem(&later));
    }
}
