//! Why the leader has not done something: in a word, in a sentence, and when it is worth while to try again.

use super::lane::Ending;
use crate::{
    cluster::ClusterError,
    image::{Fault, ImageDigest, ImageError, ReferenceError, registry::RegistryError},
    report::text::sentence,
    whitelist::RequestError,
};

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum WorkError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error("the image has the digest {found}, and {expected} was asked for")]
    Digest {
        expected: ImageDigest,
        found: ImageDigest,
    },
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error("`{0}` is no image of a registry")]
    NotOfRegistry(String),
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error("the profile was not written to its end: {0}")]
    Stopped(String),
}

impl WorkError {
    /// One word for it, as in conditions.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Cluster(_) => "ClusterError",
            Self::Request(_) => "NotWritten",
            Self::Stopped(_) => "InternalError",
            _ => "ImageUnreadable",
        }
    }

    pub(super) fn ending(&self) -> Ending {
        match self {
            Self::Request(_) | Self::Reference(_) | Self::NotOfRegistry(_) => Ending::FailedForLong,
            // It may be pushed any time.
            Self::Image(ImageError::Registry(error))
                if matches!(**error, RegistryError::NotFound { .. }) =>
            {
                Ending::Failed
            }
            Self::Image(error) if error.fault() == Fault::Caller => Ending::FailedForLong,
            _ => Ending::Failed,
        }
    }

    /// With its causes, in a line.
    pub(super) fn told(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let told = error.to_string();
            if !text.ends_with(&told) {
                text = format!("{text}: {told}");
            }
            cause = error.source();
        }
        sentence(&text)
    }
}
