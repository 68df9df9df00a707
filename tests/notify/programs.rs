//! The programs: `ca-ctl alerts test`, `acme-ca check-config`, and what none of them ever says.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use acme::severity::Severity;
use acme_ca::notify::Kind;
use tracing_subscriber::fmt::MakeWriter;

use crate::desk::{Desk, ntfy_at};
use crate::support::Ca;
use crate::support::ca::text;
use crate::support::ntfy::{Answer, Ntfy};

#[tokio::test(flavor = "multi_thread")]
async fn every_sink_is_tried_with_a_real_message() {
    let ntfy = Ntfy::start().await;
    let ca = Ca::new();
    assert!(text(&ca.ctl(&["alerts", "test"])).contains("no [[alerts.sink]]"));
    ca.configure(&ntfy_at(&ntfy.url(), ""));
    let output = ca.ctl(&["alerts", "test"]);
    assert!(output.status.success(), "{}", text(&output));
    let table = text(&output);
    assert!(table.contains("ntfy 2.16 or newer") && table.contains("delivered"), "{table}");
    assert_eq!(ntfy.titles(), ["localhost: alerts arrive here"]);

    ca.configure(&format!(
        "{}\n[[alerts.sink]]\ntype = \"webhook\"\nurl = \"http://127.0.0.1:1/\"\n",
        ntfy_at(&ntfy.url(), "")
    ));
    let output = ca.ctl(&["alerts", "test", "--json"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["schema"], "ca-ctl/alerts-test/1");
    assert_eq!(
        (&json["items"][0]["result"], &json["items"][0]["replaces"]),
        (&"delivered".into(), &true.into())
    );
    assert_eq!(
        (&json["items"][1]["sink"], &json["items"][1]["result"]),
        (&"webhook".into(), &"network".into())
    );
    assert!(json["items"][1]["detail"].as_str().unwrap().contains("refused the connection"), "{json}");
    assert!(ca.ctl(&["alerts", "test", "--sink", "phone"]).status.success());
    let unknown = text(&ca.ctl(&["alerts", "test", "--sink", "pager"]));
    assert!(unknown.contains("there are phone, webhook"), "{unknown}");
}

#[test]
fn a_check_names_the_files_that_are_missing_and_a_server_starts_without_them() {
    let ca = Ca::new();
    ca.configure(&format!(
        "{}\n[[alerts.sink]]\ntype = \"exec\"\nprogram = \"tell\"\n",
        ntfy_at("https://ntfy.corp.lan", "token_file = \"ntfy.token\"\nca = \"ntfy-root.pem\"")
    ));
    let check = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_acme-ca"));
        command.args(["check-config", "--config"]).arg(ca.config()).stdin(Stdio::null()).output().unwrap()
    };
    let output = check();
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output);
    for missing in ["ntfy.token cannot be read", "ntfy-root.pem cannot be read", "tell is not there"] {
        assert!(said.contains(missing), "{missing} in {said}");
    }
    for file in ["ntfy.token", "tell"] {
        std::fs::write(ca.path(file), "x").unwrap();
    }
    assert!(text(&check()).contains("tell may not be run; chmod +x would do"));
    std::fs::set_permissions(ca.path("tell"), PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::copy(ca.root(), ca.path("ntfy-root.pem")).unwrap();
    assert!(check().status.success(), "{}", text(&check()));
    std::fs::remove_file(ca.path("ntfy.token")).unwrap();
    let mut ca = ca;
    tokio::runtime::Runtime::new().unwrap().block_on(ca.start());
    assert!(ca.log().contains("ntfy.token cannot be read"));
}

/// A log that is kept.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn no_secret_is_in_any_log_row_or_output() {
    const SECRETS: [&str; 3] = ["tk_supersecret", "hunter2hunter2", "Y2E6aHVudGVyMmh1bnRlcjI"];
    let log = Log::default();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).finish();
    // The whole process is heard: the other tests have no such secrets.
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let (ntfy, hook) = (Ntfy::start().await, Ntfy::start().await);
    let section = format!(
        "{}\n[[alerts.sink]]\ntype = \"webhook\"\nurl = \"{}/\"\nuser = \"ca\"\npassword_file = \"pass\"\n\
         [[alerts.sink]]\ntype = \"webhook\"\nname = \"dead\"\nurl = \"https://127.0.0.1:1\"\ntoken_file = \"token\"\n",
        ntfy_at(&ntfy.url(), "token_file = \"token\""),
        hook.url()
    );
    let mut desk = Desk::new(&section).await;
    desk.secret("token", "tk_supersecret");
    desk.secret("pass", "hunter2hunter2");
    for (status, code) in [(401, 40101), (403, 40301), (429, 42901), (400, 40024), (500, 50001)] {
        // A server that repeats what it was told.
        ntfy.answer_next(Answer::error(status, code, &format!("no, {}", SECRETS[0])));
        hook.answer_next(Answer::error(status, code, &format!("no, {}", SECRETS[1..].join(" "))));
    }
    for name in ["a.corp.lan", "b.corp.lan", "c.corp.lan"] {
        desk.put(Kind::Firing, Severity::Urgent, name).await;
        desk.step().await;
        desk.pass_minutes(20);
    }
    let mut said = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(said.contains("not delivered"), "the log is heard: {said}");
    said.push_str(&format!("{:?}", desk.notifier.settings));
    // Beside this thread, which is also the server's.
    let mut ctl = Command::new(env!("CARGO_BIN_EXE_ca-ctl"));
    ctl.args(["alerts", "test", "--config"]).arg(desk.ca.config()).stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || ctl.output().unwrap()).await.unwrap();
    assert_eq!(output.status.code(), Some(1), "nobody listens at one of them");
    said.push_str(&text(&output));
    desk.store.close().await;
    for file in ["ca.db", "ca.db-wal"] {
        let octets = std::fs::read(desk.ca.path(file)).unwrap_or_default();
        said.push_str(&String::from_utf8_lossy(&octets));
    }
    for secret in SECRETS {
        assert!(!said.contains(secret), "{secret} is told");
    }
}
