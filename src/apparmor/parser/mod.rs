//! Tokens to a tree, by recursive descent, one token ahead.
//!
//! The parser knows the grammar and what can be told without looking anything up; what words mean is the model's business.
//! After an error it goes on with the next statement, so that one run tells several.

mod conditions;
mod expression;
mod flags;
mod paths;
mod preamble;
mod profile;
mod recovery;
mod rules;
#[cfg(test)]
mod tests;

use super::{
    ast::{Comment, File, Item, Statement, Word},
    diagnostic::{Diagnostic, MAX_DIAGNOSTICS, TOO_LARGE},
    lexer::{Lexer, Token, TokenKind},
    source::{FileId, Located, Span},
};

/// Where a text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Context {
    /// In a profile: rules.
    Body,
    /// Outside of all profiles: a preamble, then profiles.
    TopLevel,
}

/// LIMIT: blocks inside of each other, and parentheses of an expression. Real profiles have four.
const MAX_DEPTH: usize = 128;

/// LIMIT: tokens and comments of a policy, of all its files together. A token of a few bytes is a hundred in the tree; the
/// largest profiles of distributions have some ten thousand.
pub const MAX_TOKENS: usize = 400_000;

/// Bytes of a word as it is written, or of a comment with the end of its line: what fits into the buffer of the scanner of
/// `apparmor_parser` 3.0 to 5.0, which dies of more.
pub const MAX_WORD: usize = 16_382;

/// Reads a text. What is broken is left out of the tree, and told.
#[must_use]
pub fn parse(file: FileId, text: &[u8], context: Context) -> (File, Vec<Diagnostic>) {
    let mut tokens = MAX_TOKENS;
    parse_within(file, text, context, &mut tokens)
}

/// The same of one text among several: `tokens` is what they may still have.
pub(super) fn parse_within(
    file: FileId,
    text: &[u8],
    context: Context,
    tokens: &mut usize,
) -> (File, Vec<Diagnostic>) {
    let mut parser = Parser::new(file, text, *tokens);
    parser.advance();
    let (items, comments) = parser.items(context == Context::Body);
    *tokens = parser.tokens;
    (File { items, comments }, parser.diagnostics)
}

/// A statement that could not be read. Why is among the diagnostics already.
struct Failed;

type Parsed<T> = Result<T, Failed>;

struct Parser<'a> {
    file: FileId,
    text: &'a [u8],
    lexer: Lexer<'a>,
    /// The next token.
    token: Token,
    /// Where the one before it ended.
    last_end: usize,
    /// Comments in front of the next token that belong to nothing yet.
    comments: Vec<Comment>,
    /// Comments inside of statements that are not complete yet.
    carried: Vec<Comment>,
    diagnostics: Vec<Diagnostic>,
    depth: usize,
    /// Whether a profile was seen outside of all blocks.
    declared: bool,
    /// Whether the rest of the text is not read.
    stopped: bool,
    /// How many more may be read.
    tokens: usize,
}

impl<'a> Parser<'a> {
    fn new(file: FileId, text: &'a [u8], tokens: usize) -> Self {
        Self {
            file,
            text,
            lexer: Lexer::new(text),
            token: Token {
                kind: TokenKind::End,
                start: 0,
                end: 0,
            },
            last_end: 0,
            comments: Vec::new(),
            carried: Vec::new(),
            diagnostics: Vec::new(),
            depth: 0,
            declared: false,
            stopped: false,
            tokens,
        }
    }

    /// The statements up to the end of the block or text, and the comments behind them.
    fn items(&mut self, body: bool) -> (Vec<Item>, Vec<Comment>) {
        let mut items = Vec::new();
        while self.token.kind != TokenKind::End {
            if self.token.kind == TokenKind::Close {
                if self.depth > 0 {
                    break;
                }
                self.error(
                    "unopened-block",
                    self.here(),
                    "this brace closes nothing",
                    "remove it",
                );
                self.advance();
                continue;
            }
            let comments = std::mem::take(&mut self.comments);
            let carried = self.carried.len();
            let start = self.token.start;
            let statement = if body {
                self.rule_statement()
            } else {
                self.top_statement()
            };
            let Ok(statement) = statement else {
                self.carried.truncate(carried);
                self.recover(start);
                continue;
            };
            let statement = Located {
                value: statement,
                span: self.span(start, self.last_end),
            };
            items.push(self.item(comments, carried, statement));
        }
        // Of many small blocks the room that each keeps for more would be most of the tree.
        items.shrink_to_fit();
        (items, std::mem::take(&mut self.comments))
    }

