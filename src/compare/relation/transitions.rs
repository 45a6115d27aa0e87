//! Where a process can go from a profile: by running programs, entering hats, and changing its profile.

use crate::apparmor::automaton::Exhausted;
use crate::apparmor::model::{Class, Profile, file};

use super::super::classes;
use super::super::domain::{Domain, Field, Names};
use super::super::execs::{ExecMove, InPolicy, exec_moves};
use super::super::moves::Target;
use super::super::side::Side;
use super::super::walk::{Breadth, Search, differences};
use super::super::witness::{Explanation, Move};
use super::{Difference, Pair, entries};

/// What the second side has for a domain of the first.
enum Answer {
    Differs,
    Fine,
    Pair(usize, usize),
}

impl Difference<'_, '_> {
    /// Follows all of them.
    pub(super) fn transitions(
        &mut self,
        pair: &Pair,
        first: &Profile,
        second: &Profile,
    ) -> Result<(), Exhausted> {
        let moves = exec_moves(
            InPolicy {
                policy: self.first.policy,
                profile: first,
            },
            InPolicy {
                policy: self.second.policy,
                profile: second,
            },
            self.budget,
        )?;
        for exec in moves {
            self.exec(pair, first, &exec);
        }
        self.hats(pair, first, second);
        self.changes(pair, first, second)
    }

    fn exec(&mut self, pair: &Pair, first: &Profile, exec: &ExecMove) {
        let path = String::from_utf8_lossy(&exec.path).into_owned();
        for target in &exec.first {
            let step = Move {
                how: format!("runs {path}"),
                to: self.describe(target),
            };
            match self.answer(pair, target, &exec.second) {
                Answer::Fine => {}
                Answer::Pair(first, second) => {
                    let moves = pair.moves.iter().cloned().chain([step]).collect();
                    self.push(first, second, moves);
                }
                Answer::Differs => {
                    let mut witness = self.witness(
                        pair,
                        (
                            "exec",
                            vec!["execute"],
                            format!("{path} {}", self.under(target)),
                        ),
                        (exec.rule, None),
                        first,
                    );
                    witness.forbids = Explanation::because(if exec.second.is_empty() {
                        "it refuses to run it"
                    } else {
                        "programs stay confined there"
                    });
                    self.witnesses.push(witness);
                }
            }
        }
    }

    fn describe(&self, target: &Target) -> String {
        match target {
            Target::Attached => "whichever profile attaches to it".into(),
            Target::Elsewhere(name) => format!("profile {}", String::from_utf8_lossy(name)),
            Target::Profile(index) => self
                .first
                .policy
                .profiles
                .get(*index)
                .map_or_else(String::new, |profile| {
                    format!("profile {}", String::from_utf8_lossy(&profile.name))
                }),
            Target::Same => "the same profile".into(),
            Target::Unconfined => "no profile".into(),
        }
    }

    fn under(&self, target: &Target) -> String {
        match target {
            Target::Unconfined => "unconfined".into(),
            Target::Attached => {
                "under whichever profile attaches to it, whose rules are not known".into()
            }
            Target::Elsewhere(_) => {
                format!("under {}, whose rules are not known", self.describe(target))
            }
            Target::Profile(_) | Target::Same => format!("under {}", self.describe(target)),
        }
    }

    /// What the second side has for a domain that the first can go to.
    fn answer(&self, pair: &Pair, target: &Target, seconds: &[Target]) -> Answer {
        let is_unknown =
            |target: &Target| matches!(target, Target::Attached | Target::Elsewhere(_));
        if seconds.contains(&Target::Unconfined)
            || (self.trusts_unknown && seconds.iter().any(is_unknown))
        {
            return Answer::Fine;
        }
        let first = match target {
            Target::Attached | Target::Elsewhere(_) if seconds.contains(target) => {
                return Answer::Fine;
            }
            // The baseline itself, by its name.
            Target::Elsewhere(name) if *name == self.second.profile.name && !seconds.is_empty() => {
                return Answer::Fine;
            }
            Target::Attached | Target::Elsewhere(_) | Target::Unconfined => return Answer::Differs,
            Target::Profile(index) => *index,
            Target::Same => pair.first,
        };
        seconds
            .iter()
            .find_map(|second| match second {
                Target::Profile(second) => Some(Answer::Pair(first, *second)),
                Target::Same => Some(Answer::Pair(first, pair.second)),
                _ => None,
            })
            .unwrap_or(Answer::Differs)
    }

