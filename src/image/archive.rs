//! Images in an archive of `docker save` (Docker image specification 1.2, "Combined Image JSON + Filesystem Changeset
//! Format"): `manifest.json` names a configuration and layers by their paths in the archive. Older tools put layers at
//! `ID/layer.tar`, newer ones at `blobs/sha256/DIGEST`.
//!
//! The archive is looked through once, from header to header; layers are then read where they stand.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
    path::PathBuf,
};

use serde::Deserialize;

use super::{
    ImageError,
    config::Config,
    digest::{ImageDigest, shown},
    error::malformed,
    layer::{
        Expected,
        tar::{Entries, Kind, Layout, TarError},
    },
    layout::open,
    limits::Limits,
    manifest::ManifestError,
    platform::Platform,
    reference::RegistryReference,
    source::{Described, LayerBlob, Source},
    tree::path::{clean, push},
};

/// LIMIT: entries of an archive; an image has a few for each layer.
const MAX_ENTRIES: usize = 20_000;

/// LIMIT: bytes of all names and links' targets of an archive. Extended headers make each up to a mebibyte long, and a file
/// with holes has them for nothing.
const MAX_NAMES: usize = 4 << 20;

/// An archive that no image can be read from.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The archive is compressed.
    #[error("the archive {} is compressed: decompress it first", .0.display())]
    Compressed(PathBuf),
    /// The tar is broken.
    #[error("the archive {} is broken: {what}", .file.display())]
    Broken {
        /// The archive.
        file: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// `manifest.json` cannot be read.
    #[error("`manifest.json` of the archive {} cannot be read: {why}", .file.display())]
    Manifest {
        /// The archive.
        file: PathBuf,
        /// Why.
        why: String,
    },
    /// Something that the archive names is not in it.
    #[error("the archive {} lacks `{name}`: save the image again", .file.display())]
    Missing {
        /// The archive.
        file: PathBuf,
        /// What is missing.
        name: String,
    },
    /// Several images, and none was named; or none of that name.
    #[error("the archive {} {what}: it has `{}`", .file.display(), .names.join("`, `"))]
    Name {
        /// The archive.
        file: PathBuf,
        /// What is wrong.
        what: &'static str,
        /// The names that there are.
        names: Vec<String>,
    },
    /// It cannot be read.
    #[error("the archive {} cannot be read", .file.display())]
    Read {
        /// The archive.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Too many entries.
    #[error("the archive {} has more than {MAX_ENTRIES} entries: it is none of `docker save`", .0.display())]
    Entries(PathBuf),
}

/// An archive of `docker save`.
pub(crate) struct Archive {
    path: PathBuf,
    name: Option<String>,
    /// The layers of the image that was found, the lowest first.
    layers: Vec<Place>,
}

/// Where a file's bytes stand in the archive.
#[derive(Clone, Copy, Debug)]
struct Place {
    start: u64,
    size: u64,
}

/// A name in the archive.
enum Named {
    File(Place),
    /// Old versions of Docker linked layers that are the same.
    Link(Vec<u8>),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Option<Vec<String>>,
}

impl Archive {
    pub(crate) fn new(path: PathBuf, name: Option<String>) -> Self {
        Self {
            path,
            name,
            layers: Vec::new(),
        }
    }

    fn file(&self) -> Result<File, ArchiveError> {
        open(&self.path).map_err(|source| self.unreadable(source))
    }

    /// All files of the archive.
    fn names(&self, file: &mut BufReader<File>) -> Result<HashMap<Vec<u8>, Named>, ArchiveError> {
        let length = file.get_ref().metadata().map(|metadata| metadata.len());
        let length = length.map_err(|source| self.unreadable(source))?;
        let mut names = HashMap::new();
        let (mut position, mut bytes) = (0_u64, 0_usize);
        for _ in 0..=MAX_ENTRIES {
            let mut entries = Entries::new(file);
            let Some(entry) = entries.next().map_err(|error| self.broken(error))? else {
                return Ok(names);
            };
            let target = match &entry.kind {
                Kind::HardLink(target) | Kind::Link(target) => target.len(),
                _ => 0,
            };
            bytes = bytes.saturating_add(entry.name.len() + target);
            if bytes > MAX_NAMES {
                return Err(self.broken_by("its names are over four mebibytes long together"));
            }
            let start = position.saturating_add(entries.position());
            let follows = entries.pass_by();
            position = start.saturating_add(follows);
            if position > length {
                return Err(self.broken_by("it ends inside of a file"));
            }
            let offset =
                i64::try_from(follows).map_err(|_| self.broken_by("an entry is too large"))?;
            file.seek_relative(offset)
                .map_err(|source| self.unreadable(source))?;
            let path = clean(&entry.name).join(&b'/');
            match entry.kind {
                Kind::File {
                    size,
                    layout: Layout::Plain,
                } => names.insert(path, Named::File(Place { start, size })),
                Kind::HardLink(target) => {
                    names.insert(path, Named::Link(clean(&target).join(&b'/')))
                }
                Kind::Link(target) => {
                    // From the folder that the link stands in.
                    let folder = path
                        .rsplitn(2, |&byte| byte == b'/')
                        .nth(1)
                        .unwrap_or_default();
                    let mut target_path = folder.to_vec();
                    push(&mut target_path, &target);
                    names.insert(path, Named::Link(clean(&target_path).join(&b'/')))
                }
                _ => None,
            };
        }
        Err(ArchiveError::Entries(self.path.clone()))
    }

    /// The place of a file, perhaps behind links.
    fn place(&self, names: &HashMap<Vec<u8>, Named>, name: &str) -> Result<Place, ArchiveError> {
        let mut path = clean(name.as_bytes()).join(&b'/');
        for _ in 0..8 {
            match names.get(&path) {
                Some(Named::File(place)) => return Ok(*place),
                Some(Named::Link(target)) => path.clone_from(target),
                None => break,
            }
        }
        Err(ArchiveError::Missing {
            file: self.path.clone(),
            name: shown(name),
        })
    }

    fn document(
        &self,
        file: &mut BufReader<File>,
        place: Place,
        limits: &Limits,
    ) -> Result<Vec<u8>, ArchiveError> {
        if !usize::try_from(place.size).is_ok_and(|size| size <= limits.document) {
            return Err(self.broken_by("its manifest or configuration is too large"));
        }
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(place.start))
            .and_then(|_| file.take(place.size).read_to_end(&mut bytes))
            .map_err(|source| self.unreadable(source))?;
        Ok(bytes)
    }

    /// Which of the archive's images is meant: the one of that name, or the only one.
    fn choose(&self, images: Vec<Saved>) -> Result<Saved, ArchiveError> {
        let tags = |image: &Saved| image.repo_tags.clone().unwrap_or_default();
        let names = images.iter().flat_map(tags).take(16);
        let names: Vec<String> = names.map(|name| shown(&name)).collect();
        let full = |name: &str| name.parse::<RegistryReference>().ok();
        let is_meant = |image: &Saved, wanted: &str| {
            let tags = tags(image);
            tags.iter().any(|tag| tag == wanted)
                || full(wanted).is_some_and(|wanted| {
                    tags.iter().any(|tag| full(tag).as_ref() == Some(&wanted))
                })
        };
        let is_one = images.len() == 1;
        let mut found = images.into_iter().filter(|image| match &self.name {
            Some(wanted) => is_meant(image, wanted),
            None => is_one,
        });
        found.next().ok_or_else(|| ArchiveError::Name {
            file: self.path.clone(),
            what: match self.name {
                Some(_) => "has no image of that name",
                None => {
                    "does not hold exactly one image: name one, as in `docker-archive:FILE:NAME`"
                }
            },
            names,
        })
    }

    fn unreadable(&self, source: io::Error) -> ArchiveError {
        ArchiveError::Read {
            file: self.path.clone(),
            source,
        }
    }

    fn broken_by(&self, what: &'static str) -> ArchiveError {
        ArchiveError::Broken {
            file: self.path.clone(),
            what,
        }
    }

    fn broken(&self, error: TarError) -> ArchiveError {
        match error {
            TarError::Broken(_, what) => self.broken_by(what),
            TarError::Read(source) => self.unreadable(source),
        }
    }
}

