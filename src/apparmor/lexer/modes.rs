//! The modes in which the rest of a statement is cut.

use super::{
    Found, Lexer, Mode, TokenKind, UNEXPECTED, line, newline, scan, some, start::assignment,
};
use crate::apparmor::ast::Comparison;

impl Lexer<'_> {
    /// Finds a token in the current mode, or skips what means nothing in it.
    pub(super) fn find(&mut self, text: &[u8]) -> Found {
        let mode = self.mode();
        if mode == Mode::Start {
            return self.start(text);
        }
        let blanks = scan::blanks(text);
        if blanks > 0 && !matches!(mode, Mode::Name | Mode::Value) {
            return self.skip(blanks);
        }
        let newline = newline(text);
        if newline > 0 {
            match mode {
                Mode::Assignment | Mode::AssignedExpression => {
                    self.pop();
                    return self.skip(newline);
                }
                Mode::Name | Mode::NameOnLine | Mode::Value | Mode::Identity | Mode::Integer => {}
                _ => return self.skip(newline),
            }
        }
        match mode {
            Mode::Abi | Mode::Include => self.path(text),
            Mode::Assignment => self.assigned(text),
            Mode::AssignedExpression | Mode::Expression => self.expression(text),
            Mode::AssignedExpressionStart => self.expression_start(text),
            Mode::ChangeProfile => self.change_profile(text),
            Mode::Condition => self.condition(text),
            Mode::Group => self.group(text),
            Mode::GroupStart => match text.first() {
                Some(b'=') => Some((TokenKind::Equals, 1)),
                Some(b'(') => Some(self.turn(Mode::Group, TokenKind::OpenParenthesis, 1)),
                _ => UNEXPECTED,
            },
            Mode::GroupValue => self.leave(TokenKind::Value, list_value(text)),
            Mode::GroupValues if text.starts_with(b")") => {
                self.pop();
                self.skip(1)
            }
            Mode::GroupValues => some(TokenKind::Value, list_value(text)),
            Mode::Identity => self.identity(text),
            Mode::Integer => self.integer(text),
            Mode::List => self.list(text),
            Mode::Name | Mode::NameAfterBlanks | Mode::NameOnLine => {
                self.leave(TokenKind::Word, word(text))
            }
            Mode::Value => self.leave(TokenKind::Value, word(text)),
            Mode::Rlimit => self.rlimit(text),
            Mode::Userns => self.userns(text),
            Mode::Dbus
            | Mode::Mount
            | Mode::Mqueue
            | Mode::Network
            | Mode::Ptrace
            | Mode::Signal
            | Mode::Unix => self.conditional(mode, text),
            Mode::Start => None,
        }
    }

    /// A token that ends its mode.
    fn leave(&mut self, kind: TokenKind, length: usize) -> Found {
        if length == 0 {
            return UNEXPECTED;
        }
        self.pop();
        Some((kind, length))
    }

    /// A token that another mode takes the place of this one after.
    fn turn(&mut self, mode: Mode, kind: TokenKind, length: usize) -> (TokenKind, usize) {
        self.replace(mode);
        (kind, length)
    }

    /// The path of an include or abi statement.
    fn path(&mut self, text: &[u8]) -> Found {
        let abi = self.mode() == Mode::Abi;
        let (kind, length) = match text {
            [b'<', inner @ ..] => (TokenKind::SearchedPath, searched_path(inner)),
            [b'"', ..] => (TokenKind::Value, scan::quoted(text)),
            _ => (TokenKind::Value, scan::path(text)),
        };
        match (abi, length) {
            (true, 0) if text.starts_with(b",") => self.leave(TokenKind::Comma, 1),
            (true, _) => some(kind, length),
            (false, _) => self.leave(kind, length),
        }
    }

    /// The values of a set variable.
    fn assigned(&mut self, text: &[u8]) -> Found {
        match text {
            [b'#', ..] => {
                let length = line(text);
                self.leave(TokenKind::Comment, length.unwrap_or(0))
            }
            [b'\\', b'\n', ..] => self.skip(2),
            _ => some(TokenKind::Value, word(text)),
        }
    }

    fn expression_start(&mut self, text: &[u8]) -> Found {
        match assignment(text) {
            Some(operator) => {
                Some(self.turn(Mode::AssignedExpression, TokenKind::Assign(operator), 2))
            }
            None if text.starts_with(b"=") => {
                Some(self.turn(Mode::AssignedExpression, TokenKind::Equals, 1))
            }
            None => UNEXPECTED,
        }
    }

    fn expression(&mut self, text: &[u8]) -> Found {
        let of_line = self.mode() == Mode::AssignedExpression;
        match text {
            [b'(', ..] => return Some((TokenKind::OpenParenthesis, 1)),
            [b')', ..] => return Some((TokenKind::CloseParenthesis, 1)),
            [b'=', b'=', ..] => return Some((TokenKind::Compare(Comparison::Equal), 2)),
            [b'!', b'=', ..] => return Some((TokenKind::Compare(Comparison::NotEqual), 2)),
            [b'>', b'=', ..] => return Some((TokenKind::Compare(Comparison::GreaterOrEqual), 2)),
            [b'<', b'=', ..] => return Some((TokenKind::Compare(Comparison::LessOrEqual), 2)),
            [b'\\', b'\n', ..] if of_line => return self.skip(2),
            [b'#', ..] if of_line => {
                let length = line(text);
                return self.leave(TokenKind::Comment, length.unwrap_or(0));
            }
            _ => {}
        }
        let length = scan::bare(text)
            .max(scan::label(text))
            .max(scan::quoted(text));
        let Some((word, _)) = text.split_at_checked(length) else {
            return UNEXPECTED;
        };
        let kind = match word {
            [] => return UNEXPECTED,
            b"{" if !of_line => return self.leave(TokenKind::Open, 1),
            b"and" => TokenKind::And,
            b"defined" => TokenKind::Defined,
            b"in" => TokenKind::Compare(Comparison::In),
            b"not" => TokenKind::Not,
            b"or" => TokenKind::Or,
            b">" => TokenKind::Compare(Comparison::Greater),
            b"<" => TokenKind::Compare(Comparison::Less),
            [b'@', ..] if scan::variable(text) == length => TokenKind::SetVariable,
            [b'$', ..] if scan::variable(text) == length => TokenKind::BooleanVariable,
            _ => TokenKind::Word,
        };
        Some((kind, length))
    }

    fn change_profile(&mut self, text: &[u8]) -> Found {
        let length = word(text);
        match text.split_at_checked(length) {
            Some((b"->", _)) => Some(self.enter(Mode::NameAfterBlanks, TokenKind::Arrow, 2)),
            Some((b"safe" | b"unsafe", _)) => {
                Some((TokenKind::of_word(text.get(..length)?), length))
            }
            Some(([], [b',', ..])) => self.leave(TokenKind::Comma, 1),
            _ => some(TokenKind::Word, length),
        }
    }

    /// Behind a condition's name: `=value`, `=(…)`, `in (…)`.
    fn condition(&mut self, text: &[u8]) -> Found {
        match text {
            [b'=', rest @ ..] => {
                let value = rest.get(scan::blanks(rest)..).unwrap_or_default();
                match value.first() {
                    None | Some(b'(' | b'\n') => Some((TokenKind::Equals, 1)),
                    Some(_) => {
                        let length = text.len() - value.len();
                        Some(self.turn(Mode::Value, TokenKind::Equals, length))
                    }
                }
            }
            [b'(', ..] => Some(self.turn(Mode::List, TokenKind::OpenParenthesis, 1)),
            [b'i', b'n', ..] => Some((TokenKind::In, 2)),
            _ => UNEXPECTED,
        }
    }

    fn group(&mut self, text: &[u8]) -> Found {
        match text {
            [b')', ..] => self.leave(TokenKind::CloseParenthesis, 1),
            [b',', ..] => self.skip(1),
            [b'=', rest @ ..] => {
                let value = rest.get(scan::blanks(rest)..).unwrap_or_default();
                if value.starts_with(b"(") {
                    let length = text.len() - value.len() + 1;
                    Some(self.enter(Mode::GroupValues, TokenKind::Equals, length))
                } else {
                    Some(self.enter(Mode::GroupValue, TokenKind::Equals, 1))
                }
            }
            _ => some(TokenKind::ConditionName, scan::bare(text)),
        }
    }

    fn list(&mut self, text: &[u8]) -> Found {
        match text {
            [b')', ..] => self.leave(TokenKind::CloseParenthesis, 1),
            [b',', ..] => self.skip(1),
            [b'"', ..] => some(TokenKind::Value, scan::quoted(text)),
            _ => some(TokenKind::Value, scan::list_value(text)),
        }
    }

    fn identity(&mut self, text: &[u8]) -> Found {
        let length = scan::identity(text);
        let (word, rest) = text.split_at_checked(length)?;
        let after = rest.get(scan::blanks(rest)..).unwrap_or_default();
        if word == b"identities" && after.starts_with(b"=") {
            return Some(self.turn(Mode::Condition, TokenKind::Identities, length));
        }
        self.leave(TokenKind::Value, length.max(scan::quoted(text)))
    }

    fn integer(&mut self, text: &[u8]) -> Found {
        let digits = |text: &[u8]| scan::count(text, |byte| byte.is_ascii_digit());
        let length = match text {
            [b'=', ..] => return Some((TokenKind::Equals, 1)),
            [b'+' | b'-', rest @ ..] => match digits(rest) {
                0 => 0,
                length => length + 1,
            },
            _ => digits(text),
        };
        self.leave(TokenKind::Value, length)
    }

    fn rlimit(&mut self, text: &[u8]) -> Found {
        let digits = |text: &[u8]| scan::count(text, |byte| byte.is_ascii_digit());
        match text {
            [b',', ..] => self.leave(TokenKind::Comma, 1),
            [b'<', b'=', ..] => Some((TokenKind::LessOrEqual, 2)),
            [b'-', rest @ ..] if digits(rest) > 0 => Some((TokenKind::Value, digits(rest) + 1)),
            [b'0'..=b'9', ..] => Some((TokenKind::Value, digits(text))),
            _ => {
                let length = scan::count(text, |byte| byte.is_ascii_alphabetic() || byte == b'_');
                let kind = if text.get(..length) == Some(b"infinity") {
                    TokenKind::Value
                } else {
                    TokenKind::Word
                };
                some(kind, length)
            }
        }
    }

    fn userns(&mut self, text: &[u8]) -> Found {
        match text {
            [b',', ..] => self.leave(TokenKind::Comma, 1),
            _ if text.starts_with(b"create") => Some((TokenKind::Permission, b"create".len())),
            _ => UNEXPECTED,
        }
    }

    /// A rule of permissions, names and conditions.
    fn conditional(&mut self, mode: Mode, text: &[u8]) -> Found {
        match text {
            [b',', ..] => return self.leave(TokenKind::Comma, 1),
            [b'(', ..] if mode != Mode::Mount => {
                return Some(self.enter(Mode::List, TokenKind::OpenParenthesis, 1));
            }
            [b'"', ..] => return some(TokenKind::Word, scan::quoted(text)),
            _ => {}
        }
        let name = scan::name(text);
        if name > 0
            && let Some((word, rest)) = text.split_at_checked(name)
            && let Some(found) = self.condition_name(word, rest)
        {
            return Some(found);
        }
        let length = scan::bare(text).max(scan::label(text));
        let (word, _) = text.split_at_checked(length)?;
        if mode == Mode::Mount {
            return if word == b"->" {
                Some((TokenKind::Arrow, length))
            } else {
                some(TokenKind::Word, length)
            };
        }
        if is_permission(mode, word) {
            return Some((TokenKind::Permission, length));
        }
        let letters = scan::count(text, |byte| matches!(byte, b'r' | b'w'));
        let follows = text.get(letters).copied();
        if matches!(text.get(..letters), Some(b"r" | b"w" | b"rw" | b"wr"))
            && follows.is_some_and(scan::is_space_or_comma)
            && length <= letters + 1
        {
            return Some((TokenKind::PermissionLetters, letters));
        }
        some(TokenKind::Word, length)
    }
}

