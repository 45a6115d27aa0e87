//! The digests of the images of one pod, from what is remembered and from their registries.

use std::{borrow::Cow, time::Duration};

use futures_util::future::join_all;
use tokio::time::{Instant, timeout_at};

use super::resolver::{Found, Resolver};
use crate::{
    cluster::{Client, ClusterError, PullSecrets},
    image::{ImageDigest, registry::CredentialSource},
};

/// How long images are asked about for one pod: well inside the `timeoutSeconds` of 10.
const DEADLINE: Duration = Duration::from_secs(3);

/// LIMIT: images of one pod that are asked about.
const MAX_IMAGES: usize = 64;

/// The digests of a pod's images, or why there are none. A list: most pods have a handful, and none more than [`MAX_IMAGES`].
pub(super) struct Digests<'p> {
    found: Vec<(&'p str, Found)>,
    /// Why there is no other.
    otherwise: Cow<'static, str>,
}

impl<'p> Digests<'p> {
    /// Finds the digests of images, each asked for once, all at the same time and within the deadline.
    pub(super) async fn find(
        resolver: &Resolver,
        client: Option<&Client>,
        secrets: Option<PullSecrets>,
        images: impl Iterator<Item = &'p str>,
    ) -> Self {
        let until = Instant::now() + DEADLINE;
        let late = || format!("no answer within {} s", DEADLINE.as_secs());
        let credentials = match secrets {
            None => Vec::new(),
            Some(secrets) => match timeout_at(until, read(client, secrets)).await {
                Ok(Ok(credentials)) => credentials,
                Ok(Err(error)) => return Self::none(format!("its pull secrets: {error}")),
                Err(_) => return Self::none(late()),
            },
        };
        let credentials = credentials.as_slice();
        let (mut found, mut asked) = (Vec::new(), Vec::new());
        for image in images {
            let is_known = asked.contains(&image) || found.iter().any(|(known, _)| *known == image);
            if is_known || found.len() + asked.len() == MAX_IMAGES {
                continue;
            }
            match resolver.known(image, credentials) {
                Some(digest) => found.push((image, digest)),
                None => asked.push(image),
            }
        }
        if !asked.is_empty() {
            let asked = asked.into_iter().map(|image| async move {
                let digest = timeout_at(until, resolver.digest(image, credentials)).await;
                (image, digest.unwrap_or_else(|_| Err(late().into())))
            });
            found.extend(join_all(asked).await);
        }
        Self {
            found,
            otherwise: "the pod has too many images".into(),
        }
    }

    fn none(why: String) -> Self {
        Self {
            found: Vec::new(),
            otherwise: why.into(),
        }
    }

    /// The digest of one of the images.
    pub(super) fn of(&self, image: &str) -> Result<ImageDigest, &str> {
        let found = self.found.iter().find(|(known, _)| *known == image);
        match found {
            Some((_, Ok(digest))) => Ok(*digest),
            Some((_, Err(why))) => Err(why),
            None => Err(&self.otherwise),
        }
    }
}

async fn read(
    client: Option<&Client>,
    secrets: PullSecrets,
) -> Result<Vec<CredentialSource>, ClusterError> {
    match client {
        Some(client) => secrets.read(client).await,
        None => Ok(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Digests, MAX_IMAGES, Resolver};
    use crate::image::{ImageDigest, registry::RegistryOptions};

    #[tokio::test]
    async fn of_many_images_the_first_are_asked_about() {
        let image = |number: usize| format!("web@{}", ImageDigest::of(&number.to_le_bytes()));
        let images: Vec<String> = (0..=MAX_IMAGES)
            .flat_map(|number| [image(number), image(0)])
            .collect();
        let resolver = Resolver::new(RegistryOptions::default());
        let images = images.iter().map(String::as_str);
        let digests = Digests::find(&resolver, None, None, images).await;
        assert_eq!(digests.found.len(), MAX_IMAGES);
        assert_eq!(
            digests.of(&image(MAX_IMAGES - 1)),
            Ok(ImageDigest::of(&(MAX_IMAGES - 1).to_le_bytes()))
        );
        assert_eq!(
            digests.of(&image(MAX_IMAGES)),
            Err("the pod has too many images")
        );
    }
}
