//! Manifests and indexes (OCI image specification; Docker's older media types): which blobs an image is made of, and which
//! image of an index is for a platform.
//!
//! What a document is, its fields say; its media type may not say otherwise, and a document that is both is refused
//! (CVE-2021-41190). Layers that are to be fetched from elsewhere (`urls`) are asked of the same place as the others.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{
    digest::{ImageDigest, shown},
    error::malformed,
    platform::Platform,
};

/// All that a registry is asked for.
pub(crate) const ACCEPTED: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

/// A document that is no manifest, or none of a container image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// A manifest and an index in one.
    #[error("the manifest is an index at the same time, so that readers disagree about it")]
    Ambiguous,
    /// A Helm chart, a signature.
    #[error("this is no container image: its {what} is of the media type `{media_type}`")]
    Artifact {
        /// What is of that type.
        what: &'static str,
        /// The type.
        media_type: String,
    },
    /// Encrypted layers.
    #[error("the image's layers are encrypted (`{0}`): they cannot be read")]
    Encrypted(String),
    /// Too many layers.
    #[error("the image has {found} layers, and {limit} are read at most")]
    Layers {
        /// How many there are.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// Not JSON, or of other types.
    #[error("the manifest cannot be read: {0}")]
    Malformed(String),
    /// The configuration and the manifest disagree.
    #[error("the manifest has {manifest} layers, and the configuration {config}")]
    Mismatch {
        /// Layers of the manifest.
        manifest: usize,
        /// Layers of the configuration.
        config: usize,
    },
    /// Neither a manifest nor an index.
    #[error("the document is neither a manifest nor an index (media type `{0}`)")]
    Unknown(String),
    /// An old version.
    #[error("the manifest is of schema version {0}: push the image again with a newer tool")]
    Version(u64),
}

/// What a reference leads to.
#[derive(Debug)]
pub(crate) enum Document {
    Index(Vec<Descriptor>),
    Manifest(Manifest),
}

/// One image for one platform.
#[derive(Debug)]
pub(crate) struct Manifest {
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
}

/// What is known of a blob or document before it is read.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) digest: ImageDigest,
    pub(crate) size: u64,
    platform: Option<OfferedPlatform>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Clone, Debug, Deserialize)]
struct OfferedPlatform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    variant: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Json {
    schema_version: Option<u64>,
    media_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
}

impl Document {
    /// Reads it, of a media type that where it comes from gives to it.
    pub(crate) fn parse(
        json: &[u8],
        told: Option<&str>,
        max_layers: usize,
    ) -> Result<Self, ManifestError> {
        let json: Json = serde_json::from_slice(json)
            .map_err(|error| ManifestError::Malformed(malformed(&error)))?;
        let told = told.map(|told| told.split(';').next().unwrap_or_default().trim());
        let types = [json.media_type.as_deref(), told];
        let is = |wanted: [&str; 2]| {
            let mut types = types
                .iter()
                .flatten()
                .filter(|told| ACCEPTED.contains(told));
            types.all(|told| wanted.contains(told))
        };
        match (json.manifests, json.config, json.layers) {
            (Some(_), Some(_), _) | (Some(_), _, Some(_)) => Err(ManifestError::Ambiguous),
            _ if json.schema_version.is_some_and(|version| version != 2) => Err(
                ManifestError::Version(json.schema_version.unwrap_or_default()),
            ),
            (Some(manifests), None, None) if is([ACCEPTED[0], ACCEPTED[2]]) => {
                Ok(Self::Index(manifests))
            }
            (None, Some(config), Some(layers)) if is([ACCEPTED[1], ACCEPTED[3]]) => {
                check(&config, &layers, max_layers)?;
                Ok(Self::Manifest(Manifest { config, layers }))
            }
            (Some(_), None, None) | (None, Some(_), Some(_)) => Err(ManifestError::Ambiguous),
            (None, None, _) | (None, _, None) => {
                let told = types.into_iter().flatten().next().unwrap_or_default();
                Err(ManifestError::Unknown(shown(told)))
            }
        }
    }
}

