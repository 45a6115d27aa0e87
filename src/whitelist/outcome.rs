//! How far a whitelist can be relied on.

use super::{Gap, Outcome};

/// The outcome of what was found. Something that runs whatever it is told ends the matter; else any unknown leaves it open.
pub(super) fn outcome(never: &[String], unknowns: &[Gap]) -> Outcome {
    if !never.is_empty() {
        return Outcome::NotWhitelistable {
            why: never.to_vec(),
        };
    }
    if unknowns.is_empty() {
        Outcome::Complete
    } else {
        Outcome::Partial
    }
}

impl Outcome {
    /// The outcome in a word.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::NotWhitelistable { .. } => "not-whitelistable",
            Self::Partial => "partial",
        }
    }
}
