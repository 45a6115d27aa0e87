//! The proof of a difference, in words that people can check.

use crate::apparmor::{
    model::Class,
    source::{Sources, Span},
};

/// One operation that one policy permits and another does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// The class: `file`, `mount`, `capability`, …
    pub class: &'static str,
    /// What may be done; the gravest first.
    pub operations: Vec<&'static str>,
    /// To what.
    pub target: String,
    /// Whose files, where that matters.
    pub whose: Option<Whose>,
    /// The profile that permits it, by its full name.
    pub profile: Vec<u8>,
    /// The question to the kernel that it is, where it is one.
    pub asked: Option<Asked>,
    /// How a process gets to the profile that permits it; empty for the profile itself.
    pub moves: Vec<Move>,
    /// Why the one permits it.
    pub permits: Explanation,
    /// Why the other does not.
    pub forbids: Explanation,
}

/// An operation as the kernel would ask for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The class.
    pub class: Class,
    /// The string, without the class byte, for the one that permits it.
    pub string: Vec<u8>,
    /// The same for the other: names of profiles differ.
    pub other: Vec<u8>,
    /// The bits that only the one permits.
    pub bits: u32,
}

/// Whose files an operation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Whose {
    /// Those of somebody else.
    Others,
    /// Those of the process's user.
    Own,
}

/// A change of domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// What a process does: `runs /bin/sh`.
    pub how: String,
    /// Where it is then: `profile web//helper`.
    pub to: String,
}

/// Why something is permitted or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// The rule, as written, in one line.
    pub rule: Option<String>,
    /// Where that stands.
    pub span: Option<Span>,
    /// Its file.
    pub file: Option<String>,
    /// Its line, counted from 1.
    pub line: Option<usize>,
    /// Where no rule says it: `complain mode permits everything`.
    pub why: Option<String>,
}

/// LIMIT: bytes of a rule that are shown.
const MAX_RULE: usize = 200;

impl Explanation {
    /// That of a rule.
    #[must_use]
    pub fn rule(sources: &Sources, span: Span) -> Self {
        let text = sources.text(span).map(|text| {
            let text = String::from_utf8_lossy(text);
            let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
            match line.char_indices().nth(MAX_RULE) {
                Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
                None => line,
            }
        });
        let location = sources.location(span);
        Self {
            rule: text,
            span: Some(span),
            file: location.as_ref().map(|location| location.file.to_owned()),
            line: location.map(|location| location.line),
            why: None,
        }
    }

    /// That of something that is no rule.
    #[must_use]
    pub fn because(why: impl Into<String>) -> Self {
        Self {
            why: Some(why.into()),
            ..Self::default()
        }
    }
}
