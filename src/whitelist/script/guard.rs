//! Files that a test found before they are used: `[ -r /etc/defaults ] && . /etc/defaults`.
//!
//! What a script sources without such a test it expects to be there, so where the image lacks it the script itself, or what
//! it starts, is taken to write it. What it tests first it can do without.
//!
//! LIMIT: only what stands behind `then` or `&&` is behind a test; a script that leaves where the file is not there is not seen
//! to have tested for it.

use brush_parser::ast::{
    AndOr, Command, CommandPrefixOrSuffixItem, CompoundList, ExtendedTestExpr, Pipeline,
    SimpleCommand, UnaryPredicate,
};

use super::{
    command::absolute,
    read::Reader,
    state::State,
    value::{Value, Values},
};

/// The options of test(1) that hold for files which can be read alone.
const FINDS: &[&[u8]] = &[b"-e", b"-f", b"-r", b"-s", b"-x"];

impl Reader<'_> {
    /// Whether a file was tested for on the way to this place.
    pub(super) fn is_guarded(&self, path: &[u8]) -> bool {
        self.guards.iter().any(|guard| guard == path)
    }

    /// The files that are there where a condition holds.
    pub(super) fn found_by_list(&mut self, list: &CompoundList, state: &State) -> Vec<Vec<u8>> {
        // The last command of a condition decides; the others need not hold.
        let Some(item) = list.0.last() else {
            return Vec::new();
        };
        let mut found = self.found_by(&item.0.first, state);
        for next in &item.0.additional {
            match next {
                AndOr::And(pipeline) => found.extend(self.found_by(pipeline, state)),
                AndOr::Or(_) => found.clear(),
            }
        }
        found
    }

    /// The files that are there where a pipeline succeeds.
    pub(super) fn found_by(&mut self, pipeline: &Pipeline, state: &State) -> Vec<Vec<u8>> {
        let ([command], false) = (pipeline.seq.as_slice(), pipeline.bang) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        match command {
            Command::Simple(command) => self.found_by_test(command, state, &mut found),
            Command::ExtendedTest(test, _) => {
                self.found_by_expression(&test.expr, state, &mut found, 0);
            }
            Command::Compound(..) | Command::Function(_) => {}
        }
        found
    }

    fn found_by_test(&mut self, command: &SimpleCommand, state: &State, found: &mut Vec<Vec<u8>>) {
        let is_test = command
            .word_or_name
            .as_ref()
            .is_some_and(|name| matches!(name.value.as_str(), "[" | "test"));
        let words = command.suffix.iter().flat_map(|suffix| &suffix.0);
        let words: Vec<&str> = words
            .filter_map(|item| match item {
                CommandPrefixOrSuffixItem::Word(word)
                | CommandPrefixOrSuffixItem::AssignmentWord(_, word) => Some(word.value.as_str()),
                CommandPrefixOrSuffixItem::IoRedirect(_)
                | CommandPrefixOrSuffixItem::ProcessSubstitution(..) => None,
            })
            .collect();
        if !is_test || words.iter().any(|word| matches!(*word, "!" | "-o")) {
            return;
        }
        for pair in words.windows(2) {
            if let [option, word] = pair
                && FINDS.contains(&option.as_bytes())
            {
                self.found_file(word, state, found);
            }
        }
    }

    fn found_by_expression(
        &mut self,
        test: &ExtendedTestExpr,
        state: &State,
        found: &mut Vec<Vec<u8>>,
        depth: usize,
    ) {
        // LIMIT: parentheses within a test.
        if depth > 32 {
            return;
        }
        match test {
            ExtendedTestExpr::And(one, other) => {
                self.found_by_expression(one, state, found, depth + 1);
                self.found_by_expression(other, state, found, depth + 1);
            }
            ExtendedTestExpr::Parenthesized(inner) => {
                self.found_by_expression(inner, state, found, depth + 1);
            }
            ExtendedTestExpr::UnaryTest(
                UnaryPredicate::FileExists
                | UnaryPredicate::FileExistsAndIsExecutable
                | UnaryPredicate::FileExistsAndIsNotZeroLength
                | UnaryPredicate::FileExistsAndIsReadable
                | UnaryPredicate::FileExistsAndIsRegularFile,
                word,
            ) => self.found_file(&word.value, state, found),
            ExtendedTestExpr::UnaryTest(..)
            | ExtendedTestExpr::BinaryTest(..)
            | ExtendedTestExpr::Not(_)
            | ExtendedTestExpr::Or(..) => {}
        }
    }

    /// Each path that a tested word can be: one variable stands in the test and behind it.
    fn found_file(&mut self, word: &str, state: &State, found: &mut Vec<Vec<u8>>) {
        let values: Values = self.word_values(word, &mut state.clone());
        for value in values.iter() {
            let Value::Known(name) = value else { continue };
            found.extend(
                state
                    .directory
                    .iter()
                    .filter_map(|directory| absolute(name, directory)),
            );
        }
    }
}
