//! What the entries that match a string add up to.
//!
//! For each bit the entry with the greatest key decides: its priority first, then `deny` before a permission that names the
//! string exactly, before any other permission, before a prompt (`pri_update_perm` of the parser's `hfa.cc`).

use super::super::ast::RuleMode;
use super::rules::file;
use super::{Entry, Exec, Fallback};

/// The bits of some entries, added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permits {
    /// Permitted.
    pub allow: u32,
    /// How the program is run, for own and for others' files; of file entries.
    pub exec: [Option<Exec>; 2],
    /// Two entries run the program in different ways, and neither counts more: the parser refuses the profile.
    pub conflict: Option<(usize, usize)>,
}

/// Which entry decides a bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deciding {
    /// Its number.
    pub entry: usize,
    /// Whether it permits.
    pub allows: bool,
}

/// Adds up the entries of the numbers.
#[must_use]
pub fn permits(entries: &[&Entry], matched: &[u32]) -> Permits {
    let mut keys = [i32::MIN; 32];
    let mut allow = 0_u32;
    for entry in matched
        .iter()
        .filter_map(|&index| entries.get(index as usize))
    {
        let key = key(entry);
        for (bit, best) in bits(entry.permissions, &mut keys) {
            if key > *best {
                *best = key;
                if entry.mode == RuleMode::Deny {
                    allow &= !bit;
                } else {
                    allow |= bit;
                }
            }
        }
    }
    let mut result = Permits {
        allow,
        ..Permits::default()
    };
    for (half, exec) in [0, file::OTHER].into_iter().zip(&mut result.exec) {
        let bit = file::EXECUTE << half;
        if allow & bit == 0 {
            continue;
        }
        let best = keys.get(half as usize).copied().unwrap_or(i32::MIN);
        let mut decided: Option<(usize, &Exec)> = None;
        for &index in matched {
            let Some(entry) = entries.get(index as usize) else {
                continue;
            };
            if entry.permissions & bit == 0 || key(entry) != best {
                continue;
            }
            if let Some(found) = &entry.exec {
                match decided {
                    None => decided = Some((index as usize, found)),
                    Some((_, first)) if first == found => {}
                    Some((first, _)) => result.conflict = Some((first, index as usize)),
                }
            }
        }
        let map = file::MAP << half;
        let undecided = keys
            .get(map.trailing_zeros() as usize)
            .is_none_or(|&key| key == i32::MIN);
        if undecided && decided.is_some_and(|(_, exec)| implies_map(exec)) {
            result.allow |= map;
        }
        *exec = decided.map(|(_, exec)| exec.clone());
    }
    result
}

/// A program that may run in the same domain may be mapped as well, unless a rule is about mapping it
/// (`add_implied_ix_mmap` of the parser).
fn implies_map(exec: &Exec) -> bool {
    exec.fallback == Fallback::Inherit
}

/// The entry that decides a bit, if any has it.
#[must_use]
pub fn deciding(entries: &[&Entry], matched: &[u32], bit: u32) -> Option<Deciding> {
    let own = deciding_itself(entries, matched, bit);
    if bit & (file::MAP | file::MAP << file::OTHER) == 0 {
        return own;
    }
    own.or_else(|| {
        deciding_itself(entries, matched, bit / file::MAP).filter(|exec| {
            let entry = entries.get(exec.entry);
            exec.allows && entry.is_some_and(|entry| entry.exec.as_ref().is_some_and(implies_map))
        })
    })
}

fn deciding_itself(entries: &[&Entry], matched: &[u32], bit: u32) -> Option<Deciding> {
    matched
        .iter()
        .filter_map(|&index| Some((index as usize, *entries.get(index as usize)?)))
        .filter(|(_, entry)| entry.permissions & bit != 0)
        // Of equals the first in the text.
        .max_by_key(|(index, entry)| (key(entry), std::cmp::Reverse(*index)))
        .map(|(index, entry)| Deciding {
            entry: index,
            allows: entry.mode != RuleMode::Deny,
        })
}

/// The bits that an entry may decide, with those that its exec implies.
#[must_use]
pub fn permissions(entry: &Entry) -> u32 {
    match &entry.exec {
        Some(exec) if implies_map(exec) => {
            let execute = entry.permissions & (file::EXECUTE | file::EXECUTE << file::OTHER);
            entry.permissions | (execute * file::MAP)
        }
        _ => entry.permissions,
    }
}

