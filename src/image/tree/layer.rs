//! What one layer holds: names as they are after its last entry, and what it hides of the layers below.
//!
//! A layer stands for itself, as in an overlay file system's upper folder, where containerd and Docker unpack it: its
//! entries never look at layers below, so that it can be read once and kept by its digest.

use super::node::Node;

/// One layer's names.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct LayerTree {
    /// The root is the first.
    pub(super) slots: Vec<Slot>,
    /// All names, one behind the other.
    pub(super) names: Vec<u8>,
    /// What stands below each slot: its part of `order`.
    pub(super) children: Vec<Span>,
    /// The slots below each folder, sorted by name.
    pub(super) order: Vec<u32>,
    /// How many files there are: inodes are counted from 0.
    pub(super) inodes: u32,
}

/// A name in a layer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    /// Its part of `names`.
    pub(super) start: u32,
    pub(super) length: u16,
    /// Whether what layers below have under this name is gone: an opaque folder, or one of a name that was also deleted.
    pub(super) hides: bool,
    pub(super) entry: Entry,
}

// An image has hundreds of thousands of them.
const _: () = assert!(size_of::<Slot>() <= 48, "slots are small");

/// What a layer has under a name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A hard link to a file that only a layer below can have. The path is absolute.
    Borrowed(Vec<u8>),
    /// A folder that is not in the layer itself, but something below it is.
    Implied,
    /// Something that the layer brings.
    Own(Node),
    /// Something that the layer deletes.
    Whiteout,
}

/// A part of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(super) start: u32,
    pub(super) length: u32,
}

impl LayerTree {
    /// How many names there are, with what it deletes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.len() <= 1
    }

    pub(super) fn slot(&self, index: u32) -> Option<&Slot> {
        self.slots.get(usize::try_from(index).ok()?)
    }

    pub(super) fn name(&self, index: u32) -> &[u8] {
        self.slot(index).map_or(&[], |slot| slot.name(&self.names))
    }

    pub(super) fn children(&self, index: u32) -> &[u32] {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        let span = self.children.get(index).copied();
        span.unwrap_or_default().of(&self.order)
    }
}

impl Slot {
    pub(super) fn name<'a>(&self, names: &'a [u8]) -> &'a [u8] {
        let span = Span {
            start: self.start,
            length: u32::from(self.length),
        };
        span.of(names)
    }
}

impl Entry {
    pub(super) fn is_directory(&self) -> bool {
        matches!(self, Self::Implied | Self::Own(Node::Directory { .. }))
    }
}

impl Span {
    pub(super) fn of<T>(self, list: &[T]) -> &[T] {
        let of = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let start = of(self.start);
        list.get(start..start.saturating_add(of(self.length)))
            .unwrap_or_default()
    }
}
