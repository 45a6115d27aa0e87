//! Domains that a process can move to.

use crate::apparmor::model::{Policy, Profile};

/// Where a process goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Target {
    /// The profile, whichever it is, that attaches to the program best on that node.
    Attached,
    /// A profile that is not in the text.
    Elsewhere(Vec<u8>),
    /// A profile of the same text, by number.
    Profile(usize),
    /// It stays.
    Same,
    /// Out of all confinement.
    Unconfined,
}

impl Target {
    /// The domain of a label, as a profile names it: without a namespace of its own a name is one of that profile's.
    pub(super) fn named(policy: &Policy, from: &Profile, label: &[u8]) -> Self {
        // Changing to a stack puts it on the profile that changes, which then permits no more than before.
        if label.starts_with(b"&") {
            return Self::Same;
        }
        if label == b"unconfined" {
            return Self::Unconfined;
        }
        policy
            .profiles
            .iter()
            .position(|profile| profile.namespace == from.namespace && profile.name == label)
            .map_or_else(|| Self::Elsewhere(label.to_vec()), Self::Profile)
    }
}
