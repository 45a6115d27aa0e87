//! One of the two policies in a comparison: the entries of a class as an automaton, or everything.

use crate::apparmor::ast::RuleMode;
use crate::apparmor::automaton::{Automaton, Budget, Exhausted, Map, StateId, partition};
use crate::apparmor::model::{Deciding, Entry, Permits, deciding, permissions, permits};
use crate::apparmor::pattern::Pattern;

use super::domain::{Domain, Place};

/// What one side permits of a class.
#[derive(Clone, Debug)]
pub(super) struct Side<'a> {
    entries: Vec<&'a Entry>,
    /// None: everything is permitted.
    automaton: Option<Automaton>,
    /// By state, once asked for.
    permits: Map<StateId, Permits>,
}

/// Where a side's automaton is; none where everything is permitted.
pub(super) type At = Option<StateId>;

impl<'a> Side<'a> {
    /// A side that permits everything.
    pub(super) fn everything() -> Self {
        Self {
            entries: Vec::new(),
            automaton: None,
            permits: Map::default(),
        }
    }

    /// A side that permits what entries do; those without any of the bits are left out.
    pub(super) fn new(
        entries: impl IntoIterator<Item = &'a Entry>,
        bits: u32,
        budget: &mut Budget,
    ) -> Result<Self, Exhausted> {
        let entries = relevant(entries, bits);
        let automaton = Automaton::new(
            entries.iter().map(|entry| {
                let mask = match entry.mode {
                    RuleMode::Deny => 0,
                    RuleMode::Allow | RuleMode::Prompt => permissions(entry),
                };
                (&entry.pattern, mask)
            }),
            budget,
        )?;
        Ok(Self {
            entries,
            automaton: Some(automaton),
            permits: Map::default(),
        })
    }

    /// The same side with an automaton that was made of the same entries and bits before.
    pub(super) fn known(
        entries: impl IntoIterator<Item = &'a Entry>,
        bits: u32,
        automaton: Automaton,
    ) -> Self {
        Self {
            entries: relevant(entries, bits),
            automaton: Some(automaton),
            permits: Map::default(),
        }
    }

    /// Its automaton, with the states that it has so far.
    pub(super) fn into_automaton(self) -> Option<Automaton> {
        self.automaton
    }

    pub(super) fn is_everything(&self) -> bool {
        self.automaton.is_none()
    }

    /// Whether a side permits no more than another, as far as that can be seen without walking: the other forbids nothing, and
    /// has every entry of this one.
    pub(super) fn is_part_of(&self, other: &Self) -> bool {
        let forbids = |entry: &&Entry| entry.mode == RuleMode::Deny;
        if self.is_everything() || other.is_everything() {
            return other.is_everything();
        }
        let mut known: std::collections::HashMap<(&Pattern, bool), u32> =
            std::collections::HashMap::new();
        for entry in &other.entries {
            *known
                .entry((&entry.pattern, entry.exec.is_some()))
                .or_insert(0) |= entry.permissions;
        }
        !other.entries.iter().any(forbids)
            && self
                .entries
                .iter()
                .filter(|entry| !forbids(entry))
                .all(|entry| {
                    known
                        .get(&(&entry.pattern, entry.exec.is_some()))
                        .is_some_and(|permissions| entry.permissions & !permissions == 0)
                })
    }

    pub(super) fn start(&self) -> At {
        self.automaton.as_ref().map(Automaton::start)
    }

    pub(super) fn next(&mut self, at: At, byte: u8, budget: &mut Budget) -> Result<At, Exhausted> {
        match (&mut self.automaton, at) {
            (Some(automaton), Some(state)) => automaton.next(state, byte, budget).map(Some),
            _ => Ok(None),
        }
    }

    /// Where it is after some bytes.
    pub(super) fn walk(
        &mut self,
        at: At,
        bytes: &[u8],
        budget: &mut Budget,
    ) -> Result<At, Exhausted> {
        bytes
            .iter()
            .try_fold(at, |at, &byte| self.next(at, byte, budget))
    }

    /// The bits that something may still permit.
    pub(super) fn may_permit(&self, at: At) -> u32 {
        match (&self.automaton, at) {
            (Some(automaton), Some(state)) => automaton.mask(state),
            _ => u32::MAX,
        }
    }

    /// What is permitted here.
    pub(super) fn permits(&mut self, at: At) -> Permits {
        let (Some(automaton), Some(state)) = (&self.automaton, at) else {
            return Permits {
                allow: u32::MAX,
                ..Permits::default()
            };
        };
        self.permits
            .entry(state)
            .or_insert_with(|| permits(&self.entries, automaton.accepts(state)))
            .clone()
    }

    /// Bits that are permitted here.
    pub(super) fn allows(&mut self, at: At) -> u32 {
        let (Some(automaton), Some(state)) = (&self.automaton, at) else {
            return u32::MAX;
        };
        self.permits
            .entry(state)
            .or_insert_with(|| permits(&self.entries, automaton.accepts(state)))
            .allow
    }

    /// The entry that decides a bit here, and whether it permits.
    pub(super) fn deciding(&self, at: At, bit: u32) -> Option<(&'a Entry, bool)> {
        let automaton = self.automaton.as_ref()?;
        let Deciding { entry, allows } = deciding(&self.entries, automaton.accepts(at?), bit)?;
        Some((*self.entries.get(entry)?, allows))
    }

