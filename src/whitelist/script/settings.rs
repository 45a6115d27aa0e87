//! Builtins that change what the shell goes on with: `set`, `shift`, `cd`.

use super::{
    command::absolute,
    read::Reader,
    state::{State, add_list},
    value::{Value, Values, Why},
};

impl Reader<'_> {
    pub(super) fn set(&mut self, words: &[Value], state: &mut State) {
        let mut rest = words;
        while let [first, behind @ ..] = rest {
            let Value::Known(word) = first else {
                break;
            };
            match &word[..] {
                b"--" | b"-" => {
                    if &word[..] == b"--" || !behind.is_empty() {
                        state.positional = vec![behind.to_vec()];
                    }
                    return;
                }
                b"-o" | b"+o" => {
                    // What is switched off may be so in a subshell alone: it stays on.
                    match behind.first().and_then(Value::bytes) {
                        Some(b"allexport") => self.exports_all |= &word[..] == b"-o",
                        Some(b"keyword") => self.takes_assignments(),
                        Some(b"noglob") => self.no_file_names |= &word[..] == b"-o",
                        _ => {}
                    }
                    rest = behind.get(1..).unwrap_or_default();
                }
                [b'-', options @ ..] => {
                    self.exports_all |= options.contains(&b'a');
                    self.no_file_names |= options.contains(&b'f');
                    if options.contains(&b'k') {
                        self.takes_assignments();
                    }
                    // The name of an option follows: `set -euo pipefail`.
                    rest = if options.contains(&b'o') {
                        behind.get(1..).unwrap_or_default()
                    } else {
                        behind
                    };
                }
                [b'+', ..] => rest = behind,
                _ => break,
            }
        }
        if !rest.is_empty() {
            state.positional = vec![rest.to_vec()];
        }
    }

    /// `set -k`: assignments count wherever they stand in a command.
    fn takes_assignments(&mut self) {
        self.gap("assignments among the words of commands, by `set -k`".to_owned());
    }

    pub(super) fn change_directory(&mut self, words: &[Value], state: &mut State) {
        let target = words.iter().find(|word| {
            word.bytes()
                .is_none_or(|word| !matches!(word, b"-P" | b"-L" | b"--" | b"-e" | b"-n"))
        });
        let directory = match target {
            None => self.variable("HOME", state),
            Some(Value::Known(target)) if &target[..] == b"-" => {
                Values::one(Value::unknown("the folder that `cd -` goes back to"))
            }
            Some(Value::Known(target)) => state
                .directory
                .iter()
                .map(|directory| match absolute(target, directory) {
                    Some(path) => Value::known(path),
                    None => Value::unknown("a folder below one that is not known"),
                })
                .collect(),
            Some(value) => Values::one(value.blurred()),
        };
        // Where there is no such folder the shell stays where it is, and goes on unless told otherwise.
        let stays = directory
            .known()
            .any(|path| self.context.files.real(path).is_none());
        let searched = !self
            .variable("CDPATH", state)
            .iter()
            .all(|path| path.bytes() == Some(b""))
            && target.is_none_or(|target| {
                target
                    .bytes()
                    .is_none_or(|target| !target.starts_with(b"/") && !target.starts_with(b"."))
            });
        if searched {
            state.directory =
                Values::one(Value::unknown("a folder that `cd` looks for in `CDPATH`"));
        } else if stays {
            state.directory.extend(directory.iter().cloned());
        } else {
            state.directory = directory;
        }
    }
}

/// `shift`: the arguments without the first ones.
pub(super) fn shift(words: &[Value], state: &mut State) {
    let count = match words.first() {
        None => Some(1),
        Some(word) => word
            .bytes()
            .and_then(|word| std::str::from_utf8(word).ok()?.parse::<usize>().ok()),
    };
    let mut shifted = Vec::new();
    for list in &state.positional {
        let list = match count {
            Some(count) => {
                let rest = list
                    .iter()
                    .take(count)
                    .find(|word| matches!(word, Value::Rest(_)));
                match rest {
                    // Which words are gone is not known: those behind may be the first.
                    Some(rest) => vec![rest.clone()],
                    None => list.get(count..).unwrap_or_default().to_vec(),
                }
            }
            None => vec![Value::Rest(Why::new(
                "what is left after a `shift` by a number that is not known",
            ))],
        };
        add_list(&mut shifted, list);
    }
    state.positional = shifted;
}
