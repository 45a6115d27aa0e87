//! What is known about programs by their names: `programs.toml`.

use std::{collections::BTreeMap, sync::LazyLock};

use serde::Deserialize;

use super::{
    list::text,
    script::{Value, matches},
};

/// What is known about one program.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Known {
    names: Vec<String>,
    /// What it starts.
    #[serde(default)]
    pub(super) starts: Vec<String>,
    /// Files that it starts, as patterns.
    #[serde(default)]
    pub(super) files: Vec<String>,
    /// Why its children are not known.
    pub(super) code: Option<String>,
    /// Why no whitelist of it is worth enforcing.
    pub(super) never: Option<String>,
}

/// Arguments with which a program runs others.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asking {
    names: Vec<String>,
    #[serde(default)]
    short: String,
    #[serde(default)]
    long: Vec<String>,
    #[serde(default)]
    holds: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    program: Vec<Known>,
    option: Vec<Asking>,
    strength: BTreeMap<String, Vec<String>>,
}

/// The file is part of the program, and a test reads it: so it can be read.
static TABLE: LazyLock<Table> =
    LazyLock::new(|| toml::from_str(include_str!("programs.toml")).unwrap_or_default());

/// What is known about a program of these file names: its own, and that of the link by which it was started.
pub(super) fn known(names: &[&[u8]]) -> Vec<&'static Known> {
    TABLE
        .program
        .iter()
        .filter(|known| is_one_of(names, &known.names))
        .collect()
}

/// The argument by which a program of this name is asked to run others: in words, where there is one.
pub(super) fn asked(name: &[u8], arguments: &[Value]) -> Option<String> {
    let known = TABLE.option.iter();
    let known: Vec<&Asking> = known
        .filter(|known| is_one_of(&[name], &known.names))
        .collect();
    let next = arguments.iter().skip(1).map(Some).chain([None]);
    arguments
        .iter()
        .zip(next)
        .find_map(|(argument, next)| match (argument, next) {
            // LIMIT: the files of a folder are noted where the folder is listed; their texts are not looked through.
            (_, Some(Value::Files(_))) => None,
            (Value::Known(word) | Value::Numbered(word), _) => known
                .iter()
                .any(|known| known.asks(&String::from_utf8_lossy(word)))
                .then(|| format!("`{}`", text(word))),
            // Any number of words, which may be options.
            (Value::Rest(why), _) if !known.is_empty() => Some(why.to_string()),
            (Value::Files(_) | Value::Rest(_) | Value::Unknown(_), _) => None,
        })
}

impl Asking {
    fn asks(&self, word: &str) -> bool {
        let lower = word.to_ascii_lowercase();
        if self.holds.iter().any(|part| lower.contains(part.as_str())) {
            return true;
        }
        let name = word.split('=').next().unwrap_or_default();
        if name.starts_with("--") {
            return name.len() > 2 && self.long.iter().any(|long| long.starts_with(name));
        }
        word.starts_with('-') && word.contains(|letter| self.short.contains(letter))
            || self.long.iter().any(|long| long == name)
    }
}

/// What a program of this name allows whoever runs it.
pub(super) fn allows(name: &[u8]) -> impl Iterator<Item = &'static str> {
    let name = name.to_vec();
    TABLE
        .strength
        .iter()
        .filter(move |(_, names)| is_one_of(&[&name], names))
        .map(|(allows, _)| allows.as_str())
}

/// Whether a name is that of a file with many programs in it.
pub(super) fn is_multi_call(name: &[u8]) -> bool {
    TABLE
        .strength
        .get(MULTI_CALL)
        .is_some_and(|names| is_one_of(&[name], names))
}

/// Whether a name is that of a shell.
pub(super) fn is_shell(name: &[u8]) -> bool {
    TABLE
        .strength
        .get(SHELL)
        .is_some_and(|names| is_one_of(&[name], names))
}

const MULTI_CALL: &str = "holds many programs in one file";
const SHELL: &str = "runs any command line";

fn is_one_of(names: &[&[u8]], patterns: &[String]) -> bool {
    patterns
        .iter()
        .any(|pattern| names.iter().any(|name| matches(pattern.as_bytes(), name)))
}

#[cfg(test)]
mod tests {
    use super::{Table, Value, allows, asked, is_multi_call, is_shell, known};

    #[test]
    fn the_table_can_be_read() {
        let table: Table = toml::from_str(include_str!("programs.toml")).unwrap();
        assert!(table.program.len() > 20);
        for known in &table.program {
            assert!(!known.names.is_empty());
        }
    }

    #[test]
    fn arguments_that_run_programs_are_known() {
        for (name, argument, asks) in [
            ("tar", "--to-command=x", true),
            ("tar", "--checkpoint-act", true),
            ("tar", "-cIx", true),
            ("tar", "-xzf", false),
            ("tar", "--directory", false),
            ("socat", "TCP:a:1,fork", false),
            ("socat", "System:id", true),
            ("ssh", "-oProxyCommand=x", true),
            ("cat", "--to-command=x", false),
        ] {
            let found = asked(name.as_bytes(), &[Value::known(argument)]);
            assert_eq!(found.is_some(), asks, "{name} {argument}");
        }
    }

    #[test]
    fn programs_are_known_by_name() {
        assert_eq!(known(&[b"python3.12"]).len(), 1);
        assert_eq!(known(&[b"nginx"]).len(), 0);
        assert!(is_shell(b"dash") && !is_shell(b"dashboard"));
        assert!(is_multi_call(b"busybox"));
        assert_eq!(allows(b"curl").count(), 1);
        assert_eq!(allows(b"true").count(), 0);
    }
}
