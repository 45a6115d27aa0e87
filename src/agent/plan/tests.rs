//! From any state, whatever was cut off in the middle, the actions lead to the same end; and none touches what is not the
//! agent's, or is used.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{
    super::{Fingerprint, ProfileName},
    Action, Desired, InUse, Loaded, Record, Seen, Standing, Want, plan,
};

fn name(number: u8) -> ProfileName {
    ProfileName::parse(&format!("p{number}")).unwrap()
}

fn text(number: u8) -> Fingerprint {
    Fingerprint::of(&[b't', number])
}

/// What a text is compiled to.
fn policy(text: Fingerprint) -> Fingerprint {
    Fingerprint::of(text.to_string().as_bytes())
}

fn loaded(policy: Option<Fingerprint>) -> Loaded {
    Loaded {
        policy,
        mode: "enforce".to_owned(),
    }
}

/// A node without disk and kernel, on which an action has the steps that it has on a real one, and may be cut off after any.
#[derive(Clone, Debug)]
struct World {
    seen: Seen,
    /// Whether the kernel tells hashes.
    hashes: bool,
}

impl World {
    fn act(&mut self, name: &ProfileName, action: Action, steps: usize) {
        let before = self.seen.loaded.get(name).and_then(|before| before.policy);
        let boot = self.seen.boot.clone();
        let record = |text, settled: bool| Record {
            text,
            policies: std::iter::once(policy(text))
                .chain(before.filter(|_| !settled))
                .collect(),
            boot: boot.clone(),
            settled,
        };
        let hashes = self.hashes;
        let hash = |text| hashes.then(|| policy(text));
        let seen = &mut self.seen;
        match action {
            Action::Add(text) | Action::Replace(text) => {
                let is_loaded = seen.loaded.contains_key(name);
                assert_eq!(is_loaded, matches!(action, Action::Replace(_)));
                let (unsettled, settled) = (record(text, false), record(text, true));
                if steps > 0 {
                    seen.records.insert(name.clone(), unsettled);
                }
                if steps > 1 {
                    seen.files.insert(name.clone(), text);
                }
                if steps > 2 {
                    seen.loaded.insert(name.clone(), loaded(hash(text)));
                }
                if steps > 3 {
                    seen.records.insert(name.clone(), settled);
                }
            }
            Action::Settle => {
                let record = seen.records.get_mut(name).unwrap();
                record.policies.truncate(1);
                record.settled = true;
                record.boot = boot;
                seen.unlinked.remove(name);
            }
            Action::Forget | Action::Unload => {
                if action == Action::Unload {
                    assert!(seen.loaded.remove(name).is_some());
                }
                if steps > 0 {
                    seen.files.remove(name);
                }
                if steps > 1 {
                    seen.records.remove(name);
                }
            }
        }
    }

    /// Acts until nothing is to be done.
    fn settle(&mut self, desired: &Desired) -> BTreeMap<ProfileName, Standing> {
        for _ in 0..4 {
            let plan = plan(desired, &self.seen);
            if plan.actions.is_empty() {
                return plan.standing;
            }
            for (name, action) in plan.actions {
                self.act(&name, action, usize::MAX);
            }
        }
        panic!("there is no end: {self:?}");
    }
}

/// A profile: what the kernel has (by text), what the record has, whether of this boot, whether settled and linked, and the
/// file's text.
type State = (
    Option<u8>,
    Option<(u8, Option<u8>, bool, bool, bool)>,
    Option<u8>,
);

fn states() -> impl Strategy<Value = Vec<State>> {
    let number = || 0..3_u8;
    let record = (
        number(),
        proptest::option::of(number()),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
    );
    let state = (
        proptest::option::of(number()),
        proptest::option::of(record),
        proptest::option::of(number()),
    );
    proptest::collection::vec(state, 5)
}

fn world(states: &[State], hashes: bool, in_use: &[bool]) -> World {
    let mut seen = Seen {
        boot: "this".to_owned(),
        ..Default::default()
    };
    for (number, (kernel, record, file)) in (0..).zip(states) {
        if let Some(kernel) = kernel {
            let policy = hashes.then(|| policy(text(*kernel)));
            seen.loaded.insert(name(number), loaded(policy));
        }
        if let Some((new, old, this, settled, linked)) = record {
            let policies = std::iter::once(new)
                .chain(old)
                .map(|number| policy(text(*number)));
            let record = Record {
                text: text(*new),
                policies: policies.collect(),
                boot: if *this { "this" } else { "before" }.to_owned(),
                settled: *settled,
            };
            seen.records.insert(name(number), record);
            if !linked {
                seen.unlinked.insert(name(number));
            }
        }
        seen.files
            .extend(file.map(|file| (name(number), text(file))));
    }
    let used = (0..).zip(in_use).filter(|(_, used)| **used);
    seen.in_use = InUse::Known(used.map(|(number, _)| name(number)).collect());
    World { seen, hashes }
}

/// What is wanted of a profile, whether a pod that has ended names it, whether it has expired.
fn desires() -> impl Strategy<Value = Vec<(Option<Want>, bool, bool)>> {
    let want = prop_oneof![
        Just(Want::Waiting("why")),
        Just(Want::Refused("why".to_owned())),
        (0..3_u8).prop_map(|number| Want::Text(text(number))),
    ];
    let one = (proptest::option::of(want), any::<bool>(), any::<bool>());
    proptest::collection::vec(one, 5)
}

