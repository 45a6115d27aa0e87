//! Asks the model about strings, many of them.

use anyhow::Result;
use armorgate::apparmor::{
    automaton::{Automaton, Budget},
    model::{Entry, Permits, permits},
};

/// The rules of one class of a profile.
pub(crate) struct Automata<'a> {
    pub(crate) entries: Vec<&'a Entry>,
    automaton: Automaton,
    budget: Budget,
}

impl<'a> Automata<'a> {
    pub(crate) fn new(entries: &'a [Entry]) -> Result<Self> {
        let mut budget = Budget::default();
        let patterns = entries.iter().map(|entry| (&entry.pattern, 1));
        let automaton = Automaton::new(patterns, &mut budget)?;
        Ok(Self {
            entries: entries.iter().collect(),
            automaton,
            budget,
        })
    }

    /// The entries that match.
    pub(crate) fn matched(&mut self, string: &[u8]) -> Result<Vec<u32>> {
        let mut state = self.automaton.start();
        for &byte in string {
            state = self.automaton.next(state, byte, &mut self.budget)?;
        }
        Ok(self.automaton.accepts(state).to_vec())
    }

    /// What they add up to.
    pub(crate) fn permits(&mut self, string: &[u8]) -> Result<Permits> {
        let matched = self.matched(string)?;
        Ok(permits(&self.entries, &matched))
    }
}
