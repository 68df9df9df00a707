//! A DNS server (RFC 1035) that sends every name to loopback: 127.0.0.1 for A, no data for every other type. It is for
//! servers that ask the system's resolver, inside the namespace whose resolver this is.

use std::net::SocketAddr;

use anyhow::Context as _;
use tokio::net::UdpSocket;

/// Serves until the runtime ends.
pub(crate) async fn serve(address: SocketAddr) -> anyhow::Result<()> {
    let socket = UdpSocket::bind(address).await.with_context(|| format!("listening on {address} for DNS"))?;
    tokio::spawn(async move {
        let mut query = [0; 1232];
        while let Ok((length, peer)) = socket.recv_from(&mut query).await {
            if let Some(reply) = reply(&query[..length]) {
                let _ = socket.send_to(&reply, peer).await; // lost like any datagram: the server asks again
            }
        }
    });
    Ok(())
}

/// `None` for what is not one question; it gets no answer.
fn reply(query: &[u8]) -> Option<Vec<u8>> {
    let [id0, id1, flags, _, 0, 1, ..] = *query else { return None };
    if flags & RESPONSE != 0 {
        return None;
    }
    let mut at = HEADER;
    while *query.get(at)? != 0 {
        at += 1 + usize::from(query[at]);
    }
    let question = query.get(HEADER..at + 5)?; // the name's end, type and class
    let answered = query[at + 1..at + 3] == A;
    // Authoritative, recursion available, NOERROR; the client's "recursion desired" comes back.
    let mut reply =
        vec![id0, id1, RESPONSE | 0x04 | (flags & 0x01), 0x80, 0, 1, 0, u8::from(answered), 0, 0, 0, 0];
    reply.extend_from_slice(question);
    if answered {
        reply.extend_from_slice(&[0xc0, 12]); // the name of the question
        reply.extend_from_slice(&A);
        reply.extend_from_slice(&[0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]); // IN, 60 s, 4 octets
    }
    Some(reply)
}

const HEADER: usize = 12;
const RESPONSE: u8 = 0x80;
const A: [u8; 2] = [0, 1];
