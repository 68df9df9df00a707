//! Real parts on loopback for the tests of this directory: the programs as they were built, clients, name servers, web
//! servers, and the oracle that judges what they leave behind. Nothing here replaces a part of the server.
#![allow(dead_code, unused_imports, unreachable_pub, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "what surprises a test ends it")]

pub mod alpn;
pub mod apache;
pub mod ca;
pub mod clients;
pub mod csr;
pub mod dns;
pub mod fetched;
pub mod flow;
pub mod forge;
pub mod jose;
pub mod ntfy;
pub mod oracle;
pub mod ports;
pub mod raw;
pub mod real_ntfy;
pub mod responder;
pub mod rules;
pub mod servers;
pub mod starttls;

pub use self::ca::Ca;
pub use self::raw::{Client, Reply};
pub use self::responder::Responder;
