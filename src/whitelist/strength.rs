//! What a whitelist still allows, in words.

use super::{Program, ProgramName, Strength, programs, script::last_of};

/// What each program of a list allows whoever gets to run it.
pub(super) fn strength(listed: &[Program]) -> Vec<Strength> {
    let mut strengths = Vec::new();
    for program in listed {
        let (ProgramName::ConfigMapFile { file: path, .. } | ProgramName::Exact(path)) =
            &program.name;
        for allows in programs::allows(last_of(path)) {
            strengths.push(Strength {
                program: program.name.clone(),
                allows: allows.to_owned(),
            });
        }
    }
    strengths
}
