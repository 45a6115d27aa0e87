//! A layer's tree as bytes, for keeping it. Written and read slot by slot: beside the bytes and the tree nothing takes memory.

use std::{
    io::{self, Write},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{
    layer::{Entry, LayerTree, Slot, Span},
    node::{Content, Elf, ElfKind, File, Inode, Linkage, Node},
};

/// Raise it whenever what is stored, or what is kept of a file, changes.
pub(crate) const VERSION: u32 = 1;

/// What stands in front: the length of all names, the number of slots, the number of files.
type Counts = (u32, u32, u32);

#[derive(Deserialize, Serialize)]
struct StoredSlot<'a> {
    /// Names stand one behind the other.
    name: u16,
    children: (u32, u32),
    hides: bool,
    #[serde(borrow)]
    entry: StoredEntry<'a>,
}

#[derive(Deserialize, Serialize)]
enum StoredEntry<'a> {
    Borrowed(&'a [u8]),
    Directory(u32),
    Elf(StoredFile, Option<&'a [u8]>, StoredKind, bool),
    Head(StoredFile, &'a [u8]),
    Implied,
    Link(&'a [u8]),
    Other(u32),
    Text(StoredFile, &'a [u8]),
    Whiteout,
}

/// Mode, size, inode.
type StoredFile = (u32, u64, u32);

#[derive(Deserialize, Serialize)]
enum StoredKind {
    Executable,
    Other,
    SharedObject,
}

impl LayerTree {
    /// Writes the tree as bytes.
    pub(crate) fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let count = |length: usize| u32::try_from(length).map_err(io::Error::other);
        let counts: Counts = (
            count(self.names.len())?,
            count(self.slots.len())?,
            self.inodes,
        );
        put(&counts, to)?;
        to.write_all(&self.names)?;
        for (slot, children) in self.slots.iter().zip(&self.children) {
            let slot = StoredSlot {
                name: slot.length,
                children: (children.start, children.length),
                hides: slot.hides,
                entry: stored(&slot.entry),
            };
            put(&slot, to)?;
        }
        put(&self.order, to)
    }

    /// The tree of such bytes. Nothing when they do not make one.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let ((names, count, inodes), bytes): (Counts, _) = postcard::take_from_bytes(bytes).ok()?;
        let (names, mut bytes) = bytes.split_at_checked(usize::try_from(names).ok()?)?;
        // Each slot is a byte at least.
        let count = usize::try_from(count)
            .ok()
            .filter(|&count| count <= bytes.len())?;
        let mut slots = Vec::with_capacity(count);
        let mut children = Vec::with_capacity(count);
        let mut start = 0_u32;
        for _ in 0..count {
            let (slot, rest): (StoredSlot<'_>, _) = postcard::take_from_bytes(bytes).ok()?;
            bytes = rest;
            children.push(Span {
                start: slot.children.0,
                length: slot.children.1,
            });
            slots.push(Slot {
                start,
                length: slot.name,
                hides: slot.hides,
                entry: loaded(slot.entry),
            });
            start = start.checked_add(u32::from(slot.name))?;
        }
        let (order, rest) = postcard::take_from_bytes(bytes).ok()?;
        let is_whole = rest.is_empty() && usize::try_from(start) == Ok(names.len());
        let tree = Self {
            slots,
            names: names.to_vec(),
            children,
            order,
            inodes,
        };
        (is_whole && tree.is_tree()).then_some(tree)
    }

    /// Whether each slot stands below one folder at most, and the root below none: then no walk goes in circles.
    fn is_tree(&self) -> bool {
        let mut seen = vec![false; self.slots.len()];
        let mut is_new = |index: u32| {
            let seen = usize::try_from(index).ok().and_then(|at| seen.get_mut(at));
            index != 0 && seen.is_some_and(|seen| !std::mem::replace(seen, true))
        };
        let slots = u32::try_from(self.slots.len()).unwrap_or(0);
        slots > 0 && (0..slots).all(|slot| self.children(slot).iter().all(|&child| is_new(child)))
    }
}

fn put(value: &impl Serialize, to: &mut impl Write) -> io::Result<()> {
    postcard::to_io(value, to)
        .map(drop)
        .map_err(io::Error::other)
}

fn stored(entry: &Entry) -> StoredEntry<'_> {
    let node = match entry {
        Entry::Borrowed(path) => return StoredEntry::Borrowed(path),
        Entry::Implied => return StoredEntry::Implied,
        Entry::Own(node) => node,
        Entry::Whiteout => return StoredEntry::Whiteout,
    };
    let file = match node {
        Node::Directory { mode } => return StoredEntry::Directory(*mode),
        Node::File(file) => file,
        Node::Link { target } => return StoredEntry::Link(target),
        Node::Other { mode } => return StoredEntry::Other(*mode),
    };
    let stored = (file.mode, file.size, file.inode.0);
    match &file.content {
        Content::Elf(elf) => {
            let kind = match elf.kind {
                ElfKind::Executable => StoredKind::Executable,
                ElfKind::Other => StoredKind::Other,
                ElfKind::SharedObject => StoredKind::SharedObject,
            };
            let is_dynamic = elf.linkage == Linkage::Dynamic;
            StoredEntry::Elf(stored, elf.interpreter.as_deref(), kind, is_dynamic)
        }
        Content::Head(head) => StoredEntry::Head(stored, head),
        Content::Text(text) => StoredEntry::Text(stored, text),
    }
}

fn loaded(entry: StoredEntry<'_>) -> Entry {
    let file = |(mode, size, inode): StoredFile, content| {
        Entry::Own(Node::File(File {
            mode,
            size,
            content,
            inode: Inode(inode),
        }))
    };
    match entry {
        StoredEntry::Borrowed(path) => Entry::Borrowed(path.to_vec()),
        StoredEntry::Directory(mode) => Entry::Own(Node::Directory { mode }),
        StoredEntry::Elf(stored, interpreter, kind, is_dynamic) => {
            let elf = Elf {
                interpreter: interpreter.map(Arc::from),
                kind: match kind {
                    StoredKind::Executable => ElfKind::Executable,
                    StoredKind::Other => ElfKind::Other,
                    StoredKind::SharedObject => ElfKind::SharedObject,
                },
                linkage: if is_dynamic {
                    Linkage::Dynamic
                } else {
                    Linkage::Static
                },
            };
            file(stored, Content::Elf(elf))
        }
        StoredEntry::Head(stored, head) => {
            let head = if head.is_empty() {
                Arc::default()
            } else {
                Arc::from(head)
            };
            file(stored, Content::Head(head))
        }
        StoredEntry::Implied => Entry::Implied,
        StoredEntry::Link(target) => Entry::Own(Node::Link {
            target: target.to_vec(),
        }),
        StoredEntry::Other(mode) => Entry::Own(Node::Other { mode }),
        StoredEntry::Text(stored, text) => file(stored, Content::Text(Arc::from(text))),
        StoredEntry::Whiteout => Entry::Whiteout,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use proptest::prelude::*;

    use super::{super::Tree, LayerTree};

    fn bytes(tree: &LayerTree) -> Vec<u8> {
        let mut bytes = Vec::new();
        tree.write(&mut bytes).unwrap();
        bytes
    }

    fn sample() -> LayerTree {
        let mut program = Vec::new();
        let file = std::fs::File::open(std::env::current_exe().unwrap()).unwrap();
        file.take(8192).read_to_end(&mut program).unwrap();
        let tree = Tree::builder()
            .directory("/d", 0o700)
            .file("/bin/sh", 0o755, "#!/x\n")
            .file("/bin/data", 0o644, [0; 9])
            .file("/bin/me", 0o755, program)
            .hard_link("/bin/again", "/bin/me")
            .link("/l", "bin")
            .file("/d/.wh.x", 0, "")
            .layer();
        tree.unwrap()
    }

    #[test]
    fn comes_back_as_it_was() {
        let tree = sample();
        let bytes = bytes(&tree);
        assert_eq!(LayerTree::from_bytes(&bytes), Some(tree));
        for end in 0..bytes.len() {
            assert_eq!(LayerTree::from_bytes(&bytes[..end]), None, "{end}");
        }
    }

    #[test]
    fn circles_are_no_tree() {
        let mut tree = sample();
        let folder = tree
            .children
            .iter()
            .skip(1)
            .position(|children| children.length > 0);
        let folder = folder.map(|position| position + 1);
        let start = tree.children[folder.unwrap()].start;
        tree.order[usize::try_from(start).unwrap()] = u32::try_from(folder.unwrap()).unwrap();
        assert_eq!(LayerTree::from_bytes(&bytes(&tree)), None);
    }

    proptest! {
        #[test]
        fn no_damage_panics(damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5)) {
            let mut bytes = bytes(&sample());
            for (at, byte) in damage {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Some(layer) = LayerTree::from_bytes(&bytes) {
                let limits = crate::image::limits::Limits::default();
                let tree = Tree::from_layers([layer], &limits);
                let _ = tree.map(|tree| tree.iter().count());
            }
        }
    }
}
