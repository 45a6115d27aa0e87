//! What was seen: objects and profiles that come, change and go, and other baselines.

use std::{hash::BuildHasher as _, sync::Arc, time::Duration};

use super::{MAX_OBJECTS, Object, Profile, State};
use crate::{
    cluster::{Happening, ObjectKey, ObjectSeen},
    verdict::Kind,
};

impl State {
    /// Something was seen.
    pub(crate) fn happened(&mut self, happening: Happening, now: Duration) {
        match happening {
            Happening::Object(key, seen) => self.object(key, &seen, now),
            Happening::ObjectGone(key) => {
                self.objects.remove(&key);
            }
            Happening::ObjectsBegin(kind) => {
                self.epoch = self.epoch.saturating_add(1);
                self.begun.insert(kind, self.epoch);
            }
            Happening::ObjectsEnd(kind) => {
                let begun = self.begun.get(&kind).copied().unwrap_or_default();
                self.objects
                    .retain(|key, object| key.kind != kind || object.epoch >= begun);
                self.listed.insert(kind);
            }
            Happening::Profile(name, seen) => {
                self.profiles
                    .entry(Arc::clone(&name))
                    .and_modify(|profile| {
                        profile.seen = seen.clone();
                        profile.epoch = self.epoch;
                    })
                    .or_insert(Profile {
                        seen,
                        epoch: self.epoch,
                        unused_since: None,
                    });
                self.judge_if_due(&name, now);
            }
            Happening::ProfileGone(name) => {
                self.profiles.remove(&name);
                self.look_at_users_of(&name, now);
            }
            Happening::ProfilesBegin => {
                self.epoch = self.epoch.saturating_add(1);
                self.profiles_begun = self.epoch;
            }
            Happening::ProfilesEnd => {
                let begun = self.profiles_begun;
                let gone: Vec<Arc<str>> = self
                    .profiles
                    .extract_if(|_, profile| profile.epoch < begun)
                    .map(|(name, _)| name)
                    .collect();
                for name in gone {
                    self.look_at_users_of(&name, now);
                }
                self.profiles_listed = true;
            }
        }
    }

    fn object(&mut self, key: ObjectKey, seen: &ObjectSeen, now: Duration) {
        // What another object makes is made of that one's template; pods say for themselves what they need.
        let is_concerned = if key.kind == Kind::Pod {
            seen.images.is_some()
        } else {
            !seen.is_owned
        };
        if !is_concerned {
            self.objects.remove(&key);
            return;
        }
        let hash = self
            .hasher
            .hash_one((&seen.uid, seen.generation, &seen.images));
        let epoch = self.epoch;
        if let Some(object) = self.objects.get_mut(&key) {
            object.epoch = epoch;
            if object.hash == hash {
                return;
            }
            object.hash = hash;
            object.is_looked_at = false;
        } else {
            if self.objects.len() >= MAX_OBJECTS {
                tracing::error!(MAX_OBJECTS, "too many objects, one is not looked at");
                return;
            }
            let object = Object {
                hash,
                epoch,
                is_looked_at: false,
                mode: None,
                names: Box::default(),
            };
            self.objects.insert(key.clone(), object);
        }
        self.push_look(key, now);
    }

    /// What does not fit now is found again at the next tick, as it has not been looked at.
    pub(super) fn push_look(&mut self, key: ObjectKey, now: Duration) {
        let lane = if key.kind == Kind::Pod {
            &mut self.pods
        } else {
            &mut self.templates
        };
        let _ = lane.push(key, now);
    }

    fn look_at_users_of(&mut self, name: &Arc<str>, now: Duration) {
        let users: Vec<ObjectKey> = self
            .objects
            .iter()
            .filter(|(_, object)| object.names.contains(name))
            .map(|(key, _)| key.clone())
            .collect();
        for key in users {
            self.push_look(key, now);
        }
    }

    pub(super) fn judge_if_due(&mut self, name: &Arc<str>, now: Duration) {
        let Some(Profile { seen, .. }) = self.profiles.get(name) else {
            return;
        };
        // One without a text is being made, or will be once somebody needs it: who makes it writes its status.
        let is_due = seen.has_text && !seen.is_judged(&self.baselines);
        if is_due && !self.makes.contains(name) {
            let _ = self.judges.push(Arc::clone(name), now);
        }
    }

    /// The baselines that all profiles are related to.
    pub(crate) fn baselines(&mut self, baselines: Vec<String>, now: Duration) {
        if self.baselines == baselines {
            return;
        }
        self.baselines = baselines;
        // The names of generated profiles depend on it as well.
        let keys: Vec<ObjectKey> = self.objects.keys().cloned().collect();
        for key in keys {
            self.push_look(key, now);
        }
        self.judge_all(now);
    }

    pub(super) fn judge_all(&mut self, now: Duration) {
        let names: Vec<Arc<str>> = self.profiles.keys().cloned().collect();
        for name in names {
            self.judge_if_due(&name, now);
        }
    }
}
