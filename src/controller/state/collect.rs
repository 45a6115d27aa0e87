//! What is found now and then: what did not fit before, and what nobody has needed for long.

use std::{collections::HashSet, sync::Arc, time::Duration};

use super::{Action, State};
use crate::{
    cluster::{ObjectKey, WATCHED_KINDS},
    verdict::{Kind, Mode},
};

impl State {
    /// Now and then: what did not fit, whose mode is another, and what nobody has needed for long.
    pub(crate) fn tick(&mut self, now: Duration, mode: impl Fn(&str) -> Mode) -> Option<Action> {
        let due: Vec<ObjectKey> = self
            .objects
            .iter()
            .filter(|(key, object)| {
                let lane = if key.kind == Kind::Pod {
                    &self.pods
                } else {
                    &self.templates
                };
                let is_another =
                    || key.kind != Kind::Pod && object.mode != Some(mode(&key.namespace));
                !lane.contains(key) && (!object.is_looked_at || is_another())
            })
            .map(|(key, _)| key.clone())
            .collect();
        for key in due {
            self.push_look(key, now);
        }
        self.judge_all(now);
        self.collect(now)
    }

    fn collect(&mut self, now: Duration) -> Option<Action> {
        let all_known = self.profiles_listed
            && WATCHED_KINDS.iter().all(|kind| self.listed.contains(kind))
            && self.objects.values().all(|object| object.is_looked_at);
        if !all_known || self.is_collecting {
            return None;
        }
        let used: HashSet<&Arc<str>> = self
            .objects
            .values()
            .flat_map(|object| &object.names)
            .collect();
        let mut unused = Vec::new();
        for (name, profile) in &mut self.profiles {
            if !profile.seen.has_source || used.contains(name) || self.makes.contains(name) {
                profile.unused_since = None;
                continue;
            }
            let since = *profile.unused_since.get_or_insert(now);
            if now.saturating_sub(since) >= self.unused_for {
                unused.push(Arc::clone(name));
            }
        }
        self.is_collecting = !unused.is_empty();
        self.is_collecting.then_some(Action::Collect(unused))
    }

    /// A collection has ended; what a pod names after all counts as used until now.
    pub(crate) fn collected(&mut self, still_named: &[Arc<str>], now: Duration) {
        self.is_collecting = false;
        for name in still_named {
            if let Some(profile) = self.profiles.get_mut(name) {
                profile.unused_since = Some(now);
            }
        }
    }
}