fn check(config: &Descriptor, layers: &[Descriptor], limit: usize) -> Result<(), ManifestError> {
    let is_config = matches!(
        config.media_type.as_str(),
        "application/vnd.oci.image.config.v1+json"
            | "application/vnd.docker.container.image.v1+json"
    );
    if !is_config {
        return Err(ManifestError::Artifact {
            what: "configuration",
            media_type: shown(&config.media_type),
        });
    }
    if layers.len() > limit {
        return Err(ManifestError::Layers {
            found: layers.len(),
            limit,
        });
    }
    for layer in layers {
        let media_type = layer.media_type.as_str();
        if media_type.ends_with("+encrypted") {
            return Err(ManifestError::Encrypted(shown(media_type)));
        }
        let is_layer = media_type.starts_with("application/vnd.oci.image.layer.")
            || media_type.starts_with("application/vnd.docker.image.rootfs.");
        if !is_layer {
            return Err(ManifestError::Artifact {
                what: "layer",
                media_type: shown(media_type),
            });
        }
    }
    Ok(())
}

impl Descriptor {
    /// Something of which only the digest is known.
    pub(crate) fn of(digest: ImageDigest, size: u64) -> Self {
        Self {
            media_type: String::new(),
            digest,
            size,
            platform: None,
            annotations: None,
        }
    }

    pub(crate) fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations.as_ref()?.get(name).map(String::as_str)
    }

    /// What it is for, where that is told. Attestations stand beside images as `unknown/unknown`.
    pub(crate) fn platform(&self) -> Option<Platform> {
        let offered = self.platform.as_ref()?;
        Some(Platform {
            os: offered.os.clone(),
            architecture: offered.architecture.clone(),
            variant: offered
                .variant
                .clone()
                .filter(|variant| !variant.is_empty()),
        })
    }
}

