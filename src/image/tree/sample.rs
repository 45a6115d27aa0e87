//! Trees of a few files, for trying out what is decided on them.

use super::{Item, LayerBuilder, LayerTree, Node, Tree, TreeError, node::File};
use crate::image::{content, limits::Limits};

/// A tree that is written down file by file. Folders that are missing come by themselves.
#[derive(Debug, Default)]
pub struct TreeBuilder {
    entries: Vec<(Vec<u8>, Sample)>,
}

#[derive(Debug)]
enum Sample {
    Directory(u32),
    File(u32, Vec<u8>),
    HardLink(Vec<u8>),
    Link(Vec<u8>),
}

impl TreeBuilder {
    /// A folder.
    #[must_use]
    pub fn directory(self, path: impl AsRef<[u8]>, mode: u32) -> Self {
        self.with(path.as_ref(), Sample::Directory(mode))
    }

    /// A regular file with its bytes; what is kept of them is what is kept of an image's files.
    #[must_use]
    pub fn file(self, path: impl AsRef<[u8]>, mode: u32, bytes: impl AsRef<[u8]>) -> Self {
        self.with(path.as_ref(), Sample::File(mode, bytes.as_ref().to_vec()))
    }

    /// A symbolic link.
    #[must_use]
    pub fn link(self, path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        self.with(path.as_ref(), Sample::Link(target.as_ref().to_vec()))
    }

    /// Another name of an earlier file.
    #[must_use]
    pub fn hard_link(self, path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        self.with(path.as_ref(), Sample::HardLink(target.as_ref().to_vec()))
    }

    /// The tree.
    pub fn build(self) -> Result<Tree, TreeError> {
        Tree::from_layers([self.layer()?], &Limits::default())
    }

    /// The tree as that of a layer.
    pub(super) fn layer(self) -> Result<LayerTree, TreeError> {
        let limits = Limits::default();
        let mut layer = LayerBuilder::new(limits);
        let mut keeper = content::Keeper::new(&limits);
        for (path, sample) in self.entries {
            let item = match sample {
                Sample::Directory(mode) => Item::Node(Node::Directory { mode }),
                Sample::File(mode, bytes) => {
                    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                    let content = keeper.keep(&path, mode, size, &mut bytes.as_slice());
                    // Reading from memory does not fail.
                    let content = content.unwrap_or_else(|_| content::nothing());
                    Item::File(File::new(mode, size, content))
                }
                Sample::HardLink(target) => Item::HardLink(target),
                Sample::Link(target) => Item::Node(Node::Link { target }),
            };
            layer.add(&path, item)?;
        }
        Ok(layer.finish())
    }

    fn with(mut self, path: &[u8], sample: Sample) -> Self {
        self.entries.push((path.to_vec(), sample));
        self
    }
}
