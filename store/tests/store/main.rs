//! Every test runs on SQLite and on PostgreSQL from one text. PostgreSQL is the cluster that `ACME_CA_TEST_POSTGRES`
//! names, a URL whose user may create databases (see `tests/postgres`); without it those tests say `SKIPPED:`.

#![expect(unreachable_pub, reason = "a test program exports nothing")]

mod accounts;
mod authorizations;
mod budget;
mod certificates;
mod open;
mod orders;
mod pruning;
mod schema;
mod world;
mod writing;
