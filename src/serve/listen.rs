//! Sockets: our own, or those that systemd hands over (sd_listen_fds(3)).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use anyhow::{Context as _, bail};
use listenfd::ListenFd;

use crate::config::Config;

/// What is behind a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// ACME over TLS.
    Acme,
    /// Plain downloads.
    Plain,
    /// Health and metrics.
    Status,
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Acme => "acme",
            Self::Plain => "plain",
            Self::Status => "status",
        })
    }
}

/// Where the sockets come from.
pub struct Listeners {
    handed_over: Vec<(Door, TcpListener)>,
}

impl Listeners {
    /// None handed over: the configuration's addresses are bound.
    pub fn none() -> Self {
        Self { handed_over: Vec::new() }
    }

    /// Those of systemd, by their `FileDescriptorName=`: `acme`, `plain`, `status`. Another name is `acme`, because a
    /// socket unit without a name hands its own over.
    ///
    /// # Errors
    /// A descriptor that is no listening TCP socket.
    pub fn from_systemd() -> anyhow::Result<Self> {
        let mut sockets = ListenFd::from_env();
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let names: Vec<&str> = names.split(':').collect();
        let mut handed_over = Vec::new();
        for index in 0..sockets.len() {
            let name = names.get(index).copied().unwrap_or_default();
            let door = match name {
                "plain" => Door::Plain,
                "status" => Door::Status,
                _ => Door::Acme,
            };
            let socket = sockets
                .take_tcp_listener(index)
                .with_context(|| format!("socket {index} ({name}) that systemd handed over is not usable"))?;
            handed_over.extend(socket.map(|socket| (door, socket)));
        }
        Ok(Self { handed_over })
    }

    /// The sockets of every door: handed over, else bound as configured.
    ///
    /// # Errors
    /// An address that cannot be bound, with its key.
    pub(super) fn bind(self, config: &Config) -> anyhow::Result<Vec<(Door, tokio::net::TcpListener)>> {
        let mut sockets = self.handed_over;
        let wanted = [
            (Door::Acme, "server.listen", &config.listen),
            (Door::Plain, "server.plain_listen", &config.plain_listen),
            (Door::Status, "server.status_listen", &config.status_listen),
        ];
        for (door, key, addresses) in wanted {
            if sockets.iter().any(|(given, _)| *given == door) {
                continue;
            }
            for address in addresses {
                let socket = bind(*address).with_context(|| format!("{key}: {address}"))?;
                sockets.push((door, socket));
            }
        }
        sockets
            .into_iter()
            .map(|(door, socket)| {
                socket.set_nonblocking(true)?;
                Ok((door, tokio::net::TcpListener::from_std(socket)?))
            })
            .collect()
    }
}

fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let error = match TcpListener::bind(address) {
        Ok(socket) => return Ok(socket),
        Err(error) => error,
    };
    match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            bail!("another program has this port ({error}); `ss -ltnp` shows which, or choose another port")
        }
        std::io::ErrorKind::PermissionDenied => {
            bail!("{error}; a port below 1024 needs CAP_NET_BIND_SERVICE or a socket from systemd")
        }
        // A host without IPv6: `[::]` means every address that there is.
        _ if address.ip() == IpAddr::from([0u16; 8]) => {
            Ok(TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port()))?)
        }
        _ => Err(error.into()),
    }
}
