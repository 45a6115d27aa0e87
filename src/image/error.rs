//! Why an image cannot be read, and who can do something about it.

use super::{
    archive::ArchiveError,
    config::ConfigError,
    digest::{ImageDigest, shown},
    layer::LayerError,
    layout::LayoutError,
    manifest::ManifestError,
    platform::Platform,
    registry::RegistryError,
    tree::TreeError,
};

/// An image that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A manifest or configuration with another digest.
    #[error("the document's digest is {found}, and {expected} was asked for")]
    DocumentDigest {
        /// What it should be.
        expected: ImageDigest,
        /// What it is.
        found: ImageDigest,
    },
    /// A manifest or configuration that is too large.
    #[error("the document {digest} is over {limit} bytes long")]
    DocumentSize {
        /// Which one.
        digest: ImageDigest,
        /// The limit.
        limit: usize,
    },
    /// Too many indexes inside of each other.
    #[error("over {0} indexes and manifests lead to no image")]
    Documents(usize),
    /// All layers together are too large.
    #[error("the image is over {0} bytes large when it is decompressed")]
    Large(u64),
    /// A layer.
    #[error("the layer {digest} cannot be read")]
    Layer {
        /// Which one.
        digest: ImageDigest,
        /// Why.
        #[source]
        source: Box<LayerError>,
    },
    /// The layout.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// No image for that platform.
    #[error("the image is not built for {wanted}, but for {}", told(.offered))]
    Platform {
        /// What was asked for.
        wanted: Platform,
        /// What there is.
        offered: Vec<String>,
    },
    /// The registry.
    #[error(transparent)]
    Registry(#[from] Box<RegistryError>),
    /// What reads it has died.
    #[error("the image was not read to its end: {0}")]
    Stopped(String),
    /// The layers do not fit together.
    #[error("the image's layers do not fit together")]
    Tree(#[from] TreeError),
}

/// What is wrong with a document, in a short line: of a text in the wrong place serde's own message has all of it.
pub(super) fn malformed(error: &serde_json::Error) -> String {
    const LONGEST: usize = 200;
    let message = error.to_string();
    if message.len() <= LONGEST {
        return message;
    }
    let (line, column) = (error.line(), error.column());
    format!("{} at line {line} column {column}", shown(&message))
}

fn told(offered: &[String]) -> String {
    if offered.is_empty() {
        "no platform that it names".to_owned()
    } else {
        offered.join(", ")
    }
}

/// Who can do something about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Who named the image: it does not exist, or is no image that can run.
    Caller,
    /// Who configures Armorgate: hosts, credentials, certificates.
    Configuration,
    /// Armorgate itself.
    Internal,
    /// Who runs the registry: it is away, slow, or serves something else than it should.
    Registry,
}

impl ImageError {
    /// Who can do something about it.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Registry(error) => error.fault(),
            Self::DocumentDigest { .. } => Fault::Registry,
            Self::Layer { source, .. } => match &**source {
                LayerError::Blob(error) => match RegistryError::within(error) {
                    Some(error) => error.fault(),
                    None => Fault::Registry,
                },
                _ => Fault::Caller,
            },
            Self::Stopped(_) => Fault::Internal,
            _ => Fault::Caller,
        }
    }
}
