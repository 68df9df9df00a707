//! A real ntfy: what it takes from us, what it says when it does not, and that the one of the other tests says the same.
//! `NTFY` is its program; a server that somebody runs is tried with `NTFY_URL=http://127.0.0.1:2586`, and perhaps
//! `NTFY_TOKEN`, in a topic of its own.

use acme::severity::Severity;
use acme_ca::notify::{Kind, sequence_id};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::desk::{Desk, ntfy_at};
use crate::support::ntfy::{Ntfy, basic};
use crate::support::real_ntfy::RealNtfy;

const TEST: &str = "a real ntfy";

#[tokio::test]
async fn a_real_ntfy_takes_what_we_send() {
    let mut desk = Desk::new("").await;
    let dir = desk.ca.scratch("ntfy");
    let given = std::env::var("NTFY_URL").ok();
    let ours = match given {
        Some(_) => None,
        None => match RealNtfy::start(TEST, &dir, "") {
            Some(ours) => Some(ours),
            None => return,
        },
    };
    let url = given.unwrap_or_else(|| ours.as_ref().unwrap().url());
    let url = url.trim_end_matches('/');
    let topic = format!("acme-ca-{}", std::process::id());
    let mut more = "ca = \"system\"\ntags = [\"home\"]\nclick = \"https://ca.lan/{name}\"".to_owned();
    let authorization = std::env::var("NTFY_TOKEN").ok().map(|token| {
        desk.secret("token", &token);
        more.push_str("\ntoken_file = \"token\"");
        format!("Bearer {token}")
    });
    // A slash at its end is no other place.
    let section = ntfy_at(&format!("{url}/"), &more).replace("\"pki\"", &format!("\"{topic}\""));
    desk.reconfigure(&section);
    let mut long = desk.message(Kind::Firing, Severity::Urgent, "a.corp.lan");
    long.lines = vec!["ü\"\\".repeat(300); 20];
    long.title = "\"ü".repeat(100);
    desk.put_message(&long).await;
    desk.put(Kind::Resolved, Severity::Urgent, "a.corp.lan").await;
    assert_eq!(desk.results().await, ["delivered"; 2]);
    let replaces = desk.store.sinks().await.unwrap()[0].replaces;
    let said = said(url, &topic, authorization.as_deref()).await;
    let first = said.iter().find(|m| m["priority"] == 5).unwrap_or_else(|| panic!("{said:?}"));
    assert!(first["attachment"].is_null() && first["message"].as_str().unwrap().len() <= 3_500, "{first}");
    assert_eq!(first["tags"], json!(["rotating_light", "OrderFailing", "home"]));
    assert_eq!(first["click"], "https://ca.lan/a.corp.lan");
    let end = said.last().unwrap();
    assert_eq!((&end["priority"], &end["tags"][0]), (&json!(2), &json!("white_check_mark")), "{end}");
    let echoed = first["sequence_id"] == json!(sequence_id("order:a.corp.lan"));
    assert_eq!(replaces, Some(echoed), "{first}");
    if !echoed {
        assert_eq!(end["title"], "Resolved: a.corp.lan issued after 41 failures");
    }
    println!("sequence ids are given back: {echoed}");
}

