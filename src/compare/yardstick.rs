//! A profile that many are compared with: what is learned of it once serves all of them.
//!
//! A comparison looks at both sides. Of a runtime's default it looks at the same states again and again; here they are made
//! beforehand, outside of any comparison's budget, so that an answer does not depend on what was asked before it.

use crate::apparmor::automaton::{Automaton, Budget, Exhausted};
use crate::apparmor::include::{NoIncludes, load};
use crate::apparmor::model::{Class, Policy, Profile, policy};
use crate::apparmor::source::Sources;

use super::classes::{Query, queries};
use super::domain::{Domain, Names};
use super::relation::{MAX_WITNESSES, Party, Subject, entries, permits_everything, preferred};
use super::side::{Guarantees, Side};
use super::walk::{Breadth, Found, Search, differences};
use super::{Baseline, Relation, compare_within};

/// A profile that others are measured by, with its text.
#[derive(Clone, Debug)]
pub struct Yardstick {
    sources: Sources,
    policy: Policy,
    learned: Learned,
}

impl Yardstick {
    /// The first profile of a policy; none if it has no profile.
    #[must_use]
    pub fn new(sources: Sources, policy: Policy) -> Option<Self> {
        let learned = Learned::of(policy.profiles.first()?);
        Some(Self {
            sources,
            policy,
            learned,
        })
    }

    /// A runtime's default.
    #[must_use]
    pub fn baseline(baseline: Baseline) -> Option<Self> {
        let text = baseline.template().text();
        // Written here, and read back in tests: it has neither errors nor includes.
        let (loaded, _) = load(baseline.to_string(), text.as_bytes().into(), &NoIncludes);
        let (policy, _) = policy(&loaded, &NoIncludes);
        Self::new(loaded.sources, policy)
    }

    /// The profile.
    #[must_use]
    #[expect(
        clippy::indexing_slicing,
        reason = "INVARIANT: made only of policies that have a profile"
    )]
    pub fn subject(&self) -> Subject<'_> {
        Subject {
            policy: &self.policy,
            sources: &self.sources,
            profile: &self.policy.profiles[0],
        }
    }

    /// Whether it permits nothing that the other forbids, as far as can be told.
    pub(crate) fn is_no_weaker_than(&self, other: &Self) -> bool {
        let comparison = compare_within(self.subject(), other, &mut Budget::default());
        matches!(comparison.relation, Relation::Equal | Relation::Stronger)
    }

    pub(super) fn party(&self) -> Party<'_> {
        Party {
            subject: self.subject(),
            learned: Some(&self.learned),
        }
    }
}

/// What is known of a profile, by the number of the query.
#[derive(Clone, Debug)]
pub(super) struct Learned(Vec<Option<Known>>);

/// What is known of a profile's part in a query.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// Its rules, with the states that were reached so far.
    pub(super) automaton: Automaton,
    /// What it permits further on, of files.
    pub(super) guarantees: Option<Guarantees>,
    /// What a profile that permits everything permits beyond it, where names of profiles play no part.
    pub(super) beyond: Option<Vec<Found>>,
}

impl Learned {
    fn of(profile: &Profile) -> Self {
        let mut budget = Budget::default();
        let known = |query: &Query| {
            if permits_everything(profile.mode) {
                return None;
            }
            // What takes too much is left to each comparison, which then says so.
            Known::of(profile, query, &mut budget).ok()
        };
        Self(queries().map(known).collect())
    }

    /// What is known for a query.
    pub(super) fn about(&self, query: usize) -> Option<&Known> {
        self.0.get(query)?.as_ref()
    }
}

impl Known {
    fn of(profile: &Profile, query: &Query, budget: &mut Budget) -> Result<Self, Exhausted> {
        let entries = entries(profile, query.kind.class);
        let mut side = Side::new(entries, query.bits_asked(), budget)?;
        let names = Names::default();
        let domain = Domain::new((query.fields)(), &names);
        let guarantees = if query.kind.class == Class::File {
            Some(Guarantees::new(&mut side, &domain, query.mask(), budget)?)
        } else {
            None
        };
        let search = Search {
            domain: &domain,
            names: &names,
            bits: query.mask(),
            early: query.early,
            second_is: guarantees.as_ref().map_or(Breadth::Narrow, Breadth::Known),
            limit: MAX_WITNESSES,
        };
        // Also makes all states that a walk over other names comes to.
        let mut everything = Side::everything();
        let found = differences(&mut everything, &mut side, &search, budget)?;
        let beyond = if domain.has_labels() {
            None
        } else {
            Some(preferred(
                query,
                (&mut everything, &mut side),
                found,
                budget,
            )?)
        };
        Ok(Self {
            automaton: side.into_automaton().ok_or(Exhausted)?,
            guarantees,
            beyond,
        })
    }
}