fn key(entry: &Entry) -> i32 {
    let rank = match entry.mode {
        RuleMode::Deny => 3,
        RuleMode::Allow if entry.exact => 2,
        RuleMode::Allow => 1,
        RuleMode::Prompt => 0,
    };
    entry.priority * 4 + rank
}

fn bits(permissions: u32, keys: &mut [i32; 32]) -> impl Iterator<Item = (u32, &mut i32)> {
    keys.iter_mut()
        .enumerate()
        .map(|(number, key)| (1_u32 << number, key))
        .filter(move |(bit, _)| permissions & bit != 0)
}

#[cfg(test)]
mod tests {
    use super::super::super::ast::RuleMode::{Allow, Deny, Prompt};
    use super::super::super::pattern::Pattern;
    use super::super::super::source::{FileId, Span};
    use super::super::ExecTarget;
    use super::*;

    fn entry(mode: RuleMode, priority: i32, permissions: u32) -> Entry {
        Entry {
            pattern: Pattern::empty(),
            exact: false,
            mode,
            priority,
            permissions,
            exec: None,
            span: Span {
                file: FileId(0),
                start: 0,
                end: 0,
            },
        }
    }

    fn exec(target: ExecTarget, fallback: Fallback) -> Entry {
        Entry {
            exec: Some(Exec {
                target,
                keeps_environment: false,
                fallback,
            }),
            ..entry(Allow, 0, file::EXECUTE)
        }
    }

    fn sum(entries: &[Entry]) -> Permits {
        let entries: Vec<&Entry> = entries.iter().collect();
        let matched: Vec<u32> = (0..).take(entries.len()).collect();
        permits(&entries, &matched)
    }

    #[test]
    fn priority_counts_more_than_deny_and_deny_more_than_allow() {
        for (entries, allow) in [
            (vec![entry(Allow, 0, 6), entry(Deny, 0, 2)], 4),
            (vec![entry(Deny, 0, 2), entry(Allow, 0, 6)], 4),
            (vec![entry(Deny, 0, 2), entry(Allow, 1, 6)], 6),
            (vec![entry(Allow, 0, 6), entry(Deny, -1, 2)], 6),
            (vec![entry(Deny, -1, 4), entry(Prompt, 0, 4)], 4),
            (vec![], 0),
        ] {
            assert_eq!(sum(&entries).allow, allow, "{entries:?}");
        }
    }

    #[test]
    fn programs_that_stay_are_mapped_unless_a_rule_is_about_that() {
        let inherit = || exec(ExecTarget::Inherit, Fallback::Inherit);
        assert_eq!(sum(&[inherit()]).allow, file::EXECUTE | file::MAP);
        let denied = [inherit(), entry(Deny, -1, file::MAP)];
        assert_eq!(sum(&denied).allow, file::EXECUTE);
        let not_run = [inherit(), entry(Deny, 0, file::EXECUTE)];
        assert_eq!(sum(&not_run).allow, 0);
        let other = exec(ExecTarget::Profile, Fallback::Deny);
        assert_eq!(sum(&[other]).allow, file::EXECUTE);
    }

    #[test]
    fn two_ways_to_run_a_program_are_in_conflict_unless_one_is_exact() {
        let inherit = exec(ExecTarget::Inherit, Fallback::Inherit);
        let profile = exec(ExecTarget::Profile, Fallback::Deny);
        let found = sum(&[inherit.clone(), profile.clone()]);
        assert_eq!(found.conflict, Some((0, 1)));
        let exact = Entry {
            exact: true,
            ..profile
        };
        let found = sum(&[inherit, exact.clone()]);
        assert_eq!((found.conflict, &found.exec[0]), (None, &exact.exec));
    }

    #[test]
    fn the_entry_that_decides_is_named() {
        let entries = [
            entry(Allow, 0, 6),
            entry(Deny, 0, 2),
            exec(ExecTarget::Inherit, Fallback::Inherit),
        ];
        let entries: Vec<&Entry> = entries.iter().collect();
        let decides =
            |bit| deciding(&entries, &[0, 1, 2], bit).map(|found| (found.entry, found.allows));
        assert_eq!(decides(4), Some((0, true)));
        assert_eq!(decides(2), Some((1, false)));
        assert_eq!(decides(file::MAP), Some((2, true)));
        assert_eq!(decides(8), None);
    }
}
