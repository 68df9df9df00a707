//! What an issuance may cost: commits, statements, octets on the disk.

use std::time::Instant;

use store::issuance::PutIssuer;

use crate::world::*;

both! {
    async fn an_issuance_is_four_commits_and_twelve_statements(world: World) {
        let account = world.account().await;
        world.store.write(PutIssuer { issuer: issuer() }).await.unwrap();
        let before = world.store.stats();
        let order = world.order(&account, &["a.lan"]).await;
        world.store.write(valid(&order.authorizations[0])).await.unwrap();
        let intent = intend(&order.order);
        world.store.write(intent.clone()).await.unwrap();
        world.store.write(issue(&intent.certificate)).await.unwrap();
        let after = world.store.stats();
        assert_eq!(after.changes - before.changes, 4);
        assert_eq!(after.commits - before.commits, 4);
        assert_eq!(after.statements - before.statements, 12);
    }
}

/// Prints the figures that `performance.md` asks for: `cargo test --release -p store -- --ignored --nocapture figures`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it measures, it does not judge"]
async fn figures() {
    let postgres = World::postgres("figures").await;
    for world in [Some(World::sqlite().await), postgres].into_iter().flatten() {
        for callers in [1, 8, 32] {
            measure(&world, callers).await;
        }
        if let Some(path) = &world.path {
            world.store.close().await;
            let size = std::fs::metadata(path).unwrap().len();
            println!("{} octets an issuance", size / world.count("certificate").await as u64);
        }
        drop_database(world.database).await;
    }
}

async fn measure(world: &World, callers: usize) {
    let each = 2400 / callers;
    let account = world.account().await;
    world.store.write(PutIssuer { issuer: issuer() }).await.unwrap();
    let (before, cpu, start) = (world.store.stats(), cpu(), Instant::now());
    let mut tasks = Vec::new();
    for caller in 0..callers {
        let (store, account) = (world.store.clone(), account.clone());
        tasks.push(tokio::spawn(async move {
            for n in 0..each {
                let name = format!("host-{caller}-{n}.mgmt.lan");
                let order = order(&account, &[&name]);
                store.write(order.clone()).await.unwrap();
                store.write(valid(&order.authorizations[0])).await.unwrap();
                let intent = intend(&order.order);
                store.write(intent.clone()).await.unwrap();
                store.write(issue(&intent.certificate)).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let (after, elapsed) = (world.store.stats(), start.elapsed().as_secs_f64());
    let made = (each * callers) as f64;
    println!(
        "{}: {callers} callers, {:.0} issuances/s, {:.0} us CPU, {:.2} commits, {:.1} statements each",
        world.store.location(),
        made / elapsed,
        (self::cpu() - cpu) * 1e6 / made,
        (after.commits - before.commits) as f64 / made,
        (after.statements - before.statements) as f64 / made,
    );
    println!("resident: {}", resident());
}

/// What this process holds in memory, by Linux' account.
fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap().trim().to_owned()
}

/// The seconds of CPU that this process used, by Linux' account.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks = |n: usize| fields[n].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / 100.0
}
