//! From an image's name to its digest: asked of its registry once for all who ask at the same time, and remembered for a while.
//!
//! A tag may move: what is remembered is as old as it may be, and no older. A pull secret is part of the question: what one pod may
//! see is not told to another.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::FutureExt as _;
use moka::{Equivalent, Expiry, future::Cache};

use crate::image::{
    self, ImageDigest, ImageSource, Options, RegistryReference,
    registry::{CredentialSource, RegistryOptions},
};

/// How long a digest that a tag had is taken for the one that it has.
const FRESH: Duration = Duration::from_mins(1);
/// How long a registry that did not answer is not asked again.
const FAILED: Duration = Duration::from_secs(5);
/// LIMIT: images that are remembered.
const MAX_IMAGES: u64 = 4_096;
/// LIMIT: bytes of a reason that is passed on.
const MAX_REASON: usize = 300;

/// Finds digests.
#[derive(Clone, Debug)]
pub struct Resolver {
    options: Arc<RegistryOptions>,
    known: Cache<Asked, Found>,
}

/// A digest, or why there is none.
pub(super) type Found = Result<ImageDigest, Arc<str>>;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Asked {
    image: Arc<str>,
    credentials: u64,
}

/// The same, borrowed. Its fields are hashed as those of [`Asked`] are.
#[derive(Hash)]
struct Asking<'i> {
    image: &'i str,
    credentials: u64,
}

impl Equivalent<Asked> for Asking<'_> {
    fn equivalent(&self, asked: &Asked) -> bool {
        (self.image, self.credentials) == (&*asked.image, asked.credentials)
    }
}

impl Resolver {
    /// Asks registries in this way.
    #[must_use]
    pub fn new(options: RegistryOptions) -> Self {
        Self {
            options: Arc::new(options),
            known: Cache::builder()
                .max_capacity(MAX_IMAGES)
                .expire_after(Age)
                .build(),
        }
    }

    /// The digest of an image, as a pod names it, where nobody need be asked: most are remembered, and need no deadline then.
    pub(super) fn known(&self, image: &str, credentials: &[CredentialSource]) -> Option<Found> {
        if image.contains('@') {
            return reference(image)
                .map(|reference| reference.digest())
                .transpose();
        }
        let asked = Asking {
            image,
            credentials: fingerprint(credentials),
        };
        self.known.get(&asked).now_or_never()?
    }

    /// The digest of an image, as a pod names it. A name that holds one is asked nobody about. Ask within a deadline: it takes as
    /// long as the registry does.
    pub async fn digest(&self, image: &str, credentials: &[CredentialSource]) -> Found {
        let reference = reference(image)?;
        if let Some(digest) = reference.digest() {
            return Ok(digest);
        }
        let source = ImageSource::Registry(reference);
        let asked = asked(image, credentials);
        let (options, credentials) = (Arc::clone(&self.options), credentials.to_vec());
        let found = self.known.get_with(asked, async move {
            let options = Options {
                registry: RegistryOptions {
                    credentials,
                    ..(*options).clone()
                },
                ..Options::default()
            };
            match image::resolve(&source, &options).await {
                Ok(described) => Ok(described.index.unwrap_or(described.digest)),
                Err(error) => Err(reason(&error.to_string())),
            }
        });
        found.await
    }
}

/// The reference of an image of a registry.
fn reference(image: &str) -> Result<RegistryReference, Arc<str>> {
    match image.parse() {
        Ok(ImageSource::Registry(reference)) => Ok(reference),
        Ok(_) => Err("it is no image of a registry".into()),
        Err(error) => Err(reason(&error.to_string())),
    }
}

fn asked(image: &str, credentials: &[CredentialSource]) -> Asked {
    Asked {
        image: image.into(),
        credentials: fingerprint(credentials),
    }
}

/// One line, not too long.
fn reason(text: &str) -> Arc<str> {
    let mut line: String = text
        .chars()
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .collect();
    line.truncate(line.floor_char_boundary(MAX_REASON));
    line.into()
}

fn fingerprint(credentials: &[CredentialSource]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for source in credentials {
        match source {
            CredentialSource::File(path) => path.hash(&mut hasher),
            CredentialSource::Secret(text) => text.hash(&mut hasher),
        }
    }
    hasher.finish()
}

struct Age;

impl Expiry<Asked, Found> for Age {
    fn expire_after_create(&self, _: &Asked, found: &Found, _: Instant) -> Option<Duration> {
        Some(if found.is_ok() { FRESH } else { FAILED })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::{ImageDigest, RegistryOptions, Resolver, asked};

    #[test]
    fn what_was_found_is_known() {
        let resolver = Resolver::new(RegistryOptions::default());
        let digest = ImageDigest::of(b"image");
        assert_eq!(resolver.known("web:1", &[]), None);
        let inserted = resolver.known.insert(asked("web:1", &[]), Ok(digest));
        inserted.now_or_never().unwrap();
        assert_eq!(resolver.known("web:1", &[]), Some(Ok(digest)));
        assert_eq!(resolver.known("web:2", &[]), None);
    }
}
