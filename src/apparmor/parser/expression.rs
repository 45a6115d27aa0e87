//! What an `if` asks, and what a boolean variable gets.

use super::{MAX_DEPTH, Parsed, Parser, TokenKind, preamble::is_word_or_variable};
use crate::apparmor::{ast::Expression, source::Located};

/// LIMIT: operators of one expression. Its tree is walked by recursion, and leans to one side.
const MAX_OPERATORS: usize = 256;

impl Parser<'_> {
    /// `a and not (b or c)`
    pub(super) fn expression(&mut self) -> Parsed<Located<Expression>> {
        let mut operators = 0;
        self.any_of(&mut operators, 0)
    }

    /// `a or b`
    fn any_of(&mut self, operators: &mut usize, depth: usize) -> Parsed<Located<Expression>> {
        let mut left = self.all_of(operators, depth)?;
        while self.token.kind == TokenKind::Or {
            self.count(operators)?;
            self.advance();
            let right = self.all_of(operators, depth)?;
            left = both(left, right, Expression::Or);
        }
        Ok(left)
    }

    /// `a and b`
    fn all_of(&mut self, operators: &mut usize, depth: usize) -> Parsed<Located<Expression>> {
        let mut left = self.negated(operators, depth)?;
        while self.token.kind == TokenKind::And {
            self.count(operators)?;
            self.advance();
            let right = self.negated(operators, depth)?;
            left = both(left, right, Expression::And);
        }
        Ok(left)
    }

    /// `not a`, `(a or b)`, or a single condition
    fn negated(&mut self, operators: &mut usize, depth: usize) -> Parsed<Located<Expression>> {
        let start = self.token.start;
        let mut negations = Vec::new();
        while self.token.kind == TokenKind::Not {
            self.count(operators)?;
            negations.push(self.token.start);
            self.advance();
        }
        let mut inner = if self.token.kind == TokenKind::OpenParenthesis {
            if depth >= MAX_DEPTH {
                return Err(self.too_long());
            }
            self.advance();
            let inner = self.any_of(operators, depth + 1)?;
            self.expect(TokenKind::CloseParenthesis, "`)`")?;
            inner
        } else {
            self.single()?
        };
        for start in negations.into_iter().rev() {
            inner = Located {
                span: self.span(start, self.last_end),
                value: Expression::Not(Box::new(inner)),
            };
        }
        inner.span = self.span(start, self.last_end);
        Ok(inner)
    }

    /// `$debug`, `defined @{HOME}`, `@{n} >= 4`, `true`
    fn single(&mut self) -> Parsed<Located<Expression>> {
        let start = self.token.start;
        let value = match self.token.kind {
            TokenKind::BooleanVariable => Expression::Boolean(self.word()?),
            TokenKind::Defined => {
                self.advance();
                Expression::Defined(self.expect_word(
                    |kind| matches!(kind, TokenKind::BooleanVariable | TokenKind::SetVariable),
                    "a variable",
                )?)
            }
            _ => {
                let left = self.expect_word(is_word_or_variable, "a condition")?;
                if let TokenKind::Compare(operator) = self.token.kind {
                    self.advance();
                    Expression::Compare {
                        left,
                        operator,
                        right: self.expect_word(is_word_or_variable, "what to compare with")?,
                    }
                } else {
                    Expression::Value(left)
                }
            }
        };
        Ok(Located {
            value,
            span: self.span(start, self.last_end),
        })
    }

    fn count(&mut self, operators: &mut usize) -> Parsed<()> {
        *operators += 1;
        if *operators > MAX_OPERATORS {
            return Err(self.too_long());
        }
        Ok(())
    }

    fn too_long(&mut self) -> super::Failed {
        self.error(
            "expression-too-long",
            self.here(),
            format!(
                "an expression of more than {MAX_OPERATORS} operators, or {MAX_DEPTH} parentheses inside of each other"
            ),
            "name parts of it by boolean variables",
        )
    }
}

fn both(
    left: Located<Expression>,
    right: Located<Expression>,
    operator: fn(Box<Located<Expression>>, Box<Located<Expression>>) -> Expression,
) -> Located<Expression> {
    Located {
        span: left.span.to(right.span),
        value: operator(Box::new(left), Box::new(right)),
    }
}