impl Source for Archive {
    fn describe(
        &mut self,
        wanted: Option<&Platform>,
        limits: &Limits,
    ) -> Result<Described, ImageError> {
        let mut file = BufReader::new(self.file()?);
        let mut first = [0; 4];
        let read = file
            .read(&mut first)
            .map_err(|source| self.unreadable(source))?;
        if matches!(first, [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd]) {
            return Err(ArchiveError::Compressed(self.path.clone()).into());
        }
        file.seek_relative(-i64::try_from(read).unwrap_or_default())
            .map_err(|source| self.unreadable(source))?;
        let names = self.names(&mut file)?;
        let place = self.place(&names, "manifest.json")?;
        let manifest = self.document(&mut file, place, limits)?;
        let images = serde_json::from_slice(&manifest).map_err(|error| ArchiveError::Manifest {
            file: self.path.clone(),
            why: malformed(&error),
        })?;
        let image = self.choose(images)?;
        let place = self.place(&names, &image.config)?;
        let json = self.document(&mut file, place, limits)?;
        let digest = ImageDigest::of(&json);
        if let Some(expected) = named_digest(&image.config)
            && expected != digest
        {
            return Err(ImageError::DocumentDigest {
                expected,
                found: digest,
            });
        }
        let config = Config::from_json(&json)?;
        if let Some(wanted) = wanted
            && !config.os.is_empty()
            && wanted.distance(&config.platform()).is_none()
        {
            return Err(ImageError::Platform {
                wanted: wanted.clone(),
                offered: vec![shown(&config.platform().to_string())],
            });
        }
        let paths = image.layers.unwrap_or_default();
        if paths.len() > limits.layers {
            return Err(ManifestError::Layers {
                found: paths.len(),
                limit: limits.layers,
            }
            .into());
        }
        if paths.len() != config.diff_ids.len() {
            return Err(ManifestError::Mismatch {
                manifest: paths.len(),
                config: config.diff_ids.len(),
            }
            .into());
        }
        let mut layers = Vec::new();
        for (position, (path, diff_id)) in paths.iter().zip(&config.diff_ids).enumerate() {
            let place = self.place(&names, path)?;
            self.layers.push(place);
            // What stands at another place than its digest is a plain tar, or will be told by its own digest.
            let digest = named_digest(path).filter(|_| path.starts_with("blobs/"));
            layers.push(LayerBlob {
                position,
                key: digest.unwrap_or(*diff_id),
                expected: Expected {
                    digest,
                    diff_id: Some(*diff_id),
                    size: Some(place.size),
                },
            });
        }
        Ok(Described {
            digest,
            index: None,
            config,
            layers,
        })
    }

    fn open(&mut self, layer: &LayerBlob) -> Result<Box<dyn Read + '_>, ImageError> {
        let mut file = self.file()?;
        let place = self.layers.get(layer.position);
        let place = *place.ok_or_else(|| self.broken_by("a layer is not in it"))?;
        file.seek(SeekFrom::Start(place.start))
            .map_err(|source| self.unreadable(source))?;
        Ok(Box::new(file.take(place.size)))
    }
}

/// The digest that a file is named by: `blobs/sha256/DIGEST`, `DIGEST.json`.
fn named_digest(path: &str) -> Option<ImageDigest> {
    let name = path.rsplit('/').next()?;
    let hex = name.strip_suffix(".json").unwrap_or(name);
    format!("sha256:{hex}").parse().ok()
}
