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
    Gap, GapKind, Kind, Note, Place, Program, ProgramName, Reason, Start, StartKind, Whitelist,
    Workload,
    files::{self, Files, Found, Lost, What, join},
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
/// LIMIT: reasons told of one program, and things told as unknown or noted.
const MAX_REASONS: usize = 8;
const MAX_GAPS: usize = 500;
const MAX_NOTES: usize = 300;

/// The work on one container.
pub(super) struct Closure<'a> {
    pub(super) files: Files<'a>,
    workload: &'a Workload,
    environment: Arc<Environment>,
    directory: Value,
    programs: BTreeMap<ProgramName, Program>,
    unknowns: Vec<Gap>,
    notes: Vec<Note>,
    never: Vec<String>,
    starts: Vec<Start>,
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
    pub(super) environment: usize,
}

/// A command to follow.
#[derive(Clone)]
pub(super) struct Task {
    pub(super) words: Vec<Value>,
    pub(super) directory: Value,
    pub(super) environment: Arc<Environment>,
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

    /// The files that a command's first word can be, with the names by which they are started.
    fn locate(&mut self, name: &[u8], task: &Task) -> Vec<(Vec<u8>, Found<'a>)> {
        let mut found = Vec::new();
        if name.contains(&b'/') {
            let Some(path) = absolute(name, &task.directory) else {
                let what = format!("`{}` is started in a folder that is not known", text(name));
                self.gap(GapKind::Dynamic, what, &task.origin);
                return found;
            };
            let why = match self.files.resolve(&path) {
                Ok(file) if file.is_executable() => {
                    found.push((path, file));
                    return found;
                }
                Ok(_) => "is no file that can be executed",
                Err(lost) => in_words(lost),
            };
            self.missing_path(&format!("`{}` {why}", text(&path)), task);
            return found;
        }
        let paths = task
            .environment
            .variables
            .get("PATH")
            .cloned()
            .unwrap_or_default();
        for path in paths.iter() {
            let Value::Known(path) = path else {
                let what = format!("`{}` is looked for in a PATH that is not known", text(name));
                self.gap(GapKind::Dynamic, what, &task.origin);
                continue;
            };
            if let Some(file) = self.search(name, path, task)
                && !found.iter().any(|(invoked, _)| *invoked == file.0)
            {
                found.push(file);
            }
        }
        if found.is_empty() && paths.iter().all(|path| path.bytes().is_some()) {
            self.missing_name(&format!("`{}` is in no folder of PATH", text(name)), task);
        }
        found
    }

    /// The first program of a name in the folders of a PATH, as execvp(3) and Go's `LookPath` look for it.
    fn search(&mut self, name: &[u8], path: &[u8], task: &Task) -> Option<(Vec<u8>, Found<'a>)> {
        for folder in path.split(|byte| *byte == b':').take(256) {
            // A relative folder is no place where runtimes look; shells do.
            if folder.first() != Some(&b'/') && matches!(task.how, How::First(_)) {
                continue;
            }
            let Some(folder) = absolute(folder, &task.directory) else {
                let what = format!(
                    "`{}` is looked for in a folder that is not known",
                    text(name)
                );
                self.gap(GapKind::Dynamic, what, &task.origin);
                continue;
            };
            let path = join(&folder, name);
            match self.files.resolve(&path) {
                Ok(Found {
                    what: What::Volume(mount),
                    ..
                }) => {
                    let what = format!(
                        "programs are looked for in `{}`, of which nothing is known: {}",
                        text(&folder),
                        files::volume(mount)
                    );
                    self.gap(
                        GapKind::Volume,
                        what,
                        &Origin {
                            place: None,
                            ..task.origin.clone()
                        },
                    );
                }
                Ok(found) if found.is_executable() => return Some((path, found)),
                _ => {
                    let folder = self.real_folder(&folder);
                    self.written.searched(&folder, name);
                }
            }
        }
        None
    }

