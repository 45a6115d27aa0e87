//! States made when they are reached.

use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::Arc;

use hashbrown::HashTable;

use super::super::pattern::{ByteSet, Pattern};
use super::build::{Position, Positions, build};
use super::{Budget, Exhausted, Set};

/// A state: a number that stays for the automaton's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StateId(u32);

/// Patterns as one automaton. What its states hold stands in a few long lists, so that a copy is cheap: every comparison with a
/// baseline begins with one.
#[derive(Clone, Debug)]
pub struct Automaton {
    positions: Arc<Positions>,
    states: Vec<State>,
    /// What is in the states, one after the other.
    members: Vec<u32>,
    /// The state after each class of bytes, state by state; [`NOT_MADE`] until it is asked for.
    next: Vec<u32>,
    /// States by their members.
    known: HashTable<StateId>,
    start: StateId,
    /// Which closure a position was last seen in, so that each is in it once.
    seen: Vec<u32>,
    closures: u32,
    /// The class of each byte: bytes that no pattern tells apart share one.
    classes: Box<[u8; 256]>,
    /// A byte of each class.
    representatives: Vec<u8>,
    scratch: Scratch,
}

/// In place of a state's number.
const NOT_MADE: u32 = u32::MAX;

/// Room to make a state in, kept from one to the next.
#[derive(Clone, Debug, Default)]
struct Scratch {
    /// Positions to look at.
    stack: Vec<u32>,
    /// The positions that read a byte.
    reading: Vec<u32>,
    /// The patterns that match.
    accepts: Vec<u32>,
}

/// Its members are positions that read a byte, ascending, then the patterns that match, ascending.
#[derive(Clone, Copy, Debug)]
struct State {
    begin: usize,
    accepts: usize,
    end: usize,
    mask: u32,
}

impl Automaton {
    /// An automaton of patterns, each with a mask of the caller's: [`Automaton::mask`] tells those that can still match.
    pub fn new<'a>(
        patterns: impl Iterator<Item = (&'a Pattern, u32)>,
        budget: &mut Budget,
    ) -> Result<Self, Exhausted> {
        let positions = build(patterns, budget)?;
        let (classes, representatives) = byte_classes(&positions, budget)?;
        let mut automaton = Self {
            seen: vec![0; positions.all.len()],
            positions: Arc::new(positions),
            states: Vec::new(),
            members: Vec::new(),
            next: Vec::new(),
            known: HashTable::new(),
            start: StateId(0),
            closures: 0,
            classes,
            representatives,
            scratch: Scratch::default(),
        };
        automaton.scratch.stack.push(automaton.positions.start);
        automaton.start = automaton.state(budget)?;
        Ok(automaton)
    }

    /// Where every walk begins.
    #[must_use]
    pub fn start(&self) -> StateId {
        self.start
    }

