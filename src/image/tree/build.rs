//! A layer's tree from its entries, in the order in which they are unpacked.
//!
//! As containerd unpacks a layer into an overlay's upper folder (`archive.Apply`): names are cleaned and end at the root,
//! links among the folders of a name are followed inside of the layer, the last name's is not; a later entry takes the
//! place of an earlier one, but folders are joined. Names that start with `.wh.` delete what layers below have; what the
//! same layer has under that name stays, whichever comes first (OCI image specification, "Whiteouts").

use std::{collections::HashMap, hash::BuildHasher as _};

use super::{
    layer::{Entry, LayerTree, Slot, Span},
    node::{File, Inode, Node},
    path::{clean, components, push, shown},
};
use crate::image::limits::Limits;

/// Links that are followed for one name, as the kernel has it.
pub(super) const MAX_LINKS: usize = 40;

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
/// What AUFS kept for itself in the root.
const METADATA: &[u8] = b".wh..wh.";

/// Entries that no runtime could unpack, or too many of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// Something below what is no folder.
    #[error("`{0}` stands below something that is no folder: no runtime can unpack this layer")]
    BelowFile(String),
    /// Too many folders inside of each other.
    #[error("`{name}` stands below more than {limit} folders")]
    Depth {
        /// The name.
        name: String,
        /// The limit.
        limit: usize,
    },
    /// Too many entries.
    #[error("the image has more than {0} entries")]
    Entries(usize),
    /// A hard link to nothing.
    #[error(
        "`{name}` is a hard link to `{target}`, which is not there: no runtime can unpack this layer"
    )]
    HardLink {
        /// The name.
        name: String,
        /// Where it points to.
        target: String,
    },
    /// A hard link to a folder.
    #[error("`{name}` is a hard link to the folder `{target}`: no runtime can unpack this layer")]
    HardLinkToFolder {
        /// The name.
        name: String,
        /// Where it points to.
        target: String,
    },
    /// Links that lead back to themselves.
    #[error("`{0}` stands below links that lead in a circle: no runtime can unpack this layer")]
    LinkLoop(String),
    /// A name or a target that is too long.
    #[error(
        "`{name}`, or where it points to, is longer than {limit} bytes, or a single name than {}",
        Limits::NAME
    )]
    Long {
        /// The name.
        name: String,
        /// The limit.
        limit: usize,
    },
    /// A name that the kernel does not take.
    #[error(
        "`{0}` holds a zero byte, or is a whiteout of nothing: no runtime can unpack this layer"
    )]
    Name(String),
    /// Names and targets that are too long together.
    #[error("up to `{name}` the image's names and targets are over {limit} bytes long")]
    Names {
        /// The name.
        name: String,
        /// The limit.
        limit: usize,
    },
    /// The root as something else than a folder.
    #[error("the root is no folder: no runtime can unpack this layer")]
    Root,
}

/// What an entry brings under its name.
#[derive(Debug)]
pub(crate) enum Item {
    /// A folder, a link, a device; a file as [`Item::File`].
    Node(Node),
    /// A file; which one it is the builder says.
    File(File),
    /// Another name of an earlier file.
    HardLink(Vec<u8>),
}

/// A layer's tree that grows entry by entry.
#[derive(Debug)]
pub(crate) struct LayerBuilder {
    slots: Vec<Slot>,
    /// The folder of each slot.
    parents: Vec<u32>,
    names: Vec<u8>,
    /// Slots by folder and name. A key that another name has is counted up.
    index: HashMap<u64, u32>,
    hasher: foldhash::fast::RandomState,
    inodes: u32,
    limits: Limits,
    entries: usize,
    /// Of names and targets.
    bytes: usize,
    /// The last folder that was written to, and its slot: entries come folder by folder.
    last: Option<(Vec<u8>, u32)>,
}

const ROOT: u32 = 0;

