//! Which domains programs move to, side by side: for each way in which the first side runs a program, what the second does with
//! the same program.

use crate::apparmor::automaton::{Automaton, Budget, Exhausted, Set, StateId};
use crate::apparmor::model::{Exec, ExecTarget, Fallback, Policy, Profile, file};
use crate::apparmor::pattern::Pattern;
use crate::apparmor::source::Span;

use super::domain::{Domain, Field, Names, Place};
use super::moves::Target;
use super::side::{At, Side, distinct_bytes};

/// A program, and where each side goes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ExecMove {
    /// The shortest path of such a program.
    pub(super) path: Vec<u8>,
    /// The domains that the first side may go to.
    pub(super) first: Vec<Target>,
    /// The same of the second; empty where it refuses.
    pub(super) second: Vec<Target>,
    /// The rule of the first side.
    pub(super) rule: Option<Span>,
}

/// A profile with its policy.
#[derive(Clone, Copy)]
pub(super) struct InPolicy<'a> {
    pub(super) policy: &'a Policy,
    pub(super) profile: &'a Profile,
}

const EXECUTE: u32 = file::EXECUTE | file::EXECUTE << file::OTHER;

/// Finds all pairs of moves. Programs that the second side does not run at all are not among them: that is a difference in
/// permissions.
pub(super) fn exec_moves(
    first: InPolicy<'_>,
    second: InPolicy<'_>,
    budget: &mut Budget,
) -> Result<Vec<ExecMove>, Exhausted> {
    let only_inherits = |side: InPolicy<'_>| {
        file_entries(side.profile).all(|entry| {
            entry
                .exec
                .as_ref()
                .is_none_or(|exec| exec.target == ExecTarget::Inherit)
        })
    };
    if only_inherits(first) && only_inherits(second) {
        return Ok(Vec::new());
    }
    let mut walk = Walk {
        first: Runner::new(first, budget)?,
        second: Runner::new(second, budget)?,
        domain: Domain::new(vec![Field::Path], &Names::default()),
    };
    walk.run(budget)
}

fn file_entries(profile: &Profile) -> impl Iterator<Item = &crate::apparmor::model::Entry> {
    profile
        .entries
        .get(&crate::apparmor::model::Class::File)
        .into_iter()
        .flatten()
}

/// One side: how it runs programs, and which profiles attach to them.
struct Runner<'a> {
    place: InPolicy<'a>,
    side: Side<'a>,
    attachments: Automaton,
    /// The profile of each pattern, and whether the pattern is a single path.
    owners: Vec<(usize, bool)>,
}

impl<'a> Runner<'a> {
    fn new(place: InPolicy<'a>, budget: &mut Budget) -> Result<Self, Exhausted> {
        let side = Side::new(file_entries(place.profile), EXECUTE, budget)?;
        let mut owners = Vec::new();
        let mut patterns = Vec::new();
        for (index, profile) in place.policy.profiles.iter().enumerate() {
            let child = profile.parent.as_ref() == Some(&place.profile.name);
            let near = profile.namespace == place.profile.namespace;
            if near && (profile.parent.is_none() || child) {
                // A child without an attachment attaches to its own name.
                for pattern in &profile.attachments {
                    owners.push((index, matches!(pattern, Pattern::Literal(_))));
                    patterns.push(pattern);
                }
            }
        }
        let attachments = Automaton::new(patterns.into_iter().map(|pattern| (pattern, 1)), budget)?;
        Ok(Self {
            place,
            side,
            attachments,
            owners,
        })
    }

    /// Where a program goes: none where it is refused.
    fn targets(&self, exec: &Exec, attached: StateId) -> Vec<Target> {
        let InPolicy {
            policy,
            profile: from,
        } = self.place;
        let fallback = || match exec.fallback {
            Fallback::Deny => Vec::new(),
            Fallback::Inherit => vec![Target::Same],
            Fallback::Unconfined => vec![Target::Unconfined],
        };
        let matching = |child: bool| {
            self.attachments
                .accepts(attached)
                .iter()
                .filter_map(|&index| self.owners.get(index as usize).copied())
                .filter(|&(index, _)| {
                    policy
                        .profiles
                        .get(index)
                        .is_some_and(|profile| profile.parent.is_some() == child)
                })
                .collect::<Vec<_>>()
        };
        match &exec.target {
            ExecTarget::Inherit => vec![Target::Same],
            ExecTarget::Unconfined => vec![Target::Unconfined],
            // A stack is put on whatever attaches, or on nothing at all, and permits no more than what is named (seen:
            // `attached//&name`, `name//&unconfined`). With `pix` it is put on this profile where nothing attaches, and then
            // permits no more than this one (`x_to_label` in Linux looks for an attachment first).
            ExecTarget::Named(name) if name.starts_with(b"&") => {
                let named = Target::named(policy, from, name.get(1..).unwrap_or_default());
                match exec.fallback {
                    Fallback::Inherit => vec![named, Target::Same],
                    Fallback::Deny | Fallback::Unconfined => vec![named],
                }
            }
            ExecTarget::Named(name) => match Target::named(policy, from, name) {
                found @ (Target::Profile(_) | Target::Same) => vec![found],
                unknown => std::iter::once(unknown).chain(fallback()).collect(),
            },
            ExecTarget::Child => {
                let children: Vec<Target> = matching(true)
                    .into_iter()
                    .map(|(index, _)| Target::Profile(index))
                    .collect();
                if children.is_empty() {
                    fallback()
                } else {
                    children
                }
            }
            ExecTarget::Profile => {
                // A path named exactly is the best match there is; of globs another profile on the node may have a better.
                match matching(false).into_iter().find(|&(_, exact)| exact) {
                    Some((index, _)) => vec![Target::Profile(index)],
                    None => std::iter::once(Target::Attached)
                        .chain(fallback())
                        .collect(),
                }
            }
        }
    }
}