/// Whether a rule's words know a permission of the name.
fn is_permission(mode: Mode, word: &[u8]) -> bool {
    match word {
        b"read" | b"write" => true,
        b"send" | b"receive" => {
            matches!(mode, Mode::Dbus | Mode::Network | Mode::Signal | Mode::Unix)
        }
        b"bind" => matches!(mode, Mode::Dbus | Mode::Network | Mode::Unix),
        b"eavesdrop" => mode == Mode::Dbus,
        b"create" | b"getattr" | b"setattr" => {
            matches!(mode, Mode::Mqueue | Mode::Network | Mode::Unix)
        }
        b"delete" | b"open" => mode == Mode::Mqueue,
        b"accept" | b"connect" | b"getopt" | b"listen" | b"setopt" | b"shutdown" => {
            matches!(mode, Mode::Network | Mode::Unix)
        }
        b"readby" | b"trace" | b"tracedby" => mode == Mode::Ptrace,
        _ => false,
    }
}

fn word(text: &[u8]) -> usize {
    scan::word(text).max(scan::quoted(text))
}

fn list_value(text: &[u8]) -> usize {
    scan::list_value(text).max(match scan::quoted(text) {
        // Nothing in quotes is no value here.
        2 => 0,
        length => length,
    })
}

/// The length of `<path>` or `<"path">`, given what follows the `<`.
fn searched_path(inner: &[u8]) -> usize {
    let quoted = scan::quoted(inner);
    let length = if quoted > 0 {
        quoted
    } else {
        scan::count(inner, |byte| {
            !matches!(byte, b'"' | b'>' | b'\t' | b'\r' | b'\n')
        })
    };
    match inner.get(length) {
        Some(b'>') if length > 0 => length + 2,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::{Lexer, TokenKind};

    /// The tokens, each with its text.
    fn tokens(text: &str) -> Vec<String> {
        let mut lexer = Lexer::new(text.as_bytes());
        let mut found = Vec::new();
        loop {
            let token = lexer.token();
            if token.kind == TokenKind::End {
                return found;
            }
            let kind = format!("{:?}", token.kind);
            let kind = kind.split([' ', '(']).next().unwrap_or_default();
            let token = text.get(token.start..token.end).unwrap_or_default();
            found.push(format!("{kind}:{token}"));
        }
    }

    #[test]
    fn words_depend_on_what_stands_in_front() {
        assert_eq!(
            tokens("profile deny /bin/{a,b} {\n deny /x,y rw,\n}"),
            [
                "Profile:profile",
                "Word:deny",
                "Word:/bin/{a,b}",
                "Open:{",
                "Keyword:deny",
                "Word:/x,y",
                "PermissionLetters:rw",
                "Comma:,",
                "Close:}"
            ]
        );
        assert_eq!(
            tokens("mount options=(ro, bind) fstype=ext4 /a->b -> /c,"),
            [
                "Keyword:mount",
                "ConditionName:options",
                "Equals:=",
                "OpenParenthesis:(",
                "Value:ro",
                "Value:bind",
                "CloseParenthesis:)",
                "ConditionName:fstype",
                "Equals:=",
                "Value:ext4",
                "Word:/a->b",
                "Arrow:->",
                "Word:/c",
                "Comma:,"
            ]
        );
        assert_eq!(
            tokens("dbus send peer=(name=a label=(\"b c\")),"),
            [
                "Keyword:dbus",
                "Permission:send",
                "GroupName:peer",
                "Equals:=",
                "OpenParenthesis:(",
                "ConditionName:name",
                "Equals:=",
                "Value:a",
                "ConditionName:label",
                "Equals:=(",
                "Value:\"b c\"",
                "CloseParenthesis:)",
                "Comma:,"
            ]
        );
    }

    #[test]
    fn lines_end_assignments_and_comments() {
        assert_eq!(
            tokens("@{A} = b,c \\\n d # e\n$f = not true\n#include <g h>\n# i\n"),
            [
                "SetVariable:@{A}",
                "Equals:=",
                "Value:b,c",
                "Value:d",
                "Comment:# e",
                "BooleanVariable:$f",
                "Equals:=",
                "Not:not",
                "Word:true",
                "Include:#include",
                "SearchedPath:<g h>",
                "Comment:# i"
            ]
        );
        assert_eq!(tokens("# a")[0], "Unexpected:#");
    }
}
