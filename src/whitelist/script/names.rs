//! The builtins that are told the names of variables: `read`, `unset`.

use std::rc::Rc;

use super::{
    command::name_of,
    fields,
    index::base_of,
    read::Reader,
    state::{Content, State, Variable},
    value::{Value, Values, Why},
};

impl Reader<'_> {
    pub(super) fn unset_names(&mut self, words: &[Value], state: &mut State) {
        let functions = words.first().and_then(Value::bytes) == Some(b"-f");
        for word in words {
            self.named(word, state);
            if let Some(list) = base_of(word).map(str::to_owned) {
                self.assign_element(&list, state);
            } else if let Some(why) = word.why() {
                // Whatever it names is gone.
                let all: Vec<_> = state.functions.keys().cloned().collect();
                Rc::make_mut(&mut state.perhaps).extend(all);
                state.any_changed = Some(why);
            } else if let Some(name) = name_of(word) {
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
                    skip = option
                        .last()
                        .is_some_and(|letter| b"dinNptu".contains(letter));
                }
                name => {
                    named = true;
                    self.named(name, state);
                    if let Some(name) = name_of(name) {
                        let name = name.to_owned();
                        let mut variable = Variable::default();
                        variable.add(Content::Scalar(value.clone()));
                        if !matches!(value, Value::Files(_)) {
                            variable =
                                Variable::list(vec![Value::Rest(Why::new("what `read` reads"))]);
                        }
                        self.assign(&name, variable, state);
                    } else if let Some(list) = base_of(name).map(str::to_owned) {
                        self.assign_element(&list, state);
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
