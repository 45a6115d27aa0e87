//! The relation of two policies: every domain that a process of the one can reach, beside where the other's would be.

mod evidence;
mod query;
mod transitions;

pub(super) use query::preferred;

use std::collections::{BTreeSet, VecDeque};

use crate::apparmor::ast::RuleMode;
use crate::apparmor::automaton::{Budget, Exhausted};
use crate::apparmor::model::{Class, Entry, Policy, Profile, ProfileMode, file};
use crate::apparmor::source::Sources;

use super::classes::queries;

use super::domain::Names;
use super::links::{LinkSides, unconditional_links};
use super::side::Side;
use super::witness::{Move, Witness};
use super::yardstick::{Learned, Yardstick};

/// What a candidate permits, seen from a baseline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Relation {
    /// The same.
    Equal,
    /// Something that the baseline forbids, and it forbids something that the baseline permits.
    Incomparable,
    /// Less.
    Stronger,
    /// It could not be decided.
    Unknown {
        /// Why, as the end of a sentence.
        why: String,
    },
    /// All that the baseline permits, and more. Also where it permits more and what it forbids could not be decided.
    Weaker,
}

impl Relation {
    /// The word for it.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::Incomparable => "incomparable",
            Self::Stronger => "stronger",
            Self::Unknown { .. } => "unknown",
            Self::Weaker => "weaker",
        }
    }
}

/// A profile that is compared.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// All profiles of its text.
    pub policy: &'a Policy,
    /// Its text.
    pub sources: &'a Sources,
    /// Which one it is.
    pub profile: &'a Profile,
}

/// What a comparison found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// The relation of the candidate to the baseline.
    pub relation: Relation,
    /// What the candidate permits and the baseline does not: one for each cause, at most [`MAX_WITNESSES`].
    pub witnesses: Vec<Witness>,
    /// One thing that the baseline permits and the candidate does not.
    pub stricter: Option<Witness>,
}

/// LIMIT: witnesses of a comparison.
pub const MAX_WITNESSES: usize = 64;
const LINKS: u32 = file::LINK | file::LINK << file::OTHER;
/// LIMIT: pairs of domains.
const MAX_PAIRS: usize = 1_000;

/// Compares a candidate with a baseline.
#[must_use]
pub fn compare(candidate: Subject<'_>, baseline: Subject<'_>) -> Comparison {
    both_ways(candidate.into(), baseline.into(), &mut Budget::default())
}

/// Compares a candidate with a baseline that is known already, with what is left of a budget for several comparisons.
#[must_use]
pub fn compare_within(
    candidate: Subject<'_>,
    baseline: &Yardstick,
    budget: &mut Budget,
) -> Comparison {
    both_ways(candidate.into(), baseline.party(), budget)
}

fn both_ways(candidate: Party<'_>, baseline: Party<'_>, budget: &mut Budget) -> Comparison {
    let more = Difference::new(candidate, baseline, MAX_WITNESSES, budget).find();
    let mut less = Difference::new(baseline, candidate, 1, budget);
    less.trusts_unknown = true;
    let less = less.find();
    let relation = match (&more, &less) {
        (Err(why), _) => Relation::Unknown { why: why.clone() },
        (Ok(more), Err(why)) if more.is_empty() => Relation::Unknown { why: why.clone() },
        (Ok(more), Ok(less)) => match (more.is_empty(), less.is_empty()) {
            (true, true) => Relation::Equal,
            (true, false) => Relation::Stronger,
            (false, true) => Relation::Weaker,
            (false, false) => Relation::Incomparable,
        },
        (Ok(_), Err(_)) => Relation::Weaker,
    };
    Comparison {
        relation,
        witnesses: more.unwrap_or_default(),
        stricter: less.unwrap_or_default().into_iter().next(),
    }
}

