//! What a policy permits: the rules of each profile as the kernel's automata would hold them.
//!
//! Each class of mediation is a set of [`Entry`]s over byte strings; the strings are those that the kernel builds for an
//! operation (security/apparmor in Linux), so a compiled policy and this model answer the same questions.

mod building;
mod conflicts;
mod expression;
mod features;
mod head;
mod lowering;
mod permits;
mod placed;
mod policy;
mod preamble;
pub(crate) mod rules;

pub use building::policy;
pub use conflicts::{conflict, conflicts};
pub use features::Features;
pub(crate) use head::split_namespace;
pub use permits::{Deciding, Permits, deciding, permissions, permits};
pub(crate) use policy::ProfileChange;
pub use policy::{Capabilities, Origin, Policy, Profile, ProfileMode};
pub use rules::{capability::NAMES as CAPABILITIES, file};

use super::ast::RuleMode;
use super::pattern::Pattern;
use super::source::Span;

/// A class of mediation: each has an automaton of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// D-Bus messages, names and eavesdropping.
    Dbus,
    /// Paths, pairs of links, and changes of profile.
    File,
    /// `io_uring` with more than the process's own power.
    IoUring,
    /// Mounts, umounts, and changes of the root.
    Mount,
    /// Sockets by family and type, and addresses.
    Network,
    /// POSIX message queues.
    PosixMqueue,
    /// Tracing and being traced.
    Ptrace,
    /// Signals.
    Signal,
    /// System V message queues.
    SysvMqueue,
    /// Unix sockets by address and peer.
    Unix,
    /// User namespaces.
    Userns,
}

/// One rule as an automaton holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The strings it is about, without the class byte.
    pub pattern: Pattern,
    /// Whether the pattern has neither star nor negated set: such rules decide how a program is run.
    pub exact: bool,
    /// Permits or forbids.
    pub mode: RuleMode,
    /// The greater one decides; at the same, `deny` does.
    pub priority: i32,
    /// Bits of its class.
    pub permissions: u32,
    /// How the program is run, in a file entry with `x` bits.
    pub exec: Option<Exec>,
    /// The rule that it comes from.
    pub span: Span,
}

/// How a program is run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Exec {
    /// Where to.
    pub target: ExecTarget,
    /// Whether the environment stays: `unsafe`, or lower-case first letters.
    pub keeps_environment: bool,
    /// What happens without such a profile.
    pub fallback: Fallback,
}

/// The domain that a program runs in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ExecTarget {
    /// A child profile that attaches to it: `cx`.
    Child,
    /// The same: `ix`.
    Inherit,
    /// The profile with this name, or a stack `&name`: `px -> name`, `cx -> name` as `parent//name`.
    Named(Vec<u8>),
    /// A profile that attaches to it: `px`.
    Profile,
    /// None: `ux`.
    Unconfined,
}

/// What happens when an exec's profile is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fallback {
    /// It is refused.
    Deny,
    /// It runs in the same domain: `pix`, `cix`.
    Inherit,
    /// It runs unconfined: `pux`, `cux`.
    Unconfined,
}
