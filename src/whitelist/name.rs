//! The names of an image's files as the kernel tells them to AppArmor, and the words that rules have for them.
//!
//! A name is bytes that somebody else chose. A file called `x ux,` with a line break must stay the name of one file, so a word
//! holds nothing but harmless ASCII: every other byte is written as an octal escape, of which the parser leaves a `\` in front
//! of what a pattern would take for something else. What no rule can name is refused here, not written and hoped for.

use std::fmt;

use crate::apparmor::pattern::{ByteSet, Pattern};

/// LIMIT: bytes of a path, as in Linux (`PATH_MAX` without its NUL).
const MAX_PATH: usize = 4095;
/// LIMIT: bytes of a component, as in most file systems (`NAME_MAX`).
const MAX_COMPONENT: usize = 255;

/// The full name of a file or folder without links in it: what the kernel asks AppArmor about. Never `/` itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    components: Vec<Component>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Component {
    /// These bytes.
    Exact(Vec<u8>),
    /// The folder in which a kubelet keeps one version of a projected volume: `..2026_11_22_17_03_04.1234567890`.
    Version,
}

/// A name that no rule can have, or that says nothing about an image's file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// What the kernel calls files without a name: `memfd_create` lets a program choose what follows.
    #[error("`{name}` is what the kernel calls anonymous files: give the file another name")]
    Anonymous {
        /// The name.
        name: String,
    },
    /// `.`, `..`, or nothing between two `/`.
    #[error("`{name}` is no resolved path: leave out `.`, `..` and a `/` that is doubled or last")]
    Component {
        /// The name.
        name: String,
    },
    /// A NUL, which no path has.
    #[error("`{name}` has a NUL in it, which no path can have")]
    Nul {
        /// The name.
        name: String,
    },
    /// Below `/proc` or `/sys`, where a container never has its image's files.
    #[error(
        "`{name}` is below a folder that the kernel fills: a container does not see what an image has there"
    )]
    OfKernel {
        /// The name.
        name: String,
    },
    /// No `/` at the start.
    #[error("`{name}` is no absolute path")]
    Relative {
        /// The name.
        name: String,
    },
    /// `/`: no program, and to close it is to close every file.
    #[error("`/` is every file: name a file or folder in it")]
    Root,
    /// Longer than Linux takes.
    #[error(
        "`{name}`… is longer than a path can be ({MAX_PATH} bytes, {MAX_COMPONENT} for a name in it)"
    )]
    TooLong {
        /// How it begins.
        name: String,
    },
}

impl Name {
    /// Exactly these bytes: an absolute path with all links resolved.
    pub fn exact(path: &[u8]) -> Result<Self, NameError> {
        let name = || shown(path);
        if path.len() > MAX_PATH {
            return Err(NameError::TooLong { name: name() });
        }
        if path.contains(&0) {
            return Err(NameError::Nul { name: name() });
        }
        let below = path
            .strip_prefix(b"/")
            .ok_or_else(|| NameError::Relative { name: name() })?;
        if below.is_empty() {
            return Err(NameError::Root);
        }
        let components = components(below, path)?;
        match components.first() {
            // `memfd:NAME`, which flags of container profiles make a path.
            Some(Component::Exact(first)) if first.starts_with(b"memfd:") => {
                Err(NameError::Anonymous { name: name() })
            }
            Some(Component::Exact(first)) if matches!(first.as_slice(), b"proc" | b"sys") => {
                Err(NameError::OfKernel { name: name() })
            }
            _ => Ok(Self { components }),
        }
    }

    /// A file of a ConfigMap, Secret or projected volume, by the folder where the volume is mounted and the file's path in it.
    ///
    /// What a container sees there is a link through `..data` to a folder with a time in its name, new with each update
    /// (`AtomicWriter` of the kubelet); the kernel tells AppArmor the resolved path.
    pub fn projected(volume: &[u8], file: &[u8]) -> Result<Self, NameError> {
        let mut name = Self::exact(volume)?;
        let below = components(file, file)?;
        name.components.push(Component::Version);
        name.components.extend(below);
        let longest: usize = name.components.iter().map(|part| 1 + part.longest()).sum();
        if longest > MAX_PATH {
            return Err(NameError::TooLong {
                name: shown(volume),
            });
        }
        Ok(name)
    }

    /// Whether it is this folder, or in it at any depth.
    pub(super) fn is_within(&self, folder: &Self) -> bool {
        self.components.starts_with(&folder.components)
    }

