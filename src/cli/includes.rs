//! Includes from folders on disk.

use std::{
    ffi::OsStr,
    fs, io,
    io::Read as _,
    os::unix::ffi::OsStrExt as _,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use crate::apparmor::include::{
    Files, IncludeError, Included, Includes, MAX_BYTES, MAX_FILE, is_ignored,
};

/// Where the parser looks when nobody says otherwise.
const DEFAULT: &str = "/etc/apparmor.d";

/// LIMIT: files of a folder that is included.
const MAX_ENTRIES: usize = 10_000;

/// Folders that are searched in order.
#[derive(Clone, Debug)]
pub(super) struct DirectoryIncludes {
    folders: Vec<PathBuf>,
    /// Whether files elsewhere may be read too.
    elsewhere: bool,
}

impl DirectoryIncludes {
    /// Of these folders; of the parser's default one when there are none.
    pub(super) fn new(mut folders: Vec<PathBuf>) -> Self {
        if folders.is_empty() {
            folders.push(PathBuf::from(DEFAULT));
        }
        Self {
            folders,
            elsewhere: true,
        }
    }

    /// Of folders that somebody named, which must be there.
    pub(super) fn named(folders: &[PathBuf]) -> anyhow::Result<Self> {
        for folder in folders {
            if !folder.is_dir() {
                anyhow::bail!("--include {}: not a folder", folder.display());
            }
        }
        Ok(Self::new(folders.to_vec()))
    }

    /// Of these folders, and then of the parser's default one.
    pub(super) fn beside_default(mut folders: Vec<PathBuf>) -> Self {
        folders.push(PathBuf::from(DEFAULT));
        Self {
            folders,
            elsewhere: true,
        }
    }

    /// Of the parser's default one and no other place: for texts that come from others, which must not read what is this
    /// process's own.
    pub(super) fn confined() -> Self {
        Self {
            folders: vec![PathBuf::from(DEFAULT)],
            elsewhere: false,
        }
    }
}

impl Includes for DirectoryIncludes {
    fn read(&self, path: &[u8], searched: bool) -> Result<Included, IncludeError> {
        let path = Path::new(OsStr::from_bytes(path));
        let leads_out = path.components().any(|part| part == Component::ParentDir);
        if !self.elsewhere && (!searched || leads_out) {
            return Err(IncludeError::Missing);
        }
        if !searched {
            return read(path);
        }
        // What begins with `/` is looked up in the folders as well.
        let relative = path.strip_prefix("/").unwrap_or(path);
        let mut unreadable = IncludeError::Missing;
        for folder in &self.folders {
            match read(&folder.join(relative)) {
                Err(IncludeError::Missing) => {}
                Err(error @ IncludeError::Unreadable(_)) => unreadable = error,
                found => return found,
            }
        }
        Err(unreadable)
    }
}

/// A file, or the files of a folder. Nothing is opened that could block or never end.
fn read(path: &Path) -> Result<Included, IncludeError> {
    let kind = fs::metadata(path).map_err(|error| include_error(&error))?;
    if kind.is_dir() {
        return folder(path).map(Included::Directory);
    }
    if !kind.is_file() {
        return Err(IncludeError::Unreadable(
            "neither a file nor a folder".to_owned(),
        ));
    }
    file(path).map(|text| Included::File(name(path), text))
}

fn file(path: &Path) -> Result<Arc<[u8]>, IncludeError> {
    let file = fs::File::open(path).map_err(|error| include_error(&error))?;
    let mut text = Vec::new();
    let most = u64::try_from(MAX_FILE).unwrap_or(u64::MAX);
    file.take(most.saturating_add(1))
        .read_to_end(&mut text)
        .map_err(|error| include_error(&error))?;
    if text.len() > MAX_FILE {
        return Err(IncludeError::TooLarge);
    }
    Ok(text.into())
}

/// A folder's files by name. Links are followed, other folders are not entered.
fn folder(path: &Path) -> Result<Files, IncludeError> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(path).map_err(|error| include_error(&error))? {
        let entry = entry.map_err(|error| include_error(&error))?;
        if is_ignored(entry.file_name().as_bytes()) {
            continue;
        }
        if paths.len() == MAX_ENTRIES {
            return Err(IncludeError::TooLarge);
        }
        paths.push(entry.path());
    }
    paths.sort();
    let mut files = Vec::new();
    let mut left = MAX_BYTES;
    for path in paths {
        let Some(kind) = fs::metadata(&path).ok().filter(fs::Metadata::is_file) else {
            continue;
        };
        // Before it is read: its size is what it says, or it is read in vain.
        if usize::try_from(kind.len()).map_or(true, |size| size > left) {
            return Err(IncludeError::TooLarge);
        }
        let text = file(&path)?;
        left = left.checked_sub(text.len()).ok_or(IncludeError::TooLarge)?;
        files.push((name(&path), text));
    }
    Ok(files)
}

fn name(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn include_error(error: &io::Error) -> IncludeError {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidInput => {
            IncludeError::Missing
        }
        _ => IncludeError::Unreadable(error.to_string().to_lowercase()),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::DirectoryIncludes;
    use crate::apparmor::include::{IncludeError, Included, Includes as _};

    fn names(included: Included) -> Vec<String> {
        let last = |name: String| name.rsplit('/').next().unwrap_or_default().to_owned();
        match included {
            Included::Directory(files) => files.into_iter().map(|(name, _)| last(name)).collect(),
            Included::File(name, _) => vec![last(name)],
        }
    }

    #[test]
    fn folders_are_searched_in_order_and_special_files_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = ["first", "second"].map(|name| folder.path().join(name));
        fs::create_dir_all(first.join("d")).unwrap();
        fs::create_dir_all(second.join("d/sub")).unwrap();
        fs::write(first.join("a"), "1").unwrap();
        fs::write(second.join("a"), "2").unwrap();
        fs::write(second.join("b"), "3").unwrap();
        fs::write(first.join("d/20"), "").unwrap();
        fs::write(first.join("d/10.orig"), "").unwrap();
        symlink(second.join("b"), first.join("d/10")).unwrap();
        symlink("/dev/zero", first.join("d/endless")).unwrap();
        symlink("/dev/zero", first.join("endless")).unwrap();
        let includes = DirectoryIncludes::new(vec![first.clone(), second]);
        let read = |path: &str| includes.read(path.as_bytes(), true);
        assert!(matches!(read("a"), Ok(Included::File(_, text)) if text.as_ref() == b"1"));
        assert_eq!(names(read("b").unwrap()), ["b"]);
        assert_eq!(names(read("/d").unwrap()), ["10", "20"]);
        assert_eq!(read("c"), Err(IncludeError::Missing));
        assert!(matches!(read("endless"), Err(IncludeError::Unreadable(_))));
        assert_eq!(includes.read(b"a", false), Err(IncludeError::Missing));
        let plain = first.join("a").into_os_string().into_encoded_bytes();
        assert_eq!(names(includes.read(&plain, false).unwrap()), ["a"]);
    }
}
