//! What a shell script starts.
//!
//! The script is walked once, the way a shell would, except that every branch is taken: the commands of all of them count. What is
//! known on the way (constants, `"$@"`, arrays, functions, sourced files) turns most command words into names;
//! what stays unknown is told with its place, since a program that is missed is one that the container cannot start.
//!
//! Nothing is resolved here: a [`Site`] says which words are run, not which file that is. Options of programs that run
//! others (`gosu`, `find -exec`) are read elsewhere too.

mod assignment;
mod branch;
mod builtins;
mod call;
mod choice;
mod command;
mod control;
mod decide;
mod declare;
mod expand;
mod fields;
mod guard;
mod index;
mod names;
mod number;
mod output;
mod parameter;
mod parse;
mod pattern;
mod prefix;
mod read;
mod redirect;
mod session;
mod settings;
mod source;
mod state;
mod text;
mod value;
mod variable;
mod walk;
mod way;
mod word;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc};

use super::GapKind;

pub(crate) use builtins::Dialect;
pub(crate) use output::{folder_of, last_of};
pub(crate) use pattern::{escaped, is_pattern, matches, unescaped};
pub(crate) use value::{FilePattern, Reach, Value, Values, Why};

/// The stack on which scripts are read: address space, of which only what is used is memory. What is deeper nested than it
/// allows is refused before, so it never overflows.
pub(crate) const STACK: usize = 256 << 20;

/// What is known before a script starts.
#[derive(Clone)]
pub(crate) struct Context<'a> {
    /// The file that holds it, for places.
    pub(crate) file: Arc<[u8]>,
    /// Which line of the file is its first, less one.
    pub(crate) line: usize,
    /// Which shell reads it.
    pub(crate) dialect: Dialect,
    /// `$0`
    pub(crate) name: Value,
    /// `"$@"`
    pub(crate) arguments: Vec<Value>,
    /// The environment.
    pub(crate) environment: Arc<Environment>,
    /// The working directory.
    pub(crate) directory: Value,
    /// What stands on its input; none for what the container is given.
    pub(crate) input: Option<Value>,
    /// Where sourced files are.
    pub(crate) files: &'a (dyn Files + Sync),
    /// How many steps may be taken, at most [`MAX_STEPS`].
    pub(crate) steps: usize,
}

/// LIMIT: steps taken in one script: words and commands looked at, counted each time, and by their size. It bounds the time.
pub(crate) const MAX_STEPS: usize = 60_000;

/// The variables that a script gets.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Environment {
    /// What each may hold.
    pub(crate) variables: BTreeMap<String, Values>,
    /// Set where there may be others.
    pub(crate) others: Option<Why>,
}

/// The files that a script can source, list, and follow links of.
pub(crate) trait Files {
    /// What stands under an absolute path.
    fn text(&self, path: &[u8]) -> Source;
    /// The paths of the files of a pattern.
    fn matching(&self, pattern: &FilePattern) -> Vec<Vec<u8>>;
    /// The path without links.
    fn real(&self, path: &[u8]) -> Option<Vec<u8>>;
}

/// A file that is to be sourced.
pub(crate) enum Source {
    /// There is none.
    Missing,
    /// It cannot be looked into.
    Opaque(GapKind, Why),
    /// A script.
    Text(Arc<[u8]>),
}

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Line {
    pub(crate) file: Arc<[u8]>,
    pub(crate) line: usize,
}

/// A command that runs a program.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Site {
    pub(crate) place: Line,
    pub(crate) way: SiteKind,
    /// The function it stands in.
    pub(crate) function: Option<String>,
    /// Its words; the first is the program.
    pub(crate) words: Vec<Value>,
    /// Where it runs.
    pub(crate) directory: Value,
    /// What stands on its input; none for what the container is given.
    pub(crate) input: Option<Value>,
}

/// How a command comes to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SiteKind {
    /// As a command.
    Command,
    /// In an `eval`.
    Eval,
    /// By `exec`: it takes the shell's place.
    Exec,
    /// In `$(…)` or `<(…)`.
    Substitution,
    /// In a `trap`.
    Trap,
}

/// Something that could not be told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Gap {
    pub(crate) place: Line,
    pub(crate) kind: GapKind,
    /// One line, lower case.
    pub(crate) what: String,
}

/// A file that a script reads into itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Sourced {
    pub(crate) place: Line,
    pub(crate) path: Vec<u8>,
}

/// All that a script says about what it starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    /// The commands, in the order in which they were met.
    pub(crate) sites: Vec<Site>,
    /// The files that were read into it.
    pub(crate) sourced: Vec<Sourced>,
    /// The files that it would read into itself if they were there, and tests for before.
    pub(crate) missing: Vec<Sourced>,
    /// Folders of which it sources or runs what is there, whatever that is.
    pub(crate) folders: Vec<Sourced>,
    /// Files that redirections write.
    pub(crate) written: Vec<Sourced>,
    /// What could not be told.
    pub(crate) unknowns: Vec<Gap>,
    /// How many steps were taken.
    pub(crate) steps: usize,
    /// The environment of what it starts: every value that an exported variable has at any time.
    pub(crate) environment: Environment,
}

/// Whether the stack can be had on which scripts are read: where it cannot, each is told as not read.
///
/// # Errors
/// What the system says.
pub fn can_read_scripts() -> std::io::Result<()> {
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(|| {})?;
    thread
        .join()
        .map_err(|_| std::io::Error::other("a thread ended early"))
}

/// Reads a script.
pub(crate) fn read(text: &[u8], context: &Context<'_>) -> Reading {
    // A stack of a known size, so that the limits on nesting hold whoever calls.
    let reading = std::thread::scope(|scope| {
        std::thread::Builder::new()
            .stack_size(STACK)
            .spawn_scoped(scope, || read::read(text, context))
            .ok()
            .and_then(|thread| thread.join().ok())
    });
    reading.unwrap_or_else(|| Reading {
        unknowns: vec![Gap {
            place: Line {
                file: Arc::clone(&context.file),
                line: 1,
            },
            kind: GapKind::Unread,
            what: "the script could not be read: reading it failed".to_owned(),
        }],
        environment: Environment::clone(&context.environment),
        ..Reading::default()
    })
}
