//! The walk over a script: lists, pipelines, branches, loops and functions.
//!
//! Branches are walked on copies of the state and joined; of a branch that is certainly not taken (`decide`) the commands count and
//! what it sets does not. Loops are walked until nothing new is learnt, a few times at most; what
//! still grows then may be anything. What stands behind an `exec` or `exit` is not reached.

use brush_parser::ast::{
    AndOr, AndOrList, BinaryPredicate, Command, CompoundCommand, CompoundList, ExtendedTestExpr,
    Pipeline, Program, SeparatorOperator, UnaryPredicate,
};

use super::{
    Dialect, SiteKind,
    read::Reader,
    state::{State, Variable},
    value::{Value, Why},
    word,
};

impl Reader<'_> {
    /// Walks a program one level deeper, if there is one left.
    pub(super) fn program(&mut self, program: &Program, state: &mut State) {
        self.deeper(|reader| {
            for list in &program.complete_commands {
                reader.list(list, state);
            }
        });
    }

    pub(super) fn list(&mut self, list: &CompoundList, state: &mut State) {
        for item in &list.0 {
            if state.unreachable {
                return;
            }
            if matches!(item.1, SeparatorOperator::Async) {
                let mut other = state.clone();
                self.and_or(&item.0, &mut other);
            } else {
                self.and_or(&item.0, state);
            }
        }
    }

    fn and_or(&mut self, list: &AndOrList, state: &mut State) {
        self.pipeline(&list.first, state);
        if list.additional.is_empty() {
            return;
        }
        let guards = self.guards.len();
        self.and_or_more(list, state);
        self.guards.truncate(guards);
    }

    fn and_or_more(&mut self, list: &AndOrList, state: &mut State) {
        let outer = self.guards.len();
        let mut before = &list.first;
        let mut status = self.decided(&list.first, state);
        for next in &list.additional {
            if state.unreachable {
                return;
            }
            let (pipeline, runs_after) = match next {
                AndOr::And(pipeline) => (pipeline, true),
                AndOr::Or(pipeline) => (pipeline, false),
            };
            if runs_after {
                let found = self.found_by(before, state);
                self.guards.extend(found);
            } else {
                self.guards.truncate(outer);
            }
            before = pipeline;
            let mut taken = state.clone();
            self.pipeline(pipeline, &mut taken);
            match status {
                Some(status) if status != runs_after => continue,
                // What would end here for certain goes on all the same: every command counts.
                Some(_) if !taken.unreachable => *state = taken,
                _ => self.join(state, &taken),
            }
            let next = self.decided(pipeline, state);
            status = status.and(next);
        }
    }

    pub(super) fn join(&self, state: &mut State, other: &State) {
        self.spend(other.variables.len() / 64);
        state.join(other, &|name| self.unset(name));
    }

    pub(super) fn pipeline(&mut self, pipeline: &Pipeline, state: &mut State) {
        if let [command] = pipeline.seq.as_slice() {
            self.command(command, state);
            return;
        }
        let outer = (self.input.take(), self.stdin.clone());
        for (index, command) in pipeline.seq.iter().enumerate() {
            let mut own = state.clone();
            self.command(command, &mut own);
            // ksh runs the last command of a pipe itself, others of its like do not.
            if index + 1 == pipeline.seq.len() && self.context.dialect == Dialect::Korn {
                self.join(state, &own);
            }
            if index == 0 {
                self.input = self.listed_files(command, &mut state.clone());
            }
            self.stdin = Some(self.piped(command, &mut state.clone()));
        }
        (self.input, self.stdin) = outer;
    }

    fn command(&mut self, command: &Command, state: &mut State) {
        if !self.step() {
            state.unreachable = true;
            return;
        }
        self.deeper(|reader| match command {
            Command::Simple(simple) => reader.simple(simple, state),
            Command::Compound(compound, redirects) => {
                let outer = reader.stdin.clone();
                reader.redirects(redirects.as_ref(), state);
                reader.compound(compound, state);
                reader.stdin = outer;
            }
            Command::Function(function) => reader.define(function, state),
            Command::ExtendedTest(test, redirects) => {
                reader.at(&test.loc);
                let outer = reader.stdin.clone();
                reader.redirects(redirects.as_ref(), state);
                reader.stdin = outer;
                reader.test(&test.expr, state);
            }
        });
    }

    pub(super) fn compound(&mut self, compound: &CompoundCommand, state: &mut State) {
        match compound {
            CompoundCommand::Arithmetic(arithmetic) => {
                self.at(&arithmetic.loc);
                self.arithmetic(&arithmetic.expr.value, state);
            }
            CompoundCommand::ArithmeticForClause(clause) => {
                for expression in [&clause.initializer, &clause.condition, &clause.updater]
                    .into_iter()
                    .flatten()
                {
                    self.arithmetic(&expression.value, state);
                }
                self.repeat(state, |reader, state| reader.list(&clause.body.list, state));
            }
            CompoundCommand::BraceGroup(group) => self.list(&group.list, state),
            CompoundCommand::Subshell(subshell) => {
                let mut inner = state.clone();
                self.list(&subshell.list, &mut inner);
            }
            CompoundCommand::ForClause(clause) => self.for_clause(clause, state),
            CompoundCommand::CaseClause(clause) => self.case(clause, state),
            CompoundCommand::IfClause(clause) => self.if_clause(clause, state),
            CompoundCommand::WhileClause(clause) | CompoundCommand::UntilClause(clause) => {
                self.repeat(state, |reader, state| {
                    reader.list(&clause.0, state);
                    // The loop ends here, or goes on.
                    if let Some(ends) = reader.loops.last_mut() {
                        ends.push(state.clone());
                    }
                    reader.list(&clause.1.list, state);
                });
            }
            CompoundCommand::Coprocess(coprocess) => {
                // The descriptors of its pipes.
                let name = coprocess
                    .name
                    .as_ref()
                    .map_or("COPROC", |name| &*name.value);
                if word::is_name(name) {
                    let why = Why::new("the descriptors of a `coproc`");
                    self.assign(name, Variable::list(vec![Value::Rest(why)]), state);
                }
                let mut inner = state.clone();
                self.command(&coprocess.body, &mut inner);
            }
        }
    }

    fn test(&mut self, test: &ExtendedTestExpr, state: &mut State) {
        self.deeper(|reader| match test {
            ExtendedTestExpr::And(one, other) | ExtendedTestExpr::Or(one, other) => {
                reader.test(one, state);
                reader.test(other, state);
            }
            ExtendedTestExpr::Not(inner) | ExtendedTestExpr::Parenthesized(inner) => {
                reader.test(inner, state);
            }
            ExtendedTestExpr::UnaryTest(predicate, word) => {
                let values = reader.word_values(&word.value, state);
                if matches!(predicate, UnaryPredicate::ShellVariableIsSetAndAssigned) {
                    for name in values.iter() {
                        reader.named(name, state);
                    }
                }
            }
            ExtendedTestExpr::BinaryTest(predicate, one, other) => {
                let one = reader.word_values(&one.value, state);
                let other = reader.word_values(&other.value, state);
                if is_of_numbers(predicate) {
                    reader.number(&one, state);
                    reader.number(&other, state);
                }
            }
        });
    }

    fn arithmetic(&mut self, expression: &str, state: &mut State) {
        if let Ok(pieces) = word::arithmetic(expression) {
            self.number_pieces(&pieces, state);
        }
    }

    /// Walks what stands in `<(…)`.
    pub(super) fn substituted(&mut self, list: &CompoundList, state: &mut State) {
        let before = std::mem::replace(&mut self.way, SiteKind::Substitution);
        self.deeper(|reader| reader.list(list, state));
        self.way = before;
    }
}

fn is_of_numbers(predicate: &BinaryPredicate) -> bool {
    matches!(
        predicate,
        BinaryPredicate::ArithmeticEqualTo
            | BinaryPredicate::ArithmeticNotEqualTo
            | BinaryPredicate::ArithmeticLessThan
            | BinaryPredicate::ArithmeticLessThanOrEqualTo
            | BinaryPredicate::ArithmeticGreaterThan
            | BinaryPredicate::ArithmeticGreaterThanOrEqualTo
    )
}
