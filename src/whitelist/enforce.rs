//! From a list to what its profile is made of: where the image holds code, and what runs without being on the list.
//!
//! A listed program maps its libraries, so those need `m`; a script's interpreter and the dynamic loader are started by the
//! kernel, which asks no profile about them, so they need no rule and must stay what they are.

use std::collections::BTreeSet;

use crate::compare::Baseline;
use crate::image::tree::{Content, ElfKind, Node, Tree};

use super::{
    Code, CodeRule, Listed, Mounts, Name, NameError, Place, ProfileInputs, Program, ProgramName,
    Reason, Slug, Stage, Whitelist, shell::shebang,
};

/// Where distributions keep libraries and nothing that programs write. A folder that is a link is left out: what it leads to
/// counts.
const LIBRARIES: [&[u8]; 10] = [
    b"/lib",
    b"/lib32",
    b"/lib64",
    b"/libx32",
    b"/usr/lib",
    b"/usr/lib32",
    b"/usr/lib64",
    b"/usr/libx32",
    b"/usr/local/lib",
    b"/usr/local/lib64",
];
/// LIMIT: libraries elsewhere that are named one by one; of more, their folders are.
const MAX_FILES: usize = 500;
/// LIMIT: interpreters of interpreters, as in Linux.
const MAX_INTERPRETERS: usize = 5;

/// How a list becomes a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enforcement {
    /// What the profile is called after.
    pub slug: Slug,
    /// The runtime's default that it begins with.
    pub baseline: Baseline,
    /// From where code may be mapped.
    pub code_rule: CodeRule,
    /// What becomes of `CAP_SYS_ADMIN`.
    pub mounts: Mounts,
    /// Whether anything is forbidden yet.
    pub stage: Stage,
    /// Where all of this comes from, a line each.
    pub sources: Vec<String>,
}

impl Whitelist {
    /// What the profile of this list is made of, for the image that it was made for. A program whose name no rule can have is
    /// an error: left out, it would not run, and nobody would know why.
    pub fn enforced(&self, tree: &Tree, how: Enforcement) -> Result<ProfileInputs, NameError> {
        let programs = self.programs.iter().map(|program| {
            Ok(Listed {
                name: name(&program.name)?,
                reasons: program.reasons.iter().map(Reason::to_string).collect(),
            })
        });
        Ok(ProfileInputs {
            slug: how.slug,
            programs: programs.collect::<Result<_, NameError>>()?,
            closed: self.closed(tree)?,
            code: code(tree),
            code_rule: how.code_rule,
            mounts: how.mounts,
            stage: how.stage,
            baseline: how.baseline,
            sources: how.sources,
        })
    }

    /// The first programs, and whatever the kernel itself starts for them and for the listed ones.
    fn closed(&self, tree: &Tree) -> Result<Vec<Name>, NameError> {
        let started = self
            .starts
            .iter()
            .filter_map(|start| start.program.as_ref());
        let listed = self.programs.iter().map(|program: &Program| &program.name);
        let mut closed = BTreeSet::new();
        for program in started.clone() {
            closed.insert(name(program)?);
        }
        for program in started.chain(listed) {
            // What a volume holds is not in the tree.
            let ProgramName::Exact(path) = program else {
                continue;
            };
            for path in interpreters(tree, path) {
                closed.insert(Name::exact(&path)?);
            }
        }
        Ok(closed.into_iter().collect())
    }
}

/// `the entrypoint runs it, at /docker-entrypoint.sh:12`
impl std::fmt::Display for Reason {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.place {
            Some(Place { file, line }) => write!(out, "{}, at {file}:{line}", self.why),
            None => out.write_str(&self.why),
        }
    }
}

fn name(program: &ProgramName) -> Result<Name, NameError> {
    match program {
        ProgramName::ConfigMapFile { mount, file } => Name::projected(mount, file),
        ProgramName::Exact(path) => Name::exact(path),
    }
}

/// What the kernel starts to run a file: interpreters that `#!` names, and the loader of a program that is linked at start.
fn interpreters(tree: &Tree, path: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut path = path.to_vec();
    while found.len() < MAX_INTERPRETERS {
        let Some(Node::File(file)) = tree.node(&path) else {
            break;
        };
        let interpreter = match &file.content {
            Content::Elf(elf) => elf.interpreter.as_deref().map(<[u8]>::to_vec),
            Content::Head(text) | Content::Text(text) => shebang(text).map(|(name, _)| name),
        };
        // A relative one depends on where the process is then.
        let Some(interpreter) = interpreter.filter(|name| name.starts_with(b"/")) else {
            break;
        };
        let Ok(real) = tree.resolve(&interpreter) else {
            break;
        };
        path = real.path;
        found.push(path.clone());
    }
    found
}

/// Where an image holds code: the folders of libraries, and libraries elsewhere. One whose name no rule can have is left out, and
/// so cannot be mapped.
fn code(tree: &Tree) -> Vec<Code> {
    let mut folders: BTreeSet<Vec<u8>> = BTreeSet::new();
    let mut files = Vec::new();
    for (path, node) in tree.iter() {
        if !is_library(&path, node) {
            continue;
        }
        let folder = LIBRARIES.iter().find(|folder| {
            path.strip_prefix(**folder)
                .is_some_and(|rest| rest.starts_with(b"/"))
        });
        match folder {
            Some(folder) => {
                folders.insert(folder.to_vec());
            }
            None => files.push(path),
        }
    }
    if files.len() > MAX_FILES {
        folders.extend(files.drain(..).filter_map(|path| {
            let end = path.iter().rposition(|&byte| byte == b'/')?;
            path.get(..end).map(<[u8]>::to_vec)
        }));
    }
    let named = |path: Vec<u8>| Name::exact(&path).ok();
    let folders = folders.into_iter().filter_map(named).map(Code::Folder);
    let files = files.into_iter().filter_map(named).map(Code::File);
    folders.chain(files).collect()
}

/// Whether a file is one that programs map code from: compiled to be loaded anywhere, and no program. Programs of that kind have
/// an interpreter, or are static and executable; libc is the one library that can be run, and is told by its name.
fn is_library(path: &[u8], node: &Node) -> bool {
    let Node::File(file) = node else {
        return false;
    };
    let Content::Elf(elf) = &file.content else {
        return false;
    };
    let last = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let is_program = elf.interpreter.is_some() || file.is_executable();
    elf.kind == ElfKind::SharedObject && (!is_program || last.contains(&b'.'))
}
