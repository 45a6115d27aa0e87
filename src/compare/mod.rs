//! How one AppArmor policy relates to another by what it permits.
//!
//! The comparer itself is not built yet: [`relation`] answers [`Relation::Unknown`] for every text, and callers treat that
//! as their configuration says. What is here is the vocabulary that verdicts are made of.

use serde::Deserialize;

use crate::apparmor::Declaration;

/// A container runtime's default profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Baseline {
    /// containerd's `cri-containerd.apparmor.d`
    Containerd,
    /// CRI-O's `crio-default`
    Crio,
    /// Docker's `docker-default`
    Docker,
}

impl Baseline {
    /// The name, as in configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Containerd => "containerd",
            Self::Crio => "crio",
            Self::Docker => "docker",
        }
    }
}

/// What a candidate permits, seen from a baseline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Relation {
    /// The same.
    Equal,
    /// Something that the baseline forbids, and it forbids something that the baseline permits.
    Incomparable,
    /// Less.
    Stronger,
    /// It could not be decided.
    Unknown {
        /// Why, as the end of a sentence.
        why: String,
    },
    /// All that the baseline permits, and more.
    Weaker,
}

/// How a profile relates to a baseline.
#[must_use]
pub fn relation(_candidate: &Declaration, _baseline: Baseline) -> Relation {
    Relation::Unknown {
        why: "this version does not compare profile texts yet".to_owned(),
    }
}
