//! The ways in which words come out, while they are put together.

use std::sync::Arc;

use super::{
    pattern,
    state::{MAX_WORDS, Words},
    value::{MAX_BYTES, MAX_VALUES, Value, Why, too_long},
};

/// LIMIT: ways in which one command can come out that are kept apart.
const MAX_WAYS: usize = 48;

/// A way in which the words so far can come out.
#[derive(Clone, Default)]
pub(super) struct Way {
    /// Those that are finished.
    pub(super) words: Vec<Open>,
    pub(super) open: Option<Open>,
    /// Whether the first of them stands apart from what is before: blanks were split off.
    begins_apart: bool,
}

/// A word that is not finished, or whose wildcards are not looked at yet.
#[derive(Clone, Default)]
pub(super) struct Open {
    pub(super) bytes: Vec<u8>,
    /// The same as a shell pattern, in which quoted characters are escaped.
    pub(super) pattern: Vec<u8>,
    pub(super) has_wildcards: bool,
    /// Set where the word is not, or not only, known text.
    pub(super) special: Option<Value>,
    pub(super) has_numbers: bool,
}

/// What the shell does with a value that it puts into a word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Splitting {
    /// It is text, wildcards in it as well.
    Quoted,
    /// It is split into words, and wildcards in it count.
    Split,
    /// It is not split, and wildcards in it count.
    Whole,
}

/// One list of words that a parameter or substitution may come to.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct List {
    pub(super) words: Words,
    pub(super) splitting: Splitting,
    /// Whether its first word stands apart from what is before it, and its last one from what follows.
    apart: (bool, bool),
}

impl List {
    pub(super) fn new(words: Words, splitting: Splitting) -> Self {
        Self {
            words,
            splitting,
            apart: (false, false),
        }
    }

    /// The words of a way, as they are.
    pub(super) fn of(way: Way, finish: impl FnMut(Open) -> Value) -> Self {
        let apart = (
            way.begins_apart,
            way.open.is_none() && !way.words.is_empty(),
        );
        let words = way.words.into_iter().chain(way.open).map(finish);
        Self {
            words: words.collect(),
            splitting: Splitting::Quoted,
            apart,
        }
    }
}

/// The same for each of some lists.
pub(super) fn lists(lists: Vec<Words>, splitting: Splitting) -> Vec<List> {
    let lists = lists.into_iter();
    lists.map(|words| List::new(words, splitting)).collect()
}

impl Open {
    fn special(value: Value) -> Self {
        Self {
            special: Some(value),
            ..Self::default()
        }
    }

    pub(super) fn into_value(self) -> Value {
        match self.special {
            Some(special) => special,
            None if self.has_numbers => Value::Numbered(Arc::from(self.bytes)),
            None => Value::Known(Arc::from(self.bytes)),
        }
    }
}

impl Way {
    pub(super) fn size(&self) -> usize {
        let words = self.words.iter().chain(&self.open);
        words.map(|word| 16 + word.bytes.len()).sum()
    }

    fn open(&mut self) -> &mut Open {
        self.open.get_or_insert_default()
    }

    fn close(&mut self) {
        self.begins_apart |= self.open.is_none() && self.words.is_empty();
        self.words.extend(self.open.take());
    }

    pub(super) fn literal(&mut self, text: &[u8], quoted: bool) {
        let open = self.open();
        if let Some(special) = &open.special {
            if !text.is_empty() {
                open.special = Some(special.blurred());
            }
            return;
        }
        if open.bytes.len() + text.len() > MAX_BYTES {
            open.special = Some(too_long());
            return;
        }
        open.bytes.extend_from_slice(text);
        if quoted {
            open.pattern.extend(pattern::escaped(text));
        } else {
            open.pattern.extend_from_slice(text);
            open.has_wildcards |= pattern::is_pattern(text);
        }
    }

