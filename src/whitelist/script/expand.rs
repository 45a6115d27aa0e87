//! Words to the values they can have (POSIX, Shell Command Language, 2.6).
//!
//! Every way a word can come out is followed, up to limits; ways are lists of words, since an unquoted `$name` or a `"$@"` makes
//! more or fewer than one.

use std::sync::Arc;

use brush_parser::ast;

use super::{
    fields::joined_by_other,
    number::runs_commands,
    pattern,
    read::Reader,
    state::{State, Words},
    text,
    value::{FilePattern, Reach, Value, Values, Why, too_many},
    way::{Open, Splitting, Way, combine, each, joined, unknown_way},
    word::{self, Name, Operation, Parameter, Piece},
};

impl Reader<'_> {
    /// The ways in which a command's words come out.
    pub(super) fn command_words<'w>(
        &mut self,
        words: impl IntoIterator<Item = &'w ast::Word>,
        state: &mut State,
    ) -> Vec<Words> {
        let mut ways = vec![Words::new()];
        for word in words {
            self.at_word(word);
            let next = self.word_ways(&word.value, state);
            ways = combine(&ways, &next);
            self.spend(ways.iter().map(Vec::len).sum::<usize>() / 16);
        }
        ways
    }

    /// The ways in which one word comes out: each a list of words.
    pub(super) fn word_ways(&mut self, word: &str, state: &mut State) -> Vec<Words> {
        if word.contains('\u{fffd}') {
            return vec![vec![Value::unknown("text that is no UTF-8")]];
        }
        match word::pieces(word) {
            Ok(pieces) if has_braces(&pieces) && self.has_brace_expansion() => {
                self.scan(&pieces, state);
                vec![vec![Value::Rest(Why::new("a brace expansion"))]]
            }
            Ok(pieces) => self.ways(&pieces, state),
            Err(error) => vec![vec![Value::unknown(error.to_string())]],
        }
    }

    /// The values of a word that is not split: of an assignment, a `case`, a file's name.
    pub(super) fn word_values(&mut self, word: &str, state: &mut State) -> Values {
        if word.contains('\u{fffd}') {
            return Values::one(Value::unknown("text that is no UTF-8"));
        }
        match word::pieces(word) {
            Ok(pieces) => self.values(&pieces, state),
            Err(error) => Values::one(Value::unknown(error.to_string())),
        }
    }

    /// A word as a pattern; none where it is not known.
    pub(super) fn word_patterns(
        &mut self,
        word: &str,
        state: &mut State,
    ) -> Vec<Option<Arc<[u8]>>> {
        word::pieces(word).map_or_else(|_| vec![None], |pieces| self.patterns(&pieces, state))
    }

    /// Reads what pieces run, whatever they come to.
    pub(super) fn scan(&mut self, pieces: &[Piece], state: &mut State) {
        self.ways(pieces, state);
    }

    /// The words of an arithmetic text.
    pub(super) fn number_ways(&mut self, pieces: &[Piece], state: &mut State) -> Vec<Words> {
        self.ways(pieces, state)
    }

    fn ways(&mut self, pieces: &[Piece], state: &mut State) -> Vec<Words> {
        let ways = self.expand(pieces, Splitting::Split, state);
        let mut lists: Vec<Words> = Vec::new();
        for way in ways {
            let mut words = way.words;
            if let Some(open) = way.open {
                words.push(self.file_names(open, state));
            }
            if !lists.contains(&words) {
                lists.push(words);
            }
        }
        lists
    }

    fn values(&mut self, pieces: &[Piece], state: &mut State) -> Values {
        let ways = self.expand(pieces, Splitting::Whole, state);
        ways.into_iter()
            .map(|way| {
                let mut words = way.words;
                words.extend(way.open.map(Open::into_value));
                self.joined(&words, state)
            })
            .collect()
    }

    fn patterns(&mut self, pieces: &[Piece], state: &mut State) -> Vec<Option<Arc<[u8]>>> {
        let ways = self.expand(pieces, Splitting::Whole, state);
        ways.into_iter()
            .map(|way| match (way.words.as_slice(), way.open) {
                ([], None) => Some(Arc::from([])),
                ([], Some(open)) if open.special.is_none() && !open.has_numbers => {
                    Some(Arc::from(open.pattern))
                }
                _ => None,
            })
            .collect()
    }

    fn expand(&mut self, pieces: &[Piece], splitting: Splitting, state: &mut State) -> Vec<Way> {
        let mut ways = vec![Way::default()];
        for (index, piece) in pieces.iter().enumerate() {
            if !self.step() {
                return vec![unknown_way(Why::new(
                    "a script that takes too long to read",
                ))];
            }
            self.spend(ways.iter().map(Way::size).sum::<usize>() / 256);
            match piece {
                Piece::Literal { text, quoted } => {
                    // `"$@"` without arguments is no word, although quotes stand there.
                    let vanishes =
                        text.is_empty() && pieces.get(index + 1).is_some_and(is_quoted_list);
                    for way in &mut ways {
                        if !vanishes {
                            way.literal(text.as_bytes(), *quoted);
                        }
                    }
                }
                Piece::Tilde(user) => {
                    let home = if user.is_empty() {
                        self.variable("HOME", state)
                    } else {
                        Values::one(Value::unknown("the home of a user"))
                    };
                    ways = each(&ways, &lists_of(&home), Splitting::Whole);
                }
                Piece::Arithmetic(inner) => {
                    self.number_pieces(inner, state);
                    ways = each(&ways, &[vec![Value::number()]], Splitting::Whole);
                }
                Piece::Command { text, line, quoted } => {
                    let values = self.substitution(text, *line, state);
                    let mut lists = lists_of(&values);
                    let splitting = if *quoted { Splitting::Whole } else { splitting };
                    if splitting == Splitting::Split {
                        lists = self.split_as_ever(lists, state);
                    }
                    ways = each(&ways, &lists, splitting);
                }
                Piece::Parameter { parameter, quoted } => {
                    let (mut lists, own) = self.parameter(parameter, *quoted, state);
                    // Those of `$@` and `${name+word}` too, which stay whole by default.
                    if !*quoted && splitting == Splitting::Split {
                        lists = self.split_as_ever(lists, state);
                    }
                    let splitting = if *quoted || own == Splitting::Whole {
                        Splitting::Whole
                    } else {
                        splitting
                    };
                    ways = each(&ways, &lists, splitting);
                }
            }
        }
        ways
    }

    /// What a parameter comes to, and whether the shell still splits that.
    fn parameter(
        &mut self,
        parameter: &Parameter,
        quoted: bool,
        state: &mut State,
    ) -> (Vec<Words>, Splitting) {
        let lists = match &parameter.name {
            Name::All { joined } => Some((state.positional.clone(), *joined)),
            Name::AllOf { name, joined } => Some((self.list_variable(name, state), *joined)),
            _ => None,
        };
        if let Some((lists, is_joined)) = lists {
            return self.list_parameter(parameter, lists, is_joined && quoted, state);
        }
        let values = self.scalar(&parameter.name, state);
        match &parameter.operation {
            Operation::Default(word) | Operation::Assign(word) => {
                let mut lists: Vec<Words> = values
                    .iter()
                    .filter(|value| value.bytes() != Some(b""))
                    .map(|value| vec![value.clone()])
                    .collect();
                let defaults = if values.iter().any(may_be_empty) {
                    self.ways_of_word(word, quoted, state)
                } else {
                    Vec::new()
                };
                if let (Operation::Assign(_), Name::Named(name)) =
                    (&parameter.operation, &parameter.name)
                {
                    let assigned = lists.iter().chain(&defaults).map(|words| joined(words));
                    let assigned: Values = assigned.collect();
                    self.assign_values(name, &assigned, state);
                }
                for words in defaults {
                    if !lists.contains(&words) {
                        lists.push(words);
                    }
                }
                (lists, Splitting::Split)
            }
            Operation::Alternative(word) => {
                let mut lists = Vec::new();
                if values.iter().any(may_be_empty) {
                    lists.push(if quoted {
                        vec![Value::known("")]
                    } else {
                        Vec::new()
                    });
                }
                if values.iter().any(|value| value.bytes() != Some(b"")) {
                    lists.extend(self.ways_of_word(word, quoted, state));
                }
                (lists, Splitting::Whole)
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
                (lists_of(&values), Splitting::Split)
            }
            operation => {
                let changed = self.operate(operation, &values, state);
                (lists_of(&changed), Splitting::Split)
            }
        }
    }

    /// `"$@"`, `"${name[@]}"` and what is done to them.
    fn list_parameter(
        &mut self,
        parameter: &Parameter,
        lists: Vec<Words>,
        is_joined: bool,
        state: &mut State,
    ) -> (Vec<Words>, Splitting) {
        let lists = match &parameter.operation {
            Operation::Plain => lists,
            Operation::Slice(pieces) => {
                let positional = matches!(parameter.name, Name::All { .. });
                let range = self.values(pieces, state);
                let zero = (self.context.name.clone(), positional);
                lists
                    .iter()
                    .map(|words| text::slice_words(words, &range, &zero))
                    .collect()
            }
            Operation::Alternative(word) => {
                let mut alternatives = Vec::new();
                if lists
                    .iter()
                    .any(|words| !matches!(words.as_slice(), [Value::Known(_), ..]))
                {
                    alternatives.push(Vec::new());
                }
                if lists.iter().any(|words| !words.is_empty()) {
                    alternatives.extend(self.ways(word, state));
                }
                alternatives
            }
            Operation::Default(word) | Operation::Assign(word) => {
                let mut all: Vec<Words> = lists
                    .iter()
                    .filter(|words| !words.is_empty())
                    .cloned()
                    .collect();
                if lists.iter().any(Vec::is_empty) {
                    all.extend(self.ways(word, state));
                }
                all
            }
            Operation::Length => vec![vec![Value::number()]],
            operation => lists
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
            let joined = lists.iter().map(|words| vec![self.joined(words, state)]);
            return (joined.collect(), Splitting::Whole);
        }
        // Without quotes each of the words is split like any other; those that stand in `${name+…}` are split where they stand.
        let splitting = match parameter.operation {
            Operation::Alternative(_) | Operation::Default(_) | Operation::Assign(_) => {
                Splitting::Whole
            }
            _ => Splitting::Split,
        };
        (lists, splitting)
    }

    /// Words as one, by the first character of `IFS`.
    fn joined(&self, words: &[Value], state: &State) -> Value {
        if words.len() > 1 && self.difference(state).is_some() {
            return joined_by_other();
        }
        joined(words)
    }

    fn ways_of_word(&mut self, word: &[Piece], quoted: bool, state: &mut State) -> Vec<Words> {
        if quoted {
            let quoted_list = word.iter().any(is_quoted_list);
            if quoted_list {
                return self.ways(word, state);
            }
            return lists_of(&self.values(word, state));
        }
        self.ways(word, state)
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
                values
                    .iter()
                    .map(|value| text::slice(value, &range))
                    .collect()
            }
            Operation::Transform(pieces) => {
                self.scan(pieces, state);
                // `@P` expands the value as a prompt, substitutions in it as well.
                if values.known().any(runs_commands) {
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
                self.word_values(index, state);
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
                    match target
                        .bytes()
                        .and_then(|name| std::str::from_utf8(name).ok())
                    {
                        Some("") => values.insert(Value::known("")),
                        Some(target) => match target.parse::<usize>() {
                            Ok(number) => values.extend(positional(number, state).iter().cloned()),
                            Err(_) => values.extend(self.variable(target, state).iter().cloned()),
                        },
                        None => values
                            .insert(Value::unknown(format!("the variable that `{name}` names"))),
                    }
                }
                values
            }
            Name::All { .. } | Name::AllOf { .. } | Name::Special => Values::one(Value::number()),
        }
    }

    /// A finished word: a path with wildcards stands for files.
    fn file_names(&self, open: Open, state: &State) -> Value {
        if open.special.is_some() || open.has_numbers || !open.has_wildcards || self.no_file_names {
            return open.into_value();
        }
        let path = if open.pattern.first() == Some(&b'/') {
            open.pattern
        } else {
            let mut directories = state.directory.known();
            let (Some(directory), None) = (directories.next(), directories.next()) else {
                return Value::unknown("files of a folder that is not known");
            };
            let folder = directory.strip_suffix(b"/").unwrap_or(directory);
            [&pattern::escaped(folder), &b"/"[..], &open.pattern].concat()
        };
        Value::Files(FilePattern {
            path: Arc::from(path),
            reach: Reach::Matching,
            filters: Vec::new(),
        })
    }
}

fn lists_of(values: &Values) -> Vec<Words> {
    values.iter().map(|value| vec![value.clone()]).collect()
}

fn may_be_empty(value: &Value) -> bool {
    value.script().is_none_or(<[u8]>::is_empty)
}

fn is_quoted_list(piece: &Piece) -> bool {
    matches!(piece, Piece::Parameter { parameter, quoted: true }
        if matches!(parameter.name, Name::All { joined: false } | Name::AllOf { joined: false, .. })
            || matches!(parameter.operation, Operation::Alternative(ref word) if word.iter().any(is_quoted_list)))
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

/// Whether an unquoted `{a,b}` or `{1..3}` stands in a word. (`{}` alone is nothing special.)
fn has_braces(pieces: &[Piece]) -> bool {
    pieces.iter().any(|piece| {
        matches!(piece, Piece::Literal { text, quoted: false }
            if text.find('{').is_some_and(|open| text.get(open..).is_some_and(|rest|
                rest.contains(',') || rest.contains(".."))))
    })
}