    /// A statement that ended just now, with the comments in front of it, in it and behind it on its last line.
    fn item(
        &mut self,
        mut comments: Vec<Comment>,
        carried: usize,
        statement: Located<Statement>,
    ) -> Item {
        comments.extend(self.carried.drain(carried..));
        if self.comments.is_empty() {
            return Item {
                comments,
                statement,
                remark: None,
            };
        }
        let end = statement.span.end;
        let inside = self
            .comments
            .partition_point(|comment| comment.span.start < end);
        comments.extend(self.comments.drain(..inside));
        let same_line = self.comments.first().is_some_and(|comment| {
            let between = self
                .text
                .get(end as usize..comment.span.start as usize)
                .unwrap_or_default();
            !between.contains(&b'\n')
        });
        Item {
            comments,
            statement,
            remark: same_line.then(|| self.comments.remove(0)),
        }
    }

    /// Moves on to the next token that is no comment.
    fn advance(&mut self) {
        self.last_end = self.token.end;
        loop {
            self.token = self.lexer.token();
            if let Some(left) = self.tokens.checked_sub(1) {
                self.tokens = left;
            } else if !self.stopped && self.token.kind != TokenKind::End {
                self.error(
                    TOO_LARGE,
                    self.here(),
                    format!("more than {MAX_TOKENS} words and comments, all files together"),
                    "no policy is that large: split it",
                );
                self.stop();
            }
            if self.token.kind != TokenKind::Comment {
                break;
            }
            let (comment, _) = self.taken();
            if comment.len() >= MAX_WORD {
                let _ = self.oversized("comment");
                continue;
            }
            let text = comment.strip_suffix(b"\r").unwrap_or(comment).to_vec();
            self.comments.push(Located {
                value: text,
                span: self.here(),
            });
        }
    }

    /// The next token's text and whether it holds a byte that no word may hold.
    fn taken(&self) -> (&'a [u8], bool) {
        let text = self
            .text
            .get(self.token.start..self.token.end)
            .unwrap_or_default();
        (text, text.contains(&0))
    }

    /// Takes the next token as a word.
    fn word(&mut self) -> Parsed<Word> {
        if self.token.end - self.token.start > MAX_WORD {
            return Err(self.oversized("word"));
        }
        let (text, broken) = self.taken();
        if broken {
            // `apparmor_parser` reads such a word up to the byte only.
            return Err(self.error(
                "nul-byte",
                self.here(),
                "a word holds a NUL byte",
                "remove it: no name or path can hold one",
            ));
        }
        let word = Located {
            value: text.to_vec(),
            span: self.here(),
        };
        self.advance();
        Ok(word)
    }

    fn oversized(&mut self, what: &str) -> Failed {
        self.error(
            "too-long",
            self.here(),
            format!("a {what} of more than {MAX_WORD} bytes, which no parser reads"),
            "shorten it, or split it",
        )
    }

    /// Takes a token of a kind as a word, if it is next.
    fn word_if(&mut self, is_one: impl Fn(TokenKind) -> bool) -> Parsed<Option<Word>> {
        if is_one(self.token.kind) {
            self.word().map(Some)
        } else {
            Ok(None)
        }
    }

    /// Takes a token as a word that must be next.
    fn expect_word(&mut self, is_one: impl Fn(TokenKind) -> bool, expected: &str) -> Parsed<Word> {
        match self.word_if(is_one)? {
            Some(word) => Ok(word),
            None => Err(self.unexpected(expected)),
        }
    }

    /// Skips a token if it is next.
    fn skip(&mut self, kind: TokenKind) -> bool {
        let found = self.token.kind == kind;
        if found {
            self.advance();
        }
        found
    }

    /// Skips a token that must be next.
    fn expect(&mut self, kind: TokenKind, expected: &str) -> Parsed<()> {
        if self.skip(kind) {
            Ok(())
        } else {
            Err(self.unexpected(expected))
        }
    }

    /// Where the next token stands.
    fn here(&self) -> Span {
        self.span(self.token.start, self.token.end)
    }

    fn span(&self, start: usize, end: usize) -> Span {
        let offset = |offset| u32::try_from(offset).unwrap_or(u32::MAX);
        Span {
            file: self.file,
            start: offset(start),
            end: offset(end),
        }
    }

    /// Tells an error.
    fn error(
        &mut self,
        code: &'static str,
        span: Span,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Failed {
        self.diagnostics
            .push(Diagnostic::error(code, span, message).help(help));
        if self.diagnostics.len() >= MAX_DIAGNOSTICS {
            self.stop();
        }
        Failed
    }

    /// Reads no further.
    fn stop(&mut self) {
        self.stopped = true;
        self.lexer.restart(self.text.len());
        self.token = self.lexer.token();
    }
}
