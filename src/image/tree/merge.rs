//! Layers upon each other, as an overlay file system shows them: folders are joined, anything else takes the place of what
//! is below; what a layer deletes or hides is gone.
//!
//! So a folder that a later layer makes a link is gone with all that was in it, and a link that it makes a folder leads
//! nowhere any more.

use std::{cmp::Ordering, collections::VecDeque, sync::Arc};

use super::{
    Place, ROOT, Tree, TreeError,
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
            starts: Vec::new(),
            places: vec![Place {
                parent: ROOT,
                slot: 0,
                children: Span::default(),
            }],
            inodes: 0,
            texts: 0,
            names: 0,
        }
    }

    /// How much the next layer may have, of what an image may have.
    pub(crate) fn room(&self, limits: &Limits) -> Limits {
        let entries: usize = self.layers.iter().map(LayerTree::len).sum();
        Limits {
            entries: limits.entries.saturating_sub(entries),
            names: limits.names.saturating_sub(self.names),
            ..*limits
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
        let entries = || TreeError::Entries(limits.entries);
        let total: usize = self.layers.iter().map(LayerTree::len).sum();
        if total.saturating_add(layer.len()) > limits.entries {
            return Err(entries());
        }
        let start = u32::try_from(total).map_err(|_| entries())?;
        self.settle(&mut layer, limits)?;
        let merge = Merge {
            lower: self,
            upper: &layer,
            start,
            places: Vec::new(),
            pending: VecDeque::new(),
        };
        self.places = merge.places();
        self.starts.push(start);
        // Only needed until here.
        (layer.children, layer.order) = (Vec::new(), Vec::new());
        self.layers.push(layer);
        Ok(())
    }

    /// Makes a layer's inodes unlike those below, cuts texts that are too many, and gives it the files of layers below that
    /// it has other names for: unpackers that write all layers into one folder can do that.
    fn settle(&mut self, layer: &mut LayerTree, limits: &Limits) -> Result<(), TreeError> {
        self.names = self.names.saturating_add(layer.names.len());
        for slot in &mut layer.slots {
            let name = slot.name(&layer.names);
            match &mut slot.entry {
                Entry::Own(Node::File(file)) => {
                    file.inode.0 = file.inode.0.saturating_add(self.inodes);
                    let (Content::Head(bytes) | Content::Text(bytes)) = &file.content else {
                        continue;
                    };
                    let texts = self.texts.saturating_add(bytes.len());
                    if texts > limits.texts {
                        file.content = Content::Head(Arc::default());
                    } else {
                        self.texts = texts;
                    }
                }
                Entry::Borrowed(path) => {
                    let (name, target) = (shown(name), shown(path));
                    slot.entry = match self.node(path) {
                        Some(Node::Directory { .. }) => {
                            return Err(TreeError::HardLinkToFolder { name, target });
                        }
                        Some(node) => Entry::Own(node.clone()),
                        None => return Err(TreeError::HardLink { name, target }),
                    };
                }
                _ => {}
            }
            if let Entry::Own(Node::Link { target }) = &slot.entry {
                self.names = self.names.saturating_add(target.len());
            }
            if self.names > limits.names {
                return Err(TreeError::Names {
                    name: shown(name),
                    limit: limits.names,
                });
            }
        }
        self.inodes = self.inodes.saturating_add(layer.inodes);
        Ok(())
    }
}

/// A folder of the merged tree whose children are not there yet.
#[derive(Clone, Copy)]
struct Pending {
    place: u32,
    lower: Option<u32>,
    upper: Option<u32>,
}

struct Merge<'a> {
    lower: &'a Tree,
    upper: &'a LayerTree,
    /// Where the layer's slots start when those of all layers are counted.
    start: u32,
    places: Vec<Place>,
    pending: VecDeque<Pending>,
}

impl Merge<'_> {
    /// Folder by folder, those nearest to the root first.
    fn places(mut self) -> Vec<Place> {
        self.place(ROOT, Some(ROOT), Some(0));
        while let Some(folder) = self.pending.pop_front() {
            let start = self.next();
            self.children(folder);
            let length = self.next().saturating_sub(start);
            let at = usize::try_from(folder.place).unwrap_or(usize::MAX);
            if let Some(place) = self.places.get_mut(at) {
                place.children = Span { start, length };
            }
        }
        self.places.shrink_to_fit();
        self.places
    }

    /// The next place. There are no more of them than slots, which are counted in 32 bits.
    fn next(&self) -> u32 {
        u32::try_from(self.places.len()).unwrap_or(u32::MAX)
    }

    fn children(&mut self, folder: Pending) {
        let (lower, upper) = (self.lower, self.upper);
        let span = folder.lower.and_then(|index| lower.place(index));
        let span = span.map_or(Span::default(), |place| place.children);
        let mut below = (span.start..).zip(span.of(&lower.places)).peekable();
        let slots = folder.upper.map_or(&[][..], |index| upper.children(index));
        let mut above = slots.iter().copied().peekable();
        loop {
            let order = match (below.peek(), above.peek()) {
                (Some((_, place)), Some(&slot)) => lower.name_of(place).cmp(upper.name(slot)),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => return,
            };
            let from_below = if order.is_le() { below.next() } else { None };
            let from_above = if order.is_ge() { above.next() } else { None };
            self.place(folder.place, from_below.map(|(index, _)| index), from_above);
        }
    }

    /// What a name stands for, of what is below and above.
    fn place(&mut self, parent: u32, lower: Option<u32>, upper: Option<u32>) {
        let below = lower.and_then(|index| self.lower.place(index));
        let above = upper.and_then(|slot| self.upper.slot(slot));
        let is_folder_below =
            below.is_some_and(|place| matches!(self.lower.node_of(place), Node::Directory { .. }));
        let is_folder_above = above.is_none_or(|slot| slot.entry.is_directory());
        let hides = above.is_some_and(|slot| slot.hides);
        let is_joined = is_folder_below && is_folder_above && !hides;
        let slot = match (above.map(|slot| &slot.entry), below, upper) {
            (Some(Entry::Whiteout), ..) | (None, None, _) | (Some(_), _, None) => return,
            (None, Some(below), _) => below.slot,
            (Some(Entry::Implied), Some(below), _) if is_joined => below.slot,
            (Some(_), _, Some(upper)) => self.start.saturating_add(upper),
        };
        let place = self.next();
        self.places.push(Place {
            parent,
            slot,
            children: Span::default(),
        });
        if is_joined || above.is_some() && is_folder_above {
            self.pending.push_back(Pending {
                place,
                lower: lower.filter(|_| is_joined),
                upper,
            });
        }
    }
}
