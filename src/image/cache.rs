//! Layers that were read, on disk by the digest of their blobs: a layer never changes, so what was read of it stays right.
//!
//! A file that is damaged, of another version or made with other limits is as good as none, and is written anew. Files
//! appear by renaming, so that readers at the same time see all of one or nothing. A cache that cannot be written costs
//! time only, and is told in the log.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, BufWriter, Read as _, Write},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::{
    digest::ImageDigest,
    layer::Layer,
    limits::Limits,
    tree::{LayerTree, stored},
};

const MAGIC: &[u8; 16] = b"armorgate-layer\n";

/// LIMIT: bytes of one file. Limits on layers end far below.
const MAX_FILE: u64 = 256 << 20;

/// Where layers that were read are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    folder: PathBuf,
    /// Bytes of all files together. The ones that were not used for longest go first.
    max_bytes: u64,
}

impl Cache {
    /// Bytes that are kept when nothing else is said.
    pub const MAX_BYTES: u64 = 1 << 30;

    /// A cache in a folder, which is made when it is first written to.
    #[must_use]
    pub fn new(folder: PathBuf, max_bytes: u64) -> Self {
        Self { folder, max_bytes }
    }

    /// The user's own cache folder (XDG base directory specification). Nothing when the environment names none.
    #[must_use]
    pub fn default_folder() -> Option<PathBuf> {
        let absolute = |name: &str| {
            let path = PathBuf::from(std::env::var_os(name)?);
            path.is_absolute().then_some(path)
        };
        let caches = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
        Some(caches?.join("armorgate"))
    }

    /// The layer of a blob, when it was read before with these limits.
    pub(crate) fn load(&self, blob: ImageDigest, limits: &Limits) -> Option<Layer> {
        let path = self.path(blob);
        let file = File::open(&path).ok()?;
        let size = file.metadata().ok()?.len();
        let mut bytes = Vec::with_capacity(usize::try_from(size.min(MAX_FILE)).ok()?);
        (&file).take(MAX_FILE).read_to_end(&mut bytes).ok()?;
        let layer = decode(&bytes, blob, limits)?;
        // Which files were used last. Failing at it makes this one look older than it is.
        let _ = file.set_modified(SystemTime::now());
        Some(layer)
    }

    /// Keeps a layer.
    pub(crate) fn store(&self, blob: ImageDigest, layer: &Layer, limits: &Limits) {
        if let Err(error) = self.try_store(blob, layer, limits) {
            let folder = self.folder.display();
            tracing::warn!(%error, %folder, "a layer could not be kept in the cache");
        }
    }

    fn try_store(&self, blob: ImageDigest, layer: &Layer, limits: &Limits) -> io::Result<()> {
        let folder = self.folder.join("layers");
        // What private images hold is nobody else's business.
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)?;
        let mut file = NamedTempFile::new_in(&folder)?;
        encode(layer, blob, limits, file.as_file_mut())?;
        file.persist(self.path(blob))?;
        self.shrink(&folder)
    }

    /// Removes the files that were not used for longest until the others are few enough.
    fn shrink(&self, folder: &Path) -> io::Result<()> {
        let mut files = Vec::new();
        let mut total = 0_u64;
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            // Somebody else may have removed it by now.
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            total = total.saturating_add(metadata.len());
            files.push((metadata.modified()?, metadata.len(), entry.path()));
        }
        files.sort_unstable();
        for (_, size, path) in files {
            if total <= self.max_bytes {
                break;
            }
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => total = total.saturating_sub(size),
            }
        }
        Ok(())
    }

    fn path(&self, blob: ImageDigest) -> PathBuf {
        self.folder.join("layers").join(blob.hex())
    }
}

/// What has to be the same for a file to be used: version, limits and blob.
fn head(blob: ImageDigest, limits: &Limits) -> Vec<u8> {
    let limits = format!("{limits:?}");
    let mut head = MAGIC.to_vec();
    head.extend(stored::VERSION.to_le_bytes());
    head.extend(text(ImageDigest::of(format!("{limits} {blob}").as_bytes())));
    head
}

/// Writes a file: the head, the layer, and a digest of both.
fn encode(layer: &Layer, blob: ImageDigest, limits: &Limits, to: &mut File) -> io::Result<()> {
    let mut to = Hashed {
        to: BufWriter::with_capacity(128 << 10, to),
        hasher: Sha256::new(),
    };
    to.write_all(&head(blob, limits))?;
    to.write_all(&text(layer.diff_id))?;
    to.write_all(&layer.bytes.to_le_bytes())?;
    layer.tree.write(&mut to)?;
    let digest = ImageDigest::from_hasher(to.hasher);
    to.to.write_all(&text(digest))?;
    to.to.flush()
}

