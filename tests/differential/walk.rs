//! A profile's model and its compiled form, walked together: every string that leads somewhere in either is asked of both.

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::{Context as _, Result, bail, ensure};
use armorgate::apparmor::{
    automaton::{Automaton, Budget, StateId},
    model::{
        Class, Entry, ExecTarget, Fallback, Features, Permits, Profile, ProfileMode, file, permits,
    },
};

use crate::compiled::{
    ParserVersion,
    automaton::State,
    permissions::{self, FilePermissions, KERNEL_CHANGE_PROFILE, KERNEL_ON_EXEC},
    profile::{CompiledProfile, Database, Mode},
};

/// How many questions were asked.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count {
    /// Pairs of states, each asked for its permissions.
    pub(crate) states: u64,
    /// Pairs of states and a byte: where it leads.
    pub(crate) steps: u64,
}

/// Compares one profile; the error says where they differ.
pub(crate) fn compare(
    model: &Profile,
    compiled: &CompiledProfile,
    version: ParserVersion,
    count: &mut Count,
) -> Result<()> {
    compare_heads(model, compiled)?;
    compare_attachments(model, compiled, count)?;
    if matches!(
        model.mode,
        ProfileMode::Unconfined | ProfileMode::DefaultAllow
    ) {
        // The kernel mediates nothing then.
        return Ok(());
    }
    let none = Vec::new();
    let entries = |classes: &[Class]| -> Vec<&Entry> {
        let all = classes.iter();
        all.flat_map(|class| model.entries.get(class).unwrap_or(&none))
            .collect()
    };
    let files = entries(&[Class::File]);
    let changes = files
        .iter()
        .any(|entry| entry.permissions & file::ON_EXEC != 0);
    walk(
        &files,
        compiled.file.as_ref(),
        State::START,
        2,
        count,
        |permits, state, place| {
            let mut theirs = compiled.file_permissions_at(state);
            let mut ours = permits.clone();
            if version != ParserVersion::V5_0 {
                // Which `m` an `ix` implies next to other rules is another matter in each version.
                ours.allow &= !(file::MAP | file::MAP << file::OTHER);
                theirs.owner.bits &= !permissions::MMAP;
                theirs.other.bits &= !permissions::MMAP;
            }
            compare_files(ours, theirs, masks(compiled, state), place, changes)
        },
    )
    .context("files")?;
    for (classes, byte) in classes(model.features) {
        let entries = entries(&classes);
        let Some(start) = compiled.class_start(byte) else {
            bail!("class {byte} ({classes:?}) is not mediated");
        };
        walk(
            &entries,
            compiled.policy.as_ref(),
            start,
            byte,
            count,
            |permits, state, place| {
                let theirs = compiled
                    .policy
                    .as_ref()
                    .map_or(0, |policy| policy.mask_at(state));
                compare_masks(byte, kernel_mask(permits.allow), theirs, place)
            },
        )
        .with_context(|| format!("class {byte}"))?;
    }
    for byte in MEDIATED {
        // A kernel asks the newest class of sockets alone.
        let newer = match byte {
            // No kernel knows this class.
            18 => true,
            4 => model.features.network_v8 || model.features.network_v9,
            14 => model.features.network_v9,
            _ => false,
        };
        let known = newer || classes(model.features).any(|(_, class)| class == byte);
        ensure!(
            known || compiled.class_start(byte).is_none(),
            "class {byte} is mediated, by the model it is not"
        );
    }
    Ok(())
}

