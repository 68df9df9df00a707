//! Watching over what was issued: whether it is renewed, whether it is what is served, and whom to tell if not. Works over
//! the rooms and the store, without a timer of their own; `tasks` runs them.
//!
//! | module | what it does |
//! |---|---|
//! | [`directory`], [`look`] | what there is to look at, and what is seen there |
//! | `canary` | names by which it is told whether name servers are well |
//! | `own` | what the own listener shows |
//! | [`pins`] | what name servers say of names that have a pin |
//! | [`facts`], `survey`, [`vigil`] | what is known at a moment, read from the store and remembered from round to round |
//! | `timekeeping` | whether something keeps the clock in step |
//! | [`ends`] | when the end of what the CA stands on is near |
//! | [`rule`] | the rules as data: when, how bad, how often again |
//! | [`rules`] | from the facts to the conditions that hold |
//! | [`book`] | from conditions to alerts: once each, again when it is time, and over when it is over |
//! | [`keep`], [`round`] | the book in the store, and one round of everything |
//! | [`deliver`] | what is to be told, to whom, until they were |

pub mod book;
mod canary;
pub mod deliver;
pub mod directory;
pub mod ends;
pub mod facts;
pub mod keep;
pub mod look;
mod own;
pub mod pins;
mod room;
pub mod round;
pub mod rule;
pub mod rules;
mod survey;
mod timekeeping;
pub mod vigil;
