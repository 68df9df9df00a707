//! The ACME protocol as pure functions of facts and `now`.
//!
//! | module | what it carries out |
//! |---|---|
//! | [`id`], [`time`] | names of things, and the one form of time |
//! | [`identifier`] | what a certificate can be for: RFC 8555 9.7.7, RFC 8738, RFC 5890 |
//! | [`problem`] | what a client is told when it is refused: RFC 8555 6.7, RFC 7807 |
//! | [`failure`] | why a validation failed, with the evidence |
//! | [`jwk`], [`jws`] | account keys and signed requests: RFC 8555 6.2, RFC 7515-7518, 7638, 8037 |
//! | [`nonce`] | anti-replay: RFC 8555 6.5 |
//! | [`message`] | request and response bodies: RFC 8555 7.1 |
//! | [`order`] | the states of RFC 8555 7.1.6 and their legal moves |
//! | [`challenge`] | tokens and key authorizations: RFC 8555 8.1 |
//! | [`tls_alpn`], [`persist`] | what is shown for TLS-ALPN-01 (RFC 8737) and dns-persist-01 (its draft) |
//! | [`caa`], [`issue_value`] | who may issue, by the word of DNS: RFC 8659, RFC 8657 |
//! | [`csr`] | what is asked of a certificate request: RFC 8555 7.4, RFC 2986 |
//! | [`quality`] | RSA keys that can be taken apart |
//! | [`revocation`] | why, and who may say so: RFC 8555 7.6, RFC 5280 5.3.1 |
//! | [`renewal`] | which certificates of one set of names need attention |
//! | [`renewal_info`] | when clients are asked to renew: RFC 9773 |
//! | [`attention`] | when a certificate is to be looked at, at the earliest |
//! | [`cadence`] | how often a client comes, and which lifetime is too short for it |
//! | [`lineage`] | what is known of a set of names whose certificates follow one another |
//! | [`verdict`], [`severity`] | what an address serves, and how much something matters |
//!
//! Nothing here reads a clock, a random generator, a file or a socket: those values are arguments.

pub mod attention;
pub mod caa;
pub mod cadence;
pub mod challenge;
pub mod csr;
pub mod failure;
#[cfg(test)]
mod fixture;
pub mod id;
pub mod identifier;
pub mod issue_value;
pub mod jwk;
pub mod jws;
pub mod lineage;
pub mod message;
pub mod nonce;
pub mod order;
pub mod persist;
pub mod problem;
pub mod quality;
pub mod renewal;
pub mod renewal_info;
pub mod revocation;
pub mod severity;
pub mod time;
pub mod tls_alpn;
pub mod verdict;
