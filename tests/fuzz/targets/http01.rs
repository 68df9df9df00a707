//! What a web server sends to HTTP-01 (RFC 8555 8.3, RFC 9112), over a socket of loopback: all that a validation does, from
//! the pin to the problem.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use acme::challenge::{Token, Type};
use acme::identifier::Identifier;
use acme::time::Timestamp;
use acme_ca::resolver::{self, Resolver};
use acme_ca::validate::{Applicant, Challenge, Settings, Validator};
use rustls::RootCertStore;
use tokio::runtime::{Builder, Runtime};

use super::refused;

/// The octets as everything that the server says, to every question.
pub(crate) fn http01(data: &[u8]) -> String {
    let mut said = SERVER.said.lock().unwrap_or_else(PoisonError::into_inner);
    data.clone_into(&mut said);
    drop(said);
    let identifier = Identifier::dns("a.lan").unwrap();
    let token = Token::from_row("token".to_owned());
    let expected = token.key_authorization("thumbprint");
    let applicant = Applicant::default();
    let challenge = Challenge {
        kind: Type::Http01,
        identifier: &identifier,
        wildcard: false,
        token: &token,
        expected: &expected,
        applicant: &applicant,
        now: Timestamp::EPOCH,
    };
    match SERVER.runtime.block_on(SERVER.validator.attempt(&challenge)) {
        Ok(proof) => {
            let within = |part: &str| {
                data.windows(part.len()).any(|octets| octets.eq_ignore_ascii_case(part.as_bytes()))
            };
            assert!(within(expected.as_str()) || within("chunked"), "nobody showed the key authorization");
            assert!(proof.evidence.dials.len() <= MOST_DIALS);
            "valid".to_owned()
        }
        Err(failure) => {
            assert!(failure.evidence.dials.len() <= MOST_DIALS, "{failure}");
            assert!(
                failure.evidence.dials.iter().all(|dial| dial.address.ip() == Ipv4Addr::LOCALHOST),
                "{failure}"
            );
            if let Some(bytes) = &failure.first_bytes {
                assert!(bytes.chars().count() <= 65 && !bytes.chars().any(char::is_control), "{bytes:?}");
                assert!(!bytes.contains(expected.as_str()), "a key authorization in {bytes}");
            }
            let problem = failure.to_problem();
            refused(&problem);
            // Without the place and the time.
            let words =
                failure.detail.rsplit(&format!(":{} ", SERVER.port)).next().unwrap_or_default().to_owned();
            format!("{} {} {words}", failure.phase.as_str(), failure.reason.as_str())
        }
    }
}

struct Server {
    port: u16,
    said: Arc<Mutex<Vec<u8>>>,
    validator: Validator,
    runtime: Runtime,
}

static SERVER: LazyLock<Server> = LazyLock::new(|| {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let said = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&said);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let mut asked = Vec::new();
            let mut buffer = [0; 4096];
            // The whole question, so that closing does not cut the answer off.
            while !asked.windows(4).any(|end| end == b"\r\n\r\n") {
                match stream.read(&mut buffer) {
                    Ok(0) | Err(_) => break,
                    Ok(more) => asked.extend_from_slice(&buffer[..more]),
                }
                // A redirect to https brings a TLS handshake, which ends here.
                if asked.first() == Some(&22) {
                    break;
                }
            }
            let answer = shared.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let _ = stream.write_all(&answer);
        }
    });
    let pins = ["a.lan", "*.lan"].map(|name| (name.to_owned(), vec![Ipv4Addr::LOCALHOST.into()]));
    let settings = resolver::Settings { pins: pins.into(), ..resolver::Settings::default() };
    let resolver = Resolver::new(settings, RootCertStore::empty()).unwrap();
    // Nothing but pins is dialled, wherever a redirect leads.
    let settings = Settings {
        http_port: port,
        tls_alpn_port: port,
        allow_networks: Some(Vec::new()),
        hop_timeout: Duration::from_millis(500),
        total_timeout: Duration::from_secs(1),
        ..Settings::default()
    };
    let validator = Validator::new(settings, Arc::new(resolver));
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    Server { port, said, validator, runtime }
});

/// One for each of ten redirects, and the first.
const MOST_DIALS: usize = 11;
