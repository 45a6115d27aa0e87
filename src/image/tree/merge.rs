//! Layers upon each other, as an overlay file system shows them: folders are joined, anything else takes the place of what
//! is below; what a layer deletes or hides is gone.
//!
//! So a folder that a later layer makes a link is gone with all that was in it, and a link that it makes a folder leads
//! nowhere any more.

use std::{cmp::Ordering, sync::Arc};

use super::{
    At, Place, ROOT, Tree, TreeError,
    layer::{Entry, LayerTree, Span},
    node::{Content, Node},
    path::shown,
};
use crate::image::limits::Limits;

impl Tree {
    /// A tree with nothing in it.
    #[must_use]
    pub(crate) fn empty() -> Self {
        Self {
            layers: Vec::new(),
            places: vec![Place {
                parent: ROOT,
                name: At { layer: 0, slot: 0 },
                node: At { layer: 0, slot: 0 },
                children: Span::default(),
            }],
            inodes: 0,
            texts: 0,
        }
    }

    /// Layers upon each other, the lowest first.
    pub fn from_layers(
        layers: impl IntoIterator<Item = LayerTree>,
        limits: &Limits,
    ) -> Result<Self, TreeError> {
        let mut tree = Self::empty();
        for layer in layers {
            tree.add(layer, limits)?;
        }
        Ok(tree)
    }

    /// Puts a layer on top.
    pub(crate) fn add(&mut self, mut layer: LayerTree, limits: &Limits) -> Result<(), TreeError> {
        let total = |layers: &[LayerTree]| layers.iter().map(LayerTree::len).sum::<usize>();
        if total(&self.layers).saturating_add(layer.len()) > limits.entries {
            return Err(TreeError::Entries(limits.entries));
        }
        let number =
            u16::try_from(self.layers.len()).map_err(|_| TreeError::Entries(limits.entries))?;
        self.settle(&mut layer, limits);
        let merged = Merge {
            lower: self,
            upper: &layer,
            number,
            places: Vec::new(),
            sources: Vec::new(),
        };
        self.places = merged.places()?;
        self.layers.push(layer);
        Ok(())
    }

    /// Makes a layer's inodes unlike those below, and cuts texts that are too many.
    fn settle(&mut self, layer: &mut LayerTree, limits: &Limits) {
        for slot in &mut layer.slots {
            let Entry::Own(Node::File(file)) = &mut slot.entry else {
                continue;
            };
            file.inode.0 = file.inode.0.saturating_add(self.inodes);
            if let Content::Head(bytes) | Content::Text(bytes) = &file.content {
                let texts = self.texts.saturating_add(bytes.len());
                if texts > limits.texts {
                    file.content = Content::Head(Arc::default());
                } else {
                    self.texts = texts;
                }
            }
        }
        self.inodes = self.inodes.saturating_add(layer.inodes);
    }
}

/// Where a folder of the merged tree has its children from.
#[derive(Clone, Copy)]
struct Sources {
    lower: Option<u32>,
    upper: Option<u32>,
}

struct Merge<'a> {
    lower: &'a Tree,
    upper: &'a LayerTree,
    number: u16,
    places: Vec<Place>,
    sources: Vec<Sources>,
}

impl Merge<'_> {
    /// Folder by folder, those nearest to the root first.
    fn places(mut self) -> Result<Vec<Place>, TreeError> {
        let hides = self.upper.slot(0).is_some_and(|root| root.hides);
        let name = At { layer: 0, slot: 0 };
        self.place(ROOT, name, Some(ROOT), Some(0), hides)?;
        let mut index = 0;
        while let Some(&sources) = self.sources.get(index) {
            let parent = u32::try_from(index).unwrap_or(u32::MAX);
            let start = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
            self.children(parent, sources)?;
            let end = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
            if let Some(place) = self.places.get_mut(index) {
                place.children = Span {
                    start,
                    length: end.saturating_sub(start),
                };
            }
            index += 1;
        }
        Ok(self.places)
    }

    fn children(&mut self, parent: u32, sources: Sources) -> Result<(), TreeError> {
        let (lower, upper) = (self.lower, self.upper);
        let span = sources.lower.and_then(|index| lower.place(index));
        let span = span.map_or(Span::default(), |place| place.children);
        let mut below = (span.start..).zip(span.of(&lower.places)).peekable();
        let slots = sources.upper.and_then(|index| upper.slot(index));
        let slots = slots.map_or(&[][..], |slot| upper.children(slot));
        let mut above = slots.iter().copied().peekable();
        loop {
            let order = match (below.peek(), above.peek()) {
                (Some((_, place)), Some(&slot)) => lower.name_of(place).cmp(upper.name(slot)),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => return Ok(()),
            };
            let from_below = if order.is_le() { below.next() } else { None };
            let from_above = if order.is_ge() { above.next() } else { None };
            let name = match (from_above, from_below) {
                (Some(slot), _) => At {
                    layer: self.number,
                    slot,
                },
                (None, Some((_, place))) => place.name,
                (None, None) => return Ok(()),
            };
            let hides = from_above.and_then(|slot| upper.slot(slot));
            let hides = hides.is_some_and(|slot| slot.hides);
            self.place(
                parent,
                name,
                from_below.map(|(index, _)| index),
                from_above,
                hides,
            )?;
        }
    }

    /// What a name stands for, of what is below and above.
    fn place(
        &mut self,
        parent: u32,
        name: At,
        lower: Option<u32>,
        upper: Option<u32>,
        hides: bool,
    ) -> Result<(), TreeError> {
        let below = lower.and_then(|index| self.lower.place(index));
        let slot = upper.and_then(|slot| self.upper.slot(slot));
        let own = At {
            layer: self.number,
            slot: upper.unwrap_or(0),
        };
        let is_joined = !hides
            && below
                .is_some_and(|place| matches!(self.lower.node_of(place), Node::Directory { .. }))
            && slot.is_none_or(|slot| slot.entry.is_directory());
        let node = match (slot.map(|slot| &slot.entry), below) {
            (Some(Entry::Whiteout), _) | (None, None) => return Ok(()),
            (None, Some(below)) => below.node,
            (Some(Entry::Implied), Some(below)) if is_joined => below.node,
            (Some(Entry::Borrowed(path)), _) => self.borrowed(name, path)?,
            (Some(Entry::Implied | Entry::Own(_)), _) => own,
        };
        self.places.push(Place {
            parent,
            name,
            node,
            children: Span::default(),
        });
        self.sources.push(Sources {
            lower: lower.filter(|_| is_joined),
            upper,
        });
        Ok(())
    }

    /// A file of the layers below that gets another name. Unpackers that write all layers into one folder can do that.
    fn borrowed(&self, name: At, path: &[u8]) -> Result<At, TreeError> {
        let (name, target) = (shown(self.upper.name(name.slot)), shown(path));
        match self.lower.literal(path) {
            Some(place) if matches!(self.lower.node_of(place), Node::Directory { .. }) => {
                Err(TreeError::HardLinkToFolder { name, target })
            }
            Some(place) => Ok(place.node),
            None => Err(TreeError::HardLink { name, target }),
        }
    }
}
