//! From the starts of a container to all programs that they lead to.
//!
//! A worklist of commands. Each is resolved to a file; the file goes on the list; what it goes on to run becomes new commands
//! (`launch`). Nothing is followed twice, and everything has a limit, so it ends whatever an image holds.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use crate::image::{Config, tree::Tree};

use super::{
    Gap, GapKind, Note, Place, Program, ProgramName, Start, StartKind, Whitelist, Workload,
    files::Files,
    list::text,
    outcome,
    script::{Dialect, Environment, Value},
    start::{self, StartWords},
    strength,
    written::Written,
};

/// LIMIT: commands that are followed.
const MAX_COMMANDS: usize = 6_000;
/// LIMIT: steps from a start to a program.
const MAX_STEPS: usize = 24;
/// LIMIT: steps that reading all scripts takes.
const MAX_SCRIPT_STEPS: usize = 300_000;

/// The work on one container.
pub(super) struct Closure<'a> {
    pub(super) files: Files<'a>,
    workload: &'a Workload,
    environment: Arc<Environment>,
    directory: Value,
    pub(super) programs: BTreeMap<ProgramName, Program>,
    pub(super) unknowns: Vec<Gap>,
    pub(super) notes: Vec<Note>,
    pub(super) never: Vec<String>,
    pub(super) starts: Vec<Start>,
    queue: VecDeque<Task>,
    commands: usize,
    /// What the container writes itself.
    pub(super) written: Written,
    pub(super) seen: BTreeSet<Key>,
    environments: Vec<Arc<Environment>>,
    /// Steps that reading scripts may still take.
    pub(super) steps: usize,
    /// How often a script was read with one first argument.
    pub(super) readings: BTreeMap<(Vec<u8>, Option<Value>), usize>,
}

/// What was followed already.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) path: Vec<u8>,
    pub(super) invoked: Vec<u8>,
    pub(super) how: How,
    pub(super) words: Vec<Value>,
    pub(super) directory: Value,
    pub(super) input: Option<Value>,
    pub(super) environment: usize,
}

/// A command to follow.
#[derive(Clone)]
pub(super) struct Task {
    pub(super) words: Vec<Value>,
    pub(super) directory: Value,
    pub(super) environment: Arc<Environment>,
    /// What stands on its input; none for what the container is given.
    pub(super) input: Option<Value>,
    pub(super) origin: Origin,
    pub(super) how: How,
}

/// Where a command comes from.
#[derive(Clone)]
pub(super) struct Origin {
    pub(super) chain: Arc<Vec<String>>,
    pub(super) place: Option<Place>,
    pub(super) why: String,
}

/// Who executes a command, which decides whether the kernel asks the profile.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum How {
    /// A process of the container, perhaps a shell of this kind.
    Child(Option<Dialect>),
    /// The runtime, at a start.
    First(StartKind),
    /// The kernel, for a `#!` line: it asks about the script alone.
    Interpreter,
    /// A process of the container, if the program is there at all.
    Perhaps,
}

impl<'a> Closure<'a> {
    pub(super) fn new(config: &Config, tree: &'a Tree, workload: &'a Workload) -> Self {
        Self {
            files: Files::new(tree, &workload.mounts),
            workload,
            environment: Arc::new(start::environment(config, workload)),
            directory: Value::known(start::directory(config, workload)),
            programs: BTreeMap::new(),
            unknowns: Vec::new(),
            notes: Vec::new(),
            never: Vec::new(),
            starts: Vec::new(),
            queue: VecDeque::new(),
            commands: 0,
            written: Written::default(),
            seen: BTreeSet::new(),
            environments: Vec::new(),
            steps: MAX_SCRIPT_STEPS,
            readings: BTreeMap::new(),
        }
    }

