//! What `$(…)` gives, where that can be told: paths that launchers compute from their own, names that `command -v` finds,
//! files that `find` and `ls` list. What is run in it is read in any case.

use std::sync::Arc;

use brush_parser::ast::{
    AndOr, Command, CommandPrefixOrSuffixItem, IoFileRedirectKind, IoRedirect, Pipeline, Program,
    SimpleCommand,
};

use super::{
    Dialect, FilePattern, Reach, SiteKind,
    command::{absolute, below},
    read::Reader,
    state::{State, Words},
    value::{Value, Values},
};

impl Reader<'_> {
    /// What a command gives to the next one of its pipe.
    pub(super) fn piped(&mut self, command: &Command, state: &mut State) -> Value {
        let shown: String = command.to_string().chars().take(60).collect();
        let shown = shown.lines().next().unwrap_or_default();
        let unknown = || Value::unknown(format!("the output of `{shown}`"));
        if writes_elsewhere(command) {
            return unknown();
        }
        let Some(ways) = self.words_of(command, state) else {
            return unknown();
        };
        let [words] = ways.as_slice() else {
            return unknown();
        };
        match self.output(words, state).as_slice() {
            [Some(value)] => value.clone(),
            _ => unknown(),
        }
    }

    /// Walks a substitution, and tells what it may give.
    pub(super) fn substitution(&mut self, text: &str, line: usize, state: &mut State) -> Values {
        let first_line = self.line.saturating_sub(1) + line;
        let mut inner = state.clone();
        self.inner(text, first_line, SiteKind::Substitution, &mut inner);
        let Ok(program) = self.parse(text) else {
            return Values::one(Value::unknown("the output of a command"));
        };
        let before = (self.first_line, self.line, self.way);
        (self.first_line, self.way) = (first_line, SiteKind::Substitution);
        let values = self.given(&program, state);
        (self.first_line, self.line, self.way) = before;
        values
    }

    fn given(&mut self, program: &Program, state: &mut State) -> Values {
        let unknown = || {
            Values::one(Value::unknown(format!(
                "the output of `{}`",
                shown(program)
            )))
        };
        let mut state = state.clone();
        let mut last = None;
        for list in &program.complete_commands {
            for item in &list.0 {
                let mut pipelines = vec![&item.0.first];
                for next in &item.0.additional {
                    match next {
                        AndOr::And(pipeline) => pipelines.push(pipeline),
                        AndOr::Or(_) => {}
                    }
                }
                for pipeline in pipelines {
                    if let Some(previous) = last.replace(pipeline)
                        && !self.changes_folder(previous, &mut state)
                    {
                        return unknown();
                    }
                }
            }
        }
        let Some(pipeline) = last else {
            return Values::one(Value::known(""));
        };
        let [command] = pipeline.seq.as_slice() else {
            let listed = pipeline
                .seq
                .first()
                .and_then(|command| self.listed_files(command, &mut state));
            return listed.map_or_else(unknown, |files| Values::one(Value::Files(files)));
        };
        if writes_elsewhere(command) {
            return unknown();
        }
        if let Some(files) = self.listed_files(command, &mut state) {
            return Values::one(Value::Files(files));
        }
        let Some(ways) = self.words_of(command, &mut state) else {
            return unknown();
        };
        ways.iter()
            .flat_map(|words| self.output(words, &state))
            .map(|value| {
                value.unwrap_or_else(|| {
                    Value::unknown(format!("the output of `{}`", shown(program)))
                })
            })
            .collect()
    }

    /// Goes to the folder of a `cd`; false for other commands.
    fn changes_folder(&mut self, pipeline: &Pipeline, state: &mut State) -> bool {
        let [command] = pipeline.seq.as_slice() else {
            return false;
        };
        let Some(ways) = self.words_of(command, state) else {
            return false;
        };
        let mut directories = Values::default();
        for words in &ways {
            let [Value::Known(cd), rest @ ..] = words.as_slice() else {
                return false;
            };
            if &cd[..] != b"cd" {
                return false;
            }
            let target = rest
                .iter()
                .find(|word| word.bytes().is_none_or(|word| !word.starts_with(b"-")));
            for directory in state.directory.iter() {
                directories.insert(match target {
                    Some(Value::Known(target)) => absolute(target, directory).map_or_else(
                        || Value::unknown("a folder that is not known"),
                        Value::known,
                    ),
                    _ => Value::unknown("a folder that is not known"),
                });
            }
        }
        state.directory = directories;
        true
    }

    fn words_of(&mut self, command: &Command, state: &mut State) -> Option<Vec<Words>> {
        let Command::Simple(SimpleCommand {
            word_or_name: Some(name),
            suffix,
            ..
        }) = command
        else {
            return None;
        };
        if state.functions.contains_key(name.value.as_str()) {
            return None;
        }
        let mut words = vec![name];
        for item in suffix.iter().flat_map(|suffix| &suffix.0) {
            match item {
                CommandPrefixOrSuffixItem::Word(word)
                | CommandPrefixOrSuffixItem::AssignmentWord(_, word) => {
                    words.push(word);
                }
                CommandPrefixOrSuffixItem::IoRedirect(_) => {}
                CommandPrefixOrSuffixItem::ProcessSubstitution(..) => return None,
            }
        }
        // Both are looked at a second time here; sites and gaps are told once.
        Some(self.command_words(words, state))
    }

    /// The output of one command, without the newlines at its end.
    fn output(&self, words: &Words, state: &State) -> Vec<Option<Value>> {
        let Some((name, arguments)) = words.split_first() else {
            return vec![Some(Value::known(""))];
        };
        let Some(name) = name.bytes() else {
            return vec![None];
        };
        let name = name.rsplit(|byte| *byte == b'/').next().unwrap_or(name);
        let operands: Vec<&Value> = arguments
            .iter()
            .filter(|word| word.bytes().is_none_or(|word| !word.starts_with(b"-")))
            .collect();
        match (name, operands.as_slice()) {
            (b"mktemp", _) => vec![Some(Value::Numbered(Arc::from(&b"/tmp/0"[..])))],
            (b"pwd", _) => state.directory.iter().cloned().map(Some).collect(),
            (b"echo", _) => vec![
                Some(super::way::joined(
                    &operands
                        .iter()
                        .map(|value| (*value).clone())
                        .collect::<Vec<_>>(),
                ))
                .filter(|_| {
                    operands.len() == arguments.len()
                        || arguments.first().and_then(Value::bytes) == Some(b"-n")
                })
                // dash and ksh read `\0141` and its like as characters.
                .filter(|text| {
                    self.context.dialect == Dialect::Bash
                        || text.script().is_none_or(|text| !text.contains(&b'\\'))
                }),
            ],
            (b"printf", _) => vec![printed(arguments)],
            (b"dirname", [Value::Known(path)]) => vec![Some(Value::known(folder_of(path)))],
            (b"basename", [Value::Known(path)]) => vec![Some(Value::known(last_of(path)))],
            (b"which", [Value::Known(program)]) => vec![Some(Value::Known(Arc::clone(program)))],
            (b"command" | b"type", [Value::Known(program)])
                if arguments.len() > 1
                    && !self.context.dialect.has(&String::from_utf8_lossy(program)) =>
            {
                vec![Some(Value::Known(Arc::clone(program)))]
            }
            (b"readlink" | b"realpath", [Value::Known(path)])
                if name == b"realpath" || arguments.len() > 1 =>
            {
                state
                    .directory
                    .iter()
                    .map(|directory| {
                        let path = absolute(path, directory)?;
                        // What is not there yet keeps its name.
                        Some(Value::known(self.context.files.real(&path).unwrap_or(path)))
                    })
                    .collect()
            }
            _ => vec![None],
        }
    }

    /// The files that a `find` or `ls` lists.
    pub(super) fn listed_files(
        &mut self,
        command: &Command,
        state: &mut State,
    ) -> Option<FilePattern> {
        let ways = self.words_of(command, state)?;
        let [words] = ways.as_slice() else {
            return None;
        };
        let (name, arguments) = words.split_first()?;
        match name.bytes()? {
            b"find" => {
                let folder = arguments
                    .iter()
                    .find(|word| word.bytes().is_none_or(|word| !word.starts_with(b"-")))?;
                let filters = arguments
                    .windows(2)
                    .filter(|pair| matches!(pair, [Value::Known(test), _] if &test[..] == b"-name"))
                    .filter_map(|pair| match pair.get(1)? {
                        Value::Known(pattern) => Some(Arc::from([b"*/", &pattern[..]].concat())),
                        _ => None,
                    })
                    .collect();
                // A search of several folders is followed in none.
                let path = absolute(folder.bytes()?, one(state)?)?;
                Some(below(trimmed(&path), filters))
            }
            b"ls" => {
                let operands: Vec<&Value> = arguments
                    .iter()
                    .filter(|word| word.bytes().is_none_or(|word| !word.starts_with(b"-")))
                    .collect();
                match operands.as_slice() {
                    [Value::Files(files)] => Some(files.clone()),
                    _ => None,
                }
            }
            b"echo" | b"printf" => match arguments {
                [Value::Files(files)] | [_, Value::Files(files)] => Some(files.clone()),
                _ => None,
            },
            b"run-parts" => {
                let folder = arguments.last()?.bytes()?;
                let listed = arguments
                    .iter()
                    .any(|word| matches!(word.bytes(), Some(b"--list" | b"--test")));
                listed.then(|| FilePattern {
                    path: Arc::from([super::escaped(folder), b"/*".to_vec()].concat()),
                    reach: Reach::Matching,
                    filters: Vec::new(),
                })
            }
            _ => None,
        }
    }
}