    /// How many classes of bytes there are: 256 at most.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.representatives.len()
    }

    /// The class of a byte, below [`Automaton::classes`].
    #[must_use]
    pub fn class(&self, byte: u8) -> u8 {
        get(&self.classes, byte)
    }

    /// Numbers of the patterns that match what was read, ascending.
    #[must_use]
    pub fn accepts(&self, state: StateId) -> &[u32] {
        let state = self.states.get(state.0 as usize);
        state.map_or(&[], |state| {
            members(&self.members, state.accepts..state.end)
        })
    }

    /// The masks of all patterns that match, or may after more bytes.
    #[must_use]
    pub fn mask(&self, state: StateId) -> u32 {
        self.states
            .get(state.0 as usize)
            .map_or(0, |state| state.mask)
    }

    /// How many states there are so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.states.len()
    }

    /// Never: there is always a start.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    /// The state after a byte.
    pub fn next(
        &mut self,
        state: StateId,
        byte: u8,
        budget: &mut Budget,
    ) -> Result<StateId, Exhausted> {
        budget.step(1)?;
        let class = usize::from(self.class(byte));
        let Some(from) = self.states.get(state.0 as usize) else {
            return Err(Exhausted);
        };
        let slot = state.0 as usize * self.representatives.len() + class;
        match self.next.get(slot) {
            Some(&NOT_MADE) => {}
            Some(&next) => return Ok(StateId(next)),
            None => return Err(Exhausted),
        }
        let reading = members(&self.members, from.begin..from.accepts);
        budget.step(reading.len())?;
        let byte = self.representatives.get(class).copied().unwrap_or(byte);
        let targets = &mut self.scratch.stack;
        targets.clear();
        for &position in reading {
            match self.positions.all.get(position as usize) {
                Some(Position::Byte(expected, next)) if *expected == byte => targets.push(*next),
                Some(Position::Set(set, next)) if set.contains(byte) => targets.push(*next),
                Some(Position::Star(set, _)) if set.contains(byte) => targets.push(position),
                Some(Position::Tree { edges, .. }) => {
                    let edges = self.positions.edges(edges);
                    if let Ok(found) = edges.binary_search_by_key(&byte, |&(byte, _)| byte) {
                        targets.extend(edges.get(found).map(|&(_, next)| next));
                    }
                }
                _ => {}
            }
        }
        let next = self.state(budget)?;
        if let Some(slot) = self.next.get_mut(slot) {
            *slot = next.0;
        }
        Ok(next)
    }

    /// The state of the positions on the stack and all that they reach without a byte.
    fn state(&mut self, budget: &mut Budget) -> Result<StateId, Exhausted> {
        self.closures += 1;
        let Scratch {
            stack,
            reading,
            accepts,
        } = &mut self.scratch;
        reading.clear();
        accepts.clear();
        let mut mask = 0;
        while let Some(position) = stack.pop() {
            budget.step(1)?;
            match self.seen.get_mut(position as usize) {
                Some(seen) if *seen != self.closures => *seen = self.closures,
                _ => continue,
            }
            mask |= self
                .positions
                .masks
                .get(position as usize)
                .copied()
                .unwrap_or(0);
            match self.positions.all.get(position as usize) {
                Some(Position::Accept(pattern)) => accepts.push(*pattern),
                Some(Position::Byte(..) | Position::Set(..)) => reading.push(position),
                Some(Position::Star(_, next)) => {
                    reading.push(position);
                    stack.push(*next);
                }
                Some(Position::Tree { edges, tails }) => {
                    if !edges.is_empty() {
                        reading.push(position);
                    }
                    stack.extend(tails);
                }
                Some(Position::Union(branches)) => stack.extend(branches),
                None => {}
            }
        }
        reading.sort_unstable();
        accepts.sort_unstable();
        let hash = hash(reading, accepts);
        let (states, all) = (&self.states, &self.members);
        let of = |id: &StateId| states.get(id.0 as usize).copied();
        let same = |id: &StateId| {
            of(id).is_some_and(|state| {
                members(all, state.begin..state.accepts) == reading.as_slice()
                    && members(all, state.accepts..state.end) == accepts.as_slice()
            })
        };
        if let Some(&known) = self.known.find(hash, same) {
            return Ok(known);
        }
        let id = u32::try_from(states.len()).map_err(|_| Exhausted)?;
        if id == NOT_MADE {
            return Err(Exhausted);
        }
        let classes = self.representatives.len();
        // The lists have room for twice as much when they have just grown.
        budget.keep((reading.len() + accepts.len() + classes) * 8 + size_of::<State>() * 2 + 16)?;
        let rehash = |id: &StateId| {
            of(id).map_or(0, |state| {
                self::hash(
                    members(all, state.begin..state.accepts),
                    members(all, state.accepts..state.end),
                )
            })
        };
        self.known.insert_unique(hash, StateId(id), rehash);
        let begin = self.members.len();
        self.members.extend_from_slice(reading);
        self.members.extend_from_slice(accepts);
        self.states.push(State {
            begin,
            accepts: begin + reading.len(),
            end: self.members.len(),
            mask,
        });
        self.next.resize(self.next.len() + classes, NOT_MADE);
        Ok(StateId(id))
    }
}

/// A part of the list of members.
fn members(all: &[u32], part: std::ops::Range<usize>) -> &[u32] {
    all.get(part).unwrap_or_default()
}

/// Positions and accepts together tell states apart.
fn hash(reading: &[u32], accepts: &[u32]) -> u64 {
    let mut hasher = foldhash::fast::FixedState::default().build_hasher();
    for &member in reading.iter().chain(&[u32::MAX]).chain(accepts) {
        hasher.write_u32(member);
    }
    hasher.finish()
}

/// Splits the bytes so that no position tells two of the same class apart.
fn byte_classes(
    positions: &Positions,
    budget: &mut Budget,
) -> Result<(Box<[u8; 256]>, Vec<u8>), Exhausted> {
    let mut sets: Set<ByteSet> = Set::default();
    let mut single = ByteSet::NONE;
    for position in &positions.all {
        match position {
            Position::Byte(byte, _) => single.insert(*byte),
            Position::Set(set, _) | Position::Star(set, _) => {
                sets.insert(*set);
            }
            Position::Accept(_) | Position::Tree { .. } | Position::Union(_) => {}
        }
    }
    for (byte, _) in &positions.edges {
        single.insert(*byte);
    }
    partition(single, sets.iter(), budget)
}