/// A profile of a comparison, with what is known of it beforehand.
#[derive(Clone, Copy)]
pub(super) struct Party<'a> {
    pub(super) subject: Subject<'a>,
    pub(super) learned: Option<&'a Learned>,
}

impl<'a> From<Subject<'a>> for Party<'a> {
    fn from(subject: Subject<'a>) -> Self {
        Self {
            subject,
            learned: None,
        }
    }
}

impl<'a> Party<'a> {
    /// What is known of one of the profiles of its text.
    fn learned(&self, profile: &Profile) -> Option<&'a Learned> {
        self.learned
            .filter(|_| std::ptr::eq(profile, self.subject.profile))
    }
}

/// What the first permits and the second does not.
struct Difference<'a, 'b> {
    parties: (Party<'a>, Party<'a>),
    first: Subject<'a>,
    second: Subject<'a>,
    limit: usize,
    /// A profile whose rules are not known counts as one that permits all, on the second side.
    trusts_unknown: bool,
    budget: &'b mut Budget,
    witnesses: Vec<Witness>,
    pairs: VecDeque<Pair>,
    seen: BTreeSet<(usize, usize)>,
    /// There are more of them than are looked at.
    too_many: bool,
}

/// Two domains that the same steps lead to.
#[derive(Clone)]
struct Pair {
    first: usize,
    second: usize,
    moves: Vec<Move>,
}

impl<'a, 'b> Difference<'a, 'b> {
    fn new(first: Party<'a>, second: Party<'a>, limit: usize, budget: &'b mut Budget) -> Self {
        Self {
            parties: (first, second),
            first: first.subject,
            second: second.subject,
            limit,
            trusts_unknown: false,
            budget,
            witnesses: Vec::new(),
            pairs: VecDeque::new(),
            seen: BTreeSet::new(),
            too_many: false,
        }
    }

