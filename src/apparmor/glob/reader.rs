//! The second step: tokens to a pattern, by the grammar of the parser's regular expressions.

use super::{GlobError, Globbed, tokens::Token};
use crate::apparmor::pattern::{ByteSet, Pattern};

/// Reads tokens by the grammar of the parser's regular expressions. Its depth is that of the alternations.
pub(super) struct Reader<'a> {
    tokens: &'a [Token],
    exact: bool,
}

impl<'a> Reader<'a> {
    /// Reads all of them.
    pub(super) fn read(tokens: &'a [Token]) -> Result<Globbed, GlobError> {
        let mut reader = Self {
            tokens,
            exact: true,
        };
        let pattern = reader.alternatives()?;
        if !reader.tokens.is_empty() {
            return Err(GlobError::InvalidSet);
        }
        Ok(Globbed {
            pattern,
            exact: reader.exact,
        })
    }

    fn next(&mut self) -> Option<Token> {
        let (&first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first)
    }

    fn take(&mut self, token: Token) -> bool {
        let found = self.tokens.first() == Some(&token);
        if found {
            self.next();
        }
        found
    }

    fn alternatives(&mut self) -> Result<Pattern, GlobError> {
        let first = self.terms()?;
        if self.tokens.first() != Some(&Token::Bar) {
            return Ok(first);
        }
        let mut all = vec![first];
        while self.take(Token::Bar) {
            all.push(self.terms()?);
        }
        Ok(Pattern::Union(all))
    }

    fn terms(&mut self) -> Result<Pattern, GlobError> {
        let mut parts: Vec<Pattern> = Vec::new();
        while let Some(&token) = self.tokens.first() {
            let literal = self.literal();
            let part = match token {
                _ if !literal.is_empty() => Pattern::Literal(literal),
                Token::Bar | Token::Close => break,
                Token::Star => return Err(GlobError::InvalidSet),
                _ => self.term()?,
            };
            let part = if self.take(Token::Star) {
                self.exact = false;
                star(part)?
            } else {
                part
            };
            match (parts.last_mut(), part) {
                (_, Pattern::Literal(bytes)) if bytes.is_empty() => {}
                (Some(Pattern::Literal(before)), Pattern::Literal(bytes)) => before.extend(bytes),
                (_, part) => parts.push(part),
            }
        }
        Ok(match <[Pattern; 1]>::try_from(parts) {
            Ok([only]) => only,
            Err(parts) if parts.is_empty() => Pattern::empty(),
            Err(parts) => Pattern::Concat(parts),
        })
    }

    /// The bytes that stand for themselves up to the next other token; without the last where a star follows, which is about that
    /// byte alone.
    fn literal(&mut self) -> Vec<u8> {
        let plain = |token: &Token| match *token {
            Token::Byte(byte) | Token::Escaped(byte) => Some(byte),
            Token::Caret => Some(b'^'),
            Token::Dash => Some(b'-'),
            Token::CloseSet => Some(b']'),
            _ => None,
        };
        let count = self.tokens.iter().map_while(plain).count();
        let starred = self.tokens.get(count) == Some(&Token::Star);
        let count = count - usize::from(starred && count > 1);
        let (run, rest) = self.tokens.split_at(count);
        self.tokens = rest;
        run.iter().map_while(plain).collect()
    }

    fn term(&mut self) -> Result<Pattern, GlobError> {
        Ok(match self.next().ok_or(GlobError::InvalidSet)? {
            Token::Any => {
                self.exact = false;
                Pattern::Set(ByteSet::ALL)
            }
            Token::Open => {
                let inner = self.alternatives()?;
                if !self.take(Token::Close) {
                    return Err(GlobError::Unclosed);
                }
                inner
            }
            Token::OpenSet => Pattern::Set(self.set()?),
            _ => return Err(GlobError::InvalidSet),
        })
    }

    /// The rest of a set. Its first member may be `]` or `-`, but not `^`; the others may be `^`, but neither of those.
    fn set(&mut self) -> Result<ByteSet, GlobError> {
        let mut set = ByteSet::NONE;
        let negated = self.take(Token::Caret);
        if negated && self.take(Token::Caret) {
            set.insert(b'^');
        } else {
            let first = match self.next() {
                Some(Token::CloseSet) => b']',
                Some(Token::Dash) => b'-',
                Some(Token::Caret) | None => return Err(GlobError::InvalidSet),
                Some(token) => member(token)?,
            };
            self.range(&mut set, first)?;
        }
        loop {
            match self.next() {
                Some(Token::CloseSet) => break,
                Some(Token::Dash) | None => return Err(GlobError::InvalidSet),
                Some(token) => {
                    let from = member(token)?;
                    self.range(&mut set, from)?;
                }
            }
        }
        if negated {
            self.exact = false;
            set = set.complement();
        }
        Ok(set)
    }

    fn range(&mut self, set: &mut ByteSet, from: u8) -> Result<(), GlobError> {
        if self.take(Token::Dash) {
            let to = self.next().ok_or(GlobError::InvalidSet).and_then(member)?;
            set.insert_range(from, to);
        } else {
            set.insert(from);
        }
        Ok(())
    }
}

/// A set's member, other than its first.
fn member(token: Token) -> Result<u8, GlobError> {
    Ok(match token {
        Token::Any => b'.',
        Token::Bar => b'|',
        Token::Byte(byte) | Token::Escaped(byte) => byte,
        Token::Caret => b'^',
        Token::Close => b')',
        Token::Open => b'(',
        Token::OpenSet => b'[',
        Token::Star => b'*',
        Token::CloseSet | Token::Dash => return Err(GlobError::InvalidSet),
    })
}

fn star(part: Pattern) -> Result<Pattern, GlobError> {
    match part {
        Pattern::Set(set) => Ok(Pattern::Star(set)),
        Pattern::Literal(bytes) => match bytes.as_slice() {
            [byte] => Ok(Pattern::Star(ByteSet::of(&[*byte]))),
            _ => Err(GlobError::InvalidSet),
        },
        // Stars follow sets only: the rewriting emits no others.
        _ => Err(GlobError::InvalidSet),
    }
}