#[tokio::test]
async fn a_real_ntfy_knows_whom_it_lets_in() {
    let mut desk = Desk::new("").await;
    let Some(ntfy) = RealNtfy::guarded(TEST, &desk.ca.scratch("ntfy"), "") else { return };
    let token = ntfy.user("ca", "swordfish", "pki");
    desk.secret("wrong", "tk_0123456789abcdefghijklmnopqrs");
    desk.secret("token", &token);
    desk.secret("password", "swordfish");
    desk.secret("other", "sardine");
    let password = |file: &str| format!("user = \"ca\"\npassword_file = \"{file}\"");
    let elsewhere = ntfy_at(&ntfy.url(), "token_file = \"token\"").replace("\"pki\"", "\"elsewhere\"");
    for (section, result, words) in [
        (ntfy_at(&ntfy.url(), "token_file = \"token\""), "delivered", ""),
        (ntfy_at(&ntfy.url(), &password("password")), "delivered", ""),
        (
            ntfy_at(&ntfy.url(), "token_file = \"wrong\""),
            "broken",
            "401: unauthorized (40101); look at token_file",
        ),
        (ntfy_at(&ntfy.url(), &password("other")), "broken", "401: unauthorized (40101); look at token_file"),
        (ntfy_at(&ntfy.url(), ""), "broken", "403: forbidden (40301); it wants credentials"),
        (elsewhere, "broken", "403: forbidden (40301); look at token_file"),
    ] {
        desk.reconfigure(&section);
        desk.put(Kind::Firing, Severity::Warning, "a.corp.lan").await;
        desk.pass_minutes(61);
        let results = desk.results().await;
        assert_eq!(results[0], result, "{section}: {:?}", desk.fact("phone").await);
        let detail = desk.fact("phone").await.detail.unwrap_or_default();
        assert!(detail.contains(words) && !detail.contains("tk_"), "{detail}");
    }
    assert_eq!(said(&ntfy.url(), "pki", Some(&basic("ca", "swordfish"))).await.len(), 2);
}

#[tokio::test]
async fn a_real_ntfy_takes_messages_by_tls_and_by_its_socket() {
    let mut desk = Desk::new("").await;
    let (chain, key) = desk.certificate("ntfy.corp.lan");
    let (chain, key) = (desk.secret("chain.pem", &chain), desk.secret("key.pem", &key));
    let port = crate::support::ports::free_port();
    let socket = desk.ca.path("ntfy.sock");
    let more = format!(
        "listen-https: 127.0.0.1:{port}\ncert-file: {}\nkey-file: {}\nlisten-unix: {}",
        chain.display(),
        key.display(),
        socket.display()
    );
    let Some(ntfy) = RealNtfy::start(TEST, &desk.ca.scratch("ntfy"), &more) else { return };
    for (url, result, words) in [
        (format!("https://ntfy.corp.lan:{port}"), "delivered", ""),
        (format!("unix:{}", socket.display()), "delivered", ""),
        // The message is well: it waits until the place is.
        (format!("http://ntfy.corp.lan:{port}"), "server", "https:// would do in url"),
        (ntfy.url().replace("http:", "https:"), "tls", "it does not speak TLS there"),
        (format!("{}/pki", ntfy.url()), "server", "url is the server alone, without the topic"),
        (format!("{}//", ntfy.url()), "delivered", ""),
    ] {
        desk.reconfigure(&ntfy_at(&url, ""));
        desk.put(Kind::Firing, Severity::Warning, "a.corp.lan").await;
        desk.pass_minutes(16);
        assert_eq!(desk.results().await[0], result, "{url}: {:?}", desk.fact("phone").await);
        let detail = desk.fact("phone").await.detail.unwrap_or_default();
        assert!(detail.contains(words), "{detail}");
    }
}

