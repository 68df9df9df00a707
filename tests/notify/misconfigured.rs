//! Sinks as people get them wrong, each with what is said about it: what is wrong, and what would do. No message is given
//! up for that, and none of it tells a secret.

use std::time::Duration;

use acme_ca::notify::Sink;
use acme_ca::watch::deliver::try_out;
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::desk::Desk;
use crate::support::ca::text;
use crate::support::ntfy::Ntfy;

/// A server that answers everything with this, and then says no more, with the connection open or closed.
async fn says(answer: &'static str, closes: bool) -> u16 {
    serve(true, answer, closes, "").await
}

/// One that speaks first.
async fn greets(answer: &'static str) -> u16 {
    serve(false, answer, true, "").await
}

/// One that says this and then the rest again and again, when it was asked or before.
async fn never_ends(waits: bool, answer: &'static str, rest: &'static str) -> u16 {
    serve(waits, answer, false, rest).await
}

async fn serve(waits: bool, answer: &'static str, closes: bool, rest: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut heard = [0; 8_192];
                if waits {
                    let _ = stream.read(&mut heard).await;
                }
                let _ = stream.write_all(answer.as_bytes()).await;
                while !rest.is_empty() && stream.write_all(rest.as_bytes()).await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                if closes {
                    let _ = stream.shutdown().await;
                }
                while stream.read(&mut heard).await.is_ok_and(|count| count > 0) {}
                std::future::pending::<()>().await;
            });
        }
    });
    port
}

/// Tries every sink, side by side: result and words of each, by its name.
async fn tried(desk: &Desk) -> Vec<(String, &'static str, String)> {
    let try_one = async |sink: &Sink| {
        let trial = try_out(&desk.notifier, sink, desk.now()).await;
        (trial.sink, trial.outcome.as_str(), trial.outcome.why().unwrap_or_default().to_owned())
    };
    join_all(desk.notifier.settings.sinks.iter().map(try_one)).await
}

