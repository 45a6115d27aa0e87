//! Where rules become entries: variables, globs, and the diagnostics about what words mean.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::super::ast::{Owner, Prefix, RuleMode, Word};
use super::super::diagnostic::{Diagnostic, Diagnostics, TOO_LARGE};
use super::super::glob::{self, Glob, Globbed};
use super::super::pattern::Pattern;
use super::super::quoting;
use super::super::source::Span;
use super::super::variables::{VariableError, Variables};
use super::{Class, Entry, Features, ProfileChange};

/// LIMIT: bytes of all globs and names of a policy, after expansion. Debian's largest profiles have some 100 KiB.
const MAX_TEXT: usize = 16 * 1024 * 1024;

/// LIMIT: bytes that all patterns of a policy take. A `?` is one byte of text and forty of a pattern.
const MAX_PATTERNS: usize = 64 * 1024 * 1024;

/// What a rule's qualifiers say, resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Qualifiers {
    /// Permits or forbids.
    pub mode: RuleMode,
    /// -1000 to 1000; `all` also writes entries two below.
    pub priority: i32,
    /// Whose files; both when absent.
    pub owner: Option<Owner>,
    /// Whether uses are logged.
    pub audit: bool,
    /// Whether a block around the rule gave it its mode.
    pub in_block: bool,
    /// The rule.
    pub span: Span,
}

impl Qualifiers {
    /// Of a rule that stands in no block.
    #[must_use]
    pub(super) fn new(prefix: &Prefix, span: Span) -> Self {
        Self {
            mode: prefix.mode.map_or(RuleMode::Allow, |mode| mode.value),
            priority: prefix.priority.map_or(0, |priority| priority.value),
            owner: prefix.owner.map(|owner| owner.value),
            audit: prefix.audit,
            in_block: false,
            span,
        }
    }
}

/// Whether runs of `/` count as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slashes {
    /// They do: paths.
    Collapse,
    /// They stay: labels.
    Keep,
}

/// A profile's rules on their way to entries.
pub(super) struct Lowering<'a> {
    features: Features,
    variables: &'a mut Variables,
    diagnostics: &'a mut Diagnostics,
    entries: BTreeMap<Class, Vec<Entry>>,
    /// The branch is not taken: words are checked, and what they would mean is not looked at.
    discarding: bool,
    changes: Vec<ProfileChange>,
    sizes: &'a mut Sizes,
}

/// How large a policy has become.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sizes {
    text: usize,
    patterns: usize,
    entries: usize,
}

/// LIMIT: entries of a policy. `all,` writes some eighty, most rules one or two; Debian's largest profiles have a thousand.
const MAX_ENTRIES: usize = 100_000;

impl<'a> Lowering<'a> {
    pub(super) fn new(
        features: Features,
        variables: &'a mut Variables,
        diagnostics: &'a mut Diagnostics,
        sizes: &'a mut Sizes,
    ) -> Self {
        Self {
            features,
            variables,
            diagnostics,
            entries: BTreeMap::new(),
            discarding: false,
            changes: Vec::new(),
            sizes,
        }
    }

    pub(super) fn discard(&mut self, discarding: bool) {
        self.discarding = discarding;
    }

    pub(super) fn is_discarding(&self) -> bool {
        self.discarding
    }

    pub(super) fn finish(self) -> (BTreeMap<Class, Vec<Entry>>, Vec<ProfileChange>) {
        (self.entries, self.changes)
    }

    /// Keeps a `change_profile` rule about a program for [`super::conflicts`].
    pub(super) fn push_change(&mut self, change: ProfileChange) {
        let span = change.pair.span;
        if !self.discarding && self.count_bytes(change.program.len() + change.target.len(), span) {
            self.count_pattern(&change.pair);
            self.changes.push(change);
        }
    }

    /// Errors and warnings so far.
    pub(super) fn reported(&self) -> usize {
        self.diagnostics.len()
    }

    /// Sets what a profile's own variables stand for. Its name is text, not a glob.
    pub(super) fn define(&mut self, name: &[u8], attached: Option<&[u8]>) {
        self.variables.set(b"profile_name", [escape_glob(name)]);
        if let Some(attached) = attached {
            self.variables.set(b"attach_path", [attached.to_vec()]);
            self.variables.set(b"exec_path", [attached.to_vec()]);
        }
    }

    /// Forgets them.
    pub(super) fn undefine(&mut self) {
        for name in ["profile_name", "attach_path", "exec_path"] {
            self.variables.remove(name.as_bytes());
        }
    }

    /// What the policy's ABI mediates.
    pub(super) fn features(&self) -> Features {
        self.features
    }

    pub(super) fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    pub(super) fn push(&mut self, class: Class, entry: Entry) {
        if self.discarding {
            return;
        }
        self.sizes.entries += 1;
        if self.count_pattern(&entry) {
            self.entries.entry(class).or_default().push(entry);
        }
    }

