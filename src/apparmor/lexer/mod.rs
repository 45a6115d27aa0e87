//! Text to tokens, as `apparmor_parser` cuts them.
//!
//! What a byte means depends on what stands in front of it: a comma ends a rule, or belongs to a path, or separates values.
//! The lexer therefore keeps a stack of modes, which its own tokens push and pop, and every mode takes the longest token it
//! can. Nothing is decoded or copied here, and no byte is looked at more than a few times.

mod modes;
mod scan;
mod start;
mod token;

pub(super) use token::{Keyword, Token, TokenKind};

/// What the next token may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Abi,
    /// Behind a set variable's assignment: values to the end of the line.
    Assignment,
    /// Behind a boolean variable's assignment: an expression to the end of the line.
    AssignedExpression,
    /// In front of a boolean variable's assignment.
    AssignedExpressionStart,
    ChangeProfile,
    /// Behind a condition's name.
    Condition,
    Dbus,
    /// Behind `if`.
    Expression,
    /// In the parentheses of a group.
    Group,
    /// Behind a group's name.
    GroupStart,
    /// Behind `=` in a group.
    GroupValue,
    /// Behind `=(` in a group.
    GroupValues,
    /// Behind `+` in a profile's head.
    Identity,
    Include,
    Integer,
    /// In parentheses.
    List,
    Mount,
    Mqueue,
    /// A name right here.
    Name,
    /// A name, blanks and newlines in front.
    NameAfterBlanks,
    /// A name, blanks in front.
    NameOnLine,
    Network,
    Ptrace,
    Rlimit,
    Signal,
    /// Where a statement may begin, and in rules that have no mode of their own.
    Start,
    Unix,
    Userns,
    /// The value of a condition, right here.
    Value,
}

/// Modes that can be on top of each other: a rule's, a group's, its value's.
const MAX_MODES: usize = 6;

/// Cuts a text into tokens.
pub(super) struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
    modes: [Mode; MAX_MODES],
    depth: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self {
            text,
            at: 0,
            modes: [Mode::Start; MAX_MODES],
            depth: 0,
        }
    }

    /// The next token. At the end of the text it is [`TokenKind::End`], again and again.
    pub(super) fn token(&mut self) -> Token {
        loop {
            let start = self.at;
            let found = match self.text.get(start..) {
                None | Some([]) => Some((TokenKind::End, 0)),
                Some(rest) => self.find(rest),
            };
            // A mode that skips something moves on by itself.
            if let Some((kind, length)) = found {
                self.at += length;
                return Token {
                    kind,
                    start,
                    end: self.at,
                };
            }
        }
    }

    /// Goes on from an offset, where a statement may begin.
    pub(super) fn restart(&mut self, at: usize) {
        self.at = at;
        self.depth = 0;
        self.modes = [Mode::Start; MAX_MODES];
    }

    /// The mode that the next token is cut in.
    pub(super) fn mode(&self) -> Mode {
        self.modes.get(self.depth).copied().unwrap_or(Mode::Start)
    }

    fn push(&mut self, mode: Mode) {
        // Only modes that cannot push push on top of others, so that the stack cannot overflow.
        self.depth += usize::from(self.depth + 1 < MAX_MODES);
        self.replace(mode);
    }

    fn replace(&mut self, mode: Mode) {
        if let Some(top) = self.modes.get_mut(self.depth) {
            *top = mode;
        }
    }

    fn pop(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    /// Skips so many bytes.
    fn skip(&mut self, length: usize) -> Found {
        self.at += length;
        None
    }
}

/// A token and its length; nothing when something was skipped.
type Found = Option<(TokenKind, usize)>;

/// What cannot stand here: one byte of it.
const UNEXPECTED: Found = Some((TokenKind::Unexpected, 1));

/// A token of what was scanned, unless that is nothing.
fn some(kind: TokenKind, length: usize) -> Found {
    if length == 0 {
        UNEXPECTED
    } else {
        Some((kind, length))
    }
}

/// How long the line's end is that a slice begins with.
fn newline(text: &[u8]) -> usize {
    match text {
        [b'\n', ..] => 1,
        [b'\r', b'\n', ..] => 2,
        _ => 0,
    }
}

/// The length of the line that a slice begins with, without its end; nothing when the text ends first.
fn line(text: &[u8]) -> Option<usize> {
    text.iter().position(|&byte| byte == b'\n')
}
