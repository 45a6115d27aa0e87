//! States made when they are reached.

use std::sync::Arc;

use super::super::pattern::{ByteSet, Pattern};
use super::build::{Position, Positions, build};
use super::{Budget, Exhausted, Map, Set};

/// A state: a number that stays for the automaton's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StateId(u32);

/// Numbers of the patterns that match.
pub type Rules = Arc<[u32]>;

/// Patterns as one automaton.
#[derive(Clone, Debug)]
pub struct Automaton {
    positions: Arc<Positions>,
    states: Vec<State>,
    known: Map<Arc<[u32]>, StateId>,
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

/// Room to make a state in, kept from one to the next.
#[derive(Clone, Debug, Default)]
struct Scratch {
    /// Positions to look at.
    stack: Vec<u32>,
    /// The positions that read a byte.
    reading: Vec<u32>,
    /// The patterns that match.
    accepts: Vec<u32>,
    /// Both, which tell states apart.
    key: Vec<u32>,
}

#[derive(Clone, Debug)]
struct State {
    /// Positions that read a byte, ascending.
    positions: Arc<[u32]>,
    accepts: Rules,
    mask: u32,
    /// By class of byte.
    next: Vec<Option<StateId>>,
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
            known: Map::default(),
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

    /// The patterns that match what was read.
    #[must_use]
    pub fn accepts(&self, state: StateId) -> Rules {
        self.states
            .get(state.0 as usize)
            .map_or_else(|| Arc::from([]), |state| Arc::clone(&state.accepts))
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
        if let Some(Some(next)) = from.next.get(class) {
            return Ok(*next);
        }
        budget.step(from.positions.len())?;
        let byte = self.representatives.get(class).copied().unwrap_or(byte);
        let targets = &mut self.scratch.stack;
        targets.clear();
        for &position in &*from.positions {
            match self.positions.all.get(position as usize) {
                Some(Position::Byte(expected, next)) if *expected == byte => targets.push(*next),
                Some(Position::Set(set, next)) if set.contains(byte) => targets.push(*next),
                Some(Position::Star(set, _)) if set.contains(byte) => targets.push(position),
                Some(Position::Tree { edges, .. }) => {
                    if let Ok(found) = edges.binary_search_by_key(&byte, |&(byte, _)| byte) {
                        targets.extend(edges.get(found).map(|&(_, next)| next));
                    }
                }
                _ => {}
            }
        }
        let next = self.state(budget)?;
        if let Some(slot) = self
            .states
            .get_mut(state.0 as usize)
            .and_then(|state| state.next.get_mut(class))
        {
            *slot = Some(next);
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
            key,
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
        // Positions and accepts together tell states apart.
        key.clear();
        key.extend_from_slice(reading);
        key.push(u32::MAX);
        key.extend_from_slice(accepts);
        if let Some(&known) = self.known.get(key.as_slice()) {
            return Ok(known);
        }
        let id = StateId(u32::try_from(self.states.len()).map_err(|_| Exhausted)?);
        let classes = self.representatives.len();
        budget.keep(
            (key.len() + reading.len() + accepts.len()) * 4 + classes * 8 + size_of::<State>() + 64,
        )?;
        self.states.push(State {
            positions: reading.as_slice().into(),
            accepts: accepts.as_slice().into(),
            mask,
            next: vec![None; classes],
        });
        self.known.insert(key.as_slice().into(), id);
        Ok(id)
    }
}

/// Splits the bytes so that no position tells two of the same class apart.
fn byte_classes(
    positions: &Positions,
    budget: &mut Budget,
) -> Result<(Box<[u8; 256]>, Vec<u8>), Exhausted> {
    let mut sets: Set<ByteSet> = Set::default();
    for position in &positions.all {
        match position {
            Position::Byte(byte, _) => {
                sets.insert(ByteSet::of(&[*byte]));
            }
            Position::Set(set, _) | Position::Star(set, _) => {
                sets.insert(*set);
            }
            Position::Tree { edges, .. } => {
                sets.extend(edges.iter().map(|(byte, _)| ByteSet::of(&[*byte])));
            }
            Position::Accept(_) | Position::Union(_) => {}
        }
    }
    partition(sets.iter(), budget)
}

/// Splits the bytes so that no set tells two of the same class apart: the class of each byte, and a byte of each class.
pub(crate) fn partition<'a>(
    sets: impl Iterator<Item = &'a ByteSet>,
    budget: &mut Budget,
) -> Result<(Box<[u8; 256]>, Vec<u8>), Exhausted> {
    // Each set splits the classes that it cuts. There are never more than 256.
    let mut classes = Box::new([0_u8; 256]);
    let mut sizes = [0_u16; 256];
    if let Some(all) = sizes.first_mut() {
        *all = 256;
    }
    let mut count = 1_usize;
    for set in sets {
        if count == 256 {
            break;
        }
        budget.step(64)?;
        // Most sets are single bytes, the same ones again and again.
        if let Some(byte) = set.single() {
            let class = get(&classes, byte);
            let size = slot(&mut sizes, class);
            if *size > 1 {
                *size -= 1;
                let new = u8::try_from(count).unwrap_or(u8::MAX);
                *slot(&mut classes, byte) = new;
                *slot(&mut sizes, new) = 1;
                count += 1;
            }
            continue;
        }
        let mut inside = [0_u16; 256];
        for byte in set.iter() {
            *slot(&mut inside, get(&classes, byte)) += 1;
        }
        // The new class of those in the set, by their old one; 0, which is never new, until one is made.
        let mut split = [0_u8; 256];
        for byte in set.iter() {
            let class = get(&classes, byte);
            if *slot(&mut inside, class) == *slot(&mut sizes, class) {
                continue;
            }
            let new = slot(&mut split, class);
            if *new == 0 {
                *new = u8::try_from(count).unwrap_or(u8::MAX);
                count += 1;
            }
            let new = *new;
            *slot(&mut classes, byte) = new;
        }
        for (class, &new) in (0..=u8::MAX).zip(&split) {
            if new != 0 {
                let moved = *slot(&mut inside, class);
                *slot(&mut sizes, class) -= moved;
                *slot(&mut sizes, new) = moved;
            }
        }
    }
    let mut representatives = vec![0; count];
    for byte in (0..=u8::MAX).rev() {
        if let Some(slot) = representatives.get_mut(usize::from(get(&classes, byte))) {
            *slot = byte;
        }
    }
    Ok((classes, representatives))
}

#[expect(clippy::indexing_slicing, reason = "INVARIANT: a byte is below 256")]
fn get(classes: &[u8; 256], byte: u8) -> u8 {
    classes[usize::from(byte)]
}

/// The place of a byte, or of a class of bytes.
#[expect(clippy::indexing_slicing, reason = "INVARIANT: a byte is below 256")]
fn slot<T>(table: &mut [T; 256], index: u8) -> &mut T {
    &mut table[usize::from(index)]
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
