//! The one DER form of a SubjectPublicKeyInfo (RFC 5280 4.1.2.7, RFC 3279 2.3.1, RFC 5480 2, RFC 8410 4). Two keys are
//! the same key if and only if these octets are the same; it is also how a key of another form is told apart.

/// A curve of RFC 7518 6.2.1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Curve {
    P256,
    P384,
    P521,
}

impl Curve {
    pub(crate) const ALL: [Self; 3] = [Self::P256, Self::P384, Self::P521];

    /// The name of RFC 7518.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        }
    }

    /// The octets of one coordinate.
    pub(crate) fn coordinate(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    /// The namedCurve of RFC 5480 2.1.1.1, in DER.
    fn oid(self) -> &'static [u8] {
        match self {
            Self::P256 => &[0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7],
            Self::P384 => &[0x06, 5, 0x2b, 0x81, 0x04, 0, 34],
            Self::P521 => &[0x06, 5, 0x2b, 0x81, 0x04, 0, 35],
        }
    }
}

/// The key of a point, given as SEC 1 writes it without compression: 4, x, y.
pub(crate) fn ec(curve: Curve, point: &[u8]) -> Vec<u8> {
    wrap(&[EC_PUBLIC_KEY, curve.oid()].concat(), point)
}

/// The key of a modulus and an exponent, both most significant octet first.
pub(crate) fn rsa(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let key = der(SEQUENCE, &[unsigned(modulus), unsigned(exponent)].concat());
    wrap(RSA_ENCRYPTION, &key)
}

/// The key of an Ed25519 point.
pub(crate) fn ed25519(point: &[u8]) -> Vec<u8> {
    wrap(ED25519, point)
}

/// A big number without the zeros before it.
pub(crate) fn minimal(number: &[u8]) -> &[u8] {
    &number[number.iter().take_while(|octet| **octet == 0).count()..]
}

/// How many bits a big number has.
pub(crate) fn bits(number: &[u8]) -> usize {
    let number = minimal(number);
    number.first().map_or(0, |first| 8 * number.len() - first.leading_zeros() as usize)
}

/// Whether this Ed25519 point generates at most eight others. Neither OpenSSL nor aws-lc looks at it.
pub(crate) fn is_of_small_order(mut point: [u8; 32]) -> bool {
    // The sign of x does not change the order.
    point[31] &= 0x7f;
    SMALL_ORDER.contains(&crate::id::hex(&point).as_str())
}

fn wrap(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    // The zero says that no bit of the last octet is unused.
    let key = der(BIT_STRING, &[&[0], key].concat());
    der(SEQUENCE, &[der(SEQUENCE, algorithm), key].concat())
}

/// INTEGER is signed: a first bit that is set needs a zero before it.
fn unsigned(number: &[u8]) -> Vec<u8> {
    let number = minimal(number);
    let is_negative = number.first().is_none_or(|first| first & 0x80 != 0);
    let sign: &[u8] = if is_negative { &[0] } else { &[] };
    der(INTEGER, &[sign, number].concat())
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let mut out = vec![tag];
    match minimal(&length) {
        [] => out.push(0),
        [short @ ..0x80] => out.push(*short),
        long => {
            out.push(0x80 | u8::try_from(long.len()).expect("a length has at most eight octets"));
            out.extend_from_slice(long);
        }
    }
    out.extend_from_slice(content);
    out
}

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;
/// rsaEncryption with the NULL that RFC 3279 2.3.1 demands.
const RSA_ENCRYPTION: &[u8] = &[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
const EC_PUBLIC_KEY: &[u8] = &[0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const ED25519: &[u8] = &[0x06, 3, 0x2b, 101, 112];

/// y of every point whose order divides 8, in both encodings where there are two (RFC 8032 5.1.2).
const SMALL_ORDER: [&str; 7] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_form() {
        assert_eq!(unsigned(&[0, 0, 0x7f]), [2, 1, 0x7f]);
        assert_eq!(unsigned(&[0x80]), [2, 2, 0, 0x80]);
        assert_eq!(unsigned(&[0]), [2, 1, 0]);
        assert_eq!((bits(&[0, 1, 0]), bits(&[0x80]), bits(&[])), (9, 8, 0));
    }

    #[test]
    fn lengths_are_as_short_as_they_can_be() {
        assert_eq!(der(4, &[])[..2], [4, 0]);
        assert_eq!(der(4, &[0; 127])[..2], [4, 127]);
        assert_eq!(der(4, &[0; 128])[..3], [4, 0x81, 128]);
        assert_eq!(der(4, &[0; 256])[..4], [4, 0x82, 1, 0]);
    }
}
