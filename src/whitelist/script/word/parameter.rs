//! What stands in `${…}`: a name, and what is done with its value.

use super::{
    Case, End, Name, NotUnderstood, Operation, Parameter,
    scanner::{Scanner, Within},
};

impl Scanner<'_> {
    /// What stands in `${…}`, up to the `}`.
    pub(super) fn parameter(&mut self, quoted: bool) -> Result<Parameter, NotUnderstood> {
        if self.peek() == Some(b'#')
            && !matches!(self.peek_at(1), Some(b'}' | b':' | b'-' | b'#' | b'%'))
        {
            self.at += 1;
            let name = self.name()?;
            return Ok(Parameter {
                name,
                operation: Operation::Length,
            });
        }
        let name = if self.peek() == Some(b'!')
            && self
                .peek_at(1)
                .is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        {
            self.at += 1;
            match self.name()? {
                Name::Named(_) if self.eat("*") || self.eat("@") => Name::Special,
                Name::Named(name) => Name::Indirect(name),
                Name::AllOf { name, .. } | Name::Element { name, .. } => Name::Keys(name),
                _ => Name::Special,
            }
        } else {
            self.name()?
        };
        let word = if quoted {
            Within::QuotedBraces
        } else {
            Within::Braces
        };
        let operation = self.operation(word)?;
        Ok(Parameter { name, operation })
    }

    fn name(&mut self) -> Result<Name, NotUnderstood> {
        if self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            let digits: String = self
                .rest()
                .chars()
                .take_while(char::is_ascii_digit)
                .collect();
            self.at += digits.len();
            let number: usize = digits.parse().map_err(|_| NotUnderstood)?;
            return Ok(if number == 0 {
                Name::Script
            } else {
                Name::Positional(number)
            });
        }
        let name = self.simple_name().ok_or(NotUnderstood)?;
        let Name::Named(name) = name else {
            return Ok(name);
        };
        if !self.eat("[") {
            return Ok(Name::Named(name));
        }
        let start = self.at;
        let mut depth = 1_usize;
        while depth > 0 {
            match self.take().ok_or(NotUnderstood)? {
                '[' => depth += 1,
                ']' => depth -= 1,
                _ => {}
            }
        }
        let index = self.text.get(start..self.at - 1).ok_or(NotUnderstood)?;
        Ok(match index {
            "@" => Name::AllOf {
                name,
                joined: false,
            },
            "*" => Name::AllOf { name, joined: true },
            index => Name::Element {
                name,
                index: index.to_owned(),
            },
        })
    }

    fn operation(&mut self, word: Within) -> Result<Operation, NotUnderstood> {
        let Some(byte) = self.peek() else {
            return Err(NotUnderstood);
        };
        let colon = byte == b':' && matches!(self.peek_at(1), Some(b'-' | b'=' | b'?' | b'+'));
        if colon {
            self.at += 1;
        }
        let operator = self.peek().ok_or(NotUnderstood)?;
        if operator == b'}' {
            return Ok(Operation::Plain);
        }
        self.at += 1;
        // Quotes are quotes in patterns, even within double quotes.
        let pattern = Within::Braces;
        let doubled = |scanner: &mut Self| {
            let again = scanner.peek() == Some(operator);
            if again {
                scanner.at += 1;
            }
            again
        };
        Ok(match operator {
            b'-' => Operation::Default(self.pieces(word)?),
            b'=' => Operation::Assign(self.pieces(word)?),
            b'?' => Operation::Demand(self.pieces(word)?),
            b'+' => Operation::Alternative(self.pieces(word)?),
            b'#' | b'%' => Operation::Remove {
                end: if operator == b'#' {
                    End::Prefix
                } else {
                    End::Suffix
                },
                longest: doubled(self),
                pattern: self.pieces(pattern)?,
            },
            b'/' => {
                let all = doubled(self);
                let is_anchored = !all && matches!(self.peek(), Some(b'#' | b'%'));
                let mut pattern = self.pieces(Within::Search)?;
                let replacement = if self.eat("/") {
                    self.pieces(word)?
                } else {
                    Vec::new()
                };
                // At the start or the end only: not followed.
                if is_anchored {
                    pattern.extend(replacement);
                    return Ok(Operation::Transform(pattern));
                }
                Operation::Replace {
                    all,
                    pattern,
                    replacement,
                }
            }
            b'^' | b',' => {
                let all = doubled(self);
                if self.peek() == Some(b'}') {
                    Operation::Case(match (operator, all) {
                        (b'^', true) => Case::Upper,
                        (b'^', false) => Case::UpperFirst,
                        (_, true) => Case::Lower,
                        (_, false) => Case::LowerFirst,
                    })
                } else {
                    Operation::Transform(self.pieces(pattern)?)
                }
            }
            b':' => Operation::Slice(self.pieces(word)?),
            b'@' => Operation::Transform(self.pieces(word)?),
            _ => return Err(NotUnderstood),
        })
    }
}
