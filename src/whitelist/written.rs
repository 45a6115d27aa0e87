//! Programs that a container puts into folders of PATH itself: `cp /opt/tool /usr/local/bin/`, `cat > /usr/local/bin/tool`.
//!
//! Such a name, started without a path, leads to another file than the image says, or to one that the image lacks.
//!
//! LIMIT: what programs write that are not read, and below paths that are not known, is not seen.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    GapKind,
    closure::{Closure, Origin, Task},
    files::{clean, join},
    list::text,
    locate::absolute,
    script::{Value, folder_of, last_of},
};

/// LIMIT: files written, and names looked for, that are kept.
const MAX_KEPT: usize = 4_000;

/// What is looked for by name, and what is written.
#[derive(Default)]
pub(super) struct Written {
    /// By file, in the folders before that in which the name was found: the name.
    searched: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The folders in which some name was looked for.
    folders: BTreeSet<Vec<u8>>,
    files: Vec<(Vec<u8>, Origin)>,
    /// Folders into which files come whose names are not known.
    any: Vec<(Vec<u8>, Origin)>,
    /// Whether there was more than is kept.
    is_cut: bool,
}

impl Written {
    /// A name was looked for in a folder and is not there.
    pub(super) fn searched(&mut self, folder: &[u8], name: &[u8]) {
        if self.searched.len() < MAX_KEPT {
            self.searched.insert(join(folder, name), name.to_vec());
            self.folders.insert(folder.to_vec());
        } else {
            self.is_cut = true;
        }
    }

    /// A file is written.
    pub(super) fn file(&mut self, path: &[u8], origin: Origin) {
        if self.files.len() < MAX_KEPT {
            self.files.push((path.to_vec(), origin));
        } else {
            self.is_cut = true;
        }
    }

    fn any(&mut self, folder: &[u8], origin: Origin) {
        if self.any.len() < MAX_KEPT {
            self.any.push((folder.to_vec(), origin));
        } else {
            self.is_cut = true;
        }
    }
}

impl Closure<'_> {
    /// What a program writes that copies, links, fetches or unpacks files.
    pub(super) fn puts(&mut self, tool: &[u8], arguments: &[Value], task: &Task) {
        let is_known = |name: &[&[u8]]| name.contains(&tool);
        let copies = is_known(&[b"cp", b"ln", b"mv", b"install", b"rsync", b"link"]);
        let writes = is_known(&[
            b"tee",
            b"curl",
            b"wget",
            b"touch",
            b"dd",
            b"truncate",
            b"mkfifo",
        ]);
        let unpacks = is_known(&[b"tar", b"unzip", b"cpio", b"bsdtar", b"7z", b"busybox"]);
        if !copies && !writes && !unpacks {
            return;
        }
        let paths: Vec<Option<Vec<u8>>> = arguments
            .iter()
            .map(|word| {
                let word = word.bytes()?;
                // `-C/usr/local/bin`, `of=/usr/local/bin/x`, `-o/usr/local/bin/x`
                let at = word.iter().position(|byte| *byte == b'/');
                match (word.first(), at) {
                    (Some(b'-'), Some(at)) => word.get(at..).map(<[u8]>::to_vec),
                    (Some(b'-'), None) => None,
                    _ => absolute(word.strip_prefix(b"of=").unwrap_or(word), &task.directory),
                }
            })
            .collect();
        let folder = task.directory.bytes().map(<[u8]>::to_vec);
        // LIMIT: words of such a command that are taken one by one.
        let has_unknown = paths.len() > 32 || arguments.iter().any(|word| word.bytes().is_none());
        for path in paths.iter().flatten().chain(folder.as_ref()) {
            if writes || copies {
                self.written.file(path, task.origin.clone());
            }
            if unpacks {
                self.written.any(path, task.origin.clone());
            }
            if !copies && !writes {
                continue;
            }
            // Into a folder, under the names that the others have.
            if has_unknown {
                self.written.any(path, task.origin.clone());
            }
            for source in paths.iter().flatten().take(32) {
                self.written
                    .file(&join(path, last_of(source)), task.origin.clone());
            }
        }
    }

    /// A folder without links.
    pub(super) fn real_folder(&self, folder: &[u8]) -> Vec<u8> {
        let found = self.files.resolve(folder);
        found.map_or_else(|_| clean(folder), |found| found.path)
    }

    /// Tells of names that may lead to what the container wrote.
    pub(super) fn tell_written(&mut self) {
        let written = std::mem::take(&mut self.written);
        if written.is_cut {
            let origin = Origin {
                chain: Arc::new(Vec::new()),
                place: None,
                why: String::new(),
            };
            let what = "more files are written, or names looked for, than are followed";
            self.gap(GapKind::Unread, what.to_owned(), &origin);
        }
        for (path, origin) in &written.files {
            let folder = self.real_folder(folder_of(path));
            let path = &join(&folder, last_of(path));
            if let Some(name) = written.searched.get(path) {
                let what = format!(
                    "`{}` is started by its name, and written to `{}`",
                    text(name),
                    text(path)
                );
                self.gap(GapKind::Missing, what, origin);
            }
        }
        for (folder, origin) in &written.any {
            let folder = &self.real_folder(folder);
            if written.folders.contains(folder) {
                let what = format!(
                    "files that are not known are put into `{}`, where programs are looked for",
                    text(folder)
                );
                self.gap(GapKind::Missing, what, origin);
            }
        }
    }
}
