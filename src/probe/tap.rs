//! A connection that remembers how its answer began, and ends when it was sent too much.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use acme::problem::plain;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A bounded connection.
pub(super) struct Tap {
    stream: TcpStream,
    first: Vec<u8>,
    left: usize,
}

impl Tap {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, first: Vec::new(), left: LIMIT }
    }

    /// How the answer began, made harmless; nothing when there was none.
    pub(super) fn began(&self) -> Option<String> {
        (!self.first.is_empty()).then(|| plain(&String::from_utf8_lossy(&self.first), SHOWN))
    }
}

impl AsyncRead for Tap {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.left == 0 {
            return Poll::Ready(Err(io::Error::other("too much was sent")));
        }
        let before = buf.filled().len();
        let done = Pin::new(&mut this.stream).poll_read(cx, buf);
        let new = buf.filled().get(before..).unwrap_or_default();
        this.left = this.left.saturating_sub(new.len());
        let room = SHOWN.saturating_sub(this.first.len());
        this.first.extend(new.iter().take(room));
        done
    }
}

impl AsyncWrite for Tap {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

/// How much a server may send until the handshake is done.
const LIMIT: usize = 256 * 1024;
const SHOWN: usize = 64;
