//! Free loopback ports. They are taken below the range that the system gives to outgoing connections, so that a port
//! which was free a moment ago, or which a stopped server will want again, is not somebody's source port by then.

use std::collections::HashSet;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket};
use std::sync::{Mutex, PoisonError};

/// A port that nothing listens at, over IPv4 and IPv6, TCP and UDP; no two callers in this process get the same.
pub fn free_port() -> u16 {
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    let taken = taken.get_or_insert_with(HashSet::new);
    for _ in 0..1_000 {
        let mut random = [0; 2];
        aws_lc_rs::rand::fill(&mut random).expect("randomness");
        let port = 12_000 + u16::from_ne_bytes(random) % 18_000;
        if is_free(port) && taken.insert(port) {
            return port;
        }
    }
    panic!("no free port between 12000 and 30000");
}

fn is_free(port: u16) -> bool {
    // A machine may be without IPv6; then nobody listens there.
    let v6 = TcpListener::bind((Ipv6Addr::LOCALHOST, port));
    let v6 = !matches!(v6, Err(error) if error.kind() == std::io::ErrorKind::AddrInUse);
    v6 && TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
        && UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

static TAKEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);
