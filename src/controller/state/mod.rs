//! What is to be done, from what was seen: a state machine from happenings and endings to actions. Pure: no I/O, no clock.
//!
//! Of each object only its key, a few numbers and the names of the profiles that it needs are kept: five thousand pods take some
//! megabytes.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
    time::Duration,
};

use super::{
    lane::{Ending, Lane, Pushed},
    needs::Need,
};
use crate::{
    cluster::{Happening, ObjectKey, ObjectSeen, ProfileSeen, WATCHED_KINDS},
    image::ImageDigest,
    verdict::{Kind, Mode},
};

/// Something to do.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// Look at an object again, and tell what it needs.
    Look(ObjectKey),
    /// Make a profile.
    Make(Arc<str>, Arc<Need>),
    /// Write the status of a profile.
    Judge(Arc<str>),
    /// Delete these profiles, unless a pod names them after all.
    Collect(Vec<Arc<str>>),
}

/// What looking at an object came to.
#[derive(Debug)]
pub(crate) enum Looked {
    /// It needs these profiles.
    Needs(Vec<Need>),
    /// It is gone, or could not be read for now.
    Nothing(Ending),
}

/// LIMIT: objects that are kept track of. Beyond it, new ones are not looked at, which is told.
const MAX_OBJECTS: usize = 50_000;
/// LIMIT: items that wait in a lane; what does not fit is found again at the next tick.
const MAX_WAITING: usize = 20_000;
/// LIMIT: requests for profiles that wait to be made.
const MAX_WANTED: usize = 1_000;
/// Objects that are read at the same time.
const LOOKS: usize = 4;
/// Templates whose images' digests are asked for at the same time: registries may be slow.
const RESOLVES: usize = 2;
/// Images that are read at the same time.
const MAKES: usize = 2;

#[derive(Debug)]
pub(crate) struct State {
    objects: HashMap<ObjectKey, Object>,
    profiles: HashMap<Arc<str>, Profile>,
    listed: HashSet<Kind>,
    profiles_listed: bool,
    epoch: u64,
    begun: HashMap<Kind, u64>,
    profiles_begun: u64,
    pods: Lane<ObjectKey>,
    templates: Lane<ObjectKey>,
    makes: Lane<Arc<str>>,
    judges: Lane<Arc<str>>,
    wanted: HashMap<Arc<str>, Arc<Need>>,
    /// Digests of images that are being read: no two of the same at once.
    reading: HashMap<Arc<str>, ImageDigest>,
    is_collecting: bool,
    baselines: Vec<String>,
    unused_for: Duration,
    hasher: RandomState,
}

#[derive(Debug)]
struct Object {
    hash: u64,
    epoch: u64,
    /// Whether the profiles that it needs are known, or cannot be known for now.
    is_looked_at: bool,
    /// The mode in which it was looked at.
    mode: Option<Mode>,
    names: Box<[Arc<str>]>,
}

#[derive(Debug)]
struct Profile {
    seen: ProfileSeen,
    epoch: u64,
    unused_since: Option<Duration>,
}

impl State {
    pub(crate) fn new(unused_for: Duration) -> Self {
        Self {
            objects: HashMap::new(),
            profiles: HashMap::new(),
            listed: HashSet::new(),
            profiles_listed: false,
            epoch: 0,
            begun: HashMap::new(),
            profiles_begun: 0,
            pods: Lane::new(LOOKS, MAX_WAITING),
            templates: Lane::new(RESOLVES, MAX_WAITING),
            makes: Lane::new(MAKES, MAX_WANTED),
            judges: Lane::new(1, MAX_WAITING),
            wanted: HashMap::new(),
            reading: HashMap::new(),
            is_collecting: false,
            baselines: Vec::new(),
            unused_for,
            hasher: RandomState::new(),
        }
    }

