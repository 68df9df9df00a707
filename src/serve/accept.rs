//! One listening socket: connections, TLS, HTTP/1 and HTTP/2, with a bound on everything, and an orderly end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use super::rest::Drained;
use crate::web::Peer;

/// Serves until `stop` says so, then lets the connections end that have a request under way.
pub(super) async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    mut stop: watch::Receiver<bool>,
) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let builder = builder();
    loop {
        let accepted = tokio::select! {
            () = crate::stopped(&mut stop) => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        let Some((stream, peer, slot)) = accepted else { continue };
        let service = Peered { inner: TowerToHyperService::new(router.clone()), peer: Peer(peer.ip()) };
        let (tls, builder, watcher) = (tls.clone(), builder.clone(), graceful.watcher());
        let mut stop = stop.clone();
        tokio::spawn(async move {
            let _slot = slot;
            let Some(tls) = tls else { return connection(stream, &builder, service, watcher).await };
            let handshake = tokio::select! {
                // Nothing was asked yet, so nothing waits for an answer.
                () = crate::stopped(&mut stop) => return,
                handshake = tokio::time::timeout(HANDSHAKE, tls.accept(stream)) => handshake,
            };
            match handshake {
                Ok(Ok(stream)) => connection(stream, &builder, service, watcher).await,
                Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
                Err(_) => tracing::debug!("TLS handshake took too long"),
            }
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            // Replies are small and complete: waiting to fill a segment only adds delay.
            let _ = stream.set_nodelay(true);
            Some((stream, peer, slot))
        }
        Err(error) => {
            // Out of descriptors, mostly: let connections end before the next try.
            tracing::error!(%error, "a connection could not be accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

async fn connection<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    builder: &auto::Builder<TokioExecutor>,
    service: Peered,
    watcher: hyper_util::server::graceful::Watcher,
) {
    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(error, "a connection ended in an error");
    }
}

/// The routes, told with each request who asks.
#[derive(Clone)]
struct Peered {
    inner: TowerToHyperService<Router>,
    peer: Peer,
}

impl Service<Request<Incoming>> for Peered {
    type Response = <TowerToHyperService<Router> as Service<Request<Drained>>>::Response;
    type Error = <TowerToHyperService<Router> as Service<Request<Drained>>>::Error;
    type Future = <TowerToHyperService<Router> as Service<Request<Drained>>>::Future;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.peer);
        self.inner.call(Drained::of(request))
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // Bounds on what a client can make us hold: time for the head of a request, its size, streams at once.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS).max_buf_size(HEADER_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(HEADERS))
        .keep_alive_timeout(HANDSHAKE)
        .max_header_list_size(16 * 1024)
        .max_concurrent_streams(64);
    builder
}

/// How many connections a socket has at once; further ones wait in the kernel's queue.
const CONNECTIONS: usize = 4_096;
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long the next request's head may take, which is also how long an idle connection is kept.
const HEADERS: Duration = Duration::from_secs(60);
const HEADER_BYTES: usize = 64 * 1024;
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
