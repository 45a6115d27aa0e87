//! The proof that a generated text is what it was meant to be, made from the text alone: it is read as the parser reads it, its
//! rules are compared with what the inputs name, and what it permits with what the baseline does.
//!
//! Nothing here trusts the code that wrote the text, beyond the inputs.

use std::collections::HashSet;

use crate::apparmor::{
    ast::RuleMode,
    diagnostic::{Diagnostic, Severity},
    include::{Loaded, NoIncludes, load},
    model::{
        self, Class, Entry, Exec, ExecTarget, Fallback, Policy, Profile, ProfileMode, conflicts,
        file,
    },
    pattern::{ByteSet, Pattern},
};
use crate::compare::{Relation, Subject, Witness, compare};

use super::name::Name;
use super::profile::{Code, CodeRule, ProfileInputs, Stage};

/// Why a generated text is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The parser would not take it.
    #[error("line {line}: {message}")]
    Invalid {
        /// The line.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// It permits what the default forbids.
    #[error("it is {}, not stronger than the default{}", relation.as_str(), example(witness.as_deref()))]
    NotStronger {
        /// The relation.
        relation: Relation,
        /// The first thing that it permits.
        witness: Option<Box<Witness>>,
    },
    /// It forbids something, while nothing is to be forbidden yet.
    #[error("it is stronger, not the default itself")]
    NotEqual,
    /// There is not one profile with the name that was chosen.
    #[error("it does not hold the one profile `{name}`")]
    Profile {
        /// The name.
        name: String,
    },
    /// It does not permit exactly what is listed.
    #[error("its rules do not {what} exactly what is listed")]
    Rules {
        /// What they are about.
        what: &'static str,
    },
}

/// `stronger` or `equal`, or there is no profile.
pub(super) fn prove(
    text: &str,
    name: &str,
    inputs: &ProfileInputs,
) -> Result<Relation, ProofError> {
    let candidate = Read::new(name, text)?;
    let [profile] = candidate.policy.profiles.as_slice() else {
        return Err(ProofError::Profile { name: name.into() });
    };
    if profile.name != name.as_bytes() || profile.mode != ProfileMode::Enforce {
        return Err(ProofError::Profile { name: name.into() });
    }
    rules(profile, inputs)?;
    let default = inputs.baseline.template().text();
    let baseline = Read::new(inputs.baseline.runtime.profile_name(), &default)?;
    let Some(default) = baseline.policy.profiles.first() else {
        return Err(ProofError::Profile {
            name: inputs.baseline.to_string(),
        });
    };
    let comparison = compare(candidate.subject(profile), baseline.subject(default));
    match comparison.relation {
        // What is only audited is the same.
        Relation::Equal => Ok(Relation::Equal),
        Relation::Stronger if inputs.stage == Stage::Enforce => Ok(Relation::Stronger),
        Relation::Stronger => Err(ProofError::NotEqual),
        relation => Err(ProofError::NotStronger {
            relation,
            witness: comparison.witnesses.into_iter().next().map(Box::new),
        }),
    }
}

/// A text with its meaning.
struct Read {
    loaded: Loaded,
    policy: Policy,
}

impl Read {
    fn new(name: &str, text: &str) -> Result<Self, ProofError> {
        let (loaded, mut diagnostics) = load(name.to_owned(), text.as_bytes().into(), &NoIncludes);
        let (policy, more) = model::policy(&loaded, &NoIncludes);
        diagnostics.extend(more);
        diagnostics.extend(conflicts(&policy));
        let error = |diagnostic: &&Diagnostic| diagnostic.severity == Severity::Error;
        if let Some(error) = diagnostics.iter().find(error) {
            let location = loaded.sources.location(error.span);
            return Err(ProofError::Invalid {
                line: location.map_or(0, |location| location.line),
                message: error.message.clone(),
            });
        }
        Ok(Self { loaded, policy })
    }

    fn subject<'a>(&'a self, profile: &'a Profile) -> Subject<'a> {
        Subject {
            policy: &self.policy,
            sources: &self.loaded.sources,
            profile,
        }
    }
}

/// The rules that permit to run and to map are those of the inputs: as many, about the same strings, and within the profile.
fn rules(profile: &Profile, inputs: &ProfileInputs) -> Result<(), ProofError> {
    if inputs.stage == Stage::Audit {
        return Ok(());
    }
    let files = profile.entries.get(&Class::File);
    let files = files.map_or(&[][..], Vec::as_slice);
    let names = inputs.programs.iter().map(|listed| &listed.name);
    let runs = granted(files, file::EXECUTE | file::EXECUTE << file::OTHER);
    let is_inherited = |entry: &&Entry| entry.exec.as_ref().is_some_and(|exec| *exec == INHERIT);
    if !runs.iter().all(is_inherited) || patterns(&runs) != names.map(Name::pattern).collect() {
        return Err(ProofError::Rules { what: "run" });
    }
    let mapped = match inputs.code_rule {
        CodeRule::Any => HashSet::from([everything()]),
        CodeRule::Only => inputs.code.iter().map(place).collect(),
    };
    if patterns(&granted(files, file::MAP | file::MAP << file::OTHER)) != mapped {
        return Err(ProofError::Rules { what: "map" });
    }
    Ok(())
}