    /// A path that leads to no program: the image is read, not the container, in which the script that names it may have
    /// written it.
    fn missing_path(&mut self, what: &str, task: &Task) {
        match task.how {
            How::Perhaps => {}
            How::Child(_) | How::First(_) | How::Interpreter => {
                self.gap(GapKind::Missing, what.to_owned(), &task.origin);
            }
        }
    }

    /// A name that PATH leads to no program: the end for a start, else a branch for another system.
    ///
    /// Where the container writes it itself, that is told in the end (`written`).
    fn missing_name(&mut self, what: &str, task: &Task) {
        match task.how {
            How::Child(_) => self.note(what.to_owned(), &task.origin),
            How::Perhaps => {}
            How::First(_) | How::Interpreter => {
                self.gap(GapKind::Missing, what.to_owned(), &task.origin);
            }
        }
    }

    /// A folder of which whatever is there is run or sourced.
    pub(super) fn folder(&mut self, folder: &[u8], origin: &Origin) {
        let mounts = self.files.unknown_mounts(folder);
        for mount in &mounts {
            let what = format!(
                "whatever is in `{}` is run: {}",
                text(folder),
                files::volume(mount)
            );
            self.gap(GapKind::Volume, what, origin);
        }
        if mounts.is_empty() {
            let what = format!(
                "whatever is in `{}` is run: files that are mounted there are not on the list",
                text(folder)
            );
            self.note(what, origin);
        }
    }

    /// Puts a program on the list.
    pub(super) fn list(&mut self, found: &Found<'_>, origin: &Origin) {
        let program = self
            .programs
            .entry(found.name())
            .or_insert_with_key(|name| Program {
                name: name.clone(),
                kind: kind_of(found),
                reasons: Vec::new(),
            });
        let reason = Reason {
            why: origin.why.clone(),
            place: origin.place.clone(),
            chain: origin.chain.to_vec(),
        };
        let same = |known: &Reason| known.why == reason.why && known.place == reason.place;
        if program.reasons.len() < MAX_REASONS && !program.reasons.iter().any(same) {
            program.reasons.push(reason);
        }
    }

    /// Remembers what the last start begins with.
    pub(super) fn begins_with(&mut self, found: &Found<'_>) {
        if let Some(start) = self.starts.last_mut() {
            start.program.get_or_insert_with(|| found.name());
        }
    }

    pub(super) fn gap(&mut self, kind: GapKind, what: String, origin: &Origin) {
        let same = |gap: &Gap| gap.kind == kind && gap.what == what && gap.place == origin.place;
        if self.unknowns.len() < MAX_GAPS && !self.unknowns.iter().any(same) {
            self.unknowns.push(Gap {
                kind,
                what,
                place: origin.place.clone(),
                chain: origin.chain.to_vec(),
            });
        }
    }

    pub(super) fn note(&mut self, what: String, origin: &Origin) {
        let note = Note {
            what,
            place: origin.place.clone(),
        };
        if self.notes.len() < MAX_NOTES && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    pub(super) fn never(&mut self, why: String) {
        if self.never.len() < MAX_REASONS && !self.never.contains(&why) {
            self.never.push(why);
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

/// A path from a folder.
pub(super) fn absolute(path: &[u8], directory: &Value) -> Option<Vec<u8>> {
    if path.first() == Some(&b'/') {
        Some(path.to_vec())
    } else {
        Some(join(directory.bytes()?, path))
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

fn in_words(lost: Lost) -> &'static str {
    match lost {
        Lost::Loop => "leads over too many links",
        Lost::Missing => "is not there",
        Lost::NotDirectory => "leads through something that is no folder",
    }
}

fn kind_of(found: &Found<'_>) -> Kind {
    use crate::image::tree::{Content, Linkage};
    match &found.what {
        What::File(file) => match &file.content {
            Content::Elf(elf) => match elf.linkage {
                Linkage::Dynamic => Kind::Dynamic,
                Linkage::Static => Kind::Static,
            },
            Content::Head(head) if head.starts_with(b"#!") => Kind::Script,
            Content::Head(_) => Kind::Opaque,
            Content::Text(_) => Kind::Script,
        },
        What::Config { file, .. } if file.text.is_some() => Kind::Script,
        _ => Kind::Opaque,
    }
}
