//! A program is told by its standard input: the message as JSON, the same as a webhook gets. There is no shell, nothing
//! of our environment, and an end to its time. Exit status 0 means that it took the message.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use acme::problem::plain;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::message::Message;
use super::outcome::{Outcome, Receipt, Trouble};
use super::settings::Exec;
use super::webhook::json;

/// Runs it once.
pub(super) async fn send(exec: &Exec, message: &Message) -> Outcome {
    let json = match json(message) {
        Ok(json) => json,
        Err(outcome) => return outcome,
    };
    let program = exec.program.display();
    let child = Command::new(&exec.program)
        .args(&exec.args)
        .env_clear()
        .envs([("PATH", "/usr/local/bin:/usr/bin:/bin"), ("LANG", "C.UTF-8")])
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let child = match child {
        Ok(child) => child,
        Err(error) => {
            let why = format!("{program} does not start: {}", explain(&exec.program, &error));
            return Outcome::retry(Trouble::Server, why);
        }
    };
    match timeout(exec.timeout, run(child, json)).await {
        Ok(Ok((status, _))) if status.success() => Outcome::Delivered(Receipt::default()),
        Ok(Ok((status, said))) => {
            let said = plain(said.trim(), SAID);
            Outcome::retry(Trouble::Server, format!("{program} ended with {status}: {said}"))
        }
        Ok(Err(error)) => Outcome::retry(Trouble::Server, format!("{program}: {error}")),
        Err(_) => {
            let seconds = exec.timeout.as_secs_f32();
            Outcome::retry(Trouble::Server, format!("{program} was stopped after {seconds} s"))
        }
    }
}

/// Whether the program is there and can be run, for whoever judges a configuration.
pub(super) fn check(exec: &Exec) -> Result<(), String> {
    let program = exec.program.display();
    match exec.program.metadata() {
        Ok(found) if !found.is_file() => Err(format!("{program} is no file")),
        Ok(found) if found.permissions().mode() & 0o111 == 0 => {
            Err(format!("{program} may not be run; chmod +x would do"))
        }
        Ok(_) => Ok(()),
        Err(_) => Err(format!("{program} is not there")),
    }
}

/// Gives it its input and waits for its end, with the beginning of what it complained about.
async fn run(mut child: Child, json: String) -> io::Result<(ExitStatus, String)> {
    let (input, errors) = (child.stdin.take(), child.stderr.take());
    let feed = async {
        if let Some(mut input) = input {
            // A program that does not read what it is told may still have done its work.
            let _ = input.write_all(json.as_bytes()).await;
        }
    };
    let said = Mutex::new(Vec::new());
    let listen = async {
        let Some(mut errors) = errors else { return };
        let mut some = [0; 1_024];
        // To its end: a program that nobody listens to any more is killed for speaking (SIGPIPE).
        while let Ok(count @ 1..) = errors.read(&mut some).await {
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
            let room = HEARD - said.len();
            said.extend_from_slice(&some[..count.min(room)]);
        }
    };
    let mut listen = pin!(listen);
    let both = async { tokio::join!(child.wait(), feed) };
    let mut both = pin!(both);
    let status = tokio::select! {
        (status, ()) = &mut both => {
            // What it leaves running may hold its standard error open; nobody waits long for that.
            let _ = timeout(LISTEN, listen).await;
            status?
        }
        () = &mut listen => both.await.0?,
    };
    let said = said.lock().unwrap_or_else(PoisonError::into_inner);
    Ok((status, String::from_utf8_lossy(&said).into_owned()))
}

/// What the system's error means for the reader.
fn explain(program: &Path, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound if program.exists() => {
            "the interpreter that its first line names is not there".to_owned()
        }
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "it may not be run by this user; look at its mode and its directories".to_owned()
        }
        _ => error.to_string(),
    }
}

/// How much of a complaint is kept, in characters.
const SAID: usize = 120;
/// How much of it is read, in octets.
const HEARD: usize = 1_024;
/// How long it is listened to after its end.
const LISTEN: Duration = Duration::from_millis(200);
