//! Container images: from a name to the image's configuration and file tree.
//!
//! [`read`] takes all of an image, layers included; [`resolve`] only what names it and how it starts. Nothing is unpacked or
//! run, everything is checked against its digest, and everything has a limit. Pure but for `archive`, `cache`, `layout` and
//! `registry`, which read and write. Facts: OCI image and distribution specifications, version 1.1.

mod archive;
mod cache;
mod config;
mod content;
mod digest;
mod elf;
mod error;
pub mod layer;
mod layout;
mod limits;
mod manifest;
mod platform;
mod reference;
pub mod registry;
mod source;
pub mod tree;

use tokio::{runtime::Handle, sync::watch, task};

pub use archive::ArchiveError;
pub use cache::Cache;
pub use config::{Config, ConfigError};
pub(crate) use content::is_foreign;
pub(crate) use digest::hex;
pub use digest::{DigestError, ImageDigest};
pub use error::{Fault, ImageError};
pub use layout::LayoutError;
pub use limits::Limits;
pub use manifest::ManifestError;
pub use platform::{Platform, PlatformError};
pub use reference::{ImageSource, ReferenceError, RegistryReference};
pub use tree::Tree;

use self::{
    archive::Archive,
    layer::{Layer, LayerError},
    layout::Layout,
    registry::{Registry, RegistryOptions},
    source::{Described, LayerBlob, Source},
    tree::TreeError,
};

/// How images are read.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Which platform's image, where there are several. Without it: Linux on this machine's architecture, and an image that
    /// stands for itself whatever it is.
    pub platform: Option<Platform>,
    /// Where layers that were read are kept.
    pub cache: Option<Cache>,
    /// How much is read at most.
    pub limits: Limits,
    /// How registries are reached.
    pub registry: RegistryOptions,
}

/// An image.
#[derive(Debug)]
pub struct Image {
    /// What it was asked for by.
    pub reference: ImageSource,
    /// The digest of its manifest; of an archive of `docker save`, of its configuration.
    pub digest: ImageDigest,
    /// The digest of the index that it was found in.
    pub index: Option<ImageDigest>,
    /// What it is built for.
    pub platform: Platform,
    /// How it starts.
    pub config: Config,
    /// Its files.
    pub tree: Tree,
}

/// An image whose files were not looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// What it was asked for by.
    pub reference: ImageSource,
    /// The digest of its manifest; of an archive of `docker save`, of its configuration.
    pub digest: ImageDigest,
    /// The digest of the index that it was found in.
    pub index: Option<ImageDigest>,
    /// What it is built for.
    pub platform: Platform,
    /// How it starts.
    pub config: Config,
}

/// Reads an image with all its layers. Work that takes the processor is done on a thread for such work; it ends soon after
/// the future is dropped.
pub async fn read(source: &ImageSource, options: &Options) -> Result<Image, ImageError> {
    with(source, options, |source, reference, options| {
        let described = source.describe(options.platform.as_ref(), &options.limits)?;
        let tree = tree(source, &described, options)?;
        Ok(Image {
            reference,
            digest: described.digest,
            index: described.index,
            platform: described.config.platform(),
            config: described.config,
            tree,
        })
    })
    .await
}

/// Reads an image's digest and configuration: two or three small documents.
pub async fn resolve(source: &ImageSource, options: &Options) -> Result<Description, ImageError> {
    with(source, options, |source, reference, options| {
        let described = source.describe(options.platform.as_ref(), &options.limits)?;
        Ok(Description {
            reference,
            digest: described.digest,
            index: described.index,
            platform: described.config.platform(),
            config: described.config,
        })
    })
    .await
}

async fn with<T: Send + 'static>(
    source: &ImageSource,
    options: &Options,
    work: impl FnOnce(&mut dyn Source, ImageSource, &Options) -> Result<T, ImageError> + Send + 'static,
) -> Result<T, ImageError> {
    let (source, options) = (source.clone(), options.clone());
    // Gone when this future is: what waits for a registry stops waiting then.
    let (_wanted, is_wanted) = watch::channel(());
    let runtime = Handle::current();
    let done = task::spawn_blocking(move || {
        let reference = source.clone();
        let mut source: Box<dyn Source> = match source {
            ImageSource::DockerArchive { file, name } => Box::new(Archive::new(file, name)),
            ImageSource::OciLayout { folder, tag } => {
                Box::new(Layout::new(folder, tag, options.limits))
            }
            ImageSource::Registry(reference) => Box::new(Registry::new(
                reference,
                options.registry.clone(),
                options.limits,
                runtime,
                is_wanted,
            )?),
        };
        work(&mut *source, reference, &options)
    });
    done.await
        .unwrap_or_else(|error| Err(ImageError::Stopped(error.to_string())))
}

/// The tree of an image's layers, the lowest first: each is read once, or taken from the cache.
fn tree(
    source: &mut dyn Source,
    described: &Described,
    options: &Options,
) -> Result<Tree, ImageError> {
    let mut tree = Tree::empty();
    let mut bytes = 0_u64;
    for blob in &described.layers {
        let layer = layer(source, blob, &tree, options)?;
        bytes = bytes.saturating_add(layer.bytes);
        if bytes > options.limits.image_bytes {
            return Err(ImageError::Large(options.limits.image_bytes));
        }
        tree.add(layer.tree, &options.limits)?;
    }
    Ok(tree)
}

fn layer(
    source: &mut dyn Source,
    blob: &LayerBlob,
    below: &Tree,
    options: &Options,
) -> Result<Layer, ImageError> {
    let limits = &options.limits;
    let kept = options.cache.as_ref();
    if let Some(layer) = kept.and_then(|cache| cache.load(blob.key, limits))
        && blob.expected.diff_id == Some(layer.diff_id)
    {
        return Ok(layer);
    }
    let mut bytes = source.open(blob)?;
    // How much room there is decides only whether it is read, not what is.
    let room = below.room(limits);
    let layer = layer::read(&mut *bytes, &blob.expected, &room).map_err(|error| match error {
        LayerError::Tree(TreeError::Entries(_)) => TreeError::Entries(limits.entries).into(),
        LayerError::Tree(TreeError::Names { name, .. }) => TreeError::Names {
            name,
            limit: limits.names,
        }
        .into(),
        error => ImageError::Layer {
            digest: blob.key,
            source: Box::new(error),
        },
    })?;
    if let Some(cache) = kept {
        cache.store(blob.key, &layer, limits);
    }
    Ok(layer)
}
