//! What is said about a token that cannot stand where it does, and where reading goes on behind it.

use super::{Failed, Parser, TokenKind};
use crate::apparmor::lexer::Mode;

impl Parser<'_> {
    /// Tells that something else should stand here.
    pub(super) fn unexpected(&mut self, expected: &str) -> Failed {
        let here = self.here();
        let (text, _) = self.taken();
        match self.token.kind {
            TokenKind::Unexpected => self.unexpected_byte(text, expected),
            TokenKind::Include { .. } => self.include_inside(),
            TokenKind::End => self.error(
                "syntax",
                here,
                format!("expected {expected}, and the file ends"),
                "complete the statement",
            ),
            _ => self.error(
                "syntax",
                here,
                format!("expected {expected}, found `{}`", shown(text)),
                help(self.token.kind, expected),
            ),
        }
    }

    /// An include between the words of a statement. `apparmor_parser` puts the file's words in its place, which may as well be
    /// half of a block; what stands where could not be told from a tree of each file then.
    fn include_inside(&mut self) -> Failed {
        self.error(
            "include-inside-statement",
            self.here(),
            "an include in the middle of a statement: apparmor_parser takes it, and armorgate does not",
            "include a file of whole rules, or write the words here; a variable can hold parts of paths",
        )
    }

    /// A byte that begins no token here.
    fn unexpected_byte(&mut self, text: &[u8], expected: &str) -> Failed {
        let here = self.here();
        let mode = self.lexer.mode();
        match text {
            b"\"" if matches!(mode, Mode::Start) && self.closes() => self.error(
                "syntax",
                here,
                format!("expected {expected}, found a quoted word that is no path"),
                "begin the path with `/`, or put `profile` in front of a name",
            ),
            b"\"" => self.error(
                "unterminated-quote",
                here,
                "this quote is never closed",
                "add a `\"`",
            ),
            b"#" => self.error(
                "unterminated-comment",
                here,
                "a comment on the last line, and the line does not end",
                "end the file with a newline",
            ),
            b"," if matches!(mode, Mode::Assignment | Mode::AssignedExpression) => self.error(
                "comma-after-assignment",
                here,
                "an assignment takes no comma",
                "remove it; spaces separate values",
            ),
            b"\r" => self.error(
                "carriage-return",
                here,
                "a carriage return cannot stand here",
                "end lines with a newline only",
            ),
            _ => self.error(
                "unexpected-character",
                here,
                format!("expected {expected}, found `{}`", shown(text)),
                match mode {
                    Mode::Name | Mode::NameOnLine => {
                        "write the name right behind, on the same line"
                    }
                    Mode::Identity => "write `+identities=( … )`",
                    Mode::Userns => "write `userns,` or `userns create,`",
                    _ => "quote or escape it if it belongs to a word",
                },
            ),
        }
    }

    /// Whether another quote follows the one that is next.
    fn closes(&self) -> bool {
        let rest = self.text.get(self.token.end..).unwrap_or_default();
        rest.iter()
            .find(|byte| matches!(byte, b'"' | 0))
            .is_some_and(|&byte| byte == b'"')
    }

    /// Takes the comma that ends a rule.
    pub(super) fn comma(&mut self) -> super::Parsed<()> {
        if self.skip(TokenKind::Comma) {
            return Ok(());
        }
        if matches!(
            self.token.kind,
            TokenKind::ConditionName | TokenKind::GroupName | TokenKind::Unexpected
        ) {
            return Err(self.unexpected("`,`"));
        }
        let between = self.text.get(self.last_end..self.token.start);
        if matches!(self.token.kind, TokenKind::Include { .. })
            && between.is_some_and(|between| !between.contains(&b'\n'))
        {
            return Err(self.include_inside());
        }
        let end = self.span(self.last_end.saturating_sub(1), self.last_end);
        let (text, _) = self.taken();
        let message = if text.is_empty() {
            "expected `,`, and the file ends".to_owned()
        } else {
            format!("expected `,` in front of `{}`", shown(text))
        };
        let help = if text.ends_with(b"\r") {
            "lines end with a carriage return, which belongs to words here: end them with a newline only"
        } else {
            "end the rule with a comma"
        };
        Err(self.error("missing-comma", end, message, help))
    }

    /// Goes on behind a statement that could not be read, given where it began.
    pub(super) fn recover(&mut self, start: usize) {
        if self.token.kind == TokenKind::End {
            return;
        }
        let between = self
            .text
            .get(self.last_end..self.token.start)
            .unwrap_or_default();
        let from = self.token.start;
        if from > start && between.contains(&b'\n') && self.token.kind != TokenKind::Unexpected {
            // What does not fit on a new line is likely the next statement.
            self.resume(from);
            return;
        }
        self.resume(statement_end(self.text, from));
        if self.token.kind == TokenKind::Open {
            // The block of a head that could not be read.
            let _ = self.block();
        }
    }

    fn resume(&mut self, at: usize) {
        self.lexer.restart(at);
        self.token.end = at;
        self.advance();
    }
}

/// Behind the comma that ends a statement, or at the brace that opens or closes a block.
fn statement_end(text: &[u8], from: usize) -> usize {
    let is_space = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_whitespace);
    let mut at = from;
    while let Some(&byte) = text.get(at) {
        let rest = text.get(at + 1..).unwrap_or_default();
        let after_space = is_space(at.checked_sub(1).and_then(|before| text.get(before)));
        at += match byte {
            b',' if is_space(rest.first()) => return at + 1,
            b'{' if is_space(rest.first()) => return at,
            b'}' if after_space => return at,
            b'#' if after_space => 1 + rest.iter().take_while(|&&byte| byte != b'\n').count(),
            // A quote that its line does not close is skipped with the line, so that no byte is looked at again.
            b'"' => {
                2 + rest
                    .iter()
                    .take_while(|&&byte| byte != b'"' && byte != b'\n')
                    .count()
            }
            _ => 1,
        };
    }
    text.len()
}

/// What to do about a token that does not fit.
fn help(kind: TokenKind, expected: &str) -> &'static str {
    match kind {
        TokenKind::GroupName => "only a condition with a single value can stand here: `peer=NAME`",
        TokenKind::ConditionName => {
            "conditions stand in front of paths, and behind the families of sockets"
        }
        TokenKind::Comma => "complete the statement in front of the comma",
        _ if expected == "permissions" => {
            "permissions are letters of `rwalkm` and `ix`, `px`, `cx`, `ux` and their kin"
        }
        _ => "see apparmor.d(5) for the statement's form",
    }
}

/// A piece of a hostile text, made fit for a message.
pub(super) fn shown(text: &[u8]) -> String {
    /// LIMIT: bytes of a token that are shown.
    const MAX: usize = 40;
    let cut = text.get(..MAX).unwrap_or(text);
    let mut shown = String::from_utf8_lossy(cut).escape_debug().to_string();
    if cut.len() < text.len() {
        shown.push('…');
    }
    shown
}
