//! Simple commands: what their words are, and what a shell does with them: a function, a builtin, or a program to start.

use std::{rc::Rc, sync::Arc};

use brush_parser::ast::{
    Assignment, AssignmentName, AssignmentValue, CommandPrefixOrSuffixItem, SimpleCommand, Word,
};

use super::{
    FilePattern, Reach, SiteKind,
    read::{Reader, Trap},
    settings::shift,
    state::{Content, State, Variable, Words},
    value::{MAX_BYTES, Value, Values, Why, too_long},
    word,
};

/// The variable under which text that is not known is put into an `eval`, so that what surrounds it can be read.
const HOLE: &str = "__not_known__";

impl Reader<'_> {
    pub(super) fn simple(&mut self, command: &SimpleCommand, state: &mut State) {
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
        let mut words: Vec<&Word> = vec![name];
        let mut declared = Vec::new();
        for item in suffix {
            match item {
                CommandPrefixOrSuffixItem::AssignmentWord(assignment, word) => {
                    declared.push(assignment);
                    words.push(word);
                }
                CommandPrefixOrSuffixItem::Word(word) => words.push(word),
                item => self.item(item, state),
            }
        }
        if is_declaration(&name.value) && !state.functions.contains_key(name.value.as_str()) {
            self.declare(&name.value, &words, &declared, state);
            return;
        }
        // POSIX, Shell Command Language, 2.9.1: the words come out first, so what is assigned before them does not count in them.
        let ways = self.command_words(words, state);
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

    pub(super) fn assignment(&mut self, assignment: &Assignment, state: &mut State) {
        if assignment.loc.start.line > 0 {
            self.line = self.first_line + assignment.loc.start.line;
        }
        match (&assignment.name, &assignment.value) {
            (AssignmentName::VariableName(name), AssignmentValue::Scalar(word)) => {
                let values = self.word_values(&word.value, state);
                let values = if assignment.append {
                    self.appended(name, &values, state)
                } else {
                    Variable::scalar(values.iter().cloned())
                };
                self.assign(name, values, state);
            }
            (AssignmentName::VariableName(name), AssignmentValue::Array(elements)) => {
                let mut lists = if assignment.append {
                    self.list_variable(name, state)
                } else {
                    vec![Words::new()]
                };
                for (key, element) in elements {
                    if let Some(key) = key {
                        self.word_values(&key.value, state);
                    }
                    let ways = self.word_ways(&element.value, state);
                    let mut next = Vec::new();
                    for list in &lists {
                        for way in ways.iter().take(8) {
                            let mut list = list.clone();
                            list.extend(way.iter().cloned());
                            super::state::add_list(&mut next, list);
                        }
                    }
                    lists = next;
                }
                let mut variable = Variable::default();
                for list in lists {
                    variable.add(Content::List(list));
                }
                self.assign(name, variable, state);
            }
            (AssignmentName::ArrayElementName(name, index), value) => {
                self.word_values(index, state);
                if let AssignmentValue::Scalar(word) = value {
                    self.word_values(&word.value, state);
                }
                let why = Why::new(format!("an element of `{name}`"));
                self.assign(name, Variable::list(vec![Value::Rest(why)]), state);
            }
        }
    }

    /// `name+=text`
    fn appended(&mut self, name: &str, values: &Values, state: &mut State) -> Variable {
        let before = self.variable(name, state);
        let mut variable = Variable::default();
        for one in before.iter() {
            for other in values.iter() {
                variable.add(Content::Scalar(match (one, other) {
                    (Value::Known(one), Value::Known(other))
                        if one.len() + other.len() > MAX_BYTES =>
                    {
                        too_long()
                    }
                    (Value::Known(one), Value::Known(other)) => {
                        Value::known([&one[..], &other[..]].concat())
                    }
                    (value, Value::Known(_)) | (_, value) => value.blurred(),
                }));
            }
        }
        variable
    }

    /// Runs one way a command comes out.
    fn run(&mut self, words: &Words, lookup: Lookup, state: &mut State) {
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
            "mapfile" | "readarray" => {
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
            "printf" => {
                if let [Value::Known(option), target, rest @ ..] = words
                    && &option[..] == b"-v"
                {
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
            "enable" if !words.is_empty() => {
                self.gap("a builtin that is switched on or off".to_owned());
            }
            _ => {}
        }
    }

    fn exec(&mut self, words: &[Value], state: &mut State) {
        let mut rest = words;
        while let [Value::Known(option), behind @ ..] = rest {
            rest = match &option[..] {
                b"-a" => behind.get(1..).unwrap_or_default(),
                b"--" => {
                    rest = behind;
                    break;
                }
                b"-c" | b"-l" | b"-cl" | b"-lc" => behind,
                _ => break,
            };
        }
        match rest {
            [] => {}
            [Value::Known(empty), ..] if empty.is_empty() => state.unreachable = true,
            [Value::Rest(_), behind @ ..] => {
                self.site(rest.to_vec(), SiteKind::Exec, state);
                if behind.is_empty() {
                    // It may come to nothing: `exec` without words goes on.
                    return;
                }
                self.exec(behind, state);
            }
            [first, ..] => {
                if let Value::Files(files) = first {
                    self.folder(files);
                }
                self.site(rest.to_vec(), SiteKind::Exec, state);
                state.unreachable = true;
            }
        }
    }

    fn command_builtin(&mut self, name: &str, words: &[Value], state: &mut State) {
        let mut rest = words;
        while let [Value::Known(option), behind @ ..] = rest {
            match &option[..] {
                b"-v" | b"-V" | b"-pv" | b"-pV" | b"-vp" => return,
                b"-p" | b"--" => rest = behind,
                _ => break,
            }
        }
        let lookup = if name == "builtin" {
            Lookup::Builtins
        } else {
            Lookup::NoFunctions
        };
        self.run(&rest.to_vec(), lookup, state);
    }

    fn eval(&mut self, words: &[Value], state: &mut State) {
        let mut text = String::new();
        let mut missing = None;
        for word in words {
            if !text.is_empty() {
                text.push(' ');
            }
            if let Some(bytes) = word.script() {
                text.push_str(&String::from_utf8_lossy(bytes));
            } else {
                missing = word.why();
                text.push('$');
                text.push_str(HOLE);
            }
        }
        if let Some(why) = missing {
            self.gap(format!("an `eval` of text that is not known: {why}"));
            let hole = Variable::list(vec![Value::Rest(why)]);
            Rc::make_mut(&mut state.variables).insert(Rc::from(HOLE), Rc::new(hole));
            if words.first().is_some_and(|word| word.script().is_none()) {
                return;
            }
        }
        if text.contains('\u{fffd}') {
            self.unread("an `eval` of text that is no UTF-8".to_owned());
            return;
        }
        let line = self.line.saturating_sub(1);
        self.inner(&text, line, SiteKind::Eval, state);
    }

    fn trap(&mut self, words: &[Value]) {
        let words = match words {
            [Value::Known(dashes), rest @ ..] if &dashes[..] == b"--" => rest,
            words => words,
        };
        match words {
            [] | [_] => {}
            [Value::Known(text) | Value::Numbered(text), ..] => {
                let text = String::from_utf8_lossy(text).into_owned();
                if !text.is_empty() && !text.starts_with('-') && text.parse::<u8>().is_err() {
                    let place = self.place();
                    // LIMIT: traps of one script.
                    if self.traps.len() < 64 {
                        self.traps.push(Trap { text, place });
                    } else {
                        self.unread("more traps than are followed".to_owned());
                    }
                }
            }
            [first, ..] => {
                if let Some(why) = first.why() {
                    self.gap(format!("a `trap` of text that is not known: {why}"));
                }
            }
        }
    }

    fn return_from(&mut self, state: &mut State) {
        if let Some(frame) = self.frames.last_mut() {
            // LIMIT: returns of one call that are kept apart; the last stands for the rest, joined below by its caller.
            if frame.returns.len() < 64 {
                frame.returns.push(state.clone());
                state.unreachable = true;
            }
        } else {
            state.unreachable = true;
        }
    }
}

/// What a name may mean.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lookup {
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
fn has_option(word: &Value, letter: u8) -> bool {
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
