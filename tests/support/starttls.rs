//! Small servers that begin in the clear, each with the dialogue that its protocol's document shows, and TLS behind it.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// A server; it ends when it is dropped.
pub struct Plain {
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    task: JoinHandle<()>,
}

/// How it meets the wish for TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// As it should.
    Grants,
    /// It does not offer it.
    HasNone,
    /// It offers it, and then says no.
    Refuses,
}

type Stream = BufStream<TcpStream>;

impl Plain {
    /// Speaks a protocol of `acme_ca::probe::Starttls`, and shows this chain.
    pub async fn start(protocol: &'static str, manner: Manner, chain: &Path, key: &Path) -> Self {
        let chain: Vec<_> = rustls::pki_types::CertificateDer::pem_file_iter(chain)
            .expect("PEM")
            .map(Result::unwrap)
            .collect();
        let key = PrivateKeyDer::from_pem_file(key).expect("a key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("a pair");
        let tls = TlsAcceptor::from(Arc::new(config));
        Self::each(move |stream| {
            let tls = tls.clone();
            async move {
                let mut stream = BufStream::new(stream);
                if dialogue(protocol, manner, &mut stream).await.is_some() {
                    let _ = tls.accept(stream.into_inner()).await;
                }
            }
        })
        .await
    }

    /// Does something with each connection.
    pub async fn each<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream));
            }
        });
        Self { port, task }
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Up to where TLS begins; nothing when it does not.
async fn dialogue(protocol: &str, manner: Manner, stream: &mut Stream) -> Option<()> {
    match protocol {
        "smtp" => {
            say(stream, "220-mail.corp.lan ESMTP\r\n220 at your service\r\n").await?;
            hear(stream, "EHLO ").await?;
            let offer = if manner == Manner::HasNone { "" } else { "250-STARTTLS\r\n" };
            say(stream, &format!("250-mail.corp.lan\r\n250-PIPELINING\r\n{offer}250 8BITMIME\r\n")).await?;
            hear(stream, "STARTTLS").await?;
            answer(stream, manner, "220 2.0.0 go ahead\r\n", "454 4.7.0 TLS not available\r\n").await
        }
        "imap" => {
            say(stream, "* OK [CAPABILITY IMAP4rev1] ready\r\n").await?;
            hear(stream, "a1 CAPABILITY").await?;
            let offer = if manner == Manner::HasNone { "" } else { " STARTTLS" };
            say(stream, &format!("* CAPABILITY IMAP4rev1{offer} LOGINDISABLED\r\na1 OK done\r\n")).await?;
            hear(stream, "a2 STARTTLS").await?;
            answer(stream, manner, "a2 OK Begin TLS negotiation now.\r\n", "a2 BAD no TLS\r\n").await
        }
        "pop3" => {
            say(stream, "+OK POP3 ready <1@mail.corp.lan>\r\n").await?;
            hear(stream, "STLS").await?;
            answer(stream, manner, "+OK Begin TLS\r\n", "-ERR unknown command\r\n").await
        }
        "xmpp" => {
            until(stream, b"version='1.0'>").await?;
            say(
                stream,
                "<?xml version='1.0'?>\n<stream:stream xmlns='jabber:client' \
                xmlns:stream='http://etherx.jabber.org/streams' id='1' from='x.lan' version='1.0'>",
            )
            .await?;
            let offer = match manner {
                Manner::HasNone => "<stream:features><mechanisms/></stream:features>",
                _ => {
                    "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>"
                }
            };
            say(stream, offer).await?;
            until(stream, b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>").await?;
            answer(
                stream,
                manner,
                "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
                "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>",
            )
            .await
        }
        "ldap" => {
            let mut request = [0; 31];
            stream.read_exact(&mut request).await.ok()?;
            let is_known = request.starts_with(&[0x30, 0x1d, 0x02, 0x01, 0x01, 0x77]);
            (is_known && request.ends_with(b"1.3.6.1.4.1.1466.20037")).then_some(())?;
            let code = if manner == Manner::Grants { 0 } else { 2 };
            // ExtendedResponse: resultCode, matchedDN, diagnosticMessage.
            let body = [&[0x0a, 1, code, 4, 0, 4, 6][..], b"no TLS"].concat();
            let response = [&[2, 1, 1, 0x78, u8::try_from(body.len()).unwrap()][..], &body].concat();
            let message =
                [&[0x30, 0x84, 0, 0, 0, u8::try_from(response.len()).unwrap()][..], &response].concat();
            stream.write_all(&message).await.ok()?;
            stream.flush().await.ok()?;
            (code == 0).then_some(())
        }
        "postgres" => {
            let mut request = [0; 8];
            stream.read_exact(&mut request).await.ok()?;
            (request == [0, 0, 0, 8, 4, 210, 22, 47]).then_some(())?;
            answer(stream, manner, "S", "N").await
        }
        "mysql" => {
            let flags = if manner == Manner::Grants { 0xff } else { 0xf7 };
            // Protocol::HandshakeV10 of MariaDB 11.
            let mut greeting = vec![10];
            greeting.extend(b"11.4.2-MariaDB\0");
            greeting.extend([
                9, 0, 0, 0, b'1', b'2', b'3', b'4', b'5', b'6', b'7', b'8', 0, 0xfe, flags, 45, 2, 0,
            ]);
            greeting.extend([0xff, 0x81, 21, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            greeting.extend(b"123456789012\0mysql_native_password\0");
            let head = [u8::try_from(greeting.len()).unwrap(), 0, 0, 0];
            stream.write_all(&[&head[..], &greeting].concat()).await.ok()?;
            stream.flush().await.ok()?;
            // Past the buffer: a client does not wait for an answer here, and what follows is TLS already.
            let mut request = [0; 36];
            stream.get_mut().read_exact(&mut request).await.ok()?;
            // CLIENT_SSL.
            (request[..4] == [32, 0, 0, 1] && request[5] & 0x08 != 0).then_some(())
        }
        other => panic!("{other} is no protocol"),
    }
}

async fn answer(stream: &mut Stream, manner: Manner, yes: &str, no: &str) -> Option<()> {
    let granted = manner == Manner::Grants;
    say(stream, if granted { yes } else { no }).await?;
    granted.then_some(())
}

async fn say(stream: &mut Stream, text: &str) -> Option<()> {
    stream.write_all(text.as_bytes()).await.ok()?;
    stream.flush().await.ok()
}

async fn hear(stream: &mut Stream, start: &str) -> Option<()> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    line.starts_with(start).then_some(())
}

async fn until(stream: &mut Stream, end: &[u8]) -> Option<()> {
    let mut heard = Vec::new();
    while !heard.ends_with(end) {
        heard.push(stream.read_u8().await.ok()?);
    }
    Some(())
}
