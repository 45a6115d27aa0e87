//! `IFS`: where the shell splits what an unquoted expansion comes to (POSIX, Shell Command Language, 2.6.5).
//!
//! LIMIT: words are split and joined by blanks, tabs and line ends alone. Where `IFS` may be something else, a value that it
//! would split in another way is any number of unknown words.

use super::{
    read::Reader,
    state::{State, Words},
    value::{Value, Why},
    way::List,
};

/// What `IFS` is where nobody assigned it.
pub(super) const DEFAULT: &[u8] = b" \t\n";

/// Which bytes split words here and not by default, or by default and not here.
pub(super) enum Difference {
    /// Any byte may be one of them.
    Any,
    Bytes(Vec<u8>),
}

impl Reader<'_> {
    /// How `IFS` differs from its default; none where it does not.
    pub(super) fn difference(&self, state: &State) -> Option<Difference> {
        if state.any_changed.is_none() && !state.variables.contains_key("IFS") {
            return None;
        }
        let mut bytes = Vec::new();
        for value in self.variable("IFS", state).iter() {
            let Value::Known(separators) = value else {
                return Some(Difference::Any);
            };
            bytes.extend(separators.iter().filter(|byte| !DEFAULT.contains(byte)));
            bytes.extend(DEFAULT.iter().filter(|byte| !separators.contains(byte)));
        }
        (!bytes.is_empty()).then_some(Difference::Bytes(bytes))
    }

    /// The same of lists that are marked with how they are split.
    pub(super) fn all_split_as_ever(&self, lists: Vec<List>, state: &State) -> Vec<List> {
        let split = |mut list: List| {
            let words = self.split_as_ever(vec![std::mem::take(&mut list.words)], state);
            list.words = words.into_iter().flatten().collect();
            list
        };
        lists.into_iter().map(split).collect()
    }

    /// The same lists, with what `IFS` would split in another way unknown.
    pub(super) fn split_as_ever(&self, lists: Vec<Words>, state: &State) -> Vec<Words> {
        let Some(difference) = self.difference(state) else {
            return lists;
        };
        let split = |value: Value| {
            if difference.concerns(&value) {
                Value::Rest(Why::new("words that are split by `IFS`"))
            } else {
                value
            }
        };
        lists
            .into_iter()
            .map(|words| words.into_iter().map(split).collect())
            .collect()
    }
}

impl Difference {
    fn concerns(&self, value: &Value) -> bool {
        let text = match value {
            Value::Files(files) => &files.path,
            Value::Known(text) | Value::Numbered(text) => text,
            Value::Rest(_) | Value::Unknown(_) => return false,
        };
        match self {
            Self::Any => !text.is_empty(),
            // The digits and letters of a number, or of a file that a pattern stands for, are not those that are written here.
            Self::Bytes(bytes) => {
                bytes.iter().any(|byte| text.contains(byte))
                    || (!matches!(value, Value::Known(_)) && bytes.iter().any(u8::is_ascii_graphic))
            }
        }
    }
}

/// What is put between the words of `"$*"` where `IFS` may not be the default.
pub(super) fn joined_by_other() -> Value {
    Value::unknown("words that are joined by `IFS`")
}
