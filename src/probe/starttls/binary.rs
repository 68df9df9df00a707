//! The protocols of octets: LDAP in BER, and the two databases.

use super::{Stop, Talk, refused};

/// RFC 4511 4.14: the extended operation 1.3.6.1.4.1.1466.20037, and its response.
pub(super) async fn ldap(talk: &mut Talk<'_>) -> Result<(), Stop> {
    // SEQUENCE { messageID 1, [APPLICATION 23] { [0] requestName } }
    let mut request = vec![0x30, 0x1d, 0x02, 0x01, 0x01, 0x77, 0x18, 0x80, 0x16];
    request.extend(b"1.3.6.1.4.1.1466.20037");
    talk.say(&request).await?;
    let head = talk.octets(2).await?;
    if head[0] != 0x30 {
        return Err(talk.stranger());
    }
    let length = match head[1] {
        short @ 0..=0x7f => usize::from(short),
        long @ 0x81..=0x84 => {
            let octets = talk.octets(usize::from(long - 0x80)).await?;
            octets.iter().fold(0, |length, octet| length << 8 | usize::from(*octet))
        }
        _ => return Err(talk.stranger()),
    };
    let body = talk.octets(length).await?;
    let Some((2, id, rest)) = element(&body) else { return Err(talk.stranger()) };
    // Message 0 is a notice of disconnection; a response has the number of its request.
    let Some((0x78, response, _)) = element(rest) else { return Err(talk.stranger()) };
    let Some((0x0a, code, rest)) = element(response) else { return Err(talk.stranger()) };
    match (id, code) {
        ([1], [0]) => Ok(()),
        ([1] | [0], [code]) => {
            let words =
                element(rest).and_then(|(_, _, rest)| element(rest)).map_or(&[][..], |(_, words, _)| words);
            Err(refused(&format!("result {code} {}", String::from_utf8_lossy(words))))
        }
        _ => Err(talk.stranger()),
    }
}

/// Tag, contents and what follows, of an element of BER with a definite length.
fn element(octets: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = octets.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x84 => {
            let (length, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
            (length.iter().fold(0, |sum, octet| sum << 8 | usize::from(*octet)), rest)
        }
        _ => return None,
    };
    let (contents, rest) = rest.split_at_checked(length)?;
    Some((*tag, contents, rest))
}

/// PostgreSQL's documentation, 54.2.10: the request 80877103, answered by one octet.
pub(super) async fn postgres(talk: &mut Talk<'_>) -> Result<(), Stop> {
    talk.say(&[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]).await?;
    match talk.octets(1).await?[0] {
        b'S' => Ok(()),
        b'N' => Err(refused("it answers N: ssl is off")),
        _ => Err(talk.stranger()),
    }
}

/// MySQL's documentation, Protocol::HandshakeV10 and Protocol::SSLRequest.
pub(super) async fn mysql(talk: &mut Talk<'_>) -> Result<(), Stop> {
    let head = talk.octets(4).await?;
    let length = usize::from(head[0]) | usize::from(head[1]) << 8 | usize::from(head[2]) << 16;
    if !(1..=MYSQL_GREETING).contains(&length) || head[3] != 0 {
        return Err(talk.stranger());
    }
    let greeting = talk.octets(length).await?;
    match greeting.split_first() {
        Some((10, rest)) => {
            let end = rest.iter().position(|octet| *octet == 0);
            // Behind the version: thread id, eight octets of a nonce, a filler, the lower half of the capabilities.
            let flags = end.and_then(|end| rest.get(end + 14..end + 16));
            let Some(flags) = flags else { return Err(talk.stranger()) };
            if flags[1] & SSL == 0 {
                return Err(refused("its greeting has no CLIENT_SSL: it has no certificate, or TLS is off"));
            }
        }
        Some((0xff, words)) => {
            let words = words.get(2..).unwrap_or_default();
            return Err(refused(&String::from_utf8_lossy(words)));
        }
        _ => return Err(talk.stranger()),
    }
    let mut request = vec![32, 0, 0, 1];
    // PROTOCOL_41, SSL and SECURE_CONNECTION; 16 MiB at most in a packet; utf8mb4.
    request.extend([0x00, 0x02 | SSL | 0x80, 0, 0]);
    request.extend([0, 0, 0, 1, 45]);
    request.extend([0; 23]);
    talk.say(&request).await
}

const MYSQL_GREETING: usize = 1_024;
/// CLIENT_SSL in the second octet of the capabilities.
const SSL: u8 = 0x08;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_bounded_by_what_is_there() {
        assert_eq!(element(&[2, 1, 5, 9]), Some((2, &[5][..], &[9][..])));
        assert_eq!(element(&[4, 0x82, 0, 2, 7, 8]), Some((4, &[7, 8][..], &[][..])));
        for broken in
            [&[][..], &[2], &[2, 2, 1], &[2, 0x80, 0, 0], &[2, 0x84, 0xff, 0xff, 0xff, 0xff], &[2, 0x82, 1]]
        {
            assert_eq!(element(broken), None, "{broken:?}");
        }
    }
}
