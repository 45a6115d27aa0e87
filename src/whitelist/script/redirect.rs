//! Redirections: what they run, and which files they write.

use brush_parser::ast::{IoFileRedirectKind, IoFileRedirectTarget, IoRedirect, RedirectList};

use super::{
    Sourced,
    command::absolute,
    read::{MAX_SITES, Reader},
    state::State,
    value::Values,
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
            IoRedirect::File(_, kind, target) => match target {
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
            },
            IoRedirect::HereDocument(_, document) => {
                if document.requires_expansion {
                    self.at_word(&document.doc);
                    match word::here_document(&document.doc.value) {
                        Ok(pieces) => self.scan(&pieces, state),
                        Err(error) => self.unread(format!("a here-document has {error}")),
                    }
                }
            }
            IoRedirect::HereString(_, word) => {
                self.word_values(&word.value, state);
            }
            IoRedirect::OutputAndError(word, _) => {
                let values = self.word_values(&word.value, state);
                self.writes(&values, state);
            }
        }
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
