//! No work that a request or a task does over and over grows with the store: each such statement finds its rows by an
//! index. What SQLite says that it will do is checked here; PostgreSQL has the same indexes.

use sqlx::{Connection as _, Row as _, SqliteConnection};

use crate::{
    Options, Store, account, alert, attempts, authorization, certificate, issuance, lineage, observation,
    order, outbox, prune, renewal_info, revocation, served,
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
    let downloaded = renewal_info::DOWNLOADED.replace("ROWS", "($1, $2), ($3, $4)");
    let link = order::LINK_HELD
        .replace("SHOWN", "$5")
        .replace("ROWS", "($6, $7, $8, $9, $10), ($11, $12, $13, $14, $15)");
    let failure = lineage::facts::FAILURE.replace("LIST", "$1, $2");
    let failures = lineage::facts::FAILURES.replace("ROWS", "($1, $2), ($3, $4)");
    let heard = outbox::heard_of("$1, $2");
    let wanted = lineage::pages::WANTED.replace("ANY", "c.names LIKE $3");
    let with_serials = certificate::WITH_SERIALS.replace("LIST", "$1, $2");
    let of_hosts = observation::OF_HOSTS.replace("LIST", "$1, $2");
    let below = observation::BELOW.replace("LIST", "$1, $2");
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
        (issuance::PUT, "certificate_current"),
        (renewal_info::SUPERSEDE, "certificate_current"),
        (renewal_info::SUPERSEDE_TOO, "certificate_current"),
        (renewal_info::PREDECESSOR, "orders_replaces"),
        (renewal_info::PREDECESSOR, "sqlite_autoindex_certificate"),
        (renewal_info::BEFORE, "certificate_current"),
        (renewal_info::BEFORE, "certificate_past"),
        (polled.as_str(), "sqlite_autoindex_certificate"),
        (downloaded.as_str(), "sqlite_autoindex_certificate"),
        (renewal_info::ASK, "sqlite_autoindex_certificate"),
        (certificate::EXPIRING, "certificate_expiry"),
        (with_serials.as_str(), "sqlite_autoindex_certificate"),
        (certificate::INTENDED, "certificate_intended"),
        (revocation::REVOKE, "sqlite_autoindex_certificate"),
        (revocation::REVISION, "PRIMARY KEY (what=?)"),
        (revocation::REVOKED, "certificate_revoked (issuer=? AND not_after>?)"),
        (revocation::OF_KEY, "certificate_spki"),
        (outbox::PUT, "outbox_seq"),
        (outbox::OPEN, "outbox_open"),
        (outbox::DELIVERIES, "outbox_open"),
        (outbox::DELIVERIES, "PRIMARY KEY (outbox_id=?)"),
        (outbox::SETTLE, "PRIMARY KEY (id=?)"),
        (outbox::STANDING, "standing_now"),
        (outbox::FORGET_DELIVERIES, "outbox_settled"),
        (outbox::FORGET, "outbox_settled"),
        (outbox::FORGET_STANDING, "standing_over"),
        (heard.as_str(), "PRIMARY KEY (key=?)"),
        (outbox::HEAR_END, "PRIMARY KEY (key=? AND sink=?)"),
        (outbox::FORGET_HEARD, "heard_at (at<?)"),
        (lineage::pages::ATTENTION, "certificate_attention ((attention_at,serial)>(?,?) AND attention_at<?)"),
        (lineage::pages::ENDING, "certificate_expiry (not_after>? AND not_after<?)"),
        (lineage::pages::FAILED, "orders_failed_names (names>?)"),
        (lineage::pages::COUNT, "certificate_attention"),
        (lineage::pages::ALL, "certificate_current (names>?)"),
        (lineage::pages::ALL, "orders_failed_names (names>?)"),
        (wanted.as_str(), "INDEX certificate_current (names>?)"),
        (lineage::facts::CURRENT, "certificate_current (names=?)"),
        (lineage::facts::PAST, "certificate_past (names=?)"),
        (lineage::facts::ATTEMPT, "orders_names (names=?)"),
        (failure.as_str(), "l USING PRIMARY KEY (order_id=?"),
        (failures.as_str(), "orders_failed_names (names=? AND id>?)"),
        (lineage::recent::FAILED_SINCE, "orders_failed"),
        (lineage::recent::ISSUED_SINCE, "PRIMARY KEY (id>?)"),
        (observation::OF_HOST, "observation_host (host=?)"),
        (of_hosts.as_str(), "observation_host (host=?)"),
        (below.as_str(), "observation_parent (parent=?)"),
        (observation::TROUBLED, "observation_troubled"),
        (attempts::TRIED, "PRIMARY KEY (id>?)"),
        (observation::OF_TARGET, "PRIMARY KEY (target=?)"),
        (observation::EVERY, "PRIMARY KEY"),
        (observation::REMOVE, "PRIMARY KEY (target=? AND address=?)"),
        (observation::FORGET, "PRIMARY KEY (target=?)"),
        (observation::CHANGES, "PRIMARY KEY (target=?)"),
        (observation::SHORTEN, "PRIMARY KEY (target=?)"),
        (served::ISSUED, "sqlite_autoindex_certificate"),
        (served::CURRENT, "certificate_current (names>?)"),
        (served::LAST_EVIDENCE, "authz_valid (account_id=? AND identifier_value=?)"),
        (prune::UNLINK, "orders_expiry"),
        (prune::DELETE, "orders_expiry"),
    ];
    for (sql, index) in cases {
        let plan = plan(&mut connection, sql).await;
        assert!(plan.iter().any(|step| step.contains(index)), "{sql}\ndoes not use {index}: {plan:#?}");
        for step in &plan {
            // A subquery's few rows may be scanned; so may an index that holds nothing but the work.
            let is_scan = step.starts_with("SCAN");
            let of_work = ["_processing", "_failed", "_intended", "_open", "_now", "_troubled"]
                .iter()
                .any(|end| step.contains(end));
            assert!(
                !is_scan
                    || of_work
                    || step == "SCAN o"
                    || step == "SCAN n"
                    || [
                        "SCAN p",
                        "SCAN polls",
                        "SCAN learnt",
                        "SCAN l",
                        "SCAN w",
                        "SCAN fetched",
                        "SCAN a",
                        "SCAN b",
                        "SCAN u"
                    ]
                    .contains(&step.as_str())
                    || step.ends_with("VALUES CLAUSE")
                    || step.ends_with("CONSTANT ROWS"),
                "{sql}\nreads everything: {plan:#?}"
            );
            let is_bounded = [
                order::WHOLE,
                order::FAILED,
                renewal_info::BEFORE,
                lineage::pages::ALL,
                lineage::pages::ENDING,
                failures.as_str(),
            ]
            .contains(&sql);
            assert!(!step.contains("TEMP B-TREE") || is_bounded, "{sql}\nsorts: {plan:#?}");
        }
    }
    store.close().await;
}
