//! When a name server is called unhealthy, and what is said while nobody can look: nothing is well because it is not seen.

use crate::support::dns::Answer;
use crate::world::{DAY, HOUR, MINUTE, World};

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
