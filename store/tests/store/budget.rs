//! What an issuance may cost: commits and statements. What they take is measured, and judged, by the benchmark.

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
