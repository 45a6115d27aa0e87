//! What is to be done, from what was seen: a state machine from happenings and endings to actions. Pure: no I/O, no clock.
//!
//! Of each object only its key, a few numbers and the names of the profiles that it needs are kept: five thousand pods take some
//! megabytes.

mod collect;
mod ended;
mod seen;

use std::{
    collections::{HashMap, HashSet},
    hash::RandomState,
    sync::Arc,
    time::Duration,
};

use super::{
    lane::{Ending, Lane},
    needs::Need,
};
use crate::{
    cluster::{ObjectKey, ProfileSeen},
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
}

#[cfg(test)]
mod tests;
