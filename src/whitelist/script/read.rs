//! The walk over a script: lists, pipelines, branches, loops and functions.
//!
//! Branches are walked on copies of the state and joined; of a branch that is certainly not taken (`decide`) the commands count and
//! what it sets does not. Loops are walked until nothing new is learnt, a few times at most; what
//! still grows then may be anything. What stands behind an `exec` or `exit` is not reached.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet, HashMap},
    rc::Rc,
    sync::Arc,
};

use brush_parser::{
    SourceSpan,
    ast::{
        AndOr, CaseClauseCommand, Command, CompoundCommand, CompoundList, ExtendedTestExpr,
        ForClauseCommand, FunctionBody, FunctionDefinition, IfClauseCommand, IoFileRedirectTarget,
        IoRedirect, Pipeline, Program, RedirectList, SeparatorOperator, SourceLocation, Word,
    },
};

use super::{
    Context, Dialect, Environment, Gap, Line, MAX_STEPS, Reading, Site, SiteKind, Sourced,
    parse::{self, NotParsed},
    pattern,
    state::{Content, Function, State, Variable, Words},
    value::{FilePattern, Value, Values, Why},
    word,
};

/// LIMIT: how deep commands, functions, sourced files and substitutions are nested together.
const MAX_DEPTH: usize = 200;
/// LIMIT: commands found in one script.
const MAX_SITES: usize = 4_000;
/// LIMIT: things told as unknown of one script.
const MAX_GAPS: usize = 200;
/// LIMIT: times a loop is walked.
const MAX_ROUNDS: usize = 4;

/// Reads a script on the caller's stack.
pub(super) fn read(text: &[u8], context: &Context<'_>) -> Reading {
    let mut reader = Reader::new(context);
    let mut state = reader.initial_state();
    let text = String::from_utf8_lossy(text);
    match reader.parse(&text) {
        Ok(program) => reader.program(&program, &mut state),
        Err(error) => {
            if let Some(head) = parse::head(&text) {
                reader.program(&head, &mut state);
            }
            if !state.unreachable {
                reader.gap(format!("the script could not be read: {error}"));
            }
        }
    }
    reader.run_traps(&mut state);
    reader.finish()
}

/// A reader of one script.
pub(super) struct Reader<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) reading: Reading,
    /// The file whose text is being walked, and what to add to the lines of its tree.
    pub(super) file: Arc<[u8]>,
    pub(super) first_line: usize,
    pub(super) line: usize,
    pub(super) way: SiteKind,
    pub(super) frames: Vec<Frame>,
    pub(super) sourcing: Vec<Vec<u8>>,
    pub(super) traps: Vec<Trap>,
    /// Names that go to what is started, and all values that each name had.
    pub(super) exported: BTreeSet<Rc<str>>,
    pub(super) exports_all: bool,
    pub(super) ever: BTreeMap<Rc<str>, Values>,
    /// What a `read` reads where it stands behind a pipe from `find` or `ls`.
    pub(super) input: Option<FilePattern>,
    /// Set by `set -f`: wildcards are themselves.
    pub(super) no_file_names: bool,
    loops: Vec<Vec<State>>,
    parsed: HashMap<String, Result<Rc<Program>, NotParsed>>,
    steps: Cell<usize>,
    depth: usize,
    gap_places: BTreeSet<Gap>,
    site_set: BTreeSet<Site>,
}

/// A call of a function.
pub(super) struct Frame {
    pub(super) name: Rc<str>,
    /// The states in which it returns.
    pub(super) returns: Vec<State>,
    /// What its local variables were before.
    pub(super) locals: Vec<(Rc<str>, Option<Rc<Variable>>)>,
}

/// A command that runs at a signal or at the end.
pub(super) struct Trap {
    pub(super) text: String,
    pub(super) place: Line,
}

impl<'a> Reader<'a> {
    fn new(context: &'a Context<'a>) -> Self {
        Self {
            context,
            reading: Reading::default(),
            file: Arc::clone(&context.file),
            first_line: context.line,
            line: context.line + 1,
            way: SiteKind::Command,
            frames: Vec::new(),
            sourcing: Vec::new(),
            traps: Vec::new(),
            exported: BTreeSet::new(),
            exports_all: false,
            ever: BTreeMap::new(),
            input: None,
            no_file_names: false,
            loops: Vec::new(),
            parsed: HashMap::new(),
            steps: Cell::new(0),
            depth: 0,
            gap_places: BTreeSet::new(),
            site_set: BTreeSet::new(),
        }
    }

