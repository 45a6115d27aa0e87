//! One query of two profiles: from what is known of both sides to witnesses.

use crate::apparmor::automaton::{Budget, Exhausted};
use crate::apparmor::model::{Class, Entry, Profile};

use super::super::classes::{KNOWN_PATHS, Query};
use super::super::domain::{Domain, Names};
use super::super::side::Side;
use super::super::walk::{Breadth, Found, Search, differences, prefer};
use super::super::yardstick::Known;
use super::{Difference, Pair, Party, entries, permits_everything};

/// What a query costs before its walk, in steps: it takes the automata at hand and tells bytes apart.
const BEFORE: usize = 12_000;

impl<'a> Difference<'a, '_> {
    /// What only the first side permits of a query.
    pub(super) fn query(
        &mut self,
        pair: &Pair,
        (number, query): (usize, &Query),
        first: &Profile,
        second: &Profile,
        names: &Names,
    ) -> Result<(), Exhausted> {
        if !(query.kind.mediated)(second.features) {
            return Ok(());
        }
        if !query.asked.of(first.features, second.features) {
            return Ok(());
        }
        let (mask, bits) = (query.mask(), query.bits_asked());
        let known = |party: &Party<'a>, profile: &Profile| {
            party
                .learned(profile)
                .and_then(|learned| learned.about(number))
        };
        let known = (
            known(&self.parties.0, first),
            known(&self.parties.1, second),
        );
        let budget = &mut *self.budget;
        let mut mine = if permits_everything(first.mode) || !(query.kind.mediated)(first.features) {
            Side::everything()
        } else {
            side(known.0, entries(first, query.kind.class), bits, budget)?
        };
        if mine.may_permit(mine.start()) & mask == 0 {
            return Ok(());
        }
        let limit = self.limit.saturating_sub(self.witnesses.len());
        let beyond = known.1.and_then(|known| known.beyond.as_ref());
        if let Some(beyond) = beyond.filter(|_| mine.is_everything()) {
            self.tell(pair, query, beyond.iter().take(limit).cloned(), first);
            return Ok(());
        }
        let mut theirs = side(known.1, entries(second, query.kind.class), bits, budget)?;
        let is_file = query.kind.class == Class::File;
        budget.step(BEFORE)?;
        let mut domain = Domain::new((query.fields)(), names);
        if domain.has_labels() {
            // To put a byte of a name into the domain costs more than to walk over it.
            let bytes: usize = names.pairs.iter().map(|(name, _)| name.len()).sum();
            budget.step(4 * bytes)?;
        }
        if !is_file && query.early.is_none() && mine.is_part_of(&theirs) {
            // What is left are the names that are the same thing and read differently.
            match domain.with_names_only() {
                Some(names_only) => domain = names_only,
                None => return Ok(()),
            }
        }
        let search = Search {
            domain: &domain,
            names,
            bits: mask,
            early: query.early,
            // Of the other classes a side permits little.
            second_is: match known.1.and_then(|known| known.guarantees.as_ref()) {
                Some(guarantees) => Breadth::Known(guarantees),
                None if is_file => Breadth::Wide,
                None => Breadth::Narrow,
            },
            limit,
        };
        let found = differences(&mut mine, &mut theirs, &search, budget)
            .and_then(|found| preferred(query, (&mut mine, &mut theirs), found, budget))?;
        self.tell(pair, query, found, first);
        Ok(())
    }

    /// Makes witnesses of what was found.
    fn tell(
        &mut self,
        pair: &Pair,
        query: &Query,
        found: impl IntoIterator<Item = Found>,
        first: &Profile,
    ) {
        for found in found {
            // A rule that lacks a denial is told of once, by what can be done to the file itself.
            if query.kind.name == "link" && self.is_known(&found) {
                continue;
            }
            let witness = self.found(pair, query, &found, first);
            if !self.witnesses.contains(&witness) {
                self.witnesses.push(witness);
            }
        }
    }
}

/// A side of entries, from what is known of them if something is.
fn side<'e>(
    known: Option<&Known>,
    entries: &'e [Entry],
    bits: u32,
    budget: &mut Budget,
) -> Result<Side<'e>, Exhausted> {
    match known {
        Some(known) => Ok(Side::known(entries, bits, known.automaton.clone())),
        None => Side::new(entries, bits, budget),
    }
}

/// Puts paths that people know in the place of made-up ones, of files.
pub(in super::super) fn preferred(
    query: &Query,
    (first, second): (&mut Side<'_>, &mut Side<'_>),
    mut found: Vec<Found>,
    budget: &mut Budget,
) -> Result<Vec<Found>, Exhausted> {
    if query.kind.name == "file" {
        prefer(first, second, KNOWN_PATHS, query.mask(), &mut found, budget)?;
    }
    Ok(found)
}
