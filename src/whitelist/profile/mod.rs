//! The whitelist profile: a runtime's default with execution narrowed to a list of programs.
//!
//! The baseline's rules stay word for word, but for `file,`. In its place: every file is data; the listed programs run, in this
//! same profile; files are mapped as code only from where the image holds code; and what runs or is mapped cannot be written,
//! replaced, linked or moved away with a folder above it, so that the list is one of contents and not only of names.
//!
//! Not decided here: what is on the list, and where an image holds code. What no profile can promise is in `docs/whitelist.md`.

mod comment;
mod slug;
mod text;

use sha2::{Digest as _, Sha256};

use crate::{
    compare::{Baseline, Relation},
    image::hex,
};

use super::name::Name;
use super::proof::{ProofError, prove};

pub use slug::Slug;

/// All that shapes a profile. The order of programs, reasons, names and sources does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileInputs {
    /// What it is called after.
    pub slug: Slug,
    /// The programs that may be executed.
    pub programs: Vec<Listed>,
    /// What runs without being on the list, and must stay what it is: the container's first program, interpreters that `#!`
    /// names, the dynamic loader where it is in no folder of code. Linux asks for none of them when a listed program starts.
    pub closed: Vec<Name>,
    /// Where the image holds code.
    pub code: Vec<Code>,
    /// Whether that is the only place to map code from.
    pub code_rule: CodeRule,
    /// Whether mounts, and what makes them, stay possible.
    pub mounts: Mounts,
    /// Whether anything is forbidden yet.
    pub stage: Stage,
    /// The runtime's default that it begins with.
    pub baseline: Baseline,
    /// Where all of this comes from, a line each: the image's digest, the arguments of the container.
    pub sources: Vec<String>,
}

/// A program of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its real path.
    pub name: Name,
    /// Why it is on the list.
    pub reasons: Vec<String>,
}

/// Where an image holds code.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// A library.
    File(Name),
    /// A folder of libraries, at any depth. All that is below it is closed to writing, data too: name files where there is any.
    Folder(Name),
}

/// From where files may be mapped as code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CodeRule {
    /// From everywhere, as the default permits: for programs that write code to a file and load it, as some just-in-time
    /// compilers and languages with packed native libraries do. Whoever can write a file can then load it into a listed program.
    Any,
    /// From where the image holds code. Anonymous memory stays: AppArmor is not asked about it.
    Only,
}

/// What becomes of `CAP_SYS_ADMIN`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mounts {
    /// It is denied. The default denies mounts, but not what this capability does besides: a mount that is taken away, or was
    /// made and never attached, gives every file in it a name from the root of its file system, and so the name of a listed
    /// program to any. A process without the capability gets it in a user namespace of its own, where seccomp lets it make one.
    Closed,
    /// It stays as the default has it, for a container that was given it. Then the list is one of names.
    Open,
}

/// How far a profile goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// It permits what the default does, and every exec is logged.
    Audit,
    /// It forbids what is not on the list.
    Enforce,
}

impl Stage {
    /// The name, as in configuration and objects.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::Enforce => "enforce",
        }
    }
}

/// A profile that was proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneratedProfile {
    /// `armorgate.<slug>.<16 hex>`: the digits are of everything in the text.
    pub name: String,
    /// What `apparmor_parser` reads: ASCII, and no file beside it but the ABI's.
    pub text: String,
    /// To its baseline: stronger or equal.
    pub relation: Relation,
}

/// Why there is no profile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// The text does not say what it should. A mistake of Armorgate's.
    #[error("the generated profile is refused")]
    Proof(#[from] ProofError),
    /// The text is too long to be kept as an object.
    #[error(
        "the profile is over {MAX_TEXT} bytes: list folders of code instead of files, or fewer programs"
    )]
    TooLong,
    /// More than anybody could review.
    #[error("{found} {what} are too many for a profile, at most {MAX_NAMES}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How many there are.
        found: usize,
    },
}

/// Bytes of the digest that the name shows, two digits each.
const HASHED: usize = 8;
/// LIMIT: programs, places of code, and other closed names, each.
const MAX_NAMES: usize = 2_000;
/// LIMIT: bytes of a text; an object of Kubernetes is kept up to 1.5 MiB.
const MAX_TEXT: usize = 1 << 20;

impl ProfileInputs {
    /// Writes the profile under a name that is made of its text, and proves it.
    pub fn generate(&self) -> Result<GeneratedProfile, ProfileError> {
        self.check()?;
        let prefix = format!("armorgate.{}.", self.slug);
        // The name is part of the text: the digits are of a text in which they are missing.
        let digest = Sha256::digest(self.text(&prefix));
        let mut name = prefix;
        let hashed = digest.first_chunk::<HASHED>().unwrap_or(&[0; HASHED]);
        name.extend(hex(hashed).map(char::from));
        self.write(name)
    }

    /// Writes the profile under a name that was given before, and proves it.
    pub(super) fn generate_named(&self, name: &str) -> Result<GeneratedProfile, ProfileError> {
        self.check()?;
        self.write(name.to_owned())
    }

    fn check(&self) -> Result<(), ProfileError> {
        for (what, found) in [
            ("programs", self.programs.len()),
            ("places of code", self.code.len()),
            ("closed names", self.closed.len()),
            ("sources", self.sources.len()),
        ] {
            if found > MAX_NAMES {
                return Err(ProfileError::TooMany { what, found });
            }
        }
        Ok(())
    }

    fn write(&self, name: String) -> Result<GeneratedProfile, ProfileError> {
        let text = self.text(&name);
        if text.len() > MAX_TEXT {
            return Err(ProfileError::TooLong);
        }
        let relation = prove(&text, &name, self)?;
        Ok(GeneratedProfile {
            name,
            text,
            relation,
        })
    }
}

#[cfg(test)]
mod tests;
