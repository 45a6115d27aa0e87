//! What a word of a script can come to.
//!
//! A word is not one string but a set of possible ones: every value that a variable was given on some way to the place where it
//! is used. What cannot be told stays in the set as a value that says why.

use std::{collections::BTreeSet, fmt, sync::Arc};

/// LIMIT: values that one word or variable is followed through; more are unknown.
pub(crate) const MAX_VALUES: usize = 24;

/// LIMIT: bytes of one value that are followed. Values that are put together from themselves grow fast.
pub(crate) const MAX_BYTES: usize = 64 << 10;

/// One possible value of a word.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Value {
    /// The path of one of the files that a pattern matches.
    Files(FilePattern),
    /// Exactly this.
    Known(Arc<[u8]>),
    /// This, but for numbers and names of temporary files in it, for which something like them stands. Texts for `trap` and
    /// `eval` are made with them, and mean the same whatever they are.
    Numbered(Arc<[u8]>),
    /// No, one or many words of which nothing is known.
    Rest(Why),
    /// One word of which nothing is known.
    Unknown(Why),
}

impl Value {
    pub(crate) fn known(text: impl AsRef<[u8]>) -> Self {
        Self::Known(Arc::from(text.as_ref()))
    }

    pub(crate) fn unknown(why: impl Into<String>) -> Self {
        Self::Unknown(Why::new(why))
    }

    /// The bytes, where they are known.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Known(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The bytes of a text that is to be read as commands: numbers in it make no difference.
    pub(crate) fn script(&self) -> Option<&[u8]> {
        match self {
            Self::Known(bytes) | Self::Numbered(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// A number that is not known.
    pub(crate) fn number() -> Self {
        Self::Numbered(Arc::from(&b"0"[..]))
    }

    /// What is not known of it; none where all is.
    pub(crate) fn why(&self) -> Option<Why> {
        match self {
            Self::Known(_) => None,
            Self::Files(_) => Some(Why::new("the name of one of several files")),
            Self::Numbered(_) => Some(Why::new("a number, or the name of a temporary file")),
            Self::Rest(why) | Self::Unknown(why) => Some(why.clone()),
        }
    }

    /// It as part of something, or changed: never known.
    pub(crate) fn blurred(&self) -> Self {
        Self::Unknown(self.why().unwrap_or_else(|| Why::new("a changed value")))
    }
}

/// Why a value is not known: the end of a sentence, such as "the output of `hostname`".
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Why(Arc<str>);

impl Why {
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Self(Arc::from(why.into()))
    }
}

impl fmt::Display for Why {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Files by name, as a shell's `*` or `find` gives them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FilePattern {
    /// A shell pattern of the path; with [`Reach::Below`] the folder, as it is.
    pub(crate) path: Arc<[u8]>,
    /// Which of the files.
    pub(crate) reach: Reach,
    /// Shell patterns that the path must match as well, as a `case` asked for them; one of each list.
    pub(crate) filters: Vec<Vec<Arc<[u8]>>>,
}

/// How far a [`FilePattern`] reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Reach {
    /// Every file below a folder.
    Below,
    /// Those that the pattern matches, where `*` does not match `/`.
    Matching,
}

impl FilePattern {
    /// The folder in which files of this pattern are put, as far as it is written without wildcards.
    pub(crate) fn folder(&self) -> &[u8] {
        if self.reach == Reach::Below {
            return &self.path;
        }
        let literal = self
            .path
            .iter()
            .position(|byte| b"*?[\\".contains(byte))
            .unwrap_or(self.path.len());
        let head = self.path.get(..literal).unwrap_or_default();
        let end = head.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        match head.get(..end) {
            Some([]) | None => b"/",
            Some(folder) => folder,
        }
    }

    /// The same files, as far as they match one of these patterns too.
    pub(crate) fn filtered(&self, patterns: Vec<Arc<[u8]>>) -> Self {
        let mut narrowed = self.clone();
        // LIMIT: filters of one pattern; without the further ones it names more files, not fewer.
        if narrowed.filters.len() < 8 && !narrowed.filters.contains(&patterns) {
            narrowed.filters.push(patterns);
        }
        narrowed
    }
}

/// A bounded set of possible values.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Values(BTreeSet<Value>);

impl Values {
    pub(crate) fn one(value: Value) -> Self {
        Self(BTreeSet::from([value]))
    }

    pub(crate) fn insert(&mut self, value: Value) {
        if self.0.len() < MAX_VALUES || self.0.contains(&value) {
            self.0.insert(value);
        } else {
            self.0.insert(too_many());
        }
    }

    pub(crate) fn extend(&mut self, values: impl IntoIterator<Item = Value>) {
        for value in values {
            self.insert(value);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Value> {
        self.0.iter()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The known ones.
    pub(crate) fn known(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().filter_map(Value::bytes)
    }
}

impl FromIterator<Value> for Values {
    fn from_iter<I: IntoIterator<Item = Value>>(values: I) -> Self {
        let mut set = Self::default();
        set.extend(values);
        set
    }
}

/// What stands for a value over [`MAX_BYTES`].
pub(crate) fn too_long() -> Value {
    Value::unknown("a text that is too long to follow")
}

/// What stands for the values over the limit.
pub(crate) fn too_many() -> Value {
    Value::unknown("one of too many values to follow")
}
