//! The answer: the whitelist with its reasons, what is missing from it, and what it is worth.

use std::fmt::{self, Write as _};

use serde::{Serialize, Serializer};

/// The programs of a container, and how far they are all of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Whitelist {
    /// How far the list can be relied on.
    pub outcome: Outcome,
    /// What runs, and on what occasion.
    pub starts: Vec<Start>,
    /// The programs, in the order of their names.
    pub programs: Vec<Program>,
    /// What could not be told, each with its place.
    pub unknowns: Vec<Gap>,
    /// What was met and is worth knowing, but changes nothing.
    pub notes: Vec<Note>,
    /// What the list still allows, in words.
    pub strength: Vec<Strength>,
}

/// How far a whitelist can be relied on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "camelCase")]
pub enum Outcome {
    /// Everything that was met could be told.
    Complete,
    /// No list can be made that is worth enforcing.
    NotWhitelistable {
        /// Why, one sentence each.
        why: Vec<String>,
    },
    /// There are unknowns: the list is right as far as it goes.
    Partial,
}

/// A program that is executed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Program {
    /// Its name, as the kernel has it.
    pub name: ProgramName,
    /// What it is.
    pub kind: Kind,
    /// What executes it. Never empty.
    pub reasons: Vec<Reason>,
}

/// The name of a program as AppArmor sees it: no link in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProgramName {
    /// A file of a ConfigMap, Secret or projected volume. What a container sees there is a link into a folder with a time in
    /// its name (`AtomicWriter` of the kubelet), so the kernel's name is `MOUNT/..2026_…/FILE`, new with each update.
    ConfigMapFile {
        /// Where the volume is mounted.
        mount: Vec<u8>,
        /// The path of the file in it.
        file: Vec<u8>,
    },
    /// This path.
    Exact(Vec<u8>),
}

/// In words: bytes that are no UTF-8 are shown as `\xNN`.
impl fmt::Display for ProgramName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConfigMapFile { mount, file } => {
                write!(formatter, "{}/..20*/{}", text(mount), text(file))
            }
            Self::Exact(path) => formatter.write_str(&text(path)),
        }
    }
}

impl Serialize for ProgramName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What a program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A compiled program that is linked when it starts.
    Dynamic,
    /// Something in a volume, or of which the image's reader kept nothing.
    Opaque,
    /// A text with `#!`, or none.
    Script,
    /// A compiled program that needs nothing else.
    Static,
}

/// What executes a program.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reason {
    /// In words.
    pub why: String,
    /// The line that names it, where a file does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// How that came to run: from the start on, one step each.
    pub chain: Vec<String>,
}

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// The path of the file, or what holds the text where it is no file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
}

/// Something that could not be told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Gap {
    /// Of what sort it is.
    pub kind: GapKind,
    /// In words.
    pub what: String,
    /// Where, if in a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// How that came to run.
    pub chain: Vec<String>,
}

/// Why something could not be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum GapKind {
    /// Code that is not read: an interpreter's, or a program's that starts others by its configuration.
    Code,
    /// A command whose name depends on what is only known when it runs.
    Dynamic,
    /// Something that is named and is not there.
    Missing,
    /// A volume whose content is not known.
    Volume,
    /// A limit was reached, or a text could not be read.
    Unread,
}

/// Something that was met and changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Note {
    /// In words.
    pub what: String,
    /// Where, if in a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

/// A program that a container's start, a probe or a hook begins with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Start {
    /// The occasion.
    pub kind: StartKind,
    /// The words, as Kubernetes makes them; one that is not known is `None`.
    pub argv: Vec<Option<String>>,
    /// The program that the runtime starts. The kernel does not ask the profile about it: runtimes enter the profile by
    /// change-on-exec, which only the caller's profile is asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub program: Option<ProgramName>,
}

/// `start redis-server --save`
impl fmt::Display for Start {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("start")?;
        for word in &self.argv {
            write!(out, " {}", word.as_deref().unwrap_or("?"))?;
        }
        Ok(())
    }
}

/// When something is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StartKind {
    /// The container itself.
    Container,
    /// `lifecycle.postStart` or `preStop`.
    Hook,
    /// A startup, liveness or readiness probe.
    Probe,
}

/// Something that a list still allows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Strength {
    /// The program that allows it.
    pub program: ProgramName,
    /// What, in words.
    pub allows: String,
}

/// Bytes as text, which stays one line and loses nothing.
pub(super) fn text(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() {
                text.extend(character.escape_default());
            } else {
                text.push(character);
            }
        }
        for byte in chunk.invalid() {
            // Writing to a string does not fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}
