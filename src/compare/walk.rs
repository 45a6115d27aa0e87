//! Two sides walked together: strings that one permits and the other does not, shortest first.

use crate::apparmor::automaton::{Budget, Exhausted, Map, Set};
use crate::apparmor::source::Span;

use super::domain::{Domain, Names, Place};
use super::side::{At, Guarantees, Side, distinct_bytes};

/// A string that the first side permits something of which the second does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The string, as the first side reads it.
    pub(super) string: Vec<u8>,
    /// The same as the second side reads it: names of profiles differ.
    pub(super) second: Vec<u8>,
    /// Bits that only the first permits, by the same rules.
    pub(super) bits: u32,
    /// The rule of the first side; none where it permits everything.
    pub(super) permits: Option<Span>,
    /// The rule of the second side that forbids it; none where nothing permits it.
    pub(super) forbids: Option<Span>,
}

/// What is looked for, and how much of it.
pub(super) struct Search<'s> {
    pub(super) domain: &'s Domain,
    pub(super) names: &'s Names,
    /// Bits that count.
    pub(super) bits: u32,
    /// Where the kernel asks for the beginning of a string first.
    pub(super) early: Option<Early>,
    /// How much the second side permits.
    pub(super) second_is: Breadth<'s>,
    /// How many to find.
    pub(super) limit: usize,
}

/// How much a side permits.
#[derive(Clone, Copy, Debug)]
pub(super) enum Breadth<'g> {
    /// Nearly everything, and this is known of it.
    Known(&'g Guarantees),
    /// Little: a walk ends by itself about as soon.
    Narrow,
    /// Perhaps nearly everything: a long walk pays for learning first where it need not go.
    Wide,
}

/// Strings after which a walk is long.
const LONG: usize = 64;

/// The kernel asks for the first fields of a string, and goes on only for what is not permitted there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Early {
    /// How many fields it asks for.
    pub(super) fields: u16,
    /// The bit without which it does not go on; none if it always does.
    pub(super) goes_on: Option<u32>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    place: Place,
    first: Spot,
    second: Spot,
}

/// Where a side is, and what it permitted on the way.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Spot {
    at: At,
    permitted: u32,
    /// The kernel does not look further.
    stopped: bool,
}

impl Spot {
    fn start(side: &Side<'_>) -> Self {
        Self {
            at: side.start(),
            permitted: 0,
            stopped: false,
        }
    }

    fn allows(self, side: &mut Side<'_>) -> u32 {
        if self.stopped {
            self.permitted
        } else {
            self.permitted | side.allows(self.at)
        }
    }

    fn may_permit(self, side: &Side<'_>) -> u32 {
        if self.stopped {
            self.permitted
        } else {
            self.permitted | side.may_permit(self.at)
        }
    }

    /// Reads a byte; `crosses` if it is the first after those that the kernel asks for first.
    fn next(
        self,
        side: &mut Side<'_>,
        byte: u8,
        crosses: Option<Early>,
        budget: &mut Budget,
    ) -> Result<Self, Exhausted> {
        let mut next = self;
        if let Some(early) = crosses {
            let allows = side.allows(self.at);
            next.permitted |= allows;
            next.stopped |= early.goes_on.is_some_and(|bit| allows & bit == 0);
        }
        next.at = if next.stopped {
            // Nothing more is read: one state will do.
            side.start()
        } else {
            side.next(self.at, byte, budget)?
        };
        Ok(next)
    }

    fn walk(
        self,
        side: &mut Side<'_>,
        bytes: &[u8],
        budget: &mut Budget,
    ) -> Result<Self, Exhausted> {
        Ok(Self {
            at: if self.stopped {
                self.at
            } else {
                side.walk(self.at, bytes, budget)?
            },
            ..self
        })
    }
}

struct Node {
    key: Key,
    parent: usize,
    step: Step,
}

#[derive(Clone, Copy)]
enum Step {
    Byte(u8),
    /// A pair of [`Names`].
    Name(usize),
    Start,
}

/// The rule that permits, and the one that forbids.
type Cause = (Option<Span>, Option<Span>);