    fn initial_state(&mut self) -> State {
        let mut state = State {
            positional: vec![self.context.arguments.clone()],
            directory: Values::one(self.context.directory.clone()),
            ..State::default()
        };
        let variables = Rc::make_mut(&mut state.variables);
        for (name, values) in &self.context.environment.variables {
            let name: Rc<str> = Rc::from(name.as_str());
            variables.insert(
                Rc::clone(&name),
                Rc::new(Variable::scalar(values.iter().cloned())),
            );
            self.ever.insert(Rc::clone(&name), values.clone());
            self.exported.insert(name);
        }
        state
    }

    fn finish(mut self) -> Reading {
        let mut environment = Environment {
            variables: BTreeMap::new(),
            others: self.context.environment.others.clone(),
        };
        for name in &self.exported {
            let mut values = self.ever.remove(name).unwrap_or_default();
            if !self.context.environment.variables.contains_key(&**name) {
                values.extend(self.unset(name).iter().cloned());
            }
            environment.variables.insert(name.to_string(), values);
        }
        self.reading.environment = environment;
        self.reading.steps = self.steps.get();
        self.reading
    }

    /// Counts a step; false when there were too many.
    pub(super) fn step(&mut self) -> bool {
        self.spend(1);
        let is_over = self.steps.get() >= MAX_STEPS.min(self.context.steps);
        if is_over {
            self.gap("the script is not read to its end: it takes too long".to_owned());
        }
        !is_over
    }

    /// Counts work of some size.
    pub(super) fn spend(&self, size: usize) {
        self.steps.set(self.steps.get().saturating_add(size));
    }

    /// Tells something that could not be told.
    pub(super) fn gap(&mut self, what: String) {
        let gap = Gap {
            place: self.place(),
            what,
        };
        if self.gap_places.len() < MAX_GAPS && self.gap_places.insert(gap.clone()) {
            self.reading.unknowns.push(gap);
        }
    }

    pub(super) fn place(&self) -> Line {
        Line {
            file: Arc::clone(&self.file),
            line: self.line,
        }
    }

    pub(super) fn at_word(&mut self, word: &Word) {
        if let Some(span) = &word.loc {
            self.line = self.first_line + span.start.line;
        }
    }

    fn at(&mut self, span: &SourceSpan) {
        if span.start.line > 0 {
            self.line = self.first_line + span.start.line;
        }
    }

    pub(super) fn site(&mut self, words: Words, way: SiteKind, state: &State) {
        if self.site_set.len() >= MAX_SITES {
            self.gap("the script runs more commands than are followed".to_owned());
            return;
        }
        let mut directories = state.directory.iter();
        let directory = match (directories.next(), directories.next()) {
            (Some(only), None) => only.clone(),
            _ => Value::unknown("one of several folders"),
        };
        let site = Site {
            place: self.place(),
            way: if way == SiteKind::Command {
                self.way
            } else {
                way
            },
            function: self.frames.last().map(|frame| frame.name.to_string()),
            words,
            directory,
        };
        if self.site_set.insert(site.clone()) {
            self.reading.sites.push(site);
        }
    }

    pub(super) fn folder(&mut self, pattern: &FilePattern) {
        let folder = Sourced {
            place: self.place(),
            path: pattern.folder().to_vec(),
        };
        if self.reading.folders.len() < MAX_GAPS && !self.reading.folders.contains(&folder) {
            self.reading.folders.push(folder);
        }
    }

    pub(super) fn has_brace_expansion(&self) -> bool {
        self.context.dialect == Dialect::Bash
    }

    pub(super) fn parse(&mut self, text: &str) -> Result<Rc<Program>, NotParsed> {
        self.spend(text.len() / 1024);
        if let Some(parsed) = self.parsed.get(text) {
            return parsed.clone();
        }
        self.spend(text.len() / 64);
        let parsed = parse::program(text).map(Rc::new);
        // LIMIT: texts kept; others are parsed again.
        if self.parsed.len() < 2_000 {
            self.parsed.insert(text.to_owned(), parsed.clone());
        }
        parsed
    }

    /// Parses and walks a text that is part of the script, such as that of `eval`.
    pub(super) fn inner(
        &mut self,
        text: &str,
        first_line: usize,
        way: SiteKind,
        state: &mut State,
    ) {
        match self.parse(text) {
            Ok(program) => {
                let before = (self.first_line, self.line, self.way);
                self.first_line = first_line;
                self.way = way;
                self.program(&program, state);
                (self.first_line, self.line, self.way) = before;
            }
            Err(error) => self.gap(format!("a command in it could not be read: {error}")),
        }
    }

    /// Walks a program one level deeper, if there is one left.
    pub(super) fn program(&mut self, program: &Program, state: &mut State) {
        self.deeper(|reader| {
            for list in &program.complete_commands {
                reader.list(list, state);
            }
        });
    }

