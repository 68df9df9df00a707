//! The sockets that hickory asks through, to one server: Tokio's, except that UDP sockets are connected. So the system
//! drops what others send, and tells at once when nothing listens; and the server is reached through its IPv6 zone
//! (`fe80::1%eth0`), which hickory's configuration has no room for.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hickory_resolver::net::runtime::{
    DnsUdpSocket, RuntimeProvider, TokioHandle, TokioRuntimeProvider, TokioTime,
};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Opens sockets to one server, whichever is asked for. Clones share the tasks that drive the connections; these end
/// with the last clone.
#[derive(Clone)]
pub(super) struct Sockets {
    server: SocketAddr,
    tokio: TokioRuntimeProvider,
}

impl Sockets {
    pub(super) fn new(server: SocketAddr) -> Self {
        Self { server, tokio: TokioRuntimeProvider::new() }
    }
}

impl RuntimeProvider for Sockets {
    type Handle = TokioHandle;
    type Timer = TokioTime;
    type Udp = Connected;
    type Tcp = <TokioRuntimeProvider as RuntimeProvider>::Tcp;

    fn create_handle(&self) -> TokioHandle {
        self.tokio.create_handle()
    }

    fn connect_tcp(
        &self,
        _: SocketAddr,
        from: Option<SocketAddr>,
        limit: Option<Duration>,
    ) -> Pin<Box<dyn Future<Output = io::Result<Self::Tcp>> + Send>> {
        self.tokio.connect_tcp(self.server, from, limit)
    }

    /// hickory asks for a socket, with a random port, for each datagram that it sends.
    fn bind_udp(
        &self,
        from: SocketAddr,
        _: SocketAddr,
    ) -> Pin<Box<dyn Future<Output = io::Result<Connected>> + Send>> {
        let server = self.server;
        Box::pin(async move {
            let socket = UdpSocket::bind(from).await?;
            socket.connect(server).await?;
            Ok(Connected(socket))
        })
    }
}

/// A UDP socket that knows one server.
pub(super) struct Connected(UdpSocket);

impl DnsUdpSocket for Connected {
    type Time = TokioTime;

    fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        DnsUdpSocket::poll_recv_from(&self.0, cx, buffer)
    }

    /// Waits for an error as well: Tokio's own `recv_from` sleeps on when the system learns that nothing listens. (The
    /// signature is what `async fn` is to hickory's trait.)
    fn recv_from<'socket, 'buffer, 'both>(
        &'socket self,
        buffer: &'buffer mut [u8],
    ) -> Pin<Box<dyn Future<Output = io::Result<(usize, SocketAddr)>> + Send + 'both>>
    where
        'socket: 'both,
        'buffer: 'both,
        Self: 'both,
    {
        Box::pin(async move {
            loop {
                self.0.ready(Interest::READABLE | Interest::ERROR).await?;
                let received = self.0.try_recv_from(buffer).or_else(|error| match error.kind() {
                    io::ErrorKind::WouldBlock => {
                        self.0.try_io(Interest::ERROR, || Err(self.0.take_error()?.unwrap_or(error)))
                    }
                    _ => Err(error),
                });
                match received {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    done => return done,
                }
            }
        })
    }

    fn poll_send_to(&self, cx: &mut Context<'_>, bytes: &[u8], _: SocketAddr) -> Poll<io::Result<usize>> {
        self.0.poll_send(cx, bytes)
    }
}
