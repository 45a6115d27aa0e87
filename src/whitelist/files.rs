//! The files that a container sees: the image's, with volumes over them.
//!
//! Names are resolved as the kernel does it, links and all, since AppArmor rules match what comes out. What stands in a volume
//! is known where the volume is a readable ConfigMap or an image; elsewhere the name is, and nothing else.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize},
    },
};

use crate::image::tree::{Content, File, Node, Tree};

use super::{
    ConfigFile, GapKind, Mount, MountKind, ProgramName,
    list::text,
    script::{self, FilePattern, Reach, Source, Why, escaped},
};

/// LIMIT: links followed for one name, as in the kernel.
const MAX_LINKS: usize = 40;
/// LIMIT: bytes of a name.
const MAX_PATH: usize = 4096;

/// The files of a container.
pub(super) struct Files<'a> {
    pub(super) tree: &'a Tree,
    pub(super) mounts: Vec<(Vec<u8>, &'a Mount)>,
    /// Names looked at for patterns, of all that are asked for.
    pub(super) looked_at: AtomicUsize,
    pub(super) was_cut: AtomicBool,
}

/// Where a name leads to.
#[derive(Clone, Debug)]
pub(super) struct Found<'a> {
    /// The name without links.
    pub(super) path: Vec<u8>,
    pub(super) what: What<'a>,
}

/// What is found there.
#[derive(Clone, Debug)]
pub(super) enum What<'a> {
    /// A file of a ConfigMap, and where that is mounted; without the folder where the file itself is.
    Config {
        file: &'a ConfigFile,
        mount: Option<Vec<u8>>,
    },
    Directory,
    /// A file of the image, or of an image that is mounted.
    File(&'a File),
    /// Neither a file nor a folder.
    Other,
    /// Something in a volume of which nothing is known.
    Volume(&'a Mount),
}

/// Why a name leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// Too many links, or too long a name.
    Loop,
    Missing,
    /// Something on the way is no folder.
    NotDirectory,
}

impl<'a> Files<'a> {
    pub(super) fn new(tree: &'a Tree, mounts: &'a [Mount]) -> Self {
        let mut mounts: Vec<(Vec<u8>, &Mount)> = mounts
            .iter()
            .map(|mount| (clean(mount.path.as_bytes()), mount))
            .collect();
        // The deepest is the one that is seen; of two at one place the later.
        mounts.reverse();
        mounts.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        Self {
            tree,
            mounts,
            looked_at: AtomicUsize::new(0),
            was_cut: AtomicBool::new(false),
        }
    }

