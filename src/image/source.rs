//! From where an image is read to which blobs it is made of: the same walk over indexes and manifests, whatever they stand in.

use std::io::Read;

use super::{
    ImageError,
    config::Config,
    digest::ImageDigest,
    layer::Expected,
    limits::Limits,
    manifest::{Descriptor, Document, Manifest, ManifestError, candidates},
    platform::Platform,
};

/// LIMIT: indexes and manifests that are read to find the image for a platform.
const MAX_DOCUMENTS: usize = 16;

/// Something that images are read from.
pub(crate) trait Source {
    /// Finds the image, and reads its configuration.
    fn describe(
        &mut self,
        wanted: Option<&Platform>,
        limits: &Limits,
    ) -> Result<Described, ImageError>;

    /// Opens a layer's blob.
    fn open(&mut self, layer: &LayerBlob) -> Result<Box<dyn Read + '_>, ImageError>;
}

/// Something that holds documents and blobs by their digests. What it gives is checked by who asks.
pub(crate) trait Documents {
    /// What the name of the image leads to.
    fn root(&mut self) -> Result<(Descriptor, Vec<u8>), ImageError>;

    /// A document, or no more of it than its size.
    fn document(&mut self, descriptor: &Descriptor) -> Result<Vec<u8>, ImageError>;

    /// Opens a layer's blob.
    fn blob(&mut self, layer: &LayerBlob) -> Result<Box<dyn Read + '_>, ImageError>;
}

impl<D: Documents> Source for D {
    fn describe(
        &mut self,
        wanted: Option<&Platform>,
        limits: &Limits,
    ) -> Result<Described, ImageError> {
        find(self, wanted, limits)
    }

    fn open(&mut self, layer: &LayerBlob) -> Result<Box<dyn Read + '_>, ImageError> {
        self.blob(layer)
    }
}

/// What an image is made of.
#[derive(Debug)]
pub(crate) struct Described {
    pub(crate) digest: ImageDigest,
    pub(crate) index: Option<ImageDigest>,
    pub(crate) config: Config,
    pub(crate) layers: Vec<LayerBlob>,
}

/// A layer that was not read yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LayerBlob {
    /// Which layer it is, the lowest being 0.
    pub(crate) position: usize,
    /// What it is kept under once it was read.
    pub(crate) key: ImageDigest,
    pub(crate) expected: Expected,
}

/// Finds the image for a platform: the best match of an index first, through indexes in indexes. An image that stands for
/// itself is taken for whatever it is, unless a platform was asked for.
fn find(
    from: &mut impl Documents,
    wanted: Option<&Platform>,
    limits: &Limits,
) -> Result<Described, ImageError> {
    let (root, bytes) = from.root()?;
    let root_digest = root.digest;
    let usual = Platform::default();
    let platform = wanted.unwrap_or(&usual);
    let mut offered = Vec::new();
    let mut pending = vec![root];
    let mut first = Some(bytes);
    let mut read = 0;
    while let Some(descriptor) = pending.pop() {
        read += 1;
        if read > MAX_DOCUMENTS {
            return Err(ImageError::Documents(MAX_DOCUMENTS));
        }
        let is_root = first.is_some();
        let bytes = match first.take() {
            Some(bytes) => bytes,
            None => document(from, &descriptor, limits)?,
        };
        check(&descriptor, &bytes)?;
        let told = Some(descriptor.media_type.as_str()).filter(|told| !told.is_empty());
        match Document::parse(&bytes, told, limits.layers) {
            Ok(Document::Index(entries)) => {
                offered.extend(entries.iter().filter_map(Descriptor::platform));
                let best_last = candidates(&entries, platform).into_iter().rev();
                pending.extend(best_last.take(MAX_DOCUMENTS).cloned());
            }
            Ok(Document::Manifest(manifest)) => {
                let json = document(from, &manifest.config, limits)?;
                check(&manifest.config, &json)?;
                let config = Config::from_json(&json)?;
                let built_for = config.platform();
                let is_asked_for = wanted.is_some() || !is_root;
                if is_asked_for
                    && !built_for.os.is_empty()
                    && platform.distance(&built_for).is_none()
                {
                    offered.push(built_for);
                    continue;
                }
                return Ok(Described {
                    digest: descriptor.digest,
                    index: (!is_root).then_some(root_digest),
                    layers: layers(&manifest, &config)?,
                    config,
                });
            }
            // Signatures and the like stand beside images, and need not say what they are for.
            Err(ManifestError::Artifact { .. }) if !is_root => {}
            Err(error) => return Err(error.into()),
        }
    }
    let mut offered: Vec<String> = offered
        .iter()
        .filter(|platform| platform.os != "unknown")
        .take(MAX_DOCUMENTS)
        .map(|platform| super::digest::shown(&platform.to_string()))
        .collect();
    offered.dedup();
    Err(ImageError::Platform {
        wanted: platform.clone(),
        offered,
    })
}

fn document(
    from: &mut impl Documents,
    descriptor: &Descriptor,
    limits: &Limits,
) -> Result<Vec<u8>, ImageError> {
    let is_small = usize::try_from(descriptor.size).is_ok_and(|size| size <= limits.document);
    if is_small {
        from.document(descriptor)
    } else {
        Err(ImageError::DocumentSize {
            digest: descriptor.digest,
            limit: limits.document,
        })
    }
}

fn check(descriptor: &Descriptor, bytes: &[u8]) -> Result<(), ImageError> {
    let found = ImageDigest::of(bytes);
    if found == descriptor.digest {
        Ok(())
    } else {
        Err(ImageError::DocumentDigest {
            expected: descriptor.digest,
            found,
        })
    }
}

fn layers(manifest: &Manifest, config: &Config) -> Result<Vec<LayerBlob>, ManifestError> {
    let (layers, diff_ids) = (&manifest.layers, &config.diff_ids);
    if layers.len() != diff_ids.len() {
        return Err(ManifestError::Mismatch {
            manifest: layers.len(),
            config: diff_ids.len(),
        });
    }
    let layers = layers.iter().zip(diff_ids).enumerate();
    Ok(layers
        .map(|(position, (layer, diff_id))| LayerBlob {
            position,
            key: layer.digest,
            expected: Expected {
                digest: Some(layer.digest),
                diff_id: Some(*diff_id),
                size: Some(layer.size),
            },
        })
        .collect())
}
