//! The rest of a request that nobody read. A server that answers and closes while octets still come in has the kernel
//! break the connection, and the client never sees the answer (RFC 9112 9.6). So what the routes leave is read on and
//! thrown away, for a while and up to a size, while the answer goes out.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::{Request, Version, header};
use tokio::runtime::Handle;

/// A request's body whose rest is read when it is dropped.
pub(super) struct Drained {
    /// `None` when it is at its end, or may be dropped as it is.
    body: Option<Incoming>,
    /// A stream of HTTP/2 ends by itself, and takes no connection with it.
    is_stream: bool,
    /// The client waits to be told `100 Continue`. To read would tell it so; unread, it sends nothing.
    waits: bool,
}

impl Drained {
    /// Wraps the body of a request.
    pub(super) fn of(request: Request<Incoming>) -> Request<Self> {
        let is_stream = request.version() > Version::HTTP_11;
        let waits = request.headers().contains_key(header::EXPECT);
        request.map(|body| Self { body: Some(body), is_stream, waits })
    }
}

impl Body for Drained {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = Pin::new(body).poll_frame(cx);
        match &frame {
            Poll::Ready(None | Some(Err(_))) => self.body = None,
            // It has been told by now.
            Poll::Ready(Some(Ok(_))) => self.waits = false,
            Poll::Pending => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Drained {
    fn drop(&mut self) {
        if let Some(body) = self.body.take()
            && !(self.waits || self.is_stream)
            && !body.is_end_stream()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(tokio::time::timeout(TIME, discard(body)));
        }
    }
}

async fn discard(mut body: Incoming) {
    let mut left = OCTETS;
    while let Some(Ok(frame)) = body.frame().await {
        let Some(rest) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else { return };
        left = rest;
    }
}

/// How much is read on, and how long. A client that sends more sees its connection break.
const OCTETS: usize = 16 * 1024 * 1024;
const TIME: Duration = Duration::from_secs(5);
