//! Globs to patterns.
//!
//! `apparmor_parser` rewrites a glob to the text of a regular expression and reads that with a small grammar of its own. The
//! rewriting sees the text so far (a star after a `/` differs from one after a `{`), and stars inside of `[…]` come out
//! strangely. The same two steps are taken here, over tokens instead of text, so that the strange cases agree as well.

use super::pattern::{ByteSet, Pattern};
use super::quoting::escape;

/// LIMIT: alternations inside of each other, as in the parser.
const MAX_NESTING: usize = 49;

/// Which bytes `*` and `?` leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Glob {
    /// `/` and NUL, and `**` leaves out NUL: paths, labels, most others.
    Default,
    /// `/`, and `**` nothing: values of extended attributes.
    Null,
}

/// A glob that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// `{a}`
    #[error("`{{…}}` needs a comma between two alternatives")]
    LonelyAlternative,
    /// A `\` at the end.
    #[error("a `\\` at the end escapes nothing")]
    TrailingEscape,
    /// More than 49 alternations inside of each other.
    #[error("more than {MAX_NESTING} alternations inside of each other")]
    TooDeep,
    /// `[` without `]`, or `{` without `}`.
    #[error("a `{{` or `[` is never closed")]
    Unclosed,
    /// `}` or `]` without its opening.
    #[error("a `}}` or `]` closes nothing")]
    Unopened,
    /// `[a-]`, `[]`, `[a-b-c]`
    #[error("`[…]` is not a set of bytes that the parser reads")]
    InvalidSet,
}

/// A glob's pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Globbed {
    /// The strings that it matches.
    pub pattern: Pattern,
    /// Whether it has neither stars nor negated sets (`?` is one).
    pub exact: bool,
}

