//! The rooms of acme-ca, a private ACME certificate authority.
//!
//! | module | what it carries out |
//! |---|---|
//! | [`resolver`] | the addresses of a name: pins, then the configured servers, with evidence |
//! | [`validate`] | the proof of control over a name: RFC 8555 8 |

pub mod resolver;
pub mod validate;
