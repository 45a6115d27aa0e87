//! The configuration file.

use std::{fs, io, path::Path};

use serde_saphyr::{Error as YamlError, Location};

use crate::{
    report::text::sentence,
    verdict::{Baselines, Policy},
};

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum ConfigError {
    #[error("{file}:{line}:{column}: {message}")]
    Invalid {
        file: String,
        line: u64,
        column: u64,
        message: String,
    },
    #[error(
        "{file}: `baselines` names none: list those of the runtimes that the nodes run, or write `nodes`"
    )]
    NoBaseline { file: String },
    #[error("cannot read {file}: {error}")]
    Read { file: String, error: io::Error },
}

/// LIMIT: bytes of a configuration file.
const MAX_FILE: u64 = 1 << 20;

/// Reads a configuration file; without one the defaults hold.
pub(super) fn load(path: Option<&Path>) -> Result<Policy, ConfigError> {
    let Some(path) = path else {
        return Ok(Policy::default());
    };
    let file = path.display().to_string();
    let unreadable = |error| ConfigError::Read {
        file: file.clone(),
        error,
    };
    if fs::metadata(path).map_err(unreadable)?.len() > MAX_FILE {
        return Err(unreadable(io::Error::other("over 1 MiB: no configuration")));
    }
    parse(&file, &fs::read_to_string(path).map_err(unreadable)?)
}

fn parse(file: &str, text: &str) -> Result<Policy, ConfigError> {
    // `null` is what an empty file, or one of comments, holds.
    let policy: Option<Policy> =
        serde_saphyr::from_str(text).map_err(|error| invalid(file, error.without_snippet()))?;
    let policy = policy.unwrap_or_default();
    if policy.baselines == Baselines::Listed(Vec::new()) {
        return Err(ConfigError::NoBaseline {
            file: file.to_owned(),
        });
    }
    Ok(policy)
}

fn invalid(file: &str, error: &YamlError) -> ConfigError {
    let message = match error {
        YamlError::SerdeUnknownField {
            field, expected, ..
        } => unknown("key", field, expected),
        YamlError::SerdeUnknownVariant {
            variant, expected, ..
        } => unknown("value", variant, expected),
        other => without_place(&other.to_string()),
    };
    let location = error.location().unwrap_or(Location::UNKNOWN);
    let (line, column) = (location.line(), location.column());
    ConfigError::Invalid {
        file: file.to_owned(),
        line,
        column,
        message: sentence(&message),
    }
}

/// The place stands before the message already.
fn without_place(message: &str) -> String {
    message
        .split(" at line ")
        .next()
        .unwrap_or(message)
        .trim_start_matches("error: ")
        .to_owned()
}

fn unknown(what: &str, found: &str, expected: &[&'static str]) -> String {
    // Two slips in a short word still show what was meant.
    let near = |name: &&&str| {
        strsim::damerau_levenshtein(&found.to_lowercase(), &name.to_lowercase()) <= 2
    };
    let hint = match expected
        .iter()
        .filter(near)
        .min_by_key(|name| strsim::damerau_levenshtein(found, name))
    {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("there are {}", expected.join(", ")),
    };
    format!("unknown {what} `{found}`, {hint}")
}

#[cfg(test)]
mod tests {
    use super::parse;
    use crate::verdict::{Baselines, Mode, Policy, PrivilegedRule};

    #[test]
    fn an_empty_file_holds_the_defaults() {
        for text in [
            "",
            "# nothing\n",
            "---\n",
            "{}",
            "modes:\nexemptions:\n",
            "exemptions:\n  users:\n",
        ] {
            assert_eq!(parse("c", text).unwrap(), Policy::default(), "{text:?}");
        }
    }

    #[test]
    fn every_key_is_read() {
        let text = "modes: {profile: audit}\nunknown: warn\nprivileged: allow\nbaselines: [docker, crio]\n\
            exemptions:\n  namespaces: [a]\n  users: [b]\n  groups: [c]\n  runtimeClasses: [gvisor]\n";
        let policy = parse("c", text).unwrap();
        assert_eq!(
            (policy.modes.profile, policy.privileged),
            (Mode::Audit, PrivilegedRule::Allow)
        );
        assert_eq!(policy.exemptions.runtime_classes, ["gvisor"]);
        let listed = ["docker", "crio"].map(|name| name.parse().unwrap());
        assert_eq!(policy.baselines, Baselines::Listed(listed.into()));
        let policy = parse("c", "baselines: nodes").unwrap();
        assert_eq!(policy.baselines, Baselines::Nodes);
    }

    #[test]
    fn mistakes_are_told_with_their_place_and_a_suggestion() {
        for (text, expected) in [
            (
                "mods: {}",
                "c:1:1: unknown key `mods`, did you mean `modes`?",
            ),
            (
                "modes:\n  profile: enforec",
                "c:2:12: unknown value `enforec`, did you mean `enforce`?",
            ),
            (
                "exemptions:\n  pods: []",
                "c:2:3: unknown key `pods`, there are groups, namespaces, runtimeClasses, users",
            ),
            (
                "unknown: maybe",
                "c:1:10: unknown value `maybe`, there are allow, deny, warn",
            ),
            (
                "baselines: node",
                "c:1:1: invalid value: string \"node\", expected `nodes`, or a list such as `[containerd@2.1]`",
            ),
            (
                "baselines: []",
                "c: `baselines` names none: list those of the runtimes that the nodes run, or write `nodes`",
            ),
        ] {
            assert_eq!(parse("c", text).unwrap_err().to_string(), expected);
        }
        for text in [
            "modes: [",
            "a: b: c",
            "\0",
            "unknown: deny\nunknown: deny",
            "- a",
        ] {
            let error = parse("c", text).unwrap_err().to_string();
            assert!(error.starts_with("c:") && !error.contains('\n'), "{error}");
        }
    }
}
