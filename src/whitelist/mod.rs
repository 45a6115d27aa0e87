//! What a container may execute: the list of its programs, and the profile that enforces it.
//!
//! A profile text is never handed out on trust: it is read back and compared with its baseline first ([`ProfileInputs::generate`]).

mod name;
mod profile;
mod proof;

pub use name::{Name, NameError};
pub use profile::{
    Code, CodeRule, GeneratedProfile, Listed, Mounts, ProfileError, ProfileInputs, Slug, Stage,
};
pub use proof::ProofError;