    /// How much waits or is being done.
    pub(crate) fn queued(&self) -> usize {
        [
            self.pods.len(),
            self.templates.len(),
            self.makes.len(),
            self.judges.len(),
        ]
        .into_iter()
        .fold(0, usize::saturating_add)
    }

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
    fn push_look(&mut self, key: ObjectKey, now: Duration) {
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

    fn judge_if_due(&mut self, name: &Arc<str>, now: Duration) {
        let Some(Profile { seen, .. }) = self.profiles.get(name) else {
            return;
        };
        // One without a text is being made, or will be once somebody needs it: who makes it writes its status.
        let is_due = seen.has_text
            && (seen.generation != seen.observed_generation
                || seen.is_ready && seen.baselines != self.baselines);
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

    fn judge_all(&mut self, now: Duration) {
        let names: Vec<Arc<str>> = self.profiles.keys().cloned().collect();
        for name in names {
            self.judge_if_due(&name, now);
        }
    }

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

    /// What is to be begun now. What it leads to is told by [`Self::looked`], [`Self::made`] and [`Self::judged`].
    pub(crate) fn begin(&mut self, now: Duration) -> Option<Action> {
        // Before that it would look as if every profile had to be made.
        if !self.profiles_listed {
            return None;
        }
        if let Some(name) = self.judges.begin(now, |_| true) {
            return Some(Action::Judge(name));
        }
        if let Some(make) = self.begin_make(now) {
            return Some(make);
        }
        let look = self.pods.begin(now, |_| true);
        let look = look.or_else(|| self.templates.begin(now, |_| true));
        look.map(Action::Look)
    }

    fn begin_make(&mut self, now: Duration) -> Option<Action> {
        loop {
            let (wanted, reading) = (&self.wanted, &self.reading);
            let is_read =
                |need: &Arc<Need>| reading.values().any(|read| *read == need.request.digest);
            let is_free = |name: &Arc<str>| !wanted.get(name).is_some_and(is_read);
            let name = self.makes.begin(now, is_free)?;
            let mut objects = self.objects.values();
            let is_used = objects.any(|object| object.names.contains(&name));
            if let Some(need) = self.wanted.get(&name)
                && is_used
            {
                let need = Arc::clone(need);
                self.reading.insert(Arc::clone(&name), need.request.digest);
                return Some(Action::Make(name, need));
            }
            // Nobody needs it any more.
            self.wanted.remove(&name);
            self.makes.end(&name, Ending::Done, now);
        }
    }

    /// When something is to be begun next.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        let lanes = [
            self.pods.next_due(),
            self.templates.next_due(),
            self.makes.next_due(),
            self.judges.next_due(),
        ];
        lanes.into_iter().flatten().min()
    }

    /// An object was looked at, in this mode.
    pub(crate) fn looked(&mut self, key: &ObjectKey, mode: Mode, looked: Looked, now: Duration) {
        let mut ending = Ending::Done;
        match looked {
            Looked::Needs(needs) => {
                let names: Vec<Arc<str>> =
                    needs.iter().map(|need| need.name.as_str().into()).collect();
                for (name, need) in names.iter().zip(needs) {
                    if self.want(name, need, now) == Pushed::Full {
                        ending = Ending::Failed;
                    }
                }
                if let Some(object) = self.objects.get_mut(key) {
                    object.names = names.into();
                    object.is_looked_at = true;
                    object.mode = Some(mode);
                }
            }
            Looked::Nothing(failed) => {
                ending = failed;
                if let Some(object) = self.objects.get_mut(key) {
                    // What a pod names must be known before anything is deleted; what a template would need can be made again.
                    object.is_looked_at = failed == Ending::Done || key.kind != Kind::Pod;
                    object.mode = Some(mode);
                }
            }
        }
        if !self.objects.contains_key(key) {
            ending = Ending::Done;
        }
        let lane = if key.kind == Kind::Pod {
            &mut self.pods
        } else {
            &mut self.templates
        };
        lane.end(key, ending, now);
    }

    fn want(&mut self, name: &Arc<str>, need: Need, now: Duration) -> Pushed {
        if self
            .profiles
            .get(name)
            .is_some_and(|profile| profile.seen.has_text)
        {
            return Pushed::Queued;
        }
        if !self.wanted.contains_key(name) {
            if self.makes.push(Arc::clone(name), now) == Pushed::Full {
                return Pushed::Full;
            }
            self.wanted.insert(Arc::clone(name), Arc::new(need));
        }
        Pushed::Queued
    }

    /// A profile was made, or not.
    pub(crate) fn made(&mut self, name: &Arc<str>, ending: Ending, now: Duration) {
        self.reading.remove(name);
        if ending == Ending::Done {
            self.wanted.remove(name);
        }
        self.makes.end(name, ending, now);
        self.judge_if_due(name, now);
    }

    /// A profile's status was written, or not.
    pub(crate) fn judged(&mut self, name: &Arc<str>, ending: Ending, now: Duration) {
        let ending = if self.profiles.contains_key(name) {
            ending
        } else {
            Ending::Done
        };
        self.judges.end(name, ending, now);
    }
}

#[cfg(test)]
mod tests;