    /// Where an absolute path leads to.
    pub(super) fn resolve(&self, path: &[u8]) -> Result<Found<'a>, Lost> {
        if path.len() > MAX_PATH {
            return Err(Lost::Loop);
        }
        let mut pending: VecDeque<Vec<u8>> = components(path).map(<[u8]>::to_vec).collect();
        let mut here = Vec::new();
        let mut links = 0;
        while let Some(name) = pending.pop_front() {
            if name == b".." {
                here.truncate(parent_length(&here));
                continue;
            }
            let next = [&here[..], b"/", &name].concat();
            match self.entry(&next).ok_or(Lost::Missing)? {
                Entry::Directory => here = next,
                Entry::Link(target) => {
                    links += 1;
                    if links > MAX_LINKS || target.len() > MAX_PATH {
                        return Err(Lost::Loop);
                    }
                    if target.first() == Some(&b'/') {
                        here.clear();
                    }
                    for name in components(target).collect::<Vec<_>>().into_iter().rev() {
                        pending.push_front(name.to_vec());
                    }
                }
                Entry::Volume(mount) => {
                    // What a link in the volume would lead to is not known: this is the name if there is none.
                    let mut path = next;
                    for name in pending {
                        path.push(b'/');
                        path.extend(name);
                    }
                    return Ok(Found {
                        path: clean(&path),
                        what: What::Volume(mount),
                    });
                }
                Entry::File(what) if pending.is_empty() => return Ok(Found { path: next, what }),
                Entry::File(_) => return Err(Lost::NotDirectory),
            }
        }
        if here.is_empty() {
            here.push(b'/');
        }
        Ok(Found {
            path: here,
            what: What::Directory,
        })
    }

    /// What stands under a name literally.
    fn entry(&self, path: &[u8]) -> Option<Entry<'a>> {
        let covering = self
            .mounts
            .iter()
            .find(|(mounted, _)| is_within(path, mounted));
        if let Some((mounted, mount)) = covering {
            let below = path.get(mounted.len()..).unwrap_or_default();
            let below = below.strip_prefix(b"/").unwrap_or(below);
            let inner = match (&mount.kind, below) {
                (MountKind::ConfigMapFile { file }, b"") => Some(match file {
                    Some(file) => Entry::File(What::Config { file, mount: None }),
                    None => Entry::Volume(mount),
                }),
                (MountKind::ConfigMapFile { .. }, _) => None,
                (MountKind::ConfigMap { files: Some(files) }, below) => {
                    config_entry(files, below, mounted)
                }
                (MountKind::Image { tree, sub_path }, below) => {
                    let path = [b"/", sub_path.as_bytes(), b"/", below].concat();
                    // A link at the root of the volume is followed by whoever mounts it.
                    tree.node(&path).map(entry_of)
                }
                // The folder of the mount is there; what is in it is not known.
                (_, b"") => Some(Entry::Directory),
                _ => Some(Entry::Volume(mount)),
            };
            // Folders in which something deeper is mounted are made by the runtime.
            return inner.or_else(|| self.holds_mount(path).then_some(Entry::Directory));
        }
        match self.tree.node(path) {
            Some(node) => Some(entry_of(node)),
            None => self.holds_mount(path).then_some(Entry::Directory),
        }
    }

    fn holds_mount(&self, path: &[u8]) -> bool {
        self.mounts
            .iter()
            .any(|(mounted, _)| mounted.len() > path.len() && is_within(mounted, path))
    }

    /// The mounts at, above or below a folder of which nothing is known: files may be there that are not seen.
    pub(super) fn unknown_mounts(&self, folder: &[u8]) -> Vec<&'a Mount> {
        let folder = self
            .resolve(folder)
            .map_or_else(|_| clean(folder), |found| found.path);
        let mounts = self.mounts.iter().filter(|(mounted, mount)| {
            let opaque = match &mount.kind {
                MountKind::ConfigMap { files } => files.is_none(),
                MountKind::ConfigMapFile { file } => file.is_none(),
                MountKind::EmptyDir | MountKind::Opaque => true,
                MountKind::Image { .. } => false,
            };
            opaque && (is_within(&folder, mounted) || is_within(mounted, &folder))
        });
        mounts.map(|(_, mount)| *mount).collect()
    }

    /// The text of what was found, where it is known.
    pub(super) fn text_of(found: &Found<'a>) -> Source {
        match &found.what {
            What::File(file) => match &file.content {
                Content::Text(text) => Source::Text(Arc::clone(text)),
                Content::Elf(_) => Source::Missing,
                Content::Head(_) => Source::Opaque(
                    GapKind::Unread,
                    Why::new("its text was not kept: it is no script by its name, or too large"),
                ),
            },
            What::Config { file, .. } => match &file.text {
                Some(text) => Source::Text(Arc::from(text.as_slice())),
                None => Source::Opaque(
                    GapKind::Volume,
                    Why::new("a file of a volume that was not read"),
                ),
            },
            What::Volume(mount) => Source::Opaque(GapKind::Volume, Why::new(volume(mount))),
            What::Directory | What::Other => Source::Missing,
        }
    }
}

