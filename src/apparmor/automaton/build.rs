//! Patterns to positions: a Thompson automaton whose literal beginnings share a tree.

use std::ops::Range;

use super::super::pattern::{ByteSet, Pattern};
use super::{Budget, Exhausted, Map};

/// A position in the patterns.
#[derive(Clone, Debug)]
pub(super) enum Position {
    /// A pattern ends here.
    Accept(u32),
    /// One byte, then the next position.
    Byte(u8, u32),
    /// One byte of a set, then the next.
    Set(ByteSet, u32),
    /// Any number of bytes of a set, then the next.
    Star(ByteSet, u32),
    /// Beginnings that patterns share: where its [`Positions::edges`] are, and the positions that need no byte.
    Tree { edges: Range<u32>, tails: Vec<u32> },
    /// Any of these.
    Union(Vec<u32>),
}

/// Positions, and where to begin.
#[derive(Clone, Debug, Default)]
pub(super) struct Positions {
    pub(super) all: Vec<Position>,
    pub(super) start: u32,
    /// Bytes and the positions after them, one tree node's after the other's, in order.
    pub(super) edges: Vec<(u8, u32)>,
    /// Which patterns may still end: a mask of the caller's per position.
    pub(super) masks: Vec<u32>,
}

/// Positions that most profiles come to.
const USUAL: usize = 512;

impl Positions {
    /// The edges of a node.
    pub(super) fn edges(&self, of: &Range<u32>) -> &[(u8, u32)] {
        let of = of.start as usize..of.end as usize;
        self.edges.get(of).unwrap_or_default()
    }
}

/// Builds positions for patterns. `masks` has a number for each pattern, which positions on its way collect.
pub(super) fn build<'a>(
    patterns: impl Iterator<Item = (&'a Pattern, u32)>,
    budget: &mut Budget,
) -> Result<Positions, Exhausted> {
    let mut builder = Builder {
        positions: Vec::with_capacity(USUAL),
        masks: Vec::with_capacity(USUAL),
        edges: Map::default(),
    };
    let root = builder.push(
        Position::Tree {
            edges: 0..0,
            tails: Vec::new(),
        },
        0,
        budget,
    )?;
    for (index, (pattern, mask)) in patterns.enumerate() {
        let accept = builder.push(
            Position::Accept(u32::try_from(index).unwrap_or(u32::MAX)),
            mask,
            budget,
        )?;
        builder.insert(root, pattern, accept, mask, budget)?;
    }
    let mut all: Vec<((u32, u8), u32)> = builder.edges.into_iter().collect();
    all.sort_unstable();
    let mut edges: Vec<(u8, u32)> = Vec::with_capacity(all.len());
    for node in all.chunk_by(|((one, _), _), ((other, _), _)| one == other) {
        let begin = u32::try_from(edges.len()).map_err(|_| Exhausted)?;
        edges.extend(node.iter().map(|&((_, byte), child)| (byte, child)));
        let end = u32::try_from(edges.len()).map_err(|_| Exhausted)?;
        let node = node.first().map_or(0, |((node, _), _)| *node);
        if let Some(Position::Tree { edges, .. }) = builder.positions.get_mut(node as usize) {
            *edges = begin..end;
        }
    }
    Ok(Positions {
        all: builder.positions,
        edges,
        start: root,
        masks: builder.masks,
    })
}

struct Builder {
    positions: Vec<Position>,
    masks: Vec<u32>,
    /// Edges of the tree.
    edges: Map<(u32, u8), u32>,
}

impl Builder {
    fn push(
        &mut self,
        position: Position,
        mask: u32,
        budget: &mut Budget,
    ) -> Result<u32, Exhausted> {
        budget.step(1)?;
        budget.keep(size_of::<Position>() + 4)?;
        let id = u32::try_from(self.positions.len()).map_err(|_| Exhausted)?;
        self.positions.push(position);
        self.masks.push(mask);
        Ok(id)
    }

    /// Puts a pattern into the tree: its literal beginning as edges, the rest behind them.
    fn insert(
        &mut self,
        root: u32,
        pattern: &Pattern,
        accept: u32,
        mask: u32,
        budget: &mut Budget,
    ) -> Result<(), Exhausted> {
        let (literal, rest): (&[u8], &[Pattern]) = match pattern {
            Pattern::Literal(bytes) => (bytes, &[]),
            Pattern::Concat(parts) => match parts.split_first() {
                Some((Pattern::Literal(bytes), rest)) => (bytes, rest),
                _ => (&[], parts),
            },
            other => (&[], std::slice::from_ref(other)),
        };
        let mut node = root;
        self.mark(node, mask);
        for &byte in literal {
            let next = if let Some(&next) = self.edges.get(&(node, byte)) {
                next
            } else {
                let empty = Position::Tree {
                    edges: 0..0,
                    tails: Vec::new(),
                };
                let next = self.push(empty, 0, budget)?;
                self.edges.insert((node, byte), next);
                next
            };
            node = next;
            self.mark(node, mask);
        }
        let tail = self.concat(rest, accept, mask, budget)?;
        if let Some(Position::Tree { tails, .. }) = self.positions.get_mut(node as usize) {
            tails.push(tail);
        }
        Ok(())
    }

    fn mark(&mut self, node: u32, mask: u32) {
        if let Some(collected) = self.masks.get_mut(node as usize) {
            *collected |= mask;
        }
    }

    fn concat(
        &mut self,
        parts: &[Pattern],
        next: u32,
        mask: u32,
        budget: &mut Budget,
    ) -> Result<u32, Exhausted> {
        parts
            .iter()
            .rev()
            .try_fold(next, |next, part| self.compile(part, next, mask, budget))
    }

    /// As deep as the pattern is: globs nest 49 alternations at most.
    fn compile(
        &mut self,
        pattern: &Pattern,
        next: u32,
        mask: u32,
        budget: &mut Budget,
    ) -> Result<u32, Exhausted> {
        match pattern {
            Pattern::Concat(parts) => self.concat(parts, next, mask, budget),
            Pattern::Literal(bytes) => bytes.iter().rev().try_fold(next, |next, &byte| {
                self.push(Position::Byte(byte, next), mask, budget)
            }),
            Pattern::Set(set) => self.push(Position::Set(*set, next), mask, budget),
            Pattern::Star(set) => self.push(Position::Star(*set, next), mask, budget),
            Pattern::Union(branches) => {
                let branches = branches
                    .iter()
                    .map(|branch| self.compile(branch, next, mask, budget))
                    .collect::<Result<Vec<_>, _>>()?;
                self.push(Position::Union(branches), mask, budget)
            }
        }
    }
}
