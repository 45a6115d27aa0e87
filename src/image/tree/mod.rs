//! The file tree of an image: what a container finds under each name when it starts.
//!
//! Names are bytes, as the kernel has them. Nothing is unpacked: of files their kind, mode and size are known, of programs
//! what the kernel asks them before it starts them, of scripts the whole text.

mod build;
mod layer;
mod merge;
mod node;
pub(crate) mod path;
mod sample;
pub(crate) mod stored;

use std::collections::VecDeque;

pub use build::TreeError;
pub(crate) use build::{Item, LayerBuilder};
pub use layer::LayerTree;
pub use node::{Content, Elf, ElfKind, File, Inode, Linkage, Node};
pub use sample::TreeBuilder;

use self::{
    build::MAX_LINKS,
    layer::{Entry, Slot, Span},
    path::{components, push},
};

/// The merged file tree of an image.
#[derive(Debug)]
pub struct Tree {
    layers: Vec<LayerTree>,
    /// Where each layer's slots start when those of all layers are counted.
    starts: Vec<u32>,
    /// The root is the first; those below one folder stand together, sorted by name.
    places: Vec<Place>,
    /// How many files there are: the next layer's inodes are counted from here.
    inodes: u32,
    /// Bytes that are kept of all files.
    texts: usize,
    /// Bytes of all names and targets.
    names: usize,
}

/// A name in the merged tree.
#[derive(Clone, Copy, Debug)]
struct Place {
    parent: u32,
    /// Of the slots of all layers, counted through them.
    slot: u32,
    /// Its part of `places`.
    children: Span,
}

/// Where a path leads to when links are followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved<'a> {
    /// The same place without links: the path that AppArmor's rules see.
    pub path: Vec<u8>,
    /// What stands there.
    pub node: &'a Node,
}

/// Why a path leads nowhere. Each names the place at which it ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// Over 40 links, which is as far as the kernel goes.
    #[error("`{}` leads over more than {MAX_LINKS} links", path::shown(.0))]
    Loop(Vec<u8>),
    /// Nothing has this name.
    #[error("`{}` is not in the image", path::shown(.0))]
    Missing(Vec<u8>),
    /// Something that is no folder, and the path goes on.
    #[error("`{}` is no folder", path::shown(.0))]
    NotDirectory(Vec<u8>),
}

/// What stands under a folder's name that is in no layer itself.
const IMPLIED: Node = Node::Directory { mode: 0o755 };

const ROOT: u32 = 0;

impl Tree {
    /// A tree of a few files, for trying out.
    #[must_use]
    pub fn builder() -> TreeBuilder {
        TreeBuilder::default()
    }

    /// What an absolute path stands for literally: no link is followed, `..` is no name.
    #[must_use]
    pub fn node(&self, path: &[u8]) -> Option<&Node> {
        let place = self.literal(path)?;
        Some(self.node_of(place))
    }

