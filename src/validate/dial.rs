//! Opening a connection to a target: the vetted addresses in turn, each recorded. What is said on it is the caller's.

use std::io;
use std::net::{IpAddr, SocketAddr};

use acme::failure::{Dial, Phase, Reason};
use acme::problem::plain;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::Stop;

/// A connection that was taken. Whoever asked for it puts its [`Dial`] into the evidence when it has ended.
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    pub(super) dial: Dial,
    /// When it was dialled.
    pub(super) begun: Instant,
}

/// Dials until one of `addresses` takes the connection. `url` is what is asked for, in the evidence and in sentences.
pub(super) async fn connect(
    url: &str,
    addresses: &[IpAddr],
    port: u16,
    deadline: Instant,
    dials: &mut Vec<Dial>,
) -> Result<Connection, Stop> {
    let mut misses = Vec::new();
    let mut reason = Reason::Unreachable;
    let mut left = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
    for ip in addresses.iter().take(MAX_DIALS) {
        let address = SocketAddr::new(*ip, port);
        let begun = Instant::now();
        // One dead address must leave time for the others, and for the answer.
        let share = deadline.saturating_duration_since(begun) / (left.saturating_add(1));
        left -= 1;
        let mut dial = Dial { url: url.to_owned(), address, status: None, error: None, millis: 0 };
        let miss = match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(Connection { stream, dial, begun }),
            Ok(Err(error)) => explain(&error),
            Err(_) => {
                (Reason::Timeout, "did not take the connection; a firewall may be dropping it".to_owned())
            }
        };
        dial.millis = millis(begun);
        misses.push(format!("{address} {} ({} ms)", miss.1, dial.millis));
        dial.error = Some(miss.1);
        dials.push(dial);
        reason = miss.0;
    }
    let detail = format!("{}: {}", plain(url, 200), plain(&misses.join("; "), 400));
    Err(Stop::new(Phase::Connect, reason, detail))
}

/// What the system's error means for the reader.
pub(super) fn explain(error: &io::Error) -> (Reason, String) {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::ConnectionRefused => {
            (Reason::Refused, "refused the connection: nothing listens there".to_owned())
        }
        Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe | Kind::UnexpectedEof => {
            (Reason::Reset, "reset the connection".to_owned())
        }
        Kind::TimedOut => (Reason::Timeout, "did not answer in time".to_owned()),
        Kind::InvalidData | Kind::InvalidInput => (Reason::Malformed, format!("broke the protocol: {error}")),
        _ => (Reason::Unreachable, format!("cannot be reached: {error}")),
    }
}

pub(super) fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// How many addresses of a name are dialled.
const MAX_DIALS: usize = 8;