    /// A hat needs no rule to be entered.
    fn hats(&mut self, pair: &Pair, first: &Profile, second: &Profile) {
        // Also one that stands elsewhere (`hat web//w { }`): the kernel looks for it by its full name.
        let is_hat_of = |hat: &Profile, parent: &Profile| {
            let local = hat
                .name
                .strip_prefix(parent.name.as_slice())
                .and_then(|rest| rest.strip_prefix(b"//"));
            hat.hat
                && hat.namespace == parent.namespace
                && local.is_some_and(|local| !local.windows(2).any(|pair| pair == b"//"))
        };
        let hats: Vec<(usize, &Profile)> = self
            .first
            .policy
            .profiles
            .iter()
            .enumerate()
            .filter(|(_, hat)| is_hat_of(hat, first))
            .collect();
        for (index, hat) in hats {
            let local = hat.name.get(first.name.len()..).unwrap_or_default();
            let other = self.second.policy.profiles.iter().position(|other| {
                is_hat_of(other, second)
                    && other.name.get(second.name.len()..).unwrap_or_default() == local
            });
            let step = Move {
                how: "enters a hat".into(),
                to: format!("profile {}", String::from_utf8_lossy(&hat.name)),
            };
            let moves = pair.moves.iter().cloned().chain([step]).collect();
            self.push(index, other.unwrap_or(pair.second), moves);
        }
    }

    /// Changes of profile: first those to profiles of the text, then any other.
    fn changes(&mut self, pair: &Pair, first: &Profile, second: &Profile) -> Result<(), Exhausted> {
        let budget = &mut *self.budget;
        let mut mine = Side::new(entries(first, Class::File), file::CHANGE_PROFILE, budget)?;
        if mine.may_permit(mine.start()) & file::CHANGE_PROFILE == 0 {
            return Ok(());
        }
        let mut theirs = Side::new(entries(second, Class::File), file::CHANGE_PROFILE, budget)?;
        let known: Vec<Vec<u8>> = self
            .first
            .policy
            .profiles
            .iter()
            .map(|profile| profile.name.clone())
            .chain([b"unconfined".to_vec(), self.second.profile.name.clone()])
            .collect();
        for label in &known {
            let at = mine.walk(mine.start(), label, self.budget)?;
            if mine.allows(at) & file::CHANGE_PROFILE == 0 {
                continue;
            }
            let rule = mine.deciding(at, file::CHANGE_PROFILE);
            let at = theirs.walk(theirs.start(), label, self.budget)?;
            let seconds = if theirs.allows(at) & file::CHANGE_PROFILE == 0 {
                vec![Target::Same]
            } else {
                vec![
                    Target::named(self.second.policy, second, label),
                    Target::Same,
                ]
            };
            let target = Target::named(self.first.policy, first, label);
            let step = Move {
                how: "changes its profile".into(),
                to: self.describe(&target),
            };
            match self.answer(pair, &target, &seconds) {
                Answer::Fine => {}
                Answer::Pair(first, second) => {
                    let moves = pair.moves.iter().cloned().chain([step]).collect();
                    self.push(first, second, moves);
                }
                Answer::Differs => {
                    let witness = self.witness(
                        pair,
                        (
                            "change_profile",
                            vec!["change_profile"],
                            String::from_utf8_lossy(label).into_owned(),
                        ),
                        (rule.map(|(entry, _)| entry.span), None),
                        first,
                    );
                    self.witnesses.push(witness);
                }
            }
        }
        let names = Names {
            pairs: known
                .iter()
                .map(|name| (name.clone(), name.clone()))
                .collect(),
        };
        let domain = Domain::new(vec![Field::NewLabel], &names);
        let search = Search {
            domain: &domain,
            names: &Names::default(),
            bits: file::CHANGE_PROFILE,
            early: None,
            second_is: Breadth::Narrow,
            limit: self.limit.saturating_sub(self.witnesses.len()),
        };
        for found in differences(&mut mine, &mut theirs, &search, self.budget)? {
            let witness = self.witness(
                pair,
                (
                    "change_profile",
                    vec!["change_profile"],
                    format!(
                        "{}, whose rules are not known",
                        classes::peer(&found.string, &first.name)
                    ),
                ),
                (found.permits, found.forbids),
                first,
            );
            self.witnesses.push(witness);
        }
        Ok(())
    }
}