fn decode(bytes: &[u8], blob: ImageDigest, limits: &Limits) -> Option<Layer> {
    let digest = |bytes: &[u8]| std::str::from_utf8(bytes).ok()?.parse::<ImageDigest>().ok();
    let length = text(blob).len();
    let (bytes, told) = bytes.split_at_checked(bytes.len().checked_sub(length)?)?;
    let body = bytes.strip_prefix(head(blob, limits).as_slice())?;
    if digest(told)? != ImageDigest::of(bytes) {
        return None;
    }
    let (diff_id, body) = body.split_at_checked(length)?;
    let (size, tree) = body.split_first_chunk()?;
    Some(Layer {
        tree: LayerTree::from_bytes(tree)?,
        diff_id: digest(diff_id)?,
        bytes: u64::from_le_bytes(*size),
    })
}

fn text(digest: ImageDigest) -> Vec<u8> {
    digest.to_string().into_bytes()
}

/// What is written is hashed.
struct Hashed<W> {
    to: W,
    hasher: Sha256,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.to.write(bytes)?;
        self.hasher.update(bytes.get(..count).unwrap_or_default());
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

    use super::{Cache, Layer};
    use crate::image::{
        digest::ImageDigest,
        layer::{Expected, read},
        limits::Limits,
    };

    /// A layer with one file of that name.
    fn layer(name: &str) -> Layer {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(3);
        header.set_mode(0o755);
        tar.append_data(&mut header, name, &b"#!x"[..]).unwrap();
        let tar = tar.into_inner().unwrap();
        read(
            &mut tar.as_slice(),
            &Expected::default(),
            &Limits::default(),
        )
        .unwrap()
    }

    fn files(folder: &Path) -> Vec<std::path::PathBuf> {
        let entries = fs::read_dir(folder.join("layers")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    #[test]
    fn a_layer_comes_back_for_its_blob_version_and_limits_only() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().join("a/b"), Cache::MAX_BYTES);
        let (limits, blob) = (Limits::default(), ImageDigest::of(b"blob"));
        assert_eq!(cache.load(blob, &limits), None);
        cache.store(blob, &layer("a"), &limits);
        assert_eq!(cache.load(blob, &limits), Some(layer("a")));
        let mode = fs::metadata(folder.path().join("a/b/layers"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o700);

        let fewer = Limits { texts: 1, ..limits };
        assert_eq!(cache.load(blob, &fewer), None);
        let path = &files(&folder.path().join("a/b"))[0];
        let other = ImageDigest::of(b"other");
        fs::copy(path, path.with_file_name(other.hex())).unwrap();
        assert_eq!(cache.load(other, &limits), None, "under another's name");

        let bytes = fs::read(path).unwrap();
        for at in (0..bytes.len()).step_by(7) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            fs::write(path, damaged).unwrap();
            assert_eq!(cache.load(blob, &limits), None, "{at}");
            fs::write(path, &bytes[..at]).unwrap();
            assert_eq!(cache.load(blob, &limits), None, "{at}");
        }
        cache.store(blob, &layer("b"), &limits);
        assert_eq!(cache.load(blob, &limits), Some(layer("b")), "written anew");
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits::default();
        let blobs = [b"1", b"2", b"3"].map(|blob| ImageDigest::of(blob));
        let large = Cache::new(folder.path().to_owned(), Cache::MAX_BYTES);
        for blob in &blobs[..2] {
            large.store(*blob, &layer("a"), &limits);
        }
        let size = fs::metadata(&files(folder.path())[0]).unwrap().len();
        // Long ago, the first one later than the second.
        for (seconds, blob) in [(2, blobs[0]), (1, blobs[1])] {
            let file = fs::File::open(folder.path().join("layers").join(blob.hex())).unwrap();
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
            file.set_modified(time).unwrap();
        }
        let small = Cache::new(folder.path().to_owned(), size * 2 + size / 2);
        small.store(blobs[2], &layer("a"), &limits);
        let is_kept = blobs.map(|blob| small.load(blob, &limits).is_some());
        assert_eq!(is_kept, [true, false, true]);
    }

    #[test]
    fn a_cache_that_cannot_be_written_is_none() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let cache = Cache::new(file.path().join("below"), Cache::MAX_BYTES);
        let (limits, blob) = (Limits::default(), ImageDigest::of(b"blob"));
        cache.store(blob, &layer("a"), &limits);
        assert_eq!(cache.load(blob, &limits), None);
    }
}
