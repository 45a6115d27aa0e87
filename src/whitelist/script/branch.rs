//! Branches and loops: ways that part and meet again.

use std::{rc::Rc, sync::Arc};

use brush_parser::ast::{
    CaseClauseCommand, CaseItem, CaseItemPostAction, CompoundList, ForClauseCommand,
    IfClauseCommand,
};

use super::{
    choice, pattern,
    read::Reader,
    state::{Content, State, Variable, Words},
    value::{Value, Values},
    word,
};

/// LIMIT: times a loop is walked.
const MAX_ROUNDS: usize = 4;

impl Reader<'_> {
    pub(super) fn if_clause(&mut self, clause: &IfClauseCommand, state: &mut State) {
        self.at(&clause.loc);
        let mut ends = Ends::new(state);
        self.list(&clause.condition, state);
        let mut verdict = self.decided_list(&clause.condition, state);
        let mut taken = state.clone();
        self.guarded(&clause.condition, &clause.then, &mut taken);
        self.end(&mut ends, &taken, verdict);
        let mut is_exhaustive = false;
        for branch in clause.elses.iter().flatten() {
            let mut taken;
            if let Some(condition) = &branch.condition {
                self.list(condition, state);
                verdict = self.decided_list(condition, state);
                taken = state.clone();
                self.guarded(condition, &branch.body, &mut taken);
            } else {
                is_exhaustive = true;
                verdict = None;
                taken = state.clone();
                self.list(&branch.body, &mut taken);
            }
            self.end(&mut ends, &taken, verdict);
        }
        if !is_exhaustive {
            self.end(&mut ends, state, None);
        }
        *state = ends.state();
    }

    /// Walks what is run where a condition holds.
    fn guarded(&mut self, condition: &CompoundList, body: &CompoundList, state: &mut State) {
        let guards = self.guards.len();
        let found = self.found_by_list(condition, state);
        self.guards.extend(found);
        self.list(body, state);
        self.guards.truncate(guards);
    }

    /// Adds the end of one branch, of which is known whether it is taken.
    fn end(&self, ends: &mut Ends, taken: &State, verdict: Option<bool>) {
        if ends.is_settled || verdict == Some(false) {
            self.join(&mut ends.others, taken);
        } else {
            self.join(&mut ends.possible, taken);
        }
        ends.is_settled |= verdict == Some(true);
    }

    pub(super) fn case(&mut self, clause: &CaseClauseCommand, state: &mut State) {
        self.at(&clause.loc);
        self.at_word(&clause.value);
        let values = self.word_values(&clause.value.value, state);
        let known: Option<Vec<&[u8]>> = values.iter().map(Value::bytes).collect();
        let subject = variable_of(&clause.value.value);
        let mut ends = Ends::new(state);
        // `;&` goes on in the next one, `;;&` looks at the patterns of the others: then more than one may be taken.
        let goes_on = |case: &CaseItem| !matches!(case.post_action, CaseItemPostAction::ExitCase);
        let any_goes_on = clause.cases.iter().any(goes_on);
        let mut fallen: Option<State> = None;
        for case in &clause.cases {
            let mut patterns = Vec::new();
            for pattern in &case.patterns {
                patterns.extend(self.word_patterns(&pattern.value, state));
            }
            let mut taken = state.clone();
            let patterns: Option<Vec<Arc<[u8]>>> = patterns.into_iter().collect();
            if let (Some(subject), Some(patterns)) = (&subject, &patterns) {
                narrow(subject, patterns, &mut taken);
            }
            if let Some(before) = fallen.take() {
                self.join(&mut taken, &before);
            }
            if let Some(list) = &case.cmd {
                self.list(list, &mut taken);
            }
            let verdict = matched(known.as_deref(), patterns.as_deref()).filter(|_| !any_goes_on);
            self.end(&mut ends, &taken, verdict);
            match case.post_action {
                CaseItemPostAction::ExitCase => {}
                CaseItemPostAction::UnconditionallyExecuteNextCaseItem => fallen = Some(taken),
                CaseItemPostAction::ContinueEvaluatingCases => self.join(state, &taken),
            }
        }
        // None of the patterns matches.
        self.end(&mut ends, state, None);
        *state = ends.state();
    }

    pub(super) fn for_clause(&mut self, clause: &ForClauseCommand, state: &mut State) {
        self.at(&clause.loc);
        let mut values = Values::default();
        let ways: Vec<Words> = match &clause.values {
            Some(words) => words
                .iter()
                .flat_map(|word| {
                    self.at_word(word);
                    self.word_ways(&word.value, state)
                })
                .collect(),
            // LIMIT: the parser gives `for name in; do` as the same: its body is walked although it never runs.
            None => state.positional.clone(),
        };
        for value in ways.into_iter().flatten() {
            values.insert(match value {
                Value::Rest(why) => Value::Unknown(why),
                value => value,
            });
        }
        if values.is_empty() {
            return;
        }
        let name: Rc<str> = Rc::from(clause.variable_name.as_str());
        let chosen = choice::chosen(&name);
        if chosen.is_some() {
            values.insert(Value::known(""));
        }
        self.repeat(state, |reader, state| {
            reader.assign(&name, Variable::scalar(values.iter().cloned()), state);
            if let Some(chosen) = chosen {
                let answer = Value::unknown("the answer to a `select`");
                reader.assign(chosen, Variable::scalar(values.iter().cloned()), state);
                reader.assign_values("REPLY", &Values::one(answer), state);
            }
            reader.list(&clause.body.list, state);
        });
    }

    /// Walks the body of a loop until it tells nothing new.
    pub(super) fn repeat(&mut self, state: &mut State, body: impl Fn(&mut Self, &mut State)) {
        for round in 0..MAX_ROUNDS {
            let before = state.clone();
            self.loops.push(Vec::new());
            let mut taken = state.clone();
            body(self, &mut taken);
            let ends = self.loops.pop().unwrap_or_default();
            self.join(state, &taken);
            for end in &ends {
                self.join(state, end);
            }
            if state.same(&before) {
                return;
            }
            if round + 2 >= MAX_ROUNDS {
                state.widen(&before);
            }
        }
    }

    /// `break` and `continue`: the way goes on behind the loop, or at its start.
    pub(super) fn leave_loop(&mut self, state: &mut State) {
        if let Some(ends) = self.loops.last_mut() {
            // LIMIT: ways out of one loop that are kept apart from going on.
            if ends.len() < 64 {
                ends.push(state.clone());
                state.unreachable = true;
            }
        }
    }
}

