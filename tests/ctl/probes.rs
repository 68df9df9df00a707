//! `probe`, of a server here that shows what it was given, of a port where nothing listens, and of a name without an address.

use rcgen::{CertificateParams, DnType, KeyPair, SerialNumber};

use crate::golden::{Desk, json_must_equal, must_equal};
use crate::rows;
use crate::support::alpn::AlpnResponder;
use crate::support::ports::free_port;

/// A server that shows what snakeoil would be, valid by the clock of the rows.
async fn server(port: u16) -> AlpnResponder {
    let server = AlpnResponder::speaking(&format!("127.0.0.1:{port}"), &[], rustls::ALL_VERSIONS).await;
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec!["a.corp.lan".to_owned()]).expect("a name");
    params.distinguished_name.push(DnType::CommonName, "a.corp.lan");
    params.serial_number = Some(SerialNumber::from_slice(&[0x11; 16]));
    params.not_before = rows::days_ago(10).to_datetime();
    params.not_after = rows::now().plus(std::time::Duration::from_secs(3_000 * 86_400)).to_datetime();
    server.show_otherwise(params.self_signed(&key).expect("a certificate").der().clone(), &key);
    server
}

#[tokio::test]
async fn what_a_probe_finds_is_told_with_what_would_help() {
    let desk = Desk::with_sights().await;
    let (port, closed) = (free_port(), free_port());
    let _server = server(port).await;
    let verbs = [
        (format!("probe a.corp.lan:{port} --connect 127.0.0.1"), "probe-fallback"),
        (format!("probe a.corp.lan:{closed} --connect 127.0.0.1"), "probe-refused"),
    ];
    // Each has five digits, as these have.
    let masked = |text: &str| text.replace(&port.to_string(), "44300").replace(&closed.to_string(), "44301");
    for (verb, name) in verbs {
        for width in [80, 200] {
            let text = desk.says(&format!("{verb} --columns {width}")).await;
            let widest = text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
            assert!(widest <= width, "{verb} is {widest} wide:\n{text}");
            must_equal(&format!("{name}.{width}.txt"), &masked(&text));
        }
        let text = masked(&desk.says(&format!("{verb} --json")).await);
        let line = text.lines().next().expect("a line");
        // The key is another one each time.
        let mut json: serde_json::Value = serde_json::from_str(line).expect("JSON");
        if json["items"][0]["spki"].is_string() {
            json["items"][0]["spki"] = "SPKI".into();
        }
        json_must_equal(&format!("{name}.json"), &json.to_string());
    }
}