/// Tries sinks and compares what is said: name, keys, result, words.
async fn check(desk: &mut Desk, cases: Vec<(&str, String, &str, &str)>) {
    let sections: Vec<String> = cases
        .iter()
        .map(|(name, keys, ..)| format!("[[alerts.sink]]\nname = \"{name}\"\n{keys}\n"))
        .collect();
    desk.reconfigure(&sections.concat());
    for ((name, result, said), (_, _, wanted, words)) in tried(desk).await.into_iter().zip(cases) {
        assert_eq!(result, wanted, "{name}: {said}");
        assert!(said.contains(words), "{name}: '{said}' lacks '{words}'");
        assert!(!said.contains("tk_secret"), "{name}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http_sink_that_is_wrong_is_told_with_what_would_do() {
    let mut desk = Desk::new("").await;
    desk.secret("token", "tk_secret");
    std::fs::create_dir(desk.ca.path("directory")).unwrap();
    desk.secret("empty", "\n");
    let plain = Ntfy::start().await;
    let (chain, key) = desk.certificate("ntfy.corp.lan");
    let tls = Ntfy::with_tls(&chain, &key).await;
    let mut params = rcgen::CertificateParams::new(vec!["ntfy.corp.lan".to_owned()]).unwrap();
    (params.not_before, params.not_after) =
        (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(2021, 1, 1));
    let old_key = rcgen::KeyPair::generate().unwrap();
    let old_root = params.self_signed(&old_key).unwrap();
    let old = Ntfy::with_tls(&old_root.pem(), &old_key.serialize_pem()).await;
    desk.secret("old.pem", &old_root.pem());
    let http = async |answer| format!("http://127.0.0.1:{}", says(answer, true).await);
    let go = http("HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n").await;
    let nginx = http(
        "HTTP/1.1 400 Bad Request\r\nContent-Length: 66\r\n\r\n<center>The plain HTTP request was sent to HTTPS port</center>\r\n\r\n",
    )
    .await;
    let bad = http("HTTP/1.1 400 Bad Request\r\nContent-Length: 7\r\n\r\nwhat?\r\n").await;
    let moved = http("HTTP/1.1 301 Moved\r\nLocation: https://ntfy.lan/\r\nContent-Length: 0\r\n\r\n").await;
    let page = http("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>").await;
    let proxy = http("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 11\r\n\r\nno upstream").await;
    let denies = http("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno").await;
    let lost = http("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno").await;
    let ssh = http("SSH-2.0-OpenSSH_9.2\r\n").await;
    let closes = http("").await;
    let ntfy = |url: &str, more: &str| format!("type = \"ntfy\"\ntopic = \"pki\"\nurl = \"{url}\"\n{more}");
    let hook = |url: &str, more: &str| format!("type = \"webhook\"\nurl = \"{url}\"\n{more}");
    let manager = |url: &str| format!("type = \"alertmanager\"\nurl = \"{url}\"");
    let at_tls = |host: &str, port: u16| format!("https://{host}:{port}");
    let token = "token_file = \"token\"";
    check(
        &mut desk,
        vec![
            (
                "no-token",
                ntfy(&plain.url(), "token_file = \"nothing\""),
                "broken",
                "nothing cannot be read: No such file",
            ),
            (
                "token-dir",
                ntfy(&plain.url(), "token_file = \"directory\""),
                "broken",
                "directory cannot be read",
            ),
            (
                "token-empty",
                hook(&plain.url(), "token_file = \"empty\""),
                "broken",
                "empty is empty; its first line is the secret",
            ),
            (
                "no-host",
                ntfy("http://ntfy.other.lan", ""),
                "network",
                "no name server is configured for ntfy.other.lan",
            ),
            (
                "no-port",
                hook("http://127.0.0.1:1", ""),
                "network",
                "127.0.0.1:1 refused the connection: nothing listens there",
            ),
            (
                "no-socket",
                ntfy("unix:/run/nowhere.sock", ""),
                "network",
                "/run/nowhere.sock is not there: the server does not run",
            ),
            (
                "tls-at-plain",
                ntfy(&plain.url().replace("http:", "https:"), ""),
                "tls",
                "does not speak TLS there; look at the port",
            ),
            (
                "plain-at-tls",
                hook(&format!("http://127.0.0.1:{}", tls.port()), ""),
                "network",
                "not HTTP: invalid HTTP version parsed; look at url, https:// may do",
            ),
            ("plain-at-go", ntfy(&go, ""), "server", "https:// would do in url"),
            ("plain-at-nginx", manager(&nginx), "server", "https:// would do in url"),
            ("no-ntfy-at-all", ntfy(&bad, ""), "server", "which ntfy does not say; look at url"),
            (
                "other-root",
                ntfy(&at_tls("ntfy.corp.lan", tls.port()), "ca = \"system\""),
                "tls",
                "UnknownIssuer; ca says who may certify it",
            ),
            (
                "other-name",
                ntfy(&at_tls("push.corp.lan", tls.port()), ""),
                "tls",
                "use the name that is in its certificate",
            ),
            (
                "by-address",
                ntfy(&at_tls("127.0.0.1", tls.port()), ""),
                "tls",
                "use the name that is in its certificate",
            ),
            (
                "expired",
                ntfy(&at_tls("ntfy.corp.lan", old.port()), "ca = \"old.pem\""),
                "tls",
                "renew it, and look at the clocks",
            ),
            (
                "no-ca",
                ntfy(&at_tls("ntfy.corp.lan", tls.port()), "ca = \"nothing.pem\""),
                "tls",
                "nothing.pem cannot be read",
            ),
            (
                "ca-no-pem",
                ntfy(&at_tls("ntfy.corp.lan", tls.port()), "ca = \"token\""),
                "tls",
                "token holds no certificate",
            ),
            (
                "moved",
                ntfy(&moved, token),
                "server",
                "leads to https://ntfy.lan/; redirects are not followed: name the place itself in url",
            ),
            ("page", ntfy(&page, token), "server", "answered 200, but not as ntfy does; is the URL right?"),
            ("proxy", hook(&proxy, token), "server", "answered 502: no upstream"),
            ("wrong-token", hook(&denies, token), "broken", "answered 401: no; look at token_file"),
            (
                "needs-token",
                hook(&denies, ""),
                "broken",
                "answered 401: no; it wants credentials: token_file",
            ),
            ("wrong-path", manager(&lost), "server", "answered 404: no; look at the path in url"),
            (
                "topic-in-url",
                ntfy(&format!("{}/pki", plain.url()), ""),
                "server",
                "url is the server alone, without the topic",
            ),
            ("no-http", hook(&ssh, ""), "network", "something that is not HTTP"),
            ("closes", hook(&closes, ""), "network", "broke off"),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_slow_or_has_no_end_holds_nobody_up() {
    let mut desk = Desk::new("").await;
    let http = |port: u16| format!("url = \"http://127.0.0.1:{port}\"");
    let silent = says("", false).await;
    let hangs = says("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", false).await;
    let drips = never_ends(true, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\n \r\n").await;
    let head = never_ends(
        true,
        "HTTP/1.1 200 OK\r\n",
        "x-more: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n",
    )
    .await;
    let lines = never_ends(
        false,
        "220-hello\r\n",
        "220-and more of it, and more of it, and more of it, and more\r\n",
    )
    .await;
    let begun = std::time::Instant::now();
    check(
        &mut desk,
        vec![
            (
                "silent",
                format!("type = \"ntfy\"\ntopic = \"pki\"\n{}", http(silent)),
                "network",
                "did not answer within 20 s",
            ),
            // It said that all is well: what it took must not be sent again and again.
            ("hangs", format!("type = \"webhook\"\n{}", http(hangs)), "delivered", ""),
            ("drips", format!("type = \"alertmanager\"\n{}", http(drips)), "delivered", ""),
            ("head", format!("type = \"webhook\"\n{}", http(head)), "network", "is not HTTP"),
            (
                "lines",
                format!(
                    "type = \"smtp\"\nhost = \"127.0.0.1\"\nport = {lines}\nfrom = \"a@b\"\nto = [\"c@d\"]"
                ),
                "network",
                "the server's answer has no end",
            ),
        ],
    )
    .await;
    assert!(begun.elapsed() < Duration::from_secs(40));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_or_a_program_that_is_wrong_is_told_with_what_would_do() {
    let mut desk = Desk::new("").await;
    let ssh = greets("SSH-2.0-OpenSSH_9.2\r\n").await;
    let busy = greets("421 too many connections\r\n").await;
    let plain = Ntfy::start().await;
    for (file, mode, script) in [
        ("no-mode", 0o644, "#!/bin/sh\n"),
        ("no-interpreter", 0o755, "#!/nowhere/python\n"),
        ("fails", 0o755, "#!/bin/sh\necho 'no such modem' >&2\nexit 7\n"),
    ] {
        // Another program installs it: a file that this process has just written may be busy in a child of another test.
        let draft = desk.secret("draft", script);
        let mut install = std::process::Command::new("install");
        install.args(["-m", &format!("{mode:o}")]).args([&draft, &desk.ca.path(file)]);
        assert!(install.status().unwrap().success());
    }
    let mail = |port: u16, more: &str| {
        format!(
            "type = \"smtp\"\nhost = \"127.0.0.1\"\nport = {port}\nfrom = \"a@b\"\nto = [\"c@d\"]\n{more}"
        )
    };
    let exec = |program: &str| format!("type = \"exec\"\nprogram = \"{program}\"\ntimeout = \"5s\"");
    check(
        &mut desk,
        vec![
            ("mail-no-port", mail(1, ""), "network", "nothing listens there"),
            ("mail-at-ssh", mail(ssh, ""), "server", "'SSH-2.0-OpenSSH_9.2' is no answer of SMTP"),
            (
                "mail-busy",
                mail(busy, ""),
                "server",
                "the greeting was answered with 421 too many connections",
            ),
            (
                "mail-tls-at-plain",
                mail(plain.port(), "security = \"tls\""),
                "tls",
                "does not speak TLS there",
            ),
            ("exec-missing", exec("nothing"), "server", "nothing does not start: there is no such file"),
            ("exec-mode", exec("no-mode"), "server", "it may not be run by this user; look at its mode"),
            (
                "exec-interpreter",
                exec("no-interpreter"),
                "server",
                "the interpreter that its first line names is not there",
            ),
            ("exec-fails", exec("fails"), "server", "ended with exit status: 7: no such modem"),
        ],
    )
    .await;
}

#[test]
fn a_trial_says_what_is_wrong_with_the_configuration() {
    let ca = crate::support::Ca::new();
    let before = std::fs::read_to_string(ca.config()).unwrap();
    for (sink, words) in [
        ("type = \"ntfy\"\ntopik = \"pki\"\nurl = \"http://a.lan\"", "topik"),
        ("type = \"ntfi\"", "ntfi is none of ntfy, alertmanager"),
        ("type = \"ntfy\"\nurl = \"http://a.lan\"", "alerts.sink.topic: it is missing; pki would do"),
        (
            "type = \"ntfy\"\nurl = \"http://a.lan\"\ntopic = \"login\"",
            "login is a page of every ntfy server",
        ),
        ("type = \"ntfy\"\nurl = \"http://ca:tk_secret@a.lan\"\ntopic = \"pki\"", "credentials are files"),
        ("type = \"ntfy\"\nurl = \"http://a.lan?auth=tk_secret\"\ntopic = \"pki\"", "credentials are files"),
        ("type = \"webhook\"\nurl = \"a.lan\"", "it begins neither with https:// nor"),
        ("type = \"journal\"\ntoken_file = \"x\"", "a sink of type journal has no such key"),
    ] {
        std::fs::write(ca.config(), format!("{before}\n[[alerts.sink]]\n{sink}\n")).unwrap();
        let output = ca.ctl(&["alerts", "test"]);
        let said = text(&output);
        assert!(!output.status.success() && said.contains(words), "{sink}: {said}");
        assert!(!said.contains("tk_secret"), "{said}");
    }
}