impl script::Files for Files<'_> {
    fn text(&self, path: &[u8]) -> Source {
        self.resolve(path)
            .map_or(Source::Missing, |found| Files::text_of(&found))
    }

    fn matching(&self, pattern: &FilePattern) -> Vec<Vec<u8>> {
        self.listed(pattern)
    }

    fn real(&self, path: &[u8]) -> Option<Vec<u8>> {
        self.resolve(path).ok().map(|found| found.path)
    }
}

impl Found<'_> {
    /// The name that a rule has to have.
    pub(super) fn name(&self) -> ProgramName {
        match &self.what {
            What::Config {
                file,
                mount: Some(mount),
            } => ProgramName::ConfigMapFile {
                mount: mount.clone(),
                file: file.name.as_bytes().to_vec(),
            },
            What::Volume(mount) if matches!(mount.kind, MountKind::ConfigMap { .. }) => {
                let mount = clean(mount.path.as_bytes());
                let file = self
                    .path
                    .get(mount.len() + 1..)
                    .unwrap_or_default()
                    .to_vec();
                ProgramName::ConfigMapFile { mount, file }
            }
            _ => ProgramName::Exact(self.path.clone()),
        }
    }

    /// Whether `execve` would take it, as far as is known.
    pub(super) fn is_executable(&self) -> bool {
        match &self.what {
            What::Config { file, .. } => file.mode & 0o111 != 0,
            What::Directory | What::Other => false,
            What::File(file) => file.is_executable(),
            What::Volume(_) => true,
        }
    }
}

/// A volume in words.
pub(super) fn volume(mount: &Mount) -> String {
    let what = match mount.kind {
        MountKind::ConfigMap { .. } | MountKind::ConfigMapFile { .. } => {
            "a ConfigMap or Secret that was not read"
        }
        MountKind::EmptyDir => "an emptyDir, which holds what another container puts there",
        MountKind::Image { .. } => "an image",
        MountKind::Opaque => "a volume",
    };
    let access = if mount.read_only {
        ""
    } else {
        " that the container can write to"
    };
    format!("it is in `{}`, {what}{access}", text(mount.path.as_bytes()))
}

/// What a literal name stands for.
enum Entry<'a> {
    Directory,
    File(What<'a>),
    Link(&'a [u8]),
    Volume(&'a Mount),
}

fn entry_of(node: &Node) -> Entry<'_> {
    match node {
        Node::Directory { .. } => Entry::Directory,
        Node::File(file) => Entry::File(What::File(file)),
        Node::Link { target } => Entry::Link(target),
        Node::Other { .. } => Entry::File(What::Other),
    }
}

fn config_entry<'a>(files: &'a [ConfigFile], below: &[u8], mounted: &[u8]) -> Option<Entry<'a>> {
    // Names that the kubelet makes: `..data/FILE` leads to the same file.
    let below = below.strip_prefix(b"..data/").unwrap_or(below);
    if below.is_empty() || below == b"..data" {
        return Some(Entry::Directory);
    }
    for file in files {
        let name = file.name.as_bytes();
        if name == below {
            return Some(Entry::File(What::Config {
                file,
                mount: Some(mounted.to_vec()),
            }));
        }
        if is_within(name, below) {
            return Some(Entry::Directory);
        }
    }
    None
}

/// The names of a path.
pub(super) fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty() && *name != b".")
}

/// A path with neither `.`, `..` nor doubled slashes. No link is looked at.
pub(super) fn clean(path: &[u8]) -> Vec<u8> {
    let mut clean = Vec::new();
    for name in components(path) {
        if name == b".." {
            clean.truncate(parent_length(&clean));
        } else {
            clean.push(b'/');
            clean.extend_from_slice(name);
        }
    }
    clean
}

fn parent_length(path: &[u8]) -> usize {
    path.iter().rposition(|byte| *byte == b'/').unwrap_or(0)
}

pub(super) fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    let folder = folder.strip_suffix(b"/").unwrap_or(folder);
    [folder, b"/", name].concat()
}

