//! Sets of byte strings, as trees: what globs and the kernel's encodings of rules become.

/// A set of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ByteSet([u64; 4]);

impl ByteSet {
    /// Every byte.
    pub const ALL: Self = Self([u64::MAX; 4]);
    /// No byte.
    pub const NONE: Self = Self([0; 4]);
    /// Every byte but NUL.
    pub const NOT_NUL: Self = Self::of(b"\0").complement();
    /// Every byte but NUL and `/`.
    pub const NOT_NUL_OR_SLASH: Self = Self::of(b"\0/").complement();

    /// The bytes of a string.
    #[must_use]
    pub const fn of(bytes: &[u8]) -> Self {
        let mut words = [0_u64; 4];
        let mut rest = bytes;
        while let [byte, others @ ..] = rest {
            // A byte's upper two bits are below 4.
            #[expect(
                clippy::indexing_slicing,
                reason = "checked at compile time in constants"
            )]
            {
                words[(*byte >> 6) as usize] |= 1 << (*byte & 63);
            }
            rest = others;
        }
        Self(words)
    }

    /// Adds the bytes from one to another, whichever is the greater.
    pub fn insert_range(&mut self, from: u8, to: u8) {
        for byte in from.min(to)..=from.max(to) {
            self.insert(byte);
        }
    }

    /// Adds a byte.
    pub fn insert(&mut self, byte: u8) {
        if let Some(word) = self.0.get_mut(usize::from(byte >> 6)) {
            *word |= 1 << (byte & 63);
        }
    }

    /// Whether a byte is in it.
    #[must_use]
    pub fn contains(&self, byte: u8) -> bool {
        self.0
            .get(usize::from(byte >> 6))
            .is_some_and(|word| word >> (byte & 63) & 1 == 1)
    }

    /// The bytes that are not in it.
    #[must_use]
    pub const fn complement(self) -> Self {
        let [a, b, c, d] = self.0;
        Self([!a, !b, !c, !d])
    }

    /// The bytes that are in another set as well.
    #[must_use]
    pub fn intersection(mut self, other: Self) -> Self {
        for (word, other) in self.0.iter_mut().zip(other.0) {
            *word &= other;
        }
        self
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0 == [0; 4]
    }

    /// The bytes, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u8> + '_ {
        [0, 64, 128, 192]
            .into_iter()
            .zip(self.0)
            .flat_map(|(first, word)| {
                // Each time the lowest bit that is left, until none is.
                std::iter::successors(Some(word), |word| Some(word & word.wrapping_sub(1)))
                    .take_while(|word| *word != 0)
                    .map(move |word| first + u8::try_from(word.trailing_zeros()).unwrap_or(63))
            })
    }
}

/// A set of byte strings. Stars stand over sets of bytes only: AppArmor has no others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// One after the other.
    Concat(Vec<Pattern>),
    /// Exactly these bytes.
    Literal(Vec<u8>),
    /// One byte of a set.
    Set(ByteSet),
    /// Any number of bytes of a set.
    Star(ByteSet),
    /// Any of them; the empty list matches nothing.
    Union(Vec<Pattern>),
}

impl Pattern {
    /// The empty string.
    #[must_use]
    pub fn empty() -> Self {
        Self::Literal(Vec::new())
    }

    /// Exactly these bytes.
    #[must_use]
    pub fn literal(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Literal(bytes.into())
    }

    /// One of the bytes of a string.
    #[must_use]
    pub fn any_of(bytes: &[u8]) -> Self {
        Self::Set(ByteSet::of(bytes))
    }

    /// `[^\0]*`
    #[must_use]
    pub fn any_text() -> Self {
        Self::Star(ByteSet::NOT_NUL)
    }

    /// This or nothing.
    #[must_use]
    pub fn optional(self) -> Self {
        Self::Union(vec![self, Self::empty()])
    }

    /// The bytes that it takes, about. As deep as globs may be.
    #[must_use]
    pub(crate) fn size(&self) -> usize {
        /// What an allocation takes besides what is in it.
        const OVERHEAD: usize = 16;
        size_of::<Self>()
            + match self {
                Self::Concat(parts) | Self::Union(parts) => {
                    OVERHEAD + parts.iter().map(Self::size).sum::<usize>()
                }
                Self::Literal(bytes) => OVERHEAD + bytes.len(),
                Self::Set(_) | Self::Star(_) => 0,
            }
    }

    /// This and then another.
    #[must_use]
    pub fn then(self, next: Self) -> Self {
        match (self, next) {
            (Self::Literal(mut first), Self::Literal(second)) => {
                first.extend(second);
                Self::Literal(first)
            }
            (Self::Concat(mut parts), Self::Concat(more)) => {
                parts.extend(more);
                Self::Concat(parts)
            }
            (Self::Concat(mut parts), next) => {
                parts.push(next);
                Self::Concat(parts)
            }
            (first, next) => Self::Concat(vec![first, next]),
        }
    }
}