/// The entries of an index that may be for a platform, the best first. Those that do not say what they are for come last:
/// what they hold says it.
pub(crate) fn candidates<'a>(entries: &'a [Descriptor], wanted: &Platform) -> Vec<&'a Descriptor> {
    let mut candidates: Vec<(u8, &Descriptor)> = entries
        .iter()
        .filter(|entry| {
            entry.media_type.is_empty() || ACCEPTED.contains(&entry.media_type.as_str())
        })
        .filter_map(|entry| match entry.platform() {
            Some(platform) => Some((wanted.distance(&platform)?, entry)),
            None => Some((u8::MAX, entry)),
        })
        .collect();
    candidates.sort_by_key(|(distance, _)| *distance);
    candidates.into_iter().map(|(_, entry)| entry).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{ACCEPTED, Document, ManifestError, candidates};

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn parse(json: &str, told: Option<&str>) -> Result<Document, ManifestError> {
        Document::parse(json.replace("DIGEST", DIGEST).as_bytes(), told, 3)
    }

    fn manifest(config: &str, layers: &[&str], rest: &str) -> String {
        let layers = layers.iter().map(|media_type| {
            format!(r#"{{"mediaType":"{media_type}","digest":"DIGEST","size":1}}"#)
        });
        let layers: Vec<String> = layers.collect();
        format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":"{config}","digest":"DIGEST","size":1}},"layers":[{}]{rest}}}"#,
            layers.join(",")
        )
    }

    const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

    #[test]
    fn manifests_of_both_families_are_read() {
        let docker = manifest(
            "application/vnd.docker.container.image.v1+json",
            &["application/vnd.docker.image.rootfs.diff.tar.gzip"],
            &format!(r#","mediaType":"{}""#, ACCEPTED[3]),
        );
        let oci = manifest(
            CONFIG,
            &[
                LAYER,
                "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
                "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
            ],
            r#","annotations":null"#,
        );
        for (json, told, layers) in [
            (&docker, Some(ACCEPTED[3]), 1),
            (&docker, Some("application/json; charset=utf-8"), 1),
            (&oci, None, 3),
            (&oci, Some(ACCEPTED[1]), 3),
        ] {
            let Ok(Document::Manifest(manifest)) = parse(json, told) else {
                panic!("{json}")
            };
            assert_eq!(manifest.layers.len(), layers);
        }
    }

    #[test]
    fn what_is_no_image_is_refused() {
        type Is = fn(&ManifestError) -> bool;
        let ambiguous: Is = |error| matches!(error, ManifestError::Ambiguous);
        let artifact: Is = |error| matches!(error, ManifestError::Artifact { .. });
        let malformed: Is = |error| matches!(error, ManifestError::Malformed(_));
        let fine = manifest(CONFIG, &[LAYER], "");
        let helm = "application/vnd.cncf.helm.config.v1+json";
        for (json, told, is) in [
            (
                manifest(CONFIG, &[LAYER], r#","manifests":[]"#),
                None,
                ambiguous,
            ),
            (
                r#"{"manifests":[],"layers":[]}"#.to_owned(),
                None,
                ambiguous,
            ),
            (fine.clone(), Some(ACCEPTED[0]), ambiguous),
            (
                r#"{"manifests":[]}"#.to_owned(),
                Some(ACCEPTED[1]),
                ambiguous,
            ),
            (
                manifest(CONFIG, &[], &format!(r#","mediaType":"{}""#, ACCEPTED[2])),
                None,
                ambiguous,
            ),
            (manifest(helm, &[LAYER], ""), None, artifact),
            (manifest(CONFIG, &["application/wasm"], ""), None, artifact),
            (
                manifest(CONFIG, &[&format!("{LAYER}+encrypted")], ""),
                None,
                |error| matches!(error, ManifestError::Encrypted(_)),
            ),
            (manifest(CONFIG, &[LAYER; 4], ""), None, |error| {
                matches!(error, ManifestError::Layers { found: 4, limit: 3 })
            }),
            (
                r#"{"schemaVersion":1,"fsLayers":[]}"#.to_owned(),
                None,
                |error| matches!(error, ManifestError::Version(1)),
            ),
            ("{}".to_owned(), Some("text/html\n"), |error| {
                matches!(error, ManifestError::Unknown(_))
            }),
            (
                fine.replace("DIGEST", "sha256:../../etc/passwd"),
                None,
                malformed,
            ),
            (fine.replace(r#""size":1"#, r#""size":-1"#), None, malformed),
            ("<html>".to_owned(), None, malformed),
        ] {
            let error = parse(&json, told).unwrap_err();
            assert!(is(&error), "{json} {error:?}");
            assert!(!error.to_string().contains('\n'));
        }
    }

    #[test]
    fn the_best_entry_of_an_index_comes_first() {
        let entry = |platform: &str, size: u32| {
            format!(
                r#"{{"mediaType":"{}","digest":"DIGEST","size":{size},"platform":{platform}}}"#,
                ACCEPTED[1]
            )
        };
        let entries = [
            entry("null", 1),
            entry(r#"{"os":"unknown","architecture":"unknown"}"#, 2),
            entry(r#"{"os":"linux","architecture":"amd64","variant":"v3"}"#, 3),
            entry(r#"{"os":"linux","architecture":"amd64"}"#, 4),
            entry(
                r#"{"os":"windows","architecture":"amd64","os.version":"10"}"#,
                5,
            ),
            entry(r#"{"os":"linux","architecture":"arm64","variant":"v8"}"#, 6),
            entry("null", 7).replace(ACCEPTED[1], "application/vnd.example+json"),
        ];
        let index = format!(
            r#"{{"schemaVersion":2,"manifests":[{}]}}"#,
            entries.join(",")
        );
        let Ok(Document::Index(entries)) = parse(&index, None) else {
            panic!("{index}")
        };
        let sizes = |platform: &str| -> Vec<u64> {
            let candidates = candidates(&entries, &platform.parse().unwrap());
            candidates.iter().map(|entry| entry.size).collect()
        };
        assert_eq!(sizes("linux/amd64"), [4, 3, 1]);
        assert_eq!(sizes("linux/arm64/v8"), [6, 1]);
        assert_eq!(sizes("linux/s390x"), [1]);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Document::parse(&bytes, None, 3);
        }
    }
}