fn compare_heads(model: &Profile, compiled: &CompiledProfile) -> Result<()> {
    let mode = match model.mode {
        ProfileMode::Complain => Mode::Complain,
        ProfileMode::Unconfined | ProfileMode::DefaultAllow => Mode::Unconfined,
        ProfileMode::Enforce => Mode::Enforce,
        ProfileMode::Kill => Mode::Kill,
        ProfileMode::Prompt => Mode::Prompt,
    };
    ensure!(
        mode == compiled.mode,
        "the mode is {mode:?}, compiled {:?}",
        compiled.mode
    );
    ensure!(
        model.hat == compiled.is_hat,
        "hat: {}, compiled {}",
        model.hat,
        compiled.is_hat
    );
    let namespace = model
        .namespace
        .as_ref()
        .map(|name| String::from_utf8_lossy(name).into_owned());
    ensure!(
        namespace == compiled.namespace,
        "namespace {namespace:?}, compiled {:?}",
        compiled.namespace
    );
    let ours = model.capabilities.permitted() & CAPABILITIES;
    let theirs = compiled.capabilities & CAPABILITIES;
    ensure!(
        ours == theirs,
        "capabilities {ours:#x}, compiled {theirs:#x}"
    );
    Ok(())
}

fn compare_attachments(
    model: &Profile,
    compiled: &CompiledProfile,
    count: &mut Count,
) -> Result<()> {
    ensure!(
        model.attachments.is_empty() == compiled.attachment.is_none(),
        "{} attachments, compiled {}",
        model.attachments.len(),
        if compiled.attachment.is_some() {
            "some"
        } else {
            "none"
        }
    );
    let Some(database) = &compiled.attachment else {
        return Ok(());
    };
    let entries: Vec<Entry> = model
        .attachments
        .iter()
        .map(|pattern| Entry {
            pattern: pattern.clone(),
            exact: false,
            mode: armorgate::apparmor::ast::RuleMode::Allow,
            priority: 0,
            permissions: file::EXECUTE,
            exec: None,
            span: model.span,
        })
        .collect();
    let entries: Vec<&Entry> = entries.iter().collect();
    walk(
        &entries,
        Some(database),
        database.start(),
        2,
        count,
        |permits, state, _| {
            let ours = permits.allow & file::EXECUTE != 0;
            let theirs = database.mask_at(state) & permissions::EXEC != 0;
            ensure!(ours == theirs, "attaches: {ours}, compiled {theirs}");
            Ok(())
        },
    )
    .context("attachment")
}

/// The kernel's masks of a state of files: to the owner, to others.
fn masks(compiled: &CompiledProfile, state: State) -> [u32; 2] {
    compiled
        .file
        .as_ref()
        .map_or([0; 2], |file| file.file_masks_at(state))
}

fn compare_files(
    mut ours: Permits,
    mut theirs: FilePermissions,
    masks: [u32; 2],
    place: Place,
    changes: bool,
) -> Result<()> {
    // No operation is about an empty name, and the parser never permits one.
    if place == Place::Start {
        return Ok(());
    }
    if place.nuls() > 0 && changes {
        // `change_profile` leaves an `x` at the pair of program and label, which no operation asks for.
        for half in [&mut theirs.owner, &mut theirs.other] {
            half.bits &= !(permissions::EXEC | permissions::MMAP);
            half.exec = None;
        }
        let run = file::EXECUTE | file::MAP;
        ours.allow &= !(run | run << file::OTHER);
        ours.exec = [None, None];
        ours.conflict = None;
    }
    ensure!(
        ours.conflict.is_none(),
        "entries {:?} are in conflict, compiled they are not",
        ours.conflict
    );
    for (name, shift, half, exec, mask) in [
        ("owner", 0, &theirs.owner, &ours.exec[0], masks[0]),
        ("other", file::OTHER, &theirs.other, &ours.exec[1], masks[1]),
    ] {
        let bits = ours.allow >> shift & file::HALF;
        ensure!(
            bits == half.bits,
            "{name}: {bits:#09b}, compiled {:#09b}",
            half.bits
        );
        let exec = exec.as_ref().map(|exec| {
            let target = match &exec.target {
                ExecTarget::Child => permissions::ExecTarget::ByChildAttachment,
                ExecTarget::Inherit => permissions::ExecTarget::Inherit,
                ExecTarget::Named(name) => {
                    permissions::ExecTarget::Named(String::from_utf8_lossy(name).into_owned())
                }
                ExecTarget::Profile => permissions::ExecTarget::ByAttachment,
                ExecTarget::Unconfined => permissions::ExecTarget::Unconfined,
            };
            let falls_back = !matches!(
                target,
                permissions::ExecTarget::Inherit | permissions::ExecTarget::Unconfined
            );
            permissions::Exec {
                target,
                inherit_fallback: falls_back && exec.fallback == Fallback::Inherit,
                unconfined_fallback: falls_back && exec.fallback == Fallback::Unconfined,
                unsafe_: exec.keeps_environment,
            }
        });
        ensure!(
            exec == half.exec,
            "{name}: {exec:?}, compiled {:?}",
            half.exec
        );
        for (name, bit, kernel) in [
            (
                "change_profile",
                file::CHANGE_PROFILE,
                KERNEL_CHANGE_PROFILE,
            ),
            ("at exec", file::ON_EXEC, KERNEL_ON_EXEC),
        ] {
            let (ours, theirs) = (ours.allow & bit != 0, mask & kernel != 0);
            ensure!(ours == theirs, "{name}: {ours}, compiled {theirs}");
        }
    }
    Ok(())
}

