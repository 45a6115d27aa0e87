//! Conditions that are certain: `[ -z "$JAVA_HOME" ]`, `[ "$1" = redis-server ]`, of values that are known.
//!
//! Every command counts, in branches not taken as well: another pod may take them, and what is on the list without need
//! hurts less than what is missing. But what such a branch assigns is not so: launchers are full of defaults for what is set
//! already.

use brush_parser::ast::{
    AndOr, BinaryPredicate, Command, CommandPrefixOrSuffixItem, CompoundList, ExtendedTestExpr,
    Pipeline, SimpleCommand, UnaryPredicate,
};

use super::{
    Dialect, pattern,
    read::Reader,
    state::{State, Words},
    value::Value,
};

impl Reader<'_> {
    /// Whether a condition holds, where that is certain.
    pub(super) fn decided_list(&mut self, list: &CompoundList, state: &mut State) -> Option<bool> {
        let [item] = list.0.as_slice() else {
            return None;
        };
        let mut holds = self.decided(&item.0.first, state);
        for next in &item.0.additional {
            holds = match next {
                AndOr::And(pipeline) => match (holds, self.decided(pipeline, state)) {
                    (Some(false), _) | (_, Some(false)) => Some(false),
                    (Some(true), Some(true)) => Some(true),
                    _ => None,
                },
                AndOr::Or(pipeline) => match (holds, self.decided(pipeline, state)) {
                    (Some(true), _) | (_, Some(true)) => Some(true),
                    (Some(false), Some(false)) => Some(false),
                    _ => None,
                },
            };
        }
        holds
    }

    /// Whether a pipeline succeeds, where that is certain.
    pub(super) fn decided(&mut self, pipeline: &Pipeline, state: &mut State) -> Option<bool> {
        let [command] = pipeline.seq.as_slice() else {
            return None;
        };
        let holds = match command {
            Command::Simple(command) => self.decided_test(command, state),
            Command::ExtendedTest(test, _) => self.decided_expression(&test.expr, state, 0),
            Command::Compound(..) | Command::Function(_) => None,
        };
        holds.map(|holds| holds != pipeline.bang)
    }

    fn decided_test(&mut self, command: &SimpleCommand, state: &mut State) -> Option<bool> {
        let name = command.word_or_name.as_ref()?;
        if !matches!(name.value.as_str(), "[" | "test")
            || state.functions.contains_key(name.value.as_str())
        {
            return None;
        }
        let mut words = Vec::new();
        for item in command.suffix.iter().flat_map(|suffix| &suffix.0) {
            match item {
                CommandPrefixOrSuffixItem::Word(word)
                | CommandPrefixOrSuffixItem::AssignmentWord(_, word) => words.push(word),
                CommandPrefixOrSuffixItem::IoRedirect(_) => {}
                CommandPrefixOrSuffixItem::ProcessSubstitution(..) => return None,
            }
        }
        let ways = self.command_words(words, state);
        // dash has no `==`: its test fails.
        let lacks = self.context.dialect == Dialect::Posix
            && ways
                .iter()
                .flatten()
                .any(|word| word.bytes() == Some(b"=="));
        all_agree(ways.iter().map(holds)).filter(|_| !lacks)
    }

    fn decided_expression(
        &mut self,
        test: &ExtendedTestExpr,
        state: &mut State,
        depth: usize,
    ) -> Option<bool> {
        // LIMIT: parentheses within a test.
        if depth > 32 {
            return None;
        }
        match test {
            ExtendedTestExpr::And(one, other) => {
                match (
                    self.decided_expression(one, state, depth + 1),
                    self.decided_expression(other, state, depth + 1),
                ) {
                    (Some(false), _) | (_, Some(false)) => Some(false),
                    (Some(true), Some(true)) => Some(true),
                    _ => None,
                }
            }
            ExtendedTestExpr::Or(one, other) => {
                match (
                    self.decided_expression(one, state, depth + 1),
                    self.decided_expression(other, state, depth + 1),
                ) {
                    (Some(true), _) | (_, Some(true)) => Some(true),
                    (Some(false), Some(false)) => Some(false),
                    _ => None,
                }
            }
            ExtendedTestExpr::Not(inner) => self
                .decided_expression(inner, state, depth + 1)
                .map(|holds| !holds),
            ExtendedTestExpr::Parenthesized(inner) => {
                self.decided_expression(inner, state, depth + 1)
            }
            ExtendedTestExpr::UnaryTest(predicate, word) => {
                let empty = match predicate {
                    UnaryPredicate::StringHasZeroLength => true,
                    UnaryPredicate::StringHasNonZeroLength => false,
                    _ => return None,
                };
                let values = self.word_values(&word.value, state);
                all_agree(
                    values
                        .iter()
                        .map(|value| Some(value.bytes()?.is_empty() == empty)),
                )
            }
            ExtendedTestExpr::BinaryTest(predicate, one, other) => {
                let equal = match predicate {
                    BinaryPredicate::StringExactlyMatchesPattern => true,
                    BinaryPredicate::StringDoesNotExactlyMatchPattern => false,
                    _ => return None,
                };
                let values = self.word_values(&one.value, state);
                let patterns = self.word_patterns(&other.value, state);
                all_agree(values.iter().flat_map(|value| {
                    patterns.iter().map(move |pattern| {
                        Some(pattern::matches(pattern.as_deref()?, value.bytes()?) == equal)
                    })
                }))
            }
        }
    }
}

/// test(1) with the words of one way.
fn holds(words: &Words) -> Option<bool> {
    let words: Option<Vec<&[u8]>> = words.iter().map(Value::bytes).collect();
    let words = words?;
    let words = words.strip_suffix(&[&b"]"[..]]).unwrap_or(&words);
    match words {
        [] => Some(false),
        [word] | [b"-n", word] => Some(!word.is_empty()),
        [b"-z" | b"!", word] => Some(word.is_empty()),
        [one, b"=" | b"==", other] => Some(one == other),
        [one, b"!=", other] => Some(one != other),
        _ => None,
    }
}

fn all_agree(answers: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut agreed = None;
    for answer in answers {
        let answer = answer?;
        if *agreed.get_or_insert(answer) != answer {
            return None;
        }
    }
    agreed
}