struct Walk<'a> {
    first: Runner<'a>,
    second: Runner<'a>,
    domain: Domain,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    place: Place,
    first: At,
    second: At,
    attached: StateId,
    attached_second: StateId,
}

impl Walk<'_> {
    fn run(&mut self, budget: &mut Budget) -> Result<Vec<ExecMove>, Exhausted> {
        let bytes = self.bytes(
            &[&self.first.side, &self.second.side],
            &[&self.first.attachments, &self.second.attachments],
            budget,
        )?;
        let start = Key {
            place: Place::START,
            first: self.first.side.start(),
            second: self.second.side.start(),
            attached: self.first.attachments.start(),
            attached_second: self.second.attachments.start(),
        };
        let mut nodes = vec![(start, 0, 0_u8)];
        let mut seen = Set::from_iter([start]);
        let mut moves: Vec<ExecMove> = Vec::new();
        let mut known = Set::default();
        let mut current = 0;
        while let Some(&(key, ..)) = nodes.get(current) {
            if self.domain.ends(key.place) {
                for (half, bit) in [file::EXECUTE, file::EXECUTE << file::OTHER]
                    .into_iter()
                    .enumerate()
                {
                    let Some((first, second)) = self.moves(key, half, bit) else {
                        continue;
                    };
                    if known.insert((first.clone(), second.clone())) {
                        moves.push(ExecMove {
                            path: path(&nodes, current),
                            first,
                            second,
                            rule: self
                                .first
                                .side
                                .deciding(key.first, bit)
                                .map(|(entry, _)| entry.span),
                        });
                    }
                }
            }
            for &byte in &bytes {
                let Some(place) = self.domain.next(key.place, byte) else {
                    continue;
                };
                let first = self.first.side.next(key.first, byte, budget)?;
                // Nothing of the first side is run from here on.
                if self.first.side.may_permit(first) & EXECUTE == 0 {
                    continue;
                }
                let attached_second = key.attached_second;
                let next = Key {
                    place,
                    first,
                    second: self.second.side.next(key.second, byte, budget)?,
                    attached: self.first.attachments.next(key.attached, byte, budget)?,
                    attached_second: self
                        .second
                        .attachments
                        .next(attached_second, byte, budget)?,
                };
                if seen.insert(next) {
                    budget.keep(2 * size_of::<Key>() + 32)?;
                    nodes.push((next, current, byte));
                }
            }
            current += 1;
        }
        Ok(moves)
    }

    /// Where both sides go with a program; none if one of them does not run it, or both stay.
    fn moves(&mut self, key: Key, half: usize, bit: u32) -> Option<(Vec<Target>, Vec<Target>)> {
        let permits = self.first.side.permits(key.first);
        if permits.allow & bit == 0 {
            return None;
        }
        let exec = permits.exec.get(half)?.clone()?;
        let first = self.first.targets(&exec, key.attached);
        let permits = self.second.side.permits(key.second);
        if permits.allow & bit == 0 {
            return None;
        }
        let exec = permits.exec.get(half)?.clone()?;
        let second = self.second.targets(&exec, key.attached_second);
        (first != [Target::Same] || second != [Target::Same]).then_some((first, second))
    }

    fn bytes(
        &self,
        sides: &[&Side<'_>],
        attachments: &[&Automaton],
        budget: &mut Budget,
    ) -> Result<Vec<u8>, Exhausted> {
        // Those that tell the sides apart, and for each of them those that tell attachments apart.
        let readable = distinct_bytes(&self.domain, sides, budget)?;
        let mut seen: Set<(Vec<u8>, u8)> = Set::default();
        let tells_apart = |byte: u8| {
            let sides = sides.iter().map(|side| side.class(byte));
            let attachments = attachments.iter().map(|automaton| automaton.class(byte));
            // The domain tells these apart itself.
            let special = if b"\0/.".contains(&byte) { byte } else { b'a' };
            (sides.chain(attachments).collect(), special)
        };
        Ok(readable
            .into_iter()
            .chain(0..=u8::MAX)
            .filter(|&byte| seen.insert(tells_apart(byte)))
            .collect())
    }
}

fn path(nodes: &[(Key, usize, u8)], current: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut at = current;
    while let Some(&(_, parent, byte)) = nodes.get(at).filter(|_| at != 0) {
        bytes.push(byte);
        at = parent;
    }
    bytes.reverse();
    bytes
}
