//! Simple commands: what their words are, and what a shell does with them: a function, a builtin, or a program to start.

use std::sync::Arc;

use brush_parser::{
    SourceSpan,
    ast::{CommandPrefixOrSuffixItem, SimpleCommand, Word},
};

use super::{
    FilePattern, Reach, SiteKind,
    read::Reader,
    settings::shift,
    state::{State, Variable, Words},
    value::{Value, Values, Why},
    way::combine,
    word,
};

impl Reader<'_> {
    pub(super) fn simple(&mut self, command: &SimpleCommand, state: &mut State) {
        let outer = self.stdin.clone();
        self.simple_with_input(command, state);
        let is_exec = command
            .word_or_name
            .as_ref()
            .is_some_and(|name| name.value == "exec");
        // `exec < file` leads the input of what follows elsewhere.
        if is_exec && self.stdin != outer {
            self.stdin = Some(Value::unknown("what an `exec` leads there"));
        } else {
            self.stdin = outer;
        }
    }

    fn simple_with_input(&mut self, command: &SimpleCommand, state: &mut State) {
        if let Some(word) = &command.word_or_name {
            self.at_word(word);
        }
        let prefix = command.prefix.iter().flat_map(|prefix| &prefix.0);
        let mut assignments = Vec::new();
        for item in prefix {
            match item {
                CommandPrefixOrSuffixItem::AssignmentWord(assignment, _) => {
                    assignments.push(assignment);
                }
                item => self.item(item, state),
            }
        }
        let Some(name) = &command.word_or_name else {
            for assignment in assignments {
                self.assignment(assignment, state);
            }
            return;
        };
        let suffix: Vec<&CommandPrefixOrSuffixItem> =
            command.suffix.iter().flat_map(|suffix| &suffix.0).collect();
        let mut words = vec![Put::Word(name)];
        let mut declared = Vec::new();
        for item in suffix {
            match item {
                CommandPrefixOrSuffixItem::AssignmentWord(assignment, word) => {
                    declared.push(assignment);
                    words.push(Put::Word(word));
                }
                CommandPrefixOrSuffixItem::Word(word) => words.push(Put::Word(word)),
                item @ CommandPrefixOrSuffixItem::ProcessSubstitution(_, subshell) => {
                    self.item(item, state);
                    words.push(Put::Pipe(subshell.loc.clone()));
                }
                item @ CommandPrefixOrSuffixItem::IoRedirect(_) => self.item(item, state),
            }
        }
        if is_declaration(&name.value) && !state.functions.contains_key(name.value.as_str()) {
            let words: Vec<&Word> = words.iter().filter_map(Put::word).collect();
            self.declare(&name.value, &words, &declared, state);
            return;
        }
        // POSIX, Shell Command Language, 2.9.1: the words come out first, so what is assigned before them does not count in them.
        let ways = self.words_with_pipes(&words, state);
        let outer = self.assignments_before(&assignments, state);
        self.at_word(name);
        let before = state.clone();
        for (index, words) in ways.iter().enumerate() {
            let mut own = before.clone();
            self.run(words, Lookup::Everything, &mut own);
            if index == 0 {
                *state = own;
            } else {
                self.join(state, &own);
            }
        }
        if !state.unreachable {
            self.after_assignments(outer, &ways, state);
        }
    }

    fn item(&mut self, item: &CommandPrefixOrSuffixItem, state: &mut State) {
        match item {
            CommandPrefixOrSuffixItem::IoRedirect(redirect) => self.redirect(redirect, state),
            CommandPrefixOrSuffixItem::ProcessSubstitution(_, subshell) => {
                let mut inner = state.clone();
                self.substituted(&subshell.list, &mut inner);
            }
            CommandPrefixOrSuffixItem::Word(_) | CommandPrefixOrSuffixItem::AssignmentWord(..) => {}
        }
    }

    /// The words of a command, among which a `<(…)` is the name of a pipe.
    fn words_with_pipes(&mut self, words: &[Put<'_>], state: &mut State) -> Vec<Words> {
        if words.iter().all(|put| put.word().is_some()) {
            return self.command_words(words.iter().filter_map(Put::word), state);
        }
        let mut ways = vec![Words::new()];
        let mut end = None;
        for put in words {
            // The parser parts `a<(b)`, which is one word: then the words are not told apart.
            let touches = end.is_some() && put.start() == end;
            end = put.end();
            let next = match put {
                Put::Word(word) => self.command_words([*word], state),
                Put::Pipe(_) => vec![vec![Value::unknown("the name of a pipe")]],
            };
            let joins = [vec![Value::Rest(Why::new(
                "a word with the name of a pipe",
            ))]];
            ways = combine(&ways, if touches { &joins } else { &next });
        }
        ways
    }

    /// Runs one way a command comes out.
    pub(super) fn run(&mut self, words: &Words, lookup: Lookup, state: &mut State) {
        let Some((first, rest)) = words.split_first() else {
            return;
        };
        match first {
            Value::Known(name) => {
                let text = std::str::from_utf8(name).unwrap_or_default().to_owned();
                if name.is_empty() {
                    return;
                }
                if lookup == Lookup::Everything && state.functions.contains_key(text.as_str()) {
                    let mut otherwise = state.clone();
                    self.call(&text, &rest.to_vec(), state);
                    // Where a way here does not define it, the builtin or program of that name is run.
                    if otherwise.perhaps.contains(text.as_str()) {
                        self.run(words, Lookup::NoFunctions, &mut otherwise);
                        self.join(state, &otherwise);
                    }
                } else if lookup != Lookup::Programs && self.context.dialect.has(&text) {
                    self.builtin(&text, rest, state);
                } else {
                    self.site(words.clone(), SiteKind::Command, state);
                }
            }
            Value::Files(files) => {
                self.folder(files);
                self.site(words.clone(), SiteKind::Command, state);
            }
            Value::Numbered(_) | Value::Unknown(_) => {
                self.site(words.clone(), SiteKind::Command, state);
            }
            Value::Rest(_) => {
                self.site(words.clone(), SiteKind::Command, state);
                // Where it comes to nothing, the next word is the command.
                self.run(&rest.to_vec(), lookup, state);
            }
        }
    }

    fn builtin(&mut self, name: &str, words: &[Value], state: &mut State) {
        match name {
            "exec" => self.exec(words, state),
            "command" | "builtin" => self.command_builtin(name, words, state),
            "eval" => self.eval(words, state),
            "trap" => self.trap(words),
            "." | "source" => self.source(words, state),
            "exit" | "logout" => state.unreachable = true,
            "return" => self.return_from(state),
            "break" | "continue" => self.leave_loop(state),
            "set" => self.set(words, state),
            "shift" => shift(words, state),
            "cd" | "chdir" | "pushd" => self.change_directory(words, state),
            "popd" => {
                state.directory =
                    Values::one(Value::unknown("the folder that `popd` goes back to"));
            }
            "unset" => self.unset_names(words, state),
            "read" => self.read_names(words, state),
            "getopts" => {
                if let Some(name) = words.get(1) {
                    self.assign_to(name, &Values::one(Value::unknown("an option")), state);
                }
                self.assign_to(
                    &Value::known("OPTARG"),
                    &Values::one(Value::unknown("an option's argument")),
                    state,
                );
            }
            "mapfile" | "readarray" => self.read_lines(name, words, state),
            "printf" => {
                if let [Value::Known(option), target, rest @ ..] = words
                    && &option[..] == b"-v"
                {
                    self.named(target, state);
                    let printed = super::output::printed(rest)
                        .unwrap_or_else(|| Value::unknown("what `printf` makes"));
                    self.assign_to(target, &Values::one(printed), state);
                }
            }
            // bash expands them in scripts where it is asked to, and as `sh`.
            "alias"
                if words
                    .iter()
                    .any(|word| word.bytes().is_none_or(|word| word.contains(&b'='))) =>
            {
                self.gap("an alias, which is not followed".to_owned());
            }
            "export" | "readonly" | "declare" | "typeset" | "local" => {
                // Reached by `command export` and its like, or a name that only came out so.
                self.declare_values(name, words, state);
            }
            "hash" if words.iter().any(|word| has_option(word, b'p')) => {
                self.gap("a name that `hash -p` leads to another program".to_owned());
            }
            "[" | "test" => self.test_words(words, state),
            "compgen"
                if words.iter().any(|word| {
                    [b'C', b'F', b'W']
                        .into_iter()
                        .any(|letter| has_option(word, letter))
                }) =>
            {
                self.gap("what `compgen` runs".to_owned());
            }
            "let" => {
                for word in words {
                    self.number(&Values::one(word.clone()), state);
                }
            }
            // The last command of a pipe is then run by the shell itself.
            "shopt"
                if words
                    .iter()
                    .any(|word| word.bytes().is_none_or(|word| word == b"lastpipe")) =>
            {
                self.gap("variables that the end of a pipe sets, by `lastpipe`".to_owned());
            }
            "shopt"
                if words
                    .iter()
                    .any(|word| word.bytes().is_none_or(|word| word == b"nocasematch")) =>
            {
                self.ignores_case = true;
            }
            "fc" if words
                .iter()
                .any(|word| has_option(word, b'e') || has_option(word, b's')) =>
            {
                self.gap("a command of the history that `fc` runs".to_owned());
            }
            "enable" if !words.is_empty() => {
                self.gap("a builtin that is switched on or off".to_owned());
            }
            _ => {}
        }
    }

    /// `mapfile` and `readarray`: an array of the lines of the input.
    fn read_lines(&mut self, name: &str, words: &[Value], state: &mut State) {
        if words.iter().any(|word| has_option(word, b'C')) {
            self.gap(format!("a command that `{name} -C` runs"));
        }
        let why = Why::new(format!("what `{name}` reads"));
        match words
            .iter()
            .rev()
            .find(|word| word.bytes().is_none_or(|word| !word.starts_with(b"-")))
        {
            Some(Value::Known(array)) => {
                let array = String::from_utf8_lossy(array).into_owned();
                self.assign(&array, Variable::list(vec![Value::Rest(why)]), state);
            }
            Some(_) => state.any_changed = Some(why),
            None => self.assign("MAPFILE", Variable::list(vec![Value::Rest(why)]), state),
        }
    }
}

