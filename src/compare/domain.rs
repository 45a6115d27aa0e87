//! The strings that an operation can have: what the kernel can ask, and nothing else.
//!
//! Automata of policies also answer strings that no operation has, like `/a//b`. Witnesses must be real, so every walk stays
//! inside of a [`Domain`].

use crate::apparmor::automaton::Map;
use crate::apparmor::pattern::ByteSet;

/// A part of the strings of a domain, after the part before it.
#[derive(Clone, Debug)]
pub(super) enum Field {
    /// Bytes of a set that ascend strictly, none to all of them: flags of mounts.
    Ascending(ByteSet),
    /// One byte of a set.
    Byte(ByteSet),
    /// A profile's name, or names with `//&` between them: not empty. Not one of [`Names`]: those are walked by themselves.
    Label,
    /// The same where a change of profile may go: not a stack, which begins with `&`.
    NewLabel,
    /// These bytes.
    Literal(&'static [u8]),
    /// One of some strings, none of which begins another.
    OneOf(Vec<Vec<u8>>),
    /// An absolute path without `//`, `.` and `..`; a folder's ends in `/`.
    Path,
    /// Any bytes but NUL.
    Text,
}

/// Names of profiles that are the same thing on both sides: the candidate's and the baseline's.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    /// Pairs of the first side's name and the second's.
    pub(super) pairs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// The strings of an operation, as an automaton.
#[derive(Clone, Debug)]
pub(super) struct Domain {
    fields: Vec<Field>,
    /// Strings of `OneOf` fields and names not to be read byte by byte, each field's as a tree.
    trees: Vec<Tree>,
    /// Labels are those of [`Names`] only.
    only_names: bool,
}

/// Where in a domain's strings a walk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Place {
    field: u16,
    inner: u32,
}

impl Place {
    /// Where every string begins.
    pub(super) const START: Self = Self { field: 0, inner: 0 };

    /// The number of the field that it is in.
    pub(super) fn field(self) -> u16 {
        self.field
    }
}

/// Inside a label: past all names that are walked by themselves.
const FREE: u32 = u32::MAX;
/// A label that was walked whole.
const WHOLE: u32 = u32::MAX - 1;

/// Places in a path.
mod path {
    pub(super) const START: u32 = 0;
    pub(super) const ROOT: u32 = 1;
    pub(super) const NAME: u32 = 2;
    pub(super) const SLASH: u32 = 3;
    pub(super) const DOT: u32 = 4;
    pub(super) const DOTS: u32 = 5;
}

impl Domain {
    pub(super) fn new(fields: Vec<Field>, names: &Names) -> Self {
        let trees = fields
            .iter()
            .map(|field| match field {
                Field::Label | Field::NewLabel => {
                    Tree::new(names.pairs.iter().map(|(name, _)| name.as_slice()))
                }
                Field::OneOf(strings) => Tree::new(strings.iter().map(Vec::as_slice)),
                _ => Tree::default(),
            })
            .collect();
        Self {
            fields,
            trees,
            only_names: false,
        }
    }

    /// The strings whose labels are all names that differ from side to side; none if the domain has no labels.
    pub(super) fn with_names_only(mut self) -> Option<Self> {
        self.only_names = true;
        self.has_labels().then_some(self)
    }

    /// Whether names of profiles are part of its strings.
    pub(super) fn has_labels(&self) -> bool {
        self.fields
            .iter()
            .any(|field| matches!(field, Field::Label | Field::NewLabel))
    }

    /// The place after a byte, if a string can go on with it.
    pub(super) fn next(&self, place: Place, byte: u8) -> Option<Place> {
        let mut place = place;
        loop {
            let field = self.fields.get(usize::from(place.field))?;
            if let Some(inner) = self.inner_next(place, field, byte) {
                return Some(Place { inner, ..place });
            }
            if !self.inner_ends(place, field) {
                return None;
            }
            place = Place {
                field: place.field + 1,
                inner: 0,
            };
        }
    }

    /// Whether a string can end here.
    pub(super) fn ends(&self, place: Place) -> bool {
        let mut place = place;
        while let Some(field) = self.fields.get(usize::from(place.field)) {
            if !self.inner_ends(place, field) {
                return false;
            }
            place = Place {
                field: place.field + 1,
                inner: 0,
            };
        }
        true
    }

    /// The place behind a whole label, if one begins here.
    pub(super) fn after_label(&self, place: Place) -> Option<Place> {
        let mut place = place;
        loop {
            let field = self.fields.get(usize::from(place.field))?;
            if place.inner == 0 && matches!(field, Field::Label | Field::NewLabel) {
                return Some(Place {
                    inner: WHOLE,
                    ..place
                });
            }
            if !self.inner_ends(place, field) {
                return None;
            }
            place = Place {
                field: place.field + 1,
                inner: 0,
            };
        }
    }

