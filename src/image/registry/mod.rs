//! Images in registries (OCI distribution specification).
//!
//! Built on `reqwest` and not on `oci-client`: that follows redirects and asks token services wherever a registry points it
//! to, looks names up by itself, reads answers of any size, and has no hook for any of these. What it would take off our
//! hands beside, the paths of two requests, is little.

mod address;
mod blob;
mod challenge;
mod client;
mod credentials;
mod error;
mod hosts;

use std::{collections::BTreeMap, io::Read, sync::Arc, time::Duration};

use hyper::body::Bytes;
use reqwest::{Response, header::CONTENT_TYPE};
use tokio::{runtime::Handle, sync::watch};

pub use credentials::CredentialSource;
pub use error::RegistryError;
pub use hosts::{HostPattern, HostPatternError};

use self::{
    blob::RegistryBlob,
    client::{Ask, Client, Endpoint},
};
use super::{
    ImageError,
    digest::ImageDigest,
    limits::Limits,
    manifest::{ACCEPTED, Descriptor},
    reference::RegistryReference,
    source::{Documents, LayerBlob},
};

/// How registries are reached.
#[derive(Clone, Debug)]
pub struct RegistryOptions {
    /// The registries that images may be read from: any, unless there is a list. Hosts that these lead to, for blobs or
    /// tokens, need not be on it; private addresses are refused all the same.
    pub allowed_hosts: Option<Vec<HostPattern>>,
    /// Hosts that may have private, loopback and link-local addresses.
    pub private_hosts: Vec<HostPattern>,
    /// Hosts that are asked without encryption.
    pub insecure_hosts: Vec<HostPattern>,
    /// What is asked in a registry's place, by the registry's host, in this order and before it: `HOST[/PATH]`, the path
    /// standing in front of the repository. They may have private addresses.
    pub mirrors: BTreeMap<String, Vec<Mirror>>,
    /// Certificate authorities beside the system's, in PEM.
    pub certificate_authorities: Vec<Vec<u8>>,
    /// Where credentials are looked for, in this order.
    pub credentials: Vec<CredentialSource>,
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// How long an answer, or the next piece of one, may take.
    pub read_timeout: Duration,
    /// How long all of an image may take.
    pub deadline: Duration,
    /// How long a registry may make us wait before we ask again.
    pub longest_wait: Duration,
    /// How often something is asked for, and a blob's connection taken up again without progress.
    pub attempts: u32,
}

/// A mirror of a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    host: HostPattern,
    path: String,
}

impl Default for RegistryOptions {
    fn default() -> Self {
        Self {
            allowed_hosts: None,
            private_hosts: Vec::new(),
            insecure_hosts: Vec::new(),
            mirrors: BTreeMap::new(),
            certificate_authorities: Vec::new(),
            credentials: Vec::new(),
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(30),
            deadline: Duration::from_mins(10),
            longest_wait: Duration::from_mins(1),
            attempts: 4,
        }
    }
}

impl RegistryOptions {
    /// All hosts that may have private addresses.
    fn private_hosts(&self) -> Vec<HostPattern> {
        let mirrors = self.mirrors.values().flatten().map(|mirror| &mirror.host);
        self.private_hosts.iter().chain(mirrors).cloned().collect()
    }

    /// What is asked for an image, in order.
    fn endpoints(&self, reference: &RegistryReference) -> Vec<Endpoint> {
        let repository = reference.repository();
        let mirrors = self.mirrors.get(reference.host()).into_iter().flatten();
        let mirrors = mirrors.map(|mirror| Endpoint {
            host: mirror.host.to_string(),
            repository: format!("{}{repository}", mirror.path),
            is_mirror: true,
        });
        let host = match reference.host() {
            // Where Docker Hub's interface is.
            "docker.io" => "registry-1.docker.io",
            host => host,
        };
        let origin = Endpoint {
            host: host.to_owned(),
            repository: repository.to_owned(),
            is_mirror: false,
        };
        mirrors.chain([origin]).collect()
    }
}

impl std::str::FromStr for Mirror {
    type Err = HostPatternError;

    fn from_str(text: &str) -> Result<Self, HostPatternError> {
        let (host, path) = text.split_once('/').unwrap_or((text, ""));
        let path = path.trim_end_matches('/');
        let error = || HostPatternError::of(text);
        if !path.is_empty() && !path.split('/').all(super::reference::is_component) {
            return Err(error());
        }
        let host: HostPattern = host.parse().map_err(|_| error())?;
        if host.is_wildcard() {
            return Err(error());
        }
        Ok(Self {
            host,
            path: if path.is_empty() {
                String::new()
            } else {
                format!("{path}/")
            },
        })
    }
}

/// An image in a registry, for one who waits for it on a thread of its own.
pub(crate) struct Registry {
    client: Client,
    options: Arc<RegistryOptions>,
    limits: Limits,
    reference: RegistryReference,
    endpoints: Vec<Endpoint>,
    runtime: Handle,
    /// Ends when nobody waits for the image any more.
    is_wanted: watch::Receiver<()>,
}

