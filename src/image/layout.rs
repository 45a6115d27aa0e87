//! Images in a folder (OCI image specification, "Image Layout"): `index.json`, and blobs by their digests.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{
    ImageError,
    digest::{ImageDigest, shown},
    limits::Limits,
    manifest::{ACCEPTED, Descriptor, Document},
    source::{Documents, LayerBlob},
};

/// The annotation that names an image of a layout.
const NAME: &str = "org.opencontainers.image.ref.name";
/// containerd's, with the full reference.
const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// A folder that no image can be read from.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// A blob is not there.
    #[error("the layout {} lacks the blob {digest}: copy the image again", .folder.display())]
    Missing {
        /// The folder.
        folder: PathBuf,
        /// The blob.
        digest: ImageDigest,
    },
    /// Several images, and none was named; or none of that name.
    #[error("the layout {} {what}: it has {}", .folder.display(), told(.names))]
    Name {
        /// The folder.
        folder: PathBuf,
        /// What is wrong.
        what: &'static str,
        /// The names that there are.
        names: Vec<String>,
    },
    /// No layout.
    #[error("{} is no OCI layout: it has no `oci-layout` of version 1.0.0", .0.display())]
    NotLayout(PathBuf),
    /// A file that cannot be read.
    #[error("{} cannot be read", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A folder in OCI layout.
pub(crate) struct Layout {
    folder: PathBuf,
    tag: Option<String>,
    limits: Limits,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    image_layout_version: String,
}

impl Layout {
    pub(crate) fn new(folder: PathBuf, tag: Option<String>, limits: Limits) -> Self {
        Self {
            folder,
            tag,
            limits,
        }
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>, LayoutError> {
        let error = |source| LayoutError::Read {
            path: path.to_owned(),
            source,
        };
        let limit = u64::try_from(self.limits.document).unwrap_or(u64::MAX);
        let mut bytes = Vec::new();
        let file = open(path).map_err(error)?;
        file.take(limit.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(error)?;
        if bytes.len() > self.limits.document {
            let message = format!("it is over {limit} bytes long");
            return Err(error(io::Error::other(message)));
        }
        Ok(bytes)
    }

    /// A digest that was parsed leads to nowhere else.
    fn path(&self, digest: ImageDigest) -> PathBuf {
        self.folder.join("blobs/sha256").join(digest.hex())
    }

    /// Which of the layout's images is meant: the one of that name, or the only one.
    fn choose(&self, entries: Vec<Descriptor>) -> Result<Choice, LayoutError> {
        let mut names: Vec<&str> = entries.iter().filter_map(name).collect();
        names.sort_unstable();
        names.dedup();
        let error = |what| LayoutError::Name {
            folder: self.folder.clone(),
            what,
            names: names.iter().take(16).map(|name| shown(name)).collect(),
        };
        let Some(tag) = &self.tag else {
            let is_one = names.len() <= 1;
            return match (is_one, entries.len()) {
                (_, 0) => Err(error("is empty")),
                (true, 1) => Ok(Choice::One(entries)),
                // Without names, or all of one name: images for several platforms.
                (true, _) => Ok(Choice::Platforms),
                (false, _) => Err(error("holds several images: name one, as in `oci:DIR:TAG`")),
            };
        };
        let is_meant = |entry: &&Descriptor| {
            [NAME, CONTAINERD_NAME]
                .iter()
                .any(|key| entry.annotation(key) == Some(tag))
        };
        let found: Vec<Descriptor> = entries.iter().filter(is_meant).cloned().collect();
        match found.len() {
            0 => Err(error("has no image of that name")),
            1 => Ok(Choice::One(found)),
            _ => Err(error("has several images of that name")),
        }
    }
}

enum Choice {
    One(Vec<Descriptor>),
    Platforms,
}

impl Documents for Layout {
    fn root(&mut self) -> Result<(Descriptor, Vec<u8>), ImageError> {
        let marker = self.read(&self.folder.join("oci-layout")).ok();
        let marker = marker.and_then(|marker| serde_json::from_slice::<Version>(&marker).ok());
        if marker.is_none_or(|marker| marker.image_layout_version != "1.0.0") {
            return Err(LayoutError::NotLayout(self.folder.clone()).into());
        }
        let bytes = self.read(&self.folder.join("index.json"))?;
        let index = Document::parse(&bytes, Some(ACCEPTED[0]), self.limits.layers)?;
        let Document::Index(entries) = index else {
            return Err(LayoutError::NotLayout(self.folder.clone()).into());
        };
        match self.choose(entries)? {
            Choice::One(entries) => {
                let descriptor = entries.into_iter().next();
                let descriptor =
                    descriptor.ok_or_else(|| LayoutError::NotLayout(self.folder.clone()))?;
                let bytes = self.document(&descriptor)?;
                Ok((descriptor, bytes))
            }
            Choice::Platforms => {
                let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                Ok((Descriptor::of(ImageDigest::of(&bytes), size), bytes))
            }
        }
    }

    fn document(&mut self, descriptor: &Descriptor) -> Result<Vec<u8>, ImageError> {
        let path = self.path(descriptor.digest);
        self.read(&path).map_err(|error| match error {
            LayoutError::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                LayoutError::Missing {
                    folder: self.folder.clone(),
                    digest: descriptor.digest,
                }
                .into()
            }
            error => error.into(),
        })
    }

    fn blob(&mut self, layer: &LayerBlob) -> Result<Box<dyn Read + '_>, ImageError> {
        let path = self.path(layer.key);
        match open(&path) {
            Ok(file) => Ok(Box::new(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(LayoutError::Missing {
                folder: self.folder.clone(),
                digest: layer.key,
            }
            .into()),
            Err(source) => Err(LayoutError::Read { path, source }.into()),
        }
    }
}

/// Opens a regular file: a pipe would wait for its other end.
pub(super) fn open(path: &Path) -> io::Result<File> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    File::open(path)
}

fn name(entry: &Descriptor) -> Option<&str> {
    entry
        .annotation(NAME)
        .or_else(|| entry.annotation(CONTAINERD_NAME))
}

fn told(names: &[String]) -> String {
    if names.is_empty() {
        "no names".to_owned()
    } else {
        format!("`{}`", names.join("`, `"))
    }
}
