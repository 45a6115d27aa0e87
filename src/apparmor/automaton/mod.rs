//! Patterns to automata, determinised as they are walked.
//!
//! Building an automaton whole costs as much as compiling the profile does; a comparison needs a small part of it. So
//! [`Automaton`] makes a state when it is first reached, and [`Budget`] bounds what that may cost: beyond it there is no answer,
//! never a wrong one.

use std::collections::{HashMap, HashSet};

mod build;
mod lazy;

pub(crate) use lazy::partition;
pub use lazy::{Automaton, StateId};

/// Maps and sets of small keys that this program makes up itself: a fast hash without a seed, as states are counted from 0.
pub(crate) type Map<K, V> = HashMap<K, V, foldhash::fast::FixedState>;
pub(crate) type Set<K> = HashSet<K, foldhash::fast::FixedState>;

/// What a question may cost. Deterministic, so that the same question has the same answer on a slow machine.
#[derive(Clone, Debug)]
pub struct Budget {
    steps: u64,
    memory: u64,
}

/// The budget did not suffice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("deciding it takes more than {STEPS} steps or {MEMORY} MiB")]
pub struct Exhausted;

/// LIMIT: positions looked at; some 100 million a second.
const STEPS: u64 = 100_000_000;
/// LIMIT: MiB of states.
const MEMORY: u64 = 96;

impl Default for Budget {
    fn default() -> Self {
        Self {
            steps: STEPS,
            memory: MEMORY * 1024 * 1024,
        }
    }
}

impl Budget {
    /// Takes steps from it.
    pub fn step(&mut self, steps: usize) -> Result<(), Exhausted> {
        self.steps = self.steps.checked_sub(steps as u64).ok_or(Exhausted)?;
        Ok(())
    }

    /// What is left of its memory, to be given back with [`Budget::release`].
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.memory
    }

    /// Gives back the memory of automata that are gone.
    pub fn release(&mut self, memory: u64) {
        self.memory = memory;
    }

    /// Takes bytes from it.
    pub fn keep(&mut self, bytes: usize) -> Result<(), Exhausted> {
        self.memory = self.memory.checked_sub(bytes as u64).ok_or(Exhausted)?;
        Ok(())
    }
}