impl Registry {
    pub(crate) fn new(
        reference: RegistryReference,
        options: RegistryOptions,
        limits: Limits,
        runtime: Handle,
        is_wanted: watch::Receiver<()>,
    ) -> Result<Self, Box<RegistryError>> {
        let options = Arc::new(options);
        Ok(Self {
            client: Client::new(Arc::clone(&options), reference.clone())?,
            endpoints: options.endpoints(&reference),
            options,
            limits,
            reference,
            runtime,
            is_wanted,
        })
    }

    /// Asks the mirrors and the registry until one of them has it.
    fn ask_all(
        &mut self,
        path: &str,
        accept: &[&str],
    ) -> Result<(Endpoint, Response), RegistryError> {
        let ask = Ask {
            path,
            accept,
            from: 0,
        };
        let mut last = None;
        for endpoint in self.endpoints.clone() {
            match self.ask(&endpoint, ask) {
                Ok(answer) => return Ok((endpoint, answer)),
                Err(error @ (RegistryError::Deadline(_) | RegistryError::Stopped)) => {
                    return Err(error);
                }
                Err(error) => {
                    if endpoint.is_mirror {
                        tracing::warn!(%error, host = %endpoint.host, "a mirror does not have an image");
                    }
                    last = Some(error);
                }
            }
        }
        Err(last.unwrap_or(RegistryError::Stopped))
    }

    fn ask(&mut self, endpoint: &Endpoint, ask: Ask<'_>) -> Result<Response, RegistryError> {
        let (client, is_wanted) = (&mut self.client, &mut self.is_wanted);
        self.runtime.block_on(async {
            tokio::select! {
                answer = client.ask(endpoint, ask) => answer,
                _ = is_wanted.changed() => Err(RegistryError::Stopped),
            }
        })
    }

    fn piece(&mut self, host: &str, answer: &mut Response) -> Result<Option<Bytes>, RegistryError> {
        let (client, is_wanted) = (&self.client, &mut self.is_wanted);
        self.runtime.block_on(async {
            tokio::select! {
                piece = client.piece(host, answer) => piece,
                _ = is_wanted.changed() => Err(RegistryError::Stopped),
            }
        })
    }

    fn read_document(&mut self, path: &str) -> Result<(String, Vec<u8>), RegistryError> {
        let (endpoint, answer) = self.ask_all(path, &ACCEPTED)?;
        let media_type = answer
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        let media_type = media_type.unwrap_or_default().to_owned();
        let (client, is_wanted) = (&self.client, &mut self.is_wanted);
        let body = self.runtime.block_on(async {
            tokio::select! {
                body = client.body(&endpoint.host, answer, self.limits.document) => body,
                _ = is_wanted.changed() => Err(RegistryError::Stopped),
            }
        })?;
        Ok((media_type, body))
    }
}

impl Documents for Registry {
    fn root(&mut self) -> Result<(Descriptor, Vec<u8>), ImageError> {
        let path = format!("manifests/{}", self.reference.version());
        let (media_type, body) = self.read_document(&path).map_err(Box::new)?;
        // What a tag stands for only the registry knows; a digest is compared with what came.
        let digest = self
            .reference
            .digest()
            .unwrap_or_else(|| ImageDigest::of(&body));
        let size = u64::try_from(body.len()).unwrap_or(u64::MAX);
        let mut descriptor = Descriptor::of(digest, size);
        descriptor.media_type = media_type;
        Ok((descriptor, body))
    }

    fn document(&mut self, descriptor: &Descriptor) -> Result<Vec<u8>, ImageError> {
        let kind = if ACCEPTED.contains(&descriptor.media_type.as_str()) {
            "manifests"
        } else {
            "blobs"
        };
        let path = format!("{kind}/{}", descriptor.digest);
        let (_, body) = self.read_document(&path).map_err(Box::new)?;
        Ok(body)
    }

    fn blob(&mut self, layer: &LayerBlob) -> Result<Box<dyn Read + '_>, ImageError> {
        let path = format!("blobs/{}", layer.key);
        let (endpoint, answer) = self.ask_all(&path, &[]).map_err(Box::new)?;
        let size = layer.expected.size.unwrap_or(u64::MAX);
        Ok(Box::new(RegistryBlob::new(
            self, endpoint, layer.key, size, answer,
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::{Mirror, RegistryOptions};
    use crate::image::reference::RegistryReference;

    #[test]
    fn mirrors_are_asked_before_the_registry() {
        let mirrors = ["mirror.example:5000", "cache.example/hub/x/"];
        let mirrors: Vec<Mirror> = mirrors.map(|mirror| mirror.parse().unwrap()).into();
        let mut options = RegistryOptions::default();
        options.mirrors.insert("docker.io".to_owned(), mirrors);
        let places = |reference: &str| -> Vec<String> {
            let reference: RegistryReference = reference.parse().unwrap();
            let endpoints = options.endpoints(&reference).into_iter();
            endpoints
                .map(|endpoint| format!("{}/{}", endpoint.host, endpoint.repository))
                .collect()
        };
        let expected = [
            "mirror.example:5000/library/nginx",
            "cache.example/hub/x/library/nginx",
            "registry-1.docker.io/library/nginx",
        ];
        assert_eq!(places("nginx"), expected);
        assert_eq!(places("quay.io/a/b"), ["quay.io/a/b"]);
        for text in ["", "*.a", "a/..", "a/b//c", "http://a"] {
            assert!(text.parse::<Mirror>().is_err(), "{text}");
        }
    }
}
