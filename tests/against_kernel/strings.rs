//! Strings that rules may be about: some that their patterns match, and what is left of them after small changes.

use armorgate::apparmor::{
    model::Entry,
    pattern::{ByteSet, Pattern},
};

use crate::generate::Random;

/// What changes are made of: the bytes that mean something in rules and paths.
const BYTES: &[u8] = b"/./ab/cx\0*[]{}^,?\\AB d1\x01\x05\xc3\xa9\xff";

/// Makes strings for the entries of one class.
pub(crate) struct Strings<'a> {
    random: &'a mut Random,
    entries: &'a [Entry],
    /// What the text has between its spaces.
    words: Vec<Vec<u8>>,
    made: Vec<Vec<u8>>,
}

impl<'a> Strings<'a> {
    pub(crate) fn new(random: &'a mut Random, entries: &'a [Entry], text: &str) -> Self {
        let words = text.split_whitespace();
        let words = words.map(|word| word.trim_matches(['"', ',']).as_bytes().to_vec());
        Self {
            random,
            entries,
            words: words.filter(|word| word.starts_with(b"/")).collect(),
            made: Vec::new(),
        }
    }

    /// The next one.
    pub(crate) fn next(&mut self) -> Vec<u8> {
        let mut string = match self.random.below(10) {
            0..4 => self.matching(),
            4..8 => self.old(),
            8 => self.word(),
            _ => {
                let (mut first, second) = (self.old(), self.old());
                first.truncate(self.random.below(first.len() + 1));
                first.extend(&second[self.random.below(second.len() + 1)..]);
                first
            }
        };
        for _ in 0..self.random.below(3) {
            self.change(&mut string);
        }
        string.truncate(LONGEST);
        self.made.push(string.clone());
        string
    }

    /// One of those before.
    fn old(&mut self) -> Vec<u8> {
        if self.made.is_empty() {
            return self.matching();
        }
        self.made[self.random.below(self.made.len())].clone()
    }

    fn word(&mut self) -> Vec<u8> {
        if self.words.is_empty() {
            return b"/a".to_vec();
        }
        let word = self.words[self.random.below(self.words.len())].clone();
        // Some letters instead of what stands for them.
        let plain = word.into_iter().map(|byte| match byte {
            b'*' | b'?' | b'{' | b'}' if self.random.percent(80) => BYTES[self.random.below(8)],
            byte => byte,
        });
        plain.collect()
    }

    fn matching(&mut self) -> Vec<u8> {
        if self.entries.is_empty() {
            return self.word();
        }
        let entry = &self.entries[self.random.below(self.entries.len())];
        let mut string = Vec::new();
        self.sample(&entry.pattern, &mut string);
        string
    }

    fn sample(&mut self, pattern: &Pattern, string: &mut Vec<u8>) {
        match pattern {
            Pattern::Concat(parts) => {
                for part in parts {
                    self.sample(part, string);
                }
            }
            Pattern::Literal(bytes) => string.extend(bytes),
            Pattern::Set(set) => string.extend(self.byte(set)),
            Pattern::Star(set) => {
                for _ in 0..self.random.below(4) {
                    string.extend(self.byte(set));
                }
            }
            Pattern::Union(branches) if branches.is_empty() => {}
            Pattern::Union(branches) => {
                let branch = &branches[self.random.below(branches.len())];
                self.sample(branch, string);
            }
        }
    }

    /// A byte of a set, mostly one of those that mean something.
    fn byte(&mut self, set: &ByteSet) -> Option<u8> {
        let usual = BYTES[self.random.below(BYTES.len())];
        if set.contains(usual) {
            return Some(usual);
        }
        let all: Vec<u8> = set.iter().collect();
        (!all.is_empty()).then(|| all[self.random.below(all.len())])
    }

    fn change(&mut self, string: &mut Vec<u8>) {
        let byte = BYTES[self.random.below(BYTES.len())];
        let at = self.random.below(string.len() + 1);
        match self.random.below(8) {
            0 | 1 => string.insert(at, byte),
            2 | 3 if at < string.len() => string[at] = byte,
            4 if at < string.len() => {
                string.remove(at);
            }
            5 => string.truncate(at),
            6 => string.push(b'/'),
            _ => string.extend(
                [b"/".as_slice(), b"/..", b"/a", b"\0/", b"x", b"/."][self.random.below(6)],
            ),
        }
    }
}

/// Queries have room for a page, label and all.
const LONGEST: usize = 500;