    /// Where a path leads to from the root. Links are followed everywhere, at its end too; `..` leaves a folder that a link
    /// led to on that side, and never the root, as `chroot` has it.
    pub fn resolve(&self, path: &[u8]) -> Result<Resolved<'_>, ResolveError> {
        let mut pending: Vec<&[u8]> = Vec::new();
        let mut here = ROOT;
        let mut links = 0;
        // A slash at the end wants a folder, as a name behind it would.
        let mut wants_folder = queue(&mut pending, path);
        loop {
            let node = self
                .place(here)
                .map_or(&IMPLIED, |place| self.node_of(place));
            match node {
                Node::Directory { .. } => {}
                Node::Link { target } => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(ResolveError::Loop(self.path(here)));
                    }
                    here = if target.first() == Some(&b'/') {
                        ROOT
                    } else {
                        self.place(here).map_or(ROOT, |place| place.parent)
                    };
                    let is_last = pending.is_empty();
                    let ends_with_slash = queue(&mut pending, target);
                    wants_folder |= is_last && ends_with_slash;
                    continue;
                }
                _ if !pending.is_empty() || wants_folder => {
                    return Err(ResolveError::NotDirectory(self.path(here)));
                }
                _ => {}
            }
            let Some(name) = pending.pop() else {
                return Ok(Resolved {
                    path: self.path(here),
                    node,
                });
            };
            if name == b".." {
                here = self.place(here).map_or(ROOT, |place| place.parent);
                continue;
            }
            here = self.child(here, name).ok_or_else(|| {
                let mut path = self.path(here);
                push(&mut path, name);
                ResolveError::Missing(path)
            })?;
        }
    }

    /// What stands below a folder, sorted by name; nothing when the path is literally no folder.
    pub fn children(&self, path: &[u8]) -> impl Iterator<Item = (&[u8], &Node)> {
        let span = self
            .literal(path)
            .map_or(Span::default(), |place| place.children);
        let places = span.of(&self.places).iter();
        places.map(|place| (self.name_of(place), self.node_of(place)))
    }

    /// Every node with its path, folders in front of what is below them, sorted by name in each.
    pub fn iter(&self) -> impl Iterator<Item = (Vec<u8>, &Node)> {
        let mut ahead = vec![(vec![b'/'], ROOT)];
        std::iter::from_fn(move || {
            let (path, index) = ahead.pop()?;
            let place = self.place(index)?;
            let children = place.children;
            let indices = (children.start..).zip(children.of(&self.places));
            let mut below: Vec<_> = indices
                .map(|(index, child)| {
                    let mut path = path.clone();
                    push(&mut path, self.name_of(child));
                    (path, index)
                })
                .collect();
            below.reverse();
            ahead.append(&mut below);
            Some((path, self.node_of(place)))
        })
    }

    /// How many names there are, the root among them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is nothing below the root.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.len() <= 1
    }

    fn place(&self, index: u32) -> Option<&Place> {
        self.places.get(usize::try_from(index).ok()?)
    }

    fn literal(&self, path: &[u8]) -> Option<&Place> {
        let mut here = ROOT;
        for name in components(path) {
            here = self.child(here, name)?;
        }
        self.place(here)
    }

    fn child(&self, folder: u32, name: &[u8]) -> Option<u32> {
        let span = self.place(folder)?.children;
        let children = span.of(&self.places);
        let found = children.binary_search_by(|child| self.name_of(child).cmp(name));
        span.start.checked_add(u32::try_from(found.ok()?).ok()?)
    }

    fn name_of(&self, place: &Place) -> &[u8] {
        let found = self.slot(place);
        found.map_or(&[], |(layer, slot)| slot.name(&layer.names))
    }

    fn node_of(&self, place: &Place) -> &Node {
        match self.slot(place).map(|(_, slot)| &slot.entry) {
            Some(Entry::Own(node)) => node,
            _ => &IMPLIED,
        }
    }

    fn slot(&self, place: &Place) -> Option<(&LayerTree, &Slot)> {
        let number = self.starts.partition_point(|&start| start <= place.slot);
        let number = number.checked_sub(1)?;
        let layer = self.layers.get(number)?;
        let slot = place.slot.checked_sub(*self.starts.get(number)?)?;
        Some((layer, layer.slot(slot)?))
    }

    /// The path of a place.
    fn path(&self, index: u32) -> Vec<u8> {
        let mut names = VecDeque::new();
        let mut here = index;
        while here != ROOT
            && let Some(place) = self.place(here)
        {
            names.push_front(self.name_of(place));
            here = place.parent;
        }
        let mut path = vec![b'/'];
        for name in names {
            push(&mut path, name);
        }
        path
    }
}

/// Puts a path's names in front of those that are pending; tells whether the path ends with a slash.
fn queue<'a>(pending: &mut Vec<&'a [u8]>, path: &'a [u8]) -> bool {
    pending.extend(components(path).rev());
    matches!(path, [.., b'/'] | [.., b'/', b'.'])
}

#[cfg(test)]
mod tests;
