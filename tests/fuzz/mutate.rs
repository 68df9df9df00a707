//! Random changes of octets.

/// A generator that is good enough here (xorshift64*).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn seeded(seed: u64) -> Self {
        // Neighbouring seeds far apart, and none of them zero, which the generator never leaves.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit.max(1)).unwrap();
        usize::try_from((self.next() >> 16) % limit).unwrap()
    }

    fn octet(&mut self) -> u8 {
        self.next().to_be_bytes()[1]
    }
}

/// One of the corpus with one to eight changes.
pub(crate) fn change(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut input = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(8) {
        let other = &corpus[random.below(corpus.len())];
        once(&mut input, other, random);
    }
    input.truncate(LONGEST);
    input
}

fn once(input: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let place = random.below(input.len() + 1);
    let end = (place + 1 + random.below(16)).min(input.len());
    match random.below(10) {
        0 if place < input.len() => input[place] ^= 1 << random.below(8),
        1 if place < input.len() => input[place] = random.octet(),
        2 if place < input.len() => input[place] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
        // A length, often enough.
        3 if place < input.len() => {
            input[place] = input[place].wrapping_add(1).wrapping_sub(random.octet() & 2);
        }
        4 => drop(input.drain(place.min(end)..end)),
        5 => input.insert(place, random.octet()),
        6 => {
            let twice = input[place.min(end)..end].to_vec();
            input.splice(place..place, twice);
        }
        7 => input.truncate(place),
        8 => {
            let from = random.below(other.len() + 1);
            let to = (from + random.below(64)).min(other.len());
            input.splice(place..place, other[from..to].iter().copied());
        }
        _ => {
            let from = random.below(other.len() + 1);
            input.truncate(place);
            input.extend_from_slice(&other[from..]);
        }
    }
}

const LONGEST: usize = 64 * 1024;
