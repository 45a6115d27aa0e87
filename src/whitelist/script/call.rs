//! Functions: defined on the way, walked where they are called, with the arguments of the call.

use std::{rc::Rc, sync::Arc};

use brush_parser::ast::{FunctionBody, FunctionDefinition, SourceLocation};

use super::{
    read::{Frame, Reader},
    state::{Function, State, Words},
    value::{Value, Why},
};

impl Reader<'_> {
    pub(super) fn define(&mut self, definition: &FunctionDefinition, state: &mut State) {
        self.at_word(&definition.fname);
        let line = self.first_line;
        let start = |body: &FunctionBody| body.location().map(|span| span.start.index);
        let known = state.functions.get(definition.fname.value.as_str());
        // Seen before, in an earlier round of a loop: the same body, so that states stay the same.
        let same = known.into_iter().flatten().find(|known| {
            known.file == self.file
                && known.line == line
                && start(&known.body) == start(&definition.body)
        });
        let same = same.map(|known| Rc::clone(&known.body));
        let body = same.unwrap_or_else(|| Rc::new(FunctionBody::clone(&definition.body)));
        let name = definition.fname.value.as_str();
        if state.perhaps.contains(name) {
            Rc::make_mut(&mut state.perhaps).remove(name);
        }
        let handles_others = name == "command_not_found_handle";
        Rc::make_mut(&mut state.functions).insert(
            Rc::from(definition.fname.value.as_str()),
            vec![Function {
                body,
                file: Arc::clone(&self.file),
                line,
            }],
        );
        if handles_others {
            self.call_somewhere(&definition.fname.value.clone(), state);
        }
    }

    /// Walks a function that is called from elsewhere: by bash for names that it does not find, by another shell that it is
    /// exported to.
    pub(super) fn call_somewhere(&mut self, name: &str, state: &State) {
        let arguments = vec![Value::Rest(Why::new("the argument of a function"))];
        self.call(name, &arguments, &mut state.clone());
    }

    /// Calls what a name may be defined as.
    pub(super) fn call(&mut self, name: &str, arguments: &Words, state: &mut State) {
        let functions = state.functions.get(name).cloned().unwrap_or_default();
        let running = self
            .frames
            .iter()
            .filter(|frame| &*frame.name == name)
            .count();
        // A function that calls itself is walked once more, with whatever arguments.
        if running > 1 {
            return;
        }
        let arguments = if running == 1 {
            vec![Value::Rest(Why::new(
                "the argument of a function that calls itself",
            ))]
        } else {
            arguments.clone()
        };
        let before = state.clone();
        for (index, function) in functions.iter().enumerate() {
            let mut own = before.clone();
            self.call_one(name, function, arguments.clone(), &mut own);
            if index == 0 {
                *state = own;
            } else {
                self.join(state, &own);
            }
        }
    }

    fn call_one(&mut self, name: &str, function: &Function, arguments: Words, state: &mut State) {
        let positional = std::mem::replace(&mut state.positional, vec![arguments]);
        let place = (self.first_line, self.line, Arc::clone(&self.file));
        let loops = std::mem::take(&mut self.loops);
        self.frames.push(Frame {
            name: Rc::from(name),
            returns: Vec::new(),
            locals: Vec::new(),
        });
        self.first_line = function.line;
        self.file = Arc::clone(&function.file);
        let body = Rc::clone(&function.body);
        let stdin = self.stdin.clone();
        self.deeper(|reader| {
            reader.redirects(body.1.as_ref(), state);
            reader.compound(&body.0, state);
        });
        self.stdin = stdin;
        (self.first_line, self.line, self.file) = place;
        self.loops = loops;
        let Some(frame) = self.frames.pop() else {
            return;
        };
        for returned in &frame.returns {
            self.join(state, returned);
        }
        let variables = Rc::make_mut(&mut state.variables);
        for (name, before) in frame.locals.into_iter().rev() {
            match before {
                Some(before) => variables.insert(name, before),
                None => variables.remove(&name),
            };
        }
        state.positional = positional;
    }
}