    /// The folders above it but for `/`, the nearest last.
    pub(super) fn folders(&self) -> impl Iterator<Item = Self> + '_ {
        (1..self.components.len()).map(|count| Self {
            components: self.components.iter().take(count).cloned().collect(),
        })
    }

    /// The word for it in a rule, followed by a glob of the caller's own.
    pub(super) fn word(&self, glob: &str) -> String {
        let mut word = String::from("\"");
        for component in &self.components {
            word.push('/');
            match component {
                Component::Exact(bytes) => bytes.iter().for_each(|&byte| push(&mut word, byte)),
                Component::Version => word.push_str(VERSION),
            }
        }
        word.push_str(glob);
        word.push('"');
        word
    }

    /// The strings that the word stands for, made without reading the word: what a rule was meant to say.
    pub(super) fn pattern(&self) -> Pattern {
        let (mut parts, literal) = self.parts();
        if parts.is_empty() {
            return Pattern::Literal(literal);
        }
        parts.push(Pattern::Literal(literal));
        Pattern::Concat(parts)
    }

    /// The same of everything in this folder: a `/`, one byte that is none, and then anything, as `/**` is read.
    pub(super) fn pattern_below(&self) -> Pattern {
        let (mut parts, mut literal) = self.parts();
        literal.push(b'/');
        parts.push(Pattern::Literal(literal));
        parts.push(Pattern::Set(ByteSet::NOT_NUL_OR_SLASH));
        parts.push(Pattern::Star(ByteSet::NOT_NUL));
        Pattern::Concat(parts)
    }

    /// What stands before its last literal, and that.
    fn parts(&self) -> (Vec<Pattern>, Vec<u8>) {
        let mut parts: Vec<Pattern> = Vec::new();
        let mut literal = Vec::new();
        for component in &self.components {
            literal.push(b'/');
            match component {
                Component::Exact(bytes) => literal.extend_from_slice(bytes),
                Component::Version => version(&mut parts, &mut literal),
            }
        }
        (parts, literal)
    }
}

impl Component {
    fn longest(&self) -> usize {
        match self {
            Self::Exact(bytes) => bytes.len(),
            Self::Version => MAX_COMPONENT,
        }
    }
}

/// The name as rules have it.
impl fmt::Display for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.word(""))
    }
}

fn components(below: &[u8], path: &[u8]) -> Result<Vec<Component>, NameError> {
    let parts = below.split(|&byte| byte == b'/');
    parts
        .map(|part| match part {
            _ if part.contains(&0) => Err(NameError::Nul { name: shown(path) }),
            b"" | b"." | b".." => Err(NameError::Component { name: shown(path) }),
            _ if part.len() > MAX_COMPONENT => Err(NameError::TooLong { name: shown(part) }),
            _ => Ok(Component::Exact(part.to_vec())),
        })
        .collect()
}

/// LIMIT: bytes of a name that a message shows.
const MAX_SHOWN: usize = 100;

fn shown(name: &[u8]) -> String {
    let start = name.get(..MAX_SHOWN).unwrap_or(name);
    start.escape_ascii().to_string()
}

/// Writes a byte that is to stand for itself, whatever reads it: three octal digits, so that a digit after it is not taken in.
fn push(word: &mut String, byte: u8) {
    if byte.is_ascii_alphanumeric() || b"._-+:=@%~".contains(&byte) {
        word.push(char::from(byte));
        return;
    }
    word.push('\\');
    for shift in [6, 3, 0] {
        word.push(char::from(b'0' + (byte >> shift & 7)));
    }
}

/// Go's `2006_01_02_15_04_05.` and the digits of a folder made by `MkdirTemp`.
const VERSION: &str =
    "..[0-9][0-9][0-9][0-9]_[0-9][0-9]_[0-9][0-9]_[0-9][0-9]_[0-9][0-9]_[0-9][0-9].[0-9]*";

/// The pattern of [`VERSION`]; the literal is what stands before it, and afterwards what begins behind it.
fn version(parts: &mut Vec<Pattern>, literal: &mut Vec<u8>) {
    literal.extend_from_slice(b"..");
    let mut take = |literal: &mut Vec<u8>, digits: usize| {
        parts.push(Pattern::Literal(std::mem::take(literal)));
        parts.extend(std::iter::repeat_n(Pattern::any_of(b"0123456789"), digits));
    };
    take(literal, 4);
    for _ in 0..5 {
        literal.push(b'_');
        take(literal, 2);
    }
    literal.push(b'.');
    take(literal, 1);
    parts.push(Pattern::Star(ByteSet::NOT_NUL_OR_SLASH));
}
