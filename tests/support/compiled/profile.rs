//! A profile as the kernel gets it, and what it answers.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};

use super::{
    automaton::{Automaton, State},
    permissions::{
        EXEC, EXEC_UNSAFE, FilePermissions, Grant, Half, KERNEL_CHANGE_PROFILE, KERNEL_LINK,
        KERNEL_LINK_SUBSET, KERNEL_ON_EXEC, Permissions,
    },
    stream::Stream,
};

/// One record of a policy: a profile, a child or a hat.
#[derive(Debug, Clone)]
pub(crate) struct CompiledProfile {
    pub(crate) name: String,
    pub(crate) namespace: Option<String>,
    /// Of the format: kernel's, parser's and policy's, packed.
    pub(crate) version: u32,
    /// Which programs get it on `px`; [`Self::attaches_to`].
    pub(crate) attachment: Option<Database>,
    pub(crate) disconnected_path: Option<String>,
    pub(crate) is_hat: bool,
    pub(crate) mode: Mode,
    pub(crate) audits_all: bool,
    /// 4: attach_disconnected, 8: chroot_relative, 0x10: chroot_attach, 0x1_0000: mediate_deleted.
    pub(crate) path_flags: u32,
    pub(crate) kill_signal: Option<u32>,
    pub(crate) error: Option<u32>,
    /// A bit for each that is allowed.
    pub(crate) capabilities: u64,
    pub(crate) extended_attributes: Vec<String>,
    /// By the number of the resource.
    pub(crate) resource_limits: BTreeMap<u32, u64>,
    /// The kinds of sockets allowed, by family: networking of old kernels.
    pub(crate) socket_kinds: Option<Vec<u16>>,
    /// All but files.
    pub(crate) policy: Option<Database>,
    pub(crate) file: Option<Database>,
    /// What `px -> name` and the like name.
    pub(crate) targets: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Enforce,
    Complain,
    Kill,
    Unconfined,
    Prompt,
}

/// Whether the file belongs to the one who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    Same,
    Other,
}

/// What a pair of a new link and its target may be: for the target's owner, for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LinkPermissions {
    pub(crate) link: [bool; 2],
    /// The link must not be worth more than its target.
    pub(crate) subset: [bool; 2],
}

/// An automaton with the permissions of its states.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    pub(crate) automaton: Automaton,
    permissions: Permissions,
    start: State,
}

impl Database {
    fn read(stream: &mut Stream<'_>, has_owners: bool) -> Result<Option<Self>> {
        let permissions = Permissions::read(stream)?;
        let Some(blob) = stream.blob("aadfa")? else {
            return Ok(None);
        };
        let automaton = Automaton::read(blob)?;
        permissions.verify(&automaton, has_owners)?;
        let start = stream
            .optional_u32(Some("start"))?
            .map_or(State::START, State);
        Ok(Some(Self {
            automaton,
            permissions,
            start,
        }))
    }

    pub(crate) fn start(&self) -> State {
        self.start
    }

    pub(crate) fn step(&self, state: State, byte: u8) -> State {
        self.automaton.step(state, byte)
    }

    /// The kernel's numbers of what a state of [`CompiledProfile::file`] allows: to the owner, to others.
    pub(crate) fn file_masks_at(&self, state: State) -> [u32; 2] {
        self.permissions
            .file(&self.automaton, state)
            .map(|grant| grant.allow)
    }

    /// The kernel's number of what a state of [`CompiledProfile::policy`] allows.
    pub(crate) fn mask_at(&self, state: State) -> u32 {
        self.permissions.plain(&self.automaton, state)
    }
}

