//! A program is told by its standard input: the message as JSON, the same as a webhook gets. There is no shell, nothing
//! of our environment, and an end to its time. Exit status 0 means that it took the message.

use std::process::Stdio;
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
        Err(error) => return Outcome::retry(Trouble::Server, format!("{program} does not start: {error}")),
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

/// Gives it its input and waits for its end, with the beginning of what it complained about.
async fn run(mut child: Child, json: String) -> std::io::Result<(std::process::ExitStatus, String)> {
    let (input, errors) = (child.stdin.take(), child.stderr.take());
    let feed = async {
        if let Some(mut input) = input {
            // A program that does not read what it is told may still have done its work.
            let _ = input.write_all(json.as_bytes()).await;
        }
    };
    let listen = async {
        let mut said = Vec::new();
        if let Some(errors) = errors {
            // What it leaves running may hold its standard error open; nobody waits for that.
            let _ = timeout(LISTEN, errors.take(HEARD).read_to_end(&mut said)).await;
        }
        String::from_utf8_lossy(&said).into_owned()
    };
    let (status, (), said) = tokio::join!(child.wait(), feed, listen);
    Ok((status?, said))
}

/// How much of a complaint is kept, in characters.
const SAID: usize = 120;
/// How much of it is read, in octets.
const HEARD: u64 = 1_024;
/// How long it is listened to.
const LISTEN: Duration = Duration::from_secs(30);
