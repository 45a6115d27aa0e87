//! Files by pattern: what a shell's `*` and `find` give, in the files that a container sees.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::atomic::Ordering,
};

use super::{
    MountKind,
    files::{Files, What, components, is_within, join},
    script::{self, FilePattern, Reach, matches},
};

/// LIMIT: files that one pattern names, and names looked at for all patterns together.
const MAX_MATCHES: usize = 256;
const MAX_LOOKED_AT: usize = 200_000;

impl Files<'_> {
    /// Counts a name that is looked at; false where there were too many, or too many files found.
    fn may_look(&self, found: usize) -> bool {
        let looked_at = self.looked_at.fetch_add(1, Ordering::Relaxed);
        let may = looked_at < MAX_LOOKED_AT && found < MAX_MATCHES;
        if !may {
            self.was_cut.store(true, Ordering::Relaxed);
        }
        may
    }

    /// Whether files were left out because there are too many.
    pub(super) fn was_cut(&self) -> bool {
        self.was_cut.load(Ordering::Relaxed)
    }

    /// The files that a pattern names, by their names as the shell would give them.
    pub(super) fn listed(&self, pattern: &FilePattern) -> Vec<Vec<u8>> {
        let mut found: Vec<Vec<u8>> = Vec::new();
        match pattern.reach {
            Reach::Below => {
                let mut folders = VecDeque::from([(pattern.path.to_vec(), 0)]);
                while let Some((folder, depth)) = folders.pop_front() {
                    for name in self.names(&folder) {
                        if !self.may_look(found.len()) {
                            return found;
                        }
                        let path = join(&folder, &name);
                        match self.resolve(&path).map(|found| found.what) {
                            // LIMIT: folders within folders.
                            Ok(What::Directory) if depth < 16 => {
                                folders.push_back((path, depth + 1));
                            }
                            Ok(What::Directory | What::Other) | Err(_) => {}
                            Ok(_) => found.push(path),
                        }
                    }
                }
            }
            Reach::Matching => {
                let mut heads = vec![Vec::new()];
                let parts: Vec<&[u8]> = components(&pattern.path).collect();
                for part in &parts {
                    let mut next = Vec::new();
                    for head in &heads {
                        if !script::is_pattern(part) {
                            let path = join(head, &script::unescaped(part));
                            if self.resolve(&path).is_ok() {
                                next.push(path);
                            }
                            continue;
                        }
                        for name in self.names(head) {
                            // `*` does not match what begins with a dot.
                            let is_hidden =
                                name.first() == Some(&b'.') && part.first() != Some(&b'.');
                            if !is_hidden && matches(part, &name) && self.may_look(next.len()) {
                                next.push(join(head, &name));
                            }
                        }
                    }
                    heads = next;
                }
                found = heads
                    .into_iter()
                    .filter(|path| {
                        !matches!(
                            self.resolve(path).map(|found| found.what),
                            Ok(What::Directory) | Err(_)
                        )
                    })
                    .collect();
            }
        }
        found.retain(|path| {
            pattern
                .filters
                .iter()
                .all(|filters| filters.iter().any(|filter| matches(filter, path)))
        });
        found
    }

    /// The names in a folder, which may be named by a link.
    fn names(&self, folder: &[u8]) -> BTreeSet<Vec<u8>> {
        let Ok(found) = self.resolve(folder) else {
            return BTreeSet::new();
        };
        let mut names = BTreeSet::new();
        if !self.may_look(0) {
            return names;
        }
        let covering = self
            .mounts
            .iter()
            .find(|(mounted, _)| is_within(&found.path, mounted));
        match covering {
            None => names.extend(
                self.tree
                    .children(&found.path)
                    .map(|(name, _)| name.to_vec()),
            ),
            Some((mounted, mount)) => match &mount.kind {
                MountKind::ConfigMap { files: Some(files) } if *mounted == found.path => {
                    names.extend(files.iter().filter_map(|file| {
                        components(file.name.as_bytes()).next().map(<[u8]>::to_vec)
                    }));
                }
                MountKind::Image { tree, sub_path } => {
                    let below = found.path.get(mounted.len()..).unwrap_or_default();
                    let path = [b"/", sub_path.as_bytes(), below].concat();
                    names.extend(tree.children(&path).map(|(name, _)| name.to_vec()));
                }
                _ => {}
            },
        }
        self.looked_at.fetch_add(names.len() / 8, Ordering::Relaxed);
        for (mounted, _) in &self.mounts {
            let below = mounted.strip_prefix(&found.path[..]).unwrap_or_default();
            names.extend(components(below).next().map(<[u8]>::to_vec));
        }
        names
    }
}