fn granted(entries: &[Entry], bits: u32) -> Vec<&Entry> {
    let granted = entries
        .iter()
        .filter(|entry| entry.mode != RuleMode::Deny && entry.permissions & bits != 0);
    granted.collect()
}

fn patterns(entries: &[&Entry]) -> HashSet<Pattern> {
    entries.iter().map(|entry| entry.pattern.clone()).collect()
}

/// `/{,**}`
fn everything() -> Pattern {
    let below = Pattern::Star(ByteSet::NOT_NUL);
    Pattern::Concat(vec![
        Pattern::literal("/"),
        Pattern::Union(vec![Pattern::empty(), below]),
    ])
}

fn place(code: &Code) -> Pattern {
    match code {
        Code::File(name) => name.pattern(),
        Code::Folder(name) => name.pattern_below(),
    }
}

fn example(witness: Option<&Witness>) -> String {
    witness.map_or_else(String::new, |witness| {
        format!(
            ": it permits to {} `{}`",
            witness.operations.join(" and "),
            witness.target.escape_debug()
        )
    })
}

const INHERIT: Exec = Exec {
    target: ExecTarget::Inherit,
    keeps_environment: false,
    fallback: Fallback::Inherit,
};

#[cfg(test)]
mod tests {
    use super::{ProofError, prove};
    use crate::compare::{Baseline, Relation, Runtime};
    use crate::whitelist::{Code, CodeRule, Listed, Mounts, Name, ProfileInputs, Slug, Stage};

    fn inputs() -> ProfileInputs {
        ProfileInputs {
            slug: Slug::of("web"),
            programs: vec![Listed {
                name: Name::exact(b"/bin/web").unwrap(),
                reasons: Vec::new(),
            }],
            closed: Vec::new(),
            code: vec![Code::Folder(Name::exact(b"/lib").unwrap())],
            code_rule: CodeRule::Only,
            mounts: Mounts::Closed,
            stage: Stage::Enforce,
            baseline: Baseline::newest(Runtime::Containerd),
            sources: Vec::new(),
        }
    }

    /// What the proof says of a text in which something was changed.
    fn changed(inputs: &ProfileInputs, from: &str, to: &str) -> Result<Relation, ProofError> {
        let generated = inputs.generate().unwrap();
        let text = generated.text.replacen(from, to, 1);
        assert_ne!(text, generated.text, "{from} is not in it");
        prove(&text, &generated.name, inputs)
    }

    #[test]
    fn a_text_that_says_something_else_is_refused() {
        let run = "its rules do not run exactly what is listed";
        let map = "its rules do not map exactly what is listed";
        for (from, to, message) in [
            ("\"/bin/web\" ix,", "\"/bin/we*\" ix,", run),
            ("\"/bin/web\" ix,", "", run),
            ("\"/bin/web\" ix,", "\"/bin/web\" px,", run),
            (
                "\"/bin/web\" ix,",
                "\"/bin/web\" ix, owner /bin/sh ix,",
                run,
            ),
            ("\"/bin/web\" ix,", "\"/bin/web\" ix, file,", run),
            ("\"/lib/**\" m,", "\"/lib/{,**}\" m,", map),
            ("\"/lib/**\" m,", "\"/lib/**\" m, /tmp/** m,", map),
            ("rwlk,", "rwlkm,", map),
        ] {
            let error = changed(&inputs(), from, to).unwrap_err();
            assert_eq!(error.to_string(), message, "{to}");
        }
        for (from, to) in [
            ("flags=(", "flags=(complain, "),
            ("profile armorgate.web.", "profile other.web."),
            ("profile ", "profile b { }\nprofile "),
        ] {
            let error = changed(&inputs(), from, to).unwrap_err();
            assert!(matches!(error, ProofError::Profile { .. }), "{to}: {error}");
        }
        let error = changed(&inputs(), "network,", "network x,").unwrap_err();
        assert!(
            matches!(error, ProofError::Invalid { line: 22, .. }),
            "{error}"
        );
        let error = changed(&inputs(), "umount,", "include <x>\n").unwrap_err();
        assert!(matches!(error, ProofError::Invalid { .. }), "{error}");
    }

    #[test]
    fn a_text_that_permits_more_than_the_default_is_refused_with_an_example() {
        for (from, to, message) in [
            (
                "deny @{PROC}/sysrq-trigger rwklx,",
                "",
                "it is incomparable, not stronger than the default: it permits to read and lock `/proc/sysrq-trigger`",
            ),
            (
                "umount,",
                "umount, userns, change_profile,",
                "it is incomparable, not stronger than the default: it permits to change_profile `unconfined`",
            ),
        ] {
            let error = changed(&inputs(), from, to).unwrap_err().to_string();
            assert_eq!(error, message);
        }
    }

    #[test]
    fn what_is_audited_must_be_the_default_itself() {
        let inputs = ProfileInputs {
            stage: Stage::Audit,
            ..inputs()
        };
        let error = changed(&inputs, "file,", "file, deny /x w,").unwrap_err();
        assert_eq!(error.to_string(), "it is stronger, not the default itself");
    }
}
