//! The reader of one script: what it has met, what it could not tell, and how much it may do.
//!
//! What it knows at a place of the script is the state's; how it goes from place to place is the walk's (`walk`).

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet, HashMap},
    rc::Rc,
    sync::Arc,
};

use brush_parser::{
    SourceSpan,
    ast::{Program, Word},
};

use super::{
    Context, Dialect, Environment, Gap, GapKind, Line, MAX_STEPS, Reading, Site, SiteKind, Sourced,
    parse::{self, NotParsed},
    state::{Content, State, Variable, Words},
    value::{FilePattern, Value, Values},
};

/// LIMIT: how deep commands, functions, sourced files and substitutions are nested together.
const MAX_DEPTH: usize = 200;
/// LIMIT: commands found in one script.
pub(super) const MAX_SITES: usize = 4_000;
/// LIMIT: things told as unknown of one script.
const MAX_GAPS: usize = 200;

/// Reads a script on the caller's stack.
pub(super) fn read(text: &[u8], context: &Context<'_>) -> Reading {
    let mut reader = Reader::new(context);
    let mut state = reader.initial_state();
    reader.begin(&mut state);
    let text = String::from_utf8_lossy(text);
    match reader.parse(&text) {
        Ok(program) => reader.program(&program, &mut state),
        Err(error) => {
            if let Some(head) = parse::head(&text) {
                reader.program(&head, &mut state);
            }
            if !state.unreachable {
                reader.unread(format!("the script could not be read: {error}"));
            }
        }
    }
    reader.run_traps(&mut state);
    reader.run_prompts(&mut state);
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
    /// Variables to which values are assigned as numbers, or as names of others.
    pub(super) numbers: BTreeSet<Rc<str>>,
    pub(super) ever: BTreeMap<Rc<str>, Values>,
    /// What stands on the input of a command; none for what the container is given.
    pub(super) stdin: Option<Value>,
    /// What a `read` reads where it stands behind a pipe from `find` or `ls`.
    pub(super) input: Option<FilePattern>,
    /// Set by `set -f`: wildcards may be themselves.
    pub(super) no_file_names: bool,
    /// Set by `shopt -s nocasematch`: letters in patterns may match others.
    pub(super) ignores_case: bool,
    pub(super) loops: Vec<Vec<State>>,
    /// The files that tests on the way to this place found.
    pub(super) guards: Vec<Vec<u8>>,
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
            numbers: BTreeSet::new(),
            ever: BTreeMap::new(),
            stdin: context.input.clone(),
            input: None,
            no_file_names: false,
            ignores_case: false,
            loops: Vec::new(),
            guards: Vec::new(),
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
            self.unread("the script is not read to its end: it takes too long".to_owned());
        }
        !is_over
    }

    /// Counts work of some size.
    pub(super) fn spend(&self, size: usize) {
        self.steps.set(self.steps.get().saturating_add(size));
    }

    /// Tells something that could not be told.
    pub(super) fn gap(&mut self, what: String) {
        self.gap_of(GapKind::Dynamic, what);
    }

    /// Tells something that was not read.
    pub(super) fn unread(&mut self, what: String) {
        self.gap_of(GapKind::Unread, what);
    }

    pub(super) fn gap_of(&mut self, kind: GapKind, what: String) {
        let gap = Gap {
            place: self.place(),
            kind,
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

    pub(super) fn at(&mut self, span: &SourceSpan) {
        if span.start.line > 0 {
            self.line = self.first_line + span.start.line;
        }
    }

    pub(super) fn site(&mut self, words: Words, way: SiteKind, state: &State) {
        if self.site_set.len() >= MAX_SITES {
            self.unread("the script runs more commands than are followed".to_owned());
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
            input: self.stdin.clone(),
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
            Err(error) => self.unread(format!("a command in it could not be read: {error}")),
        }
    }

    pub(super) fn deeper(&mut self, walk: impl FnOnce(&mut Self)) {
        if self.depth >= MAX_DEPTH {
            self.unread("commands are nested deeper than is followed".to_owned());
            return;
        }
        self.depth += 1;
        walk(self);
        self.depth -= 1;
    }

    /// Traps run while the script does, or at its end: with all that each variable holds at any time.
    fn run_traps(&mut self, state: &mut State) {
        state.unreachable = false;
        if self.traps.is_empty() {
            return;
        }
        let variables = Rc::make_mut(&mut state.variables);
        for (name, values) in &self.ever {
            let unset = || Rc::new(Variable::scalar(self.unset(name).iter().cloned()));
            let variable = Rc::make_mut(variables.entry(Rc::clone(name)).or_insert_with(unset));
            for value in values.iter() {
                variable.add(Content::Scalar(value.clone()));
            }
        }
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