impl CompiledProfile {
    pub(crate) fn read(stream: &mut Stream<'_>) -> Result<Self> {
        let version = stream.optional_u32(Some("version"))?;
        let namespace = stream.string(Some("namespace"))?;
        if !stream.open_struct("profile") {
            bail!("unknown item {:?} before a profile", stream.peek_name());
        }
        let name = stream.string(None)?.context("a profile without a name")?;
        let attachment = Database::read(stream, false)?;
        if attachment.is_some() {
            stream.u32()?;
        }
        let disconnected_path = stream.string(Some("disconnected"))?;
        let kill_signal = stream.optional_u32(Some("kill"))?;
        let error = stream.optional_u32(Some("error"))?;
        let flags = flags(stream)?;
        let path_flags = stream.optional_u32(Some("path_flags"))?.unwrap_or(0);
        let capabilities = capabilities(stream)?;
        let extended_attributes = strings(stream, "xattrs")?;
        let resource_limits = resource_limits(stream)?;
        let socket_kinds = socket_kinds(stream)?;
        let mut targets = Vec::new();
        let mut policy = None;
        if stream.open_struct("policydb") {
            policy = Database::read(stream, false)?;
            targets = strings(stream, "xtable")?;
            stream.close_struct()?;
        }
        let file = Database::read(stream, true)?;
        let named = strings(stream, "xtable")?;
        if !named.is_empty() {
            targets = named;
        }
        stream.close_struct()?;
        Ok(Self {
            name: text(name),
            namespace: namespace.map(text),
            version: version.unwrap_or(0),
            attachment,
            disconnected_path: disconnected_path.map(text),
            is_hat: flags[0] & 1 != 0,
            mode: mode(flags[1])?,
            audits_all: flags[2] != 0,
            path_flags,
            kill_signal,
            error,
            capabilities,
            extended_attributes,
            resource_limits,
            socket_kinds,
            policy,
            file,
            targets,
        })
    }

    /// What this path may be used for; directories end in `/`.
    pub(crate) fn file_permissions(&self, path: &[u8]) -> FilePermissions {
        self.file_permissions_at(self.file_state(path))
    }

    pub(crate) fn file_permissions_at(&self, state: State) -> FilePermissions {
        let [owner, other] = self.grants(state);
        FilePermissions {
            owner: Half::new(owner, &self.targets),
            other: Half::new(other, &self.targets),
        }
    }

    /// What the profile says of the pair; [`Self::may_link`] is the whole question.
    pub(crate) fn link(&self, link: &[u8], target: &[u8]) -> LinkPermissions {
        let masks = self
            .grants(self.pair_state(link, target))
            .map(|grant| grant.allow);
        LinkPermissions {
            link: masks.map(|mask| mask & KERNEL_LINK != 0),
            subset: masks.map(|mask| mask & KERNEL_LINK_SUBSET != 0),
        }
    }

    /// Whether the kernel makes the hard link, by all its questions.
    pub(crate) fn may_link(&self, link: &[u8], target: &[u8], owner: Owner) -> bool {
        let half = |state| -> Grant {
            let [same, other] = self.grants(state);
            match owner {
                Owner::Same => same,
                Owner::Other => other,
            }
        };
        let of_link = half(self.file_state(link));
        let of_pair = half(self.pair_state(link, target));
        if of_link.allow & of_pair.allow & KERNEL_LINK == 0 {
            return false;
        }
        if of_pair.allow & KERNEL_LINK_SUBSET == 0 {
            return true;
        }
        let of_target = half(self.file_state(target));
        let is_subset = of_link.allow & !KERNEL_LINK & !of_target.allow == 0;
        let runs_the_same = of_link.allow & EXEC == 0
            || of_link.exec == of_target.exec
            || of_link.exec | EXEC_UNSAFE == of_target.exec;
        is_subset && runs_the_same
    }

    /// Whether a process may move to this label.
    pub(crate) fn change_profile(&self, label: &[u8]) -> bool {
        self.has_file_mask(self.file_state(label), KERNEL_CHANGE_PROFILE)
    }

    /// Whether a process may ask to get this label when it runs a program, whichever.
    pub(crate) fn change_on_exec(&self, label: &[u8]) -> bool {
        self.has_file_mask(self.file_state(label), KERNEL_ON_EXEC)
    }

    /// Whether it then gets it with this program.
    pub(crate) fn on_exec(&self, program: &[u8], label: &[u8]) -> bool {
        self.has_file_mask(self.file_state(program), KERNEL_ON_EXEC)
            && self.has_file_mask(self.pair_state(program, label), KERNEL_ON_EXEC)
    }

    /// Where the strings of a class start; none: the class is not mediated, all is allowed.
    pub(crate) fn class_start(&self, class: u8) -> Option<State> {
        let policy = self.policy.as_ref()?;
        let start = policy.step(policy.start(), class);
        (start != State::DEAD).then_some(start)
    }

    /// The kernel's number of what is allowed of a class other than files, for the string after the class byte; none: the
    /// class is not mediated, all is allowed. Without `lock` (0x8000), which the kernel has in every such number.
    pub(crate) fn class_permissions(&self, class: u8, string: &[u8]) -> Option<u32> {
        let policy = self.policy.as_ref()?;
        let start = self.class_start(class)?;
        Some(policy.mask_at(policy.automaton.run(start, string)))
    }