fn compare_masks(class: u8, mut ours: u32, mut theirs: u32, place: Place) -> Result<()> {
    // The parser marks classes with a bit that no operation asks for there. The second mark is meant for Unix sockets, and
    // misses them: as an escape sequence ends where a digit cannot follow, the family is 0x31.
    let marked = match place {
        Place::Start | Place::StrayMark => true,
        Place::After { .. } | Place::Nowhere => false,
    };
    if marked && (place == Place::Start || matches!(class, 4 | 14 | 15)) {
        ours &= !0x4;
        theirs &= !0x4;
    }
    if class == 7 {
        // `all` permits all at each of these; the kernel asks for one.
        let asked = match place.nuls() {
            0 => 0x4,
            1 => 0x1,
            2 => 0,
            _ => 0x2,
        };
        ours &= asked;
        theirs &= asked;
    }
    if class == 22 {
        // Rules with the same label are merged, and each then is at both. The kernel asks for one.
        let asked = if place == Place::Start { 0x10 } else { 0x8 };
        ours &= asked;
        theirs &= asked;
    }
    ensure!(ours == theirs, "{ours:#x}, compiled {theirs:#x}");
    Ok(())
}

/// Where in a string a pair of states is, as far as it matters what is asked there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Place {
    /// After some bytes, with so many NULs among them; 3 for all above.
    After { nuls: u8 },
    /// In a string that no operation asks for.
    Nowhere,
    /// Before all of it.
    Start,
    /// After NUL and `1`.
    StrayMark,
}

impl Place {
    fn nuls(self) -> u8 {
        match self {
            Self::After { nuls } => nuls,
            Self::Nowhere | Self::Start => 0,
            Self::StrayMark => 1,
        }
    }

    fn next(self, class: u8, first: Option<u8>, byte: u8) -> Self {
        let nuls = self.nuls();
        if class == 7 && nuls == 3 && !(1..=32).contains(&byte) {
            // Options of a mount are these bytes.
            return Self::Nowhere;
        }
        match (self, first, byte) {
            (Self::Nowhere, _, _) => Self::Nowhere,
            (Self::After { .. }, Some(0), b'1') => Self::StrayMark,
            _ => Self::After {
                nuls: (nuls + u8::from(byte == 0)).min(3),
            },
        }
    }
}

/// The parser's bits in the kernel's numbers (`map_other`), without `lock`, which the kernel has in every one.
fn kernel_mask(bits: u32) -> u32 {
    let high = bits >> 14 & 0x7f;
    let high = (high & 0x3) << 8 | (high & 0x1c) << 18 | (high & 0x60) << 19;
    let ends = (bits & 0x1000_0000) >> 1;
    bits & 0x7f | high | ends
}

