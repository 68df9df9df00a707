//! `ca-ctl resolve`, with a real name server on loopback: a pin, a name that does not exist, an address that may not be
//! dialled, a name without an address.

use serde_json::Value;

use crate::golden::{Desk, json_must_equal, must_equal};
use crate::support::dns::{Answer, DnsServer};

struct World {
    dns: DnsServer,
    desk: Desk,
}

impl World {
    async fn new() -> Self {
        let dns = DnsServer::start().await;
        dns.set_default(Answer::NxDomain);
        dns.set("good.lan", Answer::addresses(&["192.168.1.20", "fd00::20"]));
        dns.set("inside.lan", Answer::addresses(&["127.0.0.1"]));
        dns.set("half.lan", Answer::addresses(&["169.254.169.254", "192.168.1.21"]));
        dns.set("empty.lan", Answer::Addresses(Vec::new()));
        dns.set("broken.lan", Answer::ServFail);
        let alias = |to: &str| Answer::Chain(vec![to.to_owned()], Box::new(Answer::NxDomain));
        dns.set("alias.lan", alias("pinned.corp.lan"));
        dns.set("dangling.lan", alias("gone.lan"));
        let desk = Desk::bare(&format!(
            "servers = [\"{}\"]\n[resolver.pins]\n\"*.corp.lan\" = [\"127.0.0.1\"]\n",
            dns.address()
        ));
        Self { dns, desk }
    }

    /// What is said, without what differs from run to run: the server's port and how long it took.
    async fn says(&self, line: &str) -> String {
        let text = self.desk.says(line).await.replace(&self.dns.address().to_string(), "127.0.0.1:53");
        let text = masked(&text, "(", " ms)", "N");
        masked(&text, "\"millis\":", "}", "0")
    }
}

#[tokio::test]
async fn each_outcome_is_told_with_whom_we_asked_and_what_may_be_dialled() {
    let world = World::new().await;
    let names = [
        "pinned.corp.lan",
        "good.lan",
        "nowhere.lan",
        "inside.lan",
        "half.lan",
        "empty.lan",
        "broken.lan",
        "alias.lan",
        "dangling.lan",
    ];
    for name in names {
        let file = name.replace('.', "-");
        must_equal(&format!("resolve-{file}.txt"), &world.says(&format!("resolve {name}")).await);
        let text = world.says(&format!("resolve {name} --json")).await;
        let (json, _) = text.split_once('\n').expect("one line");
        json_must_equal(&format!("resolve-{file}.json"), json);
    }
}

#[tokio::test]
async fn a_pin_asks_nobody_and_may_lead_anywhere() {
    let world = World::new().await;
    let text = world.says("resolve pinned.corp.lan --json").await;
    let json: Value = serde_json::from_str(&text).expect("nothing but JSON, for it succeeds");
    assert_eq!(json["items"][0]["pinned"], true);
    assert_eq!(json["items"][0]["addresses"][0]["allowed"], true, "the operator's own word is not judged");
    assert_eq!(world.dns.queries(), 0);
}

#[tokio::test]
async fn what_is_no_name_is_refused_before_anybody_is_asked() {
    let world = World::new().await;
    for word in ["*.corp.lan", "a..b", "192.168.1.300", "under_score.lan"] {
        let text = world.says(&format!("resolve {word}")).await;
        assert!(text.starts_with("exit 1: "), "{word}: {text}");
    }
    assert!(world.says("resolve *.corp.lan").await.contains("look up corp.lan"));
    assert_eq!(world.dns.queries(), 0);
}

#[tokio::test]
async fn an_address_needs_no_look_up_and_is_judged_as_the_validator_would() {
    let world = World::new().await;
    let addresses =
        [("192.168.1.10", true), ("fd00::20", true), ("127.0.0.1", false), ("::ffff:169.254.169.254", false)];
    for (address, allowed) in addresses {
        let file = address.replace(['.', ':'], "-");
        must_equal(&format!("resolve-{file}.txt"), &world.says(&format!("resolve {address}")).await);
        let text = world.says(&format!("resolve {address} --json")).await;
        let json: Value = serde_json::from_str(text.split_once('\n').expect("one line").0).expect("JSON");
        assert_eq!(json["items"][0]["addresses"][0]["allowed"], allowed, "{address}");
    }
    assert_eq!(world.dns.queries(), 0);
}

/// Replaces the digits between two marks.
fn masked(text: &str, before: &str, after: &str, by: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(before) {
        let (head, tail) = rest.split_at(at + before.len());
        let digits = tail.bytes().take_while(u8::is_ascii_digit).count();
        out.push_str(head);
        if digits > 0 && tail[digits..].starts_with(after) {
            out.push_str(by);
            rest = &tail[digits..];
        } else {
            rest = tail;
        }
    }
    out + rest
}