    fn find(mut self) -> Result<Vec<Witness>, String> {
        let index = |subject: Subject<'_>| {
            subject
                .policy
                .profiles
                .iter()
                .position(|profile| std::ptr::eq(profile, subject.profile))
        };
        let (Some(first), Some(second)) = (index(self.first), index(self.second)) else {
            return Err("a profile is not in its own text".into());
        };
        self.push(first, second, Vec::new());
        while let Some(pair) = self.pairs.pop_front() {
            match self.pair(&pair) {
                Ok(()) => {}
                // What was found before stays found.
                Err(_) if !self.witnesses.is_empty() => break,
                Err(why) => return Err(why),
            }
            if self.witnesses.len() >= self.limit {
                break;
            }
        }
        // Of those that were looked at one may be weak, and that is an answer.
        if self.too_many && self.witnesses.is_empty() {
            return Err(format!("it can reach more than {MAX_PAIRS} profiles"));
        }
        self.witnesses.truncate(self.limit);
        evidence::sort(&mut self.witnesses);
        Ok(self.witnesses)
    }

    fn push(&mut self, first: usize, second: usize, moves: Vec<Move>) {
        if self.seen.len() >= MAX_PAIRS {
            self.too_many |= !self.seen.contains(&(first, second));
        } else if self.seen.insert((first, second)) {
            self.pairs.push_back(Pair {
                first,
                second,
                moves,
            });
        }
    }

    fn pair(&mut self, pair: &Pair) -> Result<(), String> {
        let (Some(first), Some(second)) = (
            self.first.policy.profiles.get(pair.first),
            self.second.policy.profiles.get(pair.second),
        ) else {
            return Ok(());
        };
        if permits_everything(second.mode) {
            return Ok(());
        }
        if let Some(why) = other_paths(first, second) {
            return Err(why);
        }
        if permits_everything(first.mode) {
            self.mode(pair, first);
        }
        self.capabilities(pair, first, second);
        let names = self.names(first, second);
        for (number, query) in queries().enumerate() {
            if self.witnesses.len() >= self.limit {
                return Ok(());
            }
            let memory = self.budget.memory();
            self.query(pair, (number, query), first, second, &names)
                .map_err(|error| error.to_string())?;
            self.budget.release(memory);
        }
        self.links(pair, first, second)
            .map_err(|error| error.to_string())?;
        if !permits_everything(first.mode) {
            self.transitions(pair, first, second)
                .map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// A profile and its children are the same thing as the other side's: all are this container's own processes.
    fn names(&self, first: &Profile, second: &Profile) -> Names {
        let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let second_root = root(&second.name);
        let own = root(&first.name);
        let subject = Some(root(&self.first.profile.name)).filter(|&subject| subject != own);
        for base in std::iter::once(own).chain(subject) {
            for profile in self.first.policy.family(base) {
                // Of one name in several namespaces.
                if pairs.last().is_some_and(|(name, _)| *name == profile.name) {
                    continue;
                }
                let below = profile.name.get(base.len()..).unwrap_or_default();
                let same = [second_root, below].concat();
                let other = if self.second.policy.profile(&same).is_some() {
                    same
                } else {
                    second_root.to_vec()
                };
                pairs.push((profile.name.clone(), other));
            }
        }
        Names { pairs }
    }

    fn links(&mut self, pair: &Pair, first: &Profile, second: &Profile) -> Result<(), Exhausted> {
        let has_plain = |profile: &Profile| {
            entries(profile, Class::File).iter().any(|entry| {
                entry.permissions & (file::BOTH | file::LINK_SUBSET) == LINKS
                    && entry.mode != RuleMode::Deny
            })
        };
        if self.witnesses.len() >= self.limit || permits_everything(first.mode) || !has_plain(first)
        {
            return Ok(());
        }
        let budget = &mut *self.budget;
        let mut sides = LinkSides {
            first: Side::new(entries(first, Class::File), file::LINK, budget)?,
            second: Side::new(entries(second, Class::File), file::LINK, budget)?,
            second_paths: Side::new(entries(second, Class::File), file::HALF, budget)?,
        };
        let limit = self.limit - self.witnesses.len();
        for link in unconditional_links(&mut sides, limit, budget)? {
            let target = format!(
                "{} to {}",
                String::from_utf8_lossy(&link.name),
                String::from_utf8_lossy(&link.target)
            );
            let mut witness = self.witness(
                pair,
                ("link", vec!["link"], target),
                (link.permits, link.conditional),
                first,
            );
            witness.forbids.why =
                Some("there a link may not permit more than what it links to".into());
            self.witnesses.push(witness);
        }
        Ok(())
    }
}

pub(super) fn entries(profile: &Profile, class: Class) -> &[Entry] {
    profile.entries.get(&class).map_or(&[], Vec::as_slice)
}

/// Modes in which what is not permitted may happen all the same. Explicit denials are not counted on either: kernels without
/// extended permissions do not have them.
pub(super) fn permits_everything(mode: ProfileMode) -> bool {
    !matches!(mode, ProfileMode::Enforce | ProfileMode::Kill)
}

/// The outermost profile of a name: `web` of `web//helper`.
fn root(name: &[u8]) -> &[u8] {
    name.windows(2)
        .position(|pair| pair == b"//")
        .and_then(|end| name.get(..end))
        .unwrap_or(name)
}

/// Flags that give paths other names: two profiles with different ones cannot be compared by path.
fn other_paths(first: &Profile, second: &Profile) -> Option<String> {
    const FLAGS: [&str; 3] = [
        "chroot_relative",
        "delegate_deleted",
        "attach_disconnected.path=",
    ];
    let has = |profile: &Profile, flag: &str| {
        profile
            .flags
            .iter()
            .filter(|word| word.starts_with(flag.as_bytes()))
            .cloned()
            .collect::<Vec<_>>()
    };
    FLAGS
        .into_iter()
        .find(|flag| has(first, flag) != has(second, flag))
        .map(|flag| format!("the flag `{flag}` gives paths other names than the other profile has"))
}