    pub(super) fn value(&mut self, value: &Value, splitting: Splitting) {
        match (value, splitting) {
            (Value::Known(bytes), Splitting::Quoted) => self.literal(bytes, true),
            (Value::Known(bytes), Splitting::Whole) => self.literal(bytes, false),
            (Value::Known(bytes), Splitting::Split) => {
                for (index, word) in bytes.split(u8::is_ascii_whitespace).enumerate() {
                    if index > 0 {
                        self.close();
                    }
                    if !word.is_empty() {
                        self.literal(word, false);
                    }
                }
            }
            (Value::Numbered(bytes), _) => {
                self.literal(bytes, true);
                self.open().has_numbers = true;
            }
            (Value::Unknown(why), Splitting::Split) if self.open.is_none() => {
                self.words.push(Open::special(Value::Rest(why.clone())));
            }
            (Value::Rest(_), _) if self.open.is_none() => {
                self.words.push(Open::special(value.clone()));
            }
            (value, _) => {
                let open = self.open();
                let alone = open.bytes.is_empty() && open.special.is_none();
                open.special = Some(match value {
                    Value::Rest(why) => Value::Unknown(why.clone()),
                    value if alone => value.clone(),
                    value => value.blurred(),
                });
            }
        }
    }
}

/// Each way so far, with each list that can come next.
pub(super) fn each(ways: &[Way], lists: &[List]) -> Vec<Way> {
    if ways.len().saturating_mul(lists.len()) > MAX_WAYS {
        return vec![unknown_way(Why::new("one of too many values to follow"))];
    }
    let mut next = Vec::new();
    for way in ways {
        for list in lists {
            let mut way = way.clone();
            if list.apart.0 {
                way.close();
            }
            for (index, value) in list.words.iter().enumerate() {
                if index > 0 {
                    way.close();
                }
                way.value(value, list.splitting);
            }
            if list.apart.1 {
                way.close();
            }
            if way.words.len() > MAX_WORDS {
                return vec![unknown_way(Why::new("too many words"))];
            }
            next.push(way);
        }
    }
    next
}

/// Words of a command so far, with those of its next word.
pub(super) fn combine(ways: &[Words], next: &[Words]) -> Vec<Words> {
    if ways.len().saturating_mul(next.len()) <= MAX_WAYS {
        let mut combined: Vec<Words> = Vec::new();
        for way in ways {
            for words in next {
                let mut way = way.clone();
                way.extend(words.iter().cloned());
                if way.len() > MAX_WORDS {
                    way.truncate(MAX_WORDS);
                    way.push(Value::Rest(Why::new("too many words")));
                }
                if !combined.contains(&way) {
                    combined.push(way);
                }
            }
        }
        return combined;
    }
    // What is run matters most: it is kept, and what follows is not.
    ways.iter()
        .map(|way| {
            let mut way = way.clone();
            way.push(Value::Rest(Why::new("one of too many values to follow")));
            way
        })
        .take(MAX_VALUES)
        .collect()
}

pub(super) fn unknown_way(why: Why) -> Way {
    Way {
        words: vec![Open::special(Value::Rest(why))],
        ..Way::default()
    }
}

/// Words as one string with blanks between.
pub(super) fn joined(words: &[Value]) -> Value {
    match words {
        [] => Value::known(""),
        [Value::Rest(why)] => Value::Unknown(why.clone()),
        [value] => value.clone(),
        words => {
            let mut text = Vec::new();
            for (index, word) in words.iter().enumerate() {
                let Some(bytes) = word.script() else {
                    return word.blurred();
                };
                if text.len() + bytes.len() > MAX_BYTES {
                    return too_long();
                }
                if index > 0 {
                    text.push(b' ');
                }
                text.extend_from_slice(bytes);
            }
            if words.iter().all(|word| word.bytes().is_some()) {
                Value::known(text)
            } else {
                Value::Numbered(Arc::from(text))
            }
        }
    }
}
