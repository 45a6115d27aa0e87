//! What is known at a place of a script: variables, positional arguments, functions, the working directory.
//!
//! Where ways part and join, what holds afterwards is the union of both. A state that no way reaches is not joined.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    sync::Arc,
};

use brush_parser::ast::FunctionBody;

use super::value::{MAX_VALUES, Value, Values, Why};

/// LIMIT: ways to call a script or function that are kept apart: lists of positional arguments, or of an array's elements.
const MAX_LISTS: usize = 12;
/// LIMIT: words of such a list.
pub(super) const MAX_WORDS: usize = 256;

/// A list of words, such as `"$@"`.
pub(super) type Words = Vec<Value>;

/// What a variable holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Content {
    List(Words),
    Scalar(Value),
}

/// What a variable may hold: one of these.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) contents: Vec<Content>,
}

impl Variable {
    pub(super) fn scalar(values: impl IntoIterator<Item = Value>) -> Self {
        let mut variable = Self::default();
        for value in values {
            variable.add(Content::Scalar(value));
        }
        variable
    }

    pub(super) fn list(words: Words) -> Self {
        Self {
            contents: vec![Content::List(words)],
        }
    }

    /// How much is kept for it.
    pub(super) fn size(&self) -> usize {
        let bytes = |value: &Value| value.script().map_or(1, <[u8]>::len);
        let sizes = self.contents.iter().map(|content| match content {
            Content::List(words) => words.iter().map(bytes).sum::<usize>(),
            Content::Scalar(value) => bytes(value),
        });
        sizes.sum()
    }

    pub(super) fn add(&mut self, content: Content) {
        if self.contents.contains(&content) {
            return;
        }
        if self.contents.len() < MAX_VALUES {
            self.contents.push(content);
            self.contents.sort();
        } else {
            let rest = Content::List(vec![Value::Rest(many())]);
            if !self.contents.contains(&rest) {
                self.contents.push(rest);
                self.contents.sort();
            }
        }
    }

    /// Its values as `$name` gives them: of a list the first element.
    pub(super) fn values(&self) -> Values {
        self.contents
            .iter()
            .map(|content| match content {
                Content::List(words) => match words.first() {
                    Some(Value::Rest(why)) => Value::Unknown(why.clone()),
                    Some(value) => value.clone(),
                    None => Value::known(""),
                },
                Content::Scalar(value) => value.clone(),
            })
            .collect()
    }

    /// Its values as `${name[@]}` gives them.
    pub(super) fn lists(&self) -> Vec<Words> {
        self.contents
            .iter()
            .map(|content| match content {
                Content::List(words) => words.clone(),
                Content::Scalar(value) => vec![value.clone()],
            })
            .collect()
    }
}

/// A function, and the file that defines it.
#[derive(Clone, Debug)]
pub(super) struct Function {
    pub(super) body: Rc<FunctionBody>,
    pub(super) file: Arc<[u8]>,
    pub(super) line: usize,
}

/// What is known at a place.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) variables: Rc<BTreeMap<Rc<str>, Rc<Variable>>>,
    /// The ways in which `"$@"` can be set here.
    pub(super) positional: Vec<Words>,
    /// By name, what may be defined under it.
    pub(super) functions: Rc<BTreeMap<Rc<str>, Vec<Function>>>,
    /// Names of functions that may as well not be defined.
    pub(super) perhaps: Rc<BTreeSet<Rc<str>>>,
    pub(super) directory: Values,
    /// Set where a variable whose name is not known was assigned: each may then hold something else.
    pub(super) any_changed: Option<Why>,
    /// Whether no way leads here: it is behind an `exec` or `exit`.
    pub(super) unreachable: bool,
}