    pub(crate) fn has_capability(&self, number: u32) -> bool {
        self.capabilities.checked_shr(number).unwrap_or(0) & 1 != 0
    }

    /// Whether `px` to this program finds the profile, extended attributes aside.
    pub(crate) fn attaches_to(&self, program: &[u8]) -> bool {
        self.attachment.as_ref().is_some_and(|attachment| {
            let state = attachment.automaton.run(attachment.start(), program);
            attachment.mask_at(state) & EXEC != 0
        })
    }

    fn file_state(&self, path: &[u8]) -> State {
        self.file
            .as_ref()
            .map_or(State::DEAD, |file| file.automaton.run(file.start(), path))
    }

    fn pair_state(&self, first: &[u8], second: &[u8]) -> State {
        self.file.as_ref().map_or(State::DEAD, |file| {
            let middle = file.step(self.file_state(first), 0);
            file.automaton.run(middle, second)
        })
    }

    fn grants(&self, state: State) -> [Grant; 2] {
        self.file.as_ref().map_or_else(Default::default, |file| {
            file.permissions.file(&file.automaton, state)
        })
    }

    /// Labels have no owner: both halves say the same.
    fn has_file_mask(&self, state: State, mask: u32) -> bool {
        self.grants(state)[1].allow & mask != 0
    }
}

fn flags(stream: &mut Stream<'_>) -> Result<[u32; 3]> {
    if !stream.open_struct("flags") {
        bail!("unknown item {:?} before flags", stream.peek_name());
    }
    let flags = [stream.u32()?, stream.u32()?, stream.u32()?];
    stream.close_struct()?;
    Ok(flags)
}

fn mode(number: u32) -> Result<Mode> {
    Ok(match number {
        0 => Mode::Enforce,
        1 => Mode::Complain,
        2 => Mode::Kill,
        3 => Mode::Unconfined,
        4 => Mode::Prompt,
        _ => bail!("unknown mode {number}"),
    })
}

/// Allowed, audited, quiet, unused; the low halves of all, then the high ones.
fn capabilities(stream: &mut Stream<'_>) -> Result<u64> {
    let low = [stream.u32()?, stream.u32()?, stream.u32()?, stream.u32()?];
    let mut allowed = u64::from(low[0]);
    if stream.open_struct("caps64") {
        let high = [stream.u32()?, stream.u32()?, stream.u32()?, stream.u32()?];
        allowed |= u64::from(high[0]) << 32;
        stream.close_struct()?;
    }
    Ok(allowed)
}

fn strings(stream: &mut Stream<'_>, name: &str) -> Result<Vec<String>> {
    if !stream.open_struct(name) {
        return Ok(Vec::new());
    }
    let length = stream.open_array(None)?.context("an array of strings")?;
    let strings = (0..length).map(|_| {
        let string = stream.string(None)?.context("a string")?;
        // A namespace ends in NUL where the policy has its second colon.
        Ok(text(string).replace('\0', ":"))
    });
    let strings = strings.collect::<Result<Vec<String>>>()?;
    stream.close_array()?;
    stream.close_struct()?;
    Ok(strings)
}

fn resource_limits(stream: &mut Stream<'_>) -> Result<BTreeMap<u32, u64>> {
    let mut limits = BTreeMap::new();
    if stream.open_struct("rlimits") {
        let set = stream.u32()?;
        let length = stream.open_array(None)?.context("an array of limits")?;
        for number in 0..u32::try_from(length)? {
            let limit = stream.u64()?;
            if set >> number & 1 != 0 {
                limits.insert(number, limit);
            }
        }
        stream.close_array()?;
        stream.close_struct()?;
    }
    Ok(limits)
}

fn socket_kinds(stream: &mut Stream<'_>) -> Result<Option<Vec<u16>>> {
    let Some(length) = stream.open_array(Some("net_allowed_af"))? else {
        return Ok(None);
    };
    // Three numbers each.
    let families = (0..length).map(|_| {
        let [allowed, _audited, _quiet] = [stream.u16()?, stream.u16()?, stream.u16()?];
        Ok(allowed)
    });
    let families = families.collect::<Result<Vec<u16>>>()?;
    stream.close_array()?;
    Ok(Some(families))
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}
