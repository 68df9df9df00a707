//! Every test runs on SQLite and on PostgreSQL from one text. PostgreSQL is the cluster that `ACME_CA_TEST_POSTGRES`
//! names, a URL whose user may create databases (see `tests/postgres`); without it those tests say `SKIPPED:`.
//!
//! The modules are `cfg(test)` so that clippy knows them for tests.

#![expect(unreachable_pub, reason = "a test program exports nothing")]

#[cfg(test)]
mod accounts;
#[cfg(test)]
mod alerts;
#[cfg(test)]
mod authorizations;
#[cfg(test)]
mod budget;
#[cfg(test)]
mod certificates;
#[cfg(test)]
mod external_accounts;
#[cfg(test)]
mod lineages;
#[cfg(test)]
mod observations;
#[cfg(test)]
mod open;
#[cfg(test)]
mod orders;
#[cfg(test)]
mod outbox;
#[cfg(test)]
mod pruning;
#[cfg(test)]
mod renewal_info;
#[cfg(test)]
mod revocations;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod states;
#[cfg(test)]
mod world;
#[cfg(test)]
mod writable;
#[cfg(test)]
mod writing;
