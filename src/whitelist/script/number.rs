//! Where a value is read as a number: `$((…))`, `[[ … -eq … ]]`, `let`, indices.
//!
//! bash takes a name in such a text for a variable, reads its value in the same way, and runs the substitutions in the index of
//! an array: with `x='a[$(id)]'`, `$((x))` runs `id`.
//!
//! LIMIT: values that are not known are taken for numbers.

use super::{
    read::Reader,
    state::{Content, State, Variable},
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

    /// A variable may hold a number from here on.
    fn becomes_number(&mut self, name: &str, state: &mut State) {
        let mut variable = match state.variables.get(name) {
            Some(variable) => Variable::clone(variable),
            None => Variable::scalar(self.unset(name).iter().cloned()),
        };
        let number = Content::Scalar(Value::number());
        if !variable.contents.contains(&number) {
            variable.add(number);
            self.assign(name, variable, state);
        }
    }

    /// Tells of commands that run where these values are read as numbers.
    pub(super) fn number(&mut self, values: &Values, state: &mut State) {
        let mut pending: Vec<Vec<u8>> = values.known().map(<[u8]>::to_vec).collect();
        let mut names: Vec<String> = Vec::new();
        while let Some(text) = pending.pop() {
            self.spend(1 + text.len() / 64);
            if runs_commands(&text) {
                self.gap("commands in a value that is read as a number".to_owned());
                return;
            }
            let assigns = assigns(&text);
            for name in text.split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_') {
                let Ok(name) = std::str::from_utf8(name) else {
                    continue;
                };
                let is_name = name.starts_with(|first: char| !first.is_ascii_digit());
                if is_name && assigns {
                    self.becomes_number(name, state);
                }
                let is_new =
                    is_name && names.len() < MAX_NAMES && !names.iter().any(|known| known == name);
                if is_new {
                    names.push(name.to_owned());
                    pending.extend(self.variable(name, state).known().map(<[u8]>::to_vec));
                }
            }
        }
    }
}

/// Whether an arithmetic text may assign: `n = 1`, `n += 1`, `n++`.
fn assigns(text: &[u8]) -> bool {
    let around = |index: usize| {
        (
            index.checked_sub(1).and_then(|at| text.get(at)),
            text.get(index + 1),
        )
    };
    text.iter().enumerate().any(|(index, byte)| match byte {
        b'=' => match around(index) {
            (Some(b'=' | b'!'), _) | (_, Some(b'=')) => false,
            (Some(b'<' | b'>'), _) => {
                let before = index.checked_sub(2).and_then(|at| text.get(at));
                matches!(before, Some(b'<' | b'>'))
            }
            _ => true,
        },
        b'+' | b'-' => text.get(index + 1) == Some(byte),
        _ => false,
    })
}

/// Whether a text holds a substitution.
pub(super) fn runs_commands(text: &[u8]) -> bool {
    text.contains(&b'`') || text.windows(2).any(|pair| pair == b"$(")
}
