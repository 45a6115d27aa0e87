//! The first step: a glob to the tokens of a regular expression, as the parser rewrites it. What the tokens mean together is not
//! looked at.

use super::{Glob, GlobError};
use crate::apparmor::quoting::escape;

/// LIMIT: alternations inside of each other, as in the parser.
pub(super) const MAX_NESTING: usize = 49;

/// A token of the regular expression that a glob is rewritten to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// `.`: any byte at all.
    Any,
    /// `|`
    Bar,
    /// A byte that stands for itself.
    Byte(u8),
    /// `^`: negates a set, or is itself.
    Caret,
    /// `)`
    Close,
    /// `]`
    CloseSet,
    /// `-`: a range in a set, or itself.
    Dash,
    /// A byte that was written as an escape sequence.
    Escaped(u8),
    /// `(`
    Open,
    /// `[`
    OpenSet,
    /// `*`
    Star,
}

/// The tokens of a glob.
pub(super) fn tokens(glob: &[u8], kind: Glob) -> Result<Vec<Token>, GlobError> {
    let mut tokens = Vec::with_capacity(glob.len() + 8);
    // Commas seen in each open `{`.
    let mut commas: Vec<usize> = Vec::new();
    let mut in_set = false;
    let mut rest = glob;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'\\' => {
                let after = rest;
                let Some((&escaped, tail)) = after.split_first() else {
                    return Err(GlobError::TrailingEscape);
                };
                rest = tail;
                match escaped {
                    b'\\' | b'*' | b'[' | b']' | b'{' | b'}' | b'?' => {
                        tokens.push(Token::Escaped(escaped));
                    }
                    // In a set the escape of a comma stands for itself too.
                    b',' if in_set => tokens.extend([Token::Escaped(b'\\'), Token::Byte(b',')]),
                    // These lose their escape, and mean what they mean without.
                    b'^' if in_set => tokens.push(Token::Caret),
                    b'-' => tokens.push(Token::Dash),
                    _ => {
                        if let Some((byte, length)) = escape(after) {
                            tokens.push(Token::Escaped(byte));
                            rest = after.get(length..).unwrap_or_default();
                        } else {
                            tokens.push(Token::Byte(escaped));
                        }
                    }
                }
            }
            b'*' => {
                let stars = rest.iter().take_while(|&&byte| byte == b'*').count();
                let after = rest.get(stars);
                // `/*` and `/**` as a whole last component match at least one byte.
                if tokens.last() == Some(&Token::Byte(b'/')) && matches!(after, None | Some(b'/')) {
                    tokens.extend(one(kind));
                }
                if rest.first() == Some(&b'*') {
                    rest = rest.get(1..).unwrap_or_default();
                    match kind {
                        Glob::Default => tokens.extend(NOT_NUL),
                        Glob::Null => tokens.push(Token::Any),
                    }
                } else {
                    tokens.extend(one(kind));
                }
                tokens.push(Token::Star);
            }
            b'?' => tokens.extend(one(kind)),
            b'[' => {
                in_set = true;
                tokens.push(Token::OpenSet);
            }
            b']' => {
                if !in_set {
                    return Err(GlobError::Unopened);
                }
                in_set = false;
                tokens.push(Token::CloseSet);
            }
            b'{' if !in_set => {
                if commas.len() == MAX_NESTING {
                    return Err(GlobError::TooDeep);
                }
                commas.push(0);
                tokens.push(Token::Open);
            }
            b'}' if !in_set => {
                match commas.pop() {
                    None => return Err(GlobError::Unopened),
                    Some(0) => return Err(GlobError::LonelyAlternative),
                    Some(_) => {}
                }
                tokens.push(Token::Close);
            }
            b',' if !in_set => match commas.last_mut() {
                Some(count) => {
                    *count += 1;
                    tokens.push(Token::Bar);
                }
                None => tokens.push(Token::Byte(b',')),
            },
            b'^' if in_set => tokens.push(Token::Caret),
            b'-' => tokens.push(Token::Dash),
            _ => tokens.push(Token::Byte(byte)),
        }
    }
    if in_set || !commas.is_empty() {
        return Err(GlobError::Unclosed);
    }
    Ok(tokens)
}

const NOT_NUL: [Token; 4] = [
    Token::OpenSet,
    Token::Caret,
    Token::Escaped(0),
    Token::CloseSet,
];

/// One byte that is not `/`.
fn one(kind: Glob) -> impl Iterator<Item = Token> {
    [Token::OpenSet, Token::Caret, Token::Byte(b'/')]
        .into_iter()
        .chain((kind == Glob::Default).then_some(Token::Escaped(0)))
        .chain([Token::CloseSet])
}