/// Whether a path is a folder or below it.
pub(super) fn is_within(path: &[u8], folder: &[u8]) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.is_empty() || rest.first() == Some(&b'/'))
}

/// A pattern for the files of a folder.
pub(super) fn files_in(folder: &[u8], names: &[u8]) -> FilePattern {
    FilePattern {
        path: Arc::from(join(&escaped(folder), names)),
        reach: Reach::Matching,
        filters: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Files, Lost, ProgramName, What, files_in};
    use crate::{
        image::tree::Tree,
        whitelist::{ConfigFile, Mount, MountKind, script::Files as _},
    };

    fn mount(path: &str, kind: MountKind) -> Mount {
        Mount {
            path: path.to_owned(),
            read_only: true,
            kind,
        }
    }

    fn tree() -> Tree {
        Tree::builder()
            .file("/usr/bin/dash", 0o755, b"\x7fELF")
            .link("/bin", "usr/bin")
            .link("/usr/bin/sh", "dash")
            .link("/usr/bin/loop", "/bin/loop")
            .file("/hooks/10-a.sh", 0o755, "#!/bin/sh\n")
            .file("/hooks/.hidden.sh", 0o755, "#!/bin/sh\n")
            .build()
            .unwrap()
    }

    #[test]
    fn links_are_followed_to_the_name_that_the_kernel_has() {
        let tree = tree();
        let files = Files::new(&tree, &[]);
        let path = |name: &str| files.resolve(name.as_bytes()).map(|found| found.path);
        assert_eq!(path("/bin/sh").unwrap(), b"/usr/bin/dash");
        assert_eq!(path("/bin/..//bin/./sh").unwrap(), b"/usr/bin/dash");
        assert_eq!(path("/bin/loop"), Err(Lost::Loop));
        assert_eq!(path("/bin/none"), Err(Lost::Missing));
        assert_eq!(path("/bin/sh/x"), Err(Lost::NotDirectory));
        assert_eq!(path("/").unwrap(), b"/");
    }

    #[test]
    fn volumes_cover_what_is_below_them() {
        let tree = tree();
        let script = ConfigFile {
            name: "run.sh".to_owned(),
            text: Some(b"x".to_vec()),
            mode: 0o755,
        };
        let mounts = [
            mount("/usr", MountKind::Opaque),
            mount(
                "/hooks/",
                MountKind::ConfigMap {
                    files: Some(vec![script]),
                },
            ),
            mount("/made/by/runtime", MountKind::EmptyDir),
        ];
        let files = Files::new(&tree, &mounts);
        let found = files.resolve(b"/bin/sh").unwrap();
        assert!(matches!(found.what, What::Volume(_)));
        assert_eq!(found.path, b"/usr/bin/sh");
        assert!(files.resolve(b"/hooks/10-a.sh").is_err());
        let found = files.resolve(b"/hooks/run.sh").unwrap();
        let expected = ProgramName::ConfigMapFile {
            mount: b"/hooks".to_vec(),
            file: b"run.sh".to_vec(),
        };
        assert_eq!(found.name(), expected);
        assert!(matches!(
            files.resolve(b"/made/by").unwrap().what,
            What::Directory
        ));
        assert_eq!(
            files.matching(&files_in(b"/hooks", b"*")),
            [b"/hooks/run.sh"]
        );
        assert_eq!(files.unknown_mounts(b"/usr/lib").len(), 1);
        assert_eq!(files.unknown_mounts(b"/hooks").len(), 0);
    }

    #[test]
    fn patterns_name_files() {
        let tree = tree();
        let files = Files::new(&tree, &[]);
        assert_eq!(
            files.matching(&files_in(b"/hooks", b"*.sh")),
            [b"/hooks/10-a.sh"]
        );
        assert_eq!(files.matching(&files_in(b"/bin", b"d*")), [b"/bin/dash"]);
    }
}