/// Classes with the byte that the kernel gives them, where a policy mediates them.
fn classes(features: Features) -> impl Iterator<Item = (Vec<Class>, u8)> {
    let network = match (features.network_v9, features.network_v8) {
        (true, _) => Some(15),
        (_, true) => Some(14),
        _ => None,
    };
    let unix = match (features.network_v9_unix, features.network_unix) {
        (true, _) => Some(15),
        (_, true) => Some(network.unwrap_or(4)),
        _ => None,
    };
    let all = [
        (Class::Dbus, features.dbus.then_some(32)),
        (Class::IoUring, features.io_uring.then_some(22)),
        (Class::Mount, features.mount.then_some(7)),
        (Class::Network, network),
        (Class::PosixMqueue, features.posix_mqueue.then_some(17)),
        (Class::Ptrace, features.ptrace.then_some(9)),
        (Class::Signal, features.signal.then_some(10)),
        (Class::SysvMqueue, features.sysv_mqueue.then_some(18)),
        (Class::Unix, unix),
        (Class::Userns, features.userns.then_some(21)),
    ];
    let mut by_byte: BTreeMap<u8, Vec<Class>> = BTreeMap::new();
    for (class, byte) in all {
        if let Some(byte) = byte {
            by_byte.entry(byte).or_default().push(class);
        }
    }
    by_byte.into_iter().map(|(byte, classes)| (classes, byte))
}

/// Walks both automata over all strings, and asks `check` about each pair of states and place once.
fn walk(
    entries: &[&Entry],
    database: Option<&Database>,
    start: State,
    class: u8,
    count: &mut Count,
    mut check: impl FnMut(&Permits, State, Place) -> Result<()>,
) -> Result<()> {
    let mut budget = Budget::default();
    let patterns = entries.iter().map(|entry| (&entry.pattern, 1));
    let mut automaton = Automaton::new(patterns, &mut budget).context("model")?;
    let start = (automaton.start(), start, Place::Start);
    let mut known = HashSet::from([start]);
    // Each with the one that it was reached from, and by which byte.
    let mut reached: Vec<(Reached, usize, u8)> = vec![(start, 0, 0)];
    let mut added: HashMap<Vec<u32>, Permits> = HashMap::new();
    let mut index = 0;
    while let Some(&((ours, theirs, place), before, last)) = reached.get(index) {
        let accepts = automaton.accepts(ours).to_vec();
        let permits = added
            .entry(accepts)
            .or_insert_with_key(|accepts| permits(entries, accepts));
        count.states += 1;
        check(permits, theirs, place)
            .with_context(|| format!("at `{}`", string(&reached, index).escape_ascii()))?;
        ensure!(reached.len() < MAX_STATES, "too many states");
        // The mark's place is after the second byte.
        let first = (before == 0 && index != 0).then_some(last);
        // Bytes of one class lead to one state.
        let mut next: [Option<StateId>; 256] = [None; 256];
        let mut seen = HashSet::new();
        for byte in 0..=u8::MAX {
            let slot = &mut next[usize::from(automaton.class(byte))];
            let ours = match *slot {
                Some(state) => state,
                None => *slot.insert(automaton.next(ours, byte, &mut budget).context("model")?),
            };
            let theirs = database.map_or(State::DEAD, |database| database.step(theirs, byte));
            let place = place.next(class, first, byte);
            count.steps += 1;
            let state = (ours, theirs, place);
            if place != Place::Nowhere && seen.insert(state) && known.insert(state) {
                reached.push((state, index, byte));
            }
        }
        index += 1;
    }
    Ok(())
}

/// A state of the model, one of the compiled form, and where they are.
type Reached = (StateId, State, Place);

fn string(reached: &[(Reached, usize, u8)], mut index: usize) -> Vec<u8> {
    let mut string = Vec::new();
    while index != 0 {
        let (_, before, byte) = reached[index];
        string.push(byte);
        index = before;
    }
    string.reverse();
    string
}

/// Pairs of states of one class; random profiles have some hundreds.
const MAX_STATES: usize = 100_000;
/// Classes of mediation by number, but for those of labels, which no operation asks for.
const MEDIATED: [u8; 12] = [4, 7, 9, 10, 14, 15, 17, 18, 21, 22, 30, 32];
/// Capabilities that have a name.
const CAPABILITIES: u64 = (1 << 41) - 1;
