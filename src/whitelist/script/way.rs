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
    pub(super) words: Words,
    pub(super) open: Option<Open>,
}

/// A word that is not finished.
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

/// Whether the shell splits a value into words.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Splitting {
    Split,
    Whole,
}

impl Open {
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
        self.words.len() * 16 + self.open.as_ref().map_or(0, |open| open.bytes.len())
    }

    fn open(&mut self) -> &mut Open {
        self.open.get_or_insert_default()
    }

    fn close(&mut self) {
        self.words.extend(self.open.take().map(Open::into_value));
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

    fn value(&mut self, value: &Value, splitting: Splitting) {
        match (value, splitting) {
            (Value::Known(bytes), Splitting::Whole) => self.literal(bytes, true),
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
                self.words.push(Value::Rest(why.clone()));
            }
            (Value::Rest(_), _) if self.open.is_none() => self.words.push(value.clone()),
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
pub(super) fn each(ways: &[Way], lists: &[Words], splitting: Splitting) -> Vec<Way> {
    if ways.len().saturating_mul(lists.len()) > MAX_WAYS {
        return vec![unknown_way(Why::new("one of too many values to follow"))];
    }
    let mut next = Vec::new();
    for way in ways {
        for list in lists {
            let mut way = way.clone();
            for (index, value) in list.iter().enumerate() {
                if index > 0 {
                    way.close();
                }
                way.value(value, splitting);
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
        words: vec![Value::Rest(why)],
        open: None,
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
