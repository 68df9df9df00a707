//! A web server that answers HTTP-01, RFC 8555 8.3: at once, late, or wrongly, as the test wishes. It remembers what it
//! was asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::ca::PATIENCE;

/// How requests are met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mood {
    /// What was published, else 404.
    Answer,
    /// No answer until the mood changes; then as the new one says.
    Hold,
    /// This status, with a page.
    Status(u16),
    /// This body, with 200.
    Body(String),
}

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    /// `Host`.
    pub host: String,
    /// The path.
    pub path: String,
    /// When it came.
    pub at: Instant,
}

/// The server; it ends when it is dropped.
pub struct Responder {
    state: Arc<State>,
    task: JoinHandle<()>,
}

struct State {
    published: Mutex<HashMap<String, String>>,
    asked: watch::Sender<Vec<Asked>>,
    mood: watch::Sender<Mood>,
}

impl Responder {
    /// Listens on this port of 127.0.0.1.
    pub async fn start(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("the port is free");
        let state = Arc::new(State {
            published: Mutex::default(),
            asked: watch::Sender::default(),
            mood: watch::Sender::new(Mood::Answer),
        });
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                tokio::spawn(async move {
                    // Whoever asked may have been killed.
                    let _ = serve(stream, &state).await;
                });
            }
        });
        Self { state, task }
    }

    /// Answers this token so from now on.
    pub fn publish(&self, token: &str, key_authorization: &str) {
        let path = format!("/.well-known/acme-challenge/{token}");
        let mut published = self.state.published.lock().unwrap_or_else(PoisonError::into_inner);
        published.insert(path, key_authorization.to_owned());
    }

    /// Changes how requests are met, also those that are held.
    pub fn be(&self, mood: Mood) {
        self.state.mood.send_replace(mood);
    }

    /// Every request until now.
    pub fn asked(&self) -> Vec<Asked> {
        self.state.asked.borrow().clone()
    }

    /// Waits until there were so many requests, and gives the last of them.
    pub async fn asked_times(&self, count: usize) -> Asked {
        let mut asked = self.state.asked.subscribe();
        let enough = asked.wait_for(|asked| asked.len() >= count);
        let asked =
            tokio::time::timeout(PATIENCE, enough).await.expect("the validator asks").expect("it lives");
        asked[count - 1].clone()
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(stream: TcpStream, state: &State) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let (mut path, mut host, mut line) = (String::new(), String::new(), String::new());
    while stream.read_line(&mut line).await? > 0 && !line.trim().is_empty() {
        if path.is_empty() {
            path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        } else if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("host")
        {
            value.trim().clone_into(&mut host);
        }
        line.clear();
    }
    let asked = Asked { host, path: path.clone(), at: Instant::now() };
    state.asked.send_modify(|all| all.push(asked));
    let mut mood = state.mood.subscribe();
    let mood = match mood.wait_for(|mood| *mood != Mood::Hold).await {
        Ok(mood) => mood.clone(),
        Err(_) => return Ok(()),
    };
    let found = state.published.lock().unwrap_or_else(PoisonError::into_inner).get(&path).cloned();
    let (status, body) = match (mood, found) {
        (Mood::Body(body), _) => (200, body),
        (Mood::Status(status), _) => (status, "<html>something else</html>".to_owned()),
        (_, Some(body)) => (200, body),
        (_, None) => (404, "not here".to_owned()),
    };
    let head = format!("HTTP/1.1 {status} so\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all((head + &body).as_bytes()).await?;
    stream.shutdown().await
}
