//! The builtins that declare variables: `export`, `declare`, `local` and their like.

use std::rc::Rc;

use brush_parser::ast::{Assignment, AssignmentName, Word};

use super::{
    command::{has_option, name_of},
    index::{base_of, is_list_text},
    number::runs_commands,
    read::Reader,
    state::{Content, State, Variable},
    value::{Value, Values, Why},
};

impl Reader<'_> {
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
            evaluates: matches!(builtin, "declare" | "local" | "typeset"),
            is_list: options.contains(&b'a') || options.contains(&b'A'),
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
            self.refers(name, &kind, state);
            if kind.evaluates {
                for value in self.variable(name, state).iter() {
                    self.list_text(name, value, &kind, state);
                }
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
            evaluates: matches!(builtin, "declare" | "local" | "typeset"),
            is_list: words
                .iter()
                .any(|word| has_option(word, b'a') || has_option(word, b'A')),
            is_number: words.iter().any(|word| has_option(word, b'i')),
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
                if kind.evaluates {
                    self.named(word, state);
                }
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
            let name = Value::known(name);
            if let Some(list) = base_of(&name).map(str::to_owned) {
                if kind.evaluates {
                    self.named(&name, state);
                }
                self.declared(&list, kind, state);
                self.assign_element(&list, state);
                continue;
            }
            let Some(name) = name_of(&name).map(str::to_owned) else {
                continue;
            };
            self.declared(&name, kind, state);
            match value {
                Some(value) => {
                    self.assign_values(&name, &Values::one(value.clone()), state);
                    self.refers(&name, kind, state);
                    if kind.evaluates {
                        self.list_text(&name, &value, kind, state);
                    }
                }
                None if kind.is_local => {
                    self.assign_values(&name, &Values::one(Value::known("")), state);
                }
                None => {}
            }
        }
    }

    /// `declare -n name=other`: what is assigned to `name` goes to any variable, and may have an index.
    fn refers(&mut self, name: &str, kind: &Declaration, state: &mut State) {
        if !kind.is_reference {
            return;
        }
        let others = state.variables.get(name);
        let others = others.map_or_else(Values::default, |others| others.values());
        for other in others.iter() {
            self.named(other, state);
        }
        state.any_changed = Some(Why::new(format!("a variable that `{name}` refers to")));
    }

    /// `declare -a 'name=(words)'`: bash reads the text as words again.
    fn list_text(&mut self, name: &str, value: &Value, kind: &Declaration, state: &mut State) {
        let what = "commands in the words of a list that comes from a text";
        match value.script() {
            None if kind.is_list && !matches!(value, Value::Rest(_)) => self.gap(what.to_owned()),
            Some(text) if is_list_text(text) => {
                if runs_commands(text) {
                    self.gap(what.to_owned());
                }
                let mut variable = Variable::scalar([value.clone()]);
                let why = Why::new(format!("an element of `{name}`"));
                variable.add(Content::List(vec![Value::Rest(why)]));
                self.assign(name, variable, state);
            }
            _ => {}
        }
    }

    fn declared(&mut self, name: &str, kind: &Declaration, state: &mut State) {
        let name: Rc<str> = Rc::from(name);
        if kind.is_number || kind.is_reference {
            self.numbers.insert(Rc::clone(&name));
        }
        if kind.is_reference {
            state.any_changed = Some(Why::new(format!("a variable that `{name}` refers to")));
        }
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
}

#[expect(
    clippy::struct_excessive_bools,
    reason = "they are the options of one builtin, each on its own"
)]
struct Declaration {
    exports: bool,
    /// Whether bash reads indices in names and lists in texts.
    evaluates: bool,
    is_list: bool,
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
