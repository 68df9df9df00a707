//! Watching over what was issued: whether it is renewed, whether it is what is served, and whom to tell if not.
//!
//! | module | what it does |
//! |---|---|
//! | [`rule`] | the rules as data: when, how bad, how often again |
//! | [`facts`] | what is known at a moment |
//! | [`rules`] | from the facts to the conditions that hold |
//! | [`book`] | from conditions to alerts: once each, again when it is time, and over when it is over |
//! | [`keep`] | the book in the store |

pub mod book;
pub mod facts;
pub mod keep;
pub mod rule;
pub mod rules;
