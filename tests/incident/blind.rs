//! When a name server is called unhealthy, and what is said while nobody can look: nothing is well because it is not seen.

use crate::support::dns::Answer;
use crate::world::{DAY, HOUR, MINUTE, RELOADED, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_its_owner_takes_out_of_dns_is_not_the_name_servers_illness() {
    let world = World::new("").await;
    for name in ["a.corp.lan", "b.corp.lan", "c.corp.lan"] {
        world.dns.set(name, Answer::addresses(&["127.0.0.1"]));
        world.issue(name).await;
    }
    world.through(30, 5 * MINUTE, 30).await;
    // The one that was found last is retired; what was validated lately is long past.
    world.dns.set("c.corp.lan", Answer::NxDomain);
    world.through(DAY, DAY + 20 * MINUTE, 60).await;
    assert_eq!(world.titles(), Vec::<String>::new(), "the server knows the others");

    world.dns.set("a.corp.lan", Answer::ServFail);
    world.dns.set("b.corp.lan", Answer::Silence);
    world.through(2 * DAY, 2 * DAY + 10 * MINUTE, 60).await;
    let titles = world.titles();
    assert_eq!(titles.len(), 1, "{titles:?}");
    assert!(titles[0].starts_with(&format!("Resolver {}", world.dns.address())), "{titles:?}");

    // A pin goes round it: nobody knows whether it is well again.
    world.reload("[resolver.pins]\n\"*.corp.lan\" = [\"127.0.0.1\"]").await;
    world.through(3 * DAY, 3 * DAY + HOUR, 10 * 60).await;
    let titles = world.titles();
    assert!(titles.last().unwrap().contains("is not asked any more"), "{titles:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_name_that_is_muted_or_forgotten_a_name_server_need_know_nothing() {
    let world = World::new("").await;
    for name in ["a.corp.lan", "b.corp.lan"] {
        world.dns.set(name, Answer::addresses(&["127.0.0.1"]));
        world.issue(name).await;
    }
    let said = [vec!["mute", "a.corp.lan", "--for", "7d", "--reason", "moves"], vec!["forget", "b.corp.lan"]];
    for arguments in said {
        let output = world.ca.ctl(&arguments);
        assert!(output.status.success(), "{output:?}");
    }
    world.dns.set("a.corp.lan", Answer::ServFail);
    world.dns.set("b.corp.lan", Answer::NxDomain);
    world.through(DAY, DAY + 10 * MINUTE, 60).await;
    assert_eq!(world.titles(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_dns_is_no_all_clear_for_what_is_served() {
    let world = World::new("").await;
    for name in ["a.corp.lan", "b.corp.lan"] {
        world.dns.set(name, Answer::addresses(&["127.0.0.1"]));
    }
    world.issue("a.corp.lan").await;
    let other = world.issue("b.corp.lan").await;
    let nginx = world.nginx(&[("a.corp.lan", world.minica("a.corp.lan")), ("b.corp.lan", other)]).await;
    world.through(30, 5 * MINUTE, 60).await;
    let fallback = |titles: Vec<String>| -> Vec<String> {
        titles.into_iter().filter(|title| title.contains("a.corp.lan")).collect()
    };
    assert_eq!(fallback(world.titles()).len(), 1, "{:?}", world.titles());

    // Longer than the reminder takes.
    for name in ["a.corp.lan", "b.corp.lan"] {
        world.dns.set(name, Answer::ServFail);
    }
    world.through(HOUR, 9 * HOUR, 10 * 60).await;
    assert_eq!(fallback(world.titles()).len(), 1, "nobody could look: {:?}", world.titles());
    assert!(world.titles().iter().any(|title| title.starts_with("Resolver")), "{:?}", world.titles());

    // The name is taken out of DNS, while the server knows the other one.
    world.dns.set("b.corp.lan", Answer::addresses(&["127.0.0.1"]));
    world.dns.set("a.corp.lan", Answer::NxDomain);
    world.through(10 * HOUR, 12 * HOUR, 10 * 60).await;
    let said = fallback(world.titles());
    assert_eq!(said.len(), 2, "{:?}", world.titles());
    assert!(said[1].contains("gone from DNS"), "{said:?}");

    // It comes back, and serves what it should.
    world.dns.set("a.corp.lan", Answer::addresses(&["127.0.0.1"]));
    world.issue("a.corp.lan").await;
    nginx.reload();
    tokio::time::sleep(RELOADED).await;
    world.through(13 * HOUR, 14 * HOUR, 10 * 60).await;
    assert_eq!(fallback(world.titles()).len(), 2, "{:?}", world.titles());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pin_that_the_name_server_contradicts_is_told_and_one_that_it_does_not_know_is_not() {
    let world = World::new(
        "[resolver.pins]\n\"a.corp.lan\" = [\"127.0.0.1\"]\n\"b.corp.lan\" = [\"127.0.0.1\"]\n\
         \"c.corp.lan\" = [\"127.0.0.1\"]",
    )
    .await;
    let mut services = Vec::new();
    for name in ["a.corp.lan", "b.corp.lan", "c.corp.lan"] {
        services.push((name, world.issue(name).await));
    }
    let _nginx = world.nginx(&services).await;
    world.dns.set("a.corp.lan", Answer::addresses(&["127.0.0.77", "127.0.0.1"]));
    world.dns.set("b.corp.lan", Answer::NxDomain);
    world.dns.set("c.corp.lan", Answer::Silence);
    world.through(30, HOUR, 10 * 60).await;
    assert_eq!(world.titles(), Vec::<String>::new(), "nothing contradicts them");

    world.dns.set("a.corp.lan", Answer::addresses(&["127.0.0.77"]));
    world.through(2 * HOUR, 3 * HOUR, 10 * 60).await;
    let told = world.told();
    assert_eq!(told.len(), 1, "{:?}", world.titles());
    let text = told[0].to_string();
    assert!(text.contains("a.corp.lan") && text.contains("127.0.0.77"), "{text}");
    assert!(text.contains("the pin a.corp.lan says 127.0.0.1"), "{text}");

    // A server that says nothing does not agree.
    world.dns.set("a.corp.lan", Answer::ServFail);
    world.through(4 * HOUR, 5 * HOUR, 10 * 60).await;
    assert_eq!(world.told().len(), 1, "{:?}", world.titles());
    world.dns.set("a.corp.lan", Answer::addresses(&["127.0.0.1"]));
    world.through(6 * HOUR, 7 * HOUR, 10 * 60).await;
    assert_eq!(world.told().len(), 2, "{:?}", world.titles());
    assert!(world.titles()[1].contains("agree"), "{:?}", world.titles());
}
