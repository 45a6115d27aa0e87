//! Permissions in one form, whichever way the policy stores them.

use anyhow::{Context as _, Result, ensure};

use super::{
    automaton::{Automaton, State},
    stream::Stream,
};

/// Bits of [`Half::bits`].
pub(crate) const EXEC: u32 = 1;
pub(crate) const WRITE: u32 = 2;
pub(crate) const READ: u32 = 4;
pub(crate) const APPEND: u32 = 8;
pub(crate) const LINK: u32 = 16;
pub(crate) const LOCK: u32 = 32;
pub(crate) const MMAP: u32 = 64;

/// What a path may be used for, by the owner of the file and by others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FilePermissions {
    pub(crate) owner: Half,
    pub(crate) other: Half,
}

/// One half of it. `exec` is there exactly if the bit [`EXEC`] is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Half {
    pub(crate) bits: u32,
    pub(crate) exec: Option<Exec>,
}

/// How a program is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exec {
    pub(crate) target: ExecTarget,
    /// Stays in the profile when there is no target.
    pub(crate) inherit_fallback: bool,
    /// Runs unconfined when there is no target.
    pub(crate) unconfined_fallback: bool,
    /// The dynamic linker trusts the environment.
    pub(crate) unsafe_: bool,
}

/// Which profile a program gets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum ExecTarget {
    /// The profile attached to the program (`px`).
    ByAttachment,
    /// The child attached to the program (`cx`).
    ByChildAttachment,
    /// The same profile (`ix`).
    Inherit,
    /// This profile (`px -> name`); a namespace in front as in `:namespace:name`.
    Named(String),
    /// None at all, and no fallback: nothing can run.
    Nothing,
    /// No confinement (`ux`).
    Unconfined,
}

/// What a state grants, in the numbers of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Grant {
    pub(crate) allow: u32,
    pub(crate) exec: u32,
}

