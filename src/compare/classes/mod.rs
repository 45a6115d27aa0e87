//! What is asked of each class: the strings of its operations, the bits that count, and how to say it.
//!
//! Files have questions of their own besides ([`super::execs`], [`super::links`]); capabilities are a mask.

mod files;
mod labels;
mod mounts;
mod sockets;

use crate::apparmor::model::{Class, Features};
use crate::apparmor::pattern::ByteSet;

use super::domain::Field;
use super::walk::Early;

pub(super) use files::KNOWN_PATHS;

/// What questions of a kind share.
#[derive(Clone, Copy)]
pub(super) struct Kind {
    /// The class as witnesses name it.
    pub(super) name: &'static str,
    /// The entries that are asked.
    pub(super) class: Class,
    /// Whether a policy of these features has the class; whatever it does not have is permitted.
    pub(super) mediated: fn(Features) -> bool,
    /// A string for people. The second argument is the name of the profile that is asked.
    pub(super) describe: fn(&[u8], &[u8]) -> String,
}

/// A kind of question.
pub(super) struct Query {
    /// What it is about.
    pub(super) kind: Kind,
    /// The strings.
    pub(super) fields: fn() -> Vec<Field>,
    /// The bits that count, with what they permit; the gravest first.
    pub(super) bits: &'static [(u32, &'static str)],
    /// Where the kernel asks for the beginning first.
    pub(super) early: Option<Early>,
    /// Of which policies.
    pub(super) asked: Asked,
}

impl Kind {
    const fn query(
        self,
        fields: fn() -> Vec<Field>,
        bits: &'static [(u32, &'static str)],
    ) -> Query {
        Query {
            kind: self,
            fields,
            bits,
            early: None,
            asked: Asked::Always,
        }
    }
}

impl Query {
    const fn early(self, early: Early) -> Self {
        Self {
            early: Some(early),
            ..self
        }
    }

    const fn asked(self, asked: Asked) -> Self {
        Self { asked, ..self }
    }

    /// All bits that count.
    pub(super) fn mask(&self) -> u32 {
        self.bits.iter().fold(0, |mask, (bit, _)| mask | bit)
    }

    /// The bits that rules are looked at for: also the one without which the kernel does not go on.
    pub(super) fn bits_asked(&self) -> u32 {
        let goes_on = self.early.and_then(|early| early.goes_on);
        self.mask() | goes_on.unwrap_or(0)
    }

    /// What bits permit, the gravest first.
    pub(super) fn operations(&self, bits: u32) -> Vec<&'static str> {
        let mut names: Vec<&'static str> = Vec::new();
        for (bit, name) in self.bits {
            if bits & bit != 0 && !names.contains(name) {
                names.push(name);
            }
        }
        names
    }
}

/// All questions.
pub(super) fn queries() -> impl Iterator<Item = &'static Query> {
    let classes = [
        files::QUERIES,
        sockets::QUERIES,
        labels::QUERIES,
        mounts::QUERIES,
    ];
    classes.into_iter().flatten()
}

/// Of which policies a question is asked: some know addresses of sockets, others only their families.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Of all.
    Always,
    /// Where neither of two knows addresses.
    Coarsely,
    /// Where one of them does.
    InDetail,
}

impl Asked {
    /// Whether it is asked of two policies.
    pub(super) fn of(self, first: Features, second: Features) -> bool {
        let detailed = |features: Features| features.network_v8_inet;
        match self {
            Self::Always => true,
            Self::Coarsely => !detailed(first) && !detailed(second),
            Self::InDetail => detailed(first) || detailed(second),
        }
    }
}

fn always(_: Features) -> bool {
    true
}

const ANY: Field = Field::Byte(ByteSet::ALL);

/// A string for people: hostile bytes are escaped where it is printed.
fn text(string: &[u8]) -> String {
    String::from_utf8_lossy(string).into_owned()
}

/// The other side of something.
pub(super) fn peer(label: &[u8], own: &[u8]) -> String {
    if label == own {
        "its own profile".into()
    } else {
        format!("profile {}", text(label))
    }
}
