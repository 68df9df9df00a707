//! Order, restarts, TLS, and who is told when somebody cannot be.

use acme::severity::Severity;
use acme_ca::notify::Kind;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::time::Duration;

use crate::desk::{Desk, ntfy_at};
use crate::support::ntfy::{Answer, Ntfy};

#[tokio::test]
async fn what_waits_is_told_in_order_after_a_restart() {
    let ntfy = Ntfy::start().await;
    let mut desk = Desk::new(&ntfy_at(&ntfy.url(), "")).await;
    ntfy.answer_next(Answer::error(503, 50301, "restarting"));
    for name in ["c.corp.lan", "a.corp.lan", "b.corp.lan"] {
        desk.put(Kind::Firing, Severity::Warning, name).await;
    }
    assert_eq!(desk.results().await, ["server"], "those behind it wait, too");
    desk.reopen().await;
    assert_eq!(desk.results().await, [""; 0], "a restart is no reason to hammer it");
    desk.pass_seconds(10);
    assert_eq!(desk.results().await, ["delivered"; 3]);
    let titles = ntfy.titles().join(" ");
    assert_eq!(titles.replace(" cannot be issued", ""), "c.corp.lan a.corp.lan b.corp.lan");
}

#[tokio::test]
async fn a_process_that_dies_between_telling_and_recording_tells_once_more_in_the_same_place() {
    let ntfy = Ntfy::start().await;
    let mut desk = Desk::new(&ntfy_at(&ntfy.url(), "")).await;
    desk.put(Kind::Firing, Severity::Urgent, "a.corp.lan").await;
    ntfy.swallow_answers(true);
    let (store, notifier, now) = (desk.store.clone(), desk.notifier.clone(), desk.now());
    let step =
        tokio::spawn(async move { acme_ca::watch::deliver::deliver_due(&store, &notifier, now).await });
    while ntfy.requests().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // It is stored there, and nothing is recorded here.
    step.abort();
    assert!(step.await.unwrap_err().is_cancelled());
    ntfy.swallow_answers(false);
    desk.reopen().await;
    assert_eq!(desk.results().await, ["delivered"]);
    desk.reopen().await;
    assert_eq!(desk.results().await, [""; 0]);
    let requests = ntfy.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0], requests[1], "the second takes the place of the first");
}

#[tokio::test]
async fn a_server_with_a_certificate_of_this_ca_is_trusted() {
    let desk = Desk::new("").await;
    let (chain, key) = desk.certificate("ntfy.corp.lan");
    let ntfy = Ntfy::with_tls(&chain, &key).await;
    let mut desk = desk;
    desk.reconfigure(&ntfy_at(&format!("https://ntfy.corp.lan:{}", ntfy.port()), ""));
    desk.put(Kind::Firing, Severity::Warning, "a.corp.lan").await;
    assert_eq!(desk.results().await, ["delivered"]);
    // Another name of ours is not its name.
    desk.reconfigure(&ntfy_at(&format!("https://other.corp.lan:{}", ntfy.port()), ""));
    desk.put(Kind::Firing, Severity::Warning, "b.corp.lan").await;
    assert_eq!(desk.results().await, ["tls"]);
    // Nor does a root of somebody else do.
    desk.reconfigure(&ntfy_at(&format!("https://ntfy.corp.lan:{}", ntfy.port()), "ca = \"system\""));
    desk.pass_minutes(1);
    assert_eq!(desk.results().await, ["tls"]);
    let file = format!("ca = \"{}\"", desk.ca.root().display());
    desk.reconfigure(&ntfy_at(&format!("https://ntfy.corp.lan:{}", ntfy.port()), &file));
    desk.pass_minutes(1);
    assert_eq!(desk.results().await, ["delivered"]);
}