    /// Follows one start to its end.
    pub(super) fn start(&mut self, start: &StartWords) {
        let argv = start.words.iter().map(|word| word.bytes().map(text));
        self.starts.push(Start {
            kind: start.kind,
            argv: argv.collect(),
            program: None,
        });
        let origin = Origin {
            chain: Arc::new(Vec::new()),
            place: None,
            why: occasion(start.kind).to_owned(),
        };
        if start.words.is_empty() {
            let what = "neither the image nor the pod says what to run: set `command`";
            self.gap(GapKind::Missing, what.to_owned(), &origin);
            return;
        }
        self.push(Task {
            words: start.words.clone(),
            directory: self.directory.clone(),
            environment: Arc::clone(&self.environment),
            input: None,
            origin,
            how: How::First(start.kind),
        });
        while let Some(task) = self.queue.pop_front() {
            self.follow(&task);
        }
    }

    /// The answer.
    pub(super) fn finish(mut self) -> Whitelist {
        for path in &self.workload.allow_exec {
            let origin = Origin {
                chain: Arc::new(Vec::new()),
                place: None,
                why: "it was asked for".to_owned(),
            };
            match self.files.resolve(path.as_bytes()) {
                Ok(found) if path.starts_with('/') && found.is_executable() => {
                    self.list(&found, &origin);
                }
                _ => {
                    let what = format!(
                        "`{}` was asked for and is no program of the image",
                        text(path.as_bytes())
                    );
                    self.note(what, &origin);
                }
            }
        }
        self.tell_written();
        if self.files.was_cut() {
            let origin = Origin {
                chain: Arc::new(Vec::new()),
                place: None,
                why: String::new(),
            };
            let what = "a folder of which every file is run holds more than are followed";
            self.gap(GapKind::Unread, what.to_owned(), &origin);
        }
        let mut programs: Vec<Program> = self.programs.into_values().collect();
        programs.sort_by_cached_key(|program| program.name.to_string());
        let strength = strength::strength(&programs);
        Whitelist {
            outcome: outcome::outcome(&self.never, &self.unknowns),
            starts: self.starts,
            programs,
            unknowns: self.unknowns,
            notes: self.notes,
            strength,
        }
    }

    pub(super) fn push(&mut self, task: Task) {
        if task.origin.chain.len() >= MAX_STEPS {
            self.gap(
                GapKind::Unread,
                "programs start each other over more steps than are followed".to_owned(),
                &task.origin,
            );
            return;
        }
        self.commands += 1;
        if self.commands == MAX_COMMANDS {
            let what = "there are more commands than are followed";
            self.gap(GapKind::Unread, what.to_owned(), &task.origin);
        }
        if self.commands < MAX_COMMANDS {
            self.queue.push_back(task);
        }
    }

    fn follow(&mut self, task: &Task) {
        match task.words.first() {
            None => {}
            Some(Value::Known(name)) => {
                let name = Arc::clone(name);
                for (invoked, found) in self.locate(&name, task) {
                    self.launch(&invoked, &found, task);
                }
            }
            Some(Value::Files(pattern)) => {
                let pattern = pattern.clone();
                self.folder(pattern.folder(), &task.origin);
                for path in script_files(&self.files, &pattern) {
                    if let Ok(found) = self.files.resolve(&path)
                        && found.is_executable()
                    {
                        self.launch(&path, &found, task);
                    }
                }
            }
            Some(value) => {
                let Some(why) = value.why() else {
                    return;
                };
                let what = format!("a command whose name is not known: {why}");
                self.gap(GapKind::Dynamic, what, &task.origin);
                if let How::First(StartKind::Container) = task.how {
                    self.never(
                        "what the container runs is decided outside of what can be read".to_owned(),
                    );
                }
            }
        }
    }

    /// A number for an environment, the same for equal ones.
    pub(super) fn environment_number(&mut self, environment: &Arc<Environment>) -> usize {
        let known = self
            .environments
            .iter()
            .position(|known| Arc::ptr_eq(known, environment) || known == environment);
        known.unwrap_or_else(|| {
            self.environments.push(Arc::clone(environment));
            self.environments.len() - 1
        })
    }
}

fn script_files(files: &Files<'_>, pattern: &super::script::FilePattern) -> Vec<Vec<u8>> {
    use super::script::Files as _;
    files.matching(pattern)
}

fn occasion(kind: StartKind) -> &'static str {
    match kind {
        StartKind::Container => "the container starts with it",
        StartKind::Hook => "a lifecycle hook starts with it",
        StartKind::Probe => "a probe starts with it",
    }
}
