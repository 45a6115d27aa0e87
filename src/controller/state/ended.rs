//! What pieces of work came to.

use std::{sync::Arc, time::Duration};

use super::{Looked, State};
use crate::{
    cluster::ObjectKey,
    controller::{
        lane::{Ending, Pushed},
        needs::Need,
    },
    verdict::{Kind, Mode},
};

impl State {
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
