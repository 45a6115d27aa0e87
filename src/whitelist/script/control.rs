//! Builtins that run something else, or end what runs: `exec`, `command`, `eval`, `trap`, `return`.

use std::rc::Rc;

use super::{
    SiteKind,
    command::Lookup,
    read::{Reader, Trap},
    state::{State, Variable},
    value::Value,
};

/// The variable under which text that is not known is put into an `eval`, so that what surrounds it can be read.
const HOLE: &str = "__not_known__";

impl Reader<'_> {
    pub(super) fn exec(&mut self, words: &[Value], state: &mut State) {
        let mut rest = words;
        while let [Value::Known(option), behind @ ..] = rest {
            rest = match &option[..] {
                b"--" => {
                    rest = behind;
                    break;
                }
                [b'-', letters @ ..] => match exec_options(letters) {
                    Some(taken) => behind.get(taken..).unwrap_or_default(),
                    None => break,
                },
                _ => break,
            };
        }
        match rest {
            [] => {}
            [Value::Known(empty), ..] if empty.is_empty() => state.unreachable = true,
            [Value::Rest(_), behind @ ..] => {
                self.site(rest.to_vec(), SiteKind::Exec, state);
                if behind.is_empty() {
                    // It may come to nothing: `exec` without words goes on.
                    return;
                }
                self.exec(behind, state);
            }
            [first, ..] => {
                if let Value::Files(files) = first {
                    self.folder(files);
                }
                self.site(rest.to_vec(), SiteKind::Exec, state);
                state.unreachable = true;
            }
        }
    }

    pub(super) fn command_builtin(&mut self, name: &str, words: &[Value], state: &mut State) {
        let mut rest = words;
        while let [Value::Known(option), behind @ ..] = rest {
            match &option[..] {
                b"-v" | b"-V" | b"-pv" | b"-pV" | b"-vp" => return,
                b"-p" | b"--" => rest = behind,
                _ => break,
            }
        }
        let lookup = if name == "builtin" {
            Lookup::Builtins
        } else {
            Lookup::NoFunctions
        };
        self.run(&rest.to_vec(), lookup, state);
    }

    pub(super) fn eval(&mut self, words: &[Value], state: &mut State) {
        let mut text = String::new();
        let mut missing = None;
        for word in words {
            if !text.is_empty() {
                text.push(' ');
            }
            if let Some(bytes) = word.script() {
                if matches!(word, Value::Numbered(_)) && names_a_number(bytes) {
                    self.gap("an `eval` of a parameter whose number is not known".to_owned());
                }
                text.push_str(&String::from_utf8_lossy(bytes));
            } else {
                missing = word.why();
                text.push('$');
                text.push_str(HOLE);
            }
        }
        if let Some(why) = missing {
            self.gap(format!("an `eval` of text that is not known: {why}"));
            let hole = Variable::list(vec![Value::Rest(why)]);
            Rc::make_mut(&mut state.variables).insert(Rc::from(HOLE), Rc::new(hole));
            if words.first().is_some_and(|word| word.script().is_none()) {
                return;
            }
        }
        if text.contains('\u{fffd}') {
            self.unread("an `eval` of text that is no UTF-8".to_owned());
            return;
        }
        let line = self.line.saturating_sub(1);
        self.inner(&text, line, SiteKind::Eval, state);
    }

    pub(super) fn trap(&mut self, words: &[Value]) {
        let words = match words {
            [Value::Known(dashes), rest @ ..] if &dashes[..] == b"--" => rest,
            words => words,
        };
        match words {
            [] | [_] => {}
            [Value::Known(text) | Value::Numbered(text), ..] => {
                let text = String::from_utf8_lossy(text).into_owned();
                if !text.is_empty() && !text.starts_with('-') && text.parse::<u8>().is_err() {
                    let place = self.place();
                    // LIMIT: traps of one script.
                    if self.traps.len() < 64 {
                        self.traps.push(Trap { text, place });
                    } else {
                        self.unread("more traps than are followed".to_owned());
                    }
                }
            }
            [first, ..] => {
                if let Some(why) = first.why() {
                    self.gap(format!("a `trap` of text that is not known: {why}"));
                }
            }
        }
    }

    pub(super) fn return_from(&mut self, state: &mut State) {
        if let Some(frame) = self.frames.last_mut() {
            // LIMIT: returns of one call that are kept apart; the last stands for the rest, joined below by its caller.
            if frame.returns.len() < 64 {
                frame.returns.push(state.clone());
                state.unreachable = true;
            }
        } else {
            state.unreachable = true;
        }
    }
}

/// The options of `exec` in one word, `-cla name`: how many words they take, or none where it is no option.
fn exec_options(letters: &[u8]) -> Option<usize> {
    let end = letters.iter().position(|letter| *letter == b'a');
    let before = letters.get(..end.unwrap_or(letters.len()))?;
    let is_option =
        !letters.is_empty() && before.iter().all(|letter| matches!(letter, b'c' | b'l'));
    // What follows the `a` in the same word is the name.
    is_option.then(|| usize::from(end.is_some_and(|end| end + 1 == letters.len())))
}

/// Whether the number in a text may be that of a parameter: `\$$n`, `\${$n}`. For numbers that are not known `0` stands.
fn names_a_number(text: &[u8]) -> bool {
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| *byte == b'$') {
        rest = rest.get(at + 1..).unwrap_or_default();
        let inner = rest.strip_prefix(b"{").unwrap_or(rest);
        let inner = inner.strip_prefix(b"!").unwrap_or(inner);
        if inner.first().is_some_and(u8::is_ascii_digit) {
            return true;
        }
    }
    false
}
