//! The pieces of a word: quotes, `$name`, `${…}`, `$(…)`, `` `…` `` and `$((…))` (POSIX, Shell Command Language, 2.6; bash(1),
//! EXPANSION).
//!
//! Words come from the parser as they are written. They are taken apart here, and not by brush-parser's word grammar, because
//! that one looks ahead over nested quotes again and again: time doubles with each level. This reader goes over a word
//! once. A text that it does not understand is an error, which makes the word unknown.

mod parameter;
mod scanner;

use scanner::{Scanner, Within};

/// A part of a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// `$((…))`: the pieces in it, of which only the substitutions matter here.
    Arithmetic(Vec<Piece>),
    /// `$(…)`, with the lines of the word before it.
    Command {
        text: String,
        line: usize,
        quoted: bool,
    },
    /// Text as it is.
    Literal { text: String, quoted: bool },
    /// `$name`, `${name…}`
    Parameter {
        parameter: Box<Parameter>,
        quoted: bool,
    },
    /// `~` or `~name` at the start.
    Tilde(String),
}

/// What stands in `${…}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parameter {
    pub(super) name: Name,
    pub(super) operation: Operation,
}

/// What a parameter names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// `$@`, and with `*` joined: `$*`
    All { joined: bool },
    /// `${name[@]}`, `${name[*]}`
    AllOf { name: String, joined: bool },
    /// `$#`
    Count,
    /// `${name[index]}`
    Element { name: String, index: String },
    /// `${!name}`
    Indirect(String),
    /// `${!name[@]}`: its indices, which may be any texts; and `${!name[index]}`, which is not followed.
    Keys(String),
    /// `$name`
    Named(String),
    /// `$1`
    Positional(usize),
    /// `$0`
    Script,
    /// `$?`, `$$`, `$!`, `$-`, `${!prefix*}`: a number or a list of names.
    Special,
}

/// What is done with a parameter's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// `+`, `:+`
    Alternative(Vec<Piece>),
    /// `=`, `:=`
    Assign(Vec<Piece>),
    /// `^`, `^^`, `,`, `,,`
    Case(Case),
    /// `-`, `:-`
    Default(Vec<Piece>),
    /// `?`, `:?`
    Demand(Vec<Piece>),
    /// `${#name}`
    Length,
    /// None.
    Plain,
    /// `#`, `##`, `%`, `%%`
    Remove {
        end: End,
        longest: bool,
        pattern: Vec<Piece>,
    },
    /// `/`, `//`, `/#`, `/%`
    Replace {
        all: bool,
        pattern: Vec<Piece>,
        replacement: Vec<Piece>,
    },
    /// `:offset:length`
    Slice(Vec<Piece>),
    /// `@Q` and its like, and what is not known.
    Transform(Vec<Piece>),
}

/// Which letters are changed to what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    Lower,
    LowerFirst,
    Upper,
    UpperFirst,
}

/// Where a pattern is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Prefix,
    Suffix,
}

/// A word that is not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a word that is not understood")]
pub(super) struct NotUnderstood;

/// Takes a word apart.
pub(super) fn pieces(word: &str) -> Result<Vec<Piece>, NotUnderstood> {
    Scanner::new(word).pieces(Within::Word)
}

/// Takes the text of a here-document apart, in which quotes are nothing special.
pub(super) fn here_document(text: &str) -> Result<Vec<Piece>, NotUnderstood> {
    Scanner::new(text).pieces(Within::HereDocument)
}

/// Takes an arithmetic expression apart.
pub(super) fn arithmetic(text: &str) -> Result<Vec<Piece>, NotUnderstood> {
    Scanner::new(text).pieces(Within::Arithmetic)
}

/// Whether this can name a variable.
pub(super) fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests;
