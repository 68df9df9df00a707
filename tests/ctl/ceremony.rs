//! The ceremony as programs read it: one object for each verb, on a clock that stands.

use serde_json::Value;

use crate::golden::{Desk, json_must_equal};

/// Each verb in the order of the ceremony, and the golden file of what it says.
const STEPS: &[(&str, &str)] = &[
    ("root create --dir DIR/root --name Root --permit corp.lan --no-passphrase", "root-create"),
    ("intermediate request --dir DIR/ca --name Below", "intermediate-request"),
    ("root sign --dir DIR/root --csr DIR/ca/intermediate.csr --out DIR/root/below.pem", "root-sign"),
    (
        "intermediate install --dir DIR/ca --certificate DIR/root/below.pem --root DIR/root/root.pem \
         --url https://ca.corp.lan",
        "intermediate-install",
    ),
    (
        "intermediate install --dir DIR/ca --certificate DIR/root/below.pem --root DIR/root/root.pem",
        "intermediate-install-again",
    ),
    ("init --dir DIR/all --url https://ca.corp.lan --name Corp", "init"),
];

#[tokio::test]
async fn each_step_is_one_object_with_what_was_made_and_where() {
    let desk = Desk::bare("servers = [\"10.0.0.53\"]\n");
    for (line, golden) in STEPS {
        let line = line.replace("DIR", &desk.path().display().to_string());
        let text = desk.says(&format!("{line} --json")).await;
        assert!(!text.contains("PRIVATE KEY"), "{text}");
        let mut json: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        // Keys are made anew each time; everything else is fixed.
        for item in json["items"].as_array_mut().expect("items") {
            if let Value::String(fingerprint) = &mut item["sha256"] {
                assert!(fingerprint.len() == 64 && fingerprint.bytes().all(|b| b.is_ascii_hexdigit()));
                *fingerprint = "0".repeat(64);
            }
        }
        json_must_equal(&format!("{golden}.json"), &json.to_string());
    }
}