/// What stands among the words of a command.
enum Put<'w> {
    /// `<(…)`
    Pipe(SourceSpan),
    Word(&'w Word),
}

impl<'w> Put<'w> {
    fn word(&self) -> Option<&'w Word> {
        match self {
            Self::Pipe(_) => None,
            Self::Word(word) => Some(*word),
        }
    }

    fn start(&self) -> Option<usize> {
        match self {
            // Its `<` or `>` stands before.
            Self::Pipe(span) => span.start.index.checked_sub(1),
            Self::Word(word) => word.loc.as_ref().map(|span| span.start.index),
        }
    }

    fn end(&self) -> Option<usize> {
        match self {
            Self::Pipe(span) => Some(span.end.index),
            Self::Word(word) => word.loc.as_ref().map(|span| span.end.index),
        }
    }
}

/// What a name may mean.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lookup {
    /// A builtin, or nothing.
    Builtins,
    /// Functions, builtins, programs.
    Everything,
    /// All but functions, as `command` has it.
    NoFunctions,
    /// Programs alone.
    Programs,
}

/// A path from a folder. No link is followed and `..` stays: whoever looks it up knows the links.
pub(super) fn absolute(path: &[u8], directory: &Value) -> Option<Vec<u8>> {
    if path.first() == Some(&b'/') {
        return Some(path.to_vec());
    }
    let path = path.strip_prefix(b"./").unwrap_or(path);
    match (directory.bytes()?, path) {
        (directory, b"." | b"") => Some(directory.to_vec()),
        (b"/", path) => Some([b"/", path].concat()),
        (directory, path) => Some([directory, b"/", path].concat()),
    }
}

/// Whether a word holds a short option; a word that is not known may.
pub(super) fn has_option(word: &Value, letter: u8) -> bool {
    word.bytes().is_none_or(|word| {
        word.starts_with(b"-") && !word.starts_with(b"--") && word.contains(&letter)
    })
}

fn is_declaration(name: &str) -> bool {
    matches!(
        name,
        "declare" | "export" | "local" | "readonly" | "typeset"
    )
}

/// The folder pattern of a `read` behind `find` or `ls`.
pub(super) fn below(folder: &[u8], filters: Vec<Arc<[u8]>>) -> FilePattern {
    let pattern = FilePattern {
        path: Arc::from(folder),
        reach: Reach::Below,
        filters: Vec::new(),
    };
    if filters.is_empty() {
        pattern
    } else {
        pattern.filtered(filters)
    }
}

/// Whether a text could be the name of a variable.
pub(super) fn name_of(value: &Value) -> Option<&str> {
    let name = std::str::from_utf8(value.bytes()?).ok()?;
    word::is_name(name).then_some(name)
}
