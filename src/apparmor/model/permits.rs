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
pub fn permissions(entry: &Entry) -> u32 {
    match &entry.exec {
        Some(exec) if implies_map(exec) => {
            let execute = entry.permissions & (file::EXECUTE | file::EXECUTE << file::OTHER);
            entry.permissions | execute * file::MAP
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