/// What `printf` gives for formats that only put words in a row.
pub(super) fn printed(arguments: &[Value]) -> Option<Value> {
    let (format, values) = arguments.split_first()?;
    let mut text = Vec::new();
    let mut values = values.iter();
    let mut format = format.bytes()?.iter();
    while let Some(byte) = format.next() {
        match byte {
            b'%' => match format.next()? {
                b's' => match values.next() {
                    Some(Value::Known(value)) => text.extend_from_slice(value),
                    None => {}
                    Some(_) => return None,
                },
                b'%' => text.push(b'%'),
                _ => return None,
            },
            b'\\' => match format.next()? {
                b'n' => text.push(b'\n'),
                b't' => text.push(b'\t'),
                _ => return None,
            },
            byte => text.push(*byte),
        }
    }
    values.next().is_none().then(|| {
        while text.last() == Some(&b'\n') {
            text.pop();
        }
        Value::known(text)
    })
}

/// Whether what a command writes goes elsewhere than into its pipe.
fn writes_elsewhere(command: &Command) -> bool {
    let Command::Simple(simple) = command else {
        return false;
    };
    let prefix = simple.prefix.iter().flat_map(|prefix| &prefix.0);
    let suffix = simple.suffix.iter().flat_map(|suffix| &suffix.0);
    prefix.chain(suffix).any(|item| match item {
        CommandPrefixOrSuffixItem::IoRedirect(IoRedirect::File(descriptor, kind, _)) => {
            matches!(descriptor, None | Some(1))
                && !matches!(
                    kind,
                    IoFileRedirectKind::DuplicateInput | IoFileRedirectKind::Read
                )
        }
        CommandPrefixOrSuffixItem::IoRedirect(IoRedirect::OutputAndError(..)) => true,
        _ => false,
    })
}

fn one(state: &State) -> Option<&Value> {
    let mut directories = state.directory.iter();
    directories.next().filter(|_| directories.next().is_none())
}

fn trimmed(path: &[u8]) -> &[u8] {
    match path {
        [b'/'] => path,
        [rest @ .., b'/'] => trimmed(rest),
        path => path,
    }
}

/// dirname(1)
pub(crate) fn folder_of(path: &[u8]) -> &[u8] {
    let path = trimmed(path);
    match path.iter().rposition(|byte| *byte == b'/') {
        None => b".",
        Some(0) => b"/",
        Some(end) => trimmed(path.get(..end).unwrap_or_default()),
    }
}

/// basename(1)
pub(crate) fn last_of(path: &[u8]) -> &[u8] {
    let path = trimmed(path);
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) if path.len() > 1 => path.get(at + 1..).unwrap_or_default(),
        _ => path,
    }
}

fn shown(program: &Program) -> String {
    let text = program.to_string();
    let line = text.lines().next().unwrap_or_default().trim();
    let mut short: String = line.chars().take(60).collect();
    if short.len() < line.len() {
        short.push('…');
    }
    short
}