impl State {
    /// What holds where this way and another meet.
    pub(super) fn join(&mut self, other: &Self, unset: &dyn Fn(&str) -> Values) {
        if other.unreachable {
            return;
        }
        if self.unreachable {
            *self = other.clone();
            return;
        }
        if !Rc::ptr_eq(&self.variables, &other.variables) {
            join_variables(Rc::make_mut(&mut self.variables), &other.variables, unset);
        }
        for words in &other.positional {
            add_list(&mut self.positional, words.clone());
        }
        if !Rc::ptr_eq(&self.perhaps, &other.perhaps) {
            Rc::make_mut(&mut self.perhaps).extend(other.perhaps.iter().cloned());
        }
        if !Rc::ptr_eq(&self.functions, &other.functions) {
            let only_one = |one: &Self, two: &Self| -> Vec<Rc<str>> {
                let names = one.functions.keys();
                let names = names.filter(|name| !two.functions.contains_key(*name));
                names.cloned().collect()
            };
            let perhaps = [only_one(self, other), only_one(other, self)].concat();
            if !perhaps.is_empty() {
                Rc::make_mut(&mut self.perhaps).extend(perhaps);
            }
            let functions = Rc::make_mut(&mut self.functions);
            for (name, theirs) in other.functions.iter() {
                let ours = functions.entry(Rc::clone(name)).or_default();
                for function in theirs {
                    // LIMIT: definitions of one name.
                    let known = ours.iter().any(|ours| {
                        Rc::ptr_eq(&ours.body, &function.body)
                            || (ours.file == function.file && ours.line == function.line)
                    });
                    if !known && ours.len() < 8 {
                        ours.push(function.clone());
                    }
                }
            }
        }
        self.directory.extend(other.directory.iter().cloned());
        if self.any_changed.is_none() {
            self.any_changed.clone_from(&other.any_changed);
        }
    }

    /// Whether another state says the same, for the end of loops.
    pub(super) fn same(&self, other: &Self) -> bool {
        self.unreachable == other.unreachable
            && self.positional == other.positional
            && self.directory == other.directory
            && self.any_changed == other.any_changed
            && self.variables == other.variables
            && self.functions.len() == other.functions.len()
            && self.perhaps == other.perhaps
    }

    /// What still changed after many rounds of a loop may become anything.
    pub(super) fn widen(&mut self, before: &Self) {
        let why = Why::new("a value that grows in a loop");
        if self.positional != before.positional {
            add_list(&mut self.positional, vec![Value::Rest(why.clone())]);
        }
        if self.directory != before.directory {
            self.directory.insert(Value::Unknown(why.clone()));
        }
        for (name, variable) in Rc::make_mut(&mut self.variables).iter_mut() {
            if before.variables.get(name) != Some(variable) {
                let variable = Rc::make_mut(variable);
                let rest = Content::List(vec![Value::Rest(why.clone())]);
                let one = Content::Scalar(Value::Unknown(why.clone()));
                let widened = if variable
                    .contents
                    .iter()
                    .any(|content| matches!(content, Content::List(_)))
                {
                    rest
                } else {
                    one
                };
                if !variable.contents.contains(&widened) {
                    variable.contents.push(widened);
                    variable.contents.sort();
                }
            }
        }
    }
}

fn join_variables(
    ours: &mut BTreeMap<Rc<str>, Rc<Variable>>,
    theirs: &BTreeMap<Rc<str>, Rc<Variable>>,
    unset: &dyn Fn(&str) -> Values,
) {
    for (name, variable) in ours.iter_mut() {
        if !theirs.contains_key(name) {
            let variable = Rc::make_mut(variable);
            for value in unset(name).iter() {
                variable.add(Content::Scalar(value.clone()));
            }
        }
    }
    for (name, theirs) in theirs {
        let ours = ours
            .entry(Rc::clone(name))
            .or_insert_with(|| Rc::new(Variable::scalar(unset(name).iter().cloned())));
        if !Rc::ptr_eq(ours, theirs) && ours != theirs {
            let ours = Rc::make_mut(ours);
            for content in &theirs.contents {
                ours.add(content.clone());
            }
        }
    }
}

/// Adds a way to call, if there is room; else one that stands for all further ones.
pub(super) fn add_list(lists: &mut Vec<Words>, words: Words) {
    let words = if words.len() > MAX_WORDS {
        vec![Value::Rest(many())]
    } else {
        words
    };
    if lists.contains(&words) {
        return;
    }
    let words = if lists.len() < MAX_LISTS {
        words
    } else {
        vec![Value::Rest(many())]
    };
    if !lists.contains(&words) {
        lists.push(words);
        lists.sort();
    }
}

fn many() -> Why {
    Why::new("one of too many values to follow")
}