fn desired(each: &[(Option<Want>, bool, bool)]) -> Desired {
    let mut desired = Desired::default();
    for (number, (want, named, expired)) in (0..).zip(each) {
        desired
            .wanted
            .extend(want.clone().map(|want| (name(number), want)));
        if *named || want.is_some() {
            desired.named.insert(name(number));
        }
        if *expired {
            desired.expired.insert(name(number));
        }
    }
    desired
}

/// Whose it is, said another way than the plan says it.
fn is_foreign(seen: &Seen, name: &ProfileName) -> bool {
    let Some(loaded) = seen.loaded.get(name) else {
        return false;
    };
    seen.records.get(name).is_none_or(|record| {
        record.boot == seen.boot
            && loaded
                .policy
                .is_some_and(|policy| !record.policies.contains(&policy))
    })
}

proptest! {
    #[test]
    fn nothing_foreign_used_or_named_is_ever_unloaded(
        states in states(), desires in desires(), hashes: bool, in_use: [bool; 5], unknown: bool,
    ) {
        let mut world = world(&states, hashes, &in_use);
        if unknown {
            world.seen.in_use = InUse::Unknown;
        }
        let desired = desired(&desires);
        for (name, action) in plan(&desired, &world.seen).actions {
            let foreign = is_foreign(&world.seen, &name);
            match action {
                Action::Add(_) => prop_assert!(!world.seen.loaded.contains_key(&name)),
                Action::Replace(_) | Action::Settle => prop_assert!(!foreign && desired.wanted.contains_key(&name)),
                Action::Forget | Action::Unload => {
                    prop_assert!(!desired.named.contains(&name) && desired.expired.contains(&name));
                }
            }
            if action == Action::Unload {
                prop_assert!(!foreign && !world.seen.in_use.may_be(&name));
            }
            if action == Action::Forget {
                prop_assert!(foreign || !world.seen.loaded.contains_key(&name));
            }
        }
    }

    #[test]
    fn from_any_state_the_actions_lead_to_the_same_end(
        states in states(), desires in desires(), hashes: bool, in_use: [bool; 5], cuts: [usize; 5],
    ) {
        let desired = desired(&desires);
        let before = world(&states, hashes, &in_use);
        let mut whole = before.clone();
        let standing = whole.settle(&desired);

        // The same, but the agent is killed in the middle of each profile, and another comes.
        let mut cut = before.clone();
        let first = plan(&desired, &cut.seen).actions;
        for ((name, action), steps) in first.into_iter().zip(cuts) {
            cut.act(&name, action, steps % 5);
        }
        let standing_then = cut.settle(&desired);
        prop_assert_eq!(&cut.seen.loaded, &whole.seen.loaded);
        prop_assert_eq!(standing_then, standing.clone());

        for (name, want) in &desired.wanted {
            let at = standing.get(name);
            if is_foreign(&before.seen, name) {
                prop_assert_eq!(at, Some(&Standing::Foreign));
                prop_assert_eq!(whole.seen.loaded.get(name), before.seen.loaded.get(name));
            } else if let Want::Text(text) = want {
                prop_assert_eq!(at, Some(&Standing::Loaded));
                prop_assert_eq!(whole.seen.files.get(name), Some(text));
                prop_assert_eq!(&whole.seen.records[name].text, text);
                if hashes {
                    prop_assert_eq!(whole.seen.loaded[name].policy, Some(policy(*text)));
                }
            } else {
                prop_assert_eq!(whole.seen.loaded.get(name), before.seen.loaded.get(name));
            }
        }
        let touched: BTreeSet<_> = desired.wanted.keys().chain(before.seen.records.keys()).collect();
        for (name, loaded) in &before.seen.loaded {
            if !touched.contains(name) {
                prop_assert_eq!(whole.seen.loaded.get(name), Some(loaded));
            }
        }
    }
}

#[test]
fn what_the_nodes_start_has_compiled_otherwise_is_replaced() {
    let mut world = world(
        &[(Some(2), Some((1, None, false, true, true)), Some(1))],
        true,
        &[],
    );
    let desired = desired(&[(Some(Want::Text(text(1))), true, false)]);
    assert_eq!(
        plan(&desired, &world.seen).actions,
        [(name(0), Action::Replace(text(1)))].into()
    );
    assert_eq!(world.settle(&desired), [(name(0), Standing::Loaded)].into());
}

#[test]
fn a_link_that_is_gone_is_made_again_and_nothing_is_replaced() {
    for hashes in [true, false] {
        let record = (1, None, true, true, false);
        let mut world = world(&[(Some(1), Some(record), Some(1))], hashes, &[]);
        let desired = desired(&[(Some(Want::Text(text(1))), true, false)]);
        assert_eq!(
            plan(&desired, &world.seen).actions,
            [(name(0), Action::Settle)].into()
        );
        assert_eq!(world.settle(&desired), [(name(0), Standing::Loaded)].into());
        assert!(world.seen.unlinked.is_empty());
    }
}
