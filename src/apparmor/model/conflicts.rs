//! Rules that run one program in two ways, with neither counting more: the parser refuses the profile.

use std::collections::{HashMap, HashSet};

use super::super::ast::RuleMode;
use super::super::automaton::{Automaton, Budget, Exhausted};
use super::super::diagnostic::Diagnostic;
use super::super::source::Span;
use super::{Class, Entry, Policy, Profile, file, permits};

/// What the parser refuses for it, one for each profile.
#[must_use]
pub fn conflicts(policy: &Policy) -> Vec<Diagnostic> {
    let mut budget = Budget::default();
    let mut found = Vec::new();
    for profile in &policy.profiles {
        match conflict(profile, &mut budget) {
            Ok(None) => {}
            Ok(Some((_, span))) => found.push(
                Diagnostic::error(
                    "conflicting-exec",
                    span,
                    "this runs a program, or changes its profile, in another way than a rule above does, and neither counts more",
                )
                .help("name the program's whole path in one of the two: an exact path counts more than a glob; write `unsafe` in all `change_profile` rules about a program, or in none"),
            ),
            Err(_) => {
                let message = "whether rules of this profile run a program in two ways would take too long to tell";
                found.push(Diagnostic::warning("undecided", profile.span, message));
                break;
            }
        }
    }
    found
}

/// The first two rules that are in conflict, if any are. Looks at all programs that rules are about, so it costs about as much as
/// a comparison does.
pub fn conflict(profile: &Profile, budget: &mut Budget) -> Result<Option<(Span, Span)>, Exhausted> {
    if let Some(found) = executions(profile, budget)? {
        return Ok(Some(found));
    }
    changes(profile, budget)
}

/// Rules about programs that are run.
///
/// Those of the same path are in conflict even where a rule that denies counts more (`merge_rules` of the parser).
fn executions(profile: &Profile, budget: &mut Budget) -> Result<Option<(Span, Span)>, Exhausted> {
    let entries: Vec<&Entry> = profile
        .entries
        .get(&Class::File)
        .into_iter()
        .flatten()
        .filter(|entry| entry.permissions & BOTH != 0)
        .collect();
    if all_the_same(&entries) {
        return Ok(None);
    }
    let mut same: HashMap<_, Vec<&Entry>> = HashMap::new();
    for entry in entries.iter().filter(|entry| entry.exec.is_some()) {
        let others = same.entry((&entry.pattern, entry.priority)).or_default();
        budget.step(others.len() + 1)?;
        let clash = others.iter().find(|other| {
            other.permissions & entry.permissions & BOTH != 0 && other.exec != entry.exec
        });
        if let Some(other) = clash {
            return Ok(Some((other.span, entry.span)));
        }
        others.push(entry);
    }
    matching(&entries, budget)
}

/// `change_profile` rules about programs, which agree on the environment, `safe` or `unsafe`. Rules with the same text of program
/// and label are one to the parser, unless one is logged or denies and the other is not; it does not look at the label's first
/// byte (`change_profile unsafe /a -> b,` and `change_profile safe /a -> c,` are in conflict). Others are asked by the strings of
/// program and label.
///
/// LIMIT: denials count for nothing here. Some hide a conflict of others from the parser, depending on how its rules sort.
fn changes(profile: &Profile, budget: &mut Budget) -> Result<Option<(Span, Span)>, Exhausted> {
    let mut same = HashMap::new();
    for change in &profile.changes {
        let label = change.target.get(1..);
        let key = (&change.program, label, change.pair.mode, change.audit);
        let first = *same.entry(key).or_insert(&change.pair);
        if first.exec != change.pair.exec {
            return Ok(Some((first.span, change.pair.span)));
        }
    }
    let pairs = profile.changes.iter().map(|change| &change.pair);
    let permitting: Vec<&Entry> = pairs.filter(|pair| pair.mode != RuleMode::Deny).collect();
    if all_the_same(&permitting) {
        return Ok(None);
    }
    matching(&permitting, budget)
}

/// Bits of programs that are run, in both halves.
const BOTH: u32 = file::EXECUTE | file::EXECUTE << file::OTHER;

/// Whether entries that say how a program is run say the same.
fn all_the_same(entries: &[&Entry]) -> bool {
    let mut execs = entries.iter().filter_map(|entry| entry.exec.as_ref());
    let first = execs.next();
    execs.all(|exec| Some(exec) == first)
}

/// Two that match a common string, and of which neither counts more.
fn matching(entries: &[&Entry], budget: &mut Budget) -> Result<Option<(Span, Span)>, Exhausted> {
    let patterns = entries.iter().map(|entry| (&entry.pattern, 1));
    let mut automaton = Automaton::new(patterns, budget)?;
    let mut known = HashSet::from([automaton.start()]);
    let mut waiting = vec![automaton.start()];
    let bytes: Vec<u8> = {
        let mut seen = HashSet::new();
        (0..=u8::MAX)
            .filter(|&byte| seen.insert(automaton.class(byte)))
            .collect()
    };
    while let Some(state) = waiting.pop() {
        let matched = automaton.accepts(state);
        if let Some((first, second)) = permits(entries, matched).conflict
            && let (Some(first), Some(second)) = (entries.get(first), entries.get(second))
        {
            return Ok(Some((first.span, second.span)));
        }
        for &byte in &bytes {
            let next = automaton.next(state, byte, budget)?;
            if known.insert(next) {
                waiting.push(next);
            }
        }
    }
    Ok(None)
}
