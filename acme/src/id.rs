//! The names that we give to things. Text, minted by us, safe in a URL and in a log.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// How many random octets an id is minted from: 80 bits, so that no id can be guessed.
pub const ID_RANDOM: usize = 10;

/// How many random octets a serial is minted from.
pub const SERIAL_RANDOM: usize = 16;

macro_rules! id {
    ($(#[$doc:meta] $name:ident),* $(,)?) => {$(
        #[$doc]
        ///
        /// 28 hexadecimal digits: the second of its making, then 80 random bits. Ids sort by age, so that rows
        /// that are made together lie together in the store.
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// A new id from the time and from fresh random octets.
            pub fn mint(now: Timestamp, random: [u8; ID_RANDOM]) -> Self {
                Self(mint(now, random))
            }

            /// Reads an id back from a URL or a row; `None` when it cannot be one of ours.
            pub fn parse(text: &str) -> Option<Self> {
                is_id(text).then(|| Self(text.to_owned()))
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

id! {
    /// An account, RFC 8555 7.1.2.
    AccountId,
    /// An order, RFC 8555 7.1.3.
    OrderId,
    /// An authorization, RFC 8555 7.1.4. Its challenges are named by it and by their type.
    AuthorizationId,
    /// A key for external account binding, RFC 8555 7.3.4.
    ExternalAccountId,
    /// A row of the audit trail.
    AuditId,
    /// A message to people that waits in the outbox, or waited.
    MessageId,
}

/// A certificate's serial number, RFC 5280 4.1.2.2, as lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Serial(String);

impl Serial {
    /// A new serial of exactly 16 octets. The two highest bits are fixed (0, then 1), so that it is positive and
    /// keeps its length in DER; 126 bits stay random.
    pub fn mint(mut random: [u8; SERIAL_RANDOM]) -> Self {
        random[0] = (random[0] & 0x3f) | 0x40;
        Self(hex(&random))
    }

    /// Reads a serial from text: hexadecimal digits, with or without colons, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: String = text.chars().filter(|c| *c != ':').collect::<String>().to_ascii_lowercase();
        let fits = !digits.is_empty() && digits.len() <= 40 && digits.len().is_multiple_of(2);
        (fits && digits.bytes().all(|b| b.is_ascii_hexdigit())).then_some(Self(digits))
    }

    /// A serial as it stands in a certificate.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(hex(bytes))
    }

    /// The octets, most significant first.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.as_bytes().chunks(2).map(|pair| pair.iter().fold(0, |acc, d| acc << 4 | nibble(*d))).collect()
    }

    /// The serial as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Octets as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]])
        .map(char::from)
        .collect()
}

fn mint(now: Timestamp, random: [u8; ID_RANDOM]) -> String {
    // Four octets of seconds last until 2106; a clock before 1970 only loses the order.
    let seconds = u32::try_from(now.unix()).unwrap_or(0);
    hex(&seconds.to_be_bytes()) + &hex(&random)
}

fn is_id(text: &str) -> bool {
    text.len() == 2 * (4 + ID_RANDOM) && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => digit - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_the_second_of_their_making() {
        let early = OrderId::mint(Timestamp::from_unix(1_000), [0xff; ID_RANDOM]);
        let late = OrderId::mint(Timestamp::from_unix(1_001), [0; ID_RANDOM]);
        assert!(early < late);
        assert_eq!(OrderId::parse(early.as_str()), Some(early));
    }

    #[test]
    fn what_is_not_an_id_is_not_read_as_one() {
        for text in
            ["", "abc", "../../../../../../../../etc", &"g".repeat(28), &"A".repeat(28), &"a".repeat(29)]
        {
            assert_eq!(OrderId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_serial_is_positive_and_of_fixed_length() {
        for fill in [0x00, 0x7f, 0x80, 0xff] {
            let bytes = Serial::mint([fill; SERIAL_RANDOM]).to_bytes();
            assert_eq!(bytes.len(), SERIAL_RANDOM);
            assert!((0x40..0x80).contains(&bytes[0]), "{:x}", bytes[0]);
        }
    }

    #[test]
    fn a_serial_is_read_as_openssl_prints_it() {
        let serial = Serial::parse("4A:0B:ff").expect("colons and capitals are accepted");
        assert_eq!(serial.as_str(), "4a0bff");
        assert_eq!(serial.to_bytes(), [0x4a, 0x0b, 0xff]);
        assert_eq!(Serial::parse("4a0"), None);
        assert_eq!(Serial::parse("zz"), None);
    }
}