/// Finds strings, one for each pair of rules that explains them.
pub(super) fn differences(
    first: &mut Side<'_>,
    second: &mut Side<'_>,
    search: &Search<'_>,
    budget: &mut Budget,
) -> Result<Vec<Found>, Exhausted> {
    let mut found = Vec::new();
    if second.is_everything() {
        return Ok(found);
    }
    let bytes = distinct_bytes(search.domain, &[first, second], budget)?;
    let start = Key {
        place: Place::START,
        first: Spot::start(first),
        second: Spot::start(second),
    };
    let mut nodes = vec![Node {
        key: start,
        parent: 0,
        step: Step::Start,
    }];
    let mut seen = Set::from_iter([start]);
    let mut causes: Map<Cause, u32> = Map::default();
    let mut current = 0;
    let mut learned = Guarantees::default();
    // What may differ from some place on: the first side may permit it, and the second is not known to.
    let missing = |key: Key, first: &Side<'_>, guarantees: &Guarantees| {
        let guaranteed = if key.second.stopped {
            0
        } else {
            guarantees.from(key.place, key.second.at)
        };
        search.bits & key.first.may_permit(first) & !(guaranteed | key.second.permitted)
    };
    while let Some(node) = nodes.get(current) {
        let key = node.key;
        if current == LONG && matches!(search.second_is, Breadth::Wide) {
            learned = Guarantees::new(second, search.domain, search.bits, budget)?;
        }
        let guarantees = match search.second_is {
            Breadth::Known(guarantees) => guarantees,
            Breadth::Narrow | Breadth::Wide => &learned,
        };
        // It was put here before that was known.
        if missing(key, first, guarantees) == 0 {
            current += 1;
            continue;
        }
        if search.domain.ends(key.place) {
            let only = key.first.allows(first) & !key.second.allows(second) & search.bits;
            if only != 0 {
                explain(
                    (first, second),
                    (&nodes, current),
                    only,
                    search,
                    &mut causes,
                    &mut found,
                );
                if found.len() >= search.limit {
                    return Ok(found);
                }
            }
        }
        let mut push = |key: Key, step: Step, first: &Side<'_>, budget: &mut Budget| {
            if missing(key, first, guarantees) != 0 && seen.insert(key) {
                budget.keep(size_of::<Node>() + 2 * size_of::<Key>())?;
                nodes.push(Node {
                    key,
                    parent: current,
                    step,
                });
            }
            Ok(())
        };
        // Bytes that the domain tells apart elsewhere lead to the same place here.
        let mut previous = None;
        for &byte in &bytes {
            let Some(place) = search.domain.next(key.place, byte) else {
                continue;
            };
            let crosses = search
                .early
                .filter(|early| key.place.field() < early.fields && place.field() >= early.fields);
            let next = Key {
                place,
                first: key.first.next(first, byte, crosses, budget)?,
                second: key.second.next(second, byte, crosses, budget)?,
            };
            if previous.replace(next) != Some(next) {
                push(next, Step::Byte(byte), first, budget)?;
            }
        }
        if let Some(place) = search.domain.after_label(key.place) {
            for (index, (mine, theirs)) in search.names.pairs.iter().enumerate() {
                let next = Key {
                    place,
                    first: key.first.walk(first, mine, budget)?,
                    second: key.second.walk(second, theirs, budget)?,
                };
                push(next, Step::Name(index), first, budget)?;
            }
        }
        current += 1;
    }
    Ok(found)
}

/// Puts a string that people know in the place of one that was made up, where the same rules explain it.
pub(super) fn prefer(
    first: &mut Side<'_>,
    second: &mut Side<'_>,
    known: &[&str],
    bits: u32,
    found: &mut [Found],
    budget: &mut Budget,
) -> Result<(), Exhausted> {
    let mut told = vec![false; found.len()];
    for string in known {
        let string = string.as_bytes();
        let at = first.walk(first.start(), string, budget)?;
        let other = second.walk(second.start(), string, budget)?;
        let only = first.allows(at) & !second.allows(other) & bits;
        if only == 0 {
            continue;
        }
        for (found, told) in found.iter_mut().zip(&mut told) {
            let same =
                |bit: u32| cause(first, second, (at, other), bit) == (found.permits, found.forbids);
            let each = (0..u32::BITS).map(|number| 1 << number);
            let fits =
                found.bits & !only == 0 && each.filter(|bit| found.bits & bit != 0).all(same);
            if fits && !std::mem::replace(told, true) {
                found.string = string.to_vec();
                found.second = string.to_vec();
            }
        }
    }
    Ok(())
}

/// The rules that decide a bit.
fn cause(first: &Side<'_>, second: &Side<'_>, at: (At, At), bit: u32) -> Cause {
    (
        first.deciding(at.0, bit).map(|(entry, _)| entry.span),
        second.deciding(at.1, bit).map(|(entry, _)| entry.span),
    )
}

/// Puts the bits into groups that the same two rules explain, and keeps those with a new explanation.
fn explain(
    (first, second): (&Side<'_>, &Side<'_>),
    (nodes, current): (&[Node], usize),
    only: u32,
    search: &Search<'_>,
    causes: &mut Map<Cause, u32>,
    found: &mut Vec<Found>,
) {
    let Some(key) = nodes.get(current).map(|node| node.key) else {
        return;
    };
    let mut groups: Vec<(Cause, u32)> = Vec::new();
    for bit in (0..u32::BITS).map(|number| 1 << number) {
        if only & bit == 0 {
            continue;
        }
        let cause = cause(first, second, (key.first.at, key.second.at), bit);
        match groups.iter_mut().find(|(known, _)| *known == cause) {
            Some((_, bits)) => *bits |= bit,
            None => groups.push((cause, bit)),
        }
    }
    for (cause, bits) in groups {
        let known = causes.entry(cause).or_insert(0);
        if bits & !*known == 0 {
            continue;
        }
        *known |= bits;
        let (string, second) = strings(nodes, current, search.names);
        found.push(Found {
            string,
            second,
            bits,
            permits: cause.0,
            forbids: cause.1,
        });
    }
}

/// The string of a node, as each side reads it.
fn strings(nodes: &[Node], current: usize, names: &Names) -> (Vec<u8>, Vec<u8>) {
    let mut steps = Vec::new();
    let mut at = current;
    while let Some(node) = nodes.get(at) {
        if matches!(node.step, Step::Start) {
            break;
        }
        steps.push(node.step);
        at = node.parent;
    }
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for step in steps.into_iter().rev() {
        match step {
            Step::Byte(byte) => {
                first.push(byte);
                second.push(byte);
            }
            Step::Name(index) => {
                if let Some((mine, theirs)) = names.pairs.get(index) {
                    first.extend(mine);
                    second.extend(theirs);
                }
            }
            Step::Start => {}
        }
    }
    (first, second)
}
