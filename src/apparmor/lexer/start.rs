//! The mode in which statements begin.

use super::{Found, Keyword, Lexer, Mode, TokenKind, UNEXPECTED, line, newline, scan, some};
use crate::apparmor::ast::AssignmentOperator;

impl Lexer<'_> {
    /// A token where a statement may begin, or in a rule without a mode of its own.
    pub(super) fn start(&mut self, text: &[u8]) -> Found {
        let &first = text.first()?;
        match first {
            b' ' | b'\t' => self.skip(scan::blanks(text)),
            b'\n' | b'\r' => match newline(text) {
                0 => UNEXPECTED,
                length => self.skip(length),
            },
            b'A'..=b'Z' | b'a'..=b'z' => self.start_word(text),
            b'/' | b'&' => some(TokenKind::Word, scan::label(text)),
            b'"' => some(TokenKind::Word, scan::quoted_label(text)),
            b',' => Some((TokenKind::Comma, 1)),
            b'{' => Some((TokenKind::Open, 1)),
            b'}' => Some((TokenKind::Close, 1)),
            b'#' => self.comment_or_include(text),
            b'@' => match (scan::variable(text), scan::label(text)) {
                (0, 0) => UNEXPECTED,
                (variable, label) if label > variable => Some((TokenKind::Word, label)),
                (variable, _) => Some((TokenKind::SetVariable, variable)),
            },
            b'$' => self.boolean_variable(text),
            b'^' => Some(self.enter(Mode::Name, TokenKind::Caret, 1)),
            b'(' => Some(self.enter(Mode::List, TokenKind::OpenParenthesis, 1)),
            b'=' => Some(self.enter(Mode::Assignment, TokenKind::Equals, 1)),
            b'-' if text.starts_with(b"->") => {
                Some(self.enter(Mode::NameAfterBlanks, TokenKind::Arrow, 2))
            }
            b'+' if !text.starts_with(b"+=") => {
                Some(self.enter(Mode::Identity, TokenKind::Plus, 1))
            }
            b'+' | b'?' | b':' => match (assignment(text), scan::label(text)) {
                (Some(operator), _) => {
                    Some(self.enter(Mode::Assignment, TokenKind::Assign(operator), 2))
                }
                (None, 0) if first == b':' => Some((TokenKind::Colon, 1)),
                (None, label) => some(TokenKind::Word, label),
            },
            _ => UNEXPECTED,
        }
    }

    pub(super) fn enter(
        &mut self,
        mode: Mode,
        kind: TokenKind,
        length: usize,
    ) -> (TokenKind, usize) {
        self.push(mode);
        (kind, length)
    }

    /// `# comment` to before the end of the line, `#include` to before its path.
    fn comment_or_include(&mut self, text: &[u8]) -> Found {
        // A line must end for the rest of it to be a comment.
        let Some(length) = line(text) else {
            return UNEXPECTED;
        };
        let Some(rest) = text.strip_prefix(b"#include") else {
            return Some((TokenKind::Comment, length));
        };
        let if_exists = scan::if_exists(rest);
        let kind = TokenKind::Include {
            hash: true,
            if_exists: if_exists > 0,
        };
        Some(self.enter(Mode::Include, kind, b"#include".len() + if_exists))
    }

    fn boolean_variable(&mut self, text: &[u8]) -> Found {
        let length = scan::variable(text);
        if length == 0 {
            return UNEXPECTED;
        }
        let rest = text.get(length..).unwrap_or_default();
        let rest = rest.get(scan::blanks(rest)..).unwrap_or_default();
        if assignment(rest).is_some() || rest.starts_with(b"=") {
            self.push(Mode::AssignedExpressionStart);
        }
        Some((TokenKind::BooleanVariable, length))
    }

    /// A word that begins with a letter: the name of a condition, permissions, a keyword, or a name.
    fn start_word(&mut self, text: &[u8]) -> Found {
        let length = scan::name(text);
        let (word, rest) = text.split_at_checked(length)?;
        if let Some(found) = self.condition_name(word, rest) {
            return Some(found);
        }
        let next = rest.first().copied();
        match word {
            b"include" if matches!(next, Some(b' ' | b'\t')) => {
                let if_exists = scan::if_exists(rest);
                let kind = TokenKind::Include {
                    hash: false,
                    if_exists: if_exists > 0,
                };
                return Some(self.enter(Mode::Include, kind, length + if_exists));
            }
            b"all" => return Some((TokenKind::Keyword(Keyword::All), length)),
            b"hat" => return Some(self.enter(Mode::NameOnLine, TokenKind::Hat, length)),
            b"profile" => return Some(self.enter(Mode::NameOnLine, TokenKind::Profile, length)),
            _ => {}
        }
        if next.is_some_and(scan::is_space_or_comma) && scan::is_permissions(word) {
            return Some((TokenKind::PermissionLetters, length));
        }
        let kind = TokenKind::of_word(word);
        if let TokenKind::Keyword(keyword) = kind
            && let Some(mode) = mode_of(keyword)
        {
            self.push(mode);
        }
        Some((kind, length))
    }

    /// What a word is when `=` or `in (` follows.
    pub(super) fn condition_name(&mut self, word: &[u8], rest: &[u8]) -> Found {
        let blanks = scan::blanks(rest);
        let after = rest.get(blanks..)?;
        if let Some(value) = after.strip_prefix(b"=") {
            let value = value.get(scan::blanks(value)..)?;
            let (mode, kind) = match word {
                b"peer" | b"xattrs" if value.starts_with(b"(") => {
                    (Mode::GroupStart, TokenKind::GroupName)
                }
                b"identities" => (Mode::Condition, TokenKind::Identities),
                b"priority" => (Mode::Integer, TokenKind::Priority),
                b"flags" => (Mode::Condition, TokenKind::Flags),
                _ => (Mode::Condition, TokenKind::ConditionName),
            };
            return Some(self.enter(mode, kind, word.len()));
        }
        let list = after.strip_prefix(b"in")?;
        let list = list.get(scan::blanks(list)..)?;
        (blanks > 0 && list.starts_with(b"("))
            .then(|| self.enter(Mode::Condition, TokenKind::ConditionName, word.len()))
    }
}

/// The mode of the rest of a rule.
fn mode_of(keyword: Keyword) -> Option<Mode> {
    Some(match keyword {
        Keyword::Abi => Mode::Abi,
        Keyword::ChangeProfile => Mode::ChangeProfile,
        Keyword::Dbus => Mode::Dbus,
        Keyword::If => Mode::Expression,
        Keyword::Mount | Keyword::Remount | Keyword::Umount => Mode::Mount,
        Keyword::Mqueue => Mode::Mqueue,
        Keyword::Network => Mode::Network,
        Keyword::Ptrace => Mode::Ptrace,
        Keyword::Rlimit => Mode::Rlimit,
        Keyword::Signal => Mode::Signal,
        Keyword::Unix => Mode::Unix,
        Keyword::Userns => Mode::Userns,
        _ => return None,
    })
}

/// An assignment of two bytes.
pub(super) fn assignment(text: &[u8]) -> Option<AssignmentOperator> {
    match text {
        [b'+', b'=', ..] => Some(AssignmentOperator::Add),
        [b'?', b'=', ..] => Some(AssignmentOperator::Default),
        [b':', b'=', ..] => Some(AssignmentOperator::Override),
        _ => None,
    }
}