    /// How many classes of bytes it tells apart.
    fn classes(&self) -> usize {
        self.automaton.as_ref().map_or(1, Automaton::classes)
    }

    /// The class of a byte.
    pub(super) fn class(&self, byte: u8) -> u8 {
        self.automaton
            .as_ref()
            .map_or(0, |automaton| automaton.class(byte))
    }
}

/// Entries that have one of the bits.
fn relevant<'a>(entries: impl IntoIterator<Item = &'a Entry>, bits: u32) -> Vec<&'a Entry> {
    entries
        .into_iter()
        .filter(|entry| permissions(entry) & bits != 0)
        .collect()
}

/// What a side permits wherever a walk may still go, by place: a walk needs to go no further where that is enough.
#[derive(Clone, Debug, Default)]
pub(super) struct Guarantees {
    known: Map<(Place, At), u32>,
}

/// LIMIT: places looked at; a runtime default has some hundreds. Without guarantees walks are longer, and right.
const MAX_PLACES: usize = 4_000;

impl Guarantees {
    /// Looks at every place that a side can be at in a domain.
    pub(super) fn new(
        side: &mut Side<'_>,
        domain: &Domain,
        bits: u32,
        budget: &mut Budget,
    ) -> Result<Self, Exhausted> {
        if side.is_everything() {
            return Ok(Self::default());
        }
        let bytes = distinct_bytes(domain, &[side], budget)?;
        let start = (Place::START, side.start());
        let mut places: Vec<(Place, At)> = vec![start];
        let mut index = Map::from_iter([(start, 0)]);
        let mut permitted = Vec::new();
        // From each place, those before it.
        let mut before: Vec<Vec<usize>> = vec![Vec::new()];
        let mut current = 0;
        while let Some(&(place, at)) = places.get(current) {
            permitted.push(if domain.ends(place) {
                side.allows(at) | !bits
            } else {
                u32::MAX
            });
            let mut previous = None;
            for &byte in &bytes {
                let Some(next_place) = domain.next(place, byte) else {
                    continue;
                };
                let next = (next_place, side.next(at, byte, budget)?);
                if previous == Some(next) {
                    continue;
                }
                previous = Some(next);
                let target = *index.entry(next).or_insert_with(|| {
                    places.push(next);
                    before.push(Vec::new());
                    places.len() - 1
                });
                if let Some(before) = before.get_mut(target) {
                    before.push(current);
                }
            }
            if places.len() > MAX_PLACES {
                return Ok(Self::default());
            }
            current += 1;
        }
        // What a place lacks, all before it lack.
        let mut work: Vec<usize> = (0..places.len()).collect();
        while let Some(current) = work.pop() {
            let have = permitted.get(current).copied().unwrap_or(0);
            for &earlier in before.get(current).into_iter().flatten() {
                budget.step(1)?;
                if let Some(slot) = permitted.get_mut(earlier)
                    && *slot & !have != 0
                {
                    *slot &= have;
                    work.push(earlier);
                }
            }
        }
        Ok(Self {
            known: places.into_iter().zip(permitted).collect(),
        })
    }

    /// The bits that are permitted from here on, whatever follows.
    pub(super) fn from(&self, place: Place, at: At) -> u32 {
        self.known.get(&(place, at)).copied().unwrap_or(0)
    }
}

/// A byte for each set of bytes that neither the domain nor a side tells apart: the one that reads best.
pub(super) fn distinct_bytes(
    domain: &Domain,
    sides: &[&Side<'_>],
    budget: &mut Budget,
) -> Result<Vec<u8>, Exhausted> {
    let (single, sets) = domain.sets();
    let (classes, representatives) = partition(single, sets.iter(), budget)?;
    // Each combination of classes that a byte has is one place; there are at most 256 bytes.
    let places = sides.iter().map(|side| side.classes());
    let mut seen = vec![false; places.product::<usize>() * representatives.len()];
    let bytes = READABLE.into_iter().filter(|&byte| {
        let own = classes.get(usize::from(byte)).copied().unwrap_or_default();
        let place = sides.iter().fold(usize::from(own), |place, side| {
            place * side.classes() + usize::from(side.class(byte))
        });
        seen.get_mut(place)
            .is_some_and(|seen| !std::mem::replace(seen, true))
    });
    Ok(bytes.collect())
}

/// All bytes, those first that people read easily: small letters, digits, capitals, what stands in paths, what can be printed.
const READABLE: [u8; 256] = {
    const fn rank(byte: u8) -> u8 {
        match byte {
            b'a'..=b'z' => 0,
            b'0'..=b'9' => 1,
            b'A'..=b'Z' => 2,
            b'/' => 3,
            b'_' => 4,
            b'-' => 5,
            b'.' => 6,
            b'!'..=b'~' => 7,
            _ => 8,
        }
    }
    let mut bytes = [0; 256];
    let mut filled = 0;
    let mut wanted = 0;
    while wanted <= 8 {
        let mut byte = 0_u8;
        loop {
            if rank(byte) == wanted {
                #[expect(clippy::indexing_slicing, reason = "checked at compile time")]
                {
                    bytes[filled] = byte;
                }
                filled += 1;
            }
            if byte == u8::MAX {
                break;
            }
            byte += 1;
        }
        wanted += 1;
    }
    bytes
};
