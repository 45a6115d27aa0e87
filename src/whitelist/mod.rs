//! What a container may execute: the programs that its start, its probes and its hooks need, each with the reason.
//!
//! [`analyse`] follows what an image and a pod declare, as the runtime and the kernel would: it reads files, it runs nothing.
//! What cannot be told from them is part of the answer, never left out in silence. [`ProfileInputs::generate`] writes the profile that
//! enforces a list; no text is handed out on trust: it is read back and compared with its baseline first.

mod carry;
mod choice;
mod closure;
mod enforce;
mod facts;
mod files;
mod interpret;
mod launch;
mod list;
mod listing;
mod locate;
mod name;
mod outcome;
mod pod;
mod profile;
mod programs;
mod proof;
mod record;
mod request;
mod script;
mod shell;
mod start;
mod strength;
mod supervisor;
#[cfg(test)]
mod tests;
mod workload;
mod wrappers;
mod written;

pub(crate) use choice::{Asked, generated, of_field};
pub use choice::{Recorded, Step, step};
pub use enforce::Enforcement;
pub use list::{
    Gap, GapKind, Kind, Note, Outcome, Place, Program, ProgramName, Reason, Start, StartKind,
    Strength, Whitelist,
};
pub use name::{Name, NameError};
pub use pod::{PodContainer, PodTemplate};
pub use profile::{
    Code, CodeRule, GeneratedProfile, Listed, Mounts, ProfileError, ProfileInputs, Slug, Stage,
};
pub use proof::ProofError;
pub use request::{
    ALLOW_EXEC_ANNOTATION, ClusterTerms, IMAGES_ANNOTATION, ProfileRequest, RequestError,
    RequestedProfile, Terms,
};
pub use script::can_read_scripts;
pub use workload::{ConfigFile, Mount, MountKind, PodVariable, Workload};

use crate::image::{Config, tree::Tree};

/// Finds the programs that a container of an image executes when it runs a workload. With `Workload::default()` that is the
/// image alone.
#[must_use]
pub fn analyse(config: &Config, tree: &Tree, workload: &Workload) -> Whitelist {
    let mut closure = closure::Closure::new(config, tree, workload);
    let starts = start::starts(config, workload);
    for start in &starts {
        closure.start(start);
    }
    closure.finish()
}
