//! Profile files from `--profiles DIR`.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::includes::DirectoryIncludes;
use crate::{
    compare::Baseline,
    verdict::{ProfileTexts, Profiles as _},
};

/// Why the profiles cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum ProfilesError {
    #[error("cannot read {}: {error}", path.display())]
    Read { path: PathBuf, error: io::Error },
    #[error("{} and the files before it are over {} MiB", path.display(), MAX_TOTAL >> 20)]
    TooLarge { path: PathBuf },
}

/// LIMIT: bytes of all profile files together.
const MAX_TOTAL: u64 = 64 << 20;

/// Every profile in every file of these folders, in the order of their names. Sub-folders are not entered: like
/// `/etc/apparmor.d`, they hold parts of profiles. Includes are looked up in the folders themselves, then in those given.
pub(super) fn load(
    folders: &[PathBuf],
    includes: &[PathBuf],
    before: &ProfileTexts,
) -> Result<ProfileTexts, ProfilesError> {
    let mut texts = ProfileTexts::remembering(before);
    let searched = folders.iter().chain(includes).cloned();
    let includes = Arc::new(DirectoryIncludes::beside_default(searched.collect()));
    let mut total = 0_u64;
    for folder in folders {
        for path in files(folder)? {
            let read = |error| ProfilesError::Read {
                path: path.clone(),
                error,
            };
            total = total.saturating_add(fs::metadata(&path).map_err(read)?.len());
            if total > MAX_TOTAL {
                return Err(ProfilesError::TooLarge { path });
            }
            let text = fs::read(&path).map_err(read)?;
            texts.add(&path.display().to_string(), text.into(), includes.clone());
        }
    }
    Ok(texts)
}

/// Compares every profile with every baseline, so that the answers are at hand.
pub(super) fn compare_all(texts: &ProfileTexts, baselines: &[Baseline]) {
    for name in texts.names() {
        for &baseline in baselines {
            texts.comparison(name, baseline);
        }
    }
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, ProfilesError> {
    let read = |error| ProfilesError::Read {
        path: folder.to_owned(),
        error,
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(read)? {
        let path = entry.map_err(read)?.path();
        // Of a mounted ConfigMap this takes the links to its files and leaves its `..data` folders.
        let is_file = fs::metadata(&path).map_err(read)?.is_file();
        if is_file
            && !path
                .file_name()
                .is_some_and(|name| is_left_over(&name.to_string_lossy()))
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Hidden files and what editors and package managers leave behind: `apparmor_parser` skips them too.
fn is_left_over(name: &str) -> bool {
    const ENDINGS: [&str; 8] = [
        "~",
        ".bak",
        ".dpkg-dist",
        ".dpkg-new",
        ".dpkg-old",
        ".orig",
        ".rpmnew",
        ".rpmsave",
    ];
    name.starts_with('.') || name == "README" || ENDINGS.iter().any(|ending| name.ends_with(ending))
}
