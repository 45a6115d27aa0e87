//! What is to be done on a node: from what its pods want and what is there, to actions. Pure: it neither looks nor acts.
//!
//! A profile is the agent's own when the agent's [`Record`] of it has the policy that the kernel has. The record is written
//! before the kernel is told, with the policy that comes and the one that was, so that a crash in between leaves nothing in
//! doubt. Whatever else is loaded is foreign: it is neither replaced nor unloaded.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Fingerprint, ProfileName};

/// What the node's pods want.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desired {
    /// The profiles that pods need which run or will.
    pub wanted: BTreeMap<ProfileName, Want>,
    /// Those that any pod names, also one that has ended.
    pub named: BTreeSet<ProfileName>,
    /// Those that nothing has named for so long that they may go.
    pub expired: BTreeSet<ProfileName>,
}

/// What is wanted of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// A text that is not loaded, and why.
    Refused(String),
    /// This text.
    Text(Fingerprint),
    /// There is no text yet, and why.
    Waiting(&'static str),
}

/// What is on the node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The kernel's id of this boot.
    pub boot: String,
    /// What the kernel has loaded.
    pub loaded: BTreeMap<ProfileName, Loaded>,
    /// What the agent has recorded.
    pub records: BTreeMap<ProfileName, Record>,
    /// The texts in the agent's folder.
    pub files: BTreeMap<ProfileName, Fingerprint>,
    /// Those whose text the node's start would not find: somebody has taken the link away, or it was not made yet.
    pub unlinked: BTreeSet<ProfileName>,
    /// The profiles that processes have.
    pub in_use: InUse,
}

/// A loaded profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Its compiled policy, where the kernel tells it.
    pub policy: Option<Fingerprint>,
    /// `enforce`, `complain`, …
    pub mode: String,
}

/// What the agent remembers of a profile that it has loaded, in a file beside the text.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The profile's text.
    pub text: Fingerprint,
    /// What it was compiled to; while it is being loaded also, second, what it replaces.
    pub policies: Vec<Fingerprint>,
    /// The boot in which it was loaded.
    pub boot: String,
    /// Whether the kernel has taken it.
    pub settled: bool,
}

/// Which profiles processes have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InUse {
    /// These.
    Known(BTreeSet<ProfileName>),
    /// Nobody has looked, or it could not be told: any may be.
    Unknown,
}

impl Default for InUse {
    fn default() -> Self {
        Self::Known(BTreeSet::new())
    }
}

impl InUse {
    pub(crate) fn may_be(&self, name: &ProfileName) -> bool {
        match self {
            Self::Known(names) => names.contains(name),
            Self::Unknown => true,
        }
    }
}

/// What is to be done with a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Load this text under a name that the kernel does not have.
    Add(Fingerprint),
    /// Remove the agent's files only: the kernel has nothing of it.
    Forget,
    /// Load this text in place of one of the agent's own.
    Replace(Fingerprint),
    /// Record that it is loaded.
    Settle,
    /// Remove it from the kernel, and the agent's files.
    Unload,
}

/// How a profile stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It could not be loaded, and why.
    Failed(String),
    /// Somebody else's of this name is loaded.
    Foreign,
    /// It is loaded.
    Loaded,
    /// It is about to be loaded.
    Pending,
    /// There is no text yet, and why.
    Waiting(&'static str),
}

/// What is to be done, and how things stand before that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// At most one action for each profile.
    pub actions: BTreeMap<ProfileName, Action>,
    /// Of the profiles that pods want, and of those that the agent has loaded.
    pub standing: BTreeMap<ProfileName, Standing>,
}

/// Whose a profile of a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// Nobody's: it is not loaded.
    Nobody,
    /// Somebody else's.
    Other,
    /// The agent's.
    Own,
    /// The agent's text, which the node's start has compiled with another parser: that gives another policy.
    ///
    /// LIMIT: a foreign one that was loaded since the start and before the agent came is taken for that. It has the name of
    /// one that the agent had loaded before.
    Restored,
}

impl Seen {
    fn owner(&self, name: &ProfileName) -> Owner {
        let Some(loaded) = self.loaded.get(name) else {
            return Owner::Nobody;
        };
        let Some(record) = self.records.get(name) else {
            return Owner::Other;
        };
        match loaded.policy {
            Some(policy) if record.policies.contains(&policy) => Owner::Own,
            _ if record.boot != self.boot => Owner::Restored,
            None => Owner::Own,
            Some(_) => Owner::Other,
        }
    }

    /// Whether the kernel, the file and the record all have this text.
    fn has(&self, name: &ProfileName, text: Fingerprint) -> bool {
        let recorded = self.records.get(name);
        let policy = self.loaded.get(name).and_then(|loaded| loaded.policy);
        let is_new = |record: &Record| {
            record.text == text
                && policy.map_or(record.settled, |policy| {
                    record.policies.first() == Some(&policy)
                })
        };
        self.files.get(name) == Some(&text) && recorded.is_some_and(is_new)
    }

    fn is_settled(&self, name: &ProfileName) -> bool {
        let record = self.records.get(name);
        record.is_some_and(|record| record.settled && record.boot == self.boot)
            && !self.unlinked.contains(name)
    }
}

/// What is to be done.
#[must_use]
pub fn plan(desired: &Desired, seen: &Seen) -> Plan {
    let mut plan = Plan::default();
    for (name, want) in &desired.wanted {
        let owner = seen.owner(name);
        let (standing, action) = match (owner, want) {
            (Owner::Other, _) => (Standing::Foreign, None),
            (_, Want::Refused(why)) => (Standing::Failed(why.clone()), None),
            // What was loaded stays, whatever has become of its object.
            (Owner::Own | Owner::Restored, Want::Waiting(_)) => (Standing::Loaded, None),
            (Owner::Nobody, Want::Waiting(why)) => (Standing::Waiting(why), None),
            (Owner::Nobody, Want::Text(text)) => (Standing::Pending, Some(Action::Add(*text))),
            (Owner::Own, Want::Text(text)) if seen.has(name, *text) => {
                let settle = (!seen.is_settled(name)).then_some(Action::Settle);
                (Standing::Loaded, settle)
            }
            (Owner::Own | Owner::Restored, Want::Text(text)) => {
                (Standing::Pending, Some(Action::Replace(*text)))
            }
        };
        plan.standing.insert(name.clone(), standing);
        plan.actions
            .extend(action.map(|action| (name.clone(), action)));
    }
    for name in seen.records.keys() {
        if desired.wanted.contains_key(name) {
            continue;
        }
        let owner = seen.owner(name);
        if matches!(owner, Owner::Own | Owner::Restored) {
            plan.standing.insert(name.clone(), Standing::Loaded);
        }
        if desired.named.contains(name) || !desired.expired.contains(name) {
            continue;
        }
        match owner {
            Owner::Own | Owner::Restored if seen.in_use.may_be(name) => {}
            Owner::Own | Owner::Restored => {
                plan.actions.insert(name.clone(), Action::Unload);
            }
            Owner::Nobody | Owner::Other => {
                plan.actions.insert(name.clone(), Action::Forget);
            }
        }
    }
    plan
}

#[cfg(test)]
mod tests;
