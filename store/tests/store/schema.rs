//! The two schemas say the same, and what they hold is checked when it is read.

use store::Error;
use store::issuance::PutIssuer;

use crate::world::*;

#[tokio::test]
async fn both_schemas_have_the_same_tables_columns_and_indexes() {
    let Some(postgres) = World::postgres("both_schemas").await else { return };
    let sqlite = World::sqlite().await;
    let ours = sqlite
        .sql(
            "SELECT t.name || '.' || c.name || ' ' || CASE
                 WHEN c.name IN ('wildcard', 'terms_agreed', 'reusable') THEN 'boolean'
                 WHEN c.type = 'INTEGER' THEN 'bigint'
                 WHEN c.type = 'BLOB' THEN 'bytea'
                 ELSE lower(c.type) END || CASE WHEN c.\"notnull\" THEN ' not null' ELSE '' END
             FROM sqlite_schema t JOIN pragma_table_info(t.name) c
             WHERE t.type = 'table' AND t.name NOT LIKE '\\_sqlx%' ESCAPE '\\' ORDER BY t.name, c.cid",
        )
        .await;
    let theirs = postgres
        .sql(
            "SELECT (table_name || '.' || column_name || ' ' || data_type
                     || CASE is_nullable WHEN 'NO' THEN ' not null' ELSE '' END)::text
             FROM information_schema.columns
             WHERE table_schema = 'public' AND table_name NOT LIKE '\\_sqlx%'
             ORDER BY table_name COLLATE \"C\", ordinal_position",
        )
        .await;
    assert!(ours.len() > 50, "{ours:?}");
    assert_eq!(ours, theirs);

    let ours = sqlite
        .sql("SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY 1")
        .await;
    let theirs = postgres
        .sql(
            "SELECT indexname::text FROM pg_indexes WHERE schemaname = 'public'
             AND indexname NOT LIKE '%\\_pkey' AND indexname NOT LIKE '%\\_key' ORDER BY indexname::text COLLATE \"C\"",
        )
        .await;
    assert_eq!(ours, theirs);
    postgres.store.close().await;
    drop_database(postgres.database).await;
}

both! {
    async fn a_column_that_the_program_cannot_have_written_is_named(world: World) {
        let account = world.account().await;
        let order = world.order(&account, &["a.lan"]).await;
        world.execute("UPDATE authz SET challenges = 'http-01,carrier-pigeon'").await;
        let error = world.store.order_with_authorizations(&order.order.id).await.unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }) && !error.is_retryable(), "{error:?}");
        assert!(error.to_string().contains("challenges"), "{error}");
        world.execute("UPDATE orders SET identifiers = '[{]'").await;
        let error = world.store.orders(now(), 10).await.unwrap_err();
        assert!(error.to_string().contains("identifiers"), "{error}");
        world.store.write(PutIssuer { issuer: issuer() }).await.unwrap();
    }
}
