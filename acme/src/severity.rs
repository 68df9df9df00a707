//! How much something matters, from what can wait for a digest to what gets somebody up.

use std::fmt;

use serde::{Deserialize, Serialize};

/// From the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing, not worth a call.
    Info,
    /// Somebody should look within days.
    Warning,
    /// Somebody must look today.
    Critical,
    /// Something is broken now.
    Urgent,
}

impl Severity {
    /// Every one, the least first.
    pub const ALL: &'static [Self] = &[Self::Info, Self::Warning, Self::Critical, Self::Urgent];

    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
            Self::Urgent => "urgent",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|severity| severity.as_str() == word)
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