/// Splits the bytes so that no set tells two of the same class apart, and each of some single bytes is one of its own: the class
/// of each byte, and a byte of each class.
pub(crate) fn partition<'a>(
    single: ByteSet,
    sets: impl Iterator<Item = &'a ByteSet>,
    budget: &mut Budget,
) -> Result<(Box<[u8; 256]>, Vec<u8>), Exhausted> {
    // Each set splits the classes that it cuts; a single byte cannot be cut. There are never more than 256.
    let mut parts = vec![single.complement()];
    parts.retain(|part| !part.is_empty());
    for set in sets {
        budget.step(64)?;
        for index in 0..parts.len() {
            let Some(part) = parts.get_mut(index) else {
                break;
            };
            let inside = part.intersection(*set);
            let outside = part.intersection(set.complement());
            if !inside.is_empty() && !outside.is_empty() {
                *part = inside;
                parts.push(outside);
            }
        }
    }
    let mut classes = Box::new([0_u8; 256]);
    let mut representatives = Vec::with_capacity(parts.len() + 16);
    let mut add = |part: &mut dyn Iterator<Item = u8>| {
        let class = u8::try_from(representatives.len()).unwrap_or(u8::MAX);
        let mut part = part.peekable();
        representatives.extend(part.peek().copied());
        for byte in part {
            *slot(&mut classes, byte) = class;
        }
    };
    for part in &parts {
        add(&mut part.iter());
    }
    for byte in single.iter() {
        add(&mut std::iter::once(byte));
    }
    Ok((classes, representatives))
}

#[expect(clippy::indexing_slicing, reason = "INVARIANT: a byte is below 256")]
fn get(classes: &[u8; 256], byte: u8) -> u8 {
    classes[usize::from(byte)]
}

/// The place of a byte.
#[expect(clippy::indexing_slicing, reason = "INVARIANT: a byte is below 256")]
fn slot(classes: &mut [u8; 256], byte: u8) -> &mut u8 {
    &mut classes[usize::from(byte)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(patterns: &[Pattern], text: &[u8]) -> Vec<u32> {
        let mut budget = Budget::default();
        let mut automaton =
            Automaton::new(patterns.iter().map(|pattern| (pattern, 1)), &mut budget).unwrap();
        let mut state = automaton.start();
        for &byte in text {
            state = automaton.next(state, byte, &mut budget).unwrap();
        }
        automaton.accepts(state).to_vec()
    }

    #[test]
    fn all_patterns_that_match_are_told() {
        let set = Pattern::Set(ByteSet::of(b"bc"));
        let patterns = [
            Pattern::literal("abc"),
            Pattern::literal("a").then(Pattern::any_text()),
            Pattern::literal("ab").then(set.clone().optional()),
            Pattern::Union(vec![Pattern::literal("abc"), Pattern::empty()]),
            Pattern::Union(Vec::new()),
            Pattern::Concat(Vec::new()),
            set,
        ];
        assert_eq!(accepted(&patterns, b"abc"), [0, 1, 2, 3]);
        assert_eq!(accepted(&patterns, b"ab"), [1, 2]);
        assert_eq!(accepted(&patterns, b""), [3, 5]);
        assert_eq!(accepted(&patterns, b"b"), [6]);
        assert_eq!(accepted(&patterns, b"a\0"), [0_u32; 0]);
    }

    #[test]
    fn bytes_of_a_class_lead_to_one_state() {
        let patterns = [
            Pattern::literal("a"),
            Pattern::Set(ByteSet::NOT_NUL_OR_SLASH),
        ];
        let mut budget = Budget::default();
        let mut automaton =
            Automaton::new(patterns.iter().map(|pattern| (pattern, 1)), &mut budget).unwrap();
        assert_eq!(automaton.class(b'b'), automaton.class(0xff));
        assert_eq!(automaton.class(0), automaton.class(b'/'));
        assert_ne!(automaton.class(b'a'), automaton.class(b'b'));
        let start = automaton.start();
        let first = automaton.next(start, b'b', &mut budget).unwrap();
        let second = automaton.next(start, 0xff, &mut budget).unwrap();
        assert_eq!(first, second);
    }

    #[test]
    fn the_budget_bounds_states() {
        // Each byte in doubt doubles the states.
        let any = || Pattern::Set(ByteSet::NOT_NUL);
        let mut parts = vec![Pattern::any_text(), Pattern::literal("a")];
        parts.extend(std::iter::repeat_n(any(), 40));
        let pattern = Pattern::Concat(parts);
        let mut budget = Budget {
            steps: 1_000_000,
            memory: 1 << 20,
        };
        let mut automaton = Automaton::new([(&pattern, 1)].into_iter(), &mut budget).unwrap();
        let mut known = vec![automaton.start()];
        let mut index = 0;
        let exhausted = loop {
            let Some(&state) = known.get(index) else {
                break false;
            };
            index += 1;
            let next = [b'a', b'b'].map(|byte| automaton.next(state, byte, &mut budget));
            if next.iter().any(Result::is_err) {
                break true;
            }
            known.extend(next.into_iter().flatten());
        };
        assert!(exhausted);
    }
}
