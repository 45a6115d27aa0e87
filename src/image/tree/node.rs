//! What stands in an image's file tree under a name.

use std::sync::Arc;

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A folder.
    Directory {
        /// Permission bits, with setuid, setgid and sticky.
        mode: u32,
    },
    /// A regular file.
    File(File),
    /// A symbolic link.
    Link {
        /// Where it points to, as written.
        target: Vec<u8>,
    },
    /// A device, a pipe: nothing that can be executed or read as a program.
    Other {
        /// Permission bits.
        mode: u32,
    },
}

/// A regular file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Permission bits, with setuid, setgid and sticky.
    pub mode: u32,
    /// Bytes.
    pub size: u64,
    /// What was kept of its bytes.
    pub content: Content,
    /// Which file this is: the names of one file (hard links) share it.
    pub inode: Inode,
}

impl File {
    /// Whether anybody may execute it: `execve` wants one of the three bits even of root.
    #[must_use]
    pub fn is_executable(&self) -> bool {
        self.mode & 0o111 != 0
    }
}

/// Which file of a tree a name stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Inode(pub(crate) u32);

/// What was kept of a file's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A compiled program or library.
    Elf(Elf),
    /// The first bytes, up to 256, of what may be executed but is no text, too large a one, or a script of a language that
    /// is not looked into: its `#!` line is in them. Nothing of any other file.
    Head(Arc<[u8]>),
    /// The whole text.
    Text(Arc<[u8]>),
}

/// What the kernel looks at in an ELF file before it starts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elf {
    /// The program that loads it, as written: absent in static programs and in libraries.
    pub interpreter: Option<Arc<[u8]>>,
    /// Its kind.
    pub kind: ElfKind,
    /// Whether it is linked at start.
    pub linkage: Linkage,
}

/// The kind of an ELF file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElfKind {
    /// A program at a fixed place.
    Executable,
    /// An object file, a core dump: the kernel starts none of these.
    Other,
    /// A library, or a program that can be loaded anywhere.
    SharedObject,
}

/// Whether an ELF file is linked at start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linkage {
    /// It has a dynamic section.
    Dynamic,
    /// It has none: a static program.
    Static,
}