    fn deeper(&mut self, walk: impl FnOnce(&mut Self)) {
        if self.depth >= MAX_DEPTH {
            self.gap("commands are nested deeper than is followed".to_owned());
            return;
        }
        self.depth += 1;
        walk(self);
        self.depth -= 1;
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

    fn and_or(&mut self, list: &brush_parser::ast::AndOrList, state: &mut State) {
        self.pipeline(&list.first, state);
        let mut status = self.decided(&list.first, state);
        for next in &list.additional {
            if state.unreachable {
                return;
            }
            let (pipeline, runs_after) = match next {
                AndOr::And(pipeline) => (pipeline, true),
                AndOr::Or(pipeline) => (pipeline, false),
            };
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
        let outer = self.input.take();
        for (index, command) in pipeline.seq.iter().enumerate() {
            let mut own = state.clone();
            self.command(command, &mut own);
            if index == 0 {
                self.input = self.listed_files(command, &mut state.clone());
            }
        }
        self.input = outer;
    }

    fn command(&mut self, command: &Command, state: &mut State) {
        if !self.step() {
            state.unreachable = true;
            return;
        }
        self.deeper(|reader| match command {
            Command::Simple(simple) => reader.simple(simple, state),
            Command::Compound(compound, redirects) => {
                reader.redirects(redirects.as_ref(), state);
                reader.compound(compound, state);
            }
            Command::Function(function) => reader.define(function, state),
            Command::ExtendedTest(test, redirects) => {
                reader.at(&test.loc);
                reader.redirects(redirects.as_ref(), state);
                reader.test(&test.expr, state);
            }
        });
    }

    fn compound(&mut self, compound: &CompoundCommand, state: &mut State) {
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
                let mut inner = state.clone();
                self.command(&coprocess.body, &mut inner);
            }
        }
    }

    fn if_clause(&mut self, clause: &IfClauseCommand, state: &mut State) {
        self.at(&clause.loc);
        let mut ends = Ends::new(state);
        self.list(&clause.condition, state);
        let mut verdict = self.decided_list(&clause.condition, state);
        let mut taken = state.clone();
        self.list(&clause.then, &mut taken);
        self.end(&mut ends, &taken, verdict);
        let mut is_exhaustive = false;
        for branch in clause.elses.iter().flatten() {
            if let Some(condition) = &branch.condition {
                self.list(condition, state);
                verdict = self.decided_list(condition, state);
            } else {
                is_exhaustive = true;
                verdict = None;
            }
            let mut taken = state.clone();
            self.list(&branch.body, &mut taken);
            self.end(&mut ends, &taken, verdict);
        }
        if !is_exhaustive {
            self.end(&mut ends, state, None);
        }
        *state = ends.state();
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

    fn case(&mut self, clause: &CaseClauseCommand, state: &mut State) {
        self.at(&clause.loc);
        self.at_word(&clause.value);
        let values = self.word_values(&clause.value.value, state);
        let known: Option<Vec<&[u8]>> = values.iter().map(Value::bytes).collect();
        let subject = variable_of(&clause.value.value);
        let mut ends = Ends::new(state);
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
            if let Some(list) = &case.cmd {
                self.list(list, &mut taken);
            }
            let verdict = matched(known.as_deref(), patterns.as_deref());
            self.end(&mut ends, &taken, verdict);
        }
        // None of the patterns matches.
        self.end(&mut ends, state, None);
        *state = ends.state();
    }

    fn for_clause(&mut self, clause: &ForClauseCommand, state: &mut State) {
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
        self.repeat(state, |reader, state| {
            reader.assign(&name, Variable::scalar(values.iter().cloned()), state);
            reader.list(&clause.body.list, state);
        });
    }

