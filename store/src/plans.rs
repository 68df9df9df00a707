//! No work that a request or a task does over and over grows with the store: each such statement finds its rows by an
//! index. What SQLite says that it will do is checked here; PostgreSQL has the same indexes.

use sqlx::{Connection as _, Row as _, SqliteConnection};

use crate::{
    Options, Store, account, alert, authorization, certificate, issuance, order, prune, renewal_info,
    revocation,
};

/// The plan of a statement with nothing bound, one line a step.
async fn plan(connection: &mut SqliteConnection, sql: &str) -> Vec<String> {
    let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
    let rows = sqlx::query(explain).fetch_all(connection).await.unwrap();
    rows.iter().map(|row| row.get::<String, _>("detail")).collect()
}

#[tokio::test]
async fn no_statement_that_is_run_often_reads_a_whole_table() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ca.db");
    let store = Store::open(&format!("sqlite:{}", path.display()), &Options::default()).await.unwrap();
    let mut connection = SqliteConnection::connect(&format!("sqlite:{}", path.display())).await.unwrap();
    let valid = authorization::VALID.replace("ROWS", "($3, $4, $5), ($6, $7, $8)");
    let polled = renewal_info::POLLED.replace("ROWS", "($1, $2), ($3, $4)");
    let link = order::LINK_HELD
        .replace("SHOWN", "$5")
        .replace("ROWS", "($6, $7, $8, $9, $10), ($11, $12, $13, $14, $15)");
    let forget = alert::FORGET.replace("KEYS", "$1, $2");
    let cases = [
        (forget.as_str(), "PRIMARY KEY (key=?)"),
        (alert::ACK, "PRIMARY KEY (key=?)"),
        (alert::ONE, "PRIMARY KEY (key=?)"),
        (alert::OPEN, "alert_open"),
        (alert::ENDED, "alert_ended (ended_at>?)"),
        (alert::EVENTS, "PRIMARY KEY (at>?)"),
        (alert::EVENTS_OF, "alert_event_of (key=?)"),
        (alert::PRUNE, "alert_ended (ended_at>? AND ended_at<?)"),
        (alert::PRUNE_EVENTS, "PRIMARY KEY (at<?)"),
        (link.as_str(), "authz_valid"),
        (valid.as_str(), "authz_valid"),
        (account::BY_THUMBPRINT, "sqlite_autoindex_account"),
        (authorization::PROCESSING, "authz_processing"),
        (prune::ALONE, "authz_alone"),
        (order::ONE, "o USING PRIMARY KEY (id=?)"),
        (order::TO_FINALIZE, "o USING PRIMARY KEY (id=?)"),
        (order::TO_FINALIZE, "k USING INDEX sqlite_autoindex_account"),
        (order::OF_ACCOUNT, "orders_account"),
        (order::SINCE, "PRIMARY KEY (id>?)"),
        (order::WHOLE, "orders USING PRIMARY KEY (id>?)"),
        (order::FAILED, "orders_failed"),
        (order::PROCESSING, "orders_processing"),
        (issuance::INTEND, "certificate_intended"),
        (renewal_info::SUPERSEDE, "certificate_current"),
        (renewal_info::SUPERSEDE_TOO, "certificate_current"),
        (renewal_info::PREDECESSOR, "orders_replaces"),
        (renewal_info::PREDECESSOR, "sqlite_autoindex_certificate"),
        (renewal_info::BEFORE, "certificate_current"),
        (renewal_info::BEFORE, "certificate_past"),
        (polled.as_str(), "sqlite_autoindex_certificate"),
        (renewal_info::ASK, "sqlite_autoindex_certificate"),
        (certificate::EXPIRING, "certificate_expiry"),
        (certificate::INTENDED, "certificate_intended"),
        (revocation::REVOKE, "sqlite_autoindex_certificate"),
        (revocation::REVISION, "PRIMARY KEY (what=?)"),
        (revocation::REVOKED, "certificate_revoked (issuer=? AND not_after>?)"),
        (revocation::OF_KEY, "certificate_spki"),
        (prune::UNLINK, "orders_expiry"),
        (prune::DELETE, "orders_expiry"),
    ];
    for (sql, index) in cases {
        let plan = plan(&mut connection, sql).await;
        assert!(plan.iter().any(|step| step.contains(index)), "{sql}\ndoes not use {index}: {plan:#?}");
        for step in &plan {
            // A subquery's few rows may be scanned; so may an index that holds nothing but the work.
            let is_scan = step.starts_with("SCAN");
            let of_work = ["_processing", "_failed", "_intended", "alert_open"]
                .iter()
                .any(|index| step.contains(index));
            assert!(
                !is_scan
                    || of_work
                    || step == "SCAN o"
                    || step == "SCAN n"
                    || step == "SCAN polls"
                    || step.ends_with("VALUES CLAUSE")
                    || step.ends_with("CONSTANT ROWS"),
                "{sql}\nreads everything: {plan:#?}"
            );
            let is_bounded = [order::WHOLE, order::FAILED, renewal_info::BEFORE].contains(&sql);
            assert!(!step.contains("TEMP B-TREE") || is_bounded, "{sql}\nsorts: {plan:#?}");
        }
    }
    store.close().await;
}
