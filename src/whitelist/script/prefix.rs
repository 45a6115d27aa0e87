//! Variables that are set for one command: `NAME=value command`.

use std::rc::Rc;

use brush_parser::ast::{Assignment, AssignmentName};

use super::{
    read::Reader,
    state::{State, Variable, Words},
    value::Value,
};

impl Reader<'_> {
    /// `NAME=value command`: assigns, and tells what the variables were before.
    pub(super) fn assignments_before(
        &mut self,
        assignments: &[&Assignment],
        state: &mut State,
    ) -> Vec<(Rc<str>, Option<Rc<Variable>>)> {
        let mut outer = Vec::new();
        for assignment in assignments {
            let (AssignmentName::VariableName(name) | AssignmentName::ArrayElementName(name, _)) =
                &assignment.name;
            let name: Rc<str> = Rc::from(name.as_str());
            outer.push((Rc::clone(&name), state.variables.get(&name).cloned()));
            self.exported.insert(name);
            self.assignment(assignment, state);
        }
        outer
    }

    /// Ends what was assigned for one command. It stays behind special builtins (POSIX, 2.14; not in bash, unless as `sh`), and in
    /// some shells behind functions: then both may hold.
    pub(super) fn after_assignments(
        &mut self,
        outer: Vec<(Rc<str>, Option<Rc<Variable>>)>,
        ways: &[Words],
        state: &mut State,
    ) {
        let may_stay = ways.iter().any(|words| {
            let name = words.first().and_then(Value::bytes).unwrap_or_default();
            let name = String::from_utf8_lossy(name);
            is_special(&name) || state.functions.contains_key(&*name)
        });
        let kept = state.clone();
        let variables = Rc::make_mut(&mut state.variables);
        for (name, before) in outer.into_iter().rev() {
            match before {
                Some(before) => variables.insert(name, before),
                None => variables.remove(&name),
            };
        }
        if may_stay {
            self.join(state, &kept);
        }
    }
}

/// POSIX special builtins.
fn is_special(name: &str) -> bool {
    matches!(
        name,
        "." | ":"
            | "break"
            | "continue"
            | "eval"
            | "exec"
            | "exit"
            | "export"
            | "readonly"
            | "return"
            | "set"
            | "shift"
            | "source"
            | "times"
            | "trap"
            | "unset"
    )
}