    /// Counts what an entry takes. Whether there is room for it.
    fn count_pattern(&mut self, entry: &Entry) -> bool {
        self.sizes.patterns += entry.pattern.size();
        let fits = self.sizes.entries <= MAX_ENTRIES && self.sizes.patterns <= MAX_PATTERNS;
        if !fits {
            self.too_large(entry.span);
        }
        fits
    }

    /// Counts bytes of text that entries are made of, or keep. Whether there is room.
    pub(super) fn count_bytes(&mut self, bytes: usize, span: Span) -> bool {
        self.sizes.text += bytes;
        let fits = self.sizes.text <= MAX_TEXT;
        if !fits {
            self.too_large(span);
        }
        fits
    }

    /// Whether the policy is refused for its size: looking at more of it tells nothing.
    pub(super) fn is_too_large(&self) -> bool {
        self.diagnostics.is_too_large()
    }

    /// Said once: what follows is the same.
    fn too_large(&mut self, span: Span) {
        if !self.is_too_large() {
            self.report(Diagnostic::too_large(
                span,
                format!(
                    "the rules of this policy come to more than {MAX_ENTRIES} entries, or their paths and names to {} MiB, or to patterns of {} MiB",
                    MAX_TEXT >> 20,
                    MAX_PATTERNS >> 20
                ),
            ));
        }
    }

    /// A word without its quotes and escapes, for keywords, names and numbers.
    #[expect(
        clippy::unused_self,
        reason = "where words are read with their variables they are read here"
    )]
    pub(super) fn decoded<'w>(&self, word: &'w Word) -> Cow<'w, [u8]> {
        quoting::decode(&word.value)
    }

    /// A word with values in the place of its variables.
    pub(super) fn text(&mut self, word: &Word) -> Option<Vec<u8>> {
        let text = quoting::decode(&word.value);
        self.expand(&text, word.span)
    }

    /// The same of text that was taken apart before.
    pub(super) fn expand(&mut self, text: &[u8], span: Span) -> Option<Vec<u8>> {
        if self.discarding {
            return Some(text.to_vec());
        }
        match self.variables.expand(text) {
            Ok(text) => Some(text),
            Err(error) => {
                self.report(undefined(&error, span));
                None
            }
        }
    }

    /// A word's glob.
    pub(super) fn pattern(&mut self, word: &Word, kind: Glob, slashes: Slashes) -> Option<Globbed> {
        let text = self.text(word)?;
        self.pattern_of(&text, word.span, kind, slashes)
    }

    /// The same of text whose variables are expanded.
    pub(super) fn pattern_of(
        &mut self,
        text: &[u8],
        span: Span,
        kind: Glob,
        slashes: Slashes,
    ) -> Option<Globbed> {
        if self.discarding {
            return Some(Globbed {
                pattern: Pattern::empty(),
                exact: true,
            });
        }
        if !self.count_bytes(text.len(), span) {
            return None;
        }
        let text = match slashes {
            Slashes::Collapse => Cow::Owned(glob::collapse_slashes(text)),
            Slashes::Keep => Cow::Borrowed(text),
        };
        match glob::pattern(&text, kind) {
            Ok(globbed) => Some(globbed),
            Err(error) => {
                self.report(
                    Diagnostic::error("invalid-glob", span, error.to_string())
                        .help("escape `*`, `?`, `[`, `]`, `{` and `}` with `\\` where they stand for themselves"),
                );
                None
            }
        }
    }
}

/// A name as a glob that matches it alone. What is escaped already stays so.
fn escape_glob(name: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte == b'\\' {
            escaped.push(byte);
            if let Some((&next, tail)) = rest.split_first() {
                escaped.push(next);
                rest = tail;
            }
            continue;
        }
        if b"{}[]*?".contains(&byte) {
            escaped.push(b'\\');
        }
        escaped.push(byte);
    }
    escaped
}

/// The diagnostic of a variable without a value.
pub(super) fn undefined(error: &VariableError, span: Span) -> Diagnostic {
    let (code, help) = match error {
        VariableError::Boolean(_) => (
            "boolean-in-word",
            "ask for it with `if`, or define a variable `@{…}` of that name",
        ),
        VariableError::Recursive(_) => ("recursive-variable", "take the reference out"),
        VariableError::TooLarge(_) => (TOO_LARGE, "give it fewer values"),
        VariableError::TooMuch => (TOO_LARGE, "use variables of many values in fewer places"),
        VariableError::Undefined(_) => (
            "undefined-variable",
            "define it in the preamble, or include the file that does: `include <tunables/global>`",
        ),
    };
    Diagnostic::error(code, span, error.to_string()).help(help)
}
