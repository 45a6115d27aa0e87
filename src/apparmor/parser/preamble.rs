//! Statements that stand outside of profiles: preamble and profiles.

use super::{Parsed, Parser, TokenKind};
use crate::apparmor::{
    ast::{Assignment, AssignmentOperator, IncludePath, ProfileKeyword, Statement},
    lexer::{Keyword, Mode},
};

impl Parser<'_> {
    /// A statement outside of all profiles.
    pub(super) fn top_statement(&mut self) -> Parsed<Statement> {
        let here = self.here();
        let preamble = match self.token.kind {
            TokenKind::Keyword(Keyword::Abi) => self.abi(),
            TokenKind::Keyword(Keyword::Alias) => self.alias(),
            TokenKind::SetVariable => self.assignment(),
            TokenKind::BooleanVariable => self.boolean_assignment(),
            TokenKind::Include { hash, if_exists } => return self.include(hash, if_exists),
            TokenKind::Profile => return self.declaration(ProfileKeyword::Profile),
            TokenKind::Hat => return self.declaration(ProfileKeyword::Hat),
            TokenKind::Caret => return self.declaration(ProfileKeyword::Caret),
            TokenKind::Word => return self.declaration(ProfileKeyword::None),
            TokenKind::Keyword(Keyword::If) => {
                return Err(self.error(
                    "misplaced-condition",
                    here,
                    "`if` cannot stand outside of a profile",
                    "move it into the profiles it is about",
                ));
            }
            TokenKind::Keyword(_)
            | TokenKind::PermissionLetters
            | TokenKind::Priority
            | TokenKind::Open => return Err(self.rule_outside()),
            _ => return Err(self.unexpected("a profile")),
        }?;
        if self.declared {
            let _ = self.error(
                "misplaced-preamble",
                here,
                "this must stand in front of the first profile",
                "move it to the top of the file",
            );
        }
        Ok(preamble)
    }

    pub(super) fn rule_outside(&mut self) -> super::Failed {
        self.error(
            "rule-outside-profile",
            self.here(),
            "a rule cannot stand outside of a profile",
            "move it into one: `profile NAME { … }`",
        )
    }

    fn declaration(&mut self, keyword: ProfileKeyword) -> Parsed<Statement> {
        let statement = self.profile(keyword)?;
        self.declared = true;
        Ok(statement)
    }

    /// `abi <abi/4.0>,`
    pub(super) fn abi(&mut self) -> Parsed<Statement> {
        self.advance();
        let path = self.include_path("the abi's path")?;
        self.comma()?;
        Ok(Statement::Abi(path))
    }

    /// `include if exists <local/web>`
    pub(super) fn include(&mut self, hash: bool, if_exists: bool) -> Parsed<Statement> {
        self.advance();
        let path = self.include_path("a path to include")?;
        if self.token.kind == TokenKind::Comma {
            let _ = self.error(
                "comma-after-include",
                self.here(),
                "an include takes no comma",
                "remove it",
            );
            self.advance();
        }
        Ok(Statement::Include {
            if_exists,
            hash,
            path,
        })
    }

    fn include_path(&mut self, expected: &str) -> Parsed<IncludePath> {
        let searched = self.token.kind == TokenKind::SearchedPath;
        let mut path = self.expect_word(
            |kind| matches!(kind, TokenKind::SearchedPath | TokenKind::Value),
            expected,
        )?;
        if searched {
            path.value = between_brackets(&path.value).to_vec();
        }
        if matches!(path.value.as_slice(), [] | b"\"\"") {
            return Err(self.error(
                "syntax",
                path.span,
                "an empty path",
                "name the file to include",
            ));
        }
        Ok(IncludePath { searched, path })
    }

    /// `alias /home/ -> /mnt/users/,`
    fn alias(&mut self) -> Parsed<Statement> {
        self.advance();
        let from = self.expect_word(is_word, "the path that gets another name")?;
        self.expect(TokenKind::Arrow, "`->`")?;
        let to = self.expect_word(is_word, "the other name")?;
        self.comma()?;
        Ok(Statement::Alias { from, to })
    }

    /// `@{HOME} = /home/*/ /root/`
    fn assignment(&mut self) -> Parsed<Statement> {
        let variable = self.word()?;
        let Some(operator) = self.operator() else {
            return Err(match self.token.kind {
                TokenKind::PermissionLetters => self.rule_outside(),
                _ => self.unexpected("`=`, `+=`, `?=` or `:=`"),
            });
        };
        let mut values = vec![self.expect_word(is_value, "a value on the same line")?];
        while let Some(value) = self.word_if(is_value)? {
            values.push(value);
        }
        if self.token.kind == TokenKind::Unexpected && self.lexer.mode() == Mode::Assignment {
            return Err(self.unexpected("a value"));
        }
        Ok(Statement::Assignment(Assignment {
            variable,
            operator,
            values,
        }))
    }

    /// `$debug = true`
    fn boolean_assignment(&mut self) -> Parsed<Statement> {
        let variable = self.word()?;
        let place = self.here();
        let Some(operator) = self.operator() else {
            return Err(self.unexpected("`=`, `?=` or `:=`"));
        };
        let value = self.expression()?;
        if self.lexer.mode() == Mode::AssignedExpression && self.token.kind != TokenKind::End {
            return Err(self.unexpected("the end of the line"));
        }
        if operator == AssignmentOperator::Add {
            let _ = self.error(
                "add-to-boolean",
                place,
                "a boolean has one value, which nothing can be added to",
                "write `=` or `:=`",
            );
        }
        Ok(Statement::BooleanAssignment {
            variable,
            operator,
            value,
        })
    }

    /// Takes an assignment's operator, if it is next.
    pub(super) fn operator(&mut self) -> Option<AssignmentOperator> {
        let operator = match self.token.kind {
            TokenKind::Assign(operator) => operator,
            TokenKind::Equals => AssignmentOperator::Set,
            _ => return None,
        };
        self.advance();
        Some(operator)
    }
}

/// What stands between `<` and `>`, without the blanks around it.
fn between_brackets(path: &[u8]) -> &[u8] {
    let inner = path.strip_prefix(b"<").unwrap_or(path);
    inner.strip_suffix(b">").unwrap_or(inner).trim_ascii()
}

/// A name, path or label.
pub(super) fn is_word(kind: TokenKind) -> bool {
    kind == TokenKind::Word
}

/// A name, path or label, or a set variable alone.
pub(super) fn is_word_or_variable(kind: TokenKind) -> bool {
    matches!(kind, TokenKind::Word | TokenKind::SetVariable)
}

/// A value.
pub(super) fn is_value(kind: TokenKind) -> bool {
    kind == TokenKind::Value
}
