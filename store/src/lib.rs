//! What acme-ca keeps, in SQLite or PostgreSQL, from one text.
//!
//! | module | what it holds |
//! |---|---|
//! | [`Store`] | opening ([`Options`], [`OpenError`]), writing a [`Change`], reading |
//! | [`account`] | accounts, RFC 8555 7.1.2 |
//! | [`external_account`] | keys for external account binding, RFC 8555 7.3.4 |
//! | [`order`] | orders, RFC 8555 7.1.3, from their making to their end |
//! | [`authorization`] | authorizations, RFC 8555 7.1.4, and their challenges |
//! | [`issuance`] | from the intent to sign to the certificate, or to giving it up |
//! | [`certificate`] | certificates and the chains of their issuers |
//! | [`revocation`] | what is revoked, which keys are blocked, the numbers of the lists that say so |
//! | [`renewal_info`] | polls, windows that were asked for, and what an order replaces: RFC 9773 |
//! | [`outbox`] | what people are to be told, until they were |
//! | [`lineage`] | sets of names with all that is known of them, and which need attention |
//! | [`care`] | what the operator says about names |
//! | [`observation`] | what addresses really serve, as probes saw it |
//! | [`served`] | what probes must know of the certificates that they are shown |
//! | [`alert`] | alerts, and what happened to them |
//! | [`attempts`] | what validations came to lately, over all names |
//! | [`audit`] | what happened, for ever |
//! | [`prune`] | what need not be kept |
//! | [`room`] | the room on the disk of a SQLite file |
//!
//! Rules live in `acme` and above; here a change only says from which state to which, so that two callers cannot both
//! do it. It knows nothing of clocks, keys or sockets other than the database's.

mod error;
mod open;
mod open_error;
#[cfg(test)]
mod plans;
mod script;
mod sql;
mod store;
mod writable;
mod write;
mod writer;

pub mod account;
pub mod alert;
pub mod attempts;
pub mod audit;
pub mod authorization;
pub mod care;
pub mod certificate;
pub mod external_account;
pub mod issuance;
pub mod lineage;
pub mod observation;
pub mod order;
pub mod outbox;
pub mod prune;
pub mod renewal_info;
pub mod revocation;
pub mod room;
pub mod served;

pub use error::Error;
pub use open::Options;
pub use open_error::OpenError;
pub use store::Store;
pub use writable::Unwritable;
pub use write::{Change, Stats, Tx};