    fn inner_next(&self, place: Place, field: &Field, byte: u8) -> Option<u32> {
        let inner = place.inner;
        match field {
            Field::Ascending(set) => {
                (u32::from(byte) > inner && set.contains(byte)).then_some(u32::from(byte))
            }
            Field::Byte(set) => (inner == 0 && set.contains(byte)).then_some(1),
            Field::Label | Field::NewLabel if self.only_names => None,
            Field::NewLabel if inner == 0 && byte == b'&' => None,
            Field::Label | Field::NewLabel => match inner {
                _ if byte == 0 => None,
                WHOLE => None,
                FREE => Some(FREE),
                node => Some(
                    self.trees
                        .get(usize::from(place.field))?
                        .next(node, byte)
                        .unwrap_or(FREE),
                ),
            },
            Field::Literal(bytes) => {
                (bytes.get(inner as usize) == Some(&byte)).then_some(inner + 1)
            }
            Field::OneOf(_) => self.trees.get(usize::from(place.field))?.next(inner, byte),
            Field::Path => path_next(inner, byte),
            Field::Text => (byte != 0).then_some(1),
        }
    }

    fn inner_ends(&self, place: Place, field: &Field) -> bool {
        let inner = place.inner;
        let tree = || self.trees.get(usize::from(place.field));
        match field {
            Field::Ascending(_) | Field::Text => true,
            Field::Byte(_) => inner == 1,
            Field::Label | Field::NewLabel => match inner {
                0 => false,
                FREE | WHOLE => true,
                node => !tree().is_some_and(|tree| tree.ends(node)),
            },
            Field::Literal(bytes) => inner as usize == bytes.len(),
            Field::OneOf(_) => tree().is_some_and(|tree| tree.ends(inner)),
            Field::Path => matches!(inner, path::ROOT | path::NAME | path::SLASH),
        }
    }

    /// What the domain tells apart: single bytes, and sets.
    pub(super) fn sets(&self) -> (ByteSet, Vec<ByteSet>) {
        let mut sets = Vec::new();
        let mut single = ByteSet::of(b"\0");
        let mut add = |bytes: &mut dyn Iterator<Item = u8>| {
            for byte in bytes {
                single.insert(byte);
            }
        };
        for (field, tree) in self.fields.iter().zip(&self.trees) {
            match field {
                Field::Ascending(set) => add(&mut set.iter()),
                Field::Byte(set) => sets.push(*set),
                Field::Literal(bytes) => add(&mut bytes.iter().copied()),
                Field::Path => add(&mut b"/.".iter().copied()),
                Field::NewLabel => {
                    add(&mut std::iter::once(b'&'));
                    add(&mut tree.bytes());
                }
                Field::Label | Field::OneOf(_) => add(&mut tree.bytes()),
                Field::Text => {}
            }
        }
        (single, sets)
    }
}

fn path_next(inner: u32, byte: u8) -> Option<u32> {
    match (inner, byte) {
        (path::START, b'/') => Some(path::ROOT),
        (_, 0) | (path::START, _) | (path::ROOT | path::SLASH | path::DOT | path::DOTS, b'/') => {
            None
        }
        (path::NAME, b'/') => Some(path::SLASH),
        (path::ROOT | path::SLASH, b'.') => Some(path::DOT),
        (path::DOT, b'.') => Some(path::DOTS),
        _ => Some(path::NAME),
    }
}

/// Strings by their beginnings. Node 0 is the root.
#[derive(Clone, Debug, Default)]
struct Tree {
    edges: Map<(u32, u8), u32>,
    ends: Vec<u32>,
}

impl Tree {
    fn new<'a>(strings: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut tree = Self::default();
        let mut nodes = 0;
        for string in strings {
            let mut node = 0;
            for &byte in string {
                node = *tree.edges.entry((node, byte)).or_insert_with(|| {
                    nodes += 1;
                    nodes
                });
            }
            tree.ends.push(node);
        }
        tree
    }

    fn next(&self, node: u32, byte: u8) -> Option<u32> {
        self.edges.get(&(node, byte)).copied()
    }

    fn ends(&self, node: u32) -> bool {
        self.ends.contains(&node)
    }

    fn bytes(&self) -> impl Iterator<Item = u8> {
        self.edges.keys().map(|(_, byte)| *byte)
    }
}
