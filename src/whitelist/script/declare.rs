//! Variables: looking up, assigning, exporting, and the builtins that do so.

use std::{rc::Rc, sync::Arc};

use brush_parser::ast::{Assignment, AssignmentName, Word};

use super::{
    command::name_of,
    fields,
    read::Reader,
    state::{Content, State, Variable, Words},
    value::{Value, Values, Why},
};

/// Variables that the shell or the runtime sets, so that they are not empty although nobody assigned them.
const SET_BY_OTHERS: &[&str] = &[
    "BASHPID",
    "BASH_COMMAND",
    "BASH_VERSINFO",
    "BASH_VERSION",
    "DIRSTACK",
    "EPOCHREALTIME",
    "EPOCHSECONDS",
    "EUID",
    "FUNCNAME",
    "GROUPS",
    "HOME",
    "HOSTNAME",
    "HOSTTYPE",
    "LINENO",
    "LOGNAME",
    "MACHTYPE",
    "OLDPWD",
    "OPTARG",
    "OPTIND",
    "OSTYPE",
    "PATH",
    "PIPESTATUS",
    "PPID",
    "RANDOM",
    "REPLY",
    "SECONDS",
    "SHELL",
    "SHLVL",
    "TERM",
    "UID",
    "USER",
];

impl Reader<'_> {
    /// The values of a variable where it is used.
    pub(super) fn variable(&self, name: &str, state: &State) -> Values {
        match name {
            "BASH_SOURCE" => return Values::one(Value::Known(Arc::clone(&self.file))),
            "PWD" => return state.directory.clone(),
            _ => {}
        }
        let mut values = match state.variables.get(name) {
            Some(variable) => variable.values(),
            None => self.unset(name),
        };
        if let Some(why) = &state.any_changed {
            values.insert(Value::Unknown(why.clone()));
        }
        values
    }

    /// The lists of an array where it is used.
    pub(super) fn list_variable(&self, name: &str, state: &State) -> Vec<Words> {
        if name == "BASH_SOURCE" {
            return vec![vec![Value::Known(Arc::clone(&self.file))]];
        }
        let mut lists = match state.variables.get(name) {
            Some(variable) => variable.lists(),
            None if SET_BY_OTHERS.contains(&name) => {
                vec![vec![Value::Rest(Why::new(format!("`{name}`")))]]
            }
            None => vec![Words::new()],
        };
        if let Some(why) = &state.any_changed {
            lists.push(vec![Value::Rest(why.clone())]);
        }
        lists
    }

    /// What a variable holds that the script did not set.
    pub(super) fn unset(&self, name: &str) -> Values {
        let environment = &self.context.environment;
        if let Some(values) = environment.variables.get(name) {
            return values.clone();
        }
        // Shells set it themselves.
        if name == "IFS" {
            return Values::one(Value::known(fields::DEFAULT));
        }
        let set_by_others = SET_BY_OTHERS.contains(&name) || is_service_link(name);
        if set_by_others {
            return Values::one(Value::unknown(format!("the variable `{name}`")));
        }
        let mut values = Values::one(Value::known(""));
        if environment.others.is_some() {
            values.insert(Value::unknown(format!("the variable `{name}`")));
        }
        values
    }

    pub(super) fn script_name(&self) -> Value {
        self.context.name.clone()
    }

    pub(super) fn assign_values(&mut self, name: &str, values: &Values, state: &mut State) {
        self.assign(name, Variable::scalar(values.iter().cloned()), state);
    }

    pub(super) fn assign(&mut self, name: &str, variable: Variable, state: &mut State) {
        // Long values are compared with each other wherever ways meet.
        self.spend(variable.size() / 64);
        let name: Rc<str> = Rc::from(name);
        if self.exports_all {
            self.exported.insert(Rc::clone(&name));
        }
        // LIMIT: variables of one script.
        if self.ever.len() < 4_000 || self.ever.contains_key(&name) {
            self.ever
                .entry(Rc::clone(&name))
                .or_default()
                .extend(variable.values().iter().cloned());
        } else if !self.exported.is_empty() {
            state.any_changed = Some(Why::new("one of too many variables to follow"));
        }
        Rc::make_mut(&mut state.variables).insert(name, Rc::new(variable));
    }

    /// Assigns to the variable that a word names.
    pub(super) fn assign_to(&mut self, name: &Value, values: &Values, state: &mut State) {
        if let Some(name) = name_of(name) {
            let name = name.to_owned();
            self.assign_values(&name, values, state);
        } else if let Some(why) = name.why() {
            state.any_changed = Some(why);
        }
    }

    /// `export`, `declare` and their like, as they are written.
    pub(super) fn declare(
        &mut self,
        builtin: &str,
        words: &[&Word],
        assignments: &[&Assignment],
        state: &mut State,
    ) {
        let written = assignments.iter().map(|assignment| &assignment.loc);
        let written: Vec<_> = written.collect();
        let others: Vec<&Word> = words
            .iter()
            .skip(1)
            .filter(|word| !is_assignment(word, &written))
            .copied()
            .collect();
        let mut options = Vec::new();
        for word in &others {
            if word.value.starts_with('-') {
                options.extend(word.value.bytes());
            }
        }
        let kind = Declaration {
            exports: builtin == "export" || options.contains(&b'x'),
            is_number: options.contains(&b'i') && builtin != "export",
            is_local: (builtin == "local" || matches!(builtin, "declare" | "typeset"))
                && !options.contains(&b'g')
                && !self.frames.is_empty(),
            is_reference: options.contains(&b'n') && builtin != "export",
            is_function: options.contains(&b'f') || options.contains(&b'F'),
        };
        if kind.is_function {
            // Another bash gets it, and may call it.
            if kind.exports {
                for word in &others {
                    if state.functions.contains_key(word.value.as_str()) {
                        self.call_somewhere(&word.value, state);
                    } else if !word.value.starts_with('-') {
                        self.gap(format!("the function `{}` is exported", word.value));
                    }
                }
            }
            return;
        }
        for assignment in assignments {
            let (AssignmentName::VariableName(name) | AssignmentName::ArrayElementName(name, _)) =
                &assignment.name;
            self.declared(name, &kind, state);
            self.assignment(assignment, state);
            if kind.is_number {
                let values = self.variable(name, state);
                self.number(&values, state);
            }
            if kind.is_reference {
                state.any_changed = Some(Why::new(format!("a variable that `{name}` refers to")));
            }
        }
        let ways = self.command_words(others, state);
        let before = state.clone();
        for (index, words) in ways.iter().enumerate() {
            let mut own = before.clone();
            self.declare_words(words, &kind, &mut own);
            if index == 0 {
                *state = own;
            } else {
                self.join(state, &own);
            }
        }
    }

    /// The same of words that only came out so.
    pub(super) fn declare_values(&mut self, builtin: &str, words: &[Value], state: &mut State) {
        let kind = Declaration {
            exports: builtin == "export",
            is_number: false,
            is_local: builtin == "local" && !self.frames.is_empty(),
            is_reference: false,
            is_function: false,
        };
        self.declare_words(words, &kind, state);
    }

    fn declare_words(&mut self, words: &[Value], kind: &Declaration, state: &mut State) {
        for word in words {
            let Value::Known(bytes) = word else {
                // The name may be any: so may what each variable holds from here on.
                state.any_changed = word.why();
                continue;
            };
            if bytes.starts_with(b"-") || bytes.starts_with(b"+") {
                // `command declare -n`, and options that only came out so.
                if !kind.exports && bytes.starts_with(b"-") && bytes.contains(&b'n') {
                    state.any_changed = Some(Why::new("a variable that another refers to"));
                }
                continue;
            }
            let (name, value) = match bytes.iter().position(|byte| *byte == b'=') {
                Some(at) => (
                    bytes.get(..at).unwrap_or_default(),
                    bytes.get(at + 1..).map(Value::known),
                ),
                None => (&bytes[..], None),
            };
            let Some(name) = name_of(&Value::known(name)).map(str::to_owned) else {
                continue;
            };
            self.declared(&name, kind, state);
            if kind.is_reference {
                state.any_changed = Some(Why::new(format!("a variable that `{name}` refers to")));
            }
            match value {
                Some(value) => self.assign_values(&name, &Values::one(value), state),
                None if kind.is_local => {
                    self.assign_values(&name, &Values::one(Value::known("")), state);
                }
                None => {}
            }
        }
    }

    fn declared(&mut self, name: &str, kind: &Declaration, state: &State) {
        let name: Rc<str> = Rc::from(name);
        if kind.exports {
            self.exported.insert(Rc::clone(&name));
            let values = self.variable(&name, state);
            self.ever
                .entry(Rc::clone(&name))
                .or_default()
                .extend(values.iter().cloned());
        }
        if kind.is_local
            && let Some(frame) = self.frames.last_mut()
            && !frame.locals.iter().any(|(known, _)| *known == name)
        {
            frame
                .locals
                .push((Rc::clone(&name), state.variables.get(&name).cloned()));
        }
    }

    pub(super) fn unset_names(&mut self, words: &[Value], state: &mut State) {
        let functions = words.first().and_then(Value::bytes) == Some(b"-f");
        for word in words {
            if let Some(name) = name_of(word) {
                if functions {
                    Rc::make_mut(&mut state.functions).remove(name);
                } else {
                    let name = name.to_owned();
                    // bash: without an option a function goes where there is no such variable.
                    if !state.variables.contains_key(name.as_str())
                        && state.functions.contains_key(name.as_str())
                    {
                        Rc::make_mut(&mut state.perhaps).insert(Rc::from(name.as_str()));
                    }
                    // Words are split as by default where it is not set, and not at all where it is empty.
                    let left = if name == "IFS" { fields::DEFAULT } else { b"" };
                    self.assign_values(&name, &Values::one(Value::known(left)), state);
                }
            }
        }
    }

    /// `read`: behind `find` or `ls` what they list, else anything.
    pub(super) fn read_names(&mut self, words: &[Value], state: &mut State) {
        let value = match &self.input {
            Some(files) => Value::Files(files.clone()),
            None => Value::unknown("what `read` reads"),
        };
        let mut skip = false;
        let mut named = false;
        for word in words {
            if std::mem::take(&mut skip) {
                continue;
            }
            match word {
                Value::Known(option) if option.starts_with(b"-") => {
                    // Options with an argument of their own.
                    skip = matches!(
                        &option[..],
                        b"-a" | b"-d" | b"-i" | b"-n" | b"-N" | b"-p" | b"-t" | b"-u"
                    );
                    if &option[..] == b"-a" {
                        skip = false;
                    }
                }
                name => {
                    named = true;
                    if let Some(name) = name_of(name) {
                        let name = name.to_owned();
                        let mut variable = Variable::default();
                        variable.add(Content::Scalar(value.clone()));
                        if !matches!(value, Value::Files(_)) {
                            variable =
                                Variable::list(vec![Value::Rest(Why::new("what `read` reads"))]);
                        }
                        self.assign(&name, variable, state);
                    } else {
                        state.any_changed = Some(Why::new("a variable whose name is not known"));
                    }
                }
            }
        }
        if !named {
            self.assign_values("REPLY", &Values::one(value), state);
        }
    }
}

#[expect(
    clippy::struct_excessive_bools,
    reason = "they are the options of one builtin, each on its own"
)]
struct Declaration {
    exports: bool,
    is_number: bool,
    is_local: bool,
    is_reference: bool,
    is_function: bool,
}

fn is_assignment(word: &Word, assignments: &[&brush_parser::SourceSpan]) -> bool {
    word.loc.as_ref().is_some_and(|span| {
        assignments
            .iter()
            .any(|assignment| assignment.start.index == span.start.index)
    })
}

/// Variables that Kubernetes sets for the services of a namespace, whatever the pod says: `REDIS_PORT_6379_TCP_ADDR`.
fn is_service_link(name: &str) -> bool {
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || (name.contains("_PORT_") && (name.contains("_TCP") || name.contains("_UDP")))
}
