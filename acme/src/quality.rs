//! RSA moduli that look like any other and can be taken apart: what CA/Browser Forum's Baseline Requirements 6.1.1.3
//! forbid, and Boulder looks for. Sizes, exponents, points and their forms are judged where keys are read
//! (`jwk/kind.rs`, `csr/key.rs`); lists of keys that somebody lost are not known here.

use std::fmt;

use num_bigint::BigUint;

/// Why an RSA key is worth nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weakness {
    /// A prime divides it that everybody tries first.
    SmallFactor(u32),
    /// It has the form that a faulty library gave its keys: ROCA, CVE-2017-15361.
    Roca,
    /// Its two primes lie so close together that Fermat's method finds them: CVE-2022-26320.
    ClosePrimes,
}

impl fmt::Display for Weakness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SmallFactor(prime) => write!(f, "its modulus has the factor {prime}"),
            Self::Roca => f.write_str("a faulty library made it (ROCA, CVE-2017-15361)"),
            Self::ClosePrimes => f.write_str("its primes lie too close together (CVE-2022-26320)"),
        }
    }
}

/// Judges an RSA modulus, most significant octet first.
///
/// # Errors
/// What is wrong with it.
pub fn check_modulus(modulus: &[u8]) -> Result<(), Weakness> {
    let modulus = BigUint::from_bytes_be(modulus);
    let rests: Vec<(u32, u32)> =
        primes_below(SMALL).map(|prime| (prime, remainder(&modulus, prime))).collect();
    if let Some((prime, _)) = rests.iter().find(|(_, rest)| *rest == 0) {
        return Err(Weakness::SmallFactor(*prime));
    }
    if rests.iter().all(|(prime, rest)| *prime == 2 || *prime > ROCA_LAST || is_power_of_65537(*rest, *prime))
    {
        return Err(Weakness::Roca);
    }
    if has_close_primes(&modulus) { Err(Weakness::ClosePrimes) } else { Ok(()) }
}

/// The primes of the faulty library are `k * M + 65537^a mod M`, where M is a product of the first primes; so is the
/// modulus. For each of these primes it is then a power of 65537. So is another modulus by chance, once in 2^27.
fn is_power_of_65537(rest: u32, prime: u32) -> bool {
    let generator = 65_537 % prime;
    let powers = std::iter::successors(Some(1), |power| Some(power * generator % prime));
    let period = (prime - 1) as usize;
    powers.take(period).any(|power| power == rest)
}

/// Fermat: with `a` the root of the modulus, rounded up, and then a little more, `a^2 - n` is a square when the primes
/// are `a - b` and `a + b`.
fn has_close_primes(modulus: &BigUint) -> bool {
    let root = modulus.sqrt();
    let a = if &root * &root == *modulus { root } else { root + 1u32 };
    let mut square = &a * &a - modulus;
    // (a + 1)^2 = a^2 + 2a + 1, and then 2 more each time.
    let mut step: BigUint = (a << 1) + 1u32;
    for _ in 0..FERMAT_ROUNDS {
        if is_square(&square) {
            return true;
        }
        square += &step;
        step += 2u32;
    }
    false
}

fn is_square(number: &BigUint) -> bool {
    // Three in four numbers, and most of the others, are told from squares without a root.
    let may_be = |prime: u32| {
        let rest = remainder(number, prime);
        (0..prime).any(|root| root * root % prime == rest)
    };
    if !matches!(remainder(number, 16), 0 | 1 | 4 | 9) || ![5, 7, 11, 13, 17, 19].into_iter().all(may_be) {
        return false;
    }
    let root = number.sqrt();
    &root * &root == *number
}

fn remainder(number: &BigUint, by: u32) -> u32 {
    (number % by).iter_u32_digits().next().unwrap_or(0)
}

fn primes_below(limit: u32) -> impl Iterator<Item = u32> {
    (2..limit).filter(|number| (2..*number).take_while(|d| d * d <= *number).all(|d| number % d != 0))
}

/// Boulder tries primes up to 751.
const SMALL: u32 = 752;
/// The last prime of the published fingerprint of ROCA.
const ROCA_LAST: u32 = 167;
/// The Baseline Requirements ask for a hundred.
const FERMAT_ROUNDS: usize = 100;

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn judge(modulus: &BigUint) -> Result<(), Weakness> {
        check_modulus(&modulus.to_bytes_be())
    }

    #[test]
    fn a_small_factor_is_named() {
        assert_eq!(judge(&2u32.into()), Err(Weakness::SmallFactor(2)));
        let big = (BigUint::from(1u32) << 2_004) + 1u32;
        assert_eq!(judge(&(big * 751u32)), Err(Weakness::SmallFactor(17)));
        // 2^127 - 1 is prime, and so is 2^89 - 1.
        let (m127, m89) = ((BigUint::from(1u32) << 127) - 1u32, (BigUint::from(1u32) << 89) - 1u32);
        assert_eq!(judge(&(&m127 * 751u32)), Err(Weakness::SmallFactor(751)));
        assert_eq!(judge(&(&m127 * 757u32)), Ok(()), "this one is nobody's first try");
        assert_eq!(judge(&(&m127 * &m89)), Ok(()));
    }

    #[test]
    fn primes_close_together_are_found_within_a_hundred_rounds() {
        // 2^127 - 1 twice: the root itself.
        let m127 = (BigUint::from(1u32) << 127) - 1u32;
        assert_eq!(judge(&(&m127 * &m127)), Err(Weakness::ClosePrimes));
        // a = 10^6 + 3 and a + 2d for a growing d: the number of rounds grows with d^2 / 2a.
        let found = |d: u32| has_close_primes(&(BigUint::from(1_000_003u32) * (1_000_003 + 2 * d)));
        assert!(found(0) && found(1) && found(10_000), "up to about 50 rounds");
        assert!(!found(20_000), "about 200 rounds");
    }

    #[test]
    fn the_form_of_the_faulty_library_is_in_every_one_of_its_moduli_and_in_no_neighbour() {
        use base64::Engine as _;
        let jwk = crate::fixture::json("jws/jwk/rsa-roca.json");
        let modulus = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap());
        let modulus = BigUint::from_bytes_be(&modulus.unwrap());
        assert_eq!(judge(&modulus), Err(Weakness::Roca));
        for step in 1..=100u32 {
            assert_ne!(judge(&(&modulus + 2 * step)), Err(Weakness::Roca), "{step}");
        }
    }

    #[test]
    fn judging_is_cheap_enough_for_each_request() {
        let m = |bits: u32| (BigUint::from(1u32) << bits) - 1u32;
        let modulus = (m(4_253) * m(3_217)).to_bytes_be();
        let start = Instant::now();
        for _ in 0..10 {
            assert_eq!(check_modulus(&modulus), Ok(()));
        }
        // About 2 ms each without optimisation, for a key that nobody uses; the bound catches another order.
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    }
}
