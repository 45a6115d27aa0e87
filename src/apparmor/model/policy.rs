//! What a policy is: profiles, each with its head and the entries of its rules.

use std::collections::{BTreeMap, BTreeSet};

use super::super::pattern::Pattern;
use super::super::source::Span;
use super::{Class, Entry, Features};

/// The profiles of a text.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// In the order of the text, parents before their children.
    pub profiles: Vec<Profile>,
    /// Their numbers by their names, and in the order of the text where those are the same.
    by_name: Vec<usize>,
}

impl Policy {
    pub(super) fn new(profiles: Vec<Profile>) -> Self {
        let mut by_name: Vec<usize> = (0..profiles.len()).collect();
        by_name.sort_by_key(|&index| profiles.get(index).map(|profile| &profile.name));
        Self { profiles, by_name }
    }

    /// The profile with a full name (`parent//child`), without its namespace: the first of them.
    #[must_use]
    pub fn profile(&self, name: &[u8]) -> Option<&Profile> {
        self.since(name)
            .next()
            .filter(|profile| profile.name == name)
    }

    /// The profiles of a name, and all that stand in them at any depth, in the order of their names.
    pub fn family<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a Profile> + 'a {
        let below = [name, b"//"].concat();
        let named = self
            .since(name)
            .take_while(move |profile| profile.name == name);
        // Other names stand between a name and those below it: `web-x` is less than `web//x`.
        let inside = self.since(&below).take_while(move |profile| {
            profile
                .name
                .strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(b"//"))
        });
        named.chain(inside)
    }

    /// Profiles in the order of their names, from a name on.
    fn since<'a>(&'a self, name: &[u8]) -> impl Iterator<Item = &'a Profile> + use<'a> {
        let named = |&index: &usize| self.profiles.get(index);
        let first = self
            .by_name
            .partition_point(|index| named(index).is_some_and(|other| *other.name < *name));
        self.by_name.iter().skip(first).filter_map(named)
    }
}

/// A profile.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Its full name: `parent//child`.
    pub name: Vec<u8>,
    /// The namespace that it is loaded to, its own when absent.
    pub namespace: Option<Vec<u8>>,
    /// The profile in which it stands.
    pub parent: Option<Vec<u8>>,
    /// Whether a process may enter it by `change_hat`.
    pub hat: bool,
    /// What is done about what is not permitted.
    pub mode: ProfileMode,
    /// Flags, as words.
    pub flags: BTreeSet<Vec<u8>>,
    /// The programs that it attaches to.
    pub attachments: Vec<Pattern>,
    /// What its ABI mediates.
    pub features: Features,
    /// Capabilities.
    pub capabilities: Capabilities,
    /// Rules of all other classes.
    pub entries: BTreeMap<Class, Vec<Entry>>,
    /// `change_profile` rules about programs, which may be in conflict.
    pub(crate) changes: Vec<ProfileChange>,
    /// Its head.
    pub span: Span,
}

impl Profile {
    /// Its full name for people, with its namespace where it has one: `:lxd:web//helper`.
    #[must_use]
    pub fn shown(&self) -> String {
        let name = String::from_utf8_lossy(&self.name);
        match &self.namespace {
            Some(namespace) => format!(":{}:{name}", String::from_utf8_lossy(namespace)),
            None => name.into_owned(),
        }
    }
}

/// A `change_profile` rule about a program, as the parser looks for conflicts among them. Its entries are with all others.
#[derive(Clone, Debug)]
pub(crate) struct ProfileChange {
    /// The program's text.
    pub(crate) program: Vec<u8>,
    /// That of the label it leads to.
    pub(crate) target: Vec<u8>,
    /// Whether uses are logged.
    pub(crate) audit: bool,
    /// The strings of program and label, with what happens to the environment as if the pair were run.
    pub(crate) pair: Entry,
}

/// What is done about what a profile does not permit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ProfileMode {
    /// It is logged and happens: `complain`.
    Complain,
    /// It happens: `default_allow`.
    DefaultAllow,
    /// It is refused.
    #[default]
    Enforce,
    /// It is refused and the process killed.
    Kill,
    /// Somebody is asked.
    Prompt,
    /// Nothing is mediated.
    Unconfined,
}

/// The capabilities of a profile.
#[derive(Clone, Debug, Default)]
pub struct Capabilities {
    /// Permitted, unless denied.
    pub allow: u64,
    /// Forbidden.
    pub deny: u64,
    /// What each rule said: whether it denies, its capabilities, and where it stands.
    pub rules: Vec<Origin>,
}

/// A capability rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Whether it forbids.
    pub deny: bool,
    /// Bits by number.
    pub mask: u64,
    /// Where it stands.
    pub span: Span,
}

impl Capabilities {
    /// Adds a rule.
    pub fn add(&mut self, deny: bool, mask: u64, span: Span) {
        if deny {
            self.deny |= mask;
        } else {
            self.allow |= mask;
        }
        self.rules.push(Origin { deny, mask, span });
    }

    /// Bits that are permitted.
    #[must_use]
    pub fn permitted(&self) -> u64 {
        self.allow & !self.deny
    }
}