#[tokio::test]
async fn a_broken_certificate_at_ntfy_is_told_to_everybody_else_at_once() {
    // As the fallback of NixOS: another root, the right name.
    let fallback = rcgen::generate_simple_self_signed(["ntfy.corp.lan".to_owned()]).unwrap();
    let broken = Ntfy::with_tls(&fallback.cert.pem(), &fallback.signing_key.serialize_pem()).await;
    let (second, other) = (Ntfy::start().await, Ntfy::start().await);
    let section = format!(
        "{}\n[[alerts.sink]]\ntype = \"ntfy\"\nname = \"plain\"\nurl = \"{}\"\ntopic = \"pki\"\nrole = \"fallback\"\n\
         [[alerts.sink]]\ntype = \"ntfy\"\nname = \"other\"\nurl = \"{}\"\ntopic = \"pki\"\nmin = \"critical\"\nheartbeat = false\n",
        ntfy_at(&format!("https://ntfy.corp.lan:{}", broken.port()), ""),
        second.url(),
        other.url(),
    );
    let mut desk = Desk::new(&section).await;
    desk.put(Kind::Firing, Severity::Warning, "a.corp.lan").await;
    desk.step().await;
    desk.pass_seconds(7);
    desk.step().await;
    assert!(second.titles().is_empty());
    desk.pass_seconds(1);
    desk.step().await;
    let told = second.requests();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0]["title"].as_str().unwrap().contains("do not arrive at phone"), "{told:?}");
    assert!(told[0]["message"].as_str().unwrap().contains("UnknownIssuer"), "{told:?}");
    assert_eq!(told[0]["priority"], 4);
    assert_eq!(other.asked(), 1, "and to the third");
    assert_eq!(broken.asked(), 0, "nothing is said to whom we do not trust");

    // After a quarter of an hour the fallback gets what waits; the third does not want it.
    for _ in 0..20 {
        desk.pass_minutes(1);
        desk.step().await;
    }
    let titles = second.titles();
    assert_eq!(titles.len(), 2, "{titles:?}");
    assert_eq!(titles[1], "a.corp.lan cannot be issued");
    assert_eq!(other.asked(), 1);
    let fact = desk.fact("phone").await;
    assert_eq!((fact.waiting, fact.trouble.as_deref()), (1, Some("tls")));
    assert!(fact.oldest.is_some() && fact.failing_since.is_some());
}

