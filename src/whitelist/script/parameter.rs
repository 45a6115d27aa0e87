//! Parameters to the values they can have: `$name`, `"$@"`, and what `${name…}` does to them (POSIX, Shell Command Language,
//! 2.6.2, and bash's additions).

use super::{
    expand::{is_quoted_list, lists_of},
    number::runs_commands,
    read::Reader,
    state::{State, Words},
    text,
    value::{Value, Values, too_many},
    way::{List, Splitting, lists},
    word::{self, Name, Operation, Parameter, Piece},
};

impl Reader<'_> {
    /// What a parameter comes to, and what the shell does with that; `around` is what it does with a plain value there.
    pub(super) fn parameter(
        &mut self,
        parameter: &Parameter,
        around: Splitting,
        state: &mut State,
    ) -> Vec<List> {
        let quoted = around == Splitting::Quoted;
        let all = match &parameter.name {
            Name::All { joined } => Some((state.positional.clone(), *joined)),
            Name::AllOf { name, joined } => Some((self.list_variable(name, state), *joined)),
            _ => None,
        };
        if let Some((all, is_joined)) = all {
            return self.list_parameter(parameter, all, is_joined && quoted, around, state);
        }
        let values = self.scalar(&parameter.name, state);
        match &parameter.operation {
            Operation::Default(word) | Operation::Assign(word) => {
                let own: Vec<Words> = values
                    .iter()
                    .filter(|value| value.bytes() != Some(b""))
                    .map(|value| vec![value.clone()])
                    .collect();
                let mut given = lists(own, around);
                if !values.iter().any(may_be_empty) {
                    return given;
                }
                if let (Operation::Assign(_), Name::Named(name)) =
                    (&parameter.operation, &parameter.name)
                {
                    // What was assigned is then split like any value: POSIX, 2.6.2.
                    let assigned = self.values(word, state);
                    let both = values.iter().filter(|value| value.bytes() != Some(b""));
                    let both: Values = both.chain(assigned.iter()).cloned().collect();
                    self.assign_values(name, &both, state);
                    given.extend(lists(lists_of(&assigned), around));
                    return given;
                }
                given.extend(self.ways_of_word(word, around, state));
                given
            }
            Operation::Alternative(word) => {
                let mut given = Vec::new();
                if values.iter().any(may_be_empty) {
                    let nothing = if quoted {
                        vec![Value::known("")]
                    } else {
                        Vec::new()
                    };
                    given.push(List::new(nothing, around));
                }
                if values.iter().any(|value| value.bytes() != Some(b"")) {
                    given.extend(self.ways_of_word(word, around, state));
                }
                given
            }
            Operation::Demand(word) => {
                self.scan(word, state);
                let mut values = values;
                values = values
                    .iter()
                    .filter(|value| value.bytes() != Some(b""))
                    .cloned()
                    .collect();
                if values.is_empty() {
                    values.insert(Value::unknown("a variable that is not set"));
                }
                lists(lists_of(&values), around)
            }
            operation => {
                let changed = self.operate(operation, &values, state);
                lists(lists_of(&changed), around)
            }
        }
    }

    /// `"$@"`, `"${name[@]}"` and what is done to them.
    fn list_parameter(
        &mut self,
        parameter: &Parameter,
        all: Vec<Words>,
        is_joined: bool,
        around: Splitting,
        state: &mut State,
    ) -> Vec<List> {
        let all = match &parameter.operation {
            Operation::Plain => all,
            Operation::Slice(pieces) => {
                let positional = matches!(parameter.name, Name::All { .. });
                let range = self.values(pieces, state);
                self.number(&range, state);
                let zero = (self.context.name.clone(), positional);
                all.iter()
                    .map(|words| text::slice_words(words, &range, &zero))
                    .collect()
            }
            Operation::Alternative(word) => {
                let mut given = Vec::new();
                if all
                    .iter()
                    .any(|words| !matches!(words.as_slice(), [Value::Known(_), ..]))
                {
                    given.push(List::new(Vec::new(), around));
                }
                if all.iter().any(|words| !words.is_empty()) {
                    given.extend(self.ways_of_word(word, around, state));
                }
                return given;
            }
            Operation::Default(word) | Operation::Assign(word) => {
                let own = all.iter().filter(|words| !words.is_empty());
                let mut given = lists(own.cloned().collect(), around);
                if all.iter().any(Vec::is_empty) {
                    given.extend(self.ways_of_word(word, around, state));
                }
                return given;
            }
            Operation::Length => vec![vec![Value::number()]],
            operation => all
                .iter()
                .map(|words| {
                    words
                        .iter()
                        .map(|value| match value {
                            Value::Rest(_) => value.clone(),
                            value => {
                                let changed =
                                    self.operate(operation, &Values::one(value.clone()), state);
                                let mut changed = changed.iter();
                                match (changed.next(), changed.next()) {
                                    (Some(only), None) => only.clone(),
                                    _ => too_many(),
                                }
                            }
                        })
                        .collect()
                })
                .collect(),
        };
        if is_joined {
            let joined = all.iter().map(|words| vec![self.joined(words, state)]);
            return lists(joined.collect(), Splitting::Quoted);
        }
        lists(all, around)
    }

    /// What the word of `${name:-word}` comes to.
    fn ways_of_word(&mut self, word: &[Piece], around: Splitting, state: &mut State) -> Vec<List> {
        match around {
            Splitting::Split => self.ways_in_braces(word, state),
            Splitting::Quoted if word.iter().any(is_quoted_list) => {
                lists(self.ways(word, state), Splitting::Quoted)
            }
            Splitting::Quoted => lists(lists_of(&self.values(word, state)), Splitting::Quoted),
            Splitting::Whole => self.unsplit(word, state),
        }
    }

    /// What an operation makes of values.
    fn operate(&mut self, operation: &Operation, values: &Values, state: &mut State) -> Values {
        // Each place of a value is tried.
        self.spend(values.known().map(<[u8]>::len).sum::<usize>() / 16);
        match operation {
            Operation::Length => Values::one(Value::number()),
            Operation::Case(case) => values
                .iter()
                .map(|value| text::change_case(value, *case))
                .collect(),
            Operation::Remove {
                end,
                longest,
                pattern,
            } => {
                let patterns = self.patterns(pattern, state);
                text::product(values, &patterns, |value, pattern| {
                    text::remove(value, pattern, *end, *longest)
                })
            }
            Operation::Replace {
                all,
                pattern,
                replacement,
            } => {
                let patterns = self.patterns(pattern, state);
                let replacements = self.values(replacement, state);
                let mut replaced = Values::default();
                for replacement in replacements.iter() {
                    replaced.extend(
                        text::product(values, &patterns, |value, pattern| {
                            text::replace(value, pattern, replacement, *all)
                        })
                        .iter()
                        .cloned(),
                    );
                }
                replaced
            }
            Operation::Slice(pieces) => {
                let range = self.values(pieces, state);
                self.number(&range, state);
                values
                    .iter()
                    .map(|value| text::slice(value, &range))
                    .collect()
            }
            Operation::Transform(pieces) => {
                self.scan(pieces, state);
                // `@P` expands the value as a prompt, substitutions in it as well.
                let expands =
                    matches!(pieces.first(), Some(Piece::Literal { text, .. }) if text == "P");
                if expands
                    && values
                        .iter()
                        .any(|value| value.script().is_none_or(runs_commands))
                {
                    self.gap("commands in a value that `${…@…}` may run".to_owned());
                }
                values.iter().map(Value::blurred).collect()
            }
            // Those with a word of their own are done where lists of words can come out.
            Operation::Alternative(_)
            | Operation::Assign(_)
            | Operation::Default(_)
            | Operation::Demand(_)
            | Operation::Plain => values.clone(),
        }
    }

    fn scalar(&mut self, name: &Name, state: &mut State) -> Values {
        match name {
            Name::Named(name) => self.variable(name, state),
            Name::Positional(number) => positional(*number, state),
            Name::Script => Values::one(self.script_name()),
            Name::Element { name, index } => {
                let position = index.parse::<usize>().ok();
                // What stands in the index may run something.
                let values = self.word_values(index, state);
                self.number(&values, state);
                self.list_variable(name, state)
                    .iter()
                    .map(|words| match (position, words.as_slice()) {
                        (Some(position), words)
                            if !words.iter().any(|word| matches!(word, Value::Rest(_))) =>
                        {
                            words
                                .get(position)
                                .cloned()
                                .unwrap_or_else(|| Value::known(""))
                        }
                        (_, [Value::Rest(why)]) => Value::Unknown(why.clone()),
                        _ => Value::unknown(format!("an element of `{name}`")),
                    })
                    .collect()
            }
            Name::Indirect(name) => {
                let names = self.variable(name, state);
                let mut values = Values::default();
                for target in names.iter() {
                    self.named(target, state);
                    match target
                        .bytes()
                        .and_then(|name| std::str::from_utf8(name).ok())
                    {
                        Some("") => values.insert(Value::known("")),
                        Some(target) => match target.parse::<usize>() {
                            Ok(number) => values.extend(positional(number, state).iter().cloned()),
                            Err(_) if !word::is_name(target) => values.insert(Value::unknown(
                                format!("the variable that `{name}` names"),
                            )),
                            Err(_) => values.extend(self.variable(target, state).iter().cloned()),
                        },
                        None => values
                            .insert(Value::unknown(format!("the variable that `{name}` names"))),
                    }
                }
                values
            }
            Name::Count => {
                let counts = state.positional.iter().map(|words| {
                    let is_known = !words.iter().any(|word| matches!(word, Value::Rest(_)));
                    if is_known {
                        Value::known(words.len().to_string())
                    } else {
                        Value::number()
                    }
                });
                counts.collect()
            }
            Name::Keys(name) => Values::one(Value::unknown(format!("the indices of `{name}`"))),
            Name::All { .. } | Name::AllOf { .. } | Name::Special => Values::one(Value::number()),
        }
    }
}

fn may_be_empty(value: &Value) -> bool {
    value.script().is_none_or(<[u8]>::is_empty)
}

fn positional(number: usize, state: &State) -> Values {
    state
        .positional
        .iter()
        .map(|words| {
            let mut before = words.iter().take(number);
            if let Some(Value::Rest(why)) = before.find(|word| matches!(word, Value::Rest(_))) {
                return Value::Unknown(why.clone());
            }
            number
                .checked_sub(1)
                .and_then(|index| words.get(index))
                .cloned()
                .unwrap_or_else(|| Value::known(""))
        })
        .collect()
}
