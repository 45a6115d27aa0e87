//! Names of variables that come from values, such as `printf -v "$name"`: bash takes one with an index, `list[index]`, and reads
//! the index as a number, so that a substitution in it runs (bash(1), Arrays; seen with bash 5.2 for `printf -v`, `read`,
//! `unset`, `test -v`, `declare`, `local` and `${!name}`; not for `export`, `mapfile`, `getopts` and `wait -p`).
//!
//! What is run so is told and not followed. dash and ash have no arrays: there only a name that shows it is told.

use super::{
    Dialect,
    read::Reader,
    state::State,
    value::{Value, Values},
    word,
};

impl Reader<'_> {
    /// A builtin is given the name of a variable.
    pub(super) fn named(&mut self, name: &Value, state: &mut State) {
        match (name, self.context.dialect) {
            (Value::Known(text) | Value::Numbered(text), _) => {
                if let Some(at) = text.iter().position(|byte| *byte == b'[') {
                    let index = text.get(at..).unwrap_or_default();
                    self.number(&Values::one(Value::known(index)), state);
                }
            }
            (_, Dialect::Busybox | Dialect::Posix) => {}
            (name, Dialect::Bash | Dialect::Korn) => {
                if let Some(why) = name.why() {
                    self.gap(format!(
                        "commands in the index of a variable whose name is not known: {why}"
                    ));
                }
            }
        }
    }

    /// test(1), as a builtin: `-v` is given a name, and ksh reads what it compares as numbers.
    pub(super) fn test_words(&mut self, words: &[Value], state: &mut State) {
        for pair in words.windows(2) {
            if let [Value::Known(option), name] = pair
                && &option[..] == b"-v"
            {
                self.named(name, state);
            }
        }
        if self.context.dialect == Dialect::Korn {
            self.number(&words.iter().cloned().collect(), state);
        }
    }
}

/// The array of `list[index]`.
pub(super) fn base_of(name: &Value) -> Option<&str> {
    let text = std::str::from_utf8(name.script()?).ok()?;
    let (base, _) = text.split_once('[')?;
    word::is_name(base).then_some(base)
}

/// Whether a text that is assigned may be taken for a list: `declare -a 'list=(a b)'`.
pub(super) fn is_list_text(text: &[u8]) -> bool {
    text.trim_ascii_start().starts_with(b"(")
}
