//! A store that cannot be used is refused with a sentence that says why and what would do: held by another program, not
//! to be written, damaged, newer than the program.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};

use crate::program::{Ended, by_nobody, close, ctl, ended, hand_over, serve};
use crate::support::{Ca, clients};

/// A CA that served once, so that it has a store.
async fn used() -> Ca {
    let mut ca = Ca::new();
    ca.start().await;
    assert!(ca.terminate().success());
    ca
}

#[tokio::test]
async fn a_store_that_another_program_holds_is_said_to_be_held_and_can_still_be_read() {
    let ca = used().await;
    let holder = Holder::of(&ca);
    ended(&mut serve(&ca)).must_be(1, &["ca.db", "is held by another program", "end that one, or try again"]);
    let listed = ended(&mut ctl(&ca, &["list"]));
    listed.must_be(0, &[]);
    assert!(listed.out.contains("localhost"), "reading waits for nobody: {listed}");
    drop(holder);
}

#[tokio::test]
async fn a_store_that_is_held_while_it_serves_is_waited_for() {
    let mut ca = Ca::new();
    ca.start().await;
    let client = crate::support::Client::new(&ca);
    let holder = Holder::of(&ca);
    let refused = client.post("/acme/new-account", serde_json::json!({})).await;
    assert_eq!(refused.status, 500, "{refused}");
    assert_eq!(refused.problem_type(), "serverInternal");
    assert!(refused.header("retry-after").is_some(), "{refused}");
    assert!(ca.log().contains("held") || ca.log().contains("the store is busy"), "{}", ca.log());
    drop(holder);
    client.register().await;
}

#[tokio::test]
async fn a_store_that_may_not_be_written_is_named_with_what_would_do() {
    let ca = used().await;
    hand_over(&ca);
    close(&ca.path("ca.db"), 0o444);
    ended(&mut by_nobody(&serve(&ca))).must_be(1, &["ca.db", "cannot be written", "writable for this user"]);

    close(&ca.path("ca.db"), 0o000);
    ended(&mut by_nobody(&serve(&ca))).must_be(1, &["ca.db", "cannot be written", "writable for this user"]);
    ended(&mut by_nobody(&ctl(&ca, &["list"]))).must_be(77, &["ca.db"]);
}

#[tokio::test]
async fn a_directory_that_may_not_be_written_is_told_of() {
    let ca = Ca::new();
    let kept = ca.scratch("kept");
    ca.configure(&format!("[store]\nurl = \"sqlite:{}\"", kept.join("ca.db").display()));
    hand_over(&ca);
    close(&kept, 0o555);
    let words = ["kept/ca.db", "cannot be written", "its directory writable for this user"];
    ended(&mut by_nobody(&serve(&ca))).must_be(1, &words);
    // The same when the file is there already: SQLite needs to put its log beside it.
    let ca = used().await;
    hand_over(&ca);
    close(&ca.path(""), 0o555);
    ended(&mut by_nobody(&serve(&ca))).must_be(1, &["ca.db", "cannot be written", words[2]]);
}

#[test]
fn a_missing_directory_is_named() {
    let ca = Ca::new();
    ca.configure("[store]\nurl = \"sqlite:nowhere/ca.db\"");
    ended(&mut serve(&ca)).must_be(1, &["nowhere", "is missing", "make it"]);
    ended(&mut ctl(&ca, &["list"])).must_be(69, &["there is no store", "start acme-ca once"]);
}

#[tokio::test]
async fn a_damaged_file_is_refused_by_both_programs_and_left_as_it_is() {
    let ca = used().await;
    let whole = fs::read(ca.path("ca.db")).expect("read");
    let garbage = [0x5a; 20_000].to_vec();
    let damaged = [garbage, whole[..whole.len() / 2].to_vec(), whole[..50].to_vec()];
    for bytes in damaged {
        fs::write(ca.path("ca.db"), &bytes).expect("written");
        let words = ["ca.db", "is not a readable database", "restore it from a backup"];
        ended(&mut serve(&ca)).must_be(1, &words);
        ended(&mut ctl(&ca, &["list"])).must_be(69, &words);
        assert_eq!(fs::read(ca.path("ca.db")).expect("read"), bytes, "it is left as it was found");
    }
}

#[tokio::test]
async fn a_file_that_was_emptied_is_refused_by_both_programs_and_a_missing_one_is_made() {
    let mut ca = used().await;
    fs::write(ca.path("ca.db"), "").expect("written");
    let words = ["ca.db is empty", "restore it from a backup", "remove the file"];
    ended(&mut serve(&ca)).must_be(1, &words);
    ended(&mut ctl(&ca, &["list"])).must_be(69, &words);
    fs::remove_file(ca.path("ca.db")).expect("removed");
    ca.start().await;
}

#[test]
fn a_database_of_another_program_is_left_alone() {
    let ca = Ca::new();
    sqlite(&ca, "CREATE TABLE recipe (name TEXT);");
    ended(&mut serve(&ca)).must_be(1, &["ca.db", "belongs to another program", "recipe"]);
    ended(&mut ctl(&ca, &["list"])).must_be(69, &["belongs to another program"]);
}

#[tokio::test]
async fn a_store_of_a_newer_program_is_refused_by_both() {
    let ca = used().await;
    sqlite(
        &ca,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (99990101000000, 'of the future', 1, x'00', 0);",
    );
    let words = ["version 99990101000000", "this program knows", "written by a newer acme-ca; run that one"];
    ended(&mut serve(&ca)).must_be(1, &words);
    ended(&mut ctl(&ca, &["list"])).must_be(69, &words);
}

/// `sqlite3` with a transaction open that lets nobody else write; it ends when it is dropped.
pub(crate) struct Holder(Child);

impl Holder {
    pub(crate) fn of(ca: &Ca) -> Self {
        let mut child = Command::new(clients::installed("sqlite3", "sqlite3"))
            .arg(ca.path("ca.db"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sqlite3 runs");
        let stdin = child.stdin.as_mut().expect("a pipe");
        stdin.write_all(b".timeout 5000\nBEGIN EXCLUSIVE;\nSELECT 'held';\n").expect("written");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("a pipe")).read_line(&mut line).expect("read");
        assert_eq!(line, "held\n");
        Self(child)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn sqlite(ca: &Ca, sql: &str) {
    let mut command = Command::new(clients::installed("sqlite3", "sqlite3"));
    let done: Ended = ended(command.arg(ca.path("ca.db")).arg(sql));
    done.must_be(0, &[]);
}
