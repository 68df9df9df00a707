//! The other side of http-01 (RFC 8555 section 8.3): a web server on loopback that knows the key authorizations of all
//! workers.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

#[derive(Clone, Default)]
pub(crate) struct Responder {
    answers: Arc<Mutex<HashMap<String, String>>>,
}

impl Responder {
    /// Serves until the runtime ends; answers the port, which matters when `address` left it open.
    pub(crate) async fn serve(&self, address: SocketAddr) -> anyhow::Result<u16> {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("listening on {address} for http-01"))?;
        let port = listener.local_addr()?.port();
        let responder = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let responder = responder.clone();
                tokio::spawn(async move { responder.connection(stream).await });
            }
        });
        Ok(port)
    }

    pub(crate) fn put(&self, token: &str, key_authorization: String) {
        self.answers().insert(token.to_owned(), key_authorization);
    }

    pub(crate) fn remove(&self, token: &str) {
        self.answers().remove(token);
    }

    fn answers(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.answers.lock().expect("nothing panics while it holds the answers")
    }

    async fn connection(&self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let mut received = Vec::with_capacity(1024);
        loop {
            let end = loop {
                if let Some(at) = received.windows(4).position(|window| window == b"\r\n\r\n") {
                    break at + 4;
                }
                if received.len() > MAX_HEAD || stream.read_buf(&mut received).await? == 0 {
                    return Ok(());
                }
            };
            let head: Vec<u8> = received.drain(..end).collect();
            let head = String::from_utf8_lossy(&head);
            let close = head.to_ascii_lowercase().contains("\r\nconnection: close");
            let token =
                head.split(' ').nth(1).and_then(|path| path.strip_prefix("/.well-known/acme-challenge/"));
            let (status, body) = match token.and_then(|token| self.answers().get(token).cloned()) {
                Some(answer) => ("200 OK", answer),
                None => ("404 Not Found", "this token is not known here\n".to_owned()),
            };
            let length = body.len();
            let reply = format!(
                "HTTP/1.1 {status}\r\nContent-Type: application/octet-stream\r\nContent-Length: {length}\r\n\r\n{body}"
            );
            stream.write_all(reply.as_bytes()).await?;
            if close {
                return stream.shutdown().await;
            }
        }
    }
}

const MAX_HEAD: usize = 16 * 1024;