/// The permissions of the states of one automaton.
#[derive(Debug, Clone)]
pub(crate) enum Permissions {
    /// In the accept tables.
    Packed,
    /// In a table of their own.
    Table {
        entries: Vec<Grant>,
        /// Which states of an automaton about files have two entries.
        pairs: Pairs,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pairs {
    All,
    Flagged,
}

impl Permissions {
    /// Reads the table that comes before an automaton, if one does.
    pub(crate) fn read(stream: &mut Stream<'_>) -> Result<Self> {
        if !stream.open_struct("perms") {
            return Ok(Self::Packed);
        }
        stream
            .optional_u32(Some("version"))?
            .context("a version of permissions")?;
        let length = stream.open_array(None)?.context("permissions")?;
        let entries = (0..length).map(|_| {
            let mut fields = [0; 14];
            for field in &mut fields {
                *field = stream.u32()?;
            }
            let [_, allow, deny, _, _, _, _, _, _, _, _, exec, _, _] = fields;
            Ok(Grant {
                allow: allow & !deny,
                exec,
            })
        });
        let entries = entries.collect::<Result<Vec<Grant>>>()?;
        stream.close_array()?;
        stream.close_struct()?;
        // Early tables have two entries for every state; later ones, which have a version, say where.
        let version = stream.optional_u32(Some("permsv"))?;
        let pairs = if version.is_some_and(|version| version > 2) {
            Pairs::Flagged
        } else {
            Pairs::All
        };
        Ok(Self::Table { entries, pairs })
    }

    /// Every state has an entry, for both halves where it is about files.
    pub(crate) fn verify(&self, automaton: &Automaton, has_owners: bool) -> Result<()> {
        let Self::Table { entries, pairs } = self else {
            return Ok(());
        };
        for (state, &index) in (0..).zip(&automaton.accept) {
            let last = index + u32::from(has_owners && pairs.has(automaton, State(state)));
            ensure!(
                usize::try_from(last)? < entries.len(),
                "state {state} has permissions {last} of {}",
                entries.len()
            );
        }
        Ok(())
    }

    /// What a state of an automaton about files grants: to the owner, to others.
    pub(crate) fn file(&self, automaton: &Automaton, state: State) -> [Grant; 2] {
        let accept = automaton.accept[state.index()];
        match self {
            Self::Packed => [accept & 0x3fff, accept >> 14 & 0x3fff].map(|half| Grant {
                allow: packed_file_allow(half) | packed_shared_allow(accept),
                exec: packed_exec(half),
            }),
            Self::Table { entries, pairs } => {
                let owner = usize::try_from(accept).unwrap_or(usize::MAX);
                let other = owner + usize::from(pairs.has(automaton, state));
                [entries[owner], entries[other]]
            }
        }
    }

    /// What a state of any other automaton grants.
    pub(crate) fn plain(&self, automaton: &Automaton, state: State) -> u32 {
        let accept = automaton.accept[state.index()];
        match self {
            Self::Packed => {
                // What had no room below is where the other half of files is.
                let high = accept >> 14 & 0x7f;
                let high = (high & 0x3) << 8 | (high & 0x1c) << 18 | (high & 0x60) << 19;
                // Where `px` has its fallback, networking says that the rest does not matter.
                let ends = (accept & PACKED_CONTINUE) >> 1;
                accept & 0x7f | high | ends
            }
            // The compiler adds `lock` to every state, the kernel does so for the other form.
            Self::Table { entries, .. } => {
                let index = usize::try_from(accept).unwrap_or(usize::MAX);
                entries[index].allow & !KERNEL_LOCK
            }
        }
    }
}

impl Pairs {
    fn has(self, automaton: &Automaton, state: State) -> bool {
        let flags = automaton.accept2.get(state.index());
        self == Self::All || flags.is_some_and(|flags| flags & ACCEPT_HAS_OWNER != 0)
    }
}

fn packed_file_allow(half: u32) -> u32 {
    let mut allow = half & 0xf;
    if half & READ != 0 {
        allow |= KERNEL_OPEN | KERNEL_GETATTR;
    }
    if half & WRITE != 0 {
        // Create, delete, setattr, chmod, chown.
        allow |= KERNEL_OPEN | 0x10 | 0x20 | 0x100 | 0x1000 | 0x2000;
    }
    let moved = [
        (LINK, KERNEL_LINK),
        (LOCK, KERNEL_LOCK),
        (MMAP, KERNEL_MMAP),
    ];
    for (bit, kernel) in moved {
        if half & bit != 0 {
            allow |= kernel;
        }
    }
    allow
}

fn packed_shared_allow(accept: u32) -> u32 {
    let mut allow = KERNEL_GETATTR;
    if accept & 0x8000_0000 != 0 {
        allow |= KERNEL_CHANGE_PROFILE;
    }
    if accept & 0x4000_0000 != 0 {
        allow |= KERNEL_ON_EXEC;
    }
    allow
}

fn packed_exec(half: u32) -> u32 {
    let flags = [
        (0x80, EXEC_UNCONFINED),
        (0x100, EXEC_UNSAFE),
        (0x200, EXEC_INHERIT),
    ];
    let flags = flags.iter().filter(|(bit, _)| half & bit != 0);
    let flags = flags.fold(0, |flags, (_, flag)| flags | flag);
    flags
        | match half >> 10 & 0xf {
            0 => 0,
            1 => EXEC_UNCONFINED,
            2 => EXEC_NAME,
            3 => EXEC_NAME | EXEC_CHILD,
            index => EXEC_TABLE | (index - 4),
        }
}

impl Half {
    pub(crate) fn new(grant: Grant, names: &[String]) -> Self {
        let mut bits = grant.allow & 0xf;
        let moved = [
            (LINK, KERNEL_LINK),
            (LOCK, KERNEL_LOCK),
            (MMAP, KERNEL_MMAP),
        ];
        for (bit, kernel) in moved {
            if grant.allow & kernel != 0 {
                bits |= bit;
            }
        }
        Self {
            bits,
            exec: (bits & EXEC != 0).then(|| Exec::new(grant.exec, names)),
        }
    }
}

impl Exec {
    fn new(exec: u32, names: &[String]) -> Self {
        let has = |flag| exec & flag != 0;
        let target = match exec & EXEC_TYPE {
            EXEC_NAME if has(EXEC_CHILD) => ExecTarget::ByChildAttachment,
            EXEC_NAME => ExecTarget::ByAttachment,
            EXEC_TABLE => {
                let index = usize::try_from(exec & EXEC_INDEX).unwrap_or(usize::MAX);
                let name = names.get(index).cloned();
                name.map_or(ExecTarget::Nothing, ExecTarget::Named)
            }
            _ if has(EXEC_INHERIT) => ExecTarget::Inherit,
            _ if has(EXEC_UNCONFINED) => ExecTarget::Unconfined,
            _ => ExecTarget::Nothing,
        };
        let has_target = exec & EXEC_TYPE != 0;
        Self {
            target,
            inherit_fallback: has_target && has(EXEC_INHERIT),
            unconfined_fallback: has_target && has(EXEC_UNCONFINED),
            unsafe_: has(EXEC_UNSAFE),
        }
    }
}

const ACCEPT_HAS_OWNER: u32 = 1;
const PACKED_CONTINUE: u32 = 0x1000_0000;

pub(crate) const KERNEL_OPEN: u32 = 0x40;
pub(crate) const KERNEL_GETATTR: u32 = 0x200;
pub(crate) const KERNEL_LOCK: u32 = 0x8000;
pub(crate) const KERNEL_MMAP: u32 = 0x1_0000;
pub(crate) const KERNEL_LINK: u32 = 0x4_0000;
pub(crate) const KERNEL_ON_EXEC: u32 = 0x2000_0000;
pub(crate) const KERNEL_CHANGE_PROFILE: u32 = 0x4000_0000;
/// In the second half of a pair of paths.
pub(crate) const KERNEL_LINK_SUBSET: u32 = KERNEL_LOCK;

const EXEC_INDEX: u32 = 0x00ff_ffff;
const EXEC_TYPE: u32 = 0x0c00_0000;
const EXEC_NAME: u32 = 0x0400_0000;
const EXEC_TABLE: u32 = 0x0800_0000;
pub(crate) const EXEC_UNSAFE: u32 = 0x1000_0000;
const EXEC_CHILD: u32 = 0x2000_0000;
const EXEC_INHERIT: u32 = 0x4000_0000;
const EXEC_UNCONFINED: u32 = 0x8000_0000;
