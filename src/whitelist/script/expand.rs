//! Words to the values they can have (POSIX, Shell Command Language, 2.6).
//!
//! Every way a word can come out is followed, up to limits; ways are lists of words, since an unquoted `$name` or a `"$@"` makes
//! more or fewer than one. What a single parameter comes to is told elsewhere (`parameter`).

use std::sync::Arc;

use brush_parser::ast;

use super::{
    fields::joined_by_other,
    pattern,
    read::Reader,
    state::{State, Words},
    value::{FilePattern, Reach, Value, Values, Why},
    way::{List, Open, Splitting, Way, combine, each, joined, lists, unknown_way},
    word::{self, Name, Operation, Piece},
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

    pub(super) fn ways(&mut self, pieces: &[Piece], state: &mut State) -> Vec<Words> {
        let ways = self.expand(pieces, Around::Command, state);
        let mut lists: Vec<Words> = Vec::new();
        for way in ways {
            let words = List::of(way, |open| self.file_names(open, state)).words;
            if !lists.contains(&words) {
                lists.push(words);
            }
        }
        lists
    }

    /// What the word of an unquoted `${name:-word}` comes to where a command's words are made: what is not quoted in it is split.
    pub(super) fn ways_in_braces(&mut self, pieces: &[Piece], state: &mut State) -> Vec<List> {
        let ways = self.expand(pieces, Around::Braces, state);
        let ways = ways.into_iter();
        ways.map(|way| List::of(way, |open| self.file_names(open, state)))
            .collect()
    }

    /// The same where no words are made. LIMIT: of a pattern that is quoted in part, all is.
    pub(super) fn unsplit(&mut self, pieces: &[Piece], state: &mut State) -> Vec<List> {
        let patterns = pieces.iter().all(|piece| {
            !matches!(piece, Piece::Literal { text, quoted: true } if pattern::is_pattern(text.as_bytes()))
        });
        let splitting = if patterns {
            Splitting::Whole
        } else {
            Splitting::Quoted
        };
        lists(lists_of(&self.values(pieces, state)), splitting)
    }

    pub(super) fn values(&mut self, pieces: &[Piece], state: &mut State) -> Values {
        let ways = self.expand(pieces, Around::One, state);
        ways.into_iter()
            .map(|way| self.joined(&List::of(way, Open::into_value).words, state))
            .collect()
    }

    pub(super) fn patterns(
        &mut self,
        pieces: &[Piece],
        state: &mut State,
    ) -> Vec<Option<Arc<[u8]>>> {
        let ways = self.expand(pieces, Around::One, state);
        ways.into_iter()
            .map(|way| match (way.words.as_slice(), way.open) {
                ([], None) => Some(Arc::from([])),
                ([], Some(open)) => {
                    let is_another_way = open.special.is_some()
                        || open.has_numbers
                        || pattern::is_extended(&open.pattern)
                        || self.ignores_case && open.pattern.iter().any(u8::is_ascii_alphabetic);
                    (!is_another_way).then(|| Arc::from(open.pattern))
                }
                _ => None,
            })
            .collect()
    }

    fn expand(&mut self, pieces: &[Piece], around: Around, state: &mut State) -> Vec<Way> {
        let splitting = match around {
            Around::Braces | Around::Command => Splitting::Split,
            Around::One => Splitting::Whole,
        };
        let mut ways = vec![Way::default()];
        for (index, piece) in pieces.iter().enumerate() {
            if !self.step() {
                return vec![unknown_way(Why::new(
                    "a script that takes too long to read",
                ))];
            }
            self.spend(ways.iter().map(Way::size).sum::<usize>() / 256);
            match piece {
                Piece::Literal {
                    text,
                    quoted: false,
                } if around == Around::Braces => {
                    let list = self.split_as_ever(vec![vec![Value::known(text)]], state);
                    ways = each(&ways, &lists(list, Splitting::Split));
                }
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
                    ways = each(&ways, &lists(lists_of(&home), Splitting::Quoted));
                }
                Piece::Arithmetic(inner) => {
                    self.number_pieces(inner, state);
                    let number = List::new(vec![Value::number()], Splitting::Quoted);
                    ways = each(&ways, &[number]);
                }
                Piece::Command { text, line, quoted } => {
                    let values = self.substitution(text, *line, state);
                    let mut given = lists_of(&values);
                    let splitting = if *quoted {
                        Splitting::Quoted
                    } else {
                        splitting
                    };
                    if splitting == Splitting::Split {
                        given = self.split_as_ever(given, state);
                    }
                    ways = each(&ways, &lists(given, splitting));
                }
                Piece::Parameter { parameter, quoted } => {
                    let own = if *quoted {
                        Splitting::Quoted
                    } else {
                        splitting
                    };
                    let mut given = self.parameter(parameter, own, state);
                    // Those of `$@` and `${name+word}` too, which are split already by default.
                    if own == Splitting::Split {
                        given = self.all_split_as_ever(given, state);
                    }
                    ways = each(&ways, &given);
                }
            }
        }
        ways
    }

    /// Words as one, by the first character of `IFS`.
    pub(super) fn joined(&self, words: &[Value], state: &State) -> Value {
        if words.len() > 1 && self.difference(state).is_some() {
            return joined_by_other();
        }
        joined(words)
    }

    /// A finished word: a path with wildcards stands for files.
    fn file_names(&self, open: Open, state: &State) -> Value {
        if open.special.is_some() || open.has_numbers || !open.has_wildcards {
            return open.into_value();
        }
        // Whether it holds here, or only in a subshell or function, is not followed.
        if self.no_file_names {
            return Value::unknown("a word with wildcards where `set -f` may hold");
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

/// Where the pieces of a word stand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Around {
    /// In an unquoted `${name:-…}` among a command's words: what is written there is split like what it comes to.
    Braces,
    /// Among a command's words.
    Command,
    /// Where no words are made: an assignment, a `case`, a file's name.
    One,
}

pub(super) fn lists_of(values: &Values) -> Vec<Words> {
    values.iter().map(|value| vec![value.clone()]).collect()
}

pub(super) fn is_quoted_list(piece: &Piece) -> bool {
    matches!(piece, Piece::Parameter { parameter, quoted: true }
        if matches!(parameter.name, Name::All { joined: false } | Name::AllOf { joined: false, .. })
            || matches!(parameter.operation, Operation::Alternative(ref word) if word.iter().any(is_quoted_list)))
}

/// Whether an unquoted `{a,b}` or `{1..3}` stands in a word. (`{}` alone is nothing special.)
fn has_braces(pieces: &[Piece]) -> bool {
    pieces.iter().any(|piece| {
        matches!(piece, Piece::Literal { text, quoted: false }
            if text.find('{').is_some_and(|open| text.get(open..).is_some_and(|rest|
                rest.contains(',') || rest.contains(".."))))
    })
}