/// The ends of branches: of those that may be taken, and of the others.
struct Ends {
    possible: State,
    others: State,
    /// Whether a branch before is taken for certain.
    is_settled: bool,
}

impl Ends {
    fn new(state: &State) -> Self {
        let nowhere = State {
            unreachable: true,
            ..state.clone()
        };
        Self {
            possible: nowhere.clone(),
            others: nowhere,
            is_settled: false,
        }
    }

    /// What holds behind them. Where all that may be taken end the script, the others go on: every command counts.
    fn state(self) -> State {
        if self.possible.unreachable {
            self.others
        } else {
            self.possible
        }
    }
}

/// Whether all of these values match one of the patterns, or none does.
fn matched(values: Option<&[&[u8]]>, patterns: Option<&[Arc<[u8]>]>) -> Option<bool> {
    let patterns = patterns?;
    if patterns.iter().any(|pattern| **pattern == *b"*") {
        return Some(true);
    }
    let values = values?;
    let matching = |value: &&&[u8]| patterns.iter().any(|one| pattern::matches(one, value));
    match values.iter().filter(matching).count() {
        0 => Some(false),
        count => (count == values.len()).then_some(true),
    }
}

/// The variable that a word is nothing but.
fn variable_of(word: &str) -> Option<Rc<str>> {
    let name = word.trim_matches('"');
    let name = name
        .strip_prefix("${")
        .and_then(|name| name.strip_suffix('}'))
        .or_else(|| name.strip_prefix('$'))?;
    word::is_name(name).then(|| Rc::from(name))
}

/// In a branch of `case "$file" in *.sh)` the file is one of those.
fn narrow(subject: &str, patterns: &[Arc<[u8]>], state: &mut State) {
    let Some(variable) = state.variables.get(subject) else {
        return;
    };
    let narrowed: Option<Vec<Content>> = variable
        .contents
        .iter()
        .map(|content| match content {
            Content::Scalar(Value::Files(files)) => Some(Content::Scalar(Value::Files(
                files.filtered(patterns.to_vec()),
            ))),
            _ => None,
        })
        .collect();
    if let Some(contents) = narrowed {
        let name: Rc<str> = Rc::from(subject);
        Rc::make_mut(&mut state.variables).insert(name, Rc::new(Variable { contents }));
    }
}
