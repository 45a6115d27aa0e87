//! Where a value is read as a number: `$((…))`, `[[ … -eq … ]]`, `let`, indices.
//!
//! bash takes a name in such a text for a variable, reads its value in the same way, and runs the substitutions in the index of
//! an array: with `x='a[$(id)]'`, `$((x))` runs `id`.
//!
//! LIMIT: values that are not known are taken for numbers.

use super::{
    read::Reader,
    state::State,
    value::{Value, Values},
    word::Piece,
};

/// LIMIT: variables that stand for each other.
const MAX_NAMES: usize = 64;

impl Reader<'_> {
    /// Walks an arithmetic text.
    pub(super) fn number_pieces(&mut self, pieces: &[Piece], state: &mut State) {
        let ways = self.number_ways(pieces, state);
        let texts = pieces.iter().filter_map(|piece| match piece {
            Piece::Literal { text, .. } => Some(Value::known(text)),
            _ => None,
        });
        let values: Values = texts.chain(ways.into_iter().flatten()).collect();
        self.number(&values, state);
    }

    /// Tells of commands that run where these values are read as numbers.
    pub(super) fn number(&mut self, values: &Values, state: &State) {
        let mut pending: Vec<Vec<u8>> = values.known().map(<[u8]>::to_vec).collect();
        let mut names: Vec<String> = Vec::new();
        while let Some(text) = pending.pop() {
            self.spend(1 + text.len() / 64);
            if runs_commands(&text) {
                self.gap("commands in a value that is read as a number".to_owned());
                return;
            }
            for name in text.split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_') {
                let Ok(name) = std::str::from_utf8(name) else {
                    continue;
                };
                let is_new = name.starts_with(|first: char| !first.is_ascii_digit())
                    && names.len() < MAX_NAMES
                    && !names.iter().any(|known| known == name);
                if is_new {
                    names.push(name.to_owned());
                    pending.extend(self.variable(name, state).known().map(<[u8]>::to_vec));
                }
            }
        }
    }
}

/// Whether a text holds a substitution.
pub(super) fn runs_commands(text: &[u8]) -> bool {
    text.contains(&b'`') || text.windows(2).any(|pair| pair == b"$(")
}