/// The server of the other tests follows this contract: both get the same requests, and must give the same answers, but for
/// what nobody reads.
#[tokio::test]
async fn the_ntfy_of_the_tests_answers_as_a_real_one() {
    let desk = Desk::new("").await;
    let Some(real) = RealNtfy::guarded(TEST, &desk.ca.scratch("ntfy"), "") else { return };
    let token = format!("Bearer {}", real.user("ca", "swordfish", "pki"));
    let pair = basic("ca", "swordfish");
    let ours = Ntfy::start().await;
    ours.knows_sequence_ids(false);
    ours.allow(&[token.clone(), pair.clone()]);
    let long = |octets: usize| json!({"topic": "pki", "message": "a".repeat(octets)}).to_string();
    let of = |more: Value| {
        let mut message = json!({"topic": "pki", "message": "hello"});
        message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        message.to_string()
    };
    let whole = json!({"title": "ü", "priority": 5, "tags": ["warning", "home"], "click": "https://ca.lan/a",
        "sequence_id": "ca-abc"});
    let wrong = "Bearer tk_0123456789abcdefghijklmnopqrs".to_owned();
    let may = Some(&token);
    let cases = vec![
        (may, of(whole)),
        (Some(&pair), of(json!({}))),
        (may, of(json!({"message": "", "tags": []}))),
        (may, of(json!({"priority": 0}))),
        (may, of(json!({"priority": 6}))),
        (may, of(json!({"priority": -1}))),
        (may, of(json!({"delay": "26h"}))),
        (may, of(json!({"delay": "73h"}))),
        (may, of(json!({"delay": "0h"}))),
        (may, of(json!({"delay": "soonish"}))),
        (may, of(json!({"topic": "a b"}))),
        (may, of(json!({"topic": ""}))),
        (may, of(json!({"topic": "a".repeat(65)}))),
        (may, of(json!({"topic": "docs"}))),
        (may, "{\"topic\":".to_owned()),
        (may, long(4_095)),
        (may, long(4_096)),
        (may, long(8_192)),
        (None, of(json!({}))),
        (None, "{\"topic\":".to_owned()),
        (None, of(json!({"topic": "a b"}))),
        (Some(&wrong), of(json!({}))),
        (Some(&wrong), "{\"topic\":".to_owned()),
    ];
    let compare = async |authorization: Option<&String>, body: &str| {
        let authorization = authorization.map(String::as_str);
        let theirs = post(&real.url(), authorization, body).await;
        let mine = post(&ours.url(), authorization, body).await;
        let shown: String = body.chars().take(80).collect();
        assert_eq!(mine, theirs, "{authorization:?} {shown}");
    };
    for (authorization, body) in cases {
        compare(authorization, &body).await;
    }
    let read = async |url: &str| -> Vec<Value> {
        said(url, "pki", Some(&pair)).await.into_iter().map(without_chance).collect()
    };
    assert_eq!(read(&ours.url()).await, read(&real.url()).await, "what is scheduled is not there yet");
    // Too many wrong tokens: then not even the right one will do, while nobody in particular is refused as before.
    for _ in 0..40 {
        compare(Some(&wrong), &of(json!({}))).await;
    }
    compare(may, &of(json!({}))).await;
    compare(None, &of(json!({}))).await;
    drop(real);

    // How often.
    let dir = desk.ca.scratch("open");
    let (Some(real), ours) = (RealNtfy::start(TEST, &dir, ""), Ntfy::start().await) else { return };
    ours.knows_sequence_ids(false);
    for number in 0..64 {
        let theirs = post(&real.url(), None, &of(json!({}))).await;
        let mine = post(&ours.url(), None, &of(json!({}))).await;
        assert_eq!(mine, theirs, "{number}");
    }
}

/// What a server answers to a publication: status, `Retry-After`, and the JSON without what is different each time.
async fn post(url: &str, authorization: Option<&str>, body: &str) -> (u16, Option<String>, Value) {
    let authority = url.strip_prefix("http://").unwrap();
    let stream = TcpStream::connect(authority).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let task = tokio::spawn(connection);
    let mut request = hyper::Request::post("/").header("host", authority);
    if let Some(value) = authorization {
        request = request.header("authorization", value);
    }
    let request = request.body(Full::new(Bytes::from(body.to_owned()))).unwrap();
    let response = sender.send_request(request).await.unwrap();
    let status = response.status().as_u16();
    let after = response.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
    let json: Value =
        serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap();
    task.abort();
    (status, after, without_chance(json))
}

/// JSON without what is different each time, and without links for people.
fn without_chance(mut json: Value) -> Value {
    let object = json.as_object_mut().unwrap();
    for key in ["id", "time", "expires", "link"] {
        object.remove(key);
    }
    json
}

/// What is in a topic.
async fn said(url: &str, topic: &str, authorization: Option<&str>) -> Vec<Value> {
    let mut curl = std::process::Command::new("curl");
    curl.args(["--silent", "--fail", "--max-time", "20", "--noproxy", "*"]);
    if let Some(value) = authorization {
        curl.args(["--header", &format!("Authorization: {value}")]);
    }
    curl.arg(format!("{url}/{topic}/json?poll=1"));
    let output = tokio::task::spawn_blocking(move || curl.output().unwrap()).await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
