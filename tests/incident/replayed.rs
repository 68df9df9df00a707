//! The incident as a whole, with a clock that the test sets: one alert with the cause within five minutes, reminders and no
//! more, one all-clear. And its siblings, in which something else is broken.

use futures_util::future::join_all;

use crate::services;
use acme::time::Timestamp;

use crate::support::dns::Answer;
use crate::support::forge::{Forged, Wish, write};
use crate::support::ntfy::Ntfy;
use crate::world::{DAY, HOUR, MINUTE, RELOADED, World};

#[tokio::test(flavor = "multi_thread")]
async fn fifteen_services_fall_back_and_one_alert_says_why_until_one_says_that_it_is_over() {
    let world = World::new("").await;
    let names = services();
    let fallbacks: Vec<_> = names.iter().map(|name| (name.as_str(), world.minica(name))).collect();
    let nginx = world.nginx(&fallbacks).await;
    // The name server does not know the zone; each client tries once, as its host boots.
    world.dns.set_default(Answer::NxDomain);
    join_all(names.iter().map(|name| world.fail(name))).await;
    world.through(30, 5 * MINUTE, 30).await;
    let told = world.told();
    assert_eq!(told.len(), 1, "one alert for one cause: {:?}", world.titles());
    let (title, text) = (told[0]["title"].as_str().unwrap(), told[0]["message"].as_str().unwrap());
    let server = world.dns.address().to_string();
    assert!(title.contains("All ACME validation fails") && title.contains("15 names"), "{title}");
    assert!(title.contains(&server) && title.contains("NXDOMAIN"), "{title}");
    assert!(text.contains("svc1.corp.lan") && text.contains("ca-ctl resolve"), "{text}");
    assert_eq!(told[0]["priority"], 5);

    // A day in which nobody does anything, and the clients, whose timers are daily, neither.
    world.through(10 * MINUTE, DAY, 10 * 60).await;
    let reminders = world.told().len() - 1;
    assert_eq!(reminders, 6, "an hour three times, then six: {:?}", world.titles());
    let said = world.ca.ctl(&["list-expiring"]);
    let said = String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr);
    assert!(
        said.contains("svc7.corp.lan") && said.contains("Common cause") && said.contains("NXDOMAIN"),
        "{said}"
    );

    // The pin that heals it.
    world.reload("[resolver.pins]\n\"*.corp.lan\" = [\"127.0.0.1\"]").await;
    for name in &names {
        world.issue(name).await;
    }
    nginx.reload();
    tokio::time::sleep(RELOADED).await;
    world.through(DAY + MINUTE, DAY + 2 * HOUR, 5 * 60).await;
    let titles = world.titles();
    assert_eq!(titles.len(), 8, "one all-clear: {titles:?}");
    assert!(titles[7].contains("Validation works again"), "{titles:?}");
    let last = &world.told()[7];
    assert!(last["message"].as_str().unwrap().contains("15 of 15"), "{last}");
    assert_eq!(last["sequence_id"], told[0]["sequence_id"], "it takes the place of what it ends");
    // And all is well with what is served.
    let seen = world.server.app().store.observations(None, 100).await.unwrap();
    let ours = seen.iter().filter(|row| names.contains(&row.host));
    assert!(
        ours.clone().count() == 15 && ours.clone().all(|row| row.served.verdict.as_str() == "ok"),
        "{seen:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_issued_and_not_served_is_told_with_what_to_do() {
    let world = World::new("[resolver.pins]\n\"*.corp.lan\" = [\"127.0.0.1\"]").await;
    let pair = world.issue("wiki.corp.lan").await;
    let nginx = world.nginx(&[("wiki.corp.lan", pair)]).await;
    world.through(30, 5 * MINUTE, 60).await;
    world.clock.set(world.began.plus(std::time::Duration::from_secs(3_600)));
    // Renewed, but nobody reloads.
    world.issue("wiki.corp.lan").await;
    world.through(HOUR, HOUR + 50 * MINUTE, 5 * 60).await;
    assert_eq!(world.titles(), Vec::<String>::new(), "a reload may take a while");
    // An hour after it was issued.
    world.through(2 * HOUR, 3 * HOUR, 10 * 60).await;
    let told = world.told();
    assert_eq!(told.len(), 1, "{:?}", world.titles());
    assert!(told[0]["message"].as_str().unwrap().contains("reload"), "{}", told[0]);
    nginx.reload();
    tokio::time::sleep(RELOADED).await;
    world.through(4 * HOUR, 5 * HOUR, 10 * 60).await;
    assert_eq!(world.told().len(), 2, "{:?}", world.titles());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_dead_host_is_that_hosts_trouble() {
    let world =
        World::new("[resolver.pins]\n\"*.corp.lan\" = [\"127.0.0.1\"]\n\"dead.corp.lan\" = [\"127.0.0.9\"]")
            .await;
    world.issue("wiki.corp.lan").await;
    world.fail("dead.corp.lan").await;
    world.through(30, 10 * MINUTE, 60).await;
    let titles = world.titles();
    assert_eq!(titles.len(), 1, "{titles:?}");
    assert!(titles[0].contains("dead.corp.lan") && !titles[0].contains("All"), "{titles:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_whose_timer_died_is_told_of_before_its_certificate_ends() {
    let world = World::new("[resolver.pins]\n\"*.corp.lan\" = [\"127.0.0.1\"]").await;
    let pair = world.issue("wiki.corp.lan").await;
    let _nginx = world.nginx(&[("wiki.corp.lan", pair)]).await;
    world.through(30, 5 * MINUTE, 60).await;
    // No poll, no order: nothing at all until somebody has to look.
    world.through(DAY, 71 * DAY, 12 * 3_600).await;
    assert_eq!(world.titles(), Vec::<String>::new(), "not in the normal course of a life");
    world.through(72 * DAY, 82 * DAY, 6 * 3_600).await;
    let titles = world.titles();
    assert!(!titles.is_empty() && titles.iter().all(|title| title.contains("wiki.corp.lan")), "{titles:?}");
    let of_day: usize = titles.len();
    assert!(of_day <= 12, "once a day: {titles:?}");
    let text = world.told()[0]["message"].as_str().unwrap().to_owned();
    assert!(text.contains("ca-ctl explain wiki.corp.lan"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_from_an_old_backup_is_given_away_by_what_is_served() {
    let world = World::new("[resolver.pins]\n\"*.corp.lan\" = [\"127.0.0.1\"]").await;
    let old = world.issue("wiki.corp.lan").await;
    drop(old);
    let lost = Forged::read(&world.ca.path("intermediate.pem"), &world.ca.path("intermediate.key"));
    let wish = Wish { subject: "CN=wiki.corp.lan", names: &["wiki.corp.lan"], ..Wish::default() };
    let leaf = lost.below(&wish);
    let chain = leaf.pem() + &std::fs::read_to_string(world.ca.path("intermediate.pem")).unwrap();
    let pair = write(&world.ca.scratch("lost"), "wiki", &chain, &leaf.key_pem());
    let _nginx = world.nginx(&[("wiki.corp.lan", pair)]).await;
    world.through(30, 10 * MINUTE, 30).await;
    let told = world.told();
    assert_eq!(told.len(), 1, "{:?}", world.titles());
    let text = told[0].to_string();
    assert!(text.contains("wiki.corp.lan") && text.contains("backup"), "{text}");
    assert_eq!(told[0]["priority"], 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ntfy_behind_a_certificate_that_nobody_trusts_is_told_of_elsewhere() {
    let root = Forged::alone(&Wish { subject: "CN=minica root ca 112233", is_ca: true, ..Wish::default() });
    let leaf =
        root.below(&Wish { subject: "CN=ntfy.corp.lan", names: &["ntfy.corp.lan"], ..Wish::default() });
    let broken = Ntfy::with_tls(&(leaf.pem() + &root.pem()), &leaf.key_pem()).await;
    let other = Ntfy::start().await;
    let more = format!(
        r#"
        [resolver.pins]
        "*.corp.lan" = ["127.0.0.1"]
        "dead.corp.lan" = ["127.0.0.9"]
        [[alerts.sink]]
        type = "ntfy"
        name = "phone"
        url = "https://ntfy.corp.lan:{}"
        topic = "pki"
        [[alerts.sink]]
        type = "ntfy"
        name = "plain"
        url = "{}"
        topic = "pki"
        role = "fallback"
        "#,
        broken.port(),
        other.url(),
    );
    let world = World::new(&more).await;
    other.set_clock(world.began);
    world.fail("dead.corp.lan").await;
    for minute in 1..20 {
        other.set_clock(Timestamp::from_unix(world.began.unix() + minute * MINUTE));
        world.at(minute * MINUTE).await;
    }
    let titles = other.titles();
    assert!(titles.iter().any(|title| title.contains("phone")), "that the phone hears nothing: {titles:?}");
    assert!(
        titles.iter().any(|title| title.contains("dead.corp.lan")),
        "and what it should have heard: {titles:?}"
    );
    assert!(broken.requests().is_empty(), "nothing goes to whom nobody trusts");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_that_is_down_is_told_of_by_the_server_that_it_told_so() {
    let world = World::new("").await;
    world.through(30, 3 * HOUR, 1_800).await;
    let World { server, ntfy, began, .. } = world;
    server.stop().await;
    let silent = |hours: i64| {
        ntfy.set_clock(Timestamp::from_unix(began.unix() + hours * HOUR));
        ntfy.delivered().iter().filter(|message| message["title"].to_string().contains("silent")).count()
    };
    assert_eq!(silent(28), 0, "it was put off while the CA lived");
    assert_eq!(silent(30), 1, "and nobody puts it off any more");
}
