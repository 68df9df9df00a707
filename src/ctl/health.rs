//! How a thing is, where health is asked: `check`, and `--exit-code`. The words and the exit statuses are those of Nagios.

use std::fmt;

/// From good to bad: what is known to be critical outweighs what cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Nothing to do.
    Ok,
    /// Somebody should look.
    Warning,
    /// It cannot be told: a fault of ours.
    Unknown,
    /// Somebody must look.
    Critical,
}

/// That the exit status is to tell a state other than good. As an error, because that is how a verb ends otherwise than
/// well; it has a sentence only if something could not be told.
#[derive(Debug, thiserror::Error)]
#[error("{sentence}")]
pub struct Health {
    /// What the exit status tells.
    pub state: State,
    /// Why it cannot be told; empty when the output has said everything.
    pub sentence: String,
}

impl State {
    /// Nagios' word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
            Self::Unknown => "UNKNOWN",
        }
    }

    /// The exit status.
    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Warning => 1,
            Self::Critical => 2,
            Self::Unknown => 3,
        }
    }

    /// Ends a verb whose output has said everything.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::Ok => Ok(()),
            state => Err(Health { state, sentence: String::new() }.into()),
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
