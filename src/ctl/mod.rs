//! The operator's program, verb by verb.

pub mod ceremony;
