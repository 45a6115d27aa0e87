//! Redirections: what they run, what they give to a command's input, and which files they write.

use brush_parser::ast::{IoFileRedirectKind, IoFileRedirectTarget, IoRedirect, RedirectList};

use super::{
    Sourced,
    command::absolute,
    read::{MAX_SITES, Reader},
    state::State,
    value::{Value, Values},
    word,
};

impl Reader<'_> {
    pub(super) fn redirects(&mut self, redirects: Option<&RedirectList>, state: &mut State) {
        for redirect in redirects.iter().flat_map(|list| &list.0) {
            self.redirect(redirect, state);
        }
    }

    pub(super) fn redirect(&mut self, redirect: &IoRedirect, state: &mut State) {
        match redirect {
            IoRedirect::File(descriptor, kind, target) => {
                if let Some(input) = read_from(*descriptor, kind, target) {
                    self.stdin = Some(input);
                }
                self.target(kind, target, state);
            }
            IoRedirect::HereDocument(descriptor, document) => {
                self.at_word(&document.doc);
                let text = &document.doc.value;
                let values = if document.requires_expansion {
                    match word::here_document(text) {
                        Ok(pieces) => self.values(&pieces, state),
                        Err(error) => {
                            self.unread(format!("a here-document has {error}"));
                            Values::one(Value::unknown("a here-document"))
                        }
                    }
                } else {
                    Values::one(Value::known(text))
                };
                self.reads(*descriptor, &values);
            }
            IoRedirect::HereString(descriptor, word) => {
                let values = self.word_values(&word.value, state);
                self.reads(*descriptor, &values);
            }
            IoRedirect::OutputAndError(word, _) => {
                let values = self.word_values(&word.value, state);
                self.writes(&values, state);
            }
        }
    }

    fn target(
        &mut self,
        kind: &IoFileRedirectKind,
        target: &IoFileRedirectTarget,
        state: &mut State,
    ) {
        match target {
            IoFileRedirectTarget::Filename(word) | IoFileRedirectTarget::Duplicate(word) => {
                let values = self.word_values(&word.value, state);
                if !matches!(kind, IoFileRedirectKind::Read) {
                    self.writes(&values, state);
                }
            }
            IoFileRedirectTarget::Fd(_) => {}
            IoFileRedirectTarget::ProcessSubstitution(_, subshell) => {
                let mut inner = state.clone();
                self.substituted(&subshell.list, &mut inner);
            }
        }
    }

    /// A text that is given to a command on its input, or on another descriptor.
    fn reads(&mut self, descriptor: Option<i32>, values: &Values) {
        if !matches!(descriptor, None | Some(0)) {
            return;
        }
        let mut texts = values.iter();
        self.stdin = Some(match (texts.next(), texts.next()) {
            (Some(text), None) => text.clone(),
            _ => Value::unknown("one of several texts"),
        });
    }

    /// Remembers files that a redirection writes.
    fn writes(&mut self, values: &Values, state: &State) {
        for name in values.known() {
            for directory in state.directory.iter() {
                let Some(path) = absolute(name, directory) else {
                    continue;
                };
                let written = Sourced {
                    place: self.place(),
                    path,
                };
                // LIMIT: such files of one script.
                if self.reading.written.len() < MAX_SITES
                    && !self.reading.written.contains(&written)
                {
                    self.reading.written.push(written);
                }
            }
        }
    }
}

/// What a command reads from a file or another descriptor; none where its input stays what it is.
fn read_from(
    descriptor: Option<i32>,
    kind: &IoFileRedirectKind,
    target: &IoFileRedirectTarget,
) -> Option<Value> {
    let reads = matches!(
        kind,
        IoFileRedirectKind::DuplicateInput
            | IoFileRedirectKind::Read
            | IoFileRedirectKind::ReadAndWrite
    );
    if !reads || !matches!(descriptor, None | Some(0)) {
        return None;
    }
    Some(match target {
        IoFileRedirectTarget::Filename(word) if word.value == "/dev/null" => Value::known(""),
        IoFileRedirectTarget::Filename(word) => {
            Value::unknown(format!("the file `{}`", word.value))
        }
        IoFileRedirectTarget::Duplicate(_) | IoFileRedirectTarget::Fd(_) => {
            Value::unknown("another input")
        }
        IoFileRedirectTarget::ProcessSubstitution(..) => Value::unknown("the output of a command"),
    })
}
