//! Includes: how they are found, and a file with all that it includes.
//!
//! `apparmor_parser` replaces an include by the text it names, once in each scope: one scope for what stands outside of
//! profiles, one for each profile's body without the profiles in it. A file that was included in the scope already is
//! skipped, which also cuts cycles. [`load`] does all of that, in the order of the text and in branches not taken as well:
//! a [`Unit`] is a file at one place where it is included, with the files that its own includes bring at that place, so
//! whoever walks a unit steps into [`Unit::included`] and needs to remember nothing.
//!
//! LIMIT: an include stands between statements and brings whole ones. `apparmor_parser` also takes it between the words of one
//! (`/a include <permissions>`), and half a block; here both are errors.

mod loading;

use std::{collections::BTreeMap, sync::Arc};

pub use loading::{Loaded, Unit, load};

/// LIMIT: bytes of one file.
pub const MAX_FILE: usize = 16 << 20;

/// LIMIT: bytes of all files together.
pub(crate) const MAX_BYTES: usize = 64 << 20;

/// Where included files come from.
pub trait Includes {
    /// What stands at a path, which is looked up in the search path when it is written `<path>`.
    fn read(&self, path: &[u8], searched: bool) -> Result<Included, IncludeError>;
}

/// Files of a folder, by name: their names and texts.
pub type Files = Vec<(String, Arc<[u8]>)>;

/// What an include names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Included {
    /// A folder's files, but for [`is_ignored`] ones.
    Directory(Files),
    /// A file: its name and text. Files of the same name are the same.
    File(String, Arc<[u8]>),
}

/// Why an include cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IncludeError {
    /// There is none of that name.
    Missing,
    /// It is over [`MAX_FILE`], or a folder of more than all files may have together.
    TooLarge,
    /// It is there. Why, in lower case.
    Unreadable(String),
}

/// Nothing to include.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoIncludes;

impl Includes for NoIncludes {
    fn read(&self, _: &[u8], _: bool) -> Result<Included, IncludeError> {
        Err(IncludeError::Missing)
    }
}

/// Files in memory, by their paths as includes write them.
#[derive(Clone, Debug, Default)]
pub struct MapIncludes {
    /// The files' texts. A path that others continue with `/` is a folder, if only by a `/` at its end: so empty ones are told.
    pub files: BTreeMap<String, Arc<[u8]>>,
}

impl Includes for MapIncludes {
    fn read(&self, path: &[u8], _: bool) -> Result<Included, IncludeError> {
        let path = std::str::from_utf8(path).map_err(|_| IncludeError::Missing)?;
        if let Some(text) = self.files.get(path) {
            return Ok(Included::File(path.to_owned(), Arc::clone(text)));
        }
        let folder = format!("{}/", path.trim_end_matches('/'));
        let below = |(name, text): (&String, &Arc<[u8]>)| {
            let rest = name.strip_prefix(&folder)?;
            (!rest.contains('/') && !is_ignored(rest.as_bytes()))
                .then(|| (name.clone(), Arc::clone(text)))
        };
        if !self.files.keys().any(|name| name.starts_with(&folder)) {
            return Err(IncludeError::Missing);
        }
        Ok(Included::Directory(
            self.files.iter().filter_map(below).collect(),
        ))
    }
}

/// Whether a file in an included folder is left out: hidden ones, `README`, and what package managers, patches and editors
/// leave behind.
#[must_use]
pub fn is_ignored(name: &[u8]) -> bool {
    const ENDINGS: [&[u8]; 12] = [
        b".dpkg-bak",
        b".dpkg-dist",
        b".dpkg-new",
        b".dpkg-old",
        b".dpkg-remove",
        b".orig",
        b".pacnew",
        b".pacsave",
        b".rej",
        b".rpmnew",
        b".rpmsave",
        b"~",
    ];
    matches!(name, [] | [b'.', ..] | b"README")
        || ENDINGS.iter().any(|ending| name.ends_with(ending))
}

#[cfg(test)]
mod tests;