impl LayerBuilder {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            slots: vec![Slot {
                start: 0,
                length: 0,
                hides: false,
                entry: Entry::Implied,
            }],
            parents: vec![ROOT],
            names: Vec::new(),
            index: HashMap::new(),
            hasher: foldhash::fast::RandomState::default(),
            inodes: 0,
            limits,
            entries: 0,
            bytes: 0,
            last: None,
        }
    }

    /// Adds an entry.
    pub(crate) fn add(&mut self, name: &[u8], item: Item) -> Result<(), TreeError> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(TreeError::Entries(self.limits.entries));
        }
        let target: &[u8] = match &item {
            Item::HardLink(target) | Item::Node(Node::Link { target }) => target,
            _ => &[],
        };
        if name.len().max(target.len()) > self.limits.path {
            return Err(TreeError::Long {
                name: shown(name),
                limit: self.limits.path,
            });
        }
        if name.contains(&0) || target.contains(&0) {
            return Err(TreeError::Name(shown(name)));
        }
        if let Item::Node(Node::Link { target }) = &item {
            self.count(name, target.len())?;
        }
        let mut folders = clean(name);
        if folders
            .first()
            .is_some_and(|first| first.starts_with(METADATA))
            && folders.first() != Some(&OPAQUE)
        {
            return Ok(());
        }
        let Some(last) = folders.pop() else {
            return match item {
                Item::Node(node @ Node::Directory { .. }) => {
                    self.replace(ROOT, Entry::Own(node));
                    Ok(())
                }
                _ => Err(TreeError::Root),
            };
        };
        let parent = self.folder(name, &folders)?;
        if last == OPAQUE {
            if let Some(parent) = self.at(parent) {
                parent.hides = true;
            }
            return Ok(());
        }
        if let Some(deleted) = last.strip_prefix(WHITEOUT) {
            if matches!(deleted, b"" | b"." | b"..") {
                return Err(TreeError::Name(shown(name)));
            }
            return self.delete(name, parent, deleted);
        }
        let entry = match item {
            Item::Node(node) => Entry::Own(node),
            Item::File(file) => {
                let inode = Inode(self.inodes);
                self.inodes = self.inodes.saturating_add(1);
                Entry::Own(Node::File(File { inode, ..file }))
            }
            Item::HardLink(target) => self.linked(name, &target)?,
        };
        self.put(name, parent, last, entry)
    }

    /// The finished tree.
    pub(crate) fn finish(self) -> LayerTree {
        let Self {
            mut slots,
            parents,
            mut names,
            index,
            inodes,
            ..
        } = self;
        drop(index);
        slots.shrink_to_fit();
        names.shrink_to_fit();
        // By folder, then by name. Of slots of one name the last one counts: the others were folders that it took the
        // place of, and what is below those is below no folder any more.
        let mut order: Vec<u32> = (1..).take(slots.len().saturating_sub(1)).collect();
        let at = |index: u32| usize::try_from(index).unwrap_or(usize::MAX);
        let key = |index: u32| {
            let name = slots.get(at(index)).map(|slot| slot.name(&names));
            (parents.get(at(index)), name)
        };
        order.sort_unstable_by(|&a, &b| key(a).cmp(&key(b)).then(a.cmp(&b)));
        order.dedup_by(|later, earlier| {
            let is_same = key(*later) == key(*earlier);
            if is_same {
                *earlier = *later;
            }
            is_same
        });
        let mut children = vec![Span::default(); slots.len()];
        for (position, &index) in (0..).zip(&order) {
            let parent = parents.get(at(index)).copied().unwrap_or(ROOT);
            let is_folder = slots
                .get(at(parent))
                .is_some_and(|slot| slot.entry.is_directory());
            if let Some(span) = children.get_mut(at(parent)).filter(|_| is_folder) {
                if span.length == 0 {
                    span.start = position;
                }
                span.length = span.length.saturating_add(1);
            }
        }
        LayerTree {
            slots,
            names,
            children,
            order,
            inodes,
        }
    }

    /// The folder in which an entry's last name stands; those that are missing are made.
    fn folder(&mut self, name: &[u8], folders: &[&[u8]]) -> Result<u32, TreeError> {
        let path = folders.join(&b'/');
        if let Some((last, slot)) = &self.last
            && *last == path
        {
            return Ok(*slot);
        }
        let slot = self.walk(name, folders, Missing::Made)?.unwrap_or(ROOT);
        self.last = Some((path, slot));
        Ok(slot)
    }

    /// What a hard link brings: the earlier file itself, or a file of a layer below.
    fn linked(&mut self, name: &[u8], target: &[u8]) -> Result<Entry, TreeError> {
        let mut folders = clean(target);
        let to_folder = || TreeError::HardLinkToFolder {
            name: shown(name),
            target: shown(target),
        };
        let last = folders.pop().ok_or_else(to_folder)?;
        let folder = match &self.last {
            Some((path, slot)) if *path == folders.join(&b'/') => Some(*slot),
            _ => self.walk(name, &folders, Missing::Told)?,
        };
        let found = folder.and_then(|folder| self.find(folder, last));
        match found
            .and_then(|found| self.at(found))
            .map(|slot| &slot.entry)
        {
            Some(Entry::Own(Node::Directory { .. }) | Entry::Implied) => Err(to_folder()),
            Some(Entry::Own(node)) => {
                let node = node.clone();
                if let Node::Link { target } = &node {
                    self.count(name, target.len())?;
                }
                Ok(Entry::Own(node))
            }
            Some(Entry::Borrowed(path)) => {
                let path = path.clone();
                self.count(name, path.len())?;
                Ok(Entry::Borrowed(path))
            }
            Some(Entry::Whiteout) => Err(TreeError::HardLink {
                name: shown(name),
                target: shown(target),
            }),
            None => {
                let mut path = Vec::new();
                for folder in folders.into_iter().chain([last]) {
                    push(&mut path, folder);
                }
                self.count(name, path.len())?;
                Ok(Entry::Borrowed(path))
            }
        }
    }

    /// Follows folders from the root, and the links among them.
    fn walk(
        &mut self,
        name: &[u8],
        folders: &[&[u8]],
        missing: Missing,
    ) -> Result<Option<u32>, TreeError> {
        let mut pending: Vec<Vec<u8>> = folders.iter().rev().map(|name| name.to_vec()).collect();
        let mut way = vec![ROOT];
        let mut links = 0;
        while let Some(next) = pending.pop() {
            if next == b".." {
                if way.len() > 1 {
                    way.pop();
                }
                continue;
            }
            let here = way.last().copied().unwrap_or(ROOT);
            let Some(found) = self.find(here, &next) else {
                if missing == Missing::Told {
                    return Ok(None);
                }
                if way.len() > self.limits.depth {
                    return Err(TreeError::Depth {
                        name: shown(name),
                        limit: self.limits.depth,
                    });
                }
                way.push(self.insert(name, here, &next, Entry::Implied)?);
                continue;
            };
            let Some(slot) = self.at(found) else { continue };
            match &slot.entry {
                Entry::Implied | Entry::Own(Node::Directory { .. }) => way.push(found),
                Entry::Own(Node::Link { target }) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(TreeError::LinkLoop(shown(name)));
                    }
                    if target.first() == Some(&b'/') {
                        way.truncate(1);
                    }
                    pending.extend(components(target).rev().map(<[u8]>::to_vec));
                }
                _ if missing == Missing::Told => return Ok(None),
                Entry::Whiteout => {
                    slot.entry = Entry::Implied;
                    slot.hides = true;
                    way.push(found);
                }
                _ => return Err(TreeError::BelowFile(shown(name))),
            }
        }
        Ok(way.last().copied())
    }

    /// Puts an entry under a name of a folder.
    fn put(
        &mut self,
        name: &[u8],
        folder: u32,
        last: &[u8],
        entry: Entry,
    ) -> Result<(), TreeError> {
        let Some(found) = self.find(folder, last) else {
            self.insert(name, folder, last, entry)?;
            return Ok(());
        };
        let was_directory = self.at(found).is_some_and(|slot| slot.entry.is_directory());
        if was_directory && !entry.is_directory() {
            // What stood below the folder stays below its slot, which nothing leads to any more.
            let hides = self.at(found).is_some_and(|slot| slot.hides);
            let new = self.insert(name, folder, last, entry)?;
            if let Some(slot) = self.at(new) {
                slot.hides = hides;
            }
            self.last = None;
        } else {
            self.replace(found, entry);
        }
        Ok(())
    }

    fn delete(&mut self, name: &[u8], folder: u32, deleted: &[u8]) -> Result<(), TreeError> {
        match self.find(folder, deleted) {
            Some(found) => {
                if let Some(slot) = self.at(found) {
                    slot.hides = true;
                }
            }
            None => {
                self.insert(name, folder, deleted, Entry::Whiteout)?;
            }
        }
        Ok(())
    }

    fn replace(&mut self, index: u32, entry: Entry) {
        if let Some(slot) = self.at(index) {
            slot.hides |= slot.entry == Entry::Whiteout;
            // A link that another folder's way led over may be gone.
            let is_other = !(slot.entry.is_directory() && entry.is_directory());
            slot.entry = entry;
            if is_other {
                self.last = None;
            }
        }
    }

    fn insert(
        &mut self,
        full: &[u8],
        parent: u32,
        name: &[u8],
        entry: Entry,
    ) -> Result<u32, TreeError> {
        let too_long = || TreeError::Long {
            name: shown(full),
            limit: self.limits.path,
        };
        let length = u16::try_from(name.len()).map_err(|_| too_long())?;
        if name.len() > Limits::NAME {
            return Err(too_long());
        }
        if self.slots.len() >= self.limits.entries {
            return Err(TreeError::Entries(self.limits.entries));
        }
        self.count(full, name.len())?;
        let overflow = |_| TreeError::Entries(self.limits.entries);
        let start = u32::try_from(self.names.len()).map_err(overflow)?;
        let index = u32::try_from(self.slots.len()).map_err(overflow)?;
        let mut key = self.hasher.hash_one((parent, name));
        while self
            .index
            .get(&key)
            .is_some_and(|&other| !self.is(other, parent, name))
        {
            key = key.wrapping_add(1);
        }
        self.index.insert(key, index);
        self.names.extend_from_slice(name);
        self.slots.push(Slot {
            start,
            length,
            hides: false,
            entry,
        });
        self.parents.push(parent);
        Ok(index)
    }

    fn find(&self, parent: u32, name: &[u8]) -> Option<u32> {
        let mut key = self.hasher.hash_one((parent, name));
        loop {
            let found = *self.index.get(&key)?;
            if self.is(found, parent, name) {
                return Some(found);
            }
            key = key.wrapping_add(1);
        }
    }

    fn is(&self, index: u32, parent: u32, name: &[u8]) -> bool {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        self.parents.get(index) == Some(&parent)
            && self
                .slots
                .get(index)
                .is_some_and(|slot| slot.name(&self.names) == name)
    }

    fn at(&mut self, index: u32) -> Option<&mut Slot> {
        self.slots.get_mut(usize::try_from(index).ok()?)
    }

    /// Counts bytes of names and targets.
    fn count(&mut self, name: &[u8], bytes: usize) -> Result<(), TreeError> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > self.limits.names {
            return Err(TreeError::Names {
                name: shown(name),
                limit: self.limits.names,
            });
        }
        Ok(())
    }
}

/// What is done about a folder that is missing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    Made,
    Told,
}
