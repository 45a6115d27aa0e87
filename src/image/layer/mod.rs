//! Reading a layer: one pass over its blob, nothing unpacked, every byte counted towards its digests.
//!
//! How a blob is compressed is told by its first bytes, as containerd does it, and not by its media type: that only says
//! that it is a layer. The tar inside may end before the blob does; the rest is read all the same, as it is part of both
//! digests.

mod blob;
mod plain;
pub(super) mod tar;
mod zstd;

use std::io::{self, Read};

pub use blob::BlobError;

use self::{
    blob::Blob,
    plain::Plain,
    tar::{Entries, Kind, Layout, TarError},
};
use super::{
    content::{self, Keeper},
    digest::ImageDigest,
    limits::Limits,
    tree::{File, Item, LayerBuilder, LayerTree, Node, TreeError},
};

/// Bytes that are read and decompressed at a time: large enough to be fast, small enough to stay in the processor's cache.
const BUFFER: usize = 128 << 10;

/// A layer that was read.
#[derive(Debug, PartialEq, Eq)]
pub struct Layer {
    /// Its names.
    pub tree: LayerTree,
    /// The digest of its plain tar.
    pub diff_id: ImageDigest,
    /// Bytes of its plain tar.
    pub bytes: u64,
}

/// What is known of a layer before it is read. What is told is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// The digest of the blob.
    pub digest: Option<ImageDigest>,
    /// The digest of the plain tar.
    pub diff_id: Option<ImageDigest>,
    /// Bytes of the blob.
    pub size: Option<u64>,
}

/// A layer that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayerError {
    /// The blob cannot be read, or is another one than it should be.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// The compression is damaged, or of an unknown kind.
    #[error("the layer cannot be decompressed: {0}")]
    Damaged(String),
    /// The plain tar is another one than the configuration says.
    #[error(
        "the layer's plain tar has the digest {found}, and the image's configuration says {expected}"
    )]
    DiffId {
        /// What it should be.
        expected: ImageDigest,
        /// What it is.
        found: ImageDigest,
    },
    /// The plain tar is too large.
    #[error("the layer is over {0} bytes large when it is decompressed")]
    Large(u64),
    /// It is made to be large.
    #[error("the layer grows over {0} times when it is decompressed, as no real one does")]
    Ratio(u64),
    /// The tar is broken.
    #[error("the layer's tar is broken at byte {at}: {what}")]
    Tar {
        /// Where, in the plain tar.
        at: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// Its entries do not make a tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// Reads a layer from its blob.
pub fn read(
    blob: &mut dyn Read,
    expected: &Expected,
    limits: &Limits,
) -> Result<Layer, LayerError> {
    let blob = Blob::new(blob, expected.digest, expected.size);
    let mut plain = Plain::new(blob, limits)?;
    let tree = match names(&mut plain, limits) {
        Ok(tree) => tree,
        // In another blob than the right one it is no news that something is broken: the blob is.
        Err(error @ (LayerError::Damaged(_) | LayerError::Tar { .. })) => {
            let (_, _, blob) = plain.finish();
            blob.finish()?;
            return Err(error);
        }
        Err(error) => return Err(error),
    };
    let (bytes, diff_id, blob) = plain.finish();
    blob.finish()?;
    match expected.diff_id {
        Some(expected) if expected != diff_id => Err(LayerError::DiffId {
            expected,
            found: diff_id,
        }),
        _ => Ok(Layer {
            tree,
            diff_id,
            bytes,
        }),
    }
}

/// All names of a tar, which is read to its end.
fn names(plain: &mut Plain<'_>, limits: &Limits) -> Result<LayerTree, LayerError> {
    let mut layer = LayerBuilder::new(*limits);
    let mut keeper = Keeper::new(limits);
    let read = add(plain, &mut layer, &mut keeper);
    match read.and_then(|()| plain.read_to_end().map_err(Failure::Read)) {
        Ok(()) => Ok(layer.finish()),
        Err(Failure::Read(error)) => Err(plain.error(&error)),
        Err(Failure::Tar(at, what)) => Err(LayerError::Tar { at, what }),
        Err(Failure::Tree(error)) => Err(error.into()),
    }
}

enum Failure {
    Read(io::Error),
    Tar(u64, &'static str),
    Tree(TreeError),
}

impl From<TarError> for Failure {
    fn from(error: TarError) -> Self {
        match error {
            TarError::Broken(at, what) => Self::Tar(at, what),
            TarError::Read(error) => Self::Read(error),
        }
    }
}

fn add(
    plain: &mut Plain<'_>,
    layer: &mut LayerBuilder,
    keeper: &mut Keeper,
) -> Result<(), Failure> {
    let mut entries = Entries::new(plain);
    while let Some(entry) = entries.next()? {
        let mode = entry.mode;
        let item = match entry.kind {
            Kind::Device => Item::Node(Node::Other { mode }),
            Kind::Directory => Item::Node(Node::Directory { mode }),
            Kind::File { size, layout } => {
                let content = match layout {
                    Layout::Plain => keeper
                        .keep(&entry.name, mode, size, &mut entries.content())
                        .map_err(Failure::Read)?,
                    Layout::Sparse => content::nothing(),
                };
                Item::File(File::new(mode, size, content))
            }
            Kind::HardLink(target) => Item::HardLink(target),
            Kind::Link(target) => Item::Node(Node::Link { target }),
        };
        layer.add(&entry.name, item).map_err(Failure::Tree)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
