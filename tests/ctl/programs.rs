//! The same through the program itself, beside a server that runs and without one.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::golden::Desk;
use crate::support::clients::installed;
use crate::support::{Ca, Client, Responder};

/// A verb, and the golden file whose form its JSON has.
const VERBS: &[(&[&str], &str)] = &[
    (&["list"], "list"),
    (&["list", "--all"], "list-all"),
    (&["list-expiring", "--all"], "list-expiring-all"),
    (&["show", "one.corp.lan"], "show-name"),
    (&["renew", "--host", "one.corp.lan"], "renew-host"),
    (&["names", "list"], "names-list"),
    (&["status"], "status"),
    (&["explain", "failed.corp.lan"], "explain-validated"),
    (&["orders"], "orders"),
    (&["orders", "--failed"], "orders-failed"),
    (&["resolve", "one.corp.lan"], "resolve-pinned-corp-lan"),
];

#[tokio::test]
async fn json_has_the_form_that_is_kept_with_the_server_up_and_with_it_down() {
    let mut ca = Ca::pinned().await;
    let (client, responder) = (Client::registered(&ca).await, Responder::start(ca.http_port).await);
    client.issue(&["one.corp.lan"], &responder).await;
    client.issue(&["one.corp.lan"], &responder).await;
    ca.configure("[validation]\npatience = \"0s\"\n[resolver.pins]\n\"*.corp.lan\" = [\"127.0.0.1\"]");
    ca.hup().await;
    let order = client.new_order(&["failed.corp.lan"]).await;
    let (_, authorization) = client.authorizations(&order).await.remove(0);
    let challenge = crate::support::flow::http01(&authorization);
    client.answer(challenge["url"].as_str().expect("a URL")).await;
    assert_eq!(client.settled(&order.url).await["status"], "invalid");

    let mut up = Vec::new();
    for (verb, golden) in VERBS {
        let items = ca.ctl_items(verb);
        has_the_form_of(&items, golden, verb);
        up.push(items);
    }
    assert!(ca.terminate().success());
    // Signs of life of the last minute are kept at the end.
    let issued = ca.ctl_items(&["names", "show", "one.corp.lan"]).remove(0);
    assert!(issued["downloaded_at"].is_string(), "{issued}");
    for ((verb, _), up) in VERBS.iter().zip(&up) {
        let down = ca.ctl_items(verb);
        let names = |items: &[Value]| items.iter().map(|item| item["name"].clone()).collect::<Vec<_>>();
        assert_eq!(names(&down), names(up), "{verb:?}: it needs the store and no server");
    }
}

#[tokio::test]
async fn the_width_is_the_terminals_and_a_pipe_has_none() {
    let desk = Desk::new().await;
    let config = desk.config();
    let program = env!("CARGO_BIN_EXE_ca-ctl");
    let list = format!("{program} list --config {}", config.display());
    let widest = |command: &mut Command| -> usize {
        let output = command.output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        text.lines().map(|line| line.trim_end().chars().count()).max().expect("lines")
    };
    let piped = widest(Command::new("sh").args(["-c", &list]).env_remove("COLUMNS"));
    assert!(piped > 150, "a pipe gets everything: {piped}");
    let narrow = widest(Command::new("sh").args(["-c", &list]).env("COLUMNS", "80"));
    assert!(narrow <= 80, "{narrow}");
    let odd = widest(Command::new("sh").args(["-c", &list]).env("COLUMNS", "wide"));
    assert_eq!(odd, piped, "what is no number is not heeded");

    // On a terminal of 100 columns, and from there into a pipe while the errors still go to the terminal.
    let on_terminal = |line: &str| {
        let mut command = Command::new(installed("script", "bsdutils"));
        let line = format!("stty cols 100 rows 24; {line}");
        command.args(["-qec", &line, "/dev/null"]).env_remove("COLUMNS").stdin(std::process::Stdio::null());
        widest(&mut command)
    };
    let shown = on_terminal(&list);
    assert!(shown <= 100 && shown > 80, "{shown}");
    assert_eq!(on_terminal(&format!("{list} | cat")), piped, "what goes into a pipe is whole");
}

/// Every key of the golden file is there with the same kind of value; there may be more.
fn has_the_form_of(items: &[Value], golden: &str, verb: &[&str]) {
    let path = format!("{}/fixtures/ctl/{golden}.json", env!("CARGO_MANIFEST_DIR"));
    let kept: Value = serde_json::from_str(&fs::read_to_string(&path).expect("a file")).expect("JSON");
    assert!(!items.is_empty(), "{verb:?}");
    let (mut wanted, mut found) = (BTreeMap::new(), BTreeMap::new());
    kept["items"].as_array().expect("items").iter().for_each(|item| form("", item, &mut wanted));
    items.iter().for_each(|item| form("", item, &mut found));
    for (key, kinds) in &found {
        let Some(known) = wanted.get(key) else { continue };
        let strange: Vec<_> = kinds.iter().filter(|kind| **kind != "null" && !known.contains(kind)).collect();
        assert!(strange.is_empty() || *known == ["null"], "{verb:?}: {key} is {kinds:?}, not {known:?}");
    }
    let first = items[0].as_object().expect("an object");
    for key in kept["items"][0].as_object().expect("an object").keys() {
        assert!(first.contains_key(key), "{verb:?}: {key} is missing");
    }
}

fn form(path: &str, value: &Value, into: &mut BTreeMap<String, Vec<&'static str>>) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let kinds = into.entry(path.to_owned()).or_default();
    if !kinds.contains(&kind) {
        kinds.push(kind);
    }
    match value {
        Value::Array(items) => items.iter().for_each(|item| form(&format!("{path}[]"), item, into)),
        Value::Object(fields) => {
            fields.iter().for_each(|(key, value)| form(&format!("{path}.{key}"), value, into));
        }
        _ => {}
    }
}