#[tokio::test]
async fn a_server_with_a_pinned_key_is_believed_whatever_its_certificate_says() {
    // Expired, of another root, for another name.
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["old.corp.lan".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    let broken = params.self_signed(&key).unwrap();
    let ntfy = Ntfy::with_tls(&broken.pem(), &key.serialize_pem()).await;
    let other = rcgen::KeyPair::generate().unwrap();
    let pin = |key: &rcgen::KeyPair| pin(&key.public_key_pem());
    let url = format!("https://ntfy.corp.lan:{}", ntfy.port());
    let mut desk = Desk::new(&ntfy_at(&url, &format!("pin_sha256 = [\"{}\"]", pin(&other)))).await;
    desk.put(Kind::Firing, Severity::Warning, "a.corp.lan").await;
    assert_eq!(desk.results().await, ["tls"], "the key of somebody else");
    desk.reconfigure(&ntfy_at(&url, &format!("pin_sha256 = [\"{}\", \"{}\"]", pin(&other), pin(&key))));
    desk.pass_minutes(1);
    assert_eq!(desk.results().await, ["delivered"]);
    let sink = &desk.notifier.settings.sinks[0];
    let trial = acme_ca::watch::deliver::try_out(&desk.notifier, sink, desk.now()).await;
    let acme_ca::notify::Outcome::Delivered(receipt) = trial.outcome else { panic!("{trial:?}") };
    assert!(receipt.objection.unwrap().contains("invalid peer certificate"));

    // A pin takes nothing from a certificate that is valid: a new key needs no new pin.
    let (chain, fresh) = desk.certificate("ntfy.corp.lan");
    let renewed = Ntfy::with_tls(&chain, &fresh).await;
    let url = format!("https://ntfy.corp.lan:{}", renewed.port());
    desk.reconfigure(&ntfy_at(&url, &format!("pin_sha256 = [\"sha256//{}\"]", pin(&key))));
    let sink = &desk.notifier.settings.sinks[0];
    let trial = acme_ca::watch::deliver::try_out(&desk.notifier, sink, desk.now()).await;
    let acme_ca::notify::Outcome::Delivered(receipt) = trial.outcome else { panic!("{trial:?}") };
    assert_eq!(receipt.objection, None);
}

#[tokio::test]
async fn whoever_shows_a_pinned_certificate_without_its_key_is_not_believed() {
    use rustls::pki_types::pem::PemObject as _;
    let (ours, thief) = (rcgen::KeyPair::generate().unwrap(), rcgen::KeyPair::generate().unwrap());
    let shown = rcgen::CertificateParams::new(vec!["ntfy.corp.lan".to_owned()]).unwrap();
    let shown = shown.self_signed(&ours).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::from_pem_slice(thief.serialize_pem().as_bytes()).unwrap();
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
    let certified = rustls::sign::CertifiedKey::new(vec![shown.der().clone()], key);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let resolver = Arc::new(rustls::sign::SingleCertAndKey::from(certified.clone()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        let ntfy = Ntfy::with_config(config).await;
        let url = format!("https://ntfy.corp.lan:{}", ntfy.port());
        let desk =
            Desk::new(&ntfy_at(&url, &format!("pin_sha256 = [\"{}\"]", pin(&ours.public_key_pem())))).await;
        desk.put(Kind::Firing, Severity::Warning, "a.corp.lan").await;
        assert_eq!(desk.results().await, ["tls"], "{version:?}");
        assert!(desk.fact("phone").await.detail.unwrap().contains("BadSignature"));
        assert_eq!(ntfy.asked(), 0);
    }
}

/// The pin of a public key, as the README has people make it.
fn pin(public_key: &str) -> String {
    use std::io::Write as _;
    let mut shell = std::process::Command::new("sh")
        .args(["-c", "openssl pkey -pubin -outform DER | openssl dgst -sha256 -binary | base64"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    shell.stdin.take().unwrap().write_all(public_key.as_bytes()).unwrap();
    let output = shell.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn the_next_sink_takes_over_and_both_hear_the_end() {
    let (first, second) = (Ntfy::start().await, Ntfy::start().await);
    let section = format!(
        "{}\n[[alerts.sink]]\ntype = \"ntfy\"\nname = \"second\"\nurl = \"{}\"\ntopic = \"pki\"\nrole = \"fallback\"\n",
        ntfy_at(&first.url(), ""),
        second.url()
    );
    let mut desk = Desk::new(&section).await;
    for _ in 0..200 {
        first.answer_next(Answer::error(502, 50201, "bad gateway"));
    }
    for minute in 0..60 {
        if minute % 20 == 0 {
            desk.put(Kind::Firing, Severity::Warning, &format!("n{minute}.corp.lan")).await;
        }
        desk.step().await;
        desk.pass_minutes(1);
    }
    let titles = second.titles().join("|");
    for name in ["n0", "n20", "n40", "do not arrive at phone"] {
        assert_eq!(titles.matches(name).count(), 1, "{name} in {titles}");
    }
    assert!(first.requests().is_empty());
    assert!(first.asked() < 20, "it is left alone longer and longer: {}", first.asked());
    // It comes back: everything in order, and the others hear that it does.
    let back = Ntfy::start().await;
    desk.reconfigure(&section.replace(&first.url(), &back.url()));
    desk.pass_minutes(16);
    desk.step().await;
    desk.step().await;
    let titles = back.titles().join("|");
    let places: Vec<_> = ["n0", "n20", "n40"].iter().map(|name| titles.find(name).unwrap()).collect();
    assert!(places.is_sorted(), "{titles}");
    assert!(second.titles().last().unwrap().contains("phone of localhost takes messages again"));
    assert_eq!(desk.step().await.waiting, 0);
}

/// A first sink, and a fallback behind it.
fn with_fallback(first: &str, second: &str) -> String {
    format!(
        "{}\n[[alerts.sink]]\ntype = \"ntfy\"\nname = \"second\"\nurl = \"{second}\"\ntopic = \"pki\"\nrole = \"fallback\"\n",
        ntfy_at(first, "")
    )
}

#[tokio::test]
async fn a_fallback_hears_the_end_of_what_it_heard_and_nothing_else() {
    let (first, second) = (Ntfy::start().await, Ntfy::start().await);
    let mut desk = Desk::new(&with_fallback("http://127.0.0.1:1", &second.url())).await;
    for name in ["a.corp.lan", "b.corp.lan"] {
        desk.put(Kind::Firing, Severity::Warning, name).await;
    }
    for _ in 0..20 {
        desk.step().await;
        desk.pass_minutes(1);
    }
    // The first is back: reminders, and what begins now, are for it alone.
    desk.reconfigure(&with_fallback(&first.url(), &second.url()));
    desk.pass_minutes(15);
    desk.step().await;
    desk.step().await;
    let before = second.titles();
    assert_eq!(before.len(), 2 + 2, "two alerts, that phone fails, and that it is back: {before:?}");
    desk.put(Kind::Reminder, Severity::Warning, "a.corp.lan").await;
    desk.put(Kind::Firing, Severity::Warning, "c.corp.lan").await;
    desk.put(Kind::Resolved, Severity::Warning, "c.corp.lan").await;
    assert_eq!(desk.step().await.waiting, 0);
    assert_eq!(second.titles(), before);

    // A month passes, in which what was told of the beginning is forgotten, and the fallback is away when it ends.
    let alert = |name: &str| store::alert::Kept {
        key: format!("order:{name}.corp.lan"),
        rule: "OrderFailing".into(),
        severity: Severity::Warning,
        state: "firing".into(),
        since: desk.now(),
        changed_at: desk.now(),
        ended_at: None,
        acked_at: None,
        ack_reason: None,
        body: "{}".into(),
    };
    let alerts = vec![(alert("a"), false), (alert("b"), false)];
    desk.store.write(store::alert::KeepAlerts { alerts, ..Default::default() }).await.unwrap();
    desk.pass_minutes(40 * 24 * 60);
    let before_this = desk.now().minus(Duration::from_secs(30 * 86_400));
    desk.store.write(store::outbox::PruneMessages { before: before_this, limit: 100 }).await.unwrap();
    for _ in 0..2 {
        second.answer_next(Answer::error(503, 50301, "restarting"));
    }
    desk.put(Kind::Resolved, Severity::Warning, "a.corp.lan").await;
    let report = desk.step().await;
    assert_eq!(first.titles().last().unwrap(), "a.corp.lan issued after 41 failures", "it waits for nobody");
    assert_eq!((report.waiting, desk.fact("second").await.waiting), (1, 1));
    desk.reopen().await;
    desk.pass_minutes(1);
    desk.step().await;
    desk.reopen().await;
    desk.pass_minutes(1);
    assert_eq!(desk.step().await.waiting, 0);
    assert_eq!(second.titles()[4..], ["a.corp.lan issued after 41 failures"]);
    for _ in 0..3 {
        desk.put(Kind::Firing, Severity::Warning, "a.corp.lan").await;
        desk.put(Kind::Resolved, Severity::Warning, "a.corp.lan").await;
        desk.pass_minutes(1);
        desk.step().await;
    }
    assert_eq!(second.titles().len(), 5, "that is over, and is no longer its affair");

    // It does not wait for ever.
    second.answer_next(Answer::error(503, 50301, "restarting"));
    desk.put(Kind::Resolved, Severity::Warning, "b.corp.lan").await;
    assert_eq!(desk.step().await.waiting, 1);
    desk.pass_minutes(49 * 60);
    desk.step().await;
    assert_eq!(desk.step().await.waiting, 0, "the first was told that the second fails");
    assert!(
        desk.store
            .heard(&["order:a.corp.lan", "order:b.corp.lan", "order:c.corp.lan"])
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_fallback_that_heard_of_several_in_one_message_hears_the_end_of_each() {
    let (first, second) = (Ntfy::start().await, Ntfy::start().await);
    let mut desk = Desk::new(&with_fallback("http://127.0.0.1:1", &second.url())).await;
    let several = |desk: &Desk, kind, names: &[&str]| {
        let mut message = desk.message(kind, Severity::Warning, "several");
        (message.key, message.title) = ("digest:OrderFailing".into(), format!("{} alerts", names.len()));
        let about: Vec<String> = names.iter().map(|name| format!("order:{name}.corp.lan")).collect();
        acme_ca::watch::deliver::entry_about(&message, &about, message.at).unwrap()
    };
    let put = async |desk: &Desk, entry| {
        desk.store.write(store::outbox::PutMessages { entries: vec![entry] }).await.unwrap();
    };
    put(&desk, several(&desk, Kind::Digest, &["a", "b", "c", "d", "e"])).await;
    for _ in 0..20 {
        desk.step().await;
        desk.pass_minutes(1);
    }
    desk.reconfigure(&with_fallback(&first.url(), &second.url()));
    desk.pass_minutes(15);
    desk.step().await;
    desk.step().await;
    let before = second.titles().len();
    desk.put(Kind::Resolved, Severity::Warning, "b.corp.lan").await;
    desk.put(Kind::Resolved, Severity::Warning, "f.corp.lan").await;
    put(&desk, several(&desk, Kind::Resolved, &["a", "c", "d", "f"])).await;
    put(&desk, several(&desk, Kind::Resolved, &["f", "g", "h", "i", "j"])).await;
    assert_eq!(desk.step().await.waiting, 0);
    assert_eq!(second.titles()[before..], ["b.corp.lan issued after 41 failures", "4 alerts"]);
    assert_eq!(
        desk.store.heard(&["order:a.corp.lan", "order:e.corp.lan"]).await.unwrap().len(),
        2,
        "e, by both"
    );
}

#[tokio::test]
async fn after_two_days_nobody_is_owed_an_old_message() {
    let desk = Desk::new(&ntfy_at("http://127.0.0.1:1", "")).await;
    let mut desk = desk;
    desk.put(Kind::Firing, Severity::Warning, "a.corp.lan").await;
    assert_eq!(desk.results().await, ["network"]);
    desk.pass_minutes(47 * 60);
    assert_eq!(desk.results().await, ["network"]);
    desk.pass_minutes(61);
    let report = desk.step().await;
    assert_eq!((report.tries.len(), report.waiting), (0, 0));
}

#[tokio::test]
async fn the_journal_has_what_is_critical_at_that_level() {
    let mut desk = Desk::new("[[alerts.sink]]\ntype = \"journal\"").await;
    let socket = desk.ca.path("journal.sock");
    let journal = UnixDatagram::bind(&socket).unwrap();
    let mut settings = desk.notifier.settings.clone();
    settings.sinks[0].way = acme_ca::notify::Way::Journal(acme_ca::notify::Journal { socket });
    let resolver =
        acme_ca::resolver::Resolver::new(Default::default(), rustls::RootCertStore::empty()).unwrap();
    let notifier = acme_ca::notify::Notifier::new(settings, resolver.into(), Vec::new());
    desk.notifier = notifier.into();
    for (severity, kind, priority) in [
        (Severity::Urgent, Kind::Firing, 2),
        (Severity::Critical, Kind::Reminder, 2),
        (Severity::Warning, Kind::Firing, 4),
        (Severity::Info, Kind::Firing, 6),
        (Severity::Urgent, Kind::Resolved, 5),
    ] {
        let mut message = desk.message(kind, severity, "a.corp.lan");
        message.lines.push("evil\nPRIORITY=0".into());
        desk.put_message(&message).await;
        assert_eq!(desk.results().await, ["delivered"]);
        let mut datagram = [0; 8_192];
        let length = journal.recv(&mut datagram).unwrap();
        let text = String::from_utf8_lossy(&datagram[..length]);
        let fields: Vec<&str> = text.lines().collect();
        assert!(fields.contains(&format!("PRIORITY={priority}").as_str()), "{text}");
        assert_eq!(fields.iter().filter(|field| field.starts_with("PRIORITY=")).count(), 1, "{text}");
        assert!(
            fields.contains(&"ACME_CA_KEY=order:a.corp.lan") && fields[0].starts_with("MESSAGE="),
            "{text}"
        );
    }
}
