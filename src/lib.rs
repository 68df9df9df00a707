//! The rooms of acme-ca, a private ACME certificate authority.
//!
//! | module | what it carries out |
//! |---|---|
//! | [`resolver`] | the addresses of a name: pins, then the configured servers, with evidence |

pub mod resolver;
