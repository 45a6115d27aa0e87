//! Conditions, their groups, and lists in parentheses.

use super::{Parsed, Parser, TokenKind, preamble::is_value, preamble::is_word};
use crate::apparmor::{
    ast::{Condition, ConditionOperator, Conditional, Word},
    lexer::Keyword,
};

/// `peer=( … )`, `xattrs=( … )`
pub(super) struct Group {
    pub(super) name: Word,
    pub(super) conditions: Vec<Condition>,
}

/// What a rule of permissions and conditions may hold besides them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Nothing.
    Conditions,
    /// `peer=( … )` or any other group; its permissions are keywords.
    IoUring,
    /// `peer=( … )`
    Peer,
    /// A family and a type, then `peer=( … )`
    Socket,
    /// A name at the end.
    Named,
}

impl Parser<'_> {
    /// The rest of a rule of permissions, words and conditions, behind its keyword.
    pub(super) fn conditional(&mut self, shape: Shape) -> Parsed<Conditional> {
        self.advance();
        let mut rule = Conditional {
            permissions: self.permissions(shape)?,
            ..Conditional::default()
        };
        while shape == Shape::Socket
            && rule.names.len() < 2
            && let Some(name) = self.word_if(is_word)?
        {
            rule.names.push(name);
        }
        rule.conditions = self.conditions()?;
        if !matches!(shape, Shape::Conditions | Shape::Named)
            && let Some(group) = self.group()?
        {
            if group.name.value != b"peer" && shape != Shape::IoUring {
                let _ = self.error(
                    "invalid-group",
                    group.name.span,
                    "this rule takes no `xattrs=( … )`",
                    "the other side's conditions stand in `peer=( … )`",
                );
            }
            rule.peer = Some(group.conditions);
        }
        if shape == Shape::Named {
            rule.names.extend(self.word_if(is_word)?);
        }
        self.comma()?;
        Ok(rule)
    }

    /// A permission, or those in parentheses.
    fn permissions(&mut self, shape: Shape) -> Parsed<Vec<Word>> {
        let is_permission = |kind| match kind {
            TokenKind::Permission
            | TokenKind::Keyword(Keyword::OverrideCreds | Keyword::Sqpoll) => true,
            TokenKind::PermissionLetters => shape != Shape::IoUring,
            _ => false,
        };
        if self.token.kind == TokenKind::OpenParenthesis {
            self.values(0)
        } else {
            Ok(self.word_if(is_permission)?.into_iter().collect())
        }
    }

    /// `name=value name=(a b) name in (a b)`, any number of them.
    pub(super) fn conditions(&mut self) -> Parsed<Vec<Condition>> {
        let mut conditions = Vec::new();
        while self.token.kind == TokenKind::ConditionName {
            conditions.push(self.condition()?);
        }
        Ok(conditions)
    }

    fn condition(&mut self) -> Parsed<Condition> {
        let name = self.word()?;
        let (operator, values) = match self.token.kind {
            TokenKind::Equals => {
                self.advance();
                let values = if self.token.kind == TokenKind::OpenParenthesis {
                    self.list()?
                } else {
                    vec![self.expect_word(is_value, "a value")?]
                };
                (ConditionOperator::Equals, values)
            }
            TokenKind::In => {
                self.advance();
                (ConditionOperator::In, self.list()?)
            }
            _ => (ConditionOperator::None, Vec::new()),
        };
        Ok(Condition {
            name,
            operator,
            values,
        })
    }

    /// `peer=( … )`, `xattrs=( … )`, if it is next.
    pub(super) fn group(&mut self) -> Parsed<Option<Group>> {
        let Some(name) = self.word_if(|kind| kind == TokenKind::GroupName)? else {
            return Ok(None);
        };
        self.expect(TokenKind::Equals, "`=`")?;
        self.expect(TokenKind::OpenParenthesis, "`(`")?;
        let conditions = self.conditions()?;
        self.expect(TokenKind::CloseParenthesis, "a condition or `)`")?;
        Ok(Some(Group { name, conditions }))
    }

    /// `(a b)`, one value at least.
    pub(super) fn list(&mut self) -> Parsed<Vec<Word>> {
        self.values(1)
    }

    fn values(&mut self, least: usize) -> Parsed<Vec<Word>> {
        self.expect(TokenKind::OpenParenthesis, "`(`")?;
        let mut values = Vec::new();
        while let Some(value) = self.word_if(is_value)? {
            values.push(value);
        }
        let expected = if values.len() < least {
            "a value"
        } else {
            "a value or `)`"
        };
        if values.len() < least || self.token.kind != TokenKind::CloseParenthesis {
            return Err(self.unexpected(expected));
        }
        self.advance();
        Ok(values)
    }
}