/// Reads a glob whose variables are expanded.
pub fn pattern(glob: &[u8], kind: Glob) -> Result<Globbed, GlobError> {
    let tokens = tokens(glob, kind)?;
    let mut reader = Reader {
        tokens: &tokens,
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

/// Makes runs of `/` one, as the parser does in paths: but for two at the start, which are a name space of their own.
#[must_use]
pub fn collapse_slashes(path: &[u8]) -> Vec<u8> {
    let (kept, rest): (&[u8], _) = match path {
        [b'/', b'/', third, ..] if *third != b'/' => path.split_at(2),
        [b'/', b'/'] => (b"//", b""),
        _ => (b"", path),
    };
    let mut collapsed = kept.to_vec();
    let mut after_slash = false;
    for &byte in rest {
        if !(after_slash && byte == b'/') {
            collapsed.push(byte);
        }
        after_slash = byte == b'/';
    }
    collapsed
}

/// A token of the regular expression that a glob is rewritten to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
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

fn tokens(glob: &[u8], kind: Glob) -> Result<Vec<Token>, GlobError> {
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

/// Reads tokens by the grammar of the parser's regular expressions. Its depth is that of the alternations.
struct Reader<'a> {
    tokens: &'a [Token],
    exact: bool,
}

impl Reader<'_> {
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
        let mut parts = Vec::new();
        let mut literal = Vec::new();
        while let Some(&token) = self.tokens.first() {
            let part = match token {
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
            if let Pattern::Literal(bytes) = part {
                literal.extend(bytes);
            } else {
                if !literal.is_empty() {
                    parts.push(Pattern::Literal(std::mem::take(&mut literal)));
                }
                parts.push(part);
            }
        }
        if !literal.is_empty() || parts.is_empty() {
            parts.push(Pattern::Literal(literal));
        }
        Ok(match <[Pattern; 1]>::try_from(parts) {
            Ok([only]) => only,
            Err(parts) => Pattern::Concat(parts),
        })
    }

    fn term(&mut self) -> Result<Pattern, GlobError> {
        Ok(match self.next().ok_or(GlobError::InvalidSet)? {
            Token::Any => {
                self.exact = false;
                Pattern::Set(ByteSet::ALL)
            }
            Token::Byte(byte) | Token::Escaped(byte) => Pattern::Literal(vec![byte]),
            Token::Caret => Pattern::Literal(b"^".to_vec()),
            Token::Dash => Pattern::Literal(b"-".to_vec()),
            Token::CloseSet => Pattern::Literal(b"]".to_vec()),
            Token::Open => {
                let inner = self.alternatives()?;
                if !self.take(Token::Close) {
                    return Err(GlobError::Unclosed);
                }
                inner
            }
            Token::OpenSet => Pattern::Set(self.set()?),
            Token::Bar | Token::Close | Token::Star => return Err(GlobError::InvalidSet),
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

#[cfg(test)]
mod tests {
    use super::super::automaton::{Automaton, Budget};
    use super::*;

    fn matches(glob: &str, text: &[u8]) -> bool {
        let globbed = pattern(glob.as_bytes(), Glob::Default).unwrap();
        let mut budget = Budget::default();
        let mut automaton =
            Automaton::new([(&globbed.pattern, 1)].into_iter(), &mut budget).unwrap();
        let mut state = automaton.start();
        for &byte in text {
            state = automaton.next(state, byte, &mut budget).unwrap();
        }
        !automaton.accepts(state).is_empty()
    }

    #[test]
    fn stars_match_a_whole_component_of_at_least_one_byte() {
        for (glob, text, expected) in [
            ("/*", "/a", true),
            ("/*", "/", false),
            ("/a/*", "/a/", false),
            ("/a/*", "/a/b/", false),
            ("/a/*.b", "/a/.b", true),
            ("/**", "/", false),
            ("/a/**", "/a/b/", true),
            ("/a/{,**}", "/a/", true),
            ("/{**,}", "/", true),
            ("/***", "/a", true),
            ("/d**", "/d", true),
            ("/?", "//", false),
        ] {
            assert_eq!(matches(glob, text.as_bytes()), expected, "{glob} {text}");
        }
    }

    #[test]
    fn negated_sets_match_slashes_and_nul() {
        assert!(matches("/[^x]y", b"//y"));
        assert!(matches("/[^x]y", b"/\0y"));
        assert!(!matches("/[^x]y", b"/xy"));
        assert!(matches("/[c-a]", b"/b"));
        assert!(matches("/[a^]", b"/^"));
    }

    #[test]
    fn escapes_stand_for_themselves() {
        for (glob, text) in [
            (r"/\*", "/*"),
            (r"/\x61\101\d97", "/aAa"),
            (r"/{a\,b,c}", "/a,b"),
            (r"/a\q", "/aq"),
            ("/a.b+c|d$", "/a.b+c|d$"),
        ] {
            assert!(matches(glob, text.as_bytes()), "{glob} {text}");
        }
    }

    #[test]
    fn what_is_no_glob_is_refused() {
        for (glob, error) in [
            ("/{a}", GlobError::LonelyAlternative),
            ("/{a,b", GlobError::Unclosed),
            ("/[a", GlobError::Unclosed),
            ("/a}", GlobError::Unopened),
            ("/[]a]", GlobError::Unopened),
            ("/[a-]", GlobError::InvalidSet),
            ("/a\\", GlobError::TrailingEscape),
        ] {
            assert_eq!(
                pattern(glob.as_bytes(), Glob::Default),
                Err(error),
                "{glob}"
            );
        }
        let deep = format!("{}a{}", "{".repeat(50), ",}".repeat(50));
        assert_eq!(
            pattern(deep.as_bytes(), Glob::Default),
            Err(GlobError::TooDeep)
        );
    }

    #[test]
    fn sets_are_exact_and_stars_are_not() {
        for (glob, exact) in [
            ("/a", true),
            ("/[ab]{c,d}", true),
            ("/?", false),
            ("/[^a]", false),
            ("/a*", false),
        ] {
            assert_eq!(
                pattern(glob.as_bytes(), Glob::Default).unwrap().exact,
                exact,
                "{glob}"
            );
        }
    }

    #[test]
    fn slashes_collapse_but_for_two_in_front() {
        for (path, collapsed) in [
            ("/a//b///", "/a/b/"),
            ("//a//b", "//a/b"),
            ("///a", "/a"),
            ("//", "//"),
            ("a//", "a/"),
            ("", ""),
        ] {
            assert_eq!(
                collapse_slashes(path.as_bytes()),
                collapsed.as_bytes(),
                "{path}"
            );
        }
    }
}