    /// Walks the body of a loop until it tells nothing new.
    fn repeat(&mut self, state: &mut State, body: impl Fn(&mut Self, &mut State)) {
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

    fn define(&mut self, definition: &FunctionDefinition, state: &mut State) {
        self.at_word(&definition.fname);
        let line = self.first_line;
        let start = |body: &FunctionBody| body.location().map(|span| span.start.index);
        let known = state.functions.get(definition.fname.value.as_str());
        // Seen before, in an earlier round of a loop: the same body, so that states stay the same.
        let same = known.into_iter().flatten().find(|known| {
            known.file == self.file
                && known.line == line
                && start(&known.body) == start(&definition.body)
        });
        let same = same.map(|known| Rc::clone(&known.body));
        let body = same.unwrap_or_else(|| Rc::new(FunctionBody::clone(&definition.body)));
        Rc::make_mut(&mut state.functions).insert(
            Rc::from(definition.fname.value.as_str()),
            vec![Function {
                body,
                file: Arc::clone(&self.file),
                line,
            }],
        );
    }

    /// Calls what a name may be defined as.
    pub(super) fn call(&mut self, name: &str, arguments: &Words, state: &mut State) {
        let functions = state.functions.get(name).cloned().unwrap_or_default();
        let running = self
            .frames
            .iter()
            .filter(|frame| &*frame.name == name)
            .count();
        // A function that calls itself is walked once more, with whatever arguments.
        if running > 1 {
            return;
        }
        let arguments = if running == 1 {
            vec![Value::Rest(Why::new(
                "the argument of a function that calls itself",
            ))]
        } else {
            arguments.clone()
        };
        let before = state.clone();
        for (index, function) in functions.iter().enumerate() {
            let mut own = before.clone();
            self.call_one(name, function, arguments.clone(), &mut own);
            if index == 0 {
                *state = own;
            } else {
                self.join(state, &own);
            }
        }
    }

    fn call_one(&mut self, name: &str, function: &Function, arguments: Words, state: &mut State) {
        let positional = std::mem::replace(&mut state.positional, vec![arguments]);
        let place = (self.first_line, self.line, Arc::clone(&self.file));
        let loops = std::mem::take(&mut self.loops);
        self.frames.push(Frame {
            name: Rc::from(name),
            returns: Vec::new(),
            locals: Vec::new(),
        });
        self.first_line = function.line;
        self.file = Arc::clone(&function.file);
        let body = Rc::clone(&function.body);
        self.deeper(|reader| {
            reader.redirects(body.1.as_ref(), state);
            reader.compound(&body.0, state);
        });
        (self.first_line, self.line, self.file) = place;
        self.loops = loops;
        let Some(frame) = self.frames.pop() else {
            return;
        };
        for returned in &frame.returns {
            self.join(state, returned);
        }
        let variables = Rc::make_mut(&mut state.variables);
        for (name, before) in frame.locals.into_iter().rev() {
            match before {
                Some(before) => variables.insert(name, before),
                None => variables.remove(&name),
            };
        }
        state.positional = positional;
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
            ExtendedTestExpr::UnaryTest(_, word) => {
                reader.word_values(&word.value, state);
            }
            ExtendedTestExpr::BinaryTest(_, one, other) => {
                reader.word_values(&one.value, state);
                reader.word_values(&other.value, state);
            }
        });
    }

    fn arithmetic(&mut self, expression: &str, state: &mut State) {
        if let Ok(pieces) = word::arithmetic(expression) {
            self.scan(&pieces, state);
        }
    }

    fn redirects(&mut self, redirects: Option<&RedirectList>, state: &mut State) {
        for redirect in redirects.iter().flat_map(|list| &list.0) {
            self.redirect(redirect, state);
        }
    }

    pub(super) fn redirect(&mut self, redirect: &IoRedirect, state: &mut State) {
        match redirect {
            IoRedirect::File(_, _, target) => match target {
                IoFileRedirectTarget::Filename(word) | IoFileRedirectTarget::Duplicate(word) => {
                    self.word_values(&word.value, state);
                }
                IoFileRedirectTarget::Fd(_) => {}
                IoFileRedirectTarget::ProcessSubstitution(_, subshell) => {
                    let mut inner = state.clone();
                    self.substituted(&subshell.list, &mut inner);
                }
            },
            IoRedirect::HereDocument(_, document) => {
                if document.requires_expansion {
                    self.at_word(&document.doc);
                    match word::here_document(&document.doc.value) {
                        Ok(pieces) => self.scan(&pieces, state),
                        Err(error) => self.gap(format!("a here-document has {error}")),
                    }
                }
            }
            IoRedirect::HereString(_, word) | IoRedirect::OutputAndError(word, _) => {
                self.word_values(&word.value, state);
            }
        }
    }

    /// Walks what stands in `<(…)`.
    pub(super) fn substituted(&mut self, list: &CompoundList, state: &mut State) {
        let before = std::mem::replace(&mut self.way, SiteKind::Substitution);
        self.deeper(|reader| reader.list(list, state));
        self.way = before;
    }

    /// Traps run while the script does, mostly at its end: with what is known then.
    fn run_traps(&mut self, state: &mut State) {
        state.unreachable = false;
        for trap in std::mem::take(&mut self.traps) {
            self.file = Arc::clone(&trap.place.file);
            self.line = trap.place.line;
            let mut own = state.clone();
            self.inner(
                &trap.text,
                trap.place.line.saturating_sub(1),
                SiteKind::Trap,
                &mut own,
            );
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
