//! What a difference is told by: witnesses, with the rules that explain them.

use crate::apparmor::model::{CAPABILITIES, Class, Profile, ProfileMode, file};
use crate::apparmor::source::Span;

use super::super::classes::{KNOWN_PATHS, Query};
use super::super::walk::Found;
use super::super::witness::{Asked, Explanation, Whose, Witness};
use super::{Difference, Pair, permits_everything};

impl Difference<'_, '_> {
    /// That the first side's mode permits everything.
    pub(super) fn mode(&mut self, pair: &Pair, profile: &Profile) {
        let (word, why) = match profile.mode {
            ProfileMode::Complain => (
                "complain",
                "in complain mode what is not permitted is logged and happens",
            ),
            ProfileMode::DefaultAllow => (
                "default_allow",
                "with default_allow what no rule forbids is permitted",
            ),
            ProfileMode::Prompt => ("prompt", "with prompt anything may be permitted when asked"),
            _ => ("unconfined", "with unconfined nothing is mediated"),
        };
        self.witnesses.push(Witness {
            class: "mode",
            operations: vec![word],
            target: "everything".into(),
            whose: None,
            profile: profile.name.clone(),
            asked: None,
            moves: pair.moves.clone(),
            permits: Explanation {
                why: Some(why.into()),
                ..Explanation::rule(self.first.sources, profile.span)
            },
            forbids: Explanation::because("it enforces its rules"),
        });
    }

    /// Capabilities of the first side only.
    pub(super) fn capabilities(&mut self, pair: &Pair, first: &Profile, second: &Profile) {
        let permitted = if permits_everything(first.mode) {
            u64::MAX
        } else {
            first.capabilities.permitted()
        };
        let only = permitted & !second.capabilities.permitted();
        for (number, name) in CAPABILITIES.iter().enumerate() {
            if only >> number & 1 == 0 || self.witnesses.len() >= self.limit {
                continue;
            }
            let rule = |profile: &Profile, deny: bool| {
                profile
                    .capabilities
                    .rules
                    .iter()
                    .find(|rule| rule.deny == deny && rule.mask >> number & 1 == 1)
                    .map(|rule| rule.span)
            };
            let permits = rule(first, false);
            let forbids = rule(second, true);
            let witness = self.witness(
                pair,
                ("capability", vec!["use"], (*name).into()),
                (permits, forbids),
                first,
            );
            self.witnesses.push(witness);
        }
    }

    /// Whether the same two rules explain a witness that is there.
    pub(super) fn is_known(&self, found: &Found) -> bool {
        found.permits.is_some()
            && self.witnesses.iter().any(|witness| {
                witness.permits.span == found.permits && witness.forbids.span == found.forbids
            })
    }

    pub(super) fn found(
        &self,
        pair: &Pair,
        query: &Query,
        found: &Found,
        first: &Profile,
    ) -> Witness {
        let whose = (query.kind.class == Class::File)
            .then_some(found.bits)
            .and_then(|bits| {
                let (own, others) = (bits & file::HALF, bits >> file::OTHER & file::HALF);
                match (own, others) {
                    (own, others) if own == others => None,
                    (_, 0) => Some(Whose::Own),
                    (0, _) => Some(Whose::Others),
                    _ => None,
                }
            });
        let mut witness = self.witness(
            pair,
            (
                query.kind.name,
                query.operations(found.bits),
                (query.kind.describe)(&found.string, &first.name),
            ),
            (found.permits, found.forbids),
            first,
        );
        witness.whose = whose;
        // What the kernel asks in two steps is no single question.
        witness.asked = query.early.is_none().then(|| Asked {
            class: query.kind.class,
            string: found.string.clone(),
            other: found.second.clone(),
            bits: found.bits,
        });
        if found.permits.is_none() && !permits_everything(first.mode) {
            witness.permits = Explanation::because(format!(
                "the profile's ABI does not mediate {}, so all of it is permitted",
                query.kind.name
            ));
        }
        witness
    }

    pub(super) fn witness(
        &self,
        pair: &Pair,
        (class, operations, target): (&'static str, Vec<&'static str>, String),
        (permits, forbids): (Option<Span>, Option<Span>),
        first: &Profile,
    ) -> Witness {
        Witness {
            class,
            operations,
            target,
            whose: None,
            profile: first.name.clone(),
            asked: None,
            moves: pair.moves.clone(),
            permits: match permits {
                Some(span) => Explanation::rule(self.first.sources, span),
                None if permits_everything(first.mode) => {
                    Explanation::because("its mode permits everything")
                }
                None => Explanation::because("nothing forbids it"),
            },
            forbids: match forbids {
                Some(span) => Explanation::rule(self.second.sources, span),
                None => Explanation::because("no rule permits it"),
            },
        }
    }
}

/// The gravest first, of those the nearest, of those what people know, of those the shortest.
pub(super) fn sort(witnesses: &mut [Witness]) {
    witnesses.sort_by_key(|witness| {
        let made_up = !KNOWN_PATHS.contains(&witness.target.as_str());
        (
            gravity(witness),
            witness.moves.len(),
            made_up,
            witness.target.len(),
        )
    });
}

/// How grave it is, 0 the gravest: to lock a file is little beside writing it.
fn gravity(witness: &Witness) -> u8 {
    match (witness.class, witness.operations.first()) {
        ("file", Some(&"write")) => 1,
        ("file", Some(&"read")) => 2,
        ("file" | "link", _) => 3,
        _ => 0,
    }
}
