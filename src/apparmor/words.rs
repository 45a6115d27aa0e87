//! Text to words: just enough of the lexer to tell blocks and names from globs that hold braces and commas.
//!
//! As in the parser's lexer a comma belongs to a word unless blank or end follows, and a lone `{` opens a block while one
//! inside a word is an alternation.

use std::borrow::Cow;

/// A word of a profile file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word<'a> {
    pub(super) kind: WordKind<'a>,
    /// Line of its first byte, counted from 1.
    pub(super) line: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum WordKind<'a> {
    /// `}`
    Close,
    /// The comma that ends a rule.
    Comma,
    /// A newline outside of quotes and parentheses.
    Newline,
    /// `{`
    Open,
    /// `( … )`, skipped.
    Parentheses,
    /// Anything else, without its quotes.
    Text(Cow<'a, [u8]>),
    /// A quote or parenthesis that never ends.
    Unterminated,
}

/// Splits a file into words. Linear in the text, one word at a time.
pub(super) struct Words<'a> {
    rest: &'a [u8],
    line: usize,
}

impl<'a> Words<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self {
            rest: text,
            line: 1,
        }
    }

    fn bump(&mut self) -> Option<u8> {
        let (&first, rest) = self.rest.split_first()?;
        self.rest = rest;
        if first == b'\n' {
            self.line += 1;
        }
        Some(first)
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.rest.get(ahead).copied()
    }

    fn skip_line(&mut self) {
        while self.peek(0).is_some_and(|byte| byte != b'\n') {
            self.bump();
        }
    }

    /// Reads up to the closing quote; escapes stay as they are, but for the quote's own.
    fn quoted(&mut self, text: &mut Vec<u8>) -> Result<(), ()> {
        loop {
            match self.bump().ok_or(())? {
                b'"' => return Ok(()),
                b'\\' if self.peek(0) == Some(b'"') => text.extend(self.bump()),
                b'\\' => {
                    text.push(b'\\');
                    text.push(self.bump().ok_or(())?);
                }
                byte => text.push(byte),
            }
        }
    }

    fn parentheses(&mut self) -> Result<(), ()> {
        loop {
            match self.bump().ok_or(())? {
                b')' => return Ok(()),
                b'"' => self.quoted(&mut Vec::new())?,
                _ => {}
            }
        }
    }

    fn text(&mut self) -> WordKind<'a> {
        let start = self.rest;
        let mut quoted: Option<Vec<u8>> = None;
        while let Some(byte) = self.peek(0) {
            match byte {
                b'"' => {
                    let length = start.len() - self.rest.len();
                    let text = quoted
                        .get_or_insert_with(|| start.get(..length).unwrap_or_default().to_vec());
                    self.bump();
                    if self.quoted(text).is_err() {
                        return WordKind::Unterminated;
                    }
                    continue;
                }
                b'\\' if self.peek(1).is_some_and(|next| next != b'\n') => {
                    if let Some(text) = &mut quoted {
                        text.push(byte);
                    }
                    self.bump();
                }
                b',' if self.peek(1).is_none_or(|next| next.is_ascii_whitespace()) => break,
                // `flags=(`, `peer=(`: the list is its own word.
                b'(' if start
                    .get(..start.len() - self.rest.len())
                    .is_some_and(|word| word.ends_with(b"=")) =>
                {
                    break;
                }
                _ if byte.is_ascii_whitespace() => break,
                _ => {}
            }
            let byte = self.bump();
            if let (Some(text), Some(byte)) = (&mut quoted, byte) {
                text.push(byte);
            }
        }
        let length = start.len() - self.rest.len();
        WordKind::Text(quoted.map_or_else(
            || Cow::Borrowed(start.get(..length).unwrap_or_default()),
            Cow::Owned,
        ))
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = Word<'a>;

    fn next(&mut self) -> Option<Word<'a>> {
        loop {
            let line = self.line;
            let word = |kind| Some(Word { kind, line });
            let next_ends_word = |next: Option<u8>| {
                next.is_none_or(|next| next.is_ascii_whitespace() || next == b'#')
            };
            return match self.peek(0)? {
                b'\n' => {
                    self.bump();
                    word(WordKind::Newline)
                }
                b'#' if !self.rest.starts_with(b"#include") => {
                    self.skip_line();
                    continue;
                }
                b'\\' if self.peek(1) == Some(b'\n') => {
                    self.bump();
                    self.bump();
                    continue;
                }
                byte if byte.is_ascii_whitespace() => {
                    self.bump();
                    continue;
                }
                b'{' if next_ends_word(self.peek(1)) => {
                    self.bump();
                    word(WordKind::Open)
                }
                b'}' => {
                    self.bump();
                    word(WordKind::Close)
                }
                b',' if next_ends_word(self.peek(1)) => {
                    self.bump();
                    word(WordKind::Comma)
                }
                b'(' => {
                    self.bump();
                    let ended = self.parentheses();
                    // `flags=(complain){` opens its block right here.
                    word(if ended.is_ok() {
                        WordKind::Parentheses
                    } else {
                        WordKind::Unterminated
                    })
                }
                _ => word(self.text()),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{WordKind, Words};

    fn words(text: &str) -> String {
        let shown = |kind| match kind {
            WordKind::Close => "}".to_owned(),
            WordKind::Comma => ",".to_owned(),
            WordKind::Newline => "$".to_owned(),
            WordKind::Open => "{".to_owned(),
            WordKind::Parentheses => "()".to_owned(),
            WordKind::Text(text) => format!("<{}>", String::from_utf8_lossy(&text)),
            WordKind::Unterminated => "!".to_owned(),
        };
        Words::new(text.as_bytes())
            .map(|word| shown(word.kind))
            .collect()
    }

    #[test]
    fn splits_as_the_parser_does() {
        for (text, expected) in [
            ("profile a {", "<profile><a>{"),
            ("/usr/{,s}bin/a r,", "</usr/{,s}bin/a><r>,"),
            ("flags=(complain){ }", "<flags=>(){}"),
            (r#""a \"b" c # d"#, r#"<a "b><c>"#),
            (r#"/a" b"c,"#, "</a bc>,"),
            (r"/a\ b, x", r"</a\ b>,<x>"),
            ("#include <a>\n#comment {", "<#include><<a>>$"),
            ("a \\\n b", "<a><b>"),
            ("(r, \"w)\")", "()"),
            ("\"a", "!"),
            ("(a", "!"),
            ("a\"b", "!"),
        ] {
            assert_eq!(words(text), expected, "{text}");
        }
    }
}
