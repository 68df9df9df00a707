//! What is said to systemd (sd_notify(3)), and sockets that it hands over (sd_listen_fds(3)).

use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use crate::program::{ACME_CA, serve};
use crate::support::ca::{PATIENCE, POLL};
use crate::support::ports::free_port;
use crate::support::{Ca, Client, clients};

#[test]
fn systemd_is_told_of_readiness_reloads_life_and_the_end() {
    let ca = Ca::new();
    let socket = Notified::at(&ca);
    let mut command = serve(&ca);
    command.env("NOTIFY_SOCKET", ca.path("notify")).env("WATCHDOG_USEC", "300000");
    let server = Running::start(&mut command);

    let ready = socket.wait_for(|said| said.contains("READY=1"));
    let serving = format!("STATUS=serving {}", ca.directory());
    assert!(ready.lines().any(|line| line == serving), "{ready}");
    // Three times within each period that systemd allows; more than one tells that it goes on.
    for _ in 0..3 {
        socket.wait_for(|said| said == "WATCHDOG=1");
    }

    server.signal("HUP");
    let reloading = socket.wait_for(|said| said.contains("RELOADING=1"));
    let stamp = reloading.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC="));
    assert!(stamp.is_some_and(|stamp| stamp.parse::<u64>().is_ok_and(|usec| usec > 0)), "{reloading}");
    let ready = socket.wait_for(|said| said.contains("READY=1"));
    assert!(ready.contains(&serving), "{ready}");

    ca.configure("[server]\nlissten = []");
    server.signal("HUP");
    socket.wait_for(|said| said.contains("RELOADING=1"));
    let ready = socket.wait_for(|said| said.contains("READY=1"));
    assert!(ready.contains("STATUS=the last reload was refused") && ready.contains("lissten"), "{ready}");

    server.signal("TERM");
    socket.wait_for(|said| said.contains("STOPPING=1"));
    assert_eq!(server.ended(), Some(0));
}

#[test]
fn nothing_is_said_to_be_ready_that_is_not() {
    let ca = Ca::new();
    let socket = Notified::at(&ca);
    std::fs::write(ca.path("ca.db"), [0x5a; 9_000]).expect("written");
    let mut command = serve(&ca);
    let server = Running::start(command.env("NOTIFY_SOCKET", ca.path("notify")).stderr(Stdio::null()));
    assert_eq!(server.ended(), Some(1));
    assert_eq!(socket.all(), Vec::<String>::new());
}

#[tokio::test]
async fn the_three_doors_are_handed_over_by_name() {
    let ca = Ca::new();
    let (plain, elsewhere) = (free_port(), [free_port(), free_port(), free_port()]);
    let [listen, plain_listen, status_listen] = elsewhere;
    ca.configure(&format!(
        "[server]\nlisten = [\"127.0.0.1:{listen}\"]\nplain_listen = [\"127.0.0.1:{plain_listen}\"]\n\
         status_listen = [\"127.0.0.1:{status_listen}\"]"
    ));
    let _server = activated(&ca, &[("acme", ca.port), ("plain", plain), ("status", ca.status_port)]);
    answers(&ca).await;
    let directory = Client::new(&ca).plain("GET", "/acme/directory").await;
    assert_eq!(directory.status, 200, "{directory}");
    let root = crate::doors::get(plain, "/root.pem").await;
    assert_eq!(root.body, std::fs::read(ca.root()).expect("read"));
    for port in elsewhere {
        assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err(), "no door is opened twice: {port}");
    }
}

#[tokio::test]
async fn doors_that_are_not_handed_over_are_bound_as_configured() {
    let ca = Ca::new();
    let elsewhere = free_port();
    ca.configure(&format!("[server]\nlisten = [\"127.0.0.1:{elsewhere}\"]"));
    // A socket unit without FileDescriptorName= hands its own name over.
    let _server = activated(&ca, &[("acme-ca.socket", ca.port)]);
    // It is started by the first connection.
    let _first = TcpStream::connect(("127.0.0.1", ca.port)).await.expect("systemd listens");
    answers(&ca).await;
    assert_eq!(Client::new(&ca).plain("GET", "/acme/directory").await.status, 200);
    assert!(TcpStream::connect(("127.0.0.1", elsewhere)).await.is_err());
}

/// systemd's own way of trying socket activation. It starts the program at the first connection.
fn activated(ca: &Ca, sockets: &[(&str, u16)]) -> Running {
    let mut command = Command::new(clients::installed("systemd-socket-activate", "systemd"));
    for (_, port) in sockets {
        command.arg("-l").arg(format!("127.0.0.1:{port}"));
    }
    let names: Vec<&str> = sockets.iter().map(|(name, _)| *name).collect();
    command.arg(format!("--fdname={}", names.join(":")));
    command.args(["-E", "ACME_CA_LOG=debug", ACME_CA, "serve", "--config"]).arg(ca.config());
    let server = Running::start(command.stderr(Stdio::null()));
    let deadline = Instant::now() + PATIENCE;
    for (_, port) in sockets {
        while listens_not(*port) {
            assert!(Instant::now() < deadline, "systemd-socket-activate does not listen");
            std::thread::sleep(POLL);
        }
    }
    server
}

/// Whether a port is free. It does not connect, because that would start the program.
fn listens_not(port: u16) -> bool {
    let hex = format!("0100007F:{port:04X} 00000000:0000 0A");
    !std::fs::read_to_string("/proc/net/tcp").is_ok_and(|sockets| sockets.contains(&hex))
}

async fn answers(ca: &Ca) {
    let deadline = Instant::now() + PATIENCE;
    while ca.get_status("/health/live").await.is_none() {
        assert!(Instant::now() < deadline, "it does not answer");
        tokio::time::sleep(POLL).await;
    }
}

/// The socket that systemd would listen at.
struct Notified(UnixDatagram);

impl Notified {
    fn at(ca: &Ca) -> Self {
        let socket = UnixDatagram::bind(ca.path("notify")).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a bound");
        Self(socket)
    }

    /// The next message of a kind; others in between are passed over.
    fn wait_for(&self, wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut passed = Vec::new();
        while Instant::now() < deadline {
            let Some(said) = self.next() else { break };
            if wanted(said.trim_end()) {
                return said;
            }
            passed.push(said);
        }
        panic!("it does not come after {passed:?}");
    }

    /// Everything that waits.
    fn all(&self) -> Vec<String> {
        self.0.set_read_timeout(Some(Duration::from_millis(1))).expect("a bound");
        std::iter::from_fn(|| self.next()).collect()
    }

    fn next(&self) -> Option<String> {
        let mut buffer = [0; 4_096];
        let length = self.0.recv(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
    }
}

/// A server of one test; it ends when it is dropped.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).spawn().expect("it runs"))
    }

    fn signal(&self, name: &str) {
        let done = Command::new("kill").args(["-s", name, &self.0.id().to_string()]).status();
        assert!(done.expect("kill runs").success());
    }

    fn ended(mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.0.try_wait().expect("a child") {
                return status.code();
            }
            std::thread::sleep(POLL);
        }
        panic!("it does not end");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
