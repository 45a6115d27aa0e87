//! Assignments: `name=text`, `name+=text`, `name=(words)` and `name[index]=text`.

use brush_parser::ast::{Assignment, AssignmentName, AssignmentValue};

use super::{
    read::Reader,
    state::{Content, State, Variable, Words, add_list},
    value::{MAX_BYTES, Value, Values, too_long},
};

impl Reader<'_> {
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
                        let index = self.word_values(&key.value, state);
                        self.number(&index, state);
                    }
                    let ways = self.word_ways(&element.value, state);
                    let mut next = Vec::new();
                    for list in &lists {
                        for way in ways.iter().take(8) {
                            let mut list = list.clone();
                            list.extend(way.iter().cloned());
                            add_list(&mut next, list);
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
                let index = self.word_values(index, state);
                self.number(&index, state);
                if let AssignmentValue::Scalar(word) = value {
                    self.word_values(&word.value, state);
                }
                self.assign_element(name, state);
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
}
